/* bytes: what is neither multiplied in oneDNN nor just moved. */
#include "cpu/bytes.h"
#include <math.h>
#include <string.h>

/* A sanitizer's hooks cannot be called yet when the loader picks. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define LANES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LANES
#endif

#define INLINE static inline __attribute__((always_inline))
#define ROUNDER 12582912.0f /* 1.5 * 2^23: adding it leaves whole numbers, halves to even */
#define SMALL 3             /* rows and columns of taps */

/* Limited before it is rounded: limits are whole numbers. NaN stands for no step. */
INLINE uint8_t to_byte(float steps, const struct bytes_end *end)
{
    steps = steps == steps ? steps : 0;
    steps = steps > end->low ? steps : end->low;
    steps = steps < end->high ? steps : end->high;
    steps = (steps + ROUNDER) - ROUNDER + end->zero;
    return (uint8_t)((int32_t)steps ^ end->flip);
}

INLINE float to_number(uint8_t byte, const struct bytes_source *source)
{
    return ((float)(int32_t)(uint8_t)(byte ^ source->flip) - source->zero) * source->scale;
}

LANES void bytes_quantise(const float *restrict from, uint8_t *restrict to, int64_t count,
                          float scale, const struct bytes_end *end)
{
    const struct bytes_end limits = *end;
    for (int64_t i = 0; i < count; i++)
        to[i] = to_byte(from[i] / scale, &limits);
}

LANES void bytes_dequantise(const uint8_t *restrict from, float *restrict to, int64_t count,
                            const struct bytes_source *source)
{
    const struct bytes_source steps = *source;
    for (int64_t i = 0; i < count; i++)
        to[i] = to_number(from[i], &steps);
}

void bytes_look_up(const uint8_t *from, uint8_t *to, int64_t count, const uint8_t *table)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = table[from[i]];
}

LANES void bytes_add(const uint8_t *restrict a, const uint8_t *restrict b, int b_step,
                     uint8_t *restrict to, int64_t count, const struct bytes_source sources[2],
                     float scale, const struct bytes_end *end)
{
    const struct bytes_source first = sources[0], second = sources[1];
    const struct bytes_end limits = *end;
    if (b_step) {
        for (int64_t i = 0; i < count; i++)
            to[i] = to_byte((to_number(a[i], &first) + to_number(b[i], &second)) / scale, &limits);
        return;
    }
    float other = to_number(*b, &second);
    for (int64_t i = 0; i < count; i++)
        to[i] = to_byte((to_number(a[i], &first) + other) / scale, &limits);
}

LANES void bytes_multiply(const uint8_t *restrict a, const uint8_t *restrict b, int b_step,
                          uint8_t *restrict to, int64_t count, const struct bytes_source sources[2],
                          float scale, const struct bytes_end *end)
{
    const struct bytes_source first = sources[0], second = sources[1];
    const struct bytes_end limits = *end;
    if (b_step) {
        for (int64_t i = 0; i < count; i++)
            to[i] = to_byte(to_number(a[i], &first) * to_number(b[i], &second) / scale, &limits);
        return;
    }
    float other = to_number(*b, &second);
    for (int64_t i = 0; i < count; i++)
        to[i] = to_byte(to_number(a[i], &first) * other / scale, &limits);
}

LANES void bytes_sum(const uint8_t *restrict from, int32_t *restrict sums, int64_t count, uint8_t flip)
{
    for (int64_t i = 0; i < count; i++)
        sums[i] += (uint8_t)(from[i] ^ flip);
}

LANES void bytes_widen(const uint8_t *restrict from, float *restrict to, int64_t count, float zero,
                       uint8_t flip)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)(int32_t)(uint8_t)(from[i] ^ flip) - zero;
}

/* What BYTES_LANES sums from channel c on become; behind the last channel nothing is written. Numbers
 * stay as wide as sums until the end: gcc makes short vectors of a loop with bytes in it. */
INLINE void finish(const struct bytes_filter *f, int64_t c, const float *sums, uint8_t *to)
{
    uint32_t whole[BYTES_LANES];
    for (int i = 0; i < BYTES_LANES; i++) {
        float steps = (sums[i] + f->bias[c + i]) * f->scales[c + i];
        steps = steps > f->end.low ? steps : f->end.low;
        steps = steps < f->end.high ? steps : f->end.high;
        whole[i] = (uint32_t)(int32_t)((steps + ROUNDER) - ROUNDER + f->end.zero) ^ f->end.flip;
    }
    int64_t count = f->channels - c;
    if (count >= BYTES_LANES)
        for (int i = 0; i < BYTES_LANES; i++)
            to[i] = (uint8_t)whole[i];
    else
        for (int64_t i = 0; i < count; i++)
            to[i] = (uint8_t)whole[i];
}

INLINE void add_tap(float *restrict sums, const float *restrict steps, const float *restrict weights)
{
    for (int i = 0; i < BYTES_LANES; i++)
        sums[i] += steps[i] * weights[i];
}

/* The same for two outputs that see each tap `step` floats apart. */
INLINE void add_tap_twice(float *restrict first, float *restrict second,
                          const float *restrict steps, int64_t step, const float *restrict weights)
{
    for (int i = 0; i < BYTES_LANES; i++) {
        float weight = weights[i];
        first[i] += steps[i] * weight;
        second[i] += steps[step + i] * weight;
    }
}

/* Three rows of three taps, without loops around them, for two outputs. */
INLINE void filter_small(const struct bytes_filter *f, const float *const *lines, int64_t c,
                         int64_t x, uint8_t *to)
{
    const float *weights = f->weights + c;
    int64_t spread = f->spread * f->pixel, next = f->pixel, step = f->step * f->pixel;
    float first[BYTES_LANES] = { 0 }, second[BYTES_LANES] = { 0 };
    const float *above = lines[0] + x * step + c, *here = lines[1] + x * step + c,
                *below = lines[2] + x * step + c;
    add_tap_twice(first, second, above, step, weights);
    add_tap_twice(first, second, above + spread, step, weights + next);
    add_tap_twice(first, second, above + 2 * spread, step, weights + 2 * next);
    add_tap_twice(first, second, here, step, weights + 3 * next);
    add_tap_twice(first, second, here + spread, step, weights + 4 * next);
    add_tap_twice(first, second, here + 2 * spread, step, weights + 5 * next);
    add_tap_twice(first, second, below, step, weights + 6 * next);
    add_tap_twice(first, second, below + spread, step, weights + 7 * next);
    add_tap_twice(first, second, below + 2 * spread, step, weights + 8 * next);
    finish(f, c, first, to + x * f->channels + c);
    finish(f, c, second, to + (x + 1) * f->channels + c);
}

INLINE void filter_any(const struct bytes_filter *f, const float *const *lines, int64_t c,
                       int64_t x, uint8_t *to, int64_t count)
{
    for (; x < count; x++) {
        float sums[BYTES_LANES] = { 0 };
        for (int64_t r = 0; r < f->rows; r++)
            for (int64_t t = 0; t < f->columns; t++)
                add_tap(sums, lines[r] + (x * f->step + t * f->spread) * f->pixel + c,
                        f->weights + (r * f->columns + t) * f->pixel + c);
        finish(f, c, sums, to + x * f->channels + c);
    }
}

LANES void bytes_filter_row(const struct bytes_filter *filter, const float *const *lines,
                            uint8_t *to, int64_t count)
{
    const struct bytes_filter f = *filter;
    bool small = f.rows == SMALL && f.columns == SMALL;
    for (int64_t c = 0; c < f.channels; c += BYTES_LANES) {
        int64_t x = 0;
        for (; small && x + 1 < count; x += 2)
            filter_small(&f, lines, c, x, to);
        filter_any(&f, lines, c, x, to, count);
    }
}
