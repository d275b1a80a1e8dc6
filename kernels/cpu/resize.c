/* resize: Resize, Upsample and their adjoint. What means the same to oneDNN (nearest by whole factors,
 * linear between the centres of pixels) is oneDNN's; all else, cubic above all, and the way back are
 * weighted sums of rows and columns (cpu/taps.h). */
#include "cpu/taps.h"
#include "ops/resolve.h"

static bool resampling_kind(const struct resize *resize, dnnl_alg_kind_t *kind);
static int add_taps(struct build *build, const struct node *node, const struct resize *resize,
                    bool back, struct error *err);
static int add_axis(struct taps *taps, const struct resize *resize, int axis, bool back,
                    struct error *err);
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
    int rc = resize_resolve(node, &in_info->shape, old ? NULL : constant_input(build, node, 1),
                            constant_input(build, node, old ? 1 : 2),
                            old ? NULL : constant_input(build, node, 3), &resize, err);
    if (rc)
        return rc;
    if (resize.antialias || resize.coordinate == RESIZE_CROP)
        return BUILD_DECLINED;
    if (!resampling_kind(&resize, &kind))
        return add_taps(build, node, &resize, false, err);
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

int build_resize_grad(struct build *build, const struct node *node, struct error *err)
{
    const struct value *dy = build_info(build, node->inputs[0]);
    struct resize resize;
    if (dy->type != TENSOR_F32 || dy->shape.rank != 4)
        return BUILD_DECLINED;
    int rc = resize_resolve(node, &build_info(build, node->outputs[0])->shape, NULL, NULL, NULL,
                            &resize, err);
    return rc ? rc : add_taps(build, node, &resize, true, err);
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

/* Declines where batch or channels change too. */
static int add_taps(struct build *build, const struct node *node, const struct resize *resize,
                    bool back, struct error *err)
{
    const struct shape *to = back ? &resize->in : &resize->out;
    const struct shape *from = back ? &resize->out : &resize->in;
    if (to->dim[0] != from->dim[0] || to->dim[1] != from->dim[1])
        return BUILD_DECLINED;
    struct taps rows = { .to_count = to->dim[2], .from_count = from->dim[2] };
    struct taps columns = { .to_count = to->dim[3], .from_count = from->dim[3] };
    int rc = add_axis(&rows, resize, 2, back, err);
    if (!rc)
        rc = add_axis(&columns, resize, 3, back, err);
    if (!rc)
        rc = taps_add_step(build, node, "taps", &rows, &columns, err);
    taps_free(&rows);
    taps_free(&columns);
    return rc;
}

static int add_axis(struct taps *taps, const struct resize *resize, int axis, bool back,
                    struct error *err)
{
    int rc = 0;
    for (int64_t at = 0; !rc && at < resize->out.dim[axis]; at++) {
        struct resize_taps made_of;
        resize_taps(resize, axis, at, &made_of);
        for (int i = 0; !rc && i < made_of.count; i++)
            rc = back ? taps_add(taps, made_of.index[i], at, made_of.weight[i], err)
                      : taps_add(taps, at, made_of.index[i], made_of.weight[i], err);
    }
    return rc;
}
