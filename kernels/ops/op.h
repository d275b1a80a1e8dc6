/* op: the table of operations. One row is all that the engine knows of an op; a family of ops is a
 * file in this folder. Back ends look rows up by pointer or by kind, never by a model's name. */
#ifndef RUNESPOOR_OPS_OP_H
#define RUNESPOOR_OPS_OP_H

#include "graph/graph.h"
#include <limits.h>

#ifdef OPS_F64 /* see real.h */
#define op_find op_find_f64
#define op_all op_all_f64
#endif

/* The newest opset of the default ONNX domain that the table was checked against, and the oldest:
 * before 7, broadcasting had other rules. */
#define OPSET_MIN 7
#define OPSET_MAX 21

/* What a row may need to know of its node: inputs and outputs as values (shapes, constants). Entries
 * behind the node's own are NULL; the first inputs_min inputs are there. */
struct op_values {
    const struct value *in[GRAPH_NODE_INPUTS_MAX]; /* NULL for an absent optional input */
    struct value *out[GRAPH_NODE_INPUTS_MAX];      /* NULL for an absent optional output */
    uint64_t *asked; /* bit i: the rule asked for what input i holds, which is not known (rule_constant) */
};

enum op_class {
    OP_CLASS_OTHER,
    OP_CLASS_VIEW,   /* same bytes, other shape (Reshape, Squeeze, Flatten, Identity) */
    OP_CLASS_UNARY,  /* elementwise, one tensor in */
    OP_CLASS_BINARY, /* elementwise with broadcasting */
};

struct gradient;

struct op_attribute {
    const char *name;
    enum attribute_kind kind;
};

struct op {
    const char *name; /* as in ONNX ("Conv"); our own ops have a lower-case name ("conv_fused") */
    enum op_class class;
    int inputs_min, inputs_max;
    int outputs_min, outputs_max;
    int opset_min, opset_max; /* of the default ONNX domain; what the row implements */
    bool shape_only;           /* the result depends on the inputs' shapes alone (Shape) */
    bool heavy;                /* work grows faster than the data (Conv, MatMul) */
    /* The kernel works in its outputs, so it gets all of them: inference adds those that a node leaves out. */
    bool needs_outputs;
    /* Attributes hold graphs. Inference puts nodes in the place of such a node (graph/expand.c), so nobody asks
     * for its shapes or runs it. */
    bool has_bodies;
    bool widens;               /* the result is larger than what is read: inference does not fold it */
    /* All attributes that it may have, up to a NULL name; NULL: none is allowed. Files are held to
     * this, code that builds nodes is not. */
    const struct op_attribute *attributes;
    /* Checks attributes and inputs, sets type and shape of every output. */
    int (*shape)(const struct node *node, const struct op_values *values, struct error *err);
    /* Plain C, any correct order of operations, f32 with double accumulation where it sums.
     * in has inputs_max entries, NULL for absent ones; out[i] is allocated with the inferred type
     * and shape, and NULL where the node leaves an output out.
     * Allocates nothing, so a back end may run it where it has nothing faster. Fails only where the
     * values of inputs that the shape rule could not see are wrong (an index out of range). */
    int (*reference)(const struct node *node, const struct tensor *const *in,
                     struct tensor *const *out, struct error *err);
    /* Adds the nodes that compute the gradients of the inputs (ops/gradient.h). NULL: the op has no
     * gradient, and asking for one is an error that names it. */
    int (*gradient)(struct gradient *gradient);
};

/* Opsets of our own ops, which have lower-case names: no file can name them. */
#define OPSET_OWN INT_MAX

/* NULL when there is no such row. opset 0: the newest. */
const struct op *op_find(const char *name, int opset);
/* All rows, for the docs and the tests. */
const struct op *const *op_all(size_t *count);

#endif
