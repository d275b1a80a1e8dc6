/* matmul: each block makes a tile of c; it goes along k in pieces that fit into shared memory. */
#include "cuda/matmul.h"
#include "cuda/piece.h"

#if MATMUL_TILE != PIECE_EDGE
#error "a block makes as much of c as piece.h says"
#endif

struct matmul_shared {
    struct piece a, b;
};
struct matmul_own {
    float sums[PIECE_SUMS][PIECE_SUMS];
};

/* The tile of c that a block makes. */
struct matmul_where {
    int64_t n; /* of the batch */
    int32_t row, column;
};

CUDA_FN struct matmul_where matmul_where_of(const struct matmul *args, int64_t block)
{
    struct matmul_where where;
    int64_t columns = (args->n + MATMUL_TILE - 1) / MATMUL_TILE;
    int64_t rows = (args->m + MATMUL_TILE - 1) / MATMUL_TILE;
    where.column = (int32_t)(block % columns * MATMUL_TILE);
    where.row = (int32_t)(block / columns % rows * MATMUL_TILE);
    where.n = block / columns / rows;
    return where;
}

/* Two for each piece of k, to load and to multiply, and one to store. */
CUDA_FN int matmul_stages(const struct matmul *args)
{
    return 2 * ((args->k + PIECE_DEPTH - 1) / PIECE_DEPTH) + 1;
}

CUDA_FN void matmul_load(const struct matmul *args, struct matmul_where where, int32_t first,
                         int thread, struct matmul_shared *shared)
{
    struct piece_source a, b;
    a.data = args->a;
    a.type = args->a_type;
    a.start = where.n * args->a_batch + where.row * args->a_row + first * args->a_column;
    a.depth_step = args->a_column;
    a.edge_step = args->a_row;
    a.depth = args->k - first;
    a.edge = args->m - where.row;
    b.data = args->b;
    b.type = args->b_type;
    b.start = where.n * args->b_batch + where.column * args->b_column + first * args->b_row;
    b.depth_step = args->b_row;
    b.edge_step = args->b_column;
    b.depth = args->k - first;
    b.edge = args->n - where.column;
    piece_load(&shared->a, &a, thread);
    piece_load(&shared->b, &b, thread);
}

CUDA_FN void matmul_store(const struct matmul *args, struct matmul_where where, int thread,
                          const struct matmul_own *own)
{
    for (int r = 0; r < PIECE_SUMS; r++)
        for (int c = 0; c < PIECE_SUMS; c++) {
            int32_t row = where.row + piece_row(thread, r);
            int32_t column = where.column + piece_column(thread, c);
            if (row < args->m && column < args->n)
                element_store(args->c, args->c_type,
                              where.n * args->c_batch + (int64_t)row * args->n + column,
                              args->alpha * own->sums[r][c] + (args->bias ? args->bias[column] : 0));
        }
}

CUDA_FN void matmul_stage(const struct matmul *args, int64_t block, int thread, int stage,
                          struct matmul_shared *shared, struct matmul_own *own)
{
    struct matmul_where where = matmul_where_of(args, block);
    int32_t first = stage / 2 * PIECE_DEPTH;
    if (first >= args->k)
        matmul_store(args, where, thread, own);
    else if (stage % 2 == 0)
        matmul_load(args, where, first, thread, shared);
    else
        piece_multiply(&shared->a, &shared->b, args->k - first, thread, own->sums);
}

CUDA_FN void matmul_add_at(const struct matmul_add *args, int64_t i)
{
    int64_t at = view_at(&args->to, i);
    element_store(args->to.data, args->to.type, at,
                  element_load(args->to.data, args->to.type, at) +
                      args->beta * view_load(&args->from, i));
}

STAGED_KERNEL(matmul_tiles, struct matmul, struct matmul_shared, struct matmul_own, matmul_stages,
              matmul_stage)
EACH_KERNEL(matmul_add_each, struct matmul_add, matmul_add_at)
