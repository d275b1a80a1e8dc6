/* pool_models: what the pool keeps of each model: its folder, the networks that restore pictures for it,
 * and the counters that tell what did. */
#include "devices/pool_parts.h"

#include <stdlib.h>
#include <string.h>

static int copy_path(char **to, const char *path, const char *name, struct error *err);

int pool_served_init(struct pool_served *served, const struct pool_model *model,
                     struct metrics *metrics, struct error *err)
{
    static const char *const words[RESTORE_NETWORK + 1] = {
        [RESTORE_NONE] = "none", [RESTORE_BICUBIC] = "bicubic", [RESTORE_NETWORK] = "network"
    };
    served->fallback = (uint32_t)model->fallback;
    served->name = strdup(model->name);
    if (!served->name)
        return error_set(err, ERROR_MEMORY, model->name, "no room for its name");
    if (model->networks.count > POOL_NETWORKS_MAX)
        return error_set(err, ERROR_LIMIT, model->name, "%zu networks to restore, at most %u can be",
                         model->networks.count, POOL_NETWORKS_MAX);
    int failed = copy_path(&served->folder, model->folder, model->name, err);
    for (size_t i = 0; !failed && i < model->networks.count; i++) {
        failed = copy_path(&served->networks[i], model->networks.items[i], model->name, err);
        served->network_count++;
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
    for (uint32_t i = 0; i < served->network_count; i++)
        free(served->networks[i]);
}

static int copy_path(char **to, const char *path, const char *name, struct error *err)
{
    if (strlen(path) >= ORDER_PATH_BYTES)
        return error_set(err, ERROR_LIMIT, name, "the path %.64s... is too long", path);
    *to = strdup(path);
    return *to ? 0 : error_set(err, ERROR_MEMORY, name, "no room for a path");
}
