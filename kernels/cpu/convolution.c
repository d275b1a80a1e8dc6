/* convolution: Conv and ConvTranspose with what was fused to them, in the way and layout that
 * choose.c has for them. One dimension is seen as one row of two. In bf16x3 convolutions are our own
 * where that pays; else there are three times as many input channels, the parts of what was split. */
#include "cpu/choose.h"
#include "cpu/post.h"
#include "cpu/split_conv_steps.h"
#include "cpu/split_steps.h"
#include "cpu/winograd_steps.h"
#include "ops/window.h"
#include <string.h>

#define SPLIT_CHANNELS_MIN 16
#define SPLIT_ONE_PRODUCTS_MIN 256

struct convolution {
    struct window window;
    bool transposed;
    enum choice choice;
    struct layout in, out; /* of four dimensions */
    struct layout sum; /* what the primitive writes: out, or f32 for what posts behind it read */
    dnnl_memory_desc_t weights_as, weights_any, bias;
    bool has_bias, constant_weights;
    bool bias_behind; /* added by a step of its own */
    bool splits;
};

union convolution_desc {
    dnnl_convolution_desc_t forward;
    dnnl_deconvolution_desc_t transposed;
};

static int prepare(struct build *build, const struct node *node, struct convolution *convolution,
                   struct error *err);
static int choose(struct build *build, const struct node *node, struct convolution *convolution,
                  struct post_list *posts, dnnl_primitive_desc_t *pd, size_t *taken,
                  struct error *err);
static bool is_faster_wide(const struct convolution *convolution);
static bool pays_split(const struct build *build, const struct node *node,
                       const struct convolution *convolution);
static int describe(struct build *build, const struct node *node, enum tensor_type type,
                    enum choice choice, struct convolution *convolution, struct post_list *posts,
                    dnnl_primitive_desc_t *pd, size_t *taken, struct error *err);
static bool accumulates(const struct convolution *convolution, enum tensor_type type);
static bool computes_wrongly(const struct convolution *convolution);
static void describe_weights(struct convolution *convolution, dnnl_data_type_t type);
static int add_bias_behind(struct build *build, const struct node *node,
                           const struct convolution *convolution, struct post_list *posts,
                           struct error *err);
static int init_desc(struct build *build, const struct convolution *convolution,
                     union convolution_desc *desc, struct error *err);
static int add_step(struct build *build, const struct node *node,
                    const struct convolution *convolution, const struct post_list *posts,
                    dnnl_primitive_desc_t pd, size_t taken, struct error *err);
static int add_own_step(struct build *build, const struct node *node, struct convolution *convolution,
                        const struct winograd *winograd, struct error *err);
static int add_split_step(struct build *build, const struct node *node,
                          struct convolution *convolution, struct error *err);
static int place_operands(struct build *build, const struct node *node,
                          const struct convolution *convolution, struct cpu_place **in,
                          struct cpu_place **weights, struct error *err);
static size_t take_posts(const struct post_list *posts, const struct layout *out,
                         struct cpu_place **added, bool *relu);
static int place_output(struct build *build, const struct node *node,
                        const struct convolution *convolution, struct cpu_place **out,
                        struct error *err);
static struct shape to_image(const struct shape *shape);
static uint64_t count_flop(const struct convolution *convolution);

int build_convolution(struct build *build, const struct node *node, struct error *err)
{
    const struct value *in = build_info(build, node->inputs[0]);
    const struct value *weights = build_info(build, node->inputs[1]);
    if (in->type != TENSOR_F32 || weights->type != TENSOR_F32 || in->shape.rank < 3 ||
        in->shape.rank > 4)
        return BUILD_DECLINED;
    struct convolution convolution;
    struct post_list posts;
    dnnl_primitive_desc_t pd;
    size_t taken = 0;
    struct winograd winograd;
    int rc = prepare(build, node, &convolution, err);
    if (!rc && !convolution.transposed && winograd_suits(build, &convolution.window, &winograd) &&
        weights->state.data && !build_leaves(build, node->outputs[0]))
        return add_own_step(build, node, &convolution, &winograd, err);
    if (!rc && !convolution.transposed) {
        rc = add_split_step(build, node, &convolution, err);
        if (rc != BUILD_DECLINED)
            return rc;
        rc = 0;
    }
    if (!rc)
        rc = choose(build, node, &convolution, &posts, &pd, &taken, err);
    return rc ? rc : add_step(build, node, &convolution, &posts, pd, taken, err);
}

static int prepare(struct build *build, const struct node *node, struct convolution *convolution,
                   struct error *err)
{
    const struct shape *in = &build_info(build, node->inputs[0])->shape;
    const struct shape *weights = &build_info(build, node->inputs[1])->shape;
    struct pointwise posts[FUSED_POSTS_MAX];
    bool transposed = strcmp(fused_base_name(node->op), "ConvTranspose") == 0;
    *convolution = (struct convolution){
        .transposed = transposed,
        .has_bias = node->input_count > 2 && node->inputs[2] >= 0,
        .bias_behind = transposed && fused_get_posts(node, posts) < FUSED_POSTS_MAX,
        .constant_weights = build_info(build, node->inputs[1])->constant.data != NULL,
    };
    return convolution->transposed
               ? window_of_conv_transpose(node, in, weights, &convolution->window, err)
               : window_of_conv(node, in, weights, &convolution->window, err);
}

static int choose(struct build *build, const struct node *node, struct convolution *convolution,
                  struct post_list *posts, dnnl_primitive_desc_t *pd, size_t *taken,
                  struct error *err)
{
    bool narrows = build->arithmetic == TENSOR_BF16 && is_faster_wide(convolution) &&
                   !build_leaves(build, node->outputs[0]);
    enum tensor_type type = narrows ? TENSOR_F32 : build->arithmetic;
    enum choice choice = CHOICE_LAST;
    int rc = 0;
    convolution->splits = pays_split(build, node, convolution) && !computes_wrongly(convolution);
    if (convolution->splits) {
        rc = describe(build, node, TENSOR_BF16, CHOICE_LAST, convolution, posts, pd, taken, err);
        if (rc || !build_is_slow(*pd))
            return rc;
        dnnl_primitive_desc_destroy(*pd);
        convolution->splits = false;
    }
    if (!convolution->transposed)
        rc = choose_convolution(build, &convolution->window, type, node->inputs[0],
                                node->outputs[0], &choice, err);
    if (rc)
        return rc;
    if (choice != CHOICE_LAST &&
        !describe(build, node, type, choice, convolution, posts, pd, taken, err)) {
        if (!build_is_slow(*pd) && choice_fits(*pd)) {
            if (narrows)
                convolution->out = layout_channels_last(TENSOR_BF16, &convolution->out.shape);
            return 0;
        }
        dnnl_primitive_desc_destroy(*pd);
    }
    rc = describe(build, node, type, CHOICE_LAST, convolution, posts, pd, taken, err);
    if (!rc && type != TENSOR_F32 && (build_is_slow(*pd) || computes_wrongly(convolution))) {
        dnnl_primitive_desc_destroy(*pd);
        rc = describe(build, node, TENSOR_F32, CHOICE_LAST, convolution, posts, pd, taken, err);
    }
    if (!rc && narrows)
        convolution->out = layout_channels_last(TENSOR_BF16, &convolution->out.shape);
    return rc;
}

/* Three channels of a picture leave most of a tile of bf16 empty, and have to be put side by side before:
 * 3 to 16 channels, 3x3, 384x512 to 192x256 take 795 us in bf16, 609 in f32 and narrowed behind (two threads
 * of a Xeon, 2026-11-22). */
static bool is_faster_wide(const struct convolution *convolution)
{
    const struct window *window = &convolution->window;
    return !convolution->transposed && convolution->constant_weights && window->groups == 1 &&
           window->in_channels <= 4 && window->kernel[ROWS] * window->kernel[COLUMNS] <= 9;
}

/* In bf16: oneDNN 2.6.3 runs a transposed convolution as the gradient of one, and that is wrong for 1x1
 * kernels of an odd number of channels (conv_gradient.c). */
static bool computes_wrongly(const struct convolution *convolution)
{
    const struct window *window = &convolution->window;
    return convolution->transposed && window->kernel[ROWS] == 1 && window->kernel[COLUMNS] == 1 &&
           window->in_channels / window->groups % 2 != 0;
}

/* With constant weights, in inference, the f32 that it stands against is faster than in training. 1x1
 * convolutions of oneDNN 2.6.3 in bf16 reach a sixth of the arithmetic, and fewer channels than a vector
 * do not fill a tile. */
static bool pays_split(const struct build *build, const struct node *node,
                       const struct convolution *convolution)
{
    const struct window *window = &convolution->window;
    uint64_t flop = count_flop(convolution);
    int64_t numbers = split_count(build, node->inputs[0]) + split_count(build, node->inputs[1]);
    bool one = window->kernel[ROWS] * window->kernel[COLUMNS] == 1;
    if (convolution->constant_weights &&
        (window->in_channels < SPLIT_CHANNELS_MIN ||
         (one && flop / 2 < SPLIT_ONE_PRODUCTS_MIN * (uint64_t)numbers)))
        return false;
    return window->groups == 1 && split_pays(build, flop, numbers);
}

static int describe(struct build *build, const struct node *node, enum tensor_type type,
                    enum choice choice, struct convolution *convolution, struct post_list *posts,
                    dnnl_primitive_desc_t *pd, size_t *taken, struct error *err)
{
    const struct value *out = build_info(build, node->outputs[0]);
    struct shape image = to_image(&build_info(build, node->inputs[0])->shape);
    image.dim[1] *= convolution->splits ? SPLIT_PARTS : 1;
    convolution->choice = choice;
    convolution->in = choice_layout(choice, type, &image);
    image = to_image(&out->shape);
    bool wide = build_leaves(build, node->outputs[0]) || convolution->splits;
    convolution->out = convolution->sum = choice_layout(choice, wide ? TENSOR_F32 : type, &image);
    dnnl_data_type_t dnnl_type;
    layout_dnnl_type(type, &dnnl_type);
    describe_weights(convolution, dnnl_type);
    union convolution_desc desc;
    int rc = init_desc(build, convolution, &desc, err);
    if (!rc)
        rc = post_prepare(build, node, &convolution->out, posts, err);
    if (!rc && convolution->has_bias && convolution->bias_behind)
        rc = add_bias_behind(build, node, convolution, posts, err);
    if (!rc &&
        ((choice == CHOICE_WINOGRAD && convolution->out.blocked) || accumulates(convolution, type)))
        post_accumulate(build, node, &convolution->out, posts);
    if (rc)
        return rc;
    static const struct post_list none;
    const struct post_list *inside = convolution->transposed ? &none : posts;
    rc = post_describe(build, &desc, inside, pd, taken, err);
    if (rc || convolution->out.type != TENSOR_BF16 || *taken == posts->count ||
        post_target(posts, *taken))
        return rc;
    /* What is left is computed on the sums, not on sums that have been rounded already. */
    dnnl_primitive_desc_destroy(*pd);
    convolution->sum.type = TENSOR_F32;
    rc = init_desc(build, convolution, &desc, err);
    return rc ? rc : post_describe(build, &desc, inside, pd, taken, err);
}

/* oneDNN 2.6.3 has no additions of whole arrays inside its fastest bf16 code, but adds to what is there. */
static bool accumulates(const struct convolution *convolution, enum tensor_type type)
{
    return type == TENSOR_BF16 && !convolution->transposed && convolution->window.groups == 1;
}

/* ONNX has [out][in/group][rows][columns] for Conv, [in][out/group][rows][columns] for ConvTranspose;
 * oneDNN names groups, outputs, inputs in this order for both. */
static void describe_weights(struct convolution *convolution, dnnl_data_type_t type)
{
    const struct window *window = &convolution->window;
    dnnl_dim_t groups = window->groups, outs = window->out_channels / groups,
               ins = window->in_channels / groups * (convolution->splits ? SPLIT_PARTS : 1);
    dnnl_dim_t columns = window->kernel[COLUMNS], kernel = window->kernel[ROWS] * columns;
    dnnl_dims_t dims = { groups, outs, ins, window->kernel[ROWS], columns };
    dnnl_dims_t conv_strides = { outs * ins * kernel, ins * kernel, kernel, columns, 1 };
    dnnl_dims_t transposed_strides = { outs * ins * kernel, kernel, outs * kernel, columns, 1 };
    const dnnl_dim_t *strides = convolution->transposed ? transposed_strides : conv_strides;
    int skip = groups == 1 ? 1 : 0;
    dnnl_memory_desc_init_by_strides(&convolution->weights_as, 5 - skip, dims + skip,
                                     convolution->splits ? dnnl_bf16 : dnnl_f32, strides + skip);
    dnnl_memory_desc_init_by_tag(&convolution->weights_any, 5 - skip, dims + skip, type,
                                 dnnl_format_tag_any);
    dnnl_dims_t bias = { window->out_channels };
    dnnl_memory_desc_init_by_tag(&convolution->bias, 1, bias, dnnl_f32, dnnl_a);
}

/* oneDNN 2.6.3 adds the bias of a transposed convolution in plain loops, and computes its posts there, so
 * that none of these goes inside. `make check-kernels` prints, for 32 to 11 channels, 4x4, 8x90x120, one
 * thread of a Zen 4: inside 66.2 ms in bf16 and 23.8 in f32, behind 9.7 and 16.3 (2026-11-21). */
static int add_bias_behind(struct build *build, const struct node *node,
                           const struct convolution *convolution, struct post_list *posts,
                           struct error *err)
{
    struct shape shape = { .rank = 4, .dim = { 1, convolution->window.out_channels, 1, 1 } };
    struct layout layout = layout_dense(TENSOR_F32, &shape);
    struct cpu_place *bias;
    int rc = build_want_dense(build, node->inputs[2], &bias, err);
    if (!rc)
        rc = build_alias(build, bias, 0, &layout, &bias, err);
    return rc ? rc : post_prepend_place(POINTWISE_ADD, bias, posts);
}

static int init_desc(struct build *build, const struct convolution *convolution,
                     union convolution_desc *desc, struct error *err)
{
    const struct window *window = &convolution->window;
    dnnl_memory_desc_t in, out;
    choice_md(convolution->choice, &convolution->in, &in);
    choice_md(convolution->choice, &convolution->sum, &out);
    bool inside = convolution->has_bias && !convolution->bias_behind;
    const dnnl_memory_desc_t *bias = inside ? &convolution->bias : NULL;
    dnnl_dims_t strides, dilates, begin, end;
    for (int d = 0; d < 2; d++) {
        strides[d] = window->stride[d];
        dilates[d] = window->dilation[d] - 1;
        begin[d] = window->pad_begin[d];
        /* The padding behind that makes the output exactly as large as it is. */
        int64_t reach = (window->kernel[d] - 1) * window->dilation[d] + 1;
        end[d] = convolution->transposed ? (window->in[d] - 1) * window->stride[d] + reach -
                                               window->out[d] - window->pad_begin[d]
                                         : (window->out[d] - 1) * window->stride[d] + reach -
                                               window->in[d] - window->pad_begin[d];
    }
    dnnl_status_t status =
        convolution->transposed
            ? dnnl_dilated_deconvolution_forward_desc_init(
                  &desc->transposed, dnnl_forward_inference, dnnl_deconvolution_direct, &in,
                  &convolution->weights_any, bias, &out, strides, dilates, begin, end)
            : dnnl_dilated_convolution_forward_desc_init(
                  &desc->forward, choice_purpose(convolution->choice, convolution->constant_weights),
                  choice_algorithm(convolution->choice), &in, &convolution->weights_any, bias, &out,
                  strides, dilates, begin, end);
    return status ? cpu_dnnl_error(err, status, build->op, build->name, "describing it") : 0;
}

static int add_step(struct build *build, const struct node *node,
                    const struct convolution *convolution, const struct post_list *posts,
                    dnnl_primitive_desc_t pd, size_t taken, struct error *err)
{
    struct cpu_place *in, *weights, *bias = NULL, *out, *sum, *made;
    int rc = place_operands(build, node, convolution, &in, &weights, err);
    if (!rc)
        rc = build_reorder_weights(build, weights, &convolution->weights_as,
                                   dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
                                   &weights, err);
    if (!rc && convolution->has_bias && !convolution->bias_behind)
        rc = build_want_dense(build, node->inputs[2], &bias, err);
    out = post_target(posts, taken);
    if (!rc)
        rc = place_output(build, node, convolution, &out, err);
    sum = out;
    if (!rc && convolution->sum.type != convolution->out.type)
        rc = build_new_place(build, &convolution->sum, &sum, err);
    if (!rc)
        rc = choice_write(build, convolution->choice, sum, &made, err);
    if (rc) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, in);
    build_add_arg(&args, DNNL_ARG_WEIGHTS, weights);
    if (bias)
        build_add_arg(&args, DNNL_ARG_BIAS, bias);
    build_add_arg(&args, DNNL_ARG_DST, made);
    post_add_args(posts, taken, &args);
    rc = build_primitive(build, pd, &args, count_flop(convolution), err);
    if (!rc)
        rc = choice_finish(build, made, sum, err);
    return rc ? rc : post_add_steps(build, posts, taken, sum, out, err);
}

/* Weights as in the graph, split along the input channels if at all. */
static int place_operands(struct build *build, const struct node *node,
                          const struct convolution *convolution, struct cpu_place **in,
                          struct cpu_place **weights, struct error *err)
{
    int x = node->inputs[0], w = node->inputs[1];
    if (!convolution->splits) {
        int rc = choice_read(build, convolution->choice, x, &convolution->in, in, err);
        return rc ? rc : build_want_dense(build, w, weights, err);
    }
    int rc = split_want_image(build, x, 1, SPLIT_HIGH_LOW_HIGH, in, err);
    int axis = convolution->transposed ? 0 : 1;
    return rc ? rc : split_want_weights(build, w, axis, SPLIT_HIGH_HIGH_LOW, weights, err);
}

/* Our own Winograd's method, in bf16 and only for weights that learn: with constant weights, in
 * inference, a third of the error is worth more than the time. */
static int add_own_step(struct build *build, const struct node *node, struct convolution *convolution,
                        const struct winograd *winograd, struct error *err)
{
    struct cpu_place *in, *weights, *bias = NULL, *added, *out = NULL;
    struct post_list posts;
    bool relu;
    struct shape image = to_image(&build_info(build, node->inputs[0])->shape);
    convolution->in = layout_channels_last(TENSOR_BF16, &image);
    image = to_image(&build_info(build, node->outputs[0])->shape);
    convolution->out = layout_channels_last(TENSOR_BF16, &image);
    int rc = post_prepare(build, node, &convolution->out, &posts, err);
    if (!rc)
        rc = choice_read(build, convolution->choice, node->inputs[0], &convolution->in, &in, err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[1], &weights, err);
    if (!rc && convolution->has_bias)
        rc = build_want_dense(build, node->inputs[2], &bias, err);
    if (!rc)
        rc = place_output(build, node, convolution, &out, err);
    if (rc)
        return rc;
    size_t taken = take_posts(&posts, &convolution->out, &added, &relu);
    rc = winograd_add_step(build, winograd, in, weights, false, bias, added, relu, out, err);
    return rc ? rc : post_add_steps(build, &posts, taken, out, out, err);
}

/* Our own way in bf16x3, on matrix units; BUILD_DECLINED where it does not apply or pay. */
static int add_split_step(struct build *build, const struct node *node,
                          struct convolution *convolution, struct error *err)
{
    struct split_conv conv;
    struct cpu_place *in, *out = NULL;
    struct post_list posts;
    struct shape image = to_image(&build_info(build, node->outputs[0])->shape);
    int rc = split_conv_choose(build, node, &convolution->window, &conv, &in, err);
    if (rc)
        return rc;
    convolution->out = layout_channels_last(TENSOR_F32, &image);
    rc = post_prepare(build, node, &convolution->out, &posts, err);
    if (!rc)
        rc = place_output(build, node, convolution, &out, err);
    return rc ? rc : split_conv_add_step(build, node, &conv, in, &posts, out, err);
}

/* Our own way takes an addition and then a Relu. */
static size_t take_posts(const struct post_list *posts, const struct layout *out,
                         struct cpu_place **added, bool *relu)
{
    size_t taken = 0;
    *added = NULL;
    if (posts->count > taken && posts->posts[taken].kind == POINTWISE_ADD &&
        layout_equal(&posts->operands[taken]->layout, out))
        *added = posts->operands[taken++];
    *relu = posts->count > taken && posts->posts[taken].kind == POINTWISE_RELU;
    return *relu ? taken + 1 : taken;
}

/* New memory for the output unless *out is given, seen in the graph's shape. */
static int place_output(struct build *build, const struct node *node,
                        const struct convolution *convolution, struct cpu_place **out,
                        struct error *err)
{
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    struct layout whole = convolution->out;
    int rc = *out ? 0 : build_new_place(build, &convolution->out, out, err);
    if (rc)
        return rc;
    if (shape->rank != 4)
        layout_reshape(&convolution->out, shape, &whole);
    return build_view(build, node->outputs[0], *out, 0, &whole, err);
}

static struct shape to_image(const struct shape *shape)
{
    if (shape->rank == 4)
        return *shape;
    return (struct shape){ .rank = 4, .dim = { shape->dim[0], shape->dim[1], 1, shape->dim[2] } };
}

static uint64_t count_flop(const struct convolution *convolution)
{
    const struct window *window = &convolution->window;
    /* Every element of the smaller side meets each weight of its channel once. */
    const int64_t *size = convolution->transposed ? window->in : window->out;
    return 2 * (uint64_t)(window->batch * size[ROWS] * size[COLUMNS] * window->out_channels *
                          (window->in_channels / window->groups) * window->kernel[ROWS] *
                          window->kernel[COLUMNS]);
}
