/* broadcast: to = f(left, right) where both may broadcast, each in any layout,
 * blocked ones too. For what oneDNN has only
 * slow code for (a number per row, which layer norms are full of) or nothing at all. f32. */
#ifndef RUNESPOOR_CPU_BROADCAST_H
#define RUNESPOOR_CPU_BROADCAST_H

#include "cpu/build.h"
#include "passes/pointwise.h"

int broadcast_add_step(struct build *build, enum pointwise_kind kind, struct cpu_place *left,
                       struct cpu_place *right, struct cpu_place *to, struct error *err);

#endif
