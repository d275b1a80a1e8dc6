/* stream: see the header. */
#include "stream.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_RETRY_MS 1000u
#define SILENT_PERIODS 3u

/* A frame that was sent and has no answer yet. */
struct flight {
    uint64_t number, capture_ns;
};

struct stream {
    struct stream_context context;
    const struct camera_config *config;
    struct credit credit;
    struct camera *camera;
    uv_async_t wake;
    uv_timer_t hello_timer, report_timer;

    uint64_t nonce;   /* of the Hello under way */
    uint64_t session; /* 0: none */
    uint32_t epoch;
    uint64_t sequence;
    uint32_t report_ms;
    char refused[160]; /* the last reason, so that each is logged once */

    struct flight flights[CREDITS_MAX]; /* ring, oldest at first; answers come in order */
    size_t first, flight_count;
    bool stopping, ended, closing;
    struct error end;
    unsigned open_handles;

    struct metric_counter *captured, *sent, *sent_bytes, *answered, *objects, *keyframes_asked,
        *strays;
    struct metric_gauge *in_flight, *outbox, *server_decode_queue, *server_device_queue;
    struct metric_histogram *age;
};

static void on_wake(uv_async_t *handle);
static void on_hello_timer(uv_timer_t *timer);
static void on_report_timer(uv_timer_t *timer);

static void wake_loop(void *arg)
{
    uv_async_send(&((struct stream *)arg)->wake);
}

static void make_metrics(struct stream *stream)
{
    struct metrics *metrics = stream->context.metrics;
    const struct metric_label name = { "stream", stream->config->name };
    stream->captured = metrics_counter(metrics, "edge_frames_captured_total",
                                       "Frames that came from the source", &name, 1);
    stream->sent = metrics_counter(metrics, "edge_frames_sent_total", "Frames sent", &name, 1);
    stream->sent_bytes = metrics_counter(metrics, "edge_sent_bytes_total",
                                         "Bytes of frame messages, header and payload", &name, 1);
    stream->answered =
        metrics_counter(metrics, "edge_frames_answered_total", "Frames analysed", &name, 1);
    stream->objects =
        metrics_counter(metrics, "edge_objects_total", "Objects in all answers", &name, 1);
    stream->keyframes_asked = metrics_counter(metrics, "edge_keyframes_asked_total",
                                              "Keyframes that the server asked for", &name, 1);
    stream->strays = metrics_counter(metrics, "edge_answers_unexpected_total",
                                     "Answers to no frame in flight", &name, 1);
    stream->age = metrics_histogram(metrics, "edge_answer_age_seconds",
                                    "Age of a frame when its answer arrives", &name, 1);
    const struct {
        struct metric_gauge **gauge;
        const char *queue;
    } queues[] = {
        { &stream->in_flight, "in_flight" },
        { &stream->outbox, "outbox" },
        { &stream->server_decode_queue, "server_decode" },
        { &stream->server_device_queue, "server_device" },
    };
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        const struct metric_label labels[] = { name, { "queue", queues[i].queue } };
        *queues[i].gauge =
            metrics_gauge(metrics, "edge_queue_depth", "Frames waiting, by queue", labels, 2);
    }
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
    make_metrics(stream);
    int result = camera_open(&stream->camera, config, &stream->credit, context->metrics, wake_loop,
                             stream, err);
    if (result != 0) {
        credit_finish(&stream->credit);
        free(stream);
        return result;
    }
    uv_async_init(context->loop, &stream->wake, on_wake);
    uv_timer_init(context->loop, &stream->hello_timer);
    uv_timer_init(context->loop, &stream->report_timer);
    stream->wake.data = stream->hello_timer.data = stream->report_timer.data = stream;
    stream->open_handles = 3;
    *out = stream;
    result = camera_start(stream->camera, err);
    if (result != 0)
        stream_close(out);
    return result;
}

void stream_set_rung(struct stream *stream, const struct rung *rung)
{
    camera_set_rung(stream->camera, rung);
}

void stream_stop(struct stream *stream)
{
    stream->stopping = true;
    camera_stop(stream->camera);
    credit_close(&stream->credit);
}

bool stream_ready(const struct stream *stream, char *reason, size_t reason_bytes)
{
    if (stream->session != 0)
        return true;
    snprintf(reason, reason_bytes, "stream %s has no session: %s", stream->config->name,
             stream->refused[0] ? stream->refused : "the link is down");
    return false;
}

bool stream_finished(const struct stream *stream, struct error *err)
{
    *err = stream->end;
    return stream->ended && stream->flight_count == 0;
}

static void send_bye(struct stream *stream)
{
    Runespoor__Bye bye = RUNESPOOR__BYE__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    bye.session = stream->session;
    bye.reason = (char *)"the source has ended";
    header.kind_case = RUNESPOOR__HEADER__KIND_BYE;
    header.bye = &bye;
    struct error err;
    if (stream->session != 0 && uplink_send(stream->context.uplink, &header, NULL, NULL, &err) != 0)
        log_debug("stream", "no Bye sent", LOG_STR("stream", stream->config->name), LOG_CAUSE(&err));
    stream->session = 0;
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
    send_bye(stream);
    stream_stop(stream);
    camera_close(&stream->camera);
    uv_close((uv_handle_t *)&stream->wake, on_handle_closed);
    uv_close((uv_handle_t *)&stream->hello_timer, on_handle_closed);
    uv_close((uv_handle_t *)&stream->report_timer, on_handle_closed);
}

/* ---- the session ---- */

static void count_drops(struct stream *stream, const char *reason, size_t count)
{
    for (size_t i = 0; i < count; i++)
        camera_count_drop(stream->context.metrics, stream->config->name, reason);
}

static void send_hello(struct stream *stream)
{
    const struct source_info *info = camera_source_info(stream->camera);
    Runespoor__Hello hello = RUNESPOOR__HELLO__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Codec codecs[] = { RUNESPOOR__CODEC__CODEC_H264 };
    stream->nonce = random_entropy();
    hello.version = WIRE_VERSION;
    hello.agent = (char *)stream->context.agent_name;
    hello.stream = stream->config->name;
    hello.software = (char *)"edge-agent";
    hello.n_codecs = 1;
    hello.codecs = codecs;
    hello.width = info->width;
    hello.height = info->height;
    hello.nonce = stream->nonce;
    hello.model = stream->config->model;
    header.kind_case = RUNESPOOR__HEADER__KIND_HELLO;
    header.hello = &hello;
    struct error err;
    if (uplink_send(stream->context.uplink, &header, NULL, NULL, &err) != 0)
        log_debug("stream", "no Hello sent", LOG_STR("stream", stream->config->name),
                  LOG_CAUSE(&err));
    /* Lost or unanswered: asked again until there is a session. */
    uv_timer_start(&stream->hello_timer, on_hello_timer, HELLO_RETRY_MS, 0);
}

static void on_hello_timer(uv_timer_t *timer)
{
    send_hello(timer->data);
}

void stream_on_up(struct stream *stream)
{
    if (!stream->ended)
        send_hello(stream);
}

void stream_on_down(struct stream *stream)
{
    uv_timer_stop(&stream->hello_timer);
    uv_timer_stop(&stream->report_timer);
    credit_end(&stream->credit);
    stream->session = 0;
    stream->epoch = 0;
    count_drops(stream, "link_lost", stream->flight_count);
    stream->flight_count = 0;
    metric_gauge_set(stream->in_flight, 0);
    on_wake(&stream->wake); /* what was encoded for the old session goes back */
    if (stream->ended)
        stream->context.changed(stream->context.arg);
}

static void on_welcome(struct stream *stream, const Runespoor__Welcome *welcome)
{
    if (welcome->nonce != stream->nonce || stream->session != 0 || welcome->session == 0)
        return;
    uv_timer_stop(&stream->hello_timer);
    stream->session = welcome->session;
    stream->sequence = 0;
    stream->refused[0] = '\0';
    stream->report_ms = welcome->report_ms;
    if (welcome->report_ms > 0) {
        uplink_watch_silence(stream->context.uplink, SILENT_PERIODS * welcome->report_ms);
        uv_timer_start(&stream->report_timer, on_report_timer, welcome->report_ms,
                       welcome->report_ms);
    }
    stream->epoch = credit_start(&stream->credit, welcome->credits);
    log_info("stream", "streaming", LOG_STR("stream", stream->config->name),
             LOG_STR("source", camera_source_info(stream->camera)->description),
             LOG_U64("credits", welcome->credits));
}

static void on_refuse(struct stream *stream, const Runespoor__Refuse *refuse)
{
    if (refuse->nonce != stream->nonce || stream->session != 0)
        return;
    if (strncmp(stream->refused, refuse->reason, sizeof stream->refused - 1) != 0) {
        log_warn("stream", "refused by the server", LOG_STR("stream", stream->config->name),
                 LOG_STR("cause", refuse->reason), LOG_STR("code", refuse->code));
        snprintf(stream->refused, sizeof stream->refused, "%s", refuse->reason);
    }
    uv_timer_start(&stream->hello_timer, on_hello_timer,
                   refuse->retry_ms > 0 ? refuse->retry_ms : HELLO_RETRY_MS, 0);
}

static void drop_session(struct stream *stream, const char *cause)
{
    log_warn("stream", "session ended by the server", LOG_STR("stream", stream->config->name),
             LOG_STR("cause", cause));
    stream_on_down(stream);
    stream_on_up(stream);
}

/* ---- frames out ---- */

/* Takes frame->packet over. */
static int send_frame(struct stream *stream, struct encoded_frame *frame, struct error *err)
{
    const struct source_info *info = camera_source_info(stream->camera);
    Runespoor__Packet packet = RUNESPOOR__PACKET__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    packet.session = stream->session;
    packet.frame = frame->number;
    packet.capture_ns = frame->capture_ns;
    packet.capture_unix_us = frame->capture_unix_us;
    packet.codec = RUNESPOOR__CODEC__CODEC_H264;
    packet.keyframe = frame->keyframe;
    packet.width = frame->width;
    packet.height = frame->height;
    packet.camera_width = info->width;
    packet.camera_height = info->height;
    packet.encode_us = frame->encode_us;
    packet.sequence = stream->sequence;
    header.kind_case = RUNESPOOR__HEADER__KIND_PACKET;
    header.packet = &packet;
    size_t wire_bytes;
    int result = uplink_send(stream->context.uplink, &header, &frame->packet, &wire_bytes, err);
    if (result != 0)
        return result;
    stream->sequence++;
    size_t last = (stream->first + stream->flight_count) % CREDITS_MAX;
    assert(stream->flight_count < CREDITS_MAX); /* a frame in flight has a credit */
    stream->flights[last] = (struct flight){ frame->number, frame->capture_ns };
    stream->flight_count++;
    metric_counter_add(stream->sent, 1);
    metric_counter_add(stream->sent_bytes, wire_bytes);
    return 0;
}

static void on_wake(uv_async_t *handle)
{
    struct stream *stream = handle->data;
    if (!stream->camera)
        return; /* closing */
    /* Looked at before the queue: what the thread encoded last is then surely in it. */
    bool ended = camera_ended(stream->camera, &stream->end);
    for (struct encoded_frame *frame; (frame = camera_take(stream->camera));) {
        struct error err;
        if (frame->epoch != stream->epoch) {
            count_drops(stream, "link_lost", 1);
        } else if (send_frame(stream, frame, &err) != 0) {
            /* The decoder would miss this one: the next has to stand alone. */
            count_drops(stream, "uplink_full", 1);
            credit_give(&stream->credit, stream->epoch);
            camera_ask_keyframe(stream->camera);
        }
        camera_return(stream->camera, frame);
    }
    metric_gauge_set(stream->in_flight, (double)stream->flight_count);
    metric_gauge_set(stream->outbox, (double)camera_waiting(stream->camera));
    if (ended && !stream->ended) {
        stream->ended = true;
        stream->context.changed(stream->context.arg);
    }
}

/* ---- answers in ---- */

static void count_objects(struct stream *stream, const Runespoor__Answer *answer)
{
    metric_counter_add(stream->objects, answer->n_objects);
    for (size_t i = 0; i < answer->n_objects; i++) {
        const struct metric_label class_label = { "class", answer->objects[i]->class_name };
        metric_counter_add(metrics_counter(stream->context.metrics, "edge_class_objects_total",
                                           "Objects of all streams, by class", &class_label, 1),
                           1);
    }
}

static void on_answer(struct stream *stream, const Runespoor__Answer *answer)
{
    size_t skip = 0;
    while (skip < stream->flight_count &&
           stream->flights[(stream->first + skip) % CREDITS_MAX].number < answer->frame)
        skip++;
    const struct flight *flight = &stream->flights[(stream->first + skip) % CREDITS_MAX];
    if (skip == stream->flight_count || flight->number != answer->frame) {
        metric_counter_add(stream->strays, 1);
        return;
    }
    uint64_t age_us = (clock_now_ns() - flight->capture_ns) / 1000;
    stream->first = (stream->first + skip + 1) % CREDITS_MAX;
    stream->flight_count -= skip + 1;
    count_drops(stream, "unanswered", skip);
    for (size_t i = 0; i <= skip; i++)
        credit_give(&stream->credit, stream->epoch);
    metric_gauge_set(stream->in_flight, (double)stream->flight_count);

    if (answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK) {
        metric_counter_add(stream->answered, 1);
        metric_histogram_observe_us(stream->age, age_us);
        count_objects(stream, answer);
    } else {
        count_drops(stream,
                    answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED ? "server_dropped"
                                                                               : "server_failed",
                    1);
    }
    sink_add_answer(stream->context.sink, answer, age_us);
    if (stream->ended && stream->flight_count == 0)
        stream->context.changed(stream->context.arg);
}

static void on_order(struct stream *stream, const Runespoor__Order *order)
{
    if (!order->keyframe)
        return;
    metric_counter_add(stream->keyframes_asked, 1);
    camera_ask_keyframe(stream->camera);
}

static void on_server_report(struct stream *stream, const Runespoor__ServerReport *report)
{
    metric_gauge_set(stream->server_decode_queue, report->decode_queue);
    metric_gauge_set(stream->server_device_queue, report->device_queue);
}

bool stream_on_message(struct stream *stream, const Runespoor__Header *header)
{
    const char *name = stream->config->name;
    uint64_t session = 0;
    switch (header->kind_case) {
    case RUNESPOOR__HEADER__KIND_WELCOME:
        if (strcmp(header->welcome->stream, name) != 0)
            return false;
        on_welcome(stream, header->welcome);
        return true;
    case RUNESPOOR__HEADER__KIND_REFUSE:
        if (strcmp(header->refuse->stream, name) != 0)
            return false;
        on_refuse(stream, header->refuse);
        return true;
    case RUNESPOOR__HEADER__KIND_ANSWER:
        session = header->answer->session;
        break;
    case RUNESPOOR__HEADER__KIND_ORDER:
        session = header->order->session;
        break;
    case RUNESPOOR__HEADER__KIND_SERVER_REPORT:
        session = header->server_report->session;
        break;
    case RUNESPOOR__HEADER__KIND_BYE:
        session = header->bye->session;
        break;
    default:
        return false;
    }
    if (session == 0 || session != stream->session)
        return false;
    if (header->kind_case == RUNESPOOR__HEADER__KIND_ANSWER)
        on_answer(stream, header->answer);
    else if (header->kind_case == RUNESPOOR__HEADER__KIND_ORDER)
        on_order(stream, header->order);
    else if (header->kind_case == RUNESPOOR__HEADER__KIND_SERVER_REPORT)
        on_server_report(stream, header->server_report);
    else
        drop_session(stream, header->bye->reason);
    return true;
}

static void on_report_timer(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    struct metric_snapshot age;
    metric_histogram_get(stream->age, &age);
    Runespoor__AgentReport report = RUNESPOOR__AGENT_REPORT__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    report.session = stream->session;
    report.captured = metric_counter_get(stream->captured);
    report.sent = metric_counter_get(stream->sent);
    report.answered = metric_counter_get(stream->answered);
    report.sent_bytes = metric_counter_get(stream->sent_bytes);
    report.age_p50_us = (uint32_t)metric_snapshot_quantile_us(&age, 0.5);
    report.age_p99_us = (uint32_t)metric_snapshot_quantile_us(&age, 0.99);
    header.kind_case = RUNESPOOR__HEADER__KIND_AGENT_REPORT;
    header.agent_report = &report;
    struct error err;
    if (uplink_send(stream->context.uplink, &header, NULL, NULL, &err) != 0)
        log_debug("stream", "no report sent", LOG_STR("stream", stream->config->name),
                  LOG_CAUSE(&err));
}
