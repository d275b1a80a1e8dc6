/* tile: pieces of matrices in shared memory, and products of them: a block of LAUNCH_THREADS threads makes
 * TILE_EDGE x TILE_EDGE sums, TILE_SUMS x TILE_SUMS a thread, so that each number that is read from
 * shared memory is used four times. For stages of a STAGED_KERNEL. */
#ifndef RUNESPOOR_CUDA_TILE_H
#define RUNESPOOR_CUDA_TILE_H

#include "cuda/view.h"

#define TILE_EDGE 64
#define TILE_DEPTH 32 /* products that are summed between two loads */
#define TILE_SIDE 16  /* threads along each edge */
#define TILE_SUMS (TILE_EDGE / TILE_SIDE)

/* One more in each line, so that a column is in 32 banks. */
struct tile {
    float at[TILE_DEPTH][TILE_EDGE + 1];
};

/* Where a tile is loaded from. Element (p, i) of the tile lies at start + p * depth_step + i * edge_step,
 * as far as there are any; the rest of the tile is 0. */
struct tile_source {
    const void *data;
    int32_t type;
    int64_t start, depth_step, edge_step; /* in elements */
    int64_t depth, edge; /* elements from start on, at least 0; may be more than fit */
};

/* By all threads. Neighbours read along the smaller step. */
CUDA_FN void tile_load(struct tile *tile, const struct tile_source *from, int thread)
{
    bool along_depth = from->depth_step < from->edge_step;
    for (int n = thread; n < TILE_DEPTH * TILE_EDGE; n += LAUNCH_THREADS) {
        int p = along_depth ? n % TILE_DEPTH : n / TILE_EDGE;
        int i = along_depth ? n / TILE_DEPTH : n % TILE_EDGE;
        float number = 0;
        if (p < from->depth && i < from->edge)
            number = element_load(from->data, from->type,
                                  from->start + p * from->depth_step + i * from->edge_step);
        tile->at[p][i] = number;
    }
}

/* Row and column, within the product, of the thread's sum [r][c]: side by side threads have side by side
 * columns. */
CUDA_FN int tile_row(int thread, int r)
{
    return thread / TILE_SIDE + r * TILE_SIDE;
}
CUDA_FN int tile_column(int thread, int c)
{
    return thread % TILE_SIDE + c * TILE_SIDE;
}

/* Adds products of the first `depth` lines (or of all, if that is fewer) to the thread's sums. */
CUDA_FN void tile_multiply(const struct tile *a, const struct tile *b, int64_t depth, int thread,
                           float sums[TILE_SUMS][TILE_SUMS])
{
    int lines = depth < TILE_DEPTH ? (int)depth : TILE_DEPTH;
    for (int p = 0; p < lines; p++) {
        float left[TILE_SUMS], right[TILE_SUMS];
        for (int s = 0; s < TILE_SUMS; s++) {
            left[s] = a->at[p][tile_row(thread, s)];
            right[s] = b->at[p][tile_column(thread, s)];
        }
        for (int r = 0; r < TILE_SUMS; r++)
            for (int c = 0; c < TILE_SUMS; c++)
                sums[r][c] += left[r] * right[c];
    }
}

#endif
