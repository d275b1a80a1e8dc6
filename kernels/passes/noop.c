/* noop: drops nodes that hand their input on unchanged, so that other passes see who really feeds
 * whom. A node that writes an output of the graph stays: its name is what the caller asks for. */
#include "ops/op.h"
#include "passes/pass.h"
#include "passes/rewrite.h"
#include <string.h>

static bool is_noop(const struct graph *graph, const struct node *node);
static bool all_zero(const struct graph *graph, int value);

int pass_drop_noop(struct graph *graph, struct error *err)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        if (is_noop(graph, node))
            rewrite_redirect(graph, node->outputs[0], node->inputs[0]);
    }
    return rewrite_finish(graph, err);
}

static bool is_noop(const struct graph *graph, const struct node *node)
{
    /* Equal shapes mean equal content for these. */
    static const char *const by_shape[] = { "Identity",  "Dropout", "Reshape", "Squeeze",
                                            "Unsqueeze", "Flatten", "Expand",  "Tile",
                                            "Concat",    "Split" };
    if (node->input_count < 1 || node->inputs[0] < 0 || node->outputs[0] < 0)
        return false;
    for (int k = 1; k < node->output_count; k++)
        if (node->outputs[k] >= 0)
            return false;
    const struct value *in = &graph->values[node->inputs[0]];
    const struct value *out = &graph->values[node->outputs[0]];
    if (out->is_output || in->type != out->type || !shape_equal(&in->shape, &out->shape))
        return false;

    const char *name = node->op->name;
    for (size_t i = 0; i < sizeof by_shape / sizeof *by_shape; i++)
        if (strcmp(name, by_shape[i]) == 0)
            return true;
    if (strcmp(name, "Cast") == 0)
        return true;
    if (strcmp(name, "Transpose") == 0) {
        const int64_t *perm = NULL;
        size_t count = node_ints(node, "perm", &perm);
        for (size_t i = 0; i < count; i++)
            if (perm[i] != (int64_t)i)
                return false;
        return count > 0 || in->shape.rank < 2;
    }
    if (strcmp(name, "Pad") == 0) {
        const int64_t *pads = NULL;
        size_t count = node_ints(node, "pads", &pads);
        for (size_t i = 0; i < count; i++)
            if (pads[i] != 0)
                return false;
        return count > 0 || (node->input_count > 1 && all_zero(graph, node->inputs[1]));
    }
    return false;
}

static bool all_zero(const struct graph *graph, int value)
{
    if (value < 0 || !graph->values[value].constant.data)
        return false;
    const unsigned char *bytes = graph->values[value].constant.data;
    for (uint64_t i = 0, count = tensor_bytes(&graph->values[value].constant); i < count; i++)
        if (bytes[i])
            return false;
    return true;
}
