/* servers: the servers that the uplink may use, each with its keys, its pauses and what went wrong last;
 * says which is to be tried next, and when. Loop thread only. */
#ifndef RUNESPOOR_EDGE_SERVERS_H
#define RUNESPOOR_EDGE_SERVERS_H

#include "agent_config.h"
#include "base/backoff.h"
#include "net/keys.h"
#include "net/metrics.h"

/* Why the link is not up: what is logged once, a metric's label, and a class of pauses. */
enum link_cause {
    LINK_NOT_TRIED,
    LINK_UNREACHABLE,
    LINK_TIMEOUT,
    LINK_HANDSHAKE,  /* cut in the handshake, once or twice */
    LINK_SERVER_KEY, /* three times running */
    LINK_KEY_REFUSED,
    LINK_CLOSED,
    LINK_SILENCE,
    LINK_LEAVING, /* the server stops */
    LINK_LOCAL,   /* no socket, or a senseless address */
    LINK_CAUSES
};

/* "server_key" */
const char *link_cause_word(enum link_cause cause);

struct server {
    const char *address, *key_path;
    char keys[KEYS_SERVER_MAX][KEY_TEXT_BYTES];
    size_t key_count, key; /* key: the one to try, or that has been right */
    size_t keys_tried;     /* in this round: without a pause in between */
    unsigned cuts;         /* rounds running that were cut in the handshake */
    struct backoff pauses, key_pauses;
    uint64_t retry_ns; /* not to be tried before */
    char reported[96]; /* the cause in words that was logged last; "" since it was up */
    bool key_file_bad; /* and that was logged */
    struct metric_gauge *active;
};

struct servers {
    struct server list[AGENT_SERVERS_MAX];
    size_t count, current;
};

/* Reads every key file. config is borrowed as long as servers is used. */
int servers_init(struct servers *servers, const struct server_link_config *config,
                 struct metrics *metrics, struct error *err);
struct server *servers_current(struct servers *servers);

/* A try begins: reads the key file again where its keys have all been tried (keeps what it has when it
 * cannot be read). Gives the server's public key to use. */
const char *servers_begin(struct servers *servers);
/* The link is up: the key was right. */
void servers_on_up(struct servers *servers);
/* The server has said something: short pauses again. */
void servers_on_heard(struct servers *servers);
/* The try or the link has ended. What was cut in the handshake for the third time running becomes
 * LINK_SERVER_KEY. Chooses the server to try next and gives the pause before that; 0: at once. */
uint32_t servers_on_loss(struct servers *servers, enum link_cause *cause);

#endif
