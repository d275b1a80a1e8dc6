/* deform: DeformConv: a Conv each of whose taps reads where an offset moves it to, between elements. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/window.h"

enum { INPUT, WEIGHTS, OFFSET, BIAS, MASK, INPUTS };

static int deform_shape(const struct node *node, const struct op_values *values, struct error *err);
static int deform_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* (x, weights, offsets of N x (groups * taps * 2) x output, [bias], [mask of N x (groups * taps) x
     * output]); an offset is rows, then columns */
    { OP_ROW("DeformConv", 3, INPUTS, 1, 19, OPSET_MAX, deform_shape, deform_reference), .heavy = true,
      OP_ATTRIBUTES({ "dilations", ATTRIBUTE_INTS }, { "group", ATTRIBUTE_INT },
                    { "kernel_shape", ATTRIBUTE_INTS }, { "offset_group", ATTRIBUTE_INT },
                    { "pads", ATTRIBUTE_INTS }, { "strides", ATTRIBUTE_INTS }) },
};
const struct op_family deform_family = OP_FAMILY(rows);

/* The n-th of the inputs that go with the output: its channels. */
static int check_operand(const struct op_values *values, int index, const char *what,
                         const struct shape *out, int64_t channels, struct error *err)
{
    int rc = rule_input(values, index, what, 1u << values->in[0]->type, 4, 4, err);
    if (rc)
        return rc;
    struct shape wanted = { 4, { out->dim[0], channels, out->dim[2], out->dim[3] } };
    if (shape_equal(&values->in[index]->shape, &wanted))
        return 0;
    char given[128], text[128];
    shape_format(&values->in[index]->shape, given, sizeof given);
    shape_format(&wanted, text, sizeof text);
    return error_set(err, ERROR_FORMAT, what, "%s; %s expected", given, text);
}

static int deform_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct window w;
    struct shape shape;
    int rc = rule_input(values, INPUT, "input", TYPES_FLOAT, 4, 4, err);
    if (rc || (rc = rule_input(values, WEIGHTS, "weights", 1u << values->in[0]->type, 4, 4, err)) ||
        (rc = window_of_conv(node, &values->in[INPUT]->shape, &values->in[WEIGHTS]->shape, &w, err)))
        return rc;
    int64_t groups = node_int(node, "offset_group", 1), taps = window_kernel_size(&w);
    if (groups < 1 || groups > w.in_channels || w.in_channels % groups)
        return error_set(err, ERROR_FORMAT, "offset_group", "%lld for %lld channels",
                         (long long)groups, (long long)w.in_channels);
    if (taps > INT32_MAX / 2 / groups)
        return error_set(err, ERROR_LIMIT, "offset_group", "%lld groups of %lld taps are too many",
                         (long long)groups, (long long)taps);
    window_output(&w, 4, &shape);
    if ((rc = check_operand(values, OFFSET, "offset", &shape, groups * taps * 2, err)))
        return rc;
    if (values->in[MASK] && (rc = check_operand(values, MASK, "mask", &shape, groups * taps, err)))
        return rc;
    if (values->in[BIAS]) {
        if ((rc = rule_input(values, BIAS, "bias", 1u << values->in[0]->type, 1, 1, err)))
            return rc;
        if (values->in[BIAS]->shape.dim[0] != w.out_channels)
            return error_set(err, ERROR_FORMAT, "bias", "%lld numbers for %lld output channels",
                             (long long)values->in[BIAS]->shape.dim[0], (long long)w.out_channels);
    }
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* Between four elements of a plane; zeros around it. */
static double read_between(const struct window *w, const struct tensor *in, int64_t plane, double y,
                           double x)
{
    if (!(y > -1 && y < (double)w->in[ROWS] && x > -1 && x < (double)w->in[COLUMNS]))
        return 0;
    double sum = 0;
    int64_t top = (int64_t)floor(y), left = (int64_t)floor(x);
    for (int64_t row = top; row < top + 2; row++)
        for (int64_t column = left; column < left + 2; column++)
            if (row >= 0 && row < w->in[ROWS] && column >= 0 && column < w->in[COLUMNS])
                sum += (1 - fabs(y - (double)row)) * (1 - fabs(x - (double)column)) *
                       element_load(in, plane + row * w->in[COLUMNS] + column);
    return sum;
}

/* What one input channel adds to one output element; weights: of its first tap. */
static double add_channel(const struct window *w, const struct tensor *const *in, int64_t n,
                          int64_t channel, int64_t groups, int64_t at, int64_t weights)
{
    double sum = 0;
    int64_t taps = window_kernel_size(w), pixels = window_out_size(w);
    int64_t row = at / w->out[COLUMNS], column = at % w->out[COLUMNS];
    int64_t first = (n * groups + channel * groups / w->in_channels) * taps;
    int64_t plane = (n * w->in_channels + channel) * window_in_size(w);
    for (int64_t k = 0; k < taps; k++) {
        int64_t ky = k / w->kernel[COLUMNS], kx = k % w->kernel[COLUMNS];
        int64_t y = row * w->stride[ROWS] - w->pad_begin[ROWS] + ky * w->dilation[ROWS];
        int64_t x = column * w->stride[COLUMNS] - w->pad_begin[COLUMNS] + kx * w->dilation[COLUMNS];
        double down = element_load(in[OFFSET], (first + k) * 2 * pixels + at);
        double right = element_load(in[OFFSET], ((first + k) * 2 + 1) * pixels + at);
        double mask = in[MASK] ? element_load(in[MASK], (first + k) * pixels + at) : 1;
        sum += element_load(in[WEIGHTS], weights + k) * mask *
               read_between(w, in[INPUT], plane, (double)y + down, (double)x + right);
    }
    return sum;
}

static int deform_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_conv(node, &in[INPUT]->shape, &in[WEIGHTS]->shape, &w, err);
    if (rc)
        return rc;
    int64_t groups = node_int(node, "offset_group", 1), taps = window_kernel_size(&w);
    int64_t channels = w.in_channels / w.groups, filters = w.out_channels / w.groups;
    int64_t pixels = window_out_size(&w);
    for (int64_t i = 0; i < w.batch * w.out_channels * pixels; i++) {
        int64_t n = i / pixels / w.out_channels, m = i / pixels % w.out_channels;
        double sum = in[BIAS] ? element_load(in[BIAS], m) : 0;
        for (int64_t c = 0; c < channels; c++)
            sum += add_channel(&w, in, n, m / filters * channels + c, groups, i % pixels,
                               (m * channels + c) * taps);
        element_store(out[0], i, sum);
    }
    return 0;
}
