/* each: one switch for each element; all threads take the same way through it. */
#include "cuda/each.h"

CUDA_FN int64_t each_load_whole(const struct view *view, int64_t i)
{
    return element_load_whole(view->data, view->type, view_at(view, i));
}

/* ---- floats ---- */

CUDA_FN float each_fold(int kind, float x, float y)
{
    switch (kind) {
    case EACH_ADD:
        return x + y;
    case EACH_MIN:
        return y < x || isnan(y) ? y : x;
    default:
        return y > x || isnan(y) ? y : x;
    }
}

CUDA_FN float each_clip(const struct each *args, int64_t i, float x)
{
    if (args->from[1].type != TENSOR_NONE) {
        float low = view_load(&args->from[1], i);
        x = x < low ? low : x;
    }
    if (args->from[2].type != TENSOR_NONE) {
        float high = view_load(&args->from[2], i);
        x = x > high ? high : x;
    }
    return x;
}

/* ops/unary_gradient.c */
CUDA_FN float each_clip_grad(const struct each *args, int64_t i, float slope)
{
    float x = view_load(&args->from[1], i);
    bool inside = !isnan(x);
    if (args->from[2].type != TENSOR_NONE)
        inside = inside && x >= view_load(&args->from[2], i);
    if (args->from[3].type != TENSOR_NONE)
        inside = inside && x <= view_load(&args->from[3], i);
    return inside ? slope : 0;
}

/* ops/binary_gradient.c */
CUDA_FN float each_pow_grad_exponent(const struct each *args, int64_t i, float slope)
{
    float x = view_load(&args->from[1], i), y = view_load(&args->from[2], i);
    return x == 0 && y >= 0 ? 0 : slope * powf(x, y) * logf(x);
}

CUDA_FN void each_float_at(const struct each *args, int64_t i)
{
    float x = view_load(&args->from[0], i);
    switch (args->kind) {
    case EACH_FLOOR:
        x = floorf(x);
        break;
    case EACH_CEIL:
        x = ceilf(x);
        break;
    case EACH_ROUND:
        x = rintf(x);
        break;
    case EACH_SIN:
        x = sinf(x);
        break;
    case EACH_COS:
        x = cosf(x);
        break;
    case EACH_CLIP:
        x = each_clip(args, i, x);
        break;
    case EACH_CLIP_GRAD:
        x = each_clip_grad(args, i, x);
        break;
    case EACH_POW_GRAD_EXPONENT:
        x = each_pow_grad_exponent(args, i, x);
        break;
    default:
        for (int k = 1; k < args->count; k++)
            x = each_fold(args->kind, x, view_load(&args->from[k], i));
        break;
    }
    view_store(&args->to, i, x);
}

/* ---- whole numbers ---- */

/* Numbers wrap around; a division by 0 gives 0. */
CUDA_FN int64_t each_fold_whole(int kind, int64_t x, int64_t y)
{
    switch (kind) {
    case EACH_ADD:
        return (int64_t)((uint64_t)x + (uint64_t)y);
    case EACH_SUB:
        return (int64_t)((uint64_t)x - (uint64_t)y);
    case EACH_MUL:
        return (int64_t)((uint64_t)x * (uint64_t)y);
    case EACH_DIV:
        return y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
    case EACH_MIN:
        return y < x ? y : x;
    case EACH_MAX:
        return y > x ? y : x;
    case EACH_AND:
        return x && y;
    default:
        return x || y;
    }
}

CUDA_FN void each_whole_at(const struct each *args, int64_t i)
{
    int64_t x = each_load_whole(&args->from[0], i);
    switch (args->kind) {
    case EACH_NEG:
        x = (int64_t)(0 - (uint64_t)x);
        break;
    case EACH_ABS:
        x = x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
        break;
    case EACH_NOT:
        x = !x;
        break;
    case EACH_CLIP:
        if (args->from[1].type != TENSOR_NONE)
            x = each_fold_whole(EACH_MAX, x, each_load_whole(&args->from[1], i));
        if (args->from[2].type != TENSOR_NONE)
            x = each_fold_whole(EACH_MIN, x, each_load_whole(&args->from[2], i));
        break;
    default:
        for (int k = 1; k < args->count; k++)
            x = each_fold_whole(args->kind, x, each_load_whole(&args->from[k], i));
        break;
    }
    element_store_whole(args->to.data, args->to.type, view_at(&args->to, i), x);
}

/* ---- choices and casts ---- */

#define EACH_COMPARE(kind, x, y)                    \
    ((kind) == EACH_EQUAL              ? (x) == (y) \
     : (kind) == EACH_GREATER          ? (x) > (y)  \
     : (kind) == EACH_LESS             ? (x) < (y)  \
     : (kind) == EACH_GREATER_OR_EQUAL ? (x) >= (y) \
                                       : (x) <= (y))

CUDA_FN void each_compare_at(const struct each *args, int64_t i)
{
    bool holds;
    if (element_is_whole(args->from[0].type)) {
        int64_t x = each_load_whole(&args->from[0], i), y = each_load_whole(&args->from[1], i);
        holds = EACH_COMPARE(args->kind, x, y);
    } else {
        float x = view_load(&args->from[0], i), y = view_load(&args->from[1], i);
        holds = EACH_COMPARE(args->kind, x, y);
    }
    ((uint8_t *)args->to.data)[view_at(&args->to, i)] = holds;
}

CUDA_FN void each_where_at(const struct each *args, int64_t i)
{
    const struct view *from = &args->from[each_load_whole(&args->from[0], i) ? 1 : 2];
    const struct view *to = &args->to;
    if (element_is_whole(to->type))
        element_store_whole(to->data, to->type, view_at(to, i), each_load_whole(from, i));
    else
        view_store(to, i, view_load(from, i));
}

/* Any number as tensor/number.h has it. */
CUDA_FN double each_load_double(const struct view *view, int64_t i)
{
    int64_t at = view_at(view, i);
    if (view->type == TENSOR_F64)
        return ((const double *)view->data)[at];
    if (element_is_whole(view->type))
        return (double)element_load_whole(view->data, view->type, at);
    return (double)element_load(view->data, view->type, at);
}

CUDA_FN int64_t each_whole_within(double number, double low, double high)
{
    return isnan(number) ? 0 : (int64_t)(number < low ? low : number > high ? high : number);
}

CUDA_FN int64_t each_whole_from(int type, double number)
{
    switch (type) {
    case TENSOR_I64: /* the largest double below 2^63 */
        return each_whole_within(number, -9223372036854775808.0, 9223372036854774784.0);
    case TENSOR_I32:
        return each_whole_within(number, INT32_MIN, INT32_MAX);
    case TENSOR_I8:
        return each_whole_within(number, INT8_MIN, INT8_MAX);
    case TENSOR_U8:
        return each_whole_within(number, 0, UINT8_MAX);
    default: /* bool */
        return number != 0;
    }
}

CUDA_FN void each_cast_at(const struct each *args, int64_t i)
{
    const struct view *from = &args->from[0], *to = &args->to;
    int64_t at = view_at(to, i);
    if (element_is_whole(to->type) && element_is_whole(from->type))
        element_store_whole(to->data, to->type, at, each_load_whole(from, i));
    else if (element_is_whole(to->type))
        element_store_whole(to->data, to->type, at,
                            each_whole_from(to->type, each_load_double(from, i)));
    else if (to->type == TENSOR_F64)
        ((double *)to->data)[at] = each_load_double(from, i);
    else
        element_store(to->data, to->type, at, (float)each_load_double(from, i));
}

EACH_KERNEL(each_float, struct each, each_float_at)
EACH_KERNEL(each_whole, struct each, each_whole_at)
EACH_KERNEL(each_compare, struct each, each_compare_at)
EACH_KERNEL(each_where, struct each, each_where_at)
EACH_KERNEL(each_cast, struct each, each_cast_at)
