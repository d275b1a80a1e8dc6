/* restore: three parts of a graph one behind the other: from received to the camera's size, from there to
 * where the card's fit puts the picture, and the analytics network. What need not be done (equal sizes,
 * no padding, numbers that are 0..1 already) is not in the graph. */
#include "analyse/restore.h"
#include "analyse/prepare.h"
#include "analyse/restore_parts.h"
#include "media/picture.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define PIXEL_MAX 255.0 /* what the card's numbers for pixels make of 1 */

/* Two neighbours in a row stand for about this many; where more become one, some would be missed. */
#define SHRINK_PLAIN 1.25

static int check_config(const struct restore_config *config, struct error *err);
static int resize(struct compose *c, int picture, int64_t width, int64_t height);
static int64_t count_samples(int64_t from, int64_t to);
static int average(struct compose *c, int picture, int64_t rows, int64_t columns);
static int pad(struct compose *c, const struct card_input *input, int picture);
static int order_colours(struct compose *c, int picture);
static int scale(struct compose *c, const struct card_input *input, int picture);
static int per_channel(struct compose *c, const char *op, int picture, const double *numbers,
                       double neutral);
static int clip(struct compose *c, int value);

int restore_embed(struct graph **whole, const struct graph *analytics, const struct card *card,
                  const struct restore_config *config, struct card_input *input, struct error *err)
{
    struct compose c;
    assert(config->kind != RESTORE_NONE && analytics->input_count == 1);
    int rc = check_config(config, err);
    if (rc)
        return rc;
    compose_start(&c, "restore", err);
    int picture = compose_input(&c, "picture", TENSOR_F32,
                                COMPOSE_SHAPE(1, RESTORE_CHANNELS, config->height, config->width));
    int restored = restore_picture(&c, config, picture);
    restore_analyse(&c, analytics, restore_fit(&c, &card->input, restored));
    if (config->keep)
        compose_output(&c, restored, RESTORE_OUTPUT_NAME);
    if (c.rc) {
        graph_free(&c.graph);
        return c.rc;
    }
    *input = (struct card_input){ .width = config->width,
                                  .height = config->height,
                                  .layout = LAYOUT_NCHW,
                                  .colour = COLOUR_RGB,
                                  .fit = FIT_STRETCH,
                                  .divisor = PIXEL_MAX,
                                  .deviation = { 1, 1, 1 } };
    *whole = c.graph;
    return 0;
}

static int check_config(const struct restore_config *config, struct error *err)
{
    const uint32_t sides[] = { config->width, config->height, config->camera_width,
                               config->camera_height };
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        if (sides[i] < 1 || sides[i] > PICTURE_SIDE_MAX)
            return error_set(err, ERROR_LIMIT, "restore",
                             "%ux%u to %ux%u: sides must be within 1 and %u", sides[0], sides[1],
                             sides[2], sides[3], PICTURE_SIDE_MAX);
    return 0;
}

/* ---- from received to the camera's size ---- */

/* Only linear interpolation never overshoots. */
int restore_picture(struct compose *c, const struct restore_config *config, int picture)
{
    if (config->kind == RESTORE_NONE)
        return picture;
    if (config->kind == RESTORE_BILINEAR)
        return restore_by_resize(c, config, picture, "linear");
    if (config->kind == RESTORE_NETWORK)
        return clip(c, restore_by_network(c, config, picture));
    int restored = restore_by_resize(c, config, picture, "cubic");
    return restored == picture ? restored : clip(c, restored);
}

/* Cubic is with a = -0.75, ONNX's default, OpenCV's and PyTorch's. Of pictures that the sender's scaler has
 * made smaller it leaves a little more than -0.5, that of Pillow and MATLAB: networks are to beat the
 * better one. */
int restore_by_resize(struct compose *c, const struct restore_config *config, int picture,
                      const char *mode)
{
    if (config->width == config->camera_width && config->height == config->camera_height)
        return picture;
    return compose_resize(c, picture, config->camera_height, config->camera_width, mode);
}

/* ---- from there to what the card wants, in prepare's way ---- */

int restore_fit(struct compose *c, const struct card_input *input, int picture)
{
    struct placement placement;
    const struct shape *shape = compose_shape(c, picture);
    if (c->rc)
        return -1;
    prepare_place(input, (uint32_t)shape->dim[3], (uint32_t)shape->dim[2], &placement);
    picture = resize(c, picture, placement.inner_width, placement.inner_height);
    picture = pad(c, input, picture);
    if (input->colour == COLOUR_BGR)
        picture = order_colours(c, picture);
    picture = scale(c, input, picture);
    return input->layout == LAYOUT_NHWC ? restore_channels_last(c, picture) : picture;
}

/* Linear, as prepare does it where pictures grow. Where they shrink, prepare averages what a pixel covers;
 * here that is the mean of as many linear samples. */
static int resize(struct compose *c, int picture, int64_t width, int64_t height)
{
    const struct shape *from = compose_shape(c, picture);
    int64_t columns = count_samples(from->dim[3], width);
    int64_t rows = count_samples(from->dim[2], height);
    if (from->dim[3] != columns * width || from->dim[2] != rows * height)
        picture = compose_resize(c, picture, rows * height, columns * width, "linear");
    return rows > 1 || columns > 1 ? average(c, picture, rows, columns) : picture;
}

/* In one dimension, for each pixel of the smaller picture. */
static int64_t count_samples(int64_t from, int64_t to)
{
    double times = (double)from / (double)to;
    return times <= SHRINK_PLAIN ? 1 : times < 2 ? 2 : llround(times);
}

static int average(struct compose *c, int picture, int64_t rows, int64_t columns)
{
    const int64_t window[] = { rows, columns };
    const struct attribute attributes[] = {
        COMPOSE_INTS("kernel_shape", window, 2),
        COMPOSE_INTS("strides", window, 2),
        { 0 },
    };
    return compose_node(c, "AveragePool", &picture, 1, attributes);
}

/* Right of and below the picture. */
static int pad(struct compose *c, const struct card_input *input, int picture)
{
    const struct shape *has = compose_shape(c, picture);
    const int64_t pads[8] = { [6] = input->height - has->dim[2], [7] = input->width - has->dim[3] };
    if (c->rc || (pads[6] == 0 && pads[7] == 0))
        return picture;
    const int inputs[] = { picture, compose_ints(c, pads, 8),
                           compose_scalar(c, input->pad / PIXEL_MAX) };
    return compose_node(c, "Pad", inputs, 3, NULL);
}

static int order_colours(struct compose *c, int picture)
{
    static const int64_t order[] = { 2, 1, 0 };
    const int inputs[] = { picture, compose_ints(c, order, RESTORE_CHANNELS) };
    const struct attribute attributes[] = { COMPOSE_INT("axis", 1), { 0 } };
    return compose_node(c, "Gather", inputs, 2, attributes);
}

/* (x * 255 / divisor - mean) / deviation, as one product and one sum. */
static int scale(struct compose *c, const struct card_input *input, int picture)
{
    const double mean[] = { input->mean.r, input->mean.g, input->mean.b };
    const double deviation[] = { input->deviation.r, input->deviation.g, input->deviation.b };
    double factor[RESTORE_CHANNELS], offset[RESTORE_CHANNELS];
    for (int i = 0; i < RESTORE_CHANNELS; i++) {
        int colour = input->colour == COLOUR_BGR ? RESTORE_CHANNELS - 1 - i : i;
        factor[i] = PIXEL_MAX / (input->divisor * deviation[colour]);
        offset[i] = -mean[colour] / deviation[colour];
    }
    return per_channel(c, "Add", per_channel(c, "Mul", picture, factor, 1), offset, 0);
}

/* neutral: the number that leaves op's other side as it is. */
static int per_channel(struct compose *c, const char *op, int picture, const double *numbers,
                       double neutral)
{
    bool idle = true;
    for (int i = 0; i < RESTORE_CHANNELS; i++)
        idle &= !(numbers[i] < neutral) && !(numbers[i] > neutral);
    if (idle)
        return picture;
    int constant = compose_constant(c, "", COMPOSE_SHAPE(1, RESTORE_CHANNELS, 1, 1), 0);
    float *held = compose_floats(c, constant);
    for (int i = 0; held && i < RESTORE_CHANNELS; i++)
        held[i] = (float)numbers[i];
    return compose_op(c, op, picture, constant);
}

int restore_channels_last(struct compose *c, int picture)
{
    static const int64_t order[] = { 0, 2, 3, 1 };
    const struct attribute attributes[] = { COMPOSE_INTS("perm", order, 4), { 0 } };
    return compose_node(c, "Transpose", &picture, 1, attributes);
}

static int clip(struct compose *c, int value)
{
    const int inputs[] = { value, compose_scalar(c, 0), compose_scalar(c, 1) };
    return compose_node(c, "Clip", inputs, 3, NULL);
}

/* ---- analytics ---- */

void restore_analyse(struct compose *c, const struct graph *analytics, int picture)
{
    if (c->rc)
        return;
    int *outputs = calloc((size_t)analytics->output_count + 1, sizeof *outputs);
    if (!outputs) {
        c->rc = error_set(c->err, ERROR_MEMORY, "restore", "no memory left");
        return;
    }
    compose_part(c, analytics, "", &picture, outputs);
    for (int i = 0; !c->rc && i < analytics->output_count; i++) {
        int place = graph_mark_output(c->graph, outputs[i], c->err);
        if (place < 0)
            c->rc = place;
    }
    free(outputs);
}
