/* http: libmicrohttpd does the protocol; its epoll descriptor and its next timeout are watched by the
 * loop. Each answer closes its connection: scrapers come every few seconds, and a connection that
 * is closed holds no place and no half-read request. */
#include "net/http.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FALLBACK_HOST "127.0.0.1"
#define BACKLOG 64
#define PLAIN_TEXT "text/plain; charset=utf-8"
#define LOG_LINE_BYTES 256u

struct http_server {
    struct MHD_Daemon *daemon;
    const struct http_route *routes;
    size_t route_count;
    uint16_t port;
    uv_poll_t sockets; /* the daemon's epoll descriptor */
    uv_timer_t timeout;
    unsigned open_handles;
    struct text body; /* of the answer being made; keeps its memory */
};

static const struct {
    const char *name, *value;
} fixed_headers[] = {
    { "Connection", "close" },
    { "Cache-Control", "no-store" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { "Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'" },
    { "Referrer-Policy", "no-referrer" },
};

static int parse_address(const char *address, struct sockaddr_storage *out, struct error *err);
static int listen_on(const char *address, uint16_t *port, struct error *err);
static const char *advice(int errno_value);
static struct MHD_Daemon *start_daemon(struct http_server *server, int listener);
static void run(struct http_server *server);
static unsigned count_connections(struct http_server *server);
static void on_sockets(uv_poll_t *handle, int status, int events);
static void on_timeout(uv_timer_t *handle);
static void on_close(uv_handle_t *handle);
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **request);
static unsigned make_page(struct http_server *server, struct MHD_Connection *connection,
                          const char *url, const char *method, const char **content_type);
static const struct http_route *find_route(const struct http_server *server, const char *url);
static bool has_body(struct MHD_Connection *connection);
static void log_line(void *arg, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

int http_server_open(struct http_server **out, uv_loop_t *loop, const char *address,
                     const struct http_route *routes, size_t route_count, struct error *err)
{
    assert(out && loop && address && (routes || route_count == 0));
    struct http_server *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "http", "no room for %zu bytes", sizeof *fresh);
    fresh->routes = routes;
    fresh->route_count = route_count;
    fresh->open_handles = 2;
    int listener = listen_on(address, &fresh->port, err);
    if (listener < 0) {
        free(fresh);
        return listener;
    }
    fresh->daemon = start_daemon(fresh, listener);
    if (!fresh->daemon) {
        close(listener);
        free(fresh);
        return error_set(err, ERROR_IO, "http", "libmicrohttpd does not start: %s", strerror(errno));
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(fresh->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int code = uv_poll_init(loop, &fresh->sockets, info->epoll_fd);
    if (code != 0) {
        MHD_stop_daemon(fresh->daemon);
        free(fresh);
        return error_set(err, ERROR_IO, "http", "cannot watch: %s", uv_strerror(code));
    }
    uv_timer_init(loop, &fresh->timeout);
    fresh->sockets.data = fresh->timeout.data = fresh;
    uv_poll_start(&fresh->sockets, UV_READABLE, on_sockets);
    *out = fresh;
    return 0;
}

int http_check_address(const char *address, struct error *err)
{
    struct sockaddr_storage parsed;
    return parse_address(address, &parsed, err);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_close(struct http_server **server)
{
    assert(server);
    struct http_server *old = *server;
    *server = NULL;
    if (!old)
        return;
    uv_close((uv_handle_t *)&old->sockets, on_close); /* before its descriptor goes */
    uv_close((uv_handle_t *)&old->timeout, on_close);
    MHD_stop_daemon(old->daemon);
}

/* HOST:PORT, [HOST]:PORT or PORT; HOST is an IP address, for names may mean several. */
static int parse_address(const char *address, struct sockaddr_storage *out, struct error *err)
{
    char host[INET6_ADDRSTRLEN + 2] = FALLBACK_HOST;
    const char *colon = strrchr(address, ':'), *digits = colon ? colon + 1 : address;
    char *end;
    errno = 0;
    unsigned long port = strtoul(digits, &end, 10);
    if (digits[0] < '0' || digits[0] > '9' || *end || errno || port > UINT16_MAX)
        return error_set(err, ERROR_CONFIG, "http",
                         "\"%s\" has no port 0..65535 at its end; write it as 127.0.0.1:9464",
                         address);
    size_t host_size = colon ? (size_t)(colon - address) : 0;
    if (host_size >= sizeof host)
        return error_set(err, ERROR_CONFIG, "http", "\"%s\" is not an address", address);
    if (host_size > 0) {
        bool bracketed = address[0] == '[' && colon[-1] == ']' && host_size > 2;
        size_t start = bracketed ? 1 : 0;
        memcpy(host, address + start, host_size - 2 * start);
        host[host_size - 2 * start] = '\0';
        if (!bracketed && strchr(host, ':'))
            return error_set(err, ERROR_CONFIG, "http", "\"%s\": write IPv6 as [::1]:9464", address);
    }
    memset(out, 0, sizeof *out);
    if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out) == 0 ||
        uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out) == 0)
        return 0;
    return error_set(err, ERROR_CONFIG, "http",
                     "\"%s\" is not an IP address; names are not looked up", host);
}

/* The listening socket, or a negative error. *port is the one it got. */
static int listen_on(const char *address, uint16_t *port, struct error *err)
{
    struct sockaddr_storage where;
    int result = parse_address(address, &where, err);
    if (result < 0)
        return result;
    bool six = where.ss_family == AF_INET6;
    socklen_t size = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int on = 1;
    int listener = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (six && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        bind(listener, (struct sockaddr *)&where, size) != 0 || listen(listener, BACKLOG) != 0 ||
        getsockname(listener, (struct sockaddr *)&where, &size) != 0) {
        result = error_set_errno(err, errno, "http", "cannot listen at %s%s", address, advice(errno));
        if (listener >= 0)
            close(listener);
        return result;
    }
    *port = ntohs(six ? ((struct sockaddr_in6 *)&where)->sin6_port
                      : ((struct sockaddr_in *)&where)->sin_port);
    return listener;
}

static const char *advice(int errno_value)
{
    switch (errno_value) {
    case EADDRINUSE:
        return " (stop the program that has this port, or set another one)";
    case EADDRNOTAVAIL:
        return " (this machine does not have this address)";
    case EACCES:
        return " (ports below 1024 need CAP_NET_BIND_SERVICE)";
    default:
        return "";
    }
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int listener)
{
    /* The logger first: it also takes complaints about the other options. */
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server,
                            MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, MHD_OPTION_LISTEN_SOCKET,
                            listener, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_BYTES_MAX,
                            MHD_OPTION_END);
}

/* Lets the daemon work, and learns when it wants to again. At its limit it no longer watches the
 * listening socket, and only thinks of it again at the next run: so it runs once more whenever
 * connections ended, or nobody would ever be let in again. */
static void run(struct http_server *server)
{
    unsigned before;
    do {
        before = count_connections(server);
        MHD_run(server->daemon);
    } while (count_connections(server) < before);
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&server->timeout, on_timeout, timeout_ms, 0);
    else
        uv_timer_stop(&server->timeout);
}

static unsigned count_connections(struct http_server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static void on_sockets(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    run(handle->data);
}

static void on_timeout(uv_timer_t *handle)
{
    run(handle->data);
}

static void on_close(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->open_handles > 0)
        return;
    text_finish(&server->body);
    free(server);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **request)
{
    struct http_server *server = arg;
    (void)version, (void)upload, (void)upload_bytes, (void)request;
    const char *content_type = PLAIN_TEXT;
    text_clear(&server->body);
    unsigned status = make_page(server, connection, url, method, &content_type);
    if (server->body.failed || server->body.size > HTTP_RESPONSE_BYTES_MAX) {
        log_error("http", "a page could not be made", LOG_STR("path", url),
                  LOG_U64("bytes", server->body.size));
        text_finish(&server->body);
        content_type = PLAIN_TEXT;
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(server->body.size, server->body.data, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO; /* no memory: closes the connection */
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", content_type);
    for (size_t i = 0; result == MHD_YES && i < sizeof fixed_headers / sizeof fixed_headers[0]; i++)
        result = MHD_add_response_header(response, fixed_headers[i].name, fixed_headers[i].value);
    if (result == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        result = MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Fills server->body and gives the status. */
static unsigned make_page(struct http_server *server, struct MHD_Connection *connection,
                          const char *url, const char *method, const char **content_type)
{
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        text_add_str(&server->body, "only GET is served here\n");
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    if (has_body(connection)) {
        text_add_str(&server->body, "a request has no body here\n");
        return MHD_HTTP_BAD_REQUEST;
    }
    const struct http_route *route = find_route(server, url);
    if (route)
        return route->handler(route->arg, &server->body, content_type);
    text_add_str(&server->body, "no such page; there are:");
    for (size_t i = 0; i < server->route_count; i++)
        text_printf(&server->body, " %s", server->routes[i].path);
    text_add_str(&server->body, "\n");
    return MHD_HTTP_NOT_FOUND;
}

static const struct http_route *find_route(const struct http_server *server, const char *url)
{
    for (size_t i = 0; i < server->route_count; i++)
        if (strcmp(server->routes[i].path, url) == 0)
            return &server->routes[i];
    return NULL;
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    return (length && strcmp(length, "0") != 0) ||
           MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding");
}

/* What libmicrohttpd has to say is mostly about peers that broke off. */
static void log_line(void *arg, const char *format, va_list args)
{
    (void)arg;
    char line[LOG_LINE_BYTES];
    if (!log_enabled(LOG_DEBUG, "http"))
        return;
    int size = vsnprintf(line, sizeof line, format, args);
    if (size <= 0)
        return;
    line[strcspn(line, "\n")] = '\0';
    log_debug("http", "libmicrohttpd", LOG_STR("says", line));
}
