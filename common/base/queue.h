/* queue: bounded queue of pointers between two or more threads, with a named overflow policy and a
 * counter for each fate. A waker is called after every put, outside the lock (for uv_async_send).
 */
#ifndef RUNESPOOR_BASE_QUEUE_H
#define RUNESPOOR_BASE_QUEUE_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

enum queue_policy {
    QUEUE_DROP_OLDEST, /* a put into a full queue hands the oldest item back to the caller */
    QUEUE_BLOCK,       /* a put waits for room, or for queue_close */
    QUEUE_REFUSE,      /* a put into a full queue fails */
};

enum queue_result { QUEUE_OK, QUEUE_DROPPED, QUEUE_FULL, QUEUE_CLOSED, QUEUE_EMPTY };

struct queue;

struct queue_counts {
    uint64_t put, taken;
    uint64_t dropped; /* handed back as the oldest; they count as put, not as taken */
    uint64_t refused; /* puts into a full or closed queue */
    size_t depth, depth_max;
};

/* Makes a queue of capacity items (>= 1). The caller owns it until queue_destroy. */
int queue_create(struct queue **queue, size_t capacity, enum queue_policy policy,
                 struct error *err);

/* wake(arg) is called after each put that entered and after closing, from that thread. May be NULL.
 * Set it before other threads use the queue. */
void queue_set_waker(struct queue *queue, void (*wake)(void *arg), void *arg);

/* Takes ownership of item on QUEUE_OK and QUEUE_DROPPED. On QUEUE_DROPPED *dropped is the oldest
 * item, which the caller now owns. On QUEUE_FULL (refuse) and QUEUE_CLOSED item stays the caller's.
 * dropped may be NULL with the other policies. */
enum queue_result queue_put(struct queue *queue, void *item, void **dropped);

/* Takes the oldest item. timeout_ms 0 never waits, UINT32_MAX waits for ever. QUEUE_EMPTY on
 * timeout; QUEUE_CLOSED when closed and drained. */
enum queue_result queue_take(struct queue *queue, void **item, uint32_t timeout_ms);

/* Refuses puts from now on and wakes all waiters; items inside can still be taken. Any thread. */
void queue_close(struct queue *queue);

/* Frees the queue, calling drop(item) for what is still inside. Nobody may use it any more.
 * Takes NULL; sets *queue to NULL. */
void queue_destroy(struct queue **queue, void (*drop)(void *item));

void queue_get_counts(struct queue *queue, struct queue_counts *counts);

#endif
