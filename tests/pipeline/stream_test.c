/* stream: the product's main job through the real binaries: every frame is answered, in order, once;
 * many streams share a server fairly; daemons that end or die are survived. */
#include "harness.h"

#include "base/clock.h"
#include <json-c/json.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const no_analysis[] = { "model=none", NULL };

static void every_frame_is_answered(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts at_agent, at_server;
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.width=640",
                                       "cameras.0.source.height=360", "cameras.0.source.fps=25",
                                       "cameras.0.source.seconds=8", "cameras.0.pace=fast", NULL });
    assert_int_equal(process_wait(&agent, 60000), 0);
    process_stop_well(&server);
    assert_int_equal((int)summary_value(&agent, "frames"), 200);
    assert_int_equal((int)summary_value(&agent, "answered"), 200);
    assert_int_equal((int)summary_value(&agent, "dropped"), 0);
    answers_count(scratch_path(scratch, "agent.jsonl"), "cam", &at_agent);
    answers_count(scratch_path(scratch, "server.jsonl"), "cam", &at_server);
    assert_int_equal(at_agent.ok, 200);
    assert_int_equal(at_server.ok, 200);
}

static void paced_clip_keeps_its_time(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    const char *clip = scratch_path(scratch, "clip.mp4");
    char path[600];
    clip_make(clip, 40, 320, 240); /* 4 s at 10 fps */
    snprintf(path, sizeof path, "cameras.0.source.path=%s", clip);
    server_start(&server, scratch,
                 (const char *const[]){ "model=none", "credits=64", NULL }); /* a stall drops none */
    process_expect(&server, "msg=ready", 10000);
    uint64_t begin_ns = clock_now_ns();
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ path, "cameras.0.source.kind=file", NULL });
    assert_int_equal(process_wait(&agent, 60000), 0);
    uint64_t took_ms = (clock_now_ns() - begin_ns) / CLOCK_NS_PER_MS;
    assert_true(took_ms >= 3800);
    assert_int_equal((int)summary_value(&agent, "frames"), 40);
    assert_int_equal(summary_lost(&agent), 0);
    process_stop(&server);
}

static void detector_finds_people(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts counts;
    char path[600];
    const char *data = getenv("TEST_DATA");
    snprintf(path, sizeof path, "cameras.0.source.path=%s/clips/person-bicycle-car-detection.mp4",
             data ? data : "");
    if (access(strchr(path, '=') + 1, R_OK) != 0) {
        fprintf(stderr, "SKIP REASON: detector_finds_people: no %s\n", strchr(path, '=') + 1);
        skip();
    }
    server_start(&server, scratch, NULL);
    agent_start(
        &agent, scratch, "agent",
        (const char *const[]){ path, "cameras.0.source.kind=file", "cameras.0.pace=fast", NULL });
    assert_int_equal(process_wait(&agent, 120000), 0);
    process_stop(&server);
    answers_count(scratch_path(scratch, "agent.jsonl"), "cam", &counts);
    assert_int_equal(counts.ok, 167);
    assert_true(counts.objects > 100);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#define PERIOD_MS 100u
#define STREAMS 16
#define FRAMES_MAX 2000

/* Ages of one stream's answers, sorted. */
static size_t read_ages(const char *path, const char *stream, double *ages)
{
    size_t count = 0, capacity = 0;
    char *line = NULL;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (getline(&line, &capacity, file) > 0) {
        struct json_object *answer = json_tokener_parse(line), *field;
        assert_non_null(answer);
        assert_true(json_object_object_get_ex(answer, "stream", &field));
        if (strcmp(json_object_get_string(field), stream) == 0 && count < FRAMES_MAX &&
            json_object_object_get_ex(answer, "age_ms", &field))
            ages[count++] = json_object_get_double(field);
        json_object_put(answer);
    }
    free(line);
    fclose(file);
    qsort(ages, count, sizeof *ages, compare_doubles);
    return count;
}

static void sixteen_streams_share_fairly(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    static char texts[STREAMS][7][80];
    const char *sets[STREAMS * 7 + 1];
    size_t count = 0;
    for (unsigned i = 0; i < STREAMS; i++) {
        snprintf(texts[i][0], sizeof texts[i][0], "cameras.%u.name=cam-%u", i, i);
        snprintf(texts[i][1], sizeof texts[i][1], "cameras.%u.source.kind=test", i);
        snprintf(texts[i][2], sizeof texts[i][2], "cameras.%u.source.width=160", i);
        snprintf(texts[i][3], sizeof texts[i][3], "cameras.%u.source.height=128", i);
        snprintf(texts[i][4], sizeof texts[i][4], "cameras.%u.source.fps=%u", i, 1000 / PERIOD_MS);
        snprintf(texts[i][5], sizeof texts[i][5], "cameras.%u.source.seconds=6", i);
        snprintf(texts[i][6], sizeof texts[i][6], "cameras.%u.rung.preset=ultrafast", i);
        for (unsigned j = 0; j < 7; j++)
            sets[count++] = texts[i][j];
    }
    sets[count] = NULL;
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent", sets);
    assert_int_equal(process_wait(&agent, 120000), 0);
    process_stop_well(&server);

    double sum = 0, squares = 0, medians[STREAMS], worst_p99 = 0;
    for (unsigned i = 0; i < STREAMS; i++) {
        static double ages[FRAMES_MAX];
        char name[16];
        snprintf(name, sizeof name, "cam-%u", i);
        size_t answers = read_ages(scratch_path(scratch, "agent.jsonl"), name, ages);
        assert_true(answers > 0);
        sum += (double)answers;
        squares += (double)answers * (double)answers;
        medians[i] = ages[answers / 2];
        worst_p99 = fmax(worst_p99, ages[(99 * answers + 99) / 100 - 1]);
    }
    double jain = sum * sum / (STREAMS * squares);
    qsort(medians, STREAMS, sizeof *medians, compare_doubles);
    print_message("16 streams: jain=%.4f median_ms=%.1f to %.1f p99_worst_ms=%.1f\n", jain,
                  medians[0], medians[STREAMS - 1], worst_p99);
    assert_true(jain >= 0.95);
    /* Of 60 frames the 99 % one is the worst: on a busy machine that is one pause of the machine's own. */
    /* Less than a tenth of a frame's period is whose turn came first, not somebody who is left to wait; more than that
     * where sanitizers make an encoder take as long. */
    const char *slower = getenv("TEST_SLOWER");
    double turn_ms = PERIOD_MS / 10.0 * (slower ? strtod(slower, NULL) : 1);
    assert_true(medians[STREAMS - 1] <= 2 * medians[STREAMS / 2] + turn_ms);
}

static void agent_outlives_a_killed_server(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    const uint16_t port = port_find();
    char http[64];
    snprintf(http, sizeof http, "http.address=127.0.0.1:%u", port);
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.width=320",
                                       "cameras.0.source.height=240", "cameras.0.source.fps=20",
                                       "server.backoff_first_ms=50", http, NULL });
    metric_expect(port, "edge_frames_answered_total", 10, 20000);
    process_signal(&server, SIGKILL);
    assert_int_equal(process_wait(&server, 5000), 128 + SIGKILL);
    process_expect(&agent, "msg=\"link lost\"", 15000);
    server_start(&server, scratch, no_analysis);
    for (unsigned i = 0; i < 1000 && process_count(&agent, "msg=streaming") < 2; i++)
        usleep(20000);
    assert_int_equal(process_count(&agent, "msg=streaming"), 2);
    metric_expect(port, "edge_frames_answered_total",
                  metric_now(port, "edge_frames_answered_total") + 10, 20000);
    uint64_t begin_ns = clock_now_ns();
    process_stop_well(&agent);
    assert_true(clock_now_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
    process_stop_well(&server);
    /* Every captured frame was answered or counted as dropped. */
    assert_int_equal((int)(summary_value(&agent, "answered") + summary_value(&agent, "dropped")),
                     (int)summary_value(&agent, "frames"));
}

static void server_drains_on_sigterm(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts counts;
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.width=320",
                                       "cameras.0.source.height=240", "cameras.0.source.fps=20",
                                       NULL });
    process_expect(&agent, "msg=streaming", 15000);
    usleep(500000);
    uint64_t begin_ns = clock_now_ns();
    process_stop_well(&server);
    assert_true(clock_now_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
    process_stop_well(&agent);
    answers_count(scratch_path(scratch, "server.jsonl"), NULL, &counts);
    assert_true(counts.lines > 0);
    assert_int_equal(counts.failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_frame_is_answered, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(paced_clip_keeps_its_time, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(detector_finds_people, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(sixteen_streams_share_fairly, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(agent_outlives_a_killed_server, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(server_drains_on_sigterm, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
