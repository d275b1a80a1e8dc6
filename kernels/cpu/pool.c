/* pool: MaxPool, AveragePool and the global ones, channels-last or blocked. */
#include "cpu/build.h"
#include "ops/window.h"
#include <string.h>

static int add_pool(struct build *build, const struct node *node, dnnl_alg_kind_t kind,
                    const struct window *window, struct error *err);

int build_pool(struct build *build, const struct node *node, struct error *err)
{
    const struct value *in = build_info(build, node->inputs[0]);
    bool max = strcmp(node->op->name, "MaxPool") == 0;
    /* Where the largest elements were is for the reference kernel to say. */
    if (in->type != TENSOR_F32 || in->shape.rank != 4 ||
        (node->output_count > 1 && node->outputs[1] >= 0))
        return BUILD_DECLINED;
    struct window window;
    int rc = window_of_pool(node, &in->shape, &window, err);
    if (rc)
        return rc;
    bool include = node_int(node, "count_include_pad", 0) != 0, beyond = false, skips = false;
    for (int d = 0; d < 2; d++) {
        int64_t reach = (window.kernel[d] - 1) * window.dilation[d] + 1;
        int64_t end =
            (window.out[d] - 1) * window.stride[d] + reach - window.in[d] - window.pad_begin[d];
        beyond = beyond || end > window.pad_end[d];
        skips = skips || window.dilation[d] > 1;
        window.pad_end[d] = end;
    }
    /* With ceil_mode the last windows reach beyond the padding, where ONNX does not count. */
    if (!max && ((include && beyond) || skips))
        return BUILD_DECLINED;
    dnnl_alg_kind_t kind = max       ? dnnl_pooling_max
                           : include ? dnnl_pooling_avg_include_padding
                                     : dnnl_pooling_avg_exclude_padding;
    return add_pool(build, node, kind, &window, err);
}

int build_global_pool(struct build *build, const struct node *node, struct error *err)
{
    const struct value *in = build_info(build, node->inputs[0]);
    if (in->type != TENSOR_F32 || in->shape.rank != 4)
        return BUILD_DECLINED;
    bool max = strcmp(node->op->name, "GlobalMaxPool") == 0;
    struct window window = { .in = { in->shape.dim[2], in->shape.dim[3] },
                             .kernel = { in->shape.dim[2], in->shape.dim[3] },
                             .out = { 1, 1 },
                             .stride = { 1, 1 },
                             .dilation = { 1, 1 } };
    return add_pool(build, node, max ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding, &window,
                    err);
}

static int add_pool(struct build *build, const struct node *node, dnnl_alg_kind_t kind,
                    const struct window *window, struct error *err)
{
    struct cpu_place *in, *out;
    int rc = build_place_any(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    struct layout layout = layout_channels_like(in->layout.type, &in->layout.shape, &in->layout);
    rc = build_want(build, node->inputs[0], &layout, &in, err);
    if (rc)
        return rc;
    layout = layout_channels_like(layout.type, &build_info(build, node->outputs[0])->shape, &layout);
    rc = build_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    dnnl_dims_t strides, kernel, dilation, begin, end;
    for (int d = 0; d < 2; d++) {
        strides[d] = window->stride[d];
        kernel[d] = window->kernel[d];
        dilation[d] = window->dilation[d] - 1;
        begin[d] = window->pad_begin[d];
        end[d] = window->pad_end[d];
    }
    dnnl_pooling_v2_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status =
        dnnl_pooling_v2_forward_desc_init(&desc, dnnl_forward_inference, kind, &in->md, &out->md,
                                          strides, kernel, dilation, begin, end);
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
