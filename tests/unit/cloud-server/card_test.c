/* Cards written into a temporary folder: a good one gives its values and defaults; each mistake is
 * named with its key, several at once are all listed; files outside of the folder are refused. */
#include "analyse/card.h"
#include "analyse/head.h"
#include "device.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/card_test_XXXXXX";

static const char good[] =
    "name: street\n"
    "file: net.onnx\n"
    "classes: [person, car]\n"
    "input: {width: 64, height: 32, colour: bgr, fit: stretch, divisor: 255,\n"
    "        mean: {r: 0.1, g: 0.2, b: 0.3}, deviation: {g: 0.5}}\n"
    "head: {kind: yolov8, score: 0.4}\n"
    "sample:\n"
    "  picture: sub/sample.jpg\n"
    "  expect:\n"
    "    - {class: car, confidence: 0.5, x1: 1, y1: 2, x2: 3, y2: 4}\n";

static void write_file(const char *name, const char *bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, strlen(bytes), file), strlen(bytes));
    assert_int_equal(fclose(file), 0);
}

/* The good card with one text in it replaced by another. */
static void write_card(const char *from, const char *to)
{
    char card[2048];
    const char *at = strstr(good, from);
    assert_non_null(at);
    snprintf(card, sizeof card, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    write_file(CARD_FILE_NAME, card);
}

static int setup_folder(void **state)
{
    (void)state;
    char path[256];
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/sub", folder);
    if (mkdir(path, 0700) != 0)
        return -1;
    write_file("net.onnx", "x");
    write_file("empty.onnx", "");
    write_file("sub/sample.jpg", "x");
    write_file("sub/x2.onnx", "x");
    write_file("sub/x4.onnx", "x");
    write_file("x2.onnx", "x");
    write_file("a b.onnx", "x");
    snprintf(path, sizeof path, "%s/link.onnx", folder);
    if (symlink("/etc/hostname", path) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/inner_link.onnx", folder);
    return symlink("net.onnx", path);
}

static int remove_folder(void **state)
{
    (void)state;
    const char *const names[] = { "net.onnx",     "empty.onnx", "sub/sample.jpg",
                                  "sub/x2.onnx",  "link.onnx",  "inner_link.onnx",
                                  "sub/x4.onnx",  "x2.onnx",    "a b.onnx",
                                  CARD_FILE_NAME, "sub",        "." };
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(strcmp(names[i], ".") == 0 ? folder : path);
    }
    return 0;
}

static void test_good_card(void **state)
{
    (void)state;
    struct card *card;
    struct error err = { 0 };
    write_file(CARD_FILE_NAME, good);
    if (card_read(&card, folder, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(card->name, "street");
    assert_int_equal(card->classes.count, 2);
    assert_string_equal(card->classes.items[1], "car");
    assert_int_equal(card->input.width, 64);
    assert_int_equal(card->input.layout, LAYOUT_NCHW);
    assert_int_equal(card->input.colour, COLOUR_BGR);
    assert_int_equal(card->input.fit, FIT_STRETCH);
    assert_float_equal(card->input.mean.b, 0.3, 1e-9);
    assert_float_equal(card->input.deviation.r, 1, 0);
    assert_float_equal(card->input.deviation.g, 0.5, 0);
    assert_int_equal(card->head.kind, HEAD_YOLOV8);
    assert_int_equal(card->head.outputs.count, 0);
    assert_int_equal(card->restore.count, 0);
    assert_float_equal(card->head.iou, 0.5, 0);
    assert_int_equal(card->precision, PRECISION_F32);
    assert_int_equal(card->sample.expect.count, 1);
    const struct card_expect *expect = card->sample.expect.items;
    assert_string_equal(expect->class, "car");
    assert_float_equal(expect->tolerance, 0.05, 0);
    assert_string_equal(card->folder, folder);
    assert_int_equal(access(card->file_path, R_OK), 0);
    assert_int_equal(access(card->picture_path, R_OK), 0);
    card_free(&card);
    assert_null(card);
    card_free(&card);

    write_card("head:", "restore: [sub/x4.onnx, sub/x2.onnx]\nhead:");
    assert_int_equal(card_read(&card, folder, &err), 0);
    assert_int_equal(card->restore.count, 2);
    for (size_t i = 0; i < card->restore.count; i++) {
        assert_string_equal(card->restore.items[i], i == 0 ? "sub/x4.onnx" : "sub/x2.onnx");
        assert_non_null(strstr(card->restore_paths[i], card->restore.items[i]));
        assert_int_equal(access(card->restore_paths[i], R_OK), 0);
    }
    assert_null(card->restore_paths[2]);
    card_free(&card);

    write_card("net.onnx", "inner_link.onnx");
    assert_int_equal(card_read(&card, folder, &err), 0);
    card_free(&card);

    for (int p = PRECISION_F32; p <= PRECISION_F16; p++) {
        char line[64];
        snprintf(line, sizeof line, "precision: %s\nhead:", precision_word((enum precision)p));
        write_card("head:", line);
        assert_int_equal(card_read(&card, folder, &err), 0);
        assert_int_equal(card->precision, p);
        card_free(&card);
    }
}

/* Each case: what is replaced, by what, and what the one problem has to say. */
static void test_each_mistake_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says[3];
    } cases[] = {
        { "name: street", "name: two words", { ":1:", "name", "a-z" } },
        { "name: street", "name: ''", { ":1:", "name" } },
        { "file: net.onnx", "file: nothing.onnx", { ":2:", "file", "No such file" } },
        { "file: net.onnx", "file: ../etc/passwd", { ":2:", "file" } },
        { "file: net.onnx", "file: ../../../../etc/hostname", { ":2:", "outside of the model's" } },
        { "file: net.onnx", "file: /etc/hostname", { ":2:", "outside of the model's folder" } },
        { "file: net.onnx", "file: link.onnx", { ":2:", "outside of the model's folder" } },
        { "file: net.onnx", "file: sub", { ":2:", "is not a file" } },
        { "file: net.onnx", "file: empty.onnx", { ":2:", "0 bytes" } },
        { "sub/sample.jpg", "sample.jpg", { ":8:", "sample.picture", "No such file" } },
        { "[person, car]", "[]", { "classes" } },
        { "[person, car]", "[car, car]", { ":3:", "classes.1", "class 0 already" } },
        { "[person, car]", "[car, '']", { ":3:", "classes.1", "0" } },
        { "width: 64", "width: 8", { ":4:", "input.width", "16" } },
        { "width: 64", "width: 5000", { ":4:", "input.width", "4096" } },
        { "width: 64, ", "", { "input.width" } },
        { "colour: bgr", "colour: brg", { ":4:", "input.colour", "bgr" } },
        { "divisor: 255", "divisor: 0", { ":4:", "input.divisor" } },
        { "{g: 0.5}", "{g: 0}", { ":5:", "input.deviation.g" } },
        { "kind: yolov8", "kind: yolo8", { ":6:", "head.kind", "yolov8" } },
        { "score: 0.4", "masks: true", { ":6:", "head.masks", "boxes" } },
        { "score: 0.4", "score: 0.6", { ":10:", "confidence", "below the threshold 0.6" } },
        { "score: 0.4", "objects_max: 301", { ":6:", "head.objects_max", "300" } },
        { "class: car", "class: cat", { ":10:", "sample.expect.0.class", "\"cat\"" } },
        { "class: car, ", "", { "sample.expect.0.class" } },
        { "x2: 3", "x2: 1", { ":10:", "sample.expect.0.x2", "above x1" } },
        { "y2: 4", "", { "sample.expect.0.y2", "above y1" } },
        { "kind: yolov8", "kind: segment", { ":10:", "sample.expect.0", "share" } },
        { "head:", "restore: [/etc/hostname]\nhead:", { ":6:", "restore.0", "outside of the model's" } },
        { "head:",
          "restore: [sub/x2.onnx, ../../../../etc/hostname]\nhead:",
          { ":6:", "restore.1", "outside of the model's" } },
        { "head:", "restore: [link.onnx]\nhead:", { ":6:", "restore.0", "outside of the model's" } },
        { "head:", "restore: [sub/x3.onnx]\nhead:", { ":6:", "\"sub/x3.onnx\"", "No such file" } },
        { "head:", "restore: [sub]\nhead:", { ":6:", "restore.0", "is not a file" } },
        { "head:", "restore: [empty.onnx]\nhead:", { ":6:", "restore.0", "0 bytes" } },
        { "head:", "restore: ['']\nhead:", { ":6:", "restore.0", "is empty" } },
        { "head:", "restore: [a b.onnx]\nhead:", { ":6:", "restore.0", "other characters" } },
        { "head:", "restore: [sub/x2.onnx, x2.onnx]\nhead:", { ":6:", "restore.1", "network 0 already" } },
        { "head:", "restore: [1, 2, 3, 4, 5, 6, 7, 8, 9]\nhead:", { ":6:", "restore", "8" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct card *card = NULL;
        struct error err = { 0 };
        write_card(cases[i].from, cases[i].to);
        assert_int_equal(card_read(&card, folder, &err), -ERROR_CONFIG);
        assert_non_null(card);
        if (config_problem_count(card->config) != 1)
            fail_msg("case %zu: %zu problems: %s", i, config_problem_count(card->config), err.text);
        for (size_t k = 0; k < 3 && cases[i].says[k]; k++)
            if (!strstr(err.text, cases[i].says[k]))
                fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].says[k]);
        card_free(&card);
    }
}

static void test_all_mistakes_are_listed(void **state)
{
    (void)state;
    struct card *card = NULL;
    struct error err = { 0 };
    write_file(CARD_FILE_NAME, "name: a/b\n"
                               "file: ../x\n"
                               "classes: [car, car]\n"
                               "input: {width: 64, height: 32, colour: rgb, fit: stretch, "
                               "divisor: 1}\n"
                               "head: {kind: segment}\n"
                               "sample:\n"
                               "  picture: none.jpg\n"
                               "  expect: [{class: dog, share: 0.5}, {class: car}]\n");
    assert_int_equal(card_read(&card, folder, &err), -ERROR_CONFIG);
    assert_int_equal(config_problem_count(card->config), 6);
    assert_non_null(strstr(err.text, "5 more"));
    assert_non_null(strstr(err.text, "name"));
    card_free(&card);

    /* Unknown and wrong keys together. */
    write_file(CARD_FILE_NAME, "nmae: a\nclasses: [car]\ninput: {width: x}\n");
    assert_int_equal(card_read(&card, folder, &err), -ERROR_CONFIG);
    assert_true(config_problem_count(card->config) >= 5);
    card_free(&card);
}

static void test_too_many_classes_for_areas(void **state)
{
    (void)state;
    char card_text[4096];
    int used = snprintf(card_text, sizeof card_text,
                        "name: s\nfile: net.onnx\nhead: {kind: segment}\n"
                        "input: {width: 64, height: 32, colour: rgb, fit: stretch, divisor: 1}\n"
                        "sample: {picture: sub/sample.jpg, expect: [{class: c1, share: 1}]}\n"
                        "classes: [c0");
    for (int i = 1; i <= 64; i++)
        used += snprintf(card_text + used, sizeof card_text - (size_t)used, ", c%d", i);
    snprintf(card_text + used, sizeof card_text - (size_t)used, "]\n");
    write_file(CARD_FILE_NAME, card_text);
    struct card *card = NULL;
    struct error err = { 0 };
    assert_int_equal(card_read(&card, folder, &err), -ERROR_CONFIG);
    assert_int_equal(config_problem_count(card->config), 1);
    assert_non_null(strstr(err.text, "at most 64, not 65"));
    card_free(&card);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct card *card = NULL;
    struct error err = { 0 };
    assert_true(card_read(&card, "/nowhere/at/all", &err) < 0);
    assert_non_null(strstr(err.text, "/nowhere/at/all: is not there: a model is a folder"));
    assert_true(card_read(&card, "/proc", &err) < 0);
    assert_non_null(strstr(err.text, "/proc: no card.yaml there: a model is a folder"));
    card_free(&card);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_card),
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_all_mistakes_are_listed),
        cmocka_unit_test(test_too_many_classes_for_areas),
        cmocka_unit_test(test_no_folder),
    };
    return cmocka_run_group_tests(tests, setup_folder, remove_folder);
}
