/* sink_mqtt: who waits for an answer hears of it once the broker has acknowledged it, over a broker that is
 * killed in between, and not before; topics and addresses. The broker is Debian's mosquitto. */
#include "sink_mqtt.h"

#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define BROKER "/usr/sbin/mosquitto"
#define ANSWERS 300u
#define WAIT_MS 30000u
#define PUMP_MS 20u

struct rig {
    struct scratch scratch;
    struct process broker;
    struct metrics *metrics;
    uv_loop_t loop;
    uv_timer_t timer;
    struct sink_mqtt *sink;
    char address[32];
    struct mqtt_config config;
    bool told[ANSWERS + 1];
    size_t told_count;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct error err;
    if (!rig || metrics_create(&rig->metrics, &err) != 0 || uv_loop_init(&rig->loop) != 0)
        return -1;
    scratch_make(&rig->scratch);
    snprintf(rig->address, sizeof rig->address, "127.0.0.1:%u", rig->scratch.port);
    static char empty[] = "", topic[] = "t/{agent}/{stream}";
    rig->config = (struct mqtt_config){ .address = rig->address,
                                        .topic = topic,
                                        .qos = 1,
                                        .client_id = empty,
                                        .user = empty,
                                        .password_file = empty,
                                        .tls = { empty, empty, empty },
                                        .connect_ms = 5000,
                                        .backoff_first_ms = 50,
                                        .backoff_cap_ms = 200 };
    uv_timer_init(&rig->loop, &rig->timer);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    sink_mqtt_close(&rig->sink);
    uv_close((uv_handle_t *)&rig->timer, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    uv_loop_close(&rig->loop);
    process_stop(&rig->broker);
    metrics_destroy(&rig->metrics);
    scratch_remove(&rig->scratch);
    free(rig);
    return 0;
}

static void broker_start(struct rig *rig)
{
    const char *path = scratch_path(&rig->scratch, "broker.conf");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "listener %u 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n",
            rig->scratch.port);
    assert_int_equal(fclose(file), 0);
    process_start(&rig->broker, &rig->scratch, "broker",
                  (const char *const[]){ BROKER, "-c", path, NULL });
    process_expect(&rig->broker, " running", WAIT_MS);
}

static void on_published(void *arg, uint64_t ticket)
{
    struct rig *rig = arg;
    assert_in_range(ticket, 1, ANSWERS);
    assert_false(rig->told[ticket]); /* once */
    rig->told[ticket] = true;
    rig->told_count++;
}

static void open_sink(struct rig *rig)
{
    struct error err;
    assert_int_equal(sink_mqtt_open(&rig->sink, &rig->loop, &rig->config, "box", rig->metrics,
                                    on_published, rig, &err),
                     0);
}

static int add(struct rig *rig, uint64_t frame, uint64_t ticket)
{
    Runespoor__Answer answer = RUNESPOOR__ANSWER__INIT;
    answer.stream = (char *)"cam";
    answer.model = (char *)"none";
    answer.frame = frame;
    return sink_mqtt_add_answer(rig->sink, &answer, 1000, ticket);
}

static void on_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Runs the loop until so many have been told. */
static void pump(struct rig *rig, size_t told_count)
{
    for (unsigned i = 0; i < WAIT_MS / PUMP_MS && rig->told_count < told_count; i++) {
        uv_timer_start(&rig->timer, on_timer, PUMP_MS, 0);
        uv_run(&rig->loop, UV_RUN_DEFAULT);
    }
    assert_true(rig->told_count >= told_count);
}

static bool can_run(void)
{
    bool can = sink_mqtt_is_built() && access(BROKER, X_OK) == 0;
    if (!can)
        fprintf(stderr, "SKIP REASON: sink_mqtt: no libmosquitto or no mosquitto\n");
    return can;
}

static void tickets_come_back_over_a_killed_broker(void **state)
{
    struct rig *rig = *state;
    if (!can_run())
        skip();
    open_sink(rig);
    for (uint64_t i = 1; i <= 100; i++)
        assert_int_equal(add(rig, i, i), 0);
    usleep(200000);
    assert_int_equal(rig->told_count, 0); /* there is no broker */
    broker_start(rig);
    pump(rig, 100);
    /* Stopped, it takes bytes and acknowledges nothing; then it is gone with them. */
    process_signal(&rig->broker, SIGSTOP);
    for (uint64_t i = 101; i <= 200; i++)
        assert_int_equal(add(rig, i, i), 0);
    usleep(200000);
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_int_equal(rig->told_count, 100);
    process_signal(&rig->broker, SIGKILL);
    assert_int_equal(process_wait(&rig->broker, WAIT_MS), 128 + SIGKILL);
    broker_start(rig);
    for (uint64_t i = 201; i <= ANSWERS; i++)
        assert_int_equal(add(rig, i, i), 0);
    pump(rig, ANSWERS);
}

static void without_qos_the_socket_is_enough(void **state)
{
    struct rig *rig = *state;
    if (!can_run())
        skip();
    rig->config.qos = 0;
    broker_start(rig);
    open_sink(rig);
    for (uint64_t i = 1; i <= ANSWERS; i++)
        assert_int_equal(add(rig, i, i), 0);
    pump(rig, ANSWERS);
}

static void it_is_bounded_without_a_broker(void **state)
{
    struct rig *rig = *state;
    if (!can_run())
        skip();
    open_sink(rig);
    const struct metric_label full = { "reason", "full" };
    struct metric_counter *dropped =
        metrics_counter(rig->metrics, "edge_mqtt_dropped_total", "", &full, 1);
    struct metric_gauge *waiting =
        metrics_gauge(rig->metrics, "edge_mqtt_waiting_bytes", "", NULL, 0);
    uint64_t count = 0;
    while (metric_counter_get(dropped) < 1000 && count < 1000000)
        assert_int_equal(add(rig, count++, 0), 0);
    assert_int_equal(metric_counter_get(dropped), 1000);
    assert_true(metric_gauge_get(waiting) <= SINK_MQTT_WAITING_BYTES_MAX);
    assert_true(metric_gauge_get(waiting) > SINK_MQTT_WAITING_BYTES_MAX - 1000.0);
    for (count = 1; count <= 1000000 && add(rig, count, count) == 0;)
        count++;
    assert_true(count > 1000 && count < 1000000); /* refused, not dropped */
}

static void expect_address(const char *text, const char *host, int port)
{
    struct mqtt_broker_address address;
    struct error err;
    assert_int_equal(mqtt_config_address(text, &address, &err), 0);
    assert_string_equal(address.host, host);
    assert_int_equal(address.port, port);
}

static void addresses_and_topics(void **state)
{
    static const char *const wrong[] = { "",      "host",   "host:",   "host:0", "host:65536",
                                         ":1883", "::1:18", "host:1x", "[]:1" };
    struct mqtt_broker_address address;
    struct error err;
    (void)state;
    expect_address("broker.example:1883", "broker.example", 1883);
    expect_address("[::1]:8883", "::1", 8883);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mqtt_config_address(wrong[i], &address, &err), -ERROR_CONFIG);
    struct text topic = { .data = NULL };
    mqtt_config_topic(&topic, "a/{stream}/b/{agent}{x}", "box", "cam");
    assert_string_equal(topic.data, "a/cam/b/box{x}");
    text_finish(&topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tickets_come_back_over_a_killed_broker, setup, teardown),
        cmocka_unit_test_setup_teardown(without_qos_the_socket_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_bounded_without_a_broker, setup, teardown),
        cmocka_unit_test(addresses_and_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
