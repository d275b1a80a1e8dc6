/* quantised: convolutions and matrix products of bytes as oneDNN's products of matrices, which take
 * weights of i8 with a zero point of their own. So any weights do, as long as they span no more than 255
 * steps. The input's zero point goes into the bias, exactly. What is no 1x1 convolution has its windows
 * laid out as the rows of a matrix first (unfold.c). */
#include "cpu/quantised.h"
#include "ops/quantise.h"
#include "ops/resolve.h"
#include <stdlib.h>

/* rows x depth times depth x columns. */
struct product {
    int64_t rows, depth, columns;
    struct cpu_place *in, *weights, *bias, *out;
    int32_t shift; /* what was added to the weights, to be their zero point */
    float *factors;
};

/* What the second matrix is made of. */
struct source {
    const struct window *window; /* NULL: a matrix */
    int64_t columns;
};

static int make_product(struct build *build, const struct quantised_node *read,
                        const struct source *source, struct product *product, struct error *err);
static int64_t weight_at(const struct quantised_node *read, const struct source *source, int64_t k,
                         int64_t column);
static bool choose_shift(const struct quantised_node *read, const struct source *source,
                         const struct product *product, int32_t *shift);
static int place_weights(struct build *build, const struct quantised_node *read,
                         const struct source *source, struct product *product, struct error *err);
static int add_product(struct build *build, const struct quantised_node *read,
                       struct product *product, struct error *err);
static int add_clip(const struct quantised_node *read, dnnl_primitive_attr_t attr);
static struct layout matrix(enum tensor_type type, int64_t rows, int64_t columns);

int build_conv_int8(struct build *build, const struct node *node, struct error *err)
{
    struct quantised_node read;
    struct window window;
    const struct value *in = build_info(build, node->inputs[QLINEAR_A]);
    const struct value *out = build_info(build, node->outputs[0]);
    if (!quantised_read(build, node, &read))
        return BUILD_DECLINED;
    int rc = window_of_conv(node, &in->shape, &read.weights->shape, &window, err);
    if (rc || (rc = quantised_depthwise(build, node, &read, &window, err)) != BUILD_DECLINED ||
        (rc = quantised_convolution(build, node, &read, &window, err)) != BUILD_DECLINED)
        return rc;
    struct source source = { .window = &window, .columns = window.out_channels };
    struct product product = {
        .rows = window.batch * window.out[ROWS] * window.out[COLUMNS],
        .depth = window.kernel[ROWS] * window.kernel[COLUMNS] * window.in_channels,
        .columns = window.out_channels,
    };
    rc = quantised_unfold(build, node, &read, &window, &product.in, err);
    if (!rc)
        rc = make_product(build, &read, &source, &product, err);
    if (rc)
        return rc;
    struct layout layout = layout_channels_last(read.y_type, &out->shape);
    build_set_flop(build,
                   2 * (uint64_t)(product.rows * product.depth * product.columns / window.groups));
    return build_view(build, node->outputs[0], product.out, 0, &layout, err);
}

int build_matmul_int8(struct build *build, const struct node *node, struct error *err)
{
    struct quantised_node read;
    struct matmul_span span;
    const struct value *in = build_info(build, node->inputs[QLINEAR_A]);
    const struct value *out = build_info(build, node->outputs[0]);
    if (!quantised_read(build, node, &read) || in->shape.rank < 2 || read.weights->shape.rank != 2)
        return BUILD_DECLINED;
    matmul_span(&in->shape, &read.weights->shape, &span);
    struct source source = { .columns = span.n };
    struct product product = { .rows = shape_elements(&in->shape) / span.k,
                               .depth = span.k,
                               .columns = span.n };
    struct layout dense = matrix(in->type, product.rows, product.depth);
    int rc = build_want_dense(build, node->inputs[QLINEAR_A], &product.in, err);
    if (!rc)
        rc = build_alias(build, product.in, 0, &dense, &product.in, err);
    if (!rc)
        rc = make_product(build, &read, &source, &product, err);
    if (rc)
        return rc;
    struct layout layout = layout_dense(read.y_type, &out->shape);
    build_set_flop(build, 2 * (uint64_t)(product.rows * product.depth * product.columns));
    return build_view(build, node->outputs[0], product.out, 0, &layout, err);
}

bool quantised_read(const struct build *build, const struct node *node, struct quantised_node *read)
{
    const struct tensor *constants[QLINEAR_BIAS + 1] = { NULL };
    if (!build->device->bytes)
        return false;
    for (int k = 1; k < node->input_count; k++) {
        if (node->inputs[k] < 0)
            continue;
        constants[k] = &build_info(build, node->inputs[k])->constant;
        if (!constants[k]->data)
            return false;
    }
    /* A product of matrices may have scales for the rows of its input. */
    if (shape_elements(&constants[QLINEAR_A_SCALE]->shape) != 1 ||
        shape_elements(&constants[QLINEAR_A_ZERO]->shape) != 1 ||
        constants[QLINEAR_B_SCALE]->shape.rank > 1 || constants[QLINEAR_B_ZERO]->shape.rank > 1)
        return false;
    *read = (struct quantised_node){
        .weights = constants[QLINEAR_B],
        .scales = constants[QLINEAR_B_SCALE],
        .zeros = constants[QLINEAR_B_ZERO],
        .bias = constants[QLINEAR_BIAS],
        .x_scale = quantise_scale(constants[QLINEAR_A_SCALE]),
        .y_scale = quantise_scale(constants[QLINEAR_Y_SCALE]),
        .x_zero = quantise_zero(constants[QLINEAR_A_ZERO]),
        .y_zero = quantise_zero(constants[QLINEAR_Y_ZERO]),
        .x_type = build_info(build, node->inputs[QLINEAR_A])->type,
        .y_type = constants[QLINEAR_Y_ZERO]->type,
    };
    quantise_limits(node, read->y_type, &read->low, &read->high);
    return true;
}

int64_t quantised_weight(const struct quantised_node *node, int64_t element, int64_t channel)
{
    int64_t at = shape_elements(&node->zeros->shape) > 1 ? channel : 0;
    return number_load_whole(node->weights, element) - number_load_whole(node->zeros, at);
}

float quantised_factor(const struct quantised_node *node, int64_t channel)
{
    int64_t at = shape_elements(&node->scales->shape) > 1 ? channel : 0;
    return (float)(node->x_scale * number_load(node->scales, at) / node->y_scale);
}

int64_t quantised_bias(const struct quantised_node *node, int64_t channel)
{
    return node->bias ? number_load_whole(node->bias, channel) : 0;
}

uint8_t quantised_flip(enum tensor_type type)
{
    return type == TENSOR_I8 ? 0x80 : 0;
}

struct bytes_source quantised_source(double scale, int64_t zero, enum tensor_type type)
{
    uint8_t flip = quantised_flip(type);
    return (struct bytes_source){ .scale = (float)scale, .zero = (float)(zero + flip), .flip = flip };
}

struct bytes_end quantised_end(int64_t zero, int64_t low, int64_t high, enum tensor_type type)
{
    uint8_t flip = quantised_flip(type);
    return (struct bytes_end){ .low = (float)(low - zero),
                               .high = (float)(high - zero),
                               .zero = (float)(zero + flip),
                               .flip = flip };
}

/* ---- products ---- */

static int make_product(struct build *build, const struct quantised_node *read,
                        const struct source *source, struct product *product, struct error *err)
{
    if (!choose_shift(read, source, product, &product->shift))
        return BUILD_DECLINED;
    product->factors = calloc((size_t)product->columns, sizeof *product->factors);
    if (!product->factors)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    for (int64_t n = 0; n < product->columns; n++)
        product->factors[n] = quantised_factor(read, n);
    int rc = place_weights(build, read, source, product, err);
    if (!rc)
        rc = add_product(build, read, product, err);
    free(product->factors);
    return rc;
}

static int64_t weight_at(const struct quantised_node *read, const struct source *source, int64_t k,
                         int64_t column)
{
    const struct window *w = source->window;
    if (!w)
        return quantised_weight(read, k * source->columns + column, column);
    int64_t channels = w->in_channels / w->groups, filters = w->out_channels / w->groups;
    int64_t tap = k / w->in_channels, channel = k % w->in_channels;
    if (channel / channels != column / filters)
        return 0;
    int64_t at = (column * channels + channel % channels) * w->kernel[ROWS] * w->kernel[COLUMNS];
    return quantised_weight(read, at + tap, column);
}

/* None where all weights are within i8 as they are. */
static bool choose_shift(const struct quantised_node *read, const struct source *source,
                         const struct product *product, int32_t *shift)
{
    int64_t least = 0, most = 0;
    for (int64_t k = 0; k < product->depth; k++)
        for (int64_t n = 0; n < product->columns; n++) {
            int64_t weight = weight_at(read, source, k, n);
            least = weight < least ? weight : least;
            most = weight > most ? weight : most;
        }
    bool fits = least >= INT8_MIN && most <= INT8_MAX;
    *shift = fits ? 0 : (int32_t)(INT8_MIN - least);
    return most - least <= UINT8_MAX;
}

/* And the bias, less what the input's zero point adds to every sum. */
static int place_weights(struct build *build, const struct quantised_node *read,
                         const struct source *source, struct product *product, struct error *err)
{
    struct layout layout = matrix(TENSOR_I8, product->depth, product->columns);
    struct layout line = matrix(TENSOR_I32, 1, product->columns);
    int8_t *weights = cpu_allocate(layout_bytes(&layout));
    int32_t *bias = cpu_allocate(layout_bytes(&line));
    bool fits = true;
    for (int64_t n = 0; weights && bias && n < product->columns; n++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < product->depth; k++) {
            int64_t weight = weight_at(read, source, k, n);
            sum += weight;
            weights[k * product->columns + n] = (int8_t)(weight + product->shift);
        }
        int64_t whole = quantised_bias(read, n) - read->x_zero * sum;
        fits = fits && whole >= INT32_MIN && whole <= INT32_MAX;
        bias[n] = (int32_t)whole;
    }
    if (!weights || !bias || !fits) {
        free(weights);
        free(bias);
        return fits ? error_set(err, ERROR_MEMORY, "cpu", "no memory left") : BUILD_DECLINED;
    }
    int rc = build_take_constant(build, weights, &layout, &product->weights, err);
    if (rc) {
        free(bias);
        return rc;
    }
    return build_take_constant(build, bias, &line, &product->bias, err);
}

static int add_product(struct build *build, const struct quantised_node *read,
                       struct product *product, struct error *err)
{
    struct layout a = matrix(read->x_type, product->rows, product->depth);
    struct layout out = matrix(read->y_type, product->rows, product->columns);
    dnnl_memory_desc_t a_md, b_md = product->weights->md, out_md;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
    layout_md(&a, &a_md);
    layout_md(&out, &out_md);
    dnnl_memory_desc_init_by_tag(&b_md, 2, product->weights->md.dims, dnnl_s8, dnnl_format_tag_any);
    dnnl_status_t status = dnnl_matmul_desc_init(&desc, &a_md, &b_md, &product->bias->md, &out_md);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    if (quantised_attr(read, product->factors, product->columns, &attr))
        return cpu_dnnl_error(err, dnnl_out_of_memory, build->op, build->name, "describing it");
    if (product->shift)
        dnnl_primitive_attr_set_zero_points(attr, DNNL_ARG_WEIGHTS, 1, 0, &product->shift);
    int rc = build_describe(build, &desc, attr, &pd, err);
    dnnl_primitive_attr_destroy(attr);
    if (rc)
        return rc;
    struct cpu_place *weights;
    rc = build_reorder_weights(build, product->weights, &product->weights->md,
                               dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), &weights,
                               err);
    if (!rc)
        rc = build_new_place(build, &out, &product->out, err);
    if (rc) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, product->in);
    build_add_arg(&args, DNNL_ARG_WEIGHTS, weights);
    build_add_arg(&args, DNNL_ARG_BIAS, product->bias);
    build_add_arg(&args, DNNL_ARG_DST, product->out);
    return build_primitive(build, pd, &args, 0, err);
}

int quantised_attr(const struct quantised_node *read, const float *scales, int64_t count,
                   dnnl_primitive_attr_t *attr)
{
    static const int by_column = 1 << 1;
    int32_t zero = (int32_t)read->y_zero;
    if (dnnl_primitive_attr_create(attr))
        return -ERROR_MEMORY;
    dnnl_status_t status = dnnl_primitive_attr_set_output_scales(*attr, count, by_column, scales);
    if (!status && zero)
        status = dnnl_primitive_attr_set_zero_points(*attr, DNNL_ARG_DST, 1, 0, &zero);
    bool limited =
        read->low > quantise_lowest(read->y_type) || read->high < quantise_highest(read->y_type);
    if (!status && (!limited || !add_clip(read, *attr)))
        return 0;
    dnnl_primitive_attr_destroy(*attr);
    return -ERROR_MEMORY;
}

static int add_clip(const struct quantised_node *read, dnnl_primitive_attr_t attr)
{
    dnnl_post_ops_t posts;
    if (dnnl_post_ops_create(&posts))
        return -ERROR_MEMORY;
    dnnl_status_t status =
        dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_clip, (float)(read->low - read->y_zero),
                                     (float)(read->high - read->y_zero));
    if (!status)
        status = dnnl_primitive_attr_set_post_ops(attr, posts);
    dnnl_post_ops_destroy(posts);
    return status ? -ERROR_MEMORY : 0;
}

static struct layout matrix(enum tensor_type type, int64_t rows, int64_t columns)
{
    return layout_dense(type, &(struct shape){ .rank = 2, .dim = { rows, columns } });
}
