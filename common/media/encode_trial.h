/* encode_trial: whether an encoder really works on this box, and how fast: pictures are encoded and decoded
 * again. What comes back has to be the same picture, at once, keyframes only when asked, each of them
 * enough for a decoder to begin with. One thread. */
#ifndef RUNESPOOR_MEDIA_ENCODE_TRIAL_H
#define RUNESPOOR_MEDIA_ENCODE_TRIAL_H

#include "media/encode.h"

struct encode_trial {
    uint32_t pictures; /* at the rung's bitrate */
    uint64_t encode_ns, decode_ns, bytes;
    /* Then as many at a quarter of it, where the encoder says that it can. */
    bool changes_rate; /* and no keyframe came */
    uint64_t bytes_after;
};

/* Of pictures that follow each other, all of the rung's size. The encoder lives as long as the call, and a
 * hardware one counts as a session for so long. *trial is filled as far as it came. */
int encode_trial_run(struct encode_trial *trial, const struct encoder_config *config,
                     struct picture *const *pictures, size_t count, struct error *err);
/* The same with a few generated pictures: enough to say whether it works. */
int encode_trial_check(const struct encoder_config *config, struct error *err);

#endif
