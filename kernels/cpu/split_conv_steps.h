/* split_conv_steps: our own convolution in three bf16 products (split_conv.h) as a step of a plan: in
 * PRECISION_BF16X3, where the processor has matrix units, for weights that stay as they are. */
#ifndef RUNESPOOR_CPU_SPLIT_CONV_STEPS_H
#define RUNESPOOR_CPU_SPLIT_CONV_STEPS_H

#include "cpu/post.h"
#include "cpu/split_conv.h"
#include "ops/window.h"

/* Says whether a convolution over this window, with these inputs, can go this way, and how. The caller has yet
 * to say how its pixels lie, and to make the plan. */
bool split_conv_suits(const struct build *build, const struct window *window, int weights, int bias,
                      struct split_conv *conv);
/* Whether it is faster than f32, by what the plan takes. */
bool split_conv_pays(const struct split_conv *conv);
/* in: f32, pixels in_step apart, or planar; out: the same, out_step apart; weights and bias (-1: none) are
 * values of the graph. Posts that the kernel does not take get steps behind it. */
int split_conv_add_step(struct build *build, struct split_conv *conv, struct cpu_place *in,
                        int weights, int bias, const struct post_list *posts, struct cpu_place *out,
                        struct error *err);

#endif
