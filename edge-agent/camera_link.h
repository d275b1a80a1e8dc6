/* camera_link: the way to a live camera (RTSP, V4L2, MPEG-TS): tried, up, lost, tried again, for ever and
 * the same way at the start and later. State, cause and next try are metrics, and each change of state one
 * log line. Files and test pictures have none: what is wrong with them does not mend itself. */
#ifndef RUNESPOOR_EDGE_CAMERA_LINK_H
#define RUNESPOOR_EDGE_CAMERA_LINK_H

#include "agent_config.h"
#include "net/metrics.h"

struct camera_link;

/* config is borrowed until camera_link_close, stop too: once it is true (by any thread), what waits comes
 * back within about 100 ms. */
int camera_link_open(struct camera_link **link, const struct camera_config *config,
                     struct metrics *metrics, const atomic_bool *stop, struct error *err);

/* Camera's thread: waits until the next try is due, and tries until there is a picture. False when it was
 * stopped. *source is the caller's. */
bool camera_link_connect(struct camera_link *link, struct source **source);
/* Camera's thread: the source has failed, and is closed. */
void camera_link_lost(struct camera_link *link, enum source_cause cause, const struct error *err);
/* Camera's thread: why source_next failed last. */
enum source_cause camera_link_cause(const struct camera_link *link);

/* Any thread: false when there is no picture now; reason says why. */
bool camera_link_is_up(struct camera_link *link, char *reason, size_t reason_bytes);
/* Sets NULL; takes NULL. */
void camera_link_close(struct camera_link **link);

#endif
