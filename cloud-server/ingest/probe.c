/* probe: see the header. Two places: one for the probe that is being received, one for that which is being
 * decoded and looked at; the golden model may take its time. */
#include "ingest/probe.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/probe_score.h"
#include "control/tails.h"
#include "control/uncertainty_ranks.h"
#include "ingest/probe_report.h"
#include "net/wire.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PICTURES 2u /* one that waits for the golden model, and the decoder's reference */
#define LOG_AGAIN_NS (60 * CLOCK_NS_PER_S)

static const char *const end_words[PROBE_END_COUNT] = {
#define X(name, word) [PROBE_##name] = word,
    PROBE_ENDS(X)
#undef X
};

struct probe {
    struct probe_spec spec;
    struct pool_stream *golden;
    struct decode_lane *lane;       /* NULL before the first probe */
    struct uncertainty_ranks ranks; /* of answers since the last change of the rung */
    char rung[WIRE_LABEL_BYTES_MAX + 1];
    struct probe_item items[2], *receiving, *judged;
    zmq_msg_t payload;
    uint32_t bytes, received, next_slice; /* of the picture; bytes 0: no slice yet */
    struct decode_job job;
    struct probe_report *report;
    struct metric_counter *ended[PROBE_END_COUNT]; /* made when first needed */
    uint64_t logged_ns[PROBE_END_COUNT];
    void (*closed)(void *arg);
    void *closed_arg;
};

static void on_decoded(void *arg, struct decode_job *job);
static void on_judged(void *arg, uint64_t ticket, struct picture *picture,
                      const struct job_result *result);

static void free_probe(struct probe *probe)
{
    pool_stream_close(&probe->golden);
    probe_report_close(&probe->report);
    free(probe);
}

static struct metric_counter *counter_of(struct probe *probe, enum probe_end end)
{
    const struct metric_label labels[] = { { "stream", probe->spec.origin->stream },
                                           { "end", end_words[end] } };
    if (!probe->ended[end])
        probe->ended[end] = metrics_counter(probe->spec.rooms->metrics, "server_probes_total",
                                            "probes by what became of them", labels, 2);
    return probe->ended[end];
}

int probe_open(struct probe **out, const struct probe_spec *spec, struct error *err)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        return error_set(err, ERROR_MEMORY, spec->origin->stream, "no room for probes");
    probe->spec = *spec;
    probe->receiving = &probe->items[0];
    probe->judged = &probe->items[1];
    uncertainty_ranks_init(&probe->ranks, random_entropy());
    int rc = probe_report_open(&probe->report, &probe->spec, err);
    if (rc == 0)
        rc = pool_idle_open(spec->rooms->pool, &probe->golden, spec->origin->stream, spec->golden,
                            on_judged, probe, err);
    if (rc < 0) {
        free_probe(probe);
        return rc;
    }
    /* What ends with the stream is hidden with it: it is seen only when the stream is back. */
    counter_of(probe, PROBE_CLOSED);
    *out = probe;
    return 0;
}

/* ---- the end of a probe ---- */

static void send_receipt(struct probe *probe, uint64_t frame, uint32_t slice, const char *refused)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Receipt receipt = RUNESPOOR__RECEIPT__INIT;
    receipt.session = probe->spec.session;
    receipt.frame = frame;
    receipt.probe = true;
    receipt.slice = slice;
    receipt.refused = (char *)refused;
    header.kind_case = RUNESPOOR__HEADER__KIND_RECEIPT;
    header.receipt = &receipt;
    probe->spec.send(probe->spec.arg, &header);
}

/* What goes wrong again and again is counted each time and logged once a minute. */
static void end_item(struct probe *probe, struct probe_item *item, enum probe_end end,
                     const char *cause)
{
    const char *stream = probe->spec.origin->stream;
    const uint64_t now_ns = clock_now_ns();
    metric_counter_add(counter_of(probe, end), 1);
    item->used = false;
    if (end == PROBE_SCORED || end == PROBE_CLOSED ||
        (probe->logged_ns[end] != 0 && now_ns - probe->logged_ns[end] < LOG_AGAIN_NS))
        return;
    probe->logged_ns[end] = now_ns;
    log_info("probe", "a probe tells nothing", LOG_STR("stream", stream),
             LOG_U64("frame", item->frame), LOG_STR("reason", end_words[end]),
             LOG_STR("cause", cause));
}

static void drop_payload(struct probe *probe)
{
    if (probe->bytes > 0)
        zmq_msg_close(&probe->payload);
    probe->bytes = 0;
}

/* And tells the agent, so that it sends no more of it. */
static void refuse(struct probe *probe, enum probe_end end, const char *cause)
{
    uint64_t frame = probe->receiving->frame;
    drop_payload(probe);
    end_item(probe, probe->receiving, end, cause);
    send_receipt(probe, frame, 0, end_words[end]);
}

/* ---- being received ---- */

/* That it has changed is known from the first probe of the new one. */
static void note_rung(struct probe *probe, const char *rung)
{
    if (strcmp(probe->rung, rung) == 0)
        return;
    snprintf(probe->rung, sizeof probe->rung, "%s", rung); /* the wire's check has bounded it */
    uncertainty_ranks_clear(&probe->ranks);
}

static void keep_answer(struct probe *probe, struct probe_item *item, const struct frame *frame)
{
    item->answered = true;
    item->uncertainty_rank = uncertainty_ranks_of(&probe->ranks, frame->analysis.uncertainty);
    item->capture_unix_us = frame->capture_unix_us;
    item->width = frame->width;
    item->height = frame->height;
    item->camera_width = frame->camera_width;
    item->camera_height = frame->camera_height;
    snprintf(item->restored, sizeof item->restored, "%s", frame->restored);
    analysis_copy(&item->answer, &frame->analysis);
}

void probe_on_start(struct probe *probe, const Runespoor__ProbeStart *start,
                    const struct frame *frame, bool on_its_way)
{
    struct probe_item *item = probe->receiving;
    drop_payload(probe);
    if (item->used)
        end_item(probe, item, PROBE_REPLACED, "another one was announced");
    item->used = true;
    item->answered = false;
    item->frame = start->frame;
    item->probability = start->probability;
    item->wire_bytes = 0;
    note_rung(probe, start->rung);
    memcpy(item->rung, probe->rung, sizeof item->rung);
    probe->next_slice = 0;
    if (frame && frame->fate == FATE_OK)
        keep_answer(probe, item, frame);
    else if (!on_its_way)
        refuse(probe, PROBE_NO_ANSWER, "the frame was not analysed, or its answer is gone");
}

static bool is_whole(const struct probe *probe)
{
    return probe->bytes > 0 && probe->received == probe->bytes;
}

static void decode(struct probe *probe);

void probe_on_answered(struct probe *probe, const struct frame *frame)
{
    struct probe_item *item = probe->receiving;
    if (frame->fate == FATE_OK)
        uncertainty_ranks_add(&probe->ranks, frame->analysis.uncertainty);
    if (!item->used || item->answered || item->frame != frame->number)
        return;
    if (frame->fate != FATE_OK) {
        refuse(probe, PROBE_NO_ANSWER, frame_fate_word(frame->fate));
        return;
    }
    keep_answer(probe, item, frame);
    if (is_whole(probe))
        decode(probe);
}

static const char *check_slice(const struct probe *probe, const Runespoor__ProbeSlice *slice,
                               size_t payload_bytes)
{
    if (slice->slice != probe->next_slice)
        return "a slice is missing";
    if (slice->bytes > probe->spec.rooms->config->limits.message_bytes)
        return "larger than limits.message_bytes";
    if (slice->slice > 0 && slice->bytes != probe->bytes)
        return "its size has changed";
    if (payload_bytes > slice->bytes - (slice->slice > 0 ? probe->received : 0))
        return "more bytes than it has";
    return NULL;
}

void probe_on_slice(struct probe *probe, const Runespoor__ProbeSlice *slice, zmq_msg_t *payload,
                    bool paid)
{
    const size_t payload_bytes = zmq_msg_size(payload);
    struct probe_item *item = probe->receiving;
    if (!item->used ||
        item->frame != slice->frame) { /* it has been refused, which its agent cannot know yet */
        send_receipt(probe, slice->frame, slice->slice, end_words[PROBE_NO_ANSWER]);
        return;
    }
    const char *wrong = paid ? check_slice(probe, slice, payload_bytes) : "above limits.bitrate_kbps";
    if (!wrong && slice->slice == 0) {
        if (zmq_msg_init_size(&probe->payload, slice->bytes) < 0)
            wrong = "no memory for it";
        else
            probe->bytes = slice->bytes;
        probe->received = 0;
    }
    if (wrong) {
        refuse(probe, PROBE_SLICES, wrong);
        return;
    }
    memcpy((uint8_t *)zmq_msg_data(&probe->payload) + probe->received, zmq_msg_data(payload),
           payload_bytes);
    probe->received += (uint32_t)payload_bytes;
    probe->next_slice++;
    item->wire_bytes += payload_bytes;
    send_receipt(probe, slice->frame, slice->slice, "");
    if (is_whole(probe) && item->answered)
        decode(probe);
}

/* ---- being looked at ---- */

static int open_lane(struct probe *probe, struct error *err)
{
    const struct session_rooms *rooms = probe->spec.rooms;
    const struct decode_lane_config config = {
        .width_max = rooms->config->limits.width,
        .height_max = rooms->config->limits.height,
        .pictures = PICTURES,
    };
    return probe->lane
               ? 0
               : decode_lane_open(rooms->decode, &probe->lane, &config, on_decoded, probe, err);
}

/* The probe is here whole, and its frame's answer, too: it goes over to the other place. */
static void decode(struct probe *probe)
{
    struct probe_item *item = probe->receiving;
    struct error err;
    if (probe->judged->used) {
        drop_payload(probe);
        end_item(
            probe, item, PROBE_BUSY,
            "the one before still waits for a worker that live frames leave idle for long enough");
        return;
    }
    if (open_lane(probe, &err) < 0) {
        drop_payload(probe);
        end_item(probe, item, PROBE_DECODER, err.text);
        return;
    }
    probe->receiving = probe->judged;
    probe->judged = item;
    probe->job = (struct decode_job){ .codec = VIDEO_H264, .keyframe = true };
    zmq_msg_init(&probe->job.payload);
    zmq_msg_move(&probe->job.payload, &probe->payload);
    drop_payload(probe);
    decode_lane_submit(probe->lane, &probe->job);
}

/* An odd row or column of the camera is not sent; pixels that are not square were made so, along their longer
 * side. */
static bool is_cameras_size(const struct probe_item *item, const struct picture *picture)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    uint32_t width = item->camera_width & ~1u, height = item->camera_height & ~1u;
    return (view.width == width && view.height >= height) ||
           (view.height == height && view.width >= width);
}

static void on_decoded(void *arg, struct decode_job *job)
{
    struct probe *probe = arg;
    struct probe_item *item = probe->judged;
    struct picture *picture = job->picture;
    struct error err;
    if (job->result < 0) {
        end_item(probe, item, probe->golden ? PROBE_DECODER : PROBE_CLOSED, job->error.text);
    } else if (!probe->golden) {
        end_item(probe, item, PROBE_CLOSED, "");
    } else if (!is_cameras_size(item, picture)) {
        end_item(probe, item, PROBE_DECODER, "not of the camera's size");
    } else {
        const struct camera_size camera = { item->camera_width, item->camera_height };
        if (pool_submit(probe->golden, item->frame, picture, camera, &err) < 0)
            end_item(probe, item, PROBE_BUSY, err.text);
    }
    picture_unref(&picture);
}

static void on_judged(void *arg, uint64_t ticket, struct picture *picture,
                      const struct job_result *result)
{
    struct probe *probe = arg;
    struct probe_item *item = probe->judged;
    struct picture_view view;
    struct error err;
    (void)ticket;
    if (result->status != JOB_DONE) {
        end_item(probe, item, result->status == JOB_DROPPED_CLOSED ? PROBE_CLOSED : PROBE_GOLDEN,
                 result->reason);
        return;
    }
    picture_get_view(picture, &view);
    const struct probe_answer golden = { result->analysis, view.width, view.height };
    if (probe_report_add(probe->report, item, &golden, &err) < 0)
        end_item(probe, item, PROBE_NO_COMPARISON, err.text);
    else
        end_item(probe, item, PROBE_SCORED, "");
}

/* ---- reports and the end ---- */

const Runespoor__Tail *probe_tail(struct probe *probe)
{
    return probe_report_tail(probe->report);
}

static void on_lane_closed(void *arg)
{
    struct probe *probe = arg;
    probe->closed(probe->closed_arg);
    free_probe(probe);
}

bool probe_close(struct probe **closing, void (*closed)(void *arg), void *arg)
{
    struct probe *probe = *closing;
    *closing = NULL;
    drop_payload(probe);
    if (probe->receiving->used)
        end_item(probe, probe->receiving, PROBE_CLOSED, "");
    pool_stream_close(&probe->golden);
    if (!probe->lane) {
        free_probe(probe);
        return true;
    }
    probe->closed = closed;
    probe->closed_arg = arg;
    decode_lane_close(&probe->lane, on_lane_closed, probe);
    return false;
}
