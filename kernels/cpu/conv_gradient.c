/* conv_gradient: the gradients of convolutions, in the way and layout that choose.c has for them. As in
 * the forward direction one dimension is seen as one row of two. In bf16 the gradients of activations
 * are bf16 as activations are, those of weights and biases f32. In bf16x3 what is summed over is three
 * times as long: the output's channels towards the input, the batch towards the weights. */
#include "cpu/choose.h"
#include "cpu/split_steps.h"
#include "cpu/thin.h"
#include "cpu/winograd_steps.h"
#include "ops/conv.h"

enum { DATA, WEIGHTS };

struct backward {
    int kind;
    struct window window; /* of the Conv */
    enum choice choice;
    struct layout in, out; /* of its input and output, or their gradients; of four dimensions */
    enum tensor_type type; /* of what is read */
    dnnl_memory_desc_t weights_as, bias; /* as in the graph, f32 */
    bool has_bias;
    bool splits;
    int64_t step[2]; /* of the input that it reads, only every so many rows and columns are seen */
};

static void thin_window(struct backward *backward);
static int choose(struct build *build, const struct node *node, struct backward *backward,
                  dnnl_primitive_desc_t *pd, struct error *err);
static int choose_for_weights(struct build *build, const struct node *node,
                              const struct backward *backward, enum choice *choice,
                              struct error *err);
static bool pays_split(const struct build *build, const struct node *node,
                       const struct backward *backward);
static bool computes_wrongly(const struct backward *backward);
static void set_layouts(struct build *build, const struct node *node, enum tensor_type type,
                        enum choice choice, struct backward *backward);
static void describe_weights(struct backward *backward);
static int describe(struct build *build, const struct backward *backward, dnnl_primitive_desc_t *pd,
                    struct error *err);
static int add_data_step(struct build *build, const struct node *node,
                         const struct backward *backward, dnnl_primitive_desc_t pd,
                         struct error *err);
static int add_weights_step(struct build *build, const struct node *node,
                            const struct backward *backward, dnnl_primitive_desc_t pd,
                            struct error *err);
static int place_data_operands(struct build *build, const struct node *node,
                               const struct backward *backward, struct cpu_place **out,
                               struct cpu_place **weights, struct error *err);
static int place_weights_operands(struct build *build, const struct node *node,
                                  const struct backward *backward, struct cpu_place **in,
                                  struct cpu_place **out, struct error *err);
static int add_bias_step(struct build *build, const struct node *node, struct error *err);
static int add_own_data_step(struct build *build, const struct node *node, struct backward *backward,
                             const struct winograd *winograd, struct error *err);
static int add_own_weights_step(struct build *build, const struct node *node,
                                struct backward *backward, const struct winograd *winograd,
                                struct error *err);
static int place_floats(struct build *build, int value, struct cpu_place **place, struct error *err);
static int place_image(struct build *build, int value, const struct layout *image,
                       struct cpu_place **place, struct error *err);
static int place_weights(struct build *build, int value, const struct backward *backward,
                         const dnnl_memory_desc_t *md, struct cpu_place **place,
                         struct cpu_place **dense, struct error *err);
static int want_input(struct build *build, int value, const struct backward *backward,
                      const struct layout *part, struct cpu_place **place, struct error *err);
static uint64_t count_flop(const struct window *window);

int build_conv_grad_input(struct build *build, const struct node *node, struct error *err)
{
    struct backward backward = { .kind = DATA };
    dnnl_primitive_desc_t pd;
    struct winograd winograd;
    int rc = window_of_conv_grad_input(node, &build_info(build, node->inputs[0])->shape,
                                       &build_info(build, node->inputs[1])->shape, &backward.window,
                                       err);
    if (!rc && winograd_suits(build, &backward.window, &winograd) &&
        build_info(build, node->inputs[1])->state.data && !build_leaves(build, node->outputs[0]))
        return add_own_data_step(build, node, &backward, &winograd, err);
    if (!rc)
        rc = choose(build, node, &backward, &pd, err);
    return rc ? rc : add_data_step(build, node, &backward, pd, err);
}

int build_conv_grad_weights(struct build *build, const struct node *node, struct error *err)
{
    struct backward backward = {
        .kind = WEIGHTS,
        .has_bias = node->output_count > 1 && node->outputs[1] >= 0,
        .step = { 1, 1 },
    };
    dnnl_primitive_desc_t pd;
    struct winograd winograd;
    int rc = window_of_conv_grad_weights(node, &build_info(build, node->inputs[0])->shape,
                                         &build_info(build, node->inputs[1])->shape,
                                         &backward.window, err);
    if (rc)
        return rc;
    if (winograd_suits(build, &backward.window, &winograd))
        return add_own_weights_step(build, node, &backward, &winograd, err);
    thin_window(&backward);
    rc = choose(build, node, &backward, &pd, err);
    return rc ? rc : add_weights_step(build, node, &backward, pd, err);
}

/* A kernel of one element with strides reads some rows and columns only, and oneDNN 2.6.3, which first
 * copies these to scratch memory, writes behind its end where channels fill no vector. Here the copy
 * is a step of its own. */
static void thin_window(struct backward *backward)
{
    struct window *window = &backward->window;
    for (int d = 0; d < 2; d++)
        if (window->kernel[d] != 1 || window->pad_begin[d] > 0 ||
            (window->out[d] - 1) * window->stride[d] >= window->in[d])
            return;
    for (int d = 0; d < 2; d++) {
        backward->step[d] = window->stride[d];
        window->stride[d] = 1;
        window->in[d] = window->out[d];
        window->pad_end[d] = 0;
    }
}

static int choose(struct build *build, const struct node *node, struct backward *backward,
                  dnnl_primitive_desc_t *pd, struct error *err)
{
    enum tensor_type type = build->arithmetic;
    enum choice choice;
    int rc;
    backward->splits = pays_split(build, node, backward);
    if (backward->splits) {
        set_layouts(build, node, TENSOR_BF16, CHOICE_LAST, backward);
        rc = describe(build, backward, pd, err);
        if (!rc && !build_is_slow(*pd) && !computes_wrongly(backward))
            return 0;
        if (!rc)
            dnnl_primitive_desc_destroy(*pd);
        backward->splits = false;
    }
    rc = backward->kind == DATA ? choose_convolution(build, &backward->window, type,
                                                     node->inputs[0], node->outputs[0], &choice, err)
                                : choose_for_weights(build, node, backward, &choice, err);
    if (rc)
        return rc;
    set_layouts(build, node, type, choice, backward);
    rc = describe(build, backward, pd, err);
    if (choice == CHOICE_LAST && type == TENSOR_F32)
        return rc;
    if (!rc && !build_is_slow(*pd) && choice_fits(*pd) && !computes_wrongly(backward))
        return 0;
    if (!rc)
        dnnl_primitive_desc_destroy(*pd);
    /* Blocks are for f32 only. */
    set_layouts(build, node, TENSOR_F32, CHOICE_LAST, backward);
    return describe(build, backward, pd, err);
}

/* Nothing that follows asks for a layout, so whatever needs the fewest copies. */
static int choose_for_weights(struct build *build, const struct node *node,
                              const struct backward *backward, enum choice *choice, struct error *err)
{
    struct cpu_place *in, *out;
    *choice = CHOICE_LAST;
    if (choose_winograd(build, &backward->window)) {
        *choice = CHOICE_WINOGRAD;
        return 0;
    }
    int rc = build_place_any(build, node->inputs[0], &in, err);
    if (!rc)
        rc = build_place_any(build, node->inputs[1], &out, err);
    if (rc)
        return rc;
    bool thinned = backward->step[ROWS] != 1 || backward->step[COLUMNS] != 1;
    bool few = in->layout.shape.dim[1] < LAYOUT_BLOCK && layout_is_dense(&in->layout);
    if (out->layout.blocked && !thinned && build->arithmetic == TENSOR_F32 &&
        (in->layout.blocked || few))
        *choice = CHOICE_BLOCKED;
    return 0;
}

static bool pays_split(const struct build *build, const struct node *node,
                       const struct backward *backward)
{
    const struct window *window = &backward->window;
    int64_t numbers = split_count(build, node->inputs[backward->kind == DATA ? 0 : 1]);
    if (backward->kind == DATA)
        numbers += split_count(build, node->inputs[1]);
    else
        numbers += window->batch * window->in_channels * window->in[ROWS] * window->in[COLUMNS];
    return window->groups == 1 && split_pays(build, count_flop(window), numbers);
}

/* oneDNN 2.6.3 in bf16 takes scratch memory that nobody has written for input where that has fewer
 * columns than the kernel goes on by; and, for the gradient of the input of a 1x1 kernel, what is behind
 * the last channel where these are odd in number, as it multiplies them by twos. */
static bool computes_wrongly(const struct backward *backward)
{
    const struct window *window = &backward->window;
    if (backward->type != TENSOR_BF16)
        return false;
    if (backward->kind == WEIGHTS)
        return window->in[COLUMNS] < window->stride[COLUMNS];
    return window->kernel[ROWS] == 1 && window->kernel[COLUMNS] == 1 &&
           window->out_channels / window->groups % 2 != 0;
}

static void set_layouts(struct build *build, const struct node *node, enum tensor_type type,
                        enum choice choice, struct backward *backward)
{
    const struct window *window = &backward->window;
    bool leaves =
        backward->kind == DATA && (backward->splits || build_leaves(build, node->outputs[0]));
    struct shape in = { .rank = 4,
                        .dim = { window->batch, window->in_channels, window->in[ROWS],
                                 window->in[COLUMNS] } };
    struct shape out;
    window_output(window, 4, &out);
    if (backward->splits && backward->kind == DATA)
        out.dim[1] *= SPLIT_PARTS;
    if (backward->splits && backward->kind == WEIGHTS)
        in.dim[0] = out.dim[0] *= SPLIT_PARTS;
    backward->type = type;
    backward->choice = choice;
    backward->in = choice_layout(choice, leaves ? TENSOR_F32 : type, &in);
    backward->out = choice_layout(choice, type, &out);
    describe_weights(backward);
}

/* oneDNN has groups as a dimension in front. */
static void describe_weights(struct backward *backward)
{
    const struct window *window = &backward->window;
    bool splits = backward->splits && backward->kind == DATA;
    dnnl_dim_t groups = window->groups, parts = splits ? SPLIT_PARTS : 1;
    dnnl_dims_t dims = { groups, parts * window->out_channels / groups, window->in_channels / groups,
                         window->kernel[ROWS], window->kernel[COLUMNS] };
    int skip = groups == 1 ? 1 : 0;
    dnnl_memory_desc_init_by_tag(&backward->weights_as, 5 - skip, dims + skip,
                                 splits ? dnnl_bf16 : dnnl_f32, skip ? dnnl_abcd : dnnl_abcde);
    dnnl_dims_t bias = { window->out_channels };
    dnnl_memory_desc_init_by_tag(&backward->bias, 1, bias, dnnl_f32, dnnl_a);
}

/* oneDNN wants to see the forward convolution too, whose primitive is never made. */
static int describe(struct build *build, const struct backward *backward, dnnl_primitive_desc_t *pd,
                    struct error *err)
{
    const struct window *window = &backward->window;
    const dnnl_memory_desc_t *as = &backward->weights_as;
    bool has_bias = backward->has_bias && !backward->splits;
    const dnnl_memory_desc_t *bias = has_bias ? &backward->bias : NULL;
    dnnl_memory_desc_t in, read, out, weights, weights_gradient;
    dnnl_alg_kind_t algorithm = choice_algorithm(backward->choice);
    dnnl_convolution_desc_t forward, desc;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_data_type_t type;
    dnnl_dims_t strides, dilates, begin, end;
    for (int d = 0; d < 2; d++) {
        strides[d] = window->stride[d];
        dilates[d] = window->dilation[d] - 1;
        begin[d] = window->pad_begin[d];
        /* The padding behind that makes the output exactly as large as it is. */
        int64_t reach = (window->kernel[d] - 1) * window->dilation[d] + 1;
        end[d] =
            (window->out[d] - 1) * window->stride[d] + reach - window->in[d] - window->pad_begin[d];
    }
    struct layout forward_in = backward->in;
    forward_in.type = backward->type;
    choice_md(backward->choice, &forward_in, &read);
    choice_md(backward->choice, &backward->in, &in);
    choice_md(backward->choice, &backward->out, &out);
    layout_dnnl_type(backward->type, &type);
    dnnl_memory_desc_init_by_tag(&weights, as->ndims, as->dims, type, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&weights_gradient, as->ndims, as->dims, dnnl_f32,
                                 dnnl_format_tag_any);
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &forward, dnnl_forward_training, algorithm, &read, &weights, bias, &out, strides, dilates,
        begin, end);
    if (!status)
        status = backward->kind == DATA
                     ? dnnl_dilated_convolution_backward_data_desc_init(
                           &desc, algorithm, &in, &weights, &out, strides, dilates, begin, end)
                     : dnnl_dilated_convolution_backward_weights_desc_init(
                           &desc, algorithm, &in, &weights_gradient, bias, &out, strides, dilates,
                           begin, end);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    int rc = build_describe(build, &forward, NULL, &hint, err);
    if (!rc)
        rc = build_describe_gradient(build, &desc, hint, pd, err);
    if (hint)
        dnnl_primitive_desc_destroy(hint);
    return rc;
}

/* ---- steps ---- */

static int add_data_step(struct build *build, const struct node *node,
                         const struct backward *backward, dnnl_primitive_desc_t pd, struct error *err)
{
    struct cpu_place *out, *weights, *in, *made;
    int rc = place_data_operands(build, node, backward, &out, &weights, err);
    if (!rc)
        rc = build_reorder_weights(build, weights, &backward->weights_as,
                                   dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
                                   &weights, err);
    if (!rc)
        rc = place_image(build, node->outputs[0], &backward->in, &in, err);
    if (!rc)
        rc = choice_write(build, backward->choice, in, &made, err);
    if (rc) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_DIFF_DST, out);
    build_add_arg(&args, DNNL_ARG_WEIGHTS, weights);
    build_add_arg(&args, DNNL_ARG_DIFF_SRC, made);
    rc = build_primitive(build, pd, &args, count_flop(&backward->window), err);
    return rc ? rc : choice_finish(build, made, in, err);
}

static int add_weights_step(struct build *build, const struct node *node,
                            const struct backward *backward, dnnl_primitive_desc_t pd,
                            struct error *err)
{
    struct cpu_place *in, *out, *weights, *dense, *bias = NULL;
    int rc = place_weights_operands(build, node, backward, &in, &out, err);
    if (!rc)
        rc = place_weights(build, node->outputs[0], backward,
                           dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0),
                           &weights, &dense, err);
    if (!rc && backward->has_bias && !backward->splits)
        rc = place_floats(build, node->outputs[1], &bias, err);
    if (rc) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, in);
    build_add_arg(&args, DNNL_ARG_DIFF_DST, out);
    build_add_arg(&args, DNNL_ARG_DIFF_WEIGHTS, weights);
    if (bias)
        build_add_arg(&args, DNNL_ARG_DIFF_BIAS, bias);
    rc = build_primitive(build, pd, &args, count_flop(&backward->window), err);
    if (!rc && weights != dense)
        rc = build_reorder(build, weights, dense, err);
    return rc || bias || !backward->has_bias ? rc : add_bias_step(build, node, err);
}

static int place_data_operands(struct build *build, const struct node *node,
                               const struct backward *backward, struct cpu_place **out,
                               struct cpu_place **weights, struct error *err)
{
    int dy = node->inputs[0], w = node->inputs[1];
    if (!backward->splits) {
        int rc = choice_read(build, backward->choice, dy, &backward->out, out, err);
        return rc ? rc : build_want_dense(build, w, weights, err);
    }
    int rc = split_want_image(build, dy, 1, SPLIT_HIGH_LOW_HIGH, out, err);
    return rc ? rc : split_want_weights(build, w, 0, SPLIT_HIGH_HIGH_LOW, weights, err);
}

static int place_weights_operands(struct build *build, const struct node *node,
                                  const struct backward *backward, struct cpu_place **in,
                                  struct cpu_place **out, struct error *err)
{
    int x = node->inputs[0], dy = node->inputs[1], rc;
    if (!backward->splits) {
        rc = want_input(build, x, backward, &backward->in, in, err);
        return rc ? rc : choice_read(build, backward->choice, dy, &backward->out, out, err);
    }
    if (backward->step[ROWS] == 1 && backward->step[COLUMNS] == 1) {
        rc = split_want_image(build, x, 0, SPLIT_HIGH_LOW_HIGH, in, err);
    } else {
        struct shape shape = backward->in.shape;
        shape.dim[0] /= SPLIT_PARTS;
        struct layout part = layout_channels_last(TENSOR_F32, &shape);
        rc = want_input(build, x, backward, &part, in, err);
        if (!rc)
            rc = split_want(build, -1, *in, 1, SPLIT_HIGH_LOW_HIGH, &backward->in, in, err);
    }
    return rc ? rc : split_want_image(build, dy, 0, SPLIT_HIGH_HIGH_LOW, out, err);
}

/* Beside parts that are there twice, the sum over all would not be the bias's gradient. */
static int add_bias_step(struct build *build, const struct node *node, struct error *err)
{
    int rank = build_info(build, node->inputs[1])->shape.rank;
    bool folded[SHAPE_RANK_MAX] = { false };
    for (int d = 0; d < rank; d++)
        folded[d] = d != 1;
    return build_sum(build, node->inputs[1], node->outputs[1], folded, err);
}

/* Our own Winograd's method, in bf16 (winograd_steps.h). */
static int add_own_data_step(struct build *build, const struct node *node, struct backward *backward,
                             const struct winograd *winograd, struct error *err)
{
    struct cpu_place *out, *weights, *in;
    struct winograd turned = winograd_turned(winograd);
    set_layouts(build, node, TENSOR_BF16, CHOICE_LAST, backward);
    int rc = choice_read(build, backward->choice, node->inputs[0], &backward->out, &out, err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[1], &weights, err);
    if (!rc)
        rc = place_image(build, node->outputs[0], &backward->in, &in, err);
    return rc ? rc
              : winograd_add_step(build, &turned, out, weights, true, NULL, NULL, false, in, err);
}

static int add_own_weights_step(struct build *build, const struct node *node,
                                struct backward *backward, const struct winograd *winograd,
                                struct error *err)
{
    struct cpu_place *in, *out, *weights, *bias = NULL;
    set_layouts(build, node, TENSOR_BF16, CHOICE_LAST, backward);
    int rc = choice_read(build, backward->choice, node->inputs[0], &backward->in, &in, err);
    if (!rc)
        rc = choice_read(build, backward->choice, node->inputs[1], &backward->out, &out, err);
    if (!rc)
        rc = place_floats(build, node->outputs[0], &weights, err);
    if (!rc && backward->has_bias)
        rc = place_floats(build, node->outputs[1], &bias, err);
    return rc ? rc : winograd_add_gradient_step(build, winograd, in, out, weights, bias, err);
}

/* New row-major memory. */
static int place_floats(struct build *build, int value, struct cpu_place **place, struct error *err)
{
    struct layout layout = layout_dense(TENSOR_F32, &build_info(build, value)->shape);
    return build_output(build, value, &layout, place, err);
}

/* New memory for a value of three or four dimensions, written as an image of four. */
static int place_image(struct build *build, int value, const struct layout *image,
                       struct cpu_place **place, struct error *err)
{
    const struct shape *shape = &build_info(build, value)->shape;
    struct layout whole = *image;
    int rc = build_new_place(build, image, place, err);
    if (rc)
        return rc;
    if (shape->rank != 4)
        layout_reshape(image, shape, &whole);
    return build_view(build, value, *place, 0, &whole, err);
}

/* Where the weights' gradient goes, row-major, and where oneDNN writes it: the same, or memory that
 * lies as it likes. */
static int place_weights(struct build *build, int value, const struct backward *backward,
                         const dnnl_memory_desc_t *md, struct cpu_place **place,
                         struct cpu_place **dense, struct error *err)
{
    const dnnl_memory_desc_t *as = &backward->weights_as;
    struct shape grouped = { .rank = as->ndims };
    struct cpu_place *whole;
    int rc = place_floats(build, value, &whole, err);
    for (int d = 0; d < grouped.rank; d++)
        grouped.dim[d] = as->dims[d];
    struct layout layout = layout_dense(TENSOR_F32, &grouped);
    if (!rc)
        rc = build_alias(build, whole, 0, &layout, dense, err);
    if (rc)
        return rc;
    *place = *dense;
    return dnnl_memory_desc_equal(md, &(*dense)->md) ? 0 : build_new_opaque(build, md, place, err);
}

/* The Conv's input, or the part of it that is seen. */
static int want_input(struct build *build, int value, const struct backward *backward,
                      const struct layout *part, struct cpu_place **place, struct error *err)
{
    if (backward->step[ROWS] == 1 && backward->step[COLUMNS] == 1)
        return choice_read(build, backward->choice, value, part, place, err);
    const struct shape *shape = &build_info(build, value)->shape;
    struct shape image = part->shape;
    image.dim[2] = shape->rank == 4 ? shape->dim[2] : 1;
    image.dim[3] = shape->dim[shape->rank - 1];
    struct layout whole = layout_channels_last(part->type, &image);
    struct cpu_place *from;
    int rc = choice_read(build, CHOICE_LAST, value, &whole, &from, err);
    if (!rc)
        rc = build_new_place(build, part, place, err);
    return rc ? rc : thin_add_step(build, from, backward->step, *place, err);
}

static uint64_t count_flop(const struct window *window)
{
    return 2 * (uint64_t)(window->batch * window->out[ROWS] * window->out[COLUMNS] *
                          window->out_channels * (window->in_channels / window->groups) *
                          window->kernel[ROWS] * window->kernel[COLUMNS]);
}
