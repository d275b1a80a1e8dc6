/* uplink: against a ROUTER with CURVE and a list of allowed keys on the same loop. It comes up, says
 * what is wrong with keys, addresses and silent servers, comes back after restarts, waits longer
 * after each failure and short again after a success, and leaves nothing open. */
#include "loop_bench.h"

#include "base/random.h"
#include "media/encode.h"
#include "net/zmq_loop.h"
#include "uplink.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <zmq.h>

#define WAIT_MS 10000u

static struct loop_bench bench;

static struct {
    /* the server */
    void *server_context;
    struct zap_handler *zap;
    struct zmq_socket *router;
    struct key_pair server_keys;
    char endpoint[64];
    bool allow, mute;
    zmq_msg_t identity; /* of the agent, once it has said something */
    size_t received, payload_bytes;
    uint8_t payload[4096];
    char last_stream[65];
    /* the agent */
    void *context;
    struct key_pair keys;
    struct server_link_config config;
    char key_path[128]; /* with the server's key */
    struct uplink *uplink;
    unsigned ups, downs, messages;
    uint64_t down_ns;
    char cause[192];
    unsigned hello_each_up;
} rig;

static bool decide(const char *domain, const char *public_text, const char *peer_address, void *arg)
{
    (void)peer_address, (void)arg;
    assert_string_equal(domain, "agents");
    assert_string_equal(public_text, rig.keys.public_text);
    return rig.allow;
}

static void on_server_message(struct zmq_socket *socket, zmq_msg_t *parts, size_t count,
                              bool malformed, void *arg)
{
    (void)arg;
    struct error err;
    Runespoor__Header *header = NULL;
    assert_false(malformed);
    assert_in_range(count, 2, 3);
    rig.payload_bytes = count == 3 ? zmq_msg_size(&parts[2]) : 0;
    assert_true(rig.payload_bytes <= sizeof rig.payload);
    if (count == 3)
        memcpy(rig.payload, zmq_msg_data(&parts[2]), rig.payload_bytes);
    if (wire_parse(&header, zmq_msg_data(&parts[1]), zmq_msg_size(&parts[1]), rig.payload_bytes,
                   &err) != 0)
        fail_msg("%s", err.text);
    if (header->kind_case == RUNESPOOR__HEADER__KIND_HELLO)
        snprintf(rig.last_stream, sizeof rig.last_stream, "%s", header->hello->stream);
    wire_free(&header);
    rig.received++;
    zmq_msg_move(&rig.identity, &parts[0]);
    if (rig.mute)
        return;
    /* Anything valid will do for an answer. */
    Runespoor__Header reply = RUNESPOOR__HEADER__INIT;
    Runespoor__Order order = RUNESPOOR__ORDER__INIT;
    order.session = 7;
    reply.kind_case = RUNESPOOR__HEADER__KIND_ORDER;
    reply.order = &order;
    zmq_msg_t out[2];
    zmq_msg_init(&out[0]);
    zmq_msg_copy(&out[0], &rig.identity);
    zmq_msg_init_size(&out[1], wire_packed_size(&reply));
    wire_pack(&reply, zmq_msg_data(&out[1]));
    zmq_socket_send(socket, out, 2, NULL);
}

/* On any free port, or on that of endpoint. */
static void server_open(const char *endpoint)
{
    int on = 1, no_linger = 0;
    size_t size = sizeof rig.endpoint;
    void *raw = zmq_socket(rig.server_context, ZMQ_ROUTER);
    zmq_setsockopt(raw, ZMQ_LINGER, &no_linger, sizeof no_linger);
    zmq_setsockopt(raw, ZMQ_ZAP_DOMAIN, "agents", 6);
    zmq_setsockopt(raw, ZMQ_CURVE_SERVER, &on, sizeof on);
    zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, rig.server_keys.secret_text, 40);
    if (zmq_bind(raw, endpoint) != 0)
        fail_msg("%s: %s", endpoint, zmq_strerror(zmq_errno()));
    zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, rig.endpoint, &size);
    assert_int_equal(zmq_socket_attach(&rig.router, &bench.loop, raw, on_server_message, NULL, NULL),
                     0);
}

static void server_send(const void *bytes, size_t size, size_t parts)
{
    zmq_msg_t out[3];
    zmq_msg_init(&out[0]);
    zmq_msg_copy(&out[0], &rig.identity);
    for (size_t i = 1; i <= parts; i++) {
        zmq_msg_init_size(&out[i], size);
        memcpy(zmq_msg_data(&out[i]), bytes, size);
    }
    assert_int_equal(zmq_socket_send(rig.router, out, 1 + parts, NULL), 0);
}

static void say_hello(const char *stream)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Hello hello = RUNESPOOR__HELLO__INIT;
    hello.version = WIRE_VERSION;
    hello.agent = (char *)"edge";
    hello.stream = (char *)stream;
    header.kind_case = RUNESPOOR__HEADER__KIND_HELLO;
    header.hello = &hello;
    struct error err;
    if (uplink_send(rig.uplink, &header, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
}

static void on_up(void *arg)
{
    (void)arg;
    rig.ups++;
    assert_null(uplink_cause(rig.uplink));
    if (rig.hello_each_up)
        say_hello("gate"); /* the very first moment, and it must not be lost */
}

static void on_down(void *arg, const char *cause)
{
    (void)arg;
    rig.downs++;
    rig.down_ns = clock_now_ns();
    snprintf(rig.cause, sizeof rig.cause, "%s", cause);
    struct error err;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    assert_int_equal(uplink_send(rig.uplink, &header, NULL, NULL, &err), -ERROR_AGAIN);
}

static void on_message(void *arg, const Runespoor__Header *header)
{
    (void)arg;
    assert_int_equal(header->kind_case, RUNESPOOR__HEADER__KIND_ORDER);
    rig.messages++;
}

/* The agent's file with the server's keys, one a line. */
static void write_keys(const char *first, const char *second)
{
    FILE *file = fopen(rig.key_path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n%s\n", first, second);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    loop_bench_open(&bench);
    memset(&rig, 0, sizeof rig);
    rig.allow = true;
    rig.hello_each_up = true;
    rig.server_context = zmq_ctx_new();
    rig.context = zmq_ctx_new();
    zmq_msg_init(&rig.identity);
    zmq_curve_keypair(rig.server_keys.public_text, rig.server_keys.secret_text);
    zmq_curve_keypair(rig.keys.public_text, rig.keys.secret_text);
    assert_int_equal(zap_handler_open(&rig.zap, &bench.loop, rig.server_context, decide, NULL, NULL),
                     0);
    server_open("tcp://127.0.0.1:*");
    snprintf(rig.key_path, sizeof rig.key_path, "%s", loop_bench_path(&bench, "server.pub"));
    write_keys(rig.server_keys.public_text, "");
    rig.config = (struct server_link_config){ .address = rig.endpoint,
                                              .key = rig.key_path,
                                              .backoff_first_ms = 20,
                                              .backoff_cap_ms = 100,
                                              .connect_ms = 5000 };
    return 0;
}

static void agent_open(const char *server_key)
{
    static const struct uplink_events events = { on_up, on_down, on_message };
    if (server_key)
        write_keys(server_key, "");
    assert_int_equal(uplink_open(&rig.uplink, &bench.loop, &rig.config, rig.context, &rig.keys,
                                 bench.metrics, &events, NULL, NULL),
                     0);
    assert_non_null(uplink_cause(rig.uplink));
}

static int teardown(void **state)
{
    (void)state;
    uplink_close(&rig.uplink);
    zmq_socket_detach(&rig.router);
    zap_handler_close(&rig.zap);
    zmq_msg_close(&rig.identity);
    loop_bench_close(&bench);
    zmq_ctx_term(rig.context); /* hangs when a socket was left */
    zmq_ctx_term(rig.server_context);
    return 0;
}

static bool has_messages(void *arg)
{
    return rig.messages >= *(unsigned *)arg;
}

static void wait_messages(unsigned count)
{
    loop_bench_turn(&bench, has_messages, &count, WAIT_MS);
}

static uint64_t losses(const char *cause)
{
    return loop_bench_count(&bench, "edge_link_losses_total", cause);
}

static bool has_losses(void *arg)
{
    return losses(arg) >= 3;
}

static bool is_down(void *arg)
{
    return rig.downs >= *(unsigned *)arg;
}

static void wait_downs(unsigned count)
{
    loop_bench_turn(&bench, is_down, &count, WAIT_MS);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* ---- tests ---- */

static struct packet *make_packet(void)
{
    const struct encoder_config config = {
        .rung = { .width = 64, .height = 64, .bitrate_kbps = 500, .vbv_ms = 500, .keyframe_s = 1 },
        .fps = 10,
        .threads = 1,
    };
    struct encoder *encoder = NULL;
    struct picture *picture = NULL;
    struct packet *packet = NULL;
    assert_int_equal(encoder_open(&encoder, &config, NULL), 0);
    assert_int_equal(picture_create(&picture, 64, 64, NULL), 0);
    assert_int_equal(encoder_encode(encoder, picture, 0, true, &packet, NULL), 0);
    picture_unref(&picture);
    encoder_close(&encoder);
    return packet;
}

static bool has_payload(void *arg)
{
    (void)arg;
    return rig.payload_bytes > 0;
}

static void messages_go_both_ways(void **state)
{
    (void)state;
    agent_open(NULL);
    wait_messages(1);
    assert_int_equal(rig.ups, 1);
    assert_string_equal(rig.last_stream, "gate");
    assert_int_equal(loop_bench_count(&bench, "edge_link_state", NULL), 2);

    struct packet *packet = make_packet(), *kept = packet_ref(packet);
    size_t size, wire_bytes = 0;
    const uint8_t *bytes = packet_data(kept, &size);
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Packet message = RUNESPOOR__PACKET__INIT;
    message.session = 5;
    message.codec = RUNESPOOR__CODEC__CODEC_H264;
    message.width = message.height = message.camera_width = message.camera_height = 64;
    header.kind_case = RUNESPOOR__HEADER__KIND_PACKET;
    header.packet = &message;
    assert_int_equal(uplink_send(rig.uplink, &header, &packet, &wire_bytes, NULL), 0);
    assert_null(packet);
    assert_int_equal(wire_bytes, wire_packed_size(&header) + size);
    loop_bench_turn(&bench, has_payload, NULL, WAIT_MS);
    assert_int_equal(rig.payload_bytes, size);
    assert_memory_equal(rig.payload, bytes, size);
    packet_unref(&kept);
}

static bool has_malformed(void *arg)
{
    (void)arg;
    return loop_bench_count(&bench, "edge_messages_malformed_total", NULL) == 3;
}

static void senseless_messages_are_counted(void **state)
{
    (void)state;
    agent_open(NULL);
    wait_messages(1);
    server_send("\377\377\377\377", 4, 1);
    server_send("", 0, 1);
    server_send("xy", 2, 2);
    loop_bench_turn(&bench, has_malformed, NULL, WAIT_MS);
    assert_int_equal(rig.messages, 1);
    assert_int_equal(rig.downs, 0);
}

static void a_wrong_server_key_is_named(void **state)
{
    (void)state;
    struct key_pair other;
    zmq_curve_keypair(other.public_text, other.secret_text);
    agent_open(other.public_text);
    loop_bench_turn(&bench, has_losses, (void *)"server_key", WAIT_MS);
    assert_int_equal(rig.ups, 0);
    assert_int_equal(rig.downs, 0); /* it was never up */
    assert_non_null(strstr(uplink_cause(rig.uplink), "server key probably wrong"));
    assert_int_equal(losses("handshake"), 2); /* from the third time running on it is the key */
    assert_int_equal(losses(NULL), losses("handshake") + losses("server_key"));
    assert_int_equal(loop_bench_count(&bench, "edge_link_cause", "server_key"), 1);
    assert_int_equal(loop_bench_count(&bench, "edge_link_cause", NULL), 1);
    /* Put right, it comes up without a restart. */
    write_keys(rig.server_keys.public_text, "");
    wait_messages(1);
    assert_int_equal(loop_bench_count(&bench, "edge_link_cause", NULL), 0);
    keys_wipe(&other);
}

static bool was_up(void *arg)
{
    return rig.ups >= *(unsigned *)arg;
}

static void a_refused_key_is_named_and_let_in_later(void **state)
{
    (void)state;
    rig.allow = false;
    agent_open(NULL);
    loop_bench_turn(&bench, has_losses, (void *)"key_refused", WAIT_MS);
    assert_int_equal(rig.ups, 0);
    assert_non_null(strstr(uplink_cause(rig.uplink), "allow folder"));
    rig.allow = true;
    wait_messages(1);
}

static int bind_loopback(char *text, size_t text_bytes);

/* The file holds the server's old key and its new one: whichever the server has, the link comes up without a
 * pause; and when the server changes it, too. */
static void old_and_new_server_key_are_both_tried(void **state)
{
    (void)state;
    struct key_pair next;
    char endpoint[64];
    unsigned count = 1;
    zmq_curve_keypair(next.public_text, next.secret_text);
    write_keys(next.public_text, rig.server_keys.public_text);
    rig.config.backoff_first_ms = rig.config.backoff_cap_ms = 60000; /* a pause would fail the test */
    agent_open(NULL);
    wait_messages(1);
    assert_int_equal(losses(NULL), losses("handshake"));
    assert_int_equal(losses(NULL), 1);
    uplink_close(&rig.uplink);

    rig.config.backoff_first_ms = rig.config.backoff_cap_ms = 20;
    agent_open(NULL);
    wait_messages(2);
    strcpy(endpoint, rig.endpoint);
    zmq_socket_detach(&rig.router);
    wait_downs(count);
    memcpy(rig.server_keys.secret_text, next.secret_text, sizeof next.secret_text);
    server_open(endpoint);
    wait_messages(3);
    assert_int_equal(losses("server_key"), 0);
    keys_wipe(&next);
}

static bool is_active(void *arg)
{
    return loop_bench_count(&bench, "edge_server_active", arg) == 1;
}

/* Nobody listens at the first; the second is used, and left for the first when it stops. */
static void servers_are_tried_in_turn(void **state)
{
    (void)state;
    char first[64], second[64];
    struct server_config other = { .address = second, .key = rig.key_path };
    strcpy(second, rig.endpoint);
    int fd = bind_loopback(first, sizeof first);
    rig.config.address = first;
    rig.config.others = (struct option_list){ &other, 1 };
    rig.config.backoff_first_ms = rig.config.backoff_cap_ms = 60000;
    rig.mute = true;
    agent_open(NULL);
    loop_bench_turn(&bench, is_active, second, WAIT_MS);
    assert_int_equal(losses("unreachable"), 1);
    assert_int_equal(rig.ups, 1);

    /* Leaving, it is given up when its last session has ended. */
    uplink_begin_session(rig.uplink, 1000);
    uplink_leave(rig.uplink);
    loop_bench_turn(&bench, NULL, NULL, 20);
    assert_int_equal(rig.downs, 0);
    uplink_end_session(rig.uplink);
    assert_int_equal(rig.downs, 0);
    wait_downs(1);
    assert_int_equal(losses("leaving"), 1);
    assert_int_equal(loop_bench_count(&bench, "edge_server_active", NULL), 0);
    close(fd);
}

/* The server lets in, takes a Hello, and never says a word. */
static void a_hello_without_an_answer_breaks_the_link(void **state)
{
    (void)state;
    rig.mute = true;
    rig.config.connect_ms = 600;
    agent_open(NULL);
    wait_downs(1);
    assert_int_equal(losses("silence"), 1);
}

/* A port of its own, as an address for an uplink. */
static int bind_loopback(char *text, size_t text_bytes)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(text, text_bytes, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void nobody_there_and_no_address(void **state)
{
    (void)state;
    char text[64];
    int fd = bind_loopback(text, sizeof text); /* has the port, and does not listen */
    rig.config.address = text;
    agent_open(NULL);
    loop_bench_turn(&bench, has_losses, (void *)"unreachable", WAIT_MS);
    uplink_close(&rig.uplink);
    close(fd);
    rig.config.address = (char *)"tcp://:::";
    agent_open(NULL);
    loop_bench_turn(&bench, has_losses, (void *)"local", WAIT_MS);
    assert_non_null(strstr(uplink_cause(rig.uplink), "tcp://:::"));
    assert_int_equal(rig.ups, 0);
}

/* Something takes the connection and never says a word. */
static void somebody_else_listens(void **state)
{
    (void)state;
    char text[64];
    int fd = bind_loopback(text, sizeof text);
    assert_int_equal(listen(fd, 10), 0);
    rig.config.address = text;
    rig.config.connect_ms = 100;
    agent_open(NULL);
    loop_bench_turn(&bench, has_losses, NULL, WAIT_MS);
    assert_int_equal(rig.ups, 0);
    assert_true(losses("timeout") + losses("handshake") + losses("server_key") == losses(NULL));
    close(fd);
    uplink_close(&rig.uplink);
}

static void silence_breaks_the_link_while_there_are_sessions(void **state)
{
    (void)state;
    agent_open(NULL);
    wait_messages(1);
    loop_bench_turn(&bench, NULL, NULL, 700);
    assert_int_equal(rig.downs, 0); /* nobody has promised to report */
    uplink_begin_session(rig.uplink, 100);
    uplink_begin_session(rig.uplink, 100);
    uplink_end_session(rig.uplink);
    uint64_t begin_ns = clock_now_ns();
    wait_downs(1);
    uplink_end_session(rig.uplink); /* as streams do when it is down */
    assert_non_null(strstr(rig.cause, "silent"));
    assert_int_equal(losses("silence"), 1);
    assert_true(clock_now_ns() - begin_ns < WAIT_MS / 2 * CLOCK_NS_PER_MS);
    wait_messages(2);
    loop_bench_turn(&bench, NULL, NULL, 700);
    assert_int_equal(rig.downs, 1);
}

/* Each time over a new socket, to a new server on the same port; nothing piles up. */
static void it_comes_back_after_each_restart(void **state)
{
    (void)state;
    char endpoint[64];
    unsigned before = 0;
    agent_open(NULL);
    for (unsigned i = 1; i <= 12; i++) {
        wait_messages(i);
        assert_int_equal(rig.ups, i);
        if (i == 2)
            before = open_descriptors();
        strcpy(endpoint, rig.endpoint);
        zmq_socket_detach(&rig.router);
        wait_downs(i);
        server_open(endpoint);
    }
    wait_messages(13);
    loop_bench_turn(&bench, NULL, NULL, 100); /* for libzmq's reaper */
    assert_in_range(open_descriptors(), before - 4, before + 4);
}

static uint64_t tries(void)
{
    return loop_bench_count(&bench, "edge_link_tries_total", NULL);
}

static bool has_tried_again(void *arg)
{
    return tries() > *(uint64_t *)arg;
}

/* Waits for the next loss and then for the try that follows; gives the time between. */
static uint64_t pause_ms(void)
{
    uint64_t now = tries();
    loop_bench_turn(&bench, has_tried_again, &now, WAIT_MS);
    uint64_t begin_ns = clock_now_ns(), next = tries();
    loop_bench_turn(&bench, has_tried_again, &next, WAIT_MS);
    return (clock_now_ns() - begin_ns) / CLOCK_NS_PER_MS;
}

static void waits_grow_and_are_short_again_after_a_success(void **state)
{
    (void)state;
    char endpoint[64];
    strcpy(endpoint, rig.endpoint);
    rig.config.address = endpoint;
    rig.config.backoff_first_ms = 25;
    rig.config.backoff_cap_ms = 1600;
    zmq_socket_detach(&rig.router);
    agent_open(NULL);
    uint64_t first = pause_ms(); /* 12..25 ms, 25..50, … */
    for (unsigned i = 0; i < 2; i++)
        pause_ms();
    uint64_t later = pause_ms(); /* 800..1600, or half of that */
    assert_true(first < 300);
    assert_true(later >= 390);
    server_open(endpoint);
    wait_messages(1);
    uint64_t before = tries();
    zmq_socket_detach(&rig.router);
    wait_downs(1);
    loop_bench_turn(&bench, has_tried_again, &before, WAIT_MS);
    assert_true(clock_now_ns() - rig.down_ns < 600 * CLOCK_NS_PER_MS);
}

/* A server that lets in and then breaks off without a word is no success. */
static void being_let_in_is_no_success_yet(void **state)
{
    (void)state;
    char endpoint[64];
    strcpy(endpoint, rig.endpoint);
    rig.config.address = endpoint;
    rig.config.backoff_first_ms = 40;
    rig.config.backoff_cap_ms = 10000;
    rig.mute = true;
    agent_open(NULL);
    for (unsigned i = 1; i <= 4; i++) {
        loop_bench_turn(&bench, was_up, &i, WAIT_MS);
        zmq_socket_detach(&rig.router);
        wait_downs(i);
        server_open(endpoint);
    }
    uint64_t before = tries(); /* the fifth wait: 320..640 ms */
    loop_bench_turn(&bench, has_tried_again, &before, WAIT_MS);
    assert_true(clock_now_ns() - rig.down_ns >= 150 * CLOCK_NS_PER_MS);
}

static void closing_at_any_moment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        agent_open(NULL);
        loop_bench_turn(&bench, NULL, NULL, i);
        uplink_close(&rig.uplink);
        assert_null(rig.uplink);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_go_both_ways),
        TEST(senseless_messages_are_counted),
        TEST(a_wrong_server_key_is_named),
        TEST(a_refused_key_is_named_and_let_in_later),
        TEST(old_and_new_server_key_are_both_tried),
        TEST(servers_are_tried_in_turn),
        TEST(a_hello_without_an_answer_breaks_the_link),
        TEST(nobody_there_and_no_address),
        TEST(somebody_else_listens),
        TEST(silence_breaks_the_link_while_there_are_sessions),
        TEST(it_comes_back_after_each_restart),
        TEST(waits_grow_and_are_short_again_after_a_success),
        TEST(being_let_in_is_no_success_yet),
        TEST(closing_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
