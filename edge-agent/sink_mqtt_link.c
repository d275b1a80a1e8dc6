/* sink_mqtt_link: the thread of sink_mqtt, which alone touches libmosquitto. It hands a bounded number of
 * messages to it; libmosquitto keeps those of qos 1 over a reconnect and sends them again. */
#include "sink_mqtt_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define KEEPALIVE_S 10 /* a silent broker is found after two of them at most */
#define LOOK_MS 50   /* while connecting: libmosquitto's own waiting, until we look at the clock */
#define IDLE_MS 1000 /* while up: for keepalives */
#define LINGER_MS 500u
#define QOS_STATE 1 /* of the agent's state, so that an acknowledgement proves each link */
#define PASSWORD_BYTES_MAX 1024u
#define ONLINE "online"
#define OFFLINE "offline"
#define NO_ID (-1)
#define NO_CONNACK (-1)
#define CONNACK_BAD_LOGIN 4
#define CONNACK_NOT_ALLOWED 5

static void on_connack(struct mosquitto *client, void *arg, int code);
static void on_published(struct mosquitto *client, void *arg, int id);
static void enter(struct sink_mqtt *sink, enum link_state state);
static bool stopping(struct sink_mqtt *sink);
static int set_login(struct sink_mqtt *sink, struct error *err);
static int set_tls(struct sink_mqtt *sink, struct error *err);
static int connect_broker(struct sink_mqtt *sink);
static int serve(struct sink_mqtt *sink);
static void lose(struct sink_mqtt *sink, int rc, int errno_value);
static void lose_for(struct sink_mqtt *sink, const char *kind, const char *cause);
static void finish(struct sink_mqtt *sink);

int sink_mqtt_link_open(struct sink_mqtt *sink, struct error *err)
{
    char id[sizeof "runespoor-" + WIRE_NAME_BYTES_MAX];
    const char *given = sink->config->client_id;
    snprintf(id, sizeof id, "runespoor-%s", sink->agent_name);
    text_printf(&sink->state_topic, "runespoor/%s/state", sink->agent_name);
    sink->client = mosquitto_new(given[0] ? given : id, true, sink);
    if (!sink->client || sink->state_topic.failed ||
        mosquitto_will_set(sink->client, sink->state_topic.data, sizeof OFFLINE - 1, OFFLINE,
                           QOS_STATE, true) != MOSQ_ERR_SUCCESS)
        return error_set(err, ERROR_MEMORY, "mqtt", "cannot make a client");
    mosquitto_int_option(sink->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_max_inflight_messages_set(sink->client, SINK_MQTT_FLIGHTS_MAX + 1); /* and the state */
    mosquitto_connect_callback_set(sink->client, on_connack);
    mosquitto_publish_callback_set(sink->client, on_published);
    return 0;
}

void sink_mqtt_link_run(void *arg)
{
    struct sink_mqtt *sink = arg;
    while (!stopping(sink)) {
        struct error err;
        metric_counter_add(sink->tries, 1);
        enter(sink, LINK_CONNECTING);
        if (set_login(sink, &err) != 0 || set_tls(sink, &err) != 0) {
            lose_for(sink, "local", err.text);
            continue;
        }
        int rc = connect_broker(sink);
        if (rc == MOSQ_ERR_SUCCESS && sink->connack == 0)
            rc = serve(sink);
        if (stopping(sink))
            break;
        lose(sink, rc, errno);
    }
    finish(sink);
    enter(sink, LINK_WAITING);
    uv_mutex_lock(&sink->lock);
    sink->ended = true;
    uv_mutex_unlock(&sink->lock);
    uv_async_send(&sink->told);
}

/* ---- messages ---- */

static void clear_wake(struct sink_mqtt *sink)
{
    uint64_t count;
    (void)!read(sink->wake, &count, sizeof count);
}

static bool stopping(struct sink_mqtt *sink)
{
    uv_mutex_lock(&sink->lock);
    bool stop = sink->stop;
    uv_mutex_unlock(&sink->lock);
    return stop;
}

/* A flight is over: whoever waits for it is told. */
static void land(struct sink_mqtt *sink, size_t i)
{
    uint64_t ticket = sink->flights[i].ticket;
    sink->flights[i] = sink->flights[--sink->flight_count];
    if (ticket == 0)
        return;
    uv_mutex_lock(&sink->lock);
    assert(sink->ticket_count < SINK_MQTT_TICKETS_MAX); /* take_next has kept room */
    sink->tickets[sink->ticket_count++] = ticket;
    uv_mutex_unlock(&sink->lock);
    uv_async_send(&sink->told);
}

static void on_published(struct mosquitto *client, void *arg, int id)
{
    struct sink_mqtt *sink = arg;
    size_t i = 0;
    (void)client;
    backoff_reset(&sink->backoff);
    while (i < sink->flight_count && sink->flights[i].id != id)
        i++;
    if (i == sink->flight_count)
        return; /* the agent's state */
    metric_counter_add(sink->done, 1);
    land(sink, i);
}

/* Takes the oldest message if it may go now. */
static bool take_next(struct sink_mqtt *sink)
{
    if (sink->holds)
        return true;
    uv_mutex_lock(&sink->lock);
    sink->holds = sink->ticket_count + sink->flight_count < SINK_MQTT_TICKETS_MAX &&
                  mqtt_queue_take(&sink->queue, &sink->ticket, &sink->message);
    metric_gauge_set(sink->waiting, (double)sink->queue.size);
    uv_mutex_unlock(&sink->lock);
    return sink->holds;
}

/* False when there is nothing to be published now. */
static bool publish_next(struct sink_mqtt *sink)
{
    if (sink->flight_count == SINK_MQTT_FLIGHTS_MAX || !take_next(sink))
        return false;
    const char *topic = sink->message.data;
    size_t topic_bytes = strlen(topic) + 1;
    /* Entered before the call, inside of which one of qos 0 is acknowledged. */
    struct flight *flight = &sink->flights[sink->flight_count++];
    *flight = (struct flight){ NO_ID, sink->ticket };
    int rc =
        mosquitto_publish(sink->client, &flight->id, topic, (int)(sink->message.size - topic_bytes),
                          topic + topic_bytes, (int)sink->config->qos, false);
    switch (rc) {
    case MOSQ_ERR_NOMEM: /* held, and tried again */
        sink->flight_count--;
        return false;
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_PAYLOAD_SIZE:
    case MOSQ_ERR_MALFORMED_UTF8:
        log_error("mqtt", "answer not published", LOG_STR("topic", topic),
                  LOG_STR("cause", mosquitto_strerror(rc)));
        metric_counter_add(sink->dropped_refused, 1);
        land(sink, sink->flight_count - 1); /* nobody shall wait for what no broker would get */
        break;
    default: /* a broken link is found when it is read; what has qos 1 goes again on the next one */
        break;
    }
    sink->holds = false;
    return rc == MOSQ_ERR_SUCCESS;
}

/* Those of qos 0 that were on their way are lost with a link: libmosquitto forgets them. */
static void lose_flights(struct sink_mqtt *sink)
{
    if (sink->config->qos > 0)
        return;
    metric_counter_add(sink->dropped_lost, sink->flight_count);
    sink->flight_count = 0;
}

/* ---- the link ---- */

static void on_connack(struct mosquitto *client, void *arg, int code)
{
    struct sink_mqtt *sink = arg;
    (void)client;
    sink->connack = code;
}

static void enter(struct sink_mqtt *sink, enum link_state state)
{
    sink->link = state;
    metric_gauge_set(sink->state, state);
}

/* Files are read again at each try: they may come, or be mended, later. */
static int set_login(struct sink_mqtt *sink, struct error *err)
{
    const struct mqtt_config *config = sink->config;
    struct text password = { .data = NULL };
    if (!config->user[0])
        return 0;
    int result = config->password_file[0]
                     ? file_read_text(config->password_file, PASSWORD_BYTES_MAX, &password, err)
                     : 0;
    if (result == 0 && password.data)
        password.data[strcspn(password.data, "\r\n")] = '\0';
    if (result == 0 &&
        mosquitto_username_pw_set(sink->client, config->user, password.data) != MOSQ_ERR_SUCCESS)
        result = error_set(err, ERROR_CONFIG, "mqtt.user", "libmosquitto does not take it");
    if (password.data)
        explicit_bzero(password.data, password.capacity);
    text_finish(&password);
    return result;
}

static int set_tls(struct sink_mqtt *sink, struct error *err)
{
    const struct mqtt_tls_config *tls = &sink->config->tls;
    if (!tls->ca_file[0])
        return 0;
    const char *cert = tls->cert_file[0] ? tls->cert_file : NULL;
    const char *key = tls->key_file[0] ? tls->key_file : NULL;
    if (mosquitto_tls_set(sink->client, tls->ca_file, NULL, cert, key, NULL) == MOSQ_ERR_SUCCESS)
        return 0;
    return error_set(err, ERROR_CONFIG, "mqtt.tls", "cannot read %s%s%s%s%s", tls->ca_file,
                     cert ? ", " : "", cert ? cert : "", key ? " or " : "", key ? key : "");
}

/* The metric's word for why a link did not come or was lost. */
static const char *loss_kind(const struct sink_mqtt *sink, int rc)
{
    switch (rc) {
    case MOSQ_ERR_CONN_REFUSED:
        return sink->connack == CONNACK_BAD_LOGIN || sink->connack == CONNACK_NOT_ALLOWED
                   ? "auth"
                   : "refused";
    case MOSQ_ERR_TLS:
    case MOSQ_ERR_TLS_HANDSHAKE:
    case MOSQ_ERR_OCSP:
        return "tls";
    case MOSQ_ERR_KEEPALIVE:
        return "silence";
    case MOSQ_ERR_TIMEOUT:
        return "timeout";
    case MOSQ_ERR_NOMEM:
    case MOSQ_ERR_INVAL:
        return "local";
    case MOSQ_ERR_PROTOCOL:
    case MOSQ_ERR_MALFORMED_PACKET:
        return "protocol";
    case MOSQ_ERR_CONN_LOST:
        return "closed";
    default:
        return sink->link == LINK_UP ? "closed" : "unreachable";
    }
}

static void describe_loss(const struct sink_mqtt *sink, int rc, int errno_value, char *cause,
                          size_t cause_bytes)
{
    if (rc == MOSQ_ERR_CONN_REFUSED)
        snprintf(cause, cause_bytes, "refused by the broker: %s%s",
                 mosquitto_connack_string(sink->connack),
                 strcmp(loss_kind(sink, rc), "auth") == 0
                     ? " Are mqtt.user and mqtt.password_file what it knows?"
                     : "");
    else if (rc == MOSQ_ERR_TIMEOUT)
        snprintf(cause, cause_bytes, "no answer from the broker in time");
    else if (rc == MOSQ_ERR_KEEPALIVE)
        snprintf(cause, cause_bytes, "the broker has gone silent");
    else if (strcmp(loss_kind(sink, rc), "tls") == 0)
        snprintf(cause, cause_bytes,
                 "no TLS with it: does mqtt.tls.ca_file vouch for its certificate, and does that "
                 "name the host of mqtt.address?");
    else if (rc == MOSQ_ERR_CONN_LOST)
        snprintf(cause, cause_bytes, "the broker closed the connection%s",
                 sink->link == LINK_UP ? "" : " at once: does it want TLS (mqtt.tls.ca_file)?");
    else if (rc == MOSQ_ERR_ERRNO)
        snprintf(cause, cause_bytes, "%s", strerror(errno_value));
    else
        snprintf(cause, cause_bytes, "%s", mosquitto_strerror(rc));
}

/* Waits for the next try. The same cause again is not logged again. */
static void lose_for(struct sink_mqtt *sink, const char *kind, const char *cause)
{
    const struct metric_label label = { "cause", kind };
    bool was_up = sink->link == LINK_UP;
    bool told = !was_up && strncmp(sink->cause, cause, sizeof sink->cause - 1) == 0;
    uint32_t wait_ms = backoff_next_ms(&sink->backoff);
    enter(sink, LINK_WAITING);
    lose_flights(sink);
    snprintf(sink->cause, sizeof sink->cause, "%s", cause);
    metric_counter_add(metrics_counter(sink->metrics, "edge_mqtt_losses_total",
                                       "Links to the broker lost and tries that failed, by cause",
                                       &label, 1),
                       1);
    log_emit(told ? LOG_DEBUG : LOG_WARN, "mqtt", was_up ? "link lost" : "no connection",
             LOG_STR("broker", sink->config->address), LOG_STR("cause", cause),
             LOG_U64("next_try_ms", wait_ms), LOG_END);
    uint64_t end_ns = clock_now_ns() + wait_ms * CLOCK_NS_PER_MS, now_ns;
    struct pollfd woken = { .fd = sink->wake, .events = POLLIN };
    while (!stopping(sink) && (now_ns = clock_now_ns()) < end_ns) {
        poll(&woken, 1, (int)((end_ns - now_ns) / CLOCK_NS_PER_MS) + 1);
        clear_wake(sink);
    }
}

static void lose(struct sink_mqtt *sink, int rc, int errno_value)
{
    char cause[sizeof sink->cause];
    describe_loss(sink, rc, errno_value, cause, sizeof cause);
    lose_for(sink, loss_kind(sink, rc), cause);
}

/* Until the broker has said yes or no, or the deadline. */
static int connect_broker(struct sink_mqtt *sink)
{
    uint64_t begin_ns = clock_now_ns();
    sink->connack = NO_CONNACK;
    int rc =
        mosquitto_connect_async(sink->client, sink->address.host, sink->address.port, KEEPALIVE_S);
    while (rc == MOSQ_ERR_SUCCESS && sink->connack == NO_CONNACK && !stopping(sink)) {
        if (clock_now_ns() - begin_ns >= sink->config->connect_ms * CLOCK_NS_PER_MS)
            return MOSQ_ERR_TIMEOUT;
        rc = mosquitto_loop(sink->client, LOOK_MS, 1);
    }
    return rc;
}

/* One turn while the link is up: what can be read and written, and keepalives. */
static int turn(struct sink_mqtt *sink, int wait_ms)
{
    struct mosquitto *client = sink->client;
    struct pollfd fds[] = {
        { .fd = mosquitto_socket(client),
          .events = (short)(POLLIN | (mosquitto_want_write(client) ? POLLOUT : 0)) },
        { .fd = sink->wake, .events = POLLIN },
    };
    if (fds[0].fd < 0)
        return MOSQ_ERR_CONN_LOST;
    if (poll(fds, 2, wait_ms) < 0 && errno != EINTR)
        return MOSQ_ERR_ERRNO;
    if (fds[1].revents)
        clear_wake(sink);
    int rc = MOSQ_ERR_SUCCESS;
    if (fds[0].revents & (POLLIN | POLLERR | POLLHUP))
        rc = mosquitto_loop_read(client, SINK_MQTT_FLIGHTS_MAX);
    if (rc == MOSQ_ERR_SUCCESS && (fds[0].revents & POLLOUT))
        rc = mosquitto_loop_write(client, SINK_MQTT_FLIGHTS_MAX);
    return rc == MOSQ_ERR_SUCCESS ? mosquitto_loop_misc(client) : rc;
}

static void publish_state(struct sink_mqtt *sink, const char *state)
{
    mosquitto_publish(sink->client, NULL, sink->state_topic.data, (int)strlen(state), state,
                      QOS_STATE, true); /* a link that does not take it is found broken */
}

static int serve(struct sink_mqtt *sink)
{
    int rc = MOSQ_ERR_SUCCESS;
    enter(sink, LINK_UP);
    log_info("mqtt", "link up", LOG_STR("broker", sink->config->address));
    publish_state(sink, ONLINE);
    while (rc == MOSQ_ERR_SUCCESS && !stopping(sink)) {
        while (publish_next(sink))
            continue;
        rc = turn(sink, IDLE_MS);
    }
    return rc;
}

/* What waits may go, with the link as it is. */
static void finish(struct sink_mqtt *sink)
{
    uint64_t end_ns = clock_now_ns() + LINGER_MS * CLOCK_NS_PER_MS;
    int rc = sink->link == LINK_UP ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NO_CONN;
    bool more = true;
    while (rc == MOSQ_ERR_SUCCESS && more && clock_now_ns() < end_ns) {
        while (publish_next(sink))
            continue;
        more = sink->holds || sink->flight_count > 0;
        if (more)
            rc = turn(sink, LOOK_MS);
    }
    if (rc == MOSQ_ERR_SUCCESS) {
        publish_state(sink, OFFLINE); /* after a goodbye there is no last will */
        mosquitto_disconnect(sink->client);
    }
    while (rc == MOSQ_ERR_SUCCESS && mosquitto_want_write(sink->client) && clock_now_ns() < end_ns)
        rc = turn(sink, LOOK_MS);
    metric_counter_add(sink->dropped_stopped,
                       sink->queue.count + sink->flight_count + (sink->holds ? 1 : 0));
}
