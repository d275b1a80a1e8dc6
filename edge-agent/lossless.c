/* lossless: see the header. A lane is one of the two ways to the server: a session, and the next frame
 * that it has to send. A frame that was just stored is sent at once when its lane has sent all before
 * it; a lane that is behind reads what it has to send from the spool. */
#include "lossless.h"

#include "base/clock.h"
#include "base/log.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 1000u /* before frames that were answered in vain are sent again */
/* Answers that wait for another place to have them; beyond, nothing more is sent. */
#define HELD_MAX 64u
/* Of the backlog on its way while live frames are, so that these wait little on a slow link. */
#define LATE_BYTES_MAX 32768u

struct lane {
    struct session *session;
    uint32_t credits;
    uint64_t cursor; /* frames below were sent in this session, or are not the lane's */
    uint64_t sent;   /* the last one, when has_sent */
    bool has_sent;
    bool behind;           /* there may be frames in the spool from cursor on */
    bool reading, discard; /* a reading is under way; for a session that is over */
    bool again; /* frames were answered in vain: another session, when none is in flight */
    struct spool_frame ready[SPOOL_READ_MAX];
    size_t ready_first, ready_end;
};

struct lossless {
    struct lossless_spec spec;
    struct spool_stream *spool;
    struct lane live, late;
    struct session late_session;
    uint64_t first_number;     /* of this process: those before have no monotonic time */
    uint64_t stored_next;      /* behind the last frame that was stored */
    uint64_t live_from;        /* the backlog ends before it */
    bool splitting;            /* live_from will be the next keyframe */
    size_t putting, answering; /* asked of the spool */
    uint32_t withheld;         /* credits that the camera gets when there is less to do */
    uint32_t epoch;
    struct metric_gauge *backlog;
    struct metric_counter *late_answers;
    void (*closed)(void *arg);
    void *closed_arg;
};

static const struct spool_events spool_events;
static const struct session_events late_events;
static void pump(struct lossless *lossless, struct lane *lane);
static void clear_lane(struct lane *lane);

int lossless_open(struct lossless **out, const struct lossless_spec *spec, struct error *err)
{
    const struct camera_config *config = spec->session.config;
    struct lossless *lossless = calloc(1, sizeof *lossless);
    if (!lossless)
        return error_set(err, ERROR_MEMORY, config->name, "no memory for a lossless stream");
    lossless->spec = *spec;
    int result = spool_join(spec->spool, &lossless->spool, config->name, spec->session.figures,
                            &spool_events, lossless, &lossless->first_number, err);
    if (result != 0) {
        free(lossless);
        return error_wrap(err, "%s", config->name);
    }
    const struct metric_label labels[] = { { "stream", config->name }, { "queue", "spool" } };
    lossless->backlog = metrics_gauge(spec->session.figures->metrics, "edge_queue_depth",
                                      "Frames waiting, by queue", labels, 2);
    lossless->late_answers = metrics_counter(spec->session.figures->metrics, "edge_frames_late_total",
                                             "Frames analysed as part of a backlog", labels, 1);
    lossless->stored_next = lossless->first_number;
    lossless->live.session = spec->live;
    lossless->late.session = &lossless->late_session;
    struct session_spec late = spec->session;
    late.events = &late_events;
    late.arg = lossless;
    late.late = true;
    session_init(&lossless->late_session, &late);
    camera_resume(spec->camera, lossless->first_number);
    lossless->epoch = credit_start(spec->credit, LOSSLESS_CAPTURE_MAX);
    metric_gauge_set(lossless->backlog, (double)spool_waiting(lossless->spool));
    if (spool_waiting(lossless->spool) > 0)
        log_info("stream", "frames of an earlier run wait for their answers",
                 LOG_STR("stream", config->name), LOG_U64("waiting", spool_waiting(lossless->spool)));
    *out = lossless;
    return 0;
}

bool lossless_is_empty(const struct lossless *lossless)
{
    return lossless->putting == 0 && lossless->answering == 0 && spool_waiting(lossless->spool) == 0;
}

static void on_late_closed(void *arg)
{
    struct lossless *lossless = arg;
    void (*closed)(void *arg) = lossless->closed;
    void *closed_arg = lossless->closed_arg;
    free(lossless);
    closed(closed_arg);
}

void lossless_close(struct lossless **lossless_ptr, void (*closed)(void *arg), void *arg)
{
    struct lossless *lossless = *lossless_ptr;
    *lossless_ptr = NULL;
    lossless->closed = closed;
    lossless->closed_arg = arg;
    spool_leave(&lossless->spool);
    clear_lane(&lossless->live);
    clear_lane(&lossless->late);
    session_end(&lossless->late_session, "the agent stops");
    session_close(&lossless->late_session, on_late_closed, lossless);
}

/* ---- frames into the spool ---- */

/* A source that can wait gets its credits back with the answers, so that it never runs ahead. */
static void give_capture_credits(struct lossless *lossless)
{
    bool waits = lossless->spec.session.config->pace == PACE_FAST;
    uint64_t waiting = spool_waiting(lossless->spool);
    while (lossless->withheld > 0 && (!waits || waiting < lossless->withheld)) {
        lossless->withheld--;
        credit_give(lossless->spec.credit, lossless->epoch);
    }
}

static void count_lost(struct lossless *lossless, enum spool_fate fate)
{
    static const enum drop_reason reasons[] = {
        [SPOOL_FULL] = DROP_SPOOL_FULL, [SPOOL_FAILED] = DROP_SPOOL_FAILED, [SPOOL_GROUPLESS] = DROP_SPOOL_GROUPLESS
    };
    figures_count_drops(lossless->spec.session.figures, reasons[fate], 1);
    camera_ask_keyframe(lossless->spec.camera);
}

void lossless_put(struct lossless *lossless, struct encoded_frame *frame)
{
    const struct spool_frame stored = { .frame = *frame };
    struct error err;
    frame->packet = NULL;
    frame->picture = NULL;
    if (spool_put(lossless->spool, &stored, &err) == 0) {
        lossless->putting++;
        return;
    }
    log_error("stream", "frame not stored", LOG_STR("stream", lossless->spec.session.config->name),
              LOG_CAUSE(&err));
    count_lost(lossless, SPOOL_FAILED);
    lossless->withheld++;
    give_capture_credits(lossless);
}

/* ---- frames out ---- */

/* Takes packet and picture out of stored where it is sent, else leaves them. */
static bool send_frame(struct lossless *lossless, struct lane *lane, struct spool_frame *stored)
{
    struct packet *packet = packet_ref(stored->frame.packet);
    bool is_live = lane == &lossless->live;
    const struct frame_marks marks = { .receipt = is_live && probes_wait(lossless->spec.probes),
                                       .decode_only = stored->answered };
    size_t wire_bytes;
    struct error err;
    if (session_send(lane->session, &stored->frame, &marks, &wire_bytes, &err) != 0) {
        stored->frame.packet = packet;
        log_debug("stream", "frame not sent",
                  LOG_STR("stream", lossless->spec.session.config->name), LOG_CAUSE(&err));
        return false;
    }
    packet_unref(&packet);
    lane->sent = stored->frame.number;
    lane->has_sent = true;
    lane->cursor = stored->frame.number + 1;
    if (is_live)
        probe_stream_on_sent(lossless->spec.probe, &stored->frame, wire_bytes);
    picture_unref(&stored->frame.picture);
    return true;
}

static bool may_send(const struct lossless *lossless, const struct lane *lane)
{
    const struct flights *flights = &lane->session->flights;
    if (lane->session->id == 0 || lane->again || flights->count >= lane->credits ||
        spool_held(lossless->spool) >= HELD_MAX)
        return false;
    return lane == &lossless->live || lossless->live.session->flights.count == 0 ||
           flights->count == 0 || flights->bytes < LATE_BYTES_MAX;
}

static uint64_t lane_end(const struct lossless *lossless, const struct lane *lane)
{
    if (lane == &lossless->live)
        return INT64_MAX;
    return lossless->splitting ? lossless->stored_next : lossless->live_from;
}

/* Sends what the lane may send now. */
static void pump(struct lossless *lossless, struct lane *lane)
{
    struct error err;
    bool live_waits = lane == &lossless->live && lossless->splitting;
    while (may_send(lossless, lane) && lane->ready_first < lane->ready_end &&
           send_frame(lossless, lane, &lane->ready[lane->ready_first]))
        lane->ready_first++;
    if (live_waits || !may_send(lossless, lane) || lane->ready_first < lane->ready_end ||
        !lane->behind || lane->reading)
        return;
    if (spool_read(lossless->spool, lane, lane->cursor, lane_end(lossless, lane), &err) == 0)
        lane->reading = true;
}

static void clear_lane(struct lane *lane)
{
    for (; lane->ready_first < lane->ready_end; lane->ready_first++)
        packet_unref(&lane->ready[lane->ready_first].frame.packet);
    lane->ready_first = lane->ready_end = 0;
    lane->discard = lane->reading;
    lane->behind = lane->again = lane->has_sent = false;
    lane->cursor = 0;
}

static void begin_lane(struct lossless *lossless, struct lane *lane, uint64_t cursor, bool behind)
{
    clear_lane(lane);
    lane->cursor = cursor;
    lane->behind = behind;
    pump(lossless, lane);
}

/* The backlog's session ends once nothing is left for it. */
static void look_at_late(struct lossless *lossless)
{
    const struct lane *late = &lossless->late;
    if (late->session->id == 0 || lossless->splitting || late->behind || late->reading ||
        late->ready_first < late->ready_end || late->session->flights.count > 0)
        return;
    session_end(late->session, "the backlog is answered");
    log_info("stream", "the backlog is answered",
             LOG_STR("stream", lossless->spec.session.config->name));
}

void lossless_begin(struct lossless *lossless, const Runespoor__Welcome *welcome)
{
    uint64_t waiting = spool_waiting(lossless->spool) + lossless->putting;
    lossless->live.credits = welcome->credits;
    clear_lane(&lossless->live);
    bool late = session_is_wanted(&lossless->late_session);
    bool waits = lossless->spec.session.config->pace == PACE_FAST;
    lossless->splitting = late || (waiting > welcome->credits && !waits);
    if (!lossless->splitting) {
        begin_lane(lossless, &lossless->live, 0, true);
        return;
    }
    camera_ask_keyframe(lossless->spec.camera);
    if (late) { /* what the last live session has left is part of the backlog now */
        lossless->late.behind = true;
        pump(lossless, &lossless->late);
    } else {
        log_info("stream", "a backlog is sent beside the live stream",
                 LOG_STR("stream", lossless->spec.session.config->name), LOG_U64("waiting", waiting));
        session_begin(&lossless->late_session, 0);
    }
}

void lossless_end(struct lossless *lossless, bool link)
{
    clear_lane(&lossless->live);
    if (!link)
        return;
    session_end(&lossless->late_session, NULL);
    clear_lane(&lossless->late);
    lossless->splitting = false;
}

/* ---- from the spool ---- */

static void on_stored(struct lossless *lossless, struct spool_frame *stored, uint64_t previous)
{
    struct lane *live = &lossless->live;
    const struct encoded_frame *frame = &stored->frame;
    lossless->stored_next = frame->number + 1;
    if (lossless->splitting && !frame->keyframe) {
        lossless->late.behind = true;
        pump(lossless, &lossless->late);
        return;
    }
    if (lossless->splitting) {
        lossless->splitting = false;
        lossless->live_from = frame->number;
        begin_lane(lossless, live, frame->number, false);
        look_at_late(lossless);
    }
    bool next = frame->keyframe || (live->has_sent && previous == live->sent);
    if (!live->behind && next && may_send(lossless, live) && send_frame(lossless, live, stored))
        return;
    live->behind = true;
    pump(lossless, live);
}

static void on_put(void *arg, struct spool_frame *stored, uint64_t previous, enum spool_fate fate)
{
    struct lossless *lossless = arg;
    lossless->putting--;
    lossless->withheld++;
    if (fate == SPOOL_STORED)
        on_stored(lossless, stored, previous);
    else
        count_lost(lossless, fate);
    give_capture_credits(lossless);
    metric_gauge_set(lossless->backlog, (double)spool_waiting(lossless->spool));
    lossless->spec.changed(lossless->spec.arg);
}

static void on_read(void *arg, void *reader, struct spool_frame *frames, size_t count)
{
    struct lossless *lossless = arg;
    struct lane *lane = reader;
    lane->reading = false;
    if (lane->discard) {
        lane->discard = false;
    } else if (count == 0) {
        lane->behind = false;
    } else {
        assert(lane->ready_first == lane->ready_end);
        memcpy(lane->ready, frames, count * sizeof *frames);
        memset(frames, 0, count * sizeof *frames); /* they are the lane's now */
        lane->ready_first = 0;
        lane->ready_end = count;
        lane->cursor = lane->ready[count - 1].frame.number + 1;
    }
    pump(lossless, lane);
    look_at_late(lossless);
    lossless->spec.changed(lossless->spec.arg);
}

static void on_answered(void *arg, const struct spool_answer *answer, enum spool_end end)
{
    struct lossless *lossless = arg;
    struct figures *figures = lossless->spec.session.figures;
    lossless->answering--;
    if (end == SPOOL_ANSWERED) {
        bool dropped = answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED;
        if (answer->status != RUNESPOOR__ANSWER_STATUS__ANSWER_OK)
            figures_count_drops(figures, dropped ? DROP_SERVER_DROPPED : DROP_SERVER_FAILED, 1);
        else
            metric_counter_add(figures->answered, 1);
        if (answer->late && answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK)
            metric_counter_add(lossless->late_answers, 1);
        else if (answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK)
            metric_histogram_observe_us(figures->age, answer->age_us);
    }
    give_capture_credits(lossless);
    metric_gauge_set(lossless->backlog, (double)spool_waiting(lossless->spool));
    pump(lossless, &lossless->live); /* which may have waited for this answer's release */
    pump(lossless, &lossless->late);
    lossless->spec.changed(lossless->spec.arg);
}

static const struct spool_events spool_events = { on_put, on_answered, on_read };

/* ---- answers ---- */

/* These say nothing about the frame: it is asked for again however often. */
static bool is_of_the_session(const Runespoor__Answer *answer)
{
    return strcmp(answer->reason, "stream_ended") == 0 ||
           strcmp(answer->reason, "bitrate_limit") == 0;
}

static uint64_t age_us(const struct lossless *lossless, const struct flight *flight)
{
    if (flight->number >= lossless->first_number)
        return (clock_now_ns() - flight->capture_ns) / 1000;
    uint64_t now_us = clock_wall_us(); /* the monotonic clock may be that of another boot */
    return now_us > flight->capture_unix_us ? now_us - flight->capture_unix_us : 0;
}

static void restart_lane(struct lossless *lossless, struct lane *lane)
{
    if (lane == &lossless->live) {
        lossless->spec.restart(lossless->spec.arg, "frames have to be sent again", AGAIN_MS);
        return;
    }
    session_end(lane->session, "frames have to be sent again");
    clear_lane(lane);
    session_begin(lane->session, AGAIN_MS);
}

static void note_answer(struct lossless *lossless, struct lane *lane,
                        const Runespoor__Answer *answer, const struct flight *flight)
{
    bool analysed = answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK;
    struct error err;
    if (lane == &lossless->live)
        probe_stream_on_answer(lossless->spec.probe, answer->frame,
                               analysed ? (double)answer->uncertainty : -1);
    if (!analysed)
        lane->again = true;
    else
        figures_count_objects(lossless->spec.session.figures, answer);
    if (is_of_the_session(answer))
        return;
    if (sink_add_lossless(lossless->spec.sink, lossless->spool, answer, age_us(lossless, flight),
                          analysed, &err) == 0)
        lossless->answering++;
    else
        lane->again = true;
}

static struct lane *lane_of(struct lossless *lossless, const struct session *session)
{
    return session == lossless->live.session ? &lossless->live : &lossless->late;
}

void lossless_on_answer(struct lossless *lossless, struct session *session,
                        const Runespoor__Answer *answer, const struct flight *flight, size_t passed)
{
    struct lane *lane = lane_of(lossless, session);
    if (passed > 0)
        lane->again = true;
    if (!flight->decode_only)
        note_answer(lossless, lane, answer, flight);
    if (lane->again && session->flights.count == 0)
        restart_lane(lossless, lane);
    pump(lossless, &lossless->live);
    pump(lossless, &lossless->late);
    look_at_late(lossless);
}

void lossless_on_leaving(struct lossless *lossless, struct session *session)
{
    lane_of(lossless, session)->credits = 0;
}

/* After a full uplink, or a spool that could not be asked, there need be no answer or frame on its way
 * that would set the lane going again. */
void lossless_on_turned(struct lossless *lossless, struct session *session)
{
    pump(lossless, lane_of(lossless, session));
}

/* ---- the backlog's session ---- */

bool lossless_on_message(struct lossless *lossless, const Runespoor__Header *header)
{
    return session_on_message(&lossless->late_session, header);
}

static void on_late_begun(void *arg, struct session *session, const Runespoor__Welcome *welcome)
{
    struct lossless *lossless = arg;
    (void)session;
    lossless->late.credits = welcome->credits;
    begin_lane(lossless, &lossless->late, 0, true);
}

static void on_late_broken(void *arg, struct session *session, const char *cause, bool server_knows)
{
    struct lossless *lossless = arg;
    log_warn("stream", "the backlog's session ended",
             LOG_STR("stream", lossless->spec.session.config->name), LOG_STR("cause", cause));
    session_end(session, server_knows ? NULL : cause);
    clear_lane(&lossless->late);
    session_begin(session, AGAIN_MS);
}

static void on_late_answer(void *arg, struct session *session, const Runespoor__Answer *answer,
                           const struct flight *flight, size_t passed)
{
    lossless_on_answer(arg, session, answer, flight, passed);
}

/* What it sends was encoded long ago, and nothing of it is probed. */
static void on_late_order(void *arg, const Runespoor__Order *order)
{
    (void)arg;
    (void)order;
}

static void on_late_report(void *arg, const Runespoor__ServerReport *report)
{
    (void)arg;
    (void)report;
}

static void on_late_receipt(void *arg, const Runespoor__Receipt *receipt)
{
    (void)arg;
    (void)receipt;
}

static void on_late_leaving(void *arg, struct session *session)
{
    lossless_on_leaving(arg, session);
}

static void on_late_turned(void *arg, struct session *session)
{
    lossless_on_turned(arg, session);
}

static const struct session_events late_events = {
    on_late_begun,  on_late_broken,  on_late_answer,  on_late_order,
    on_late_report, on_late_receipt, on_late_leaving, on_late_turned,
};
