/* gpu: the real server with devices that are not there or fail in the middle, played by gpu_double.c:
 * every frame is answered as long as one worker can, and the cause is told. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FPS 10 /* of the stream below */
#define FRAMES 60

/* The double computes on one processor: trying batches takes it long. (cuda_worker_test.c is about them.) */
#define ONE "pool.devices.0.batch=1"

/* With a GPU's worker and, where wanted, one of the processors, in turn, so that either has its share however slow
 * this machine is; pages at *port. */
static void start(struct process *server, const struct scratch *scratch, bool with_cpu, uint16_t *port)
{
    char address[64];
    *port = port_find();
    snprintf(address, sizeof address, "http.address=127.0.0.1:%u", *port);
    server_start_as(server, scratch, gpu_program(scratch),
                    (const char *const[]){ address, "pool.devices.0.kind=cuda", ONE,
                                           "pool.round_robin=true",
                                           with_cpu ? "pool.devices.1.kind=cpu" : NULL, NULL });
}

static void stream(const struct scratch *scratch, unsigned frames)
{
    struct process agent;
    struct answer_counts counts;
    char seconds[64];
    snprintf(seconds, sizeof seconds, "cameras.0.source.seconds=%u", frames / FPS);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.width=320",
                                       "cameras.0.source.height=240", "cameras.0.source.fps=10",
                                       seconds, "cameras.0.pace=fast", NULL });
    assert_int_equal(process_wait(&agent, 120000), 0);
    answers_count(scratch_path(scratch, "agent.jsonl"), "cam", &counts);
    assert_int_equal(counts.ok, frames);
}

static void the_others_go_on_without_it(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    uint16_t port;
    setenv("GPU_DOUBLE_ABSENT", "no NVIDIA driver is loaded here", 1);
    start(&server, scratch, true, &port);
    process_expect(&server, "msg=ready", 20000);
    stream(scratch, FRAMES);
    page_expect(port, "/readyz", "200", "no NVIDIA driver is loaded here");
    page_expect(
        port, "/api/workers", "200",
        "{\"worker\":\"cuda-0\",\"kind\":\"cuda\",\"gpu\":0,\"state\":\"waits for its next "
        "start\",\"last_end\":\"device\",\"cause\":\"worker cuda-0: device: cuda: no NVIDIA "
        "driver is loaded here\"}");
    assert_true(metric_now(port, "server_worker_state{worker=\"cuda-0\"") == 1);
    assert_true(metric_now(port, "server_worker_state{worker=\"cpu-1\"") == 3);
    process_stop_well(&server);
    assert_int_equal(process_count(&server, "worker=cuda-0 reason=device cause="), 1);
    assert_false(process_said(&server, "no worker can serve now"));
}

static void it_waits_while_there_is_none(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    uint16_t port;
    setenv("GPU_DOUBLE_ABSENT", "no NVIDIA driver is loaded here", 1);
    start(&server, scratch, false, &port);
    process_expect(&server, "no worker can serve now: streams are refused until one can", 20000);
    page_expect(port, "/readyz", "503", "no NVIDIA driver is loaded here");
    page_expect(port, "/livez", "200", "ok");
    process_stop_well(&server);
}

static void a_failure_in_the_middle_costs_no_frame(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    uint16_t port;
    setenv("GPU_DOUBLE_FAILS_AT", "10", 1); /* the sample takes the first ones */
    start(&server, scratch, true, &port);
    process_expect(&server, "msg=ready worker=cuda-0", 20000);
    stream(scratch, 4 * FRAMES); /* where all are busy the double may have one in ten */
    metric_expect(port, "server_worker_restarts_total{worker=\"cuda-0\",reason=\"device\"", 1, 5000);
    assert_true(metric_now(port, "server_worker_pictures_total{worker=\"cuda-0\"") > 0);
    assert_true(metric_now(port, "server_worker_restarts_total{worker=\"cpu-1\"") == 0);
    process_stop_well(&server);
    assert_true(process_said(&server,
                             "reason=device cause=\"worker cuda-0: device: inference: cuda: "
                             "a kernel went astray\""));
}

static void its_memory_is_made_known_once(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    uint16_t port;
    start(&server, scratch, false, &port);
    process_expect(&server, "msg=ready worker=cuda-0", 20000);
    stream(scratch, FRAMES);
    process_stop_well(&server);
    assert_int_equal(process_count(&server, "gpu double: pins "), 1);
    assert_int_equal(process_count(&server, "gpu double: unpins"), 1);
}

/* In turn: so that the worker has what it can have, however slow this machine is. */
static void it_has_two_under_way(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    setenv("GPU_DOUBLE_TELLS_RUNS", "1", 1);
    server_start_as(
        &server, scratch, gpu_program(scratch),
        (const char *const[]){ "pool.devices.0.kind=cuda", ONE, "pool.round_robin=true", NULL });
    process_expect(&server, "msg=ready worker=cuda-0", 20000);
    stream(scratch, FRAMES);
    process_stop_well(&server);
    assert_true(process_said(&server, "gpu double: begins beside another"));
}

static int teardown(void **state)
{
    unsetenv("GPU_DOUBLE_TELLS_RUNS");
    unsetenv("GPU_DOUBLE_ABSENT");
    unsetenv("GPU_DOUBLE_FAILS_AT");
    return scratch_teardown(state);
}

int main(void)
{
#define GPU_TEST(test) cmocka_unit_test_setup_teardown(test, scratch_setup, teardown)
    const struct CMUnitTest tests[] = {
        GPU_TEST(the_others_go_on_without_it),
        GPU_TEST(it_waits_while_there_is_none),
        GPU_TEST(a_failure_in_the_middle_costs_no_frame),
        GPU_TEST(its_memory_is_made_known_once),
        GPU_TEST(it_has_two_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
