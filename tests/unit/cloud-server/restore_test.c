/* Restoration as a graph. Enlarging is compared with a plain double loop; fitting to what a card wants
 * with prepare, which does the same to a picture that needs no restoring; a whole model with the boxes of
 * its card. Labels are read from a network whose scores are the colours of what it sees. */
#include "base/random.h"
#include "onnx/write.h"
#include "restore_rig.h"
#include <malloc.h>

#define NUMBER_OFF 2e-6
#define LEVELS_OFF 0.4 /* of 255, on average; rounding to 8 bits alone makes 0.25 */

/* ---- enlarging ---- */

static double cubic_weight(double distance)
{
    const double a = -0.75, x = fabs(distance);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double linear_weight(double distance)
{
    return fmax(0, 1 - fabs(distance));
}

static int clamped(int at, int count)
{
    return at < 0 ? 0 : at >= count ? count - 1 : at;
}

/* One element of an enlarged plane, within 0..1. */
static double plain_enlarged(const float *plane, int width, int height, double x, double y,
                             double (*weight)(double))
{
    double sum = 0;
    for (int v = (int)floor(y) - 1; v <= (int)floor(y) + 2; v++)
        for (int u = (int)floor(x) - 1; u <= (int)floor(x) + 2; u++)
            sum += weight(x - u) * weight(y - v) *
                   (double)plane[clamped(v, height) * width + clamped(u, width)];
    return fmin(fmax(sum, 0), 1);
}

static void check_enlarging(int kind, double (*weight)(double))
{
    enum { WIDTH = 9, HEIGHT = 7, TO_WIDTH = 20, TO_HEIGHT = 21 };
    const struct restore_config config = { kind, NULL, WIDTH, HEIGHT, TO_WIDTH, TO_HEIGHT, true };
    const struct card_input input = { .width = TO_WIDTH,
                                      .height = TO_HEIGHT,
                                      .fit = FIT_STRETCH,
                                      .divisor = 255,
                                      .deviation = { 1, 1, 1 } };
    struct plan *plan = make_plan(&input, &config);
    struct error err = { 0 };
    struct random_state random;
    random_seed(&random, 7);
    float *in = plan_input(plan, 0)->data;
    for (int i = 0; i < 3 * WIDTH * HEIGHT; i++) /* black and white: cubic overshoots */
        in[i] = random_next_unit(&random) < 0.5 ? 0 : 1;
    must(plan_run(plan, &err), &err);
    const float *seen = plan_output(plan, 0)->data, *kept = plan_output(plan, 1)->data;
    assert_string_equal(plan_output_name(plan, 1), RESTORE_OUTPUT_NAME);
    assert_memory_equal(seen, kept, 3 * TO_WIDTH * TO_HEIGHT * sizeof *seen);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < TO_HEIGHT; y++)
            for (int x = 0; x < TO_WIDTH; x++) {
                double wanted = plain_enlarged(in + (size_t)c * WIDTH * HEIGHT, WIDTH, HEIGHT,
                                               (x + 0.5) * WIDTH / TO_WIDTH - 0.5,
                                               (y + 0.5) * HEIGHT / TO_HEIGHT - 0.5, weight);
                double found = (double)seen[(c * TO_HEIGHT + y) * TO_WIDTH + x];
                if (!(fabs(found - wanted) <= NUMBER_OFF))
                    fail_msg("colour %d at %d,%d: %.7f, not %.7f", c, x, y, found, wanted);
            }
    plan_free(&plan);
}

static void test_enlarges(void **state)
{
    (void)state;
    check_enlarging(RESTORE_BILINEAR, linear_weight);
    check_enlarging(RESTORE_BICUBIC, cubic_weight);
}

/* ---- fitting ---- */

/* Nothing to restore, so only the card's wishes remain. */
static void check_fit(const struct card_input *input)
{
    struct picture *picture = read_picture(SAMPLE);
    struct picture_view view;
    struct prepare *prepare = NULL;
    struct placement placement;
    struct error err = { 0 };
    picture_get_view(picture, &view);
    size_t pixels = (size_t)input->width * input->height;
    const struct restore_config config = { RESTORE_BICUBIC, NULL,        view.width, view.height,
                                           view.width,      view.height, false };
    struct plan *plan = make_plan(input, &config);
    float *floats = picture_floats(picture), *wanted = calloc(3 * pixels, sizeof *wanted);
    assert_non_null(wanted);
    memcpy(plan_input(plan, 0)->data, floats, tensor_bytes(plan_input(plan, 0)));
    must(plan_run(plan, &err), &err);
    must(prepare_create(&prepare, input, &err), &err);
    must(prepare_run(prepare, &view, wanted, &placement, &err), &err);
    const float *found = plan_output(plan, 0)->data;
    double sum = 0, padding = 0, level = input->divisor * input->deviation.r;
    for (size_t i = 0; i < 3 * pixels; i++) {
        size_t pixel = input->layout == LAYOUT_NCHW ? i % pixels : i / 3;
        double off = fabs((double)(found[i] - wanted[i])) * level;
        if (pixel % input->width >= placement.inner_width ||
            pixel / input->width >= placement.inner_height)
            padding = fmax(padding, off);
        else
            sum += off;
    }
    double mean = sum / (3.0 * placement.inner_width * placement.inner_height);
    if (!(mean <= LEVELS_OFF) || !(padding < 1e-3))
        fail_msg("%ux%u: off by %.2f levels on average, padding by %.4f", input->width,
                 input->height, mean, padding);
    prepare_destroy(&prepare);
    plan_free(&plan);
    free(floats);
    free(wanted);
    picture_unref(&picture);
}

/* The sample is 768x432. Every colour order, layout and scaling; equal, growing, and shrinking by 1.2,
 * 1.5, 1.85, 2, 2.5 and 6. */
static void test_fits_as_prepare_does(void **state)
{
    (void)state;
    static const struct card_input cases[] = {
        { 768, 432, LAYOUT_NCHW, COLOUR_RGB, FIT_STRETCH, 0, 255, { 0, 0, 0 }, { 1, 1, 1 } },
        { 960, 640, LAYOUT_NCHW, COLOUR_RGB, FIT_LETTERBOX, 0, 255, { 0, 0, 0 }, { 1, 1, 1 } },
        { 640, 360, LAYOUT_NCHW, COLOUR_RGB, FIT_STRETCH, 0, 255, { 0, 0, 0 }, { 1, 1, 1 } },
        { 512, 384, LAYOUT_NCHW, COLOUR_RGB, FIT_LETTERBOX, 114, 255, { 0, 0, 0 }, { 1, 1, 1 } },
        { 416, 416, LAYOUT_NCHW, COLOUR_BGR, FIT_LETTERBOX, 114, 1, { 0, 0, 0 }, { 1, 1, 1 } },
        { 384, 216, LAYOUT_NHWC, COLOUR_RGB, FIT_STRETCH, 0, 127.5, { 1, 1, 1 }, { 1, 1, 1 } },
        { 307, 180, LAYOUT_NHWC, COLOUR_BGR, FIT_LETTERBOX, 9, 255, { .4, .5, .6 }, { .2, .2, .2 } },
        { 128, 72, LAYOUT_NCHW, COLOUR_BGR, FIT_STRETCH, 0, 255, { .4, .5, .6 }, { .2, .2, .2 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fit(&cases[i]);
}

/* ---- whole models ---- */

static size_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static double overlap(const struct analysis_object *o, const struct card_expect *e, double times)
{
    double left = fmax((double)o->x, e->x1 * times), top = fmax((double)o->y, e->y1 * times);
    double right = fmin((double)(o->x + o->width), e->x2 * times);
    double bottom = fmin((double)(o->y + o->height), e->y2 * times);
    double common = fmax(0, right - left) * fmax(0, bottom - top);
    double both = (double)(o->width * o->height) + (e->x2 - e->x1) * (e->y2 - e->y1) * times * times;
    return common / (both - common);
}

/* Each box of the card, at half the place, and nothing else. */
static void expect_boxes(struct model *model, const struct picture *half)
{
    struct analysis *analysis = calloc(1, sizeof *analysis);
    const struct option_list *expect = &model_card(model)->sample.expect;
    assert_non_null(analysis);
    run_model(model, half, analysis);
    assert_int_equal(analysis->object_count, expect->count);
    for (size_t i = 0; i < expect->count; i++) {
        const struct analysis_object *o = &analysis->objects[i];
        const struct card_expect *e = (const struct card_expect *)expect->items + i;
        assert_string_equal(model_card(model)->classes.items[o->class_id], e->class);
        if (!(overlap(o, e, 0.5) > 0.75) || !(fabs((double)o->confidence - e->confidence) < 0.1))
            fail_msg("%s: confidence %.3f, not %.3f; at %.1f,%.1f, overlap %.3f", e->class,
                     (double)o->confidence, e->confidence, (double)o->x, (double)o->y,
                     overlap(o, e, 0.5));
    }
    free(analysis);
}

/* In a picture of half the size, in one plan that reads what is received, and takes no memory once it has
 * run. */
static void test_restored_model_finds_its_boxes(void **state)
{
    (void)state;
    const struct restore_config config = { RESTORE_BICUBIC, NULL, 384, 216, 768, 432, false };
    struct model *model = open_model(SHIPPED, &config);
    struct picture *sample = read_picture(SAMPLE), *half = scaled(sample, 384, 216);
    struct analysis *analysis = calloc(1, sizeof *analysis);
    assert_non_null(analysis);
    assert_int_equal(plan_input_count(model_plan(model)), 1);
    assert_true(shape_equal(&plan_input(model_plan(model), 0)->shape, COMPOSE_SHAPE(1, 3, 216, 384)));
    assert_int_equal(plan_output_count(model_plan(model)), 1);
    assert_null(model_restored(model));
    expect_boxes(model, half);
    size_t before = allocated_bytes();
    for (int i = 0; i < 4; i++)
        run_model(model, half, analysis);
    assert_int_equal(allocated_bytes(), before);
    picture_unref(&sample);
    picture_unref(&half);
    model_close(&model);
    free(analysis);
}

/* The same of a plan that makes the picture of decoded planes before it restores it. */
static void test_restored_planes(void **state)
{
    (void)state;
    const struct restore_config config = { RESTORE_BICUBIC, NULL, 384, 216, 768, 432, false };
    struct picture *sample = read_picture(SAMPLE), *half = scaled(sample, 384, 216);
    struct model *model = NULL;
    struct picture_view view;
    struct error err = { 0 };
    picture_get_view(half, &view);
    const struct model_form form = { .pictures = 1, .restore = &config, .like = &view };
    must(model_open_as(&model, SHIPPED, device, &form, &err), &err);
    assert_int_equal(plan_input_count(model_plan(model)), 3);
    expect_boxes(model, half);
    picture_unref(&sample);
    picture_unref(&half);
    model_close(&model);
}

/* The card's own check, in its own precision, through a graph that has nothing to restore but all to fit. */
static void test_checks_through_restoration(void **state)
{
    (void)state;
    const struct restore_config config = { RESTORE_BICUBIC, NULL, 768, 432, 768, 432, true };
    struct model *model = NULL;
    struct error err = { 0 };
    must(model_open_restored(&model, SHIPPED, device, &config, NULL, &err), &err);
    must(model_check(model, &err), &err);
    assert_true(shape_equal(&model_restored(model)->shape, COMPOSE_SHAPE(1, 3, 432, 768)));
    model_close(&model);
}

static void test_none_is_as_without(void **state)
{
    (void)state;
    const struct restore_config config = { .kind = RESTORE_NONE };
    struct model *plain = NULL, *none = open_model(SHIPPED, &config);
    struct picture *sample = read_picture(SAMPLE);
    struct analysis *found = calloc(2, sizeof *found);
    struct error err = { 0 };
    assert_non_null(found);
    must(model_open_in(&plain, SHIPPED, device, PRECISION_F32, &err), &err);
    run_model(plain, sample, &found[0]);
    run_model(none, sample, &found[1]);
    assert_true(found[0].object_count > 0);
    assert_int_equal(found[1].object_count, found[0].object_count);
    assert_memory_equal(found[1].objects, found[0].objects,
                        found[0].object_count * sizeof found[0].objects[0]);
    assert_int_equal(plan_output_count(model_plan(none)), plan_output_count(model_plan(plain)));
    assert_null(model_restored(none));
    picture_unref(&sample);
    model_close(&plain);
    model_close(&none);
    free(found);
}

/* ---- networks ---- */

/* x2 of any size: each pixel becomes four, blue a little less. */
static void write_network(bool any_size)
{
    char path[PATH_BYTES];
    struct compose c;
    struct error err = { 0 };
    compose_start(&c, "x2", &err);
    int x = compose_input(&c, "small", TENSOR_F32, COMPOSE_SHAPE(1, 3, 20, 40));
    int weights = compose_constant(&c, "weights", COMPOSE_SHAPE(12, 3, 1, 1), 0);
    float *weight = compose_floats(&c, weights);
    for (int i = 0; weight && i < 12; i++)
        weight[3 * i + i / 4] = i / 4 == 2 ? 0.75f : 1;
    compose_output(&c, compose_pixel_shuffle(&c, compose_conv(&c, x, weights, -1, 1), 2), "large");
    must(c.rc, &err);
    for (int d = 2; any_size && d < 4; d++) {
        c.graph->values[c.graph->inputs[0]].shape.dim[d] = -1;
        c.graph->values[c.graph->outputs[0]].shape.dim[d] = -1;
    }
    in_folder(path, "x2.onnx");
    must(onnx_write_file(c.graph, path, &err), &err);
    graph_free(&c.graph);
}

static void test_network_of_colours(void **state)
{
    (void)state;
    enum { WIDTH = 6, HEIGHT = 4 };
    char path[PATH_BYTES];
    in_folder(path, "x2.onnx");
    write_network(true);
    const struct restore_config config = { RESTORE_NETWORK, path,       WIDTH, HEIGHT,
                                           2 * WIDTH,       2 * HEIGHT, false };
    const struct card_input input = { .width = 2 * WIDTH,
                                      .height = 2 * HEIGHT,
                                      .fit = FIT_STRETCH,
                                      .divisor = 255,
                                      .deviation = { 1, 1, 1 } };
    struct plan *plan = make_plan(&input, &config);
    struct error err = { 0 };
    float *in = plan_input(plan, 0)->data;
    for (int i = 0; i < 3 * WIDTH * HEIGHT; i++)
        in[i] = (float)i / 50; /* blue is above 1 and comes back clipped */
    must(plan_run(plan, &err), &err);
    const float *out = plan_output(plan, 0)->data;
    for (int i = 0; i < 3 * 4 * WIDTH * HEIGHT; i++) {
        int x = i % (2 * WIDTH), y = i / (2 * WIDTH) % (2 * HEIGHT),
            colour = i / (4 * WIDTH * HEIGHT);
        double from = (double)in[(colour * HEIGHT + y / 2) * WIDTH + x / 2];
        double wanted = fmin(1, colour == 2 ? 0.75 * from : from);
        assert_true(fabs((double)out[i] - wanted) < NUMBER_OFF);
    }
    plan_free(&plan);
}

static void check_refusal(const struct restore_config *config, int code, const char *says)
{
    const struct card card = { .input = { .width = 160,
                                          .height = 80,
                                          .fit = FIT_STRETCH,
                                          .divisor = 255,
                                          .deviation = { 1, 1, 1 } } };
    struct card_input prepared;
    struct graph *mirror = make_mirror(&card.input), *whole = NULL;
    struct error err = { 0 };
    assert_int_equal(restore_embed(&whole, mirror, &card, config, &prepared, &err), -code);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    assert_null(whole);
    graph_free(&mirror);
}

static void test_refusals(void **state)
{
    (void)state;
    char path[PATH_BYTES], missing[PATH_BYTES];
    in_folder(path, "x2.onnx");
    in_folder(missing, "missing.onnx");
    static const struct {
        bool any_size;
        uint32_t width, height, camera_width, camera_height;
        int code;
        const char *says;
    } cases[] = {
        { true, 40, 20, 160, 80, ERROR_CONFIG, "the rung must be 80x40" },
        { true, 40, 20, 160, 40, ERROR_CONFIG, "makes 80x40 of a received 40x20" },
        { true, 40, 20, 81, 40, ERROR_CONFIG, "no rung fits" },
        { false, 80, 40, 160, 80, ERROR_CONFIG, "pictures of 80x40 are received" },
        { true, 0, 20, 80, 40, ERROR_LIMIT, "sides must be within" },
        { true, 40, 20, 80, 70000, ERROR_LIMIT, "sides must be within" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct restore_config config = {
            RESTORE_NETWORK,        path, cases[i].width, cases[i].height, cases[i].camera_width,
            cases[i].camera_height, false
        };
        write_network(cases[i].any_size);
        check_refusal(&config, cases[i].code, cases[i].says);
    }
    struct restore_config config = { RESTORE_NETWORK, missing, 40, 20, 80, 40, false };
    check_refusal(&config, ERROR_IO, "missing.onnx");
    config.network = SHIPPED "/street_det.onnx";
    config.width = 512;
    config.height = 384;
    check_refusal(&config, ERROR_UNSUPPORTED, "output");
}

/* ---- labels ---- */

/* Stripes of 10x20: red, green, blue, red. */
static struct picture *make_stripes(void)
{
    static const uint8_t colours[4][3] = {
        { 81, 90, 240 }, { 145, 54, 34 }, { 41, 240, 110 }, { 81, 90, 240 }
    };
    struct picture *picture = NULL;
    struct picture_view view;
    struct error err = { 0 };
    must(picture_create(&picture, 40, 20, &err), &err);
    picture_get_view(picture, &view);
    for (uint32_t p = 0; p < 3; p++)
        for (uint32_t y = 0; y < (p ? 10u : 20u); y++)
            for (uint32_t x = 0; x < (p ? 20u : 40u); x++)
                view.plane[p][y * view.stride[p] + x] = colours[x / (p ? 5 : 10)][p];
    return picture;
}

/* Four stripes, but for what lies within two pixels of where they meet. */
static void check_map(struct model *model, uint32_t width, uint32_t height)
{
    static const uint8_t wanted[] = { 0, 1, 2, 0 };
    uint8_t *map = malloc((size_t)width * height);
    assert_non_null(map);
    model_label_map(model, width, height, map);
    for (uint32_t i = 0; i < width * height; i++) {
        double x = (i % width + 0.5) * 4 / width;
        if (fabs(x - round(x)) * width / 4 > 2 && map[i] != wanted[(int)x])
            fail_msg("%ux%u: label %u at %u,%u", width, height, map[i], i % width, i / width);
    }
    free(map);
}

/* The classes are colours. The network's input is square and half of it lies below the picture, where
 * the padding would be labelled red. */
static void test_label_map(void **state)
{
    (void)state;
    const struct restore_config configs[] = { { .kind = RESTORE_NONE },
                                              { RESTORE_BICUBIC, NULL, 40, 20, 80, 40, true } };
    const struct card_input input = { .width = 64, .height = 64 };
    char path[PATH_BYTES];
    struct error err = { 0 };
    struct graph *mirror = make_mirror(&input);
    struct picture *stripes = make_stripes();
    struct analysis *analysis = calloc(1, sizeof *analysis);
    assert_non_null(analysis);
    in_folder(path, "net.onnx");
    must(onnx_write_file(mirror, path, &err), &err);
    graph_free(&mirror);
    write_card("classes: [red, green, blue]\n"
               "input: {width: 64, height: 64, colour: rgb, fit: letterbox, pad: 0, divisor: 255}\n"
               "head: {kind: segment}\n"
               "sample: {picture: sample.jpg, expect: [{class: red, share: 0.5}]}\n");
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        struct model *model = open_model(folder, &configs[i]);
        run_model(model, stripes, analysis);
        assert_int_equal(analysis->area_count, 3);
        assert_true(fabs((double)analysis->areas[0].share - 0.5) < 0.05);
        check_map(model, 80, 40);
        check_map(model, 33, 17);
        check_map(model, 64, 32);
        model_close(&model);
    }
    picture_unref(&stripes);
    free(analysis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enlarges),
        cmocka_unit_test(test_fits_as_prepare_does),
        cmocka_unit_test(test_restored_model_finds_its_boxes),
        cmocka_unit_test(test_restored_planes),
        cmocka_unit_test(test_checks_through_restoration),
        cmocka_unit_test(test_none_is_as_without),
        cmocka_unit_test(test_network_of_colours),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_label_map),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
