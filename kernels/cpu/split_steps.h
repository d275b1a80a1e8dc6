/* split_steps: the steps that split f32 operands into bf16 parts for PRECISION_BF16X3, so that one bf16
 * primitive over three times the contraction gives an f32 result. With matrix units, convolutions of constant
 * weights go another way, if they pay there (cpu/split_conv_steps.h).
 *
 * What is split: convolutions in one group, forward and both gradients, transposed ones, and products
 * of matrices, if there are SPLIT_PRODUCTS_MIN multiplications for each number that has to be split in
 * a run. Depthwise and grouped convolutions, first and last layers of three channels, 1x1 convolutions
 * to fewer than 64 channels and the like stay f32: passing over their numbers takes as long as matrix
 * units save; so do the few for which oneDNN has no fast or no right bf16 code. (With AMX and two
 * threads oneDNN 2.6 does 350 GFLOP/s in f32, and in three products 1.8 to 2.9 times as many: a
 * multiplication is 2.5 to 3.7 ps faster. Splitting a number takes 150 ps in the caches,
 * kernels/lab/split.c.) The rule does not ask what the processor has: with AVX-512 bf16 alone
 * bf16x3 is slower than f32, but computes what it computes elsewhere. */
#ifndef RUNESPOOR_CPU_SPLIT_STEPS_H
#define RUNESPOOR_CPU_SPLIT_STEPS_H

#include "cpu/build.h"
#include "cpu/split.h"

#define SPLIT_PRODUCTS_MIN 64

/* Whether the rule says so; false in other precisions. */
bool split_pays(const struct build *build, uint64_t flop, int64_t numbers);
/* How many numbers of a value have to be split in each run: none of a constant. */
int64_t split_count(const struct build *build, int value);

/* The value, which lies at `plain` without gaps in f32, in rows of three parts; once for each form, and
 * at once if it is constant. layout: what it is seen as, of as many rows. value -1: what is at `plain`
 * is only a part of one. */
int split_want(struct build *build, int value, const struct cpu_place *plain, int64_t rows,
               enum split_order order, const struct layout *layout, struct cpu_place **place,
               struct error *err);
/* An image of three or four dimensions as one of four, channels-last, with three times as many pictures
 * (axis 0) or channels (axis 1). */
int split_want_image(struct build *build, int value, int axis, enum split_order order,
                     struct cpu_place **place, struct error *err);
/* Row-major, three times as long along axis 0 or 1. */
int split_want_weights(struct build *build, int value, int axis, enum split_order order,
                       struct cpu_place **place, struct error *err);

#endif
