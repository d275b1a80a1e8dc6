/* view: ops that only say where elements are. With plain strides their outputs are mostly the input's
 * own memory seen otherwise; the copy, if there is one, is made by who reads it and wants another
 * order. Channel shuffles, splits and the transposes around matrix products cost nothing this way. */
#include "cpu/build.h"
#include "ops/rules.h"
#include <assert.h>

static int view_or_decline(struct build *build, int output, const struct cpu_place *in,
                           int64_t offset, const struct layout *layout, struct error *err);
static bool read_list(const struct build *build, const struct node *node, int input,
                      const char *name, int64_t *list, size_t *count);

int build_reshape(struct build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    struct cpu_place *in;
    struct layout layout;
    /* Dropout's mask is somebody else's business. */
    if (node->output_count > 1 && node->outputs[1] >= 0)
        return BUILD_DECLINED;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    dnnl_memory_desc_t md;
    if (!layout_reshape(&in->layout, shape, &layout) ||
        (!layout_is_dense(&layout) && !layout_md(&layout, &md))) {
        struct layout dense = layout_dense(in->layout.type, &in->layout.shape);
        rc = build_want(build, node->inputs[0], &dense, &in, err);
        if (rc)
            return rc;
        layout = layout_dense(in->layout.type, shape);
    }
    return build_view(build, node->outputs[0], in, 0, &layout, err);
}

int build_transpose(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *in;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    const int64_t *perm = NULL;
    size_t count = node_ints(node, "perm", &perm);
    int rank = in->layout.shape.rank;
    struct layout layout = in->layout;
    for (int d = 0; d < rank; d++) {
        int from = count ? (int)perm[d] : rank - 1 - d;
        layout.shape.dim[d] = in->layout.shape.dim[from];
        layout.stride[d] = in->layout.stride[from];
    }
    return view_or_decline(build, node->outputs[0], in, 0, &layout, err);
}

int build_slice(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *in;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    int64_t starts[RULE_INTS_MAX] = { 0 }, axes[RULE_INTS_MAX] = { 0 };
    int64_t steps[RULE_INTS_MAX] = { 0 };
    size_t count = 0, axis_count = 0, step_count = 0;
    if (!read_list(build, node, 1, "starts", starts, &count) ||
        !read_list(build, node, 3, "axes", axes, &axis_count) ||
        !read_list(build, node, 4, "steps", steps, &step_count))
        return BUILD_DECLINED;
    struct layout layout = in->layout;
    layout.shape = build_info(build, node->outputs[0])->shape;
    int64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        int axis = (int)(axis_count ? axes[i] : (int64_t)i);
        axis += axis < 0 ? layout.shape.rank : 0;
        int64_t step = step_count ? steps[i] : 1, dim = in->layout.shape.dim[axis];
        if (step < 0)
            return BUILD_DECLINED; /* strides run forwards */
        int64_t first = starts[i] < 0 ? starts[i] + dim : starts[i];
        offset += (first < 0 ? 0 : first) * in->layout.stride[axis];
        if (layout.shape.dim[axis] > 1)
            layout.stride[axis] *= step;
    }
    return view_or_decline(build, node->outputs[0], in, offset, &layout, err);
}

int build_split(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *in;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    int rank = in->layout.shape.rank, axis = (int)node_int(node, "axis", 0);
    axis += axis < 0 ? rank : 0;
    int64_t offset = 0;
    for (int k = 0; k < node->output_count; k++) {
        if (node->outputs[k] < 0)
            return BUILD_DECLINED;
        struct layout layout = in->layout;
        layout.shape = build_info(build, node->outputs[k])->shape;
        rc = view_or_decline(build, node->outputs[k], in, offset, &layout, err);
        if (rc)
            return rc;
        offset += layout.shape.dim[axis] * layout.stride[axis];
    }
    return 0;
}

/* One constant index: a slice of one element. */
int build_gather(struct build *build, const struct node *node, struct error *err)
{
    const struct value *indices = build_info(build, node->inputs[1]);
    struct cpu_place *in;
    if (!indices->constant.data || shape_elements(&indices->shape) != 1)
        return BUILD_DECLINED;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    int axis = (int)node_int(node, "axis", 0);
    axis += axis < 0 ? in->layout.shape.rank : 0;
    int64_t index = rule_int_at(&indices->constant, 0), dim = in->layout.shape.dim[axis];
    index += index < 0 ? dim : 0;
    if (index < 0 || index >= dim)
        return BUILD_DECLINED; /* the reference kernel says what is wrong */
    struct layout slice = in->layout, layout;
    slice.shape.dim[axis] = 1;
    /* Only dimensions of one come and go, so this is always possible. */
    bool possible = layout_reshape(&slice, &build_info(build, node->outputs[0])->shape, &layout);
    assert(possible);
    return view_or_decline(build, node->outputs[0], in, index * slice.stride[axis], &layout, err);
}

/* What oneDNN cannot copy must lie as everybody wants it. These are types that it does not know, and
 * slices with a step that reaches over the end of the next larger dimension. */
static int view_or_decline(struct build *build, int output, const struct cpu_place *in,
                           int64_t offset, const struct layout *layout, struct error *err)
{
    dnnl_memory_desc_t md;
    if (!layout_is_dense(layout) && !layout_md(layout, &md))
        return BUILD_DECLINED;
    return build_view(build, output, in, offset, layout, err);
}

/* A list from an attribute or a constant input. False when it is neither. */
static bool read_list(const struct build *build, const struct node *node, int input,
                      const char *name, int64_t *list, size_t *count)
{
    const int64_t *ints;
    *count = node_ints(node, name, &ints);
    for (size_t i = 0; i < *count && i < RULE_INTS_MAX; i++)
        list[i] = ints[i];
    if (*count > 0 || input >= node->input_count || node->inputs[input] < 0)
        return *count <= RULE_INTS_MAX;
    const struct tensor *constant = &build_info(build, node->inputs[input])->constant;
    struct error ignored;
    return constant->data && rule_ints(constant, name, list, count, &ignored) == 0;
}
