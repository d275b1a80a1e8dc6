/* config: the root table of cloud-server.yaml. A module that has options owns their table; only the
 * small sections of the rooms themselves are described here. */
#include "config.h"
#include "analyse/card.h"
#include "base/log.h"
#include "base/text.h"
#include "media/decode.h"
#include "net/http.h"
#include "net/wire.h"
#include <stdio.h>
#include <string.h>

static const struct option_spec listen_options[] = {
    OPTION_STRING(listen_config, address, "tcp://127.0.0.1:5570",
                  "where agents connect; tcp://0.0.0.0:5570 for all interfaces"),
    OPTION_END,
};

static const struct option_spec keys_options[] = {
    OPTION_STRING(keys_config, folder, "keys", "folder of the server's key pair"),
    OPTION_STRING(keys_config, name, "server", "name of the key pair: NAME.pub and NAME.key"),
    OPTION_STRING(keys_config, allow, "keys/allow",
                  "folder with one file per agent that may connect; read again while running"),
    OPTION_END,
};

static const char *const fallback_words[] = { "auto", "none", "bicubic", NULL };

static const struct option_spec model_restore_options[] = {
    { .name = "networks",
      .kind = OPTION_KIND_STRINGS,
      .offset = offsetof(struct model_restore_config, networks),
      .fallback = POOL_NETWORKS_CARD,
      .max = POOL_NETWORKS_MAX,
      .help =
          "networks that enlarge (RGB or luma): ONNX files, and card for those that the model's "
          "card names; the first that makes exactly the camera's size of the received one serves, "
          "[] is none" },
    OPTION_ENUM(model_restore_config, fallback, "auto", fallback_words,
                "for smaller pictures that no network fits: none leaves them as they are, auto is "
                "bicubic for a model that has networks and none for others"),
    OPTION_END,
};

static const struct option_spec model_options[] = {
    OPTION_STRING_REQUIRED(model_config, name, "street_det", "name that streams ask for"),
    OPTION_STRING_REQUIRED(model_config, folder, "models/street_det",
                           "folder with card.yaml and the network"),
    OPTION_STRING(model_config, golden, "",
                  "model of this list that looks at probes; its answers count as the truth; empty: this one"),
    OPTION_SECTION(model_config, restore, model_restore_options,
                   "what brings pictures that were sent smaller back to the camera's size"),
    OPTION_END,
};

/* In the order of the wire's ProbeOrder. */
static const char *const probe_orders[] = { "none", "random", "uncertain", NULL };

static const struct option_spec window_options[] = {
    OPTION_U32(tail_window_config, seconds, "86400", 60, 2592000, "s",
               "figures are of probes not older than this"),
    OPTION_U32(tail_window_config, probes_max, "2000", 30, 10000, "probes",
               "and of no more than so many, the newest"),
    OPTION_END,
};

static const struct option_spec probes_options[] = {
    OPTION_ENUM(probes_config, order, "random", probe_orders,
                "frames that agents send a second time at source quality, where they have bits for it: none, "
                "all alike, or those with uncertain answers more often, weighted accordingly; of streams "
                "that begin from then on",
                .reload = RELOAD_LIVE),
    OPTION_SECTION(probes_config, window, window_options,
                   "what accuracies are told of; each rung, restoration and model has a window of its own"),
    OPTION_END,
};

/* Those of decoder_kind_words that hold no picture back. */
static const char *const decoder_words[] = { [DECODER_SOFTWARE] = "software",
                                             [DECODER_AUTO] = "auto",
                                             [DECODER_NVDEC] = "nvdec",
                                             [DECODER_VAAPI] = "vaapi",
                                             NULL };

static const struct option_spec decode_options[] = {
    OPTION_U32(decode_config, threads, "0", 0, 256, "threads",
               "decoding threads, each works for any stream; 0 is one per processor, at most 16"),
    OPTION_ENUM(decode_config, decoder, "software", decoder_words,
                "what decodes: software, which tells of damage best; nvdec or vaapi on this machine's GPU; "
                "auto: the first of the two that decodes test pictures, else software"),
    OPTION_END,
};

static const struct option_spec answers_options[] = {
    OPTION_STRING(answers_config, path, "",
                  "file that every answer is appended to as one JSON line; empty for none; made anew on SIGHUP "
                  "when it was moved away",
                  .reload = RELOAD_PART),
    OPTION_U32(answers_config, queue, "1024", 16, 65536, "answers",
               "answers that may wait for the disk; the oldest is dropped beyond"),
    OPTION_END,
};

static const struct option_spec record_options[] = {
    OPTION_STRING(record_config, folder, "",
                  "folder for an MP4 per stream with the boxes drawn in; empty for none"),
    OPTION_U32(record_config, queue, "32", 1, 1024, "pictures",
               "pictures of all streams that may wait for the encoder; beyond, they are left out"),
    OPTION_END,
};

static const struct option_spec limits_options[] = {
    OPTION_U32(limits_config, width, "4096", 16, WIRE_SIDE_MAX, "px",
               "widest picture accepted; of streams that begin from then on", .reload = RELOAD_LIVE),
    OPTION_U32(limits_config, height, "2304", 16, WIRE_SIDE_MAX, "px",
               "highest picture accepted; of streams that begin from then on", .reload = RELOAD_LIVE),
    OPTION_U32(limits_config, streams, "256", 1, POOL_STREAMS_MAX, "streams",
               "streams at the same time"),
    OPTION_U32(limits_config, streams_per_key, "64", 1, POOL_STREAMS_MAX, "streams",
               "streams of one key at the same time; those that are there stay",
               .reload = RELOAD_LIVE),
    OPTION_U32(limits_config, bitrate_kbps, "200000", 8, 10000000, "kbit/s",
               "bitrate of all streams of one key; packets above it are dropped",
               .reload = RELOAD_LIVE),
    OPTION_U32(limits_config, message_bytes, "4194304", 4096, WIRE_PAYLOAD_BYTES_MAX, "bytes",
               "largest packet; has to hold the largest keyframe"),
    OPTION_END,
};

static const struct option_spec http_options[] = {
    OPTION_STRING(http_config, address, "",
                  "IP:PORT for /metrics, /livez, /readyz and /api/streams; empty for none"),
    OPTION_END,
};

static const struct option_spec publish_options[] = {
    OPTION_STRING(publish_config, address, "",
                  "where keys with reads: true in the allow folder may subscribe, as "
                  "tcp://127.0.0.1:5571; empty for none"),
    OPTION_END,
};

const struct option_spec server_options[] = {
    OPTION_SECTION(server_config, listen, listen_options, "the socket that agents connect to"),
    OPTION_SECTION(server_config, keys, keys_options, "CURVE keys"),
    OPTION_LIST(server_config, models, model_config, model_options, 0, POOL_MODELS_MAX,
                "models that streams may ask for; when empty, street_det in models/street_det"),
    OPTION_STRING(
        server_config, model, "",
        "model of streams that name no model; empty: the first of the list, none: decode and "
        "answer without any analysis, and start no workers"),
    OPTION_SECTION(server_config, pool, pool_options, "the workers and their devices"),
    OPTION_SECTION(server_config, probes, probes_options,
                   "measuring, while streaming, what compression costs; docs/tail.md"),
    OPTION_SECTION(server_config, decode, decode_options, "decoding"),
    OPTION_SECTION(server_config, answers, answers_options, "answers on disk"),
    OPTION_SECTION(server_config, record, record_options,
                   "annotated video on disk; a change holds for streams that begin from then on",
                   .reload = RELOAD_PART),
    OPTION_SECTION(server_config, limits, limits_options, "limits that protect the server"),
    OPTION_SECTION(server_config, http, http_options, "metrics and health",
                   .reload = RELOAD_PART),
    OPTION_SECTION(server_config, publish, publish_options, "answers for other programs"),
    OPTION_U32(server_config, credits, "4", 1, 256, "frames",
               "frames of one stream that may be on their way at the same time; more than "
               "pool.queue_per_stream lets the server drop, fewer let the agent leave out frames "
               "before it spends bits on them"),
    OPTION_U32(server_config, report_ms, "1000", 100, 60000, "ms",
               "how often both sides report; after three silent periods a stream is ended"),
    OPTION_STRING(server_config, log, "info",
                  "error, warn, info or debug, then changes per module: info,gate=debug",
                  .reload = RELOAD_LIVE),
    OPTION_END,
};

static char *networks_fallback[] = { POOL_NETWORKS_CARD };
static struct model_config model_fallback = { .name = "street_det",
                                              .folder = "models/street_det",
                                              .golden = "",
                                              .restore.networks = { networks_fallback, 1 } };

static bool is_card(const char *network)
{
    return strcmp(network, POOL_NETWORKS_CARD) == 0;
}

/* Answers and logs name a network by its file. Those of the card are not known here: a worker that
 * loads it sees whether all have names of their own. */
static void check_networks(struct config *loaded, size_t model, const struct option_strings *networks)
{
    char name[CONFIG_STRING_BYTES_MAX + 1], other[CONFIG_STRING_BYTES_MAX + 1], key[80];
    struct error err;

    for (size_t i = 0; i < networks->count; i++) {
        const char *network = networks->items[i];
        snprintf(key, sizeof key, "models.%zu.restore.networks", model);
        card_name_network(network, name, sizeof name);
        if (wire_check_name(name, network, &err) < 0)
            config_add_problem(loaded, key, "%s", err.text);
        for (size_t j = 0; j < i; j++) {
            card_name_network(networks->items[j], other, sizeof other);
            if (strcmp(name, other) == 0 && is_card(network) == is_card(networks->items[j]))
                config_add_problem(loaded, key,
                                   is_card(network)
                                       ? "'%s' is there twice"
                                       : "two networks are named '%s': answers must tell which",
                                   name);
        }
    }
}

static size_t find_by_name(const struct server_config *config, const char *name)
{
    const struct model_config *models = config->models.items;
    for (size_t i = 0; i < config->models.count; i++)
        if (strcmp(models[i].name, name) == 0)
            return i;
    return MODEL_INDEX_NONE;
}

static void check_models(struct config *loaded, const struct server_config *config)
{
    const struct model_config *models = config->models.items;
    struct error err;
    char key[64];

    for (size_t i = 0; i < config->models.count; i++) {
        snprintf(key, sizeof key, "models.%zu.name", i);
        if (wire_check_name(models[i].name, "name", &err) < 0)
            config_add_problem(loaded, key, "%s", err.text);
        else if (strcmp(models[i].name, MODEL_NONE) == 0)
            config_add_problem(loaded, key, "'%s' stands for no analysis", MODEL_NONE);
        check_networks(loaded, i, &models[i].restore.networks);
        for (size_t j = 0; j < i; j++)
            if (strcmp(models[i].name, models[j].name) == 0)
                config_add_problem(loaded, key, "'%s' is already the name of models.%zu",
                                   models[i].name, j);
        snprintf(key, sizeof key, "models.%zu.golden", i);
        if (models[i].golden[0] && find_by_name(config, models[i].golden) == MODEL_INDEX_NONE)
            config_add_problem(loaded, key, "'%s' is not in the list of models", models[i].golden);
    }
    size_t index;
    if (server_config_find_model(config, "", &index, &err) < 0)
        config_add_problem(loaded, "model", "%s", err.text);
}

static void check_address(struct config *loaded, const char *key, const char *address)
{
    if (strncmp(address, "tcp://", 6) != 0 || !strrchr(address + 6, ':'))
        config_add_problem(loaded, key, "'%s' is not an address like tcp://127.0.0.1:5570", address);
}

int server_config_load(struct config **loaded, struct server_config *config, const char *path,
                       const char *const *sets, size_t set_count, struct error *err)
{
    int rc = config_load(loaded, server_options, config, path, sets, set_count, err);
    if (rc < 0)
        return rc;
    if (config->models.count == 0)
        config->models = (struct option_list){ .items = &model_fallback, .count = 1 };
    check_address(*loaded, "listen.address", config->listen.address);
    if (config->publish.address[0] != '\0')
        check_address(*loaded, "publish.address", config->publish.address);
    if (config->http.address[0] != '\0' && http_check_address(config->http.address, err) < 0)
        config_add_problem(*loaded, "http.address", "%s", err->text);
    check_models(*loaded, config);
    if (log_check(config->log, err) < 0)
        config_add_problem(*loaded, "log", "%s", err->text);
    if (config_problem_count(*loaded) > 0)
        return error_set(err, ERROR_CONFIG, path ? path : "defaults", "%s",
                         config_problem(*loaded, 0));
    return 0;
}

bool server_config_analyses(const struct server_config *config)
{
    return strcmp(config->model, MODEL_NONE) != 0;
}

int server_config_find_model(const struct server_config *config, const char *name, size_t *index,
                             struct error *err)
{
    const struct model_config *models = config->models.items;

    if (!name || name[0] == '\0')
        name = config->model[0] != '\0' ? config->model : models[0].name;
    if (strcmp(name, MODEL_NONE) == 0) {
        *index = MODEL_INDEX_NONE;
        return 0;
    }
    if (!server_config_analyses(config))
        return error_set(err, ERROR_UNSUPPORTED, "model", "'%s': this server does not analyse", name);
    *index = find_by_name(config, name);
    if (*index != MODEL_INDEX_NONE)
        return 0;
    const char *nearest = models[0].name;
    for (size_t i = 1; i < config->models.count; i++)
        if (text_distance(models[i].name, name) < text_distance(nearest, name))
            nearest = models[i].name;
    return error_set(err, ERROR_UNSUPPORTED, "model",
                     "'%s' is not in the server's list of models; the nearest is '%s'", name,
                     nearest);
}

size_t server_config_golden(const struct server_config *config, size_t model)
{
    const struct model_config *models = config->models.items;
    return models[model].golden[0] ? find_by_name(config, models[model].golden) : model;
}
