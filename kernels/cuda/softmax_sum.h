/* softmax_sum: the sum of exponentials of some numbers, with the largest of them taken out, in one pass:
 * M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax" (arXiv:1805.02867). For
 * kernels alone. */
#ifndef RUNESPOOR_CUDA_SOFTMAX_SUM_H
#define RUNESPOOR_CUDA_SOFTMAX_SUM_H

#include "cuda/fold.h"

struct softmax_sum {
    float largest, sum; /* of exp(number - largest) */
};

CUDA_FN struct softmax_sum softmax_sum_none(void)
{
    struct softmax_sum none = { -INFINITY, 0 };
    return none;
}

CUDA_FN void softmax_sum_merge(struct softmax_sum *sum, const struct softmax_sum *other)
{
    if (other->largest > sum->largest) {
        sum->sum = sum->sum * expf(sum->largest - other->largest) + other->sum;
        sum->largest = other->largest;
    } else if (other->largest == sum->largest) { /* both may be infinite */
        sum->sum += other->sum;
    } else {
        sum->sum += other->sum * expf(other->largest - sum->largest);
    }
}

/* Of a lane's part of a row. */
CUDA_FN struct softmax_sum softmax_sum_lane(const struct fold *fold, const struct fold_array *array,
                                            int64_t row, int lane, int lanes)
{
    struct softmax_sum sum = softmax_sum_none();
    int64_t start = fold_start(array, row);
    for (int64_t i = lane; i < fold->length; i += lanes) {
        struct softmax_sum one = { fold_load(array, start, i), 1 };
        softmax_sum_merge(&sum, &one);
    }
    return sum;
}

/* Of numbers that are at hand. */
CUDA_FN struct softmax_sum softmax_sum_of(const float *numbers, int count)
{
    struct softmax_sum sum = softmax_sum_none();
    for (int i = 0; i < count; i++)
        sum.largest = numbers[i] > sum.largest ? numbers[i] : sum.largest;
    for (int i = 0; i < count; i++)
        sum.sum += expf(numbers[i] - sum.largest);
    return sum;
}

#endif
