/* gate: see the header. A seat is a place in the gate's table: the stream that sits there, the agent
 * that it belongs to, its session. A session's number holds the seat's, so that a packet finds it
 * without a search; its upper part is random, so that old numbers do not fit. */
#include "ingest/gate_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_MS 500
#define HANDSHAKE_MS 5000
#define HEARTBEAT_MS 2000
#define HEARTBEAT_TIMEOUT_MS 6000
#define RECEIVE_QUEUE 128 /* messages per agent; beyond, TCP makes it wait */

static void on_message(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg);
static void send_bye(struct seat *seat, const char *reason, bool leaving);
static void on_tick(uv_timer_t *tick);
static void on_gate_closed(uv_handle_t *handle);

/* Opening and closing */

static int set_options(const struct gate *gate, void *raw, struct error *err)
{
    const struct {
        int option, value;
    } numbers[] = {
        { ZMQ_ROUTER_MANDATORY, 1 }, /* an agent that is gone is an error, not silence */
        { ZMQ_ROUTER_HANDOVER, 0 },  /* nobody takes over another's connection */
        { ZMQ_LINGER, LINGER_MS },
        { ZMQ_RCVHWM, RECEIVE_QUEUE },
        { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS },
        { ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS },
        { ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS },
        { ZMQ_IPV6, strchr(gate->config->listen.address, '[') != NULL },
    };
    /* A packet up to twice the limit is answered in words; a larger one ends the connection before
     * memory is taken for it. A header needs its room in any case. */
    int64_t message_max = 2 * (int64_t)gate->config->limits.message_bytes;
    if (message_max < (int64_t)WIRE_HEADER_BYTES_MAX)
        message_max = (int64_t)WIRE_HEADER_BYTES_MAX;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (zmq_setsockopt(raw, numbers[i].option, &numbers[i].value, sizeof numbers[i].value) < 0)
            return error_set(err, ERROR_IO, "gate", "socket option %d: %s", numbers[i].option,
                             zmq_strerror(zmq_errno()));
    if (zmq_setsockopt(raw, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max) < 0)
        return error_set(err, ERROR_IO, "gate", "message size: %s", zmq_strerror(zmq_errno()));
    return guard_secure(gate->guard, raw, GUARD_GATE, err);
}

static int bind_socket(struct gate *gate, uv_loop_t *loop, void *zmq_context, struct error *err)
{
    void *raw = zmq_socket(zmq_context, ZMQ_ROUTER);
    size_t size = sizeof gate->address;

    if (!raw)
        return error_set(err, ERROR_IO, "gate", "no socket: %s", zmq_strerror(zmq_errno()));
    int rc = set_options(gate, raw, err);
    if (rc == 0)
        rc = zmq_socket_attach(&gate->socket, loop, raw, on_message, gate, err);
    if (rc < 0) { /* else gate_close detaches it */
        zmq_close(raw);
        return rc;
    }
    rc = guard_watch(gate->guard, gate->socket, zmq_context, err);
    if (rc == 0 && zmq_bind(raw, gate->config->listen.address) < 0)
        rc = error_set(err, ERROR_IO, "listen.address", "cannot listen on %s: %s",
                       gate->config->listen.address, zmq_strerror(zmq_errno()));
    if (rc == 0 && zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, gate->address, &size) < 0)
        rc = error_set(err, ERROR_IO, "gate", "no address: %s", zmq_strerror(zmq_errno()));
    return rc;
}

int gate_open(struct gate **out, uv_loop_t *loop, void *zmq_context, struct session_rooms *rooms,
              struct guard *guard, struct error *err)
{
    const struct server_config *config = rooms->config;
    struct gate *gate = calloc(1, sizeof *gate);

    if (!gate)
        return error_set(err, ERROR_MEMORY, "gate", "no room");
    gate->rooms = rooms;
    gate->config = config;
    gate->guard = guard;
    gate->streams = metrics_gauge(rooms->metrics, "server_streams", "streams now", NULL, 0);
    gate->sessions =
        metrics_counter(rooms->metrics, "server_sessions_total", "Hellos welcomed", NULL, 0);
    gate->unsent = metrics_counter(rooms->metrics, "server_messages_unsent_total",
                                   "messages to an agent that was gone or did not read", NULL, 0);
    uv_timer_init(loop, &gate->tick);
    int rc = 0;
    gate->seats = calloc(config->limits.streams, sizeof gate->seats[0]);
    if (!gate->seats)
        rc = error_set(err, ERROR_MEMORY, "gate", "no room for %u streams", config->limits.streams);
    if (rc == 0)
        rc = accounts_create(&gate->accounts, &config->limits, err);
    if (rc == 0)
        rc = bind_socket(gate, loop, zmq_context, err);
    if (rc < 0) {
        gate_close(&gate);
        return rc;
    }
    uv_timer_start(&gate->tick, on_tick, config->report_ms, config->report_ms);
    *out = gate;
    return 0;
}

const char *gate_address(const struct gate *gate)
{
    return gate->address;
}

size_t gate_stream_count(const struct gate *gate)
{
    return gate->seat_count;
}

size_t gate_connection_count(const struct gate *gate)
{
    return guard_connected(gate->guard, gate->socket);
}

void gate_hold(struct gate *gate, const char *reason)
{
    snprintf(gate->hold, sizeof gate->hold, "%s", reason ? reason : "");
}

void gate_limits_changed(struct gate *gate)
{
    accounts_set_limits(gate->accounts, &gate->config->limits);
}

void gate_visit(const struct gate *gate, gate_visit_fn *visit, void *arg)
{
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session)
            visit(arg, session_label(gate->seats[i].session), gate->seats[i].agent,
                  gate->seats[i].session);
}

void gate_drain(struct gate *gate, void (*drained)(void *arg), void *arg)
{
    gate->draining = true;
    gate->drained = drained;
    gate->drained_arg = arg;
    if (gate->seat_count == 0) {
        drained(arg);
        return;
    }
    /* First all are told, so that they move while the rest is answered. */
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session && !gate->seats[i].farewell)
            send_bye(&gate->seats[i], "the server is stopping", true);
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session)
            gate_end_seat(&gate->seats[i], "the server is stopping", true);
}

void gate_cut_short(struct gate *gate)
{
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session)
            session_end(gate->seats[i].session, false);
}

void gate_close(struct gate **gate)
{
    if (!*gate)
        return;
    assert((*gate)->seat_count == 0);
    zmq_socket_detach(&(*gate)->socket);
    uv_close((uv_handle_t *)&(*gate)->tick, on_gate_closed);
    *gate = NULL;
}

static void on_gate_closed(uv_handle_t *handle)
{
    struct gate *gate = (struct gate *)handle;

    accounts_destroy(&gate->accounts);
    free(gate->seats);
    free(gate);
}

/* Sending */

void gate_send(struct gate *gate, const struct identity *to, const Runespoor__Header *header)
{
    zmq_msg_t parts[2];
    struct error err;

    if (zmq_msg_init_size(&parts[0], to->size) < 0) {
        metric_counter_add(gate->unsent, 1);
        return;
    }
    if (zmq_msg_init_size(&parts[1], wire_packed_size(header)) < 0) {
        zmq_msg_close(&parts[0]);
        metric_counter_add(gate->unsent, 1);
        return;
    }
    memcpy(zmq_msg_data(&parts[0]), to->bytes, to->size);
    wire_pack(header, zmq_msg_data(&parts[1]));
    if (zmq_socket_send(gate->socket, parts, 2, &err) < 0)
        metric_counter_add(gate->unsent, 1);
}

static void send_bye(struct seat *seat, const char *reason, bool leaving)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Bye bye = RUNESPOOR__BYE__INIT;

    bye.session = seat->id;
    bye.reason = (char *)reason;
    bye.leaving = leaving;
    header.kind_case = RUNESPOOR__HEADER__KIND_BYE;
    header.bye = &bye;
    gate_send(seat->gate, &seat->identity, &header);
}

/* Seats */

bool identity_equals(const struct identity *a, const struct identity *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static struct seat *find_seat(struct gate *gate, uint64_t session, const struct sender *sender)
{
    const uint64_t index = session & ((1u << SEAT_BITS) - 1);

    if (index >= gate->config->limits.streams)
        return NULL;
    struct seat *seat = &gate->seats[index];
    if (!seat->session || seat->id != session || !identity_equals(&seat->identity, &sender->identity))
        return NULL;
    return seat;
}

void gate_end_seat(struct seat *seat, const char *farewell, bool drain)
{
    if (!seat->farewell)
        seat->farewell = farewell;
    session_end(seat->session, drain);
}

void gate_on_session_closed(void *arg)
{
    struct seat *seat = arg;
    struct gate *gate = seat->gate;
    const struct figures *figures = session_figures(seat->session);

    if (seat->farewell[0] != '\0')
        send_bye(seat, seat->farewell, false);
    log_info("gate", "stream ended", LOG_STR("stream", session_label(seat->session)),
             LOG_STR("reason", seat->farewell[0] != '\0' ? seat->farewell : "Bye of the agent"),
             LOG_U64("received", figures->received), LOG_U64("answered", figures->answered));
    account_leave(seat->account);
    seat->session = NULL;
    gate->seat_count--;
    metric_gauge_set(gate->streams, (double)gate->seat_count);
    if (gate->draining && gate->seat_count == 0)
        gate->drained(gate->drained_arg);
}

static void check_seat(struct seat *seat, uint64_t now_ns)
{
    const struct server_config *config = seat->gate->config;

    if (now_ns - seat->heard_ns > config->report_ms * CLOCK_NS_PER_MS * SILENT_PERIODS) {
        log_warn("gate", "agent is silent", LOG_STR("stream", seat->stream));
        gate_end_seat(seat, "nothing heard for three report periods", false);
    } else if (!guard_find(seat->gate->guard, account_key(seat->account))) {
        log_warn("gate", "key revoked", LOG_STR("stream", seat->stream),
                 LOG_STR("public", account_key(seat->account)));
        gate_end_seat(seat, "the key was revoked", false);
    } else if (!guard_permits(seat->gate->guard, account_key(seat->account), seat->stream)) {
        gate_end_seat(seat, "the key may no longer use this stream name", false);
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct gate *gate = (struct gate *)tick;
    const uint64_t now_ns = clock_now_ns();

    guard_refresh(gate->guard);
    for (size_t i = 0; i < gate->config->limits.streams; i++) {
        struct seat *seat = &gate->seats[i];
        if (!seat->session || seat->farewell)
            continue;
        check_seat(seat, now_ns);
        if (!seat->farewell)
            session_report(seat->session, now_ns);
    }
}

/* Messages of sessions */

static void on_packet(struct seat *seat, const Runespoor__Packet *packet, zmq_msg_t *parts)
{
    const size_t payload_bytes = zmq_msg_size(&parts[2]);
    const uint32_t wire_bytes = (uint32_t)(zmq_msg_size(&parts[1]) + payload_bytes);
    enum frame_fate verdict = FATE_OK;
    struct error err;

    if (payload_bytes > seat->gate->config->limits.message_bytes)
        verdict = FATE_TOO_LARGE;
    else if (!account_pay(seat->account, wire_bytes, seat->heard_ns))
        verdict = FATE_BITRATE;
    if (session_receive(seat->session, packet, &parts[2], wire_bytes, verdict, &err) < 0) {
        log_warn("gate", "agent ignores its credits", LOG_CAUSE(&err));
        gate_end_seat(seat, "far more frames than credits", false);
    }
}

static void on_slice(struct seat *seat, const Runespoor__ProbeSlice *slice, zmq_msg_t *parts)
{
    const uint32_t wire_bytes = (uint32_t)(zmq_msg_size(&parts[1]) + zmq_msg_size(&parts[2]));
    bool paid = account_pay(seat->account, wire_bytes, seat->heard_ns);
    session_receive_slice(seat->session, slice, &parts[2], paid);
}

static void on_agent_report(struct seat *seat, const Runespoor__AgentReport *report)
{
    metric_gauge_set(seat->age_p50, report->age_p50_us / 1e6);
    metric_gauge_set(seat->age_p99, report->age_p99_us / 1e6);
}

static void count_refused(struct gate *gate, const char *reason)
{
    struct metric_label label = { "reason", reason };

    metric_counter_add(metrics_counter(gate->rooms->metrics, "server_messages_refused_total",
                                       "messages that were not understood or not expected", &label, 1),
                       1);
}

static void refuse_message(struct gate *gate, const struct sender *sender, const char *reason,
                           const char *cause)
{
    count_refused(gate, reason);
    if (log_limit_pass(&gate->logged, sender->key, reason, LOG_AGAIN_MS))
        log_warn("gate", "message refused", LOG_STR("public", sender->key),
                 LOG_STR("reason", reason), LOG_STR("cause", cause));
}

static void dispatch(struct gate *gate, const struct sender *sender,
                     const Runespoor__Header *header, zmq_msg_t *parts)
{
    uint64_t session;

    switch (header->kind_case) {
    case RUNESPOOR__HEADER__KIND_HELLO:
        gate_on_hello(gate, sender, header->hello);
        return;
    case RUNESPOOR__HEADER__KIND_PACKET:
        session = header->packet->session;
        break;
    case RUNESPOOR__HEADER__KIND_PROBE_START:
        session = header->probe_start->session;
        break;
    case RUNESPOOR__HEADER__KIND_PROBE_SLICE:
        session = header->probe_slice->session;
        break;
    case RUNESPOOR__HEADER__KIND_AGENT_REPORT:
        session = header->agent_report->session;
        break;
    case RUNESPOOR__HEADER__KIND_BYE:
        session = header->bye->session;
        break;
    default:
        refuse_message(gate, sender, "unexpected", wire_kind_word(header));
        return;
    }
    struct seat *seat = find_seat(gate, session, sender);
    if (!seat) {
        refuse_message(gate, sender, "no_session", wire_kind_word(header));
        return;
    }
    seat->heard_ns = clock_now_ns();
    if (seat->farewell) /* it is ending, which its agent cannot know yet */
        count_refused(gate, "ending");
    else if (header->kind_case == RUNESPOOR__HEADER__KIND_PACKET)
        on_packet(seat, header->packet, parts);
    else if (header->kind_case == RUNESPOOR__HEADER__KIND_PROBE_START)
        session_receive_start(seat->session, header->probe_start);
    else if (header->kind_case == RUNESPOOR__HEADER__KIND_PROBE_SLICE)
        on_slice(seat, header->probe_slice, parts);
    else if (header->kind_case == RUNESPOOR__HEADER__KIND_AGENT_REPORT)
        on_agent_report(seat, header->agent_report);
    else
        gate_end_seat(seat, "", true);
}

static void on_message(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg)
{
    struct gate *gate = arg;
    struct sender sender;
    Runespoor__Header *header;
    struct error err;

    (void)socket;
    sender.identity.size = zmq_msg_size(&parts[0]);
    assert(sender.identity.size <= sizeof sender.identity.bytes); /* ZeroMQ's own limit */
    memcpy(sender.identity.bytes, zmq_msg_data(&parts[0]), sender.identity.size);
    sender.key = zmq_msg_gets(&parts[count - 1], "User-Id");
    if (!sender.key) { /* CURVE always gives one */
        sender.key = "";
        refuse_message(gate, &sender, "no_key", "");
        return;
    }
    if (malformed || count < 2 || count > 3) {
        refuse_message(gate, &sender, "parts", "a message has one or two parts");
        return;
    }
    const size_t payload_bytes = count == 3 ? zmq_msg_size(&parts[2]) : 0;
    int rc =
        wire_parse(&header, zmq_msg_data(&parts[1]), zmq_msg_size(&parts[1]), payload_bytes, &err);
    if (rc < 0) {
        refuse_message(gate, &sender, error_word(rc), err.text);
        return;
    }
    dispatch(gate, &sender, header, parts);
    wire_free(&header);
}
