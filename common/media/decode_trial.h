/* decode_trial: whether a decoder in hardware really works on this box, and how fast: a few generated pictures
 * are encoded in software and decoded. What comes back has to be the same pictures, all of them. (Two neighbours
 * that change places are too alike to be told from it.) One thread. */
#ifndef RUNESPOOR_MEDIA_DECODE_TRIAL_H
#define RUNESPOOR_MEDIA_DECODE_TRIAL_H

#include "media/decode.h"

struct decode_trial {
    uint32_t pictures;
    uint64_t decode_ns; /* of all of them, into memory */
};

/* kind: not auto. Takes some 100 ms where there is such hardware, next to nothing where there is none. */
int decode_trial_run(struct decode_trial *trial, enum video_codec codec, enum decoder_kind kind,
                     struct error *err);

#endif
