/* net: the network, in place of net/zmq_loop.h and of libzmq's sockets below it. Connections are as TCP's:
 * in order and whole until they break; then what is on its way is lost, and both ends hear of it. Behind them
 * stands what libzmq does: a handshake, heartbeats, high-water marks, a linger. Messages themselves are
 * libzmq's. */
#include "sim.h"

#include "net/zmq_loop.h"
#include "net/zmq_socket_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 41u
#define MESSAGES_PER_TURN 64u
#define HEARTBEAT_LOST_NS (6 * SIM_S) /* HEARTBEAT_TIMEOUT of both daemons */
#define SEND_QUEUE 1000               /* libzmq's default */
#define PARTS_MAX 3u

struct net_faults net;

/* A socket of libzmq's. */
struct raw {
    int type;
    struct process *process;
    struct zmq_socket *attached;
    char address[256];
    bool bound;
    char domain[64];
    char public_text[KEY_BYTES], server_text[KEY_BYTES];
    int send_queue, linger_ms;
    struct raw *next;
};

/* Direction 0: to the server, 1: to the client. */
struct connection {
    struct raw *client, *server; /* NULL: that end is closed, or not open yet */
    uint8_t identity[5];
    char public_text[KEY_BYTES];
    uint64_t last_due_ns[2], free_ns[2];
    int queued[2];
    uint64_t silent_until_ns;
    size_t items; /* of any kind, on their way */
    struct connection *next;
};

enum item_kind { ITEM_MESSAGE, ITEM_ATTEMPT, ITEM_HANDSHAKE, ITEM_EVENT, ITEM_END };

struct item {
    enum item_kind kind;
    uint64_t due_ns, number;
    struct connection *connection; /* NULL: of the socket itself */
    int direction;
    uint16_t event;
    uint32_t value;
    zmq_msg_t parts[PARTS_MAX];
    size_t count;
    struct item *next;
};

struct zmq_socket {
    uv_prepare_t alive; /* first: keeps the loop alive while attached */
    struct raw *raw;
    zmq_receive_fn *receive;
    zmq_event_fn *event;
    void *arg, *event_arg;
    struct item *inbox; /* by the time at which it is due */
    struct zmq_socket *next;
};

struct zap_handler {
    uv_prepare_t alive;
    zap_decide_fn *decide;
    void *arg;
    struct process *process;
    struct zap_handler *next;
};

static struct raw *raws;
static struct zmq_socket *sockets;
static struct connection *connections;
static struct zap_handler *handlers;
static uint64_t item_number;
static const char *sender_key; /* of the message that is being received */
static uint64_t identities;

static void sweep_connections(void);

void net_init(void)
{
    SIM_CHECK(!raws && !sockets && !handlers, "a socket is left over");
    sweep_connections();
    SIM_CHECK(!connections, "a connection is left over");
    memset(&net, 0, sizeof net);
    item_number = identities = 0;
}

size_t net_socket_count(void)
{
    size_t count = 0;
    for (const struct raw *raw = raws; raw; raw = raw->next)
        count++;
    return count;
}

/* ---- connections and what is on its way ---- */

/* Those that have no end left, and nothing on their way. */
static void sweep_connections(void)
{
    for (struct connection **at = &connections; *at;) {
        struct connection *connection = *at;
        if (connection->client || connection->server || connection->items > 0) {
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        free(connection);
    }
}

static void free_item(struct item *item)
{
    for (size_t i = 0; i < item->count; i++)
        zmq_msg_close(&item->parts[i]);
    if (item->connection) {
        if (item->kind == ITEM_MESSAGE)
            item->connection->queued[item->direction]--;
        item->connection->items--;
    }
    free(item);
}

static void insert(struct zmq_socket *socket, struct item *item)
{
    struct item **at = &socket->inbox;
    while (*at && ((*at)->due_ns < item->due_ns ||
                   ((*at)->due_ns == item->due_ns && (*at)->number < item->number)))
        at = &(*at)->next;
    item->next = *at;
    *at = item;
    loop_wake(socket->alive.loop);
}

static struct item *make_item(enum item_kind kind, struct connection *connection, uint64_t due_ns)
{
    struct item *item = sim_alloc(sizeof *item);
    item->kind = kind;
    item->connection = connection;
    item->due_ns = due_ns;
    item->number = item_number++;
    if (connection)
        connection->items++;
    return item;
}

static uint64_t later_ns(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t delay_ns(void)
{
    return (net.delay_us + (net.jitter_us ? sim_between(0, net.jitter_us) : 0)) * 1000ull;
}

/* When the next thing of this many bytes arrives. */
static uint64_t arrival_ns(struct connection *connection, int direction, size_t bytes)
{
    uint64_t sent_ns = later_ns(fiber_now_ns(), connection->free_ns[direction]);
    if (net.bytes_per_s > 0)
        sent_ns += bytes * SIM_S / net.bytes_per_s;
    connection->free_ns[direction] = sent_ns;
    uint64_t due_ns = later_ns(sent_ns + delay_ns(), connection->silent_until_ns);
    due_ns = later_ns(due_ns, connection->last_due_ns[direction]);
    connection->last_due_ns[direction] = due_ns;
    return due_ns;
}

static struct raw *end_of(const struct connection *connection, int direction)
{
    return direction == 0 ? connection->server : connection->client;
}

/* Takes back what is on its way of a connection, to one end. */
static void drop_items(struct zmq_socket *socket, const struct connection *connection)
{
    for (struct item **at = &socket->inbox; *at;) {
        struct item *item = *at;
        if (item->connection != connection) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        free_item(item);
    }
}

static void put_event(struct connection *connection, uint16_t event, uint32_t value, uint64_t due_ns)
{
    struct raw *client = connection->client;
    if (!client || !client->attached)
        return;
    struct item *item = make_item(ITEM_EVENT, NULL, due_ns);
    item->event = event;
    item->value = value;
    insert(client->attached, item);
}

/* It breaks under both ends. */
static void break_connection(struct connection *connection)
{
    for (int direction = 0; direction < 2; direction++) {
        struct raw *end = end_of(connection, direction);
        if (end && end->attached)
            drop_items(end->attached, connection);
    }
    put_event(connection, ZMQ_EVENT_DISCONNECTED, 0, fiber_now_ns() + delay_ns());
    connection->client = connection->server = NULL;
}

void net_cut(void)
{
    sim_note("net: cut");
    for (struct connection *c = connections; c; c = c->next)
        break_connection(c);
}

/* Brings what is due in silence to its end, in the same order. */
static void postpone(struct zmq_socket *socket, const struct connection *connection, uint64_t until_ns)
{
    struct item *held = NULL, **end = &held;
    for (struct item **at = &socket->inbox; *at;) {
        struct item *item = *at;
        if (item->connection != connection || item->due_ns >= until_ns) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        *end = item;
        end = &item->next;
        item->next = NULL;
    }
    while (held) {
        struct item *item = held;
        held = item->next;
        item->due_ns = until_ns;
        insert(socket, item);
    }
}

void net_silence(uint64_t ns)
{
    uint64_t until_ns = fiber_now_ns() + ns;
    sim_note("net: silence for %.3f s", (double)ns / SIM_S);
    net.silent_until_ns = until_ns;
    for (struct connection *c = connections; c; c = c->next) {
        c->silent_until_ns = until_ns;
        for (int direction = 0; direction < 2; direction++) {
            struct raw *end = end_of(c, direction);
            c->last_due_ns[direction] = later_ns(c->last_due_ns[direction], until_ns);
            if (end && end->attached)
                postpone(end->attached, c, until_ns);
        }
        if (ns > HEARTBEAT_LOST_NS) {
            uint64_t lost_ns = fiber_now_ns() + HEARTBEAT_LOST_NS + sim_between(0, 2 * SIM_S);
            for (int direction = 0; direction < 2; direction++) {
                struct raw *end = end_of(c, direction);
                if (end && end->attached)
                    insert(end->attached, make_item(ITEM_END, c, lost_ns));
            }
        }
    }
}

/* This end closes. What was sent still arrives (lingers), then the other hears of the end; gone: the sender
 * was killed, and what it had not handed to its kernel goes with it. */
static void close_end(struct connection *connection, const struct raw *end, bool gone)
{
    int direction = end == connection->client ? 0 : 1;
    struct raw *other = end_of(connection, direction);
    if (end->attached)
        drop_items(end->attached, connection);
    *(direction == 0 ? &connection->client : &connection->server) = NULL;
    if (other && other->attached) {
        uint64_t due_ns = arrival_ns(connection, direction, 0);
        uint64_t linger_ns = fiber_now_ns() + (gone ? 0 : (uint64_t)end->linger_ms * SIM_MS) +
                             net.delay_us * 1000ull + net.jitter_us * 1000ull;
        if (due_ns > linger_ns && connection->silent_until_ns <= fiber_now_ns())
            due_ns =
                linger_ns; /* the rest is not waited for; it comes behind the end and is not read */
        insert(other->attached, make_item(ITEM_END, connection, due_ns));
    }
}

void net_kill(struct process *process)
{
    for (struct raw *raw = raws; raw; raw = raw->next) {
        if (raw->process != process)
            continue;
        for (struct connection *c = connections; c; c = c->next)
            if (c->client == raw || c->server == raw)
                close_end(c, raw, true);
        raw->bound = false;
        while (raw->attached && raw->attached->inbox) {
            struct item *item = raw->attached->inbox;
            raw->attached->inbox = item->next;
            free_item(item);
        }
    }
}

/* ---- what arrives ---- */

static void on_end(struct zmq_socket *socket, struct connection *connection)
{
    struct raw *raw = socket->raw;
    if (connection->client == raw) {
        put_event(connection, ZMQ_EVENT_DISCONNECTED, 0, fiber_now_ns());
        connection->client = NULL;
    } else if (connection->server == raw) {
        connection->server = NULL;
    } else {
        return;
    }
    drop_items(socket, connection);
}

static void on_attempt(struct zmq_socket *socket)
{
    struct raw *client = socket->raw, *server = raws;
    while (server && !(server->bound && strcmp(server->address, client->address) == 0))
        server = server->next;
    if (net.unreachable || fiber_now_ns() < net.silent_until_ns)
        return; /* nothing comes back, the client has a deadline */
    if (!server || !server->attached) {
        socket->event(socket, ZMQ_EVENT_CLOSED, 0, client->address, socket->event_arg);
        return;
    }
    struct connection *connection = sim_alloc(sizeof *connection);
    *connection = (struct connection){ .client = client, .next = connections };
    connections = connection;
    memcpy(connection->public_text, client->public_text, KEY_BYTES);
    uint64_t number = ++identities;
    connection->identity[0] = 0;
    memcpy(connection->identity + 1, &number, 4);
    insert(server->attached, make_item(ITEM_HANDSHAKE, connection, arrival_ns(connection, 0, 500)));
}

static bool is_let_in(const struct process *process, const char *domain, const char *public_text)
{
    for (struct zap_handler *handler = handlers; handler; handler = handler->next)
        if (handler->process == process)
            return handler->decide(domain, public_text, "192.0.2.1", handler->arg);
    sim_fail("a server without a ZAP handler lets everybody in");
}

static void on_handshake(struct zmq_socket *socket, struct connection *connection)
{
    struct raw *server = socket->raw;
    if (!connection->client)
        return;
    bool broken = sim_chance(net.handshake_fails) ||
                  strcmp(connection->client->server_text, server->public_text) != 0;
    bool welcome = !broken && is_let_in(server->process, server->domain, connection->public_text);
    uint64_t due_ns = arrival_ns(connection, 1, 500);
    if (welcome) {
        connection->server = server;
        put_event(connection, ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 0, due_ns);
        return;
    }
    if (broken && socket->event)
        socket->event(socket, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
                      ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC, server->address, socket->event_arg);
    put_event(connection,
              broken ? ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL : ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
              broken ? 0 : 400, due_ns);
    connection->client = NULL;
}

static void on_message(struct zmq_socket *socket, struct item *item)
{
    zmq_msg_t parts[PARTS_MAX + 1];
    size_t count = 0;
    struct connection *connection = item->connection;
    if (item->direction == 0) {
        if (connection->server != socket->raw)
            return;
        zmq_msg_init_size(&parts[count], sizeof connection->identity);
        memcpy(zmq_msg_data(&parts[count++]), connection->identity, sizeof connection->identity);
    }
    for (size_t i = 0; i < item->count; i++) {
        size_t bytes = zmq_msg_size(&item->parts[i]);
        zmq_msg_init_size(&parts[count], bytes);
        memcpy(zmq_msg_data(&parts[count++]), zmq_msg_data(&item->parts[i]), bytes);
    }
    char key[KEY_BYTES];
    memcpy(key, connection->public_text, KEY_BYTES);
    sender_key = key;
    socket->receive(socket, parts, count, false, socket->arg);
    sender_key = NULL;
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&parts[i]);
}

const char *zmq_msg_gets(const zmq_msg_t *message, const char *property)
{
    (void)message;
    return strcmp(property, "User-Id") == 0 ? sender_key : NULL;
}

static void handle(struct zmq_socket *socket, struct item *item)
{
    switch (item->kind) {
    case ITEM_MESSAGE:
        on_message(socket, item);
        break;
    case ITEM_ATTEMPT:
        on_attempt(socket);
        break;
    case ITEM_HANDSHAKE:
        on_handshake(socket, item->connection);
        break;
    case ITEM_EVENT:
        if (socket->event)
            socket->event(socket, item->event, item->value, socket->raw->address, socket->event_arg);
        break;
    case ITEM_END:
        on_end(socket, item->connection);
        break;
    }
}

/* A socket of the loop with something due; callbacks may have closed any. */
static struct zmq_socket *find_due(const void *loop)
{
    for (struct zmq_socket *socket = sockets; socket; socket = socket->next)
        if (socket->alive.loop == loop && socket->inbox && socket->inbox->due_ns <= fiber_now_ns())
            return socket;
    return NULL;
}

uint64_t net_turn(const void *loop)
{
    struct zmq_socket *socket;
    sweep_connections();
    for (unsigned i = 0; i < MESSAGES_PER_TURN && (socket = find_due(loop)); i++) {
        struct item *item = socket->inbox;
        socket->inbox = item->next;
        sim_count_event();
        handle(socket, item);
        free_item(item);
    }
    uint64_t next_ns = SIM_NEVER;
    for (socket = sockets; socket; socket = socket->next)
        if (socket->alive.loop == loop && socket->inbox && socket->inbox->due_ns < next_ns)
            next_ns = socket->inbox->due_ns;
    return next_ns;
}

/* ---- net/zmq_loop.h ---- */

static void on_alive(uv_prepare_t *handle)
{
    (void)handle;
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle);
}

int zmq_socket_attach(struct zmq_socket **out, uv_loop_t *loop, void *raw, zmq_receive_fn *receive,
                      void *arg, struct error *err)
{
    struct zmq_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return error_set(err, ERROR_MEMORY, "zmq", "no room for %zu bytes", sizeof *socket);
    socket->raw = raw;
    socket->receive = receive;
    socket->arg = arg;
    socket->raw->attached = socket;
    uv_prepare_init(loop, &socket->alive);
    uv_prepare_start(&socket->alive, on_alive);
    socket->next = sockets;
    sockets = socket;
    *out = socket;
    return 0;
}

int zmq_socket_watch_events(struct zmq_socket *socket, void *zmq_context, zmq_event_fn *event,
                            void *arg, struct error *err)
{
    (void)zmq_context;
    (void)err;
    socket->event = event;
    socket->event_arg = arg;
    return 0;
}

void *zmq_socket_raw(struct zmq_socket *socket)
{
    return socket->raw;
}

static int refuse(int code, struct error *err)
{
    return error_set(err, ERROR_AGAIN, "send",
                     code == EAGAIN ? "no room in the queue" : "the peer is gone");
}

/* The connection that a message goes to, and the message's first part that goes along. */
static struct connection *find_way(const struct raw *raw, const zmq_msg_t *parts, int *direction)
{
    *direction = raw->type == ZMQ_ROUTER ? 1 : 0;
    for (struct connection *c = connections; c; c = c->next) {
        if (*direction == 0 && c->client == raw)
            return c;
        if (*direction == 1 && c->server == raw && zmq_msg_size(&parts[0]) == sizeof c->identity &&
            memcmp(zmq_msg_data((zmq_msg_t *)&parts[0]), c->identity, sizeof c->identity) == 0)
            return c;
    }
    return NULL;
}

static void put_message(struct connection *connection, int direction, zmq_msg_t *parts, size_t count)
{
    struct raw *to = end_of(connection, direction);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += zmq_msg_size(&parts[i]);
    if (!to || !to->attached)
        return; /* the other end has closed, which this one does not know yet */
    struct item *item = make_item(ITEM_MESSAGE, connection, arrival_ns(connection, direction, bytes));
    item->direction = direction;
    connection->queued[direction]++;
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&item->parts[i]);
        zmq_msg_move(&item->parts[i], &parts[i]);
    }
    item->count = count;
    insert(to->attached, item);
}

int zmq_socket_send(struct zmq_socket *socket, zmq_msg_t *parts, size_t count, struct error *err)
{
    struct raw *raw = socket->raw;
    int direction, result = 0;
    struct connection *connection = find_way(raw, parts, &direction);
    if (raw->process->dead)
        result = 0;
    else if (!connection)
        result = refuse(direction == 0 ? EAGAIN : EHOSTUNREACH, err);
    else if (connection->queued[direction] >= (net.send_queue ? net.send_queue : raw->send_queue))
        result = refuse(EAGAIN, err);
    else
        put_message(connection, direction, parts + direction, count - (size_t)direction);
    for (size_t i = 0; i < count; i++) {
        zmq_msg_close(&parts[i]);
        zmq_msg_init(&parts[i]);
    }
    return result;
}

void zmq_socket_detach(struct zmq_socket **socket_ptr)
{
    struct zmq_socket *socket = *socket_ptr;
    *socket_ptr = NULL;
    if (!socket)
        return;
    struct zmq_socket **at = &sockets;
    while (*at != socket)
        at = &(*at)->next;
    *at = socket->next;
    for (struct connection *c = connections; c; c = c->next)
        if (c->client == socket->raw || c->server == socket->raw)
            close_end(c, socket->raw, false);
    while (socket->inbox) {
        struct item *item = socket->inbox;
        socket->inbox = item->next;
        free_item(item);
    }
    socket->raw->attached = NULL;
    zmq_close(socket->raw);
    uv_close((uv_handle_t *)&socket->alive, on_socket_closed);
}

int zap_handler_open(struct zap_handler **out, uv_loop_t *loop, void *zmq_context,
                     zap_decide_fn *decide, void *arg, struct error *err)
{
    (void)zmq_context;
    struct zap_handler *handler = calloc(1, sizeof *handler);
    if (!handler)
        return error_set(err, ERROR_MEMORY, "zap", "no room");
    handler->decide = decide;
    handler->arg = arg;
    handler->process = fiber_process();
    uv_prepare_init(loop, &handler->alive);
    uv_prepare_start(&handler->alive, on_alive);
    handler->next = handlers;
    handlers = handler;
    *out = handler;
    return 0;
}

void zap_handler_close(struct zap_handler **handler_ptr)
{
    struct zap_handler *handler = *handler_ptr;
    *handler_ptr = NULL;
    if (!handler)
        return;
    struct zap_handler **at = &handlers;
    while (*at != handler)
        at = &(*at)->next;
    *at = handler->next;
    uv_close((uv_handle_t *)&handler->alive, on_socket_closed);
}

/* ---- libzmq's sockets ---- */

struct context {
    size_t sockets;
};

void *zmq_ctx_new(void)
{
    return calloc(1, sizeof(struct context));
}

int zmq_ctx_term(void *context)
{
    for (const struct raw *raw = raws; raw; raw = raw->next)
        SIM_CHECK(raw->process != fiber_process(), "%s leaves a socket behind", raw->process->name);
    free(context);
    return 0;
}

void *zmq_socket(void *context, int type)
{
    (void)context;
    struct raw *raw = calloc(1, sizeof *raw);
    if (!raw) {
        errno = ENOMEM;
        return NULL;
    }
    *raw = (struct raw){
        .type = type, .process = fiber_process(), .send_queue = SEND_QUEUE, .next = raws
    };
    raws = raw;
    return raw;
}

int zmq_close(void *closed)
{
    struct raw **at = &raws;
    while (*at != closed)
        at = &(*at)->next;
    *at = (*at)->next;
    free(closed);
    return 0;
}

static void copy_key(char *key, const void *value, size_t bytes)
{
    SIM_CHECK(bytes == KEY_BYTES, "a key of %zu bytes", bytes);
    memcpy(key, value, KEY_BYTES);
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t bytes)
{
    static char secret[KEY_BYTES], public[KEY_BYTES]; /* of the last server: costs a while */
    struct raw *raw = socket;
    if (option == ZMQ_CURVE_SERVERKEY)
        copy_key(raw->server_text, value, bytes);
    else if (option == ZMQ_CURVE_PUBLICKEY)
        copy_key(raw->public_text, value, bytes);
    else if (option == ZMQ_SNDHWM)
        memcpy(&raw->send_queue, value, sizeof raw->send_queue);
    else if (option == ZMQ_LINGER)
        memcpy(&raw->linger_ms, value, sizeof raw->linger_ms);
    else if (option == ZMQ_ZAP_DOMAIN && bytes < sizeof raw->domain)
        memcpy(raw->domain, value, bytes);
    else if (option == ZMQ_CURVE_SECRETKEY && raw->type == ZMQ_ROUTER) {
        if (memcmp(secret, value, KEY_BYTES) != 0) {
            copy_key(secret, value, bytes);
            zmq_curve_public(public, secret);
        }
        memcpy(raw->public_text, public, KEY_BYTES);
    }
    return 0;
}

int zmq_getsockopt(void *socket, int option, void *value, size_t *bytes)
{
    const struct raw *raw = socket;
    SIM_CHECK(option == ZMQ_LAST_ENDPOINT, "socket option %d is not foreseen", option);
    memcpy(value, raw->address, strlen(raw->address) + 1);
    *bytes = strlen(raw->address) + 1;
    return 0;
}

static void copy_address(struct raw *raw, const char *address)
{
    SIM_CHECK(strlen(address) < sizeof raw->address, "an address of %zu bytes", strlen(address));
    memcpy(raw->address, address, strlen(address) + 1);
}

int zmq_bind(void *socket, const char *address)
{
    struct raw *fresh = socket;
    for (const struct raw *raw = raws; raw; raw = raw->next)
        if (raw->bound && strcmp(raw->address, address) == 0) {
            errno = EADDRINUSE;
            return -1;
        }
    copy_address(fresh, address);
    fresh->bound = !fresh->process->dead;
    return 0;
}

int zmq_connect(void *socket, const char *address)
{
    struct raw *raw = socket;
    copy_address(raw, address);
    if (!raw->process->dead)
        insert(raw->attached, make_item(ITEM_ATTEMPT, NULL, fiber_now_ns() + delay_ns()));
    return 0;
}
