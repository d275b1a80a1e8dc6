/* zmq_loop: a ZeroMQ socket inside a libuv loop.
 *
 * The socket's edge-triggered descriptor is watched by uv_poll; a prepare/check pair drains it and
 * a budget per turn keeps one busy socket from starving the loop. Everything here runs on the loop
 * thread; callbacks may close the socket. */
#ifndef RUNESPOOR_NET_ZMQ_LOOP_H
#define RUNESPOOR_NET_ZMQ_LOOP_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>
#include <zmq.h>

#define ZMQ_LOOP_PARTS_MAX 4u /* identity, header, payload; longer messages are dropped, counted \
                               */

struct zmq_socket;

/* parts[0..count) are borrowed for the call; a callback that wants to keep one moves it out with
 * zmq_msg_move. malformed is true when the message had more than ZMQ_LOOP_PARTS_MAX parts (parts
 * then holds the first ones). */
typedef void zmq_receive_fn(struct zmq_socket *socket, zmq_msg_t *parts, size_t count,
                            bool malformed, void *arg);

/* Takes ownership of raw (a configured socket, not yet or already bound/connected). */
int zmq_socket_attach(struct zmq_socket **out, uv_loop_t *loop, void *raw, zmq_receive_fn *receive,
                      void *arg, struct error *err);

/* Sends all parts without waiting; takes them over in any case (they are empty afterwards).
 * -ERROR_AGAIN when the high-water mark is reached or the peer is gone (nothing was sent). */
int zmq_socket_send(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, struct error *err);

/* The raw socket, for options and monitors. */
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

/* Builds a ZAP handler (inproc://zeromq.zap.01) inside the loop. decide gives true to let a key in;
 * the public key (Z85) becomes the message property "User-Id". One per ZeroMQ context. */
struct zap_handler;
typedef bool zap_decide_fn(const char *public_text, const char *peer_address, void *arg);
int zap_handler_open(struct zap_handler **out, uv_loop_t *loop, void *zmq_context,
                     zap_decide_fn *decide, void *arg, struct error *err);
void zap_handler_close(struct zap_handler **handler);

#endif
