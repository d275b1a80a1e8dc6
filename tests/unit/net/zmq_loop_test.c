/* zmq_loop: nothing is lost and nothing stalls whatever swallows the descriptor's edge; one busy
 * socket leaves the loop to others; an idle one costs nothing; sockets may be detached anywhere. A
 * timer ends a test that stalls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/zmq_loop.h"

#include <stdlib.h>
#include <string.h>

#define STALL_MS 20000u
#define MESSAGES 100000u
#define WINDOW 500u

/* Two sockets on one loop, connected over TCP on this machine. */
struct bench {
    uv_loop_t loop;
    uv_timer_t stall, tick;
    void *context;
    struct zmq_socket *server, *client; /* ROUTER, DEALER */
    bool stalled;
    uint64_t sent, echoed, received;
    uint64_t this_turn, turn_max; /* messages */
    unsigned ticks, events_seen;
    char endpoint[64];
};

static void on_stall(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    bench->stalled = true;
    uv_stop(&bench->loop);
}

static void finish(struct bench *bench)
{
    uv_stop(&bench->loop);
}

static void bench_open(struct bench *bench, zmq_receive_fn *on_server, zmq_receive_fn *on_client,
                       int high_water)
{
    memset(bench, 0, sizeof *bench);
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    bench->loop.data = bench;
    bench->context = zmq_ctx_new();
    uv_timer_init(&bench->loop, &bench->stall);
    uv_timer_init(&bench->loop, &bench->tick);
    bench->stall.data = bench->tick.data = bench;
    uv_timer_start(&bench->stall, on_stall, STALL_MS, 0);

    int on = 1, no_linger = 0;
    size_t size = sizeof bench->endpoint;
    void *server = zmq_socket(bench->context, ZMQ_ROUTER);
    zmq_setsockopt(server, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
    zmq_setsockopt(server, ZMQ_LINGER, &no_linger, sizeof no_linger);
    zmq_setsockopt(server, ZMQ_SNDHWM, &high_water, sizeof high_water);
    assert_int_equal(zmq_bind(server, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, bench->endpoint, &size), 0);
    assert_int_equal(zmq_socket_attach(&bench->server, &bench->loop, server, on_server, bench, NULL),
                     0);
    void *client = zmq_socket(bench->context, ZMQ_DEALER);
    zmq_setsockopt(client, ZMQ_LINGER, &no_linger, sizeof no_linger);
    zmq_setsockopt(client, ZMQ_SNDHWM, &high_water, sizeof high_water);
    assert_int_equal(zmq_socket_attach(&bench->client, &bench->loop, client, on_client, bench, NULL),
                     0);
    assert_int_equal(zmq_connect(client, bench->endpoint), 0);
}

static void bench_close(struct bench *bench)
{
    assert_false(bench->stalled);
    zmq_socket_detach(&bench->server);
    zmq_socket_detach(&bench->client);
    assert_null(bench->server);
    uv_close((uv_handle_t *)&bench->stall, NULL);
    uv_close((uv_handle_t *)&bench->tick, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bench->loop), 0); /* fails when a handle is left */
    zmq_ctx_term(bench->context);
}

static int send_number(struct zmq_socket *socket, uint64_t number)
{
    zmq_msg_t part;
    zmq_msg_init_size(&part, sizeof number);
    memcpy(zmq_msg_data(&part), &number, sizeof number);
    return zmq_socket_send(socket, &part, 1, NULL);
}

static uint64_t read_number(zmq_msg_t *part)
{
    uint64_t number;
    assert_int_equal(zmq_msg_size(part), sizeof number);
    memcpy(&number, zmq_msg_data(part), sizeof number);
    return number;
}

static void echo(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed, void *arg)
{
    struct bench *bench = arg;
    assert_false(malformed);
    assert_int_equal(count, 2);
    assert_int_equal(read_number(&parts[1]), bench->echoed);
    assert_int_equal(zmq_socket_send(socket, parts, count, NULL), 0);
    bench->echoed++;
    bench->this_turn++;
}

/* Keeps WINDOW messages on their way. */
static void count_and_send(struct zmq_socket *socket, zmq_msg_t *parts, size_t count,
                           bool malformed, void *arg)
{
    struct bench *bench = arg;
    assert_false(malformed);
    assert_int_equal(count, 1);
    assert_int_equal(read_number(&parts[0]), bench->received);
    bench->received++;
    if (bench->sent < MESSAGES)
        assert_int_equal(send_number(socket, bench->sent++), 0);
    if (bench->received == MESSAGES)
        finish(bench);
}

static void test_many_both_ways(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, echo, count_and_send, 2 * WINDOW);
    while (bench.sent < WINDOW)
        assert_int_equal(send_number(bench.client, bench.sent++), 0);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.echoed, MESSAGES);
    assert_int_equal(bench.received, MESSAGES);
    bench_close(&bench);
}

/* One message on its way at a time, and between them calls that swallow the descriptor's news. */
static void swallow_and_answer(struct zmq_socket *socket, zmq_msg_t *parts, size_t count,
                               bool malformed, void *arg)
{
    struct bench *bench = arg;
    (void)malformed;
    int events;
    size_t size = sizeof events;
    assert_int_equal(count, 1);
    assert_int_equal(read_number(&parts[0]), bench->received++);
    if (bench->received == 3000) {
        finish(bench);
        return;
    }
    assert_int_equal(send_number(socket, bench->sent++), 0);
    if (bench->received % 3 == 0)
        clock_sleep_until_ns(clock_now_ns() + 200000); /* the echo may be back now */
    zmq_getsockopt(zmq_socket_raw(socket), ZMQ_EVENTS, &events, &size);
    zmq_getsockopt(zmq_socket_raw(bench->server), ZMQ_EVENTS, &events, &size);
}

static void test_swallowed_edges(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, echo, swallow_and_answer, 1000);
    assert_int_equal(send_number(bench.client, bench.sent++), 0);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.received, 3000);
    bench_close(&bench);
}

static void swallow_from_timer(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    int events;
    size_t size = sizeof events;
    zmq_getsockopt(zmq_socket_raw(bench->client), ZMQ_EVENTS, &events, &size);
    zmq_getsockopt(zmq_socket_raw(bench->server), ZMQ_EVENTS, &events, &size);
    if (++bench->ticks % 4 == 0 && bench->sent < 200)
        assert_int_equal(send_number(bench->client, bench->sent++), 0);
}

static void count_to_200(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                         void *arg)
{
    struct bench *bench = arg;
    (void)socket, (void)parts, (void)count, (void)malformed;
    if (++bench->received == 200)
        finish(bench);
}

static void test_edges_swallowed_by_a_timer(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, echo, count_to_200, 1000);
    uv_timer_start(&bench.tick, swallow_from_timer, 1, 1);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.received, 200);
    bench_close(&bench);
}

static void count_turn(uv_check_t *check)
{
    struct bench *bench = check->data;
    if (bench->this_turn > bench->turn_max)
        bench->turn_max = bench->this_turn;
    bench->this_turn = 0;
}

static void count_only(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg)
{
    struct bench *bench = arg;
    (void)socket, (void)parts, (void)count, (void)malformed;
    bench->this_turn++;
    if (++bench->received == 5000)
        finish(bench);
}

static void test_busy_socket_leaves_room(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, count_only, count_only, 0);
    uv_check_t check;
    uv_check_init(&bench.loop, &check);
    check.data = &bench;
    uv_check_start(&check, count_turn);
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(send_number(bench.client, i), 0);
    clock_sleep_until_ns(clock_now_ns() + 200 * CLOCK_NS_PER_MS); /* all of them wait */
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.received, 5000);
    assert_in_range(bench.turn_max, 1, 128); /* by the descriptor and by the idle handle */
    uv_close((uv_handle_t *)&check, NULL);
    bench_close(&bench);
}

static void end_tick(uv_timer_t *timer)
{
    finish(timer->data);
}

static void test_idle_costs_nothing(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, echo, count_to_200, 1000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(send_number(bench.client, bench.sent++), 0);
    for (int i = 0; i < 500 && bench.received < 10; i++) {
        uv_timer_start(&bench.tick, end_tick, 20, 0);
        uv_run(&bench.loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(bench.received, 10); /* connected, and all was said */
    uv_timer_start(&bench.tick, end_tick, 500, 0);
    uint64_t before = clock_thread_cpu_ns();
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_true(clock_thread_cpu_ns() - before < 20 * CLOCK_NS_PER_MS);
    bench_close(&bench);
}

static void keep_and_detach(struct zmq_socket *socket, zmq_msg_t *parts, size_t count,
                            bool malformed, void *arg)
{
    struct bench *bench = arg;
    (void)malformed;
    assert_ptr_equal(socket, bench->client);
    zmq_msg_t kept;
    zmq_msg_init(&kept);
    zmq_msg_move(&kept, &parts[0]);
    zmq_socket_detach(&bench->client);
    zmq_socket_detach(&bench->server);
    assert_int_equal(count, 1);
    assert_int_equal(read_number(&kept), bench->received);
    zmq_msg_close(&kept);
    bench->received++;
    finish(bench);
}

static void test_detach_in_callback(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct bench bench;
        bench_open(&bench, echo, keep_and_detach, 1000);
        for (int i = 0; i < 20; i++)
            assert_int_equal(send_number(bench.client, bench.sent++), 0);
        uv_run(&bench.loop, UV_RUN_DEFAULT);
        assert_int_equal(bench.received, 1);
        bench_close(&bench);
    }
}

static void check_parts(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                        void *arg)
{
    struct bench *bench = arg;
    (void)socket;
    size_t sent = zmq_msg_size(&parts[1]); /* each part says how many there are */
    assert_int_equal(malformed, sent + 1 > ZMQ_LOOP_PARTS_MAX);
    assert_int_equal(count, malformed ? ZMQ_LOOP_PARTS_MAX : sent + 1);
    if (++bench->received == 7)
        finish(bench);
}

static void test_too_many_parts(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, check_parts, count_only, 1000);
    for (size_t count = 1; count <= 7; count++) {
        zmq_msg_t parts[7];
        for (size_t i = 0; i < count; i++) {
            zmq_msg_init_size(&parts[i], count);
            memset(zmq_msg_data(&parts[i]), 'x', count);
        }
        assert_int_equal(zmq_socket_send(bench.client, parts, count, NULL), 0);
    }
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.received, 7);
    bench_close(&bench);
}

static void check_whole(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                        void *arg)
{
    struct bench *bench = arg;
    (void)socket;
    assert_false(malformed);
    assert_int_equal(count, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(zmq_msg_size(&parts[1 + i]), 100000);
        assert_int_equal(*(char *)zmq_msg_data(&parts[1 + i]), i);
    }
    if (++bench->received == bench->sent)
        finish(bench);
}

static void test_send_refusals(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, check_whole, count_only, 10);
    zmq_msg_t parts[2];
    zmq_msg_init_size(&parts[0], 3);
    memcpy(zmq_msg_data(&parts[0]), "who", 3);
    zmq_msg_init_size(&parts[1], 100);
    struct error err;
    assert_int_equal(zmq_socket_send(bench.server, parts, 2, &err), -ERROR_AGAIN);
    assert_string_equal(err.text, "send: the peer is gone");
    assert_int_equal(zmq_msg_size(&parts[0]), 0); /* taken over all the same */
    assert_int_equal(zmq_msg_size(&parts[1]), 0);

    /* A queue of ten fills up before the loop runs; what was refused never arrives in part. */
    int result = 0;
    while (result == 0 && bench.sent < 10000) {
        for (int i = 0; i < 2; i++) {
            zmq_msg_init_size(&parts[i], 100000);
            memset(zmq_msg_data(&parts[i]), i, 100000);
        }
        result = zmq_socket_send(bench.client, parts, 2, &err);
        bench.sent += result == 0;
    }
    assert_int_equal(result, -ERROR_AGAIN);
    assert_string_equal(err.text, "send: no room in the queue");
    assert_true(bench.sent >= 10);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.received, bench.sent);
    bench_close(&bench);
}

static void note_event(struct zmq_socket *socket, uint16_t event, uint32_t value,
                       const char *address, void *arg)
{
    struct bench *bench = arg;
    (void)value;
    if (event == ZMQ_EVENT_CONNECTED)
        assert_string_equal(address, bench->endpoint);
    if (event == ZMQ_EVENT_CONNECTED)
        bench->events_seen |= 1;
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        bench->events_seen |= 2;
        assert_ptr_equal(socket, bench->client);
        zmq_socket_detach(&bench->server);
    }
    if (event == ZMQ_EVENT_DISCONNECTED) {
        bench->events_seen |= 4;
        zmq_socket_detach(&bench->client); /* from its own event */
        finish(bench);
    }
}

static void test_events(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, count_only, count_only, 10);
    zmq_socket_detach(&bench.client);
    void *client = zmq_socket(bench.context, ZMQ_DEALER);
    assert_int_equal(zmq_socket_attach(&bench.client, &bench.loop, client, count_only, &bench, NULL),
                     0);
    assert_int_equal(zmq_socket_watch_events(bench.client, bench.context, note_event, &bench, NULL),
                     0);
    assert_int_equal(zmq_connect(client, bench.endpoint), 0);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench.events_seen, 7);
    bench_close(&bench);
}

static void publish(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    send_number(bench->server, bench->sent++);
}

/* A socket that only sends takes in subscriptions by itself, and costs nothing when idle. */
static void test_publisher(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, echo, count_to_200, 1000);
    zmq_socket_detach(&bench.server);
    zmq_socket_detach(&bench.client);
    void *publisher = zmq_socket(bench.context, ZMQ_PUB);
    size_t size = sizeof bench.endpoint;
    assert_int_equal(zmq_bind(publisher, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(publisher, ZMQ_LAST_ENDPOINT, bench.endpoint, &size), 0);
    assert_int_equal(zmq_socket_attach(&bench.server, &bench.loop, publisher, NULL, NULL, NULL), 0);
    void *subscriber = zmq_socket(bench.context, ZMQ_SUB);
    zmq_setsockopt(subscriber, ZMQ_SUBSCRIBE, "", 0);
    assert_int_equal(zmq_connect(subscriber, bench.endpoint), 0);
    assert_int_equal(
        zmq_socket_attach(&bench.client, &bench.loop, subscriber, count_to_200, &bench, NULL), 0);
    uv_timer_start(&bench.tick, publish, 1, 1);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_in_range(bench.received, 200, bench.sent); /* several may come together */
    uv_timer_start(&bench.tick, end_tick, 300, 0);
    uint64_t before = clock_thread_cpu_ns();
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_true(clock_thread_cpu_ns() - before < 20 * CLOCK_NS_PER_MS);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_both_ways),
        cmocka_unit_test(test_swallowed_edges),
        cmocka_unit_test(test_edges_swallowed_by_a_timer),
        cmocka_unit_test(test_busy_socket_leaves_room),
        cmocka_unit_test(test_idle_costs_nothing),
        cmocka_unit_test(test_detach_in_callback),
        cmocka_unit_test(test_too_many_parts),
        cmocka_unit_test(test_send_refusals),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_publisher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
