/* uplink: see the header. */
#include "uplink.h"

#include "base/clock.h"
#include "base/log.h"
#include "credit.h"
#include "media/encode.h"
#include "net/zmq_loop.h"
#include "servers.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_MS 500
#define HEARTBEAT_MS 2000
#define HEARTBEAT_TIMEOUT_MS 6000
#define RECEIVE_QUEUE 10000
#define WATCH_MS 500
#define SILENT_PERIODS 3u
#define CUT "the handshake failed: is server.key the key of this server?"

/* libzmq's I/O thread gives a payload back. ThreadSanitizer does not see by what way it got there and
 * takes the packet's next use for a race, unless told. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(packet) __tsan_release(packet)
#define TAKE_OVER(packet) __tsan_acquire(packet)
#else
#define HAND_OVER(packet)
#define TAKE_OVER(packet)
#endif

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_UP };

struct uplink {
    uv_loop_t *loop;
    const struct server_link_config *config;
    const struct key_pair *keys;
    struct uplink_events events;
    void *arg;

    void *context;
    struct zmq_socket *socket;
    struct servers servers;
    enum link_state state;
    uv_timer_t timer; /* connecting: deadline; up: silence watch, or leaving; waiting: next try */
    bool leaving;     /* the server stops; its sessions are ending */
    uint64_t heard_ns;
    uint64_t asked_ns; /* the first message that nothing was heard after; 0: none */
    size_t sessions;
    uint32_t silence_ms; /* longest silence while there are sessions */
    char cause[192];     /* why the link is not up */

    struct metric_gauge *state_gauge, *pause_gauge, *cause_gauges[LINK_CAUSES];
    struct metric_counter *tries, *malformed, *losses[LINK_CAUSES];
};

static void on_retry(uv_timer_t *timer);
static void on_deadline(uv_timer_t *timer);
static void on_watch(uv_timer_t *timer);
static void on_left(uv_timer_t *timer);
static void make_metrics(struct uplink *uplink, struct metrics *metrics);
static int open_socket(struct uplink *uplink, struct error *err);

int uplink_open(struct uplink **out, uv_loop_t *loop, const struct server_link_config *config,
                void *zmq_context, const struct key_pair *keys, struct metrics *metrics,
                const struct uplink_events *events, void *arg, struct error *err)
{
    struct uplink *uplink = calloc(1, sizeof *uplink);
    if (!uplink)
        return error_set(err, ERROR_MEMORY, "uplink", "no memory");
    int result = servers_init(&uplink->servers, config, metrics, err);
    if (result != 0) {
        free(uplink);
        return result;
    }
    uplink->context = zmq_context;
    uplink->loop = loop;
    uplink->config = config;
    uplink->keys = keys;
    uplink->events = *events;
    uplink->arg = arg;
    snprintf(uplink->cause, sizeof uplink->cause, "not connected yet");
    make_metrics(uplink, metrics);
    uv_timer_init(loop, &uplink->timer);
    uplink->timer.data = uplink;
    uv_timer_start(&uplink->timer, on_retry, 0, 0);
    *out = uplink;
    return 0;
}

static void make_metrics(struct uplink *uplink, struct metrics *metrics)
{
    uplink->state_gauge =
        metrics_gauge(metrics, "edge_link_state", "0 waiting, 1 connecting, 2 up", NULL, 0);
    uplink->pause_gauge =
        metrics_gauge(metrics, "edge_link_pause_seconds",
                      "Pause before the next try, as it began; 0 while up", NULL, 0);
    uplink->tries = metrics_counter(metrics, "edge_link_tries_total", "Connections begun", NULL, 0);
    uplink->malformed = metrics_counter(metrics, "edge_messages_malformed_total",
                                        "Messages from the server that were refused", NULL, 0);
    for (int i = LINK_NOT_TRIED + 1; i < LINK_CAUSES; i++) {
        const struct metric_label label = { "cause", link_cause_word((enum link_cause)i) };
        uplink->losses[i] = metrics_counter(metrics, "edge_link_losses_total",
                                            "Links lost and tries that failed, by cause", &label, 1);
        uplink->cause_gauges[i] =
            metrics_gauge(metrics, "edge_link_cause", "1 for why the link is not up", &label, 1);
    }
}

/* The header as the first part of a message. */
static int pack_header(struct uplink *uplink, const Runespoor__Header *header, zmq_msg_t *part,
                       struct error *err)
{
    size_t bytes = wire_packed_size(header);
    if (uplink->state != LINK_UP)
        return error_set(err, ERROR_AGAIN, "uplink", "the link is not up");
    if (uplink->asked_ns == 0)
        uplink->asked_ns = clock_now_ns();
    if (zmq_msg_init_size(part, bytes) != 0)
        return error_set(err, ERROR_MEMORY, "uplink", "no memory for %zu bytes", bytes);
    wire_pack(header, zmq_msg_data(part));
    return 0;
}

static void release_payload(void *bytes, void *packet)
{
    (void)bytes;
    struct packet *held = packet;
    TAKE_OVER(packet);
    packet_unref(&held);
}

int uplink_send(struct uplink *uplink, const Runespoor__Header *header, struct packet **payload,
                size_t *wire_bytes, struct error *err)
{
    struct packet *packet = payload ? *payload : NULL;
    if (payload)
        *payload = NULL;
    zmq_msg_t parts[2];
    int result = pack_header(uplink, header, &parts[0], err);
    if (result != 0) {
        packet_unref(&packet);
        return result;
    }
    size_t header_bytes = zmq_msg_size(&parts[0]), payload_bytes = 0;
    if (packet) {
        void *bytes = (void *)(uintptr_t)packet_data(packet, &payload_bytes);
        HAND_OVER(packet);
        if (zmq_msg_init_data(&parts[1], bytes, payload_bytes, release_payload, packet) != 0) {
            zmq_msg_close(&parts[0]);
            packet_unref(&packet);
            return error_set(err, ERROR_MEMORY, "uplink", "no memory for a message");
        }
    }
    result = zmq_socket_send(uplink->socket, parts, packet ? 2 : 1, err);
    if (result == 0 && wire_bytes)
        *wire_bytes = header_bytes + payload_bytes;
    return result;
}

int uplink_send_bytes(struct uplink *uplink, const Runespoor__Header *header, const void *payload,
                      size_t payload_bytes, size_t *wire_bytes, struct error *err)
{
    zmq_msg_t parts[2];
    int result = pack_header(uplink, header, &parts[0], err);
    if (result != 0)
        return result;
    *wire_bytes = zmq_msg_size(&parts[0]) + payload_bytes;
    if (zmq_msg_init_size(&parts[1], payload_bytes) != 0) {
        zmq_msg_close(&parts[0]);
        return error_set(err, ERROR_MEMORY, "uplink", "no memory for %zu bytes", payload_bytes);
    }
    memcpy(zmq_msg_data(&parts[1]), payload, payload_bytes);
    return zmq_socket_send(uplink->socket, parts, 2, err);
}

void uplink_begin_session(struct uplink *uplink, uint32_t report_ms)
{
    uplink->sessions++;
    uplink->silence_ms = SILENT_PERIODS * report_ms;
}

void uplink_end_session(struct uplink *uplink)
{
    assert(uplink->sessions > 0);
    uplink->sessions--;
    if (uplink->leaving && uplink->sessions == 0)
        uv_timer_start(&uplink->timer, on_left, 0, 0); /* not from inside a stream */
}

void uplink_leave(struct uplink *uplink)
{
    if (uplink->state != LINK_UP || uplink->leaving)
        return;
    uplink->leaving = true;
    log_info("uplink", "the server stops",
             LOG_STR("server", servers_current(&uplink->servers)->address));
    uv_timer_start(&uplink->timer, on_left, uplink->sessions > 0 ? UPLINK_LEAVE_MS : 0, 0);
}

const char *uplink_cause(const struct uplink *uplink)
{
    return uplink->state == LINK_UP ? NULL : uplink->cause;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void uplink_close(struct uplink **uplink_ptr)
{
    struct uplink *uplink = *uplink_ptr;
    if (!uplink)
        return;
    *uplink_ptr = NULL;
    zmq_socket_detach(&uplink->socket);
    uv_close((uv_handle_t *)&uplink->timer, on_closed);
}

/* ---- the state machine ---- */

static void enter(struct uplink *uplink, enum link_state state)
{
    uplink->state = state;
    metric_gauge_set(uplink->state_gauge, state);
}

static void show_cause(struct uplink *uplink, enum link_cause cause)
{
    for (int i = LINK_NOT_TRIED + 1; i < LINK_CAUSES; i++)
        metric_gauge_set(uplink->cause_gauges[i], i == (int)cause);
}

/* Tears the socket down and waits for the next try. Only this leaves CONNECTING and UP. The same cause
 * again at the same server is not logged again. */
static void lose(struct uplink *uplink, enum link_cause cause, const char *words)
{
    bool was_up = uplink->state == LINK_UP;
    struct server *server = servers_current(&uplink->servers);
    uint32_t pause_ms = servers_on_loss(&uplink->servers, &cause);
    if (cause == LINK_SERVER_KEY)
        words =
            "cut in the handshake three times running: server key probably wrong (see server.key)";
    bool told = strncmp(server->reported, words, sizeof server->reported - 1) == 0;
    zmq_socket_detach(&uplink->socket);
    enter(uplink, LINK_WAITING);
    uplink->leaving = false;
    snprintf(uplink->cause, sizeof uplink->cause, "%s", words);
    snprintf(server->reported, sizeof server->reported, "%s", words);
    metric_counter_add(uplink->losses[cause], 1);
    metric_gauge_set(uplink->pause_gauge, pause_ms / 1e3);
    show_cause(uplink, cause);
    log_emit(told ? LOG_DEBUG : LOG_WARN, "uplink", was_up ? "link lost" : "no connection",
             LOG_STR("server", server->address), LOG_STR("cause", words),
             LOG_STR("kind", link_cause_word(cause)), LOG_U64("next_try_ms", pause_ms),
             LOG_STR("next", servers_current(&uplink->servers)->address), LOG_END);
    uv_timer_start(&uplink->timer, on_retry, pause_ms, 0);
    if (was_up)
        uplink->events.down(uplink->arg, words);
}

static void on_retry(uv_timer_t *timer)
{
    struct uplink *uplink = timer->data;
    struct error err;
    metric_counter_add(uplink->tries, 1);
    enter(uplink, LINK_CONNECTING);
    uv_timer_start(&uplink->timer, on_deadline, uplink->config->connect_ms, 0);
    if (open_socket(uplink, &err) != 0)
        lose(uplink, LINK_LOCAL, err.text);
}

static void on_deadline(uv_timer_t *timer)
{
    lose(timer->data, LINK_TIMEOUT, "no answer from the server in time");
}

static void on_watch(uv_timer_t *timer)
{
    struct uplink *uplink = timer->data;
    uint64_t now_ns = clock_now_ns();
    uint64_t silent_ms = (now_ns - uplink->heard_ns) / CLOCK_NS_PER_MS;
    uint64_t asked_ms = uplink->asked_ns ? (now_ns - uplink->asked_ns) / CLOCK_NS_PER_MS : 0;
    /* Without a session nothing comes by itself, but a Hello has an answer. */
    if (uplink->sessions > 0 ? silent_ms > uplink->silence_ms : asked_ms > uplink->config->connect_ms)
        lose(uplink, LINK_SILENCE, "the server has gone silent");
}

static void on_left(uv_timer_t *timer)
{
    lose(timer->data, LINK_LEAVING, "the server is stopping");
}

static void on_handshake(struct uplink *uplink)
{
    servers_on_up(&uplink->servers);
    enter(uplink, LINK_UP);
    metric_gauge_set(uplink->pause_gauge, 0);
    show_cause(uplink, LINK_NOT_TRIED);
    uplink->heard_ns = clock_now_ns();
    uplink->asked_ns = 0;
    uv_timer_start(&uplink->timer, on_watch, WATCH_MS, WATCH_MS);
    log_info("uplink", "link up", LOG_STR("server", servers_current(&uplink->servers)->address));
    uplink->events.up(uplink->arg);
}

static void on_event(struct zmq_socket *socket, uint16_t event, uint32_t value, const char *address,
                     void *arg)
{
    struct uplink *uplink = arg;
    char cause[96];
    (void)socket;
    (void)address;
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        on_handshake(uplink);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        snprintf(cause, sizeof cause,
                 "refused by the server (status %u): is this box's public key in its allow folder?",
                 value);
        lose(uplink, LINK_KEY_REFUSED, cause);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        lose(uplink, LINK_HANDSHAKE, CUT);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        if (uplink->state == LINK_CONNECTING) /* what is no server at all */
            lose(uplink, LINK_HANDSHAKE, CUT);
        else if (uplink->leaving) /* it was faster */
            on_left(&uplink->timer);
        else
            lose(uplink, LINK_CLOSED, "the server closed the connection");
        break;
    case ZMQ_EVENT_CLOSED: /* a connection that could not be made */
        if (uplink->state == LINK_CONNECTING)
            lose(uplink, LINK_UNREACHABLE, "nothing listens there, or no route to it");
        break;
    default:
        break;
    }
}

static void on_receive(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg)
{
    struct uplink *uplink = arg;
    struct error err;
    Runespoor__Header *header = NULL;
    (void)socket;
    uplink->heard_ns = clock_now_ns();
    uplink->asked_ns = 0;
    servers_on_heard(&uplink->servers);
    if (malformed || count != 1) {
        metric_counter_add(uplink->malformed, 1);
        return;
    }
    if (wire_parse(&header, zmq_msg_data(&parts[0]), zmq_msg_size(&parts[0]), 0, &err) != 0) {
        metric_counter_add(uplink->malformed, 1);
        log_debug("uplink", "message refused", LOG_CAUSE(&err));
        return;
    }
    uplink->events.message(uplink->arg, header);
    wire_free(&header);
}

static int set_options(struct uplink *uplink, void *raw, const char *server_key)
{
    const int no_reconnect = -1, linger = LINGER_MS, send_queue = 2 * (int)CREDITS_MAX,
              receive_queue = RECEIVE_QUEUE, immediate = 1, heartbeat = HEARTBEAT_MS,
              heartbeat_timeout = HEARTBEAT_TIMEOUT_MS,
              handshake = 2 * (int)uplink->config->connect_ms; /* ours comes first */
    const int64_t message_max = WIRE_HEADER_BYTES_MAX;
    const struct {
        int option;
        const void *value;
        size_t size;
    } options[] = {
        { ZMQ_CURVE_SERVERKEY, server_key, KEY_TEXT_BYTES },
        { ZMQ_CURVE_PUBLICKEY, uplink->keys->public_text, KEY_TEXT_BYTES },
        { ZMQ_CURVE_SECRETKEY, uplink->keys->secret_text, KEY_TEXT_BYTES },
        { ZMQ_RECONNECT_IVL, &no_reconnect, sizeof no_reconnect },
        { ZMQ_LINGER, &linger, sizeof linger },
        { ZMQ_SNDHWM, &send_queue, sizeof send_queue },
        { ZMQ_RCVHWM, &receive_queue, sizeof receive_queue },
        { ZMQ_IMMEDIATE, &immediate, sizeof immediate },
        { ZMQ_HEARTBEAT_IVL, &heartbeat, sizeof heartbeat },
        { ZMQ_HEARTBEAT_TIMEOUT, &heartbeat_timeout, sizeof heartbeat_timeout },
        { ZMQ_HANDSHAKE_IVL, &handshake, sizeof handshake },
        { ZMQ_MAXMSGSIZE, &message_max, sizeof message_max },
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (zmq_setsockopt(raw, options[i].option, options[i].value, options[i].size) != 0)
            return -1;
    return 0;
}

static int open_socket(struct uplink *uplink, struct error *err)
{
    const char *address = servers_current(&uplink->servers)->address;
    void *raw = zmq_socket(uplink->context, ZMQ_DEALER);
    if (!raw)
        return error_set(err, ERROR_MEMORY, "uplink", "cannot make a socket: %s",
                         zmq_strerror(zmq_errno()));
    int result = 0;
    if (set_options(uplink, raw, servers_begin(&uplink->servers)) != 0)
        result = error_set(err, ERROR_CONFIG, "uplink", "cannot set up CURVE: %s",
                           zmq_strerror(zmq_errno()));
    if (result == 0)
        result = zmq_socket_attach(&uplink->socket, uplink->loop, raw, on_receive, uplink, err);
    if (result != 0) {
        zmq_close(raw);
        return result;
    }
    result = zmq_socket_watch_events(uplink->socket, uplink->context, on_event, uplink, err);
    if (result == 0 && zmq_connect(raw, address) != 0)
        result = error_set(err, ERROR_CONFIG, "uplink", "cannot connect to %s: %s", address,
                           zmq_strerror(zmq_errno()));
    return result; /* on a failure the caller detaches the socket */
}
