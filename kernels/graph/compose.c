/* compose: the way that gradient rules add nodes, with no rule behind it. */
#include "graph/compose.h"
#include "ops/gradient.h"
#include <assert.h>

static struct gradient open_rule(const struct compose *c, const struct node *node);
static int fail(struct compose *c, int rc);

int compose_start(struct compose *c, const char *name, struct error *err)
{
    *c = (struct compose){ .name = name, .err = err };
    c->rc = graph_create(&c->graph, err);
    if (!c->rc)
        c->graph->opset = OPSET_MAX;
    return c->rc;
}

int compose_input(struct compose *c, const char *name, enum tensor_type type,
                  const struct shape *shape)
{
    if (c->rc)
        return -1;
    int value = graph_add_value(c->graph, name, type, shape, c->err);
    int rc = value < 0 ? value : graph_mark_input(c->graph, value, c->err);
    return rc < 0 ? fail(c, rc) : value;
}

/* Identity: what an output is called and who else reads it is the copy's own business, and an input
 * of the graph or a constant may become one, too. */
void compose_output(struct compose *c, int value, const char *name)
{
    if (c->rc)
        return;
    int output = graph_add_value(c->graph, name, TENSOR_NONE, NULL, c->err);
    int rc = output < 0 ? output
                        : graph_add_node(c->graph, op_find("Identity", OPSET_MAX), c->name, &value,
                                         1, &output, 1, c->err);
    if (rc >= 0)
        rc = graph_infer_node(c->graph, rc, c->err);
    if (rc >= 0)
        rc = graph_mark_output(c->graph, output, c->err);
    if (rc < 0)
        fail(c, rc);
}

int compose_node(struct compose *c, const char *op, const int *inputs, int input_count,
                 const struct attribute *attributes)
{
    const struct node node = { .name = (char *)c->name };
    struct gradient g = open_rule(c, &node);
    int value = gradient_node(&g, op, inputs, input_count, attributes, NULL, 1);
    c->rc = gradient_end(&g);
    return value;
}

void compose_node_of(struct compose *c, const char *op, const int *inputs, int input_count,
                     const struct attribute *attributes, int *outputs, int output_count)
{
    const struct node node = { .name = (char *)c->name };
    struct gradient g = open_rule(c, &node);
    for (int i = 0; i < output_count; i++)
        outputs[i] = 0; /* none is left out */
    gradient_node(&g, op, inputs, input_count, attributes, outputs, output_count);
    c->rc = gradient_end(&g);
}

int compose_op(struct compose *c, const char *op, int a, int b)
{
    return compose_node(c, op, (int[]){ a, b }, b < 0 ? 1 : 2, NULL);
}

void compose_part(struct compose *c, const struct graph *part, const char *prefix,
                  const int *inputs, int *outputs)
{
    if (!c->rc)
        c->rc = graph_embed(c->graph, part, prefix, inputs, outputs, c->err);
}

int compose_constant(struct compose *c, const char *name, const struct shape *shape, double number)
{
    struct tensor tensor = { 0 };
    if (c->rc || (c->rc = tensor_create(&tensor, TENSOR_F32, shape, c->err)))
        return -1;
    for (int64_t i = 0, count = shape_elements(shape); i < count; i++)
        ((float *)tensor.data)[i] = (float)number;
    int value = graph_add_constant(c->graph, name, &tensor, c->err);
    tensor_free(&tensor); /* blank after success */
    return value < 0 ? fail(c, value) : value;
}

int compose_scalar(struct compose *c, double number)
{
    return compose_constant(c, "", &(const struct shape){ .rank = 0 }, number);
}

int compose_ints(struct compose *c, const int64_t *ints, size_t count)
{
    struct gradient g = open_rule(c, NULL);
    int value = gradient_ints(&g, ints, count);
    c->rc = gradient_end(&g);
    return value;
}

float *compose_floats(struct compose *c, int constant)
{
    if (c->rc)
        return NULL;
    assert(c->graph->values[constant].constant.type == TENSOR_F32);
    return c->graph->values[constant].constant.data;
}

const struct shape *compose_shape(const struct compose *c, int value)
{
    static const struct shape unknown = { .rank = 0 };
    return c->rc ? &unknown : &c->graph->values[value].shape;
}

int compose_conv(struct compose *c, int x, int weights, int bias, int64_t stride)
{
    const struct shape *shape = compose_shape(c, weights);
    const int64_t kernel[] = { shape->dim[2], shape->dim[3] }, strides[] = { stride, stride };
    const int64_t pads[] = { kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2 };
    const struct attribute attributes[] = {
        COMPOSE_INTS("kernel_shape", kernel, 2),
        COMPOSE_INTS("strides", strides, 2),
        COMPOSE_INTS("pads", pads, 4),
        { 0 },
    };
    return compose_node(c, "Conv", (int[]){ x, weights, bias }, bias < 0 ? 2 : 3, attributes);
}

int compose_resize(struct compose *c, int x, int64_t height, int64_t width, const char *mode)
{
    const struct shape *from = compose_shape(c, x);
    const int64_t sizes[] = { from->dim[0], from->dim[1], height, width };
    const int inputs[] = { x, -1, -1, compose_ints(c, sizes, 4) };
    const struct attribute attributes[] = {
        COMPOSE_STRING("mode", mode),
        COMPOSE_STRING("coordinate_transformation_mode", "half_pixel"),
        { 0 },
    };
    return compose_node(c, "Resize", inputs, 4, attributes);
}

int compose_pixel_shuffle(struct compose *c, int x, int64_t block)
{
    const struct attribute attributes[] = {
        COMPOSE_INT("blocksize", block),
        COMPOSE_STRING("mode", "CRD"),
        { 0 },
    };
    return compose_node(c, "DepthToSpace", &x, 1, attributes);
}

/* node: what new nodes take their name from. */
static struct gradient open_rule(const struct compose *c, const struct node *node)
{
    return (struct gradient){ .graph = c->graph, .node = node, .err = c->err, .rc = c->rc };
}

static int fail(struct compose *c, int rc)
{
    c->rc = rc;
    return -1;
}
