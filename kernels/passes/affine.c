/* affine: y = scale * conv(x) + shift, per channel, is a convolution with other weights. Computed in
 * double, once, when the plan is made. */
#include "ops/op.h"
#include "passes/pass.h"
#include "passes/rewrite.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL_AXIS 1

struct affine {
    double *scale, *shift; /* of each channel */
    int64_t channels;
};

static int affine_create(struct affine *affine, int64_t channels, struct error *err);
static void affine_free(struct affine *affine);
static int fold_chain(struct graph *graph, const struct rewrite_uses *uses, int conv,
                      struct error *err);
static bool read_affine(const struct graph *graph, int node, int value, struct affine *affine);
static bool read_norm(const struct graph *graph, const struct node *node, struct affine *affine);
static bool read_arithmetic(const struct graph *graph, const struct node *node, int value,
                            struct affine *affine);
static int scale_weights(struct graph *graph, int conv, const struct affine *affine,
                         struct error *err);
static int shift_bias(struct graph *graph, int conv, const struct affine *affine, struct error *err);
static int lower_norm(struct graph *graph, int norm, struct error *err);
static int add_channel_node(struct graph *graph, const char *op, const char *name, int input,
                            const double *numbers, int64_t channels, int output, struct error *err);

int pass_fold_affine(struct graph *graph, struct error *err)
{
    struct rewrite_uses uses;
    int rc = rewrite_take_uses(&uses, graph, err);
    for (int i = 0, count = graph->node_count; !rc && i < count; i++)
        if (rewrite_is_op(graph, i, "Conv") || rewrite_is_op(graph, i, "ConvTranspose"))
            rc = fold_chain(graph, &uses, i, err);
    rewrite_free_uses(&uses);
    if (!rc)
        rc = rewrite_finish(graph, err);
    for (int i = 0, count = graph->node_count; !rc && i < count; i++)
        if (rewrite_is_op(graph, i, "BatchNormalization"))
            rc = lower_norm(graph, i, err);
    return rc ? rc : rewrite_finish(graph, err);
}

static int affine_create(struct affine *affine, int64_t channels, struct error *err)
{
    *affine = (struct affine){
        .scale = calloc((size_t)channels + 1, sizeof *affine->scale),
        .shift = calloc((size_t)channels + 1, sizeof *affine->shift),
        .channels = channels,
    };
    if (affine->scale && affine->shift)
        return 0;
    affine_free(affine);
    return error_set(err, ERROR_MEMORY, "pass", "no memory left");
}

static void affine_free(struct affine *affine)
{
    free(affine->scale);
    free(affine->shift);
    *affine = (struct affine){ 0 };
}

/* Folds what follows conv for as long as it is affine and nobody else reads in between. */
static int fold_chain(struct graph *graph, const struct rewrite_uses *uses, int conv,
                      struct error *err)
{
    const struct node *node = &graph->nodes[conv];
    if (node->input_count < 2 || !rewrite_constant(graph, node->inputs[1]) ||
        (node->input_count > 2 && node->inputs[2] >= 0 && !rewrite_constant(graph, node->inputs[2])))
        return 0;
    int value = node->outputs[0];
    struct affine affine;
    int rc = affine_create(&affine, graph->values[value].shape.dim[CHANNEL_AXIS], err);
    if (rc)
        return rc;
    for (;;) {
        int reader = rewrite_only_reader(graph, uses, value);
        if (reader < 0 || !read_affine(graph, reader, value, &affine))
            break;
        value = graph->nodes[reader].outputs[0];
        if ((rc = scale_weights(graph, conv, &affine, err)) ||
            (rc = shift_bias(graph, conv, &affine, err)))
            break;
        rewrite_set_output(graph, conv, 0, value);
    }
    affine_free(&affine);
    return rc;
}

/* True when node is value * scale + shift. */
static bool read_affine(const struct graph *graph, int node, int value, struct affine *affine)
{
    const struct node *reader = &graph->nodes[node];
    const struct value *in = &graph->values[value];
    if (reader->output_count < 1 || in->type != TENSOR_F32 || in->shape.rank <= CHANNEL_AXIS ||
        in->shape.dim[CHANNEL_AXIS] != affine->channels ||
        !shape_equal(&in->shape, &graph->values[reader->outputs[0]].shape))
        return false;
    if (rewrite_is_op(graph, node, "BatchNormalization"))
        return reader->inputs[0] == value && read_norm(graph, reader, affine);
    return reader->input_count == 2 && read_arithmetic(graph, reader, value, affine);
}

static bool read_norm(const struct graph *graph, const struct node *node, struct affine *affine)
{
    const float *numbers[5] = { 0 };
    if (node->input_count != 5 || node_int(node, "training_mode", 0))
        return false;
    for (int k = 1; k < node->output_count; k++)
        if (node->outputs[k] >= 0)
            return false;
    for (int k = 1; k < 5; k++) {
        numbers[k] = rewrite_constant(graph, node->inputs[k]);
        if (!numbers[k] || shape_elements(&graph->values[node->inputs[k]].shape) != affine->channels)
            return false;
    }
    double epsilon = node_float(node, "epsilon", 1e-5f);
    for (int64_t c = 0; c < affine->channels; c++) {
        affine->scale[c] = numbers[1][c] / sqrt(numbers[4][c] + epsilon);
        affine->shift[c] = numbers[2][c] - numbers[3][c] * affine->scale[c];
    }
    return true;
}

/* Mul, Div, Add and Sub with a constant of one number, or one per channel. */
static bool read_arithmetic(const struct graph *graph, const struct node *node, int value,
                            struct affine *affine)
{
    bool first = node->inputs[0] == value;
    int operand = node->inputs[first ? 1 : 0];
    const float *numbers = rewrite_constant(graph, operand);
    if (!numbers)
        return false;
    const struct shape *shape = &graph->values[operand].shape;
    int rank = graph->values[value].shape.rank;
    bool per_channel = false;
    for (int o = shape->rank - 1, d = rank - 1; o >= 0; o--, d--) {
        if (shape->dim[o] == 1)
            continue;
        if (d != CHANNEL_AXIS)
            return false;
        per_channel = true;
    }
    for (int64_t c = 0; c < affine->channels; c++) {
        double number = numbers[per_channel ? c : 0];
        double *scale = &affine->scale[c], *shift = &affine->shift[c];
        if (strcmp(node->op->name, "Mul") == 0)
            *scale = number, *shift = 0;
        else if (strcmp(node->op->name, "Add") == 0)
            *scale = 1, *shift = number;
        else if (strcmp(node->op->name, "Sub") == 0)
            *scale = first ? 1 : -1, *shift = first ? -number : number;
        else if (strcmp(node->op->name, "Div") == 0 && first)
            *scale = 1 / number, *shift = 0;
        else
            return false;
    }
    return true;
}

/* Weights are [out][in/group]... for Conv and [in][out/group]... for ConvTranspose. */
static int scale_weights(struct graph *graph, int conv, const struct affine *affine, struct error *err)
{
    int old = graph->nodes[conv].inputs[1];
    struct shape shape = graph->values[old].shape;
    float *data;
    int fresh = rewrite_add_constant(graph, graph->values[old].name, &shape, &data, err);
    if (fresh < 0)
        return fresh;
    const float *from = rewrite_constant(graph, old);
    int64_t kernel = 1, in_group_size = shape.dim[0] / node_int(&graph->nodes[conv], "group", 1);
    for (int d = 2; d < shape.rank; d++)
        kernel *= shape.dim[d];
    bool transposed = rewrite_is_op(graph, conv, "ConvTranspose");
    for (int64_t a = 0; a < shape.dim[0]; a++)
        for (int64_t b = 0; b < shape.dim[1]; b++) {
            int64_t channel = transposed ? a / in_group_size * shape.dim[1] + b : a;
            int64_t at = (a * shape.dim[1] + b) * kernel;
            for (int64_t k = 0; k < kernel; k++)
                data[at + k] = (float)(from[at + k] * affine->scale[channel]);
        }
    graph->nodes[conv].inputs[1] = fresh;
    return 0;
}

static int shift_bias(struct graph *graph, int conv, const struct affine *affine, struct error *err)
{
    struct node *node = &graph->nodes[conv];
    int old = node->input_count > 2 ? node->inputs[2] : -1;
    struct shape shape = { .rank = 1, .dim = { affine->channels } };
    float *data;
    int fresh = rewrite_add_constant(graph, node->name, &shape, &data, err);
    if (fresh < 0)
        return fresh;
    const float *from = rewrite_constant(graph, old);
    for (int64_t c = 0; c < affine->channels; c++)
        data[c] = (float)((from ? from[c] : 0) * affine->scale[c] + affine->shift[c]);
    if (node->input_count < 3) {
        int *inputs = realloc(node->inputs, 3 * sizeof *inputs);
        if (!inputs)
            return error_set(err, ERROR_MEMORY, "pass", "no memory left");
        node->inputs = inputs;
        node->input_count = 3;
    }
    node->inputs[2] = fresh;
    return 0;
}

/* What no convolution could take becomes a multiplication and an addition. */
static int lower_norm(struct graph *graph, int norm, struct error *err)
{
    int input = graph->nodes[norm].inputs[0], output = graph->nodes[norm].outputs[0];
    const struct value *in = &graph->values[input];
    if (in->shape.rank <= CHANNEL_AXIS || in->type != TENSOR_F32)
        return 0;
    struct affine affine;
    int rc = affine_create(&affine, in->shape.dim[CHANNEL_AXIS], err);
    if (rc)
        return rc;
    if (read_norm(graph, &graph->nodes[norm], &affine)) {
        struct shape shape = in->shape;
        int scaled = graph_add_value(graph, graph->nodes[norm].name, TENSOR_F32, &shape, err);
        rc = scaled;
        if (rc >= 0)
            rc = add_channel_node(graph, "Mul", graph->nodes[norm].name, input, affine.scale,
                                  affine.channels, scaled, err);
        if (rc >= 0)
            rc = add_channel_node(graph, "Add", graph->nodes[norm].name, scaled, affine.shift,
                                  affine.channels, output, err);
    }
    affine_free(&affine);
    return rc < 0 ? rc : 0;
}

/* output = input op numbers, which run along the channels. */
static int add_channel_node(struct graph *graph, const char *op, const char *name, int input,
                            const double *numbers, int64_t channels, int output, struct error *err)
{
    struct shape shape = { .rank = graph->values[input].shape.rank };
    for (int d = 0; d < shape.rank; d++)
        shape.dim[d] = d == CHANNEL_AXIS ? channels : 1;
    float *data;
    int constant = rewrite_add_constant(graph, name, &shape, &data, err);
    if (constant < 0)
        return constant;
    for (int64_t c = 0; c < channels; c++)
        data[c] = (float)numbers[c];
    int inputs[] = { input, constant };
    return graph_add_node(graph, op_find(op, graph->opset), name, inputs, 2, &output, 1, err);
}
