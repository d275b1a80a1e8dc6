/* reduce_gradient: the gradient rules of reduce.c. */
#ifndef RUNESPOOR_OPS_REDUCE_GRADIENT_H
#define RUNESPOOR_OPS_REDUCE_GRADIENT_H

#include "ops/gradient.h"

int gradient_of_reduce_sum(struct gradient *g);
int gradient_of_reduce_mean(struct gradient *g);
int gradient_of_reduce_extreme(struct gradient *g); /* ReduceMax and ReduceMin */
int gradient_of_reduce_prod(struct gradient *g);
int gradient_of_cum_sum(struct gradient *g);

#endif
