/* train_data: which pictures are learnt from, which are measured on, and what their labels mean to the
 * network: the classes of data in their order, without the one that counts for nothing. */
#include "learn/train_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_MIN 0.25
#define WEIGHT_MAX 4.0
#define ACCURACY_MIN 1e-3 /* no division by less */

static int open_sources(struct train *train, struct error *err);
static int split(struct train *train, double held_back, struct error *err);
static int take_all(struct train *train, uint32_t source, struct error *err);
static int name_classes(struct train *train, struct error *err);
static int map_classes(struct train *train, size_t source, struct error *err);

int train_data_open(struct train *train, struct error *err)
{
    const struct train_config *config = train->config;
    int rc = open_sources(train, err);
    if (rc == 0 && train->source_count > train->learnt_count)
        rc = take_all(train, (uint32_t)train->learnt_count, err);
    bool validates = train->source_count > train->learnt_count;
    train->measured = validates ? &train->validated : &train->held;
    bool holds = !validates || config->weights == WEIGHTS_TAIL;
    if (rc == 0)
        rc = split(train, holds ? config->held_back : 0, err);
    if (rc < 0 || !train_is_labelled(train))
        return rc;
    rc = train_golden_open(train, err);
    if (rc == 0)
        rc = name_classes(train, err);
    for (size_t s = 0; rc == 0 && s < train->source_count; s++)
        rc = map_classes(train, s, err);
    return rc;
}

void train_data_close(struct train *train)
{
    free(train->learnt.pictures);
    free(train->held.pictures);
    free(train->validated.pictures);
    train_golden_close(train);
    for (size_t s = 0; train->sources && s < train->source_count; s++)
        data_close(&train->sources[s].data);
    free(train->sources);
}

struct train_key train_source_key(const struct train *train, size_t source)
{
    struct train_key key = { "data" };
    if (source >= train->learnt_count)
        key = (struct train_key){ "validation" };
    else if (source > 0)
        snprintf(key.text, sizeof key.text, "more.%zu", source - 1);
    return key;
}

/* ---- sets ---- */

static const struct data_config *source_config(const struct train *train, size_t source)
{
    const struct train_config *config = train->config;
    const struct data_config *more = config->more.items;
    if (source >= train->learnt_count)
        return &config->validation;
    return source == 0 ? &config->data : &more[source - 1];
}

static int open_sources(struct train *train, struct error *err)
{
    const struct train_config *config = train->config;
    train->learnt_count = 1 + config->more.count;
    size_t wanted = train->learnt_count + (*config->validation.pictures != 0);
    train->sources = calloc(wanted, sizeof *train->sources);
    if (!train->sources)
        return error_set(err, ERROR_MEMORY, "data", "no room for %zu sets", wanted);
    for (; train->source_count < wanted; train->source_count++) {
        size_t s = train->source_count;
        int rc = data_open(&train->sources[s].data, source_config(train, s), err);
        if (rc < 0)
            return error_wrap(err, "%s", train_source_key(train, s).text);
    }
    return 0;
}

static int make_set(const struct train *train, struct samples_set *set, struct error *err)
{
    size_t room = 0;
    for (size_t s = 0; s < train->source_count; s++) {
        struct data_info info;
        data_get_info(train->sources[s].data, &info);
        room += info.picture_count;
    }
    *set = (struct samples_set){ .sources = train->sources,
                                 .source_count = train->source_count,
                                 .pictures = malloc((room + 1) * sizeof *set->pictures) };
    return set->pictures ? 0 : error_set(err, ERROR_MEMORY, "data", "no room for %zu pictures", room);
}

/* Which pictures of a clip are taken: `count` of them, `every` apart from each other. */
struct picked {
    uint32_t source, first, every;
    size_t count;
};

static struct picked pick(const struct train *train, size_t source, size_t clip)
{
    struct data_clip all;
    data_get_clip(train->sources[source].data, clip, &all);
    uint32_t every = source_config(train, source)->every;
    return (struct picked){ .source = (uint32_t)source,
                            .first = (uint32_t)all.first,
                            .every = every,
                            .count = (all.count + every - 1) / every };
}

static void take(struct samples_set *set, const struct picked *picked, size_t index)
{
    set->pictures[set->count++] =
        (struct samples_picture){ picked->source, picked->first + (uint32_t)index * picked->every };
}

static int take_all(struct train *train, uint32_t source, struct error *err)
{
    struct data_info info;
    data_get_info(train->sources[source].data, &info);
    int rc = make_set(train, &train->validated, err);
    for (size_t c = 0; rc == 0 && c < info.clip_count; c++) {
        const struct picked picked = pick(train, source, c);
        for (size_t i = 0; i < picked.count; i++)
            take(&train->validated, &picked, i);
    }
    return rc;
}

/* The end of each clip is held back: its middle would have neighbours on two sides. Where clips are short,
 * as with pictures that have nothing to do with each other, only some of them are. */
static void split_source(struct train *train, size_t source, double held_back, size_t *seen)
{
    struct data_info info;
    data_get_info(train->sources[source].data, &info);
    for (size_t c = 0; c < info.clip_count; c++) {
        const struct picked picked = pick(train, source, c);
        *seen += picked.count;
        size_t due = (size_t)((double)*seen * held_back) - train->held.count;
        size_t held = due < picked.count ? due : picked.count;
        for (size_t i = 0; i < picked.count; i++)
            take(i + held < picked.count ? &train->learnt : &train->held, &picked, i);
    }
}

static int split(struct train *train, double held_back, struct error *err)
{
    size_t seen = 0;
    int rc = make_set(train, &train->learnt, err);
    if (rc == 0)
        rc = make_set(train, &train->held, err);
    for (size_t s = 0; rc == 0 && s < train->learnt_count; s++)
        split_source(train, s, held_back, &seen);
    if (rc == 0 && train->learnt.count == 0)
        rc = error_set(err, ERROR_CONFIG, "data", "has no picture to learn from");
    if (rc == 0 && train->held.count == 0 && train->config->weights == WEIGHTS_TAIL)
        rc = error_set(err, ERROR_CONFIG, "held_back",
                       "%g of %zu pictures is none; weights tail measures on them", held_back, seen);
    return rc;
}

/* ---- classes ---- */

/* Of a card, as the network's own. */
static int name_by_card(struct train *train, const struct card *card, struct error *err)
{
    if (card->classes.count > ANALYSIS_AREAS_MAX)
        return error_set(err, ERROR_LIMIT, card->name, "has more than %u classes",
                         ANALYSIS_AREAS_MAX);
    train->class_count = (uint32_t)card->classes.count;
    for (uint32_t k = 0; k < train->class_count; k++)
        train->class_names[k] = card->classes.items[k];
    return 0;
}

static int name_by_data(struct train *train, const struct data *data, struct error *err)
{
    struct data_info info;
    data_get_info(data, &info);
    for (size_t i = 0; i < info.class_count; i++) {
        if ((int)i == info.ignore)
            continue;
        if (train->class_count == ANALYSIS_AREAS_MAX)
            return error_set(err, ERROR_LIMIT, "data.classes", "are more than %u",
                             ANALYSIS_AREAS_MAX);
        train->class_names[train->class_count++] = data_class_name(data, i);
    }
    return 0;
}

/* The first set to learn from that has label maps; NULL: none has. */
static const struct data *find_labelled(const struct train *train)
{
    for (size_t s = 0; s < train->learnt_count; s++) {
        struct data_info info;
        data_get_info(train->sources[s].data, &info);
        if (info.labels == DATA_LABELS_MAPS)
            return train->sources[s].data;
    }
    return NULL;
}

/* Those of the frozen network, where there is one: its scores are in that order. Otherwise those of the
 * labels, or of the model that stands in for them. */
static int name_classes(struct train *train, struct error *err)
{
    const struct data *labelled = find_labelled(train);
    int rc;
    if (train->analytics.card)
        rc = name_by_card(train, train->analytics.card, err);
    else if (labelled)
        rc = name_by_data(train, labelled, err);
    else
        rc = name_by_card(train, train->golden, err);
    if (rc == 0 && train->class_count < 2)
        rc = error_set(err, ERROR_CONFIG, "data.classes", "a segmenter needs two classes at least");
    return rc;
}

static int map_classes(struct train *train, size_t source, struct error *err)
{
    struct samples_source *from = &train->sources[source];
    struct data_info info;
    memset(from->classes, SAMPLES_IGNORE, sizeof from->classes);
    data_get_info(from->data, &info);
    if (info.labels == DATA_LABELS_BOXES) {
        error_set(err, ERROR_UNSUPPORTED, "labels", "are boxes; a segmenter learns from label maps");
        return error_wrap(err, "%s", train_source_key(train, source).text);
    }
    for (size_t i = 0; i < info.class_count && i < sizeof from->classes; i++) {
        const char *name = data_class_name(from->data, i);
        uint32_t k = 0;
        while (k < train->class_count && strcmp(train->class_names[k], name) != 0)
            k++;
        if (k < train->class_count)
            from->classes[i] = (uint8_t)k;
        else if ((int)i != info.ignore)
            return error_set(err, ERROR_CONFIG, train_source_key(train, source).text,
                             "class '%s' is none of those to learn", name);
    }
    return 0;
}

/* As the picture itself has them; golden ones have the size of what is learnt. */
static int count_pixels(const struct train *train, size_t index, uint64_t *counts, struct error *err)
{
    const struct samples_set *set = &train->learnt;
    uint32_t width = train->config->width, height = train->config->height;
    struct picture *picture = NULL;
    struct samples_window window;
    if (!samples_set_source(set, index)->golden.maps) {
        int rc = samples_set_picture(set, index, width, height, &picture, &window, err);
        if (rc < 0)
            return rc;
        width = window.part.width;
        height = window.part.height;
    }
    size_t pixels = (size_t)width * height;
    uint8_t *labels = malloc(pixels);
    int rc =
        labels ? samples_set_labels(set, index, picture ? &window : NULL, width, height, labels, err)
               : error_set(err, ERROR_MEMORY, "data", "no room for labels");
    for (size_t i = 0; rc == 0 && i < pixels; i++)
        counts[labels[i]]++;
    free(labels);
    picture_unref(&picture);
    return rc;
}

/* The root of how much rarer than the mean; a class that never comes gets the most. */
int train_weigh_classes(struct train *train, struct error *err)
{
    uint64_t counts[256] = { 0 }, all = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < train->learnt.count; i++)
        rc = count_pixels(train, i, counts, err);
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
