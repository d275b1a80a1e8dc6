/* pool: MaxPool, AveragePool and their global forms. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/rules.h"
#include "ops/window.h"

static int pool_shape(const struct node *node, const struct op_values *values, struct error *err);
static int max_pool_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int average_pool_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err);
static int max_pool_gradient(struct gradient *g);
static int average_pool_gradient(struct gradient *g);
static int global_pool_shape(const struct node *node, const struct op_values *values,
                             struct error *err);
static int global_average_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err);
static int global_max_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);
static int global_average_gradient(struct gradient *g);
static int global_max_gradient(struct gradient *g);

#define POOL(name, rule, kernel, back) \
    OP_ROW(name, 1, 1, 1, OPSET_MIN, OPSET_MAX, rule, kernel), .gradient = (back)
/* clang-format off */
#define POOL_ATTRIBUTES                                                                           \
    { "auto_pad", ATTRIBUTE_STRING }, { "ceil_mode", ATTRIBUTE_INT },                             \
    { "dilations", ATTRIBUTE_INTS }, { "kernel_shape", ATTRIBUTE_INTS },                          \
    { "pads", ATTRIBUTE_INTS }, { "strides", ATTRIBUTE_INTS }
/* clang-format on */

static const struct op rows[] = {
    /* storage_order is about the second output, which is not supported. */
    { POOL("MaxPool", pool_shape, max_pool_reference, max_pool_gradient), .heavy = true,
      OP_ATTRIBUTES(POOL_ATTRIBUTES, { "storage_order", ATTRIBUTE_INT }) },
    { POOL("AveragePool", pool_shape, average_pool_reference, average_pool_gradient), .heavy = true,
      OP_ATTRIBUTES(POOL_ATTRIBUTES, { "count_include_pad", ATTRIBUTE_INT }) },
    { POOL("GlobalAveragePool", global_pool_shape, global_average_reference, global_average_gradient) },
    { POOL("GlobalMaxPool", global_pool_shape, global_max_reference, global_max_gradient) },
};
const struct op_family pool_family = OP_FAMILY(rows);

static int pool_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct window window;
    struct shape shape;
    int rc = rule_input(values, 0, "input", TYPE(REAL), 3, 4, err);
    if (rc || (rc = window_of_pool(node, &values->in[0]->shape, &window, err)))
        return rc;
    window_output(&window, values->in[0]->shape.rank, &shape);
    rule_output(values, 0, TENSOR_REAL, &shape);
    return 0;
}

/* One output element: the maximum, or the sum of what the window covers. */
static real pool_at(const struct window *w, const real *plane, const struct window_reach *rows_reach,
                    const struct window_reach *columns_reach, bool maximum, bool count_padding)
{
    double sum = 0;
    real largest = -INFINITY;
    int64_t count = 0;
    for (int64_t ky = rows_reach->first; ky < rows_reach->end; ky++)
        for (int64_t kx = columns_reach->first; kx < columns_reach->end; kx++) {
            real x = plane[(rows_reach->start + ky * w->dilation[ROWS]) * w->in[COLUMNS] +
                           columns_reach->start + kx * w->dilation[COLUMNS]];
            largest = x > largest || isnan(x) ? x : largest;
            sum += (double)x;
            count++;
        }
    if (maximum)
        return largest;
    if (count_padding)
        count = rows_reach->counted * columns_reach->counted;
    return count ? (real)(sum / (double)count) : 0;
}

static int pool(const struct node *node, const struct tensor *in, struct tensor *out, bool maximum,
                struct error *err)
{
    struct window w;
    int rc = window_of_pool(node, &in->shape, &w, err);
    if (rc)
        return rc;
    bool count_padding = node_int(node, "count_include_pad", 0) != 0;
    real *to = out->data;
    for (int64_t n = 0; n < w.batch * w.in_channels; n++) {
        const real *plane = (const real *)in->data + n * w.in[ROWS] * w.in[COLUMNS];
        for (int64_t y = 0; y < w.out[ROWS]; y++) {
            struct window_reach rows_reach = window_reach_at(&w, ROWS, y);
            for (int64_t x = 0; x < w.out[COLUMNS]; x++) {
                struct window_reach columns_reach = window_reach_at(&w, COLUMNS, x);
                *to++ = pool_at(&w, plane, &rows_reach, &columns_reach, maximum, count_padding);
            }
        }
    }
    return 0;
}

static int max_pool_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    return pool(node, in[0], out[0], true, err);
}

static int average_pool_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err)
{
    return pool(node, in[0], out[0], false, err);
}

static int max_pool_gradient(struct gradient *g)
{
    int inputs[] = { g->out[0], g->node->inputs[0] };
    g->in[0] = gradient_node_like(g, "max_pool_grad", inputs, 2, NULL);
    return gradient_end(g);
}

static int average_pool_gradient(struct gradient *g)
{
    struct shape from = *gradient_shape(g, g->node->inputs[0]);
    g->in[0] = gradient_node_like(
        g, "average_pool_grad", g->out, 1,
        (struct attribute[]){ GRADIENT_INTS("input_shape", from.dim, from.rank), { 0 } });
    return gradient_end(g);
}

static int global_pool_shape(const struct node *node, const struct op_values *values,
                             struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "input", TYPE(REAL), 3, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    struct shape shape = values->in[0]->shape;
    if (shape_elements(&shape) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    for (int i = 2; i < shape.rank; i++)
        shape.dim[i] = 1;
    rule_output(values, 0, TENSOR_REAL, &shape);
    return 0;
}

static int global_average_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err)
{
    (void)node;
    (void)err;
    int64_t planes = shape_span(&in[0]->shape, 0, 2);
    int64_t size = shape_span(&in[0]->shape, 2, in[0]->shape.rank);
    const real *from = in[0]->data;
    for (int64_t n = 0; n < planes; n++) {
        double sum = 0;
        for (int64_t i = 0; i < size; i++)
            sum += (double)*from++;
        ((real *)out[0]->data)[n] = (real)(sum / (double)size);
    }
    return 0;
}

static int global_max_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    (void)node;
    (void)err;
    int64_t planes = shape_span(&in[0]->shape, 0, 2);
    int64_t size = shape_span(&in[0]->shape, 2, in[0]->shape.rank);
    const real *from = in[0]->data;
    for (int64_t n = 0; n < planes; n++) {
        real largest = *from;
        for (int64_t i = 0; i < size; i++, from++)
            largest = *from > largest || isnan(*from) ? *from : largest;
        ((real *)out[0]->data)[n] = largest;
    }
    return 0;
}

/* The shape of a picture, whatever the rank, so that the whole of it is one window. */
static struct shape as_picture(const struct shape *shape)
{
    return (struct shape){ .rank = 4,
                           .dim = { shape->dim[0], shape->dim[1], shape->dim[2],
                                    shape_span(shape, 3, shape->rank) } };
}

static int see_as_picture(struct gradient *g, int value)
{
    struct shape shape = as_picture(gradient_shape(g, value));
    return gradient_op(g, "Reshape", value, gradient_ints(g, shape.dim, (size_t)shape.rank));
}

static int global_average_gradient(struct gradient *g)
{
    struct shape from = as_picture(gradient_shape(g, g->node->inputs[0]));
    int dy = see_as_picture(g, g->out[0]);
    int dx = gradient_node(g, "average_pool_grad", &dy, 1,
                           (struct attribute[]){ GRADIENT_INTS("kernel_shape", from.dim + 2, 2),
                                                 GRADIENT_INTS("input_shape", from.dim, 4),
                                                 { 0 } },
                           NULL, 1);
    g->in[0] = gradient_reshape_as(g, dx, 0);
    return gradient_end(g);
}

static int global_max_gradient(struct gradient *g)
{
    struct shape from = as_picture(gradient_shape(g, g->node->inputs[0]));
    int inputs[] = { see_as_picture(g, g->out[0]), see_as_picture(g, g->node->inputs[0]) };
    int dx = gradient_node(
        g, "max_pool_grad", inputs, 2,
        (struct attribute[]){ GRADIENT_INTS("kernel_shape", from.dim + 2, 2), { 0 } }, NULL, 1);
    g->in[0] = gradient_reshape_as(g, dx, 0);
    return gradient_end(g);
}
