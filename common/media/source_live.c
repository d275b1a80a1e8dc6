/* source_live: cameras that have a time of their own: RTSP, V4L2, MPEG-TS over UDP. Opening means a
 * decoded picture, not a connection; a stall means no decoded picture, whatever bytes come. What
 * libavformat would learn by reading ahead (avformat_find_stream_info) the decoder tells with the first
 * picture, so nothing is held back and the first keyframe is not lost. */
#include "base/clock.h"
#include "base/log.h"
#include "media/ffmpeg.h"
#include "media/source_demux.h"
#include "media/source_kinds.h"

#include <dlfcn.h>
#include <errno.h>
#include <libavutil/macros.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define URL_BYTES_MAX 2048u
#define PASSWORD_BYTES_MAX 100u
/* libavformat's RTSP cuts a longer user:password, escaped as it is in the url, without a word. */
#define LOGIN_BYTES_MAX 127u
/* Time to tell a camera that we leave: some allow few viewers, and keep a seat until they hear. */
#define CLOSE_MS 200u
#define LOOK_MS 2u /* between two looks at a device that has nothing yet */

struct source_live {
    struct demux demux;
    int kind, transport;
    uint32_t first_frame_ms, stall_ms;
    struct source_watch *watch; /* borrowed */
    uint64_t deadline_ns;
    bool up;      /* has given a picture */
    bool closing; /* stop no longer counts, the deadline does */
    bool waits;   /* the first picture, in demux.frame */
};

static int open_input(struct source_live *live, const struct source_config *config,
                      struct error *err);
static int next_frame(struct source_live *live, struct error *err);
static int note_cause(struct source_live *live, int failed);
static int explain(struct source_live *live, int averror, struct error *err);
static int is_over(void *arg);

static void set_deadline(struct source_live *live, uint32_t ms)
{
    live->deadline_ns = clock_now_ns() + ms * CLOCK_NS_PER_MS;
}

static int open_all(struct source_live *live, const struct source_config *config,
                    struct source_info *info, struct error *err)
{
    struct demux *demux = &live->demux;
    int failed = demux_init(demux, config->kind == SOURCE_V4L2 ? config->path : config->url, err);
    if (failed)
        return note_cause(live, failed);
    failed = open_input(live, config, err);
    if (failed)
        return failed; /* it knows the cause */
    failed = demux_choose_video(demux, err);
    if (failed && is_over(live)) /* opened without an error, as it was interrupted */
        return explain(live, AVERROR_EXIT, err);
    if (!failed)
        failed = demux_open_codec(demux, (enum decoder_kind)config->decoder, err);
    if (failed)
        return note_cause(live, failed);
    demux_describe(demux, info);
    return next_frame(live, err);
}

int source_live_open(struct source_live **out, const struct source_config *config,
                     struct source_watch *watch, struct source_info *info, struct error *err)
{
    struct source_live *live = calloc(1, sizeof *live);
    if (!live)
        return error_set(err, ERROR_MEMORY, "source", "no room for a source");
    live->kind = config->kind;
    live->transport = config->transport;
    live->first_frame_ms = config->first_frame_ms;
    live->stall_ms = config->stall_ms;
    live->watch = watch;
    set_deadline(live, live->first_frame_ms);
    int failed = open_all(live, config, info, err);
    if (failed) {
        source_live_close(&live);
        return failed;
    }
    live->up = live->waits = true;
    demux_look(&live->demux, info);
    *out = live;
    return 0;
}

int source_live_next(struct source_live *live, struct picture **picture, uint64_t *time_ns,
                     struct source_info *info, struct error *err)
{
    set_deadline(live, live->stall_ms);
    int failed = live->waits ? 0 : next_frame(live, err);
    live->waits = false;
    if (failed)
        return failed;
    return note_cause(live, demux_take(&live->demux, picture, time_ns, info, err));
}

uint64_t source_live_skipped(const struct source_live *live)
{
    return live->demux.skipped;
}

const struct decoder_choice *source_live_decoder(const struct source_live *live)
{
    return &live->demux.choice;
}

void source_live_close(struct source_live **live)
{
    struct source_live *old = *live;
    *live = NULL;
    if (!old)
        return;
    old->closing = true;
    set_deadline(old, CLOSE_MS);
    demux_finish(&old->demux);
    free(old);
}

/* ---- why it failed ---- */

static bool is_stopped(const struct source_live *live)
{
    return live->watch->stop && atomic_load(live->watch->stop);
}

/* libavformat asks this about every 100 ms while it waits. */
static int is_over(void *arg)
{
    const struct source_live *live = arg;
    return (!live->closing && is_stopped(live)) || clock_now_ns() >= live->deadline_ns;
}

/* Of errors that say by their code all that is to be known. */
static int note_cause(struct source_live *live, int failed)
{
    if (failed)
        live->watch->cause = failed == -ERROR_MEMORY ? SOURCE_CAUSE_LOCAL : SOURCE_CAUSE_FORMAT;
    return failed;
}

static enum source_cause find_cause(const struct source_live *live, int averror)
{
    switch (averror) {
    case AVERROR_HTTP_UNAUTHORIZED:
    case AVERROR_HTTP_FORBIDDEN:
        return SOURCE_CAUSE_AUTH;
    case AVERROR_HTTP_BAD_REQUEST:
    case AVERROR_HTTP_NOT_FOUND:
    case AVERROR_HTTP_OTHER_4XX:
    case AVERROR_HTTP_SERVER_ERROR:
        return SOURCE_CAUSE_REFUSED;
    case AVERROR(EPERM):      /* RTSP's word for a reply that does not come any more, */
    case AVERROR_INVALIDDATA: /* and for one that broke off */
        if (live->kind == SOURCE_RTSP)
            return SOURCE_CAUSE_CLOSED;
        return averror == AVERROR(EPERM) ? SOURCE_CAUSE_LOCAL : SOURCE_CAUSE_FORMAT;
    case AVERROR_DEMUXER_NOT_FOUND:
    case AVERROR_PROTOCOL_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
        return SOURCE_CAUSE_FORMAT;
    case AVERROR(ENOMEM):
        return SOURCE_CAUSE_LOCAL;
    case AVERROR_EOF:
    case AVERROR(ECONNRESET):
    case AVERROR(EPIPE):
        return SOURCE_CAUSE_CLOSED;
    case AVERROR(EACCES):
    case AVERROR(EBUSY):
    case AVERROR(EADDRINUSE):
    case AVERROR(EADDRNOTAVAIL):
    case AVERROR(EMFILE):
        return live->up ? SOURCE_CAUSE_CLOSED : SOURCE_CAUSE_LOCAL;
    default: /* also names that cannot be resolved, which come as EIO */
        return live->up ? SOURCE_CAUSE_CLOSED : SOURCE_CAUSE_UNREACHABLE;
    }
}

/* libavformat gave up, or was made to. */
static int explain(struct source_live *live, int averror, struct error *err)
{
    static const struct {
        enum error_code code;
        const char *words;
    } meanings[SOURCE_CAUSE_COUNT] = {
        [SOURCE_CAUSE_UNREACHABLE] = { ERROR_NETWORK,
                                       "not to be reached; is it on, and its address right" },
        [SOURCE_CAUSE_REFUSED] = { ERROR_NETWORK,
                                   "the camera refuses; is the path of the url right" },
        [SOURCE_CAUSE_AUTH] = { ERROR_AUTH, "the camera refuses the login; see the url's user and "
                                            "password_file" },
        [SOURCE_CAUSE_CLOSED] = { ERROR_NETWORK, "the other side has ended it" },
        [SOURCE_CAUSE_FORMAT] = { ERROR_FORMAT, "no video that can be read" },
        [SOURCE_CAUSE_LOCAL] = { ERROR_IO, "cannot be opened on this box" },
    };
    const char *place = live->demux.place;
    if (is_stopped(live))
        return error_set(err, ERROR_END, place, "stopped");
    if (averror == AVERROR_EXIT || is_over(live)) { /* it may say so with the next read */
        live->watch->cause = live->up ? SOURCE_CAUSE_STALL : SOURCE_CAUSE_FIRST_FRAME;
        return live->up
                   ? error_set(err, ERROR_TIMEOUT, place, "no picture for %u ms (stall_ms)",
                               live->stall_ms)
                   : error_set(err, ERROR_TIMEOUT, place,
                               "no picture within %u ms (first_frame_ms)", live->first_frame_ms);
    }
    enum source_cause cause = live->watch->cause = find_cause(live, averror);
    int failed = ffmpeg_error(err, meanings[cause].code, averror, place, "%s", meanings[cause].words);
    if (err) { /* libavformat's complaint is in it */
        const struct error raw = *err;
        log_redact(raw.text, err->text, sizeof err->text);
    }
    return failed;
}

/* ---- opening ---- */

static void add_escaped(char *out, size_t *size, const char *password)
{
    for (; *password; password++) {
        bool plain = (*password >= 'a' && *password <= 'z') ||
                     (*password >= 'A' && *password <= 'Z') ||
                     (*password >= '0' && *password <= '9');
        *size += (size_t)sprintf(out + *size, plain ? "%c" : "%%%02X", (unsigned char)*password);
    }
}

/* url with the password of the file behind its user. password and url are to be wiped. */
static int insert_password(const char *url, const char *password, char out[URL_BYTES_MAX],
                           struct error *err)
{
    const char *at = strchr(url, '@'), *user = strstr(url, "://") + strlen("://");
    char login[LOGIN_BYTES_MAX + 3 * PASSWORD_BYTES_MAX + 2];
    size_t size = (size_t)(at - user);
    if (size <= LOGIN_BYTES_MAX) {
        memcpy(login, user, size);
        login[size++] = ':';
        add_escaped(login, &size, password);
    }
    int failed = size > LOGIN_BYTES_MAX
                     ? error_set(err, ERROR_LIMIT, "source",
                                 "user and password are longer than %u characters, of which signs "
                                 "other than letters and digits count three",
                                 LOGIN_BYTES_MAX)
                     : 0;
    if (!failed)
        snprintf(out, URL_BYTES_MAX, "%.*s%.*s%s", (int)(user - url), url, (int)size, login, at);
    explicit_bzero(login, sizeof login);
    return failed;
}

/* The first line of the file. */
static int read_password(const char *path, char password[PASSWORD_BYTES_MAX + 1], struct error *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set_errno(err, errno, path, "cannot read the password (see password_file)");
    char line[PASSWORD_BYTES_MAX + 2] = "";
    setvbuf(file, NULL, _IONBF, 0); /* no copy stays in memory */
    bool got = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    size_t size = strcspn(line, "\r\n");
    int failed = 0;
    if (!got || size == 0)
        failed = error_set(err, ERROR_CONFIG, path, "its first line has to be the password");
    else if (size > PASSWORD_BYTES_MAX)
        failed = error_set(err, ERROR_LIMIT, path, "the password is longer than %u characters",
                           PASSWORD_BYTES_MAX);
    line[size] = '\0';
    if (!failed)
        memcpy(password, line, size + 1);
    explicit_bzero(line, sizeof line);
    return failed;
}

static int make_url(const struct source_config *config, char url[URL_BYTES_MAX], struct error *err)
{
    const char *from = config->kind == SOURCE_V4L2 ? config->path : config->url;
    char password[PASSWORD_BYTES_MAX + 1];
    if (strlen(from) + LOGIN_BYTES_MAX >= URL_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "source", "url and path may have %u bytes",
                         URL_BYTES_MAX - LOGIN_BYTES_MAX - 1);
    snprintf(url, URL_BYTES_MAX, "%s", from);
    if (config->kind != SOURCE_RTSP || !config->password_file || !config->password_file[0])
        return 0;
    int failed = read_password(config->password_file, password, err);
    if (!failed)
        failed = insert_password(from, password, url, err);
    explicit_bzero(password, sizeof password);
    return failed;
}

/* libavdevice brings a desktop's libraries with it, so it is loaded by those who need it alone. Its
 * numbers go with libavformat's. */
static int load_devices(struct source_live *live, const char *path, struct error *err)
{
    const char *file = "libavdevice.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR);
    if (access(path, F_OK) != 0) {
        live->watch->cause = SOURCE_CAUSE_UNREACHABLE;
        return error_set_errno(err, errno, path, "no such camera (see source.path)");
    }
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL); /* stays; a second time is the same one */
    void (*register_all)(void) = NULL;
    if (library)
        *(void **)&register_all = dlsym(library, "avdevice_register_all");
    if (!register_all)
        return error_set(err, ERROR_UNSUPPORTED, live->demux.place,
                         "kind v4l2 needs %s: install libavdevice%d", file,
                         LIBAVFORMAT_VERSION_MAJOR);
    register_all();
    return 0;
}

static void set_options(const struct source_live *live, const struct source_config *config,
                        AVDictionary **options)
{
    char text[32];
    switch (config->kind) {
    case SOURCE_RTSP:
        av_dict_set(options, "rtsp_transport", live->transport == SOURCE_UDP ? "udp" : "tcp", 0);
        av_dict_set(options, "allowed_media_types", "video", 0);
        av_dict_set(options, "protocol_whitelist",
                    live->transport == SOURCE_UDP ? "tcp,udp,rtp" : "tcp", 0);
        break;
    case SOURCE_MPEGTS:
        av_dict_set(options, "overrun_nonfatal", "1", 0); /* lost is lost; it goes on */
        /* A stream that the program map does not list is held back until its codec is guessed, for up to 5 MB
         * or 2500 packets, and the video behind it. */
        av_dict_set(options, "max_probe_packets", "1", 0);
        av_dict_set(options, "protocol_whitelist", "udp", 0);
        break;
    case SOURCE_V4L2:
        snprintf(text, sizeof text, "%ux%u", config->width, config->height);
        av_dict_set(options, "video_size", text, 0);
        av_dict_set_int(options, "framerate", config->fps, 0);
        av_dict_set(options, "protocol_whitelist", "file", 0);
        break;
    }
}

static int open_format(struct source_live *live, const struct source_config *config,
                       const char *url, struct error *err)
{
    static const char *const names[] = {
        [SOURCE_RTSP] = "rtsp", [SOURCE_V4L2] = "v4l2", [SOURCE_MPEGTS] = "mpegts"
    };
    struct demux *demux = &live->demux;
    AVDictionary *options = NULL;
    demux->format = avformat_alloc_context();
    if (!demux->format)
        return note_cause(live, error_set(err, ERROR_MEMORY, "source", "no room for a source"));
    demux->format->interrupt_callback = (AVIOInterruptCB){ is_over, live };
    if (live->kind == SOURCE_V4L2) /* else its read would wait for ever in the driver */
        demux->format->flags |= AVFMT_FLAG_NONBLOCK;
    set_options(live, config, &options);
    int rc =
        avformat_open_input(&demux->format, url, av_find_input_format(names[live->kind]), &options);
    av_dict_free(&options);
    return rc < 0 ? explain(live, rc, err) : 0;
}

static int open_input(struct source_live *live, const struct source_config *config, struct error *err)
{
    char url[URL_BYTES_MAX];
    live->watch->cause = SOURCE_CAUSE_LOCAL;
    int failed = make_url(config, url, err);
    if (!failed && live->kind == SOURCE_V4L2)
        failed = load_devices(live, config->path, err);
    if (!failed)
        failed = open_format(live, config, url, err);
    explicit_bzero(url, sizeof url);
    return failed;
}

/* ---- pictures ---- */

/* The next undamaged picture, into demux.frame, before the deadline. */
static int next_frame(struct source_live *live, struct error *err)
{
    struct demux *demux = &live->demux;
    for (;;) {
        int failed = demux_receive(demux, err);
        if (failed == 0)
            return 0;
        if (failed == -ERROR_AGAIN && !is_over(live))
            failed = demux_feed(demux, err);
        else if (failed == -ERROR_AGAIN)
            return explain(live, AVERROR_EXIT, err);
        if (failed == -ERROR_END && demux->end_averror == AVERROR(EAGAIN)) /* a device */
            clock_sleep_until_ns(clock_now_ns() + LOOK_MS * CLOCK_NS_PER_MS);
        else if (failed == -ERROR_END)
            return explain(live, demux->end_averror, err);
        else if (failed)
            return note_cause(live, failed);
    }
}
