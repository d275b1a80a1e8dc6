/* run: see the header. */
#include "run.h"
#include "base/log.h"
#include "server.h"
#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

struct daemon {
    uv_loop_t loop;
    uv_signal_t term, interrupt, hangup;
    uv_timer_t watchdog;
    struct metrics *metrics;
    struct server *server; /* NULL from the stop on */
    const struct server_run_options *options;
    struct config *loaded; /* by the last SIGHUP; NULL: by none yet */
    struct error fatal;    /* why it stops, if not by a signal */
    bool stopping;
};

static void on_signal(uv_signal_t *signal, int number);

static void on_stopped(void *arg)
{
    struct daemon *daemon = arg;

    uv_close((uv_handle_t *)&daemon->term, NULL);
    uv_close((uv_handle_t *)&daemon->interrupt, NULL);
    uv_close((uv_handle_t *)&daemon->hangup, NULL);
    uv_close((uv_handle_t *)&daemon->watchdog, NULL);
}

static void stop(struct daemon *daemon)
{
    if (daemon->stopping)
        return;
    daemon->stopping = true;
    sd_notify(0, "STOPPING=1");
    if (daemon->server)
        server_stop(&daemon->server, on_stopped, daemon);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->loop->data;

    if (daemon->stopping) {
        log_warn("server", "second signal: ended at once");
        _exit(128 + number);
    }
    log_info("server", "stopping", LOG_STR("signal", strsignal(number)));
    stop(daemon);
}

/* All mistakes, in the order of lines. */
static void log_refused(const struct config *loaded, const struct error *err)
{
    const size_t count = loaded ? config_problem_count(loaded) : 0;

    log_error("server", "reload refused, nothing changed",
              LOG_STR("cause", count > 0 ? config_problem(loaded, 0) : err->text));
    for (size_t i = 1; i < count; i++)
        log_error("server", "and another mistake", LOG_STR("cause", config_problem(loaded, i)));
}

static void on_hangup(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->loop->data;
    const struct server_run_options *options = daemon->options;
    struct server_config fresh = { 0 };
    struct config *loaded = NULL;
    struct error err;

    (void)number;
    if (daemon->stopping)
        return;
    int rc = server_config_load(&loaded, &fresh, options->config_path, options->sets,
                                options->set_count, &err);
    if (rc == 0)
        rc = server_reload(daemon->server, &fresh, &err);
    if (rc < 0) {
        log_refused(loaded, &err);
        config_free(&loaded);
        return;
    }
    config_free(&daemon->loaded);
    daemon->loaded = loaded;
}

static void on_ready(void *arg)
{
    (void)arg;
    log_info("server", "ready");
    sd_notify(0, "READY=1");
}

static void on_fatal(void *arg, const struct error *cause)
{
    struct daemon *daemon = arg;

    if (!daemon->stopping)
        daemon->fatal = *cause;
    stop(daemon);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    sd_notify(0, "WATCHDOG=1");
}

static void open_handles(struct daemon *daemon)
{
    uint64_t watchdog_us;

    uv_signal_init(&daemon->loop, &daemon->term);
    uv_signal_init(&daemon->loop, &daemon->interrupt);
    uv_signal_start(&daemon->term, on_signal, SIGTERM);
    uv_signal_start(&daemon->interrupt, on_signal, SIGINT);
    uv_signal_init(&daemon->loop, &daemon->hangup);
    uv_signal_start(&daemon->hangup, on_hangup, SIGHUP);
    uv_timer_init(&daemon->loop, &daemon->watchdog);
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        uv_timer_start(&daemon->watchdog, on_watchdog, 0, watchdog_us / 2000);
}

static void log_start(const struct daemon *daemon, const struct server_config *config)
{
    const struct model_config *models = config->models.items;
    char names[512] = "none";
    size_t used = 0;

    for (size_t i = 0; server_config_analyses(config) && i < config->models.count; i++)
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? "," : "",
                                     models[i].name);
    log_info("server", "listening", LOG_STR("address", server_address(daemon->server)),
             LOG_STR("public", server_public_key(daemon->server)), LOG_STR("models", names),
             LOG_U64("workers", server_worker_count(config)));
}

struct sum {
    const char *name;
    uint64_t value;
};

static void add_series(void *arg, const char *name, char kind, const struct metric_label *labels,
                       size_t label_count, const void *handle)
{
    struct sum *sum = arg;

    (void)labels;
    (void)label_count;
    if (kind == 'c' && strcmp(name, sum->name) == 0)
        sum->value += metric_counter_get(handle);
}

static uint64_t sum_family(const struct daemon *daemon, const char *name)
{
    struct sum sum = { .name = name };

    metrics_visit(daemon->metrics, add_series, &sum);
    return sum.value;
}

static void log_end(const struct daemon *daemon)
{
    log_info("server", "stopped",
             LOG_U64("received", sum_family(daemon, "server_frames_received_total")),
             LOG_U64("answered", sum_family(daemon, "server_frames_answered_total")),
             LOG_U64("dropped", sum_family(daemon, "server_frames_dropped_total")),
             LOG_U64("bytes", sum_family(daemon, "server_received_bytes_total")),
             LOG_U64("sessions", sum_family(daemon, "server_sessions_total")),
             LOG_U64("hellos_refused", sum_family(daemon, "server_hellos_refused_total")));
}

int server_run(struct server_config *config, const struct server_run_options *options,
               struct error *err)
{
    struct daemon daemon = { .options = options };
    char program[4096];

    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return error_set(err, ERROR_IO, "server", "cannot find its own binary");
    program[length] = '\0';
    signal(SIGPIPE, SIG_IGN);
    int rc = metrics_create(&daemon.metrics, err);
    if (rc < 0)
        return rc;
    if (uv_loop_init(&daemon.loop) < 0) {
        metrics_destroy(&daemon.metrics);
        return error_set(err, ERROR_IO, "server", "no event loop");
    }
    daemon.loop.data = &daemon;
    open_handles(&daemon);
    const struct server_events events = { .ready = on_ready, .fatal = on_fatal, .arg = &daemon };
    rc = server_open(&daemon.server, &daemon.loop, config, daemon.metrics, program, &events, err);
    if (rc == 0)
        log_start(&daemon, config);
    else
        on_stopped(&daemon);
    uv_run(&daemon.loop, UV_RUN_DEFAULT);
    if (rc == 0) {
        log_end(&daemon);
        if (daemon.fatal.code != ERROR_NONE) {
            *err = daemon.fatal;
            rc = -(int)err->code;
        }
    }
    uv_loop_close(&daemon.loop);
    metrics_destroy(&daemon.metrics);
    config_free(&daemon.loaded);
    return rc;
}
