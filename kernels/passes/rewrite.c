/* rewrite: nodes are never taken out by hand. A pass makes another node the producer of a value; what
 * nothing needs any more is then swept. */
#include "passes/rewrite.h"
#include "ops/op.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int rewrite_take_uses(struct rewrite_uses *uses, const struct graph *graph, struct error *err)
{
    size_t values = (size_t)graph->value_count + 1;
    *uses = (struct rewrite_uses){
        .count = calloc(values, sizeof *uses->count),
        .reader = calloc(values, sizeof *uses->reader),
    };
    if (!uses->count || !uses->reader) {
        rewrite_free_uses(uses);
        return error_set(err, ERROR_MEMORY, "pass", "no memory left");
    }
    for (int i = 0; i < graph->value_count; i++)
        uses->reader[i] = -1;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            if (graph->nodes[i].inputs[k] >= 0) {
                uses->count[graph->nodes[i].inputs[k]]++;
                uses->reader[graph->nodes[i].inputs[k]] = i;
            }
    for (int i = 0; i < graph->output_count; i++)
        uses->count[graph->outputs[i]]++;
    for (int i = 0; i < graph->state_count; i++) {
        int next = graph->values[graph->states[i]].next;
        if (next >= 0)
            uses->count[next]++;
    }
    return 0;
}

void rewrite_free_uses(struct rewrite_uses *uses)
{
    free(uses->count);
    free(uses->reader);
    *uses = (struct rewrite_uses){ 0 };
}

int rewrite_only_reader(const struct graph *graph, const struct rewrite_uses *uses, int value)
{
    if (uses->count[value] != 1 || graph->values[value].is_output)
        return -1;
    return uses->reader[value]; /* none where a state takes it on */
}

bool rewrite_is_op(const struct graph *graph, int node, const char *name)
{
    return node >= 0 && strcmp(graph->nodes[node].op->name, name) == 0;
}

const float *rewrite_constant(const struct graph *graph, int value)
{
    if (value < 0 || graph->values[value].type != TENSOR_F32)
        return NULL;
    return graph->values[value].constant.data;
}

bool rewrite_scalar(const struct graph *graph, int value, float *number)
{
    const float *data = rewrite_constant(graph, value);
    if (!data || shape_elements(&graph->values[value].shape) != 1)
        return false;
    *number = data[0];
    return true;
}

void rewrite_set_output(struct graph *graph, int node, int slot, int value)
{
    assert(slot < graph->nodes[node].output_count);
    graph->nodes[node].outputs[slot] = value;
    graph->values[value].producer = node;
}

void rewrite_redirect(struct graph *graph, int from, int to)
{
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            if (graph->nodes[i].inputs[k] == from)
                graph->nodes[i].inputs[k] = to;
}

int rewrite_add_constant(struct graph *graph, const char *name, const struct shape *shape,
                         float **data, struct error *err)
{
    struct tensor tensor;
    int rc = tensor_create(&tensor, TENSOR_F32, shape, err);
    if (rc)
        return rc;
    float *memory = tensor.data;
    int value = graph_add_constant(graph, name, &tensor, err);
    if (value < 0) {
        tensor_free(&tensor);
        return value;
    }
    *data = memory;
    return value;
}

int rewrite_finish(struct graph *graph, struct error *err)
{
    int rc = graph_sweep(graph, err);
    return rc ? rc : graph_sort(graph, err);
}
