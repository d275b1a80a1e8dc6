/* probe_report: what becomes of the probes of one stream: each a sample in the stream's series and a line in the
 * answer file, and the figures of the present series, for the agent, for /metrics and for /api/streams. Loop
 * thread. */
#ifndef RUNESPOOR_INGEST_PROBE_REPORT_H
#define RUNESPOOR_INGEST_PROBE_REPORT_H

#include "control/probe_score.h"
#include "ingest/probe.h"

/* A frame that is sent a second time, and what it was answered. */
struct probe_item {
    bool used;
    uint64_t frame;
    double probability;
    char rung[WIRE_LABEL_BYTES_MAX + 1];
    uint64_t wire_bytes; /* of its slices' payloads */
    bool answered;       /* from here on what follows holds */
    uint64_t capture_unix_us;
    uint32_t width, height; /* of the picture that was analysed */
    uint32_t camera_width, camera_height;
    char restored[FRAME_RESTORED_BYTES];
    double uncertainty_rank; /* of the answer */
    struct analysis answer;
};

struct probe_report;

/* spec is borrowed until probe_report_close. */
int probe_report_open(struct probe_report **report, const struct probe_spec *spec, struct error *err);
void probe_report_close(struct probe_report **report); /* takes NULL */

/* Holds the item's answer against the golden one. -ERROR_UNSUPPORTED where they cannot be compared,
 * -ERROR_MEMORY; then nothing was added. */
int probe_report_add(struct probe_report *report, const struct probe_item *item,
                     const struct probe_answer *golden, struct error *err);

/* The figures of the series that the last sample went to, NULL before the first; sets the gauges, too. Holds
 * until the next call of anything here. */
const Runespoor__Tail *probe_report_tail(struct probe_report *report);

#endif
