/* planes: the op `picture` (kernels/ops/picture.h) in front of a network, and its inputs. */
#include "analyse/planes.h"
#include "analyse/restore.h"
#include "graph/compose.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define COLOURS 3
#define PLANES_MAX 3
#define ALIGNMENT_BYTES 64 /* of memory that a plan takes for its own (device.h) */

struct plane {
    int64_t rows, bytes; /* bytes: of a row */
};

static uint32_t list_planes(const struct picture_view *picture, enum planes_way way,
                            struct plane planes[PLANES_MAX]);
static void pack(const uint8_t *from, uint32_t stride, const struct plane *plane, uint8_t *to);
static int read_pictures(struct compose *c, const struct card_input *input,
                         const struct picture_view *like, enum planes_way way, uint32_t pictures);
static int read_planes(struct compose *c, const struct card_input *input,
                       const struct picture_view *like, enum planes_way way, uint32_t place);
static void set_scaling(const struct card_input *input, float factor[COLOURS], float offset[COLOURS]);

bool planes_pay(const struct device *device)
{
    struct device_info info;
    device_get_info(device, &info);
    return strcmp(info.kind, "cpu") != 0;
}

int planes_embed(struct graph **whole, const struct graph *network, const struct card_input *input,
                 const struct picture_view *like, enum planes_way way, uint32_t pictures,
                 struct error *err)
{
    struct compose c;
    compose_start(&c, "planes", err);
    int picture = read_pictures(&c, input, like, way, pictures);
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

enum planes_way planes_find_way(const struct picture_view *picture, const uint8_t *end)
{
    struct plane planes[PLANES_MAX];
    uint32_t count = list_planes(picture, PLANES_IN_PLACE, planes);
    for (uint32_t i = 0; i < count; i++)
        if ((uintptr_t)picture->plane[i] % ALIGNMENT_BYTES != 0 || planes[i].bytes % 2 != 0 ||
            planes[i].bytes > PICTURE_SIDE_MAX ||
            planes[i].rows * planes[i].bytes > end - picture->plane[i])
            return PLANES_PACKED;
    return PLANES_IN_PLACE;
}

bool planes_alike(const struct picture_view *one, const struct picture_view *other,
                  enum planes_way way)
{
    bool rows = way == PLANES_PACKED ||
                (one->stride[0] == other->stride[0] && one->stride[1] == other->stride[1] &&
                 one->stride[2] == other->stride[2]);
    return rows && one->width == other->width && one->height == other->height &&
           one->format == other->format && one->matrix == other->matrix &&
           one->full_range == other->full_range;
}

int planes_put(const struct picture_view *picture, uint32_t place, enum planes_way way,
               struct plan *plan, struct error *err)
{
    struct plane planes[PLANES_MAX];
    uint32_t count = list_planes(picture, way, planes);
    int failed = 0;
    for (uint32_t i = 0; !failed && i < count; i++) {
        size_t input = (size_t)place * count + i;
        if (way == PLANES_IN_PLACE)
            failed = plan_bind_input(plan, input, picture->plane[i], err);
        else
            pack(picture->plane[i], picture->stride[i], &planes[i], plan_input(plan, input)->data);
    }
    return failed;
}

static void pack(const uint8_t *from, uint32_t stride, const struct plane *plane, uint8_t *to)
{
    for (int64_t y = 0; y < plane->rows; y++, from += stride, to += plane->bytes)
        memcpy(to, from, (size_t)plane->bytes);
}

/* Y, U and V, or Y and UV. */
static uint32_t list_planes(const struct picture_view *picture, enum planes_way way,
                            struct plane planes[PLANES_MAX])
{
    const int64_t columns = (picture->width + 1) / 2, rows = (picture->height + 1) / 2;
    bool nv12 = picture->format == PIXEL_NV12;
    planes[0] = (struct plane){ picture->height, picture->width };
    planes[1] = planes[2] = (struct plane){ rows, nv12 ? 2 * columns : columns };
    for (int i = 0; way == PLANES_IN_PLACE && i < PLANES_MAX; i++)
        planes[i].bytes = picture->stride[i];
    return nv12 ? 2 : 3;
}

/* One behind the other. */
static int read_pictures(struct compose *c, const struct card_input *input,
                         const struct picture_view *like, enum planes_way way, uint32_t pictures)
{
    const struct attribute attributes[] = { COMPOSE_INT("axis", 0), { 0 } };
    int list[GRAPH_NODE_INPUTS_MAX];
    assert(pictures >= 1 && pictures <= GRAPH_NODE_INPUTS_MAX);
    for (uint32_t i = 0; i < pictures; i++)
        list[i] = read_planes(c, input, like, way, i);
    return pictures == 1 ? list[0] : compose_node(c, "Concat", list, (int)pictures, attributes);
}

static int read_planes(struct compose *c, const struct card_input *input,
                       const struct picture_view *like, enum planes_way way, uint32_t place)
{
    static const char *const names[PLANES_MAX] = { "y", "u", "v" };
    const int64_t size[] = { input->height, input->width };
    float factor[COLOURS], offset[COLOURS];
    struct plane planes[PLANES_MAX];
    int inputs[PLANES_MAX];
    uint32_t count = list_planes(like, way, planes);
    assert(count <= PLANES_MAX);
    set_scaling(input, factor, offset);
    for (uint32_t i = 0; i < count; i++) {
        const int64_t rows = planes[i].rows, bytes = planes[i].bytes;
        bool pairs = like->format == PIXEL_NV12 && i > 0;
        char name[16];
        snprintf(name, sizeof name, "%s%u", names[i], place);
        inputs[i] = compose_input(c, name, TENSOR_U8,
                                  pairs ? COMPOSE_SHAPE(1, rows, bytes / 2, 2)
                                        : COMPOSE_SHAPE(1, rows, bytes));
    }
    const struct attribute attributes[] = {
        COMPOSE_INTS("size", size, 2),
        COMPOSE_INT("width", like->width),
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
