/* label_file: libavcodec's PNG decoder without anything behind it, since every conversion would make
 * colours of numbers. What may come is settled from the PNG header alone: libavcodec spreads grey of
 * 1, 2 and 4 bits over 0..255, and opens a picture of any size.
 *
 * When a file has fewer rows than its header says, libavcodec leaves the rest as it finds it and says
 * nothing. So it finds UNTOUCHED there, and where that is seen afterwards (as it may be, rightly), the
 * file is decoded once more over something else: what has changed then was never written. */
#include "media/label_file.h"
#include "media/ffmpeg.h"
#include "media/picture.h"

#include <assert.h>
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavutil/intreadwrite.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Signature, then the chunk IHDR: length, name, width, height, bits, colour type. */
#define HEADER_BYTES 26u
#define SIZE_AT 16u
#define BITS_AT 24u
#define COLOUR_AT 25u
#define COLOUR_GREY 0u
#define COLOUR_PALETTE 3u
#define UNTOUCHED 0xff

static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };

static int read_packet(AVPacket *packet, const char *path, struct error *err);
static int check_header(const AVPacket *packet, uint32_t width, uint32_t height, const char *path,
                        struct error *err);
static int decode(AVFrame *frame, const AVPacket *packet, int fill, const char *path,
                  struct error *err);
static int check_whole(const AVFrame *frame, const AVPacket *packet, const char *path,
                       struct error *err);

int label_file_read(uint8_t *values, uint32_t width, uint32_t height, const char *path,
                    struct error *err)
{
    assert(values && path && width > 0 && height > 0);
    ffmpeg_init();
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int failed = 0;
    if (!packet || !frame)
        failed = error_set(err, ERROR_MEMORY, path, "no room for a label map");
    if (!failed)
        failed = read_packet(packet, path, err);
    if (!failed)
        failed = check_header(packet, width, height, path, err);
    if (!failed)
        failed = decode(frame, packet, UNTOUCHED, path, err);
    if (!failed && (frame->width != (int)width || frame->height != (int)height))
        failed = error_set(err, ERROR_FORMAT, path, "decodes to another size than its header says");
    if (!failed)
        failed = check_whole(frame, packet, path, err);
    for (uint32_t y = 0; !failed && y < height; y++)
        memcpy(values + (size_t)y * width, frame->data[0] + (ptrdiff_t)y * frame->linesize[0], width);
    av_packet_free(&packet);
    av_frame_free(&frame);
    return failed;
}

/* The whole file. A pipe or a device would make us wait for ever. */
static int read_packet(AVPacket *packet, const char *path, struct error *err)
{
    struct stat status;
    FILE *file = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? fopen(path, "rb") : NULL;
    if (!file)
        return error_set_errno(err, errno, path, "cannot open the label map");
    int failed = 0;
    if (status.st_size < (off_t)HEADER_BYTES)
        failed = error_set(err, ERROR_FORMAT, path, "is no PNG file; label maps are PNG");
    else if (status.st_size > (off_t)LABEL_FILE_BYTES_MAX)
        failed = error_set(err, ERROR_LIMIT, path, "has %lld bytes, a label map at most %u",
                           (long long)status.st_size, LABEL_FILE_BYTES_MAX);
    else if (av_new_packet(packet, (int)status.st_size) < 0)
        failed =
            error_set(err, ERROR_MEMORY, path, "no room for %lld bytes", (long long)status.st_size);
    else if (fread(packet->data, 1, (size_t)packet->size, file) != (size_t)packet->size)
        failed = error_set(err, ERROR_IO, path, "cannot read %d bytes", packet->size);
    fclose(file);
    return failed;
}

static int check_header(const AVPacket *packet, uint32_t width, uint32_t height, const char *path,
                        struct error *err)
{
    const uint8_t *data = packet->data;
    if (memcmp(data, signature, sizeof signature) != 0)
        return error_set(err, ERROR_FORMAT, path, "is no PNG file; label maps are PNG");
    uint32_t has_width = AV_RB32(data + SIZE_AT), has_height = AV_RB32(data + SIZE_AT + 4);
    unsigned bits = data[BITS_AT], colour = data[COLOUR_AT];
    if (colour != COLOUR_GREY && colour != COLOUR_PALETTE)
        return error_set(err, ERROR_UNSUPPORTED, path,
                         "has colours; a label map is 8-bit grey, or has a palette, and its "
                         "values are the classes");
    if (bits > 8 || (colour == COLOUR_GREY && bits != 8))
        return error_set(err, ERROR_UNSUPPORTED, path,
                         "is grey of %u bits; a label map has 8, and its values are the classes",
                         bits);
    if (has_width != width || has_height != height)
        return error_set(err, ERROR_FORMAT, path, "is %ux%u, but its picture is %ux%u", has_width,
                         has_height, width, height);
    return 0;
}

/* A frame whose numbers are all the same before the decoder writes to it. */
static int take_filled(AVCodecContext *codec, AVFrame *frame, int flags)
{
    const int *fill = codec->opaque;
    int rc = avcodec_default_get_buffer2(codec, frame, flags);
    if (rc == 0)
        memset(frame->buf[0]->data, *fill, frame->buf[0]->size);
    return rc;
}

/* Anything that libavcodec would otherwise patch up is an error: a wrong label looks like a right
 * one. */
static int decode(AVFrame *frame, const AVPacket *packet, int fill, const char *path,
                  struct error *err)
{
    const AVCodec *png = avcodec_find_decoder(AV_CODEC_ID_PNG);
    AVCodecContext *codec = png ? avcodec_alloc_context3(png) : NULL;
    if (!codec)
        return error_set(err, ERROR_MEMORY, path, "no PNG decoder");
    codec->thread_count = 1;
    codec->max_pixels = (int64_t)PICTURE_SIDE_MAX * PICTURE_SIDE_MAX;
    codec->opaque = &fill;
    codec->get_buffer2 = take_filled;
    codec->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
    ffmpeg_forget_complaint();
    int rc = avcodec_open2(codec, png, NULL);
    if (rc == 0)
        rc = avcodec_send_packet(codec, packet);
    if (rc == 0)
        rc = avcodec_receive_frame(codec, frame);
    avcodec_free_context(&codec);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, path, "the label map is damaged");
    if (frame->format != AV_PIX_FMT_GRAY8 && frame->format != AV_PIX_FMT_PAL8)
        return error_set(err, ERROR_UNSUPPORTED, path,
                         "has a transparent colour; a label map is plain 8-bit grey, or has a "
                         "palette");
    return 0;
}

static bool has_untouched(const AVFrame *frame)
{
    for (int y = 0; y < frame->height; y++)
        if (memchr(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], UNTOUCHED,
                   (size_t)frame->width))
            return true;
    return false;
}

static int check_whole(const AVFrame *frame, const AVPacket *packet, const char *path,
                       struct error *err)
{
    if (!has_untouched(frame))
        return 0;
    AVFrame *again = av_frame_alloc();
    if (!again)
        return error_set(err, ERROR_MEMORY, path, "no room for a label map");
    int failed = decode(again, packet, 0, path, err);
    for (int y = 0; !failed && y < frame->height; y++)
        if (memcmp(frame->data[0] + (ptrdiff_t)y * frame->linesize[0],
                   again->data[0] + (ptrdiff_t)y * again->linesize[0], (size_t)frame->width) != 0)
            failed = error_set(err, ERROR_FORMAT, path,
                               "the label map is damaged: row %d is missing", y + 1);
    av_frame_free(&again);
    return failed;
}
