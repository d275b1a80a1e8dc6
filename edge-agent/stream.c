/* stream: see the header. */
#include "stream.h"

#include "base/clock.h"
#include "base/log.h"
#include "lossless.h"
#include "session.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct stream {
    struct stream_context context;
    const struct camera_config *config;
    struct figures figures;
    struct credit credit;
    struct camera *camera;
    struct probe_stream *probe; /* owned by the context's probes */
    struct lossless *lossless;  /* NULL: a live stream */
    uv_async_t wake;
    unsigned open_parts; /* that close from the loop */

    struct session session;
    uint32_t epoch; /* of the session's credits */
    bool gap;       /* a frame was lost on this side: nothing but a keyframe may follow */

    bool stopping, ended, finished;
    struct error end;
};

static const struct session_events session_events;
static void on_wake(uv_async_t *handle);
static void begin_session(struct stream *stream, uint32_t wait_ms);
static void end_session(struct stream *stream, enum drop_reason reason, const char *bye, bool link);
static void restart_session(struct stream *stream, const char *cause, const char *bye,
                            uint32_t wait_ms);
static void look_whether_finished(struct stream *stream);

static void wake_loop(void *arg)
{
    uv_async_send(&((struct stream *)arg)->wake);
}

static void init_parts(struct stream *stream)
{
    const struct session_spec session = {
        .loop = stream->context.loop,
        .uplink = stream->context.uplink,
        .agent_name = stream->context.agent_name,
        .config = stream->config,
        .camera = stream->camera,
        .figures = &stream->figures,
        .events = &session_events,
        .arg = stream,
    };
    struct source_info info;
    int result = uv_async_init(stream->context.loop, &stream->wake, on_wake);
    assert(result == 0); /* the loop has its descriptor for this already */
    (void)result;
    stream->wake.data = stream;
    session_init(&stream->session, &session);
    stream->open_parts = 2;
    camera_get_info(stream->camera, &info);
    stream->probe = probes_add_stream(stream->context.probes, stream->config->name, &info);
}

static void on_lossless_restart(void *arg, const char *cause, uint32_t wait_ms)
{
    restart_session(arg, cause, cause, wait_ms);
}

static void on_lossless_changed(void *arg)
{
    look_whether_finished(arg);
}

static int open_lossless(struct stream *stream, struct error *err)
{
    if (stream->config->mode != MODE_LOSSLESS)
        return 0;
    const struct lossless_spec spec = {
        .session = stream->session.spec,
        .spool = stream->context.spool,
        .sink = stream->context.sink,
        .camera = stream->camera,
        .credit = &stream->credit,
        .probes = stream->context.probes,
        .probe = stream->probe,
        .live = &stream->session,
        .restart = on_lossless_restart,
        .changed = on_lossless_changed,
        .arg = stream,
    };
    int result = lossless_open(&stream->lossless, &spec, err);
    stream->open_parts += result == 0;
    return result;
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
    init_parts(stream);
    *out = stream;
    result = open_lossless(stream, err);
    if (result == 0)
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

bool stream_source_ended(const struct stream *stream)
{
    return stream->ended;
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
    if (stream->session.id != 0 && !stream->ended)
        return camera_is_up(stream->camera, reason, reason_bytes);
    const char *cause = uplink_cause(stream->context.uplink);
    if (stream->ended)
        snprintf(reason, reason_bytes, "%s", stream->end.text);
    else
        snprintf(reason, reason_bytes, "stream %s has no session: %s", stream->config->name,
                 cause                        ? cause
                 : stream->session.refused[0] ? stream->session.refused
                                              : "the server has not answered yet");
    return false;
}

static void on_part_closed(void *arg)
{
    struct stream *stream = arg;
    if (--stream->open_parts > 0)
        return;
    credit_finish(&stream->credit);
    free(stream);
}

static void on_wake_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

void stream_close(struct stream **stream_ptr)
{
    struct stream *stream = *stream_ptr;
    if (!stream)
        return;
    *stream_ptr = NULL;
    stream_stop(stream);
    if (stream->lossless)
        lossless_close(&stream->lossless, on_part_closed, stream);
    camera_close(&stream->camera);
    end_session(stream, DROP_STOPPED, "the agent stops", false);
    probes_remove_stream(&stream->probe);
    session_close(&stream->session, on_part_closed, stream);
    uv_close((uv_handle_t *)&stream->wake, on_wake_closed);
}

/* ---- the session ---- */

static void begin_session(struct stream *stream, uint32_t wait_ms)
{
    if (!stream->finished && (stream->lossless || (!stream->ended && !stream->stopping)))
        session_begin(&stream->session, wait_ms);
}

/* Forgets the session, if there is one; what is in flight is dropped, or, in a lossless stream, sent
 * again. bye: the reason told to the server; NULL: the server knows, or cannot hear it. link: that is
 * gone. */
static void end_session(struct stream *stream, enum drop_reason reason, const char *bye, bool link)
{
    if (stream->session.id != 0)
        probe_stream_end(stream->probe);
    size_t lost = session_end(&stream->session, bye);
    stream->epoch = 0;
    metric_gauge_set(stream->figures.in_flight, 0);
    if (!stream->finished)
        figures_set_state(&stream->figures, STREAM_WAITING);
    if (stream->lossless) {
        lossless_end(stream->lossless, link);
    } else if (stream->config->mode == MODE_LIVE) {
        credit_end(&stream->credit);
        figures_count_drops(&stream->figures, reason, lost);
    }
}

static void restart_session(struct stream *stream, const char *cause, const char *bye,
                            uint32_t wait_ms)
{
    log_warn("stream", "session ended", LOG_STR("stream", stream->config->name),
             LOG_STR("cause", cause));
    end_session(stream, DROP_LINK_LOST, bye, false);
    on_wake(&stream->wake); /* what was encoded for it goes back before the next one starts */
    begin_session(stream, wait_ms);
    look_whether_finished(stream);
}

void stream_on_up(struct stream *stream)
{
    begin_session(stream, 0);
}

void stream_on_down(struct stream *stream)
{
    end_session(stream, DROP_LINK_LOST, NULL, true);
    on_wake(&stream->wake);
    look_whether_finished(stream);
}

static void on_begun(void *arg, struct session *session, const Runespoor__Welcome *welcome)
{
    struct stream *stream = arg;
    stream->gap = false;
    camera_keep_pictures(stream->camera,
                         probe_stream_begin(stream->probe, session->id, welcome->probes));
    figures_set_state(&stream->figures, STREAM_STREAMING);
    struct source_info info;
    camera_get_info(stream->camera, &info);
    log_info("stream", "streaming", LOG_STR("stream", stream->config->name),
             LOG_STR("source", info.description[0] ? info.description : "not seen yet"),
             LOG_U64("credits", welcome->credits));
    if (stream->lossless)
        lossless_begin(stream->lossless, welcome);
    else
        stream->epoch = credit_start(&stream->credit, welcome->credits);
}

static void on_broken(void *arg, struct session *session, const char *cause, bool server_knows)
{
    (void)session;
    restart_session(arg, cause, server_knows ? NULL : cause, 0);
}

/* Once the source has ended and the last frame is answered, the server need not keep the seat. */
static void look_whether_finished(struct stream *stream)
{
    if (!stream->ended || stream->finished || flights_oldest(&stream->session.flights) ||
        (stream->lossless && !lossless_is_empty(stream->lossless)))
        return;
    stream->finished = true;
    end_session(stream, DROP_STOPPED, "the source has ended", false);
    figures_set_state(&stream->figures,
                      stream->end.code == ERROR_NONE ? STREAM_ENDED : STREAM_FAILED);
    stream->context.finished(stream->context.arg, &stream->end);
}

/* ---- frames out ---- */

/* Takes frame->packet over. */
static int send_frame(struct stream *stream, struct encoded_frame *frame, struct error *err)
{
    size_t wire_bytes;
    const struct frame_marks marks = { .receipt = probes_wait(stream->context.probes) };
    int result = session_send(&stream->session, frame, &marks, &wire_bytes, err);
    if (result != 0)
        return result;
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
        if (stream->lossless)
            lossless_put(stream->lossless, frame);
        else
            handle_frame(stream, frame);
        camera_return(stream->camera, frame);
    }
    metric_gauge_set(stream->figures.in_flight, (double)stream->session.flights.count);
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

static void on_answer(void *arg, struct session *session, const Runespoor__Answer *answer,
                      const struct flight *flight, size_t passed)
{
    struct stream *stream = arg;
    struct figures *figures = &stream->figures;
    metric_gauge_set(figures->in_flight, (double)session->flights.count);
    if (stream->lossless) {
        lossless_on_answer(stream->lossless, session, answer, flight, passed);
        return;
    }
    uint64_t age_us = (clock_now_ns() - flight->capture_ns) / 1000;
    figures_count_drops(figures, DROP_UNANSWERED, passed);
    for (size_t i = 0; i <= passed; i++)
        credit_give(&stream->credit, stream->epoch);

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

static void on_order(void *arg, const Runespoor__Order *order)
{
    struct stream *stream = arg;
    if (!order->keyframe)
        return;
    metric_counter_add(stream->figures.keyframes_asked, 1);
    camera_ask_keyframe(stream->camera);
}

static void on_report(void *arg, const Runespoor__ServerReport *report)
{
    struct stream *stream = arg;
    metric_gauge_set(stream->figures.server_decode_queue, report->decode_queue);
    metric_gauge_set(stream->figures.server_device_queue, report->device_queue);
    if (report->tail)
        figures_set_tail(&stream->figures, report->tail);
}

static void on_receipt(void *arg, const Runespoor__Receipt *receipt)
{
    struct stream *stream = arg;
    probe_stream_on_receipt(stream->probe, receipt);
}

/* Nothing more is sent in this session. */
static void on_leaving(void *arg, struct session *session)
{
    struct stream *stream = arg;
    if (stream->lossless) {
        lossless_on_leaving(stream->lossless, session);
    } else {
        credit_end(&stream->credit);
        stream->epoch = 0;
    }
}

static void on_turned(void *arg, struct session *session)
{
    struct stream *stream = arg;
    if (stream->lossless)
        lossless_on_turned(stream->lossless, session);
}

static const struct session_events session_events = { on_begun,  on_broken,  on_answer,  on_order,
                                                      on_report, on_receipt, on_leaving, on_turned };

bool stream_on_message(struct stream *stream, const Runespoor__Header *header)
{
    const char *name = stream->config->name;
    if (session_on_message(&stream->session, header) ||
        (stream->lossless && lossless_on_message(stream->lossless, header)))
        return true;
    /* Of a session that is over. */
    return (header->kind_case == RUNESPOOR__HEADER__KIND_WELCOME &&
            strcmp(header->welcome->stream, name) == 0) ||
           (header->kind_case == RUNESPOOR__HEADER__KIND_REFUSE &&
            strcmp(header->refuse->stream, name) == 0);
}
