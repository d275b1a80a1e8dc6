/* table: what a person sees while the agent runs: a live table on a terminal, plain lines elsewhere,
 * and the summary line at the end. Every number is read from the metrics registry. */
#ifndef RUNESPOOR_EDGE_TABLE_H
#define RUNESPOOR_EDGE_TABLE_H

#include "base/error.h"
#include "net/metrics.h"
#include <stdbool.h>
#include <stdio.h>

struct table;

/* out is borrowed. terminal: redraw in place with colours; otherwise one line a stream and tick. */
int table_create(struct table **table, struct metrics *metrics, FILE *out, bool terminal,
                 struct error *err);
/* Once a second. */
void table_draw(struct table *table, uint64_t now_ns);
void table_destroy(struct table **table);

/* "frames=… answered=… dropped=… fps=… latency_p50_ms=… latency_p99_ms=… uplink_kbps=… objects=…",
 * then " dropped_REASON=…" for each reason that there was, over all streams; elapsed_ns is the time of
 * streaming. */
void table_write_summary(struct metrics *metrics, uint64_t elapsed_ns, FILE *out);

#endif
