/* probe: probes through the real daemons. They come through, both sides count the same, figures are told from
 * 30 on, and the bits stay within their share; a golden model that is too slow or never gets a worker costs
 * probes and no live frame; a probe belongs to the rung its frame was sent at, whatever the rung is when it
 * arrives; what probes have told outlives the agent and sessions, and goes with the server. */
#include "probe_rig.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define KNOWN_FROM 30u /* probes (TAIL_FIGURES) */
#define LOOKS_MAX 6000u
#define LOOK_US 10000u
#define HEADER_BYTES_MAX 40u /* of a slice */

struct pair {
    struct scratch scratch;
    struct process server, agent;
    uint16_t server_port, agent_port;
    char server_address[64];
};

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair)
        return -1;
    scratch_make(&pair->scratch);
    pair->server_port = port_find();
    pair->agent_port = port_find();
    snprintf(pair->server_address, sizeof pair->server_address, "http.address=127.0.0.1:%u",
             pair->server_port);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    process_stop(&pair->agent);
    process_stop(&pair->server);
    scratch_remove(&pair->scratch);
    free(pair);
    return 0;
}

/* Two that are quick: live pictures leave one of them idle. */
#define SIMULATED(n, ms) "pool.devices." #n ".kind=simulated", "pool.devices." #n ".service_ms=" #ms
#define QUICK SIMULATED(0, 1), SIMULATED(1, 1)
/* Live pictures wait for a slow worker once, until its speed is known, and where the machine is late. */
#define MANY_CREDITS "credits=64", "pool.queue_per_stream=64"

/* What the agent is to do; SIGHUP makes it read this again. */
struct plan {
    const char *source; /* YAML */
    double share;
    unsigned fps, kbps;
};

static void write_plan(const struct pair *pair, const struct plan *plan)
{
    const struct scratch *scratch = &pair->scratch;
    FILE *file = fopen(scratch_path(scratch, "agent.yaml"), "w");
    assert_non_null(file);
    fprintf(
        file,
        "server: { address: 'tcp://127.0.0.1:%u', key: %s/keys/server.pub, backoff_first_ms: 50, "
        "backoff_cap_ms: 200 }\n"
        "keys: { folder: %s/keys }\n"
        "answers: { path: %s/agent.jsonl }\n"
        "http: { address: '127.0.0.1:%u' }\n"
        "probes: { share: %g }\n"
        "cameras:\n"
        "  - name: cam\n"
        "    source: { %s }\n"
        "    rung: { bitrate_kbps: %u, fps: %u }\n",
        scratch->port, scratch->folder, scratch->folder, scratch->folder, pair->agent_port,
        plan->share, plan->source, plan->kbps, plan->fps);
    assert_int_equal(fclose(file), 0);
}

static void start_agent(struct pair *pair, const struct plan *plan)
{
    write_plan(pair, plan);
    process_start(&pair->agent, &pair->scratch, "agent",
                  (const char *const[]){ program_path("edge-agent"), "run", "-c",
                                         scratch_path(&pair->scratch, "agent.yaml"), NULL });
    process_expect(&pair->agent, "msg=streaming", 30000);
}

static const struct plan small = {
    .source = "kind: test, width: 160, height: 128, fps: 20",
    .share = 0.5,
    .fps = 20,
    .kbps = 2000,
};

#define AGENT_ENDS "edge_probes_total{stream=\"cam\""
#define AGENT_END(end) AGENT_ENDS ",end=\"" end "\"}"
#define SERVER_ENDS "server_probes_total{stream=\"cam\""
#define SERVER_END(end) SERVER_ENDS ",end=\"" end "\"}"
#define STATE "edge_probe_state{stream=\"cam\"}"
#define IN_WINDOW "server_probes_in_window{stream=\"cam\"}"

static const char *answers_of(const struct pair *pair)
{
    return scratch_path(&pair->scratch, "server.jsonl");
}

/* Waits for a moment in which the agent has no probe under way and the server is done with all it has
 * sent. */
struct counted {
    unsigned probes;
    double probe_bytes, sent_bytes;
};

static struct counted expect_same_counts(const struct pair *pair)
{
    double ended = -1, sent = 0;
    const char *page = "";
    for (unsigned i = 0; i < LOOKS_MAX && sent != ended; i++) {
        usleep(LOOK_US);
        ended = metric_now(pair->server_port, SERVER_ENDS);
        page = page_get(pair->agent_port, "/metrics");
        sent = metric_sum(page, STATE) == 0 ? metric_sum(page, AGENT_ENDS) : -2;
    }
    if (sent != ended)
        fail_msg("the agent has ended %g (-2: one is under way), the server %g: %s", sent, ended,
                 strstr(page, "edge_probes_total"));
    if (metric_sum(page, AGENT_END("sent")) != sent)
        fail_msg("not all were sent: %s", strstr(page, "edge_probes_total"));
    return (struct counted){ .probes = (unsigned)sent,
                             .probe_bytes = metric_sum(page, "edge_probe_bytes_total"),
                             .sent_bytes = metric_sum(page, "edge_sent_bytes_total") };
}

/* A value is told when enough probes are there for it, and no earlier, wherever one looks. Gives the server's
 * number of probes. */
static unsigned look_at_figures(const struct pair *pair)
{
    struct tail_seen tail;
    tail_get(pair->server_port, "cam", &tail);
    assert_true(tail.mean_known == (tail.probes >= KNOWN_FROM));
    assert_false(tail.tail99_known);

    const char *page = page_get(pair->server_port, "/metrics");
    double probes = metric_sum(page, IN_WINDOW);
    double mean =
        metric_sum(page, "server_accuracy{stream=\"cam\",figure=\"mean\",bound=\"value\"}");
    if (probes > 0)
        assert_true(isnan(mean) == (probes < KNOWN_FROM));

    page = page_get(pair->agent_port, "/metrics");
    bool told = metric_sum(page, "edge_probes_in_window{stream=\"cam\"}") >= KNOWN_FROM;
    assert_true(told ==
                (strstr(page, "edge_accuracy{stream=\"cam\",figure=\"mean\",bound=\"low\"}") != NULL));
    return tail.probes;
}

static void expect_all_answered(struct pair *pair)
{
    struct answer_counts counts;
    process_stop_well(&pair->agent);
    process_stop_well(&pair->server);
    answers_count(answers_of(pair), "cam", &counts);
    assert_int_equal(counts.ok, counts.lines);
    assert_int_equal((int)summary_value(&pair->agent, "answered"), counts.lines);
    assert_int_equal(summary_lost(&pair->agent), 0);
}

/* The bits of probes, as the agent counts them, beside those of frames; and beside what the server has
 * received, which counts no headers. */
static void expect_share(const struct counted *counted, double share, double payload_bytes)
{
    double bytes = counted->probe_bytes, all = counted->sent_bytes + bytes;
    print_message("%u probes, %.4f of the bits\n", counted->probes, bytes / all);
    assert_true(bytes <= share * all + HEADER_BYTES_MAX);
    assert_true(bytes >= 0.6 * share * all);
    double headers = payload_bytes / SLICE_BYTES + 2 * counted->probes;
    assert_true(bytes > payload_bytes && bytes < payload_bytes + headers * HEADER_BYTES_MAX);
}

/* Coding costs them nothing, but where two quarters of the picture are as bright to a tenth of a step, as in one
 * of 100 pictures: there the simulated device may find another class, which scores 0. */
static void expect_undisturbed(const struct probe_seen *seen, size_t count)
{
    size_t ties = 0;
    for (size_t i = 0; i < count; i++) {
        ties += seen[i].accuracy == 0;
        assert_true(seen[i].accuracy == 0 || seen[i].accuracy > 0.97);
    }
    print_message("%zu of %zu probes at a tie\n", ties, count);
    assert_true(ties <= count / 8);
}

static void probes_come_through(void **state)
{
    static struct probe_seen seen[PROBES_MAX];
    struct pair *pair = *state;
    struct plan plan = small;
    unsigned below = 0, probes = 0;
    double payload_bytes = 0;
    plan.share = 0.2; /* low enough that there is time between two probes, however slow the machine */
    server_start(&pair->server, &pair->scratch,
                 (const char *const[]){ QUICK, MANY_CREDITS, pair->server_address, NULL });
    start_agent(pair, &plan);
    for (unsigned i = 0; i < LOOKS_MAX && probes < KNOWN_FROM + 5; i++) {
        probes = look_at_figures(pair);
        below += probes > 0 && probes < KNOWN_FROM;
        usleep(LOOK_US);
    }
    assert_true(below > 0);
    metric_expect(pair->agent_port, "edge_probes_in_window", KNOWN_FROM, 10000);
    look_at_figures(pair);

    struct counted counted = expect_same_counts(pair);
    size_t count = probes_read(answers_of(pair), "cam", seen);
    assert_true(count >= counted.probes);
    for (size_t i = 0; i < counted.probes; i++) {
        assert_string_equal(seen[i].rung, "160x128 20 fps h264 2000 kbit/s");
        assert_true(seen[i].probability == 1);
        payload_bytes += (double)seen[i].wire_bytes;
    }
    expect_share(&counted, plan.share, payload_bytes);
    expect_undisturbed(seen, counted.probes);
    expect_all_answered(pair);
}

/* The shipped detector on real pictures, where they are there, at a bitrate that costs them nothing. */
static void undisturbed_pictures_score_one(void **state)
{
    static struct probe_seen seen[PROBES_MAX];
    struct pair *pair = *state;
    struct plan plan = {
        .source = "kind: test, width: 640, height: 480", .share = 0.5, .fps = 4, .kbps = 6000
    };
    char video[600], source[700];
    const char *build = getenv("B");
    snprintf(video, sizeof video, "%s/demo/vtest.avi", build ? build : "build");
    snprintf(source, sizeof source, "kind: file, path: %s", video);
    if (access(video, R_OK) == 0)
        plan.source = source;
    server_start(&pair->server, &pair->scratch,
                 (const char *const[]){ "pool.devices.0.kind=cpu", "pool.devices.0.threads=1",
                                        "pool.devices.1.kind=cpu", "pool.devices.1.threads=1",
                                        pair->server_address, NULL });
    start_agent(pair, &plan);
    metric_expect(pair->server_port, SERVER_END("scored"), 8, 60000);
    size_t count = probes_read(answers_of(pair), "cam", seen);
    double accuracy = 0;
    for (size_t i = 0; i < count; i++)
        accuracy += seen[i].accuracy / (double)count;
    print_message("accuracy %.4f of %zu probes from %s\n", accuracy, count, plan.source);
    assert_true(accuracy > 0.97);
    process_stop_well(&pair->agent);
    process_stop_well(&pair->server);
}

/* The simulated devices find a picture the more uncertain the darker it is. Of frames drawn by that, the mean
 * rank is above the middle, and weighted it is back there. */
static void uncertain_frames_come_more_often(void **state)
{
    static struct probe_seen seen[PROBES_MAX];
    struct pair *pair = *state;
    double weights = 0, drawn = 0, weighted = 0;
    unsigned less_likely = 0;
    server_start(&pair->server, &pair->scratch,
                 (const char *const[]){ QUICK, pair->server_address, "probes.order=uncertain", NULL });
    start_agent(pair, &small);
    metric_expect(pair->server_port, SERVER_END("scored"), 60, 120000);
    process_stop_well(&pair->agent);
    process_stop_well(&pair->server);
    size_t count = probes_read(answers_of(pair), "cam", seen);
    for (size_t i = 0; i < count; i++) {
        double weight = 1 / seen[i].probability;
        assert_true(seen[i].probability >= 0.1 && seen[i].probability <= 1);
        less_likely += seen[i].probability < 1;
        drawn += seen[i].uncertainty_rank / (double)count;
        weighted += weight * seen[i].uncertainty_rank;
        weights += weight;
    }
    print_message("mean rank %.3f of %zu drawn, weighted %.3f\n", drawn, count, weighted / weights);
    assert_true(less_likely > count / 2);
    assert_true(drawn > 0.5 && drawn > weighted / weights);
    assert_true(fabs(weighted / weights - 0.5) < 0.15);
}

/* ---- golden models that have no time ---- */

/* Probes that were looked at or not for want of time: of the golden model's, or of the live picture's, which
 * was not answered yet when the next probe came. */
static double told_of(const char *page)
{
    return metric_sum(page, SERVER_END("scored")) + metric_sum(page, SERVER_END("golden_busy")) +
           metric_sum(page, SERVER_END("replaced"));
}

static void a_slow_golden_model_costs_probes_only(void **state)
{
    struct pair *pair = *state;
    server_start(&pair->server, &pair->scratch,
                 (const char *const[]){ SIMULATED(0, 2), SIMULATED(1, 1500), MANY_CREDITS,
                                        pair->server_address, NULL });
    start_agent(pair, &small);
    metric_expect(pair->server_port, SERVER_END("scored"), 2, 60000);
    metric_expect(pair->server_port, SERVER_END("golden_busy"), 5, 60000);
    double sent = metric_now(pair->agent_port, AGENT_END("sent"));
    const char *page = page_get(pair->server_port, "/metrics");
    double told = told_of(page);
    assert_true(told == metric_sum(page, SERVER_ENDS));
    assert_true(told >= sent - 1); /* one is being looked at */
    expect_all_answered(pair);
}

/* A picture takes eight tenths of the time between two. */
static void without_an_idle_worker_probes_wait(void **state)
{
    struct pair *pair = *state;
    struct plan plan = small;
    plan.source = "kind: test, width: 160, height: 128, fps: 10";
    plan.fps = 10;
    server_start(&pair->server, &pair->scratch,
                 (const char *const[]){ SIMULATED(0, 80), MANY_CREDITS, pair->server_address, NULL });
    start_agent(pair, &plan);
    metric_expect(pair->server_port, SERVER_END("golden_busy"), 5, 60000);
    const char *page = page_get(pair->server_port, "/metrics");
    assert_true(told_of(page) == metric_sum(page, SERVER_ENDS));
    assert_true(metric_sum(page, SERVER_END("scored")) == 0);
    assert_true(metric_sum(page, "server_pool_idle_queue_pictures") == 1);
    expect_all_answered(pair);
}

/* ---- rungs ---- */

static size_t count_rung(const struct pair *pair, const char *rung)
{
    static struct probe_seen seen[PROBES_MAX];
    size_t all = probes_read(answers_of(pair), "cam", seen), count = 0;
    for (size_t i = 0; i < all; i++)
        count += strcmp(seen[i].rung, rung) == 0;
    return count;
}

/* Waits until the window that is told of is this rung's, and holds as many probes as lines tell of; at least
 * so many. */
static void expect_window(const struct pair *pair, const char *rung, size_t least)
{
    struct tail_seen tail = { .probes = 0 };
    size_t lines = 0;
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        tail_get(pair->server_port, "cam", &tail);
        lines = count_rung(pair, rung);
        if (strcmp(tail.rung, rung) == 0 && lines >= least && tail.probes == lines)
            return;
        usleep(LOOK_US);
    }
    fail_msg("%zu lines of %s, %u probes of %s", lines, rung, tail.probes, tail.rung);
}

static void change_rung(struct pair *pair, const struct plan *plan, size_t times)
{
    write_plan(pair, plan);
    process_signal(&pair->agent, SIGHUP);
    for (unsigned i = 0;
         i < LOOKS_MAX && process_count(&pair->agent, "msg=\"rung changed\"") < times; i++)
        usleep(LOOK_US);
    assert_int_equal(process_count(&pair->agent, "msg=\"rung changed\""), times);
}

/* The first probe needs twice what is expected, so it is on its way for a second or two: until frames have
 * earned the rest of it. */
static void a_probe_belongs_to_its_frames_rung(void **state)
{
    static const char first_rung[] = "160x128 20 fps h264 120 kbit/s";
    static const char second_rung[] = "160x128 20 fps h264 80 kbit/s";
    struct pair *pair = *state;
    struct plan first = small, second = small;
    first.share = second.share = 0.2;
    first.kbps = 120;
    second.kbps = 80;
    server_start(&pair->server, &pair->scratch,
                 (const char *const[]){ QUICK, MANY_CREDITS, pair->server_address, NULL });
    start_agent(pair, &first);
    metric_expect(pair->agent_port, STATE, 2, 30000);
    change_rung(pair, &second, 1);
    assert_true(metric_now(pair->agent_port, AGENT_ENDS) == 0);
    expect_window(pair, first_rung, 1);
    expect_window(pair, second_rung, 1);
    assert_int_equal(count_rung(pair, first_rung), 1);
    change_rung(pair, &first, 2);
    expect_window(pair, first_rung, 2);
    assert_int_equal(process_count(&pair->agent, "msg=streaming"), 1);
    expect_all_answered(pair);
}

/* ---- links ---- */

/* Waits until the window holds one probe for each line but the first ones. */
static unsigned expect_probes_since(const struct pair *pair, size_t first, unsigned least)
{
    struct tail_seen tail = { .probes = 0 };
    size_t lines = 0;
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        tail_get(pair->server_port, "cam", &tail);
        lines = probes_count(answers_of(pair), "cam");
        if (tail.probes >= least && tail.probes + first == lines)
            return tail.probes;
        usleep(LOOK_US);
    }
    fail_msg("%u probes in the window, %zu lines since then", tail.probes, lines - first);
    return 0;
}

static void start_quick_server(struct pair *pair)
{
    server_start(
        &pair->server, &pair->scratch,
        (const char *const[]){ QUICK, MANY_CREDITS, pair->server_address, "report_ms=2000", NULL });
}

static void windows_outlive_agents_and_go_with_the_server(void **state)
{
    struct pair *pair = *state;
    start_quick_server(pair);
    start_agent(pair, &small);
    expect_probes_since(pair, 0, 3);

    /* It does not answer any more: the next probe cannot go, or not on. */
    process_signal(&pair->server, SIGSTOP);
    metric_expect(pair->agent_port, STATE, 2, 5000);
    process_signal(&pair->server, SIGKILL);
    assert_int_equal(process_wait(&pair->server, 5000), 128 + SIGKILL);
    metric_expect(pair->agent_port, AGENT_END("session_ended"), 1, 15000);
    size_t lines = probes_count(answers_of(pair), "cam");
    assert_true(lines >= 3);

    start_quick_server(pair);
    metric_expect(pair->agent_port, "edge_stream_state{stream=\"cam\"}", 1, 30000);
    unsigned before = expect_probes_since(pair, lines, 2);
    assert_true(metric_now(pair->agent_port, AGENT_END("session_ended")) == 1);

    process_signal(&pair->agent, SIGKILL);
    assert_int_equal(process_wait(&pair->agent, 5000), 128 + SIGKILL);
    start_agent(pair, &small);
    struct tail_seen tail;
    tail_get(pair->server_port, "cam", &tail);
    assert_true(tail.probes >= before);
    expect_probes_since(pair, lines, before + 3);
    process_stop_well(&pair->agent);
    process_stop_well(&pair->server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(probes_come_through),
        TEST(undisturbed_pictures_score_one),
        TEST(uncertain_frames_come_more_often),
        TEST(a_slow_golden_model_costs_probes_only),
        TEST(without_an_idle_worker_probes_wait),
        TEST(a_probe_belongs_to_its_frames_rung),
        TEST(windows_outlive_agents_and_go_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
