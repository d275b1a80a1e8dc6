/* unary: elementwise ops of one tensor. Each is one line of a table: name, first opset, attributes, alpha
 * and beta where the node does not say, and the value for x. swish, x times its sigmoid, is ours: exporters
 * write it as two nodes, which passes/activation.c makes one. */
#include "ops/elementwise.h"
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/rules.h"
#include "tensor/number.h"

/* a and b are the attributes in the order of their list. NaN goes through all of them. */
#define UNIT(x) ((x) < 0 ? 0 : (x) > 1 ? 1 : (x)) /* within 0 to 1 */
#define FLOAT_OPS(X)                                                       \
    X(LeakyRelu, 7, alpha_only, 0.01f, 0, x < 0 ? a * x : x)               \
    X(Elu, 7, alpha_only, 1, 0, x < 0 ? a * expm1(x) : x)                  \
    X(Sigmoid, 7, none, 0, 0, 1 / (1 + exp(-x)))                           \
    X(HardSigmoid, 7, alpha_beta, 0.2f, 0.5f, UNIT(a *x + b))              \
    X(HardSwish, 14, none, 1.0f / 6, 0.5f, x * UNIT(a * x + b))            \
    X(swish, OPSET_OWN, none, 0, 0, x / (1 + exp(-x)))                     \
    X(Softplus, 7, none, 0, 0, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))) \
    X(Tanh, 7, none, 0, 0, tanh(x))                                        \
    X(Erf, 9, none, 0, 0, erf(x))                                          \
    X(Exp, 7, none, 0, 0, exp(x))                                          \
    X(Log, 7, none, 0, 0, log(x))                                          \
    X(Sqrt, 7, none, 0, 0, sqrt(x))                                        \
    X(Sin, 7, none, 0, 0, sin(x))                                          \
    X(Cos, 7, none, 0, 0, cos(x))                                          \
    X(Reciprocal, 7, none, 0, 0, 1 / x)                                    \
    X(Floor, 7, none, 0, 0, floor(x))                                      \
    X(Ceil, 7, none, 0, 0, ceil(x))                                        \
    X(Round, 11, none, 0, 0, rint(x)) /* halves to even */                 \
    X(Softsign, 7, none, 0, 0, x / (1 + fabs(x)))

/* The same without a gradient. */
#define PLAIN_OPS(X)                                                                    \
    X(Tan, 7, none, 0, 0, tan(x))                                                       \
    X(Asin, 7, none, 0, 0, asin(x))                                                     \
    X(Acos, 7, none, 0, 0, acos(x))                                                     \
    X(Atan, 7, none, 0, 0, atan(x))                                                     \
    X(Sinh, 9, none, 0, 0, sinh(x))                                                     \
    X(Cosh, 9, none, 0, 0, cosh(x))                                                     \
    X(Asinh, 9, none, 0, 0, asinh(x))                                                   \
    X(Acosh, 9, none, 0, 0, acosh(x))                                                   \
    X(Atanh, 9, none, 0, 0, atanh(x))                                                   \
    X(Selu, 7, alpha_gamma, 1.67326319f, 1.05070102f, x > 0 ? b * x : b * a * expm1(x)) \
    X(Celu, 12, alpha_only, 1, 0, x < 0 ? a * expm1(x / a) : x)                         \
    X(Mish, 18, none, 0, 0, x *tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))))        \
    X(ThresholdedRelu, 10, alpha_only, 1, 0, x <= a ? 0 : x)

/* Also for whole numbers, signed ones (which wrap around) and, where there is a value for them, unsigned. */
#define NUMBER_OPS(X)                                                          \
    X(Relu, 7, TYPES_SIGNED, x < 0 ? 0 : x, x < 0 ? 0 : x, x)                  \
    X(Neg, 7, TYPES_SIGNED, -x, (int64_t)(0 - (uint64_t)x), x)                 \
    X(Abs, 7, TYPES_WHOLE, fabs(x), x < 0 ? (int64_t)(0 - (uint64_t)x) : x, x) \
    X(Sign, 9, TYPES_WHOLE, x > 0 ? 1 : x < 0 ? -1 : x, x > 0 ? 1 : x < 0 ? -1 : 0, x > 0)

static const struct op_attribute none[] = { { 0 } };
static const struct op_attribute alpha_only[] = { { "alpha", ATTRIBUTE_FLOAT }, { 0 } };
static const struct op_attribute alpha_beta[] = {
    { "alpha", ATTRIBUTE_FLOAT },
    { "beta", ATTRIBUTE_FLOAT },
    { 0 },
};
static const struct op_attribute alpha_gamma[] = {
    { "alpha", ATTRIBUTE_FLOAT },
    { "gamma", ATTRIBUTE_FLOAT },
    { 0 },
};

typedef real real_fn(real x, real a, real b);
typedef double wide_fn(double x, double a, double b);

/* The scalar functions of a number op, but for that of reals. */
struct number_functions {
    double (*of_wide)(double x);
    int64_t (*of_signed)(int64_t x);
    uint64_t (*of_unsigned)(uint64_t x);
};

static int float_shape(const struct node *node, const struct op_values *values, struct error *err);
static inline void map_reals(const struct node *node, const struct tensor *in, struct tensor *out,
                             real_fn *of_real, float alpha, float beta);
static void map_wide(const struct node *node, const struct tensor *in, struct tensor *out,
                     wide_fn *of_wide, float alpha, float beta);
static float parameter(const struct node *node, int index, float fallback);
static inline void map_numbers(const struct tensor *in, struct tensor *out, real (*of_real)(real x));
static void map_others(const struct tensor *in, struct tensor *out,
                       const struct number_functions *functions);

#define FLOAT_SCALAR(name, opset, attributes, alpha, beta, value) \
    static real real_##name(real x, real a, real b)               \
    {                                                             \
        (void)a, (void)b;                                         \
        return value;                                             \
    }                                                             \
    static double wide_##name(double x, double a, double b)       \
    {                                                             \
        (void)a, (void)b;                                         \
        return value;                                             \
    }
FLOAT_OPS(FLOAT_SCALAR)
PLAIN_OPS(FLOAT_SCALAR)

#define NUMBER_SCALAR(name, opset, types, float_value, signed_value, unsigned_value)      \
    static real real_##name(real x)                                                       \
    {                                                                                     \
        return float_value;                                                               \
    }                                                                                     \
    static double wide_##name(double x)                                                   \
    {                                                                                     \
        return float_value;                                                               \
    }                                                                                     \
    static int64_t signed_##name(int64_t x)                                               \
    {                                                                                     \
        return signed_value;                                                              \
    }                                                                                     \
    static uint64_t unsigned_##name(uint64_t x)                                           \
    {                                                                                     \
        return unsigned_value;                                                            \
    }                                                                                     \
    static const struct number_functions functions_##name = { wide_##name, signed_##name, \
                                                              unsigned_##name };
NUMBER_OPS(NUMBER_SCALAR)

#define REFERENCE(name, call)                                                            \
    static int reference_##name(const struct node *node, const struct tensor *const *in, \
                                struct tensor *const *out, struct error *err)            \
    {                                                                                    \
        (void)node, (void)err;                                                           \
        call;                                                                            \
        return 0;                                                                        \
    }
/* Of reals in a loop of their own, into which the compiler puts the function. */
#define FLOAT_REFERENCE(name, opset, attributes, alpha, beta, value)               \
    REFERENCE(name, in[0]->type == TENSOR_REAL                                     \
                        ? map_reals(node, in[0], out[0], real_##name, alpha, beta) \
                        : map_wide(node, in[0], out[0], wide_##name, alpha, beta))
#define NUMBER_REFERENCE(name, opset, types, float_value, signed_value, unsigned_value)        \
    REFERENCE(name, in[0]->type == TENSOR_REAL ? map_numbers(in[0], out[0], real_##name)       \
                                               : map_others(in[0], out[0], &functions_##name)) \
    static int shape_##name(const struct node *node, const struct op_values *values,           \
                            struct error *err)                                                 \
    {                                                                                          \
        (void)node;                                                                            \
        return elementwise_shape(values, TYPES_FLOAT | (types), TENSOR_NONE, err);             \
    }
FLOAT_OPS(FLOAT_REFERENCE)
PLAIN_OPS(FLOAT_REFERENCE)
NUMBER_OPS(NUMBER_REFERENCE)

#define UNARY(name, first, last, rule, kernel) \
    OP_ROW(name, 1, 1, 1, first, last, rule, kernel), .class = OP_CLASS_UNARY
#define LAST(opset) ((opset) == OPSET_OWN ? OPSET_OWN : OPSET_MAX)
#define FLOAT_ROW(name, opset, list, alpha, beta, value)                                   \
    { UNARY(#name, opset, LAST(opset), float_shape, reference_##name), .attributes = list, \
      .gradient = gradient_of_##name },
#define PLAIN_ROW(name, opset, list, alpha, beta, value) \
    { UNARY(#name, opset, OPSET_MAX, float_shape, reference_##name), .attributes = list },
#define NUMBER_ROW(name, opset, types, float_value, signed_value, unsigned_value) \
    { UNARY(#name, opset, OPSET_MAX, shape_##name, reference_##name),             \
      .gradient = gradient_of_##name },

static const struct op rows[] = { FLOAT_OPS(FLOAT_ROW) PLAIN_OPS(PLAIN_ROW) NUMBER_OPS(NUMBER_ROW) };
const struct op_family unary_family = OP_FAMILY(rows);

static int float_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return elementwise_shape(values, TYPES_FLOAT, TENSOR_NONE, err);
}

static inline void map_reals(const struct node *node, const struct tensor *in, struct tensor *out,
                             real_fn *of_real, float alpha, float beta)
{
    real a = parameter(node, 0, alpha), b = parameter(node, 1, beta);
    int64_t elements = shape_elements(&in->shape);
    for (int64_t i = 0; i < elements; i++)
        ((real *)out->data)[i] = of_real(((const real *)in->data)[i], a, b);
}

static void map_wide(const struct node *node, const struct tensor *in, struct tensor *out,
                     wide_fn *of_wide, float alpha, float beta)
{
    double a = (double)parameter(node, 0, alpha), b = (double)parameter(node, 1, beta);
    int64_t elements = shape_elements(&in->shape);
    for (int64_t i = 0; i < elements; i++)
        number_store(out, i, of_wide(number_load(in, i), a, b));
}

/* The attribute at this place of the op's list. */
static float parameter(const struct node *node, int index, float fallback)
{
    const struct op_attribute *attribute = node->op->attributes;
    for (int i = 0; attribute->name && i < index; i++)
        attribute++;
    return attribute->name ? node_float(node, attribute->name, fallback) : fallback;
}

static inline void map_numbers(const struct tensor *in, struct tensor *out, real (*of_real)(real x))
{
    int64_t elements = shape_elements(&in->shape);
    for (int64_t i = 0; i < elements; i++)
        ((real *)out->data)[i] = of_real(((const real *)in->data)[i]);
}

static void map_others(const struct tensor *in, struct tensor *out,
                       const struct number_functions *functions)
{
    bool whole = tensor_type_is_whole(in->type);
    bool natural = TYPES_UNSIGNED & 1u << in->type;
    int64_t elements = shape_elements(&in->shape);
    for (int64_t i = 0; i < elements; i++)
        if (!whole)
            number_store(out, i, functions->of_wide(number_load(in, i)));
        else if (natural)
            number_store_whole(out, i,
                               (int64_t)functions->of_unsigned((uint64_t)number_load_whole(in, i)));
        else
            number_store_whole(out, i, functions->of_signed(number_load_whole(in, i)));
}
