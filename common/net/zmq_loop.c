/* zmq_loop: ZMQ_FD tells only that something changed since the socket was last used; any send or
 * receive may swallow that news. So the socket is asked (ZMQ_EVENTS) each time before the loop would
 * sleep, and an idle handle keeps the loop awake exactly while messages wait. */
#include "net/zmq_socket_private.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_PER_TURN 64u
#define EVENT_BYTES 6u /* uint16 event, uint32 value: zmq_socket_monitor(3) */
#define ADDRESS_BYTES 256u

/* The loop thread alone touches it. raw is NULL once detached; the rest lives until the three handles
 * have closed. */
struct zmq_socket {
    void *raw;
    zmq_receive_fn *receive;
    void *arg;
    size_t parts_max;
    uv_poll_t descriptor;
    uv_prepare_t before_sleep;
    uv_idle_t awake; /* active while messages wait */
    unsigned open_handles;
    struct zmq_socket *events; /* reads the socket's monitor; NULL unless watched */
    zmq_event_fn *event;
    void *event_arg;
};

static void start(struct zmq_socket *socket);
static void close_handles(struct zmq_socket *socket);
static void on_close(uv_handle_t *handle);
static void on_descriptor(uv_poll_t *handle, int status, int events);
static void on_before_sleep(uv_prepare_t *handle);
static void on_awake(uv_idle_t *handle);
static void drain(struct zmq_socket *socket);
static bool has_message(struct zmq_socket *socket);
static bool receive_one(struct zmq_socket *socket);
static bool receive_part(struct zmq_socket *socket, zmq_msg_t *part);
static int send_part(struct zmq_socket *socket, zmq_msg_t *part, bool more);
static void on_event_message(struct zmq_socket *pair, zmq_msg_t *parts, size_t count,
                             bool malformed, void *arg);

int zmq_socket_attach(struct zmq_socket **out, uv_loop_t *loop, void *raw, zmq_receive_fn *receive,
                      void *arg, struct error *err)
{
    return zmq_socket_attach_wide(out, loop, raw, ZMQ_LOOP_PARTS_MAX, receive, arg, err);
}

int zmq_socket_attach_wide(struct zmq_socket **out, uv_loop_t *loop, void *raw, size_t parts_max,
                           zmq_receive_fn *receive, void *arg, struct error *err)
{
    assert(out && loop && raw && parts_max <= ZMQ_SOCKET_PARTS_CAPACITY);
    int descriptor;
    size_t size = sizeof descriptor;
    if (zmq_getsockopt(raw, ZMQ_FD, &descriptor, &size) != 0)
        return error_set(err, ERROR_IO, "zmq", "no descriptor: %s", zmq_strerror(errno));
    struct zmq_socket *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "zmq", "no room for %zu bytes", sizeof *fresh);
    *fresh = (struct zmq_socket){
        .raw = raw, .receive = receive, .arg = arg, .parts_max = parts_max, .open_handles = 3
    };
    int code = uv_poll_init(loop, &fresh->descriptor, descriptor);
    if (code != 0) {
        free(fresh);
        return error_set(err, ERROR_IO, "zmq", "cannot watch: %s", uv_strerror(code));
    }
    uv_prepare_init(loop, &fresh->before_sleep);
    uv_idle_init(loop, &fresh->awake);
    fresh->descriptor.data = fresh->before_sleep.data = fresh->awake.data = fresh;
    start(fresh);
    *out = fresh;
    return 0;
}

int zmq_socket_send(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, struct error *err)
{
    assert(socket && socket->raw && count > 0);
    int failure = send_part(socket, &parts[0], count > 1);
    if (failure == 0)
        /* The first part passed, so there is room for all. When the peer breaks off in between,
         * libzmq takes the message back and wants to see the rest of it all the same. */
        for (size_t i = 1; i < count; i++) {
            int part_failure = send_part(socket, &parts[i], i + 1 < count);
            failure = failure ? failure : part_failure;
        }
    for (size_t i = 0; i < count; i++) {
        zmq_msg_close(&parts[i]);
        zmq_msg_init(&parts[i]);
    }
    if (failure == 0)
        return 0;
    if (failure == EAGAIN || failure == EHOSTUNREACH)
        return error_set(err, ERROR_AGAIN, "send",
                         failure == EAGAIN ? "no room in the queue" : "the peer is gone");
    return error_set(err, ERROR_IO, "send", "%s", zmq_strerror(failure));
}

void *zmq_socket_raw(struct zmq_socket *socket)
{
    return socket->raw;
}

int zmq_socket_watch_events(struct zmq_socket *socket, void *zmq_context, zmq_event_fn *event,
                            void *arg, struct error *err)
{
    assert(socket && socket->raw && zmq_context && event && !socket->events);
    /* Never the same name twice: libzmq lets go of a closed monitor's name some time later. */
    static atomic_uint watched;
    char address[64];
    snprintf(address, sizeof address, "inproc://events-%u", atomic_fetch_add(&watched, 1));
    void *pair = NULL;
    /* No limit on waiting events: at a limit, libzmq's own thread would wait for this loop. */
    int unlimited = 0, no_linger = 0;
    if (zmq_socket_monitor(socket->raw, address, ZMQ_EVENT_ALL) != 0 ||
        !(pair = zmq_socket(zmq_context, ZMQ_PAIR)) ||
        zmq_setsockopt(pair, ZMQ_RCVHWM, &unlimited, sizeof unlimited) != 0 ||
        zmq_setsockopt(pair, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
        zmq_connect(pair, address) != 0) {
        error_set(err, ERROR_IO, "zmq", "cannot watch events: %s", zmq_strerror(errno));
        goto failed;
    }
    if (zmq_socket_attach(&socket->events, socket->before_sleep.loop, pair, on_event_message,
                          socket, err) < 0)
        goto failed;
    socket->event = event;
    socket->event_arg = arg;
    return 0;
failed:
    zmq_socket_monitor(socket->raw, NULL, 0);
    if (pair)
        zmq_close(pair);
    return err ? -(int)err->code : -ERROR_IO;
}

void zmq_socket_detach(struct zmq_socket **socket)
{
    assert(socket);
    struct zmq_socket *old = *socket;
    *socket = NULL;
    if (!old)
        return;
    assert(old->raw);
    if (old->events) /* first the writer, then its reader: libzmq's thread would wait for it for ever */
        zmq_socket_monitor(old->raw, NULL, 0);
    zmq_socket_detach(&old->events);
    close_handles(old);  /* before the descriptor goes with the socket */
    zmq_close(old->raw); /* ends its monitor too */
    old->raw = NULL;
}

static void start(struct zmq_socket *socket)
{
    int code = uv_poll_start(&socket->descriptor, UV_READABLE, on_descriptor);
    assert(code == 0); /* fails only for events that do not exist */
    uv_prepare_start(&socket->before_sleep, on_before_sleep);
    uv_idle_start(&socket->awake, on_awake); /* messages may wait already */
}

static void close_handles(struct zmq_socket *socket)
{
    uv_close((uv_handle_t *)&socket->descriptor, on_close);
    uv_close((uv_handle_t *)&socket->before_sleep, on_close);
    uv_close((uv_handle_t *)&socket->awake, on_close);
}

static void on_close(uv_handle_t *handle)
{
    struct zmq_socket *socket = handle->data;
    if (--socket->open_handles == 0)
        free(socket);
}

static void on_descriptor(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    drain(handle->data);
}

static void on_before_sleep(uv_prepare_t *handle)
{
    struct zmq_socket *socket = handle->data;
    if (has_message(socket))
        uv_idle_start(&socket->awake, on_awake);
    else
        uv_idle_stop(&socket->awake);
}

static void on_awake(uv_idle_t *handle)
{
    drain(handle->data);
}

static void drain(struct zmq_socket *socket)
{
    if (!socket->receive) {
        has_message(socket); /* takes in subscriptions and lost peers, and clears the descriptor */
        return;
    }
    for (unsigned i = 0; i < MESSAGES_PER_TURN && socket->raw; i++)
        if (!receive_one(socket))
            break;
}

static bool has_message(struct zmq_socket *socket)
{
    int events = 0;
    size_t size = sizeof events;
    if (zmq_getsockopt(socket->raw, ZMQ_EVENTS, &events, &size) != 0) {
        assert(errno == EINTR); /* else the context was ended under an attached socket */
        return true;
    }
    return socket->receive && (events & ZMQ_POLLIN);
}

/* False when there was none. The socket may be detached afterwards. */
static bool receive_one(struct zmq_socket *socket)
{
    zmq_msg_t parts[ZMQ_SOCKET_PARTS_CAPACITY], surplus;
    size_t count = 0;
    bool malformed = false, more = true;
    while (more) {
        bool wanted = count < socket->parts_max;
        zmq_msg_t *part = wanted ? &parts[count] : &surplus;
        if (!receive_part(socket, part)) {
            assert(count == 0); /* libzmq hands out whole messages */
            return false;
        }
        more = zmq_msg_more(part);
        if (wanted) {
            count++;
        } else {
            zmq_msg_close(part);
            malformed = true;
        }
    }
    socket->receive(socket, parts, count, malformed, socket->arg);
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&parts[i]);
    return true;
}

static bool receive_part(struct zmq_socket *socket, zmq_msg_t *part)
{
    zmq_msg_init(part);
    int size;
    do
        size = zmq_msg_recv(part, socket->raw, ZMQ_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size >= 0)
        return true;
    assert(errno == EAGAIN);
    zmq_msg_close(part);
    return false;
}

/* 0 or the errno. */
static int send_part(struct zmq_socket *socket, zmq_msg_t *part, bool more)
{
    int size;
    do
        size = zmq_msg_send(part, socket->raw, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (size < 0 && errno == EINTR);
    return size < 0 ? errno : 0;
}

static void on_event_message(struct zmq_socket *pair, zmq_msg_t *parts, size_t count,
                             bool malformed, void *arg)
{
    (void)pair;
    struct zmq_socket *socket = arg;
    if (malformed || count != 2 || zmq_msg_size(&parts[0]) != EVENT_BYTES)
        return;
    const char *data = zmq_msg_data(&parts[0]);
    uint16_t event;
    uint32_t value;
    memcpy(&event, data, sizeof event);
    memcpy(&value, data + sizeof event, sizeof value);
    char address[ADDRESS_BYTES];
    size_t size = zmq_msg_size(&parts[1]);
    size = size < sizeof address ? size : sizeof address - 1;
    memcpy(address, zmq_msg_data(&parts[1]), size);
    address[size] = '\0';
    socket->event(socket, event, value, address, socket->event_arg);
}
