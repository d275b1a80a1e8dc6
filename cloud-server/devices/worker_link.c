/* worker_link: the server's side of one worker: its handshake, the jobs inside it and the memory in
 * which it leaves its analyses. Nothing that comes from the worker is believed unchecked. */
#include "devices/pool_parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of a GPU, by default: more save little more, and are older when they are answered. */
#define BATCH_CUDA 8u

#define RESULTS_BYTES (WORKER_PICTURES_MAX * sizeof(struct analysis))

static uint32_t choose_batch(const struct device_config *device);
static void make_metrics(struct worker_link *link, struct metrics *metrics);
static uint32_t free_result(const struct worker_link *link, uint32_t count);
static int make_results(struct worker_link *link, struct error *err);
static void on_spawned(void *arg);
static int on_order(void *arg, const union order *order, struct error *err);
static void tell_next_model(struct worker_link *link);
static int take_classes(struct worker_link *link, const struct reply_classes *reply,
                        struct error *err);
static int take_ready(struct worker_link *link, struct error *err);
static int take_preparing(struct worker_link *link, const struct reply_preparing *reply,
                          struct error *err);
static int take_done(struct worker_link *link, const struct reply_done *reply, struct error *err);
static void remove_first(struct worker_link *link, uint64_t now_ns);
static void note_begun(struct worker_link *link, uint64_t now_ns);
static void note_took(struct worker_link *link, const struct pool_stream *stream, uint64_t took_ns);
static bool is_at_work(const struct worker_link *link, uint64_t job);
static void take_refusal(struct worker_link *link, const struct reply_refused *reply);
static void on_lost(void *arg);
static void on_closed(void *arg);
static int tell_pool(struct worker_link *link, struct job *job, struct error *err);
static int send_jobs(struct worker_link *link, struct job *const *jobs, uint32_t count,
                     struct error *err);
static void fill_job(struct order_job *order, const struct worker_link *link, const struct job *job);

static const struct child_handler handler = {
    .on_spawned = on_spawned,
    .on_order = on_order,
    .on_lost = on_lost,
    .on_closed = on_closed,
};

int worker_link_init(struct worker_link *link, struct pool *pool, size_t index,
                     const struct device_config *device, uint32_t threads, struct error *err)
{
    *link = (struct worker_link){ .pool = pool,
                                  .index = index,
                                  .load = &pool->loads[index],
                                  .kind = (enum device_kind)device->kind,
                                  .threads = threads,
                                  .gpu = device->gpu,
                                  .service_ms = device->service_ms,
                                  .batch = choose_batch(device),
                                  .results_fd = -1 };
    if (device->name && device->name[0] != '\0')
        snprintf(link->name, sizeof link->name, "%s", device->name);
    else
        snprintf(link->name, sizeof link->name, "%s-%zu", pool_device_word(link->kind), index);
    link->load->overlapping = link->kind == DEVICE_CUDA;
    make_metrics(link, pool->metrics);
    int failed = make_results(link, err);
    if (failed)
        worker_link_finish(link);
    return failed;
}

void worker_link_start(struct worker_link *link, uint32_t start_ms, uint32_t hang_ms)
{
    struct child_config config = {
        .program = link->pool->program, .name = link->name, .start_ms = start_ms, .hang_ms = hang_ms
    };
    child_init(&link->child, link->pool->loop, &config, &handler, link, link->pool->metrics);
    child_start(&link->child);
}

bool worker_link_is_ready(const struct worker_link *link)
{
    return link->child.state == CHILD_READY;
}

int worker_link_give(struct worker_link *link, struct job *const *jobs, uint32_t count)
{
    struct worker_load *load = link->load;
    assert(worker_link_is_ready(link) && load->jobs < WORKER_JOBS_MAX);
    assert(count >= 1 && count <= link->batch && link->inside + count <= WORKER_PICTURES_MAX);
    assert(!jobs[0]->stream->idle || load->jobs == 0); /* there it would keep live ones out */
    struct error err;
    uint64_t now_ns = clock_now_ns(); /* before the worker may take the processor from us */
    int failed = send_jobs(link, jobs, count, &err);
    if (failed)
        return failed;
    link->given += count;
    link->inside += count;
    link->batches[load->jobs].size = link->batches[load->jobs].left = count;
    if (++load->jobs == 1) {
        note_begun(link, now_ns);
        child_expect(&link->child, count);
    } else {
        load->behind += count;
    }
    metric_counter_add(link->by_size[batch_step(count)], 1);
    return 0;
}

void worker_link_forget(struct worker_link *link, const struct shared_memory *memory)
{
    struct error err;
    if (!(memory->known & (UINT64_C(1) << link->index)) || !worker_link_is_ready(link))
        return;
    struct order_forget order = { .slot = share_slot(&link->pool->share, memory), .id = memory->id };
    child_send(&link->child, ORDER_FORGET, &order, -1, &err); /* a failure ends the child */
}

void worker_link_finish(struct worker_link *link)
{
    if (link->results)
        munmap((void *)link->results, RESULTS_BYTES);
    if (link->results_fd >= 0)
        close(link->results_fd);
    link->results = NULL;
    link->results_fd = -1;
}

static uint32_t choose_batch(const struct device_config *device)
{
    if (device->batch > 0)
        return device->batch;
    return device->kind == DEVICE_CUDA ? BATCH_CUDA : 1;
}

static void make_metrics(struct worker_link *link, struct metrics *metrics)
{
    struct metric_label labels[2] = { { "worker", link->name }, { "size", NULL } };
    char size[16];
    link->busy_us = metrics_counter(metrics, "server_worker_busy_microseconds_total",
                                    "time that a worker had a picture at work", labels, 1);
    link->done = metrics_counter(metrics, "server_worker_pictures_total",
                                 "pictures that a worker has finished", labels, 1);
    for (unsigned step = 0; step < POOL_BATCH_STEPS && UINT32_C(1) << step <= link->batch; step++) {
        snprintf(size, sizeof size, "%u", UINT32_C(1) << step);
        labels[1].value = size;
        link->by_size[step] =
            metrics_counter(metrics, "server_batches_total",
                            "what workers were given, by how many pictures went together", labels, 2);
    }
}

/* The first place that none of the first count of its jobs uses. */
static uint32_t free_result(const struct worker_link *link, uint32_t count)
{
    uint64_t used = 0; /* bit i: place i */
    uint32_t place = 0;
    _Static_assert(WORKER_PICTURES_MAX <= 64, "a bit for each place");
    for (uint32_t i = 0; i < count; i++)
        used |= UINT64_C(1) << link->jobs[i]->result;
    while (used & (UINT64_C(1) << place))
        place++;
    return place;
}

/* Sealed: the worker can write into it, but cannot take it away under our reading. */
static int make_results(struct worker_link *link, struct error *err)
{
    link->results_fd = memfd_create("runespoor-results", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (link->results_fd < 0)
        return error_set_errno(err, errno, link->name, "cannot create shared memory");
    if (ftruncate(link->results_fd, RESULTS_BYTES) < 0)
        return error_set_errno(err, errno, link->name, "cannot get %zu bytes of shared memory",
                               RESULTS_BYTES);
    if (fcntl(link->results_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return error_set_errno(err, errno, link->name, "cannot seal shared memory");
    void *results = mmap(NULL, RESULTS_BYTES, PROT_READ, MAP_SHARED, link->results_fd, 0);
    if (results == MAP_FAILED)
        return error_set_errno(err, errno, link->name, "cannot map shared memory");
    link->results = results;
    return 0;
}

static void on_spawned(void *arg)
{
    struct worker_link *link = arg;
    struct pool *pool = link->pool;
    struct error err;
    link->models_open = 0;
    struct order_setup setup = { .device_kind = link->kind,
                                 .threads = link->threads,
                                 .gpu = link->gpu,
                                 .service_ms = link->service_ms,
                                 .batch = link->batch,
                                 .model_count = (uint32_t)pool->model_count };
    snprintf(setup.name, sizeof setup.name, "%s", link->name);
    if (child_send(&link->child, ORDER_SETUP, &setup, link->results_fd, &err))
        return; /* it was killed, on_lost follows */
    tell_next_model(link);
}

/* One after the other, as they are opened: all at once would be more than a socket holds. A failure ends
 * the child. */
static void tell_next_model(struct worker_link *link)
{
    const struct pool *pool = link->pool;
    struct error err;
    if (link->models_open == pool->model_count)
        return;
    const struct pool_served *served = &pool->models[link->models_open];
    struct order_model order = { .index = link->models_open,
                                 .fallback = served->fallback,
                                 .network_count = served->network_count };
    snprintf(order.folder, sizeof order.folder, "%s", served->folder);
    for (uint32_t i = 0; i < served->network_count; i++)
        snprintf(order.networks[i], sizeof order.networks[i], "%s", served->networks[i]);
    child_send(&link->child, ORDER_MODEL, &order, -1, &err);
}

static int on_order(void *arg, const union order *order, struct error *err)
{
    struct worker_link *link = arg;
    bool starting = !worker_link_is_ready(link);
    uint32_t kind = order->head.kind;
    if (kind == REPLY_CLASSES && starting)
        return take_classes(link, &order->classes, err);
    if (kind == REPLY_READY && starting)
        return take_ready(link, err);
    if (kind == REPLY_PREPARING && !starting)
        return take_preparing(link, &order->preparing, err);
    if (kind == REPLY_DONE && !starting)
        return take_done(link, &order->done, err);
    if (kind == REPLY_REFUSED && (starting || order->refused.model == ORDER_MODEL_NONE)) {
        take_refusal(link, &order->refused);
        return 0;
    }
    return error_set(err, ERROR_FORMAT, "orders", "%s came while the worker was %s",
                     orders_word(kind), starting ? "starting" : "ready");
}

static int take_classes(struct worker_link *link, const struct reply_classes *reply, struct error *err)
{
    struct pool *pool = link->pool;
    if (reply->model != link->models_open || reply->model >= pool->model_count)
        return error_set(err, ERROR_FORMAT, "orders", "classes of model %u out of turn",
                         reply->model);
    link->models_open++;
    size_t bytes = 0;
    for (uint32_t i = 0; i < reply->count; i++)
        bytes += strlen(reply->names + bytes) + 1; /* orders_receive saw that they end */
    struct pool_classes *classes = &pool->classes[reply->model];
    int failed = 0;
    if (!classes->block)
        failed = pool_classes_fill(classes, reply->names, bytes, reply->count, err);
    classes->masks = reply->masks;
    link->load->idle_mean_ns[reply->model] = (uint64_t)reply->run_us[0] * 1000;
    memcpy(link->times[reply->model].us, reply->run_us, sizeof reply->run_us);
    if (failed)
        return failed;
    if (classes->count == reply->count && classes->block_bytes == bytes &&
        memcmp(classes->block, reply->names, bytes) == 0) {
        tell_next_model(link);
        return 0;
    }
    struct reply_refused changed = { .model = reply->model, .code = ERROR_CONFIG };
    snprintf(changed.text, sizeof changed.text,
             "its classes are not those that it had when the server started: restart the server");
    take_refusal(link, &changed);
    return 0;
}

static int take_ready(struct worker_link *link, struct error *err)
{
    if (link->models_open != link->pool->model_count)
        return error_set(err, ERROR_FORMAT, "orders", "ready with %u of %zu models",
                         link->models_open, link->pool->model_count);
    child_set_ready(&link->child);
    pool_note_change(link->pool, NULL);
    return 0;
}

static int take_preparing(struct worker_link *link, const struct reply_preparing *reply,
                          struct error *err)
{
    if (!is_at_work(link, reply->job) || link->preparing)
        return error_set(err, ERROR_FORMAT, "orders", "job %llu is prepared out of turn",
                         (unsigned long long)reply->job);
    link->preparing = true;
    link->load->work_ns = 0; /* nobody knows how long it takes now */
    child_expect_start(&link->child);
    return 0;
}

static int take_done(struct worker_link *link, const struct reply_done *reply, struct error *err)
{
    struct pool *pool = link->pool;
    struct worker_load *load = link->load;
    if (!is_at_work(link, reply->job))
        return error_set(err, ERROR_FORMAT, "orders", "job %llu is done, but was not at work",
                         (unsigned long long)reply->job);
    struct job *job = link->jobs[0];
    if (reply->restored == RESTORE_NETWORK && pool->models[job->stream->model].network_count == 0)
        return error_set(err, ERROR_FORMAT, "orders",
                         "network %s restored for a model that has none", reply->network);
    if (!reply->failed) {
        int failed =
            orders_copy_analysis(&link->results[job->result],
                                 pool->classes[job->stream->model].count, &pool->analysis, err);
        if (failed)
            return failed; /* the job stays, and goes to another worker */
    }
    bool together = link->batches[0].size > 1;
    uint64_t begun_ns = load->begun_ns;
    metric_counter_add(link->done, 1);
    remove_first(link, clock_now_ns());
    if (reply->failed && together)
        pool_retry_alone(pool, job);
    else
        pool_end_job(pool, link, job, begun_ns, reply->failed ? NULL : &pool->analysis, reply);
    return 0;
}

/* It is answered, and if it was the last one of its batch the next batch begins. */
static void remove_first(struct worker_link *link, uint64_t now_ns)
{
    struct worker_load *load = link->load;
    const struct pool_stream *stream = link->jobs[0]->stream;
    link->inside--;
    memmove(&link->jobs[0], &link->jobs[1], link->inside * sizeof link->jobs[0]);
    if (--link->batches[0].left == 0) {
        metric_counter_add(link->busy_us, (now_ns - load->begun_ns) / 1000);
        if (!link->preparing) /* its time says nothing about the next ones */
            note_took(link, stream, now_ns - load->begun_ns);
        link->preparing = false;
        load->jobs--;
        memmove(&link->batches[0], &link->batches[1], load->jobs * sizeof link->batches[0]);
        if (load->jobs > 0) {
            load->behind -= link->batches[0].size;
            note_begun(link, now_ns);
        }
    }
    child_expect(&link->child, load->jobs > 0 ? link->batches[0].left : 0);
}

/* The first of the batches inside is at work from now on. */
static void note_begun(struct worker_link *link, uint64_t now_ns)
{
    const struct pool_stream *stream = link->jobs[0]->stream;
    struct worker_load *load = link->load;
    load->idle = stream->idle;
    load->begun_ns = now_ns;
    load->work_ns =
        stream->idle ? load->idle_mean_ns[stream->model] : load->mean_ns * link->batches[0].size;
}

static void note_took(struct worker_link *link, const struct pool_stream *stream, uint64_t took_ns)
{
    struct worker_load *load = link->load;
    if (stream->idle)
        load->idle_mean_ns[stream->model] = idle_mean_ns(load->idle_mean_ns[stream->model], took_ns);
    else
        load->mean_ns = choose_mean_ns(load->mean_ns, took_ns / link->batches[0].size);
}

/* Jobs end in the order in which they were given. */
static bool is_at_work(const struct worker_link *link, uint64_t job)
{
    return link->inside > 0 && job == link->given - link->inside + 1;
}

/* A device that cannot be used is seldom another one within seconds; one that failed at work, or a lack of
 * memory or time, may be gone at the next start; a model that is wrong will be the same then. */
static void take_refusal(struct worker_link *link, const struct reply_refused *reply)
{
    struct pool *pool = link->pool;
    bool is_model = reply->model < pool->model_count;
    bool is_device = !is_model || reply->code == ERROR_DEVICE;
    char place[2 * ORDER_NAME_BYTES];
    snprintf(place, sizeof place, "worker %s: %s%s", link->name, is_model ? "model " : "device",
             is_model ? pool->models[reply->model].name : "");
    struct error cause;
    error_set(&cause, (enum error_code)reply->code, place, "%s", reply->text);
    enum child_again again = CHILD_NEVER;
    if (is_device)
        again = worker_link_is_ready(link) ? CHILD_SOON : CHILD_LATER;
    else if (reply->code == ERROR_MEMORY || reply->code == ERROR_TIMEOUT)
        again = CHILD_SOON;
    child_fail(&link->child, is_device ? CHILD_DEVICE : CHILD_REFUSED, again, cause.text);
    if (again == CHILD_NEVER)
        pool_note_change(pool, &cause);
}

static void on_lost(void *arg)
{
    struct worker_link *link = arg;
    struct job *jobs[WORKER_PICTURES_MAX];
    size_t count = link->inside, at_work = link->load->jobs > 0 ? link->batches[0].left : 0;
    bool together = at_work > 0 && link->batches[0].size > 1;
    memcpy(jobs, link->jobs, sizeof jobs);
    link->load->jobs = link->load->behind = link->inside = 0;
    link->preparing = false;
    share_forget_worker(&link->pool->share, link->index);
    pool_return_jobs(link->pool, jobs, count, at_work, together, link->child.cause);
}

static void on_closed(void *arg)
{
    struct worker_link *link = arg;
    pool_handle_closed(link->pool);
}

/* Makes sure that the worker has mapped the pool in which a job's picture lies. */
static int tell_pool(struct worker_link *link, struct job *job, struct error *err)
{
    uint64_t bit = UINT64_C(1) << link->index;
    if (job->memory->known & bit)
        return 0;
    const struct picture_pool *pictures = picture_get_pool(job->picture);
    struct order_pool order = { .slot = share_slot(&link->pool->share, job->memory),
                                .id = job->memory->id,
                                .bytes = picture_pool_bytes(pictures) };
    int failed = child_send(&link->child, ORDER_POOL, &order, picture_pool_fd(pictures), err);
    if (!failed)
        job->memory->known |= bit;
    return failed;
}

/* Their numbers and their places follow those of the jobs inside, where they come to stand. */
static int send_jobs(struct worker_link *link, struct job *const *jobs, uint32_t count,
                     struct error *err)
{
    int failed = 0;
    for (uint32_t i = 0; i < count && !failed; i++)
        failed = tell_pool(link, jobs[i], err);
    for (uint32_t i = 0; i < count && !failed; i++) {
        struct order_job order;
        jobs[i]->result = free_result(link, link->inside + i);
        link->jobs[link->inside + i] = jobs[i];
        fill_job(&order, link, jobs[i]);
        order.job = link->given + 1 + i;
        order.more = count - 1 - i;
        failed = child_send(&link->child, ORDER_JOB, &order, -1, err);
    }
    return failed;
}

static void fill_job(struct order_job *order, const struct worker_link *link, const struct job *job)
{
    struct picture_view view;
    struct picture_place place;
    picture_get_view(job->picture, &view);
    picture_get_place(job->picture, &place);
    *order = (struct order_job){
        .model = (uint32_t)job->stream->model,
        .result = job->result,
        .pool_slot = share_slot(&link->pool->share, job->memory),
        .pool_id = place.pool_id,
        .format = view.format,
        .matrix = view.matrix,
        .full_range = view.full_range,
        .width = view.width,
        .height = view.height,
        .camera_width = job->camera.width,
        .camera_height = job->camera.height,
        .plain = job->stream->idle,
    };
    memcpy(order->stride, view.stride, sizeof order->stride);
    memcpy(order->offset, place.offset, sizeof order->offset);
}
