/* planes: the op `picture` (kernels/ops/picture.h) in front of a network, and its inputs. Rows are as
 * long as the picture, whatever the decoder's are. */
#include "analyse/planes.h"
#include "analyse/restore.h"
#include "graph/compose.h"
#include <string.h>

#define COLOURS 3
#define PLANES_MAX 3

struct plane {
    int64_t rows, bytes; /* bytes: of a row */
};

static uint32_t list_planes(const struct picture_view *picture, struct plane planes[PLANES_MAX]);
static int read_planes(struct compose *c, const struct card_input *input,
                       const struct picture_view *like);
static void set_scaling(const struct card_input *input, float factor[COLOURS], float offset[COLOURS]);

bool planes_pay(const struct device *device)
{
    struct device_info info;
    device_get_info(device, &info);
    return strcmp(info.kind, "cpu") != 0;
}

int planes_embed(struct graph **whole, const struct graph *network, const struct card_input *input,
                 const struct picture_view *like, struct error *err)
{
    struct compose c;
    compose_start(&c, "planes", err);
    int picture = read_planes(&c, input, like);
    if (input->layout == LAYOUT_NHWC)
        picture = restore_channels_last(&c, picture);
    restore_analyse(&c, network, picture);
    if (c.rc) {
        graph_free(&c.graph);
        return c.rc;
    }
    *whole = c.graph;
    return 0;
}

bool planes_alike(const struct picture_view *one, const struct picture_view *other)
{
    return one->width == other->width && one->height == other->height &&
           one->format == other->format && one->matrix == other->matrix &&
           one->full_range == other->full_range;
}

void planes_fill(const struct picture_view *picture, struct plan *plan)
{
    struct plane planes[PLANES_MAX];
    uint32_t count = list_planes(picture, planes);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *from = picture->plane[i];
        uint8_t *to = plan_input(plan, i)->data;
        for (int64_t y = 0; y < planes[i].rows; y++, from += picture->stride[i], to += planes[i].bytes)
            memcpy(to, from, (size_t)planes[i].bytes);
    }
}

/* Y, U and V, or Y and UV. */
static uint32_t list_planes(const struct picture_view *picture, struct plane planes[PLANES_MAX])
{
    const int64_t columns = (picture->width + 1) / 2, rows = (picture->height + 1) / 2;
    bool nv12 = picture->format == PIXEL_NV12;
    planes[0] = (struct plane){ picture->height, picture->width };
    planes[1] = planes[2] = (struct plane){ rows, nv12 ? 2 * columns : columns };
    return nv12 ? 2 : 3;
}

static int read_planes(struct compose *c, const struct card_input *input,
                       const struct picture_view *like)
{
    static const char *const names[] = { "y", "u", "v" };
    const int64_t size[] = { input->height, input->width };
    float factor[COLOURS], offset[COLOURS];
    struct plane planes[PLANES_MAX];
    int inputs[PLANES_MAX];
    uint32_t count = list_planes(like, planes);
    set_scaling(input, factor, offset);
    for (uint32_t i = 0; i < count; i++) {
        const int64_t rows = planes[i].rows, bytes = planes[i].bytes;
        bool pairs = like->format == PIXEL_NV12 && i > 0;
        inputs[i] = compose_input(c, names[i], TENSOR_U8,
                                  pairs ? COMPOSE_SHAPE(1, rows, bytes / 2, 2)
                                        : COMPOSE_SHAPE(1, rows, bytes));
    }
    const struct attribute attributes[] = {
        COMPOSE_INTS("size", size, 2),
        COMPOSE_STRING("fit", input->fit == FIT_LETTERBOX ? "letterbox" : "stretch"),
        COMPOSE_STRING("matrix", like->matrix == MATRIX_BT709 ? "bt709" : "bt601"),
        COMPOSE_INT("full_range", like->full_range),
        COMPOSE_STRING("colour", input->colour == COLOUR_BGR ? "bgr" : "rgb"),
        COMPOSE_FLOAT("pad", (float)input->pad),
        { .name = "factor", .kind = ATTRIBUTE_FLOATS, .floats = factor, .count = COLOURS },
        { .name = "offset", .kind = ATTRIBUTE_FLOATS, .floats = offset, .count = COLOURS },
        { 0 },
    };
    return compose_node(c, "picture", inputs, (int)count, attributes);
}

/* Of R, G and B, whatever their order: pixel * factor + offset = (pixel / divisor - mean) / deviation. */
static void set_scaling(const struct card_input *input, float factor[COLOURS], float offset[COLOURS])
{
    const double mean[] = { input->mean.r, input->mean.g, input->mean.b };
    const double deviation[] = { input->deviation.r, input->deviation.g, input->deviation.b };
    for (int i = 0; i < COLOURS; i++) {
        factor[i] = (float)(1 / (input->divisor * deviation[i]));
        offset[i] = (float)(-mean[i] / deviation[i]);
    }
}
