/* zmq_loop: a ZeroMQ socket inside a libuv loop.
 *
 * The socket's edge-triggered descriptor is watched by uv_poll; before the loop sleeps the socket is
 * asked once more, and a budget per turn keeps one busy socket from starving the loop. Everything
 * here runs on the loop thread, but not in uv_prepare callbacks (they come too late for that
 * question); callbacks may detach the socket. */
#ifndef RUNESPOOR_NET_ZMQ_LOOP_H
#define RUNESPOOR_NET_ZMQ_LOOP_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>
#include <zmq.h>

#define ZMQ_LOOP_PARTS_MAX 4u /* identity, header, payload, and one to see that it is too many */

struct zmq_socket;

/* parts[0..count) are borrowed for the call; a callback that wants to keep one moves it out with
 * zmq_msg_move. malformed is true when the message had more than ZMQ_LOOP_PARTS_MAX parts (parts
 * then holds the first ones). The callback may send, and may detach this or any other socket. */
typedef void zmq_receive_fn(struct zmq_socket *socket, zmq_msg_t *parts, size_t count,
                            bool malformed, void *arg);

/* Takes ownership of raw (a configured socket, not yet or already bound/connected); when it fails,
 * raw stays the caller's. receive may be NULL for a socket that only sends (PUB). */
int zmq_socket_attach(struct zmq_socket **out, uv_loop_t *loop, void *raw, zmq_receive_fn *receive,
                      void *arg, struct error *err);

/* Sends all parts without waiting; takes them over in any case (they are empty afterwards).
 * -ERROR_AGAIN when the high-water mark is reached or the peer is gone (nothing was sent). A ROUTER
 * needs ZMQ_ROUTER_MANDATORY for that; without it libzmq drops in silence. */
int zmq_socket_send(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, struct error *err);

/* The raw socket, for options, bind, connect and disconnect on the loop thread. */
void *zmq_socket_raw(struct zmq_socket *socket);

/* Reports connection events (ZMQ_EVENT_*, see zmq_socket_monitor(3)) of the socket on the loop.
 * zmq_context is the one that the socket was made in. value is the event's value; address is
 * borrowed for the call. Call before bind or connect, once. */
typedef void zmq_event_fn(struct zmq_socket *socket, uint16_t event, uint32_t value,
                          const char *address, void *arg);
int zmq_socket_watch_events(struct zmq_socket *socket, void *zmq_context, zmq_event_fn *event,
                            void *arg, struct error *err);

/* Stops the handles and closes the socket (with its linger setting); memory is freed by the loop
 * later. Sets *socket to NULL, takes NULL. */
void zmq_socket_detach(struct zmq_socket **socket);

/* A ZAP handler (inproc://zeromq.zap.01) inside the loop: decide gives true to let a public key (Z85)
 * in, which then is the message property "User-Id" of all its messages. domain is the ZMQ_ZAP_DOMAIN of
 * the socket that it came to, peer_address the IP address in words, without a port. Everything but CURVE is refused. One per ZeroMQ context, opened
 * before the server's socket is bound. That socket must set ZMQ_ZAP_DOMAIN (any text): without it
 * libzmq lets everybody in when no handler is there.
 * A refused client gets ZMQ_EVENT_HANDSHAKE_FAILED_AUTH with 400. libzmq drops what waited for that
 * connection and does not try again: the client must disconnect and connect. */
struct zap_handler;
typedef bool zap_decide_fn(const char *domain, const char *public_text, const char *peer_address,
                           void *arg);
int zap_handler_open(struct zap_handler **out, uv_loop_t *loop, void *zmq_context,
                     zap_decide_fn *decide, void *arg, struct error *err);
/* Sets *handler to NULL, takes NULL; memory is freed by the loop later. */
void zap_handler_close(struct zap_handler **handler);

#endif
