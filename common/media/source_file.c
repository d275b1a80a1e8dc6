/* source_file: demuxes and decodes one video file. Damaged pictures are left out and counted; time
 * goes on over damaged timestamps and over the seam of a loop. */
#include "base/clock.h"
#include "base/log.h"
#include "media/ffmpeg.h"
#include "media/scale_frame.h"
#include "media/source_kinds.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES_MAX 4096u
/* Timestamps that jump further than this are damaged, or cut together: the gap is closed. */
#define JUMP_MAX_NS (10 * CLOCK_NS_PER_S)
#define FPS_ASSUMED 25.0 /* when a file does not tell */
#define FPS_MAX 1000.0

struct source_file {
    char *path;
    bool loop;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    struct scaler *scaler; /* for what is no I420 or NV12 */
    int stream;            /* index of the video */
    uint32_t width, height;
    uint64_t period_ns; /* nominal, between two pictures */
    bool told_short;
    uint64_t skipped;
    uint32_t bad_in_row;
    int64_t packets_this_pass;
    uint64_t pictures_this_pass, pictures;
    int64_t last_stamp_ns; /* what the file said of the last picture; AV_NOPTS_VALUE: start of a pass */
    uint64_t last_time_ns; /* what we said */
};

static int open_demuxer(struct source_file *file, struct error *err);
static int open_codec(struct source_file *file, struct error *err);
static void describe(struct source_file *file, struct source_info *info);
static int next_frame(struct source_file *file, struct error *err);
static int to_picture(struct source_file *file, struct picture **picture, struct error *err);
static uint64_t next_time(struct source_file *file);

int source_file_open(struct source_file **file, const struct source_config *config,
                     struct source_info *info, struct error *err)
{
    ffmpeg_init();
    if (!config->path || !config->path[0])
        return error_set(err, ERROR_CONFIG, "source", "kind file needs a path");
    struct source_file *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "source", "no room for a file source");
    int failed = 0;
    fresh->loop = config->loop;
    fresh->last_stamp_ns = AV_NOPTS_VALUE;
    fresh->path = strdup(config->path);
    fresh->packet = av_packet_alloc();
    fresh->frame = av_frame_alloc();
    if (!fresh->path || !fresh->packet || !fresh->frame)
        failed = error_set(err, ERROR_MEMORY, "source", "no room for a file source");
    if (!failed)
        failed = scaler_create(&fresh->scaler, err);
    ffmpeg_forget_complaint();
    if (!failed)
        failed = open_demuxer(fresh, err);
    if (!failed)
        failed = open_codec(fresh, err);
    if (failed) {
        source_file_close(&fresh);
        return failed;
    }
    describe(fresh, info);
    *file = fresh;
    return 0;
}

int source_file_next(struct source_file *file, struct picture **picture, uint64_t *time_ns,
                     struct error *err)
{
    int failed = next_frame(file, err);
    if (failed)
        return failed;
    *time_ns = next_time(file);
    file->pictures++;
    file->pictures_this_pass++;
    failed = to_picture(file, picture, err);
    av_frame_unref(file->frame);
    return failed;
}

uint64_t source_file_skipped(const struct source_file *file)
{
    return file->skipped;
}

void source_file_close(struct source_file **file)
{
    struct source_file *old = *file;
    *file = NULL;
    if (!old)
        return;
    avcodec_free_context(&old->codec);
    avformat_close_input(&old->format);
    av_packet_free(&old->packet);
    av_frame_free(&old->frame);
    scaler_destroy(&old->scaler);
    free(old->path);
    free(old);
}

/* A pipe or a device would make us wait for ever. */
static int check_path(const char *path, struct error *err)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return error_set_errno(err, errno, path, "cannot open the video (see source.path)");
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_IO, path, "not a regular file; source.path must be a video");
    return 0;
}

static int open_demuxer(struct source_file *file, struct error *err)
{
    int failed = check_path(file->path, err);
    if (failed)
        return failed;
    char url[PATH_BYTES_MAX + 8];
    /* With "file:" before it a path is a path, whatever colons are in it. */
    if (snprintf(url, sizeof url, "file:%s", file->path) >= (int)sizeof url)
        return error_set(err, ERROR_CONFIG, "source", "the path is longer than %u bytes",
                         PATH_BYTES_MAX);
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    int rc = avformat_open_input(&file->format, url, NULL, &options);
    av_dict_free(&options);
    if (rc == AVERROR(EACCES))
        return error_set_errno(err, EACCES, file->path, "cannot open the video");
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, file->path, "not a video, or a broken one");
    rc = avformat_find_stream_info(file->format, NULL);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, file->path, "no video can be read");
    file->stream = av_find_best_stream(file->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (file->stream < 0)
        return error_set(err, ERROR_FORMAT, file->path, "there is no video in it");
    for (unsigned i = 0; i < file->format->nb_streams; i++)
        if ((int)i != file->stream)
            file->format->streams[i]->discard = AVDISCARD_ALL;
    return 0;
}

static int open_codec(struct source_file *file, struct error *err)
{
    const AVCodecParameters *parameters = file->format->streams[file->stream]->codecpar;
    const AVCodec *decoder = avcodec_find_decoder(parameters->codec_id);
    if (!decoder)
        return error_set(err, ERROR_UNSUPPORTED, file->path, "no decoder for its codec %s",
                         avcodec_get_name(parameters->codec_id));
    if (parameters->width < 1 || parameters->height < 1 ||
        parameters->width > (int)PICTURE_SIDE_MAX || parameters->height > (int)PICTURE_SIDE_MAX)
        return error_set(err, ERROR_LIMIT, file->path, "pictures of %dx%d are not within %ux%u",
                         parameters->width, parameters->height, PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
    file->codec = avcodec_alloc_context3(decoder);
    if (!file->codec)
        return error_set(err, ERROR_MEMORY, file->path, "no room for a decoder");
    file->codec->thread_count = 1; /* cameras are the parallelism */
    file->codec->max_pixels = (int64_t)PICTURE_SIDE_MAX * PICTURE_SIDE_MAX;
    file->codec->pkt_timebase = file->format->streams[file->stream]->time_base;
    int rc = avcodec_parameters_to_context(file->codec, parameters);
    if (rc == 0)
        rc = avcodec_open2(file->codec, decoder, NULL);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, file->path, "cannot decode its %s", decoder->name);
    file->width = (uint32_t)parameters->width;
    file->height = (uint32_t)parameters->height;
    return 0;
}

static void describe(struct source_file *file, struct source_info *info)
{
    AVStream *stream = file->format->streams[file->stream];
    double fps = av_q2d(av_guess_frame_rate(file->format, stream, NULL));
    if (!(fps > 0) || fps > FPS_MAX)
        fps = 0;
    file->period_ns = (uint64_t)((double)CLOCK_NS_PER_S / (fps > 0 ? fps : FPS_ASSUMED));
    *info = (struct source_info){ .width = file->width, .height = file->height, .fps = fps };
    snprintf(info->description, sizeof info->description, "%s %ux%u %.4g fps",
             avcodec_get_name(stream->codecpar->codec_id), info->width, info->height, fps);
}

/* One damaged packet or picture more. */
static int skip_bad(struct source_file *file, const char *what, struct error *err)
{
    file->skipped++;
    file->bad_in_row++;
    if (file->bad_in_row < SOURCE_BAD_MAX)
        return 0;
    return error_set(err, ERROR_FORMAT, file->path, "%u damaged pictures in a row (%s)",
                     file->bad_in_row, what);
}

/* Starts again at the beginning. */
static int rewind_file(struct source_file *file, struct error *err)
{
    if (file->pictures_this_pass == 0)
        return error_set(err, ERROR_FORMAT, file->path, "no picture in it can be decoded");
    int64_t start = file->format->streams[file->stream]->start_time;
    int rc = av_seek_frame(file->format, file->stream, start == AV_NOPTS_VALUE ? 0 : start,
                           AVSEEK_FLAG_BACKWARD);
    if (rc < 0) /* streams without an index */
        rc = av_seek_frame(file->format, file->stream, 0, AVSEEK_FLAG_BYTE);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, file->path,
                            "this kind of file cannot be played again from its start");
    avcodec_flush_buffers(file->codec);
    file->packets_this_pass = 0;
    file->pictures_this_pass = 0;
    file->last_stamp_ns = AV_NOPTS_VALUE;
    return 0;
}

/* A file that was cut off plays to where it goes; people should know. Once for each file. */
static void warn_if_short(struct source_file *file, int averror)
{
    int64_t announced = file->format->streams[file->stream]->nb_frames; /* 0: not told */
    /* Headers may be off by a picture or two. */
    bool whole = averror == AVERROR_EOF && file->packets_this_pass >= announced - announced / 50;
    if (whole || file->told_short)
        return;
    file->told_short = true;
    log_warn("source", "the file ends early", LOG_STR("path", file->path),
             LOG_I64("pictures", file->packets_this_pass), LOG_I64("announced", announced),
             LOG_STR("cause", av_err2str(averror)));
}

/* Gives the decoder one more packet of the video, or tells it that there are no more. */
static int feed_decoder(struct source_file *file, struct error *err)
{
    int rc;
    do {
        av_packet_unref(file->packet);
        rc = av_read_frame(file->format, file->packet);
    } while (rc == 0 && file->packet->stream_index != file->stream);
    if (rc < 0) {
        warn_if_short(file, rc);
        rc = avcodec_send_packet(file->codec, NULL);
        return rc < 0 && rc != AVERROR_EOF ? skip_bad(file, "at the end", err) : 0;
    }
    file->packets_this_pass++;
    if (file->packet->flags & AV_PKT_FLAG_CORRUPT) /* the demuxer knows: cut short, or a gap */
        return skip_bad(file, "packets are damaged", err);
    rc = avcodec_send_packet(file->codec, file->packet);
    if (rc == AVERROR(ENOMEM))
        return ffmpeg_error(err, ERROR_MEMORY, rc, file->path, "cannot decode");
    return rc < 0 ? skip_bad(file, "packets do not decode", err) : 0;
}

/* The next undamaged picture, into file->frame. */
static int next_frame(struct source_file *file, struct error *err)
{
    for (;;) {
        int failed = 0;
        int rc = avcodec_receive_frame(file->codec, file->frame);
        if (rc == 0) {
            if (!file->frame->decode_error_flags && !(file->frame->flags & AV_FRAME_FLAG_CORRUPT)) {
                file->bad_in_row = 0;
                return 0;
            }
            av_frame_unref(file->frame);
            failed = skip_bad(file, "pictures are damaged", err);
        } else if (rc == AVERROR_EOF) {
            if (!file->loop && file->pictures == 0)
                return error_set(err, ERROR_FORMAT, file->path, "no picture in it can be decoded");
            if (!file->loop)
                return error_set(err, ERROR_END, file->path, "end of the file");
            failed = rewind_file(file, err);
        } else if (rc == AVERROR(EAGAIN)) {
            failed = feed_decoder(file, err);
        } else {
            failed = skip_bad(file, "pictures do not decode", err);
        }
        if (failed)
            return failed;
    }
}

/* What the file says, made monotonic: a step back or a wide jump counts as one period. */
static uint64_t next_time(struct source_file *file)
{
    const AVRational ns = { 1, (int)CLOCK_NS_PER_S };
    int64_t stamp = file->frame->best_effort_timestamp;
    if (stamp != AV_NOPTS_VALUE)
        stamp = av_rescale_q(stamp, file->format->streams[file->stream]->time_base, ns);
    uint64_t step = file->period_ns;
    if (stamp != AV_NOPTS_VALUE && file->last_stamp_ns != AV_NOPTS_VALUE &&
        stamp > file->last_stamp_ns && (uint64_t)stamp - (uint64_t)file->last_stamp_ns <= JUMP_MAX_NS)
        step = (uint64_t)stamp - (uint64_t)file->last_stamp_ns;
    if (file->pictures > 0)
        file->last_time_ns += step;
    if (stamp != AV_NOPTS_VALUE)
        file->last_stamp_ns = stamp;
    else if (file->last_stamp_ns != AV_NOPTS_VALUE)
        file->last_stamp_ns += (int64_t)step;
    return file->last_time_ns;
}

static int to_picture(struct source_file *file, struct picture **picture, struct error *err)
{
    AVFrame *frame = file->frame;
    bool as_it_is = frame->format == AV_PIX_FMT_YUV420P || frame->format == AV_PIX_FMT_YUVJ420P ||
                    frame->format == AV_PIX_FMT_NV12;
    if (frame->width != (int)file->width || frame->height != (int)file->height ||
        frame->linesize[0] < 0)
        as_it_is = false; /* the size changed on the way: what was announced holds */
    frame->opaque = NULL; /* ours: no picture_pool */
    int failed = as_it_is ? picture_from_frame(picture, frame, err)
                          : scaler_to_picture_from_frame(file->scaler, frame, file->width,
                                                         file->height, picture, err);
    return failed ? error_wrap(err, "%s", file->path) : 0;
}
