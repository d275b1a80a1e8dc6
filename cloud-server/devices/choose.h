/* choose: which worker gets the next picture. A pure function of what is known of the workers, so
 * that every rule can be tested without a process. */
#ifndef RUNESPOOR_DEVICES_CHOOSE_H
#define RUNESPOOR_DEVICES_CHOOSE_H

#include "devices/pool.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A picture may wait inside a worker, behind those at work, when the worker is faster than this.
 * Handing over costs 0.1 to 0.3 ms of idleness per picture: much for a device that needs 2 ms, under
 * 3 % for one that needs 10. A picture inside a worker can no longer be replaced by a newer one or
 * go elsewhere, so it may become this much older than it had to: worth it only for fast devices. */
#define CHOOSE_SECOND_JOB_BELOW_NS 10000000u

#define CHOOSE_NONE SIZE_MAX

struct worker_load {
    bool ready;
    bool overlapping;  /* has WORKER_JOBS_OVERLAPPING */
    uint32_t jobs;     /* inside the worker; pictures that go together are one job here */
    uint32_t behind;   /* pictures in those that are not at work */
    bool idle;         /* the one at work is an idle job; this and the next two only if jobs > 0 */
    uint64_t begun_ns; /* when it began */
    uint64_t work_ns;  /* how long it should take; 0: nobody knows */
    uint64_t mean_ns;  /* per live picture, lately; 0: none finished yet */
    uint64_t idle_mean_ns[POOL_MODELS_MAX]; /* the same of idle jobs (idle.h), which are others */
};

/* The index of the worker to give the next of `waiting` (>= 1) live pictures to, or CHOOSE_NONE: keep it.
 * room_left: no stream is at its limit, so that keeping a picture drops none. *again_ns is then the
 * time at which to ask again even if nothing has happened until then, or 0. */
size_t choose_worker(const struct worker_load *loads, size_t count, size_t waiting, bool room_left,
                     uint64_t now_ns, uint64_t *again_ns);

/* Strictly in turn, as a rule to compare with: the worker *turn or the next that is ready after it,
 * CHOOSE_NONE while it has no room. */
size_t choose_in_turn(const struct worker_load *loads, size_t count, size_t *turn);

/* The mean after another picture took took_ns. */
uint64_t choose_mean_ns(uint64_t mean_ns, uint64_t took_ns);

#endif
