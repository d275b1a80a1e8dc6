/* Proves that idle jobs cost live pictures nothing: the rule by itself (idle.c), and with real worker
 * processes what becomes of idle jobs beside live streams, when workers are lost, streams closed and
 * too many wait. Where idle jobs have to take another time than live ones, this program plays the
 * worker itself (PACED_WORKER). */
#include "pool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <cmocka.h>

#define MS CLOCK_NS_PER_MS
/* What the played worker takes for a picture of each model, well above a busy machine's pauses; and the time between
 * a stream's pictures that leaves room for one of the golden model's. */
static const uint32_t pace_ms[] = { 60, 110, 450 };
enum { LIVE, GOLDEN, LARGE, MODELS };
#define INTERVAL_MS 300u

/* The rule. Times are in milliseconds. */

static uint64_t again_ms;

static struct worker_load idle(uint64_t mean_ms, uint64_t idle_mean_ms)
{
    return (struct worker_load){ .ready = true,
                                 .mean_ns = mean_ms * MS,
                                 .idle_mean_ns = { [1] = idle_mean_ms * MS } };
}

static struct worker_load busy(uint64_t mean_ms, bool at_idle_job)
{
    return (struct worker_load){
        .ready = true, .jobs = 1, .idle = at_idle_job, .work_ns = 1, .mean_ns = mean_ms * MS
    };
}

/* An idle job of model 1. */
static size_t choose(const struct worker_load *loads, size_t count,
                     const struct idle_forecast *forecast, uint64_t now_ms)
{
    uint64_t again_ns;
    size_t chosen = idle_choose(loads, count, 1, forecast, now_ms * MS, &again_ns);
    again_ms = again_ns / MS;
    return chosen;
}

/* Streams whose last picture came at last_ms[i], with interval_ms[i] between two. */
static struct idle_forecast look(const uint64_t *last_ms, const uint64_t *interval_ms, size_t count,
                                 uint64_t now_ms)
{
    struct idle_forecast forecast;
    idle_forecast_init(&forecast);
    for (size_t i = 0; i < count; i++)
        idle_forecast_add(&forecast,
                          &(struct idle_arrivals){ .last_ns = last_ms[i] * MS,
                                                   .interval_ns = interval_ms[i] * MS },
                          now_ms * MS);
    return forecast;
}

static struct idle_forecast look_at_one(uint64_t last_ms, uint64_t interval_ms, uint64_t now_ms)
{
    return look(&last_ms, &interval_ms, 1, now_ms);
}

static void test_interval_is_learnt(void **state)
{
    (void)state;
    struct idle_arrivals arrivals = { 0 };
    uint64_t now_ms = 5000;
    idle_note_arrival(&arrivals, now_ms * MS);
    assert_int_equal(arrivals.interval_ns, 0);
    for (int i = 0; i < 9; i++)
        idle_note_arrival(&arrivals, (now_ms += 40) * MS);
    assert_int_equal(arrivals.interval_ns, 40 * MS);
    assert_int_equal(arrivals.last_ns, now_ms * MS);
    for (int i = 0; i < 60; i++)
        idle_note_arrival(&arrivals, (now_ms += 200) * MS); /* it sends fewer */
    assert_in_range(arrivals.interval_ns, 195 * MS, 200 * MS);
    idle_note_arrival(&arrivals, (now_ms += 8 * 201) * MS); /* a silence is no interval */
    assert_int_equal(arrivals.interval_ns, 0);
    for (int i = 0; i < 100; i++)
        idle_note_arrival(&arrivals, (now_ms += i % 2 ? 78 : 2) * MS); /* they come in pairs */
    assert_in_range(arrivals.interval_ns, 30 * MS, 50 * MS);
    idle_note_arrival(&arrivals, (now_ms += 1001) * MS);
    assert_int_equal(arrivals.interval_ns, 0);
    idle_note_arrival(&arrivals, (now_ms += 10001) * MS);
    assert_int_equal(arrivals.interval_ns, 0);
    idle_note_arrival(&arrivals, (now_ms + 10000) * MS);
    assert_int_equal(arrivals.interval_ns, 10000 * MS);
}

static void test_forecast_takes_the_first(void **state)
{
    (void)state;
    struct idle_forecast nothing = look(NULL, NULL, 0, 1000);
    assert_true(nothing.next_ns == UINT64_MAX && nothing.silent_ns == UINT64_MAX);
    assert_true(nothing.rate_hz == 0);
    struct idle_forecast unused = look_at_one(0, 0, 500); /* open, but no picture yet */
    assert_memory_equal(&unused, &nothing, sizeof unused);

    const uint64_t last_ms[] = { 900, 980, 1000 }, interval_ms[] = { 800, 160, 400 };
    struct idle_forecast three = look(last_ms, interval_ms, 3, 1010);
    assert_int_equal(three.next_ns, (980 + 160 - 20) * MS);
    assert_int_equal(three.silent_ns, (980 + 8 * 160) * MS);
    assert_true(three.rate_hz > 9.99 && three.rate_hz < 10.01);        /* 1.25, 6.25 and 2.5 */
    assert_int_equal(look_at_one(1000, 160, 2279).next_ns, 1140 * MS); /* overdue, yet expected */
    assert_int_equal(look_at_one(1000, 160, 2280).next_ns, UINT64_MAX);
    assert_int_equal(look_at_one(1000, 80, 1999).next_ns, 1070 * MS); /* a second at least */
    assert_int_equal(look_at_one(1000, 80, 2000).next_ns, UINT64_MAX);

    struct idle_forecast fresh = look_at_one(1000, 0, 1001); /* at any moment, for a second */
    assert_int_equal(fresh.next_ns, 1001 * MS);
    assert_int_equal(fresh.silent_ns, 2000 * MS);
    assert_int_equal(look_at_one(1000, 0, 2000).next_ns, UINT64_MAX);
}

static void test_only_workers_without_jobs(void **state)
{
    (void)state;
    struct idle_forecast nothing = look(NULL, NULL, 0, 1000);
    struct worker_load loads[] = { busy(20, false), busy(20, true), { .ready = false } };
    assert_int_equal(choose(loads, 3, &nothing, 1000), CHOOSE_NONE);
    assert_int_equal(again_ms, 0); /* the end of a job asks */
    loads[2] = idle(0, 0);
    assert_int_equal(choose(loads, 3, &nothing, 1000), 2);
}

static void test_gap_must_be_wide_enough(void **state)
{
    (void)state;
    /* A picture each 80 ms, expected from 70 on; an idle job takes up to 50. */
    struct worker_load one[] = { idle(20, 40) };
    struct idle_forecast next = look_at_one(1000, 80, 1010);
    assert_int_equal(choose(one, 1, &next, 1020), 0);
    assert_int_equal(again_ms, 0);
    assert_int_equal(choose(one, 1, &next, 1021), CHOOSE_NONE);
    assert_int_equal(again_ms, 2000);                           /* if the stream has ended */
    assert_int_equal(choose(one, 1, &next, 1300), CHOOSE_NONE); /* overdue */
    next = look_at_one(1000, 80, again_ms);
    assert_int_equal(choose(one, 1, &next, again_ms), 0);
    /* The nearest of several decides. */
    const uint64_t last_ms[] = { 1000, 985 }, interval_ms[] = { 80, 80 };
    next = look(last_ms, interval_ms, 2, 1010);
    assert_int_equal(choose(one, 1, &next, 1010), CHOOSE_NONE);
    assert_int_equal(choose(one, 1, &next, 1005), 0);
}

static void test_unknown_time(void **state)
{
    (void)state;
    struct worker_load one[] = { idle(20, 0) };
    struct idle_forecast nothing = look(NULL, NULL, 0, 11000);
    assert_int_equal(choose(one, 1, &nothing, 1000), 0); /* nobody is there to wait */
    struct idle_forecast next = look_at_one(10980, 2000, 10990);
    assert_int_equal(choose(one, 1, &next, 10999), CHOOSE_NONE);
    assert_int_equal(again_ms, 10980 + 8 * 2000);
    one[0].idle_mean_ns[0] = 5 * MS; /* another model's is no help */
    assert_int_equal(choose(one, 1, &next, 10999), CHOOSE_NONE);
    one[0].idle_mean_ns[1] = 5 * MS;
    assert_int_equal(choose(one, 1, &next, 10999), 0);
}

static void test_others_stand_in(void **state)
{
    (void)state;
    struct idle_forecast next = look_at_one(1000, 40, 1010); /* 25 a second */
    struct worker_load two[] = { idle(20, 500), idle(10, 0) };
    assert_int_equal(choose(two, 2, &next, 1010), 0); /* the slower one */
    two[1].mean_ns = 30 * MS; /* alone it would be at work for three quarters of the time */
    assert_int_equal(choose(two, 2, &next, 1010), 1);
    two[0].mean_ns = 30 * MS;
    assert_int_equal(choose(two, 2, &next, 1010), CHOOSE_NONE);
    assert_int_equal(again_ms, 2000);
    two[0] = idle(0, 500), two[1] = idle(0, 0); /* of unknown speed, so none to count on */
    assert_int_equal(choose(two, 2, &next, 1010), CHOOSE_NONE);

    struct worker_load three[] = { idle(20, 500), busy(10, false), busy(10, false) };
    assert_int_equal(choose(three, 3, &next, 1010), CHOOSE_NONE); /* none else is idle */
    three[2] = idle(10, 500);
    assert_int_equal(choose(three, 3, &next, 1010), 0);
    /* With an idle job in one of them, the third alone would be left. */
    three[0] = idle(10, 500), three[1] = busy(10, true), three[2] = idle(30, 500);
    assert_int_equal(choose(three, 3, &next, 1010), 2);
    three[0].mean_ns = 30 * MS;
    assert_int_equal(choose(three, 3, &next, 1010), CHOOSE_NONE);
    three[1].idle = false;
    assert_int_equal(choose(three, 3, &next, 1010), 0);
}

static void test_one_slow_job_does_not_close_the_way(void **state)
{
    (void)state;
    uint64_t mean_ns = idle_mean_ns(0, 40 * MS);
    assert_int_equal(mean_ns, 40 * MS);
    mean_ns = idle_mean_ns(mean_ns, 5000 * MS);
    assert_int_equal(mean_ns, 45 * MS);
    for (int i = 0; i < 60; i++)
        mean_ns = idle_mean_ns(mean_ns, 400 * MS); /* it has become slow */
    assert_in_range(mean_ns, 390 * MS, 400 * MS);
}

/* The played worker */

static void play_reply(int fd, enum order_kind kind, void *reply)
{
    if (orders_send(fd, kind, reply, -1, NULL))
        exit(3);
}

/* Takes its time, and finds nothing. */
static int paced_worker(int fd)
{
    static union order order;
    static struct reply_classes classes = { .count = 1, .names = "thing" };
    uint32_t model_count = 0;
    struct analysis *results = MAP_FAILED;
    int passed;
    while (orders_receive(fd, &order, &passed, NULL) == 0) {
        if (order.head.kind == ORDER_SETUP) {
            model_count = order.setup.model_count;
            results = mmap(NULL, WORKER_PICTURES_MAX * sizeof(struct analysis),
                           PROT_READ | PROT_WRITE, MAP_SHARED, passed, 0);
        }
        if (passed >= 0)
            close(passed);
        if (order.head.kind == ORDER_MODEL) {
            classes.model = order.model.index;
            classes.run_us[0] = pace_ms[order.model.index] * 1000;
            play_reply(fd, REPLY_CLASSES, &classes);
            if (order.model.index + 1 == model_count)
                play_reply(fd, REPLY_READY, &(struct reply_ready){ 0 });
        }
        if (order.head.kind == ORDER_JOB) {
            clock_sleep_until_ns(clock_now_ns() + pace_ms[order.job.model] * MS);
            memset(&results[order.job.result], 0, offsetof(struct analysis, objects));
            play_reply(fd, REPLY_DONE, &(struct reply_done){ .job = order.job.job });
        }
    }
    return 0;
}

/* The server's side */

static struct rig *open_paced(void)
{
    setenv("PACED_WORKER", "1", 1);
    struct rig *rig = rig_new((uint32_t[]){ 1, 0 });
    rig->model_count = MODELS;
    rig_open(rig);
    bool ready = rig_all_ready(rig);
    unsetenv("PACED_WORKER");
    assert_true(ready);
    return rig;
}

static uint64_t ended(struct rig *rig, const char *counter, const char *status)
{
    struct metric_label label = { "status", status };
    return metric_counter_get(metrics_counter(rig->metrics, counter, "", &label, 1));
}

static void finish(struct rig *rig)
{
    rig_close(rig, 1000);
    assert_int_equal(rig_not_once(rig), 0);
    rig_free(rig);
}

static unsigned late; /* live pictures that waited half as long as an idle job takes */

static void count_late(struct rig_stream *stream)
{
    late += stream->wait_us >= pace_ms[GOLDEN] * 1000 / 2;
}

/* A live stream's pictures every interval_ms, so many, beside as many idle jobs as there is room for up
 * to idle_count. */
static void play_live(struct rig_stream *const *live, size_t live_count, uint32_t interval_ms,
                      unsigned pictures, struct rig_stream *probes, uint64_t idle_count)
{
    struct rig *rig = probes->rig;
    uint64_t begun_ns = clock_now_ns();
    for (unsigned i = 0; i < pictures * live_count; i++) {
        uint64_t due_ns = begun_ns + i * interval_ms * MS / live_count;
        while (clock_now_ns() < due_ns)
            rig_turn(rig);
        rig_submit(live[i % live_count]);
        while (i >= 3 * live_count && probes->next < idle_count &&
               pool_stream_depth(probes->stream) < POOL_IDLE_WAITING_MAX)
            rig_submit(probes);
    }
}

static void test_idle_jobs_fill_the_gaps(void **state)
{
    (void)state;
    struct rig *rig = open_paced();
    struct rig_stream *probes = rig_add_idle_stream(rig, GOLDEN);
    struct rig_stream *live = rig_add_stream(rig);
    live->on_done = count_late;
    late = 0;
    play_live(&live, 1, INTERVAL_MS, 25, probes, UINT64_MAX);
    uint64_t beside = probes->by_status[JOB_DONE];
    print_message("%u of 25 late; %u idle jobs done beside them\n", late, (unsigned)beside);
    assert_true(late <= 5); /* by a busy machine; 10 to 12 where nothing is foreseen */
    assert_true(beside >= 10);
    finish(rig);
}

static void test_full_load_leaves_nothing(void **state)
{
    (void)state;
    struct rig *rig = open_paced();
    struct rig_stream *probes = rig_add_idle_stream(rig, GOLDEN);
    struct rig_stream *live[] = { rig_add_stream(rig), rig_add_stream(rig) };
    play_live(live, 2, 2 * pace_ms[LIVE], 12, probes, 8);
    assert_int_equal(probes->next, 8);
    assert_int_equal(probes->by_status[JOB_DONE], 0);
    /* As the streams have turned silent, nothing but the pool's timer tells that the way is free. */
    assert_true(RIG_WAIT(rig, 5000, probes->by_status[JOB_DONE] == 8));
    finish(rig);
}

/* One that fits no gap does not keep out another model's that does. */
static void test_small_ones_pass_large_ones(void **state)
{
    (void)state;
    struct rig *rig = open_paced();
    struct rig_stream *large = rig_add_idle_stream(rig, LARGE),
                      *small = rig_add_idle_stream(rig, GOLDEN);
    struct rig_stream *live = rig_add_stream(rig);
    play_live(&live, 1, INTERVAL_MS, 3, large, 0); /* from here on it is active */
    rig_submit(large);
    play_live(&live, 1, INTERVAL_MS, 12, small, 5);
    assert_int_equal(small->by_status[JOB_DONE], 5);
    assert_int_equal(large->by_status[JOB_DONE], 0);
    assert_true(RIG_WAIT(rig, 5000, large->by_status[JOB_DONE] == 1));
    finish(rig);
}

static void test_idle_jobs_are_counted_apart(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 2, 2, 0 });
    rig_open(rig);
    struct metric_gauge *waiting =
        metrics_gauge(rig->metrics, "server_pool_idle_queue_pictures", "", NULL, 0);
    struct rig_stream *probes = rig_add_idle_stream(rig, 0), *live = rig_add_stream(rig);
    for (int i = 0; i < 6; i++)
        rig_submit(probes); /* more than queue_per_stream */
    rig_submit(live);
    assert_int_equal(pool_stream_depth(probes->stream), 6);
    assert_int_equal(pool_stream_depth(live->stream), 1);
    assert_int_equal(metric_gauge_get(waiting), 6);
    assert_true(rig_all_ready(rig));
    assert_true(RIG_WAIT(rig, 5000, rig_sum(rig, JOB_DONE) == 7));
    assert_int_equal(metric_gauge_get(waiting), 0);
    assert_int_equal(rig_wrong(rig), 0);
    assert_int_equal(ended(rig, "server_pool_jobs_total", "done"), 1);
    assert_int_equal(ended(rig, "server_pool_idle_jobs_total", "done"), 6);
    assert_true(rig->pool->loads[0].idle_mean_ns[0] + rig->pool->loads[1].idle_mean_ns[0] > 0);
    /* The one live picture was with one worker; the other one knows no live picture's time. */
    assert_true(rig->pool->loads[0].mean_ns == 0 || rig->pool->loads[1].mean_ns == 0);
    finish(rig);
}

/* Without a picture waiting or at work, an idle stream keeps no worker's memory mapped. */
static void test_memory_is_left(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 2, 0 });
    rig_open(rig);
    struct rig_stream *probes = rig_add_idle_stream(rig, 0);
    for (uint64_t i = 0; i < 3; i++) {
        rig_submit(probes);
        assert_int_not_equal(rig->pool->share.slots[0].id, 0);
        assert_true(RIG_WAIT(rig, 5000, probes->told[i] == 1));
        assert_int_equal(rig->pool->share.slots[0].id, 0);
    }
    assert_int_equal(probes->by_status[JOB_DONE], 3);
    finish(rig);
}

static void test_too_many_are_refused(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 2, 0 });
    rig_open(rig);
    struct rig_stream *a = rig_add_idle_stream(rig, 0), *b = rig_add_idle_stream(rig, 0);
    struct rig_stream *live = rig_add_stream(rig);
    struct error err;
    for (unsigned i = 0; i < POOL_IDLE_WAITING_MAX; i++)
        rig_submit(i % 2 ? a : b); /* no worker is ready yet */
    assert_int_equal(rig_submit_from(a, rig->pictures, &err), -ERROR_AGAIN);
    assert_non_null(strstr(err.text, "8 pictures wait for an idle worker already"));
    assert_int_equal(pool_stream_depth(a->stream), POOL_IDLE_WAITING_MAX / 2);
    rig_submit(live);
    rig_submit(live);
    assert_int_equal(live->by_status[JOB_DROPPED_QUEUE], 0);
    assert_true(RIG_WAIT(rig, 10000, pool_stream_depth(a->stream) < POOL_IDLE_WAITING_MAX / 2));
    rig_submit(a);
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == POOL_IDLE_WAITING_MAX + 3));
    assert_int_equal(ended(rig, "server_pool_idle_jobs_total", "dropped_queue"), 0);
    finish(rig);
}

static void test_lost_worker(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 100, 0 });
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *probes = rig_add_idle_stream(rig, 0);
    rig_submit(probes);
    rig_submit(probes);
    assert_int_equal(pool_stream_depth(probes->stream), 1); /* never two inside */
    kill(rig_pid(rig, 0), SIGKILL);
    assert_true(RIG_WAIT(rig, 5000, probes->told[0] && probes->told[1]));
    assert_int_equal(probes->by_status[JOB_DONE], 2); /* by its successor */
    assert_int_equal(rig_wrong(rig), 0);
    finish(rig);

    rig = rig_new((uint32_t[]){ 60000, 0 });
    rig->config.hang_ms = 100;
    rig_open(rig);
    probes = rig_add_idle_stream(rig, 0);
    rig_submit(probes);
    assert_true(RIG_WAIT(rig, 5000, probes->told[0] == 1));
    assert_int_equal(probes->status[0], JOB_DROPPED_WORKER);
    assert_int_equal(ended(rig, "server_pool_idle_jobs_total", "dropped_worker"), 1);
    assert_int_equal(ended(rig, "server_pool_jobs_total", "dropped_worker"), 0);
    finish(rig);
}

static void test_closed_with_jobs_waiting(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 100, 0 });
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *a = rig_add_idle_stream(rig, 0), *b = rig_add_idle_stream(rig, 0);
    for (int i = 0; i < 3; i++) {
        rig_submit(a);
        rig_submit(b);
    }
    pool_stream_close(&a->stream);
    assert_int_equal(a->by_status[JOB_DROPPED_CLOSED], 3); /* at once, also what was at work */
    assert_int_equal(pool_stream_depth(b->stream), 3);
    assert_true(RIG_WAIT(rig, 5000, b->told[0] == 1));
    assert_int_equal(b->status[0], JOB_DONE);
    rig_close(rig, 1000);
    assert_int_equal(b->by_status[JOB_DROPPED_CLOSED], 2);
    assert_int_equal(rig_not_once(rig), 0);
    rig_free(rig);
}

static struct worker_load seen; /* as the first live picture was done, and the next one begun */

static void note_load(struct rig_stream *stream)
{
    if (stream->by_status[JOB_DONE] == 1)
        seen = stream->rig->pool->loads[0];
}

static void test_load_tells_what_is_at_work(void **state)
{
    (void)state;
    struct rig *rig = open_paced();
    struct rig_stream *probes = rig_add_idle_stream(rig, GOLDEN), *live = rig_add_stream(rig);
    const struct worker_load *load = &rig->pool->loads[0];
    assert_int_equal(load->mean_ns, 0);
    assert_int_equal(load->idle_mean_ns[GOLDEN], pace_ms[GOLDEN] * MS); /* as its worker said */
    assert_int_equal(load->idle_mean_ns[LARGE], pace_ms[LARGE] * MS);
    rig_submit(probes);
    assert_true(load->jobs == 1 && load->idle);
    assert_int_equal(load->work_ns, load->idle_mean_ns[GOLDEN]);
    live->on_done = note_load;
    rig_submit(live);
    rig_submit(live);
    assert_int_equal(load->jobs, 1);
    assert_true(RIG_WAIT(rig, 2000, live->told[1]));
    assert_true(seen.jobs == 1 && !seen.idle);
    assert_int_equal(seen.work_ns, seen.mean_ns);
    assert_true(seen.mean_ns >= pace_ms[LIVE] * MS);
    finish(rig);
}

static void test_in_turn(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 20, 20, 0 });
    rig->config.round_robin = true;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *live = rig_add_stream(rig), *probes = rig_add_idle_stream(rig, 0);
    rig_submit(live);
    rig_submit(probes);
    rig_submit(probes);
    assert_int_equal(pool_stream_depth(probes->stream), 1); /* one went to the worker without jobs */
    assert_true(rig->pool->loads[1].idle);
    assert_true(RIG_WAIT(rig, 5000, rig_sum(rig, JOB_DONE) == 3));
    finish(rig);

    /* The second worker is soon without jobs, but the fifth live picture waits for the first one. */
    rig = rig_new((uint32_t[]){ 300, 10, 0 });
    rig->config.round_robin = true;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    live = rig_add_stream(rig), probes = rig_add_idle_stream(rig, 0);
    for (int i = 0; i < 5; i++)
        rig_submit(live);
    assert_true(RIG_WAIT(rig, 2000, rig->pool->loads[1].jobs == 0));
    rig_submit(probes);
    assert_int_equal(pool_stream_depth(live->stream), 1);
    assert_int_equal(pool_stream_depth(probes->stream), 1);
    assert_true(RIG_WAIT(rig, 5000, rig_sum(rig, JOB_DONE) == 6));
    finish(rig);
}

int main(int argc, char **argv)
{
    if (getenv("PACED_WORKER") && argc == 4 && strcmp(argv[1], "worker") == 0)
        return paced_worker(atoi(argv[3]));
    int status;
    if (rig_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_is_learnt),
        cmocka_unit_test(test_forecast_takes_the_first),
        cmocka_unit_test(test_only_workers_without_jobs),
        cmocka_unit_test(test_gap_must_be_wide_enough),
        cmocka_unit_test(test_unknown_time),
        cmocka_unit_test(test_others_stand_in),
        cmocka_unit_test(test_one_slow_job_does_not_close_the_way),
        cmocka_unit_test(test_idle_jobs_fill_the_gaps),
        cmocka_unit_test(test_full_load_leaves_nothing),
        cmocka_unit_test(test_small_ones_pass_large_ones),
        cmocka_unit_test(test_idle_jobs_are_counted_apart),
        cmocka_unit_test(test_memory_is_left),
        cmocka_unit_test(test_too_many_are_refused),
        cmocka_unit_test(test_lost_worker),
        cmocka_unit_test(test_closed_with_jobs_waiting),
        cmocka_unit_test(test_load_tells_what_is_at_work),
        cmocka_unit_test(test_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
