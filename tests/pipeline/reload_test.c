/* reload: SIGHUP at the real daemons while they stream. What changed holds; what did not is not touched: a
 * stream that stays keeps its session, its encoder and its numbers, and nobody asks it for a keyframe. A
 * configuration with a mistake changes nothing at all. */
#include "harness.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 30000u

static const char *const no_analysis[] = { "model=none", NULL };

/* A camera of the agent's file: a small test picture, ten a second, with one keyframe at its begin. */
#define CAMERA(name, source, rung)                                                        \
    "  - { name: " name ", source: { kind: test, width: 320, height: 240, fps: 10" source \
    " }, rung: { keyframe_s: 600" rung " } }\n"

static void write_agent(const struct scratch *scratch, const char *top, const char *cameras)
{
    FILE *file = fopen(scratch_path(scratch, "agent.yaml"), "w");
    assert_non_null(file);
    fprintf(file,
            "server: { address: 'tcp://127.0.0.1:%u', key: %s/keys/server.pub }\n"
            "keys: { folder: %s/keys }\n"
            "answers: { path: %s/agent.jsonl }\n"
            "%scameras:\n%s",
            scratch->port, scratch->folder, scratch->folder, scratch->folder, top, cameras);
    assert_int_equal(fclose(file), 0);
}

static void start_agent(struct process *agent, const struct scratch *scratch)
{
    process_start(agent, scratch, "agent",
                  (const char *const[]){ program_path("edge-agent"), "run", "-c",
                                         scratch_path(scratch, "agent.yaml"), NULL });
}

/* Sends SIGHUP and waits until it has been answered in the log. */
static void reload(struct process *process, const char *said)
{
    size_t before = process_count(process, said);
    process_signal(process, SIGHUP);
    for (unsigned i = 0; process_count(process, said) == before; i++) {
        if (i > WAIT_MS / 10)
            process_expect(process, "it never said so after SIGHUP", 1);
        usleep(10000);
    }
}

/* Waits for so many more answers to a stream. */
static void expect_answers(const struct scratch *scratch, const char *stream, size_t more)
{
    struct answer_counts counts;
    answers_count(scratch_path(scratch, "agent.jsonl"), stream, &counts);
    size_t wanted = counts.lines + more;
    for (unsigned i = 0; i < WAIT_MS / 10 && counts.lines < wanted; i++) {
        usleep(10000);
        answers_count(scratch_path(scratch, "agent.jsonl"), stream, &counts);
    }
    if (counts.lines < wanted)
        fail_msg("%zu answers to %s, not %zu", counts.lines, stream, wanted);
}

/* The first frame of the stream, and the largest after it, in bytes on the wire. */
static void read_sizes(const struct scratch *scratch, const char *stream, double *first,
                       double *largest)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(scratch_path(scratch, "agent.jsonl"), "r");
    assert_non_null(file);
    *first = *largest = 0;
    while (getline(&line, &capacity, file) > 0) {
        struct json_object *answer = json_tokener_parse(line), *name, *bytes;
        assert_true(json_object_object_get_ex(answer, "stream", &name));
        assert_true(json_object_object_get_ex(answer, "wire_bytes", &bytes));
        double size = json_object_get_double(bytes);
        if (strcmp(json_object_get_string(name), stream) == 0) {
            if (*first == 0)
                *first = size;
            else if (size > *largest)
                *largest = size;
        }
        json_object_put(answer);
    }
    free(line);
    fclose(file);
}

/* ---- edge-agent ---- */

/* What a stream that was left alone must not show. */
static void expect_untouched(const struct scratch *scratch, const struct process *server,
                             const struct process *agent, uint16_t http, const char *stream)
{
    static const char *const reasons[] = { "link_down", "link_lost", "stopped", "unanswered" };
    char text[128];
    double first, largest;
    snprintf(text, sizeof text, "msg=streaming stream=%s ", stream);
    assert_int_equal(process_count(agent, text), 1);
    snprintf(text, sizeof text, "msg=\"encoder opened\" stream=%s ", stream);
    assert_int_equal(process_count(agent, text), 1);
    snprintf(text, sizeof text, "msg=\"stream started\" stream=%s ", stream);
    assert_int_equal(process_count(server, text), 1);
    snprintf(text, sizeof text, "edge_keyframes_asked_total{stream=\"%s\"", stream);
    assert_int_equal((int)metric_now(http, text), 0);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        snprintf(text, sizeof text, "edge_frames_dropped_total{stream=\"%s\",reason=\"%s\"}",
                 stream, reasons[i]);
        if (metric_now(http, text) > 0)
            fail_msg("%s is %g", text, metric_now(http, text));
    }
    read_sizes(scratch, stream, &first, &largest); /* answers_count has looked at their order */
    if (!(largest < first / 2))
        fail_msg("%s: a later frame has %g bytes, its keyframe %g", stream, largest, first);
}

static void cameras_come_and_go(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char top[64];
    uint16_t http = port_find();
    snprintf(top, sizeof top, "http: { address: '127.0.0.1:%u' }\n", http);
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", WAIT_MS);
    write_agent(scratch, top, CAMERA("gate", "", "") CAMERA("yard", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);
    process_expect(&agent, "msg=streaming stream=yard", WAIT_MS);
    expect_answers(scratch, "gate", 5);

    /* One is new, one is gone. */
    write_agent(scratch, top, CAMERA("door", "", "") CAMERA("gate", "", ""));
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "cameras_started=1 cameras_ended=1 cameras_restarted=0 rungs_changed=0",
                   WAIT_MS);
    process_expect(&agent, "msg=streaming stream=door", WAIT_MS);
    process_expect(&agent, "msg=\"camera removed\" stream=yard", WAIT_MS);
    process_expect(&server, "msg=\"stream ended\" stream=yard", WAIT_MS);
    expect_answers(scratch, "door", 5);
    expect_answers(scratch, "gate", 5);
    assert_null(strstr(page_get(http, "/metrics"), "stream=\"yard\""));
    page_expect(http, "/readyz", "200", "true");

    /* One has another source: it alone starts again. Another's rung is changed while it runs. */
    write_agent(scratch, top,
                CAMERA("door", ", seconds: 3600", "") CAMERA("gate", "", "")
                    CAMERA("yard", "", ", bitrate_kbps: 500"));
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "cameras_started=1 cameras_ended=0 cameras_restarted=1", WAIT_MS);
    for (unsigned i = 0; process_count(&agent, "msg=streaming stream=door") < 2; i++) {
        assert_true(i < WAIT_MS / 10);
        usleep(10000);
    }
    process_expect(&agent, "msg=streaming stream=yard", WAIT_MS);
    write_agent(scratch, top,
                CAMERA("door", ", seconds: 3600", "") CAMERA("gate", "", "")
                    CAMERA("yard", "", ", bitrate_kbps: 300"));
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "cameras_started=0 cameras_ended=0 cameras_restarted=0 rungs_changed=1",
                   WAIT_MS);
    process_expect(&agent, "msg=\"rung changed\" stream=yard", WAIT_MS);
    expect_answers(scratch, "gate", 5);
    expect_untouched(scratch, &server, &agent, http, "gate");
    process_stop_well(&agent);
    process_stop_well(&server);
}

static void a_mistake_changes_nothing(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char top[160];
    uint16_t http = port_find(), taken = scratch->port;
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", WAIT_MS);
    snprintf(top, sizeof top, "http: { address: '127.0.0.1:%u' }\n", http);
    write_agent(scratch, top, CAMERA("gate", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);

    /* Two mistakes beside a new camera and another log level: both are named with their lines. */
    snprintf(top, sizeof top,
             "http: { address: '127.0.0.1:%u' }\nlog: error\nprobes: { share: 7 }\n", http);
    write_agent(scratch, top, CAMERA("door", "", "") CAMERA("gate", "", ", fps: fast"));
    reload(&agent, "msg=\"reload refused, nothing changed\"");
    process_expect(&agent, "agent.yaml:6: probes.share", WAIT_MS);
    process_expect(&agent, "agent.yaml:9: cameras.1.rung.fps", WAIT_MS);

    /* So it is when what only trying shows goes wrong: a port that is taken. */
    snprintf(top, sizeof top, "http: { address: '127.0.0.1:%u' }\nlog: error\n", taken);
    write_agent(scratch, top, CAMERA("door", "", "") CAMERA("gate", "", ""));
    reload(&agent, "msg=\"reload refused, nothing changed\"");
    page_expect(http, "/readyz", "200", "true");
    assert_false(process_said(&agent, "stream=door"));
    assert_false(process_said(&agent, "msg=\"configuration read again\""));

    /* Without them the same holds: the level from now on (what it says of this reload is hidden), the page
     * at its new port, the old one closed. */
    uint16_t other = port_find();
    snprintf(top, sizeof top,
             "http: { address: '127.0.0.1:%u' }\nlog: info,agent=debug\nname: renamed\n", other);
    write_agent(scratch, top, CAMERA("gate", "", ""));
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "only a restart makes it hold\" option=name", WAIT_MS);
    page_expect(other, "/readyz", "200", "true");
    assert_string_equal(page_get(http, "/readyz"), "");
    snprintf(top, sizeof top, "log: error\n");
    write_agent(scratch, top, CAMERA("gate", "", "") CAMERA("door", "", ""));
    process_signal(&agent, SIGHUP);
    expect_answers(scratch, "door", 3);
    assert_false(process_said(&agent, "msg=streaming stream=door"));
    assert_string_equal(page_get(other, "/readyz"), "");
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* A camera that cannot be opened spoils no other's reload, and comes by itself when it can be. */
static void a_broken_camera_is_left_out(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char top[64], cameras[1024];
    uint16_t http = port_find();
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", WAIT_MS);
    snprintf(top, sizeof top, "http: { address: '127.0.0.1:%u' }\n", http);
    write_agent(scratch, top, CAMERA("gate", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);
    snprintf(cameras, sizeof cameras,
             CAMERA("gate", "", "") "  - { name: late, source: { path: %s, loop: true, "
                                    "retry_first_ms: 50, retry_cap_ms: 200 } }\n",
             scratch_path(scratch, "late.mp4"));
    write_agent(scratch, top, cameras);
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "msg=\"camera left out\"", WAIT_MS);
    page_expect(http, "/readyz", "503", "late.mp4");
    sleep(1); /* it is tried again meanwhile */
    assert_int_equal(process_count(&agent, "msg=\"camera left out\""), 1);
    const char *whole = scratch_path(scratch, "whole.mp4"); /* half a clip cannot be played */
    clip_make(whole, 20, 320, 240);
    assert_int_equal(rename(whole, scratch_path(scratch, "late.mp4")), 0);
    process_expect(&agent, "msg=streaming stream=late", WAIT_MS);
    page_expect(http, "/readyz", "200", "true");
    expect_answers(scratch, "gate", 3);
    expect_untouched(scratch, &server, &agent, http, "gate");
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* Frames of a lossless camera that goes are answered, or wait in the spool; when it comes back its numbers go
 * on, and none is there twice. That there is a spool takes a restart. */
static void a_lossless_camera_comes_back(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts counts;
    char top[400];
    static const char lossless[] =
        CAMERA("gate", "", "") "  - { name: tape, mode: lossless, source: { kind: test, width: "
                               "160, height: 120, fps: 10 } }\n";
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", WAIT_MS);
    snprintf(top, sizeof top, "spool: { path: %s/spool.db }\n", scratch->folder);
    write_agent(scratch, "", CAMERA("gate", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);
    write_agent(scratch, top, lossless);
    reload(&agent, "msg=\"reload refused, nothing changed\"");
    process_expect(&agent, "spool.path: lossless cameras need it, and it takes a restart", WAIT_MS);
    process_stop_well(&agent);
    unlink(scratch_path(scratch, "agent.jsonl")); /* live numbers begin anew */

    write_agent(scratch, top, CAMERA("gate", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);
    expect_answers(scratch, "gate", 3);
    write_agent(scratch, top, lossless);
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "msg=streaming stream=tape", WAIT_MS);
    expect_answers(scratch, "tape", 10);
    write_agent(scratch, top, CAMERA("gate", "", ""));
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "msg=\"camera removed\" stream=tape", WAIT_MS);
    write_agent(scratch, top, lossless);
    reload(&agent, "msg=\"configuration read again\"");
    expect_answers(scratch, "tape", 10);
    expect_answers(scratch, "gate", 3);
    process_stop_well(&agent);
    process_stop_well(&server);
    answers_count(scratch_path(scratch, "agent.jsonl"), "tape", &counts); /* none twice, all in order */
    assert_true(counts.lines >= 20);
}

/* Many in a row, some while cameras of the one before still leave; memory is what ASan looks at here. */
static void reloads_may_come_at_any_moment(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", WAIT_MS);
    write_agent(scratch, "", CAMERA("gate", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);
    for (unsigned i = 0; i < 20; i++) {
        write_agent(scratch, "",
                    i % 3 == 0   ? CAMERA("gate", "", "") CAMERA("yard", "", "")
                    : i % 3 == 1 ? CAMERA("gate", "", "") CAMERA("yard", ", seconds: 3600", "")
                                 : CAMERA("gate", "", ", bitrate_kbps: 700"));
        process_signal(&agent, SIGHUP);
        usleep(20000 + i % 4 * 30000);
    }
    write_agent(scratch, "", CAMERA("gate", "", "") CAMERA("last", "", ""));
    reload(&agent, "msg=\"configuration read again\"");
    expect_answers(scratch, "last", 3);
    expect_answers(scratch, "gate", 3);
    assert_int_equal(process_count(&agent, "msg=streaming stream=gate"), 1);
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* ---- cloud-server ---- */

static void write_server(const struct scratch *scratch, uint16_t http, const char *more)
{
    FILE *file = fopen(scratch_path(scratch, "server.yaml"), "w");
    assert_non_null(file);
    fprintf(file,
            "listen: { address: 'tcp://127.0.0.1:%u' }\n"
            "keys: { folder: %s/keys, allow: %s/keys/allow }\n"
            "http: { address: '127.0.0.1:%u' }\n"
            "model: none\n"
            "%s",
            scratch->port, scratch->folder, scratch->folder, http, more);
    assert_int_equal(fclose(file), 0);
}

static void start_server(struct process *server, const struct scratch *scratch)
{
    process_start(server, scratch, "cloud-server",
                  (const char *const[]){ program_path("cloud-server"), "run", "-c",
                                         scratch_path(scratch, "server.yaml"), NULL });
    process_expect(server, "msg=ready", WAIT_MS);
}

static const char reread[] = "module=server msg=\"configuration read again\"";

/* Log level, limits, pages, a mistake, and what takes a restart, all beside one stream. */
static void a_server_changes_beside_its_streams(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    uint16_t http = port_find(), agent_http = port_find();
    char top[64];
    write_server(scratch, http, "");
    start_server(&server, scratch);
    snprintf(top, sizeof top, "http: { address: '127.0.0.1:%u' }\n", agent_http);
    write_agent(scratch, top, CAMERA("gate", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);

    write_server(scratch, http, "limits: { streams_per_key: 0 }\nlog: error\ncredit: 5\n");
    reload(&server, "msg=\"reload refused, nothing changed\"");
    process_expect(&server, "server.yaml:5: limits.streams_per_key", WAIT_MS);
    process_expect(&server, "server.yaml:7: credit", WAIT_MS);

    write_server(scratch, http, "limits: { streams_per_key: 1 }\ncredits: 9\n");
    reload(&server, reread);
    process_expect(&server, "msg=changed option=limits.streams_per_key", WAIT_MS);
    process_expect(&server, "only a restart makes it hold\" option=credits", WAIT_MS);
    write_agent(scratch, top, CAMERA("gate", "", "") CAMERA("yard", "", ""));
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&agent, "it has all the 1 streams that one key may have", WAIT_MS);

    /* A smaller picture than the stream's: it stays, and one that begins is refused. */
    write_server(scratch, http, "limits: { width: 160, height: 120 }\n");
    reload(&server, reread);
    process_expect(&agent, "larger than the server's limit of 160x120", WAIT_MS);
    expect_answers(scratch, "gate", 5);
    uint16_t other = port_find();
    write_server(scratch, other, "log: error\n");
    process_signal(&server, SIGHUP);
    process_expect(&agent, "msg=streaming stream=yard", WAIT_MS);
    page_expect(other, "/readyz", "200", "true");
    assert_string_equal(page_get(http, "/readyz"), "");
    expect_answers(scratch, "yard", 3);
    assert_false(process_said(&server, "msg=\"stream started\" stream=yard")); /* it says errors alone */
    expect_untouched(scratch, &server, &agent, agent_http, "gate");
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* Each frame of the stream in the first file, and after its last those of the second, without a hole. */
static void expect_continued(const char *first, const char *second)
{
    const char *const paths[] = { first, second };
    long long next = -1;
    for (size_t i = 0; i < 2; i++) {
        char *line = NULL;
        size_t capacity = 0, lines = 0;
        FILE *file = fopen(paths[i], "r");
        assert_non_null(file);
        while (getline(&line, &capacity, file) > 0) {
            struct json_object *answer = json_tokener_parse(line), *frame;
            assert_true(json_object_object_get_ex(answer, "frame", &frame));
            if (next >= 0)
                assert_true(json_object_get_int64(frame) == next);
            next = json_object_get_int64(frame) + 1;
            lines++;
            json_object_put(answer);
        }
        assert_true(lines > 0);
        free(line);
        fclose(file);
    }
}

/* What log rotation does: move the file away, then SIGHUP. No answer is lost or written twice. fast: no
 * frame is dropped by the agent, whatever the machine does beside, so numbers have no holes. */
static void an_answer_file_is_rotated(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char answers[400], moved[512];
    uint16_t http = port_find();
    snprintf(answers, sizeof answers, "answers: { path: %s/server.jsonl }\n", scratch->folder);
    write_server(scratch, http, answers);
    start_server(&server, scratch);
    write_agent(
        scratch, "",
        "  - { name: gate, source: { kind: test, width: 160, height: 120, fps: 25, seconds: 40 }, "
        "pace: fast }\n");
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);
    expect_answers(scratch, "gate", 50);
    reload(&server, reread); /* nothing was moved: the same file goes on */
    assert_false(process_said(&server, "msg=\"answer file opened anew\""));
    snprintf(moved, sizeof moved, "%s", scratch_path(scratch, "server.jsonl.1"));
    assert_int_equal(rename(scratch_path(scratch, "server.jsonl"), moved), 0);
    reload(&server, reread);
    process_expect(&server, "msg=\"answer file opened anew\"", WAIT_MS);
    assert_int_equal(process_wait(&agent, WAIT_MS), 0);
    process_stop_well(&server);
    struct answer_counts all;
    answers_count(scratch_path(scratch, "agent.jsonl"), "gate", &all);
    assert_int_equal(all.lines, 1000);
    expect_continued(moved, scratch_path(scratch, "server.jsonl"));
}

/* Recording begins and ends while streams go on, and so does an answer file; a folder that cannot be made
 * changes nothing. */
static void files_are_turned_on_and_off(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char more[1024];
    uint16_t http = port_find();
    write_server(scratch, http, "");
    start_server(&server, scratch);
    write_agent(scratch, "", CAMERA("gate", "", ""));
    start_agent(&agent, scratch);
    process_expect(&agent, "msg=streaming stream=gate", WAIT_MS);

    snprintf(more, sizeof more, "answers: { path: %s/on.jsonl }\nrecord: { folder: /proc/none }\n",
             scratch->folder);
    write_server(scratch, http, more);
    reload(&server, "msg=\"reload refused, nothing changed\"");
    process_expect(&server, "record.folder: cannot make /proc/none", WAIT_MS);

    snprintf(more, sizeof more, "answers: { path: %s/on.jsonl }\nrecord: { folder: %s/video }\n",
             scratch->folder, scratch->folder);
    write_server(scratch, http, more);
    reload(&server, reread);
    write_agent(scratch, "", CAMERA("gate", "", "") CAMERA("yard", "", ""));
    reload(&agent, "msg=\"configuration read again\"");
    metric_expect(http, "server_record_pictures_written_total", 5, WAIT_MS);
    metric_expect(http, "server_answer_lines_written_total", 5, WAIT_MS);
    write_server(scratch, http, "");
    reload(&server, reread); /* yard is recorded to its end */
    double lines = metric_now(http, "server_answer_lines_written_total");
    double pictures = metric_now(http, "server_record_pictures_written_total");
    metric_expect(http, "server_record_pictures_written_total", pictures + 3, WAIT_MS);
    assert_true(metric_now(http, "server_answer_lines_written_total") <= lines + 2); /* on their way */
    write_agent(scratch, "", CAMERA("gate", "", ""));
    reload(&agent, "msg=\"configuration read again\"");
    process_expect(&server, "msg=\"stream ended\" stream=yard", WAIT_MS);
    expect_answers(scratch, "gate", 3);
    assert_int_equal(process_count(&server, "msg=\"stream started\" stream=gate "), 1);
    process_stop_well(&agent);
    process_stop_well(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cameras_come_and_go, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_mistake_changes_nothing, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_broken_camera_is_left_out, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_lossless_camera_comes_back, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(reloads_may_come_at_any_moment, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_server_changes_beside_its_streams, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(an_answer_file_is_rotated, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(files_are_turned_on_and_off, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
