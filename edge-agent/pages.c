/* pages: see the header. */
#include "pages.h"

#include "net/http.h"
#include <stdlib.h>

#define REASON_BYTES 256u

struct pages {
    struct http_server *http;
    struct metrics *metrics;
    pages_ready_fn *ready;
    void *arg;
    struct http_route routes[3];
};

static unsigned show_metrics(void *arg, struct text *body, const char **content_type)
{
    struct pages *pages = arg;
    *content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write_prometheus(pages->metrics, body);
    return 200;
}

/* That the loop answers at all is the answer. */
static unsigned show_live(void *arg, struct text *body, const char **content_type)
{
    (void)arg;
    *content_type = "application/json";
    text_add_str(body, "{\"live\":true}\n");
    return 200;
}

static unsigned show_ready(void *arg, struct text *body, const char **content_type)
{
    struct pages *pages = arg;
    char reason[REASON_BYTES] = "";
    bool ready = pages->ready(pages->arg, reason, sizeof reason);
    *content_type = "application/json";
    json_begin_object(body, NULL);
    json_bool(body, "ready", ready);
    json_str(body, "reason", reason);
    json_end_object(body);
    text_add(body, "\n", 1);
    return ready ? 200 : 503;
}

int pages_open(struct pages **out, uv_loop_t *loop, const char *address, struct metrics *metrics,
               pages_ready_fn *ready, void *arg, struct error *err)
{
    struct pages *pages = calloc(1, sizeof *pages);
    if (!pages)
        return error_set(err, ERROR_MEMORY, "http", "no memory");
    *pages = (struct pages){
        .metrics = metrics,
        .ready = ready,
        .arg = arg,
        .routes = { { "/metrics", show_metrics, pages },
                    { "/livez", show_live, pages },
                    { "/readyz", show_ready, pages } },
    };
    int result = http_server_open(&pages->http, loop, address, pages->routes,
                                  sizeof pages->routes / sizeof *pages->routes, err);
    if (result != 0) {
        free(pages);
        return result;
    }
    *out = pages;
    return 0;
}

void pages_close(struct pages **pages_ptr)
{
    struct pages *pages = *pages_ptr;
    if (!pages)
        return;
    *pages_ptr = NULL;
    http_server_close(&pages->http);
    free(pages);
}
