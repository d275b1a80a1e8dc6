/* winograd: 3x3 convolutions of stride 1 in bf16 by F(2x4, 3x3), Lavin and Gray, CVPR 2016: 24 products
 * instead of 72 for each 2x4 outputs and pair of channels. For processors with AVX-512 bf16 but no
 * AMX, where products are what convolutions wait for. Activations are bf16, channels-last and
 * dense; transforms are done in f32, and products of bf16 are summed in f32.
 *
 *     y[k] = A' ( sum over c of (G w[k][c] H') * (B' x[c] C) ) D
 *
 * All functions give the same bits every time for a fixed number of threads, allocate nothing and
 * need winograd_available(). */
#ifndef RUNESPOOR_CPU_WINOGRAD_H
#define RUNESPOOR_CPU_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINOGRAD_CHANNELS 32 /* both numbers of channels are multiples of this */

struct winograd {
    int64_t batch, rows, columns; /* of the input */
    int64_t in, out;              /* channels */
    int64_t out_rows, out_columns;
    int64_t pad_rows, pad_columns; /* in front; behind, whatever the output's size needs */
    int threads;
};

bool winograd_available(void);

/* Bytes of transformed weights and of scratch memory for all threads. */
size_t winograd_weights_bytes(const struct winograd *w);
size_t winograd_scratch_bytes(const struct winograd *w);
size_t winograd_gradient_scratch_bytes(const struct winograd *w);

/* weights: f32 [out][in][3][3]. With `turned` they are [in][out][3][3] and turned by 180 degrees:
 * the convolution is then the input gradient of the one that has these weights, whose output
 * gradient is the input here. */
void winograd_transform_weights(const struct winograd *w, const float *weights, bool turned,
                                void *transformed);

/* bias f32 [out] or NULL; added (bf16, as output) or NULL is added behind the bias; then relu. */
void winograd_run(const struct winograd *w, const uint16_t *input, const void *transformed,
                  const float *bias, const uint16_t *added, bool relu, uint16_t *output,
                  void *scratch);

/* Gradients of weights f32 [out][in][3][3] and of the bias f32 [out] (or NULL), from the input and the
 * output's gradient. */
void winograd_weight_gradient(const struct winograd *w, const uint16_t *input,
                              const uint16_t *output_gradient, float *weights_gradient,
                              float *bias_gradient, void *scratch);

#endif
