/* frame: the server's record of one received packet, from its arrival to its answer. A session owns
 * a fixed table of them; the loop thread alone touches one, save for what decode_job says. */
#ifndef RUNESPOOR_INGEST_FRAME_H
#define RUNESPOOR_INGEST_FRAME_H

#include "analyse/analysis.h"
#include "answer.pb-c.h"
#include "ingest/decode.h"

/* What became of a frame: name, word in answers and metrics, status of the answer */
#define FRAME_FATES(X)                             \
    X(OK, "", OK)                                  \
    X(NO_CREDIT, "no_credit", DROPPED)             \
    X(BITRATE, "bitrate_limit", DROPPED)           \
    X(ORDER, "out_of_order", DROPPED)              \
    X(NO_KEYFRAME, "awaits_keyframe", DROPPED)     \
    X(DEVICE_QUEUE, "device_queue", DROPPED)       \
    X(WORKER, "worker_lost", DROPPED)              \
    X(CLOSED, "stream_ended", DROPPED)             \
    X(DECODE_ONLY, "decode_only", DROPPED)         \
    X(CODEC, "codec", FAILED)                      \
    X(TOO_LARGE, "too_large", FAILED)              \
    X(CORRUPT, "corrupt", FAILED)                  \
    X(DECODER, "decoder", FAILED)                  \
    X(MODEL, "model", FAILED)

enum frame_fate {
#define X(name, word, status) FATE_##name,
    FRAME_FATES(X)
#undef X
    FATE_COUNT
};

const char *frame_fate_word(enum frame_fate fate);
Runespoor__AnswerStatus frame_fate_status(enum frame_fate fate);

#define FRAME_RESTORED_BYTES 96u /* "network " and a name as the configuration allows it */

struct frame {
    struct decode_job job; /* first: a job is its frame */
    struct session *session;
    uint64_t ticket; /* the sequencer's */
    uint64_t number, capture_ns, capture_unix_us;
    uint64_t arrived_ns;
    uint32_t camera_width, camera_height;
    uint32_t encode_us, wire_bytes, device_wait_us, server_us;
    enum frame_fate fate;
    bool on_its_way;         /* not answered yet */
    bool decode_only;        /* it was answered before: frames behind it need it */
    struct picture *picture; /* decoded; NULL when there is none */
    uint32_t width, height;  /* its size */
    struct frame *next;      /* free list */
    /* How the picture was restored, in the answer's words; "": not at all. */
    char restored[FRAME_RESTORED_BYTES];
    /* In the picture's pixels. Only what the counts cover is ever touched or copied. */
    struct analysis analysis;
};

#endif
