/* tile: between rows of a tile and memory, where they are rows as well or lie across. */
#include "cpu/tile.h"
#include "cpu/bfloat.h"
#include "cpu/lanes.h"
#include "ops/rules.h"
#include <string.h>

#define TILE_FLOATS 8192 /* stays next to the processor with another one */
#define COLUMNS_MIN 16
#define COLUMNS_MAX 256

int tiles_place(struct build *build, int value, int axis, bool joined, struct tiles *tiles,
                struct cpu_place **place, struct error *err)
{
    int rc = build_place(build, value, place, err);
    if (rc)
        return rc;
    const struct shape *shape = &build_info(build, value)->shape;
    enum tensor_type type = (*place)->layout.type == TENSOR_BF16 ? TENSOR_BF16 : TENSOR_F32;
    struct layout layout = layout_channels_last(type, shape);
    bool last = axis == 1 && !joined && shape->rank > 2 && !layout_is_dense(&(*place)->layout);
    if (!last)
        layout = layout_dense(type, shape);
    rc = build_want(build, value, &layout, place, err);
    if (rc)
        return rc;
    *tiles = (struct tiles){
        .outer = shape_span(shape, 0, axis),
        .size = joined ? shape_span(shape, axis, shape->rank) : shape->dim[axis],
        .inner = joined ? 1 : shape_span(shape, axis + 1, shape->rank),
        .type = type,
    };
    tiles->innermost = last || tiles->inner == 1;
    if (tiles->innermost) {
        tiles->inner *= tiles->outer;
        tiles->outer = 1;
    }
    int64_t columns = TILE_FLOATS / tiles->size / COLUMNS_MIN * COLUMNS_MIN;
    tiles->columns = columns < COLUMNS_MIN   ? COLUMNS_MIN
                     : columns > COLUMNS_MAX ? COLUMNS_MAX
                                             : columns;
    return 0;
}

int64_t tiles_positions(const struct tiles *tiles)
{
    return tiles->outer * tiles->inner;
}

int64_t tiles_count(const struct tiles *tiles, int64_t position, int64_t end)
{
    int64_t left = tiles->inner - position % tiles->inner;
    left = left < end - position ? left : end - position;
    return left < tiles->columns ? left : tiles->columns;
}

int64_t tiles_floats(const struct tiles *tiles)
{
    return tiles->size * tiles->columns;
}

/* The first element of a position. */
static int64_t place_of(const struct tiles *tiles, int64_t position)
{
    if (tiles->innermost)
        return position * tiles->size;
    return position / tiles->inner * tiles->size * tiles->inner + position % tiles->inner;
}

void tiles_load(const struct tiles *tiles, const void *data, int64_t position, int64_t count,
                float *tile, float *room)
{
    int64_t at = place_of(tiles, position), step = tiles->columns, size = tiles->size;
    const float *numbers = (const float *)data + at;
    const uint16_t *halves = (const uint16_t *)data + at;
    bool narrow = tiles->type == TENSOR_BF16;
    if (!tiles->innermost) {
        for (int64_t k = 0; k < size; k++)
            if (narrow)
                lanes_widen(halves + k * tiles->inner, tile + k * step, count);
            else
                memcpy(tile + k * step, numbers + k * tiles->inner, (size_t)count * sizeof *tile);
        return;
    }
    if (narrow) {
        lanes_widen(halves, room, count * size);
        numbers = room;
    }
    for (int64_t k = 0; k < size; k++)
        for (int64_t i = 0; i < count; i++)
            tile[k * step + i] = numbers[i * size + k];
}

void tiles_store(const struct tiles *tiles, const float *tile, int64_t position, int64_t count,
                 void *data, float *room)
{
    int64_t at = place_of(tiles, position), step = tiles->columns, size = tiles->size;
    float *numbers = (float *)data + at;
    uint16_t *halves = (uint16_t *)data + at;
    bool narrow = tiles->type == TENSOR_BF16;
    if (!tiles->innermost) {
        for (int64_t k = 0; k < size; k++)
            if (narrow)
                lanes_narrow(tile + k * step, halves + k * tiles->inner, count);
            else
                memcpy(numbers + k * tiles->inner, tile + k * step, (size_t)count * sizeof *tile);
        return;
    }
    float *to = narrow ? room : numbers;
    for (int64_t k = 0; k < size; k++)
        for (int64_t i = 0; i < count; i++)
            to[i * size + k] = tile[k * step + i];
    if (narrow)
        lanes_narrow(room, halves, count * size);
}

void tiles_exponentials(const struct tiles *tiles, float *tile, int64_t count, float *largest,
                        float *sum)
{
    lanes_fn *max = lanes_find(POINTWISE_MAX), *subtract = lanes_find(POINTWISE_SUB);
    lanes_fn *exponential = lanes_find(POINTWISE_EXP), *add = lanes_find(POINTWISE_ADD);
    memcpy(largest, tile, (size_t)count * sizeof *tile);
    for (int64_t k = 1; k < tiles->size; k++)
        max(largest, tile + k * tiles->columns, NULL, largest, count, 0, 0);
    lanes_fill(0, sum, count);
    for (int64_t k = 0; k < tiles->size; k++) {
        float *row = tile + k * tiles->columns;
        subtract(row, largest, NULL, row, count, 0, 0);
        exponential(row, NULL, NULL, row, count, 0, 0);
        add(sum, row, NULL, sum, count, 0, 0);
    }
}
