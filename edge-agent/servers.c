/* servers: each server has its own clock: what was lost or refused is not tried before its pause is over,
 * and the next one in the list whose pause is over is tried at once. So with one server this is a plain
 * capped backoff, and with several a change costs no time. A server that works is kept until it is lost:
 * going back to the first as soon as it can be had would move streams twice for one fault.
 *
 * libzmq tells a client with a wrong server key nothing but that its connection was cut, so all keys of the
 * file are tried one after the other before that counts as a failure. */
#include "servers.h"

#include "base/clock.h"
#include "base/log.h"
#include <string.h>

#define CUTS_MAX 3u /* running: then it is probably the key */
/* Keys are put right by people, who then wait for it: never longer than half a minute, whatever the
 * pauses of a broken link. */
#define KEY_PAUSE_FIRST_MS 500u
#define KEY_PAUSE_CAP_MS 15000u

static int add(struct servers *servers, const char *address, const char *key_path,
               const struct server_link_config *config, struct metrics *metrics, struct error *err);
static void read_keys(struct server *server);
static bool has_another_key(const struct server *server);
static size_t choose(const struct servers *servers, uint64_t now_ns);

const char *link_cause_word(enum link_cause cause)
{
    static const char *const words[LINK_CAUSES] = {
        [LINK_NOT_TRIED] = "not_tried",   [LINK_UNREACHABLE] = "unreachable",
        [LINK_TIMEOUT] = "timeout",       [LINK_HANDSHAKE] = "handshake",
        [LINK_SERVER_KEY] = "server_key", [LINK_KEY_REFUSED] = "key_refused",
        [LINK_CLOSED] = "closed",         [LINK_SILENCE] = "silence",
        [LINK_LEAVING] = "leaving",       [LINK_LOCAL] = "local",
    };
    return words[cause];
}

int servers_init(struct servers *servers, const struct server_link_config *config,
                 struct metrics *metrics, struct error *err)
{
    const struct server_config *others = config->others.items;
    *servers = (struct servers){ 0 };
    int result = add(servers, config->address, config->key, config, metrics, err);
    for (size_t i = 0; result == 0 && i < config->others.count; i++)
        result = add(servers, others[i].address, others[i].key, config, metrics, err);
    return result;
}

struct server *servers_current(struct servers *servers)
{
    return &servers->list[servers->current];
}

const char *servers_begin(struct servers *servers)
{
    struct server *server = servers_current(servers);
    if (server->keys_tried == 0)
        read_keys(server);
    return server->keys[server->key];
}

void servers_on_up(struct servers *servers)
{
    struct server *server = servers_current(servers);
    server->keys_tried = 0;
    server->cuts = 0;
    server->reported[0] = '\0';
    metric_gauge_set(server->active, 1);
}

void servers_on_heard(struct servers *servers)
{
    backoff_reset(&servers_current(servers)->pauses);
    backoff_reset(&servers_current(servers)->key_pauses);
}

uint32_t servers_on_loss(struct servers *servers, enum link_cause *cause)
{
    struct server *server = servers_current(servers);
    const uint64_t now_ns = clock_now_ns();
    metric_gauge_set(server->active, 0);
    if (*cause == LINK_HANDSHAKE && has_another_key(server)) {
        server->key = (server->key + 1) % server->key_count;
        server->keys_tried++;
        return 0;
    }
    if (*cause == LINK_HANDSHAKE && ++server->cuts >= CUTS_MAX)
        *cause = LINK_SERVER_KEY;
    if (*cause != LINK_HANDSHAKE && *cause != LINK_SERVER_KEY)
        server->cuts = 0;
    server->keys_tried = 0;
    bool key = *cause == LINK_SERVER_KEY || *cause == LINK_KEY_REFUSED;
    uint32_t pause_ms = backoff_next_ms(key ? &server->key_pauses : &server->pauses);
    server->retry_ns = now_ns + pause_ms * CLOCK_NS_PER_MS;
    servers->current = choose(servers, now_ns);
    uint64_t retry_ns = servers_current(servers)->retry_ns;
    return retry_ns > now_ns ? (uint32_t)((retry_ns - now_ns) / CLOCK_NS_PER_MS) : 0;
}

static int add(struct servers *servers, const char *address, const char *key_path,
               const struct server_link_config *config, struct metrics *metrics, struct error *err)
{
    struct server *server = &servers->list[servers->count++];
    struct metric_label label = { "server", address };
    server->address = address;
    server->key_path = key_path;
    backoff_init(&server->pauses, config->backoff_first_ms, config->backoff_cap_ms, random_entropy());
    backoff_init(&server->key_pauses, KEY_PAUSE_FIRST_MS, KEY_PAUSE_CAP_MS, random_entropy());
    server->active = metrics_gauge(metrics, "edge_server_active",
                                   "1 while the link to this server is up", &label, 1);
    return keys_read_list(key_path, server->keys, &server->key_count, err);
}

/* The key that was tried last stays the one to try, where it is still in the file. */
static void read_keys(struct server *server)
{
    char last[KEY_TEXT_BYTES];
    struct error err;
    memcpy(last, server->keys[server->key], sizeof last);
    bool bad = keys_read_list(server->key_path, server->keys, &server->key_count, &err) < 0;
    if (bad && !server->key_file_bad)
        log_warn("uplink", "cannot read the server's key again; what was in its file still holds",
                 LOG_CAUSE(&err));
    server->key_file_bad = bad;
    if (bad)
        return;
    server->key = 0;
    for (size_t i = 0; i < server->key_count; i++)
        if (strcmp(server->keys[i], last) == 0)
            server->key = i;
}

static bool has_another_key(const struct server *server)
{
    return server->keys_tried + 1 < server->key_count;
}

/* The one whose pause is over first; of those that are over, the next in the list. */
static size_t choose(const struct servers *servers, uint64_t now_ns)
{
    size_t best = servers->current;
    uint64_t best_ns = UINT64_MAX;
    for (size_t i = 1; i <= servers->count; i++) {
        size_t index = (servers->current + i) % servers->count;
        uint64_t due_ns = servers->list[index].retry_ns;
        due_ns = due_ns > now_ns ? due_ns : now_ns;
        if (due_ns < best_ns) {
            best = index;
            best_ns = due_ns;
        }
    }
    return best;
}
