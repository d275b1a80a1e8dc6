/* graph: nodes over values. A graph comes from ONNX or from code, is changed by passes (graph in,
 * graph out) and compiled by a device into a plan. It knows no device and no layout. */
#ifndef RUNESPOOR_GRAPH_GRAPH_H
#define RUNESPOOR_GRAPH_GRAPH_H

#include "base/error.h"
#include "tensor/tensor.h"
#include <stdio.h>

#define GRAPH_NODES_MAX 20000
#define GRAPH_VALUES_MAX 200000
#define GRAPH_NODE_INPUTS_MAX 64
/* Of nodes that hold graphs, together with what these read from around them. */
#define GRAPH_BODY_INPUTS_MAX 10000

struct graph;
struct op;

enum attribute_kind {
    ATTRIBUTE_INT,
    ATTRIBUTE_FLOAT,
    ATTRIBUTE_STRING,
    ATTRIBUTE_INTS,
    ATTRIBUTE_FLOATS,
    ATTRIBUTE_TENSOR,
    ATTRIBUTE_STRINGS,
    ATTRIBUTE_GRAPH
};

struct attribute {
    char *name;
    enum attribute_kind kind;
    int64_t i;
    float f;
    char *s;
    int64_t *ints;
    float *floats;
    char **strings;
    size_t count; /* of ints, floats or strings; of a graph: its captured inputs */
    struct tensor t;
    /* A body: nodes and inputs, but neither constants nor states. Its last inputs are captured: they stand for
     * values around the node, which reads these behind its own inputs, body after body. Copies of the node share
     * the graph, so nobody changes it any more. */
    struct graph *graph;
};

/* A value is written once: by a node, by the caller (input) or never (constant, state). A state is
 * what a graph keeps from run to run (weights in training, an optimiser's moments): nodes read what
 * it holds as they read a constant, and after the run it takes on the content of its next value. */
struct value {
    char *name;
    enum tensor_type type;
    struct shape shape; /* rank -1 or dimensions of -1 until inferred */
    char *size_names;   /* of free dimensions of a file's inputs and outputs (value_size_name), or NULL */
    int producer;       /* node index, or -1 */
    bool is_input, is_output;
    bool asked; /* inference failed, and had asked in vain for what it holds (graph_infer_for) */
    struct tensor constant; /* data != NULL: a constant, owned by the graph */
    struct tensor state;    /* data != NULL: a state; what it holds before the next run */
    int next;               /* of a state: the value that it takes on after each run, or -1 */
};

struct node {
    const struct op *op;
    char *name; /* from the file, for messages */
    int input_count, output_count;
    int *inputs, *outputs; /* value indices; -1 for an absent optional input */
    struct attribute *attributes;
    size_t attribute_count;
};

struct graph {
    struct value *values;
    int value_count, value_capacity;
    struct node *nodes; /* in an order that can be run */
    int node_count, node_capacity;
    int *inputs, input_count;
    int *outputs, output_count;
    int *states, state_count;
    int opset;
    int holders; /* of a body: attributes beside the first one that hold it */
};

int graph_create(struct graph **graph, struct error *err);
void graph_free(struct graph **graph);
/* A deep copy that shares nothing but bodies. */
int graph_clone(struct graph **copy, const struct graph *graph, struct error *err);

/* Building. Names are copied (NULL is ""); all give the new index or a negative error. A graph input
 * or output has its place in the graph's list as index. */
int graph_add_value(struct graph *graph, const char *name, enum tensor_type type,
                    const struct shape *shape, struct error *err);
/* Takes over data of tensor on success. */
int graph_add_constant(struct graph *graph, const char *name, struct tensor *tensor,
                       struct error *err);
/* Goes to the end of the list (graph_sort puts it right) and becomes the producer of its outputs,
 * in the place of a node that wrote one before, which graph_sweep then drops if nothing else needs
 * it: so a pass replaces nodes. */
int graph_add_node(struct graph *graph, const struct op *op, const char *name, const int *inputs,
                   int input_count, const int *outputs, int output_count, struct error *err);
int graph_mark_input(struct graph *graph, int value, struct error *err);
int graph_mark_output(struct graph *graph, int value, struct error *err);
/* Makes a constant a state, without a next value yet. */
int graph_mark_state(struct graph *graph, int constant, struct error *err);
/* next has the type and shape of the state, and must not be a state itself. */
void graph_set_next(struct graph *graph, int state, int next);
/* Puts a copy of what `part` computes into graph: part's inputs become the given values of graph
 * (of the same types and shapes), its constants and states are copied, names get the prefix. The
 * values that part's outputs have become are written to outputs. */
int graph_embed(struct graph *graph, const struct graph *part, const char *prefix,
                const int *inputs, int *outputs, struct error *err);
/* Appends a copy of attribute to a node; a body gets one more holder, and graph_free takes one away. */
int graph_add_attribute(struct graph *graph, int node, const struct attribute *attribute,
                        struct error *err);

/* Sorts nodes so that producers come first, changing the order no more than that needs;
 * -ERROR_FORMAT names a node on a cycle, a value without producer or one written twice. */
int graph_sort(struct graph *graph, struct error *err);
/* Drops nodes and values that neither an output nor a state's next needs, renumbering. Inputs and
 * states stay. */
int graph_sweep(struct graph *graph, struct error *err);

/* Sets input shapes (same order as graph->inputs; NULL keeps those of the file) and infers all
 * others. What depends on constants or shapes alone is computed, becomes a constant and its node is
 * swept away (even an output may become a constant). Every value has a full shape afterwards, or
 * the error names op, node and reason. What was folded holds for these shapes: for other shapes
 * infer another clone. Nodes with bodies are gone afterwards: what they do stands in the graph. */
int graph_infer(struct graph *graph, const struct shape *input_shapes, struct error *err);

/* Makes an input a constant that holds a copy of tensor, and takes it out of the graph's list. */
int graph_bind_input(struct graph *graph, int input, const struct tensor *tensor, struct error *err);

/* A copy of graph, inferred for these inputs: for their shapes, and for the values of those that shapes depend
 * on (a Reshape's target, a TopK's k), which are bound. That is learned: bound has a flag for each input, those
 * that were true before are bound in any case. Inputs whose values decide have GRAPH_BOUND_BYTES_MAX bytes at
 * most: a shape that depends on a whole picture is refused. */
#define GRAPH_BOUND_BYTES_MAX ((uint64_t)64 << 10)
int graph_infer_for(struct graph **inferred, const struct graph *graph,
                    const struct tensor *const *inputs, bool *bound, struct error *err);

/* Makes a graph that was inferred for one picture (the first dimension of each input is 1) one of so many
 * pictures, which it computes each for itself: their results lie one behind the other. The graph is inferred
 * for them then. -ERROR_UNSUPPORTED, or the error of a node, where the graph mixes pictures or has the
 * shapes of one in its constants; it is of no use any more after that. */
int graph_set_batch(struct graph *graph, int64_t pictures, struct error *err);

/* One node whose inputs have been inferred, without folding. */
int graph_infer_node(struct graph *graph, int node, struct error *err);

/* Names of free sizes ("batch", "height"), as the file has them: one for each dimension, "" or NULL for those
 * that have none. */
int graph_name_sizes(struct graph *graph, int value, const char *const *names, struct error *err);
/* False, and an empty name, where the dimension is known or has no name. */
bool value_size_name(const struct value *value, int dim, char *name, size_t name_bytes);
/* "batch x 3 x height x ?"; without names as shape_format has it. */
void value_format_shape(const struct value *value, char *text, size_t text_bytes);
/* Sets all dimensions of inputs with that name. -ERROR_CONFIG, and the names that there are, when none has
 * it. */
int graph_set_size(struct graph *graph, const char *name, int64_t size, struct error *err);

/* How many nodes have an op of that name. */
int graph_count_op(const struct graph *graph, const char *op);

/* Attribute access; the default when absent. */
const struct attribute *node_attribute(const struct node *node, const char *name);
int64_t node_int(const struct node *node, const char *name, int64_t fallback);
float node_float(const struct node *node, const char *name, float fallback);
const char *node_string(const struct node *node, const char *name, const char *fallback);
/* Number of entries, pointer in *ints (borrowed); 0 when absent. */
size_t node_ints(const struct node *node, const char *name, const int64_t **ints);

/* One line per node: op, name, inputs, outputs, shapes. */
void graph_print(const struct graph *graph, FILE *out);

#endif
