/* compose: networks written in code. Nodes are added one behind the other and get their shapes at once, so
 * what follows can ask for them.
 *
 *     struct compose c;
 *     compose_start(&c, "shrink", err);
 *     int x = compose_input(&c, "picture", TENSOR_F32, &shape);
 *     x = compose_resize(&c, x, 90, 120, "linear");
 *     compose_output(&c, compose_op(&c, "Relu", x, -1), "half");
 *     if (c.rc)
 *         graph_free(&c.graph);
 *
 * Errors stick: after one, every call gives -1 and does nothing, and rc tells it. */
#ifndef RUNESPOOR_GRAPH_COMPOSE_H
#define RUNESPOOR_GRAPH_COMPOSE_H

#include "graph/graph.h"

struct compose {
    struct graph *graph; /* the caller's to free, also after errors */
    const char *name;    /* that its nodes get, for messages; borrowed */
    struct error *err;   /* borrowed */
    int rc;
};

/* An attribute list for compose_node ends with { 0 }; these fill entries of it (borrowed for the call). */
#define COMPOSE_INT(key, number)                                    \
    {                                                               \
        .name = (char *)(key), .kind = ATTRIBUTE_INT, .i = (number) \
    }
#define COMPOSE_FLOAT(key, number)                                    \
    {                                                                 \
        .name = (char *)(key), .kind = ATTRIBUTE_FLOAT, .f = (number) \
    }
#define COMPOSE_STRING(key, text)                                            \
    {                                                                        \
        .name = (char *)(key), .kind = ATTRIBUTE_STRING, .s = (char *)(text) \
    }
#define COMPOSE_INTS(key, list, n)                                                \
    {                                                                             \
        .name = (char *)(key), .kind = ATTRIBUTE_INTS, .ints = (int64_t *)(list), \
        .count = (size_t)(n)                                                      \
    }

/* A shape in place: COMPOSE_SHAPE(1, 3, height, width), a pointer that lives as long as its block. */
#define COMPOSE_SHAPE(...)                                                                       \
    (&(const struct shape){ .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                            .dim = { __VA_ARGS__ } })

/* An empty graph of the newest opset. */
int compose_start(struct compose *c, const char *name, struct error *err);

int compose_input(struct compose *c, const char *name, enum tensor_type type,
                  const struct shape *shape);
/* A copy of value becomes an output of that name. */
void compose_output(struct compose *c, int value, const char *name);

/* Adds a node of one output, and gives the value. attributes may be NULL. */
int compose_node(struct compose *c, const char *op, const int *inputs, int input_count,
                 const struct attribute *attributes);
/* The same with several outputs. */
void compose_node_of(struct compose *c, const char *op, const int *inputs, int input_count,
                     const struct attribute *attributes, int *outputs, int output_count);
/* The short form: no attributes. b -1: an op of one input. */
int compose_op(struct compose *c, const char *op, int a, int b);
/* Puts in a copy of another graph as graph_embed does. outputs: one for each of part's. */
void compose_part(struct compose *c, const struct graph *part, const char *prefix,
                  const int *inputs, int *outputs);

/* Constants: f32 of one number all over, f32 of rank 0, a list of i64. */
int compose_constant(struct compose *c, const char *name, const struct shape *shape, double number);
int compose_scalar(struct compose *c, double number);
int compose_ints(struct compose *c, const int64_t *ints, size_t count);
/* What an f32 constant holds, to be filled; NULL after an error. Until the graph grows. */
float *compose_floats(struct compose *c, int constant);
/* Of rank 0 after an error. Until the graph grows. */
const struct shape *compose_shape(const struct compose *c, int value);

/* Images of NCHW. */
/* Padded so that stride 1 keeps the size, for kernels of odd sides. bias -1: none. */
int compose_conv(struct compose *c, int x, int weights, int bias, int64_t stride);
/* Between the centres of pixels (half_pixel), with ONNX's cubic_coeff_a of -0.75. mode: "linear" or
 * "cubic". */
int compose_resize(struct compose *c, int x, int64_t height, int64_t width, const char *mode);
/* Channels become blocks of pixels, in PyTorch's order. */
int compose_pixel_shuffle(struct compose *c, int x, int64_t block);

#endif
