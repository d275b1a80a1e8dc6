/* train_config: the table of train.yaml, and the recipe: what two runs must have in common to be one. */
#include "learn/train_config.h"

#include "analyse/card.h"
#include "device.h"
#include "learn/nets.h"
#include "train/train.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 1000000000u
#define MORE_MAX 64u
#define SIDE_MIN 32u
#define SIDE_MAX 8192u
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
/* The first key that changes nothing of what is learnt. */
#define RECIPE_END "\nout: "

static const char *const task_words[] = {
    [TRAIN_SEGMENT] = "segment", [TRAIN_SUPERRES] = "superres", NULL
};
static const char *const optimiser_words[] = {
    [OPTIMISER_SGD] = "sgd", [OPTIMISER_ADAM] = "adam", [OPTIMISER_ADAMW] = "adamw", NULL
};
static const char *const weights_words[] = {
    [WEIGHTS_PLAIN] = "plain", [WEIGHTS_FREQUENCY] = "frequency", [WEIGHTS_TAIL] = "tail", NULL
};
static const char *const analytics_words[] = {
    [ANALYTICS_L2] = "l2", [ANALYTICS_L1] = "l1", [ANALYTICS_LABELS] = "labels", [ANALYTICS_ANSWERS] = "answers", NULL
};
static const char *const pixel_words[] = {
    [PIXEL_CHARBONNIER] = "charbonnier", [PIXEL_L1] = "l1", NULL
};
static const char *const precision_words[] = {
    [PRECISION_F32] = "f32", [PRECISION_BF16] = "bf16", [PRECISION_BF16X3] = "bf16x3", [PRECISION_TF32] = "tf32", NULL
};

static const struct option_spec optimiser_options[] = {
    OPTION_ENUM(train_optimiser, kind, "adamw", optimiser_words, "formulas are PyTorch's"),
    OPTION_F64(train_optimiser, momentum, "0.9", 0, 0.9999, "", "of sgd"),
    OPTION_F64(train_optimiser, weight_decay, "0.01", 0, 1, "",
               "weights shrink by this times the rate"),
    OPTION_F64(train_optimiser, clip, "1", 0, 1e6, "",
               "largest norm of all gradients together; 0: as they come"),
    OPTION_F64(
        train_optimiser, average, "0.99", 0, 0.99999, "",
        "decay of the moving average of the weights, which is what is exported; 0: the weights "
        "themselves are"),
    OPTION_END,
};

static const struct option_spec analytics_options[] = {
    OPTION_STRING(
        train_analytics_config, model, "",
        "folder of a model that is kept as it is and has to do well on restored pictures; "
        "empty: pixels alone count"),
    OPTION_ENUM(
        train_analytics_config, loss, "l2", analytics_words,
        "how well: l2 and l1, distance between what it says of restored and of source "
        "pictures; answers, the same in the terms of its head, as docs/train.md says; labels, "
        "cross-entropy with data's labels, or golden ones (of a segmenter)"),
    OPTION_F64(train_analytics_config, share, "0.1", 0, 1e6, "",
               "of it in the loss, beside the pixels'"),
    OPTION_END,
};

static const struct option_spec model_options[] = {
    OPTION_STRING(train_model, name, "trained", "name of the exported model"),
    OPTION_STRING(train_model, licence, "",
                  "what data's licence allows; stands in the card and its description"),
    OPTION_STRING(train_model, note, "", "what else people should know, for the description"),
    OPTION_STRING(train_model, sample, "",
                  "the card's sample picture, a file; empty: the first picture of validation"),
    OPTION_END,
};

const struct option_spec train_options[] = {
    OPTION_ENUM(
        train_config, task, "segment", task_words,
        "what is trained: a segmenter, or a network that restores pictures (super-resolution)"),
    OPTION_SECTION(train_config, data, data_options_to_learn, "pictures and labels to learn from"),
    OPTION_LIST(train_config, more, data_config, data_options_to_learn, 0, MORE_MAX,
                "further such sets, learnt from together with data"),
    OPTION_SECTION(train_config, validation, data_options_to_learn,
                   "pictures to measure on after each epoch, never learnt from; without any, those "
                   "that are held back"),
    OPTION_F64(train_config, held_back, "0.1", 0, 0.5, "",
               "part of each clip of data and more, its end, that is not learnt from"),
    OPTION_STRING(train_config, golden, "",
                  "folder of a segmenter whose answers on the source pictures are the labels of "
                  "sets without any, where labels are needed; empty: with analytics.loss labels "
                  "the analytics model itself"),
    OPTION_ENUM(train_config, size, "medium", net_size_words, "of the network"),
    OPTION_U32(train_config, width, "480", SIDE_MIN, SIDE_MAX, "px",
               "pictures are brought to this size, which is what the network will read"),
    OPTION_U32(train_config, height, "360", SIDE_MIN, SIDE_MAX, "px", "the same"),
    OPTION_U32(train_config, crop_width, "320", SIDE_MIN, SIDE_MAX, "px",
               "what is learnt from at a time"),
    OPTION_U32(train_config, crop_height, "240", SIDE_MIN, SIDE_MAX, "px", "the same"),
    OPTION_U32(train_config, batch, "8", 1, SAMPLES_BATCH_MAX, "crops", "of a step"),
    OPTION_U32(train_config, crops, "1", 1, 1000, "crops", "of each picture in an epoch"),
    OPTION_U32(train_config, epochs, "60", 1, 1000000, "", "how often every picture is shown"),
    OPTION_U32(train_config, steps, "0", 0, STEPS_MAX, "steps",
               "in place of epochs, where it is not 0"),
    OPTION_U32(train_config, measure_epochs, "1", 1, 1000000, "",
               "epochs from one measurement on the pictures of validation to the next"),
    OPTION_SECTION(train_config, augment, samples_augment_options, "what happens to crops by chance"),
    OPTION_SECTION(train_config, damage, samples_damage_options,
                   "what pictures lose on their way to the server"),
    OPTION_ENUM(train_config, pixel_loss, "charbonnier", pixel_words,
                "superres: how far restored pixels are from those of the source"),
    OPTION_SECTION(train_config, analytics, analytics_options,
                   "superres: the network that restored pictures are for"),
    OPTION_STRING(train_config, start, "",
                  "folder of another training or of a model, with whose weights this one begins; a "
                  "model learns as it is, its normalisations folded in"),
    OPTION_F64(train_config, start_share, "0", 0, 1, "",
               "superres: of start's weights in those that are measured and written"),
    OPTION_LIST(train_config, rate, schedule_part, schedule_part_options, 0, SCHEDULE_PARTS_MAX,
                "learning rates, one part after the other; when empty, cosine from 0.002 "
                "(superres: 0.0005; behind a model: 0.0002) behind a warm-up over a twentieth of "
                "all steps"),
    OPTION_SECTION(train_config, optimiser, optimiser_options, "how weights follow gradients"),
    OPTION_ENUM(train_config, weights, "frequency", weights_words,
                "how much classes count: plain, all the same; frequency, rare ones more; tail, the "
                "worse ones "
                "more, as measured last on what is held back of data"),
    OPTION_U32(train_config, seed, "1", 0, UINT32_MAX, "", "where all chance begins"),
    OPTION_ENUM(train_config, precision, "f32", precision_words,
                "arithmetic; f32 where the device has no other"),
    OPTION_STRING(train_config, device, "cpu", "what computes: cpu, cuda or cuda:1"),
    OPTION_U32(train_config, threads, "0", 0, 1024, "threads",
               "cpu: that compute; 0: one per processor"),
    OPTION_STRING(train_config, out, "build/train",
                  "folder for checkpoints, history and the model; a run that finds its own "
                  "checkpoints there goes on from them"),
    OPTION_U32(train_config, checkpoint_steps, "0", 0, STEPS_MAX, "steps",
               "from one checkpoint to the next; 0: an epoch"),
    OPTION_U32(train_config, loaders, "1", 1, SAMPLES_LOADERS_MAX, "threads", "that prepare crops"),
    OPTION_U32(train_config, cache_mib, "1024", 0, 1048576, "MiB",
               "for pictures that are decoded once"),
    OPTION_SECTION(train_config, model, model_options, "what is written when all steps are done"),
    OPTION_END,
};

static void check(struct config *loaded, struct train_config *config);
static void read_factors(struct config *loaded, struct train_config *config);
static void check_damage(struct config *loaded, const struct train_config *config);
static void check_sets(struct config *loaded, const struct train_config *config);
static void check_segment(struct config *loaded, const struct train_config *config);
static void check_superres(struct config *loaded, const struct train_config *config);
static int write_recipe(const struct config *loaded, struct train_config *config, struct error *err);

int train_config_load(struct config **loaded, struct train_config *config, const char *path,
                      const char *const *sets, size_t set_count, struct error *err)
{
    int rc = config_load(loaded, train_options, config, path, sets, set_count, err);
    if (rc < 0)
        return rc;
    check(*loaded, config);
    if (config_problem_count(*loaded) > 0)
        return error_set(err, ERROR_CONFIG, path ? path : "train", "%s", config_problem(*loaded, 0));
    return write_recipe(*loaded, config, err);
}

void train_config_free(struct config **loaded, struct train_config *config)
{
    free(config->recipe);
    config->recipe = NULL;
    config_free(loaded);
}

static void check(struct config *loaded, struct train_config *config)
{
    check_sets(loaded, config);
    if (config->weights == WEIGHTS_TAIL && config->held_back <= 0)
        config_add_problem(loaded, "held_back", "must be above 0 for weights tail");
    read_factors(loaded, config);
    if (config->task == TRAIN_SEGMENT)
        check_segment(loaded, config);
    else
        check_superres(loaded, config);
    if (config->damage.factors.count > 0)
        check_damage(loaded, config);
    if (config->threads > 0 && strcmp(config->device, "cpu") != 0)
        config_add_problem(loaded, "threads", "is for the cpu, not for device %s", config->device);
    if (!*config->out)
        config_add_problem(loaded, "out", "is empty; name a folder");
    size_t letters = strspn(config->model.name, NAME_LETTERS);
    if (letters == 0 || letters > CARD_NAME_BYTES_MAX || config->model.name[letters])
        config_add_problem(loaded, "model.name",
                           "must be 1 to %u of the characters a-z A-Z 0-9 . _ -",
                           CARD_NAME_BYTES_MAX);
    if (config->width % 2 || config->height % 2)
        config_add_problem(loaded, "width", "%ux%u: sides must be even", config->width,
                           config->height);
    if (config->crop_width > config->width || config->crop_height > config->height)
        config_add_problem(loaded, "crop_width", "a crop of %ux%u is larger than pictures of %ux%u",
                           config->crop_width, config->crop_height, config->width, config->height);
    if (config->augment.scale_min > config->augment.scale_max)
        config_add_problem(loaded, "augment.scale_min", "%g is above scale_max %g",
                           config->augment.scale_min, config->augment.scale_max);
}

/* One of data, more and validation; gives whether it is there and without labels. */
static bool check_set(struct config *loaded, const struct train_config *config,
                      const struct data_config *set, const char *name)
{
    char key[48];
    if (*set->labels || (set == &config->validation && !*set->pictures))
        return false;
    snprintf(key, sizeof key, "%s.labels", name);
    if (config->task == TRAIN_SEGMENT && !*config->golden)
        config_add_problem(
            loaded,
            key, "is required: a segmenter learns from label maps, or from the answers of a golden model");
    return true;
}

static void check_sets(struct config *loaded, const struct train_config *config)
{
    const struct data_config *more = config->more.items;
    bool labels = config->task == TRAIN_SEGMENT ||
                  (*config->analytics.model && config->analytics.loss == ANALYTICS_LABELS);
    if (!*config->data.pictures)
        config_add_problem(loaded, "data.pictures", "is required: a folder of pictures, or a video");
    bool lacking = check_set(loaded, config, &config->data, "data");
    lacking |= check_set(loaded, config, &config->validation, "validation");
    for (size_t i = 0; i < config->more.count; i++) {
        char name[32], key[48];
        snprintf(name, sizeof name, "more.%zu", i);
        snprintf(key, sizeof key, "%s.pictures", name);
        if (!*more[i].pictures)
            config_add_problem(loaded, key, "is required: a folder of pictures, or a video");
        lacking |= check_set(loaded, config, &more[i], name);
    }
    if (*config->golden && !labels)
        config_add_problem(loaded, "golden", "is for labels, which only analytics.loss labels needs");
    else if (*config->golden && !lacking)
        config_add_problem(loaded, "golden", "answers for sets without labels, but all have some");
}

static void check_segment(struct config *loaded, const struct train_config *config)
{
    if (*config->analytics.model)
        config_add_problem(loaded, "analytics.model",
                           "is for superres: nothing is behind a segmenter");
    if (config->start_share > 0)
        config_add_problem(loaded, "start_share",
                           "is for superres: statistics of normalisations are not to be mixed");
}

static void check_superres(struct config *loaded, const struct train_config *config)
{
    uint32_t factor = config->damage.factor;
    if (config->damage.factors.count != 1)
        config_add_problem(loaded, "damage.factors", "must be one number: 1 to %u", NET_FACTOR_MAX);
    else if (factor > 0 && (config->crop_width % factor || config->crop_height % factor))
        config_add_problem(loaded, "crop_width", "%ux%u is no multiple of damage.factors %u",
                           config->crop_width, config->crop_height, factor);
    if (config->start_share > 0 && !*config->start)
        config_add_problem(loaded, "start_share", "is of start, which is empty");
}

/* The list means another thing to each task. */
static void read_factors(struct config *loaded, struct train_config *config)
{
    const struct option_strings *list = &config->damage.factors;
    uint32_t *drawn = config->damage.drawn;
    for (size_t i = 0; i < list->count && i < SAMPLES_FACTORS_MAX; i++) {
        const char *word = list->items[i];
        char key[48];
        snprintf(key, sizeof key, "damage.factors.%zu", i);
        uint32_t factor = word[0] >= '1' && !word[1] ? (uint32_t)(word[0] - '0') : 0;
        bool known = factor >= 1 && factor <= NET_FACTOR_MAX;
        drawn[i] = known ? factor : 1;
        if (!known)
            config_add_problem(loaded, key, "\"%.60s\" is not one of 1 to %u", word, NET_FACTOR_MAX);
        else if (config->width % (2 * factor) || config->height % (2 * factor))
            config_add_problem(loaded, key, "%ux%u by %u makes no even size", config->width,
                               config->height, factor);
        for (size_t j = 0; j < i; j++)
            if (strcmp(word, list->items[j]) == 0)
                config_add_problem(loaded, key, "\"%.60s\" is there twice", word);
        config->damage.drawn_count++;
    }
    if (config->task == TRAIN_SUPERRES) {
        config->damage.factor = config->damage.drawn_count > 0 ? drawn[0] : 0;
        config->damage.drawn_count = 0;
    }
}

static void check_damage(struct config *loaded, const struct train_config *config)
{
    const struct samples_damage *damage = &config->damage;
    if (damage->bitrate_min_kbps > damage->bitrate_max_kbps)
        config_add_problem(loaded, "damage.bitrate_min_kbps", "%u is above bitrate_max_kbps %u",
                           damage->bitrate_min_kbps, damage->bitrate_max_kbps);
    if (damage->rung.width || damage->rung.height)
        config_add_problem(loaded, "damage.rung.width", "follows from damage.factors: leave it out");
    if (damage->rung.mode != RATE_BITRATE)
        config_add_problem(loaded, "damage.rung.mode", "must be bitrate, which is what is varied");
}

/* The printout without where each value came from. */
static int write_recipe(const struct config *loaded, struct train_config *config, struct error *err)
{
    size_t size = 0, kept = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    if (out)
        config_print(loaded, out);
    if (!out || fclose(out) != 0) {
        free(text);
        return error_set(err, ERROR_MEMORY, "recipe", "no room for its text");
    }
    char *end = strstr(text, RECIPE_END);
    size_t bytes = end ? (size_t)(end + 1 - text) : size;
    for (size_t at = 0; at < bytes;) {
        size_t line = strcspn(text + at, "\n"), value = line;
        while (value > 0 && strncmp(text + at + value, "  # ", 4) != 0)
            value--;
        value = value > 0 ? value : line;
        memmove(text + kept, text + at, value);
        kept += value;
        text[kept++] = '\n';
        at += line + 1;
    }
    text[kept] = '\0';
    config->recipe = text;
    return 0;
}
