/* scores_parts: what the files of scores share. For scores*.c only. */
#ifndef RUNESPOOR_EVALUATE_SCORES_PARTS_H
#define RUNESPOOR_EVALUATE_SCORES_PARTS_H

#include "evaluate/scores.h"
#include <math.h>

/* Counts over many frames or classes. */
struct score_sums {
    uint64_t hits, false_alarms, misses;
};

static inline void score_sums_add(struct score_sums *sums, const struct score_counts *counts)
{
    sums->hits += counts->hits;
    sums->false_alarms += counts->false_alarms;
    sums->misses += counts->misses;
}

/* IoU of label maps, F1 of boxes; NaN where there is nothing on either side. */
static inline double score_sums_accuracy(const struct score_sums *sums, enum score_kind kind)
{
    uint64_t hits = kind == SCORE_BOXES ? 2 * sums->hits : sums->hits;
    uint64_t all = hits + sums->false_alarms + sums->misses;
    return all > 0 ? (double)hits / (double)all : NAN;
}

/* Fills class_count counts of one frame (scores_add_boxes says how). */
int scores_match_boxes(const struct score_box *predictions, size_t prediction_count,
                       const struct score_box *references, size_t reference_count,
                       uint32_t class_count, struct score_counts *counts, struct error *err);

#endif
