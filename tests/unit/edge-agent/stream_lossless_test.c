/* stream, lossless: frames reach the server by way of the spool, and each is answered once in the file,
 * whatever the link and the server do: links that break with frames in flight, a long outage with its
 * backlog, answers that say nothing about the frame, frames that no server can answer. */
#include "stream_rig.h"

#include "lossless.h"

#define GROUP_S 1 /* seconds between IDRs */

static struct spool_config spool_config;
static struct sink_config file_config;
static char spool_path[200], file_path[200];

static int setup_lossless(void **state)
{
    const struct decoder_config decoder = {
        .codec = VIDEO_H264, .width_max = 640, .height_max = 640, .pictures = 2
    };
    struct error err;
    setup(state);
    snprintf(spool_path, sizeof spool_path, "%s", loop_bench_path(&bench, "spool.db"));
    snprintf(file_path, sizeof file_path, "%s", loop_bench_path(&bench, "answers.jsonl"));
    spool_config = (struct spool_config){ .path = spool_path, .size_mb = 64 };
    file_config = (struct sink_config){ .path = file_path, .keep = 1 };
    rig.config.mode = MODE_LOSSLESS;
    rig.config.rung.keyframe_s = GROUP_S;
    assert_int_equal(decoder_open(&rig.late_decoder, &decoder, NULL), 0);
    if (spool_open(&rig.spool, &bench.loop, &spool_config, &file_config, bench.metrics, &err) != 0)
        fail_msg("%s", err.text);
    sink_close(&rig.sink); /* one without a spool */
    assert_int_equal(sink_open(&rig.sink, &bench.loop, &file_config, rig.spool, bench.metrics, &err),
                     0);
    return 0;
}

static int teardown_lossless(void **state)
{
    (void)state;
    stream_end();
    sink_close(&rig.sink);
    spool_close(&rig.spool);
    decoder_close(&rig.decoder);
    decoder_close(&rig.late_decoder);
    loop_bench_close(&bench);
    assert_int_equal(rig.sessions, 0);
    assert_int_equal(rig.undecodable, 0);
    return 0;
}

/* ---- the other side ---- */

static void answer_as(const struct frame *frame, Runespoor__AnswerStatus status, const char *reason)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Answer message = RUNESPOOR__ANSWER__INIT;
    message.session = frame->late ? rig.late_session : rig.session;
    message.stream = (char *)"gate";
    message.frame = frame->number;
    message.status = frame->decode_only ? RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED : status;
    message.reason = (char *)(frame->decode_only ? "decode_only" : reason);
    message.late = frame->late;
    header.answer = &message;
    say(&header, RUNESPOOR__HEADER__KIND_ANSWER);
}

static void answer_ok(void)
{
    while (rig.answer_next < rig.frame_count)
        answer_as(&rig.frames[rig.answer_next++], RUNESPOOR__ANSWER_STATUS__ANSWER_OK, "");
}

static void welcome_late(uint32_t credits)
{
    uint64_t live = rig.session;
    rig.session = rig.late_session = live + 1000;
    decoder_skip_to_keyframe(rig.late_decoder);
    welcome_with(rig.late_nonce, credits);
    rig.session = live;
}

/* ---- the file ---- */

static size_t read_file(unsigned *seen, size_t count, const char *with)
{
    char line[4096];
    size_t lines = 0;
    FILE *file = fopen(file_path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        uint64_t number = strtoull(strstr(line, "\"frame\":") + 8, NULL, 10);
        assert_true(number < count);
        seen[number]++;
        lines += strstr(line, with) != NULL;
    }
    fclose(file);
    return lines;
}

/* Each of the frames has one line; gives how many of them have this in it. */
static size_t expect_each_once(size_t count, const char *with)
{
    unsigned seen[FRAMES_MAX] = { 0 };
    size_t lines = read_file(seen, count, with);
    for (size_t i = 0; i < count; i++)
        if (seen[i] != 1)
            fail_msg("frame %zu has %u lines", i, seen[i]);
    return lines;
}

static bool finished_with_answers(void *arg)
{
    (void)arg;
    answer_ok();
    return rig.finished > 0;
}

static void answer_to_the_end(void)
{
    loop_bench_turn(&bench, finished_with_answers, NULL, 4 * WAIT_MS);
    assert_int_equal(rig.end.code, ERROR_NONE);
}

static bool as_many_lines(void *arg)
{
    return loop_bench_count(&bench, "edge_answer_lines_total", NULL) >= *(size_t *)arg;
}

static void wait_lines(size_t count)
{
    loop_bench_turn(&bench, as_many_lines, &count, WAIT_MS);
}

/* ---- tests ---- */

static void every_frame_has_its_line(void **state)
{
    (void)state;
    rig.config.source.seconds = 2;
    stream_begin();
    link_up();
    welcome(4);
    wait_frames(4);
    loop_bench_turn(&bench, NULL, NULL, 100);
    assert_int_equal(rig.frame_count, 4); /* credits hold here, too */
    answer_to_the_end();
    assert_int_equal(rig.frame_count, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(rig.frames[i].number, i);
        assert_int_equal(rig.frames[i].sequence, i);
        assert_false(rig.frames[i].decode_only || rig.frames[i].late);
    }
    assert_int_equal(expect_each_once(50, "\"ok\""), 50);
    assert_int_equal(frames("answered"), 50);
    assert_int_equal(frames("dropped"), 0);
    assert_string_equal(rig.bye_reason, "the source has ended");
    assert_int_equal(rig.late_hellos, 0);
}

/* Frames in flight are sent again, and those they need with them, to be decoded only. */
static void a_broken_link_is_gone_on_behind(void **state)
{
    (void)state;
    rig.config.source.seconds = 2;
    stream_begin();
    link_up();
    for (unsigned i = 0; i < 6; i++) {
        welcome(4);
        size_t before = rig.frame_count, lines = i * 3;
        wait_frames(before + 1);
        assert_true(rig.frames[before].keyframe);
        assert_int_equal(rig.frames[before].number, 0); /* of the first group */
        for (size_t answered = 0; answered < 3;) {
            wait_frames(rig.answer_next + 1);
            const struct frame *frame = &rig.frames[rig.answer_next++];
            answered += !frame->decode_only;
            assert_int_equal(frame->decode_only, frame->number < lines);
            answer_as(frame, RUNESPOOR__ANSWER_STATUS__ANSWER_OK, "");
        }
        wait_lines(lines + 3);
        link_down();
        unsigned hellos = rig.hellos;
        link_up();
        wait_hellos(hellos + 1);
    }
    welcome(4);
    answer_to_the_end();
    expect_each_once(50, "");
    assert_int_equal(frames("answered"), 50);
    assert_int_equal(frames("dropped"), 0);
}

static bool has_spooled(void *arg)
{
    return queue_depth("spool") >= *(uint64_t *)arg;
}

static bool has_late_hello(void *arg)
{
    (void)arg;
    answer_ok();
    return rig.late_hellos > 0;
}

static bool has_late_bye(void *arg)
{
    (void)arg;
    answer_ok();
    return rig.late_bye_reason[0];
}

/* A camera goes on while the link is down; then new frames come first, and the others beside them. */
static void a_long_outage_leaves_a_backlog(void **state)
{
    uint64_t many = 30;
    (void)state;
    rig.config.pace = PACE_REALTIME;
    rig.config.source.seconds = 5;
    rig.config.rung.keyframe_s = 600;
    stream_begin();
    link_up();
    welcome(4);
    wait_frames(3);
    link_down();
    loop_bench_turn(&bench, has_spooled, &many, WAIT_MS);
    link_up();
    welcome(4);
    loop_bench_turn(&bench, has_late_hello, NULL, WAIT_MS);
    welcome_late(4);
    loop_bench_turn(&bench, has_late_bye, NULL, WAIT_MS);
    assert_string_equal(rig.late_bye_reason, "the backlog is answered");
    answer_to_the_end();
    size_t late = 0, first_live = 0;
    for (size_t i = 3; i < rig.frame_count; i++) {
        late += rig.frames[i].late;
        if (!rig.frames[i].late && first_live == 0 && rig.frames[i].number > 3)
            first_live = i;
    }
    assert_true(late >= 30);
    assert_true(rig.frames[first_live].idr);
    uint64_t dropped = frames("dropped"); /* a busy machine encodes too late */
    if (dropped == 0)
        assert_int_equal(expect_each_once(125, "\"late\":true"), late);
    assert_int_equal(frames("captured"), frames("answered") + dropped);
    assert_int_equal(loop_bench_count(&bench, "edge_frames_late_total", NULL), late);
}

static unsigned asked;

static bool finished_with_a_bad_one(void *arg)
{
    unsigned *hellos = arg;
    if (rig.hellos > *hellos) {
        *hellos = rig.hellos;
        assert_string_equal(rig.bye_reason, "frames have to be sent again");
        welcome(4);
    }
    while (rig.answer_next < rig.frame_count) {
        const struct frame *frame = &rig.frames[rig.answer_next++];
        bool bad = frame->number == 7 && !frame->decode_only;
        asked += bad;
        answer_as(frame,
                  bad ? RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED : RUNESPOOR__ANSWER_STATUS__ANSWER_OK,
                  bad ? "worker_lost" : "");
    }
    return rig.finished > 0;
}

/* A frame that costs the server a worker: asked for again in another session, but not for ever. The
 * frames around it have their answers. */
static void a_frame_in_vain_is_asked_for_again(void **state)
{
    (void)state;
    asked = 0;
    rig.config.source.seconds = 1;
    stream_begin();
    link_up();
    unsigned hellos = rig.hellos;
    welcome(4);
    loop_bench_turn(&bench, finished_with_a_bad_one, &hellos, WAIT_MS);
    assert_int_equal(asked, SPOOL_TRIES_MAX);
    assert_int_equal(expect_each_once(25, "worker_lost"), 1);
    assert_int_equal(frames("answered"), 24);
    assert_int_equal(drops("server_dropped"), 1);
}

/* A server that stops answers what it has as dropped: that is never the answer. */
static void a_stopping_server_answers_nothing(void **state)
{
    (void)state;
    rig.config.source.seconds = 1;
    stream_begin();
    link_up();
    for (unsigned i = 0; i < SPOOL_TRIES_MAX + 2; i++) {
        unsigned hellos = rig.hellos;
        welcome(4);
        wait_frames(rig.frame_count + 1);
        while (rig.answer_next < rig.frame_count)
            answer_as(&rig.frames[rig.answer_next++], RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED,
                      "stream_ended");
        wait_hellos(hellos + 1);
    }
    welcome(4);
    answer_to_the_end();
    assert_int_equal(expect_each_once(25, "\"ok\""), 25);
}

static uint64_t published[FRAMES_MAX];
static size_t published_count, published_next;

static int note_published(void *arg, const Runespoor__Answer *answer, uint64_t age_us, uint64_t ticket)
{
    (void)arg;
    (void)age_us;
    assert_true(ticket > 0 && answer->frame < FRAMES_MAX && published_count < FRAMES_MAX);
    if (published_count % 10 == 9 && published_next < published_count) {
        published_next++; /* it has no room now and then; the frame is asked for again */
        sink_on_published(rig.sink, published[published_next - 1]);
        return -ERROR_AGAIN;
    }
    published[published_count++] = ticket;
    return 0;
}

static bool finished_with_places(void *arg)
{
    unsigned *hellos = arg;
    if (rig.hellos > *hellos) {
        *hellos = rig.hellos;
        welcome(4);
    }
    answer_ok();
    while (published_next < published_count)
        sink_on_published(rig.sink, published[published_next++]);
    return rig.finished > 0;
}

static bool has_published_four(void *arg)
{
    (void)arg;
    return published_count >= 4;
}

/* A line is in the file when the other place has its answer, not before. */
static void another_place_has_it_first(void **state)
{
    (void)state;
    rig.config.source.seconds = 1;
    published_count = published_next = 0;
    sink_register(rig.sink, note_published, NULL);
    stream_begin();
    link_up();
    welcome(4);
    wait_frames(4);
    answer_ok();
    loop_bench_turn(&bench, has_published_four, NULL, WAIT_MS);
    loop_bench_turn(&bench, NULL, NULL, 100);
    assert_int_equal(loop_bench_count(&bench, "edge_answer_lines_total", NULL), 0);
    unsigned hellos = rig.hellos;
    loop_bench_turn(&bench, finished_with_places, &hellos, WAIT_MS);
    assert_int_equal(expect_each_once(25, "\"ok\""), 25);
}

/* The uplink's queue is full until the source has nothing more to tell, and no answer is on its way:
 * nothing but time can set the stream going again. */
static void a_full_uplink_is_tried_again(void **state)
{
    uint64_t all = LOSSLESS_CAPTURE_MAX;
    (void)state;
    rig.config.source.seconds = 2;
    rig.full = true;
    stream_begin();
    link_up();
    welcome(4);
    loop_bench_turn(&bench, has_spooled, &all, WAIT_MS);
    loop_bench_turn(&bench, NULL, NULL, 100); /* what is under way in the spool comes to its end */
    assert_int_equal(rig.frame_count, 0);
    rig.full = false;
    answer_to_the_end();
    assert_int_equal(expect_each_once(50, "\"ok\""), 50);
    assert_int_equal(rig.hellos, 1); /* in the same session */
}

#define LOSSLESS(name) cmocka_unit_test_setup_teardown(name, setup_lossless, teardown_lossless)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOSSLESS(every_frame_has_its_line),          LOSSLESS(a_broken_link_is_gone_on_behind),
        LOSSLESS(a_long_outage_leaves_a_backlog),    LOSSLESS(a_frame_in_vain_is_asked_for_again),
        LOSSLESS(a_stopping_server_answers_nothing), LOSSLESS(another_place_has_it_first),
        LOSSLESS(a_full_uplink_is_tried_again),
    };
    return cmocka_run_group_tests_name("stream, lossless", tests, NULL, NULL);
}
