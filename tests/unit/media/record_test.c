/* Proves that drawing never leaves the picture whatever the numbers say, that what is recorded can be
 * played with boxes and text where they belong, that a file cut by a crash still plays, and that
 * a path or disk that does not work is told. */
#include "testing.h"

#include "base/clock.h"
#include "media/draw.h"
#include "media/font.h"
#include "media/record.h"
#include "media/source.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/runespoor-record-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define GUARD 256u

/* A view on exact planes (no padding in rows) with guard bytes around each. */
struct canvas {
    struct picture_view view;
    uint8_t *memory[3];
    size_t bytes[3];
};

static void canvas_init(struct canvas *canvas, uint32_t width, uint32_t height)
{
    canvas->view = (struct picture_view){ .format = PIXEL_I420, .width = width, .height = height };
    for (int plane = 0; plane < 3; plane++) {
        uint32_t columns = plane ? (width + 1) / 2 : width;
        uint32_t rows = plane ? (height + 1) / 2 : height;
        canvas->bytes[plane] = (size_t)columns * rows;
        canvas->memory[plane] = malloc(canvas->bytes[plane] + 2 * GUARD);
        assert_non_null(canvas->memory[plane]);
        memset(canvas->memory[plane], 0x5a, canvas->bytes[plane] + 2 * GUARD);
        canvas->view.plane[plane] = canvas->memory[plane] + GUARD;
        canvas->view.stride[plane] = columns;
    }
}

static void canvas_finish(struct canvas *canvas)
{
    for (int plane = 0; plane < 3; plane++) {
        const uint8_t *memory = canvas->memory[plane];
        for (size_t i = 0; i < GUARD; i++) {
            assert_int_equal(memory[i], 0x5a);
            assert_int_equal(memory[GUARD + canvas->bytes[plane] + i], 0x5a);
        }
        free(canvas->memory[plane]);
    }
}

static uint8_t luma(const struct canvas *canvas, uint32_t x, uint32_t y)
{
    return canvas->view.plane[0][y * canvas->view.stride[0] + x];
}

static size_t count_luma(const struct canvas *canvas, uint8_t value)
{
    size_t count = 0;
    for (size_t i = 0; i < canvas->bytes[0]; i++)
        count += canvas->view.plane[0][i] == value;
    return count;
}

static void test_fill(void **state)
{
    (void)state;
    const struct draw_colour red = { 81, 90, 240 };
    const struct {
        int32_t x, y, width, height;
        size_t pixels;
    } cases[] = {
        { 3, 4, 5, 6, 30 },
        { -2, -2, 5, 5, 9 },
        { 28, 18, 10, 10, 5 * 3 },
        { 0, 0, 33, 21, 33 * 21 },
        { 32, 20, 1, 1, 1 },
        { 33, 0, 5, 5, 0 },
        { 0, 21, 5, 5, 0 },
        { -10, 5, 10, 3, 0 },
        { 5, 5, 0, 3, 0 },
        { 5, 5, 3, -4, 0 },
        { INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX, 0 },
        { INT32_MIN, 0, INT32_MIN, 5, 0 },
        { INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, 0 },
        { -5, -5, INT32_MAX, INT32_MAX, 33 * 21 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct canvas canvas;
        canvas_init(&canvas, 33, 21);
        draw_fill(&canvas.view, cases[i].x, cases[i].y, cases[i].width, cases[i].height, red);
        assert_int_equal(count_luma(&canvas, 81), cases[i].pixels);
        if (i == 0) {
            assert_int_equal(luma(&canvas, 3, 4), 81);
            assert_int_equal(luma(&canvas, 7, 9), 81);
            assert_int_equal(luma(&canvas, 8, 9), 0x5a);
            assert_int_equal(canvas.view.plane[1][2 * 17 + 1], 90); /* shares pixel 3 */
            assert_int_equal(canvas.view.plane[2][4 * 17 + 3], 240);
            assert_int_equal(canvas.view.plane[2][4 * 17 + 4], 0x5a);
        }
        canvas_finish(&canvas);
    }
}

static void test_box_is_an_outline(void **state)
{
    (void)state;
    struct canvas canvas;
    canvas_init(&canvas, 64, 48);
    draw_box(&canvas.view, 10.4f, 8.6f, 20, 16, 2, draw_white);
    assert_int_equal(count_luma(&canvas, 235), 20 * 16 - 16 * 12);
    assert_int_equal(luma(&canvas, 10, 9), 235);
    assert_int_equal(luma(&canvas, 29, 24), 235);
    assert_int_equal(luma(&canvas, 12, 11), 0x5a);
    assert_int_equal(luma(&canvas, 9, 9), 0x5a);
    canvas_finish(&canvas);

    /* A box that reaches out of the picture has no edge at the picture's border. */
    canvas_init(&canvas, 64, 48);
    draw_box(&canvas.view, -20, 10, 200, 20, 1, draw_white);
    assert_int_equal(count_luma(&canvas, 235), 2 * 64);
    canvas_finish(&canvas);
}

static void test_any_box_stays_inside(void **state)
{
    (void)state;
    const float values[] = { 0,     -1,     1,      20.5f,    63,        64,  1e9f,         -1e9f,
                             3e38f, -3e38f, 1e-40f, INFINITY, -INFINITY, NAN, 2147483648.0f };
    const size_t n = sizeof values / sizeof *values;
    struct canvas canvas;
    canvas_init(&canvas, 63, 47);
    for (size_t i = 0; i < n * n * n * n; i++)
        draw_box(&canvas.view, values[i % n], values[i / n % n], values[i / n / n % n],
                 values[i / n / n / n], (uint32_t)(i % 3), draw_white);
    canvas_finish(&canvas);

    canvas_init(&canvas, 63, 47);
    draw_box(&canvas.view, NAN, 5, 10, 10, 1, draw_white);
    draw_box(&canvas.view, 5, 5, INFINITY, 10, 1, draw_white);
    draw_box(&canvas.view, 5, 5, -3, 10, 1, draw_white);
    assert_int_equal(count_luma(&canvas, 235), 0);
    canvas_finish(&canvas);
}

static void test_text(void **state)
{
    (void)state;
    assert_int_equal(draw_text_width(2, ""), 0);
    assert_int_equal(draw_text_width(2, "I5"), 26);
    assert_int_equal(draw_text_height(2), 18);
    struct canvas canvas;
    canvas_init(&canvas, 64, 48);
    draw_text(&canvas.view, 4, 6, 2, "I", draw_white, draw_black);
    /* ".###." twice as large, in a field of 14 by 18 */
    size_t ink = 0;
    for (int row = 0; row < 7; row++)
        ink += (size_t)__builtin_popcount(font_glyph('I')[row]) * 4;
    assert_int_equal(count_luma(&canvas, 235), ink);
    assert_int_equal(count_luma(&canvas, 16), 14 * 18 - ink);
    assert_int_equal(luma(&canvas, 4 + 2 + 2, 6 + 2), 235);
    assert_int_equal(luma(&canvas, 4 + 2 + 0, 6 + 2), 16);
    canvas_finish(&canvas);

    char everything[300];
    for (int i = 0; i < 299; i++)
        everything[i] = (char)(1 + i % 255);
    everything[299] = '\0';
    const int32_t places[][2] = { { 0, 0 }, { -500, -3 }, { 60, 45 }, { -3, 46 }, { 1000, -1000 } };
    for (size_t i = 0; i < 5; i++) {
        canvas_init(&canvas, 63, 47);
        draw_text(&canvas.view, places[i][0], places[i][1], 3, everything, draw_white, draw_black);
        canvas_finish(&canvas);
    }
    /* Every letter of the font looks different from the next. */
    for (int letter = '!'; letter < '_'; letter++)
        assert_memory_not_equal(font_glyph((char)letter), font_glyph((char)(letter + 1)),
                                FONT_HEIGHT);
    assert_ptr_equal(font_glyph('k'), font_glyph('K'));
}

static void set_path(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static struct record *open_record(const char *path, uint32_t width, uint32_t height)
{
    struct error err;
    struct record *record = NULL;
    assert_ok(record_open(&record, path, width, height, &err), &err);
    return record;
}

static void read_first(const char *path, struct picture **picture)
{
    struct error err;
    assert_ok(picture_read_file(picture, path, &err), &err);
}

static double mean_luma(const struct picture *picture, uint32_t x, uint32_t y, uint32_t width,
                        uint32_t height)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    assert_true(x + width <= view.width && y + height <= view.height);
    double sum = 0;
    for (uint32_t row = y; row < y + height; row++)
        for (uint32_t column = x; column < x + width; column++)
            sum += view.plane[0][row * view.stride[0] + column];
    return sum / (width * height);
}

static void test_recording_shows_boxes(void **state)
{
    (void)state;
    struct error err;
    char path[128];
    set_path(path, "boxes:1.mp4"); /* a colon is no protocol */
    struct record *record = open_record(path, 320, 240);
    struct picture *black = NULL;
    assert_ok(picture_create(&black, 640, 480, &err), &err); /* twice the recording's size */
    const struct record_box boxes[] = {
        { .x = 200, .y = 200, .width = 240, .height = 160, .class_id = 1, .label = "car 0.87" },
        { .x = NAN, .y = 0, .width = 9, .height = 9, .label = "lost" },
        { .x = -1e30f, .y = 1e30f, .width = 1e38f, .height = 1e38f, .label = "far" },
    };
    assert_ok(record_add(record, black, 0, boxes, 3, "gate-3 frame 17", &err), &err);
    struct picture_view view;
    picture_get_view(black, &view);
    assert_int_equal(view.plane[0][200 * view.stride[0] + 300], 16); /* the original is untouched */
    picture_unref(&black);
    assert_ok(record_close(&record, &err), &err);
    assert_null(record);

    struct picture *picture = NULL;
    read_first(path, &picture);
    double colour = draw_class_colour(1).y;
    assert_true(fabs(mean_luma(picture, 110, 100, 100, 1) - colour) < 12); /* upper edge */
    assert_true(fabs(mean_luma(picture, 100, 110, 1, 60) - colour) < 12);  /* left edge */
    assert_true(mean_luma(picture, 110, 110, 100, 60) < 22);               /* inside */
    assert_true(mean_luma(picture, 101, 92, 40, 6) > 60);                  /* label */
    assert_true(mean_luma(picture, 1, 1, 80, 7) > 50);                     /* caption */
    picture_unref(&picture);
    unlink(path);
}

static void test_sizes_and_times(void **state)
{
    (void)state;
    struct error err;
    char path[128];
    set_path(path, "odd.mp4");
    struct record *record = open_record(path, 161, 99);
    /* Pictures of other sizes, and times that stand still or jump. */
    const uint64_t times_ms[] = { 0, 100, 100, 50, 400, 5000 };
    for (uint32_t i = 0; i < 6; i++) {
        struct picture *picture = testing_picture(64 + 33 * i, 48 + 31 * i, i, 0, 0);
        assert_ok(record_add(record, picture, times_ms[i] * CLOCK_NS_PER_MS, NULL, 0, NULL, &err),
                  &err);
        picture_unref(&picture);
    }
    assert_ok(record_close(&record, &err), &err);
    struct source *source = NULL;
    const struct source_config config = { .kind = SOURCE_FILE, .path = path };
    assert_ok(source_open(&source, &config, &err), &err);
    struct source_info info;
    source_get_info(source, &info);
    assert_int_equal(info.width, 160);
    assert_int_equal(info.height, 98);
    unsigned count = 0;
    struct picture *picture = NULL;
    uint64_t time_ns, last_ns = 0;
    while (source_next(source, &picture, &time_ns, &err) == 0) {
        assert_true(count++ == 0 || time_ns > last_ns);
        last_ns = time_ns;
        picture_unref(&picture);
    }
    assert_int_equal(count, 6);
    assert_int_equal(last_ns / CLOCK_NS_PER_MS, 5000);
    source_close(&source);
    unlink(path);
}

/* The file as it is on disk while it is being written: what a killed process leaves. */
static void test_killed_recording_plays(void **state)
{
    (void)state;
    struct error err;
    char path[128];
    set_path(path, "killed.mp4");
    struct record *record = open_record(path, 160, 96);
    for (unsigned i = 0; i < 120; i++) {
        struct picture *picture = testing_picture(160, 96, i, 0, 0);
        assert_ok(record_add(record, picture, i * 40 * CLOCK_NS_PER_MS, NULL, 0, NULL, &err), &err);
        picture_unref(&picture);
    }
    struct source *source = NULL;
    const struct source_config config = { .kind = SOURCE_FILE, .path = path };
    assert_ok(source_open(&source, &config, &err), &err);
    unsigned count = 0;
    struct picture *picture = NULL;
    uint64_t time_ns;
    while (source_next(source, &picture, &time_ns, &err) == 0) {
        picture_unref(&picture);
        count++;
    }
    source_close(&source);
    assert_int_equal(count, 100); /* two fragments of 2 s; the third is lost */
    assert_ok(record_close(&record, &err), &err);
    unlink(path);
}

static void test_places_that_do_not_work(void **state)
{
    (void)state;
    struct error err;
    struct record *record = NULL;
    assert_int_equal(record_open(&record, "/nonexistent/a.mp4", 64, 48, &err), -ERROR_IO);
    assert_null(record);
    assert_non_null(strstr(err.text, "/nonexistent/a.mp4: cannot write the recording: No such"));
    assert_ok(record_close(&record, &err), &err); /* takes NULL */

    if (access("/dev/full", W_OK) != 0) {
        fprintf(stderr, "SKIP REASON: test_places_that_do_not_work: no /dev/full\n");
        skip();
    }
    record = open_record("/dev/full", 64, 48);
    int rc = 0;
    for (unsigned i = 0; i < 120 && rc == 0; i++) {
        struct picture *picture = testing_picture(64, 48, i, 0, 0);
        rc = record_add(record, picture, i * 40 * CLOCK_NS_PER_MS, NULL, 0, NULL, &err);
        picture_unref(&picture);
    }
    assert_int_equal(rc, -ERROR_IO);
    assert_non_null(strstr(err.text, "No space left"));
    record_close(&record, &err);
    assert_null(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_box_is_an_outline),
        cmocka_unit_test(test_any_box_stays_inside),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_recording_shows_boxes),
        cmocka_unit_test(test_sizes_and_times),
        cmocka_unit_test(test_killed_recording_plays),
        cmocka_unit_test(test_places_that_do_not_work),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
