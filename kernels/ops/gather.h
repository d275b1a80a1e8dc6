/* gather: indices into a tensor, for the ops that read by them (gather.c) and that write (scatter.c). */
#ifndef RUNESPOOR_OPS_GATHER_H
#define RUNESPOOR_OPS_GATHER_H

#include "graph/graph.h"
#include "ops/walk.h"

/* Element `at` of the indices as one of [0, length); an error outside [-length, length). */
int gather_index(const struct node *node, const struct tensor *indices, int64_t at, int64_t length,
                 int64_t *index, struct error *err);

/* GatherElements: a walk over the indices (tensor 0) and where each points to in data (1), but for the axis. */
void gather_walk(struct walk *walk, const struct shape *indices, const struct shape *data, int axis);

/* GatherND: data as batches of pieces, each of which a tuple of indices names. */
struct gather_nd {
    int first, depth;      /* the dimensions of data that a tuple goes along */
    int64_t batches;       /* each has so many tuples */
    int64_t tuples, piece; /* elements of a piece */
    struct shape shape;    /* of all pieces together */
};
int gather_nd_span(const struct shape *data, const struct shape *indices, int64_t batch_dims,
                   struct gather_nd *nd, struct error *err);
/* Which piece of data, counted through all batches, the n-th tuple names. */
int gather_nd_piece(const struct node *node, const struct gather_nd *nd, const struct shape *data,
                    const struct tensor *indices, int64_t tuple, int64_t *piece, struct error *err);

#endif
