/* servers: an agent with two servers, all of them processes. It uses the second while the first is not
 * there, moves when a server is told to stop, dies, hangs or never says a word, and stays with one that
 * works; with one server alone it comes back to that. What it does is in its log and metrics, by server
 * and cause. */
#include "harness.h"

#include "base/clock.h"
#include "net/keys.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 30000u

/* The first's folder is the agent's too. */
struct pair {
    struct scratch first, second;
    struct process servers[2], agent;
    uint16_t http_port;
    char sets[4][400];
};

static const char *const server_sets[] = { "model=none", NULL };

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    struct key_pair edge;
    struct error err;
    const char *all[] = { "*" };
    if (!pair)
        return -1;
    scratch_make(&pair->first);
    scratch_make(&pair->second);
    if (keys_read_pair(scratch_path(&pair->first, "keys"), "edge", &edge, &err) != 0 ||
        keys_allow(scratch_path(&pair->second, "keys/allow"), "edge", edge.public_text, all, 1,
                   &err) != 0)
        return -1;
    keys_wipe(&edge);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    process_signal(&pair->servers[0], SIGCONT);
    process_signal(&pair->servers[1], SIGCONT);
    process_stop(&pair->agent);
    process_stop(&pair->servers[0]);
    process_stop(&pair->servers[1]);
    scratch_remove(&pair->first);
    scratch_remove(&pair->second);
    free(pair);
    return 0;
}

static void start_server(struct pair *pair, size_t index)
{
    server_start(&pair->servers[index], index == 0 ? &pair->first : &pair->second, server_sets);
    process_expect(&pair->servers[index], "msg=ready", WAIT_MS);
}

static void start_agent(struct pair *pair, bool both)
{
    pair->http_port = port_find();
    snprintf(pair->sets[0], sizeof pair->sets[0], "http.address=127.0.0.1:%u", pair->http_port);
    snprintf(pair->sets[1], sizeof pair->sets[1], "server.others.0.address=tcp://127.0.0.1:%u",
             pair->second.port);
    snprintf(pair->sets[2], sizeof pair->sets[2], "server.others.0.key=%s/keys/server.pub",
             pair->second.folder);
    const char *sets[] = { "cameras.0.source.kind=test",
                           "cameras.0.source.width=320",
                           "cameras.0.source.height=240",
                           "cameras.0.source.fps=25",
                           "server.connect_ms=1000",
                           "server.backoff_cap_ms=2000",
                           pair->sets[0],
                           both ? pair->sets[1] : NULL,
                           pair->sets[2],
                           NULL };
    agent_start(&pair->agent, &pair->first, "agent", sets);
}

static double active(const struct pair *pair, size_t index)
{
    char series[128];
    snprintf(series, sizeof series, "edge_server_active{server=\"tcp://127.0.0.1:%u\"}",
             index == 0 ? pair->first.port : pair->second.port);
    return metric_now(pair->http_port, series);
}

static void expect_losses(const struct pair *pair, const char *cause, double least)
{
    char series[128];
    snprintf(series, sizeof series, "edge_link_losses_total{cause=\"%s\"}", cause);
    metric_expect(pair->http_port, series, least, WAIT_MS);
}

/* Waits until the agent streams for the count-th time, to that server, and says how long it took. */
static void expect_move(struct pair *pair, size_t index, size_t count, uint64_t begin_ns,
                        const char *what)
{
    const char *slower = getenv("TEST_SLOWER");
    const uint64_t limit_ms = WAIT_MS * (slower ? strtoul(slower, NULL, 10) : 1);
    uint64_t ms = 0;
    while (process_count(&pair->agent, "msg=streaming") < count) {
        ms = (clock_now_ns() - begin_ns) / CLOCK_NS_PER_MS;
        if (ms > limit_ms)
            fail_msg("%s: no stream after %llu ms", what, (unsigned long long)ms);
        usleep(5000);
    }
    print_message("%s: streams again after %llu ms\n", what, (unsigned long long)ms);
    assert_true(active(pair, index) == 1);
    assert_true(active(pair, 1 - index) == 0);
}

/* ---- tests ---- */

/* Nobody at the first; then the second is told to stop, dies, and hangs, and each time the other serves. */
static void an_agent_moves_between_two(void **state)
{
    struct pair *pair = *state;
    start_server(pair, 1);
    start_agent(pair, true);
    expect_move(pair, 1, 1, clock_now_ns(), "nobody at the first");
    expect_losses(pair, "unreachable", 1);

    /* The first has come; the agent stays where it is. Then the second says that it stops. */
    start_server(pair, 0);
    usleep(700000);
    assert_true(active(pair, 1) == 1);
    uint64_t begin_ns = clock_now_ns();
    process_signal(&pair->servers[1], SIGTERM);
    expect_move(pair, 0, 2, begin_ns, "told to stop");
    assert_true(process_said(&pair->agent, "msg=\"the server stops\""));
    expect_losses(pair, "leaving", 1);
    assert_int_equal(process_wait(&pair->servers[1], WAIT_MS), 0);

    start_server(pair, 1);
    begin_ns = clock_now_ns();
    process_signal(&pair->servers[0], SIGKILL);
    expect_move(pair, 1, 3, begin_ns, "killed");
    expect_losses(pair, "closed", 1);
    process_wait(&pair->servers[0], WAIT_MS);

    start_server(pair, 0);
    begin_ns = clock_now_ns();
    process_signal(&pair->servers[1], SIGSTOP);
    expect_move(pair, 0, 4, begin_ns, "stands still"); /* three report periods of silence */
    expect_losses(pair, "silence", 1);

    /* What stands still takes connections (the kernel does), and says nothing. */
    begin_ns = clock_now_ns();
    process_signal(&pair->servers[0], SIGTERM);
    expect_losses(pair, "timeout", 1);
    process_signal(&pair->servers[1], SIGCONT);
    expect_move(pair, 1, 5, begin_ns, "told to stop, and the other one stood still");
    process_stop_well(&pair->agent);
    assert_int_equal(
        (int)summary_value(&pair->agent, "frames"),
        (int)(summary_value(&pair->agent, "answered") + summary_value(&pair->agent, "dropped")));
}

/* Frames on their way to a server that stops are answered by it. */
static void a_move_costs_no_answer(void **state)
{
    struct pair *pair = *state;
    struct answer_counts counts, given[2];
    start_server(pair, 0);
    start_server(pair, 1);
    start_agent(pair, true);
    process_expect(&pair->agent, "msg=streaming", WAIT_MS);
    for (size_t i = 0; i < 4; i++) {
        size_t from = i % 2;
        usleep(300000);
        uint64_t begin_ns = clock_now_ns();
        process_signal(&pair->servers[from], SIGTERM);
        expect_move(pair, 1 - from, i + 2, begin_ns, "told to stop");
        assert_int_equal(process_wait(&pair->servers[from], WAIT_MS), 0);
        start_server(pair, from);
    }
    const double lost = metric_now(
        pair->http_port, "edge_frames_dropped_total{stream=\"cam\",reason=\"link_lost\"}");
    process_stop_well(&pair->agent);
    process_stop_well(&pair->servers[0]);
    process_stop_well(&pair->servers[1]);
    /* Each answer that either server gave has come. */
    answers_count(scratch_path(&pair->first, "agent.jsonl"), NULL, &counts);
    answers_count(scratch_path(&pair->first, "server.jsonl"), NULL, &given[0]);
    answers_count(scratch_path(&pair->second, "server.jsonl"), NULL, &given[1]);
    print_message("4 moves: %zu and %zu answers given, %zu taken, %.0f frames not sent any more\n",
                  given[0].lines, given[1].lines, counts.lines, lost);
    assert_int_equal(given[0].lines + given[1].lines, counts.lines);
    assert_int_equal(counts.ok, counts.lines);
}

/* With one server alone the agent tries that again, soon. */
static void one_server_restarts(void **state)
{
    struct pair *pair = *state;
    start_server(pair, 0);
    start_agent(pair, false);
    process_expect(&pair->agent, "msg=streaming", WAIT_MS);
    uint64_t begin_ns = clock_now_ns();
    process_stop_well(&pair->servers[0]);
    start_server(pair, 0);
    expect_move(pair, 0, 2, begin_ns, "the only one restarted");
    expect_losses(pair, "leaving", 1);
    process_stop_well(&pair->agent);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_agent_moves_between_two),
        TEST(a_move_costs_no_answer),
        TEST(one_server_restarts),

    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
