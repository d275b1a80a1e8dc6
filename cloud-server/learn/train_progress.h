/* train_progress: one line on a terminal that says how far a training is; nothing anywhere else. */
#ifndef RUNESPOOR_LEARN_TRAIN_PROGRESS_H
#define RUNESPOOR_LEARN_TRAIN_PROGRESS_H

#include "learn/train_parts.h"

struct train_progress {
    bool shown;
    uint64_t first_step, start_ns, drawn_ns;
    double loss; /* smoothed */
};

void train_progress_start(struct train_progress *progress, const struct train *train);
/* After a step, with its loss and rate. */
void train_progress_step(struct train_progress *progress, const struct train *train, double loss,
                         double rate);
/* Before the steps, where many pictures are looked at. */
void train_progress_pictures(struct train_progress *progress, const char *what, size_t done,
                             size_t all);
/* Takes the line away, before anything else is printed. */
void train_progress_clear(struct train_progress *progress);

#endif
