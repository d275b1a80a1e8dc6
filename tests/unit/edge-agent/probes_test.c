/* probes: a frame drawn is announced, comes in slices of which each waits for the receipt of the one before,
 * only while no packet is on its way, and is the source's own picture; packets ask for receipts as long as one
 * waits; a lost receipt holds nothing up; refusals, lost links and streams that end take a probe along and
 * nothing else; uncertain answers are likelier, with their probability; no probe without the server's or the
 * operator's wish. */
#include "stream_rig.h"

#include <math.h>

#define CREDITS 4u

/* As much as is asked for: the first frame is drawn already. */
static void begin(Runespoor__ProbeOrder order, double share)
{
    rig.order = order;
    rig.probes_config = (struct probes_config){ .share = share, .quality = 12 };
    stream_begin();
    link_up();
    welcome(CREDITS);
}

static bool slice_waits(void *arg)
{
    (void)arg;
    return rig.slice_waits;
}

static bool slice_or_packet(void *arg)
{
    return rig.slice_waits || rig.frame_count > *(size_t *)arg;
}

/* The probe is encoded and waits, and no credit is left for a frame: all that may be sent is on its way. */
static bool only_waits(void *arg)
{
    (void)arg;
    return loop_bench_count(&bench, "edge_probe_state", NULL) == 2 &&
           rig.frame_count == rig.answer_next + CREDITS;
}

static uint64_t ended(const char *end)
{
    return loop_bench_count(&bench, "edge_probes_total", end);
}

/* Answers each frame until so many probes were announced: the last one's frame has no answer yet. */
static void wait_announced(unsigned count)
{
    wait_frames(rig.answer_next + 1);
    while (rig.probe_starts < count) {
        answer_next();
        if (rig.slice_waits)
            send_receipt("");
        wait_frames(rig.answer_next + 1);
    }
}

/* Answers all frames and takes all slices until a probe has come whole. */
static void let_probe_through(void)
{
    uint64_t before = ended("sent");
    while (ended("sent") == before) {
        if (rig.answer_next < rig.frame_count)
            answer_next();
        else if (rig.slice_waits)
            send_receipt("");
        else
            loop_bench_turn(&bench, NULL, NULL, 1);
    }
    assert_int_equal(rig.probe_bytes, rig.probe_all);
}

/* What was received, decoded, against what the source shows at that time. */
static void expect_sources_picture(void)
{
    const struct decoder_config config = {
        .codec = VIDEO_H264, .width_max = 640, .height_max = 640, .pictures = 2
    };
    struct decoder *decoder;
    struct source *source;
    struct picture *got = NULL, *shown = NULL;
    struct picture_view a, b;
    uint64_t time_ns;
    double sum = 0;
    assert_int_equal(decoder_open(&decoder, &config, NULL), 0);
    assert_int_equal(decoder_decode(decoder, rig.probe, rig.probe_bytes, true, &got, NULL), 0);
    assert_int_equal(source_open(&source, &rig.config.source, NULL), 0);
    for (uint64_t i = 0; i <= rig.probe_frame; i++) {
        picture_unref(&shown);
        assert_int_equal(source_next(source, &shown, &time_ns, NULL), 0);
    }
    picture_get_view(got, &a);
    picture_get_view(shown, &b);
    assert_int_equal(a.width, b.width);
    assert_int_equal(a.height, b.height);
    for (uint32_t y = 0; y < a.height; y++)
        for (uint32_t x = 0; x < a.width; x++)
            sum += pow(a.plane[0][y * a.stride[0] + x] - b.plane[0][y * b.stride[0] + x], 2);
    double psnr = 10 * log10(65025 / (sum / (a.width * a.height)));
    print_message("frame %llu in %u slices, %zu bytes, %.1f dB\n",
                  (unsigned long long)rig.probe_frame, rig.slices, rig.probe_bytes, psnr);
    assert_true(psnr > 38);
    picture_unref(&got);
    picture_unref(&shown);
    source_close(&source);
    decoder_close(&decoder);
}

static void a_frame_is_sent_again_as_it_was(void **state)
{
    (void)state;
    rig.config.rung.width = 80;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.4);
    wait_announced(1);
    assert_true(rig.probability == 1);
    assert_non_null(strstr(rig.rung, "80x64 25 fps h264 400 kbit/s"));
    let_probe_through();
    expect_sources_picture();
    assert_int_equal(ended("sent"), 1);
    assert_true(rig.receipts_asked > 0);
    uint64_t bytes = loop_bench_count(&bench, "edge_probe_bytes_total", NULL);
    assert_true(bytes > rig.probe_bytes && bytes < rig.probe_bytes + 60 * (rig.slices + 1));
}

/* No slice goes while a packet is on its way, and none before the receipt of the one before. */
static void live_frames_go_first(void **state)
{
    (void)state;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.5);
    wait_announced(1);
    loop_bench_turn(&bench, only_waits, NULL, WAIT_MS);
    loop_bench_turn(&bench, NULL, NULL, 100);
    assert_false(rig.slice_waits);
    answer_next();
    wait_frames(rig.frame_count + 1);
    assert_true(rig.receipts_asked > 0);
    assert_false(rig.slice_waits);
    /* The newest has arrived, so all have. */
    send_receipt("");
    loop_bench_turn(&bench, slice_waits, NULL, 1000);
    assert_int_equal(rig.slices, 1);
    loop_bench_turn(&bench, NULL, NULL, 100);
    assert_int_equal(rig.slices, 1);
    send_receipt("");
    assert_int_equal(rig.slices, 2); /* at once: nothing else is on its way */
    /* A packet is sent while the slice is: the next one waits for both. */
    answer_next();
    size_t count = rig.frame_count;
    loop_bench_turn(&bench, slice_or_packet, &count, 1000);
    wait_frames(count + 1);
    assert_true(rig.slice_waits);
    send_receipt("");
    assert_int_equal(rig.slices, 2);
    send_receipt(""); /* of the packet */
    loop_bench_turn(&bench, slice_waits, NULL, 1000);
    assert_int_equal(rig.slices, 3);
}

/* A link may have let a slice through and have to make up for it: the next one waits, and goes without anything
 * else happening. */
static void slices_go_at_the_pace_of_what_is_saved(void **state)
{
    (void)state;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.2);
    wait_announced(1);
    loop_bench_turn(&bench, only_waits, NULL, WAIT_MS);
    send_receipt("");
    assert_true(rig.slice_waits);
    for (unsigned i = 0; i < 3; i++) {
        send_receipt("");
        assert_false(rig.slice_waits);
        loop_bench_turn(&bench, slice_waits, NULL, 30000);
        assert_true(rig.slice_waits);
    }
}

static void a_refused_probe_is_over(void **state)
{
    (void)state;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.5);
    wait_announced(1);
    send_receipt("no_answer");
    assert_int_equal(ended("refused"), 1);
    wait_announced(2); /* another one is drawn in time */
    let_probe_through();
    assert_int_equal(ended("sent"), 1);
}

static void a_lost_link_takes_a_probe_along(void **state)
{
    (void)state;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.5);
    wait_announced(1);
    link_down();
    assert_int_equal(ended("session_ended"), 1);
    rig.slice_waits = false;
    loop_bench_turn(&bench, NULL, NULL, 200); /* what was encoded meanwhile finds nobody */
    link_up();
    welcome(CREDITS);
    wait_announced(2);
    let_probe_through();
    assert_int_equal(ended("sent"), 1);
}

/* A packet that was sent behind a slice and is answered has come through behind it. */
static void a_lost_receipt_holds_nothing_up(void **state)
{
    (void)state;
    unsigned slices = 0;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.5);
    wait_announced(1);
    while (ended("sent") == 0) {
        slices = rig.slices; /* of this one: when it is over, there may be a next */
        answer_next();
        wait_frames(rig.answer_next + 1);
    }
    assert_true(slices > 1);
}

/* Of answers, every third is uncertain. How often such frames are drawn is probe_budget_test's. */
static void uncertain_answers_are_likelier(void **state)
{
    (void)state;
    unsigned starts = 0, uncertain = 0;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_UNCERTAIN, 0.5);
    while (rig.frame_count < FRAMES_MAX - 10) {
        wait_frames(rig.answer_next + 1);
        uint64_t number = rig.frames[rig.answer_next].number;
        rig.uncertainty = number % 3 == 0 ? 0.9f : 0.05f;
        if (rig.slice_waits)
            send_receipt("");
        answer_next();
        if (rig.probe_starts > starts) {
            starts = rig.probe_starts;
            assert_int_equal(rig.probe_frame, number); /* the one just answered */
            uncertain += number % 3 == 0;
            if (rig.frame_count > 100) /* by then it is known what is usual */
                assert_true(number % 3 == 0 ? rig.probability > 0.6
                                            : rig.probability > 0.2 && rig.probability < 0.35);
        }
    }
    print_message("%u of %u were uncertain\n", uncertain, starts);
    assert_true(starts >= 10);
    assert_true(uncertain > 0);
}

static void nobody_asked(void **state)
{
    (void)state;
    rig.config.source.seconds = 4;
    rig.answer_at_once = true;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_NONE, 0.5);
    wait_finished();
    assert_int_equal(rig.probe_starts, 0);
    assert_int_equal(rig.receipts_asked, 0);
}

static void nothing_to_spend(void **state)
{
    (void)state;
    rig.config.source.seconds = 4;
    rig.answer_at_once = true;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_UNCERTAIN, 0);
    wait_finished();
    assert_int_equal(rig.probe_starts, 0);
}

/* No share any more: what is under way goes, no frame is drawn. */
static void the_share_changes_under_streams(void **state)
{
    const struct probes_config none = { .share = 0, .quality = 12 };
    (void)state;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.5);
    wait_announced(1);
    let_probe_through();
    probes_set_config(rig.probes, &none);
    unsigned starts = rig.probe_starts;
    for (unsigned i = 0; i < 40; i++) {
        wait_frames(rig.answer_next + 1);
        answer_next();
        if (rig.slice_waits)
            send_receipt("");
    }
    assert_true(rig.probe_starts <= starts + 1); /* one may have been drawn before */
}

/* A picture is with the encoder when its stream goes and another takes the part: it is nobody's. */
static void a_part_is_used_again(void **state)
{
    const struct source_info camera = { .width = 160, .height = 128, .fps = 25 };
    (void)state;
    begin(RUNESPOOR__PROBE_ORDER__PROBES_RANDOM, 0.5);
    wait_announced(1);
    stream_close(&rig.stream);
    struct probe_stream *part = probes_add_stream(rig.probes, "yard", &camera);
    assert_true(probe_stream_begin(part, 7, RUNESPOOR__PROBE_ORDER__PROBES_RANDOM));
    for (unsigned i = 0; i < 50; i++)
        loop_bench_turn(&bench, NULL, NULL, 1);
    assert_false(probes_wait(rig.probes));
    probes_remove_stream(&part);
    assert_null(part);
    probes_remove_stream(&part); /* NULL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frame_is_sent_again_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(live_frames_go_first, setup, teardown),
        cmocka_unit_test_setup_teardown(slices_go_at_the_pace_of_what_is_saved, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_probe_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_receipt_holds_nothing_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_link_takes_a_probe_along, setup, teardown),
        cmocka_unit_test_setup_teardown(uncertain_answers_are_likelier, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_spend, setup, teardown),
        cmocka_unit_test_setup_teardown(the_share_changes_under_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(a_part_is_used_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
