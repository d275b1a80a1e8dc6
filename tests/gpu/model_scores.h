/* model_scores: whether a detector sees the same in two outputs: not boxes, which the product decodes
 * afterwards, but what decides about them: which cells are above the threshold, their classes, and their
 * order. A cell's score is the probability that there is anything, to its power, times that of its best
 * class, to its. */
#ifndef RUNESPOOR_TESTS_GPU_MODEL_SCORES_H
#define RUNESPOOR_TESTS_GPU_MODEL_SCORES_H

#include "model_list.h"

/* How many cells of the first picture are above the threshold; negative without memory. */
int model_count_found(const struct model_scores *scores, const struct tensor *output,
                      struct error *err);

/* Scores nearer to each other, or to the threshold, than margin may change places. Says what differs.
 * At least one cell is above the threshold. */
int model_compare_scores(const struct model_scores *scores, const struct tensor *got,
                         const struct tensor *expected, double margin, struct error *err);

#endif
