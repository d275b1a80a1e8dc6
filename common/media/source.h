/* source: where pictures come from: a file, or the generated moving test picture. One thread. */
#ifndef RUNESPOOR_MEDIA_SOURCE_H
#define RUNESPOOR_MEDIA_SOURCE_H

#include "config/config.h"
#include "media/picture.h"

enum source_kind { SOURCE_FILE, SOURCE_TEST };

struct source_config {
    int kind;                    /* enum source_kind */
    char *path;                  /* file */
    bool loop;                   /* start again at the end */
    uint32_t width, height, fps; /* test picture */
    uint32_t seconds;            /* test picture: its length, 0 for ever */
};
extern const struct option_spec source_options[];

struct source_info {
    uint32_t width, height; /* of the pictures, camera pixels */
    double fps;             /* nominal; 0 when unknown */
    char description[128];  /* "mpeg4 768x576 10 fps" */
};

struct source;

/* Opens and reads as far as needed for info. Errors say what to do about a missing or broken file.
 */
int source_open(struct source **source, const struct source_config *config, struct error *err);
void source_get_info(const struct source *source, struct source_info *info);
/* The next picture and its time in nanoseconds from the start of the source (monotonic over loops).
 * 0, -ERROR_END at the end, or an error after which the source is to be closed. Damaged pictures
 * are skipped and counted; SOURCE_BAD_MAX in a row are an error. */
int source_next(struct source *source, struct picture **picture, uint64_t *time_ns,
                struct error *err);
uint64_t source_skipped(const struct source *source);
void source_close(struct source **source);

#define SOURCE_BAD_MAX 100u

#endif
