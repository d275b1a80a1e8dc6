/* thin: every so many rows and columns of an image. oneDNN's reorder takes the strides of many such
 * pictures for overlapping. */
#ifndef RUNESPOOR_CPU_THIN_H
#define RUNESPOOR_CPU_THIN_H

#include "cpu/build.h"

/* Row r and column c of `to` are row r * step[0] and column c * step[1] of `from`: images of four
 * dimensions, of one type, channels-last. */
int thin_add_step(struct build *build, struct cpu_place *from, const int64_t step[2],
                  struct cpu_place *to, struct error *err);

#endif
