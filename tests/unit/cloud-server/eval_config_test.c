/* The configuration of an evaluation: defaults, the lists with forms of their own, and that every mistake
 * in them is named with its key. */
#include "evaluate/eval_config.h"
#include "device.h"
#include "analyse/restore.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define SETS_MAX 8u

static struct eval_config config;
static struct config *loaded;

/* On top of what is required. */
static int load(const char *const *sets, struct error *err)
{
    const char *all[SETS_MAX + 2] = { "data.pictures=clip.mp4", "model=models/street_det" };
    size_t count = 2;
    for (; sets && *sets; sets++) {
        assert_true(count < SETS_MAX + 2);
        all[count++] = *sets;
    }
    config_free(&loaded);
    config = (struct eval_config){ 0 };
    return eval_config_load(&loaded, &config, NULL, all, count, err);
}

static void load_well(const char *set)
{
    struct error err;
    if (load((const char *const[]){ set, NULL }, &err) < 0)
        fail_msg("%s: %s", set, err.text);
}

static void expect_problem(const char *set, const char *key, const char *words)
{
    struct error err;
    assert_int_equal(load((const char *const[]){ set, NULL }, &err), -ERROR_CONFIG);
    for (size_t i = 0; i < config_problem_count(loaded); i++)
        if (strstr(config_problem(loaded, i), key) && strstr(config_problem(loaded, i), words))
            return;
    fail_msg("%s: no problem about %s says '%s', but: %s", set, key, words, err.text);
}

static void defaults_are_complete(void **state)
{
    (void)state;
    load_well("seed=1");
    assert_int_equal(config.sizes.count, 3);
    assert_int_equal(config.size_list[0].divisor, 1);
    assert_int_equal(config.size_list[2].divisor, 4);
    assert_int_equal(config.bitrates.count, 4);
    assert_int_equal(config.bitrate_list[0], 100);
    assert_int_equal(config.codecs.count, 1);
    assert_int_equal(config.codec_list[0], VIDEO_H264);
    assert_int_equal(config.restore.count, 2);
    assert_int_equal(config.restore_list[1].kind, RESTORE_BICUBIC);
    assert_string_equal(config.baseline, "bicubic");
    assert_int_equal(config.precision, EVAL_PRECISION_CARD);
    load_well("precision=f32");
    assert_int_equal(config.precision, 1 + PRECISION_F32);
    load_well("precision=f16");
    assert_int_equal(config.precision, 1 + PRECISION_F16);
}

/* An agent's rung, but for what the file says of it. */
static void a_rung_is_an_agents(void **state)
{
    struct rung rung = { 0 };
    struct config *defaults;
    struct error err;
    (void)state;
    assert_int_equal(config_load(&defaults, rung_options, &rung, NULL, NULL, 0, &err), 0);
    config_free(&defaults);
    load_well("fps=5");
    assert_true(config.rung.fps == 5);
    assert_int_equal(config.rung.preset, rung.preset);
    assert_int_equal(config.rung.vbv_ms, rung.vbv_ms);
    assert_int_equal(config.rung.keyframe_s, rung.keyframe_s);
    assert_int_equal(config.rung.mode, RATE_BITRATE);
    load_well("preset=medium");
    assert_true(config.rung.preset > rung.preset);
}

static void sizes_have_three_forms(void **state)
{
    (void)state;
    load_well("sizes=1/3,320x240,full");
    assert_int_equal(config.size_list[0].divisor, 3);
    assert_int_equal(config.size_list[1].width, 320);
    assert_int_equal(config.size_list[1].height, 240);
    assert_int_equal(config.size_list[2].divisor, 1);
    static const char *const wrong[] = { "sizes=1/0",      "sizes=1/17",  "sizes=half",
                                         "sizes=320",      "sizes=320x",  "sizes=x240",
                                         "sizes=-2x4",     "sizes=320x0", "sizes=32x24x",
                                         "sizes=99999x240" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_problem(wrong[i], "sizes.0", "is not full, a part like 1/2");
}

static void numbers_and_words_are_checked(void **state)
{
    (void)state;
    expect_problem("bitrates=100,15", "bitrates.1", "whole number from 16");
    expect_problem("bitrates=1e3", "bitrates.0", "whole number");
    expect_problem("bitrates=100,200,100", "bitrates.2", "twice");
    expect_problem("codecs=h264,avi", "codecs.1", "did you mean \"av1\"?");
    expect_problem("codecs=av1,av1", "codecs.1", "twice");
    expect_problem("preset=veryfst", "preset", "did you mean \"veryfast\"?");
    expect_problem("out=", "out", "empty");
    expect_problem("data.pictures=", "data.pictures", "required");
}

static void networks_have_names(void **state)
{
    (void)state;
    load_well("restore=bicubic,mine=a/x2.onnx,mine=a/x4.onnx,other=b=c.onnx");
    assert_int_equal(config.restore_list[1].kind, RESTORE_NETWORK);
    assert_string_equal(config.restore_list[1].name, "mine");
    assert_string_equal(config.restore_list[1].file, "a/x2.onnx");
    assert_string_equal(config.restore_list[2].name, "mine");
    assert_string_equal(config.restore_list[3].file, "b=c.onnx");
    load_well("restore=bicubic,card");
    assert_int_equal(config.restore_list[1].kind, RESTORE_NETWORK);
    assert_true(eval_restore_is_card(&config.restore_list[1]));
    assert_null(config.restore_list[1].file);
    expect_problem("restore=bicubic,card=x.onnx", "restore.1", "name of its own");
    expect_problem("restore=bicubic,bicubc", "restore.1", "did you mean \"bicubic\"?");
    expect_problem("restore=bicubic,=x.onnx", "restore.1", "not a name");
    expect_problem("restore=bicubic,../x=x.onnx", "restore.1", "not a name");
    expect_problem("restore=bicubic,none=x.onnx", "restore.1", "name of its own");
    expect_problem("restore=bicubic,x=", "restore.1", "no file");
    expect_problem("restore=bicubic,bicubic", "restore.1", "twice");
    expect_problem("restore=none", "baseline", "one of the names in restore");
}

static void tuned_models_have_names(void **state)
{
    (void)state;
    load_well("tuned=tuned=build/tune/model,b2=c=d");
    assert_int_equal(config.tuned.count, 2);
    assert_string_equal(config.tuned_list[0].name, "tuned");
    assert_string_equal(config.tuned_list[0].folder, "build/tune/model");
    assert_string_equal(config.tuned_list[1].folder, "c=d");
    expect_problem("tuned=models/x", "tuned.0", "is not NAME=FOLDER");
    expect_problem("tuned=a=b,x=", "tuned.1", "is not NAME=FOLDER");
    expect_problem("tuned=a+b=c", "tuned.0", "not a name");
    expect_problem("tuned=a=b,a=c", "tuned.1", "a is the name of tuned.0, too");
}

static void contradictions_are_named(void **state)
{
    struct error err;
    (void)state;
    const char *const labels[] = { "data.labels=boxes.txt", "golden=models/street_det", NULL };
    assert_int_equal(load(labels, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "golden"));
    const char *const groups[] = { "groups.0.name=a", "groups.0.classes=car", "groups.1.name=a",
                                   "groups.1.classes=bus", NULL };
    assert_int_equal(load(groups, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "groups.1"));
}

/* The shipped file is good as it is, and with all keys taken in it says what the table says. */
static void the_shipped_file_shows_the_defaults(void **state)
{
    static struct eval_config shipped, all;
    struct config *first = NULL, *second = NULL;
    char text[16384];
    struct error err;
    (void)state;
    if (eval_config_load(&first, &shipped, "deploy/eval.yaml", NULL, 0, &err) < 0)
        fail_msg("%s", err.text);
    FILE *file = fopen("deploy/eval.yaml", "r");
    assert_non_null(file);
    size_t size = 0;
    bool groups = false; /* an example, not a default */
    for (char line[256]; fgets(line, sizeof line, file);) {
        groups = strncmp(line, "#groups", 7) == 0 || (groups && strncmp(line, "#  - ", 5) == 0);
        bool key = line[0] == '#' && line[1] != ' ' && line[1] != '\n';
        bool inner = strncmp(line, "#  ", 3) == 0 && !groups;
        const char *kept = groups ? "\n" : (key || inner) ? line + 1 : line;
        assert_true(size + strlen(kept) < sizeof text);
        memcpy(text + size, kept, strlen(kept));
        size += strlen(kept);
    }
    fclose(file);
    if (config_load_text(&second, eval_options, &all, "all", text, size, &err) < 0)
        fail_msg("%s", err.text);
    for (const struct option_spec *spec = eval_options; spec->kind != OPTION_KIND_END; spec++) {
        char key[64];
        snprintf(key, sizeof key, "\n%s:", spec->name);
        text[size] = '\0';
        if (strcmp(spec->name, "groups") != 0 && !strstr(text, key))
            fail_msg("deploy/eval.yaml does not show %s", spec->name);
    }
    const struct option_strings *lists[][2] = { { &shipped.sizes, &all.sizes },
                                                { &shipped.bitrates, &all.bitrates },
                                                { &shipped.codecs, &all.codecs },
                                                { &shipped.restore, &all.restore },
                                                { &shipped.tuned, &all.tuned } };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        assert_int_equal(lists[i][0]->count, lists[i][1]->count);
        for (size_t k = 0; k < lists[i][0]->count; k++)
            assert_string_equal(lists[i][0]->items[k], lists[i][1]->items[k]);
    }
    assert_string_equal(shipped.baseline, all.baseline);
    assert_string_equal(shipped.preset, all.preset);
    assert_string_equal(shipped.out, all.out);
    assert_string_equal(shipped.device, all.device);
    assert_int_equal(shipped.score_every, all.score_every);
    assert_int_equal(shipped.block_frames, all.block_frames);
    assert_int_equal(shipped.seed, all.seed);
    assert_int_equal(shipped.precision, all.precision);
    assert_true(shipped.fps == all.fps && shipped.data.fps == all.data.fps);
    config_free(&first);
    config_free(&second);
}

static int teardown(void **state)
{
    (void)state;
    config_free(&loaded);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(defaults_are_complete, teardown),
        cmocka_unit_test_teardown(a_rung_is_an_agents, teardown),
        cmocka_unit_test_teardown(sizes_have_three_forms, teardown),
        cmocka_unit_test_teardown(numbers_and_words_are_checked, teardown),
        cmocka_unit_test_teardown(networks_have_names, teardown),
        cmocka_unit_test_teardown(tuned_models_have_names, teardown),
        cmocka_unit_test_teardown(contradictions_are_named, teardown),
        cmocka_unit_test(the_shipped_file_shows_the_defaults),
    };
    return cmocka_run_group_tests_name("eval_config", tests, NULL, NULL);
}
