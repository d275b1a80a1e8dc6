/* Lossless streams and their backlogs at the server: fewer credits instead of dropped frames, frames that
 * are only decoded, a second session beside the live one, for its agent alone. */
#include "devices/worker.h"
#include "server_bench.h"

#define KEY_EVERY 10u
#define PACKETS 30u

static struct clip clip;

static void say_hello(struct agent *agent, const struct hello *hello)
{
    agent_hello_with(agent, hello);
    BENCH_UNTIL(agent->bench, agent, agent->welcomed || agent->refused);
}

/* However many its agent sends at once, a newer frame takes no older one's place. */
static void no_frame_gives_way(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "credits=64", "model=any", "models.0.name=any",
                                          "models.0.folder=x", "pool.queue_per_stream=3",
                                          "pool.devices.0.kind=simulated",
                                          "pool.devices.0.service_ms=15", NULL });
    agent_connect(&agent, &bench, "box");
    say_hello(&agent, &(struct hello){ .stream = "cam", .lossless = true });
    assert_true(agent.welcomed);
    assert_int_equal(agent.credits, 3);
    agent_stream(&agent, &clip, 0, PACKETS);
    for (size_t i = 0; i < PACKETS; i++) {
        agent_expect(&agent, i, i, STATUS_OK, "");
        assert_false(agent.answers[i].late);
    }
    agent_close(&agent);
    bench_stop(&bench);
}

/* The frames before the one that is wanted are decoded, so that it can be, and nothing else. */
static void what_was_answered_is_decoded_only(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, NULL);
    agent_connect(&agent, &bench, "box");
    say_hello(&agent, &(struct hello){ .stream = "cam", .lossless = true });
    agent.decode_only = true;
    agent_stream(&agent, &clip, 0, 4);
    agent.decode_only = false;
    agent_stream(&agent, &clip, 4, PACKETS);
    for (size_t i = 0; i < PACKETS; i++)
        agent_expect(&agent, i, i, i < 4 ? STATUS_DROPPED : STATUS_OK, i < 4 ? "decode_only" : "");
    assert_int_equal(agent.order_count, 0);
    assert_int_equal(bench_metric(&bench, "server_frames_dropped_total", "decode_only"), 4);
    agent_close(&agent);
    bench_stop(&bench);
}

/* The same socket has two sessions of one stream. */
static void a_backlog_goes_beside_the_live_session(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, NULL);
    agent_connect(&agent, &bench, "box");
    say_hello(&agent, &(struct hello){ .stream = "cam", .lossless = true, .late = true });
    assert_true(agent.refused); /* beside what? */
    assert_string_equal(agent.refuse_code, "again");
    assert_non_null(strstr(agent.reason, "live session"));
    say_hello(&agent, &(struct hello){ .stream = "cam", .lossless = true });
    assert_true(agent.welcomed);
    uint64_t live = agent.session, live_sequence;
    agent.frame = 100;
    agent_stream(&agent, &clip, 0, 3);
    live_sequence = agent.sequence;
    say_hello(&agent, &(struct hello){ .stream = "cam", .lossless = true, .late = true });
    assert_true(agent.welcomed);
    assert_true(agent.session != live);
    agent.frame = 10;
    agent_stream(&agent, &clip, 0, 5);
    agent.session = live; /* which has not noticed */
    agent.sequence = live_sequence;
    agent.frame = 103;
    agent_stream(&agent, &clip, 3, 6);
    static const uint64_t frames[] = { 100, 101, 102, 10, 11, 12, 13, 14, 103, 104, 105 };
    assert_int_equal(agent.answer_count, 11);
    for (size_t i = 0; i < 11; i++) {
        agent_expect(&agent, i, frames[i], STATUS_OK, "");
        assert_int_equal(agent.answers[i].late, frames[i] < 100);
    }
    assert_int_equal(bench_metric(&bench, "server_streams", NULL), 2);
    assert_int_equal(bench_metric(&bench, "server_stream_frames_answered_total", "cam"), 6);
    assert_int_equal(bench_metric(&bench, "server_stream_frames_answered_total", "cam late"), 5);
    agent_close(&agent);
    bench_stop(&bench);
}

static void a_backlog_is_for_the_live_sessions_agent(void **state)
{
    struct bench bench;
    static struct agent agent, stranger;

    (void)state;
    bench_start(&bench, NULL);
    bench_add_key(&bench, "other", "*");
    agent_connect(&agent, &bench, "box");
    agent_connect(&stranger, &bench, "other");
    say_hello(&agent, &(struct hello){ .stream = "cam", .lossless = true });
    say_hello(&stranger, &(struct hello){ .stream = "cam", .lossless = true, .late = true });
    assert_true(stranger.refused);
    agent_stream(&agent, &clip, 0, 3);
    agent_expect(&agent, 2, 2, STATUS_OK, "");
    /* Not lossless, yet with a backlog: that is no Hello. */
    agent_hello_with(&stranger, &(struct hello){ .stream = "gate", .late = true });
    bench_idle(&bench, &stranger, 100);
    assert_false(stranger.welcomed || stranger.refused);
    assert_int_equal(bench_metric(&bench, "server_messages_refused_total", "format"), 1);
    agent_close(&agent);
    agent_close(&stranger);
    bench_stop(&bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_frame_gives_way),
        cmocka_unit_test(what_was_answered_is_decoded_only),
        cmocka_unit_test(a_backlog_goes_beside_the_live_session),
        cmocka_unit_test(a_backlog_is_for_the_live_sessions_agent),
    };
    if (argc == 4 && strcmp(argv[1], "worker") == 0)
        return worker_main(atoi(argv[3]));
    clip_make(&clip, 160, 120, PACKETS, KEY_EVERY);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clip_free(&clip);
    return failed;
}
