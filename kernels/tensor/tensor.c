/* tensor: sizes, shapes and memory. All products of dimensions are checked here, once, so that the
 * rest of the engine may multiply dimensions of a checked shape without a second thought. */
#include "tensor/tensor.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT_BYTES 64u /* a cache line, and the widest vector register */

static const struct {
    const char *word;
    size_t bytes;
} types[] = {
    [TENSOR_NONE] = { "none", 0 }, [TENSOR_F32] = { "f32", 4 },   [TENSOR_F64] = { "f64", 8 },
    [TENSOR_F16] = { "f16", 2 },   [TENSOR_BF16] = { "bf16", 2 }, [TENSOR_I64] = { "i64", 8 },
    [TENSOR_I32] = { "i32", 4 },   [TENSOR_I8] = { "i8", 1 },     [TENSOR_U8] = { "u8", 1 },
    [TENSOR_I16] = { "i16", 2 },   [TENSOR_U16] = { "u16", 2 },   [TENSOR_U32] = { "u32", 4 },
    [TENSOR_U64] = { "u64", 8 },   [TENSOR_BOOL] = { "bool", 1 },
};

size_t tensor_type_bytes(enum tensor_type type)
{
    assert((size_t)type < sizeof types / sizeof *types);
    return types[type].bytes;
}

const char *tensor_type_word(enum tensor_type type)
{
    assert((size_t)type < sizeof types / sizeof *types);
    return types[type].word;
}

int64_t shape_elements(const struct shape *shape)
{
    if (shape->rank < 0 || shape->rank > SHAPE_RANK_MAX)
        return -ERROR_LIMIT;
    /* Dimensions of zero are left out of the product, so that it bounds every part of it too. */
    uint64_t product = 1;
    bool empty = false;
    for (int i = 0; i < shape->rank; i++) {
        int64_t dim = shape->dim[i];
        if (dim < 0)
            return -ERROR_LIMIT;
        if (dim == 0) {
            empty = true;
            continue;
        }
        if ((uint64_t)dim > TENSOR_BYTES_MAX / product)
            return -ERROR_LIMIT;
        product *= (uint64_t)dim;
    }
    return empty ? 0 : (int64_t)product;
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

void shape_format(const struct shape *shape, char *text, size_t text_bytes)
{
    assert(text_bytes > 0);
    if (shape->rank <= 0) {
        snprintf(text, text_bytes, "%s", shape->rank < 0 ? "unknown" : "scalar");
        return;
    }
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < shape->rank && used < text_bytes; i++) {
        const char *separator = i ? "x" : "";
        int count = shape->dim[i] < 0 ? snprintf(text + used, text_bytes - used, "%s?", separator)
                                      : snprintf(text + used, text_bytes - used, "%s%lld",
                                                 separator, (long long)shape->dim[i]);
        used += (size_t)count;
    }
}

bool shape_broadcast(const struct shape *a, const struct shape *b, struct shape *out)
{
    assert(a->rank >= 0 && b->rank >= 0);
    struct shape result = { .rank = a->rank > b->rank ? a->rank : b->rank };
    for (int i = 0; i < result.rank; i++) {
        int in_a = i - (result.rank - a->rank), in_b = i - (result.rank - b->rank);
        int64_t dim_a = in_a < 0 ? 1 : a->dim[in_a], dim_b = in_b < 0 ? 1 : b->dim[in_b];
        if (dim_a != dim_b && dim_a != 1 && dim_b != 1)
            return false;
        result.dim[i] = dim_a == 1 ? dim_b : dim_a;
    }
    *out = result;
    return true;
}

int tensor_create(struct tensor *tensor, enum tensor_type type, const struct shape *shape,
                  struct error *err)
{
    assert(type != TENSOR_NONE);
    int64_t elements = shape_elements(shape);
    uint64_t bytes = (uint64_t)elements * tensor_type_bytes(type);
    if (elements < 0 || bytes > TENSOR_BYTES_MAX) {
        char text[128];
        shape_format(shape, text, sizeof text);
        return error_set(err, ERROR_LIMIT, "tensor", "%s of %s is larger than %llu bytes", text,
                         tensor_type_word(type), (unsigned long long)TENSOR_BYTES_MAX);
    }
    /* At least one line: data is never NULL, and reading a whole vector at the end is safe. */
    uint64_t room = (bytes / ALIGNMENT_BYTES + 1) * ALIGNMENT_BYTES;
    void *data = aligned_alloc(ALIGNMENT_BYTES, room);
    if (!data)
        return error_set(err, ERROR_MEMORY, "tensor", "no room for %llu bytes",
                         (unsigned long long)room);
    memset(data, 0, room);
    *tensor = (struct tensor){ .type = type, .shape = *shape, .data = data };
    return 0;
}

void tensor_free(struct tensor *tensor)
{
    free(tensor->data);
    *tensor = (struct tensor){ 0 };
}

uint64_t tensor_bytes(const struct tensor *tensor)
{
    int64_t elements = shape_elements(&tensor->shape);
    assert(elements >= 0);
    return (uint64_t)elements * tensor_type_bytes(tensor->type);
}
