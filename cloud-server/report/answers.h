/* answers: every answer as one JSON line in a file, written by a thread of its own.
 *
 * A full disk or any other write error never holds up the server: it is logged once, counted, and
 * tried again with backoff while answers wait in a bounded queue that drops its oldest. A line is
 * in the file whole or not at all. */
#ifndef RUNESPOOR_REPORT_ANSWERS_H
#define RUNESPOOR_REPORT_ANSWERS_H

#include "answer.pb-c.h"
#include "config.h"
#include "control/probe_sample.h"
#include "net/metrics.h"
#include <uv.h>

struct answer_file;

/* Opens (appending) or makes the file; a torn last line is cut off. */
int answer_file_open(struct answer_file **file, const struct answers_config *config,
                     struct metrics *metrics, struct error *err);
/* True when the path still leads to this file; false once it was moved away or removed. */
bool answer_file_is_at(const struct answer_file *file, const char *path);
/* Loop thread. Never waits. */
void answer_file_add(struct answer_file *file, const Runespoor__Answer *answer);
/* A probe's line, among those of answers. */
void answer_file_add_probe(struct answer_file *file, const struct probe_sample *sample);
/* Writes what waits, with one try only where the disk has failed, and ends the thread; waits for at
 * most WRITER_FINISH_MS. Takes NULL. */
void answer_file_close(struct answer_file **file);
/* The same from another thread, with the loop alive until it is done. Takes NULL. */
void answer_file_close_later(struct answer_file **file, uv_loop_t *loop);

#endif
