/* nets_segment: the segmenter. Channels and blocks per level are chosen so that 480x360 takes under 6
 * GFLOP in the largest size; most of it is spent at a quarter and an eighth of the picture's sides, as thin
 * things (poles, fences) are gone further down. */
#include "learn/nets_parts.h"

#include <stdio.h>

#define LEVELS 4 /* a half, a quarter, an eighth and a sixteenth of the sides */

struct layout {
    int64_t channels[LEVELS];
    int blocks[LEVELS]; /* behind the step down to the level */
};

static const struct layout layouts[] = {
    [NET_SMALL] = { { 12, 24, 48, 96 }, { 0, 1, 1, 2 } },
    [NET_MEDIUM] = { { 16, 32, 64, 128 }, { 0, 1, 2, 3 } },
    [NET_LARGE] = { { 16, 32, 96, 128 }, { 0, 1, 2, 3 } },
};

/* Two units over a short cut. The last scale begins with 0, so the block with its input alone. */
static int add_block(struct net *net, int x, const char *name)
{
    char inner[NET_NAME_BYTES];
    int64_t channels = compose_shape(net->c, x)->dim[1];
    snprintf(inner, sizeof inner, "%s.0", name);
    int y = net_add_unit(net, x, &(struct net_conv){ inner, channels, 3, 1, 1 }, 1);
    snprintf(inner, sizeof inner, "%s.1", name);
    y = net_add_unit(net, net_add_relu(net, y), &(struct net_conv){ inner, channels, 3, 1, 1 }, 0);
    return net_add_relu(net, compose_op(net->c, "Add", x, y));
}

static int add_down(struct net *net, int x, const struct layout *layout, int level)
{
    char name[NET_NAME_BYTES];
    snprintf(name, sizeof name, "down%d", level);
    const struct net_conv step = { name, layout->channels[level], 3, 2, 1 };
    x = net_add_relu(net, net_add_unit(net, x, &step, 1));
    for (int i = 0; i < layout->blocks[level]; i++) {
        snprintf(name, sizeof name, "down%d.%d", level, i);
        x = add_block(net, x, name);
    }
    return x;
}

/* Fewer channels first, then larger: so the enlarging costs less. */
static int add_up(struct net *net, int x, int skip, int level)
{
    char name[NET_NAME_BYTES];
    const struct shape wanted = *compose_shape(net->c, skip);
    snprintf(name, sizeof name, "up%d", level);
    x = net_add_unit(net, x, &(struct net_conv){ name, wanted.dim[1], 1, 1, 1 }, 1);
    x = compose_resize(net->c, x, wanted.dim[2], wanted.dim[3], "linear");
    x = net_add_relu(net, compose_op(net->c, "Add", x, skip));
    snprintf(name, sizeof name, "up%d.0", level);
    if (level > 0)
        return add_block(net, x, name);
    return net_add_relu(net,
                        net_add_unit(net, x, &(struct net_conv){ name, wanted.dim[1], 3, 1, 1 }, 1));
}

int net_segmenter(struct compose *c, int pictures, const struct net_config *config,
                  uint32_t class_count)
{
    struct net net = { .c = c, .config = *config };
    const struct layout *layout = &layouts[config->size];
    int at[LEVELS], x = pictures;
    for (int level = 0; level < LEVELS; level++)
        x = at[level] = add_down(&net, x, layout, level);
    for (int level = LEVELS - 2; level >= 0; level--)
        x = add_up(&net, x, at[level], level);
    x = net_add_conv(&net, x, &(struct net_conv){ "scores", class_count, 1, 1, 0.5 });
    const struct shape wanted = *compose_shape(c, pictures);
    return compose_resize(c, x, wanted.dim[2], wanted.dim[3], "linear");
}

/* The other input of the addition that reads value; -1: none does. What has two inputs here and is no
 * convolution, whose other one is a constant, adds. */
static int added_to(const struct graph *graph, int value)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        if (node->input_count == 2 && (node->inputs[0] == value || node->inputs[1] == value))
            return node->inputs[node->inputs[0] == value];
    }
    return -1;
}

/* Dimensions first to end of value's shape, as numbers of the graph. */
static int part_of_shape(struct compose *c, int value, int64_t first, int64_t end)
{
    const int inputs[] = { compose_op(c, "Shape", value, -1), compose_ints(c, &first, 1),
                           compose_ints(c, &end, 1) };
    return compose_node(c, "Slice", inputs, 3, NULL);
}

/* Of the last one: as many channels as come in, and the picture's sides. */
static int size_of_picture(struct compose *c, int value)
{
    const int parts[] = { part_of_shape(c, value, 0, 2), part_of_shape(c, c->graph->inputs[0], 2, 4) };
    const struct attribute attributes[] = { COMPOSE_INT("axis", 0), { 0 } };
    return compose_node(c, "Concat", parts, 2, attributes);
}

enum { X, SIZES = 3 }; /* inputs of Resize */

/* Only Resize has whole numbers there. A restorer's goes by a factor. */
static bool takes_size(const struct graph *graph, const struct node *node)
{
    return node->input_count > SIZES && graph->values[node->inputs[SIZES]].type == TENSOR_I64;
}

int net_free_sizes(struct graph *graph, struct error *err)
{
    struct compose c = { .graph = graph, .name = "sizes", .err = err };
    for (int i = 0, count = graph->node_count; i < count && !c.rc; i++) {
        if (!takes_size(graph, &graph->nodes[i]))
            continue;
        int beside = added_to(graph, graph->nodes[i].outputs[0]);
        int sizes = beside >= 0 ? compose_op(&c, "Shape", beside, -1)
                                : size_of_picture(&c, graph->nodes[i].inputs[X]);
        graph->nodes[i].inputs[SIZES] = sizes;
    }
    if (c.rc)
        return c.rc;
    struct shape *input = &graph->values[graph->inputs[0]].shape;
    struct shape *output = &graph->values[graph->outputs[0]].shape;
    input->dim[2] = input->dim[3] = output->dim[2] = output->dim[3] = -1;
    int rc = graph_sort(graph, err);
    return rc < 0 ? rc : graph_sweep(graph, err);
}
