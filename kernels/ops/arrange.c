/* arrange: Trilu, which blanks a triangle, and ReverseSequence, which turns the beginning of each sequence
 * around. */
#include "ops/families.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <string.h>

static int trilu_shape(const struct node *node, const struct op_values *values, struct error *err);
static int trilu_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int reverse_shape(const struct node *node, const struct op_values *values, struct error *err);
static int reverse_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("Trilu", 1, 2, 1, 14, OPSET_MAX, trilu_shape, trilu_reference),
      OP_ATTRIBUTES({ "upper", ATTRIBUTE_INT }) },
    { OP_ROW("ReverseSequence", 2, 2, 1, 10, OPSET_MAX, reverse_shape, reverse_reference),
      OP_ATTRIBUTES({ "batch_axis", ATTRIBUTE_INT }, { "time_axis", ATTRIBUTE_INT }) },
};
const struct op_family arrange_family = OP_FAMILY(rows);

static int trilu_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "input", TYPES_ALL, 2, SHAPE_RANK_MAX, err);
    if (!rc && values->in[1])
        rc = rule_input(values, 1, "k", TYPE(I64), 0, 1, err);
    if (!rc && values->in[1] && shape_elements(&values->in[1]->shape) != 1)
        rc = error_set(err, ERROR_FORMAT, "k", "one number expected");
    if (rc)
        return rc;
    rule_output(values, 0, values->in[0]->type, &values->in[0]->shape);
    return 0;
}

/* Keeps what is on the k-th diagonal and on one side of it. */
static int trilu_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    const struct shape *shape = &in[0]->shape;
    int64_t rows_each = shape->dim[shape->rank - 2], columns = shape->dim[shape->rank - 1];
    int64_t k = in[1] ? *(const int64_t *)in[1]->data : 0;
    bool upper = node_int(node, "upper", 1) != 0;
    size_t bytes = tensor_type_bytes(in[0]->type);
    char *to = out[0]->data;
    memcpy(to, in[0]->data, tensor_bytes(in[0]));
    for (int64_t i = 0, count = shape_elements(shape); i < count; i++, to += bytes) {
        int64_t row = i / columns % rows_each, column = i % columns;
        if (upper ? column - row < k : column - row > k)
            memset(to, 0, bytes);
    }
    return 0;
}

/* Batch and time are the first two dimensions, in either order. */
static int reverse_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t batch_axis = node_int(node, "batch_axis", 1), time_axis = node_int(node, "time_axis", 0);
    if (batch_axis < 0 || batch_axis > 1 || time_axis != 1 - batch_axis)
        return error_set(err, ERROR_FORMAT, "time_axis",
                         "%lld beside batch_axis %lld: 0 and 1 expected", (long long)time_axis,
                         (long long)batch_axis);
    int rc = rule_input(values, 0, "input", TYPES_ALL, 2, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "sequence_lens", TYPE(I64), 1, 1, err)))
        return rc;
    const struct shape *shape = &values->in[0]->shape;
    if (values->in[1]->shape.dim[0] != shape->dim[batch_axis])
        return error_set(err, ERROR_FORMAT, "sequence_lens", "%lld lengths for a batch of %lld",
                         (long long)values->in[1]->shape.dim[0], (long long)shape->dim[batch_axis]);
    rule_output(values, 0, values->in[0]->type, shape);
    return 0;
}

static int reverse_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    const struct shape *shape = &in[0]->shape;
    bool batch_first = node_int(node, "batch_axis", 1) == 0;
    int64_t batch = shape->dim[!batch_first], times = shape->dim[batch_first];
    int64_t batch_step = batch_first ? times : 1, time_step = batch_first ? 1 : batch;
    size_t bytes = (size_t)shape_span(shape, 2, shape->rank) * tensor_type_bytes(in[0]->type);
    for (int64_t b = 0; b < batch; b++) {
        int64_t length = ((const int64_t *)in[1]->data)[b];
        if (length < 0 || length > times)
            return error_set(err, ERROR_FORMAT, "ReverseSequence", "node '%s': %lld of %lld in time",
                             node->name, (long long)length, (long long)times);
        for (int64_t t = 0; t < times; t++) {
            int64_t from = t < length ? length - 1 - t : t;
            memcpy((char *)out[0]->data + (size_t)(b * batch_step + t * time_step) * bytes,
                   (const char *)in[0]->data + (size_t)(b * batch_step + from * time_step) * bytes,
                   bytes);
        }
    }
    return 0;
}
