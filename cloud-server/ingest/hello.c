/* hello: who gets a seat. A Hello is answered by a Welcome or, in words, by a Refuse that says when
 * to ask again. */
#include "ingest/gate_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include <string.h>

/* When a refused agent is to ask again. */
#define RETRY_SOON_MS 200u
#define RETRY_READY_MS 500u
#define RETRY_STOPPING_MS 2000u
#define RETRY_CONFIG_MS 5000u /* somebody has to change something first */

static void send_to_seat(void *arg, const Runespoor__Header *header)
{
    struct seat *seat = arg;
    gate_send(seat->gate, &seat->identity, header);
}

static void send_welcome(struct seat *seat, const Runespoor__Hello *hello)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Welcome welcome = RUNESPOOR__WELCOME__INIT;

    welcome.stream = seat->stream;
    welcome.nonce = hello->nonce;
    welcome.session = seat->id;
    welcome.credits = session_credits(seat->session);
    welcome.version = WIRE_VERSION;
    welcome.report_ms = seat->gate->config->report_ms;
    if (session_measures(seat->session))
        welcome.probes = (Runespoor__ProbeOrder)seat->gate->config->probes.order;
    header.kind_case = RUNESPOOR__HEADER__KIND_WELCOME;
    header.welcome = &welcome;
    gate_send(seat->gate, &seat->identity, &header);
}

static struct seat *find_stream(struct gate *gate, const char *stream, bool late)
{
    for (size_t i = 0; i < gate->config->limits.streams; i++)
        if (gate->seats[i].session && gate->seats[i].late == late &&
            strcmp(gate->seats[i].stream, stream) == 0)
            return &gate->seats[i];
    return NULL;
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
    if (identity_equals(&seat->identity, &sender->identity) || (same_agent && silent_ms > limit_ms)) {
        gate_end_seat(seat, "the agent has come back", false);
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

/* A backlog goes beside the live session of the same agent, and only there. */
static int check_late(struct gate *gate, const struct sender *sender, const Runespoor__Hello *hello,
                      uint32_t *retry_ms, struct error *err)
{
    const struct seat *live = find_stream(gate, hello->stream, false);

    *retry_ms = RETRY_SOON_MS;
    if (!hello->late || (live && identity_equals(&live->identity, &sender->identity)))
        return 0;
    return error_set(err, ERROR_AGAIN, hello->stream,
                     "a backlog needs the live session of its stream beside it");
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
    if (!guard_find(gate->guard, sender->key))
        return error_set(err, ERROR_AUTH, hello->stream, "this key was revoked");
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
                           .late = hello->late,
                           .heard_ns = clock_now_ns() };
    if (seat->id == 0) /* means none on the wire */
        seat->id = 1ull << SEAT_BITS;
    snprintf(seat->stream, sizeof seat->stream, "%s", hello->stream); /* wire_parse knows they fit */
    snprintf(seat->agent, sizeof seat->agent, "%s", hello->agent);
    const struct session_spec spec = { .id = seat->id,
                                       .stream = seat->stream,
                                       .model = model,
                                       .lossless = hello->lossless,
                                       .late = hello->late,
                                       .send = send_to_seat,
                                       .closed = gate_on_session_closed,
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
    refuse.code = gate->draining ? (char *)WIRE_CODE_LEAVING : (char *)error_word(err->code);
    refuse.retry_ms = retry_ms;
    header.kind_case = RUNESPOOR__HEADER__KIND_REFUSE;
    header.refuse = &refuse;
    gate_send(gate, &sender->identity, &header);
}

static void open_seat_metrics(struct seat *seat)
{
    struct metrics *metrics = seat->gate->rooms->metrics;
    struct metric_label label = { "stream", session_label(seat->session) };

    seat->age_p50 =
        metrics_gauge(metrics, "server_agent_age_p50_seconds",
                      "median age of a frame at its answer, told by the agent", &label, 1);
    seat->age_p99 =
        metrics_gauge(metrics, "server_agent_age_p99_seconds",
                      "99 % of frames are younger at their answer, told by the agent", &label, 1);
}

void gate_on_hello(struct gate *gate, const struct sender *sender, const Runespoor__Hello *hello)
{
    struct error err;
    uint32_t retry_ms;
    struct seat *seat = find_stream(gate, hello->stream, hello->late);

    int rc = check_hello(gate, sender, hello, &retry_ms, &err);
    if (rc == 0)
        rc = check_late(gate, sender, hello, &retry_ms, &err);
    if (rc == 0 && seat) {
        if (!seat->farewell && identity_equals(&seat->identity, &sender->identity) &&
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
    log_info("gate", "stream started", LOG_STR("stream", session_label(seat->session)),
             LOG_STR("agent", seat->agent), LOG_STR("software", hello->software),
             LOG_STR("key", guard_find(gate->guard, sender->key)));
    send_welcome(seat, hello);
}
