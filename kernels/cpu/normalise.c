/* normalise: batch normalisation in training, forwards and back, by oneDNN, which sums in floats
 * within stretches and is bound by memory (16x64x64x64 in 0.7 ms forwards on two cores, blocked).
 * Channels-last or blocked, f32 or bf16; statistics are f32. */
#include "cpu/build.h"
#include "ops/resolve.h"
#include <math.h>
#include <stdlib.h>

enum { FORWARD_X, FORWARD_SCALE, FORWARD_BIAS, FORWARD_MEAN, FORWARD_VARIANCE };
enum { BACK_DY, BACK_X, BACK_SCALE, BACK_MEAN, BACK_INVERSE };

/* Per channel, behind the normalisation. */
struct renewal {
    const struct node *node;
    int64_t channels;
    double count; /* numbers for each */
    double epsilon;
};
enum { MEAN, VARIANCE, INVERSE, OLD_MEAN, OLD_VARIANCE, NEXT_MEAN, NEXT_VARIANCE, RENEWAL_PLACES };

static int place_images(struct build *build, int value, struct cpu_place **place,
                        struct cpu_place **image, struct error *err);
static int see_image(struct build *build, struct cpu_place *place, struct cpu_place **image,
                     struct error *err);
static int add_forward(struct build *build, const struct node *node, struct cpu_place *x,
                       struct cpu_place *y, struct cpu_place *mean, struct cpu_place *variance,
                       struct error *err);
static int add_renewal(struct build *build, const struct node *node, struct cpu_place *mean,
                       struct cpu_place *variance, struct error *err);
static int run_renewal(const struct cpu_step *step, struct error *err);
static int add_back(struct build *build, const struct node *node, struct cpu_place *const *images,
                    struct cpu_place *const *channels, struct error *err);
static int run_variance(const struct cpu_step *step, struct error *err);

static bool has_outputs(const struct node *node, int count)
{
    for (int k = 0; k < count; k++)
        if (k >= node->output_count || node->outputs[k] < 0)
            return false;
    return true;
}

int build_batch_norm_train(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *x, *y, *seen, *seen_y, *mean, *variance;
    if (!has_outputs(node, 5))
        return BUILD_DECLINED;
    int rc = place_images(build, node->inputs[FORWARD_X], &x, &seen, err);
    if (rc)
        return rc;
    struct layout channels = layout_dense(TENSOR_F32, &build_info(build, node->inputs[1])->shape);
    rc = build_output(build, node->outputs[0], &x->layout, &y, err);
    if (!rc)
        rc = see_image(build, y, &seen_y, err);
    if (!rc)
        rc = build_output(build, node->outputs[1], &channels, &mean, err);
    if (!rc)
        rc = build_new_place(build, &channels, &variance, err);
    if (!rc)
        rc = add_forward(build, node, seen, seen_y, mean, variance, err);
    return rc ? rc : add_renewal(build, node, mean, variance, err);
}

int build_batch_norm_grad(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *x, *dy, *dx, *images[3], *channels[5];
    struct layout layout = layout_dense(TENSOR_F32, &build_info(build, node->inputs[2])->shape);
    if (!has_outputs(node, 3))
        return BUILD_DECLINED;
    int rc = place_images(build, node->inputs[BACK_X], &x, &images[BACK_X], err);
    if (!rc)
        rc = build_want(build, node->inputs[BACK_DY], &x->layout, &dy, err);
    if (!rc)
        rc = see_image(build, dy, &images[BACK_DY], err);
    for (int k = BACK_SCALE; !rc && k <= BACK_INVERSE; k++)
        rc = build_want_dense(build, node->inputs[k], &channels[k - BACK_SCALE], err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &x->layout, &dx, err);
    if (!rc)
        rc = see_image(build, dx, &images[2], err);
    for (int k = 1; !rc && k < 3; k++)
        rc = build_output(build, node->outputs[k], &layout, &channels[2 + k], err);
    return rc ? rc : add_back(build, node, images, channels, err);
}

/* ---- images ---- */

/* The value as its maker left it if channels lie side by side, all or 16 of them; image is the same
 * memory with four dimensions. */
static int place_images(struct build *build, int value, struct cpu_place **place,
                        struct cpu_place **image, struct error *err)
{
    int rc = build_place_any(build, value, place, err);
    if (rc)
        return rc;
    struct layout layout =
        layout_channels_like((*place)->layout.type, &(*place)->layout.shape, &(*place)->layout);
    if (layout.type != TENSOR_BF16)
        layout.type = TENSOR_F32;
    rc = build_want(build, value, &layout, place, err);
    return rc ? rc : see_image(build, *place, image, err);
}

static int see_image(struct build *build, struct cpu_place *place, struct cpu_place **image,
                     struct error *err)
{
    const struct shape *shape = &place->layout.shape;
    *image = place;
    if (shape->rank == 4)
        return 0;
    struct shape flat = { .rank = 4, .dim = { shape->dim[0], shape->dim[1], 1, 1 } };
    for (int d = 2; d < shape->rank; d++)
        flat.dim[3] *= shape->dim[d];
    struct layout layout = layout_channels_last(place->layout.type, &flat);
    return build_alias(build, place, 0, &layout, image, err);
}

/* ---- forwards ---- */

static int add_forward(struct build *build, const struct node *node, struct cpu_place *x,
                       struct cpu_place *y, struct cpu_place *mean, struct cpu_place *variance,
                       struct error *err)
{
    dnnl_batch_normalization_desc_t desc;
    dnnl_primitive_desc_t pd;
    struct cpu_place *scale, *bias;
    int rc = build_want_dense(build, node->inputs[FORWARD_SCALE], &scale, err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[FORWARD_BIAS], &bias, err);
    if (rc)
        return rc;
    dnnl_status_t status = dnnl_batch_normalization_forward_desc_init(
        &desc, dnnl_forward_training, &x->md, node_float(node, "epsilon", 1e-5f),
        dnnl_use_scale | dnnl_use_shift);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    rc = build_describe(build, &desc, NULL, &pd, err);
    if (rc)
        return rc;
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, x);
    build_add_arg(&args, DNNL_ARG_SCALE, scale);
    build_add_arg(&args, DNNL_ARG_SHIFT, bias);
    build_add_arg(&args, DNNL_ARG_MEAN, mean);
    build_add_arg(&args, DNNL_ARG_VARIANCE, variance);
    build_add_arg(&args, DNNL_ARG_DST, y);
    return build_primitive(build, pd, &args, 0, err);
}

static int add_renewal(struct build *build, const struct node *node, struct cpu_place *mean,
                       struct cpu_place *variance, struct error *err)
{
    struct cpu_place *places[RENEWAL_PLACES] = { [MEAN] = mean, [VARIANCE] = variance };
    const struct layout *layout = &mean->layout;
    int rc = build_output(build, node->outputs[2], layout, &places[INVERSE], err);
    for (int k = 0; !rc && k < 2; k++) {
        int before = node->inputs[FORWARD_MEAN + k];
        rc = build_want_dense(build, before, &places[OLD_MEAN + k], err);
        if (!rc)
            rc = build_renew(build, before, node->outputs[3 + k], layout, &places[NEXT_MEAN + k],
                             err);
    }
    if (rc)
        return rc;
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    const struct shape *shape = &build_info(build, node->inputs[FORWARD_X])->shape;
    *renewal = (struct renewal){
        .node = node,
        .channels = shape->dim[1],
        .count = (double)shape_elements(shape) / (double)shape->dim[1],
        .epsilon = (double)node_float(node, "epsilon", 1e-5f),
    };
    return build_c_step(build, "own", run_renewal, renewal, places, RENEWAL_PLACES, err);
}

static int run_renewal(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct renewal *renewal = step->state;
    const float *mean = step->places[MEAN]->data, *variance = step->places[VARIANCE]->data;
    const float *old_mean = step->places[OLD_MEAN]->data;
    const float *old_variance = step->places[OLD_VARIANCE]->data;
    float *inverse = step->places[INVERSE]->data;
    float *next_mean = step->places[NEXT_MEAN]->data;
    float *next_variance = step->places[NEXT_VARIANCE]->data;
    double unbiased = renewal->count / (renewal->count - 1);
    for (int64_t c = 0; c < renewal->channels; c++) {
        double running_mean = (double)old_mean[c], running_variance = (double)old_variance[c];
        batch_norm_renew(renewal->node, (double)mean[c], &running_mean);
        batch_norm_renew(renewal->node, (double)variance[c] * unbiased, &running_variance);
        inverse[c] = (float)(1 / sqrt((double)variance[c] + renewal->epsilon));
        next_mean[c] = (float)running_mean;
        next_variance[c] = (float)running_variance;
    }
    return 0;
}

/* ---- back ---- */

/* images: dy, x, dx; channels: scale, mean, 1 / deviation, dscale, dbias. oneDNN wants the variance:
 * it gets one that gives the same deviation, with no epsilon. */
static int add_back(struct build *build, const struct node *node, struct cpu_place *const *images,
                    struct cpu_place *const *channels, struct error *err)
{
    enum { SCALE, AVERAGE, DEVIATION, DSCALE, DBIAS };
    dnnl_batch_normalization_desc_t desc;
    dnnl_primitive_desc_t pd;
    struct cpu_place *variance;
    unsigned flags = dnnl_use_scale | dnnl_use_shift;
    if (node_int(node, "frozen", 0))
        flags |= dnnl_use_global_stats;
    int rc = build_new_place(build, &channels[DEVIATION]->layout, &variance, err);
    if (!rc)
        rc = build_c_step(build, "own", run_variance, NULL,
                          (struct cpu_place *[]){ channels[DEVIATION], variance }, 2, err);
    if (rc)
        return rc;
    dnnl_status_t status = dnnl_batch_normalization_backward_desc_init(
        &desc, dnnl_backward, &images[BACK_DY]->md, &images[BACK_X]->md, 0, flags);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    rc = build_describe(build, &desc, NULL, &pd, err);
    if (rc)
        return rc;
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_DIFF_DST, images[BACK_DY]);
    build_add_arg(&args, DNNL_ARG_SRC, images[BACK_X]);
    build_add_arg(&args, DNNL_ARG_MEAN, channels[AVERAGE]);
    build_add_arg(&args, DNNL_ARG_VARIANCE, variance);
    build_add_arg(&args, DNNL_ARG_SCALE, channels[SCALE]);
    build_add_arg(&args, DNNL_ARG_SHIFT, channels[SCALE]); /* asked for, not read */
    build_add_arg(&args, DNNL_ARG_DIFF_SRC, images[2]);
    build_add_arg(&args, DNNL_ARG_DIFF_SCALE, channels[DSCALE]);
    build_add_arg(&args, DNNL_ARG_DIFF_SHIFT, channels[DBIAS]);
    return build_primitive(build, pd, &args, 0, err);
}

static int run_variance(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const float *inverse = step->places[0]->data;
    float *variance = step->places[1]->data;
    for (int64_t c = 0; c < step->places[0]->layout.shape.dim[0]; c++)
        variance[c] = (float)(1 / ((double)inverse[c] * (double)inverse[c]));
    return 0;
}
