/* Tail figures: tails against counting and against score_tail, intervals of equal weights against
 * binomial sums in long double over all pairs of ranks, intervals of shares against Clopper's and
 * Pearson's definition, ratios worked out by hand, what must be refused; and how often intervals hold
 * the truth, by drawing probes from frames as it is done live: each frame for itself, with its own
 * probability, from a finite number, with and without what is known of how uncertain they look. */
#include "base/random.h"
#include "control/tail_figures.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* cmocka's own compares as float. */
#define assert_near(got, expected, by) assert_true(fabs((got) - (expected)) <= (by))

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NEAR 1e-12
#define SAMPLES_MAX 12000u

static struct tail_sample samples[SAMPLES_MAX];
static struct tail_rank scratch[SAMPLES_MAX];

static struct tail_figures figures_of(size_t count)
{
    struct tail_figures figures;
    assert_int_equal(tail_figures_make(&figures, SCORE_BOXES, samples, count, scratch, NULL), 0);
    assert_int_equal(figures.probes, count);
    return figures;
}

static void shuffle(struct random_state *random, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = random_next_u64(random) % i;
        struct tail_sample moved = samples[i - 1];
        samples[i - 1] = samples[other];
        samples[other] = moved;
    }
}

/* Values */

/* The smallest accuracy such that at least 100 - percent of a hundred frames are no better, by weights
 * that are whole numbers. */
static double counted_tail(size_t count, unsigned percent)
{
    double best = 2;
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all += (uint64_t)samples[i].weight;
    for (size_t i = 0; i < count; i++) {
        uint64_t no_better = 0;
        for (size_t k = 0; k < count; k++)
            no_better += samples[k].accuracy <= samples[i].accuracy ? (uint64_t)samples[k].weight : 0;
        if (no_better * 100 >= (100 - percent) * all && samples[i].accuracy < best)
            best = samples[i].accuracy;
    }
    return best;
}

static void check_tails(size_t count, bool equal)
{
    double values[1200], tail;
    struct tail_figures figures = figures_of(count);
    for (unsigned percent = 90; percent <= 99; percent += 9) {
        const struct tail_figure *figure = &figures.figure[percent == 90 ? TAIL_TAIL90 : TAIL_TAIL99];
        assert_int_equal(figure->known, count >= (percent == 90 ? 30 : 300));
        if (!figure->known)
            continue;
        assert_true(figure->value == counted_tail(count, percent));
        assert_true(figure->low <= figure->value && figure->value <= figure->high);
        for (size_t i = 0; i < count; i++)
            values[i] = samples[i].accuracy;
        assert_int_equal(score_tail(values, count, percent, &tail, NULL), 0);
        assert_true(!equal || figure->value == tail);
    }
}

/* Fewer than 30 are nobody's tail, but each 30 (300) times over they are, and the same one. */
static void tails_equal_counting(void **state)
{
    (void)state;
    static const size_t counts[] = { 1, 2, 10, 30, 99, 100, 101, 300, 333 };
    struct random_state random;
    random_seed(&random, 1);
    for (size_t c = 0; c < COUNT(counts); c++)
        for (size_t times = 1; times <= 300 && times * counts[c] <= 1200;
             times *= times == 1 ? 30 : 10)
            for (unsigned levels = 1; levels <= 1000; levels *= 10) { /* few: many are equal */
                size_t count = counts[c] * times;
                for (size_t i = 0; i < count; i++) {
                    double fresh = (double)(random_next_u64(&random) % levels) / levels;
                    double accuracy = i < counts[c] ? fresh : samples[i % counts[c]].accuracy;
                    samples[i] = (struct tail_sample){ .accuracy = accuracy, .weight = 77 };
                }
                shuffle(&random, count);
                check_tails(count, true);
            }
}

static void weighted_tails_equal_counting(void **state)
{
    (void)state;
    struct random_state random;
    random_seed(&random, 2);
    for (size_t count = 30; count <= 400; count += 37)
        for (unsigned levels = 4; levels <= 400; levels *= 10) {
            for (size_t i = 0; i < count; i++)
                samples[i] = (struct tail_sample){
                    .accuracy = (double)(random_next_u64(&random) % levels) / levels,
                    .weight = (double)(1 + random_next_u64(&random) % 10),
                };
            check_tails(count, false);
        }
}

/* A weight that no number of bits holds must not change the rank: of 30 times as many as here, sums are
 * off by more than one bit at the places where ranks end. */
static void equal_weights_are_equal_whatever_they_are(void **state)
{
    (void)state;
    for (size_t count = 300; count <= 12000; count *= 2)
        for (int w = 0; w < 4; w++) {
            for (size_t i = 0; i < count; i++)
                samples[i] = (struct tail_sample){ .accuracy = (double)i / (double)count,
                                                   .weight = 1 / (0.0123 + 0.1 * w) };
            struct tail_figures figures = figures_of(count);
            assert_true(figures.figure[TAIL_TAIL90].value ==
                        samples[(10 * count + 99) / 100 - 1].accuracy);
            assert_true(figures.figure[TAIL_TAIL99].value == samples[(count + 99) / 100 - 1].accuracy);
        }
}

/* Intervals of equal weights */

/* sums[k]: the chance of fewer than k among count, each with the share. */
static void binomial_sums(long double *sums, size_t count, long double share)
{
    long double chance = powl(1 - share, (long double)count);
    sums[0] = 0;
    for (size_t k = 0; k < count; k++) {
        sums[k + 1] = sums[k] + chance;
        chance *= (long double)(count - k) / (long double)(k + 1) * share / (1 - share);
    }
}

/* Of all pairs of ranks (from 1) that hold the tail with a chance of 95 % or more: the one with the fewest
 * ranks between, then the one whose chances to miss are most alike. */
static void brute_force_ranks(size_t count, long double share, size_t *low, size_t *high)
{
    static long double sums[SAMPLES_MAX + 2];
    size_t last = (size_t)(3 * share * (long double)count) + 30, between = SIZE_MAX;
    long double best = 2;
    binomial_sums(sums, count, share);
    last = last < count ? last : count;
    for (size_t l = 1; l <= last; l++)
        for (size_t u = l; u <= last; u++) {
            long double few = sums[l], many = 1 - sums[u], difference = fabsl(few - many);
            if (1 - few - many < 0.95L || u - l > between || (u - l == between && difference >= best))
                continue;
            between = u - l;
            best = difference;
            *low = l;
            *high = u;
        }
}

static void check_ranks(size_t count, enum tail_which which, long double share)
{
    size_t low = 0, high = 0;
    for (size_t i = 0; i < count; i++)
        samples[i] =
            (struct tail_sample){ .accuracy = (double)(i + 1) / (double)count, .weight = 3.7 };
    struct tail_figures figures = figures_of(count);
    brute_force_ranks(count, share, &low, &high);
    assert_true(figures.figure[which].low == samples[low - 1].accuracy);
    assert_true(figures.figure[which].high == samples[high - 1].accuracy);
}

static void equal_weights_give_order_statistics(void **state)
{
    (void)state;
    size_t low = 0, high = 0;
    brute_force_ranks(30, 0.1L, &low, &high);
    assert_int_equal(low, 1); /* 1 - 0.9^30 - what lies above rank 9 */
    assert_int_equal(high, 9);
    for (size_t count = 30; count < 330; count += 7)
        check_ranks(count, TAIL_TAIL90, 0.1L);
    for (size_t count = 300; count < 1500; count += 83)
        check_ranks(count, TAIL_TAIL99, 0.01L);
    check_ranks(3000, TAIL_TAIL90, 0.1L);
    check_ranks(10000, TAIL_TAIL90, 0.1L);
    check_ranks(10000, TAIL_TAIL99, 0.01L);
}

/* The mean of what is 0 or 1: at its ends, Clopper and Pearson say, chances of as many as were seen or more,
 * and as many or fewer, are 2.5 %. */
static void shares_have_exact_intervals(void **state)
{
    (void)state;
    static long double sums[SAMPLES_MAX + 2];
    for (size_t count = 30; count <= 480; count *= 2)
        for (size_t right = 0; right <= count; right += count / 30) {
            for (size_t i = 0; i < count; i++)
                samples[i] = (struct tail_sample){ .accuracy = i < right, .weight = 1.7 };
            struct tail_figures figures = figures_of(count);
            const struct tail_figure *mean = &figures.figure[TAIL_MEAN];
            assert_near(mean->value, (double)right / (double)count, NEAR);
            binomial_sums(sums, count, mean->low);
            assert_true(right > 0 ? fabsl(1 - sums[right] - 0.025L) < 1e-9L : mean->low == 0);
            binomial_sums(sums, count, mean->high);
            assert_true(right < count ? fabsl(sums[right + 1] - 0.025L) < 1e-9L : mean->high == 1);
        }
}
/* Ratios */

static void counts_give_ratios(void **state)
{
    (void)state;
    /* Over 30 probes of weights 1 and 3, alternating. Class 8 is in no golden answer, class 3 (the worst of
     * five, so one of the two worst) in every second, class 900 nearly perfect; 4 and 5 are alike. */
    static const struct tail_class light[] = { { 8, { 0, 5, 0 } },   { 3, { 1, 1, 2 } },
                                               { 900, { 9, 0, 1 } }, { 4, { 4, 2, 2 } },
                                               { 5, { 4, 2, 2 } },   { 7, { 7, 0, 3 } } };
    static const struct tail_class heavy[] = { { 900, { 10, 0, 0 } }, { 7, { 8, 1, 1 } } };
    for (size_t i = 0; i < 30; i++)
        samples[i] = (struct tail_sample){ .accuracy = i % 2 ? 0.5 : 1,
                                           .weight = i % 2 ? 1 : 3,
                                           .classes = i % 2 ? light : heavy,
                                           .class_count = i % 2 ? COUNT(light) : COUNT(heavy) };
    struct tail_figures boxes = figures_of(30), labels;
    double hits = 25 + 3 * 18, precision = hits / (hits + 10 + 3), recall = hits / (hits + 10 + 3);
    assert_near(boxes.figure[TAIL_MEAN].value, (0.5 + 3) / 4, NEAR);
    assert_near(boxes.figure[TAIL_PRECISION].value, precision, NEAR);
    assert_near(boxes.figure[TAIL_RECALL].value, recall, NEAR);
    assert_near(boxes.figure[TAIL_CLASS_TAIL].value, (2 / 5.0 + 8 / 12.0) / 2, NEAR);
    assert_int_equal(tail_figures_make(&labels, SCORE_LABELS, samples, 30, scratch, NULL), 0);
    assert_near(labels.figure[TAIL_CLASS_TAIL].value, (1 / 4.0 + 4 / 8.0) / 2, NEAR);
    for (int f = 0; f < TAIL_FIGURE_COUNT; f++) {
        const struct tail_figure *figure = &boxes.figure[f];
        assert_int_equal(figure->known, f != TAIL_TAIL99);
        assert_true(0 <= figure->low && figure->low <= figure->value);
        assert_true(figure->value <= figure->high && figure->high <= 1);
    }
}

/* What was seen in one frame of many says little, however right it was there. */
static void a_rare_class_has_a_wide_interval(void **state)
{
    (void)state;
    const struct tail_class rare = { 0, { 5, 0, 0 } };
    for (size_t i = 0; i < 400; i++)
        samples[i] = (struct tail_sample){ .accuracy = 1, .weight = 1 };
    samples[7].classes = &rare;
    samples[7].class_count = 1;
    struct tail_figure tail = figures_of(400).figure[TAIL_CLASS_TAIL];
    assert_true(tail.known && tail.value == 1 && tail.high == 1);
    assert_near(tail.low, 0.025, 1e-9); /* as of one of one */
}

static void too_few_are_unknown(void **state)
{
    (void)state;
    static const struct tail_class none[] = { { 0, { 0, 0, 0 } } }, found[] = { { 0, { 0, 2, 0 } } };
    static const size_t counts[] = { 0, 1, 29, 30, 299, 300 };
    for (size_t c = 0; c < COUNT(counts); c++) {
        for (size_t i = 0; i < counts[c]; i++)
            samples[i] = (struct tail_sample){ 0, 0.5, 1, i == 3 ? found : none, 1, 0 };
        struct tail_figures figures = figures_of(counts[c]);
        for (int f = 0; f < TAIL_FIGURE_COUNT; f++) {
            bool counted = f == TAIL_CLASS_TAIL || f == TAIL_RECALL; /* nothing was there */
            bool known = counts[c] >= (f == TAIL_TAIL99 ? 300 : 30) && !counted;
            assert_int_equal(figures.figure[f].known, known);
            assert_true(known || figures.figure[f].high == 0);
        }
        assert_true(counts[c] < 30 || figures.figure[TAIL_PRECISION].value == 0);
    }
}

static void the_order_does_not_matter(void **state)
{
    (void)state;
    struct random_state random;
    random_seed(&random, 3);
    for (size_t i = 0; i < 500; i++)
        samples[i] = (struct tail_sample){
            .accuracy = (double)(random_next_u64(&random) % 7) / 6,
            .weight = (double)(1 + random_next_u64(&random) % 3),
            .uncertainty_rank = 1 - random_next_unit(&random),
        };
    struct tail_figures before = figures_of(500);
    shuffle(&random, 500);
    struct tail_figures after = figures_of(500);
    for (int f = 0; f < TAIL_FIGURE_COUNT; f++) {
        assert_near(after.figure[f].value, before.figure[f].value, NEAR);
        assert_near(after.figure[f].low, before.figure[f].low, NEAR);
        assert_near(after.figure[f].high, before.figure[f].high, NEAR);
    }
}

static void what_no_probe_gives_is_refused(void **state)
{
    (void)state;
    static const struct tail_class beyond[] = { { SCORE_CLASSES_MAX, { 1, 0, 0 } } };
    static const struct {
        struct tail_sample sample;
        const char *text;
    } wrong[] = {
        { { .accuracy = NAN, .weight = 1 }, "probe 1: accuracy: nan is outside 0..1" },
        { { .accuracy = -0.1, .weight = 1 }, "probe 1: accuracy: -0.1 is outside" },
        { { .accuracy = 1.001, .weight = 1 }, "probe 1: accuracy: 1.001 is outside" },
        { { .accuracy = 1, .weight = NAN }, "probe 1: weight: nan is outside 1..1e+06" },
        { { .accuracy = 1, .weight = INFINITY }, "probe 1: weight: inf is outside" },
        { { .accuracy = 1, .weight = 0.99 }, "probe 1: weight: 0.99 is outside" },
        { { .accuracy = 1, .weight = 1, .uncertainty_rank = NAN }, "probe 1: uncertainty_rank: nan" },
        { { .accuracy = 1, .weight = 1, .uncertainty_rank = 1.1 }, "probe 1: uncertainty_rank: 1.1" },
        { { 0, 1, 1, beyond, 1, 0 }, "probe 1: class: 1024 is none of 1024 classes" },
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct tail_figures figures = { .probes = 77 };
        struct error err = { 0 };
        samples[0] = (struct tail_sample){ .accuracy = 1, .weight = 1 };
        samples[1] = wrong[i].sample;
        assert_int_equal(tail_figures_make(&figures, SCORE_BOXES, samples, 2, scratch, &err),
                         -ERROR_FORMAT);
        assert_memory_equal(err.text, wrong[i].text, strlen(wrong[i].text));
        assert_int_equal(figures.probes, 77);
    }
}

/* Coverage */

enum spread { SMOOTH, COARSE, PERFECT };
enum chances { ALIKE, DRIFTING, RISING, STEEP, A_FIFTH };

/* What is probed, and how. */
struct scenario {
    enum spread spread;   /* of accuracies */
    enum chances chances; /* of frames to be probed: up to ten times those of others */
    double relation;      /* of uncertainty, which chances follow, to accuracy: 0..1 */
    unsigned probes;      /* mean number */
};

#define FRAMES_MAX 20000u
#define SETS 8u    /* of frames */
#define DRAWS 100u /* of probes from each */
#define HELD_MIN 0.93

static struct frame {
    double difficulty, uncertainty, accuracy, chance;
    struct tail_class classes[3];
} frames[FRAMES_MAX];

static double normal(struct random_state *random)
{
    double length = sqrt(-2 * log(1 - random_next_unit(random)));
    return length * cos(6.283185307179586 * random_next_unit(random));
}

static double accuracy_of(enum spread spread, double difficulty, struct random_state *random)
{
    double harder = erfc(difficulty / sqrt(2)) / 2; /* share of frames that are */
    double bent = difficulty > 0 ? difficulty * difficulty : 0;
    switch (spread) {
    case SMOOTH:
        return fmin(1, fmax(0, 0.9 - 0.075 * bent + 0.03 * normal(random)));
    case COARSE: /* of few boxes: what lies on 10 % is near to two others */
        return harder > 0.3    ? 1
               : harder > 0.2  ? 0.8
               : harder > 0.12 ? 2 / 3.0
               : harder > 0.05 ? 0.5
                               : 0;
    default: /* the tail lies on an accuracy that most share */
        return harder > 0.07 ? 1 : harder > 0.015 ? 0.5 : 0;
    }
}

/* Class 2 is seldom there and found worse than others. */
static void fill_classes(struct frame *frame, struct random_state *random)
{
    for (uint32_t c = 0; c < 3; c++) {
        bool there = c < 2 || random_next_unit(random) < 0.3;
        double found = c < 2 ? frame->accuracy : 0.6 * frame->accuracy;
        unsigned objects = there ? (unsigned)(1 + random_next_u64(random) % 4) : 0;
        struct score_counts counts = { 0 };
        for (unsigned i = 0; i < objects; i++)
            *(random_next_unit(random) < found ? &counts.hits : &counts.misses) += 1;
        counts.false_alarms = random_next_unit(random) < 0.1;
        frame->classes[c] = (struct tail_class){ c, counts };
    }
}

static int by_uncertainty(const void *left, const void *right)
{
    const struct frame *a = left, *b = right;
    return (a->uncertainty > b->uncertainty) - (a->uncertainty < b->uncertainty);
}

static double chance_of(enum chances chances, double rank)
{
    switch (chances) {
    case ALIKE:
        return 1;
    case DRIFTING:
        return 1 + 0.1 * rank;
    case RISING:
        return 1 + 9 * rank;
    case STEEP:
        return 1 + 9 * pow(rank, 8);
    default:
        return rank > 0.8 ? 10 : 1;
    }
}

static void make_frames(const struct scenario *scenario, size_t count, struct random_state *random)
{
    double sum = 0, rest = sqrt(1 - scenario->relation * scenario->relation);
    for (size_t i = 0; i < count; i++) {
        struct frame *frame = &frames[i];
        frame->difficulty = normal(random);
        frame->uncertainty = scenario->relation * frame->difficulty + rest * normal(random);
        frame->accuracy = accuracy_of(scenario->spread, frame->difficulty, random);
        fill_classes(frame, random);
    }
    qsort(frames, count, sizeof *frames, by_uncertainty);
    for (size_t i = 0; i < count; i++) {
        frames[i].chance = chance_of(scenario->chances, ((double)i + 0.5) / (double)count);
        sum += frames[i].chance;
    }
    for (size_t i = 0; i < count; i++)
        frames[i].chance *= scenario->probes / sum;
}

/* Frames lie by their uncertainty. */
static struct tail_sample sample_of(size_t frame, size_t frame_count, double weight)
{
    return (struct tail_sample){ .accuracy = frames[frame].accuracy,
                                 .weight = weight,
                                 .classes = frames[frame].classes,
                                 .class_count = 3,
                                 .uncertainty_rank = ((double)frame + 0.5) / (double)frame_count };
}

/* Of all frames, which have equal weights then. */
static void find_truth(size_t count, double truth[TAIL_FIGURE_COUNT])
{
    static struct tail_sample all[FRAMES_MAX];
    static struct tail_rank ranks[FRAMES_MAX];
    struct tail_figures figures;
    for (size_t i = 0; i < count; i++)
        all[i] = sample_of(i, count, 1);
    assert_int_equal(tail_figures_make(&figures, SCORE_BOXES, all, count, ranks, NULL), 0);
    for (int f = 0; f < TAIL_FIGURE_COUNT; f++)
        truth[f] = figures.figure[f].value;
}

static size_t draw_probes(size_t frame_count, size_t least, struct random_state *random)
{
    size_t count;
    do {
        count = 0;
        for (size_t i = 0; i < frame_count; i++)
            if (random_next_unit(random) < frames[i].chance)
                samples[count++] = sample_of(i, frame_count, 1 / frames[i].chance);
    } while (count < least);
    return count;
}

static void forget_uncertainties(size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i].uncertainty_rank = 0;
}

static void check_coverage(const struct scenario *scenario, size_t frame_count, size_t least,
                           bool grouped)
{
    unsigned held[TAIL_FIGURE_COUNT] = { 0 };
    double truth[TAIL_FIGURE_COUNT];
    struct random_state random;
    random_seed(&random, scenario->probes + 10u * scenario->spread + 100u * scenario->chances);
    for (unsigned draw = 0; draw < SETS * DRAWS; draw++) {
        if (draw % DRAWS == 0) {
            make_frames(scenario, frame_count, &random);
            find_truth(frame_count, truth);
        }
        size_t count = draw_probes(frame_count, least, &random);
        if (!grouped)
            forget_uncertainties(count);
        struct tail_figures figures = figures_of(count);
        for (int f = 0; f < TAIL_FIGURE_COUNT; f++)
            held[f] += figures.figure[f].low <= truth[f] && truth[f] <= figures.figure[f].high;
    }
    for (int f = 0; f < TAIL_FIGURE_COUNT; f++)
        if ((f != TAIL_TAIL99 || least >= 300) && held[f] < HELD_MIN * SETS * DRAWS)
            fail_msg("%s: held %u of %u with accuracies %d, chances %d, relation %g, %u probes, %d",
                     tail_figure_words[f], held[f], SETS * DRAWS, scenario->spread,
                     scenario->chances, scenario->relation, scenario->probes, grouped);
}

/* With 1,000 draws of each of these and of what lies between (99 scenarios for tail90, 66 for tail99) the
 * intervals held: tail90 94.1 to 100 %, tail99 95.0 to 100, mean 94.2 to 100, class_tail 94.1 to 99.2,
 * precision 96.0 to 98.9, recall 94.6 to 99.6. Normal intervals held the mean of accuracies that are
 * PERFECT and the like 43 to 94 %. Chances that differ by 100 instead of 10 are too much for so few probes:
 * of 34, one or two are left to speak for four fifths of the frames, and 72 % is what can be had. */
static void intervals_hold_the_truth(void **state)
{
    (void)state;
    static const struct scenario tail90[] = {
        { SMOOTH, ALIKE, 0, 34 },       { COARSE, ALIKE, 0, 60 },
        { PERFECT, ALIKE, 0, 34 },      { SMOOTH, DRIFTING, 0, 34 },
        { SMOOTH, RISING, 0.5, 60 },    { COARSE, RISING, 0.85, 200 },
        { SMOOTH, STEEP, 0.5, 200 },    { COARSE, STEEP, 0.85, 34 },
        { PERFECT, STEEP, 0.85, 60 },   { SMOOTH, A_FIFTH, 0.5, 60 },
        { COARSE, A_FIFTH, 0.85, 60 },  { PERFECT, A_FIFTH, 0.5, 34 },
        { SMOOTH, A_FIFTH, 0.85, 200 }, { SMOOTH, A_FIFTH, 0, 60 },
        { COARSE, A_FIFTH, 0, 200 },
    };
    static const struct scenario tail99[] = {
        { SMOOTH, ALIKE, 0, 330 },
        { COARSE, STEEP, 0.85, 700 },
        { SMOOTH, A_FIFTH, 0.5, 1500 },
    };
    for (size_t i = 0; i < COUNT(tail90); i++)
        for (int grouped = 0; grouped < 2; grouped++)
            check_coverage(&tail90[i], 6000, 30, grouped);
    for (size_t i = 0; i < COUNT(tail99); i++)
        for (int grouped = 0; grouped < 2; grouped++)
            check_coverage(&tail99[i], FRAMES_MAX, 300, grouped);
}

static double width_of(const struct tail_figure *figure)
{
    return figure->high - figure->low;
}

/* Where what looks uncertain is worse. */
static void groups_make_intervals_narrower(void **state)
{
    (void)state;
    static const struct scenario scenario = { SMOOTH, ALIKE, 0.9, 300 };
    static const int which[] = { TAIL_MEAN, TAIL_TAIL90 };
    double alone[COUNT(which)] = { 0 }, grouped[COUNT(which)] = { 0 };
    struct random_state random;
    random_seed(&random, 5);
    make_frames(&scenario, 6000, &random);
    for (unsigned draw = 0; draw < DRAWS; draw++) {
        size_t count = draw_probes(6000, 30, &random);
        struct tail_figures with = figures_of(count);
        forget_uncertainties(count);
        struct tail_figures without = figures_of(count);
        for (size_t f = 0; f < COUNT(which); f++) {
            grouped[f] += width_of(&with.figure[which[f]]);
            alone[f] += width_of(&without.figure[which[f]]);
        }
    }
    for (size_t f = 0; f < COUNT(which); f++) {
        print_message("%s: %.2f\n", tail_figure_words[which[f]], grouped[f] / alone[f]);
        assert_true(grouped[f] < 0.85 * alone[f]);
    }
}

/* Ranks from elsewhere may be anything. */
static void ranks_that_are_all_the_same_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < 500; i++)
        samples[i] = (struct tail_sample){ .accuracy = (double)(i % 10) / 9,
                                           .weight = 1,
                                           .uncertainty_rank = 0.5 };
    struct tail_figures figures = figures_of(500);
    for (int f = 0; f < TAIL_CLASS_TAIL; f++) {
        const struct tail_figure *figure = &figures.figure[f];
        assert_true(figure->known && figure->low >= 0 && figure->low <= figure->value);
        assert_true(figure->high <= 1 && figure->high >= figure->value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tails_equal_counting),
        cmocka_unit_test(weighted_tails_equal_counting),
        cmocka_unit_test(equal_weights_are_equal_whatever_they_are),
        cmocka_unit_test(equal_weights_give_order_statistics),
        cmocka_unit_test(shares_have_exact_intervals),
        cmocka_unit_test(counts_give_ratios),
        cmocka_unit_test(a_rare_class_has_a_wide_interval),
        cmocka_unit_test(too_few_are_unknown),
        cmocka_unit_test(the_order_does_not_matter),
        cmocka_unit_test(what_no_probe_gives_is_refused),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(groups_make_intervals_narrower),
        cmocka_unit_test(ranks_that_are_all_the_same_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
