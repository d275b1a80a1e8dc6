/* stream: see the header. */
#include "stream.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "flights.h"
#include "messages.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_RETRY_MS 1000u
/* A session whose answers stay away for so long will not bring its credits back: another is asked
 * for. Far above any age that a frame could have. */
#define ANSWER_MAX_MS 30000u

struct stream {
    struct stream_context context;
    const struct camera_config *config;
    struct figures figures;
    struct credit credit;
    struct camera *camera;
    struct probe_stream *probe; /* owned by the context's probes */
    uv_async_t wake;
    uv_timer_t hello_timer, report_timer;
    unsigned open_handles;

    uint64_t nonce;   /* of the Hellos under way */
    uint64_t session; /* 0: none */
    uint32_t epoch;   /* of the session's credits */
    uint64_t sequence;
    bool gap; /* a frame was lost on this side: nothing but a keyframe may follow */
    char refused[WIRE_TEXT_BYTES_MAX + 1]; /* the last reason, so that each is logged once */
    struct flights flights;

    bool stopping, ended, finished;
    struct error end;
};

static void on_wake(uv_async_t *handle);
static void on_hello_timer(uv_timer_t *timer);
static void on_report_timer(uv_timer_t *timer);
static void begin_hello(struct stream *stream);
static void end_session(struct stream *stream, enum drop_reason reason, const char *bye);
static void look_whether_finished(struct stream *stream);

static void wake_loop(void *arg)
{
    uv_async_send(&((struct stream *)arg)->wake);
}

static void init_handles(struct stream *stream)
{
    uv_loop_t *loop = stream->context.loop;
    int result = uv_async_init(loop, &stream->wake, on_wake);
    assert(result == 0); /* the loop has its descriptor for this already */
    (void)result;
    uv_timer_init(loop, &stream->hello_timer);
    uv_timer_init(loop, &stream->report_timer);
    stream->wake.data = stream->hello_timer.data = stream->report_timer.data = stream;
    stream->open_handles = 3;
}

int stream_open(struct stream **out, const struct stream_context *context,
                const struct camera_config *config, struct error *err)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream || credit_init(&stream->credit) != 0) {
        free(stream);
        return error_set(err, ERROR_MEMORY, config->name, "no memory for a stream");
    }
    stream->context = *context;
    stream->config = config;
    figures_init(&stream->figures, context->metrics, config->name);
    int result = camera_open(&stream->camera, config, &stream->credit, &stream->figures, wake_loop,
                             stream, err);
    if (result != 0) {
        figures_set_state(&stream->figures, STREAM_FAILED);
        credit_finish(&stream->credit);
        free(stream);
        return result;
    }
    init_handles(stream);
    struct source_info info;
    camera_get_info(stream->camera, &info);
    stream->probe = probes_add_stream(context->probes, config->name, &info);
    *out = stream;
    result = camera_start(stream->camera, err);
    if (result != 0)
        stream_close(out);
    return result;
}

const char *stream_name(const struct stream *stream)
{
    return stream->config->name;
}

bool stream_set_rung(struct stream *stream, const struct rung *rung)
{
    return camera_set_rung(stream->camera, rung);
}

void stream_stop(struct stream *stream)
{
    stream->stopping = true;
    camera_stop(stream->camera);
    credit_close(&stream->credit);
}

bool stream_ready(const struct stream *stream, char *reason, size_t reason_bytes)
{
    if (stream->ended && stream->end.code == ERROR_NONE)
        return true;
    if (stream->session != 0 && !stream->ended)
        return camera_is_up(stream->camera, reason, reason_bytes);
    const char *cause = uplink_cause(stream->context.uplink);
    if (stream->ended)
        snprintf(reason, reason_bytes, "%s", stream->end.text);
    else
        snprintf(reason, reason_bytes, "stream %s has no session: %s", stream->config->name,
                 cause                ? cause
                 : stream->refused[0] ? stream->refused
                                      : "the server has not answered yet");
    return false;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    if (--stream->open_handles > 0)
        return;
    credit_finish(&stream->credit);
    free(stream);
}

void stream_close(struct stream **stream_ptr)
{
    struct stream *stream = *stream_ptr;
    if (!stream)
        return;
    *stream_ptr = NULL;
    stream_stop(stream);
    camera_close(&stream->camera);
    end_session(stream, DROP_STOPPED, "the agent stops");
    uv_close((uv_handle_t *)&stream->wake, on_handle_closed);
    uv_close((uv_handle_t *)&stream->hello_timer, on_handle_closed);
    uv_close((uv_handle_t *)&stream->report_timer, on_handle_closed);
}

/* ---- the session ---- */

static void send_hello(struct stream *stream)
{
    struct source_info info;
    camera_get_info(stream->camera, &info);
    messages_send_hello(stream->context.uplink, stream->context.agent_name, stream->config, &info,
                        stream->nonce);
    /* Lost or unanswered: asked again until there is a session. */
    uv_timer_start(&stream->hello_timer, on_hello_timer, HELLO_RETRY_MS, 0);
}

static void on_hello_timer(uv_timer_t *timer)
{
    send_hello(timer->data);
}

/* The nonce stays the same while a Hello is said again, so that on a slow link the reply to an
 * earlier one counts. */
static void begin_hello(struct stream *stream)
{
    if (stream->ended || stream->stopping)
        return;
    stream->nonce = random_entropy();
    send_hello(stream);
}

/* Forgets the session, if there is one; what is in flight is dropped. bye: the reason told to the
 * server; NULL: the server knows, or cannot hear it. */
static void end_session(struct stream *stream, enum drop_reason reason, const char *bye)
{
    uv_timer_stop(&stream->hello_timer);
    uv_timer_stop(&stream->report_timer);
    if (stream->session != 0 && bye)
        messages_send_bye(stream->context.uplink, stream->session, bye);
    if (stream->session != 0) {
        probe_stream_end(stream->probe);
        uplink_end_session(stream->context.uplink);
    }
    credit_end(&stream->credit);
    stream->session = 0;
    stream->epoch = 0;
    figures_count_drops(&stream->figures, reason, flights_clear(&stream->flights));
    metric_gauge_set(stream->figures.in_flight, 0);
    if (!stream->finished)
        figures_set_state(&stream->figures, STREAM_WAITING);
}

static void restart_session(struct stream *stream, const char *cause, const char *bye)
{
    log_warn("stream", "session ended", LOG_STR("stream", stream->config->name),
             LOG_STR("cause", cause));
    end_session(stream, DROP_LINK_LOST, bye);
    on_wake(&stream->wake); /* what was encoded for it goes back before the next one starts */
    begin_hello(stream);
    look_whether_finished(stream);
}

void stream_on_up(struct stream *stream)
{
    begin_hello(stream);
}

void stream_on_down(struct stream *stream)
{
    end_session(stream, DROP_LINK_LOST, NULL);
    on_wake(&stream->wake);
    look_whether_finished(stream);
}

static void on_welcome(struct stream *stream, const Runespoor__Welcome *welcome)
{
    /* A second one answers a Hello said twice; a late one finds nobody who waits for it. */
    if (welcome->nonce != stream->nonce || !uv_is_active((uv_handle_t *)&stream->hello_timer))
        return;
    uv_timer_stop(&stream->hello_timer);
    stream->session = welcome->session;
    stream->sequence = 0;
    stream->gap = false;
    stream->refused[0] = '\0';
    uplink_begin_session(stream->context.uplink, welcome->report_ms);
    uv_timer_start(&stream->report_timer, on_report_timer, welcome->report_ms, welcome->report_ms);
    stream->epoch = credit_start(&stream->credit, welcome->credits);
    camera_keep_pictures(stream->camera,
                         probe_stream_begin(stream->probe, welcome->session, welcome->probes));
    figures_set_state(&stream->figures, STREAM_STREAMING);
    struct source_info info;
    camera_get_info(stream->camera, &info);
    log_info("stream", "streaming", LOG_STR("stream", stream->config->name),
             LOG_STR("source", info.description[0] ? info.description : "not seen yet"),
             LOG_U64("credits", welcome->credits));
}

static void on_refuse(struct stream *stream, const Runespoor__Refuse *refuse)
{
    if (refuse->nonce != stream->nonce || !uv_is_active((uv_handle_t *)&stream->hello_timer))
        return;
    if (strcmp(stream->refused, refuse->reason) != 0) {
        log_warn("stream", "refused by the server", LOG_STR("stream", stream->config->name),
                 LOG_STR("cause", refuse->reason), LOG_STR("code", refuse->code));
        snprintf(stream->refused, sizeof stream->refused, "%s", refuse->reason);
    }
    if (strcmp(refuse->code, WIRE_CODE_LEAVING) == 0)
        uplink_leave(stream->context.uplink);
    uv_timer_start(&stream->hello_timer, on_hello_timer,
                   refuse->retry_ms > 0 ? refuse->retry_ms : HELLO_RETRY_MS, 0);
}

/* Once the source has ended and the last frame is answered, the server need not keep the seat. */
static void look_whether_finished(struct stream *stream)
{
    if (!stream->ended || stream->finished || flights_oldest(&stream->flights))
        return;
    stream->finished = true;
    end_session(stream, DROP_STOPPED, "the source has ended");
    figures_set_state(&stream->figures,
                      stream->end.code == ERROR_NONE ? STREAM_ENDED : STREAM_FAILED);
    stream->context.finished(stream->context.arg, &stream->end);
}

/* ---- frames out ---- */

/* Takes frame->packet over. */
static int send_frame(struct stream *stream, struct encoded_frame *frame, struct error *err)
{
    size_t wire_bytes;
    int result = messages_send_frame(stream->context.uplink, stream->session, stream->sequence,
                                     probes_wait(stream->context.probes), frame, &wire_bytes, err);
    if (result != 0)
        return result;
    stream->sequence++;
    flights_add(&stream->flights,
                &(struct flight){ frame->number, frame->capture_ns, clock_now_ns() });
    metric_counter_add(stream->figures.sent, 1);
    metric_counter_add(stream->figures.sent_bytes, wire_bytes);
    probe_stream_on_sent(stream->probe, frame, wire_bytes);
    return 0;
}

static void handle_frame(struct stream *stream, struct encoded_frame *frame)
{
    struct error err;
    if (frame->epoch != stream->epoch) {
        figures_count_drops(&stream->figures, DROP_LINK_LOST, 1);
        return;
    }
    if ((!stream->gap || frame->keyframe) && send_frame(stream, frame, &err) == 0) {
        stream->gap = false;
        return;
    }
    figures_count_drops(&stream->figures, DROP_UPLINK_FULL, 1);
    credit_give(&stream->credit, stream->epoch);
    if (!stream->gap || frame->keyframe) {
        log_debug("stream", "frame not sent", LOG_STR("stream", stream->config->name),
                  LOG_CAUSE(&err));
        camera_ask_keyframe(stream->camera);
    }
    stream->gap = true;
}

static void on_wake(uv_async_t *handle)
{
    struct stream *stream = handle->data;
    /* Looked at before the queue: what the thread encoded last is then surely in it. */
    bool ended = camera_ended(stream->camera, &stream->end);
    for (struct encoded_frame *frame; (frame = camera_take(stream->camera));) {
        handle_frame(stream, frame);
        camera_return(stream->camera, frame);
    }
    metric_gauge_set(stream->figures.in_flight, (double)stream->flights.count);
    metric_gauge_set(stream->figures.outbox, (double)camera_waiting(stream->camera));
    if (!ended || stream->ended)
        return;
    stream->ended = true;
    if (stream->end.code != ERROR_NONE)
        log_error("stream", "the source has failed", LOG_STR("stream", stream->config->name),
                  LOG_CAUSE(&stream->end));
    look_whether_finished(stream);
}

/* ---- messages in ---- */

static void on_answer(struct stream *stream, const Runespoor__Answer *answer)
{
    struct figures *figures = &stream->figures;
    struct flight flight;
    size_t taken = flights_take(&stream->flights, answer->frame, &flight);
    if (taken == 0) {
        metric_counter_add(figures->strays, 1);
        return;
    }
    uint64_t age_us = (clock_now_ns() - flight.capture_ns) / 1000;
    figures_count_drops(figures, DROP_UNANSWERED, taken - 1);
    for (size_t i = 0; i < taken; i++)
        credit_give(&stream->credit, stream->epoch);
    metric_gauge_set(figures->in_flight, (double)stream->flights.count);

    bool analysed = answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK;
    probe_stream_on_answer(stream->probe, answer->frame, analysed ? (double)answer->uncertainty : -1);
    if (analysed) {
        metric_counter_add(figures->answered, 1);
        metric_histogram_observe_us(figures->age, age_us);
        figures_count_objects(figures, answer);
    } else {
        bool dropped = answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED;
        figures_count_drops(figures, dropped ? DROP_SERVER_DROPPED : DROP_SERVER_FAILED, 1);
    }
    sink_add_answer(stream->context.sink, answer, age_us);
    look_whether_finished(stream);
}

static void on_order(struct stream *stream, const Runespoor__Order *order)
{
    if (!order->keyframe)
        return;
    metric_counter_add(stream->figures.keyframes_asked, 1);
    camera_ask_keyframe(stream->camera);
}

/* The server stops: nothing more is sent, what is in flight is answered before its last word. */
static void leave(struct stream *stream)
{
    credit_end(&stream->credit);
    stream->epoch = 0;
    uplink_leave(stream->context.uplink);
}

static void on_server_report(struct stream *stream, const Runespoor__ServerReport *report)
{
    metric_gauge_set(stream->figures.server_decode_queue, report->decode_queue);
    metric_gauge_set(stream->figures.server_device_queue, report->device_queue);
    if (report->tail)
        figures_set_tail(&stream->figures, report->tail);
}

/* What belongs to a session. */
static bool on_session_message(struct stream *stream, const Runespoor__Header *header)
{
    bool answer = header->kind_case == RUNESPOOR__HEADER__KIND_ANSWER;
    bool order = header->kind_case == RUNESPOOR__HEADER__KIND_ORDER;
    bool report = header->kind_case == RUNESPOOR__HEADER__KIND_SERVER_REPORT;
    bool receipt = header->kind_case == RUNESPOOR__HEADER__KIND_RECEIPT;
    bool bye = header->kind_case == RUNESPOOR__HEADER__KIND_BYE;
    uint64_t session = answer    ? header->answer->session
                       : order   ? header->order->session
                       : report  ? header->server_report->session
                       : receipt ? header->receipt->session
                       : bye     ? header->bye->session
                                 : 0;
    if (session == 0 || session != stream->session)
        return false;
    if (answer)
        on_answer(stream, header->answer);
    else if (order)
        on_order(stream, header->order);
    else if (report)
        on_server_report(stream, header->server_report);
    else if (receipt)
        probe_stream_on_receipt(stream->probe, header->receipt);
    else if (header->bye->leaving)
        leave(stream);
    else
        restart_session(stream, header->bye->reason, NULL);
    return true;
}

bool stream_on_message(struct stream *stream, const Runespoor__Header *header)
{
    const char *name = stream->config->name;
    bool welcome = header->kind_case == RUNESPOOR__HEADER__KIND_WELCOME;
    bool refuse = header->kind_case == RUNESPOOR__HEADER__KIND_REFUSE;
    if (!welcome && !refuse)
        return on_session_message(stream, header);
    if (strcmp(welcome ? header->welcome->stream : header->refuse->stream, name) != 0)
        return false;
    if (welcome)
        on_welcome(stream, header->welcome);
    else
        on_refuse(stream, header->refuse);
    return true;
}

static void on_report_timer(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    const struct flight *oldest = flights_oldest(&stream->flights);
    if (oldest && clock_now_ns() - oldest->sent_ns > ANSWER_MAX_MS * CLOCK_NS_PER_MS)
        restart_session(stream, "answers stay away", "answers stay away");
    else
        messages_send_report(stream->context.uplink, stream->session, &stream->figures);
}
