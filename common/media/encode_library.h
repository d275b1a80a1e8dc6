/* encode_library: the table of encoders that libavcodec may have, and what each wants to be told so that
 * it encodes at a rung with no delay. For media/ only. */
#ifndef RUNESPOOR_MEDIA_ENCODE_LIBRARY_H
#define RUNESPOOR_MEDIA_ENCODE_LIBRARY_H

#include "media/encode.h"
#include <libavutil/pixfmt.h>

struct AVCodecContext;

struct encode_library {
    enum video_codec codec;
    enum encoder_kind kind;
    const char *name;   /* libavcodec's */
    bool changes_rate;  /* takes another bitrate before any picture, without a keyframe */
    bool holds_quality; /* and another quality */
    /* What pictures have to become for it; NONE: it takes both of our formats from memory. */
    enum AVPixelFormat format;
    /* Effort, threads and no delay; before the context is opened. */
    void (*set_up)(struct AVCodecContext *context, const struct encoder_config *config);
};

/* NULL: there is no such encoder. What is in the table may still be missing in this libavcodec. */
const struct encode_library *encode_library_find(enum video_codec codec, enum encoder_kind kind);
/* Bitrate, VBV and quality; before the context is opened, and again at any time where the library
 * changes_rate: it reads them before each frame. */
void encode_library_set_rates(struct AVCodecContext *context, const struct encoder_config *config);

#endif
