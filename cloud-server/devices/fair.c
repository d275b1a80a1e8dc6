/* fair: intrusive lists only; see the header for the rule. */
#include "devices/fair.h"

#include <assert.h>

static void grow(struct fair *fair, struct fair_queue *queue);
static struct job *remove_oldest(struct fair *fair, struct fair_queue *queue);

void fair_init(struct fair *fair, size_t depth_full)
{
    *fair = (struct fair){ .depth_full = depth_full };
    TAILQ_INIT(&fair->ring);
}

void fair_queue_init(struct fair_queue *queue)
{
    *queue = (struct fair_queue){ 0 };
    TAILQ_INIT(&queue->jobs);
}

void fair_put(struct fair *fair, struct fair_queue *queue, struct job *job)
{
    if (queue->depth == 0)
        TAILQ_INSERT_TAIL(&fair->ring, queue, turn);
    TAILQ_INSERT_TAIL(&queue->jobs, job, link);
    grow(fair, queue);
}

void fair_put_back(struct fair *fair, struct fair_queue *queue, struct job *job)
{
    if (queue->depth > 0)
        TAILQ_REMOVE(&fair->ring, queue, turn);
    TAILQ_INSERT_HEAD(&fair->ring, queue, turn);
    TAILQ_INSERT_HEAD(&queue->jobs, job, link);
    grow(fair, queue);
}

struct fair_queue *fair_next(const struct fair *fair)
{
    return TAILQ_FIRST(&fair->ring);
}

struct job *fair_take(struct fair *fair)
{
    return fair_take_of(fair, fair_next(fair));
}

struct fair_queue *fair_after(const struct fair_queue *queue)
{
    return TAILQ_NEXT(queue, turn);
}

struct job *fair_take_of(struct fair *fair, struct fair_queue *queue)
{
    assert(queue && queue->depth > 0);
    TAILQ_REMOVE(&fair->ring, queue, turn);
    TAILQ_INSERT_TAIL(&fair->ring, queue, turn);
    return remove_oldest(fair, queue);
}

void fair_pass(struct fair *fair)
{
    struct fair_queue *queue = fair_next(fair);
    assert(queue);
    TAILQ_REMOVE(&fair->ring, queue, turn);
    TAILQ_INSERT_TAIL(&fair->ring, queue, turn);
}

struct job *fair_drop_oldest(struct fair *fair, struct fair_queue *queue)
{
    return queue->depth > 0 ? remove_oldest(fair, queue) : NULL;
}

static void grow(struct fair *fair, struct fair_queue *queue)
{
    fair->waiting++;
    if (++queue->depth == fair->depth_full)
        fair->full++;
}

static struct job *remove_oldest(struct fair *fair, struct fair_queue *queue)
{
    struct job *job = TAILQ_FIRST(&queue->jobs);
    TAILQ_REMOVE(&queue->jobs, job, link);
    fair->waiting--;
    if (queue->depth-- == fair->depth_full)
        fair->full--;
    if (queue->depth == 0)
        TAILQ_REMOVE(&fair->ring, queue, turn);
    return job;
}
