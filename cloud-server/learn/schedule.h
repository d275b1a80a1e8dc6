/* schedule: learning rates as pure functions of the step. Names and formulas are those of LRBench
 * (k0, k1 bounds, gamma decay, period l, power p; docs/train.md has them all), so that a rate after a
 * resume is the rate of a run that was never interrupted. */
#ifndef RUNESPOOR_LEARN_SCHEDULE_H
#define RUNESPOOR_LEARN_SCHEDULE_H

#include "config/config.h"

#define SCHEDULE_PARTS_MAX 32u
#define SCHEDULE_BOUNDARIES_MAX 64u

/* word, what it does */
#define SCHEDULE_POLICIES(X)                               \
    X(COSINE, "cosine", "warm-up to k1, then half a wave") \
    X(FIX, "fix", "k0")                                    \
    X(STEP, "step", "k0, less by gamma each period")       \
    X(NSTEP, "nstep", "k0, less by gamma at boundaries")   \
    X(EXP, "exp", "k0, less by gamma each step")           \
    X(INV, "inv", "k0, by a falling power")                \
    X(POLY, "poly", "from k1 to k0 by a power")            \
    X(TRI, "tri", "a triangle from k0 to k1 and back")     \
    X(SIN, "sin", "half of a sine from k0 to k1 and back") \
    X(COS, "cos", "a cosine from k1 to k0 and back")

enum schedule_policy {
#define X(name, word, meaning) SCHEDULE_##name,
    SCHEDULE_POLICIES(X)
#undef X
};

/* How the waves (tri, sin, cos) get smaller. */
enum schedule_shrink { SHRINK_NONE, SHRINK_HALF, SHRINK_EXP };

/* One policy over a stretch of steps, in which t starts at 0. */
struct schedule_part {
    int policy, shrink; /* enum schedule_policy, enum schedule_shrink */
    double k0, k1, gamma, power;
    uint32_t period; /* steps; 0: as long as the part */
    uint32_t warmup; /* cosine: steps up to k1 */
    uint32_t until;  /* the first step that is not its own any more; 0: to the end */
    bool shifted;    /* waves begin half a wave later: tri and sin at k1, cos at k0 */
    struct option_strings boundaries; /* nstep: steps of the part, rising */
};
extern const struct option_spec schedule_part_options[];

struct schedule {
    const struct schedule_part *parts; /* borrowed */
    size_t count;                      /* at least one */
    uint64_t steps;                    /* of the training */
};

/* Checks the parts one by one and together; key (`rate`) begins the place of an error. */
int schedule_check(const struct schedule *schedule, const char *key, struct error *err);
/* The rate of a step, from 0 on. Finite and never negative for parts that passed the check. */
double schedule_rate(const struct schedule *schedule, uint64_t step);
/* The same of one part at t, its length given for where period is 0. */
double schedule_part_rate(const struct schedule_part *part, uint64_t t, uint64_t length);

#endif
