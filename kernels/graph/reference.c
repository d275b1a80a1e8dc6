/* reference: an interpreter, node by node. A value's memory goes back after its last reader. */
#include "graph/reference.h"
#include "ops/op.h"
#include <stdlib.h>
#include <string.h>

/* What a value holds while the graph runs. */
struct slot {
    struct tensor tensor;
    int readers_left; /* nodes, and one more for a graph output and a state's next */
    bool owned;       /* not an input, a constant or a state */
};

static int fill_slots(const struct graph *graph, const struct tensor *const *inputs,
                      struct slot *slots, struct error *err);
static int run_node(const struct graph *graph, const struct node *node, struct slot *slots,
                    struct error *err);
static void release(struct slot *slot);
static void renew_states(struct graph *graph, struct slot *slots);
static int hand_over(const struct graph *graph, struct slot *slots, struct tensor *outputs,
                     struct error *err);

int graph_run_reference(struct graph *graph, const struct tensor *const *inputs,
                        struct tensor *outputs, struct error *err)
{
    struct slot *slots = calloc((size_t)graph->value_count + 1, sizeof *slots);
    if (!slots)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    int rc = fill_slots(graph, inputs, slots, err);
    for (int i = 0; i < graph->node_count && !rc; i++)
        rc = run_node(graph, &graph->nodes[i], slots, err);
    if (!rc)
        rc = hand_over(graph, slots, outputs, err); /* also what states held before the run */
    if (!rc)
        renew_states(graph, slots);
    for (int i = 0; i < graph->value_count; i++)
        if (slots[i].owned)
            tensor_free(&slots[i].tensor);
    free(slots);
    return rc;
}

static int fill_slots(const struct graph *graph, const struct tensor *const *inputs,
                      struct slot *slots, struct error *err)
{
    for (int i = 0; i < graph->value_count; i++)
        slots[i].tensor =
            graph->values[i].state.data ? graph->values[i].state : graph->values[i].constant;
    for (int i = 0; i < graph->input_count; i++) {
        const struct value *value = &graph->values[graph->inputs[i]];
        if (inputs[i]->type != value->type || !shape_equal(&inputs[i]->shape, &value->shape)) {
            char given[128], wanted[128];
            shape_format(&inputs[i]->shape, given, sizeof given);
            shape_format(&value->shape, wanted, sizeof wanted);
            return error_set(err, ERROR_FORMAT, value->name, "%s of %s given, %s of %s wanted",
                             given, tensor_type_word(inputs[i]->type), wanted,
                             tensor_type_word(value->type));
        }
        slots[graph->inputs[i]].tensor = *inputs[i];
    }
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            if (graph->nodes[i].inputs[k] >= 0)
                slots[graph->nodes[i].inputs[k]].readers_left++;
    for (int i = 0; i < graph->output_count; i++)
        slots[graph->outputs[i]].readers_left++;
    for (int i = 0; i < graph->state_count; i++)
        if (graph->values[graph->states[i]].next >= 0)
            slots[graph->values[graph->states[i]].next].readers_left++;
    return 0;
}

static int run_node(const struct graph *graph, const struct node *node, struct slot *slots,
                    struct error *err)
{
    const struct tensor *in[GRAPH_NODE_INPUTS_MAX] = { NULL };
    struct tensor *out[GRAPH_NODE_INPUTS_MAX] = { NULL };
    for (int k = 0; k < node->input_count; k++)
        if (node->inputs[k] >= 0)
            in[k] = &slots[node->inputs[k]].tensor;
    int rc = 0;
    for (int k = 0; k < node->output_count && !rc; k++) {
        if (node->outputs[k] < 0)
            continue;
        const struct value *value = &graph->values[node->outputs[k]];
        struct slot *slot = &slots[node->outputs[k]];
        rc = tensor_create(&slot->tensor, value->type, &value->shape, err);
        slot->owned = !rc;
        out[k] = &slot->tensor;
    }
    if (!rc)
        rc = node->op->reference(node, in, out, err);
    if (rc)
        return rc;
    for (int k = 0; k < node->input_count; k++)
        if (node->inputs[k] >= 0 && --slots[node->inputs[k]].readers_left == 0)
            release(&slots[node->inputs[k]]);
    for (int k = 0; k < node->output_count; k++)
        if (node->outputs[k] >= 0 && slots[node->outputs[k]].readers_left == 0)
            release(&slots[node->outputs[k]]);
    return 0;
}

static void release(struct slot *slot)
{
    if (slot->owned)
        tensor_free(&slot->tensor);
    slot->owned = false;
}

static void renew_states(struct graph *graph, struct slot *slots)
{
    for (int i = 0; i < graph->state_count; i++) {
        struct value *state = &graph->values[graph->states[i]];
        if (state->next < 0)
            continue;
        memcpy(state->state.data, slots[state->next].tensor.data, tensor_bytes(&state->state));
    }
}

/* Moves what the graph made; copies what others own or what is an output twice. */
static int hand_over(const struct graph *graph, struct slot *slots, struct tensor *outputs,
                     struct error *err)
{
    for (int i = 0; i < graph->output_count; i++) {
        struct slot *slot = &slots[graph->outputs[i]];
        if (slot->owned && --slot->readers_left == 0) {
            outputs[i] = slot->tensor;
            slot->owned = false;
            continue;
        }
        int rc = tensor_create(&outputs[i], slot->tensor.type, &slot->tensor.shape, err);
        if (rc) {
            while (--i >= 0)
                tensor_free(&outputs[i]);
            return rc;
        }
        memcpy(outputs[i].data, slot->tensor.data, tensor_bytes(&slot->tensor));
    }
    return 0;
}
