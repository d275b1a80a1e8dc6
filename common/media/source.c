/* source: the option table, and the choice between the kinds. */
#include "media/source.h"
#include "media/source_kinds.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const source_kinds[] = { "file", "test", "rtsp", "v4l2", "mpegts", NULL };
static const char *const source_transports[] = { "tcp", "udp", NULL };

const struct option_spec source_options[] = {
    OPTION_ENUM(source_config, kind, "file", source_kinds,
                "a video file, a generated moving test picture, a network camera, a camera of this "
                "box, or MPEG-TS over UDP"),
    OPTION_STRING(source_config, path, "",
                  "kind file: the video file; kind v4l2: the device, as /dev/video0"),
    OPTION_ENUM(source_config, decoder, "auto", decoder_kind_words,
                "what decodes the video that comes: auto takes the first of nvdec, vaapi, qsv, v4l2m2m "
                "that decodes test pictures of the same codec, else software"),
    OPTION_BOOL(source_config, loop, "false", "kind file: start again at the end"),
    OPTION_STRING(
        source_config, url, "",
        "kind rtsp: as rtsp://user@192.0.2.7:554/stream1, without the password; kind mpegts: "
        "as udp://239.0.0.1:5000, or udp://127.0.0.1:5000 for what is sent to this box"),
    OPTION_STRING(source_config, password_file, "",
                  "kind rtsp: file whose first line is the password of the url's user"),
    OPTION_ENUM(source_config, transport, "tcp", source_transports,
                "kind rtsp: how the video comes; udp has less delay where nothing is lost"),
    OPTION_U32(source_config, width, "768", 16, 8192, "px",
               "kind test: width; kind v4l2: asked of the camera, which may have only others"),
    OPTION_U32(source_config, height, "576", 16, 8192, "px", "kinds test and v4l2: height"),
    OPTION_U32(source_config, fps, "10", 1, 240, "1/s", "kinds test and v4l2: pictures each second"),
    OPTION_U32(source_config, seconds, "0", 0, 1000000, "s", "kind test: length; 0: for ever"),
    OPTION_U32(source_config, first_frame_ms, "10000", 100, 600000, "ms",
               "kinds rtsp, v4l2, mpegts: a camera that has given no picture by then is given up, "
               "and tried again"),
    OPTION_U32(
        source_config, stall_ms, "5000", 100, 600000, "ms",
        "kinds rtsp, v4l2, mpegts: a camera whose next picture takes longer is opened again"),
    OPTION_U32(source_config, retry_first_ms, "500", 10, 600000, "ms",
               "wait before the first new try to open it; kind file: where another camera streams"),
    OPTION_U32(source_config, retry_cap_ms, "30000", 10, 3600000, "ms",
               "longest wait; waits double up to here, with jitter, and it is never given up"),
    OPTION_END,
};

const char *const source_cause_words[SOURCE_CAUSE_COUNT] = {
    [SOURCE_CAUSE_UNREACHABLE] = "unreachable",
    [SOURCE_CAUSE_REFUSED] = "refused",
    [SOURCE_CAUSE_AUTH] = "auth",
    [SOURCE_CAUSE_FIRST_FRAME] = "first_frame",
    [SOURCE_CAUSE_STALL] = "stall",
    [SOURCE_CAUSE_CLOSED] = "closed",
    [SOURCE_CAUSE_FORMAT] = "format",
    [SOURCE_CAUSE_LOCAL] = "local",
};

struct source {
    struct source_info info;
    struct source_file *file; /* one of these three, the others are NULL */
    struct source_live *live;
    struct test_picture *test;
    struct source_watch unwatched; /* of a live kind that came by source_open */
};

bool source_is_live(const struct source_config *config)
{
    return config->kind == SOURCE_RTSP || config->kind == SOURCE_V4L2 ||
           config->kind == SOURCE_MPEGTS;
}

/* scheme://[user@]host…; no message repeats the url. */
static int check_url(const struct source_config *config, struct error *err)
{
    const char *scheme = config->kind == SOURCE_RTSP ? "rtsp://" : "udp://";
    const char *url = config->url ? config->url : "";
    if (strncmp(url, scheme, strlen(scheme)) != 0)
        return error_set(err, ERROR_CONFIG, "source.url", "has to begin with %s for kind %s",
                         scheme, source_kinds[config->kind]);
    const char *authority = url + strlen(scheme);
    const char *at = memchr(authority, '@', strcspn(authority, "/?#"));
    if (at && memchr(authority, ':', (size_t)(at - authority)))
        return error_set(err, ERROR_CONFIG, "source.url",
                         "holds a password: put it into a file and name that as password_file");
    const char *host = at ? at + 1 : authority;
    if (strcspn(host, ":/?#") == 0)
        return error_set(err, ERROR_CONFIG, "source.url", "names no host");
    if (config->kind == SOURCE_MPEGTS && !memchr(host, ':', strcspn(host, "/?#")))
        return error_set(err, ERROR_CONFIG, "source.url", "names no port");
    return 0;
}

int source_check(const struct source_config *config, const char **option, struct error *err)
{
    bool has_path = config->path && config->path[0];
    bool has_password = config->password_file && config->password_file[0];
    *option = "path";
    if (config->kind == SOURCE_FILE && !has_path)
        return error_set(err, ERROR_CONFIG, "source", "kind file needs the path of a video file");
    if (config->kind == SOURCE_V4L2 && !has_path)
        return error_set(err, ERROR_CONFIG, "source",
                         "kind v4l2 needs the path of a device, as /dev/video0");
    *option = "url";
    bool by_url = config->kind == SOURCE_RTSP || config->kind == SOURCE_MPEGTS;
    if (by_url && check_url(config, err) != 0)
        return -(int)ERROR_CONFIG;
    *option = "password_file";
    if (config->kind == SOURCE_RTSP && has_password && !strchr(config->url, '@'))
        return error_set(err, ERROR_CONFIG, "source",
                         "there is a password_file, but no user@ in the url");
    *option = "retry_cap_ms";
    if (config->retry_cap_ms < config->retry_first_ms)
        return error_set(err, ERROR_CONFIG, "source", "retry_cap_ms %u is below retry_first_ms %u",
                         config->retry_cap_ms, config->retry_first_ms);
    return 0;
}

/* watch NULL: the source's own, which never stops. */
static int open_kind(struct source **source, const struct source_config *config,
                     struct source_watch *watch, struct error *err)
{
    const char *option;
    int failed = source_check(config, &option, err);
    if (failed)
        return failed;
    struct source *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "source", "no room for a source");
    if (config->kind == SOURCE_TEST)
        failed = test_picture_open(&fresh->test, config, &fresh->info, err);
    else if (config->kind == SOURCE_FILE)
        failed = source_file_open(&fresh->file, config, &fresh->info, err);
    else
        failed = source_live_open(&fresh->live, config, watch ? watch : &fresh->unwatched,
                                  &fresh->info, err);
    if (failed) {
        free(fresh);
        return failed;
    }
    *source = fresh;
    return 0;
}

int source_open(struct source **source, const struct source_config *config, struct error *err)
{
    assert(source && config);
    return open_kind(source, config, NULL, err);
}

int source_open_live(struct source **source, const struct source_config *config,
                     struct source_watch *watch, struct error *err)
{
    assert(source && config && watch && source_is_live(config));
    watch->cause = SOURCE_CAUSE_LOCAL;
    return open_kind(source, config, watch, err);
}

void source_get_info(const struct source *source, struct source_info *info)
{
    *info = source->info;
}

int source_next(struct source *source, struct picture **picture, uint64_t *time_ns, struct error *err)
{
    assert(source && picture && time_ns);
    if (source->test)
        return test_picture_next(source->test, picture, time_ns, err);
    return source->file ? source_file_next(source->file, picture, time_ns, &source->info, err)
                        : source_live_next(source->live, picture, time_ns, &source->info, err);
}

uint64_t source_skipped(const struct source *source)
{
    if (source->live)
        return source_live_skipped(source->live);
    return source->file ? source_file_skipped(source->file) : 0;
}

const struct decoder_choice *source_decoder(const struct source *source)
{
    if (source->live)
        return source_live_decoder(source->live);
    return source->file ? source_file_decoder(source->file) : NULL;
}

void source_close(struct source **source)
{
    assert(source);
    struct source *old = *source;
    *source = NULL;
    if (!old)
        return;
    source_file_close(&old->file);
    source_live_close(&old->live);
    test_picture_close(&old->test);
    free(old);
}
