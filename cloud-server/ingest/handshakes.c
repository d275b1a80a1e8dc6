/* handshakes: libzmq's events do not belong together by themselves. ACCEPTED and DISCONNECTED name a
 * descriptor; a failure names none, but is followed at once by the DISCONNECTED of its connection (one
 * I/O thread writes both); a success names none either, but its key was decided on a moment before. What
 * does not even speak ZeroMQ has a DISCONNECTED alone.
 *
 * The peer's address is asked of the descriptor when its ACCEPTED arrives here. In a storm of connections it
 * may have been closed and given to another one meanwhile; the counts are right all the same. */
#include "ingest/handshakes.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/log_limit.h"
#include "net/zmq_loop.h"
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <zmq.h>

#define PENDING_MAX 256u /* connections in their handshake; the oldest are forgotten beyond */
#define LOG_AGAIN_MS 60000u
#define LOG_KEY_MS (24u * 3600u * 1000u) /* a box that tries for ever is one line a day */
#define LOG_BURST 20u                    /* lines a minute, whoever invents keys and addresses */

struct pending {
    int descriptor; /* -1: free */
    uint64_t since_ns;
    char address[INET6_ADDRSTRLEN];
};

struct watch {
    struct handshakes *handshakes;
    const struct zmq_socket *socket;
    enum handshake_result failed; /* of the connection whose DISCONNECTED comes next */
    size_t connected;
};

struct handshakes {
    const char *public_text;
    struct metric_counter *results[HANDSHAKE_RESULTS];
    struct watch watches[HANDSHAKES_SOCKETS_MAX];
    size_t watch_count;
    struct pending pending[PENDING_MAX];
    char allowed_address[INET6_ADDRSTRLEN]; /* of the last key that was let in */
    struct log_limit logged;
    uint64_t burst_since_ns;
    unsigned burst_lines;
    uint64_t left_out; /* lines since the last one that was written */
};

static void on_event(struct zmq_socket *socket, uint16_t event, uint32_t value, const char *address,
                     void *arg);
static void log_result(struct handshakes *handshakes, enum handshake_result result,
                       const char *public_text, const char *address);

int handshakes_open(struct handshakes **out, const char *public_text, struct metrics *metrics,
                    struct error *err)
{
    static const char *const words[HANDSHAKE_RESULTS] = {
        [HANDSHAKE_ALLOWED] = "allowed",       [HANDSHAKE_UNKNOWN_KEY] = "unknown_key",
        [HANDSHAKE_NOT_READER] = "not_reader", [HANDSHAKE_WRONG_SERVER] = "wrong_server_key",
        [HANDSHAKE_MALFORMED] = "malformed",   [HANDSHAKE_CUT] = "cut",
    };
    struct handshakes *handshakes = calloc(1, sizeof *handshakes);

    if (!handshakes)
        return error_set(err, ERROR_MEMORY, "handshakes", "no room");
    handshakes->public_text = public_text;
    for (size_t i = HANDSHAKE_ALLOWED; i < HANDSHAKE_RESULTS; i++) {
        struct metric_label label = { "result", words[i] };
        handshakes->results[i] = metrics_counter(metrics, "server_handshakes_total",
                                                 "handshakes by their outcome", &label, 1);
    }
    for (size_t i = 0; i < PENDING_MAX; i++)
        handshakes->pending[i].descriptor = -1;
    *out = handshakes;
    return 0;
}

int handshakes_watch(struct handshakes *handshakes, struct zmq_socket *socket, void *zmq_context,
                     struct error *err)
{
    assert(handshakes->watch_count < HANDSHAKES_SOCKETS_MAX);
    struct watch *watch = &handshakes->watches[handshakes->watch_count++];
    watch->handshakes = handshakes;
    watch->socket = socket;
    return zmq_socket_watch_events(socket, zmq_context, on_event, watch, err);
}

size_t handshakes_connected(const struct handshakes *handshakes, const struct zmq_socket *socket)
{
    for (size_t i = 0; i < handshakes->watch_count; i++)
        if (handshakes->watches[i].socket == socket)
            return handshakes->watches[i].connected;
    return 0;
}

void handshakes_decided(struct handshakes *handshakes, enum handshake_result result,
                        const char *public_text, const char *address)
{
    metric_counter_add(handshakes->results[result], 1);
    if (result == HANDSHAKE_ALLOWED)
        snprintf(handshakes->allowed_address, sizeof handshakes->allowed_address, "%s", address);
    else
        log_result(handshakes, result, public_text, address);
}

void handshakes_close(struct handshakes **handshakes)
{
    free(*handshakes);
    *handshakes = NULL;
}

static void read_peer(int descriptor, char address[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
    socklen_t size = sizeof peer;
    const void *bytes = NULL;

    address[0] = '\0';
    if (getpeername(descriptor, (struct sockaddr *)&peer, &size) != 0)
        return; /* gone again */
    if (peer.ss_family == AF_INET)
        bytes = &((struct sockaddr_in *)&peer)->sin_addr;
    else if (peer.ss_family == AF_INET6)
        bytes = &((struct sockaddr_in6 *)&peer)->sin6_addr;
    if (bytes)
        inet_ntop(peer.ss_family, bytes, address, INET6_ADDRSTRLEN);
}

static void begin(struct handshakes *handshakes, int descriptor)
{
    struct pending *place = &handshakes->pending[0];

    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &handshakes->pending[i];
        if (pending->descriptor == descriptor || pending->descriptor < 0) {
            place = pending;
            break;
        }
        if (pending->since_ns < place->since_ns)
            place = pending;
    }
    place->descriptor = descriptor;
    place->since_ns = clock_now_ns();
    read_peer(descriptor, place->address);
}

static struct pending *find(struct handshakes *handshakes, int descriptor)
{
    for (size_t i = 0; i < PENDING_MAX; i++)
        if (handshakes->pending[i].descriptor == descriptor)
            return &handshakes->pending[i];
    return NULL;
}

/* Which one it was, the event does not tell: the oldest from the address that was let in last. */
static void succeed(struct watch *watch)
{
    struct handshakes *handshakes = watch->handshakes;
    struct pending *oldest = NULL;

    watch->connected++;
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &handshakes->pending[i];
        if (pending->descriptor >= 0 && strcmp(pending->address, handshakes->allowed_address) == 0 &&
            (!oldest || pending->since_ns < oldest->since_ns))
            oldest = pending;
    }
    if (oldest)
        oldest->descriptor = -1;
}

static void end(struct watch *watch, int descriptor)
{
    struct handshakes *handshakes = watch->handshakes;
    struct pending *pending = find(handshakes, descriptor);
    enum handshake_result result = watch->failed;

    watch->failed = HANDSHAKE_NONE;
    if (pending)
        pending->descriptor = -1;
    if (result == HANDSHAKE_NONE && pending)
        result = HANDSHAKE_MALFORMED;
    if (result == HANDSHAKE_NONE && watch->connected > 0)
        watch->connected--;
    if (result == HANDSHAKE_NONE || result == HANDSHAKE_UNKNOWN_KEY)
        return; /* the end of a regular connection; or the guard has counted it */
    metric_counter_add(handshakes->results[result], 1);
    log_result(handshakes, result, NULL, pending ? pending->address : "");
}

static void on_event(struct zmq_socket *socket, uint16_t event, uint32_t value, const char *address,
                     void *arg)
{
    struct watch *watch = arg;

    (void)socket;
    (void)address; /* our own: ZeroMQ does not tell the peer's */
    switch (event) {
    case ZMQ_EVENT_ACCEPTED:
        begin(watch->handshakes, (int)value);
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        succeed(watch);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        watch->failed = HANDSHAKE_UNKNOWN_KEY;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        watch->failed = value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC ? HANDSHAKE_WRONG_SERVER
                                                                       : HANDSHAKE_MALFORMED;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        watch->failed = HANDSHAKE_CUT;
        break;
    case ZMQ_EVENT_DISCONNECTED:
        end(watch, (int)value);
        break;
    default:
        break;
    }
}

/* One line for each peer and result once in a while, and a bound for all of them. */
static bool may_log(struct handshakes *handshakes, enum handshake_result result, const char *subject)
{
    static const char *const reasons[HANDSHAKE_RESULTS] = { "",       "allowed", "unknown",
                                                            "reader", "wrong",   "malformed",
                                                            "cut" };
    const uint64_t now_ns = clock_now_ns();
    const bool key = result == HANDSHAKE_UNKNOWN_KEY || result == HANDSHAKE_NOT_READER;

    if (!log_limit_pass(&handshakes->logged, subject, reasons[result],
                        key ? LOG_KEY_MS : LOG_AGAIN_MS))
        return false;
    if (now_ns - handshakes->burst_since_ns > LOG_AGAIN_MS * CLOCK_NS_PER_MS) {
        handshakes->burst_since_ns = now_ns;
        handshakes->burst_lines = 0;
    }
    if (handshakes->burst_lines < LOG_BURST) {
        handshakes->burst_lines++;
        return true;
    }
    handshakes->left_out++;
    return false;
}

static void log_result(struct handshakes *handshakes, enum handshake_result result,
                       const char *public_text, const char *address)
{
    static const char *const messages[HANDSHAKE_RESULTS] = {
        [HANDSHAKE_UNKNOWN_KEY] = "refused an unknown key; 'cloud-server keys allow' lets it in",
        [HANDSHAKE_NOT_READER] =
            "refused a key that may not read answers; its allow file needs 'reads: true'",
        [HANDSHAKE_WRONG_SERVER] =
            "a peer has another key for this server; give it the one named here",
        [HANDSHAKE_MALFORMED] = "a connection that is none of an agent",
        [HANDSHAKE_CUT] = "a connection ended in its handshake",
    };
    /* Whoever looks whether a port is open does so again and again. */
    const enum log_level level = result == HANDSHAKE_CUT ? LOG_DEBUG : LOG_WARN;

    if (!log_enabled(level, "guard") ||
        !may_log(handshakes, result, public_text ? public_text : address))
        return;
    if (public_text)
        log_emit(level, "guard", messages[result], LOG_STR("public", public_text),
                 LOG_STR("address", address), LOG_U64("left_out", handshakes->left_out), LOG_END);
    else if (result == HANDSHAKE_WRONG_SERVER)
        log_emit(level, "guard", messages[result], LOG_STR("address", address),
                 LOG_STR("server_key", handshakes->public_text),
                 LOG_U64("left_out", handshakes->left_out), LOG_END);
    else
        log_emit(level, "guard", messages[result], LOG_STR("address", address),
                 LOG_U64("left_out", handshakes->left_out), LOG_END);
    handshakes->left_out = 0;
}
