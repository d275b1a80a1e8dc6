/* admission: whether a packet of a stream is worth decoding, by what its header says. Pure state. One thread. */
#ifndef RUNESPOOR_INGEST_ADMISSION_H
#define RUNESPOOR_INGEST_ADMISSION_H

#include "config.h"
#include "ingest/frame.h"
#include "stream.pb-c.h"

struct admission {
    uint64_t next_sequence, next_number; /* the least that the next packet may have */
    bool keyframe_needed;                /* a packet was left out: what follows cannot be decoded */
};

void admission_init(struct admission *admission);

/* FATE_OK, or why it is not decoded. limits and credits are the stream's. in_flight counts the packet's frame. *lost: packets before it that never
 * came. *codec is set where the packet's is known. */
enum frame_fate admission_judge(struct admission *admission, const struct limits_config *limits,
                                uint32_t credits, const Runespoor__Packet *packet,
                                uint32_t in_flight, uint64_t *lost, enum video_codec *codec);
/* What became of it in the end: one that is left out leaves a hole. */
void admission_settle(struct admission *admission, enum frame_fate fate);

/* What an operator can do about it. */
const char *admission_advice(enum frame_fate fate);

#endif
