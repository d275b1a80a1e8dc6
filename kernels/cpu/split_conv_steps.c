/* split_conv_steps: what goes this way and what of it the kernel takes along; weights are split and packed when
 * the plan is made. */
#include "cpu/split_conv_steps.h"
#include "cpu/choose.h"
#include "cpu/lanes_quick.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The rule: what takes how long, in picoseconds, on one thread of a Xeon with AMX, 2026-11-22. A number that is
 * read or written has its share of waiting for the caches in it. A product of two tiles takes 6400 with all that
 * is loaded for it, and four times that in worse minutes (split_conv.c), when f32 takes at most twice as long: what
 * stands here is between the two, so that nothing loses much in either. A multiplication in f32 is a direct one, as
 * Winograd's method is not used in bf16x3. In the better minutes: 3x3, 64 channels, 48x64: 425 us for 1690 in f32;
 * 1x1, 64 channels, 26x26: 23 for 38; 1x1, 16 channels, 104x104: 67 for 60, and that stays f32
 * (kernels/lab/split_conv.c). */
#define TILES_PS 14000
#define READ_PS 230
#define WRITE_PS 150
#define PLAIN_PS 15

enum { RUN_IN, RUN_WEIGHTS, RUN_BIAS, RUN_OUT, RUN_SCRATCH, RUN_OPERANDS };

struct run_state {
    struct split_conv conv;
    struct split_conv_tail tail;
    bool adds;                          /* places[RUN_OPERANDS] */
    int operands[SPLIT_CONV_POSTS_MAX]; /* of posts: indices of places, 0: none */
};

static bool suits(const struct build *build, const struct node *node, const struct window *window);
static int find_bias(const struct node *node);
static bool pays(const struct split_conv *conv);
static int place_pixels(struct build *build, const struct node *node, struct split_conv *conv,
                        struct cpu_place **in, struct error *err);
static int run(const struct cpu_step *step, struct error *err);
static int pack_weights(struct build *build, const struct split_conv *conv, int weights,
                        struct cpu_place **place, struct error *err);
static int pad_bias(struct build *build, const struct split_conv *conv, int bias,
                    struct cpu_place **place, struct error *err);
static int add_scratch(struct build *build, const struct split_conv *conv, struct cpu_place **place,
                       struct error *err);
static size_t take_posts(const struct post_list *posts, struct run_state *state,
                         struct cpu_place **places, int *place_count);
static bool take_bounds(const struct post_list *posts, size_t first, struct split_conv_tail *tail);
static bool take_operand(const struct post_list *posts, size_t index, enum split_conv_operand *how);
static bool is_finite_constant(const struct build *build, int value);
static uint64_t count_flop(const struct split_conv *conv);

int split_conv_choose(struct build *build, const struct node *node, const struct window *window,
                      struct split_conv *conv, struct cpu_place **in, struct error *err)
{
    if (!suits(build, node, window))
        return BUILD_DECLINED;
    *conv = (struct split_conv){
        .batch = window->batch,
        .in = window->in_channels,
        .out = window->out_channels,
        .rows = window->in[ROWS],
        .columns = window->in[COLUMNS],
        .out_rows = window->out[ROWS],
        .out_columns = window->out[COLUMNS],
        .kernel = { window->kernel[ROWS], window->kernel[COLUMNS] },
        .stride = { window->stride[ROWS], window->stride[COLUMNS] },
        .dilation = { window->dilation[ROWS], window->dilation[COLUMNS] },
        .pad = { window->pad_begin[ROWS], window->pad_begin[COLUMNS] },
        .in_step = window->in_channels,
        .out_step = window->out_channels,
        .threads = build->device->threads,
    };
    int rc = place_pixels(build, node, conv, in, err);
    if (rc)
        return rc;
    return split_conv_plan(conv) && pays(conv) ? 0 : BUILD_DECLINED;
}

int split_conv_add_step(struct build *build, const struct node *node, const struct split_conv *conv,
                        struct cpu_place *in, const struct post_list *posts, struct cpu_place *out,
                        struct error *err)
{
    struct cpu_place *places[RUN_OPERANDS + SPLIT_CONV_POSTS_MAX] = { [RUN_IN] = in, [RUN_OUT] = out };
    int count = RUN_OPERANDS;
    int rc = pack_weights(build, conv, node->inputs[1], &places[RUN_WEIGHTS], err);
    if (!rc)
        rc = pad_bias(build, conv, find_bias(node), &places[RUN_BIAS], err);
    if (!rc)
        rc = add_scratch(build, conv, &places[RUN_SCRATCH], err);
    if (rc)
        return rc;
    struct run_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->conv = *conv;
    size_t taken = take_posts(posts, state, places, &count);
    rc = build_c_step(build, "own:split_conv", run, state, places, count, err);
    if (rc)
        return rc;
    build_set_flop(build, count_flop(conv));
    return post_add_steps(build, posts, taken, out, out, err);
}

static int run(const struct cpu_step *step, struct error *err)
{
    const struct run_state *state = step->state;
    struct split_conv_tail tail = state->tail;
    (void)err;
    tail.bias = step->places[RUN_BIAS]->data;
    if (state->adds)
        tail.added = step->places[RUN_OPERANDS]->data;
    for (int i = 0; i < tail.post_count; i++)
        if (state->operands[i])
            tail.posts[i].data = step->places[state->operands[i]]->data;
    split_conv_run(&state->conv, step->places[RUN_IN]->data, step->places[RUN_WEIGHTS]->data, &tail,
                   step->places[RUN_OUT]->data, step->places[RUN_SCRATCH]->data);
    return 0;
}

/* ---- the rule ---- */

static bool suits(const struct build *build, const struct node *node, const struct window *window)
{
    unsigned wanted = dnnl_cpu_isa_avx512_core_amx;
    int bias = find_bias(node);
    return build->splits && window->groups == 1 &&
           ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted && split_conv_available() &&
           is_finite_constant(build, node->inputs[1]) &&
           (bias < 0 || build_info(build, bias)->constant.data);
}

static int find_bias(const struct node *node)
{
    return node->input_count > 2 ? node->inputs[2] : -1;
}

static bool pays(const struct split_conv *conv)
{
    double outputs = (double)(conv->batch * conv->out_rows * conv->out_columns * conv->out);
    double inputs = (double)(conv->batch * conv->rows * conv->columns * conv->in);
    for (int d = 0; d < 2; d++)
        inputs /= conv->kernel[d] == 1 ? (double)conv->stride[d] : 1; /* what is passed over */
    double plain = outputs * (double)(conv->in * conv->kernel[0] * conv->kernel[1]) * PLAIN_PS;
    return (double)split_conv_products(conv) * TILES_PS + inputs * READ_PS + outputs * WRITE_PS <
           plain;
}

/* ---- operands ---- */

/* Read where they lie: planes of a few channels, or pixels, which may be parts of wider ones; otherwise brought
 * channels-last. */
static int place_pixels(struct build *build, const struct node *node, struct split_conv *conv,
                        struct cpu_place **in, struct error *err)
{
    const struct shape *shape = &build_info(build, node->inputs[0])->shape;
    int rc = build_place(build, node->inputs[0], in, err);
    if (rc)
        return rc;
    const struct layout *layout = &(*in)->layout;
    const int64_t *stride = layout->stride;
    conv->planar = layout->type == TENSOR_F32 && conv->in <= SPLIT_CONV_PLANAR_MAX &&
                   layout_is_dense(layout) && (conv->kernel[1] > 1 || conv->stride[1] == 1);
    conv->in_step = conv->planar ? 1 : conv->in;
    if (conv->planar)
        return 0;
    if (shape->rank == 4 && layout->type == TENSOR_F32 && (conv->in == 1 || stride[1] == 1) &&
        stride[3] >= conv->in && stride[2] == stride[3] * conv->columns &&
        (conv->batch == 1 || stride[0] == stride[2] * conv->rows)) {
        conv->in_step = stride[3];
        return 0;
    }
    struct shape image = *shape;
    if (shape->rank == 3)
        image =
            (struct shape){ .rank = 4, .dim = { shape->dim[0], shape->dim[1], 1, shape->dim[2] } };
    struct layout last = layout_channels_last(TENSOR_F32, &image);
    return choice_read(build, CHOICE_LAST, node->inputs[0], &last, in, err);
}

static int pack_weights(struct build *build, const struct split_conv *conv, int weights,
                        struct cpu_place **place, struct error *err)
{
    struct shape shape = { .rank = 1, .dim = { (int64_t)split_conv_weights_bytes(conv) / 2 } };
    struct layout layout = layout_dense(TENSOR_BF16, &shape);
    int64_t taps = conv->kernel[0] * conv->kernel[1];
    struct split_conv_weights given = {
        .out_step = conv->in * taps, .in_step = taps, .row_step = conv->kernel[1], .column_step = 1
    };
    struct cpu_place *plain;
    int rc = build_want_dense(build, weights, &plain, err);
    if (rc)
        return rc;
    given.data = build_constant_data(build, plain);
    void *packed = cpu_allocate(layout_bytes(&layout));
    if (!packed)
        return error_set(err, ERROR_MEMORY, "cpu", "no room for weights as bf16 parts");
    split_conv_pack(conv, &given, packed);
    return build_take_constant(build, packed, &layout, place, err);
}

/* Zeros if there is none. */
static int pad_bias(struct build *build, const struct split_conv *conv, int bias,
                    struct cpu_place **place, struct error *err)
{
    struct shape shape = { .rank = 1, .dim = { (conv->out + 15) / 16 * 16 } };
    struct layout layout = layout_dense(TENSOR_F32, &shape);
    struct cpu_place *given = NULL;
    int rc = bias < 0 ? 0 : build_want_dense(build, bias, &given, err);
    if (rc)
        return rc;
    float *padded = cpu_allocate(layout_bytes(&layout));
    if (!padded)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    memset(padded, 0, layout_bytes(&layout));
    if (given)
        memcpy(padded, build_constant_data(build, given), (size_t)conv->out * sizeof *padded);
    return build_take_constant(build, padded, &layout, place, err);
}

static int add_scratch(struct build *build, const struct split_conv *conv, struct cpu_place **place,
                       struct error *err)
{
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = { (dnnl_dim_t)split_conv_scratch_bytes(conv) };
    dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_u8, dnnl_a);
    return build_new_opaque(build, &md, place, err);
}

/* ---- posts ---- */

/* Bounds come last and for nothing, and so does an addition before them; any others go one by one over a
 * few tiles of sums. */
static size_t take_posts(const struct post_list *posts, struct run_state *state,
                         struct cpu_place **places, int *place_count)
{
    struct split_conv_tail *tail = &state->tail;
    enum split_conv_operand how;
    size_t count = posts->count;
    tail->low = -INFINITY;
    tail->high = INFINITY;
    for (size_t i = 0; i < count; i++)
        if (!take_operand(posts, i, &how))
            count = i;
    size_t end = count;
    if (end > 0 && take_bounds(posts, end - 1, tail))
        end--;
    if (end > 0 && posts->posts[end - 1].kind == POINTWISE_ADD &&
        take_operand(posts, end - 1, &how) && how == SPLIT_CONV_FULL) {
        state->adds = true;
        places[(*place_count)++] = posts->operands[--end];
    }
    for (size_t i = 0; i < end; i++) {
        take_operand(posts, i, &how);
        tail->posts[i] = (struct split_conv_post){ .run = lanes_find_quick(posts->posts[i].kind),
                                                   .alpha = posts->posts[i].alpha,
                                                   .beta = posts->posts[i].beta,
                                                   .operand = how };
        if (how != SPLIT_CONV_ALONE) {
            state->operands[i] = *place_count;
            places[(*place_count)++] = posts->operands[i];
        }
    }
    tail->post_count = (int)end;
    return count;
}

static bool take_bounds(const struct post_list *posts, size_t index, struct split_conv_tail *tail)
{
    const struct pointwise *post = &posts->posts[index];
    if (post->kind != POINTWISE_RELU && post->kind != POINTWISE_CLIP)
        return false;
    tail->low = post->kind == POINTWISE_RELU ? 0 : post->alpha;
    tail->high = post->kind == POINTWISE_RELU ? INFINITY : post->beta;
    return true;
}

/* As large as the output, or a number for each channel. */
static bool take_operand(const struct post_list *posts, size_t index, enum split_conv_operand *how)
{
    const struct cpu_place *operand = posts->operands[index];
    *how = SPLIT_CONV_ALONE;
    if (!operand)
        return true;
    *how = SPLIT_CONV_FULL;
    if (layout_equal(&operand->layout, &posts->out))
        return true;
    *how = SPLIT_CONV_CHANNEL;
    const struct shape *shape = &operand->layout.shape;
    return operand->layout.type == TENSOR_F32 && layout_is_dense(&operand->layout) &&
           shape->rank == posts->out.shape.rank && shape->dim[1] == posts->out.shape.dim[1] &&
           shape_elements(shape) == shape->dim[1];
}

static bool is_finite_constant(const struct build *build, int value)
{
    const struct tensor *held = &build_info(build, value)->constant;
    const float *data = held->data;
    for (int64_t i = 0, count = data ? shape_elements(&held->shape) : 0; i < count; i++)
        if (!isfinite(data[i]))
            return false;
    return data != NULL;
}

static uint64_t count_flop(const struct split_conv *conv)
{
    return 2 * (uint64_t)(conv->batch * conv->out_rows * conv->out_columns * conv->in * conv->out *
                          conv->kernel[0] * conv->kernel[1]);
}
