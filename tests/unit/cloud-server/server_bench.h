/* A server in this process, and agents made of a plain DEALER socket with CURVE, for tests of its
 * rooms together. One thread: bench_turn lets the server's loop and the agents' sockets go on in
 * turn; every wait is bounded and fails the test. */
#ifndef RUNESPOOR_TEST_SERVER_BENCH_H
#define RUNESPOOR_TEST_SERVER_BENCH_H

#include "base/clock.h"
#include "net/keys.h"
#include "net/wire.h"
#include "server.h"
#include "server_clip.h"
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#define BENCH_WAIT_MS 8000u
#define BENCH_ANSWERS_MAX 256u
#define BENCH_SETS_MAX 16u

struct bench {
    char folder[64];
    uv_loop_t loop;
    struct metrics *metrics;
    struct config *loaded;
    struct server_config config;
    struct server *server;
    void *zmq_context;
    bool ready, stopped;
    struct error fatal;
};

struct bench_answer {
    uint64_t frame;
    int status;
    char reason[32], model[32], class_name[32];
    uint32_t width, height, object_count;
    float x, y;
    uint64_t wire_bytes;
    bool late;
};

/* What an agent has received since its Hello. */
struct agent {
    struct bench *bench;
    void *socket;
    uint64_t session, sequence, frame;
    uint32_t credits, retry_ms;
    bool welcomed, refused, leaving, bye;
    bool decode_only; /* what its next packets say */
    char refuse_code[32], reason[600], bye_reason[200];
    uint64_t nonce, nonce_echoed;
    size_t answer_count, order_count, report_count;
    struct bench_answer answers[BENCH_ANSWERS_MAX];
    Runespoor__ServerReport report; /* the last one; its numbers alone */
};

static inline void bench_on_ready(void *arg)
{
    ((struct bench *)arg)->ready = true;
}

static inline void bench_on_fatal(void *arg, const struct error *cause)
{
    ((struct bench *)arg)->fatal = *cause;
}

static inline void bench_on_stopped(void *arg)
{
    ((struct bench *)arg)->stopped = true;
}

static inline const char *bench_path(const struct bench *bench, const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", bench->folder, name);
    return out;
}

/* Makes a key pair NAME in the folder and lets it use the streams that match pattern (NULL: not). */
static inline void bench_add_key(struct bench *bench, const char *name, const char *pattern)
{
    struct key_pair pair;
    struct error err;
    if (keys_create(bench->folder, name, &pair, &err) < 0)
        fail_msg("%s", err.text);
    if (pattern &&
        keys_allow(bench_path(bench, "allow"), name, pair.public_text, &pattern, 1, &err) < 0)
        fail_msg("%s", err.text);
}

/* A folder with the server's key, and an agent's key "box" for all names; config from sets. */
static inline void bench_prepare(struct bench *bench, const char *const *sets)
{
    char folder[2][300];
    const char *all[BENCH_SETS_MAX + 5] = { "listen.address=tcp://127.0.0.1:*", "model=none",
                                            "log=error", folder[0], folder[1] };
    struct key_pair pair;
    struct error err;

    *bench = (struct bench){ .folder = "/tmp/server-test-XXXXXX" };
    assert_non_null(mkdtemp(bench->folder));
    if (keys_create(bench->folder, "server", &pair, &err) < 0)
        fail_msg("%s", err.text);
    bench_add_key(bench, "box", "*");
    snprintf(folder[0], sizeof folder[0], "keys.folder=%s", bench->folder);
    snprintf(folder[1], sizeof folder[1], "keys.allow=%s/allow", bench->folder);
    size_t count = 5;
    for (; sets && *sets; sets++) {
        assert_true(count < BENCH_SETS_MAX + 5);
        all[count++] = *sets;
    }
    if (server_config_load(&bench->loaded, &bench->config, NULL, all, count, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(metrics_create(&bench->metrics, &err), 0);
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    bench->zmq_context = zmq_ctx_new();
}

static inline int bench_open(struct bench *bench, struct error *err)
{
    const struct server_events events = { bench_on_ready, bench_on_fatal, bench };
    return server_open(&bench->server, &bench->loop, &bench->config, bench->metrics,
                       "/proc/self/exe", &events, err);
}

static inline void bench_start(struct bench *bench, const char *const *sets)
{
    struct error err;
    bench_prepare(bench, sets);
    if (bench_open(bench, &err) < 0)
        fail_msg("%s", err.text);
    const uint64_t end_ns = clock_now_ns() + BENCH_WAIT_MS * CLOCK_NS_PER_MS;
    while (!bench->ready && clock_now_ns() < end_ns) {
        uv_run(&bench->loop, UV_RUN_NOWAIT);
        usleep(200);
    }
    assert_true(bench->ready);
}

static inline void bench_stop(struct bench *bench)
{
    if (bench->server)
        server_stop(&bench->server, bench_on_stopped, bench);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    metrics_destroy(&bench->metrics);
    config_free(&bench->loaded);
    zmq_ctx_term(bench->zmq_context);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", bench->folder);
    assert_int_equal(system(command), 0);
}

/* Sum of a family's series, or of those with label_value. */
struct bench_sum {
    const char *name, *label_value;
    double value;
};

static inline void bench_add_series(void *arg, const char *name, char kind,
                                    const struct metric_label *labels, size_t label_count,
                                    const void *handle)
{
    struct bench_sum *sum = arg;
    bool match = strcmp(name, sum->name) == 0 && !sum->label_value;
    for (size_t i = 0; i < label_count; i++)
        match = match || (strcmp(name, sum->name) == 0 && sum->label_value &&
                          strcmp(labels[i].value, sum->label_value) == 0);
    if (match)
        sum->value += kind == 'c' ? (double)metric_counter_get(handle) : metric_gauge_get(handle);
}

static inline double bench_metric(struct bench *bench, const char *name, const char *label_value)
{
    struct bench_sum sum = { name, label_value, 0 };
    metrics_visit(bench->metrics, bench_add_series, &sum);
    return sum.value;
}

/* Agents */

static inline void agent_connect(struct agent *agent, struct bench *bench, const char *key_name)
{
    struct key_pair pair;
    struct error err;
    const int linger = 0, heartbeat = 0;

    *agent = (struct agent){ .bench = bench };
    if (keys_read_pair(bench->folder, key_name, &pair, &err) < 0)
        fail_msg("%s", err.text);
    agent->socket = zmq_socket(bench->zmq_context, ZMQ_DEALER);
    assert_non_null(agent->socket);
    zmq_setsockopt(agent->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(agent->socket, ZMQ_HEARTBEAT_IVL, &heartbeat, sizeof heartbeat);
    assert_int_equal(zmq_setsockopt(agent->socket, ZMQ_CURVE_SERVERKEY,
                                    server_public_key(bench->server), KEY_TEXT_BYTES),
                     0);
    zmq_setsockopt(agent->socket, ZMQ_CURVE_PUBLICKEY, pair.public_text, KEY_TEXT_BYTES);
    zmq_setsockopt(agent->socket, ZMQ_CURVE_SECRETKEY, pair.secret_text, KEY_TEXT_BYTES);
    assert_int_equal(zmq_connect(agent->socket, server_address(bench->server)), 0);
}

static inline void agent_close(struct agent *agent)
{
    zmq_close(agent->socket);
    agent->socket = NULL;
}

static inline void agent_send(struct agent *agent, const Runespoor__Header *header,
                              const void *payload, size_t payload_bytes)
{
    uint8_t bytes[4096];
    const size_t size = wire_packed_size(header);
    assert_true(size <= sizeof bytes);
    wire_pack(header, bytes);
    assert_int_equal(zmq_send(agent->socket, bytes, size, payload ? ZMQ_SNDMORE : 0), (int)size);
    if (payload)
        assert_int_equal(zmq_send(agent->socket, payload, payload_bytes, 0), (int)payload_bytes);
}

static inline void agent_take_answer(struct agent *agent, const Runespoor__Answer *answer)
{
    assert_true(agent->answer_count < BENCH_ANSWERS_MAX);
    struct bench_answer *to = &agent->answers[agent->answer_count++];
    *to = (struct bench_answer){ .frame = answer->frame,
                                 .status = (int)answer->status,
                                 .width = answer->width,
                                 .height = answer->height,
                                 .object_count = (uint32_t)answer->n_objects,
                                 .wire_bytes = answer->wire_bytes,
                                 .late = answer->late };
    snprintf(to->reason, sizeof to->reason, "%s", answer->reason);
    snprintf(to->model, sizeof to->model, "%s", answer->model);
    if (answer->n_objects > 0) {
        snprintf(to->class_name, sizeof to->class_name, "%s", answer->objects[0]->class_name);
        to->x = answer->objects[0]->x;
        to->y = answer->objects[0]->y;
    }
}

static inline void agent_take(struct agent *agent, const Runespoor__Header *header)
{
    switch (header->kind_case) {
    case RUNESPOOR__HEADER__KIND_WELCOME:
        agent->welcomed = true;
        agent->session = header->welcome->session;
        agent->credits = header->welcome->credits;
        agent->nonce_echoed = header->welcome->nonce;
        break;
    case RUNESPOOR__HEADER__KIND_REFUSE:
        agent->refused = true;
        agent->retry_ms = header->refuse->retry_ms;
        agent->nonce_echoed = header->refuse->nonce;
        snprintf(agent->refuse_code, sizeof agent->refuse_code, "%s", header->refuse->code);
        snprintf(agent->reason, sizeof agent->reason, "%s", header->refuse->reason);
        break;
    case RUNESPOOR__HEADER__KIND_ANSWER:
        agent_take_answer(agent, header->answer);
        break;
    case RUNESPOOR__HEADER__KIND_ORDER:
        assert_true(header->order->keyframe);
        agent->order_count++;
        break;
    case RUNESPOOR__HEADER__KIND_SERVER_REPORT:
        agent->report = *header->server_report;
        agent->report_count++;
        break;
    case RUNESPOOR__HEADER__KIND_BYE:
        if (header->bye->leaving)
            agent->leaving = true;
        else
            agent->bye = true;
        snprintf(agent->bye_reason, sizeof agent->bye_reason, "%s", header->bye->reason);
        break;
    default:
        fail_msg("unexpected %s from the server", wire_kind_word(header));
    }
}

static inline void agent_read(struct agent *agent)
{
    zmq_msg_t message;
    if (!agent->socket)
        return;
    zmq_msg_init(&message);
    while (zmq_msg_recv(&message, agent->socket, ZMQ_DONTWAIT) >= 0) {
        Runespoor__Header *header;
        struct error err;
        assert_int_equal(zmq_msg_more(&message), 0);
        if (wire_parse(&header, zmq_msg_data(&message), zmq_msg_size(&message), 0, &err) < 0)
            fail_msg("the server sent: %s", err.text);
        agent_take(agent, header);
        wire_free(&header);
    }
    zmq_msg_close(&message);
}

static inline void bench_turn(struct bench *bench)
{
    uv_run(&bench->loop, UV_RUN_NOWAIT);
    usleep(200);
}

/* Lets everything run until condition holds. */
#define BENCH_UNTIL(bench, agent, condition)                                           \
    do {                                                                               \
        const uint64_t until_ns = clock_now_ns() + BENCH_WAIT_MS * CLOCK_NS_PER_MS;    \
        while (agent_read(agent), !(condition)) {                                      \
            if (clock_now_ns() > until_ns)                                             \
                fail_msg("%s:%d: waited in vain for " #condition, __FILE__, __LINE__); \
            bench_turn(bench);                                                         \
        }                                                                              \
    } while (0)

/* Lets everything run for a while, for what must not happen. */
static inline void bench_idle(struct bench *bench, struct agent *agent, uint32_t ms)
{
    const uint64_t end_ns = clock_now_ns() + ms * CLOCK_NS_PER_MS;
    while (clock_now_ns() < end_ns) {
        bench_turn(bench);
        agent_read(agent);
    }
}

struct hello {
    const char *stream, *agent, *model;
    uint32_t version, width, height;
    bool lossless, late;
};

static inline void agent_hello_with(struct agent *agent, const struct hello *given)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Hello hello = RUNESPOOR__HELLO__INIT;
    Runespoor__Codec codec = RUNESPOOR__CODEC__CODEC_H264;

    agent->welcomed = agent->refused = agent->leaving = agent->bye = false;
    agent->sequence = 0;
    hello.version = given->version ? given->version : WIRE_VERSION;
    hello.agent = (char *)(given->agent ? given->agent : "box");
    hello.stream = (char *)given->stream;
    hello.software = (char *)"test";
    hello.n_codecs = 1;
    hello.codecs = &codec;
    hello.width = given->width;
    hello.height = given->height;
    hello.model = (char *)(given->model ? given->model : "");
    hello.lossless = given->lossless;
    hello.late = given->late;
    hello.nonce = ++agent->nonce;
    header.kind_case = RUNESPOOR__HEADER__KIND_HELLO;
    header.hello = &hello;
    agent_send(agent, &header, NULL, 0);
}

static inline void agent_hello(struct agent *agent, const char *stream)
{
    agent_hello_with(agent, &(struct hello){ .stream = stream });
    BENCH_UNTIL(agent->bench, agent, agent->welcomed || agent->refused);
    if (agent->refused)
        fail_msg("refused: %s", agent->reason);
}

/* Sends bytes as the next packet. */
static inline void agent_packet_bytes(struct agent *agent, const struct clip *clip,
                                      const void *bytes, size_t size, bool keyframe)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Packet packet = RUNESPOOR__PACKET__INIT;

    packet.session = agent->session;
    packet.frame = agent->frame++;
    packet.sequence = agent->sequence++;
    packet.capture_ns = 1000000000ull + packet.frame * 40000000ull;
    packet.capture_unix_us = 1700000000000000ull;
    packet.codec = RUNESPOOR__CODEC__CODEC_H264;
    packet.keyframe = keyframe;
    packet.decode_only = agent->decode_only;
    packet.width = clip->width;
    packet.height = clip->height;
    packet.camera_width = 2 * clip->width;
    packet.camera_height = 2 * clip->height;
    header.kind_case = RUNESPOOR__HEADER__KIND_PACKET;
    header.packet = &packet;
    agent_send(agent, &header, bytes, size);
}

static inline void agent_packet(struct agent *agent, const struct clip *clip, size_t number)
{
    size_t size;
    const uint8_t *data = packet_data(clip->packets[number], &size);
    agent_packet_bytes(agent, clip, data, size, packet_is_keyframe(clip->packets[number]));
}

/* Sends packets [from, to) of the clip with at most `credits` in flight, and waits for all answers. */
static inline void agent_stream(struct agent *agent, const struct clip *clip, size_t from, size_t to)
{
    const size_t answered = agent->answer_count;
    for (size_t i = from; i < to; i++) {
        agent_packet(agent, clip, i);
        BENCH_UNTIL(agent->bench, agent,
                    agent->answer_count - answered + agent->credits > i - from + 1);
    }
    BENCH_UNTIL(agent->bench, agent, agent->answer_count - answered == to - from);
}

#define STATUS_OK RUNESPOOR__ANSWER_STATUS__ANSWER_OK
#define STATUS_DROPPED RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED
#define STATUS_FAILED RUNESPOOR__ANSWER_STATUS__ANSWER_FAILED

static inline void agent_expect(const struct agent *agent, size_t answer, uint64_t frame,
                                int status, const char *reason)
{
    assert_true(answer < agent->answer_count);
    assert_int_equal(agent->answers[answer].frame, frame);
    assert_string_equal(agent->answers[answer].reason, reason);
    assert_int_equal(agent->answers[answer].status, status);
}

#endif
