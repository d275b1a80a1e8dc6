/* bad_peers: see the header. */
#include "bad_peers.h"

#include "base/clock.h"
#include "net/keys.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>
#include <cmocka.h>

#define AT_A_TIME 16u
#define WAIT_MS 20000

struct knock {
    void *socket, *events;
};

static void knock_open(struct knock *knock, void *context, const char *address, const char *server_key)
{
    const int once = -1, no_linger = 0;
    static unsigned number;
    char events[32], public_text[KEY_TEXT_BYTES], secret_text[KEY_TEXT_BYTES];
    snprintf(events, sizeof events, "inproc://knock-%u", number++);
    assert_int_equal(zmq_curve_keypair(public_text, secret_text), 0);
    knock->socket = zmq_socket(context, ZMQ_DEALER);
    assert_non_null(knock->socket);
    zmq_setsockopt(knock->socket, ZMQ_RECONNECT_IVL, &once, sizeof once);
    zmq_setsockopt(knock->socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    zmq_setsockopt(knock->socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_TEXT_BYTES);
    zmq_setsockopt(knock->socket, ZMQ_CURVE_PUBLICKEY, public_text, KEY_TEXT_BYTES);
    zmq_setsockopt(knock->socket, ZMQ_CURVE_SECRETKEY, secret_text, KEY_TEXT_BYTES);
    assert_int_equal(zmq_socket_monitor(knock->socket, events, ZMQ_EVENT_DISCONNECTED), 0);
    knock->events = zmq_socket(context, ZMQ_PAIR);
    zmq_setsockopt(knock->events, ZMQ_RCVTIMEO, &(int){ WAIT_MS }, sizeof(int));
    assert_int_equal(zmq_connect(knock->events, events), 0);
    assert_int_equal(zmq_connect(knock->socket, address), 0);
}

static void knock_close(struct knock *knock)
{
    char event[16];
    if (zmq_recv(knock->events, event, sizeof event, 0) < 0)
        fail_msg("a handshake that should fail went on");
    zmq_socket_monitor(knock->socket, NULL, 0);
    zmq_close(knock->events);
    zmq_close(knock->socket);
}

int bad_peers_dial(const struct scratch *scratch)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(scratch->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Bytes that are no greeting; the server closes. */
static void send_garbage(const struct scratch *scratch)
{
    const struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
    char bytes[128];
    int fd = bad_peers_dial(scratch);
    memset(bytes, 0xa7, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        continue; /* its greeting, then its end or a reset */
    close(fd);
}

double bad_peers_knock(const struct scratch *scratch, unsigned count)
{
    char address[64], server_key[KEY_TEXT_BYTES], wrong_key[KEY_TEXT_BYTES], secret[KEY_TEXT_BYTES];
    struct knock knocks[AT_A_TIME];
    struct error err;
    const uint64_t begin_ns = clock_now_ns();
    void *context = zmq_ctx_new();
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", scratch->port);
    assert_int_equal(keys_read_public(scratch_path(scratch, "keys/server.pub"), server_key, &err), 0);
    assert_int_equal(zmq_curve_keypair(wrong_key, secret), 0);
    for (unsigned done = 0; done < count;) {
        unsigned now = 0;
        for (; now < AT_A_TIME && done + now < count; now++) {
            knocks[now].socket = NULL;
            if ((done + now) % 3 < 2)
                knock_open(&knocks[now], context, address,
                           (done + now) % 3 == 0 ? wrong_key : server_key);
            else
                send_garbage(scratch);
        }
        for (unsigned i = 0; i < now; i++)
            if (knocks[i].socket)
                knock_close(&knocks[i]);
        done += now;
    }
    zmq_ctx_term(context);
    return (double)(clock_now_ns() - begin_ns) / (double)CLOCK_NS_PER_S;
}

size_t bad_peers_descriptors(const struct process *process)
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)process->pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

size_t bad_peers_memory_kib(const struct process *process)
{
    char path[64], line[256];
    size_t kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        sscanf(line, "VmRSS: %zu", &kib);
    fclose(file);
    return kib;
}
