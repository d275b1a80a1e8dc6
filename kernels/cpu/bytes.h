/* bytes: loops over quantised numbers, compiled for several processors as those of lanes.c are. A byte b
 * of either sign stands for (b ^ flip) - zero steps: flip is 0x80 for i8, and its zero is 128 more. */
#ifndef RUNESPOOR_CPU_BYTES_H
#define RUNESPOOR_CPU_BYTES_H

#include <stdbool.h>
#include <stdint.h>

/* How numbers become bytes: steps between low and high (zero taken off) to the nearest, halves to even. */
struct bytes_end {
    float low, high, zero;
    uint8_t flip;
};

struct bytes_source {
    float scale, zero;
    uint8_t flip;
};

void bytes_quantise(const float *from, uint8_t *to, int64_t count, float scale,
                    const struct bytes_end *end);
void bytes_dequantise(const uint8_t *from, float *to, int64_t count,
                      const struct bytes_source *source);
void bytes_look_up(const uint8_t *from, uint8_t *to, int64_t count, const uint8_t *table);
/* b may be one number for all: b_step is 0 then. */
void bytes_add(const uint8_t *a, const uint8_t *b, int b_step, uint8_t *to, int64_t count,
               const struct bytes_source sources[2], float scale, const struct bytes_end *end);
void bytes_multiply(const uint8_t *a, const uint8_t *b, int b_step, uint8_t *to, int64_t count,
                    const struct bytes_source sources[2], float scale, const struct bytes_end *end);
/* Adds each of count bytes (flipped) to its sum. */
void bytes_sum(const uint8_t *from, int32_t *sums, int64_t count, uint8_t flip);
/* Steps as floats. */
void bytes_widen(const uint8_t *from, float *to, int64_t count, float zero, uint8_t flip);

/* A row of a convolution with one filter for each channel. lines: the rows of the input that its rows of
 * taps see, as steps, `pixel` floats from one pixel to the next; so are weights, tap by tap. Sums are of
 * whole numbers below 2^24, so they are exact. */
struct bytes_filter {
    int64_t pixel, channels; /* pixel: channels rounded up to BYTES_LANES */
    int64_t rows, columns;   /* taps */
    int64_t step, spread;    /* pixels from one output to the next, from tap to tap */
    const float *weights, *bias, *scales;
    struct bytes_end end;
};
#define BYTES_LANES 16
void bytes_filter_row(const struct bytes_filter *filter, const float *const *lines, uint8_t *to,
                      int64_t count);

#endif
