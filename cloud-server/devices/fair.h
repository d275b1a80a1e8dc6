/* fair: the pictures that wait for a worker. Each stream has its own queue, and the queues that are
 * not empty stand in a ring: the next picture is the oldest of the stream whose turn it is, which
 * then goes to the end. With one picture a stream this is first come, first served; a stream with
 * many waiting gets as many turns as any other, and none starves. Moves pointers, allocates
 * nothing. */
#ifndef RUNESPOOR_DEVICES_FAIR_H
#define RUNESPOOR_DEVICES_FAIR_H

#include "devices/pool.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct pool_stream;
struct shared_memory;

/* One picture on its way to an analysis. The stream owns its memory, pool.c fills it. */
struct job {
    TAILQ_ENTRY(job) link; /* in a fair_queue, or among the stream's free jobs */
    struct pool_stream *stream;
    struct shared_memory *memory; /* where the picture lies; counted */
    struct picture *picture;      /* our reference */
    struct camera_size camera;
    uint64_t ticket;
    uint64_t submitted_ns;
    uint32_t tries;  /* workers lost over it so far */
    uint32_t result; /* its place in the results memory of the worker that has it */
    bool alone;      /* it was in a batch that failed or was lost: it goes in none any more */
    bool told;       /* done was called; only the worker still has to let go of it */
};

TAILQ_HEAD(job_list, job);

/* The waiting pictures of one stream. */
struct fair_queue {
    struct job_list jobs; /* oldest first */
    size_t depth;
    TAILQ_ENTRY(fair_queue) turn; /* in the ring while depth > 0 */
};

struct fair {
    TAILQ_HEAD(, fair_queue) ring; /* the first one's turn is next */
    size_t waiting;                /* pictures in all queues */
    size_t depth_full;             /* a queue this deep is full; the callers keep to it */
    size_t full;                   /* queues that are */
};

void fair_init(struct fair *fair, size_t depth_full);
void fair_queue_init(struct fair_queue *queue);

/* Puts a job behind the others of its stream. */
void fair_put(struct fair *fair, struct fair_queue *queue, struct job *job);
/* Puts back a job that a worker did not finish: it is the next one of all to be taken. */
void fair_put_back(struct fair *fair, struct fair_queue *queue, struct job *job);
/* The queue whose turn it is; NULL when nothing waits. */
struct fair_queue *fair_next(const struct fair *fair);
/* Takes the oldest job of the queue whose turn it is, which ends its turn; not when nothing waits. */
struct job *fair_take(struct fair *fair);
/* The queue whose turn comes after that of this one; NULL: it is the last. */
struct fair_queue *fair_after(const struct fair_queue *queue);
/* Takes the oldest job of any queue in the ring, which ends its turn. */
struct job *fair_take_of(struct fair *fair, struct fair_queue *queue);
/* Ends the turn of the queue whose turn it is, without taking anything; not when nothing waits. */
void fair_pass(struct fair *fair);
/* Takes the oldest job of one queue without ending a turn; NULL when it is empty. */
struct job *fair_drop_oldest(struct fair *fair, struct fair_queue *queue);

#endif
