/* sink: the answers as JSON lines in a file. The loop only fills memory; writing is done by libuv's
 * thread pool, one write at a time. A full disk is logged once, counted, and tried again. */
#ifndef RUNESPOOR_EDGE_SINK_H
#define RUNESPOOR_EDGE_SINK_H

#include "base/error.h"
#include "net/metrics.h"
#include "net/wire.h"
#include <uv.h>

/* Lines wait in memory while the disk is busy; beyond this the new ones are dropped, counted. */
#define SINK_WAITING_BYTES_MAX (4u << 20)

struct sink;

/* path "" makes a sink that drops all lines silently. A file is appended to, behind its last whole
 * line; a FIFO has to have a reader. */
int sink_open(struct sink **sink, uv_loop_t *loop, const char *path, struct metrics *metrics,
              struct error *err);
/* age_us: capture to answer, on the agent's clock. */
void sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us);
/* Writes what waits (with one last try where writing fails), then closes; the memory is freed by the
 * loop. A file that does not take it keeps the loop alive. Sets NULL; takes NULL. */
void sink_close(struct sink **sink);

#endif
