/* Who may come in and what the gate does with messages that it cannot use: keys, allow folder,
 * Hellos that are refused (each with its words), names in use, silence, and garbage. */
#include "server_bench.h"

#define KEY_EVERY 10u
#define PACKETS 20u

static struct clip clip;

static void expect_refusal(struct agent *agent, const struct hello *hello, const char *code,
                           const char *words)
{
    agent_hello_with(agent, hello);
    BENCH_UNTIL(agent->bench, agent, agent->welcomed || agent->refused);
    if (!agent->refused)
        fail_msg("welcomed, but %s was expected", code);
    assert_int_equal(agent->nonce_echoed, agent->nonce);
    assert_string_equal(agent->refuse_code, code);
    if (!strstr(agent->reason, words))
        fail_msg("'%s' does not say '%s'", agent->reason, words);
    assert_true(agent->retry_ms > 0);
}

static void hellos_are_refused_in_words(void **state)
{
    struct bench bench;
    static struct agent agent, narrow;

    (void)state;
    bench_start(&bench, (const char *[]){ "limits.width=640", "limits.streams_per_key=2",
                                          "limits.streams=3", NULL });
    bench_add_key(&bench, "narrow", "gate-*");
    agent_connect(&agent, &bench, "box");
    agent_connect(&narrow, &bench, "narrow");
    expect_refusal(&agent, &(struct hello){ .stream = "cam", .version = 99u << 16 }, "unsupported",
                   "version 99");
    expect_refusal(&agent, &(struct hello){ .stream = "cam", .width = 800, .height = 10 }, "limit",
                   "800x10");
    expect_refusal(&agent, &(struct hello){ .stream = "cam", .model = "street_det" }, "unsupported",
                   "does not analyse");
    expect_refusal(&narrow, &(struct hello){ .stream = "cam" }, "auth", "allow");
    agent_hello(&narrow, "gate-1");
    agent_hello(&agent, "a");
    agent_hello(&agent, "b");
    expect_refusal(&narrow, &(struct hello){ .stream = "gate-2" }, "limit", "all 3 streams");
    expect_refusal(&agent, &(struct hello){ .stream = "c" }, "limit", "streams");
    assert_int_equal(bench_metric(&bench, "server_hellos_refused_total", "limit"), 3);
    assert_int_equal(bench_metric(&bench, "server_hellos_refused_total", "auth"), 1);
    assert_int_equal(bench_metric(&bench, "server_streams", NULL), 3);
    agent_close(&agent);
    agent_close(&narrow);
    bench_stop(&bench);
}

static void a_key_has_a_limited_number_of_streams(void **state)
{
    struct bench bench;
    static struct agent agent, other;

    (void)state;
    bench_start(&bench, (const char *[]){ "limits.streams_per_key=1", NULL });
    bench_add_key(&bench, "other", "*");
    agent_connect(&agent, &bench, "box");
    agent_connect(&other, &bench, "other");
    agent_hello(&agent, "a");
    expect_refusal(&agent, &(struct hello){ .stream = "b" }, "limit", "1 streams");
    agent_hello(&other, "b");
    agent_close(&agent);
    agent_close(&other);
    bench_stop(&bench);
}

/* Another agent has to wait; the same one, by a new connection, only until its old one has missed a
 * report; by the old connection not at all. */
static void a_name_in_use_is_refused(void **state)
{
    struct bench bench;
    static struct agent first, again, stranger;

    (void)state;
    bench_start(&bench, (const char *[]){ "report_ms=1000", NULL });
    bench_add_key(&bench, "stranger", "*");
    agent_connect(&first, &bench, "box");
    agent_connect(&again, &bench, "box");
    agent_connect(&stranger, &bench, "stranger");
    agent_hello(&first, "cam");
    const uint64_t session = first.session;
    agent_hello(&first, "cam"); /* the Welcome was slow: the same session once more */
    assert_true(first.session == session);
    agent_stream(&first, &clip, 0, 2);
    expect_refusal(&stranger, &(struct hello){ .stream = "cam", .agent = "box" }, "again", "in use");
    expect_refusal(&again, &(struct hello){ .stream = "cam", .agent = "other" }, "again", "in use");
    expect_refusal(&again, &(struct hello){ .stream = "cam" }, "again", "in use");
    assert_true(again.retry_ms <= 1000 * 3 / 2 + 200);
    bench_idle(&bench, &again, 1600);
    expect_refusal(&again, &(struct hello){ .stream = "cam" }, "again", "being closed");
    bench_idle(&bench, &again, 50);
    agent_hello(&again, "cam");
    agent_stream(&again, &clip, 0, 2);
    agent_read(&first);
    assert_true(first.bye);
    /* A restarted stream of the same connection gets a new session. */
    expect_refusal(&again, &(struct hello){ .stream = "cam" }, "again", "being closed");
    bench_idle(&bench, &again, 50);
    agent_hello(&again, "cam");
    agent_close(&first);
    agent_close(&again);
    agent_close(&stranger);
    bench_stop(&bench);
}

static void a_silent_agent_is_given_up(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "report_ms=100", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_stream(&agent, &clip, 0, 2);
    const uint64_t begin_ns = clock_now_ns();
    BENCH_UNTIL(&bench, &agent, agent.bye);
    assert_true(clock_now_ns() - begin_ns > 250 * CLOCK_NS_PER_MS);
    assert_non_null(strstr(agent.bye_reason, "three report periods"));
    assert_int_equal(bench_metric(&bench, "server_streams", NULL), 0);
    agent_close(&agent);
    bench_stop(&bench);
}

static void a_bye_ends_the_stream(void **state)
{
    struct bench bench;
    static struct agent agent;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Bye bye = RUNESPOOR__BYE__INIT;

    (void)state;
    bench_start(&bench, NULL);
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_packet(&agent, &clip, 0);
    bye.session = agent.session;
    header.kind_case = RUNESPOOR__HEADER__KIND_BYE;
    header.bye = &bye;
    agent_send(&agent, &header, NULL, 0);
    BENCH_UNTIL(&bench, &agent,
                bench_metric(&bench, "server_sessions_total", NULL) == 1 &&
                    bench_metric(&bench, "server_streams", NULL) == 0);
    BENCH_UNTIL(&bench, &agent, agent.answer_count == 1); /* what was on its way is answered */
    agent_expect(&agent, 0, 0, STATUS_OK, "");
    agent_packet(&agent, &clip, 1); /* too late */
    BENCH_UNTIL(&bench, &agent,
                bench_metric(&bench, "server_messages_refused_total", "no_session") == 1);
    agent_close(&agent);
    bench_stop(&bench);
}

/* An unknown key does not get in; with a file in the allow folder it does, without a restart; when
 * the file goes, so does the stream. */
static void keys_come_and_go_while_running(void **state)
{
    struct bench bench;
    static struct agent agent;
    struct key_pair pair;
    struct error err;
    const char *pattern = "cam";

    (void)state;
    bench_start(&bench, (const char *[]){ "report_ms=500", NULL });
    bench_add_key(&bench, "late", NULL);
    agent_connect(&agent, &bench, "late");
    agent_hello_with(&agent, &(struct hello){ .stream = "cam" });
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_handshakes_total", "unknown_key") >= 1);
    bench_idle(&bench, &agent, 100);
    assert_false(agent.welcomed || agent.refused);
    agent_close(&agent);

    assert_int_equal(keys_read_pair(bench.folder, "late", &pair, &err), 0);
    assert_int_equal(
        keys_allow(bench_path(&bench, "allow"), "late", pair.public_text, &pattern, 1, &err), 0);
    agent_connect(&agent, &bench, "late");
    agent_hello(&agent, "cam");
    expect_refusal(&agent, &(struct hello){ .stream = "other" }, "auth", "allow");
    assert_int_equal(unlink(bench_path(&bench, "allow/late.yaml")), 0);
    BENCH_UNTIL(&bench, &agent, agent.bye);
    assert_string_equal(agent.bye_reason, "the key was revoked");
    agent_close(&agent);
    bench_stop(&bench);
}

/* An agent that has another server's key fails in the handshake; that is counted, and said. */
static void a_wrong_server_key_is_counted(void **state)
{
    struct bench bench;
    struct agent agent = { 0 };
    struct key_pair pair, wrong;
    struct error err;

    (void)state;
    bench_start(&bench, NULL);
    assert_int_equal(keys_read_pair(bench.folder, "box", &pair, &err), 0);
    assert_int_equal(keys_create(bench.folder, "other-server", &wrong, &err), 0);
    void *socket = zmq_socket(bench.zmq_context, ZMQ_DEALER);
    const int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, wrong.public_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, pair.public_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, pair.secret_text, KEY_TEXT_BYTES);
    assert_int_equal(zmq_connect(socket, server_address(bench.server)), 0);
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_handshakes_total", "wrong_server_key") >= 1);
    assert_int_equal(bench_metric(&bench, "server_handshakes_total", "allowed"), 0);
    zmq_close(socket);
    bench_stop(&bench);
}

static void send_parts(struct agent *agent, size_t count, const char *bytes, size_t size)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(zmq_send(agent->socket, bytes, size, i + 1 < count ? ZMQ_SNDMORE : 0),
                         (int)size);
}

static void garbage_is_counted_and_harms_nobody(void **state)
{
    struct bench bench;
    static struct agent agent, good;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Welcome welcome = RUNESPOOR__WELCOME__INIT;
    static char bytes[70000];

    (void)state;
    bench_start(&bench, NULL);
    agent_connect(&good, &bench, "box");
    agent_connect(&agent, &bench, "box");
    agent_hello(&good, "good");
    agent_stream(&good, &clip, 0, 5);
    memset(bytes, 0xff, sizeof bytes);
    send_parts(&agent, 1, bytes, 10);
    send_parts(&agent, 2, bytes, 10);
    send_parts(&agent, 1, bytes, sizeof bytes);
    send_parts(&agent, 1, "", 0);
    send_parts(&agent, 3, bytes, 10);
    send_parts(&agent, 9, bytes, 10);
    welcome.session = 1;
    welcome.credits = 1;
    welcome.stream = (char *)"cam";
    welcome.version = WIRE_VERSION;
    welcome.report_ms = 1000;
    header.kind_case = RUNESPOOR__HEADER__KIND_WELCOME;
    header.welcome = &welcome;
    agent_send(&agent, &header, NULL, 0);
    agent.session = good.session; /* another agent's session is none of its business */
    agent_packet(&agent, &clip, 0);
    agent.session = UINT64_MAX;
    agent_packet(&agent, &clip, 0);
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_messages_refused_total", NULL) == 9);
    assert_int_equal(bench_metric(&bench, "server_messages_refused_total", "no_session"), 2);
    assert_int_equal(bench_metric(&bench, "server_messages_refused_total", "unexpected"), 1);
    assert_int_equal(bench_metric(&bench, "server_messages_refused_total", "parts"), 2);
    agent_stream(&good, &clip, 5, PACKETS);
    for (size_t i = 0; i < PACKETS; i++)
        agent_expect(&good, i, i, STATUS_OK, "");
    agent_hello(&agent, "cam"); /* and its sender may still behave */
    agent_close(&agent);
    agent_close(&good);
    bench_stop(&bench);
}

static void a_port_in_use_is_an_error(void **state)
{
    struct bench bench, second;
    struct error err;
    char address[300];

    (void)state;
    bench_start(&bench, NULL);
    snprintf(address, sizeof address, "listen.address=%s", server_address(bench.server));
    bench_prepare(&second, (const char *[]){ address, NULL });
    assert_true(bench_open(&second, &err) < 0);
    assert_int_equal(err.code, ERROR_IO);
    assert_non_null(strstr(err.text, "listen.address"));
    assert_non_null(strstr(err.text, "in use"));
    bench_stop(&second);
    bench_stop(&bench);
}

static void a_missing_key_is_an_error(void **state)
{
    struct bench bench;
    struct error err;

    (void)state;
    bench_prepare(&bench, (const char *[]){ "keys.name=nobody", NULL });
    assert_true(bench_open(&bench, &err) < 0);
    assert_non_null(strstr(err.text, "nobody"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_are_refused_in_words),
        cmocka_unit_test(a_key_has_a_limited_number_of_streams),
        cmocka_unit_test(a_name_in_use_is_refused),
        cmocka_unit_test(a_silent_agent_is_given_up),
        cmocka_unit_test(a_bye_ends_the_stream),
        cmocka_unit_test(keys_come_and_go_while_running),
        cmocka_unit_test(a_wrong_server_key_is_counted),
        cmocka_unit_test(garbage_is_counted_and_harms_nobody),
        cmocka_unit_test(a_port_in_use_is_an_error),
        cmocka_unit_test(a_missing_key_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
