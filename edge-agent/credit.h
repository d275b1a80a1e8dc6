/* credit: how many frames a camera may still send, shared between its thread and the loop.
 *
 * The server grants credits with Welcome and gives one back with every answer. A session has an
 * epoch; what was taken in an older epoch is void, so a credit taken while the link breaks cannot
 * leak into the next session. */
#ifndef RUNESPOOR_EDGE_CREDIT_H
#define RUNESPOOR_EDGE_CREDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define CREDITS_MAX 256u

struct credit {
    uv_mutex_t mutex;
    uv_cond_t changed;
    uint32_t epoch;         /* of the session that is up; 0: none */
    uint32_t epoch_last;    /* the newest ever given */
    uint32_t granted, left; /* left <= granted */
    bool closed;
};

int credit_init(struct credit *credit);
void credit_finish(struct credit *credit);

/* Loop: a session starts with count credits (epoch grows), or ends (credit_end). */
uint32_t credit_start(struct credit *credit, uint32_t count);
void credit_end(struct credit *credit);
/* Any thread: one came back. Ignored for an old epoch. */
void credit_give(struct credit *credit, uint32_t epoch);
/* Loop: wakes waiters for good. */
void credit_close(struct credit *credit);

/* Camera: takes one without waiting. Gives the epoch, or 0 when there is none. */
uint32_t credit_take(struct credit *credit);
/* Camera: the same, waiting until there is one; 0 after credit_close. */
uint32_t credit_wait(struct credit *credit);
/* Camera: waits until a session is up; false after credit_close. */
bool credit_wait_session(struct credit *credit);
bool credit_has_session(struct credit *credit);

#endif
