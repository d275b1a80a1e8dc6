/* loss_steps: the cost of each position, then the loss; and back, the sum of weights first. */
#include "cuda/loss.h"
#include "cuda/kernel_step.h"
#include "cuda/makers.h"
#include "cuda/row_tile.h"
#include "ops/resolve.h"
#include <stddef.h>

static cuda_maker make_softmax, make_likelihood, make_softmax_back, make_likelihood_back;

static const struct cuda_row rows[] = {
    { "SoftmaxCrossEntropyLoss", make_softmax },
    { "NegativeLogLikelihoodLoss", make_likelihood },
    { "softmax_cross_entropy_grad", make_softmax_back },
    { "negative_log_likelihood_grad", make_likelihood_back },
};
const struct cuda_family cuda_loss_family = CUDA_FAMILY(rows);

/* What is being made. */
struct making {
    struct cross_entropy loss;
    bool softmax;
    struct cuda_place *scores, *labels;
    struct cuda_place *weights; /* NULL: none */
};

static int make_forward(struct cuda_build *build, const struct node *node, bool softmax,
                        struct error *err);
static int make_back(struct cuda_build *build, const struct node *node, bool softmax,
                     struct error *err);
static int begin(struct cuda_build *build, const struct node *node, int first, bool softmax,
                 struct making *making, struct error *err);
static struct loss loss_args(const struct making *making);
static struct loss_labels labels_args(const struct making *making, struct view at);
static struct view per_position(const struct cuda_place *place, const struct shape *scores);
static int add_forward(struct cuda_build *build, const struct making *making,
                       struct cuda_place *cost, struct cuda_place *logs, struct error *err);
static int add_back(struct cuda_build *build, const struct making *making,
                    struct cuda_place *gradient, struct cuda_place *share, struct cuda_place *to,
                    struct error *err);
static void read_scores(struct kernel_step *step, const struct making *making);
static int add_total(struct cuda_build *build, const struct making *making, struct cuda_place *cost,
                     struct cuda_place *result, struct error *err);

static void launch_forward(const void *args, void *stream)
{
    const struct loss *loss = args;
    loss_forward(loss, loss->fold.rows, loss->softmax ? fold_lanes_length(&loss->fold) : 1, stream);
}

static void launch_forward_tiles(const void *args, void *stream)
{
    const struct loss *loss = args;
    loss_forward_tiles(loss, row_tile_blocks(&loss->fold, loss->tile_rows), stream);
}

static void launch_back(const void *args, void *stream)
{
    const struct loss *loss = args;
    loss_back(loss, loss->fold.rows, fold_lanes_length(&loss->fold), stream);
}

static void launch_back_tiles(const void *args, void *stream)
{
    const struct loss *loss = args;
    loss_back_tiles(loss, row_tile_blocks(&loss->fold, loss->tile_rows), stream);
}

static void launch_total(const void *args, void *stream)
{
    loss_total(args, stream);
}

/* ---- makers ---- */

static int make_softmax(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_forward(build, node, true, err);
}

static int make_likelihood(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_forward(build, node, false, err);
}

static int make_softmax_back(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_back(build, node, true, err);
}

static int make_likelihood_back(struct cuda_build *build, const struct node *node, struct error *err)
{
    return make_back(build, node, false, err);
}

/* (scores, labels, [weights]) -> (loss, [logarithms of probabilities]) */
static int make_forward(struct cuda_build *build, const struct node *node, bool softmax,
                        struct error *err)
{
    struct making making;
    struct cuda_place *cost, *result = NULL, *logs = NULL;
    int rc = begin(build, node, 0, softmax, &making, err);
    if (rc)
        return rc;
    bool each = making.loss.reduction == REDUCTION_NONE;
    struct layout positions = layout_dense(TENSOR_F32, &making.labels->layout.shape);
    struct layout number = layout_dense(TENSOR_F32, &(struct shape){ .rank = 0 });
    bool wanted = node->outputs[0] >= 0;
    rc = each && wanted ? cuda_output(build, node->outputs[0], &positions, &cost, err)
                        : cuda_new_place(build, &positions, &cost, err);
    if (!rc && node->output_count > 1 && node->outputs[1] >= 0) {
        struct layout layout = cuda_result_layout(build, node->outputs[1], node->inputs, 1);
        rc = cuda_output(build, node->outputs[1], &layout, &logs, err);
    }
    if (!rc)
        rc = add_forward(build, &making, cost, logs, err);
    if (rc || each || !wanted)
        return rc;
    rc = cuda_output(build, node->outputs[0], &number, &result, err);
    return rc ? rc : add_total(build, &making, cost, result, err);
}

/* (gradient, scores, labels, [weights]) -> gradient of scores */
static int make_back(struct cuda_build *build, const struct node *node, bool softmax,
                     struct error *err)
{
    struct making making;
    struct cuda_place *gradient, *share = NULL, *to;
    int rc = begin(build, node, 1, softmax, &making, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &gradient, err);
    struct layout number = layout_dense(TENSOR_F32, &(struct shape){ .rank = 0 });
    if (!rc && making.loss.reduction == REDUCTION_MEAN) {
        rc = cuda_new_place(build, &number, &share, err);
        if (!rc)
            rc = add_total(build, &making, NULL, share, err);
    }
    struct layout layout = cuda_result_layout(build, node->outputs[0], node->inputs + 1, 1);
    if (!rc)
        rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    return rc ? rc : add_back(build, &making, gradient, share, to, err);
}

static int begin(struct cuda_build *build, const struct node *node, int first, bool softmax,
                 struct making *making, struct error *err)
{
    const int *inputs = node->inputs + first;
    *making = (struct making){ .softmax = softmax };
    cross_entropy_resolve(node, &cuda_info(build, inputs[0])->shape, &making->loss);
    int rc = cuda_where(build, inputs[0], &making->scores, err);
    if (!rc)
        rc = cuda_where(build, inputs[1], &making->labels, err);
    if (!rc && node->input_count > first + 2 && inputs[2] >= 0)
        rc = cuda_where(build, inputs[2], &making->weights, err);
    return rc;
}

/* ---- steps ---- */

static const bool class_axis[SHAPE_RANK_MAX] = { [1] = true };

static int add_forward(struct cuda_build *build, const struct making *making,
                       struct cuda_place *cost, struct cuda_place *logs, struct error *err)
{
    struct loss args = loss_args(making);
    args.cost.kept = per_position(cost, &making->scores->layout.shape);
    args.logs.kept = cuda_view(logs ? logs : making->scores);
    struct fold_array *const arrays[] = { &args.scores, &args.logs, &args.labels.at, &args.cost };
    fold_split(&args.fold, class_axis, arrays, 4);
    args.tile_rows = row_tile_rows(&args.fold, 1);
    bool tiles =
        making->softmax && row_tile_suits(&args.fold, (const struct fold_array *const *)arrays, 2);
    struct kernel_step step =
        kernel_begin(tiles ? launch_forward_tiles : launch_forward, &args, sizeof args);
    read_scores(&step, making);
    kernel_write(&step, cost, offsetof(struct loss, cost.kept.data));
    kernel_write(&step, logs, offsetof(struct loss, logs.kept.data));
    return kernel_add(build, &step, tiles ? "cost by tiles" : "cost by rows", err);
}

static int add_back(struct cuda_build *build, const struct making *making,
                    struct cuda_place *gradient, struct cuda_place *share, struct cuda_place *to,
                    struct error *err)
{
    const struct shape *shape = &making->scores->layout.shape;
    struct loss args = loss_args(making);
    args.to.kept = cuda_view(to);
    args.gradient.kept = making->loss.reduction == REDUCTION_NONE
                             ? per_position(gradient, shape)
                             : cuda_view_broadcast(gradient, shape);
    struct fold_array *const arrays[] = { &args.scores, &args.to, &args.labels.at, &args.gradient };
    fold_split(&args.fold, class_axis, arrays, 4);
    args.tile_rows = row_tile_rows(&args.fold, 1);
    bool tiles = row_tile_suits(&args.fold, (const struct fold_array *const *)arrays, 2);
    struct kernel_step step =
        kernel_begin(tiles ? launch_back_tiles : launch_back, &args, sizeof args);
    read_scores(&step, making);
    kernel_read(&step, gradient, offsetof(struct loss, gradient.kept.data));
    kernel_read(&step, share, offsetof(struct loss, share));
    kernel_write(&step, to, offsetof(struct loss, to.kept.data));
    return kernel_add(build, &step, tiles ? "cost back by tiles" : "cost back by rows", err);
}

static void read_scores(struct kernel_step *step, const struct making *making)
{
    kernel_read(step, making->scores, offsetof(struct loss, scores.kept.data));
    kernel_read(step, making->labels, offsetof(struct loss, labels.at.kept.data));
    kernel_read(step, making->weights, offsetof(struct loss, labels.weights.data));
}

/* cost NULL: the share that a mean gives to each. */
static int add_total(struct cuda_build *build, const struct making *making, struct cuda_place *cost,
                     struct cuda_place *result, struct error *err)
{
    static const bool all[SHAPE_RANK_MAX] = { true, true, true, true, true, true, true, true };
    struct view labels = cuda_view(making->labels);
    struct cuda_place *scratch;
    struct loss_total args = {
        .labels = labels_args(making, labels),
        .cost.kept = cost ? cuda_view(cost) : labels,
        .mean = making->loss.reduction == REDUCTION_MEAN,
    };
    fold_split(&args.fold, all, (struct fold_array *const[]){ &args.labels.at, &args.cost }, 2);
    int rc = fold_cut(build, &args.fold, &scratch, err);
    if (rc)
        return rc;
    struct kernel_step step = kernel_begin(launch_total, &args, sizeof args);
    kernel_read(&step, making->labels, offsetof(struct loss_total, labels.at.kept.data));
    kernel_read(&step, making->weights, offsetof(struct loss_total, labels.weights.data));
    kernel_read(&step, cost, offsetof(struct loss_total, cost.kept.data));
    kernel_write(&step, result, offsetof(struct loss_total, result));
    kernel_write(&step, scratch, offsetof(struct loss_total, fold.partial));
    return kernel_add(build, &step, "loss", err);
}

/* Arrays that are not of this direction are left empty. */
static struct loss loss_args(const struct making *making)
{
    const struct shape *shape = &making->scores->layout.shape;
    return (struct loss){
        .labels = labels_args(making, per_position(making->labels, shape)),
        .scores.kept = cuda_view(making->scores),
        .softmax = making->softmax,
    };
}

static struct loss_labels labels_args(const struct making *making, struct view at)
{
    struct loss_labels labels = {
        .at.kept = at,
        .classes = making->loss.classes,
        .ignore = making->loss.ignore,
        .ignores = making->loss.ignores,
    };
    if (making->weights)
        labels.weights = cuda_view(making->weights);
    return labels;
}

/* Something of the labels' shape, seen with the scores' dimensions. */
static struct view per_position(const struct cuda_place *place, const struct shape *scores)
{
    struct view view = { .type = place->layout.type, .rank = scores->rank };
    for (int d = 0; d < scores->rank; d++) {
        view.dim[d] = (int32_t)scores->dim[d];
        view.step[d] = d == 1 ? 0 : place->layout.stride[d > 0 ? d - 1 : 0];
    }
    return view;
}
