/* pool: the worker processes, and who works on which picture.
 *
 * Each worker is a child process (`cloud-server worker`, the same binary) that owns one device.
 * Pictures and analyses lie in shared memory, orders go over a socket pair. Jobs are served first
 * come, first served, to the first free worker; streams take turns so that none starves (fair.h),
 * and a slow worker is spared what a faster one would finish sooner (choose.h). Late streams, backlogs, stand
 * behind live ones; idle streams get what these do not miss (idle.h). Pictures of one model go together where that
 * saves time (batch.h). A worker that dies or hangs is killed, its jobs go to others, each alone from then on
 * (JOB_TRIES_MAX times), and it is started again with backoff; one whose device cannot be used at all
 * is tried again seldom, while the others go on. Everything here runs on the loop
 * thread, which has to live as long as the pool: the kernel kills a worker when the thread that
 * started it ends. */
#ifndef RUNESPOOR_DEVICES_POOL_H
#define RUNESPOOR_DEVICES_POOL_H

#include "analyse/analysis.h"
#include "config/config.h"
#include "media/picture.h"
#include "net/metrics.h"
#include <uv.h>

#define JOB_TRIES_MAX 2u
#define POOL_WORKERS_MAX 64u
#define POOL_GPU_NUMBER_MAX 63u
#define POOL_STREAMS_MAX 1024u /* live ones; and as many idle ones */
#define POOL_MODELS_MAX 32u
#define POOL_IDLE_WAITING_MAX 8u /* pictures of all idle streams; at 4K each has 12 MB */
#define POOL_NETWORKS_MAX 8u     /* that restore for one model */
#define POOL_NETWORKS_CARD "card"
#define POOL_BATCH_MAX 16u  /* pictures that are analysed together */
#define POOL_BATCH_STEPS 5u /* batches of 1, 2, 4, 8, 16 */

enum device_kind { DEVICE_CPU, DEVICE_CUDA, DEVICE_SIMULATED };

/* One entry of the list `devices`. */
struct device_config {
    char *name;
    int kind;
    uint32_t threads;    /* cpu; 0: an even share of the processors */
    uint32_t gpu;        /* cuda: its number */
    uint32_t service_ms; /* simulated: time per picture; the analysis is computed from its pixels */
    uint32_t batch;      /* pictures analysed together at most; 0: as is good for the kind */
};
extern const struct option_spec device_options[];

struct pool_config {
    struct option_list devices; /* struct device_config */
    uint32_t hang_ms;           /* a job that takes longer: the worker is killed */
    uint32_t start_ms;          /* a worker that is not ready by then is killed */
    uint32_t batch_wait_ms;     /* a picture waits no longer for others to be analysed with it */
    uint32_t queue_per_stream;  /* pictures waiting; the oldest is dropped beyond (live) */
    bool round_robin;           /* tests and benches only: job i to worker i mod n */
};
extern const struct option_spec pool_options[];

/* What to do where no network fits a picture smaller than the camera's. Auto: bicubic for models that
 * have networks, nothing for others. */
enum restore_fallback { FALLBACK_AUTO, FALLBACK_NONE, FALLBACK_BICUBIC };

/* A model that streams may ask for, and what restores pictures for it that are smaller than the
 * camera's: the first network that makes exactly the camera's size of them, else what the fallback
 * says. A network that keeps the size serves pictures of full size. */
struct pool_model {
    const char *name, *folder;
    struct option_strings networks; /* ONNX files, and POOL_NETWORKS_CARD for those of the card */
    int fallback;                   /* enum restore_fallback */
};

/* What a picture was before the sender scaled it. */
struct camera_size {
    uint32_t width, height;
};

enum job_status {
    JOB_DONE,
    JOB_DROPPED_QUEUE,  /* a newer picture of the stream took its place */
    JOB_DROPPED_WORKER, /* JOB_TRIES_MAX workers were lost while they worked on it */
    JOB_DROPPED_CLOSED, /* the stream ended or the pool stopped */
    JOB_FAILED,         /* the model refused this picture; reason in words */
};

struct job_result {
    enum job_status status;
    const char *reason;              /* for people; "" when done */
    const struct analysis *analysis; /* borrowed for the call; NULL unless JOB_DONE */
    uint32_t wait_us;                /* from pool_submit until work on it began, or it ended */
    uint32_t worker;                 /* index, when done or failed */
    /* The next two only when done. */
    const char *restored; /* "network NAME", "bicubic", or "" for as it was received */
    const char *fallback; /* why no network was used where one should have been, else "" */
};

struct pool;
struct pool_stream;

/* Called once for every submitted job, in the order in which work ends (not in submit order). It
 * may call anything here, also close its own stream or the pool. */
typedef void pool_done_fn(void *stream_arg, uint64_t ticket, struct picture *picture,
                          const struct job_result *result);

/* Starts the workers; they become ready later (pool_ready). Models are checked by the workers
 * (sample picture included) before they serve. program: path of this binary, run as
 * `program worker --fd N`; any program will do that calls worker_main(N) then, so a test may give
 * its own path. Without devices in config one cpu worker is started. */
int pool_open(struct pool **pool, uv_loop_t *loop, const struct pool_config *config,
              const struct pool_model *models, size_t model_count, struct metrics *metrics,
              const char *program, struct error *err);

/* Workers ready now; reason (for people) why not all are. */
size_t pool_ready(const struct pool *pool, char *reason, size_t reason_bytes);
/* Whether one is ready, or may be soon because it is starting. */
bool pool_may_serve(const struct pool *pool);
/* on_change is called when a worker becomes ready, dies, or gives up on a model (then fatal is set and
 * names worker, model and cause: a wrong model is not cured by trying again, so this worker stays
 * down while the others go on). */
typedef void pool_change_fn(void *arg, const struct error *fatal);
void pool_set_change(struct pool *pool, pool_change_fn *on_change, void *arg);

/* A worker as it is now; its strings are borrowed until the next turn of the loop. */
struct pool_worker {
    const char *name, *kind;
    uint32_t threads;     /* cpu */
    uint32_t gpu;         /* cuda */
    const char *state;    /* in words */
    const char *last_end; /* the word of server_worker_restarts_total; "" before the first */
    const char *cause;    /* of that end, for people */
};
size_t pool_worker_count(const struct pool *pool);
void pool_worker_get(const struct pool *pool, size_t index, struct pool_worker *worker);

/* Class names of a model, once a worker has loaded it; borrowed until the pool is closed. NULL when
 * unknown. */
const char *pool_class_name(const struct pool *pool, size_t model, uint32_t class_id);
/* Whether its card wants areas answered with their masks; known as the names are. Analyses have them in any
 * case. */
bool pool_shows_masks(const struct pool *pool, size_t model);
size_t pool_model_count(const struct pool *pool);

/* A live stream. */
int pool_stream_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                     pool_done_fn *done, void *arg, struct error *err);
/* A late stream: a backlog. Its pictures wait in turn with those of other late streams; they are worked
 * on while no live one waits, or when one has waited for POOL_LATE_WAIT_MS: so they keep live ones
 * waiting little, and never starve. They go to a worker without any job. All else is as with a live
 * stream. They are counted apart: server_pool_late_jobs_total. */
#define POOL_LATE_WAIT_MS 2000u
int pool_late_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                   pool_done_fn *done, void *arg, struct error *err);
/* An idle stream: a worker gets a picture of it only when no live one is expected to miss that worker
 * meanwhile (idle.h), which may be never. Its pictures are looked at as they are: nothing restores them. All else is as with a live one, but its pictures do not
 * push each other out: they wait in turn until the stream is closed, and pool_submit refuses those
 * for which there is no room. They are counted apart: server_pool_idle_jobs_total. */
int pool_idle_open(struct pool *pool, struct pool_stream **stream, const char *name, size_t model,
                   pool_done_fn *done, void *arg, struct error *err);
/* Takes its own reference of picture (which must lie in shared memory: picture_get_place). camera is
 * what the picture was before the sender scaled it. done is called later, never from inside this
 * call, except for a job that this one pushed out. -ERROR_AGAIN for an idle stream while
 * POOL_IDLE_WAITING_MAX pictures wait; then, as after any error, done is not called for it. */
int pool_submit(struct pool_stream *stream, uint64_t ticket, struct picture *picture,
                struct camera_size camera, struct error *err);
/* Pictures that wait for a worker; those inside workers do not count. */
size_t pool_stream_depth(const struct pool_stream *stream);
/* All its jobs are finished with JOB_DROPPED_CLOSED before this returns. Takes NULL. */
void pool_stream_close(struct pool_stream **stream);

/* Closes the streams that are still open (their pointers are no longer valid) and tells the workers
 * to leave by closing their sockets: those at work finish their picture, and are killed after
 * grace_ms. When all are gone done(arg) is called from the loop. Workers ignore SIGTERM, which a
 * service manager sends to the whole group, so that a server can drain before it closes its pool. */
void pool_close(struct pool **pool, uint32_t grace_ms, void (*done)(void *arg), void *arg);

#endif
