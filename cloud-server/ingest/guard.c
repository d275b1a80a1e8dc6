/* guard: decides in the handshake, before a peer can send a message. */
#include "ingest/guard.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/handshakes.h"
#include "net/keys.h"
#include "net/zmq_loop.h"
#include <stdlib.h>
#include <string.h>

/* After a look at the folder, strangers cause no other for this many times as long as it took: they have a
 * tenth of the loop at most, whatever its size. */
#define LOOK_PAUSE 9u
#define READERS_MAX 1024u /* that are remembered */

static const char *const domains[] = { [GUARD_GATE] = "gate", [GUARD_ANSWERS] = "answers" };

struct guard {
    struct key_pair pair;
    struct allow_list *list;
    struct zap_handler *zap;
    struct handshakes *handshakes;
    uint64_t look_ns;                /* a stranger causes no look at the folder before */
    char (*readers)[KEY_TEXT_BYTES]; /* keys that came in to read answers; READERS_MAX */
    size_t reader_count;
    bool reader_left;
    struct metric_gauge *keys;
};

static bool decide(const char *domain, const char *public_text, const char *peer_address, void *arg);
static void look_at_readers(struct guard *guard);

int guard_open(struct guard **out, uv_loop_t *loop, void *zmq_context,
               const struct keys_config *config, struct metrics *metrics, struct error *err)
{
    struct guard *guard = calloc(1, sizeof *guard);

    if (!guard)
        return error_set(err, ERROR_MEMORY, "guard", "no room");
    guard->keys = metrics_gauge(metrics, "server_allowed_keys", "keys in the allow folder", NULL, 0);
    guard->readers = calloc(READERS_MAX, sizeof guard->readers[0]);
    int rc = guard->readers ? keys_read_pair(config->folder, config->name, &guard->pair, err)
                            : error_set(err, ERROR_MEMORY, "guard", "no room");
    if (rc == 0)
        rc = handshakes_open(&guard->handshakes, guard->pair.public_text, metrics, err);
    if (rc == 0)
        rc = allow_list_open(&guard->list, config->allow, err);
    if (rc == 0)
        rc = zap_handler_open(&guard->zap, loop, zmq_context, decide, guard, err);
    if (rc < 0) {
        guard_close(&guard);
        return rc;
    }
    metric_gauge_set(guard->keys, (double)allow_list_count(guard->list));
    *out = guard;
    return 0;
}

const char *guard_public_key(const struct guard *guard)
{
    return guard->pair.public_text;
}

int guard_secure(const struct guard *guard, void *raw, enum guard_door door, struct error *err)
{
    const int is_server = 1;

    if (zmq_setsockopt(raw, ZMQ_CURVE_SERVER, &is_server, sizeof is_server) < 0 ||
        zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, guard->pair.secret_text, KEY_TEXT_BYTES) < 0 ||
        zmq_setsockopt(raw, ZMQ_ZAP_DOMAIN, domains[door], strlen(domains[door])) < 0)
        return error_set(err, ERROR_IO, "guard", "cannot set up CURVE: %s",
                         zmq_strerror(zmq_errno()));
    return 0;
}

int guard_watch(struct guard *guard, struct zmq_socket *socket, void *zmq_context, struct error *err)
{
    return handshakes_watch(guard->handshakes, socket, zmq_context, err);
}

size_t guard_connected(const struct guard *guard, const struct zmq_socket *socket)
{
    return handshakes_connected(guard->handshakes, socket);
}

bool guard_refresh(struct guard *guard)
{
    const uint64_t begin_ns = clock_now_ns();
    const bool changed = allow_list_refresh(guard->list);
    const uint64_t end_ns = clock_now_ns();

    guard->look_ns = end_ns + LOOK_PAUSE * (end_ns - begin_ns);
    if (!changed)
        return false;
    look_at_readers(guard);
    metric_gauge_set(guard->keys, (double)allow_list_count(guard->list));
    log_info("guard", "allow folder read again", LOG_U64("keys", allow_list_count(guard->list)));
    return true;
}

const char *guard_find(const struct guard *guard, const char *public_text)
{
    return allow_list_find(guard->list, public_text);
}

bool guard_permits(const struct guard *guard, const char *public_text, const char *stream)
{
    return allow_list_permits(guard->list, public_text, stream);
}

bool guard_reader_left(struct guard *guard)
{
    const bool left = guard->reader_left;

    if (left)
        guard->reader_count = 0; /* all are sent away, and those who may come back */
    guard->reader_left = false;
    return left;
}

size_t guard_key_count(const struct guard *guard)
{
    return allow_list_count(guard->list);
}

void guard_close(struct guard **guard)
{
    if (!*guard)
        return;
    zap_handler_close(&(*guard)->zap);
    allow_list_close(&(*guard)->list);
    handshakes_close(&(*guard)->handshakes);
    free((*guard)->readers);
    keys_wipe(&(*guard)->pair);
    free(*guard);
    *guard = NULL;
}

static void look_at_readers(struct guard *guard)
{
    for (size_t i = 0; i < guard->reader_count; i++)
        if (!allow_list_reads(guard->list, guard->readers[i]))
            guard->reader_left = true;
}

/* Beyond READERS_MAX different keys the oldest is forgotten, and its loss of the right not seen. */
static void note_reader(struct guard *guard, const char *public_text)
{
    for (size_t i = 0; i < guard->reader_count; i++)
        if (strcmp(guard->readers[i], public_text) == 0)
            return;
    if (guard->reader_count == READERS_MAX)
        memmove(guard->readers, guard->readers + 1, --guard->reader_count * sizeof guard->readers[0]);
    memcpy(guard->readers[guard->reader_count++], public_text, KEY_TEXT_BYTES);
}

static enum handshake_result judge(const struct guard *guard, enum guard_door door,
                                   const char *public_text)
{
    if (!allow_list_find(guard->list, public_text))
        return HANDSHAKE_UNKNOWN_KEY;
    if (door == GUARD_ANSWERS && !allow_list_reads(guard->list, public_text))
        return HANDSHAKE_NOT_READER;
    return HANDSHAKE_ALLOWED;
}

static bool decide(const char *domain, const char *public_text, const char *peer_address, void *arg)
{
    struct guard *guard = arg;
    const enum guard_door door =
        strcmp(domain, domains[GUARD_ANSWERS]) == 0 ? GUARD_ANSWERS : GUARD_GATE;
    enum handshake_result result = judge(guard, door, public_text);

    if (result != HANDSHAKE_ALLOWED && clock_now_ns() >= guard->look_ns) {
        guard_refresh(guard);
        result = judge(guard, door, public_text);
    }
    handshakes_decided(guard->handshakes, result, public_text, peer_address);
    if (result == HANDSHAKE_ALLOWED && door == GUARD_ANSWERS)
        note_reader(guard, public_text);
    return result == HANDSHAKE_ALLOWED;
}
