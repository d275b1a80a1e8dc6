/* reduce: arrays summed over some of their dimensions. */
#ifndef RUNESPOOR_CUDA_REDUCE_H
#define RUNESPOOR_CUDA_REDUCE_H

#include "cuda/view.h"

struct reduce {
    struct view kept;   /* the input's dimensions that stay: where each row begins */
    struct view folded; /* those that go: where a row's elements lie from there; no data */
    struct view to;     /* of kept's dimensions */
    int64_t length;     /* elements of a row */
    float scale;
};

/* to = scale times the sum of each row. */
LAUNCHER void reduce_sum(const struct reduce *args, int64_t rows, int64_t length, void *stream);

#endif
