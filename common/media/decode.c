/* decode: libavcodec's own H.264 and H.265 decoders, told to find every error they can and to decode
 * straight into our shared memory, and dav1d, whose pictures have to be copied there.
 *
 * What a network brings is not trusted. Sizes are checked before memory is taken for them: H.264's where
 * the codec asks for its pixel format; H.265's by a parser in front of the decoder, which takes tables for
 * a size before it asks anything; AV1's in dav1d, which is told how many pixels there may be. Native
 * decoders are asked again where they want memory for a picture. */
#include "media/decode.h"
#include "media/decode_device.h"
#include "media/decode_unit.h"
#include "media/ffmpeg.h"

#include <assert.h>
#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <stdlib.h>
#include <string.h>

/* What the codec holds beside its references: the picture at hand, the last one (for concealment),
 * the one that we are about to take, and one to spare for a gap in its numbering. */
#define CODEC_PICTURES 4u
/* Parameter sets and the overhead of a picture that does not compress. */
#define PACKET_OVERHEAD_BYTES 65536u
/* References that H.265 may keep; the codec does not tell how many a stream does. */
#define H265_REFERENCES 16u
/* Coded pictures are whole blocks, cropped to what is shown: of 64 at most. */
#define BLOCK_SIDE 64u

const char *const video_codec_words[] = {
    [VIDEO_H264] = "h264", [VIDEO_H265] = "h265", [VIDEO_AV1] = "av1", NULL
};

struct decoder {
    struct decoder_config config;
    struct decode_device *device; /* NULL: software */
    uint32_t hardware_failures;   /* in a row */
    AVCodecContext *codec;        /* NULL after damage, until the next keyframe */
    AVCodecParserContext *parser; /* H.265; lives and dies with codec */
    AVPacket *packet; /* owns the padded buffer that packets are copied to; pts numbers them */
    AVFrame *frame;   /* shell for what comes out */
    struct picture_pool *pool;
    uint32_t pool_width, pool_height, pool_slots; /* that pool was made for */
    bool waits;                                   /* for a keyframe */
    struct error refusal; /* what our callbacks said to the codec; code NONE: nothing */
    uint64_t pool_empty_count;
};

static enum AVPixelFormat choose_format(AVCodecContext *codec, const enum AVPixelFormat *offered);
static int lend_picture(AVCodecContext *codec, AVFrame *frame, int flags);
static int check_size(struct decoder *decoder, int width, int height, int coded_width,
                      int coded_height);
static int prepare_pool(struct decoder *decoder, const AVFrame *frame);
static void note_empty_pool(struct decoder *decoder, int failed);

static const AVCodec *find_codec(enum video_codec codec)
{
    switch (codec) {
    case VIDEO_H264:
        return avcodec_find_decoder(AV_CODEC_ID_H264);
    case VIDEO_H265:
        return avcodec_find_decoder(AV_CODEC_ID_HEVC);
    case VIDEO_AV1:
        return avcodec_find_decoder_by_name("libdav1d");
    }
    return NULL;
}

static void stop_codec(struct decoder *decoder)
{
    avcodec_free_context(&decoder->codec);
    av_parser_close(decoder->parser);
    decoder->parser = NULL;
}

static int start_codec(struct decoder *decoder, struct error *err)
{
    const enum video_codec which = decoder->config.codec;
    const AVCodec *library =
        decoder->device ? decode_device_library(decoder->device) : find_codec(which);
    if (!library)
        return error_set(
            err, ERROR_UNSUPPORTED, "decoder",
            "this libavcodec has no decoder for %s: install the distribution's full build",
            video_codec_words[which]);
    AVCodecContext *codec = avcodec_alloc_context3(library);
    decoder->codec = codec;
    if (which == VIDEO_H265)
        decoder->parser = av_parser_init(AV_CODEC_ID_HEVC);
    if (!codec || (which == VIDEO_H265 && !decoder->parser)) {
        stop_codec(decoder);
        return error_set(err, ERROR_MEMORY, "decoder", "no room for a decoder");
    }
    if (decoder->parser)
        decoder->parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
    codec->opaque = decoder;
    codec->get_format = choose_format;
    codec->get_buffer2 = lend_picture;
    codec->thread_count = 1; /* streams are the parallelism; threads inside would hold frames back */
    codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
    codec->err_recognition =
        AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_AGGRESSIVE | AV_EF_EXPLODE;
    int failed = decoder->device ? decode_device_attach(decoder->device, codec, err) : 0;
    if (failed) {
        stop_codec(decoder);
        return failed;
    }
    if (which == VIDEO_AV1 && !decoder->device) {
        codec->max_pixels = (int64_t)decoder->config.width_max * decoder->config.height_max;
        codec->strict_std_compliance = FF_COMPLIANCE_STRICT;
    }
    int rc = avcodec_open2(codec, library, NULL);
    if (rc < 0) {
        stop_codec(decoder);
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, "decoder", "cannot open %s", library->name);
    }
    return 0;
}

static int open_device(struct decoder *decoder, struct error *err)
{
    static const enum AVCodecID ids[VIDEO_CODEC_COUNT] = {
        [VIDEO_H264] = AV_CODEC_ID_H264, [VIDEO_H265] = AV_CODEC_ID_HEVC, [VIDEO_AV1] = AV_CODEC_ID_AV1
    };
    const struct decoder_config *config = &decoder->config;
    if (config->kind == DECODER_SOFTWARE)
        return 0;
    return decode_device_open(&decoder->device, ids[config->codec], config->kind, err);
}

int decoder_open(struct decoder **decoder, const struct decoder_config *config, struct error *err)
{
    assert(decoder && config && config->width_max > 0 && config->height_max > 0);
    ffmpeg_init();
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
    int failed = open_device(fresh, err);
    if (!failed)
        failed = start_codec(fresh, err);
    if (failed) {
        decoder_close(&fresh);
        return failed;
    }
    *decoder = fresh;
    return 0;
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

/* H.265: the size that the packet's slices are about to have. */
static int look_ahead(struct decoder *decoder)
{
    AVCodecParserContext *parser = decoder->parser;
    const AVPacket *packet = decoder->packet;
    uint8_t *out;
    int out_size;
    av_parser_parse2(parser, decoder->codec, &out, &out_size, packet->data, packet->size,
                     packet->pts, AV_NOPTS_VALUE, 0);
    if (parser->coded_width <= 0) /* no slice that could be read: the codec will say so */
        return 0;
    return check_size(decoder, parser->width, parser->height, parser->coded_width,
                      parser->coded_height);
}

static void copy_nv12(AVFrame *to, const AVFrame *from)
{
    av_image_copy_plane(to->data[0], to->linesize[0], from->data[0], from->linesize[0], from->width,
                        from->height);
    for (int row = 0; row < (from->height + 1) / 2; row++) {
        const uint8_t *both = from->data[1] + (ptrdiff_t)row * from->linesize[1];
        uint8_t *u = to->data[1] + (ptrdiff_t)row * to->linesize[1];
        uint8_t *v = to->data[2] + (ptrdiff_t)row * to->linesize[2];
        for (int column = 0; column < (from->width + 1) / 2; column++) {
            u[column] = *both++;
            v[column] = *both++;
        }
    }
}

/* Into the pool what a decoder with memory of its own gave. */
static int copy_to_pool(struct decoder *decoder, const AVFrame *frame, struct picture **picture)
{
    if (check_size(decoder, frame->width, frame->height, frame->width, frame->height) < 0)
        return -ERROR_LIMIT;
    if (frame->format != AV_PIX_FMT_YUV420P && frame->format != AV_PIX_FMT_NV12)
        return error_set(&decoder->refusal, ERROR_UNSUPPORTED, "picture",
                         "the stream is not 8-bit 4:2:0");
    struct picture *copy = NULL;
    int failed = prepare_pool(decoder, frame);
    if (!failed)
        failed = picture_pool_take(decoder->pool, &copy, &decoder->refusal);
    if (failed) {
        note_empty_pool(decoder, failed);
        return failed;
    }
    AVFrame *own = picture_frame(copy);
    own->width = frame->width;
    own->height = frame->height;
    own->color_range = frame->color_range;
    own->colorspace = ffmpeg_matrix(frame);
    if (frame->format == AV_PIX_FMT_NV12)
        copy_nv12(own, frame);
    else
        av_image_copy(own->data, own->linesize, (const uint8_t **)(uintptr_t)frame->data,
                      frame->linesize, frame->format, frame->width, frame->height);
    *picture = copy;
    return 0;
}

static int take_picture(struct decoder *decoder, AVFrame *frame, struct picture **picture,
                        struct error *err)
{
    if (frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT))
        return error_set(err, ERROR_FORMAT, "decoder", "the picture is damaged");
    /* This one makes up what is missing, and says so in its log alone. */
    if (decoder->config.codec == VIDEO_H265 && ffmpeg_has_complained())
        return ffmpeg_error(err, ERROR_FORMAT, AVERROR_INVALIDDATA, "decoder",
                            "the picture is damaged");
    if (frame->pts != decoder->packet->pts) /* damaged numbering makes the codec reorder */
        return error_set(err, ERROR_FORMAT, "decoder", "the picture is that of another packet");
    if (decoder->config.codec != VIDEO_AV1 && !decoder->device)
        return picture_from_frame(picture, frame, err);
    if (copy_to_pool(decoder, frame, picture) < 0)
        return error_set(err, decoder->refusal.code, "decoder", "%s", decoder->refusal.text);
    return 0;
}

static int decode_packet(struct decoder *decoder, struct picture **picture, struct error *err)
{
    AVFrame *frame = decoder->frame;
    decoder->refusal.code = ERROR_NONE;
    ffmpeg_forget_complaint();
    int rc = 0;
    if (decoder->parser && look_ahead(decoder) < 0)
        rc = AVERROR(EINVAL);
    if (rc == 0)
        rc = avcodec_send_packet(decoder->codec, decoder->packet);
    if (rc == 0)
        rc = avcodec_receive_frame(decoder->codec, frame);
    if (rc == 0 && decoder->device)
        rc = decode_device_fetch(decoder->device, frame);
    if (rc < 0 && decoder->refusal.code != ERROR_NONE)
        return error_set(err, decoder->refusal.code, "decoder", "%s", decoder->refusal.text);
    if (rc == AVERROR(ERANGE)) /* dav1d's word */
        return error_set(err, ERROR_LIMIT, "decoder", "the picture is above the limit of %ux%u",
                         decoder->config.width_max, decoder->config.height_max);
    if (rc == AVERROR(EAGAIN))
        return error_set(err, ERROR_FORMAT, "decoder", "the packet holds no complete picture");
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, "decoder", "the packet is corrupt");
    int failed = take_picture(decoder, frame, picture, err);
    av_frame_unref(frame);
    return failed;
}

/* Before a keyframe: whatever damage went unseen ends here. */
static int make_fresh(struct decoder *decoder, struct error *err)
{
    /* libavcodec's own AV1 asks for a format but once, and keeps surfaces of its first size. */
    if (decoder->device && decoder->config.codec == VIDEO_AV1)
        stop_codec(decoder);
    if (!decoder->codec)
        return start_codec(decoder, err);
    avcodec_flush_buffers(decoder->codec);
    return 0;
}

static void leave_hardware(struct decoder *decoder)
{
    stop_codec(decoder);
    decode_device_close(&decoder->device);
}

/* What the device does not want is software's at once; what it does want, and fails at, is once it has failed
 * often: before the codec is stopped for the failure, so that the next one is made without the device. What we
 * have refused ourselves is no failure of its. */
static int decode_by_hardware(struct decoder *decoder, struct picture **picture, struct error *err)
{
    int failed = decode_packet(decoder, picture, err);
    if (failed && decode_device_has_refused(decoder->device)) {
        leave_hardware(decoder);
        failed = start_codec(decoder, err);
        return failed ? failed : decode_packet(decoder, picture, err);
    }
    if (failed && decoder->refusal.code != ERROR_NONE)
        return failed;
    decoder->hardware_failures = failed ? decoder->hardware_failures + 1 : 0;
    if (decoder->hardware_failures == HARDWARE_FAILURES_MAX)
        leave_hardware(decoder);
    return failed;
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
    int failed = decode_unit_check(config->codec, bytes, size, keyframe, err);
    if (!failed)
        failed = fill_packet(decoder, bytes, size, err);
    if (!failed && keyframe)
        failed = make_fresh(decoder, err);
    if (failed)
        return failed;
    failed = decoder->device ? decode_by_hardware(decoder, picture, err)
                             : decode_packet(decoder, picture, err);
    if (failed) /* its scratch memory still holds parts of the broken macroblock */
        stop_codec(decoder);
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

enum decoder_kind decoder_kind(const struct decoder *decoder)
{
    return decoder->device ? decoder->config.kind : DECODER_SOFTWARE;
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
    stop_codec(old);
    decode_device_close(&old->device);
    av_frame_free(&old->frame);
    av_packet_free(&old->packet);
    picture_pool_release(&old->pool);
    free(old);
}

static bool side_fits(int shown, int coded, uint32_t side_max)
{
    return shown > 0 && coded > 0 && (unsigned)shown <= side_max &&
           (unsigned)coded <= (side_max + BLOCK_SIDE - 1) / BLOCK_SIDE * BLOCK_SIDE;
}

/* What is coded counts too: cropping hides as much as a sender likes. */
static int check_size(struct decoder *decoder, int width, int height, int coded_width,
                      int coded_height)
{
    const struct decoder_config *config = &decoder->config;
    if (side_fits(width, coded_width, config->width_max) &&
        side_fits(height, coded_height, config->height_max))
        return 0;
    if ((unsigned)width <= config->width_max && (unsigned)height <= config->height_max) {
        width = coded_width;
        height = coded_height;
    }
    return error_set(&decoder->refusal, ERROR_LIMIT, "picture", "%dx%d is above the limit of %ux%u",
                     width, height, config->width_max, config->height_max);
}

/* Called when the codec has read its parameter sets, before it takes memory for pictures. */
static enum AVPixelFormat choose_format(AVCodecContext *codec, const enum AVPixelFormat *offered)
{
    struct decoder *decoder = codec->opaque;
    if (check_size(decoder, codec->width, codec->height, codec->coded_width, codec->coded_height) < 0)
        return AV_PIX_FMT_NONE;
    if (decoder->device)
        return decode_device_format(decoder->device, offered);
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
    uint32_t held = (uint32_t)decoder->codec->refs + CODEC_PICTURES;
    if (decoder->config.codec == VIDEO_H265)
        held = H265_REFERENCES + CODEC_PICTURES;
    if (decoder->config.codec == VIDEO_AV1 || decoder->device)
        held = 1; /* its references lie in memory of its own */
    uint32_t slots = held + decoder->config.pictures;
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

static void note_empty_pool(struct decoder *decoder, int failed)
{
    if (failed != -ERROR_LIMIT)
        return;
    decoder->pool_empty_count++;
    decoder->refusal.code = ERROR_MEMORY; /* LIMIT is for pictures that are too large */
}

static int lend_picture(AVCodecContext *codec, AVFrame *frame, int flags)
{
    struct decoder *decoder = codec->opaque;
    if (decoder->device) /* a picture in the device */
        return avcodec_default_get_buffer2(codec, frame, flags);
    /* flags: a slot is not reused while it is referenced, as the codec wants */
    const int format = frame->format, width = frame->width, height = frame->height; /* coded */
    if (check_size(decoder, codec->width, codec->height, frame->width, frame->height) < 0 ||
        prepare_pool(decoder, frame) < 0)
        return AVERROR(EINVAL);
    int failed = picture_pool_take_frame(decoder->pool, frame, &decoder->refusal);
    note_empty_pool(decoder, failed);
    frame->format = format;
    frame->width = width;
    frame->height = height;
    return failed ? AVERROR(ENOMEM) : 0;
}
