/* pool_options: the option tables of the pool, how a pool is made as they say, and how the processors are
 * shared out. */
#include "devices/pool_parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const device_words[] = {
    [DEVICE_CPU] = "cpu", [DEVICE_CUDA] = "cuda", [DEVICE_SIMULATED] = "simulated", NULL
};

const struct option_spec device_options[] = {
    OPTION_STRING(device_config, name, "", "name in logs and metrics; empty: kind and number"),
    OPTION_ENUM(device_config, kind, "cpu", device_words,
                "what works: this machine's processors, one NVIDIA GPU, or a stand-in that only "
                "takes its time"),
    OPTION_U32(device_config, threads, "0", 0, 1024, "threads",
               "cpu: threads of this worker; 0: an even share of the processors"),
    OPTION_U32(device_config, gpu, "0", 0, POOL_GPU_NUMBER_MAX, "",
               "cuda: which GPU, from 0 on in CUDA's order"),
    OPTION_U32(
        device_config, service_ms, "20", 1, 60000, "ms",
        "simulated: time that it takes for a picture, and half of it for each further one of "
        "a batch"),
    OPTION_U32(
        device_config, batch, "0", 0, POOL_BATCH_MAX, "pictures",
        "pictures of several streams that are analysed together at most, 2, 4, 8 or 16, where "
        "this takes less time; 0: 8 for cuda, 1 for others"),
    OPTION_END,
};

const struct option_spec pool_options[] = {
    OPTION_LIST(pool_config, devices, device_config, device_options, 0, POOL_WORKERS_MAX,
                "worker processes, one device each; none given: one cpu worker"),
    OPTION_U32(pool_config, hang_ms, "10000", 100, 600000, "ms",
               "a worker that takes longer for one picture is killed and started again"),
    OPTION_U32(pool_config, start_ms, "120000", 1000, 3600000, "ms",
               "a worker whose models are not loaded and checked by then is started again"),
    OPTION_U32(
        pool_config, batch_wait_ms, "5", 0, 1000, "ms",
        "a picture waits no longer than this for another one to be analysed with it, and only "
        "if that is expected to come by then and the workers have much to do; 0: never"),
    OPTION_U32(pool_config, queue_per_stream, "4", 1, 1024, "pictures",
               "pictures of a stream that may wait for a worker; the oldest is dropped beyond"),
    OPTION_BOOL(pool_config, round_robin, "false",
                "give pictures to the workers strictly in turn; slower, for comparison only"),
    OPTION_END,
};

static void make_metrics(struct pool *pool);
static void count_ends(struct pool *pool, struct pool_turns *turns, const char *name,
                       const char *help);
static int init_workers(struct pool *pool, const struct option_list *devices, struct error *err);
static int check_names(const struct pool *pool, struct error *err);

int pool_init(struct pool *pool, const struct pool_config *config, const struct pool_model *models,
              size_t model_count, const char *program, struct error *err)
{
    TAILQ_INIT(&pool->streams);
    fair_init(&pool->live.fair, config->queue_per_stream);
    fair_init(&pool->late.fair, config->queue_per_stream);
    fair_init(&pool->idle.fair, POOL_IDLE_WAITING_MAX);
    pool->queue_per_stream = config->queue_per_stream;
    pool->round_robin = config->round_robin;
    pool->batch_wait_ns = config->batch_wait_ms * CLOCK_NS_PER_MS;
    pool->program = strdup(program);
    if (!pool->program)
        return error_set(err, ERROR_MEMORY, "pool", "no room for the program's name");
    if (model_count > POOL_MODELS_MAX)
        return error_set(err, ERROR_LIMIT, "pool", "%zu models, at most %u can be served",
                         model_count, POOL_MODELS_MAX);
    for (; pool->model_count < model_count; pool->model_count++) {
        size_t i = pool->model_count;
        int failed = pool_served_init(&pool->models[i], &models[i], pool->metrics, err);
        if (failed)
            return failed; /* pool_free frees what there is of it */
    }
    make_metrics(pool);
    return init_workers(pool, &config->devices, err);
}

void pool_free(struct pool *pool)
{
    for (size_t i = 0; i < pool->worker_count; i++)
        worker_link_finish(&pool->workers[i]);
    free(pool->workers);
    for (size_t i = 0; i < POOL_MODELS_MAX; i++) {
        pool_served_finish(&pool->models[i]);
        free(pool->classes[i].block);
        free(pool->classes[i].names);
    }
    free(pool->program);
    free(pool);
}

const char *pool_device_word(enum device_kind kind)
{
    return device_words[kind];
}

void pool_share_threads(const struct device_config *devices, size_t count, uint32_t processors,
                        uint32_t *threads)
{
    uint32_t fixed = 0, open = 0;
    for (size_t i = 0; i < count; i++) {
        threads[i] = devices[i].kind == DEVICE_CPU ? devices[i].threads : 0;
        fixed += threads[i];
        open += devices[i].kind == DEVICE_CPU && devices[i].threads == 0;
    }
    uint32_t left = processors > fixed ? processors - fixed : 0;
    for (size_t i = 0; i < count; i++) {
        if (devices[i].kind != DEVICE_CPU || devices[i].threads != 0)
            continue;
        uint32_t share = (left + open - 1) / open; /* the first ones get what does not divide */
        threads[i] = share > 0 ? share : 1;
        left -= share;
        open--;
    }
}

uint32_t pool_count_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

static void make_metrics(struct pool *pool)
{
    pool->workers_ready = metrics_gauge(pool->metrics, "server_workers_ready",
                                        "worker processes that take pictures", NULL, 0);
    pool->live.waiting = metrics_gauge(pool->metrics, "server_pool_queue_pictures",
                                       "pictures of all streams that wait for a worker", NULL, 0);
    pool->late.waiting =
        metrics_gauge(pool->metrics, "server_pool_late_queue_pictures",
                      "pictures of backlogs that wait for a worker", NULL, 0);
    pool->idle.waiting =
        metrics_gauge(pool->metrics, "server_pool_idle_queue_pictures",
                      "pictures that wait for a worker that live ones do not miss", NULL, 0);
    pool->wait = metrics_histogram(pool->metrics, "server_pool_wait_seconds",
                                   "time that a picture waited for a worker", NULL, 0);
    count_ends(pool, &pool->live, "server_pool_jobs_total", "pictures by what became of them");
    count_ends(pool, &pool->late, "server_pool_late_jobs_total",
               "pictures of backlogs by what became of them");
    count_ends(pool, &pool->idle, "server_pool_idle_jobs_total",
               "pictures for idle workers by what became of them");
}

static void count_ends(struct pool *pool, struct pool_turns *turns, const char *name, const char *help)
{
    static const char *const words[] = {
        [JOB_DONE] = "done",
        [JOB_DROPPED_QUEUE] = "dropped_queue",
        [JOB_DROPPED_WORKER] = "dropped_worker",
        [JOB_DROPPED_CLOSED] = "dropped_closed",
        [JOB_FAILED] = "failed",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct metric_label label = { "status", words[i] };
        turns->ended[i] = metrics_counter(pool->metrics, name, help, &label, 1);
    }
}

static int init_workers(struct pool *pool, const struct option_list *devices, struct error *err)
{
    static const struct device_config one_cpu = { .kind = DEVICE_CPU };
    const struct device_config *list = devices->count > 0 ? devices->items : &one_cpu;
    size_t count = devices->count > 0 ? devices->count : 1;
    uint32_t threads[POOL_WORKERS_MAX];
    if (count > POOL_WORKERS_MAX)
        return error_set(err, ERROR_LIMIT, "pool.devices", "%zu, at most %u are possible", count,
                         POOL_WORKERS_MAX);
    pool->workers = calloc(count, sizeof *pool->workers);
    if (!pool->workers)
        return error_set(err, ERROR_MEMORY, "pool", "no room for %zu workers", count);
    uint32_t processors = pool_count_processors(), sum = 0;
    pool_share_threads(list, count, processors, threads);
    for (; pool->worker_count < count; pool->worker_count++) {
        size_t i = pool->worker_count;
        int failed = worker_link_init(&pool->workers[i], pool, i, &list[i], threads[i], err);
        if (failed)
            return failed;
        sum += threads[i];
        pool->room_inside += (size_t)WORKER_JOBS_MAX * pool->workers[i].batch;
    }
    if (sum > processors)
        log_warn("pool", "cpu workers have more threads than there are processors",
                 LOG_U64("threads", sum), LOG_U64("processors", processors));
    return check_names(pool, err);
}

static int check_names(const struct pool *pool, struct error *err)
{
    for (size_t i = 0; i < pool->worker_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(pool->workers[i].name, pool->workers[j].name) == 0)
                return error_set(err, ERROR_CONFIG, "pool.devices",
                                 "two of them are named %s: give each its own name",
                                 pool->workers[i].name);
    return 0;
}
