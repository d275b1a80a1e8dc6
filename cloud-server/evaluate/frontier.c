/* frontier: see the header. */
#include "evaluate/frontier.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* By rising bitrate; of one bitrate, the best first. */
static int compare_points(const void *left, const void *right)
{
    const struct frontier_point *a = left, *b = right;
    if (a->kbps != b->kbps)
        return a->kbps < b->kbps ? -1 : 1;
    return (a->accuracy < b->accuracy) - (a->accuracy > b->accuracy);
}

int frontier_init(struct frontier *frontier, const struct frontier_point *points, size_t count,
                  struct error *err)
{
    if (count == 0 || count > FRONTIER_POINTS_MAX)
        return error_set(err, ERROR_LIMIT, "frontier", "%zu settings; 1 to %u make a frontier",
                         count, FRONTIER_POINTS_MAX);
    struct frontier_point *kept = calloc(count, sizeof *kept);
    if (!kept)
        return error_set(err, ERROR_MEMORY, "frontier", "no room for %zu settings", count);
    for (size_t i = 0; i < count; i++) {
        kept[i] = points[i];
        if (isfinite(kept[i].kbps) && kept[i].kbps > 0 && isfinite(kept[i].accuracy))
            continue;
        free(kept);
        return error_set(err, ERROR_FORMAT, "frontier",
                         "setting %zu has accuracy %g at %g kbit/s: both must be finite, and the "
                         "bitrate above 0",
                         i, points[i].accuracy, points[i].kbps);
    }
    qsort(kept, count, sizeof *kept, compare_points);
    size_t last = 0;
    for (size_t i = 1; i < count; i++)
        if (kept[i].accuracy > kept[last].accuracy)
            kept[++last] = kept[i];
    *frontier = (struct frontier){ .count = last + 1, .points = kept };
    return 0;
}

void frontier_finish(struct frontier *frontier)
{
    free(frontier->points);
    *frontier = (struct frontier){ 0 };
}

bool frontier_accuracy_at(const struct frontier *frontier, double kbps, double *accuracy)
{
    const struct frontier_point *points = frontier->points;
    if (!(kbps >= points[0].kbps))
        return false;
    size_t next = 1;
    while (next < frontier->count && points[next].kbps <= kbps)
        next++;
    *accuracy = points[next - 1].accuracy;
    if (next < frontier->count) {
        const struct frontier_point *from = &points[next - 1], *to = &points[next];
        double share = log(kbps / from->kbps) / log(to->kbps / from->kbps);
        *accuracy += share * (to->accuracy - from->accuracy);
    }
    return true;
}

bool frontier_kbps_at(const struct frontier *frontier, double accuracy, double *kbps)
{
    const struct frontier_point *points = frontier->points;
    if (!(accuracy <= points[frontier->count - 1].accuracy))
        return false;
    size_t next = 0;
    while (points[next].accuracy < accuracy)
        next++;
    *kbps = points[next].kbps;
    if (next > 0) {
        const struct frontier_point *from = &points[next - 1], *to = &points[next];
        double share = (accuracy - from->accuracy) / (to->accuracy - from->accuracy);
        *kbps = from->kbps * pow(to->kbps / from->kbps, share);
    }
    return true;
}

/* Logarithm of the factor of bits at an accuracy that both reach. */
static double log_factor(const struct frontier *ours, const struct frontier *theirs, double accuracy)
{
    double our_kbps, their_kbps;
    bool both = frontier_kbps_at(ours, accuracy, &our_kbps) &&
                frontier_kbps_at(theirs, accuracy, &their_kbps);
    assert(both);
    return log(our_kbps / their_kbps);
}

/* The lowest accuracy above `above` at which one of the curves bends, or high. */
static double next_bend(const struct frontier *frontier, double above, double high)
{
    for (size_t i = 0; i < frontier->count; i++)
        if (frontier->points[i].accuracy > above)
            return fmin(frontier->points[i].accuracy, high);
    return high;
}

int frontier_bits_saved(const struct frontier *ours, const struct frontier *theirs, double *saved,
                        struct error *err)
{
    double our_best = ours->points[ours->count - 1].accuracy;
    double their_best = theirs->points[theirs->count - 1].accuracy;
    double low = fmax(ours->points[0].accuracy, theirs->points[0].accuracy);
    double high = fmin(our_best, their_best);
    if (!(low < high))
        return error_set(err, ERROR_UNSUPPORTED, "frontier",
                         "no accuracy is reached by both: one goes from %.4f to %.4f, the other "
                         "from %.4f to %.4f",
                         ours->points[0].accuracy, our_best, theirs->points[0].accuracy, their_best);
    double sum = 0, at = low, value = log_factor(ours, theirs, low);
    while (at < high) {
        double to = fmin(next_bend(ours, at, high), next_bend(theirs, at, high));
        double next = log_factor(ours, theirs, to);
        sum += (to - at) * (value + next) / 2;
        at = to;
        value = next;
    }
    *saved = 1 - exp(sum / (high - low));
    return 0;
}
