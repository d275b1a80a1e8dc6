/* lossless: a lossless stream as an operator meets it: daemons killed in the middle, an outage with its
 * backlog, a source that resumes, a server that changes its key; nothing is missing and nothing twice. */
#include "fault_run.h"

#include "base/clock.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void expect_all(const struct scratch *scratch, size_t frames)
{
    size_t missing, twice;
    fault_compare(scratch, "agent.jsonl", frames, &missing, &twice);
    assert_int_equal(missing, 0);
    assert_int_equal(twice, 0);
}

/* Every kind of point comes: the seeds were looked at for that. */
static void kills_lose_and_repeat_nothing(void **state)
{
    const struct scratch *scratch = *state;
    unsigned kills = 0;
    fault_clip(scratch);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct fault_result result;
        fault_run(scratch, seed, &result);
        kills += result.kills;
        fprintf(stderr, "seed %llu: %s, %u killed\n", (unsigned long long)seed, result.point,
                result.kills);
        assert_int_equal(result.missing, 0);
        assert_int_equal(result.twice, 0);
    }
    assert_true(kills > 0);
}

/* The test picture, at its own pace. */
static void start_camera(struct process *agent, const struct scratch *scratch, const char *seconds,
                         const char *more)
{
    static char spool[400];
    snprintf(spool, sizeof spool, "spool.path=%s", scratch_path(scratch, "spool.db"));
    agent_start(agent, scratch, "agent",
                (const char *const[]){ spool, "cameras.0.mode=lossless",
                                       "cameras.0.source.kind=test", "cameras.0.source.width=160",
                                       "cameras.0.source.height=128", "cameras.0.source.fps=25",
                                       seconds, "server.backoff_first_ms=50",
                                       "server.backoff_cap_ms=300", more, NULL });
}

static void start_server(struct process *server, const struct scratch *scratch)
{
    server_start(server, scratch, (const char *const[]){ "model=none", "report_ms=200", NULL });
    process_expect(server, "msg=ready", 15000);
}

static size_t lines_with(const struct scratch *scratch, const char *text)
{
    char line[4096];
    size_t count = 0;
    FILE *file = fopen(scratch_path(scratch, "agent.jsonl"), "r");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return count;
}

static void wait_lines(const struct scratch *scratch, const char *text, size_t count)
{
    for (unsigned i = 0; i < 3000; i++) {
        if (lines_with(scratch, text) >= count)
            return;
        usleep(10000);
    }
    fail_msg("%zu lines with %s, not %zu", lines_with(scratch, text), text, count);
}

/* The link is gone for some seconds: live frames are answered again at once, and the others beside them,
 * marked late. */
static void an_outage_leaves_a_backlog_that_is_answered(void **state)
{
    const struct scratch *scratch = *state;
    struct process server, agent;
    char more[80];
    uint16_t port = port_find();
    snprintf(more, sizeof more, "http.address=127.0.0.1:%u", port);
    start_server(&server, scratch);
    start_camera(&agent, scratch, "cameras.0.source.seconds=12", more);
    wait_lines(scratch, "\"status\":\"ok\"", 20);
    process_signal(&server, SIGKILL);
    process_wait(&server, 10000);
    metric_expect(port, "edge_spool_frames", 50, 30000);
    start_server(&server, scratch);
    assert_int_equal(process_wait(&agent, 60000), 0);
    process_stop_well(&server);
    assert_true(process_said(&agent, "a backlog is sent beside the live stream"));
    assert_true(process_said(&agent, "the backlog is answered"));
    size_t frames = (size_t)summary_value(&agent, "frames");
    size_t dropped = (size_t)summary_value(&agent, "dropped"); /* a busy machine encodes too late */
    assert_int_equal(lines_with(scratch, "\"status\":\"ok\"") + dropped, frames);
    assert_true(lines_with(scratch, "\"late\":true") >= 45);
    if (dropped == 0)
        expect_all(scratch, 300);
}

/* Without a server all waits; the next run, with one, answers it, and has no frame of its own. */
static void a_stopped_agent_resumes(void **state)
{
    const struct scratch *scratch = *state;
    struct process server, agent;
    start_camera(&agent, scratch, "cameras.0.source.seconds=2", "cameras.0.pace=fast");
    process_expect(&agent, "encoder opened", 15000);
    usleep(500000);
    process_stop(&agent);
    assert_int_equal(lines_with(scratch, "frame"), 0);
    start_server(&server, scratch);
    for (unsigned i = 0; i < 2; i++) { /* the second time nothing is left to do */
        start_camera(&agent, scratch, "cameras.0.source.seconds=2", "cameras.0.pace=fast");
        assert_int_equal(process_wait(&agent, 60000), 0);
        expect_all(scratch, 50);
    }
    process_stop_well(&server);
}

static void run_keys(const struct scratch *scratch, const char *option)
{
    char folder[400];
    struct process keys;
    snprintf(folder, sizeof folder, "%s", scratch_path(scratch, "keys"));
    process_start(&keys, scratch, "keys",
                  (const char *const[]){ program_path("cloud-server"), "keys", "rotate", "--folder",
                                         folder, option, NULL });
    assert_int_equal(process_wait(&keys, 15000), 0);
}

static void append(const char *from, const char *to)
{
    char command[900];
    snprintf(command, sizeof command, "cat '%s' >>'%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* The agent has both keys of the server, which changes to the new one while frames are on their way. */
static void a_new_server_key_loses_nothing(void **state)
{
    const struct scratch *scratch = *state;
    struct process server, agent;
    char spool[400], key[400];
    snprintf(spool, sizeof spool, "spool.path=%s", scratch_path(scratch, "spool.db"));
    snprintf(key, sizeof key, "server.key=%s", scratch_path(scratch, "box.pub"));
    run_keys(scratch, NULL);
    append(scratch_path(scratch, "keys/server.pub"), scratch_path(scratch, "box.pub"));
    append(scratch_path(scratch, "keys/server-next.pub"), scratch_path(scratch, "box.pub"));
    start_server(&server, scratch);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ spool, key, "cameras.0.mode=lossless", "cameras.0.pace=fast",
                                       "cameras.0.source.kind=test", "cameras.0.source.width=160",
                                       "cameras.0.source.height=128", "cameras.0.source.fps=25",
                                       "cameras.0.source.seconds=60", "server.backoff_first_ms=50",
                                       "server.backoff_cap_ms=300", NULL });
    wait_lines(scratch, "\"status\":\"ok\"", 100);
    run_keys(scratch, "--switch");
    process_stop_well(&server);
    start_server(&server, scratch);
    assert_int_equal(process_wait(&agent, 120000), 0);
    process_stop_well(&server);
    assert_true(process_count(&agent, "msg=streaming") >= 2);
    expect_all(scratch, 1500);
    assert_int_equal((int)summary_value(&agent, "answered"), 1500);
}

static void a_damaged_spool_stops_the_start(void **state)
{
    const struct scratch *scratch = *state;
    struct process agent;
    FILE *file = fopen(scratch_path(scratch, "spool.db"), "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 1000; i++)
        fprintf(file, "this is no spool\n");
    fclose(file);
    start_camera(&agent, scratch, "cameras.0.source.seconds=2", "cameras.0.pace=fast");
    assert_int_equal(process_wait(&agent, 20000), 1);
    assert_true(process_said(&agent, "spool.db: is damaged"));
    assert_true(process_said(&agent, "move it away"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kills_lose_and_repeat_nothing),   TEST(an_outage_leaves_a_backlog_that_is_answered),
        TEST(a_stopped_agent_resumes),         TEST(a_new_server_key_loses_nothing),
        TEST(a_damaged_spool_stops_the_start),
    };
    return cmocka_run_group_tests_name("lossless", tests, NULL, NULL);
}
