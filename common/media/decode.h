/* decode: packets to pictures in shared memory, one in, one out, no delay. One thread at a time. */
#ifndef RUNESPOOR_MEDIA_DECODE_H
#define RUNESPOOR_MEDIA_DECODE_H

#include "base/error.h"
#include "media/picture.h"
#include <stddef.h>

enum video_codec { VIDEO_H264, VIDEO_H265, VIDEO_AV1 };
#define VIDEO_CODEC_COUNT (VIDEO_AV1 + 1)
extern const char *const video_codec_words[]; /* "h264", …; by enum video_codec, NULL-ended */

/* Zero is software, so that what never asks for more stays the same on every machine. */
enum decoder_kind {
    DECODER_SOFTWARE,
    DECODER_AUTO, /* a wish only: decode_choice.h makes it one of the others */
    DECODER_NVDEC,
    DECODER_VAAPI,
    DECODER_QSV,
    DECODER_V4L2M2M
};
#define DECODER_KIND_COUNT (DECODER_V4L2M2M + 1)
extern const char *const decoder_kind_words[]; /* by enum decoder_kind, NULL-ended */

struct decoder_config {
    enum video_codec codec;
    enum decoder_kind kind;         /* software, nvdec or vaapi: the others hold pictures back */
    uint32_t width_max, height_max; /* a larger picture is -ERROR_LIMIT before memory is taken */
    uint32_t pictures; /* slots beside the codec's own references (queue, worker, …) */
};

struct decoder;

/* Longest run of packets that hardware may fail at before software takes its place. */
#define HARDWARE_FAILURES_MAX 3u

int decoder_open(struct decoder **decoder, const struct decoder_config *config, struct error *err);
/* Decodes one packet (an access unit in Annex B form; AV1: a temporal unit of one frame; bytes
 * borrowed). keyframe: what the sender says of it. 0 with *picture, or
 *   -ERROR_FORMAT       the packet is corrupt
 *   -ERROR_LIMIT        the picture or the packet is larger than allowed
 *   -ERROR_UNSUPPORTED  valid, but not 8-bit 4:2:0
 *   -ERROR_MEMORY       no slot is free in the picture pool (counted), or no memory is left
 *   -ERROR_AGAIN        not looked at, because a keyframe is waited for
 * After any of them everything up to the next keyframe is refused with -ERROR_AGAIN: ask for one.
 * Pictures with visible damage are never given out, as far as the codec can tell. */
int decoder_decode(struct decoder *decoder, const void *bytes, size_t size, bool keyframe,
                   struct picture **picture, struct error *err);
/* For a packet that was lost or left out: the next ones would be decoded from wrong references, and
 * the codec cannot know. */
void decoder_skip_to_keyframe(struct decoder *decoder);
bool decoder_wants_keyframe(const struct decoder *decoder);
/* What decodes: the config's kind, or software once the hardware has refused the stream, or failed
 * HARDWARE_FAILURES_MAX times in a row. (Hardware makes up for damage and does not tell; what was lost before
 * the packet is known without it.) */
enum decoder_kind decoder_kind(const struct decoder *decoder);
/* Times that a packet found no free slot. */
uint64_t decoder_pool_empty_count(const struct decoder *decoder);
/* The pool that the last picture came from (another one when the picture size has changed);
 * borrowed, NULL before the first picture. */
struct picture_pool *decoder_pool(const struct decoder *decoder);
void decoder_close(struct decoder **decoder);

#endif
