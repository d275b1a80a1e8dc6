/* decode_trial: see the header. */
#include "media/decode_trial.h"
#include "base/clock.h"
#include "media/decode_device.h"
#include "media/encode.h"
#include "media/ffmpeg.h"
#include "media/picture_compare.h"
#include "media/source.h"

#include <string.h>

#define PICTURES 12u
#define WIDTH 640u /* nothing that a device is too small for, or to be used for less */
#define HEIGHT 360u
#define FPS 25u
#define KBPS 1500u
/* Mean difference of luma from which on a picture is another one. The nearest grey differs by 20 from those that
 * are sent here, what so many bits leave of them by 2. */
#define DIFFERENCE_MAX 10.0

struct parts {
    struct source *source;
    struct encoder *encoder;
    struct decode_device *device; /* NULL: software */
    AVCodecContext *context;
    AVPacket *packet;
    AVFrame *frame;
    struct picture *sent[PICTURES];
    uint32_t sent_count, came_count;
};

static const enum AVCodecID codec_ids[VIDEO_CODEC_COUNT] = {
    [VIDEO_H264] = AV_CODEC_ID_H264, [VIDEO_H265] = AV_CODEC_ID_HEVC, [VIDEO_AV1] = AV_CODEC_ID_AV1
};

static int open_decoder(struct parts *parts, enum video_codec codec, enum decoder_kind kind,
                        struct error *err)
{
    const AVCodec *library = avcodec_find_decoder(codec_ids[codec]);
    int failed = 0;
    if (kind != DECODER_SOFTWARE)
        failed = decode_device_open(&parts->device, codec_ids[codec], kind, err);
    if (failed)
        return failed;
    if (parts->device)
        library = decode_device_library(parts->device);
    if (!library)
        return error_set(err, ERROR_UNSUPPORTED, "decoder", "this libavcodec has no decoder for %s",
                         video_codec_words[codec]);
    parts->context = avcodec_alloc_context3(library);
    parts->packet = av_packet_alloc();
    parts->frame = av_frame_alloc();
    if (!parts->context || !parts->packet || !parts->frame)
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
    parts->context->thread_count = 1;
    if (parts->device)
        failed = decode_device_attach(parts->device, parts->context, err);
    if (failed)
        return failed;
    int rc = avcodec_open2(parts->context, library, NULL);
    return rc < 0
               ? ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "decoder", "cannot open %s", library->name)
               : 0;
}

static int open_encoder(struct parts *parts, enum video_codec codec, struct error *err)
{
    const struct source_config source = {
        .kind = SOURCE_TEST, .width = WIDTH, .height = HEIGHT, .fps = FPS
    };
    const struct encoder_config config = { .rung = { .width = WIDTH,
                                                     .height = HEIGHT,
                                                     .codec = (int)codec,
                                                     .mode = RATE_BITRATE,
                                                     .bitrate_kbps = KBPS,
                                                     .vbv_ms = 500,
                                                     .keyframe_s = 1 },
                                           .fps = FPS,
                                           .threads = 1 };
    int failed = source_open(&parts->source, &source, err);
    return failed ? failed : encoder_open(&parts->encoder, &config, err);
}

static int compare_next(struct parts *parts, struct error *err)
{
    struct picture *picture = NULL;
    if (parts->came_count == parts->sent_count)
        return error_set(err, ERROR_UNSUPPORTED, "decoder", "it gives pictures that nobody sent");
    parts->frame->opaque = NULL; /* ours: no picture_pool */
    int failed = picture_from_frame(&picture, parts->frame, err);
    const double difference =
        failed ? 0 : picture_difference(parts->sent[parts->came_count], picture);
    if (difference > DIFFERENCE_MAX)
        failed = error_set(err, ERROR_UNSUPPORTED, "decoder",
                           "picture %u comes back as another one (luma differs by %.0f)",
                           parts->came_count, difference);
    parts->came_count++;
    picture_unref(&picture);
    return failed;
}

/* A packet, or NULL for the end; and all pictures that come then. */
static int decode(struct parts *parts, const AVPacket *packet, struct decode_trial *trial,
                  struct error *err)
{
    int failed = 0;
    uint64_t begin_ns = clock_now_ns();
    int rc = avcodec_send_packet(parts->context, packet);
    while (rc >= 0 && !failed) {
        rc = avcodec_receive_frame(parts->context, parts->frame);
        if (rc >= 0 && parts->device)
            rc = decode_device_fetch(parts->device, parts->frame);
        trial->decode_ns += clock_now_ns() - begin_ns;
        if (rc >= 0)
            failed = compare_next(parts, err);
        av_frame_unref(parts->frame);
        begin_ns = clock_now_ns();
    }
    if (failed || rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
        return failed;
    return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "decoder", "cannot decode");
}

static int pass_one(struct parts *parts, struct decode_trial *trial, struct error *err)
{
    struct packet *packet = NULL;
    uint64_t time_ns;
    struct picture **picture = &parts->sent[parts->sent_count];
    int failed = source_next(parts->source, picture, &time_ns, err);
    if (!failed)
        failed = encoder_encode(parts->encoder, *picture, parts->sent_count, false, &packet, err);
    if (failed)
        return failed;
    parts->sent_count++;
    size_t size = 0;
    const uint8_t *data = packet ? packet_data(packet, &size) : NULL;
    if (!data || av_new_packet(parts->packet, (int)size) < 0) {
        packet_unref(&packet);
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a packet of %zu bytes", size);
    }
    memcpy(parts->packet->data, data, size);
    parts->packet->pts = parts->packet->dts = parts->sent_count;
    packet_unref(&packet);
    failed = decode(parts, parts->packet, trial, err);
    av_packet_unref(parts->packet);
    return failed;
}

static void close_all(struct parts *parts)
{
    for (uint32_t i = 0; i < PICTURES; i++)
        picture_unref(&parts->sent[i]);
    avcodec_free_context(&parts->context);
    decode_device_close(&parts->device);
    av_packet_free(&parts->packet);
    av_frame_free(&parts->frame);
    encoder_close(&parts->encoder);
    source_close(&parts->source);
}

int decode_trial_run(struct decode_trial *trial, enum video_codec codec, enum decoder_kind kind,
                     struct error *err)
{
    struct parts parts = { .sent_count = 0 };
    *trial = (struct decode_trial){ .pictures = 0 };
    ffmpeg_init();
    ffmpeg_forget_complaint();
    int failed = open_decoder(&parts, codec, kind, err);
    if (!failed)
        failed = open_encoder(&parts, codec, err);
    while (!failed && parts.sent_count < PICTURES)
        failed = pass_one(&parts, trial, err);
    if (!failed)
        failed = decode(&parts, NULL, trial, err);
    if (!failed && parts.came_count < PICTURES)
        failed = error_set(err, ERROR_UNSUPPORTED, "decoder", "of %u pictures %u come back",
                           PICTURES, parts.came_count);
    trial->pictures = parts.came_count;
    close_all(&parts);
    return failed;
}
