/* quantise: changes of number type: Cast, QuantizeLinear and DequantizeLinear. */
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <math.h>

static int cast_shape(const struct node *node, const struct op_values *values, struct error *err);
static int cast_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int quantise_shape(const struct node *node, const struct op_values *values, struct error *err);
static int quantise_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int dequantise_shape(const struct node *node, const struct op_values *values,
                            struct error *err);
static int dequantise_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("Cast", 1, 1, 1, OPSET_MIN, OPSET_MAX, cast_shape, cast_reference),
      OP_ATTRIBUTES({ "saturate", ATTRIBUTE_INT }, { "to", ATTRIBUTE_INT }) },
    { OP_ROW("QuantizeLinear", 2, 3, 1, 10, 12, quantise_shape, quantise_reference) },
    { OP_ROW("QuantizeLinear", 2, 3, 1, 13, OPSET_MAX, quantise_shape, quantise_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "block_size", ATTRIBUTE_INT },
                    { "output_dtype", ATTRIBUTE_INT }, { "saturate", ATTRIBUTE_INT }) },
    { OP_ROW("DequantizeLinear", 2, 3, 1, 10, 12, dequantise_shape, dequantise_reference) },
    { OP_ROW("DequantizeLinear", 2, 3, 1, 13, OPSET_MAX, dequantise_shape, dequantise_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "block_size", ATTRIBUTE_INT }) },
};
const struct op_family quantise_family = OP_FAMILY(rows);

enum tensor_type type_of_onnx(int64_t number)
{
    static const enum tensor_type types[] = {
        [1] = TENSOR_F32,  [2] = TENSOR_U8,   [3] = TENSOR_I8,
        [6] = TENSOR_I32,  [7] = TENSOR_I64,  [9] = TENSOR_BOOL,
        [10] = TENSOR_F16, [11] = TENSOR_F64, [16] = TENSOR_BF16,
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

/* Scale and zero point: one number each, or one for every index of the axis. The tensor then counts
 * as outer x (numbers of the axis) x inner. */
static int check_scale(const struct node *node, const struct op_values *values, struct error *err)
{
    const struct shape *shape = &values->in[0]->shape, *scale = &values->in[1]->shape;
    int axis = 0;
    int rc = rule_input(values, 1, "scale", TYPE(F32), 0, 1, err);
    if (rc)
        return rc;
    if (node_int(node, "block_size", 0))
        return error_set(err, ERROR_UNSUPPORTED, "block_size", "is not supported");
    if (shape_elements(scale) != 1) {
        if ((rc = rule_axis("axis", node_int(node, "axis", 1), shape->rank, &axis, err)))
            return rc;
        if (scale->dim[0] != shape->dim[axis])
            return error_set(err, ERROR_FORMAT, "scale", "%lld numbers for an axis of %lld",
                             (long long)scale->dim[0], (long long)shape->dim[axis]);
    }
    if (values->in[2] && shape_elements(&values->in[2]->shape) != shape_elements(scale))
        return error_set(err, ERROR_FORMAT, "zero point", "%lld numbers for %lld scales",
                         (long long)shape_elements(&values->in[2]->shape),
                         (long long)shape_elements(scale));
    return 0;
}

static void scale_span(const struct node *node, const struct shape *shape,
                       const struct tensor *scale, int64_t *count, int64_t *inner)
{
    *count = shape_elements(&scale->shape);
    *inner = shape_elements(shape);
    if (*count == 1)
        return;
    int64_t axis = node_int(node, "axis", 1);
    *inner = shape_span(shape, (int)(axis < 0 ? axis + shape->rank : axis) + 1, shape->rank);
}

static int quantise_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = rule_input(values, 0, "input", TYPE(F32), 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = check_scale(node, values, err)))
        return rc;
    enum tensor_type type = TENSOR_U8;
    if (values->in[2])
        type = values->in[2]->type;
    else if (node_int(node, "output_dtype", 0))
        type = type_of_onnx(node_int(node, "output_dtype", 0));
    if (type != TENSOR_U8 && type != TENSOR_I8)
        return error_set(err, ERROR_UNSUPPORTED, "zero point", "type %s; u8 or i8 is supported",
                         tensor_type_word(type));
    rule_output(values, 0, type, &values->in[0]->shape);
    return 0;
}

static int quantise_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    (void)err;
    int64_t count, inner, elements = shape_elements(&in[0]->shape);
    scale_span(node, &in[0]->shape, in[1], &count, &inner);
    for (int64_t i = 0; i < elements; i++) {
        int64_t k = i / inner % count;
        float scaled = ((const float *)in[0]->data)[i] / ((const float *)in[1]->data)[k];
        double zero = in[2] ? (double)number_load_whole(in[2], k) : 0;
        number_store(out[0], i, (double)rintf(scaled) + zero); /* halves to even, saturating */
    }
    return 0;
}

static int dequantise_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = rule_input(values, 0, "input", TYPE(U8) | TYPE(I8) | TYPE(I32), 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = check_scale(node, values, err)) ||
        (values->in[2] &&
         (rc = rule_input(values, 2, "zero point", 1u << values->in[0]->type, 0, 1, err))))
        return rc;
    rule_output(values, 0, TENSOR_F32, &values->in[0]->shape);
    return 0;
}

static int dequantise_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    (void)err;
    int64_t count, inner, elements = shape_elements(&in[0]->shape);
    scale_span(node, &in[0]->shape, in[1], &count, &inner);
    for (int64_t i = 0; i < elements; i++) {
        int64_t k = i / inner % count;
        int64_t zero = in[2] ? number_load_whole(in[2], k) : 0;
        ((float *)out[0]->data)[i] =
            (float)(number_load_whole(in[0], i) - zero) * ((const float *)in[1]->data)[k];
    }
    return 0;
}
