/* zap: answers libzmq's question "may this key in?" (RFC 27) inside the loop. The question comes
 * from libzmq's own thread by an inproc pipe; what it says of the peer was written by the peer. */
#include "net/zmq_socket_private.h"

#include "base/log.h"
#include "net/keys.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENDPOINT "inproc://zeromq.zap.01"
#define VERSION "1.0"
#define KEY_BYTES 32u
#define ADDRESS_BYTES 64u
#define DOMAIN_BYTES 64u

enum request_part {
    REQUEST_ROUTE, /* put there by ROUTER */
    REQUEST_DELIMITER,
    REQUEST_VERSION,
    REQUEST_ID,
    REQUEST_DOMAIN,
    REQUEST_ADDRESS,
    REQUEST_IDENTITY,
    REQUEST_MECHANISM,
    REQUEST_KEY,
    REQUEST_PARTS
};

enum reply_part {
    REPLY_ROUTE,
    REPLY_DELIMITER,
    REPLY_VERSION,
    REPLY_ID,
    REPLY_STATUS,
    REPLY_TEXT,
    REPLY_USER,
    REPLY_METADATA,
    REPLY_PARTS
};

/* What a request says. */
struct peer {
    char domain[DOMAIN_BYTES], address[ADDRESS_BYTES], key[KEY_TEXT_BYTES];
};

struct zap_handler {
    struct zmq_socket *socket;
    zap_decide_fn *decide;
    void *arg;
};

static void on_request(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg);
static const char *read_request(zmq_msg_t *parts, size_t count, bool malformed, struct peer *peer);
static void send_reply(struct zmq_socket *socket, zmq_msg_t *request, const char *refusal,
                       const char *key);
static bool part_is(zmq_msg_t *part, const char *text);
static bool part_copy(zmq_msg_t *part, char *text, size_t text_bytes);
static int part_set(zmq_msg_t *part, const char *text);

int zap_handler_open(struct zap_handler **out, uv_loop_t *loop, void *zmq_context,
                     zap_decide_fn *decide, void *arg, struct error *err)
{
    assert(out && loop && zmq_context && decide);
    struct zap_handler *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "zap", "no room for %zu bytes", sizeof *fresh);
    *fresh = (struct zap_handler){ .decide = decide, .arg = arg };
    int result, no_linger = 0;
    void *raw = zmq_socket(zmq_context, ZMQ_ROUTER);
    if (!raw || zmq_setsockopt(raw, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
        zmq_bind(raw, ENDPOINT) != 0) {
        result = error_set(err, ERROR_IO, "zap", "cannot bind " ENDPOINT ": %s", zmq_strerror(errno));
        goto failed;
    }
    result = zmq_socket_attach_wide(&fresh->socket, loop, raw, REQUEST_PARTS, on_request, fresh, err);
    if (result < 0)
        goto failed;
    *out = fresh;
    return 0;
failed:
    if (raw)
        zmq_close(raw);
    free(fresh);
    return result;
}

void zap_handler_close(struct zap_handler **handler)
{
    assert(handler);
    if (!*handler)
        return;
    zmq_socket_detach(&(*handler)->socket);
    free(*handler);
    *handler = NULL;
}

static void on_request(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, bool malformed,
                       void *arg)
{
    struct zap_handler *handler = arg;
    if (count <= REQUEST_ID) {
        log_warn("zap", "a request without an id was dropped", LOG_U64("parts", count));
        return;
    }
    struct peer peer;
    const char *refusal = read_request(parts, count, malformed, &peer);
    if (!refusal && !handler->decide(peer.domain, peer.key, peer.address, handler->arg))
        refusal = "this key is not allowed";
    if (zmq_socket_raw(socket)) /* decide may have closed the handler */
        send_reply(socket, parts, refusal, peer.key);
}

/* NULL and the peer, or why it is refused. */
static const char *read_request(zmq_msg_t *parts, size_t count, bool malformed, struct peer *peer)
{
    if (zmq_msg_size(&parts[REQUEST_DELIMITER]) != 0 || !part_is(&parts[REQUEST_VERSION], VERSION))
        return "the request is not of ZAP " VERSION;
    if (count <= REQUEST_MECHANISM || !part_is(&parts[REQUEST_MECHANISM], "CURVE"))
        return "only CURVE is allowed";
    if (malformed || count != REQUEST_PARTS || zmq_msg_size(&parts[REQUEST_KEY]) != KEY_BYTES)
        return "the key does not have 32 bytes";
    if (!part_copy(&parts[REQUEST_DOMAIN], peer->domain, sizeof peer->domain) ||
        !part_copy(&parts[REQUEST_ADDRESS], peer->address, sizeof peer->address))
        return "the address is not one";
    return zmq_z85_encode(peer->key, zmq_msg_data(&parts[REQUEST_KEY]), KEY_BYTES)
               ? NULL
               : "the key is bad";
}

static void send_reply(struct zmq_socket *socket, zmq_msg_t *request, const char *refusal,
                       const char *key)
{
    zmq_msg_t reply[REPLY_PARTS];
    for (size_t i = 0; i < REPLY_PARTS; i++)
        zmq_msg_init(&reply[i]);
    zmq_msg_move(&reply[REPLY_ROUTE], &request[REQUEST_ROUTE]);
    zmq_msg_move(&reply[REPLY_ID], &request[REQUEST_ID]);
    struct error err;
    if (part_set(&reply[REPLY_VERSION], VERSION) != 0 ||
        part_set(&reply[REPLY_STATUS], refusal ? "400" : "200") != 0 ||
        part_set(&reply[REPLY_TEXT], refusal ? refusal : "OK") != 0 ||
        part_set(&reply[REPLY_USER], refusal ? "" : key) != 0) {
        log_error("zap", "no memory for a reply");
        for (size_t i = 0; i < REPLY_PARTS; i++)
            zmq_msg_close(&reply[i]);
        return;
    }
    if (zmq_socket_send(socket, reply, REPLY_PARTS, &err) < 0)
        log_warn("zap", "a reply was lost", LOG_CAUSE(&err));
}

static bool part_is(zmq_msg_t *part, const char *text)
{
    size_t size = strlen(text);
    return zmq_msg_size(part) == size && memcmp(zmq_msg_data(part), text, size) == 0;
}

/* False for what does not fit or is no text. */
static bool part_copy(zmq_msg_t *part, char *text, size_t text_bytes)
{
    size_t size = zmq_msg_size(part);
    if (size >= text_bytes || memchr(zmq_msg_data(part), '\0', size))
        return false;
    memcpy(text, zmq_msg_data(part), size);
    text[size] = '\0';
    return true;
}

/* The part must be empty. */
static int part_set(zmq_msg_t *part, const char *text)
{
    size_t size = strlen(text);
    if (zmq_msg_init_size(part, size) != 0)
        return zmq_msg_init(part), -1;
    memcpy(zmq_msg_data(part), text, size);
    return 0;
}
