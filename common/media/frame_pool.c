/* frame_pool: AVBufferPool keeps the blocks; what is ours is the layout, which private pictures and
 * the shared picture_pool have in common. */
#include "media/frame_pool.h"

#include <assert.h>
#include <libavutil/buffer.h>
#include <libavutil/frame.h>

#define STRIDE_ALIGN 64u
/* libavcodec's own allocator leaves 16 + alignment - 1 bytes behind each plane. */
#define PLANE_PADDING_BYTES 128u

static size_t align_up(size_t value, size_t step)
{
    return (value + step - 1) / step * step;
}

int frame_layout_init(struct frame_layout *layout, uint32_t width, uint32_t height, struct error *err)
{
    assert(layout);
    if (width == 0 || height == 0 || width > PICTURE_SIDE_MAX || height > PICTURE_SIDE_MAX)
        return error_set(err, ERROR_LIMIT, "picture", "a size of %ux%u is not within 1x1 and %ux%u",
                         width, height, PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
    layout->width = width;
    layout->height = height;
    size_t offset = 0;
    for (int plane = 0; plane < 3; plane++) {
        size_t columns = plane == 0 ? width : (width + 1) / 2;
        size_t rows = plane == 0 ? height : (height + 1) / 2;
        size_t stride = align_up(columns, STRIDE_ALIGN);
        layout->stride[plane] = (int)stride;
        layout->offset[plane] = offset;
        offset += align_up(stride * rows + PLANE_PADDING_BYTES, STRIDE_ALIGN);
    }
    layout->bytes = offset;
    return 0;
}

void frame_layout_apply(const struct frame_layout *layout, struct AVFrame *frame, uint8_t *block)
{
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = (int)layout->width;
    frame->height = (int)layout->height;
    for (int plane = 0; plane < 3; plane++) {
        frame->data[plane] = block + layout->offset[plane];
        frame->linesize[plane] = layout->stride[plane];
    }
    frame->extended_data = frame->data;
}

int frame_pool_take(struct frame_pool *pool, uint32_t width, uint32_t height,
                    struct picture **picture, struct error *err)
{
    if (!pool->blocks || pool->layout.width != width || pool->layout.height != height) {
        frame_pool_finish(pool);
        int failed = frame_layout_init(&pool->layout, width, height, err);
        if (failed)
            return failed;
        pool->blocks = av_buffer_pool_init(pool->layout.bytes, NULL);
    }
    AVBufferRef *block = pool->blocks ? av_buffer_pool_get(pool->blocks) : NULL;
    if (!block)
        return error_set(err, ERROR_MEMORY, "picture", "no room for %zu bytes", pool->layout.bytes);
    int failed = picture_create_blank(picture, err);
    if (failed) {
        av_buffer_unref(&block);
        return failed;
    }
    picture_frame(*picture)->buf[0] = block;
    frame_layout_apply(&pool->layout, picture_frame(*picture), block->data);
    return 0;
}

void frame_pool_finish(struct frame_pool *pool)
{
    av_buffer_pool_uninit(&pool->blocks); /* waits for pictures that are still out; takes NULL */
}
