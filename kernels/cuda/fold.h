/* fold: rows of elements that come down to one sum each (or one pair, or whatever a kernel gathers). An
 * array's dimensions are divided into those that are kept, whose elements count the rows, and those that
 * are folded, whose elements count what is in a row; several arrays may be gone over together.
 *
 * How rows lie decides how they are summed up. Where a row lies in one stretch, its lanes take neighbours
 * of it. Where the rows lie side by side and a row's elements apart (channels of a channels-last picture,
 * summed over its pixels), a lane takes a row, and the neighbouring lane the neighbouring row. And where
 * there are few rows, each is cut into parts, so that the whole device has something to do; a second
 * kernel merges what they gave, always in the same order. */
#ifndef RUNESPOOR_CUDA_FOLD_H
#define RUNESPOOR_CUDA_FOLD_H

#include "cuda/view.h"
#include <assert.h>

#define FOLD_SUM_BYTES 24 /* at most, of what is kept for each part */

struct fold {
    int64_t rows, length; /* elements of a row */
    int64_t parts;  /* of a row. More than one: a power of two, and no less than lanes merge them */
    int32_t across; /* rows lie side by side */
    void *partial;  /* room for a sum for each part of each row; NULL with one part */
};

/* An array of the fold, or a result of it, whose folded dimensions have steps of 0. */
struct fold_array {
    struct view kept; /* with the data */
    struct view folded;
};

/* A lane's way through a part of a row: elements first, first + step, … below the fold's length. */
struct fold_walk {
    int64_t row, first, step;
};

CUDA_FN struct fold_walk fold_begin(const struct fold *fold, int64_t piece, int lane, int lanes)
{
    struct fold_walk walk = { piece, lane, lanes };
    if (fold->parts > 1) {
        int64_t part = fold->across ? piece / fold->rows : piece % fold->parts;
        walk.row = fold->across ? piece % fold->rows : piece / fold->parts;
        walk.first += part * lanes;
        walk.step *= fold->parts;
    }
    return walk;
}

/* Which piece a part of a row is; its sum lies there in `partial`. */
CUDA_FN int64_t fold_piece(const struct fold *fold, int64_t row, int64_t part)
{
    return fold->across ? part * fold->rows + row : row * fold->parts + part;
}

/* Where a row begins in an array. Its i-th element lies behind that, as fold_load and fold_store find it;
 * in all arrays of a fold i is the same element. */
CUDA_FN int64_t fold_start(const struct fold_array *array, int64_t row)
{
    return view_at(&array->kept, row);
}

CUDA_FN float fold_load(const struct fold_array *array, int64_t start, int64_t i)
{
    return element_load(array->kept.data, array->kept.type, start + view_at(&array->folded, i));
}

CUDA_FN void fold_store(const struct fold_array *array, int64_t start, int64_t i, float number)
{
    element_store(array->kept.data, array->kept.type, start + view_at(&array->folded, i), number);
}

/* What to tell a ROWS_KERNEL about the length of rows, which chooses lanes by it. */
static inline int64_t fold_lanes_length(const struct fold *fold)
{
    return fold->across ? 1 : fold->length / fold->parts;
}

/* FOLD_KERNEL(moments, struct moments, struct moments_sum, moments_lane, moments_merge, moments_finish)
 *
 * makes `void moments(const struct moments *args, void *stream)` of an args struct that has a `struct
 * fold fold`. The functions are as in ROWS_KERNEL, but for lane_fn being given a piece, which it hands
 * to fold_begin. */
#define FOLD_KERNEL(name, args_type, sum_type, lane_fn, merge_fn, finish_fn)                        \
    static_assert(sizeof(sum_type) <= FOLD_SUM_BYTES, "partial sums have no more room");            \
    CUDA_FN void name##_end_piece(const args_type *args, int64_t piece, int lane, int lanes,        \
                                  const sum_type *sum)                                              \
    {                                                                                               \
        if (args->fold.parts == 1)                                                                  \
            finish_fn(args, piece, lane, lanes, sum);                                               \
        else if (lane == 0)                                                                         \
            ((sum_type *)args->fold.partial)[piece] = *sum;                                         \
    }                                                                                               \
    CUDA_FN void name##_parts_lane(const args_type *args, int64_t row, int lane, int lanes,         \
                                   sum_type *sum)                                                   \
    {                                                                                               \
        const sum_type *partial = (const sum_type *)args->fold.partial;                             \
        *sum = partial[fold_piece(&args->fold, row, lane)];                                         \
        for (int64_t part = lane + lanes; part < args->fold.parts; part += lanes)                   \
            merge_fn(sum, &partial[fold_piece(&args->fold, row, part)]);                            \
    }                                                                                               \
    LAUNCHER void name##_pieces(const args_type *args, int64_t rows, int64_t length, void *stream); \
    LAUNCHER void name##_parts(const args_type *args, int64_t rows, int64_t length, void *stream);  \
    ROWS_KERNEL(name##_pieces, args_type, sum_type, lane_fn, merge_fn, name##_end_piece)            \
    ROWS_KERNEL(name##_parts, args_type, sum_type, name##_parts_lane, merge_fn, finish_fn)          \
    LAUNCHER void name(const args_type *args, void *stream)                                         \
    {                                                                                               \
        const struct fold *fold = &args->fold;                                                      \
        name##_pieces(args, fold->rows * fold->parts, fold_lanes_length(fold), stream);             \
        if (fold->parts > 1)                                                                        \
            name##_parts(args, fold->rows, fold->parts, stream);                                    \
    }

#ifndef __cplusplus
#include "cuda/build.h"

/* Divides arrays of the same dimensions, whose views stand in `kept` whole, into kept and folded
 * dimensions: folded[d] of the d-th. The first array decides on the order. In one part. */
void fold_split(struct fold *fold, const bool *folded, struct fold_array *const *arrays, int count);
/* Cuts rows into parts if there are few; gives the bytes that fold->partial needs, 0 with one part. */
uint64_t fold_choose_parts(struct fold *fold);
/* The same, and gives the parts' scratch (*place is NULL with one part), whose data is to be
 * fold->partial. */
int fold_cut(struct cuda_build *build, struct fold *fold, struct cuda_place **place,
             struct error *err);

/* A packed row-major result with an element for each row of an array of that shape: steps of 0 where it
 * is folded. */
struct view fold_result(const struct cuda_place *place, const struct shape *shape,
                        const bool *folded);
#endif

#endif
