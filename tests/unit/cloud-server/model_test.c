/* Real models on the real engine: the shipped one passes its check and finds its sample's boxes; the
 * same folder with one mistake in its card fails, each mistake in its own words. Three other networks
 * (TEST_DATA) do under cards written here from their descriptions. What they must find was computed
 * by ONNX Runtime with another resizer, hence the tolerances. */
#include "analyse/model.h"
#include "analyse/prepare.h"
#include "card_text.h"
#include "media/record.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SHIPPED "models/street_det"
#define CARD_BYTES 8192u

static char folder[] = "/tmp/model_test_XXXXXX";
static struct device *device;

static void in_folder(char *path, size_t bytes, const char *name)
{
    snprintf(path, bytes, "%s/%s", folder, name);
}

static void copy_file(const char *from, const char *name)
{
    char path[256], block[65536];
    size_t count;
    in_folder(path, sizeof path, name);
    FILE *in = fopen(from, "rb"), *out = fopen(path, "wb");
    if (!in || !out)
        fail_msg("cannot copy %s to %s", from, path);
    while ((count = fread(block, 1, sizeof block, in)) > 0)
        assert_int_equal(fwrite(block, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
    fclose(in);
}

static void write_card(const char *text)
{
    char path[256];
    in_folder(path, sizeof path, CARD_FILE_NAME);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

/* The shipped card with one text replaced by another. */
static void write_shipped_card(const char *from, const char *to)
{
    static char card[CARD_BYTES], changed[CARD_BYTES];
    assert_non_null(card_text_read(SHIPPED "/" CARD_FILE_NAME, card, sizeof card));
    const char *at = strstr(card, from);
    if (!at)
        fail_msg("the shipped card has no \"%s\"", from);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - card), card, to, at + strlen(from));
    write_card(changed);
}

static int setup(void **state)
{
    (void)state;
    struct error err;
    if (!mkdtemp(folder) || device_open(&device, "cpu:threads=2", &err) < 0)
        return -1;
    copy_file(SHIPPED "/street_det.onnx", "street_det.onnx");
    copy_file(SHIPPED "/sample.jpg", "sample.jpg");
    return 0;
}

static int cleanup(void **state)
{
    (void)state;
    const char *const names[] = { "street_det.onnx", "sample.jpg", "net.onnx", CARD_FILE_NAME };
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        in_folder(path, sizeof path, names[i]);
        unlink(path);
    }
    rmdir(folder);
    device_close(&device);
    return 0;
}

/* Opens and checks the folder; the error of whichever failed. */
static int open_and_check(struct error *err)
{
    struct model *model = NULL;
    int result = model_open(&model, folder, device, err);
    if (result == 0)
        result = model_check(model, err);
    model_close(&model);
    return result;
}

static void check_shipped_model(const char *name, const char *found, enum precision precision)
{
    char shipped[64];
    snprintf(shipped, sizeof shipped, "models/%s", name);
    struct model *model = NULL;
    struct error err = { 0 };
    struct text report = { 0 };
    if (model_open_in(&model, shipped, device, precision, &err) < 0 ||
        model_check_report(model, &report, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(model_precision(model), precision);
    assert_string_equal(model_card(model)->name, name);
    const char *text = report.data ? report.data : "";
    assert_non_null(strstr(text, found));
    assert_null(strstr(text, "FAIL"));
    text_finish(&report);
    model_close(&model);
    assert_null(model);
    model_close(&model);
}

static void test_shipped_models_pass(void **state)
{
    (void)state;
    struct device_info info;
    struct model *model = NULL;
    device_get_info(device, &info);
    const enum precision precisions[] = { PRECISION_F32, PRECISION_BF16, PRECISION_BF16X3 };
    for (int i = 0; i < (info.bf16 ? 3 : 1); i++) {
        check_shipped_model("street_det", "ok    bicycle", precisions[i]);
        check_shipped_model("camvid_segment", "ok    road", precisions[i]);
    }
    assert_int_equal(model_open(&model, SHIPPED, device, NULL), 0);
    assert_int_equal(model_precision(model), info.bf16 ? PRECISION_BF16 : PRECISION_F32);
    model_close(&model);
}

/* The padding and the outputs of one picture must not leak into the next. */
static void test_runs_repeat(void **state)
{
    (void)state;
    struct model *model = NULL;
    struct picture *sample = NULL, *grey = NULL;
    struct picture_view view, grey_view;
    struct error err = { 0 };
    struct analysis *first = calloc(2, sizeof *first), *again = first + 1;
    assert_non_null(first);
    if (model_open(&model, SHIPPED, device, &err) < 0 ||
        picture_read_file(&sample, SHIPPED "/sample.jpg", &err) < 0 ||
        picture_create(&grey, 333, 777, &err) < 0)
        fail_msg("%s", err.text);
    picture_get_view(sample, &view);
    picture_get_view(grey, &grey_view);
    assert_int_equal(model_run(model, &view, first, &err), 0);
    assert_true(first->object_count >= 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(model_run(model, &grey_view, again, &err), 0);
        assert_int_equal(again->object_count, 0);
        assert_int_equal(model_run(model, &view, again, &err), 0);
        assert_int_equal(again->object_count, first->object_count);
        assert_memory_equal(again->objects, first->objects,
                            first->object_count * sizeof first->objects[0]);
    }
    assert_true(again->infer_us > 0);
    for (uint32_t i = 0; i < first->object_count; i++) {
        const struct analysis_object *object = &first->objects[i];
        assert_true(object->x >= 0 && object->x + object->width <= (float)view.width);
        assert_true(object->y >= 0 && object->y + object->height <= (float)view.height);
    }
    picture_unref(&sample);
    picture_unref(&grey);
    model_close(&model);
    free(first);
}

/* What is found in a picture is the same whichever others, of whatever size, are analysed with it. */
static void test_pictures_together(void **state)
{
    (void)state;
    struct model *one = NULL, *two = NULL;
    struct picture *sample = NULL, *grey = NULL;
    struct picture_view view, grey_view;
    struct error err = { 0 };
    struct analysis *alone = calloc(3, sizeof *alone);
    assert_non_null(alone);
    if (model_open(&one, SHIPPED, device, &err) < 0 ||
        model_open_as(&two, SHIPPED, device, &(struct model_form){ .pictures = 2 }, &err) < 0 ||
        model_check(two, &err) < 0 || picture_read_file(&sample, SHIPPED "/sample.jpg", &err) < 0 ||
        picture_create(&grey, 333, 777, &err) < 0)
        fail_msg("%s", err.text);
    picture_get_view(sample, &view);
    picture_get_view(grey, &grey_view);
    assert_int_equal(model_run(one, &view, alone, &err), 0);
    assert_true(alone->object_count >= 2);
    for (int place = 0; place < 2; place++) {
        const struct picture_view *pictures[2] = { &grey_view, &grey_view };
        struct analysis *found[2] = { &alone[1], &alone[2] };
        pictures[place] = &view;
        assert_int_equal(model_start(two, pictures, &err), 0);
        assert_int_equal(model_finish(two, found, &err), 0);
        assert_int_equal(found[1 - place]->object_count, 0);
        assert_int_equal(found[place]->object_count, alone->object_count);
        for (uint32_t i = 0; i < alone->object_count; i++) {
            const struct analysis_object *is = &found[place]->objects[i],
                                         *should = &alone->objects[i];
            assert_int_equal(is->class_id, should->class_id);
            assert_true(fabsf(is->confidence - should->confidence) < 0.02f);
            assert_true(fabsf(is->x - should->x) < 2 && fabsf(is->y - should->y) < 2);
        }
    }
    picture_unref(&sample);
    picture_unref(&grey);
    model_close(&one);
    model_close(&two);
    free(alone);
}

/* The network's input is made of the planes by the plan itself: what is found is the same, but for the
 * bytes that prepare rounds to. Other pictures are refused. */
static void check_planes(const char *name)
{
    struct model *model = NULL;
    struct picture *sample = NULL;
    struct picture_view view;
    const struct model_form form = { .pictures = 1, .like = &view };
    struct error err = { 0 };
    struct analysis *analysis = malloc(sizeof *analysis);
    char shipped[64], path[96];
    assert_non_null(analysis);
    snprintf(shipped, sizeof shipped, "models/%s", name);
    snprintf(path, sizeof path, "%s/sample.jpg", shipped);
    if (picture_read_file(&sample, path, &err) < 0)
        fail_msg("%s", err.text);
    picture_get_view(sample, &view);
    if (model_open_as(&model, shipped, device, &form, &err) < 0 || model_check(model, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(plan_input_count(model_plan(model)) == 3);
    view.width -= 2;
    assert_int_equal(model_run(model, &view, analysis, &err), -ERROR_UNSUPPORTED);
    view.width += 2;
    view.full_range = !view.full_range;
    assert_int_equal(model_run(model, &view, analysis, &err), -ERROR_UNSUPPORTED);
    model_close(&model);
    picture_unref(&sample);
    free(analysis);
}

static void test_planes(void **state)
{
    (void)state;
    check_planes("street_det");
    check_planes("camvid_segment");
}

static void test_each_mistake_fails(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        { "colour: rgb", "colour: bgr", "colour rgb" },
        { "divisor: 255", "divisor: 1", "sample" },
        { "divisor: 255", "divisor: 65025", "sample" },
        { "kind: yolox", "kind: yolov8", "\"yolov8\" needs" },
        { "kind: yolox", "kind: fastestdet", "\"fastestdet\" needs" },
        { "[person, bicycle, car, motorcycle, bus, truck]",
          "[bicycle, person, car, motorcycle, bus, truck]", "expected" },
        { "[person, bicycle, car, motorcycle, bus, truck]",
          "[truck, person, bicycle, car, motorcycle, bus]", "expected" },
        { "motorcycle, bus, truck]", "motorcycle, bus]", "classes" },
        { "fit: letterbox", "fit: stretch", "expected" },
        { "width: 512", "width: 416", "512" },
        { "layout: nchw", "layout: nhwc", "nhwc" },
        { "outputs: [output]", "outputs: [out]", "it has output" },
        { "x1: 121", "x1: 1", "expected" },
    };
    struct error err = { 0 };
    write_shipped_card("name: street_det", "name: street_det");
    if (open_and_check(&err) < 0)
        fail_msg("the copy itself: %s", err.text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_shipped_card(cases[i].from, cases[i].to);
        assert_int_equal(open_and_check(&err), -ERROR_CONFIG);
        if (!strstr(err.text, cases[i].says) || !strstr(err.text, folder))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].to, err.text, cases[i].says);
    }
}

static void test_broken_files_are_refused(void **state)
{
    (void)state;
    struct error err = { 0 };
    write_shipped_card("file: street_det.onnx", "file: sample.jpg");
    assert_true(open_and_check(&err) < 0);
    assert_non_null(strstr(err.text, "sample.jpg"));
    write_shipped_card("picture: sample.jpg", "picture: street_det.onnx");
    assert_true(open_and_check(&err) < 0);
    assert_non_null(strstr(err.text, "street_det.onnx"));
}

/* Gives false, counted as skipped, where the data is missing. */
static bool find_network(const char *test, const char *file)
{
    char path[512];
    const char *data = getenv("TEST_DATA");
    snprintf(path, sizeof path, "%s/models/%s", data ? data : "", file);
    if (!data || access(path, R_OK) != 0) {
        fprintf(stderr, "SKIP REASON: %s: no %s\n", test, path);
        return false;
    }
    copy_file(path, "net.onnx");
    return true;
}

static void check_network(const char *card)
{
    struct error err = { 0 };
    write_card(card);
    if (open_and_check(&err) < 0)
        fail_msg("%s", err.text);
}

#define COCO_CLASSES                                                                              \
    "classes: [person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic "     \
    "light, fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, "   \
    "elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, " \
    "snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis "  \
    "racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, "        \
    "orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, "    \
    "dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, "    \
    "toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, "          \
    "toothbrush]\n"

static void test_yolox_nano(void **state)
{
    (void)state;
    if (!find_network(__func__, "yolox_nano.onnx"))
        skip();
    check_network("name: yolox_nano\nfile: net.onnx\n" COCO_CLASSES
                  "input: {width: 416, height: 416, colour: bgr, fit: letterbox, divisor: 1}\n"
                  "head: {kind: yolox, score: 0.3, iou: 0.45}\n"
                  "sample:\n"
                  "  picture: sample.jpg\n"
                  "  score: 0.38\n"
                  "  expect:\n"
                  "    - {class: person, confidence: 0.496, tolerance: 0.08, iou: 0.7, x1: 586.4,\n"
                  "       y1: 10, x2: 608.8, y2: 47}\n"
                  "    - {class: car, confidence: 0.419, tolerance: 0.08, iou: 0.7, x1: 120.9,\n"
                  "       y1: 76.9, x2: 257.7, y2: 231.1}\n");
}

static void test_fastestdet(void **state)
{
    (void)state;
    if (!find_network(__func__, "fastestdet.onnx"))
        skip();
    check_network(
        "name: fastestdet\nfile: net.onnx\n" COCO_CLASSES
        "input: {width: 352, height: 352, colour: bgr, fit: stretch, divisor: 255}\n"
        "head: {kind: fastestdet, score: 0.6, iou: 0.45}\n"
        "sample:\n"
        "  picture: sample.jpg\n"
        "  expect:\n"
        "    - {class: bus, confidence: 0.648, x1: 128.6, y1: 76.3, x2: 258.2, y2: 233.4}\n"
        "    - {class: car, confidence: 0.644, x1: 126.2, y1: 74, x2: 259.3, y2: 229.2}\n"
        "    - {class: person, confidence: 0.626, x1: 575.2, y1: 2.8, x2: 617.6, y2: 77.4}"
        "\n");
}

static void test_twinlitenet(void **state)
{
    (void)state;
    if (!find_network(__func__, "twinlitenet.onnx"))
        skip();
    check_network("name: twinlitenet\nfile: net.onnx\nclasses: [drivable, lane]\n"
                  "input: {width: 640, height: 360, colour: rgb, fit: stretch, divisor: 255}\n"
                  "head: {kind: segment, outputs: [da, ll], masks: true}\n"
                  "sample:\n"
                  "  picture: sample.jpg\n"
                  "  expect:\n"
                  "    - {class: drivable, share: 0.1768, tolerance: 0.02}\n"
                  "    - {class: lane, share: 0.0098, tolerance: 0.005}\n");
    /* One output: binary for its single class. */
    check_network("name: twinlitenet\nfile: net.onnx\nclasses: [drivable]\n"
                  "input: {width: 640, height: 360, colour: rgb, fit: stretch, divisor: 255}\n"
                  "head: {kind: segment, outputs: [da]}\n"
                  "sample:\n"
                  "  picture: sample.jpg\n"
                  "  expect: [{class: drivable, share: 0.1768, tolerance: 0.02}]\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_models_pass), cmocka_unit_test(test_runs_repeat),
        cmocka_unit_test(test_pictures_together),   cmocka_unit_test(test_planes),
        cmocka_unit_test(test_each_mistake_fails),  cmocka_unit_test(test_broken_files_are_refused),
        cmocka_unit_test(test_yolox_nano),          cmocka_unit_test(test_fastestdet),
        cmocka_unit_test(test_twinlitenet),
    };
    return cmocka_run_group_tests(tests, setup, cleanup);
}
