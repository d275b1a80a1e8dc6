/* conv_tile: see the header; conv_tile_warp.h has what a warp does. */
#include "cuda/conv_tile_warp.h"

#define STAGES 3

CUDA_FN void tile_stage(const struct conv_tile *args, int64_t block, bool first, int warp, int stage,
                        char *shared, struct tile_sums *own, int type, int channels, int filters)
{
    const int warp_rows = CONV_TILE_WARP_ROWS(channels, filters);
    const int rows = CONV_TILE_ROWS(channels, filters);
    char *pixels_at = shared + filters * CONV_TILE_FILTER_BYTES(channels);
    int column = (int)(block % args->column_tiles) * CONV_TILE_COLUMNS;
    int row = (int)(block / args->column_tiles % args->row_tiles) * rows;
    int64_t n = block / args->column_tiles / args->row_tiles;
    if (stage == 0) {
        if (first)
            tile_load_filters(&args->conv, warp, shared, channels, filters);
        tile_load_pixels(&args->conv, n, row, column, warp, pixels_at, channels, rows);
    } else if (stage == 1) {
        tile_multiply(warp, shared, pixels_at, own, channels, filters, warp_rows, type);
    } else { /* what was read is free for sums now */
        tile_finish(args, n, row, column, rows, CONV_TILE_COLUMNS, warp, own, pixels_at, filters,
                    warp_rows);
    }
}

#define KERNELS(channels, filters)                                                                 \
    CUDA_FN void stage_f16_##channels##_##filters(const struct conv_tile *args, int64_t block,     \
                                                  bool first, int warp, int stage, char *shared,   \
                                                  struct tile_sums *own)                           \
    {                                                                                              \
        tile_stage(args, block, first, warp, stage, shared, own, TENSOR_F16, channels, filters);   \
    }                                                                                              \
    CUDA_FN void stage_bf16_##channels##_##filters(const struct conv_tile *args, int64_t block,    \
                                                   bool first, int warp, int stage, char *shared,  \
                                                   struct tile_sums *own)                          \
    {                                                                                              \
        tile_stage(args, block, first, warp, stage, shared, own, TENSOR_BF16, channels, filters);  \
    }                                                                                              \
    WARPS_KERNEL(conv_tile_f16_##channels##_##filters, struct conv_tile, struct tile_sums, STAGES, \
                 stage_f16_##channels##_##filters)                                                 \
    WARPS_KERNEL(conv_tile_bf16_##channels##_##filters, struct conv_tile, struct tile_sums,        \
                 STAGES, stage_bf16_##channels##_##filters)

CONV_TILE_SIZES(KERNELS)
