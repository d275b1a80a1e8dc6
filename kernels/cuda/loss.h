/* loss: ONNX's cross-entropy losses and what flows back through them (ops/loss.c). A row is the scores of
 * one position.
 *
 * A label that is no class is an error in the reference. A kernel can raise none, and a training step is
 * one recording of kernels. So such a position counts as ignored, its gradient is 0 so that the network
 * stays as it is, and its cost is NaN, and with it the loss: nobody takes that for a result. */
#ifndef RUNESPOOR_CUDA_LOSS_H
#define RUNESPOOR_CUDA_LOSS_H

#include "cuda/fold.h"

/* What positions count. */
struct loss_labels {
    struct fold_array at; /* the labels: one for each row, or each element of the only row */
    struct view weights;  /* of classes; no data: 1 each */
    int64_t classes, ignore;
    int32_t ignores; /* positions labelled `ignore` do not count */
};

struct loss {
    struct fold fold; /* in one part */
    struct loss_labels labels;
    struct fold_array scores;
    struct fold_array cost; /* forwards, a result: one for each row, times its weight */
    struct fold_array logs; /* forwards, a result: logarithms of probabilities; may be without data */
    struct fold_array gradient; /* back: of the loss; one, or one for each row */
    struct fold_array to;       /* back, a result: gradient of scores */
    const float *share;         /* back: a factor of all, of loss_total; NULL: 1 */
    int32_t softmax;   /* scores become probabilities first; 0: they are logarithms of them */
    int32_t tile_rows; /* of the tile kernels */
};

LAUNCHER void loss_forward(const struct loss *args, int64_t rows, int64_t length, void *stream);
LAUNCHER void loss_back(const struct loss *args, int64_t rows, int64_t length, void *stream);
/* The same for rows that row_tile_suits. */
LAUNCHER void loss_forward_tiles(const struct loss *args, int64_t blocks, void *stream);
LAUNCHER void loss_back_tiles(const struct loss *args, int64_t blocks, void *stream);

struct loss_total {
    struct fold fold; /* one row of all positions */
    struct loss_labels labels;
    struct fold_array cost; /* of each; without data: the share is wanted, not the loss */
    int32_t mean;           /* else the sum */
    float *result;
};

/* The loss of costs: their sum, or that by the sum of weights; or what a mean's gradient is multiplied
 * by, 1 / sum of weights. Where nothing counts both are 0. */
LAUNCHER void loss_total(const struct loss_total *args, void *stream);

#endif
