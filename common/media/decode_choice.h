/* decode_choice: what decodes a codec on this box. Hardware is used when it has decoded a few pictures; a box is
 * tried once in the life of the process, for all who ask. Any thread. */
#ifndef RUNESPOOR_MEDIA_DECODE_CHOICE_H
#define RUNESPOOR_MEDIA_DECODE_CHOICE_H

#include "media/decode.h"

/* The decoder in use, and those that would have come before it. */
struct decoder_choice {
    const char *codec; /* libavcodec's word; static */
    enum decoder_kind kind;
    size_t left_out_count;
    struct decoder_left_out {
        enum decoder_kind kind;
        const char *reason; /* a word, static: media/hardware.h */
        bool wanted;        /* was asked for by name, or is there: leaving it out is a loss */
        struct error cause;
    } left_out[DECODER_KIND_COUNT];
};

/* wish: any kind. delays: whether pictures may come later than their packets; where they may not, decoders of
 * kinds that hold them back are not considered. */
void decoder_choose(struct decoder_choice *choice, enum video_codec codec, enum decoder_kind wish,
                    bool delays);
/* The chosen hardware does not work any more: software. */
void decoder_choice_leave(struct decoder_choice *choice, const struct error *cause);

/* Where it is, for people: "cpu", "nvidia", "/dev/dri", "/dev/video". */
const char *decoder_device_name(enum decoder_kind kind);

#endif
