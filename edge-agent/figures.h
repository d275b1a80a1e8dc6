/* figures: the metrics of one stream, looked up once, so that a frame costs an atomic addition and
 * no lock. Camera thread and loop count into the same ones. */
#ifndef RUNESPOOR_EDGE_FIGURES_H
#define RUNESPOOR_EDGE_FIGURES_H

#include "media/decode.h"
#include "net/metrics.h"
#include "net/wire.h"
#include <stdbool.h>

/* Why a captured frame got no analysis; figures.c has the label's words, docs/operate.md the reasons. */
enum drop_reason {
    DROP_ENCODER_LATE,
    DROP_NO_CREDIT,
    DROP_LINK_DOWN,
    DROP_ENCODER_FAILED,
    DROP_LINK_LOST,
    DROP_UPLINK_FULL,
    DROP_UNANSWERED,
    DROP_SERVER_DROPPED,
    DROP_SERVER_FAILED,
    DROP_SPOOL_FULL,
    DROP_SPOOL_AGE,
    DROP_SPOOL_DAMAGED,
    DROP_SPOOL_FAILED,
    DROP_SPOOL_GROUPLESS,
    DROP_STOPPED,
};
#define DROP_REASON_COUNT (DROP_STOPPED + 1)

enum stream_state { STREAM_WAITING, STREAM_STREAMING, STREAM_ENDED, STREAM_FAILED };

#define FIGURES_CLASSES 64u /* of an answer's class ids that are found without a look-up */

/* Each captured frame is, in the end, exactly one of answered, capped or dropped. */
struct figures {
    struct metrics *metrics;
    const char *stream; /* borrowed */
    struct metric_counter *captured, *capped, *dropped[DROP_REASON_COUNT], *answered;
    struct metric_counter *damaged, *sent, *sent_bytes, *objects, *keyframes_asked, *strays;
    struct metric_gauge *state, *in_flight, *outbox, *server_decode_queue, *server_device_queue;
    struct metric_histogram *encode_time, *age;
    /* The camera thread's: */
    struct metric_gauge *encoder; /* of the encoder in use; NULL before the first */
    struct metric_gauge *decoder; /* as well; of this kind and codec */
    enum decoder_kind decoder_kind;
    const char *decoder_codec; /* static */
    struct {
        char name[WIRE_LABEL_BYTES_MAX + 1];
        struct metric_counter *objects; /* NULL: free */
    } classes[FIGURES_CLASSES];         /* by class id; the loop's */
    struct {
        char name[WIRE_LABEL_BYTES_MAX + 1];
        struct metric_gauge *value, *low, *high;
    } tails[WIRE_FIGURES_MAX]; /* the loop's */
    size_t tail_count;
    struct metric_gauge *probes;
};

void figures_init(struct figures *figures, struct metrics *metrics, const char *stream);

/* The reason as it is in metrics. */
const char *figures_drop_word(enum drop_reason reason);
/* Any thread. */
void figures_count_drops(struct figures *figures, enum drop_reason reason, uint64_t count);
/* Loop: the objects of an answer, all together and by class. */
void figures_count_objects(struct figures *figures, const Runespoor__Answer *answer);
/* Loop: what the server reports of the stream's accuracy; figures not in it are not known (NaN). */
void figures_set_tail(struct figures *figures, const Runespoor__Tail *tail);
void figures_set_state(struct figures *figures, enum stream_state state);

/* What an AgentReport points at while it is packed. */
struct figures_report {
    Runespoor__AgentReport message;
    Runespoor__DropCount drops[DROP_REASON_COUNT], *listed[DROP_REASON_COUNT];
};
/* Everything but the session. */
void figures_fill_report(const struct figures *figures, struct figures_report *report);

#endif
