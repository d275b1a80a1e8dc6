/* source_demux: see the header. */
#include "media/source_demux.h"
#include "base/clock.h"
#include "base/log.h"
#include "media/ffmpeg.h"
#include "media/source_turn.h"

#include <stdio.h>
#include <string.h>

/* Timestamps that jump further than this are damaged, or cut together: the gap is closed. */
#define JUMP_MAX_NS (10 * CLOCK_NS_PER_S)
#define FPS_ASSUMED 25.0 /* when a source does not tell */
#define FPS_MAX 1000.0
/* What hardware may fail at before software takes its place: so many packets in a row; or fewer over so long a
 * time, for slow cameras, whose deadlines would come first. */
#define HARDWARE_BAD_MAX 50u
#define HARDWARE_BAD_MIN 5u
#define HARDWARE_BAD_NS (2 * CLOCK_NS_PER_S)

int demux_init(struct demux *demux, const char *place, struct error *err)
{
    ffmpeg_init();
    ffmpeg_forget_complaint();
    *demux = (struct demux){ .stream = -1, .last_stamp_ns = AV_NOPTS_VALUE };
    log_redact(place, demux->place, sizeof demux->place);
    demux->packet = av_packet_alloc();
    demux->frame = av_frame_alloc();
    if (!demux->packet || !demux->frame)
        return error_set(err, ERROR_MEMORY, "source", "no room for a source");
    return scaler_create(&demux->scaler, err);
}

int demux_choose_video(struct demux *demux, struct error *err)
{
    demux->stream = av_find_best_stream(demux->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (demux->stream < 0)
        return error_set(err, ERROR_FORMAT, demux->place, "there is no video in it");
    for (unsigned i = 0; i < demux->format->nb_streams; i++)
        if ((int)i != demux->stream)
            demux->format->streams[i]->discard = AVDISCARD_ALL;
    return 0;
}

static AVStream *video(const struct demux *demux)
{
    return demux->format->streams[demux->stream];
}

/* By the choice; a device that is to be used is open. */
static int open_codec(struct demux *demux, struct error *err)
{
    const AVCodecParameters *parameters = video(demux)->codecpar;
    const AVCodec *decoder = demux->device ? decode_device_library(demux->device)
                                           : avcodec_find_decoder(parameters->codec_id);
    if (!decoder)
        return error_set(err, ERROR_UNSUPPORTED, demux->place, "no decoder for its codec %s",
                         avcodec_get_name(parameters->codec_id));
    demux->codec = avcodec_alloc_context3(decoder);
    if (!demux->codec)
        return error_set(err, ERROR_MEMORY, demux->place, "no room for a decoder");
    demux->codec->thread_count = 1; /* cameras are the parallelism */
    demux->codec->max_pixels = (int64_t)PICTURE_SIDE_MAX * PICTURE_SIDE_MAX;
    demux->codec->pkt_timebase = video(demux)->time_base;
    int rc = avcodec_parameters_to_context(demux->codec, parameters);
    int failed =
        rc == 0 && demux->device ? decode_device_attach(demux->device, demux->codec, err) : 0;
    if (failed)
        return failed;
    if (rc == 0)
        rc = avcodec_open2(demux->codec, decoder, NULL);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, demux->place, "cannot decode its %s",
                            decoder->name);
    return 0;
}

static void close_codec(struct demux *demux)
{
    avcodec_free_context(&demux->codec);
    decode_device_close(&demux->device);
}

/* The hardware does not work, or does no more. What comes before the next keyframe is lost with it. */
static int fall_back(struct demux *demux, const struct error *cause, struct error *err)
{
    decoder_choice_leave(&demux->choice, cause);
    close_codec(demux);
    demux->bad_in_row = demux->failures = 0;
    return open_codec(demux, err);
}

int demux_open_codec(struct demux *demux, enum decoder_kind wish, struct error *err)
{
    static const enum AVCodecID ids[VIDEO_CODEC_COUNT] = {
        [VIDEO_H264] = AV_CODEC_ID_H264, [VIDEO_H265] = AV_CODEC_ID_HEVC, [VIDEO_AV1] = AV_CODEC_ID_AV1
    };
    const enum AVCodecID id = video(demux)->codecpar->codec_id;
    struct error cause;
    demux->choice = (struct decoder_choice){ .codec = avcodec_get_name(id) };
    for (size_t codec = 0; codec < VIDEO_CODEC_COUNT; codec++)
        if (ids[codec] == id)
            decoder_choose(&demux->choice, (enum video_codec)codec, wish, true);
    if (demux->choice.kind == DECODER_SOFTWARE)
        return open_codec(demux, err);
    int failed = decode_device_open(&demux->device, id, demux->choice.kind, &cause);
    if (!failed)
        failed = open_codec(demux, &cause);
    return failed ? fall_back(demux, &cause, err) : 0;
}

/* Tells of pictures of this size and shape, once they are turned. */
static void fill_info(const struct demux *demux, const struct source_turn *turn, int width,
                      int height, AVRational pixel, struct source_info *info)
{
    uint32_t wide = (uint32_t)(turn->transpose ? height : width);
    uint32_t high = (uint32_t)(turn->transpose ? width : height);
    uint32_t display_wide, display_high;
    ffmpeg_display_size(wide, high, turn->transpose ? av_inv_q(pixel) : pixel, &display_wide,
                        &display_high);
    if (info->width == wide && info->height == high && info->display_width == display_wide &&
        info->display_height == display_high)
        return;
    info->width = wide;
    info->height = high;
    info->display_width = display_wide;
    info->display_height = display_high;
    int size = snprintf(info->description, sizeof info->description, "%s %ux%u",
                        avcodec_get_name(demux->codec->codec_id), wide, high);
    if (info->fps > 0)
        snprintf(info->description + size, sizeof info->description - (size_t)size, " %.4g fps",
                 info->fps);
}

static void set_fps(struct demux *demux, double fps, struct source_info *info)
{
    info->fps = fps > 0 && fps <= FPS_MAX ? fps : 0;
    demux->period_ns = (uint64_t)((double)CLOCK_NS_PER_S / (info->fps > 0 ? info->fps : FPS_ASSUMED));
}

void demux_describe(struct demux *demux, struct source_info *info)
{
    AVStream *stream = video(demux);
    struct source_turn turn;
    *info = (struct source_info){ .fps = 0 };
    set_fps(demux, av_q2d(av_guess_frame_rate(demux->format, stream, NULL)), info);
    source_turn_find(&turn, stream, demux->frame);
    fill_info(demux, &turn, stream->codecpar->width, stream->codecpar->height,
              av_guess_sample_aspect_ratio(demux->format, stream, NULL), info);
}

/* One damaged packet or picture more. */
static int skip_bad(struct demux *demux, const char *what, struct error *err)
{
    demux->skipped++;
    demux->bad_in_row++;
    if (demux->bad_max == 0 || demux->bad_in_row < demux->bad_max)
        return 0;
    return error_set(err, ERROR_FORMAT, demux->place, "%u damaged pictures in a row (%s)",
                     demux->bad_in_row, what);
}

/* True for one failure too many. Before a keyframe has come nothing is to be expected of the hardware. */
static bool count_failure(struct demux *demux)
{
    if (!demux->device || !demux->begun)
        return false;
    if (demux->failures++ == 0)
        demux->failing_since_ns = clock_now_ns();
    return demux->failures >= HARDWARE_BAD_MAX ||
           (demux->failures >= HARDWARE_BAD_MIN &&
            clock_now_ns() - demux->failing_since_ns >= HARDWARE_BAD_NS);
}

/* One that the decoder failed at. */
static int skip_failed(struct demux *demux, int averror, const char *what, struct error *err)
{
    struct error cause;
    if (!count_failure(demux))
        return skip_bad(demux, what, err);
    demux->skipped++;
    demux->left_midway = true;
    ffmpeg_error(&cause, ERROR_FORMAT, averror, demux->place, "%s", what);
    return fall_back(demux, &cause, err);
}

/* A stream that the device refuses, at its beginning or where it changes, is software's with this very packet.
 * *rc: what its sending comes to. */
static int hand_over(struct demux *demux, int *rc, struct error *err)
{
    struct error cause;
    ffmpeg_error(&cause, ERROR_UNSUPPORTED, *rc, demux->place, "the hardware does not take it");
    int failed = fall_back(demux, &cause, err);
    if (!failed)
        *rc = avcodec_send_packet(demux->codec, demux->packet);
    return failed;
}

static bool is_refused(const struct demux *demux, int rc)
{
    return rc < 0 && demux->device && decode_device_has_refused(demux->device);
}

int demux_feed(struct demux *demux, struct error *err)
{
    int rc;
    do {
        av_packet_unref(demux->packet);
        rc = av_read_frame(demux->format, demux->packet);
    } while (rc == 0 && demux->packet->stream_index != demux->stream);
    if (rc < 0) {
        demux->end_averror = rc;
        return -(int)ERROR_END;
    }
    demux->packets++;
    if (video(demux)->codecpar->codec_id != demux->codec->codec_id)
        return error_set(err, ERROR_FORMAT, demux->place, "its codec has changed to %s",
                         avcodec_get_name(video(demux)->codecpar->codec_id));
    if (demux->packet->flags & AV_PKT_FLAG_CORRUPT) /* the demuxer knows: cut short, or a gap */
        return skip_bad(demux, "packets are damaged", err);
    demux->begun |= (demux->packet->flags & AV_PKT_FLAG_KEY) != 0;
    ffmpeg_forget_complaint();
    rc = avcodec_send_packet(demux->codec, demux->packet);
    int failed = is_refused(demux, rc) ? hand_over(demux, &rc, err) : 0;
    if (failed)
        return failed;
    if (rc == AVERROR(ENOMEM) && !demux->device) /* a device's memory is not ours */
        return ffmpeg_error(err, ERROR_MEMORY, rc, demux->place, "cannot decode");
    return rc < 0 ? skip_failed(demux, rc, "packets do not decode", err) : 0;
}

int demux_receive(struct demux *demux, struct error *err)
{
    int rc = avcodec_receive_frame(demux->codec, demux->frame);
    if (rc == AVERROR(EAGAIN))
        return -(int)ERROR_AGAIN;
    if (rc == AVERROR_EOF)
        return -(int)ERROR_END;
    if (rc == 0 && demux->device)
        rc = decode_device_fetch(demux->device, demux->frame);
    if (rc == 0 && !demux->frame->decode_error_flags &&
        !(demux->frame->flags & AV_FRAME_FLAG_CORRUPT)) {
        demux->bad_in_row = demux->failures = 0;
        return 0;
    }
    av_frame_unref(demux->frame);
    if (is_refused(demux, rc)) {
        int failed = hand_over(demux, &rc, err);
        if (failed || rc >= 0)
            return failed ? failed : -(int)ERROR_AGAIN;
    }
    int failed = rc == 0 ? skip_bad(demux, "pictures are damaged", err)
                         : skip_failed(demux, rc, "pictures do not decode", err);
    return failed ? failed : -(int)ERROR_AGAIN;
}

/* What the source says, made monotonic: a step back or a wide jump counts as one period. */
static uint64_t next_time(struct demux *demux)
{
    const AVRational ns = { 1, (int)CLOCK_NS_PER_S };
    int64_t stamp = demux->frame->best_effort_timestamp;
    if (stamp != AV_NOPTS_VALUE)
        stamp = av_rescale_q(stamp, video(demux)->time_base, ns);
    uint64_t step = demux->period_ns;
    if (stamp != AV_NOPTS_VALUE && demux->last_stamp_ns != AV_NOPTS_VALUE &&
        stamp > demux->last_stamp_ns &&
        (uint64_t)stamp - (uint64_t)demux->last_stamp_ns <= JUMP_MAX_NS)
        step = (uint64_t)stamp - (uint64_t)demux->last_stamp_ns;
    if (demux->pictures > 0)
        demux->last_time_ns += step;
    if (stamp != AV_NOPTS_VALUE)
        demux->last_stamp_ns = stamp;
    else if (demux->last_stamp_ns != AV_NOPTS_VALUE)
        demux->last_stamp_ns += (int64_t)step;
    demux->pictures++;
    return demux->last_time_ns;
}

/* Devices give other formats, and rows from the bottom up. */
static int to_picture(struct demux *demux, struct picture **picture, struct error *err)
{
    AVFrame *frame = demux->frame;
    bool as_it_is = frame->format == AV_PIX_FMT_YUV420P || frame->format == AV_PIX_FMT_YUVJ420P ||
                    frame->format == AV_PIX_FMT_NV12;
    frame->opaque = NULL; /* ours: no picture_pool */
    if (as_it_is && frame->linesize[0] > 0)
        return picture_from_frame(picture, frame, err);
    return scaler_to_picture_from_frame(demux->scaler, frame, (uint32_t)frame->width,
                                        (uint32_t)frame->height, picture, err);
}

void demux_look(struct demux *demux, struct source_info *info)
{
    struct source_turn turn;
    if (info->fps == 0 && demux->codec->framerate.num > 0) { /* some tell in the video itself */
        set_fps(demux, av_q2d(demux->codec->framerate), info);
        info->width = 0; /* so that the words tell it, too */
    }
    source_turn_find(&turn, video(demux), demux->frame);
    fill_info(demux, &turn, demux->frame->width, demux->frame->height,
              av_guess_sample_aspect_ratio(demux->format, video(demux), demux->frame), info);
}

int demux_take(struct demux *demux, struct picture **picture, uint64_t *time_ns,
               struct source_info *info, struct error *err)
{
    struct source_turn turn;
    demux_look(demux, info);
    *time_ns = next_time(demux);
    const AVRational pixel = av_guess_sample_aspect_ratio(demux->format, video(demux), demux->frame);
    source_turn_find(&turn, video(demux), demux->frame);
    struct picture *made = NULL;
    int failed = to_picture(demux, &made, err);
    av_frame_unref(demux->frame);
    if (!failed)
        picture_frame(made)->sample_aspect_ratio = pixel;
    if (!failed && !source_turn_is_none(&turn))
        failed = source_turn_picture(&turn, demux->scaler, &demux->turned, &made, err);
    if (failed) {
        picture_unref(&made);
        return error_wrap(err, "%s", demux->place);
    }
    *picture = made;
    return 0;
}

int demux_leave_device(struct demux *demux, struct error *err)
{
    struct error cause;
    demux->left_midway = true;
    error_set(&cause, ERROR_FORMAT, demux->place, "no picture decodes from its start to its end");
    return fall_back(demux, &cause, err);
}

void demux_restart(struct demux *demux)
{
    demux->left_midway = false;
    avcodec_flush_buffers(demux->codec);
    demux->packets = 0;
    demux->last_stamp_ns = AV_NOPTS_VALUE;
}

void demux_finish(struct demux *demux)
{
    close_codec(demux);
    avformat_close_input(&demux->format);
    av_packet_free(&demux->packet);
    av_frame_free(&demux->frame);
    scaler_destroy(&demux->scaler);
    frame_pool_finish(&demux->turned);
}
