/* resize: the cases of Resize that mean the same to oneDNN: nearest by whole factors, and linear
 * between the centres of pixels. */
#include "cpu/build.h"
#include "ops/resolve.h"

static bool resampling_kind(const struct resize *resize, dnnl_alg_kind_t *kind);
static const struct tensor *constant_input(const struct build *build, const struct node *node,
                                           int index);

int build_resize(struct build *build, const struct node *node, struct error *err)
{
    const struct value *in_info = build_info(build, node->inputs[0]);
    struct resize resize;
    dnnl_alg_kind_t kind;
    bool old = node->op->opset_max < 11; /* no input for the region of interest */
    if (in_info->type != TENSOR_F32 || in_info->shape.rank != 4)
        return BUILD_DECLINED;
    int rc = resize_resolve(node, &in_info->shape, constant_input(build, node, old ? 1 : 2),
                            old ? NULL : constant_input(build, node, 3), &resize, err);
    if (rc)
        return rc;
    if (!resampling_kind(&resize, &kind))
        return BUILD_DECLINED;
    struct cpu_place *in, *out;
    rc = build_place_any(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    struct layout layout = layout_channels_like(in->layout.type, &in->layout.shape, &in->layout);
    rc = build_want(build, node->inputs[0], &layout, &in, err);
    if (rc)
        return rc;
    layout = layout_channels_like(layout.type, &resize.out, &layout);
    rc = build_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    dnnl_resampling_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status = dnnl_resampling_forward_desc_init(&desc, dnnl_forward_inference, kind,
                                                             NULL, &in->md, &out->md);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    rc = build_describe(build, &desc, NULL, &pd, err);
    if (rc)
        return rc;
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, in);
    build_add_arg(&args, DNNL_ARG_DST, out);
    return build_primitive(build, pd, &args, 0, err);
}

/* For nearest, what ONNX says is compared element by element with what oneDNN does. */
static bool resampling_kind(const struct resize *resize, dnnl_alg_kind_t *kind)
{
    if (resize->in.dim[0] != resize->out.dim[0] || resize->in.dim[1] != resize->out.dim[1])
        return false;
    if (resize->mode == RESIZE_LINEAR) {
        *kind = dnnl_resampling_linear;
        for (int axis = 2; axis < 4; axis++)
            if (resize->scale[axis] != (float)resize->out.dim[axis] / (float)resize->in.dim[axis])
                return false;
        return resize->coordinate == RESIZE_HALF_PIXEL;
    }
    if (resize->mode != RESIZE_NEAREST)
        return false;
    *kind = dnnl_resampling_nearest;
    for (int axis = 2; axis < 4; axis++) {
        int64_t factor = resize->out.dim[axis] / resize->in.dim[axis];
        if (factor * resize->in.dim[axis] != resize->out.dim[axis])
            return false;
        for (int64_t at = 0; at < resize->out.dim[axis]; at++) {
            struct resize_taps taps;
            resize_taps(resize, axis, at, &taps);
            if (taps.index[0] != at / factor)
                return false;
        }
    }
    return true;
}

static const struct tensor *constant_input(const struct build *build, const struct node *node,
                                           int index)
{
    if (index >= node->input_count || node->inputs[index] < 0)
        return NULL;
    return &build_info(build, node->inputs[index])->constant;
}
