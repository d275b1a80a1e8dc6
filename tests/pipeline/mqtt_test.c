/* mqtt: answers at Debian's mosquitto, a process on loopback with a password file and an access list: a topic
 * per stream, each line as in the answers file; a broker that is killed and back; wrong passwords; the last
 * will of an agent that was killed; a broker that takes connections and says nothing. */
#include "harness.h"

#include "base/error.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>
#include <cmocka.h>

#define BROKER "/usr/sbin/mosquitto"
#define PASSWD "/usr/bin/mosquitto_passwd"
#define SUBSCRIBE "/usr/bin/mosquitto_sub"
#define WAIT_MS 30000u
#define LINES_MAX 4096u

static const char *const no_analysis[] = { "model=none", NULL };

/* A test picture of 160x120, 25 a second. */
#define MOVING(n)                                                         \
    "cameras." #n ".source.kind=test", "cameras." #n ".source.width=160", \
        "cameras." #n ".source.height=120", "cameras." #n ".source.fps=25"

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Whether both ends are there: a broker, and an agent built for one. */
static bool can_run(const struct scratch *scratch)
{
    struct process check;
    if (access(BROKER, X_OK) != 0 || access(SUBSCRIBE, X_OK) != 0) {
        fprintf(stderr, "SKIP REASON: mqtt: no mosquitto and mosquitto-clients\n");
        return false;
    }
    write_text(scratch_path(scratch, "check.yaml"),
               "cameras: [ { name: cam, source: { kind: test } } ]\nmqtt: { address: 'host:1' }\n");
    process_start(&check, scratch, "check",
                  (const char *const[]){ program_path("edge-agent"), "check",
                                         scratch_path(scratch, "check.yaml"), NULL });
    int status = process_wait(&check, WAIT_MS);
    if (status != 0 && process_said(&check, "built without MQTT")) {
        fprintf(stderr, "SKIP REASON: mqtt: edge-agent was built without libmosquitto\n");
        return false;
    }
    assert_int_equal(status, 0);
    return true;
}

/* ---- the broker ---- */

static void add_user(const struct scratch *scratch, const char *user, const char *password)
{
    struct process passwd;
    process_start(&passwd, scratch, "passwd",
                  (const char *const[]){ PASSWD, "-b", scratch_path(scratch, "users"), user,
                                         password, NULL });
    assert_int_equal(process_wait(&passwd, WAIT_MS), 0);
}

static void configure_broker(const struct scratch *scratch, uint16_t port)
{
    char text[2048];
    snprintf(text, sizeof text,
             "listener %u 127.0.0.1\nallow_anonymous false\npassword_file %s\nacl_file %s\n"
             "persistence false\nuser root\nlog_dest stderr\nlog_type all\n",
             port, scratch_path(scratch, "users"), scratch_path(scratch, "acl"));
    write_text(scratch_path(scratch, "broker.conf"), text);
    write_text(scratch_path(scratch, "users"), "");
    add_user(scratch, "box", "a word");
    add_user(scratch, "reader", "another");
    write_text(scratch_path(scratch, "acl"), "user box\ntopic write runespoor/#\n\n"
                                             "user reader\ntopic read runespoor/#\n");
    write_text(scratch_path(scratch, "password"), "a word\n");
}

static void broker_start(struct process *broker, const struct scratch *scratch)
{
    process_start(broker, scratch, "broker",
                  (const char *const[]){ BROKER, "-c", scratch_path(scratch, "broker.conf"), NULL });
    process_expect(broker, " running", WAIT_MS);
}

/* Prints "TOPIC PAYLOAD" lines. Keeps its subscription while the broker is away. */
static void reader_start(struct process *reader, const struct scratch *scratch, uint16_t port,
                         struct process *broker)
{
    char port_text[16];
    snprintf(port_text, sizeof port_text, "%u", port);
    process_start(reader, scratch, "reader",
                  (const char *const[]){ SUBSCRIBE, "-h", "127.0.0.1", "-p", port_text, "-u",
                                         "reader", "-P", "another", "-t", "runespoor/#", "-q", "1",
                                         "-v", "-i", "reader", NULL });
    process_expect(broker, "Sending SUBACK to reader", WAIT_MS);
}

struct texts {
    char address[64], password[400], http[64];
};

static void name_options(struct texts *texts, const struct scratch *scratch, uint16_t port,
                         uint16_t http)
{
    snprintf(texts->address, sizeof texts->address, "mqtt.address=127.0.0.1:%u", port);
    snprintf(texts->password, sizeof texts->password, "mqtt.password_file=%s",
             scratch_path(scratch, "password"));
    snprintf(texts->http, sizeof texts->http, "http.address=127.0.0.1:%u", http);
}

/* ---- lines ---- */

struct lines {
    char *line[LINES_MAX];
    size_t count;
};

/* Those that begin with start, without it. */
static void read_lines(const char *path, const char *start, struct lines *lines)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    lines->count = 0;
    while (getline(&line, &capacity, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, start, strlen(start)) != 0)
            continue;
        assert_true(lines->count < LINES_MAX);
        lines->line[lines->count++] = strdup(line + strlen(start));
    }
    free(line);
    fclose(file);
}

static void free_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->line[i]);
}

/* What came by a stream's topic is what is in a file of that stream's answers alone. */
static void expect_same(const struct scratch *scratch, const char *file, const char *topic)
{
    static struct lines written, published;
    char start[100];
    snprintf(start, sizeof start, "runespoor/%s/answers ", topic);
    read_lines(scratch_path(scratch, file), "", &written);
    read_lines(scratch_path(scratch, "reader.log"), start, &published);
    size_t j = 0;
    char stream[100];
    snprintf(stream, sizeof stream, "\"stream\":\"%s\"", topic);
    for (size_t i = 0; i < written.count; i++) {
        if (!strstr(written.line[i], stream))
            continue;
        assert_true(j < published.count);
        assert_string_equal(published.line[j++], written.line[i]);
    }
    assert_true(j > 0);
    assert_int_equal(j, published.count);
    free_lines(&written);
    free_lines(&published);
}

/* ---- tests ---- */

static void each_stream_has_its_topic(void **state)
{
    struct scratch *scratch = *state;
    struct process broker, reader, server, agent;
    struct texts texts;
    uint16_t port = port_find();
    if (!can_run(scratch))
        skip();
    configure_broker(scratch, port);
    name_options(&texts, scratch, port, port_find());
    broker_start(&broker, scratch);
    reader_start(&reader, scratch, port, &broker);
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ MOVING(0), "cameras.0.source.seconds=2", "cameras.1.name=yard",
                                       MOVING(1), "cameras.1.source.seconds=2", texts.address,
                                       texts.password, "mqtt.user=box", NULL });
    process_expect(&reader, "runespoor/edge/state online", WAIT_MS);
    assert_int_equal(process_wait(&agent, WAIT_MS), 0);
    process_expect(&reader, "runespoor/edge/state offline", WAIT_MS); /* by a goodbye */
    assert_false(process_said(&agent, "a word"));
    process_stop(&reader);
    expect_same(scratch, "agent.jsonl", "cam");
    expect_same(scratch, "agent.jsonl", "yard");
    process_stop_well(&server);
    process_stop(&broker);
}

static void a_broker_that_was_killed_is_back(void **state)
{
    struct scratch *scratch = *state;
    struct process broker, reader, server, agent;
    struct texts texts;
    uint16_t port = port_find(), http = port_find();
    if (!can_run(scratch))
        skip();
    configure_broker(scratch, port);
    name_options(&texts, scratch, port, http);
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ MOVING(0), texts.address, texts.password, texts.http,
                                       "mqtt.user=box", "mqtt.backoff_cap_ms=500", NULL });
    /* It is not there at the start: nothing else minds. */
    metric_expect(http, "edge_mqtt_losses_total{cause=\"unreachable\"}", 2, WAIT_MS);
    metric_expect(http, "edge_frames_answered_total", 10, WAIT_MS);
    assert_int_equal(process_count(&agent, "module=mqtt msg=\"no connection\""), 1);
    broker_start(&broker, scratch);
    metric_expect(http, "edge_mqtt_state", 2, WAIT_MS);
    /* What was answered meanwhile has waited. */
    metric_expect(http, "edge_mqtt_published_total", 10, WAIT_MS);

    process_signal(&broker, SIGKILL);
    assert_int_equal(process_wait(&broker, WAIT_MS), 128 + SIGKILL);
    metric_expect(http, "edge_mqtt_losses_total{cause=\"closed\"}", 1, WAIT_MS);
    process_expect(&agent, "module=mqtt msg=\"link lost\"", WAIT_MS);
    double answered = metric_now(http, "edge_frames_answered_total");
    metric_expect(http, "edge_frames_answered_total", answered + 10, WAIT_MS);
    broker_start(&broker, scratch);
    reader_start(&reader, scratch, port, &broker);
    metric_expect(http, "edge_mqtt_state", 2, WAIT_MS);
    process_expect(&reader, "runespoor/cam/answers {", WAIT_MS);
    assert_int_equal(process_count(&agent, "module=mqtt msg=\"link up\""), 2);

    process_stop_well(&agent);
    assert_int_equal(process_count(&agent, "msg=streaming"), 1); /* all in one session */
    process_stop(&reader);
    process_stop_well(&server);
    process_stop(&broker);
}

#define FRAMES_MAX 1000u

/* How many frames there are answers to; fails where one is there twice and is to be there once. */
static size_t count_frames(const struct scratch *scratch, const char *file, const char *start,
                           bool once)
{
    static struct lines lines;
    bool seen[FRAMES_MAX] = { false };
    size_t count = 0;
    read_lines(scratch_path(scratch, file), start, &lines);
    for (size_t i = 0; i < lines.count; i++) {
        const char *at = strstr(lines.line[i], "\"frame\":");
        assert_non_null(at);
        unsigned long frame = strtoul(at + strlen("\"frame\":"), NULL, 10);
        assert_true(frame < FRAMES_MAX);
        assert_false(once && seen[frame]);
        count += !seen[frame];
        seen[frame] = true;
    }
    free_lines(&lines);
    return count;
}

/* Frames of a lossless stream wait in the spool until the broker has acknowledged their answers, so an agent
 * that is killed meanwhile publishes them after its next start. */
static void lossless_answers_wait_for_the_broker(void **state)
{
    struct scratch *scratch = *state;
    struct process broker, reader, server, agent;
    struct texts texts;
    char spool[400];
    uint16_t port = port_find(), http = port_find();
    if (!can_run(scratch))
        skip();
    configure_broker(scratch, port);
    name_options(&texts, scratch, port, http);
    snprintf(spool, sizeof spool, "spool.path=%s", scratch_path(scratch, "spool.db"));
    const char *const options[] = { MOVING(0),
                                    "cameras.0.source.seconds=2",
                                    "cameras.0.mode=lossless",
                                    spool,
                                    texts.address,
                                    texts.password,
                                    texts.http,
                                    "mqtt.user=box",
                                    "mqtt.backoff_cap_ms=500",
                                    NULL };
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent", options);
    metric_expect(http, "edge_frames_sent_total", 20, WAIT_MS);
    assert_int_equal((int)metric_now(http, "edge_mqtt_published_total"), 0);
    process_signal(&agent, SIGKILL);
    assert_int_equal(process_wait(&agent, WAIT_MS), 128 + SIGKILL);
    assert_int_equal(count_frames(scratch, "agent.jsonl", "", false), 0); /* nowhere yet */

    broker_start(&broker, scratch);
    reader_start(&reader, scratch, port, &broker);
    agent_start(&agent, scratch, "agent", options);
    metric_expect(http, "edge_mqtt_published_total", 20, WAIT_MS);
    process_stop_well(&agent);
    process_stop(&reader);
    process_stop_well(&server);
    process_stop(&broker);
    size_t written = count_frames(scratch, "agent.jsonl", "", true);
    assert_true(written >= 20);
    assert_true(count_frames(scratch, "reader.log", "runespoor/cam/answers ", false) >= written);
}

static void a_wrong_password_is_told_and_mended(void **state)
{
    struct scratch *scratch = *state;
    struct process broker, agent;
    struct texts texts;
    uint16_t port = port_find(), http = port_find();
    if (!can_run(scratch))
        skip();
    configure_broker(scratch, port);
    name_options(&texts, scratch, port, http);
    write_text(scratch_path(scratch, "password"), "wrong-one\n");
    broker_start(&broker, scratch);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ MOVING(0), texts.address, texts.password, texts.http,
                                       "mqtt.user=box", "mqtt.backoff_cap_ms=500", NULL });
    metric_expect(http, "edge_mqtt_losses_total{cause=\"auth\"}", 2, WAIT_MS);
    process_expect(&agent, "mqtt.password_file", WAIT_MS);
    assert_int_equal(process_count(&agent, "module=mqtt msg=\"no connection\""), 1);
    assert_false(process_said(&agent, "wrong-one"));
    assert_int_equal(unlink(scratch_path(scratch, "password")), 0);
    metric_expect(http, "edge_mqtt_losses_total{cause=\"local\"}", 1, WAIT_MS);
    write_text(scratch_path(scratch, "password"), "a word");
    metric_expect(http, "edge_mqtt_state", 2, WAIT_MS);
    process_stop_well(&agent);
    process_stop(&broker);
}

static void a_killed_agent_leaves_its_will(void **state)
{
    struct scratch *scratch = *state;
    struct process broker, reader, late, agent;
    struct texts texts;
    uint16_t port = port_find();
    if (!can_run(scratch))
        skip();
    configure_broker(scratch, port);
    name_options(&texts, scratch, port, port_find());
    broker_start(&broker, scratch);
    reader_start(&reader, scratch, port, &broker);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ MOVING(0), texts.address, texts.password, "mqtt.user=box",
                                       "name=box-7", NULL });
    process_expect(&reader, "runespoor/box-7/state online", WAIT_MS);
    assert_false(process_said(&reader, "offline"));
    process_signal(&agent, SIGKILL);
    assert_int_equal(process_wait(&agent, WAIT_MS), 128 + SIGKILL);
    process_expect(&reader, "runespoor/box-7/state offline", WAIT_MS);
    process_stop(&reader);
    /* Kept for those who come later. */
    reader_start(&late, scratch, port, &broker);
    process_expect(&late, "runespoor/box-7/state offline", WAIT_MS);
    process_stop(&late);
    process_stop(&broker);
}

static void a_silent_broker_has_a_deadline(void **state)
{
    struct scratch *scratch = *state;
    struct process agent;
    struct texts texts;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    uint16_t http = port_find();
    if (!can_run(scratch))
        skip();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    name_options(&texts, scratch, ntohs(address.sin_port), http);
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ MOVING(0), texts.address, texts.http, "mqtt.connect_ms=300",
                                       "mqtt.backoff_cap_ms=500", NULL });
    metric_expect(http, "edge_mqtt_losses_total{cause=\"timeout\"}", 2, WAIT_MS);
    process_expect(&agent, "no answer from the broker in time", WAIT_MS);
    process_stop_well(&agent); /* in the middle of a try */
    close(fd);
}

static void mistakes_are_named(void **state)
{
    struct scratch *scratch = *state;
    struct process check;
    write_text(scratch_path(scratch, "agent.yaml"),
               "cameras: [ { name: cam, source: { kind: test } } ]\n"
               "mqtt:\n"
               "  address: broker\n"
               "  topic: answers/+/x\n"
               "  password_file: p\n"
               "  tls: { cert_file: c }\n");
    process_start(&check, scratch, "check",
                  (const char *const[]){ program_path("edge-agent"), "check",
                                         scratch_path(scratch, "agent.yaml"), NULL });
    assert_int_equal(process_wait(&check, WAIT_MS), 1);
    assert_true(process_said(&check, "agent.yaml:3: mqtt.address: \"broker\" is not an address"));
    assert_true(process_said(&check, "agent.yaml:4: mqtt.topic: \"answers/+/x\" is not a topic"));
    assert_true(
        process_said(&check, "agent.yaml:5: mqtt.password_file: a password needs mqtt.user"));
    assert_true(process_said(&check, "mqtt.tls.cert_file: a certificate and its key go together"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_stream_has_its_topic, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_broker_that_was_killed_is_back, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(lossless_answers_wait_for_the_broker, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_wrong_password_is_told_and_mended, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_killed_agent_leaves_its_will, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_silent_broker_has_a_deadline, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_named, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
