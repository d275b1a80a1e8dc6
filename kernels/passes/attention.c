/* attention: see the header. */
#include "passes/attention.h"
#include "ops/resolve.h"
#include "passes/fused.h"
#include "passes/rewrite.h"
#include <stdlib.h>
#include <string.h>

/* Its node takes the place of others after inference, so that it needs no rule for shapes. */
static const struct op attention_op = {
    .name = "attention",
    .inputs_min = ATTENTION_INPUTS,
    .inputs_max = ATTENTION_INPUTS,
    .outputs_min = 1,
    .outputs_max = 1,
    .opset_min = OPSET_OWN,
    .opset_max = OPSET_OWN,
    .heavy = true,
};

static bool find(const struct graph *graph, const struct rewrite_uses *uses, int index,
                 struct attention_found *found);
static int replace(struct graph *graph, const struct attention_found *found,
                   const struct attribute *attribute, struct error *err);

int attention_fuse(struct graph *graph, attention_accepts *accepts, struct error *err)
{
    struct rewrite_uses uses;
    struct attention_found found;
    struct attribute attribute;
    int rc = rewrite_take_uses(&uses, graph, err);
    for (int i = 0; !rc && i < graph->node_count; i++)
        if (find(graph, &uses, i, &found) && accepts(graph, &found, &attribute))
            rc = replace(graph, &found, &attribute, err);
    rewrite_free_uses(&uses);
    return rc ? rc : rewrite_finish(graph, err);
}

/* The node that makes a value for one other node alone; -1: there is none. */
static int only_producer(const struct graph *graph, const struct rewrite_uses *uses, int value)
{
    return rewrite_only_reader(graph, uses, value) < 0 ? -1 : graph->values[value].producer;
}

static bool turns_last(const struct node *transpose, int rank)
{
    const int64_t *order;
    if (node_ints(transpose, "perm", &order) == 0)
        return rank == 2;
    for (int d = 0; d < rank; d++)
        if (order[d] != (d < rank - 2 ? d : 2 * rank - 3 - d))
            return false;
    return rank >= 2;
}

static int find_softmax(const struct graph *graph, const struct rewrite_uses *uses,
                        const struct node *result, bool *turned)
{
    int softmax = only_producer(graph, uses, result->inputs[0]);
    *turned = !rewrite_is_op(graph, softmax, "Softmax");
    if (!*turned)
        return softmax;
    int transpose = only_producer(graph, uses, result->inputs[1]);
    if (!rewrite_is_op(graph, transpose, "Transpose") ||
        !turns_last(&graph->nodes[transpose], graph->values[result->inputs[1]].shape.rank))
        return -1;
    softmax = only_producer(graph, uses, graph->nodes[transpose].inputs[0]);
    return rewrite_is_op(graph, softmax, "Softmax") ? softmax : -1;
}

static bool is_over_last(const struct graph *graph, const struct node *softmax)
{
    const struct shape *shape = &graph->values[softmax->inputs[0]].shape;
    int64_t outer, size, inner;
    softmax_span(softmax, shape, &outer, &size, &inner);
    return inner == 1 && size == shape->dim[shape->rank - 1];
}

/* index: of what may be the second product. */
static bool find(const struct graph *graph, const struct rewrite_uses *uses, int index,
                 struct attention_found *found)
{
    if (!rewrite_is_op(graph, index, "MatMul"))
        return false;
    const struct node *result = &graph->nodes[index];
    int softmax = find_softmax(graph, uses, result, &found->turned);
    if (softmax < 0 || !is_over_last(graph, &graph->nodes[softmax]))
        return false;
    found->result = index;
    found->product = only_producer(graph, uses, graph->nodes[softmax].inputs[0]);
    if (found->product < 0 || strcmp(fused_base_name(graph->nodes[found->product].op), "MatMul") != 0)
        return false;
    found->inputs[ATTENTION_Q] = graph->nodes[found->product].inputs[0];
    found->inputs[ATTENTION_K] = graph->nodes[found->product].inputs[1];
    found->inputs[ATTENTION_V] = result->inputs[found->turned ? 0 : 1];
    for (int i = 0; i < ATTENTION_INPUTS; i++)
        if (graph->values[found->inputs[i]].shape.rank < 2)
            return false;
    return true;
}

static int replace(struct graph *graph, const struct attention_found *found,
                   const struct attribute *attribute, struct error *err)
{
    struct node *node = &graph->nodes[found->result];
    int *inputs = malloc(sizeof found->inputs);
    if (!inputs)
        return error_set(err, ERROR_MEMORY, "pass", "no memory left");
    memcpy(inputs, found->inputs, sizeof found->inputs);
    free(node->inputs);
    node->inputs = inputs;
    node->input_count = ATTENTION_INPUTS;
    node->op = &attention_op;
    int rc = graph_add_attribute(graph, found->result, attribute, err);
    return rc < 0 ? rc : 0;
}
