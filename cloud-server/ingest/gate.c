/* gate: see the header. A seat is a place in the gate's table: the stream that sits there, the agent
 * that it belongs to, its session. A session's number holds the seat's, so that a packet finds it
 * without a search; its upper part is random, so that old numbers do not fit. */
#include "ingest/gate.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "ingest/account.h"
#include "ingest/log_limit.h"
#include "net/keys.h"
#include "net/wire.h"
#include "net/zmq_loop.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_MS 500
#define HANDSHAKE_MS 5000
#define HEARTBEAT_MS 2000
#define HEARTBEAT_TIMEOUT_MS 6000
#define RECEIVE_QUEUE 128 /* messages per agent; beyond, TCP makes it wait */
#define IDENTITY_BYTES_MAX 255u
#define SILENT_PERIODS 3u
#define LOG_AGAIN_MS 60000u
#define SEAT_BITS 16u

/* When a refused agent is to ask again. */
#define RETRY_SOON_MS 200u
#define RETRY_READY_MS 500u
#define RETRY_STOPPING_MS 2000u
#define RETRY_CONFIG_MS 5000u /* somebody has to change something first */

struct identity {
    uint8_t bytes[IDENTITY_BYTES_MAX];
    size_t size;
};

struct seat {
    struct gate *gate;
    struct session *session; /* NULL: the seat is free */
    uint64_t id;
    char stream[WIRE_NAME_BYTES_MAX + 1], agent[WIRE_NAME_BYTES_MAX + 1];
    struct identity identity;
    struct account *account;
    uint64_t heard_ns;
    const char *farewell; /* set: it is ending; "" when the agent has gone by itself */
    struct metric_gauge *age_p50, *age_p99;
};

struct gate {
    uv_timer_t tick; /* first, so that its close callback can free the gate */
    struct session_rooms *rooms;
    const struct server_config *config;
    struct guard *guard;
    struct zmq_socket *socket;
    char address[256];
    struct seat *seats; /* config->limits.streams */
    size_t seat_count;  /* in use */
    struct accounts *accounts;
    struct log_limit logged;
    char hold[128]; /* "" : Hellos are welcome */
    bool draining;
    void (*drained)(void *arg);
    void *drained_arg;
    struct metric_gauge *streams;
    struct metric_counter *sessions, *unsent;
};

/* Who sent the message at hand. */
struct sender {
    struct identity identity;
    const char *key;
};

static void on_message(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg);
static void on_tick(uv_timer_t *tick);
static void on_gate_closed(uv_handle_t *handle);
static void end_seat(struct seat *seat, const char *farewell, bool drain);

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
    if (message_max < WIRE_HEADER_BYTES_MAX)
        message_max = WIRE_HEADER_BYTES_MAX;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (zmq_setsockopt(raw, numbers[i].option, &numbers[i].value, sizeof numbers[i].value) < 0)
            return error_set(err, ERROR_IO, "gate", "socket option %d: %s", numbers[i].option,
                             zmq_strerror(zmq_errno()));
    if (zmq_setsockopt(raw, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max) < 0)
        return error_set(err, ERROR_IO, "gate", "message size: %s", zmq_strerror(zmq_errno()));
    return guard_secure(gate->guard, raw, err);
}

static int bind_socket(struct gate *gate, uv_loop_t *loop, void *zmq_context, struct error *err)
{
    void *raw = zmq_socket(zmq_context, ZMQ_ROUTER);
    size_t size = sizeof gate->address;

    if (!raw)
        return error_set(err, ERROR_IO, "gate", "no socket: %s", zmq_strerror(zmq_errno()));
    int rc = set_options(gate, raw, err);
    if (rc == 0 && zmq_bind(raw, gate->config->listen.address) < 0)
        rc = error_set(err, ERROR_IO, "listen.address", "cannot listen on %s: %s",
                       gate->config->listen.address, zmq_strerror(zmq_errno()));
    if (rc == 0 && zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, gate->address, &size) < 0)
        rc = error_set(err, ERROR_IO, "gate", "no address: %s", zmq_strerror(zmq_errno()));
    if (rc < 0) {
        zmq_close(raw);
        return rc;
    }
    return zmq_socket_attach(&gate->socket, loop, raw, on_message, gate, err);
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

void gate_hold(struct gate *gate, const char *reason)
{
    snprintf(gate->hold, sizeof gate->hold, "%s", reason ? reason : "");
}

void gate_visit(const struct gate *gate, gate_visit_fn *visit, void *arg)
{
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session)
            visit(arg, gate->seats[i].stream, gate->seats[i].agent, gate->seats[i].session);
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
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session)
            end_seat(&gate->seats[i], "the server is stopping", true);
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

static void send_header(struct gate *gate, const struct identity *to, const Runespoor__Header *header)
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

static void send_to_seat(void *arg, const Runespoor__Header *header)
{
    struct seat *seat = arg;
    send_header(seat->gate, &seat->identity, header);
}

static void send_welcome(struct seat *seat, const Runespoor__Hello *hello)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Welcome welcome = RUNESPOOR__WELCOME__INIT;

    welcome.stream = seat->stream;
    welcome.nonce = hello->nonce;
    welcome.session = seat->id;
    welcome.credits = seat->gate->config->credits;
    welcome.version = WIRE_VERSION;
    welcome.report_ms = seat->gate->config->report_ms;
    header.kind_case = RUNESPOOR__HEADER__KIND_WELCOME;
    header.welcome = &welcome;
    send_to_seat(seat, &header);
}

static void send_bye(struct seat *seat, const char *reason)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Bye bye = RUNESPOOR__BYE__INIT;

    bye.session = seat->id;
    bye.reason = (char *)reason;
    header.kind_case = RUNESPOOR__HEADER__KIND_BYE;
    header.bye = &bye;
    send_to_seat(seat, &header);
}

/* Seats */

static struct seat *find_seat(struct gate *gate, uint64_t session, const struct sender *sender)
{
    const uint64_t index = session & ((1u << SEAT_BITS) - 1);

    if (index >= gate->config->limits.streams)
        return NULL;
    struct seat *seat = &gate->seats[index];
    if (!seat->session || seat->id != session || seat->farewell ||
        seat->identity.size != sender->identity.size ||
        memcmp(seat->identity.bytes, sender->identity.bytes, sender->identity.size) != 0)
        return NULL;
    return seat;
}

static void end_seat(struct seat *seat, const char *farewell, bool drain)
{
    if (!seat->farewell)
        seat->farewell = farewell;
    session_end(seat->session, drain);
}

static void on_session_closed(void *arg)
{
    struct seat *seat = arg;
    struct gate *gate = seat->gate;
    struct session_figures figures;

    if (seat->farewell[0] != '\0')
        send_bye(seat, seat->farewell);
    session_get_figures(seat->session, &figures);
    log_info("gate", "stream ended", LOG_STR("stream", seat->stream),
             LOG_STR("reason", seat->farewell[0] != '\0' ? seat->farewell : "Bye of the agent"),
             LOG_U64("received", figures.received), LOG_U64("answered", figures.answered));
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

    if (now_ns - seat->heard_ns > SILENT_PERIODS * config->report_ms * CLOCK_NS_PER_MS) {
        log_warn("gate", "agent is silent", LOG_STR("stream", seat->stream));
        end_seat(seat, "nothing heard for three report periods", false);
    } else if (!guard_permits(seat->gate->guard, account_key(seat->account), seat->stream)) {
        end_seat(seat, "the key may no longer use this stream name", false);
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

/* Hello */

static struct seat *find_stream(struct gate *gate, const char *stream)
{
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session && strcmp(gate->seats[i].stream, stream) == 0)
            return &gate->seats[i];
    return NULL;
}

static bool same_identity(const struct identity *a, const struct identity *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Somebody sits there already. An agent that comes back by another connection has its old seat as
 * soon as that has missed a report; a stranger has to wait until it is given up. */
static int refuse_name(struct seat *seat, const struct sender *sender,
                       const Runespoor__Hello *hello, uint32_t *retry_ms, struct error *err)
{
    const uint64_t period_ms = seat->gate->config->report_ms;
    const uint64_t silent_ms = (clock_now_ns() - seat->heard_ns) / CLOCK_NS_PER_MS;
    const bool same_agent = strcmp(account_key(seat->account), sender->key) == 0 &&
                            strcmp(seat->agent, hello->agent) == 0;
    const uint64_t limit_ms = same_agent ? period_ms * 3 / 2 : SILENT_PERIODS * period_ms;

    *retry_ms = RETRY_SOON_MS;
    if (seat->farewell)
        return error_set(err, ERROR_AGAIN, hello->stream, "its last session is being closed");
    if (same_identity(&seat->identity, &sender->identity) || (same_agent && silent_ms > limit_ms)) {
        end_seat(seat, "the agent has come back", false);
        return error_set(err, ERROR_AGAIN, hello->stream, "its last session is being closed");
    }
    if (silent_ms < limit_ms)
        *retry_ms += (uint32_t)(limit_ms - silent_ms);
    return error_set(err, ERROR_AGAIN, hello->stream, "the name is in use by agent '%s'",
                     seat->agent);
}

static bool has_codec(const Runespoor__Hello *hello)
{
    for (size_t i = 0; i < hello->n_codecs; i++)
        if (hello->codecs[i] >= RUNESPOOR__CODEC__CODEC_H264 &&
            hello->codecs[i] <= RUNESPOOR__CODEC__CODEC_AV1)
            return true;
    return false;
}

/* All that can be said against a Hello, but for its name being in use. */
static int check_hello(struct gate *gate, const struct sender *sender,
                       const Runespoor__Hello *hello, uint32_t *retry_ms, struct error *err)
{
    const struct limits_config *limits = &gate->config->limits;

    *retry_ms = RETRY_CONFIG_MS;
    if (hello->version >> 16 != WIRE_VERSION_MAJOR)
        return error_set(err, ERROR_UNSUPPORTED, "version",
                         "the agent speaks version %u, the server %u: update the older one",
                         hello->version >> 16, WIRE_VERSION_MAJOR);
    if (gate->draining) {
        *retry_ms = RETRY_STOPPING_MS;
        return error_set(err, ERROR_AGAIN, "server", "it is stopping");
    }
    if (!guard_permits(gate->guard, sender->key, hello->stream))
        return error_set(
            err, ERROR_AUTH, hello->stream,
            "this key may not use this stream name: add it to the server's allow file");
    if (!has_codec(hello))
        return error_set(err, ERROR_UNSUPPORTED, "codecs", "none of them is known here");
    if (hello->width > limits->width || hello->height > limits->height)
        return error_set(err, ERROR_LIMIT, hello->stream,
                         "pictures of %ux%u are larger than the server's limit of %ux%u",
                         hello->width, hello->height, limits->width, limits->height);
    if (gate->hold[0] != '\0') {
        *retry_ms = RETRY_READY_MS;
        return error_set(err, ERROR_AGAIN, "server", "not ready: %s", gate->hold);
    }
    return 0;
}

static int take_seat(struct gate *gate, const struct sender *sender, const Runespoor__Hello *hello,
                     struct seat **taken, struct error *err)
{
    size_t index = 0, model;
    struct account *account;

    while (index < gate->config->limits.streams && gate->seats[index].session)
        index++;
    if (index == gate->config->limits.streams)
        return error_set(err, ERROR_LIMIT, "server", "all %u streams are taken",
                         gate->config->limits.streams);
    int rc = server_config_find_model(gate->config, hello->model, &model, err);
    if (rc < 0)
        return rc;
    rc = account_join(gate->accounts, sender->key, &account, err);
    if (rc < 0)
        return rc;
    struct seat *seat = &gate->seats[index];
    *seat = (struct seat){ .gate = gate,
                           .id = (random_entropy() << SEAT_BITS) | index,
                           .identity = sender->identity,
                           .account = account,
                           .heard_ns = clock_now_ns() };
    if (seat->id == 0) /* means none on the wire */
        seat->id = 1ull << SEAT_BITS;
    strcpy(seat->stream, hello->stream); /* wire_parse has checked the length of names */
    strcpy(seat->agent, hello->agent);
    const struct session_spec spec = { .id = seat->id,
                                       .stream = seat->stream,
                                       .model = model,
                                       .send = send_to_seat,
                                       .closed = on_session_closed,
                                       .arg = seat };
    rc = session_open(&seat->session, gate->rooms, &spec, err);
    if (rc < 0) {
        account_leave(account);
        return rc;
    }
    *taken = seat;
    return 0;
}

static void refuse_hello(struct gate *gate, const struct sender *sender,
                         const Runespoor__Hello *hello, uint32_t retry_ms, const struct error *err)
{
    struct metric_label reason = { "reason", error_word(err->code) };
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Refuse refuse = RUNESPOOR__REFUSE__INIT;
    char text[WIRE_TEXT_BYTES_MAX + 1];

    metric_counter_add(metrics_counter(gate->rooms->metrics, "server_hellos_refused_total",
                                       "Hellos refused", &reason, 1),
                       1);
    if (log_limit_pass(&gate->logged, hello->stream, error_word(err->code), LOG_AGAIN_MS))
        log_warn("gate", "stream refused", LOG_STR("stream", hello->stream),
                 LOG_STR("agent", hello->agent), LOG_STR("public", sender->key), LOG_CAUSE(err));
    wire_copy_text(text, sizeof text, err->text);
    refuse.stream = hello->stream;
    refuse.nonce = hello->nonce;
    refuse.reason = text;
    refuse.code = (char *)error_word(err->code);
    refuse.retry_ms = retry_ms;
    header.kind_case = RUNESPOOR__HEADER__KIND_REFUSE;
    header.refuse = &refuse;
    send_header(gate, &sender->identity, &header);
}

static void open_seat_metrics(struct seat *seat)
{
    struct metrics *metrics = seat->gate->rooms->metrics;
    struct metric_label label = { "stream", seat->stream };

    seat->age_p50 =
        metrics_gauge(metrics, "server_agent_age_p50_seconds",
                      "median age of a frame at its answer, told by the agent", &label, 1);
    seat->age_p99 =
        metrics_gauge(metrics, "server_agent_age_p99_seconds",
                      "99 % of frames are younger at their answer, told by the agent", &label, 1);
}

static void on_hello(struct gate *gate, const struct sender *sender, const Runespoor__Hello *hello)
{
    struct error err;
    uint32_t retry_ms;
    struct seat *seat = find_stream(gate, hello->stream);

    int rc = check_hello(gate, sender, hello, &retry_ms, &err);
    if (rc == 0 && seat) {
        if (!seat->farewell && same_identity(&seat->identity, &sender->identity) &&
            session_is_fresh(seat->session)) {
            send_welcome(seat, hello); /* the first Welcome was slow, and the agent asked again */
            return;
        }
        rc = refuse_name(seat, sender, hello, &retry_ms, &err);
    } else if (rc == 0) {
        rc = take_seat(gate, sender, hello, &seat, &err);
    }
    if (rc < 0) {
        refuse_hello(gate, sender, hello, retry_ms, &err);
        return;
    }
    gate->seat_count++;
    open_seat_metrics(seat);
    metric_gauge_set(gate->streams, (double)gate->seat_count);
    metric_counter_add(gate->sessions, 1);
    log_info("gate", "stream started", LOG_STR("stream", seat->stream),
             LOG_STR("agent", seat->agent), LOG_STR("software", hello->software),
             LOG_STR("key", guard_find(gate->guard, sender->key)));
    send_welcome(seat, hello);
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
        end_seat(seat, "far more frames than credits", false);
    }
}

static void on_agent_report(struct seat *seat, const Runespoor__AgentReport *report)
{
    metric_gauge_set(seat->age_p50, report->age_p50_us / 1e6);
    metric_gauge_set(seat->age_p99, report->age_p99_us / 1e6);
}

static void refuse_message(struct gate *gate, const struct sender *sender, const char *reason,
                           const char *cause)
{
    struct metric_label label = { "reason", reason };

    metric_counter_add(metrics_counter(gate->rooms->metrics, "server_messages_refused_total",
                                       "messages that were not understood or not expected", &label, 1),
                       1);
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
        on_hello(gate, sender, header->hello);
        return;
    case RUNESPOOR__HEADER__KIND_PACKET:
        session = header->packet->session;
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
    if (header->kind_case == RUNESPOOR__HEADER__KIND_PACKET)
        on_packet(seat, header->packet, parts);
    else if (header->kind_case == RUNESPOOR__HEADER__KIND_AGENT_REPORT)
        on_agent_report(seat, header->agent_report);
    else
        end_seat(seat, "", true);
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
