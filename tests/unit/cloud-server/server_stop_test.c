/* The server's end: what is on its way is answered, then said Bye; what hangs is not waited for. */
#include "devices/worker.h"
#include "server_bench.h"

#define KEY_EVERY 10u
#define PACKETS 10u

static struct clip clip;

/* The agent is told at once; frames on their way are answered before the last Bye, within the time. */
static void stopping_answers_what_is_on_its_way(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "model=any", "models.0.name=any",
                                          "models.0.folder=/nowhere", "pool.devices.0.kind=simulated",
                                          "pool.devices.0.service_ms=100", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    for (size_t i = 0; i < 3; i++)
        agent_packet(&agent, &clip, i);
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_frames_received_total", NULL) == 3);
    const uint64_t begin_ns = clock_now_ns();
    server_stop(&bench.server, bench_on_stopped, &bench);
    BENCH_UNTIL(&bench, &agent, agent.leaving);
    assert_false(agent.bye);
    BENCH_UNTIL(&bench, &agent, agent.bye);
    assert_int_equal(agent.answer_count, 3);
    for (size_t i = 0; i < 3; i++)
        agent_expect(&agent, i, i, STATUS_OK, "");
    assert_string_equal(agent.bye_reason, "the server is stopping");
    BENCH_UNTIL(&bench, &agent, bench.stopped);
    assert_true(clock_now_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
    agent_close(&agent);
    bench_stop(&bench);
}

/* A worker that takes too long does not hold up the stop: its frames are answered as dropped. */
static void stopping_does_not_wait_for_ever(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench,
                (const char *[]){ "model=any", "models.0.name=any", "models.0.folder=/nowhere",
                                  "pool.devices.0.kind=simulated",
                                  "pool.devices.0.service_ms=60000", "pool.hang_ms=600000", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_packet(&agent, &clip, 0);
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_frames_received_total", NULL) == 1);
    const uint64_t begin_ns = clock_now_ns();
    server_stop(&bench.server, bench_on_stopped, &bench);
    BENCH_UNTIL(&bench, &agent, bench.stopped);
    assert_true(clock_now_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
    agent_read(&agent);
    agent_expect(&agent, 0, 0, STATUS_DROPPED, "stream_ended");
    agent_close(&agent);
    bench_stop(&bench);
}

static int set_up(void **state)
{
    (void)state;
    clip_make(&clip, 320, 240, PACKETS, KEY_EVERY);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clip_free(&clip);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopping_answers_what_is_on_its_way),
        cmocka_unit_test(stopping_does_not_wait_for_ever),
    };
    if (argc == 4 && strcmp(argv[1], "worker") == 0) /* the pool starts this program as its worker */
        return worker_main(atoi(argv[3]));
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
