/* batch: a graph made for one picture becomes one for several. Exporters write the 1 of the batch into the
 * targets of Reshape and Resize, so these are put right; all other ops take it from what they read. Each value
 * must then hold as much for each picture as before: a sum over all, say, would not. */
#include "graph/graph.h"
#include "ops/op.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RESHAPE_TARGET 1 /* inputs */
#define RESIZE_SIZES 3

static int widen_targets(struct graph *graph, int64_t pictures, struct error *err);
static int target_of(const struct graph *graph, const struct node *node);
static int widen_target(struct graph *graph, int node, int target, int64_t pictures,
                        struct error *err);
static int check_values(const struct graph *graph, const int64_t *before, int64_t pictures,
                        struct error *err);
static bool mark(const struct node *node, bool *of_pictures);

int graph_set_batch(struct graph *graph, int64_t pictures, struct error *err)
{
    if (pictures == 1)
        return 0;
    int rc = widen_targets(graph, pictures, err);
    if (rc)
        return rc;
    int64_t *before = calloc((size_t)graph->value_count + 1, sizeof *before);
    if (!before)
        return error_set(err, ERROR_MEMORY, "batch", "no memory left");
    for (int i = 0; i < graph->value_count; i++)
        before[i] = shape_elements(&graph->values[i].shape);
    for (int i = 0; i < graph->input_count; i++) {
        struct shape *shape = &graph->values[graph->inputs[i]].shape;
        assert(shape->rank > 0 && shape->dim[0] == 1);
        shape->dim[0] = pictures;
    }
    for (int i = 0; !rc && i < graph->node_count; i++)
        rc = graph_infer_node(graph, i, err);
    if (!rc)
        rc = check_values(graph, before, pictures, err);
    free(before);
    return rc;
}

static int widen_targets(struct graph *graph, int64_t pictures, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < graph->node_count; i++) {
        int target = target_of(graph, &graph->nodes[i]);
        if (target >= 0)
            rc = widen_target(graph, i, target, pictures, err);
    }
    return rc;
}

/* The input of a node that says the shape of what it gives, if that begins with the 1 of the batch; else
 * -1. */
static int target_of(const struct graph *graph, const struct node *node)
{
    int input = strcmp(node->op->name, "Reshape") == 0  ? RESHAPE_TARGET
                : strcmp(node->op->name, "Resize") == 0 ? RESIZE_SIZES
                                                        : -1;
    if (input < 0 || input >= node->input_count || node->inputs[input] < 0)
        return -1;
    const struct tensor *held = &graph->values[node->inputs[input]].constant;
    const struct shape *from = &graph->values[node->inputs[0]].shape;
    bool first = held->data && held->type == TENSOR_I64 && shape_elements(&held->shape) > 0 &&
                 *(const int64_t *)held->data == 1;
    return first && from->rank > 0 && from->dim[0] == 1 ? input : -1;
}

/* In a constant of its own, as others may read the old one. */
static int widen_target(struct graph *graph, int node, int target, int64_t pictures, struct error *err)
{
    const struct value *old = &graph->values[graph->nodes[node].inputs[target]];
    struct tensor wide;
    int rc = tensor_create(&wide, TENSOR_I64, &old->constant.shape, err);
    if (rc)
        return rc;
    memcpy(wide.data, old->constant.data, tensor_bytes(&wide));
    *(int64_t *)wide.data = pictures;
    int value = graph_add_constant(graph, old->name, &wide, err);
    if (value < 0) {
        tensor_free(&wide);
        return value;
    }
    graph->nodes[node].inputs[target] = value;
    return 0;
}

static int check_values(const struct graph *graph, const int64_t *before, int64_t pictures,
                        struct error *err)
{
    bool *of_pictures = calloc((size_t)graph->value_count + 1, sizeof *of_pictures);
    int rc = 0;
    if (!of_pictures)
        return error_set(err, ERROR_MEMORY, "batch", "no memory left");
    for (int i = 0; i < graph->input_count; i++)
        of_pictures[graph->inputs[i]] = true;
    for (int i = 0; !rc && i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        if (!mark(node, of_pictures))
            continue;
        for (int k = 0; !rc && k < node->output_count; k++)
            if (node->outputs[k] >= 0 && shape_elements(&graph->values[node->outputs[k]].shape) !=
                                             pictures * before[node->outputs[k]])
                rc = error_set(err, ERROR_UNSUPPORTED, "batch",
                               "%s node '%.100s' does not keep pictures apart", node->op->name,
                               node->name);
    }
    for (int i = 0; !rc && i < graph->output_count; i++) {
        const struct value *output = &graph->values[graph->outputs[i]];
        if (!of_pictures[graph->outputs[i]] || output->shape.rank < 1 ||
            output->shape.dim[0] != pictures)
            rc = error_set(err, ERROR_UNSUPPORTED, "batch",
                           "output %s does not begin with pictures", output->name);
    }
    free(of_pictures);
    return rc;
}

/* Marks what a node gives as of the pictures, if something that it reads is; true then. */
static bool mark(const struct node *node, bool *of_pictures)
{
    bool reads = false;
    for (int i = 0; i < node->input_count; i++)
        reads |= node->inputs[i] >= 0 && of_pictures[node->inputs[i]];
    for (int i = 0; reads && i < node->output_count; i++)
        if (node->outputs[i] >= 0)
            of_pictures[node->outputs[i]] = true;
    return reads;
}
