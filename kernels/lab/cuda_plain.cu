/* cuda_plain: loops over rows. */
#include "lab/cuda_plain.h"

/* ---- sums ---- */

CUDA_FN void plain_sum_at(const struct reduce *args, int64_t row)
{
    int64_t start = fold_start(&args->from, row);
    float sum = 0;
    for (int64_t i = 0; i < args->fold.length; i++)
        sum += fold_load(&args->from, start, i);
    view_store(&args->to.kept, row, args->scale * sum);
}

CUDA_FN void plain_moments_at(const struct norm_moments *args, int64_t row)
{
    int64_t start = fold_start(&args->x, row);
    float sum = 0, squares = 0, length = (float)args->fold.length;
    for (int64_t i = 0; i < args->fold.length; i++)
        sum += fold_load(&args->x, start, i);
    for (int64_t i = 0; i < args->fold.length; i++) {
        float distance = fold_load(&args->x, start, i) - sum / length;
        squares += distance * distance;
    }
    view_store(&args->mean.kept, row, sum / length);
    view_store(&args->inverse.kept, row, 1 / sqrtf(squares / length + args->epsilon));
}

/* ---- exponentials ---- */

struct plain_exponentials {
    float largest, sum; /* of exp(number - largest) */
};

CUDA_FN struct plain_exponentials plain_exponentials(const struct fold *fold,
                                                     const struct fold_array *array, int64_t start)
{
    struct plain_exponentials row = { -INFINITY, 0 };
    for (int64_t i = 0; i < fold->length; i++)
        row.largest = fmaxf(row.largest, fold_load(array, start, i));
    for (int64_t i = 0; i < fold->length; i++)
        row.sum += expf(fold_load(array, start, i) - row.largest);
    return row;
}

CUDA_FN void plain_softmax_at(const struct softmax *args, int64_t row)
{
    int64_t from = fold_start(&args->from, row), to = fold_start(&args->to, row);
    struct plain_exponentials all = plain_exponentials(&args->fold, &args->from, from);
    for (int64_t i = 0; i < args->fold.length; i++)
        fold_store(&args->to, to, i, expf(fold_load(&args->from, from, i) - all.largest) / all.sum);
}

/* ---- losses ---- */

/* A row's label and what it counts, 0 if it is ignored. */
struct plain_label {
    int64_t number;
    float weight;
};

CUDA_FN struct plain_label plain_label_of(const struct loss_labels *labels, int64_t row)
{
    struct plain_label label = { 0, 0 };
    int64_t at = fold_start(&labels->at, row);
    int64_t number = element_load_whole(labels->at.kept.data, labels->at.kept.type, at);
    if (labels->ignores && number == labels->ignore)
        return label;
    label.number = number;
    label.weight = labels->weights.data ? view_load(&labels->weights, number) : 1;
    return label;
}

CUDA_FN void plain_cost_at(const struct loss *args, int64_t row)
{
    int64_t start = fold_start(&args->scores, row);
    struct plain_exponentials all = plain_exponentials(&args->fold, &args->scores, start);
    struct plain_label label = plain_label_of(&args->labels, row);
    float score = fold_load(&args->scores, start, label.number);
    view_store(&args->cost.kept, row, -label.weight * (score - all.largest - logf(all.sum)));
}

CUDA_FN void plain_cost_back_at(const struct loss *args, int64_t row)
{
    int64_t start = fold_start(&args->scores, row), to = fold_start(&args->to, row);
    struct plain_exponentials all = plain_exponentials(&args->fold, &args->scores, start);
    struct plain_label label = plain_label_of(&args->labels, row);
    float slope = label.weight * view_load(&args->gradient.kept, row) * *args->share;
    for (int64_t i = 0; i < args->fold.length; i++) {
        float odds = expf(fold_load(&args->scores, start, i) - all.largest) / all.sum;
        fold_store(&args->to, to, i, slope * (odds - (i == label.number ? 1.0f : 0.0f)));
    }
}

/* ---- an optimiser ---- */

CUDA_FN void plain_adam_at(const struct plain_adam *args, int64_t i)
{
    const struct optimise_now *now = args->now;
    float w = args->before[0][i], slope = args->gradient[i] + now->decay * w;
    float m = args->beta1 * args->before[1][i] + (1 - args->beta1) * slope;
    float v = args->beta2 * args->before[2][i] + (1 - args->beta2) * slope * slope;
    args->after[0][i] = now->keep * w - now->rate * m / (sqrtf(v) * now->root + args->epsilon);
    args->after[1][i] = m;
    args->after[2][i] = v;
}

EACH_KERNEL(plain_sum_each, struct reduce, plain_sum_at)
EACH_KERNEL(plain_softmax_each, struct softmax, plain_softmax_at)
EACH_KERNEL(plain_moments_each, struct norm_moments, plain_moments_at)
EACH_KERNEL(plain_cost_each, struct loss, plain_cost_at)
EACH_KERNEL(plain_cost_back_each, struct loss, plain_cost_back_at)
EACH_KERNEL(plain_adam_each, struct plain_adam, plain_adam_at)
