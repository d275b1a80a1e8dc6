/* pad_steps: arrays inside larger ones: Pad, the gradients of Pad and Slice, and Tile, which is an array
 * that goes on around itself. */
#include "cuda/move.h"
#include "ops/resolve.h"
#include <stdlib.h>

_Static_assert((int)FRAME_CONSTANT == (int)PAD_CONSTANT && (int)FRAME_REFLECT == (int)PAD_REFLECT &&
                   (int)FRAME_EDGE == (int)PAD_EDGE && (int)FRAME_WRAP == (int)PAD_WRAP,
               "kernels have the modes of the op");

struct frame_state {
    struct frame frame;
    int64_t inner_offset; /* elements, from the place's first to the frame's */
    int64_t count;        /* elements of the result */
};

static struct frame_state *start_frame(struct cuda_place *inner, struct cuda_place *outer,
                                       enum pad_mode mode, const int64_t *begin);
static int put(struct cuda_build *build, struct cuda_place *inner, struct cuda_place *outer,
               struct cuda_place *filler, struct frame_state *state, struct error *err);
static void settle(struct frame *frame, bool by_inner);
static bool goes_before(const struct frame_axis *a, const struct frame_axis *b, bool by_inner);
static bool is_filled(const struct frame_axis *axis);
static int run_put(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static int run_sum(const struct cuda_step *step, struct gpu *gpu, struct error *err);

/* ---- makers ---- */

int move_make_pad(struct cuda_build *build, const struct node *node, struct error *err)
{
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX];
    struct shape padded;
    struct cuda_place *in, *out, *filler = NULL;
    int rc =
        pad_resolve(node, cuda_constant_input(build, node, 1), cuda_constant_input(build, node, 3),
                    &cuda_info(build, node->inputs[0])->shape, &mode, begin, &padded, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &in, err);
    if (!rc && node->input_count > 2 && node->inputs[2] >= 0)
        rc = cuda_want_dense(build, node->inputs[2], in->layout.type, &filler, err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(in->layout.type, &padded, &in->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct frame_state *state = start_frame(in, out, mode, begin);
    if (!state)
        return cuda_no_memory(err);
    state->frame.number = node_float(node, "value", 0);
    return put(build, in, out, filler, state, err);
}

int move_make_pad_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX];
    struct shape padded;
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    struct cuda_place *in, *out;
    int rc = pad_resolve(node, NULL, NULL, shape, &mode, begin, &padded, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(in->layout.type, shape, &in->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct frame_state *state = start_frame(out, in, mode, begin);
    if (!state)
        return cuda_no_memory(err);
    state->count = shape_elements(shape);
    settle(&state->frame, true);
    return cuda_add_step(build, "pad back", run_sum, state, NULL,
                         (struct cuda_place *const[]){ in, out }, 1, 2, err);
}

/* dy at every stride-th element of zeros, turned around where it was taken backwards. */
int move_make_slice_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    const int64_t *starts, *strides;
    struct cuda_place *in, *out;
    node_ints(node, "starts", &starts);
    node_ints(node, "steps", &strides);
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(in->layout.type, shape, &in->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct frame_state *state = start_frame(in, out, PAD_CONSTANT, starts);
    if (!state)
        return cuda_no_memory(err);
    for (int d = 0; d < shape->rank; d++) {
        struct frame_axis *axis = &state->frame.axes[d];
        if (axis->inner < 2)
            continue;
        axis->stride = (int32_t)llabs(strides[d]);
        if (strides[d] > 0)
            continue;
        int64_t last = axis->inner - 1;
        axis->begin += (int32_t)(last * strides[d]);
        state->inner_offset += last * axis->inner_step;
        axis->inner_step = -axis->inner_step;
    }
    return put(build, in, out, NULL, state, err);
}

int move_make_tile(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    const int64_t begin[SHAPE_RANK_MAX] = { 0 };
    struct cuda_place *in, *out;
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(in->layout.type, shape, &in->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct frame_state *state = start_frame(in, out, PAD_WRAP, begin);
    return state ? put(build, in, out, NULL, state, err) : cuda_no_memory(err);
}

/* ---- steps ---- */

/* NULL: no memory left. */
static struct frame_state *start_frame(struct cuda_place *inner, struct cuda_place *outer,
                                       enum pad_mode mode, const int64_t *begin)
{
    struct frame_state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    struct view small = move_view(inner), large = move_view(outer);
    state->frame.inner_type = small.type;
    state->frame.outer_type = large.type;
    state->frame.mode = (int32_t)mode;
    state->frame.rank = small.rank;
    for (int d = 0; d < small.rank; d++)
        state->frame.axes[d] = (struct frame_axis){ .inner = small.dim[d],
                                                    .outer = large.dim[d],
                                                    .begin = (int32_t)begin[d],
                                                    .stride = 1,
                                                    .inner_step = small.step[d],
                                                    .outer_step = large.step[d] };
    state->count = shape_elements(&outer->layout.shape);
    return state;
}

/* Takes over state. filler may be NULL. */
static int put(struct cuda_build *build, struct cuda_place *inner, struct cuda_place *outer,
               struct cuda_place *filler, struct frame_state *state, struct error *err)
{
    struct cuda_place *places[] = { inner, filler ? filler : outer, outer };
    int reads = filler ? 2 : 1;
    settle(&state->frame, false);
    return cuda_add_step(build, "frame", run_put, state, NULL, places, reads, reads + 1, err);
}

/* Dimensions in the order of the result's memory, joined where nothing is around them. */
static void settle(struct frame *frame, bool by_inner)
{
    int rank = 0;
    for (int d = 0; d < frame->rank; d++) {
        struct frame_axis axis = frame->axes[d];
        int at = rank;
        if (axis.inner == 1 && is_filled(&axis))
            continue;
        for (; at > 0 && goes_before(&axis, &frame->axes[at - 1], by_inner); at--)
            frame->axes[at] = frame->axes[at - 1];
        frame->axes[at] = axis;
        rank++;
    }
    frame->rank = 0;
    for (int d = 0; d < rank; d++) {
        struct frame_axis axis = frame->axes[d], *last = &frame->axes[frame->rank - 1];
        if (frame->rank > 0 && is_filled(&axis) && is_filled(last) &&
            last->inner_step == axis.inner * axis.inner_step &&
            last->outer_step == axis.outer * axis.outer_step) {
            axis.inner = axis.outer = axis.inner * last->inner;
            *last = axis;
        } else {
            frame->axes[frame->rank++] = axis;
        }
    }
}

static bool goes_before(const struct frame_axis *a, const struct frame_axis *b, bool by_inner)
{
    return by_inner ? a->inner_step > b->inner_step : a->outer_step > b->outer_step;
}

static bool is_filled(const struct frame_axis *axis)
{
    return axis->begin == 0 && axis->inner == axis->outer;
}

static int run_put(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct frame_state *state = step->state;
    struct frame frame = state->frame;
    enum tensor_type type = step->places[0]->layout.type;
    (void)err;
    frame.inner =
        (char *)step->places[0]->data + state->inner_offset * (int64_t)tensor_type_bytes(type);
    frame.filler = step->read_count > 1 ? step->places[1]->data : NULL;
    frame.outer = step->places[step->read_count]->data;
    frame_put(&frame, state->count, gpu_stream(gpu));
    return 0;
}

static int run_sum(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct frame_state *state = step->state;
    struct frame frame = state->frame;
    (void)err;
    frame.outer = step->places[0]->data;
    frame.inner = step->places[1]->data;
    frame_sum(&frame, state->count, gpu_stream(gpu));
    return 0;
}
