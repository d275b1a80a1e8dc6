/* quantise: QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, element by element. Numbers of
 * 4 bits and the 8-bit floats are not among our types: the files that have them are refused. */
#include "ops/quantise.h"
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"

enum { X, SCALE, ZERO };
enum { Y, Y_SCALE, Y_ZERO };

#define TYPES_SHORT (TYPE(U16) | TYPE(I16))
#define BYTE_STEPS 255 /* from the lowest to the highest byte */

static int quantise_shape(const struct node *node, const struct op_values *values, struct error *err);
static int quantise_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int dequantise_shape(const struct node *node, const struct op_values *values,
                            struct error *err);
static int dequantise_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);
static int dynamic_shape(const struct node *node, const struct op_values *values, struct error *err);
static int dynamic_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int check_scale(const struct node *node, const struct op_values *values,
                       enum tensor_type zero_type, struct error *err);
static bool is_one_number(const struct shape *shape);
static real as_real(const struct tensor *tensor, int64_t index);

/* clang-format off */
#define AXIS { "axis", ATTRIBUTE_INT }
#define SATURATE { "saturate", ATTRIBUTE_INT } /* of 8-bit floats, which there are none of */
#define BLOCK_SIZE { "block_size", ATTRIBUTE_INT }

static const struct op rows[] = {
    { OP_ROW("QuantizeLinear", 2, 3, 1, 10, 12, quantise_shape, quantise_reference),
      .gradient = gradient_none },
    { OP_ROW("QuantizeLinear", 2, 3, 1, 13, 18, quantise_shape, quantise_reference),
      .gradient = gradient_none, OP_ATTRIBUTES(AXIS) },
    { OP_ROW("QuantizeLinear", 2, 3, 1, 19, 20, quantise_shape, quantise_reference),
      .gradient = gradient_none, OP_ATTRIBUTES(AXIS, SATURATE) },
    { OP_ROW("QuantizeLinear", 2, 3, 1, 21, OPSET_MAX, quantise_shape, quantise_reference),
      .gradient = gradient_none,
      OP_ATTRIBUTES(AXIS, BLOCK_SIZE, { "output_dtype", ATTRIBUTE_INT }, SATURATE) },
    { OP_ROW("DequantizeLinear", 2, 3, 1, 10, 12, dequantise_shape, dequantise_reference),
      .gradient = gradient_none, .widens = true },
    { OP_ROW("DequantizeLinear", 2, 3, 1, 13, 20, dequantise_shape, dequantise_reference),
      .gradient = gradient_none, .widens = true, OP_ATTRIBUTES(AXIS) },
    { OP_ROW("DequantizeLinear", 2, 3, 1, 21, OPSET_MAX, dequantise_shape, dequantise_reference),
      .gradient = gradient_none, .widens = true, OP_ATTRIBUTES(AXIS, BLOCK_SIZE) },
    { OP_ROW("DynamicQuantizeLinear", 1, 1, 3, 11, OPSET_MAX, dynamic_shape, dynamic_reference),
      .gradient = gradient_none },
};
/* clang-format on */
const struct op_family quantise_family = OP_FAMILY(rows);

/* ---- what the families share ---- */

int quantise_grid_of(const struct node *node, const struct shape *shape, const struct shape *scale,
                     struct quantise_grid *grid, struct error *err)
{
    int64_t block = node_int(node, "block_size", 0);
    *grid = (struct quantise_grid){ .size = 1, .inner = 1, .block = 1 };
    if (block < 0)
        return error_set(err, ERROR_FORMAT, "block_size", "%lld is negative", (long long)block);
    if (block == 0 && is_one_number(scale))
        return 0;
    int axis;
    int rc = rule_axis("axis", node_int(node, "axis", 1), shape->rank, &axis, err);
    if (rc)
        return rc;
    int64_t size = shape->dim[axis], inner = shape_span(shape, axis + 1, shape->rank);
    grid->size = size ? size : 1;
    grid->inner = inner ? inner : 1;
    if (block == 0) {
        grid->block_step = 1;
        if (scale->rank != 1 || scale->dim[0] != size)
            return error_set(err, ERROR_FORMAT, "scale",
                             "axis %d has %lld positions: as many expected", axis, (long long)size);
        return 0;
    }
    struct shape blocks = *shape;
    blocks.dim[axis] = size / block + (size % block != 0);
    if (!shape_equal(scale, &blocks))
        return error_set(err, ERROR_FORMAT, "scale", "not one for each block of %lld along axis %d",
                         (long long)block, axis);
    grid->block = block;
    grid->block_step = grid->inner;
    grid->outer_step = blocks.dim[axis] * grid->inner;
    grid->inner_step = 1;
    return 0;
}

int64_t quantise_lowest(enum tensor_type type)
{
    return type == TENSOR_I8 ? INT8_MIN : type == TENSOR_I16 ? INT16_MIN : 0;
}

int64_t quantise_highest(enum tensor_type type)
{
    return type == TENSOR_I8    ? INT8_MAX
           : type == TENSOR_U8  ? UINT8_MAX
           : type == TENSOR_I16 ? INT16_MAX
                                : UINT16_MAX;
}

double quantise_scale(const struct tensor *tensor)
{
    return number_load(tensor, 0);
}

int64_t quantise_zero(const struct tensor *tensor)
{
    return tensor ? number_load_whole(tensor, 0) : 0;
}

void quantise_limits(const struct node *node, enum tensor_type type, int64_t *low, int64_t *high)
{
    *low = node_int(node, "low", quantise_lowest(type));
    *high = node_int(node, "high", quantise_highest(type));
}

int quantise_check_scale(const struct op_values *values, int index, const char *what,
                         struct error *err)
{
    int rc = rule_input(values, index, what, TYPES_SCALE, 0, 1, err);
    if (!rc && !is_one_number(&values->in[index]->shape))
        return error_set(err, ERROR_FORMAT, what, "one number expected");
    return rc;
}

int quantise_check_zero(const struct op_values *values, int index, const char *what,
                        enum tensor_type type, struct error *err)
{
    if (!values->in[index])
        return 0;
    int rc = rule_input(values, index, what, 1u << type, 0, 1, err);
    if (!rc && !is_one_number(&values->in[index]->shape))
        return error_set(err, ERROR_FORMAT, what, "one number expected");
    return rc;
}

int quantise_check_limits(const struct node *node, enum tensor_type type, struct error *err)
{
    int64_t low, high;
    quantise_limits(node, type, &low, &high);
    if (low < quantise_lowest(type) || high > quantise_highest(type) || low > high)
        return error_set(err, ERROR_FORMAT, "limits", "%lld to %lld is no part of %s",
                         (long long)low, (long long)high, tensor_type_word(type));
    return 0;
}

static bool is_one_number(const struct shape *shape)
{
    return shape->rank == 0 || (shape->rank == 1 && shape->dim[0] == 1);
}

static real as_real(const struct tensor *tensor, int64_t index)
{
    return (real)number_load(tensor, index);
}

/* ---- QuantizeLinear and DequantizeLinear ---- */

/* Scale and zero point as the grid wants them. */
static int check_scale(const struct node *node, const struct op_values *values,
                       enum tensor_type zero_type, struct error *err)
{
    int rc = rule_input(values, SCALE, "scale", TYPES_SCALE, 0, SHAPE_RANK_MAX, err);
    struct quantise_grid grid;
    if (rc ||
        (rc = quantise_grid_of(node, &values->in[X]->shape, &values->in[SCALE]->shape, &grid, err)))
        return rc;
    if (!values->in[ZERO])
        return 0;
    if ((rc = rule_input(values, ZERO, "zero point", 1u << zero_type, 0, SHAPE_RANK_MAX, err)))
        return rc;
    const struct shape *scale = &values->in[SCALE]->shape, *zero = &values->in[ZERO]->shape;
    if (!shape_equal(scale, zero) && !(is_one_number(scale) && is_one_number(zero)))
        return error_set(err, ERROR_FORMAT, "zero point", "not of the scale's shape");
    return 0;
}

/* The zero point says the type, or output_dtype does; without both it is u8. */
static int quantise_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = rule_input(values, X, "x", TYPES_SCALE | TYPE(I32), 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    int64_t number = node_int(node, "output_dtype", 0);
    enum tensor_type named = number ? type_of_onnx(number) : TENSOR_U8;
    enum tensor_type type = values->in[ZERO] ? values->in[ZERO]->type : named;
    unsigned known = TYPES_BYTE | (node->op->opset_min >= 21 ? TYPES_SHORT : 0);
    if (!(known & 1u << type))
        return error_set(err, ERROR_UNSUPPORTED, "y", "type %s is not supported here",
                         type == TENSOR_NONE ? "of that number" : tensor_type_word(type));
    if (number && named != type)
        return error_set(err, ERROR_FORMAT, "output_dtype", "is not the zero point's type");
    if ((rc = check_scale(node, values, type, err)))
        return rc;
    rule_output(values, Y, type, &values->in[X]->shape);
    return 0;
}

static int quantise_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    struct quantise_grid grid;
    int rc = quantise_grid_of(node, &in[X]->shape, &in[SCALE]->shape, &grid, err);
    if (rc)
        return rc;
    int64_t low = quantise_lowest(out[Y]->type), high = quantise_highest(out[Y]->type);
    for (int64_t i = 0, count = shape_elements(&in[X]->shape); i < count; i++) {
        int64_t at = quantise_grid_at(&grid, i);
        real steps = as_real(in[X], i) / as_real(in[SCALE], at);
        int64_t zero = in[ZERO] ? number_load_whole(in[ZERO], at) : 0;
        number_store_whole(out[Y], i, quantise_round((double)steps, zero, low, high));
    }
    return 0;
}

/* i32 is what biases are kept in. */
static int dequantise_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    unsigned known = TYPES_BYTE | TYPE(I32) | (node->op->opset_min >= 21 ? TYPES_SHORT : 0);
    int rc = rule_input(values, X, "x", known, 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = check_scale(node, values, values->in[X]->type, err)))
        return rc;
    rule_output(values, Y, values->in[SCALE]->type, &values->in[X]->shape);
    return 0;
}

static int dequantise_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    struct quantise_grid grid;
    int rc = quantise_grid_of(node, &in[X]->shape, &in[SCALE]->shape, &grid, err);
    if (rc)
        return rc;
    for (int64_t i = 0, count = shape_elements(&in[X]->shape); i < count; i++) {
        int64_t at = quantise_grid_at(&grid, i);
        int64_t zero = in[ZERO] ? number_load_whole(in[ZERO], at) : 0;
        real steps = (real)(number_load_whole(in[X], i) - zero);
        number_store(out[Y], i, (double)(steps * as_real(in[SCALE], at)));
    }
    return 0;
}

/* ---- DynamicQuantizeLinear ---- */

static int dynamic_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, X, "x", TYPE(REAL), 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    struct shape one = { .rank = 0 };
    rule_output(values, Y, TENSOR_U8, &values->in[X]->shape);
    rule_output(values, Y_SCALE, TENSOR_REAL, &one);
    rule_output(values, Y_ZERO, TENSOR_U8, &one);
    return 0;
}

/* The range always holds 0. Where it holds nothing else any scale would do; it is 1. */
static int dynamic_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const real *x = in[X]->data;
    int64_t count = shape_elements(&in[X]->shape);
    real least = 0, most = 0;
    for (int64_t i = 0; i < count; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    real scale = least == most ? 1 : (most - least) / BYTE_STEPS;
    int64_t zero = quantise_round((double)(-least / scale), 0, 0, UINT8_MAX);
    for (int64_t i = 0; i < count; i++)
        number_store_whole(out[Y], i, quantise_round((double)(x[i] / scale), zero, 0, UINT8_MAX));
    if (out[Y_SCALE])
        *(real *)out[Y_SCALE]->data = scale;
    if (out[Y_ZERO])
        number_store_whole(out[Y_ZERO], 0, zero);
    return 0;
}
