/* pool: a thread, or for large windows several, for each window; backwards a thread for each element,
 * which asks all windows that it is in, so that sums are always in the same order. */
#include "cuda/pool.h"

struct pool_position {
    int32_t at[POOL_RANK];
};

CUDA_FN struct pool_position pool_position_of(const struct view *view, bool channels_last, int64_t i)
{
    struct pool_position position;
    const int32_t *dim = view->dim;
    int32_t *at = position.at;
    uint32_t rest = (uint32_t)i;
    if (channels_last) {
        at[POOL_CHANNELS] = (int32_t)(rest % (uint32_t)dim[POOL_CHANNELS]);
        rest /= (uint32_t)dim[POOL_CHANNELS];
    }
    at[POOL_COLUMNS] = (int32_t)(rest % (uint32_t)dim[POOL_COLUMNS]);
    rest /= (uint32_t)dim[POOL_COLUMNS];
    at[POOL_ROWS] = (int32_t)(rest % (uint32_t)dim[POOL_ROWS]);
    rest /= (uint32_t)dim[POOL_ROWS];
    if (!channels_last) {
        at[POOL_CHANNELS] = (int32_t)(rest % (uint32_t)dim[POOL_CHANNELS]);
        rest /= (uint32_t)dim[POOL_CHANNELS];
    }
    at[POOL_BATCH] = (int32_t)rest;
    return position;
}

CUDA_FN int64_t pool_offset(const struct view *view, const struct pool_position *position)
{
    int64_t offset = 0;
    for (int d = 0; d < POOL_RANK; d++)
        offset += position->at[d] * view->step[d];
    return offset;
}

/* ---- the largest of a window ---- */

struct pool_best {
    float number;
    int32_t place; /* -1: none yet */
};

/* True when `other` goes before `best`: as if all were looked at in the order of their places. */
CUDA_FN bool pool_is_better(const struct pool_best *other, const struct pool_best *best)
{
    bool other_is_nan = other->number != other->number, best_is_nan = best->number != best->number;
    if (other->place < 0 || best->place < 0)
        return best->place < 0;
    if (other_is_nan || best_is_nan)
        return other_is_nan && (!best_is_nan || other->place > best->place);
    return other->number > best->number ||
           (other->number == best->number && other->place < best->place);
}

CUDA_FN void pool_merge(struct pool_best *best, const struct pool_best *other)
{
    if (pool_is_better(other, best))
        *best = *other;
}

/* Position of the first tap, and those that lie on the input: first, … end - 1. */
struct pool_reach {
    int32_t start, first, end;
};

CUDA_FN struct pool_reach pool_reach_at(const struct pool *args, int d, int32_t position)
{
    int32_t dilation = args->dilation[d], in = args->in.dim[POOL_ROWS + d];
    struct pool_reach reach;
    reach.start = position * args->stride[d] - args->pad[d];
    reach.first = reach.start < 0 ? (-reach.start + dilation - 1) / dilation : 0;
    reach.end = reach.start < in ? (in - reach.start + dilation - 1) / dilation : 0;
    if (reach.end > args->kernel[d])
        reach.end = args->kernel[d];
    return reach;
}

CUDA_FN void pool_lane(const struct pool *args, int64_t row, int lane, int lanes,
                       struct pool_best *best)
{
    struct pool_position position = pool_position_of(&args->out, args->channels_last, row);
    struct pool_reach down = pool_reach_at(args, 0, position.at[POOL_ROWS]);
    struct pool_reach across = pool_reach_at(args, 1, position.at[POOL_COLUMNS]);
    int32_t width = across.end - across.first;
    position.at[POOL_ROWS] = position.at[POOL_COLUMNS] = 0;
    int64_t plane = pool_offset(&args->in, &position);
    best->number = -INFINITY;
    best->place = -1;
    if (width <= 0)
        return;
    int32_t ky = down.first + lane / width, kx = across.first + lane % width;
    while (ky < down.end) {
        int32_t y = down.start + ky * args->dilation[0], x = across.start + kx * args->dilation[1];
        struct pool_best here;
        here.number =
            element_load(args->in.data, args->in.type,
                         plane + y * args->in.step[POOL_ROWS] + x * args->in.step[POOL_COLUMNS]);
        here.place = y * args->in.dim[POOL_COLUMNS] + x;
        pool_merge(best, &here);
        kx += lanes % width;
        ky += lanes / width;
        if (kx >= across.end) {
            kx -= width;
            ky++;
        }
    }
}

CUDA_FN void pool_finish_number(const struct pool *args, int64_t row, int lane, int lanes,
                                const struct pool_best *best)
{
    (void)lanes;
    if (lane > 0)
        return;
    struct pool_position position = pool_position_of(&args->out, args->channels_last, row);
    element_store(args->out.data, args->out.type, pool_offset(&args->out, &position), best->number);
}

CUDA_FN void pool_finish_place(const struct pool *args, int64_t row, int lane, int lanes,
                               const struct pool_best *best)
{
    (void)lanes;
    if (lane == 0)
        args->places[row] = best->place;
}

/* ---- and back ---- */

/* The windows along rows or columns that `at` can be in: first, … last. */
struct pool_windows {
    int32_t first, last;
};

CUDA_FN struct pool_windows pool_windows_of(const struct pool *args, int d, int32_t at)
{
    struct pool_windows windows;
    int32_t from = at + args->pad[d], stride = args->stride[d];
    int32_t most = args->out.dim[POOL_ROWS + d] - 1;
    int32_t before = from - (args->kernel[d] - 1) * args->dilation[d];
    windows.first = before > 0 ? (before + stride - 1) / stride : 0;
    windows.last = from / stride < most ? from / stride : most;
    return windows;
}

CUDA_FN int64_t pool_count_to(const struct pool *args, const struct pool_position *position)
{
    const int32_t *dim = args->out.dim, *at = position->at;
    int64_t plane = args->channels_last
                        ? at[POOL_BATCH]
                        : (int64_t)at[POOL_BATCH] * dim[POOL_CHANNELS] + at[POOL_CHANNELS];
    int64_t pixel = (plane * dim[POOL_ROWS] + at[POOL_ROWS]) * dim[POOL_COLUMNS] + at[POOL_COLUMNS];
    return args->channels_last ? pixel * dim[POOL_CHANNELS] + at[POOL_CHANNELS] : pixel;
}

CUDA_FN void pool_give_back_at(const struct pool *args, int64_t i)
{
    struct pool_position in = pool_position_of(&args->in, args->channels_last, i), out = in;
    struct pool_windows down = pool_windows_of(args, 0, in.at[POOL_ROWS]);
    struct pool_windows across = pool_windows_of(args, 1, in.at[POOL_COLUMNS]);
    int32_t place = in.at[POOL_ROWS] * args->in.dim[POOL_COLUMNS] + in.at[POOL_COLUMNS];
    float sum = 0;
    for (int32_t y = down.first; y <= down.last; y++)
        for (int32_t x = across.first; x <= across.last; x++) {
            out.at[POOL_ROWS] = y;
            out.at[POOL_COLUMNS] = x;
            if (args->places[pool_count_to(args, &out)] == place)
                sum += element_load(args->out.data, args->out.type, pool_offset(&args->out, &out));
        }
    element_store(args->in.data, args->in.type, pool_offset(&args->in, &in), sum);
}

ROWS_KERNEL(pool_largest, struct pool, struct pool_best, pool_lane, pool_merge, pool_finish_number)
ROWS_KERNEL(pool_find, struct pool, struct pool_best, pool_lane, pool_merge, pool_finish_place)
EACH_KERNEL(pool_give_back, struct pool, pool_give_back_at)
