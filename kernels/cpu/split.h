/* split: a f32 number as two of bf16, x = high + low and a rest of 2^-17 at most, so that bf16 matrix
 * units multiply with nearly the accuracy of f32: high·high + low·high + high·low. One side is split
 * as [high, low, high], the other as [high, high, low]; joined along the dimension that is summed over
 * they are the operands of one bf16 product three times as long.
 *
 * The low part of an infinity or NaN is 0, and so is the high part that meets the other side's low
 * one: what is left is high·high, as in f32. Numbers too large for bf16 are cut instead of rounded, so
 * that they stay finite. Matrix units take denormal bf16 for 0: a number below 2^-109 is as exact
 * as in bf16, one below 2^-126 is 0. */
#ifndef RUNESPOOR_CPU_SPLIT_H
#define RUNESPOOR_CPU_SPLIT_H

#include <stdint.h>

#define SPLIT_PARTS 3

enum split_order {
    SPLIT_HIGH_LOW_HIGH,
    SPLIT_HIGH_HIGH_LOW,
};

/* Each of `rows` rows of `length` numbers becomes one of three times as many bf16, part behind part.
 * For processors with AVX-512, as those that have bf16. */
void split_run(const float *from, int64_t rows, int64_t length, enum split_order order, int threads,
               uint16_t *to);

#endif
