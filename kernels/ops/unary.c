/* unary: elementwise ops of one tensor, Clip and Not. Most are one line of a table: name, first opset,
 * attributes, alpha and beta where the node does not say, and the value for x. swish, x times its
 * sigmoid, is ours: exporters write it as two nodes, which passes/activation.c makes one. */
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"

/* a is alpha, b beta. NaN goes through all of them. */
#define FLOAT_OPS(X)                                                       \
    X(Relu, 7, none, 0, 0, x < 0 ? 0 : x)                                  \
    X(LeakyRelu, 7, alpha_only, 0.01f, 0, x < 0 ? a * x : x)               \
    X(Elu, 7, alpha_only, 1, 0, x < 0 ? a * expm1(x) : x)                  \
    X(Sigmoid, 7, none, 0, 0, 1 / (1 + exp(-x)))                           \
    X(HardSigmoid, 7, alpha_beta, 0.2f, 0.5f, clamp(a *x + b, 0, 1))       \
    X(HardSwish, 14, none, 1.0f / 6, 0.5f, x * clamp(a * x + b, 0, 1))     \
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
    X(Round, 11, none, 0, 0, rint(x)) /* halves to even */

/* Also for whole numbers, which wrap around. */
#define NUMBER_OPS(X)                         \
    X(Neg, 7, -x, (int64_t)(0 - (uint64_t)x)) \
    X(Abs, 7, fabs(x), x < 0 ? (int64_t)(0 - (uint64_t)x) : x)

static const struct op_attribute none[] = { { 0 } };
static const struct op_attribute alpha_only[] = { { "alpha", ATTRIBUTE_FLOAT }, { 0 } };
static const struct op_attribute alpha_beta[] = {
    { "alpha", ATTRIBUTE_FLOAT },
    { "beta", ATTRIBUTE_FLOAT },
    { 0 },
};

static real clamp(real x, real low, real high)
{
    return x < low ? low : x > high ? high : x;
}

/* The scalar functions. */
#define FLOAT_SCALAR(name, opset, attributes, alpha, beta, value) \
    static real scalar_##name(real x, real a, real b)             \
    {                                                             \
        (void)a, (void)b;                                         \
        return value;                                             \
    }
FLOAT_OPS(FLOAT_SCALAR)

#define NUMBER_SCALAR(name, opset, float_value, int_value) \
    static real scalar_##name(real x)                      \
    {                                                      \
        return float_value;                                \
    }                                                      \
    static int64_t whole_##name(int64_t x)                 \
    {                                                      \
        return int_value;                                  \
    }
NUMBER_OPS(NUMBER_SCALAR)

static int same_shape(const struct op_values *values, unsigned types, struct error *err)
{
    int rc = rule_input(values, 0, "input", types, 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    rule_output(values, 0, values->in[0]->type, &values->in[0]->shape);
    return 0;
}

static int float_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return same_shape(values, TYPE(REAL), err);
}

static int number_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return same_shape(values, TYPES_NUMBER, err);
}

static int map_floats(const struct node *node, const struct tensor *in, struct tensor *out,
                      real (*scalar)(real x, real a, real b), float alpha, float beta)
{
    real a = node_float(node, "alpha", alpha), b = node_float(node, "beta", beta);
    int64_t elements = shape_elements(&in->shape);
    for (int64_t i = 0; i < elements; i++)
        ((real *)out->data)[i] = scalar(((const real *)in->data)[i], a, b);
    return 0;
}

static int map_numbers(const struct tensor *in, struct tensor *out, real (*scalar)(real x),
                       int64_t (*whole)(int64_t x))
{
    int64_t elements = shape_elements(&in->shape);
    for (int64_t i = 0; i < elements; i++)
        if (in->type == TENSOR_REAL)
            ((real *)out->data)[i] = scalar(((const real *)in->data)[i]);
        else
            rule_set_int(out, i, whole(rule_int_at(in, i)));
    return 0;
}

#define REFERENCE(name, call)                                                            \
    static int reference_##name(const struct node *node, const struct tensor *const *in, \
                                struct tensor *const *out, struct error *err)            \
    {                                                                                    \
        (void)node, (void)err;                                                           \
        return call;                                                                     \
    }
#define FLOAT_REFERENCE(name, opset, attributes, alpha, beta, value) \
    REFERENCE(name, map_floats(node, in[0], out[0], scalar_##name, alpha, beta))
#define NUMBER_REFERENCE(name, opset, float_value, int_value) \
    REFERENCE(name, map_numbers(in[0], out[0], scalar_##name, whole_##name))
FLOAT_OPS(FLOAT_REFERENCE)
NUMBER_OPS(NUMBER_REFERENCE)

/* Clip takes its bounds from attributes before opset 11, from inputs since. */
static int clip_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    static const char *const names[] = { "input", "min", "max" };
    (void)node;
    int rc = same_shape(values, TYPES_NUMBER, err);
    for (int i = 1; i < 3 && !rc; i++) {
        if (!values->in[i])
            continue;
        rc = rule_input(values, i, names[i], 1u << values->in[0]->type, 0, 1, err);
        if (!rc && shape_elements(&values->in[i]->shape) != 1)
            rc = error_set(err, ERROR_FORMAT, names[i], "one number expected");
    }
    return rc;
}

void clip_bounds(const struct node *node, const struct tensor *min, const struct tensor *max,
                 float *low, float *high)
{
    *low = min ? *(const real *)min->data : node_float(node, "min", -INFINITY);
    *high = max ? *(const real *)max->data : node_float(node, "max", INFINITY);
}

static int clip_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)err;
    bool by_input = node->op->inputs_max > 1;
    const struct tensor *min = by_input ? in[1] : NULL, *max = by_input ? in[2] : NULL;
    int64_t elements = shape_elements(&in[0]->shape);
    if (in[0]->type == TENSOR_REAL) {
        float low, high;
        clip_bounds(node, min, max, &low, &high);
        for (int64_t i = 0; i < elements; i++) {
            real x = ((const real *)in[0]->data)[i];
            x = x < low ? low : x;
            ((real *)out[0]->data)[i] = x > high ? high : x;
        }
        return 0;
    }
    int64_t low = min ? rule_int_at(min, 0) : INT64_MIN;
    int64_t high = max ? rule_int_at(max, 0) : INT64_MAX;
    for (int64_t i = 0; i < elements; i++) {
        int64_t x = rule_int_at(in[0], i);
        x = x < low ? low : x;
        rule_set_int(out[0], i, x > high ? high : x);
    }
    return 0;
}

static int not_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return same_shape(values, TYPE(BOOL), err);
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

#define UNARY(name, most, first, last, rule, kernel) \
    OP_ROW(name, 1, most, 1, first, last, rule, kernel), .class = OP_CLASS_UNARY
#define LAST(opset) ((opset) == OPSET_OWN ? OPSET_OWN : OPSET_MAX)
#define FLOAT_ROW(name, opset, list, alpha, beta, value)                                      \
    { UNARY(#name, 1, opset, LAST(opset), float_shape, reference_##name), .attributes = list, \
      .gradient = gradient_of_##name },
#define NUMBER_ROW(name, opset, float_value, int_value)                  \
    { UNARY(#name, 1, opset, OPSET_MAX, number_shape, reference_##name), \
      .gradient = gradient_of_##name },

static const struct op rows[] = {
    { UNARY("Clip", 1, OPSET_MIN, 10, clip_shape, clip_reference),
      OP_ATTRIBUTES({ "max", ATTRIBUTE_FLOAT }, { "min", ATTRIBUTE_FLOAT }),
      .gradient = gradient_of_Clip },
    { UNARY("Clip", 3, 11, OPSET_MAX, clip_shape, clip_reference), .gradient = gradient_of_Clip },
    { UNARY("Not", 1, OPSET_MIN, OPSET_MAX, not_shape, not_reference), .gradient = gradient_none },
    FLOAT_OPS(FLOAT_ROW) NUMBER_OPS(NUMBER_ROW)
};
const struct op_family unary_family = OP_FAMILY(rows);
