/* metrics_value: the values behind the handles. Relaxed atomics throughout: each figure is exact, no
 * figure says anything about another. */
#include "net/metrics_registry.h"

#include <assert.h>
#include <string.h>

#define FIRST_BUCKET_US 100u

void metric_counter_add(struct metric_counter *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(&counter->value, amount, memory_order_relaxed);
}

uint64_t metric_counter_get(const struct metric_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

void metric_gauge_set(struct metric_gauge *gauge, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit(&gauge->bits, bits, memory_order_relaxed);
}

double metric_gauge_get(const struct metric_gauge *gauge)
{
    uint64_t bits = atomic_load_explicit(&gauge->bits, memory_order_relaxed);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Bounds double every four buckets; inside an octave they are 2^(k/4). */
uint64_t metric_bucket_us(size_t bucket)
{
    static const uint64_t quarters_ns[4] = { 100000, 118921, 141421, 168179 };
    assert(bucket < METRICS_BUCKETS);
    return (quarters_ns[bucket % 4] << (bucket / 4)) / 1000;
}

void metric_histogram_observe_us(struct metric_histogram *histogram, uint64_t us)
{
    size_t bucket = 0;
    if (us > metric_bucket_us(METRICS_BUCKETS - 1)) {
        bucket = METRICS_BUCKETS - 1;
    } else if (us > FIRST_BUCKET_US) {
        /* 100 * 2^octave < us <= 100 * 2^(octave + 1) leaves four buckets to look at. */
        unsigned octave = 63u - (unsigned)__builtin_clzll((us - 1) / FIRST_BUCKET_US);
        bucket = 4 * octave + 1;
        while (us > metric_bucket_us(bucket))
            bucket++;
    }
    atomic_fetch_add_explicit(&histogram->bucket[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}

void metric_histogram_get(const struct metric_histogram *histogram, struct metric_snapshot *snapshot)
{
    *snapshot = (struct metric_snapshot){ 0 };
    snapshot->sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        snapshot->bucket[i] = atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        snapshot->count += snapshot->bucket[i];
    }
}

void metric_snapshot_subtract(struct metric_snapshot *from, const struct metric_snapshot *what)
{
    from->count -= what->count;
    from->sum_us -= what->sum_us;
    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        from->bucket[i] -= what->bucket[i];
}

void metric_snapshot_add(struct metric_snapshot *to, const struct metric_snapshot *what)
{
    to->count += what->count;
    to->sum_us += what->sum_us;
    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        to->bucket[i] += what->bucket[i];
}

double metric_snapshot_quantile_us(const struct metric_snapshot *snapshot, double quantile)
{
    assert(quantile >= 0 && quantile <= 1);
    double rank = quantile * (double)snapshot->count, below = 0;
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        double here = (double)snapshot->bucket[i];
        if (here > 0 && below + here >= rank) {
            double low = i > 0 ? (double)metric_bucket_us(i - 1) : 0;
            double high = (double)metric_bucket_us(i);
            return low + (high - low) * (rank - below) / here;
        }
        below += here;
    }
    return 0;
}
