/* Which classes an evaluation scores: by common names, by groups, with the rest of label maps in a class
 * of its own; and which pictures it sends under a cap. */
#include "evaluate/eval_answer.h"
#include "evaluate/eval_frames.h"
#include "media/record.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(items) (sizeof(items) / sizeof *(items))

static struct eval_classes classes;
static struct text note;

static int open_them(enum score_kind kind, const struct eval_names *model,
                     const struct eval_names *truth, const struct eval_group *groups, size_t count,
                     struct error *err)
{
    const struct option_list list = { (void *)groups, count };
    eval_classes_finish(&classes);
    text_clear(&note);
    return eval_classes_open(&classes, kind, model, truth, &list, &note, err);
}

static int teardown(void **state)
{
    (void)state;
    eval_classes_finish(&classes);
    text_finish(&note);
    return 0;
}

static const char *const model_names[] = { "person", "car", "truck", "lamp" };
static const char *const truth_names[] = { "void", "Truck", "pedestrian", "Car" };
static const struct eval_names model = { model_names, COUNT(model_names), -1, false };
static const struct eval_names truth = { truth_names, COUNT(truth_names), 0, false };

static void common_names_are_scored_and_the_rest_is_said(void **state)
{
    struct error err;
    (void)state;
    assert_int_equal(open_them(SCORE_BOXES, &model, &truth, NULL, 0, &err), 0);
    const int of_model[] = { EVAL_CLASS_NONE, 1, 0, EVAL_CLASS_NONE };
    const int of_truth[] = { EVAL_CLASS_NONE, 0, EVAL_CLASS_NONE, 1 };
    assert_int_equal(classes.count, 2);
    assert_string_equal(classes.names[0], "Truck");
    assert_string_equal(classes.names[1], "Car");
    assert_memory_equal(classes.of_model, of_model, sizeof of_model);
    assert_memory_equal(classes.of_truth, of_truth, sizeof of_truth);
    assert_int_equal(classes.other, -1);
    assert_string_equal(note.data, "not scored of the model: person, lamp\n"
                                   "not scored of the truth: pedestrian\n");
}

/* A further model answers for the same classes, whatever their order in it. */
static void a_further_model_is_scored_by_its_own_names(void **state)
{
    static const char *const names[] = { "CAR", "tree", "person", "truck", "other" };
    static const char *const strange[] = { "tree", "lamp post" };
    const struct eval_names further = { names, COUNT(names), -1, false };
    const struct eval_names stranger = { strange, COUNT(strange), -1, false };
    const struct option_list none = { 0 };
    struct error err;
    int *of = NULL;
    (void)state;
    assert_int_equal(open_them(SCORE_BOXES, &model, &truth, NULL, 0, &err), 0);
    assert_int_equal(eval_classes_find(&classes, &further, &none, &of, &err), 0);
    const int boxes[] = { 1, EVAL_CLASS_NONE, EVAL_CLASS_NONE, 0, EVAL_CLASS_NONE };
    assert_memory_equal(of, boxes, sizeof boxes);
    free(of);
    assert_int_equal(open_them(SCORE_LABELS, &model, &truth, NULL, 0, &err), 0);
    assert_int_equal(eval_classes_find(&classes, &further, &none, &of, &err), 0);
    const int areas[] = { 1, 2, 2, 0, 2 };
    assert_memory_equal(of, areas, sizeof areas);
    free(of);
    assert_int_equal(eval_classes_find(&classes, &stranger, &none, &of, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "none of those that are scored: Truck"));

    char *wheels[] = { (char *)"car", (char *)"Truck" };
    char *people[] = { (char *)"person", (char *)"pedestrian" };
    const struct eval_group groups[] = { { (char *)"people", { people, COUNT(people) } },
                                         { (char *)"wheels", { wheels, COUNT(wheels) } } };
    const struct option_list list = { (void *)groups, COUNT(groups) };
    assert_int_equal(open_them(SCORE_BOXES, &model, &truth, groups, COUNT(groups), &err), 0);
    assert_int_equal(eval_classes_find(&classes, &further, &list, &of, &err), 0);
    const int grouped[] = { 1, EVAL_CLASS_NONE, 0, 1, EVAL_CLASS_NONE };
    assert_memory_equal(of, grouped, sizeof grouped);
    free(of);
}

/* Every pixel is of something; but what is to be ignored stays out. */
static void the_rest_of_label_maps_is_a_class(void **state)
{
    struct error err;
    (void)state;
    assert_int_equal(open_them(SCORE_LABELS, &model, &truth, NULL, 0, &err), 0);
    const int of_model[] = { 2, 1, 0, 2 };
    const int of_truth[] = { EVAL_CLASS_NONE, 0, 2, 1 };
    assert_int_equal(classes.count, 3);
    assert_string_equal(classes.names[2], "other");
    assert_memory_equal(classes.of_model, of_model, sizeof of_model);
    assert_memory_equal(classes.of_truth, of_truth, sizeof of_truth);

    uint8_t labels[] = { 0, 1, 2, 3, 4, 255 };
    const uint8_t found[] = { 2, 1, 0, 2, 2, 2 };
    eval_relabel(labels, sizeof labels, classes.of_model, classes.model_count, classes.other);
    assert_memory_equal(labels, found, sizeof found);
    uint8_t wanted_labels[] = { 0, 1, 2, 3 };
    const uint8_t wanted[] = { EVAL_LABEL_IGNORE, 0, 2, 1 };
    eval_relabel(wanted_labels, sizeof wanted_labels, classes.of_truth, classes.truth_count, -1);
    assert_memory_equal(wanted_labels, wanted, sizeof wanted);
}

static void gaps_alone_make_the_rest(void **state)
{
    static const char *const names[] = { "road" };
    const struct eval_names dense = { names, 1, -1, false }, gaps = { names, 1, -1, true };
    struct error err;
    (void)state;
    assert_int_equal(open_them(SCORE_LABELS, &dense, &dense, NULL, 0, &err), 0);
    assert_int_equal(classes.count, 1);
    assert_int_equal(open_them(SCORE_LABELS, &gaps, &gaps, NULL, 0, &err), 0);
    assert_int_equal(classes.count, 2);
}

static void groups_take_classes_together(void **state)
{
    char *vehicle[] = { "car", "truck" }, *human[] = { "person", "pedestrian" };
    const struct eval_group groups[] = { { "vehicle", { vehicle, 2 } }, { "human", { human, 2 } } };
    struct error err;
    (void)state;
    assert_int_equal(open_them(SCORE_BOXES, &model, &truth, groups, 2, &err), 0);
    const int of_model[] = { 1, 0, 0, EVAL_CLASS_NONE };
    const int of_truth[] = { EVAL_CLASS_NONE, 0, 1, 0 };
    assert_int_equal(classes.count, 2);
    assert_string_equal(classes.names[0], "vehicle");
    assert_memory_equal(classes.of_model, of_model, sizeof of_model);
    assert_memory_equal(classes.of_truth, of_truth, sizeof of_truth);
}

static void expect_refused(const struct eval_group *groups, size_t count, const char *words)
{
    struct error err;
    assert_int_equal(open_them(SCORE_BOXES, &model, &truth, groups, count, &err), -ERROR_CONFIG);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void groups_that_cannot_be_scored_are_refused(void **state)
{
    static const char *const others[] = { "sky" };
    const struct eval_names sky = { others, 1, -1, false };
    char *car[] = { "car" }, *trick[] = { "trick" }, *lamp[] = { "lamp" }, *none[] = { "void" };
    struct error err;
    (void)state;
    expect_refused(&(struct eval_group){ "a", { trick, 1 } }, 1, "did you mean \"truck\"?");
    expect_refused(&(struct eval_group){ "a", { lamp, 1 } }, 1, "no class of the truth");
    expect_refused(&(struct eval_group){ "a", { none, 1 } }, 1, "neither of the model nor");
    const struct eval_group twice[] = { { "a", { car, 1 } }, { "b", { car, 1 } } };
    expect_refused(twice, 2, "in another group already");
    assert_int_equal(open_them(SCORE_BOXES, &model, &sky, NULL, 0, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "no class that the model knows"));
}

/* Ten pictures at 30 a second, at most 12 a second: 4 of them, evenly, and every second one scored. */
static void a_cap_leaves_pictures_out_evenly(void **state)
{
    char folder[] = "/tmp/runespoor-frames-XXXXXX", path[128];
    struct data_config config = {
        .pictures = folder, .labels = "", .classes = "", .ignore = "", .box_class = "person", .fps = 30
    };
    struct eval_config cap = { .fps = 12, .score_every = 2 };
    const struct eval_config all = { .score_every = 1 };
    struct eval_frames frames;
    struct data *data = NULL;
    struct error err;
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (unsigned i = 0; i < 10; i++) {
        snprintf(path, sizeof path, "%s/%u.pgm", folder, i);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fprintf(file, "P5 16 16 255\n%256s", "");
        assert_int_equal(fclose(file), 0);
    }
    if (data_open(&data, &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(eval_frames_open(&frames, data, &cap, &err), 0);
    const uint32_t sent[] = { 0, 3, 5, 8 };
    assert_int_equal(frames.count, COUNT(sent));
    for (size_t i = 0; i < COUNT(sent); i++) {
        assert_int_equal(frames.items[i].picture, sent[i]);
        assert_true(frames.items[i].starts_clip == (i == 0));
        assert_true(frames.items[i].scored == (i % 2 == 0));
    }
    assert_true(frames.sent_fps == 12);
    assert_int_equal(eval_frames_scored(&frames), 2);
    eval_frames_finish(&frames);
    assert_int_equal(eval_frames_open(&frames, data, &all, &err), 0);
    assert_int_equal(eval_frames_scored(&frames), 10);
    eval_frames_finish(&frames);
    cap.stills = true; /* none is left out for the rate; those that are not scored are not sent */
    assert_int_equal(eval_frames_open(&frames, data, &cap, &err), 0);
    assert_int_equal(frames.count, 5);
    assert_int_equal(eval_frames_scored(&frames), 5);
    assert_int_equal(frames.items[4].picture, 8);
    assert_true(frames.items[4].starts_clip && frames.source_fps == 12 && frames.sent_fps == 12);
    eval_frames_finish(&frames);
    data_close(&data);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(path, sizeof path, "%s/%u.pgm", folder, i);
        unlink(path);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(common_names_are_scored_and_the_rest_is_said, teardown),
        cmocka_unit_test_teardown(the_rest_of_label_maps_is_a_class, teardown),
        cmocka_unit_test_teardown(a_further_model_is_scored_by_its_own_names, teardown),
        cmocka_unit_test_teardown(gaps_alone_make_the_rest, teardown),
        cmocka_unit_test_teardown(groups_take_classes_together, teardown),
        cmocka_unit_test_teardown(groups_that_cannot_be_scored_are_refused, teardown),
        cmocka_unit_test(a_cap_leaves_pictures_out_evenly),
    };
    return cmocka_run_group_tests_name("eval_classes", tests, NULL, NULL);
}
