/* thin: images copied pixel by pixel, of which the channels lie together in memory: every so many rows and
 * columns of one, or from and to a part of the channels of a wider one. oneDNN's reorder takes the
 * strides of many thinned pictures for overlapping, and moves parts of channels one number at a time. */
#ifndef RUNESPOOR_CPU_THIN_H
#define RUNESPOOR_CPU_THIN_H

#include "cpu/build.h"

/* Row r and column c of `to` are row r * step[0] and column c * step[1] of `from`: images of four
 * dimensions, of one type, with the channels of a pixel side by side. */
int thin_add_step(struct build *build, struct cpu_place *from, const int64_t step[2],
                  struct cpu_place *to, struct error *err);

/* Whether a copy between such layouts of one shape is one of pixels that lie apart. */
bool thin_copies(const struct layout *from, const struct layout *to);

#endif
