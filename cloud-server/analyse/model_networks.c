/* model_networks: see the header. */
#include "analyse/model_networks.h"
#include "analyse/restore_try.h"
#include "media/record.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Pixels; what a network reads here is a multiple of it, as some halve their pictures a few times. */
#define SIDE_STEP 16u

/* A network and the model behind it, in one plan. */
struct trial {
    const char *name; /* as the card has it */
    struct restore_network network;
    struct restore_config config;
    struct model *whole;
    uint64_t flop; /* beyond those of the model alone */
};

static int trial_open(struct trial *trial, struct model *model, size_t index, struct device *device,
                      struct error *err);
static uint32_t received_side(uint32_t fixed, uint32_t input, uint32_t scale);
static void trial_print(const struct trial *trial);
static int check_one(struct model *model, size_t index, struct device *device,
                     const struct picture *sample, struct analysis *analysis, struct error *err);

int model_networks_show(struct model *model, struct device *device, struct error *err)
{
    const struct option_strings *networks = &model_card(model)->restore;
    for (size_t i = 0; i < networks->count; i++) {
        struct trial trial;
        int failed = trial_open(&trial, model, i, device, err);
        if (failed)
            return failed;
        printf("restore ");
        trial_print(&trial);
        printf("\n");
        model_close(&trial.whole);
    }
    return 0;
}

int model_networks_check(struct model *model, struct device *device, struct error *err)
{
    const struct card *card = model_card(model);
    struct picture *sample = NULL;
    if (card->restore.count == 0)
        return 0;
    struct analysis *analysis = malloc(sizeof *analysis);
    if (!analysis)
        return error_set(err, ERROR_MEMORY, "restore", "no room for an analysis");
    int result = picture_read_file(&sample, card->picture_path, err);
    for (size_t i = 0; sample && i < card->restore.count; i++) {
        struct error cause;
        int failed = check_one(model, i, device, sample, analysis, &cause);
        if (!failed)
            continue;
        printf("FAIL  restore %s: %s\n", card->restore.items[i], cause.text);
        if (result == 0) {
            result = failed;
            *err = cause;
        }
    }
    picture_unref(&sample);
    free(analysis);
    return result;
}

static int trial_open(struct trial *trial, struct model *model, size_t index, struct device *device,
                      struct error *err)
{
    const struct card *card = model_card(model);
    const char *file = card->restore_paths[index];
    enum precision precision = model_precision(model);
    *trial = (struct trial){ .name = card->restore.items[index] };
    int failed = restore_try_network(&trial->network, file, err);
    if (failed)
        return failed;
    uint32_t scale = trial->network.scale;
    uint32_t width = received_side(trial->network.width, card->input.width, scale);
    uint32_t height = received_side(trial->network.height, card->input.height, scale);
    trial->config = (struct restore_config){ .kind = RESTORE_NETWORK,
                                             .network = file,
                                             .width = width,
                                             .height = height,
                                             .camera_width = scale * width,
                                             .camera_height = scale * height };
    failed =
        model_open_restored(&trial->whole, card->folder, device, &trial->config, &precision, err);
    if (failed)
        return failed;
    uint64_t all = plan_flop(model_plan(trial->whole)), alone = plan_flop(model_plan(model));
    trial->flop = all > alone ? all - alone : 0;
    return 0;
}

static uint32_t received_side(uint32_t fixed, uint32_t input, uint32_t scale)
{
    if (fixed > 0)
        return fixed;
    uint32_t steps = input / scale / SIDE_STEP;
    return steps > 0 ? steps * SIDE_STEP : SIDE_STEP;
}

static void trial_print(const struct trial *trial)
{
    const struct restore_config *config = &trial->config;
    printf("%s: x%u, %" PRIu64 " parameters, %ux%u to %ux%u in %.2f GFLOP", trial->name,
           trial->network.scale, trial->network.parameter_count, config->width, config->height,
           config->camera_width, config->camera_height, (double)trial->flop / 1e9);
}

static int check_one(struct model *model, size_t index, struct device *device,
                     const struct picture *sample, struct analysis *analysis, struct error *err)
{
    struct trial trial;
    struct picture_view view;
    int failed = trial_open(&trial, model, index, device, err);
    if (failed)
        return failed;
    picture_get_view(sample, &view);
    failed = model_run(trial.whole, &view, analysis, err);
    if (!failed) {
        printf("ok    restore ");
        trial_print(&trial);
        printf("; behind it, %u found in the sample\n",
               analysis->object_count + analysis->area_count);
    }
    model_close(&trial.whole);
    return failed;
}
