/* restorer: a table of plans, and how one is made: the networks in their order, bicubic, nothing but the
 * network's input. */
#include "devices/restorer.h"

#include "analyse/planes.h"
#include "analyse/prepare.h"
#include "analyse/restore_try.h"
#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct restorer_model {
    char *folder; /* NULL: not added */
    struct restorer_network networks[POOL_NETWORKS_MAX];
    uint32_t network_count;
    struct card_input input; /* of the model */
    bool bicubic;            /* for smaller pictures that no network fits */
};

struct restorer {
    struct device *device; /* borrowed */
    bool planes;           /* its plans read planes */
    struct restorer_model models[POOL_MODELS_MAX];
    struct restored_plan plans[RESTORER_PLANS_MAX];
    uint64_t uses;
};

static int add_card(struct restorer_model *model, const struct card *card, struct error *err);
static int add_network(struct restorer_model *model, const char *file, struct error *err);
static void release_model(struct restorer_model *model);
static bool is_to_restore(const struct restorer_model *model, const struct runner_picture *picture);
static bool scale_fits(uint32_t scale, const struct runner_picture *picture);
static bool is_for_a_plan(const struct restorer *restorer, const struct runner_picture *picture);
static struct restored_for describe(const struct restorer *restorer,
                                    const struct runner_picture *picture, uint32_t count);
static const struct restored_plan *look_up(const struct restorer *restorer,
                                           const struct runner_picture *picture, uint32_t count);
static struct restored_plan *make_room(struct restorer *restorer);
static void make(struct restorer *restorer, const struct runner_picture *picture, uint32_t count,
                 struct restored_plan *plan);
static void open_restored(struct restorer *restorer, struct restore_config *config,
                          const struct runner_picture *picture, struct restored_plan *plan);
static void open_plain(struct restorer *restorer, struct restore_config *config,
                       const struct runner_picture *picture, struct restored_plan *plan);
static bool open_network(struct restorer *restorer, struct restore_config *config,
                         const struct runner_picture *picture, struct restored_plan *plan);
static bool open_kind(struct restorer *restorer, const struct restore_config *config,
                      const struct runner_picture *picture, struct restored_plan *plan);
static int open_model(struct restorer *restorer, const struct restore_config *config,
                      const struct runner_picture *picture, struct restored_plan *plan,
                      struct error *err);
static void log_plan(const char *folder, const struct restored_plan *plan, uint64_t begun_ns);

int restorer_open(struct restorer **out, struct device *device, struct error *err)
{
    struct restorer *restorer = calloc(1, sizeof *restorer);
    if (!restorer)
        return error_set(err, ERROR_MEMORY, "restore", "no room for %zu bytes", sizeof *restorer);
    restorer->device = device;
    restorer->planes = planes_pay(device);
    *out = restorer;
    return 0;
}

int restorer_add_model(struct restorer *restorer, const struct order_model *order,
                       const struct card *card, struct error *err)
{
    struct restorer_model *model = &restorer->models[order->index];
    assert(!model->folder && order->network_count <= POOL_NETWORKS_MAX);
    model->folder = strdup(order->folder);
    if (!model->folder)
        return error_set(err, ERROR_MEMORY, "restore", "no room for the name of a folder");
    for (uint32_t i = 0; i < order->network_count; i++) {
        const char *file = order->networks[i];
        bool of_card = strcmp(file, POOL_NETWORKS_CARD) == 0;
        int failed = of_card ? add_card(model, card, err) : add_network(model, file, err);
        if (failed)
            return error_wrap(err, "restore");
    }
    model->input = card->input;
    model->bicubic = order->fallback == FALLBACK_BICUBIC ||
                     (order->fallback == FALLBACK_AUTO && model->network_count > 0);
    return 0;
}

bool restorer_must_prepare(const struct restorer *restorer, const struct runner_picture *picture,
                           uint32_t count)
{
    return is_for_a_plan(restorer, picture) && !look_up(restorer, picture, count);
}

const struct restored_plan *restorer_find(struct restorer *restorer,
                                          const struct runner_picture *picture, uint32_t count)
{
    if (!is_for_a_plan(restorer, picture))
        return NULL;
    struct restored_plan *plan = (struct restored_plan *)look_up(restorer, picture, count);
    if (!plan) {
        plan = make_room(restorer);
        make(restorer, picture, count, plan);
    }
    plan->used = ++restorer->uses;
    return plan;
}

void restorer_close(struct restorer **closed)
{
    struct restorer *restorer = *closed;
    *closed = NULL;
    if (!restorer)
        return;
    for (size_t i = 0; i < RESTORER_PLANS_MAX; i++)
        model_close(&restorer->plans[i].model);
    for (size_t i = 0; i < POOL_MODELS_MAX; i++)
        release_model(&restorer->models[i]);
    free(restorer);
}

/* ---- at the start: the networks of a model ---- */

static int add_card(struct restorer_model *model, const struct card *card, struct error *err)
{
    for (size_t i = 0; i < card->restore.count; i++) {
        int failed = add_network(model, card->restore_paths[i], err);
        if (failed)
            return error_wrap(err, "restore.%zu of %s/" CARD_FILE_NAME, i, card->folder);
    }
    return 0;
}

static int add_network(struct restorer_model *model, const char *file, struct error *err)
{
    struct restore_network tried;
    if (model->network_count == POOL_NETWORKS_MAX)
        return error_set(err, ERROR_CONFIG, file,
                         "there are %u before it, which is all that can be", POOL_NETWORKS_MAX);
    struct restorer_network *network = &model->networks[model->network_count];
    card_name_network(file, network->name, sizeof network->name);
    for (uint32_t i = 0; i < model->network_count; i++)
        if (strcmp(model->networks[i].name, network->name) == 0)
            return error_set(err, ERROR_CONFIG, file,
                             "%s has the same name, \"%s\": answers must tell which",
                             model->networks[i].file, network->name);
    int failed = restore_try_network(&tried, file, err);
    if (failed)
        return failed;
    network->file = strdup(file);
    if (!network->file)
        return error_set(err, ERROR_MEMORY, file, "no room for its path");
    network->scale = tried.scale;
    model->network_count++;
    return 0;
}

static void release_model(struct restorer_model *model)
{
    for (uint32_t i = 0; i < model->network_count; i++)
        free(model->networks[i].file);
    free(model->folder);
}

/* ---- for each picture ---- */

/* Pictures of full size are for networks that keep it; a rung larger than the camera is nobody's. */
/* What has more pixels than the model reads is made smaller for it anyway. */
static bool model_reads_all(const struct restorer_model *model, const struct runner_picture *picture)
{
    struct placement placement;
    prepare_place(&model->input, picture->camera.width, picture->camera.height, &placement);
    return picture->view.width <= placement.inner_width ||
           picture->view.height <= placement.inner_height;
}

static bool is_to_restore(const struct restorer_model *model, const struct runner_picture *picture)
{
    uint32_t width = picture->view.width, height = picture->view.height;
    if (picture->plain || width > picture->camera.width || height > picture->camera.height ||
        !model_reads_all(model, picture))
        return false;
    if (width < picture->camera.width || height < picture->camera.height)
        return model->bicubic || model->network_count > 0;
    for (uint32_t i = 0; i < model->network_count; i++)
        if (model->networks[i].scale == 1)
            return true;
    return false;
}

static bool is_for_a_plan(const struct restorer *restorer, const struct runner_picture *picture)
{
    return restorer->planes || is_to_restore(&restorer->models[picture->model], picture);
}

static bool scale_fits(uint32_t scale, const struct runner_picture *picture)
{
    return scale * picture->view.width == picture->camera.width &&
           scale * picture->view.height == picture->camera.height;
}

static struct restored_for describe(const struct restorer *restorer,
                                    const struct runner_picture *picture, uint32_t count)
{
    const struct picture_view *view = &picture->view;
    struct restored_for pictures = {
        .model = picture->model, .count = count, .width = view->width, .height = view->height
    };
    if (is_to_restore(&restorer->models[picture->model], picture)) {
        pictures.camera_width = picture->camera.width;
        pictures.camera_height = picture->camera.height;
    }
    if (restorer->planes) {
        pictures.format = view->format;
        pictures.matrix = view->matrix;
        pictures.full_range = view->full_range;
    }
    if (restorer->planes && picture->way == PLANES_IN_PLACE)
        memcpy(pictures.stride, view->stride, sizeof pictures.stride);
    return pictures;
}

static const struct restored_plan *look_up(const struct restorer *restorer,
                                           const struct runner_picture *picture, uint32_t count)
{
    const struct restored_for pictures = describe(restorer, picture, count);
    for (size_t i = 0; i < RESTORER_PLANS_MAX; i++) {
        const struct restored_plan *plan = &restorer->plans[i];
        if (plan->used != 0 && memcmp(&plan->pictures, &pictures, sizeof pictures) == 0)
            return plan;
    }
    return NULL;
}

static struct restored_plan *make_room(struct restorer *restorer)
{
    struct restored_plan *oldest = &restorer->plans[0];
    for (size_t i = 1; i < RESTORER_PLANS_MAX; i++)
        if (restorer->plans[i].used < oldest->used)
            oldest = &restorer->plans[i];
    model_close(&oldest->model);
    return oldest;
}

static void make(struct restorer *restorer, const struct runner_picture *picture, uint32_t count,
                 struct restored_plan *plan)
{
    struct restore_config config = { .width = picture->view.width,
                                     .height = picture->view.height,
                                     .camera_width = picture->camera.width,
                                     .camera_height = picture->camera.height };
    uint64_t begun_ns = clock_now_ns();
    *plan = (struct restored_plan){ .kind = RESTORE_NONE,
                                    .pictures = describe(restorer, picture, count) };
    if (plan->pictures.camera_width > 0)
        open_restored(restorer, &config, picture, plan);
    if (!plan->model && restorer->planes)
        open_plain(restorer, &config, picture, plan);
    log_plan(restorer->models[picture->model].folder, plan, begun_ns);
}

static void open_restored(struct restorer *restorer, struct restore_config *config,
                          const struct runner_picture *picture, struct restored_plan *plan)
{
    bool opened = open_network(restorer, config, picture, plan);
    if (opened || !restorer->models[picture->model].bicubic || scale_fits(1, picture))
        return;
    config->kind = RESTORE_BICUBIC;
    open_kind(restorer, config, picture, plan);
}

/* Without it the model that reads all sizes serves, slower. */
static void open_plain(struct restorer *restorer, struct restore_config *config,
                       const struct runner_picture *picture, struct restored_plan *plan)
{
    struct error err;
    config->kind = RESTORE_NONE;
    if (open_model(restorer, config, picture, plan, &err) < 0)
        log_warn("restore", "its device cannot scale pictures of this size, the processor does",
                 LOG_STR("model", restorer->models[picture->model].folder), LOG_CAUSE(&err));
}

static bool open_network(struct restorer *restorer, struct restore_config *config,
                         const struct runner_picture *picture, struct restored_plan *plan)
{
    const struct restorer_model *model = &restorer->models[picture->model];
    config->kind = RESTORE_NETWORK;
    for (uint32_t i = 0; i < model->network_count; i++) {
        const struct restorer_network *network = &model->networks[i];
        if (!scale_fits(network->scale, picture))
            continue;
        config->network = network->file;
        if (!open_kind(restorer, config, picture, plan))
            continue;
        plan->network = network;
        return true;
    }
    if (model->network_count > 0 && plan->fallback[0] == '\0')
        snprintf(plan->fallback, sizeof plan->fallback,
                 "none of the networks makes %ux%u of a received %ux%u", picture->camera.width,
                 picture->camera.height, picture->view.width, picture->view.height);
    return false;
}

static bool open_kind(struct restorer *restorer, const struct restore_config *config,
                      const struct runner_picture *picture, struct restored_plan *plan)
{
    struct error err;
    if (open_model(restorer, config, picture, plan, &err) < 0) {
        snprintf(plan->fallback, sizeof plan->fallback, "%s", err.text);
        return false;
    }
    plan->kind = (uint32_t)config->kind;
    if (config->kind == RESTORE_NETWORK)
        plan->fallback[0] = '\0'; /* an earlier network's */
    return true;
}

static int open_model(struct restorer *restorer, const struct restore_config *config,
                      const struct runner_picture *picture, struct restored_plan *plan,
                      struct error *err)
{
    const struct model_form form = { .pictures = plan->pictures.count,
                                     .restore = config,
                                     .like = restorer->planes ? &picture->view : NULL,
                                     .way = picture->way };
    return model_open_as(&plan->model, restorer->models[picture->model].folder, restorer->device,
                         &form, err);
}

static void log_plan(const char *folder, const struct restored_plan *plan, uint64_t begun_ns)
{
    const struct restored_for *pictures = &plan->pictures;
    char sizes[64];
    int length = snprintf(sizes, sizeof sizes, "%ux%u", pictures->width, pictures->height);
    if (pictures->camera_width > 0)
        snprintf(sizes + length, sizeof sizes - (size_t)length, " to %ux%u", pictures->camera_width,
                 pictures->camera_height);
    const char *by = plan->network                   ? plan->network->file
                     : plan->kind == RESTORE_BICUBIC ? "bicubic"
                                                     : "none";
    log_info("restore", "ready for a picture size", LOG_STR("model", folder),
             LOG_STR("sizes", sizes), LOG_STR("by", by), LOG_U64("pictures", pictures->count),
             LOG_U64("took_ms", (clock_now_ns() - begun_ns) / CLOCK_NS_PER_MS));
}
