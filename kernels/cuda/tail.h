/* tail: how networks that enlarge end: a convolution, DepthToSpace, and pointwise functions behind it (the
 * enlarged input is added, the sum is clipped). DepthToSpace only moves elements, so where one node reads
 * what it makes, and is a map (map.h), that one reads the convolution's output where each element of its
 * own comes from, and nothing is written in between. */
#ifndef RUNESPOOR_CUDA_TAIL_H
#define RUNESPOOR_CUDA_TAIL_H

#include "cuda/makers.h"

/* The one node that reads what a DepthToSpace makes and makes something of the same shape; NULL where node
 * is another op, or its output is needed elsewhere, too. */
const struct node *cuda_tail_reader(const struct cuda_build *build, const struct node *node);
/* Leaves such a node to its reader. */
cuda_maker cuda_make_tail_later;
/* The node whose output, among these values, has been left to who reads it; NULL if there is none. */
const struct node *cuda_tail_among(const struct cuda_build *build, const int *inputs, int count);
/* What cuda_map does then. The result is row-major if it leaves (cuda_leaves), else channels-last. */
int cuda_map_tail(struct cuda_build *build, const struct chain *chain, const int *inputs,
                  const int *outputs, struct error *err);

#endif
