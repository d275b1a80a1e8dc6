/* pool_batch: which of the live pictures that wait go to a worker together. Around the picture whose turn it is,
 * others of the same model are gathered that one plan can analyse with it, in the order of turns. */
#include "devices/pool_parts.h"

#include "analyse/planes.h"
#include "base/clock.h"

#include <assert.h>

/* The timer that ends a wait has no finer steps. */
#define TIMER_STEP_NS CLOCK_NS_PER_MS

/* What waits and could go with the picture whose turn it is. */
struct fitting {
    uint32_t count;
    uint64_t oldest_ns; /* when the first of them came */
};

static struct fitting count_fitting(const struct pool *pool, const struct worker_link *link,
                                    const struct job *first);
static bool fits(const struct pool *pool, const struct worker_link *link, const struct job *first,
                 const struct job *job);
static bool waits(const struct pool *pool, const struct worker_link *link, size_t model,
                  const struct fitting *fitting, uint64_t *again_ns);
static uint32_t take(struct pool *pool, const struct worker_link *link, struct fair_queue *queue,
                     uint32_t count, struct job **jobs);

uint32_t pool_gather(struct pool *pool, const struct worker_link *link,
                     struct job *jobs[POOL_BATCH_MAX], uint64_t *again_ns)
{
    uint32_t models_waiting = 0; /* bit i: of model i, as those of it that were looked at */
    _Static_assert(POOL_MODELS_MAX <= 32, "a bit for each model");
    struct fair_queue *queue = fair_next(&pool->live.fair);
    for (; queue; queue = fair_after(queue)) {
        const struct job *first = TAILQ_FIRST(&queue->jobs);
        size_t model = first->stream->model;
        if (models_waiting & UINT32_C(1) << model)
            continue;
        if (link->batch == 1)
            return take(pool, link, queue, 1, jobs);
        struct fitting fitting = count_fitting(pool, link, first);
        if (!waits(pool, link, model, &fitting, again_ns))
            return take(pool, link, queue, batch_size(&link->times[model], fitting.count), jobs);
        models_waiting |= UINT32_C(1) << model;
    }
    return 0;
}

/* Of each stream those in front of the first that does not fit, as they keep their order. */
static struct fitting count_fitting(const struct pool *pool, const struct worker_link *link,
                                    const struct job *first)
{
    struct fitting fitting = { .oldest_ns = first->submitted_ns };
    const struct fair_queue *queue = fair_next(&pool->live.fair);
    for (; queue && fitting.count < link->batch; queue = fair_after(queue)) {
        const struct job *job = TAILQ_FIRST(&queue->jobs);
        for (; job && fitting.count < link->batch && fits(pool, link, first, job);
             job = TAILQ_NEXT(job, link)) {
            fitting.count++;
            if (job->submitted_ns < fitting.oldest_ns)
                fitting.oldest_ns = job->submitted_ns;
        }
    }
    return fitting;
}

/* One plan is for pictures of one size, where these are restored or the device makes its input of their
 * planes. */
static bool fits(const struct pool *pool, const struct worker_link *link, const struct job *first,
                 const struct job *job)
{
    const struct pool_served *served = &pool->models[first->stream->model];
    bool planes = link->kind == DEVICE_CUDA;
    struct picture_view one, other;
    if (first == job)
        return true;
    if (first->alone || job->alone || job->stream->model != first->stream->model)
        return false;
    if (served->network_count == 0 && served->fallback != FALLBACK_BICUBIC && !planes)
        return true;
    picture_get_view(first->picture, &one);
    picture_get_view(job->picture, &other);
    return one.width == other.width && one.height == other.height &&
           job->camera.width == first->camera.width && job->camera.height == first->camera.height &&
           (!planes || planes_alike(&one, &other, PLANES_PACKED));
}

/* Not while a stream has no room left, as it would lose a picture meanwhile. */
static bool waits(const struct pool *pool, const struct worker_link *link, size_t model,
                  const struct fitting *fitting, uint64_t *again_ns)
{
    struct batch_waiting waiting = { .pictures = fitting->count };
    struct idle_forecast forecast;
    uint64_t now_ns = clock_now_ns();
    waiting.until_ns = fitting->oldest_ns + pool->batch_wait_ns;
    if (fitting->count >= link->batch || pool->live.fair.full > 0 ||
        now_ns + TIMER_STEP_NS >= waiting.until_ns)
        return false;
    for (size_t i = 0; i < pool->worker_count; i++)
        waiting.workers += pool->loads[i].ready;
    idle_forecast_init(&forecast);
    const struct pool_stream *stream = TAILQ_FIRST(&pool->streams);
    for (; stream; stream = TAILQ_NEXT(stream, link))
        if (stream->model == model)
            idle_forecast_add(&forecast, &stream->arrivals, now_ns);
    if (!batch_waits(&link->times[model], &waiting, &forecast, now_ns))
        return false;
    uint64_t ask_ns = waiting.until_ns - TIMER_STEP_NS;
    if (*again_ns == 0 || ask_ns < *again_ns)
        *again_ns = ask_ns;
    return true;
}

/* So many that fit, the first of this queue; those of one stream in their order. */
static uint32_t take(struct pool *pool, const struct worker_link *link, struct fair_queue *queue,
                     uint32_t count, struct job **jobs)
{
    struct fair *fair = &pool->live.fair;
    for (uint32_t taken = 0; taken < count; taken++) {
        while (taken > 0 && !fits(pool, link, jobs[0], TAILQ_FIRST(&queue->jobs)))
            queue = fair_after(queue);
        jobs[taken] = fair_take_of(fair, queue);
        queue = fair_next(fair);
    }
    return count;
}
