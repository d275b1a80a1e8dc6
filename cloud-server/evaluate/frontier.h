/* frontier: the best accuracy that can be had at each bitrate, from measured settings, and how many
 * bits one frontier saves against another.
 *
 * A setting that costs as much as another or more and is no better is never chosen: it is left out.
 * What remains rises with the bitrate; between neighbours the accuracy is linear over the logarithm
 * of the bitrate. (No convex hull: settings cannot be mixed within a stream.) */
#ifndef RUNESPOOR_EVALUATE_FRONTIER_H
#define RUNESPOOR_EVALUATE_FRONTIER_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define FRONTIER_POINTS_MAX 1024u /* given; far above any evaluation */

struct frontier_point {
    double kbps;     /* above 0 */
    double accuracy; /* of any kind; more is better */
};

struct frontier {
    size_t count;
    struct frontier_point *points; /* by rising bitrate, and rising accuracy */
};

/* points in any order; borrowed for the call. Refuses an empty list, a bitrate that is not above 0,
 * and what is not finite. */
int frontier_init(struct frontier *frontier, const struct frontier_point *points, size_t count,
                  struct error *err);
void frontier_finish(struct frontier *frontier);

/* The accuracy at a bitrate; above the last setting, that one's. False below the first. */
bool frontier_accuracy_at(const struct frontier *frontier, double kbps, double *accuracy);
/* The bitrate that an accuracy costs; below the first setting, that one's. False above the last. */
bool frontier_kbps_at(const struct frontier *frontier, double accuracy, double *kbps);

/* The share of bits (0.4: forty per cent fewer; negative: more) that `ours` needs less than `theirs`
 * for the same accuracy, over the accuracies A that both reach between settings of their own:
 *
 *     1 - exp(mean over A of (ln kbps_ours(A) - ln kbps_theirs(A)))
 *
 * as Bjontegaard averages. The mean is taken of logarithms, not of the shares themselves: so half
 * the bits here and twice the bits there cancel out, and exchanging the two sides turns a factor of
 * bits f into 1/f. Both curves are piecewise linear, so the mean is exact.
 * Refuses (ERROR_UNSUPPORTED) when there is no such range. */
int frontier_bits_saved(const struct frontier *ours, const struct frontier *theirs, double *saved,
                        struct error *err);

#endif
