/* eval_config: the table of eval.yaml, and the lists in it whose elements have a form of their own. */
#include "evaluate/eval_config.h"
#include "analyse/restore.h"
#include "base/text.h"
#include "device.h"
#include "evaluate/report.h"
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_CLASSES_MAX 1024u
#define DIVISOR_MAX 16u

const char *const eval_codec_words[] = {
    [VIDEO_H264] = "h264", [VIDEO_H265] = "h265", [VIDEO_AV1] = "av1", NULL
};
static const char *const precision_words[] = { [EVAL_PRECISION_CARD] = "card",
                                               [1 + PRECISION_F32] = "f32",
                                               [1 + PRECISION_BF16] = "bf16",
                                               [1 + PRECISION_BF16X3] = "bf16x3",
                                               [1 + PRECISION_TF32] = "tf32",
                                               [1 + PRECISION_F16] = "f16",
                                               NULL };
static const char *const restore_words[] = {
    [RESTORE_NONE] = "none", [RESTORE_BILINEAR] = "bilinear", [RESTORE_BICUBIC] = "bicubic", [RESTORE_NETWORK] = EVAL_RESTORE_CARD, NULL
};

#define STRINGS_WITH_DEFAULT(field, def, hi, text)                                                  \
    {                                                                                               \
        .name = #field, .kind = OPTION_KIND_STRINGS, .offset = offsetof(struct eval_config, field), \
        .fallback = (def), .min = 1, .max = (hi), .help = (text)                                    \
    }

static const struct option_spec group_options[] = {
    OPTION_STRING_REQUIRED(eval_group, name, "vehicle", "name of the group"),
    OPTION_STRINGS(eval_group, classes, 1, GROUP_CLASSES_MAX,
                   "its classes, by the model's names and by those of the labels"),
    OPTION_END,
};

const struct option_spec eval_options[] = {
    OPTION_SECTION(eval_config, data, data_options, "pictures, and labels where there are any"),
    OPTION_STRING_REQUIRED(eval_config, model, "models/street_det",
                           "folder of the analytics model that is evaluated"),
    OPTION_STRING(eval_config, golden, "",
                  "folder of the model whose answers on the source pictures count as the truth "
                  "where data has no labels; empty: the analytics model itself"),
    OPTION_LIST(
        eval_config, groups, eval_group, group_options, 0, EVAL_GROUPS_MAX,
        "classes that are scored as one; when empty, each class of the truth that the model "
        "knows by the same name"),
    STRINGS_WITH_DEFAULT(
        sizes, "full,1/2,1/4", EVAL_SIZES_MAX,
        "sizes to send: full, a part of each side as 1/2 or 1/3, or pixels as 320x240"),
    STRINGS_WITH_DEFAULT(bitrates, "100,200,400,800", EVAL_BITRATES_MAX,
                         "bitrates to send each size at, kbit/s"),
    STRINGS_WITH_DEFAULT(codecs, "h264", EVAL_CODECS_MAX,
                         "codecs to compare: h264, h265, av1; each in software"),
    STRINGS_WITH_DEFAULT(
        restore, "none,bicubic", EVAL_RESTORES_MAX,
        "ways back to full size, each an arm: none (the model scales for itself), "
        "bilinear, bicubic, card (the networks that the model's card names), or "
        "NAME=FILE.onnx; files of one NAME are for different sizes, and each is taken where it "
        "fits"),
    OPTION_STRINGS(eval_config, tuned, 0, EVAL_TUNED_MAX,
                   "further models, NAME=FOLDER, measured behind each of these ways on the same "
                   "received pictures: to compare restoring for the model with tuning it"),
    OPTION_STRING(eval_config, baseline, "bicubic",
                  "the one of these that the others are compared with; at full size it is none"),
    OPTION_BOOL(eval_config, stills, "false",
                "pictures that make no video, as they are seconds apart: each is sent as the end "
                "of a short pan over itself, at data.fps (at fps where that is less), and kbit/s "
                "are those of its own packet"),
    OPTION_F64(eval_config, fps, "0", 0, 240, "1/s",
               "most pictures to send each second; 0: all. Of stills none is left out"),
    OPTION_STRING(eval_config, preset, "veryfast", "effort of the encoder, as an agent's rung has it"),
    OPTION_U32(eval_config, score_every, "1", 1, 100000, "pictures",
               "1 scores every picture that is sent, 5 every fifth; all of them are encoded, but "
               "of stills only those that are scored"),
    OPTION_STRING(eval_config, out, "build/eval",
                  "folder for the results; what is finished in it is not measured again"),
    OPTION_STRING(eval_config, device, "cpu", "what computes: cpu, cpu:threads=2, cuda or cuda:1"),
    OPTION_ENUM(
        eval_config, precision, "card", precision_words,
        "arithmetic of the models; card: the lowest that the card allows and the device has"),
    OPTION_U32(eval_config, block_frames, "10", 1, 1000000, "pictures",
               "scored pictures in a row that intervals take as one piece, as neighbours resemble "
               "each other"),
    OPTION_U32(eval_config, seed, "1", 0, UINT32_MAX, "",
               "where the draws for intervals begin, and the pans over stills"),
    OPTION_END,
};

static void read_rung(struct config *loaded, struct eval_config *config);
static void read_sizes(struct config *loaded, struct eval_config *config);
static void read_bitrates(struct config *loaded, struct eval_config *config);
static void read_codecs(struct config *loaded, struct eval_config *config);
static void read_restores(struct config *loaded, struct eval_config *config);
static void read_tuned(struct config *loaded, struct eval_config *config);
static void check_baseline(struct config *loaded, const struct eval_config *config);
static void check_groups(struct config *loaded, const struct eval_config *config);

int eval_config_load(struct config **loaded, struct eval_config *config, const char *path,
                     const char *const *sets, size_t set_count, struct error *err)
{
    int failed = config_load(loaded, eval_options, config, path, sets, set_count, err);
    if (failed)
        return failed;
    if (!*config->data.pictures)
        config_add_problem(*loaded, "data.pictures",
                           "is required: a folder of pictures, or a video file");
    if (*config->golden && *config->data.labels)
        config_add_problem(*loaded, "golden",
                           "answers where data has no labels, but data.labels is %s",
                           config->data.labels);
    if (!*config->out)
        config_add_problem(*loaded, "out", "is empty; name a folder for the results");
    read_rung(*loaded, config);
    read_sizes(*loaded, config);
    read_bitrates(*loaded, config);
    read_codecs(*loaded, config);
    read_restores(*loaded, config);
    read_tuned(*loaded, config);
    check_baseline(*loaded, config);
    check_groups(*loaded, config);
    if (config_problem_count(*loaded) == 0)
        return 0;
    return error_set(err, ERROR_CONFIG, path ? path : "eval", "%s", config_problem(*loaded, 0));
}

bool eval_restore_is_card(const struct eval_restore *restore)
{
    return strcmp(restore->name, EVAL_RESTORE_CARD) == 0;
}

/* Names an element of a list: "sizes.2". */
struct element_key {
    char text[48];
};
static struct element_key element(const char *list, size_t index)
{
    struct element_key key;
    snprintf(key.text, sizeof key.text, "%s.%zu", list, index);
    return key;
}

/* The word that was probably meant; NULL when none is near. */
static const char *nearest_word(const char *given, const char *const *words)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    for (size_t i = 0; words[i]; i++)
        if (text_is_nearer(given, words[i], &best))
            nearest = words[i];
    return nearest;
}

static int find_word(const char *given, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(given, words[i]) == 0)
            return i;
    return -1;
}

/* allowed: what may stand there, in words. */
static void refuse_word(struct config *loaded, const char *key, const char *given,
                        const char *allowed, const char *const *words)
{
    const char *nearest = nearest_word(given, words);
    config_add_problem(loaded, key, "\"%.100s\" is not %s%s%s%s", given, allowed,
                       nearest ? " (did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?)" : "");
}

/* Digits up to the byte end, which is skipped; 0: not such a number, or none from 1 to max. */
static uint32_t take_number(const char **at, char end, uint32_t max)
{
    char *rest;
    errno = 0;
    unsigned long value = isdigit((unsigned char)**at) ? strtoul(*at, &rest, 10) : 0;
    if (value == 0 || errno || value > max || *rest != end)
        return 0;
    *at = rest + (end != '\0');
    return (uint32_t)value;
}

/* The rest of a rung is as an agent has it that says nothing. */
static void read_rung(struct config *loaded, struct eval_config *config)
{
    struct config *defaults = NULL;
    const struct option_spec *preset = rung_options;
    while (strcmp(preset->name, "preset") != 0)
        preset++;
    if (config_load(&defaults, rung_options, &config->rung, NULL, NULL, 0, NULL) < 0)
        config_add_problem(loaded, "preset", "no memory for a rung");
    config_free(&defaults);
    config->rung.fps = config->fps;
    config->rung.preset = find_word(config->preset, preset->words);
    if (config->rung.preset < 0)
        refuse_word(loaded, "preset", config->preset,
                    "one of ultrafast, superfast, veryfast, faster, fast, medium", preset->words);
}

static bool parse_size(const char *word, struct eval_size *size)
{
    *size = (struct eval_size){ 0 };
    if (strcmp(word, "full") == 0) {
        size->divisor = 1;
        return true;
    }
    if (strncmp(word, "1/", 2) == 0) {
        word += 2;
        size->divisor = take_number(&word, '\0', DIVISOR_MAX);
        return size->divisor > 0;
    }
    size->width = take_number(&word, 'x', PICTURE_SIDE_MAX);
    size->height = size->width > 0 ? take_number(&word, '\0', PICTURE_SIDE_MAX) : 0;
    return size->height > 0;
}

static void read_sizes(struct config *loaded, struct eval_config *config)
{
    for (size_t i = 0; i < config->sizes.count && i < EVAL_SIZES_MAX; i++)
        if (!parse_size(config->sizes.items[i], &config->size_list[i]))
            config_add_problem(loaded, element("sizes", i).text,
                               "\"%.60s\" is not full, a part like 1/2 (down to 1/%u), or pixels "
                               "like 320x240",
                               config->sizes.items[i], DIVISOR_MAX);
}

static void read_bitrates(struct config *loaded, struct eval_config *config)
{
    const struct option_spec *range = rung_options;
    while (strcmp(range->name, "bitrate_kbps") != 0)
        range++;
    for (size_t i = 0; i < config->bitrates.count && i < EVAL_BITRATES_MAX; i++) {
        const char *word = config->bitrates.items[i];
        config->bitrate_list[i] = take_number(&word, '\0', (uint32_t)range->max);
        if (config->bitrate_list[i] < (uint32_t)range->min)
            config_add_problem(loaded, element("bitrates", i).text,
                               "\"%.60s\" is not a whole number from %g to %g (kbit/s)",
                               config->bitrates.items[i], range->min, range->max);
        for (size_t j = 0; j < i; j++)
            if (config->bitrate_list[i] > 0 && config->bitrate_list[i] == config->bitrate_list[j])
                config_add_problem(loaded, element("bitrates", i).text, "%u is there twice",
                                   config->bitrate_list[i]);
    }
}

static void read_codecs(struct config *loaded, struct eval_config *config)
{
    for (size_t i = 0; i < config->codecs.count && i < EVAL_CODECS_MAX; i++) {
        const char *word = config->codecs.items[i];
        int codec = find_word(word, eval_codec_words);
        if (codec < 0)
            refuse_word(loaded, element("codecs", i).text, word, "h264, h265 or av1",
                        eval_codec_words);
        config->codec_list[i] = codec < 0 ? VIDEO_H264 : (enum video_codec)codec;
        for (size_t j = 0; j < i; j++)
            if (strcmp(word, config->codecs.items[j]) == 0)
                config_add_problem(loaded, element("codecs", i).text, "\"%.60s\" is there twice",
                                   word);
    }
}

/* Names become parts of file names, and of lines that scripts read. */
static bool is_name(const char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_-.", name[i]))
            return false;
    return bytes > 0 && bytes < EVAL_NAME_BYTES && name[0] != '.';
}

static bool take_name(struct config *loaded, const char *key, const char *word, const char *end,
                      char name[EVAL_NAME_BYTES])
{
    size_t bytes = (size_t)(end - word);
    if (!is_name(word, bytes)) {
        config_add_problem(loaded, key,
                           "\"%.*s\" is not a name of up to %u letters, digits, '_', '-' and '.'",
                           bytes < 60 ? (int)bytes : 60, word, EVAL_NAME_BYTES - 1);
        return false;
    }
    memcpy(name, word, bytes);
    name[bytes] = '\0';
    return true;
}

static void read_network(struct config *loaded, const char *key, const char *word,
                         struct eval_restore *restore)
{
    const char *equals = strchr(word, '=');
    if (!equals) {
        refuse_word(loaded, key, word, "none, bilinear, bicubic, card or NAME=FILE.onnx",
                    restore_words);
        return;
    }
    restore->kind = RESTORE_NETWORK;
    restore->file = equals + 1;
    if (!take_name(loaded, key, word, equals, restore->name))
        return;
    if (find_word(restore->name, restore_words) >= 0)
        config_add_problem(loaded, key, "%s is a name of its own; call the network otherwise",
                           restore->name);
    if (!*restore->file)
        config_add_problem(loaded, key, "has no file behind the '='");
}

static void read_restores(struct config *loaded, struct eval_config *config)
{
    for (size_t i = 0; i < config->restore.count && i < EVAL_RESTORES_MAX; i++) {
        struct eval_restore *restore = &config->restore_list[i];
        const char *word = config->restore.items[i];
        int kind = find_word(word, restore_words);
        *restore = (struct eval_restore){ .kind = kind };
        if (kind >= 0)
            snprintf(restore->name, sizeof restore->name, "%s", word);
        else
            read_network(loaded, element("restore", i).text, word, restore);
        for (size_t j = 0; j < i; j++)
            if (strcmp(word, config->restore.items[j]) == 0)
                config_add_problem(loaded, element("restore", i).text, "\"%.60s\" is there twice",
                                   word);
    }
}

static void read_tuned(struct config *loaded, struct eval_config *config)
{
    for (size_t i = 0; i < config->tuned.count && i < EVAL_TUNED_MAX; i++) {
        struct eval_tuned *tuned = &config->tuned_list[i];
        const char *word = config->tuned.items[i], *equals = strchr(word, '=');
        *tuned = (struct eval_tuned){ .folder = equals ? equals + 1 : "" };
        if (!equals || !*tuned->folder)
            config_add_problem(loaded, element("tuned", i).text,
                               "\"%.100s\" is not NAME=FOLDER of a model", word);
        else if (take_name(loaded, element("tuned", i).text, word, equals, tuned->name))
            for (size_t j = 0; j < i; j++)
                if (strcmp(tuned->name, config->tuned_list[j].name) == 0)
                    config_add_problem(loaded, element("tuned", i).text,
                                       "%s is the name of tuned.%zu, too", tuned->name, j);
    }
}

static void check_baseline(struct config *loaded, const struct eval_config *config)
{
    const char *names[EVAL_RESTORES_MAX + 1] = { 0 };
    for (size_t i = 0; i < config->restore.count && i < EVAL_RESTORES_MAX; i++)
        names[i] = config->restore_list[i].name;
    if (find_word(config->baseline, names) < 0)
        refuse_word(loaded, "baseline", config->baseline, "one of the names in restore", names);
}

static void check_groups(struct config *loaded, const struct eval_config *config)
{
    const struct eval_group *groups = config->groups.items;
    for (size_t i = 0; i < config->groups.count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(groups[i].name, groups[j].name) == 0)
                config_add_problem(loaded, element("groups", i).text,
                                   "\"%.60s\" is the name of groups.%zu, too", groups[i].name, j);
}
