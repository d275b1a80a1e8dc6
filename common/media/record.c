/* record: draws on a copy and encodes it with our own encoder. Each fragment of the MP4 file starts
 * at a keyframe and is whole by itself, so what was written before a crash can be played. */
#include "media/record.h"
#include "base/clock.h"
#include "media/draw.h"
#include "media/encode.h"
#include "media/ffmpeg.h"
#include "media/scale_frame.h"

#include <assert.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICKS_PER_S 90000u /* of the file; usual in video, and no frame rate is far from it */

struct record {
    char *path;
    uint32_t width, height;
    struct scaler *scaler;
    struct encoder *encoder;
    AVFormatContext *format; /* header written once the first packet has told the codec's parameters */
    AVPacket *packet;        /* shell, points into the encoder's packet */
    bool header_written;
    uint64_t pictures;
    int64_t last_ticks;
};

static const struct rung record_rung = {
    .mode = RATE_QUALITY,
    .quality = 25,
    .bitrate_kbps = 8000,
    .vbv_ms = 2000,
    .preset = 2,     /* veryfast */
    .keyframe_s = 2, /* what a killed process loses at most */
};
#define RECORD_FPS 25.0 /* for the rate control only */

static int open_file(struct record *record, struct error *err);
static void draw_all(const struct picture_view *view, float scale_x, float scale_y,
                     const struct record_box *boxes, size_t box_count, const char *caption);
static int write_packet(struct record *record, const struct packet *packet, uint64_t time_ns,
                        struct error *err);

int record_open(struct record **record, const char *path, uint32_t width, uint32_t height,
                struct error *err)
{
    assert(record && path && width > 0 && height > 0);
    ffmpeg_init();
    struct record *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "record", "no room for a recording");
    struct encoder_config config = { .rung = record_rung, .fps = RECORD_FPS, .threads = 1 };
    rung_resolve(&config.rung, width, height);
    fresh->width = config.rung.width;
    fresh->height = config.rung.height;
    fresh->last_ticks = -1;
    fresh->path = strdup(path);
    fresh->packet = av_packet_alloc();
    int failed = 0;
    if (!fresh->path || !fresh->packet)
        failed = error_set(err, ERROR_MEMORY, "record", "no room for a recording");
    if (!failed)
        failed = scaler_create(&fresh->scaler, err);
    if (!failed)
        failed = encoder_open(&fresh->encoder, &config, err);
    if (!failed)
        failed = open_file(fresh, err);
    if (failed) {
        struct error ignored;
        record_close(&fresh, &ignored);
        return failed;
    }
    *record = fresh;
    return 0;
}

int record_add(struct record *record, struct picture *picture, uint64_t time_ns,
               const struct record_box *boxes, size_t box_count, const char *caption,
               struct error *err)
{
    assert(record && picture && (boxes || box_count == 0));
    const AVFrame *frame = picture_frame(picture);
    struct picture *copy = NULL;
    struct packet *packet = NULL;
    int failed = scaler_to_picture_from_frame(record->scaler, frame, record->width, record->height,
                                              &copy, err);
    if (failed)
        return error_wrap(err, "%s", record->path);
    struct picture_view view;
    picture_get_view(copy, &view);
    draw_all(&view, (float)record->width / (float)frame->width,
             (float)record->height / (float)frame->height, boxes, box_count, caption);
    failed = encoder_encode(record->encoder, copy, record->pictures++, false, &packet, err);
    picture_unref(&copy);
    if (!failed && packet)
        failed = write_packet(record, packet, time_ns, err);
    packet_unref(&packet);
    return failed;
}

int record_close(struct record **record, struct error *err)
{
    assert(record);
    struct record *old = *record;
    *record = NULL;
    if (!old)
        return 0;
    int failed = 0;
    ffmpeg_forget_complaint();
    if (old->header_written) {
        int rc = av_write_trailer(old->format);
        if (rc < 0)
            failed = ffmpeg_error(err, ERROR_IO, rc, old->path, "cannot finish the recording");
    }
    if (old->format) {
        int rc = avio_closep(&old->format->pb);
        if (rc < 0 && !failed)
            failed = ffmpeg_error(err, ERROR_IO, rc, old->path, "cannot finish the recording");
        avformat_free_context(old->format);
    }
    encoder_close(&old->encoder);
    scaler_destroy(&old->scaler);
    av_packet_free(&old->packet);
    free(old->path);
    free(old);
    return failed;
}

static int open_file(struct record *record, struct error *err)
{
    ffmpeg_forget_complaint();
    int rc = avformat_alloc_output_context2(&record->format, NULL, "mp4", NULL);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, record->path, "cannot write MP4");
    record->format->flags |= AVFMT_FLAG_FLUSH_PACKETS; /* a fragment goes to the file whole */
    AVStream *stream = avformat_new_stream(record->format, NULL);
    if (!stream)
        return error_set(err, ERROR_MEMORY, record->path, "no room for a recording");
    stream->time_base = (AVRational){ 1, TICKS_PER_S };
    stream->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
    stream->codecpar->codec_id = AV_CODEC_ID_H264;
    stream->codecpar->width = (int)record->width;
    stream->codecpar->height = (int)record->height;
    char *url = av_asprintf("file:%s", record->path); /* a path is a path, colons or not */
    if (!url)
        return error_set(err, ERROR_MEMORY, record->path, "no room for a recording");
    rc = avio_open(&record->format->pb, url, AVIO_FLAG_WRITE);
    av_free(url);
    return rc < 0 ? ffmpeg_error(err, ERROR_IO, rc, record->path, "cannot write the recording") : 0;
}

/* The first packet carries the parameter sets, and MP4 wants them in its header. */
static int write_header(struct record *record, const uint8_t *bytes, size_t size, struct error *err)
{
    AVStream *stream = record->format->streams[0];
    av_freep(&stream->codecpar->extradata); /* of an attempt that failed */
    stream->codecpar->extradata = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!stream->codecpar->extradata)
        return error_set(err, ERROR_MEMORY, record->path, "no room for a header");
    memcpy(stream->codecpar->extradata, bytes, size);
    stream->codecpar->extradata_size = (int)size;
    AVDictionary *options = NULL;
    av_dict_set(&options, "movflags", "frag_keyframe+empty_moov+default_base_moof", 0);
    int rc = avformat_write_header(record->format, &options);
    av_dict_free(&options);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_IO, rc, record->path, "cannot write the recording");
    record->header_written = true;
    return 0;
}

static int write_packet(struct record *record, const struct packet *packet, uint64_t time_ns,
                        struct error *err)
{
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    ffmpeg_forget_complaint();
    int failed = record->header_written ? 0 : write_header(record, bytes, size, err);
    if (failed)
        return failed;
    AVStream *stream = record->format->streams[0];
    int64_t ticks = av_rescale((int64_t)time_ns, TICKS_PER_S, (int64_t)CLOCK_NS_PER_S);
    if (ticks <= record->last_ticks) /* MP4 wants growing times */
        ticks = record->last_ticks + 1;
    record->last_ticks = ticks;
    AVPacket *shell = record->packet;
    shell->data = (uint8_t *)bytes; /* borrowed, as long as the call takes; not written to */
    shell->size = (int)size;
    shell->flags = packet_is_keyframe(packet) ? AV_PKT_FLAG_KEY : 0;
    shell->pts = shell->dts = av_rescale_q(ticks, (AVRational){ 1, TICKS_PER_S }, stream->time_base);
    int rc = av_write_frame(record->format, shell);
    av_packet_unref(shell);
    if (rc == 0 && record->format->pb->error < 0)
        rc = record->format->pb->error;
    return rc < 0 ? ffmpeg_error(err, ERROR_IO, rc, record->path, "cannot write the recording") : 0;
}

/* Text twice as large from about 480 lines on, and so forth. */
static uint32_t text_scale(const struct picture_view *view)
{
    return 1 + view->height / 400;
}

/* top_min: what is above is the caption's. */
static void draw_label(const struct picture_view *view, const struct record_box *box, float x,
                       float y, int32_t top_min, struct draw_colour colour)
{
    char label[sizeof box->label];
    snprintf(label, sizeof label, "%.*s", (int)sizeof label - 1, box->label);
    uint32_t scale = text_scale(view), height = draw_text_height(scale);
    uint32_t width = draw_text_width(scale, label);
    if (width == 0 || !(x > -1e6f && x < 1e6f && y > -1e6f && y < 1e6f))
        return;
    /* Above the box, or inside of it where there is no room above; whole where possible. */
    int32_t left = (int32_t)x, top = (int32_t)y - (int32_t)height;
    if (left + (int32_t)width > (int32_t)view->width)
        left = (int32_t)view->width - (int32_t)width;
    left = left < 0 ? 0 : left;
    if (top < top_min)
        top = (int32_t)y > top_min ? (int32_t)y : top_min;
    draw_text(view, left, top, scale, label, draw_black, colour);
}

static void draw_all(const struct picture_view *view, float scale_x, float scale_y,
                     const struct record_box *boxes, size_t box_count, const char *caption)
{
    uint32_t thickness = 1 + view->height / 300;
    bool captioned = caption && caption[0];
    int32_t top_min = captioned ? (int32_t)draw_text_height(text_scale(view)) : 0;
    for (size_t i = 0; i < box_count; i++) {
        const struct record_box *box = &boxes[i];
        struct draw_colour colour = draw_class_colour(box->class_id);
        draw_box(view, box->x * scale_x, box->y * scale_y, box->width * scale_x,
                 box->height * scale_y, thickness, colour);
        draw_label(view, box, box->x * scale_x, box->y * scale_y, top_min, colour);
    }
    if (captioned)
        draw_text(view, 0, 0, text_scale(view), caption, draw_white, draw_black);
}
