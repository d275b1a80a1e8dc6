/* session: one stream's talk with the server: a Hello until there is a session, the frames in flight in
 * it, reports, its end. A lossless stream has two at times, the second for its backlog. Loop thread. */
#ifndef RUNESPOOR_EDGE_SESSION_H
#define RUNESPOOR_EDGE_SESSION_H

#include "flights.h"
#include "messages.h"

struct session;

struct session_events {
    void (*begun)(void *arg, struct session *session, const Runespoor__Welcome *welcome);
    /* The server has ended it, or its answers stay away. It is still there, to be ended. */
    void (*broken)(void *arg, struct session *session, const char *cause, bool server_knows);
    /* To a frame in flight. passed: frames before it that will not be answered any more. */
    void (*answered)(void *arg, struct session *session, const Runespoor__Answer *answer,
                     const struct flight *flight, size_t passed);
    void (*ordered)(void *arg, const Runespoor__Order *order);
    void (*reported)(void *arg, const Runespoor__ServerReport *report);
    void (*received)(void *arg, const Runespoor__Receipt *receipt);
    /* The server stops: what is in flight is answered before its last word, nothing more is taken. */
    void (*leaving)(void *arg, struct session *session);
    /* Once in each of its report periods: what could not be sent may be tried again. */
    void (*turned)(void *arg, struct session *session);
};

/* All borrowed for the session's life. */
struct session_spec {
    uv_loop_t *loop;
    struct uplink *uplink;
    const char *agent_name;
    const struct camera_config *config;
    struct camera *camera;
    struct figures *figures;
    const struct session_events *events;
    void *arg;
    bool late;
};

struct session {
    struct session_spec spec;
    uv_timer_t hello_timer, report_timer;
    unsigned open_handles;
    void (*closed)(void *arg);
    void *closed_arg;
    uint64_t nonce; /* of the Hellos under way */
    uint64_t id;    /* 0: there is no session */
    uint64_t sequence;
    char refused[WIRE_TEXT_BYTES_MAX + 1]; /* the last reason, so that each is logged once */
    struct flights flights;
};

void session_init(struct session *session, const struct session_spec *spec);
/* Asks for a session until there is one, or session_end; the first time after wait_ms. */
void session_begin(struct session *session, uint32_t wait_ms);
/* True while it asks or is there. */
bool session_is_wanted(const struct session *session);
/* Forgets the session and what is in flight in it, and stops asking; gives how many frames that were.
 * bye: the reason told to the server; NULL: it knows, or cannot hear it. */
size_t session_end(struct session *session, const char *bye);
/* Takes frame->packet over; 0 when it is in flight. */
int session_send(struct session *session, struct encoded_frame *frame,
                 const struct frame_marks *marks, size_t *wire_bytes, struct error *err);
/* True when the message was for this session. */
bool session_on_message(struct session *session, const Runespoor__Header *header);
/* After session_end; closed(arg) comes from the loop, when the memory may go. */
void session_close(struct session *session, void (*closed)(void *arg), void *arg);

#endif
