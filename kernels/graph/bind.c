/* bind: inputs whose values decide shapes. Inference says what it asked for in vain; from there the way back
 * leads to the graph's inputs. These become constants of a copy, and folding does the rest. */
#include "graph/graph.h"
#include "graph/parts.h"
#include "ops/op.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int infer_bound(struct graph **inferred, const struct graph *graph,
                       const struct tensor *const *inputs, const bool *bound, bool *deciding,
                       struct error *err);
static bool bind_one_more(const struct graph *graph, const struct tensor *const *inputs,
                          const bool *deciding, bool *bound, struct error *err);
static void find_deciding(const struct graph *graph, bool *deciding);
static void mark_input(const struct graph *graph, int value, bool *deciding);

int graph_bind_input(struct graph *graph, int input, const struct tensor *tensor, struct error *err)
{
    assert(input >= 0 && input < graph->input_count);
    struct value *value = &graph->values[graph->inputs[input]];
    if (tensor->type != value->type)
        return error_set(err, ERROR_FORMAT, value->name, "%s given, %s wanted",
                         tensor_type_word(tensor->type), tensor_type_word(value->type));
    if (value->shape.rank >= 0 && value->shape.rank != tensor->shape.rank)
        return error_set(err, ERROR_FORMAT, value->name, "the input has %d dimensions, not %d",
                         value->shape.rank, tensor->shape.rank);
    int rc = tensor_create(&value->constant, tensor->type, &tensor->shape, err);
    if (rc)
        return rc;
    memcpy(value->constant.data, tensor->data, tensor_bytes(tensor));
    value->shape = tensor->shape;
    value->is_input = false;
    graph->input_count--;
    for (int i = input; i < graph->input_count; i++)
        graph->inputs[i] = graph->inputs[i + 1];
    return 0;
}

int graph_infer_for(struct graph **inferred, const struct graph *graph,
                    const struct tensor *const *inputs, bool *bound, struct error *err)
{
    bool *deciding = calloc((size_t)graph->input_count + 1, sizeof *deciding);
    if (!deciding)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    int rc = 0;
    do { /* each time round binds an input that was not */
        rc = infer_bound(inferred, graph, inputs, bound, deciding, err);
    } while (rc && bind_one_more(graph, inputs, deciding, bound, err));
    free(deciding);
    return rc;
}

/* deciding is of the whole graph's inputs. */
static int infer_bound(struct graph **inferred, const struct graph *graph,
                       const struct tensor *const *inputs, const bool *bound, bool *deciding,
                       struct error *err)
{
    size_t count = (size_t)graph->input_count + 1;
    struct graph *copy = NULL;
    struct shape *shapes = calloc(count, sizeof *shapes);
    bool *left_deciding = calloc(count, sizeof *left_deciding);
    int rc = shapes && left_deciding ? graph_clone(&copy, graph, err)
                                     : error_set(err, ERROR_MEMORY, "graph", "no memory left");
    int left = 0;
    for (int i = 0; !rc && i < graph->input_count; i++) {
        if (bound[i])
            rc = graph_bind_input(copy, left, inputs[i], err);
        else
            shapes[left++] = inputs[i]->shape;
    }
    if (!rc && (rc = graph_infer(copy, shapes, err)))
        find_deciding(copy, left_deciding);
    left = 0;
    for (int i = 0; rc && copy && i < graph->input_count; i++)
        if (!bound[i])
            deciding[i] = left_deciding[left++];
    free(shapes);
    free(left_deciding);
    if (rc)
        graph_free(&copy);
    else
        *inferred = copy;
    return rc;
}

/* The smallest first: a rule may have asked for more than it needs. False, and err goes on saying what failed,
 * when there is none. */
static bool bind_one_more(const struct graph *graph, const struct tensor *const *inputs,
                          const bool *deciding, bool *bound, struct error *err)
{
    int smallest = -1;
    for (int i = 0; i < graph->input_count; i++)
        if (deciding[i] && !bound[i] &&
            (smallest < 0 || tensor_bytes(inputs[i]) < tensor_bytes(inputs[smallest])))
            smallest = i;
    if (smallest < 0)
        return false;
    if (tensor_bytes(inputs[smallest]) > GRAPH_BOUND_BYTES_MAX) {
        if (err)
            error_wrap(
                err, "a shape depends on the values of input '%.100s', which is too large for that",
                graph->values[graph->inputs[smallest]].name);
        return false;
    }
    bound[smallest] = true;
    return true;
}

/* From what inference asked for back to the inputs that it is computed from. */
static void find_deciding(const struct graph *graph, bool *deciding)
{
    size_t count = (size_t)graph->value_count + 1;
    int *stack = calloc(count, sizeof *stack), depth = 0;
    bool *seen = calloc(count, sizeof *seen);
    for (int i = 0; stack && seen && i < graph->value_count; i++)
        if (graph->values[i].asked) {
            seen[i] = true;
            stack[depth++] = i;
        }
    while (depth > 0) {
        int value = stack[--depth], producer = graph->values[value].producer;
        if (graph->values[value].is_input)
            mark_input(graph, value, deciding);
        if (producer < 0)
            continue;
        const struct node *from = &graph->nodes[producer];
        for (int k = 0; k < from->input_count; k++)
            if (from->inputs[k] >= 0 && !seen[from->inputs[k]]) {
                seen[from->inputs[k]] = true;
                stack[depth++] = from->inputs[k];
            }
    }
    free(stack);
    free(seen);
}

static void mark_input(const struct graph *graph, int value, bool *deciding)
{
    for (int i = 0; i < graph->input_count; i++)
        if (graph->inputs[i] == value)
            deciding[i] = true;
}
