/* Tail windows: figures equal those of the samples that ought to be in the window, by time and by number,
 * whatever comes in whichever order; they are made anew only after a change; settings have windows of
 * their own, and of too many the one not asked for the longest goes. */
#include "base/random.h"
#include "control/tail_window.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define START_US 1790000000000000u
#define S 1000000u
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct tail_window *open_window(uint32_t probes_max, uint32_t seconds)
{
    struct tail_window *window = NULL;
    const struct tail_window_config config = { probes_max, seconds };
    assert_int_equal(tail_window_open(&window, SCORE_BOXES, 4, &config, NULL), 0);
    return window;
}

/* A frame that came so many seconds after the start. */
static struct tail_sample sample_at(unsigned second, double accuracy)
{
    return (struct tail_sample){ START_US + (uint64_t)second * S, accuracy, 2, NULL, 0, 0 };
}

static void add(struct tail_window *window, unsigned second, double accuracy)
{
    struct tail_sample sample = sample_at(second, accuracy);
    assert_int_equal(tail_window_add(window, &sample, NULL), 0);
}

static size_t probes_at(struct tail_window *window, unsigned second)
{
    return tail_window_figures(window, START_US + (uint64_t)second * S)->probes;
}

static void time_leaves_the_old_out(void **state)
{
    (void)state;
    struct tail_window *window = open_window(100, 60);
    assert_int_equal(probes_at(window, 0), 0);
    for (unsigned i = 0; i < 50; i++)
        add(window, i, i / 50.0);
    assert_int_equal(probes_at(window, 49), 50);
    assert_int_equal(probes_at(window, 60), 50); /* a minute old */
    assert_int_equal(probes_at(window, 61), 49);
    const struct tail_figures *figures = tail_window_figures(window, START_US + 70 * (uint64_t)S);
    assert_int_equal(figures->probes, 40);
    assert_true(figures->figure[TAIL_TAIL90].known);
    assert_true(figures->figure[TAIL_TAIL90].value == 13 / 50.0);
    assert_int_equal(probes_at(window, 5), 40); /* a clock that goes back brings nothing back */
    figures = tail_window_figures(window, START_US + 81 * (uint64_t)S);
    assert_int_equal(figures->probes, 29);
    assert_false(figures->figure[TAIL_TAIL90].known);
    assert_int_equal(probes_at(window, 1000), 0);
    tail_window_close(&window);
    assert_null(window);
    tail_window_close(&window);
}

static void number_leaves_the_oldest_out(void **state)
{
    (void)state;
    struct tail_window *window = open_window(30, 3600);
    for (unsigned i = 0; i < 100; i++) { /* more than twice around the table */
        add(window, i, i / 100.0);
        assert_int_equal(probes_at(window, i), i < 30 ? i + 1 : 30);
        if (i < 29)
            continue;
        const struct tail_figures *figures = tail_window_figures(window, START_US);
        assert_true(figures->figure[TAIL_TAIL90].value == (i - 27) / 100.0); /* third of 30 */
    }
    tail_window_close(&window);
}

/* The last to come may have been captured before others. */
static void samples_lie_in_time_order(void **state)
{
    (void)state;
    struct tail_window *window = open_window(40, 100);
    for (unsigned i = 0; i < 40; i++)
        add(window, i ^ 3, 0.5);
    for (unsigned second = 100; second < 140; second++)
        assert_int_equal(probes_at(window, second), 140 - second);
    tail_window_close(&window);
}

static void assert_same(const struct tail_figures *got, const struct tail_figures *expected)
{
    assert_int_equal(got->probes, expected->probes);
    for (int f = 0; f < TAIL_FIGURE_COUNT; f++) {
        assert_int_equal(got->figure[f].known, expected->figure[f].known);
        assert_true(got->figure[f].value == expected->figure[f].value);
        assert_true(got->figure[f].low == expected->figure[f].low);
        assert_true(got->figure[f].high == expected->figure[f].high);
    }
}

/* Against all samples that were added, cut by time and number on their own. */
static void windows_hold_what_they_should(void **state)
{
    (void)state;
    static struct tail_sample all[2000];
    static struct tail_rank scratch[2000];
    struct random_state random;
    random_seed(&random, 5);
    struct tail_window *window = open_window(70, 200);
    unsigned second = 0;
    for (size_t i = 0; i < COUNT(all); i++) {
        second += (unsigned)(random_next_u64(&random) % (i % 500 < 250 ? 3 : 20));
        all[i] = sample_at(second, random_next_unit(&random));
        all[i].weight = 1 + 9 * random_next_unit(&random);
        assert_int_equal(tail_window_add(window, &all[i], NULL), 0);
        uint64_t now_us = all[i].capture_unix_us, oldest_us = now_us - 200 * (uint64_t)S;
        size_t count = 0;
        while (count <= i && count < 70 && all[i - count].capture_unix_us >= oldest_us)
            count++;
        struct tail_figures expected;
        assert_int_equal(
            tail_figures_make(&expected, SCORE_BOXES, &all[i + 1 - count], count, scratch, NULL), 0);
        assert_same(tail_window_figures(window, now_us), &expected);
    }
    tail_window_close(&window);
}

static void classes_are_copied(void **state)
{
    (void)state;
    struct tail_window *window = open_window(30, 1000);
    for (unsigned i = 0; i < 90; i++) {
        struct tail_class classes[] = { { 3, { 3, 0, 1 } }, { 1, { 0, 1, 0 } } };
        struct tail_sample sample = { START_US + i, 0.75, 1, classes, 2, 0 };
        assert_int_equal(tail_window_add(window, &sample, NULL), 0);
        memset(classes, 0xff, sizeof classes);
    }
    const struct tail_figures *figures = tail_window_figures(window, START_US);
    assert_true(figures->figure[TAIL_PRECISION].value == 0.75);
    assert_true(figures->figure[TAIL_CLASS_TAIL].value == 6 / 7.0);
    tail_window_close(&window);
}

static void what_no_probe_gives_changes_nothing(void **state)
{
    (void)state;
    const struct tail_class beyond = { 4, { 1, 0, 0 } };
    const struct tail_sample wrong[] = { { START_US, 1.5, 1, NULL, 0, 0 },
                                         { START_US, 0.5, 0, NULL, 0, 0 },
                                         { START_US, 0.5, 1, &beyond, 1, 0 } };
    struct error err;
    struct tail_window *window = open_window(30, 1000);
    add(window, 0, 1);
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(tail_window_add(window, &wrong[i], &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "4 is none of 4 classes"));
    assert_int_equal(probes_at(window, 1), 1);
    tail_window_close(&window);
}

/* A mark put into the figures is there as long as nobody makes them anew. */
static void figures_are_made_only_after_a_change(void **state)
{
    (void)state;
    struct tail_window *window = open_window(30, 100);
    add(window, 0, 1);
    struct tail_figures *mark =
        (struct tail_figures *)(uintptr_t)tail_window_figures(window, START_US);
    mark->probes = 77;
    assert_int_equal(probes_at(window, 1), 77);
    assert_int_equal(probes_at(window, 100), 77);
    add(window, 100, 1);
    assert_int_equal(probes_at(window, 100), 2);
    mark->probes = 77;
    assert_int_equal(probes_at(window, 101), 1); /* the first has gone */
    tail_window_close(&window);
}

static struct tail_setting setting_of(const char *rung)
{
    struct tail_setting setting = { .model = "street_det", .restored = "network x2", .class_count = 4 };
    strcpy(setting.rung, rung);
    return setting;
}

static struct tail_window *window_of(struct tail_series *series, const struct tail_setting *setting)
{
    struct tail_window *window = NULL;
    assert_int_equal(tail_series_at(series, setting, &window, NULL), 0);
    assert_non_null(window);
    return window;
}

static void settings_have_windows_of_their_own(void **state)
{
    (void)state;
    struct tail_series *series;
    const struct tail_window_config config = { 50, 1000 };
    assert_int_equal(tail_series_open(&series, &config, NULL), 0);
    assert_int_equal(tail_series_count(series), 0);
    struct tail_setting settings[7];
    for (size_t i = 0; i < COUNT(settings); i++)
        settings[i] = setting_of("240x180");
    strcpy(settings[1].rung, "480x360");
    strcpy(settings[2].restored, "");
    strcpy(settings[3].model, "other");
    settings[4].kind = SCORE_BOXES;
    settings[5].class_count = 5;
    strcpy(settings[6].golden, "big");
    for (unsigned round = 1; round <= 3; round++)
        for (size_t i = 0; i < COUNT(settings); i++) {
            struct tail_window *window = window_of(series, &settings[i]);
            add(window, round, 1);
            assert_int_equal(probes_at(window, round), round);
            assert_true(tail_setting_equal(tail_series_setting(series, 0), &settings[i]));
            assert_ptr_equal(tail_series_window(series, 0), window);
        }
    assert_int_equal(tail_series_count(series), COUNT(settings));
    assert_true(tail_setting_equal(tail_series_setting(series, COUNT(settings) - 1), &settings[0]));
    tail_series_close(&series);
    assert_null(series);
    tail_series_close(&series);
}

static void the_one_not_asked_for_longest_goes(void **state)
{
    (void)state;
    struct tail_series *series;
    const struct tail_window_config config = { 50, 1000 };
    struct tail_setting settings[TAIL_SERIES_MAX + 2u];
    assert_int_equal(tail_series_open(&series, &config, NULL), 0);
    for (unsigned i = 0; i < COUNT(settings); i++) {
        settings[i] = setting_of((char[]){ (char)('a' + i), 0 });
        if (i == TAIL_SERIES_MAX)
            window_of(series, &settings[0]); /* so that the second is the oldest */
        add(window_of(series, &settings[i]), 1, 1);
    }
    assert_int_equal(tail_series_count(series), TAIL_SERIES_MAX);
    assert_int_equal(probes_at(window_of(series, &settings[0]), 1), 1);
    assert_int_equal(probes_at(window_of(series, &settings[3]), 1), 1);
    assert_int_equal(probes_at(window_of(series, &settings[1]), 1), 0);
    assert_int_equal(probes_at(window_of(series, &settings[2]), 1), 0);
    tail_series_close(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_leaves_the_old_out),
        cmocka_unit_test(number_leaves_the_oldest_out),
        cmocka_unit_test(samples_lie_in_time_order),
        cmocka_unit_test(windows_hold_what_they_should),
        cmocka_unit_test(classes_are_copied),
        cmocka_unit_test(what_no_probe_gives_changes_nothing),
        cmocka_unit_test(figures_are_made_only_after_a_change),
        cmocka_unit_test(settings_have_windows_of_their_own),
        cmocka_unit_test(the_one_not_asked_for_longest_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
