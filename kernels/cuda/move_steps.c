/* move_steps: ops that put elements elsewhere. What strides can say is a view of the same memory and
 * costs nothing; most of the rest is a copy between two views. */
#include "cuda/move.h"
#include "cuda/blocks.h"
#include "cuda/copy.h"
#include "ops/resolve.h"
#include <assert.h>
#include <string.h>

#define NARROW 8 /* channels, below which an image is row-major: as those at the borders are */

static cuda_maker make_reshape, make_transpose, make_slice, make_split, make_concat, make_expand,
    make_constant, make_depth_to_space;
static struct layout joined_layout(struct cuda_build *build, const struct node *node);

static const struct cuda_row rows[] = {
    { "Reshape", make_reshape },
    { "Flatten", make_reshape },
    { "Squeeze", make_reshape },
    { "Unsqueeze", make_reshape },
    { "Identity", make_reshape },
    { "Dropout", make_reshape },
    { "Transpose", make_transpose },
    { "Slice", make_slice },
    { "Split", make_split },
    { "Concat", make_concat },
    { "Expand", make_expand },
    { "ConstantOfShape", make_constant },
    { "DepthToSpace", make_depth_to_space },
    { "SpaceToDepth", make_depth_to_space },
    { "space_to_depth", make_depth_to_space },
    { "Pad", move_make_pad },
    { "pad_grad", move_make_pad_grad },
    { "slice_grad", move_make_slice_grad },
    { "Tile", move_make_tile },
    { "Gather", move_make_gather },
    { "gather_grad", move_make_gather_grad },
};
const struct cuda_family cuda_move_family = CUDA_FAMILY(rows);

struct layout move_layout_like(const struct shape *shape, const struct layout *like)
{
    return shape->rank == like->shape.rank ? layout_packed_like(like->type, shape, like)
                                           : layout_dense(like->type, shape);
}

int32_t move_type(int32_t type)
{
    return type == TENSOR_F64 ? TENSOR_I64 : type;
}

struct view move_view(const struct cuda_place *place)
{
    struct view view = cuda_view(place);
    view.type = move_type(view.type);
    return view;
}

/* ---- views ---- */

static int make_reshape(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    struct cuda_place *in;
    struct layout layout;
    if (node->output_count > 1 && node->outputs[1] >= 0)
        return cuda_cannot(build, err, "kernel for Dropout's mask");
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (!rc && !layout_reshape(&in->layout, shape, &layout)) {
        rc = cuda_want_dense(build, node->inputs[0], TENSOR_NONE, &in, err);
        if (!rc)
            layout = layout_dense(in->layout.type, shape);
    }
    return rc ? rc : cuda_alias(build, node->outputs[0], in, 0, &layout, err);
}

static int make_transpose(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *in;
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    const int64_t *perm = NULL;
    size_t count = node_ints(node, "perm", &perm);
    struct layout layout = in->layout;
    for (int d = 0, rank = layout.shape.rank; d < rank; d++) {
        int from = count ? (int)perm[d] : rank - 1 - d;
        layout.shape.dim[d] = in->layout.shape.dim[from];
        layout.stride[d] = in->layout.stride[from];
    }
    return cuda_alias(build, node->outputs[0], in, 0, &layout, err);
}

/* Strides of layouts run forwards: a slice that goes backwards is copied. */
static int make_slice(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct tensor *lists[4];
    int64_t first[SHAPE_RANK_MAX], stride[SHAPE_RANK_MAX], offset = 0;
    struct cuda_place *in, *out;
    struct layout layout;
    bool backwards = false;
    for (int i = 0; i < 4; i++)
        lists[i] = cuda_constant_input(build, node, i + 1);
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    layout = in->layout;
    rc = slice_resolve(node, lists, &in->layout.shape, first, stride, &layout.shape, err);
    if (rc)
        return rc;
    for (int d = 0; d < layout.shape.rank && shape_elements(&layout.shape) > 0; d++) {
        offset += first[d] * layout.stride[d];
        if (layout.shape.dim[d] > 1)
            layout.stride[d] *= stride[d];
        backwards = backwards || layout.stride[d] < 0;
    }
    if (!backwards)
        return cuda_alias(build, node->outputs[0], in, offset, &layout, err);
    struct view from = cuda_view(&(struct cuda_place){ .layout = layout });
    layout = move_layout_like(&layout.shape, &in->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct view to = cuda_view(out);
    return cuda_copy_views(build, in, &from, offset, out, &to, err);
}

static int make_split(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *in;
    int64_t offset = 0;
    int rc = cuda_where(build, node->inputs[0], &in, err);
    for (int k = 0; !rc && k < node->output_count; k++) {
        struct layout layout = in->layout;
        int axis = concat_axis(node, &layout.shape);
        layout.shape = cuda_info(build, node->outputs[k])->shape;
        bool empty = shape_elements(&layout.shape) == 0;
        rc = cuda_alias(build, node->outputs[k], in, empty ? 0 : offset, &layout, err);
        offset += layout.shape.dim[axis] * layout.stride[axis];
    }
    return rc;
}

/* ---- copies ---- */

static int make_concat(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct layout layout = joined_layout(build, node);
    struct cuda_place *out, *in, *part;
    int axis = concat_axis(node, &layout.shape);
    int64_t offset = 0;
    int rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    for (int k = 0; !rc && k < node->input_count; k++) {
        struct layout seen = layout;
        seen.shape = cuda_info(build, node->inputs[k])->shape;
        if (shape_elements(&seen.shape) == 0)
            continue;
        rc = cuda_where(build, node->inputs[k], &in, err);
        if (!rc)
            rc = cuda_see(build, out, offset, &seen, &part, err);
        if (!rc)
            rc = cuda_copy(build, in, part, err);
        offset += seen.shape.dim[axis] * seen.stride[axis];
    }
    return rc;
}

/* In the order of the largest input that is no constant. Floats are narrow if any input is, unless they
 * leave. */
static struct layout joined_layout(struct cuda_build *build, const struct node *node)
{
    const struct value *info = cuda_info(build, node->outputs[0]);
    struct layout like = layout_dense(info->type, &info->shape);
    int64_t most = 0;
    bool narrow = false;
    for (int k = 0; k < node->input_count; k++) {
        const struct cuda_value *held = &build->values[node->inputs[k]];
        if (held->version_count == 0 || cuda_is_constant(build, held->versions[0]))
            continue;
        const struct layout *layout = &held->versions[0]->layout;
        narrow = narrow || layout->type == build->arithmetic;
        if (shape_elements(&layout->shape) > most) {
            most = shape_elements(&layout->shape);
            like = *layout;
        }
    }
    bool keeps = info->type != TENSOR_F32 || !narrow || cuda_leaves(build, node->outputs[0]);
    return layout_packed_like(keeps ? info->type : build->arithmetic, &info->shape, &like);
}

static int make_expand(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    struct cuda_place *in, *out;
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    struct layout layout = move_layout_like(shape, &in->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct view from = cuda_view_broadcast(in, shape), to = cuda_view(out);
    return cuda_copy_views(build, in, &from, 0, out, &to, err);
}

/* Only those too large to be folded come here. */
static int make_constant(struct cuda_build *build, const struct node *node, struct error *err)
{
    static float zero;
    const struct attribute *value = node_attribute(node, "value");
    struct tensor number = { .type = TENSOR_F32, .data = &zero };
    struct cuda_place *in, *out;
    if (value) {
        number = value->t;
        number.shape.rank = 0;
    }
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    struct layout layout = layout_dense(number.type, shape);
    int rc = cuda_constant(build, &number, &in, err);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct view from = cuda_view_broadcast(in, shape), to = cuda_view(out);
    return cuda_copy_views(build, in, &from, 0, out, &to, err);
}

/* DepthToSpace, or the way back. */
static int make_depth_to_space(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *from_shape = &cuda_info(build, node->inputs[0])->shape;
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    struct cuda_place *in, *out;
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    bool widens = strcmp(node->op->name, "DepthToSpace") == 0;
    struct blocks blocks = blocks_of(node, (widens ? shape : from_shape)->dim[1]);
    enum tensor_type type = cuda_result_type(build, node->outputs[0], node->inputs, 1);
    struct layout layout =
        shape->dim[1] < NARROW ? layout_dense(type, shape) : layout_channels_last(type, shape);
    rc = cuda_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct view from = cuda_view(in), to = cuda_view(out);
    from = (widens ? blocks_see_deep : blocks_see_wide)(&from, &blocks);
    to = (widens ? blocks_see_wide : blocks_see_deep)(&to, &blocks);
    return cuda_copy_views(build, in, &from, 0, out, &to, err);
}
