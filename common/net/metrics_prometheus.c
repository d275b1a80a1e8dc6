/* metrics_prometheus: the registry as text for a scraper, format 0.0.4. */
#include "net/metrics_registry.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define BUCKETS_PER_BOUND 4u /* printed bounds double; the finer ones are for our own quantiles */

static void write_series(struct text *text, const struct metric_family *family,
                         const struct metric_series *series);
static void write_histogram(struct text *text, const struct metric_family *family,
                            const struct metric_series *series);
static void write_name(struct text *text, const char *name, const char *suffix,
                       const struct metric_series *series, const char *bound);
static void write_escaped(struct text *text, const char *value, bool quotes);
static void write_real(struct text *text, double value);

void metrics_write_prometheus(struct metrics *metrics, struct text *text)
{
    assert(metrics && text);
    pthread_mutex_lock(&metrics->lock);
    for (const struct metric_family *family = metrics->first; family; family = family->next) {
        bool headed = false;
        for (const struct metric_series *series = family->first; series; series = series->next) {
            if (series->retired)
                continue;
            if (!headed) {
                text_printf(text, "# HELP %s ", family->name);
                write_escaped(text, family->help, false);
                text_printf(text, "\n# TYPE %s %s\n", family->name,
                            family->kind == 'c'   ? "counter"
                            : family->kind == 'g' ? "gauge"
                                                  : "histogram");
                headed = true;
            }
            write_series(text, family, series);
        }
    }
    pthread_mutex_unlock(&metrics->lock);
}

static void write_series(struct text *text, const struct metric_family *family,
                         const struct metric_series *series)
{
    switch (family->kind) {
    case 'c':
        write_name(text, family->name, "", series, NULL);
        text_printf(text, "%" PRIu64 "\n", metric_counter_get(&series->as.counter));
        break;
    case 'g':
        write_name(text, family->name, "", series, NULL);
        write_real(text, metric_gauge_get(&series->as.gauge));
        text_add_str(text, "\n");
        break;
    case 'h':
        write_histogram(text, family, series);
        break;
    }
}

/* The last of our bounds is printed as +Inf alone, for its bucket is open. */
static void write_histogram(struct text *text, const struct metric_family *family,
                            const struct metric_series *series)
{
    struct metric_snapshot snapshot;
    metric_histogram_get(&series->as.histogram, &snapshot);
    uint64_t so_far = 0;
    for (size_t i = 0; i < METRICS_BUCKETS - 1; i++) {
        so_far += snapshot.bucket[i];
        if (i % BUCKETS_PER_BOUND != 0)
            continue;
        char bound[32];
        snprintf(bound, sizeof bound, "%.10g", (double)metric_bucket_us(i) / 1e6);
        write_name(text, family->name, "_bucket", series, bound);
        text_printf(text, "%" PRIu64 "\n", so_far);
    }
    write_name(text, family->name, "_bucket", series, "+Inf");
    text_printf(text, "%" PRIu64 "\n", snapshot.count);
    write_name(text, family->name, "_sum", series, NULL);
    text_printf(text, "%" PRIu64 ".%06" PRIu64 "\n", snapshot.sum_us / 1000000,
                snapshot.sum_us % 1000000);
    write_name(text, family->name, "_count", series, NULL);
    text_printf(text, "%" PRIu64 "\n", snapshot.count);
}

/* name_suffix{a="…",le="bound"} and a space; bound NULL: no le. */
static void write_name(struct text *text, const char *name, const char *suffix,
                       const struct metric_series *series, const char *bound)
{
    text_printf(text, "%s%s", name, suffix);
    const char *before = "{";
    for (size_t i = 0; i < series->label_count; i++) {
        text_printf(text, "%s%s=\"", before, series->labels[i].name);
        write_escaped(text, series->labels[i].value, true);
        text_add_str(text, "\"");
        before = ",";
    }
    if (bound) {
        text_printf(text, "%sle=\"%s\"", before, bound);
        before = ",";
    }
    text_add_str(text, *before == ',' ? "} " : " ");
}

static void write_escaped(struct text *text, const char *value, bool quotes)
{
    for (const char *at = value; *at; at++) {
        if (*at == '\\')
            text_add_str(text, "\\\\");
        else if (*at == '\n')
            text_add_str(text, "\\n");
        else if (*at == '"' && quotes)
            text_add_str(text, "\\\"");
        else
            text_add(text, at, 1);
    }
}

static void write_real(struct text *text, double value)
{
    if (isnan(value))
        text_add_str(text, "NaN");
    else if (isinf(value))
        text_add_str(text, value > 0 ? "+Inf" : "-Inf");
    else
        text_printf(text, "%.15g", value);
}
