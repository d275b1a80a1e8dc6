/* gradient: adds nodes behind a graph that has been inferred and infers them at once, so that rules
 * can look at shapes. */
#include "ops/gradient.h"
#include <assert.h>
#include <string.h>

static int add_attributes(struct gradient *g, int node, const struct attribute *attributes,
                          size_t count);
static int fail(struct gradient *g, int rc);
static int add_node(struct gradient *g, const char *op, const int *inputs, int input_count,
                    bool like_node, const struct attribute *attributes, int *outputs,
                    int output_count);

int gradient_node(struct gradient *g, const char *op, const int *inputs, int input_count,
                  const struct attribute *attributes, int *outputs, int output_count)
{
    return add_node(g, op, inputs, input_count, false, attributes, outputs, output_count);
}

int gradient_node_like(struct gradient *g, const char *op, const int *inputs, int input_count,
                       const struct attribute *attributes)
{
    return add_node(g, op, inputs, input_count, true, attributes, NULL, 1);
}

int gradient_op(struct gradient *g, const char *op, int a, int b)
{
    return add_node(g, op, (int[]){ a, b }, b < 0 ? 1 : 2, false, NULL, NULL, 1);
}

int gradient_scalar(struct gradient *g, double number)
{
    const struct shape shape = { .rank = 0 };
    struct tensor tensor = { 0 };
    if (g->rc)
        return -1;
    int rc = tensor_create(&tensor, TENSOR_F32, &shape, g->err);
    if (rc)
        return fail(g, rc);
    *(float *)tensor.data = (float)number;
    int value = graph_add_constant(g->graph, "", &tensor, g->err);
    tensor_free(&tensor); /* blank after success */
    return value < 0 ? fail(g, value) : value;
}

int gradient_ints(struct gradient *g, const int64_t *ints, size_t count)
{
    const struct shape shape = { .rank = 1, .dim = { (int64_t)count } };
    struct tensor tensor = { 0 };
    if (g->rc)
        return -1;
    int rc = tensor_create(&tensor, TENSOR_I64, &shape, g->err);
    if (rc)
        return fail(g, rc);
    memcpy(tensor.data, ints, count * sizeof *ints);
    int value = graph_add_constant(g->graph, "", &tensor, g->err);
    tensor_free(&tensor);
    return value < 0 ? fail(g, value) : value;
}

const struct shape *gradient_shape(const struct gradient *g, int value)
{
    static const struct shape unknown = { .rank = 0 };
    return value < 0 ? &unknown : &g->graph->values[value].shape;
}

const struct tensor *gradient_constant(const struct gradient *g, int input)
{
    if (input >= g->node->input_count || g->node->inputs[input] < 0)
        return NULL;
    return &g->graph->values[g->node->inputs[input]].constant;
}

int gradient_sum_to(struct gradient *g, int value, int input)
{
    if (g->rc || value < 0)
        return -1;
    const struct shape *shape = gradient_shape(g, g->node->inputs[input]);
    if (shape_equal(shape, gradient_shape(g, value)))
        return value;
    struct shape to = *shape;
    return gradient_node(g, "sum_to", &value, 1,
                         (struct attribute[]){ GRADIENT_INTS("shape", to.dim, to.rank), { 0 } },
                         NULL, 1);
}

int gradient_reshape_as(struct gradient *g, int value, int input)
{
    if (g->rc || value < 0)
        return -1;
    struct shape to = *gradient_shape(g, g->node->inputs[input]);
    if (shape_equal(&to, gradient_shape(g, value)))
        return value;
    int dims = gradient_ints(g, to.dim, (size_t)to.rank);
    return gradient_op(g, "Reshape", value, dims);
}

int gradient_end(struct gradient *g)
{
    return g->rc;
}

int gradient_none(struct gradient *g)
{
    return g->rc;
}

static int add_node(struct gradient *g, const char *name, const int *inputs, int input_count,
                    bool like_node, const struct attribute *attributes, int *outputs,
                    int output_count)
{
    int made[GRAPH_NODE_INPUTS_MAX];
    const struct op *op = op_find(name, 0);
    assert(op && output_count >= 1 && output_count <= GRAPH_NODE_INPUTS_MAX);
    if (g->rc)
        return -1;
    for (int i = 0; i < output_count; i++) {
        made[i] = outputs && outputs[i] < 0
                      ? -1
                      : graph_add_value(g->graph, "", TENSOR_NONE, NULL, g->err);
        if (made[i] < 0 && !(outputs && outputs[i] < 0))
            return fail(g, made[i]);
    }
    int node = graph_add_node(g->graph, op, g->node->name, inputs, input_count, made, output_count,
                              g->err);
    if (node < 0)
        return fail(g, node);
    if (like_node && add_attributes(g, node, g->node->attributes, g->node->attribute_count))
        return -1;
    size_t count = 0;
    while (attributes && attributes[count].name)
        count++;
    if (add_attributes(g, node, attributes, count))
        return -1;
    int rc = graph_infer_node(g->graph, node, g->err);
    if (rc)
        return fail(g, rc);
    for (int i = 0; outputs && i < output_count; i++)
        outputs[i] = made[i];
    return made[0];
}

static int add_attributes(struct gradient *g, int node, const struct attribute *attributes,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = graph_add_attribute(g->graph, node, &attributes[i], g->err);
        if (rc < 0)
            return fail(g, rc);
    }
    return 0;
}

static int fail(struct gradient *g, int rc)
{
    g->rc = rc;
    return -1;
}
