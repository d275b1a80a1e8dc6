/* Frontier: envelopes and bits saved on cases worked out by hand, and against a fine numeric mean. */
#include "evaluate/frontier.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* cmocka's own compares as float. */
#define assert_near(got, expected, by) assert_true(fabs((got) - (expected)) <= (by))

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NEAR 1e-12

#define MAKE(frontier, points) \
    assert_int_equal(frontier_init(&(frontier), points, COUNT(points), NULL), 0)

static void dominated_settings_are_left_out(void **state)
{
    (void)state;
    const struct frontier_point points[] = { { 400, 0.62 }, { 100, 0.5 },  { 200, 0.45 },
                                             { 100, 0.48 }, { 300, 0.62 }, { 50, 0.2 },
                                             { 250, 0.5 } };
    struct frontier frontier;
    MAKE(frontier, points);
    const struct frontier_point kept[] = { { 50, 0.2 }, { 100, 0.5 }, { 300, 0.62 } };
    assert_int_equal(frontier.count, 3);
    assert_memory_equal(frontier.points, kept, sizeof kept);
    frontier_finish(&frontier);
    assert_null(frontier.points);
}

static void between_settings_it_is_linear_over_the_logarithm(void **state)
{
    (void)state;
    const struct frontier_point points[] = { { 50, 0.2 }, { 200, 0.6 }, { 400, 0.7 } };
    struct frontier frontier;
    double got = 7;
    MAKE(frontier, points);
    assert_false(frontier_accuracy_at(&frontier, 49.9, &got));
    assert_false(frontier_accuracy_at(&frontier, NAN, &got));
    assert_false(frontier_kbps_at(&frontier, 0.71, &got));
    assert_true(got == 7);
    static const double expected[][2] = { { 50, 0.2 }, { 100, 0.4 }, { 200, 0.6 }, { 400, 0.7 } };
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(frontier_accuracy_at(&frontier, expected[i][0], &got));
        assert_near(got, expected[i][1], NEAR);
        assert_true(frontier_kbps_at(&frontier, expected[i][1], &got));
        assert_near(got, expected[i][0], 1e-9);
    }
    assert_true(frontier_accuracy_at(&frontier, 5000, &got));
    assert_near(got, 0.7, NEAR);
    assert_true(frontier_kbps_at(&frontier, 0.1, &got));
    assert_near(got, 50, NEAR);
    frontier_finish(&frontier);
}

static void half_the_bits_everywhere_is_half_saved(void **state)
{
    (void)state;
    const struct frontier_point theirs[] = { { 50, 0.2 }, { 200, 0.6 }, { 400, 0.7 } };
    const struct frontier_point ours[] = { { 25, 0.2 }, { 100, 0.6 }, { 200, 0.7 } };
    struct frontier a, b;
    double saved;
    MAKE(a, ours);
    MAKE(b, theirs);
    assert_int_equal(frontier_bits_saved(&a, &b, &saved, NULL), 0);
    assert_near(saved, 0.5, NEAR);
    assert_int_equal(frontier_bits_saved(&b, &a, &saved, NULL), 0);
    assert_near(saved, -1, NEAR); /* twice the bits */
    assert_int_equal(frontier_bits_saved(&a, &a, &saved, NULL), 0);
    assert_near(saved, 0, NEAR);
    frontier_finish(&a);
    frontier_finish(&b);
}

/* Half the bits at the lower end, the same at the upper: the factor runs from 1/2 to 1 over one
 * straight piece, its logarithm's mean is ln(1/2) / 2, so 1 - 1/sqrt(2) are saved. And where one
 * curve is cheaper below and dearer above by the same factors, nothing is. */
static void logarithms_are_averaged(void **state)
{
    (void)state;
    const struct frontier_point theirs[] = { { 100, 0.2 }, { 400, 0.6 } };
    const struct frontier_point ours[] = { { 50, 0.2 }, { 400, 0.6 } };
    const struct frontier_point crossing[] = { { 50, 0.2 }, { 800, 0.6 } };
    struct frontier a, b, c;
    double saved;
    MAKE(a, ours);
    MAKE(b, theirs);
    MAKE(c, crossing);
    assert_int_equal(frontier_bits_saved(&a, &b, &saved, NULL), 0);
    assert_near(saved, 1 - sqrt(0.5), NEAR);
    assert_int_equal(frontier_bits_saved(&c, &b, &saved, NULL), 0);
    assert_near(saved, 0, NEAR);
    frontier_finish(&a);
    frontier_finish(&b);
    frontier_finish(&c);
}

/* Ranges that overlap in part, and bends at different accuracies: against a mean over many. */
static void only_the_common_range_counts(void **state)
{
    (void)state;
    const struct frontier_point theirs[] = {
        { 35, 0.319 }, { 58, 0.406 }, { 109, 0.551 }, { 225, 0.6 }, { 642, 0.621 }
    };
    const struct frontier_point ours[] = {
        { 30, 0.38 }, { 45, 0.459 }, { 129, 0.58 }, { 331, 0.619 }, { 700, 0.64 }
    };
    struct frontier a, b;
    double saved, sum = 0, our_kbps, their_kbps;
    const int steps = 100000;
    MAKE(a, ours);
    MAKE(b, theirs);
    for (int i = 0; i < steps; i++) {
        double accuracy = 0.38 + (0.621 - 0.38) * (i + 0.5) / steps;
        assert_true(frontier_kbps_at(&a, accuracy, &our_kbps));
        assert_true(frontier_kbps_at(&b, accuracy, &their_kbps));
        sum += log(our_kbps / their_kbps);
    }
    assert_int_equal(frontier_bits_saved(&a, &b, &saved, NULL), 0);
    assert_near(saved, 1 - exp(sum / steps), 1e-7);
    assert_near(saved, 0.288048, 1e-6);
    frontier_finish(&a);
    frontier_finish(&b);
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    const struct frontier_point low[] = { { 50, 0.2 }, { 100, 0.4 } };
    const struct frontier_point high[] = { { 50, 0.4 }, { 100, 0.6 } };
    const struct frontier_point alone[] = { { 70, 0.3 } };
    const struct frontier_point bad[][2] = { { { 50, 0.2 }, { 0, 0.3 } },
                                             { { 50, 0.2 }, { -1, 0.3 } },
                                             { { 50, 0.2 }, { INFINITY, 0.3 } },
                                             { { 50, 0.2 }, { 60, NAN } } };
    struct frontier a, b, c;
    struct error err = { 0 };
    double saved = 7;
    MAKE(a, low);
    MAKE(b, high);
    MAKE(c, alone);
    assert_int_equal(frontier_bits_saved(&a, &b, &saved, &err), -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "from 0.2000 to 0.4000"));
    assert_int_equal(frontier_bits_saved(&a, &c, &saved, &err), -ERROR_UNSUPPORTED);
    assert_true(saved == 7);
    frontier_finish(&a);
    frontier_finish(&b);
    frontier_finish(&c);
    assert_int_equal(frontier_init(&a, low, 0, &err), -ERROR_LIMIT);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(frontier_init(&a, bad[i], 2, &err), -ERROR_FORMAT);
        assert_non_null(strstr(err.text, "setting 1 "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dominated_settings_are_left_out),
        cmocka_unit_test(between_settings_it_is_linear_over_the_logarithm),
        cmocka_unit_test(half_the_bits_everywhere_is_half_saved),
        cmocka_unit_test(logarithms_are_averaged),
        cmocka_unit_test(only_the_common_range_counts),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
