/* probe: a stream's probes, from their announcement to the sample they give: the answer that the frame was
 * given is kept, the slices become a picture again, the golden model looks at it when a worker stands idle, and
 * both answers are compared (control/probe_score.h). One probe at a time; a newer one takes its place.
 * Whatever goes wrong ends the probe and never the stream, and is counted by its reason. Loop thread. */
#ifndef RUNESPOOR_INGEST_PROBE_H
#define RUNESPOOR_INGEST_PROBE_H

#include "control/tail_window.h"
#include "ingest/session.h"

struct probe;

/* All borrowed until probe_close. */
struct probe_spec {
    struct session_rooms *rooms; /* with a pool */
    uint64_t session;
    const struct answer_origin *origin;
    size_t model, golden; /* indices of the server's models */
    session_send_fn *send;
    void *arg;
};

/* What probes of a server's streams come to: "scored", or why not. */
#define PROBE_ENDS(X)                                                                   \
    X(SCORED, "scored")                                                                 \
    X(NO_ANSWER, "no_answer") /* the frame was not analysed, or its answer is gone */   \
    X(REPLACED, "replaced")   /* a newer one was announced before its end */            \
    X(SLICES, "slices")       /* out of order, too large, or above the key's bitrate */ \
    X(DECODER, "decoder")     /* no picture of the camera's size came of it */          \
    X(BUSY, "golden_busy")    /* too many wait for the golden model already */          \
    X(GOLDEN, "golden_failed")                                                          \
    X(NO_COMPARISON, "no_comparison")                                                   \
    X(CLOSED, "stream_ended")

enum probe_end {
#define X(name, word) PROBE_##name,
    PROBE_ENDS(X)
#undef X
        PROBE_END_COUNT
};

int probe_open(struct probe **probe, const struct probe_spec *spec, struct error *err);

/* The agent will send this frame a second time. frame: its record where it was answered and its analysis is
 * still in it; NULL: it is on its way (probe_on_answered will bring it), or gone. */
void probe_on_start(struct probe *probe, const Runespoor__ProbeStart *start,
                    const struct frame *frame, bool on_its_way);
/* A frame was answered; called for each, while its record holds. */
void probe_on_answered(struct probe *probe, const struct frame *frame);
/* paid: within the key's bitrate; one that is not ends the probe. */
void probe_on_slice(struct probe *probe, const Runespoor__ProbeSlice *slice, zmq_msg_t *payload,
                    bool paid);

/* What is known of frames that are sent as the last probe was: NULL before the first sample. Holds until
 * the next call of anything here. */
const Runespoor__Tail *probe_tail(struct probe *probe);

/* Ends it. True when it is over; false when a picture is still being decoded: then closed(arg) is called
 * from the loop, never from inside this call. Sets NULL. */
bool probe_close(struct probe **probe, void (*closed)(void *arg), void *arg);

#endif
