/* layout: arithmetic on strides. Strides of dimensions of one element say nothing; every comparison
 * leaves them out. */
#include "tensor/layout.h"
#include <assert.h>

static struct layout packed(enum tensor_type type, const struct shape *shape, const int *order);
static int64_t count_steps(const struct layout *layout, int d);
static void memory_order(const struct layout *layout, int order[SHAPE_RANK_MAX]);

struct layout layout_dense(enum tensor_type type, const struct shape *shape)
{
    int order[SHAPE_RANK_MAX] = { 0 };
    for (int d = 0; d < shape->rank; d++)
        order[d] = d;
    return packed(type, shape, order);
}

struct layout layout_innermost(enum tensor_type type, const struct shape *shape, int axis)
{
    int order[SHAPE_RANK_MAX] = { 0 }, count = 0;
    for (int d = 0; d < shape->rank; d++)
        if (d != axis)
            order[count++] = d;
    order[count] = axis;
    return packed(type, shape, order);
}

struct layout layout_channels_last(enum tensor_type type, const struct shape *shape)
{
    return shape->rank < 3 ? layout_dense(type, shape) : layout_innermost(type, shape, 1);
}

struct layout layout_blocked(enum tensor_type type, const struct shape *shape)
{
    assert(layout_can_block(shape));
    struct shape blocks = *shape;
    blocks.dim[1] /= LAYOUT_BLOCK;
    struct layout layout = layout_dense(type, &blocks);
    for (int d = 0; d < shape->rank; d++)
        layout.stride[d] *= LAYOUT_BLOCK;
    layout.shape = *shape;
    layout.blocked = true;
    return layout;
}

bool layout_can_block(const struct shape *shape)
{
    return shape->rank == 4 && shape_elements(shape) > 0 && shape->dim[1] % LAYOUT_BLOCK == 0;
}

struct layout layout_channels_like(enum tensor_type type, const struct shape *shape,
                                   const struct layout *like)
{
    return like->blocked && layout_can_block(shape) ? layout_blocked(type, shape)
                                                    : layout_channels_last(type, shape);
}

struct layout layout_packed_like(enum tensor_type type, const struct shape *shape,
                                 const struct layout *like)
{
    assert(shape->rank == like->shape.rank);
    if (like->blocked)
        return layout_channels_like(type, shape, like);
    int order[SHAPE_RANK_MAX] = { 0 };
    memory_order(like, order);
    struct layout layout = packed(type, shape, order);
    return layout_canonical(&layout);
}

struct layout layout_canonical(const struct layout *layout)
{
    if (layout->blocked)
        return *layout;
    struct layout dense = layout_dense(layout->type, &layout->shape);
    struct layout last = layout_channels_last(layout->type, &layout->shape);
    return layout_equal(layout, &dense) ? dense : layout_equal(layout, &last) ? last : *layout;
}

/* One block, or many that lie behind each other as the channels in them do. */
bool layout_unblock(const struct layout *layout, struct layout *out)
{
    assert(layout->blocked);
    if (layout->shape.dim[1] > LAYOUT_BLOCK && layout->stride[1] != LAYOUT_BLOCK)
        return false;
    *out = *layout;
    out->blocked = false;
    out->stride[1] = 1;
    *out = layout_canonical(out);
    return true;
}

bool layout_equal(const struct layout *a, const struct layout *b)
{
    if (a->type != b->type || !shape_equal(&a->shape, &b->shape))
        return false;
    if (a->blocked != b->blocked) {
        struct layout plain;
        return layout_unblock(a->blocked ? a : b, &plain) && layout_equal(&plain, a->blocked ? b : a);
    }
    for (int d = 0; d < a->shape.rank; d++)
        if (count_steps(a, d) > 1 && a->stride[d] != b->stride[d])
            return false;
    return true;
}

bool layout_is_dense(const struct layout *layout)
{
    struct layout dense = layout_dense(layout->type, &layout->shape);
    return layout_equal(layout, &dense);
}

bool layout_is_packed(const struct layout *layout)
{
    struct layout same = layout_packed_like(layout->type, &layout->shape, layout);
    return layout_equal(layout, &same);
}

bool layout_is_usual(const struct layout *layout)
{
    struct layout last = layout_channels_last(layout->type, &layout->shape);
    return layout_is_dense(layout) || layout_equal(layout, &last) ||
           (layout->blocked && layout_is_packed(layout));
}

int64_t layout_offset(const struct layout *layout, int axis, int64_t index)
{
    if (!layout->blocked || axis != 1)
        return index * layout->stride[axis];
    assert(index % LAYOUT_BLOCK == 0);
    return index / LAYOUT_BLOCK * layout->stride[axis];
}

int64_t layout_span(const struct layout *layout)
{
    int64_t last = layout->blocked ? LAYOUT_BLOCK - 1 : 0;
    for (int d = 0; d < layout->shape.rank; d++) {
        if (layout->shape.dim[d] == 0)
            return 0;
        last += (count_steps(layout, d) - 1) * layout->stride[d];
    }
    return last + 1;
}

uint64_t layout_bytes(const struct layout *layout)
{
    return (uint64_t)layout_span(layout) * tensor_type_bytes(layout->type);
}

/* Both shapes are cut into the smallest groups of dimensions with the same number of elements; in
 * such a group the old dimensions must lie one after the other, the new ones then divide them. */
bool layout_reshape(const struct layout *layout, const struct shape *shape, struct layout *out)
{
    assert(!layout->blocked);
    /* Dimensions of one do not matter and are left out. */
    int64_t dim[SHAPE_RANK_MAX] = { 0 }, stride[SHAPE_RANK_MAX] = { 0 };
    int count = 0;
    for (int d = 0; d < layout->shape.rank; d++)
        if (layout->shape.dim[d] != 1) {
            dim[count] = layout->shape.dim[d];
            stride[count++] = layout->stride[d];
        }
    *out = layout_dense(layout->type, shape);
    if (shape_elements(shape) == 0)
        return true;
    int from = 0, to = 0;
    while (from < count && to < shape->rank) {
        int from_end = from + 1, to_end = to + 1;
        int64_t old_size = dim[from], new_size = shape->dim[to];
        while (old_size != new_size) {
            if (old_size < new_size)
                old_size *= dim[from_end++];
            else
                new_size *= shape->dim[to_end++];
        }
        for (int d = from; d + 1 < from_end; d++)
            if (stride[d] != stride[d + 1] * dim[d + 1])
                return false;
        int64_t step = stride[from_end - 1];
        for (int d = to_end - 1; d >= to; d--) {
            out->stride[d] = step;
            step *= shape->dim[d];
        }
        from = from_end;
        to = to_end;
    }
    return true;
}

/* order: dimensions from the slowest to the fastest. */
static struct layout packed(enum tensor_type type, const struct shape *shape, const int *order)
{
    struct layout layout = { .type = type, .shape = *shape };
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        layout.stride[order[i]] = stride;
        stride *= shape->dim[order[i]] ? shape->dim[order[i]] : 1;
    }
    return layout;
}

/* How often the stride of a dimension is gone. */
static int64_t count_steps(const struct layout *layout, int d)
{
    return layout->blocked && d == 1 ? layout->shape.dim[d] / LAYOUT_BLOCK : layout->shape.dim[d];
}

/* By falling stride; dimensions of one element, whose stride says nothing, stay in their place. */
static void memory_order(const struct layout *layout, int order[SHAPE_RANK_MAX])
{
    int wide[SHAPE_RANK_MAX], count = 0;
    for (int d = 0; d < layout->shape.rank; d++) {
        if (layout->shape.dim[d] == 1)
            continue;
        int at = count++;
        while (at > 0 && layout->stride[wide[at - 1]] < layout->stride[d]) {
            wide[at] = wide[at - 1];
            at--;
        }
        wide[at] = d;
    }
    int next = 0;
    for (int d = 0; d < layout->shape.rank; d++)
        order[d] = layout->shape.dim[d] == 1 ? d : wide[next++];
}
