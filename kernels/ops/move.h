/* move: gradient rules of the ops in move.c, which are in move_gradient.c. */
#ifndef RUNESPOOR_OPS_MOVE_H
#define RUNESPOOR_OPS_MOVE_H

#include "ops/gradient.h"

int transpose_gradient(struct gradient *g);
int concat_gradient(struct gradient *g);
int split_gradient(struct gradient *g);
int expand_gradient(struct gradient *g);
int tile_gradient(struct gradient *g);
int gather_gradient(struct gradient *g);
int depth_to_space_gradient(struct gradient *g);
int space_to_depth_gradient(struct gradient *g);

#endif
