/* taps: arrays in which every element is a weighted sum of elements of another, along some dimensions:
 * resizing, averages over windows, and the gradients of both. Each dimension has a table of who is made
 * of whom; a gradient's is the same read the other way, so that each element of the result is one
 * thread's, and sums are in the same order in every run. */
#ifndef RUNESPOOR_CUDA_TAPS_H
#define RUNESPOOR_CUDA_TAPS_H

#include "cuda/view.h"

#define TAPS_AXES_MAX 2 /* dimensions that a kernel sums along at once */

struct tap {
    int32_t from; /* position in the array that is read */
    float weight;
};

struct taps_axis {
    const int32_t *first;   /* of each position of the result, its first tap; one more at the end */
    const struct tap *list; /* position by position */
    int64_t step;           /* of the array that is read, in elements */
};

/* Steps of what is written; of what is read, 0 where it is summed along; and of the position in the table
 * of each axis, 1 in its own dimension and 0 in all others. */
enum { TAPS_TO, TAPS_FROM, TAPS_POSITIONS, TAPS_STEPS = TAPS_POSITIONS + TAPS_AXES_MAX };

struct taps {
    const void *from;
    void *to;
    int32_t from_type, to_type;
    int32_t rank, dim[SHAPE_RANK_MAX]; /* of the result */
    int64_t step[SHAPE_RANK_MAX][TAPS_STEPS];
    int32_t axis_count; /* 0: a copy */
    struct taps_axis axes[TAPS_AXES_MAX];
};

/* count: elements of the result. */
LAUNCHER void taps_each(const struct taps *args, int64_t count, void *stream);

#ifndef __cplusplus
#include "cuda/build.h"

struct cuda_tap {
    int32_t to, from;
    float weight;
};

/* One dimension. list NULL: it stays as it is. */
struct cuda_taps {
    int32_t to_count, from_count; /* positions of the result and of what is read */
    struct cuda_tap *list;        /* in any order; equal ones add up */
    int64_t count, room;
};

/* most: as many taps as will be added, at most. */
int cuda_taps_start(struct cuda_taps *axis, int64_t to_count, int64_t from_count, int64_t most,
                    struct error *err);
void cuda_taps_add(struct cuda_taps *axis, int64_t to, int64_t from, double weight);

void cuda_taps_free(struct cuda_taps axes[SHAPE_RANK_MAX]);

/* Adds the steps that make value `to` of value `from`, one of `axes` for each of their dimensions. Where
 * both ways of a picture have many taps it is summed along one and then the other, with floats in
 * between. The result lies as what it is made of does, and is stored in the same type unless it leaves
 * (cuda_leaves). */
int cuda_taps_make(struct cuda_build *build, int from, int to,
                   const struct cuda_taps axes[SHAPE_RANK_MAX], struct error *err);
#endif

#endif
