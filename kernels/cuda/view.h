/* view: an array as kernels see it: memory, the type of its elements, and a step for each dimension.
 * Elements are read as floats, or as whole numbers where they are that; bf16 and f16 are only ways to
 * store a float. */
#ifndef RUNESPOOR_CUDA_VIEW_H
#define RUNESPOOR_CUDA_VIEW_H

#include "cuda/launch.h"
#include "tensor/tensor.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#else
#include "tensor/number.h"
#endif

struct view {
    void *data;
    int32_t type; /* enum tensor_type */
    int32_t rank;
    int32_t dim[SHAPE_RANK_MAX];
    int64_t step[SHAPE_RANK_MAX]; /* in elements */
};

CUDA_FN float element_load(const void *data, int type, int64_t at)
{
    switch (type) {
    case TENSOR_F32:
        return ((const float *)data)[at];
#ifdef __CUDACC__
    case TENSOR_F16:
        return __half2float(((const __half *)data)[at]);
    case TENSOR_BF16:
        return __bfloat162float(((const __nv_bfloat16 *)data)[at]);
#else
    case TENSOR_F16:
        return float_from_half(((const uint16_t *)data)[at]);
    case TENSOR_BF16:
        return float_from_bfloat(((const uint16_t *)data)[at]);
#endif
    case TENSOR_I64:
        return (float)((const int64_t *)data)[at];
    case TENSOR_I32:
        return (float)((const int32_t *)data)[at];
    case TENSOR_I8:
        return (float)((const int8_t *)data)[at];
    default: /* u8 and bool */
        return (float)((const uint8_t *)data)[at];
    }
}

/* Rounds to the nearest, halves to even. Only floating types. */
CUDA_FN void element_store(void *data, int type, int64_t at, float number)
{
    switch (type) {
    case TENSOR_F32:
        ((float *)data)[at] = number;
        break;
#ifdef __CUDACC__
    case TENSOR_F16:
        ((__half *)data)[at] = __float2half_rn(number);
        break;
    default:
        ((__nv_bfloat16 *)data)[at] = __float2bfloat16_rn(number);
        break;
#else
    case TENSOR_F16:
        ((uint16_t *)data)[at] = float_to_half(number);
        break;
    default:
        ((uint16_t *)data)[at] = float_to_bfloat(number);
        break;
#endif
    }
}

CUDA_FN bool element_is_whole(int type)
{
    return type >= TENSOR_I64;
}

CUDA_FN int64_t element_load_whole(const void *data, int type, int64_t at)
{
    switch (type) {
    case TENSOR_I64:
        return ((const int64_t *)data)[at];
    case TENSOR_I32:
        return ((const int32_t *)data)[at];
    case TENSOR_I8:
        return ((const int8_t *)data)[at];
    case TENSOR_BOOL:
        return ((const uint8_t *)data)[at] != 0;
    default:
        return ((const uint8_t *)data)[at];
    }
}

/* Keeps the low bits; bool is "not 0". */
CUDA_FN void element_store_whole(void *data, int type, int64_t at, int64_t number)
{
    switch (type) {
    case TENSOR_I64:
        ((int64_t *)data)[at] = number;
        break;
    case TENSOR_I32:
        ((int32_t *)data)[at] = (int32_t)number;
        break;
    case TENSOR_I8:
        ((int8_t *)data)[at] = (int8_t)number;
        break;
    case TENSOR_BOOL:
        ((uint8_t *)data)[at] = number != 0;
        break;
    default:
        ((uint8_t *)data)[at] = (uint8_t)number;
        break;
    }
}

/* From the n-th element of dimensions dim, row-major, to where it lies with the given steps. */
CUDA_FN int64_t steps_at(const int32_t *dim, const int64_t *step, int rank, int64_t n)
{
    int64_t at = 0;
    if (n <= 0x7fffffff) { /* the hardware divides neither, but 32 bits in fewer steps */
        uint32_t rest = (uint32_t)n;
        for (int d = rank - 1; d > 0; d--) {
            uint32_t quotient = rest / (uint32_t)dim[d];
            at += (int64_t)(rest - quotient * (uint32_t)dim[d]) * step[d];
            rest = quotient;
        }
        return rank > 0 ? at + rest * step[0] : 0;
    }
    for (int d = rank - 1; d > 0; d--) {
        at += n % dim[d] * step[d];
        n /= dim[d];
    }
    return rank > 0 ? at + n * step[0] : 0;
}

/* How many elements it has. */
CUDA_FN int64_t view_count(const struct view *view)
{
    int64_t count = 1;
    for (int d = 0; d < view->rank; d++)
        count *= view->dim[d];
    return count;
}

CUDA_FN int64_t view_at(const struct view *view, int64_t n)
{
    return steps_at(view->dim, view->step, view->rank, n);
}

CUDA_FN float view_load(const struct view *view, int64_t n)
{
    return element_load(view->data, view->type, view_at(view, n));
}

CUDA_FN void view_store(const struct view *view, int64_t n, float number)
{
    element_store(view->data, view->type, view_at(view, n), number);
}

#endif
