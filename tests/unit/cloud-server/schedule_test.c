/* Learning-rate policies: golden values at t = 0, l - 1, l, l + 1 and 2 l, worked out by hand from the
 * formulas; what is never negative nor NaN over long runs of every policy with every variant; parts that
 * follow each other; and each kind of mistake. */
#include "learn/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define L 100u
#define LENGTH 1000u
#define CLOSE 1e-12

/* k0 0.1, k1 0.5 for all; for those that begin with k0 it is k0 alone. */
struct golden {
    struct schedule_part part;
    double at[5]; /* t = 0, l - 1, l, l + 1, 2 l */
};

#define RANGE .k0 = 0.1, .k1 = 0.5, .gamma = 0.5, .power = 2, .period = L

static const struct golden goldens[] = {
    { { .policy = SCHEDULE_FIX, RANGE }, { 0.1, 0.1, 0.1, 0.1, 0.1 } },
    { { .policy = SCHEDULE_STEP, RANGE }, { 0.1, 0.1, 0.05, 0.05, 0.025 } },
    { { .policy = SCHEDULE_INV, RANGE }, /* 0.1 / (1 + t / 2)^2 */
      { 0.1, 0.1 / 2550.25, 0.1 / 2601, 0.1 / 2652.25, 0.1 / 10201 } },
    { { .policy = SCHEDULE_POLY, RANGE }, { 0.5, 0.1 + 0.4 / 10000, 0.1, 0.1, 0.1 } },
    { { .policy = SCHEDULE_TRI, RANGE }, { 0.1, 0.496, 0.5, 0.496, 0.1 } },
    { { .policy = SCHEDULE_TRI, .shrink = SHRINK_HALF, RANGE }, { 0.1, 0.496, 0.5, 0.496, 0.1 } },
    { { .policy = SCHEDULE_TRI, .shifted = true, RANGE }, { 0.5, 0.104, 0.1, 0.104, 0.5 } },
    { { .policy = SCHEDULE_TRI, .shifted = true, .shrink = SHRINK_HALF, RANGE },
      { 0.5, 0.104, 0.1, 0.102, 0.3 } },
    /* sin(pi / 2 * 99 / 100) = 0.99987663248166056 */
    { { .policy = SCHEDULE_SIN, RANGE },
      { 0.1, 0.1 + 0.4 * 0.99987663248166056, 0.5, 0.1 + 0.4 * 0.99987663248166056, 0.1 } },
    /* (1 + cos(pi * 99 / 100)) / 2 = 0.00024671981713420 */
    { { .policy = SCHEDULE_COS, RANGE },
      { 0.5, 0.1 + 0.4 * 0.00024671981713420, 0.1, 0.1 + 0.4 * 0.00024671981713420, 0.5 } },
    { { .policy = SCHEDULE_COS, .shrink = SHRINK_HALF, RANGE },
      { 0.5, 0.1 + 0.4 * 0.00024671981713420, 0.1, 0.1 + 0.2 * 0.00024671981713420, 0.3 } },
    { { .policy = SCHEDULE_COS, .shifted = true, RANGE },
      { 0.1, 0.1 + 0.4 * 0.99975328018286580, 0.5, 0.1 + 0.4 * 0.99975328018286580, 0.1 } },
    /* Half of the way up, then down to k0 at the end of its period. */
    { { .policy = SCHEDULE_COSINE, RANGE, .warmup = 10 },
      { 0.1 + 0.4 / 10, 0.1 + 0.4 * 0.00030458649045211894, 0.1, 0.1, 0.1 } },
};

static void golden_values(void **state)
{
    (void)state;
    static const uint64_t times[] = { 0, L - 1, L, L + 1, 2 * (uint64_t)L };
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
        for (size_t k = 0; k < 5; k++) {
            double rate = schedule_part_rate(&goldens[i].part, times[k], LENGTH);
            if (!(fabs(rate - goldens[i].at[k]) <= CLOSE))
                fail_msg("row %zu at t %llu: %.17g, not %.17g", i, (unsigned long long)times[k],
                         rate, goldens[i].at[k]);
        }
}

static void exponents(void **state)
{
    (void)state;
    const struct schedule_part exp = { .policy = SCHEDULE_EXP, .k0 = 0.1, .gamma = 0.99 };
    assert_true(schedule_part_rate(&exp, 0, LENGTH) == 0.1);
    assert_true(fabs(schedule_part_rate(&exp, 2, LENGTH) - 0.1 * 0.9801) < CLOSE);
    const struct schedule_part tri = {
        .policy = SCHEDULE_TRI, .shrink = SHRINK_EXP, .k0 = 0.1, .k1 = 0.5, .gamma = 0.99, .period = 2
    };
    /* At its top, after two steps. */
    assert_true(fabs(schedule_part_rate(&tri, 2, LENGTH) - (0.1 + 0.4 * 0.9801)) < CLOSE);
}

/* Two schedules at once: no position is remembered anywhere. */
static void boundaries(void **state)
{
    (void)state;
    char *one[] = { (char *)"10", (char *)"20" }, *other[] = { (char *)"15" };
    const struct schedule_part first = {
        .policy = SCHEDULE_NSTEP, .k0 = 1, .gamma = 0.1, .boundaries = { one, 2 }
    };
    struct schedule_part second = first;
    second.boundaries = (struct option_strings){ other, 1 };
    const uint64_t times[] = { 20, 0, 9, 10, 19 };
    const double a[] = { 0.01, 1, 1, 0.1, 0.1 }, b[] = { 0.1, 1, 1, 1, 0.1 };
    for (size_t i = 0; i < 5; i++) {
        assert_true(fabs(schedule_part_rate(&first, times[i], LENGTH) - a[i]) < CLOSE);
        assert_true(fabs(schedule_part_rate(&second, times[i], LENGTH) - b[i]) < CLOSE);
    }
}

static void parts_follow_each_other(void **state)
{
    (void)state;
    const struct schedule_part parts[] = {
        { .policy = SCHEDULE_FIX, .k0 = 0.3, .until = 10 },
        { .policy = SCHEDULE_TRI, .k0 = 0, .k1 = 1, .period = 4, .until = 20 },
        { .policy = SCHEDULE_POLY, .k0 = 0, .k1 = 1, .power = 1 }, /* over what is left: 10 steps */
    };
    const struct schedule schedule = { parts, 3, 30 };
    struct error err;
    assert_int_equal(schedule_check(&schedule, "rate", &err), 0);
    assert_true(schedule_rate(&schedule, 9) == 0.3);
    assert_true(schedule_rate(&schedule, 10) == 0); /* t starts at 0 again */
    assert_true(schedule_rate(&schedule, 14) == 1);
    assert_true(schedule_rate(&schedule, 20) == 1);
    assert_true(fabs(schedule_rate(&schedule, 25) - 0.5) < CLOSE);
    assert_true(schedule_rate(&schedule, 30) == 0); /* one behind the end */
}

static void never_negative(void **state)
{
    (void)state;
    for (int policy = SCHEDULE_COSINE; policy <= SCHEDULE_COS; policy++)
        for (int variant = 0; variant < 6; variant++)
            for (uint64_t t = 0; t < 5000; t++) {
                const struct schedule_part part = {
                    .policy = policy,
                    .shrink = variant / 2,
                    .shifted = variant % 2,
                    .k0 = 0.001,
                    .k1 = 0.1,
                    .gamma = 0.9,
                    .power = 0.5,
                    .period = 70,
                    .warmup = 7,
                };
                double rate = schedule_part_rate(&part, t, LENGTH);
                assert_true(rate >= 0 && rate <= 0.1);
            }
}

static void expect_mistake(const struct schedule_part *parts, size_t count, const char *words)
{
    const struct schedule schedule = { parts, count, 30 };
    struct error err;
    assert_int_equal(schedule_check(&schedule, "rate", &err), -ERROR_CONFIG);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

static void mistakes(void **state)
{
    (void)state;
    char *falling[] = { (char *)"10", (char *)"9" };
    const struct schedule_part fix = { .policy = SCHEDULE_FIX, .k0 = 1 };
    const struct schedule_part open_end[] = { fix, fix };
    const struct schedule_part short_one = { .policy = SCHEDULE_FIX, .k0 = 1, .until = 29 };
    const struct schedule_part zero = { .policy = SCHEDULE_STEP, .k1 = 1 };
    const struct schedule_part upside = { .policy = SCHEDULE_COS, .k0 = 2, .k1 = 1 };
    const struct schedule_part nstep = { .policy = SCHEDULE_NSTEP,
                                         .k0 = 1,
                                         .boundaries = { falling, 2 } };
    expect_mistake(open_end, 2, "rate.0: until 0 is not behind its beginning");
    expect_mistake(&short_one, 1, "ends at step 29, but the training has 30");
    expect_mistake(&zero, 1, "k0 must be above 0");
    expect_mistake(&upside, 1, "k1 1 is below k0 2");
    expect_mistake(&nstep, 1, "boundary \"9\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_values),  cmocka_unit_test(exponents),
        cmocka_unit_test(boundaries),     cmocka_unit_test(parts_follow_each_other),
        cmocka_unit_test(never_negative), cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
