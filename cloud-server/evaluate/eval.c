/* eval: the order of things. What can be wrong without measuring is found out first: the folder for
 * results, models, data, classes, sizes; only then comes what takes time. */
#include "evaluate/eval.h"
#include "analyse/head.h"
#include "base/file.h"
#include "evaluate/eval_report.h"
#include "evaluate/eval_run.h"
#include "onnx/onnx.h"
#include <stdlib.h>
#include <string.h>

/* What one evaluation holds. */
struct eval {
    const struct eval_config *config;
    struct eval_models models;
    struct card *golden_card; /* NULL where labels are the truth */
    struct data *data;
    struct data_info info;
    struct eval_frames frames;
    struct eval_classes classes;
    struct eval_arms arms;
    struct eval_reference *reference;
    struct device *device;
    struct eval_progress progress;
    struct text note;
};

static int open_cards(struct eval *eval, struct error *err);
static int open_classes(struct eval *eval, struct error *err);
static int open_reference(struct eval *eval, struct error *err);
static int open_arms(struct eval *eval, struct error *err);
static int measure(struct eval *eval, struct error *err);
static int report(struct eval *eval, struct error *err);
static void close_eval(struct eval *eval);

int eval_all(const struct eval_config *config, const volatile sig_atomic_t *stop, struct error *err)
{
    struct eval eval = { .config = config };
    int lock = -1; /* two would read each other's arms half done, and write one report */
    eval_progress_start(&eval.progress, stop);
    int failed = eval_arms_make_folder(config->out, err);
    if (!failed && file_lock_folder(config->out, &lock, err) != 0)
        failed = error_wrap(err, "out");
    if (!failed)
        failed = open_cards(&eval, err);
    if (!failed)
        failed = data_open(&eval.data, &config->data, err);
    if (!failed)
        failed = eval_frames_open(&eval.frames, eval.data, config, err);
    if (!failed)
        failed = open_classes(&eval, err);
    /* Label maps say which pictures count at all, also for arms that are on file. */
    if (!failed && !eval.golden_card)
        failed = open_reference(&eval, err);
    if (!failed)
        failed = open_arms(&eval, err);
    if (!failed)
        failed = measure(&eval, err);
    eval_progress_clear(&eval.progress);
    if (!failed)
        failed = report(&eval, err);
    if (failed == -ERROR_AGAIN)
        error_set(
            err, ERROR_AGAIN, "eval",
            "interrupted; %zu of %zu arms are finished and kept in %s, and the same command goes "
            "on from there",
            eval.arms.done_count, eval.arms.count, config->out);
    close_eval(&eval);
    file_unlock(&lock);
    return failed;
}

/* The analytics model's. */
static const struct card *model_card_of(const struct eval *eval)
{
    return eval->models.items[0].card;
}

/* Without labels somebody has to answer for the source: by default the model itself. */
static int open_cards(struct eval *eval, struct error *err)
{
    const struct eval_config *config = eval->config;
    int failed = eval_models_read(&eval->models, config, err);
    if (failed || *config->data.labels)
        return failed;
    failed = card_read(&eval->golden_card, *config->golden ? config->golden : config->model, err);
    if (failed)
        return error_wrap(err, "golden");
    if (head_finds_areas(model_card_of(eval)->head.kind) !=
        head_finds_areas(eval->golden_card->head.kind))
        return error_set(err, ERROR_CONFIG, "golden", "%s finds %s, which the model does not",
                         eval->golden_card->name,
                         head_finds_areas(eval->golden_card->head.kind) ? "areas" : "boxes");
    return 0;
}

/* Classes */

/* Areas with an output for each class leave pixels that are of none. */
static int has_gaps(const struct card *card, bool *gaps, struct error *err)
{
    size_t outputs = card->head.outputs.count;
    *gaps = false;
    if (!head_finds_areas(card->head.kind))
        return 0;
    if (outputs == 0) {
        struct graph *graph = NULL;
        int failed = onnx_read_file(&graph, card->file_path, err);
        if (failed)
            return failed;
        outputs = (size_t)graph->output_count;
        graph_free(&graph);
    }
    *gaps = outputs == card->classes.count;
    return 0;
}

static int names_of_card(const struct card *card, struct eval_names *names, struct error *err)
{
    *names = (struct eval_names){ .names = (const char *const *)card->classes.items,
                                  .count = card->classes.count,
                                  .ignore = -1 };
    return has_gaps(card, &names->gaps, err);
}

static int check_labels(const struct eval *eval, struct error *err)
{
    bool areas = head_finds_areas(model_card_of(eval)->head.kind);
    if (areas == (eval->info.labels == DATA_LABELS_MAPS))
        return 0;
    return error_set(err, ERROR_CONFIG, "data.labels", "are %s, but the model %s finds %s",
                     areas ? "boxes" : "label maps", model_card_of(eval)->name,
                     areas ? "areas" : "boxes");
}

static int open_classes(struct eval *eval, struct error *err)
{
    struct eval_names model, truth = { .ignore = -1 };
    const char **names = NULL;
    data_get_info(eval->data, &eval->info);
    int failed = names_of_card(model_card_of(eval), &model, err);
    if (!failed && eval->golden_card) {
        failed = names_of_card(eval->golden_card, &truth, err);
    } else if (!failed) {
        failed = check_labels(eval, err);
        names = calloc(eval->info.class_count + 1, sizeof *names);
        if (!failed && !names)
            failed = error_set(err, ERROR_MEMORY, "eval", "no room for classes");
        for (size_t i = 0; !failed && i < eval->info.class_count; i++)
            names[i] = data_class_name(eval->data, i);
        truth = (struct eval_names){ .names = names,
                                     .count = eval->info.class_count,
                                     .ignore = eval->info.ignore };
    }
    if (!failed)
        failed = eval_classes_open(&eval->classes,
                                   head_finds_areas(model_card_of(eval)->head.kind) ? SCORE_LABELS
                                                                                    : SCORE_BOXES,
                                   &model, &truth, &eval->config->groups, &eval->note, err);
    free(names);
    return failed ? failed
                  : eval_models_map(&eval->models, &eval->classes, &eval->config->groups,
                                    &eval->note, err);
}

/* Measuring */

static int open_device(struct eval *eval, struct error *err)
{
    if (eval->device)
        return 0;
    return device_open(&eval->device, eval->config->device, err);
}

static int open_reference(struct eval *eval, struct error *err)
{
    struct model *golden = NULL;
    int failed = 0;
    if (eval->golden_card) {
        failed = open_device(eval, err);
        if (!failed)
            failed = eval_run_open_model(eval->config, eval->golden_card->folder, eval->device,
                                         &golden, err);
    }
    const struct eval_reference_config config = { .classes = &eval->classes,
                                                  .frames = &eval->frames,
                                                  .data = eval->data,
                                                  .golden = golden,
                                                  .progress = &eval->progress };
    eval_progress_part(&eval->progress, golden ? "golden model" : "labels", 0);
    if (!failed)
        failed = eval_reference_open(&eval->reference, &config, err);
    model_close(&golden);
    if (!failed && eval_frames_scored(&eval->frames) == 0)
        failed = error_set(err, ERROR_CONFIG, "data.labels", "have no pixel that counts");
    return failed;
}

static int open_arms(struct eval *eval, struct error *err)
{
    const struct eval_arms_config config = { .config = eval->config,
                                             .classes = &eval->classes,
                                             .frames = &eval->frames,
                                             .models = &eval->models,
                                             .golden = eval->golden_card ? eval->golden_card->folder
                                                                         : NULL,
                                             .note = &eval->note };
    return eval_arms_open(&eval->arms, &config, err);
}

static int measure(struct eval *eval, struct error *err)
{
    eval_progress_clear(&eval->progress);
    if (eval->note.size > 0)
        fprintf(stderr, "%s", eval->note.data);
    if (eval->arms.done_count == eval->arms.count)
        return 0;
    int failed = open_device(eval, err);
    if (!failed && !eval->reference)
        failed = open_reference(eval, err);
    const struct eval_run run = { .config = eval->config,
                                  .classes = &eval->classes,
                                  .frames = &eval->frames,
                                  .reference = eval->reference,
                                  .data = eval->data,
                                  .device = eval->device,
                                  .progress = &eval->progress,
                                  .arms = &eval->arms };
    eval->progress.work_all =
        (uint64_t)(eval->arms.count - eval->arms.done_count) * eval->frames.count;
    for (size_t i = 0; !failed && i < eval->arms.rung_count; i++) {
        failed = eval_run_rung(&run, i, err);
        if (!failed && *eval->progress.stop && eval->arms.done_count < eval->arms.count)
            failed = error_set(err, ERROR_AGAIN, "eval", "interrupted");
    }
    return failed;
}

static int report(struct eval *eval, struct error *err)
{
    char truth[160] = "labels";
    if (eval->golden_card)
        snprintf(truth, sizeof truth, "golden model %s on the source", eval->golden_card->name);
    return eval_report(eval->config, &eval->arms, &eval->frames, truth, err);
}

static void close_eval(struct eval *eval)
{
    eval_reference_close(&eval->reference);
    eval_arms_finish(&eval->arms);
    eval_classes_finish(&eval->classes);
    eval_frames_finish(&eval->frames);
    data_close(&eval->data);
    eval_models_finish(&eval->models);
    card_free(&eval->golden_card);
    device_close(&eval->device);
    text_finish(&eval->note);
}
