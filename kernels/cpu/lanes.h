/* lanes: the pointwise functions (passes/pointwise.h) as loops over neighbours in memory, compiled for
 * several processors. Exponentials and logarithms are our own, right to about two units in the last
 * place. */
#ifndef RUNESPOOR_CPU_LANES_H
#define RUNESPOOR_CPU_LANES_H

#include "passes/pointwise.h"

/* to[i] = f(x[i], y[i], z[i]) for each i below count; y and z are not read where f takes less. `to` may
 * be one of the others, but may not overlap them otherwise. */
typedef void lanes_fn(const float *x, const float *y, const float *z, float *to, int64_t count,
                      float alpha, float beta);

lanes_fn *lanes_find(enum pointwise_kind kind);

void lanes_widen(const uint16_t *from, float *to, int64_t count); /* from bf16 */
void lanes_narrow(const float *from, uint16_t *to, int64_t count);
void lanes_fill(float number, float *to, int64_t count);

#endif
