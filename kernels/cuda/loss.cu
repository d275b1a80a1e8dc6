/* loss: each position on its own, then all costs in a fixed order. */
#include "cuda/loss.h"
#include "cuda/softmax_sum.h"
#include "cuda/row_tile.h"

/* A position's label, -1 if it does not count, and what it counts. */
struct loss_label {
    int64_t number;
    float weight;
    int32_t is_bad; /* no class */
};

CUDA_FN struct loss_label loss_label_at(const struct loss_labels *labels, int64_t at)
{
    struct loss_label label = { -1, 0, 0 };
    int64_t number = element_load_whole(labels->at.kept.data, labels->at.kept.type, at);
    if (labels->ignores && number == labels->ignore)
        return label;
    if (number < 0 || number >= labels->classes) {
        label.is_bad = 1;
        return label;
    }
    label.number = number;
    label.weight = labels->weights.data ? view_load(&labels->weights, number) : 1;
    if (label.weight == 0)
        label.number = -1;
    return label;
}

CUDA_FN struct loss_label loss_label_of_row(const struct loss *args, int64_t row)
{
    return loss_label_at(&args->labels, fold_start(&args->labels.at, row));
}

/* ---- forwards ---- */

/* The logarithm of a score's probability. */
CUDA_FN float loss_log(const struct loss *args, float score, const struct softmax_sum *sum)
{
    return args->softmax ? score - sum->largest - logf(sum->sum) : score;
}

CUDA_FN void loss_store_cost(const struct loss *args, int64_t row, const struct loss_label *label,
                             float log)
{
    float cost = label->is_bad ? NAN : label->number < 0 ? 0 : -label->weight * log;
    view_store(&args->cost.kept, row, cost);
}

CUDA_FN void loss_lane(const struct loss *args, int64_t row, int lane, int lanes,
                       struct softmax_sum *sum)
{
    *sum = args->softmax ? softmax_sum_lane(&args->fold, &args->scores, row, lane, lanes)
                         : softmax_sum_none();
}

CUDA_FN void loss_forward_finish(const struct loss *args, int64_t row, int lane, int lanes,
                                 const struct softmax_sum *sum)
{
    int64_t scores = fold_start(&args->scores, row), logs = fold_start(&args->logs, row);
    if (lane == 0) {
        struct loss_label label = loss_label_of_row(args, row);
        float score = label.number < 0 ? 0 : fold_load(&args->scores, scores, label.number);
        loss_store_cost(args, row, &label, loss_log(args, score, sum));
    }
    for (int64_t i = lane; args->logs.kept.data && i < args->fold.length; i += lanes)
        fold_store(&args->logs, logs, i, loss_log(args, fold_load(&args->scores, scores, i), sum));
}

/* ---- back ---- */

/* What a position's gradient has as factor. */
CUDA_FN float loss_slope(const struct loss *args, int64_t row, const struct loss_label *label)
{
    float gradient = view_load(&args->gradient.kept, row);
    return label->weight * gradient * (args->share ? *args->share : 1);
}

CUDA_FN float loss_back_value(const struct loss *args, int64_t i, float score,
                              const struct loss_label *label, float slope,
                              const struct softmax_sum *sum)
{
    if (label->number < 0)
        return 0;
    float odds = args->softmax ? expf(score - sum->largest) / sum->sum : 0;
    return slope * (odds - (i == label->number ? 1.0f : 0.0f));
}

CUDA_FN void loss_back_finish(const struct loss *args, int64_t row, int lane, int lanes,
                              const struct softmax_sum *sum)
{
    int64_t scores = fold_start(&args->scores, row), to = fold_start(&args->to, row);
    struct loss_label label = loss_label_of_row(args, row);
    float slope = loss_slope(args, row, &label);
    for (int64_t i = lane; i < args->fold.length; i += lanes)
        fold_store(&args->to, to, i,
                   loss_back_value(args, i, fold_load(&args->scores, scores, i), &label, slope, sum));
}

/* ---- tiles ---- */

struct loss_none {
    int none;
};

CUDA_FN int loss_stages(const struct loss *args)
{
    (void)args;
    return ROW_TILE_STAGES;
}

CUDA_FN struct softmax_sum loss_sum_of(const struct loss *args, const float *scores)
{
    return args->softmax ? softmax_sum_of(scores, (int)args->fold.length) : softmax_sum_none();
}

/* A row of scores, which become logarithms of probabilities. */
CUDA_FN void loss_forward_row(const struct loss *args, int64_t row, float *scores)
{
    struct softmax_sum sum = loss_sum_of(args, scores);
    struct loss_label label = loss_label_of_row(args, row);
    for (int i = 0; i < args->fold.length; i++)
        scores[i] = loss_log(args, scores[i], &sum);
    loss_store_cost(args, row, &label, label.number < 0 ? 0 : scores[label.number]);
}

/* A row of scores, which become their gradients. */
CUDA_FN void loss_back_row(const struct loss *args, int64_t row, float *scores)
{
    struct softmax_sum sum = loss_sum_of(args, scores);
    struct loss_label label = loss_label_of_row(args, row);
    float slope = loss_slope(args, row, &label);
    for (int i = 0; i < args->fold.length; i++)
        scores[i] = loss_back_value(args, i, scores[i], &label, slope, &sum);
}

CUDA_FN void loss_forward_stage(const struct loss *args, int64_t block, int thread, int stage,
                                struct row_tile *tile, struct loss_none *own)
{
    (void)own;
    if (stage == 0)
        row_tile_load(tile->numbers, &args->scores, &args->fold, block, args->tile_rows, thread);
    else if (stage == 1 && thread < row_tile_rows_in(&args->fold, block, args->tile_rows))
        loss_forward_row(args, block * args->tile_rows + thread,
                         tile->numbers + thread * ROW_TILE_STEP(args->fold.length));
    else if (stage == 2 && args->logs.kept.data)
        row_tile_store(tile->numbers, &args->logs, &args->fold, block, args->tile_rows, thread);
}

CUDA_FN void loss_back_stage(const struct loss *args, int64_t block, int thread, int stage,
                             struct row_tile *tile, struct loss_none *own)
{
    (void)own;
    if (stage == 0)
        row_tile_load(tile->numbers, &args->scores, &args->fold, block, args->tile_rows, thread);
    else if (stage == 1 && thread < row_tile_rows_in(&args->fold, block, args->tile_rows))
        loss_back_row(args, block * args->tile_rows + thread,
                      tile->numbers + thread * ROW_TILE_STEP(args->fold.length));
    else if (stage == 2)
        row_tile_store(tile->numbers, &args->to, &args->fold, block, args->tile_rows, thread);
}

/* ---- all positions ---- */

struct loss_sum {
    float cost, weight;
};

CUDA_FN void loss_total_lane(const struct loss_total *args, int64_t piece, int lane, int lanes,
                             struct loss_sum *sum)
{
    struct fold_walk walk = fold_begin(&args->fold, piece, lane, lanes);
    int64_t labels = fold_start(&args->labels.at, walk.row), cost = fold_start(&args->cost, walk.row);
    bool costs = args->cost.kept.data != NULL;
    sum->cost = sum->weight = 0;
    for (int64_t i = walk.first; i < args->fold.length; i += walk.step) {
        sum->weight +=
            loss_label_at(&args->labels, labels + view_at(&args->labels.at.folded, i)).weight;
        sum->cost += costs ? fold_load(&args->cost, cost, i) : 0;
    }
}

CUDA_FN void loss_total_merge(struct loss_sum *sum, const struct loss_sum *other)
{
    sum->cost += other->cost;
    sum->weight += other->weight;
}

CUDA_FN void loss_total_finish(const struct loss_total *args, int64_t row, int lane, int lanes,
                               const struct loss_sum *sum)
{
    float of = args->cost.kept.data ? sum->cost : 1;
    (void)row, (void)lanes;
    if (lane == 0) /* NaN stays what it is where nothing counts */
        *args->result = !args->mean ? of : sum->weight != 0 ? of / sum->weight : of * 0;
}

ROWS_KERNEL(loss_forward, struct loss, struct softmax_sum, loss_lane, softmax_sum_merge,
            loss_forward_finish)
ROWS_KERNEL(loss_back, struct loss, struct softmax_sum, loss_lane, softmax_sum_merge, loss_back_finish)
STAGED_KERNEL(loss_forward_tiles, struct loss, struct row_tile, struct loss_none, loss_stages,
              loss_forward_stage)
STAGED_KERNEL(loss_back_tiles, struct loss, struct row_tile, struct loss_none, loss_stages,
              loss_back_stage)
FOLD_KERNEL(loss_total, struct loss_total, struct loss_sum, loss_total_lane, loss_total_merge,
            loss_total_finish)
