/* Proves with real worker processes (simulated devices; this program is its own worker) that every
 * ticket is told exactly once and with the analysis of its own picture, whatever happens to workers,
 * streams and pool in between, that the workers' speeds add up, that streams share fairly, and that
 * nothing is left open. */
#include "pool_rig.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <cmocka.h>

static uint64_t total_done(struct rig *rig)
{
    return rig_sum(rig, JOB_DONE);
}

static double restarts(struct rig *rig, const char *worker, const char *reason)
{
    struct metric_label labels[] = { { "worker", worker }, { "reason", reason } };
    return (double)metric_counter_get(
        metrics_counter(rig->metrics, "server_worker_restarts_total", "", labels, 2));
}

static void test_analyses_belong_to_their_pictures(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 1, 1, 0 });
    rig_open(rig);
    char reason[512];
    assert_int_equal(pool_ready(rig->pool, reason, sizeof reason), 0);
    assert_non_null(strstr(reason, "worker simulated-0 is starting"));
    assert_non_null(strstr(reason, "; worker simulated-1 is starting"));
    assert_null(pool_class_name(rig->pool, 0, 0));
    assert_true(rig_all_ready(rig));
    assert_int_equal(pool_ready(rig->pool, reason, sizeof reason), 2);
    assert_string_equal(reason, "");
    assert_true(rig->changes >= 2);
    assert_string_equal(pool_class_name(rig->pool, 0, 3), "bottom-right");
    assert_null(pool_class_name(rig->pool, 0, 4));
    assert_null(pool_class_name(rig->pool, 1, 0));
    assert_int_equal(pool_model_count(rig->pool), 1);

    struct rig_stream *a = rig_add_stream(rig), *b = rig_add_stream(rig);
    for (int i = 0; i < 200; i++) {
        rig_submit(a);
        rig_submit(b);
        assert_true(RIG_WAIT(
            rig, 1000, pool_stream_depth(a->stream) == 0 && pool_stream_depth(b->stream) == 0));
    }
    assert_true(RIG_WAIT(rig, 2000, total_done(rig) == 400));
    assert_int_equal(rig_wrong(rig), 0);
    assert_int_equal(rig_not_once(rig), 0);
    rig_close(rig, 1000);
    rig_free(rig);
}

static void test_oldest_is_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 5, 0 });
    rig_open(rig);
    struct rig_stream *stream = rig_add_stream(rig), *other = rig_add_stream(rig);
    rig_submit(other);
    for (int i = 0; i < 5; i++)
        rig_submit(stream); /* no worker is ready yet */
    assert_int_equal(pool_stream_depth(stream->stream), 2);
    assert_int_equal(stream->by_status[JOB_DROPPED_QUEUE], 3);
    for (int i = 0; i < 5; i++)
        assert_int_equal(stream->told[i], i < 3);
    assert_string_equal(stream->reason, "a newer picture took its place");
    assert_int_equal(pool_stream_depth(other->stream), 1); /* its neighbour's haste costs it nothing */
    assert_true(RIG_WAIT(rig, 5000, total_done(rig) == 3));
    assert_int_equal(rig_not_once(rig), 0);
    assert_true(stream->wait_us > 0);
    rig_close(rig, 1000);
    rig_free(rig);
}

/* Keeps every stream's queue full for ms; gives pictures done per second. */
static double flood(struct rig *rig, uint32_t ms)
{
    uint64_t begun_ns = clock_now_ns(), before = total_done(rig);
    uint64_t until_ns = begun_ns + ms * CLOCK_NS_PER_MS;
    while (clock_now_ns() < until_ns) {
        for (size_t i = 0; i < rig->stream_count; i++)
            if (rig->streams[i].next < RIG_TICKETS_MAX)
                rig_submit(&rig->streams[i]);
        rig_turn(rig);
    }
    return (double)(total_done(rig) - before) /
           ((double)(clock_now_ns() - begun_ns) / CLOCK_NS_PER_S);
}

/* Floods for ms; parts: pictures given to each worker, busy: each one's part of the time with one. */
static void flood_three(struct rig *rig, uint32_t ms, double parts[3], double busy[3])
{
    const struct worker_link *workers = rig->pool->workers;
    double rate = flood(rig, ms);
    for (int i = 0; i < 3; i++) {
        parts[i] = (double)workers[i].given;
        busy[i] = (double)metric_counter_get(workers[i].busy_us) / (1000.0 * ms);
    }
    print_message("%.1f of 43.8 pictures a second: %.0f, %.0f, %.0f; busy %.2f, %.2f, %.2f\n", rate,
                  parts[0], parts[1], parts[2], busy[0], busy[1], busy[2]);
}

/* By their parts: how many there are a second is also the machine's. */
static void test_speeds_add_up(void **state)
{
    (void)state;
    double parts[3], busy[3];
    struct rig *rig = rig_new((uint32_t[]){ 40, 80, 160, 0 });
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    rig_add_stream(rig);
    rig_add_stream(rig);
    flood_three(rig, 3000, parts, busy);
    assert_true(parts[0] > 1.3 * parts[1] && parts[1] > 1.3 * parts[2] && parts[2] > 0.1 * parts[0]);
    for (int i = 0; i < 3; i++)
        assert_true(busy[i] > 0.9);
    rig_close(rig, 1000);
    assert_int_equal(rig_not_once(rig), 0);
    assert_int_equal(rig_wrong(rig), 0);
    rig_free(rig);

    /* Strictly in turn, all are as slow as the slowest. */
    rig = rig_new((uint32_t[]){ 40, 80, 160, 0 });
    rig->config.round_robin = true;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    rig_add_stream(rig);
    flood_three(rig, 1600, parts, busy);
    assert_true(parts[0] <= parts[2] + 1 && parts[2] <= parts[0] + 1);
    assert_true(busy[0] < 0.6 * busy[2]);
    rig_close(rig, 1000);
    rig_free(rig);
}

static void test_streams_share_fairly(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 2, 3, 0 });
    rig->config.queue_per_stream = 8;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    for (int i = 0; i < 16; i++)
        rig_add_stream(rig);
    /* Stream i submits in every (i % 4 + 1)th turn, and all want more than there is. */
    for (unsigned turn = 0; total_done(rig) < 320; turn++) {
        for (unsigned i = 0; i < 16; i++)
            if (turn % (i % 4 + 1) == 0 && rig->streams[i].next < RIG_TICKETS_MAX)
                rig_submit(&rig->streams[i]);
        rig_turn(rig);
    }
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < 16; i++) {
        double done = (double)rig->streams[i].by_status[JOB_DONE];
        sum += done;
        squares += done * done;
    }
    double jain = sum * sum / (16 * squares);
    print_message("Jain's index %.4f\n", jain);
    assert_true(jain >= 0.98);
    rig_close(rig, 1000);
    assert_int_equal(rig_not_once(rig), 0);
    rig_free(rig);
}

static void test_lost_workers_come_back(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 5, 5, 5, 0 });
    rig->config.hang_ms = 1000; /* above the pauses of a busy machine */
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    rig_add_stream(rig);
    rig_add_stream(rig);
    pid_t killed = rig_pid(rig, 0), stopped = rig_pid(rig, 1);
    flood(rig, 100);
    kill(killed, SIGKILL);
    kill(stopped, SIGSTOP);
    for (int i = 0; i < 500 && (restarts(rig, "simulated-1", "hang") < 1 || rig_ready(rig) < 3); i++)
        flood(rig, 20);
    assert_int_equal(rig_ready(rig), 3);
    assert_true(rig_pid(rig, 0) != killed && rig_pid(rig, 1) != stopped);
    assert_true(restarts(rig, "simulated-0", "exit") == 1);
    assert_true(restarts(rig, "simulated-1", "hang") == 1);
    assert_true(restarts(rig, "simulated-2", "exit") == 0);
    uint64_t before = rig->pool->workers[1].given;
    flood(rig, 100);
    assert_true(rig->pool->workers[1].given > before); /* it works again */
    rig_close(rig, 1000);
    assert_int_equal(rig_not_once(rig), 0);
    assert_int_equal(rig_wrong(rig), 0);
    assert_int_equal(rig_sum(rig, JOB_DROPPED_WORKER), 0); /* others took over */
    rig_free(rig);
}

/* A picture over which two workers were lost is not tried again. */
static void test_tries_are_bounded(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 60000, 0 });
    rig->config.hang_ms = 100;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *stream = rig_add_stream(rig);
    rig_submit(stream);
    rig_submit(stream);
    assert_true(RIG_WAIT(rig, 5000, stream->told[0] == 1));
    assert_int_equal(stream->status[0], JOB_DROPPED_WORKER);
    assert_non_null(strstr(stream->reason, "2 workers were lost over it"));
    assert_non_null(strstr(stream->reason, "no answer within 100 ms"));
    assert_int_equal(stream->told[1], 0); /* it was never at work */
    rig_close(rig, 0);
    assert_int_equal(stream->status[1], JOB_DROPPED_CLOSED);
    assert_int_equal(rig_not_once(rig), 0);
    rig_free(rig);
}

static size_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    size_t count = 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void test_close_with_jobs_inside(void **state)
{
    (void)state;
    size_t before = count_descriptors();
    struct rig *rig = rig_new((uint32_t[]){ 100, 100, 0 });
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *a = rig_add_stream(rig), *b = rig_add_stream(rig);
    for (int i = 0; i < 3; i++) {
        rig_submit(a);
        rig_submit(b);
    }
    rig_turn(rig);
    pool_stream_close(&a->stream);
    assert_null(a->stream);
    assert_int_equal(a->by_status[JOB_DROPPED_CLOSED], 3); /* at once, also what was at work */
    pool_stream_close(&a->stream);                         /* takes NULL */
    uint64_t took_ms = rig_close(rig, 2000);
    assert_int_equal(b->by_status[JOB_DROPPED_CLOSED], 3);
    assert_int_equal(rig_not_once(rig), 0);
    assert_true(took_ms >= 20 && took_ms < 1000); /* present work is finished, no more */
    rig_free(rig);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(count_descriptors(), before);
}

static void test_close_kills_after_grace(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 60000, 10, 0 });
    rig->config.hang_ms = 100000;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *stream = rig_add_stream(rig);
    rig_submit(stream);
    rig_submit(stream);
    rig_turn(rig);
    pid_t pid = rig_pid(rig, 0);
    uint64_t took_ms = rig_close(rig, 150);
    assert_true(took_ms >= 140 && took_ms < 2000);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(rig_not_once(rig), 0);
    rig_free(rig);
}

static void test_close_while_starting(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 10, 10, 0 });
    rig_open(rig);
    rig_submit(rig_add_stream(rig));
    assert_true(rig_close(rig, 5000) < 1000);
    assert_int_equal(rig_not_once(rig), 0);
    rig_free(rig);
}

static void close_stream(struct rig_stream *stream)
{
    pool_stream_close(&stream->stream);
}

static void close_pool(struct rig_stream *stream)
{
    stream->stream = NULL;
    if (stream->rig->pool)
        pool_close(&stream->rig->pool, 100, rig_closed, stream->rig);
}

static void submit_again(struct rig_stream *stream)
{
    struct error err;
    if (stream->next < 50 && rig_submit_from(stream, stream->rig->pictures, &err))
        assert_int_equal(err.code, ERROR_END);
}

static void test_callbacks_may_close(void **state)
{
    (void)state;
    void (*const actions[])(struct rig_stream *) = { close_stream, close_pool, submit_again };
    for (size_t action = 0; action < 3; action++)
        for (int dropped = 0; dropped < 2; dropped++) {
            struct rig *rig = rig_new((uint32_t[]){ 2, 2, 0 });
            rig_open(rig);
            struct rig_stream *other = rig_add_stream(rig), *stream = rig_add_stream(rig);
            stream->on_done = actions[action];
            if (!dropped)
                assert_true(rig_all_ready(rig));
            rig_submit(other);
            /* Not ready: the third drops the first, from inside pool_submit. */
            for (int i = 0; i < 3 && stream->stream; i++)
                rig_submit(stream);
            assert_true(RIG_WAIT(rig, 2000, stream->told[0] == 1));
            for (int i = 0; i < 20; i++)
                rig_turn(rig);
            rig_close(rig, 1000);
            assert_int_equal(rig_not_once(rig), 0);
            assert_int_equal(rig_wrong(rig), 0);
            rig_free(rig);
        }
}

/* As many models with networks of as long names as can be are more than a socket holds at once. */
static void test_many_models(void **state)
{
    (void)state;
    static char path[ORDER_PATH_BYTES], *paths[POOL_NETWORKS_MAX];
    struct pool_model models[POOL_MODELS_MAX];
    memset(path, 'n', sizeof path - 1);
    for (size_t i = 0; i < POOL_NETWORKS_MAX; i++)
        paths[i] = path;
    for (size_t i = 0; i < POOL_MODELS_MAX; i++)
        models[i] = (struct pool_model){ .name = "any",
                                         .folder = path,
                                         .networks = { paths, POOL_NETWORKS_MAX } };
    struct rig *rig = rig_new((uint32_t[]){ 1, 0 });
    struct error err;
    assert_int_equal(pool_open(&rig->pool, &rig->loop, &rig->config, models, POOL_MODELS_MAX,
                               rig->metrics, rig_program, &err),
                     0);
    assert_true(rig_all_ready(rig));
    assert_string_equal(pool_class_name(rig->pool, POOL_MODELS_MAX - 1, 0), "top-left");
    struct rig_stream *stream = rig_add_stream(rig);
    rig_submit(stream);
    assert_true(RIG_WAIT(rig, 2000, stream->told[0] == 1));
    assert_string_equal(stream->restored, ""); /* the simulated device does not */
    rig_close(rig, 1000);

    models[0].networks.count++;
    assert_int_equal(
        pool_open(&rig->pool, &rig->loop, &rig->config, models, 1, rig->metrics, rig_program, &err),
        -ERROR_LIMIT);
    rig_free(rig);
}

static void test_private_pictures_are_refused(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 10, 0 });
    rig_open(rig);
    struct rig_stream *stream = rig_add_stream(rig);
    struct picture *picture;
    struct error err;
    assert_int_equal(picture_create(&picture, 64, 48, &err), 0);
    assert_int_equal(pool_submit(stream->stream, 0, picture, (struct camera_size){ 64, 48 }, &err),
                     -ERROR_UNSUPPORTED);
    picture_unref(&picture);
    assert_int_equal(pool_stream_depth(stream->stream), 0);
    rig_close(rig, 100);
    rig_free(rig);
}

/* Picture pools that a worker has mapped, as the kernel sees it. */
static unsigned count_mappings(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    assert_non_null(maps);
    unsigned count = 0;
    while (fgets(line, sizeof line, maps))
        count += strstr(line, "runespoor-pictures") != NULL;
    fclose(maps);
    return count;
}

static void test_picture_pools_come_and_go(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 1, 0 });
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *a = rig_add_stream(rig), *b = rig_add_stream(rig);
    rig_submit(b);
    assert_true(RIG_WAIT(rig, 1000, total_done(rig) == 1));
    assert_int_equal(count_mappings(rig_pid(rig, 0)), 1);
    for (uint32_t i = 0; i < 20; i++) { /* the stream changes its picture size again and again */
        struct picture_pool *pictures;
        assert_int_equal(picture_pool_create(&pictures, 2 * i + 1, 41 - 2 * i, 2, NULL), 0);
        assert_int_equal(rig_submit_from(a, pictures, NULL), 0);
        picture_pool_release(&pictures);
        assert_true(RIG_WAIT(rig, 1000, total_done(rig) == i + 2));
    }
    assert_int_equal(rig_wrong(rig), 0);
    assert_int_equal(count_mappings(rig_pid(rig, 0)), 2);
    pool_stream_close(&a->stream);
    rig_submit(b); /* the order to forget goes before this one */
    assert_true(RIG_WAIT(rig, 1000, total_done(rig) == 22));
    assert_int_equal(count_mappings(rig_pid(rig, 0)), 1);
    rig_close(rig, 100);
    rig_free(rig);
}

static void test_signals_to_the_group(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 10, 0 });
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *stream = rig_add_stream(rig);
    kill(rig_pid(rig, 0), SIGINT);
    kill(rig_pid(rig, 0), SIGTERM);
    rig_submit(stream);
    assert_true(RIG_WAIT(rig, 1000, total_done(rig) == 1));
    rig_close(rig, 100);
    rig_free(rig);
}

static void test_names_and_limits(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 10, 10, 0 });
    struct error err;
    rig->devices[0].name = rig->devices[1].name = "twin";
    assert_int_equal(rig_open_error(rig, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "twin"));
    rig->closed = true;
    rig_free(rig);
}

int main(int argc, char **argv)
{
    int status;
    if (rig_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_analyses_belong_to_their_pictures),
        cmocka_unit_test(test_oldest_is_dropped),
        cmocka_unit_test(test_speeds_add_up),
        cmocka_unit_test(test_streams_share_fairly),
        cmocka_unit_test(test_lost_workers_come_back),
        cmocka_unit_test(test_tries_are_bounded),
        cmocka_unit_test(test_close_with_jobs_inside),
        cmocka_unit_test(test_close_kills_after_grace),
        cmocka_unit_test(test_close_while_starting),
        cmocka_unit_test(test_callbacks_may_close),
        cmocka_unit_test(test_many_models),
        cmocka_unit_test(test_private_pictures_are_refused),
        cmocka_unit_test(test_picture_pools_come_and_go),
        cmocka_unit_test(test_signals_to_the_group),
        cmocka_unit_test(test_names_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
