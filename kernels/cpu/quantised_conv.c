/* quantised_conv: convolutions of bytes as oneDNN has them, for weights that are within i8 when their zero
 * point is taken off. The input's zero point goes into the bias; only where the input is padded must
 * oneDNN know of it, since what is padded is the zero point. */
#include "cpu/quantised.h"
#include "ops/quantise.h"
#include <stdlib.h>
#include <string.h>

struct convolution {
    struct window window;
    bool shifts;           /* oneDNN takes the input's zero point off */
    struct layout in, out; /* of four dimensions */
    dnnl_memory_desc_t weights_as, weights_any;
    struct cpu_place *weights, *bias;
    float *scales;
};

static bool suits(const struct quantised_node *read, const struct window *window);
static int place_numbers(struct build *build, const struct quantised_node *read,
                         struct convolution *convolution, struct error *err);
static void describe_weights(struct convolution *convolution);
static int describe(struct build *build, const struct quantised_node *read,
                    const struct convolution *convolution, dnnl_primitive_desc_t *pd,
                    struct error *err);
static int add_step(struct build *build, const struct node *node,
                    const struct convolution *convolution, dnnl_primitive_desc_t pd,
                    struct error *err);
static struct shape to_image(const struct shape *shape);

int quantised_convolution(struct build *build, const struct node *node,
                          const struct quantised_node *read, const struct window *window,
                          struct error *err)
{
    struct convolution convolution = { .window = *window };
    struct shape in = to_image(&build_info(build, node->inputs[QLINEAR_A])->shape);
    struct shape out = to_image(&build_info(build, node->outputs[0])->shape);
    dnnl_primitive_desc_t pd = NULL;
    if (!suits(read, window))
        return BUILD_DECLINED;
    bool padded = (window->out[ROWS] - 1) * window->stride[ROWS] +
                          (window->kernel[ROWS] - 1) * window->dilation[ROWS] >=
                      window->in[ROWS] ||
                  (window->out[COLUMNS] - 1) * window->stride[COLUMNS] +
                          (window->kernel[COLUMNS] - 1) * window->dilation[COLUMNS] >=
                      window->in[COLUMNS] ||
                  window->pad_begin[ROWS] || window->pad_begin[COLUMNS];
    convolution.shifts = padded && read->x_zero != 0;
    convolution.in = layout_channels_last(read->x_type, &in);
    convolution.out = layout_channels_last(read->y_type, &out);
    describe_weights(&convolution);
    int rc = place_numbers(build, read, &convolution, err);
    if (!rc)
        rc = describe(build, read, &convolution, &pd, err);
    free(convolution.scales);
    if (!rc && build_is_slow(pd)) {
        dnnl_primitive_desc_destroy(pd);
        return BUILD_DECLINED;
    }
    return rc ? rc : add_step(build, node, &convolution, pd, err);
}

static bool suits(const struct quantised_node *read, const struct window *window)
{
    int64_t size = shape_elements(&read->weights->shape), filter = size / window->out_channels;
    if (window->kernel[ROWS] * window->kernel[COLUMNS] == 1 && window->groups == 1)
        return false; /* a product of matrices as it is, which takes any weights */
    for (int64_t i = 0; i < size; i++) {
        int64_t weight = quantised_weight(read, i, i / filter);
        if (weight < INT8_MIN || weight > INT8_MAX)
            return false;
    }
    return true;
}

static int place_numbers(struct build *build, const struct quantised_node *read,
                         struct convolution *convolution, struct error *err)
{
    int64_t channels = convolution->window.out_channels;
    int64_t size = shape_elements(&read->weights->shape), filter = size / channels;
    struct layout all = layout_dense(TENSOR_I8, &read->weights->shape);
    struct layout line = layout_dense(TENSOR_I32, &(struct shape){ 1, { channels } });
    int8_t *weights = cpu_allocate(layout_bytes(&all));
    int32_t *bias = cpu_allocate(layout_bytes(&line));
    bool fits = true;
    convolution->scales = calloc((size_t)channels, sizeof *convolution->scales);
    bool room = weights && bias && convolution->scales;
    for (int64_t m = 0; room && m < channels; m++) {
        int64_t sum = 0;
        for (int64_t i = m * filter; i < (m + 1) * filter; i++) {
            weights[i] = (int8_t)quantised_weight(read, i, m);
            sum += weights[i];
        }
        int64_t whole = quantised_bias(read, m) - (convolution->shifts ? 0 : read->x_zero * sum);
        fits = fits && whole >= INT32_MIN && whole <= INT32_MAX;
        bias[m] = (int32_t)whole;
        convolution->scales[m] = quantised_factor(read, m);
    }
    if (!room || !fits) {
        free(weights);
        free(bias);
        return room ? BUILD_DECLINED : error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    }
    int rc = build_take_constant(build, weights, &all, &convolution->weights, err);
    if (rc) {
        free(bias);
        return rc;
    }
    return build_take_constant(build, bias, &line, &convolution->bias, err);
}

/* Groups, outputs, inputs, rows, columns. */
static void describe_weights(struct convolution *convolution)
{
    const struct window *window = &convolution->window;
    dnnl_dim_t outs = window->out_channels / window->groups;
    dnnl_dim_t ins = window->in_channels / window->groups;
    dnnl_dim_t columns = window->kernel[COLUMNS], kernel = window->kernel[ROWS] * columns;
    dnnl_dims_t dims = { window->groups, outs, ins, window->kernel[ROWS], columns };
    dnnl_dims_t strides = { outs * ins * kernel, ins * kernel, kernel, columns, 1 };
    int skip = window->groups == 1 ? 1 : 0;
    dnnl_memory_desc_init_by_strides(&convolution->weights_as, 5 - skip, dims + skip, dnnl_s8,
                                     strides + skip);
    dnnl_memory_desc_init_by_tag(&convolution->weights_any, 5 - skip, dims + skip, dnnl_s8,
                                 dnnl_format_tag_any);
}

static int describe(struct build *build, const struct quantised_node *read,
                    const struct convolution *convolution, dnnl_primitive_desc_t *pd,
                    struct error *err)
{
    const struct window *window = &convolution->window;
    dnnl_memory_desc_t in, out;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_attr_t attr;
    dnnl_dims_t strides, dilates, begin, end;
    layout_md(&convolution->in, &in);
    layout_md(&convolution->out, &out);
    for (int d = 0; d < 2; d++) {
        int64_t reach = (window->kernel[d] - 1) * window->dilation[d] + 1;
        strides[d] = window->stride[d];
        dilates[d] = window->dilation[d] - 1;
        begin[d] = window->pad_begin[d];
        /* The padding behind that makes the output exactly as large as it is. */
        end[d] =
            (window->out[d] - 1) * window->stride[d] + reach - window->in[d] - window->pad_begin[d];
    }
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &desc, dnnl_forward_inference, dnnl_convolution_direct, &in, &convolution->weights_any,
        &convolution->bias->md, &out, strides, dilates, begin, end);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    int rc = quantised_attr(read, convolution->scales, window->out_channels, &attr);
    if (rc)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    int32_t zero = (int32_t)read->x_zero;
    if (convolution->shifts)
        dnnl_primitive_attr_set_zero_points(attr, DNNL_ARG_SRC, 1, 0, &zero);
    struct error ignored; /* not to have it in this form is an answer */
    rc = build_describe(build, &desc, attr, pd, &ignored);
    dnnl_primitive_attr_destroy(attr);
    return rc ? BUILD_DECLINED : 0;
}

static int add_step(struct build *build, const struct node *node,
                    const struct convolution *convolution, dnnl_primitive_desc_t pd,
                    struct error *err)
{
    const struct window *window = &convolution->window;
    const struct value *in_info = build_info(build, node->inputs[QLINEAR_A]);
    const struct value *out_info = build_info(build, node->outputs[0]);
    struct layout from = layout_channels_last(in_info->type, &in_info->shape);
    struct layout to = layout_channels_last(out_info->type, &out_info->shape);
    struct cpu_place *in, *weights, *out;
    int rc = build_want(build, node->inputs[QLINEAR_A], &from, &in, err);
    if (!rc)
        rc = build_alias(build, in, 0, &convolution->in, &in, err);
    if (!rc)
        rc = build_reorder_weights(build, convolution->weights, &convolution->weights_as,
                                   dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
                                   &weights, err);
    if (!rc)
        rc = build_new_place(build, &convolution->out, &out, err);
    if (!rc)
        rc = build_view(build, node->outputs[0], out, 0, &to, err);
    if (rc) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, in);
    build_add_arg(&args, DNNL_ARG_WEIGHTS, weights);
    build_add_arg(&args, DNNL_ARG_BIAS, convolution->bias);
    build_add_arg(&args, DNNL_ARG_DST, out);
    uint64_t sums = (uint64_t)shape_elements(&convolution->out.shape);
    return build_primitive(build, pd, &args,
                           2 * sums *
                               (uint64_t)(window->in_channels / window->groups *
                                          window->kernel[ROWS] * window->kernel[COLUMNS]),
                           err);
}

static struct shape to_image(const struct shape *shape)
{
    if (shape->rank == 4)
        return *shape;
    return (struct shape){ .rank = 4, .dim = { shape->dim[0], shape->dim[1], 1, shape->dim[2] } };
}
