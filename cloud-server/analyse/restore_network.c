/* restore_network: networks of other makers and our own as one step of a graph: what they read and give is
 * checked when they are put in. */
#include "analyse/restore_parts.h"
#include "onnx/onnx.h"
#include <stdio.h>

#define NETWORK_PREFIX "restore/" /* of its names in the whole graph */
#define SHAPE_TEXT_BYTES 64

/* How a network has its pictures. */
enum network_layout { NETWORK_RGB, NETWORK_LUMA, NETWORK_LUMA_LAST };

static int read_network(struct graph **network, const struct restore_config *config,
                        enum network_layout *layout, struct error *err);
static int find_layout(const struct graph *network, enum network_layout *layout, struct error *err);
static struct shape input_shape(enum network_layout layout, int64_t width, int64_t height);
static int check_input(const struct graph *network, const struct shape *shape,
                       const struct restore_config *config, struct error *err);
static int check_output(const struct graph *network, enum network_layout layout,
                        const struct restore_config *config, struct error *err);
static int check_size(int64_t width, int64_t height, const struct restore_config *config,
                      struct error *err);
static int restore_luma(struct compose *c, const struct restore_config *config,
                        const struct graph *network, enum network_layout layout, int picture);
static int take_luma(struct compose *c, int picture);
static int reshape(struct compose *c, int value, const struct shape *shape);

int restore_by_network(struct compose *c, const struct restore_config *config, int picture)
{
    struct graph *network = NULL;
    enum network_layout layout = NETWORK_RGB; /* for gcc, which at -O1 sees it unset */
    int restored = -1;
    if (c->rc)
        return -1;
    c->rc = read_network(&network, config, &layout, c->err);
    if (c->rc) {
        error_wrap(c->err, "network %s", config->network);
        return -1;
    }
    if (layout == NETWORK_RGB)
        compose_part(c, network, NETWORK_PREFIX, &picture, &restored);
    else
        restored = restore_luma(c, config, network, layout, picture);
    graph_free(&network);
    return restored;
}

/* Checked, and inferred for received pictures. */
static int read_network(struct graph **network, const struct restore_config *config,
                        enum network_layout *layout, struct error *err)
{
    int rc = onnx_read_file(network, config->network, err);
    if (rc)
        return rc;
    rc = find_layout(*network, layout, err);
    if (!rc) {
        const struct shape shape = input_shape(*layout, config->width, config->height);
        rc = check_input(*network, &shape, config, err);
        if (!rc)
            rc = graph_infer(*network, &shape, err);
    }
    if (!rc)
        rc = check_output(*network, *layout, config, err);
    if (rc)
        graph_free(network);
    return rc;
}

static int find_layout(const struct graph *network, enum network_layout *layout, struct error *err)
{
    char text[SHAPE_TEXT_BYTES];
    if (network->input_count != 1 || network->output_count != 1)
        return error_set(err, ERROR_UNSUPPORTED, "graph",
                         "%d inputs and %d outputs, but a network that restores has one of each",
                         network->input_count, network->output_count);
    const struct value *input = &network->values[network->inputs[0]];
    bool images = input->type == TENSOR_F32 && input->shape.rank == 4;
    if (images && input->shape.dim[1] == RESTORE_CHANNELS)
        *layout = NETWORK_RGB;
    else if (images && input->shape.dim[1] == 1)
        *layout = NETWORK_LUMA;
    else if (images && input->shape.dim[3] == 1)
        *layout = NETWORK_LUMA_LAST;
    else {
        shape_format(&input->shape, text, sizeof text);
        return error_set(err, ERROR_UNSUPPORTED, "graph",
                         "input %s is %s of %s, but a network that restores reads f32 of 1x3xHxW "
                         "(RGB), 1x1xHxW or 1xHxWx1 (luma)",
                         input->name, tensor_type_word(input->type), text);
    }
    return 0;
}

static struct shape input_shape(enum network_layout layout, int64_t width, int64_t height)
{
    if (layout == NETWORK_LUMA_LAST)
        return (struct shape){ 4, { 1, height, width, 1 } };
    return (struct shape){ 4, { 1, layout == NETWORK_RGB ? RESTORE_CHANNELS : 1, height, width } };
}

/* Dimensions that the file fixes must be those of received pictures. */
static int check_input(const struct graph *network, const struct shape *shape,
                       const struct restore_config *config, struct error *err)
{
    const struct value *input = &network->values[network->inputs[0]];
    char has[SHAPE_TEXT_BYTES];
    bool matches = true;
    for (int d = 0; d < shape->rank; d++)
        matches &= input->shape.dim[d] == -1 || input->shape.dim[d] == shape->dim[d];
    if (matches)
        return 0;
    shape_format(&input->shape, has, sizeof has);
    return error_set(err, ERROR_CONFIG, "graph",
                     "input %s is %s and reads nothing else, but pictures of %ux%u are received",
                     input->name, has, config->width, config->height);
}

/* A luma network may have its channel last on one side and first on the other: the bytes are the
 * same. */
static int check_output(const struct graph *network, enum network_layout layout,
                        const struct restore_config *config, struct error *err)
{
    const struct value *output = &network->values[network->outputs[0]];
    const struct shape *shape = &output->shape;
    char text[SHAPE_TEXT_BYTES];
    int64_t channels = layout == NETWORK_RGB ? RESTORE_CHANNELS : 1;
    bool images = output->type == TENSOR_F32 && shape->rank == 4 && shape->dim[0] == 1;
    if (images && shape->dim[1] == channels)
        return check_size(shape->dim[3], shape->dim[2], config, err);
    if (images && layout != NETWORK_RGB && shape->dim[3] == 1)
        return check_size(shape->dim[2], shape->dim[1], config, err);
    shape_format(shape, text, sizeof text);
    return error_set(err, ERROR_UNSUPPORTED, "graph",
                     "output %s is %s of %s; it must be f32 and have %lld channels as the input",
                     output->name, tensor_type_word(output->type), text, (long long)channels);
}

/* What the network makes must be the camera's; otherwise the error tells which rung would do. */
static int check_size(int64_t width, int64_t height, const struct restore_config *config,
                      struct error *err)
{
    char advice[96] = "";
    int64_t camera_width = config->camera_width, camera_height = config->camera_height;
    if (width == camera_width && height == camera_height)
        return 0;
    int64_t times = width / config->width;
    if (times > 0 && width == times * config->width && height == times * config->height) {
        if (camera_width % times || camera_height % times)
            snprintf(advice, sizeof advice, "; it makes x%lld, so no rung fits", (long long)times);
        else
            snprintf(advice, sizeof advice, "; it makes x%lld, so the rung must be %lldx%lld",
                     (long long)times, (long long)(camera_width / times),
                     (long long)(camera_height / times));
    }
    return error_set(err, ERROR_CONFIG, "graph",
                     "makes %lldx%lld of a received %ux%u, but the camera's pictures are %ux%u%s",
                     (long long)width, (long long)height, config->width, config->height,
                     config->camera_width, config->camera_height, advice);
}

/* Luma goes through the network and chroma is bicubic. As each of R, G and B is luma plus a mixture of
 * chroma, that is the bicubic picture with the difference of the two lumas added to all three. */
static int restore_luma(struct compose *c, const struct restore_config *config,
                        const struct graph *network, enum network_layout layout, int picture)
{
    const struct shape reads = input_shape(layout, config->width, config->height);
    const struct shape gives = input_shape(NETWORK_LUMA, config->camera_width, config->camera_height);
    int restored = -1, luma = reshape(c, take_luma(c, picture), &reads);
    compose_part(c, network, NETWORK_PREFIX, &luma, &restored);
    restored = reshape(c, restored, &gives);
    int bicubic = restore_by_resize(c, config, picture, "cubic");
    int details = compose_op(c, "Sub", restored, take_luma(c, bicubic));
    return compose_op(c, "Add", bicubic, details);
}

/* ITU-R BT.601, full range. */
static int take_luma(struct compose *c, int picture)
{
    static const float shares[RESTORE_CHANNELS] = { 0.299f, 0.587f, 0.114f };
    int weights = compose_constant(c, "luma", COMPOSE_SHAPE(1, RESTORE_CHANNELS, 1, 1), 0);
    float *weight = compose_floats(c, weights);
    for (int i = 0; weight && i < RESTORE_CHANNELS; i++)
        weight[i] = shares[i];
    return compose_conv(c, picture, weights, -1, 1);
}

static int reshape(struct compose *c, int value, const struct shape *shape)
{
    if (c->rc || shape_equal(shape, compose_shape(c, value)))
        return value;
    int sizes = compose_ints(c, shape->dim, (size_t)shape->rank);
    return compose_op(c, "Reshape", value, sizes);
}
