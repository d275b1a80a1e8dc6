/* norm: sums of rows by folding, then one thread for each element. */
#include "cuda/norm.h"

/* Elements whose mean is taken before they are merged with what was before: one division for all. */
#define GROUP 8

/* So that a group stays in registers, and its loads do not wait for each other. */
#ifdef __CUDACC__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED
#endif

/* ---- moments ---- */

struct norm_moments_sum {
    float count, mean, squares; /* squares: of distances from the mean */
};

CUDA_FN void norm_moments_merge(struct norm_moments_sum *sum, const struct norm_moments_sum *other)
{
    float count = sum->count + other->count;
    if (other->count == 0)
        return;
    float distance = other->mean - sum->mean, part = other->count / count;
    sum->mean += distance * part;
    sum->squares += other->squares + distance * distance * sum->count * part;
    sum->count = count;
}

CUDA_FN struct norm_moments_sum norm_moments_of(const float *numbers)
{
    struct norm_moments_sum sum = { GROUP, 0, 0 };
    UNROLLED
    for (int k = 0; k < GROUP; k++)
        sum.mean += numbers[k];
    sum.mean /= GROUP;
    UNROLLED
    for (int k = 0; k < GROUP; k++)
        sum.squares += (numbers[k] - sum.mean) * (numbers[k] - sum.mean);
    return sum;
}

CUDA_FN void norm_moments_lane(const struct norm_moments *args, int64_t piece, int lane, int lanes,
                               struct norm_moments_sum *sum)
{
    struct fold_walk walk = fold_begin(&args->fold, piece, lane, lanes);
    int64_t start = fold_start(&args->x, walk.row), i = walk.first, length = args->fold.length;
    struct norm_moments_sum own = { 0, 0, 0 };
    float numbers[GROUP];
    for (; i + (GROUP - 1) * walk.step < length; i += GROUP * walk.step) {
        UNROLLED
        for (int k = 0; k < GROUP; k++)
            numbers[k] = fold_load(&args->x, start, i + k * walk.step);
        struct norm_moments_sum group = norm_moments_of(numbers);
        norm_moments_merge(&own, &group);
    }
    for (; i < length; i += walk.step) {
        struct norm_moments_sum one = { 1, fold_load(&args->x, start, i), 0 };
        norm_moments_merge(&own, &one);
    }
    *sum = own;
}

CUDA_FN void norm_moments_finish(const struct norm_moments *args, int64_t row, int lane, int lanes,
                                 const struct norm_moments_sum *sum)
{
    (void)lanes;
    if (lane != 0)
        return;
    view_store(&args->mean.kept, row, sum->mean);
    view_store(&args->inverse.kept, row, 1 / sqrtf(sum->squares / sum->count + args->epsilon));
    if (args->next_mean.kept.data)
        view_store(&args->next_mean.kept, row,
                   args->keep * view_load(&args->running_mean.kept, row) + args->take * sum->mean);
    if (args->next_variance.kept.data)
        view_store(&args->next_variance.kept, row,
                   args->keep * view_load(&args->running_variance.kept, row) +
                       args->take * (sum->squares / (sum->count - 1)));
}

/* ---- elements ---- */

/* Where the n-th element lies in each of the views, which have the same dimensions. */
CUDA_FN void norm_find(const struct view *views, int count, int64_t n, int64_t *at)
{
    uint32_t rest = (uint32_t)n; /* no array has more elements */
    for (int k = 0; k < count; k++)
        at[k] = 0;
    for (int d = views[0].rank - 1; d >= 0; d--) {
        uint32_t quotient = d > 0 ? rest / (uint32_t)views[0].dim[d] : 0;
        int64_t index = (int64_t)(rest - quotient * (uint32_t)views[0].dim[d]);
        for (int k = 0; k < count; k++)
            at[k] += index * views[k].step[d];
        rest = quotient;
    }
}

CUDA_FN float norm_load(const struct view *views, const int64_t *at, int which)
{
    return element_load(views[which].data, views[which].type, at[which]);
}

CUDA_FN void norm_apply_at(const struct norm_apply *args, int64_t i)
{
    const struct view *views = args->views;
    int64_t at[NORM_VIEWS];
    norm_find(views, NORM_VIEWS, i, at);
    float inverse = norm_load(views, at, NORM_INVERSE);
    if (args->variance)
        inverse = 1 / sqrtf(inverse + args->epsilon);
    float normal = (norm_load(views, at, NORM_X) - norm_load(views, at, NORM_MEAN)) * inverse;
    float bias = views[NORM_BIAS].data ? norm_load(views, at, NORM_BIAS) : 0;
    element_store(views[NORM_Y].data, views[NORM_Y].type, at[NORM_Y],
                  normal * norm_load(views, at, NORM_SCALE) + bias);
}

/* ---- back ---- */

struct norm_products_sum {
    float sum, product;
};

CUDA_FN void norm_products_lane(const struct norm_products *args, int64_t piece, int lane,
                                int lanes, struct norm_products_sum *sum)
{
    struct fold_walk walk = fold_begin(&args->fold, piece, lane, lanes);
    int64_t dy = fold_start(&args->dy, walk.row), x = fold_start(&args->x, walk.row);
    int64_t mean = fold_start(&args->mean, walk.row), inverse = fold_start(&args->inverse, walk.row);
    int64_t scale = fold_start(&args->scale, walk.row);
    bool scaled = args->scale.kept.data != NULL;
    sum->sum = sum->product = 0;
    for (int64_t i = walk.first; i < args->fold.length; i += walk.step) {
        float slope = fold_load(&args->dy, dy, i);
        if (scaled)
            slope *= fold_load(&args->scale, scale, i);
        float normal = (fold_load(&args->x, x, i) - fold_load(&args->mean, mean, i)) *
                       fold_load(&args->inverse, inverse, i);
        sum->sum += slope;
        sum->product += slope * normal;
    }
}

CUDA_FN void norm_products_merge(struct norm_products_sum *sum, const struct norm_products_sum *other)
{
    sum->sum += other->sum;
    sum->product += other->product;
}

CUDA_FN void norm_products_finish(const struct norm_products *args, int64_t row, int lane,
                                  int lanes, const struct norm_products_sum *sum)
{
    (void)lanes;
    if (lane != 0)
        return;
    view_store(&args->sum.kept, row, sum->sum);
    view_store(&args->product.kept, row, sum->product);
}

CUDA_FN void norm_back_at(const struct norm_back *args, int64_t i)
{
    const struct view *views = args->views;
    int64_t at[NORM_BACK_VIEWS];
    norm_find(views, NORM_BACK_VIEWS, i, at);
    float inverse = norm_load(views, at, NORM_BACK_INVERSE);
    float scale = norm_load(views, at, NORM_BACK_SCALE), dy = norm_load(views, at, NORM_BACK_DY);
    float normal =
        (norm_load(views, at, NORM_BACK_X) - norm_load(views, at, NORM_BACK_MEAN)) * inverse;
    float means = args->share == 0
                      ? 0 /* whatever the sums are */
                      : args->share * (norm_load(views, at, NORM_BACK_SUM) +
                                       normal * norm_load(views, at, NORM_BACK_PRODUCT));
    element_store(views[NORM_BACK_DX].data, views[NORM_BACK_DX].type, at[NORM_BACK_DX],
                  inverse * (args->scaled ? scale * dy - means : scale * (dy - means)));
}

FOLD_KERNEL(norm_moments, struct norm_moments, struct norm_moments_sum, norm_moments_lane,
            norm_moments_merge, norm_moments_finish)
EACH_KERNEL(norm_apply, struct norm_apply, norm_apply_at)
FOLD_KERNEL(norm_products, struct norm_products, struct norm_products_sum, norm_products_lane,
            norm_products_merge, norm_products_finish)
EACH_KERNEL(norm_back, struct norm_back, norm_back_at)
