/* softmax: Softmax and its logarithm, and back through them. */
#ifndef RUNESPOOR_CUDA_SOFTMAX_H
#define RUNESPOOR_CUDA_SOFTMAX_H

#include "cuda/fold.h"

enum softmax_way {
    SOFTMAX,
    SOFTMAX_LOG,
    SOFTMAX_BACK,    /* dx = y * (dy - sum(dy * y)) */
    SOFTMAX_LOG_BACK /* dx = dy - exp(y) * sum(dy) */
};

struct softmax {
    struct fold fold;           /* in one part; a row is what is normalised together */
    struct fold_array from, to; /* x to y; back: dy to dx */
    struct fold_array y;        /* back alone */
    int32_t way;                /* enum softmax_way */
    int32_t tile_rows;          /* rows of each block of softmax_tiles */
};

LAUNCHER void softmax_forward(const struct softmax *args, int64_t rows, int64_t length, void *stream);
LAUNCHER void softmax_back(const struct softmax *args, int64_t rows, int64_t length, void *stream);
/* All ways, for rows that row_tile_suits. */
LAUNCHER void softmax_tiles(const struct softmax *args, int64_t blocks, void *stream);

#ifndef __cplusplus
cuda_maker cuda_make_softmax, cuda_make_log_softmax, cuda_make_softmax_grad,
    cuda_make_log_softmax_grad;
#endif

#endif
