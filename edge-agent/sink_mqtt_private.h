/* sink_mqtt_private: what sink_mqtt.c (the loop's side) and sink_mqtt_link.c (the thread's) share. */
#ifndef RUNESPOOR_EDGE_SINK_MQTT_PRIVATE_H
#define RUNESPOOR_EDGE_SINK_MQTT_PRIVATE_H

#include "base/backoff.h"
#include "mqtt_queue.h"
#include "sink_mqtt.h"
#include <mosquitto.h>

#define SINK_MQTT_FLIGHTS_MAX 64u /* handed to libmosquitto and not acknowledged */
/* Acknowledged and not told: the thread publishes no more until the loop has looked. */
#define SINK_MQTT_TICKETS_MAX 1024u

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_UP };

struct flight {
    int id; /* libmosquitto's */
    uint64_t ticket;
};

struct sink_mqtt {
    const struct mqtt_config *config;
    const char *agent_name;
    struct metrics *metrics;
    int wake; /* eventfd: the thread has something to look at */

    /* the loop's */
    uv_async_t told; /* the loop has */
    uv_thread_t thread;
    sink_mqtt_published_fn *published;
    void *arg;
    struct text topic, line;

    /* shared */
    uv_mutex_t lock;
    struct mqtt_queue queue;
    uint64_t tickets[SINK_MQTT_TICKETS_MAX];
    size_t ticket_count;
    bool stop, ended;

    /* the thread's */
    struct mosquitto *client;
    struct mqtt_broker_address address;
    struct text state_topic, message;
    struct backoff backoff;
    struct flight flights[SINK_MQTT_FLIGHTS_MAX];
    size_t flight_count;
    uint64_t ticket; /* of the message that it holds */
    bool holds;
    enum link_state link;
    int connack;     /* the broker's word to a try */
    char cause[192]; /* why the link is not up */

    struct metric_gauge *state, *waiting;
    struct metric_counter *tries, *done, *dropped_full, *dropped_lost, *dropped_stopped,
        *dropped_refused;
};

/* Makes the client; connects to nothing yet. */
int sink_mqtt_link_open(struct sink_mqtt *sink, struct error *err);
/* The thread. Sets ended, and says so, as its last deed. */
void sink_mqtt_link_run(void *sink);

#endif
