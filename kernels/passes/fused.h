/* fused: our own ops "conv_fused" and so on. A base operation, then a list of pointwise functions on
 * its output, kept in the node's attributes; their operands are inputs behind the base's own. */
#ifndef RUNESPOOR_PASSES_FUSED_H
#define RUNESPOOR_PASSES_FUSED_H

#include "graph/graph.h"
#include "ops/op.h"
#include "passes/pointwise.h"

#define FUSED_POSTS_MAX 8

struct fused_op {
    struct op op;
    const char *base; /* ONNX name */
    int base_inputs;  /* a fused node has all of them, absent ones as -1 */
};

/* The row for a base's name; NULL when nothing can be fused to it. */
const struct fused_op *fused_find(const char *base);
/* The row an op is part of; NULL for other ops. */
const struct fused_op *fused_of(const struct op *op);
/* "Conv" for "Conv" and "conv_fused". */
const char *fused_base_name(const struct op *op);

/* Reads a node's posts; 0 when it has none. */
size_t fused_get_posts(const struct node *node, struct pointwise posts[FUSED_POSTS_MAX]);
/* Turns a base node into its fused form. operands are values, one for each post that takes one. */
int fused_make(struct graph *graph, int node, struct pointwise *posts, size_t post_count,
               const int *operands, struct error *err);

#endif
