/* element: one element of a tensor of any number type, for kernels that need not be fast: what they
 * mostly see are reals, and of those only a comparison is lost. */
#ifndef RUNESPOOR_OPS_ELEMENT_H
#define RUNESPOOR_OPS_ELEMENT_H

#include "ops/real.h"
#include "tensor/number.h"

static inline double element_load(const struct tensor *tensor, int64_t index)
{
    return tensor->type == TENSOR_REAL ? (double)((const real *)tensor->data)[index]
                                       : number_load(tensor, index);
}

/* Whole types are cut towards zero and held in their range, as number_store does. */
static inline void element_store(struct tensor *tensor, int64_t index, double number)
{
    if (tensor->type == TENSOR_REAL)
        ((real *)tensor->data)[index] = (real)number;
    else
        number_store(tensor, index, number);
}

#endif
