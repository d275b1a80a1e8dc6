/* degrade: what a picture becomes on its way through the product at a rung: scaled and encoded by what
 * the agent's camera calls (media/encode_rung.h), decoded by what ingest calls (media/decode.h). For
 * eval, frame by frame over a video, and for training. One thread. */
#ifndef RUNESPOOR_LEARN_DEGRADE_H
#define RUNESPOOR_LEARN_DEGRADE_H

#include "media/encode.h"

/* Received pictures that may be kept at a time: they lie in the decoder's pool. */
#define DEGRADE_KEPT_MAX 8u
/* Pictures of a short video. The rate control has found its level by its end, and what the first keyframe
 * took is paid back. */
#define DEGRADE_CLIP_FRAMES 12u

struct degrade_config {
    /* As an agent is given it: zeros mean the camera's. Encoder auto is software here: the same pixels on
     * every machine. */
    struct rung rung;
    double fps; /* of the source; 0: unknown. Above the rung's cap the caller leaves pictures out */
    uint32_t camera_width, camera_height; /* of every picture that will come */
};

struct degrade;

int degrade_open(struct degrade **degrade, const struct degrade_config *config, struct error *err);
/* The rung with its sizes resolved, those of received pictures; borrowed. */
const struct rung *degrade_rung(const struct degrade *degrade);

/* Sends one picture of a video. *received is what the server has of it, at the rung's size, the
 * caller's to unref; *bytes what was sent. */
int degrade_picture(struct degrade *degrade, struct picture *source, struct picture **received,
                    size_t *bytes, struct error *err);
/* Sends a still as the end of a short pan and zoom over itself, which begins a video of its own: so it
 * is damaged as a frame in a stream is, by what was sent before and by what is sent of it. Direction
 * and speed come from seed; the same seed gives the same pixels. Milder than a video at the same rung all
 * the same, as nothing new comes into view: who trains draws bitrates from about half the video's on.
 * *bytes are those of the last packet, the still's own. The next picture begins a new video. */
int degrade_pan(struct degrade *degrade, struct picture *still, uint64_t seed,
                struct picture **received, size_t *bytes, struct error *err);
/* Sends the last of count pictures that follow each other in a video as the end of a short video of its
 * own: of DEGRADE_CLIP_FRAMES pictures where there are as many, of fewer where keyframes are closer. *bytes
 * are those of the last packet. The next picture begins a new video. */
int degrade_clip(struct degrade *degrade, struct picture *const *pictures, size_t count,
                 struct picture **received, size_t *bytes, struct error *err);
/* What was sent last; borrowed until the next call, NULL before the first. */
const struct packet *degrade_last_packet(const struct degrade *degrade);

/* The next picture begins a new video: a fresh encoder, an IDR. */
void degrade_restart(struct degrade *degrade);
void degrade_close(struct degrade **degrade); /* sets NULL, takes NULL */

#endif
