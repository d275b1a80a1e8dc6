/* move: each thread fills one element of the result; where several elements come together it adds them
 * up in the order in which they lie. */
#include "cuda/move.h"

CUDA_FN void move_element(const void *from, int from_type, int64_t from_at, void *to, int to_type,
                          int64_t to_at)
{
    if (element_is_whole(to_type))
        element_store_whole(to, to_type, to_at, element_load_whole(from, from_type, from_at));
    else
        element_store(to, to_type, to_at, element_load(from, from_type, from_at));
}

CUDA_FN void move_number(void *to, int to_type, int64_t to_at, float number)
{
    if (element_is_whole(to_type))
        element_store_whole(to, to_type, to_at, (int64_t)number);
    else
        element_store(to, to_type, to_at, number);
}

/* ---- frames ---- */

/* The element of the inner array that its position `at` shows; -1: none. */
CUDA_FN int32_t frame_source(int mode, int32_t at, int32_t inner)
{
    if (at >= 0 && at < inner)
        return at;
    switch (mode) {
    case FRAME_CONSTANT:
        return -1;
    case FRAME_REFLECT:
        return at < 0 ? -at : 2 * (inner - 1) - at;
    case FRAME_EDGE:
        return at < 0 ? 0 : inner - 1;
    default:
        return (at % inner + inner) % inner;
    }
}

CUDA_FN void frame_put_at(const struct frame *args, int64_t i)
{
    int64_t from = 0, to = 0;
    uint32_t rest = (uint32_t)i;
    bool inside = true;
    for (int d = args->rank - 1; d >= 0; d--) {
        const struct frame_axis *axis = &args->axes[d];
        uint32_t quotient = d > 0 ? rest / (uint32_t)axis->outer : 0;
        int32_t index = (int32_t)(rest - quotient * (uint32_t)axis->outer);
        int32_t at = index - axis->begin;
        rest = quotient;
        to += index * axis->outer_step;
        if (axis->stride > 1) {
            inside = inside && at % axis->stride == 0;
            at /= axis->stride;
        }
        at = frame_source(args->mode, at, axis->inner);
        inside = inside && at >= 0;
        from += at * axis->inner_step;
    }
    if (inside)
        move_element(args->inner, args->inner_type, from, args->outer, args->outer_type, to);
    else if (args->filler)
        move_element(args->filler, args->inner_type, 0, args->outer, args->outer_type, to);
    else
        move_number(args->outer, args->outer_type, to, args->number);
}

EACH_KERNEL(frame_put, struct frame, frame_put_at)

/* ---- indices ---- */

/* The position that the n-th index names; negative: none. */
CUDA_FN int64_t gather_index(const struct view *indices, int64_t n, int32_t length)
{
    int64_t index = element_load_whole(indices->data, indices->type, view_at(indices, n));
    index += index < 0 ? length : 0;
    return index < length ? index : -1;
}

CUDA_FN void gather_take_at(const struct gather *args, int64_t i)
{
    const struct view *from = &args->from, *to = &args->to;
    int64_t index = gather_index(&args->indices, i, args->length);
    if (index >= 0)
        move_element(from->data, from->type, view_at(from, i) + index * args->step, to->data,
                     to->type, view_at(to, i));
    else
        move_number(to->data, to->type, view_at(to, i), 0);
}

CUDA_FN void gather_link_at(const struct gather_lists *args, int64_t i)
{
    bool is_index = i >= args->length;
    int32_t k = is_index ? (int32_t)(i - args->length) : 0;
    int64_t position = is_index ? gather_index(&args->indices, k, args->length) : i;
    for (k += is_index; k < args->count; k++)
        if (gather_index(&args->indices, k, args->length) == position)
            break;
    *(is_index ? &args->next[i - args->length] : &args->first[i]) = k < args->count ? k : -1;
}

CUDA_FN void gather_add_at(const struct gather_back *args, int64_t i)
{
    int64_t from = view_at(&args->from, i);
    float sum = 0;
    for (int32_t k = args->first[view_at(&args->position, i)]; k >= 0; k = args->next[k])
        sum += element_load(args->from.data, args->from.type, from + view_at(&args->spread, k));
    view_store(&args->to, i, sum);
}

EACH_KERNEL(gather_take, struct gather, gather_take_at)
EACH_KERNEL(gather_link, struct gather_lists, gather_link_at)
EACH_KERNEL(gather_add, struct gather_back, gather_add_at)
