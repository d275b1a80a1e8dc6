/* train_data: which pictures are learnt from, which are measured on, and what their labels mean to the
 * network: the classes of data in their order, without the one that counts for nothing. */
#include "learn/train_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_MIN 0.25
#define WEIGHT_MAX 4.0
#define ACCURACY_MIN 1e-3 /* no division by less */

static int split(struct train *train, double held_back, struct error *err);
static int take_all(struct train_set *set, struct data *data, struct error *err);
static int name_classes(struct train *train, struct error *err);
static int map_classes(const struct train *train, struct train_set *set, const char *key,
                       struct error *err);

int train_data_open(struct train *train, struct error *err)
{
    const struct train_config *config = train->config;
    int rc = data_open(&train->data, &config->data, err);
    if (rc < 0)
        return error_wrap(err, "data");
    if (*config->validation.pictures) {
        rc = data_open(&train->validation, &config->validation, err);
        if (rc < 0)
            return error_wrap(err, "validation");
        rc = take_all(&train->validated, train->validation, err);
    }
    train->measured = train->validation ? &train->validated : &train->held;
    bool holds = !train->validation || config->weights == WEIGHTS_TAIL;
    if (rc == 0)
        rc = split(train, holds ? config->held_back : 0, err);
    if (rc < 0 || !train_is_labelled(train))
        return rc;
    rc = name_classes(train, err);
    if (rc == 0)
        rc = map_classes(train, &train->learnt, "data", err);
    if (rc == 0)
        rc = map_classes(train, &train->held, "data", err);
    return rc == 0 && train->validation ? map_classes(train, &train->validated, "validation", err)
                                        : rc;
}

void train_data_close(struct train *train)
{
    free(train->learnt.numbers);
    free(train->held.numbers);
    free(train->validated.numbers);
    data_close(&train->data);
    data_close(&train->validation);
}

/* ---- sets ---- */

static int make_set(struct train_set *set, struct data *data, size_t room, struct error *err)
{
    *set = (struct train_set){ .data = data, .numbers = malloc((room + 1) * sizeof *set->numbers) };
    return set->numbers ? 0 : error_set(err, ERROR_MEMORY, "data", "no room for %zu pictures", room);
}

static int take_all(struct train_set *set, struct data *data, struct error *err)
{
    struct data_info info;
    data_get_info(data, &info);
    int rc = make_set(set, data, info.picture_count, err);
    while (rc == 0 && set->count < info.picture_count) {
        set->numbers[set->count] = set->count;
        set->count++;
    }
    return rc;
}

/* The end of each clip is held back: its middle would have neighbours on two sides. Where clips are short,
 * as with pictures that have nothing to do with each other, only some of them are. */
static int split(struct train *train, double held_back, struct error *err)
{
    struct data_info info;
    data_get_info(train->data, &info);
    int rc = make_set(&train->learnt, train->data, info.picture_count, err);
    if (rc == 0)
        rc = make_set(&train->held, train->data, info.picture_count, err);
    for (size_t c = 0; rc == 0 && c < info.clip_count; c++) {
        struct data_clip clip;
        data_get_clip(train->data, c, &clip);
        size_t due = (size_t)((double)(clip.first + clip.count) * held_back) - train->held.count;
        size_t held = due < clip.count ? due : clip.count;
        for (size_t i = 0; i < clip.count; i++) {
            struct train_set *set = i + held < clip.count ? &train->learnt : &train->held;
            set->numbers[set->count++] = clip.first + i;
        }
    }
    if (rc == 0 && train->learnt.count == 0)
        rc = error_set(err, ERROR_CONFIG, "data", "has no picture to learn from");
    if (rc == 0 && train->held.count == 0 && train->config->weights == WEIGHTS_TAIL)
        rc = error_set(err, ERROR_CONFIG, "held_back",
                       "%g of %zu pictures is none; weights tail measures on them", held_back,
                       info.picture_count);
    return rc;
}

/* ---- classes ---- */

/* Those of the frozen network, where there is one: its scores are in that order. */
static void name_by_card(struct train *train)
{
    const struct option_strings *classes = &train->analytics.card->classes;
    train->class_count = (uint32_t)classes->count;
    for (uint32_t k = 0; k < train->class_count; k++)
        train->class_names[k] = classes->items[k];
}

static int name_classes(struct train *train, struct error *err)
{
    struct data_info info;
    data_get_info(train->data, &info);
    if (info.labels != DATA_LABELS_MAPS)
        return error_set(err, ERROR_UNSUPPORTED, "data.labels",
                         "are boxes; a segmenter learns from label maps");
    if (train->analytics.card) {
        name_by_card(train);
        return 0;
    }
    for (size_t i = 0; i < info.class_count; i++) {
        if ((int)i == info.ignore)
            continue;
        if (train->class_count == ANALYSIS_AREAS_MAX)
            return error_set(err, ERROR_LIMIT, "data.classes", "are more than %u",
                             ANALYSIS_AREAS_MAX);
        train->class_names[train->class_count++] = data_class_name(train->data, i);
    }
    return train->class_count >= 2 ? 0
                                   : error_set(err, ERROR_CONFIG, "data.classes",
                                               "a segmenter needs two classes at least");
}

static int map_classes(const struct train *train, struct train_set *set, const char *key,
                       struct error *err)
{
    struct data_info info;
    memset(set->classes, SAMPLES_IGNORE, sizeof set->classes);
    data_get_info(set->data, &info);
    for (size_t i = 0; i < info.class_count && i < sizeof set->classes; i++) {
        const char *name = data_class_name(set->data, i);
        uint32_t k = 0;
        while (k < train->class_count && strcmp(train->class_names[k], name) != 0)
            k++;
        if (k < train->class_count)
            set->classes[i] = (uint8_t)k;
        else if ((int)i != info.ignore)
            return error_set(err, ERROR_CONFIG, key, "class '%s' is none of those to learn", name);
    }
    return 0;
}

static int count_pixels(const struct train_set *set, size_t index, uint64_t *counts, struct error *err)
{
    struct picture *picture = NULL;
    struct picture_view view;
    int rc = data_picture(set->data, set->numbers[index], &picture, err);
    if (rc < 0)
        return rc;
    picture_get_view(picture, &view);
    size_t pixels = (size_t)view.width * view.height;
    uint8_t *values = malloc(pixels);
    rc = values ? data_map(set->data, set->numbers[index], view.width, view.height, values, err)
                : error_set(err, ERROR_MEMORY, "data", "no room for labels");
    for (size_t i = 0; rc == 0 && i < pixels; i++)
        counts[set->classes[values[i]]]++;
    free(values);
    picture_unref(&picture);
    return rc;
}

/* The root of how much rarer than the mean; a class that never comes gets the most. */
int train_weigh_classes(struct train *train, struct error *err)
{
    uint64_t counts[256] = { 0 }, all = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < train->learnt.count; i++)
        rc = count_pixels(&train->learnt, i, counts, err);
    for (uint32_t k = 0; k < train->class_count; k++)
        all += counts[k];
    for (uint32_t k = 0; k < train->class_count; k++) {
        double mean = (double)all / train->class_count;
        double weight = counts[k] > 0 ? sqrt(mean / (double)counts[k]) : WEIGHT_MAX;
        train->class_weights[k] = (float)fmin(fmax(weight, WEIGHT_MIN), WEIGHT_MAX);
    }
    return rc;
}

/* max(1, mean / own), so that no class counts less than it would by itself. */
void train_weigh_tail(struct train *train, const struct train_figures *figures)
{
    double sum = 0;
    uint32_t present = 0;
    for (uint32_t k = 0; k < train->class_count; k++)
        if (!isnan(figures->classes[k])) {
            sum += figures->classes[k];
            present++;
        }
    for (uint32_t k = 0; k < train->class_count; k++) {
        double own = fmax(figures->classes[k], ACCURACY_MIN);
        double weight = isnan(figures->classes[k]) ? 1 : sum / present / own;
        train->class_weights[k] = (float)fmin(fmax(weight, 1), WEIGHT_MAX);
    }
}
