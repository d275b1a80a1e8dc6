/* conv_spread: a Conv the other way round, for ConvTranspose and for the gradient of a Conv's input. It
 * gathers: each element of the result sums what would have read it, so every row is written once. */
#include "ops/conv.h"

#define STRETCH 128 /* columns summed together; their sums stay in the nearest cache */

static void spread_row(const struct window *w, const real *from, const real *weights, real bias,
                       int64_t depth, int64_t row, real *to);

void conv_spread(const struct window *w, const real *from, const real *weights, const real *bias,
                 real *to)
{
    int64_t channels = w->in_channels / w->groups, filters = w->out_channels / w->groups;
    int64_t kernel = window_kernel_size(w), from_plane = window_out_size(w);
    for (int64_t n = 0; n < w->batch; n++)
        for (int64_t c = 0; c < w->in_channels; c++) {
            int64_t first = c / channels * filters; /* output channel of this group */
            const real *source = from + (n * w->out_channels + first) * from_plane;
            const real *taps = weights + (first * channels + c % channels) * kernel;
            for (int64_t depth = 0; depth < w->in[DEPTH]; depth++)
                for (int64_t row = 0; row < w->in[ROWS]; row++, to += w->in[COLUMNS])
                    spread_row(w, source, taps, bias ? bias[c] : 0, depth, row, to);
        }
}

/* Adds weight times from to the sums of columns [first, first + count): from's column x goes to
 * x * stride + shift. */
static void spread_tap(double *sums, const real *from, int64_t columns, real weight, int64_t first,
                       int64_t count, int64_t stride, int64_t shift)
{
    int64_t x = first > shift ? (first - shift + stride - 1) / stride : 0;
    int64_t last = first + count - 1 - shift; /* as a column of `to` counted from shift */
    int64_t end = last < 0 ? 0 : last / stride + 1;
    end = end < columns ? end : columns;
    if (x >= end)
        return;
    double *sum = sums + (x * stride + shift - first);
    from += x;
    count = end - x;
    if (stride == 1)
        for (int64_t i = 0; i < count; i++)
            sum[i] += (double)weight * (double)from[i];
    else
        for (int64_t i = 0; i < count; i++)
            sum[i * stride] += (double)weight * (double)from[i];
}

/* Where tap k of an input position comes from; -1: from nowhere. */
static int64_t spread_source(const struct window *w, int side, int64_t at, int64_t k)
{
    int64_t step = at + w->pad_begin[side] - k * w->dilation[side];
    if (step < 0 || step % w->stride[side] || step / w->stride[side] >= w->out[side])
        return -1;
    return step / w->stride[side];
}

/* Adds what one channel of `from` gives columns [first, first + count) of a row. */
static void spread_channel(const struct window *w, double *sums, const real *from,
                           const real *weights, const int64_t at[2], int64_t first, int64_t count)
{
    for (int64_t kz = 0; kz < w->kernel[DEPTH]; kz++) {
        int64_t z = spread_source(w, DEPTH, at[0], kz);
        for (int64_t ky = 0; z >= 0 && ky < w->kernel[ROWS]; ky++) {
            int64_t y = spread_source(w, ROWS, at[1], ky);
            if (y < 0)
                continue;
            const real *line = from + (z * w->out[ROWS] + y) * w->out[COLUMNS];
            const real *taps = weights + (kz * w->kernel[ROWS] + ky) * w->kernel[COLUMNS];
            for (int64_t kx = 0; kx < w->kernel[COLUMNS]; kx++)
                spread_tap(sums, line, w->out[COLUMNS], taps[kx], first, count, w->stride[COLUMNS],
                           kx * w->dilation[COLUMNS] - w->pad_begin[COLUMNS]);
        }
    }
}

/* One row of one channel of `to`. from is the first plane of its group; the filters for the channel
 * lie a group's channels apart. */
static void spread_row(const struct window *w, const real *from, const real *weights, real bias,
                       int64_t depth, int64_t row, real *to)
{
    int64_t filters = w->out_channels / w->groups, plane = window_out_size(w);
    int64_t filter_step = w->in_channels / w->groups * window_kernel_size(w);
    for (int64_t first = 0; first < w->in[COLUMNS]; first += STRETCH) {
        int64_t count = w->in[COLUMNS] - first < STRETCH ? w->in[COLUMNS] - first : STRETCH;
        double sums[STRETCH];
        for (int64_t x = 0; x < count; x++)
            sums[x] = (double)bias;
        for (int64_t m = 0; m < filters; m++)
            spread_channel(w, sums, from + m * plane, weights + m * filter_step,
                           (const int64_t[]){ depth, row }, first, count);
        for (int64_t x = 0; x < count; x++)
            to[first + x] = (real)sums[x];
    }
}
