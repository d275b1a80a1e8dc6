/* copy: bits where types are the same, numbers where they are not. */
#include "cuda/copy.h"

CUDA_FN void copy_element(const struct copy *args, int64_t from, int64_t to)
{
    const void *source = args->from.data;
    void *target = args->to.data;
    switch (args->element_bytes) {
    case 1:
        ((uint8_t *)target)[to] = ((const uint8_t *)source)[from];
        break;
    case 2:
        ((uint16_t *)target)[to] = ((const uint16_t *)source)[from];
        break;
    case 4:
        ((uint32_t *)target)[to] = ((const uint32_t *)source)[from];
        break;
    case 8:
        ((uint64_t *)target)[to] = ((const uint64_t *)source)[from];
        break;
    default:
        element_store(target, args->to.type, to, element_load(source, args->from.type, from));
        break;
    }
}

CUDA_FN void copy_at(const struct copy *args, int64_t i)
{
    copy_element(args, view_at(&args->from, i), view_at(&args->to, i));
}

CUDA_FN void copy_one_at(const struct copy *args, int64_t i)
{
    copy_element(args, i, i);
}

CUDA_FN void copy_lump_at(const struct copy *args, int64_t i)
{
#ifdef __CUDACC__
    ((uint4 *)args->to.data)[i] = ((const uint4 *)args->from.data)[i];
#else
    memcpy((char *)args->to.data + i * COPY_LUMP_BYTES,
           (const char *)args->from.data + i * COPY_LUMP_BYTES, COPY_LUMP_BYTES);
#endif
}

CUDA_FN void copy_four_at(const struct copy *args, int64_t i)
{
    struct vector four = vector_load(args->from.data, args->from.type, i * VECTOR);
    vector_store(args->to.data, args->to.type, i * VECTOR, &four);
}

/* ---- tiles: rows of the tile are read along `from`'s memory and written along `to`'s ---- */

#define TILE_ROWS (LAUNCH_THREADS / COPY_TILE)

struct copy_tile {
    uint64_t bits[COPY_TILE][COPY_TILE + 1]; /* one more, so that a column is in 32 banks */
};
struct copy_own {
    int32_t nothing;
};

CUDA_FN uint64_t copy_take(const struct copy *args, int64_t at)
{
    switch (args->element_bytes) {
    case 1:
        return ((const uint8_t *)args->from.data)[at];
    case 2:
        return ((const uint16_t *)args->from.data)[at];
    case 4:
        return ((const uint32_t *)args->from.data)[at];
    default:
        return ((const uint64_t *)args->from.data)[at];
    }
}

CUDA_FN void copy_give(const struct copy *args, int64_t at, uint64_t bits)
{
    switch (args->element_bytes) {
    case 1:
        ((uint8_t *)args->to.data)[at] = (uint8_t)bits;
        break;
    case 2:
        ((uint16_t *)args->to.data)[at] = (uint16_t)bits;
        break;
    case 4:
        ((uint32_t *)args->to.data)[at] = (uint32_t)bits;
        break;
    default:
        ((uint64_t *)args->to.data)[at] = bits;
        break;
    }
}

/* Floats go through the tile as floats. */
CUDA_FN uint64_t copy_take_any(const struct copy *args, int64_t at)
{
    if (args->element_bytes)
        return copy_take(args, at);
    float number = element_load(args->from.data, args->from.type, at);
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

CUDA_FN void copy_give_any(const struct copy *args, int64_t at, uint64_t bits)
{
    if (args->element_bytes) {
        copy_give(args, at, bits);
        return;
    }
    uint32_t low = (uint32_t)bits;
    float number;
    memcpy(&number, &low, sizeof number);
    element_store(args->to.data, args->to.type, at, number);
}

CUDA_FN int copy_stages(const struct copy *args)
{
    (void)args;
    return 2;
}

CUDA_FN void copy_stage(const struct copy *args, int64_t block, int thread, int stage,
                        struct copy_tile *tile, struct copy_own *own)
{
    const struct view *from = &args->from, *to = &args->to;
    int64_t columns = (from->dim[2] + COPY_TILE - 1) / COPY_TILE;
    int64_t rows = (from->dim[1] + COPY_TILE - 1) / COPY_TILE;
    int64_t x0 = block % columns * COPY_TILE, y0 = block / columns % rows * COPY_TILE;
    int64_t z = block / columns / rows;
    int fast = thread % COPY_TILE;
    (void)own;
    for (int slow = thread / COPY_TILE; slow < COPY_TILE; slow += TILE_ROWS) {
        int64_t x = x0 + (stage == 0 ? slow : fast), y = y0 + (stage == 0 ? fast : slow);
        if (x >= from->dim[2] || y >= from->dim[1])
            continue;
        if (stage == 0)
            tile->bits[slow][fast] =
                copy_take_any(args, z * from->step[0] + y * from->step[1] + x * from->step[2]);
        else
            copy_give_any(args, z * to->step[0] + y * to->step[1] + x * to->step[2],
                          tile->bits[fast][slow]);
    }
}

EACH_KERNEL(copy_each, struct copy, copy_at)
EACH_KERNEL(copy_ones, struct copy, copy_one_at)
EACH_KERNEL(copy_lumps, struct copy, copy_lump_at)
EACH_KERNEL(copy_fours, struct copy, copy_four_at)
STAGED_KERNEL(copy_tiles, struct copy, struct copy_tile, struct copy_own, copy_stages, copy_stage)
