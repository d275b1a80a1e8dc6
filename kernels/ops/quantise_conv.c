/* quantise_conv: ConvInteger, QLinearConv and our conv_int8. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/quantise_sum.h"
#include "ops/window.h"

static int conv_integer_shape(const struct node *node, const struct op_values *values,
                              struct error *err);
static int conv_integer_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err);
static int qlinear_shape(const struct node *node, const struct op_values *values, struct error *err);
static int qlinear_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

/* clang-format off */
#define WINDOW_ATTRIBUTES                                                                         \
    { "auto_pad", ATTRIBUTE_STRING }, { "dilations", ATTRIBUTE_INTS }, { "group", ATTRIBUTE_INT }, \
    { "kernel_shape", ATTRIBUTE_INTS }, { "pads", ATTRIBUTE_INTS }, { "strides", ATTRIBUTE_INTS }
#define LIMITS { "low", ATTRIBUTE_INT }, { "high", ATTRIBUTE_INT }

static const struct op rows[] = {
    { OP_ROW("ConvInteger", 2, 4, 1, 10, OPSET_MAX, conv_integer_shape, conv_integer_reference),
      .heavy = true, .gradient = gradient_none, OP_ATTRIBUTES(WINDOW_ATTRIBUTES) },
    { OP_ROW("QLinearConv", 8, 9, 1, 10, OPSET_MAX, qlinear_shape, qlinear_reference),
      .heavy = true, .gradient = gradient_none, OP_ATTRIBUTES(WINDOW_ATTRIBUTES) },
    /* The same, with what an activation leaves of the output's type. */
    { OP_ROW("conv_int8", 8, 9, 1, OPSET_OWN, OPSET_OWN, qlinear_shape, qlinear_reference),
      .heavy = true, OP_ATTRIBUTES(WINDOW_ATTRIBUTES, LIMITS) },
};
/* clang-format on */
const struct op_family quantise_conv_family = OP_FAMILY(rows);

/* A parameter of the weights: one number, or one for each output channel. */
static int check_of_channels(const struct op_values *values, int index, const char *what,
                             unsigned types, int64_t channels, struct error *err)
{
    if (!values->in[index])
        return 0;
    int rc = rule_input(values, index, what, types, 0, 1, err);
    const struct shape *shape = &values->in[index]->shape;
    if (!rc && shape->rank == 1 && shape->dim[0] != 1 && shape->dim[0] != channels)
        return error_set(err, ERROR_FORMAT, what, "%lld numbers for %lld output channels",
                         (long long)shape->dim[0], (long long)channels);
    return rc;
}

static double of_channel(const struct tensor *tensor, int64_t channel)
{
    if (!tensor)
        return 0;
    return number_load(tensor, shape_elements(&tensor->shape) > 1 ? channel : 0);
}

static int check_conv(const struct node *node, const struct op_values *values, int x, int weights,
                      struct window *window, struct error *err)
{
    int rc = rule_input(values, x, "input", TYPES_BYTE, 3, 4, err);
    if (rc || (rc = rule_input(values, weights, "weights", TYPES_BYTE, 3, 4, err)))
        return rc;
    return window_of_conv(node, &values->in[x]->shape, &values->in[weights]->shape, window, err);
}

static int conv_integer_shape(const struct node *node, const struct op_values *values,
                              struct error *err)
{
    struct window window;
    int rc = check_conv(node, values, INTEGER_A, INTEGER_B, &window, err);
    if (rc ||
        (rc = quantise_check_zero(values, INTEGER_A_ZERO, "x_zero_point",
                                  values->in[INTEGER_A]->type, err)) ||
        (rc = check_of_channels(values, INTEGER_B_ZERO, "w_zero_point",
                                1u << values->in[INTEGER_B]->type, window.out_channels, err)))
        return rc;
    struct shape shape;
    window_output(&window, values->in[INTEGER_A]->shape.rank, &shape);
    rule_output(values, 0, TENSOR_I32, &shape);
    return 0;
}

static int qlinear_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct window window;
    int rc = check_conv(node, values, QLINEAR_A, QLINEAR_B, &window, err);
    if (rc || (rc = rule_input(values, QLINEAR_Y_ZERO, "y_zero_point", TYPES_BYTE, 0, 1, err)))
        return rc;
    enum tensor_type x = values->in[QLINEAR_A]->type, w = values->in[QLINEAR_B]->type;
    enum tensor_type y = values->in[QLINEAR_Y_ZERO]->type;
    int64_t channels = window.out_channels;
    if ((rc = quantise_check_scale(values, QLINEAR_A_SCALE, "x_scale", err)) ||
        (rc = quantise_check_zero(values, QLINEAR_A_ZERO, "x_zero_point", x, err)) ||
        (rc = check_of_channels(values, QLINEAR_B_SCALE, "w_scale", TYPES_SCALE, channels, err)) ||
        (rc = check_of_channels(values, QLINEAR_B_ZERO, "w_zero_point", 1u << w, channels, err)) ||
        (rc = quantise_check_scale(values, QLINEAR_Y_SCALE, "y_scale", err)) ||
        (rc = quantise_check_zero(values, QLINEAR_Y_ZERO, "y_zero_point", y, err)) ||
        (rc = quantise_check_limits(node, y, err)))
        return rc;
    if (values->in[QLINEAR_BIAS] &&
        (rc = rule_input(values, QLINEAR_BIAS, "bias", TYPE(I32), 1, 1, err)))
        return rc;
    if (values->in[QLINEAR_BIAS] && values->in[QLINEAR_BIAS]->shape.dim[0] != channels)
        return error_set(err, ERROR_FORMAT, "bias", "%lld numbers for %lld output channels",
                         (long long)values->in[QLINEAR_BIAS]->shape.dim[0], (long long)channels);
    struct shape shape;
    window_output(&window, values->in[QLINEAR_A]->shape.rank, &shape);
    rule_output(values, 0, y, &shape);
    return 0;
}

/* Adds what one row of the kernel makes of a row of the input to `count` sums from column `first` on. */
static void add_taps(const struct window *w, const struct bytes *line, const struct bytes *taps,
                     int64_t first, int64_t count, int64_t *sums)
{
    for (int64_t kx = 0; kx < w->kernel[COLUMNS]; kx++) {
        int64_t weight = byte_at(taps, kx);
        int64_t shift = kx * w->dilation[COLUMNS] - w->pad_begin[COLUMNS];
        for (int64_t x = 0; x < count; x++) {
            int64_t column = (first + x) * w->stride[COLUMNS] + shift;
            if (column >= 0 && column < w->in[COLUMNS])
                sums[x] += weight * byte_at(line, column);
        }
    }
}

/* Output columns [first, first + count) of one row of one channel. What is padded is 0, that is, the
 * zero point. */
static void conv_stretch(const struct window *w, const struct bytes *input,
                         const struct bytes *weights, int64_t row, int64_t first, int64_t count,
                         int64_t *sums)
{
    for (int64_t c = 0; c < w->in_channels / w->groups; c++)
        for (int64_t ky = 0; ky < w->kernel[ROWS]; ky++) {
            int64_t y = row * w->stride[ROWS] - w->pad_begin[ROWS] + ky * w->dilation[ROWS];
            if (y < 0 || y >= w->in[ROWS])
                continue;
            struct bytes line = *input, taps = *weights;
            line.data += (c * w->in[ROWS] + y) * w->in[COLUMNS];
            taps.data += (c * w->kernel[ROWS] + ky) * w->kernel[COLUMNS];
            add_taps(w, &line, &taps, first, count, sums);
        }
}

/* One plane of the output. */
static void conv_plane(const struct window *w, const struct bytes *input,
                       const struct bytes *weights, int64_t bias, const struct finish *finish,
                       int64_t at, double factor, int64_t zero)
{
    for (int64_t row = 0; row < w->out[ROWS]; row++)
        for (int64_t first = 0; first < w->out[COLUMNS]; first += STRETCH) {
            int64_t count = w->out[COLUMNS] - first < STRETCH ? w->out[COLUMNS] - first : STRETCH;
            int64_t sums[STRETCH];
            for (int64_t x = 0; x < count; x++)
                sums[x] = bias;
            conv_stretch(w, input, weights, row, first, count, sums);
            for (int64_t x = 0; x < count; x++)
                finish_sum(finish, at + row * w->out[COLUMNS] + first + x, sums[x], factor, zero);
        }
}

/* Where the bytes of output channel m of picture n come from. */
static struct bytes conv_input(const struct window *w, const struct tensor *x, int64_t n, int64_t m,
                               int64_t zero)
{
    int64_t channels = w->in_channels / w->groups, filters = w->out_channels / w->groups;
    int64_t plane = w->in[ROWS] * w->in[COLUMNS];
    return bytes_of(x, (n * w->in_channels + m / filters * channels) * plane, zero);
}

static struct bytes conv_weights(const struct window *w, const struct tensor *weights, int64_t m,
                                 const struct tensor *zero)
{
    int64_t size = w->in_channels / w->groups * w->kernel[ROWS] * w->kernel[COLUMNS];
    return bytes_of(weights, m * size, (int64_t)of_channel(zero, m));
}

static int conv_integer_reference(const struct node *node, const struct tensor *const *in,
                                  struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_conv(node, &in[INTEGER_A]->shape, &in[INTEGER_B]->shape, &w, err);
    if (rc)
        return rc;
    struct finish finish = finish_at(node, out[0]);
    for (int64_t i = 0; i < w.batch * w.out_channels; i++) {
        int64_t n = i / w.out_channels, m = i % w.out_channels;
        struct bytes input = conv_input(&w, in[INTEGER_A], n, m, quantise_zero(in[INTEGER_A_ZERO]));
        struct bytes weights = conv_weights(&w, in[INTEGER_B], m, in[INTEGER_B_ZERO]);
        conv_plane(&w, &input, &weights, 0, &finish, i * w.out[ROWS] * w.out[COLUMNS], 1, 0);
    }
    return 0;
}

static int qlinear_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_conv(node, &in[QLINEAR_A]->shape, &in[QLINEAR_B]->shape, &w, err);
    if (rc)
        return rc;
    struct finish finish = finish_at(node, out[0]);
    int64_t zero = quantise_zero(in[QLINEAR_Y_ZERO]);
    double scale = quantise_scale(in[QLINEAR_A_SCALE]) / quantise_scale(in[QLINEAR_Y_SCALE]);
    for (int64_t i = 0; i < w.batch * w.out_channels; i++) {
        int64_t n = i / w.out_channels, m = i % w.out_channels;
        struct bytes input = conv_input(&w, in[QLINEAR_A], n, m, quantise_zero(in[QLINEAR_A_ZERO]));
        struct bytes weights = conv_weights(&w, in[QLINEAR_B], m, in[QLINEAR_B_ZERO]);
        int64_t bias = in[QLINEAR_BIAS] ? number_load_whole(in[QLINEAR_BIAS], m) : 0;
        conv_plane(&w, &input, &weights, bias, &finish, i * w.out[ROWS] * w.out[COLUMNS],
                   scale * of_channel(in[QLINEAR_B_SCALE], m), zero);
    }
    return 0;
}
