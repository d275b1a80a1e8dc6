/* conv_depth: size and stride are constants once a kernel is compiled, and all loops written out, as
 * weights and sums stay in registers only where their index is no variable. Neighbouring threads have
 * neighbouring channels. */
#include "cuda/conv_depth.h"

#ifdef __CUDACC__
#define WRITTEN_OUT _Pragma("unroll")
#else
#define WRITTEN_OUT
#endif

#define COLUMNS_MAX CONV_DEPTH_COLUMNS(3)
#define TAPS_MAX 25

/* A thread's part of the result: a strip of columns. */
struct conv_depth_strip {
    int32_t n, row, column, channel;
};

CUDA_FN struct conv_depth_strip conv_depth_strip_of(const struct conv *c, int columns, int64_t i)
{
    struct conv_depth_strip strip;
    int32_t groups = c->channels / VECTOR, strips = (c->out[1] + columns - 1) / columns;
    strip.channel = (int32_t)(i % groups) * VECTOR;
    i /= groups;
    strip.column = (int32_t)(i % strips) * columns;
    i /= strips;
    strip.row = (int32_t)(i % c->out[0]);
    strip.n = (int32_t)(i / c->out[0]);
    return strip;
}

/* weights: of VECTOR channels, as they lie. pixel: is at column x of the strip's reach. */
CUDA_FN void conv_depth_add(const struct vector *weights, const struct vector *pixel, int size,
                            int stride, int r, int x, struct vector *sums)
{
    WRITTEN_OUT for (int q = 0; q < CONV_DEPTH_COLUMNS(size); q++)
    {
        int s = x - q * stride;
        WRITTEN_OUT for (int k = 0; k < VECTOR; k++)
        {
            int tap = (k * size + r) * size + s;
            if (s >= 0 && s < size)
                sums[q].at[k] += weights[tap / VECTOR].at[tap % VECTOR] * pixel->at[k];
        }
    }
}

CUDA_FN void conv_depth_sum(const struct conv *c, const struct conv_depth_strip *strip, int size,
                            int stride, const struct vector *weights, struct vector *sums)
{
    int32_t top = strip->row * stride - c->pad[0], left = strip->column * stride - c->pad[1];
    WRITTEN_OUT for (int r = 0; r < size; r++)
    {
        int64_t row = (int64_t)strip->n * c->in[0] + top + r;
        if (top + r < 0 || top + r >= c->in[0])
            continue;
        WRITTEN_OUT for (int x = 0; x < (CONV_DEPTH_COLUMNS(size) - 1) * stride + size; x++)
        {
            if (left + x < 0 || left + x >= c->in[1])
                continue;
            struct vector pixel = vector_load(
                c->x, c->x_type, (row * c->in[1] + left + x) * c->channels + strip->channel);
            conv_depth_add(weights, &pixel, size, stride, r, x, sums);
        }
    }
}

CUDA_FN void conv_depth_make(const struct conv *c, int64_t i, int size, int stride)
{
    struct conv_depth_strip strip = conv_depth_strip_of(c, CONV_DEPTH_COLUMNS(size), i);
    int64_t row = (int64_t)strip.n * c->out[0] + strip.row;
    struct vector weights[TAPS_MAX], sums[COLUMNS_MAX];
    WRITTEN_OUT for (int t = 0; t < size * size; t++) weights[t] =
        vector_load(c->w, c->w_type, (int64_t)strip.channel * size * size + t * VECTOR);
    WRITTEN_OUT for (int q = 0; q < CONV_DEPTH_COLUMNS(size); q++)
        WRITTEN_OUT for (int k = 0; k < VECTOR; k++) sums[q]
            .at[k] = c->bias ? c->bias[strip.channel + k] : 0;
    conv_depth_sum(c, &strip, size, stride, weights, sums);
    WRITTEN_OUT for (int q = 0; q < CONV_DEPTH_COLUMNS(size); q++) if (strip.column + q < c->out[1])
        vector_store(c->y, c->y_type,
                     (row * c->out[1] + strip.column + q) * c->channels + strip.channel, &sums[q]);
}

#define CONV_DEPTH_KERNEL(size, stride)                                             \
    CUDA_FN void conv_depth_##size##_##stride##_at(const struct conv *c, int64_t i) \
    {                                                                               \
        conv_depth_make(c, i, size, stride);                                        \
    }                                                                               \
    EACH_KERNEL(conv_depth_##size##_##stride, struct conv, conv_depth_##size##_##stride##_at)

CONV_DEPTH_KERNEL(3, 1)
CONV_DEPTH_KERNEL(3, 2)
CONV_DEPTH_KERNEL(5, 1)
CONV_DEPTH_KERNEL(5, 2)

LAUNCHER void conv_depth_run(const struct conv *conv, void *stream)
{
    int32_t size = conv->kernel[0], columns = CONV_DEPTH_COLUMNS(size);
    int64_t strips = (conv->out[1] + columns - 1) / columns;
    int64_t count = conv->batch * conv->out[0] * strips * (conv->channels / VECTOR);
    if (size == 3)
        (conv->stride[0] == 1 ? conv_depth_3_1 : conv_depth_3_2)(conv, count, stream);
    else
        (conv->stride[0] == 1 ? conv_depth_5_1 : conv_depth_5_2)(conv, count, stream);
}
