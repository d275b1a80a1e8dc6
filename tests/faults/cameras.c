/* cameras: see the header. */
#include "cameras.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Above the agent's own deadlines, for machines that do other things beside. */
#define SLACK_MS 8000u
#define SETTINGS_MAX 100u

/* Of sanitizers. */
static double slower(void)
{
    const char *text = getenv("TEST_SLOWER");
    return text ? strtod(text, NULL) : 1;
}

void cameras_begin(struct cameras *cameras)
{
    scratch_make(&cameras->scratch);
    cameras->http = port_find();
}

void cameras_start(struct cameras *cameras, const char *const *settings)
{
    const char *all[SETTINGS_MAX];
    char http[64];
    size_t count = 0;
    snprintf(http, sizeof http, "http.address=127.0.0.1:%u", cameras->http);
    all[count++] = http;
    for (; *settings; settings++) {
        assert_true(count + 1 < SETTINGS_MAX);
        all[count++] = *settings;
    }
    all[count] = NULL;
    server_start(&cameras->server, &cameras->scratch,
                 (const char *const[]){ "model=none", "credits=64", "report_ms=10000", NULL });
    process_expect(&cameras->server, "msg=ready", WAIT_MS);
    agent_start(&cameras->agent, &cameras->scratch, "agent", all);
    process_expect(&cameras->agent, "msg=streaming stream=beside", WAIT_MS);
}

void cameras_stop(struct cameras *cameras)
{
    process_stop(&cameras->agent);
    process_stop(&cameras->server);
}

void cameras_end(struct cameras *cameras)
{
    scratch_remove(&cameras->scratch);
}

uint64_t cameras_now_ms(void)
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

double cameras_metric(const struct cameras *cameras, const char *name, const char *stream,
                      const char *cause)
{
    return metric_now(cameras->http, metric(name, stream, cause));
}

void cameras_expect_metric(const struct cameras *cameras, const char *name, const char *stream,
                           const char *cause, double least)
{
    metric_expect(cameras->http, metric(name, stream, cause), least, WAIT_MS);
}

void cameras_expect_found(const struct cameras *cameras, const char *stream, const char *cause,
                          double before, uint64_t begin_ms, unsigned within_ms)
{
    cameras_expect_metric(cameras, "losses_total", stream, cause, before + 1);
    uint64_t found_ms = cameras_now_ms() - begin_ms;
    print_message("  found as %s after %llu ms\n", cause, (unsigned long long)found_ms);
    assert_true((double)found_ms <= (within_ms + SLACK_MS) * slower());
}

void cameras_expect_back(const struct cameras *cameras, const char *stream, uint64_t begin_ms)
{
    char answered[100];
    snprintf(answered, sizeof answered, "edge_frames_answered_total{stream=\"%s\"}", stream);
    cameras_expect_metric(cameras, "state", stream, NULL, 2);
    metric_expect(cameras->http, answered, metric_now(cameras->http, answered) + 3, WAIT_MS);
    uint64_t back_ms = cameras_now_ms() - begin_ms;
    print_message("  %s answered again after %llu ms\n", stream, (unsigned long long)back_ms);
    assert_true((double)back_ms <= (FIRST_FRAME_MS + RETRY_CAP_MS + SLACK_MS) * slower());
}

void cameras_expect_answer(const struct cameras *cameras, const char *stream, const char *part)
{
    char command[1024];
    snprintf(command, sizeof command, "grep '\"stream\":\"%s\"' '%s' | grep -q '%s'", stream,
             scratch_path(&cameras->scratch, "agent.jsonl"), part);
    for (uint64_t end_ms = cameras_now_ms() + WAIT_MS; system(command) != 0; usleep(50000))
        if (cameras_now_ms() > end_ms)
            fail_msg("no answer to %s with %s", stream, part);
}

void cameras_expect_beside_untouched(struct cameras *cameras)
{
    struct answer_counts counts;
    double dropped = metric_now(cameras->http, "edge_frames_dropped_total{stream=\"beside\"");
    double late = metric_now(
        cameras->http, "edge_frames_dropped_total{stream=\"beside\",reason=\"encoder_late\"}");
    assert_int_equal((int)(dropped - late), 0); /* a box may be busy with other things */
    assert_int_equal(process_count(&cameras->agent, "msg=streaming stream=beside"), 1);
    process_stop_well(&cameras->agent);
    answers_count(scratch_path(&cameras->scratch, "agent.jsonl"), "beside", &counts);
    assert_true(counts.ok > 0);
    assert_int_equal(counts.ok, counts.lines);
    assert_int_equal((int)summary_value(&cameras->agent, "frames"),
                     (int)(summary_value(&cameras->agent, "answered") +
                           summary_value(&cameras->agent, "dropped")));
    process_stop_well(&cameras->server);
}
