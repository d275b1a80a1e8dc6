/* steps: round_to_steps in C, for the 8-bit models. oneDNN could do it in four functions, but divides
 * by multiplying with the reciprocal, and one number in many then rounds to the other side. */
#ifndef RUNESPOOR_CPU_STEPS_H
#define RUNESPOOR_CPU_STEPS_H

#include "cpu/build.h"
#include "passes/pointwise.h"

/* to = round_to_steps(from), of one layout without gaps, f32 or bf16; may be the same place. */
int steps_add_step(struct build *build, const struct pointwise *pointwise, struct cpu_place *from,
                   struct cpu_place *to, struct error *err);

#endif
