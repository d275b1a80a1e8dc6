/* softmax: in f32, along the fastest dimension, where oneDNN is good at it. */
#include "cpu/build.h"
#include "ops/resolve.h"

int build_softmax(struct build *build, const struct node *node, struct error *err)
{
    const struct value *info = build_info(build, node->inputs[0]);
    if (info->type != TENSOR_F32)
        return BUILD_DECLINED;
    int64_t outer, size, inner;
    softmax_span(node, &info->shape, &outer, &size, &inner);
    struct cpu_place *in, *out;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    /* The dimension that has `inner` elements behind it; before opset 13 several dimensions can be
     * meant at once, which are the last ones and lie together when row-major. */
    int axis = info->shape.rank - 1;
    for (int64_t behind = 1; axis > 0 && behind * info->shape.dim[axis] <= inner; axis--)
        behind *= info->shape.dim[axis];
    bool joined = info->shape.dim[axis] != size;
    struct layout layout = in->layout;
    layout.type = TENSOR_F32;
    if (joined)
        layout = layout_dense(TENSOR_F32, &info->shape);
    else if (!layout_is_packed(&layout) || layout.stride[axis] != 1)
        layout = layout_innermost(TENSOR_F32, &info->shape, axis);
    rc = build_want(build, node->inputs[0], &layout, &in, err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;

    struct shape rows = { .rank = 2, .dim = { outer * inner, size } };
    struct layout seen = layout_dense(TENSOR_F32, &rows);
    dnnl_memory_desc_t md;
    layout_md(joined ? &seen : &layout, &md);
    dnnl_softmax_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status =
        dnnl_softmax_forward_desc_init(&desc, dnnl_forward_inference, &md, joined ? 1 : axis);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    rc = build_describe(build, &desc, NULL, &pd, err);
    if (rc)
        return rc;
    if (joined && ((rc = build_alias(build, in, 0, &seen, &in, err)) ||
                   (rc = build_alias(build, out, 0, &seen, &out, err)))) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, in);
    build_add_arg(&args, DNNL_ARG_DST, out);
    return build_primitive(build, pd, &args, 0, err);
}
