/* publish: the socket is only ever written to; in the loop it takes up new subscriptions. */
#include "report/publish.h"
#include "base/log.h"
#include "net/zmq_loop.h"
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define LINGER_MS 500
#define SEND_QUEUE 1000 /* answers per subscriber; beyond, it loses them */
#define LOOK_MS 200u    /* for readers that are to be sent away, and then until it listens again */

struct publisher {
    uv_timer_t look; /* first, so that its close callback can free the publisher */
    struct guard *guard;
    struct zmq_socket *socket;
    char address[256];
    bool away; /* does not listen */
    struct metric_counter *sent, *failed;
};

static void on_look(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);

static int set_options(const struct publisher *publisher, void *raw, const char *address,
                       struct error *err)
{
    const int linger = LINGER_MS, queue = SEND_QUEUE, ipv6 = strchr(address, '[') != NULL;

    if (zmq_setsockopt(raw, ZMQ_LINGER, &linger, sizeof linger) < 0 ||
        zmq_setsockopt(raw, ZMQ_SNDHWM, &queue, sizeof queue) < 0 ||
        zmq_setsockopt(raw, ZMQ_IPV6, &ipv6, sizeof ipv6) < 0)
        return error_set(err, ERROR_IO, "publish", "socket options: %s", zmq_strerror(zmq_errno()));
    return guard_secure(publisher->guard, raw, GUARD_ANSWERS, err);
}

static int open_socket(struct publisher *publisher, uv_loop_t *loop, void *zmq_context,
                       const char *address, struct error *err)
{
    void *raw = zmq_socket(zmq_context, ZMQ_PUB);
    size_t size = sizeof publisher->address;

    if (!raw)
        return error_set(err, ERROR_IO, "publish", "no socket: %s", zmq_strerror(zmq_errno()));
    int rc = set_options(publisher, raw, address, err);
    if (rc == 0)
        rc = zmq_socket_attach(&publisher->socket, loop, raw, NULL, NULL, err);
    if (rc < 0) {
        zmq_close(raw);
        return rc;
    }
    rc = guard_watch(publisher->guard, publisher->socket, zmq_context, err);
    if (rc == 0 && (zmq_bind(raw, address) < 0 ||
                    zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, publisher->address, &size) < 0))
        rc = error_set(err, ERROR_IO, "publish.address", "cannot listen on %s: %s", address,
                       zmq_strerror(zmq_errno()));
    return rc;
}

int publisher_open(struct publisher **out, uv_loop_t *loop, void *zmq_context, const char *address,
                   struct guard *guard, struct metrics *metrics, struct error *err)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        return error_set(err, ERROR_MEMORY, "publish", "no room");
    publisher->guard = guard;
    publisher->sent = metrics_counter(metrics, "server_answers_published_total",
                                      "answers given to the publishing socket", NULL, 0);
    publisher->failed = metrics_counter(metrics, "server_answers_unpublished_total",
                                        "answers that the publishing socket did not take", NULL, 0);
    uv_timer_init(loop, &publisher->look);
    int rc = open_socket(publisher, loop, zmq_context, address, err);
    if (rc < 0) {
        publisher_close(&publisher);
        return rc;
    }
    uv_timer_start(&publisher->look, on_look, LOOK_MS, LOOK_MS);
    *out = publisher;
    return 0;
}

const char *publisher_address(const struct publisher *publisher)
{
    return publisher->address;
}

void publisher_send(struct publisher *publisher, const Runespoor__Answer *answer)
{
    void *raw = zmq_socket_raw(publisher->socket);
    zmq_msg_t message;

    if (zmq_msg_init_size(&message, runespoor__answer__get_packed_size(answer)) < 0) {
        metric_counter_add(publisher->failed, 1);
        return;
    }
    runespoor__answer__pack(answer, zmq_msg_data(&message));
    /* A PUB socket takes both parts or none: it drops per subscriber, never in between. */
    if (zmq_send(raw, answer->stream, strlen(answer->stream), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_msg_send(&message, raw, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&message);
        metric_counter_add(publisher->failed, 1);
        return;
    }
    metric_counter_add(publisher->sent, 1);
}

/* A single subscriber cannot be sent away: libzmq ends connections with the place where they came in. That
 * is closed by libzmq's own thread, so it may take a moment until it can be opened again. */
static void on_look(uv_timer_t *timer)
{
    struct publisher *publisher = (struct publisher *)timer;
    void *raw = zmq_socket_raw(publisher->socket);

    if (guard_reader_left(publisher->guard) && !publisher->away) {
        publisher->away = zmq_unbind(raw, publisher->address) == 0;
        log_info("publish",
                 "a reader's key was taken back: all are sent away, those who may come back");
    } else if (publisher->away) {
        publisher->away = zmq_bind(raw, publisher->address) != 0;
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void publisher_close(struct publisher **publisher)
{
    if (!*publisher)
        return;
    zmq_socket_detach(&(*publisher)->socket);
    uv_close((uv_handle_t *)&(*publisher)->look, on_closed);
    *publisher = NULL;
}
