/* pool_bench: how much of the workers' speed the pool makes use of, and what becomes of pictures
 * when workers fail. Worker processes of 1, 2 and 4 units (simulated devices; this program is its
 * own worker) get pictures from a source that is faster than all of them:
 *
 *   efficiency   answers per second over the sum of the workers' speeds
 *   round_robin  the same when pictures go to the workers strictly in turn
 *   lost         pictures without an answer, other than those that a newer one replaced, while one
 *                worker is stopped (SIGSTOP) and another killed (SIGKILL)
 *   reordered    answers that left the sequencer out of order; always 0, or the sequencer is broken
 *
 * Every answer is compared with what its picture's pixels give. Exit status 1 when a worker does not
 * come back, or an answer is wrong, lost or out of order. */
#include "../unit/cloud-server/pool_rig.h"
#include "devices/sequence.h"

#define UNIT_MS 20u
#define STREAMS 4u
#define WARM_MS 1000u
#define MEASURE_MS 12000u
#define TURN_MS 2u     /* every stream offers a picture this often: 2000 a second */
#define OPEN_MAX 4096u /* tickets of a stream that wait behind one in a stopped worker */
#define BACK_MS 10000u /* a failed worker serves again within this */

struct bench;

struct stream {
    struct bench *bench;
    struct pool_stream *pool;
    struct sequence *sequence;
    uint64_t expected;        /* the ticket that the sequencer has to release next */
    uint8_t status[OPEN_MAX]; /* of open tickets, by ticket % OPEN_MAX */
};

struct bench {
    struct rig *rig;
    uv_timer_t source;
    struct stream streams[STREAMS];
    uint64_t painted;
    uint64_t done, replaced, lost, reordered, wrong;
    struct metric_histogram *wait;
    bool offering;
};

static void on_released(void *arg, uint64_t ticket, void *item)
{
    (void)item;
    struct stream *stream = arg;
    struct bench *bench = stream->bench;
    bench->reordered += ticket != stream->expected++;
    enum job_status status = stream->status[ticket % OPEN_MAX];
    bench->done += status == JOB_DONE;
    bench->replaced += status == JOB_DROPPED_QUEUE;
    bench->lost += status != JOB_DONE && status != JOB_DROPPED_QUEUE &&
                   (status != JOB_DROPPED_CLOSED || bench->offering);
}

static void on_done(void *arg, uint64_t ticket, struct picture *picture,
                    const struct job_result *result)
{
    struct stream *stream = arg;
    stream->status[ticket % OPEN_MAX] = (uint8_t)result->status;
    if (result->status == JOB_DONE) {
        struct picture_view view;
        static struct analysis expected;
        picture_get_view(picture, &view);
        simulated_analyse(&view, &expected);
        stream->bench->wrong += memcmp(&expected.objects[0], &result->analysis->objects[0],
                                       sizeof expected.objects[0]) != 0;
        metric_histogram_observe_us(stream->bench->wait, result->wait_us);
    }
    sequence_finish(stream->sequence, ticket);
}

static void on_source(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    for (uint32_t i = 0; i < STREAMS && bench->offering; i++) {
        struct stream *stream = &bench->streams[i];
        struct picture *picture;
        struct error err;
        uint64_t ticket;
        if (picture_pool_take(bench->rig->pictures, &picture, &err) < 0 ||
            sequence_open(stream->sequence, NULL, &ticket, &err) < 0) {
            fprintf(stderr, "pool_bench: %s\n", err.text);
            exit(1);
        }
        rig_paint(picture, i, bench->painted++);
        if (pool_submit(stream->pool, ticket, picture, &err) < 0) {
            fprintf(stderr, "pool_bench: %s\n", err.text);
            exit(1);
        }
        picture_unref(&picture);
    }
}

static void open_bench(struct bench *bench, bool round_robin)
{
    *bench = (struct bench){ .rig = rig_new((uint32_t[]){ UNIT_MS, 2 * UNIT_MS, 4 * UNIT_MS, 0 }),
                             .offering = true };
    struct rig *rig = bench->rig;
    rig->config.round_robin = round_robin;
    rig->config.hang_ms = 1000;
    rig_open(rig);
    bench->wait = metrics_histogram(rig->metrics, "wait", "", NULL, 0);
    if (!rig_all_ready(rig)) {
        fprintf(stderr, "pool_bench: the workers do not start\n");
        exit(1);
    }
    for (uint32_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &bench->streams[i];
        stream->bench = bench;
        int failed = sequence_create(&stream->sequence, OPEN_MAX, on_released, stream, NULL) |
                     pool_stream_open(rig->pool, &stream->pool, "bench", 0, on_done, stream, NULL);
        assert(!failed);
    }
    uv_timer_init(&rig->loop, &bench->source);
    bench->source.data = bench;
    uv_timer_start(&bench->source, on_source, 0, TURN_MS);
}

static void close_bench(struct bench *bench)
{
    bench->offering = false;
    uv_close((uv_handle_t *)&bench->source, NULL);
    for (uint32_t i = 0; i < STREAMS; i++) {
        pool_stream_close(&bench->streams[i].pool);
        bench->lost += sequence_depth(bench->streams[i].sequence);
        sequence_destroy(&bench->streams[i].sequence, NULL);
    }
    rig_close(bench->rig, 1000);
    rig_free(bench->rig);
}

/* Answers in ms milliseconds over what the workers could give. */
static double measure(struct bench *bench, uint32_t ms)
{
    uint64_t before = bench->done, begun_ns = clock_now_ns();
    RIG_WAIT(bench->rig, ms, false);
    double seconds = (double)(clock_now_ns() - begun_ns) / CLOCK_NS_PER_S;
    double sum = 1000.0 / UNIT_MS * (1 + 1.0 / 2 + 1.0 / 4);
    return (double)(bench->done - before) / seconds / sum;
}

static double run_whole(bool round_robin, uint64_t *reordered)
{
    struct bench bench;
    open_bench(&bench, round_robin);
    measure(&bench, WARM_MS);
    double efficiency = measure(&bench, MEASURE_MS);
    struct metric_snapshot wait;
    metric_histogram_get(bench.wait, &wait);
    printf("%s: %.3f of the sum, wait p50 %.1f ms p99 %.1f ms, %llu answered, %llu replaced by "
           "newer\n",
           round_robin ? "in turn" : "first free", efficiency,
           metric_snapshot_quantile_us(&wait, 0.5) / 1000,
           metric_snapshot_quantile_us(&wait, 0.99) / 1000, (unsigned long long)bench.done,
           (unsigned long long)bench.replaced);
    close_bench(&bench);
    *reordered += bench.reordered;
    if (bench.wrong || bench.lost) {
        fprintf(stderr, "pool_bench: %llu wrong, %llu lost without a fault\n",
                (unsigned long long)bench.wrong, (unsigned long long)bench.lost);
        exit(1);
    }
    return efficiency;
}

static double since_ms(uint64_t begun_ns)
{
    return (double)(clock_now_ns() - begun_ns) / CLOCK_NS_PER_MS;
}

/* Worker 0 is stopped, worker 1 killed; both have to work again. */
static bool run_with_faults(uint64_t *lost, uint64_t *reordered)
{
    struct bench bench;
    open_bench(&bench, false);
    struct worker_link *workers = bench.rig->pool->workers;
    measure(&bench, WARM_MS);
    pid_t stopped = rig_pid(bench.rig, 0), killed = rig_pid(bench.rig, 1);
    uint64_t begun_ns = clock_now_ns();
    kill(stopped, SIGSTOP);
    kill(killed, SIGKILL);
    double back_ms[2] = { 0, 0 };
    uint64_t given[2] = { 0, 0 };
    /* Back is who has a new process that finished a picture. */
    while ((back_ms[0] == 0 || back_ms[1] == 0) && since_ms(begun_ns) < BACK_MS) {
        rig_turn(bench.rig);
        for (int i = 0; i < 2; i++) {
            bool renewed = worker_link_is_ready(&workers[i]) &&
                           rig_pid(bench.rig, (size_t)i) != (i == 0 ? stopped : killed);
            if (renewed && given[i] == 0)
                given[i] = workers[i].given + 1;
            else if (renewed && back_ms[i] == 0 && workers[i].given > given[i])
                back_ms[i] = since_ms(begun_ns);
        }
    }
    double after = measure(&bench, 4000);
    printf("faults: stopped one back in %.0f ms (watch %u ms), killed one in %.0f ms, then %.3f of "
           "the sum\n",
           back_ms[0], bench.rig->config.hang_ms, back_ms[1], after);
    close_bench(&bench);
    *lost = bench.lost;
    *reordered += bench.reordered;
    return back_ms[0] > 0 && back_ms[1] > 0 && bench.wrong == 0;
}

int main(int argc, char **argv)
{
    int status;
    if (rig_is_worker(argc, argv, &status))
        return status;
    uint64_t lost = 0, reordered = 0;
    double efficiency = run_whole(false, &reordered);
    double in_turn = run_whole(true, &reordered);
    bool back = run_with_faults(&lost, &reordered);
    printf("pool: efficiency=%.3f round_robin=%.3f lost=%llu reordered=%llu\n", efficiency, in_turn,
           (unsigned long long)lost, (unsigned long long)reordered);
    return back && lost == 0 && reordered == 0 ? 0 : 1;
}
