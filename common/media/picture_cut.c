/* picture_cut: see the header. */
#include "media/picture_cut.h"

#include <assert.h>
#include <libavutil/frame.h>

#define SIDE_MIN 2u

/* Of a side that is too long for the other one. */
static uint32_t shorten(uint32_t side, uint64_t other, uint32_t shape, uint32_t shape_other)
{
    uint32_t wanted = (uint32_t)((other * shape + shape_other / 2) / shape_other) & ~1u;
    if (wanted < SIDE_MIN)
        wanted = SIDE_MIN;
    return wanted < side ? wanted : side;
}

struct picture_part picture_middle(uint32_t width, uint32_t height, uint32_t shape_width,
                                   uint32_t shape_height)
{
    assert(width > 0 && height > 0 && shape_width > 0 && shape_height > 0);
    struct picture_part part = { 0, 0, width, height };
    uint64_t wide = (uint64_t)width * shape_height, high = (uint64_t)height * shape_width;
    if (wide > high)
        part.width = shorten(width, height, shape_width, shape_height);
    else if (wide < high)
        part.height = shorten(height, width, shape_height, shape_width);
    part.x = (width - part.width) / 2 & ~1u;
    part.y = (height - part.height) / 2 & ~1u;
    return part;
}

int picture_cut(struct picture *from, const struct picture_part *part, struct picture **to,
                struct error *err)
{
    assert(from && part && to && part->x % 2 == 0 && part->y % 2 == 0);
    struct picture_view view;
    picture_get_view(from, &view);
    assert(part->width > 0 && part->x + part->width <= view.width);
    assert(part->height > 0 && part->y + part->height <= view.height);
    if (part->width == view.width && part->height == view.height) {
        *to = picture_ref(from);
        return 0;
    }
    AVFrame *frame = av_frame_clone(picture_frame(from));
    if (!frame)
        return error_set(err, ERROR_MEMORY, "picture", "no room for a part of a picture");
    frame->data[0] += (size_t)part->y * view.stride[0] + part->x;
    for (int plane = 1; plane < (view.format == PIXEL_NV12 ? 2 : 3); plane++)
        frame->data[plane] += (size_t)part->y / 2 * view.stride[plane] +
                              (view.format == PIXEL_NV12 ? part->x : part->x / 2);
    frame->width = (int)part->width;
    frame->height = (int)part->height;
    int failed = picture_from_frame(to, frame, err);
    av_frame_free(&frame);
    return failed;
}
