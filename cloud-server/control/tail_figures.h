/* tail_figures: what probes say of all frames of a stream, with 95 % intervals.
 *
 * A probe is a frame drawn at random, each for itself, with a probability that is known; its weight is
 * 1 / probability, up to a factor that all have in common. What it weighs stands for frames that nobody
 * looked at, so shares and means are weighted (Hajek 1971): mean = sum(w y) / sum(w), and a figure made
 * of counts is one weighted sum divided by another. Nothing is taken off for the frames being finite in
 * number: what is said holds for those of the next minutes, too.
 *
 *     mean          accuracy of a frame
 *     tail90, 99    the accuracy that 90 % (99 %) of frames reach or exceed: the smallest one such that
 *                   those up to it weigh 10 % (1 %). With equal weights this is score_tail's nearest
 *                   rank (evaluate/scores.h), exactly.
 *     class_tail    mean accuracy (IoU of label maps, F1 of boxes) of the ceil(K/4) worst of the K
 *                   classes that occur in golden answers. Chosen anew from these samples, so that it
 *                   leans low where there are few of them; the interval takes the choice as given.
 *     precision     hits / (hits + false alarms) over all classes
 *     recall        hits / (hits + misses)
 *
 * Groups. Of every answer it is known how uncertain it looks, of probes and of all other frames; so of a
 * probe it is known where it stands among all frames (uncertainty_rank), and probes can be taken in
 * groups of frames that look alike uncertain, 16 at most and 10 probes or more in each, whose shares of all
 * frames are known too, as these ranks are even. Each group counts as its share, however many probes
 * chance has brought it (poststratification; Holt and Smith 1979, Journal of the Royal Statistical Society
 * A 142), and only what differs within groups makes an interval wide. A tail is looked at without groups as
 * long as fewer than 6 probes lie in it on average, since their weights, less even then, cost it its low
 * end.
 *
 * Intervals. The normal interval around the standard error of a weighted ratio (Saerndal, Swensson and
 * Wretman 1992, 5.5 to 5.7), and for tails that interval of the distribution function turned back into
 * accuracies (Woodruff 1952), take the samples to show how much frames differ. A few dozen do not where
 * bad frames are rare: on streams of which most frames are perfect the mean's held the truth 43 to 94 times
 * of a hundred, and a tail's 50 to 86 times where it lies on an accuracy that many frames share. So all
 * bounds here are those of Clopper and Pearson (1934), made weighted as by Korn and Graubard (1998, Survey
 * Methodology 24), with one thing more:
 *
 *     For the low end a frame is added that was not seen and is wholly wrong; for the high end one that
 *     is wholly right. p, v: the weighted ratio and the variance of its linearisation with that frame
 *     among the others. n = p (1 - p) / v is how many equal frames would say as much, and the end is
 *     the 2.5 % (97.5 %) quantile of Beta(n p, n (1 - p)).
 *
 * For a share of frames of equal weight that is Clopper's and Pearson's interval to the last digit. With groups
 * the part of v that comes of samples is multiplied by what their squares around the means of their groups,
 * each group's times n/(n-1) of its own number, are of those around the mean of all. The
 * added frame weighs what a frame does on average that lies in the lowest half of accuracies (for tail99:
 * in the lowest 5 %; five times the share that is looked for), since there it would be. Fay and Feuer
 * (1997) add the largest weight of all; that holds, too, but with weights spread evenly from 1 to 10 it
 * left nearly all tails without a low end after 60 probes, and this 2 to 14 of a hundred. Three times the
 * share held 92.9 % in one case. A ratio of counts gains a frame of average size, a class tail one for
 * each of its classes.
 *
 * A tail's interval goes from one sample's accuracy to another's, of ranks l <= u: the chance (by that
 * Beta) that 10 % of frames or more lie below rank l, plus that less than 10 % lie at or below rank u, is
 * at most 5 %. Of all such pairs it is the one with the fewest ranks between, then the one whose two chances
 * are most alike. With equal weights the chances are the binomial distribution's, and the interval is that
 * of order statistics: exact, whatever the distribution. 30 and 300 probes are what it takes to have a low
 * end (0.9^30 = 4.2 %, 0.99^300 = 4.9 %). With unequal weights it may take more; until then the low end
 * is 0.
 *
 * tail_figures_test draws probes from frames and counts how often the truth is held: for weights up to
 * 1:10, related to accuracy or not, with groups and without, 94 % and more. Weights of 1:100 are too much for
 * a few dozen. */
#ifndef RUNESPOOR_CONTROL_TAIL_FIGURES_H
#define RUNESPOOR_CONTROL_TAIL_FIGURES_H

#include "base/error.h"
#include "evaluate/scores.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAIL_SAMPLES_MAX (1u << 20)
#define TAIL_WEIGHT_MAX 1e6 /* one so heavy is all that counts */

struct tail_class {
    uint32_t class_id; /* below SCORE_CLASSES_MAX; each once in a sample */
    struct score_counts counts;
};

/* One probe. */
struct tail_sample {
    uint64_t capture_unix_us;
    double accuracy; /* 0..1 */
    double weight;   /* 1 / probability: 1..TAIL_WEIGHT_MAX */
    const struct tail_class *classes;
    size_t class_count;
    /* The share of the stream's frames that looked less uncertain, above 0 and at most 1, among equal ones
     * by lot: so that of all frames as many have one value as another. 0: not known. */
    double uncertainty_rank;
};

/* name, word, from how many probes on it is known, meaning */
#define TAIL_FIGURES(X)                                                              \
    X(MEAN, "mean", 30, "mean accuracy of frames")                                   \
    X(TAIL90, "tail90", 30, "the accuracy that 90 % of frames reach or exceed")      \
    X(TAIL99, "tail99", 300, "the accuracy that 99 % of frames reach or exceed")     \
    X(CLASS_TAIL, "class_tail", 30, "mean accuracy of the worst quarter of classes") \
    X(PRECISION, "precision", 30, "share of what was found that is there")           \
    X(RECALL, "recall", 30, "share of what is there that was found")

enum tail_which {
#define X(name, word, probes_min, meaning) TAIL_##name,
    TAIL_FIGURES(X)
#undef X
        TAIL_FIGURE_COUNT
};
extern const char *const tail_figure_words[TAIL_FIGURE_COUNT];

/* value, low and high are 0..1, low <= value <= high; all 0 where it is not known: there are too few
 * probes, or no class, or nothing to have precision or recall of. */
struct tail_figure {
    bool known;
    double value, low, high; /* low..high: 95 % */
};

struct tail_figures {
    size_t probes;
    struct tail_figure figure[TAIL_FIGURE_COUNT];
};

/* Room to work in, one for each sample (tail_parts.h). */
struct tail_rank {
    const struct tail_sample *sample;
    uint32_t group;
    double weight;
    double pull;
    double too_few, too_many;
};

/* Refuses (ERROR_FORMAT) what no probe can have given: an accuracy or a weight out of range or no
 * number, a class_id of class_count or above. class_count: at most SCORE_CLASSES_MAX. */
int tail_sample_check(const struct tail_sample *sample, uint32_t class_count, struct error *err);

/* All figures of count samples, in any order. Refuses (ERROR_FORMAT, with the sample's index) samples as
 * above; (ERROR_LIMIT) more than TAIL_SAMPLES_MAX. No samples: nothing is known. scratch: room for
 * count; borrowed for the call, and so is everything else. Allocates nothing; any thread. On error
 * *figures is as it was. */
int tail_figures_make(struct tail_figures *figures, enum score_kind kind,
                      const struct tail_sample *samples, size_t count, struct tail_rank *scratch,
                      struct error *err);

#endif
