/* zap: over TCP with CURVE, a known key comes in and is named in its messages, an unknown key and a
 * peer without CURVE stay out; requests that libzmq would not write are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/zmq_socket_private.h"

#include <stdlib.h>
#include <string.h>

#define STALL_MS 10000u

struct keys {
    char public_text[41], secret_text[41];
};

struct bench {
    uv_loop_t loop;
    uv_timer_t stall;
    void *context;
    struct zap_handler *zap;
    struct zmq_socket *server, *client;
    struct keys server_keys, client_keys;
    bool stalled, allow, close_in_decide;
    unsigned asked, received, refused;
    uint32_t refused_with;
    char asked_key[41], asked_address[64], endpoint[64];
    char reply[8][64];
};

static void on_stall(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    bench->stalled = true;
    uv_stop(&bench->loop);
}

static void on_pause_over(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    uv_stop(&bench->loop);
}

static bool decide(const char *domain, const char *public_text, const char *peer_address, void *arg)
{
    struct bench *bench = arg;
    assert_string_equal(domain, "agents");
    bench->asked++;
    snprintf(bench->asked_key, sizeof bench->asked_key, "%s", public_text);
    snprintf(bench->asked_address, sizeof bench->asked_address, "%s", peer_address);
    if (bench->close_in_decide) {
        zap_handler_close(&bench->zap);
        uv_stop(&bench->loop);
    }
    return bench->allow;
}

static void on_server(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                      void *arg)
{
    struct bench *bench = arg;
    (void)socket, (void)malformed;
    assert_int_equal(count, 2);
    const char *user = zmq_msg_gets(&parts[1], "User-Id");
    assert_non_null(user);
    assert_string_equal(user, bench->client_keys.public_text);
    bench->received++;
    uv_stop(&bench->loop);
}

static void on_client(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                      void *arg)
{
    (void)socket, (void)parts, (void)count, (void)malformed, (void)arg;
    fail_msg("nothing is sent to the client");
}

static void on_event(struct zmq_socket *socket, uint16_t event, uint32_t value, const char *address,
                     void *arg)
{
    struct bench *bench = arg;
    (void)socket, (void)address;
    if (event != ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && event != ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        event != ZMQ_EVENT_DISCONNECTED && event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        return;
    if (bench->refused++ == 0)
        bench->refused_with = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ? value : 0;
    uv_stop(&bench->loop);
}

static void bench_open(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    uv_timer_init(&bench->loop, &bench->stall);
    bench->stall.data = bench;
    uv_timer_start(&bench->stall, on_stall, STALL_MS, 0);
    bench->context = zmq_ctx_new();
    zmq_curve_keypair(bench->server_keys.public_text, bench->server_keys.secret_text);
    zmq_curve_keypair(bench->client_keys.public_text, bench->client_keys.secret_text);
    struct error err;
    assert_int_equal(
        zap_handler_open(&bench->zap, &bench->loop, bench->context, decide, bench, &err), 0);

    int on = 1, no_linger = 0;
    size_t size = sizeof bench->endpoint;
    void *server = zmq_socket(bench->context, ZMQ_ROUTER);
    zmq_setsockopt(server, ZMQ_LINGER, &no_linger, sizeof no_linger);
    zmq_setsockopt(server, ZMQ_ZAP_DOMAIN, "agents", 6);
    zmq_setsockopt(server, ZMQ_CURVE_SERVER, &on, sizeof on);
    zmq_setsockopt(server, ZMQ_CURVE_SECRETKEY, bench->server_keys.secret_text, 40);
    assert_int_equal(zmq_bind(server, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, bench->endpoint, &size), 0);
    assert_int_equal(zmq_socket_attach(&bench->server, &bench->loop, server, on_server, bench, NULL),
                     0);
}

static void say_hello(struct bench *bench)
{
    zmq_msg_t part;
    zmq_msg_init_size(&part, 5);
    memcpy(zmq_msg_data(&part), "hello", 5);
    assert_int_equal(zmq_socket_send(bench->client, &part, 1, NULL), 0);
}

static void connect_client(struct bench *bench, bool curve)
{
    int no_linger = 0;
    void *client = zmq_socket(bench->context, ZMQ_DEALER);
    zmq_setsockopt(client, ZMQ_LINGER, &no_linger, sizeof no_linger);
    if (curve) {
        zmq_setsockopt(client, ZMQ_CURVE_SERVERKEY, bench->server_keys.public_text, 40);
        zmq_setsockopt(client, ZMQ_CURVE_PUBLICKEY, bench->client_keys.public_text, 40);
        zmq_setsockopt(client, ZMQ_CURVE_SECRETKEY, bench->client_keys.secret_text, 40);
    }
    assert_int_equal(zmq_socket_attach(&bench->client, &bench->loop, client, on_client, bench, NULL),
                     0);
    assert_int_equal(zmq_socket_watch_events(bench->client, bench->context, on_event, bench, NULL),
                     0);
    assert_int_equal(zmq_connect(client, bench->endpoint), 0);
    say_hello(bench);
}

static void bench_close(struct bench *bench)
{
    assert_false(bench->stalled);
    zmq_socket_detach(&bench->client);
    zmq_socket_detach(&bench->server);
    zap_handler_close(&bench->zap);
    assert_null(bench->zap);
    zap_handler_close(&bench->zap); /* takes NULL */
    uv_close((uv_handle_t *)&bench->stall, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    zmq_ctx_term(bench->context);
}

static void test_known_key(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    bench.allow = true;
    connect_client(&bench, true);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.received, 1);
    assert_int_equal(bench.asked, 1);
    assert_string_equal(bench.asked_key, bench.client_keys.public_text);
    assert_string_equal(bench.asked_address, "127.0.0.1");
    bench_close(&bench);
}

static void test_unknown_key(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    connect_client(&bench, true);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.asked, 1);
    assert_string_equal(bench.asked_key, bench.client_keys.public_text);
    assert_int_equal(bench.received, 0);
    assert_int_equal(bench.refused_with, 400); /* the client is told that it is the key */

    /* libzmq does not try again by itself, not even long after its 100 ms; its owner has to. */
    bench.allow = true;
    uv_timer_start(&bench.stall, on_pause_over, 600, 0);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    while (uv_is_active((uv_handle_t *)&bench.stall))
        uv_run(&bench.loop, UV_RUN_ONCE);
    assert_int_equal(bench.asked, 1);
    uv_timer_start(&bench.stall, on_stall, STALL_MS, 0);
    assert_int_equal(zmq_disconnect(zmq_socket_raw(bench.client), bench.endpoint), 0);
    assert_int_equal(zmq_connect(zmq_socket_raw(bench.client), bench.endpoint), 0);
    say_hello(&bench); /* what waited went with the refused connection */
    while (bench.received == 0 && !bench.stalled)
        uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.asked, 2);
    bench_close(&bench);
}

static void test_no_curve(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    bench.allow = true;
    connect_client(&bench, false);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.asked, 0);
    assert_int_equal(bench.received, 0);
    assert_true(bench.refused > 0);
    bench_close(&bench);
}

static void test_handler_closed_in_decide(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    bench.allow = bench.close_in_decide = true;
    connect_client(&bench, true);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.asked, 1);
    assert_int_equal(bench.received, 0);
    bench_close(&bench);
}

static void note_reply(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg)
{
    struct bench *bench = arg;
    (void)socket, (void)malformed;
    for (size_t i = 0; i < count; i++)
        snprintf(bench->reply[i], sizeof bench->reply[i], "%.*s", (int)zmq_msg_size(&parts[i]),
                 (char *)zmq_msg_data(&parts[i]));
    bench->received++;
    uv_stop(&bench->loop);
}

/* Sends the parts as a request of our own, by the door that libzmq uses. */
static void ask(struct bench *bench, const char *const *texts, size_t count)
{
    zmq_msg_t parts[10];
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(texts[i]);
        zmq_msg_init_size(&parts[i], size);
        memcpy(zmq_msg_data(&parts[i]), texts[i], size);
    }
    memset(bench->reply, 0, sizeof bench->reply);
    assert_int_equal(zmq_socket_send(bench->client, parts, count, NULL), 0);
}

static void test_odd_requests(void **state)
{
    (void)state;
#define KEY32 "0123456789abcdef0123456789abcdef"
    static const struct {
        const char *parts[10];
        const char *text; /* of the refusal; "OK" when let in */
    } requests[] = {
        { { "", "1.0", "7", "agents", "10.0.0.1", "id", "CURVE", KEY32 }, "OK" },
        { { "", "1.0", "7", "agents", "10.0.0.1", "id", "NULL" }, "only CURVE" },
        { { "", "1.0", "7", "agents", "10.0.0.1", "id", "PLAIN", "user", "password" }, "only CURVE" },
        { { "", "1.0", "7", "agents", "10.0.0.1", "id", "CURVE", "short" }, "32 bytes" },
        { { "", "1.0", "7", "agents", "10.0.0.1", "id", "CURVE", KEY32, "more" }, "32 bytes" },
        { { "", "1.0", "7", "agents", "10.0.0.1", "id", "CURVE" }, "32 bytes" },
        { { "", "2.0", "7", "agents", "10.0.0.1", "id", "CURVE", KEY32 }, "not of ZAP 1.0" },
        { { "x", "1.0", "7", "agents", "10.0.0.1", "id", "CURVE", KEY32 }, "not of ZAP 1.0" },
        { { "", "1.0", "7", "agents", "0123456789012345678901234567890123456789012345678901234567890123",
            "id", "CURVE", KEY32 },
          "address" },
        { { "", "1.0", "7" }, "only CURVE" },
    };
    struct bench bench;
    bench_open(&bench);
    bench.allow = true;
    int no_linger = 0;
    void *raw = zmq_socket(bench.context, ZMQ_DEALER);
    zmq_setsockopt(raw, ZMQ_LINGER, &no_linger, sizeof no_linger);
    assert_int_equal(zmq_connect(raw, "inproc://zeromq.zap.01"), 0);
    assert_int_equal(
        zmq_socket_attach_wide(&bench.client, &bench.loop, raw, 8, note_reply, &bench, NULL), 0);
    ask(&bench, (const char *const[]){ "", "1.0" }, 2); /* nothing to answer to: dropped */
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        size_t count = 0;
        while (count < 10 && requests[i].parts[count])
            count++;
        ask(&bench, requests[i].parts, count);
        uv_run(&bench.loop, UV_RUN_DEFAULT);
        assert_int_equal(bench.received, i + 1);
        bool in = strcmp(requests[i].text, "OK") == 0;
        assert_string_equal(bench.reply[0], "");
        assert_string_equal(bench.reply[1], "1.0");
        assert_string_equal(bench.reply[2], "7");
        assert_string_equal(bench.reply[3], in ? "200" : "400");
        assert_non_null(strstr(bench.reply[4], requests[i].text));
        assert_int_equal(strlen(bench.reply[5]), in ? 40 : 0);
        assert_string_equal(bench.reply[6], "");
        assert_int_equal(bench.asked, 1); /* by the first, good one */
    }
    bench_close(&bench);
}

static void test_only_one_handler(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    struct zap_handler *second = NULL;
    struct error err;
    assert_int_equal(zap_handler_open(&second, &bench.loop, bench.context, decide, &bench, &err),
                     -ERROR_IO);
    assert_null(second);
    assert_non_null(strstr(err.text, "zap: cannot bind inproc://zeromq.zap.01"));
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_key),    cmocka_unit_test(test_unknown_key),
        cmocka_unit_test(test_no_curve),     cmocka_unit_test(test_handler_closed_in_decide),
        cmocka_unit_test(test_odd_requests), cmocka_unit_test(test_only_one_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
