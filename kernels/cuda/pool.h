/* pool: the largest elements of windows that slide over pictures, and where they are. A picture of one
 * dimension is seen as one row. */
#ifndef RUNESPOOR_CUDA_POOL_H
#define RUNESPOOR_CUDA_POOL_H

#include "cuda/view.h"

enum { POOL_BATCH, POOL_CHANNELS, POOL_ROWS, POOL_COLUMNS, POOL_RANK };

struct pool {
    struct view in, out; /* of four dimensions; of gradients: what is written, and what comes in */
    bool channels_last;  /* the order in which elements are counted */
    int32_t kernel[2], stride[2], dilation[2], pad[2]; /* rows, columns; pad: before */
    int32_t *places; /* of each element of out, in that order: row * columns + column of in; -1: none */
};

/* out = the largest of each window; NaN if there is one; -infinity where the window meets nothing.
 * rows: elements of out; length: of a window. */
LAUNCHER void pool_largest(const struct pool *args, int64_t rows, int64_t length, void *stream);
/* places = where the first of the largest is, or the last NaN. */
LAUNCHER void pool_find(const struct pool *args, int64_t rows, int64_t length, void *stream);
/* in = the sum of those elements of out whose place it is. count: elements of in. */
LAUNCHER void pool_give_back(const struct pool *args, int64_t count, void *stream);

#endif
