/* Proves what a cpu worker does with pictures that were sent smaller, by its own table of calls: the first
 * network that makes the camera's size serves, then bicubic, then nothing, and it says which and why;
 * plans are made once a size and no more than RESTORER_PLANS_MAX are kept; boxes are in the received
 * picture's pixels; a network that cannot be used is refused when the model is added; the networks of
 * the model's card serve where the word for them stands. The model is this repository's, with another
 * card where the test is about cards, the x1 and x2 networks are written here, FSRCNN is another
 * maker's. */
#include "card_text.h"
#include "devices/restorer.h"
#include "onnx/write.h"
#include "restore_rig.h"

/* No more than the model reads. */
#define SAMPLE_WIDTH 480u
#define SAMPLE_HEIGHT 288u

static struct runner *runner;
static struct order_model order;
static struct reply_done reply;
static struct analysis found;
static const char *model_folder = SHIPPED;

static int close_runner(void **state)
{
    (void)state;
    runner_engine.close(&runner);
    model_folder = SHIPPED;
    return 0;
}

/* A runner with the model of model_folder; networks end with NULL. */
static int start(const char *const *networks, enum restore_fallback fallback, struct error *err)
{
    const struct order_setup setup = { .threads = 2, .batch = 1, .model_count = 1 };
    struct runner_model added;
    struct error failure = { 0 };
    must(runner_engine.open(&runner, &setup, &failure), &failure);
    memset(&order, 0, sizeof order);
    order.fallback = fallback;
    snprintf(order.folder, sizeof order.folder, "%s", model_folder);
    for (; networks && networks[order.network_count]; order.network_count++)
        snprintf(order.networks[order.network_count], sizeof order.networks[0], "%s",
                 networks[order.network_count]);
    return runner_engine.add_model(runner, &order, &added, err);
}

static void start_well(const char *const *networks, enum restore_fallback fallback)
{
    struct error err = { 0 };
    must(start(networks, fallback, &err), &err);
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
    bool prepares = runner_engine.must_prepare(runner, &of, 1);
    memset(&reply, 0, sizeof reply);
    must(runner_engine.start(runner, &of, 1, &reply, &err), &err);
    must(runner_engine.finish(runner, (struct analysis *const[]){ &found }, &err), &err);
    assert_false(runner_engine.must_prepare(runner, &of, 1));
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

/* The sample as a camera of 480x288 and its rungs would have it. */
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
    start_well((const char *[]){ network, NULL }, FALLBACK_AUTO);
    struct picture *full = sample_of(SAMPLE_WIDTH, SAMPLE_HEIGHT);
    struct picture *half = sample_of(SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2);
    struct picture *third = sample_of(SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3);

    assert_false(run_picture(full, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "");
    assert_true(found.object_count > 0);
    const struct analysis_object whole = found.objects[0]; /* the car */

    assert_true(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    assert_string_equal(reply.network, "fsrcnn_x2");
    assert_true(found.object_count > 0 && found.infer_us > 0);
    assert_int_equal(found.objects[0].class_id, whole.class_id);
    assert_float_equal(2 * found.objects[0].x, whole.x, 8);
    assert_float_equal(2 * found.objects[0].y, whole.y, 8);
    assert_float_equal(2 * found.objects[0].width, whole.width, 8);
    assert_float_equal(2 * found.objects[0].height, whole.height, 8);
    assert_false(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");

    assert_true(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_BICUBIC, "none of the networks makes 480x288 of a received 160x96");
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
    start_well((const char *[]){ x1, other, x2, NULL }, FALLBACK_AUTO);
    struct picture *full = sample_of(SAMPLE_WIDTH, SAMPLE_HEIGHT);
    struct picture *half = sample_of(SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2);
    struct picture *third = sample_of(SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3);
    assert_true(run_picture(full, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    assert_string_equal(reply.network, "x1");
    assert_true(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    assert_string_equal(reply.network, "x2");
    assert_true(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_BICUBIC, "reads nothing else, but pictures of 160x96");
    assert_string_equal(reply.network, "");
    assert_non_null(strstr(reply.fallback, other));
    /* For another camera the half is the whole, and no network keeps that size. */
    assert_true(run_picture(half, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2));
    expect_kind(RESTORE_NONE, "x1.onnx");
    /* Nor does any serve a picture that is to be looked at as it is. */
    struct runner_picture plain = of_camera(full, SAMPLE_WIDTH, SAMPLE_HEIGHT);
    struct error err = { 0 };
    plain.plain = true;
    memset(&reply, 0, sizeof reply);
    assert_false(runner_engine.must_prepare(runner, &plain, 1));
    must(runner_engine.start(runner, &plain, 1, &reply, &err), &err);
    must(runner_engine.finish(runner, (struct analysis *const[]){ &found }, &err), &err);
    expect_kind(RESTORE_NONE, "");
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

/* What has more pixels than the model reads is not made larger for it, nor mended. */
static void test_large_pictures_are_left_alone(void **state)
{
    (void)state;
    char x1[PATH_BYTES], x2[PATH_BYTES];
    in_folder(x1, "x1.onnx");
    in_folder(x2, "x2.onnx");
    write_network(x1, 640, 384, 1);
    write_network(x2, 640, 384, 2);
    start_well((const char *[]){ x1, x2, NULL }, FALLBACK_BICUBIC);
    struct picture *large = sample_of(640, 384);
    assert_false(run_picture(large, 640, 384));
    expect_kind(RESTORE_NONE, "");
    assert_false(run_picture(large, 1280, 768));
    expect_kind(RESTORE_NONE, "");
    assert_true(found.object_count > 0);
    unlink(x1);
    picture_unref(&large);
}

static void test_network_that_has_gone(void **state)
{
    (void)state;
    char x2[PATH_BYTES];
    in_folder(x2, "x2.onnx");
    write_network(x2, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2, 2);
    start_well((const char *[]){ x2, NULL }, FALLBACK_AUTO);
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
    start_well((const char *[]){ x2, NULL }, FALLBACK_NONE);
    struct picture *third = sample_of(SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3);
    assert_true(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "none of the networks makes 480x288 of a received 160x96");
    assert_true(found.object_count > 0);
    close_runner(NULL);

    start_well(NULL, FALLBACK_AUTO);
    assert_false(run_picture(third, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "");
    picture_unref(&third);
}

static void test_plans_are_bounded(void **state)
{
    (void)state;
    enum { LAST = RESTORER_PLANS_MAX };
    start_well(NULL, FALLBACK_BICUBIC);
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
        assert_true(start((const char *[]){ cases[i].file, NULL }, FALLBACK_AUTO, &err) < 0);
        if (!strstr(err.text, cases[i].file) || !strstr(err.text, cases[i].words))
            fail_msg("no \"%s\" and \"%s\" in: %s", cases[i].file, cases[i].words, err.text);
        close_runner(NULL);
    }
}

/* The shipped model's folder again, in the test's own, with networks in its card. */
static void write_model(const char *networks)
{
    char card[4096], path[PATH_BYTES];
    assert_non_null(card_text_read(SHIPPED "/" CARD_FILE_NAME, card, sizeof card));
    copy_file(SHIPPED "/street_det.onnx", "street_det.onnx");
    in_folder(path, CARD_FILE_NAME);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fprintf(out, "%s\nrestore: %s\n", card, networks) > 0);
    assert_int_equal(fclose(out), 0);
    model_folder = folder;
}

static int remove_model(void **state)
{
    static const char *const names[] = { "street_det.onnx", "x1.onnx", "x3.onnx", "net.onnx" };
    char path[PATH_BYTES];
    close_runner(state);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        in_folder(path, names[i]);
        unlink(path);
    }
    return 0;
}

#define CARD POOL_NETWORKS_CARD

static void test_networks_of_the_card(void **state)
{
    (void)state;
    char x1[PATH_BYTES], x2[PATH_BYTES], x3[PATH_BYTES], other[PATH_BYTES];
    in_folder(x1, "x1.onnx");
    in_folder(x2, "x2.onnx");
    in_folder(x3, "x3.onnx");
    in_folder(other, "net.onnx");
    write_network(x1, SAMPLE_WIDTH, SAMPLE_HEIGHT, 1);
    write_network(x2, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2, 2);
    write_network(x3, SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3, 3);
    write_network(other, SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2, 2);
    struct picture *full = sample_of(SAMPLE_WIDTH, SAMPLE_HEIGHT);
    struct picture *half = sample_of(SAMPLE_WIDTH / 2, SAMPLE_HEIGHT / 2);
    struct picture *third = sample_of(SAMPLE_WIDTH / 3, SAMPLE_HEIGHT / 3);
    struct picture *quarter = sample_of(SAMPLE_WIDTH / 4, SAMPLE_HEIGHT / 4);

    write_model("[x1.onnx, x2.onnx]");
    start_well((const char *[]){ CARD, x3, NULL }, FALLBACK_AUTO);
    const struct {
        const struct picture *picture;
        const char *network; /* NULL: bicubic */
    } cases[] = { { full, "x1" }, { half, "x2" }, { third, "x3" }, { quarter, NULL } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *network = cases[i].network;
        assert_true(run_picture(cases[i].picture, SAMPLE_WIDTH, SAMPLE_HEIGHT));
        expect_kind(network ? RESTORE_NETWORK : RESTORE_BICUBIC,
                    network ? "" : "none of the networks");
        assert_string_equal(reply.network, network ? network : "");
    }
    close_runner(NULL);

    /* The order of the list decides. */
    model_folder = folder;
    start_well((const char *[]){ other, CARD, NULL }, FALLBACK_AUTO);
    run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT);
    assert_string_equal(reply.network, "net");
    close_runner(NULL);

    /* Nothing asks for them. */
    model_folder = folder;
    start_well(NULL, FALLBACK_AUTO);
    assert_false(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "");
    close_runner(NULL);

    /* The card names none: the model gets what was received. */
    write_model("[]");
    start_well((const char *[]){ CARD, NULL }, FALLBACK_AUTO);
    assert_false(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NONE, "");
    close_runner(NULL);
    model_folder = folder;
    start_well((const char *[]){ CARD, NULL }, FALLBACK_BICUBIC);
    assert_true(run_picture(half, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_BICUBIC, "");
    close_runner(NULL);

    /* The shipped model has its own. */
    start_well((const char *[]){ CARD, NULL }, FALLBACK_AUTO);
    assert_true(run_picture(quarter, SAMPLE_WIDTH, SAMPLE_HEIGHT));
    expect_kind(RESTORE_NETWORK, "");
    assert_string_equal(reply.network, "x4");
    picture_unref(&full);
    picture_unref(&half);
    picture_unref(&third);
    picture_unref(&quarter);
}

static void test_bad_networks_of_the_card_are_refused(void **state)
{
    (void)state;
    char x1[PATH_BYTES], x2[PATH_BYTES], elsewhere[] = "/nowhere/x1.onnx";
    in_folder(x1, "x1.onnx");
    in_folder(x2, "x2.onnx");
    write_network(x1, 16, 16, 1);
    write_network(x2, 16, 16, 9);
    const struct {
        const char *card, *networks[POOL_NETWORKS_MAX + 1], *words[2];
    } cases[] = {
        { "[x1.onnx, x2.onnx]",
          { CARD },
          { "restore: restore.1 of ", "/x2.onnx: of a picture of 16x16" } },
        { "[sample.jpg]", { CARD }, { "/card.yaml: ", "/sample.jpg: " } },
        { "[x1.onnx]", { CARD, elsewhere }, { "restore: /nowhere/x1.onnx: ", "same name, \"x1\"" } },
        { "[x1.onnx]", { CARD, CARD }, { "restore.0 of ", "same name, \"x1\"" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = { 0 };
        write_model(cases[i].card);
        assert_true(start(cases[i].networks, FALLBACK_AUTO, &err) < 0);
        for (size_t k = 0; k < 2; k++)
            if (!strstr(err.text, cases[i].words[k]))
                fail_msg("no \"%s\" in: %s", cases[i].words[k], err.text);
        close_runner(NULL);
    }
}

static void test_networks_have_a_limit(void **state)
{
    (void)state;
    enum { OWN = POOL_NETWORKS_MAX - 1 };
    char paths[OWN][PATH_BYTES], more[PATH_BYTES], name[32];
    const char *networks[OWN + 2] = { NULL };
    struct error err = { 0 };
    for (size_t i = 0; i < OWN; i++) {
        snprintf(name, sizeof name, "own%zu.onnx", i);
        in_folder(paths[i], name);
        write_network(paths[i], 16, 16, 1);
        networks[i] = paths[i];
    }
    networks[OWN] = CARD;
    in_folder(more, "x1.onnx");
    write_network(more, 16, 16, 1);
    in_folder(more, "net.onnx");
    write_network(more, 16, 16, 1);
    write_model("[x1.onnx]");
    start_well(networks, FALLBACK_AUTO);
    close_runner(NULL);
    write_model("[x1.onnx, net.onnx]");
    assert_int_equal(start(networks, FALLBACK_AUTO, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "/net.onnx: there are 8 before it"));
    for (size_t i = 0; i < OWN; i++)
        unlink(paths[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_fsrcnn_serves_half_size, close_runner),
        cmocka_unit_test_teardown(test_first_network_that_fits, close_runner),
        cmocka_unit_test_teardown(test_large_pictures_are_left_alone, close_runner),
        cmocka_unit_test_teardown(test_network_that_has_gone, close_runner),
        cmocka_unit_test_teardown(test_without_bicubic, close_runner),
        cmocka_unit_test_teardown(test_plans_are_bounded, close_runner),
        cmocka_unit_test_teardown(test_bad_networks_are_refused, close_runner),
        cmocka_unit_test_teardown(test_networks_of_the_card, remove_model),
        cmocka_unit_test_teardown(test_bad_networks_of_the_card_are_refused, remove_model),
        cmocka_unit_test_teardown(test_networks_have_a_limit, remove_model),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
