/* messages: what a stream says to the server, filled in and sent. Loop thread. */
#ifndef RUNESPOOR_EDGE_MESSAGES_H
#define RUNESPOOR_EDGE_MESSAGES_H

#include "camera.h"
#include "uplink.h"

/* late: for the backlog of a lossless stream. */
void messages_send_hello(struct uplink *uplink, const char *agent, const struct camera_config *config,
                         const struct source_info *info, uint64_t nonce, bool late);
void messages_send_report(struct uplink *uplink, uint64_t session, const struct figures *figures);
void messages_send_bye(struct uplink *uplink, uint64_t session, const char *reason);

/* What a frame's message says beside the frame. */
struct frame_marks {
    bool receipt;     /* the server is to say at once that it is there */
    bool decode_only; /* it was answered before, and frames behind it need it */
};
/* Takes frame->packet over in any case. *wire_bytes is set when it was sent. */
int messages_send_frame(struct uplink *uplink, uint64_t session, uint64_t sequence,
                        const struct frame_marks *marks, struct encoded_frame *frame,
                        size_t *wire_bytes, struct error *err);

/* The frame will come as a probe. Gives the bytes sent, 0 when there was no room. */
size_t messages_send_probe_start(struct uplink *uplink, uint64_t session, uint64_t frame,
                                 const struct rung *rung, double probability);
/* The bytes of packet from first on, as slice number slice of the frame's probe. */
int messages_send_slice(struct uplink *uplink, uint64_t session, uint64_t frame, uint32_t slice,
                        const struct packet *packet, size_t first, size_t bytes,
                        size_t *wire_bytes, struct error *err);

#endif
