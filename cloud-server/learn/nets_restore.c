/* nets_restore: the restorer. All of its work is done at the size that came, so a network for x4 costs a
 * quarter of one for x2; that for x1 works at half the size, and costs what x2 does. */
#include "learn/nets_parts.h"

#include <stdio.h>

#define COLOURS 3
/* Parallel branches add up with what they branch from: small ones keep deep chains from growing. */
#define BRANCH_GAIN 0.2

static const struct {
    int64_t channels;
    int layers;
} sizes[] = {
    [NET_SMALL] = { 16, 4 },
    [NET_MEDIUM] = { 32, 8 },
    [NET_LARGE] = { 64, 16 },
};

/* By a factor, not to a size: so the node holds for any picture. */
static int enlarge(struct compose *c, int x, uint32_t factor)
{
    int factors = compose_constant(c, "factors", COMPOSE_SHAPE(4), 1);
    float *numbers = compose_floats(c, factors);
    const int inputs[] = { x, -1, factors };
    const struct attribute attributes[] = {
        COMPOSE_STRING("mode", "cubic"),
        COMPOSE_STRING("coordinate_transformation_mode", "half_pixel"),
        { 0 },
    };
    if (numbers)
        numbers[2] = numbers[3] = (float)factor;
    return compose_node(c, "Resize", inputs, 3, attributes);
}

int net_restorer(struct compose *c, int pictures, const struct net_config *config, uint32_t factor)
{
    struct net net = { .c = c, .config = *config };
    int64_t channels = sizes[config->size].channels;
    uint32_t shrinks = factor == 1 ? 2 : 1, grows = factor * shrinks;
    const struct net_conv entry = { "first", channels, 3, shrinks, 1 };
    int first = net_add_relu(&net, factor == 1 ? net_add_conv(&net, pictures, &entry)
                                               : net_add_parallel(&net, pictures, &entry));
    int x = first;
    for (int i = 0; i < sizes[config->size].layers; i++) {
        char name[NET_NAME_BYTES];
        snprintf(name, sizeof name, "body%d", i);
        const struct net_conv conv = { name, channels, 3, 1, BRANCH_GAIN };
        x = net_add_relu(&net, net_add_parallel(&net, x, &conv));
    }
    x = compose_op(c, "Add", x, first);
    /* Nothing is added at first. */
    const struct net_conv last = { "last", COLOURS * (int64_t)grows * grows, 3, 1, 0 };
    x = compose_pixel_shuffle(c, net_add_conv(&net, x, &last), grows);
    return compose_op(c, "Add", x, factor == 1 ? pictures : enlarge(c, pictures, factor));
}
