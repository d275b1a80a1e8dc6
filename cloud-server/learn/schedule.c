/* schedule: see the header. Nothing is remembered from one step to the next. */
#include "learn/schedule.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RATE_MAX 100.0
#define STEPS_MAX 1000000000u
#define PI 3.14159265358979323846

static const char *const policy_words[] = {
#define X(name, word, meaning) word,
    SCHEDULE_POLICIES(X)
#undef X
        NULL
};
static const char *const shrink_words[] = { "none", "half", "exp", NULL };

const struct option_spec schedule_part_options[] = {
    OPTION_ENUM(schedule_part, policy, "cosine", policy_words,
                "the function of the step; docs/train.md has the formulas"),
    OPTION_F64(
        schedule_part, k0, "0", 0, RATE_MAX, "",
        "the rate that fix, step, nstep, exp and inv begin with; the lower end of the others"),
    OPTION_F64(schedule_part, k1, "0.002", 0, RATE_MAX, "",
               "the upper end of cosine, poly, tri, sin and cos"),
    OPTION_F64(schedule_part, gamma, "0.1", 0, 1, "", "the decay of step, nstep, exp, inv and shrink"),
    OPTION_F64(schedule_part, power, "1", 0, 10, "", "the power of inv and poly"),
    OPTION_U32(schedule_part, period, "0", 0, STEPS_MAX, "steps",
               "from one decay of step to the next, or half a wave; 0: as long as the part"),
    OPTION_U32(schedule_part, warmup, "0", 0, STEPS_MAX, "steps", "cosine: on the way up to k1"),
    OPTION_ENUM(
        schedule_part, shrink, "none", shrink_words,
        "tri, sin and cos: waves get smaller by a half at each low, or by gamma at each step"),
    OPTION_BOOL(
        schedule_part, shifted, "false",
        "tri, sin and cos: half a wave later, so that tri and sin begin at k1 and cos at k0"),
    OPTION_STRINGS(schedule_part, boundaries, 0, SCHEDULE_BOUNDARIES_MAX,
                   "nstep: the steps at which the rate falls, counted from the part's beginning"),
    OPTION_U32(schedule_part, until, "0", 0, STEPS_MAX, "steps",
               "the step at which the next part begins; 0 for the last part"),
    OPTION_END,
};

static int check_part(const struct schedule_part *part, const char *place, struct error *err);
static int check_boundaries(const struct schedule_part *part, const char *place, struct error *err);
static bool parse_step(const char *text, uint64_t *step);
static double wave(const struct schedule_part *part, double t, double period);
static double cosine(const struct schedule_part *part, double t, double length);
static unsigned boundaries_passed(const struct schedule_part *part, uint64_t t);

int schedule_check(const struct schedule *schedule, const char *key, struct error *err)
{
    uint64_t begin = 0;
    assert(schedule->count >= 1);
    for (size_t i = 0; i < schedule->count; i++) {
        const struct schedule_part *part = &schedule->parts[i];
        bool last = i + 1 == schedule->count;
        char place[96];
        snprintf(place, sizeof place, "%.64s.%zu", key, i);
        if (!last && part->until <= begin)
            return error_set(err, ERROR_CONFIG, place,
                             "until %u is not behind its beginning, step %llu", part->until,
                             (unsigned long long)begin);
        if (last && part->until != 0 && part->until < schedule->steps)
            return error_set(err, ERROR_CONFIG, place,
                             "ends at step %u, but the training has %llu: leave until out",
                             part->until, (unsigned long long)schedule->steps);
        int rc = check_part(part, place, err);
        if (rc < 0)
            return rc;
        begin = part->until;
    }
    return 0;
}

double schedule_rate(const struct schedule *schedule, uint64_t step)
{
    uint64_t begin = 0;
    size_t i = 0;
    while (i + 1 < schedule->count && step >= schedule->parts[i].until)
        begin = schedule->parts[i++].until;
    uint64_t end = i + 1 < schedule->count ? schedule->parts[i].until : schedule->steps;
    return schedule_part_rate(&schedule->parts[i], step - begin, end > begin ? end - begin : 1);
}

double schedule_part_rate(const struct schedule_part *part, uint64_t t, uint64_t length)
{
    double k0 = part->k0, k1 = part->k1, at = (double)t;
    double period = part->period ? part->period : (double)length;
    switch ((enum schedule_policy)part->policy) {
    case SCHEDULE_COSINE:
        return cosine(part, at, period);
    case SCHEDULE_FIX:
        return k0;
    case SCHEDULE_STEP:
        return k0 * pow(part->gamma, floor(at / period));
    case SCHEDULE_NSTEP:
        return k0 * pow(part->gamma, boundaries_passed(part, t));
    case SCHEDULE_EXP:
        return k0 * pow(part->gamma, at);
    case SCHEDULE_INV:
        return k0 * pow(1 + part->gamma * at, -part->power);
    case SCHEDULE_POLY: /* behind its period the base would be negative */
        return (k1 - k0) * pow(fmax(0, 1 - at / period), part->power) + k0;
    case SCHEDULE_TRI:
    case SCHEDULE_SIN:
    case SCHEDULE_COS:
        return wave(part, at, period);
    }
    return k0;
}

/* ---- checks ---- */

static int check_part(const struct schedule_part *part, const char *place, struct error *err)
{
    bool ranged = part->policy == SCHEDULE_COSINE || part->policy >= SCHEDULE_POLY;
    if (ranged && part->k1 < part->k0)
        return error_set(err, ERROR_CONFIG, place, "k1 %g is below k0 %g", part->k1, part->k0);
    if (!ranged && part->k0 <= 0)
        return error_set(err, ERROR_CONFIG, place, "k0 must be above 0: nothing would be learnt");
    if (part->policy == SCHEDULE_NSTEP)
        return check_boundaries(part, place, err);
    return 0;
}

static int check_boundaries(const struct schedule_part *part, const char *place, struct error *err)
{
    uint64_t before = 0, step;
    for (size_t i = 0; i < part->boundaries.count; i++) {
        if (!parse_step(part->boundaries.items[i], &step) || step <= before)
            return error_set(err, ERROR_CONFIG, place,
                             "boundary \"%.40s\" is not a step behind the one before it",
                             part->boundaries.items[i]);
        before = step;
    }
    return 0;
}

static bool parse_step(const char *text, uint64_t *step)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *step = strtoull(text, &end, 10);
    return *end == '\0' && *step <= STEPS_MAX;
}

/* ---- formulas ---- */

static unsigned boundaries_passed(const struct schedule_part *part, uint64_t t)
{
    unsigned passed = 0;
    uint64_t step;
    while (passed < part->boundaries.count && parse_step(part->boundaries.items[passed], &step) &&
           t >= step)
        passed++;
    return passed;
}

/* The first step is not one of rate 0, and the last one ends at k0. */
static double cosine(const struct schedule_part *part, double t, double length)
{
    double warmup = part->warmup < length ? part->warmup : 0;
    if (t < warmup)
        return part->k0 + (part->k1 - part->k0) * (t + 1) / warmup;
    double along = fmin(1, (t - warmup) / fmax(1, length - warmup));
    return part->k0 + (part->k1 - part->k0) * (1 + cos(PI * along)) / 2;
}

/* Distance, in periods, to the multiple of 2 below: without the error that sin(pi t / 2 l) has. */
static double phase(double t, double period)
{
    return fmod(t / period, 2);
}

static double wave(const struct schedule_part *part, double t, double period)
{
    bool cos_wave = part->policy == SCHEDULE_COS;
    double at = phase(part->shifted ? t + period : t, period), height;
    if (part->policy == SCHEDULE_TRI)
        height = at <= 1 ? at : 2 - at;
    else if (part->policy == SCHEDULE_SIN)
        height = fabs(sin(PI * at / 2));
    else
        height = (1 + cos(PI * at)) / 2;
    /* Lows are at even multiples of the period, or with one of the two at odd ones. */
    bool odd = cos_wave != part->shifted;
    if (part->shrink == SHRINK_HALF)
        height /= exp2(floor((odd ? t + period : t) / (2 * period)));
    else if (part->shrink == SHRINK_EXP)
        height *= pow(part->gamma, t);
    return (part->k1 - part->k0) * height + part->k0;
}
