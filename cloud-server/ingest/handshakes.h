/* handshakes: what became of connections before they could say a word: counted by result, and named in the
 * log so that the wrong key is found. Watches the sockets' events; the guard tells what it decided about
 * keys. Loop thread. */
#ifndef RUNESPOOR_INGEST_HANDSHAKES_H
#define RUNESPOOR_INGEST_HANDSHAKES_H

#include "base/error.h"
#include "net/metrics.h"

struct zmq_socket;
struct handshakes;

enum handshake_result {
    HANDSHAKE_NONE,
    HANDSHAKE_ALLOWED,
    HANDSHAKE_UNKNOWN_KEY,  /* not in the allow folder */
    HANDSHAKE_NOT_READER,   /* it is there, and may not subscribe to answers */
    HANDSHAKE_WRONG_SERVER, /* the peer believes that this server has another key */
    HANDSHAKE_MALFORMED,    /* no ZeroMQ, or no CURVE */
    HANDSHAKE_CUT,          /* closed by the peer, or silent for too long */
    HANDSHAKE_RESULTS
};

/* public_text (this server's, for the log) is borrowed. */
int handshakes_open(struct handshakes **handshakes, const char *public_text,
                    struct metrics *metrics, struct error *err);
/* Before the socket is bound; HANDSHAKES_SOCKETS_MAX of them. */
#define HANDSHAKES_SOCKETS_MAX 2u
int handshakes_watch(struct handshakes *handshakes, struct zmq_socket *socket, void *zmq_context,
                     struct error *err);
/* Connections of a watched socket that are past their handshake. */
size_t handshakes_connected(const struct handshakes *handshakes, const struct zmq_socket *socket);
/* The guard's decision on a key. */
void handshakes_decided(struct handshakes *handshakes, enum handshake_result result,
                        const char *public_text, const char *address);
/* After the sockets that it watches. Takes NULL. */
void handshakes_close(struct handshakes **handshakes);

#endif
