/* rewrite: what passes share to look around in a graph and to change it. A pass rewires values; the
 * nodes that it made useless go with graph_sweep. */
#ifndef RUNESPOOR_PASSES_REWRITE_H
#define RUNESPOOR_PASSES_REWRITE_H

#include "graph/graph.h"

/* Who reads what, as of when it was taken. */
struct rewrite_uses {
    int *count;  /* of each value, by nodes; being an output or a state's next counts as once */
    int *reader; /* one of the nodes that read each value, or -1 */
};

int rewrite_take_uses(struct rewrite_uses *uses, const struct graph *graph, struct error *err);
void rewrite_free_uses(struct rewrite_uses *uses);

/* The only node that reads value, or -1 when there is none, more than one, or value is an output. */
int rewrite_only_reader(const struct graph *graph, const struct rewrite_uses *uses, int value);

/* The op name of the node, "" for -1. */
bool rewrite_is_op(const struct graph *graph, int node, const char *name);

/* Data of an f32 constant, or NULL when the value (may be -1) is something else. */
const float *rewrite_constant(const struct graph *graph, int value);
/* The same for a constant of one element. */
bool rewrite_scalar(const struct graph *graph, int value, float *number);

/* Makes node the producer of value in the given slot, in place of whatever wrote it. */
void rewrite_set_output(struct graph *graph, int node, int slot, int value);
/* All nodes that read `from` read `to` instead. */
void rewrite_redirect(struct graph *graph, int from, int to);

/* Adds an f32 constant of the given shape with zeros; *data is its memory. */
int rewrite_add_constant(struct graph *graph, const char *name, const struct shape *shape,
                         float **data, struct error *err);

/* Sweeps and sorts: the end of each pass. */
int rewrite_finish(struct graph *graph, struct error *err);

#endif
