/* stream: the loop's side of one camera: its session with the server, what is in flight, what came
 * back. Loop thread only. */
#ifndef RUNESPOOR_EDGE_STREAM_H
#define RUNESPOOR_EDGE_STREAM_H

#include "agent_config.h"
#include "camera.h"
#include "sink.h"
#include "uplink.h"

struct stream;

/* What all streams of an agent share; borrowed for the life of the streams. */
struct stream_context {
    uv_loop_t *loop;
    const char *agent_name;
    struct metrics *metrics;
    struct uplink *uplink; /* set before the first event */
    struct sink *sink;
    void (*changed)(void *arg); /* a stream has finished */
    void *arg;
};

/* Opens the camera and starts its thread (which waits for the session). config is borrowed. */
int stream_open(struct stream **stream, const struct stream_context *context,
                const struct camera_config *config, struct error *err);

/* The link is up: say Hello. It is down: the session is gone, what was in flight is dropped. */
void stream_on_up(struct stream *stream);
void stream_on_down(struct stream *stream);
/* True when the message was for this stream. */
bool stream_on_message(struct stream *stream, const Runespoor__Header *header);

void stream_set_rung(struct stream *stream, const struct rung *rung);

/* Ends the source; answers still in flight are waited for until stream_finished. */
void stream_stop(struct stream *stream);
/* False while there is no session; then reason says which stream and why. */
bool stream_ready(const struct stream *stream, char *reason, size_t reason_bytes);

/* The source has ended and nothing is in flight. *err: why the source ended (NONE: regularly). */
bool stream_finished(const struct stream *stream, struct error *err);
/* Says Bye where a session is up. The memory is freed by the loop. Sets NULL; takes NULL. */
void stream_close(struct stream **stream);

#endif
