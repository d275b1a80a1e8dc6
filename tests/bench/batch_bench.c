/* batch_bench: what analysing pictures of many streams together does to throughput and age, on this machine's
 * processors: the real pool and one real worker process with a model of this repository. For each largest batch
 * (1, 2, 4, 8) first more pictures than it can do, then a share of what the first of them could do at a steady
 * pace: pictures a second, and the age at which 50 and 99 % of the answers are there. This program is its
 * own worker.
 *
 *     batch_bench FOLDER [STREAMS [SECONDS]] */
#include "base/clock.h"
#include "devices/pool.h"
#include "devices/worker.h"
#include "media/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAMS_MAX 64u
#define ANSWERS_MAX 65536u
#define PICTURES 256u
#define PACE 0.7 /* of what single pictures allow */
#define START_MS 300000u
#define WARM_S 1.0

struct bench {
    uv_loop_t loop;
    uv_timer_t tick;
    struct metrics *metrics;
    struct pool *pool;
    struct picture_pool *pictures;
    struct picture_view sample;
    struct pool_stream *streams[STREAMS_MAX];
    uint64_t submitted_ns[PICTURES]; /* by ticket */
    uint32_t stream_count;
    uint64_t ticket, done, lost;
    uint32_t ages_us[ANSWERS_MAX], age_count;
    bool counting, closed;
};

static struct bench bench;
static char program[4096];

static void give_up(const char *what)
{
    fprintf(stderr, "batch_bench: %s\n", what);
    exit(1);
}

static void must(int result, const struct error *err)
{
    if (result < 0)
        give_up(err->text);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_done(void *arg, uint64_t ticket, struct picture *picture,
                    const struct job_result *result)
{
    (void)arg;
    (void)picture;
    if (!bench.counting)
        return;
    bench.done += result->status == JOB_DONE;
    bench.lost += result->status != JOB_DONE;
    uint64_t age_us = (clock_now_ns() - bench.submitted_ns[ticket % PICTURES]) / 1000;
    if (result->status == JOB_DONE && bench.age_count < ANSWERS_MAX)
        bench.ages_us[bench.age_count++] = (uint32_t)age_us;
}

static void on_closed(void *arg)
{
    (void)arg;
    bench.closed = true;
}

/* The sample in memory that the worker sees; false while all of that is in use. */
static bool submit(uint32_t stream)
{
    struct picture *picture;
    struct picture_view view;
    struct error err;
    if (picture_pool_take(bench.pictures, &picture, NULL) < 0)
        return false;
    picture_get_view(picture, &view);
    for (int plane = 0; plane < 3; plane++)
        for (uint32_t y = 0; y < (plane ? (view.height + 1) / 2 : view.height); y++)
            memcpy(view.plane[plane] + (size_t)y * view.stride[plane],
                   bench.sample.plane[plane] + (size_t)y * bench.sample.stride[plane],
                   plane ? (view.width + 1) / 2 : view.width);
    bench.submitted_ns[bench.ticket % PICTURES] = clock_now_ns();
    must(pool_submit(bench.streams[stream], bench.ticket++, picture,
                     (struct camera_size){ view.width, view.height }, &err),
         &err);
    picture_unref(&picture);
    return true;
}

static void clear(bool counting)
{
    bench.done = bench.lost = bench.age_count = 0;
    bench.counting = counting;
}

/* Every stream has a picture waiting all the time. */
static double measure_rate(double seconds)
{
    uint64_t begun_ns = clock_now_ns(), until_ns = begun_ns + (uint64_t)(seconds * CLOCK_NS_PER_S);
    while (clock_now_ns() < until_ns) {
        for (uint32_t i = 0; i < bench.stream_count; i++)
            if (pool_stream_depth(bench.streams[i]) == 0)
                submit(i);
        uv_run(&bench.loop, UV_RUN_ONCE);
    }
    return (double)bench.done / ((double)(clock_now_ns() - begun_ns) / CLOCK_NS_PER_S);
}

/* Streams in turn, at so many pictures a second in all. */
static void run_at_pace(double rate_hz, double seconds)
{
    uint64_t begun_ns = clock_now_ns(), until_ns = begun_ns + (uint64_t)(seconds * CLOCK_NS_PER_S);
    uint64_t sent = 0;
    while (clock_now_ns() < until_ns) {
        double due = (double)(clock_now_ns() - begun_ns) / CLOCK_NS_PER_S * rate_hz;
        for (; (double)sent < due; sent++)
            submit((uint32_t)(sent % bench.stream_count));
        uv_run(&bench.loop, UV_RUN_ONCE);
    }
}

static int compare_ages(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

static double age_ms(double share)
{
    if (bench.age_count == 0)
        return 0;
    qsort(bench.ages_us, bench.age_count, sizeof bench.ages_us[0], compare_ages);
    return bench.ages_us[(uint32_t)(share * (bench.age_count - 1))] / 1e3;
}

static double mean_batch(uint32_t batch)
{
    double pictures = 0, batches = 0;
    char size[16];
    for (uint32_t n = 1; n <= batch; n *= 2) {
        struct metric_label labels[] = { { "worker", "cpu-0" }, { "size", size } };
        snprintf(size, sizeof size, "%u", n);
        double count = (double)metric_counter_get(
            metrics_counter(bench.metrics, "server_batches_total", "", labels, 2));
        pictures += n * count;
        batches += count;
    }
    return batches > 0 ? pictures / batches : 0;
}

static void open_pool(const char *folder, uint32_t batch)
{
    struct device_config device = { .name = "", .kind = DEVICE_CPU, .batch = batch };
    const struct pool_config config = { .devices = { .items = &device, .count = 1 },
                                        .hang_ms = START_MS,
                                        .start_ms = START_MS,
                                        .batch_wait_ms = 5,
                                        .queue_per_stream = 4 };
    const struct pool_model model = { .name = "bench", .folder = folder };
    struct error err;
    must(metrics_create(&bench.metrics, &err), &err);
    must(pool_open(&bench.pool, &bench.loop, &config, &model, 1, bench.metrics, program, &err), &err);
    for (uint32_t i = 0; i < bench.stream_count; i++)
        must(pool_stream_open(bench.pool, &bench.streams[i], "bench", 0, on_done, NULL, &err), &err);
    uint64_t until_ns = clock_now_ns() + START_MS * CLOCK_NS_PER_MS;
    while (pool_ready(bench.pool, NULL, 0) == 0 && clock_now_ns() < until_ns)
        uv_run(&bench.loop, UV_RUN_ONCE);
    if (pool_ready(bench.pool, NULL, 0) == 0)
        give_up("the worker does not become ready");
}

static void close_pool(void)
{
    clear(false);
    bench.closed = false;
    pool_close(&bench.pool, 10000, on_closed, NULL);
    while (!bench.closed)
        uv_run(&bench.loop, UV_RUN_ONCE);
    metrics_destroy(&bench.metrics);
}

static void open_bench(const char *folder)
{
    char path[4096];
    struct picture *sample;
    struct error err;
    snprintf(path, sizeof path, "%s/sample.jpg", folder);
    must(picture_read_file(&sample, path, &err), &err);
    picture_get_view(sample, &bench.sample);
    if (bench.sample.format != PIXEL_I420)
        give_up("the sample is not of three planes");
    must(picture_pool_create(&bench.pictures, bench.sample.width, bench.sample.height, PICTURES, &err),
         &err);
    if (uv_loop_init(&bench.loop) || uv_timer_init(&bench.loop, &bench.tick) ||
        uv_timer_start(&bench.tick, on_tick, 1, 1))
        give_up("no loop");
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "worker") == 0)
        return worker_main(atoi(argv[3]));
    if (argc < 2 || readlink("/proc/self/exe", program, sizeof program - 1) <= 0)
        give_up("usage: batch_bench FOLDER [STREAMS [SECONDS]]");
    bench.stream_count = argc > 2 ? (uint32_t)atoi(argv[2]) : 16;
    double seconds = argc > 3 ? atof(argv[3]) : 10, pace_hz = 0;
    if (bench.stream_count < 1 || bench.stream_count > STREAMS_MAX || !(seconds > 0))
        give_up("1 to 64 streams, and some seconds");
    open_bench(argv[1]);
    printf("%-5s %11s %11s %11s %11s %11s\n", "batch", "pictures/s", "mean batch", "pace", "50% ms",
           "99% ms");
    char last[512] = "batch:";
    for (uint32_t batch = 1; batch <= 8; batch *= 2) {
        open_pool(argv[1], batch);
        measure_rate(WARM_S);
        clear(true);
        double rate_hz = measure_rate(seconds), together = mean_batch(batch);
        if (batch == 1)
            pace_hz = PACE * rate_hz;
        clear(false);
        run_at_pace(pace_hz, WARM_S);
        clear(true);
        run_at_pace(pace_hz, seconds);
        double half_ms = age_ms(0.5), most_ms = age_ms(0.99);
        printf("%-5u %11.1f %11.2f %11.1f %11.1f %11.1f\n", batch, rate_hz, together, pace_hz,
               half_ms, most_ms);
        size_t used = strlen(last);
        snprintf(last + used, sizeof last - used, " rate%u=%.1f p99_ms%u=%.1f", batch, rate_hz,
                 batch, most_ms);
        close_pool();
    }
    printf("%s\n", last);
    return 0;
}
