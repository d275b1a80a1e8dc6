/* keys: what can be wrong with a key, and how keys are replaced, through the commands and the daemons as
 * processes. Every mistake is named in the log and the metrics of whoever can know it; who was refused
 * comes in once allowed, with both daemons running; both sides' keys are replaced without locking anybody
 * out; a revoked one ends its streams; readers of answers need a right of their own; and bad handshakes,
 * however many, harm no stream. */
#include "bad_peers.h"
#include "harness.h"

#include "base/clock.h"
#include "net/keys.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>
#include <cmocka.h>

#define WAIT_MS 30000u
#define BAD_HANDSHAKES 10000u
#define BAD_HANDSHAKES_SLOW 600u /* where something slows the programs down */
#define SILENT_CONNECTIONS 200u
#define MEMORY_KIB 16384u /* that they may cost at most */

static const char *const server_sets[] = { "model=none", NULL };

static char http_set[2][64];
static uint16_t http_ports[2]; /* server, agent */

static void start_server(struct process *server, const struct scratch *scratch)
{
    http_ports[0] = port_find();
    snprintf(http_set[0], sizeof http_set[0], "http.address=127.0.0.1:%u", http_ports[0]);
    server_start(server, scratch, (const char *const[]){ server_sets[0], http_set[0], NULL });
    process_expect(server, "msg=ready", WAIT_MS);
}

/* more: up to 4 sets. */
static void start_agent(struct process *agent, const struct scratch *scratch, const char *const *more)
{
    const char *sets[16] = { "cameras.0.source.kind=test",  "cameras.0.source.width=320",
                             "cameras.0.source.height=240", "cameras.0.source.fps=25",
                             "server.connect_ms=1000",      http_set[1] };
    http_ports[1] = port_find();
    snprintf(http_set[1], sizeof http_set[1], "http.address=127.0.0.1:%u", http_ports[1]);
    for (size_t i = 6; more && *more; more++)
        sets[i++] = *more;
    agent_start(agent, scratch, "agent", sets);
}

/* Runs `PROGRAM keys ARGUMENTS` with the scratch folder's keys and gives what it printed on standard output
 * and error, good until the next call. */
static const char *run_keys(const struct scratch *scratch, const char *program, int status,
                            const char *const *arguments)
{
    static char text[4096];
    const char *all[16] = { program_path(program), "keys" };
    struct process process;
    size_t count = 2;
    for (; *arguments; arguments++)
        all[count++] = *arguments;
    all[count++] = "--folder";
    all[count++] = scratch_path(scratch, "keys");
    if (strcmp(program, "cloud-server") == 0) {
        all[count++] = "--allow";
        all[count++] = scratch_path(scratch, "keys/allow");
    }
    process_start(&process, scratch, "keys", all);
    assert_int_equal(process_wait(&process, WAIT_MS), status);
    FILE *file = fopen(process.log, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}
#define KEYS(scratch, program, status, ...) \
    run_keys(scratch, program, status, (const char *const[]){ __VA_ARGS__, NULL })

static void read_public(const struct scratch *scratch, const char *name, char text[KEY_TEXT_BYTES])
{
    struct error err;
    assert_int_equal(keys_read_public(scratch_path(scratch, name), text, &err), 0);
}

static void expect_loss(const char *cause, double least)
{
    char series[96];
    snprintf(series, sizeof series, "edge_link_losses_total{cause=\"%s\"}", cause);
    metric_expect(http_ports[1], series, least, WAIT_MS);
    snprintf(series, sizeof series, "edge_link_cause{cause=\"%s\"}", cause);
    metric_expect(http_ports[1], series, 1, WAIT_MS);
}

/* No secret of the folder is in that log. */
static void expect_no_secret(const struct scratch *scratch, const struct process *process)
{
    static const char *const names[] = { "keys/server.key", "keys/edge.key" };
    for (size_t i = 0; i < 2; i++) {
        char secret[KEY_TEXT_BYTES] = "";
        FILE *file = fopen(scratch_path(scratch, names[i]), "r");
        assert_non_null(file);
        assert_non_null(fgets(secret, sizeof secret, file));
        fclose(file);
        assert_false(process_said(process, secret));
    }
}

/* ---- what is wrong, by name ---- */

static int listen_somewhere(struct scratch *scratch)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    scratch->port = ntohs(address.sin_port);
    return fd;
}

static void *close_each(void *arg)
{
    for (int taken; (taken = accept(*(int *)arg, NULL, NULL)) >= 0;)
        close(taken);
    return NULL;
}

static void what_is_no_server_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct process agent;
    pthread_t closer;

    start_agent(&agent, scratch, NULL); /* nobody listens */
    expect_loss("unreachable", 2);
    process_stop(&agent);
    assert_int_equal(process_count(&agent, "kind=unreachable"),
                     1); /* the same again is not said again */

    int fd = listen_somewhere(scratch); /* takes connections and says nothing */
    start_agent(&agent, scratch, NULL);
    expect_loss("timeout", 2);
    process_stop(&agent);
    assert_int_equal(process_count(&agent, "kind=timeout"), 1);

    assert_int_equal(pthread_create(&closer, NULL, close_each, &fd), 0); /* takes and closes them */
    start_agent(&agent, scratch, NULL);
    expect_loss("server_key", 1);
    assert_true(metric_now(http_ports[1], "edge_link_losses_total{cause=\"handshake\"}") == 2);
    process_stop(&agent);
    shutdown(fd, SHUT_RDWR);
    pthread_join(closer, NULL);
    close(fd);
}

static void a_wrong_server_key_is_named_on_both_sides(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char server_key[KEY_TEXT_BYTES], expected[128];
    struct key_pair other;
    struct error err;
    assert_int_equal(keys_create(scratch_path(scratch, "keys"), "other", &other, &err), 0);
    read_public(scratch, "keys/server.pub", server_key);
    start_server(&server, scratch);
    char set[300];
    snprintf(set, sizeof set, "server.key=%s/keys/other.pub", scratch->folder);
    start_agent(&agent, scratch, (const char *const[]){ set, NULL });
    expect_loss("server_key", 1);
    process_expect(&agent, "server key probably wrong", WAIT_MS);
    assert_int_equal(process_count(&agent, "kind=handshake"), 1);
    metric_expect(http_ports[0], "server_handshakes_total{result=\"wrong_server_key\"}", 3, WAIT_MS);
    assert_true(metric_now(http_ports[0], "server_handshakes_total{result=\"allowed\"}") == 0);
    snprintf(expected, sizeof expected, "address=127.0.0.1 server_key=");
    process_expect(&server, expected, WAIT_MS);
    process_expect(&server, server_key, WAIT_MS);
    /* At most one line for a peer; one that was gone before it was looked at has no address. */
    assert_int_equal(process_count(&server, expected), 1);

    /* The right key beside the wrong one, and the running agent comes up. */
    file_copy(scratch_path(scratch, "keys/server.pub"), scratch_path(scratch, "keys/other.pub"));
    process_expect(&agent, "msg=streaming", WAIT_MS);
    assert_true(metric_now(http_ports[1], "edge_link_cause") == 0);
    process_stop_well(&agent);
    process_stop_well(&server);
    expect_no_secret(scratch, &agent);
    expect_no_secret(scratch, &server);
}

/* Refused; allowed while both run, it comes in; revoked, its stream ends and it stays out. */
static void a_key_is_let_in_and_taken_back_while_both_run(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char key[KEY_TEXT_BYTES];
    read_public(scratch, "keys/edge.pub", key);
    KEYS(scratch, "cloud-server", 0, "revoke", "edge");
    start_server(&server, scratch);
    /* Pauses of a broken link may be long: those of a refused key are not. */
    start_agent(&agent, scratch,
                (const char *const[]){ "server.backoff_first_ms=60000",
                                       "server.backoff_cap_ms=600000", NULL });
    expect_loss("key_refused", 3);
    assert_int_equal(process_count(&agent, "kind=key_refused"), 1);
    assert_true(process_said(&server, key) && process_said(&server, "address=127.0.0.1"));
    assert_int_equal(process_count(&server, "refused an unknown key"), 1);
    assert_true(metric_now(http_ports[0], "server_handshakes_total{result=\"unknown_key\"}") >= 3);
    assert_true(metric_now(http_ports[1], "edge_link_pause_seconds") <= 15);

    const uint64_t begin_ns = clock_now_ns();
    KEYS(scratch, "cloud-server", 0, "allow", "edge", key, "--stream", "cam");
    process_expect(&agent, "msg=streaming", WAIT_MS);
    print_message("allowed: streams after %llu ms\n",
                  (unsigned long long)((clock_now_ns() - begin_ns) / CLOCK_NS_PER_MS));

    KEYS(scratch, "cloud-server", 0, "revoke", "edge");
    process_expect(&agent, "cause=\"the key was revoked\"", WAIT_MS);
    process_expect(&server, "msg=\"key revoked\" stream=cam", WAIT_MS);
    process_expect(&agent, "code=auth", WAIT_MS);
    KEYS(scratch, "cloud-server", 0, "allow", "edge", key, "--stream", "cam");
    while (process_count(&agent, "msg=streaming") < 2 && process_runs(&agent))
        usleep(20000);
    process_stop_well(&agent);
    process_stop_well(&server);
    expect_no_secret(scratch, &agent);
    expect_no_secret(scratch, &server);
}

/* ---- replacing keys ---- */

/* The server's key: made beside, given to the running agent, switched, restarted. Nobody is locked out. */
static void a_server_key_is_replaced(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char old_key[KEY_TEXT_BYTES], new_key[KEY_TEXT_BYTES], set[300], both[2 * KEY_TEXT_BYTES + 2];
    read_public(scratch, "keys/server.pub", old_key);
    file_copy(scratch_path(scratch, "keys/server.pub"), scratch_path(scratch, "box.pub"));
    snprintf(set, sizeof set, "server.key=%s", scratch_path(scratch, "box.pub"));
    start_server(&server, scratch);
    start_agent(&agent, scratch, (const char *const[]){ set, NULL });
    process_expect(&agent, "msg=streaming", WAIT_MS);

    const char *said = KEYS(scratch, "cloud-server", 0, "rotate");
    assert_non_null(strstr(said, "next: add server-next.pub"));
    KEYS(scratch, "cloud-server", 1, "rotate"); /* not a third key */
    read_public(scratch, "keys/server-next.pub", new_key);
    snprintf(both, sizeof both, "%s\n%s\n", old_key, new_key);
    assert_string_equal(KEYS(scratch, "cloud-server", 0, "show"), both);
    FILE *file = fopen(scratch_path(scratch, "box.pub"), "a"); /* as `cat server-next.pub >>` does */
    fprintf(file, "%s\n", new_key);
    assert_int_equal(fclose(file), 0);

    said = KEYS(scratch, "cloud-server", 0, "rotate", "--switch");
    assert_non_null(strstr(said, new_key));
    assert_non_null(strstr(said, "next: restart cloud-server"));
    usleep(500000);
    assert_int_equal(process_count(&agent, "msg=streaming"), 1); /* the running one keeps its key */
    const uint64_t begin_ns = clock_now_ns();
    process_stop_well(&server);
    start_server(&server, scratch);
    const uint64_t ready_ns = clock_now_ns();
    process_expect(&server, "stream started", WAIT_MS);
    print_message(
        "new server key: streams %llu ms after the stop, %llu ms after the server was ready\n",
        (unsigned long long)((clock_now_ns() - begin_ns) / CLOCK_NS_PER_MS),
        (unsigned long long)((clock_now_ns() - ready_ns) / CLOCK_NS_PER_MS));
    /* One connection with the old key first, and the new one at once. */
    assert_true(metric_now(http_ports[0], "server_handshakes_total{result=\"wrong_server_key\"}") <=
                1);
    assert_true(metric_now(http_ports[1], "edge_link_losses_total{cause=\"server_key\"}") == 0);
    process_stop_well(&agent);
    process_stop_well(&server);
    assert_int_equal((int)summary_value(&agent, "frames"),
                     (int)(summary_value(&agent, "answered") + summary_value(&agent, "dropped")));
}

/* The agent's own: both keys come in for a while, then the old one no longer does. */
static void an_agent_key_is_replaced(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    char old_key[KEY_TEXT_BYTES], next[300];
    read_public(scratch, "keys/edge.pub", old_key);
    snprintf(next, sizeof next, "%s/keys/edge-next.pub", scratch->folder);
    start_server(&server, scratch);
    start_agent(&agent, scratch, NULL);
    process_expect(&agent, "msg=streaming", WAIT_MS);

    assert_non_null(
        strstr(KEYS(scratch, "edge-agent", 0, "rotate"), "cloud-server keys rotate BOX"));
    assert_non_null(strstr(KEYS(scratch, "cloud-server", 0, "rotate", "edge", next),
                           "edge-agent keys rotate --switch"));
    assert_non_null(
        strstr(KEYS(scratch, "edge-agent", 0, "rotate", "--switch"), "restart edge-agent"));
    metric_expect(http_ports[0], "server_allowed_keys", 2, WAIT_MS);
    process_stop_well(&agent);
    start_agent(&agent, scratch, NULL);
    process_expect(&agent, "msg=streaming", WAIT_MS);
    KEYS(scratch, "cloud-server", 0, "revoke", "edge", old_key);
    process_expect(&server, "allow folder read again", WAIT_MS);
    usleep(2200000); /* two looks at who may stream */
    assert_int_equal(process_count(&agent, "msg=streaming"), 1);
    assert_false(process_said(&server, "key revoked"));
    assert_true(metric_now(http_ports[0], "server_allowed_keys") == 1);
    /* A link that ended as it should is no handshake that failed. */
    assert_true(metric_now(http_ports[0], "server_handshakes_total{result=\"allowed\"}") == 2);
    assert_true(metric_now(http_ports[0], "server_handshakes_total") == 2);
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* ---- reading answers ---- */

static void *subscribe(void *context, const struct scratch *scratch, const char *name, uint16_t port)
{
    char address[64], server_key[KEY_TEXT_BYTES];
    const int no_linger = 0;
    struct key_pair pair;
    struct error err;
    void *socket = zmq_socket(context, ZMQ_SUB);
    read_public(scratch, "keys/server.pub", server_key);
    assert_int_equal(keys_read_pair(scratch_path(scratch, "keys"), name, &pair, &err), 0);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", port);
    zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, pair.public_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, pair.secret_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "cam", 3);
    keys_wipe(&pair);
    assert_int_equal(zmq_connect(socket, address), 0);
    return socket;
}

static bool hears(void *socket, int wait_ms)
{
    char name[65], answer[65536];
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    if (zmq_recv(socket, name, sizeof name, 0) != 3 || memcmp(name, "cam", 3) != 0)
        return false;
    return zmq_recv(socket, answer, sizeof answer, 0) > 0;
}

static void only_readers_hear_answers(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct key_pair pair;
    struct error err;
    char set[64], key[300];
    const uint16_t port = port_find();
    assert_int_equal(keys_create(scratch_path(scratch, "keys"), "screen", &pair, &err), 0);
    snprintf(key, sizeof key, "%s/keys/screen.pub", scratch->folder);
    KEYS(scratch, "cloud-server", 2, "allow", "screen", key); /* neither streams nor reads */
    KEYS(scratch, "cloud-server", 0, "allow", "screen", key, "--reads");
    http_ports[0] = port_find();
    snprintf(http_set[0], sizeof http_set[0], "http.address=127.0.0.1:%u", http_ports[0]);
    snprintf(set, sizeof set, "publish.address=tcp://127.0.0.1:%u", port);
    server_start(&server, scratch, (const char *const[]){ server_sets[0], http_set[0], set, NULL });
    process_expect(&server, "msg=ready", WAIT_MS);
    start_agent(&agent, scratch, NULL);
    void *context = zmq_ctx_new();
    void *screen = subscribe(context, scratch, "screen", port);
    void *edge = subscribe(context, scratch, "edge", port);
    assert_true(hears(screen, (int)WAIT_MS));
    metric_expect(http_ports[0], "server_handshakes_total{result=\"not_reader\"}", 1, WAIT_MS);
    assert_true(process_said(&server, "may not read answers"));
    assert_false(hears(edge, 500));

    KEYS(scratch, "cloud-server", 0, "revoke", "screen");
    process_expect(&server, "a reader's key was taken back", WAIT_MS);
    metric_expect(http_ports[0], "server_handshakes_total{result=\"unknown_key\"}", 1, WAIT_MS);
    while (hears(screen, 0))
        continue;
    assert_false(hears(screen, 1000));
    zmq_close(screen);
    zmq_close(edge);
    zmq_ctx_term(context);
    process_stop_well(&agent);
    process_stop_well(&server);
}

/* ---- many ---- */

static void bad_handshakes_harm_no_stream(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    const bool slow = getenv("TEST_SLOWER") != NULL;
    const unsigned count = slow ? BAD_HANDSHAKES_SLOW : BAD_HANDSHAKES;
    int silent[SILENT_CONNECTIONS];
    start_server(&server, scratch);
    start_agent(&agent, scratch, NULL);
    process_expect(&agent, "msg=streaming", WAIT_MS);
    bad_peers_knock(scratch, 150); /* what libzmq and malloc keep from then on */
    const size_t descriptors = bad_peers_descriptors(&server);
    const size_t memory_kib = bad_peers_memory_kib(&server);
    const double answered = metric_now(http_ports[1], "edge_frames_answered_total");
    for (size_t i = 0; i < SILENT_CONNECTIONS; i++)
        silent[i] = bad_peers_dial(scratch);
    double seconds = bad_peers_knock(scratch, count);
    const double failed = metric_now(http_ports[0], "server_handshakes_total{result=\"wrong") +
                          metric_now(http_ports[0], "server_handshakes_total{result=\"unknown") +
                          metric_now(http_ports[0], "server_handshakes_total{result=\"malformed");
    const size_t grown_kib = bad_peers_memory_kib(&server) - memory_kib;
    print_message("%u bad handshakes in %.1f s, memory %+zd KiB\n", count, seconds,
                  (ssize_t)grown_kib);
    metric_expect(http_ports[1], "edge_frames_answered_total", answered + 25, WAIT_MS);
    assert_true(failed >= count + 150 - 20); /* the last may not be counted yet */
    metric_expect(http_ports[0], "server_handshakes_total{result=\"cut\"}", SILENT_CONNECTIONS,
                  WAIT_MS);
    for (size_t i = 0; i < SILENT_CONNECTIONS; i++)
        close(silent[i]);
    assert_int_equal(process_count(&agent, "msg=\"link up\""), 1);
    assert_int_equal(process_count(&agent, "msg=streaming"), 1);
    assert_int_equal(process_count(&server, "stream ended"), 0);
    assert_true(slow || (ssize_t)grown_kib < (ssize_t)MEMORY_KIB);
    assert_true(bad_peers_descriptors(&server) <= descriptors + 20);
    assert_true(process_count(&server, "module=guard") <= 30); /* named, and not each */
    assert_true(process_said(&server, "that is none of an agent"));
    process_stop_well(&agent);
    process_stop_well(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_no_server_is_named),
        TEST(a_wrong_server_key_is_named_on_both_sides),
        TEST(a_key_is_let_in_and_taken_back_while_both_run),
        TEST(a_server_key_is_replaced),
        TEST(an_agent_key_is_replaced),
        TEST(only_readers_hear_answers),
        TEST(bad_handshakes_harm_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
