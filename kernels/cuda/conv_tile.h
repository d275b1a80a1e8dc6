/* conv_tile: 3 x 3 convolutions between few channels, as restoration networks have them, on tensor cores. A
 * library made for wide layers leaves most of a tile empty there. The weights stay in shared memory
 * while a block goes from tile to tile of the picture; a tile's input, with its border, is read once.
 *
 * f16 or bf16 in, f32 sums; stride 1, any padding of up to 2, at most CONV_TILE_CHANNELS_MAX channels in
 * and out; what follows is computed on the sums before they are stored. */
#ifndef RUNESPOOR_CUDA_CONV_TILE_H
#define RUNESPOOR_CUDA_CONV_TILE_H

#include "cuda/conv.h"
#include "passes/pointwise.h"

#define CONV_TILE_CHANNELS_MAX 64
#define CONV_TILE_POSTS_MAX 3
#define CONV_TILE_COLUMNS 16 /* of pixels: the rows of a product */

struct conv_tile_post {
    int32_t kind; /* enum pointwise_kind */
    float alpha, beta;
    const void *operand; /* NULL: none */
    int32_t type;
    int64_t step[4]; /* batch, channels, rows, columns */
};

struct conv_tile {
    struct conv conv; /* forward, 3 x 3 */
    int32_t row_tiles, column_tiles;
    int32_t post_count;
    struct conv_tile_post posts[CONV_TILE_POSTS_MAX];
};

/* Whether there is a kernel for it on a device of that compute capability. */
bool conv_tile_suits(const struct conv *conv, int major, int minor);
/* For one that suits: enqueues it. resident: blocks that the device holds at a time, at least. args without
 * row_tiles and column_tiles. */
void conv_tile_run(const struct conv_tile *args, int multiprocessors, void *stream);

/* Bytes of shared memory that one block may have. */
int conv_tile_shared_max(int major, int minor);

/* conv_tile_TYPE_CHANNELS_FILTERS, with both rounded up. */
#define CONV_TILE_SIZES(X) \
    X(16, 16) X(16, 32) X(16, 64) X(32, 16) X(32, 32) X(32, 64) X(64, 16) X(64, 32) X(64, 64)
#define CONV_TILE_PROTOTYPES(channels, filters)                                         \
    LAUNCHER void conv_tile_f16_##channels##_##filters(const struct conv_tile *args,    \
                                                       int64_t blocks, int resident,    \
                                                       int shared_bytes, void *stream); \
    LAUNCHER void conv_tile_bf16_##channels##_##filters(const struct conv_tile *args,   \
                                                        int64_t blocks, int resident,   \
                                                        int shared_bytes, void *stream);
CONV_TILE_SIZES(CONV_TILE_PROTOTYPES)

/* Shared memory: filters x (9 channels), then (rows + 2) x (columns + 2) pixels; both with 16 bytes more
 * a row, so that eight of them lie in different banks. */
#define CONV_TILE_PIXEL_BYTES(channels) ((channels)*2 + 16)
#define CONV_TILE_FILTER_BYTES(channels) ((channels)*18 + 16)
/* Rows of pixels that a warp makes: as many as registers and shared memory allow. */
#define CONV_TILE_WARP_ROWS(channels, filters) ((channels) > 32 || (filters) > 32 ? 2 : 4)
#define CONV_TILE_ROWS(channels, filters) \
    (LAUNCH_THREADS / LAUNCH_WARP * CONV_TILE_WARP_ROWS(channels, filters))
#define CONV_TILE_SHARED_BYTES(channels, filters)                                           \
    ((filters)*CONV_TILE_FILTER_BYTES(channels) + (CONV_TILE_ROWS(channels, filters) + 2) * \
                                                      (CONV_TILE_COLUMNS + 2) *             \
                                                      CONV_TILE_PIXEL_BYTES(channels))

#endif
