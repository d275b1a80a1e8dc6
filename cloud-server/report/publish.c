/* publish: a PUB socket needs no place in the loop: it is only ever written to, and it takes up new
 * subscriptions when it is. */
#include "report/publish.h"
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define LINGER_MS 500
#define SEND_QUEUE 1000 /* answers per subscriber; beyond, it loses them */

struct publisher {
    void *socket;
    char address[256];
    struct metric_counter *sent, *failed;
};

static int bind_socket(struct publisher *publisher, const char *address, const struct guard *guard,
                       struct error *err)
{
    const int linger = LINGER_MS, queue = SEND_QUEUE, ipv6 = strchr(address, '[') != NULL;
    size_t size = sizeof publisher->address;

    if (zmq_setsockopt(publisher->socket, ZMQ_LINGER, &linger, sizeof linger) < 0 ||
        zmq_setsockopt(publisher->socket, ZMQ_SNDHWM, &queue, sizeof queue) < 0 ||
        zmq_setsockopt(publisher->socket, ZMQ_IPV6, &ipv6, sizeof ipv6) < 0)
        return error_set(err, ERROR_IO, "publish", "socket options: %s", zmq_strerror(zmq_errno()));
    int rc = guard_secure(guard, publisher->socket, err);
    if (rc < 0)
        return rc;
    if (zmq_bind(publisher->socket, address) < 0 ||
        zmq_getsockopt(publisher->socket, ZMQ_LAST_ENDPOINT, publisher->address, &size) < 0)
        return error_set(err, ERROR_IO, "publish.address", "cannot listen on %s: %s", address,
                         zmq_strerror(zmq_errno()));
    return 0;
}

int publisher_open(struct publisher **out, void *zmq_context, const char *address,
                   const struct guard *guard, struct metrics *metrics, struct error *err)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        return error_set(err, ERROR_MEMORY, "publish", "no room");
    publisher->sent = metrics_counter(metrics, "server_answers_published_total",
                                      "answers given to the publishing socket", NULL, 0);
    publisher->failed = metrics_counter(metrics, "server_answers_unpublished_total",
                                        "answers that the publishing socket did not take", NULL, 0);
    publisher->socket = zmq_socket(zmq_context, ZMQ_PUB);
    int rc = 0;
    if (!publisher->socket)
        rc = error_set(err, ERROR_IO, "publish", "no socket: %s", zmq_strerror(zmq_errno()));
    if (rc == 0)
        rc = bind_socket(publisher, address, guard, err);
    if (rc < 0) {
        publisher_close(&publisher);
        return rc;
    }
    *out = publisher;
    return 0;
}

const char *publisher_address(const struct publisher *publisher)
{
    return publisher->address;
}

void publisher_send(struct publisher *publisher, const Runespoor__Answer *answer)
{
    zmq_msg_t message;

    if (zmq_msg_init_size(&message, runespoor__answer__get_packed_size(answer)) < 0) {
        metric_counter_add(publisher->failed, 1);
        return;
    }
    runespoor__answer__pack(answer, zmq_msg_data(&message));
    /* A PUB socket takes both parts or none: it drops per subscriber, never in between. */
    if (zmq_send(publisher->socket, answer->stream, strlen(answer->stream),
                 ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_msg_send(&message, publisher->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&message);
        metric_counter_add(publisher->failed, 1);
        return;
    }
    metric_counter_add(publisher->sent, 1);
}

void publisher_close(struct publisher **publisher)
{
    if (!*publisher)
        return;
    if ((*publisher)->socket)
        zmq_close((*publisher)->socket);
    free(*publisher);
    *publisher = NULL;
}
