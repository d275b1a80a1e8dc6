/* matmul: products of matrices in batches, in an own kernel: what the library does not take, and what
 * its products are compared with. */
#ifndef RUNESPOOR_CUDA_MATMUL_H
#define RUNESPOOR_CUDA_MATMUL_H

#include "cuda/view.h"

#define MATMUL_TILE 64 /* of rows and of columns that a block makes */

/* c (m x n, row-major) = alpha * a (m x k) * b (k x n) + bias, in f32 sums, for each of `batch`. Of a's
 * two steps one is 1 and the other no smaller than what it steps over; so are b's. */
struct matmul {
    int32_t m, n, k, batch;
    int64_t a_row, a_column, b_row, b_column; /* steps in elements */
    int64_t a_batch, b_batch, c_batch;        /* 0: the same one for all */
    int32_t a_type, b_type, c_type;
    float alpha;
    const void *a, *b;
    void *c;
    const float *bias; /* of n, for all rows; NULL: none */
};

/* blocks: matmul_blocks. */
LAUNCHER void matmul_tiles(const struct matmul *args, int64_t blocks, void *stream);
static inline int64_t matmul_blocks(const struct matmul *args)
{
    return (int64_t)args->batch * ((args->m + MATMUL_TILE - 1) / MATMUL_TILE) *
           ((args->n + MATMUL_TILE - 1) / MATMUL_TILE);
}

/* Gemm's third input where it is not one number for each column: to += beta * from, of the same
 * dimensions. */
struct matmul_add {
    struct view to, from;
    float beta;
};

/* count: elements of to. */
LAUNCHER void matmul_add_each(const struct matmul_add *args, int64_t count, void *stream);

#endif
