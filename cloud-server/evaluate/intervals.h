/* intervals: how sure a figure is, by the block bootstrap. Neighbouring frames of a video resemble
 * each other, so whole blocks of consecutive frames are drawn again, not single frames; both arms of
 * a comparison are looked at over the same draws, so that what is hard for both cancels out.
 *
 * One clip: blocks start anywhere in it (moving blocks), and as many are drawn as fill it. Several
 * clips: each is cut into blocks of about equal length, none across a border, and as many are drawn
 * as there are; a block length above every clip's makes it a bootstrap over clips.
 *
 * The interval is the middle 95 % of what the draws give. Everything follows from the seed. */
#ifndef RUNESPOOR_EVALUATE_INTERVALS_H
#define RUNESPOOR_EVALUATE_INTERVALS_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

#define INTERVAL_DRAWS 1000u
/* Of fewer than six blocks, all lean the same way by chance alone more often than one time in
 * twenty (2 * 0.5^5 = 6 %). */
#define INTERVAL_BLOCKS_MIN 6u
/* Draws for which the figure is not defined (a rare class is in none of the blocks) are left out;
 * beyond this share of them an interval would say little. */
#define INTERVAL_UNDEFINED_PERCENT_MAX 5u
#define INTERVAL_FRAMES_MAX (16u << 20)

/* What is drawn from. */
struct resampling {
    const size_t *clip_frames; /* frames of each clip, in the order of the frames; none is 0 */
    size_t clip_count;
    size_t block_frames;
    uint64_t seed;
};

/* A figure as a function of frames: count indices, which may repeat; NULL stands for all, and count is
 * their number then. scratch has room for count doubles. NaN where it is not defined. */
typedef double statistic_fn(const void *context, const uint32_t *frames, size_t count,
                            double *scratch);

struct interval {
    double value;     /* over all frames */
    double low, high; /* 95 % of draws lie between */
};

struct comparison {
    struct interval difference; /* arm - baseline */
    struct interval gain;       /* arm / baseline - 1; infinite where only the baseline is 0 */
};

/* Says whether there are blocks enough. */
int resampling_check(const struct resampling *resampling, struct error *err);

/* Two arms over the same frames, for a figure that is not negative. baseline and arm are contexts of
 * the figure. */
int interval_compare(const struct resampling *resampling, statistic_fn *figure, const void *baseline,
                     const void *arm, struct comparison *comparison, struct error *err);

/* Any one figure; what it compares inside is paired just as well (bits saved between two
 * frontiers). */
int interval_of(const struct resampling *resampling, statistic_fn *figure, const void *context,
                struct interval *interval, struct error *err);

/* "better" when all of the interval of a difference is above 0, "worse" when below, else
 * "unclear". */
const char *interval_verdict(const struct interval *difference);

#endif
