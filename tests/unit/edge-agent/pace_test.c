/* pace: due times, lateness without starving, and a rate cap that keeps its average over awkward rates,
 * gaps and changes. */
#include "pace.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static unsigned admitted(double source_fps, double cap_fps, unsigned frames)
{
    struct pace pace;
    unsigned count = 0;
    pace_init(&pace, source_fps, cap_fps, 0);
    for (unsigned i = 0; i < frames; i++)
        count += pace_admit(&pace, (uint64_t)((double)i * 1e9 / source_fps));
    return count;
}

static void cap_keeps_its_average(void **state)
{
    (void)state;
    const struct {
        double source, cap;
        unsigned frames, least, most;
    } cases[] = {
        { 25, 10, 2500, 1000, 1001 },   { 30, 12.5, 3000, 1250, 1251 },
        { 29.97, 10, 2997, 999, 1002 }, { 10, 10, 100, 100, 100 },
        { 10, 25, 100, 100, 100 },      { 25, 0, 77, 77, 77 },
        { 60, 1, 600, 10, 10 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned count = admitted(cases[i].source, cases[i].cap, cases[i].frames);
        if (count < cases[i].least || count > cases[i].most)
            fail_msg("%g fps capped at %g: %u of %u", cases[i].source, cases[i].cap, count,
                     cases[i].frames);
    }
}

static void gap_makes_no_burst(void **state)
{
    (void)state;
    struct pace pace;
    unsigned count = 0;
    pace_init(&pace, 20, 5, 0);
    assert_true(pace_admit(&pace, 0));
    for (unsigned i = 0; i < 20; i++) /* after ten silent seconds, one second of frames */
        count += pace_admit(&pace, 10 * CLOCK_NS_PER_S + i * CLOCK_NS_PER_S / 20);
    assert_in_range(count, 5, 6);
}

static void due_and_late(void **state)
{
    (void)state;
    struct pace pace;
    const uint64_t time_ns = 3 * CLOCK_NS_PER_S, ms = CLOCK_NS_PER_MS;
    pace_init(&pace, 10, 0, 1000);
    uint64_t due = pace_due_ns(&pace, time_ns);
    assert_int_equal(due, 1000 + time_ns);
    assert_false(pace_is_late(&pace, time_ns, due - 50 * ms));
    assert_false(pace_is_late(&pace, time_ns, due));
    assert_false(pace_is_late(&pace, time_ns, due + 200 * ms));
    assert_true(pace_is_late(&pace, time_ns, due + 201 * ms));
}

/* Plays 500 pictures of a 25 fps source on a clock of its own; gives how many were sent. */
static unsigned play(uint64_t read_ms, uint64_t encode_ms, uint64_t stop_ms)
{
    struct pace pace;
    unsigned sent = 0;
    uint64_t now_ns = 0;
    pace_init(&pace, 25, 0, 0);
    for (unsigned i = 0; i < 500; i++) {
        uint64_t time_ns = i * CLOCK_NS_PER_S / 25;
        if (i == 100)
            now_ns += stop_ms * CLOCK_NS_PER_MS;
        now_ns += read_ms * CLOCK_NS_PER_MS;
        if (now_ns < pace_due_ns(&pace, time_ns))
            now_ns = pace_due_ns(&pace, time_ns);
        if (pace_is_late(&pace, time_ns, now_ns))
            continue;
        assert_true(pace_due_ns(&pace, time_ns) <= now_ns);
        assert_true(now_ns - pace_due_ns(&pace, time_ns) <= 80 * CLOCK_NS_PER_MS);
        now_ns += encode_ms * CLOCK_NS_PER_MS;
        sent++;
    }
    return sent;
}

static void slow_boxes_send_what_they_can(void **state)
{
    (void)state;
    assert_int_equal(play(10, 20, 0), 500);
    /* A slow encoder leaves frames out: 40 ms a frame make 40 of 70 at most. */
    assert_in_range(play(10, 60, 0), 200, 290);
    /* A source slower than its own pace cannot catch up by that, and must not starve. */
    assert_in_range(play(60, 5, 0), 350, 500);
    assert_in_range(play(41, 0, 0), 350, 500);
    /* A box that stood still for 2 s has missed what a camera would have missed. */
    assert_in_range(play(5, 10, 2000), 440, 460);
}

static void caps_change_on_the_way(void **state)
{
    (void)state;
    struct pace pace;
    unsigned sent[3] = { 0 };
    const double caps[3] = { 5, 0, 10 };
    pace_init(&pace, 25, 0, 0);
    for (unsigned i = 0; i < 750; i++) {
        if (i % 250 == 0)
            pace_set_cap(&pace, caps[i / 250]);
        sent[i / 250] += pace_admit(&pace, 3600 * CLOCK_NS_PER_S + i * CLOCK_NS_PER_S / 25);
    }
    assert_in_range(sent[0], 50, 51);
    assert_int_equal(sent[1], 250);
    assert_in_range(sent[2], 100, 101);
}

/* Where a source does not tell its rate, the cap holds whatever the rate is. */
static void unknown_rates_are_capped(void **state)
{
    (void)state;
    struct pace pace;
    unsigned sent = 0;
    pace_init(&pace, 0, 30, 0);
    for (unsigned i = 0; i < 600; i++)
        sent += pace_admit(&pace, i * CLOCK_NS_PER_S / 60);
    assert_in_range(sent, 300, 310);
    assert_true(pace_sent_fps(0, 0) == 25);
    assert_true(pace_sent_fps(0, 10) == 10);
    assert_true(pace_sent_fps(30, 0) == 30);
    assert_true(pace_sent_fps(30, 60) == 30);
    assert_true(pace_sent_fps(30, 12.5) == 12.5);
}

/* A live camera's pictures on the way: the network takes 20 to 50 ms, its clock is slow by 100 in a million. */
static void capture_times_follow_the_fastest(void **state)
{
    (void)state;
    struct pace pace;
    const uint64_t ms = CLOCK_NS_PER_MS, begun = 5 * CLOCK_NS_PER_S;
    pace_init_live(&pace, 25, 0);
    for (uint64_t i = 0; i < 25 * 3600; i++) {
        uint64_t taken = begun + i * 40 * ms, time_ns = i * 40 * ms - i * 4000;
        uint64_t now_ns = taken + 20 * ms + i * 7919 % 31 * ms;
        pace_arrive(&pace, time_ns, now_ns);
        assert_false(pace_is_late(&pace, time_ns, now_ns));
        uint64_t due = pace_due_ns(&pace, time_ns);
        assert_true(due <= now_ns);
        if (i > 100) /* what no picture shows is how long the fastest took */
            assert_in_range(due, taken + 15 * ms, taken + 25 * ms);
    }
}

/* The network stands still for 3 s, and then brings all of them at once. */
static void what_waited_on_the_way_is_late(void **state)
{
    (void)state;
    struct pace pace;
    unsigned late = 0;
    const uint64_t ms = CLOCK_NS_PER_MS;
    pace_init_live(&pace, 25, 0);
    for (uint64_t i = 0; i < 250; i++) {
        uint64_t time_ns = i * 40 * ms, now_ns = time_ns;
        if (i >= 100 && i < 175)
            now_ns = 175 * 40 * ms + (i - 100) * ms;
        pace_arrive(&pace, time_ns, now_ns);
        late += pace_is_late(&pace, time_ns, now_ns);
    }
    assert_in_range(late, 48, 53); /* the last second of them still counts */
    /* A camera that from now on takes a second and a half longer loses a picture or two, not all. */
    late = 0;
    for (uint64_t i = 250; i < 500; i++) {
        uint64_t time_ns = i * 40 * ms, now_ns = time_ns + 1500 * ms;
        pace_arrive(&pace, time_ns, now_ns);
        late += pace_is_late(&pace, time_ns, now_ns);
    }
    assert_in_range(late, 1, 2);
}

/* Pictures of a rate until it is believed; 0: never. */
static unsigned believed_after(struct pace_rate *rate, uint64_t *time_ns, double fps, double known_fps)
{
    for (unsigned i = 1; i <= 400; i++) {
        *time_ns += (uint64_t)(1e9 / fps);
        if (pace_rate_add(rate, *time_ns, known_fps))
            return i;
    }
    return 0;
}

static void rates_are_measured(void **state)
{
    (void)state;
    struct pace_rate rate = { .count = 0 };
    uint64_t time_ns = 0;
    assert_in_range(believed_after(&rate, &time_ns, 12.5, 0), 25, 28);
    assert_true(rate.fps > 12.4 && rate.fps < 12.6);
    assert_int_equal(believed_after(&rate, &time_ns, 12.5, rate.fps), 0);
    assert_int_equal(believed_after(&rate, &time_ns, 13.5, 12.5), 0); /* near enough */
    assert_in_range(believed_after(&rate, &time_ns, 6.25, 12.5), 20, 60);
    assert_true(rate.fps > 6.2 && rate.fps < 6.3);
    assert_in_range(believed_after(&rate, &time_ns, 25, 6.25), 90, 160);
    /* One dropped second is no other rate. */
    assert_int_equal(believed_after(&rate, &time_ns, 25, 25), 0);
    time_ns += 3 * CLOCK_NS_PER_S;
    assert_int_equal(believed_after(&rate, &time_ns, 25, 25), 0);
    /* Slower than a picture a second is a rate, too. */
    rate = (struct pace_rate){ .count = 0 };
    assert_in_range(believed_after(&rate, &time_ns, 0.5, 0), 10, 12);
    assert_true(rate.fps > 0.49 && rate.fps < 0.51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cap_keeps_its_average),
        cmocka_unit_test(gap_makes_no_burst),
        cmocka_unit_test(due_and_late),
        cmocka_unit_test(slow_boxes_send_what_they_can),
        cmocka_unit_test(caps_change_on_the_way),
        cmocka_unit_test(unknown_rates_are_capped),
        cmocka_unit_test(capture_times_follow_the_fastest),
        cmocka_unit_test(what_waited_on_the_way_is_late),
        cmocka_unit_test(rates_are_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
