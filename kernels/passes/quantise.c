/* quantise: what stands between DequantizeLinear and QuantizeLinear is computed on the bytes, where an op
 * of our own does the same there: products, additions, averages, functions of one tensor (a table of
 * 256), and whatever only moves elements. Each piece is found from the node in the middle; the bytes that
 * its QuantizeLinear wrote become the new node's. */
#include "passes/quantise.h"
#include "passes/pass.h"
#include "passes/pointwise.h"
#include <math.h>
#include <string.h>

enum { X, SCALE, ZERO };

static int rewrite_node(struct quantise_pass *pass, int node, struct error *err);
static bool narrow(const struct graph *graph, int node, double *low, double *high);
static int add_limit(struct graph *graph, int node, const char *name, int64_t limit,
                     struct error *err);

int pass_quantise(struct graph *graph, struct error *err)
{
    struct quantise_pass pass = { .graph = graph };
    int rc = pass_drop_noop(graph, err);
    if (!rc)
        rc = rewrite_take_uses(&pass.uses, graph, err);
    for (int i = 0, count = graph->node_count; !rc && i < count; i++)
        rc = rewrite_node(&pass, i, err);
    rewrite_free_uses(&pass.uses);
    return rc ? rc : rewrite_finish(graph, err);
}

int pass_expand_constants(struct graph *graph, struct error *err)
{
    for (int i = 0, count = graph->node_count; i < count; i++) {
        if (!quantise_is_expandable(graph, i))
            continue;
        struct tensor tensor;
        int output = graph->nodes[i].outputs[0];
        int rc = quantise_expand(graph, &graph->nodes[i], &tensor, err);
        if (rc)
            return rc;
        graph->values[output].constant = tensor;
        graph->values[output].producer = -1;
    }
    return rewrite_finish(graph, err);
}

static int rewrite_node(struct quantise_pass *pass, int node, struct error *err)
{
    static const struct {
        const char *op;
        quantise_rule *rule;
    } rules[] = {
        { "Conv", quantise_conv },      { "MatMul", quantise_matmul },
        { "Gemm", quantise_matmul },    { "Add", quantise_binary },
        { "Mul", quantise_binary },     { "GlobalAveragePool", quantise_average },
        { "Concat", quantise_move },    { "Flatten", quantise_move },
        { "Reshape", quantise_move },   { "Squeeze", quantise_move },
        { "Unsqueeze", quantise_move }, { "Transpose", quantise_move },
        { "Slice", quantise_move },     { "DequantizeLinear", quantise_table },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rewrite_is_op(pass->graph, node, rules[i].op)) {
            int rc = rules[i].rule(pass, node, err);
            return rc < 0 ? rc : 0;
        }
    return 0;
}

bool quantise_read(const struct graph *graph, int node, struct quantised *read)
{
    const struct node *n = &graph->nodes[node];
    bool quantises = strcmp(n->op->name, "QuantizeLinear") == 0;
    float scale;
    *read = (struct quantised){ .bytes = quantises ? n->outputs[0] : n->inputs[X],
                                .scale = n->inputs[SCALE],
                                .zero = n->input_count > ZERO ? n->inputs[ZERO] : -1 };
    return (TYPES_BYTE & 1u << graph->values[read->bytes].type) &&
           graph->values[quantises ? n->inputs[X] : n->outputs[0]].type == TENSOR_F32 &&
           node_int(n, "block_size", 0) == 0 && rewrite_scalar(graph, read->scale, &scale) &&
           scale > 0 && isfinite(scale) &&
           (read->zero < 0 || graph->values[read->zero].constant.data);
}

bool quantise_find_source(const struct graph *graph, int value, struct quantised *source)
{
    int node = value < 0 ? -1 : graph->values[value].producer;
    return rewrite_is_op(graph, node, "DequantizeLinear") && quantise_read(graph, node, source);
}

bool quantise_find_end(const struct quantise_pass *pass, int value, struct quantise_end *end)
{
    const struct graph *graph = pass->graph;
    double low = -INFINITY, high = INFINITY;
    int node;
    for (;;) {
        node = rewrite_only_reader(graph, &pass->uses, value);
        if (node < 0 || rewrite_is_op(graph, node, "QuantizeLinear"))
            break;
        if (!narrow(graph, node, &low, &high))
            return false;
        value = graph->nodes[node].outputs[0];
    }
    if (node < 0 || !quantise_read(graph, node, &end->q))
        return false;
    enum tensor_type type = graph->values[end->q.bytes].type;
    int64_t zero = end->q.zero < 0 ? 0 : quantise_zero(&graph->values[end->q.zero].constant);
    int64_t lowest = quantise_lowest(type), highest = quantise_highest(type);
    float scale = *rewrite_constant(graph, end->q.scale);
    /* Rounding keeps the order, so limits may be rounded in place of what they limit. */
    end->low = quantise_round((double)((float)low / scale), zero, lowest, highest);
    end->high = quantise_round((double)((float)high / scale), zero, lowest, highest);
    return true;
}

/* Takes a Relu or Clip into the limits; false for other nodes. */
static bool narrow(const struct graph *graph, int node, double *low, double *high)
{
    struct pointwise pointwise;
    if (!pointwise_from_node(graph, &graph->nodes[node], &pointwise))
        return false;
    if (pointwise.kind == POINTWISE_RELU)
        pointwise.alpha = 0, pointwise.beta = INFINITY;
    else if (pointwise.kind != POINTWISE_CLIP)
        return false;
    *low = fmin(fmax(*low, (double)pointwise.alpha), (double)pointwise.beta);
    *high = fmin(fmax(*high, (double)pointwise.alpha), (double)pointwise.beta);
    return true;
}

int quantise_need_zero(struct graph *graph, struct quantised *q, struct error *err)
{
    if (q->zero >= 0)
        return 0;
    struct tensor zero;
    struct shape shape = graph->values[q->scale].shape;
    int rc = tensor_create(&zero, graph->values[q->bytes].type, &shape, err);
    if (rc)
        return rc;
    q->zero = graph_add_constant(graph, "zero_point", &zero, err);
    if (q->zero >= 0)
        return 0;
    tensor_free(&zero);
    return q->zero;
}

int quantise_add(struct quantise_pass *pass, const char *op, int node, const int *inputs,
                 int input_count, const struct quantise_end *end, int attributes_of,
                 struct error *err)
{
    struct graph *graph = pass->graph;
    enum tensor_type type = graph->values[end->q.bytes].type;
    const struct op *row = op_find(op, OPSET_OWN) ? op_find(op, OPSET_OWN) : op_find(op, 0);
    int fresh = graph_add_node(graph, row, graph->nodes[node].name, inputs, input_count,
                               &end->q.bytes, 1, err);
    int rc = fresh;
    size_t count = attributes_of < 0 ? 0 : graph->nodes[attributes_of].attribute_count;
    for (size_t k = 0; rc >= 0 && k < count; k++)
        rc = graph_add_attribute(graph, fresh, &graph->nodes[attributes_of].attributes[k], err);
    if (rc >= 0 && end->low > quantise_lowest(type))
        rc = add_limit(graph, fresh, "low", end->low, err);
    if (rc >= 0 && end->high < quantise_highest(type))
        rc = add_limit(graph, fresh, "high", end->high, err);
    return rc < 0 ? rc : 1;
}

static int add_limit(struct graph *graph, int node, const char *name, int64_t limit, struct error *err)
{
    struct attribute attribute = { .name = (char *)name, .kind = ATTRIBUTE_INT, .i = limit };
    return graph_add_attribute(graph, node, &attribute, err);
}

bool quantise_is_expandable(const struct graph *graph, int node)
{
    if (!rewrite_is_op(graph, node, "DequantizeLinear"))
        return false;
    const struct node *n = &graph->nodes[node];
    for (int k = 0; k < n->input_count; k++)
        if (n->inputs[k] >= 0 && !graph->values[n->inputs[k]].constant.data)
            return false;
    return graph->values[n->outputs[0]].producer == node;
}

int quantise_expand(const struct graph *graph, const struct node *node, struct tensor *tensor,
                    struct error *err)
{
    const struct tensor *in[] = { NULL, NULL, NULL };
    struct tensor *out[] = { tensor };
    const struct value *value = &graph->values[node->outputs[0]];
    for (int k = 0; k < node->input_count; k++)
        if (node->inputs[k] >= 0)
            in[k] = &graph->values[node->inputs[k]].constant;
    int rc = tensor_create(tensor, value->type, &value->shape, err);
    if (!rc && (rc = node->op->reference(node, in, out, err)))
        tensor_free(tensor);
    return rc;
}
