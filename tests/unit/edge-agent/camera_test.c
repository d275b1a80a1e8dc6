/* camera: what a rung, a rate cap, an order and the pace do to the frames that come out, looked at from
 * the server's side. */
#include "stream_rig.h"

static void an_order_makes_the_next_frame_a_keyframe(void **state)
{
    (void)state;
    stream_begin();
    link_up();
    welcome(1);
    for (size_t i = 1; i <= 12; i++) {
        wait_frames(i);
        if (i == 6)
            order_keyframe();
        answer_next();
    }
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(rig.frames[i].keyframe, i == 0 || i == 6);
    assert_int_equal(loop_bench_count(&bench, "edge_keyframes_asked_total", NULL), 1);
    assert_int_equal(rig.undecodable, 0);
}

static bool has_dropped_ten(void *arg)
{
    (void)arg;
    return drops("link_down") >= 10;
}

static void a_link_that_is_down_drops_what_comes(void **state)
{
    (void)state;
    rig.config.pace = PACE_REALTIME;
    rig.config.source.fps = 100;
    stream_begin();
    link_up();
    welcome(4);
    rig.answer_at_once = true;
    wait_frames(10);
    link_down();
    assert_int_equal(stream_state(), STREAM_WAITING);
    loop_bench_turn(&bench, has_dropped_ten, NULL, WAIT_MS);
    assert_true(drops("link_lost") <= 1); /* nothing more is encoded */
    link_up();
    welcome(4);
    size_t count = rig.frame_count;
    wait_frames(count + 10);
    assert_true(rig.frames[count].idr);
    assert_true(rig.frames[count].number > count + 9); /* numbers go on over what was dropped */
    stream_stop(rig.stream);
    wait_finished();
    expect_one_fate_each();
}

static void a_slow_server_costs_frames_not_age(void **state)
{
    (void)state;
    rig.config.pace = PACE_REALTIME;
    rig.config.source.fps = 100;
    rig.config.source.seconds = 1;
    stream_begin();
    link_up();
    welcome(2);
    for (unsigned i = 0; !rig.finished; i++) {
        loop_bench_turn(&bench, NULL, NULL, 30);
        while (rig.answer_next < rig.frame_count)
            answer_next();
        assert_true(i < 500);
    }
    assert_int_equal(frames("captured"), 100);
    assert_true(drops("no_credit") > 10);
    expect_one_fate_each();
}

static void rungs_change_while_it_streams(void **state)
{
    struct rung rung;
    (void)state;
    rig.config.rung.bitrate_kbps = 2000;
    rung = rig.config.rung;
    stream_begin();
    link_up();
    welcome(1);
    rig.answer_at_once = true;
    size_t count = 40;
    wait_frames(count);
    assert_false(stream_set_rung(rig.stream, &rung)); /* the same */
    /* Less bitrate: no keyframe, the same size, fewer bytes. */
    rung.bitrate_kbps = 100;
    assert_true(stream_set_rung(rig.stream, &rung));
    assert_false(stream_set_rung(rig.stream, &rung));
    wait_frames(count = 120);
    uint64_t rich = 0, poor = 0;
    for (size_t i = 1; i < count; i++) {
        assert_false(rig.frames[i].idr);
        assert_int_equal(rig.frames[i].width, 160);
        rich += i >= 20 && i < 40 ? rig.frames[i].bytes : 0;
        poor += i >= 100 ? rig.frames[i].bytes : 0;
    }
    assert_true(poor * 4 < rich);
    /* Another size: a keyframe, then none. */
    rung.width = 80;
    size_t asked = rig.frame_count;
    assert_true(stream_set_rung(rig.stream, &rung));
    wait_frames(asked + 20);
    size_t first = asked;
    while (rig.frames[first].width != 80)
        first++;
    assert_true(first <= asked + 2); /* one may have been in the making */
    for (size_t i = asked; i < asked + 20; i++) {
        assert_int_equal(rig.frames[i].idr, i == first);
        assert_int_equal(rig.frames[i].width, i < first ? 160 : 80);
        assert_int_equal(rig.frames[i].height, i < first ? 128 : 64); /* the aspect is kept */
    }
    stream_stop(rig.stream);
    wait_finished();
    assert_int_equal(rig.end.code, ERROR_NONE);
    expect_one_fate_each();
}

static void the_rate_cap_changes_while_it_streams(void **state)
{
    struct rung rung;
    (void)state;
    rig.config.rung.fps = 5;
    rung = rig.config.rung;
    rig.config.source.seconds = 4;
    stream_begin();
    link_up();
    welcome(1);
    rig.answer_at_once = true;
    wait_frames(5); /* one second of the source */
    rung.fps = 12.5;
    assert_true(stream_set_rung(rig.stream, &rung));
    wait_finished();
    assert_int_equal(frames("captured"), 100);
    assert_in_range(rig.frame_count, 5 + 33, 5 + 39);
    assert_int_equal(frames("capped"), 100 - rig.frame_count);
    expect_one_fate_each();
}

static void quality_changes_without_a_keyframe(void **state)
{
    (void)state;
    rig.config.rung.mode = RATE_QUALITY;
    rig.config.rung.bitrate_kbps = 20000;
    rig.config.rung.quality = 10;
    struct rung rung = rig.config.rung;
    stream_begin();
    link_up();
    welcome(1);
    rig.answer_at_once = true;
    wait_frames(20);
    rung.quality = 45;
    assert_true(stream_set_rung(rig.stream, &rung));
    wait_frames(60);
    uint64_t rich = 0, poor = 0;
    for (size_t i = 1; i < 60; i++) {
        assert_false(rig.frames[i].idr);
        rich += i < 20 ? rig.frames[i].bytes : 0;
        poor += i >= 41 ? rig.frames[i].bytes : 0;
    }
    assert_true(poor * 4 < rich);
}

static void a_broken_source_is_an_error(void **state)
{
    (void)state;
    const struct stream_context context = { .loop = &bench.loop, .metrics = bench.metrics };
    struct error err;
    rig.config.source.kind = SOURCE_FILE;
    rig.config.source.path = (char *)"/no/such/clip.mp4";
    assert_int_not_equal(stream_open(&rig.stream, &context, &rig.config, &err), 0);
    assert_non_null(strstr(err.text, "camera gate"));
    assert_non_null(strstr(err.text, "/no/such/clip.mp4"));
    assert_int_equal(stream_state(), STREAM_FAILED);
    rig.config.source.kind = SOURCE_TEST;
    rig.config.source.width = 10000; /* the configuration has no such size, a file may */
    assert_int_not_equal(stream_open(&rig.stream, &context, &rig.config, &err), 0);
    assert_null(rig.stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_order_makes_the_next_frame_a_keyframe),
        TEST(a_link_that_is_down_drops_what_comes),
        TEST(a_slow_server_costs_frames_not_age),
        TEST(rungs_change_while_it_streams),
        TEST(the_rate_cap_changes_while_it_streams),
        TEST(quality_changes_without_a_keyframe),
        TEST(a_broken_source_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
