/* backoff: capped exponential waiting with jitter, for every link that is tried again. */
#ifndef RUNESPOOR_BASE_BACKOFF_H
#define RUNESPOOR_BASE_BACKOFF_H

#include "base/random.h"
#include <stdint.h>

struct backoff {
    uint32_t first_ms, cap_ms;
    uint32_t next_ms;
    struct random_state random;
};

void backoff_init(struct backoff *backoff, uint32_t first_ms, uint32_t cap_ms, uint64_t seed);
/* The time to wait now: uniform in [next/2, next], then next doubles up to the cap. */
uint32_t backoff_next_ms(struct backoff *backoff);
/* What is wrong rarely mends itself soon: the next time to wait is as long as it gets. */
void backoff_raise(struct backoff *backoff);
/* After a success: start again at first_ms. */
void backoff_reset(struct backoff *backoff);

#endif
