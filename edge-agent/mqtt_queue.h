/* mqtt_queue: messages that wait for the broker, in one ring of bytes taken at the start: what waits is
 * bounded by bytes, whatever the messages are like, and nothing is allocated later. Not locked. */
#ifndef RUNESPOOR_EDGE_MQTT_QUEUE_H
#define RUNESPOOR_EDGE_MQTT_QUEUE_H

#include "base/error.h"
#include "base/text.h"
#include <stdbool.h>

struct mqtt_queue {
    char *bytes;
    size_t capacity, first, size;
    size_t count;
};

int mqtt_queue_init(struct mqtt_queue *queue, size_t capacity, struct error *err);
void mqtt_queue_finish(struct mqtt_queue *queue);

/* A copy of topic (with its NUL) and payload. Where there is no room, the oldest make some and are counted
 * in *dropped; but not one with a ticket (not 0), whose sender waits for it. False: then, or when it is
 * larger than the whole queue; it is not in. */
bool mqtt_queue_put(struct mqtt_queue *queue, uint64_t ticket, const char *topic,
                    const struct text *payload, size_t *dropped);
/* The oldest as topic, NUL, payload in bytes, which is cleared before; false where there is none, or no
 * memory for it (bytes->failed). */
bool mqtt_queue_take(struct mqtt_queue *queue, uint64_t *ticket, struct text *bytes);

#endif
