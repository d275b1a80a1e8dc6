/* encode_device: see the header. */
#include "media/encode_device.h"
#include "media/ffmpeg.h"
#include "media/hardware.h"

#include <assert.h>
#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <stdlib.h>

#define ROW_ALIGN 64
#define SURFACES 8 /* the picture at hand, its reference, and what a driver keeps for itself */

struct encode_device {
    int width, height, row_bytes;
    AVBufferPool *blocks;  /* for NV12 pictures */
    AVFrame *staged;       /* the picture as NV12; blank between two */
    AVBufferRef *surfaces; /* NULL: NV12 is enough */
};

static int open_surfaces(struct encode_device *device, AVCodecContext *context, struct error *err);

int encode_device_open(struct encode_device **device, AVCodecContext *context, struct error *err)
{
    struct encode_device *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "encoder", "no room for an encoder");
    fresh->width = context->width;
    fresh->height = context->height;
    fresh->row_bytes = (context->width + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
    size_t bytes = (size_t)fresh->row_bytes * ((size_t)fresh->height * 3 / 2) + ROW_ALIGN;
    fresh->blocks = av_buffer_pool_init(bytes, NULL);
    fresh->staged = av_frame_alloc();
    int failed = 0;
    if (!fresh->blocks || !fresh->staged)
        failed = error_set(err, ERROR_MEMORY, "encoder", "no room for an encoder");
    else if (context->pix_fmt == AV_PIX_FMT_VAAPI)
        failed = open_surfaces(fresh, context, err);
    if (failed)
        encode_device_close(&fresh);
    else
        *device = fresh;
    return failed;
}

static void stage_chroma(const struct encode_device *device, const AVFrame *picture, AVFrame *staged)
{
    for (int row = 0; row < device->height / 2; row++) {
        const uint8_t *u = picture->data[1] + (ptrdiff_t)row * picture->linesize[1];
        const uint8_t *v = picture->data[2] + (ptrdiff_t)row * picture->linesize[2];
        uint8_t *to = staged->data[1] + (ptrdiff_t)row * staged->linesize[1];
        for (int column = 0; column < device->width / 2; column++) {
            *to++ = u[column];
            *to++ = v[column];
        }
    }
}

/* A copy as NV12 in memory of its own, which the encoder may keep. */
static int stage(struct encode_device *device, const AVFrame *picture)
{
    AVFrame *staged = device->staged;
    staged->buf[0] = av_buffer_pool_get(device->blocks);
    if (!staged->buf[0])
        return AVERROR(ENOMEM);
    staged->format = AV_PIX_FMT_NV12;
    staged->width = device->width;
    staged->height = device->height;
    staged->linesize[0] = staged->linesize[1] = device->row_bytes;
    staged->data[0] = staged->buf[0]->data;
    staged->data[1] = staged->data[0] + (ptrdiff_t)device->row_bytes * device->height;
    staged->color_range = picture->color_range;
    staged->colorspace = picture->colorspace;
    av_image_copy_plane(staged->data[0], device->row_bytes, picture->data[0], picture->linesize[0],
                        device->width, device->height);
    if (picture->format == AV_PIX_FMT_NV12)
        av_image_copy_plane(staged->data[1], device->row_bytes, picture->data[1],
                            picture->linesize[1], device->width, device->height / 2);
    else
        stage_chroma(device, picture, staged);
    return 0;
}

int encode_device_take(struct encode_device *device, const AVFrame *picture, AVFrame *frame)
{
    assert(picture->width == device->width && picture->height == device->height);
    int rc = stage(device, picture);
    if (rc == 0 && !device->surfaces) {
        av_frame_move_ref(frame, device->staged);
        return 0;
    }
    if (rc == 0)
        rc = av_hwframe_get_buffer(device->surfaces, frame, 0);
    if (rc == 0)
        rc = av_hwframe_transfer_data(frame, device->staged, 0);
    if (rc == 0)
        rc = av_frame_copy_props(frame, device->staged);
    av_frame_unref(device->staged);
    if (rc < 0)
        av_frame_unref(frame);
    return rc;
}

void encode_device_close(struct encode_device **device)
{
    struct encode_device *old = *device;
    *device = NULL;
    if (!old)
        return;
    av_buffer_unref(&old->surfaces);
    av_frame_free(&old->staged);
    av_buffer_pool_uninit(&old->blocks);
    free(old);
}

static int open_surfaces(struct encode_device *device, AVCodecContext *context, struct error *err)
{
    char path[HARDWARE_NODE_BYTES];
    AVBufferRef *gpu = NULL;
    int failed = hardware_find_gpu("encoder", path, err);
    if (failed)
        return failed;
    int rc = av_hwdevice_ctx_create(&gpu, AV_HWDEVICE_TYPE_VAAPI, path, NULL, 0);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "encoder", "cannot open %s", path);
    device->surfaces = av_hwframe_ctx_alloc(gpu);
    av_buffer_unref(&gpu);
    if (!device->surfaces)
        return error_set(err, ERROR_MEMORY, "encoder", "no room for an encoder");
    AVHWFramesContext *frames = (AVHWFramesContext *)device->surfaces->data;
    frames->format = AV_PIX_FMT_VAAPI;
    frames->sw_format = AV_PIX_FMT_NV12;
    frames->width = device->width;
    frames->height = device->height;
    frames->initial_pool_size = SURFACES;
    rc = av_hwframe_ctx_init(device->surfaces);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "encoder", "no surfaces of %dx%d at %s",
                            device->width, device->height, path);
    context->hw_frames_ctx = av_buffer_ref(device->surfaces);
    return context->hw_frames_ctx
               ? 0
               : error_set(err, ERROR_MEMORY, "encoder", "no room for an encoder");
}
