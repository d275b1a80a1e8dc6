#include "train_nets.h"
#include "graph/compose.h"
#include "onnx/onnx.h"
#include "train/loss.h"
#include "train/train.h"
#include <math.h>
#include <string.h>

#define RESTORE_BATCH 16
#define FEATURES 64
#define BLOCKS 12
#define PATCH 64
#define DETECTOR_SHARE 0.1
#define CHARBONNIER_EPSILON 1e-3f
#define COLOUR_BLOCKS 16 /* of a target, along each side */

#define SEGMENT_BATCH 8
#define HEIGHT 180
#define WIDTH 240
#define CLASSES 11
#define IGNORE 255
#define LABEL_BLOCKS 12

#define SHAPE COMPOSE_SHAPE

enum { SMALL, TARGET, WANTED }; /* inputs of restore */
enum { PICTURES, LABELS };      /* of segment */

struct building {
    struct compose c;
    uint32_t stream; /* of the last weights */
};

static int make_restore(struct train_net *net, struct building *b);
static int make_segment(struct train_net *net, struct building *b);
static int restorer(struct building *b, int small);
static int segmenter(struct building *b, int pictures);
static int embed_detector(const struct train_net *net, struct building *b, int picture);
static int read_detector(const struct train_net *net, struct graph **detector, struct error *err);
static int add_weights(struct building *b, const char *name, const struct shape *shape,
                       double inputs);
static int conv(struct building *b, const char *name, int x, int outputs, int stride, bool biased);
static int conv_transpose(struct building *b, const char *name, int x, int outputs);
static int unit(struct building *b, const char *name, int x, int outputs, int stride);
static int concat(struct building *b, int x, int y);
static void fill_restore(struct plan *plan);
static void fill_segment(struct plan *plan);
static int fill_wanted(const struct train_net *net, struct device *device, struct plan *plan,
                       struct error *err);
static double mixed(uint32_t stream, int64_t index);
static int label(int64_t index);

int train_net_make(struct train_net *net, const char *name, const char *detector, struct error *err)
{
    bool restore = strcmp(name, "restore") == 0;
    *net = (struct train_net){ .detector = detector, .rate = restore ? 1e-4f : 3e-4f };
    if (!restore && strcmp(name, "segment") != 0)
        return error_set(err, ERROR_CONFIG, name, "is neither restore nor segment");
    struct building b = { 0 };
    int rc = compose_start(&b.c, "train_nets", err);
    if (rc)
        return rc;
    net->graph = b.c.graph;
    rc = restore ? make_restore(net, &b) : make_segment(net, &b);
    if (rc)
        train_net_finish(net);
    return rc;
}

int train_net_fill(const struct train_net *net, struct device *device, struct plan *plan,
                   struct error *err)
{
    size_t rate = plan_input_count(plan) - 1;
    *(float *)plan_input(plan, rate)->data = net->rate;
    if (strcmp(plan_input_name(plan, 0), "small") != 0) {
        fill_segment(plan);
        return 0;
    }
    fill_restore(plan);
    return fill_wanted(net, device, plan, err);
}

void train_net_finish(struct train_net *net)
{
    graph_free(&net->graph);
}

/* ---- restore ---- */

static int make_restore(struct train_net *net, struct building *b)
{
    struct compose *c = &b->c;
    int small = compose_input(c, "small", TENSOR_F32, SHAPE(RESTORE_BATCH, 3, PATCH, PATCH));
    int target =
        compose_input(c, "target", TENSOR_F32, SHAPE(RESTORE_BATCH, 3, 2 * PATCH, 2 * PATCH));
    int restored = restorer(b, small);
    int says = embed_detector(net, b, restored);
    if (c->rc)
        return c->rc;
    const struct shape said = *compose_shape(c, says);
    int wanted = compose_input(c, "wanted", TENSOR_F32, &said);
    int charbonnier = loss_charbonnier(c->graph, restored, target, CHARBONNIER_EPSILON, c->err);
    int distance = charbonnier < 0 ? charbonnier : loss_l2(c->graph, says, wanted, c->err);
    if (distance < 0)
        return distance;
    int share = compose_op(c, "Mul", distance, compose_scalar(c, DETECTOR_SHARE));
    net->loss = compose_op(c, "Add", charbonnier, share);
    return c->rc;
}

static int restorer(struct building *b, int small)
{
    struct compose *c = &b->c;
    char name[32];
    int head = conv(b, "head", small, FEATURES, 1, true), x = head;
    for (int i = 0; i < BLOCKS; i++) {
        snprintf(name, sizeof name, "blocks.%d.0", i);
        int y = compose_op(c, "Relu", conv(b, name, x, FEATURES, 1, true), -1);
        snprintf(name, sizeof name, "blocks.%d.1", i);
        x = compose_op(c, "Add", x, conv(b, name, y, FEATURES, 1, true));
    }
    x = compose_op(c, "Add", head, conv(b, "body", x, FEATURES, 1, true));
    int details = compose_pixel_shuffle(c, conv(b, "tail", x, 12, 1, true), 2);
    return compose_op(c, "Add", details, compose_resize(c, small, 2 * PATCH, 2 * PATCH, "linear"));
}

/* Its Reshape to 1x11x… mixes the pictures of a batch, which a distance does not mind. */
static int embed_detector(const struct train_net *net, struct building *b, int picture)
{
    struct graph *detector = NULL;
    int output = -1;
    if (b->c.rc)
        return -1;
    b->c.rc = read_detector(net, &detector, b->c.err);
    compose_part(&b->c, detector, TRAIN_NETS_FROZEN, &picture, &output);
    graph_free(&detector);
    return b->c.rc ? -1 : output;
}

static int read_detector(const struct train_net *net, struct graph **detector, struct error *err)
{
    int rc = onnx_read_file(detector, net->detector, err);
    return rc ? rc : graph_infer(*detector, SHAPE(RESTORE_BATCH, 3, 2 * PATCH, 2 * PATCH), err);
}

/* ---- segment ---- */

static int make_segment(struct train_net *net, struct building *b)
{
    struct compose *c = &b->c;
    int pictures = compose_input(c, "pictures", TENSOR_F32, SHAPE(SEGMENT_BATCH, 3, HEIGHT, WIDTH));
    int labels = compose_input(c, "labels", TENSOR_I64, SHAPE(SEGMENT_BATCH, HEIGHT, WIDTH));
    int scores = segmenter(b, pictures);
    int weights = compose_constant(c, "class_weights", SHAPE(CLASSES), 0);
    float *weight = compose_floats(c, weights);
    if (c->rc)
        return c->rc;
    for (int k = 0; k < CLASSES; k++)
        weight[k] = (float)(0.5 + k / 10.0);
    net->loss = loss_cross_entropy(c->graph, scores, labels, weights, IGNORE, c->err);
    return net->loss < 0 ? net->loss : 0;
}

static int segmenter(struct building *b, int pictures)
{
    int one = unit(b, "down1", pictures, 32, 2);
    int two = unit(b, "down2.0", one, 64, 2);
    two = unit(b, "down2.1", two, 64, 1);
    two = unit(b, "down2.2", two, 64, 1);
    int x = unit(b, "down3.0", two, 128, 2);
    x = unit(b, "down3.1", x, 128, 1);
    x = unit(b, "down3.2", x, 128, 1);
    x = compose_resize(&b->c, x, HEIGHT / 4, WIDTH / 4, "linear");
    x = unit(b, "up2", concat(b, x, two), 64, 1);
    x = compose_resize(&b->c, x, HEIGHT / 2, WIDTH / 2, "linear");
    x = unit(b, "up1", concat(b, x, one), 32, 1);
    return conv_transpose(b, "scores", x, CLASSES);
}

/* ---- nodes ---- */

/* inputs: how many numbers are added up in each output. */
static int add_weights(struct building *b, const char *name, const struct shape *shape, double inputs)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    int value = compose_constant(&b->c, full, shape, 0);
    float *weight = compose_floats(&b->c, value);
    if (!weight)
        return -1;
    b->stream++;
    for (int64_t i = 0, count = shape_elements(shape); i < count; i++)
        weight[i] = (float)(mixed(b->stream, i) / sqrt(inputs));
    return value;
}

/* 3x3, padded by 1. */
static int conv(struct building *b, const char *name, int x, int outputs, int stride, bool biased)
{
    struct compose *c = &b->c;
    char bias[64];
    if (c->rc)
        return -1;
    int64_t channels = compose_shape(c, x)->dim[1];
    snprintf(bias, sizeof bias, "%s.bias", name);
    int weights = add_weights(b, name, SHAPE(outputs, channels, 3, 3), 9.0 * (double)channels);
    return compose_conv(c, x, weights, biased ? compose_constant(c, bias, SHAPE(outputs), 0) : -1,
                        stride);
}

/* 4x4, twice the size: each output adds up a quarter of the taps. */
static int conv_transpose(struct building *b, const char *name, int x, int outputs)
{
    struct compose *c = &b->c;
    char bias[64];
    if (c->rc)
        return -1;
    int64_t channels = compose_shape(c, x)->dim[1];
    snprintf(bias, sizeof bias, "%s.bias", name);
    int inputs[] = { x, add_weights(b, name, SHAPE(channels, outputs, 4, 4), 4.0 * (double)channels),
                     compose_constant(c, bias, SHAPE(outputs), 0) };
    const int64_t strides[] = { 2, 2 }, pads[] = { 1, 1, 1, 1 }, kernel[] = { 4, 4 };
    const struct attribute attributes[] = {
        COMPOSE_INTS("kernel_shape", kernel, 2),
        COMPOSE_INTS("strides", strides, 2),
        COMPOSE_INTS("pads", pads, 4),
        { 0 },
    };
    return compose_node(c, "ConvTranspose", inputs, 3, attributes);
}

/* Convolution, batch normalisation, Relu. */
static int unit(struct building *b, const char *name, int x, int outputs, int stride)
{
    static const char *const parts[] = { "scale", "bias", "mean", "variance" };
    struct compose *c = &b->c;
    char part[64];
    int inputs[5] = { conv(b, name, x, outputs, stride, false) };
    for (int i = 0; i < 4; i++) {
        snprintf(part, sizeof part, "%s.norm.%s", name, parts[i]);
        inputs[i + 1] = compose_constant(c, part, SHAPE(outputs), i == 0 || i == 3);
    }
    const struct attribute attributes[] = {
        COMPOSE_FLOAT("epsilon", 1e-5f),
        COMPOSE_FLOAT("momentum", 0.9f),
        { 0 },
    };
    int y = compose_node(c, "BatchNormalization", inputs, 5, attributes);
    return compose_op(c, "Relu", y, -1);
}

static int concat(struct building *b, int x, int y)
{
    const struct attribute attributes[] = { COMPOSE_INT("axis", 1), { 0 } };
    return compose_node(&b->c, "Concat", (int[]){ x, y }, 2, attributes);
}

/* ---- data ---- */

/* Blocks of colour with a little noise, and each 2x2 of their pixels as one. */
static void fill_restore(struct plan *plan)
{
    enum { SIDE = 2 * PATCH, BLOCK = SIDE / COLOUR_BLOCKS };
    float *small = plan_input(plan, SMALL)->data, *target = plan_input(plan, TARGET)->data;
    for (int64_t plane = 0; plane < RESTORE_BATCH * 3; plane++) {
        float *to = target + plane * SIDE * SIDE;
        for (int64_t y = 0; y < SIDE; y++) {
            for (int64_t x = 0; x < SIDE; x++) {
                int64_t block = (plane * COLOUR_BLOCKS + y / BLOCK) * COLOUR_BLOCKS + x / BLOCK;
                int64_t pixel = (plane * SIDE + y) * SIDE + x;
                to[y * SIDE + x] = (float)(0.5 + 0.4 * mixed(1001, block) + 0.1 * mixed(1002, pixel));
            }
        }
        for (int64_t y = 0; y < PATCH; y++) {
            for (int64_t x = 0; x < PATCH; x++) {
                const float *from = to + 2 * y * SIDE + 2 * x;
                double sum = (double)from[0] + from[1] + from[SIDE] + from[SIDE + 1];
                small[(plane * PATCH + y) * PATCH + x] = (float)(sum / 4);
            }
        }
    }
}

/* What the detector says of the targets, in f32. */
static int fill_wanted(const struct train_net *net, struct device *device, struct plan *plan,
                       struct error *err)
{
    struct graph *graph = NULL;
    struct plan *detector = NULL;
    const struct tensor *target = plan_input(plan, TARGET), *wanted = plan_input(plan, WANTED);
    const struct plan_options options = { .precision = PRECISION_F32, .input_shapes = &target->shape };
    int rc = read_detector(net, &graph, err);
    if (rc || (rc = device_compile(device, graph, &options, &detector, err)))
        goto done;
    memcpy(plan_input(detector, 0)->data, target->data, tensor_bytes(target));
    rc = plan_run(detector, err);
    if (!rc)
        memcpy(wanted->data, plan_output(detector, 0)->data, tensor_bytes(wanted));
done:
    plan_free(&detector);
    graph_free(&graph);
    return rc;
}

/* Labels in blocks of 15x20, one of twelve of which is not to count, and pictures that show them. */
static void fill_segment(struct plan *plan)
{
    float *pictures = plan_input(plan, PICTURES)->data;
    int64_t *labels = plan_input(plan, LABELS)->data;
    for (int64_t i = 0; i < SEGMENT_BATCH * HEIGHT * WIDTH; i++)
        labels[i] = label(i) == CLASSES ? IGNORE : label(i);
    for (int64_t i = 0; i < SEGMENT_BATCH * 3 * HEIGHT * WIDTH; i++) {
        int64_t pixel = i % (HEIGHT * WIDTH), plane = i / (HEIGHT * WIDTH);
        int64_t channel = plane % 3, picture = plane / 3;
        double tint = (double)(label(picture * HEIGHT * WIDTH + pixel) * (channel + 1) % 12) / 12.0;
        pictures[i] = (float)(0.7 * tint + 0.15 + 0.15 * mixed(2002, i));
    }
}

/* 0..11 of a pixel; 11 stands for "does not count". */
static int label(int64_t index)
{
    int64_t x = index % WIDTH, y = index / WIDTH % HEIGHT, picture = index / WIDTH / HEIGHT;
    int64_t row = picture * LABEL_BLOCKS + y / (HEIGHT / LABEL_BLOCKS);
    return (int)((mixed(2001, row * LABEL_BLOCKS + x / (WIDTH / LABEL_BLOCKS)) + 1) * 6);
}

/* A number in -1..1 from two whole ones (Wellons' hash "lowbias32"). */
static double mixed(uint32_t stream, int64_t index)
{
    uint32_t x = (uint32_t)index + stream * 0x9E3779B9u;
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return (double)(x ^ x >> 16) / 2147483648.0 - 1;
}
