/* cuda_plain: the plain way of kernels that work on rows, and of an optimiser's step: a thread takes a row
 * from end to end, or an element, and shares nothing with others. Where ladders (cuda_lab.h) of them begin.
 * Arguments are those of production's kernels; only what is named here is looked at. */
#ifndef RUNESPOOR_LAB_CUDA_PLAIN_H
#define RUNESPOOR_LAB_CUDA_PLAIN_H

#include "cuda/loss.h"
#include "cuda/norm.h"
#include "cuda/optimise.h"
#include "cuda/reduce.h"
#include "cuda/softmax.h"

/* In all but the last, count: rows. */

/* A sum, times scale. */
LAUNCHER void plain_sum_each(const struct reduce *args, int64_t count, void *stream);
/* Forwards, no logarithm; reads a row three times. */
LAUNCHER void plain_softmax_each(const struct softmax *args, int64_t count, void *stream);
/* Mean and inverse, without running statistics; reads a row twice. */
LAUNCHER void plain_moments_each(const struct norm_moments *args, int64_t count, void *stream);
/* With softmax and without logs; all labels are classes, or ignored. */
LAUNCHER void plain_cost_each(const struct loss *args, int64_t count, void *stream);
LAUNCHER void plain_cost_back_each(const struct loss *args, int64_t count, void *stream);

/* Adam's step of one array; states as in struct optimise_part. */
struct plain_adam {
    const float *gradient, *before[OPTIMISE_STATES_MAX];
    float *after[OPTIMISE_STATES_MAX];
    const struct optimise_now *now;
    float beta1, beta2, epsilon;
};

/* count: elements. */
LAUNCHER void plain_adam_each(const struct plain_adam *args, int64_t count, void *stream);

#endif
