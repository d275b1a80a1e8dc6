/* decoder: hardware decoding through the real daemons, on a box whose NVIDIA driver is a double (nvidia_gpu.h):
 * agent and server decode with it, say so, and answer; one that fails in the midst leaves both to software, once,
 * and the answers go on; and where there is none, nvdec is software, with the cause in words. */
#include "harness.h"
#include "nvidia_gpu.h"

#include "media/source.h"
#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define WAIT_MS 60000u
#define FAILS_FROM 30
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
#define CHOSEN "msg=\"decoder chosen\""
#define LEFT_OUT "msg=\"decoder left out\""

static struct scratch scratch;
static struct process server, agent;
static uint16_t agent_http, server_http;

/* ---- the box ---- */

static void write_plane(FILE *file, const struct picture_view *view, int plane)
{
    const unsigned half = plane > 0;
    for (unsigned row = 0; row < view->height >> half; row++)
        assert_int_equal(fwrite(view->plane[plane] + (size_t)row * view->stride[plane],
                                view->width >> half, 1, file),
                         1);
}

/* What a trial sends is the test picture. */
static void make_trial(const char *path)
{
    const struct source_config config = { .kind = SOURCE_TEST,
                                          .width = NVIDIA_TRIAL_WIDTH,
                                          .height = NVIDIA_TRIAL_HEIGHT,
                                          .fps = NVIDIA_TRIAL_FPS };
    struct source *source = NULL;
    struct error err;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(source_open(&source, &config, &err), 0);
    for (unsigned i = 0; i < NVIDIA_TRIAL_PICTURES; i++) {
        struct picture *picture = NULL;
        struct picture_view view;
        uint64_t time_ns;
        assert_int_equal(source_next(source, &picture, &time_ns, &err), 0);
        picture_get_view(picture, &view);
        for (int plane = 0; plane < 3; plane++)
            write_plane(file, &view, plane);
        picture_unref(&picture);
    }
    source_close(&source);
    assert_int_equal(fclose(file), 0);
}

/* For the daemon that is started next, whose pictures are counted in a file of this name. */
static void plug_in(const char *count, const char *fails_from)
{
    const char *build = getenv("B");
    char relative[PATH_MAX], folder[PATH_MAX];
    snprintf(relative, sizeof relative, "%s/" NVIDIA_GPU_FOLDER, build ? build : "build");
    assert_non_null(realpath(relative, folder));
    setenv("LD_LIBRARY_PATH", folder, 1);
    setenv(NVIDIA_GPU_TRIAL, scratch_path(&scratch, "trial"), 1);
    setenv(NVIDIA_GPU_COUNT, scratch_path(&scratch, count), 1);
    if (fails_from)
        setenv(NVIDIA_GPU_FAILS_FROM, fails_from, 1);
}

static void unplug(void)
{
    static const char *const names[] = { "LD_LIBRARY_PATH", NVIDIA_GPU_TRIAL, NVIDIA_GPU_COUNT,
                                         NVIDIA_GPU_FAILS_FROM };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

/* Pictures that the hardware of this name has decoded. */
static double decoded(const char *count)
{
    struct stat info;
    return stat(scratch_path(&scratch, count), &info) == 0 ? (double)info.st_size : 0;
}

/* ---- the daemons ---- */

static int make_files(void **state)
{
    (void)state;
    scratch_make(&scratch);
    agent_http = port_find();
    server_http = port_find();
    make_trial(scratch_path(&scratch, "trial"));
    clip_make(scratch_path(&scratch, "clip.mp4"), 50, 320, 240);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    scratch_remove(&scratch);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    unplug();
    process_stop(&agent);
    process_stop(&server);
    return 0;
}

static void start_server(void)
{
    char http[64];
    snprintf(http, sizeof http, "http.address=127.0.0.1:%u", server_http);
    server_start(&server, &scratch,
                 (const char *const[]){ http, "model=none", "decode.decoder=nvdec", NULL });
    process_expect(&server, "msg=ready", WAIT_MS);
}

/* A camera that is a file, again and again; and what else is set, ended by NULL. */
static void start_agent(const char *const *more)
{
    char http[64], path[PATH_MAX];
    const char *settings[32] = { http,
                                 path,
                                 "cameras.0.source.loop=true",
                                 "cameras.0.source.decoder=nvdec",
                                 "cameras.0.pace=fast",
                                 "cameras.0.rung.encoder=software",
                                 "cameras.0.rung.width=320",
                                 "cameras.0.rung.height=240" };
    size_t count = 8;
    snprintf(http, sizeof http, "http.address=127.0.0.1:%u", agent_http);
    snprintf(path, sizeof path, "cameras.0.source.path=%s", scratch_path(&scratch, "clip.mp4"));
    for (; *more; more++)
        settings[count++] = *more;
    agent_start(&agent, &scratch, "agent", settings);
    process_expect(&agent, "msg=streaming stream=cam", WAIT_MS);
}

static const char *const nothing[] = { NULL };
/* What the server decodes of it is H.265. */
static const char *const second[] = {
    "cameras.1.name=second",           "cameras.1.source.kind=test",
    "cameras.1.source.width=192",      "cameras.1.source.height=128",
    "cameras.1.rung.codec=h265",       "cameras.1.rung.encoder=software",
    "cameras.1.rung.preset=ultrafast", NULL
};

/* Of the agent's camera, and of the server's h264. */
static void expect_decoder(const char *metric, uint16_t http, const char *decoder, double value)
{
    char begin[160];
    snprintf(begin, sizeof begin, "%s,decoder=\"%s\",device=\"%s\"}", metric, decoder,
             strcmp(decoder, "nvdec") == 0 ? "nvidia" : "cpu");
    metric_expect(http, begin, value, WAIT_MS);
    assert_true(metric_now(http, begin) == value);
}

static const char *answers_to(const char *stream)
{
    static char begin[100];
    snprintf(begin, sizeof begin, "edge_frames_answered_total{stream=\"%s\"}", stream);
    return begin;
}

static double answered(const char *stream)
{
    return metric_now(agent_http, answers_to(stream));
}

static void expect_answers(const char *stream, unsigned more)
{
    metric_expect(agent_http, answers_to(stream), answered(stream) + more, WAIT_MS);
}

#define AT_AGENT "edge_decoder_info{stream=\"cam\",codec=\"h264\"", agent_http
#define AT_SERVER(codec) "server_decoder_info{codec=\"" codec "\"", server_http

/* ---- tests ---- */

static void hardware_decodes(void **state)
{
    (void)state;
    plug_in("server-count", NULL);
    start_server();
    plug_in("agent-count", NULL);
    start_agent(second);
    expect_answers("cam", 120); /* the clip more than once */
    expect_answers("second", 10);
    assert_int_equal(process_count(&server, CHOSEN), 3);
    assert_true(process_said(&server, CHOSEN " codec=h264 decoder=nvdec device=nvidia"));
    assert_true(process_said(&server, CHOSEN " codec=h265 decoder=nvdec device=nvidia"));
    assert_true(process_said(&server, CHOSEN " codec=av1 decoder=nvdec device=nvidia"));
    assert_int_equal(process_count(&agent, CHOSEN), 1);
    assert_true(process_said(&agent, CHOSEN " stream=cam codec=h264 decoder=nvdec device=nvidia"));
    assert_false(process_said(&server, LEFT_OUT));
    assert_false(process_said(&agent, LEFT_OUT));
    expect_decoder(AT_AGENT, "nvdec", 1);
    expect_decoder(AT_SERVER("h264"), "nvdec", 1);
    expect_decoder(AT_SERVER("h265"), "nvdec", 1);
    expect_decoder(AT_SERVER("av1"), "nvdec", 1);
    const double by_camera = answered("cam"), by_both = answered("second") + by_camera;
    assert_true(decoded("agent-count") >= by_camera);
    assert_true(decoded("server-count") >= by_both);
    assert_true(metric_now(agent_http, "edge_decoder_fallbacks_total") == 0);
    assert_true(metric_now(server_http, "server_decoder_fallbacks_total") == 0);
    assert_true(metric_now(agent_http, "edge_source_damaged_total") == 0);
    assert_true(metric_now(server_http, "server_frames_dropped_total{reason=\"corrupt\"}") == 0);
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* The server's in 30 frames; three are dropped for it, and a keyframe is asked for each time. */
static void the_servers_fails(void **state)
{
    (void)state;
    plug_in("server-failing", TEXT(FAILS_FROM));
    start_server();
    unplug();
    start_agent(nothing);
    process_expect(&server, "msg=\"decoder failed, software goes on\" stream=cam decoder=nvdec",
                   WAIT_MS);
    expect_answers("cam", 60);
    assert_int_equal(process_count(&server, "msg=\"decoder failed"), 1);
    assert_true(decoded("server-failing") == FAILS_FROM);
    assert_true(metric_now(server_http,
                           "server_decoder_fallbacks_total{stream=\"cam\",from=\"nvdec\"}") == 1);
    assert_true(metric_now(server_http, "server_frames_dropped_total{reason=\"corrupt\"}") == 3);
    assert_true(metric_now(agent_http,
                           "edge_frames_dropped_total{stream=\"cam\",reason=\"server_failed\"}") == 3);
    expect_decoder(AT_SERVER("h264"), "nvdec", 1); /* for streams that begin */
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* The camera's in 30 frames. The 50 packets that it has to fail at end in the clip's second pass, which has no other
 * keyframe than its first: software begins with a third. */
static void the_cameras_fails(void **state)
{
    char line[512];
    (void)state;
    start_server();
    plug_in("agent-failing", TEXT(FAILS_FROM));
    start_agent(nothing);
    process_expect(&agent, CHOSEN " stream=cam codec=h264 decoder=software device=cpu", WAIT_MS);
    expect_answers("cam", 60);
    assert_int_equal(process_count(&agent, LEFT_OUT), 1);
    snprintf(line, sizeof line, LEFT_OUT " stream=cam decoder=nvdec reason=failed cause=\"%s",
             scratch_path(&scratch, "clip.mp4"));
    assert_true(process_said(&agent, line));
    assert_int_equal(process_count(&agent, CHOSEN), 2);
    assert_true(decoded("agent-failing") == FAILS_FROM);
    assert_true(metric_now(agent_http, "edge_decoder_fallbacks_total{stream=\"cam\",from=\"nvdec\","
                                       "reason=\"failed\"}") == 1);
    expect_decoder(AT_AGENT, "nvdec", 0);
    expect_decoder(AT_AGENT, "software", 1);
    assert_true(metric_now(agent_http, "edge_source_damaged_total{stream=\"cam\"}") >= 50);
    process_stop_well(&agent);
    process_stop_well(&server);
}

static void there_is_none(void **state)
{
    (void)state;
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY);
    if (driver) {
        dlclose(driver);
        print_message("SKIP REASON: this box has an NVIDIA driver\n");
        skip();
    }
    start_server();
    start_agent(nothing);
    expect_answers("cam", 30);
    assert_int_equal(process_count(&server, LEFT_OUT), 3);
    assert_true(process_said(&server, LEFT_OUT " codec=h264 decoder=nvdec reason=no_driver "
                                               "cause=\"no NVIDIA driver here: "));
    assert_int_equal(process_count(&agent, LEFT_OUT), 1);
    assert_true(process_said(&agent, LEFT_OUT " stream=cam decoder=nvdec reason=no_driver "
                                              "cause=\"no NVIDIA driver here: "));
    assert_true(metric_now(agent_http, "edge_decoder_fallbacks_total{stream=\"cam\",from=\"nvdec\","
                                       "reason=\"no_driver\"}") == 1);
    expect_decoder(AT_AGENT, "software", 1);
    expect_decoder(AT_SERVER("h264"), "software", 1);
    process_stop_well(&agent);
    process_stop_well(&server);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hardware_decodes),
        TEST(the_servers_fails),
        TEST(the_cameras_fails),
        TEST(there_is_none),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
