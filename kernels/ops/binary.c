/* binary: elementwise ops of two or more tensors with broadcasting, and Where. Most are one line of a
 * table with the value for x and y. */
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include <string.h>

/* name, first opset, most inputs, value for floats, value for whole numbers. Whole numbers wrap
 * around; NaN wins in Min and Max. */
#define NUMBER_OPS(X)                                                             \
    X(Add, 7, 2, x + y, (int64_t)((uint64_t)x + (uint64_t)y))                     \
    X(Sub, 7, 2, x - y, (int64_t)((uint64_t)x - (uint64_t)y))                     \
    X(Mul, 7, 2, (x * y), (int64_t)((uint64_t)x * (uint64_t)y))                   \
    X(Div, 7, 2, x / y, divide(x, y))                                             \
    X(Sum, 8, GRAPH_NODE_INPUTS_MAX, x + y, (int64_t)((uint64_t)x + (uint64_t)y)) \
    X(Min, 8, GRAPH_NODE_INPUTS_MAX, y < x || isnan(y) ? y : x, y < x ? y : x)    \
    X(Max, 8, GRAPH_NODE_INPUTS_MAX, y > x || isnan(y) ? y : x, y > x ? y : x)

/* name, first opset, value */
#define FLOAT_OPS(X)     \
    X(Pow, 7, pow(x, y)) \
    X(PRelu, 7, x < 0 ? x * y : x)

/* name, first opset, comparison; the result is a bool. */
#define COMPARISON_OPS(X)         \
    X(Equal, 7, x == y)           \
    X(Greater, 7, x > y)          \
    X(Less, 7, x < y)             \
    X(GreaterOrEqual, 12, x >= y) \
    X(LessOrEqual, 12, x <= y)

#define LOGIC_OPS(X)    \
    X(And, 7, (x && y)) \
    X(Or, 7, x || y)

/* By zero gives 0 and the smallest number by -1 itself: the standard leaves both open. */
static int64_t divide(int64_t x, int64_t y)
{
    if (y == 0)
        return 0;
    return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
}

#define NUMBER_SCALAR(name, opset, inputs, float_value, int_value) \
    static real float_##name(real x, real y)                       \
    {                                                              \
        return float_value;                                        \
    }                                                              \
    static int64_t whole_##name(int64_t x, int64_t y)              \
    {                                                              \
        return int_value;                                          \
    }
#define FLOAT_SCALAR(name, opset, value)     \
    static real float_##name(real x, real y) \
    {                                        \
        return value;                        \
    }
#define COMPARISON_SCALAR(name, opset, value)      \
    static bool float_##name(real x, real y)       \
    {                                              \
        return value;                              \
    }                                              \
    static bool whole_##name(int64_t x, int64_t y) \
    {                                              \
        return value;                              \
    }
#define LOGIC_SCALAR(name, opset, value)    \
    static bool bool_##name(bool x, bool y) \
    {                                       \
        return value;                       \
    }
NUMBER_OPS(NUMBER_SCALAR)
FLOAT_OPS(FLOAT_SCALAR)
COMPARISON_OPS(COMPARISON_SCALAR)
LOGIC_OPS(LOGIC_SCALAR)

/* All inputs have one of the types, the same one, and shapes that go together. */
static int broadcast_shape(const struct node *node, const struct op_values *values, unsigned types,
                           enum tensor_type result, struct error *err)
{
    struct shape shape = { 0 };
    for (int i = 0; i < node->input_count; i++) {
        int rc = rule_input(values, i, "input", types, 0, SHAPE_RANK_MAX, err);
        if (rc)
            return rc;
        const struct value *value = values->in[i];
        if (value->type != values->in[0]->type)
            return error_set(err, ERROR_FORMAT, "inputs", "of types %s and %s",
                             tensor_type_word(values->in[0]->type), tensor_type_word(value->type));
        char a[128], b[128];
        shape_format(&shape, a, sizeof a);
        shape_format(&value->shape, b, sizeof b);
        if (!shape_broadcast(&shape, &value->shape, &shape))
            return error_set(err, ERROR_FORMAT, "inputs", "shapes %s and %s do not go together", a,
                             b);
    }
    rule_output(values, 0, result == TENSOR_NONE ? values->in[0]->type : result, &shape);
    return 0;
}

static int number_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return broadcast_shape(node, values, TYPES_NUMBER, TENSOR_NONE, err);
}

static int float_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return broadcast_shape(node, values, TYPE(REAL), TENSOR_NONE, err);
}

static int comparison_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return broadcast_shape(node, values, TYPES_NUMBER, TENSOR_BOOL, err);
}

static int logic_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return broadcast_shape(node, values, TYPE(BOOL), TENSOR_BOOL, err);
}

/* out = x op y, where out may be x itself. */
static struct walk begin_walk(const struct tensor *out, const struct tensor *x,
                              const struct tensor *y)
{
    struct walk walk;
    walk_init(&walk, &out->shape);
    walk_add_broadcast(&walk, &out->shape);
    walk_add_broadcast(&walk, &x->shape);
    walk_add_broadcast(&walk, &y->shape);
    return walk;
}

static void combine_floats(struct tensor *out, const struct tensor *x, const struct tensor *y,
                           real (*scalar)(real x, real y))
{
    struct walk walk = begin_walk(out, x, y);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        real *to = (real *)out->data + walk.at[0];
        const real *a = (const real *)x->data + walk.at[1];
        const real *b = (const real *)y->data + walk.at[2];
        for (int64_t i = 0; i < walk.row; i++)
            to[i] = scalar(a[i * walk.row_step[1]], b[i * walk.row_step[2]]);
    }
}

static void combine_whole(struct tensor *out, const struct tensor *x, const struct tensor *y,
                          int64_t (*scalar)(int64_t x, int64_t y))
{
    struct walk walk = begin_walk(out, x, y);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++)
            rule_set_int(out, walk.at[0] + i,
                         scalar(rule_int_at(x, walk.at[1] + i * walk.row_step[1]),
                                rule_int_at(y, walk.at[2] + i * walk.row_step[2])));
}

/* Folds any number of inputs into the output; one input is an identity. */
static void combine(const struct node *node, const struct tensor *const *in, struct tensor *out,
                    real (*float_scalar)(real x, real y),
                    int64_t (*whole_scalar)(int64_t x, int64_t y))
{
    if (node->input_count == 1) {
        struct walk walk;
        walk_init(&walk, &out->shape);
        walk_add_broadcast(&walk, &out->shape);
        walk_add_broadcast(&walk, &in[0]->shape);
        walk_copy(&walk, out->data, in[0]->data, tensor_type_bytes(out->type));
    }
    for (int i = 1; i < node->input_count; i++)
        if (out->type == TENSOR_REAL)
            combine_floats(out, i == 1 ? in[0] : out, in[i], float_scalar);
        else
            combine_whole(out, i == 1 ? in[0] : out, in[i], whole_scalar);
}

static void compare(const struct tensor *const *in, struct tensor *out,
                    bool (*float_scalar)(real x, real y), bool (*whole_scalar)(int64_t x, int64_t y))
{
    struct walk walk = begin_walk(out, in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t a = walk.at[1] + i * walk.row_step[1];
            int64_t b = walk.at[2] + i * walk.row_step[2];
            ((uint8_t *)out->data)[walk.at[0] + i] =
                in[0]->type == TENSOR_REAL
                    ? float_scalar(((const real *)in[0]->data)[a], ((const real *)in[1]->data)[b])
                    : whole_scalar(rule_int_at(in[0], a), rule_int_at(in[1], b));
        }
}

static void decide(const struct tensor *const *in, struct tensor *out, bool (*scalar)(bool x, bool y))
{
    struct walk walk = begin_walk(out, in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        const uint8_t *a = (const uint8_t *)in[0]->data + walk.at[1];
        const uint8_t *b = (const uint8_t *)in[1]->data + walk.at[2];
        for (int64_t i = 0; i < walk.row; i++)
            ((uint8_t *)out->data)[walk.at[0] + i] =
                scalar(a[i * walk.row_step[1]], b[i * walk.row_step[2]]);
    }
}

#define REFERENCE(name, call)                                                            \
    static int reference_##name(const struct node *node, const struct tensor *const *in, \
                                struct tensor *const *out, struct error *err)            \
    {                                                                                    \
        (void)node, (void)err;                                                           \
        call;                                                                            \
        return 0;                                                                        \
    }
#define NUMBER_REFERENCE(name, opset, inputs, float_value, int_value) \
    REFERENCE(name, combine(node, in, out[0], float_##name, whole_##name))
#define FLOAT_REFERENCE(name, opset, value) \
    REFERENCE(name, combine_floats(out[0], in[0], in[1], float_##name))
#define COMPARISON_REFERENCE(name, opset, value) \
    REFERENCE(name, compare(in, out[0], float_##name, whole_##name))
#define LOGIC_REFERENCE(name, opset, value) REFERENCE(name, decide(in, out[0], bool_##name))
NUMBER_OPS(NUMBER_REFERENCE)
FLOAT_OPS(FLOAT_REFERENCE)
COMPARISON_OPS(COMPARISON_REFERENCE)
LOGIC_OPS(LOGIC_REFERENCE)

static int where_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "condition", TYPE(BOOL), 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "x", TYPES_ALL, 0, SHAPE_RANK_MAX, err)) ||
        (rc = rule_input(values, 2, "y", 1u << values->in[1]->type, 0, SHAPE_RANK_MAX, err)))
        return rc;
    struct shape shape = values->in[0]->shape;
    for (int i = 1; i < 3; i++)
        if (!shape_broadcast(&shape, &values->in[i]->shape, &shape))
            return error_set(err, ERROR_FORMAT, "inputs", "the shapes do not go together");
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

    walk = begin_walk(out[0], in[0], in[1]);
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

#define ROW(name, opset, most, least, rule, rule_of_gradient)                  \
    { OP_ROW(#name, least, most, 1, opset, OPSET_MAX, rule, reference_##name), \
      .class = OP_CLASS_BINARY, .gradient = rule_of_gradient },
#define NUMBER_ROW(name, opset, most, float_value, int_value) \
    ROW(name, opset, most, (most) == 2 ? 2 : 1, number_shape, gradient_of_##name)
#define FLOAT_ROW(name, opset, value) ROW(name, opset, 2, 2, float_shape, gradient_of_##name)
#define COMPARISON_ROW(name, opset, value) ROW(name, opset, 2, 2, comparison_shape, gradient_none)
#define LOGIC_ROW(name, opset, value) ROW(name, opset, 2, 2, logic_shape, gradient_none)

static const struct op rows[] = {
    { OP_ROW("Where", 3, 3, 1, 9, OPSET_MAX, where_shape, where_reference),
      .gradient = gradient_of_Where },
    NUMBER_OPS(NUMBER_ROW) FLOAT_OPS(FLOAT_ROW) COMPARISON_OPS(COMPARISON_ROW) LOGIC_OPS(LOGIC_ROW)
};
const struct op_family binary_family = OP_FAMILY(rows);
