/* quantise: a QuantizeLinear and the DequantizeLinear behind it only round. Seen as one elementwise
 * function on f32 they can follow a convolution, and nothing is ever stored in 8 bits. */
#include "ops/op.h"
#include "passes/own_ops.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

#define LOWEST_I8 (-128)

static bool read_steps(const struct graph *graph, const struct node *node, enum tensor_type type,
                       float *step, int64_t *zero);
static int replace(struct graph *graph, int dequantise, int source, float step, int64_t lowest,
                   struct error *err);

int pass_fuse_quantise(struct graph *graph, struct error *err)
{
    for (int i = 0, count = graph->node_count; i < count; i++) {
        if (!rewrite_is_op(graph, i, "DequantizeLinear"))
            continue;
        const struct node *node = &graph->nodes[i];
        const struct value *whole = &graph->values[node->inputs[0]];
        if (!rewrite_is_op(graph, whole->producer, "QuantizeLinear"))
            continue;
        const struct node *quantise = &graph->nodes[whole->producer];
        float step, other_step;
        int64_t zero, other_zero;
        if (!read_steps(graph, quantise, whole->type, &step, &zero) ||
            !read_steps(graph, node, whole->type, &other_step, &other_zero) || step != other_step ||
            zero != other_zero)
            continue;
        int64_t lowest = (whole->type == TENSOR_I8 ? LOWEST_I8 : 0) - zero;
        int rc = replace(graph, i, quantise->inputs[0], step, lowest, err);
        if (rc)
            return rc;
    }
    return rewrite_finish(graph, err);
}

/* One scale and one zero point for the whole tensor, both known. */
static bool read_steps(const struct graph *graph, const struct node *node, enum tensor_type type,
                       float *step, int64_t *zero)
{
    *zero = 0;
    if ((type != TENSOR_U8 && type != TENSOR_I8) || !rewrite_scalar(graph, node->inputs[1], step) ||
        !(*step > 0))
        return false;
    if (node->input_count < 3 || node->inputs[2] < 0)
        return true;
    const struct tensor *constant = &graph->values[node->inputs[2]].constant;
    if (!constant->data || constant->type != type || shape_elements(&constant->shape) != 1)
        return false;
    *zero = type == TENSOR_U8 ? *(const uint8_t *)constant->data : *(const int8_t *)constant->data;
    return true;
}

static int replace(struct graph *graph, int dequantise, int source, float step, int64_t lowest,
                   struct error *err)
{
    int output = graph->nodes[dequantise].outputs[0];
    int node = graph_add_node(graph, &round_to_steps_op, graph->nodes[dequantise].name, &source, 1,
                              &output, 1, err);
    struct attribute attributes[] = {
        { .name = "step", .kind = ATTRIBUTE_FLOAT, .f = step },
        { .name = "lowest", .kind = ATTRIBUTE_FLOAT, .f = (float)lowest },
    };
    for (size_t a = 0; node >= 0 && a < sizeof attributes / sizeof *attributes; a++) {
        int rc = graph_add_attribute(graph, node, &attributes[a], err);
        if (rc < 0)
            return rc;
    }
    return node < 0 ? node : 0;
}
