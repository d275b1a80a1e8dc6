/* unary_gradient: gradients of the elementwise functions of one tensor. Each is an op of its own with
 * two inputs: what comes from above, and the function's input or output, whichever the formula needs.
 * Where both would do it is the output: the function can then still be computed inside the convolution
 * before it, whose own output nobody keeps. */
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"

/* name, the function's alpha and beta where the node does not say, value for d from above and v: x its
 * input or y its output. At kinks the side is PyTorch's. */
#define GRADIENT_OPS(X)                                                                   \
    X(relu_grad, 0, 0, y > 0 ? d : 0)                                                     \
    X(leaky_relu_grad, 0.01f, 0, v > 0 ? d : a * d) /* x or y: they have the same sign */ \
    X(elu_grad, 1, 0, x > 0 ? d : d * a * exp(x))                                         \
    X(sigmoid_grad, 0, 0, d *y *(1 - y))                                                  \
    X(hard_sigmoid_grad, 0.2f, 0.5f, y > 0 && y < 1 ? d * a : 0)                          \
    X(hard_swish_grad, 1.0f / 6, 0.5f,                                                    \
      a * x + b <= 0   ? 0                                                                \
      : a * x + b >= 1 ? d                                                                \
                       : d * (2 * a * x + b))                                             \
    X(swish_grad, 0, 0, d *swish_slope(x))                                                \
    X(softplus_grad, 0, 0, d / (1 + exp(-x)))                                             \
    X(tanh_grad, 0, 0, d *(1 - y * y))                                                    \
    X(erf_grad, 0, 0, d *(real)TWO_OVER_ROOT_PI *exp(-x *x))                              \
    X(sqrt_grad, 0, 0, d / (2 * y))                                                       \
    X(reciprocal_grad, 0, 0, -d *y *y)                                                    \
    X(softsign_grad, 0, 0, d *(1 - fabs(y)) * (1 - fabs(y)))                              \
    X(abs_grad, 0, 0, x > 0 ? d : x < 0 ? -d : 0)

#define TWO_OVER_ROOT_PI 1.1283791670955126

static const struct op_attribute alpha_beta[] = {
    { "alpha", ATTRIBUTE_FLOAT },
    { "beta", ATTRIBUTE_FLOAT },
    { 0 },
};

static int by_output(struct gradient *g, const char *op);
static int by_input(struct gradient *g, const char *op);
static int times(struct gradient *g, int slope);

/* ---- rules ---- */

int gradient_of_Relu(struct gradient *g)
{
    return by_output(g, "relu_grad");
}

int gradient_of_LeakyRelu(struct gradient *g)
{
    bool same_sign = node_float(g->node, "alpha", 0.01f) >= 0;
    return same_sign ? by_output(g, "leaky_relu_grad") : by_input(g, "leaky_relu_grad");
}

int gradient_of_Elu(struct gradient *g)
{
    return by_input(g, "elu_grad");
}

int gradient_of_Sigmoid(struct gradient *g)
{
    return by_output(g, "sigmoid_grad");
}

int gradient_of_HardSigmoid(struct gradient *g)
{
    return by_output(g, "hard_sigmoid_grad");
}

int gradient_of_HardSwish(struct gradient *g)
{
    return by_input(g, "hard_swish_grad");
}

int gradient_of_swish(struct gradient *g)
{
    return by_input(g, "swish_grad");
}

int gradient_of_Softplus(struct gradient *g)
{
    return by_input(g, "softplus_grad");
}

int gradient_of_Tanh(struct gradient *g)
{
    return by_output(g, "tanh_grad");
}

int gradient_of_Erf(struct gradient *g)
{
    return by_input(g, "erf_grad");
}

int gradient_of_Exp(struct gradient *g)
{
    return times(g, g->node->outputs[0]);
}

int gradient_of_Log(struct gradient *g)
{
    g->in[0] = gradient_op(g, "Div", g->out[0], g->node->inputs[0]);
    return gradient_end(g);
}

int gradient_of_Sqrt(struct gradient *g)
{
    return by_output(g, "sqrt_grad");
}

int gradient_of_Sin(struct gradient *g)
{
    return times(g, gradient_op(g, "Cos", g->node->inputs[0], -1));
}

int gradient_of_Cos(struct gradient *g)
{
    return times(g, gradient_op(g, "Neg", gradient_op(g, "Sin", g->node->inputs[0], -1), -1));
}

int gradient_of_Reciprocal(struct gradient *g)
{
    return by_output(g, "reciprocal_grad");
}

int gradient_of_Floor(struct gradient *g)
{
    return gradient_none(g);
}

int gradient_of_Ceil(struct gradient *g)
{
    return gradient_none(g);
}

int gradient_of_Round(struct gradient *g)
{
    return gradient_none(g);
}

int gradient_of_Neg(struct gradient *g)
{
    g->in[0] = gradient_op(g, "Neg", g->out[0], -1);
    return gradient_end(g);
}

int gradient_of_Abs(struct gradient *g)
{
    return by_input(g, "abs_grad");
}

int gradient_of_Sign(struct gradient *g)
{
    return gradient_none(g);
}

int gradient_of_Softsign(struct gradient *g)
{
    return by_output(g, "softsign_grad");
}

/* The bounds, where they are inputs, get none. */
int gradient_of_Clip(struct gradient *g)
{
    int inputs[] = { g->out[0], g->node->inputs[0], -1, -1 };
    for (int i = 1; i < g->node->input_count; i++)
        inputs[i + 1] = g->node->inputs[i];
    if (g->wants[0])
        g->in[0] = gradient_node_like(g, "clip_grad", inputs, 4, NULL);
    return gradient_end(g);
}

static int by_output(struct gradient *g, const char *op)
{
    g->in[0] = gradient_node_like(g, op, (int[]){ g->out[0], g->node->outputs[0] }, 2, NULL);
    return gradient_end(g);
}

static int by_input(struct gradient *g, const char *op)
{
    g->in[0] = gradient_node_like(g, op, (int[]){ g->out[0], g->node->inputs[0] }, 2, NULL);
    return gradient_end(g);
}

static int times(struct gradient *g, int slope)
{
    g->in[0] = gradient_op(g, "Mul", g->out[0], slope);
    return gradient_end(g);
}

/* ---- rows ---- */

/* x s(x), s the sigmoid: s + x s (1 - s) */
static real swish_slope(real x)
{
    real s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

#define SCALAR(name, alpha, beta, value)                      \
    static real scalar_##name(real d, real v, real a, real b) \
    {                                                         \
        const real x = v, y = v;                              \
        (void)x, (void)y, (void)a, (void)b;                   \
        return value;                                         \
    }
GRADIENT_OPS(SCALAR)

/* As many inputs of one shape as the op asks for; the bounds of Clip are one number each. */
static int gradient_shape_rule(const struct node *node, const struct op_values *values,
                               struct error *err)
{
    static const char *const names[] = { "gradient", "value", "min", "max" };
    for (int i = 0; i < node->input_count; i++) {
        if (!values->in[i])
            continue;
        int rc = rule_input(values, i, names[i], TYPE(REAL), 0, SHAPE_RANK_MAX, err);
        if (rc)
            return rc;
        if (i < 2 ? !shape_equal(&values->in[i]->shape, &values->in[0]->shape)
                  : shape_elements(&values->in[i]->shape) != 1)
            return error_set(err, ERROR_FORMAT, names[i], "has another shape");
    }
    rule_output(values, 0, TENSOR_REAL, &values->in[0]->shape);
    return 0;
}

static int map(const struct node *node, const struct tensor *const *in, struct tensor *out,
               real (*scalar)(real d, real v, real a, real b), float alpha, float beta)
{
    real a = node_float(node, "alpha", alpha), b = node_float(node, "beta", beta);
    const real *d = in[0]->data, *v = in[1]->data;
    for (int64_t i = 0, count = shape_elements(&out->shape); i < count; i++)
        ((real *)out->data)[i] = scalar(d[i], v[i], a, b);
    return 0;
}

#define REFERENCE(name, alpha, beta, value)                                              \
    static int reference_##name(const struct node *node, const struct tensor *const *in, \
                                struct tensor *const *out, struct error *err)            \
    {                                                                                    \
        (void)err;                                                                       \
        return map(node, in, out[0], scalar_##name, alpha, beta);                        \
    }
GRADIENT_OPS(REFERENCE)

/* 1 on the bounds, as in PyTorch's clamp. */
static int clip_grad_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err)
{
    (void)err;
    const real *d = in[0]->data, *x = in[1]->data;
    float low, high;
    clip_bounds(node, in[2], in[3], &low, &high);
    for (int64_t i = 0, count = shape_elements(&out[0]->shape); i < count; i++)
        ((real *)out[0]->data)[i] = x[i] >= low && x[i] <= high ? d[i] : 0;
    return 0;
}

#define ROW(name, alpha, beta, value)                                                      \
    { OP_ROW(#name, 2, 2, 1, OPSET_OWN, OPSET_OWN, gradient_shape_rule, reference_##name), \
      .attributes = alpha_beta },

static const struct op rows[] = {
    { OP_ROW("clip_grad", 2, 4, 1, OPSET_OWN, OPSET_OWN, gradient_shape_rule, clip_grad_reference),
      OP_ATTRIBUTES({ "max", ATTRIBUTE_FLOAT }, { "min", ATTRIBUTE_FLOAT }) },
    GRADIENT_OPS(ROW)
};
const struct op_family unary_gradient_family = OP_FAMILY(rows);
