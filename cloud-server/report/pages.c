/* pages: each handler writes one page from what others keep; nothing is kept here. */
#include "report/pages.h"
#include "net/http.h"
#include <stdlib.h>
#include <string.h>

#define REASON_BYTES 1024u

static const char json[] = "application/json";

enum { PAGE_METRICS, PAGE_LIVE, PAGE_READY, PAGE_STREAMS, PAGE_WORKERS, PAGE_COUNT };

struct pages {
    struct pages_source source;
    struct http_route routes[PAGE_COUNT];
    struct http_server *http;
};

static unsigned write_metrics(void *arg, struct text *body, const char **content_type)
{
    struct pages *pages = arg;

    *content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write_prometheus(pages->source.metrics, body);
    return 200;
}

/* The loop answers, so it lives. */
static unsigned write_live(void *arg, struct text *body, const char **content_type)
{
    (void)arg;
    (void)content_type;
    text_add_str(body, "ok\n");
    return 200;
}

static unsigned write_ready(void *arg, struct text *body, const char **content_type)
{
    struct pages *pages = arg;
    char reason[REASON_BYTES];
    bool ready = pages->source.is_ready(pages->source.arg, reason, sizeof reason);

    *content_type = json;
    json_begin_object(body, NULL);
    json_bool(body, "ready", ready);
    json_str(body, "reason", reason);
    json_end_object(body);
    text_add_str(body, "\n");
    return ready ? 200 : 503;
}

static void write_tail(struct text *body, const Runespoor__Tail *tail)
{
    json_begin_object(body, "tail");
    json_str(body, "rung", tail->rung);
    json_str(body, "restored", tail->restored);
    json_str(body, "golden", tail->golden);
    json_u64(body, "probes", tail->probes);
    for (size_t i = 0; i < tail->n_figures; i++) { /* those that are known */
        const Runespoor__TailFigure *figure = tail->figures[i];
        json_begin_object(body, figure->name);
        json_f64(body, "value", figure->value, 4);
        json_f64(body, "low", figure->low, 4);
        json_f64(body, "high", figure->high, 4);
        json_end_object(body);
    }
    json_end_object(body);
}

static void write_stream(void *arg, const char *stream, const char *agent,
                         const struct session *session)
{
    struct text *body = arg;
    const struct figures *figures = session_figures(session);

    json_begin_object(body, NULL);
    json_str(body, "stream", stream);
    json_str(body, "agent", agent);
    json_str(body, "model", session_model(session));
    json_u64(body, "received", figures->received);
    json_u64(body, "answered", figures->answered);
    json_begin_object(body, "dropped");
    for (int fate = FATE_OK + 1; fate < FATE_COUNT; fate++)
        if (figures->dropped[fate] > 0)
            json_u64(body, frame_fate_word(fate), figures->dropped[fate]);
    json_end_object(body);
    json_u64(body, "received_bytes", figures->received_bytes);
    json_u64(body, "received_kbps", figures->received_kbps);
    json_u64(body, "server_p50_us", figures->server_p50_us);
    json_u64(body, "server_p99_us", figures->server_p99_us);
    json_u64(body, "decode_queue", figures->decode_queue);
    json_u64(body, "device_queue", figures->device_queue);
    if (session_tail(session))
        write_tail(body, session_tail(session));
    json_end_object(body);
}

static unsigned write_streams(void *arg, struct text *body, const char **content_type)
{
    struct pages *pages = arg;

    *content_type = json;
    json_begin_object(body, NULL);
    json_begin_array(body, "streams");
    gate_visit(pages->source.gate, write_stream, body);
    json_end_array(body);
    json_end_object(body);
    text_add_str(body, "\n");
    return 200;
}

static void write_worker(struct text *body, const struct pool_worker *worker)
{
    json_begin_object(body, NULL);
    json_str(body, "worker", worker->name);
    json_str(body, "kind", worker->kind);
    if (strcmp(worker->kind, "cpu") == 0)
        json_u64(body, "threads", worker->threads);
    if (strcmp(worker->kind, "cuda") == 0)
        json_u64(body, "gpu", worker->gpu);
    json_str(body, "state", worker->state);
    json_str(body, "last_end", worker->last_end);
    json_str(body, "cause", worker->cause);
    json_end_object(body);
}

static unsigned write_workers(void *arg, struct text *body, const char **content_type)
{
    struct pages *pages = arg;
    const struct pool *pool = *pages->source.pool;

    *content_type = json;
    json_begin_object(body, NULL);
    json_begin_array(body, "workers");
    for (size_t i = 0; pool && i < pool_worker_count(pool); i++) {
        struct pool_worker worker;
        pool_worker_get(pool, i, &worker);
        write_worker(body, &worker);
    }
    json_end_array(body);
    json_end_object(body);
    text_add_str(body, "\n");
    return 200;
}

int pages_open(struct pages **out, uv_loop_t *loop, const char *address,
               const struct pages_source *source, struct error *err)
{
    struct pages *pages = calloc(1, sizeof *pages);
    if (!pages)
        return error_set(err, ERROR_MEMORY, "http", "no room");
    pages->source = *source;
    pages->routes[PAGE_METRICS] = (struct http_route){ "/metrics", write_metrics, pages };
    pages->routes[PAGE_LIVE] = (struct http_route){ "/livez", write_live, pages };
    pages->routes[PAGE_READY] = (struct http_route){ "/readyz", write_ready, pages };
    pages->routes[PAGE_STREAMS] = (struct http_route){ "/api/streams", write_streams, pages };
    pages->routes[PAGE_WORKERS] = (struct http_route){ "/api/workers", write_workers, pages };
    int rc = http_server_open(&pages->http, loop, address, pages->routes, PAGE_COUNT, err);
    if (rc < 0) {
        free(pages);
        return error_wrap(err, "http.address");
    }
    *out = pages;
    return 0;
}

uint16_t pages_port(const struct pages *pages)
{
    return http_server_port(pages->http);
}

void pages_close(struct pages **pages)
{
    if (!*pages)
        return;
    http_server_close(&(*pages)->http);
    free(*pages);
    *pages = NULL;
}
