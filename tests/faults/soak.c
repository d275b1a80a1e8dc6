/* soak: both daemons for SOAK_MINUTES (default 30) with half as many pictures again as the device takes, and a
 * camera that takes every connection and never says a word. Memory has to stay flat: the least that a process
 * has in the last fifth of the time may be 2 MiB above the least of the second fifth. (The least, as an encoder
 * for a probe takes some 6 MiB for a moment; what leaks is there always.) The rest has to go on all the while,
 * with each frame answered or counted. Last line:
 *
 *     soak: minutes=… overload=… camera_tries=… answered=… dropped=… agent_growth_kib=… server_growth_kib=…
 *           worker_growth_kib=… */
#include "harness.h"
#include "tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 60000u
#define LOOK_S 2u
#define GROWTH_KIB_MAX 2048
#define FIFTHS 5u
#define MINUTES_DEFAULT 30
#define MINUTES_MAX 1440
/* Two streams of 15 pictures a second on a device that takes 20. */
#define OVERLOAD 1.5
#define SERVICE "pool.devices.0.service_ms=50"
#define STREAM(n)                                                         \
    "cameras." #n ".source.kind=test", "cameras." #n ".source.width=320", \
        "cameras." #n ".source.height=240", "cameras." #n ".source.fps=15"

enum watched { AGENT, SERVER, WORKER, WATCHED_COUNT };

struct memory {
    long least_kib[FIFTHS], now_kib; /* least: 0 not looked at yet */
};

static struct {
    struct scratch scratch;
    struct process server, agent;
    struct tool camera, proxy;
    uint16_t http;
    struct memory memory[WATCHED_COUNT];
    char summary[300];
} rig;

static void start_all(void)
{
    char port[16], url[100], http[64];
    scratch_make(&rig.scratch);
    rig.http = port_find();
    tool_start(&rig.camera, &rig.scratch, "rtsp_server", "camera", (const char *const[]){ NULL });
    snprintf(port, sizeof port, "%u", rig.camera.port);
    tool_start(&rig.proxy, &rig.scratch, "bad_proxy", "proxy",
               (const char *const[]){ "0", port, NULL });
    tool_do(&rig.proxy, "hang");
    snprintf(url, sizeof url, "cameras.2.source.url=rtsp://127.0.0.1:%u/cam", rig.proxy.port);
    snprintf(http, sizeof http, "http.address=127.0.0.1:%u", rig.http);
    server_start(&rig.server, &rig.scratch,
                 (const char *const[]){ "pool.devices.0.kind=simulated", SERVICE, NULL });
    process_expect(&rig.server, "msg=ready\n", WAIT_MS);
    agent_start(&rig.agent, &rig.scratch, "agent",
                (const char *const[]){ STREAM(0), "cameras.1.name=two", STREAM(1),
                                       "cameras.2.name=dead", "cameras.2.source.kind=rtsp", url,
                                       "cameras.2.source.first_frame_ms=500",
                                       "cameras.2.source.retry_first_ms=100",
                                       "cameras.2.source.retry_cap_ms=500", http, NULL });
    process_expect(&rig.agent, "msg=streaming stream=cam", WAIT_MS);
    process_expect(&rig.agent, "msg=streaming stream=two", WAIT_MS);
}

static long rss_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && kib < 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &kib) != 1)
            kib = -1;
    if (file)
        fclose(file);
    if (kib < 0)
        fail_msg("process %d is gone", (int)pid);
    return kib;
}

/* The server's one worker. */
static pid_t find_worker(void)
{
    char path[96];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)rig.server.pid,
             (int)rig.server.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    assert_true(pid > 0);
    return pid;
}

static void look(size_t fifth)
{
    const pid_t pids[WATCHED_COUNT] = { rig.agent.pid, rig.server.pid, find_worker() };
    for (size_t i = 0; i < WATCHED_COUNT; i++) {
        struct memory *memory = &rig.memory[i];
        long *least_kib = &memory->least_kib[fifth];
        memory->now_kib = rss_kib(pids[i]);
        if (*least_kib == 0 || memory->now_kib < *least_kib)
            *least_kib = memory->now_kib;
    }
}

static long growth_kib(enum watched watched)
{
    return rig.memory[watched].least_kib[FIFTHS - 1] - rig.memory[watched].least_kib[1];
}

static unsigned minutes(void)
{
    const char *given = getenv("SOAK_MINUTES");
    unsigned long number = given ? strtoul(given, NULL, 10) : MINUTES_DEFAULT;
    assert_in_range(number, 1, MINUTES_MAX);
    return (unsigned)number;
}

static void memory_stays_flat(void **state)
{
    unsigned long seconds = minutes() * 60ul;
    double answered = 0;
    (void)state;
    start_all();
    for (unsigned long second = 0; second < seconds; second += LOOK_S) {
        sleep(LOOK_S);
        look(second * FIFTHS / seconds);
        if (second % 60 != 0)
            continue;
        double now = metric_now(rig.http, "edge_frames_answered_total");
        assert_true(now > answered); /* it goes on */
        answered = now;
        print_message("minute %lu of %u: agent %ld KiB, server %ld, worker %ld\n", second / 60,
                      minutes(), rig.memory[AGENT].now_kib, rig.memory[SERVER].now_kib,
                      rig.memory[WORKER].now_kib);
    }
    double tries = metric_now(rig.http, "edge_camera_tries_total{stream=\"dead\"}");
    process_stop_well(&rig.agent);
    process_stop_well(&rig.server);
    tool_stop(&rig.proxy);
    tool_stop(&rig.camera);
    answered = summary_value(&rig.agent, "answered");
    double dropped = summary_value(&rig.agent, "dropped");
    assert_int_equal((int)summary_value(&rig.agent, "frames"), (int)(answered + dropped));
    assert_true(dropped > 0); /* it was too much */
    assert_true(tries >= (double)seconds / 2);
    scratch_remove(&rig.scratch);
    snprintf(rig.summary, sizeof rig.summary,
             "soak: minutes=%u overload=%.1f camera_tries=%.0f answered=%.0f dropped=%.0f "
             "agent_growth_kib=%ld server_growth_kib=%ld worker_growth_kib=%ld",
             minutes(), OVERLOAD, tries, answered, dropped, growth_kib(AGENT), growth_kib(SERVER),
             growth_kib(WORKER));
    for (enum watched i = 0; i < WATCHED_COUNT; i++)
        if (growth_kib(i) > GROWTH_KIB_MAX)
            fail_msg("%s", rig.summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(memory_stays_flat) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (rig.summary[0])
        puts(rig.summary);
    return failed;
}
