/* encode: an encoder of libavcodec, set up so that no frame waits inside it. The wrappers of libx264 and
 * NVENC compare bitrate and VBV (and libx264's CRF) of their context with the encoder's before each frame
 * and hand changes on, so a new rung of the same size costs nothing. encode_library.c knows how each one
 * wants to be told, encode_device.c how pictures get to those that do not read memory. */
#include "media/encode.h"
#include "media/encode_device.h"
#include "media/encode_library.h"
#include "media/ffmpeg.h"
#include "media/packet.h"

#include <assert.h>
#include <libavcodec/avcodec.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ENCODER_SIDE_MIN 16u
#define ENCODER_FPS_MAX 1000.0

struct encoder {
    struct encoder_config config;
    const struct encode_library *library;
    struct encode_device *device; /* NULL: pictures are taken as they are */
    AVCodecContext *codec;        /* NULL until the first picture tells format and colour */
    AVFrame *frame;               /* shell for the picture at hand */
    struct packet *filling;       /* what the codec is writing into */
    int64_t pictures;             /* since codec was opened: the next pts */
    struct picture_view shape;    /* format and colour that codec was opened for */
};

static int start_codec(struct encoder *encoder, const struct picture_view *view, struct error *err);
static void stop_codec(struct encoder *encoder);

static int check_config(const struct encoder_config *config, struct error *err)
{
    const struct rung *rung = &config->rung;
    if (rung->width % 2 || rung->height % 2 || rung->width < ENCODER_SIDE_MIN ||
        rung->height < ENCODER_SIDE_MIN || rung->width > PICTURE_SIDE_MAX ||
        rung->height > PICTURE_SIDE_MAX)
        return error_set(err, ERROR_CONFIG, "encoder",
                         "cannot encode %ux%u: sides must be even, at least %u and at most %u",
                         rung->width, rung->height, ENCODER_SIDE_MIN, PICTURE_SIDE_MAX);
    if (!(config->fps > 0) || config->fps > ENCODER_FPS_MAX)
        return error_set(err, ERROR_CONFIG, "encoder", "%g frames a second is not within 0 and %g",
                         config->fps, ENCODER_FPS_MAX);
    return rung_check(rung, err);
}

int encoder_open(struct encoder **encoder, const struct encoder_config *config, struct error *err)
{
    assert(encoder && config && config->threads > 0 && config->rung.encoder != ENCODER_AUTO);
    ffmpeg_init();
    int failed = check_config(config, err);
    if (failed)
        return failed;
    const struct encode_library *library = encode_library_find(
        (enum video_codec)config->rung.codec, (enum encoder_kind)config->rung.encoder);
    if (!avcodec_find_encoder_by_name(library->name))
        return error_set(err, ERROR_UNSUPPORTED, "encoder", "this libavcodec has no %s",
                         library->name);
    struct encoder *fresh = calloc(1, sizeof *fresh);
    if (!fresh || !(fresh->frame = av_frame_alloc())) {
        free(fresh);
        return error_set(err, ERROR_MEMORY, "encoder", "no room for an encoder");
    }
    fresh->config = *config;
    fresh->library = library;
    *encoder = fresh;
    return 0;
}

static bool same_shape(const struct picture_view *a, const struct picture_view *b)
{
    return a->format == b->format && a->matrix == b->matrix && a->full_range == b->full_range;
}

/* One picture in; the packet, if there is one, ends up in encoder->filling. */
static int pass_through(struct encoder *encoder, struct picture *picture, bool force_idr)
{
    const AVFrame *frame = picture_frame(picture);
    int rc = encoder->device ? encode_device_take(encoder->device, frame, encoder->frame)
                             : av_frame_ref(encoder->frame, frame);
    if (rc < 0)
        return rc;
    encoder->frame->pts = encoder->pictures++;
    encoder->frame->pict_type = force_idr ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    rc = avcodec_send_frame(encoder->codec, encoder->frame);
    av_frame_unref(encoder->frame);
    return rc < 0 ? rc : avcodec_receive_packet(encoder->codec, packet_av(encoder->filling));
}

int encoder_encode(struct encoder *encoder, struct picture *picture, uint64_t number,
                   bool force_idr, struct packet **packet, struct error *err)
{
    assert(encoder && picture && packet);
    const struct rung *rung = &encoder->config.rung;
    struct picture_view view;
    picture_get_view(picture, &view);
    if (view.width != rung->width || view.height != rung->height)
        return error_set(err, ERROR_UNSUPPORTED, "encoder",
                         "frame %llu is %ux%u where the rung says %ux%u", (unsigned long long)number,
                         view.width, view.height, rung->width, rung->height);
    ffmpeg_forget_complaint();
    if (!encoder->codec || !same_shape(&view, &encoder->shape)) {
        int failed = start_codec(encoder, &view, err);
        if (failed)
            return failed;
    }
    int failed = packet_create(&encoder->filling, err);
    if (failed)
        return failed;
    int rc = pass_through(encoder, picture, force_idr);
    if (rc == 0) {
        *packet = encoder->filling;
        encoder->filling = NULL;
        return 0;
    }
    packet_unref(&encoder->filling);
    *packet = NULL;
    if (rc == AVERROR(EAGAIN))
        return 0;
    return ffmpeg_error(err, ERROR_IO, rc, "encoder", "cannot encode frame %llu",
                        (unsigned long long)number);
}

int encoder_set_rung(struct encoder *encoder, const struct rung *rung, struct error *err)
{
    assert(encoder && rung);
    const struct rung *now = &encoder->config.rung;
    if (!encoder->library->changes_rate)
        return error_set(err, ERROR_UNSUPPORTED, "encoder", "%s does not change while it runs",
                         encoder->library->name);
    if (rung->codec != now->codec || rung->encoder != now->encoder || rung->width != now->width ||
        rung->height != now->height || rung->fps != now->fps || rung->mode != now->mode ||
        rung->preset != now->preset || rung->keyframe_s != now->keyframe_s)
        return error_set(err, ERROR_UNSUPPORTED, "encoder",
                         "only bitrate, VBV and quality change without a new encoder");
    encoder->config.rung = *rung;
    if (encoder->codec)
        encode_library_set_rates(encoder->codec, &encoder->config);
    return 0;
}

void encoder_close(struct encoder **encoder)
{
    assert(encoder);
    struct encoder *old = *encoder;
    *encoder = NULL;
    if (!old)
        return;
    stop_codec(old);
    av_frame_free(&old->frame);
    free(old);
}

static int lend_memory(AVCodecContext *codec, AVPacket *av, int flags)
{
    (void)flags; /* no library of ours reads its packets again */
    struct encoder *encoder = codec->opaque;
    assert(encoder->filling);
    return packet_lend_memory(encoder->filling, av);
}

static void describe_colour(AVCodecContext *codec, const struct picture_view *view)
{
    bool bt709 = view->matrix == MATRIX_BT709;
    codec->colorspace = bt709 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    codec->color_range = view->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
}

static void describe_rung(AVCodecContext *codec, const struct encoder_config *config)
{
    const struct rung *rung = &config->rung;
    codec->width = (int)rung->width;
    codec->height = (int)rung->height;
    codec->framerate = av_d2q(config->fps, 1000000);
    codec->time_base = av_inv_q(codec->framerate);
    codec->gop_size = (int)fmax(1, round(config->fps * rung->keyframe_s));
    codec->max_b_frames = 0;
    encode_library_set_rates(codec, config);
}

static int start_codec(struct encoder *encoder, const struct picture_view *view, struct error *err)
{
    const struct encoder_config *config = &encoder->config;
    const struct encode_library *library = encoder->library;
    stop_codec(encoder);
    const AVCodec *av = avcodec_find_encoder_by_name(library->name);
    AVCodecContext *codec = encoder->codec = avcodec_alloc_context3(av);
    if (!codec)
        return error_set(err, ERROR_MEMORY, "encoder", "no room for an encoder");
    codec->opaque = encoder;
    codec->get_encode_buffer = lend_memory;
    codec->pix_fmt = view->format == PIXEL_NV12 ? AV_PIX_FMT_NV12 : AV_PIX_FMT_YUV420P;
    if (library->format != AV_PIX_FMT_NONE)
        codec->pix_fmt = library->format;
    describe_colour(codec, view);
    library->set_up(codec, config);
    describe_rung(codec, config);
    int failed =
        library->format == AV_PIX_FMT_NONE ? 0 : encode_device_open(&encoder->device, codec, err);
    int rc = failed ? 0 : avcodec_open2(codec, av, NULL);
    if (rc < 0)
        failed = ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "encoder",
                              "cannot open %s for %ux%u at %g fps", library->name,
                              config->rung.width, config->rung.height, config->fps);
    if (failed) {
        stop_codec(encoder);
        return failed;
    }
    encoder->shape = *view;
    encoder->pictures = 0;
    return 0;
}

static void stop_codec(struct encoder *encoder)
{
    avcodec_free_context(&encoder->codec);
    encode_device_close(&encoder->device);
}
