/* config_load: what is in a good file, in --set and in the defaults reaches the struct. */
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct sample sample;
static struct config *config;

static int clean(void **state)
{
    (void)state;
    config_free(&config);
    memset(&sample, 0, sizeof sample);
    return 0;
}

static void load(const char *text)
{
    struct error err = { .text = "" };
    int result =
        config_load_text(&config, sample_options, &sample, "a.yaml", text, strlen(text), &err);
    assert_string_equal(err.text, "");
    assert_int_equal(result, 0);
    assert_int_equal(config_problem_count(config), 0);
}

static void load_sets(const char *path, const char *const *sets, size_t count)
{
    struct error err = { .text = "" };
    int result = config_load(&config, sample_options, &sample, path, sets, count, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(result, 0);
}

static const struct sample_camera *camera(size_t index)
{
    assert_true(index < sample.cameras.count);
    return (const struct sample_camera *)sample.cameras.items + index;
}

static void assert_defaults(void)
{
    assert_string_equal(sample.log, "info");
    assert_int_equal(sample.cameras.count, 0);
    assert_string_equal(sample.link.address, "tcp://127.0.0.1:5570");
    assert_true(sample.link.timeout_s == 2.5);
    assert_int_equal(sample.link.any, 7);
    assert_true(sample.link.real == -1e-3);
    assert_int_equal(sample.spare.count, 0);
    assert_int_equal(sample.classes.count, 2);
    assert_string_equal(sample.classes.items[0], "person");
    assert_string_equal(sample.classes.items[1], "car");
    assert_false(sample.quiet);
}

static void without_a_file_there_are_defaults(void **state)
{
    (void)state;
    load_sets(NULL, NULL, 0);
    assert_defaults();
}

static void empty_files_give_defaults(void **state)
{
    const char *const texts[] = { "",     "\n\n", "# nothing\n", "---\n",        "--- {}\n...\n",
                                  "null", "~\n",  "{}\n",        "\xef\xbb\xbf", "link:\ncameras:\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        load(texts[i]);
        assert_defaults();
        clean(state);
    }
}

static void reads_every_kind(void **state)
{
    (void)state;
    load("log: warn,net=debug\n"
         "cameras:\n"
         "  - name: gate\n"
         "    url: rtsp://u:p@h/1\n"
         "    password: \"12345\"\n"
         "    rung: { fps: 240, quality: 1, codec: raw }\n"
         "    tags: [one, \"two words\", '3']\n"
         "    live: false\n"
         "  - name: 'yard # no comment'\n"
         "link:\n"
         "  timeout_s: 1.5e1\n"
         "  any: 4294967295\n"
         "  real: -.5\n"
         "spare:\n"
         "  -\n"
         "  - fps: 1\n"
         "classes:\n"
         "- bus\n"
         "quiet: true\n");
    assert_string_equal(sample.log, "warn,net=debug");
    assert_int_equal(sample.cameras.count, 2);
    assert_string_equal(camera(0)->name, "gate");
    assert_string_equal(camera(0)->url, "rtsp://u:p@h/1");
    assert_string_equal(camera(0)->password, "12345");
    assert_int_equal(camera(0)->rung.fps, 240);
    assert_true(camera(0)->rung.quality == 1);
    assert_int_equal(camera(0)->rung.codec, 2);
    assert_int_equal(camera(0)->tags.count, 3);
    assert_string_equal(camera(0)->tags.items[1], "two words");
    assert_string_equal(camera(0)->tags.items[2], "3");
    assert_false(camera(0)->live);
    assert_string_equal(camera(1)->name, "yard # no comment");
    assert_string_equal(camera(1)->url, "");
    assert_string_equal(camera(1)->password, ""); /* not set, though 4 bytes are the least */
    assert_int_equal(camera(1)->rung.fps, 25);
    assert_true(camera(1)->live);
    assert_true(sample.link.timeout_s == 15);
    assert_true(sample.link.any == UINT32_MAX);
    assert_true(sample.link.real == -0.5);
    assert_string_equal(sample.link.address, "tcp://127.0.0.1:5570");
    assert_int_equal(sample.spare.count, 2);
    assert_int_equal(((struct sample_rung *)sample.spare.items)[0].fps, 25);
    assert_int_equal(((struct sample_rung *)sample.spare.items)[1].fps, 1);
    assert_int_equal(sample.classes.count, 1);
    assert_string_equal(sample.classes.items[0], "bus");
    assert_true(sample.quiet);
}

static void quoted_texts_stay_texts(void **state)
{
    (void)state;
    load("log: \"null\"\nclasses: [\"\", \"~\", \"1\"]\nlink: {any: \"5\"}\n");
    assert_string_equal(sample.log, "null");
    assert_string_equal(sample.classes.items[0], "");
    assert_string_equal(sample.classes.items[1], "~");
    assert_int_equal(sample.link.any, 5);
}

static void reads_files_in_either_line_ending(void **state)
{
    (void)state;
    load("log: debug\r\nlink:\r\n  any: 3\r\n");
    assert_string_equal(sample.log, "debug");
    assert_int_equal(sample.link.any, 3);
}

static void sets_win_over_defaults(void **state)
{
    (void)state;
    const char *const sets[] = { "log=error", "link.any=9", "classes=a,b,c", "quiet=true",
                                 "log=debug" };
    load_sets(NULL, sets, 5);
    assert_string_equal(sample.log, "debug"); /* the later one */
    assert_int_equal(sample.link.any, 9);
    assert_int_equal(sample.classes.count, 3);
    assert_string_equal(sample.classes.items[2], "c");
    assert_true(sample.quiet);
}

static void sets_edit_and_extend_lists(void **state)
{
    (void)state;
    char path[] = "/tmp/load_test.XXXXXX";
    int file = mkstemp(path);
    const char *text =
        "cameras:\n  - name: a\n    rung: {fps: 9}\nlink:\nlog: x\nclasses: [p, q]\n";
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    const char *const sets[] = { "cameras.0.rung.codec=mjpeg",
                                 "cameras.1.name=b=c.d",
                                 "cameras.1.tags.0=t",
                                 "cameras.1.rung.fps=3",
                                 "link.any=1",
                                 "log=",
                                 "classes.1=r",
                                 "spare.0.fps=2",
                                 "cameras.0.url=rtsp://h:1/x" };
    load_sets(path, sets, sizeof sets / sizeof *sets);
    unlink(path);
    assert_int_equal(sample.cameras.count, 2);
    assert_string_equal(camera(0)->name, "a");
    assert_int_equal(camera(0)->rung.fps, 9);
    assert_int_equal(camera(0)->rung.codec, 1);
    assert_string_equal(camera(0)->url, "rtsp://h:1/x");
    assert_string_equal(camera(1)->name, "b=c.d");
    assert_string_equal(camera(1)->tags.items[0], "t");
    assert_int_equal(camera(1)->rung.fps, 3);
    assert_true(camera(1)->rung.quality == 0.5);
    assert_int_equal(sample.link.any, 1);
    assert_string_equal(sample.log, "");
    assert_string_equal(sample.classes.items[0], "p");
    assert_string_equal(sample.classes.items[1], "r");
    assert_int_equal(sample.spare.count, 1);
}

#define loads(test) cmocka_unit_test_teardown(test, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        loads(without_a_file_there_are_defaults),
        loads(empty_files_give_defaults),
        loads(reads_every_kind),
        loads(quoted_texts_stay_texts),
        loads(reads_files_in_either_line_ending),
        loads(sets_win_over_defaults),
        loads(sets_edit_and_extend_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
