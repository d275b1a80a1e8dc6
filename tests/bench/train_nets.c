#include "train_nets.h"
#include "onnx/onnx.h"
#include "ops/gradient.h"
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

#define SHAPE(...)                                                                               \
    (&(const struct shape){ .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                            .dim = { __VA_ARGS__ } })

enum { SMALL, TARGET, WANTED }; /* inputs of restore */
enum { PICTURES, LABELS };      /* of segment */

struct building {
    struct gradient g; /* for gradient_node and the like; no rule is behind it */
    uint32_t stream;   /* of the last weights */
};

static int make_restore(struct train_net *net, struct building *b);
static int make_segment(struct train_net *net, struct building *b);
static int restorer(struct building *b, int small);
static int segmenter(struct building *b, int pictures);
static int embed_detector(const struct train_net *net, struct building *b, int picture);
static int read_detector(const struct train_net *net, struct graph **detector, struct error *err);
static int add_input(struct building *b, const char *name, enum tensor_type type,
                     const struct shape *shape);
static int add_constant(struct building *b, const char *name, const struct shape *shape,
                        double number);
static int add_weights(struct building *b, const char *name, const struct shape *shape,
                       double inputs);
static int conv(struct building *b, const char *name, int x, int outputs, int stride, bool biased);
static int conv_transpose(struct building *b, const char *name, int x, int outputs);
static int unit(struct building *b, const char *name, int x, int outputs, int stride);
static int resize(struct building *b, int x, int64_t height, int64_t width);
static int pixel_shuffle(struct building *b, int x, int64_t block);
static int concat(struct building *b, int x, int y);
static void fill_restore(struct plan *plan);
static void fill_segment(struct plan *plan);
static int fill_wanted(const struct train_net *net, struct device *device, struct plan *plan,
                       struct error *err);
static double mixed(uint32_t stream, int64_t index);
static int label(int64_t index);

int train_net_make(struct train_net *net, const char *name, const char *detector, struct error *err)
{
    static const struct node nobody = { .name = (char *)"train_nets" };
    bool restore = strcmp(name, "restore") == 0;
    *net = (struct train_net){ .detector = detector, .rate = restore ? 1e-4f : 3e-4f };
    if (!restore && strcmp(name, "segment") != 0)
        return error_set(err, ERROR_CONFIG, name, "is neither restore nor segment");
    int rc = graph_create(&net->graph, err);
    if (rc)
        return rc;
    net->graph->opset = OPSET_MAX;
    struct building b = { .g = { .graph = net->graph, .node = &nobody, .err = err } };
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
    struct gradient *g = &b->g;
    int small = add_input(b, "small", TENSOR_F32, SHAPE(RESTORE_BATCH, 3, PATCH, PATCH));
    int target = add_input(b, "target", TENSOR_F32, SHAPE(RESTORE_BATCH, 3, 2 * PATCH, 2 * PATCH));
    int restored = restorer(b, small);
    int says = embed_detector(net, b, restored);
    if (g->rc)
        return g->rc;
    const struct shape said = *gradient_shape(g, says);
    int wanted = add_input(b, "wanted", TENSOR_F32, &said);
    int charbonnier = loss_charbonnier(g->graph, restored, target, CHARBONNIER_EPSILON, g->err);
    int distance = charbonnier < 0 ? charbonnier : loss_l2(g->graph, says, wanted, g->err);
    if (distance < 0)
        return distance;
    int share = gradient_op(g, "Mul", distance, gradient_scalar(g, DETECTOR_SHARE));
    net->loss = gradient_op(g, "Add", charbonnier, share);
    return gradient_end(g);
}

static int restorer(struct building *b, int small)
{
    struct gradient *g = &b->g;
    char name[32];
    int head = conv(b, "head", small, FEATURES, 1, true), x = head;
    for (int i = 0; i < BLOCKS; i++) {
        snprintf(name, sizeof name, "blocks.%d.0", i);
        int y = gradient_op(g, "Relu", conv(b, name, x, FEATURES, 1, true), -1);
        snprintf(name, sizeof name, "blocks.%d.1", i);
        x = gradient_op(g, "Add", x, conv(b, name, y, FEATURES, 1, true));
    }
    x = gradient_op(g, "Add", head, conv(b, "body", x, FEATURES, 1, true));
    int details = pixel_shuffle(b, conv(b, "tail", x, 12, 1, true), 2);
    return gradient_op(g, "Add", details, resize(b, small, 2 * PATCH, 2 * PATCH));
}

/* Its Reshape to 1x11x… mixes the pictures of a batch, which a distance does not mind. */
static int embed_detector(const struct train_net *net, struct building *b, int picture)
{
    struct graph *detector = NULL;
    int output = -1;
    if (b->g.rc)
        return -1;
    b->g.rc = read_detector(net, &detector, b->g.err);
    if (!b->g.rc)
        b->g.rc = graph_embed(b->g.graph, detector, TRAIN_NETS_FROZEN, &picture, &output, b->g.err);
    graph_free(&detector);
    return b->g.rc ? -1 : output;
}

static int read_detector(const struct train_net *net, struct graph **detector, struct error *err)
{
    int rc = onnx_read_file(detector, net->detector, err);
    return rc ? rc : graph_infer(*detector, SHAPE(RESTORE_BATCH, 3, 2 * PATCH, 2 * PATCH), err);
}

/* ---- segment ---- */

static int make_segment(struct train_net *net, struct building *b)
{
    struct gradient *g = &b->g;
    int pictures = add_input(b, "pictures", TENSOR_F32, SHAPE(SEGMENT_BATCH, 3, HEIGHT, WIDTH));
    int labels = add_input(b, "labels", TENSOR_I64, SHAPE(SEGMENT_BATCH, HEIGHT, WIDTH));
    int scores = segmenter(b, pictures);
    int weights = add_constant(b, "class_weights", SHAPE(CLASSES), 0);
    if (g->rc)
        return g->rc;
    float *weight = g->graph->values[weights].constant.data;
    for (int k = 0; k < CLASSES; k++)
        weight[k] = (float)(0.5 + k / 10.0);
    net->loss = loss_cross_entropy(g->graph, scores, labels, weights, IGNORE, g->err);
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
    x = resize(b, x, HEIGHT / 4, WIDTH / 4);
    x = unit(b, "up2", concat(b, x, two), 64, 1);
    x = resize(b, x, HEIGHT / 2, WIDTH / 2);
    x = unit(b, "up1", concat(b, x, one), 32, 1);
    return conv_transpose(b, "scores", x, CLASSES);
}

/* ---- nodes ---- */

static int add_input(struct building *b, const char *name, enum tensor_type type,
                     const struct shape *shape)
{
    struct gradient *g = &b->g;
    if (g->rc)
        return -1;
    int value = graph_add_value(g->graph, name, type, shape, g->err);
    g->rc = value < 0 ? value : graph_mark_input(g->graph, value, g->err);
    if (g->rc > 0)
        g->rc = 0;
    return value;
}

static int add_constant(struct building *b, const char *name, const struct shape *shape, double number)
{
    struct gradient *g = &b->g;
    struct tensor tensor = { 0 };
    if (g->rc || (g->rc = tensor_create(&tensor, TENSOR_F32, shape, g->err)))
        return -1;
    for (int64_t i = 0, count = shape_elements(shape); i < count; i++)
        ((float *)tensor.data)[i] = (float)number;
    int value = graph_add_constant(g->graph, name, &tensor, g->err);
    tensor_free(&tensor); /* blank after success */
    if (value < 0)
        g->rc = value;
    return value;
}

/* inputs: how many numbers are added up in each output. */
static int add_weights(struct building *b, const char *name, const struct shape *shape, double inputs)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    int value = add_constant(b, full, shape, 0);
    if (b->g.rc)
        return -1;
    float *weight = b->g.graph->values[value].constant.data;
    b->stream++;
    for (int64_t i = 0, count = shape_elements(shape); i < count; i++)
        weight[i] = (float)(mixed(b->stream, i) / sqrt(inputs));
    return value;
}

/* 3x3, padded by 1. */
static int conv(struct building *b, const char *name, int x, int outputs, int stride, bool biased)
{
    struct gradient *g = &b->g;
    char bias[64];
    if (g->rc)
        return -1;
    int64_t channels = gradient_shape(g, x)->dim[1];
    snprintf(bias, sizeof bias, "%s.bias", name);
    int inputs[] = { x, add_weights(b, name, SHAPE(outputs, channels, 3, 3), 9.0 * (double)channels),
                     biased ? add_constant(b, bias, SHAPE(outputs), 0) : -1 };
    const int64_t strides[] = { stride, stride }, pads[] = { 1, 1, 1, 1 }, kernel[] = { 3, 3 };
    const struct attribute attributes[] = {
        GRADIENT_INTS("kernel_shape", kernel, 2),
        GRADIENT_INTS("strides", strides, 2),
        GRADIENT_INTS("pads", pads, 4),
        { 0 },
    };
    return gradient_node(g, "Conv", inputs, biased ? 3 : 2, attributes, NULL, 1);
}

/* 4x4, twice the size: each output adds up a quarter of the taps. */
static int conv_transpose(struct building *b, const char *name, int x, int outputs)
{
    struct gradient *g = &b->g;
    char bias[64];
    if (g->rc)
        return -1;
    int64_t channels = gradient_shape(g, x)->dim[1];
    snprintf(bias, sizeof bias, "%s.bias", name);
    int inputs[] = { x, add_weights(b, name, SHAPE(channels, outputs, 4, 4), 4.0 * (double)channels),
                     add_constant(b, bias, SHAPE(outputs), 0) };
    const int64_t strides[] = { 2, 2 }, pads[] = { 1, 1, 1, 1 }, kernel[] = { 4, 4 };
    const struct attribute attributes[] = {
        GRADIENT_INTS("kernel_shape", kernel, 2),
        GRADIENT_INTS("strides", strides, 2),
        GRADIENT_INTS("pads", pads, 4),
        { 0 },
    };
    return gradient_node(g, "ConvTranspose", inputs, 3, attributes, NULL, 1);
}

/* Convolution, batch normalisation, Relu. */
static int unit(struct building *b, const char *name, int x, int outputs, int stride)
{
    static const char *const parts[] = { "scale", "bias", "mean", "variance" };
    struct gradient *g = &b->g;
    char part[64];
    int inputs[5] = { conv(b, name, x, outputs, stride, false) };
    for (int i = 0; i < 4; i++) {
        snprintf(part, sizeof part, "%s.norm.%s", name, parts[i]);
        inputs[i + 1] = add_constant(b, part, SHAPE(outputs), i == 0 || i == 3);
    }
    const struct attribute attributes[] = {
        GRADIENT_FLOAT("epsilon", 1e-5f),
        GRADIENT_FLOAT("momentum", 0.9f),
        { 0 },
    };
    int y = gradient_node(g, "BatchNormalization", inputs, 5, attributes, NULL, 1);
    return gradient_op(g, "Relu", y, -1);
}

/* Bilinear, half-pixel centres. */
static int resize(struct building *b, int x, int64_t height, int64_t width)
{
    struct gradient *g = &b->g;
    if (g->rc)
        return -1;
    const struct shape from = *gradient_shape(g, x);
    const int64_t sizes[] = { from.dim[0], from.dim[1], height, width };
    int inputs[] = { x, -1, -1, gradient_ints(g, sizes, 4) };
    const struct attribute attributes[] = {
        GRADIENT_STRING("mode", "linear"),
        GRADIENT_STRING("coordinate_transformation_mode", "half_pixel"),
        { 0 },
    };
    return gradient_node(g, "Resize", inputs, 4, attributes, NULL, 1);
}

static int pixel_shuffle(struct building *b, int x, int64_t block)
{
    const struct attribute attributes[] = {
        GRADIENT_INT("blocksize", block),
        GRADIENT_STRING("mode", "CRD"),
        { 0 },
    };
    return gradient_node(&b->g, "DepthToSpace", &x, 1, attributes, NULL, 1);
}

static int concat(struct building *b, int x, int y)
{
    const struct attribute attributes[] = { GRADIENT_INT("axis", 1), { 0 } };
    return gradient_node(&b->g, "Concat", (int[]){ x, y }, 2, attributes, NULL, 1);
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
