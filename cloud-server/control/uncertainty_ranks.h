/* uncertainty_ranks: how uncertain the newest answers of a stream looked, and where one of them stands among
 * them. Pure state. One thread. */
#ifndef RUNESPOOR_CONTROL_UNCERTAINTY_RANKS_H
#define RUNESPOOR_CONTROL_UNCERTAINTY_RANKS_H

#include "base/random.h"
#include <stddef.h>

#define UNCERTAINTY_RANKS_ANSWERS 4096u /* some minutes */
#define UNCERTAINTY_RANK_MIN 1e-9       /* what a line of probe_sample.h holds */

struct uncertainty_ranks {
    struct random_state random; /* among equal ones */
    size_t count, next;
    float newest[UNCERTAINTY_RANKS_ANSWERS]; /* a ring */
};

void uncertainty_ranks_init(struct uncertainty_ranks *ranks, uint64_t seed);
/* What comes now is not to be compared with what came before. */
void uncertainty_ranks_clear(struct uncertainty_ranks *ranks);
/* An answer's, 0..1. */
void uncertainty_ranks_add(struct uncertainty_ranks *ranks, float uncertainty);
/* The share of the newest answers that were less uncertain than one of them, UNCERTAINTY_RANK_MIN..1; among
 * equal ones by lot, so that over all answers each share comes up as often as another. Of one that is not
 * among them any share. Reads all of them. */
double uncertainty_ranks_of(struct uncertainty_ranks *ranks, float uncertainty);

#endif
