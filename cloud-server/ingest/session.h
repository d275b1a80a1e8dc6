/* session: one stream, from its Welcome to its end: packet in, decode, analyse, in order, answer out.
 *
 * Every packet handed in gets exactly one answer, in the order in which packets came. Frames are
 * records of a fixed table bounded by the credits; once warm nothing is allocated. Loop thread. */
#ifndef RUNESPOOR_INGEST_SESSION_H
#define RUNESPOOR_INGEST_SESSION_H

#include "config.h"
#include "ingest/answer.h"
#include "ingest/figures.h"
#include "net/metrics.h"
#include "report/answers.h"
#include "report/publish.h"
#include "report/record.h"
#include "stream.pb-c.h"

/* Records per credit: a sender that goes this far above its credits is cut off. */
#define SESSION_FRAMES_PER_CREDIT 4u
/* At most one request for a keyframe in this time; a keyframe costs the link dearly. */
#define SESSION_KEYFRAME_MS 500u

struct session;
struct tails;

/* What all sessions work with; outlives them. */
struct session_rooms {
    const struct server_config *config;
    struct metrics *metrics;
    struct decode_pool *decode;
    struct pool *pool;           /* NULL: no analysis */
    struct answer_file *answers; /* NULL: off */
    struct recorder *recorder;   /* NULL: off */
    struct publisher *publisher; /* NULL: off */
    struct tails *tails; /* NULL: no analysis */
    struct totals totals;
    struct answer_scratch scratch;
};

/* Sends a header to the session's agent. */
typedef void session_send_fn(void *arg, const Runespoor__Header *header);
/* The session is over and its memory is about to go. */
typedef void session_closed_fn(void *arg);

struct session_spec {
    uint64_t id;
    const char *stream; /* copied */
    size_t model;       /* or MODEL_INDEX_NONE */
    bool lossless;      /* no frame gives way to a newer one: the credits are fewer instead */
    bool late;          /* the backlog of a stream: served below live ones, its answers marked */
    session_send_fn *send;
    session_closed_fn *closed;
    void *arg;
};

int session_open(struct session **session, struct session_rooms *rooms,
                 const struct session_spec *spec, struct error *err);

/* Takes the payload (it is empty afterwards). verdict is FATE_OK, or why the gate does not want it
 * decoded. -ERROR_LIMIT when the sender is so far above its credits that no record is left: end the
 * session then. */
int session_receive(struct session *session, const Runespoor__Packet *packet, zmq_msg_t *payload,
                    uint32_t wire_bytes, enum frame_fate verdict, struct error *err);

/* A frame will come as a probe; a piece of one came, whose payload is borrowed. paid: it is within the
 * key's bitrate. */
void session_receive_start(struct session *session, const Runespoor__ProbeStart *start);
void session_receive_slice(struct session *session, const Runespoor__ProbeSlice *slice,
                           zmq_msg_t *payload, bool paid);

/* Sends a ServerReport and starts a new period of figures. */
void session_report(struct session *session, uint64_t now_ns);
/* Borrowed. */
const struct figures *session_figures(const struct session *session);
/* Frames that its agent may have on their way. */
uint32_t session_credits(const struct session *session);
/* The stream's name, for a backlog with "late" behind it: what its metrics are found by. */
const char *session_label(const struct session *session);
/* "" when nothing is analysed. */
const char *session_model(const struct session *session);
/* What probes say of its accuracy; NULL when nothing yet. Borrowed until the loop goes on. */
const Runespoor__Tail *session_tail(const struct session *session);
/* Probes are welcome. */
bool session_measures(const struct session *session);
/* No packet has come yet. */
bool session_is_fresh(const struct session *session);

/* No more packets. drain: frames on their way are answered first; otherwise they are answered as
 * dropped now. closed is called from the loop when it is over, never from inside this call. A second
 * call may only turn a drain into an end. */
void session_end(struct session *session, bool drain);

#endif
