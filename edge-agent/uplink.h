/* uplink: the link to one of the cloud-servers, one ZeroMQ DEALER with CURVE, as a state machine that
 * never gives up: connecting (with a deadline), up (watched for silence), waiting (capped backoff with
 * jitter), and again, with the next server where there are several (servers.h). Each try is a new socket,
 * so the first connection and the hundredth take the same path. Loop thread only. */
#ifndef RUNESPOOR_EDGE_UPLINK_H
#define RUNESPOOR_EDGE_UPLINK_H

#include "agent_config.h"
#include "net/keys.h"
#include "net/metrics.h"
#include "net/wire.h"
#include <uv.h>

struct packet;
struct uplink;

struct uplink_events {
    void (*up)(void *arg);
    void (*down)(void *arg, const char *cause);
    /* A valid header from the server, borrowed for the call. */
    void (*message)(void *arg, const Runespoor__Header *header);
};

/* Reads the servers' keys and starts connecting. config, context and keys are borrowed until uplink_close;
 * the context must not be terminated before the loop has run the close callbacks. */
int uplink_open(struct uplink **uplink, uv_loop_t *loop, const struct server_link_config *config,
                void *zmq_context, const struct key_pair *keys, struct metrics *metrics,
                const struct uplink_events *events, void *arg, struct error *err);

/* Sends header and, when payload is not NULL, the packet's bytes without a copy; *payload is taken
 * over in any case and set to NULL. Gives the bytes on the wire in *wire_bytes (may be NULL).
 * -ERROR_AGAIN when the link is not up or its queue is full; then nothing was sent. */
int uplink_send(struct uplink *uplink, const Runespoor__Header *header, struct packet **payload,
                size_t *wire_bytes, struct error *err);

/* The same with a payload that is copied, for short ones. */
int uplink_send_bytes(struct uplink *uplink, const Runespoor__Header *header, const void *payload,
                      size_t payload_bytes, size_t *wire_bytes, struct error *err);

/* A stream's session has begun or is over. While there is one the server reports every report_ms, and
 * three silent periods break the link. */
void uplink_begin_session(struct uplink *uplink, uint32_t report_ms);
void uplink_end_session(struct uplink *uplink);

/* The server stops. The link is given up when the last session has ended (what is on its way is still
 * answered), but after UPLINK_LEAVE_MS at the latest, and the next server is tried at once. */
#define UPLINK_LEAVE_MS 1000u
void uplink_leave(struct uplink *uplink);

/* Why the link is not up, for people; NULL while it is. Good until the next event. */
const char *uplink_cause(const struct uplink *uplink);

/* Closes after what is queued has gone, or 500 ms. Sets NULL; takes NULL. */
void uplink_close(struct uplink **uplink);

#endif
