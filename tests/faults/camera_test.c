/* camera: one agent and its cameras (tests/faults/rtsp_server.c, a proxy before one of them) in everything
 * that cameras do to it: not there at the start, silent without closing, reset, a trickle, gone, another
 * size, another codec, B-frames over UDP, a wrong password. Each is found by name within its deadline, each
 * camera is back by itself, and a test picture beside them loses nothing all the while. One run of the daemons
 * for all tests, in order. */
#include "harness.h"
#include "tool.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 60000u /* for what has no time of its own */
#define FIRST_FRAME_MS 3000u
#define STALL_MS 1500u
#define RETRY_CAP_MS 1000u
/* Above the agent's own deadlines, for machines that do other things beside. */
#define SLACK_MS 8000u

static struct {
    struct scratch scratch;
    struct process server, agent;
    struct tool camera, proxy, locked, udp;
    uint16_t http;
    char texts[4][100];
    double slower; /* of sanitizers */
} rig;

static void write_password(const char *password)
{
    FILE *file = fopen(scratch_path(&rig.scratch, "password"), "w");
    assert_non_null(file);
    fprintf(file, "%s\n", password);
    assert_int_equal(fclose(file), 0);
}

/* KEY=BEGIN PORT END, kept in the rig. */
static const char *with_port(size_t slot, const char *begin, uint16_t port, const char *end)
{
    snprintf(rig.texts[slot], sizeof rig.texts[slot], "%s%u%s", begin, port, end);
    return rig.texts[slot];
}

#define LIVE(n)                                                                            \
    "cameras." #n ".source.kind=rtsp", "cameras." #n ".source.first_frame_ms=3000",        \
        "cameras." #n ".source.stall_ms=1500", "cameras." #n ".source.retry_first_ms=100", \
        "cameras." #n ".source.retry_cap_ms=1000"

static int start_all(void **state)
{
    static const char *const size[] = { "--size", "320x240", NULL };
    const char *slower = getenv("TEST_SLOWER");
    char to[16], password_file[400];
    (void)state;
    rig.slower = slower ? strtod(slower, NULL) : 1;
    scratch_make(&rig.scratch);
    rig.http = port_find();
    tool_start(&rig.camera, &rig.scratch, "rtsp_server", "camera", size);
    snprintf(to, sizeof to, "%u", rig.camera.port);
    tool_start(&rig.proxy, &rig.scratch, "bad_proxy", "proxy",
               (const char *const[]){ "0", to, NULL });
    tool_do(&rig.proxy, "refuse");
    tool_start(
        &rig.locked, &rig.scratch, "rtsp_server", "locked",
        (const char *const[]){ "--user", "viewer", "--password", "s e/cret", "--digest", NULL });
    tool_start(&rig.udp, &rig.scratch, "rtsp_server", "udp",
               (const char *const[]){ "--bframes", "2", "--transport", "udp", NULL });
    snprintf(password_file, sizeof password_file, "cameras.2.source.password_file=%s",
             scratch_path(&rig.scratch, "password"));
    write_password("not-it");
    server_start(&rig.server, &rig.scratch,
                 (const char *const[]){ "model=none", "credits=64", "report_ms=10000", NULL });
    process_expect(&rig.server, "msg=ready", WAIT_MS);
    agent_start(
        &rig.agent, &rig.scratch, "agent",
        (const char *const[]){
            LIVE(0), with_port(0, "cameras.0.source.url=rtsp://127.0.0.1:", rig.proxy.port, "/cam"),
            "cameras.1.name=beside", "cameras.1.source.kind=test", "cameras.1.source.width=160",
            "cameras.1.source.height=120", "cameras.1.source.fps=5", "cameras.2.name=locked", LIVE(2),
            with_port(1, "cameras.2.source.url=rtsp://viewer@127.0.0.1:", rig.locked.port, "/cam"),
            password_file, "cameras.3.name=udp", LIVE(3), "cameras.3.source.transport=udp",
            with_port(2, "cameras.3.source.url=rtsp://127.0.0.1:", rig.udp.port, "/cam"),
            with_port(3, "http.address=127.0.0.1:", rig.http, ""), NULL });
    process_expect(&rig.agent, "msg=streaming stream=beside", WAIT_MS);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    process_stop(&rig.agent);
    process_stop(&rig.server);
    tool_stop(&rig.camera);
    tool_stop(&rig.proxy);
    tool_stop(&rig.locked);
    tool_stop(&rig.udp);
    scratch_remove(&rig.scratch);
    return 0;
}

/* ---- what is seen ---- */

static uint64_t now_ms(void)
{
    return clock_now_ns() / CLOCK_NS_PER_MS;
}

static const char *metric(const char *name, const char *stream, const char *cause)
{
    static char line[160];
    if (cause)
        snprintf(line, sizeof line, "edge_camera_%s{stream=\"%s\",cause=\"%s\"}", name, stream,
                 cause);
    else
        snprintf(line, sizeof line, "edge_camera_%s{stream=\"%s\"", name, stream);
    return line;
}

static double losses(const char *cause)
{
    return metric_now(rig.http, metric("losses_total", "cam", cause));
}

/* Waits for one more loss by that cause, which is to be found within_ms of the fault. */
static void expect_found(const char *cause, double before, uint64_t begin_ms, unsigned within_ms)
{
    metric_expect(rig.http, metric("losses_total", "cam", cause), before + 1, WAIT_MS);
    uint64_t found_ms = now_ms() - begin_ms;
    print_message("  found as %s after %llu ms\n", cause, (unsigned long long)found_ms);
    assert_true((double)found_ms <= (within_ms + SLACK_MS) * rig.slower);
}

/* Waits until the camera is up and answers to its pictures come; by itself, once what was wrong is over.
 * A try that began while it was goes on to its own deadline. */
static void expect_back(const char *stream, uint64_t begin_ms)
{
    char answered[100];
    snprintf(answered, sizeof answered, "edge_frames_answered_total{stream=\"%s\"}", stream);
    metric_expect(rig.http, metric("state", stream, NULL), 2, WAIT_MS);
    metric_expect(rig.http, answered, metric_now(rig.http, answered) + 3, WAIT_MS);
    uint64_t back_ms = now_ms() - begin_ms;
    print_message("  %s answered again after %llu ms\n", stream, (unsigned long long)back_ms);
    assert_true((double)back_ms <= (FIRST_FRAME_MS + RETRY_CAP_MS + SLACK_MS) * rig.slower);
}

/* ---- tests ---- */

static void absent_at_the_start(void **state)
{
    (void)state;
    metric_expect(rig.http, metric("losses_total", "cam", "unreachable"), 3, WAIT_MS);
    page_expect(rig.http, "/readyz", "503", "");
    /* What is the same again is said once. */
    assert_int_equal(process_count(&rig.agent, "stream=cam reason=unreachable"), 1);
    uint64_t begin_ms = now_ms();
    tool_do(&rig.proxy, "pass");
    expect_back("cam", begin_ms);
    assert_true(process_said(&rig.agent, "msg=\"camera is up\" stream=cam"));
}

static void silent_without_closing(void **state)
{
    double stalls = losses("stall"), silent = losses("first_frame");
    uint64_t begin_ms = now_ms();
    (void)state;
    tool_do(&rig.proxy, "hang");
    expect_found("stall", stalls, begin_ms, STALL_MS);
    expect_found("first_frame", silent, begin_ms, STALL_MS + RETRY_CAP_MS + FIRST_FRAME_MS);
    begin_ms = now_ms();
    tool_do(&rig.proxy, "pass");
    expect_back("cam", begin_ms);
}

static void polite_without_pictures(void **state)
{
    double stalls = losses("stall"), silent = losses("first_frame");
    uint64_t begin_ms = now_ms();
    (void)state;
    tool_do(&rig.camera, "hang");
    expect_found("stall", stalls, begin_ms, STALL_MS);
    expect_found("first_frame", silent, begin_ms, STALL_MS + RETRY_CAP_MS + FIRST_FRAME_MS);
    begin_ms = now_ms();
    tool_do(&rig.camera, "go");
    expect_back("cam", begin_ms);
}

static void reset(void **state)
{
    double closed = losses("closed");
    uint64_t begin_ms = now_ms();
    (void)state;
    tool_do(&rig.proxy, "reset");
    expect_found("closed", closed, begin_ms, 0);
    expect_back("cam", begin_ms);
}

static void a_trickle(void **state)
{
    double stalls = losses("stall");
    uint64_t begin_ms = now_ms();
    (void)state;
    tool_do(&rig.proxy, "trickle 500");
    expect_found("stall", stalls, begin_ms, STALL_MS); /* bytes come, pictures do not */
    begin_ms = now_ms();
    tool_do(&rig.proxy, "pass");
    expect_back("cam", begin_ms);
}

static void gone(void **state)
{
    double closed = losses("closed"), unreachable = losses("unreachable");
    uint64_t begin_ms = now_ms();
    (void)state;
    tool_do(&rig.proxy, "refuse");
    expect_found("closed", closed, begin_ms, 0);
    expect_found("unreachable", unreachable, begin_ms, RETRY_CAP_MS);
    begin_ms = now_ms();
    tool_do(&rig.proxy, "pass");
    expect_back("cam", begin_ms);
}

/* Waits for a line of the answers with that text in it. */
static void expect_answer(const char *stream, const char *part)
{
    char command[1024];
    snprintf(command, sizeof command, "grep '\"stream\":\"%s\"' '%s' | grep -q '%s'", stream,
             scratch_path(&rig.scratch, "agent.jsonl"), part);
    for (uint64_t end_ms = now_ms() + WAIT_MS; system(command) != 0; usleep(50000))
        if (now_ms() > end_ms)
            fail_msg("no answer to %s with %s", stream, part);
}

static void another_size(void **state)
{
    (void)state;
    double before = metric_now(rig.http, metric("losses_total", "cam", NULL));
    expect_answer("cam", "\"width\":320,\"height\":240");
    tool_do(&rig.camera, "size 640x480");
    expect_answer("cam", "\"width\":640,\"height\":480");
    tool_do(&rig.camera, "size 352x288");
    expect_answer("cam", "\"width\":352,\"height\":288");
    /* In the midst of the stream: the link to the camera is the same. */
    assert_true(metric_now(rig.http, metric("losses_total", "cam", NULL)) == before);
    assert_int_equal(process_count(&rig.agent, "msg=streaming stream=cam"), 1);
}

static void another_codec(void **state)
{
    double closed = losses("closed");
    uint64_t begin_ms = now_ms();
    (void)state;
    tool_do(&rig.camera, "codec mjpeg");
    expect_found("closed", closed, begin_ms, 0);
    expect_back("cam", begin_ms);
    process_expect(&rig.agent, "source=\"mjpeg 352x288", WAIT_MS);
    closed = losses("closed");
    begin_ms = now_ms();
    tool_do(&rig.camera, "codec h264");
    expect_found("closed", closed, begin_ms, 0);
    expect_back("cam", begin_ms);
}

static void a_wrong_password(void **state)
{
    (void)state;
    metric_expect(rig.http, metric("losses_total", "locked", "auth"), 2, WAIT_MS);
    assert_int_equal(process_count(&rig.agent, "stream=locked reason=auth"), 1);
    uint64_t begin_ms = now_ms();
    write_password("s e/cret");
    expect_back("locked", begin_ms);
    assert_false(process_said(&rig.agent, "not-it"));
    assert_false(process_said(&rig.agent, "cret"));
    assert_false(process_said(&rig.agent, "s%20e"));
}

/* Frames come in order (answers_count fails otherwise), and none waits for the next reordered one. */
static void b_frames_by_udp(void **state)
{
    struct answer_counts counts;
    (void)state;
    metric_expect(rig.http, metric("state", "udp", NULL), 2, WAIT_MS);
    metric_expect(rig.http, "edge_frames_answered_total{stream=\"udp\"}", 60, WAIT_MS);
    assert_int_equal((int)metric_now(rig.http, metric("losses_total", "udp", NULL)), 0);
    answers_count(scratch_path(&rig.scratch, "agent.jsonl"), "udp", &counts);
    assert_true(counts.ok >= 60);
}

static void the_one_beside_lost_nothing(void **state)
{
    struct answer_counts counts;
    (void)state;
    double dropped = metric_now(rig.http, "edge_frames_dropped_total{stream=\"beside\"");
    double late = metric_now(
        rig.http, "edge_frames_dropped_total{stream=\"beside\",reason=\"encoder_late\"}");
    assert_int_equal((int)(dropped - late), 0); /* a box may be busy with other things */
    assert_int_equal(process_count(&rig.agent, "msg=streaming stream=beside"), 1);
    process_stop_well(&rig.agent);
    answers_count(scratch_path(&rig.scratch, "agent.jsonl"), "beside", &counts);
    assert_true(counts.ok > 0);
    assert_int_equal(counts.ok, counts.lines);
    assert_int_equal(
        (int)summary_value(&rig.agent, "frames"),
        (int)(summary_value(&rig.agent, "answered") + summary_value(&rig.agent, "dropped")));
    process_stop_well(&rig.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_at_the_start),
        cmocka_unit_test(silent_without_closing),
        cmocka_unit_test(polite_without_pictures),
        cmocka_unit_test(reset),
        cmocka_unit_test(a_trickle),
        cmocka_unit_test(gone),
        cmocka_unit_test(another_size),
        cmocka_unit_test(another_codec),
        cmocka_unit_test(a_wrong_password),
        cmocka_unit_test(b_frames_by_udp),
        cmocka_unit_test(the_one_beside_lost_nothing),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
