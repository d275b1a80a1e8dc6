/* runner_simulated: a device that takes a set time for every picture and computes its answer from
 * the pixels. It shows what pool and pipeline do, and whether each answer belongs to its picture,
 * without a network and almost without a processor. */
#include "devices/runner.h"

#include "base/clock.h"

#include <stdlib.h>

struct runner {
    uint64_t service_ns, begun_ns;
    uint32_t batch;
    struct picture_view pictures[POOL_BATCH_MAX]; /* begun */
    uint32_t count;
};

static char *class_names[SIMULATED_CLASS_COUNT] = { "top-left", "top-right", "bottom-left",
                                                    "bottom-right" };
static const struct option_strings classes = { .items = class_names, .count = SIMULATED_CLASS_COUNT };

static float mean_brightness(const struct picture_view *picture, uint32_t x0, uint32_t x1,
                             uint32_t y0, uint32_t y1);
static int simulated_open(struct runner **runner, const struct order_setup *setup, struct error *err);
static int simulated_add_model(struct runner *runner, const struct order_model *order,
                               struct runner_model *added, struct error *err);
static int simulated_start(struct runner *runner, const struct runner_picture *pictures,
                           uint32_t count, struct reply_done *reply, struct error *err);
static int simulated_finish(struct runner *runner, struct analysis *const *analyses,
                            struct error *err);
static uint64_t run_ns(const struct runner *runner, uint32_t count);
static void simulated_close(struct runner **runner);

const struct runner_class runner_simulated = {
    .open = simulated_open,
    .add_model = simulated_add_model,
    .start = simulated_start,
    .finish = simulated_finish,
    .close = simulated_close,
};

void simulated_analyse(const struct picture_view *picture, struct analysis *analysis)
{
    uint32_t half_width = picture->width / 2, half_height = picture->height / 2;
    float quadrant[SIMULATED_CLASS_COUNT]; /* 0..1, in the order of class_names */
    uint32_t brightest = 0;
    for (uint32_t i = 0; i < SIMULATED_CLASS_COUNT; i++) {
        bool right = i % 2, bottom = i / 2;
        quadrant[i] =
            mean_brightness(picture, right ? half_width : 0, right ? picture->width : half_width,
                            bottom ? half_height : 0, bottom ? picture->height : half_height);
        if (quadrant[i] > quadrant[brightest])
            brightest = i;
    }
    analysis->object_count = 1;
    analysis->area_count = analysis->runs_bytes = 0;
    analysis->mask_width = analysis->mask_height = 0;
    analysis->uncertainty = 1 - quadrant[brightest];
    analysis->objects[0] = (struct analysis_object){
        .class_id = brightest,
        .confidence = quadrant[brightest],
        .x = quadrant[0] * (float)half_width,
        .y = quadrant[1] * (float)half_height,
        .width = quadrant[2] * (float)half_width,
        .height = quadrant[3] * (float)half_height,
    };
}

/* 0..1; 0 for no pixels, as a picture of one column has in its left half. */
static float mean_brightness(const struct picture_view *picture, uint32_t x0, uint32_t x1,
                             uint32_t y0, uint32_t y1)
{
    uint64_t sum = 0;
    for (uint32_t y = y0; y < y1; y++) {
        const uint8_t *row = picture->plane[0] + (size_t)y * picture->stride[0];
        uint32_t row_sum = 0;
        for (uint32_t x = x0; x < x1; x++)
            row_sum += row[x];
        sum += row_sum;
    }
    uint64_t pixels = (uint64_t)(x1 - x0) * (y1 - y0);
    return pixels > 0 ? (float)((double)sum / (double)pixels / 255.0) : 0.0f;
}

static int simulated_open(struct runner **out, const struct order_setup *setup, struct error *err)
{
    struct runner *runner = calloc(1, sizeof *runner);
    if (!runner)
        return error_set(err, ERROR_MEMORY, "simulated", "no room for %zu bytes", sizeof *runner);
    runner->service_ns = setup->service_ms * CLOCK_NS_PER_MS;
    runner->batch = setup->batch;
    *out = runner;
    return 0;
}

/* Every model is the same to it, whatever its folder holds, and nothing is restored. */
static int simulated_add_model(struct runner *runner, const struct order_model *order,
                               struct runner_model *added, struct error *err)
{
    (void)order;
    (void)err;
    *added = (struct runner_model){ .classes = &classes };
    for (unsigned step = 0; step < POOL_BATCH_STEPS && UINT32_C(1) << step <= runner->batch; step++)
        added->run_us[step] = (uint32_t)(run_ns(runner, UINT32_C(1) << step) / 1000);
    return 0;
}

static int simulated_start(struct runner *runner, const struct runner_picture *pictures,
                           uint32_t count, struct reply_done *reply, struct error *err)
{
    (void)err;
    reply->restored = RESTORE_NONE;
    for (uint32_t i = 0; i < count; i++)
        runner->pictures[i] = pictures[i].view;
    runner->count = count;
    runner->begun_ns = clock_now_ns();
    return 0;
}

static int simulated_finish(struct runner *runner, struct analysis *const *analyses, struct error *err)
{
    (void)err;
    for (uint32_t i = 0; i < runner->count; i++)
        simulated_analyse(&runner->pictures[i], analyses[i]);
    clock_sleep_until_ns(runner->begun_ns + run_ns(runner, runner->count));
    for (uint32_t i = 0; i < runner->count; i++) {
        analyses[i]->prepare_us = analyses[i]->head_us = 0;
        analyses[i]->infer_us = (uint32_t)((clock_now_ns() - runner->begun_ns) / 1000);
    }
    return 0;
}

/* Each picture after the first takes half of its time. */
static uint64_t run_ns(const struct runner *runner, uint32_t count)
{
    return runner->service_ns + (count - 1) * runner->service_ns / 2;
}

static void simulated_close(struct runner **runner)
{
    free(*runner);
    *runner = NULL;
}
