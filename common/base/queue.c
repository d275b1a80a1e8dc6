/* queue: a ring under one mutex. Frames come tens to hundreds a second, so a lock that is almost
 * never contended costs less than the care a lock-free ring needs. */
#include "base/queue.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct queue {
    enum queue_policy policy; /* constant, like the ring's place and size */
    size_t capacity;
    void **ring;
    void (*wake)(void *arg); /* set before other threads use the queue */
    void *wake_arg;

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t filled, emptied;
    size_t first; /* the oldest item; counts.depth items follow it round the ring */
    bool closed;
    struct queue_counts counts;
};

static void push(struct queue *queue, void *item);
static void *pop(struct queue *queue);
static bool wait_filled(struct queue *queue, uint32_t timeout_ms);
static int init_locks(struct queue *queue);

int queue_create(struct queue **queue, size_t capacity, enum queue_policy policy, struct error *err)
{
    assert(queue && capacity >= 1);
    struct queue *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "queue", "no room for %zu bytes", sizeof *fresh);
    fresh->policy = policy;
    fresh->capacity = capacity;
    fresh->ring = calloc(capacity, sizeof *fresh->ring);
    if (!fresh->ring) {
        free(fresh);
        return error_set(err, ERROR_MEMORY, "queue", "no room for %zu items", capacity);
    }
    int failed = init_locks(fresh);
    if (failed) {
        free(fresh->ring);
        free(fresh);
        return error_set_errno(err, failed, "queue", "cannot make its lock");
    }
    *queue = fresh;
    return 0;
}

void queue_set_waker(struct queue *queue, void (*wake)(void *arg), void *arg)
{
    queue->wake = wake;
    queue->wake_arg = arg;
}

enum queue_result queue_put(struct queue *queue, void *item, void **dropped)
{
    assert(queue->policy != QUEUE_DROP_OLDEST || dropped);
    enum queue_result result = QUEUE_OK;
    pthread_mutex_lock(&queue->lock);
    if (queue->policy == QUEUE_BLOCK)
        while (!queue->closed && queue->counts.depth == queue->capacity)
            pthread_cond_wait(&queue->emptied, &queue->lock);
    if (queue->closed) {
        result = QUEUE_CLOSED;
        queue->counts.refused++;
    } else if (queue->counts.depth < queue->capacity) {
        push(queue, item);
    } else if (queue->policy == QUEUE_DROP_OLDEST) {
        result = QUEUE_DROPPED;
        *dropped = pop(queue);
        queue->counts.dropped++;
        push(queue, item);
    } else {
        result = QUEUE_FULL;
        queue->counts.refused++;
    }
    pthread_mutex_unlock(&queue->lock);
    bool entered = result == QUEUE_OK || result == QUEUE_DROPPED;
    if (entered && queue->wake)
        queue->wake(queue->wake_arg);
    return result;
}

enum queue_result queue_take(struct queue *queue, void **item, uint32_t timeout_ms)
{
    enum queue_result result = QUEUE_OK;
    pthread_mutex_lock(&queue->lock);
    if (wait_filled(queue, timeout_ms)) {
        *item = pop(queue);
        queue->counts.taken++;
        pthread_cond_signal(&queue->emptied);
    } else {
        result = queue->closed ? QUEUE_CLOSED : QUEUE_EMPTY;
    }
    pthread_mutex_unlock(&queue->lock);
    return result;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_cond_broadcast(&queue->emptied);
    pthread_mutex_unlock(&queue->lock);
    if (queue->wake)
        queue->wake(queue->wake_arg);
}

void queue_destroy(struct queue **queue, void (*drop)(void *item))
{
    if (!*queue)
        return;
    struct queue *old = *queue;
    *queue = NULL;
    while (old->counts.depth > 0) {
        void *item = pop(old);
        if (drop)
            drop(item);
    }
    pthread_cond_destroy(&old->emptied);
    pthread_cond_destroy(&old->filled);
    pthread_mutex_destroy(&old->lock);
    free(old->ring);
    free(old);
}

void queue_get_counts(struct queue *queue, struct queue_counts *counts)
{
    pthread_mutex_lock(&queue->lock);
    *counts = queue->counts;
    pthread_mutex_unlock(&queue->lock);
}

static void push(struct queue *queue, void *item)
{
    struct queue_counts *counts = &queue->counts;
    queue->ring[(queue->first + counts->depth) % queue->capacity] = item;
    counts->depth++;
    counts->put++;
    if (counts->depth > counts->depth_max)
        counts->depth_max = counts->depth;
    pthread_cond_signal(&queue->filled);
}

static void *pop(struct queue *queue)
{
    void *item = queue->ring[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->counts.depth--;
    return item;
}

/* True when there is something to take; false when time is up, or when closed and drained. */
static bool wait_filled(struct queue *queue, uint32_t timeout_ms)
{
    struct timespec until = { 0 };
    if (timeout_ms > 0 && timeout_ms < UINT32_MAX && queue->counts.depth == 0) {
        uint64_t deadline_ns = clock_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
        until.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S);
        until.tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S);
    }
    int waited = timeout_ms == 0 ? ETIMEDOUT : 0;
    while (queue->counts.depth == 0 && !queue->closed && waited != ETIMEDOUT) {
        if (timeout_ms == UINT32_MAX)
            pthread_cond_wait(&queue->filled, &queue->lock);
        else
            waited = pthread_cond_timedwait(&queue->filled, &queue->lock, &until);
    }
    return queue->counts.depth > 0;
}

/* The conditions wait on the monotonic clock: a clock that is set must not stretch a timeout. */
static int init_locks(struct queue *queue)
{
    pthread_condattr_t monotonic;
    int failed = pthread_condattr_init(&monotonic);
    if (failed)
        return failed;
    failed = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (!failed)
        failed = pthread_cond_init(&queue->filled, &monotonic);
    if (failed)
        goto out;
    failed = pthread_cond_init(&queue->emptied, &monotonic);
    if (failed)
        goto no_emptied;
    failed = pthread_mutex_init(&queue->lock, NULL);
    if (!failed)
        goto out;
    pthread_cond_destroy(&queue->emptied);
no_emptied:
    pthread_cond_destroy(&queue->filled);
out:
    pthread_condattr_destroy(&monotonic);
    return failed;
}
