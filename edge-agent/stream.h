/* stream: the loop's side of one camera: its session with the server, what is in flight, what came
 * back. Loop thread only. */
#ifndef RUNESPOOR_EDGE_STREAM_H
#define RUNESPOOR_EDGE_STREAM_H

#include "agent_config.h"
#include "camera.h"
#include "probes.h"
#include "sink.h"
#include "spool.h"
#include "uplink.h"

struct stream;

/* What all streams of an agent share; borrowed for the life of the streams. */
struct stream_context {
    uv_loop_t *loop;
    const char *agent_name;
    struct metrics *metrics;
    struct uplink *uplink;
    struct probes *probes;
    struct sink *sink;
    struct spool *spool; /* NULL: no stream can be lossless */
    /* Once for each stream: its source has ended and nothing is in flight. end says why (code NONE:
     * regularly). Must not close the stream. */
    void (*finished)(void *arg, const struct error *end);
    void *arg;
};

/* Opens a recorded source and starts the thread, which waits for the session; a live camera is tried by the
 * thread, and need not be there. config is borrowed until
 * stream_close. */
int stream_open(struct stream **stream, const struct stream_context *context,
                const struct camera_config *config, struct error *err);

/* The link is up: say Hello. It is down: the session is gone, what was in flight is dropped. */
void stream_on_up(struct stream *stream);
void stream_on_down(struct stream *stream);
/* True when the message was for this stream. */
bool stream_on_message(struct stream *stream, const Runespoor__Header *header);

const char *stream_name(const struct stream *stream);
/* False when it is the rung that it has. */
bool stream_set_rung(struct stream *stream, const struct rung *rung);

/* Its thread is gone: stream_close will not wait for it. */
bool stream_source_ended(const struct stream *stream);

/* Ends the source; answers still in flight are waited for before it has finished. */
void stream_stop(struct stream *stream);
/* True while there is a session and the camera gives pictures, and after a regular end; otherwise reason says
 * which stream and why not. */
bool stream_ready(const struct stream *stream, char *reason, size_t reason_bytes);

/* Says Bye where a session is up and drops what is in flight. The memory is freed by the loop. Sets
 * NULL; takes NULL. */
void stream_close(struct stream **stream);

#endif
