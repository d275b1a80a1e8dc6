/* http: a small HTTP server inside a libuv loop, for metrics, health and status pages: GET (and HEAD)
 * of registered paths, nothing else. Everything here runs on the loop thread. */
#ifndef RUNESPOOR_NET_HTTP_H
#define RUNESPOOR_NET_HTTP_H

#include "base/error.h"
#include "base/text.h"
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_CONNECTIONS_MAX 64u
#define HTTP_IDLE_S 10u                      /* a silent connection is closed */
#define HTTP_REQUEST_BYTES_MAX (16u * 1024u) /* request line and headers; bodies are refused */
#define HTTP_RESPONSE_BYTES_MAX (16u << 20)

/* Writes the page into body, which is empty, and gives the status (200, 503, …). *content_type is
 * plain UTF-8 text unless set (to a literal). Must not close the server. */
typedef unsigned http_handler_fn(void *arg, struct text *body, const char **content_type);

struct http_route {
    const char *path; /* compared whole, without the query: "/metrics" */
    http_handler_fn *handler;
    void *arg;
};

struct http_server;

/* address: "127.0.0.1:9464", "[::1]:9464" or "9464" (then on 127.0.0.1); port 0 takes a free one.
 * routes are borrowed until http_server_close. */
int http_server_open(struct http_server **out, uv_loop_t *loop, const char *address,
                     const struct http_route *routes, size_t route_count, struct error *err);

/* Checks an address without opening it, for `check FILE`. */
int http_check_address(const char *address, struct error *err);

uint16_t http_server_port(const struct http_server *server);

/* Breaks off all connections. Sets *server to NULL, takes NULL; memory is freed by the loop later. */
void http_server_close(struct http_server **server);

#endif
