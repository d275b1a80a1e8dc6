/* activation: exporters write some activations as several nodes; here they become one, which can
 * then follow a convolution as a post-operation. */
#include "ops/op.h"
#include "passes/pass.h"
#include "passes/rewrite.h"
#include <math.h>

#define SLOPE_TOLERANCE 1e-6f

static int fuse_gate(struct graph *graph, const struct rewrite_uses *uses, int mul,
                     struct error *err);
static int fuse_prelu(struct graph *graph, const struct rewrite_uses *uses, int add,
                      struct error *err);
static bool match_negative_part(const struct graph *graph, const struct rewrite_uses *uses, int mul,
                                int x, int *slope);
static int add_replacement(struct graph *graph, const struct op *op, const int *inputs,
                           int input_count, int replaced, struct error *err);

int pass_fuse_activation(struct graph *graph, struct error *err)
{
    struct rewrite_uses uses;
    int rc = rewrite_take_uses(&uses, graph, err);
    for (int i = 0, count = graph->node_count; rc >= 0 && i < count; i++) {
        if (graph->values[graph->nodes[i].outputs[0]].type != TENSOR_F32)
            continue;
        if (rewrite_is_op(graph, i, "Mul"))
            rc = fuse_gate(graph, &uses, i, err);
        else if (rewrite_is_op(graph, i, "Add"))
            rc = fuse_prelu(graph, &uses, i, err);
    }
    rewrite_free_uses(&uses);
    return rc < 0 ? rc : rewrite_finish(graph, err);
}

/* Mul(x, Sigmoid(x)) and Mul(x, HardSigmoid(x) of slope 1/6 and offset 1/2). */
static int fuse_gate(struct graph *graph, const struct rewrite_uses *uses, int mul, struct error *err)
{
    const struct node *node = &graph->nodes[mul];
    for (int side = 0; side < 2; side++) {
        int gate = graph->values[node->inputs[side]].producer, x = node->inputs[1 - side];
        if (gate < 0 || graph->nodes[gate].input_count < 1 || graph->nodes[gate].inputs[0] != x ||
            rewrite_only_reader(graph, uses, node->inputs[side]) != mul)
            continue;
        if (rewrite_is_op(graph, gate, "Sigmoid"))
            return add_replacement(graph, op_find("swish", OPSET_OWN), &x, 1, mul, err);
        const struct op *hard_swish = op_find("HardSwish", 0);
        if (hard_swish && rewrite_is_op(graph, gate, "HardSigmoid") &&
            fabsf(node_float(&graph->nodes[gate], "alpha", 0.2f) - 1 / 6.0f) < SLOPE_TOLERANCE &&
            fabsf(node_float(&graph->nodes[gate], "beta", 0.5f) - 0.5f) < SLOPE_TOLERANCE)
            return add_replacement(graph, hard_swish, &x, 1, mul, err);
    }
    return 0;
}

/* Add(Relu(x), Mul(Sub(x, Abs(x)), c)): the second part is 2c x where x is negative. */
static int fuse_prelu(struct graph *graph, const struct rewrite_uses *uses, int add, struct error *err)
{
    for (int side = 0; side < 2; side++) {
        const struct node *node = &graph->nodes[add];
        int relu = graph->values[node->inputs[side]].producer;
        int mul = graph->values[node->inputs[1 - side]].producer;
        int slope;
        if (!rewrite_is_op(graph, relu, "Relu") || !rewrite_is_op(graph, mul, "Mul") ||
            !match_negative_part(graph, uses, mul, graph->nodes[relu].inputs[0], &slope))
            continue;
        int x = graph->nodes[relu].inputs[0];
        const struct op *prelu = op_find("PRelu", 0);
        struct shape shape = graph->values[slope].shape, sum;
        if (!prelu || !shape_broadcast(&graph->values[x].shape, &shape, &sum) ||
            !shape_equal(&sum, &graph->values[x].shape))
            continue;
        float *data;
        int twice = rewrite_add_constant(graph, graph->values[slope].name, &shape, &data, err);
        if (twice < 0)
            return twice;
        const float *half = rewrite_constant(graph, slope);
        for (int64_t i = 0, count = shape_elements(&shape); i < count; i++)
            data[i] = 2 * half[i];
        int inputs[] = { x, twice };
        return add_replacement(graph, prelu, inputs, 2, add, err);
    }
    return 0;
}

static bool match_negative_part(const struct graph *graph, const struct rewrite_uses *uses, int mul,
                                int x, int *slope)
{
    const struct node *node = &graph->nodes[mul];
    for (int side = 0; side < 2; side++) {
        int sub = graph->values[node->inputs[side]].producer;
        if (!rewrite_is_op(graph, sub, "Sub") || graph->nodes[sub].inputs[0] != x ||
            !rewrite_constant(graph, node->inputs[1 - side]) ||
            rewrite_only_reader(graph, uses, node->inputs[side]) != mul)
            continue;
        int abs = graph->values[graph->nodes[sub].inputs[1]].producer;
        if (!rewrite_is_op(graph, abs, "Abs") || graph->nodes[abs].inputs[0] != x)
            continue;
        *slope = node->inputs[1 - side];
        return true;
    }
    return false;
}

/* A new node writes what `replaced` wrote. */
static int add_replacement(struct graph *graph, const struct op *op, const int *inputs,
                           int input_count, int replaced, struct error *err)
{
    int output = graph->nodes[replaced].outputs[0];
    int node =
        graph_add_node(graph, op, graph->nodes[replaced].name, inputs, input_count, &output, 1, err);
    return node < 0 ? node : 0;
}
