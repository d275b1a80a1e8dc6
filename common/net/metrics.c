/* metrics: families and their series are lists that only grow, so that a handle stays good without
 * counting references; making one is rare and may walk them. */
#include "net/metrics_registry.h"

#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct metric_series *get_series(struct metrics *metrics, const char *name, const char *help,
                                        char kind, const struct metric_label *labels,
                                        size_t label_count);
static struct metric_family *get_family(struct metrics *metrics, const char *name, const char *help,
                                        char kind);
static struct metric_series *find_series(const struct metric_family *family,
                                         const struct metric_label *labels, size_t label_count);
static struct metric_series *add_series(struct metric_family *family,
                                        const struct metric_label *labels, size_t label_count);
static struct metric_series *get_other_series(struct metric_family *family,
                                              const struct metric_label *labels, size_t label_count);
static void free_series(struct metric_series *series);
static char *copy_value(const char *value);
static bool name_is_valid(const char *name);

int metrics_create(struct metrics **metrics, struct error *err)
{
    assert(metrics);
    struct metrics *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "metrics", "no room for %zu bytes", sizeof *fresh);
    pthread_mutex_init(&fresh->lock, NULL);
    fresh->last = &fresh->first;
    fresh->refused = &fresh->spare.as.counter;
    fresh->refused = metrics_counter(fresh, "metrics_series_refused_total",
                                     "Series not made because of the limit per family", NULL, 0);
    if (fresh->refused == &fresh->spare.as.counter) {
        metrics_destroy(&fresh);
        return error_set(err, ERROR_MEMORY, "metrics", "no room for the first series");
    }
    *metrics = fresh;
    return 0;
}

void metrics_destroy(struct metrics **metrics)
{
    assert(metrics);
    if (!*metrics)
        return;
    for (struct metric_family *family = (*metrics)->first, *next; family; family = next) {
        next = family->next;
        for (struct metric_series *series = family->first, *after; series; series = after) {
            after = series->next;
            free_series(series);
        }
        free(family);
    }
    pthread_mutex_destroy(&(*metrics)->lock);
    free(*metrics);
    *metrics = NULL;
}

struct metric_counter *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                                       const struct metric_label *labels, size_t label_count)
{
    return &get_series(metrics, name, help, 'c', labels, label_count)->as.counter;
}

struct metric_gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                                   const struct metric_label *labels, size_t label_count)
{
    return &get_series(metrics, name, help, 'g', labels, label_count)->as.gauge;
}

struct metric_histogram *metrics_histogram(struct metrics *metrics, const char *name,
                                           const char *help, const struct metric_label *labels,
                                           size_t label_count)
{
    return &get_series(metrics, name, help, 'h', labels, label_count)->as.histogram;
}

void metrics_visit(struct metrics *metrics, metrics_visit_fn *visit, void *arg)
{
    assert(metrics && visit);
    pthread_mutex_lock(&metrics->lock);
    for (const struct metric_family *family = metrics->first; family; family = family->next)
        for (const struct metric_series *series = family->first; series; series = series->next)
            if (!series->retired)
                visit(arg, family->name, family->kind, series->labels, series->label_count,
                      &series->as);
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_retire(struct metrics *metrics, const char *label_name, const char *label_value)
{
    assert(metrics && label_name && label_value);
    pthread_mutex_lock(&metrics->lock);
    for (struct metric_family *family = metrics->first; family; family = family->next)
        for (struct metric_series *series = family->first; series; series = series->next)
            for (size_t i = 0; i < series->label_count; i++)
                if (strcmp(series->labels[i].name, label_name) == 0 &&
                    strcmp(series->labels[i].value, label_value) == 0)
                    series->retired = true;
    pthread_mutex_unlock(&metrics->lock);
}

static struct metric_series *get_series(struct metrics *metrics, const char *name, const char *help,
                                        char kind, const struct metric_label *labels,
                                        size_t label_count)
{
    assert(metrics && name_is_valid(name) && help);
    assert(label_count <= METRICS_LABELS_MAX && (labels || label_count == 0));
    pthread_mutex_lock(&metrics->lock);
    bool refused = false;
    struct metric_series *series = NULL;
    struct metric_family *family = get_family(metrics, name, help, kind);
    if (family) {
        series = find_series(family, labels, label_count);
        if (!series && family->series_count >= METRICS_SERIES_MAX) {
            refused = true;
            series = get_other_series(family, labels, label_count);
        } else if (!series) {
            series = add_series(family, labels, label_count);
        }
    }
    if (series)
        series->retired = false;
    pthread_mutex_unlock(&metrics->lock);
    if (refused || !series)
        metric_counter_add(metrics->refused, 1);
    return series ? series : &metrics->spare;
}

static struct metric_family *get_family(struct metrics *metrics, const char *name, const char *help,
                                        char kind)
{
    for (struct metric_family *family = metrics->first; family; family = family->next)
        if (strcmp(family->name, name) == 0) {
            assert(family->kind == kind);
            return family;
        }
    struct metric_family *family = calloc(1, sizeof *family);
    if (!family)
        return NULL;
    *family = (struct metric_family){ .name = name, .help = help, .kind = kind };
    family->last = &family->first;
    *metrics->last = family;
    metrics->last = &family->next;
    return family;
}

static struct metric_series *find_series(const struct metric_family *family,
                                         const struct metric_label *labels, size_t label_count)
{
    for (struct metric_series *series = family->first; series; series = series->next) {
        if (series->label_count != label_count)
            continue;
        size_t same = 0;
        while (same < label_count && strcmp(series->labels[same].name, labels[same].name) == 0 &&
               strcmp(series->labels[same].value, labels[same].value) == 0)
            same++;
        if (same == label_count)
            return series;
    }
    return NULL;
}

static struct metric_series *add_series(struct metric_family *family,
                                        const struct metric_label *labels, size_t label_count)
{
    struct metric_series *series = calloc(1, sizeof *series);
    if (!series)
        return NULL;
    for (size_t i = 0; i < label_count; i++) {
        assert(name_is_valid(labels[i].name));
        char *name = strdup(labels[i].name), *value = copy_value(labels[i].value);
        series->labels[i] = (struct metric_label){ .name = name, .value = value };
        series->label_count = i + 1;
        if (!name || !value) {
            free_series(series);
            return NULL;
        }
    }
    *family->last = series;
    family->last = &series->next;
    family->series_count++;
    return series;
}

/* One more than the limit: a family's sum stays right when its labels ran out. */
static struct metric_series *get_other_series(struct metric_family *family,
                                              const struct metric_label *labels, size_t label_count)
{
    struct metric_label other[METRICS_LABELS_MAX];
    for (size_t i = 0; i < label_count; i++)
        other[i] = (struct metric_label){ .name = labels[i].name, .value = "other" };
    struct metric_series *series = find_series(family, other, label_count);
    return series ? series : add_series(family, other, label_count);
}

static void free_series(struct metric_series *series)
{
    for (size_t i = 0; i < series->label_count; i++) {
        free((char *)series->labels[i].name);
        free((char *)series->labels[i].value);
    }
    free(series);
}

/* A scraper refuses the whole page for one byte that is not UTF-8. */
static char *copy_value(const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return NULL;
    for (size_t at = 0, size = strlen(copy); at < size;) {
        size_t bytes = text_utf8_bytes(copy + at, size - at);
        if (bytes == 0)
            copy[at] = '?';
        at += bytes ? bytes : 1;
    }
    return copy;
}

static bool name_is_valid(const char *name)
{
    if (!name || !name[0] || (name[0] >= '0' && name[0] <= '9'))
        return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] ==
           '\0';
}
