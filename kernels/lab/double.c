/* double: values, constants, attributes and ops, one after the other. A Resize's scales are floats
 * by definition and stay so. */
#include "lab/double.h"
#include "ops/op.h"
#include <stdlib.h>
#include <string.h>

/* The double forms of the table, which is compiled with other names (ops/op.h). */
extern const struct op *const *op_all_f64(size_t *count);

static int convert_tensor(struct tensor *tensor, struct error *err);
static int convert_node(struct node *node, struct error *err);
static void mark_scales(const struct graph *graph, bool *stays);

int graph_to_double(struct graph *graph, struct error *err)
{
    bool *stays = calloc((size_t)graph->value_count + 1, sizeof *stays);
    if (!stays)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    mark_scales(graph, stays);
    int rc = 0;
    for (int i = 0; !rc && i < graph->value_count; i++) {
        struct value *value = &graph->values[i];
        if (value->type != TENSOR_F32 || stays[i])
            continue;
        value->type = TENSOR_F64;
        rc = convert_tensor(&value->constant, err);
        if (!rc)
            rc = convert_tensor(&value->state, err);
    }
    for (int i = 0; !rc && i < graph->node_count; i++)
        rc = convert_node(&graph->nodes[i], err);
    free(stays);
    return rc;
}

static void mark_scales(const struct graph *graph, bool *stays)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        if (strcmp(node->op->name, "Resize") != 0 && strcmp(node->op->name, "Upsample") != 0)
            continue;
        for (int k = 1; k < node->input_count; k++)
            if (node->inputs[k] >= 0)
                stays[node->inputs[k]] = true;
    }
}

static int convert_tensor(struct tensor *tensor, struct error *err)
{
    struct tensor wide;
    if (!tensor->data || tensor->type != TENSOR_F32)
        return 0;
    int rc = tensor_create(&wide, TENSOR_F64, &tensor->shape, err);
    if (rc)
        return rc;
    for (int64_t i = 0, count = shape_elements(&tensor->shape); i < count; i++)
        ((double *)wide.data)[i] = (double)((const float *)tensor->data)[i];
    tensor_free(tensor);
    *tensor = wide;
    return 0;
}

static int convert_node(struct node *node, struct error *err)
{
    size_t count;
    const struct op *const *rows = op_all_f64(&count);
    const struct op *found = NULL;
    for (size_t i = 0; i < count && !found; i++)
        if (strcmp(rows[i]->name, node->op->name) == 0 &&
            rows[i]->opset_min == node->op->opset_min && rows[i]->opset_max == node->op->opset_max)
            found = rows[i];
    if (!found)
        return error_set(err, ERROR_UNSUPPORTED, node->op->name, "there is no double form of it");
    node->op = found;
    for (size_t i = 0; i < node->attribute_count; i++) {
        int rc = convert_tensor(&node->attributes[i].t, err);
        if (rc)
            return rc;
    }
    return 0;
}
