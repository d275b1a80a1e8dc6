/* Restoration by networks of other makers, and label maps, on real pictures: luma networks beat bicubic,
 * where they get what they were trained for (pictures made smaller by a cubic) as their notes say, and
 * behind the sender's scaler too; chroma stays bicubic; what does not fit is refused with the reason.
 * Areas are those of the whole picture, whether it was restored or not. */
#include "pixels.h"
#include "restore_rig.h"

#define FSRCNN "models/fsrcnn_x2.onnx"
#define ESPCN "models/espcn_x3.onnx"
#define TWINLITENET "models/twinlitenet.onnx"
#define CAMVID "camvid/val/images/0016E5_"
#define ESPCN_SIDE 672

static bool find_data(char path[PATH_BYTES], const char *test, const char *name)
{
    const char *data = getenv("TEST_DATA");
    snprintf(path, PATH_BYTES, "%s/%s", data ? data : "", name);
    if (data && access(path, R_OK) == 0)
        return true;
    fprintf(stderr, "SKIP REASON: %s: no %s\n", test, path);
    return false;
}

/* Luma, three times. With a side, the picture goes on as its mirror image up to there. */
static float *grey_floats(const char *path, int side, int *width, int *height)
{
    struct picture *picture = read_picture(path);
    struct picture_view view;
    picture_get_view(picture, &view);
    float *rgb = picture_floats(picture);
    *width = side ? side : (int)view.width;
    *height = side ? side : (int)view.height;
    size_t pixels = (size_t)*width * (size_t)*height, from = (size_t)view.width * view.height;
    float *grey = calloc(3 * pixels, sizeof *grey);
    assert_non_null(grey);
    for (size_t i = 0; i < pixels; i++) {
        size_t x = i % (size_t)*width, y = i / (size_t)*width;
        x = x < view.width ? x : 2 * view.width - 1 - x;
        y = y < view.height ? y : 2 * view.height - 1 - y;
        size_t at = y * view.width + x;
        double luma = 0.299 * (double)rgb[at] + 0.587 * (double)rgb[at + from] +
                      0.114 * (double)rgb[at + 2 * from];
        grey[i] = grey[i + pixels] = grey[i + 2 * pixels] = (float)luma;
    }
    free(rgb);
    picture_unref(&picture);
    return grey;
}

/* Keys' cubic, as wide as the shrinking needs. */
static double cubic(double distance)
{
    double x = fabs(distance);
    if (x <= 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static int clamped(int at, int count)
{
    return at < 0 ? 0 : at >= count ? count - 1 : at;
}

/* One dimension of three planes, `lines` lines of `count` elements each, step apart. */
static void shrink_lines(const float *from, float *to, int count, int times, int lines, int step,
                         int line_step, int to_line_step)
{
    for (int line = 0; line < lines; line++)
        for (int i = 0; i < count / times; i++) {
            double centre = (i + 0.5) * times - 0.5, sum = 0, weights = 0;
            for (int k = (int)ceil(centre - 2 * times); k <= (int)floor(centre + 2 * times); k++) {
                double weight = cubic((k - centre) / times);
                sum += weight * (double)from[line * line_step + clamped(k, count) * step];
                weights += weight;
            }
            to[line * to_line_step + i * step] = (float)(sum / weights);
        }
}

static void shrink(const float *from, float *to, int width, int height, int times)
{
    int small_width = width / times, small_height = height / times;
    float *rows = calloc((size_t)small_width * (size_t)height, sizeof *rows);
    assert_non_null(rows);
    for (int c = 0; c < 3; c++) {
        shrink_lines(from + (size_t)c * (size_t)(width * height), rows, width, times, height, 1,
                     width, small_width);
        shrink_lines(rows, to + (size_t)c * (size_t)(small_width * small_height), height, times,
                     small_width, small_width, 1, 1);
    }
    free(rows);
}

/* What restoration makes of floats; PSNR against truth. */
static double restored_psnr(const struct restore_config *config, const float *small,
                            const float *truth)
{
    const struct card_input input = { .width = config->camera_width,
                                      .height = config->camera_height,
                                      .fit = FIT_STRETCH,
                                      .divisor = 255,
                                      .deviation = { 1, 1, 1 } };
    struct error err = { 0 };
    struct plan *plan = make_plan(&input, config);
    memcpy(plan_input(plan, 0)->data, small, tensor_bytes(plan_input(plan, 0)));
    must(plan_run(plan, &err), &err);
    double result = psnr(plan_output(plan, 0)->data, truth,
                         (size_t)config->camera_width * config->camera_height);
    plan_free(&plan);
    return result;
}

/* What the network wins over bicubic on a picture made smaller by a cubic; its own PSNR in *with. */
static double cubic_gain(const char *network, const char *picture, int side, int times, double *with)
{
    int width, height;
    float *truth = grey_floats(picture, side, &width, &height);
    float *small = calloc((size_t)(3 * width * height / times), sizeof *small);
    assert_non_null(small);
    shrink(truth, small, width, height, times);
    const uint32_t to_width = (uint32_t)width, to_height = (uint32_t)height, by = (uint32_t)times;
    struct restore_config config = { RESTORE_NETWORK, network,   to_width / by, to_height / by,
                                     to_width,        to_height, false };
    *with = restored_psnr(&config, small, truth);
    config.kind = RESTORE_BICUBIC;
    double without = restored_psnr(&config, small, truth);
    free(truth);
    free(small);
    return *with - without;
}

/* 28.19 dB is what ONNX Runtime and another resizer gave. ESPCN reads 224x224 only, so the picture goes
 * on as its mirror image up to 672x672. */
static void test_luma_networks_beat_bicubic(void **state)
{
    (void)state;
    char fsrcnn[PATH_BYTES], espcn[PATH_BYTES], picture[PATH_BYTES];
    double with;
    if (!find_data(fsrcnn, __func__, FSRCNN) || !find_data(espcn, __func__, ESPCN) ||
        !find_data(picture, __func__, CAMVID "07959.jpg"))
        skip();
    assert_true(cubic_gain(fsrcnn, picture, 0, 2, &with) > 0.2);
    assert_true(fabs(with - 28.19) < 0.1);
    assert_true(cubic_gain(espcn, picture, ESPCN_SIDE, 3, &with) > 0.08);
}

/* PSNR of the kept picture, as the model restores what the sender's scaler made of it. */
static double sent_psnr(struct picture *picture, int kind, const char *network)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    const struct restore_config config = {
        kind, network, view.width / 2, view.height / 2, view.width, view.height, true
    };
    struct model *model = open_model(SHIPPED, &config);
    struct picture *small = scaled(picture, config.width, config.height);
    struct analysis *analysis = calloc(1, sizeof *analysis);
    float *truth = picture_floats(picture);
    assert_non_null(analysis);
    run_model(model, small, analysis);
    double result =
        psnr(model_restored(model)->data, truth, (size_t)view.width * (size_t)view.height);
    free(truth);
    free(analysis);
    picture_unref(&small);
    model_close(&model);
    return result;
}

/* From 8 bits, 4:2:0 and averages, not the cubic that the network knows: it wins less. */
static void test_luma_network_in_a_model(void **state)
{
    (void)state;
    static const char *const pictures[] = { CAMVID "07959.jpg", CAMVID "08059.jpg",
                                            CAMVID "08159.jpg" };
    char network[PATH_BYTES], path[PATH_BYTES];
    for (size_t i = 0; i < sizeof pictures / sizeof pictures[0]; i++) {
        if (!find_data(network, __func__, FSRCNN) || !find_data(path, __func__, pictures[i]))
            skip();
        struct picture *picture = read_picture(path);
        double bilinear = sent_psnr(picture, RESTORE_BILINEAR, NULL);
        double bicubic = sent_psnr(picture, RESTORE_BICUBIC, NULL);
        double restored = sent_psnr(picture, RESTORE_NETWORK, network);
        if (!(bicubic > bilinear + 0.3) || !(restored > bicubic + 0.15))
            fail_msg("%s: bilinear %.2f dB, bicubic %.2f, network %.2f", pictures[i], bilinear,
                     bicubic, restored);
        picture_unref(&picture);
    }
}

/* Red less blue is chroma alone. */
static void test_chroma_is_bicubic(void **state)
{
    (void)state;
    enum { WIDTH = 32, HEIGHT = 24, PIXELS = 4 * WIDTH * HEIGHT };
    char network[PATH_BYTES];
    if (!find_data(network, __func__, FSRCNN))
        skip();
    struct restore_config config = { RESTORE_NETWORK, network,    WIDTH, HEIGHT,
                                     2 * WIDTH,       2 * HEIGHT, false };
    const struct card_input input = { .width = 2 * WIDTH,
                                      .height = 2 * HEIGHT,
                                      .fit = FIT_STRETCH,
                                      .divisor = 255,
                                      .deviation = { 1, 1, 1 } };
    float out[2][3 * PIXELS];
    struct error err = { 0 };
    double luma_off = 0;
    for (int k = 0; k < 2; k++) {
        config.kind = k ? RESTORE_BICUBIC : RESTORE_NETWORK;
        struct plan *plan = make_plan(&input, &config);
        float *in = plan_input(plan, 0)->data;
        for (int i = 0; i < 3 * WIDTH * HEIGHT; i++) /* far from 0 and 1, where it would be clipped */
            in[i] = (float)(0.5 + 0.1 * sin(0.9 * i) * cos(0.04 * i));
        must(plan_run(plan, &err), &err);
        memcpy(out[k], plan_output(plan, 0)->data, sizeof out[k]);
        plan_free(&plan);
    }
    for (int i = 0; i < PIXELS; i++) {
        double network_chroma = (double)out[0][i] - (double)out[0][i + 2 * PIXELS];
        double bicubic_chroma = (double)out[1][i] - (double)out[1][i + 2 * PIXELS];
        assert_true(fabs(network_chroma - bicubic_chroma) < 1e-5);
        luma_off = fmax(luma_off, fabs((double)(out[0][i] - out[1][i])));
    }
    assert_true(luma_off > 0.01);
}

static void test_fixed_size_is_refused(void **state)
{
    (void)state;
    char network[PATH_BYTES];
    struct model *model = NULL;
    struct error err = { 0 };
    if (!find_data(network, __func__, ESPCN))
        skip();
    const struct restore_config config = { RESTORE_NETWORK, network, 160, 120, 480, 360, false };
    assert_int_equal(model_open_restored(&model, SHIPPED, device, &config, NULL, &err),
                     -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "224x224"));
    assert_non_null(strstr(err.text, "160x120"));
    assert_non_null(strstr(err.text, SHIPPED));
    assert_null(model);
}

static double share_of(const uint8_t *map, size_t pixels, uint8_t label)
{
    size_t count = 0;
    for (size_t i = 0; i < pixels; i++)
        count += map[i] == label;
    return (double)count / (double)pixels;
}

/* Drivable area and lanes, which may overlap: the map shows the lanes. At the network's own size its
 * shares are those of the areas. A picture that the graph only fits gives the same map but for rounding,
 * one of half the size much the same. */
static void test_areas(void **state)
{
    (void)state;
    enum { WIDTH = 640, HEIGHT = 360, PIXELS = WIDTH * HEIGHT, LANE = 1 };
    char network[PATH_BYTES];
    if (!find_data(network, __func__, TWINLITENET))
        skip();
    copy_file(network, "net.onnx");
    write_card("classes: [drivable, lane]\n"
               "input: {width: 640, height: 360, colour: rgb, fit: stretch, divisor: 255}\n"
               "head: {kind: segment, outputs: [da, ll]}\n"
               "sample: {picture: sample.jpg, expect: [{class: lane, share: 0.01}]}\n");
    struct picture *sample = read_picture(SAMPLE);
    const struct {
        struct restore_config config;
        struct picture *picture;
        double same; /* share of the labels */
    } cases[] = {
        { { .kind = RESTORE_NONE }, scaled(sample, WIDTH, HEIGHT), 1 },
        { { RESTORE_BICUBIC, NULL, WIDTH, HEIGHT, WIDTH, HEIGHT, false },
          scaled(sample, WIDTH, HEIGHT),
          0.999 },
        { { RESTORE_BICUBIC, NULL, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT, true },
          scaled(sample, WIDTH / 2, HEIGHT / 2),
          0.9 },
    };
    struct analysis *analysis = calloc(1, sizeof *analysis);
    uint8_t *first = malloc(PIXELS), *map = malloc(PIXELS);
    assert_true(analysis && first && map);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct model *model = open_model(folder, &cases[k].config);
        struct picture *picture = cases[k].picture;
        run_model(model, picture, analysis);
        model_label_map(model, WIDTH, HEIGHT, map);
        assert_int_equal(analysis->area_count, 2);
        assert_int_equal(analysis->areas[LANE].class_id, LANE);
        assert_true(fabs(share_of(map, PIXELS, LANE) - (double)analysis->areas[LANE].share) < 1e-6);
        assert_true(share_of(map, PIXELS, 0) <= (double)analysis->areas[0].share);
        assert_true(share_of(map, PIXELS, PIXELS_NO_LABEL) > 0.7);
        if (k == 0)
            memcpy(first, map, PIXELS);
        size_t same = 0;
        for (size_t i = 0; i < PIXELS; i++)
            same += first[i] == map[i];
        if (!((double)same >= cases[k].same * PIXELS))
            fail_msg("case %zu: %zu of %d labels are the same", k, same, PIXELS);
        model_close(&model);
        picture_unref(&picture);
    }
    free(first);
    free(map);
    free(analysis);
    picture_unref(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_luma_networks_beat_bicubic),
        cmocka_unit_test(test_luma_network_in_a_model),
        cmocka_unit_test(test_chroma_is_bicubic),
        cmocka_unit_test(test_fixed_size_is_refused),
        cmocka_unit_test(test_areas),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
