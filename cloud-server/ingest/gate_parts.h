/* gate_parts: what the files of the gate share: gate.c has the socket and its messages, hello.c who
 * gets a seat. Nobody else includes this. */
#ifndef RUNESPOOR_INGEST_GATE_PARTS_H
#define RUNESPOOR_INGEST_GATE_PARTS_H

#include "ingest/account.h"
#include "ingest/gate.h"
#include "ingest/log_limit.h"
#include "net/wire.h"
#include "net/zmq_loop.h"

#define IDENTITY_BYTES_MAX 255u /* ZeroMQ's own limit */
#define SILENT_PERIODS 3u
#define LOG_AGAIN_MS 60000u
#define SEAT_BITS 16u /* of a session's number that name its seat */

struct identity {
    uint8_t bytes[IDENTITY_BYTES_MAX];
    size_t size;
};

struct seat {
    struct gate *gate;
    struct session *session; /* NULL: the seat is free */
    uint64_t id;
    char stream[WIRE_NAME_BYTES_MAX + 1], agent[WIRE_NAME_BYTES_MAX + 1];
    struct identity identity;
    struct account *account;
    bool late; /* a backlog's, beside the live one of the same name */
    uint64_t heard_ns;
    const char *farewell; /* set: it is ending; "" when the agent has gone by itself */
    struct metric_gauge *age_p50, *age_p99;
};

struct gate {
    uv_timer_t tick; /* first, so that its close callback can free the gate */
    struct session_rooms *rooms;
    const struct server_config *config;
    struct guard *guard;
    struct zmq_socket *socket;
    char address[256];
    struct seat *seats; /* config->limits.streams */
    size_t seat_count;  /* in use */
    struct accounts *accounts;
    struct log_limit logged;
    char hold[128]; /* "" : Hellos are welcome */
    bool draining;
    void (*drained)(void *arg);
    void *drained_arg;
    struct metric_gauge *streams;
    struct metric_counter *sessions, *unsent;
};

/* Who sent the message at hand. */
struct sender {
    struct identity identity;
    const char *key;
};

/* gate.c */
void gate_send(struct gate *gate, const struct identity *to, const Runespoor__Header *header);
/* farewell: what the Bye will say, "" for none. drain: see session_end. */
void gate_end_seat(struct seat *seat, const char *farewell, bool drain);
void gate_on_session_closed(void *seat);
bool identity_equals(const struct identity *a, const struct identity *b);

/* hello.c: answers it, with a session or in words. */
void gate_on_hello(struct gate *gate, const struct sender *sender, const Runespoor__Hello *hello);

#endif
