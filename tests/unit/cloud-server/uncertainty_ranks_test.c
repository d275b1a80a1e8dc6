/* uncertainty_ranks: where an answer stands among the newest, against counting; equal ones share a stretch
 * evenly; what is unknown has any rank; only the newest count. */
#include "control/uncertainty_ranks.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define TENTHS 10u
#define DRAWS 20000u

static struct uncertainty_ranks ranks;

static void ranks_are_shares_of_those_below(void **state)
{
    (void)state;
    uncertainty_ranks_init(&ranks, 1);
    for (unsigned i = 0; i < 100; i++)
        uncertainty_ranks_add(&ranks, (float)((i * 37) % 100) / 100);
    for (unsigned i = 0; i < 100; i++) {
        double rank = uncertainty_ranks_of(&ranks, (float)i / 100);
        assert_true(rank > i / 100.0 && rank <= (i + 1) / 100.0);
    }
}

static void check_even(const unsigned counts[TENTHS])
{
    for (unsigned t = 0; t < TENTHS; t++)
        assert_in_range(counts[t], DRAWS / TENTHS * 9 / 10, DRAWS / TENTHS * 11 / 10);
}

static unsigned tenth_of(double rank)
{
    assert_true(rank >= UNCERTAINTY_RANK_MIN && rank <= 1);
    return rank < 1 ? (unsigned)(rank * TENTHS) : TENTHS - 1;
}

/* Six of ten look alike, as frames without anything in them do. */
static void equal_ones_share_their_stretch(void **state)
{
    (void)state;
    unsigned counts[TENTHS] = { 0 };
    struct random_state random;
    random_seed(&random, 2);
    uncertainty_ranks_init(&ranks, 3);
    for (unsigned i = 0; i < 1000; i++)
        uncertainty_ranks_add(&ranks, i % 10 < 6 ? 0 : (float)i / 1000);
    for (unsigned draw = 0; draw < DRAWS; draw++) {
        unsigned i = (unsigned)(random_next_u64(&random) % 1000);
        counts[tenth_of(uncertainty_ranks_of(&ranks, i % 10 < 6 ? 0 : (float)i / 1000))]++;
    }
    check_even(counts);
}

static void what_is_not_known_may_be_anywhere(void **state)
{
    (void)state;
    unsigned counts[TENTHS] = { 0 };
    uncertainty_ranks_init(&ranks, 4);
    uncertainty_ranks_add(&ranks, 0.5f);
    uncertainty_ranks_clear(&ranks);
    for (unsigned draw = 0; draw < DRAWS; draw++)
        counts[tenth_of(uncertainty_ranks_of(&ranks, 0.5f))]++;
    check_even(counts);
}

static void only_the_newest_count(void **state)
{
    (void)state;
    uncertainty_ranks_init(&ranks, 5);
    for (unsigned i = 0; i < 100; i++)
        uncertainty_ranks_add(&ranks, 0.9f);
    for (unsigned i = 0; i < UNCERTAINTY_RANKS_ANSWERS - 1; i++)
        uncertainty_ranks_add(&ranks, 0.1f);
    assert_true(uncertainty_ranks_of(&ranks, 0.9f) > 1 - 1.5 / UNCERTAINTY_RANKS_ANSWERS);
    uncertainty_ranks_add(&ranks, 0.2f);
    assert_true(uncertainty_ranks_of(&ranks, 0.2f) > 1 - 1.5 / UNCERTAINTY_RANKS_ANSWERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_are_shares_of_those_below),
        cmocka_unit_test(equal_ones_share_their_stretch),
        cmocka_unit_test(what_is_not_known_may_be_anywhere),
        cmocka_unit_test(only_the_newest_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
