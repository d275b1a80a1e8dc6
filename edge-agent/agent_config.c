/* agent_config: see the header. The tables of sources and rungs live with their modules. */
#include "agent_config.h"

#include "base/log.h"
#include "net/http.h"
#include "net/wire.h"
#include <stdlib.h>
#include <string.h>

static const char *const mode_words[] = { "live", "lossless", NULL };
static const char *const pace_words[] = { "realtime", "fast", NULL };
static const char *const spool_full_words[] = { "oldest", "refuse", NULL };

const struct option_spec camera_options[] = {
    OPTION_STRING_REQUIRED(camera_config, name, "gate-1",
                           "name of the stream; the server has to allow it to this box's key"),
    OPTION_STRING(camera_config, model, "",
                  "model wanted at the server; empty: its default, none: no analysis"),
    OPTION_SECTION(camera_config, source, source_options, "where the pictures come from"),
    OPTION_ENUM(camera_config, mode, "live", mode_words,
                "live: the newest frame matters, and what cannot be sent in time is dropped; lossless: each "
                "frame waits in the spool until it is answered, exactly once"),
    OPTION_ENUM(camera_config, pace, "realtime", pace_words,
                "realtime plays a file at its own pace and drops what cannot be sent in time, "
                "fast sends every frame as soon as the server takes it"),
    OPTION_SECTION(camera_config, rung, rung_options, "what is sent: size, rate and quality",
                   .reload = RELOAD_LIVE),
    OPTION_U32(camera_config, encode_threads, "1", 1, 16, "", "threads of this camera's encoder"),
    OPTION_END,
};

static const struct option_spec server_options[] = {
    OPTION_STRING_REQUIRED(server_config, address, "tcp://192.0.2.8:5570", "where it listens"),
    OPTION_STRING(server_config, key, "keys/server.pub", "file with its public key"),
    OPTION_END,
};

static const struct option_spec server_link_options[] = {
    OPTION_STRING(server_link_config, address, "tcp://127.0.0.1:5570", "where cloud-server listens"),
    OPTION_STRING(
        server_link_config, key, "keys/server.pub",
        "file with the server's public key, copied from the server; up to 4 keys, one a line, "
        "are tried in turn while the server replaces its own"),
    OPTION_LIST(server_link_config, others, server_config, server_options, 0, AGENT_SERVERS_MAX - 1,
                "servers that stand in when this one cannot be had or stops, tried in turn"),
    OPTION_U32(server_link_config, backoff_first_ms, "250", 10, 60000, "ms",
               "wait before the first new try when the link broke"),
    OPTION_U32(server_link_config, backoff_cap_ms, "15000", 10, 600000, "ms",
               "longest wait between tries; waits double up to here, with jitter"),
    OPTION_U32(server_link_config, connect_ms, "5000", 100, 600000, "ms",
               "a link that is not up by then is torn down and tried again"),
    OPTION_END,
};

static const struct option_spec agent_keys_options[] = {
    OPTION_STRING(agent_keys_config, folder, "keys", "folder of this box's key pair"),
    OPTION_STRING(agent_keys_config, name, "edge", "name of the key pair: NAME.pub and NAME.key"),
    OPTION_END,
};

static const struct option_spec probes_options[] = {
    OPTION_F64(probes_config, share, "0.03", 0, 0.5, "",
               "part of the bits sent that may go into probes: frames sent a second time at source "
               "quality, "
               "from which the server tells what compression costs; 0: none"),
    OPTION_F64(probes_config, unused_share, "0", 0, 1, "",
               "and part of what uplink_kbps leaves unused"),
    OPTION_U32(probes_config, uplink_kbps, "0", 0, 10000000, "kbit/s",
               "what the uplink carries, for unused_share; 0: not known, nothing counts as unused"),
    OPTION_F64(probes_config, quality, "12", 0, 30, "CRF",
               "quality of a probe; lower is better and larger"),
    OPTION_END,
};

static const struct option_spec sink_options[] = {
    OPTION_STRING(sink_config, path, "", "file for the answers as JSON lines, empty for none"),
    OPTION_U32(sink_config, rotate_mb, "0", 0, 1048576, "MB",
               "a file of this size is moved to PATH.1, PATH.1 to PATH.2 and so on; 0: never"),
    OPTION_U32(sink_config, keep, "5", 1, 1000, "files", "so many rotated files are kept"),
    OPTION_END,
};

static const struct option_spec spool_options[] = {
    OPTION_STRING(spool_config, path, "", "database file; lossless cameras need one"),
    OPTION_U32(spool_config, size_mb, "1024", 2, 16777216, "MB",
               "the file grows no further; its log beside it takes 8 MB more"),
    OPTION_U32(spool_config, age_h, "72", 0, 87600, "h",
               "frames that wait longer are dropped, by whole groups of pictures; 0: never"),
    OPTION_ENUM(spool_config, full, "oldest", spool_full_words,
                "what goes when the spool is full: the oldest group of pictures, or (refuse) new frames"),
    OPTION_END,
};

static const struct option_spec http_options[] = {
    OPTION_STRING(http_config, address, "",
                  "IP:PORT for /metrics, /livez and /readyz; empty for none"),
    OPTION_END,
};

const struct option_spec agent_options[] = {
    OPTION_STRING(agent_config, name, "edge", "name of this box"),
    OPTION_SECTION(agent_config, server, server_link_options, "the link to cloud-server"),
    OPTION_SECTION(agent_config, keys, agent_keys_options, "this box's CURVE keys"),
    OPTION_LIST(
        agent_config, cameras, camera_config, camera_options, 1, AGENT_CAMERAS_MAX,
        "one entry per camera; by their names they start, end and go on when this is read again",
        .reload = RELOAD_PART),
    OPTION_SECTION(agent_config, probes, probes_options,
                   "what is sent for measuring; docs/tail.md says what that gives",
                   .reload = RELOAD_LIVE),
    OPTION_SECTION(agent_config, spool, spool_options, "where frames of lossless cameras wait"),
    OPTION_SECTION(agent_config, answers, sink_options, "what happens to the answers"),
    OPTION_SECTION(agent_config, mqtt, mqtt_options, "answers at an MQTT broker, too"),
    OPTION_SECTION(agent_config, http, http_options, "metrics and health over HTTP",
                   .reload = RELOAD_PART),
    OPTION_STRING(agent_config, log, "info", "log level, then levels by module: info,uplink=debug",
                  .reload = RELOAD_LIVE),
    OPTION_END,
};

static void check_address(struct config *config, const char *key, const char *address)
{
    if (strncmp(address, "tcp://", 6) != 0 || !strrchr(address + 6, ':'))
        config_add_problem(config, key, "\"%s\" is not an address like tcp://192.0.2.7:5570",
                           address);
}

static void check_server(const struct server_link_config *server, struct config *config)
{
    const struct server_config *others = server->others.items;
    char key[64];
    check_address(config, "server.address", server->address);
    for (size_t i = 0; i < server->others.count; i++) {
        snprintf(key, sizeof key, "server.others.%zu.address", i);
        check_address(config, key, others[i].address);
        bool again = strcmp(others[i].address, server->address) == 0;
        for (size_t j = 0; j < i; j++)
            again = again || strcmp(others[i].address, others[j].address) == 0;
        if (again)
            config_add_problem(config, key, "\"%s\" is in the list already", others[i].address);
    }
    if (server->backoff_first_ms > server->backoff_cap_ms)
        config_add_problem(config, "server.backoff_first_ms", "%u is above backoff_cap_ms %u",
                           server->backoff_first_ms, server->backoff_cap_ms);
}

static void check_cameras(const struct agent_config *agent, struct config *config)
{
    const struct camera_config *cameras = agent->cameras.items;
    char key[64];
    for (size_t i = 0; i < agent->cameras.count; i++) {
        struct error err;
        snprintf(key, sizeof key, "cameras.%zu.name", i);
        if (wire_check_name(cameras[i].name, "name", &err) != 0)
            config_add_problem(config, key, "%s", err.text);
        for (size_t j = 0; j < i; j++)
            if (strcmp(cameras[i].name, cameras[j].name) == 0)
                config_add_problem(config, key, "\"%s\" is the name of camera %zu already",
                                   cameras[i].name, j);
        if (cameras[i].model[0] && wire_check_name(cameras[i].model, "model", &err) != 0) {
            snprintf(key, sizeof key, "cameras.%zu.model", i);
            config_add_problem(config, key, "%s", err.text);
        }
        if (rung_check(&cameras[i].rung, &err) != 0) {
            snprintf(key, sizeof key, "cameras.%zu.rung", i);
            config_add_problem(config, key, "%s", err.text);
        }
        if (cameras[i].mode == MODE_LOSSLESS && !agent->spool.path[0]) {
            snprintf(key, sizeof key, "cameras.%zu.mode", i);
            config_add_problem(config, key, "lossless needs spool.path");
        }
        const char *option;
        if (source_check(&cameras[i].source, &option, &err) != 0) {
            snprintf(key, sizeof key, "cameras.%zu.source.%s", i, option);
            config_add_problem(config, key, "%s", err.text);
        }
    }
}

int agent_config_load(struct agent_config *agent, struct config **config, const char *path,
                      const char *const *sets, size_t set_count, struct error *err)
{
    memset(agent, 0, sizeof *agent);
    int result = config_load(config, agent_options, agent, path, sets, set_count, err);
    if (result != 0)
        return result;
    struct error name_error;
    if (wire_check_name(agent->name, "name", &name_error) != 0)
        config_add_problem(*config, "name", "%s", name_error.text);
    check_server(&agent->server, *config);
    check_cameras(agent, *config);
    mqtt_config_check(&agent->mqtt, *config);
    struct error http_error;
    if (agent->http.address[0] && http_check_address(agent->http.address, &http_error) != 0)
        config_add_problem(*config, "http.address", "%s", http_error.text);
    struct error log_mistake;
    if (log_check(agent->log, &log_mistake) != 0)
        config_add_problem(*config, "log", "%s", log_mistake.text);
    if (config_problem_count(*config) > 0)
        return error_set(err, ERROR_CONFIG, path ? path : "config", "%s", config_problem(*config, 0));
    return 0;
}

/* ---- settings ---- */

int agent_settings_load(struct agent_settings **out, struct config **mistakes, const char *path,
                        const char *const *sets, size_t set_count, struct error *err)
{
    *mistakes = NULL;
    struct agent_settings *settings = calloc(1, sizeof *settings);
    if (!settings)
        return error_set(err, ERROR_MEMORY, "config", "no memory");
    settings->users = 1;
    int result = agent_config_load(&settings->values, &settings->config, path, sets, set_count, err);
    if (result != 0) {
        *mistakes = settings->config;
        free(settings);
        return result;
    }
    *out = settings;
    return 0;
}

struct agent_settings *agent_settings_ref(struct agent_settings *settings)
{
    settings->users++;
    return settings;
}

void agent_settings_unref(struct agent_settings **unused)
{
    struct agent_settings *settings = *unused;
    *unused = NULL;
    if (!settings || --settings->users > 0)
        return;
    config_free(&settings->config);
    free(settings);
}
