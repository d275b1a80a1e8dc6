/* Pictures of 8x4 learnt from as squares: their middle, and its labels from the same place at any size, as
 * classes; answers of a model in place of labels; and two sets as one list. */
#include "data_set.h"

#include "learn/samples_set.h"

static struct samples_source sources[2];
static struct samples_picture pictures[] = { { 0, 2 }, { 1, 0 } };
static const struct samples_set set = { sources, 2, pictures, 2 };

/* Column x of row y is of class (x + y) % 3, of which the last one is void. */
static void open_sources(const char *const kinds[2])
{
    uint8_t rows[HEIGHT * WIDTH];
    for (unsigned i = 0; i < sizeof rows; i++)
        rows[i] = (uint8_t)((i % WIDTH + i / WIDTH) % 3);
    for (size_t s = 0; s < 2; s++) {
        struct data_config config = small_set(kinds[s]);
        config.ignore = "void";
        if (strcmp(kinds[s], "none") == 0)
            config.labels = "";
        write_map("maps/p_1.png", 8, PNG_GREY, rows, WIDTH);
        write_map("maps/p_2.png", 8, PNG_GREY, rows, WIDTH);
        write_map("maps/p_10.png", 8, PNG_GREY, rows, WIDTH);
        sources[s] = (struct samples_source){ .data = open_set(&config) };
        memset(sources[s].classes, SAMPLES_IGNORE, sizeof sources[s].classes);
        sources[s].classes[0] = s == 0 ? 0 : 1; /* the other set counts the other way */
        sources[s].classes[1] = s == 0 ? 1 : 0;
    }
}

static void close_sources(void)
{
    for (size_t s = 0; s < 2; s++)
        data_close(&sources[s].data);
}

static void read_window(size_t index, uint32_t width, uint32_t height, struct samples_window *window)
{
    struct error err;
    struct picture *picture = NULL;
    struct picture_view view;
    if (samples_set_picture(&set, index, width, height, &picture, window, &err))
        fail_msg("%s", err.text);
    picture_get_view(picture, &view);
    assert_int_equal(view.width, window->part.width);
    assert_int_equal(view.height, window->part.height);
    /* 16 for each column, see write_picture; converted to what codecs take and back */
    assert_in_range(view.plane[0][1] - view.plane[0][0], 10, 18);
    picture_unref(&picture);
}

static void the_middle_keeps_its_labels(void **state)
{
    (void)state;
    struct error err;
    struct samples_window window;
    uint8_t labels[64];
    open_sources((const char *const[]){ "maps", "maps" });
    assert_string_equal(samples_set_name(&set, 0), "p_10");
    assert_string_equal(samples_set_name(&set, 1), "p_1");
    for (size_t index = 0; index < 2; index++) {
        const uint8_t *classes = sources[index].classes;
        read_window(index, 100, 100, &window);
        assert_int_equal(window.part.x, 2);
        assert_int_equal(window.part.width, 4);
        assert_int_equal(samples_set_labels(&set, index, &window, 4, 4, labels, &err), 0);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(labels[i], classes[(i % 4 + 2 + i / 4) % 3]);
        assert_int_equal(samples_set_labels(&set, index, &window, 8, 2, labels, &err), 0);
        for (unsigned i = 0; i < 16; i++) /* rows 1 and 3 are nearest, each column is there twice */
            assert_int_equal(labels[i], classes[(i % 8 / 2 + 2 + (i < 8 ? 1 : 3)) % 3]);
        read_window(index, 2, 1, &window);
        assert_int_equal(window.part.width, WIDTH);
        assert_int_equal(samples_set_labels(&set, index, &window, 8, 4, labels, &err), 0);
        for (unsigned i = 0; i < 32; i++)
            assert_int_equal(labels[i], classes[(i % 8 + i / 8) % 3]);
    }
    close_sources();
}

static void answers_stand_in_for_labels(void **state)
{
    (void)state;
    struct error err;
    struct samples_window window;
    uint8_t answer[] = { 0, 1, SAMPLES_IGNORE, 1 }, labels[16];
    uint8_t *maps[] = { answer, NULL, NULL };
    open_sources((const char *const[]){ "maps", "none" });
    sources[1].golden = (struct samples_golden){ 2, 2, maps, 3 };
    read_window(1, 100, 100, &window);
    assert_int_equal(samples_set_labels(&set, 1, &window, 4, 4, labels, &err), 0);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(labels[i], answer[i / 8 * 2 + i % 4 / 2]);
    assert_int_equal(samples_set_labels(&set, 1, NULL, 2, 2, labels, &err), 0);
    assert_memory_equal(labels, answer, sizeof answer);
    close_sources();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_middle_keeps_its_labels),
        cmocka_unit_test(answers_stand_in_for_labels),
    };
    return cmocka_run_group_tests(tests, setup_folder, remove_folder);
}
