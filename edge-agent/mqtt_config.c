/* mqtt_config: see the header. */
#include "mqtt_config.h"

#include "net/wire.h"
#include "sink_mqtt.h"
#include <stdlib.h>
#include <string.h>

static const struct option_spec tls_options[] = {
    OPTION_STRING(mqtt_tls_config, ca_file, "",
                  "certificates that the broker's is checked with; empty: no TLS"),
    OPTION_STRING(mqtt_tls_config, cert_file, "",
                  "this box's certificate, where the broker wants one"),
    OPTION_STRING(mqtt_tls_config, key_file, "", "the key of cert_file, without a passphrase"),
    OPTION_END,
};

const struct option_spec mqtt_options[] = {
    OPTION_STRING(mqtt_config, address, "", "HOST:PORT of the broker; empty: no MQTT"),
    OPTION_STRING(mqtt_config, topic, "runespoor/{stream}/answers",
                  "topic of the answers; {stream} and {agent} stand for their names"),
    OPTION_U32(mqtt_config, qos, "1", 0, 1, "",
               "1: the broker acknowledges each answer, which is sent again until then; 0: it does "
               "not, and what is on its way when the link breaks is lost"),
    OPTION_STRING(mqtt_config, client_id, "",
                  "name at the broker, which knows one client by it; empty: runespoor-NAME"),
    OPTION_STRING(mqtt_config, user, "", "user at the broker; empty: none"),
    OPTION_STRING(mqtt_config, password_file, "",
                  "file with the user's password on its first line, read at each try"),
    OPTION_SECTION(mqtt_config, tls, tls_options, "encryption of the link to the broker"),
    OPTION_U32(mqtt_config, connect_ms, "5000", 100, 600000, "ms",
               "a link that is not up by then is torn down and tried again"),
    OPTION_U32(mqtt_config, backoff_first_ms, "500", 10, 60000, "ms",
               "wait before the first new try when the link broke"),
    OPTION_U32(mqtt_config, backoff_cap_ms, "15000", 10, 600000, "ms",
               "longest wait between tries; waits double up to here, with jitter"),
    OPTION_END,
};

int mqtt_config_address(const char *text, struct mqtt_broker_address *address, struct error *err)
{
    const char *colon = strrchr(text, ':'), *host = text;
    size_t bytes = colon ? (size_t)(colon - text) : 0;
    if (bytes >= 2 && text[0] == '[' && text[bytes - 1] == ']') {
        host++;
        bytes -= 2;
    } else if (memchr(text, ':', bytes)) {
        bytes = 0; /* IPv6 without brackets */
    }
    char *end = NULL;
    unsigned long port =
        colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
    if (bytes == 0 || bytes > MQTT_HOST_BYTES_MAX || !end || *end != '\0' || port == 0 || port > 65535)
        return error_set(err, ERROR_CONFIG, "mqtt.address",
                         "\"%s\" is not an address like 192.0.2.7:1883", text);
    memcpy(address->host, host, bytes);
    address->host[bytes] = '\0';
    address->port = (int)port;
    return 0;
}

/* Appends and gives what follows, when text begins with word. */
static const char *put_word(struct text *text, const char *at, const char *word, const char *value)
{
    if (strncmp(at, word, strlen(word)) != 0)
        return NULL;
    text_add_str(text, value);
    return at + strlen(word);
}

void mqtt_config_topic(struct text *text, const char *topic, const char *agent, const char *stream)
{
    for (const char *at = topic; *at;) {
        const char *next = put_word(text, at, "{stream}", stream);
        if (!next)
            next = put_word(text, at, "{agent}", agent);
        if (!next) {
            text_add(text, at, 1);
            next = at + 1;
        }
        at = next;
    }
}

static void check_topic(const struct mqtt_config *mqtt, struct config *config)
{
    static const char longest[] =
        "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww";
    struct text topic = { .data = NULL };
    _Static_assert(sizeof longest - 1 == WIRE_NAME_BYTES_MAX, "a name as long as they get");
    mqtt_config_topic(&topic, mqtt->topic, longest, longest);
    if (!topic.data || topic.size == 0 || topic.size > MQTT_TOPIC_BYTES_MAX)
        config_add_problem(config, "mqtt.topic", "has to have 1 to %u bytes, with names of %u",
                           MQTT_TOPIC_BYTES_MAX, WIRE_NAME_BYTES_MAX);
    else if (strpbrk(topic.data, "+#{}") || topic.data[0] == '$')
        config_add_problem(
            config, "mqtt.topic",
            "\"%s\" is not a topic to publish to: none of + # { } but in {stream} and "
            "{agent}, and no $ at its start",
            mqtt->topic);
    text_finish(&topic);
}

void mqtt_config_check(const struct mqtt_config *mqtt, struct config *config)
{
    struct mqtt_broker_address address;
    struct error err;
    if (!mqtt->address[0])
        return;
    if (!sink_mqtt_is_built())
        config_add_problem(config, "mqtt.address",
                           "this edge-agent was built without MQTT (libmosquitto)");
    if (mqtt_config_address(mqtt->address, &address, &err) != 0)
        config_add_problem(config, "mqtt.address", "%s", err.text + strlen("mqtt.address: "));
    check_topic(mqtt, config);
    if (mqtt->password_file[0] && !mqtt->user[0])
        config_add_problem(config, "mqtt.password_file", "a password needs mqtt.user");
    if (!mqtt->tls.cert_file[0] != !mqtt->tls.key_file[0])
        config_add_problem(config, "mqtt.tls.cert_file", "a certificate and its key go together");
    if (mqtt->tls.cert_file[0] && !mqtt->tls.ca_file[0])
        config_add_problem(config, "mqtt.tls.cert_file", "without ca_file there is no TLS");
    if (mqtt->backoff_first_ms > mqtt->backoff_cap_ms)
        config_add_problem(config, "mqtt.backoff_first_ms", "%u is above backoff_cap_ms %u",
                           mqtt->backoff_first_ms, mqtt->backoff_cap_ms);
}
