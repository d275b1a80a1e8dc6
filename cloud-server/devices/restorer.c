/* restorer: a table of plans, and how one is made: the networks in their order, bicubic, nothing. */
#include "devices/restorer.h"

#include "base/clock.h"
#include "base/log.h"
#include "graph/compose.h"
#include "onnx/onnx.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCALE_MAX 8u /* a network makes a picture larger by at most this much */

/* The picture that a network without a size of its own is tried with: most halve it a few times. */
#define TRIED_WIDTH 64u
#define TRIED_HEIGHT 48u

#define CHANNELS 3

struct restorer_model {
    struct order_model *order; /* NULL: not added */
    uint32_t scale[POOL_NETWORKS_MAX];
};

struct restorer {
    struct device *device; /* borrowed */
    struct restorer_model models[POOL_MODELS_MAX];
    struct restored_plan plans[RESTORER_PLANS_MAX];
    uint64_t uses;
};

static int find_scale(const char *file, uint32_t *scale, struct error *err);
static void find_tried_size(const struct graph *network, struct restore_config *config);
static int try_scale(struct restore_config *config, uint32_t scale, struct error *err);
static bool is_to_restore(const struct restorer_model *model, const struct runner_picture *picture);
static bool scale_fits(uint32_t scale, const struct runner_picture *picture);
static const struct restored_plan *look_up(const struct restorer *restorer,
                                           const struct runner_picture *picture);
static struct restored_plan *make_room(struct restorer *restorer);
static void make(struct restorer *restorer, const struct runner_picture *picture,
                 struct restored_plan *plan);
static bool open_network(struct restorer *restorer, struct restore_config *config,
                         const struct runner_picture *picture, struct restored_plan *plan);
static bool open_kind(struct restorer *restorer, const struct restore_config *config,
                      struct restored_plan *plan);
static void log_plan(const struct order_model *order, const struct restored_plan *plan,
                     uint64_t begun_ns);

int restorer_open(struct restorer **out, struct device *device, struct error *err)
{
    struct restorer *restorer = calloc(1, sizeof *restorer);
    if (!restorer)
        return error_set(err, ERROR_MEMORY, "restore", "no room for %zu bytes", sizeof *restorer);
    restorer->device = device;
    *out = restorer;
    return 0;
}

int restorer_add_model(struct restorer *restorer, const struct order_model *order, struct error *err)
{
    struct restorer_model *model = &restorer->models[order->index];
    assert(!model->order && order->network_count <= POOL_NETWORKS_MAX);
    model->order = malloc(sizeof *model->order);
    if (!model->order)
        return error_set(err, ERROR_MEMORY, "restore", "no room for %zu bytes", sizeof *order);
    *model->order = *order;
    for (uint32_t i = 0; i < order->network_count; i++) {
        int failed = find_scale(order->networks[i], &model->scale[i], err);
        if (failed)
            return error_wrap(err, "restore");
    }
    return 0;
}

bool restorer_must_prepare(const struct restorer *restorer, const struct runner_picture *picture)
{
    return is_to_restore(&restorer->models[picture->model], picture) && !look_up(restorer, picture);
}

const struct restored_plan *restorer_find(struct restorer *restorer,
                                          const struct runner_picture *picture)
{
    if (!is_to_restore(&restorer->models[picture->model], picture))
        return NULL;
    struct restored_plan *plan = (struct restored_plan *)look_up(restorer, picture);
    if (!plan) {
        plan = make_room(restorer);
        make(restorer, picture, plan);
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
        free(restorer->models[i].order);
    free(restorer);
}

/* ---- at the start: can a network be used, and how much larger does it make a picture ---- */

static int find_scale(const char *file, uint32_t *scale, struct error *err)
{
    struct graph *network = NULL;
    struct restore_config config = { .kind = RESTORE_NETWORK, .network = file };
    int failed = onnx_read_file(&network, file, err);
    if (failed)
        return failed;
    find_tried_size(network, &config);
    graph_free(&network);
    for (*scale = 1; *scale <= SCALE_MAX; ++*scale) {
        failed = try_scale(&config, *scale, err);
        if (failed != -ERROR_CONFIG) /* another size than this one */
            return failed;
    }
    return error_set(err, ERROR_CONFIG, file,
                     "of a picture of %ux%u it makes none that is 1 to %u times as wide and high",
                     config.width, config.height, SCALE_MAX);
}

/* What restore_embed does not like about the input it says itself. */
static void find_tried_size(const struct graph *network, struct restore_config *config)
{
    config->width = TRIED_WIDTH;
    config->height = TRIED_HEIGHT;
    if (network->input_count != 1 || network->values[network->inputs[0]].shape.rank != 4)
        return;
    const int64_t *dim = network->values[network->inputs[0]].shape.dim;
    int first = dim[1] == CHANNELS || dim[1] == 1 ? 2 : 1;
    if (dim[first] > 0 && dim[first] <= PICTURE_SIDE_MAX)
        config->height = (uint32_t)dim[first];
    if (dim[first + 1] > 0 && dim[first + 1] <= PICTURE_SIDE_MAX)
        config->width = (uint32_t)dim[first + 1];
}

/* In front of analytics that only hand the picture on. */
static int try_scale(struct restore_config *config, uint32_t scale, struct error *err)
{
    struct compose c;
    struct graph *whole = NULL;
    struct card_input prepared;
    config->camera_width = scale * config->width;
    config->camera_height = scale * config->height;
    const struct card card = { .input = { .width = config->camera_width,
                                          .height = config->camera_height,
                                          .fit = FIT_STRETCH,
                                          .divisor = 255,
                                          .deviation = { 1, 1, 1 } } };
    compose_start(&c, "nothing", err);
    int picture =
        compose_input(&c, "picture", TENSOR_F32,
                      COMPOSE_SHAPE(1, CHANNELS, config->camera_height, config->camera_width));
    compose_output(&c, picture, "same");
    int failed = c.rc;
    if (!failed)
        failed = restore_embed(&whole, c.graph, &card, config, &prepared, err);
    graph_free(&whole);
    graph_free(&c.graph);
    return failed;
}

/* ---- for each picture ---- */

/* Pictures of full size are for networks that keep it; a rung larger than the camera is nobody's. */
static bool is_to_restore(const struct restorer_model *model, const struct runner_picture *picture)
{
    uint32_t width = picture->view.width, height = picture->view.height;
    if (width > picture->camera.width || height > picture->camera.height)
        return false;
    if (width < picture->camera.width || height < picture->camera.height)
        return model->order->bicubic || model->order->network_count > 0;
    for (uint32_t i = 0; i < model->order->network_count; i++)
        if (model->scale[i] == 1)
            return true;
    return false;
}

static bool scale_fits(uint32_t scale, const struct runner_picture *picture)
{
    return scale * picture->view.width == picture->camera.width &&
           scale * picture->view.height == picture->camera.height;
}

static const struct restored_plan *look_up(const struct restorer *restorer,
                                           const struct runner_picture *picture)
{
    for (size_t i = 0; i < RESTORER_PLANS_MAX; i++) {
        const struct restored_plan *plan = &restorer->plans[i];
        if (plan->used != 0 && plan->index == picture->model && plan->width == picture->view.width &&
            plan->height == picture->view.height && plan->camera.width == picture->camera.width &&
            plan->camera.height == picture->camera.height)
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

static void make(struct restorer *restorer, const struct runner_picture *picture,
                 struct restored_plan *plan)
{
    const struct order_model *order = restorer->models[picture->model].order;
    struct restore_config config = { .width = picture->view.width,
                                     .height = picture->view.height,
                                     .camera_width = picture->camera.width,
                                     .camera_height = picture->camera.height };
    uint64_t begun_ns = clock_now_ns();
    *plan = (struct restored_plan){ .kind = RESTORE_NONE,
                                    .index = picture->model,
                                    .width = picture->view.width,
                                    .height = picture->view.height,
                                    .camera = picture->camera };
    bool opened = open_network(restorer, &config, picture, plan);
    if (!opened && order->bicubic && !scale_fits(1, picture)) {
        config.kind = RESTORE_BICUBIC;
        open_kind(restorer, &config, plan);
    }
    log_plan(order, plan, begun_ns);
}

static bool open_network(struct restorer *restorer, struct restore_config *config,
                         const struct runner_picture *picture, struct restored_plan *plan)
{
    const struct restorer_model *model = &restorer->models[picture->model];
    config->kind = RESTORE_NETWORK;
    for (uint32_t i = 0; i < model->order->network_count; i++) {
        if (!scale_fits(model->scale[i], picture))
            continue;
        config->network = model->order->networks[i];
        plan->network = i;
        if (open_kind(restorer, config, plan))
            return true;
    }
    if (model->order->network_count > 0 && plan->fallback[0] == '\0')
        snprintf(plan->fallback, sizeof plan->fallback,
                 "none of the networks makes %ux%u of a received %ux%u", picture->camera.width,
                 picture->camera.height, picture->view.width, picture->view.height);
    return false;
}

static bool open_kind(struct restorer *restorer, const struct restore_config *config,
                      struct restored_plan *plan)
{
    struct error err;
    const char *folder = restorer->models[plan->index].order->folder;
    if (model_open_restored(&plan->model, folder, restorer->device, config, NULL, &err) < 0) {
        snprintf(plan->fallback, sizeof plan->fallback, "%s", err.text);
        return false;
    }
    plan->kind = (uint32_t)config->kind;
    if (config->kind == RESTORE_NETWORK)
        plan->fallback[0] = '\0'; /* an earlier network's */
    return true;
}

static void log_plan(const struct order_model *order, const struct restored_plan *plan,
                     uint64_t begun_ns)
{
    char sizes[64];
    snprintf(sizes, sizeof sizes, "%ux%u to %ux%u", plan->width, plan->height, plan->camera.width,
             plan->camera.height);
    const char *by = plan->kind == RESTORE_NETWORK   ? order->networks[plan->network]
                     : plan->kind == RESTORE_BICUBIC ? "bicubic"
                                                     : "none";
    log_info("restore", "ready for a picture size", LOG_STR("model", order->folder),
             LOG_STR("sizes", sizes), LOG_STR("by", by),
             LOG_U64("took_ms", (clock_now_ns() - begun_ns) / CLOCK_NS_PER_MS));
}
