/* decode: lanes with work stand in one queue; a thread takes the first lane, decodes one packet of
 * it and puts the lane back at the end. So streams take turns, and a stream is in the hands of at
 * most one thread. One lock for everything: it is held for a few pointer moves per packet. */
#include "ingest/decode.h"
#include "base/clock.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct job_list {
    struct decode_job *first, *last;
    size_t count;
};

struct decode_lane {
    struct decode_pool *pool;
    struct decode_lane_config config; /* constant */
    decode_done_fn *done;
    void *arg;
    void (*closed)(void *arg); /* loop thread */
    void *closed_arg;
    /* under the pool's lock */
    struct job_list waiting;
    bool running, closing;
    struct decode_lane *next; /* in the ready or the closed list, never both */
    /* the thread that runs the lane */
    struct decoder *decoder;
    enum video_codec codec;
};

struct lane_list {
    struct decode_lane *first, *last;
};

struct decode_pool {
    uv_async_t wake; /* first, so that the close callback can free the pool */
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct lane_list ready, closed; /* under lock */
    struct job_list finished;       /* under lock */
    bool stopping;                  /* under lock */
    enum decoder_kind kinds[VIDEO_CODEC_COUNT]; /* constant */
    size_t lane_count;              /* loop thread */
    uint32_t thread_count;
    pthread_t threads[];
};

static void *run_thread(void *arg);
static void on_wake(uv_async_t *wake);
static void on_pool_closed(uv_handle_t *handle);
static void stop_threads(struct decode_pool *pool, uint32_t count);

static void job_list_add(struct job_list *list, struct decode_job *job)
{
    job->next = NULL;
    *(list->first ? &list->last->next : &list->first) = job;
    list->last = job;
    list->count++;
}

static struct decode_job *job_list_take(struct job_list *list)
{
    struct decode_job *job = list->first;

    if (job) {
        list->first = job->next;
        list->count--;
    }
    return job;
}

static void lane_list_add(struct lane_list *list, struct decode_lane *lane)
{
    lane->next = NULL;
    *(list->first ? &list->last->next : &list->first) = lane;
    list->last = lane;
}

static struct decode_lane *lane_list_take(struct lane_list *list)
{
    struct decode_lane *lane = list->first;

    if (lane)
        list->first = lane->next;
    return lane;
}

static void lane_list_remove(struct lane_list *list, struct decode_lane *lane)
{
    struct decode_lane *before = NULL;

    for (struct decode_lane *l = list->first; l; before = l, l = l->next) {
        if (l != lane)
            continue;
        *(before ? &before->next : &list->first) = lane->next;
        if (list->last == lane)
            list->last = before;
        return;
    }
}

int decode_pool_open(struct decode_pool **out, uv_loop_t *loop,
                     const struct decode_pool_config *config, struct error *err)
{
    uint32_t threads = config->threads;
    if (threads == 0) {
        threads = uv_available_parallelism();
        if (threads > DECODE_THREADS_AUTO_MAX)
            threads = DECODE_THREADS_AUTO_MAX;
    }
    struct decode_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
    if (!pool)
        return error_set(err, ERROR_MEMORY, "decode", "no room for %u threads", threads);
    memcpy(pool->kinds, config->kinds, sizeof pool->kinds);
    int rc = uv_async_init(loop, &pool->wake, on_wake);
    if (rc < 0) {
        free(pool);
        return error_set(err, ERROR_IO, "decode", "no wake-up handle: %s", uv_strerror(rc));
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    for (uint32_t i = 0; i < threads; i++) {
        rc = pthread_create(&pool->threads[i], NULL, run_thread, pool);
        if (rc != 0) {
            stop_threads(pool, i);
            uv_close((uv_handle_t *)&pool->wake, on_pool_closed);
            return error_set_errno(err, rc, "decode", "cannot start thread %u of %u", i + 1, threads);
        }
    }
    pool->thread_count = threads;
    *out = pool;
    return 0;
}

void decode_pool_close(struct decode_pool **pool)
{
    if (!*pool)
        return;
    assert((*pool)->lane_count == 0);
    stop_threads(*pool, (*pool)->thread_count);
    uv_close((uv_handle_t *)&(*pool)->wake, on_pool_closed);
    *pool = NULL;
}

int decode_lane_open(struct decode_pool *pool, struct decode_lane **out,
                     const struct decode_lane_config *config, decode_done_fn *done, void *arg,
                     struct error *err)
{
    struct decode_lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return error_set(err, ERROR_MEMORY, "decode", "no room for a stream");
    *lane = (struct decode_lane){ .pool = pool, .config = *config, .done = done, .arg = arg };
    pool->lane_count++;
    *out = lane;
    return 0;
}

void decode_lane_submit(struct decode_lane *lane, struct decode_job *job)
{
    struct decode_pool *pool = lane->pool;

    job->lane = lane;
    job->result = -ERROR_END;
    job->picture = NULL;
    job->left = DECODER_SOFTWARE;
    pthread_mutex_lock(&pool->lock);
    assert(!lane->closing);
    bool idle = !lane->running && lane->waiting.count == 0;
    job_list_add(&lane->waiting, job);
    if (idle)
        lane_list_add(&pool->ready, lane);
    pthread_mutex_unlock(&pool->lock);
    if (idle)
        pthread_cond_signal(&pool->work);
}

size_t decode_lane_depth(const struct decode_lane *lane)
{
    pthread_mutex_lock(&lane->pool->lock);
    size_t depth = lane->waiting.count;
    pthread_mutex_unlock(&lane->pool->lock);
    return depth;
}

void decode_lane_close(struct decode_lane **closed_lane, void (*closed)(void *arg), void *arg)
{
    struct decode_lane *lane = *closed_lane;
    struct decode_pool *pool = lane->pool;

    *closed_lane = NULL;
    lane->closed = closed;
    lane->closed_arg = arg;
    pthread_mutex_lock(&pool->lock);
    struct job_list unserved = lane->waiting;
    lane->waiting = (struct job_list){ 0 };
    lane->closing = true;
    if (!lane->running) {
        if (unserved.count > 0)
            lane_list_remove(&pool->ready, lane);
        lane_list_add(&pool->closed, lane);
    }
    pthread_mutex_unlock(&pool->lock);
    uv_async_send(&pool->wake);
    for (struct decode_job *job; (job = job_list_take(&unserved));) {
        zmq_msg_close(&job->payload);
        job->started_ns = job->ended_ns = clock_now_ns();
        lane->done(lane->arg, job);
    }
}

/* Decoder threads */

static int open_decoder(struct decode_lane *lane, enum video_codec codec, struct error *err)
{
    if (lane->decoder && lane->codec == codec)
        return 0;
    decoder_close(&lane->decoder);
    lane->codec = codec;
    return decoder_open(&lane->decoder,
                        &(struct decoder_config){ .codec = codec,
                                                  .kind = lane->pool->kinds[codec],
                                                  .width_max = lane->config.width_max,
                                                  .height_max = lane->config.height_max,
                                                  .pictures = lane->config.pictures },
                        err);
}

static void decode_one(struct decode_lane *lane, struct decode_job *job)
{
    job->started_ns = clock_now_ns();
    job->result = open_decoder(lane, job->codec, &job->error);
    if (job->result == 0) {
        const enum decoder_kind kind = decoder_kind(lane->decoder);
        job->result =
            decoder_decode(lane->decoder, zmq_msg_data(&job->payload), zmq_msg_size(&job->payload),
                           job->keyframe, &job->picture, &job->error);
        job->left = decoder_kind(lane->decoder) == kind ? DECODER_SOFTWARE : kind;
    }
    zmq_msg_close(&job->payload);
    job->ended_ns = clock_now_ns();
}

static void *run_thread(void *arg)
{
    struct decode_pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct decode_lane *lane = lane_list_take(&pool->ready);
        if (!lane && pool->stopping)
            break;
        if (!lane) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        struct decode_job *job = job_list_take(&lane->waiting);
        lane->running = true;
        pthread_mutex_unlock(&pool->lock);
        decode_one(lane, job);
        pthread_mutex_lock(&pool->lock);
        lane->running = false;
        job_list_add(&pool->finished, job);
        if (lane->closing)
            lane_list_add(&pool->closed, lane);
        else if (lane->waiting.count > 0)
            lane_list_add(&pool->ready, lane);
        uv_async_send(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void stop_threads(struct decode_pool *pool, uint32_t count)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_broadcast(&pool->work);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(pool->threads[i], NULL);
}

/* Loop thread */

static void on_wake(uv_async_t *wake)
{
    struct decode_pool *pool = (struct decode_pool *)wake;

    pthread_mutex_lock(&pool->lock);
    struct job_list finished = pool->finished;
    struct lane_list closed = pool->closed;
    pool->finished = (struct job_list){ 0 };
    pool->closed = (struct lane_list){ 0 };
    pthread_mutex_unlock(&pool->lock);
    for (struct decode_job *job; (job = job_list_take(&finished));)
        job->lane->done(job->lane->arg, job);
    for (struct decode_lane *lane; (lane = lane_list_take(&closed));) {
        decoder_close(&lane->decoder);
        pool->lane_count--;
        lane->closed(lane->closed_arg);
        free(lane);
    }
}

static void on_pool_closed(uv_handle_t *handle)
{
    struct decode_pool *pool = (struct decode_pool *)handle;

    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    free(pool);
}
