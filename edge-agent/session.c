/* session: see the header. */
#include "session.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include <stdio.h>
#include <string.h>

#define HELLO_RETRY_MS 1000u
/* A session whose answers stay away for so long will not bring its credits back: another is asked
 * for. Far above any age that a frame could have. */
#define ANSWER_MAX_MS 30000u

static void on_hello_timer(uv_timer_t *timer);
static void on_report_timer(uv_timer_t *timer);

void session_init(struct session *session, const struct session_spec *spec)
{
    *session = (struct session){ .spec = *spec };
    uv_timer_init(spec->loop, &session->hello_timer);
    uv_timer_init(spec->loop, &session->report_timer);
    session->hello_timer.data = session->report_timer.data = session;
    session->open_handles = 2;
}

/* The nonce stays the same while a Hello is said again, so that on a slow link the reply to an
 * earlier one counts. */
void session_begin(struct session *session, uint32_t wait_ms)
{
    session->nonce = random_entropy();
    if (wait_ms == 0)
        on_hello_timer(&session->hello_timer);
    else
        uv_timer_start(&session->hello_timer, on_hello_timer, wait_ms, 0);
}

bool session_is_wanted(const struct session *session)
{
    return session->id != 0 || uv_is_active((const uv_handle_t *)&session->hello_timer);
}

size_t session_end(struct session *session, const char *bye)
{
    uv_timer_stop(&session->hello_timer);
    uv_timer_stop(&session->report_timer);
    if (session->id != 0 && bye)
        messages_send_bye(session->spec.uplink, session->id, bye);
    if (session->id != 0)
        uplink_end_session(session->spec.uplink);
    session->id = 0;
    return flights_clear(&session->flights);
}

int session_send(struct session *session, struct encoded_frame *frame,
                 const struct frame_marks *marks, size_t *wire_bytes, struct error *err)
{
    size_t bytes;
    packet_data(frame->packet, &bytes);
    const struct flight flight = { .number = frame->number,
                                   .capture_ns = frame->capture_ns,
                                   .capture_unix_us = frame->capture_unix_us,
                                   .sent_ns = clock_now_ns(),
                                   .bytes = (uint32_t)bytes,
                                   .decode_only = marks->decode_only };
    int result = messages_send_frame(session->spec.uplink, session->id, session->sequence, marks,
                                     frame, wire_bytes, err);
    if (result != 0)
        return result;
    session->sequence++;
    flights_add(&session->flights, &flight);
    metric_counter_add(session->spec.figures->sent, 1);
    metric_counter_add(session->spec.figures->sent_bytes, *wire_bytes);
    return 0;
}

static void on_session_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;
    if (--session->open_handles == 0)
        session->closed(session->closed_arg);
}

void session_close(struct session *session, void (*closed)(void *arg), void *arg)
{
    session->closed = closed;
    session->closed_arg = arg;
    uv_close((uv_handle_t *)&session->hello_timer, on_session_closed);
    uv_close((uv_handle_t *)&session->report_timer, on_session_closed);
}

/* ---- its beginning ---- */

static void on_hello_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    const struct session_spec *spec = &session->spec;
    struct source_info info;
    camera_get_info(spec->camera, &info);
    messages_send_hello(spec->uplink, spec->agent_name, spec->config, &info, session->nonce,
                        spec->late);
    /* Lost or unanswered: asked again until there is a session. */
    uv_timer_start(&session->hello_timer, on_hello_timer, HELLO_RETRY_MS, 0);
}

/* Whether a reply is to the Hello that is under way. A second one answers a Hello said twice; a late
 * one finds nobody who waits for it. */
static bool expects(const struct session *session, uint64_t nonce)
{
    return nonce == session->nonce && uv_is_active((const uv_handle_t *)&session->hello_timer);
}

static void on_welcome(struct session *session, const Runespoor__Welcome *welcome)
{
    uv_timer_stop(&session->hello_timer);
    session->id = welcome->session;
    session->sequence = 0;
    session->refused[0] = '\0';
    uplink_begin_session(session->spec.uplink, welcome->report_ms);
    uv_timer_start(&session->report_timer, on_report_timer, welcome->report_ms, welcome->report_ms);
    session->spec.events->begun(session->spec.arg, session, welcome);
}

static void on_refuse(struct session *session, const Runespoor__Refuse *refuse)
{
    if (strcmp(session->refused, refuse->reason) != 0) {
        log_warn("stream", "refused by the server", LOG_STR("stream", session->spec.config->name),
                 LOG_STR("cause", refuse->reason), LOG_STR("code", refuse->code));
        snprintf(session->refused, sizeof session->refused, "%s", refuse->reason);
    }
    if (strcmp(refuse->code, WIRE_CODE_LEAVING) == 0)
        uplink_leave(session->spec.uplink);
    uv_timer_start(&session->hello_timer, on_hello_timer,
                   refuse->retry_ms > 0 ? refuse->retry_ms : HELLO_RETRY_MS, 0);
}

/* ---- messages in ---- */

static void on_answer(struct session *session, const Runespoor__Answer *answer)
{
    struct flight flight;
    size_t taken = flights_take(&session->flights, answer->frame, &flight);
    if (taken == 0)
        metric_counter_add(session->spec.figures->strays, 1);
    else
        session->spec.events->answered(session->spec.arg, session, answer, &flight, taken - 1);
}

static void on_leaving(struct session *session)
{
    session->spec.events->leaving(session->spec.arg, session);
    uplink_leave(session->spec.uplink);
}

/* What belongs to a session. */
static bool on_session_message(struct session *session, const Runespoor__Header *header)
{
    const struct session_events *events = session->spec.events;
    void *arg = session->spec.arg;
    bool answer = header->kind_case == RUNESPOOR__HEADER__KIND_ANSWER;
    bool order = header->kind_case == RUNESPOOR__HEADER__KIND_ORDER;
    bool report = header->kind_case == RUNESPOOR__HEADER__KIND_SERVER_REPORT;
    bool receipt = header->kind_case == RUNESPOOR__HEADER__KIND_RECEIPT;
    bool bye = header->kind_case == RUNESPOOR__HEADER__KIND_BYE;
    uint64_t id = answer    ? header->answer->session
                  : order   ? header->order->session
                  : report  ? header->server_report->session
                  : receipt ? header->receipt->session
                  : bye     ? header->bye->session
                            : 0;
    if (id == 0 || id != session->id)
        return false;
    if (answer)
        on_answer(session, header->answer);
    else if (order)
        events->ordered(arg, header->order);
    else if (report)
        events->reported(arg, header->server_report);
    else if (receipt)
        events->received(arg, header->receipt);
    else if (header->bye->leaving)
        on_leaving(session);
    else
        events->broken(arg, session, header->bye->reason, true);
    return true;
}

bool session_on_message(struct session *session, const Runespoor__Header *header)
{
    bool welcome = header->kind_case == RUNESPOOR__HEADER__KIND_WELCOME;
    bool refuse = header->kind_case == RUNESPOOR__HEADER__KIND_REFUSE;
    if (!welcome && !refuse)
        return on_session_message(session, header);
    if (!expects(session, welcome ? header->welcome->nonce : header->refuse->nonce))
        return false;
    if (welcome)
        on_welcome(session, header->welcome);
    else
        on_refuse(session, header->refuse);
    return true;
}

static void on_report_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    const struct session_spec *spec = &session->spec;
    const struct flight *oldest = flights_oldest(&session->flights);
    if (oldest && clock_now_ns() - oldest->sent_ns > ANSWER_MAX_MS * CLOCK_NS_PER_MS) {
        spec->events->broken(spec->arg, session, "answers stay away", false);
        return;
    }
    messages_send_report(spec->uplink, session->id, spec->figures);
    spec->events->turned(spec->arg, session);
}
