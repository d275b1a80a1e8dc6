/* mqtt_config: the options of answers over MQTT, and what follows from them alone. Any thread. */
#ifndef RUNESPOOR_EDGE_MQTT_CONFIG_H
#define RUNESPOOR_EDGE_MQTT_CONFIG_H

#include "base/text.h"
#include "config/config.h"

#define MQTT_HOST_BYTES_MAX 255u
#define MQTT_TOPIC_BYTES_MAX 512u /* with its words put in */

struct mqtt_tls_config {
    char *ca_file, *cert_file, *key_file;
};

struct mqtt_config {
    char *address; /* "": no MQTT */
    char *topic;
    uint32_t qos;
    char *client_id, *user, *password_file;
    struct mqtt_tls_config tls;
    uint32_t connect_ms, backoff_first_ms, backoff_cap_ms;
};

extern const struct option_spec mqtt_options[];

/* Adds what is wrong to config's problems. Looks at nothing while the address is "". */
void mqtt_config_check(const struct mqtt_config *mqtt, struct config *config);

struct mqtt_broker_address {
    char host[MQTT_HOST_BYTES_MAX + 1];
    int port;
};
/* Of "host:port" or "[IPv6]:port". */
int mqtt_config_address(const char *text, struct mqtt_broker_address *address, struct error *err);

/* Appends the topic of a stream's answers: {stream} and {agent} are words to be put in. */
void mqtt_config_topic(struct text *text, const char *topic, const char *agent, const char *stream);

#endif
