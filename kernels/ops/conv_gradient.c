/* conv_gradient: gradients of Conv and ConvTranspose. A ConvTranspose is the gradient of a Conv whose
 * input is its output, with the same weights, so its own gradients are that Conv and the gradient of
 * that Conv's weights. */
#include "ops/conv.h"
#include "ops/families.h"
#include "ops/rules.h"

#define LANES 4 /* sums of a dot product that do not wait for each other */

static int grad_input_shape(const struct node *node, const struct op_values *values,
                            struct error *err);
static int grad_input_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);
static int grad_weights_shape(const struct node *node, const struct op_values *values,
                              struct error *err);
static int grad_weights_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err);

/* clang-format off */
#define WINDOW_ATTRIBUTES                                                                         \
    { "auto_pad", ATTRIBUTE_STRING }, { "dilations", ATTRIBUTE_INTS }, { "group", ATTRIBUTE_INT }, \
    { "kernel_shape", ATTRIBUTE_INTS }, { "pads", ATTRIBUTE_INTS }, { "strides", ATTRIBUTE_INTS }
/* clang-format on */

static const struct op rows[] = {
    { OP_ROW("conv_grad_input", 2, 2, 1, OPSET_OWN, OPSET_OWN, grad_input_shape, grad_input_reference),
      .heavy = true, OP_ATTRIBUTES(WINDOW_ATTRIBUTES, { "input_shape", ATTRIBUTE_INTS }) },
    { OP_ROW("conv_grad_weights", 2, 2, 2, OPSET_OWN, OPSET_OWN, grad_weights_shape,
             grad_weights_reference),
      .heavy = true, OP_ATTRIBUTES(WINDOW_ATTRIBUTES, { "weights_shape", ATTRIBUTE_INTS }) },
};
const struct op_family conv_gradient_family = OP_FAMILY(rows);

/* A window as attributes of a node. */
struct window_lists {
    int64_t strides[2], dilations[2], pads[4];
    int spatial;
};

static struct window_lists list_window(const struct window *window, int rank,
                                       const int64_t pad_end[2]);
static void add_weights_gradient(struct gradient *g, const struct window_lists *lists,
                                 int64_t group, int x, int dy, bool with_bias);
static int sum_channels(struct gradient *g, int dy);
static int crop(struct gradient *g, int value, const int64_t size[2]);
static int check_flat(struct gradient *g, const struct shape *input);
static void add_weight_planes(const struct window *w, const real *x, const real *dy, int64_t c,
                              int64_t m, real *filter);
static double sum_tap(const struct window *w, const real *x, const real *dy, int64_t ky, int64_t kx);
static void sum_planes(const struct window *w, const real *dy, real *sums);
static int same_output(const struct window *window, const struct shape *dy, struct error *err);

/* clang-format off */
#define LISTS(lists, group_count)                                                 \
    GRADIENT_INT("group", group_count),                                           \
    GRADIENT_INTS("strides", (lists)->strides, (lists)->spatial),                 \
    GRADIENT_INTS("dilations", (lists)->dilations, (lists)->spatial),             \
    GRADIENT_INTS("pads", (lists)->pads, 2 * (lists)->spatial)
/* clang-format on */

/* ---- rules ---- */

int conv_gradient(struct gradient *g)
{
    const struct shape input = *gradient_shape(g, g->node->inputs[0]);
    const struct shape weights = *gradient_shape(g, g->node->inputs[1]);
    struct window window;
    int dy = g->out[0];
    g->rc = check_flat(g, &input);
    if (!g->rc)
        g->rc = window_of_conv(g->node, &input, &weights, &window, g->err);
    if (g->rc)
        return g->rc;
    struct window_lists lists = list_window(&window, input.rank, window.pad_end);
    if (g->wants[0])
        g->in[0] =
            gradient_node(g, "conv_grad_input", (int[]){ dy, g->node->inputs[1] }, 2,
                          (struct attribute[]){ LISTS(&lists, window.groups),
                                                GRADIENT_INTS("input_shape", input.dim, input.rank),
                                                { 0 } },
                          NULL, 1);
    if (g->wants[1])
        add_weights_gradient(g, &lists, window.groups, g->node->inputs[0], dy, g->wants[2]);
    else if (g->wants[2])
        g->in[2] = sum_channels(g, dy);
    return gradient_end(g);
}

/* The Conv goes from this node's output to its input. Where output_padding makes the output larger
 * than the Conv's last window reaches, what is behind has no part in it. */
int conv_transpose_gradient(struct gradient *g)
{
    const struct shape input = *gradient_shape(g, g->node->inputs[0]);
    const struct shape weights = *gradient_shape(g, g->node->inputs[1]);
    struct window window;
    int dy = g->out[0];
    g->rc = check_flat(g, &input);
    if (!g->rc)
        g->rc = window_of_conv_transpose(g->node, &input, &weights, &window, g->err);
    if (g->rc)
        return g->rc;
    if (g->wants[2])
        g->in[2] = sum_channels(g, dy);
    int64_t size[2], pad_end[2];
    for (int i = 0; i < 2; i++) {
        int64_t reach = (window.kernel[i] - 1) * window.dilation[i] + 1;
        int64_t end = window.stride[i] * (window.in[i] - 1) + reach - window.pad_begin[i];
        size[i] = end < window.out[i] ? end : window.out[i];
        pad_end[i] = end - size[i];
        if (size[i] < 1) /* all of it is cut off: the output is the bias */
            return gradient_end(g);
    }
    struct window_lists lists = list_window(&window, input.rank, pad_end);
    if (g->wants[0] || g->wants[1])
        dy = crop(g, dy, size);
    if (g->wants[0])
        g->in[0] =
            gradient_node(g, "Conv", (int[]){ dy, g->node->inputs[1] }, 2,
                          (struct attribute[]){ LISTS(&lists, window.groups), { 0 } }, NULL, 1);
    if (g->wants[1])
        add_weights_gradient(g, &lists, window.groups, dy, g->node->inputs[0], false);
    return gradient_end(g);
}

static struct window_lists list_window(const struct window *window, int rank,
                                       const int64_t pad_end[2])
{
    struct window_lists lists = { .spatial = rank - 2 };
    for (int i = 0, from = 2 - lists.spatial; i < lists.spatial; i++) {
        lists.strides[i] = window->stride[from + i];
        lists.dilations[i] = window->dilation[from + i];
        lists.pads[i] = window->pad_begin[from + i];
        lists.pads[lists.spatial + i] = pad_end[from + i];
    }
    return lists;
}

static void add_weights_gradient(struct gradient *g, const struct window_lists *lists,
                                 int64_t group, int x, int dy, bool with_bias)
{
    const struct shape shape = *gradient_shape(g, g->node->inputs[1]);
    int outputs[2] = { 0, 0 };
    g->in[1] = gradient_node(
        g, "conv_grad_weights", (int[]){ x, dy }, 2,
        (struct attribute[]){
            LISTS(lists, group), GRADIENT_INTS("weights_shape", shape.dim, shape.rank), { 0 } },
        outputs, with_bias ? 2 : 1);
    if (with_bias && !g->rc)
        g->in[2] = outputs[1];
}

static int check_flat(struct gradient *g, const struct shape *input)
{
    if (input->rank <= 4)
        return 0;
    return error_set(g->err, ERROR_UNSUPPORTED, "input", "no gradient of a convolution with depth");
}

/* The bias' gradient on its own. */
static int sum_channels(struct gradient *g, int dy)
{
    const struct shape *shape = gradient_shape(g, dy);
    const int64_t dims[] = { 1, shape->dim[1], 1, 1 };
    int sums = gradient_node(g, "sum_to", &dy, 1,
                             (struct attribute[]){ GRADIENT_INTS("shape", dims, shape->rank), { 0 } },
                             NULL, 1);
    return gradient_reshape_as(g, sums, 2);
}

/* The first rows and columns of an image. */
static int crop(struct gradient *g, int value, const int64_t size[2])
{
    const struct shape shape = *gradient_shape(g, value);
    int spatial = shape.rank - 2;
    const int64_t starts[] = { 0, 0 }, axes[] = { 2, 3 };
    bool whole = true;
    for (int i = 0; i < spatial; i++)
        whole = whole && shape.dim[2 + i] == size[2 - spatial + i];
    if (whole)
        return value;
    int inputs[] = { value, gradient_ints(g, starts, (size_t)spatial),
                     gradient_ints(g, size + 2 - spatial, (size_t)spatial),
                     gradient_ints(g, axes, (size_t)spatial) };
    return gradient_node(g, "Slice", inputs, 4, NULL, NULL, 1);
}

/* ---- shapes ---- */

static int grad_input_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct window window;
    struct shape shape;
    int rc = rule_input(values, 0, "output's gradient", TYPE(REAL), 3, 4, err);
    if (rc || (rc = rule_input(values, 1, "weights", TYPE(REAL), 3, 4, err)) ||
        (rc = window_of_conv_grad_input(node, &values->in[0]->shape, &values->in[1]->shape, &window,
                                        err)) ||
        (rc = conv_listed_shape(node, "input_shape", &shape, err)))
        return rc;
    rule_output(values, 0, TENSOR_REAL, &shape);
    return 0;
}

static int grad_weights_shape(const struct node *node, const struct op_values *values,
                              struct error *err)
{
    struct window window;
    struct shape shape;
    int rc = rule_input(values, 0, "input", TYPE(REAL), 3, 4, err);
    if (rc || (rc = rule_input(values, 1, "output's gradient", TYPE(REAL), 3, 4, err)) ||
        (rc = window_of_conv_grad_weights(node, &values->in[0]->shape, &values->in[1]->shape,
                                          &window, err)) ||
        (rc = conv_listed_shape(node, "weights_shape", &shape, err)))
        return rc;
    rule_output(values, 0, TENSOR_REAL, &shape);
    shape = (struct shape){ .rank = 1, .dim = { window.out_channels } };
    rule_output(values, 1, TENSOR_REAL, &shape);
    return 0;
}

int window_of_conv_grad_input(const struct node *node, const struct shape *dy,
                              const struct shape *weights, struct window *window, struct error *err)
{
    struct shape input;
    int rc = conv_listed_shape(node, "input_shape", &input, err);
    if (!rc)
        rc = window_of_conv(node, &input, weights, window, err);
    return rc ? rc : same_output(window, dy, err);
}

int window_of_conv_grad_weights(const struct node *node, const struct shape *x,
                                const struct shape *dy, struct window *window, struct error *err)
{
    struct shape weights;
    int rc = conv_listed_shape(node, "weights_shape", &weights, err);
    if (!rc)
        rc = window_of_conv(node, x, &weights, window, err);
    return rc ? rc : same_output(window, dy, err);
}

int conv_listed_shape(const struct node *node, const char *name, struct shape *shape,
                      struct error *err)
{
    const int64_t *ints;
    size_t count = node_ints(node, name, &ints);
    if (count < 3 || count > 4)
        return error_set(err, ERROR_FORMAT, name, "%zu dimensions; 3 or 4 are expected", count);
    *shape = (struct shape){ .rank = (int)count };
    for (size_t i = 0; i < count; i++) {
        shape->dim[i] = ints[i];
        if (ints[i] < 1)
            return error_set(err, ERROR_FORMAT, name, "%lld is no size", (long long)ints[i]);
    }
    return 0;
}

static int same_output(const struct window *window, const struct shape *dy, struct error *err)
{
    struct shape shape;
    window_output(window, dy->rank, &shape);
    return shape_equal(&shape, dy) ? 0
                                   : error_set(err, ERROR_FORMAT, "output's gradient",
                                               "does not have the shape of the output");
}

/* ---- kernels ---- */

static int grad_input_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    struct window window;
    int rc = window_of_conv_grad_input(node, &in[0]->shape, &in[1]->shape, &window, err);
    if (!rc)
        conv_spread(&window, in[0]->data, in[1]->data, NULL, out[0]->data);
    return rc;
}

static int grad_weights_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_conv_grad_weights(node, &in[0]->shape, &in[1]->shape, &w, err);
    if (rc)
        return rc;
    int64_t channels = w.in_channels / w.groups, filters = w.out_channels / w.groups;
    real *filter = out[0]->data;
    for (int64_t m = 0; m < w.out_channels; m++)
        for (int64_t c = 0; c < channels; c++, filter += w.kernel[ROWS] * w.kernel[COLUMNS])
            add_weight_planes(&w, in[0]->data, in[1]->data, m / filters * channels + c, m, filter);
    if (out[1])
        sum_planes(&w, in[1]->data, out[1]->data);
    return 0;
}

/* The taps between input channel c and output channel m. */
static void add_weight_planes(const struct window *w, const real *x, const real *dy, int64_t c,
                              int64_t m, real *filter)
{
    const real *x_plane = x + c * w->in[ROWS] * w->in[COLUMNS];
    const real *dy_plane = dy + m * w->out[ROWS] * w->out[COLUMNS];
    for (int64_t ky = 0; ky < w->kernel[ROWS]; ky++)
        for (int64_t kx = 0; kx < w->kernel[COLUMNS]; kx++)
            *filter++ = (real)sum_tap(w, x_plane, dy_plane, ky, kx);
}

static double dot(const real *a, const real *b, int64_t b_step, int64_t count)
{
    double lanes[LANES] = { 0 };
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int64_t k = 0; k < LANES; k++)
            lanes[k] += (double)a[i + k] * (double)b[(i + k) * b_step];
    for (; i < count; i++)
        lanes[0] += (double)a[i] * (double)b[i * b_step];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

/* Over the whole batch: output column o meets input column o * stride + shift, where there is one. */
static double sum_tap(const struct window *w, const real *x, const real *dy, int64_t ky, int64_t kx)
{
    int64_t stride = w->stride[COLUMNS];
    int64_t shift = kx * w->dilation[COLUMNS] - w->pad_begin[COLUMNS];
    int64_t from = shift < 0 ? (-shift + stride - 1) / stride : 0;
    int64_t to = w->in[COLUMNS] > shift ? (w->in[COLUMNS] - 1 - shift) / stride + 1 : 0;
    to = to < w->out[COLUMNS] ? to : w->out[COLUMNS];
    double sum = 0;
    for (int64_t n = 0; n < w->batch && from < to; n++)
        for (int64_t row = 0; row < w->out[ROWS]; row++) {
            int64_t y = row * w->stride[ROWS] - w->pad_begin[ROWS] + ky * w->dilation[ROWS];
            if (y < 0 || y >= w->in[ROWS])
                continue;
            const real *line =
                x + (n * w->in_channels * w->in[ROWS] + y) * w->in[COLUMNS] + from * stride + shift;
            const real *gradient =
                dy + (n * w->out_channels * w->out[ROWS] + row) * w->out[COLUMNS] + from;
            sum += dot(gradient, line, stride, to - from);
        }
    return sum;
}

static void sum_planes(const struct window *w, const real *dy, real *sums)
{
    int64_t plane = w->out[ROWS] * w->out[COLUMNS];
    for (int64_t m = 0; m < w->out_channels; m++) {
        double sum = 0;
        for (int64_t n = 0; n < w->batch; n++)
            for (int64_t i = 0; i < plane; i++)
                sum += (double)dy[(n * w->out_channels + m) * plane + i];
        sums[m] = (real)sum;
    }
}
