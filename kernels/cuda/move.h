/* move: elements put elsewhere by more than strides: with something around them, over and over, or where
 * a list of indices says. Whole numbers go as they are, floats as numbers, so types may differ. */
#ifndef RUNESPOOR_CUDA_MOVE_H
#define RUNESPOOR_CUDA_MOVE_H

#include "cuda/view.h"

/* As enum pad_mode (ops/resolve.h) has them. */
enum frame_mode { FRAME_CONSTANT, FRAME_REFLECT, FRAME_EDGE, FRAME_WRAP };

/* One dimension of a smaller array inside a larger one, the frame, or, with a negative begin, reaching
 * out of it: element i of the inner one is at begin + i * stride. */
struct frame_axis {
    int32_t inner, outer; /* elements */
    int32_t begin;
    int32_t stride; /* above 0; what lies between two elements is outside. 1 but for FRAME_CONSTANT */
    int64_t inner_step, outer_step; /* in memory, elements */
};

struct frame {
    void *inner, *outer;
    int32_t inner_type, outer_type; /* enum tensor_type */
    const void *filler;             /* an element of inner_type; NULL: 0 or number */
    float number;
    int32_t mode; /* enum frame_mode */
    int32_t rank;
    struct frame_axis axes[SHAPE_RANK_MAX];
};

/* outer from inner, and what mode says where inner is not (pad_source in ops/slice.c). count: elements of
 * outer. Floats, or whole numbers of one type. */
LAUNCHER void frame_put(const struct frame *args, int64_t count, void *stream);
/* All views have the dimensions of the result. */
struct gather {
    struct view to;
    struct view from;    /* steps of 0 where the indices' dimensions are */
    struct view indices; /* steps of 0 where they are not */
    int64_t step;        /* of from along the axis */
    int32_t length;      /* of the axis; an index counts from its end if negative */
};

/* An index outside of the axis gives 0. count: elements of to. */
LAUNCHER void gather_take(const struct gather *args, int64_t count, void *stream);

/* For each position of the axis the first index that names it, for each index the next one that names
 * the same: lists that are gone through in the order of the indices. */
struct gather_lists {
    struct view indices;
    int32_t *first, *next; /* length and count many; -1: none */
    int32_t length, count;
};

/* count: length + count of args. */
LAUNCHER void gather_link(const struct gather_lists *args, int64_t count, void *stream);

/* The gradient of Gather. All views but spread have the dimensions of dx. */
struct gather_back {
    struct view to;       /* dx */
    struct view from;     /* dy, with a step of 0 for the axis */
    struct view position; /* along the axis: a step of 1 there, 0 elsewhere; no data */
    struct view spread;   /* the indices' dimensions, with dy's steps; no data */
    const int32_t *first, *next;
};

/* dx as the sum of what was taken from each of its elements. count: elements of dx. */
LAUNCHER void gather_add(const struct gather_back *args, int64_t count, void *stream);

#ifndef __cplusplus
#include "cuda/makers.h"

/* Without gaps, in the order of `like` if it has as many dimensions, row-major otherwise. */
struct layout move_layout_like(const struct shape *shape, const struct layout *like);
/* For kernels that know no doubles: their bits pass as whole numbers. */
int32_t move_type(int32_t type);
struct view move_view(const struct cuda_place *place);

/* pad_steps.c */
cuda_maker move_make_pad, move_make_pad_grad, move_make_slice_grad, move_make_tile;
/* gather_steps.c */
cuda_maker move_make_gather, move_make_gather_grad;
#endif

#endif
