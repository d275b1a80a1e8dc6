/* normalise_steps: batch, instance and layer normalisation, forwards and back, out of norm_steps.h's
 * steps; with Softmax and its relatives (softmax_steps.c) in the family. */
#include "cuda/makers.h"
#include "cuda/norm_steps.h"
#include "cuda/reduce.h"
#include "cuda/softmax.h"
#include "ops/resolve.h"

static cuda_maker make_batch, make_batch_train, make_batch_grad, make_instance, make_instance_grad,
    make_layer, make_layer_grad;

static const struct cuda_row rows[] = {
    { "Softmax", cuda_make_softmax },
    { "LogSoftmax", cuda_make_log_softmax },
    { "softmax_grad", cuda_make_softmax_grad },
    { "log_softmax_grad", cuda_make_log_softmax_grad },
    { "BatchNormalization", make_batch },
    { "batch_norm_train", make_batch_train },
    { "batch_norm_grad", make_batch_grad },
    { "InstanceNormalization", make_instance },
    { "instance_norm_grad", make_instance_grad },
    { "LayerNormalization", make_layer },
    { "layer_norm_grad", make_layer_grad },
};
const struct cuda_family cuda_normalise_family = CUDA_FAMILY(rows);

/* The dimensions over which mean and deviation are taken. */
struct folding {
    bool folded[SHAPE_RANK_MAX];
};

static struct folding channel_rows(const struct shape *shape);
static struct folding plane_rows(const struct shape *shape);
static struct folding tail_rows(const struct shape *shape, int tail_rank);
static float epsilon_of(const struct node *node);
static int output_of(const struct node *node, int index);
static int place_result(struct cuda_build *build, int value, const int *like, int like_count,
                        struct cuda_place **place, struct error *err);
static int place_vector(struct cuda_build *build, int value, const struct shape *shape,
                        struct cuda_place **place, struct error *err);
static int place_running(struct cuda_build *build, const struct node *node,
                         const struct shape *shape, struct norm_running *running, struct error *err);
static int normalise_rows(struct cuda_build *build, const struct node *node, struct folding over,
                          struct norm_operand scale, struct norm_operand bias, struct error *err);
static int begin_back(struct cuda_build *build, const struct node *node,
                      struct norm_back_operands *o, struct error *err);
static int measure_again(struct cuda_build *build, const struct node *node, struct folding over,
                         struct norm_back_operands *o, struct error *err);
static int sum_columns(struct cuda_build *build, const struct node *node,
                       const struct norm_back_operands *row, int tail_rank, struct error *err);

/* ---- forwards ---- */

/* (x, scale, bias, mean, variance) -> y */
static int make_batch(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    struct cuda_place *in[5];
    struct norm_apply_operands o = { .variance = true, .epsilon = epsilon_of(node) };
    int rc = 0;
    for (int k = 0; !rc && k < 5; k++)
        rc = cuda_where(build, node->inputs[k], &in[k], err);
    if (!rc)
        rc = place_result(build, node->outputs[0], node->inputs, 1, &o.y, err);
    if (rc)
        return rc;
    o.x = in[0];
    o.scale = norm_per_channel(in[1], shape);
    o.bias = norm_per_channel(in[2], shape);
    o.mean = norm_per_channel(in[3], shape);
    o.inverse = norm_per_channel(in[4], shape);
    return norm_add_apply(build, &o, err);
}

/* (x, scale, bias, running mean, running variance) -> (y, mean, inverse, next mean, next variance) */
static int make_batch_train(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    struct cuda_place *scale, *bias, *mean, *inverse;
    struct norm_running running = { 0 };
    struct norm_apply_operands o = { 0 };
    int rc = cuda_where(build, node->inputs[0], &o.x, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[1], &scale, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[2], &bias, err);
    if (!rc)
        rc = place_vector(build, output_of(node, 1), shape, &mean, err);
    if (!rc)
        rc = place_vector(build, output_of(node, 2), shape, &inverse, err);
    if (!rc)
        rc = place_running(build, node, shape, &running, err);
    if (rc)
        return rc;
    o.mean = norm_per_channel(mean, shape);
    o.inverse = norm_per_channel(inverse, shape);
    o.scale = norm_per_channel(scale, shape);
    o.bias = norm_per_channel(bias, shape);
    rc = norm_add_moments(build, o.x, channel_rows(shape).folded, epsilon_of(node), &running,
                          &o.mean, &o.inverse, err);
    if (rc || output_of(node, 0) < 0)
        return rc;
    rc = place_result(build, node->outputs[0], node->inputs, 1, &o.y, err);
    return rc ? rc : norm_add_apply(build, &o, err);
}

static int place_running(struct cuda_build *build, const struct node *node,
                         const struct shape *shape, struct norm_running *running, struct error *err)
{
    struct norm_operand *now[] = { &running->mean, &running->variance };
    struct norm_operand *next[] = { &running->next_mean, &running->next_variance };
    double keep = 1, take = 0;
    batch_norm_renew(node, 0, &keep);
    batch_norm_renew(node, 1, &take);
    running->keep = (float)keep;
    running->take = (float)take;
    for (int k = 0; k < 2; k++) {
        struct cuda_place *from, *to;
        if (output_of(node, 3 + k) < 0)
            continue;
        int rc = cuda_where(build, node->inputs[3 + k], &from, err);
        if (!rc)
            rc = cuda_renew(build, node->inputs[3 + k], node->outputs[3 + k], &to, err);
        if (rc)
            return rc;
        *now[k] = norm_per_channel(from, shape);
        *next[k] = norm_per_channel(to, shape);
    }
    return 0;
}

static int make_instance(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    struct cuda_place *scale, *bias;
    int rc = cuda_where(build, node->inputs[1], &scale, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[2], &bias, err);
    return rc ? rc
              : normalise_rows(build, node, plane_rows(shape), norm_per_channel(scale, shape),
                               norm_per_channel(bias, shape), err);
}

static int make_layer(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    struct cuda_place *scale, *place;
    struct norm_operand bias = { 0 };
    int rc = cuda_where(build, node->inputs[1], &scale, err);
    if (!rc && node->input_count > 2 && node->inputs[2] >= 0) {
        rc = cuda_where(build, node->inputs[2], &place, err);
        if (!rc)
            bias = norm_per_tail(place, shape);
    }
    return rc ? rc
              : normalise_rows(build, node, tail_rows(shape, scale->layout.shape.rank),
                               norm_per_tail(scale, shape), bias, err);
}

static int normalise_rows(struct cuda_build *build, const struct node *node, struct folding over,
                          struct norm_operand scale, struct norm_operand bias, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    struct norm_apply_operands o = { .scale = scale, .bias = bias };
    int rc = cuda_where(build, node->inputs[0], &o.x, err);
    if (!rc)
        rc = norm_row_scratch(build, shape, over.folded, &o.mean, err);
    if (!rc)
        rc = norm_row_scratch(build, shape, over.folded, &o.inverse, err);
    if (!rc)
        rc = norm_add_moments(build, o.x, over.folded, epsilon_of(node), NULL, &o.mean, &o.inverse,
                              err);
    if (!rc)
        rc = place_result(build, node->outputs[0], node->inputs, 1, &o.y, err);
    return rc ? rc : norm_add_apply(build, &o, err);
}

/* ---- back ---- */

/* (dy, x, scale, mean, inverse) -> (dx, dscale, dbias) */
static int make_batch_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[1])->shape;
    struct folding over = channel_rows(shape);
    struct cuda_place *scale, *mean, *inverse, *sum, *product;
    struct norm_back_operands o = { .frozen = node_int(node, "frozen", 0) != 0 };
    int rc = begin_back(build, node, &o, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[2], &scale, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[3], &mean, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[4], &inverse, err);
    if (!rc)
        rc = place_vector(build, output_of(node, 1), shape, &product, err);
    if (!rc)
        rc = place_vector(build, output_of(node, 2), shape, &sum, err);
    if (rc)
        return rc;
    o.scale = norm_per_channel(scale, shape);
    o.mean = norm_per_channel(mean, shape);
    o.inverse = norm_per_channel(inverse, shape);
    o.sum = norm_per_channel(sum, shape);
    o.product = norm_per_channel(product, shape);
    rc = norm_add_products(build, &o, over.folded, err);
    return rc || !o.dx ? rc : norm_add_back(build, &o, over.folded, err);
}

/* (dy, x, scale) -> (dx, dscale, dbias). A channel has a row for each picture of the batch. */
static int make_instance_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[1])->shape;
    struct cuda_place *scale, *place;
    struct norm_back_operands o = { 0 };
    int rc = begin_back(build, node, &o, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[2], &scale, err);
    if (rc)
        return rc;
    o.scale = norm_per_channel(scale, shape);
    rc = measure_again(build, node, plane_rows(shape), &o, err);
    const struct norm_operand *rows_of_output[] = { &o.product, &o.sum };
    for (int k = 0; !rc && k < 2; k++) {
        int value = output_of(node, 1 + k);
        if (value < 0)
            continue;
        struct layout matrix = layout_dense(
            TENSOR_F32, &(struct shape){ .rank = 2, .dim = { shape->dim[0], shape->dim[1] } });
        struct cuda_place *sums = NULL;
        rc = cuda_see(build, rows_of_output[k]->place, 0, &matrix, &sums, err);
        if (!rc)
            rc = place_vector(build, value, shape, &place, err);
        if (!rc)
            rc = cuda_sum_place(build, sums, (const bool[]){ true, false }, 1, place, err);
    }
    return rc;
}

/* (dy, x, scale) -> (dx, dscale, dbias) */
static int make_layer_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[1])->shape;
    struct cuda_place *scale;
    struct norm_back_operands o = { .scaled = true };
    int rc = begin_back(build, node, &o, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[2], &scale, err);
    if (rc)
        return rc;
    int tail_rank = scale->layout.shape.rank;
    o.scale = norm_per_tail(scale, shape);
    rc = measure_again(build, node, tail_rows(shape, tail_rank), &o, err);
    if (rc || (output_of(node, 1) < 0 && output_of(node, 2) < 0))
        return rc;
    return sum_columns(build, node, &o, tail_rank, err);
}

/* Places of dy, x and, where it is wanted, dx. */
static int begin_back(struct cuda_build *build, const struct node *node,
                      struct norm_back_operands *o, struct error *err)
{
    int rc = cuda_where(build, node->inputs[0], &o->dy, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[1], &o->x, err);
    if (rc || output_of(node, 0) < 0)
        return rc;
    return place_result(build, node->outputs[0], node->inputs, 2, &o->dx, err);
}

/* Mean and deviation of the rows, as no one has kept them, sums over them, and dx. */
static int measure_again(struct cuda_build *build, const struct node *node, struct folding over,
                         struct norm_back_operands *o, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[1])->shape;
    struct norm_operand *numbers[] = { &o->mean, &o->inverse, &o->sum, &o->product };
    int rc = 0;
    for (int k = 0; !rc && k < 4; k++)
        rc = norm_row_scratch(build, shape, over.folded, numbers[k], err);
    if (!rc)
        rc = norm_add_moments(build, o->x, over.folded, epsilon_of(node), NULL, &o->mean,
                              &o->inverse, err);
    if (!rc)
        rc = norm_add_products(build, o, over.folded, err);
    return rc || !o->dx ? rc : norm_add_back(build, o, over.folded, err);
}

/* dscale and dbias: the other dimensions are folded, and mean and deviation change from element to
 * element. */
static int sum_columns(struct cuda_build *build, const struct node *node,
                       const struct norm_back_operands *row, int tail_rank, struct error *err)
{
    const struct shape *shape = &row->x->layout.shape;
    struct norm_back_operands column = *row;
    struct folding over = tail_rows(shape, tail_rank);
    struct norm_operand *results[] = { &column.product, &column.sum };
    int rc = 0;
    for (int d = 0; d < shape->rank; d++)
        over.folded[d] = !over.folded[d];
    column.scaled = false;
    for (int k = 0; !rc && k < 2; k++) {
        int value = output_of(node, 1 + k);
        struct layout layout = layout_dense(TENSOR_F32, &cuda_info(build, node->inputs[2])->shape);
        struct cuda_place *place = NULL;
        rc = value < 0 ? cuda_new_place(build, &layout, &place, err)
                       : cuda_output(build, value, &layout, &place, err);
        if (!rc)
            *results[k] = norm_per_row(place, shape, over.folded);
    }
    return rc ? rc : norm_add_products(build, &column, over.folded, err);
}

/* ---- what they share ---- */

static struct folding channel_rows(const struct shape *shape)
{
    struct folding over = { { false } };
    for (int d = 0; d < shape->rank; d++)
        over.folded[d] = d != 1;
    return over;
}

/* One of each picture's channels. */
static struct folding plane_rows(const struct shape *shape)
{
    return tail_rows(shape, shape->rank - 2);
}

static struct folding tail_rows(const struct shape *shape, int tail_rank)
{
    struct folding over = { { false } };
    for (int d = shape->rank - tail_rank; d < shape->rank; d++)
        over.folded[d] = true;
    return over;
}

static float epsilon_of(const struct node *node)
{
    return node_float(node, "epsilon", 1e-5f);
}

static int output_of(const struct node *node, int index)
{
    return index < node->output_count ? node->outputs[index] : -1;
}

/* Like one of the node's inputs that is as large. */
static int place_result(struct cuda_build *build, int value, const int *like, int like_count,
                        struct cuda_place **place, struct error *err)
{
    struct layout layout = cuda_result_layout(build, value, like, like_count);
    return cuda_output(build, value, &layout, place, err);
}

/* One f32 for each channel, which is the value (-1: nobody's). */
static int place_vector(struct cuda_build *build, int value, const struct shape *shape,
                        struct cuda_place **place, struct error *err)
{
    struct layout layout =
        layout_dense(TENSOR_F32, &(struct shape){ .rank = 1, .dim = { shape->dim[1] } });
    return value < 0 ? cuda_new_place(build, &layout, place, err)
                     : cuda_output(build, value, &layout, place, err);
}
