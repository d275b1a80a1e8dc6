/* nets_parts: see the header. First weights are uniform, with the variance of He et al., ICCV 2015. */
#include "learn/nets_parts.h"

#include "base/random.h"
#include <math.h>
#include <stdio.h>

#define STREAM_STEP UINT64_C(0x9E3779B97F4A7C15) /* odd and without pattern: seeds stay apart */
#define NORM_MOMENTUM 0.9f

const char *const net_size_words[] = { "small", "medium", "large", NULL };

struct layer_name {
    char text[NET_NAME_BYTES + 16];
};

static struct layer_name layer(const char *name, const char *part)
{
    struct layer_name full;
    snprintf(full.text, sizeof full.text, "%.*s.%s", (int)NET_NAME_BYTES, name, part);
    return full;
}

static int add_weights(struct net *net, const char *name, const struct shape *shape, double gain)
{
    int value = compose_constant(net->c, name, shape, 0);
    float *weight = compose_floats(net->c, value);
    uint64_t stream = net->config.seed + STREAM_STEP * ++net->stream;
    if (!weight || net->config.form == NET_FOLDED || gain == 0)
        return value;
    struct random_state random;
    random_seed(&random, stream);
    double inputs = (double)(shape->dim[1] * shape->dim[2] * shape->dim[3]);
    double bound = gain * sqrt(6 / inputs);
    for (int64_t i = 0, count = shape_elements(shape); i < count; i++)
        weight[i] = (float)(bound * (2 * random_next_unit(&random) - 1));
    return value;
}

static int add_convolution(struct net *net, int x, const struct net_conv *conv, bool biased)
{
    int64_t channels = compose_shape(net->c, x)->dim[1];
    int weights =
        add_weights(net, layer(conv->name, "weight").text,
                    COMPOSE_SHAPE(conv->outputs, channels, conv->side, conv->side), conv->gain);
    int bias = biased ? compose_constant(net->c, layer(conv->name, "bias").text,
                                         COMPOSE_SHAPE(conv->outputs), 0)
                      : -1;
    return compose_conv(net->c, x, weights, bias, conv->stride);
}

int net_add_conv(struct net *net, int x, const struct net_conv *conv)
{
    return add_convolution(net, x, conv, true);
}

int net_add_unit(struct net *net, int x, const struct net_conv *conv, double scale)
{
    static const char *const parts[] = { "norm.scale", "norm.bias", "norm.mean", "norm.variance" };
    const double first[] = { scale, 0, 0, 1 };
    if (net->config.form == NET_FOLDED)
        return add_convolution(net, x, conv, true);
    int inputs[5] = { add_convolution(net, x, conv, false) };
    for (int i = 0; i < 4; i++)
        inputs[i + 1] = compose_constant(net->c, layer(conv->name, parts[i]).text,
                                         COMPOSE_SHAPE(conv->outputs), first[i]);
    const struct attribute attributes[] = {
        COMPOSE_FLOAT("epsilon", NET_NORM_EPSILON),
        COMPOSE_FLOAT("momentum", NORM_MOMENTUM),
        { 0 },
    };
    return compose_node(net->c, "BatchNormalization", inputs, 5, attributes);
}

int net_add_parallel(struct net *net, int x, const struct net_conv *conv)
{
    bool same = compose_shape(net->c, x)->dim[1] == conv->outputs;
    int y = add_convolution(net, x, conv, true);
    if (net->config.form == NET_FOLDED)
        return y;
    const struct layer_name name = layer(conv->name, "point");
    const struct net_conv point = { name.text, conv->outputs, 1, 1, conv->gain };
    y = compose_op(net->c, "Add", y, add_convolution(net, x, &point, false));
    return same ? compose_op(net->c, "Add", y, x) : y;
}

int net_add_relu(struct net *net, int x)
{
    return compose_op(net->c, "Relu", x, -1);
}
