/* config_print: every value with its origin, secrets and logins hidden, and YAML again: what is
 * printed loads to the same values. */
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *print(const struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    config_print(config, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void every_value_with_its_origin(void **state)
{
    (void)state;
    char path[] = "/tmp/print_test.XXXXXX";
    int file = mkstemp(path);
    const char *text = "cameras:\n  - name: gate\n    url: rtsp://admin:hunter2@cam/1\n"
                       "    password: hunter2\n    rung: {fps: 5}\n    tags: [a, 'b c', \"\"]\n"
                       "link:\n  real: 0.1\nclasses: [\"null\", 'say \"\\x\"']\n";
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    struct sample sample = { 0 };
    struct config *config = NULL;
    struct error err;
    const char *const sets[] = { "link.timeout_s=3", "cameras.1.name=yard", "spare.0.codec=raw" };
    assert_int_equal(config_load(&config, sample_options, &sample, path, sets, 3, &err), 0);
    unlink(path);
    char expected[4096];
    snprintf(expected, sizeof expected,
             "log: info  # default\n"
             "cameras:\n"
             "  - name: gate  # %1$s:2\n"
             "    url: \"rtsp://***@cam/1\"  # %1$s:3\n"
             "    password: \"***\"  # %1$s:4\n"
             "    rung:\n"
             "      fps: 5  # %1$s:5\n"
             "      quality: 0.5  # default\n"
             "      codec: h264  # default\n"
             "    tags: [a, \"b c\", \"\"]  # %1$s:6\n"
             "    live: true  # default\n"
             "  - name: yard  # --set\n"
             "    url: \"\"  # default\n"
             "    password: \"\"  # default\n"
             "    rung:\n"
             "      fps: 25  # default\n"
             "      quality: 0.5  # default\n"
             "      codec: h264  # default\n"
             "    tags: []  # default\n"
             "    live: true  # default\n"
             "link:\n"
             "  address: \"tcp://127.0.0.1:5570\"  # default\n"
             "  timeout_s: 3  # --set\n"
             "  any: 7  # default\n"
             "  real: 0.1  # %1$s:8\n"
             "spare:\n"
             "  - fps: 25  # default\n"
             "    quality: 0.5  # default\n"
             "    codec: raw  # --set\n"
             "classes: [\"null\", \"say \\\"\\\\x\\\"\"]  # %1$s:9\n"
             "quiet: false  # default\n",
             path);
    char *printed = print(config);
    assert_string_equal(printed, expected);
    free(printed);
    config_free(&config);
    assert_null(config);
    config_free(&config);
}

static void what_is_printed_loads_again(void **state)
{
    (void)state;
    const char *text =
        "log: \"\\u0085\\x9b\\u2028\\uFEFF\\uFFFE\\U0001F600~ #: [x]\\n\\ttab \\xe9 "
        "'\\\"\"\ncameras:\n- name: '- dash'\n"
        "  tags: ['a, b', ' ', \"null\"]\nlink: {real: 0.1, timeout_s: 0.30000000000000004}\n"
        "classes: ['*x', '&y', '!z', '@at']\nspare: [{quality: 0.333333333333333314}]\n";
    struct sample sample = { 0 }, again = { 0 };
    struct config *config = NULL, *config_again = NULL;
    struct error err = { .text = "" };
    config_load_text(&config, sample_options, &sample, "x", text, strlen(text), &err);
    assert_string_equal(err.text, "");
    char *printed = print(config);
    config_load_text(&config_again, sample_options, &again, "x", printed, strlen(printed), &err);
    assert_string_equal(err.text, "");
    char *printed_again = print(config_again);
    assert_string_equal(sample.log, again.log);
    assert_string_equal(sample.log, "\xc2\x85\xc2\x9b\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbe"
                                    "\xf0\x9f\x98\x80~ #: [x]\n\ttab \xc3\xa9 '\"");
    const struct sample_camera *a = sample.cameras.items, *b = again.cameras.items;
    assert_string_equal(a->name, b->name);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(a->tags.items[i], b->tags.items[i]);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(sample.classes.items[i], again.classes.items[i]);
    assert_true(sample.link.timeout_s == again.link.timeout_s); /* to the last bit */
    assert_true(((struct sample_rung *)sample.spare.items)->quality ==
                ((struct sample_rung *)again.spare.items)->quality);
    free(printed);
    free(printed_again);
    config_free(&config);
    config_free(&config_again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_with_its_origin),
        cmocka_unit_test(what_is_printed_loads_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
