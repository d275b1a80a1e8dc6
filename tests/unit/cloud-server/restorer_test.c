/* Proves what a cpu worker does with pictures that were sent smaller, by its own table of calls: the first
 * network that makes the camera's size serves, then bicubic, then nothing, and it says which and why;
 * plans are made once a size and no more than RESTORER_PLANS_MAX are kept; boxes are in the received
 * picture's pixels; a network that cannot be used is refused when the model is added. The model is
 * this repository's, the x1 and x2 networks are written here, FSRCNN is another maker's. */
#include "devices/restorer.h"
#include "onnx/write.h"
#include "restore_rig.h"

#define SAMPLE_WIDTH 768u
#define SAMPLE_HEIGHT 432u

static struct runner *runner;
static struct order_model order;
static struct reply_done reply;
static struct analysis found;

static int close_runner(void **state)
{
    (void)state;
    runner_cpu.close(&runner);
    return 0;
}

/* A runner with the shipped model; networks end with NULL. */
static int start(const char *const *networks, bool bicubic, struct error *err)
{
    const struct order_setup setup = { .threads = 2, .model_count = 1 };
    const struct option_strings *classes;
    struct error failure = { 0 };
    must(runner_cpu.open(&runner, &setup, &failure), &failure);
    memset(&order, 0, sizeof order);
    order.bicubic = bicubic;
    snprintf(order.folder, sizeof order.folder, "%s", SHIPPED);
    for (; networks && networks[order.network_count]; order.network_count++)
        snprintf(order.networks[order.network_count], sizeof order.networks[0], "%s",
                 networks[order.network_count]);
    return runner_cpu.add_model(runner, &order, &classes, err);
}

static void start_well(const char *const *networks, bool bicubic)
{
    struct error err = { 0 };
    must(start(networks, bicubic, &err), &err);
}

static struct runner_picture of_camera(const struct picture *picture, uint32_t width, uint32_t height)
{
    struct runner_picture of = { .camera = { width, height } };
    picture_get_view(picture, &of.view);
    return of;
}

/* Fills reply and found; tells whether a plan had to be made, which it must not a second time. */
static bool run_picture(const struct picture *picture, uint32_t width, uint32_t height)
{
    struct error err = { 0 };
    const struct runner_picture of = of_camera(picture, width, height);
    bool prepares = runner_cpu.must_prepare(runner, &of);
    memset(&reply, 0, sizeof reply);
    must(runner_cpu.run(runner, &of, &found, &reply, &err), &err);
    assert_false(runner_cpu.must_prepare(runner, &of));
    return prepares;
}

static void expect_kind(enum restore_kind kind, const char *fallback)
{
    assert_int_equal(reply.restored, kind);
    if (!strstr(reply.fallback, fallback) || (!fallback[0] && reply.fallback[0]))
        fail_msg("\"%s\" is not \"%s\"", reply.fallback, fallback);
}

/* RGB, enlarges pictures of width x height by times. */
static void write_network(const char *path, int64_t width, int64_t height, int64_t times)
{
    struct compose c;
    struct error err = { 0 };
    compose_start(&c, "enlarge", &err);
    int x = compose_input(&c, "picture", TENSOR_F32, COMPOSE_SHAPE(1, 3, height, width));
    x = times > 1 ? compose_resize(&c, x, times * height, times * width, "linear")
                  : compose_op(&c, "Mul", x, compose_scalar(&c, 1));
    compose_output(&c, x, "larger");
    must(c.rc, &err);
    must(onnx_write_file(c.graph, path, &err), &err);
    graph_free(&c.graph);
}

/* The sample as a camera of 768x432 and its rungs would have it. */
static struct picture *sample_of(uint32_t width, uint32_t height)
{
    struct picture *sample = read_picture(SAMPLE), *of = scaled(sample, width, height);
    picture_unref(&sample);
    return of;
}

static void test_fsrcnn_serves_half_size(void **state)
{
    (void)state;
    char network[PATH_BYTES];
    const char *data = getenv("TEST_DATA");
    snprintf(network, sizeof network, "%s/models/fsrcnn_x2.onnx", data ? data : "");
    if (!data || access(network, R_OK) != 0) {
        fprintf(stderr, "SKIP REASON: test_fsrcnn_serves_half_size: no %s\n", network);
        skip();
    }
    start_well((const char *[]){ network, NULL }, true);
    struct picture *full = sample_of(SAMPLE_WIDTH, SAMPLE_HEIGHT);
    struct picture *half = sample_of(SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2);
    struct picture *third = sample_of(SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3);

    assert_false(run_picture(full, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "");
    assert_true(found.object_count > 0);
    const struct analysis_object whole = found.objects[0]; /* the car */

    assert_true(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    assert_int_equal(reply.network, 0);
    assert_true(found.object_count > 0 && found.infer_us > 0);
    assert_int_equal(found.objects[0].class_id, whole.class_id);
    assert_float_equal(2 * found.objects[0].x, whole.x, 8);
    assert_float_equal(2 * found.objects[0].y, whole.y, 8);
    assert_float_equal(2 * found.objects[0].width, whole.width, 8);
    assert_float_equal(2 * found.objects[0].height, whole.height, 8);
    assert_false(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");

    assert_true(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_BICUBIC, "none of the networks makes 768x432 of a received 256x144");
    assert_int_equal(found.objects[0].class_id, whole.class_id);
    assert_float_equal(3 * found.objects[0].x, whole.x, 12);
    assert_float_equal(3 * found.objects[0].width, whole.width, 12);
    picture_unref(&full);
    picture_unref(&half);
    picture_unref(&third);
}

static void test_first_network_that_fits(void **state)
{
    (void)state;
    char x1[PATH_BYTES], x2[PATH_BYTES], other[PATH_BYTES];
    in_folder(x1, "x1.onnx");
    in_folder(x2, "x2.onnx");
    in_folder(other, "net.onnx");
    write_network(x1, SAMPLE_WIDTH, SAMPLE_HEIGHT, 1);
    write_network(x2, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2, 2);
    write_network(other, 100, 100, 3); /* reads nothing else: fits by its scale alone */
    start_well((const char *[]){ x1, other, x2, NULL }, true);
    struct picture *full = sample_of(SAMPLE_WIDTH, SAMPLE_HEIGHT);
    struct picture *half = sample_of(SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2);
    struct picture *third = sample_of(SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3);
    assert_true(run_picture(full, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    assert_int_equal(reply.network, 0);
    assert_true(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    assert_int_equal(reply.network, 2);
    assert_true(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_BICUBIC, "reads nothing else, but pictures of 256x144");
    assert_non_null(strstr(reply.fallback, other));
    /* For another camera the half is the whole, and no network keeps that size. */
    assert_true(run_picture(half, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2));
    expect_kind(RESTORE_NONE, "x1.onnx");
    /* A rung larger than its camera is left alone. */
    assert_false(run_picture(full, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2));
    expect_kind(RESTORE_NONE, "");

    unlink(x2); /* kept plans do not need it */
    assert_false(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    unlink(x1);
    picture_unref(&full);
    picture_unref(&half);
    picture_unref(&third);
}

static void test_network_that_has_gone(void **state)
{
    (void)state;
    char x2[PATH_BYTES];
    in_folder(x2, "x2.onnx");
    write_network(x2, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2, 2);
    start_well((const char *[]){ x2, NULL }, true);
    unlink(x2);
    struct picture *half = sample_of(SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2);
    assert_true(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_BICUBIC, x2);
    picture_unref(&half);
}

static void test_without_bicubic(void **state)
{
    (void)state;
    char x2[PATH_BYTES];
    in_folder(x2, "x2.onnx");
    write_network(x2, 64, 48, 2);
    start_well((const char *[]){ x2, NULL }, false);
    struct picture *third = sample_of(SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3);
    assert_true(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "none of the networks makes 768x432 of a received 256x144");
    assert_true(found.object_count > 0);
    close_runner(NULL);

    start_well(NULL, false); /* as it is by default */
    assert_false(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "");
    picture_unref(&third);
}

static void test_plans_are_bounded(void **state)
{
    (void)state;
    enum { LAST = RESTORER_PLANS_MAX };
    start_well(NULL, true);
    struct picture *small[LAST + 1];
    for (uint32_t i = 0; i <= LAST; i++) {
        small[i] = sample_of(32 + 2 * i, 32);
        assert_true(run_picture(small[i], 96, 64));
        expect_kind(RESTORE_BICUBIC, "");
        assert_false(run_picture(small[0], 96, 64)); /* it is used all the time, */
    }
    for (uint32_t i = 2; i <= LAST; i++)
        assert_false(run_picture(small[i], 96, 64));
    assert_false(run_picture(small[0], 96, 64));
    assert_true(run_picture(small[1], 96, 64)); /* and this one had to go for the last */
    assert_false(run_picture(small[LAST], 96, 64));
    assert_true(run_picture(small[LAST], 96, 66)); /* another camera's size is another plan */
    for (uint32_t i = 0; i <= LAST; i++)
        picture_unref(&small[i]);
}

static void test_bad_networks_are_refused(void **state)
{
    (void)state;
    char large[PATH_BYTES], text[PATH_BYTES];
    in_folder(large, "x2.onnx");
    in_folder(text, "sample.jpg");
    write_network(large, 16, 16, 9);
    const struct {
        const char *file, *words;
    } cases[] = {
        { "/nowhere/x2.onnx", "cannot open" },
        { text, "not an ONNX model" },
        { SHIPPED "/street_det.onnx", "must be f32 and have 3 channels as the input" },
        { large, "of a picture of 16x16 it makes none that is 1 to 8 times as wide and high" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = { 0 };
        assert_true(start((const char *[]){ cases[i].file, NULL }, true, &err) < 0);
        if (!strstr(err.text, cases[i].file) || !strstr(err.text, cases[i].words))
            fail_msg("no \"%s\" and \"%s\" in: %s", cases[i].file, cases[i].words, err.text);
        close_runner(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_fsrcnn_serves_half_size, close_runner),
        cmocka_unit_test_teardown(test_first_network_that_fits, close_runner),
        cmocka_unit_test_teardown(test_network_that_has_gone, close_runner),
        cmocka_unit_test_teardown(test_without_bicubic, close_runner),
        cmocka_unit_test_teardown(test_plans_are_bounded, close_runner),
        cmocka_unit_test_teardown(test_bad_networks_are_refused, close_runner),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
