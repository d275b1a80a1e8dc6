/* patience: how long tests wait for what is to come. Their times are those of a machine that has nothing else to
 * do; a busy one gets four times as long, and sanitizers TEST_SLOWER times that. */
#ifndef RUNESPOOR_TESTS_PATIENCE_H
#define RUNESPOOR_TESTS_PATIENCE_H

#include "base/clock.h"
#include <stdlib.h>

#define PATIENCE 4u

/* The clock time after which such a wait has failed. */
static inline uint64_t patience_until_ns(uint64_t ms)
{
    const char *slower = getenv("TEST_SLOWER");
    return clock_now_ns() +
           ms * PATIENCE * (slower ? strtoul(slower, NULL, 10) : 1) * CLOCK_NS_PER_MS;
}

#endif
