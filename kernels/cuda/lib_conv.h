/* lib_conv: a convolution, and what follows it in the same step, as cuDNN's graph of operations. */
#ifndef RUNESPOOR_CUDA_LIB_CONV_H
#define RUNESPOOR_CUDA_LIB_CONV_H

#include "cuda/lib_bag.h"
#include "cuda/libraries.h"

/* Numbers of the arrays in the graph. */
enum lib_conv_id {
    LIB_CONV_X = 1,
    LIB_CONV_W,
    LIB_CONV_Y,
    LIB_CONV_BIAS,
    LIB_CONV_OPERAND = 16, /* of the first post that takes one; the next has the next number */
    LIB_CONV_BETWEEN = 32, /* the first of the results that are not stored */
};

/* Describes the convolution, then the bias, then each post on what came before, in f32, and the last
 * result in the type of the array. NULL where cuDNN has no word for it; the bag is to be emptied then
 * too. */
cudnnBackendDescriptor_t lib_conv_graph(struct lib_bag *bag, cudnnHandle_t handle,
                                        const struct lib_conv_spec *spec);

#endif
