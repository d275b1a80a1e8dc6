/* reduce_steps: ReduceSum and its relatives, sum_to, ArgMax, CumSum, and back through them. */
#include "cuda/reduce.h"
#include "cuda/kernel_step.h"
#include "cuda/makers.h"
#include "cuda/reduce_rows.h"
#include "ops/resolve.h"
#include <stddef.h>

static cuda_maker make_sum, make_mean, make_max, make_min, make_prod, make_sum_to, make_arg_max,
    make_cum_sum, make_extreme_grad, make_prod_grad;

static const struct cuda_row rows[] = {
    { "ReduceSum", make_sum },
    { "ReduceMean", make_mean },
    { "ReduceMax", make_max },
    { "ReduceMin", make_min },
    { "ReduceProd", make_prod },
    { "sum_to", make_sum_to },
    { "ArgMax", make_arg_max },
    { "CumSum", make_cum_sum },
    { "reduce_extreme_grad", make_extreme_grad },
    { "reduce_prod_grad", make_prod_grad },
};
const struct cuda_family cuda_reduce_family = CUDA_FAMILY(rows);

static int make_reduction(struct cuda_build *build, const struct node *node, enum reduce_way way,
                          bool mean, struct error *err);
static int add_reduction(struct cuda_build *build, enum reduce_way way, struct cuda_place *from,
                         const bool *folded, float scale, struct cuda_place *to, struct error *err);
static int64_t folded_elements(const struct shape *shape, const bool *folded);
static int one_axis(const struct cuda_build *build, int64_t axis, const struct shape *shape,
                    bool *folded, struct error *err);
static int make_share(struct cuda_build *build, const struct node *node, bool extreme,
                      struct error *err);

static void launch_float(const void *args, void *stream)
{
    reduce_float(args, stream);
}

static void launch_product(const void *args, void *stream)
{
    reduce_product(args, stream);
}

static void launch_whole(const void *args, void *stream)
{
    reduce_whole(args, stream);
}

static void launch_arg_max(const void *args, void *stream)
{
    arg_max(args, stream);
}

static void launch_cum_sum(const void *args, void *stream)
{
    const struct cum_sum *sum = args;
    cum_sum(sum, sum->fold.rows, stream);
}

static void launch_share_extreme(const void *args, void *stream)
{
    const struct reduce_share *share = args;
    share_extreme(share, share->fold.rows, fold_lanes_length(&share->fold), stream);
}

static void launch_share_product(const void *args, void *stream)
{
    const struct reduce_share *share = args;
    share_product(share, share->fold.rows, fold_lanes_length(&share->fold), stream);
}

/* ---- reductions ---- */

static int make_sum(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_reduction(build, node, REDUCE_SUM, false, err);
}

static int make_mean(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_reduction(build, node, REDUCE_SUM, true, err);
}

static int make_max(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_reduction(build, node, REDUCE_MAX, false, err);
}

static int make_min(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_reduction(build, node, REDUCE_MIN, false, err);
}

static int make_prod(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_reduction(build, node, REDUCE_PROD, false, err);
}

int cuda_sum(struct cuda_build *build, int from, int to, const bool *folded, struct error *err)
{
    struct cuda_place *source, *target;
    struct layout layout = layout_dense(TENSOR_F32, &cuda_info(build, to)->shape);
    int rc = cuda_where(build, from, &source, err);
    if (!rc)
        rc = cuda_output(build, to, &layout, &target, err);
    return rc ? rc : cuda_sum_place(build, source, folded, 1, target, err);
}

int cuda_sum_place(struct cuda_build *build, struct cuda_place *from, const bool *folded,
                   float scale, struct cuda_place *to, struct error *err)
{
    return add_reduction(build, REDUCE_SUM, from, folded, scale, to, err);
}

static int make_sum_to(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *from = &cuda_info(build, node->inputs[0])->shape;
    const struct shape *to = &cuda_info(build, node->outputs[0])->shape;
    bool folded[SHAPE_RANK_MAX] = { false };
    int missing = from->rank - to->rank;
    for (int d = 0; d < from->rank; d++)
        folded[d] = d < missing || to->dim[d - missing] != from->dim[d];
    return cuda_sum(build, node->inputs[0], node->outputs[0], folded, err);
}

static int make_reduction(struct cuda_build *build, const struct node *node, enum reduce_way way,
                          bool mean, struct error *err)
{
    const struct value *input = cuda_info(build, node->inputs[0]);
    const struct tensor *axes = cuda_constant_input(build, node, 1);
    bool folded[SHAPE_RANK_MAX] = { false };
    struct cuda_place *from, *to;
    if (shape_elements(&input->shape) == 0)
        return cuda_cannot(build, err, "reduction of nothing");
    if (mean && input->type != TENSOR_F32)
        return cuda_cannot(build, err, "mean of whole numbers");
    int rc = reduce_axes(node, axes, input->shape.rank, folded, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &from, err);
    struct layout layout = layout_dense(input->type, &cuda_info(build, node->outputs[0])->shape);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    float scale = mean ? (float)(1 / (double)folded_elements(&input->shape, folded)) : 1;
    return add_reduction(build, way, from, folded, scale, to, err);
}

static int add_reduction(struct cuda_build *build, enum reduce_way way, struct cuda_place *from,
                         const bool *folded, float scale, struct cuda_place *to, struct error *err)
{
    const struct shape *shape = &from->layout.shape;
    struct cuda_place *scratch;
    struct reduce reduce = {
        .from.kept = cuda_view(from),
        .to.kept = fold_result(to, shape, folded),
        .way = (int32_t)way,
        .scale = scale,
    };
    fold_split(&reduce.fold, folded, (struct fold_array *const[]){ &reduce.from, &reduce.to }, 2);
    int rc = fold_cut(build, &reduce.fold, &scratch, err);
    if (rc)
        return rc;
    struct kernel_step step = kernel_begin(element_is_whole(reduce.from.kept.type) ? launch_whole
                                           : way == REDUCE_PROD                    ? launch_product
                                                                                   : launch_float,
                                           &reduce, sizeof reduce);
    kernel_read(&step, from, offsetof(struct reduce, from.kept.data));
    kernel_write(&step, to, offsetof(struct reduce, to.kept.data));
    kernel_write(&step, scratch, offsetof(struct reduce, fold.partial));
    return kernel_add(build, &step, scratch ? "reduce in parts" : "reduce", err);
}

static int64_t folded_elements(const struct shape *shape, const bool *folded)
{
    int64_t count = 1;
    for (int d = 0; d < shape->rank; d++)
        count *= folded[d] ? shape->dim[d] : 1;
    return count;
}

/* ---- along one axis ---- */

static int one_axis(const struct cuda_build *build, int64_t axis, const struct shape *shape,
                    bool *folded, struct error *err)
{
    if (axis < -shape->rank || axis >= shape->rank)
        return cuda_cannot(build, err, "such an axis");
    folded[axis < 0 ? axis + shape->rank : axis] = true;
    return 0;
}

static int make_arg_max(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *from, *to, *scratch;
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    bool folded[SHAPE_RANK_MAX] = { false };
    struct layout layout = layout_dense(TENSOR_I64, &cuda_info(build, node->outputs[0])->shape);
    int rc = one_axis(build, node_int(node, "axis", 0), shape, folded, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &from, err);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    struct arg_max args = {
        .from.kept = cuda_view(from),
        .to.kept = fold_result(to, shape, folded),
        .last = node_int(node, "select_last_index", 0) != 0,
    };
    fold_split(&args.fold, folded, (struct fold_array *const[]){ &args.from, &args.to }, 2);
    rc = fold_cut(build, &args.fold, &scratch, err);
    if (rc)
        return rc;
    struct kernel_step step = kernel_begin(launch_arg_max, &args, sizeof args);
    kernel_read(&step, from, offsetof(struct arg_max, from.kept.data));
    kernel_write(&step, to, offsetof(struct arg_max, to.kept.data));
    kernel_write(&step, scratch, offsetof(struct arg_max, fold.partial));
    return kernel_add(build, &step, "argmax", err);
}

static int make_cum_sum(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *from, *to;
    const struct tensor *axis = cuda_constant_input(build, node, 1);
    bool folded[SHAPE_RANK_MAX] = { false };
    if (!axis->data)
        return cuda_cannot(build, err, "axis that is only known while running");
    int64_t number = element_load_whole(axis->data, (int)axis->type, 0);
    int rc = one_axis(build, number, &cuda_info(build, node->inputs[0])->shape, folded, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &from, err);
    struct layout layout = cuda_result_layout(build, node->outputs[0], node->inputs, 1);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    struct cum_sum args = {
        .from.kept = cuda_view(from),
        .to.kept = cuda_view(to),
        .exclusive = node_int(node, "exclusive", 0) != 0,
        .reverse = node_int(node, "reverse", 0) != 0,
    };
    fold_split(&args.fold, folded, (struct fold_array *const[]){ &args.from, &args.to }, 2);
    struct kernel_step step = kernel_begin(launch_cum_sum, &args, sizeof args);
    kernel_read(&step, from, offsetof(struct cum_sum, from.kept.data));
    kernel_write(&step, to, offsetof(struct cum_sum, to.kept.data));
    return kernel_add(build, &step, "running sum", err);
}

/* ---- gradients ---- */

static int make_extreme_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_share(build, node, true, err);
}

static int make_prod_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_share(build, node, false, err);
}

/* (gradient, [result,] input); what was folded has a dimension of 1 in the gradient. */
static int make_share(struct cuda_build *build, const struct node *node, bool extreme,
                      struct error *err)
{
    struct cuda_place *gradient, *result = NULL, *from, *to;
    int input = node->inputs[extreme ? 2 : 1];
    const struct shape *shape = &cuda_info(build, input)->shape;
    const struct shape *kept = &cuda_info(build, node->inputs[0])->shape;
    bool folded[SHAPE_RANK_MAX] = { false };
    for (int d = 0; d < shape->rank; d++)
        folded[d] = kept->dim[d] != shape->dim[d];
    int rc = cuda_where(build, node->inputs[0], &gradient, err);
    if (!rc && extreme)
        rc = cuda_where(build, node->inputs[1], &result, err);
    if (!rc)
        rc = cuda_where(build, input, &from, err);
    struct layout layout = cuda_result_layout(build, node->outputs[0], &input, 1);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    struct reduce_share args = {
        .from.kept = cuda_view(from),
        .gradient.kept = cuda_view_broadcast(gradient, shape),
        .result.kept = cuda_view_broadcast(result ? result : gradient, shape),
        .to.kept = cuda_view(to),
    };
    fold_split(&args.fold, folded,
               (struct fold_array *const[]){ &args.from, &args.gradient, &args.result, &args.to }, 4);
    struct kernel_step step =
        kernel_begin(extreme ? launch_share_extreme : launch_share_product, &args, sizeof args);
    kernel_read(&step, gradient, offsetof(struct reduce_share, gradient.kept.data));
    kernel_read(&step, result, offsetof(struct reduce_share, result.kept.data));
    kernel_read(&step, from, offsetof(struct reduce_share, from.kept.data));
    kernel_write(&step, to, offsetof(struct reduce_share, to.kept.data));
    return kernel_add(build, &step, "share", err);
}
