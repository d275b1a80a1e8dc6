/* softmax: rows by lanes, or short ones by tiles. */
#include "cuda/softmax.h"
#include "cuda/softmax_sum.h"
#include "cuda/row_tile.h"

CUDA_FN float softmax_value(int way, float x, const struct softmax_sum *sum)
{
    return way == SOFTMAX ? expf(x - sum->largest) / sum->sum : x - sum->largest - logf(sum->sum);
}

CUDA_FN float softmax_term(int way, float dy, float y)
{
    return way == SOFTMAX_BACK ? dy * y : dy;
}

CUDA_FN float softmax_slope(int way, float dy, float y, float sum)
{
    return way == SOFTMAX_BACK ? y * (dy - sum) : dy - expf(y) * sum;
}

/* ---- rows ---- */

CUDA_FN void softmax_forward_lane(const struct softmax *args, int64_t row, int lane, int lanes,
                                  struct softmax_sum *sum)
{
    *sum = softmax_sum_lane(&args->fold, &args->from, row, lane, lanes);
}

CUDA_FN void softmax_forward_finish(const struct softmax *args, int64_t row, int lane, int lanes,
                                    const struct softmax_sum *sum)
{
    int64_t from = fold_start(&args->from, row), to = fold_start(&args->to, row);
    for (int64_t i = lane; i < args->fold.length; i += lanes)
        fold_store(&args->to, to, i, softmax_value(args->way, fold_load(&args->from, from, i), sum));
}

struct softmax_back_sum {
    float sum;
};

CUDA_FN void softmax_back_lane(const struct softmax *args, int64_t row, int lane, int lanes,
                               struct softmax_back_sum *sum)
{
    int64_t dy = fold_start(&args->from, row), y = fold_start(&args->y, row);
    sum->sum = 0;
    for (int64_t i = lane; i < args->fold.length; i += lanes)
        sum->sum += softmax_term(args->way, fold_load(&args->from, dy, i), fold_load(&args->y, y, i));
}

CUDA_FN void softmax_back_merge(struct softmax_back_sum *sum, const struct softmax_back_sum *other)
{
    sum->sum += other->sum;
}

CUDA_FN void softmax_back_finish(const struct softmax *args, int64_t row, int lane, int lanes,
                                 const struct softmax_back_sum *sum)
{
    int64_t dy = fold_start(&args->from, row), y = fold_start(&args->y, row);
    int64_t dx = fold_start(&args->to, row);
    for (int64_t i = lane; i < args->fold.length; i += lanes)
        fold_store(&args->to, dx, i,
                   softmax_slope(args->way, fold_load(&args->from, dy, i),
                                 fold_load(&args->y, y, i), sum->sum));
}

/* ---- tiles ---- */

struct softmax_none {
    int none;
};

CUDA_FN int softmax_stages(const struct softmax *args)
{
    (void)args;
    return ROW_TILE_STAGES;
}

CUDA_FN void softmax_tile_forward(int way, float *row, int length)
{
    struct softmax_sum sum = softmax_sum_of(row, length);
    for (int i = 0; i < length; i++)
        row[i] = softmax_value(way, row[i], &sum);
}

CUDA_FN void softmax_tile_back(int way, float *row, const float *y, int length)
{
    float sum = 0;
    for (int i = 0; i < length; i++)
        sum += softmax_term(way, row[i], y[i]);
    for (int i = 0; i < length; i++)
        row[i] = softmax_slope(way, row[i], y[i], sum);
}

CUDA_FN void softmax_stage(const struct softmax *args, int64_t block, int thread, int stage,
                           struct row_tile *tile, struct softmax_none *own)
{
    bool back = args->way == SOFTMAX_BACK || args->way == SOFTMAX_LOG_BACK;
    int length = (int)args->fold.length, step = ROW_TILE_STEP(length);
    float *first = tile->numbers, *second = first + args->tile_rows * step;
    (void)own;
    if (stage == 0) {
        row_tile_load(first, &args->from, &args->fold, block, args->tile_rows, thread);
        if (back)
            row_tile_load(second, &args->y, &args->fold, block, args->tile_rows, thread);
    } else if (stage == 1 && thread < row_tile_rows_in(&args->fold, block, args->tile_rows)) {
        if (back)
            softmax_tile_back(args->way, first + thread * step, second + thread * step, length);
        else
            softmax_tile_forward(args->way, first + thread * step, length);
    } else if (stage == 2) {
        row_tile_store(first, &args->to, &args->fold, block, args->tile_rows, thread);
    }
}

ROWS_KERNEL(softmax_forward, struct softmax, struct softmax_sum, softmax_forward_lane,
            softmax_sum_merge, softmax_forward_finish)
ROWS_KERNEL(softmax_back, struct softmax, struct softmax_back_sum, softmax_back_lane,
            softmax_back_merge, softmax_back_finish)
STAGED_KERNEL(softmax_tiles, struct softmax, struct row_tile, struct softmax_none, softmax_stages,
              softmax_stage)
