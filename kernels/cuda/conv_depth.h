/* conv_depth: convolutions of each channel by itself, 3 x 3 or 5 x 5, forwards. A thread makes several
 * columns of a row, for as many channels as are read in one go: its weights stay in registers, and each
 * pixel is read once for all columns that need it. */
#ifndef RUNESPOOR_CUDA_CONV_DEPTH_H
#define RUNESPOOR_CUDA_CONV_DEPTH_H

#include "cuda/conv.h"
#include "cuda/vector.h"

#define CONV_DEPTH_COLUMNS(size) ((size) == 3 ? 8 : 4) /* as registers allow */

/* Whether there is a kernel for it, where x, w and y are aligned to VECTOR_BYTES. */
static inline bool conv_depth_suits(const struct conv *conv)
{
    int32_t size = conv->kernel[0], stride = conv->stride[0];
    return conv->way == CONV_FORWARD && conv->groups == conv->channels &&
           conv->filters == conv->channels && conv->channels % VECTOR == 0 &&
           (size == 3 || size == 5) && conv->kernel[1] == size && (stride == 1 || stride == 2) &&
           conv->stride[1] == stride && conv->dilation[0] == 1 && conv->dilation[1] == 1;
}

/* For one that suits. */
LAUNCHER void conv_depth_run(const struct conv *conv, void *stream);

/* For each size and stride. count: VECTOR channels of a strip of columns each. */
LAUNCHER void conv_depth_3_1(const struct conv *conv, int64_t count, void *stream);
LAUNCHER void conv_depth_3_2(const struct conv *conv, int64_t count, void *stream);
LAUNCHER void conv_depth_5_1(const struct conv *conv, int64_t count, void *stream);
LAUNCHER void conv_depth_5_2(const struct conv *conv, int64_t count, void *stream);

#endif
