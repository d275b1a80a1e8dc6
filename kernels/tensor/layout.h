/* layout: how an array lies in memory: type, dimensions and a stride for each. Nearly all are plain
 * strided arrays, row-major or channels-last: a transpose, a slice or a reshape is mostly just other
 * strides then. The exception is the blocked form (oneDNN's nChw16c), the only one in which oneDNN
 * computes convolutions by Winograd's method (cpu/choose.h): 16 channels lie side by side, and what
 * dimension 1 counts is such blocks. It exists for images of four dimensions whose channels fill
 * their blocks, so there is never padding in it. */
#ifndef RUNESPOOR_TENSOR_LAYOUT_H
#define RUNESPOOR_TENSOR_LAYOUT_H

#include "tensor/tensor.h"

#define LAYOUT_BLOCK 16

struct layout {
    enum tensor_type type; /* as stored: a f32 value may be stored as bf16 */
    struct shape shape;
    int64_t stride[SHAPE_RANK_MAX]; /* in elements */
    bool blocked;                   /* stride[1] is from block to block, 1 within */
};

/* Row-major. */
struct layout layout_dense(enum tensor_type type, const struct shape *shape);
/* Row-major but for one dimension, which is the fastest. */
struct layout layout_innermost(enum tensor_type type, const struct shape *shape, int axis);
/* Dimension 1 is the fastest; row-major where there are no more than two. */
struct layout layout_channels_last(enum tensor_type type, const struct shape *shape);
/* Channels in blocks, without gaps; only where layout_can_block. */
struct layout layout_blocked(enum tensor_type type, const struct shape *shape);
bool layout_can_block(const struct shape *shape);
/* Blocked if `like` is and the shape can be, channels-last otherwise: for images. */
struct layout layout_channels_like(enum tensor_type type, const struct shape *shape,
                                   const struct layout *like);
/* Without gaps, dimensions in memory in the same order as in `like` (of the same rank); as
 * layout_channels_like if that is blocked. */
struct layout layout_packed_like(enum tensor_type type, const struct shape *shape,
                                 const struct layout *like);

/* The same layout; where strides of dimensions of one element leave it open, as if made by
 * layout_dense or layout_channels_last. oneDNN 2.6.3 goes wrong in broadcasting otherwise. A blocked
 * one stays as it is. */
struct layout layout_canonical(const struct layout *layout);

/* Blocked as a plain one where that is the same: a single block is channels-last. False, and *out
 * unchanged, where it is not. */
bool layout_unblock(const struct layout *layout, struct layout *out);

/* Same type, shape and place of every element. */
bool layout_equal(const struct layout *a, const struct layout *b);
/* The same elements as a row-major array. */
bool layout_is_dense(const struct layout *layout);
/* Neither gaps nor overlaps, in whatever order. */
bool layout_is_packed(const struct layout *layout);
/* Row-major, channels-last or blocked, without gaps. */
bool layout_is_usual(const struct layout *layout);
/* Elements from the first to the one with this index in this dimension; whole blocks of a blocked one. */
int64_t layout_offset(const struct layout *layout, int axis, int64_t index);
/* Elements from the first to the last, gaps included. */
int64_t layout_span(const struct layout *layout);
uint64_t layout_bytes(const struct layout *layout);

/* The same memory, of a plain layout, seen with another shape; false when that takes other strides than
 * a layout can have, that is, when a copy is needed. */
bool layout_reshape(const struct layout *layout, const struct shape *shape, struct layout *out);

#endif
