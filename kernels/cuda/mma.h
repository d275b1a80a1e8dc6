/* mma: products of small matrices by a whole warp: 16 x 16 of bf16 or f16 times 16 x 8, added to f32. On
 * devices it is the instruction mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"; from compute
 * capability 8.0 on), whose operands are spread over the lanes; on the emulated one the matrices are
 * simply there. Operands come from shared memory, rows of which begin at multiples of 16 bytes. */
#ifndef RUNESPOOR_CUDA_MMA_H
#define RUNESPOOR_CUDA_MMA_H

#include "cuda/view.h"

#define MMA_ROWS 16
#define MMA_COLUMNS 8
#define MMA_DEPTH 16

#ifdef __CUDACC__

struct mma_a {
    uint32_t parts[4];
};
struct mma_b {
    uint32_t parts[2];
};
struct mma_sum {
    float parts[4];
};

/* Whether this pass of the compiler is for a device that has it. */
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define MMA_HAS 1
#else
#define MMA_HAS 0
#endif

/* Rows row_bytes apart; a row is MMA_DEPTH numbers. */
CUDA_FN void mma_load_a(struct mma_a *a, const char *rows, int row_bytes)
{
    int lane = (int)threadIdx.x % LAUNCH_WARP;
    unsigned from = (unsigned)__cvta_generic_to_shared(rows + lane % 16 * row_bytes + lane / 16 * 16);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a->parts[0]), "=r"(a->parts[1]), "=r"(a->parts[2]), "=r"(a->parts[3])
                 : "r"(from));
}

/* Two neighbouring operands: 16 columns, each a row of MMA_DEPTH numbers in memory. */
CUDA_FN void mma_load_b2(struct mma_b b[2], const char *columns, int column_bytes)
{
    int lane = (int)threadIdx.x % LAUNCH_WARP;
    unsigned from = (unsigned)__cvta_generic_to_shared(
        columns + (lane % 8 + lane / 16 * 8) * column_bytes + lane / 8 % 2 * 16);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(b[0].parts[0]), "=r"(b[0].parts[1]), "=r"(b[1].parts[0]), "=r"(b[1].parts[1])
                 : "r"(from));
}

CUDA_FN void mma_clear(struct mma_sum *sum)
{
    for (int i = 0; i < 4; i++)
        sum->parts[i] = 0;
}

/* type: TENSOR_F16 or TENSOR_BF16, a constant. */
CUDA_FN void mma_add(struct mma_sum *sum, const struct mma_a *a, const struct mma_b *b, int type)
{
#if MMA_HAS
    float *d = sum->parts;
    if (type == TENSOR_F16)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a->parts[0]), "r"(a->parts[1]), "r"(a->parts[2]), "r"(a->parts[3]),
                       "r"(b->parts[0]), "r"(b->parts[1]));
    else
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a->parts[0]), "r"(a->parts[1]), "r"(a->parts[2]), "r"(a->parts[3]),
                       "r"(b->parts[0]), "r"(b->parts[1]));
#else
    (void)sum, (void)a, (void)b, (void)type;
#endif
}

/* Each lane holds two pairs of neighbouring columns: pair 0 and 1. Inside FOR_LANES. */
CUDA_FN void mma_pair(const struct mma_sum *sum, int lane, int pair, int *row, int *column,
                      float numbers[2])
{
    *row = lane / 4 + 8 * pair;
    *column = lane % 4 * 2;
    numbers[0] = sum->parts[2 * pair];
    numbers[1] = sum->parts[2 * pair + 1];
}

#else /* the emulated device */

struct mma_a {
    uint16_t row[MMA_ROWS][MMA_DEPTH];
};
struct mma_b {
    uint16_t column[MMA_COLUMNS][MMA_DEPTH];
};
struct mma_sum {
    float row[MMA_ROWS][MMA_COLUMNS];
};

CUDA_FN void mma_load_a(struct mma_a *a, const char *rows, int row_bytes)
{
    assert((uintptr_t)rows % 16 == 0 && row_bytes % 16 == 0);
    for (int r = 0; r < MMA_ROWS; r++)
        memcpy(a->row[r], rows + r * row_bytes, sizeof a->row[r]);
}

CUDA_FN void mma_load_b2(struct mma_b b[2], const char *columns, int column_bytes)
{
    assert((uintptr_t)columns % 16 == 0 && column_bytes % 16 == 0);
    for (int c = 0; c < 2 * MMA_COLUMNS; c++)
        memcpy(b[c / MMA_COLUMNS].column[c % MMA_COLUMNS], columns + c * column_bytes,
               sizeof b[0].column[0]);
}

CUDA_FN void mma_clear(struct mma_sum *sum)
{
    memset(sum, 0, sizeof *sum);
}

CUDA_FN void mma_add(struct mma_sum *sum, const struct mma_a *a, const struct mma_b *b, int type)
{
    for (int r = 0; r < MMA_ROWS; r++)
        for (int c = 0; c < MMA_COLUMNS; c++)
            for (int k = 0; k < MMA_DEPTH; k++)
                sum->row[r][c] +=
                    element_load(a->row[r], type, k) * element_load(b->column[c], type, k);
}

CUDA_FN void mma_pair(const struct mma_sum *sum, int lane, int pair, int *row, int *column,
                      float numbers[2])
{
    *row = lane / 4 + 8 * pair;
    *column = lane % 4 * 2;
    numbers[0] = sum->row[*row][*column];
    numbers[1] = sum->row[*row][*column + 1];
}

#endif

#endif
