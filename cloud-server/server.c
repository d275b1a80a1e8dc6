/* server: opening goes down the list of rooms, closing goes up; both lists are here and nowhere
 * else. Closing takes several turns of the loop, see the three steps at the end. */
#include "server_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/tails.h"
#include "ingest/decoders.h"
#include <stdlib.h>
#include <zmq.h>

#define FAREWELL_LOOK_MS 10u

static void on_ready_without_pool(uv_timer_t *timer);
static void on_pool_change(void *arg, const struct error *fatal);
static void close_rooms(struct server *server);
static void on_drained(void *arg);
static void on_drain_timeout(uv_timer_t *timer);

static int open_pool(struct server *server, uv_loop_t *loop, const char *program, struct error *err)
{
    const struct server_config *config = server->config;
    const struct model_config *models = config->models.items;
    struct pool_model pool_models[POOL_MODELS_MAX];

    for (size_t i = 0; i < config->models.count; i++)
        pool_models[i] = (struct pool_model){ .name = models[i].name,
                                              .folder = models[i].folder,
                                              .networks = models[i].restore.networks,
                                              .fallback = models[i].restore.fallback };
    int rc = pool_open(&server->rooms.pool, loop, &config->pool, pool_models, config->models.count,
                       server->rooms.metrics, program, err);
    if (rc == 0)
        pool_set_change(server->rooms.pool, on_pool_change, server);
    return rc;
}

static bool is_ready(void *arg, char *reason, size_t reason_bytes)
{
    return server_is_ready(arg, reason, reason_bytes);
}

int server_open_pages(struct server *server, const char *address, struct pages **pages,
                      struct error *err)
{
    const struct pages_source source = { .metrics = server->rooms.metrics,
                                         .gate = server->gate,
                                         .pool = &server->rooms.pool,
                                         .is_ready = is_ready,
                                         .arg = server };
    return pages_open(pages, server->timer.loop, address, &source, err);
}

/* The workers come last: whatever else is wrong is told before any is started. */
static int open_rooms(struct server *server, uv_loop_t *loop, const char *program, struct error *err)
{
    const struct server_config *config = server->config;
    struct session_rooms *rooms = &server->rooms;

    server->zmq_context = zmq_ctx_new();
    if (!server->zmq_context)
        return error_set(err, ERROR_MEMORY, "server", "no ZeroMQ context");
    int rc =
        guard_open(&server->guard, loop, server->zmq_context, &config->keys, rooms->metrics, err);
    struct decode_pool_config decode = { .threads = config->decode.threads };
    if (rc == 0)
        decoders_choose((enum decoder_kind)config->decode.decoder, rooms->metrics, decode.kinds);
    if (rc == 0)
        rc = decode_pool_open(&rooms->decode, loop, &decode, err);
    if (rc == 0 && server_config_analyses(config))
        rc = tails_open(&rooms->tails, config->limits.streams, &config->probes.window, err);
    if (rc == 0 && config->answers.path[0] != '\0')
        rc = answer_file_open(&rooms->answers, &config->answers, rooms->metrics, err);
    if (rc == 0 && config->record.folder[0] != '\0')
        rc = recorder_open(&rooms->recorder, &config->record, rooms->metrics, err);
    if (rc == 0 && config->publish.address[0] != '\0')
        rc = publisher_open(&rooms->publisher, loop, server->zmq_context, config->publish.address,
                            server->guard, rooms->metrics, err);
    if (rc == 0)
        rc = gate_open(&server->gate, loop, server->zmq_context, rooms, server->guard, err);
    if (rc == 0 && config->http.address[0] != '\0')
        rc = server_open_pages(server, config->http.address, &server->pages, err);
    if (rc == 0 && server_config_analyses(config)) {
        gate_hold(server->gate, "the workers are starting");
        rc = open_pool(server, loop, program, err);
    }
    return rc;
}

int server_open(struct server **out, uv_loop_t *loop, struct server_config *config,
                struct metrics *metrics, const char *program, const struct server_events *events,
                struct error *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return error_set(err, ERROR_MEMORY, "server", "no room");
    server->config = config;
    server->latest = *config;
    server->events = *events;
    server->rooms.config = config;
    server->rooms.metrics = metrics;
    totals_init(&server->rooms.totals, metrics);
    uv_timer_init(loop, &server->timer);
    int rc = open_rooms(server, loop, program, err);
    if (rc < 0) {
        close_rooms(server);
        return rc;
    }
    *out = server;
    if (!server->rooms.pool)
        uv_timer_start(&server->timer, on_ready_without_pool, 0, 0);
    return 0;
}

const char *server_address(const struct server *server)
{
    return gate_address(server->gate);
}

const char *server_publish_address(const struct server *server)
{
    return server->rooms.publisher ? publisher_address(server->rooms.publisher) : "";
}

uint16_t server_http_port(const struct server *server)
{
    return server->pages ? pages_port(server->pages) : 0;
}

const char *server_public_key(const struct server *server)
{
    return guard_public_key(server->guard);
}

bool server_is_ready(const struct server *server, char *reason, size_t reason_bytes)
{
    reason[0] = '\0';
    if (server->done) {
        snprintf(reason, reason_bytes, "the server is stopping");
        return false;
    }
    return !server->rooms.pool || pool_ready(server->rooms.pool, reason, reason_bytes) > 0;
}

static void on_ready_without_pool(uv_timer_t *timer)
{
    struct server *server = (struct server *)timer;
    server->events.ready(server->events.arg);
}

size_t server_worker_count(const struct server_config *config)
{
    if (!server_config_analyses(config))
        return 0;
    return config->pool.devices.count > 0 ? config->pool.devices.count : 1;
}

static void on_pool_change(void *arg, const struct error *fatal)
{
    struct server *server = arg;
    char reason[SERVER_REASON_BYTES];

    if (server->done)
        return;
    if (fatal) {
        log_error("server", "a worker stays down", LOG_CAUSE(fatal));
        if (++server->workers_given_up == server_worker_count(server->config))
            server->events.fatal(server->events.arg, fatal);
        return;
    }
    bool ready = server_is_ready(server, reason, sizeof reason);
    gate_hold(server->gate, ready ? NULL : reason);
    if (!ready && !server->told_none && !pool_may_serve(server->rooms.pool)) {
        log_error("server", "no worker can serve now: streams are refused until one can",
                  LOG_STR("reason", reason));
        server->told_none = true;
    }
    if (ready)
        server->told_none = false;
    if (!ready || server->was_ready)
        return;
    server->was_ready = true;
    server->events.ready(server->events.arg);
}

/* Stopping: frames on their way are answered (the gate calls on_drained), then the rooms are closed
 * in close_rooms, on_pool_closed and on_sockets_closed, each in a turn of the loop of its own. */

void server_stop(struct server **stopped, void (*done)(void *arg), void *arg)
{
    struct server *server = *stopped;

    *stopped = NULL;
    server->done = done;
    server->done_arg = arg;
    uv_timer_start(&server->timer, on_drain_timeout, SERVER_DRAIN_MS, 0);
    gate_drain(server->gate, on_drained, server);
}

static void on_drain_timeout(uv_timer_t *timer)
{
    struct server *server = (struct server *)timer;

    log_warn("server", "not all frames could be answered in time");
    gate_cut_short(server->gate);
}

static void on_farewell(uv_timer_t *timer)
{
    struct server *server = (struct server *)timer;

    if (gate_connection_count(server->gate) > 0 && clock_now_ns() < server->farewell_until_ns)
        return;
    uv_timer_stop(timer);
    close_rooms(server);
}

/* Called by the last session, which still needs its rooms until it returns. */
static void on_drained(void *arg)
{
    struct server *server = arg;
    server->farewell_until_ns = clock_now_ns() + SERVER_FAREWELL_MS * CLOCK_NS_PER_MS;
    uv_timer_start(&server->timer, on_farewell, 0, FAREWELL_LOOK_MS);
}

static void on_server_closed(uv_handle_t *handle)
{
    struct server *server = (struct server *)handle;
    void (*done)(void *arg) = server->done;
    void *arg = server->done_arg;

    free(server);
    if (done)
        done(arg);
}

static void on_sockets_closed(uv_timer_t *timer)
{
    struct server *server = (struct server *)timer;

    if (server->zmq_context)
        zmq_ctx_term(server->zmq_context); /* waits for the last Byes, as long as they linger */
    uv_close((uv_handle_t *)timer, on_server_closed);
}

static void on_pool_closed(void *arg)
{
    struct server *server = arg;

    decode_pool_close(&server->rooms.decode);
    recorder_close(&server->rooms.recorder);
    answer_file_close(&server->rooms.answers);
    tails_close(&server->rooms.tails);
    uv_timer_start(&server->timer, on_sockets_closed, 0, 0);
}

static void close_rooms(struct server *server)
{
    pages_close(&server->pages);
    gate_close(&server->gate);
    publisher_close(&server->rooms.publisher);
    guard_close(&server->guard);
    if (server->rooms.pool)
        pool_close(&server->rooms.pool, SERVER_GRACE_MS, on_pool_closed, server);
    else
        on_pool_closed(server);
}
