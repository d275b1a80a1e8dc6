/* resize_steps: Resize, Upsample and their gradient, along any dimensions: weighted sums (cuda/taps.h). */
#include "cuda/makers.h"
#include "cuda/taps.h"
#include "ops/resolve.h"

static cuda_maker make_resize, make_resize_grad;

static const struct cuda_row rows[] = {
    { "Resize", make_resize },
    { "Upsample", make_resize },
    { "resize_grad", make_resize_grad },
};
const struct cuda_family cuda_resize_family = CUDA_FAMILY(rows);

static int make(struct cuda_build *build, const struct node *node, const struct resize *resize,
                bool back, struct error *err);
static int add_axis(struct cuda_taps *taps, const struct resize *resize, int axis, bool back,
                    struct error *err);

static int make_resize(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct resize resize;
    bool old = node->op->opset_max < 11; /* no input for the region of interest */
    int rc = resize_resolve(node, &cuda_info(build, node->inputs[0])->shape,
                            old ? NULL : cuda_constant_input(build, node, 1),
                            cuda_constant_input(build, node, old ? 1 : 2),
                            old ? NULL : cuda_constant_input(build, node, 3), &resize, err);
    return rc ? rc : make(build, node, &resize, false, err);
}

static int make_resize_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct resize resize;
    int rc = resize_resolve(node, &cuda_info(build, node->outputs[0])->shape, NULL, NULL, NULL,
                            &resize, err);
    return rc ? rc : make(build, node, &resize, true, err);
}

static int make(struct cuda_build *build, const struct node *node, const struct resize *resize,
                bool back, struct error *err)
{
    struct cuda_taps axes[SHAPE_RANK_MAX] = { 0 };
    int rc = 0;
    for (int d = 0; !rc && d < resize->in.rank; d++)
        if (resize->in.dim[d] != resize->out.dim[d] || resize->scale[d] != 1)
            rc = add_axis(&axes[d], resize, d, back, err);
    if (!rc)
        rc = cuda_taps_make(build, node->inputs[0], node->outputs[0], axes, err);
    cuda_taps_free(axes);
    return rc;
}

static int add_axis(struct cuda_taps *taps, const struct resize *resize, int axis, bool back,
                    struct error *err)
{
    int64_t in = resize->in.dim[axis], out = resize->out.dim[axis];
    struct resize_taps made_of;
    int rc = cuda_taps_start(taps, back ? in : out, back ? out : in,
                             out * (int64_t)(sizeof made_of.index / sizeof *made_of.index), err);
    for (int64_t at = 0; !rc && at < out; at++) {
        resize_taps(resize, axis, at, &made_of);
        for (int i = 0; i < made_of.count; i++)
            cuda_taps_add(taps, back ? made_of.index[i] : at, back ? at : made_of.index[i],
                          made_of.weight[i]);
    }
    return rc;
}
