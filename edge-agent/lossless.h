/* lossless: the loop's side of a lossless stream: captured frames go into the spool, and from there, in
 * order, to the server, until each has its answer in the file.
 *
 * There are two ways to the server. The live session has new frames, straight after they are stored.
 * What had to wait because there was no session goes the same way when it is little; otherwise the live
 * session begins anew with an IDR, and what is before that goes by a second session, as the stream's
 * backlog, beside the live one and below it. Loop thread. */
#ifndef RUNESPOOR_EDGE_LOSSLESS_H
#define RUNESPOOR_EDGE_LOSSLESS_H

#include "probes.h"
#include "session.h"
#include "sink.h"
#include "spool.h"

/* Frames that may be encoded and not stored yet: a disk that is further behind makes a camera drop
 * frames, and a source that can wait, wait. */
#define LOSSLESS_CAPTURE_MAX 32u

struct lossless;

struct lossless_spec {
    struct session_spec session; /* of the stream; events and arg are not looked at */
    struct spool *spool;
    struct sink *sink;
    struct camera *camera;
    struct credit *credit; /* the camera's */
    struct probes *probes;
    struct probe_stream *probe;
    struct session *live;
    /* Frames have to be sent again: the live session is to be ended, and begun after wait_ms. */
    void (*restart)(void *arg, const char *cause, uint32_t wait_ms);
    /* Something is done: the stream may have come to its end. */
    void (*changed)(void *arg);
    void *arg;
};

/* Gives the camera its first number, and capture credits for good. All in spec is borrowed. */
int lossless_open(struct lossless **lossless, const struct lossless_spec *spec, struct error *err);
/* A frame from the camera: packet and picture are taken over. */
void lossless_put(struct lossless *lossless, struct encoded_frame *frame);
/* No frame is left anywhere: all are answered or dropped. */
bool lossless_is_empty(const struct lossless *lossless);

/* The live session is there; is over; an answer came in it. link: the backlog's is over, too. */
void lossless_begin(struct lossless *lossless, const Runespoor__Welcome *welcome);
void lossless_end(struct lossless *lossless, bool link);
void lossless_on_answer(struct lossless *lossless, struct session *session,
                        const Runespoor__Answer *answer, const struct flight *flight, size_t passed);
/* Nothing more is sent in this session. */
void lossless_on_leaving(struct lossless *lossless, struct session *session);
/* A report period has passed in this session. */
void lossless_on_turned(struct lossless *lossless, struct session *session);
/* True when the message was for the backlog's session. */
bool lossless_on_message(struct lossless *lossless, const Runespoor__Header *header);

/* After lossless_end and before the camera goes; what is in the spool stays there. closed(arg) comes
 * from the loop. Sets NULL. */
void lossless_close(struct lossless **lossless, void (*closed)(void *arg), void *arg);

#endif
