/* stream_rig: a stream with its camera, and the server's side played by the test, in place of the
 * uplink: a program with this header has its own uplink_send. So every order of events can be had,
 * without sockets and with little waiting. Frames are decoded as they come. */
#ifndef RUNESPOOR_TESTS_EDGE_STREAM_RIG_H
#define RUNESPOOR_TESTS_EDGE_STREAM_RIG_H

#include "loop_bench.h"

#include "base/log.h"
#include "media/decode.h"
#include "stream.h"

#define WAIT_MS 15000u
#define FRAMES_MAX 2000u

static struct loop_bench bench;

/* A frame that has come to the server. */
struct frame {
    uint64_t number, sequence;
    bool keyframe, idr, answered;
    bool late, decode_only; /* of lossless streams */
    uint32_t width, height, bytes;
    uint32_t camera_width, camera_height;
};

static struct {
    bool up, full; /* the link; full: frames are not taken */
    size_t sessions;
    /* what the agent has said */
    unsigned hellos, reports, byes, leaves;
    uint64_t nonce, nonces[8];
    uint32_t hello_width;
    char bye_reason[64];
    struct frame frames[FRAMES_MAX];
    size_t frame_count, answer_next;
    struct decoder *decoder;
    unsigned undecodable;
    /* how it is answered */
    bool answer_at_once;
    uint64_t session;
    /* lossless streams: the backlog's session, and what keeps them on the disk */
    unsigned late_hellos;
    uint64_t late_nonce, late_session;
    char late_bye_reason[64];
    struct decoder *late_decoder;
    struct spool *spool;
    /* probes: what was announced, and what has come of the present one */
    Runespoor__ProbeOrder order;
    float uncertainty; /* of answers */
    unsigned probe_starts, receipts_asked;
    uint64_t probe_frame;
    double probability;
    char rung[80];
    unsigned slices;       /* of the present one */
    bool slice_waits;      /* for its receipt */
    uint64_t slice_behind; /* the last frame that was sent before it */
    uint8_t probe[1u << 20];
    size_t probe_bytes, probe_all;
    /* the stream */
    struct camera_config config;
    struct stream *stream;
    struct probes_config probes_config;
    struct probes *probes;
    struct sink *sink;
    unsigned finished;
    struct error end;
} rig;

/* ---- the other side, by way of the uplink's functions ---- */

/* An access unit has an IDR when one of its slices (Annex B) is of type 5. */
static inline bool has_idr(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i + 3 < size; i++)
        if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1 && (bytes[i + 3] & 31) == 5)
            return true;
    return false;
}

static inline void on_frame(const Runespoor__Packet *message, const struct packet *packet)
{
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    assert_true(rig.frame_count < FRAMES_MAX);
    bool late = rig.late_session != 0 && message->session == rig.late_session;
    assert_true(late || message->session == rig.session);
    if (rig.config.source.kind == SOURCE_TEST) {
        assert_int_equal(message->camera_width, 160);
        assert_int_equal(message->camera_height, 128);
    }
    rig.receipts_asked += message->receipt;
    struct frame *frame = &rig.frames[rig.frame_count++];
    *frame = (struct frame){ .number = message->frame,
                             .sequence = message->sequence,
                             .keyframe = message->keyframe,
                             .idr = has_idr(bytes, size),
                             .late = late,
                             .decode_only = message->decode_only,
                             .width = message->width,
                             .height = message->height,
                             .bytes = (uint32_t)size,
                             .camera_width = message->camera_width,
                             .camera_height = message->camera_height };
    assert_int_equal(frame->keyframe, frame->idr);
    struct picture *picture = NULL;
    struct picture_view view;
    struct error err;
    if (decoder_decode(late ? rig.late_decoder : rig.decoder, bytes, size, message->keyframe,
                       &picture, &err) != 0) {
        rig.undecodable++;
        return;
    }
    picture_get_view(picture, &view);
    assert_int_equal(view.width, frame->width);
    assert_int_equal(view.height, frame->height);
    picture_unref(&picture);
}

int uplink_send(struct uplink *uplink, const Runespoor__Header *header, struct packet **payload,
                size_t *wire_bytes, struct error *err)
{
    struct packet *packet = payload ? *payload : NULL;
    size_t size = 0;
    (void)uplink;
    if (payload)
        *payload = NULL;
    if (packet)
        packet_data(packet, &size);
    if (!rig.up || (rig.full && packet)) {
        packet_unref(&packet);
        return error_set(err, ERROR_AGAIN, "test", "not now");
    }
    /* As a peer would see it. */
    uint8_t bytes[4096];
    Runespoor__Header *parsed = NULL;
    struct error wrong;
    assert_true(wire_packed_size(header) <= sizeof bytes);
    wire_pack(header, bytes);
    if (wire_parse(&parsed, bytes, wire_packed_size(header), size, &wrong) != 0)
        fail_msg("%s", wrong.text);
    switch (parsed->kind_case) {
    case RUNESPOOR__HEADER__KIND_HELLO:
        assert_int_equal(parsed->hello->lossless, rig.config.mode == MODE_LOSSLESS);
        if (parsed->hello->late) {
            rig.late_nonce = parsed->hello->nonce;
            rig.late_hellos++;
            break;
        }
        rig.nonce = parsed->hello->nonce;
        rig.nonces[rig.hellos++ % 8] = rig.nonce;
        assert_string_equal(parsed->hello->stream, "gate");
        rig.hello_width = parsed->hello->width;
        break;
    case RUNESPOOR__HEADER__KIND_PACKET:
        on_frame(parsed->packet, packet);
        *wire_bytes = wire_packed_size(header) + size;
        break;
    case RUNESPOOR__HEADER__KIND_AGENT_REPORT:
        assert_true(parsed->agent_report->session == rig.session ||
                    parsed->agent_report->session == rig.late_session);
        rig.reports++;
        break;
    case RUNESPOOR__HEADER__KIND_BYE:
        if (rig.late_session != 0 && parsed->bye->session == rig.late_session) {
            snprintf(rig.late_bye_reason, sizeof rig.late_bye_reason, "%s", parsed->bye->reason);
            break;
        }
        assert_int_equal(parsed->bye->session, rig.session);
        snprintf(rig.bye_reason, sizeof rig.bye_reason, "%s", parsed->bye->reason);
        rig.byes++;
        break;
    case RUNESPOOR__HEADER__KIND_PROBE_START:
        assert_int_equal(parsed->probe_start->session, rig.session);
        rig.probe_starts++;
        rig.probe_frame = parsed->probe_start->frame;
        rig.probability = parsed->probe_start->probability;
        snprintf(rig.rung, sizeof rig.rung, "%s", parsed->probe_start->rung);
        rig.slices = 0;
        rig.probe_bytes = rig.probe_all = 0;
        *wire_bytes = wire_packed_size(header);
        break;
    default:
        fail_msg("an agent does not say %s", wire_kind_word(parsed));
    }
    wire_free(&parsed);
    packet_unref(&packet);
    return 0;
}

/* Slices: in order, one at a time. */
int uplink_send_bytes(struct uplink *uplink, const Runespoor__Header *header, const void *payload,
                      size_t payload_bytes, size_t *wire_bytes, struct error *err)
{
    (void)uplink;
    if (!rig.up || rig.full)
        return error_set(err, ERROR_AGAIN, "test", "not now");
    assert_int_equal(header->kind_case, RUNESPOOR__HEADER__KIND_PROBE_SLICE);
    const Runespoor__ProbeSlice *slice = header->probe_slice;
    assert_int_equal(slice->session, rig.session);
    assert_int_equal(slice->frame, rig.probe_frame);
    assert_int_equal(slice->slice, rig.slices);
    assert_false(rig.slice_waits);
    assert_true(payload_bytes > 0 && payload_bytes <= WIRE_SLICE_BYTES_MAX);
    assert_true(rig.probe_bytes + payload_bytes <= sizeof rig.probe);
    memcpy(rig.probe + rig.probe_bytes, payload, payload_bytes);
    rig.probe_bytes += payload_bytes;
    rig.probe_all = slice->bytes;
    rig.slices++;
    rig.slice_waits = true;
    rig.slice_behind = rig.frames[rig.frame_count - 1].number;
    *wire_bytes = wire_packed_size(header) + payload_bytes;
    return 0;
}

void uplink_begin_session(struct uplink *uplink, uint32_t report_ms)
{
    (void)uplink;
    assert_true(report_ms > 0);
    rig.sessions++;
}

void uplink_end_session(struct uplink *uplink)
{
    (void)uplink;
    assert_true(rig.sessions > 0);
    rig.sessions--;
}

void uplink_leave(struct uplink *uplink)
{
    (void)uplink;
    rig.leaves++;
}

const char *uplink_cause(const struct uplink *uplink)
{
    (void)uplink;
    return rig.up ? NULL : "the test has not begun";
}

static inline void say(Runespoor__Header *header, int kind)
{
    header->kind_case = (Runespoor__Header__KindCase)kind;
    assert_true(stream_on_message(rig.stream, header));
}

static inline void welcome_with(uint64_t nonce, uint32_t credits)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Welcome message = RUNESPOOR__WELCOME__INIT;
    message.stream = (char *)"gate";
    message.nonce = nonce;
    message.session = rig.session;
    message.credits = credits;
    message.report_ms = 50;
    message.probes = rig.order;
    header.welcome = &message;
    say(&header, RUNESPOOR__HEADER__KIND_WELCOME);
}

static inline void welcome(uint32_t credits)
{
    rig.session++;
    decoder_skip_to_keyframe(rig.decoder);
    welcome_with(rig.nonce, credits);
}

static inline void refuse(const char *reason, uint32_t retry_ms)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Refuse message = RUNESPOOR__REFUSE__INIT;
    message.stream = (char *)"gate";
    message.nonce = rig.nonce;
    message.reason = (char *)reason;
    message.code = (char *)"again";
    message.retry_ms = retry_ms;
    header.refuse = &message;
    say(&header, RUNESPOOR__HEADER__KIND_REFUSE);
}

static inline void answer_frame(uint64_t number, Runespoor__AnswerStatus status)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Answer message = RUNESPOOR__ANSWER__INIT;
    message.session = rig.session;
    message.stream = (char *)"gate";
    message.frame = number;
    message.status = status;
    message.uncertainty = rig.uncertainty;
    header.answer = &message;
    if (number > rig.slice_behind)
        rig.slice_waits = false;
    say(&header, RUNESPOOR__HEADER__KIND_ANSWER);
}

static inline void answer_next(void)
{
    assert_true(rig.answer_next < rig.frame_count);
    answer_frame(rig.frames[rig.answer_next++].number, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
}

static inline void order_keyframe(void)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Order message = RUNESPOOR__ORDER__INIT;
    message.session = rig.session;
    message.keyframe = true;
    header.order = &message;
    say(&header, RUNESPOOR__HEADER__KIND_ORDER);
}

/* Of the slice that waits, or, where there is none, of the newest packet. */
static inline void send_receipt(const char *refused)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Receipt message = RUNESPOOR__RECEIPT__INIT;
    message.session = rig.session;
    message.probe = rig.slice_waits || refused[0];
    message.frame = message.probe ? rig.probe_frame : rig.frames[rig.frame_count - 1].number;
    message.slice = message.probe && rig.slices > 0 ? rig.slices - 1 : 0;
    message.refused = (char *)refused;
    rig.slice_waits = false;
    header.receipt = &message;
    say(&header, RUNESPOOR__HEADER__KIND_RECEIPT);
}

static inline void say_bye_with(bool leaving)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Bye message = RUNESPOOR__BYE__INIT;
    message.session = rig.session;
    message.reason = (char *)"the test says so";
    message.leaving = leaving;
    header.bye = &message;
    say(&header, RUNESPOOR__HEADER__KIND_BYE);
}

static inline void say_bye(void)
{
    say_bye_with(false);
    rig.answer_next = rig.frame_count;
}

static inline void link_up(void)
{
    rig.up = true;
    stream_on_up(rig.stream);
}

static inline void link_down(void)
{
    rig.up = false;
    stream_on_down(rig.stream);
    rig.answer_next = rig.frame_count;
}

/* ---- the stream ---- */

static inline void on_finished(void *arg, const struct error *end)
{
    (void)arg;
    rig.finished++;
    rig.end = *end;
}

static inline int setup(void **state)
{
    static const struct sink_config no_file = { .path = (char *)"" };
    const struct decoder_config decoder = {
        .codec = VIDEO_H264, .width_max = 640, .height_max = 640, .pictures = 2
    };
    (void)state;
    loop_bench_open(&bench);
    assert_int_equal(log_configure("error", NULL), 0);
    memset(&rig, 0, sizeof rig);
    rig.config = (struct camera_config){
        .name = (char *)"gate",
        .model = (char *)"",
        .source = { .kind = SOURCE_TEST, .path = (char *)"", .width = 160, .height = 128, .fps = 25 },
        .pace = PACE_FAST,
        .rung = { .bitrate_kbps = 400, .vbv_ms = 500, .quality = 23, .keyframe_s = 600 },
        .encode_threads = 1,
    };
    assert_int_equal(decoder_open(&rig.decoder, &decoder, NULL), 0);
    assert_int_equal(sink_open(&rig.sink, &bench.loop, &no_file, NULL, bench.metrics, NULL), 0);
    return 0;
}

static inline void stream_begin(void)
{
    struct error err;
    if (probes_open(&rig.probes, &bench.loop, &rig.probes_config, 1, NULL, bench.metrics, &err) != 0)
        fail_msg("%s", err.text);
    const struct stream_context context = {
        .loop = &bench.loop,
        .agent_name = "edge",
        .metrics = bench.metrics,
        .probes = rig.probes,
        .sink = rig.sink,
        .spool = rig.spool,
        .finished = on_finished,
    };
    if (stream_open(&rig.stream, &context, &rig.config, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(stream_name(rig.stream), "gate");
}

static inline void stream_end(void)
{
    stream_close(&rig.stream);
    probes_close(&rig.probes);
}

static inline int teardown(void **state)
{
    (void)state;
    stream_end();
    sink_close(&rig.sink);
    decoder_close(&rig.decoder);
    loop_bench_close(&bench);
    assert_int_equal(rig.sessions, 0);
    return 0;
}

static inline uint64_t frames(const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "edge_frames_%s_total", what);
    return loop_bench_count(&bench, name, NULL);
}

static inline uint64_t drops(const char *reason)
{
    return loop_bench_count(&bench, "edge_frames_dropped_total", reason);
}

static inline uint64_t queue_depth(const char *queue)
{
    return loop_bench_count(&bench, "edge_queue_depth", queue);
}

static inline uint64_t stream_state(void)
{
    return loop_bench_count(&bench, "edge_stream_state", NULL);
}

static inline void expect_one_fate_each(void)
{
    assert_int_equal(frames("captured"), frames("answered") + frames("capped") + frames("dropped"));
    assert_int_equal(queue_depth("in_flight"), 0);
    assert_int_equal(rig.undecodable, 0);
}

static inline bool has_frames(void *arg)
{
    while (rig.answer_at_once && rig.answer_next < rig.frame_count)
        answer_next();
    return rig.frame_count >= *(size_t *)arg;
}

static inline void wait_frames(size_t count)
{
    loop_bench_turn(&bench, has_frames, &count, WAIT_MS);
}

static inline bool has_hellos(void *arg)
{
    return rig.hellos >= *(unsigned *)arg;
}

static inline void wait_hellos(unsigned count)
{
    loop_bench_turn(&bench, has_hellos, &count, WAIT_MS);
}

static inline bool has_finished(void *arg)
{
    (void)arg;
    while (rig.answer_at_once && rig.answer_next < rig.frame_count)
        answer_next();
    return rig.finished > 0;
}

static inline void wait_finished(void)
{
    loop_bench_turn(&bench, has_finished, NULL, WAIT_MS);
    assert_int_equal(rig.finished, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
