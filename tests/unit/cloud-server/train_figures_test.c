/* What is made of measurements: weights of classes that follow the tail, and the mean over classes that
 * are there. */
#include "learn/train_parts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define CLOSE 1e-6

static void weights_follow_the_tail(void **state)
{
    (void)state;
    static struct train train; /* all else is not looked at */
    static struct train_figures figures;
    train.class_count = 5;
    train_figures_clear(&figures);
    figures.classes[0] = 0.9; /* mean over the four that are there: 0.5 */
    figures.classes[1] = 0.8;
    figures.classes[2] = 0.3;
    figures.classes[4] = 0;
    train_weigh_tail(&train, &figures);
    const double expected[] = { 1, 1, 0.5 / 0.3, 1, 4 };
    for (int k = 0; k < 5; k++)
        assert_true(fabs((double)train.class_weights[k] - expected[k]) < CLOSE);
}

static void figures_are_means_over_what_is_there(void **state)
{
    (void)state;
    struct error err;
    struct scores *scores;
    struct train_figures figures;
    const uint8_t wanted[] = { 0, 0, 0, 0, 1, 1, 255, 255 }, found[] = { 0, 0, 0, 1, 1, 1, 2, 0 };
    train_figures_clear(&figures);
    assert_true(isnan(figures.figures[0]));
    assert_int_equal(scores_open(&scores, SCORE_LABELS, 3, &err), 0);
    assert_int_equal(scores_add_labels(scores, found, wanted, 8, SAMPLES_IGNORE, NULL, &err), 0);
    train_figures_of_scores(&figures, 1, scores);
    assert_true(fabs(figures.figures[1] - (3.0 / 4 + 2.0 / 3) / 2) < CLOSE);
    assert_true(fabs(figures.classes[0] - 3.0 / 4) < CLOSE);
    assert_true(isnan(figures.classes[2]) && isnan(figures.figures[0]));
    scores_close(&scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_follow_the_tail),
        cmocka_unit_test(figures_are_means_over_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
