/* iterate: one loop over arrays of the same shape that lie differently: dimensions in the order of the
 * first one's memory, those that lie behind each other in all arrays joined, so that kernels divide as
 * little as they can and neighbours in a warp are neighbours in memory. */
#ifndef RUNESPOOR_CUDA_ITERATE_H
#define RUNESPOOR_CUDA_ITERATE_H

#include "cuda/view.h"

/* Rewrites dim and step of all views, which have the same dimensions (steps of 0 repeat, negative ones
 * go backwards). Elements stay where they are, in another order, the same for all. */
void iterate_join(struct view *const *views, int count);

#endif
