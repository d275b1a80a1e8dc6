/* pixels: the loops over pixels at both ends of a plan: bytes become a network's numbers, planes of
 * scores become labels. Plain memory of the caller, whatever device runs the plan. */
#ifndef RUNESPOOR_KERNELS_PIXELS_H
#define RUNESPOOR_KERNELS_PIXELS_H

#include <stddef.h>
#include <stdint.h>

#define PIXELS_NO_LABEL 255u

/* to[i] = from[i] * factor + offset. */
void pixels_to_floats(const uint8_t *restrict from, float *restrict to, size_t count, float factor,
                      float offset);

/* labels[i] = names[p], where plane p has the largest score of pixel i, the first one of equals;
 * PIXELS_NO_LABEL where that score is not finite. NaN never wins over a number, but in plane 0 it
 * stays. Plane p begins at scores + p * plane_step; there is at least one. */
void pixels_label(const float *restrict scores, size_t plane_step, const uint8_t *restrict names,
                  uint32_t plane_count, uint8_t *restrict labels, size_t count);

#endif
