/* reduce_rows: a kernel for each, in rows as fold.h divides them. */
#include "cuda/reduce_rows.h"

/* ---- the largest ---- */

struct arg_max_best {
    float number;  /* of floats */
    int32_t last;  /* as in args */
    int64_t whole; /* of whole numbers; of floats 0 */
    int64_t index; /* -1: none */
};

CUDA_FN bool arg_max_is_better(const struct arg_max_best *best, const struct arg_max_best *other)
{
    if (other->index < 0 || best->index < 0)
        return other->index >= 0;
    if (other->number != best->number)
        return other->number > best->number;
    if (other->whole != best->whole)
        return other->whole > best->whole;
    return best->last ? other->index > best->index : other->index < best->index;
}

CUDA_FN void arg_max_merge(struct arg_max_best *best, const struct arg_max_best *other)
{
    if (arg_max_is_better(best, other))
        *best = *other;
}

CUDA_FN void arg_max_lane(const struct arg_max *args, int64_t piece, int lane, int lanes,
                          struct arg_max_best *best)
{
    struct fold_walk walk = fold_begin(&args->fold, piece, lane, lanes);
    int64_t start = fold_start(&args->from, walk.row);
    const struct view *kept = &args->from.kept;
    bool is_whole = element_is_whole(kept->type);
    struct arg_max_best other = { 0, args->last, 0, 0 };
    *best = other;
    best->index = -1;
    for (int64_t i = walk.first; i < args->fold.length; i += walk.step) {
        other.index = i;
        if (is_whole)
            other.whole =
                element_load_whole(kept->data, kept->type, start + view_at(&args->from.folded, i));
        else
            other.number = fold_load(&args->from, start, i);
        if (!isnan(other.number))
            arg_max_merge(best, &other);
    }
}

CUDA_FN void arg_max_finish(const struct arg_max *args, int64_t row, int lane, int lanes,
                            const struct arg_max_best *best)
{
    const struct fold_array *from = &args->from;
    (void)lanes;
    if (lane != 0)
        return;
    bool stays = best->index < 0 || (!element_is_whole(from->kept.type) &&
                                     isnan(fold_load(from, fold_start(from, row), 0)));
    element_store_whole(args->to.kept.data, args->to.kept.type, view_at(&args->to.kept, row),
                        stays ? 0 : best->index);
}

/* ---- running sums ---- */

/* In doubles, as rows may be long. */
CUDA_FN void cum_sum_floats(const struct cum_sum *args, int64_t from, int64_t to)
{
    double sum = 0;
    for (int64_t k = 0; k < args->fold.length; k++) {
        int64_t i = args->reverse ? args->fold.length - 1 - k : k;
        double before = sum;
        sum += (double)fold_load(&args->from, from, i);
        fold_store(&args->to, to, i, (float)(args->exclusive ? before : sum));
    }
}

CUDA_FN void cum_sum_wholes(const struct cum_sum *args, int64_t from, int64_t to)
{
    const struct view *in = &args->from.kept, *out = &args->to.kept;
    uint64_t sum = 0;
    for (int64_t k = 0; k < args->fold.length; k++) {
        int64_t i = args->reverse ? args->fold.length - 1 - k : k;
        uint64_t before = sum;
        sum +=
            (uint64_t)element_load_whole(in->data, in->type, from + view_at(&args->from.folded, i));
        element_store_whole(out->data, out->type, to + view_at(&args->to.folded, i),
                            (int64_t)(args->exclusive ? before : sum));
    }
}

CUDA_FN void cum_sum_at(const struct cum_sum *args, int64_t row)
{
    int64_t from = fold_start(&args->from, row), to = fold_start(&args->to, row);
    if (element_is_whole(args->from.kept.type))
        cum_sum_wholes(args, from, to);
    else
        cum_sum_floats(args, from, to);
}

/* ---- back through extremes: how many equal the result ---- */

struct share_count {
    int64_t count;
};

CUDA_FN void share_extreme_lane(const struct reduce_share *args, int64_t row, int lane, int lanes,
                                struct share_count *equal)
{
    int64_t start = fold_start(&args->from, row);
    float result = view_load(&args->result.kept, row);
    equal->count = 0;
    for (int64_t i = lane; i < args->fold.length; i += lanes)
        equal->count += fold_load(&args->from, start, i) == result;
}

CUDA_FN void share_extreme_merge(struct share_count *equal, const struct share_count *other)
{
    equal->count += other->count;
}

CUDA_FN void share_extreme_finish(const struct reduce_share *args, int64_t row, int lane, int lanes,
                                  const struct share_count *equal)
{
    int64_t from = fold_start(&args->from, row), to = fold_start(&args->to, row);
    float result = view_load(&args->result.kept, row);
    float share = view_load(&args->gradient.kept, row) / (float)equal->count;
    for (int64_t i = lane; i < args->fold.length; i += lanes)
        fold_store(&args->to, to, i, fold_load(&args->from, from, i) == result ? share : 0);
}

/* ---- back through products: zeros apart, one of them leaves a slope only for itself, two none ---- */

struct share_factors {
    double product; /* of those that are not 0 */
    int64_t zeros;
};

CUDA_FN void share_product_lane(const struct reduce_share *args, int64_t row, int lane, int lanes,
                                struct share_factors *factors)
{
    int64_t start = fold_start(&args->from, row);
    factors->product = 1;
    factors->zeros = 0;
    for (int64_t i = lane; i < args->fold.length; i += lanes) {
        float number = fold_load(&args->from, start, i);
        factors->zeros += number == 0;
        factors->product *= number == 0 ? 1 : (double)number;
    }
}

CUDA_FN void share_product_merge(struct share_factors *factors, const struct share_factors *other)
{
    factors->product *= other->product;
    factors->zeros += other->zeros;
}

CUDA_FN void share_product_finish(const struct reduce_share *args, int64_t row, int lane, int lanes,
                                  const struct share_factors *factors)
{
    int64_t from = fold_start(&args->from, row), to = fold_start(&args->to, row);
    double gradient = (double)view_load(&args->gradient.kept, row);
    for (int64_t i = lane; i < args->fold.length; i += lanes) {
        double number = (double)fold_load(&args->from, from, i);
        int64_t other_zeros = factors->zeros - (number == 0);
        double slope = other_zeros > 0 ? 0 : factors->product / (number == 0 ? 1 : number);
        fold_store(&args->to, to, i, (float)(gradient * slope));
    }
}

FOLD_KERNEL(arg_max, struct arg_max, struct arg_max_best, arg_max_lane, arg_max_merge, arg_max_finish)
EACH_KERNEL(cum_sum, struct cum_sum, cum_sum_at)
ROWS_KERNEL(share_extreme, struct reduce_share, struct share_count, share_extreme_lane,
            share_extreme_merge, share_extreme_finish)
ROWS_KERNEL(share_product, struct reduce_share, struct share_factors, share_product_lane,
            share_product_merge, share_product_finish)
