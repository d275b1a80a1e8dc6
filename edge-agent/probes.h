/* probes: frames that are sent a second time at source quality, so that the server can tell what compression
 * costs (docs/tail.md). One thread for all streams encodes them, each as an intra picture; the loop sends
 * them in slices of at most WIRE_SLICE_BYTES_MAX bytes, one at a time over the whole uplink, only when all
 * packets of all streams that were sent have arrived, and spread over the time in which the bits of a probe
 * are saved: so a live frame never waits for more than one slice, also where a link lets bursts through and
 * holds back afterwards (a token bucket). While a probe waits, packets ask for receipts, for answers may take
 * longer than the next frame.
 *
 * Everything but the encoding runs on the loop thread. */
#ifndef RUNESPOOR_EDGE_PROBES_H
#define RUNESPOOR_EDGE_PROBES_H

#include "agent_config.h"
#include "camera.h"
#include "uplink.h"

struct probes;
struct probe_stream; /* one stream's part; owned by probes */

/* Starts the thread. uplink is borrowed until probes_close, and may be closed before. streams_max: parts at a
 * time. */
int probes_open(struct probes **probes, uv_loop_t *loop, const struct probes_config *config,
                size_t streams_max, struct uplink *uplink, struct metrics *metrics,
                struct error *err);
/* Another configuration from now on; what is encoded stays as it is. */
void probes_set_config(struct probes *probes, const struct probes_config *config);
/* Ends the thread and drops what waits. Streams must not use their parts any more. The memory is freed by
 * the loop. Sets NULL; takes NULL. */
void probes_close(struct probes **probes);

/* A part for a stream whose camera gives pictures of about this size (0: not known yet); streams_max of them
 * at most. name is borrowed until it is removed. */
struct probe_stream *probes_add_stream(struct probes *probes, const char *name,
                                       const struct source_info *camera);
/* Drops what waits. Sets NULL; takes NULL. */
void probes_remove_stream(struct probe_stream **stream);

/* A session has begun, and the server wants to see these frames; or it is over. begin: whether frames
 * have to come with their pictures. */
bool probe_stream_begin(struct probe_stream *stream, uint64_t session, Runespoor__ProbeOrder order);
void probe_stream_end(struct probe_stream *stream);

/* True while a probe waits for the link: packets have to ask for receipts. */
bool probes_wait(const struct probes *probes);
/* A packet of the stream was sent. frame->picture is taken over where it may become a probe. */
void probe_stream_on_sent(struct probe_stream *stream, struct encoded_frame *frame,
                          size_t wire_bytes);
/* A frame was answered, so its packet and all before have arrived. uncertainty: the answer's, or below 0 when
 * there was no analysis. */
void probe_stream_on_answer(struct probe_stream *stream, uint64_t frame, double uncertainty);
void probe_stream_on_receipt(struct probe_stream *stream, const Runespoor__Receipt *receipt);

#endif
