/* reduce: arrays summed, or otherwise brought down, over some of their dimensions, in an order that is
 * the same in every run. */
#ifndef RUNESPOOR_CUDA_REDUCE_H
#define RUNESPOOR_CUDA_REDUCE_H

#include "cuda/fold.h"

enum reduce_way { REDUCE_SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN };

struct reduce {
    struct fold fold;
    struct fold_array from, to; /* to: a number for each row */
    int32_t way;                /* enum reduce_way */
    float scale;                /* of the result; 1 but for a mean */
};

/* Floats, but no product; f32 sums. Where a number is NaN the extremes are. */
LAUNCHER void reduce_float(const struct reduce *args, void *stream);
/* Products of floats, in doubles: they leave f32's range on the way to a result within it. */
LAUNCHER void reduce_product(const struct reduce *args, void *stream);
/* Whole numbers, which wrap around. */
LAUNCHER void reduce_whole(const struct reduce *args, void *stream);

#ifndef __cplusplus
/* Adds a step: to = scale times the sums of from over its folded dimensions, row-major. */
int cuda_sum_place(struct cuda_build *build, struct cuda_place *from, const bool *folded,
                   float scale, struct cuda_place *to, struct error *err);
#endif

#endif
