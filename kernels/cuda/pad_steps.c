/* pad_steps: arrays inside larger ones: Pad, the gradient of Slice, and Tile, which is an array that goes
 * on around itself. What Pad shows several times is added up again by its gradient, a sum over taps. */
#include "cuda/kernel_step.h"
#include "cuda/move.h"
#include "cuda/taps.h"
#include "ops/resolve.h"
#include <stddef.h>
#include <stdlib.h>

_Static_assert((int)FRAME_CONSTANT == (int)PAD_CONSTANT && (int)FRAME_REFLECT == (int)PAD_REFLECT &&
                   (int)FRAME_EDGE == (int)PAD_EDGE && (int)FRAME_WRAP == (int)PAD_WRAP,
               "kernels have the modes of the op");

static int make_outer(struct cuda_build *build, const struct node *node, struct cuda_place **inner,
                      struct cuda_place **outer, struct error *err);
static struct frame surround(const struct cuda_place *inner, const struct cuda_place *outer,
                             enum pad_mode mode, const int64_t *begin);
static int put(struct cuda_build *build, const struct frame *frame, struct cuda_place *inner,
               int64_t inner_offset, struct cuda_place *filler, struct cuda_place *outer,
               struct error *err);
static int add_axis(struct cuda_taps *axis, enum pad_mode mode, int64_t begin, int64_t inner,
                    int64_t outer, struct error *err);
static void settle(struct frame *frame);
static bool is_filled(const struct frame_axis *axis);

static void launch_put(const void *args, void *stream)
{
    const struct frame *frame = args;
    int64_t count = 1;
    for (int d = 0; d < frame->rank; d++)
        count *= frame->axes[d].outer;
    frame_put(frame, count, stream);
}

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
        rc = make_outer(build, node, &in, &out, err);
    if (!rc && node->input_count > 2 && node->inputs[2] >= 0)
        rc = cuda_want_dense(build, node->inputs[2], in->layout.type, &filler, err);
    if (rc)
        return rc;
    struct frame frame = surround(in, out, mode, begin);
    frame.number = node_float(node, "value", 0);
    return put(build, &frame, in, 0, filler, out, err);
}

int move_make_pad_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX];
    struct shape padded;
    struct cuda_taps axes[SHAPE_RANK_MAX] = { 0 };
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    int rc = pad_resolve(node, NULL, NULL, shape, &mode, begin, &padded, err);
    for (int d = 0; !rc && d < shape->rank; d++)
        if (begin[d] != 0 || padded.dim[d] != shape->dim[d])
            rc = add_axis(&axes[d], mode, begin[d], shape->dim[d], padded.dim[d], err);
    if (!rc)
        rc = cuda_taps_make(build, node->inputs[0], node->outputs[0], axes, err);
    cuda_taps_free(axes);
    return rc;
}

/* Each element is the sum of what shows it. */
static int add_axis(struct cuda_taps *axis, enum pad_mode mode, int64_t begin, int64_t inner,
                    int64_t outer, struct error *err)
{
    int rc = cuda_taps_start(axis, inner, outer, outer, err);
    for (int64_t at = 0; !rc && at < outer; at++) {
        int64_t shown = pad_source(mode, at - begin, inner);
        if (shown >= 0)
            cuda_taps_add(axis, shown, at, 1);
    }
    return rc;
}

/* dy at every stride-th element of zeros, turned around where it was taken backwards. */
int move_make_slice_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    const int64_t *starts, *strides;
    struct cuda_place *in, *out;
    int64_t offset = 0;
    node_ints(node, "starts", &starts);
    node_ints(node, "steps", &strides);
    int rc = make_outer(build, node, &in, &out, err);
    if (rc)
        return rc;
    struct frame frame = surround(in, out, PAD_CONSTANT, starts);
    for (int d = 0; d < frame.rank; d++) {
        struct frame_axis *axis = &frame.axes[d];
        if (axis->inner < 2)
            continue;
        axis->stride = (int32_t)llabs(strides[d]);
        if (strides[d] > 0)
            continue;
        int64_t last = axis->inner - 1;
        axis->begin += (int32_t)(last * strides[d]);
        offset += last * axis->inner_step;
        axis->inner_step = -axis->inner_step;
    }
    return put(build, &frame, in, offset, NULL, out, err);
}

int move_make_tile(struct cuda_build *build, const struct node *node, struct error *err)
{
    const int64_t begin[SHAPE_RANK_MAX] = { 0 };
    struct cuda_place *in, *out;
    int rc = make_outer(build, node, &in, &out, err);
    if (rc)
        return rc;
    struct frame frame = surround(in, out, PAD_WRAP, begin);
    return put(build, &frame, in, 0, NULL, out, err);
}

/* The first input as it lies, and the output in the same order and type. */
static int make_outer(struct cuda_build *build, const struct node *node, struct cuda_place **inner,
                      struct cuda_place **outer, struct error *err)
{
    int rc = cuda_where(build, node->inputs[0], inner, err);
    if (rc)
        return rc;
    const struct layout *like = &(*inner)->layout;
    struct layout layout =
        layout_packed_like(like->type, &cuda_info(build, node->outputs[0])->shape, like);
    return cuda_output(build, node->outputs[0], &layout, outer, err);
}

/* ---- steps ---- */

static struct frame surround(const struct cuda_place *inner, const struct cuda_place *outer,
                             enum pad_mode mode, const int64_t *begin)
{
    struct view small = move_view(inner), large = move_view(outer);
    struct frame frame = {
        .inner_type = small.type, .outer_type = large.type, .mode = (int32_t)mode, .rank = small.rank
    };
    for (int d = 0; d < small.rank; d++)
        frame.axes[d] = (struct frame_axis){ .inner = small.dim[d],
                                             .outer = large.dim[d],
                                             .begin = (int32_t)begin[d],
                                             .stride = 1,
                                             .inner_step = small.step[d],
                                             .outer_step = large.step[d] };
    return frame;
}

/* inner_offset: elements, from the place's first to the frame's. filler may be NULL. */
static int put(struct cuda_build *build, const struct frame *frame, struct cuda_place *inner,
               int64_t inner_offset, struct cuda_place *filler, struct cuda_place *outer,
               struct error *err)
{
    struct frame args = *frame;
    int64_t bytes = (int64_t)tensor_type_bytes(inner->layout.type);
    settle(&args);
    struct kernel_step step = kernel_begin(launch_put, &args, sizeof args);
    kernel_read_behind(&step, inner, inner_offset * bytes, offsetof(struct frame, inner));
    kernel_read(&step, filler, offsetof(struct frame, filler));
    kernel_write(&step, outer, offsetof(struct frame, outer));
    return kernel_add(build, &step, "frame", err);
}

/* Dimensions in the order of the result's memory, joined where nothing is around them. */
static void settle(struct frame *frame)
{
    int rank = 0;
    for (int d = 0; d < frame->rank; d++) {
        struct frame_axis axis = frame->axes[d];
        int at = rank;
        if (axis.inner == 1 && is_filled(&axis))
            continue;
        for (; at > 0 && axis.outer_step > frame->axes[at - 1].outer_step; at--)
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

static bool is_filled(const struct frame_axis *axis)
{
    return axis->begin == 0 && axis->inner == axis->outer;
}
