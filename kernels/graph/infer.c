/* infer: types and shapes from the inputs on, node by node, and folding of what is known before any
 * frame comes. Exporters compute shapes inside the graph (Shape, Gather, Concat, Reshape), so shapes
 * can only be inferred while such nodes are folded. */
#include "graph/graph.h"
#include "graph/parts.h"
#include "ops/op.h"
#include <stdlib.h>

/* Folding may read and write this much, and this many times the constants' own size: a small file
 * cannot make much work. What is beyond it stays a node. */
#define FOLD_BYTES_FREE ((uint64_t)16 << 20)
#define FOLD_GROWTH 16
/* What loops may grow to, above all; GRAPH_NODES_MAX holds beside it. */
#define BODIES_BYTES ((uint64_t)256 << 20)

static int set_input_shapes(struct graph *graph, const struct shape *shapes, struct error *err);
static uint64_t fold_allowance(const struct graph *graph);
static void drop_folded(struct graph *graph, int first);
static int infer_node(struct graph *graph, int index, struct inference *inference, struct error *err);
static int blame(const struct node *node, int rc, struct error *err);
static int add_outputs(struct graph *graph, int index, struct error *err);
static int check_counts(const struct node *node, struct error *err);
static int check_outputs(const struct node *node, const struct op_values *values, struct error *err);
static bool can_fold(const struct node *node, const struct op_values *values, uint64_t *allowance);
static int fold(const struct node *node, const struct op_values *values, struct error *err);

int graph_infer(struct graph *graph, const struct shape *input_shapes, struct error *err)
{
    int rc = graph_sort(graph, err);
    if (rc || (rc = set_input_shapes(graph, input_shapes, err)))
        return rc;
    struct inference inference = { .fold_bytes = fold_allowance(graph),
                                   .bodies_bytes = BODIES_BYTES };
    /* What was put in a node's place went to the end of the list. */
    if ((rc = graph_infer_from(graph, 0, &inference, err)) || (rc = graph_sort(graph, err)))
        return rc;
    return graph_sweep(graph, err);
}

int graph_infer_from(struct graph *graph, int first, struct inference *inference, struct error *err)
{
    int end = graph->node_count; /* what is added on the way is inferred by who adds it */
    for (int i = first; i < end; i++) {
        int rc = infer_node(graph, i, inference, err);
        if (rc)
            return blame(&graph->nodes[i], rc, err);
    }
    drop_folded(graph, first);
    return 0;
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
            if (input->shape.dim[d] < 0)
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

/* A long loop makes many nodes that come to nothing; the list has room for so many only. */
static void drop_folded(struct graph *graph, int first)
{
    int kept = first;
    for (int i = first; i < graph->node_count; i++) {
        struct node *node = &graph->nodes[i];
        bool writes = false;
        for (int k = 0; k < node->output_count; k++)
            writes |= node->outputs[k] >= 0 && graph->values[node->outputs[k]].producer == i;
        if (!writes) {
            node_finish(node);
            continue;
        }
        for (int k = 0; k < node->output_count; k++)
            if (node->outputs[k] >= 0 && graph->values[node->outputs[k]].producer == i)
                graph->values[node->outputs[k]].producer = kept;
        graph->nodes[kept++] = *node;
    }
    graph->node_count = kept;
}

/* With an inference, what can be folded is. */
static int infer_node(struct graph *graph, int index, struct inference *inference, struct error *err)
{
    if (graph->nodes[index].op->has_bodies && inference)
        return graph_expand_node(graph, index, inference, err);
    int rc = check_counts(&graph->nodes[index], err);
    if (rc || (rc = add_outputs(graph, index, err)))
        return rc;
    const struct node *node = &graph->nodes[index];
    uint64_t asked = 0;
    struct op_values values = { .asked = &asked };
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] >= 0)
            values.in[i] = &graph->values[node->inputs[i]];
    for (int i = 0; i < node->output_count; i++)
        if (node->outputs[i] >= 0)
            values.out[i] = &graph->values[node->outputs[i]];
    if ((rc = node->op->shape(node, &values, err))) {
        for (int i = 0; i < node->input_count; i++)
            if (asked >> i & 1)
                graph->values[node->inputs[i]].asked = true;
        return rc;
    }
    if ((rc = check_outputs(node, &values, err)))
        return rc;
    return inference && can_fold(node, &values, &inference->fold_bytes) ? fold(node, &values, err)
                                                                         : 0;
}

/* For kernels that work in their outputs: nobody reads these. */
static int add_outputs(struct graph *graph, int index, struct error *err)
{
    struct node *node = &graph->nodes[index];
    int most = node->op->outputs_max;
    if (!node->op->needs_outputs)
        return 0;
    int *outputs = realloc(node->outputs, (size_t)most * sizeof *outputs);
    if (!outputs)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    node->outputs = outputs;
    for (; node->output_count < most; node->output_count++)
        outputs[node->output_count] = -1;
    for (int k = 0; k < most; k++) {
        if (outputs[k] >= 0)
            continue;
        int value = graph_add_value(graph, "", TENSOR_NONE, NULL, err);
        if (value < 0)
            return value;
        graph->values[value].producer = index;
        outputs[k] = value;
    }
    return 0;
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
    for (int i = 0; i < op->outputs_min && !op->needs_outputs; i++)
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
