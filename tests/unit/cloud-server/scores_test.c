/* Scores: label maps against a plain loop over classes and pixels on random maps, matching on cases
 * made by hand, tails against sorting for the sizes where rounding could go wrong, class tails and
 * PSNR on figures worked out by hand; and what must be refused. */
#include "base/random.h"
#include "evaluate/scores.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* cmocka's own compares as float. */
#define assert_near(got, expected, by) assert_true(fabs((got) - (expected)) <= (by))

#define NEAR 1e-12
#define PIXELS 600u
#define CLASSES 5u
#define FRAMES 20u
#define VOID_LABEL 9

static double figure(const struct scores *scores, enum score_figure which,
                     const struct score_tail_classes *tail)
{
    double scratch[256];
    size_t count = scores_frame_count(scores);
    assert_true(count <= 256);
    struct score_statistic statistic = { scores, which, tail };
    return scores_figure(&statistic, NULL, count, scratch);
}

/* Label maps */

static uint8_t predictions[FRAMES][PIXELS], references[FRAMES][PIXELS];

/* Class 4 is never in a reference, class 3 in the second half only; every frame lacks some class. */
static void make_maps(uint64_t seed, int ignore)
{
    struct random_state random;
    random_seed(&random, seed);
    for (unsigned f = 0; f < FRAMES; f++)
        for (unsigned i = 0; i < PIXELS; i++) {
            uint8_t wanted = (uint8_t)(random_next_u64(&random) % (f < FRAMES / 2 ? 3 : 4));
            uint8_t found = (uint8_t)(random_next_u64(&random) % CLASSES);
            wanted = wanted == f % 3 ? (uint8_t)((wanted + 1) % 3) : wanted;
            bool right = random_next_u64(&random) % 4 != 0;
            bool is_void = ignore >= 0 && random_next_u64(&random) % 5 == 0;
            references[f][i] = is_void ? (uint8_t)ignore : wanted;
            predictions[f][i] = right ? wanted : found == 4 && f % 2 ? 0 : found;
        }
}

/* Union and intersection of one class over frames first..last-1, or -1 when neither has it. */
static double plain_iou(unsigned class_id, unsigned first, unsigned last, int ignore,
                        bool *in_reference)
{
    unsigned common = 0, either = 0;
    *in_reference = false;
    for (unsigned f = first; f < last; f++)
        for (unsigned i = 0; i < PIXELS; i++) {
            if (references[f][i] == ignore)
                continue;
            bool wanted = references[f][i] == class_id;
            bool found = predictions[f][i] == class_id && predictions[f][i] != ignore;
            common += wanted && found;
            either += wanted || found;
            *in_reference |= wanted;
        }
    return either ? (double)common / either : -1;
}

static void check_maps(uint64_t seed, int ignore)
{
    struct scores *scores;
    double set[CLASSES], set_sum = 0;
    unsigned set_count = 0;
    bool in_reference;
    make_maps(seed, ignore);
    assert_int_equal(scores_open(&scores, SCORE_LABELS, CLASSES, NULL), 0);
    for (unsigned f = 0; f < FRAMES; f++)
        assert_int_equal(
            scores_add_labels(scores, predictions[f], references[f], PIXELS, ignore, NULL, NULL), 0);
    for (unsigned f = 0; f < FRAMES; f++) {
        double sum = 0;
        unsigned count = 0;
        for (unsigned c = 0; c < CLASSES; c++) {
            double iou = plain_iou(c, f, f + 1, ignore, &in_reference);
            sum += iou >= 0 ? iou : 0;
            count += iou >= 0;
        }
        assert_near(scores_frame_accuracy(scores, f), sum / count, NEAR);
    }
    uint32_t present = scores_of_classes(scores, NULL, FRAMES, set);
    for (unsigned c = 0; c < CLASSES; c++) {
        double iou = plain_iou(c, 0, FRAMES, ignore, &in_reference);
        assert_int_equal(isnan(set[c]), !in_reference);
        if (!in_reference)
            continue;
        assert_near(set[c], iou, NEAR);
        set_sum += iou;
        set_count++;
    }
    assert_int_equal(present, set_count);
    assert_true(set_count < CLASSES);
    assert_near(figure(scores, SCORE_MEAN, NULL), set_sum / set_count, NEAR);
    scores_close(&scores);
    assert_null(scores);
}

static void label_maps_equal_a_plain_loop(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        check_maps(seed, SCORE_IGNORE_NONE);
        check_maps(seed, VOID_LABEL);
        check_maps(seed, 1); /* a class that is to be ignored, and that predictions hold */
    }
}

static void frames_listed_are_counted_as_often_as_listed(void **state)
{
    (void)state;
    struct scores *all, *some;
    const uint32_t frames[] = { 3, 3, 17, 0, 3 };
    double scratch[5], listed[CLASSES], added[CLASSES];
    make_maps(7, SCORE_IGNORE_NONE);
    assert_int_equal(scores_open(&all, SCORE_LABELS, CLASSES, NULL), 0);
    assert_int_equal(scores_open(&some, SCORE_LABELS, CLASSES, NULL), 0);
    for (unsigned f = 0; f < FRAMES; f++)
        scores_add_labels(all, predictions[f], references[f], PIXELS, -1, NULL, NULL);
    for (unsigned i = 0; i < 5; i++)
        scores_add_counts(some, scores_frame_counts(all, frames[i]), NULL, NULL);
    assert_int_equal(scores_of_classes(all, frames, 5, listed),
                     scores_of_classes(some, NULL, 5, added));
    for (unsigned c = 0; c < 4; c++)
        assert_true(listed[c] == added[c] || (isnan(listed[c]) && isnan(added[c])));
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        struct score_tail_classes tail = { 2, { 1, 3 } };
        struct score_statistic statistic = { all, (enum score_figure)which, &tail };
        assert_near(scores_figure(&statistic, frames, 5, scratch),
                    figure(some, (enum score_figure)which, &tail), 0);
    }
    scores_close(&all);
    scores_close(&some);
}

static void label_maps_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct scores *scores;
    struct error err = { 0 };
    const uint8_t good[4] = { 0, 1, 2, 1 }, bad[4] = { 0, 1, 3, 1 }, empty[4] = { 7, 7, 7, 7 };
    assert_int_equal(scores_open(&scores, SCORE_LABELS, 0, &err), -ERROR_LIMIT);
    assert_int_equal(scores_open(&scores, SCORE_LABELS, 257, &err), -ERROR_LIMIT);
    assert_int_equal(scores_open(&scores, SCORE_LABELS, 3, &err), 0);
    assert_int_equal(scores_add_labels(scores, good, bad, 4, 7, NULL, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "reference: label 3 "));
    assert_int_equal(scores_add_labels(scores, bad, good, 4, 7, NULL, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "prediction: label 3 "));
    assert_int_equal(scores_add_labels(scores, good, empty, 4, 7, NULL, &err), -ERROR_UNSUPPORTED);
    assert_int_equal(scores_frame_count(scores), 0);
    assert_int_equal(scores_add_labels(scores, empty, good, 4, 7, NULL, &err), 0); /* all missed */
    assert_near(scores_frame_accuracy(scores, 0), 0, 0);
    const struct score_counts impossible[3] = { { 1, 2, 0 }, { 0, 0, 1 }, { 0 } };
    assert_int_equal(scores_add_counts(scores, impossible, NULL, &err), -ERROR_FORMAT);
    const struct score_cost cost = { 4 * 65025 + 1, 4, 0 };
    assert_int_equal(scores_add_labels(scores, good, good, 4, 7, &cost, &err), -ERROR_FORMAT);
    assert_int_equal(scores_frame_count(scores), 1);
    scores_close(&scores);
}

/* Boxes */

static struct score_box box(float x, float y, float width, float height, uint32_t class_id,
                            float score)
{
    return (struct score_box){ x, y, width, height, score, class_id, false };
}

static struct score_box ignored(float x, float y, float width, float height, uint32_t class_id)
{
    return (struct score_box){ x, y, width, height, 0, class_id, true };
}

/* The counts of class 0 and 1 and the frame's F1 must be these. */
static void check_match(const struct score_box *found, size_t found_count,
                        const struct score_box *wanted, size_t wanted_count,
                        const struct score_counts expected[2], double f1)
{
    struct scores *scores;
    assert_int_equal(scores_open(&scores, SCORE_BOXES, 2, NULL), 0);
    assert_int_equal(scores_add_boxes(scores, found, found_count, wanted, wanted_count, NULL, NULL),
                     0);
    const struct score_counts *counts = scores_frame_counts(scores, 0);
    for (int c = 0; c < 2; c++) {
        assert_int_equal(counts[c].hits, expected[c].hits);
        assert_int_equal(counts[c].false_alarms, expected[c].false_alarms);
        assert_int_equal(counts[c].misses, expected[c].misses);
    }
    assert_near(scores_frame_accuracy(scores, 0), f1, NEAR);
    scores_close(&scores);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CHECK(found, wanted, f1, ...)                       \
    check_match(found, COUNT(found), wanted, COUNT(wanted), \
                (const struct score_counts[2]){ __VA_ARGS__ }, f1)

static void boxes_match_one_to_one_by_falling_score(void **state)
{
    (void)state;
    const struct score_box one[] = { box(0, 0, 10, 10, 0, 0) };
    const struct score_box two[] = { box(0, 0, 10, 10, 0, 0), box(20, 0, 10, 10, 1, 0) };
    const struct score_box *nothing = one;
    check_match(nothing, 0, nothing, 0, (const struct score_counts[2]){ { 0 } }, 1);
    check_match(nothing, 0, two, 2, (const struct score_counts[2]){ { 0, 0, 1 }, { 0, 0, 1 } }, 0);
    check_match(one, 1, nothing, 0, (const struct score_counts[2]){ { 0, 1, 0 } }, 0);
    CHECK(one, one, 1, { 1, 0, 0 });
    /* Exactly one half counts, a hair less does not: 10x10 over 10x20, and over 10x20.01. */
    const struct score_box twice[] = { box(0, 0, 10, 20, 0, 1) };
    CHECK(twice, one, 1, { 1, 0, 0 });
    const struct score_box more[] = { box(0, 0, 10, 20.01f, 0, 1) };
    CHECK(more, one, 0, { 0, 1, 1 });
    /* The right place, the wrong class. */
    const struct score_box other[] = { box(0, 0, 10, 10, 1, 1) };
    CHECK(other, one, 0, { 0, 0, 1 }, { 0, 1, 0 });
    /* Two on one object: one of them is a false alarm. F1 = 2 / (2 + 1). */
    const struct score_box doubled[] = { box(1, 0, 10, 10, 0, 0.5f), box(0, 0, 10, 10, 0, 0.9f) };
    CHECK(doubled, one, 2.0 / 3, { 1, 1, 0 });
    CHECK(doubled, two, 2.0 / 4, { 1, 1, 0 }, { 0, 0, 1 });
}

/* Two objects overlap. The surer prediction lies between both and takes the one it overlaps more,
 * wherever that stands in the list; what is left for the other one decides. */
static void the_surer_prediction_chooses_first(void **state)
{
    (void)state;
    const struct score_box wanted[] = { box(0, 0, 10, 10, 0, 0), box(4, 0, 10, 10, 0, 0) };
    const struct score_box sure_near_second[] = { box(0, 0, 10, 10, 0, 0.6f),
                                                  box(3, 0, 10, 10, 0, 0.9f) };
    CHECK(sure_near_second, wanted, 1, { 2, 0, 0 });
    /* Now the surer one takes the first, exactly, and the other one overlaps the second by 1/3. */
    const struct score_box sure_on_first[] = { box(-1, 0, 10, 10, 0, 0.6f),
                                               box(0, 0, 10, 10, 0, 0.9f) };
    CHECK(sure_on_first, wanted, 0.5, { 1, 1, 1 });
    /* Of equal scores the first goes first: it takes the only object that the second could have. */
    const struct score_box equal[] = { box(2.5f, 0, 10, 10, 0, 0.5f), box(4, 0, 10, 10, 0, 0.5f) };
    CHECK(equal, wanted, 0.5, { 1, 1, 1 });
    const struct score_box turned[] = { equal[1], equal[0] };
    CHECK(turned, wanted, 1, { 2, 0, 0 });
    /* Of others the surer one goes first, wherever it stands. */
    const struct score_box unequal[] = { box(4, 0, 10, 10, 0, 0.4f), box(2.5f, 0, 10, 10, 0, 0.9f) };
    CHECK(unequal, wanted, 0.5, { 1, 1, 1 });
    const struct score_box unequal_turned[] = { unequal[1], unequal[0] };
    CHECK(unequal_turned, wanted, 0.5, { 1, 1, 1 });
    /* It overlaps both by half or more, and takes the one it overlaps most: the other stays free. */
    const struct score_box between[] = { box(1, 0, 10, 10, 0, 0.9f), box(4, 0, 10, 10, 0, 0.4f) };
    const struct score_box wanted_turned[] = { wanted[1], wanted[0] };
    CHECK(between, wanted, 1, { 2, 0, 0 });
    CHECK(between, wanted_turned, 1, { 2, 0, 0 });
}

static void ignored_boxes_are_neither_hits_nor_misses(void **state)
{
    (void)state;
    const struct score_box crowd[] = { ignored(0, 0, 100, 100, 0) };
    const struct score_box inside[] = { box(10, 10, 20, 20, 0, 0.9f), box(50, 50, 9, 9, 0, 0.8f) };
    CHECK(inside, crowd, 1, { 0 });
    const struct score_box half[] = { box(90, 10, 20, 20, 0, 0.9f) };
    CHECK(half, crowd, 1, { 0 });
    const struct score_box less[] = { box(91, 10, 20, 20, 0, 0.9f) };
    CHECK(less, crowd, 0, { 0, 1, 0 });
    const struct score_box other_class[] = { box(10, 10, 20, 20, 1, 0.9f) };
    CHECK(other_class, crowd, 0, { 0 }, { 0, 1, 0 });
    /* An object inside a crowd is still found, also by the less sure of two. */
    const struct score_box both[] = { ignored(0, 0, 100, 100, 0), box(10, 10, 20, 20, 0, 0) };
    CHECK(inside, both, 1, { 1, 0, 0 });
}

static void boxes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct scores *scores;
    struct error err = { 0 };
    const struct score_box good = box(0, 0, 10, 10, 0, 1);
    const struct score_box bad[] = { box(0, 0, 0, 10, 0, 1),        box(0, 0, 10, -1, 0, 1),
                                     box(0, 0, 10, 10, 2, 1),       box(NAN, 0, 10, 10, 0, 1),
                                     box(0, 0, INFINITY, 10, 0, 1), box(0, 0, 10, 10, 0, NAN) };
    assert_int_equal(scores_open(&scores, SCORE_BOXES, 2, NULL), 0);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(scores_add_boxes(scores, &bad[i], 1, &good, 1, NULL, &err), -ERROR_FORMAT);
        assert_non_null(strstr(err.text, "prediction: box 0 "));
        assert_int_equal(scores_add_boxes(scores, &good, 1, &bad[i], 1, NULL, &err), -ERROR_FORMAT);
        assert_non_null(strstr(err.text, "reference: box 0 "));
    }
    struct score_box *many = calloc(SCORE_BOXES_MAX + 1, sizeof *many);
    assert_non_null(many);
    assert_int_equal(scores_add_boxes(scores, many, SCORE_BOXES_MAX + 1, &good, 1, NULL, &err),
                     -ERROR_LIMIT);
    free(many);
    assert_int_equal(scores_frame_count(scores), 0);
    scores_close(&scores);
}

static void the_mean_of_boxes_is_over_frames_and_of_classes_over_the_set(void **state)
{
    (void)state;
    struct scores *scores;
    double classes[3];
    const struct score_counts frames[3][3] = { { { 4, 0, 0 }, { 0, 1, 1 } },
                                               { { 0 } },
                                               { { 1, 1, 0 }, { 0 }, { 0, 3, 0 } } };
    assert_int_equal(scores_open(&scores, SCORE_BOXES, 3, NULL), 0);
    for (int f = 0; f < 3; f++)
        assert_int_equal(scores_add_counts(scores, frames[f], NULL, NULL), 0);
    assert_near(figure(scores, SCORE_MEAN, NULL), (8.0 / 10 + 1 + 2.0 / 6) / 3, NEAR);
    assert_int_equal(scores_of_classes(scores, NULL, 3, classes), 2);
    assert_near(classes[0], 10.0 / 11, NEAR);
    assert_near(classes[1], 0, 0);
    assert_true(isnan(classes[2])); /* false alarms only: not present */
    scores_close(&scores);
}

/* Tails */

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* From the definition: the greatest of the values that percent of 100 of them reach or exceed. */
static double plain_tail(const double *values, size_t count, unsigned percent)
{
    double best = -1;
    for (size_t i = 0; i < count; i++) {
        size_t reached = 0;
        for (size_t k = 0; k < count; k++)
            reached += values[k] >= values[i];
        if (reached * 100 >= percent * count && values[i] > best)
            best = values[i];
    }
    return best;
}

static void tails_equal_sorting(void **state)
{
    (void)state;
    static const size_t counts[] = { 1, 2, 10, 99, 100, 101, 1000 };
    static const unsigned percents[] = { 1, 50, 90, 99 };
    double values[1000], sorted[1000], moved[1000], tail;
    struct random_state random;
    random_seed(&random, 5);
    for (size_t i = 0; i < COUNT(counts); i++)
        for (int different = 1; different <= 1000; different *= 10) /* 1: all are equal */
            for (size_t k = 0; k < COUNT(percents); k++) {
                size_t count = counts[i], rank = ((100 - percents[k]) * count + 99) / 100;
                for (size_t f = 0; f < count; f++)
                    values[f] = (double)(random_next_u64(&random) % (unsigned)different) / 1000;
                memcpy(moved, values, sizeof values);
                memcpy(sorted, values, sizeof values);
                qsort(sorted, count, sizeof *sorted, compare_doubles);
                assert_int_equal(score_tail(moved, count, percents[k], &tail, NULL), 0);
                assert_true(tail == sorted[rank - 1]);
                /* Nearest rank is the definition's value, or the next one below where the rank
                 * is whole: never above it. */
                double plain = plain_tail(values, count, percents[k]);
                assert_true(tail == plain || (tail <= plain && sorted[rank] == plain));
                qsort(moved, count, sizeof *moved, compare_doubles);
                assert_memory_equal(moved, sorted, count * sizeof *sorted); /* nothing lost */
            }
}

static void tails_refuse_what_is_no_number(void **state)
{
    (void)state;
    struct error err = { 0 };
    double tail = 7, values[] = { 0.5, NAN, 0.2 };
    assert_int_equal(score_tail(values, 0, 90, &tail, &err), -ERROR_UNSUPPORTED);
    assert_int_equal(score_tail(values, 3, 90, &tail, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "frame 1"));
    assert_true(tail == 7);
}

/* Seven classes of accuracy 0.1, 0.5, absent, 0.1, 0.9, 0.05, 0.7: six present, so two of them. */
static struct scores *seven_classes(const unsigned hits[7])
{
    struct scores *scores;
    struct score_counts counts[7] = { { 0 } };
    assert_int_equal(scores_open(&scores, SCORE_LABELS, 7, NULL), 0);
    for (int c = 0; c < 7; c++)
        if (c != 2)
            counts[c] = (struct score_counts){ hits[c], 0, 100 - hits[c] };
    assert_int_equal(scores_add_counts(scores, counts, NULL, NULL), 0);
    return scores;
}

static void the_class_tail_keeps_the_baselines_classes(void **state)
{
    (void)state;
    struct score_tail_classes tail;
    struct scores *baseline = seven_classes((const unsigned[]){ 10, 50, 0, 10, 90, 5, 70 });
    struct scores *arm = seven_classes((const unsigned[]){ 60, 20, 0, 8, 90, 40, 30 });
    assert_int_equal(scores_choose_tail(baseline, &tail, NULL), 0);
    assert_int_equal(tail.count, 2);
    assert_int_equal(tail.ids[0], 5);
    assert_int_equal(tail.ids[1], 0); /* not 3, which is as low but comes later */
    assert_near(figure(baseline, SCORE_CLASS_TAIL, &tail), 0.075, NEAR);
    assert_near(figure(baseline, SCORE_WORST_QUARTER, &tail), 0.075, NEAR);
    assert_near(figure(baseline, SCORE_WORST_CLASS, &tail), 0.05, NEAR);
    assert_near(figure(arm, SCORE_CLASS_TAIL, &tail), 0.5, NEAR);
    assert_near(figure(arm, SCORE_WORST_QUARTER, &tail), 0.14, NEAR);
    assert_near(figure(arm, SCORE_WORST_CLASS, &tail), 0.08, NEAR);
    assert_near(figure(arm, SCORE_TAIL99, &tail), scores_frame_accuracy(arm, 0), 0);
    scores_close(&baseline);
    scores_close(&arm);
}

static void nothing_at_all_has_no_figures(void **state)
{
    (void)state;
    struct scores *scores;
    struct score_tail_classes tail;
    struct error err = { 0 };
    const struct score_counts counts[2] = { { 0, 3, 0 } };
    assert_int_equal(scores_open(&scores, SCORE_BOXES, 2, NULL), 0);
    assert_true(isnan(figure(scores, SCORE_MEAN, NULL)));
    assert_int_equal(scores_add_counts(scores, counts, NULL, NULL), 0);
    assert_near(figure(scores, SCORE_MEAN, NULL), 0, 0);
    assert_true(isnan(figure(scores, SCORE_WORST_CLASS, NULL)));
    assert_int_equal(scores_choose_tail(scores, &tail, &err), -ERROR_UNSUPPORTED);
    scores_close(&scores);
}

/* PSNR */

static void psnr_is_the_mean_over_measured_frames(void **state)
{
    (void)state;
    struct scores *scores;
    size_t capped;
    uint8_t a[3 * 8] = { 0 }, b[3 * 5] = { 0 };
    a[0] = 255;
    a[8 + 3] = 10;
    a[4] = 99; /* beyond the width of 4 */
    b[5 + 3] = 13;
    uint64_t squared_error = score_squared_error(a, 8, b, 5, 4, 3);
    assert_int_equal(squared_error, 255 * 255 + 9);
    const struct score_counts counts[1] = { { 1, 0, 0 } };
    const struct score_cost costs[] = { { 65025, 100, 0 }, { 0, 0, 5 }, { 0, 12, 0 } };
    assert_int_equal(scores_open(&scores, SCORE_BOXES, 1, NULL), 0);
    assert_int_equal(scores_add_counts(scores, counts, NULL, NULL), 0);
    assert_true(isnan(scores_psnr_db(scores, &capped)));
    for (int i = 0; i < 3; i++)
        assert_int_equal(scores_add_counts(scores, counts, &costs[i], NULL), 0);
    assert_near(scores_psnr_db(scores, &capped), (20 + 100) / 2.0, 1e-9);
    assert_int_equal(capped, 1);
    assert_int_equal(scores_frame_cost(scores, 2)->time_us, 5);
    scores_close(&scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_maps_equal_a_plain_loop),
        cmocka_unit_test(frames_listed_are_counted_as_often_as_listed),
        cmocka_unit_test(label_maps_that_cannot_be_are_refused),
        cmocka_unit_test(boxes_match_one_to_one_by_falling_score),
        cmocka_unit_test(the_surer_prediction_chooses_first),
        cmocka_unit_test(ignored_boxes_are_neither_hits_nor_misses),
        cmocka_unit_test(boxes_that_cannot_be_are_refused),
        cmocka_unit_test(the_mean_of_boxes_is_over_frames_and_of_classes_over_the_set),
        cmocka_unit_test(tails_equal_sorting),
        cmocka_unit_test(tails_refuse_what_is_no_number),
        cmocka_unit_test(the_class_tail_keeps_the_baselines_classes),
        cmocka_unit_test(nothing_at_all_has_no_figures),
        cmocka_unit_test(psnr_is_the_mean_over_measured_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
