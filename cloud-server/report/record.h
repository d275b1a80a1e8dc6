/* record: an annotated MP4 per stream, drawn and encoded by a thread of its own. What the thread
 * cannot keep up with is left out of the video and counted; the answers never wait for it. */
#ifndef RUNESPOOR_REPORT_RECORD_H
#define RUNESPOOR_REPORT_RECORD_H

#include "config.h"
#include "ingest/answer.h"
#include "net/metrics.h"
#include <uv.h>

/* Pictures of one stream that may wait; the decoder's pool keeps room for them. */
#define RECORDING_PICTURES_MAX 4u

struct recorder;
struct recording;

/* Makes the folder where missing. All functions are for the loop thread. */
int recorder_open(struct recorder **recorder, const struct record_config *config,
                  struct metrics *metrics, struct error *err);
/* Files are named STREAM-20261121T120000Z.mp4 after the time of their first picture. */
int recording_open(struct recorder *recorder, struct recording **recording, const char *stream,
                   struct error *err);
/* Shares the frame's picture, copies its boxes. */
void recording_add(struct recording *recording, const struct frame *frame,
                   const struct answer_origin *origin);
/* The file is finished by the thread later. Takes NULL. */
void recording_close(struct recording **recording);
/* All recordings must be closed before. Finishes their files, and ends the thread; waits for at most
 * WRITER_FINISH_MS. Takes NULL. */
void recorder_close(struct recorder **recorder);
/* No new recordings; closed by another thread when the last one is, with the loop alive until then. Takes
 * NULL. */
void recorder_retire(struct recorder **recorder, uv_loop_t *loop);

#endif
