/* split_conv_steps: our own convolution in three bf16 products (split_conv.h) as a step of a plan: in
 * PRECISION_BF16X3, where the processor has matrix units, for weights that stay as they are. */
#ifndef RUNESPOOR_CPU_SPLIT_CONV_STEPS_H
#define RUNESPOOR_CPU_SPLIT_CONV_STEPS_H

#include "cpu/post.h"
#include "cpu/split_conv.h"
#include "ops/window.h"

/* How the convolution of a node over this window goes this way, and its input as it is read; BUILD_DECLINED where it
 * cannot, or f32 is faster. */
int split_conv_choose(struct build *build, const struct node *node, const struct window *window,
                      struct split_conv *conv, struct cpu_place **in, struct error *err);
/* out: f32, channels-last. Posts that the kernel does not take get steps behind it. */
int split_conv_add_step(struct build *build, const struct node *node, const struct split_conv *conv,
                        struct cpu_place *in, const struct post_list *posts, struct cpu_place *out,
                        struct error *err);

#endif
