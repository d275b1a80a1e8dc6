/* agent_config: the root option table of edge-agent and the structs it fills. */
#ifndef RUNESPOOR_EDGE_AGENT_CONFIG_H
#define RUNESPOOR_EDGE_AGENT_CONFIG_H

#include "config/config.h"
#include "media/encode.h"
#include "media/source.h"
#include "mqtt_config.h"

#define AGENT_CAMERAS_MAX 64
#define AGENT_SERVERS_MAX 8 /* the first and the others */

enum camera_pace { PACE_REALTIME, PACE_FAST };
/* MODE_LOSSLESS: frames go through the spool, and each is answered exactly once. */
enum camera_mode { MODE_LIVE, MODE_LOSSLESS };

struct camera_config {
    char *name;  /* the stream's name */
    char *model; /* wanted at the server; "" for its default */
    struct source_config source;
    int mode; /* enum camera_mode */
    int pace; /* enum camera_pace; files and test pictures only */
    struct rung rung;
    uint32_t encode_threads;
};

/* A server that can stand in for the first. */
struct server_config {
    char *address;
    char *key;
};

struct server_link_config {
    char *address;
    char *key;                 /* file with the server's public keys, see keys_read_list */
    struct option_list others; /* struct server_config, in the order in which they are tried */
    uint32_t backoff_first_ms, backoff_cap_ms;
    uint32_t connect_ms; /* a link that is not up by then is torn down and tried again */
};

struct agent_keys_config {
    char *folder, *name;
};

/* What frames are sent again at source quality, for measuring. */
struct probes_config {
    double share;         /* of the bits sent, 0..1; 0: none */
    double unused_share;  /* of what uplink_kbps leaves, 0..1 */
    uint32_t uplink_kbps; /* 0: not known */
    double quality;       /* CRF */
};

struct sink_config {
    char *path;
    uint32_t rotate_mb; /* 0: never */
    uint32_t keep;      /* rotated files */
};

enum spool_full { SPOOL_FULL_OLDEST, SPOOL_FULL_REFUSE };

/* Where frames of lossless streams wait for their answers. */
struct spool_config {
    char *path;
    uint32_t size_mb, age_h; /* age_h 0: any */
    int full;                /* enum spool_full */
};

struct http_config {
    char *address;
};

struct agent_config {
    char *name;
    struct server_link_config server;
    struct agent_keys_config keys;
    struct option_list cameras; /* struct camera_config */
    struct probes_config probes;
    struct spool_config spool;
    struct sink_config answers;
    struct mqtt_config mqtt;
    struct http_config http;
    char *log;
};

extern const struct option_spec agent_options[];
extern const struct option_spec camera_options[]; /* of one of cameras */

/* Reads path (NULL: defaults) and --set values, then checks what only the whole shows (names twice,
 * a file source without a path). On mistakes *config still holds all of them. Changes nothing else. */
int agent_config_load(struct agent_config *agent, struct config **config, const char *path,
                      const char *const *sets, size_t set_count, struct error *err);

/* A configuration without mistakes, kept as long as anything borrows from it. Loop thread. */
struct agent_settings {
    struct agent_config values;
    struct config *config;
    size_t users;
};
/* agent_config_load, with one user. *mistakes has the loaded file where it has mistakes, to be freed by the
 * caller; otherwise NULL. */
int agent_settings_load(struct agent_settings **settings, struct config **mistakes, const char *path,
                        const char *const *sets, size_t set_count, struct error *err);
struct agent_settings *agent_settings_ref(struct agent_settings *settings);
/* Sets NULL; takes NULL. The last one frees it. */
void agent_settings_unref(struct agent_settings **settings);

#endif
