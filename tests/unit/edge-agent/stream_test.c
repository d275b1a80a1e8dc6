/* stream: slow, refused and lost Hellos, answers that are late, missing or strange, sessions and links
 * that end, a link that takes nothing more. In the end each frame has met exactly one fate, credits
 * are neither lost nor made, and the decoder was never left with a hole. */
#include "stream_rig.h"

static void a_source_is_streamed_to_its_end(void **state)
{
    (void)state;
    rig.config.source.seconds = 2;
    rig.answer_at_once = true;
    stream_begin();
    char reason[200];
    assert_false(stream_ready(rig.stream, reason, sizeof reason));
    assert_non_null(strstr(reason, "the test has not begun"));
    loop_bench_turn(&bench, NULL, NULL, 30);
    assert_int_equal(rig.hellos, 0);
    assert_int_equal(frames("captured"), 0); /* it waits for its session */
    link_up();
    assert_int_equal(rig.hellos, 1);
    assert_false(stream_ready(rig.stream, reason, sizeof reason));
    assert_non_null(strstr(reason, "gate"));
    welcome(4);
    assert_true(stream_ready(rig.stream, reason, sizeof reason));
    assert_int_equal(stream_state(), STREAM_STREAMING);
    wait_finished();
    assert_int_equal(rig.end.code, ERROR_NONE);
    assert_int_equal(rig.frame_count, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(rig.frames[i].number, i);
        assert_int_equal(rig.frames[i].sequence, i);
        assert_int_equal(rig.frames[i].keyframe, i == 0);
    }
    assert_int_equal(frames("answered"), 50);
    assert_int_equal(frames("dropped"), 0);
    assert_string_equal(rig.bye_reason, "the source has ended");
    assert_int_equal(rig.byes, 1);
    assert_int_equal(rig.sessions, 0);
    assert_int_equal(stream_state(), STREAM_ENDED);
    assert_true(stream_ready(rig.stream, reason, sizeof reason)); /* nothing is amiss */
    expect_one_fate_each();
    /* It wants no session any more. */
    link_down();
    link_up();
    assert_int_equal(rig.hellos, 1);
    assert_int_equal(rig.finished, 1);
    assert_int_equal(stream_state(), STREAM_ENDED);
}

static void credits_are_never_exceeded(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    welcome(3);
    wait_frames(3);
    loop_bench_turn(&bench, NULL, NULL, 60);
    assert_int_equal(rig.frame_count, 3);
    for (size_t i = 4; i < 20; i++) {
        answer_next();
        wait_frames(i);
        loop_bench_turn(&bench, NULL, NULL, 5);
        assert_int_equal(rig.frame_count, i);
    }
    /* An answer that skips one gives both back; a stray one gives nothing. */
    rig.answer_next++;
    answer_next();
    assert_int_equal(drops("unanswered"), 1);
    wait_frames(21);
    answer_frame(rig.frames[rig.answer_next - 1].number, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    answer_frame(rig.frames[rig.answer_next - 2].number, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    answer_frame(1000000, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    assert_int_equal(loop_bench_count(&bench, "edge_answers_unexpected_total", NULL), 3);
    loop_bench_turn(&bench, NULL, NULL, 60);
    assert_int_equal(rig.frame_count, 21);
    assert_int_equal(queue_depth("in_flight"), 3);
    assert_int_equal(frames("captured"),
                     frames("answered") + frames("dropped") + queue_depth("in_flight"));
}

static void answers_without_analysis_are_drops(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    welcome(2);
    wait_frames(2);
    answer_frame(0, RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED);
    answer_frame(1, RUNESPOOR__ANSWER_STATUS__ANSWER_FAILED);
    assert_int_equal(drops("server_dropped"), 1);
    assert_int_equal(drops("server_failed"), 1);
    assert_int_equal(frames("answered"), 0);
    wait_frames(4); /* their credits came back */
}

static void a_refused_hello_is_said_again_in_time(void **state)
{
    (void)state;
    char reason[200];
    stream_begin();
    link_up();
    uint64_t begin_ns = clock_now_ns();
    refuse("the name is in use", 150);
    assert_false(stream_ready(rig.stream, reason, sizeof reason));
    assert_non_null(strstr(reason, "the name is in use"));
    wait_hellos(2);
    assert_true(clock_now_ns() - begin_ns >= 140 * CLOCK_NS_PER_MS);
    refuse("the name is in use", 20);
    wait_hellos(3);
    welcome(1);
    refuse("too late", 1); /* to an earlier Hello: there is a session */
    wait_frames(1);
    loop_bench_turn(&bench, NULL, NULL, 30);
    assert_int_equal(rig.hellos, 3);
}

/* The reply to the first Hello comes when the second one has been said. */
static void a_slow_welcome_counts(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    wait_hellos(2);
    assert_int_equal(rig.nonces[0], rig.nonces[1]);
    rig.session = 5;
    welcome_with(rig.nonces[0] + 1, 9); /* somebody else's */
    loop_bench_turn(&bench, NULL, NULL, 20);
    assert_int_equal(rig.sessions, 0);
    welcome_with(rig.nonces[0], 2);
    wait_frames(2);
    welcome_with(rig.nonces[1], 2); /* the server has heard both */
    loop_bench_turn(&bench, NULL, NULL, 20);
    assert_int_equal(rig.sessions, 1);
    assert_int_equal(rig.frame_count, 2); /* no new credits */
}

/* Goes from session to session by Bye, lost links and both; nothing of one gets into the next. */
static void sessions_come_and_go(void **state)
{
    (void)state;
    rig.config.source.seconds = 16; /* 400 frames */
    stream_begin();
    link_up();
    unsigned hellos = 1;
    for (unsigned i = 0; !rig.finished; i++) {
        wait_hellos(hellos);
        assert_int_equal(rig.hellos, hellos);
        size_t before = rig.frame_count, wanted = before + 4;
        welcome(1 + i % 5);
        rig.answer_at_once = true;
        while (!rig.finished && rig.frame_count < wanted) {
            has_frames(&wanted);
            uv_run(&bench.loop, UV_RUN_ONCE);
        }
        rig.answer_at_once = false;
        if (rig.frame_count > before) {
            assert_true(rig.frames[before].idr);
            assert_int_equal(rig.frames[before].sequence, 0);
        }
        loop_bench_turn(&bench, NULL, NULL, i % 3); /* sometimes with frames in flight or the queue */
        if (rig.finished)
            break;
        if (i % 3 == 1) { /* now surely with frames in the queue */
            while (rig.answer_next < rig.frame_count)
                answer_next();
            if (rig.finished) /* its source had ended, and that was its last answer */
                break;
            uv_sleep(5);
        }
        if (i % 2)
            say_bye();
        if (i % 2 == 0 || i % 3 == 0) {
            link_down();
            assert_int_equal(rig.sessions, 0);
            loop_bench_turn(&bench, NULL, NULL, i % 4);
            hellos += i % 2;
            link_up();
        }
        hellos++;
        if (rig.hellos < hellos) /* its source has ended meanwhile */
            break;
    }
    rig.answer_at_once = true;
    wait_finished();
    assert_int_equal(frames("captured"), 400);
    assert_true(drops("link_lost") > 10);
    assert_int_equal(drops("link_lost"), frames("dropped"));
    expect_one_fate_each();
}

/* A server that leaves says so first: nothing more is sent to it, what is in flight is answered, and the
 * session goes with its last word. */
static void a_server_that_leaves_answers_what_it_has(void **state)
{
    (void)state;
    rig.config.pace = PACE_REALTIME;
    rig.config.source.fps = 50;
    rig.config.source.seconds = 60;
    stream_begin();
    link_up();
    welcome(2);
    wait_frames(2);
    say_bye_with(true);
    assert_int_equal(rig.leaves, 1);
    assert_int_equal(rig.sessions, 1);
    loop_bench_turn(&bench, NULL, NULL, 100);
    assert_int_equal(rig.frame_count, 2);
    while (rig.answer_next < rig.frame_count)
        answer_next();
    loop_bench_turn(&bench, NULL, NULL, 100); /* answers bring no credits back */
    assert_int_equal(rig.frame_count, 2);
    assert_int_equal(frames("answered"), 2);
    say_bye();
    assert_int_equal(rig.sessions, 0);
    stream_stop(rig.stream);
    wait_finished();
    expect_one_fate_each();
}

static void a_source_may_end_while_the_link_is_down(void **state)
{
    (void)state;
    rig.config.pace = PACE_REALTIME;
    rig.config.source.fps = 50;
    rig.config.source.seconds = 1;
    stream_begin();
    link_up();
    welcome(2);
    rig.answer_at_once = true;
    wait_frames(3);
    link_down();
    link_up(); /* a Hello is under way when the source ends */
    wait_finished();
    assert_int_equal(rig.byes, 0);
    assert_int_equal(frames("captured"), 50);
    expect_one_fate_each();
    unsigned hellos = rig.hellos;
    loop_bench_turn(&bench, NULL, NULL, 1100);
    assert_int_equal(rig.hellos, hellos);
}

/* A frame that the link does not take leaves a hole: nothing may follow it but a keyframe. */
static void a_full_link_is_left_with_a_keyframe(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    welcome(4);
    rig.answer_at_once = true;
    for (unsigned i = 0; i < 8; i++) {
        size_t count = rig.frame_count + 5;
        rig.full = false;
        wait_frames(count);
        rig.full = true;
        uint64_t dropped = drops("uplink_full");
        while (drops("uplink_full") < dropped + 1 + i % 3)
            uv_run(&bench.loop, UV_RUN_ONCE);
    }
    stream_stop(rig.stream);
    wait_finished();
    for (size_t i = 1; i < rig.frame_count; i++) {
        assert_int_equal(rig.frames[i].sequence, i);
        if (rig.frames[i].number != rig.frames[i - 1].number + 1)
            assert_true(rig.frames[i].idr);
    }
    expect_one_fate_each();
}

static void closing_counts_what_was_on_its_way(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    welcome(200);
    wait_frames(40); /* none answered; more in the queue and in the making */
    stream_end();
    assert_string_equal(rig.bye_reason, "the agent stops");
    assert_int_equal(frames("answered"), 0);
    assert_int_equal(drops("stopped"), frames("captured"));
    expect_one_fate_each();
    assert_int_equal(rig.finished, 0);
}

static void stopping_waits_for_the_answers(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    welcome(5);
    wait_frames(5);
    stream_stop(rig.stream);
    loop_bench_turn(&bench, NULL, NULL, 50);
    assert_int_equal(rig.finished, 0);
    say_bye(); /* the session is gone, and so are the answers: no other one is asked for */
    wait_finished();
    assert_int_equal(rig.hellos, 1);
    assert_int_equal(drops("link_lost"), 5);
    expect_one_fate_each();
}

static void closing_at_any_moment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        stream_begin();
        if (i % 4 > 0)
            link_up();
        if (i % 4 > 1)
            welcome(8);
        loop_bench_turn(&bench, NULL, NULL, i / 2);
        if (i % 4 > 2)
            stream_stop(rig.stream);
        stream_end();
        rig.up = false;
    }
    assert_int_equal(frames("captured"), frames("dropped"));
}

static bool has_reports(void *arg)
{
    (void)arg;
    return rig.reports >= 3;
}

static void reports_go_out_while_there_is_a_session(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    welcome(1);
    loop_bench_turn(&bench, has_reports, NULL, WAIT_MS);
    link_down();
    unsigned reports = rig.reports;
    rig.up = true; /* only the stream thinks it down */
    loop_bench_turn(&bench, NULL, NULL, 120);
    assert_int_equal(rig.reports, reports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_source_is_streamed_to_its_end),
        TEST(credits_are_never_exceeded),
        TEST(answers_without_analysis_are_drops),
        TEST(a_refused_hello_is_said_again_in_time),
        TEST(a_slow_welcome_counts),
        TEST(sessions_come_and_go),
        TEST(a_server_that_leaves_answers_what_it_has),
        TEST(a_source_may_end_while_the_link_is_down),
        TEST(a_full_link_is_left_with_a_keyframe),
        TEST(closing_counts_what_was_on_its_way),
        TEST(stopping_waits_for_the_answers),
        TEST(closing_at_any_moment),
        TEST(reports_go_out_while_there_is_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
