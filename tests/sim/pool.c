/* pool: the workers, in place of devices/pool.c and its child processes: jobs of all streams in turn, to
 * workers that take their time, fail, or die with the job in their hands. Answers come from the loop. */
#include "devices/pool.h"

#include "base/clock.h"
#include "sim.h"
#include <stdlib.h>

#define WORKERS 2u
#define CRASHES_MS 200u /* until a worker is there again */

struct job {
    uint64_t ticket, submitted_ns;
    struct picture *picture;
    unsigned tries;
};

struct pool_stream {
    struct pool *pool;
    pool_done_fn *done;
    void *arg;
    struct job *waiting; /* queue_per_stream, oldest first */
    uint32_t count;
    struct pool_stream *next;
};

struct worker {
    uv_timer_t timer; /* active: at work, or being started again */
    struct pool *pool;
    struct pool_stream *stream; /* NULL: it has no job, or one of a stream that is gone */
    struct job job;
    bool busy, dead;
};

struct pool {
    struct worker workers[WORKERS];
    const struct pool_config *config;
    struct pool_stream *streams, *turn;
    pool_change_fn *change;
    void *change_arg;
    unsigned open_handles;
    size_t model_count;
    bool started;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct pool_faults pool_faults;

static void on_timer(uv_timer_t *timer);

int pool_open(struct pool **out, uv_loop_t *loop, const struct pool_config *config,
              const struct pool_model *models, size_t model_count, struct metrics *metrics,
              const char *program, struct error *err)
{
    (void)models;
    (void)metrics;
    (void)program;
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return error_set(err, ERROR_MEMORY, "pool", "no memory");
    pool->config = config;
    pool->model_count = model_count;
    pool->open_handles = WORKERS;
    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->dead = true;
        uv_timer_init(loop, &worker->timer);
        worker->timer.data = worker;
        uv_timer_start(&worker->timer, on_timer, sim_between(1, CRASHES_MS), 0);
    }
    *out = pool;
    return 0;
}

size_t pool_ready(const struct pool *pool, char *reason, size_t reason_bytes)
{
    size_t ready = 0;
    for (size_t i = 0; i < WORKERS; i++)
        ready += !pool->workers[i].dead;
    if (reason_bytes > 0)
        snprintf(reason, reason_bytes, "%s", ready < WORKERS ? "a worker is starting" : "");
    return ready;
}

bool pool_may_serve(const struct pool *pool)
{
    (void)pool;
    return true;
}

void pool_set_change(struct pool *pool, pool_change_fn *on_change, void *arg)
{
    pool->change = on_change;
    pool->change_arg = arg;
}

size_t pool_worker_count(const struct pool *pool)
{
    (void)pool;
    return WORKERS;
}

void pool_worker_get(const struct pool *pool, size_t index, struct pool_worker *worker)
{
    (void)pool;
    (void)index;
    *worker = (struct pool_worker){
        .name = "sim", .kind = "simulated", .state = "ready", .last_end = "", .cause = ""
    };
}

const char *pool_class_name(const struct pool *pool, size_t model, uint32_t class_id)
{
    (void)pool;
    (void)model;
    return class_id == 0 ? "thing" : NULL;
}

bool pool_shows_masks(const struct pool *pool, size_t model)
{
    (void)pool;
    (void)model;
    return false;
}

size_t pool_model_count(const struct pool *pool)
{
    return pool->model_count;
}

int pool_stream_open(struct pool *pool, struct pool_stream **out, const char *name, size_t model,
                     pool_done_fn *done, void *arg, struct error *err)
{
    (void)name;
    (void)model;
    struct pool_stream *stream = calloc(1, sizeof *stream);
    struct job *waiting = calloc(pool->config->queue_per_stream, sizeof *waiting);
    if (!stream || !waiting) {
        free(stream);
        free(waiting);
        return error_set(err, ERROR_MEMORY, "pool", "no memory");
    }
    *stream = (struct pool_stream){
        .pool = pool, .done = done, .arg = arg, .waiting = waiting, .next = pool->streams
    };
    pool->streams = stream;
    *out = stream;
    return 0;
}

int pool_idle_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                   pool_done_fn *done, void *arg, struct error *err)
{
    return pool_stream_open(pool, stream, name, model, done, arg, err);
}

int pool_late_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                   pool_done_fn *done, void *arg, struct error *err)
{
    return pool_stream_open(pool, stream, name, model, done, arg, err);
}

size_t pool_stream_depth(const struct pool_stream *stream)
{
    return stream->count;
}

static struct job take_oldest(struct pool_stream *stream)
{
    struct job job = stream->waiting[0];
    stream->count--;
    for (uint32_t i = 0; i < stream->count; i++)
        stream->waiting[i] = stream->waiting[i + 1];
    return job;
}

/* May close the stream. */
static void finish(struct pool_stream *stream, struct job *job, enum job_status status)
{
    static struct analysis analysis;
    const struct job_result result = { .status = status,
                                       .reason = status == JOB_DONE ? "" : "by chance",
                                       .analysis = status == JOB_DONE ? &analysis : NULL,
                                       .wait_us =
                                           (uint32_t)((clock_now_ns() - job->submitted_ns) / 1000),
                                       .restored = "",
                                       .fallback = "" };
    struct picture *picture = job->picture;
    stream->done(stream->arg, job->ticket, picture, &result);
    picture_unref(&picture);
}

/* The stream whose turn it is among those with a job. */
static struct pool_stream *next_stream(struct pool *pool)
{
    struct pool_stream *first = pool->turn ? pool->turn : pool->streams, *stream = first;
    for (; stream && stream->count == 0;) {
        stream = stream->next ? stream->next : pool->streams;
        if (stream == first)
            return NULL;
    }
    if (stream)
        pool->turn = stream->next;
    return stream;
}

static void give_work(struct pool *pool)
{
    for (size_t i = 0; i < WORKERS && !pool->closed; i++) {
        struct worker *worker = &pool->workers[i];
        struct pool_stream *stream;
        if (worker->busy || worker->dead || !(stream = next_stream(pool)))
            continue;
        worker->busy = true;
        worker->stream = stream;
        worker->job = take_oldest(stream);
        uv_timer_start(&worker->timer, on_timer, sim_between(0, pool_faults.service_us_max) / 1000,
                       0);
    }
}

static void come_back(struct worker *worker)
{
    struct pool *pool = worker->pool;
    worker->dead = false;
    if (pool->change)
        pool->change(pool->change_arg, NULL);
}

/* It has died over its job: the job goes to another, once. */
static void die(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct pool_stream *stream = worker->stream;
    struct job job = worker->job;
    worker->busy = false;
    worker->dead = true;
    worker->stream = NULL;
    uv_timer_start(&worker->timer, on_timer, sim_between(1, CRASHES_MS), 0);
    if (!stream)
        picture_unref(&job.picture);
    else if (++job.tries == JOB_TRIES_MAX || stream->count == pool->config->queue_per_stream)
        finish(stream, &job, JOB_DROPPED_WORKER);
    else {
        for (uint32_t i = stream->count++; i > 0; i--)
            stream->waiting[i] = stream->waiting[i - 1];
        stream->waiting[0] = job;
    }
    if (pool->change)
        pool->change(pool->change_arg, NULL);
}

static void on_timer(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    struct pool *pool = worker->pool;
    if (worker->dead) {
        come_back(worker);
    } else if (sim_chance(pool_faults.crashes)) {
        die(worker);
    } else {
        struct pool_stream *stream = worker->stream;
        worker->busy = false;
        worker->stream = NULL;
        if (stream)
            finish(stream, &worker->job, sim_chance(pool_faults.fails) ? JOB_FAILED : JOB_DONE);
        else
            picture_unref(&worker->job.picture);
    }
    give_work(pool);
}

int pool_submit(struct pool_stream *stream, uint64_t ticket, struct picture *picture,
                struct camera_size camera, struct error *err)
{
    struct pool *pool = stream->pool;
    (void)camera;
    (void)err;
    struct job oldest;
    bool full = stream->count == pool->config->queue_per_stream;
    if (full)
        oldest = take_oldest(stream);
    stream->waiting[stream->count++] = (struct job){ .ticket = ticket,
                                                     .submitted_ns = clock_now_ns(),
                                                     .picture = picture_ref(picture) };
    if (full)
        finish(stream, &oldest, JOB_DROPPED_QUEUE);
    give_work(pool);
    return 0;
}

void pool_stream_close(struct pool_stream **closed)
{
    struct pool_stream *stream = *closed;
    if (!stream)
        return;
    *closed = NULL;
    struct pool *pool = stream->pool;
    struct pool_stream **at = &pool->streams;
    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    pool->turn = NULL;
    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->stream != stream)
            continue;
        worker->stream = NULL;
        struct job job = worker->job;
        job.picture = picture_ref(worker->job.picture); /* the worker looks at it still */
        finish(stream, &job, JOB_DROPPED_CLOSED);
    }
    while (stream->count > 0) {
        struct job job = take_oldest(stream);
        finish(stream, &job, JOB_DROPPED_CLOSED);
    }
    free(stream->waiting);
    free(stream);
}

static void on_worker_closed(uv_handle_t *handle)
{
    struct worker *worker = handle->data;
    struct pool *pool = worker->pool;
    if (worker->busy)
        picture_unref(&worker->job.picture);
    if (--pool->open_handles > 0)
        return;
    void (*closed)(void *arg) = pool->closed;
    void *arg = pool->closed_arg;
    free(pool);
    closed(arg);
}

void pool_close(struct pool **closed, uint32_t grace_ms, void (*done)(void *arg), void *arg)
{
    struct pool *pool = *closed;
    (void)grace_ms;
    *closed = NULL;
    pool->closed = done;
    pool->closed_arg = arg;
    while (pool->streams) {
        struct pool_stream *stream = pool->streams;
        pool_stream_close(&stream);
    }
    for (size_t i = 0; i < WORKERS; i++)
        uv_close((uv_handle_t *)&pool->workers[i].timer, on_worker_closed);
}
