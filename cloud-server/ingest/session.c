/* session: the way of a frame through the server, one function per station:
 * session_receive -> on_decoded -> on_analysed -> on_released. A frame that falls out at any station
 * goes straight to finish_frame and still leaves through the sequencer, in its place. */
#include "ingest/session.h"
#include "base/clock.h"
#include "base/log.h"
#include "devices/sequence.h"
#include "ingest/admission.h"
#include "ingest/decoders.h"
#include "ingest/probe.h"
#include "net/wire.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pictures that live on after their answer: the recorder's queue, and one in the decoder's hands. */
#define PICTURES_BESIDE_CREDITS (RECORDING_PICTURES_MAX + 2u)
/* A backlog's series are not those of the live stream. */
#define LATE_LABEL " late"
#define LOG_AGAIN_NS (60 * CLOCK_NS_PER_S)

struct session {
    struct session_rooms *rooms;
    uint64_t id;
    char stream[WIRE_NAME_BYTES_MAX + 1];
    char label[WIRE_NAME_BYTES_MAX + sizeof LATE_LABEL];
    struct answer_origin origin;
    session_send_fn *send;
    session_closed_fn *closed;
    void *arg;
    size_t model;
    bool lossless, late;
    struct limits_config limits; /* at its begin: the decoder was made for them */

    struct decode_lane *lane;     /* NULL from the end on */
    struct pool_stream *analysis; /* NULL: pictures are answered as they are */
    struct recording *recording;  /* NULL: off */
    struct sequence *sequence;
    struct frame *frames;
    struct frame *free_frames, **free_end; /* the longest free first: an answer is kept for long */
    uint32_t in_flight;
    struct probe *probe; /* NULL: not measured */
    uint32_t open_parts; /* that close from the loop */

    bool draining, ended;
    bool fallback_logged;
    struct admission admission;
    uint64_t keyframe_asked_ns;
    uint64_t logged_ns[FATE_COUNT];

    struct figures figures;
};

static void on_decoded(void *arg, struct decode_job *job);
static void on_analysed(void *arg, uint64_t ticket, struct picture *picture,
                        const struct job_result *result);
static void on_released(void *arg, uint64_t ticket, void *item);
static void close_parts(struct session *session);

/* Opening */

static const char *session_class_name(void *arg, uint32_t class_id)
{
    struct session *session = arg;
    return session->rooms->pool ? pool_class_name(session->rooms->pool, session->model, class_id)
                                : NULL;
}

/* Where there is a model, and probes are wanted. */
static int open_probe(struct session *session, struct error *err)
{
    struct session_rooms *rooms = session->rooms;
    if (!session->analysis || rooms->config->probes.order == 0 || session->late)
        return 0;
    const struct probe_spec spec = {
        .rooms = rooms,
        .session = session->id,
        .origin = &session->origin,
        .model = session->model,
        .golden = server_config_golden(rooms->config, session->model),
        .send = session->send,
        .arg = session->arg,
    };
    return probe_open(&session->probe, &spec, err);
}

/* The lane last: it alone closes from the loop. */
static int open_rooms(struct session *session, struct error *err)
{
    struct session_rooms *rooms = session->rooms;
    const struct server_config *config = rooms->config;
    const struct decode_lane_config lane = {
        .width_max = config->limits.width,
        .height_max = config->limits.height,
        .pictures = config->credits + PICTURES_BESIDE_CREDITS,
    };

    int rc = sequence_create(&session->sequence, (size_t)config->credits * SESSION_FRAMES_PER_CREDIT,
                             on_released, session, err);
    if (rc < 0)
        return rc;
    if (rooms->recorder && !session->late &&
        (rc = recording_open(rooms->recorder, &session->recording, session->stream, err)) < 0)
        return rc;
    if (session->model != MODEL_INDEX_NONE &&
        (rc = (session->late ? pool_late_open : pool_stream_open)(rooms->pool, &session->analysis,
                                                                  session->label, session->model,
                                                                  on_analysed, session, err)) < 0)
        return rc;
    if ((rc = open_probe(session, err)) < 0)
        return rc;
    return decode_lane_open(rooms->decode, &session->lane, &lane, on_decoded, session, err);
}

static void free_session(struct session *session)
{
    figures_finish(&session->figures);
    if (session->probe) /* opening failed: nothing of it is at work */
        probe_close(&session->probe, NULL, NULL);
    if (session->analysis)
        pool_stream_close(&session->analysis);
    recording_close(&session->recording);
    sequence_destroy(&session->sequence, NULL);
    free(session->frames);
    free(session);
}

static void give_back(struct session *session, struct frame *frame)
{
    frame->on_its_way = false;
    frame->next = NULL;
    *session->free_end = frame;
    session->free_end = &frame->next;
}

int session_open(struct session **out, struct session_rooms *rooms, const struct session_spec *spec,
                 struct error *err)
{
    const uint32_t frame_count = rooms->config->credits * SESSION_FRAMES_PER_CREDIT;
    struct session *session = calloc(1, sizeof *session);
    struct frame *frames = calloc(frame_count, sizeof *frames);

    if (!session || !frames) {
        free(session);
        free(frames);
        return error_set(err, ERROR_MEMORY, spec->stream, "no room for a session");
    }
    *session = (struct session){ .rooms = rooms,
                                 .id = spec->id,
                                 .send = spec->send,
                                 .closed = spec->closed,
                                 .arg = spec->arg,
                                 .model = spec->model,
                                 .lossless = spec->lossless,
                                 .late = spec->late,
                                 .limits = rooms->config->limits,
                                 .frames = frames };
    admission_init(&session->admission);
    assert(strlen(spec->stream) < sizeof session->stream);
    memcpy(session->stream, spec->stream, strlen(spec->stream) + 1);
    snprintf(session->label, sizeof session->label, "%s%s", spec->stream,
             spec->late ? LATE_LABEL : "");
    const struct model_config *models = rooms->config->models.items;
    session->origin = (struct answer_origin){
        .session = spec->id,
        .stream = session->stream,
        .model = spec->model == MODEL_INDEX_NONE ? "" : models[spec->model].name,
        .masks = rooms->pool && pool_shows_masks(rooms->pool, spec->model),
        .late = spec->late,
        .class_name = session_class_name,
        .class_arg = session,
    };
    session->free_end = &session->free_frames;
    for (uint32_t i = 0; i < frame_count; i++) {
        frames[i].session = session;
        give_back(session, &frames[i]);
    }
    int rc = open_rooms(session, err);
    if (rc < 0) {
        free_session(session);
        return rc;
    }
    figures_init(&session->figures, rooms->metrics, &rooms->totals, session->label);
    *out = session;
    return 0;
}

/* The way of a frame */

static void finish_frame(struct frame *frame, enum frame_fate fate)
{
    frame->fate = fate;
    sequence_finish(frame->session->sequence, frame->ticket);
}

static void ask_keyframe(struct session *session, enum frame_fate cause)
{
    const uint64_t now_ns = clock_now_ns();
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Order order = RUNESPOOR__ORDER__INIT;

    if (session->keyframe_asked_ns != 0 &&
        now_ns - session->keyframe_asked_ns < SESSION_KEYFRAME_MS * CLOCK_NS_PER_MS)
        return;
    session->keyframe_asked_ns = now_ns;
    order.session = session->id;
    order.keyframe = true;
    order.reason = (char *)frame_fate_word(cause);
    header.kind_case = RUNESPOOR__HEADER__KIND_ORDER;
    header.order = &order;
    session->send(session->arg, &header);
}

/* What goes wrong again and again is counted each time and logged once a minute. */
static void log_fate(struct session *session, const struct frame *frame, enum frame_fate fate,
                     const char *cause)
{
    const uint64_t now_ns = clock_now_ns();

    if (session->logged_ns[fate] != 0 && now_ns - session->logged_ns[fate] < LOG_AGAIN_NS)
        return;
    session->logged_ns[fate] = now_ns;
    log_warn("session", "frame not analysed", LOG_STR("stream", session->stream),
             LOG_U64("frame", frame->number), LOG_STR("reason", frame_fate_word(fate)),
             LOG_STR("cause", cause));
}

static void fill_frame(struct frame *frame, const Runespoor__Packet *packet, uint32_t wire_bytes)
{
    frame->number = packet->frame;
    frame->capture_ns = packet->capture_ns;
    frame->capture_unix_us = packet->capture_unix_us;
    frame->arrived_ns = clock_now_ns();
    frame->on_its_way = true;
    frame->decode_only = packet->decode_only;
    frame->camera_width = packet->camera_width;
    frame->camera_height = packet->camera_height;
    frame->encode_us = packet->encode_us > UINT32_MAX ? UINT32_MAX : (uint32_t)packet->encode_us;
    frame->wire_bytes = wire_bytes;
    frame->device_wait_us = 0;
    frame->job.keyframe = packet->keyframe;
    frame->job.started_ns = frame->job.ended_ns = 0;
    frame->restored[0] = '\0';
    frame->analysis.object_count = frame->analysis.area_count = 0;
    frame->analysis.uncertainty = 0;
    frame->analysis.prepare_us = frame->analysis.infer_us = frame->analysis.head_us = 0;
}

static void send_receipt(struct session *session, uint64_t frame)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Receipt receipt = RUNESPOOR__RECEIPT__INIT;

    receipt.session = session->id;
    receipt.frame = frame;
    header.kind_case = RUNESPOOR__HEADER__KIND_RECEIPT;
    header.receipt = &receipt;
    session->send(session->arg, &header);
}

int session_receive(struct session *session, const Runespoor__Packet *packet, zmq_msg_t *payload,
                    uint32_t wire_bytes, enum frame_fate verdict, struct error *err)
{
    struct frame *frame = session->free_frames;

    assert(!session->draining && !session->ended);
    if (!frame)
        return error_set(err, ERROR_LIMIT, session->stream, "%u frames on their way, %u are allowed",
                         session->in_flight, session->rooms->config->credits);
    int rc = sequence_open(session->sequence, frame, &frame->ticket, err);
    if (rc < 0)
        return rc;
    session->free_frames = frame->next;
    if (!session->free_frames)
        session->free_end = &session->free_frames;
    session->in_flight++;
    fill_frame(frame, packet, wire_bytes);
    figures_on_packet(&session->figures, wire_bytes);
    if (packet->receipt)
        send_receipt(session, packet->frame);

    uint64_t lost;
    enum frame_fate fate =
        admission_judge(&session->admission, &session->limits, session->rooms->config->credits,
                        packet, session->in_flight, &lost, &frame->job.codec);
    if (lost > 0)
        figures_on_loss(&session->figures, lost);
    if (fate == FATE_OK)
        fate = verdict;
    admission_settle(&session->admission, fate);
    if (fate == FATE_OK) {
        zmq_msg_init(&frame->job.payload);
        zmq_msg_move(&frame->job.payload, payload);
        decode_lane_submit(session->lane, &frame->job);
        return 0;
    }
    if (fate == FATE_NO_KEYFRAME)
        ask_keyframe(session, fate);
    else
        log_fate(session, frame, fate, admission_advice(fate));
    finish_frame(frame, fate);
    return 0;
}

/* The record of a frame that is on its way, or was answered and has not been used again. */
static struct frame *find_frame(struct session *session, uint64_t number)
{
    const uint32_t frame_count = session->rooms->config->credits * SESSION_FRAMES_PER_CREDIT;
    for (uint32_t i = 0; i < frame_count; i++)
        if (session->frames[i].arrived_ns > 0 && session->frames[i].number == number)
            return &session->frames[i];
    return NULL;
}

void session_receive_start(struct session *session, const Runespoor__ProbeStart *start)
{
    const struct frame *frame = find_frame(session, start->frame);
    if (!session->probe)
        return;
    if (frame && frame->on_its_way)
        probe_on_start(session->probe, start, NULL, true);
    else
        probe_on_start(session->probe, start, frame, false);
}

void session_receive_slice(struct session *session, const Runespoor__ProbeSlice *slice,
                           zmq_msg_t *payload, bool paid)
{
    if (session->probe)
        probe_on_slice(session->probe, slice, payload, paid);
}

static enum frame_fate fate_of_decoder(int result)
{
    switch (-result) {
    case ERROR_FORMAT:
        return FATE_CORRUPT;
    case ERROR_AGAIN:
        return FATE_NO_KEYFRAME;
    case ERROR_LIMIT:
        return FATE_TOO_LARGE;
    case ERROR_UNSUPPORTED:
        return FATE_CODEC;
    case ERROR_END:
        return FATE_CLOSED;
    default:
        return FATE_DECODER;
    }
}

static void on_decoded(void *arg, struct decode_job *job)
{
    struct session *session = arg;
    struct frame *frame = (struct frame *)job;

    frame->picture = job->picture;
    if (frame->picture) {
        struct picture_view view;
        picture_get_view(frame->picture, &view);
        frame->width = view.width;
        frame->height = view.height;
    }
    if (job->left != DECODER_SOFTWARE)
        decoders_note_fallback(session->figures.metrics, session->figures.stream, job->left);
    if (job->result != -ERROR_END)
        figures_on_decoded(&session->figures, frame);
    if (job->result < 0) {
        enum frame_fate fate = fate_of_decoder(job->result);
        if (fate == FATE_CORRUPT || fate == FATE_NO_KEYFRAME || fate == FATE_DECODER)
            ask_keyframe(session, fate);
        if (fate != FATE_NO_KEYFRAME && fate != FATE_CLOSED)
            log_fate(session, frame, fate, job->error.text);
        finish_frame(frame, fate);
    } else if (session->ended) {
        finish_frame(frame, FATE_CLOSED);
    } else if (frame->decode_only) {
        finish_frame(frame, FATE_DECODE_ONLY);
    } else if (!session->analysis) {
        finish_frame(frame, FATE_OK);
    } else {
        struct error err;
        const struct camera_size camera = { frame->camera_width, frame->camera_height };
        if (pool_submit(session->analysis, frame->ticket, frame->picture, camera, &err) < 0) {
            log_fate(session, frame, FATE_WORKER, err.text);
            finish_frame(frame, FATE_WORKER);
        }
    }
}

/* That a network should have restored and did not is in every answer; why, is said once a stream. */
static void note_restoration(struct session *session, struct frame *frame,
                             const struct job_result *result)
{
    snprintf(frame->restored, sizeof frame->restored, "%s", result->restored);
    if (result->fallback[0] == '\0' || session->fallback_logged)
        return;
    session->fallback_logged = true;
    log_warn("session", "not restored by a network", LOG_STR("stream", session->stream),
             LOG_U64("frame", frame->number), LOG_STR("model", session->origin.model),
             LOG_STR("instead", frame->restored[0] ? frame->restored : "none"),
             LOG_STR("cause", result->fallback));
}

static void on_analysed(void *arg, uint64_t ticket, struct picture *picture,
                        const struct job_result *result)
{
    static const enum frame_fate fates[] = {
        [JOB_DONE] = FATE_OK,
        [JOB_DROPPED_QUEUE] = FATE_DEVICE_QUEUE,
        [JOB_DROPPED_WORKER] = FATE_WORKER,
        [JOB_DROPPED_CLOSED] = FATE_CLOSED,
        [JOB_FAILED] = FATE_MODEL,
    };
    struct session *session = arg;
    struct frame *frame = sequence_item(session->sequence, ticket);

    (void)picture;
    frame->device_wait_us = result->wait_us;
    if (result->status == JOB_DONE) {
        analysis_copy(&frame->analysis, result->analysis);
        note_restoration(session, frame, result);
        figures_on_analysed(&session->figures, frame);
    } else if (result->status != JOB_DROPPED_CLOSED) {
        log_fate(session, frame, fates[result->status], result->reason);
    }
    finish_frame(frame, fates[result->status]);
}

static void on_released(void *arg, uint64_t ticket, void *item)
{
    struct session *session = arg;
    struct session_rooms *rooms = session->rooms;
    struct frame *frame = item;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;

    (void)ticket;
    frame->server_us = (uint32_t)((clock_now_ns() - frame->arrived_ns) / 1000);
    header.kind_case = RUNESPOOR__HEADER__KIND_ANSWER;
    header.answer = (Runespoor__Answer *)answer_fill(&rooms->scratch, frame, &session->origin);
    session->send(session->arg, &header);
    bool news = frame->fate != FATE_DECODE_ONLY;
    if (rooms->answers && news)
        answer_file_add(rooms->answers, header.answer);
    if (rooms->publisher && news)
        publisher_send(rooms->publisher, header.answer);
    if (session->recording && frame->picture)
        recording_add(session->recording, frame, &session->origin);
    figures_on_answer(&session->figures, frame);

    if (session->probe)
        probe_on_answered(session->probe, frame);
    picture_unref(&frame->picture);
    give_back(session, frame);
    session->in_flight--;
    if (session->draining && session->in_flight == 0 && session->lane)
        close_parts(session);
}

/* Reports */

void session_report(struct session *session, uint64_t now_ns)
{
    const struct figures *figures = &session->figures;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__ServerReport report = RUNESPOOR__SERVER_REPORT__INIT;
    Runespoor__DropCount drops[FATE_COUNT], *drop_list[FATE_COUNT];

    figures_end_period(&session->figures, now_ns,
                       session->lane ? decode_lane_depth(session->lane) : 0,
                       session->analysis ? pool_stream_depth(session->analysis) : 0);
    report.session = session->id;
    report.received = figures->received;
    report.answered = figures->answered;
    report.received_bytes = figures->received_bytes;
    report.received_kbps = figures->received_kbps;
    report.server_p50_us = figures->server_p50_us;
    report.server_p99_us = figures->server_p99_us;
    report.decode_queue = figures->decode_queue;
    report.device_queue = figures->device_queue;
    for (int fate = FATE_OK + 1; fate < FATE_COUNT; fate++) {
        if (figures->dropped[fate] == 0)
            continue;
        Runespoor__DropCount *drop = &drops[report.n_dropped];
        runespoor__drop_count__init(drop);
        drop->reason = (char *)frame_fate_word(fate);
        drop->count = figures->dropped[fate];
        drop_list[report.n_dropped++] = drop;
    }
    report.dropped = drop_list;
    report.tail = (Runespoor__Tail *)session_tail(session);
    header.kind_case = RUNESPOOR__HEADER__KIND_SERVER_REPORT;
    header.server_report = &report;
    session->send(session->arg, &header);
}

const struct figures *session_figures(const struct session *session)
{
    return &session->figures;
}

uint32_t session_credits(const struct session *session)
{
    const struct server_config *config = session->rooms->config;
    uint32_t queue = config->pool.queue_per_stream;
    return session->lossless && queue < config->credits ? queue : config->credits;
}

const char *session_label(const struct session *session)
{
    return session->label;
}

const char *session_model(const struct session *session)
{
    return session->origin.model;
}

const Runespoor__Tail *session_tail(const struct session *session)
{
    return session->probe ? probe_tail(session->probe) : NULL;
}

bool session_measures(const struct session *session)
{
    return session->probe != NULL;
}

bool session_is_fresh(const struct session *session)
{
    return session->figures.received == 0;
}

/* The end */

void session_end(struct session *session, bool drain)
{
    if (!session->lane || session->ended)
        return;
    session->draining = true;
    if (drain && session->in_flight > 0)
        return;
    session->ended = true;
    if (session->analysis)
        pool_stream_close(&session->analysis); /* answers what waits for a worker */
    if (session->lane) /* that answer may have been the last, see on_released */
        close_parts(session);
}

static void on_part_closed(void *arg)
{
    struct session *session = arg;

    if (--session->open_parts > 0)
        return;
    assert(session->in_flight == 0);
    session->closed(session->arg);
    free_session(session);
}

static void close_parts(struct session *session)
{
    session->open_parts = 1;
    if (session->probe && !probe_close(&session->probe, on_part_closed, session))
        session->open_parts++;
    decode_lane_close(&session->lane, on_part_closed, session);
}
