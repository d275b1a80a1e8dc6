/* pool_rig: a pool with streams inside a loop that a test turns by hand. The program is its own
 * worker: main() calls rig_is_worker first. */
#ifndef RUNESPOOR_TESTS_POOL_RIG_H
#define RUNESPOOR_TESTS_POOL_RIG_H

#include "base/clock.h"
#include "devices/pool_parts.h"
#include "devices/runner.h"
#include "devices/worker.h"
#include "../../patience.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RIG_WORKERS_MAX 4u
#define RIG_STREAMS_MAX 20u
#define RIG_TICKETS_MAX 4096u
#define RIG_WIDTH 64u
#define RIG_HEIGHT 48u

struct rig;

struct rig_stream {
    struct rig *rig;
    struct pool_stream *stream;
    uint64_t next;                   /* ticket */
    uint8_t told[RIG_TICKETS_MAX];   /* how often */
    uint8_t status[RIG_TICKETS_MAX]; /* the last one's */
    uint64_t by_status[JOB_FAILED + 1];
    uint64_t wrong;                             /* analyses that are not of their picture */
    uint32_t wait_us;                           /* of the last one */
    char reason[256];                           /* of the last one */
    char restored[64];                          /* of the last one that was done */
    void (*on_done)(struct rig_stream *stream); /* NULL, or called at the end of each */
};

struct rig {
    uv_loop_t loop;
    uv_timer_t tick; /* turns the loop while nothing happens */
    struct metrics *metrics;
    struct pool *pool;
    struct picture_pool *pictures;
    struct device_config devices[RIG_WORKERS_MAX];
    struct pool_config config;
    size_t model_count; /* of rig_models; 1 */
    struct rig_stream streams[RIG_STREAMS_MAX];
    size_t stream_count;
    unsigned changes;
    struct error fatal; /* of on_change; code 0: none */
    bool closed;
};

static char rig_program[4096];

static const struct pool_model rig_models[] = {
    { .name = "any", .folder = "nowhere" },
    { .name = "golden", .folder = "nowhere" },
    { .name = "large", .folder = "nowhere" },
};

/* Pixels that tell stream and ticket. */
static inline void rig_paint(struct picture *picture, uint32_t stream, uint64_t ticket)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    for (uint32_t y = 0; y < view.height; y++)
        for (uint32_t x = 0; x < view.width; x++) {
            uint32_t quadrant = (y >= view.height / 2 ? 2u : 0u) + (x >= view.width / 2 ? 1u : 0u);
            uint8_t value[4] = { (uint8_t)ticket, (uint8_t)(ticket >> 8), (uint8_t)(10 * stream),
                                 (uint8_t)(37 * ticket + stream) };
            view.plane[0][(size_t)y * view.stride[0] + x] = value[quadrant];
        }
}

static inline void rig_done(void *arg, uint64_t ticket, struct picture *picture,
                            const struct job_result *result)
{
    struct rig_stream *stream = arg;
    assert(ticket < stream->next && ticket < RIG_TICKETS_MAX);
    assert((result->status == JOB_DONE) == (result->analysis != NULL));
    assert((result->status == JOB_DONE) == (result->reason[0] == '\0'));
    stream->told[ticket]++;
    stream->status[ticket] = (uint8_t)result->status;
    stream->by_status[result->status]++;
    stream->wait_us = result->wait_us;
    snprintf(stream->reason, sizeof stream->reason, "%s", result->reason);
    if (result->status == JOB_DONE) {
        snprintf(stream->restored, sizeof stream->restored, "%s", result->restored);
        struct analysis expected;
        struct picture_view view;
        picture_get_view(picture, &view);
        simulated_analyse(&view, &expected);
        const struct analysis_object *is = &result->analysis->objects[0];
        const struct analysis_object *should = &expected.objects[0];
        stream->wrong += result->analysis->object_count != 1 || is->class_id != should->class_id ||
                         is->confidence != should->confidence || is->x != should->x ||
                         is->y != should->y || is->width != should->width ||
                         is->height != should->height;
    }
    if (stream->on_done)
        stream->on_done(stream);
}

static inline void rig_change(void *arg, const struct error *fatal)
{
    struct rig *rig = arg;
    rig->changes++;
    if (fatal)
        rig->fatal = *fatal;
}

static inline void rig_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Simulated workers with these service times; service_ms ends with 0. */
static inline struct rig *rig_new(const uint32_t *service_ms)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert(rig);
    rig->config = (struct pool_config){
        .devices.items = rig->devices, .hang_ms = 2000, .start_ms = 5000, .queue_per_stream = 2
    };
    rig->model_count = 1;
    for (; service_ms[rig->config.devices.count]; rig->config.devices.count++)
        rig->devices[rig->config.devices.count] = (struct device_config){
            .name = "", .kind = DEVICE_SIMULATED, .service_ms = service_ms[rig->config.devices.count]
        };
    int failed = uv_loop_init(&rig->loop) | uv_timer_init(&rig->loop, &rig->tick) |
                 uv_timer_start(&rig->tick, rig_tick, 1, 1) | metrics_create(&rig->metrics, NULL) |
                 picture_pool_create(&rig->pictures, RIG_WIDTH, RIG_HEIGHT, 200, NULL);
    assert(!failed);
    return rig;
}

static inline int rig_open_error(struct rig *rig, struct error *err)
{
    int failed = pool_open(&rig->pool, &rig->loop, &rig->config, rig_models, rig->model_count,
                           rig->metrics, rig_program, err);
    if (!failed)
        pool_set_change(rig->pool, rig_change, rig);
    return failed;
}

static inline void rig_open(struct rig *rig)
{
    int failed = rig_open_error(rig, NULL);
    assert(!failed);
}

static inline struct rig_stream *rig_add_stream(struct rig *rig)
{
    struct rig_stream *stream = &rig->streams[rig->stream_count++];
    stream->rig = rig;
    int failed = pool_stream_open(rig->pool, &stream->stream, "test", 0, rig_done, stream, NULL);
    assert(!failed);
    return stream;
}

static inline struct rig_stream *rig_add_idle_stream(struct rig *rig, size_t model)
{
    struct rig_stream *stream = &rig->streams[rig->stream_count++];
    stream->rig = rig;
    int failed = pool_idle_open(rig->pool, &stream->stream, "probes", model, rig_done, stream, NULL);
    assert(!failed);
    return stream;
}

/* Submits the stream's next picture out of pictures. */
static inline int rig_submit_from(struct rig_stream *stream, struct picture_pool *pictures,
                                  struct error *err)
{
    struct picture *picture;
    int failed = picture_pool_take(pictures, &picture, err);
    assert(!failed);
    rig_paint(picture, (uint32_t)(stream - stream->rig->streams), stream->next);
    uint64_t ticket = stream->next++;
    failed = pool_submit(stream->stream, ticket, picture,
                         (struct camera_size){ RIG_WIDTH, RIG_HEIGHT }, err);
    stream->next -= failed != 0;
    picture_unref(&picture);
    return failed;
}

static inline void rig_submit(struct rig_stream *stream)
{
    int failed = rig_submit_from(stream, stream->rig->pictures, NULL);
    assert(!failed);
}

/* Turns the loop once; waits a millisecond at most. */
static inline void rig_turn(struct rig *rig)
{
    uv_run(&rig->loop, UV_RUN_ONCE);
}

/* Turns the loop until condition holds; false when it does not within ms (with patience). */
#define RIG_WAIT(rig, ms, condition)                                    \
    ({                                                                  \
        uint64_t rig_until = patience_until_ns(ms);                     \
        bool rig_held;                                                  \
        while (!(rig_held = (condition)) && clock_now_ns() < rig_until) \
            rig_turn(rig);                                              \
        rig_held;                                                       \
    })

static inline size_t rig_ready(struct rig *rig)
{
    return pool_ready(rig->pool, NULL, 0);
}

static inline bool rig_all_ready(struct rig *rig)
{
    return RIG_WAIT(rig, 10000, rig_ready(rig) == rig->config.devices.count);
}

static inline pid_t rig_pid(struct rig *rig, size_t worker)
{
    return rig->pool->workers[worker].child.process.pid;
}

/* Tickets of all streams that were not told, or more than once. */
static inline uint64_t rig_not_once(const struct rig *rig)
{
    uint64_t count = 0;
    for (size_t i = 0; i < rig->stream_count; i++)
        for (uint64_t ticket = 0; ticket < rig->streams[i].next; ticket++)
            count += rig->streams[i].told[ticket] != 1;
    return count;
}

static inline uint64_t rig_sum(const struct rig *rig, enum job_status status)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < rig->stream_count; i++)
        sum += rig->streams[i].by_status[status];
    return sum;
}

static inline uint64_t rig_wrong(const struct rig *rig)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < rig->stream_count; i++)
        sum += rig->streams[i].wrong;
    return sum;
}

static inline void rig_closed(void *arg)
{
    struct rig *rig = arg;
    rig->closed = true;
}

/* Closes what is open; milliseconds until the pool was gone. */
static inline uint64_t rig_close(struct rig *rig, uint32_t grace_ms)
{
    uint64_t before_ns = clock_now_ns();
    if (rig->pool)
        pool_close(&rig->pool, grace_ms, rig_closed, rig);
    bool gone = RIG_WAIT(rig, 10000, rig->closed);
    assert(gone);
    return (clock_now_ns() - before_ns) / CLOCK_NS_PER_MS;
}

static inline void rig_free(struct rig *rig)
{
    uv_close((uv_handle_t *)&rig->tick, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    int failed = uv_loop_close(&rig->loop);
    assert(!failed); /* nothing was left open */
    picture_pool_release(&rig->pictures);
    metrics_destroy(&rig->metrics);
    free(rig);
}

/* True when this process was started as a worker; then *status is its exit status. */
static inline bool rig_is_worker(int argc, char **argv, int *status)
{
    if (argc == 4 && strcmp(argv[1], "worker") == 0) {
        *status = worker_main(atoi(argv[3]));
        return true;
    }
    ssize_t length = readlink("/proc/self/exe", rig_program, sizeof rig_program - 1);
    assert(length > 0);
    return false;
}

#endif
