/* mpegts: one agent and a camera that sends MPEG-TS over UDP (tests/faults/ts_sender.c), in everything that such
 * a sender does to it: not there at the start, silent, another size, another codec, packets that are lost or
 * damaged on their way, data beside it that no table lists. Silence is found within its time, the camera
 * is back by itself with answers to its pictures, each change of its state is one line of the log, and a test
 * picture beside it loses nothing all the while. One run of the daemons for all tests, in order. */
#include "cameras.h"
#include "tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SHARE "20" /* of a thousand packets; a picture has five or more of them */

static struct cameras cameras;
static struct tool sender;
static size_t downs, ups; /* lines of the log that are to be there */

static int start_all(void **state)
{
    char url[100];
    (void)state;
    cameras_begin(&cameras);
    tool_start(&sender, &cameras.scratch, "ts_sender", "sender",
               (const char *const[]){ "--size", "320x240", NULL });
    snprintf(url, sizeof url, "cameras.0.source.url=udp://127.0.0.1:%u", sender.port);
    cameras_start(&cameras, (const char *const[]){ LIVE(0, "mpegts"), url, BESIDE(1), NULL });
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    cameras_stop(&cameras);
    tool_stop(&sender);
    cameras_end(&cameras);
    return 0;
}

/* ---- what is seen ---- */

static double losses(const char *cause)
{
    return cameras_metric(&cameras, "losses_total", "cam", cause);
}

static void expect_found(const char *cause, double before, uint64_t begin_ms, unsigned within_ms)
{
    char line[100];
    cameras_expect_found(&cameras, "cam", cause, before, begin_ms, within_ms);
    snprintf(line, sizeof line, "msg=\"camera is down, tried again\" stream=cam reason=%s", cause);
    process_expect(&cameras.agent, line, WAIT_MS);
    downs++;
}

static void expect_back(uint64_t begin_ms)
{
    cameras_expect_back(&cameras, "cam", begin_ms);
    ups++;
}

/* One line for each change, and none for what is the same again. */
static int check_lines(void **state)
{
    (void)state;
    assert_int_equal(
        process_count(&cameras.agent, "msg=\"camera is down, tried again\" stream=cam"), downs);
    assert_int_equal(process_count(&cameras.agent, "msg=\"camera is up\" stream=cam"), ups);
    return 0;
}

/* ---- tests ---- */

/* A camera that is not there cannot be told from one that is silent. */
static void absent_at_the_start(void **state)
{
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    expect_found("first_frame", 0, begin_ms, FIRST_FRAME_MS);
    cameras_expect_metric(&cameras, "losses_total", "cam", "first_frame", 2);
    assert_true(losses(NULL) == losses("first_frame"));
    assert_true(cameras_metric(&cameras, "state", "cam", NULL) < 2);
    page_expect(cameras.http, "/readyz", "503", "no picture within 3000 ms (first_frame_ms)");
    begin_ms = cameras_now_ms();
    tool_do(&sender, "go");
    expect_back(begin_ms);
    page_expect(cameras.http, "/readyz", "200", "");
    cameras_expect_answer(&cameras, "cam", "\"width\":320,\"height\":240");
    assert_true(process_said(&cameras.agent, "source=\"h264 320x240 15 fps\""));
}

static void silent(void **state)
{
    double stalls = losses("stall"), absent = losses("first_frame");
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    tool_do(&sender, "hang");
    expect_found("stall", stalls, begin_ms, STALL_MS);
    expect_found("first_frame", absent, begin_ms, STALL_MS + RETRY_CAP_MS + FIRST_FRAME_MS);
    begin_ms = cameras_now_ms();
    tool_do(&sender, "go");
    expect_back(begin_ms);
}

/* In the midst of the stream: the camera is not lost. */
static void another_size(void **state)
{
    double before = losses(NULL);
    (void)state;
    tool_do(&sender, "size 640x480");
    cameras_expect_answer(&cameras, "cam", "\"width\":640,\"height\":480");
    tool_do(&sender, "size 352x288");
    cameras_expect_answer(&cameras, "cam", "\"width\":352,\"height\":288");
    assert_true(losses(NULL) == before);
    assert_int_equal(process_count(&cameras.agent, "msg=streaming stream=cam"), 1);
}

/* The new stream has the numbers of the old one, and its packets do not decode: no picture comes. */
static void another_codec(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        double stalls = losses("stall"), all = losses(NULL);
        uint64_t begin_ms = cameras_now_ms();
        tool_do(&sender, i == 0 ? "codec h265" : "codec h264");
        expect_found("stall", stalls, begin_ms, STALL_MS);
        expect_back(begin_ms);
        assert_true(losses(NULL) == all + 1);
    }
    assert_int_equal(process_count(&cameras.agent, "source=\"hevc 352x288"), 1);
}

/* Some pictures are left out with what they lack; the others are answered, and it is the same camera. */
static void check_bad_packets(const char *begin, const char *end)
{
    static const char damaged[] = "edge_source_damaged_total{stream=\"cam\"}",
                      answered[] = "edge_frames_answered_total{stream=\"cam\"}";
    double before = losses(NULL), damaged_before = metric_now(cameras.http, damaged),
           answered_before = metric_now(cameras.http, answered);
    tool_do(&sender, begin);
    metric_expect(cameras.http, damaged, damaged_before + 5, WAIT_MS);
    metric_expect(cameras.http, answered, answered_before + 30, WAIT_MS);
    print_message("  left out: %g, answered: %g\n",
                  metric_now(cameras.http, damaged) - damaged_before,
                  metric_now(cameras.http, answered) - answered_before);
    tool_do(&sender, end);
    metric_expect(cameras.http, answered, metric_now(cameras.http, answered) + 15, WAIT_MS);
    assert_true(losses(NULL) == before);
    assert_true(cameras_metric(&cameras, "state", "cam", NULL) == 2);
}

static void missing_packets(void **state)
{
    (void)state;
    check_bad_packets("lose " SHARE, "lose 0");
}

static void damaged_packets(void **state)
{
    (void)state;
    check_bad_packets("damage " SHARE, "damage 0");
}

/* They do not hold up the video. */
static void stray_data(void **state)
{
    static const char answered[] = "edge_frames_answered_total{stream=\"cam\"}";
    double before = losses(NULL);
    (void)state;
    tool_do(&sender, "stray 1000");
    metric_expect(cameras.http, answered, metric_now(cameras.http, answered) + 30, WAIT_MS);
    tool_do(&sender, "stray 0");
    assert_true(losses(NULL) == before);
}

static void the_one_beside_lost_nothing(void **state)
{
    (void)state;
    cameras_expect_beside_untouched(&cameras);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, NULL, check_lines)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(absent_at_the_start), TEST(silent),
        TEST(another_size),        TEST(another_codec),
        TEST(missing_packets),     TEST(damaged_packets),
        TEST(stray_data),          TEST(the_one_beside_lost_nothing),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
