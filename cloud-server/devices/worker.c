/* worker: the child process: takes orders one after the other, in the order in which they come, and
 * answers each job when it is done, in the same order. Allocates nothing per picture and copies none, save
 * for the first one of a size that a runner has to make a plan for.
 *
 * Jobs that belong together come one right after the other, and are begun when the last one is there. Where the
 * device computes by itself, a job that is there already is begun while the one before is under
 * way. When none is there the oldest is waited for at once, so that no answer is later for it.
 *
 * It ends when its socket does, and dies with its parent. Signals that a terminal or a service
 * manager sends to the whole group are left to the parent, which lets present work finish first. */
#include "devices/worker.h"

#include "base/log.h"
#include "devices/orders.h"
#include "devices/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESULTS_BYTES (WORKER_PICTURES_MAX * sizeof(struct analysis))

struct mapping {
    uint64_t id; /* 0: nothing is mapped here */
    uint8_t *base;
    uint64_t bytes;
    bool pinned;
};

/* Jobs that are to be done together and have come so far; all before the next turn of serve(). */
struct gathered {
    struct runner_picture pictures[POOL_BATCH_MAX];
    bool pinned[POOL_BATCH_MAX]; /* their memory is known to the device, and ends there: */
    const uint8_t *end[POOL_BATCH_MAX];
    uint32_t results[POOL_BATCH_MAX];
    uint64_t first; /* the number of the first one; the others follow */
    uint32_t count, more;
};

/* Jobs under way together, or some that could not begin and wait for their turn to be answered. */
struct begun {
    uint32_t results[POOL_BATCH_MAX];
    uint32_t count;
    int failed; /* 0, or why they could not begin: cause */
    struct error cause;
    struct reply_done reply; /* to the first one */
};

struct worker {
    int fd;
    struct order_setup setup;
    struct analysis *results; /* shared with the server, which only reads it */
    const struct runner_class *class;
    struct runner *runner;
    struct mapping pools[WORKER_POOLS_MAX];
    struct gathered gathered;
    struct begun begun[RUNNER_DEPTH_MAX];
    uint32_t oldest, under_way; /* of begun */
    union order received;
    union order reply;
};

static void follow_parent(void);
static int begin(struct worker *worker, struct error *err);
static int take_setup(struct worker *worker, struct error *err);
static int take_models(struct worker *worker, struct error *err);
static int tell_classes(struct worker *worker, uint32_t model, const struct runner_model *added,
                        struct error *err);
static void refuse(struct worker *worker, uint32_t model, const struct error *cause);
static int serve(struct worker *worker, struct error *err);
static bool can_begin_another(const struct worker *worker);
static int take_order(struct worker *worker, struct error *err);
static int receive(struct worker *worker, enum order_kind kind, int *passed, struct error *err);
static int map_pool(struct worker *worker, const struct order_pool *order, int fd, struct error *err);
static void unmap_pool(struct worker *worker, struct mapping *mapping);
static int forget_pool(struct worker *worker, const struct order_forget *order, struct error *err);
static int gather_job(struct worker *worker, const struct order_job *job, struct error *err);
static int begin_gathered(struct worker *worker, struct error *err);
static enum planes_way find_way(const struct gathered *gathered);
static int tell_preparing(struct worker *worker, uint64_t job, struct error *err);
static int end_oldest(struct worker *worker, struct error *err);
static int finish_oldest(struct worker *worker, const struct begun *begun, struct error *err);
static int map_memory(int fd, uint64_t bytes, int protection, void **base, struct error *err);
static void wait_for_all(struct worker *worker);
static void finish(struct worker *worker);

static const struct runner_class *const classes[] = {
    [DEVICE_CPU] = &runner_engine,
    [DEVICE_CUDA] = &runner_engine,
    [DEVICE_SIMULATED] = &runner_simulated,
};

int worker_main(int fd)
{
    struct error err;
    follow_parent();
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        error_set(&err, ERROR_MEMORY, "worker", "no room for %zu bytes", sizeof *worker);
        log_error("worker", "cannot start", LOG_CAUSE(&err));
        return 1;
    }
    worker->fd = fd;
    int failed = begin(worker, &err);
    if (!failed)
        failed = serve(worker, &err);
    /* The server may close while we work: then there is nobody left to send the answer to. */
    bool regular = failed == -ERROR_END || failed == -ERROR_NETWORK;
    if (!regular)
        log_error("worker", "gives up", LOG_STR("worker", worker->setup.name), LOG_CAUSE(&err));
    finish(worker);
    return regular ? 0 : 1;
}

/* A parent that dies before this line closes the socket, and one that dies later sends a signal,
 * which also ends a worker that is deep in a computation. */
static void follow_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

static int begin(struct worker *worker, struct error *err)
{
    int failed = take_setup(worker, err);
    if (failed)
        return failed;
    worker->class = classes[worker->setup.device_kind];
    failed = worker->class->open(&worker->runner, &worker->setup, err);
    if (failed) {
        refuse(worker, ORDER_MODEL_NONE, err);
        return -ERROR_END; /* the server has the cause and tells it */
    }
    failed = take_models(worker, err);
    if (failed)
        return failed;
    return orders_send(worker->fd, REPLY_READY, &worker->reply, -1, err);
}

static int take_setup(struct worker *worker, struct error *err)
{
    int passed;
    int failed = receive(worker, ORDER_SETUP, &passed, err);
    if (failed)
        return failed;
    worker->setup = worker->received.setup;
    void *results = NULL;
    failed = map_memory(passed, RESULTS_BYTES, PROT_READ | PROT_WRITE, &results, err);
    close(passed);
    if (!failed)
        worker->results = results;
    return failed;
}

static int take_models(struct worker *worker, struct error *err)
{
    for (uint32_t i = 0; i < worker->setup.model_count; i++) {
        int passed;
        int failed = receive(worker, ORDER_MODEL, &passed, err);
        if (failed)
            return failed;
        if (worker->received.model.index != i)
            return error_set(err, ERROR_FORMAT, "orders", "model %u came in place of %u",
                             worker->received.model.index, i);
        struct runner_model added = { 0 };
        failed = worker->class->add_model(worker->runner, &worker->received.model, &added, err);
        if (failed) {
            refuse(worker, i, err);
            return -ERROR_END;
        }
        failed = tell_classes(worker, i, &added, err);
        if (failed)
            return failed;
    }
    return 0;
}

static int tell_classes(struct worker *worker, uint32_t model, const struct runner_model *added,
                        struct error *err)
{
    const struct option_strings *names = added->classes;
    struct reply_classes *reply = &worker->reply.classes;
    *reply = (struct reply_classes){ .model = model,
                                     .count = (uint32_t)names->count,
                                     .masks = added->masks };
    memcpy(reply->run_us, added->run_us, sizeof reply->run_us);
    size_t used = 0;
    for (size_t i = 0; i < names->count; i++) {
        size_t bytes = strlen(names->items[i]) + 1;
        if (names->count > CARD_CLASSES_MAX || bytes > sizeof reply->names - used) {
            error_set(err, ERROR_LIMIT, "classes", "%zu names are more than can be told",
                      names->count);
            refuse(worker, model, err);
            return -ERROR_END;
        }
        memcpy(reply->names + used, names->items[i], bytes);
        used += bytes;
    }
    return orders_send(worker->fd, REPLY_CLASSES, reply, -1, err);
}

/* If this does not arrive, the server sees the process end and says so. */
static void refuse(struct worker *worker, uint32_t model, const struct error *cause)
{
    struct reply_refused *reply = &worker->reply.refused;
    *reply = (struct reply_refused){ .model = model, .code = cause->code };
    snprintf(reply->text, sizeof reply->text, "%s", cause->text);
    orders_send(worker->fd, REPLY_REFUSED, reply, -1, NULL);
}

static int serve(struct worker *worker, struct error *err)
{
    int failed = 0;
    while (!failed) {
        bool take = worker->under_way == 0 || worker->gathered.count > 0 || can_begin_another(worker);
        failed = take ? take_order(worker, err) : end_oldest(worker, err);
    }
    return failed;
}

/* There is room for it, and an order has come. */
static bool can_begin_another(const struct worker *worker)
{
    const struct runner_class *class = worker->class;
    struct pollfd socket = { .fd = worker->fd, .events = POLLIN };
    return class->depth && worker->under_way < class->depth(worker->runner) &&
           poll(&socket, 1, 0) > 0;
}

static int take_order(struct worker *worker, struct error *err)
{
    union order *order = &worker->received;
    int passed;
    int failed = orders_receive(worker->fd, order, &passed, err);
    if (failed)
        return failed;
    switch ((enum order_kind)order->head.kind) {
    case ORDER_JOB:
        failed = gather_job(worker, &order->job, err);
        break;
    case ORDER_POOL:
        failed = map_pool(worker, &order->pool, passed, err);
        break;
    case ORDER_FORGET:
        failed = forget_pool(worker, &order->forget, err);
        break;
    default:
        failed = error_set(err, ERROR_FORMAT, "orders", "%s came out of turn",
                           orders_word(order->head.kind));
    }
    if (passed >= 0)
        close(passed);
    return failed;
}

static int receive(struct worker *worker, enum order_kind kind, int *passed, struct error *err)
{
    int failed = orders_receive(worker->fd, &worker->received, passed, err);
    if (failed || worker->received.head.kind == kind)
        return failed;
    if (*passed >= 0)
        close(*passed);
    return error_set(err, ERROR_FORMAT, "orders", "%s came in place of %s",
                     orders_word(worker->received.head.kind), orders_word(kind));
}

static int map_pool(struct worker *worker, const struct order_pool *order, int fd, struct error *err)
{
    struct mapping *mapping = &worker->pools[order->slot];
    if (mapping->id != 0)
        return error_set(err, ERROR_FORMAT, "orders", "slot %u is in use", order->slot);
    void *base = NULL;
    int failed = map_memory(fd, order->bytes, PROT_READ, &base, err);
    if (failed)
        return failed;
    bool pinned = worker->class->pin && worker->class->pin(worker->runner, base, order->bytes);
    *mapping =
        (struct mapping){ .id = order->id, .base = base, .bytes = order->bytes, .pinned = pinned };
    return 0;
}

static void unmap_pool(struct worker *worker, struct mapping *mapping)
{
    if (mapping->pinned)
        worker->class->unpin(worker->runner, mapping->base);
    munmap(mapping->base, mapping->bytes);
    *mapping = (struct mapping){ 0 };
}

static int forget_pool(struct worker *worker, const struct order_forget *order, struct error *err)
{
    struct mapping *mapping = &worker->pools[order->slot];
    if (mapping->id == 0 || mapping->id != order->id)
        return error_set(err, ERROR_FORMAT, "orders", "slot %u does not hold that pool", order->slot);
    unmap_pool(worker, mapping);
    return 0;
}

static int gather_job(struct worker *worker, const struct order_job *job, struct error *err)
{
    const struct mapping *mapping = &worker->pools[job->pool_slot];
    struct gathered *gathered = &worker->gathered;
    uint32_t place = gathered->count;
    if (mapping->id == 0 || mapping->id != job->pool_id || job->model >= worker->setup.model_count)
        return error_set(err, ERROR_FORMAT, "orders", "job %llu is for an unknown pool or model",
                         (unsigned long long)job->job);
    if (place + job->more >= worker->setup.batch ||
        (place > 0 && (job->more + 1 != gathered->more || job->job != gathered->first + place ||
                       job->model != gathered->pictures[0].model)))
        return error_set(err, ERROR_FORMAT, "orders", "job %llu cannot go together with others",
                         (unsigned long long)job->job);
    struct runner_picture *picture = &gathered->pictures[place];
    *picture = (struct runner_picture){ .model = job->model,
                                        .camera = { job->camera_width, job->camera_height },
                                        .plain = job->plain };
    int failed = orders_view_picture(job, mapping->base, mapping->bytes, &picture->view, err);
    if (failed)
        return failed;
    gathered->pinned[place] = mapping->pinned;
    gathered->end[place] = mapping->base + mapping->bytes;
    gathered->results[place] = job->result;
    if (place == 0)
        gathered->first = job->job;
    gathered->count++;
    gathered->more = job->more;
    return job->more > 0 ? 0 : begin_gathered(worker, err);
}

static int begin_gathered(struct worker *worker, struct error *err)
{
    struct gathered *gathered = &worker->gathered;
    const struct runner_class *class = worker->class;
    uint32_t count = gathered->count;
    enum planes_way way = find_way(gathered);
    int failed = 0;
    for (uint32_t i = 0; i < count; i++)
        gathered->pictures[i].way = way;
    gathered->count = 0;
    if (class->must_prepare && class->must_prepare(worker->runner, gathered->pictures, count))
        failed = tell_preparing(worker, gathered->first, err);
    if (failed)
        return failed;
    struct begun *begun = &worker->begun[(worker->oldest + worker->under_way) % RUNNER_DEPTH_MAX];
    *begun = (struct begun){ .count = count, .reply = { .job = gathered->first } };
    memcpy(begun->results, gathered->results, sizeof begun->results);
    begun->failed =
        class->start(worker->runner, gathered->pictures, count, &begun->reply, &begun->cause);
    worker->under_way++;
    return 0;
}

/* The same for all, as one plan reads them: in place where that goes for each. */
static enum planes_way find_way(const struct gathered *gathered)
{
    const struct picture_view *first = &gathered->pictures[0].view;
    for (uint32_t i = 0; i < gathered->count; i++) {
        const struct picture_view *view = &gathered->pictures[i].view;
        if (!gathered->pinned[i] || !planes_alike(view, first, PLANES_IN_PLACE) ||
            planes_find_way(view, gathered->end[i]) != PLANES_IN_PLACE)
            return PLANES_PACKED;
    }
    return PLANES_IN_PLACE;
}

/* It takes long: what is under way is answered first, and the job is the one at work then. */
static int tell_preparing(struct worker *worker, uint64_t job, struct error *err)
{
    int failed = 0;
    while (!failed && worker->under_way > 0)
        failed = end_oldest(worker, err);
    worker->reply.preparing = (struct reply_preparing){ .job = job };
    return failed ? failed
                  : orders_send(worker->fd, REPLY_PREPARING, &worker->reply.preparing, -1, err);
}

static int end_oldest(struct worker *worker, struct error *err)
{
    const struct begun *begun = &worker->begun[worker->oldest];
    struct reply_done *reply = &worker->reply.done;
    struct error cause = begun->cause;
    int failed = begun->failed;
    worker->oldest = (worker->oldest + 1) % RUNNER_DEPTH_MAX;
    worker->under_way--;
    if (!failed)
        failed = finish_oldest(worker, begun, &cause);
    if (failed == -ERROR_DEVICE) {
        refuse(worker, ORDER_MODEL_NONE, &cause);
        return -ERROR_END; /* the server has the cause, and gives the jobs to another worker */
    }
    *reply = begun->reply;
    if (failed) {
        reply->failed = 1;
        snprintf(reply->reason, sizeof reply->reason, "%s", cause.text);
    }
    for (failed = 0; !failed && reply->job < begun->reply.job + begun->count; reply->job++)
        failed = orders_send(worker->fd, REPLY_DONE, reply, -1, err);
    return failed;
}

/* begun is what is the oldest for the runner, too. */
static int finish_oldest(struct worker *worker, const struct begun *begun, struct error *err)
{
    struct analysis *analyses[POOL_BATCH_MAX];
    for (uint32_t i = 0; i < begun->count; i++)
        analyses[i] = &worker->results[begun->results[i]];
    return worker->class->finish(worker->runner, analyses, err);
}

static int map_memory(int fd, uint64_t bytes, int protection, void **base, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || (uint64_t)status.st_size < bytes)
        return error_set(err, ERROR_FORMAT, "orders", "shared memory is shorter than it should be");
    *base = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    if (*base == MAP_FAILED)
        return error_set_errno(err, errno, "orders", "cannot map %llu bytes",
                               (unsigned long long)bytes);
    return 0;
}

/* Nobody is left to be answered, but the device may still read pictures. */
static void wait_for_all(struct worker *worker)
{
    for (; worker->under_way > 0; worker->under_way--) {
        const struct begun *begun = &worker->begun[worker->oldest];
        worker->oldest = (worker->oldest + 1) % RUNNER_DEPTH_MAX;
        if (!begun->failed)
            finish_oldest(worker, begun, NULL);
    }
}

static void finish(struct worker *worker)
{
    wait_for_all(worker);
    for (size_t i = 0; i < WORKER_POOLS_MAX; i++)
        if (worker->pools[i].id != 0)
            unmap_pool(worker, &worker->pools[i]);
    if (worker->runner)
        worker->class->close(&worker->runner);
    if (worker->results)
        munmap(worker->results, RESULTS_BYTES);
    close(worker->fd);
    free(worker);
}
