/* walk: goes through the elements of a shape row by row, with up to three tensors that lie behind it
 * in different ways (broadcast, transposed, cut out, reversed).
 *
 *     walk_init(&walk, &out->shape);
 *     walk_add_broadcast(&walk, &in->shape);
 *     for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
 *         … walk.row elements; tensor k starts at walk.at[k] and steps by walk.row_step[k] …
 */
#ifndef RUNESPOOR_OPS_WALK_H
#define RUNESPOOR_OPS_WALK_H

#include "tensor/tensor.h"

#define WALK_TENSORS 3

struct walk {
    int rank, tensors;
    int64_t dim[SHAPE_RANK_MAX];
    int64_t step[WALK_TENSORS][SHAPE_RANK_MAX];
    int64_t index[SHAPE_RANK_MAX]; /* of the present row */
    int64_t at[WALK_TENSORS];      /* in elements */
    int64_t row, row_step[WALK_TENSORS];
};

/* Steps of a dense tensor: how many elements lie between neighbours along each dimension. */
void shape_steps(const struct shape *shape, int64_t steps[SHAPE_RANK_MAX]);

void walk_init(struct walk *walk, const struct shape *shape);
/* Adds the next tensor: dense, of a shape that broadcasts to the walk's. */
void walk_add_broadcast(struct walk *walk, const struct shape *shape);
/* Adds the next tensor: starts at element `start`, steps (rank many) may be anything. */
void walk_add_steps(struct walk *walk, int64_t start, const int64_t *steps);
/* False when there is nothing to walk through. Joins dimensions that lie behind each other in all
 * tensors, so rows are as long as they can be. */
bool walk_begin(struct walk *walk);
bool walk_next(struct walk *walk);

/* Copies along a walk of two tensors: 0 is written, 1 read. */
void walk_copy(struct walk *walk, void *to, const void *from, size_t element_bytes);
/* Fills out, seen as `shape` (as many elements, dense), from in, whose elements lie `steps` apart. */
void walk_fill(const struct shape *shape, const int64_t *steps, const struct tensor *in,
               struct tensor *out);

#endif
