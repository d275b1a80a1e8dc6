/* tail_parts: what tail_figures.c is made of: groups and weights, tails (tail_ranks.c), means of ratios
 * (tail_ratios.c). Any thread. */
#ifndef RUNESPOOR_CONTROL_TAIL_PARTS_H
#define RUNESPOOR_CONTROL_TAIL_PARTS_H

#include "control/tail_figures.h"

#define TAIL_GROUPS_MAX 16u /* more tell hardly more */

/* How many groups so many samples make: one where it is not known of all of them how uncertain they are
 * among others. */
size_t tail_groups_count(const struct tail_sample *samples, size_t count);

/* Fills ranks with the samples by accuracy, each with its group and a weight that is 1 on average. Groups
 * are of frames that look alike uncertain, as many samples in each; a group's samples have the weight of
 * its share of all frames between them, each by its own. groups: up to tail_groups_count. */
void tail_groups_make(struct tail_rank *ranks, const struct tail_sample *samples, size_t count,
                      size_t groups);

/* What a frame weighs on average, of all frames and not of all samples, among the lowest of some times that
 * share: the weight of the frame that is added. */
double tail_guard_weight(const struct tail_rank *ranks, size_t count, double share);

/* The tail of share and its interval. Uses up too_few and too_many. */
void tail_ranks_figure(struct tail_figure *figure, struct tail_rank *ranks, size_t count,
                       double share);

/* The mean, the class tail, precision or recall and its interval; left as it is where there is nothing to
 * have it of. Uses up pull. */
void tail_ratios_figure(struct tail_figure *figure, enum tail_which which, enum score_kind kind,
                        struct tail_rank *ranks, size_t count);

#endif
