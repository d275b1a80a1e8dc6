/* Sets of pictures with labels: CamVid's folders and the boxes of PETS09 as they are (numbers that a
 * script of its own has counted), clips, label maps of every kind written into a temporary folder, and
 * each kind of mistake with the words by which it is told. Forms of boxes: data_boxes_test. */
#include "data_set.h"

/* ---- CamVid ---- */

static const char *test_data(const char *name)
{
    static char path[PATH_BYTES];
    const char *base = getenv("TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", base ? base : "../shared/data", name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is not there (TEST_DATA)\n", path);
    skip();
    return NULL;
}

#define CAMVID_WIDTH 480u
#define CAMVID_HEIGHT 360u
#define CAMVID_CLASSES 12u

static struct data *open_camvid(const char *split)
{
    struct data_config config = defaults();
    char pictures[PATH_BYTES], labels[PATH_BYTES], classes[PATH_BYTES], name[64];
    snprintf(name, sizeof name, "camvid/%s/images", split);
    snprintf(pictures, sizeof pictures, "%s", test_data(name));
    snprintf(name, sizeof name, "camvid/%s/labels", split);
    snprintf(labels, sizeof labels, "%s", test_data(name));
    snprintf(classes, sizeof classes, "%s", test_data("camvid/classes.txt"));
    config.pictures = pictures;
    config.labels = labels;
    config.classes = classes;
    config.ignore = "void";
    return open_set(&config);
}

/* Pixels of each class in all label maps, read by 40 lines of Python with nothing but zlib and the
 * five filters of the PNG specification. */
static void check_histogram(const struct data *data, const uint64_t expected[CAMVID_CLASSES])
{
    struct data_info info;
    struct error err = { 0 };
    uint64_t counts[256] = { 0 };
    uint8_t *values = malloc((size_t)CAMVID_WIDTH * CAMVID_HEIGHT);
    assert_non_null(values);
    data_get_info(data, &info);
    for (size_t p = 0; p < info.picture_count; p++) {
        if (data_map(data, p, CAMVID_WIDTH, CAMVID_HEIGHT, values, &err))
            fail_msg("%s", err.text);
        for (size_t i = 0; i < (size_t)CAMVID_WIDTH * CAMVID_HEIGHT; i++)
            counts[values[i]]++;
    }
    free(values);
    for (size_t i = 0; i < CAMVID_CLASSES; i++)
        assert_int_equal(counts[i], expected[i]);
}

static void check_clip(const struct data *data, size_t index, const char *name, size_t first,
                       size_t count)
{
    struct data_clip clip;
    data_get_clip(data, index, &clip);
    assert_string_equal(clip.name, name);
    assert_int_equal(clip.first, first);
    assert_int_equal(clip.count, count);
}

static void camvid_val(void **state)
{
    (void)state;
    static const uint64_t expected[CAMVID_CLASSES] = { 1601620, 4531180, 98499,  5053176,
                                                       1521751, 2851125, 155724, 537197,
                                                       304716,  113531,  387010, 297271 };
    struct data *data = open_camvid("val");
    struct data_info info;
    data_get_info(data, &info);
    assert_int_equal(info.picture_count, 101);
    assert_int_equal(info.labels, DATA_LABELS_MAPS);
    assert_int_equal(info.form, DATA_FORM_MAPS);
    assert_int_equal(info.class_count, CAMVID_CLASSES);
    assert_int_equal(info.ignore, 11);
    assert_false(info.is_video);
    assert_string_equal(data_class_name(data, 0), "sky");
    assert_string_equal(data_class_name(data, 11), "void");
    assert_string_equal(data_picture_name(data, 0), "0016E5_07959");
    assert_string_equal(data_picture_name(data, 100), "0016E5_08159");
    assert_int_equal(info.clip_count, 1);
    check_clip(data, 0, "0016E5", 0, 101);
    check_histogram(data, expected);
    data_close(&data);
}

/* Frame numbers step by 30; 0016E5 has steps of 29 and 31 too, which are none, and two real gaps. */
static void camvid_train(void **state)
{
    (void)state;
    static const uint64_t expected[CAMVID_CLASSES] = { 10628796, 14586026, 620059, 19842382,
                                                       2799811,  6060752,  737847, 687458,
                                                       3701733,  402622,   181462, 2477452 };
    struct data *data = open_camvid("train");
    struct data_info info;
    data_get_info(data, &info);
    assert_int_equal(info.picture_count, 363);
    assert_int_equal(info.clip_count, 5);
    check_clip(data, 0, "0001TP", 0, 62);
    check_clip(data, 1, "0006R0", 62, 101);
    check_clip(data, 2, "0016E5", 163, 68);
    check_clip(data, 3, "0016E5_04350", 231, 118);
    check_clip(data, 4, "0016E5_08250", 349, 14);
    check_histogram(data, expected);
    data_close(&data);
}

/* A JPEG 4:4:4 becomes I420 of full range in BT.601, as JPEG is. The planes' means are those that the
 * program ffmpeg gives for the picture's own 4:4:4 planes; the averages of four chroma samples are
 * rounded up, by 0.11 in the mean. */
static void camvid_colours(void **state)
{
    (void)state;
    static const double expected[3] = { 83.832, 130.687, 125.173 };
    struct data *data = open_camvid("val");
    struct picture *picture = NULL;
    struct picture_view view;
    struct error err = { 0 };
    if (data_picture(data, 50, &picture, &err))
        fail_msg("%s", err.text);
    picture_get_view(picture, &view);
    assert_int_equal(view.width, CAMVID_WIDTH);
    assert_int_equal(view.height, CAMVID_HEIGHT);
    assert_int_equal(view.format, PIXEL_I420);
    assert_int_equal(view.matrix, MATRIX_BT601);
    assert_true(view.full_range);
    for (int plane = 0; plane < 3; plane++) {
        uint32_t width = plane ? (view.width + 1) / 2 : view.width;
        uint32_t height = plane ? (view.height + 1) / 2 : view.height;
        uint64_t sum = 0;
        for (uint32_t y = 0; y < height; y++)
            for (uint32_t x = 0; x < width; x++)
                sum += view.plane[plane][(size_t)y * view.stride[plane] + x];
        assert_float_equal((double)sum / width / height, expected[plane], 0.15);
    }
    picture_unref(&picture);
    data_close(&data);
}

/* ---- PETS09 ---- */

static const char *vtest(void)
{
    static char path[PATH_BYTES];
    const char *build = getenv("B");
    snprintf(path, sizeof path, "%s/demo/vtest.avi", build ? build : "build");
    return access(path, R_OK) == 0 ? path : "build/demo/vtest.avi";
}

/* 4650 boxes, 174 of them regions to ignore (README of the data, and counted again by awk); frame 1
 * has 3. The video is read in its order, backwards, and with a leap. */
static void pets09(void **state)
{
    (void)state;
    struct data_config config = defaults();
    char labels[PATH_BYTES], video[PATH_BYTES];
    snprintf(labels, sizeof labels, "%s", test_data("pets09/gt.txt"));
    snprintf(video, sizeof video, "%s", vtest());
    if (access(video, R_OK) != 0) {
        print_message("skipped: %s is not there (make demo fetches it)\n", video);
        skip();
    }
    config.pictures = video;
    config.labels = labels;
    struct data *data = open_set(&config);
    struct data_info info;
    struct error err = { 0 };
    data_get_info(data, &info);
    assert_true(info.is_video);
    assert_int_equal(info.picture_count, 795);
    assert_int_equal(info.form, DATA_FORM_MOT);
    assert_float_equal(info.fps, 10, 1e-6);
    assert_int_equal(info.class_count, 1);
    assert_string_equal(data_class_name(data, 0), "person");
    assert_int_equal(info.clip_count, 1);
    check_clip(data, 0, "vtest", 0, 795);

    size_t count = 0, ignored = 0;
    struct data_boxes boxes = { 0 };
    for (size_t p = 0; p < info.picture_count; p++) {
        if (data_get_boxes(data, p, 768, 576, &boxes, &err))
            fail_msg("%s", err.text);
        count += boxes.count;
        assert_int_equal(boxes.clipped, 0);
        for (size_t i = 0; i < boxes.count; i++)
            ignored += boxes.items[i].ignore;
        if (p == 0) {
            assert_int_equal(boxes.count, 3);
            assert_float_equal(boxes.items[0].x, 498, 1e-5); /* 499 in the file, from 1 */
            assert_float_equal(boxes.items[0].y, 157, 1e-5);
            assert_float_equal(boxes.items[0].height, 75.17, 1e-4);
        }
    }
    assert_int_equal(count, 4650);
    assert_int_equal(ignored, 174);
    data_boxes_finish(&boxes);

    static const size_t order[] = { 0, 1, 5, 5, 0 };
    struct picture *pictures[5] = { NULL };
    for (size_t i = 0; i < 5; i++)
        if (data_picture(data, order[i], &pictures[i], &err))
            fail_msg("%s", err.text);
    struct picture_view first, second, leap, leap_again, again;
    picture_get_view(pictures[0], &first);
    picture_get_view(pictures[1], &second);
    picture_get_view(pictures[2], &leap);
    picture_get_view(pictures[3], &leap_again);
    picture_get_view(pictures[4], &again);
    const size_t bytes = (size_t)first.stride[0] * first.height;
    assert_int_equal(first.width, 768);
    assert_memory_equal(first.plane[0], again.plane[0], bytes);
    assert_memory_equal(leap.plane[0], leap_again.plane[0], bytes);
    assert_memory_not_equal(first.plane[0], second.plane[0], bytes);
    assert_memory_not_equal(second.plane[0], leap.plane[0], bytes);
    for (size_t i = 0; i < 5; i++)
        picture_unref(&pictures[i]);
    data_close(&data);

    config.form = DATA_FORM_YOLO;
    expect_mistake(&config, "is a file; labels of form yolo are a folder");
}

/* A video may be any file that FFmpeg reads, a single picture as well. */
static void video_labels(void **state)
{
    (void)state;
    struct data_config config = small_set("gt.txt");
    char video[PATH_BYTES];
    path_of(video, "pictures/p_1.png");
    config.pictures = video;
    write_text("gt.txt", "1,7,2,2,3,2,1\n");
    struct data *data = open_set(&config);
    expect_boxes(data, 0, &(struct data_box){ 0, 1, 1, 3, 2, false }, 1, 0);
    data_close(&data);

    write_text("gt.txt", "1,7,2,2,3,2,1\n1,8,20,2,3,2,1\n"); /* told before anything is run */
    expect_mistake(&config, "gt.txt:2: the box lies outside of its picture of 8x4");
    write_text("gt.txt", "2,7,2,2,3,2,1\n");
    expect_mistake(&config, "gt.txt:1: frame 2 is not within 1 and 1");
    char *clips[] = { "p_1" };
    config.clips = (struct option_strings){ clips, 1 };
    expect_mistake(&config, "data.clips: is for folders");
    config = small_set("yolo");
    config.pictures = video;
    config.form = DATA_FORM_YOLO;
    expect_mistake(&config, "data.form: labels of a video are of form mot");
}

/* ---- pictures and clips ---- */

static void pictures_and_clips(void **state)
{
    (void)state;
    struct data_config config = small_set("none");
    struct data_info info;
    config.labels = "";
    config.classes = "";
    struct data *data = open_set(&config);
    data_get_info(data, &info);
    assert_int_equal(info.picture_count, 3);
    assert_int_equal(info.labels, DATA_LABELS_NONE);
    assert_int_equal(info.class_count, 0);
    assert_int_equal(info.ignore, -1);
    assert_float_equal(info.fps, 15, 0);
    assert_string_equal(data_picture_name(data, 1), "p_2"); /* and not p_10 */
    assert_string_equal(data_picture_name(data, 2), "p_10");
    assert_int_equal(info.clip_count, 2);
    check_clip(data, 0, "p", 0, 2);
    check_clip(data, 1, "p_10", 2, 1);
    struct picture *picture = NULL;
    struct picture_view view;
    struct error err = { 0 };
    if (data_picture(data, 2, &picture, &err))
        fail_msg("%s", err.text);
    picture_get_view(picture, &view);
    assert_int_equal(view.width, WIDTH);
    assert_int_equal(view.plane[0][5], 80); /* full range: the grey of the file */
    picture_unref(&picture);
    data_close(&data);

    char *clips[] = { "p_2" };
    config.clips = (struct option_strings){ clips, 1 };
    data = open_set(&config);
    data_get_info(data, &info);
    assert_int_equal(info.clip_count, 2);
    check_clip(data, 0, "p_1", 0, 1);
    check_clip(data, 1, "p_2", 1, 2);
    data_close(&data);
    clips[0] = "p_02";
    expect_mistake(&config, "data.clips: \"p_02\" is no picture of");
}

static void picture_mistakes(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    struct error err = { 0 };
    struct data_config config = defaults();
    expect_mistake(&config, "data.pictures: is empty");
    config.pictures = "/nowhere/at/all";
    expect_mistake(&config, "data.pictures: /nowhere/at/all: cannot open");
    path_of(path, "other");
    config.pictures = path;
    expect_mistake(&config, "has no pictures");
    write_picture("other/x.png");
    write_text("other/x.jpg", "");
    expect_mistake(&config, "has both x.jpg and x.png");
    remove_file("other/x.png");
    struct data *data = open_set(&config); /* an empty picture is seen when it is wanted */
    struct picture *picture = NULL;
    assert_int_not_equal(data_picture(data, 0, &picture, &err), 0);
    assert_null(picture);
    expect_text(&err, "x.jpg");
    data_close(&data);
    remove_file("other/x.jpg");
}

/* ---- label maps ---- */

static const uint8_t good_map[HEIGHT * WIDTH] = { 0, 0, 1, 1, 2, 2, 0, 0, 1 };

static void expect_map_mistake(const struct data *data, size_t index, const char *text)
{
    uint8_t values[HEIGHT * WIDTH];
    struct error err = { 0 };
    assert_int_not_equal(data_map(data, index, WIDTH, HEIGHT, values, &err), 0);
    expect_text(&err, text);
}

static void maps(void **state)
{
    (void)state;
    /* Two bits each: 0 1 2 3 0 0 0 0, four times. */
    static const uint8_t packed[HEIGHT * 2] = { 0x1b, 0, 0x1b, 0, 0x1b, 0, 0x1b, 0 };
    uint8_t values[HEIGHT * WIDTH], wide[HEIGHT * WIDTH * 4] = { 0 };
    struct error err = { 0 };
    struct data_config config = small_set("maps");
    config.ignore = "void";
    write_map("maps/p_1.png", 8, PNG_GREY, good_map, WIDTH);
    write_map("maps/p_2.png", 8, PNG_PALETTE, good_map, WIDTH);
    expect_mistake(&config, "picture p_10.png has no labels");
    write_map("maps/p_10.png", 2, PNG_PALETTE, packed, 2);

    struct data *data = open_set(&config);
    struct data_info info;
    data_get_info(data, &info);
    assert_int_equal(info.form, DATA_FORM_MAPS);
    assert_int_equal(info.class_count, 3);
    assert_int_equal(info.ignore, 2);
    for (size_t p = 0; p < 2; p++) { /* grey, and indices of a palette */
        memset(values, 77, sizeof values);
        if (data_map(data, p, WIDTH, HEIGHT, values, &err))
            fail_msg("%s", err.text);
        assert_memory_equal(values, good_map, sizeof values);
    }
    expect_map_mistake(data, 2, "p_10.png: value 3 at x 3, y 0 is none of the 3 classes");
    data_close(&data);

    config.ignore = "3"; /* a value of its own */
    data = open_set(&config);
    static const uint8_t row[WIDTH] = { 0, 1, 2, 3 };
    if (data_map(data, 2, WIDTH, HEIGHT, values, &err))
        fail_msg("%s", err.text);
    for (size_t y = 0; y < HEIGHT; y++)
        assert_memory_equal(values + y * WIDTH, row, WIDTH);

    write_map("maps/p_1.png", 8, PNG_RGB, wide, WIDTH * 3);
    expect_map_mistake(data, 0, "p_1.png: has colours");
    write_map("maps/p_1.png", 16, PNG_GREY, wide, WIDTH * 2);
    expect_map_mistake(data, 0, "p_1.png: is grey of 16 bits");
    write_map("maps/p_1.png", 4, PNG_GREY, wide, WIDTH / 2);
    expect_map_mistake(data, 0, "p_1.png: is grey of 4 bits");
    write_text("maps/p_1.png", "this is no PNG file, however long it may be");
    expect_map_mistake(data, 0, "p_1.png: is no PNG file");
    write_text("maps/p_1.png", "");
    expect_map_mistake(data, 0, "p_1.png: is no PNG file");
    struct png png;
    make_png(&png, WIDTH, HEIGHT + 1, 8, PNG_GREY, wide, WIDTH);
    write_bytes("maps/p_1.png", png.bytes, png.size);
    expect_map_mistake(data, 0, "is 8x5, but its picture is 8x4");
    data_close(&data);

    config.ignore = "vod";
    expect_mistake(&config,
                   "data.ignore: \"vod\" is not one of the classes (did you mean \"void\"?)");
    config.ignore = "256";
    expect_mistake(&config, "data.ignore: \"256\"");
    config.ignore = "";
    config.classes = "";
    expect_mistake(&config, "data.classes: is empty; labels of form maps need");
}

/* A whole picture of one row less, in a file that announces HEIGHT rows: the decoder alone would give
 * the missing row some values and say nothing. A map that has 255 itself is right. */
static void missing_rows(void **state)
{
    (void)state;
    uint8_t values[HEIGHT * WIDTH], full[HEIGHT * WIDTH];
    struct error err = { 0 };
    struct png png, last;
    struct data_config config = small_set("maps");
    config.ignore = "255";
    memset(full, 255, sizeof full);
    full[3] = 1;
    write_map("maps/p_1.png", 8, PNG_GREY, full, WIDTH);
    struct data *data = open_set(&config);
    if (data_map(data, 0, WIDTH, HEIGHT, values, &err))
        fail_msg("%s", err.text);
    assert_memory_equal(values, full, sizeof values);

    make_png(&png, WIDTH, HEIGHT - 1, 8, PNG_GREY, good_map, WIDTH);
    make_png(&last, WIDTH, HEIGHT, 8, PNG_GREY, good_map, WIDTH);
    const size_t header_bytes = 8 + 25; /* signature, IHDR with its checksum */
    memcpy(png.bytes, last.bytes, header_bytes);
    write_bytes("maps/p_1.png", png.bytes, png.size);
    expect_map_mistake(data, 0, "p_1.png: the label map is damaged: row 4 is missing");
    data_close(&data);
}

/* Every cut, and every flipped bit behind the header, is an error or leaves the values as they are. */
static void damaged_maps(void **state)
{
    (void)state;
    uint8_t values[HEIGHT * WIDTH];
    struct error err = { 0 };
    struct png png;
    struct data_config config = small_set("maps");
    write_map("maps/p_1.png", 8, PNG_GREY, good_map, WIDTH);
    struct data *data = open_set(&config);
    make_png(&png, WIDTH, HEIGHT, 8, PNG_GREY, good_map, WIDTH);
    for (size_t size = 0; size < png.size; size++) {
        write_bytes("maps/p_1.png", png.bytes, size);
        if (data_map(data, 0, WIDTH, HEIGHT, values, &err) == 0)
            assert_memory_equal(values, good_map, sizeof values);
    }
    for (size_t at = 0; at < png.size; at++) {
        png.bytes[at] ^= 1;
        write_bytes("maps/p_1.png", png.bytes, png.size);
        if (data_map(data, 0, WIDTH, HEIGHT, values, &err) == 0)
            assert_memory_equal(values, good_map, sizeof values);
        png.bytes[at] ^= 1;
    }
    data_close(&data);
}

/* The table, in YAML as it is written. */
static void options(void **state)
{
    (void)state;
    static const char text[] = "pictures: a/b\nform: yolo\nfps: 30\nclips: [x_1, x_9]\n";
    struct data_config target = { 0 };
    struct config *config = NULL;
    struct error err = { 0 };
    if (config_load_text(&config, data_options, &target, "test", text, sizeof text - 1, &err))
        fail_msg("%s", err.text);
    assert_string_equal(target.pictures, "a/b");
    assert_string_equal(target.labels, "");
    assert_string_equal(target.box_class, "person");
    assert_int_equal(target.form, DATA_FORM_YOLO);
    assert_float_equal(target.fps, 30, 0);
    assert_int_equal(target.clips.count, 2);
    assert_string_equal(target.clips.items[1], "x_9");
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options),
        cmocka_unit_test(camvid_val),
        cmocka_unit_test(camvid_train),
        cmocka_unit_test(camvid_colours),
        cmocka_unit_test(pets09),
        cmocka_unit_test(video_labels),
        cmocka_unit_test(pictures_and_clips),
        cmocka_unit_test(picture_mistakes),
        cmocka_unit_test(maps),
        cmocka_unit_test(damaged_maps),
        cmocka_unit_test(missing_rows),
    };
    return cmocka_run_group_tests(tests, setup_folder, remove_folder);
}
