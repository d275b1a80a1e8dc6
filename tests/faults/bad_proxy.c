/* bad_proxy: a TCP proxy that misbehaves on demand, to stand before a camera, a server or a broker.
 *
 *     bad_proxy LISTEN_PORT TO_PORT      (both on 127.0.0.1; LISTEN_PORT 0: a free one)
 *
 * Prints "ready PORT", then "ok LINE" for each line on standard input that has been done, "bad LINE" for
 * others:
 *     pass        carries bytes both ways
 *     trickle N   carries N bytes a second each way, on each connection
 *     hang        carries nothing, closes nothing, and takes new connections without a word
 *     refuse      resets all connections and listens no more
 *     reset       resets all connections; how it goes on stays as it was
 * A connection that comes after a line is treated by it like those that are there. Ends with its standard
 * input. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define LINE_BYTES_MAX 128u
#define PAIRS_MAX 256u
#define BUFFER_BYTES 65536u
#define TICK_MS 50u /* of a trickle */

enum mode { MODE_PASS, MODE_TRICKLE, MODE_HANG, MODE_REFUSE };

struct pair;

/* One way: what one socket said and the other has not got yet. */
struct way {
    struct pair *pair;
    uv_tcp_t from; /* read here; the other way's from is written to */
    uv_write_t write;
    char buffer[BUFFER_BYTES];
    size_t begin, end;
    size_t allowed; /* bytes that may go in this tick of a trickle */
    bool writing;
};

struct pair {
    struct way up, down; /* from the client, from the peer */
    uv_connect_t connect;
    bool used, connected, closing;
    unsigned open_handles;
};

static struct {
    uv_loop_t loop;
    uv_tcp_t *listener; /* NULL: refuses */
    uv_pipe_t input;
    uv_timer_t tick;
    char line[LINE_BYTES_MAX], bytes[LINE_BYTES_MAX];
    size_t line_bytes;
    struct sockaddr_in here, there;
    enum mode mode;
    unsigned long trickle_bytes; /* a second */
    struct pair pairs[PAIRS_MAX];
} proxy;

static void move(struct way *way);

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "bad_proxy: %s: %s\n", what, uv_strerror(result));
    exit(EXIT_FAILURE);
}

/* ---- connections ---- */

static void on_closed(uv_handle_t *handle)
{
    struct pair *pair = ((struct way *)handle->data)->pair;
    if (--pair->open_handles == 0)
        pair->used = false;
}

static void close_pair(struct pair *pair, bool by_reset)
{
    struct way *ways[] = { &pair->up, &pair->down };
    if (pair->closing)
        return;
    pair->closing = true;
    for (size_t i = 0; i < 2; i++)
        if (!by_reset || uv_tcp_close_reset(&ways[i]->from, on_closed) != 0)
            uv_close((uv_handle_t *)&ways[i]->from, on_closed);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct way *way = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(way->buffer + way->end, (unsigned)(BUFFER_BYTES - way->end));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct way *way = stream->data;
    (void)buffer;
    if (got < 0) {
        close_pair(way->pair, false);
        return;
    }
    way->end += (size_t)got;
    if (way->end == BUFFER_BYTES)
        uv_read_stop(stream);
    move(way);
}

static void on_written(uv_write_t *write, int status)
{
    struct way *way = write->data;
    way->writing = false;
    if (status < 0) {
        close_pair(way->pair, false);
        return;
    }
    memmove(way->buffer, way->buffer + way->begin, way->end - way->begin);
    way->end -= way->begin;
    way->begin = 0;
    uv_read_start((uv_stream_t *)&way->from, on_room, on_read); /* harmless where it reads already */
    move(way);
}

/* Hands on what may go now. */
static void move(struct way *way)
{
    struct pair *pair = way->pair;
    struct way *other = way == &pair->up ? &pair->down : &pair->up;
    size_t size = way->end;
    if (pair->closing || !pair->connected || way->writing || proxy.mode == MODE_HANG)
        return;
    if (proxy.mode == MODE_TRICKLE && size > way->allowed)
        size = way->allowed;
    if (size == 0)
        return;
    uv_buf_t bytes = uv_buf_init(way->buffer, (unsigned)size);
    way->allowed -= proxy.mode == MODE_TRICKLE ? size : 0;
    way->begin = size;
    way->writing = true;
    uv_read_stop((uv_stream_t *)&way->from); /* what is being written must stay where it is */
    if (uv_write(&way->write, (uv_stream_t *)&other->from, &bytes, 1, on_written) != 0)
        close_pair(pair, false);
}

static void move_all(void)
{
    for (size_t i = 0; i < PAIRS_MAX; i++)
        if (proxy.pairs[i].used) {
            move(&proxy.pairs[i].up);
            move(&proxy.pairs[i].down);
        }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct pair *pair = connect->data;
    if (pair->closing)
        return;
    if (status < 0) {
        close_pair(pair, true);
        return;
    }
    pair->connected = true;
    uv_read_start((uv_stream_t *)&pair->down.from, on_room, on_read);
    move(&pair->up);
}

static void init_way(struct way *way, struct pair *pair)
{
    way->pair = pair;
    way->begin = way->end = way->allowed = 0;
    way->writing = false;
    check(uv_tcp_init(&proxy.loop, &way->from), "a socket");
    way->from.data = way->write.data = way;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct pair *pair = proxy.pairs;
    check(status, "listening");
    while (pair < proxy.pairs + PAIRS_MAX && pair->used)
        pair++;
    check(pair < proxy.pairs + PAIRS_MAX ? 0 : UV_EMFILE, "one more connection");
    pair->used = true;
    pair->connected = pair->closing = false;
    pair->open_handles = 2;
    pair->connect.data = pair;
    init_way(&pair->up, pair);
    init_way(&pair->down, pair);
    check(uv_accept(listener, (uv_stream_t *)&pair->up.from), "accepting");
    uv_read_start((uv_stream_t *)&pair->up.from, on_room, on_read); /* sees the client go */
    if (uv_tcp_connect(&pair->connect, &pair->down.from, (struct sockaddr *)&proxy.there,
                       on_connected) != 0)
        close_pair(pair, true);
}

/* ---- orders ---- */

static void on_tick(uv_timer_t *timer)
{
    size_t bytes = proxy.trickle_bytes * TICK_MS / 1000;
    (void)timer;
    for (size_t i = 0; i < PAIRS_MAX; i++)
        proxy.pairs[i].up.allowed = proxy.pairs[i].down.allowed = bytes > 0 ? bytes : 1;
    move_all();
}

static void set_mode(enum mode mode)
{
    proxy.mode = mode;
    uv_timer_stop(&proxy.tick);
    if (mode == MODE_TRICKLE)
        uv_timer_start(&proxy.tick, on_tick, 0, TICK_MS);
    else
        move_all();
}

static void listen_here(void)
{
    int size = sizeof proxy.here;
    proxy.listener = malloc(sizeof *proxy.listener);
    check(proxy.listener ? 0 : UV_ENOMEM, "the port");
    check(uv_tcp_init(&proxy.loop, proxy.listener), "a socket");
    check(uv_tcp_bind(proxy.listener, (struct sockaddr *)&proxy.here, 0), "the port");
    check(uv_listen((uv_stream_t *)proxy.listener, 64, on_connection), "the port");
    check(uv_tcp_getsockname(proxy.listener, (struct sockaddr *)&proxy.here, &size), "the port");
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void reset_all(void)
{
    for (size_t i = 0; i < PAIRS_MAX; i++)
        if (proxy.pairs[i].used)
            close_pair(&proxy.pairs[i], true);
}

static void refuse(void)
{
    reset_all();
    if (proxy.listener)
        uv_close((uv_handle_t *)proxy.listener, free_handle);
    proxy.listener = NULL;
    set_mode(MODE_REFUSE);
}

static bool obey(const char *line)
{
    char *end;
    if (strcmp(line, "reset") == 0) {
        reset_all();
        return true;
    }
    if (strcmp(line, "refuse") == 0) {
        refuse();
        return true;
    }
    enum mode mode;
    if (strcmp(line, "pass") == 0) {
        mode = MODE_PASS;
    } else if (strcmp(line, "hang") == 0) {
        mode = MODE_HANG;
    } else if (strncmp(line, "trickle ", 8) == 0) {
        mode = MODE_TRICKLE;
        proxy.trickle_bytes = strtoul(line + 8, &end, 10);
        if (*end != '\0' || proxy.trickle_bytes == 0)
            return false;
    } else {
        return false;
    }
    if (!proxy.listener)
        listen_here();
    set_mode(mode);
    return true;
}

static void on_input_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(proxy.bytes, sizeof proxy.bytes);
}

static void on_input(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    (void)stream;
    (void)buffer;
    if (got < 0)
        exit(EXIT_SUCCESS);
    for (ssize_t i = 0; i < got; i++) {
        if (proxy.bytes[i] != '\n') {
            proxy.line_bytes = proxy.line_bytes < LINE_BYTES_MAX - 1 ? proxy.line_bytes : 0;
            proxy.line[proxy.line_bytes++] = proxy.bytes[i];
            continue;
        }
        proxy.line[proxy.line_bytes] = '\0';
        proxy.line_bytes = 0;
        printf("%s %s\n", obey(proxy.line) ? "ok" : "bad", proxy.line);
    }
}

static int port_of(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    return *text && !*end && port >= 0 && port <= 65535 ? (int)port : -1;
}

int main(int argc, char **argv)
{
    int here = argc == 3 ? port_of(argv[1]) : -1, there = argc == 3 ? port_of(argv[2]) : -1;
    if (here < 0 || there <= 0) {
        fprintf(stderr, "bad_proxy LISTEN_PORT TO_PORT\n");
        return EXIT_FAILURE;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    check(uv_loop_init(&proxy.loop), "a loop");
    uv_ip4_addr("127.0.0.1", here, &proxy.here);
    uv_ip4_addr("127.0.0.1", there, &proxy.there);
    uv_timer_init(&proxy.loop, &proxy.tick);
    listen_here();
    check(uv_pipe_init(&proxy.loop, &proxy.input, 0), "standard input");
    check(uv_pipe_open(&proxy.input, STDIN_FILENO), "standard input");
    check(uv_read_start((uv_stream_t *)&proxy.input, on_input_room, on_input), "standard input");
    printf("ready %u\n", ntohs(proxy.here.sin_port));
    return uv_run(&proxy.loop, UV_RUN_DEFAULT);
}
