/* row_tile: short rows that lie behind each other in memory (the classes of each pixel of a channels-last
 * picture), brought into a block's shared memory in one go and taken up there by a thread each. A kernel
 * of the STAGED kind: load, work on rows, store. */
#ifndef RUNESPOOR_CUDA_ROW_TILE_H
#define RUNESPOOR_CUDA_ROW_TILE_H

#include "cuda/fold.h"

#define ROW_TILE_FLOATS 6144 /* 24 KiB: two blocks or more fit on any device */
#define ROW_TILE_LENGTH_MAX LAUNCH_NARROW
#define ROW_TILE_STAGES 3

struct row_tile {
    float numbers[ROW_TILE_FLOATS];
};

/* From row to row in a tile: odd, so that the threads of a warp meet different banks of memory. */
#define ROW_TILE_STEP(length) ((int)(length) | 1)

/* Rows of the fold that lie in a block's tile. */
CUDA_FN int row_tile_rows_in(const struct fold *fold, int64_t block, int tile_rows)
{
    int64_t left = fold->rows - block * tile_rows;
    return left < tile_rows ? (int)left : tile_rows;
}

CUDA_FN void row_tile_load(float *numbers, const struct fold_array *array, const struct fold *fold,
                           int64_t block, int tile_rows, int thread)
{
    int length = (int)fold->length, count = row_tile_rows_in(fold, block, tile_rows) * length;
    int64_t first = block * tile_rows * length;
    for (int i = thread; i < count; i += LAUNCH_THREADS)
        numbers[i / length * ROW_TILE_STEP(length) + i % length] =
            element_load(array->kept.data, array->kept.type, first + i);
}

CUDA_FN void row_tile_store(const float *numbers, const struct fold_array *array,
                            const struct fold *fold, int64_t block, int tile_rows, int thread)
{
    int length = (int)fold->length, count = row_tile_rows_in(fold, block, tile_rows) * length;
    int64_t first = block * tile_rows * length;
    for (int i = thread; i < count; i += LAUNCH_THREADS)
        element_store(array->kept.data, array->kept.type, first + i,
                      numbers[i / length * ROW_TILE_STEP(length) + i % length]);
}

/* Rows for each block where as many arrays go through tiles at a time, one thread for each at most. */
static inline int row_tile_rows(const struct fold *fold, int arrays)
{
    int rows = ROW_TILE_FLOATS / (arrays * ROW_TILE_STEP(fold->length));
    return rows < LAUNCH_THREADS ? rows : LAUNCH_THREADS;
}

static inline int64_t row_tile_blocks(const struct fold *fold, int tile_rows)
{
    return (fold->rows + tile_rows - 1) / tile_rows;
}

#ifndef __cplusplus
/* True if rows are short, and in all of the arrays lie behind each other. */
bool row_tile_suits(const struct fold *fold, const struct fold_array *const *arrays, int count);
#endif

#endif
