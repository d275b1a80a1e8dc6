/* decode: H.264 through libavcodec, told to find every error it can and to decode straight into our
 * shared memory. What a network brings is not trusted: sizes are checked where the codec asks for
 * its pixel format, before it takes memory for them, and again where it asks for a picture. */
#include "media/decode.h"
#include "media/ffmpeg.h"

#include <assert.h>
#include <libavcodec/avcodec.h>
#include <stdlib.h>
#include <string.h>

/* What the codec holds beside its references: the picture at hand, the last one (for concealment),
 * the one that we are about to take, and one to spare for a gap in its numbering. */
#define CODEC_PICTURES 4u
/* Parameter sets and the overhead of a picture that does not compress. */
#define PACKET_OVERHEAD_BYTES 65536u

enum nal_type { NAL_SLICE = 1, NAL_IDR = 5, NAL_VCL_LAST = 5 };

struct decoder {
    struct decoder_config config;
    AVCodecContext *codec; /* NULL after damage, until the next keyframe */
    AVPacket *packet;      /* owns the padded buffer that packets are copied to; pts numbers them */
    AVFrame *frame;        /* shell for what comes out */
    struct picture_pool *pool;
    uint32_t pool_width, pool_height, pool_slots; /* that pool was made for */
    bool waits;                                   /* for a keyframe */
    struct error refusal; /* what our callbacks said to the codec; code NONE: nothing */
    uint64_t pool_empty_count;
};

static enum AVPixelFormat choose_format(AVCodecContext *codec, const enum AVPixelFormat *offered);
static int lend_picture(AVCodecContext *codec, AVFrame *frame, int flags);

static int start_codec(struct decoder *decoder, struct error *err)
{
    const AVCodec *h264 = avcodec_find_decoder(AV_CODEC_ID_H264);
    AVCodecContext *codec = h264 ? avcodec_alloc_context3(h264) : NULL;
    if (!codec)
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
    codec->opaque = decoder;
    codec->get_format = choose_format;
    codec->get_buffer2 = lend_picture;
    codec->thread_count = 1; /* streams are the parallelism; threads inside would hold frames back */
    codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
    codec->err_recognition =
        AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_AGGRESSIVE | AV_EF_EXPLODE;
    int rc = avcodec_open2(codec, h264, NULL);
    if (rc < 0) {
        avcodec_free_context(&codec);
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "decoder", "cannot open H.264");
    }
    decoder->codec = codec;
    return 0;
}

int decoder_open(struct decoder **decoder, const struct decoder_config *config, struct error *err)
{
    assert(decoder && config && config->width_max > 0 && config->height_max > 0);
    ffmpeg_init();
    if (config->codec != VIDEO_H264)
        return error_set(err, ERROR_UNSUPPORTED, "decoder", "only H.264 can be decoded");
    struct decoder *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
    fresh->config = *config;
    fresh->waits = true;
    fresh->packet = av_packet_alloc();
    fresh->frame = av_frame_alloc();
    if (!fresh->packet || !fresh->frame) {
        decoder_close(&fresh);
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
    }
    fresh->packet->pts = 0;
    int failed = start_codec(fresh, err);
    if (failed) {
        decoder_close(&fresh);
        return failed;
    }
    *decoder = fresh;
    return 0;
}

/* True when the first slice of an Annex B access unit is that of an IDR. Parameter sets come before
 * it, so this ends after a few dozen bytes. */
static bool starts_with_idr(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i + 3 < size; i++) {
        if (bytes[i] != 0 || bytes[i + 1] != 0 || bytes[i + 2] != 1)
            continue;
        unsigned type = bytes[i + 3] & 0x1f;
        if (type >= NAL_SLICE && type <= NAL_VCL_LAST)
            return type == NAL_IDR;
        i += 3;
    }
    return false;
}

/* Copies the bytes to where the codec may read past their end. */
static int fill_packet(struct decoder *decoder, const void *bytes, size_t size, struct error *err)
{
    AVPacket *packet = decoder->packet;
    size_t needed = size + AV_INPUT_BUFFER_PADDING_SIZE;
    if (!packet->buf || packet->buf->size < needed || !av_buffer_is_writable(packet->buf)) {
        av_buffer_unref(&packet->buf);
        packet->buf = av_buffer_alloc(needed + needed / 2);
        if (!packet->buf)
            return error_set(err, ERROR_MEMORY, "decoder", "no room for a packet of %zu bytes", size);
    }
    memcpy(packet->buf->data, bytes, size);
    memset(packet->buf->data + size, 0, AV_INPUT_BUFFER_PADDING_SIZE);
    packet->data = packet->buf->data;
    packet->size = (int)size;
    packet->pts++;
    return 0;
}

static int decode_packet(struct decoder *decoder, struct picture **picture, struct error *err)
{
    AVFrame *frame = decoder->frame;
    decoder->refusal.code = ERROR_NONE;
    ffmpeg_forget_complaint();
    int rc = avcodec_send_packet(decoder->codec, decoder->packet);
    if (rc == 0)
        rc = avcodec_receive_frame(decoder->codec, frame);
    if (rc < 0 && decoder->refusal.code != ERROR_NONE)
        return error_set(err, decoder->refusal.code, "decoder", "%s", decoder->refusal.text);
    if (rc == AVERROR(EAGAIN))
        return error_set(err, ERROR_FORMAT, "decoder", "the packet holds no complete picture");
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, "decoder", "the packet is corrupt");
    int failed;
    if (frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT))
        failed = error_set(err, ERROR_FORMAT, "decoder", "the picture is damaged");
    else if (frame->pts != decoder->packet->pts) /* damaged numbering makes the codec reorder */
        failed = error_set(err, ERROR_FORMAT, "decoder", "the picture is that of another packet");
    else
        failed = picture_from_frame(picture, frame, err);
    av_frame_unref(frame);
    return failed;
}

/* Before a keyframe: whatever damage went unseen ends here. */
static int make_fresh(struct decoder *decoder, struct error *err)
{
    if (!decoder->codec)
        return start_codec(decoder, err);
    avcodec_flush_buffers(decoder->codec);
    return 0;
}

int decoder_decode(struct decoder *decoder, const void *bytes, size_t size, bool keyframe,
                   struct picture **picture, struct error *err)
{
    assert(decoder && (bytes || size == 0) && picture);
    const struct decoder_config *config = &decoder->config;
    if (decoder->waits && !keyframe)
        return error_set(err, ERROR_AGAIN, "decoder", "waiting for a keyframe");
    decoder->waits = true; /* until this one has gone well */
    uint64_t bytes_max =
        (uint64_t)config->width_max * config->height_max * 3 / 2 + PACKET_OVERHEAD_BYTES;
    if (size > bytes_max || size > INT32_MAX / 2)
        return error_set(err, ERROR_LIMIT, "decoder", "a packet of %zu bytes is too large for %ux%u",
                         size, config->width_max, config->height_max);
    if (size == 0)
        return error_set(err, ERROR_FORMAT, "decoder", "the packet is empty");
    if (keyframe && !starts_with_idr(bytes, size))
        return error_set(err, ERROR_FORMAT, "decoder", "what is said to be a keyframe is no IDR");
    int failed = fill_packet(decoder, bytes, size, err);
    if (!failed && keyframe)
        failed = make_fresh(decoder, err);
    if (failed)
        return failed;
    failed = decode_packet(decoder, picture, err);
    if (failed) /* its scratch memory still holds parts of the broken macroblock */
        avcodec_free_context(&decoder->codec);
    decoder->waits = failed != 0;
    return failed;
}

void decoder_skip_to_keyframe(struct decoder *decoder)
{
    decoder->waits = true;
}

bool decoder_wants_keyframe(const struct decoder *decoder)
{
    return decoder->waits;
}

uint64_t decoder_pool_empty_count(const struct decoder *decoder)
{
    return decoder->pool_empty_count;
}

struct picture_pool *decoder_pool(const struct decoder *decoder)
{
    return decoder->pool;
}

void decoder_close(struct decoder **decoder)
{
    assert(decoder);
    struct decoder *old = *decoder;
    *decoder = NULL;
    if (!old)
        return;
    avcodec_free_context(&old->codec);
    av_frame_free(&old->frame);
    av_packet_free(&old->packet);
    picture_pool_release(&old->pool);
    free(old);
}

static int check_size(struct decoder *decoder, int width, int height)
{
    const struct decoder_config *config = &decoder->config;
    if (width > 0 && height > 0 && (unsigned)width <= config->width_max &&
        (unsigned)height <= config->height_max)
        return 0;
    return error_set(&decoder->refusal, ERROR_LIMIT, "picture", "%dx%d is above the limit of %ux%u",
                     width, height, config->width_max, config->height_max);
}

/* Called when the codec has read its parameter sets, before it takes memory for pictures. */
static enum AVPixelFormat choose_format(AVCodecContext *codec, const enum AVPixelFormat *offered)
{
    struct decoder *decoder = codec->opaque;
    if (check_size(decoder, codec->width, codec->height) < 0)
        return AV_PIX_FMT_NONE;
    for (; *offered != AV_PIX_FMT_NONE; offered++)
        if (*offered == AV_PIX_FMT_YUV420P || *offered == AV_PIX_FMT_YUVJ420P)
            return *offered;
    error_set(&decoder->refusal, ERROR_UNSUPPORTED, "picture", "the stream is not 8-bit 4:2:0");
    return AV_PIX_FMT_NONE;
}

/* A pool whose slots fit what the codec wants to write, edges included. */
static int prepare_pool(struct decoder *decoder, const AVFrame *frame)
{
    int width = frame->width, height = frame->height;
    int aligns[AV_NUM_DATA_POINTERS];
    avcodec_align_dimensions2(decoder->codec, &width, &height, aligns);
    uint32_t slots = (uint32_t)decoder->codec->refs + CODEC_PICTURES + decoder->config.pictures;
    if (decoder->pool && decoder->pool_width == (uint32_t)width &&
        decoder->pool_height == (uint32_t)height && decoder->pool_slots == slots)
        return 0;
    picture_pool_release(&decoder->pool);
    decoder->pool_width = (uint32_t)width;
    decoder->pool_height = (uint32_t)height;
    decoder->pool_slots = slots;
    return picture_pool_create(&decoder->pool, decoder->pool_width, decoder->pool_height, slots,
                               &decoder->refusal);
}

static int lend_picture(AVCodecContext *codec, AVFrame *frame, int flags)
{
    (void)flags; /* a slot is not reused while it is referenced, as the codec wants */
    struct decoder *decoder = codec->opaque;
    const int format = frame->format, width = frame->width, height = frame->height; /* coded */
    if (check_size(decoder, codec->width, codec->height) < 0 || prepare_pool(decoder, frame) < 0)
        return AVERROR(EINVAL);
    int failed = picture_pool_take_frame(decoder->pool, frame, &decoder->refusal);
    if (failed == -ERROR_LIMIT) {
        decoder->pool_empty_count++;
        decoder->refusal.code = ERROR_MEMORY; /* LIMIT is for pictures that are too large */
    }
    frame->format = format;
    frame->width = width;
    frame->height = height;
    return failed ? AVERROR(ENOMEM) : 0;
}
