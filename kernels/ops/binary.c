/* binary: elementwise arithmetic of two or more tensors with broadcasting, and Where. Most are one line of a
 * table with the value for x and y. */
#include "ops/elementwise.h"
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <string.h>

/* name, first opset, most inputs, gradient, value for floats, for signed and for unsigned numbers. Whole
 * numbers wrap around; NaN wins in Min and Max. */
#define NUMBER_OPS(X)                                                                         \
    X(Add, 7, 2, gradient_of_Add, x + y, (int64_t)((uint64_t)x + (uint64_t)y), x + y)         \
    X(Sub, 7, 2, gradient_of_Sub, x - y, (int64_t)((uint64_t)x - (uint64_t)y), x - y)         \
    X(Mul, 7, 2, gradient_of_Mul, (x * y), (int64_t)((uint64_t)x * (uint64_t)y), (x * y))     \
    X(Div, 7, 2, gradient_of_Div, x / y, divide(x, y), y ? x / y : 0)                         \
    X(PRelu, 7, 2, gradient_of_PRelu, x < 0 ? x * y : x,                                      \
      x < 0 ? (int64_t)((uint64_t)x * (uint64_t)y) : x, x)                                    \
    X(Sum, 8, MANY, gradient_of_Sum, x + y, (int64_t)((uint64_t)x + (uint64_t)y), x + y)      \
    X(Min, 8, MANY, gradient_of_Min, y < x || isnan(y) ? y : x, y < x ? y : x, y < x ? y : x) \
    X(Max, 8, MANY, gradient_of_Max, y > x || isnan(y) ? y : x, y > x ? y : x, y > x ? y : x)
#define MANY GRAPH_NODE_INPUTS_MAX

struct functions {
    real (*of_real)(real x, real y);
    double (*of_wide)(double x, double y);
    int64_t (*of_signed)(int64_t x, int64_t y);
    uint64_t (*of_unsigned)(uint64_t x, uint64_t y);
};

static int number_shape(const struct node *node, const struct op_values *values, struct error *err);
static int64_t divide(int64_t x, int64_t y);
static void combine(const struct node *node, const struct tensor *const *in, struct tensor *out,
                    const struct functions *functions);
static int mean_shape(const struct node *node, const struct op_values *values, struct error *err);
static int mean_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int where_shape(const struct node *node, const struct op_values *values, struct error *err);
static int where_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);

#define NUMBER_SCALAR(name, opset, inputs, gradient_rule, float_value, signed_value, unsigned_value) \
    static real real_##name(real x, real y)                                                          \
    {                                                                                                \
        return float_value;                                                                          \
    }                                                                                                \
    static double wide_##name(double x, double y)                                                    \
    {                                                                                                \
        return float_value;                                                                          \
    }                                                                                                \
    static int64_t signed_##name(int64_t x, int64_t y)                                               \
    {                                                                                                \
        return signed_value;                                                                         \
    }                                                                                                \
    static uint64_t unsigned_##name(uint64_t x, uint64_t y)                                          \
    {                                                                                                \
        (void)y;                                                                                     \
        return unsigned_value;                                                                       \
    }                                                                                                \
    static const struct functions functions_##name = { real_##name, wide_##name, signed_##name,      \
                                                       unsigned_##name };
NUMBER_OPS(NUMBER_SCALAR)

#define REFERENCE(name, opset, inputs, gradient_rule, float_value, signed_value, unsigned_value) \
    static int reference_##name(const struct node *node, const struct tensor *const *in,         \
                                struct tensor *const *out, struct error *err)                    \
    {                                                                                            \
        (void)err;                                                                               \
        combine(node, in, out[0], &functions_##name);                                            \
        return 0;                                                                                \
    }
NUMBER_OPS(REFERENCE)

#define ROW(name, opset, most, gradient_rule, float_value, signed_value, unsigned_value)             \
    { OP_ROW(#name, (most) == 2 ? 2 : 1, most, 1, opset, OPSET_MAX, number_shape, reference_##name), \
      .class = OP_CLASS_BINARY, .gradient = gradient_rule },

static const struct op rows[] = {
    NUMBER_OPS(ROW){ OP_ROW("Mean", 1, MANY, 1, 8, OPSET_MAX, mean_shape, mean_reference),
                     .class = OP_CLASS_BINARY },
    { OP_ROW("Where", 3, 3, 1, 9, OPSET_MAX, where_shape, where_reference),
      .gradient = gradient_of_Where },
};
const struct op_family binary_family = OP_FAMILY(rows);

static int number_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return elementwise_broadcast(node, values, TYPES_NUMERIC, TENSOR_NONE, err);
}

/* By zero gives 0 and the smallest number by -1 itself: the standard leaves both open. */
static int64_t divide(int64_t x, int64_t y)
{
    if (y == 0)
        return 0;
    return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
}

static void combine_reals(struct tensor *out, const struct tensor *x, const struct tensor *y,
                          real (*of_real)(real x, real y))
{
    struct walk walk = elementwise_walk(out, x, y);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        real *to = (real *)out->data + walk.at[0];
        const real *a = (const real *)x->data + walk.at[1];
        const real *b = (const real *)y->data + walk.at[2];
        for (int64_t i = 0; i < walk.row; i++)
            to[i] = of_real(a[i * walk.row_step[1]], b[i * walk.row_step[2]]);
    }
}

/* One element of any type. */
static void combine_one(struct tensor *out, int64_t at, const struct tensor *x, int64_t a,
                        const struct tensor *y, int64_t b, const struct functions *functions)
{
    if (!tensor_type_is_whole(x->type)) {
        number_store(out, at, functions->of_wide(number_load(x, a), number_load(y, b)));
        return;
    }
    int64_t left = number_load_whole(x, a), right = number_load_whole(y, b);
    if (TYPES_UNSIGNED & 1u << x->type)
        left = (int64_t)functions->of_unsigned((uint64_t)left, (uint64_t)right);
    else
        left = functions->of_signed(left, right);
    number_store_whole(out, at, left);
}

static void combine_two(struct tensor *out, const struct tensor *x, const struct tensor *y,
                        const struct functions *functions)
{
    if (x->type == TENSOR_REAL) {
        combine_reals(out, x, y, functions->of_real);
        return;
    }
    struct walk walk = elementwise_walk(out, x, y);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++)
            combine_one(out, walk.at[0] + i, x, walk.at[1] + i * walk.row_step[1], y,
                        walk.at[2] + i * walk.row_step[2], functions);
}

/* Folds any number of inputs into the output; one input is an identity. */
static void combine(const struct node *node, const struct tensor *const *in, struct tensor *out,
                    const struct functions *functions)
{
    if (node->input_count == 1)
        memcpy(out->data, in[0]->data, tensor_bytes(out));
    for (int i = 1; i < node->input_count; i++)
        combine_two(out, i == 1 ? in[0] : out, in[i], functions);
}

static int mean_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return elementwise_broadcast(node, values, TYPES_FLOAT, TENSOR_NONE, err);
}

static int mean_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)err;
    combine(node, in, out[0], &functions_Sum);
    for (int64_t i = 0, elements = shape_elements(&out[0]->shape); i < elements; i++)
        number_store(out[0], i, number_load(out[0], i) / node->input_count);
    return 0;
}

static int where_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape shape;
    int rc = rule_input(values, 0, "condition", TYPE(BOOL), 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "x", TYPES_ALL, 0, SHAPE_RANK_MAX, err)) ||
        (rc = rule_input(values, 2, "y", 1u << values->in[1]->type, 0, SHAPE_RANK_MAX, err)) ||
        (rc = elementwise_together(node, values, &shape, err)))
        return rc;
    rule_output(values, 0, values->in[1]->type, &shape);
    return 0;
}

/* Copies y, then x where the condition holds. */
static int where_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    size_t bytes = tensor_type_bytes(out[0]->type);
    struct walk walk;
    walk_init(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &in[2]->shape);
    walk_copy(&walk, out[0]->data, in[2]->data, bytes);

    walk = elementwise_walk(out[0], in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            if (!((const uint8_t *)in[0]->data)[walk.at[1] + i * walk.row_step[1]])
                continue;
            int64_t from = walk.at[2] + i * walk.row_step[2];
            memcpy((char *)out[0]->data + (size_t)(walk.at[0] + i) * bytes,
                   (const char *)in[1]->data + (size_t)from * bytes, bytes);
        }
    return 0;
}
