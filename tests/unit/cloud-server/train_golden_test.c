/* What takes the place of labels: of each picture without any exactly what the golden model, asked by
 * itself, says of its middle, by the names of its classes and where it knows one; samples carry it; sets
 * that have labels keep them; and models that cannot stand in are refused. */
#include "analyse/model.h"
#include "learn/train_parts.h"
#include "media/scale.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH_BYTES 1024u
#define GOLDEN "models/camvid_segment"
#define WIDTH 240u
#define HEIGHT 120u
#define AREA ((size_t)WIDTH * HEIGHT)

static const char set_golden[] = "golden=" GOLDEN, set_model[] = "analytics.model=" GOLDEN;
static const char *const names[] = { "0001TP_006690", "0016E5_00390" };
static char folder[] = "/tmp/train_golden_test_XXXXXX", base[PATH_BYTES];

struct opened {
    struct train_config config;
    struct config *loaded;
    struct train train;
};

/* A folder of two of CamVid's pictures. */
static int make_folder(void **state)
{
    (void)state;
    const char *data = getenv("TEST_DATA");
    if (!mkdtemp(folder))
        return -1;
    if (!realpath(data ? data : "../shared/data", base))
        return 0;
    for (size_t i = 0; i < 2; i++) {
        char to[3 * PATH_BYTES], link[PATH_BYTES];
        snprintf(to, sizeof to, "%s/camvid/train/images/%s.jpg", base, names[i]);
        snprintf(link, sizeof link, "%s/%s.jpg", folder, names[i]);
        if (symlink(to, link) < 0)
            return -1;
    }
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s.jpg", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static const char *set(const char *key, const char *path, const char *name)
{
    static char sets[16][3 * PATH_BYTES];
    static unsigned used;
    char *text = sets[used++ % 16];
    snprintf(text, sizeof *sets, "%s=%s%s", key, path, name);
    return text;
}

static void need(const char *path)
{
    if (access(path, R_OK) == 0)
        return;
    print_message("skipped: %s is not there\n", path);
    skip();
}

/* With the folder as data. */
static void load_sets(struct opened *opened, const char *const *more, size_t count)
{
    struct error err;
    const char *sets[16] = { set("data.pictures", folder, ""),
                             "width=240",
                             "height=120",
                             "crop_width=240",
                             "crop_height=120",
                             "held_back=0" };
    need(set("", base, "/camvid/train/images") + 1);
    memset(opened, 0, sizeof *opened);
    for (size_t i = 0; i < count; i++)
        sets[6 + i] = more[i];
    if (train_config_load(&opened->loaded, &opened->config, NULL, sets, 6 + count, &err))
        fail_msg("%s", err.text);
    opened->train.config = &opened->config;
    assert_int_equal(device_open(&opened->train.device, "cpu:threads=1", &err), 0);
}

static void open_sets(struct opened *opened, const char *const *more, size_t count)
{
    struct error err;
    load_sets(opened, more, count);
    if (train_analytics_open(&opened->train, &err) || train_data_open(&opened->train, &err) ||
        train_golden_label(&opened->train, &err))
        fail_msg("%s", err.text);
}

static void close_sets(struct opened *opened)
{
    train_data_close(&opened->train);
    train_analytics_close(&opened->train);
    device_close(&opened->train.device);
    train_config_free(&opened->loaded, &opened->config);
}

/* What the model says of the middle of the picture, the card's classes. */
static void ask(const struct train *train, size_t index, uint8_t *map)
{
    struct error err;
    struct model *model;
    struct scaler *scaler;
    struct picture *whole, *picture;
    struct picture_view view;
    struct samples_window window;
    struct analysis *analysis = malloc(sizeof *analysis);
    assert_int_equal(model_open(&model, GOLDEN, train->device, &err), 0);
    assert_int_equal(scaler_create(&scaler, &err), 0);
    assert_int_equal(
        samples_set_picture(&train->learnt, index, WIDTH, HEIGHT, &whole, &window, &err), 0);
    assert_int_equal(window.part.width, 480);
    assert_int_equal(window.part.height, 240); /* of 360 */
    assert_int_equal(scaler_to_picture(scaler, whole, WIDTH, HEIGHT, &picture, &err), 0);
    picture_get_view(picture, &view);
    assert_int_equal(model_run(model, &view, analysis, &err), 0);
    model_label_map(model, WIDTH, HEIGHT, map);
    picture_unref(&picture);
    picture_unref(&whole);
    scaler_destroy(&scaler);
    model_close(&model);
    free(analysis);
}

static void answers_are_the_labels(void **state)
{
    (void)state;
    static struct opened opened;
    static uint8_t map[AREA];
    const char *const more[] = { set_golden };
    open_sets(&opened, more, 1);
    const struct train *train = &opened.train;
    assert_int_equal(train->class_count, 11); /* those of its card */
    assert_string_equal(train->class_names[3], "road");
    assert_int_equal(train_golden_count(&train->learnt), 2);
    for (size_t i = 0; i < 2; i++) {
        ask(train, i, map);
        assert_memory_equal(train->sources[0].golden.maps[i], map, AREA);
    }
    /* Road lies at the bottom, which all of CamVid shows. */
    assert_int_equal(map[AREA - WIDTH / 2], 3);
    close_sets(&opened);
}

/* Data has labels and is of other classes, in another order, than the golden model's. */
static void classes_go_by_name(void **state)
{
    (void)state;
    static struct opened opened;
    static uint8_t map[AREA];
    char classes[PATH_BYTES];
    snprintf(classes, sizeof classes, "%s.classes", folder);
    need(set("", base, "/camvid/val/images") + 1);
    FILE *file = fopen(classes, "w");
    assert_non_null(file);
    fputs("sky\nhouse\npole\ncar\nstreet\ntree\nsign\nfence\nroad\nperson\nbicyclist\nvoid\n", file);
    fclose(file);
    const char *const more[] = { set_golden,
                                 set("validation.pictures", base, "/camvid/val/images"),
                                 set("validation.labels", base, "/camvid/val/labels"),
                                 set("validation.classes", classes, ""),
                                 "validation.ignore=void",
                                 set("more.0.pictures", base, "/camvid/val/images"),
                                 set("more.0.labels", base, "/camvid/val/labels"),
                                 set("more.0.classes", classes, ""),
                                 "more.0.ignore=void" };
    open_sets(&opened, more, 9);
    const struct train *train = &opened.train;
    assert_int_equal(train->learnt.count, 2 + 101);
    assert_int_equal(train_golden_count(&train->learnt), 2);
    assert_int_equal(train_golden_count(&train->validated), 0);
    assert_string_equal(train->class_names[3], "car");
    ask(train, 0, map);
    for (size_t i = 0; i < AREA; i++) {
        static const uint8_t wanted[] = { 0, SAMPLES_IGNORE, 2, 8, SAMPLES_IGNORE,
                                          5, SAMPLES_IGNORE, 7, 3, SAMPLES_IGNORE,
                                          10 };
        assert_int_equal(train->sources[0].golden.maps[0][i], wanted[map[i]]);
    }
    assert_null(train->sources[1].golden.maps);
    close_sets(&opened);
    unlink(classes);
}

/* Behind a restorer the network that it is for answers; what is learnt from carries that. */
static void samples_carry_them(void **state)
{
    (void)state;
    static struct opened opened;
    static uint8_t maps[2][AREA];
    struct error err;
    struct samples *samples;
    const char *const more[] = { "task=superres", "damage.factors=2", set_model,
                                 "analytics.loss=labels" };
    open_sets(&opened, more, 4);
    ask(&opened.train, 0, maps[0]);
    ask(&opened.train, 1, maps[1]);
    const struct samples_config config = {
        .width = WIDTH,
        .height = HEIGHT,
        .crop_width = WIDTH,
        .crop_height = HEIGHT,
        .batch = 2,
        .crops = 1,
        .labelled = true,
        .augment = { .scale_min = 1, .scale_max = 1 },
        .loaders = 1,
        .cache_bytes = 1u << 20,
    };
    assert_int_equal(samples_open(&samples, &opened.train.learnt, &config, 0, &err), 0);
    for (unsigned step = 0; step < 2; step++) { /* decoded, then kept */
        struct sample_batch *batch;
        assert_int_equal(samples_take(samples, &batch, &err), 0);
        unsigned seen = 0;
        for (size_t slot = 0; slot < 2; slot++)
            for (unsigned which = 0; which < 2; which++) {
                size_t equal = 0;
                for (size_t i = 0; i < AREA; i++)
                    equal += batch->labels[slot * AREA + i] == maps[which][i];
                seen |= equal == AREA ? 1u << which : 0;
            }
        assert_int_equal(seen, 3);
        sample_batch_free(&batch);
    }
    samples_close(&samples);
    close_sets(&opened);
}

static void expect_refused(const char *const *more, size_t count, const char *words)
{
    static struct opened opened;
    struct error err = { 0 };
    load_sets(&opened, more, count);
    int rc = train_data_open(&opened.train, &err);
    if (rc == 0)
        rc = train_golden_label(&opened.train, &err);
    if (rc == 0 || !strstr(err.text, words))
        fail_msg("\"%s\" is not said: %s", words, err.text);
    close_sets(&opened);
}

static void who_cannot_answer_is_refused(void **state)
{
    (void)state;
    char classes[PATH_BYTES];
    expect_refused((const char *const[]){ "golden=models/street_det" }, 1,
                   "golden: street_det: finds boxes");
    expect_refused((const char *const[]){ "golden=/nowhere" }, 1, "golden: /nowhere");
    need(set("", base, "/camvid/val/images") + 1);
    snprintf(classes, sizeof classes, "%s.classes", folder);
    FILE *file = fopen(classes, "w");
    assert_non_null(file);
    fputs("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nvoid\n", file);
    fclose(file);
    const char *const strange[] = { set_golden, set("more.0.pictures", base, "/camvid/val/images"),
                                    set("more.0.labels", base, "/camvid/val/labels"),
                                    set("more.0.classes", classes, ""), "more.0.ignore=void" };
    expect_refused(strange, 5, "knows none of the classes to learn, such as 'a'");
    unlink(classes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_labels),
        cmocka_unit_test(classes_go_by_name),
        cmocka_unit_test(samples_carry_them),
        cmocka_unit_test(who_cannot_answer_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
