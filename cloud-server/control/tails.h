/* tails: what probes have told of each stream, by its name, so that it outlives sessions: a link that breaks
 * does not make an accuracy unknown. Of too many names the one not asked for the longest is forgotten.
 * Loop thread. */
#ifndef RUNESPOOR_CONTROL_TAILS_H
#define RUNESPOOR_CONTROL_TAILS_H

#include "control/tail_window.h"

struct tails;

/* streams_max: names kept; at least as many as there are sessions at once. */
int tails_open(struct tails **tails, size_t streams_max, const struct tail_window_config *window,
               struct error *err);
void tails_close(struct tails **tails); /* takes NULL */

/* The series of a stream, made when new. Good until the next call for a new name. */
int tails_of(struct tails *tails, const char *stream, struct tail_series **series, struct error *err);
/* NULL where nothing is known of the stream. */
struct tail_series *tails_find(struct tails *tails, const char *stream);

#endif
