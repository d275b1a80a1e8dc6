/* conv_any: Conv and ConvTranspose of doubles, halves and bf16, one element after the other. What is fast
 * is for the engine's own type (conv.c). */
#include "ops/conv.h"
#include "ops/element.h"

/* The input position that tap k of an output position reads; -1: none. */
static int64_t source_of(const struct window *w, bool transposed, int side, int64_t at, int64_t k)
{
    if (!transposed) {
        int64_t from = at * w->stride[side] - w->pad_begin[side] + k * w->dilation[side];
        return from >= 0 && from < w->in[side] ? from : -1;
    }
    int64_t step = at + w->pad_begin[side] - k * w->dilation[side];
    if (step < 0 || step % w->stride[side] || step / w->stride[side] >= w->in[side])
        return -1;
    return step / w->stride[side];
}

/* What one input channel, which begins at `plane`, gives an output element; filter: the first of its
 * weights. */
static double sum_channel(const struct window *w, bool transposed, const struct tensor *const *in,
                          int64_t plane, int64_t filter, const int64_t at[WINDOW_SIDES])
{
    double sum = 0;
    for (int64_t k = 0, taps = window_kernel_size(w); k < taps; k++) {
        const int64_t tap[] = { k / w->kernel[COLUMNS] % w->kernel[ROWS], k % w->kernel[COLUMNS],
                                k / w->kernel[COLUMNS] / w->kernel[ROWS] };
        int64_t from[WINDOW_SIDES];
        bool inside = true;
        for (int side = 0; side < WINDOW_SIDES; side++) {
            from[side] = source_of(w, transposed, side, at[side], tap[side]);
            inside = inside && from[side] >= 0;
        }
        if (inside)
            sum += element_load(in[1], filter + k) *
                   element_load(in[0],
                                plane + (from[DEPTH] * w->in[ROWS] + from[ROWS]) * w->in[COLUMNS] +
                                    from[COLUMNS]);
    }
    return sum;
}

void conv_any(const struct window *w, bool transposed, const struct tensor *const *in,
              struct tensor *out)
{
    int64_t channels = w->in_channels / w->groups, filters = w->out_channels / w->groups;
    int64_t size = window_out_size(w), taps = window_kernel_size(w);
    for (int64_t i = 0; i < w->batch * w->out_channels * size; i++) {
        int64_t n = i / size / w->out_channels, m = i / size % w->out_channels;
        const int64_t at[] = { i / w->out[COLUMNS] % w->out[ROWS], i % w->out[COLUMNS],
                               i % size / w->out[COLUMNS] / w->out[ROWS] };
        double sum = in[2] ? element_load(in[2], m) : 0;
        for (int64_t k = 0; k < channels; k++) {
            int64_t c = m / filters * channels + k;
            int64_t filter = transposed ? c * filters + m % filters : m * channels + k;
            sum += sum_channel(w, transposed, in, (n * w->in_channels + c) * window_in_size(w),
                               filter * taps, at);
        }
        element_store(out, i, sum);
    }
}
