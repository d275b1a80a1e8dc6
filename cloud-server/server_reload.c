/* server_reload: see server.h. What can fail is opened beside what is there, then all of it changes at
 * once; what was there before is closed by another thread where that may wait for the disk. */
#include "server_parts.h"
#include "base/log.h"
#include <string.h>

/* What serves from now on: the same as before, something new, or NULL for off. */
struct fresh_parts {
    struct answer_file *answers;
    struct recorder *recorder;
    struct pages *pages;
};

static int open_answers(const struct server *server, const struct answers_config *config,
                        struct answer_file **answers, struct error *err)
{
    *answers = server->rooms.answers;
    if (*answers && answer_file_is_at(*answers, config->path))
        return 0; /* two writers would tear each other's lines */
    *answers = NULL;
    return config->path[0] ? answer_file_open(answers, config, server->rooms.metrics, err) : 0;
}

static int open_recorder(const struct server *server, const struct record_config *config,
                         struct recorder **recorder, struct error *err)
{
    const struct record_config *before = &server->latest.record;
    *recorder = server->rooms.recorder;
    if (strcmp(before->folder, config->folder) == 0 && before->queue == config->queue)
        return 0;
    *recorder = NULL;
    return config->folder[0] ? recorder_open(recorder, config, server->rooms.metrics, err) : 0;
}

static int open_pages(struct server *server, const char *address, struct pages **pages,
                      struct error *err)
{
    *pages = server->pages;
    if (strcmp(server->latest.http.address, address) == 0)
        return 0;
    *pages = NULL;
    return address[0] ? server_open_pages(server, address, pages, err) : 0;
}

/* Gives back what was opened for nothing; takes back what is the server's own. */
static void close_fresh(struct server *server, struct fresh_parts *fresh)
{
    if (fresh->answers != server->rooms.answers)
        answer_file_close(&fresh->answers);
    if (fresh->recorder != server->rooms.recorder)
        recorder_close(&fresh->recorder);
    if (fresh->pages != server->pages)
        pages_close(&fresh->pages);
}

static int open_fresh(struct server *server, const struct server_config *config,
                      struct fresh_parts *fresh, struct error *err)
{
    *fresh = (struct fresh_parts){ server->rooms.answers, server->rooms.recorder, server->pages };
    int rc = open_pages(server, config->http.address, &fresh->pages, err);
    if (rc == 0)
        rc = open_answers(server, &config->answers, &fresh->answers, err);
    if (rc == 0)
        rc = open_recorder(server, &config->record, &fresh->recorder, err);
    if (rc < 0)
        close_fresh(server, fresh);
    return rc;
}

static void adopt_parts(struct server *server, const struct fresh_parts *fresh)
{
    struct session_rooms *rooms = &server->rooms;
    uv_loop_t *loop = server->timer.loop;

    if (fresh->answers != rooms->answers)
        answer_file_close_later(&rooms->answers, loop);
    rooms->answers = fresh->answers;
    if (fresh->recorder != rooms->recorder)
        recorder_retire(&rooms->recorder, loop); /* streams that it records go on with it */
    rooms->recorder = fresh->recorder;
    if (fresh->pages != server->pages)
        pages_close(&server->pages);
    server->pages = fresh->pages;
}

/* Values that rooms look at each time they need them. */
static void adopt_values(struct server *server, const struct server_config *fresh)
{
    struct limits_config *limits = &server->config->limits;

    log_configure(fresh->log, NULL); /* it was checked when it was loaded */
    server->config->probes.order = fresh->probes.order;
    limits->width = fresh->limits.width;
    limits->height = fresh->limits.height;
    limits->streams_per_key = fresh->limits.streams_per_key;
    limits->bitrate_kbps = fresh->limits.bitrate_kbps;
    gate_limits_changed(server->gate);
    guard_refresh(server->guard);
}

static void tell_applied(void *arg, const char *key, enum option_reload reload)
{
    (void)arg;
    if (reload != RELOAD_RESTART)
        log_info("server", "changed", LOG_STR("option", key));
}

/* Compared with what the server began with: it is told until somebody does restart it. */
static void tell_restart(void *arg, const char *key, enum option_reload reload)
{
    (void)arg;
    if (reload == RELOAD_RESTART)
        log_warn("server", "changed, but only a restart makes it hold", LOG_STR("option", key));
}

int server_reload(struct server *server, const struct server_config *fresh, struct error *err)
{
    struct fresh_parts parts;

    int rc = open_fresh(server, fresh, &parts, err);
    if (rc < 0)
        return rc;
    if (parts.answers && server->rooms.answers && parts.answers != server->rooms.answers)
        log_info("server", "answer file opened anew", LOG_STR("path", fresh->answers.path));
    adopt_parts(server, &parts);
    adopt_values(server, fresh);
    log_info("server", "configuration read again");
    config_compare(server_options, RELOAD_RESTART, &server->latest, fresh, tell_applied, NULL);
    config_compare(server_options, RELOAD_RESTART, server->config, fresh, tell_restart, NULL);
    server->latest = *fresh;
    return 0;
}
