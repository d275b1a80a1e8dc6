/* graph: building, copying and printing. Values and nodes are plain arrays and refer to each other by
 * index, so a copy is a copy of the arrays and nothing dangles when they grow. */
#include "graph/graph.h"
#include "graph/parts.h"
#include "ops/op.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 64

static int out_of_memory(struct error *err);
static int grow(void **items, int *capacity, int count, int limit, size_t item_bytes,
                const char *what, struct error *err);
static int append_index(int **list, int *count, int index, struct error *err);
static int copy_held(struct value *copy, const struct value *from, struct error *err);
static int copy_tensor(struct tensor *copy, const struct tensor *from, struct error *err);
static void print_value(const struct graph *graph, int index, FILE *out);

int graph_create(struct graph **graph, struct error *err)
{
    struct graph *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return out_of_memory(err);
    *graph = fresh;
    return 0;
}

void graph_free(struct graph **graph)
{
    struct graph *old = *graph;
    *graph = NULL;
    if (!old || __atomic_fetch_sub(&old->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; i < old->node_count; i++)
        node_finish(&old->nodes[i]);
    for (int i = 0; i < old->value_count; i++)
        value_finish(&old->values[i]);
    free(old->nodes);
    free(old->values);
    free(old->inputs);
    free(old->outputs);
    free(old->states);
    free(old);
}

void value_finish(struct value *value)
{
    free(value->name);
    free(value->size_names);
    tensor_free(&value->constant);
    tensor_free(&value->state);
    *value = (struct value){ .producer = -1, .next = -1 };
}

void node_finish(struct node *node)
{
    for (size_t i = 0; i < node->attribute_count; i++)
        attribute_finish(&node->attributes[i]);
    free(node->attributes);
    free(node->name);
    free(node->inputs);
    free(node->outputs);
    *node = (struct node){ 0 };
}

int graph_clone(struct graph **copy, const struct graph *graph, struct error *err)
{
    struct graph *fresh = NULL;
    int rc = graph_create(&fresh, err);
    if (rc)
        return rc;
    fresh->opset = graph->opset;
    for (int i = 0; i < graph->value_count; i++) {
        const struct value *from = &graph->values[i];
        rc = graph_add_value(fresh, from->name, from->type, &from->shape, err);
        if (rc < 0)
            goto fail;
        rc = copy_held(&fresh->values[i], from, err);
        if (rc)
            goto fail;
        if (from->size_names && !(fresh->values[i].size_names = strdup(from->size_names))) {
            rc = out_of_memory(err);
            goto fail;
        }
    }
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *from = &graph->nodes[i];
        rc = graph_add_node(fresh, from->op, from->name, from->inputs, from->input_count,
                            from->outputs, from->output_count, err);
        if (rc < 0)
            goto fail;
        for (size_t a = 0; a < from->attribute_count; a++)
            if ((rc = graph_add_attribute(fresh, i, &from->attributes[a], err)) < 0)
                goto fail;
    }
    /* A value that two nodes write (a pass at work) keeps the producer it had. */
    for (int i = 0; i < graph->value_count; i++) {
        fresh->values[i].producer = graph->values[i].producer;
        fresh->values[i].next = graph->values[i].next;
    }
    for (int i = 0; i < graph->state_count; i++)
        if ((rc = append_index(&fresh->states, &fresh->state_count, graph->states[i], err)) < 0)
            goto fail;
    for (int i = 0; i < graph->input_count; i++)
        if ((rc = graph_mark_input(fresh, graph->inputs[i], err)) < 0)
            goto fail;
    for (int i = 0; i < graph->output_count; i++)
        if ((rc = graph_mark_output(fresh, graph->outputs[i], err)) < 0)
            goto fail;
    *copy = fresh;
    return 0;
fail:
    graph_free(&fresh);
    return rc;
}

int graph_add_value(struct graph *graph, const char *name, enum tensor_type type,
                    const struct shape *shape, struct error *err)
{
    /* Before the values move: it may be one of theirs. */
    struct shape known = shape ? *shape : (struct shape){ .rank = -1 };
    int rc = grow((void **)&graph->values, &graph->value_capacity, graph->value_count,
                  GRAPH_VALUES_MAX, sizeof *graph->values, "values", err);
    if (rc)
        return rc;
    char *copy = strdup(name ? name : "");
    if (!copy)
        return out_of_memory(err);
    graph->values[graph->value_count] = (struct value){
        .name = copy,
        .type = type,
        .shape = known,
        .producer = -1,
        .next = -1,
    };
    return graph->value_count++;
}

int graph_add_constant(struct graph *graph, const char *name, struct tensor *tensor, struct error *err)
{
    assert(tensor->data);
    int index = graph_add_value(graph, name, tensor->type, &tensor->shape, err);
    if (index < 0)
        return index;
    graph->values[index].constant = *tensor;
    *tensor = (struct tensor){ 0 };
    return index;
}

int graph_add_node(struct graph *graph, const struct op *op, const char *name, const int *inputs,
                   int input_count, const int *outputs, int output_count, struct error *err)
{
    assert(op && input_count >= 0 && output_count >= 0);
    int most = op->has_bodies ? GRAPH_BODY_INPUTS_MAX : GRAPH_NODE_INPUTS_MAX;
    if (input_count > most || output_count > GRAPH_NODE_INPUTS_MAX)
        return error_set(err, ERROR_LIMIT, op->name,
                         "%d inputs and %d outputs; at most %d and %d are supported", input_count,
                         output_count, most, GRAPH_NODE_INPUTS_MAX);
    int rc = grow((void **)&graph->nodes, &graph->node_capacity, graph->node_count, GRAPH_NODES_MAX,
                  sizeof *graph->nodes, "nodes", err);
    if (rc)
        return rc;
    struct node node = {
        .op = op,
        .name = strdup(name ? name : ""),
        .input_count = input_count,
        .output_count = output_count,
        .inputs = calloc((size_t)input_count + 1, sizeof *node.inputs),
        .outputs = calloc((size_t)output_count + 1, sizeof *node.outputs),
    };
    if (!node.name || !node.inputs || !node.outputs) {
        node_finish(&node);
        return out_of_memory(err);
    }
    for (int i = 0; i < input_count; i++) {
        assert(inputs[i] >= -1 && inputs[i] < graph->value_count);
        node.inputs[i] = inputs[i];
    }
    for (int i = 0; i < output_count; i++) {
        assert(outputs[i] >= -1 && outputs[i] < graph->value_count);
        node.outputs[i] = outputs[i];
        if (outputs[i] >= 0)
            graph->values[outputs[i]].producer = graph->node_count;
    }
    graph->nodes[graph->node_count] = node;
    return graph->node_count++;
}

int graph_mark_input(struct graph *graph, int value, struct error *err)
{
    assert(value >= 0 && value < graph->value_count);
    int rc = append_index(&graph->inputs, &graph->input_count, value, err);
    if (rc >= 0)
        graph->values[value].is_input = true;
    return rc;
}

int graph_mark_output(struct graph *graph, int value, struct error *err)
{
    assert(value >= 0 && value < graph->value_count);
    int rc = append_index(&graph->outputs, &graph->output_count, value, err);
    if (rc >= 0)
        graph->values[value].is_output = true;
    return rc;
}

int graph_mark_state(struct graph *graph, int constant, struct error *err)
{
    assert(constant >= 0 && constant < graph->value_count);
    struct value *value = &graph->values[constant];
    assert(value->constant.data);
    int rc = append_index(&graph->states, &graph->state_count, constant, err);
    if (rc < 0)
        return rc;
    value->state = value->constant;
    value->constant = (struct tensor){ 0 };
    return 0;
}

void graph_set_next(struct graph *graph, int state, int next)
{
    assert(graph->values[state].state.data && !graph->values[next].state.data);
    assert(graph->values[state].type == graph->values[next].type &&
           shape_equal(&graph->values[state].shape, &graph->values[next].shape));
    graph->values[state].next = next;
}

int graph_count_op(const struct graph *graph, const char *op)
{
    int count = 0;
    for (int i = 0; i < graph->node_count; i++)
        count += strcmp(graph->nodes[i].op->name, op) == 0;
    return count;
}

void graph_print(const struct graph *graph, FILE *out)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        fprintf(out, "%4d %s '%s' (", i, node->op->name, node->name);
        for (int k = 0; k < node->input_count; k++) {
            fputs(k ? ", " : "", out);
            print_value(graph, node->inputs[k], out);
        }
        fputs(") -> ", out);
        for (int k = 0; k < node->output_count; k++) {
            fputs(k ? ", " : "", out);
            print_value(graph, node->outputs[k], out);
        }
        fputc('\n', out);
    }
}

static void print_value(const struct graph *graph, int index, FILE *out)
{
    if (index < 0) {
        fputc('-', out);
        return;
    }
    const struct value *value = &graph->values[index];
    char shape[128];
    shape_format(&value->shape, shape, sizeof shape);
    fprintf(out, "%s%s %s %s", value->constant.data ? "=" : value->state.data ? "~" : "", value->name,
            tensor_type_word(value->type), shape);
}

static int out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "graph", "no memory left");
}

/* Makes room for one more item. */
static int grow(void **items, int *capacity, int count, int limit, size_t item_bytes,
                const char *what, struct error *err)
{
    if (count >= limit)
        return error_set(err, ERROR_LIMIT, "graph", "more than %d %s", limit, what);
    if (count < *capacity)
        return 0;
    int wanted = *capacity ? *capacity * 2 : CAPACITY_FIRST;
    void *more = realloc(*items, (size_t)wanted * item_bytes);
    if (!more)
        return out_of_memory(err);
    *items = more;
    *capacity = wanted;
    return 0;
}

static int append_index(int **list, int *count, int index, struct error *err)
{
    int *more = realloc(*list, ((size_t)*count + 1) * sizeof **list);
    if (!more)
        return out_of_memory(err);
    *list = more;
    more[*count] = index;
    return (*count)++;
}

/* What a value holds before anything has run. */
static int copy_held(struct value *copy, const struct value *from, struct error *err)
{
    int rc = from->constant.data ? copy_tensor(&copy->constant, &from->constant, err) : 0;
    if (!rc && from->state.data)
        rc = copy_tensor(&copy->state, &from->state, err);
    return rc;
}

static int copy_tensor(struct tensor *copy, const struct tensor *from, struct error *err)
{
    int rc = tensor_create(copy, from->type, &from->shape, err);
    if (rc)
        return rc;
    memcpy(copy->data, from->data, tensor_bytes(from));
    return 0;
}
