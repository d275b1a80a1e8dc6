/* conv: Conv and ConvTranspose. The reference sums a stretch of output columns at a time, kernel
 * tap by kernel tap: still plain, but the inner loop runs along memory. */
#include "ops/conv.h"
#include "ops/families.h"
#include "ops/rules.h"
#include <string.h>

#define STRETCH 128 /* output columns summed together; their sums stay in the nearest cache */

static int conv_shape(const struct node *node, const struct op_values *values, struct error *err);
static int conv_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int conv_transpose_shape(const struct node *node, const struct op_values *values,
                                struct error *err);
static int conv_transpose_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err);

/* clang-format off */
#define WINDOW_ATTRIBUTES                                                                         \
    { "auto_pad", ATTRIBUTE_STRING }, { "dilations", ATTRIBUTE_INTS }, { "group", ATTRIBUTE_INT }, \
    { "kernel_shape", ATTRIBUTE_INTS }, { "pads", ATTRIBUTE_INTS }, { "strides", ATTRIBUTE_INTS }
/* clang-format on */

static const struct op rows[] = {
    { OP_ROW("Conv", 2, 3, 1, OPSET_MIN, OPSET_MAX, conv_shape, conv_reference), .heavy = true,
      .gradient = conv_gradient, OP_ATTRIBUTES(WINDOW_ATTRIBUTES) },
    { OP_ROW("ConvTranspose", 2, 3, 1, OPSET_MIN, OPSET_MAX, conv_transpose_shape,
             conv_transpose_reference),
      .heavy = true, .gradient = conv_transpose_gradient,
      OP_ATTRIBUTES(WINDOW_ATTRIBUTES, { "output_padding", ATTRIBUTE_INTS },
                    { "output_shape", ATTRIBUTE_INTS }) },
};
const struct op_family conv_family = OP_FAMILY(rows);

/* Input, weights and, where it is there, the bias; then the output from the window. */
static int finish_shape(const struct op_values *values, const struct window *window, struct error *err)
{
    enum tensor_type type = values->in[0]->type;
    if (values->in[2]) {
        int rc = rule_input(values, 2, "bias", 1u << type, 1, 1, err);
        if (rc)
            return rc;
        if (values->in[2]->shape.dim[0] != window->out_channels)
            return error_set(err, ERROR_FORMAT, "bias", "%lld numbers for %lld output channels",
                             (long long)values->in[2]->shape.dim[0], (long long)window->out_channels);
    }
    struct shape shape;
    window_output(window, values->in[0]->shape.rank, &shape);
    rule_output(values, 0, type, &shape);
    return 0;
}

static int conv_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct window window;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 3, WINDOW_RANK_MAX, err);
    if (rc ||
        (rc = rule_input(values, 1, "weights", 1u << values->in[0]->type, 3, WINDOW_RANK_MAX, err)) ||
        (rc = window_of_conv(node, &values->in[0]->shape, &values->in[1]->shape, &window, err)))
        return rc;
    return finish_shape(values, &window, err);
}

static int conv_transpose_shape(const struct node *node, const struct op_values *values,
                                struct error *err)
{
    struct window window;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 3, WINDOW_RANK_MAX, err);
    if (rc ||
        (rc = rule_input(values, 1, "weights", 1u << values->in[0]->type, 3, WINDOW_RANK_MAX, err)) ||
        (rc = window_of_conv_transpose(node, &values->in[0]->shape, &values->in[1]->shape, &window,
                                       err)))
        return rc;
    return finish_shape(values, &window, err);
}

/* Adds weight times input to the sums of output columns [first, first + count): column x reads input
 * column x * stride + shift, where there is one. */
static void add_tap(double *sums, const real *input, int64_t columns, real weight, int64_t first,
                    int64_t count, int64_t stride, int64_t shift)
{
    int64_t from = first, to = first + count;
    while (from < to && from * stride + shift < 0)
        from++;
    while (to > from && (to - 1) * stride + shift >= columns)
        to--;
    const real *source = input + from * stride + shift;
    double *sum = sums + (from - first);
    if (stride == 1)
        for (int64_t x = 0; x < to - from; x++)
            sum[x] += (double)weight * (double)source[x];
    else
        for (int64_t x = 0; x < to - from; x++)
            sum[x] += (double)weight * (double)source[x * stride];
}

/* Adds what one input channel gives output columns [first, first + count) of a row; weights is the
 * filter's part for it. */
static void add_channel(const struct window *w, double *sums, const real *input,
                        const real *weights, const int64_t at[2], int64_t first, int64_t count)
{
    for (int64_t kz = 0; kz < w->kernel[DEPTH]; kz++) {
        int64_t z = at[0] * w->stride[DEPTH] - w->pad_begin[DEPTH] + kz * w->dilation[DEPTH];
        for (int64_t ky = 0; z >= 0 && z < w->in[DEPTH] && ky < w->kernel[ROWS]; ky++) {
            int64_t y = at[1] * w->stride[ROWS] - w->pad_begin[ROWS] + ky * w->dilation[ROWS];
            if (y < 0 || y >= w->in[ROWS])
                continue;
            const real *line = input + (z * w->in[ROWS] + y) * w->in[COLUMNS];
            const real *taps = weights + (kz * w->kernel[ROWS] + ky) * w->kernel[COLUMNS];
            for (int64_t kx = 0; kx < w->kernel[COLUMNS]; kx++)
                add_tap(sums, line, w->in[COLUMNS], taps[kx], first, count, w->stride[COLUMNS],
                        kx * w->dilation[COLUMNS] - w->pad_begin[COLUMNS]);
        }
    }
}

/* One row of one output channel. input is the first channel of its group, weights its filter. */
static void conv_row(const struct window *w, const real *input, const real *weights, real bias,
                     int64_t depth, int64_t row, real *out)
{
    int64_t channels = w->in_channels / w->groups;
    int64_t plane = window_in_size(w), kernel = window_kernel_size(w);
    for (int64_t first = 0; first < w->out[COLUMNS]; first += STRETCH) {
        int64_t count = w->out[COLUMNS] - first < STRETCH ? w->out[COLUMNS] - first : STRETCH;
        double sums[STRETCH];
        for (int64_t x = 0; x < count; x++)
            sums[x] = (double)bias;
        for (int64_t c = 0; c < channels; c++)
            add_channel(w, sums, input + c * plane, weights + c * kernel,
                        (const int64_t[]){ depth, row }, first, count);
        for (int64_t x = 0; x < count; x++)
            out[first + x] = (real)sums[x];
    }
}

static int conv_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_conv(node, &in[0]->shape, &in[1]->shape, &w, err);
    if (rc)
        return rc;
    if (in[0]->type != TENSOR_REAL) {
        conv_any(&w, false, in, out[0]);
        return 0;
    }
    int64_t channels = w.in_channels / w.groups, filters = w.out_channels / w.groups;
    int64_t filter_size = channels * window_kernel_size(&w);
    real *line = out[0]->data;
    for (int64_t n = 0; n < w.batch; n++)
        for (int64_t m = 0; m < w.out_channels; m++) {
            const real *input = (const real *)in[0]->data +
                                (n * w.in_channels + m / filters * channels) * window_in_size(&w);
            const real *weights = (const real *)in[1]->data + m * filter_size;
            real bias = in[2] ? ((const real *)in[2]->data)[m] : 0;
            for (int64_t depth = 0; depth < w.out[DEPTH]; depth++)
                for (int64_t row = 0; row < w.out[ROWS]; row++, line += w.out[COLUMNS])
                    conv_row(&w, input, weights, bias, depth, row, line);
        }
    return 0;
}

static int conv_transpose_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_conv_transpose(node, &in[0]->shape, &in[1]->shape, &w, err);
    if (rc)
        return rc;
    if (in[0]->type != TENSOR_REAL) {
        conv_any(&w, true, in, out[0]);
        return 0;
    }
    struct window back = w; /* of the Conv that goes the other way, with the same weights */
    back.in_channels = w.out_channels;
    back.out_channels = w.in_channels;
    memcpy(back.in, w.out, sizeof back.in);
    memcpy(back.out, w.in, sizeof back.out);
    conv_spread(&back, in[0]->data, in[1]->data, in[2] ? in[2]->data : NULL, out[0]->data);
    return 0;
}
