/* metrics_registry: the inside of the registry, shared by metrics.c, metrics_value.c and
 * metrics_prometheus.c only. */
#ifndef RUNESPOOR_NET_METRICS_REGISTRY_H
#define RUNESPOOR_NET_METRICS_REGISTRY_H

#include "net/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct metric_counter {
    _Atomic uint64_t value;
};
struct metric_gauge {
    _Atomic uint64_t bits; /* of a double */
};
struct metric_histogram {
    _Atomic uint64_t sum_us;
    _Atomic uint64_t bucket[METRICS_BUCKETS];
};

/* One handle with its labels. Never moves and lives as long as the registry. */
struct metric_series {
    struct metric_series *next;
    bool retired;
    size_t label_count;
    struct metric_label labels[METRICS_LABELS_MAX]; /* the strings are ours */
    union {
        struct metric_counter counter;
        struct metric_gauge gauge;
        struct metric_histogram histogram;
    } as;
};

struct metric_family {
    struct metric_family *next;
    const char *name, *help;
    char kind; /* 'c', 'g' or 'h' */
    size_t series_count;
    struct metric_series *first, **last;
};

struct metrics {
    pthread_mutex_t lock; /* the lists; values need none */
    struct metric_family *first, **last;
    struct metric_counter *refused;
    struct metric_series spare; /* takes updates where no memory was left; never printed */
};

/* Upper bound of a bucket, inclusive. */
uint64_t metric_bucket_us(size_t bucket);

#endif
