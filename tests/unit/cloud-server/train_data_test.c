/* What a training makes of its pictures: CamVid's clips with their ends held back, many clips of one picture
 * of which some are, several sets in one, and the classes that the network gets. */
#include "learn/train_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH_BYTES 512u

struct opened {
    struct train_config config;
    struct config *loaded;
    struct train train;
};

static const char *camvid(const char *key, const char *name)
{
    static char sets[16][PATH_BYTES];
    static unsigned used;
    char *set = sets[used++ % 16];
    const char *base = getenv("TEST_DATA");
    snprintf(set, PATH_BYTES, "%s=%s/camvid/%s", key, base ? base : "../shared/data", name);
    if (access(strchr(set, '=') + 1, R_OK) == 0)
        return set;
    print_message("skipped: %s is not there (TEST_DATA)\n", strchr(set, '=') + 1);
    skip();
    return NULL;
}

static void load_sets(struct opened *opened, const char *const *more, size_t count)
{
    struct error err;
    const char *sets[16] = { camvid("data.pictures", "train/images"),
                             camvid("data.labels", "train/labels"),
                             camvid("data.classes", "classes.txt"), "data.ignore=void" };
    memset(opened, 0, sizeof *opened);
    for (size_t i = 0; i < count; i++)
        sets[4 + i] = more[i];
    if (train_config_load(&opened->loaded, &opened->config, NULL, sets, 4 + count, &err))
        fail_msg("%s", err.text);
    opened->train.config = &opened->config;
}

/* With CamVid's training pictures and more settings. */
static void open_sets(struct opened *opened, const char *const *more, size_t count)
{
    struct error err;
    load_sets(opened, more, count);
    if (train_data_open(&opened->train, &err))
        fail_msg("%s", err.text);
}

static void close_sets(struct opened *opened)
{
    train_data_close(&opened->train);
    train_config_free(&opened->loaded, &opened->config);
}

static bool is_held(const struct train *train, size_t number)
{
    for (size_t i = 0; i < train->held.count; i++)
        if (train->held.pictures[i].number == number)
            return true;
    return false;
}

/* Behind what is held comes what is held, up to the end of the clip; and nothing is in both sets. */
static void ends_of_clips_are_held_back(void **state)
{
    (void)state;
    static struct opened opened;
    struct data_info info;
    open_sets(&opened, NULL, 0);
    const struct train *train = &opened.train;
    data_get_info(train->sources[0].data, &info);
    assert_true(info.clip_count > 1);
    assert_int_equal(train->held.count, 36);
    assert_int_equal(train->learnt.count, 363 - 36);
    assert_ptr_equal(train->measured, &train->held);
    for (size_t c = 0; c < info.clip_count; c++) {
        struct data_clip clip;
        data_get_clip(train->sources[0].data, c, &clip);
        for (size_t i = clip.first; i + 1 < clip.first + clip.count; i++)
            assert_true(!is_held(train, i) || is_held(train, i + 1));
    }
    for (size_t i = 0; i < train->learnt.count; i++)
        assert_false(is_held(train, train->learnt.pictures[i].number));
    close_sets(&opened);
}

static void validation_leaves_all_to_learn_from(void **state)
{
    (void)state;
    static struct opened opened;
    const char *const more[] = { camvid("validation.pictures", "val/images"),
                                 camvid("validation.labels", "val/labels"),
                                 camvid("validation.classes", "classes.txt"),
                                 "validation.ignore=void", "weights=tail" };
    open_sets(&opened, more, 4);
    assert_int_equal(opened.train.learnt.count, 363);
    assert_int_equal(opened.train.held.count, 0);
    assert_int_equal(opened.train.measured->count, 101);
    close_sets(&opened);
    open_sets(&opened, more, 5); /* tail measures on what is held back all the same */
    assert_int_equal(opened.train.learnt.count, 363 - 36);
    assert_int_equal(opened.train.measured->count, 101);
    close_sets(&opened);
}

/* Every picture begins a clip: every tenth of them is held back. */
static void short_clips_are_held_back_as_a_whole(void **state)
{
    (void)state;
    static struct opened opened, clipped;
    static char *names[363];
    struct error err;
    open_sets(&opened, NULL, 0);
    for (size_t i = 0; i < 363; i++)
        names[i] = (char *)data_picture_name(opened.train.sources[0].data, i);
    load_sets(&clipped, NULL, 0);
    clipped.config.data.clips = (struct option_strings){ names, 363 };
    if (train_data_open(&clipped.train, &err))
        fail_msg("%s", err.text);
    assert_int_equal(clipped.train.held.count, 36);
    for (size_t i = 0; i < 36; i++)
        assert_int_equal(clipped.train.held.pictures[i].number, 10 * i + 9);
    close_sets(&clipped);
    close_sets(&opened);
}

static void classes_are_those_that_count(void **state)
{
    (void)state;
    static struct opened opened;
    struct error err;
    open_sets(&opened, NULL, 0);
    assert_int_equal(opened.train.class_count, 11);
    assert_string_equal(opened.train.class_names[10], "bicyclist");
    assert_int_equal(opened.train.sources[0].classes[10], 10);
    assert_int_equal(opened.train.sources[0].classes[11], SAMPLES_IGNORE);
    assert_int_equal(opened.train.sources[0].classes[12], SAMPLES_IGNORE);
    if (train_weigh_classes(&opened.train, &err))
        fail_msg("%s", err.text);
    /* road is everywhere, signs are nowhere */
    assert_true(opened.train.class_weights[3] < 1 && opened.train.class_weights[6] > 2);
    close_sets(&opened);
}

static const char *clip(const char *name)
{
    static char path[PATH_BYTES];
    const char *base = getenv("TEST_DATA");
    snprintf(path, sizeof path, "%s/clips/%s", base ? base : "../shared/data", name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is not there (TEST_DATA)\n", path);
    skip();
    return NULL;
}

/* CamVid and each tenth picture of a video of 250, the end of both held back; each entry of the list tells
 * where it is from. */
static void sets_are_learnt_from_together(void **state)
{
    (void)state;
    static struct opened opened;
    char video[2 * PATH_BYTES];
    snprintf(video, sizeof video, "more.0.pictures=%s", clip("bikes.mp4"));
    const char *const more[] = { "task=superres", "damage.factors=2", video, "more.0.every=10" };
    open_sets(&opened, more, 4);
    const struct train *train = &opened.train;
    assert_int_equal(train->learnt_count, 2);
    assert_int_equal(train->held.count, 38); /* of 388 */
    assert_int_equal(train->learnt.count, 388 - 38);
    size_t of_video = 0;
    for (size_t i = 0; i < train->learnt.count; i++) {
        const struct samples_picture *picture = &train->learnt.pictures[i];
        if (picture->source == 0)
            continue;
        assert_int_equal(picture->number, 10 * of_video++);
    }
    assert_int_equal(of_video, 23);
    assert_int_equal(train->held.pictures[36].source, 1);
    assert_int_equal(train->held.pictures[36].number, 230);
    assert_int_equal(train->held.pictures[37].number, 240);
    close_sets(&opened);
}

/* CamVid's classes in another order, and one of them perhaps by another name. */
static void write_classes(const char *path, const char *first)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "%s\nsky\nbuilding\npole\nroad\npavement\ntree\nsign_symbol\nfence\npedestrian\n"
            "bicyclist\nvoid\n",
            first);
    fclose(file);
}

/* The same numbers mean other classes in another set. */
static void classes_of_sets_go_by_name(void **state)
{
    (void)state;
    static struct opened opened;
    struct error err;
    char path[] = "/tmp/train_data_test_XXXXXX", classes[PATH_BYTES];
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    snprintf(classes, sizeof classes, "more.0.classes=%s", path);
    const char *const more[] = { camvid("more.0.pictures", "val/images"),
                                 camvid("more.0.labels", "val/labels"), classes,
                                 "more.0.ignore=void" };
    write_classes(path, "car");
    open_sets(&opened, more, 4);
    assert_int_equal(opened.train.class_count, 11);
    assert_int_equal(opened.train.sources[0].classes[8], 8);
    assert_int_equal(opened.train.sources[1].classes[0], 8); /* car */
    assert_int_equal(opened.train.sources[1].classes[1], 0); /* sky */
    assert_int_equal(opened.train.sources[1].classes[11], SAMPLES_IGNORE);
    close_sets(&opened);
    write_classes(path, "lorry");
    load_sets(&opened, more, 4);
    assert_int_equal(train_data_open(&opened.train, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "more.0: class 'lorry' is none of those to learn"));
    close_sets(&opened);
    unlink(path);
}

static void a_set_that_is_not_there_is_named(void **state)
{
    (void)state;
    static struct opened opened;
    struct error err;
    const char *const more[] = { "task=superres", "damage.factors=2",
                                 camvid("more.0.pictures", "val/images"),
                                 "more.1.pictures=/nowhere" };
    load_sets(&opened, more, 4);
    assert_true(train_data_open(&opened.train, &err) < 0);
    if (!strstr(err.text, "more.1: data.pictures: /nowhere: cannot open"))
        fail_msg("%s", err.text);
    close_sets(&opened);
}

static void nothing_held_back_is_no_tail(void **state)
{
    (void)state;
    static struct opened opened;
    struct error err;
    const char *const more[] = { "weights=tail", "held_back=0.001" };
    load_sets(&opened, more, 2);
    assert_int_equal(train_data_open(&opened.train, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "held_back: 0.001 of 363 pictures is none"));
    close_sets(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_clips_are_held_back),
        cmocka_unit_test(validation_leaves_all_to_learn_from),
        cmocka_unit_test(short_clips_are_held_back_as_a_whole),
        cmocka_unit_test(classes_are_those_that_count),
        cmocka_unit_test(sets_are_learnt_from_together),
        cmocka_unit_test(classes_of_sets_go_by_name),
        cmocka_unit_test(a_set_that_is_not_there_is_named),
        cmocka_unit_test(nothing_held_back_is_no_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
