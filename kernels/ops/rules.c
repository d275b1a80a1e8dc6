/* rules: checks that the families of ops share. */
#include "ops/rules.h"
#include <assert.h>
#include <string.h>

_Static_assert(RULE_INTS_MAX == 2 * SHAPE_RANK_MAX, "Pad has two numbers for each axis");

int rule_input(const struct op_values *values, int index, const char *what, unsigned types,
               int rank_min, int rank_max, struct error *err)
{
    const struct value *value = values->in[index];
    if (!value)
        return error_set(err, ERROR_FORMAT, what, "the input is missing");
    if (!(types & (1u << value->type)))
        return error_set(err, ERROR_UNSUPPORTED, what, "type %s is not supported here",
                         tensor_type_word(value->type));
    if (value->shape.rank < rank_min || value->shape.rank > rank_max) {
        char text[128];
        shape_format(&value->shape, text, sizeof text);
        if (rank_min == rank_max)
            return error_set(err, ERROR_FORMAT, what, "shape %s: %d dimensions expected", text,
                             rank_min);
        return error_set(err, ERROR_FORMAT, what, "shape %s: %d to %d dimensions expected", text,
                         rank_min, rank_max);
    }
    return 0;
}

void rule_output(const struct op_values *values, int index, enum tensor_type type,
                 const struct shape *shape)
{
    struct value *value = values->out[index];
    if (!value)
        return;
    value->type = type;
    value->shape = *shape;
}

int rule_axis(const char *what, int64_t axis, int rank, int *out, struct error *err)
{
    if (axis < -rank || axis >= rank)
        return error_set(err, ERROR_FORMAT, what, "%lld is outside [%d, %d]", (long long)axis,
                         -rank, rank - 1);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return 0;
}

int rule_axes(const char *what, const int64_t *axes, size_t count, int rank, bool *flags,
              struct error *err)
{
    memset(flags, 0, SHAPE_RANK_MAX * sizeof *flags);
    for (size_t i = 0; i < count; i++) {
        int axis = 0;
        int rc = rule_axis(what, axes[i], rank, &axis, err);
        if (rc)
            return rc;
        if (flags[axis])
            return error_set(err, ERROR_FORMAT, what, "axis %d is listed twice", axis);
        flags[axis] = true;
    }
    return 0;
}

const struct tensor *rule_constant(const struct op_values *values, int index)
{
    static const struct tensor not_constant;
    const struct value *value = values->in[index];
    if (!value)
        return NULL;
    if (!value->constant.data && values->asked)
        *values->asked |= (uint64_t)1 << index;
    return value->constant.data ? &value->constant : &not_constant;
}

int rule_ints(const struct tensor *tensor, const char *what, int64_t ints[RULE_INTS_MAX],
              size_t *count, struct error *err)
{
    if (!tensor->data)
        return error_set(err, ERROR_UNSUPPORTED, what,
                         "is computed from the input's values; it must be constant");
    if (tensor->type != TENSOR_I64 && tensor->type != TENSOR_I32)
        return error_set(err, ERROR_FORMAT, what, "type %s; i64 expected",
                         tensor_type_word(tensor->type));
    int64_t elements = shape_elements(&tensor->shape);
    if (tensor->shape.rank > 1 || elements > RULE_INTS_MAX)
        return error_set(err, ERROR_FORMAT, what, "a list of at most %d numbers expected",
                         RULE_INTS_MAX);
    for (int64_t i = 0; i < elements; i++)
        ints[i] = rule_int_at(tensor, i);
    *count = (size_t)elements;
    return 0;
}

int64_t rule_int_at(const struct tensor *tensor, int64_t n)
{
    assert(tensor->type == TENSOR_I64 || tensor->type == TENSOR_I32);
    return tensor->type == TENSOR_I64 ? ((const int64_t *)tensor->data)[n]
                                      : ((const int32_t *)tensor->data)[n];
}

void rule_set_int(struct tensor *tensor, int64_t n, int64_t number)
{
    assert(tensor->type == TENSOR_I64 || tensor->type == TENSOR_I32);
    if (tensor->type == TENSOR_I64)
        ((int64_t *)tensor->data)[n] = number;
    else
        ((int32_t *)tensor->data)[n] = (int32_t)number;
}

int rule_axes_attribute_or_input(const struct node *node, const struct tensor *input, int rank,
                                 bool flags[SHAPE_RANK_MAX], bool *given, struct error *err)
{
    int64_t ints[RULE_INTS_MAX] = { 0 };
    const int64_t *axes = ints;
    size_t count = 0;
    if (input) {
        int rc = rule_ints(input, "input axes", ints, &count, err);
        if (rc)
            return rc;
    } else {
        count = node_ints(node, "axes", &axes);
    }
    *given = count > 0;
    return rule_axes("axes", axes, count, rank, flags, err);
}

int64_t shape_span(const struct shape *shape, int from, int to)
{
    int64_t product = 1;
    for (int i = from; i < to; i++)
        product *= shape->dim[i];
    return product;
}

int rule_shape_attribute(const struct node *node, const char *name, struct shape *shape,
                         struct error *err)
{
    const int64_t *dims;
    size_t count = node_ints(node, name, &dims);
    if (!node_attribute(node, name) || count > SHAPE_RANK_MAX)
        return error_set(err, ERROR_FORMAT, name, "%zu dimensions", count);
    *shape = (struct shape){ .rank = (int)count };
    memcpy(shape->dim, dims, count * sizeof *dims);
    if (shape_elements(shape) < 0)
        return error_set(err, ERROR_FORMAT, name, "is not a shape");
    return 0;
}
