/* cast: changes of number type, and ONNX's numbers for the types. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"

static int cast_shape(const struct node *node, const struct op_values *values, struct error *err);
static int cast_like_shape(const struct node *node, const struct op_values *values,
                           struct error *err);
static int cast_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int cast_gradient(struct gradient *g);

static const struct op rows[] = {
    { OP_ROW("Cast", 1, 1, 1, OPSET_MIN, OPSET_MAX, cast_shape, cast_reference),
      OP_ATTRIBUTES({ "saturate", ATTRIBUTE_INT }, { "to", ATTRIBUTE_INT }),
      .gradient = cast_gradient },
    { OP_ROW("CastLike", 2, 2, 1, 15, 18, cast_like_shape, cast_reference), .gradient = cast_gradient },
    { OP_ROW("CastLike", 2, 2, 1, 19, OPSET_MAX, cast_like_shape, cast_reference),
      OP_ATTRIBUTES({ "saturate", ATTRIBUTE_INT }), .gradient = cast_gradient },
};
const struct op_family cast_family = OP_FAMILY(rows);

enum tensor_type type_of_onnx(int64_t number)
{
    static const enum tensor_type types[] = {
        [1] = TENSOR_REAL, [2] = TENSOR_U8,   [3] = TENSOR_I8,   [4] = TENSOR_U16,
        [5] = TENSOR_I16,  [6] = TENSOR_I32,  [7] = TENSOR_I64,  [9] = TENSOR_BOOL,
        [10] = TENSOR_F16, [11] = TENSOR_F64, [12] = TENSOR_U32, [13] = TENSOR_U64,
        [16] = TENSOR_BF16,
    };
    if (number < 0 || (size_t)number >= sizeof types / sizeof *types)
        return TENSOR_NONE;
    return types[number];
}

static int cast_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = rule_input(values, 0, "input", TYPES_ALL, 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    enum tensor_type type = type_of_onnx(node_int(node, "to", 0));
    if (type == TENSOR_NONE)
        return error_set(err, ERROR_UNSUPPORTED, "to", "type number %lld is not supported",
                         (long long)node_int(node, "to", 0));
    rule_output(values, 0, type, &values->in[0]->shape);
    return 0;
}

/* To the type of the second input, whatever that holds. */
static int cast_like_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "input", TYPES_ALL, 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "target_type", TYPES_ALL, 0, SHAPE_RANK_MAX, err)))
        return rc;
    rule_output(values, 0, values->in[1]->type, &values->in[0]->shape);
    return 0;
}

static int cast_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    bool whole = tensor_type_is_whole(in[0]->type) && tensor_type_is_whole(out[0]->type);
    int64_t elements = shape_elements(&in[0]->shape);
    for (int64_t i = 0; i < elements; i++)
        if (whole)
            number_store_whole(out[0], i, number_load_whole(in[0], i));
        else
            number_store(out[0], i, number_load(in[0], i));
    return 0;
}

/* Gradients are f32: one comes only where nothing was changed. */
static int cast_gradient(struct gradient *g)
{
    g->in[0] = g->out[0];
    return gradient_end(g);
}
