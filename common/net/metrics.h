/* metrics: the registry of counters, gauges and histograms. Every figure a person sees (table,
 * summary line, /metrics, reports) is read from here.
 *
 * Handles are made once (any time, from any thread) and updated from any thread with relaxed
 * atomics, without locks or allocation. Labels are bounded: METRICS_SERIES_MAX per family; beyond
 * it the series "other" takes the rest. */
#ifndef RUNESPOOR_NET_METRICS_H
#define RUNESPOOR_NET_METRICS_H

#include "base/error.h"
#include "base/text.h"
#include <stddef.h>
#include <stdint.h>

#define METRICS_SERIES_MAX 4096u
#define METRICS_LABELS_MAX 4u
/* Fixed buckets, so that histograms of many hosts add up: METRICS_BUCKETS upper bounds (inclusive)
 * from 100 us growing by 2^(1/4) (19 %) to 52 s; the last bucket takes everything longer too. */
#define METRICS_BUCKETS 77u

struct metrics;
struct metric_counter;
struct metric_gauge;
struct metric_histogram;

struct metric_label {
    const char *name, *value; /* copied; the value is escaped, and bytes not UTF-8 made '?' */
};

int metrics_create(struct metrics **metrics, struct error *err);
void metrics_destroy(struct metrics **metrics);

/* Get or make. name (a literal) as Prometheus has it ("edge_frames_captured_total"); help is a
 * literal. A family has one kind. labels may be NULL when count is 0. Never NULL: at the limit the
 * family's series with all values "other" is given, without memory one that nobody sees, and
 * "metrics_series_refused_total" counts it. A retired series is printed again once asked for. */
struct metric_counter *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                                       const struct metric_label *labels, size_t label_count);
struct metric_gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                                   const struct metric_label *labels, size_t label_count);
/* Observations in microseconds; printed in seconds, as Prometheus wants. */
struct metric_histogram *metrics_histogram(struct metrics *metrics, const char *name,
                                           const char *help, const struct metric_label *labels,
                                           size_t label_count);

void metric_counter_add(struct metric_counter *counter, uint64_t amount);
uint64_t metric_counter_get(const struct metric_counter *counter);
void metric_gauge_set(struct metric_gauge *gauge, double value);
double metric_gauge_get(const struct metric_gauge *gauge);
void metric_histogram_observe_us(struct metric_histogram *histogram, uint64_t us);

/* A copy of a histogram's state; subtract two for an interval. */
struct metric_snapshot {
    uint64_t count, sum_us;
    uint64_t bucket[METRICS_BUCKETS];
};
void metric_histogram_get(const struct metric_histogram *histogram, struct metric_snapshot *snapshot);
void metric_snapshot_subtract(struct metric_snapshot *from, const struct metric_snapshot *what);
void metric_snapshot_add(struct metric_snapshot *to, const struct metric_snapshot *what);
/* Quantile (0..1) in microseconds by linear interpolation inside a bucket; 0 when empty. Never more
 * than the bound of the last bucket. */
double metric_snapshot_quantile_us(const struct metric_snapshot *snapshot, double quantile);

/* Walks all series but retired ones: families in order of making, series in order inside. kind: 'c',
 * 'g' or 'h'. visit must not make or retire series. Used by the table. */
typedef void metrics_visit_fn(void *arg, const char *name, char kind,
                              const struct metric_label *labels, size_t label_count,
                              const void *handle);
void metrics_visit(struct metrics *metrics, metrics_visit_fn *visit, void *arg);

/* Prometheus text format 0.0.4. Histogram buckets are thinned to every fourth bound (factor 2). */
void metrics_write_prometheus(struct metrics *metrics, struct text *text);

/* Drops a label set's series from printing when a stream ends (its handles stay valid). */
void metrics_retire(struct metrics *metrics, const char *label_name, const char *label_value);

#endif
