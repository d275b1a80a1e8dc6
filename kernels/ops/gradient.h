/* gradient: what an op's gradient rule works with. A rule adds nodes to the graph that compute the
 * gradients of its node's inputs from those of its outputs (the vector-Jacobian product); it never
 * computes anything itself. passes/autodiff.h calls the rules in reverse order and adds up what
 * comes together.
 *
 *     static int mul_gradient(struct gradient *g)
 *     {
 *         int dy = g->out[0];
 *         if (g->wants[0])
 *             g->in[0] = gradient_sum_to(g, gradient_op(g, "Mul", dy, g->node->inputs[1]), 0);
 *         …
 *         return gradient_end(g);
 *     }
 *
 * Errors stick: after one, every call gives -1 and does nothing, and gradient_end tells it. */
#ifndef RUNESPOOR_OPS_GRADIENT_H
#define RUNESPOOR_OPS_GRADIENT_H

#include "ops/op.h"

struct gradient {
    struct graph *graph;     /* inferred; grows, so no pointer into it may be kept */
    const struct node *node; /* a copy. Its inputs and outputs are the values to read; with
                                recomputation they are not the original ones */
    int out[GRAPH_NODE_INPUTS_MAX];    /* value with the gradient of each output, -1: none comes */
    bool wants[GRAPH_NODE_INPUTS_MAX]; /* inputs whose gradient is asked for */
    int in[GRAPH_NODE_INPUTS_MAX];     /* for the rule to set; -1: none flows there */
    int rc;
    struct error *err;
};

/* An attribute list for gradient_node ends with { 0 }; these fill entries of it (borrowed for the
 * call). */
#define GRADIENT_INT(key, number) { .name = (char *)(key), .kind = ATTRIBUTE_INT, .i = (number) }
#define GRADIENT_FLOAT(key, number) { .name = (char *)(key), .kind = ATTRIBUTE_FLOAT, .f = (number) }
#define GRADIENT_STRING(key, text) \
    { .name = (char *)(key), .kind = ATTRIBUTE_STRING, .s = (char *)(text) }
#define GRADIENT_INTS(key, list, n) \
    { .name = (char *)(key), .kind = ATTRIBUTE_INTS, .ints = (int64_t *)(list), .count = (size_t)(n) }

/* Adds a node and infers it. Its first output, or -1. attributes may be NULL. outputs: if not NULL
 * it takes output_count values, -1 on entry leaves one out. */
int gradient_node(struct gradient *g, const char *op, const int *inputs, int input_count,
                  const struct attribute *attributes, int *outputs, int output_count);
/* The same with one output, the forward node's own attributes and then `attributes`. */
int gradient_node_like(struct gradient *g, const char *op, const int *inputs, int input_count,
                       const struct attribute *attributes);
/* The short forms: one output, no attributes. b -1: an op of one input. */
int gradient_op(struct gradient *g, const char *op, int a, int b);

/* Constants. */
int gradient_scalar(struct gradient *g, double number); /* f32, rank 0 */
int gradient_ints(struct gradient *g, const int64_t *ints, size_t count); /* i64 list */

const struct shape *gradient_shape(const struct gradient *g, int value); /* until the graph grows */
/* What the node's given input holds: NULL when it is absent, data NULL when it is not a constant. */
const struct tensor *gradient_constant(const struct gradient *g, int input);
/* value reduced (added up) to the shape of the node's given input: the end of broadcasting. */
int gradient_sum_to(struct gradient *g, int value, int input);
/* value seen in the shape of the node's given input: a Reshape. */
int gradient_reshape_as(struct gradient *g, int value, int input);

int gradient_end(struct gradient *g); /* g->rc */

/* Rules of ops that hand nothing back: comparisons, Shape, Floor, ArgMax. */
int gradient_none(struct gradient *g);

#endif
