/* server: the rooms of cloud-server put together, opened and closed in the right order. */
#ifndef RUNESPOOR_SERVER_SERVER_H
#define RUNESPOOR_SERVER_SERVER_H

#include "config.h"
#include "net/metrics.h"
#include <uv.h>

struct server;

struct server_events {
    void (*ready)(void *arg); /* once: streams are welcome from now on */
    /* All workers have given up, and trying again cures nothing (a wrong model): stop. */
    void (*fatal)(void *arg, const struct error *cause);
    void *arg;
};

/* config, metrics and program (path of this binary, for the workers) are borrowed until done. After
 * a failure as well, run the loop until it is empty: it holds what is being closed. */
int server_open(struct server **server, uv_loop_t *loop, struct server_config *config,
                struct metrics *metrics, const char *program, const struct server_events *events,
                struct error *err);

/* As bound: with the port that a wildcard has become. "" and 0 for what is off. */
const char *server_address(const struct server *server);
const char *server_publish_address(const struct server *server);
uint16_t server_http_port(const struct server *server);
const char *server_public_key(const struct server *server);
/* That the config asks for: without devices in it there is one. */
size_t server_worker_count(const struct server_config *config);
#define SERVER_REASON_BYTES 1024u /* enough for some workers' causes */
/* True when streams are welcome; reason (for people) why not, or why only in part. */
bool server_is_ready(const struct server *server, char *reason, size_t reason_bytes);

/* Makes the values of fresh hold, which is loaded without mistakes, as far as that drops no stream: all
 * of them or, after an error, none. Those that take a restart (the option table says which) are logged
 * by name. What its pointers lead to is borrowed until the next one that succeeds, or until done.
 * An answer file that was moved away is made anew in any case. */
int server_reload(struct server *server, const struct server_config *fresh, struct error *err);

/* Answers what is on its way (for at most SERVER_DRAIN_MS), says Bye, ends the workers, writes what
 * waits for the disk, and frees the server; then calls done(arg) from the loop. Takes at most 5 s. */
#define SERVER_DRAIN_MS 2000u
/* Agents leave by themselves once they have read their Bye. What libzmq has read for an agent and the agent not, it
 * throws away when the connection ends: so the sockets stay open until all have left, or for so long. */
#define SERVER_FAREWELL_MS 1000u
#define SERVER_GRACE_MS 1000u
void server_stop(struct server **server, void (*done)(void *arg), void *arg);

#endif
