/* pool_parts: what the files behind pool.h share: pool.c (streams, jobs, turns) and worker_link.c
 * (the server's side of one worker), among others. */
#ifndef RUNESPOOR_DEVICES_POOL_PARTS_H
#define RUNESPOOR_DEVICES_POOL_PARTS_H

#include "devices/batch.h"
#include "devices/child.h"
#include "devices/choose.h"
#include "devices/fair.h"
#include "devices/idle.h"
#include "devices/pool.h"
#include "devices/share.h"

/* The server's side of one worker: its process, and the jobs inside it. */
struct worker_link {
    struct pool *pool;
    size_t index;
    char name[ORDER_NAME_BYTES];
    enum device_kind kind;
    uint32_t threads, gpu, service_ms;
    uint32_t batch; /* pictures that it analyses together at most */

    struct child child;
    uint32_t models_open;                      /* of the present process, during its handshake */
    struct batch_times times[POOL_MODELS_MAX]; /* of the present process */
    struct job *jobs[WORKER_PICTURES_MAX];     /* inside it; the first ends first */
    uint32_t inside;                           /* of them */
    struct {
        uint32_t size, left;    /* pictures, and those that are not answered yet */
    } batches[WORKER_JOBS_MAX]; /* load->jobs of them make up all jobs; the first is at work */
    uint64_t given;             /* jobs given to it so far; the last one's number */
    bool preparing;             /* the batch at work waits for its plan to be made */
    struct worker_load *load;   /* pool->loads[index] */

    int results_fd;                 /* struct analysis[WORKER_PICTURES_MAX], the worker writes */
    const struct analysis *results; /* the same, mapped for reading */

    struct metric_counter *busy_us, *done, *by_size[POOL_BATCH_STEPS];
};

/* Class names of a model, as the first worker that opened it told them. */
struct pool_classes {
    char *block;        /* the names one after the other; NULL: not known yet */
    const char **names; /* into block */
    size_t block_bytes;
    uint32_t count;
    bool masks; /* areas are answered with their masks */
};

struct pool_served {
    char *name, *folder;
    char *networks[POOL_NETWORKS_MAX]; /* as in struct pool_model */
    uint32_t network_count, fallback;
    struct metric_counter *by[RESTORE_NETWORK + 1]; /* enum restore_kind; none for bilinear */
};

/* The streams of one kind, live, late or idle: these take turns with each other. */
struct pool_turns {
    struct fair fair;
    size_t stream_count;
    struct metric_gauge *waiting;
    struct metric_counter *ended[JOB_FAILED + 1];
};

struct pool_stream {
    struct pool *pool;
    TAILQ_ENTRY(pool_stream) link;
    char *name;
    size_t model;
    bool late, idle; /* neither: live */
    pool_done_fn *done;
    void *arg;
    bool closing;                 /* takes no more pictures */
    size_t holds;                 /* being open, each job that is not free, a call in progress */
    struct shared_memory *memory; /* of the last picture; counted; NULL before the first, and idle */
    struct idle_arrivals arrivals; /* of live pictures */
    struct fair_queue queue;
    struct job_list free_jobs;
    struct job jobs[]; /* all that this stream can ever have */
};

struct pool {
    uv_loop_t *loop;
    struct metrics *metrics;
    char *program;
    struct pool_served models[POOL_MODELS_MAX];
    struct pool_classes classes[POOL_MODELS_MAX];
    size_t model_count;
    uint32_t queue_per_stream;
    uint64_t batch_wait_ns;
    bool round_robin;
    size_t turn; /* of round_robin */

    struct worker_link *workers;
    size_t worker_count;
    size_t room_inside; /* pictures that all workers together can have inside */
    struct worker_load loads[POOL_WORKERS_MAX]; /* ready is brought up to date before choosing */
    struct pool_turns live, late, idle;
    struct share share;
    TAILQ_HEAD(, pool_stream) streams;
    uv_timer_t again;         /* a picture was kept, for a reason that time may end */
    struct analysis analysis; /* the one being handed over: checked, and out of the worker's reach */

    pool_change_fn *on_change;
    void *change_arg;
    bool closing;
    size_t handles; /* workers and timer, until closed */
    void (*on_closed)(void *arg);
    void *closed_arg;

    struct metric_gauge *workers_ready;
    struct metric_histogram *wait; /* of live pictures */
};

/* worker_link.c */

/* Makes the results memory; starts nothing and makes no handle, so worker_link_finish undoes it. */
int worker_link_init(struct worker_link *link, struct pool *pool, size_t index,
                     const struct device_config *device, uint32_t threads, struct error *err);
void worker_link_start(struct worker_link *link, uint32_t start_ms, uint32_t hang_ms);
bool worker_link_is_ready(const struct worker_link *link);
/* Gives it jobs to do together; there is room (link->load), and link->batch allows so many. When that fails
 * they stay the caller's, and the worker is lost. */
int worker_link_give(struct worker_link *link, struct job *const *jobs, uint32_t count);
/* Tells the worker to unmap a pool, if it has it. */
void worker_link_forget(struct worker_link *link, const struct shared_memory *memory);
/* After its child is closed, or when it was never started. */
void worker_link_finish(struct worker_link *link);

/* pool.c */

/* The class names of a model as a worker told them: bytes of count NUL-ended names. */
int pool_classes_fill(struct pool_classes *classes, const char *names, size_t bytes, uint32_t count,
                      struct error *err);
/* A job has ended in a worker, where nothing of it is left. analysis is NULL when the model refused
 * the picture. Gives the worker its next job first. */
void pool_end_job(struct pool *pool, struct worker_link *link, struct job *job, uint64_t begun_ns,
                  const struct analysis *analysis, const struct reply_done *reply);
/* One of several pictures that were analysed together could not be, and nobody knows which: this one is tried
 * again, alone. */
void pool_retry_alone(struct pool *pool, struct job *job);
/* A worker was lost, and with it these jobs, the first at_work of them at work; together: in a batch of
 * more than one. */
void pool_return_jobs(struct pool *pool, struct job *const *jobs, size_t count, size_t at_work,
                      bool together, const char *cause);
/* A worker became ready or was lost. fatal: what it cannot use, or NULL. */
void pool_note_change(struct pool *pool, const struct error *fatal);
void pool_handle_closed(struct pool *pool);

/* pool_batch.c */

/* Takes those of the live pictures that wait, at least one, which the worker is to have next; 0: all wait for
 * others to come, and *again_ns, unless it is earlier or not 0, becomes the time at which to ask again. */
uint32_t pool_gather(struct pool *pool, const struct worker_link *link,
                     struct job *jobs[POOL_BATCH_MAX], uint64_t *again_ns);

/* pool_models.c */

/* Copies what is known of a model, and makes its counters. served is all zeros; after an error it is
 * freed as it is. */
int pool_served_init(struct pool_served *served, const struct pool_model *model,
                     struct metrics *metrics, struct error *err);
void pool_served_finish(struct pool_served *served);

/* pool_options.c */

/* Makes everything in a pool but what belongs to the loop; starts nothing. pool is all zeros but for
 * metrics; after an error it is freed as it is. */
int pool_init(struct pool *pool, const struct pool_config *config, const struct pool_model *models,
              size_t model_count, const char *program, struct error *err);
void pool_free(struct pool *pool);

/* "cpu", "cuda", "simulated". */
const char *pool_device_word(enum device_kind kind);
/* How many threads each device gets: its own number, or for 0 an even share of what the others
 * leave of the processors, at least 1. Devices other than cpu get 0. */
void pool_share_threads(const struct device_config *devices, size_t count, uint32_t processors,
                        uint32_t *threads);
/* Processors that this process may run on. */
uint32_t pool_count_processors(void);

#endif
