/* quantise_piece: what works on bytes and has no weights. */
#include "passes/quantise.h"
#include <string.h>

#define TABLE_SIZE 256
#define CHAIN_MAX 8 /* nodes in one table */

static bool same_steps(const struct graph *graph, const struct quantised *a,
                       const struct quantised *b);
static int find_operand(const struct graph *graph, int node, int value);
static int make_table(struct graph *graph, const int *nodes, const int *slots, int count,
                      int *table, struct error *err);
static int apply_node(const struct graph *graph, const struct node *node, int slot,
                      const struct tensor *from, struct tensor *to, struct error *err);
static bool is_identity(const struct graph *graph, int table, int bytes);
static int requantise(struct quantise_pass *pass, int node, const struct quantised *from, int bytes,
                      const struct quantised *to, int *out, struct error *err);
static int fill_table(struct graph *graph, const struct quantised *from, const struct quantised *to,
                      int *table, struct error *err);

int quantise_binary(struct quantise_pass *pass, int node, struct error *err)
{
    struct graph *graph = pass->graph;
    const struct node *n = &graph->nodes[node];
    struct quantised a, b;
    struct quantise_end end;
    if (n->input_count != 2 || !quantise_find_source(graph, n->inputs[0], &a) ||
        !quantise_find_source(graph, n->inputs[1], &b) ||
        !quantise_find_end(pass, n->outputs[0], &end))
        return 0;
    const char *op = strcmp(n->op->name, "Add") == 0 ? "add_int8" : "mul_int8";
    if (!shape_equal(&graph->values[a.bytes].shape, &graph->values[end.q.bytes].shape)) {
        struct quantised first = a; /* devices like the larger one there */
        a = b;
        b = first;
    }
    int rc = quantise_need_zero(graph, &a, err);
    if (rc || (rc = quantise_need_zero(graph, &b, err)) ||
        (rc = quantise_need_zero(graph, &end.q, err)))
        return rc;
    int inputs[] = { a.bytes, a.scale, a.zero, b.bytes, b.scale, b.zero, end.q.scale, end.q.zero };
    return quantise_add(pass, op, node, inputs, 8, &end, -1, err);
}

int quantise_average(struct quantise_pass *pass, int node, struct error *err)
{
    struct graph *graph = pass->graph;
    const struct node *n = &graph->nodes[node];
    struct quantised x;
    struct quantise_end end;
    if (!quantise_find_source(graph, n->inputs[0], &x) ||
        !quantise_find_end(pass, n->outputs[0], &end))
        return 0;
    int rc = quantise_need_zero(graph, &x, err);
    if (rc || (rc = quantise_need_zero(graph, &end.q, err)))
        return rc;
    int inputs[] = { x.bytes, x.scale, x.zero, end.q.scale, end.q.zero };
    return quantise_add(pass, "average_int8", node, inputs, 5, &end, -1, err);
}

/* Bytes are moved as they are where they stand for the same before and after; else they become what the
 * end has first. A Concat moves all of its inputs, other nodes the first one. */
int quantise_move(struct quantise_pass *pass, int node, struct error *err)
{
    struct graph *graph = pass->graph;
    int count = graph->nodes[node].input_count, rc = 0;
    int moved = strcmp(graph->nodes[node].op->name, "Concat") == 0 ? count : 1;
    int inputs[GRAPH_NODE_INPUTS_MAX];
    struct quantised sources[GRAPH_NODE_INPUTS_MAX];
    struct quantise_end end;
    for (int k = 0; k < moved; k++)
        if (!quantise_find_source(graph, graph->nodes[node].inputs[k], &sources[k]))
            return 0;
    if (!quantise_find_end(pass, graph->nodes[node].outputs[0], &end))
        return 0;
    enum tensor_type type = graph->values[end.q.bytes].type;
    if (end.low > quantise_lowest(type) || end.high < quantise_highest(type))
        return 0;
    memcpy(inputs, graph->nodes[node].inputs, (size_t)count * sizeof *inputs);
    for (int k = 0; !rc && k < moved; k++)
        rc = requantise(pass, node, &sources[k], sources[k].bytes, &end.q, &inputs[k], err);
    return rc ? rc
              : quantise_add(pass, graph->nodes[node].op->name, node, inputs, count, &end, node, err);
}

/* From a DequantizeLinear on: functions of one tensor, and then a QuantizeLinear. */
int quantise_table(struct quantise_pass *pass, int node, struct error *err)
{
    struct graph *graph = pass->graph;
    struct quantised from;
    struct quantise_end end;
    int nodes[CHAIN_MAX + 2] = { node }, slots[CHAIN_MAX + 2] = { 0 }, count = 1, table;
    int value = graph->nodes[node].outputs[0];
    if (!quantise_read(graph, node, &from) || graph->values[from.bytes].constant.data)
        return 0;
    for (;; value = graph->nodes[nodes[count - 1]].outputs[0]) {
        int reader = rewrite_only_reader(graph, &pass->uses, value);
        if (reader < 0 || count > CHAIN_MAX)
            return 0;
        nodes[count] = reader;
        slots[count++] = find_operand(graph, reader, value);
        if (rewrite_is_op(graph, reader, "QuantizeLinear"))
            break;
        if (slots[count - 1] < 0)
            return 0;
    }
    if (!quantise_read(graph, nodes[count - 1], &end.q))
        return 0;
    int rc = make_table(graph, nodes, slots, count, &table, err);
    if (rc)
        return rc;
    enum tensor_type type = graph->values[end.q.bytes].type;
    end.low = quantise_lowest(type);
    end.high = quantise_highest(type);
    if (is_identity(graph, table, from.bytes) && !graph->values[end.q.bytes].is_output) {
        rewrite_redirect(graph, end.q.bytes, from.bytes);
        return 1;
    }
    return quantise_add(pass, "table_int8", node, (int[]){ from.bytes, table }, 2, &end, -1, err);
}

static bool same_steps(const struct graph *graph, const struct quantised *a,
                       const struct quantised *b)
{
    int64_t a_zero = a->zero < 0 ? 0 : quantise_zero(&graph->values[a->zero].constant);
    int64_t b_zero = b->zero < 0 ? 0 : quantise_zero(&graph->values[b->zero].constant);
    return graph->values[a->bytes].type == graph->values[b->bytes].type && a_zero == b_zero &&
           *rewrite_constant(graph, a->scale) == *rewrite_constant(graph, b->scale);
}

/* Which input of an elementwise node value is, if the others are constants of one number; else -1. */
static int find_operand(const struct graph *graph, int node, int value)
{
    const struct node *n = &graph->nodes[node];
    int slot = -1;
    if (rewrite_is_op(graph, node, "QuantizeLinear"))
        return 0;
    if ((n->op->class != OP_CLASS_UNARY && n->op->class != OP_CLASS_BINARY) ||
        n->output_count != 1 || graph->values[n->outputs[0]].type != TENSOR_F32 ||
        !shape_equal(&graph->values[n->outputs[0]].shape, &graph->values[value].shape))
        return -1;
    for (int k = 0; k < n->input_count; k++) {
        if (n->inputs[k] == value && slot < 0)
            slot = k;
        else if (n->inputs[k] >= 0 && (!graph->values[n->inputs[k]].constant.data ||
                                       shape_elements(&graph->values[n->inputs[k]].shape) != 1))
            return -1;
    }
    return slot;
}

/* Runs the nodes' own reference kernels on all bytes there are. */
static int make_table(struct graph *graph, const int *nodes, const int *slots, int count,
                      int *table, struct error *err)
{
    struct shape shape = { .rank = 1, .dim = { TABLE_SIZE } };
    const struct node *first = &graph->nodes[nodes[0]];
    struct tensor held = { 0 };
    int rc = tensor_create(&held, graph->values[first->inputs[0]].type, &shape, err);
    for (int i = 0; !rc && i < TABLE_SIZE; i++)
        ((uint8_t *)held.data)[i] = (uint8_t)i;
    for (int i = 0; !rc && i < count; i++) {
        const struct node *node = &graph->nodes[nodes[i]];
        struct tensor next = { 0 };
        rc = tensor_create(&next, graph->values[node->outputs[0]].type, &shape, err);
        if (!rc)
            rc = apply_node(graph, node, slots[i], &held, &next, err);
        tensor_free(&held);
        held = next;
    }
    *table = rc ? rc : graph_add_constant(graph, "table", &held, err);
    if (*table < 0)
        tensor_free(&held);
    return *table < 0 ? *table : 0;
}

/* Other inputs are one number each, and as such may be seen without dimensions. */
static int apply_node(const struct graph *graph, const struct node *node, int slot,
                      const struct tensor *from, struct tensor *to, struct error *err)
{
    struct tensor shells[GRAPH_NODE_INPUTS_MAX];
    const struct tensor *in[GRAPH_NODE_INPUTS_MAX] = { NULL };
    struct tensor *out[] = { to };
    for (int k = 0; k < node->input_count; k++) {
        if (node->inputs[k] < 0)
            continue;
        shells[k] = k == slot ? *from : graph->values[node->inputs[k]].constant;
        if (k != slot)
            shells[k].shape = (struct shape){ .rank = 0 };
        in[k] = &shells[k];
    }
    return node->op->reference(node, in, out, err);
}

static bool is_identity(const struct graph *graph, int table, int bytes)
{
    const struct tensor *held = &graph->values[table].constant;
    for (int i = 0; i < TABLE_SIZE; i++)
        if (((const uint8_t *)held->data)[i] != i)
            return false;
    return held->type == graph->values[bytes].type;
}

/* *out are bytes that stand for the same in steps of `to`. */
static int requantise(struct quantise_pass *pass, int node, const struct quantised *from, int bytes,
                      const struct quantised *to, int *out, struct error *err)
{
    struct graph *graph = pass->graph;
    *out = bytes;
    if (same_steps(graph, from, to))
        return 0;
    int table;
    int rc = fill_table(graph, from, to, &table, err);
    if (rc)
        return rc;
    struct quantise_end end = { .q = *to };
    struct shape shape = graph->values[bytes].shape;
    enum tensor_type type = graph->values[to->bytes].type;
    end.low = quantise_lowest(type);
    end.high = quantise_highest(type);
    *out = end.q.bytes = graph_add_value(graph, graph->nodes[node].name, type, &shape, err);
    if (*out < 0)
        return *out;
    rc = quantise_add(pass, "table_int8", node, (int[]){ bytes, table }, 2, &end, -1, err);
    return rc < 0 ? rc : 0;
}

static int fill_table(struct graph *graph, const struct quantised *from, const struct quantised *to,
                      int *table, struct error *err)
{
    struct tensor held;
    enum tensor_type type = graph->values[to->bytes].type;
    int rc = tensor_create(&held, type, &(struct shape){ 1, { TABLE_SIZE } }, err);
    if (rc)
        return rc;
    int64_t zero = from->zero < 0 ? 0 : quantise_zero(&graph->values[from->zero].constant);
    int64_t to_zero = to->zero < 0 ? 0 : quantise_zero(&graph->values[to->zero].constant);
    float scale = *rewrite_constant(graph, from->scale),
          to_scale = *rewrite_constant(graph, to->scale);
    for (int i = 0; i < TABLE_SIZE; i++) {
        int64_t q = graph->values[from->bytes].type == TENSOR_I8 ? (int8_t)(uint8_t)i : i;
        float number = (float)(q - zero) * scale;
        number_store_whole(&held, i,
                           quantise_round((double)(number / to_scale), to_zero,
                                          quantise_lowest(type), quantise_highest(type)));
    }
    *table = graph_add_constant(graph, "table", &held, err);
    if (*table >= 0)
        return 0;
    tensor_free(&held);
    return *table;
}
