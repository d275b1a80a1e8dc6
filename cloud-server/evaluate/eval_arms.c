/* eval_arms: see the header. */
#include "evaluate/eval_arms.h"
#include "analyse/restore.h"
#include "base/file.h"
#include "base/hash.h"
#include "evaluate/eval_hash.h"
#include "evaluate/report.h"
#include "onnx/onnx.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_MODE 0755
#define ARMS_FOLDER "arms"

/* While the arms are laid out. */
struct layout {
    const struct eval_arms_config *config;
    struct eval_arms *arms;
    uint64_t common;                  /* what the results of all arms hang on */
    uint64_t files[EVAL_WAYS_MAX];    /* the networks' */
    struct graph *analytics;          /* NULL: there are no networks */
    bool fitted[EVAL_WAYS_MAX];       /* at one size at least */
    struct error misfit;              /* why one did not */
    uint64_t models[EVAL_MODELS_MAX]; /* files and classes of each; 0: the first, which is in common */
};

static int list_ways(struct layout *layout, struct error *err);
static int hash_common(struct layout *layout, struct error *err);
static int hash_networks(struct layout *layout, struct error *err);
static int hash_models(struct layout *layout, struct error *err);
static int lay_out(struct layout *layout, struct error *err);
static int check_fitted(const struct layout *layout, struct error *err);
static int open_arm(struct layout *layout, struct eval_arm *arm, struct error *err);

int eval_arms_open(struct eval_arms *arms, const struct eval_arms_config *config, struct error *err)
{
    const struct eval_config *keys = config->config;
    struct layout layout = { .config = config, .arms = arms };
    size_t rungs = keys->codecs.count * keys->sizes.count * keys->bitrates.count;
    *arms = (struct eval_arms){ .models = config->models };
    int failed = list_ways(&layout, err);
    if (failed)
        return failed;
    arms->rungs = calloc(rungs, sizeof *arms->rungs);
    arms->items = calloc(rungs * arms->way_count * config->models->count, sizeof *arms->items);
    if (!arms->rungs || !arms->items)
        failed = error_set(err, ERROR_MEMORY, "eval", "no room for %zu rungs", rungs);
    if (!failed)
        failed = hash_common(&layout, err);
    if (!failed)
        failed = hash_networks(&layout, err);
    if (!failed)
        failed = hash_models(&layout, err);
    if (!failed)
        failed = lay_out(&layout, err);
    if (!failed)
        failed = check_fitted(&layout, err);
    for (size_t i = 0; !failed && i < arms->count; i++)
        failed = open_arm(&layout, &arms->items[i], err);
    arms->reused_count = arms->done_count;
    graph_free(&layout.analytics);
    if (failed)
        eval_arms_finish(arms);
    return failed;
}

void eval_arms_finish(struct eval_arms *arms)
{
    for (size_t i = 0; arms->items && i < arms->count; i++) {
        arm_close(&arms->items[i].result);
        free(arms->items[i].path);
    }
    free(arms->items);
    free(arms->rungs);
    *arms = (struct eval_arms){ 0 };
}

int eval_arms_make_folder(const char *out, struct error *err)
{
    char folder[PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s/" ARMS_FOLDER, out) >= (int)sizeof folder)
        return error_set(err, ERROR_CONFIG, "out", "the path is longer than %d bytes", PATH_MAX);
    int failed = file_make_folder(folder, FOLDER_MODE, err);
    if (!failed && access(folder, W_OK | X_OK) != 0)
        failed = error_set_errno(err, errno, folder, "cannot write into the folder for results");
    return failed ? error_wrap(err, "out") : 0;
}

/* The analytics model's. */
static const struct card *model_card_of(const struct layout *layout)
{
    return layout->config->models->items[0].card;
}

/* The ways to restore as the configuration has them, with the networks of the model's card in place of
 * the word for them: files of one name. */
static int list_ways(struct layout *layout, struct error *err)
{
    const struct eval_config *keys = layout->config->config;
    const struct card *card = model_card_of(layout);
    struct eval_arms *arms = layout->arms;
    for (size_t i = 0; i < keys->restore.count; i++) {
        const struct eval_restore *restore = &keys->restore_list[i];
        if (!eval_restore_is_card(restore)) {
            arms->ways[arms->way_count++] = *restore;
            continue;
        }
        if (card->restore.count == 0)
            return error_set(err, ERROR_CONFIG, "restore",
                             EVAL_RESTORE_CARD ": %s/" CARD_FILE_NAME " names no networks",
                             card->folder);
        for (size_t k = 0; k < card->restore.count; k++) {
            arms->ways[arms->way_count] = *restore;
            arms->ways[arms->way_count++].file = card->restore_paths[k];
        }
    }
    return 0;
}

/* What is measured */

static void hash_text(uint64_t *hash, const char *text)
{
    *hash = hash_bytes(*hash, text, strlen(text) + 1);
}

/* How classes go together is not written out, as there may be many. */
static void hash_classes(uint64_t *hash, const struct eval_classes *classes)
{
    for (uint32_t i = 0; i < classes->count; i++)
        hash_text(hash, classes->names[i]);
    *hash = hash_bytes(*hash, classes->of_model, classes->model_count * sizeof(int));
    *hash = hash_bytes(*hash, classes->of_truth, classes->truth_count * sizeof(int));
}

/* Which pictures are sent, where clips begin, and what is scored, come from keys and names together. */
static void hash_frames(uint64_t *hash, const struct eval_frames *frames)
{
    for (size_t i = 0; i < frames->count; i++) {
        const struct eval_frame *frame = &frames->items[i];
        const uint32_t numbers[] = { frame->picture, frame->clip, frame->scored };
        *hash = hash_bytes(*hash, numbers, sizeof numbers);
    }
}

/* This very program is part of it: another build may score otherwise, and nobody would notice that
 * half of a table is of the one and half of the other. */
static int hash_common(struct layout *layout, struct error *err)
{
    const struct eval_config *keys = layout->config->config;
    const char *const paths[] = { "/proc/self/exe",   keys->data.pictures, keys->data.labels,
                                  keys->data.classes, keys->model,         layout->config->golden };
    char numbers[128];
    layout->common = HASH_START;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        hash_text(&layout->common, paths[i] && *paths[i] ? "file" : "");
        int failed = paths[i] && *paths[i] ? eval_hash_path(&layout->common, paths[i], err) : 0;
        if (failed)
            return failed;
    }
    hash_classes(&layout->common, layout->config->classes);
    hash_frames(&layout->common, layout->config->frames);
    hash_text(&layout->common, keys->data.ignore);
    hash_text(&layout->common, keys->data.box_class);
    hash_text(&layout->common, keys->device);
    snprintf(numbers, sizeof numbers, "%d %d %.17g %.17g", keys->data.form, keys->precision,
             layout->config->frames->source_fps, layout->config->frames->sent_fps);
    hash_text(&layout->common, numbers);
    if (keys->stills) /* otherwise seed is of intervals alone, which are made anew each time */
        layout->common = hash_bytes(layout->common, &keys->seed, sizeof keys->seed);
    return 0;
}

static int hash_networks(struct layout *layout, struct error *err)
{
    const struct eval_arms *arms = layout->arms;
    int failed = 0;
    for (size_t i = 0; !failed && i < arms->way_count; i++) {
        if (arms->ways[i].kind != RESTORE_NETWORK)
            continue;
        layout->files[i] = HASH_START;
        failed = eval_hash_path(&layout->files[i], arms->ways[i].file, err);
        if (!failed && !layout->analytics)
            failed = onnx_read_file(&layout->analytics, model_card_of(layout)->file_path, err);
    }
    return failed;
}

static int hash_models(struct layout *layout, struct error *err)
{
    const struct eval_models *models = layout->config->models;
    int failed = 0;
    for (size_t i = 1; !failed && i < models->count; i++) {
        const struct card *card = models->items[i].card;
        layout->models[i] = hash_bytes(HASH_START, models->items[i].of_class,
                                       card->classes.count * sizeof *models->items[i].of_class);
        failed = eval_hash_path(&layout->models[i], card->folder, err);
    }
    return failed;
}

/* Layout */

/* Whether the network brings pictures of this rung back to full size: tried by putting it in front of
 * analytics, without compiling. */
static bool network_fits(struct layout *layout, const struct eval_restore *restore,
                         const struct rung *rung)
{
    const struct eval_frames *frames = layout->config->frames;
    const struct restore_config config = { .kind = restore->kind,
                                           .network = restore->file,
                                           .width = rung->width,
                                           .height = rung->height,
                                           .camera_width = frames->width,
                                           .camera_height = frames->height };
    struct graph *whole = NULL;
    struct card_input input;
    int failed = restore_embed(&whole, layout->analytics, model_card_of(layout), &config, &input,
                               &layout->misfit);
    graph_free(&whole);
    return !failed;
}

/* Streams carry the first codec; the others are there to compare their bits, for which networks and tuned
 * models would only take time. */
static bool is_first_codec(const struct layout *layout, const struct eval_rung *rung)
{
    return rung->codec == layout->config->config->codec_list[0];
}

/* At full size the filters have nothing to do, and stand for none. */
static bool restore_applies(struct layout *layout, size_t index, const struct eval_rung *rung)
{
    const struct eval_restore *restore = &layout->arms->ways[index];
    if (restore->kind != RESTORE_NETWORK)
        return !rung->full || restore->kind == RESTORE_NONE;
    if (!is_first_codec(layout, rung))
        return false;
    bool fits = network_fits(layout, restore, &rung->rung);
    layout->fitted[index] = layout->fitted[index] || fits;
    return fits;
}

static void add_arm(struct eval_arms *arms, struct eval_rung *rung, const struct eval_model *model,
                    const struct eval_restore *restore)
{
    struct eval_arm *arm = &arms->items[arms->count++];
    arm->rung = (size_t)(rung - arms->rungs);
    arm->model = model;
    arm->restore = restore;
    snprintf(arm->name, sizeof arm->name, "%s-%ux%u-%u-%s%s%s", eval_codec_words[rung->codec],
             rung->rung.width, rung->rung.height, rung->rung.bitrate_kbps,
             model->name ? model->name : "", model->name ? "+" : "", restore->name);
    rung->count++;
}

/* Of files of one name, the first that fits. */
static bool has_arm(const struct eval_arms *arms, const struct eval_rung *rung,
                    const struct eval_model *model, const char *name)
{
    for (size_t i = rung->first; i < rung->first + rung->count; i++)
        if (arms->items[i].model == model && strcmp(arms->items[i].restore->name, name) == 0)
            return true;
    return false;
}

/* Of every model the same. */
static void add_arms(struct layout *layout, struct eval_rung *rung)
{
    static const struct eval_restore none = { .name = "none", .kind = RESTORE_NONE };
    const struct eval_models *models = layout->config->models;
    struct eval_arms *arms = layout->arms;
    bool filters = false, applies[EVAL_WAYS_MAX]; /* filters: any way without a network */
    rung->first = arms->count;
    for (size_t i = 0; i < arms->way_count; i++) {
        filters = filters || arms->ways[i].kind != RESTORE_NETWORK;
        applies[i] = restore_applies(layout, i, rung);
    }
    for (size_t m = 0; m < (is_first_codec(layout, rung) ? models->count : 1); m++) {
        const struct eval_model *model = &models->items[m];
        if (rung->full && filters)
            add_arm(arms, rung, model, &none);
        for (size_t i = 0; i < arms->way_count; i++)
            if (applies[i] && !has_arm(arms, rung, model, arms->ways[i].name))
                add_arm(arms, rung, model, &arms->ways[i]);
    }
}

static int resolve_size(const struct layout *layout, const struct eval_size *size,
                        struct rung *rung, struct error *err)
{
    const struct eval_frames *frames = layout->config->frames;
    rung->width = size->divisor > 1 ? frames->width / size->divisor : size->width;
    rung->height = size->divisor > 1 ? frames->height / size->divisor : size->height;
    rung_resolve(rung, frames->width, frames->height);
    if (rung->width <= frames->width && rung->height <= frames->height)
        return 0;
    return error_set(err, ERROR_CONFIG, "sizes", "%ux%u is larger than the pictures, %ux%u",
                     rung->width, rung->height, frames->width, frames->height);
}

static bool same_rung(const struct eval_rung *a, const struct eval_rung *b)
{
    return a->codec == b->codec && a->rung.width == b->rung.width &&
           a->rung.height == b->rung.height && a->rung.bitrate_kbps == b->rung.bitrate_kbps;
}

static int lay_out(struct layout *layout, struct error *err)
{
    const struct eval_config *keys = layout->config->config;
    const struct eval_frames *frames = layout->config->frames;
    struct eval_arms *arms = layout->arms;
    for (size_t c = 0; c < keys->codecs.count; c++)
        for (size_t s = 0; s < keys->sizes.count; s++)
            for (size_t b = 0; b < keys->bitrates.count; b++) {
                struct eval_rung *rung = &arms->rungs[arms->rung_count];
                *rung = (struct eval_rung){ .rung = keys->rung, .codec = keys->codec_list[c] };
                rung->rung.bitrate_kbps = keys->bitrate_list[b];
                int failed = resolve_size(layout, &keys->size_list[s], &rung->rung, err);
                if (failed)
                    return failed;
                rung->full = rung->rung.width == (frames->width & ~1u) &&
                             rung->rung.height == (frames->height & ~1u);
                for (size_t i = 0; i < arms->rung_count; i++)
                    if (same_rung(&arms->rungs[i], rung))
                        return error_set(err, ERROR_CONFIG, "sizes",
                                         "%s is %ux%u, which is there twice", keys->sizes.items[s],
                                         rung->rung.width, rung->rung.height);
                arms->rung_count++;
                add_arms(layout, rung);
            }
    if (arms->count > REPORT_ARMS_MAX)
        return error_set(err, ERROR_LIMIT, "eval",
                         "%zu arms; at most %u can be compared: take fewer "
                         "sizes, bitrates or codecs",
                         arms->count, REPORT_ARMS_MAX);
    return 0;
}

/* Of the card's networks one is enough: nobody chose them for these sizes. */
static bool has_fitted(const struct layout *layout, size_t index)
{
    const struct eval_arms *arms = layout->arms;
    bool fitted = layout->fitted[index];
    for (size_t i = 0; i < arms->way_count && eval_restore_is_card(&arms->ways[index]); i++)
        fitted = fitted || (layout->fitted[i] && eval_restore_is_card(&arms->ways[i]));
    return fitted;
}

static int check_fitted(const struct layout *layout, struct error *err)
{
    const struct eval_arms *arms = layout->arms;
    for (size_t i = 0; i < arms->way_count; i++)
        if (arms->ways[i].kind == RESTORE_NETWORK && !has_fitted(layout, i)) {
            if (err)
                *err = layout->misfit;
            return error_wrap(err, "restore %s: fits none of the sizes", arms->ways[i].name);
        }
    if (layout->arms->count == 0)
        return error_set(err, ERROR_CONFIG, "restore", "leaves no arm at these sizes");
    return 0;
}

/* Results on file */

static void write_recipe(const struct layout *layout, const struct eval_arm *arm, char *recipe,
                         size_t bytes)
{
    const struct eval_rung *rung = &layout->arms->rungs[arm->rung];
    uint64_t file = 0;
    char tuned[64] = "";
    for (size_t i = 0; i < layout->arms->way_count; i++)
        if (&layout->arms->ways[i] == arm->restore)
            file = layout->files[i];
    if (arm->model->name)
        snprintf(tuned, sizeof tuned, "; %s %016" PRIx64, arm->model->name,
                 layout->models[arm->model - layout->config->models->items]);
    snprintf(recipe, bytes,
             "program, data and models %016" PRIx64
             "; %s %ux%u at %g fps, %u kbit/s, vbv %u ms, preset %d, "
             "keyframe %u s; %s %016" PRIx64 "%s",
             layout->common, eval_codec_words[rung->codec], rung->rung.width, rung->rung.height,
             layout->config->frames->sent_fps, rung->rung.bitrate_kbps, rung->rung.vbv_ms,
             rung->rung.preset, rung->rung.keyframe_s, arm->restore->name, file, tuned);
}

/* A file that does not fit is measured anew and then replaced; *taken says whether it fits. */
static int take_over(struct layout *layout, struct eval_arm *arm, const char *recipe, bool *taken,
                     struct error *err)
{
    struct error cause;
    *taken = false;
    if (access(arm->path, F_OK) != 0)
        return 0;
    int failed = arm_read(&arm->result, arm->path, recipe, &cause);
    if (failed == -ERROR_MEMORY)
        return error_set(err, ERROR_MEMORY, "eval", "%s", cause.text);
    if (failed) {
        text_printf(layout->config->note, "measured anew: %s\n", cause.text);
        return 0;
    }
    *taken = arm->done = true;
    layout->arms->done_count++;
    return 0;
}

static int open_arm(struct layout *layout, struct eval_arm *arm, struct error *err)
{
    const struct eval_rung *rung = &layout->arms->rungs[arm->rung];
    const struct eval_classes *classes = layout->config->classes;
    char recipe[1024], words[32], path[PATH_MAX];
    bool taken;
    if (snprintf(path, sizeof path, "%s/" ARMS_FOLDER "/%s.json", layout->config->config->out,
                 arm->name) >= (int)sizeof path)
        return error_set(err, ERROR_CONFIG, "out", "the path is longer than %d bytes", PATH_MAX);
    arm->path = strdup(path);
    if (!arm->path)
        return error_set(err, ERROR_MEMORY, "eval", "no room for a path");
    write_recipe(layout, arm, recipe, sizeof recipe);
    int failed = take_over(layout, arm, recipe, &taken, err);
    if (failed || taken)
        return failed;
    snprintf(words, sizeof words, "%u kbit/s", rung->rung.bitrate_kbps);
    const struct arm_facts facts = { .recipe = recipe,
                                     .name = arm->name,
                                     .codec = eval_codec_words[rung->codec],
                                     .rung = words,
                                     .width = rung->rung.width,
                                     .height = rung->rung.height,
                                     .kind = classes->kind,
                                     .classes = classes->names,
                                     .class_count = classes->count };
    return arm_open(&arm->result, &facts, err);
}
