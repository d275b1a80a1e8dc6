/* runner: a worker's device of the compute engine, be it this machine's processors or a GPU. */
#include "devices/runner.h"

#include "analyse/model.h"
#include "base/clock.h"
#include "base/log.h"
#include "devices/batch.h"
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
    uint32_t batch; /* pictures that come together at most */
    struct model *models[POOL_MODELS_MAX][POOL_BATCH_STEPS]; /* for 1, 2, 4, … pictures; the first is there */
    struct model *begun[RUNNER_DEPTH_MAX]; /* which models the runs under way are in, */
    uint32_t oldest, under_way;            /* the oldest first */
    uint64_t ended_ns;                     /* when the last one was finished */
};

_Static_assert(RUNNER_DEPTH_MAX <= MODEL_DEPTH_MAX, "one model may have them all");
_Static_assert(POOL_BATCH_MAX <= MODEL_PICTURES_MAX, "one run takes a batch");
_Static_assert(1u << (POOL_BATCH_STEPS - 1) == POOL_BATCH_MAX, "the last step");

static int engine_open(struct runner **runner, const struct order_setup *setup, struct error *err);
static int engine_add_model(struct runner *runner, const struct order_model *order,
                            struct runner_model *added, struct error *err);
static bool engine_pin(struct runner *runner, void *data, uint64_t bytes);
static void engine_unpin(struct runner *runner, void *data);
static bool engine_must_prepare(const struct runner *runner, const struct runner_picture *pictures,
                                uint32_t count);
static uint32_t engine_depth(const struct runner *runner);
static int engine_start(struct runner *runner, const struct runner_picture *pictures,
                        uint32_t count, struct reply_done *reply, struct error *err);
static int engine_finish(struct runner *runner, struct analysis *const *analyses, struct error *err);
static void leave_out_wait(struct runner *runner, struct analysis *const *analyses, uint32_t count);
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
    runner->batch = setup->batch;
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

/* Opens the model for so many pictures, sees that it is right and how long it takes; the way that pictures go
 * where the device makes its input itself, with the sample for their size. *model is NULL after an error. */
static int open_step(struct runner *runner, const struct order_model *order, uint32_t pictures,
                     struct model **model, uint32_t *us, struct error *err)
{
    struct model_form form = { .pictures = pictures };
    struct picture *sample = NULL;
    struct picture_view view;
    int failed = 0;
    if (planes_pay(runner->device)) {
        const struct card *card = model_card(runner->models[order->index][0]);
        failed = picture_read_file(&sample, card->picture_path, err);
        if (failed)
            return failed;
        picture_get_view(sample, &view);
        form.like = &view;
    }
    failed = model_open_as(model, order->folder, runner->device, &form, err);
    if (!failed)
        failed = model_check(*model, err);
    if (!failed)
        failed = model_time(*model, us, err);
    if (failed)
        model_close(model);
    picture_unref(&sample);
    return failed;
}

/* Of one picture, the way that pictures go. */
static int time_one(struct runner *runner, const struct order_model *order, uint32_t *us,
                    struct error *err)
{
    struct model *model = NULL;
    if (!planes_pay(runner->device))
        return model_time(runner->models[order->index][0], us, err);
    int failed = open_step(runner, order, 1, &model, us, err);
    model_close(&model);
    return failed;
}

/* For 2, 4, … pictures together. A network that cannot take them is used for one at a time. */
static int add_steps(struct runner *runner, const struct order_model *order, uint32_t *run_us,
                     struct error *err)
{
    for (unsigned step = 1; step < POOL_BATCH_STEPS && 1u << step <= runner->batch; step++) {
        struct model *model = NULL;
        struct error cause;
        uint32_t us;
        int failed = open_step(runner, order, 1u << step, &model, &us, &cause);
        if (failed == -ERROR_DEVICE)
            return error_set(err, ERROR_DEVICE, "runner", "%s", cause.text);
        if (failed) {
            log_info("worker", "so many pictures cannot be analysed together",
                     LOG_STR("model", order->folder), LOG_U64("pictures", 1u << step),
                     LOG_CAUSE(&cause));
            return 0;
        }
        run_us[step] = us;
        if (planes_pay(runner->device))
            model_close(&model); /* it was for pictures of the sample's size */
        runner->models[order->index][step] = model;
    }
    return 0;
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
    struct model **models = runner->models[order->index];
    assert(order->index < POOL_MODELS_MAX && !models[0]);
    int failed = model_open(&models[0], order->folder, runner->device, err);
    if (!failed)
        failed = model_check(models[0], err);
    if (!failed)
        failed = time_one(runner, order, &added->run_us[0], err);
    if (!failed)
        failed = add_steps(runner, order, added->run_us, err);
    if (!failed)
        failed = restorer_add_model(runner->restorer, order, model_card(models[0]), err);
    if (failed)
        return failed; /* engine_close closes them */
    tell_precision(runner, models[0]);
    added->classes = &model_card(models[0])->classes;
    added->masks = model_card(models[0])->head.masks;
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

static bool engine_must_prepare(const struct runner *runner, const struct runner_picture *pictures,
                                uint32_t count)
{
    return restorer_must_prepare(runner->restorer, pictures, count);
}

/* The same of all models: it is the device's. */
static uint32_t engine_depth(const struct runner *runner)
{
    uint32_t depth = model_depth(runner->models[0][0]);
    return depth < RUNNER_DEPTH_MAX ? depth : RUNNER_DEPTH_MAX;
}

static int engine_start(struct runner *runner, const struct runner_picture *pictures,
                        uint32_t count, struct reply_done *reply, struct error *err)
{
    const struct picture_view *views[POOL_BATCH_MAX];
    struct model *model = runner->models[pictures[0].model][batch_step(count)];
    const struct restored_plan *plan = restorer_find(runner->restorer, pictures, count);
    reply->restored = RESTORE_NONE;
    if (plan) {
        reply->restored = plan->kind;
        if (plan->network)
            memcpy(reply->network, plan->network->name, sizeof reply->network);
        memcpy(reply->fallback, plan->fallback, sizeof reply->fallback);
        if (plan->model)
            model = plan->model;
    }
    if (!model)
        return error_set(err, ERROR_UNSUPPORTED, "runner", "there is no plan for %u pictures", count);
    for (uint32_t i = 0; i < count; i++)
        views[i] = &pictures[i].view;
    int failed = model_start(model, views, err);
    if (failed)
        return failed;
    runner->begun[(runner->oldest + runner->under_way) % RUNNER_DEPTH_MAX] = model;
    runner->under_way++;
    return 0;
}

static int engine_finish(struct runner *runner, struct analysis *const *analyses, struct error *err)
{
    assert(runner->under_way > 0);
    struct model *model = runner->begun[runner->oldest];
    runner->oldest = (runner->oldest + 1) % RUNNER_DEPTH_MAX;
    runner->under_way--;
    int failed = model_finish(model, analyses, err);
    if (!failed)
        leave_out_wait(runner, analyses, model_pictures(model));
    return failed;
}

/* What began while the run before was at work has waited for that first. */
static void leave_out_wait(struct runner *runner, struct analysis *const *analyses, uint32_t count)
{
    uint64_t now_ns = clock_now_ns();
    uint64_t own_us = (now_ns - runner->ended_ns) / 1000;
    for (uint32_t i = 0; i < count; i++)
        own_us -= analyses[i]->head_us;
    for (uint32_t i = 0; i < count; i++)
        if (analyses[i]->infer_us > own_us)
            analyses[i]->infer_us = (uint32_t)own_us;
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
        for (unsigned step = 0; step < POOL_BATCH_STEPS; step++)
            model_close(&runner->models[i][step]);
    device_close(&runner->device);
    free(runner);
}
