/* agent: edge-agent as an operator meets it: rungs changed by SIGHUP, a camera that is broken beside
 * one that is not, pages over HTTP, its ends (by time, by signals, with a disk that hangs), and its
 * smaller commands. */
#include "harness.h"

#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const no_analysis[] = { "model=none", NULL };

static int setup(void **state)
{
    struct scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        return -1;
    scratch_make(scratch);
    *state = scratch;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

static uint64_t now_ms(void)
{
    return clock_now_ns() / CLOCK_NS_PER_MS;
}

/* Only where nothing slows the programs down. */
static void expect_under_ms(uint64_t begin_ms, uint64_t ms)
{
    if (!getenv("TEST_SLOWER") && now_ms() - begin_ms > ms)
        fail_msg("took %llu ms, not %llu", (unsigned long long)(now_ms() - begin_ms),
                 (unsigned long long)ms);
}

static void expect_sum(const struct process *agent)
{
    assert_int_equal((int)summary_value(agent, "frames"),
                     (int)(summary_value(agent, "answered") + summary_value(agent, "dropped")));
}

/* A test picture of 320x240 for ever, 25 a second. */
#define MOVING(n)                                                         \
    "cameras." #n ".source.kind=test", "cameras." #n ".source.width=320", \
        "cameras." #n ".source.height=240", "cameras." #n ".source.fps=25"

/* ---- SIGHUP ---- */

static void write_config(const struct scratch *scratch, const char *name, const char *rung)
{
    FILE *file = fopen(scratch_path(scratch, "agent.yaml"), "w");
    assert_non_null(file);
    fprintf(file,
            "name: %s\n"
            "server: { address: 'tcp://127.0.0.1:%u', key: %s/keys/server.pub }\n"
            "keys: { folder: %s/keys }\n"
            "answers: { path: %s/agent.jsonl }\n"
            "cameras:\n"
            "  - name: cam\n"
            "    source: { kind: test, width: 320, height: 240, fps: 25 }\n"
            "    rung: { %s, keyframe_s: 600 }\n",
            name, scratch->port, scratch->folder, scratch->folder, scratch->folder, rung);
    assert_int_equal(fclose(file), 0);
}

/* Waits for as many more answers, and gives the mean of their bytes on the wire but for the largest,
 * which may be a keyframe. */
static double next_wire_bytes(const struct scratch *scratch, size_t count)
{
    const char *path = scratch_path(scratch, "agent.jsonl");
    struct answer_counts counts;
    answers_count(path, NULL, &counts);
    size_t from = counts.lines, line_number = 0, capacity = 0;
    for (unsigned i = 0; i < 3000 && counts.lines < from + count; i++) {
        usleep(10000);
        answers_count(path, NULL, &counts);
    }
    assert_true(counts.lines >= from + count);
    char *line = NULL;
    double sum = 0, largest = 0;
    FILE *file = fopen(path, "r");
    while (getline(&line, &capacity, file) > 0 && line_number < from + count) {
        if (line_number++ < from)
            continue;
        struct json_object *answer = json_tokener_parse(line), *field;
        assert_true(json_object_object_get_ex(answer, "wire_bytes", &field));
        double bytes = json_object_get_double(field);
        largest = bytes > largest ? bytes : largest;
        sum += bytes;
        json_object_put(answer);
    }
    free(line);
    fclose(file);
    return (sum - largest) / (double)(count - 1);
}

static void sighup_changes_rungs(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts counts;
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", 15000);
    write_config(scratch, "box", "bitrate_kbps: 2000");
    process_start(&agent, scratch, "agent",
                  (const char *const[]){ program_path("edge-agent"), "run", "-c",
                                         scratch_path(scratch, "agent.yaml"), NULL });
    process_expect(&agent, "msg=streaming", 15000);
    next_wire_bytes(scratch, 5);
    double rich = next_wire_bytes(scratch, 15);

    write_config(scratch, "box", "bitrate_kbps: 150");
    process_signal(&agent, SIGHUP);
    process_expect(&agent, "rungs_changed=1", 5000);
    process_expect(&agent, "msg=\"rung changed\"", 5000);
    next_wire_bytes(scratch, 15); /* the rate control settles */
    double poor = next_wire_bytes(scratch, 15);
    assert_true(poor * 3 < rich);
    assert_int_equal(process_count(&agent, "msg=\"encoder opened\""), 1);

    write_config(scratch, "box", "bitrate_kbps: 150, width: 160");
    process_signal(&agent, SIGHUP);
    process_expect(&agent, "width=160 height=120", 5000);
    assert_int_equal(process_count(&agent, "msg=\"encoder opened\""), 2);
    next_wire_bytes(scratch, 10);

    /* A mistake changes nothing; what needs a restart is said. */
    write_config(scratch, "box", "bitrate_kbps: much");
    process_signal(&agent, SIGHUP);
    process_expect(&agent, "msg=\"reload refused", 5000);
    write_config(scratch, "other", "bitrate_kbps: 150, width: 160");
    process_signal(&agent, SIGHUP);
    process_expect(&agent, "rungs_changed=0", 5000);
    process_expect(&agent, "option=name", 5000);
    assert_false(process_said(&agent, "option=cameras"));
    next_wire_bytes(scratch, 5);
    assert_int_equal(process_count(&agent, "msg=streaming"), 1); /* all in one session */

    process_stop_well(&agent);
    process_stop_well(&server);
    expect_sum(&agent);
    answers_count(scratch_path(scratch, "agent.jsonl"), NULL, &counts);
    assert_int_equal(counts.ok, counts.lines); /* the server has lost nothing over it */
}

/* ---- cameras ---- */

static void one_broken_camera_breaks_no_other(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts counts;
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.path=/no/such/clip.mp4",
                                       "cameras.1.name=yard", MOVING(1),
                                       "cameras.1.source.seconds=2", "cameras.1.pace=fast", NULL });
    assert_int_equal(process_wait(&agent, 30000), 1);
    assert_true(process_said(&agent, "msg=\"camera left out\""));
    assert_true(process_said(&agent, "edge-agent: camera cam: /no/such/clip.mp4"));
    assert_int_equal((int)summary_value(&agent, "answered"), 50);
    answers_count(scratch_path(scratch, "agent.jsonl"), "yard", &counts);
    assert_int_equal(counts.ok, 50);

    /* None is left: the end comes at once. */
    uint64_t begin_ms = now_ms();
    agent_start(&agent, scratch, "none",
                (const char *const[]){ "cameras.0.source.path=/no/such/clip.mp4",
                                       "cameras.1.name=yard", "cameras.1.source.path=/nor/this",
                                       NULL });
    assert_int_equal(process_wait(&agent, 30000), 1);
    expect_under_ms(begin_ms, 10000);
    assert_true(process_said(&agent, "edge-agent: camera cam: /no/such/clip.mp4"));
    assert_true(process_said(&agent, "camera yard: /nor/this"));
    process_stop_well(&server);
}

/* ---- HTTP ---- */

static void pages_tell_how_it_is(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char address[64];
    uint16_t port = port_find();
    snprintf(address, sizeof address, "http.address=127.0.0.1:%u", port);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ MOVING(0), "server.backoff_cap_ms=250", address, NULL });
    page_expect(port, "/livez", "200", "{\"live\":true}");
    page_expect(
        port, "/readyz", "503",
        "\"reason\":\"stream cam has no session: nothing listens there, or no route to it\"");
    page_expect(port, "/metrics", "200", "edge_link_losses_total{cause=\"unreachable\"}");
    page_expect(port, "/metrics", "200", "edge_stream_state{stream=\"cam\"} 0\n");
    page_expect(port, "/nothing", "404", "");
    assert_int_equal(process_count(&agent, "no connection"), 1); /* it tries often, and says it once */

    server_start(&server, scratch, no_analysis);
    page_expect(port, "/readyz", "200", "{\"ready\":true,\"reason\":\"\"}");
    page_expect(port, "/metrics", "200", "edge_stream_state{stream=\"cam\"} 1\n");
    page_expect(port, "/metrics", "200", "edge_link_state 2\n");
    page_expect(port, "/metrics", "200", "edge_answer_age_seconds_count{stream=\"cam\"} 1");
    page_expect(port, "/metrics", "200",
                "edge_frames_dropped_total{stream=\"cam\",reason=\"link_lost\"} 0\n");
    process_stop_well(&server);
    page_expect(port, "/readyz", "503", "stream cam has no session");
    process_stop_well(&agent);
}

/* ---- ends ---- */

static void it_stops_after_its_time(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char line[400] = "", key[400], server_key[400], port[60];
    const char *summary = scratch_path(scratch, "summary.txt");
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", 15000);
    snprintf(key, sizeof key, "keys.folder=%s/keys", scratch->folder);
    snprintf(port, sizeof port, "server.address=tcp://127.0.0.1:%u", scratch->port);
    snprintf(server_key, sizeof server_key, "server.key=%s/keys/server.pub", scratch->folder);
    uint64_t begin_ms = now_ms();
    process_start(&agent, scratch, "agent",
                  (const char *const[]){ program_path("edge-agent"), "run", "--seconds", "2",
                                         "--summary", summary, "--live", "-s", key, "-s", port,
                                         "-s", server_key, "-s", "cameras.0.name=cam", "-s",
                                         "cameras.0.source.kind=test", NULL });
    assert_int_equal(process_wait(&agent, 30000), 0);
    assert_true(now_ms() - begin_ms >= 2000);
    expect_under_ms(begin_ms, 10000);
    process_stop_well(&server);
    assert_true(process_said(&agent, "why=\"time is up\""));
    assert_true(process_said(&agent, "cam link=up fps=")); /* the table in a pipe */
    assert_false(process_said(&agent, "frames="));         /* the summary is elsewhere */
    FILE *file = fopen(summary, "r");
    unsigned frames, answered, dropped;
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_int_equal(sscanf(line, "frames=%u answered=%u dropped=%u ", &frames, &answered, &dropped),
                     3);
    assert_in_range(frames, 15, 40); /* 10 a second */
    assert_int_equal(frames, answered + dropped);
}

static void it_waits_for_answers_but_not_for_ever(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent", (const char *const[]){ MOVING(0), NULL });
    process_expect(&agent, "msg=streaming", 15000);
    usleep(300000);
    process_signal(&server, SIGSTOP);
    usleep(200000); /* its frames are on their way now */
    uint64_t begin_ms = now_ms();
    process_signal(&agent, SIGTERM);
    assert_int_equal(process_wait(&agent, 10000), 0);
    assert_true(now_ms() - begin_ms >= 500); /* the link may be found silent before the 3 s are over */
    expect_under_ms(begin_ms, 10000);
    expect_sum(&agent);
    process_signal(&server, SIGCONT);
    process_stop_well(&server);
}

static void a_second_signal_ends_at_once(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    server_start(&server, scratch, (const char *const[]){ "model=none", "report_ms=10000", NULL });
    agent_start(&agent, scratch, "agent", (const char *const[]){ MOVING(0), NULL });
    process_expect(&agent, "msg=streaming", 15000);
    usleep(300000);
    process_signal(&server, SIGSTOP);
    usleep(200000);
    process_signal(&agent, SIGINT);
    process_expect(&agent, "msg=stopping why=interrupted", 5000);
    usleep(300000);
    assert_true(process_runs(&agent)); /* it waits for answers */
    assert_int_equal(process_wait(&agent, 1), -1);
    uint64_t begin_ms = now_ms();
    process_signal(&agent, SIGINT);
    assert_int_equal(process_wait(&agent, 10000), 0);
    expect_under_ms(begin_ms, 2400);
    expect_sum(&agent);
    assert_true(summary_value(&agent, "dropped") >= 1);
    process_signal(&server, SIGCONT);
    process_stop_well(&server);
}

/* So that even the first line has no room. */
static void fill_pipe(const char *fifo)
{
    static const char page[4096];
    int fd = open(fifo, O_WRONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    while (write(fd, page, sizeof page) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    close(fd);
}

/* The reader of a FIFO has gone to sleep: that does not hold up the end. */
static void a_disk_that_hangs_does_not_hold_it_up(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char path[400], address[64];
    const char *fifo = scratch_path(scratch, "fifo");
    uint16_t port = port_find();
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    fill_pipe(fifo);
    snprintf(path, sizeof path, "answers.path=%s", fifo);
    snprintf(address, sizeof address, "http.address=127.0.0.1:%u", port);
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent", (const char *const[]){ MOVING(0), address, path, NULL });
    process_expect(&agent, "msg=streaming", 15000);
    page_expect(port, "/metrics", "200", "edge_answer_age_seconds_count{stream=\"cam\"} 1");
    uint64_t begin_ms = now_ms();
    process_signal(&agent, SIGTERM);
    assert_int_equal(process_wait(&agent, 10000), 1);
    expect_under_ms(begin_ms, 9000);
    assert_true(process_said(&agent, "hangs"));
    close(fd);
    process_stop_well(&server);
}

/* ---- other commands ---- */

static void inspect_tries_every_camera(void **state)
{
    struct scratch *scratch = *state;
    struct process inspect;
    char path[400];
    const char *clip = scratch_path(scratch, "clip.mp4");
    clip_make(clip, 30, 320, 240);
    snprintf(path, sizeof path, "cameras.1.source.path=%s", clip);
    process_start(&inspect, scratch, "inspect",
                  (const char *const[]){ program_path("edge-agent"), "inspect", "-s",
                                         "cameras.0.name=moving", "-s", "cameras.0.source.kind=test",
                                         "-s", "cameras.0.rung.width=160", "-s",
                                         "cameras.1.name=clip", "-s", path, NULL });
    assert_int_equal(process_wait(&inspect, 120000), 0);
    assert_true(process_said(&inspect, "moving"));
    assert_int_equal(process_count(&inspect, " 160x120    h264 "), 1);
    assert_int_equal(process_count(&inspect, " 320x240    h264 "), 1);

    process_start(&inspect, scratch, "inspect",
                  (const char *const[]){ program_path("edge-agent"), "inspect", "-s",
                                         "cameras.0.name=moving", "-s",
                                         "cameras.0.source.kind=test", "-s", "cameras.1.name=gone",
                                         "-s", "cameras.1.source.path=/no/such/clip.mp4", NULL });
    assert_int_equal(process_wait(&inspect, 120000), 1);
    /* the others are tried all the same */
    assert_int_equal(process_count(&inspect, " 768x576    h264 "), 1);
    assert_true(process_said(&inspect, "/no/such/clip.mp4"));
}

/* Without cameras: every encoder of the box, those that work with their figures, the others with why not. */
static void inspect_tries_every_encoder(void **state)
{
    struct scratch *scratch = *state;
    struct process inspect;
    process_start(&inspect, scratch, "inspect",
                  (const char *const[]){ program_path("edge-agent"), "inspect", NULL });
    assert_int_equal(process_wait(&inspect, 120000), 0);
    assert_int_equal(process_count(&inspect, "software  lib"), 3);
    assert_true(process_count(&inspect, " while it runs ") >= 1);    /* libx264 */
    assert_true(process_count(&inspect, " by a new encoder ") >= 2); /* libx265, libaom */
    assert_true(process_said(&inspect, "av1_nvenc"));
}

static void keys_are_not_overwritten(void **state)
{
    struct scratch *scratch = *state;
    struct process keys;
    char before[64] = "", after[64] = "", folder[400];
    snprintf(folder, sizeof folder, "%s/keys", scratch->folder);
    const char *const arguments[] = {
        program_path("edge-agent"), "keys", "new", "--folder", folder, NULL
    };
    for (unsigned i = 0; i < 2; i++) { /* the scratch folder has a pair "edge" */
        FILE *file = fopen(scratch_path(scratch, "keys/edge.key"), "r");
        assert_non_null(file);
        assert_non_null(fgets(i == 0 ? before : after, sizeof before, file));
        fclose(file);
        process_start(&keys, scratch, "keys", arguments);
        assert_int_equal(process_wait(&keys, 10000), 1);
        assert_true(process_said(&keys, "edge"));
    }
    assert_string_equal(before, after);
    assert_false(process_said(&keys, before));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sighup_changes_rungs),
        TEST(one_broken_camera_breaks_no_other),
        TEST(pages_tell_how_it_is),
        TEST(it_stops_after_its_time),
        TEST(it_waits_for_answers_but_not_for_ever),
        TEST(a_second_signal_ends_at_once),
        TEST(a_disk_that_hangs_does_not_hold_it_up),
        TEST(inspect_tries_every_encoder),
        TEST(inspect_tries_every_camera),
        TEST(keys_are_not_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
