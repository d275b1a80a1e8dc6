/* compare: how far a tensor is from the expected one. */
#ifndef RUNESPOOR_LAB_COMPARE_H
#define RUNESPOOR_LAB_COMPARE_H

#include "tensor/tensor.h"

enum compare {
    COMPARE_BITS,    /* the same bytes; the error is 0 or infinite, as with values */
    COMPARE_VALUES,  /* equal numbers: 0 and -0 are, and NaN is NaN's equal */
    COMPARE_EACH,    /* largest difference over what is expected there, or over 1 */
    COMPARE_LARGEST, /* largest difference over the largest element that is expected */
    COMPARE_NORM,    /* norm of the difference over norm of the expected; over a hundredth where
                        numbers are smaller than that on average: x - x is noise on both sides */
};

/* Floats may be compared with doubles; other types are compared by value. Infinite where types or
 * shapes differ, and where one number is NaN or infinite and the other is not the same. */
double compare_tensors(const struct tensor *got, const struct tensor *expected, enum compare how);

#endif
