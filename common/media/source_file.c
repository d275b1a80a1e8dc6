/* source_file: plays one video file, over and over where asked. Damaged pictures are left out and
 * counted; time goes on over damaged timestamps and over the seam of a loop. */
#include "base/log.h"
#include "media/ffmpeg.h"
#include "media/source_demux.h"
#include "media/source_kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES_MAX 4096u

struct source_file {
    struct demux demux;
    bool loop;
    bool told_short;
    uint64_t pictures_before; /* this pass */
};

static int open_container(struct source_file *file, const char *path, struct error *err);
static int end_pass(struct source_file *file, struct error *err);
static int drain(struct source_file *file, struct error *err);

static int open_all(struct source_file *file, const struct source_config *config, struct error *err)
{
    const char *path = config->path;
    struct demux *demux = &file->demux;
    int failed = demux_init(demux, path, err);
    demux->bad_max = SOURCE_BAD_MAX;
    if (!failed)
        failed = open_container(file, path, err);
    if (!failed)
        failed = demux_choose_video(demux, err);
    if (failed)
        return failed;
    const AVCodecParameters *parameters = demux->format->streams[demux->stream]->codecpar;
    if (parameters->width < 1 || parameters->height < 1 ||
        parameters->width > (int)PICTURE_SIDE_MAX || parameters->height > (int)PICTURE_SIDE_MAX)
        return error_set(err, ERROR_LIMIT, demux->place, "pictures of %dx%d are not within %ux%u",
                         parameters->width, parameters->height, PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
    return demux_open_codec(demux, (enum decoder_kind)config->decoder, err);
}

int source_file_open(struct source_file **file, const struct source_config *config,
                     struct source_info *info, struct error *err)
{
    struct source_file *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "source", "no room for a file source");
    fresh->loop = config->loop;
    int failed = open_all(fresh, config, err);
    if (failed) {
        source_file_close(&fresh);
        return failed;
    }
    demux_describe(&fresh->demux, info);
    *file = fresh;
    return 0;
}

int source_file_next(struct source_file *file, struct picture **picture, uint64_t *time_ns,
                     struct source_info *info, struct error *err)
{
    for (;;) {
        int failed = demux_receive(&file->demux, err);
        if (failed == 0)
            return demux_take(&file->demux, picture, time_ns, info, err);
        if (failed == -ERROR_AGAIN) {
            failed = demux_feed(&file->demux, err);
            if (failed == -ERROR_END)
                failed = drain(file, err);
        } else if (failed == -ERROR_END) {
            failed = end_pass(file, err);
        }
        if (failed)
            return failed;
    }
}

uint64_t source_file_skipped(const struct source_file *file)
{
    return file->demux.skipped;
}

const struct decoder_choice *source_file_decoder(const struct source_file *file)
{
    return &file->demux.choice;
}

void source_file_close(struct source_file **file)
{
    struct source_file *old = *file;
    *file = NULL;
    if (!old)
        return;
    demux_finish(&old->demux);
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

static int open_container(struct source_file *file, const char *path, struct error *err)
{
    struct demux *demux = &file->demux;
    int failed = check_path(path, err);
    if (failed)
        return failed;
    char url[PATH_BYTES_MAX + 8];
    /* With "file:" before it a path is a path, whatever colons are in it. */
    if (snprintf(url, sizeof url, "file:%s", path) >= (int)sizeof url)
        return error_set(err, ERROR_CONFIG, "source", "the path is longer than %u bytes",
                         PATH_BYTES_MAX);
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    int rc = avformat_open_input(&demux->format, url, NULL, &options);
    av_dict_free(&options);
    if (rc == AVERROR(EACCES))
        return error_set_errno(err, EACCES, path, "cannot open the video");
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, path, "not a video, or a broken one");
    rc = avformat_find_stream_info(demux->format, NULL);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_FORMAT, rc, path, "no video can be read");
    return 0;
}

/* A file that was cut off plays to where it goes; people should know. Once for each file. */
static void warn_if_short(struct source_file *file)
{
    const struct demux *demux = &file->demux;
    int64_t announced = demux->format->streams[demux->stream]->nb_frames; /* 0: not told */
    /* Headers may be off by a picture or two. */
    bool whole = demux->end_averror == AVERROR_EOF && demux->packets >= announced - announced / 50;
    if (whole || file->told_short)
        return;
    file->told_short = true;
    log_warn("source", "the file ends early", LOG_STR("path", demux->place),
             LOG_I64("pictures", demux->packets), LOG_I64("announced", announced),
             LOG_STR("cause", av_err2str(demux->end_averror)));
}

/* No more packets in this pass: what the decoder still holds comes out. */
static int drain(struct source_file *file, struct error *err)
{
    struct demux *demux = &file->demux;
    warn_if_short(file);
    int rc = avcodec_send_packet(demux->codec, NULL);
    if (rc < 0 && rc != AVERROR_EOF)
        return ffmpeg_error(err, ERROR_FORMAT, rc, demux->place, "cannot decode its end");
    return 0;
}

/* Starts again at the beginning. */
static int rewind_file(struct source_file *file, struct error *err)
{
    struct demux *demux = &file->demux;
    int64_t start = demux->format->streams[demux->stream]->start_time;
    int rc = av_seek_frame(demux->format, demux->stream, start == AV_NOPTS_VALUE ? 0 : start,
                           AVSEEK_FLAG_BACKWARD);
    if (rc < 0) /* streams without an index */
        rc = av_seek_frame(demux->format, demux->stream, 0, AVSEEK_FLAG_BYTE);
    if (rc < 0)
        return ffmpeg_error(err, ERROR_UNSUPPORTED, rc, demux->place,
                            "this kind of file cannot be played again from its start");
    demux_restart(demux);
    file->pictures_before = demux->pictures;
    return 0;
}

/* A pass that hardware left without a picture is software's once more. */
static int end_pass(struct source_file *file, struct error *err)
{
    struct demux *demux = &file->demux;
    const bool empty = demux->pictures == file->pictures_before;
    const int failed = empty && demux->device ? demux_leave_device(demux, err) : 0;
    if (failed)
        return failed;
    if (empty && !demux->left_midway)
        return error_set(err, ERROR_FORMAT, demux->place, "no picture in it can be decoded");
    return file->loop || empty ? rewind_file(file, err)
                               : error_set(err, ERROR_END, demux->place, "end of the file");
}
