/* slice_gradient: gradients of Slice and Pad. slice_grad puts dy where it was cut out, among zeros;
 * pad_grad adds up what the padded tensor showed of each element. */
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include <string.h>

static int slice_grad_shape(const struct node *node, const struct op_values *values,
                            struct error *err);
static int slice_grad_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);
static int pad_grad_shape(const struct node *node, const struct op_values *values, struct error *err);
static int pad_grad_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* The first element along each dimension and the step from one to the next. */
    { OP_ROW("slice_grad", 1, 1, 1, OPSET_OWN, OPSET_OWN, slice_grad_shape, slice_grad_reference),
      OP_ATTRIBUTES({ "input_shape", ATTRIBUTE_INTS }, { "starts", ATTRIBUTE_INTS },
                    { "steps", ATTRIBUTE_INTS }) },
    /* Pads of all dimensions, as Pad had them in an attribute. */
    { OP_ROW("pad_grad", 1, 1, 1, OPSET_OWN, OPSET_OWN, pad_grad_shape, pad_grad_reference),
      OP_ATTRIBUTES({ "input_shape", ATTRIBUTE_INTS }, { "mode", ATTRIBUTE_STRING },
                    { "pads", ATTRIBUTE_INTS }) },
};
const struct op_family slice_gradient_family = OP_FAMILY(rows);

static int slice_grad_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape from;
    const int64_t *starts, *steps;
    size_t start_count = node_ints(node, "starts", &starts);
    size_t step_count = node_ints(node, "steps", &steps);
    int rc = rule_shape_attribute(node, "input_shape", &from, err);
    if (rc || (rc = rule_input(values, 0, "dy", TYPE(REAL), from.rank, from.rank, err)))
        return rc;
    bool fits = start_count == (size_t)from.rank && step_count == (size_t)from.rank;
    for (int d = 0; fits && d < from.rank; d++) {
        int64_t count = values->in[0]->shape.dim[d], dim = from.dim[d];
        if (count == 0)
            continue;
        /* Dividing the room by the step, as a product might not fit into a number. */
        int64_t room = steps[d] < 0 ? starts[d] : dim - 1 - starts[d];
        int64_t length = steps[d] < 0 ? -steps[d] : steps[d];
        fits = starts[d] >= 0 && starts[d] < dim &&
               (count == 1 || (length > 0 && count - 1 <= room / length));
    }
    if (!fits)
        return error_set(err, ERROR_FORMAT, "starts", "with dy reach out of the input");
    rule_output(values, 0, TENSOR_REAL, &from);
    return 0;
}

static int slice_grad_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    (void)err;
    const int64_t *starts, *strides;
    int64_t steps[SHAPE_RANK_MAX], start = 0;
    node_ints(node, "starts", &starts);
    node_ints(node, "steps", &strides);
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    shape_steps(&out[0]->shape, steps);
    for (int d = 0; d < out[0]->shape.rank; d++) {
        start += starts[d] * steps[d];
        steps[d] *= strides[d];
    }
    struct walk walk;
    walk_init(&walk, &in[0]->shape);
    walk_add_steps(&walk, start, steps);
    walk_add_broadcast(&walk, &in[0]->shape);
    walk_copy(&walk, out[0]->data, in[0]->data, sizeof(real));
    return 0;
}

static int pad_grad_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX];
    struct shape from, padded;
    int rc = rule_shape_attribute(node, "input_shape", &from, err);
    if (rc || (rc = pad_resolve(node, NULL, NULL, &from, &mode, begin, &padded, err)) ||
        (rc = rule_input(values, 0, "dy", TYPE(REAL), from.rank, from.rank, err)))
        return rc;
    if (!shape_equal(&padded, &values->in[0]->shape))
        return error_set(err, ERROR_FORMAT, "dy", "is not the output's shape");
    rule_output(values, 0, TENSOR_REAL, &from);
    return 0;
}

/* What the elements of dy that show the input's element `index` add up to, along the dimensions from
 * d on. */
static double sum_shown(enum pad_mode mode, const struct shape *padded, const struct shape *from,
                        const int64_t *begin, const int64_t *steps, const int64_t *index, int d,
                        const real *dy)
{
    double sum = 0;
    if (d == from->rank)
        return (double)*dy;
    for (int64_t at = 0; at < padded->dim[d]; at++)
        if (pad_source(mode, at - begin[d], from->dim[d]) == index[d])
            sum += sum_shown(mode, padded, from, begin, steps, index, d + 1, dy + at * steps[d]);
    return sum;
}

static int pad_grad_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX], steps[SHAPE_RANK_MAX], index[SHAPE_RANK_MAX] = { 0 };
    const struct shape *from = &out[0]->shape;
    struct shape padded;
    int rc = pad_resolve(node, NULL, NULL, from, &mode, begin, &padded, err);
    if (rc)
        return rc;
    shape_steps(&padded, steps);
    for (int64_t n = 0, count = shape_elements(from); n < count; n++) {
        ((real *)out[0]->data)[n] =
            (real)sum_shown(mode, &padded, from, begin, steps, index, 0, in[0]->data);
        for (int d = from->rank - 1; d >= 0 && ++index[d] == from->dim[d]; d--)
            index[d] = 0;
    }
    return 0;
}
