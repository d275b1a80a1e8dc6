/* embed: one graph put into another, so that networks that were made apart become one plan. */
#include "graph/graph.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 512

static int copy_values(struct graph *graph, const struct graph *part, const char *prefix, int *map,
                       struct error *err);
static int copy_value(struct graph *graph, const struct value *from, const char *prefix,
                      struct error *err);
static int copy_nodes(struct graph *graph, const struct graph *part, const char *prefix,
                      const int *map, struct error *err);
/* inputs: room for the node's. */
static int copy_node(struct graph *graph, const struct node *from, const char *prefix,
                     const int *map, int *inputs, struct error *err);

int graph_embed(struct graph *graph, const struct graph *part, const char *prefix, const int *inputs,
                int *outputs, struct error *err)
{
    int *map = calloc((size_t)part->value_count + 1, sizeof *map);
    if (!map)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    for (int i = 0; i < part->value_count; i++)
        map[i] = -1;
    for (int i = 0; i < part->input_count; i++)
        map[part->inputs[i]] = inputs[i];
    int rc = copy_values(graph, part, prefix, map, err);
    if (!rc)
        rc = copy_nodes(graph, part, prefix, map, err);
    for (int i = 0; !rc && i < part->state_count; i++) {
        int state = part->states[i], next = part->values[state].next;
        rc = graph_mark_state(graph, map[state], err);
        if (!rc && next >= 0)
            graph_set_next(graph, map[state], map[next]);
    }
    for (int i = 0; !rc && i < part->output_count; i++)
        outputs[i] = map[part->outputs[i]];
    free(map);
    return rc;
}

static int copy_values(struct graph *graph, const struct graph *part, const char *prefix, int *map,
                       struct error *err)
{
    for (int i = 0; i < part->value_count; i++) {
        if (map[i] < 0)
            map[i] = copy_value(graph, &part->values[i], prefix, err);
        if (map[i] < 0)
            return map[i];
    }
    return 0;
}

/* A state becomes a constant for now. */
static int copy_value(struct graph *graph, const struct value *from, const char *prefix,
                      struct error *err)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", prefix, from->name);
    const struct tensor *held = from->state.data ? &from->state : &from->constant;
    if (!held->data)
        return graph_add_value(graph, name, from->type, &from->shape, err);
    struct tensor copy;
    int rc = tensor_create(&copy, held->type, &held->shape, err);
    if (rc)
        return rc;
    memcpy(copy.data, held->data, tensor_bytes(held));
    rc = graph_add_constant(graph, name, &copy, err);
    if (rc < 0)
        tensor_free(&copy);
    return rc;
}

static int copy_nodes(struct graph *graph, const struct graph *part, const char *prefix,
                      const int *map, struct error *err)
{
    int most = 0, rc = 0;
    for (int i = 0; i < part->node_count; i++)
        if (part->nodes[i].input_count > most)
            most = part->nodes[i].input_count;
    int *inputs = calloc((size_t)most + 1, sizeof *inputs);
    if (!inputs)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    for (int i = 0; !rc && i < part->node_count; i++)
        rc = copy_node(graph, &part->nodes[i], prefix, map, inputs, err);
    free(inputs);
    return rc;
}

static int copy_node(struct graph *graph, const struct node *from, const char *prefix,
                     const int *map, int *inputs, struct error *err)
{
    int outputs[GRAPH_NODE_INPUTS_MAX];
    char name[NAME_BYTES];
    assert(from->output_count <= GRAPH_NODE_INPUTS_MAX);
    for (int k = 0; k < from->input_count; k++)
        inputs[k] = from->inputs[k] < 0 ? -1 : map[from->inputs[k]];
    for (int k = 0; k < from->output_count; k++)
        outputs[k] = from->outputs[k] < 0 ? -1 : map[from->outputs[k]];
    snprintf(name, sizeof name, "%s%s", prefix, from->name);
    int node = graph_add_node(graph, from->op, name, inputs, from->input_count, outputs,
                              from->output_count, err);
    if (node < 0)
        return node;
    for (size_t a = 0; a < from->attribute_count; a++) {
        int rc = graph_add_attribute(graph, node, &from->attributes[a], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
