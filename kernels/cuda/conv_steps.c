/* conv_steps: convolutions forwards and back, by the library where it has them, with as much of what
 * follows as it takes, or by an own kernel that is faster. A picture of one dimension is seen as one row
 * of two. */
#include "cuda/conv_depth.h"
#include "cuda/conv_parts.h"
#include "ops/conv.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static cuda_maker make_conv, make_conv_transpose, make_conv_grad_input, make_conv_grad_weights;

static const struct cuda_row rows[] = {
    { "Conv", make_conv },
    { "ConvTranspose", make_conv_transpose },
    { "conv_grad_input", make_conv_grad_input },
    { "conv_grad_weights", make_conv_grad_weights },
};
const struct cuda_family cuda_conv_family = CUDA_FAMILY(rows);

/* A step: places are those read (two of x, w, y; bias; operands), then the result and scratch. */
struct conv_state {
    struct conv conv;
    struct lib_conv *library; /* NULL: an own kernel, */
    bool tiled, deep;         /* tile's, conv_depth's or the plain one */
    struct conv_tiles tiles;
    int x, w, y, bias, scratch; /* places; -1: none */
    int first_operand;
};

static struct conv from_window(const struct window *window, enum conv_way way);
static struct conv turned(const struct window *window);
static int make(struct cuda_build *build, struct conv_making *making, struct error *err);
static void set_types(const struct cuda_build *build, struct conv_making *making);
static int find_operands(struct cuda_build *build, struct conv_making *making, struct error *err);
static int choose(struct cuda_build *build, struct conv_making *making, struct conv_state *state,
                  struct error *err);
static bool suits_tile(const struct cuda_build *build, const struct conv *conv);
static int choose_tile(struct cuda_build *build, struct conv_making *making,
                       struct conv_state *state, struct error *err);
static int take_library(struct cuda_build *build, struct conv_making *making,
                        struct conv_state *state, struct error *err);
static uint32_t find_alignment(const struct conv_making *making);
static int add_step(struct cuda_build *build, struct conv_making *making, struct conv_state *state,
                    struct cuda_place *out, struct error *err);
static int run_conv(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static void run_own(const struct conv *conv, struct gpu *gpu);
static void free_conv(void *state);

/* With the one before it where that was left to it. */
static int make_conv(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct node *before = build->values[node->inputs[0]].later;
    struct conv_making making;
    int rc = conv_begin(build, node, &making, err);
    if (rc)
        return rc;
    return before ? conv_make_pair(build, before, &making, err) : make(build, &making, err);
}

int conv_begin(struct cuda_build *build, const struct node *node, struct conv_making *making,
               struct error *err)
{
    struct window window;
    int rc = window_of_conv(node, &cuda_info(build, node->inputs[0])->shape,
                            &cuda_info(build, node->inputs[1])->shape, &window, err);
    if (rc)
        return rc;
    *making = (struct conv_making){
        .conv = from_window(&window, CONV_FORWARD),
        .from = { node->inputs[0], node->inputs[1] },
        .bias = node->input_count > 2 ? node->inputs[2] : -1,
        .to = node->outputs[0],
        .posts = node,
    };
    set_types(build, making);
    return 0;
}

static int make_conv_transpose(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct window window;
    int rc = window_of_conv_transpose(node, &cuda_info(build, node->inputs[0])->shape,
                                      &cuda_info(build, node->inputs[1])->shape, &window, err);
    if (rc)
        return rc;
    struct conv_making making = {
        .conv = turned(&window),
        .from = { node->inputs[0], node->inputs[1] },
        .bias = node->input_count > 2 ? node->inputs[2] : -1,
        .to = node->outputs[0],
        .posts = node,
    };
    return make(build, &making, err);
}

static int make_conv_grad_input(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct window window;
    int rc = window_of_conv_grad_input(node, &cuda_info(build, node->inputs[0])->shape,
                                       &cuda_info(build, node->inputs[1])->shape, &window, err);
    if (rc)
        return rc;
    struct conv_making making = {
        .conv = from_window(&window, CONV_INPUT),
        .from = { node->inputs[0], node->inputs[1] },
        .bias = -1,
        .to = node->outputs[0],
    };
    return make(build, &making, err);
}

static int make_conv_grad_weights(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct window window;
    int rc = window_of_conv_grad_weights(node, &cuda_info(build, node->inputs[0])->shape,
                                         &cuda_info(build, node->inputs[1])->shape, &window, err);
    if (rc)
        return rc;
    struct conv_making making = {
        .conv = from_window(&window, CONV_WEIGHTS),
        .from = { node->inputs[0], node->inputs[1] },
        .bias = -1,
        .to = node->outputs[0],
    };
    if (making.to >= 0)
        rc = make(build, &making, err);
    if (!rc && node->output_count > 1 && node->outputs[1] >= 0)
        rc = cuda_sum(build, node->inputs[1], node->outputs[1],
                      (const bool[]){ true, false, true, true }, err);
    return rc;
}

static struct conv from_window(const struct window *window, enum conv_way way)
{
    struct conv conv = {
        .way = way,
        .batch = (int32_t)window->batch,
        .channels = (int32_t)window->in_channels,
        .filters = (int32_t)window->out_channels,
        .groups = (int32_t)window->groups,
    };
    for (int d = 0; d < 2; d++) {
        conv.in[d] = (int32_t)window->in[d];
        conv.out[d] = (int32_t)window->out[d];
        conv.kernel[d] = (int32_t)window->kernel[d];
        conv.stride[d] = (int32_t)window->stride[d];
        conv.dilation[d] = (int32_t)window->dilation[d];
        conv.pad[d] = (int32_t)window->pad_begin[d];
        conv.pad_end[d] = (int32_t)window->pad_end[d];
    }
    return conv;
}

/* ConvTranspose is what a Conv with the same weights does to gradients: its input is that one's
 * output. */
static struct conv turned(const struct window *window)
{
    struct conv conv = from_window(window, CONV_INPUT);
    conv.channels = (int32_t)window->out_channels;
    conv.filters = (int32_t)window->in_channels;
    for (int d = 0; d < 2; d++) {
        conv.in[d] = (int32_t)window->out[d];
        conv.out[d] = (int32_t)window->in[d];
    }
    return conv;
}

static int make(struct cuda_build *build, struct conv_making *making, struct error *err)
{
    set_types(build, making);
    int rc = cuda_want_last(build, making->from[0], build->arithmetic, &making->places[0], err);
    if (!rc)
        rc = conv_gather(build, making, err);
    return rc ? rc : conv_finish(build, making, err);
}

/* Of x, w and y two are read, in the order of the node's inputs: x and w, y and w, or x and y. */
static void set_types(const struct cuda_build *build, struct conv_making *making)
{
    struct conv *conv = &making->conv;
    enum tensor_type type =
        conv->way == CONV_WEIGHTS ? TENSOR_F32 : cuda_product_type(build, making->to);
    conv->x_type = conv->w_type = conv->y_type = (int32_t)build->arithmetic;
    *(conv->way == CONV_FORWARD ? &conv->y_type
      : conv->way == CONV_INPUT ? &conv->x_type
                                : &conv->w_type) = (int32_t)type;
}

int conv_gather(struct cuda_build *build, struct conv_making *making, struct error *err)
{
    int rc = cuda_want_last(build, making->from[1], build->arithmetic, &making->places[1], err);
    if (!rc && making->bias >= 0)
        rc = cuda_want_dense(build, making->bias, TENSOR_F32, &making->places[2], err);
    if (!rc && (build->device->libraries || suits_tile(build, &making->conv)))
        rc = find_operands(build, making, err);
    return rc;
}

int conv_finish(struct cuda_build *build, struct conv_making *making, struct error *err)
{
    struct conv_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    int rc = choose(build, making, state, err);
    struct cuda_place *out = NULL;
    if (!rc)
        rc = conv_place_result(build, making, &out, err);
    if (rc) {
        free_conv(state);
        return rc;
    }
    rc = add_step(build, making, state, out, err);
    return rc ? rc : conv_map_rest(build, making, out, err);
}

int conv_place_result(struct cuda_build *build, const struct conv_making *making,
                      struct cuda_place **out, struct error *err)
{
    enum conv_way way = making->conv.way;
    int32_t type = way == CONV_FORWARD ? making->conv.y_type
                   : way == CONV_INPUT ? making->conv.x_type
                                       : making->conv.w_type;
    struct layout layout =
        layout_channels_last((enum tensor_type)type, &cuda_info(build, making->to)->shape);
    return cuda_output(build, making->to, &layout, out, err);
}

int conv_map_rest(struct cuda_build *build, const struct conv_making *making,
                  struct cuda_place *out, struct error *err)
{
    struct pointwise posts[FUSED_POSTS_MAX];
    size_t count = making->posts ? fused_get_posts(making->posts, posts) : 0;
    return making->fused_count < count
               ? cuda_map_posts(build, making->posts, making->fused_count, out, out, err)
               : 0;
}

/* Posts that may become part of the step: as long as their operands are pictures, or one number per
 * channel. They are read where they are; pictures of the result's size that lie row by row are turned. */
static int find_operands(struct cuda_build *build, struct conv_making *making, struct error *err)
{
    struct pointwise posts[FUSED_POSTS_MAX];
    size_t count = making->posts ? fused_get_posts(making->posts, posts) : 0;
    const struct shape *shape = &cuda_info(build, making->to)->shape;
    for (size_t i = 0; i < count; i++) {
        struct lib_post *post = &making->fused[making->fused_count];
        *post = (struct lib_post){ .function = posts[i] };
        if (posts[i].operand >= 0) {
            struct cuda_place *place;
            int value = making->posts->inputs[posts[i].operand];
            if (!conv_is_picture_like(&cuda_info(build, value)->shape, shape))
                return 0;
            int rc = cuda_where(build, value, &place, err);
            if (!rc && shape_equal(&place->layout.shape, shape) && place->layout.stride[1] != 1)
                rc = cuda_want_last(build, value, TENSOR_NONE, &place, err);
            if (rc)
                return rc;
            post->operand = cuda_view_broadcast(place, shape);
            for (int d = 0; d < 4; d++)
                if (post->operand.step[d] == 0)
                    post->operand.dim[d] = 1;
            making->places[3 + making->fused_count] = place;
        }
        making->fused_count++;
    }
    return 0;
}

bool conv_is_picture_like(const struct shape *operand, const struct shape *picture)
{
    return picture->rank == 4 &&
           (operand->rank == 4 || operand->rank == 3 || shape_elements(operand) == 1);
}

/* An own kernel for few channels; the library with all that follows, or with none of it; or an own
 * kernel for each channel by itself; or the plain one. */
static int choose(struct cuda_build *build, struct conv_making *making, struct conv_state *state,
                  struct error *err)
{
    int rc = 0;
    if (suits_tile(build, &making->conv))
        rc = choose_tile(build, making, state, err);
    else if (build->device->libraries)
        rc = take_library(build, making, state, err);
    if (!state->library && !state->tiled)
        making->fused_count = 0;
    if (rc || !state->library || making->bias < 0)
        return rc;
    return cuda_want_dense(build, making->bias, lib_conv_bias_type(state->library),
                           &making->places[2], err);
}

static bool suits_tile(const struct cuda_build *build, const struct conv *conv)
{
    return conv_tile_suits(conv, build->device->facts.major, build->device->facts.minor);
}

/* Tile's kernel, unless the library is faster in the same. */
static int choose_tile(struct cuda_build *build, struct conv_making *making,
                       struct conv_state *state, struct error *err)
{
    if (making->fused_count > CONV_TILE_POSTS_MAX)
        making->fused_count = CONV_TILE_POSTS_MAX;
    state->tiles = conv_describe_tiles(build, making);
    const struct lib_conv_spec spec = conv_describe(build, making);
    const struct lib_rival rival = conv_rival_of(&state->tiles);
    int rc = build->device->libraries ? lib_conv_make_against(build->device->libraries, &spec,
                                                              &rival, &state->library, err)
                                      : 0;
    state->tiled = !state->library;
    return rc;
}

struct conv_tiles conv_describe_tiles(const struct cuda_build *build, const struct conv_making *making)
{
    struct conv_tiles tiles = { .tile.post_count = (int32_t)making->fused_count,
                                .multiprocessors = build->device->facts.multiprocessors };
    for (size_t i = 0; i < making->fused_count; i++) {
        const struct lib_post *post = &making->fused[i];
        struct conv_tile_post *to = &tiles.tile.posts[i];
        *to = (struct conv_tile_post){ .kind = post->function.kind,
                                       .alpha = post->function.alpha,
                                       .beta = post->function.beta,
                                       .type = post->operand.type };
        memcpy(to->step, post->operand.step, sizeof to->step);
    }
    return tiles;
}

struct lib_rival conv_rival_of(const struct conv_tiles *tiles)
{
    return (struct lib_rival){ .name = "tile", .run = conv_run_tiles, .arg = tiles };
}

static int take_library(struct cuda_build *build, struct conv_making *making,
                        struct conv_state *state, struct error *err)
{
    struct lib_conv_spec spec = conv_describe(build, making);
    int rc = lib_conv_make(build->device->libraries, &spec, &state->library, err);
    if (!rc && !state->library && spec.post_count > 0) {
        spec.post_count = making->fused_count = 0;
        rc = lib_conv_make(build->device->libraries, &spec, &state->library, err);
    }
    return rc;
}

struct lib_conv_spec conv_describe(const struct cuda_build *build, const struct conv_making *making)
{
    return (struct lib_conv_spec){
        .conv = making->conv,
        .has_bias = making->bias >= 0,
        .precision = build->precision,
        .posts = making->fused,
        .post_count = making->fused_count,
        .alignment_bytes = find_alignment(making),
    };
}

/* Of all that is read; what is written begins a buffer. */
static uint32_t find_alignment(const struct conv_making *making)
{
    uint64_t offsets = GPU_ALIGNMENT_BYTES;
    for (size_t i = 0; i < 3 + making->fused_count; i++)
        if (making->places[i])
            offsets |= making->places[i]->offset_bytes;
    return (uint32_t)(offsets & -offsets);
}

static int add_step(struct cuda_build *build, struct conv_making *making, struct conv_state *state,
                    struct cuda_place *out, struct error *err)
{
    struct cuda_place *places[5 + FUSED_POSTS_MAX];
    enum conv_way way = making->conv.way;
    int count = 2;
    places[0] = making->places[0];
    places[1] = making->places[1];
    state->conv = making->conv;
    state->deep = !state->library && !state->tiled && conv_depth_suits(&making->conv) &&
                  find_alignment(making) >= VECTOR_BYTES;
    state->x = way == CONV_INPUT ? -1 : 0;
    state->y = way == CONV_INPUT ? 0 : 1;
    state->w = 1;
    state->bias = state->scratch = -1;
    if (making->bias >= 0) {
        places[count] = making->places[2];
        state->bias = count++;
    }
    state->first_operand = count;
    for (size_t i = 0; i < making->fused_count; i++)
        if (making->fused[i].function.operand >= 0)
            places[count++] = making->places[3 + i];
    int reads = count;
    *(way == CONV_FORWARD ? &state->y : way == CONV_INPUT ? &state->x : &state->w) = count;
    places[count++] = out;
    if (state->library && lib_conv_scratch_bytes(state->library) > 0) {
        int rc = cuda_scratch(build, lib_conv_scratch_bytes(state->library), &places[count], err);
        if (rc) {
            free_conv(state);
            return rc;
        }
        state->scratch = count++;
    }
    const char *how = state->library ? lib_conv_name(state->library)
                      : state->tiled ? "conv tile"
                      : state->deep  ? "conv depth"
                                     : "conv";
    int rc = cuda_add_step(build, how, run_conv, state, free_conv, places, reads, count, err);
    if (!rc)
        cuda_set_flop(build, conv_count_flop(&making->conv));
    return rc;
}

uint64_t conv_count_flop(const struct conv *conv)
{
    return 2u * (uint64_t)conv->batch * (uint64_t)conv->filters * (uint64_t)conv->out[0] *
           (uint64_t)conv->out[1] * (uint64_t)(conv->channels / conv->groups) *
           (uint64_t)conv->kernel[0] * (uint64_t)conv->kernel[1];
}

static int run_conv(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct conv_state *state = step->state;
    struct conv conv = state->conv;
    conv.x = step->places[state->x]->data;
    conv.w = step->places[state->w]->data;
    conv.y = step->places[state->y]->data;
    conv.bias = state->bias < 0 ? NULL : step->places[state->bias]->data;
    void *operands[FUSED_POSTS_MAX] = { NULL };
    int count = 0;
    for (int i = state->first_operand; i < step->read_count; i++)
        operands[count++] = step->places[i]->data;
    if (state->library)
        return lib_conv_run(state->library, gpu, conv.x, conv.w, conv.y,
                            state->bias < 0 ? NULL : step->places[state->bias]->data, operands,
                            state->scratch < 0 ? NULL : step->places[state->scratch]->data, err);
    if (state->tiled)
        conv_run_tiles(&state->tiles, gpu, &conv, operands);
    else if (state->deep)
        conv_depth_run(&conv, gpu_stream(gpu));
    else
        run_own(&conv, gpu);
    return 0;
}

void conv_run_tiles(const void *arg, struct gpu *gpu, const struct conv *conv, void *const *operands)
{
    const struct conv_tiles *tiles = arg;
    struct conv_tile tile = tiles->tile;
    tile.conv = *conv;
    conv_set_operands(&tile, operands);
    conv_tile_run(&tile, tiles->multiprocessors, gpu_stream(gpu));
}

int conv_set_operands(struct conv_tile *tile, void *const *operands)
{
    int count = 0;
    for (int i = 0; i < tile->post_count; i++)
        if (pointwise_takes_operand((enum pointwise_kind)tile->posts[i].kind))
            tile->posts[i].operand = operands[count++];
    return count;
}

static void run_own(const struct conv *conv, struct gpu *gpu)
{
    int64_t pixels_in = (int64_t)conv->batch * conv->in[0] * conv->in[1];
    int64_t pixels_out = (int64_t)conv->batch * conv->out[0] * conv->out[1];
    int64_t weights =
        (int64_t)conv->filters * conv->kernel[0] * conv->kernel[1] * (conv->channels / conv->groups);
    if (conv->way == CONV_FORWARD)
        conv_forward(conv, pixels_out * conv->filters, gpu_stream(gpu));
    else if (conv->way == CONV_INPUT)
        conv_input(conv, pixels_in * conv->channels, gpu_stream(gpu));
    else
        conv_weights(conv, weights, pixels_out, gpu_stream(gpu));
}

static void free_conv(void *state)
{
    struct conv_state *conv = state;
    if (conv && conv->library)
        lib_conv_free(conv->library);
    free(conv);
}
