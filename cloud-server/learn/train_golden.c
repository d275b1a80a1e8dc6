/* train_golden: labels for pictures that have none: what a model says of them, at the size that is learnt
 * from. A byte a pixel is kept for as long as the training runs. */
#include "learn/train_parts.h"

#include "analyse/model.h"
#include "learn/train_progress.h"
#include "media/scale.h"
#include "pixels.h"

#include <stdlib.h>
#include <string.h>

/* What is at work while pictures are labelled. */
struct labeller {
    struct train *train;
    struct model *model;
    struct scaler *scaler;
    struct analysis *analysis;
    struct train_progress progress;
    uint8_t classes[256]; /* what is learnt of each class of the model, or SAMPLES_IGNORE */
    size_t done, all;     /* pictures */
};

static bool needs(const struct samples_source *source);
static int map_golden(struct labeller *labeller, struct error *err);
static int take_room(struct train *train, struct samples_source *source, struct error *err);
static int label_set(struct labeller *labeller, const struct samples_set *set, struct error *err);

int train_golden_open(struct train *train, struct error *err)
{
    const struct train_config *config = train->config;
    bool own = *config->golden != '\0';
    bool needed = false;
    for (size_t s = 0; s < train->source_count; s++)
        needed |= needs(&train->sources[s]);
    if (!needed)
        return 0;
    int rc = card_read(&train->golden, own ? config->golden : config->analytics.model, err);
    if (rc == 0 && !head_finds_areas(train->golden->head.kind))
        rc = error_set(err, ERROR_UNSUPPORTED, train->golden->name,
                       "finds boxes; labels of pixels come from a segmenter");
    return rc < 0 ? error_wrap(err, "%s", own ? "golden" : "analytics.model") : 0;
}

void train_golden_close(struct train *train)
{
    for (size_t s = 0; train->sources && s < train->source_count; s++) {
        struct samples_golden *golden = &train->sources[s].golden;
        for (size_t i = 0; i < golden->count; i++)
            free(golden->maps[i]);
        free(golden->maps);
    }
    card_free(&train->golden);
}

size_t train_golden_count(const struct samples_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += samples_set_source(set, i)->golden.maps != NULL;
    return count;
}

static size_t count_needed(const struct samples_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += needs(samples_set_source(set, i));
    return count;
}

static int open_labeller(struct labeller *labeller, struct error *err)
{
    struct train *train = labeller->train;
    labeller->analysis = malloc(sizeof *labeller->analysis);
    if (!labeller->analysis)
        return error_set(err, ERROR_MEMORY, "golden", "no room for an analysis");
    int rc = scaler_create(&labeller->scaler, err);
    if (rc == 0)
        rc = model_open(&labeller->model, train->golden->folder, train->device, err);
    if (rc == 0)
        rc = map_golden(labeller, err);
    for (size_t s = 0; rc == 0 && s < train->source_count; s++)
        if (needs(&train->sources[s]))
            rc = take_room(train, &train->sources[s], err);
    return rc;
}

int train_golden_label(struct train *train, struct error *err)
{
    const struct samples_set *const sets[] = { &train->learnt, &train->held, &train->validated };
    const size_t set_count = sizeof sets / sizeof *sets;
    struct labeller labeller = { .train = train };
    if (!train->golden)
        return 0;
    for (size_t i = 0; i < set_count; i++)
        labeller.all += count_needed(sets[i]);
    int rc = open_labeller(&labeller, err);
    train_progress_start(&labeller.progress, train);
    for (size_t i = 0; rc == 0 && i < set_count; i++)
        rc = label_set(&labeller, sets[i], err);
    train_progress_clear(&labeller.progress);
    model_close(&labeller.model);
    if (labeller.scaler)
        scaler_destroy(&labeller.scaler);
    free(labeller.analysis);
    return rc < 0 ? error_wrap(err, "golden") : 0;
}

static bool needs(const struct samples_source *source)
{
    struct data_info info;
    data_get_info(source->data, &info);
    return info.labels == DATA_LABELS_NONE;
}

/* By name. A golden model may know more classes than are learnt: those count for nothing. */
static int map_golden(struct labeller *labeller, struct error *err)
{
    const struct train *train = labeller->train;
    const struct option_strings *names = &train->golden->classes;
    bool any = false;
    memset(labeller->classes, SAMPLES_IGNORE, sizeof labeller->classes);
    for (size_t i = 0; i < names->count && i < PIXELS_NO_LABEL; i++)
        for (uint32_t k = 0; k < train->class_count; k++)
            if (strcmp(names->items[i], train->class_names[k]) == 0) {
                labeller->classes[i] = (uint8_t)k;
                any = true;
            }
    return any ? 0
               : error_set(err, ERROR_CONFIG, train->golden->name,
                           "knows none of the classes to learn, such as '%s'", train->class_names[0]);
}

static int take_room(struct train *train, struct samples_source *source, struct error *err)
{
    struct data_info info;
    data_get_info(source->data, &info);
    source->golden = (struct samples_golden){
        .width = train->config->width,
        .height = train->config->height,
        .count = info.picture_count,
        .maps = calloc(info.picture_count, sizeof *source->golden.maps),
    };
    if (source->golden.maps)
        return 0;
    source->golden.count = 0;
    return error_set(err, ERROR_MEMORY, "golden", "no room for labels");
}

/* The picture as it is learnt from, at its size; the model brings it to its own. */
static int label_picture(struct labeller *labeller, const struct samples_set *set, size_t index,
                         uint8_t *map, struct error *err)
{
    const uint32_t width = labeller->train->config->width, height = labeller->train->config->height;
    struct picture *whole = NULL, *picture = NULL;
    struct samples_window window;
    struct picture_view view;
    int rc = samples_set_picture(set, index, width, height, &whole, &window, err);
    if (rc == 0)
        rc = scaler_to_picture(labeller->scaler, whole, width, height, &picture, err);
    if (rc == 0) {
        picture_get_view(picture, &view);
        rc = model_run(labeller->model, &view, labeller->analysis, err);
    }
    if (rc == 0) {
        model_label_map(labeller->model, width, height, map);
        for (size_t i = 0; i < (size_t)width * height; i++)
            map[i] = labeller->classes[map[i]];
    }
    picture_unref(&picture);
    picture_unref(&whole);
    return rc < 0 ? error_wrap(err, "%s", samples_set_name(set, index)) : 0;
}

static int label_set(struct labeller *labeller, const struct samples_set *set, struct error *err)
{
    const size_t area = (size_t)labeller->train->config->width * labeller->train->config->height;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < set->count; i++) {
        const struct samples_source *source = samples_set_source(set, i);
        if (!source->golden.maps)
            continue;
        uint8_t *map = malloc(area);
        if (!map)
            return error_set(err, ERROR_MEMORY, "golden",
                             "no room for the labels of %zu pictures of %zu bytes", labeller->all,
                             area);
        source->golden.maps[set->pictures[i].number] = map;
        rc = label_picture(labeller, set, i, map, err);
        train_progress_pictures(&labeller->progress, "golden labels", ++labeller->done,
                                labeller->all);
    }
    return rc;
}
