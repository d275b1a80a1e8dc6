/* agent: see the header. */
#include "agent.h"

#include "base/clock.h"
#include "base/log.h"
#include "pages.h"
#include "sink.h"
#include "sink_mqtt.h"
#include "spool.h"
#include "streams.h"
#include "table.h"
#include "uplink.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include <zmq.h>

#define DRAIN_MS 3000u /* after a signal: for the answers to what is in flight */
#define CLOSE_S 2u     /* for disks, threads and the last messages after that */
#define TICK_MS 1000u

struct agent {
    struct agent_settings *begun;    /* what holds of options that only a restart changes */
    struct agent_settings *settings; /* the newest, for those that change */
    const struct agent_run_options *options;
    uv_loop_t loop;
    void *zmq_context;
    struct metrics *metrics;
    struct key_pair keys;
    struct uplink *uplink;
    struct probes *probes;
    struct spool *spool; /* NULL: no camera can be lossless */
    struct sink *sink;
    struct sink_mqtt *mqtt; /* NULL: none */
    struct streams *streams;
    struct table *table;
    struct pages *pages;
    uv_signal_t terminate, interrupt, reload;
    uv_timer_t tick, drain;
    uint64_t begin_ns, end_ns; /* of streaming: first session to last answer */
    bool stopping, closed;
    struct error failure; /* of the first source that had failed at the end */
};

static int open_all(struct agent *agent, struct error *err);
static void close_all(struct agent *agent);
static void on_tick(uv_timer_t *timer);
static int write_summary(struct agent *agent, struct error *err);

static void give_up(int number)
{
    static const char text[] =
        "edge-agent: a disk, source or name server hangs; not waiting for it\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_FAILURE);
}

int agent_run(struct agent_settings *settings, const struct agent_run_options *options,
              struct error *err)
{
    struct agent *agent = calloc(1, sizeof *agent);
    if (!agent)
        return error_set(err, ERROR_MEMORY, "agent", "no memory");
    agent->begun = agent_settings_ref(settings);
    agent->settings = agent_settings_ref(settings);
    agent->options = options;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, give_up);
    int result = -ERROR_MEMORY;
    agent->zmq_context = zmq_ctx_new();
    if (!agent->zmq_context || uv_loop_init(&agent->loop) != 0) {
        error_set(err, ERROR_MEMORY, "agent", "cannot make an event loop");
        goto out;
    }
    result = open_all(agent, err);
    if (result != 0)
        close_all(agent);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    int closed = uv_loop_close(&agent->loop);
    assert(closed == 0);
    (void)closed;
    if (result == 0)
        result = write_summary(agent, err);
    if (result == 0 && agent->failure.code != ERROR_NONE) {
        *err = agent->failure;
        result = -(int)err->code;
    }
out:
    if (agent->zmq_context)
        zmq_ctx_term(agent->zmq_context); /* waits for the sockets' linger time at most */
    alarm(0);
    if (agent->table)
        table_destroy(&agent->table);
    metrics_destroy(&agent->metrics);
    keys_wipe(&agent->keys);
    agent_settings_unref(&agent->settings);
    agent_settings_unref(&agent->begun);
    free(agent);
    return result;
}

static int write_summary(struct agent *agent, struct error *err)
{
    uint64_t end_ns = agent->end_ns ? agent->end_ns : clock_now_ns();
    uint64_t elapsed_ns = agent->begin_ns ? end_ns - agent->begin_ns : 0;
    const char *path = agent->options->summary_path;
    FILE *out = path ? fopen(path, "w") : stdout;
    if (!out)
        return error_set_errno(err, errno, "--summary", "cannot write %s", path);
    table_write_summary(agent->metrics, elapsed_ns, out);
    if (path && fclose(out) != 0)
        return error_set_errno(err, errno, "--summary", "cannot write %s", path);
    return 0;
}

/* ---- events ---- */

static void on_up(void *arg)
{
    streams_on_up(((struct agent *)arg)->streams);
}

static void on_down(void *arg, const char *cause)
{
    (void)cause; /* logged by the uplink */
    streams_on_down(((struct agent *)arg)->streams);
}

static void on_message(void *arg, const Runespoor__Header *header)
{
    struct agent *agent = arg;
    if (agent->begin_ns == 0 && header->kind_case == RUNESPOOR__HEADER__KIND_WELCOME) {
        agent->begin_ns = clock_now_ns();
        uv_timer_start(&agent->tick, on_tick, TICK_MS, TICK_MS); /* seconds count from here */
    }
    streams_on_message(agent->streams, header);
}

static void on_drained(uv_timer_t *timer)
{
    close_all(timer->data);
}

/* Ends the sources, and the rest when they have finished or DRAIN_MS later. */
static void stop(struct agent *agent, const char *why)
{
    if (agent->stopping)
        return;
    agent->stopping = true;
    log_info("agent", "stopping", LOG_STR("why", why));
    uv_timer_start(&agent->drain, on_drained, DRAIN_MS, 0);
    streams_stop(agent->streams);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct agent *agent = handle->data;
    if (agent->stopping) /* a second signal: at once */
        close_all(agent);
    else
        stop(agent, number == SIGINT ? "interrupted" : "asked to end");
}

static void on_tick(uv_timer_t *timer)
{
    struct agent *agent = timer->data;
    uint64_t now_ns = clock_now_ns();
    uint64_t seconds = (now_ns - agent->begin_ns + CLOCK_NS_PER_S / 2) / CLOCK_NS_PER_S;
    if (agent->table)
        table_draw(agent->table, now_ns);
    if (agent->options->seconds > 0 && agent->begin_ns > 0 && seconds >= agent->options->seconds)
        stop(agent, "time is up");
}

static bool is_ready(void *arg, char *reason, size_t reason_bytes)
{
    return streams_ready(((struct agent *)arg)->streams, reason, reason_bytes);
}

static void on_ended(void *arg)
{
    struct agent *agent = arg;
    agent->end_ns = clock_now_ns();
    close_all(agent);
}

/* ---- reading the configuration again ---- */

static void tell_restart(void *arg, const char *key, enum option_reload reload)
{
    (void)arg;
    if (reload == RELOAD_RESTART)
        log_warn("agent", "changed, but only a restart makes it hold", LOG_STR("option", key));
}

static bool has_lossless(const struct agent_config *config)
{
    const struct camera_config *cameras = config->cameras.items;
    size_t i = 0;
    while (i < config->cameras.count && cameras[i].mode != MODE_LOSSLESS)
        i++;
    return i < config->cameras.count;
}

/* All that can be refused for what only trying shows; *pages is what serves from now on. */
static int try_settings(struct agent *agent, const struct agent_settings *fresh,
                        struct pages **pages, struct error *err)
{
    const char *address = fresh->values.http.address;
    *pages = agent->pages;
    if (has_lossless(&fresh->values) && !agent->spool)
        return error_set(err, ERROR_CONFIG, "spool.path",
                         "lossless cameras need it, and it takes a restart");
    if (strcmp(address, agent->settings->values.http.address) == 0)
        return 0;
    *pages = NULL;
    return address[0]
               ? pages_open(pages, &agent->loop, address, agent->metrics, is_ready, agent, err)
               : 0;
}

/* Nothing here can fail as a whole. */
static void apply_settings(struct agent *agent, struct agent_settings *fresh, struct pages *pages)
{
    struct streams_changes changes;
    log_configure(fresh->values.log, NULL); /* it was checked when it was loaded */
    if (pages != agent->pages)
        pages_close(&agent->pages);
    agent->pages = pages;
    probes_set_config(agent->probes, &fresh->values.probes);
    streams_apply(agent->streams, fresh, &changes);
    log_info("agent", "configuration read again", LOG_U64("cameras_started", changes.started),
             LOG_U64("cameras_ended", changes.ended), LOG_U64("cameras_restarted", changes.restarted),
             LOG_U64("rungs_changed", changes.rungs));
    config_compare(agent_options, RELOAD_RESTART, &agent->begun->values, &fresh->values,
                   tell_restart, agent);
    agent_settings_unref(&agent->settings);
    agent->settings = agent_settings_ref(fresh);
}

/* All mistakes, in the order of lines. */
static void log_refused(const struct config *mistakes, const struct error *err)
{
    size_t count = mistakes ? config_problem_count(mistakes) : 0;
    log_error("agent", "reload refused, nothing changed",
              LOG_STR("cause", count > 0 ? config_problem(mistakes, 0) : err->text));
    for (size_t i = 1; i < count; i++)
        log_error("agent", "and another mistake", LOG_STR("cause", config_problem(mistakes, i)));
}

static void on_reload(uv_signal_t *handle, int number)
{
    struct agent *agent = handle->data;
    const struct agent_run_options *options = agent->options;
    struct agent_settings *fresh = NULL;
    struct config *mistakes = NULL;
    struct pages *pages = NULL;
    struct error err;
    (void)number;
    if (agent->stopping)
        return;
    if (agent_settings_load(&fresh, &mistakes, options->config_path, options->sets,
                            options->set_count, &err) != 0 ||
        try_settings(agent, fresh, &pages, &err) != 0) {
        log_refused(mistakes, &err);
    } else {
        apply_settings(agent, fresh, pages);
    }
    config_free(&mistakes);
    agent_settings_unref(&fresh);
}

/* ---- opening and closing ---- */

static int open_streams(struct agent *agent, struct error *err)
{
    const struct stream_context context = {
        .loop = &agent->loop,
        .agent_name = agent->begun->values.name,
        .metrics = agent->metrics,
        .uplink = agent->uplink,
        .probes = agent->probes,
        .sink = agent->sink,
        .spool = agent->spool,
    };
    struct streams_changes changes;
    int result = streams_open(&agent->streams, &context, on_ended, agent, err);
    if (result != 0)
        return result;
    streams_apply(agent->streams, agent->settings, &changes);
    if (streams_count(agent->streams) > 0)
        return 0;
    *err = *streams_failure(agent->streams);
    return -(int)err->code;
}

static void init_handles(struct agent *agent)
{
    uv_signal_init(&agent->loop, &agent->terminate);
    uv_signal_init(&agent->loop, &agent->interrupt);
    uv_signal_init(&agent->loop, &agent->reload);
    uv_timer_init(&agent->loop, &agent->tick);
    uv_timer_init(&agent->loop, &agent->drain);
    agent->terminate.data = agent->interrupt.data = agent->reload.data = agent;
    agent->tick.data = agent->drain.data = agent;
}

static void start_handles(struct agent *agent)
{
    uv_signal_start(&agent->terminate, on_signal, SIGTERM);
    uv_signal_start(&agent->interrupt, on_signal, SIGINT);
    uv_signal_start(&agent->reload, on_reload, SIGHUP);
    uv_timer_start(&agent->tick, on_tick, TICK_MS, TICK_MS);
}

static int add_to_mqtt(void *arg, const Runespoor__Answer *answer, uint64_t age_us, uint64_t ticket)
{
    return sink_mqtt_add_answer(arg, answer, age_us, ticket);
}

static void on_published(void *arg, uint64_t ticket)
{
    struct agent *agent = arg;
    sink_on_published(agent->sink, ticket);
}

static int open_mqtt(struct agent *agent, struct error *err)
{
    const struct agent_config *config = &agent->begun->values;
    int result = sink_mqtt_open(&agent->mqtt, &agent->loop, &config->mqtt, config->name,
                                agent->metrics, on_published, agent, err);
    if (result == 0)
        sink_register(agent->sink, add_to_mqtt, agent->mqtt);
    return result;
}

static int open_all(struct agent *agent, struct error *err)
{
    static const struct uplink_events events = { on_up, on_down, on_message };
    const struct agent_config *config = &agent->begun->values;
    init_handles(agent);
    int result = metrics_create(&agent->metrics, err);
    if (result == 0)
        result = keys_read_pair(config->keys.folder, config->keys.name, &agent->keys, err);
    if (result == 0 && agent->options->live)
        result = table_create(&agent->table, agent->metrics, stdout, isatty(STDOUT_FILENO), err);
    if (result == 0 && config->spool.path[0])
        result = spool_open(&agent->spool, &agent->loop, &config->spool, &config->answers,
                            agent->metrics, err);
    if (result == 0)
        result = sink_open(&agent->sink, &agent->loop, &config->answers, agent->spool,
                           agent->metrics, err);
    if (result == 0 && config->mqtt.address[0])
        result = open_mqtt(agent, err);
    if (result == 0)
        result = uplink_open(&agent->uplink, &agent->loop, &config->server, agent->zmq_context,
                             &agent->keys, agent->metrics, &events, agent, err);
    if (result == 0)
        result = probes_open(&agent->probes, &agent->loop, &config->probes, AGENT_CAMERAS_MAX,
                             agent->uplink, agent->metrics, err);
    if (result == 0)
        result = open_streams(agent, err);
    if (result == 0 && config->http.address[0])
        result = pages_open(&agent->pages, &agent->loop, config->http.address, agent->metrics,
                            is_ready, agent, err);
    if (result == 0) /* until here a signal just kills, whatever hangs */
        start_handles(agent);
    return result;
}

static void close_all(struct agent *agent)
{
    if (agent->closed)
        return;
    agent->closed = true;
    if (agent->stopping)
        alarm(CLOSE_S); /* else nobody waits for the end, and any signal kills from here on */
    if (agent->table && agent->begin_ns > 0)
        table_draw(agent->table, clock_now_ns());
    pages_close(&agent->pages);
    const struct error *failure = agent->streams ? streams_failure(agent->streams) : NULL;
    if (failure)
        agent->failure = *failure;
    streams_close(&agent->streams);
    probes_close(&agent->probes);
    uplink_close(&agent->uplink);
    sink_mqtt_close(&agent->mqtt);
    sink_close(&agent->sink);
    spool_close(&agent->spool);
    uv_close((uv_handle_t *)&agent->terminate, NULL);
    uv_close((uv_handle_t *)&agent->interrupt, NULL);
    uv_close((uv_handle_t *)&agent->reload, NULL);
    uv_close((uv_handle_t *)&agent->tick, NULL);
    uv_close((uv_handle_t *)&agent->drain, NULL);
}
