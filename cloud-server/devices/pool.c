/* pool: streams, their jobs and whose turn it is. The workers are worker_link.c's, the rules are
 * fair.c's (which picture), choose.c's (which worker), batch.c's (which go together) and idle.c's (when one
 * may have an idle job).
 *
 * A job belongs to its stream's array and is in exactly one place: free, in the stream's queue, or
 * inside a worker. Callbacks may call anything of pool.h, so nothing is in between when one is
 * called, and a stream lives on until its last job is free again (`holds`). */
#include "devices/pool_parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NETWORK_WORD "network "
#define RESTORED_BYTES (sizeof NETWORK_WORD + ORDER_NETWORK_BYTES)

/* The worker for the next picture that waits, or CHOOSE_NONE, and when to ask again. */
typedef size_t choose_fn(struct pool *pool, uint64_t *again_ns);

static struct pool_turns *turns_of(struct pool_stream *stream);
static int open_stream(struct pool_stream **out, const struct pool_stream *as, const char *name,
                       size_t jobs, struct error *err);
static void drop_beyond(struct pool_stream *stream, size_t depth);
static int use_memory(struct pool_stream *stream, const struct picture *picture, struct error *err);
static void leave_memory(struct pool_stream *stream);
static void release_memory(struct pool *pool, struct shared_memory *memory);
static void release_stream(struct pool_stream *stream);
static void dispatch(struct pool *pool);
static void give_out_live(struct pool *pool, uint64_t *again_ns);
static void give_out_singly(struct pool *pool, struct pool_turns *turns, choose_fn *choose,
                            uint64_t *again_ns);
static void see_who_is_ready(struct pool *pool);
static size_t choose_live(struct pool *pool, uint64_t *again_ns);
static size_t choose_late(struct pool *pool, uint64_t *again_ns);
static size_t choose_overdue(struct pool *pool, uint64_t *again_ns);
static size_t choose_idle(struct pool *pool, uint64_t *again_ns);
static void look_ahead(const struct pool *pool, struct idle_forecast *forecast, uint64_t now_ns);
static void on_again(uv_timer_t *timer);
static void tell(struct job *job, const struct job_result *result);
static void finish_job(struct job *job, const struct job_result *result);
static void drop_job(struct job *job, enum job_status status, const char *reason);
static void write_restored(char words[RESTORED_BYTES], const struct reply_done *reply);
static uint32_t waited_us(const struct job *job, uint64_t until_ns);
static void on_again_closed(uv_handle_t *handle);

int pool_open(struct pool **out, uv_loop_t *loop, const struct pool_config *config,
              const struct pool_model *models, size_t model_count, struct metrics *metrics,
              const char *program, struct error *err)
{
    assert(out && loop && config && (models || model_count == 0) && metrics && program);
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return error_set(err, ERROR_MEMORY, "pool", "no room for %zu bytes", sizeof *pool);
    pool->loop = loop;
    pool->metrics = metrics;
    int failed = pool_init(pool, config, models, model_count, program, err);
    if (failed) {
        pool_free(pool);
        return failed;
    }
    uv_timer_init(loop, &pool->again);
    pool->again.data = pool;
    pool->handles = 1 + pool->worker_count;
    for (size_t i = 0; i < pool->worker_count; i++)
        worker_link_start(&pool->workers[i], config->start_ms, config->hang_ms);
    *out = pool;
    return 0;
}

size_t pool_ready(const struct pool *pool, char *reason, size_t reason_bytes)
{
    size_t ready = 0, used = 0;
    if (reason_bytes > 0)
        reason[0] = '\0';
    for (size_t i = 0; i < pool->worker_count; i++) {
        if (worker_link_is_ready(&pool->workers[i])) {
            ready++;
            continue;
        }
        char text[ERROR_TEXT_BYTES + ORDER_NAME_BYTES + 64];
        child_describe(&pool->workers[i].child, text, sizeof text);
        if (used < reason_bytes)
            used +=
                (size_t)snprintf(reason + used, reason_bytes - used, "%s%s", used ? "; " : "", text);
    }
    return ready;
}

bool pool_may_serve(const struct pool *pool)
{
    bool may = false;
    for (size_t i = 0; i < pool->worker_count; i++) {
        enum child_state state = pool->workers[i].child.state;
        may = may || state == CHILD_STARTING || state == CHILD_READY;
    }
    return may;
}

size_t pool_worker_count(const struct pool *pool)
{
    return pool->worker_count;
}

void pool_worker_get(const struct pool *pool, size_t index, struct pool_worker *worker)
{
    const struct worker_link *link = &pool->workers[index];
    const struct child *child = &link->child;
    bool ended = child->cause[0] != '\0';
    *worker = (struct pool_worker){ .name = link->name,
                                    .kind = pool_device_word(link->kind),
                                    .threads = link->threads,
                                    .gpu = link->gpu,
                                    .state = child_state_word(child->state),
                                    .last_end = ended ? child_fault_word(child->fault) : "",
                                    .cause = child->cause };
}

void pool_set_change(struct pool *pool, pool_change_fn *on_change, void *arg)
{
    pool->on_change = on_change;
    pool->change_arg = arg;
}

const char *pool_class_name(const struct pool *pool, size_t model, uint32_t class_id)
{
    if (model >= pool->model_count || class_id >= pool->classes[model].count)
        return NULL;
    return pool->classes[model].names[class_id];
}

bool pool_shows_masks(const struct pool *pool, size_t model)
{
    return model < pool->model_count && pool->classes[model].masks;
}

size_t pool_model_count(const struct pool *pool)
{
    return pool->model_count;
}

int pool_stream_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                     pool_done_fn *done, void *arg, struct error *err)
{
    const struct pool_stream as = { .pool = pool, .model = model, .done = done, .arg = arg };
    /* Waiting ones, the one that pushes the oldest out, and those inside workers. */
    return open_stream(stream, &as, name, pool->queue_per_stream + 1 + pool->room_inside, err);
}

int pool_late_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                   pool_done_fn *done, void *arg, struct error *err)
{
    const struct pool_stream as = {
        .pool = pool, .model = model, .late = true, .done = done, .arg = arg
    };
    /* Waiting ones, the one that pushes the oldest out, and one inside each worker. */
    return open_stream(stream, &as, name, pool->queue_per_stream + 1 + pool->worker_count, err);
}

int pool_idle_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                   pool_done_fn *done, void *arg, struct error *err)
{
    const struct pool_stream as = {
        .pool = pool, .model = model, .idle = true, .done = done, .arg = arg
    };
    /* Waiting ones, and one inside each worker. */
    return open_stream(stream, &as, name, POOL_IDLE_WAITING_MAX + pool->worker_count, err);
}

int pool_submit(struct pool_stream *stream, uint64_t ticket, struct picture *picture,
                struct camera_size camera, struct error *err)
{
    struct pool *pool = stream->pool;
    if (stream->closing)
        return error_set(err, ERROR_END, stream->name, "it is being closed");
    if (stream->idle && pool->idle.fair.waiting >= POOL_IDLE_WAITING_MAX)
        return error_set(err, ERROR_AGAIN, stream->name,
                         "%zu pictures wait for an idle worker already", pool->idle.fair.waiting);
    int failed = use_memory(stream, picture, err);
    if (failed)
        return failed;
    struct job *job = TAILQ_FIRST(&stream->free_jobs);
    assert(job); /* see pool_stream_open and pool_idle_open for their number */
    TAILQ_REMOVE(&stream->free_jobs, job, link);
    stream->holds++;
    stream->memory->users++;
    *job = (struct job){ .stream = stream,
                         .memory = stream->memory,
                         .picture = picture_ref(picture),
                         .camera = camera,
                         .ticket = ticket,
                         .submitted_ns = clock_now_ns() };
    fair_put(&turns_of(stream)->fair, &stream->queue, job);
    if (stream->idle)
        leave_memory(stream); /* a worker has no more than WORKER_POOLS_MAX */
    else if (!stream->late)
        idle_note_arrival(&stream->arrivals, job->submitted_ns);
    dispatch(pool);
    if (!stream->idle)
        drop_beyond(stream, pool->queue_per_stream);
    return 0;
}

size_t pool_stream_depth(const struct pool_stream *stream)
{
    return stream->queue.depth;
}

void pool_stream_close(struct pool_stream **closed)
{
    struct pool_stream *stream = *closed;
    *closed = NULL;
    if (!stream)
        return;
    /* The checker does not see that TAILQ_REMOVE takes the stream from pool_close's list. */
    struct pool *pool = stream->pool; /* NOLINT(clang-analyzer-unix.Malloc) */
    assert(!stream->closing);
    stream->closing = true;
    TAILQ_REMOVE(&pool->streams, stream, link);
    turns_of(stream)->stream_count--;

    struct job *job;
    while ((job = fair_drop_oldest(&turns_of(stream)->fair, &stream->queue)))
        drop_job(job, JOB_DROPPED_CLOSED, "the stream has ended");
    for (size_t i = 0; i < pool->worker_count; i++)
        for (size_t j = 0; j < pool->workers[i].inside; j++) {
            job = pool->workers[i].jobs[j];
            if (job->stream == stream)
                tell(job, &(struct job_result){ .status = JOB_DROPPED_CLOSED,
                                                .reason = "the stream has ended",
                                                .wait_us = waited_us(job, clock_now_ns()) });
        }
    leave_memory(stream);
    release_stream(stream);
}

void pool_close(struct pool **closed, uint32_t grace_ms, void (*done)(void *arg), void *arg)
{
    struct pool *pool = *closed;
    *closed = NULL;
    if (!pool)
        return;
    pool->closing = true;
    pool->on_closed = done;
    pool->closed_arg = arg;
    while (!TAILQ_EMPTY(&pool->streams)) {
        struct pool_stream *stream = TAILQ_FIRST(&pool->streams);
        pool_stream_close(&stream);
    }
    uv_close((uv_handle_t *)&pool->again, on_again_closed);
    for (size_t i = 0; i < pool->worker_count; i++)
        child_close(&pool->workers[i].child, grace_ms);
}

int pool_classes_fill(struct pool_classes *classes, const char *names, size_t bytes, uint32_t count,
                      struct error *err)
{
    char *block = malloc(bytes > 0 ? bytes : 1);
    const char **list = calloc(count > 0 ? count : 1, sizeof *list);
    if (!block || !list) {
        free(list);
        free(block);
        return error_set(err, ERROR_MEMORY, "pool", "no room for %u class names", count);
    }
    memcpy(block, names, bytes);
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        list[i] = block + at;
        at += strlen(list[i]) + 1;
    }
    *classes =
        (struct pool_classes){ .block = block, .names = list, .block_bytes = bytes, .count = count };
    return 0;
}

void pool_end_job(struct pool *pool, struct worker_link *link, struct job *job, uint64_t begun_ns,
                  const struct analysis *analysis, const struct reply_done *reply)
{
    const struct pool_served *served = &pool->models[job->stream->model];
    char restored[RESTORED_BYTES];
    write_restored(restored, reply);
    dispatch(pool);
    struct job_result result = { .status = analysis ? JOB_DONE : JOB_FAILED,
                                 .reason = reply->reason,
                                 .analysis = analysis,
                                 .wait_us = waited_us(job, begun_ns),
                                 .worker = (uint32_t)link->index,
                                 .restored = restored,
                                 .fallback = reply->fallback };
    if (analysis && !job->stream->idle)
        metric_counter_add(served->by[reply->restored], 1);
    if (!job->stream->idle && !job->stream->late)
        metric_histogram_observe_us(pool->wait, result.wait_us);
    finish_job(job, &result);
}

void pool_retry_alone(struct pool *pool, struct job *job)
{
    job->alone = true;
    if (job->told)
        drop_job(job, JOB_DROPPED_CLOSED, "the stream has ended");
    else
        fair_put_back(&turns_of(job->stream)->fair, &job->stream->queue, job);
    dispatch(pool);
}

void pool_return_jobs(struct pool *pool, struct job *const *jobs, size_t count, size_t at_work,
                      bool together, const char *cause)
{
    struct job *given_up = NULL;
    for (size_t i = count; i-- > 0;) { /* the first one last, so that it is in front */
        struct job *job = jobs[i];
        if (i < at_work && together)
            job->alone = true; /* one of them may have done it */
        else if (i < at_work)
            job->tries++; /* those behind were not at work and did no harm */
        if (job->told)
            drop_job(job, JOB_DROPPED_CLOSED, "the stream has ended");
        else if (job->tries == JOB_TRIES_MAX)
            given_up = job;
        else
            fair_put_back(&turns_of(job->stream)->fair, &job->stream->queue, job);
    }
    char reason[ERROR_TEXT_BYTES];
    snprintf(reason, sizeof reason, "%u workers were lost over it, the last one: %s", JOB_TRIES_MAX,
             cause);
    if (given_up)
        drop_job(given_up, JOB_DROPPED_WORKER, reason);
    pool_note_change(pool, NULL);
}

void pool_note_change(struct pool *pool, const struct error *fatal)
{
    dispatch(pool);
    metric_gauge_set(pool->workers_ready, (double)pool_ready(pool, NULL, 0));
    if (pool->on_change && !pool->closing)
        pool->on_change(pool->change_arg, fatal);
}

void pool_handle_closed(struct pool *pool)
{
    if (--pool->handles > 0)
        return;
    void (*done)(void *arg) = pool->on_closed;
    void *arg = pool->closed_arg;
    pool_free(pool);
    done(arg);
}

static struct pool_turns *turns_of(struct pool_stream *stream)
{
    struct pool *pool = stream->pool;
    return stream->idle ? &pool->idle : stream->late ? &pool->late : &pool->live;
}

/* Opens a stream with so many jobs; as tells the rest of it. */
static int open_stream(struct pool_stream **out, const struct pool_stream *as, const char *name,
                       size_t jobs, struct error *err)
{
    struct pool *pool = as->pool;
    assert(out && name && as->model < pool->model_count && as->done && !pool->closing);
    struct pool_stream *stream = calloc(1, sizeof *stream + jobs * sizeof stream->jobs[0]);
    char *own_name = strdup(name);
    if (!stream || !own_name) {
        free(own_name);
        free(stream);
        return error_set(err, ERROR_MEMORY, name, "no room for %zu jobs", jobs);
    }
    *stream = *as;
    if (turns_of(stream)->stream_count == POOL_STREAMS_MAX) {
        free(own_name);
        free(stream);
        return error_set(err, ERROR_LIMIT, name, "%u streams are analysed already", POOL_STREAMS_MAX);
    }
    stream->name = own_name;
    stream->holds = 1;
    fair_queue_init(&stream->queue);
    TAILQ_INIT(&stream->free_jobs);
    for (size_t i = 0; i < jobs; i++) {
        stream->jobs[i].stream = stream;
        TAILQ_INSERT_TAIL(&stream->free_jobs, &stream->jobs[i], link);
    }
    TAILQ_INSERT_TAIL(&pool->streams, stream, link);
    turns_of(stream)->stream_count++;
    *out = stream;
    return 0;
}

/* Drops the oldest of a stream's waiting pictures while there are more than depth. */
static void drop_beyond(struct pool_stream *stream, size_t depth)
{
    stream->holds++; /* a callback may close the stream */
    while (stream->queue.depth > depth)
        drop_job(fair_drop_oldest(&turns_of(stream)->fair, &stream->queue), JOB_DROPPED_QUEUE,
                 "a newer picture took its place");
    release_stream(stream);
}

/* Makes stream->memory that of picture. */
static int use_memory(struct pool_stream *stream, const struct picture *picture, struct error *err)
{
    struct picture_place place;
    picture_get_place(picture, &place);
    if (stream->memory && stream->memory->id == place.pool_id)
        return 0;
    if (place.pool_id == 0)
        return error_set(err, ERROR_UNSUPPORTED, stream->name,
                         "the picture is not in memory that a worker can see");
    struct shared_memory *memory = share_get(&stream->pool->share, place.pool_id);
    if (!memory)
        return error_set(err, ERROR_LIMIT, stream->name, "%u picture pools are in use already",
                         WORKER_POOLS_MAX);
    leave_memory(stream);
    stream->memory = memory;
    return 0;
}

static void leave_memory(struct pool_stream *stream)
{
    if (stream->memory)
        release_memory(stream->pool, stream->memory);
    stream->memory = NULL;
}

static void release_memory(struct pool *pool, struct shared_memory *memory)
{
    assert(memory->users > 0);
    if (--memory->users > 0)
        return;
    for (size_t i = 0; i < pool->worker_count; i++)
        worker_link_forget(&pool->workers[i], memory);
    *memory = (struct shared_memory){ 0 };
}

static void release_stream(struct pool_stream *stream)
{
    assert(stream->holds > 0);
    if (--stream->holds > 0)
        return;
    free(stream->name);
    free(stream);
}

/* Gives out as many pictures as the workers should have now. */
static void dispatch(struct pool *pool)
{
    uint64_t again_ns = 0;
    give_out_singly(pool, &pool->late, choose_overdue, &again_ns);
    give_out_live(pool, &again_ns);
    if (pool->live.fair.waiting == 0)
        give_out_singly(pool, &pool->late, choose_late, &again_ns);
    if (pool->live.fair.waiting == 0 && pool->late.fair.waiting == 0)
        give_out_singly(pool, &pool->idle, choose_idle, &again_ns);
    metric_gauge_set(pool->live.waiting, (double)pool->live.fair.waiting);
    metric_gauge_set(pool->late.waiting, (double)pool->late.fair.waiting);
    metric_gauge_set(pool->idle.waiting, (double)pool->idle.fair.waiting);
    if (again_ns != 0) {
        uint64_t now_ns = clock_now_ns();
        uint64_t wait_ms = again_ns > now_ns ? (again_ns - now_ns) / CLOCK_NS_PER_MS + 1 : 1;
        uv_timer_start(&pool->again, on_again, wait_ms, 0);
    }
}

/* Until no worker should have more now, or all that wait do so for others to go with them. */
static void give_out_live(struct pool *pool, uint64_t *again_ns)
{
    struct job *jobs[POOL_BATCH_MAX];
    while (pool->live.fair.waiting > 0) {
        see_who_is_ready(pool);
        size_t index = choose_live(pool, again_ns);
        if (index == CHOOSE_NONE)
            break;
        struct worker_link *link = &pool->workers[index];
        uint32_t count = pool_gather(pool, link, jobs, again_ns);
        if (count == 0)
            break;
        if (worker_link_give(link, jobs, count) == 0)
            continue;
        while (count-- > 0) /* that worker is not ready now */
            fair_put_back(&pool->live.fair, &jobs[count]->stream->queue, jobs[count]);
    }
}

/* Late and idle pictures, each to a worker of its own. */
static void give_out_singly(struct pool *pool, struct pool_turns *turns, choose_fn *choose,
                            uint64_t *again_ns)
{
    struct fair *fair = &turns->fair;
    while (fair->waiting > 0) {
        see_who_is_ready(pool);
        size_t index = choose(pool, again_ns);
        if (index == CHOOSE_NONE)
            break;
        struct job *job = fair_take(fair);
        if (worker_link_give(&pool->workers[index], &job, 1))
            fair_put_back(fair, &job->stream->queue, job); /* that worker is not ready now */
    }
}

static void see_who_is_ready(struct pool *pool)
{
    for (size_t i = 0; i < pool->worker_count; i++)
        pool->loads[i].ready = worker_link_is_ready(&pool->workers[i]);
}

static size_t choose_live(struct pool *pool, uint64_t *again_ns)
{
    if (pool->round_robin)
        return choose_in_turn(pool->loads, pool->worker_count, &pool->turn);
    return choose_worker(pool->loads, pool->worker_count, pool->live.fair.waiting,
                         pool->live.fair.full == 0, clock_now_ns(), again_ns);
}

/* The fastest worker without a job: behind another one a backlog's picture would be in the way of live
 * ones that come later. */
static size_t choose_late(struct pool *pool, uint64_t *again_ns)
{
    size_t best = CHOOSE_NONE;
    (void)again_ns;
    for (size_t i = 0; i < pool->worker_count; i++)
        if (pool->loads[i].ready && pool->loads[i].jobs == 0 &&
            (best == CHOOSE_NONE || pool->loads[i].mean_ns < pool->loads[best].mean_ns))
            best = i;
    return best;
}

/* For the late picture whose turn it is, if it has waited too long. */
static size_t choose_overdue(struct pool *pool, uint64_t *again_ns)
{
    const struct job *job = TAILQ_FIRST(&fair_next(&pool->late.fair)->jobs);
    uint64_t wait_ns = clock_now_ns() - job->submitted_ns;
    return wait_ns < POOL_LATE_WAIT_MS * CLOCK_NS_PER_MS ? CHOOSE_NONE : choose_late(pool, again_ns);
}

/* A stream whose next picture must wait lets the others go first: theirs may be for a faster model. */
static size_t choose_idle(struct pool *pool, uint64_t *again_ns)
{
    struct fair *fair = &pool->idle.fair;
    const struct fair_queue *first = fair_next(fair);
    uint64_t now_ns = clock_now_ns();
    struct idle_forecast forecast;
    look_ahead(pool, &forecast, now_ns);
    do {
        const struct job *job = TAILQ_FIRST(&fair_next(fair)->jobs);
        uint64_t ask_ns;
        size_t index = idle_choose(pool->loads, pool->worker_count, job->stream->model, &forecast,
                                   now_ns, &ask_ns);
        if (index != CHOOSE_NONE)
            return index;
        if (ask_ns != 0 && (*again_ns == 0 || ask_ns < *again_ns))
            *again_ns = ask_ns;
        fair_pass(fair);
    } while (fair_next(fair) != first);
    return CHOOSE_NONE;
}

/* In turn nothing is foreseen, so that any worker without a job will do for an idle one. */
static void look_ahead(const struct pool *pool, struct idle_forecast *forecast, uint64_t now_ns)
{
    idle_forecast_init(forecast);
    const struct pool_stream *stream = pool->round_robin ? NULL : TAILQ_FIRST(&pool->streams);
    for (; stream; stream = TAILQ_NEXT(stream, link))
        idle_forecast_add(forecast, &stream->arrivals, now_ns);
}

static void on_again(uv_timer_t *timer)
{
    dispatch(timer->data);
}

/* Tells the stream what became of a job, once. Where the job is does not change. */
static void tell(struct job *job, const struct job_result *result)
{
    struct pool_stream *stream = job->stream;
    assert(!job->told);
    job->told = true;
    metric_counter_add(turns_of(stream)->ended[result->status], 1);
    stream->done(stream->arg, job->ticket, job->picture, result);
}

/* Frees a job that is nowhere any more, and tells the stream unless it knows. */
static void finish_job(struct job *job, const struct job_result *result)
{
    struct pool_stream *stream = job->stream;
    struct job ended = *job;
    release_memory(stream->pool, job->memory);
    TAILQ_INSERT_HEAD(&stream->free_jobs, job, link);
    if (!ended.told)
        tell(&ended, result);
    picture_unref(&ended.picture);
    release_stream(stream);
}

static void drop_job(struct job *job, enum job_status status, const char *reason)
{
    finish_job(job, &(struct job_result){ .status = status,
                                          .reason = reason,
                                          .wait_us = waited_us(job, clock_now_ns()) });
}

static void write_restored(char words[RESTORED_BYTES], const struct reply_done *reply)
{
    if (reply->restored == RESTORE_NETWORK)
        snprintf(words, RESTORED_BYTES, NETWORK_WORD "%s", reply->network);
    else
        snprintf(words, RESTORED_BYTES, "%s", reply->restored == RESTORE_BICUBIC ? "bicubic" : "");
}

static uint32_t waited_us(const struct job *job, uint64_t until_ns)
{
    uint64_t us = (until_ns - job->submitted_ns) / 1000;
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void on_again_closed(uv_handle_t *handle)
{
    pool_handle_closed(handle->data);
}
