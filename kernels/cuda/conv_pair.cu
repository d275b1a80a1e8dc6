/* conv_pair: see the header; conv_tile_warp.h has what a warp does for each of the two. */
#include "cuda/conv_pair.h"
#include "cuda/conv_tile_warp.h"

#define STAGES 4

/* A row of the first one's sums with what follows them, as the second one's pixels: zeros outside of the
 * picture and for channels that are not there. */
CUDA_FN void pair_pass_on(const struct conv_tile *first, int64_t n, int y, int column,
                          const float *sums, char *between, int channels)
{
    const struct conv *c = &first->conv;
    FOR_LANES(lane)
    for (int i = lane; i < CONV_TILE_COLUMNS * channels; i += LAUNCH_WARP) {
        int k = i % channels, pixel = i / channels, x = column + pixel;
        bool is_there = y >= 0 && y < c->out[0] && x >= 0 && x < c->out[1] && k < c->filters;
        element_store(between + pixel * CONV_TILE_PIXEL_BYTES(channels), c->y_type, k,
                      is_there ? tile_follow(first, n, y, x, k, sums[i]) : 0);
    }
}

CUDA_FN void pair_stage(const struct conv_pair *args, int64_t block, bool first, int warp,
                        int stage, char *shared, struct tile_sums *own, int type, int channels)
{
    const int warp_rows = CONV_PAIR_WARP_ROWS(channels), rows = CONV_PAIR_ROWS(channels);
    char *second_filters = shared + CONV_PAIR_FILTERS_BYTES(channels);
    char *pixels = second_filters + CONV_PAIR_FILTERS_BYTES(channels);
    char *between = pixels + CONV_PAIR_PIXELS_BYTES(channels);
    int column = (int)(block % args->column_tiles) * CONV_PAIR_COLUMNS;
    int row = (int)(block / args->column_tiles % args->row_tiles) * (rows - 2);
    int64_t n = block / args->column_tiles / args->row_tiles;
    if (stage == 0) {
        if (first) {
            tile_load_filters(&args->first.conv, warp, shared, channels, channels);
            tile_load_filters(&args->second.conv, warp, second_filters, channels, channels);
        }
        tile_load_pixels(&args->first.conv, n, row - 1, column - 1, warp, pixels, channels, rows);
    } else if (stage == 1) {
        tile_multiply(warp, shared, pixels, own, channels, channels, warp_rows, type);
    } else if (stage == 2) { /* the pixels that came in are free for sums now */
        float *sums = (float *)pixels + warp * CONV_TILE_COLUMNS * channels;
        UNROLL for (int r = 0; r < warp_rows; r++)
        {
            int local = warp * warp_rows + r;
            tile_lay_down(own->sums[r], sums, channels);
            pair_pass_on(&args->first, n, row - 1 + local, column - 1, sums,
                         between + local * (CONV_TILE_COLUMNS + 2) * CONV_TILE_PIXEL_BYTES(channels),
                         channels);
        }
    } else {
        tile_multiply(warp, second_filters, between, own, channels, channels, warp_rows, type);
        tile_finish(&args->second, n, row, column, rows - 2, CONV_PAIR_COLUMNS, warp, own, pixels,
                    channels, warp_rows);
    }
}

#define KERNELS(channels)                                                                        \
    CUDA_FN void stage_f16_##channels(const struct conv_pair *args, int64_t block, bool first,   \
                                      int warp, int stage, char *shared, struct tile_sums *own)  \
    {                                                                                            \
        pair_stage(args, block, first, warp, stage, shared, own, TENSOR_F16, channels);          \
    }                                                                                            \
    CUDA_FN void stage_bf16_##channels(const struct conv_pair *args, int64_t block, bool first,  \
                                       int warp, int stage, char *shared, struct tile_sums *own) \
    {                                                                                            \
        pair_stage(args, block, first, warp, stage, shared, own, TENSOR_BF16, channels);         \
    }                                                                                            \
    WARPS_KERNEL(conv_pair_f16_##channels, struct conv_pair, struct tile_sums, STAGES,           \
                 stage_f16_##channels)                                                           \
    WARPS_KERNEL(conv_pair_bf16_##channels, struct conv_pair, struct tile_sums, STAGES,          \
                 stage_bf16_##channels)

CONV_PAIR_SIZES(KERNELS)
