/* publish: every answer to whoever subscribes: a PUB socket under the server's CURVE key, for the keys that
 * the allow folder lets read. When one of them loses that right, all subscribers are sent away and those
 * who may come back. A message is two parts, the stream's name (so that subscribing to
 * "gate-1" filters at the server) and the packed Answer of answer.proto. Loop thread. */
#ifndef RUNESPOOR_REPORT_PUBLISH_H
#define RUNESPOOR_REPORT_PUBLISH_H

#include "answer.pb-c.h"
#include "ingest/guard.h"

struct publisher;

/* guard is borrowed until publisher_close, whose memory the loop frees. */
int publisher_open(struct publisher **publisher, uv_loop_t *loop, void *zmq_context,
                   const char *address, struct guard *guard, struct metrics *metrics,
                   struct error *err);
/* As bound. */
const char *publisher_address(const struct publisher *publisher);
/* Never waits: a subscriber that does not read loses answers. */
void publisher_send(struct publisher *publisher, const Runespoor__Answer *answer);
/* Takes NULL. */
void publisher_close(struct publisher **publisher);

#endif
