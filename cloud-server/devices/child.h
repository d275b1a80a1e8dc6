/* child: the life of one worker process: start, handshake, hang watch, end, and again after a
 * capped backoff, until it is closed. Knows processes and sockets, not what the orders say. Loop
 * thread only. */
#ifndef RUNESPOOR_DEVICES_CHILD_H
#define RUNESPOOR_DEVICES_CHILD_H

#include "base/backoff.h"
#include "devices/orders.h"
#include "net/metrics.h"
#include <stdbool.h>
#include <uv.h>

/* Why a life ended: code, label of worker_restarts_total. */
#define CHILD_FAULTS(X)                                                     \
    X(EXIT, "exit")         /* it ended or was killed, not by us */         \
    X(HANG, "hang")         /* an answer was due and did not come */        \
    X(START, "start")       /* it was not ready in time */                  \
    X(PROTOCOL, "protocol") /* it said something that makes no sense */     \
    X(SPAWN, "spawn")       /* the process could not be made */             \
    X(DEVICE, "device")     /* it cannot use its device, or not any more */ \
    X(REFUSED, "refused")   /* it cannot use one of its models */

enum child_fault {
#define X(name, word) CHILD_##name,
    CHILD_FAULTS(X)
#undef X
};

enum child_state {
    CHILD_WAITING,  /* no process; the timer starts the next one */
    CHILD_STARTING, /* the timer ends it unless it is ready by then */
    CHILD_READY,    /* the timer runs while an answer is due */
    CHILD_LEAVING,  /* told to go, or going by itself; the timer kills it */
    CHILD_KILLED,   /* the timer stops waiting for its end */
    CHILD_ENDED,    /* handles are closing */
    CHILD_DOWN,     /* stays so */
};

/* When a child that failed is started again. */
enum child_again {
    CHILD_SOON,  /* after waits that grow */
    CHILD_LATER, /* after the longest of these */
    CHILD_NEVER,
};

struct child;

struct child_handler {
    /* The process runs: send it its setup. */
    void (*on_spawned)(void *arg);
    /* An order came. A negative return is a CHILD_PROTOCOL fault. */
    int (*on_order)(void *arg, const union order *order, struct error *err);
    /* Its work is lost and may go to others. Once a life, never from inside a call of ours. */
    void (*on_lost)(void *arg);
    /* After child_close: the struct is the caller's again. */
    void (*on_closed)(void *arg);
};

struct child_config {
    const char *program; /* borrowed, like name */
    const char *name;
    uint32_t start_ms, hang_ms;
};

struct child {
    struct child_config config;
    const struct child_handler *handler;
    void *arg;
    uv_loop_t *loop;
    struct metrics *metrics;
    struct metric_gauge *state_gauge;

    enum child_state state;
    bool closing;           /* no further life */
    enum child_again again; /* after this life */
    bool known;             /* the last end was for the same cause, and told */
    bool lost_told;         /* on_lost was called in this life */
    uint64_t ready_ms;      /* loop time at which it became ready */
    bool due;               /* an order has to come before the timer does */
    uint32_t term_ms;       /* how long after it became due */
    uint64_t due_ms;        /* loop time at which the timer should fire */
    struct backoff backoff;
    enum child_fault fault;       /* of the last life */
    char cause[ERROR_TEXT_BYTES]; /* of its end, for people; "" before the first end */

    uv_process_t process;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles; /* process and poll, while not closed */
    int socket;       /* our end, or -1 */
    union order received;
};

/* Makes ready, starts nothing. program and name are borrowed until on_closed. */
void child_init(struct child *child, uv_loop_t *loop, const struct child_config *config,
                const struct child_handler *handler, void *arg, struct metrics *metrics);
/* Starts the first life; further ones follow by themselves. */
void child_start(struct child *child);

/* Sends an order (see orders_send). A child that does not take it is lost: its on_lost follows later
 * from the loop, never from inside this call. */
int child_send(struct child *child, enum order_kind kind, void *order, int passed, struct error *err);
/* The handshake is complete. */
void child_set_ready(struct child *child);
/* The answer of so many pictures together is due, within so many times hang_ms from now; 0: none is. */
void child_expect(struct child *child, uint32_t pictures);
/* The answer that is due now has work before it that may take as long as a start does: start_ms. */
void child_expect_start(struct child *child);

/* Kills a child that is starting or ready. */
void child_fail(struct child *child, enum child_fault fault, enum child_again again,
                const char *cause);

/* What it is doing, and why it ended last, for people. */
void child_describe(const struct child *child, char *text, size_t text_bytes);
const char *child_fault_word(enum child_fault fault);
const char *child_state_word(enum child_state state);

/* Ends the child: its socket closes, which tells it to leave when its present job is done; after
 * grace_ms it is killed. One that is not ready yet has nothing to finish and is killed at once. */
void child_close(struct child *child, uint32_t grace_ms);

#endif
