/* figures: what is counted and timed of one stream, in the registry (for the server's whole life) and
 * for its session alone (for reports and the API). Loop thread. */
#ifndef RUNESPOOR_INGEST_FIGURES_H
#define RUNESPOOR_INGEST_FIGURES_H

#include "ingest/frame.h"
#include "net/metrics.h"

/* Of all streams together, since the start. */
struct totals {
    struct metric_counter *received, *received_bytes, *answered, *dropped[FATE_COUNT];
};

void totals_init(struct totals *totals, struct metrics *metrics);

/* Of one session. */
struct figures {
    uint64_t received, answered, received_bytes;
    uint64_t dropped[FATE_COUNT];
    uint32_t received_kbps, server_p50_us, server_p99_us; /* of the last period */
    uint32_t decode_queue, device_queue;                  /* at its end */

    struct metrics *metrics;
    struct totals *totals;
    const char *stream;
    uint64_t period_start_ns, period_start_bytes;
    struct metric_snapshot period_start_time;
    struct {
        struct metric_counter *received, *received_bytes, *lost, *answered;
        struct metric_counter *dropped[FATE_COUNT]; /* made when first needed */
        struct metric_histogram *decode_wait, *decode, *device_wait, *prepare, *infer, *head, *time;
        struct metric_gauge *decode_queue, *device_queue;
    } series;
};

/* All pointers are borrowed until figures_finish. */
void figures_init(struct figures *figures, struct metrics *metrics, struct totals *totals,
                  const char *stream);
/* The stream's series are no longer printed. */
void figures_finish(struct figures *figures);

void figures_on_packet(struct figures *figures, uint32_t wire_bytes);
void figures_on_loss(struct figures *figures, uint64_t packets);
void figures_on_decoded(struct figures *figures, const struct frame *frame);
void figures_on_analysed(struct figures *figures, const struct frame *frame);
void figures_on_answer(struct figures *figures, const struct frame *frame);

/* Sets the figures of the period that ends now and starts the next. */
void figures_end_period(struct figures *figures, uint64_t now_ns, size_t decode_queue,
                        size_t device_queue);

#endif
