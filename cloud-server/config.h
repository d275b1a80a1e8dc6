/* config: everything that cloud-server's YAML file may say, and the checks that tables cannot make.
 */
#ifndef RUNESPOOR_SERVER_CONFIG_H
#define RUNESPOOR_SERVER_CONFIG_H

#include "config/config.h"
#include "control/tail_window.h"
#include "devices/pool.h"

/* The model name that asks for no analysis: pictures are decoded and answered. */
#define MODEL_NONE "none"

struct listen_config {
    char *address;
};

struct keys_config {
    char *folder, *name; /* the server's own key pair */
    char *allow;         /* folder of agents that may connect */
};

struct model_restore_config {
    struct option_strings networks; /* as in struct pool_model */
    int fallback;                   /* enum restore_fallback */
};

struct model_config {
    char *name, *folder;
    char *golden; /* model whose answers to probes count as the truth; "": itself */
    struct model_restore_config restore;
};

/* Which frames agents are asked for at source quality; the words are those of the wire's ProbeOrder. */
struct probes_config {
    int order;
    struct tail_window_config window;
};

struct decode_config {
    uint32_t threads; /* 0: one per processor, at most DECODE_THREADS_AUTO_MAX */
    int decoder;      /* enum decoder_kind */
};

struct answers_config {
    char *path;
    uint32_t queue;
};

struct record_config {
    char *folder;
    uint32_t queue;
};

struct limits_config {
    uint32_t width, height; /* of a picture, camera's and encoded */
    uint32_t streams, streams_per_key;
    uint32_t bitrate_kbps; /* per key */
    uint32_t message_bytes;
};

struct http_config {
    char *address;
};

struct publish_config {
    char *address;
};

struct server_config {
    struct listen_config listen;
    struct keys_config keys;
    struct option_list models; /* struct model_config; never empty after server_config_load */
    char *model;               /* for streams that name none; "" is the first */
    struct pool_config pool;
    struct probes_config probes;
    struct decode_config decode;
    struct answers_config answers;
    struct record_config record;
    struct limits_config limits;
    struct http_config http;
    struct publish_config publish;
    uint32_t credits;
    uint32_t report_ms;
    char *log;
};
extern const struct option_spec server_options[];

/* config_load with the checks of this file; *loaded as config_load leaves it. Changes nothing else. */
int server_config_load(struct config **loaded, struct server_config *config, const char *path,
                       const char *const *sets, size_t set_count, struct error *err);

/* False when the server as a whole does no analysis. */
bool server_config_analyses(const struct server_config *config);

/* Index of the model that a Hello asks for (NULL or "": the default), MODEL_INDEX_NONE for "none".
 * -ERROR_UNSUPPORTED, in words for the agent, when there is no such model here. */
#define MODEL_INDEX_NONE SIZE_MAX
int server_config_find_model(const struct server_config *config, const char *name, size_t *index,
                             struct error *err);
/* The one that answers the probes of streams of this model. */
size_t server_config_golden(const struct server_config *config, size_t model);

#endif
