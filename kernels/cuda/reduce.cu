/* reduce: each kind of number is folded by a kernel of its own (fold.h). */
#include "cuda/reduce.h"

/* ---- floats ---- */

struct reduce_total {
    float number;
    int32_t way;
};

CUDA_FN float reduce_join(int way, float a, float b)
{
    switch (way) {
    case REDUCE_MAX:
        return b > a || isnan(b) ? b : a;
    case REDUCE_MIN:
        return b < a || isnan(b) ? b : a;
    default:
        return a + b;
    }
}

CUDA_FN void reduce_float_lane(const struct reduce *args, int64_t piece, int lane, int lanes,
                               struct reduce_total *total)
{
    struct fold_walk walk = fold_begin(&args->fold, piece, lane, lanes);
    int64_t start = fold_start(&args->from, walk.row);
    float number = args->way == REDUCE_MAX ? -INFINITY : args->way == REDUCE_MIN ? INFINITY : 0;
    for (int64_t i = walk.first; i < args->fold.length; i += walk.step)
        number = reduce_join(args->way, number, fold_load(&args->from, start, i));
    total->number = number;
    total->way = args->way;
}

CUDA_FN void reduce_float_merge(struct reduce_total *total, const struct reduce_total *other)
{
    total->number = reduce_join(total->way, total->number, other->number);
}

CUDA_FN void reduce_float_finish(const struct reduce *args, int64_t row, int lane, int lanes,
                                 const struct reduce_total *total)
{
    (void)lanes;
    if (lane == 0)
        view_store(&args->to.kept, row, args->scale * total->number);
}

/* ---- products of floats ---- */

struct reduce_product_total {
    double number;
};

CUDA_FN void reduce_product_lane(const struct reduce *args, int64_t piece, int lane, int lanes,
                                 struct reduce_product_total *total)
{
    struct fold_walk walk = fold_begin(&args->fold, piece, lane, lanes);
    int64_t start = fold_start(&args->from, walk.row);
    total->number = 1;
    for (int64_t i = walk.first; i < args->fold.length; i += walk.step)
        total->number *= (double)fold_load(&args->from, start, i);
}

CUDA_FN void reduce_product_merge(struct reduce_product_total *total,
                                  const struct reduce_product_total *other)
{
    total->number *= other->number;
}

CUDA_FN void reduce_product_finish(const struct reduce *args, int64_t row, int lane, int lanes,
                                   const struct reduce_product_total *total)
{
    (void)lanes;
    if (lane == 0)
        view_store(&args->to.kept, row, (float)total->number);
}

/* ---- whole numbers ---- */

struct reduce_whole_total {
    int64_t number;
    int32_t way;
};

CUDA_FN int64_t reduce_join_whole(int way, int64_t a, int64_t b)
{
    switch (way) {
    case REDUCE_MAX:
        return b > a ? b : a;
    case REDUCE_MIN:
        return b < a ? b : a;
    case REDUCE_PROD:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    default:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    }
}

CUDA_FN void reduce_whole_lane(const struct reduce *args, int64_t piece, int lane, int lanes,
                               struct reduce_whole_total *total)
{
    struct fold_walk walk = fold_begin(&args->fold, piece, lane, lanes);
    int64_t start = fold_start(&args->from, walk.row);
    const struct view *kept = &args->from.kept;
    total->way = args->way;
    total->number = args->way == REDUCE_MAX   ? INT64_MIN
                    : args->way == REDUCE_MIN ? INT64_MAX
                                              : args->way == REDUCE_PROD;
    for (int64_t i = walk.first; i < args->fold.length; i += walk.step)
        total->number = reduce_join_whole(
            args->way, total->number,
            element_load_whole(kept->data, kept->type, start + view_at(&args->from.folded, i)));
}

CUDA_FN void reduce_whole_merge(struct reduce_whole_total *total,
                                const struct reduce_whole_total *other)
{
    total->number = reduce_join_whole(total->way, total->number, other->number);
}

CUDA_FN void reduce_whole_finish(const struct reduce *args, int64_t row, int lane, int lanes,
                                 const struct reduce_whole_total *total)
{
    (void)lanes;
    if (lane == 0)
        element_store_whole(args->to.kept.data, args->to.kept.type, view_at(&args->to.kept, row),
                            total->number);
}

FOLD_KERNEL(reduce_float, struct reduce, struct reduce_total, reduce_float_lane, reduce_float_merge,
            reduce_float_finish)
FOLD_KERNEL(reduce_product, struct reduce, struct reduce_product_total, reduce_product_lane,
            reduce_product_merge, reduce_product_finish)
FOLD_KERNEL(reduce_whole, struct reduce, struct reduce_whole_total, reduce_whole_lane,
            reduce_whole_merge, reduce_whole_finish)
