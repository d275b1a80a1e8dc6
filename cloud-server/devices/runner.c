/* runner: a worker's device of the compute engine, be it this machine's processors or a GPU. */
#include "devices/runner.h"

#include "analyse/model.h"
#include "base/clock.h"
#include "base/log.h"
#include "devices/restorer.h"
#include "media/record.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct runner {
    struct device *device;
    bool pin_failed; /* and was told */
    struct restorer *restorer;
    struct model *models[POOL_MODELS_MAX];
    struct model *begun[RUNNER_DEPTH_MAX]; /* which models the pictures under way are in, */
    uint32_t oldest, under_way;            /* the oldest first */
    uint64_t ended_ns;                     /* when the last one was finished */
};

_Static_assert(RUNNER_DEPTH_MAX <= MODEL_DEPTH_MAX, "one model may have them all");

static int engine_open(struct runner **runner, const struct order_setup *setup, struct error *err);
static int engine_add_model(struct runner *runner, const struct order_model *order,
                            struct runner_model *added, struct error *err);
static bool engine_pin(struct runner *runner, void *data, uint64_t bytes);
static void engine_unpin(struct runner *runner, void *data);
static bool engine_must_prepare(const struct runner *runner, const struct runner_picture *picture);
static uint32_t engine_depth(const struct runner *runner);
static int engine_start(struct runner *runner, const struct runner_picture *picture,
                        struct reply_done *reply, struct error *err);
static int engine_finish(struct runner *runner, struct analysis *analysis, struct error *err);
static void leave_out_wait(struct runner *runner, struct analysis *analysis);
static void engine_close(struct runner **runner);

const struct runner_class runner_engine = {
    .open = engine_open,
    .add_model = engine_add_model,
    .pin = engine_pin,
    .unpin = engine_unpin,
    .must_prepare = engine_must_prepare,
    .depth = engine_depth,
    .start = engine_start,
    .finish = engine_finish,
    .close = engine_close,
};

static int engine_open(struct runner **out, const struct order_setup *setup, struct error *err)
{
    struct runner *runner = calloc(1, sizeof *runner);
    if (!runner)
        return error_set(err, ERROR_MEMORY, "runner", "no room for %zu bytes", sizeof *runner);
    char spec[32];
    if (setup->device_kind == DEVICE_CUDA)
        snprintf(spec, sizeof spec, "cuda:%u", setup->gpu);
    else
        snprintf(spec, sizeof spec, "cpu:threads=%u", setup->threads);
    int failed = device_open(&runner->device, spec, err);
    if (!failed)
        failed = restorer_open(&runner->restorer, runner->device, err);
    if (failed) {
        engine_close(&runner);
        return failed;
    }
    *out = runner;
    return 0;
}

/* Of a second look at the sample, as the first one finds all memory cold. */
static int time_sample(struct model *model, uint32_t *us, struct error *err)
{
    uint64_t begun_ns = clock_now_ns();
    int failed = model_check(model, err);
    *us = (uint32_t)((clock_now_ns() - begun_ns) / 1000);
    return failed;
}

/* The sample once more, the way that pictures go where the device makes its input itself. */
static int check_planes(struct runner *runner, const char *folder, const struct card *card,
                        uint32_t *sample_us, struct error *err)
{
    const struct restore_config none = { .kind = RESTORE_NONE };
    struct model *model = NULL;
    struct picture *sample = NULL;
    struct picture_view view;
    int failed = picture_read_file(&sample, card->picture_path, err);
    if (failed)
        return failed;
    picture_get_view(sample, &view);
    failed = model_open_planes(&model, folder, runner->device, &none, &view, PLANES_PACKED, err);
    if (!failed)
        failed = model_check(model, err);
    if (!failed)
        failed = time_sample(model, sample_us, err);
    model_close(&model);
    picture_unref(&sample);
    return failed;
}

/* Slower, or less accurate than it could be: worth a line. */
static void tell_precision(const struct runner *runner, const struct model *model)
{
    const struct card *card = model_card(model);
    struct device_info info;
    if (model_precision(model) == (enum precision)card->precision)
        return;
    device_get_info(runner->device, &info);
    log_info("worker", "its device does not have the precision of the card",
             LOG_STR("device", info.name), LOG_STR("model", card->name),
             LOG_STR("card", precision_word((enum precision)card->precision)),
             LOG_STR("used", precision_word(model_precision(model))));
}

static int engine_add_model(struct runner *runner, const struct order_model *order,
                            struct runner_model *added, struct error *err)
{
    struct model **model = &runner->models[order->index];
    assert(order->index < POOL_MODELS_MAX && !*model);
    int failed = model_open(model, order->folder, runner->device, err);
    if (!failed)
        failed = model_check(*model, err);
    if (!failed)
        failed = planes_pay(runner->device)
                     ? check_planes(runner, order->folder, model_card(*model), &added->sample_us, err)
                     : time_sample(*model, &added->sample_us, err);
    if (!failed)
        failed = restorer_add_model(runner->restorer, order, model_card(*model), err);
    if (failed)
        return failed; /* engine_close closes it */
    tell_precision(runner, *model);
    added->classes = &model_card(*model)->classes;
    added->masks = model_card(*model)->head.masks;
    return 0;
}

static bool engine_pin(struct runner *runner, void *data, uint64_t bytes)
{
    struct error err;
    bool pinned = device_pin(runner->device, data, bytes, &err) == 0;
    if (!pinned && !runner->pin_failed)
        log_warn("worker", "its device does not take the memory of pictures, copies are slower",
                 LOG_CAUSE(&err));
    runner->pin_failed = runner->pin_failed || !pinned;
    return pinned;
}

static void engine_unpin(struct runner *runner, void *data)
{
    device_unpin(runner->device, data);
}

static bool engine_must_prepare(const struct runner *runner, const struct runner_picture *picture)
{
    return restorer_must_prepare(runner->restorer, picture);
}

/* The same of all models: it is the device's. */
static uint32_t engine_depth(const struct runner *runner)
{
    uint32_t depth = model_depth(runner->models[0]);
    return depth < RUNNER_DEPTH_MAX ? depth : RUNNER_DEPTH_MAX;
}

static int engine_start(struct runner *runner, const struct runner_picture *picture,
                        struct reply_done *reply, struct error *err)
{
    struct model *model = runner->models[picture->model];
    const struct restored_plan *plan = restorer_find(runner->restorer, picture);
    reply->restored = RESTORE_NONE;
    if (plan) {
        reply->restored = plan->kind;
        if (plan->network)
            memcpy(reply->network, plan->network->name, sizeof reply->network);
        memcpy(reply->fallback, plan->fallback, sizeof reply->fallback);
        if (plan->model)
            model = plan->model;
    }
    int failed = model_start(model, &picture->view, err);
    if (failed)
        return failed;
    runner->begun[(runner->oldest + runner->under_way) % RUNNER_DEPTH_MAX] = model;
    runner->under_way++;
    return 0;
}

static int engine_finish(struct runner *runner, struct analysis *analysis, struct error *err)
{
    assert(runner->under_way > 0);
    struct model *model = runner->begun[runner->oldest];
    runner->oldest = (runner->oldest + 1) % RUNNER_DEPTH_MAX;
    runner->under_way--;
    int failed = model_finish(model, analysis, err);
    if (!failed)
        leave_out_wait(runner, analysis);
    return failed;
}

/* What began while the one before was at work has waited for that first. */
static void leave_out_wait(struct runner *runner, struct analysis *analysis)
{
    uint64_t now_ns = clock_now_ns();
    uint64_t own_us = (now_ns - runner->ended_ns) / 1000 - analysis->head_us;
    if (analysis->infer_us > own_us)
        analysis->infer_us = (uint32_t)own_us;
    runner->ended_ns = now_ns;
}

static void engine_close(struct runner **closed)
{
    struct runner *runner = *closed;
    *closed = NULL;
    if (!runner)
        return;
    restorer_close(&runner->restorer);
    for (size_t i = 0; i < POOL_MODELS_MAX; i++)
        model_close(&runner->models[i]);
    device_close(&runner->device);
    free(runner);
}
