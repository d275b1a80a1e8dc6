/* pool_models: what the pool keeps of each model: its folder, the networks that restore pictures for it,
 * and the words and counters that tell which one did. */
#include "devices/pool_parts.h"

#include <stdlib.h>
#include <string.h>

#define NETWORK_WORD "network "

static int copy_path(char **to, const char *path, const char *name, struct error *err);
static char *make_words(const char *file);

int pool_served_init(struct pool_served *served, const struct pool_model *model,
                     struct metrics *metrics, struct error *err)
{
    static const char *const words[RESTORE_NETWORK + 1] = {
        [RESTORE_NONE] = "none", [RESTORE_BICUBIC] = "bicubic", [RESTORE_NETWORK] = "network"
    };
    served->bicubic = model->bicubic;
    served->name = strdup(model->name);
    if (!served->name)
        return error_set(err, ERROR_MEMORY, model->name, "no room for its name");
    if (model->networks.count > POOL_NETWORKS_MAX)
        return error_set(err, ERROR_LIMIT, model->name, "%zu networks to restore, at most %u can be",
                         model->networks.count, POOL_NETWORKS_MAX);
    int failed = copy_path(&served->folder, model->folder, model->name, err);
    for (size_t i = 0; !failed && i < model->networks.count; i++) {
        failed = copy_path(&served->networks[i], model->networks.items[i], model->name, err);
        served->restored[i] = make_words(model->networks.items[i]);
        served->network_count++;
        if (!failed && !served->restored[i])
            failed = error_set(err, ERROR_MEMORY, model->name, "no room for a network's name");
    }
    for (size_t i = 0; !failed && i < sizeof words / sizeof words[0]; i++) {
        struct metric_label labels[] = { { "model", model->name }, { "by", words[i] } };
        if (words[i])
            served->by[i] = metrics_counter(
                metrics, "server_pictures_restored_total",
                "pictures analysed, by what brought them to the camera's size first", labels, 2);
    }
    return failed;
}

void pool_served_finish(struct pool_served *served)
{
    free(served->name);
    free(served->folder);
    for (uint32_t i = 0; i < served->network_count; i++) {
        free(served->networks[i]);
        free(served->restored[i]);
    }
}

static int copy_path(char **to, const char *path, const char *name, struct error *err)
{
    if (strlen(path) >= ORDER_PATH_BYTES)
        return error_set(err, ERROR_LIMIT, name, "the path %.64s... is too long", path);
    *to = strdup(path);
    return *to ? 0 : error_set(err, ERROR_MEMORY, name, "no room for a path");
}

/* The file's name without folder and extension. */
static char *make_words(const char *file)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    const char *dot = strrchr(name, '.');
    size_t length = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    char *words = malloc(sizeof NETWORK_WORD + length);
    if (!words)
        return NULL;
    memcpy(words, NETWORK_WORD, sizeof NETWORK_WORD - 1);
    memcpy(words + sizeof NETWORK_WORD - 1, name, length);
    words[sizeof NETWORK_WORD - 1 + length] = '\0';
    return words;
}
