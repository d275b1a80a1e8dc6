/* streams: which streams an agent runs, by what its configuration says now. A new camera starts, one that
 * is gone ends as at the agent's stop (its answers are waited for), a changed one does both, a changed rung
 * goes to the running camera; all others are not touched. Loop thread only. */
#ifndef RUNESPOOR_EDGE_STREAMS_H
#define RUNESPOOR_EDGE_STREAMS_H

#include "stream.h"

struct streams;

/* What a new configuration has changed. */
struct streams_changes {
    size_t started, ended, restarted, rungs;
};

/* context's finished and arg are not used: ended(arg) is called from the loop when all streams have
 * finished; streams_close may be called from there. */
int streams_open(struct streams **streams, const struct stream_context *context,
                 void (*ended)(void *arg), void *arg, struct error *err);

/* Makes the streams those of these settings, which are kept as long as a stream borrows from them. A
 * camera that cannot be opened is logged, told by streams_failure, and tried again as long as another streams,
 * with the source's waits between tries. */
void streams_apply(struct streams *streams, struct agent_settings *settings,
                   struct streams_changes *changes);

void streams_on_up(struct streams *streams);
void streams_on_down(struct streams *streams);
void streams_on_message(struct streams *streams, const Runespoor__Header *header);

/* How many run, those that have finished or are being ended included. */
size_t streams_count(const struct streams *streams);
/* Why a camera could not be opened, or has failed: of the first; NULL: of none. Good until the next call. */
const struct error *streams_failure(const struct streams *streams);
/* As stream_ready, for all. */
bool streams_ready(const struct streams *streams, char *reason, size_t reason_bytes);

/* Ends all sources; then ended. */
void streams_stop(struct streams *streams);
/* Closes all. The memory is freed by the loop. Sets NULL; takes NULL. */
void streams_close(struct streams **streams);

#endif
