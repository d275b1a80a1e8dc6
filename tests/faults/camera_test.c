/* camera: one agent and its cameras (tests/faults/rtsp_server.c, a proxy before one of them) in everything
 * that cameras do to it: not there at the start, silent without closing, reset, a trickle, gone, another
 * size, another codec, B-frames over UDP, a wrong password. Each is found by name within its deadline, each
 * camera is back by itself, and a test picture beside them loses nothing all the while. One run of the daemons
 * for all tests, in order. */
#include "cameras.h"
#include "tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct cameras cameras;

static struct {
    struct tool camera, proxy, locked, udp;
    char texts[3][100];
} rig;

static void write_password(const char *password)
{
    FILE *file = fopen(scratch_path(&cameras.scratch, "password"), "w");
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

static int start_all(void **state)
{
    static const char *const size[] = { "--size", "320x240", NULL };
    char to[16], password_file[400];
    (void)state;
    cameras_begin(&cameras);
    tool_start(&rig.camera, &cameras.scratch, "rtsp_server", "camera", size);
    snprintf(to, sizeof to, "%u", rig.camera.port);
    tool_start(&rig.proxy, &cameras.scratch, "bad_proxy", "proxy",
               (const char *const[]){ "0", to, NULL });
    tool_do(&rig.proxy, "refuse");
    tool_start(
        &rig.locked, &cameras.scratch, "rtsp_server", "locked",
        (const char *const[]){ "--user", "viewer", "--password", "s e/cret", "--digest", NULL });
    tool_start(&rig.udp, &cameras.scratch, "rtsp_server", "udp",
               (const char *const[]){ "--bframes", "2", "--transport", "udp", NULL });
    snprintf(password_file, sizeof password_file, "cameras.2.source.password_file=%s",
             scratch_path(&cameras.scratch, "password"));
    write_password("not-it");
    cameras_start(
        &cameras,
        (const char *const[]){
            LIVE(0, "rtsp"),
            with_port(0, "cameras.0.source.url=rtsp://127.0.0.1:", rig.proxy.port, "/cam"),
            BESIDE(1), "cameras.2.name=locked", LIVE(2, "rtsp"),
            with_port(1, "cameras.2.source.url=rtsp://viewer@127.0.0.1:", rig.locked.port, "/cam"),
            password_file, "cameras.3.name=udp", LIVE(3, "rtsp"), "cameras.3.source.transport=udp",
            with_port(2, "cameras.3.source.url=rtsp://127.0.0.1:", rig.udp.port, "/cam"), NULL });
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    cameras_stop(&cameras);
    tool_stop(&rig.camera);
    tool_stop(&rig.proxy);
    tool_stop(&rig.locked);
    tool_stop(&rig.udp);
    cameras_end(&cameras);
    return 0;
}

static double losses(const char *cause)
{
    return cameras_metric(&cameras, "losses_total", "cam", cause);
}

static void expect_found(const char *cause, double before, uint64_t begin_ms, unsigned within_ms)
{
    cameras_expect_found(&cameras, "cam", cause, before, begin_ms, within_ms);
}

/* ---- tests ---- */

static void absent_at_the_start(void **state)
{
    (void)state;
    cameras_expect_metric(&cameras, "losses_total", "cam", "unreachable", 3);
    page_expect(cameras.http, "/readyz", "503", "");
    /* What is the same again is said once. */
    assert_int_equal(process_count(&cameras.agent, "stream=cam reason=unreachable"), 1);
    uint64_t begin_ms = cameras_now_ms();
    tool_do(&rig.proxy, "pass");
    cameras_expect_back(&cameras, "cam", begin_ms);
    assert_true(process_said(&cameras.agent, "msg=\"camera is up\" stream=cam"));
}

static void silent_without_closing(void **state)
{
    double stalls = losses("stall"), silent = losses("first_frame");
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    tool_do(&rig.proxy, "hang");
    expect_found("stall", stalls, begin_ms, STALL_MS);
    expect_found("first_frame", silent, begin_ms, STALL_MS + RETRY_CAP_MS + FIRST_FRAME_MS);
    begin_ms = cameras_now_ms();
    tool_do(&rig.proxy, "pass");
    cameras_expect_back(&cameras, "cam", begin_ms);
}

static void polite_without_pictures(void **state)
{
    double stalls = losses("stall"), silent = losses("first_frame");
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    tool_do(&rig.camera, "hang");
    expect_found("stall", stalls, begin_ms, STALL_MS);
    expect_found("first_frame", silent, begin_ms, STALL_MS + RETRY_CAP_MS + FIRST_FRAME_MS);
    begin_ms = cameras_now_ms();
    tool_do(&rig.camera, "go");
    cameras_expect_back(&cameras, "cam", begin_ms);
}

static void reset(void **state)
{
    double closed = losses("closed");
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    tool_do(&rig.proxy, "reset");
    expect_found("closed", closed, begin_ms, 0);
    cameras_expect_back(&cameras, "cam", begin_ms);
}

static void a_trickle(void **state)
{
    double stalls = losses("stall");
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    tool_do(&rig.proxy, "trickle 500");
    expect_found("stall", stalls, begin_ms, STALL_MS); /* bytes come, pictures do not */
    begin_ms = cameras_now_ms();
    tool_do(&rig.proxy, "pass");
    cameras_expect_back(&cameras, "cam", begin_ms);
}

static void gone(void **state)
{
    double closed = losses("closed"), unreachable = losses("unreachable");
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    tool_do(&rig.proxy, "refuse");
    expect_found("closed", closed, begin_ms, 0);
    expect_found("unreachable", unreachable, begin_ms, RETRY_CAP_MS);
    begin_ms = cameras_now_ms();
    tool_do(&rig.proxy, "pass");
    cameras_expect_back(&cameras, "cam", begin_ms);
}

static void another_size(void **state)
{
    (void)state;
    double before = losses(NULL);
    cameras_expect_answer(&cameras, "cam", "\"width\":320,\"height\":240");
    tool_do(&rig.camera, "size 640x480");
    cameras_expect_answer(&cameras, "cam", "\"width\":640,\"height\":480");
    tool_do(&rig.camera, "size 352x288");
    cameras_expect_answer(&cameras, "cam", "\"width\":352,\"height\":288");
    /* In the midst of the stream: the link to the camera is the same. */
    assert_true(losses(NULL) == before);
    assert_int_equal(process_count(&cameras.agent, "msg=streaming stream=cam"), 1);
}

static void another_codec(void **state)
{
    double closed = losses("closed");
    uint64_t begin_ms = cameras_now_ms();
    (void)state;
    tool_do(&rig.camera, "codec mjpeg");
    expect_found("closed", closed, begin_ms, 0);
    cameras_expect_back(&cameras, "cam", begin_ms);
    process_expect(&cameras.agent, "source=\"mjpeg 352x288", WAIT_MS);
    closed = losses("closed");
    begin_ms = cameras_now_ms();
    tool_do(&rig.camera, "codec h264");
    expect_found("closed", closed, begin_ms, 0);
    cameras_expect_back(&cameras, "cam", begin_ms);
}

static void a_wrong_password(void **state)
{
    (void)state;
    cameras_expect_metric(&cameras, "losses_total", "locked", "auth", 2);
    assert_int_equal(process_count(&cameras.agent, "stream=locked reason=auth"), 1);
    uint64_t begin_ms = cameras_now_ms();
    write_password("s e/cret");
    cameras_expect_back(&cameras, "locked", begin_ms);
    assert_false(process_said(&cameras.agent, "not-it"));
    assert_false(process_said(&cameras.agent, "cret"));
    assert_false(process_said(&cameras.agent, "s%20e"));
}

/* Frames come in order (answers_count fails otherwise), and none waits for the next reordered one. */
static void b_frames_by_udp(void **state)
{
    struct answer_counts counts;
    (void)state;
    cameras_expect_metric(&cameras, "state", "udp", NULL, 2);
    metric_expect(cameras.http, "edge_frames_answered_total{stream=\"udp\"}", 60, WAIT_MS);
    assert_int_equal((int)cameras_metric(&cameras, "losses_total", "udp", NULL), 0);
    answers_count(scratch_path(&cameras.scratch, "agent.jsonl"), "udp", &counts);
    assert_true(counts.ok >= 60);
}

static void the_one_beside_lost_nothing(void **state)
{
    (void)state;
    cameras_expect_beside_untouched(&cameras);
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
