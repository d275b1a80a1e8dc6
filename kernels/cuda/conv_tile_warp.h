/* conv_tile_warp: what the kernels of conv_tile and conv_pair are made of. Inside of a .cu file alone. A
 * warp multiplies 16 pixels of a row (rows of the product) by all filters, tap by tap and 16 channels at a
 * time; with several rows of pixels a filter that was loaded is used as often. */
#ifndef RUNESPOOR_CUDA_CONV_TILE_WARP_H
#define RUNESPOOR_CUDA_CONV_TILE_WARP_H

#include "cuda/conv_tile.h"
#include "cuda/mma.h"

#ifdef __CUDACC__
#define POINTWISE_FN static __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
#else
#define UNROLL
#define ROLLED
#endif
#include "passes/pointwise_functions.h"

#define WARP_ROWS_MAX 4
#define VECTOR 8 /* numbers in 16 bytes */

struct tile_sums {
    struct mma_sum sums[WARP_ROWS_MAX][CONV_TILE_CHANNELS_MAX / MMA_COLUMNS];
};

struct tile_vector {
    uint32_t words[4];
};

/* Up to VECTOR numbers of 16 bits from `at` on, zeros behind the last of `count`. */
CUDA_FN void tile_load(const void *data, int64_t at, int count, bool aligned, char *to)
{
    struct tile_vector vector = { { 0, 0, 0, 0 } };
    const uint16_t *from = (const uint16_t *)data + at;
    if (aligned && count >= VECTOR)
        vector = *(const struct tile_vector *)from;
    else
        for (int i = 0; i < VECTOR && i < count; i++)
            vector.words[i / 2] |= (uint32_t)from[i] << 16 * (i % 2);
    *(struct tile_vector *)to = vector;
}

CUDA_FN void tile_load_filters(const struct conv *c, int warp, char *shared, int channels, int filters)
{
    int vectors = channels / VECTOR, total = filters * 9 * vectors;
    bool aligned = c->channels % VECTOR == 0;
    FOR_LANES(lane)
    for (int i = warp * LAUNCH_WARP + lane; i < total; i += LAUNCH_THREADS) {
        int v = i % vectors, tap = i / vectors % 9, k = i / vectors / 9;
        int left = k < c->filters ? c->channels - v * VECTOR : 0;
        tile_load(c->w, ((int64_t)k * 9 + tap) * c->channels + v * VECTOR, left, aligned,
                  shared + k * CONV_TILE_FILTER_BYTES(channels) + (tap * channels + v * VECTOR) * 2);
    }
}

/* The pixels of a tile with one more on each side; zeros outside of the picture. */
CUDA_FN void tile_load_pixels(const struct conv *c, int64_t n, int row, int column, int warp,
                              char *to, int channels, int rows)
{
    int width = CONV_TILE_COLUMNS + 2, vectors = channels / VECTOR;
    int total = (rows + 2) * width * vectors;
    bool aligned = c->channels % VECTOR == 0;
    FOR_LANES(lane)
    for (int i = warp * LAUNCH_WARP + lane; i < total; i += LAUNCH_THREADS) {
        int v = i % vectors, pixel = i / vectors;
        int y = row - c->pad[0] + pixel / width, x = column - c->pad[1] + pixel % width;
        bool inside = y >= 0 && y < c->in[0] && x >= 0 && x < c->in[1];
        int64_t at = ((n * c->in[0] + y) * c->in[1] + x) * c->channels + v * VECTOR;
        tile_load(c->x, inside ? at : 0, inside ? c->channels - v * VECTOR : 0, aligned,
                  to + pixel * CONV_TILE_PIXEL_BYTES(channels) + v * VECTOR * 2);
    }
}

CUDA_FN void tile_multiply(int warp, const char *filters_at, const char *pixels_at,
                           struct tile_sums *own, int channels, int filters, int warp_rows, int type)
{
    const int width = CONV_TILE_COLUMNS + 2, pixel_bytes = CONV_TILE_PIXEL_BYTES(channels);
    UNROLL for (int r = 0; r < warp_rows; r++)
        UNROLL for (int f = 0; f < filters / MMA_COLUMNS; f++) mma_clear(&own->sums[r][f]);
    ROLLED for (int tap = 0; tap < 9; tap++)
        UNROLL for (int part = 0; part < channels / MMA_DEPTH; part++)
    {
        struct mma_a a[WARP_ROWS_MAX];
        UNROLL for (int r = 0; r < warp_rows; r++) mma_load_a(
            &a[r],
            pixels_at + ((warp * warp_rows + r + tap / 3) * width + tap % 3) * pixel_bytes +
                part * MMA_DEPTH * 2,
            pixel_bytes);
        UNROLL for (int f = 0; f < filters / MMA_COLUMNS; f += 2)
        {
            struct mma_b b[2];
            mma_load_b2(b,
                        filters_at + f * MMA_COLUMNS * CONV_TILE_FILTER_BYTES(channels) +
                            (tap * channels + part * MMA_DEPTH) * 2,
                        CONV_TILE_FILTER_BYTES(channels));
            UNROLL for (int r = 0; r < warp_rows; r++)
            {
                mma_add(&own->sums[r][f], &a[r], &b[0], type);
                mma_add(&own->sums[r][f + 1], &a[r], &b[1], type);
            }
        }
    }
}

/* A number of the result with its bias and what follows. */
CUDA_FN float tile_follow(const struct conv_tile *args, int64_t n, int y, int x, int k, float number)
{
    if (args->conv.bias)
        number += args->conv.bias[k];
    for (int i = 0; i < args->post_count; i++) {
        const struct conv_tile_post *post = &args->posts[i];
        float operand = 0;
        if (post->operand)
            operand = element_load(post->operand, post->type,
                                   n * post->step[0] + k * post->step[1] + y * post->step[2] +
                                       x * post->step[3]);
        number = pointwise_value(post->kind, post->alpha, post->beta, number, operand, 0);
    }
    return number;
}

/* The first pixels of a row of one warp, whose sums lie in shared memory: neighbouring lanes take
 * neighbouring numbers. */
CUDA_FN void tile_store(const struct conv_tile *args, int64_t n, int y, int column, int columns,
                        const float *sums, int filters)
{
    const struct conv *c = &args->conv;
    if (y >= c->out[0])
        return;
    FOR_LANES(lane)
    for (int i = lane; i < columns * filters; i += LAUNCH_WARP) {
        int k = i % filters, x = column + i / filters;
        if (x < c->out[1] && k < c->filters)
            element_store(c->y, c->y_type, ((n * c->out[0] + y) * c->out[1] + x) * c->filters + k,
                          tile_follow(args, n, y, x, k, sums[i]));
    }
}

/* A row of pixels of one warp from registers to shared memory, all filters of a pixel behind each other. */
CUDA_FN void tile_lay_down(const struct mma_sum *row, float *sums, int filters)
{
    WARP_SYNC();
    FOR_LANES(lane)
    UNROLL for (int f = 0; f < filters / MMA_COLUMNS; f++) UNROLL for (int pair = 0; pair < 2; pair++)
    {
        int pixel, k;
        float numbers[2];
        mma_pair(&row[f], lane, pair, &pixel, &k, numbers);
        sums[pixel * filters + f * MMA_COLUMNS + k] = numbers[0];
        sums[pixel * filters + f * MMA_COLUMNS + k + 1] = numbers[1];
    }
    WARP_SYNC();
}

/* The pixels of a tile from row and column on, rows x columns of what was multiplied. */
CUDA_FN void tile_finish(const struct conv_tile *args, int64_t n, int row, int column, int rows,
                         int columns, int warp, const struct tile_sums *own, char *shared,
                         int filters, int warp_rows)
{
    float *sums = (float *)shared + warp * CONV_TILE_COLUMNS * filters;
    UNROLL for (int r = 0; r < warp_rows; r++)
    {
        tile_lay_down(own->sums[r], sums, filters);
        if (warp * warp_rows + r < rows)
            tile_store(args, n, row + warp * warp_rows + r, column, columns, sums, filters);
    }
}

#endif
