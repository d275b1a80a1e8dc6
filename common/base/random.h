/* random: a small seeded generator (xoshiro256**) for jitter, sampling and tests. Not for keys. */
#ifndef RUNESPOOR_BASE_RANDOM_H
#define RUNESPOOR_BASE_RANDOM_H

#include <stdint.h>

struct random_state {
    uint64_t word[4];
};

/* Same seed, same sequence, on every machine. */
void random_seed(struct random_state *state, uint64_t seed);
/* A seed from the kernel (getrandom). */
uint64_t random_entropy(void);
uint64_t random_next_u64(struct random_state *state);
/* Uniform in [0, 1). */
double random_next_unit(struct random_state *state);

#endif
