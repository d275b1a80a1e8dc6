/* pad: a number put around an array, which is also the gradient of cutting a part out. */
#ifndef RUNESPOOR_CPU_PAD_H
#define RUNESPOOR_CPU_PAD_H

#include "cpu/build.h"

/* The node's first output as its first input with `number` around it: pads has how much before each
 * dimension, then how much behind; none is negative. Declines other types than f32. */
int pad_add_step(struct build *build, const struct node *node, const int64_t *pads, float number,
                 struct error *err);

#endif
