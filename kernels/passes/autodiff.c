/* autodiff: a value's gradient is complete when all its readers have been visited, and readers come
 * before it when nodes are visited from the last to the first. */
#include "passes/autodiff.h"
#include "ops/gradient.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct work {
    struct graph *graph;
    const struct autodiff *autodiff;
    int value_count, node_count; /* of the forward part */
    bool *wanted;                /* values that depend on what is differentiated with respect to */
    int *gradient;               /* of each value, -1: none yet */
    int *recalled;               /* what stands for each value in the backward part; -1: see kept */
    bool *kept;
    int *stack;     /* values */
    bool *to_clone; /* nodes */
    struct error *err;
};

static int start(struct work *work);
static void finish(struct work *work);
static void mark_wanted(struct work *work);
static int seed(struct work *work);
static int visit(struct work *work, int index);
static int take_gradients(struct work *work, struct gradient *g, const int *inputs);
static int add_gradient(struct work *work, int value, int gradient);
static int recall_all(struct work *work, const int *values, int count, int *recalled);
static int recall(struct work *work, int value);
static int clone_node(struct work *work, int index);
static int make_ones(struct work *work, int value);
static bool same_shape(const struct graph *graph, int a, int b);

int pass_autodiff(struct graph *graph, const struct autodiff *autodiff, int *gradients,
                  struct error *err)
{
    struct work work = {
        .graph = graph,
        .autodiff = autodiff,
        .value_count = graph->value_count,
        .node_count = graph->node_count,
        .err = err,
    };
    int rc = start(&work);
    if (!rc)
        rc = seed(&work);
    for (int i = work.node_count - 1; !rc && i >= 0; i--)
        rc = visit(&work, i);
    for (int k = 0; !rc && k < autodiff->with_count; k++)
        gradients[k] = work.gradient[autodiff->with[k]];
    finish(&work);
    return rc;
}

static int start(struct work *work)
{
    size_t values = (size_t)work->value_count + 1;
    work->wanted = calloc(values, sizeof *work->wanted);
    work->gradient = calloc(values, sizeof *work->gradient);
    work->recalled = calloc(values, sizeof *work->recalled);
    work->kept = calloc(values, sizeof *work->kept);
    work->stack = calloc(values, sizeof *work->stack);
    work->to_clone = calloc((size_t)work->node_count + 1, sizeof *work->to_clone);
    if (!work->wanted || !work->gradient || !work->recalled || !work->kept || !work->stack ||
        !work->to_clone)
        return error_set(work->err, ERROR_MEMORY, "autodiff", "no memory left");
    for (int i = 0; i < work->value_count; i++) {
        work->gradient[i] = work->recalled[i] = -1;
        work->kept[i] = !work->autodiff->recompute || work->graph->values[i].producer < 0;
    }
    for (int i = 0; i < work->autodiff->kept_count; i++)
        work->kept[work->autodiff->kept[i]] = true;
    mark_wanted(work);
    return 0;
}

static void finish(struct work *work)
{
    free(work->wanted);
    free(work->gradient);
    free(work->recalled);
    free(work->kept);
    free(work->stack);
    free(work->to_clone);
}

static void mark_wanted(struct work *work)
{
    for (int k = 0; k < work->autodiff->with_count; k++)
        work->wanted[work->autodiff->with[k]] = true;
    for (int i = 0; i < work->node_count; i++) {
        const struct node *node = &work->graph->nodes[i];
        bool wanted = false;
        for (int k = 0; k < node->input_count && !wanted; k++)
            wanted = node->inputs[k] >= 0 && work->wanted[node->inputs[k]];
        for (int k = 0; wanted && k < node->output_count; k++)
            if (node->outputs[k] >= 0 && work->graph->values[node->outputs[k]].type == TENSOR_F32)
                work->wanted[node->outputs[k]] = true;
    }
}

static int seed(struct work *work)
{
    for (int k = 0; k < work->autodiff->of_count; k++) {
        int of = work->autodiff->of[k], seed = work->autodiff->seeds ? work->autodiff->seeds[k] : -1;
        if (!work->wanted[of])
            continue;
        if (seed < 0)
            seed = make_ones(work, of);
        if (seed < 0)
            return seed;
        assert(same_shape(work->graph, of, seed));
        int rc = add_gradient(work, of, seed);
        if (rc)
            return rc;
    }
    return 0;
}

/* Asks the rule of one node of the forward part. */
static int visit(struct work *work, int index)
{
    struct graph *graph = work->graph;
    struct node node = graph->nodes[index]; /* the lists stay where they are when nodes are added */
    struct gradient g = { .graph = graph, .node = &node, .err = work->err };
    int inputs[GRAPH_NODE_INPUTS_MAX], outputs[GRAPH_NODE_INPUTS_MAX];
    bool comes = false, asked = false;

    for (int k = 0; k < node.output_count; k++) {
        g.out[k] = node.outputs[k] < 0 ? -1 : work->gradient[node.outputs[k]];
        comes = comes || g.out[k] >= 0;
    }
    for (int k = 0; k < GRAPH_NODE_INPUTS_MAX; k++) {
        bool there = k < node.input_count && node.inputs[k] >= 0;
        g.in[k] = -1;
        g.wants[k] = there && work->wanted[node.inputs[k]] &&
                     graph->values[node.inputs[k]].type == TENSOR_F32;
        asked = asked || g.wants[k];
    }
    if (!comes || !asked)
        return 0;
    if (!node.op->gradient)
        return error_set(work->err, ERROR_UNSUPPORTED, node.op->name,
                         "node '%.100s': no gradient goes through this op", node.name);
    int rc = recall_all(work, node.inputs, node.input_count, inputs);
    if (!rc)
        rc = recall_all(work, node.outputs, node.output_count, outputs);
    if (rc)
        return rc;
    const int *forward_inputs = node.inputs;
    node.inputs = inputs;
    node.outputs = outputs;
    rc = node.op->gradient(&g);
    if (rc)
        return error_wrap(work->err, "gradient of %s node '%.100s'", node.op->name, node.name);
    return take_gradients(work, &g, forward_inputs);
}

static int take_gradients(struct work *work, struct gradient *g, const int *inputs)
{
    for (int k = 0; k < g->node->input_count; k++) {
        if (!g->wants[k] || g->in[k] < 0)
            continue;
        assert(same_shape(work->graph, g->in[k], inputs[k]));
        int rc = add_gradient(work, inputs[k], g->in[k]);
        if (rc)
            return rc;
    }
    return 0;
}

/* Adds to what has come to the value before. */
static int add_gradient(struct work *work, int value, int gradient)
{
    int *sum = &work->gradient[value];
    if (*sum < 0) {
        *sum = gradient;
        return 0;
    }
    struct graph *graph = work->graph;
    int total = graph_add_value(graph, "", TENSOR_F32, &graph->values[value].shape, work->err);
    if (total < 0)
        return total;
    int node = graph_add_node(graph, op_find("Add", 0), "", (int[]){ *sum, gradient }, 2, &total, 1,
                              work->err);
    if (node < 0)
        return node;
    *sum = total;
    return 0;
}

/* ---- recomputation ---- */

static int recall_all(struct work *work, const int *values, int count, int *recalled)
{
    for (int k = 0; k < count; k++) {
        recalled[k] = values[k];
        if (values[k] < 0 || work->kept[values[k]])
            continue;
        int rc = recall(work, values[k]);
        if (rc)
            return rc;
        recalled[k] = work->recalled[values[k]];
    }
    return 0;
}

/* Clones all nodes on the way to value from what is kept or was recalled before. What of it no rule
 * reads is swept out in the end. */
static int recall(struct work *work, int value)
{
    int depth = 0, first = work->node_count, last = -1;
    if (work->recalled[value] >= 0)
        return 0;
    work->stack[depth++] = value;
    while (depth > 0) {
        int producer = work->graph->values[work->stack[--depth]].producer;
        if (work->to_clone[producer])
            continue;
        work->to_clone[producer] = true;
        first = producer < first ? producer : first;
        last = producer > last ? producer : last;
        const struct node *node = &work->graph->nodes[producer];
        for (int k = 0; k < node->input_count; k++) {
            int input = node->inputs[k];
            if (input >= 0 && !work->kept[input] && work->recalled[input] < 0)
                work->stack[depth++] = input;
        }
    }
    for (int i = first; i <= last; i++) {
        if (!work->to_clone[i])
            continue;
        work->to_clone[i] = false;
        int rc = clone_node(work, i);
        if (rc)
            return rc;
    }
    return 0;
}

static int clone_node(struct work *work, int index)
{
    struct graph *graph = work->graph;
    struct node from = graph->nodes[index];
    int inputs[GRAPH_NODE_INPUTS_MAX], outputs[GRAPH_NODE_INPUTS_MAX];
    for (int k = 0; k < from.input_count; k++) {
        int input = from.inputs[k];
        inputs[k] = input < 0 || work->kept[input] ? input : work->recalled[input];
    }
    for (int k = 0; k < from.output_count; k++) {
        outputs[k] = -1;
        if (from.outputs[k] < 0)
            continue;
        const struct value *like = &graph->values[from.outputs[k]];
        struct shape shape = like->shape;
        outputs[k] = graph_add_value(graph, "", like->type, &shape, work->err);
        if (outputs[k] < 0)
            return outputs[k];
        work->recalled[from.outputs[k]] = outputs[k];
    }
    int node = graph_add_node(graph, from.op, from.name, inputs, from.input_count, outputs,
                              from.output_count, work->err);
    for (size_t a = 0; node >= 0 && a < from.attribute_count; a++) {
        int rc = graph_add_attribute(graph, node, &from.attributes[a], work->err);
        if (rc < 0)
            return rc;
    }
    return node < 0 ? node : 0;
}

/* ---- */

static int make_ones(struct work *work, int value)
{
    struct shape shape = work->graph->values[value].shape;
    struct tensor ones;
    int rc = tensor_create(&ones, TENSOR_F32, &shape, work->err);
    if (rc)
        return rc;
    for (int64_t i = 0, count = shape_elements(&shape); i < count; i++)
        ((float *)ones.data)[i] = 1;
    int made = graph_add_constant(work->graph, "", &ones, work->err);
    tensor_free(&ones); /* blank after success */
    return made;
}

static bool same_shape(const struct graph *graph, int a, int b)
{
    return shape_equal(&graph->values[a].shape, &graph->values[b].shape);
}
