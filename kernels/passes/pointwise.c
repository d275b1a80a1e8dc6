/* pointwise: one table of names, one function that says what each of them computes. */
#include "passes/pointwise.h"
#include "ops/op.h"
#include "passes/pointwise_functions.h"
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
    return pointwise_value(pointwise->kind, pointwise->alpha, pointwise->beta, in[0], in[1], in[2]);
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
