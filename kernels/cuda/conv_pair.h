/* conv_pair: two 3 x 3 convolutions between few channels, one behind the other, in one pass (conv_tile.h
 * tells of one). What lies between them never leaves shared memory: of four arrays that go to and from the
 * device's memory two are left, which is what such layers wait for. The price: a tile's border is computed
 * by each tile that needs it, 31 % more products with 32 channels, 22 % with 16.
 *
 * f16 or bf16 in, and so between; f32 sums; stride 1, one pixel of padding on each side, at most
 * CONV_PAIR_CHANNELS_MAX channels in, between and out; what follows each convolution is computed on its
 * sums. */
#ifndef RUNESPOOR_CUDA_CONV_PAIR_H
#define RUNESPOOR_CUDA_CONV_PAIR_H

#include "cuda/conv_tile.h"

#define CONV_PAIR_CHANNELS_MAX 32
#define CONV_PAIR_COLUMNS (CONV_TILE_COLUMNS - 2) /* of pixels that a tile gives */

struct conv_pair {
    struct conv_tile first, second; /* without the first one's y and the second one's x */
    int32_t row_tiles, column_tiles;
};

/* Whether there is a kernel for both on a device of that compute capability. */
bool conv_pair_suits(const struct conv *first, const struct conv *second, int major, int minor);
/* For two that suit: enqueues them. args without row_tiles and column_tiles. */
void conv_pair_run(const struct conv_pair *args, int multiprocessors, void *stream);

/* conv_pair_TYPE_CHANNELS, with the largest number of channels rounded up. */
#define CONV_PAIR_SIZES(X) X(16) X(32)
#define CONV_PAIR_PROTOTYPES(channels)                                                    \
    LAUNCHER void conv_pair_f16_##channels(const struct conv_pair *args, int64_t blocks,  \
                                           int resident, int shared_bytes, void *stream); \
    LAUNCHER void conv_pair_bf16_##channels(const struct conv_pair *args, int64_t blocks, \
                                            int resident, int shared_bytes, void *stream);
CONV_PAIR_SIZES(CONV_PAIR_PROTOTYPES)

/* Rows of pixels that a warp makes: with 32 channels so few that a block fits any device from 8.0 on. */
#define CONV_PAIR_WARP_ROWS(channels) ((channels) > 16 ? 2 : 4)
/* Rows between the two; a tile gives two less. */
#define CONV_PAIR_ROWS(channels) (LAUNCH_THREADS / LAUNCH_WARP * CONV_PAIR_WARP_ROWS(channels))
/* Shared memory: both filters, then pixels that come in, then those between, of which the last two rows and
 * columns are only there to be read by what is not stored. */
#define CONV_PAIR_FILTERS_BYTES(channels) ((channels)*CONV_TILE_FILTER_BYTES(channels))
#define CONV_PAIR_PIXELS_BYTES(channels) \
    ((CONV_PAIR_ROWS(channels) + 2) * (CONV_TILE_COLUMNS + 2) * CONV_TILE_PIXEL_BYTES(channels))
#define CONV_PAIR_SHARED_BYTES(channels) \
    (2 * (CONV_PAIR_FILTERS_BYTES(channels) + CONV_PAIR_PIXELS_BYTES(channels)))

#endif
