/* quantise_own: what passes/quantise.c makes of elementwise nodes and averages between
 * DequantizeLinear and QuantizeLinear. All scales and zero points are one number for a whole tensor.
 *
 * add_int8, mul_int8 (a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero) -> y, broadcasting;
 * average_int8 (x, x_scale, x_zero, y_scale, y_zero) -> y, over all behind the channels;
 * table_int8 (x, table) -> y: any function of one tensor is a table of what each of the 256 bytes
 * becomes. An i8 has the place of its bits. */
#include "ops/families.h"
#include "ops/quantise.h"
#include "ops/walk.h"
#include <string.h>

#define TABLE_SIZE 256

enum { X, X_SCALE, X_ZERO, MEAN_SCALE, MEAN_ZERO };
enum { TABLE = 1 };

static int binary_shape(const struct node *node, const struct op_values *values, struct error *err);
static int binary_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int average_shape(const struct node *node, const struct op_values *values, struct error *err);
static int average_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int table_shape(const struct node *node, const struct op_values *values, struct error *err);
static int table_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);

/* clang-format off */
#define LIMITS { "low", ATTRIBUTE_INT }, { "high", ATTRIBUTE_INT }

static const struct op rows[] = {
    { OP_ROW("add_int8", 8, 8, 1, OPSET_OWN, OPSET_OWN, binary_shape, binary_reference),
      OP_ATTRIBUTES(LIMITS) },
    { OP_ROW("mul_int8", 8, 8, 1, OPSET_OWN, OPSET_OWN, binary_shape, binary_reference),
      OP_ATTRIBUTES(LIMITS) },
    { OP_ROW("average_int8", 5, 5, 1, OPSET_OWN, OPSET_OWN, average_shape, average_reference),
      OP_ATTRIBUTES(LIMITS) },
    { OP_ROW("table_int8", 2, 2, 1, OPSET_OWN, OPSET_OWN, table_shape, table_reference) },
};
/* clang-format on */
const struct op_family quantise_own_family = OP_FAMILY(rows);

/* An input with its scale and zero point behind it. */
static int check_operand(const struct op_values *values, int index, const char *what,
                         struct error *err)
{
    int rc = rule_input(values, index, what, TYPES_BYTE, 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = quantise_check_scale(values, index + 1, what, err)))
        return rc;
    return quantise_check_zero(values, index + 2, what, values->in[index]->type, err);
}

/* The output's scale, its zero point (which says its type) and the limits. */
static int check_output(const struct node *node, const struct op_values *values, int scale,
                        struct error *err)
{
    int rc = quantise_check_scale(values, scale, "y", err);
    if (rc || (rc = rule_input(values, scale + 1, "y", TYPES_BYTE, 0, 1, err)))
        return rc;
    enum tensor_type type = values->in[scale + 1]->type;
    rc = quantise_check_zero(values, scale + 1, "y", type, err);
    return rc ? rc : quantise_check_limits(node, type, err);
}

static int binary_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = check_operand(values, QLINEAR_A, "a", err);
    if (rc || (rc = check_operand(values, QLINEAR_B, "b", err)) ||
        (rc = check_output(node, values, QLINEAR_Y_SCALE, err)))
        return rc;
    struct shape shape;
    if (!shape_broadcast(&values->in[QLINEAR_A]->shape, &values->in[QLINEAR_B]->shape, &shape))
        return error_set(err, ERROR_FORMAT, "inputs", "their shapes do not go together");
    rule_output(values, 0, values->in[QLINEAR_Y_ZERO]->type, &shape);
    return 0;
}

static int binary_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)err;
    double a_scale = quantise_scale(in[QLINEAR_A_SCALE]),
           b_scale = quantise_scale(in[QLINEAR_B_SCALE]);
    double y_scale = quantise_scale(in[QLINEAR_Y_SCALE]);
    int64_t a_zero = quantise_zero(in[QLINEAR_A_ZERO]), b_zero = quantise_zero(in[QLINEAR_B_ZERO]);
    int64_t y_zero = quantise_zero(in[QLINEAR_Y_ZERO]), low, high;
    quantise_limits(node, out[0]->type, &low, &high);
    bool adds = strcmp(node->op->name, "add_int8") == 0;
    struct walk walk;
    walk_init(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &in[QLINEAR_A]->shape);
    walk_add_broadcast(&walk, &in[QLINEAR_B]->shape);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t at_a = walk.at[1] + i * walk.row_step[1];
            int64_t at_b = walk.at[2] + i * walk.row_step[2];
            double a = (double)(number_load_whole(in[QLINEAR_A], at_a) - a_zero) * a_scale;
            double b = (double)(number_load_whole(in[QLINEAR_B], at_b) - b_zero) * b_scale;
            double steps = (adds ? a + b : a * b) / y_scale;
            number_store_whole(out[0], walk.at[0] + i, quantise_round(steps, y_zero, low, high));
        }
    return 0;
}

static int average_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = check_operand(values, X, "x", err);
    if (rc || (rc = check_output(node, values, MEAN_SCALE, err)))
        return rc;
    struct shape shape = values->in[X]->shape;
    if (shape.rank < 3 || shape_elements(&shape) <= 0)
        return error_set(err, ERROR_FORMAT, "x", "nothing behind the channels");
    for (int d = 2; d < shape.rank; d++)
        shape.dim[d] = 1;
    rule_output(values, 0, values->in[MEAN_ZERO]->type, &shape);
    return 0;
}

static int average_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)err;
    const struct shape *shape = &in[X]->shape;
    int64_t planes = shape->dim[0] * shape->dim[1], size = shape_span(shape, 2, shape->rank);
    int64_t x_zero = quantise_zero(in[X_ZERO]), y_zero = quantise_zero(in[MEAN_ZERO]), low, high;
    double factor = quantise_scale(in[X_SCALE]) / quantise_scale(in[MEAN_SCALE]) / (double)size;
    quantise_limits(node, out[0]->type, &low, &high);
    for (int64_t p = 0; p < planes; p++) {
        int64_t sum = 0;
        for (int64_t i = 0; i < size; i++)
            sum += number_load_whole(in[X], p * size + i) - x_zero;
        number_store_whole(out[0], p, quantise_round((double)sum * factor, y_zero, low, high));
    }
    return 0;
}

static int table_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, X, "x", TYPES_BYTE, 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, TABLE, "table", TYPES_BYTE, 1, 1, err)))
        return rc;
    if (values->in[TABLE]->shape.dim[0] != TABLE_SIZE)
        return error_set(err, ERROR_FORMAT, "table", "%d numbers expected", TABLE_SIZE);
    rule_output(values, 0, values->in[TABLE]->type, &values->in[X]->shape);
    return 0;
}

static int table_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const uint8_t *x = in[X]->data, *table = in[TABLE]->data;
    uint8_t *y = out[0]->data;
    for (int64_t i = 0, count = shape_elements(&in[X]->shape); i < count; i++)
        y[i] = table[x[i]];
    return 0;
}
