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
    bool operand;
} kinds[] = {
#define X(kind, name, operand) [POINTWISE_##kind] = { name, operand },
    POINTWISE_KINDS(X)
#undef X
};

static bool read_parameters(const struct graph *graph, const struct node *node,
                            struct pointwise *pointwise);
static bool read_limit(const struct graph *graph, const struct node *node, int input,
                       const char *attribute, float fallback, float *limit);

const char *pointwise_name(enum pointwise_kind kind)
{
    assert(kind < POINTWISE_KIND_COUNT);
    return kinds[kind].name;
}

bool pointwise_takes_operand(enum pointwise_kind kind)
{
    assert(kind < POINTWISE_KIND_COUNT);
    return kinds[kind].operand;
}

bool pointwise_commutes(enum pointwise_kind kind)
{
    return kind == POINTWISE_ADD || kind == POINTWISE_MUL || kind == POINTWISE_MAX ||
           kind == POINTWISE_MIN;
}

bool pointwise_from_node(const struct graph *graph, const struct node *node,
                         struct pointwise *pointwise)
{
    if (node->output_count != 1 || node->input_count < 1 || node->inputs[0] < 0 ||
        graph->values[node->inputs[0]].type != TENSOR_F32)
        return false;
    for (int kind = 0; kind < POINTWISE_KIND_COUNT; kind++) {
        if (strcmp(kinds[kind].name, node->op->name) != 0)
            continue;
        *pointwise = (struct pointwise){ .kind = kind, .operand = -1 };
        if (!kinds[kind].operand)
            return read_parameters(graph, node, pointwise);
        /* Max and Min take any number of inputs; other counts than two are not ours. */
        if (node->input_count != 2 || node->inputs[1] < 0)
            return false;
        pointwise->operand = 1;
        if (kind == POINTWISE_PRELU && rewrite_scalar(graph, node->inputs[1], &pointwise->alpha)) {
            pointwise->kind = POINTWISE_LEAKY_RELU;
            pointwise->operand = -1;
        }
        return true;
    }
    return false;
}

float pointwise_apply(const struct pointwise *pointwise, float x, float operand)
{
    const float alpha = pointwise->alpha, beta = pointwise->beta;
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
    case POINTWISE_KIND_COUNT:
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
        pointwise->alpha = node_float(node, "alpha", 0.01f);
        return true;
    case POINTWISE_ELU:
        pointwise->alpha = node_float(node, "alpha", 1);
        return true;
    case POINTWISE_HARD_SIGMOID:
        pointwise->alpha = node_float(node, "alpha", 0.2f);
        pointwise->beta = node_float(node, "beta", 0.5f);
        return true;
    case POINTWISE_CLIP:
        return read_limit(graph, node, 1, "min", -FLT_MAX, &pointwise->alpha) &&
               read_limit(graph, node, 2, "max", FLT_MAX, &pointwise->beta);
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
