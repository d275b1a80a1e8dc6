/* conv: convolutions over channels-last images, forwards and back, in own kernels: what libraries do not
 * take, and what theirs are compared with. One thread, or group of lanes, for each element of the
 * result; sums are f32. */
#ifndef RUNESPOOR_CUDA_CONV_H
#define RUNESPOOR_CUDA_CONV_H

#include "cuda/view.h"

enum conv_way {
    CONV_FORWARD, /* y of x and w; with bias of K */
    CONV_INPUT,   /* x of y and w: the gradient, and ConvTranspose; with bias of C */
    CONV_WEIGHTS, /* w of x and y */
};

/* x: N x H x W x C, w: K x R x S x C/groups, y: N x P x Q x K; all without gaps. */
struct conv {
    enum conv_way way;
    int32_t batch, channels, filters, groups;
    int32_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2]; /* rows, columns; pad: before */
    int32_t pad_end[2];
    int32_t x_type, w_type, y_type;
    void *x, *w, *y;
    const float *bias; /* NULL: none */
};

/* count: elements of the result. */
LAUNCHER void conv_forward(const struct conv *args, int64_t count, void *stream);
LAUNCHER void conv_input(const struct conv *args, int64_t count, void *stream);
/* rows: elements of w; length: batch x out[0] x out[1]. */
LAUNCHER void conv_weights(const struct conv *args, int64_t rows, int64_t length, void *stream);

#endif
