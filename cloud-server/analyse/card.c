/* card: the option tables of card.yaml, and the checks that need more than one key or the files. */
#include "analyse/card.h"
#include "analyse/analysis.h"
#include "analyse/head.h"
#include "base/text.h"
#include "device.h"
#include "net/wire.h"
#include "onnx/onnx.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#define CARD_NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define KEY_BYTES 64u
#define NETWORK_NAME_BYTES (WIRE_NAME_BYTES_MAX + 8u) /* enough to see that one is too long */

static const char *const layout_words[] = { "nchw", "nhwc", NULL };
static const char *const colour_words[] = { "rgb", "bgr", NULL };
static const char *const fit_words[] = { "letterbox", "stretch", NULL };
static const char *const precision_words[] = {
    [PRECISION_F32] = "f32",   [PRECISION_BF16] = "bf16", [PRECISION_BF16X3] = "bf16x3",
    [PRECISION_TF32] = "tf32", [PRECISION_F16] = "f16",   NULL
};

static const struct option_spec mean_options[] = {
    OPTION_F64(card_channels, r, "0", -1e6, 1e6, "", "mean of red"),
    OPTION_F64(card_channels, g, "0", -1e6, 1e6, "", "mean of green"),
    OPTION_F64(card_channels, b, "0", -1e6, 1e6, "", "mean of blue"),
    OPTION_END,
};

static const struct option_spec deviation_options[] = {
    OPTION_F64(card_channels, r, "1", 1e-6, 1e6, "", "standard deviation of red"),
    OPTION_F64(card_channels, g, "1", 1e-6, 1e6, "", "standard deviation of green"),
    OPTION_F64(card_channels, b, "1", 1e-6, 1e6, "", "standard deviation of blue"),
    OPTION_END,
};

static const struct option_spec input_options[] = {
    OPTION_U32(card_input, width, NULL, 16, 4096, "pixels", "width of the network's input"),
    OPTION_U32(card_input, height, NULL, 16, 4096, "pixels", "height of the network's input"),
    OPTION_ENUM(card_input, layout, "nchw", layout_words, "order of the input's dimensions"),
    OPTION_ENUM(card_input, colour, NULL, colour_words, "order of the colours"),
    OPTION_ENUM(card_input, fit, NULL, fit_words,
                "letterbox keeps the aspect ratio, stretch fills the input"),
    OPTION_F64(card_input, pad, "114", 0, 255, "",
               "grey value beside a letterboxed picture, which lies top left"),
    OPTION_F64(card_input, divisor, NULL, 1e-3, 1e6, "",
               "the network reads (pixel / divisor - mean) / deviation of pixels 0 to 255"),
    OPTION_SECTION(card_input, mean, mean_options, "subtracted after dividing by divisor"),
    OPTION_SECTION(card_input, deviation, deviation_options, "divided by last"),
    OPTION_END,
};

static const struct option_spec head_options[] = {
    OPTION_ENUM(card_head, kind, NULL, head_words, "how the network's output is read"),
    OPTION_STRINGS(card_head, outputs, 0, HEAD_OUTPUTS_MAX,
                   "names of the outputs in the head's order; without it, all as they come"),
    OPTION_F64(card_head, score, "0.3", 0.001, 1, "", "boxes of a lower score are left out"),
    OPTION_F64(card_head, iou, "0.5", 0, 1, "",
               "of two boxes of a class that overlap by more, the better one stays"),
    OPTION_U32(card_head, objects_max, "100", 1, ANALYSIS_OBJECTS_MAX, "",
               "most boxes in one picture"),
    OPTION_BOOL(card_head, masks, "false",
                "with class areas, answer with their masks as run lengths, too"),
    OPTION_END,
};

static const struct option_spec expect_options[] = {
    OPTION_STRING_REQUIRED(card_expect, class, "person", "class of the box or area"),
    OPTION_F64(card_expect, confidence, "0", 0, 1, "", "confidence of the box"),
    OPTION_F64(card_expect, share, "0", 0, 1, "", "share of the picture that the area covers"),
    OPTION_F64(card_expect, tolerance, "0.05", 0, 1, "", "largest difference in confidence or share"),
    OPTION_F64(card_expect, x1, "0", 0, 65536, "pixels", "left edge of the box in the picture"),
    OPTION_F64(card_expect, y1, "0", 0, 65536, "pixels", "top edge of the box"),
    OPTION_F64(card_expect, x2, "0", 0, 65536, "pixels", "right edge of the box"),
    OPTION_F64(card_expect, y2, "0", 0, 65536, "pixels", "bottom edge of the box"),
    OPTION_F64(card_expect, iou, "0.8", 0.1, 1, "", "least overlap with the box"),
    OPTION_END,
};

static const struct option_spec sample_options[] = {
    OPTION_STRING_REQUIRED(card_sample, picture, "sample.jpg", "a picture in this folder"),
    OPTION_F64(card_sample, score, "0", 0, 1, "",
               "score threshold for this picture; 0: that of the head"),
    OPTION_LIST(card_sample, expect, card_expect, expect_options, 1, ANALYSIS_OBJECTS_MAX,
                "what must be found in it, and nothing else"),
    OPTION_END,
};

const struct option_spec card_options[] = {
    OPTION_STRING_REQUIRED(card, name, "street_det", "name of the model in answers and metrics"),
    OPTION_STRING_REQUIRED(card, file, "street_det.onnx", "the ONNX file in this folder"),
    OPTION_STRING(card, description, "", "what it finds, for people"),
    OPTION_STRING(card, licence, "", "licence of the weights"),
    OPTION_STRINGS(card, classes, 1, CARD_CLASSES_MAX, "names of the classes, from index 0"),
    OPTION_SECTION(card, input, input_options, "what the network reads"),
    OPTION_SECTION(card, head, head_options, "what its output means"),
    OPTION_ENUM(
        card, precision, "f32", precision_words,
        "the lowest precision that the network bears; where the device does not have it, bf16 "
        "serves for f16, if it has that, and f32 for all others"),
    OPTION_STRINGS(card, restore, 0, CARD_NETWORKS_MAX,
                   "ONNX files in this folder, as restore/x2.onnx, of networks that bring smaller "
                   "pictures back to the camera's size for this model; the first that fits serves"),
    OPTION_SECTION(card, sample, sample_options, "the picture that proves that all this is right"),
    OPTION_END,
};

static int check_card(struct card *card, struct error *err);
static void check_name(struct card *card);
static void check_classes(struct card *card);
static void check_head(struct card *card);
static void check_networks(struct card *card);
static void check_expect(struct card *card, size_t index);
static void check_box(struct card *card, const struct card_expect *expect, size_t index);
static void check_file(struct card *card, const char *key, const char *name, uint64_t bytes_max,
                       char **path);
static int report_problems(const struct card *card, struct error *err);

int card_read(struct card **card, const char *folder, struct error *err)
{
    assert(card && folder);
    *card = NULL;
    struct card *fresh = calloc(1, sizeof *fresh);
    struct text path = { 0 };
    text_printf(&path, "%s/%s", folder, CARD_FILE_NAME);
    if (!fresh || path.failed)
        goto no_memory;
    fresh->folder = strdup(folder);
    if (!fresh->folder)
        goto no_memory;
    if (access(path.data, F_OK) != 0) {
        text_finish(&path);
        card_free(&fresh);
        return error_set(err, ERROR_CONFIG, folder,
                         "%s: a model is a folder with a card, a network and a sample picture, see "
                         "docs/models.md",
                         access(folder, F_OK) == 0 ? "no " CARD_FILE_NAME " there" : "is not there");
    }
    int result = config_load(&fresh->config, card_options, fresh, path.data, NULL, 0, err);
    text_finish(&path);
    if (!fresh->config) {
        card_free(&fresh);
        return result;
    }
    *card = fresh;
    if (result == 0)
        result = check_card(fresh, err);
    return result == -ERROR_CONFIG ? report_problems(fresh, err) : result;

no_memory:
    text_finish(&path);
    card_free(&fresh);
    return error_set(err, ERROR_MEMORY, "card", "no room for the card of %s", folder);
}

void card_free(struct card **card)
{
    if (!*card)
        return;
    config_free(&(*card)->config);
    free((*card)->folder);
    free((*card)->file_path);
    free((*card)->picture_path);
    for (size_t i = 0; i < CARD_NETWORKS_MAX; i++)
        free((*card)->restore_paths[i]);
    free(*card);
    *card = NULL;
}

void card_name_network(const char *file, char *name, size_t name_bytes)
{
    const char *slash = strrchr(file, '/');
    snprintf(name, name_bytes, "%s", slash ? slash + 1 : file);
    char *dot = strrchr(name, '.');
    if (dot && dot > name)
        *dot = '\0';
}

static int check_card(struct card *card, struct error *err)
{
    check_name(card);
    check_file(card, "file", card->file, ONNX_FILE_BYTES_MAX, &card->file_path);
    check_classes(card);
    check_head(card);
    check_networks(card);
    check_file(card, "sample.picture", card->sample.picture, CARD_SAMPLE_BYTES_MAX,
               &card->picture_path);
    for (size_t i = 0; i < card->sample.expect.count; i++)
        check_expect(card, i);
    if (config_problem_count(card->config) > 0)
        return error_set(err, ERROR_CONFIG, "card", "%s", config_problem(card->config, 0));
    return 0;
}

static void check_name(struct card *card)
{
    size_t length = strlen(card->name);
    if (length == 0 || length > CARD_NAME_BYTES_MAX || strspn(card->name, CARD_NAME_LETTERS) != length)
        config_add_problem(card->config, "name",
                           "must be 1 to %u of the characters a-z A-Z 0-9 . _ -",
                           CARD_NAME_BYTES_MAX);
}

static void check_classes(struct card *card)
{
    char key[KEY_BYTES];
    for (size_t i = 0; i < card->classes.count; i++) {
        const char *class = card->classes.items[i];
        snprintf(key, sizeof key, "classes.%zu", i);
        if (!*class || strlen(class) > CARD_NAME_BYTES_MAX)
            config_add_problem(card->config, key, "a class name has 1 to %u bytes, not %zu",
                               CARD_NAME_BYTES_MAX, strlen(class));
        for (size_t k = 0; k < i; k++)
            if (*class && strcmp(class, card->classes.items[k]) == 0) {
                config_add_problem(card->config, key, "\"%s\" is class %zu already", class, k);
                break;
            }
    }
}

static void check_head(struct card *card)
{
    bool areas = head_finds_areas(card->head.kind);
    if (areas && card->classes.count > ANALYSIS_AREAS_MAX)
        config_add_problem(card->config, "classes", "the head \"%s\" takes at most %u, not %zu",
                           head_words[card->head.kind], ANALYSIS_AREAS_MAX, card->classes.count);
    if (!areas && card->head.masks)
        config_add_problem(card->config, "head.masks", "the head \"%s\" finds boxes, not masks",
                           head_words[card->head.kind]);
}

/* Answers must tell which of them restored. */
static void check_networks(struct card *card)
{
    char key[KEY_BYTES], name[NETWORK_NAME_BYTES], other[NETWORK_NAME_BYTES];
    struct error why;
    for (size_t i = 0; i < card->restore.count; i++) {
        const char *file = card->restore.items[i];
        snprintf(key, sizeof key, "restore.%zu", i);
        size_t before = config_problem_count(card->config);
        check_file(card, key, file, ONNX_FILE_BYTES_MAX, &card->restore_paths[i]);
        if (config_problem_count(card->config) > before)
            continue;
        card_name_network(file, name, sizeof name);
        if (wire_check_name(name, file, &why) < 0)
            config_add_problem(card->config, key, "%s", why.text);
        for (size_t k = 0; k < i; k++) {
            card_name_network(card->restore.items[k], other, sizeof other);
            if (strcmp(name, other) == 0)
                config_add_problem(card->config, key, "\"%s\" is the name of network %zu already",
                                   name, k);
        }
    }
}

static void check_expect(struct card *card, size_t index)
{
    const struct card_expect *expect = (struct card_expect *)card->sample.expect.items + index;
    char key[KEY_BYTES];
    bool known = false;
    for (size_t i = 0; i < card->classes.count && !known; i++)
        known = strcmp(expect->class, card->classes.items[i]) == 0;
    snprintf(key, sizeof key, "sample.expect.%zu.class", index);
    if (!known)
        config_add_problem(card->config, key, "\"%s\" is not one of the classes", expect->class);

    if (!head_finds_areas(card->head.kind)) {
        check_box(card, expect, index);
    } else if (expect->share <= 0) {
        snprintf(key, sizeof key, "sample.expect.%zu.share", index);
        config_add_problem(card->config, key, "must be above 0, the head \"%s\" finds areas",
                           head_words[card->head.kind]);
    }
}

static void check_box(struct card *card, const struct card_expect *expect, size_t index)
{
    char key[KEY_BYTES];
    double threshold = card->sample.score > 0 ? card->sample.score : card->head.score;
    snprintf(key, sizeof key, "sample.expect.%zu.x2", index);
    if (expect->x2 <= expect->x1)
        config_add_problem(card->config, key, "must be above x1");
    snprintf(key, sizeof key, "sample.expect.%zu.y2", index);
    if (expect->y2 <= expect->y1)
        config_add_problem(card->config, key, "must be above y1");
    snprintf(key, sizeof key, "sample.expect.%zu.confidence", index);
    if (expect->confidence < threshold)
        config_add_problem(card->config, key, "%g is below the threshold %g for the sample",
                           expect->confidence, threshold);
}

/* Sets *path to the real path of folder/name. A card may come from anywhere, so it names files of
 * its own folder only; links that lead out are refused as well. */
static void check_file(struct card *card, const char *key, const char *name, uint64_t bytes_max,
                       char **path)
{
    struct text joined = { 0 };
    struct stat status;
    text_printf(&joined, "%s/%s", card->folder, name);
    char *folder = realpath(card->folder, NULL);
    char *real = joined.failed ? NULL : realpath(joined.data, NULL);
    size_t length = folder ? strlen(folder) : 0;

    if (!*name)
        config_add_problem(card->config, key, "is empty; name a file of the model's folder");
    else if (*name == '/' ||
             (real && folder && (strncmp(real, folder, length) != 0 || real[length] != '/')))
        config_add_problem(card->config, key, "\"%s\" is outside of the model's folder", name);
    else if (!real || !folder || stat(real, &status) != 0)
        config_add_problem(card->config, key, "cannot open \"%s\": %s", name, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        config_add_problem(card->config, key, "\"%s\" is not a file", name);
    else if (status.st_size == 0 || (uint64_t)status.st_size > bytes_max)
        config_add_problem(card->config, key, "\"%s\" has %lld bytes, allowed are 1 to %llu", name,
                           (long long)status.st_size, (unsigned long long)bytes_max);
    else {
        *path = real;
        real = NULL;
    }
    free(real);
    free(folder);
    text_finish(&joined);
}

/* The first mistake, and how to see the others. */
static int report_problems(const struct card *card, struct error *err)
{
    size_t count = config_problem_count(card->config);
    if (count == 0) /* the error of config_load stands */
        return -ERROR_CONFIG;
    if (count == 1)
        return error_set(err, ERROR_CONFIG, "card", "%s", config_problem(card->config, 0));
    return error_set(err, ERROR_CONFIG, "card",
                     "%s (and %zu more: `cloud-server model check %s` lists them)",
                     config_problem(card->config, 0), count - 1, card->folder);
}
