/* decode: packets to pictures in shared memory, one in, one out, no delay. One thread at a time. */
#ifndef RUNESPOOR_MEDIA_DECODE_H
#define RUNESPOOR_MEDIA_DECODE_H

#include "base/error.h"
#include "media/picture.h"
#include <stddef.h>

enum video_codec { VIDEO_H264, VIDEO_H265, VIDEO_AV1 };

struct decoder_config {
    enum video_codec codec;
    uint32_t width_max, height_max; /* a larger picture is -ERROR_LIMIT before memory is taken */
    uint32_t pictures; /* slots beside the codec's own references (queue, worker, …) */
};

struct decoder;

int decoder_open(struct decoder **decoder, const struct decoder_config *config, struct error *err);
/* Decodes one packet (bytes borrowed). 0 with *picture; -ERROR_FORMAT on a corrupt packet (the
 * decoder then refuses everything up to the next keyframe with -ERROR_AGAIN: ask for an IDR);
 * -ERROR_LIMIT when too large. Pictures with visible damage are never given out. */
int decoder_decode(struct decoder *decoder, const void *bytes, size_t size, bool keyframe,
                   struct picture **picture, struct error *err);
/* The pool that the last picture came from (changes with the picture size); borrowed. */
struct picture_pool *decoder_pool(const struct decoder *decoder);
void decoder_close(struct decoder **decoder);

#endif
