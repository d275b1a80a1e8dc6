/* quantise_product: Conv, MatMul and Gemm with constant weights become conv_int8 and matmul_int8. Their
 * biases are counted in steps of both scales: what is rounded there is far below a step of the output. */
#include "passes/quantise.h"
#include <math.h>
#include <string.h>

static bool find_weights(const struct graph *graph, int value, int axis, struct quantised *weights);
static int make_bias(struct graph *graph, int value, const struct quantised *in,
                     const struct quantised *weights, int64_t channels, int *bias, struct error *err);
static int read_numbers(const struct graph *graph, int value, struct tensor *numbers,
                        struct error *err);
static bool count_steps(const struct graph *graph, const struct tensor *numbers,
                        const struct quantised *in, const struct quantised *weights,
                        struct tensor *steps);
static int turn_weights(struct graph *graph, struct quantised *weights, struct error *err);
static int add_product(struct quantise_pass *pass, const char *op, int node, struct quantised *in,
                       struct quantised *weights, int bias, struct quantise_end *end,
                       struct error *err);

int quantise_conv(struct quantise_pass *pass, int node, struct error *err)
{
    struct graph *graph = pass->graph;
    const struct node *conv = &graph->nodes[node];
    struct quantised in, weights;
    struct quantise_end end;
    if (!quantise_find_source(graph, conv->inputs[0], &in) ||
        !find_weights(graph, conv->inputs[1], 0, &weights) ||
        !quantise_find_end(pass, conv->outputs[0], &end))
        return 0;
    int value = conv->input_count > 2 ? conv->inputs[2] : -1, bias;
    int64_t channels = graph->values[weights.bytes].shape.dim[0];
    int rc = make_bias(graph, value, &in, &weights, channels, &bias, err);
    return rc <= 0 ? rc : add_product(pass, "conv_int8", node, &in, &weights, bias, &end, err);
}

/* B is a matrix; that of a Gemm may lie turned. */
int quantise_matmul(struct quantise_pass *pass, int node, struct error *err)
{
    struct graph *graph = pass->graph;
    const struct node *product = &graph->nodes[node];
    bool turned = node_int(product, "transB", 0) != 0;
    struct quantised in, weights;
    struct quantise_end end;
    if (node_float(product, "alpha", 1) != 1 || node_float(product, "beta", 1) != 1 ||
        node_int(product, "transA", 0) || !quantise_find_source(graph, product->inputs[0], &in) ||
        graph->values[in.bytes].shape.rank < 2 || graph->values[product->inputs[1]].shape.rank != 2 ||
        !find_weights(graph, product->inputs[1], turned ? 0 : 1, &weights) ||
        !quantise_find_end(pass, product->outputs[0], &end))
        return 0;
    int value = product->input_count > 2 ? product->inputs[2] : -1, bias;
    int64_t columns = graph->values[weights.bytes].shape.dim[turned ? 0 : 1];
    int rc = make_bias(graph, value, &in, &weights, columns, &bias, err);
    if (rc <= 0)
        return rc;
    if (turned && (rc = turn_weights(graph, &weights, err)))
        return rc;
    return add_product(pass, "matmul_int8", node, &in, &weights, bias, &end, err);
}

/* Constant bytes with one scale, or one for each position along the axis. */
static bool find_weights(const struct graph *graph, int value, int axis, struct quantised *weights)
{
    int node = graph->values[value].producer;
    if (!quantise_is_expandable(graph, node))
        return false;
    if (quantise_read(graph, node, weights))
        return true;
    const struct node *n = &graph->nodes[node];
    const struct shape *scale = &graph->values[n->inputs[1]].shape;
    const struct shape *shape = &graph->values[weights->bytes].shape;
    int64_t given = node_int(n, "axis", 1);
    if (!(TYPES_BYTE & 1u << graph->values[weights->bytes].type) ||
        node_int(n, "block_size", 0) != 0 || !rewrite_constant(graph, n->inputs[1]) ||
        scale->rank != 1 || (given < 0 ? given + shape->rank : given) != axis)
        return false;
    const float *scales = rewrite_constant(graph, n->inputs[1]);
    for (int64_t i = 0; i < scale->dim[0]; i++)
        if (!(scales[i] > 0) || !isfinite(scales[i]))
            return false;
    return true;
}

/* *bias is -1 where there is none. 0: it is none that can be counted so. */
static int make_bias(struct graph *graph, int value, const struct quantised *in,
                     const struct quantised *weights, int64_t channels, int *bias, struct error *err)
{
    *bias = -1;
    if (value < 0)
        return 1;
    const struct shape *shape = &graph->values[value].shape;
    if (shape->rank < 1 || shape->dim[shape->rank - 1] != channels ||
        shape_elements(shape) != channels)
        return 0;
    struct tensor numbers, steps;
    int rc = read_numbers(graph, value, &numbers, err);
    if (rc <= 0)
        return rc;
    rc = tensor_create(&steps, TENSOR_I32, &(struct shape){ 1, { channels } }, err);
    if (rc) {
        tensor_free(&numbers);
        return rc;
    }
    bool counted = count_steps(graph, &numbers, in, weights, &steps);
    tensor_free(&numbers);
    *bias = counted ? graph_add_constant(graph, graph->values[value].name, &steps, err) : 0;
    if (!counted || *bias < 0)
        tensor_free(&steps);
    return *bias < 0 ? *bias : counted;
}

/* A copy of f32 constants, quantised ones among them; 0 for what is not constant. */
static int read_numbers(const struct graph *graph, int value, struct tensor *numbers,
                        struct error *err)
{
    int node = graph->values[value].producer;
    int rc;
    if (graph->values[value].type != TENSOR_F32)
        return 0;
    if (quantise_is_expandable(graph, node)) {
        rc = quantise_expand(graph, &graph->nodes[node], numbers, err);
    } else if (rewrite_constant(graph, value)) {
        rc = tensor_create(numbers, TENSOR_F32, &graph->values[value].shape, err);
        if (!rc)
            memcpy(numbers->data, rewrite_constant(graph, value), tensor_bytes(numbers));
    } else {
        return 0;
    }
    return rc ? rc : 1;
}

static bool count_steps(const struct graph *graph, const struct tensor *numbers,
                        const struct quantised *in, const struct quantised *weights,
                        struct tensor *steps)
{
    const float *scales = rewrite_constant(graph, weights->scale);
    bool one = shape_elements(&graph->values[weights->scale].shape) == 1;
    double scale = (double)*rewrite_constant(graph, in->scale);
    for (int64_t i = 0, count = shape_elements(&numbers->shape); i < count; i++) {
        double number = (double)((const float *)numbers->data)[i];
        double counted = rint(number / (scale * (double)scales[one ? 0 : i]));
        if (!(fabs(counted) <= INT32_MAX))
            return false;
        ((int32_t *)steps->data)[i] = (int32_t)counted;
    }
    return true;
}

static int turn_weights(struct graph *graph, struct quantised *weights, struct error *err)
{
    const struct value *old = &graph->values[weights->bytes];
    int64_t rows = old->shape.dim[0], columns = old->shape.dim[1];
    struct tensor turned;
    int rc = tensor_create(&turned, old->type, &(struct shape){ 2, { columns, rows } }, err);
    if (rc)
        return rc;
    const uint8_t *from = old->constant.data;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            ((uint8_t *)turned.data)[j * rows + i] = from[i * columns + j];
    weights->bytes = graph_add_constant(graph, old->name, &turned, err);
    if (weights->bytes >= 0)
        return 0;
    tensor_free(&turned);
    return weights->bytes;
}

static int add_product(struct quantise_pass *pass, const char *op, int node, struct quantised *in,
                       struct quantised *weights, int bias, struct quantise_end *end,
                       struct error *err)
{
    int rc = quantise_need_zero(pass->graph, in, err);
    if (rc || (rc = quantise_need_zero(pass->graph, weights, err)) ||
        (rc = quantise_need_zero(pass->graph, &end->q, err)))
        return rc;
    int inputs[] = { in->bytes,      in->scale,      in->zero,
                     weights->bytes, weights->scale, weights->zero,
                     end->q.scale,   end->q.zero,    bias };
    bool is_conv = strcmp(op, "conv_int8") == 0;
    return quantise_add(pass, op, node, inputs, bias < 0 ? 8 : 9, end, is_conv ? node : -1, err);
}
