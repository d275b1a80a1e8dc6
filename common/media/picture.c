/* picture: a reference count around an AVFrame, because av_frame_ref would take memory for every
 * reference. Shells (struct picture and its blank AVFrame) are used again. */
#include "media/picture.h"
#include "media/ffmpeg.h"
#include "media/frame_pool.h"
#include "media/recycler.h"

#include <assert.h>
#include <libavutil/frame.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LUMA_BLACK 16
#define CHROMA_GREY 128

struct picture {
    atomic_uint refs;
    AVFrame *frame; /* never NULL; blank while the shell waits to be used again */
};

static struct recycler shells = RECYCLER_INIT;

int picture_create_blank(struct picture **picture, struct error *err)
{
    assert(picture);
    struct picture *fresh = recycler_take(&shells);
    if (!fresh) {
        fresh = calloc(1, sizeof *fresh);
        if (fresh)
            fresh->frame = av_frame_alloc();
        if (!fresh || !fresh->frame) {
            free(fresh);
            return error_set(err, ERROR_MEMORY, "picture", "no room for a picture");
        }
    }
    atomic_init(&fresh->refs, 1);
    *picture = fresh;
    return 0;
}

int picture_from_frame(struct picture **picture, AVFrame *frame, struct error *err)
{
    assert(picture && frame);
    if (frame->format != AV_PIX_FMT_YUV420P && frame->format != AV_PIX_FMT_YUVJ420P &&
        frame->format != AV_PIX_FMT_NV12)
        return error_set(err, ERROR_UNSUPPORTED, "picture", "pixel format %d is not 8-bit 4:2:0",
                         frame->format);
    if (frame->width < 1 || frame->height < 1 || frame->width > (int)PICTURE_SIDE_MAX ||
        frame->height > (int)PICTURE_SIDE_MAX)
        return error_set(err, ERROR_LIMIT, "picture", "a size of %dx%d is not within 1x1 and %ux%u",
                         frame->width, frame->height, PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
    for (int plane = 0; plane < (frame->format == AV_PIX_FMT_NV12 ? 2 : 3); plane++)
        if (!frame->data[plane] || frame->linesize[plane] <= 0)
            return error_set(err, ERROR_UNSUPPORTED, "picture", "rows lie bottom up or are missing");
    int failed = picture_create_blank(picture, err);
    if (failed)
        return failed;
    AVFrame *own = (*picture)->frame;
    av_frame_move_ref(own, frame);
    if (own->format == AV_PIX_FMT_YUVJ420P) { /* the old way of saying full range */
        own->format = AV_PIX_FMT_YUV420P;
        own->color_range = AVCOL_RANGE_JPEG;
    }
    own->colorspace = ffmpeg_matrix(own);
    return 0;
}

AVFrame *picture_frame(const struct picture *picture)
{
    return picture->frame;
}

int picture_create(struct picture **picture, uint32_t width, uint32_t height, struct error *err)
{
    struct frame_layout layout;
    int failed = frame_layout_init(&layout, width, height, err);
    if (failed)
        return failed;
    AVBufferRef *block = av_buffer_alloc(layout.bytes);
    if (!block)
        return error_set(err, ERROR_MEMORY, "picture", "no room for %zu bytes", layout.bytes);
    failed = picture_create_blank(picture, err);
    if (failed) {
        av_buffer_unref(&block);
        return failed;
    }
    memset(block->data, LUMA_BLACK, layout.offset[1]);
    memset(block->data + layout.offset[1], CHROMA_GREY, layout.bytes - layout.offset[1]);
    (*picture)->frame->buf[0] = block;
    frame_layout_apply(&layout, (*picture)->frame, block->data);
    return 0;
}

struct picture *picture_ref(struct picture *picture)
{
    unsigned before = atomic_fetch_add_explicit(&picture->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return picture;
}

void picture_unref(struct picture **picture)
{
    assert(picture);
    struct picture *old = *picture;
    *picture = NULL;
    if (!old)
        return;
    unsigned before = atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    av_frame_unref(old->frame);
    if (recycler_give(&shells, old))
        return;
    av_frame_free(&old->frame);
    free(old);
}

void picture_get_display_size(const struct picture *picture, uint32_t *width, uint32_t *height)
{
    const AVFrame *frame = picture->frame;
    ffmpeg_display_size((uint32_t)frame->width, (uint32_t)frame->height, frame->sample_aspect_ratio,
                        width, height);
}

void picture_get_view(const struct picture *picture, struct picture_view *view)
{
    const AVFrame *frame = picture->frame;
    bool nv12 = frame->format == AV_PIX_FMT_NV12;
    bool bt709 = frame->colorspace == AVCOL_SPC_BT709 ||
                 frame->colorspace == AVCOL_SPC_BT2020_NCL /* the nearer of our two */;
    *view = (struct picture_view){
        .format = nv12 ? PIXEL_NV12 : PIXEL_I420,
        .matrix = bt709 ? MATRIX_BT709 : MATRIX_BT601,
        .full_range = frame->color_range == AVCOL_RANGE_JPEG,
        .width = (uint32_t)frame->width,
        .height = (uint32_t)frame->height,
    };
    for (int plane = 0; plane < (nv12 ? 2 : 3); plane++) {
        view->plane[plane] = frame->data[plane];
        view->stride[plane] = (uint32_t)frame->linesize[plane];
    }
}
