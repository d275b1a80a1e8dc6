/* order: sorts a graph's nodes so that they can be run one after the other, and sweeps out what no
 * output needs. Both walk with a stack of their own: a graph from outside may be deep. */
#include "graph/graph.h"
#include "graph/parts.h"
#include "ops/op.h"
#include <stdlib.h>

enum { NODE_NEW, NODE_OPEN, NODE_DONE };

struct visit {
    int node, next_input;
};

struct sorting {
    unsigned char *state; /* NODE_… of each node */
    struct visit *stack;
    int depth;
    int *order; /* node indices in the new order */
    int order_count;
};

static bool has_content(const struct value *value);
static int check_writers(const struct graph *graph, struct error *err);
static int visit_node(const struct graph *graph, struct sorting *sorting, int first,
                      struct error *err);
static int visit_input(const struct graph *graph, struct sorting *sorting, struct visit *at,
                       struct error *err);
static void reorder_nodes(struct graph *graph, const int *order, struct node *room);
static void mark_needed(const struct graph *graph, int *node_map, int *value_map, int *stack);
static void drop_nodes(struct graph *graph, int *node_map);
static void drop_values(struct graph *graph, int *value_map);
static void renumber(struct graph *graph, const int *node_map, const int *value_map);

int graph_sort(struct graph *graph, struct error *err)
{
    int rc = check_writers(graph, err);
    if (rc)
        return rc;
    size_t count = (size_t)graph->node_count + 1; /* never a request for nothing */
    struct sorting sorting = {
        .state = calloc(count, sizeof *sorting.state),
        .stack = calloc(count, sizeof *sorting.stack),
        .order = calloc(count, sizeof *sorting.order),
    };
    struct node *room = calloc(count, sizeof *room);
    if (!sorting.state || !sorting.stack || !sorting.order || !room)
        rc = error_set(err, ERROR_MEMORY, "graph", "no memory left");
    for (int i = 0; !rc && i < graph->node_count; i++)
        if (sorting.state[i] == NODE_NEW)
            rc = visit_node(graph, &sorting, i, err);
    if (!rc)
        reorder_nodes(graph, sorting.order, room);
    free(sorting.state);
    free(sorting.stack);
    free(sorting.order);
    free(room);
    return rc;
}

int graph_sweep(struct graph *graph, struct error *err)
{
    size_t nodes = (size_t)graph->node_count + 1, values = (size_t)graph->value_count + 1;
    int *node_map = calloc(nodes, sizeof *node_map);
    int *value_map = calloc(values, sizeof *value_map);
    int *stack = calloc(values, sizeof *stack);
    int rc = 0;
    if (!node_map || !value_map || !stack) {
        rc = error_set(err, ERROR_MEMORY, "graph", "no memory left");
    } else {
        mark_needed(graph, node_map, value_map, stack);
        drop_nodes(graph, node_map);
        drop_values(graph, value_map);
        renumber(graph, node_map, value_map);
    }
    free(node_map);
    free(value_map);
    free(stack);
    return rc;
}

/* Without a node that writes it. */
static bool has_content(const struct value *value)
{
    return value->is_input || value->constant.data || value->state.data;
}

/* Every value has one origin at most, and each node is the producer of what it writes. */
static int check_writers(const struct graph *graph, struct error *err)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        for (int k = 0; k < node->output_count; k++) {
            if (node->outputs[k] < 0)
                continue;
            const struct value *value = &graph->values[node->outputs[k]];
            if (value->producer != i || has_content(value))
                return error_set(err, ERROR_FORMAT, node->op->name,
                                 "node '%s' writes '%s', which something else writes already",
                                 node->name, value->name);
            for (int other = 0; other < k; other++)
                if (node->outputs[other] == node->outputs[k])
                    return error_set(err, ERROR_FORMAT, node->op->name,
                                     "node '%s' writes '%s' twice", node->name, value->name);
        }
    }
    for (int i = 0; i < graph->output_count; i++) {
        const struct value *value = &graph->values[graph->outputs[i]];
        if (value->producer < 0 && !has_content(value))
            return error_set(err, ERROR_FORMAT, "graph", "no node writes the output '%s'",
                             value->name);
    }
    return 0;
}

/* Depth first: a node is done when the producers of all its inputs are. Starting in list order
 * keeps a list that is right as it is. */
static int visit_node(const struct graph *graph, struct sorting *sorting, int first, struct error *err)
{
    sorting->stack[0] = (struct visit){ .node = first };
    sorting->state[first] = NODE_OPEN;
    sorting->depth = 1;
    while (sorting->depth > 0) {
        struct visit *at = &sorting->stack[sorting->depth - 1];
        if (at->next_input < graph->nodes[at->node].input_count) {
            int rc = visit_input(graph, sorting, at, err);
            if (rc)
                return rc;
            continue;
        }
        sorting->state[at->node] = NODE_DONE;
        sorting->order[sorting->order_count++] = at->node;
        sorting->depth--;
    }
    return 0;
}

/* Looks at the next input of a node and pushes its producer if that is new. */
static int visit_input(const struct graph *graph, struct sorting *sorting, struct visit *at,
                       struct error *err)
{
    const struct node *node = &graph->nodes[at->node];
    int index = node->inputs[at->next_input++];
    if (index < 0)
        return 0;
    const struct value *value = &graph->values[index];
    if (value->producer < 0) {
        if (!has_content(value))
            return error_set(err, ERROR_FORMAT, node->op->name,
                             "node '%s' reads '%s', which no node writes and which is neither "
                             "input, constant nor state",
                             node->name, value->name);
        return 0;
    }
    if (sorting->state[value->producer] == NODE_OPEN)
        return error_set(
            err, ERROR_FORMAT, node->op->name,
            "node '%s' is on a cycle: it needs '%s', which needs the node's own output", node->name,
            value->name);
    if (sorting->state[value->producer] == NODE_NEW) {
        sorting->state[value->producer] = NODE_OPEN;
        sorting->stack[sorting->depth++] = (struct visit){ .node = value->producer };
    }
    return 0;
}

static void reorder_nodes(struct graph *graph, const int *order, struct node *room)
{
    for (int i = 0; i < graph->node_count; i++)
        room[i] = graph->nodes[order[i]];
    for (int i = 0; i < graph->node_count; i++) {
        graph->nodes[i] = room[i];
        for (int k = 0; k < room[i].output_count; k++)
            if (room[i].outputs[k] >= 0)
                graph->values[room[i].outputs[k]].producer = i;
    }
}

/* Sets the maps to 1 for what is needed, walking back from the outputs and what states become. */
static void mark_needed(const struct graph *graph, int *node_map, int *value_map, int *stack)
{
    int depth = 0;
    for (int i = 0; i < graph->output_count + graph->state_count; i++) {
        int value = i < graph->output_count
                        ? graph->outputs[i]
                        : graph->values[graph->states[i - graph->output_count]].next;
        if (value < 0 || value_map[value])
            continue;
        value_map[value] = 1;
        stack[depth++] = value;
    }
    while (depth > 0) {
        int producer = graph->values[stack[--depth]].producer;
        if (producer < 0 || node_map[producer])
            continue;
        node_map[producer] = 1;
        const struct node *node = &graph->nodes[producer];
        for (int k = 0; k < node->output_count; k++) /* all are kept, though none is walked from */
            if (node->outputs[k] >= 0)
                value_map[node->outputs[k]] = 1;
        for (int k = 0; k < node->input_count; k++)
            if (node->inputs[k] >= 0 && !value_map[node->inputs[k]]) {
                value_map[node->inputs[k]] = 1;
                stack[depth++] = node->inputs[k];
            }
    }
    for (int i = 0; i < graph->input_count; i++)
        value_map[graph->inputs[i]] = 1;
    for (int i = 0; i < graph->state_count; i++)
        value_map[graph->states[i]] = 1;
}

static void drop_nodes(struct graph *graph, int *node_map)
{
    int kept = 0;
    for (int i = 0; i < graph->node_count; i++) {
        if (!node_map[i]) {
            node_finish(&graph->nodes[i]);
            node_map[i] = -1;
            continue;
        }
        graph->nodes[kept] = graph->nodes[i];
        node_map[i] = kept++;
    }
    graph->node_count = kept;
}

static void drop_values(struct graph *graph, int *value_map)
{
    int kept = 0;
    for (int i = 0; i < graph->value_count; i++) {
        if (!value_map[i]) {
            value_finish(&graph->values[i]);
            value_map[i] = -1;
            continue;
        }
        graph->values[kept] = graph->values[i];
        value_map[i] = kept++;
    }
    graph->value_count = kept;
}

static void renumber(struct graph *graph, const int *node_map, const int *value_map)
{
    for (int i = 0; i < graph->value_count; i++) {
        if (graph->values[i].producer >= 0)
            graph->values[i].producer = node_map[graph->values[i].producer];
        if (graph->values[i].next >= 0)
            graph->values[i].next = value_map[graph->values[i].next];
    }
    for (int i = 0; i < graph->node_count; i++) {
        struct node *node = &graph->nodes[i];
        for (int k = 0; k < node->input_count; k++)
            if (node->inputs[k] >= 0)
                node->inputs[k] = value_map[node->inputs[k]];
        for (int k = 0; k < node->output_count; k++)
            if (node->outputs[k] >= 0)
                node->outputs[k] = value_map[node->outputs[k]];
    }
    for (int i = 0; i < graph->input_count; i++)
        graph->inputs[i] = value_map[graph->inputs[i]];
    for (int i = 0; i < graph->output_count; i++)
        graph->outputs[i] = value_map[graph->outputs[i]];
    for (int i = 0; i < graph->state_count; i++)
        graph->states[i] = value_map[graph->states[i]];
}
