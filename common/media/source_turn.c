/* source_turn: see the header. Tile by tile, so that columns are read while their lines are cached. */
#include "media/source_turn.h"

#include <libavcodec/packet.h>
#include <libavformat/avformat.h>
#include <libavutil/frame.h>

#define TILE 32u

static const int32_t *find_matrix(const AVStream *stream, const AVFrame *frame)
{
    const AVFrameSideData *data = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
    if (data && data->size >= 9 * sizeof(int32_t))
        return (const int32_t *)data->data;
    size_t size = 0;
    const uint8_t *bytes = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return bytes && size >= 9 * sizeof(int32_t) ? (const int32_t *)bytes : NULL;
}

void source_turn_find(struct source_turn *turn, const AVStream *stream, const AVFrame *frame)
{
    const int32_t *matrix = find_matrix(stream, frame);
    *turn = (struct source_turn){ .transpose = false };
    if (!matrix)
        return;
    /* A point (x, y), y down, is shown at (a x + c y, b x + d y). */
    int32_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    if (a != 0 && d != 0 && b == 0 && c == 0)
        *turn = (struct source_turn){ .mirror_x = a < 0, .mirror_y = d < 0 };
    else if (b != 0 && c != 0 && a == 0 && d == 0)
        *turn = (struct source_turn){ .transpose = true, .mirror_x = c < 0, .mirror_y = b < 0 };
}

bool source_turn_is_none(const struct source_turn *turn)
{
    return !turn->transpose && !turn->mirror_x && !turn->mirror_y;
}

struct plane {
    uint8_t *data;
    uint32_t width, height, stride;
};

static struct plane plane_of(const struct picture_view *view, int index)
{
    return (struct plane){ .data = view->plane[index],
                           .width = index ? (view->width + 1) / 2 : view->width,
                           .height = index ? (view->height + 1) / 2 : view->height,
                           .stride = view->stride[index] };
}

/* One row of a tile of the target. */
static void turn_row(const struct source_turn *turn, const struct plane *from,
                     const struct plane *to, uint32_t y, uint32_t first, uint32_t end)
{
    uint32_t row = turn->mirror_y ? to->height - 1 - y : y;
    uint8_t *out = to->data + (size_t)y * to->stride;
    for (uint32_t x = first; x < end; x++) {
        uint32_t column = turn->mirror_x ? to->width - 1 - x : x;
        out[x] = turn->transpose ? from->data[(size_t)column * from->stride + row]
                                 : from->data[(size_t)row * from->stride + column];
    }
}

static void turn_plane(const struct source_turn *turn, const struct plane *from,
                       const struct plane *to)
{
    for (uint32_t top = 0; top < to->height; top += TILE)
        for (uint32_t left = 0; left < to->width; left += TILE)
            for (uint32_t y = top; y < top + TILE && y < to->height; y++)
                turn_row(turn, from, to, y, left, left + TILE < to->width ? left + TILE : to->width);
}

static int make_planes(struct scaler *scaler, struct picture **picture, struct error *err)
{
    const AVFrame *frame = picture_frame(*picture);
    struct picture *planes = NULL;
    int failed = scaler_to_picture_from_frame(scaler, frame, (uint32_t)frame->width,
                                              (uint32_t)frame->height, &planes, err);
    if (failed)
        return failed;
    picture_frame(planes)->sample_aspect_ratio = frame->sample_aspect_ratio;
    picture_unref(picture);
    *picture = planes;
    return 0;
}

int source_turn_picture(const struct source_turn *turn, struct scaler *scaler,
                        struct frame_pool *pool, struct picture **picture, struct error *err)
{
    struct picture_view from, to;
    picture_get_view(*picture, &from);
    int failed = from.format == PIXEL_I420 ? 0 : make_planes(scaler, picture, err);
    if (failed)
        return failed;
    struct picture *turned = NULL;
    picture_get_view(*picture, &from);
    failed = frame_pool_take(pool, turn->transpose ? from.height : from.width,
                             turn->transpose ? from.width : from.height, &turned, err);
    if (failed)
        return failed;
    picture_get_view(turned, &to);
    for (int index = 0; index < 3; index++) {
        const struct plane source = plane_of(&from, index), target = plane_of(&to, index);
        turn_plane(turn, &source, &target);
    }
    const AVFrame *before = picture_frame(*picture);
    AVFrame *after = picture_frame(turned);
    after->colorspace = before->colorspace;
    after->color_range = before->color_range;
    after->sample_aspect_ratio =
        turn->transpose ? av_inv_q(before->sample_aspect_ratio) : before->sample_aspect_ratio;
    picture_unref(picture);
    *picture = turned;
    return 0;
}
