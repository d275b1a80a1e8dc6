/* nets_parts: layers that networks are made of. Constants are named after their layer, by which
 * net_fold finds them: NAME.weight, NAME.bias, NAME.norm.scale, NAME.point.weight, … Nobody but nets*.c
 * includes this. */
#ifndef RUNESPOOR_LEARN_NETS_PARTS_H
#define RUNESPOOR_LEARN_NETS_PARTS_H

#include "learn/nets.h"

#define NET_NAME_BYTES 64u
#define NET_NORM_EPSILON 1e-5f

struct net {
    struct compose *c;
    struct net_config config;
    uint64_t stream; /* of the last weights: each constant has random numbers of its own */
};

/* side x side convolution; gain: of the first weights, 1 keeps the variance behind a Relu. */
struct net_conv {
    const char *name;
    int64_t outputs, side, stride;
    double gain;
};

/* With a bias in both forms. */
int net_add_conv(struct net *net, int x, const struct net_conv *conv);
/* Convolution and batch normalisation, the latter's scale beginning with `scale`. */
int net_add_unit(struct net *net, int x, const struct net_conv *conv, double scale);
/* 3x3 beside 1x1, beside the input itself where that has as many channels; folded into one 3x3. */
int net_add_parallel(struct net *net, int x, const struct net_conv *conv);
int net_add_relu(struct net *net, int x);

#endif
