/* random and backoff: the generator gives the published sequence, units stay in [0, 1), waits stay
 * in their window, double up to the cap and start again after a success. */
#include "base/backoff.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

/* xoshiro256** from state 1, 2, 3, 4; the first words are easily worked out by hand:
 * rotl(2 * 5, 7) * 9 = 11520, then s[1] has become 1 ^ 2 ^ 3 = 0. */
static void gives_the_known_sequence(void **state)
{
    (void)state;
    struct random_state random = { { 1, 2, 3, 4 } };
    const uint64_t expected[] = { 11520, 0, 1509978240, 1215971899390074240 };
    for (size_t i = 0; i < 4; i++)
        assert_true(random_next_u64(&random) == expected[i]);
}

static void seeds_by_splitmix64(void **state)
{
    (void)state;
    struct random_state random;
    random_seed(&random, 0); /* splitmix64's well-known first words for seed 0 */
    assert_true(random.word[0] == 0xe220a8397b1dcdafull);
    assert_true(random.word[1] == 0x6e789e6aa1b965f4ull);
    assert_true(random.word[2] == 0x06c45d188009454full);
    assert_true(random.word[3] == 0xf88bb8a8724c81ecull);
}

static void same_seed_same_sequence(void **state)
{
    (void)state;
    struct random_state a, b, c;
    random_seed(&a, 42);
    random_seed(&b, 42);
    random_seed(&c, 43);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t word = random_next_u64(&a);
        assert_true(word == random_next_u64(&b));
        differs = differs || word != random_next_u64(&c);
    }
    assert_true(differs);
    assert_true(random_entropy() != random_entropy());
}

static void units_fill_their_range(void **state)
{
    (void)state;
    struct random_state random;
    random_seed(&random, 7);
    double low = 1, high = 0, sum = 0;
    for (int i = 0; i < 10000; i++) {
        double unit = random_next_unit(&random);
        low = unit < low ? unit : low;
        high = unit > high ? unit : high;
        sum += unit;
    }
    assert_true(low >= 0 && low < 0.01 && high > 0.99 && high < 1);
    assert_true(sum > 4800 && sum < 5200);
}

static void waits_double_up_to_the_cap(void **state)
{
    (void)state;
    const uint32_t steps[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct backoff backoff;
        backoff_init(&backoff, 100, 1000, seed);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                uint32_t wait_ms = backoff_next_ms(&backoff);
                assert_in_range(wait_ms, steps[i] / 2, steps[i]);
            }
            backoff_reset(&backoff);
        }
        backoff_raise(&backoff);
        assert_in_range(backoff_next_ms(&backoff), 500, 1000);
    }
}

static void waits_reach_both_ends(void **state)
{
    (void)state;
    struct backoff backoff;
    bool low = false, high = false;
    backoff_init(&backoff, 4, 4, 1);
    for (int i = 0; i < 200; i++) {
        uint32_t wait_ms = backoff_next_ms(&backoff);
        low = low || wait_ms == 2;
        high = high || wait_ms == 4;
    }
    assert_true(low && high);
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, 1, UINT32_MAX, 3);
    uint32_t wait_ms = 0;
    for (int i = 0; i < 40; i++)
        wait_ms = backoff_next_ms(&backoff);
    assert_true(wait_ms >= UINT32_MAX / 2);
    backoff_init(&backoff, 1, 1, 3);
    for (int i = 0; i < 10; i++)
        assert_true(backoff_next_ms(&backoff) <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_sequence),   cmocka_unit_test(seeds_by_splitmix64),
        cmocka_unit_test(same_seed_same_sequence),    cmocka_unit_test(units_fill_their_range),
        cmocka_unit_test(waits_double_up_to_the_cap), cmocka_unit_test(waits_reach_both_ends),
        cmocka_unit_test(extremes_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
