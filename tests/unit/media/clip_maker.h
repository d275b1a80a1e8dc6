/* clip_maker: video whose every word is known (size, shape of pixels, way up, matrix, range, B-frames),
 * made with libavcodec alone, into a file or over UDP: what the media library is given, but never makes. */
#ifndef RUNESPOOR_TESTS_MEDIA_CLIP_MAKER_H
#define RUNESPOOR_TESTS_MEDIA_CLIP_MAKER_H

#include "testing.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

struct clip_config {
    const char *url, *format;
    const char *codec; /* NULL: libx264 */
    int width, height, fps;
    AVRational pixel;         /* 0: not told */
    int clockwise;            /* degrees by which it is to be turned before it is shown */
    enum AVColorSpace matrix; /* 0: not told, BT.601 */
    enum AVColorRange range;  /* 0: not told, limited */
    int b_frames, keyframe_every;
};

struct clip_maker {
    struct clip_config config;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    int64_t next;
};

struct clip_colour {
    uint8_t r, g, b;
};

struct clip_area {
    int x, y, width, height;
    struct clip_colour colour;
};

static inline AVCodecContext *clip_open_codec(const struct clip_config *config)
{
    AVCodecContext *codec = avcodec_alloc_context3(
        avcodec_find_encoder_by_name(config->codec ? config->codec : "libx264"));
    assert_non_null(codec);
    codec->width = config->width;
    codec->height = config->height;
    codec->pix_fmt = AV_PIX_FMT_YUV420P;
    codec->time_base = (AVRational){ 1, config->fps };
    codec->framerate = (AVRational){ config->fps, 1 };
    codec->sample_aspect_ratio = config->pixel.den ? config->pixel : (AVRational){ 0, 1 };
    codec->colorspace = config->matrix ? config->matrix : AVCOL_SPC_UNSPECIFIED;
    codec->color_range = config->range;
    codec->max_b_frames = config->b_frames;
    codec->gop_size = config->keyframe_every ? config->keyframe_every : 25;
    codec->thread_count = 1;
    av_opt_set(codec->priv_data, "preset", "ultrafast", 0);
    av_opt_set(codec->priv_data, "crf", "6", 0);
    av_opt_set(codec->priv_data, "x264-params", config->b_frames ? "b-adapt=0" : "scenecut=0", 0);
    if (config->format && strcmp(config->format, "mp4") == 0)
        codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    assert_int_equal(avcodec_open2(codec, codec->codec, NULL), 0);
    return codec;
}

static inline void clip_open(struct clip_maker *clip, const struct clip_config *config)
{
    *clip = (struct clip_maker){ .config = *config };
    av_log_set_level(AV_LOG_WARNING);
    assert_true(avformat_alloc_output_context2(&clip->format, NULL, config->format, config->url) >= 0);
    clip->codec = clip_open_codec(config);
    AVStream *stream = avformat_new_stream(clip->format, NULL);
    assert_non_null(stream);
    assert_true(avcodec_parameters_from_context(stream->codecpar, clip->codec) >= 0);
    stream->time_base = clip->codec->time_base;
    stream->avg_frame_rate = clip->codec->framerate;
    stream->sample_aspect_ratio = clip->codec->sample_aspect_ratio;
    if (config->clockwise) {
        uint8_t *matrix =
            av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t));
        assert_non_null(matrix);
        av_display_rotation_set((int32_t *)matrix, config->clockwise);
    }
    assert_true(avio_open(&clip->format->pb, config->url, AVIO_FLAG_WRITE) >= 0);
    assert_true(avformat_write_header(clip->format, NULL) >= 0);
    clip->packet = av_packet_alloc();
    clip->frame = av_frame_alloc();
    assert_true(clip->packet && clip->frame);
}

/* Writes what the encoder has; frame NULL: all that it still holds. */
static inline void clip_encode(struct clip_maker *clip, const AVFrame *frame)
{
    assert_int_equal(avcodec_send_frame(clip->codec, frame), 0);
    while (avcodec_receive_packet(clip->codec, clip->packet) == 0) {
        clip->packet->stream_index = 0;
        av_packet_rescale_ts(clip->packet, clip->codec->time_base,
                             clip->format->streams[0]->time_base);
        assert_true(av_write_frame(clip->format, clip->packet) >= 0);
        av_packet_unref(clip->packet);
    }
}

static inline int clip_level(double value)
{
    return value < 0 ? 0 : value > 255 ? 255 : (int)(value + 0.5);
}

/* By the standards' own formulas, so that no library of ours checks itself. */
static inline void clip_convert(const struct clip_config *config, struct clip_colour colour,
                                int yuv[3])
{
    bool bt709 = config->matrix == AVCOL_SPC_BT709, full = config->range == AVCOL_RANGE_JPEG;
    double kr = bt709 ? 0.2126 : 0.299, kb = bt709 ? 0.0722 : 0.114;
    double r = colour.r / 255.0, g = colour.g / 255.0, b = colour.b / 255.0;
    double y = kr * r + (1 - kr - kb) * g + kb * b;
    double u = (b - y) / (2 * (1 - kb)), v = (r - y) / (2 * (1 - kr));
    yuv[0] = clip_level(full ? 255 * y : 16 + 219 * y);
    yuv[1] = clip_level(full ? 128 + 255 * u : 128 + 224 * u);
    yuv[2] = clip_level(full ? 128 + 255 * v : 128 + 224 * v);
}

static inline void clip_fill(struct clip_maker *clip, const struct clip_area *area)
{
    int yuv[3];
    clip_convert(&clip->config, area->colour, yuv);
    for (int plane = 0; plane < 3; plane++) {
        int half = plane > 0;
        for (int row = area->y >> half; row < (area->y + area->height) >> half; row++)
            memset(clip->frame->data[plane] + row * clip->frame->linesize[plane] + (area->x >> half),
                   yuv[plane], (size_t)(area->width >> half));
    }
}

/* One picture: a ground with areas on it, sides and places even. */
static inline void clip_add(struct clip_maker *clip, struct clip_colour ground,
                            const struct clip_area *areas, size_t count)
{
    AVFrame *frame = clip->frame;
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = clip->config.width;
    frame->height = clip->config.height;
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    clip_fill(clip, &(struct clip_area){ 0, 0, frame->width, frame->height, ground });
    for (size_t i = 0; i < count; i++)
        clip_fill(clip, &areas[i]);
    frame->pts = clip->next++;
    clip_encode(clip, frame);
    av_frame_unref(frame);
}

/* Another encoder into the same stream: a camera that was given another resolution. */
static inline void clip_resize(struct clip_maker *clip, int width, int height)
{
    clip_encode(clip, NULL);
    avcodec_free_context(&clip->codec);
    clip->config.width = width;
    clip->config.height = height;
    clip->codec = clip_open_codec(&clip->config);
}

static inline void clip_close(struct clip_maker *clip)
{
    clip_encode(clip, NULL);
    assert_true(av_write_trailer(clip->format) >= 0);
    avio_closep(&clip->format->pb);
    avcodec_free_context(&clip->codec);
    av_packet_free(&clip->packet);
    av_frame_free(&clip->frame);
    avformat_free_context(clip->format);
}

/* ---- MPEG-TS over UDP on loopback, at its own pace, by a thread ---- */

struct clip_sender {
    struct clip_config config;
    char url[64];
    pthread_t thread;
    atomic_bool stop, silent; /* silent: the stream's tables go on, its pictures do not */
    atomic_int width, height; /* of the pictures from now on */
};

/* A port of loopback that nobody uses now. */
static inline uint16_t clip_free_port(int type)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* The picture's number, mod 16, is in its grey. */
static inline struct clip_colour clip_number_colour(int64_t number)
{
    uint8_t grey = (uint8_t)(20 + number % 16 * 14);
    return (struct clip_colour){ grey, grey, grey };
}

/* A packet of tables and stuffing, and no video. */
static inline void clip_send_no_pictures(struct clip_maker *clip)
{
    uint8_t stuffing[188];
    memset(stuffing, 0xff, sizeof stuffing);
    stuffing[0] = 0x47, stuffing[1] = 0x1f, stuffing[2] = 0xff, stuffing[3] = 0x10;
    for (int i = 0; i < 7; i++)
        avio_write(clip->format->pb, stuffing, sizeof stuffing);
    avio_flush(clip->format->pb);
}

static inline void *clip_run_sender(void *arg)
{
    struct clip_sender *sender = arg;
    struct clip_maker clip;
    clip_open(&clip, &sender->config);
    while (!atomic_load(&sender->stop)) {
        int width = atomic_load(&sender->width), height = atomic_load(&sender->height);
        if (width != clip.config.width || height != clip.config.height)
            clip_resize(&clip, width, height);
        if (atomic_load(&sender->silent))
            clip_send_no_pictures(&clip);
        else
            clip_add(&clip, clip_number_colour(clip.next), NULL, 0);
        usleep((useconds_t)(1000000 / sender->config.fps));
    }
    clip_close(&clip);
    return NULL;
}

static inline void clip_sender_start(struct clip_sender *sender, uint16_t port,
                                     const struct clip_config *config)
{
    sender->config = *config;
    snprintf(sender->url, sizeof sender->url, "udp://127.0.0.1:%u?pkt_size=1316", port);
    sender->config.url = sender->url;
    sender->config.format = "mpegts";
    atomic_init(&sender->stop, false);
    atomic_init(&sender->silent, false);
    atomic_init(&sender->width, config->width);
    atomic_init(&sender->height, config->height);
    assert_int_equal(pthread_create(&sender->thread, NULL, clip_run_sender, sender), 0);
}

static inline void clip_sender_stop(struct clip_sender *sender)
{
    atomic_store(&sender->stop, true);
    pthread_join(sender->thread, NULL);
}

#endif
