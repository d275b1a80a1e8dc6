/* shape: ops that change or give a tensor's shape and leave its elements alone. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <string.h>

static int reshape_shape(const struct node *node, const struct op_values *values, struct error *err);
static int flatten_shape(const struct node *node, const struct op_values *values, struct error *err);
static int squeeze_shape(const struct node *node, const struct op_values *values, struct error *err);
static int unsqueeze_shape(const struct node *node, const struct op_values *values,
                           struct error *err);
static int identity_shape(const struct node *node, const struct op_values *values, struct error *err);
static int dropout_shape(const struct node *node, const struct op_values *values, struct error *err);
static int dropout_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int view_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int view_gradient(struct gradient *g);
static int shape_shape(const struct node *node, const struct op_values *values, struct error *err);
static int shape_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int size_shape(const struct node *node, const struct op_values *values, struct error *err);
static int size_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int constant_of_shape_shape(const struct node *node, const struct op_values *values,
                                   struct error *err);
static int constant_of_shape_reference(const struct node *node, const struct tensor *const *in,
                                       struct tensor *const *out, struct error *err);

#define VIEW(name, least, most, first, last, rule)                                           \
    OP_ROW(name, least, most, 1, first, last, rule, view_reference), .class = OP_CLASS_VIEW, \
                                                                     .gradient = view_gradient

#define DROPOUT(most, first, last)                                                \
    OP_ROW("Dropout", 1, most, 2, first, last, dropout_shape, dropout_reference), \
        .class = OP_CLASS_VIEW, .gradient = view_gradient

static const struct op rows[] = {
    { VIEW("Reshape", 2, 2, OPSET_MIN, 13, reshape_shape) },
    { VIEW("Reshape", 2, 2, 14, OPSET_MAX, reshape_shape),
      OP_ATTRIBUTES({ "allowzero", ATTRIBUTE_INT }) },
    { VIEW("Flatten", 1, 1, OPSET_MIN, OPSET_MAX, flatten_shape),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { VIEW("Squeeze", 1, 1, OPSET_MIN, 12, squeeze_shape), OP_ATTRIBUTES({ "axes", ATTRIBUTE_INTS }) },
    { VIEW("Squeeze", 1, 2, 13, OPSET_MAX, squeeze_shape) },
    { VIEW("Unsqueeze", 1, 1, OPSET_MIN, 12, unsqueeze_shape),
      OP_ATTRIBUTES({ "axes", ATTRIBUTE_INTS }) },
    { VIEW("Unsqueeze", 2, 2, 13, OPSET_MAX, unsqueeze_shape) },
    { VIEW("Identity", 1, 1, OPSET_MIN, OPSET_MAX, identity_shape) },
    { DROPOUT(1, OPSET_MIN, 9), OP_ATTRIBUTES({ "ratio", ATTRIBUTE_FLOAT }) },
    { DROPOUT(1, 10, 11), OP_ATTRIBUTES({ "ratio", ATTRIBUTE_FLOAT }) },
    { DROPOUT(3, 12, OPSET_MAX), OP_ATTRIBUTES({ "seed", ATTRIBUTE_INT }) },
    { OP_ROW("Shape", 1, 1, 1, OPSET_MIN, OPSET_MAX, shape_shape, shape_reference),
      .shape_only = true, .gradient = gradient_none,
      OP_ATTRIBUTES({ "end", ATTRIBUTE_INT }, { "start", ATTRIBUTE_INT }) },
    { OP_ROW("Size", 1, 1, 1, OPSET_MIN, OPSET_MAX, size_shape, size_reference), .shape_only = true,
      .gradient = gradient_none },
    { OP_ROW("ConstantOfShape", 1, 1, 1, 9, OPSET_MAX, constant_of_shape_shape,
             constant_of_shape_reference),
      .gradient = gradient_none, OP_ATTRIBUTES({ "value", ATTRIBUTE_TENSOR }) },
};
const struct op_family shape_family = OP_FAMILY(rows);

static int view_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    if (out[0]->data != in[0]->data)
        memcpy(out[0]->data, in[0]->data, tensor_bytes(in[0]));
    return 0;
}

static int view_gradient(struct gradient *g)
{
    g->in[0] = gradient_reshape_as(g, g->out[0], 0);
    return gradient_end(g);
}

static int any_input(const struct op_values *values, struct error *err)
{
    return rule_input(values, 0, "input", TYPES_ALL, 0, SHAPE_RANK_MAX, err);
}

/* The wanted dimensions: 0 keeps the input's, one -1 takes what is left. */
static int reshape_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t wanted[RULE_INTS_MAX];
    size_t count = 0;
    int rc = any_input(values, err);
    if (rc || (rc = rule_ints(rule_constant(values, 1), "input shape", wanted, &count, err)))
        return rc;
    if (count > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "input shape", "%zu dimensions; at most %d", count,
                         SHAPE_RANK_MAX);
    const struct shape *from = &values->in[0]->shape;
    bool keep_zero = node_int(node, "allowzero", 0) != 0;
    struct shape shape = { .rank = (int)count };
    int open = -1;
    for (int i = 0; i < shape.rank; i++) {
        shape.dim[i] = wanted[i];
        if (wanted[i] == 0 && !keep_zero) {
            if (i >= from->rank)
                return error_set(err, ERROR_FORMAT, "input shape",
                                 "0 at place %d, where the input has no dimension", i);
            shape.dim[i] = from->dim[i];
        } else if (wanted[i] == -1 && open < 0) {
            open = i;
            shape.dim[i] = 1;
        }
    }
    int64_t elements = shape_elements(from), known = shape_elements(&shape);
    if (open >= 0 && known > 0 && elements % known == 0)
        shape.dim[open] = elements / known;
    if (known < 0 || shape_elements(&shape) != elements || (open >= 0 && known == 0)) {
        char from_text[128], to_text[128];
        shape_format(from, from_text, sizeof from_text);
        shape_format(&shape, to_text, sizeof to_text);
        return error_set(err, ERROR_FORMAT, "input shape", "%s does not fit into %s", from_text,
                         to_text);
    }
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int flatten_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = any_input(values, err);
    if (rc)
        return rc;
    const struct shape *from = &values->in[0]->shape;
    int64_t axis = node_int(node, "axis", 1);
    if (axis < -from->rank || axis > from->rank) /* rank itself is allowed: everything x 1 */
        return error_set(err, ERROR_FORMAT, "axis", "%lld is outside [%d, %d]", (long long)axis,
                         -from->rank, from->rank);
    int split = (int)(axis < 0 ? axis + from->rank : axis);
    struct shape shape = {
        .rank = 2,
        .dim = { shape_span(from, 0, split), shape_span(from, split, from->rank) },
    };
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int squeeze_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = any_input(values, err);
    if (rc)
        return rc;
    const struct shape *from = &values->in[0]->shape;
    bool dropped[SHAPE_RANK_MAX], given;
    rc = rule_axes_attribute_or_input(node, rule_constant(values, 1), from->rank, dropped, &given,
                                      err);
    if (rc)
        return rc;
    struct shape shape = { 0 };
    for (int i = 0; i < from->rank; i++) {
        if (given && dropped[i] && from->dim[i] != 1)
            return error_set(err, ERROR_FORMAT, "axes", "dimension %d is %lld, not 1", i,
                             (long long)from->dim[i]);
        if (given ? !dropped[i] : from->dim[i] != 1)
            shape.dim[shape.rank++] = from->dim[i];
    }
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int unsqueeze_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t ints[RULE_INTS_MAX];
    const int64_t *axes = ints;
    size_t count = 0;
    int rc = any_input(values, err);
    if (rc)
        return rc;
    if (values->in[1])
        rc = rule_ints(rule_constant(values, 1), "input axes", ints, &count, err);
    else
        count = node_ints(node, "axes", &axes);
    if (rc)
        return rc;
    const struct shape *from = &values->in[0]->shape;
    if (count > (size_t)(SHAPE_RANK_MAX - from->rank))
        return error_set(err, ERROR_LIMIT, "axes", "more than %d dimensions", SHAPE_RANK_MAX);
    struct shape shape = { .rank = from->rank + (int)count };
    bool added[SHAPE_RANK_MAX]; /* axes count in the output */
    if ((rc = rule_axes("axes", axes, count, shape.rank, added, err)))
        return rc;
    for (int i = 0, next = 0; i < shape.rank; i++)
        shape.dim[i] = added[i] ? 1 : from->dim[next++];
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int identity_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = any_input(values, err);
    if (rc)
        return rc;
    rule_output(values, 0, values->in[0]->type, &values->in[0]->shape);
    return 0;
}

/* Does nothing outside training, nor where it drops none. */
static int dropout_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const struct tensor *ratio = rule_constant(values, 1), *training = rule_constant(values, 2);
    bool keeps =
        ratio && ratio->data && shape_elements(&ratio->shape) == 1 && number_load(ratio, 0) == 0;
    if (training && !keeps &&
        (!training->data || training->type != TENSOR_BOOL ||
         shape_elements(&training->shape) != 1 || *(const uint8_t *)training->data))
        return error_set(err, ERROR_UNSUPPORTED, "input training_mode", "must be a constant false");
    int rc = identity_shape(node, values, err);
    if (rc)
        return rc;
    /* What is kept is marked with numbers until 9, with true since. */
    const struct value *in = values->in[0];
    rule_output(values, 1, node->op->opset_max < 10 ? in->type : TENSOR_BOOL, &in->shape);
    return 0;
}

static int dropout_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    for (int64_t i = 0; out[1] && i < shape_elements(&out[1]->shape); i++)
        number_store(out[1], i, 1);
    return view_reference(node, in, out, err);
}

/* The dimensions [*first, *end) that Shape gives. */
static void shape_range(const struct node *node, int rank, int *first, int *end)
{
    int64_t range[2] = { node_int(node, "start", 0), node_int(node, "end", rank) };
    for (int i = 0; i < 2; i++) {
        range[i] += range[i] < 0 ? rank : 0;
        range[i] = range[i] < 0 ? 0 : range[i] > rank ? rank : range[i];
    }
    *first = (int)range[0];
    *end = (int)(range[1] > range[0] ? range[1] : range[0]);
}

static int shape_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int first, end;
    int rc = any_input(values, err);
    if (rc)
        return rc;
    shape_range(node, values->in[0]->shape.rank, &first, &end);
    rule_output(values, 0, TENSOR_I64, &(struct shape){ .rank = 1, .dim = { end - first } });
    return 0;
}

static int shape_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    int first, end;
    shape_range(node, in[0]->shape.rank, &first, &end);
    for (int i = first; i < end; i++)
        ((int64_t *)out[0]->data)[i - first] = in[0]->shape.dim[i];
    return 0;
}

static int size_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = any_input(values, err);
    if (rc)
        return rc;
    rule_output(values, 0, TENSOR_I64, &(struct shape){ .rank = 0 });
    return 0;
}

static int size_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    *(int64_t *)out[0]->data = shape_elements(&in[0]->shape);
    return 0;
}

static int constant_of_shape_shape(const struct node *node, const struct op_values *values,
                                   struct error *err)
{
    int64_t dims[RULE_INTS_MAX];
    size_t count = 0;
    int rc = rule_input(values, 0, "input", TYPE(I64), 1, 1, err);
    if (rc || (rc = rule_ints(rule_constant(values, 0), "input", dims, &count, err)))
        return rc;
    if (count > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "input", "%zu dimensions; at most %d", count,
                         SHAPE_RANK_MAX);
    const struct attribute *value = node_attribute(node, "value");
    if (value && shape_elements(&value->t.shape) != 1)
        return error_set(err, ERROR_FORMAT, "value", "one number expected");
    struct shape shape = { .rank = (int)count };
    memcpy(shape.dim, dims, count * sizeof *dims);
    rule_output(values, 0, value ? value->t.type : TENSOR_REAL, &shape);
    return 0;
}

static int constant_of_shape_reference(const struct node *node, const struct tensor *const *in,
                                       struct tensor *const *out, struct error *err)
{
    (void)in, (void)err;
    const struct attribute *value = node_attribute(node, "value");
    size_t bytes = tensor_type_bytes(out[0]->type);
    uint64_t total = tensor_bytes(out[0]);
    for (uint64_t at = 0; at < total; at += bytes)
        if (value)
            memcpy((char *)out[0]->data + at, value->t.data, bytes);
        else
            memset((char *)out[0]->data + at, 0, bytes);
    return 0;
}
