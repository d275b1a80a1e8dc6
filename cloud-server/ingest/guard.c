/* guard: decides in the handshake, before a peer can send a message. */
#include "ingest/guard.h"
#include "base/log.h"
#include "ingest/log_limit.h"
#include "net/keys.h"
#include "net/zmq_loop.h"
#include <stdlib.h>
#include <string.h>

#define LOG_UNKNOWN_MS (24u * 3600u * 1000u) /* a box that tries for ever is one line a day */
#define ZAP_DOMAIN "runespoor"

struct guard {
    struct key_pair pair;
    struct allow_list *list;
    struct zap_handler *zap;
    struct log_limit logged;
    struct metric_counter *allowed, *unknown;
    struct metric_gauge *keys;
};

static bool decide(const char *public_text, const char *peer_address, void *arg);

int guard_open(struct guard **out, uv_loop_t *loop, void *zmq_context,
               const struct keys_config *config, struct metrics *metrics, struct error *err)
{
    static const char handshakes[] = "server_handshakes_total";
    static const char help[] = "handshakes by their outcome";
    struct metric_label allowed = { "result", "allowed" }, unknown = { "result", "unknown_key" };
    struct guard *guard = calloc(1, sizeof *guard);

    if (!guard)
        return error_set(err, ERROR_MEMORY, "guard", "no room");
    guard->allowed = metrics_counter(metrics, handshakes, help, &allowed, 1);
    guard->unknown = metrics_counter(metrics, handshakes, help, &unknown, 1);
    guard->keys = metrics_gauge(metrics, "server_allowed_keys", "keys in the allow folder", NULL, 0);
    int rc = keys_read_pair(config->folder, config->name, &guard->pair, err);
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

int guard_secure(const struct guard *guard, void *raw, struct error *err)
{
    const int is_server = 1;

    if (zmq_setsockopt(raw, ZMQ_CURVE_SERVER, &is_server, sizeof is_server) < 0 ||
        zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, guard->pair.secret_text, KEY_TEXT_BYTES) < 0 ||
        zmq_setsockopt(raw, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) < 0)
        return error_set(err, ERROR_IO, "guard", "cannot set up CURVE: %s",
                         zmq_strerror(zmq_errno()));
    return 0;
}

bool guard_refresh(struct guard *guard)
{
    if (!allow_list_refresh(guard->list))
        return false;
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
    keys_wipe(&(*guard)->pair);
    free(*guard);
    *guard = NULL;
}

static bool decide(const char *public_text, const char *peer_address, void *arg)
{
    struct guard *guard = arg;

    guard_refresh(guard);
    if (allow_list_find(guard->list, public_text)) {
        metric_counter_add(guard->allowed, 1);
        return true;
    }
    metric_counter_add(guard->unknown, 1);
    if (log_limit_pass(&guard->logged, public_text, "unknown", LOG_UNKNOWN_MS))
        log_warn("guard", "refused an unknown key; 'cloud-server keys allow' lets it in",
                 LOG_STR("public", public_text), LOG_STR("address", peer_address));
    return false;
}
