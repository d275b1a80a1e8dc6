/* sink: the answers as JSON lines in a file. The loop only fills memory; writing is done by libuv's
 * thread pool, one write at a time. A full disk is logged once, counted, and tried again.
 *
 * Where there is a spool, the file is the spool's, and lines of live streams go through it too. */
#ifndef RUNESPOOR_EDGE_SINK_H
#define RUNESPOOR_EDGE_SINK_H

#include "agent_config.h"
#include "base/error.h"
#include "net/metrics.h"
#include "net/wire.h"
#include <uv.h>

/* Lines wait in memory while the disk is busy; beyond this the new ones are dropped, counted. */
#define SINK_WAITING_BYTES_MAX (4u << 20)

struct sink;
struct spool;

/* A path of "" makes a sink that drops all lines silently. A file is appended to, behind its last whole
 * line; a FIFO has to have a reader. config, and spool where it is not NULL, are borrowed until the
 * loop has freed the sink. */
int sink_open(struct sink **sink, uv_loop_t *loop, const struct sink_config *config,
              struct spool *spool, struct metrics *metrics, struct error *err);
/* Of a live stream; those of lossless ones are the spool's. age_us: capture to answer, on the agent's clock. */
void sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us);
/* Another place for answers beside the file, one at most. add: 0, or -ERROR_AGAIN while it has no room.
 * ticket 0: nobody waits for it, and it is never refused; another: sink_on_published has to be called, from
 * the loop, when the place has the answer for good. */
typedef int sink_add_fn(void *arg, const Runespoor__Answer *answer, uint64_t age_us, uint64_t ticket);
void sink_register(struct sink *sink, sink_add_fn *add, void *arg);
void sink_on_published(struct sink *sink, uint64_t ticket);

struct spool_stream;
/* Of a lossless stream: to the other place, if there is one, and once that has it, to the spool; so it is
 * there at least once. An error: as if it had not come. */
int sink_add_lossless(struct sink *sink, struct spool_stream *stream, const Runespoor__Answer *answer,
                      uint64_t age_us, bool final, struct error *err);

/* Writes what waits (with one last try where writing fails), then closes; the memory is freed by the
 * loop. A file that does not take it keeps the loop alive. Sets NULL; takes NULL. */
void sink_close(struct sink **sink);

#endif
