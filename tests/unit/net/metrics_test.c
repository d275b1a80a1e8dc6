/* metrics: figures are exact under four threads, quantiles are within a bucket's width of exact
 * sorting, the text is what a scraper expects, and labels stay bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "net/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4
#define UPDATES 20000u
#define BUCKET_RATIO 1.20 /* 2^(1/4), and rounding to whole microseconds */

static struct metrics *make(void)
{
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_create(&metrics, NULL), 0);
    return metrics;
}

static void test_same_handle_again(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metric_label gate = { "stream", "gate" }, yard = { "stream", "yard" };
    struct metric_counter *a = metrics_counter(metrics, "frames_total", "Frames", &gate, 1);
    assert_ptr_equal(a, metrics_counter(metrics, "frames_total", "Frames", &gate, 1));
    assert_ptr_not_equal(a, metrics_counter(metrics, "frames_total", "Frames", &yard, 1));
    assert_ptr_not_equal(a, metrics_counter(metrics, "frames_total", "Frames", NULL, 0));
    metric_counter_add(a, 2);
    metric_counter_add(a, 3);
    assert_int_equal(metric_counter_get(a), 5);
    struct metric_gauge *g = metrics_gauge(metrics, "depth", "Depth", NULL, 0);
    assert_true(metric_gauge_get(g) == 0);
    metric_gauge_set(g, -2.5);
    assert_true(metric_gauge_get(g) == -2.5);
    metrics_destroy(&metrics);
    assert_null(metrics);
    metrics_destroy(&metrics);
}

struct worker {
    pthread_t thread;
    struct metrics *metrics;
    unsigned index;
};

/* Makes its handles itself, so that making and updating run against each other. */
static void *work(void *arg)
{
    struct worker *worker = arg;
    char name[16];
    snprintf(name, sizeof name, "s%u", worker->index % 2);
    for (unsigned i = 0; i < UPDATES; i++) {
        if (i % 1000 == 0)
            snprintf(name, sizeof name, "s%u", (worker->index + i / 1000) % 2);
        struct metric_label label = { "stream", name };
        metric_counter_add(metrics_counter(worker->metrics, "c_total", "C", &label, 1), 1);
        metric_histogram_observe_us(metrics_histogram(worker->metrics, "h_seconds", "H", NULL, 0), i);
        metric_gauge_set(metrics_gauge(worker->metrics, "g", "G", NULL, 0), 1.0 + i % 2);
        if (i % 5000 == 0) {
            struct text text = { 0 };
            metrics_write_prometheus(worker->metrics, &text);
            text_finish(&text);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .metrics = metrics, .index = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    struct metric_label zero = { "stream", "s0" }, one = { "stream", "s1" };
    uint64_t sum = metric_counter_get(metrics_counter(metrics, "c_total", "C", &zero, 1)) +
                   metric_counter_get(metrics_counter(metrics, "c_total", "C", &one, 1));
    assert_int_equal(sum, THREADS * UPDATES);
    struct metric_snapshot snapshot;
    metric_histogram_get(metrics_histogram(metrics, "h_seconds", "H", NULL, 0), &snapshot);
    assert_int_equal(snapshot.count, THREADS * UPDATES);
    assert_int_equal(snapshot.sum_us, (uint64_t)THREADS * UPDATES * (UPDATES - 1) / 2);
    double gauge = metric_gauge_get(metrics_gauge(metrics, "g", "G", NULL, 0));
    assert_true(gauge == 1.0 || gauge == 2.0);
    metrics_destroy(&metrics);
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void test_quantiles(void **state)
{
    (void)state;
    enum { COUNT = 20001 };
    static uint64_t values[COUNT];
    struct metrics *metrics = make();
    struct metric_histogram *histogram = metrics_histogram(metrics, "h_seconds", "H", NULL, 0);
    struct random_state random;
    random_seed(&random, 7);
    for (size_t i = 0; i < COUNT; i++) { /* log-uniform over 100 us … 50 s */
        values[i] = (uint64_t)(100 * exp(random_next_unit(&random) * log(500000)));
        metric_histogram_observe_us(histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare_u64);
    struct metric_snapshot snapshot;
    metric_histogram_get(histogram, &snapshot);
    assert_int_equal(snapshot.count, COUNT);
    for (unsigned permille = 1; permille < 1000; permille += 18) {
        double quantile = permille / 1000.0;
        double exact = (double)values[(size_t)(quantile * (COUNT - 1))];
        double found = metric_snapshot_quantile_us(&snapshot, quantile);
        if (found > exact * BUCKET_RATIO || found < exact / BUCKET_RATIO)
            fail_msg("quantile %g: %g instead of %g", quantile, found, exact);
    }
    metrics_destroy(&metrics);
}

static void test_quantile_edges(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metric_histogram *histogram = metrics_histogram(metrics, "h_seconds", "H", NULL, 0);
    struct metric_snapshot snapshot, before;
    metric_histogram_get(histogram, &before);
    assert_true(metric_snapshot_quantile_us(&before, 0.5) == 0);
    metric_histogram_observe_us(histogram, 0);
    metric_histogram_observe_us(histogram, 100);
    metric_histogram_get(histogram, &snapshot);
    assert_int_equal(snapshot.bucket[0], 2);
    assert_true(metric_snapshot_quantile_us(&snapshot, 1) == 100);
    assert_true(metric_snapshot_quantile_us(&snapshot, 0.5) == 50);
    before = snapshot;
    metric_histogram_observe_us(histogram, 101);
    metric_histogram_observe_us(histogram, 52428800); /* exactly the last bound */
    metric_histogram_observe_us(histogram, 52428801);
    metric_histogram_observe_us(histogram, UINT32_MAX);
    metric_histogram_get(histogram, &snapshot);
    assert_int_equal(snapshot.bucket[1], 1);
    assert_int_equal(snapshot.bucket[METRICS_BUCKETS - 1], 3);
    assert_true(metric_snapshot_quantile_us(&snapshot, 1) == 52428800);
    metric_snapshot_subtract(&snapshot, &before);
    assert_int_equal(snapshot.count, 4);
    assert_int_equal(snapshot.bucket[0], 0);
    metric_snapshot_add(&snapshot, &before);
    assert_int_equal(snapshot.count, 6);
    assert_int_equal(snapshot.sum_us, 100ull + 101 + 52428800 + 52428801 + UINT32_MAX);
    metrics_destroy(&metrics);
}

/* Every value falls into the bucket whose bounds enclose it; seen through the printed bounds. */
static void test_bucket_of_each_bound(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    for (unsigned octave = 0; octave < 19; octave++) {
        char value[16];
        snprintf(value, sizeof value, "%u", octave);
        struct metric_label label = { "octave", value };
        struct metric_histogram *histogram = metrics_histogram(metrics, "h", "H", &label, 1);
        uint64_t bound = 100ull << octave;
        metric_histogram_observe_us(histogram, bound);
        metric_histogram_observe_us(histogram, bound + 1);
        struct metric_snapshot snapshot;
        metric_histogram_get(histogram, &snapshot);
        assert_int_equal(snapshot.bucket[4 * octave], 1);
        assert_int_equal(snapshot.bucket[4 * octave + 1], 1);
    }
    metrics_destroy(&metrics);
}

static void test_prometheus(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metric_label odd[] = { { "stream", "a\"b\\c\nd\xff" }, { "reason", "full" } };
    metric_counter_add(metrics_counter(metrics, "drops_total", "Drops\nby \\ reason", odd, 2), 3);
    struct metric_label yard = { "stream", "yard" };
    metrics_gauge(metrics, "depth", "Depth", NULL, 0);
    metrics_counter(metrics, "drops_total", "Drops\nby \\ reason", &yard, 1);
    metric_gauge_set(metrics_gauge(metrics, "up", "Up", NULL, 0), INFINITY);
    struct text text = { 0 };
    metrics_write_prometheus(metrics, &text);
    assert_false(text.failed);
    assert_string_equal(
        text.data,
        "# HELP metrics_series_refused_total Series not made because of the limit per family\n"
        "# TYPE metrics_series_refused_total counter\n"
        "metrics_series_refused_total 0\n"
        "# HELP drops_total Drops\\nby \\\\ reason\n"
        "# TYPE drops_total counter\n"
        "drops_total{stream=\"a\\\"b\\\\c\\nd?\",reason=\"full\"} 3\n"
        "drops_total{stream=\"yard\"} 0\n"
        "# HELP depth Depth\n"
        "# TYPE depth gauge\n"
        "depth 0\n"
        "# HELP up Up\n"
        "# TYPE up gauge\n"
        "up +Inf\n");
    text_finish(&text);
    metrics_destroy(&metrics);
}

static void test_prometheus_histogram(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metric_label stage = { "stage", "decode" };
    struct metric_histogram *histogram = metrics_histogram(metrics, "t_seconds", "T", &stage, 1);
    metric_histogram_observe_us(histogram, 100);
    metric_histogram_observe_us(histogram, 150);
    metric_histogram_observe_us(histogram, 60000000);
    struct text text = { 0 };
    metrics_write_prometheus(metrics, &text);
    const char *at = strstr(text.data, "# TYPE t_seconds histogram\n");
    assert_non_null(at);
    assert_non_null(strstr(at, "t_seconds_bucket{stage=\"decode\",le=\"0.0001\"} 1\n"
                               "t_seconds_bucket{stage=\"decode\",le=\"0.0002\"} 2\n"));
    assert_non_null(strstr(at, "t_seconds_bucket{stage=\"decode\",le=\"26.2144\"} 2\n"
                               "t_seconds_bucket{stage=\"decode\",le=\"+Inf\"} 3\n"
                               "t_seconds_sum{stage=\"decode\"} 60.000250\n"
                               "t_seconds_count{stage=\"decode\"} 3\n"));
    size_t bounds = 0;
    for (const char *line = at; (line = strstr(line, "_bucket{")); line++)
        bounds++;
    assert_int_equal(bounds, 20); /* 100 us * 2^0 … 2^18, and +Inf */
    text_finish(&text);
    metrics_destroy(&metrics);
}

static void count_series(void *arg, const char *name, char kind, const struct metric_label *labels,
                         size_t label_count, const void *handle)
{
    assert_non_null(name);
    assert_non_null(strchr("cgh", kind));
    assert_non_null(handle);
    if (label_count > 0 && strcmp(labels[0].value, "other") == 0)
        *(size_t *)arg += 1000000;
    ++*(size_t *)arg;
}

static void test_limit(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metric_counter *others[2] = { NULL, NULL };
    for (unsigned i = 0; i < METRICS_SERIES_MAX + 2; i++) {
        char value[16];
        snprintf(value, sizeof value, "s%u", i);
        struct metric_label label = { "stream", value };
        struct metric_counter *counter = metrics_counter(metrics, "c_total", "C", &label, 1);
        metric_counter_add(counter, 1);
        if (i >= METRICS_SERIES_MAX)
            others[i - METRICS_SERIES_MAX] = counter;
    }
    assert_ptr_equal(others[0], others[1]);
    assert_int_equal(metric_counter_get(others[0]), 2);
    struct metric_counter *refused =
        metrics_counter(metrics, "metrics_series_refused_total",
                        "Series not made because of the limit per family", NULL, 0);
    assert_int_equal(metric_counter_get(refused), 2);
    size_t seen = 0;
    metrics_visit(metrics, count_series, &seen);
    assert_int_equal(seen, 1000000 + METRICS_SERIES_MAX + 2); /* refused itself and "other" */
    metrics_destroy(&metrics);
}

static void test_retire(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    struct metric_label gate = { "stream", "gate" }, yard = { "stream", "yard" };
    struct metric_counter *counter = metrics_counter(metrics, "c_total", "C", &gate, 1);
    metrics_gauge(metrics, "g", "G", &gate, 1);
    metrics_counter(metrics, "c_total", "C", &yard, 1);
    metrics_retire(metrics, "stream", "gate");
    metric_counter_add(counter, 1); /* still good */
    struct text text = { 0 };
    metrics_write_prometheus(metrics, &text);
    assert_null(strstr(text.data, "gate"));
    assert_null(strstr(text.data, "# TYPE g gauge")); /* no heading without series */
    assert_non_null(strstr(text.data, "c_total{stream=\"yard\"} 0"));
    size_t seen = 0;
    metrics_visit(metrics, count_series, &seen);
    assert_int_equal(seen, 2);
    assert_ptr_equal(counter, metrics_counter(metrics, "c_total", "C", &gate, 1));
    text_clear(&text);
    metrics_write_prometheus(metrics, &text);
    assert_non_null(strstr(text.data, "c_total{stream=\"gate\"} 1"));
    text_finish(&text);
    metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_handle_again),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_quantile_edges),
        cmocka_unit_test(test_bucket_of_each_bound),
        cmocka_unit_test(test_prometheus),
        cmocka_unit_test(test_prometheus_histogram),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_retire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
