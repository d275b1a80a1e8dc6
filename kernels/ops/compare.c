/* compare: elementwise ops that answer yes or no: comparisons, logic, and what kind of number one is. */
#include "ops/elementwise.h"
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/rules.h"
#include "tensor/number.h"

/* name, first opset, types, comparison */
#define COMPARISON_OPS(X)                           \
    X(Equal, 7, TYPES_NUMERIC | TYPE(BOOL), x == y) \
    X(Greater, 7, TYPES_NUMERIC, x > y)             \
    X(Less, 7, TYPES_NUMERIC, x < y)                \
    X(GreaterOrEqual, 12, TYPES_NUMERIC, x >= y)    \
    X(LessOrEqual, 12, TYPES_NUMERIC, x <= y)

#define LOGIC_OPS(X)    \
    X(And, 7, (x && y)) \
    X(Or, 7, x || y)    \
    X(Xor, 7, x != y)

struct functions {
    bool (*of_real)(real x, real y);
    bool (*of_wide)(double x, double y);
    bool (*of_signed)(int64_t x, int64_t y);
    bool (*of_unsigned)(uint64_t x, uint64_t y);
};

static void compare(const struct tensor *const *in, struct tensor *out,
                    const struct functions *functions);
static int logic_shape(const struct node *node, const struct op_values *values, struct error *err);
static void decide(const struct tensor *const *in, struct tensor *out,
                   bool (*scalar)(bool x, bool y));
static int not_shape(const struct node *node, const struct op_values *values, struct error *err);
static int not_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int kind_shape(const struct node *node, const struct op_values *values, struct error *err);
static int is_nan_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int is_inf_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

#define COMPARISON_FUNCTIONS(name, opset, types, value)                                      \
    static bool real_##name(real x, real y)                                                  \
    {                                                                                        \
        return value;                                                                        \
    }                                                                                        \
    static bool wide_##name(double x, double y)                                              \
    {                                                                                        \
        return value;                                                                        \
    }                                                                                        \
    static bool signed_##name(int64_t x, int64_t y)                                          \
    {                                                                                        \
        return value;                                                                        \
    }                                                                                        \
    static bool unsigned_##name(uint64_t x, uint64_t y)                                      \
    {                                                                                        \
        return value;                                                                        \
    }                                                                                        \
    static int reference_##name(const struct node *node, const struct tensor *const *in,     \
                                struct tensor *const *out, struct error *err)                \
    {                                                                                        \
        static const struct functions functions = { real_##name, wide_##name, signed_##name, \
                                                    unsigned_##name };                       \
        (void)node, (void)err;                                                               \
        compare(in, out[0], &functions);                                                     \
        return 0;                                                                            \
    }                                                                                        \
    static int shape_##name(const struct node *node, const struct op_values *values,         \
                            struct error *err)                                               \
    {                                                                                        \
        return elementwise_broadcast(node, values, types, TENSOR_BOOL, err);                 \
    }
COMPARISON_OPS(COMPARISON_FUNCTIONS)

#define LOGIC_FUNCTIONS(name, opset, value)                                              \
    static bool bool_##name(bool x, bool y)                                              \
    {                                                                                    \
        return value;                                                                    \
    }                                                                                    \
    static int reference_##name(const struct node *node, const struct tensor *const *in, \
                                struct tensor *const *out, struct error *err)            \
    {                                                                                    \
        (void)node, (void)err;                                                           \
        decide(in, out[0], bool_##name);                                                 \
        return 0;                                                                        \
    }
LOGIC_OPS(LOGIC_FUNCTIONS)

#define BINARY_ROW(name, opset, rule)                                                             \
    { OP_ROW(#name, 2, 2, 1, opset, OPSET_MAX, rule, reference_##name), .class = OP_CLASS_BINARY, \
      .gradient = gradient_none },
#define COMPARISON_ROW(name, opset, types, value) BINARY_ROW(name, opset, shape_##name)
#define LOGIC_ROW(name, opset, value) BINARY_ROW(name, opset, logic_shape)

static const struct op rows[] = {
    COMPARISON_OPS(COMPARISON_ROW)
        LOGIC_OPS(LOGIC_ROW){ OP_ROW("Not", 1, 1, 1, OPSET_MIN, OPSET_MAX, not_shape, not_reference),
                              .class = OP_CLASS_UNARY, .gradient = gradient_none },
    { OP_ROW("IsNaN", 1, 1, 1, 9, OPSET_MAX, kind_shape, is_nan_reference), .class = OP_CLASS_UNARY,
      .gradient = gradient_none },
    { OP_ROW("IsInf", 1, 1, 1, 10, OPSET_MAX, kind_shape, is_inf_reference),
      .class = OP_CLASS_UNARY, .gradient = gradient_none,
      OP_ATTRIBUTES({ "detect_negative", ATTRIBUTE_INT }, { "detect_positive", ATTRIBUTE_INT }) },
};
const struct op_family compare_family = OP_FAMILY(rows);

static bool compare_one(const struct tensor *const *in, int64_t a, int64_t b,
                        const struct functions *functions)
{
    if (in[0]->type == TENSOR_REAL)
        return functions->of_real(((const real *)in[0]->data)[a], ((const real *)in[1]->data)[b]);
    if (!tensor_type_is_whole(in[0]->type))
        return functions->of_wide(number_load(in[0], a), number_load(in[1], b));
    int64_t x = number_load_whole(in[0], a), y = number_load_whole(in[1], b);
    if (in[0]->type == TENSOR_U64)
        return functions->of_unsigned((uint64_t)x, (uint64_t)y);
    return functions->of_signed(x, y);
}

static void compare(const struct tensor *const *in, struct tensor *out,
                    const struct functions *functions)
{
    struct walk walk = elementwise_walk(out, in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++)
            ((uint8_t *)out->data)[walk.at[0] + i] = compare_one(
                in, walk.at[1] + i * walk.row_step[1], walk.at[2] + i * walk.row_step[2], functions);
}

static int logic_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return elementwise_broadcast(node, values, TYPE(BOOL), TENSOR_BOOL, err);
}

static void decide(const struct tensor *const *in, struct tensor *out, bool (*scalar)(bool x, bool y))
{
    struct walk walk = elementwise_walk(out, in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        const uint8_t *a = (const uint8_t *)in[0]->data + walk.at[1];
        const uint8_t *b = (const uint8_t *)in[1]->data + walk.at[2];
        for (int64_t i = 0; i < walk.row; i++)
            ((uint8_t *)out->data)[walk.at[0] + i] =
                scalar(a[i * walk.row_step[1]], b[i * walk.row_step[2]]);
    }
}

static int not_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return elementwise_shape(values, TYPE(BOOL), TENSOR_NONE, err);
}

static int not_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    int64_t elements = shape_elements(&in[0]->shape);
    for (int64_t i = 0; i < elements; i++)
        ((uint8_t *)out[0]->data)[i] = !((const uint8_t *)in[0]->data)[i];
    return 0;
}

static int kind_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return elementwise_shape(values, TYPES_FLOAT, TENSOR_BOOL, err);
}

static int is_nan_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    for (int64_t i = 0, elements = shape_elements(&in[0]->shape); i < elements; i++)
        ((uint8_t *)out[0]->data)[i] = isnan(number_load(in[0], i)) != 0;
    return 0;
}

static int is_inf_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)err;
    bool negative = node_int(node, "detect_negative", 1),
         positive = node_int(node, "detect_positive", 1);
    for (int64_t i = 0, elements = shape_elements(&in[0]->shape); i < elements; i++) {
        double x = number_load(in[0], i);
        ((uint8_t *)out[0]->data)[i] = isinf(x) && (x < 0 ? negative : positive);
    }
    return 0;
}
