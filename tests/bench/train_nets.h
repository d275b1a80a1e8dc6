/* train_nets: the two networks of make bench-train with their losses, first weights and data: those of
 * train_peer.py, made from the same whole numbers.
 *
 * restore: EDSR's body (Lim et al., CVPRW 2017; 64 channels, 12 blocks) on 16 patches of 64x64, twice
 * enlarged by a pixel shuffle and added to the bilinearly enlarged input. Loss: Charbonnier to the
 * target and, a tenth of it, the squared distance between what the frozen detector says of both.
 * segment: 8 pictures of 180x240, three strided steps down to 128 channels, up again by bilinear
 * resizes and a transposed convolution, batch normalisation everywhere, 11 classes with weights. */
#ifndef RUNESPOOR_TESTS_TRAIN_NETS_H
#define RUNESPOOR_TESTS_TRAIN_NETS_H

#include "device.h"

#define TRAIN_NETS_CLIP_NORM 1.0f
#define TRAIN_NETS_FROZEN "detector/" /* how names of what does not learn begin */

struct train_net {
    struct graph *graph; /* inferred */
    int loss;
    float rate;
    const char *detector; /* restore: the ONNX file, borrowed */
};

/* name: "restore" or "segment". */
int train_net_make(struct train_net *net, const char *name, const char *detector, struct error *err);
/* Fills the inputs of the plan of net (made a training one). device serves for what the frozen
 * detector says of the targets. */
int train_net_fill(const struct train_net *net, struct device *device, struct plan *plan,
                   struct error *err);
void train_net_finish(struct train_net *net);

#endif
