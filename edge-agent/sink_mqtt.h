/* sink_mqtt: the answers at an MQTT broker, one topic per stream, each the JSON line of the answers file
 * without its newline. The link follows the rules of all links: a deadline, capped backoff with jitter,
 * never giving up, the same path at start and later; one log line and metric per change. Beside it the
 * agent's state, retained: "online", and "offline" by its last will or at its end, at
 * runespoor/AGENT/state.
 *
 * One thread of its own talks to the broker, for libmosquitto looks up names and reads certificates
 * while its caller waits. It ends by itself; the loop never waits for it.
 *
 * Where there is no libmosquitto at build time, sink_mqtt_none.c stands in, and the configuration's check
 * refuses mqtt.address. */
#ifndef RUNESPOOR_EDGE_SINK_MQTT_H
#define RUNESPOOR_EDGE_SINK_MQTT_H

#include "base/error.h"
#include "mqtt_config.h"
#include "net/metrics.h"
#include "net/wire.h"
#include <stdbool.h>
#include <uv.h>

/* Answers wait in memory while the broker is away or slow; beyond this the oldest are dropped, counted. */
#define SINK_MQTT_WAITING_BYTES_MAX (4u << 20)

struct sink_mqtt;

/* Of an answer that was added with a ticket: with mqtt.qos 1 the broker has acknowledged it, with 0 it has
 * gone to the socket. On the loop, in the order of acknowledgement; not after sink_mqtt_close. */
typedef void sink_mqtt_published_fn(void *arg, uint64_t ticket);

bool sink_mqtt_is_built(void);

/* Starts connecting. config is borrowed until the loop has run the close callbacks. published may be NULL. */
int sink_mqtt_open(struct sink_mqtt **sink, uv_loop_t *loop, const struct mqtt_config *config,
                   const char *agent_name, struct metrics *metrics,
                   sink_mqtt_published_fn *published, void *arg, struct error *err);

/* age_us: capture to answer, on the agent's clock. ticket 0: nobody waits for it, and it may be dropped for
 * a newer one; it is never refused. Another: it is kept until it is published, at least once; -ERROR_AGAIN
 * where there is no room, and then it is to be added again later. */
int sink_mqtt_add_answer(struct sink_mqtt *sink, const Runespoor__Answer *answer, uint64_t age_us,
                         uint64_t ticket);

/* Gives what waits half a second to go, then says goodbye; the memory is freed by the loop. Sets NULL;
 * takes NULL. */
void sink_mqtt_close(struct sink_mqtt **sink);

#endif
