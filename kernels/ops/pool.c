/* pool: MaxPool, AveragePool, LpPool and their global forms. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/rules.h"
#include "ops/window.h"

#define P_MAX 1024 /* of an Lp norm: beyond, it is the largest element in all digits */

static int max_pool_shape(const struct node *node, const struct op_values *values, struct error *err);
static int pool_shape(const struct node *node, const struct op_values *values, struct error *err);
static int max_pool_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int average_pool_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err);
static int lp_pool_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int max_pool_gradient(struct gradient *g);
static int average_pool_gradient(struct gradient *g);
static int global_pool_shape(const struct node *node, const struct op_values *values,
                             struct error *err);
static int global_average_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err);
static int global_max_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);
static int global_lp_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err);
static int global_average_gradient(struct gradient *g);
static int global_max_gradient(struct gradient *g);

#define POOL(name, outputs, rule, kernel, back) \
    OP_ROW(name, 1, 1, outputs, OPSET_MIN, OPSET_MAX, rule, kernel), .gradient = (back)
/* clang-format off */
#define POOL_ATTRIBUTES                                                                           \
    { "auto_pad", ATTRIBUTE_STRING }, { "ceil_mode", ATTRIBUTE_INT },                             \
    { "dilations", ATTRIBUTE_INTS }, { "kernel_shape", ATTRIBUTE_INTS },                          \
    { "pads", ATTRIBUTE_INTS }, { "strides", ATTRIBUTE_INTS }
/* clang-format on */

static const struct op rows[] = {
    /* x -> (largest elements, their places in the whole of x) */
    { POOL("MaxPool", 2, max_pool_shape, max_pool_reference, max_pool_gradient), .heavy = true,
      OP_ATTRIBUTES(POOL_ATTRIBUTES, { "storage_order", ATTRIBUTE_INT }) },
    { POOL("AveragePool", 1, pool_shape, average_pool_reference, average_pool_gradient),
      .heavy = true, OP_ATTRIBUTES(POOL_ATTRIBUTES, { "count_include_pad", ATTRIBUTE_INT }) },
    { POOL("LpPool", 1, pool_shape, lp_pool_reference, NULL), .heavy = true,
      OP_ATTRIBUTES(POOL_ATTRIBUTES, { "p", ATTRIBUTE_INT }) },
    { POOL("GlobalAveragePool", 1, global_pool_shape, global_average_reference,
           global_average_gradient) },
    { POOL("GlobalMaxPool", 1, global_pool_shape, global_max_reference, global_max_gradient) },
    { POOL("GlobalLpPool", 1, global_pool_shape, global_lp_reference, NULL),
      OP_ATTRIBUTES({ "p", ATTRIBUTE_INT }) },
};
const struct op_family pool_family = OP_FAMILY(rows);

/* p of LpPool and its global form; other ops have none. */
static int check_p(const struct node *node, struct error *err)
{
    int64_t p = node_int(node, "p", 2);
    if (p < 1 || p > P_MAX)
        return error_set(err, ERROR_FORMAT, "p", "%lld is outside [1, %d]", (long long)p, P_MAX);
    return 0;
}

static int set_shapes(const struct node *node, const struct op_values *values, unsigned types,
                      struct error *err)
{
    struct window window;
    struct shape shape;
    int rc = rule_input(values, 0, "input", types, 3, WINDOW_RANK_MAX, err);
    if (rc || (rc = check_p(node, err)) ||
        (rc = window_of_pool(node, &values->in[0]->shape, &window, err)))
        return rc;
    window_output(&window, values->in[0]->shape.rank, &shape);
    rule_output(values, 0, values->in[0]->type, &shape);
    rule_output(values, 1, TENSOR_I64, &shape);
    return 0;
}

static int pool_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return set_shapes(node, values, TYPES_FLOAT, err);
}

static int max_pool_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t order = node_int(node, "storage_order", 0);
    if (order != 0 && order != 1)
        return error_set(err, ERROR_FORMAT, "storage_order", "%lld is neither 0 nor 1",
                         (long long)order);
    return set_shapes(node, values, TYPES_FLOAT | TYPE(I8) | TYPE(U8), err);
}

/* One position of a window. */
struct stop {
    const struct window *w;
    struct window_reach reach[WINDOW_SIDES];
    const struct tensor *in;
    int64_t plane; /* where the channel begins */
};

/* What is under a window at one stop. */
struct fold {
    double largest;
    int64_t place[WINDOW_SIDES]; /* of the largest, the first of equals; rows -1: there is none */
    double sum;
    int64_t count;
};

/* The place of a tap along one side. */
static int64_t tap_at(const struct stop *stop, int side, int64_t k)
{
    return stop->reach[side].start + k * stop->w->dilation[side];
}

/* p: 0 sums elements, else their powers. */
static struct fold fold_window(const struct stop *stop, int64_t p)
{
    const struct window *w = stop->w;
    const struct window_reach *reach = stop->reach;
    struct fold fold = { .largest = -INFINITY, .place = { -1, -1, -1 } };
    for (int64_t kz = reach[DEPTH].first; kz < reach[DEPTH].end; kz++)
        for (int64_t ky = reach[ROWS].first; ky < reach[ROWS].end; ky++)
            for (int64_t kx = reach[COLUMNS].first; kx < reach[COLUMNS].end; kx++) {
                int64_t z = tap_at(stop, DEPTH, kz), y = tap_at(stop, ROWS, ky);
                int64_t column = tap_at(stop, COLUMNS, kx);
                double x = element_load(
                    stop->in, stop->plane + (z * w->in[ROWS] + y) * w->in[COLUMNS] + column);
                if (fold.place[ROWS] < 0 || x > fold.largest || (isnan(x) && !isnan(fold.largest))) {
                    fold.largest = x;
                    fold.place[ROWS] = y;
                    fold.place[COLUMNS] = column;
                    fold.place[DEPTH] = z;
                }
                fold.sum += p ? pow(fabs(x), (double)p) : x;
                fold.count++;
            }
    return fold;
}

typedef void finish_fn(const struct node *node, const struct stop *stop, const struct fold *fold,
                       struct tensor *const *out, int64_t at);

static int pool(const struct node *node, const struct tensor *in, struct tensor *const *out,
                int64_t p, finish_fn *finish, struct error *err)
{
    struct window w;
    int rc = window_of_pool(node, &in->shape, &w, err);
    if (rc)
        return rc;
    struct stop stop = { .w = &w, .in = in };
    int64_t at = 0, planes = w.batch * w.in_channels;
    for (; planes > 0; planes--, stop.plane += window_in_size(&w))
        for (int64_t z = 0; z < w.out[DEPTH]; z++) {
            stop.reach[DEPTH] = window_reach_at(&w, DEPTH, z);
            for (int64_t y = 0; y < w.out[ROWS]; y++) {
                stop.reach[ROWS] = window_reach_at(&w, ROWS, y);
                for (int64_t x = 0; x < w.out[COLUMNS]; x++, at++) {
                    stop.reach[COLUMNS] = window_reach_at(&w, COLUMNS, x);
                    struct fold fold = fold_window(&stop, p);
                    finish(node, &stop, &fold, out, at);
                }
            }
        }
    return 0;
}

/* In storage order 1 places count along columns, rows first and depth last of all. */
static void finish_max(const struct node *node, const struct stop *stop, const struct fold *fold,
                       struct tensor *const *out, int64_t at)
{
    if (out[0])
        element_store(out[0], at, fold->largest);
    if (!out[1])
        return;
    const int64_t *in = stop->w->in, *place = fold->place;
    int64_t in_plane = node_int(node, "storage_order", 0)
                           ? place[DEPTH] + in[DEPTH] * (place[ROWS] + in[ROWS] * place[COLUMNS])
                           : (place[DEPTH] * in[ROWS] + place[ROWS]) * in[COLUMNS] + place[COLUMNS];
    rule_set_int(out[1], at, fold->count ? stop->plane + in_plane : -1);
}

static void finish_average(const struct node *node, const struct stop *stop,
                           const struct fold *fold, struct tensor *const *out, int64_t at)
{
    int64_t count = fold->count;
    if (node_int(node, "count_include_pad", 0))
        count = stop->reach[DEPTH].counted * stop->reach[ROWS].counted * stop->reach[COLUMNS].counted;
    element_store(out[0], at, count ? fold->sum / (double)count : 0);
}

static void finish_lp(const struct node *node, const struct stop *stop, const struct fold *fold,
                      struct tensor *const *out, int64_t at)
{
    (void)stop;
    element_store(out[0], at, pow(fold->sum, 1 / (double)node_int(node, "p", 2)));
}

static int max_pool_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    return pool(node, in[0], out, 0, finish_max, err);
}

static int average_pool_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err)
{
    return pool(node, in[0], out, 0, finish_average, err);
}

static int lp_pool_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    return pool(node, in[0], out, node_int(node, "p", 2), finish_lp, err);
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
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 3, SHAPE_RANK_MAX, err);
    if (rc || (rc = check_p(node, err)))
        return rc;
    struct shape shape = values->in[0]->shape;
    if (shape_elements(&shape) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    for (int i = 2; i < shape.rank; i++)
        shape.dim[i] = 1;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* The planes of all channels; size: elements of one. */
static int64_t count_planes(const struct tensor *in, int64_t *size)
{
    *size = shape_span(&in->shape, 2, in->shape.rank);
    return shape_span(&in->shape, 0, 2);
}

static int global_average_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err)
{
    (void)node;
    (void)err;
    int64_t size, planes = count_planes(in[0], &size);
    for (int64_t n = 0; n < planes; n++) {
        double sum = 0;
        for (int64_t i = 0; i < size; i++)
            sum += element_load(in[0], n * size + i);
        element_store(out[0], n, sum / (double)size);
    }
    return 0;
}

static int global_max_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    (void)node;
    (void)err;
    int64_t size, planes = count_planes(in[0], &size);
    for (int64_t n = 0; n < planes; n++) {
        double largest = -INFINITY;
        for (int64_t i = 0; i < size; i++) {
            double x = element_load(in[0], n * size + i);
            largest = x > largest || isnan(x) ? x : largest;
        }
        element_store(out[0], n, largest);
    }
    return 0;
}

static int global_lp_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err)
{
    (void)err;
    double p = (double)node_int(node, "p", 2);
    int64_t size, planes = count_planes(in[0], &size);
    for (int64_t n = 0; n < planes; n++) {
        double sum = 0;
        for (int64_t i = 0; i < size; i++)
            sum += pow(fabs(element_load(in[0], n * size + i)), p);
        element_store(out[0], n, pow(sum, 1 / p));
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
