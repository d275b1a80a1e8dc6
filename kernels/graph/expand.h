/* expand: what puts nodes in the place of If, Loop and Scan shares. A value that an expansion makes is inferred
 * at once, and a constant if it can be one: so conditions and trip counts are known where a graph tells them. */
#ifndef RUNESPOOR_GRAPH_EXPAND_H
#define RUNESPOOR_GRAPH_EXPAND_H

#include "graph/parts.h"

/* A graph that the node holds, and what it reads from around it. */
struct body {
    const struct graph *graph;
    const int *captured;
    int captured_count, own_inputs; /* inputs of the graph: own ones first */
};

struct expansion {
    struct graph *graph;
    struct inference *inference;
    const char *name;        /* of the node */
    const struct node *node; /* a copy: the list of nodes moves while it grows */
    int own_inputs;          /* of the node, before what its bodies captured */
};

int expand_loop(struct expansion *e, struct error *err);
int expand_scan(struct expansion *e, struct error *err);

/* The body of that name, with so many inputs of its own and so many outputs at least; -1: any number of inputs. */
int expand_body(const struct expansion *e, const char *name, int own_inputs, int outputs,
                struct body *body, struct error *err);
/* Puts a copy of the body into the graph and infers it. inputs are the body's own; what its outputs became
 * goes to outputs. trip -1: there is only one. */
int expand_copy(struct expansion *e, const struct body *body, int trip, const int *inputs,
                int *outputs, struct error *err);
/* Adds a node, inferred, that writes the output, a new value when that is -1; that value or an error. */
int expand_op(struct expansion *e, const char *op, const int *inputs, int input_count,
              const struct attribute *attribute, int output, struct error *err);
/* The node's output becomes a copy of the value; one that is left out is none. */
int expand_output(struct expansion *e, int output, int value, struct error *err);
/* A constant of rank 0. */
int expand_number(struct expansion *e, enum tensor_type type, int64_t number, struct error *err);
/* A constant list of i64. */
int expand_list(struct expansion *e, const int64_t *numbers, int64_t count, struct error *err);
/* One number of the type, if it is constant: true then. An error when the input is of another type or shape. */
int expand_known(const struct expansion *e, int value, const char *what, enum tensor_type type,
                 bool *known, int64_t *number, struct error *err);

#endif
