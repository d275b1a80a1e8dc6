/* messages: what a stream says to the server, filled in and sent. Loop thread. */
#ifndef RUNESPOOR_EDGE_MESSAGES_H
#define RUNESPOOR_EDGE_MESSAGES_H

#include "camera.h"
#include "uplink.h"

void messages_send_hello(struct uplink *uplink, const char *agent, const struct camera_config *config,
                         const struct source_info *info, uint64_t nonce);
void messages_send_report(struct uplink *uplink, uint64_t session, const struct figures *figures);
void messages_send_bye(struct uplink *uplink, uint64_t session, const char *reason);

/* Takes frame->packet over in any case. *wire_bytes is set when it was sent. */
int messages_send_frame(struct uplink *uplink, uint64_t session, uint64_t sequence,
                        const struct source_info *info, struct encoded_frame *frame,
                        size_t *wire_bytes, struct error *err);

#endif
