/* link: what bad lines do to both daemons, as processes in network namespaces, and how soon they are over it.
 * On a line of 500 kbit/s with a camera that gives more, the age of a frame at its answer stays bounded, and
 * each frame without an answer is counted with a reason. On a line that swallows every packet both ways for
 * 10 s, fresh answers are there soon after its return. Needs root; otherwise skipped with the reason. */
#include "harness.h"
#include "net.h"

#include "base/clock.h"
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define HTTP_PORT 9465
#define WAIT_MS 30000u
#define LINES_MAX 4096u

#define SLOW_KBPS 500u
#define SLOW_QUEUE_MS 400u /* of a router, as they are */
#define SLOW_S 20u
/* The credits' frames (4 of some 10 KB), what the router holds, and twice that for a busy machine. */
#define SLOW_AGE_MS_MAX 3000.0

#define SILENT_S 10u
#define FRESH_MS 1000.0
#define BACK_MS_MAX 2000.0

struct line {
    uint64_t frame;
    double captured_ms, age_ms; /* since 1970; from then to the answer */
};

static const char listen_at[] = "listen.address=tcp://" NET_SERVER ":5570";
static const char server_at[] = "server.address=tcp://" NET_SERVER ":5570";

static struct line lines[LINES_MAX];
static size_t line_count;

static int setup(void **state)
{
    char reason[200];
    *state = NULL;
    if (!net_possible(reason, sizeof reason)) {
        fprintf(stderr, "SKIP REASON: link: %s\n", reason);
        return 0;
    }
    net_open();
    return scratch_setup(state);
}

static int teardown(void **state)
{
    if (!*state)
        return 0;
    net_close();
    return scratch_teardown(state);
}

static void start_both(const struct scratch *scratch, struct process *server, struct process *agent,
                       const char *bitrate)
{
    net_enter(NET_SERVER_SIDE);
    server_start(server, scratch, (const char *const[]){ "model=none", listen_at, NULL });
    process_expect(server, "msg=ready", WAIT_MS);
    net_enter(NET_AGENT);
    agent_start(agent, scratch, "agent",
                (const char *const[]){ server_at, "http.address=127.0.0.1:9465",
                                       "cameras.0.source.kind=test", "cameras.0.source.width=640",
                                       "cameras.0.source.height=480", "cameras.0.source.fps=15",
                                       bitrate, NULL });
    process_expect(agent, "msg=streaming", WAIT_MS);
}

/* ---- answers ---- */

static double field(struct json_object *line, const char *name)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(line, name, &value))
        fail_msg("no %s in %s", name, json_object_to_json_string(line));
    return json_object_get_double(value);
}

/* "2026-11-22T04:26:01.823Z" */
static double read_time_ms(const char *text)
{
    struct tm tm = { .tm_year = 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_true(rest && *rest == '.');
    return (double)timegm(&tm) * 1000 + (double)strtoul(rest + 1, NULL, 10);
}

static void read_lines(const struct scratch *scratch)
{
    char *text = NULL;
    size_t capacity = 0;
    FILE *file = fopen(scratch_path(scratch, "agent.jsonl"), "r");
    assert_non_null(file);
    for (line_count = 0; getline(&text, &capacity, file) > 0; line_count++) {
        struct json_object *line = json_tokener_parse(text), *capture;
        assert_true(line && line_count < LINES_MAX);
        assert_true(json_object_object_get_ex(line, "capture", &capture));
        lines[line_count] =
            (struct line){ (uint64_t)field(line, "frame"),
                           read_time_ms(json_object_get_string(capture)), field(line, "age_ms") };
        json_object_put(line);
    }
    free(text);
    fclose(file);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank, of all lines. */
static double age_quantile(unsigned percent)
{
    static double ages[LINES_MAX];
    for (size_t i = 0; i < line_count; i++)
        ages[i] = lines[i].age_ms;
    qsort(ages, line_count, sizeof *ages, compare);
    return line_count > 0 ? ages[(percent * line_count + 99) / 100 - 1] : 0;
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

/* Each captured frame is an answer or a drop with its reason. */
static void expect_all_counted(const struct process *agent)
{
    assert_int_equal((int)summary_value(agent, "frames"),
                     (int)(summary_value(agent, "answered") + summary_value(agent, "dropped")));
}

/* ---- tests ---- */

static void a_slow_line_bounds_the_age(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    if (!scratch)
        skip();
    net_set_rate(SLOW_KBPS, SLOW_QUEUE_MS);
    start_both(scratch, &server, &agent, "cameras.0.rung.bitrate_kbps=1000");
    sleep(SLOW_S);
    double link_losses = metric_now(HTTP_PORT, "edge_link_losses_total");
    double no_credit =
        metric_now(HTTP_PORT, "edge_frames_dropped_total{stream=\"cam\",reason=\"no_credit\"}");
    process_stop_well(&agent);
    process_stop_well(&server);
    read_lines(scratch);
    print_message(
        "%u kbit/s: answers=%zu of frames=%.0f no_credit=%.0f age p50_ms=%.0f p99_ms=%.0f "
        "worst_ms=%.0f\n",
        SLOW_KBPS, line_count, summary_value(&agent, "frames"), no_credit, age_quantile(50),
        age_quantile(99), age_quantile(100));
    expect_all_counted(&agent);
    assert_true(link_losses == 0);
    assert_true(no_credit > 0); /* it was too slow */
    assert_true(line_count > SLOW_S);
    assert_true(age_quantile(100) <= SLOW_AGE_MS_MAX);
}

/* When the first answer came, after a time, to a frame that was young; 0: none did. */
static double first_fresh_ms(double after_ms)
{
    for (size_t i = 0; i < line_count; i++) {
        double answered_ms = lines[i].captured_ms + lines[i].age_ms;
        if (answered_ms > after_ms && lines[i].age_ms < FRESH_MS)
            return answered_ms;
    }
    return 0;
}

static void a_silent_line_is_left_behind(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    if (!scratch)
        skip();
    start_both(scratch, &server, &agent, "cameras.0.rung.bitrate_kbps=1000");
    metric_expect(HTTP_PORT, "edge_frames_answered_total", 30, WAIT_MS);
    double silent_ms = now_ms();
    net_set_passing(false);
    sleep(SILENT_S);
    net_set_passing(true);
    double back_ms = now_ms();
    double answered = metric_now(HTTP_PORT, "edge_frames_answered_total");
    metric_expect(HTTP_PORT, "edge_frames_answered_total", answered + 30, WAIT_MS);
    process_stop_well(&agent);
    process_stop_well(&server);
    read_lines(scratch);
    double fresh_ms = first_fresh_ms(back_ms);
    print_message("silent for %.1f s: fresh answers %.0f ms after its return\n",
                  (back_ms - silent_ms) / 1000, fresh_ms - back_ms);
    expect_all_counted(&agent);
    assert_true(fresh_ms > 0 && fresh_ms - back_ms <= BACK_MS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slow_line_bounds_the_age, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_line_is_left_behind, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
