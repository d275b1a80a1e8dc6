/* source: where pictures come from: a file, a camera (RTSP, V4L2, MPEG-TS over UDP), or the generated
 * moving test picture. One thread. */
#ifndef RUNESPOOR_MEDIA_SOURCE_H
#define RUNESPOOR_MEDIA_SOURCE_H

#include "config/config.h"
#include "media/decode_choice.h"
#include "media/picture.h"

#include <stdatomic.h>

enum source_kind { SOURCE_FILE, SOURCE_TEST, SOURCE_RTSP, SOURCE_V4L2, SOURCE_MPEGTS };
enum source_transport { SOURCE_TCP, SOURCE_UDP };

struct source_config {
    int kind;                    /* enum source_kind */
    char *path;                  /* file, v4l2: the device */
    bool loop;                   /* file: start again at the end */
    int decoder;                 /* enum decoder_kind; not of the test picture */
    char *url;                   /* rtsp, mpegts; without a password */
    char *password_file;         /* rtsp */
    int transport;               /* rtsp: enum source_transport */
    uint32_t width, height, fps; /* test picture; v4l2: asked of the driver */
    uint32_t seconds;            /* test picture: its length, 0 for ever */
    uint32_t first_frame_ms;     /* live kinds: opening has to give a picture by then */
    uint32_t stall_ms;           /* live kinds: longest time between two pictures */
    uint32_t retry_first_ms;     /* waits between tries; for who tries again */
    uint32_t retry_cap_ms;
};
extern const struct option_spec source_options[];

/* Kinds that have a time of their own, may be away, and are to be tried again. */
bool source_is_live(const struct source_config *config);
/* What a table cannot say: an address of the wrong kind, one with a password in it. *option: the name
 * of the option that is wrong; a literal. */
int source_check(const struct source_config *config, const char **option, struct error *err);

/* Why a live source could not be opened or was lost; source_cause_words has the metric's words. */
enum source_cause {
    SOURCE_CAUSE_UNREACHABLE, /* nobody there, no way there, no such device */
    SOURCE_CAUSE_REFUSED,     /* the camera says no: a wrong path, too many viewers */
    SOURCE_CAUSE_AUTH,        /* wrong or missing login */
    SOURCE_CAUSE_FIRST_FRAME, /* no picture within first_frame_ms */
    SOURCE_CAUSE_STALL,       /* no picture for stall_ms */
    SOURCE_CAUSE_CLOSED,      /* ended or cut by the other side */
    SOURCE_CAUSE_FORMAT,      /* not video, or none that can be decoded */
    SOURCE_CAUSE_LOCAL,       /* this box: the password file, memory, rights */
};
#define SOURCE_CAUSE_COUNT (SOURCE_CAUSE_LOCAL + 1)
extern const char *const source_cause_words[SOURCE_CAUSE_COUNT];

/* What connects a live source with who runs it. */
struct source_watch {
    const atomic_bool *stop; /* set by any thread: opening and reading give up within about 100 ms */
    enum source_cause cause; /* of the last failure of source_open_live or source_next */
};

struct source_info {
    uint32_t width, height;                 /* of the pictures, camera pixels, upright */
    uint32_t display_width, display_height; /* the same picture in square pixels */
    double fps;                             /* nominal; 0 when unknown */
    char description[128];                  /* "mpeg4 768x576 10 fps" */
};

struct source;

/* Opens and reads as far as needed for info. Errors say what to do about a missing or broken file. A
 * live kind is opened as by source_open_live, by who cannot stop it. */
int source_open(struct source **source, const struct source_config *config, struct error *err);
/* Opens a live kind and waits for its first picture, first_frame_ms at most. watch is borrowed until
 * source_close. Logins are in no error. A name server that hangs is the one thing that this waits for
 * longer. */
int source_open_live(struct source **source, const struct source_config *config,
                     struct source_watch *watch, struct error *err);
/* Of the pictures last given; a source whose pictures change tells so here. */
void source_get_info(const struct source *source, struct source_info *info);
/* The next picture, upright, and its time in nanoseconds from the start of the source (monotonic over
 * loops). Pictures may change in size and colour from one to the next. 0, -ERROR_END at the end of a
 * file (live: when stop was set), or an error after which the source is to be closed. Damaged pictures
 * are skipped and counted; of a file SOURCE_BAD_MAX in a row are an error, of a live kind they count as
 * none, so that it stalls. */
int source_next(struct source *source, struct picture **picture, uint64_t *time_ns,
                struct error *err);
uint64_t source_skipped(const struct source *source);
/* What decodes; borrowed, may change with each source_next. NULL of the test picture. */
const struct decoder_choice *source_decoder(const struct source *source);
void source_close(struct source **source);

#define SOURCE_BAD_MAX 100u

#endif
