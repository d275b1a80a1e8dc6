/* piece: pieces of matrices in shared memory, and products of them: a block of LAUNCH_THREADS threads
 * makes PIECE_EDGE x PIECE_EDGE sums, PIECE_SUMS x PIECE_SUMS a thread, so that each number that is read
 * from shared memory is used four times. For stages of a STAGED_KERNEL. */
#ifndef RUNESPOOR_CUDA_PIECE_H
#define RUNESPOOR_CUDA_PIECE_H

#include "cuda/view.h"

#define PIECE_EDGE 64
#define PIECE_DEPTH 32 /* products that are summed between two loads */
#define PIECE_SIDE 16  /* threads along each edge */
#define PIECE_SUMS (PIECE_EDGE / PIECE_SIDE)

/* One more in each line, so that a column is in 32 banks. */
struct piece {
    float at[PIECE_DEPTH][PIECE_EDGE + 1];
};

/* Where a piece is loaded from. Element (p, i) of it lies at start + p * depth_step + i * edge_step, as far
 * as there are any; the rest is 0. */
struct piece_source {
    const void *data;
    int32_t type;
    int64_t start, depth_step, edge_step; /* in elements */
    int64_t depth, edge; /* elements from start on, at least 0; may be more than fit */
};

/* By all threads of a block. Neighbours read along the smaller step. */
CUDA_FN void piece_load(struct piece *piece, const struct piece_source *from, int thread)
{
    bool along_depth = from->depth_step < from->edge_step;
    for (int n = thread; n < PIECE_DEPTH * PIECE_EDGE; n += LAUNCH_THREADS) {
        int p = along_depth ? n % PIECE_DEPTH : n / PIECE_EDGE;
        int i = along_depth ? n / PIECE_DEPTH : n % PIECE_EDGE;
        float number = 0;
        if (p < from->depth && i < from->edge)
            number = element_load(from->data, from->type,
                                  from->start + p * from->depth_step + i * from->edge_step);
        piece->at[p][i] = number;
    }
}

/* Row and column, within the product, of the thread's sum [r][c]: side by side threads have side by side
 * columns. */
CUDA_FN int piece_row(int thread, int r)
{
    return thread / PIECE_SIDE + r * PIECE_SIDE;
}
CUDA_FN int piece_column(int thread, int c)
{
    return thread % PIECE_SIDE + c * PIECE_SIDE;
}

/* Adds products of the first `depth` lines (or of all, if that is fewer) to the thread's sums. */
CUDA_FN void piece_multiply(const struct piece *a, const struct piece *b, int64_t depth, int thread,
                            float sums[PIECE_SUMS][PIECE_SUMS])
{
    int lines = depth < PIECE_DEPTH ? (int)depth : PIECE_DEPTH;
    for (int p = 0; p < lines; p++) {
        float left[PIECE_SUMS], right[PIECE_SUMS];
        for (int s = 0; s < PIECE_SUMS; s++) {
            left[s] = a->at[p][piece_row(thread, s)];
            right[s] = b->at[p][piece_column(thread, s)];
        }
        for (int r = 0; r < PIECE_SUMS; r++)
            for (int c = 0; c < PIECE_SUMS; c++)
                sums[r][c] += left[r] * right[c];
    }
}

#endif
