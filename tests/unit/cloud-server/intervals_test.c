/* Intervals: over many synthetic pairs whose true difference is known, nine in ten intervals or more
 * hold it, although frames resemble their neighbours, where drawing single frames fails; pairing
 * cancels what is hard for both arms; which frames a draw is made of; and what is refused. */
#include "evaluate/intervals.h"
#include "base/random.h"
#include "evaluate/scores.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

/* cmocka's own compares as float. */
#define assert_near(got, expected, by) assert_true(fabs((got) - (expected)) <= (by))

#define FRAMES 300u
#define TRUE_GAIN 0.05
#define PAIRS 60

static double normal(struct random_state *random)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += random_next_unit(random);
    return sum;
}

static double mean(const void *context, const uint32_t *frames, size_t count, double *scratch)
{
    const double *values = context;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += scratch[i] = values[frames ? frames[i] : i];
    return sum / (double)count;
}

/* Hardness wanders slowly and is shared; what an arm gains wanders too, and is its own. */
static void make_pair(uint64_t seed, double *baseline, double *arm)
{
    struct random_state random;
    random_seed(&random, seed);
    double hardness = normal(&random), own = normal(&random);
    for (unsigned i = 0; i < FRAMES; i++) {
        hardness = 0.95 * hardness + 0.31 * normal(&random);
        own = 0.7 * own + 0.71 * normal(&random);
        baseline[i] = 0.5 + 0.1 * hardness;
        arm[i] = baseline[i] + TRUE_GAIN + 0.05 * own;
    }
}

/* How many of PAIRS intervals hold the true difference. */
static int count_held(const struct resampling *resampling)
{
    double baseline[FRAMES], arm[FRAMES];
    int held = 0;
    for (uint64_t seed = 1; seed <= PAIRS; seed++) {
        struct comparison made;
        make_pair(seed, baseline, arm);
        assert_int_equal(interval_compare(resampling, mean, baseline, arm, &made, NULL), 0);
        held += made.difference.low <= TRUE_GAIN && made.difference.high >= TRUE_GAIN;
    }
    return held;
}

static void intervals_hold_the_true_difference(void **state)
{
    (void)state;
    static const size_t one[] = { FRAMES };
    static const size_t clips[] = { 100, 75, 25, 100 };
    int blocks = count_held(&(struct resampling){ one, 1, 15, 1 });
    int pieces = count_held(&(struct resampling){ clips, 4, 13, 1 });
    int single = count_held(&(struct resampling){ one, 1, 1, 1 });
    assert_in_range(blocks, PAIRS * 85 / 100, PAIRS);
    assert_in_range(pieces, PAIRS * 85 / 100, PAIRS);
    assert_in_range(single, 0, PAIRS * 80 / 100); /* neighbours taken for independent */
}

static void pairing_cancels_what_is_hard_for_both(void **state)
{
    (void)state;
    static const size_t one[] = { FRAMES };
    const struct resampling resampling = { one, 1, 15, 3 };
    double baseline[FRAMES], arm[FRAMES];
    struct comparison made, again;
    struct interval alone;
    make_pair(4, baseline, arm);
    assert_int_equal(interval_compare(&resampling, mean, baseline, arm, &made, NULL), 0);
    assert_int_equal(interval_of(&resampling, mean, baseline, &alone, NULL), 0);
    assert_true(alone.high - alone.low > 2 * (made.difference.high - made.difference.low));
    assert_true(alone.low < alone.value && alone.value < alone.high);
    assert_string_equal(interval_verdict(&made.difference), "better");
    assert_near(made.gain.value, (alone.value + made.difference.value) / alone.value - 1, 1e-12);
    assert_true(made.gain.low > 0 && made.gain.high < 1);
    /* The same seed gives the same, another one something else, turned round its mirror image. */
    assert_int_equal(interval_compare(&resampling, mean, baseline, arm, &again, NULL), 0);
    assert_memory_equal(&made, &again, sizeof made);
    const struct resampling other = { one, 1, 15, 4 };
    assert_int_equal(interval_compare(&other, mean, baseline, arm, &again, NULL), 0);
    assert_true(made.difference.low != again.difference.low);
    assert_int_equal(interval_compare(&resampling, mean, arm, baseline, &again, NULL), 0);
    assert_string_equal(interval_verdict(&again.difference), "worse");
    assert_near(again.difference.low, -made.difference.high, 1e-12);
    assert_int_equal(interval_compare(&resampling, mean, arm, arm, &again, NULL), 0);
    assert_string_equal(interval_verdict(&again.difference), "unclear");
}

/* Looks at the frames of each draw and gives something that varies. */
struct witness {
    size_t clip_of[40];
    size_t block_frames; /* 0: pieces differ in length */
    size_t fewest, most;
    unsigned calls;
    bool seen[40], broken;
};

static double watch(const void *context, const uint32_t *frames, size_t count, double *scratch)
{
    struct witness *witness = (struct witness *)(uintptr_t)context;
    (void)scratch;
    if (!frames)
        return 0;
    witness->calls++;
    witness->fewest = count < witness->fewest ? count : witness->fewest;
    witness->most = count > witness->most ? count : witness->most;
    for (size_t i = 0; i < count; i++) {
        witness->seen[frames[i]] = true;
        /* Within a block the next frame follows, and is of the same clip. */
        bool inside = witness->block_frames && i % witness->block_frames != 0;
        if (inside && (frames[i] != frames[i - 1] + 1 ||
                       witness->clip_of[frames[i]] != witness->clip_of[frames[i - 1]]))
            witness->broken = true;
    }
    return (double)frames[0];
}

static void check_seen(const struct witness *witness)
{
    assert_int_equal(witness->calls, INTERVAL_DRAWS);
    assert_false(witness->broken);
    for (int i = 0; i < 40; i++)
        assert_true(witness->seen[i]);
}

static void draws_are_made_of_blocks(void **state)
{
    (void)state;
    struct interval made;
    static const size_t one[] = { 40 }, clips[] = { 12, 8, 20 }, uneven[] = { 3, 7, 9, 5, 12, 4 };
    struct witness witness = { .block_frames = 6, .fewest = 1000 };
    assert_int_equal(interval_of(&(struct resampling){ one, 1, 6, 9 }, watch, &witness, &made, NULL),
                     0);
    check_seen(&witness);
    assert_int_equal(witness.fewest, 40);
    assert_int_equal(witness.most, 40);
    assert_true(made.low >= 0 && made.high <= 34);
    /* Clips of 12, 8 and 20 make blocks of four: ten of them, none across a border. */
    witness = (struct witness){ .block_frames = 4, .fewest = 1000 };
    for (size_t i = 0; i < 40; i++)
        witness.clip_of[i] = i < 12 ? 0 : i < 20 ? 1 : 2;
    assert_int_equal(
        interval_of(&(struct resampling){ clips, 3, 4, 9 }, watch, &witness, &made, NULL), 0);
    check_seen(&witness);
    assert_int_equal(witness.fewest, 40);
    assert_int_equal(witness.most, 40);
    /* Blocks longer than all clips: the clips themselves, of any length. */
    witness = (struct witness){ .fewest = 1000 };
    assert_int_equal(
        interval_of(&(struct resampling){ uneven, 6, SIZE_MAX, 9 }, watch, &witness, &made, NULL), 0);
    check_seen(&witness);
    assert_true(witness.fewest >= 18 && witness.fewest < 35);
    assert_true(witness.most <= 72 && witness.most > 45);
}

static double undefined_often(const void *context, const uint32_t *frames, size_t count,
                              double *scratch)
{
    (void)scratch;
    if (!frames)
        return 1;
    uint32_t limit = *(const uint32_t *)context;
    return frames[0] < limit ? NAN : (double)frames[count - 1];
}

static double never_defined(const void *context, const uint32_t *frames, size_t count, double *scratch)
{
    (void)context, (void)frames, (void)count, (void)scratch;
    return NAN;
}

static void what_would_say_little_is_refused(void **state)
{
    (void)state;
    static const size_t one[] = { 101 }, clips[] = { 50, 60 };
    struct error err = { 0 };
    struct interval made = { 7, 7, 7 };
    assert_int_equal(resampling_check(&(struct resampling){ one, 1, 16, 1 }, &err), 0);
    assert_int_equal(resampling_check(&(struct resampling){ one, 1, 17, 1 }, &err),
                     -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "101 frames make only 5 blocks of 17"));
    assert_int_equal(resampling_check(&(struct resampling){ clips, 2, 20, 1 }, &err), 0);
    assert_int_equal(resampling_check(&(struct resampling){ clips, 2, 30, 1 }, &err),
                     -ERROR_UNSUPPORTED);
    const struct resampling resampling = { one, 1, 1, 1 };
    uint32_t rarely = 2, often = 20;
    assert_int_equal(interval_of(&resampling, undefined_often, &rarely, &made, &err), 0);
    assert_true(made.low < made.high);
    made.value = 7;
    assert_int_equal(interval_of(&resampling, undefined_often, &often, &made, &err),
                     -ERROR_UNSUPPORTED);
    assert_int_equal(interval_of(&resampling, never_defined, NULL, &made, &err), -ERROR_UNSUPPORTED);
    assert_true(made.value == 7);
}

static void a_gain_over_nothing_is_infinite(void **state)
{
    (void)state;
    static const size_t one[] = { 40 };
    const struct resampling resampling = { one, 1, 4, 1 };
    double nothing[40] = { 0 }, something[40];
    struct comparison made;
    for (int i = 0; i < 40; i++)
        something[i] = 0.1 + i / 100.0;
    assert_int_equal(interval_compare(&resampling, mean, nothing, something, &made, NULL), 0);
    assert_true(isinf(made.gain.value) && isinf(made.gain.low));
    assert_near(made.difference.value, 0.295, 1e-12);
    assert_int_equal(interval_compare(&resampling, mean, something, nothing, &made, NULL), 0);
    assert_near(made.gain.value, -1, 0);
    assert_int_equal(interval_compare(&resampling, mean, nothing, nothing, &made, NULL), 0);
    assert_near(made.gain.value, 0, 0);
}

/* Every figure of real score tables: an arm with fewer misses in its second class. */
static void figures_of_scores_are_compared(void **state)
{
    (void)state;
    static const size_t one[] = { FRAMES };
    const struct resampling resampling = { one, 1, 10, 1 };
    struct scores *arms[2];
    struct score_tail_classes tail;
    struct random_state random;
    random_seed(&random, 3);
    for (int a = 0; a < 2; a++)
        assert_int_equal(scores_open(&arms[a], SCORE_LABELS, 5, NULL), 0);
    for (unsigned f = 0; f < FRAMES; f++) {
        uint32_t hard = (uint32_t)(random_next_u64(&random) % 30);
        for (int a = 0; a < 2; a++) {
            uint32_t found = (a == 0 ? 20 : 45) + hard;
            struct score_counts counts[5] = {
                { 90, 100 - found, 10 }, { found, 10, 100 - found }, { 85, 0, 15 }, { 80, 0, 20 }
            };
            assert_int_equal(scores_add_counts(arms[a], counts, NULL, NULL), 0);
        }
    }
    assert_int_equal(scores_choose_tail(arms[0], &tail, NULL), 0);
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        struct score_statistic baseline = { arms[0], (enum score_figure)which, &tail };
        struct score_statistic arm = { arms[1], (enum score_figure)which, &tail };
        struct comparison made;
        assert_int_equal(interval_compare(&resampling, scores_figure, &baseline, &arm, &made, NULL),
                         0);
        assert_string_equal(interval_verdict(&made.difference), "better");
        assert_true(made.difference.low <= made.difference.value &&
                    made.difference.value <= made.difference.high);
    }
    scores_close(&arms[0]);
    scores_close(&arms[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_hold_the_true_difference),
        cmocka_unit_test(pairing_cancels_what_is_hard_for_both),
        cmocka_unit_test(draws_are_made_of_blocks),
        cmocka_unit_test(what_would_say_little_is_refused),
        cmocka_unit_test(a_gain_over_nothing_is_infinite),
        cmocka_unit_test(figures_of_scores_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
