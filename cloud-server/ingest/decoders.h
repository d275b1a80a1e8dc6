/* decoders: what decodes the streams' codecs on this machine, chosen once at the start and told to operators. */
#ifndef RUNESPOOR_INGEST_DECODERS_H
#define RUNESPOOR_INGEST_DECODERS_H

#include "media/decode.h"
#include "net/metrics.h"

/* Fills kinds, by enum video_codec. Log lines say what was left out and why. Trials of hardware, where there is
 * some, take about a second. */
void decoders_choose(enum decoder_kind wish, struct metrics *metrics,
                     enum decoder_kind kinds[VIDEO_CODEC_COUNT]);
/* The stream's hardware has failed, and software goes on from its next keyframe. */
void decoders_note_fallback(struct metrics *metrics, const char *stream, enum decoder_kind from);

#endif
