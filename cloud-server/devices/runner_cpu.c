/* runner_cpu: this machine's processors, through the compute engine. */
#include "devices/runner.h"

#include "analyse/model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct runner {
    struct device *device;
    struct model *models[POOL_MODELS_MAX];
};

static int cpu_open(struct runner **runner, const struct order_setup *setup, struct error *err);
static int cpu_add_model(struct runner *runner, uint32_t index, const char *folder,
                         const struct option_strings **classes, struct error *err);
static int cpu_run(struct runner *runner, uint32_t index, const struct picture_view *picture,
                   struct analysis *analysis, struct error *err);
static void cpu_close(struct runner **runner);

const struct runner_class runner_cpu = {
    .open = cpu_open,
    .add_model = cpu_add_model,
    .run = cpu_run,
    .close = cpu_close,
};

static int cpu_open(struct runner **out, const struct order_setup *setup, struct error *err)
{
    struct runner *runner = calloc(1, sizeof *runner);
    if (!runner)
        return error_set(err, ERROR_MEMORY, "cpu", "no room for %zu bytes", sizeof *runner);
    char spec[32];
    snprintf(spec, sizeof spec, "cpu:threads=%u", setup->threads);
    int failed = device_open(&runner->device, spec, err);
    if (failed) {
        free(runner);
        return failed;
    }
    *out = runner;
    return 0;
}

static int cpu_add_model(struct runner *runner, uint32_t index, const char *folder,
                         const struct option_strings **classes, struct error *err)
{
    assert(index < POOL_MODELS_MAX && !runner->models[index]);
    int failed = model_open(&runner->models[index], folder, runner->device, err);
    if (failed)
        return failed;
    failed = model_check(runner->models[index], err);
    if (failed)
        return failed; /* cpu_close closes it */
    *classes = &model_card(runner->models[index])->classes;
    return 0;
}

static int cpu_run(struct runner *runner, uint32_t index, const struct picture_view *picture,
                   struct analysis *analysis, struct error *err)
{
    return model_run(runner->models[index], picture, analysis, err);
}

static void cpu_close(struct runner **closed)
{
    struct runner *runner = *closed;
    *closed = NULL;
    if (!runner)
        return;
    for (size_t i = 0; i < POOL_MODELS_MAX; i++)
        model_close(&runner->models[i]);
    device_close(&runner->device);
    free(runner);
}
