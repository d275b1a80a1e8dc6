/* decode_device: see the header. NVDEC and VAAPI help libavcodec's own decoders, which read the stream; QSV and
 * V4L2 have decoders of their own, which give pictures in memory. */
#include "media/decode_device.h"
#include "media/ffmpeg.h"
#include "media/hardware.h"

#include <assert.h>
#include <libavutil/common.h>
#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW_ALIGN 64
#define LIBRARY_NAME_BYTES 32u

static const struct way {
    enum AVHWDeviceType gpu; /* NONE: pictures come in memory */
    enum AVPixelFormat surface;
    const char *suffix; /* of the decoder's name; NULL: libavcodec's own */
} ways[DECODER_KIND_COUNT] = {
    [DECODER_NVDEC] = { AV_HWDEVICE_TYPE_CUDA, AV_PIX_FMT_CUDA, NULL },
    [DECODER_VAAPI] = { AV_HWDEVICE_TYPE_VAAPI, AV_PIX_FMT_VAAPI, NULL },
    [DECODER_QSV] = { AV_HWDEVICE_TYPE_NONE, AV_PIX_FMT_NV12, "qsv" },
    [DECODER_V4L2M2M] = { AV_HWDEVICE_TYPE_NONE, AV_PIX_FMT_NONE, "v4l2m2m" },
};

struct decode_device {
    enum decoder_kind kind;
    const AVCodec *library;
    AVBufferRef *gpu;     /* NULL: none is needed */
    bool refused;         /* a stream; for good */
    AVFrame *fetched;     /* blank between two pictures */
    AVBufferPool *blocks; /* for pictures in memory */
    size_t block_bytes;
};

static int take_gpu(struct decode_device *device, struct error *err);
static void give_gpu(struct decode_device *device);

static const AVCodec *find_library(enum AVCodecID codec, const struct way *way)
{
    char name[LIBRARY_NAME_BYTES];
    if (way->suffix)
        snprintf(name, sizeof name, "%s_%s", avcodec_get_name(codec), way->suffix);
    else /* by name: for AV1 a library would come first */
        snprintf(name, sizeof name, "%s", avcodec_get_name(codec));
    return avcodec_find_decoder_by_name(name);
}

static bool has_gpu(const AVCodec *library, enum AVHWDeviceType gpu)
{
    const AVCodecHWConfig *config;
    for (int i = 0; (config = avcodec_get_hw_config(library, i)); i++)
        if (config->device_type == gpu && config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX)
            return true;
    return false;
}

int decode_device_open(struct decode_device **device, enum AVCodecID codec, enum decoder_kind kind,
                       struct error *err)
{
    assert(kind != DECODER_SOFTWARE && kind != DECODER_AUTO);
    const struct way *way = &ways[kind];
    ffmpeg_init();
    ffmpeg_forget_complaint();
    struct decode_device *fresh = calloc(1, sizeof *fresh);
    if (fresh)
        fresh->fetched = av_frame_alloc();
    if (!fresh || !fresh->fetched) {
        free(fresh);
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
    }
    fresh->kind = kind;
    fresh->library = find_library(codec, way);
    int failed = 0;
    if (!fresh->library || (way->gpu != AV_HWDEVICE_TYPE_NONE && !has_gpu(fresh->library, way->gpu)))
        failed =
            error_set(err, ERROR_UNSUPPORTED, "decoder", "this libavcodec has no %s decoder for %s",
                      decoder_kind_words[kind], avcodec_get_name(codec));
    else if (way->gpu != AV_HWDEVICE_TYPE_NONE)
        failed = take_gpu(fresh, err);
    if (failed)
        decode_device_close(&fresh);
    else
        *device = fresh;
    return failed;
}

const AVCodec *decode_device_library(const struct decode_device *device)
{
    return device->library;
}

static enum AVPixelFormat choose_format(AVCodecContext *context, const enum AVPixelFormat *offered)
{
    return decode_device_format(context->opaque, offered);
}

int decode_device_attach(struct decode_device *device, AVCodecContext *context, struct error *err)
{
    if (!context->opaque) {
        context->opaque = device;
        context->get_format = choose_format;
    }
    if (!device->gpu)
        return 0;
    context->hw_device_ctx = av_buffer_ref(device->gpu);
    return context->hw_device_ctx ? 0
                                  : error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
}

enum AVPixelFormat decode_device_format(struct decode_device *device,
                                        const enum AVPixelFormat *offered)
{
    const enum AVPixelFormat wanted = ways[device->kind].surface;
    if (wanted == AV_PIX_FMT_NONE) /* whatever the driver has */
        return offered[0];
    for (; *offered != AV_PIX_FMT_NONE; offered++)
        if (*offered == wanted)
            return wanted;
    device->refused = true;
    return AV_PIX_FMT_NONE;
}

bool decode_device_has_refused(const struct decode_device *device)
{
    return device->refused;
}

/* Memory for a picture like the one in the device. */
static int make_room(struct decode_device *device, const AVFrame *frame)
{
    const AVHWFramesContext *surfaces = (AVHWFramesContext *)frame->hw_frames_ctx->data;
    AVFrame *room = device->fetched;
    int bytes = av_image_get_buffer_size(surfaces->sw_format, frame->width, frame->height, ROW_ALIGN);
    if (bytes < 0)
        return bytes;
    if (!device->blocks || device->block_bytes != (size_t)bytes) {
        av_buffer_pool_uninit(&device->blocks);
        device->block_bytes = (size_t)bytes;
        device->blocks = av_buffer_pool_init(device->block_bytes + ROW_ALIGN, NULL);
    }
    room->buf[0] = device->blocks ? av_buffer_pool_get(device->blocks) : NULL;
    if (!room->buf[0])
        return AVERROR(ENOMEM);
    room->format = surfaces->sw_format;
    room->width = frame->width;
    room->height = frame->height;
    bytes = av_image_fill_arrays(room->data, room->linesize, room->buf[0]->data,
                                 surfaces->sw_format, room->width, room->height, ROW_ALIGN);
    return bytes < 0 ? bytes : 0;
}

/* libavcodec's AV1 goes on with the surfaces that it began with, whatever size a picture says it has. What NVDEC
 * leaves in one for a smaller picture nobody tells. */
static bool fits_surface(const struct decode_device *device, const AVFrame *frame)
{
    const AVHWFramesContext *surfaces = (AVHWFramesContext *)frame->hw_frames_ctx->data;
    if (device->library->id == AV_CODEC_ID_AV1 && device->kind == DECODER_NVDEC)
        return FFALIGN(frame->width, 2) == FFALIGN(surfaces->width, 2) &&
               FFALIGN(frame->height, 2) == FFALIGN(surfaces->height, 2);
    return frame->width <= surfaces->width && frame->height <= surfaces->height;
}

int decode_device_fetch(struct decode_device *device, AVFrame *frame)
{
    if (!frame->hw_frames_ctx)
        return 0;
    if (!fits_surface(device, frame)) {
        device->refused = true;
        return AVERROR(EINVAL);
    }
    int rc = make_room(device, frame);
    if (rc == 0)
        rc = av_hwframe_transfer_data(device->fetched, frame, 0);
    if (rc == 0)
        rc = av_frame_copy_props(device->fetched, frame);
    if (rc == 0) {
        av_frame_unref(frame);
        av_frame_move_ref(frame, device->fetched);
        /* In the device only what is right of a picture and below it was cut off. */
        rc = av_frame_apply_cropping(frame, 0);
    }
    av_frame_unref(device->fetched);
    return rc;
}

void decode_device_close(struct decode_device **device)
{
    struct decode_device *old = *device;
    *device = NULL;
    if (!old)
        return;
    give_gpu(old);
    av_frame_free(&old->fetched);
    av_buffer_pool_uninit(&old->blocks);
    free(old);
}

/* ---- GPUs, which all decoders of the process share: an opened one costs far more than a decoder ---- */

static struct {
    AVBufferRef *gpu; /* NULL: nobody uses it */
    unsigned users;
} shared[DECODER_KIND_COUNT];
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

static int take_gpu(struct decode_device *device, struct error *err)
{
    const enum decoder_kind kind = device->kind;
    char path[HARDWARE_NODE_BYTES];
    int failed = kind == DECODER_VAAPI ? hardware_find_gpu("decoder", path, err) : 0;
    int rc = 0;
    if (failed)
        return failed;
    pthread_mutex_lock(&shared_lock);
    if (shared[kind].users == 0)
        rc = av_hwdevice_ctx_create(&shared[kind].gpu, ways[kind].gpu,
                                    kind == DECODER_VAAPI ? path : NULL, NULL, 0);
    if (rc >= 0)
        device->gpu = av_buffer_ref(shared[kind].gpu);
    if (device->gpu)
        shared[kind].users++;
    else if (shared[kind].users == 0)
        av_buffer_unref(&shared[kind].gpu);
    pthread_mutex_unlock(&shared_lock);
    if (device->gpu)
        return 0;
    return ffmpeg_error(err, ERROR_UNSUPPORTED, rc < 0 ? rc : AVERROR(ENOMEM), "decoder",
                        "cannot open a device for %s", decoder_kind_words[kind]);
}

static void give_gpu(struct decode_device *device)
{
    if (!device->gpu)
        return;
    av_buffer_unref(&device->gpu);
    pthread_mutex_lock(&shared_lock);
    if (--shared[device->kind].users == 0)
        av_buffer_unref(&shared[device->kind].gpu);
    pthread_mutex_unlock(&shared_lock);
}
