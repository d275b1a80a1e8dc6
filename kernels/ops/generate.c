/* generate: ops that make a tensor of a few numbers: Range, EyeLike and OneHot. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"

static int range_shape(const struct node *node, const struct op_values *values, struct error *err);
static int range_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int eye_shape(const struct node *node, const struct op_values *values, struct error *err);
static int eye_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int one_hot_shape(const struct node *node, const struct op_values *values, struct error *err);
static int one_hot_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("Range", 3, 3, 1, 11, OPSET_MAX, range_shape, range_reference),
      .gradient = gradient_none },
    { OP_ROW("EyeLike", 1, 1, 1, 9, OPSET_MAX, eye_shape, eye_reference), .shape_only = true,
      OP_ATTRIBUTES({ "dtype", ATTRIBUTE_INT }, { "k", ATTRIBUTE_INT }), .gradient = gradient_none },
    { OP_ROW("OneHot", 3, 3, 1, 9, OPSET_MAX, one_hot_shape, one_hot_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
};
const struct op_family generate_family = OP_FAMILY(rows);

/* How many whole numbers there are from start in steps of delta before limit; differences as unsigned numbers, as
 * they may not fit. */
static int64_t count_whole(int64_t start, int64_t limit, int64_t delta)
{
    if (delta > 0 ? start >= limit : start <= limit)
        return 0;
    uint64_t way = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    uint64_t count = (way - 1) / step + 1;
    return count > TENSOR_BYTES_MAX ? (int64_t)TENSOR_BYTES_MAX + 1 : (int64_t)count;
}

static int64_t count_floats(double start, double limit, double delta)
{
    double count = ceil((limit - start) / delta);
    if (isnan(count) || count > (double)TENSOR_BYTES_MAX)
        return (int64_t)TENSOR_BYTES_MAX + 1;
    return count > 0 ? (int64_t)count : 0;
}

static int range_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    static const char *const names[] = { "input start", "input limit", "input delta" };
    const struct tensor *numbers[3];
    (void)node;
    for (int i = 0; i < 3; i++) {
        unsigned types = TYPE(F32) | TYPE(F64) | TYPE(I64) | TYPE(I32) | TYPE(I16);
        types = i > 0 ? 1u << values->in[0]->type : types;
        int rc = rule_input(values, i, names[i], types, 0, 1, err);
        numbers[i] = rule_constant(values, i);
        if (!rc && shape_elements(&values->in[i]->shape) != 1)
            rc = error_set(err, ERROR_FORMAT, names[i], "one number expected");
        if (!rc && !numbers[i]->data)
            rc = error_set(err, ERROR_UNSUPPORTED, names[i],
                           "is computed from the input's values; it must be constant");
        if (rc)
            return rc;
    }
    if (number_load(numbers[2], 0) == 0)
        return error_set(err, ERROR_FORMAT, names[2], "a step of 0");
    bool whole = tensor_type_is_whole(values->in[0]->type);
    int64_t count =
        whole ? count_whole(number_load_whole(numbers[0], 0), number_load_whole(numbers[1], 0),
                            number_load_whole(numbers[2], 0))
              : count_floats(number_load(numbers[0], 0), number_load(numbers[1], 0),
                             number_load(numbers[2], 0));
    rule_output(values, 0, values->in[0]->type, &(struct shape){ .rank = 1, .dim = { count } });
    return 0;
}

static int range_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    bool whole = tensor_type_is_whole(out[0]->type);
    for (int64_t i = 0, count = out[0]->shape.dim[0]; i < count; i++)
        if (whole)
            number_store_whole(out[0], i,
                               (int64_t)((uint64_t)number_load_whole(in[0], 0) +
                                         (uint64_t)i * (uint64_t)number_load_whole(in[2], 0)));
        else
            number_store(out[0], i, number_load(in[0], 0) + (double)i * number_load(in[2], 0));
    return 0;
}

static int eye_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = rule_input(values, 0, "input", TYPES_ALL, 2, 2, err);
    if (rc)
        return rc;
    enum tensor_type type = values->in[0]->type;
    if (node_attribute(node, "dtype"))
        type = type_of_onnx(node_int(node, "dtype", 0));
    if (type == TENSOR_NONE)
        return error_set(err, ERROR_UNSUPPORTED, "dtype", "type number %lld is not supported",
                         (long long)node_int(node, "dtype", 0));
    rule_output(values, 0, type, &values->in[0]->shape);
    return 0;
}

static int eye_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)in, (void)err;
    const int64_t *dim = out[0]->shape.dim;
    int64_t k = node_int(node, "k", 0);
    for (int64_t i = 0; i < dim[0]; i++)
        for (int64_t j = 0; j < dim[1]; j++)
            number_store(out[0], i * dim[1] + j, j - i == k);
    return 0;
}

/* The new dimension goes before the one that the axis names, or last. */
static int one_hot_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "indices", TYPES_NUMERIC, 0, SHAPE_RANK_MAX - 1, err);
    if (rc || (rc = rule_input(values, 1, "input depth", TYPES_NUMERIC, 0, 1, err)) ||
        (rc = rule_input(values, 2, "values", TYPES_ALL, 1, 1, err)))
        return rc;
    const struct shape *from = &values->in[0]->shape;
    const struct tensor *depth = rule_constant(values, 1);
    if ((rc = rule_axis("axis", node_int(node, "axis", -1), from->rank + 1, &axis, err)))
        return rc;
    if (!depth->data)
        return error_set(err, ERROR_UNSUPPORTED, "input depth",
                         "is computed from the input's values; it must be constant");
    double number = shape_elements(&depth->shape) == 1 ? number_load(depth, 0) : -1;
    if (!(number >= 1) || number > (double)TENSOR_BYTES_MAX)
        return error_set(err, ERROR_FORMAT, "input depth", "one number of 1 and more expected");
    if (values->in[2]->shape.dim[0] != 2)
        return error_set(err, ERROR_FORMAT, "values", "two expected: off and on");
    struct shape shape = { .rank = from->rank + 1 };
    for (int i = 0, next = 0; i < shape.rank; i++)
        shape.dim[i] = i == axis ? (int64_t)number : from->dim[next++];
    rule_output(values, 0, values->in[2]->type, &shape);
    return 0;
}

/* An index outside [-depth, depth) is nowhere on. */
static int one_hot_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    int axis = 0;
    const struct shape *shape = &out[0]->shape;
    int rc = rule_axis("axis", node_int(node, "axis", -1), shape->rank, &axis, err);
    if (rc)
        return rc;
    int64_t depth = shape->dim[axis], inner = shape_span(shape, axis + 1, shape->rank);
    for (int64_t o = 0, outer = shape_span(shape, 0, axis); o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double index = trunc(number_load(in[0], o * inner + i));
            index += index < 0 ? (double)depth : 0;
            for (int64_t k = 0; k < depth; k++)
                number_copy(out[0], (o * depth + k) * inner + i, in[2], index == (double)k);
        }
    return 0;
}
