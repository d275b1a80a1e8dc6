/* infer: types and shapes from the inputs on, node by node, and folding of what is known before any
 * frame comes. Exporters compute shapes inside the graph (Shape, Gather, Concat, Reshape), so shapes
 * can only be inferred while such nodes are folded. */
#include "graph/graph.h"
#include "ops/op.h"
#include <stdlib.h>

/* Folding may read and write this much, and this many times the constants' own size: a small file
 * cannot make much work. What is beyond it stays a node. */
#define FOLD_BYTES_FREE ((uint64_t)16 << 20)
#define FOLD_GROWTH 16

static int set_input_shapes(struct graph *graph, const struct shape *shapes, struct error *err);
static uint64_t fold_allowance(const struct graph *graph);
static int infer_node(struct graph *graph, int index, uint64_t *allowance, struct error *err);
static int blame(const struct node *node, int rc, struct error *err);
static int check_counts(const struct node *node, struct error *err);
static int check_outputs(const struct node *node, const struct op_values *values, struct error *err);
static bool can_fold(const struct node *node, const struct op_values *values, uint64_t *allowance);
static int fold(const struct node *node, const struct op_values *values, struct error *err);

int graph_infer(struct graph *graph, const struct shape *input_shapes, struct error *err)
{
    int rc = graph_sort(graph, err);
    if (rc || (rc = set_input_shapes(graph, input_shapes, err)))
        return rc;
    uint64_t allowance = fold_allowance(graph);
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        rc = infer_node(graph, i, &allowance, err);
        if (rc)
            return blame(node, rc, err);
    }
    return graph_sweep(graph, err);
}

int graph_infer_node(struct graph *graph, int node, struct error *err)
{
    int rc = infer_node(graph, node, NULL, err);
    return rc ? blame(&graph->nodes[node], rc, err) : 0;
}

static int blame(const struct node *node, int rc, struct error *err)
{
    if (err)
        error_wrap(err, "%s node '%.100s'", node->op->name, node->name);
    return rc;
}

static int set_input_shapes(struct graph *graph, const struct shape *shapes, struct error *err)
{
    for (int i = 0; i < graph->input_count; i++) {
        struct value *input = &graph->values[graph->inputs[i]];
        if (shapes) {
            if (input->shape.rank >= 0 && shapes[i].rank != input->shape.rank)
                return error_set(err, ERROR_FORMAT, input->name,
                                 "the input has %d dimensions, not %d", input->shape.rank,
                                 shapes[i].rank);
            input->shape = shapes[i];
        }
        if (input->shape.rank < 0)
            return error_set(err, ERROR_FORMAT, input->name,
                             "the input has no shape: one must be given");
        for (int d = 0; d < input->shape.rank; d++)
            if (input->shape.dim[d] < 1)
                return error_set(err, ERROR_FORMAT, input->name,
                                 "dimension %d of the input is free: its size must be given", d);
        if (shape_elements(&input->shape) < 0)
            return error_set(err, ERROR_LIMIT, input->name, "the input is too large");
    }
    return 0;
}

static uint64_t fold_allowance(const struct graph *graph)
{
    uint64_t bytes = FOLD_BYTES_FREE;
    for (int i = 0; i < graph->value_count; i++)
        if (graph->values[i].constant.data)
            bytes += FOLD_GROWTH * tensor_bytes(&graph->values[i].constant);
    return bytes;
}

/* With an allowance, what can be folded is. */
static int infer_node(struct graph *graph, int index, uint64_t *allowance, struct error *err)
{
    struct node *node = &graph->nodes[index];
    int rc = check_counts(node, err);
    if (rc)
        return rc;
    struct op_values values = { 0 };
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] >= 0)
            values.in[i] = &graph->values[node->inputs[i]];
    for (int i = 0; i < node->output_count; i++)
        if (node->outputs[i] >= 0)
            values.out[i] = &graph->values[node->outputs[i]];
    if ((rc = node->op->shape(node, &values, err)) || (rc = check_outputs(node, &values, err)))
        return rc;
    return allowance && can_fold(node, &values, allowance) ? fold(node, &values, err) : 0;
}

static int check_counts(const struct node *node, struct error *err)
{
    const struct op *op = node->op;
    if (node->input_count < op->inputs_min || node->input_count > op->inputs_max)
        return error_set(err, ERROR_FORMAT, "inputs", "%d given; %d to %d are supported",
                         node->input_count, op->inputs_min, op->inputs_max);
    if (node->output_count < op->outputs_min || node->output_count > op->outputs_max)
        return error_set(err, ERROR_UNSUPPORTED, "outputs", "%d wanted; %d to %d are supported",
                         node->output_count, op->outputs_min, op->outputs_max);
    for (int i = 0; i < op->inputs_min; i++)
        if (node->inputs[i] < 0)
            return error_set(err, ERROR_FORMAT, "inputs", "input %d is missing", i);
    for (int i = 0; i < op->outputs_min; i++)
        if (node->outputs[i] < 0)
            return error_set(err, ERROR_FORMAT, "outputs", "output %d is missing", i);
    return 0;
}

static int check_outputs(const struct node *node, const struct op_values *values, struct error *err)
{
    for (int i = 0; i < node->output_count; i++) {
        const struct value *value = values->out[i];
        if (!value)
            continue;
        int64_t elements = shape_elements(&value->shape);
        char text[128];
        shape_format(&value->shape, text, sizeof text);
        if (elements < 0 || (uint64_t)elements * tensor_type_bytes(value->type) > TENSOR_BYTES_MAX)
            return error_set(err, ERROR_LIMIT, value->name, "%s of %s is no shape we can hold",
                             text, tensor_type_word(value->type));
    }
    return 0;
}

/* All inputs are constant, or only their shapes matter; and there is allowance left. */
static bool can_fold(const struct node *node, const struct op_values *values, uint64_t *allowance)
{
    if (node->op->heavy || node->op->widens)
        return false;
    uint64_t bytes = 0;
    for (int i = 0; i < node->output_count; i++)
        if (values->out[i])
            bytes += (uint64_t)shape_elements(&values->out[i]->shape) *
                     tensor_type_bytes(values->out[i]->type);
    for (int i = 0; i < node->input_count && !node->op->shape_only; i++) {
        if (!values->in[i])
            continue;
        if (!values->in[i]->constant.data)
            return false;
        bytes += tensor_bytes(&values->in[i]->constant);
    }
    if (bytes > *allowance)
        return false;
    *allowance -= bytes;
    return true;
}

/* Runs the reference kernel once and for all; the values stop being the node's. */
static int fold(const struct node *node, const struct op_values *values, struct error *err)
{
    struct tensor shells[GRAPH_NODE_INPUTS_MAX], results[GRAPH_NODE_INPUTS_MAX] = { { 0 } };
    const struct tensor *in[GRAPH_NODE_INPUTS_MAX] = { NULL };
    struct tensor *out[GRAPH_NODE_INPUTS_MAX] = { NULL };
    for (int i = 0; i < node->input_count; i++) {
        if (!values->in[i])
            continue;
        shells[i] = values->in[i]->constant; /* without data where only the shape matters */
        shells[i].type = values->in[i]->type;
        shells[i].shape = values->in[i]->shape;
        in[i] = &shells[i];
    }
    int rc = 0;
    for (int i = 0; i < node->output_count && !rc; i++) {
        if (!values->out[i])
            continue;
        rc = tensor_create(&results[i], values->out[i]->type, &values->out[i]->shape, err);
        out[i] = &results[i];
    }
    if (!rc)
        rc = node->op->reference(node, in, out, err);
    for (int i = 0; i < node->output_count; i++) {
        if (rc) {
            tensor_free(&results[i]);
        } else if (values->out[i]) {
            values->out[i]->constant = results[i];
            values->out[i]->producer = -1;
        }
    }
    return rc;
}
