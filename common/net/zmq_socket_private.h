/* zmq_socket_private: what zap.c needs of zmq_loop.c beyond the public header. */
#ifndef RUNESPOOR_NET_ZMQ_SOCKET_PRIVATE_H
#define RUNESPOOR_NET_ZMQ_SOCKET_PRIVATE_H

#include "net/zmq_loop.h"

#define ZMQ_SOCKET_PARTS_CAPACITY 12u /* a ZAP request has up to ten */

/* As zmq_socket_attach, with a limit of its own for the parts of a message. */
int zmq_socket_attach_wide(struct zmq_socket **out, uv_loop_t *loop, void *raw, size_t parts_max,
                           zmq_receive_fn *receive, void *arg, struct error *err);

#endif
