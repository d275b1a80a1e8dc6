/* rules: checks and readings that the families share. `what` names an input or attribute in messages;
 * the caller of a shape rule puts op and node before it. */
#ifndef RUNESPOOR_OPS_RULES_H
#define RUNESPOOR_OPS_RULES_H

#include "ops/op.h"
#include "ops/real.h"

/* A set of tensor types. */
#define TYPE(name) (1u << TENSOR_##name)
#define TYPES_ALL (~0u)
#define TYPES_NUMBER (TYPE(REAL) | TYPE(I64) | TYPE(I32))
#define TYPES_FLOAT (TYPE(F32) | TYPE(F64) | TYPE(F16) | TYPE(BF16))
#define TYPES_SIGNED (TYPE(I64) | TYPE(I32) | TYPE(I16) | TYPE(I8))
#define TYPES_UNSIGNED (TYPE(U64) | TYPE(U32) | TYPE(U16) | TYPE(U8))
#define TYPES_WHOLE (TYPES_SIGNED | TYPES_UNSIGNED)
#define TYPES_NUMERIC (TYPES_FLOAT | TYPES_WHOLE)

/* The input is there and has one of the types and a rank in the range. */
int rule_input(const struct op_values *values, int index, const char *what, unsigned types,
               int rank_min, int rank_max, struct error *err);
/* Sets type and shape of an output; does nothing where the node leaves it out. */
void rule_output(const struct op_values *values, int index, enum tensor_type type,
                 const struct shape *shape);
/* An axis counted from the end when negative; -ERROR_FORMAT outside [-rank, rank). */
int rule_axis(const char *what, int64_t axis, int rank, int *out, struct error *err);
/* Sets flags[axis] for each listed axis; a repeated one is an error. */
int rule_axes(const char *what, const int64_t *axes, size_t count, int rank, bool *flags,
              struct error *err);

/* A tensor of a node's input for shape rules: NULL when absent, data NULL when not constant. The one way to
 * ask for it: a rule that fails then is known to depend on that value (graph_infer_for). */
const struct tensor *rule_constant(const struct op_values *values, int index);
/* Reads a constant list (or scalar) of whole numbers, at most two for each axis. A tensor without
 * data is -ERROR_UNSUPPORTED: the shape would only be known while running. */
#define RULE_INTS_MAX 16
int rule_ints(const struct tensor *tensor, const char *what, int64_t ints[RULE_INTS_MAX],
              size_t *count, struct error *err);
/* The n-th element of an i64 or i32 tensor; a number too large for i32 wraps around. */
int64_t rule_int_at(const struct tensor *tensor, int64_t n);
void rule_set_int(struct tensor *tensor, int64_t n, int64_t number);

/* Axes from the attribute or, in the newer form of an op, from a constant input; *given is false
 * when there are none. */
int rule_axes_attribute_or_input(const struct node *node, const struct tensor *input, int rank,
                                 bool flags[SHAPE_RANK_MAX], bool *given, struct error *err);

/* A shape that a node carries as an INTS attribute. */
int rule_shape_attribute(const struct node *node, const char *name, struct shape *shape,
                         struct error *err);

/* The product of dimensions [from, to) of a checked shape. */
int64_t shape_span(const struct shape *shape, int from, int to);

#endif
