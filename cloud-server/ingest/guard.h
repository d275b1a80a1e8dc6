/* guard: the server's key, and which keys may come in by which door. One ZAP handler serves every socket
 * of the ZeroMQ context; the allow folder is read again when a key comes that is not known, and by
 * guard_refresh, so that a key file added to it works without a restart. Loop thread. */
#ifndef RUNESPOOR_INGEST_GUARD_H
#define RUNESPOOR_INGEST_GUARD_H

#include "config.h"
#include "net/metrics.h"
#include <uv.h>

struct guard;
struct zmq_socket;

enum guard_door {
    GUARD_GATE,    /* whoever is in the allow folder */
    GUARD_ANSWERS, /* those of them who may read answers */
};

/* Reads the key pair and the folder. Open it before any socket is bound. */
int guard_open(struct guard **guard, uv_loop_t *loop, void *zmq_context,
               const struct keys_config *config, struct metrics *metrics, struct error *err);
const char *guard_public_key(const struct guard *guard);

/* Makes raw a CURVE server with this key; before it is bound. */
int guard_secure(const struct guard *guard, void *raw, enum guard_door door, struct error *err);
/* Counts and names the handshakes that fail there; before it is bound. Close the socket first. */
int guard_watch(struct guard *guard, struct zmq_socket *socket, void *zmq_context, struct error *err);
/* Connections there that are past their handshake. */
size_t guard_connected(const struct guard *guard, const struct zmq_socket *socket);

/* True when the list has changed. */
bool guard_refresh(struct guard *guard);
/* The name that the folder gives to a key; NULL when the key is not there. */
const char *guard_find(const struct guard *guard, const char *public_text);
bool guard_permits(const struct guard *guard, const char *public_text, const char *stream);
/* True once after a key that came in to read answers has lost that right. */
bool guard_reader_left(struct guard *guard);
size_t guard_key_count(const struct guard *guard);

/* Wipes the key. Takes NULL. */
void guard_close(struct guard **guard);

#endif
