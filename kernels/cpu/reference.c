/* reference: runs the op table's own kernel as a step, on row-major arrays. Right for every op, and
 * fast enough for the many that touch little data. */
#include "cpu/build.h"
#include <stdlib.h>

struct reference_state {
    const struct node *node;
    struct tensor in[GRAPH_NODE_INPUTS_MAX], out[GRAPH_NODE_INPUTS_MAX];
    const struct tensor *in_list[GRAPH_NODE_INPUTS_MAX]; /* NULL for absent ones */
    struct tensor *out_list[GRAPH_NODE_INPUTS_MAX];
};

static int run_reference(const struct cpu_step *step, struct error *err);

int build_reference(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *places[2 * GRAPH_NODE_INPUTS_MAX];
    int count = 0;
    struct reference_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->node = node;
    for (int k = 0; k < node->input_count; k++) {
        if (node->inputs[k] < 0)
            continue;
        int rc = build_want_dense(build, node->inputs[k], &places[count++], err);
        if (rc) {
            free(state);
            return rc;
        }
        const struct value *value = build_info(build, node->inputs[k]);
        state->in[k] = (struct tensor){ .type = value->type, .shape = value->shape };
        state->in_list[k] = &state->in[k];
    }
    for (int k = 0; k < node->output_count; k++) {
        if (node->outputs[k] < 0)
            continue;
        const struct value *value = build_info(build, node->outputs[k]);
        struct layout layout = layout_dense(value->type, &value->shape);
        int rc = build_output(build, node->outputs[k], &layout, &places[count++], err);
        if (rc) {
            free(state);
            return rc;
        }
        state->out[k] = (struct tensor){ .type = value->type, .shape = value->shape };
        state->out_list[k] = &state->out[k];
    }
    return build_c_step(build, "reference", run_reference, state, places, count, err);
}

static int run_reference(const struct cpu_step *step, struct error *err)
{
    struct reference_state *state = step->state;
    const struct node *node = state->node;
    int at = 0;
    for (int k = 0; k < node->input_count; k++)
        if (state->in_list[k])
            state->in[k].data = step->places[at++]->data;
    for (int k = 0; k < node->output_count; k++)
        if (state->out_list[k])
            state->out[k].data = step->places[at++]->data;
    int rc = node->op->reference(node, state->in_list, state->out_list, err);
    return rc ? error_wrap(err, "node '%s'", node->name) : 0;
}
