/* pointwise: one table of names, one function that says what each of them computes. */
#include "passes/pointwise.h"
#include "ops/op.h"
#include "passes/rewrite.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    int inputs;
    bool post;
} kinds[] = {
#define X(kind, name, inputs, post) [POINTWISE_##kind] = { name, inputs, post },
    POINTWISE_KINDS(X)
#undef X
};

static float compute_gradient(const struct pointwise *pointwise, float d, float v, float w);
static bool read_parameters(const struct graph *graph, const struct node *node,
                            struct pointwise *pointwise);
static bool read_limit(const struct graph *graph, const struct node *node, int input,
                       const char *attribute, float fallback, float *limit);

const char *pointwise_name(enum pointwise_kind kind)
{
    assert(kind < POINTWISE_KIND_COUNT);
    return kinds[kind].name;
}

int pointwise_find(const char *name)
{
    for (int kind = 0; kind < POINTWISE_KIND_COUNT; kind++)
        if (strcmp(kinds[kind].name, name) == 0)
            return kind;
    return -1;
}

int pointwise_input_count(enum pointwise_kind kind)
{
    assert(kind < POINTWISE_KIND_COUNT);
    return kinds[kind].inputs;
}

bool pointwise_takes_operand(enum pointwise_kind kind)
{
    return pointwise_input_count(kind) > 1;
}

bool pointwise_may_follow(enum pointwise_kind kind)
{
    assert(kind < POINTWISE_KIND_COUNT);
    return kinds[kind].post;
}

bool pointwise_commutes(enum pointwise_kind kind)
{
    return kind == POINTWISE_ADD || kind == POINTWISE_MUL || kind == POINTWISE_MAX ||
           kind == POINTWISE_MIN;
}

bool pointwise_from_node(const struct graph *graph, const struct node *node,
                         struct pointwise *pointwise)
{
    int kind = pointwise_find(node->op->name);
    if (kind < 0 || node->output_count != 1 || node->input_count < kinds[kind].inputs)
        return false;
    for (int i = 0; i < kinds[kind].inputs; i++)
        if (node->inputs[i] < 0 || graph->values[node->inputs[i]].type != TENSOR_F32)
            return false;
    *pointwise = (struct pointwise){ .kind = kind, .operand = kinds[kind].inputs > 1 ? 1 : -1 };
    /* Max and Min take any number of inputs; other counts than two are not ours. */
    if ((kind == POINTWISE_MAX || kind == POINTWISE_MIN) && node->input_count != 2)
        return false;
    if (kind == POINTWISE_PRELU && rewrite_scalar(graph, node->inputs[1], &pointwise->alpha)) {
        pointwise->kind = POINTWISE_LEAKY_RELU;
        pointwise->operand = -1;
        return true;
    }
    return read_parameters(graph, node, pointwise);
}

float pointwise_apply(const struct pointwise *pointwise, float x, float operand)
{
    return pointwise_compute(pointwise, (const float[]){ x, operand, 0 });
}

float pointwise_compute(const struct pointwise *pointwise, const float in[POINTWISE_INPUTS_MAX])
{
    const float alpha = pointwise->alpha, beta = pointwise->beta, x = in[0], operand = in[1];
    switch (pointwise->kind) {
    case POINTWISE_RELU:
        return x > 0 ? x : 0;
    case POINTWISE_LEAKY_RELU:
        return x > 0 ? x : alpha * x;
    case POINTWISE_CLIP:
        return fminf(fmaxf(x, alpha), beta);
    case POINTWISE_SIGMOID:
        return 1 / (1 + expf(-x));
    case POINTWISE_HARD_SIGMOID:
        return fminf(fmaxf(alpha * x + beta, 0), 1);
    case POINTWISE_SWISH:
        return x / (1 + expf(-x));
    case POINTWISE_HARD_SWISH:
        return x * fminf(fmaxf(x / 6 + 0.5f, 0), 1);
    case POINTWISE_TANH:
        return tanhf(x);
    case POINTWISE_ELU:
        return x > 0 ? x : alpha * expm1f(x);
    case POINTWISE_EXP:
        return expf(x);
    case POINTWISE_LOG:
        return logf(x);
    case POINTWISE_SQRT:
        return sqrtf(x);
    case POINTWISE_ABS:
        return fabsf(x);
    case POINTWISE_NEG:
        return -x;
    case POINTWISE_SOFTPLUS:
        return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
    case POINTWISE_ADD:
        return x + operand;
    case POINTWISE_SUB:
        return x - operand;
    case POINTWISE_MUL:
        return x * operand;
    case POINTWISE_DIV:
        return x / operand;
    case POINTWISE_MAX:
        return fmaxf(x, operand);
    case POINTWISE_MIN:
        return fminf(x, operand);
    case POINTWISE_PRELU:
        return x > 0 ? x : operand * x;
    case POINTWISE_IDENTITY:
        return x;
    case POINTWISE_ERF:
        return erff(x);
    case POINTWISE_RECIPROCAL:
        return 1 / x;
    case POINTWISE_POW:
        return powf(x, operand);
    default:
        return compute_gradient(pointwise, x, operand, in[2]);
    }
}

/* The formulas of ops/unary_gradient.c and binary_gradient.c. */
static float compute_gradient(const struct pointwise *pointwise, float d, float v, float w)
{
    const float alpha = pointwise->alpha, beta = pointwise->beta;
    switch (pointwise->kind) {
    case POINTWISE_RELU_GRAD:
        return v > 0 ? d : 0;
    case POINTWISE_LEAKY_RELU_GRAD:
        return v > 0 ? d : alpha * d;
    case POINTWISE_CLIP_GRAD:
        return v >= alpha && v <= beta ? d : 0;
    case POINTWISE_SIGMOID_GRAD:
        return d * v * (1 - v);
    case POINTWISE_HARD_SIGMOID_GRAD:
        return v > 0 && v < 1 ? alpha * d : 0;
    case POINTWISE_SWISH_GRAD: {
        float s = 1 / (1 + expf(-v));
        return d * s * (1 + v * (1 - s));
    }
    case POINTWISE_HARD_SWISH_GRAD:
        return v <= -3 ? 0 : v >= 3 ? d : d * (v / 3 + 0.5f);
    case POINTWISE_TANH_GRAD:
        return d * (1 - v * v);
    case POINTWISE_ELU_GRAD:
        return v > 0 ? d : d * alpha * expf(v);
    case POINTWISE_SQRT_GRAD:
        return d / (2 * v);
    case POINTWISE_ABS_GRAD:
        return v > 0 ? d : v < 0 ? -d : 0;
    case POINTWISE_SOFTPLUS_GRAD:
        return d / (1 + expf(-v));
    case POINTWISE_ERF_GRAD:
        return d * POINTWISE_ERF_SLOPE * expf(-v * v);
    case POINTWISE_RECIPROCAL_GRAD:
        return -d * v * v;
    case POINTWISE_MAX_GRAD:
        return v > w ? d : v == w ? d / 2 : 0;
    case POINTWISE_MIN_GRAD:
        return v < w ? d : v == w ? d / 2 : 0;
    case POINTWISE_PRELU_GRAD:
        return v > 0 ? d : d * w;
    case POINTWISE_POW_GRAD:
        return w == 0 ? 0 : d * w * powf(v, w - 1);
    default:
        break;
    }
    assert(!"a kind of pointwise function");
    return 0;
}

static bool read_parameters(const struct graph *graph, const struct node *node,
                            struct pointwise *pointwise)
{
    switch (pointwise->kind) {
    case POINTWISE_LEAKY_RELU:
    case POINTWISE_LEAKY_RELU_GRAD:
        pointwise->alpha = node_float(node, "alpha", 0.01f);
        return true;
    case POINTWISE_ELU:
    case POINTWISE_ELU_GRAD:
        pointwise->alpha = node_float(node, "alpha", 1);
        return true;
    case POINTWISE_HARD_SIGMOID:
    case POINTWISE_HARD_SIGMOID_GRAD:
        pointwise->alpha = node_float(node, "alpha", 0.2f);
        pointwise->beta = node_float(node, "beta", 0.5f);
        return true;
    case POINTWISE_CLIP:
        return read_limit(graph, node, 1, "min", -FLT_MAX, &pointwise->alpha) &&
               read_limit(graph, node, 2, "max", FLT_MAX, &pointwise->beta);
    case POINTWISE_CLIP_GRAD:
        return read_limit(graph, node, 2, "min", -INFINITY, &pointwise->alpha) &&
               read_limit(graph, node, 3, "max", INFINITY, &pointwise->beta);
    default:
        return true;
    }
}

/* Clip's limits are attributes before opset 11 and inputs since. */
static bool read_limit(const struct graph *graph, const struct node *node, int input,
                       const char *attribute, float fallback, float *limit)
{
    *limit = node_float(node, attribute, fallback);
    if (node->input_count <= input || node->inputs[input] < 0)
        return true;
    return rewrite_scalar(graph, node->inputs[input], limit);
}
