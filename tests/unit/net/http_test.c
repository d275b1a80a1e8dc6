/* http: fetched with a raw socket from a thread of its own while the loop sleeps as it does in a
 * daemon; what is not GET of a known path is refused, and a bad address says what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_TIMEOUT_S 10
#define REPLY_BYTES (1u << 20)

struct bench {
    uv_loop_t loop;
    uv_async_t done;
    struct http_server *server;
    unsigned handled;
    bool six;
    /* one fetch */
    pthread_t thread;
    const char *request;
    size_t request_size;
    char *reply;
    size_t reply_size;
};

static unsigned hello(void *arg, struct text *body, const char **content_type)
{
    struct bench *bench = arg;
    (void)content_type;
    bench->handled++;
    text_printf(body, "hello %u\n", bench->handled);
    return 200;
}

static unsigned not_ready(void *arg, struct text *body, const char **content_type)
{
    (void)arg;
    *content_type = "application/json";
    text_add_str(body, "{\"ready\":false}");
    return 503;
}

static unsigned large(void *arg, struct text *body, const char **content_type)
{
    (void)arg, (void)content_type;
    for (unsigned i = 0; i <= HTTP_RESPONSE_BYTES_MAX / 65536; i++) {
        static const char block[65536];
        text_add(body, block, sizeof block);
    }
    return 200;
}

static unsigned half_a_megabyte(void *arg, struct text *body, const char **content_type)
{
    (void)arg, (void)content_type;
    for (unsigned i = 0; i < 65536; i++)
        text_add_str(body, "12345678");
    return 200;
}

static unsigned empty(void *arg, struct text *body, const char **content_type)
{
    (void)arg, (void)body, (void)content_type;
    return 200;
}

static struct bench bench;
static const struct http_route routes[] = {
    { "/hello", hello, &bench }, { "/readyz", not_ready, NULL },     { "/large", large, NULL },
    { "/empty", empty, NULL },   { "/half", half_a_megabyte, NULL },
};
#define ROUTE_COUNT (sizeof routes / sizeof routes[0])

static void on_done(uv_async_t *handle)
{
    uv_stop(handle->loop);
}

static int open_bench(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof bench);
    uv_loop_init(&bench.loop);
    uv_async_init(&bench.loop, &bench.done, on_done);
    bench.reply = malloc(REPLY_BYTES + 1);
    return http_server_open(&bench.server, &bench.loop, "0", routes, ROUTE_COUNT, NULL);
}

static int close_bench(void **state)
{
    (void)state;
    http_server_close(&bench.server);
    http_server_close(&bench.server); /* takes NULL */
    uv_close((uv_handle_t *)&bench.done, NULL);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    free(bench.reply);
    return uv_loop_close(&bench.loop);
}

static int connect_to(uint16_t port)
{
    struct timeval timeout = { .tv_sec = CLIENT_TIMEOUT_S };
    struct sockaddr_storage where;
    if (bench.six)
        uv_ip6_addr("::1", port, (struct sockaddr_in6 *)&where);
    else
        uv_ip4_addr("127.0.0.1", port, (struct sockaddr_in *)&where);
    int client = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    socklen_t size = bench.six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (connect(client, (struct sockaddr *)&where, size) != 0)
        abort(); /* not on cmocka's thread */
    return client;
}

/* Sends the request and reads until the server closes. */
static void *fetch_thread(void *arg)
{
    (void)arg;
    int client = connect_to(http_server_port(bench.server));
    size_t sent = 0;
    while (sent < bench.request_size) {
        ssize_t count = send(client, bench.request + sent, bench.request_size - sent, MSG_NOSIGNAL);
        if (count <= 0)
            break;
        sent += (size_t)count;
    }
    ssize_t count;
    bench.reply_size = 0;
    while ((count = recv(client, bench.reply + bench.reply_size, REPLY_BYTES - bench.reply_size, 0)) >
           0)
        bench.reply_size += (size_t)count;
    bench.reply[bench.reply_size] = '\0';
    close(client);
    uv_async_send(&bench.done);
    return NULL;
}

static const char *fetch(const char *request)
{
    bench.request = request;
    bench.request_size = strlen(request);
    assert_int_equal(pthread_create(&bench.thread, NULL, fetch_thread, NULL), 0);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    pthread_join(bench.thread, NULL);
    return bench.reply;
}

static void expect(const char *request, const char *const *texts)
{
    const char *reply = fetch(request);
    for (; *texts; texts++)
        if (!strstr(reply, *texts))
            fail_msg("no \"%s\" in \"%.600s\"", *texts, reply);
}
#define EXPECT(request, ...) expect(request, (const char *const[]){ __VA_ARGS__, NULL })

static void test_page(void **state)
{
    (void)state;
    EXPECT("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n",
           "Content-Type: text/plain; charset=utf-8\r\n", "Content-Length: 8\r\n",
           "Connection: close\r\n", "X-Content-Type-Options: nosniff\r\n", "X-Frame-Options: DENY",
           "Content-Security-Policy: default-src 'self'", "Cache-Control: no-store",
           "\r\n\r\nhello 1\n");
    EXPECT("GET /hello?a=b&c HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\nhello 2\n");
    EXPECT("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "503 Service Unavailable",
           "Content-Type: application/json\r\n", "\r\n\r\n{\"ready\":false}");
    EXPECT("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "Content-Length: 0\r\n");
    const char *reply = fetch("GET /half HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(reply, "Content-Length: 524288\r\n"));
    assert_int_equal(bench.reply_size - (size_t)(strstr(reply, "\r\n\r\n") + 4 - reply), 524288);
}

static void test_head(void **state)
{
    (void)state;
    const char *reply = fetch("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(reply, "200 OK"));
    assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\n");
}

static void test_refusals(void **state)
{
    (void)state;
    EXPECT("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found",
           "no such page; there are: /hello /readyz /large /empty /half\n");
    EXPECT("GET /hello/../hello HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found");
    EXPECT("GET /hello/ HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found");
    EXPECT("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
           "405 Method Not Allowed", "Allow: GET, HEAD\r\n", "only GET is served here");
    EXPECT("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed");
    EXPECT("GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 34\r\n\r\n"
           "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
           "400 Bad Request", "a request has no body here");
    EXPECT("GET /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "400 Bad Request");
    assert_int_equal(bench.handled, 0);
    EXPECT("GET /large HTTP/1.1\r\nHost: x\r\n\r\n", "500 Internal Server Error");
    fetch("\x16\x03\x01 not http at all\r\n\r\n");
    assert_null(strstr(bench.reply, "200 OK"));

    static char long_request[2 * HTTP_REQUEST_BYTES_MAX];
    int size = snprintf(long_request, sizeof long_request, "GET /hello HTTP/1.1\r\nX: ");
    memset(long_request + size, 'x', sizeof long_request - (size_t)size - 5);
    memcpy(long_request + sizeof long_request - 5, "\r\n\r\n", 5);
    fetch(long_request);
    assert_null(strstr(bench.reply, "200 OK"));
    assert_int_equal(bench.handled, 0);
    EXPECT("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello 1");
}

static void *wait_thread(void *arg)
{
    clock_sleep_until_ns(clock_now_ns() + *(unsigned *)arg * CLOCK_NS_PER_MS);
    uv_async_send(&bench.done);
    return NULL;
}

static void run_for(unsigned wait_ms)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_thread, &wait_ms), 0);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
}

/* More connections than are let in, none of which says anything: the loop sleeps, and once they are
 * gone the next one is served. */
static void test_connection_limit(void **state)
{
    (void)state;
    int clients[HTTP_CONNECTIONS_MAX + 10];
    size_t count = sizeof clients / sizeof clients[0];
    for (size_t i = 0; i < count; i++) {
        clients[i] = connect_to(http_server_port(bench.server));
        uv_run(&bench.loop, UV_RUN_NOWAIT); /* takes them in as they come */
    }
    run_for(100);
    uint64_t before = clock_thread_cpu_ns();
    run_for(400);
    assert_true(clock_thread_cpu_ns() - before < 20 * CLOCK_NS_PER_MS);
    for (size_t i = 0; i < count; i++)
        close(clients[i]);
    EXPECT("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello 1");
}

static void test_close_with_open_connections(void **state)
{
    (void)state;
    int silent = connect_to(http_server_port(bench.server));
    int talking = connect_to(http_server_port(bench.server));
    assert_true(send(talking, "GET /hel", 8, MSG_NOSIGNAL) == 8);
    run_for(50);
    http_server_close(&bench.server);
    char byte;
    assert_true(recv(silent, &byte, 1, 0) <= 0);
    assert_true(recv(talking, &byte, 1, 0) <= 0);
    close(silent);
    close(talking);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct error err;
    http_server_close(&bench.server);
    if (http_server_open(&bench.server, &bench.loop, "[::1]:0", routes, ROUTE_COUNT, &err) < 0) {
        fprintf(stderr, "SKIP REASON: test_ipv6: %s\n", err.text);
        skip();
    }
    bench.six = true;
    EXPECT("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello 1");
}

static void test_addresses(void **state)
{
    (void)state;
    struct error err;
    struct http_server *server = NULL;
    static const struct {
        const char *address, *text; /* "" when good */
    } addresses[] = {
        { "127.0.0.1:9464", "" },
        { "[::1]:9464", "" },
        { "0.0.0.0:0", "" },
        { "9464", "" },
        { ":9464", "" },
        { "", "no port" },
        { "127.0.0.1", "no port" },
        { "127.0.0.1:", "no port" },
        { "127.0.0.1:65536", "no port 0..65535" },
        { "127.0.0.1:-1", "no port" },
        { "127.0.0.1:80x", "no port" },
        { "localhost:80", "\"localhost\" is not an IP address; names are not looked up" },
        { "::1:80", "write IPv6 as [::1]:9464" },
        { "[]:80", "is not an IP address" },
        { "300.0.0.1:80", "is not an IP address" },
        { "0123456789012345678901234567890123456789012345678901234567890:80", "not an address" },
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        int result = http_check_address(addresses[i].address, &err);
        if (addresses[i].text[0] == '\0') {
            assert_int_equal(result, 0);
            continue;
        }
        assert_int_equal(result, -ERROR_CONFIG);
        if (!strstr(err.text, addresses[i].text))
            fail_msg("%s", err.text);
    }
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", http_server_port(bench.server));
    assert_int_equal(http_server_open(&server, &bench.loop, taken, routes, ROUTE_COUNT, &err),
                     -ERROR_IO);
    assert_null(server);
    assert_non_null(strstr(err.text, taken));
    assert_non_null(strstr(err.text, "stop the program that has this port, or set another one"));
    assert_non_null(strstr(err.text, "Address already in use"));
    assert_int_equal(
        http_server_open(&server, &bench.loop, "192.0.2.1:0", routes, ROUTE_COUNT, &err), -ERROR_IO);
    assert_non_null(strstr(err.text, "this machine does not have this address"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_page, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_head, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_refusals, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_connection_limit, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_close_with_open_connections, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_ipv6, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_addresses, open_bench, close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
