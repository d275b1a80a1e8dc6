/* own_ops: rows of ops that keep the shape and are one pointwise function. */
#include "passes/own_ops.h"
#include "passes/pointwise.h"
#include <limits.h>

static int same_shape(const struct node *node, const struct op_values *values, struct error *err);
static int apply_swish(const struct node *node, const struct tensor *const *in,
                       struct tensor *const *out, struct error *err);

const struct op swish_op = {
    .name = "swish",
    .class = OP_CLASS_UNARY,
    .inputs_min = 1,
    .inputs_max = 1,
    .outputs_min = 1,
    .outputs_max = 1,
    .opset_max = INT_MAX,
    .shape = same_shape,
    .reference = apply_swish,
};

static int same_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    if (values->in[0]->type != TENSOR_F32)
        return error_set(err, ERROR_UNSUPPORTED, node->op->name, "node '%s': only f32 is supported",
                         node->name);
    values->out[0]->type = TENSOR_F32;
    values->out[0]->shape = values->in[0]->shape;
    return 0;
}

static int apply_swish(const struct node *node, const struct tensor *const *in,
                       struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const struct pointwise swish = { .kind = POINTWISE_SWISH };
    const float *x = in[0]->data;
    float *y = out[0]->data;
    for (int64_t i = 0, count = shape_elements(&in[0]->shape); i < count; i++)
        y[i] = pointwise_apply(&swish, x[i], 0);
    return 0;
}
