/* config's mistakes: the exact sentences, all of a file in one run, in the order of lines. */
#include "sample.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* The problems, one a line. */
static void assert_problems(const char *expected)
{
    struct text found = { 0 };
    for (size_t i = 0; i < config_problem_count(config); i++)
        text_printf(&found, "%s\n", config_problem(config, i));
    assert_string_equal(found.data ? found.data : "", expected);
    text_finish(&found);
}

static void refuse_bytes(const char *bytes, size_t size, const char *expected)
{
    struct error err = { .text = "" };
    config_free(&config);
    memset(&sample, 0, sizeof sample);
    int result = config_load_text(&config, sample_options, &sample, "a.yaml", bytes, size, &err);
    assert_int_equal(result, -ERROR_CONFIG);
    assert_int_equal(err.code, ERROR_CONFIG);
    assert_problems(expected);
    assert_memory_equal(err.text, expected, strcspn(expected, "\n")); /* the first */
    assert_int_equal(strlen(err.text), strcspn(expected, "\n"));
}

static void refuse(const char *text, const char *expected)
{
    refuse_bytes(text, strlen(text), expected);
}

static void refuse_sets(const char *const *sets, size_t count, const char *expected)
{
    struct error err;
    config_free(&config);
    memset(&sample, 0, sizeof sample);
    int result = config_load(&config, sample_options, &sample, NULL, sets, count, &err);
    assert_int_equal(result, -ERROR_CONFIG);
    assert_problems(expected);
}

static void all_mistakes_of_a_file_at_once(void **state)
{
    (void)state;
    refuse(
        "log: info\n"
        "link:\n"
        "  adress: tcp://h\n"
        "  timeout_s: 61\n"
        "  any: 12x\n"
        "cameras:\n"
        "  - nam: gate\n"
        "    rung:\n"
        "      fps: 025\n"
        "      codec: h265\n"
        "    live: yes\n"
        "  - name: yard\n"
        "    rung: 5\n"
        "    fps: 3\n"
        "log: debug\n"
        "classes: person\n",
        "a.yaml:3: link.adress: no such key, did you mean \"address\"?\n"
        "a.yaml:4: link.timeout_s: \"61\" is out of range, allowed 0.1 to 60 s\n"
        "a.yaml:5: link.any: \"12x\" is not a whole number\n"
        "a.yaml:7: cameras.0.nam: no such key, did you mean \"name\"?\n"
        "a.yaml:7: cameras.0.name: is required: name of the stream\n"
        "a.yaml:9: cameras.0.rung.fps: \"025\" starts with a 0, allowed 1 to 240 fps\n"
        "a.yaml:10: cameras.0.rung.codec: \"h265\" is not known, allowed h264, mjpeg, raw, did "
        "you mean \"h264\"?\n"
        "a.yaml:11: cameras.0.live: \"yes\" is not a truth value, allowed true or false, did you "
        "mean \"true\"?\n"
        "a.yaml:13: cameras.1.rung: is a section and needs keys below it, like \"fps: …\"\n"
        "a.yaml:14: cameras.1.fps: no such key, did you mean \"cameras.0.rung.fps\"?\n"
        "a.yaml:15: log: is given twice, first in line 1; keep one\n"
        "a.yaml:16: classes: is a list: write [one, two], or each element below it after \"- \"\n");
}

static void wrong_whole_numbers(void **state)
{
    (void)state;
    const char *const wrong[] = { "-1",     "+1",   "1.0", "1e3", "0x10", "1_000", "1,000",
                                  "\" 1\"", "\"\"", "1k",  "ten", ".inf", "0b1",   "\"1 \"" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64], expected[160];
        const char *bare = wrong[i];
        size_t size = strlen(bare);
        if (*bare == '"') {
            bare++;
            size -= 2;
        }
        snprintf(text, sizeof text, "link: {any: %s}\n", wrong[i]);
        if (strcmp(wrong[i], "1,000") == 0) /* a comma ends a value between braces */
            snprintf(text, sizeof text, "link:\n  any: 1,000\n");
        snprintf(expected, sizeof expected, "a.yaml:%d: link.any: \"%.*s\" is not a whole number\n",
                 strchr(text, '{') ? 1 : 2, (int)size, bare);
        refuse(text, expected);
    }
    refuse("link: {any: 00}\n", "a.yaml:1: link.any: \"00\" starts with a 0\n");
    refuse("link: {any: 4294967296}\n", "a.yaml:1: link.any: \"4294967296\" is out of range\n");
    refuse(
        "spare: [{fps: 0}, {fps: 241}, {fps: 99999999999999999999999999}]\n",
        "a.yaml:1: spare.0.fps: \"0\" is out of range, allowed 1 to 240 fps\n"
        "a.yaml:1: spare.1.fps: \"241\" is out of range, allowed 1 to 240 fps\n"
        "a.yaml:1: spare.2.fps: \"99999999999999999999999999\" is out of range, allowed 1 to 240 "
        "fps\n");
}

static void wrong_real_numbers(void **state)
{
    (void)state;
    const char *const wrong[] = { "nan", ".nan", "inf", "-inf", ".inf", "0x1p3", "1.5x", "1.5.1",
                                  "e5",  "-x",   "1e",  "+1",   "1e+",  ".",     "1d5",  "--1" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64], expected[160];
        snprintf(text, sizeof text, "link:\n  real: %s\n", wrong[i]);
        snprintf(expected, sizeof expected, "a.yaml:2: link.real: \"%s\" is not a number\n",
                 wrong[i]);
        refuse(text, expected);
    }
    refuse("link: {real: 1e999}\n", "a.yaml:1: link.real: \"1e999\" is out of range\n");
    refuse("link: {real: -1e999}\n", "a.yaml:1: link.real: \"-1e999\" is out of range\n");
    refuse("link: {real: -01.5}\n", "a.yaml:1: link.real: \"-01.5\" starts with a 0\n");
    refuse("spare: [{quality: 1.0001}, {quality: -0.1}]\n",
           "a.yaml:1: spare.0.quality: \"1.0001\" is out of range, allowed 0 to 1\n"
           "a.yaml:1: spare.1.quality: \"-0.1\" is out of range, allowed 0 to 1\n");
}

static void wrong_words_and_truths(void **state)
{
    (void)state;
    refuse("spare: [{codec: H264}, {codec: vp9}, {codec: \"\"}]\n",
           "a.yaml:1: spare.0.codec: \"H264\" is not known, allowed h264, mjpeg, raw, did you mean "
           "\"h264\"?\n"
           "a.yaml:1: spare.1.codec: \"vp9\" is not known, allowed h264, mjpeg, raw\n"
           "a.yaml:1: spare.2.codec: \"\" is not known, allowed h264, mjpeg, raw\n");
    refuse("quiet: 1\n", "a.yaml:1: quiet: \"1\" is not a truth value, allowed true or false\n");
    refuse("quiet: off\n",
           "a.yaml:1: quiet: \"off\" is not a truth value, allowed true or false, did "
           "you mean \"false\"?\n");
    refuse("quiet: True\n",
           "a.yaml:1: quiet: \"True\" is not a truth value, allowed true or false, "
           "did you mean \"true\"?\n");
}

static void wrong_lengths_and_counts(void **state)
{
    (void)state;
    refuse("cameras: [{name: \"\"}]\n",
           "a.yaml:1: cameras.0.name: \"\" has 0 bytes, allowed 1 to 4096 bytes\n");
    refuse("cameras:\n- name: a\n- name: b\n- name: c\n- nme: d\n- name: e\n",
           "a.yaml:1: cameras: has 5 elements, allowed 0 to 3\n");
    refuse("cameras:\n- name: a\n  tags: [a, b, c, d]\nclasses: []\n",
           "a.yaml:3: cameras.0.tags: has 4 elements, allowed 0 to 3\n"
           "a.yaml:4: classes: has 0 elements, allowed 1 to 4\n");
    char long_item[4200] = "classes: [b, ";
    memset(long_item + 13, 'a', 4097);
    strcpy(long_item + 13 + 4097, "]");
    refuse(long_item, "a.yaml:1: classes.1: has more than 4096 bytes\n");
    refuse("classes: [a, , {b: c}, [d]]\n",
           "a.yaml:1: cannot be read as YAML: while parsing a flow "
           "node, did not find expected node content; look at the "
           "indentation (spaces, no tabs), the colons and the "
           "quotes here and just above\n");
    refuse("classes: [a, ~, {b: c}, [d]]\n", "a.yaml:1: classes.1: needs one value\n"
                                             "a.yaml:1: classes.2: needs one value\n"
                                             "a.yaml:1: classes.3: needs one value\n");
}

static void wrong_shapes(void **state)
{
    (void)state;
    refuse("just a text\n", "a.yaml:1: must hold keys with values, like \"log: …\"\n");
    refuse("# head\n- a\n", "a.yaml:2: must hold keys with values, like \"log: …\"\n");
    refuse("link: [a]\nlog: {a: b}\nquiet:\ncameras: {name: a}\nspare: 5\n",
           "a.yaml:1: link: is a section and needs keys below it, like \"address: …\"\n"
           "a.yaml:2: log: needs one value, not keys or elements, allowed 0 to 4096 bytes\n"
           "a.yaml:3: quiet: has no value; give one or remove the line, allowed true or false\n"
           "a.yaml:4: cameras: is a list: start each element below it with \"- \"\n"
           "a.yaml:5: spare: is a list: start each element below it with \"- \"\n");
    refuse("cameras: [gate]\n",
           "a.yaml:1: cameras.0: is a section and needs keys below it, like \"name: …\"\n");
    refuse("cameras:\n  -\n", "a.yaml:2: cameras.0.name: is required: name of the stream\n");
    refuse("zzz: 1\n? [a, b]\n: c\n",
           "a.yaml:1: zzz: no such key, allowed log, cameras, link, spare, classes, quiet\n"
           "a.yaml:2: a key must be a plain word\n");
}

static void anchors_aliases_and_tags(void **state)
{
    (void)state;
    refuse("link: &l {any: 1}\nspare: *l\nlog: !!str x\n",
           "a.yaml:1: link: anchors (&name) are not allowed, write the value out in each place\n"
           "a.yaml:2: spare: aliases (*name) are not allowed, write the value out in each place\n"
           "a.yaml:3: log: tags (!name) are not allowed, leave the tag out\n");
    refuse("log: info\n--- \nlog: debug\n",
           "a.yaml:2: a second document starts; only one is allowed in a file\n");
}

static void text_that_is_no_text(void **state)
{
    (void)state;
    refuse("log: info\nlink: \xff\n",
           "a.yaml:2: byte 0xff is not UTF-8 text; save the file as UTF-8\n");
    refuse_bytes("\xff\xfel\0o\0g\0", 8,
                 "a.yaml:1: byte 0xff is not UTF-8 text; save the file as "
                 "UTF-8\n");
    refuse_bytes("log: a\0b\n", 9, "a.yaml:1: byte 0x00 is not UTF-8 text; save the file as UTF-8\n");
    refuse("log: x\n\nlink: \xc2\x80\n",
           "a.yaml:3: cannot be read as YAML: control characters are not allowed; look at the "
           "indentation (spaces, no tabs), the colons and the quotes here and just above\n");
    refuse("log: \"a\\0b\"\n", "a.yaml:1: log: a value must not hold a NUL byte\n");
    refuse("\"a\\0b\": 1\n", "a.yaml:1: a key must be a plain word\n");
}

static void what_comes_before_a_syntax_error_is_told_too(void **state)
{
    (void)state;
    refuse("quiet: 7\ncameras:\n  - nme: a\n\t  x: y\nlink:\n",
           "a.yaml:1: quiet: \"7\" is not a truth value, allowed true or false\n"
           "a.yaml:3: cameras.0.nme: no such key, did you mean \"name\"?\n"
           "a.yaml:4: cannot be read as YAML: while scanning a plain scalar, found a tab character "
           "that violates indentation; look at the indentation (spaces, no tabs), the colons and "
           "the quotes here and just above\n");
}

static void limits(void **state)
{
    (void)state;
    refuse("a: {b: {c: {d: {e: {f: {g: {h: {i: {j: {k: {l: {m: {n: {o: {p: {q: 1}}}}}}}}}}}}}}}}\n",
           "a.yaml:1: a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p: is nested too deeply\n"
           "a.yaml:1: a: no such key, allowed log, cameras, link, spare, classes, quiet\n");

    struct text text = { 0 };
    for (int i = 0; i < 400; i++)
        text_printf(&text, "zz%d: 1\n", i);
    struct error err;
    config_free(&config);
    assert_int_equal(
        config_load_text(&config, sample_options, &sample, "a.yaml", text.data, text.size, &err),
        -ERROR_CONFIG);
    size_t count = config_problem_count(config);
    assert_int_equal(count, 100);
    assert_string_equal(config_problem(config, count - 1),
                        "a.yaml: has more mistakes; repair these first");
    assert_memory_equal(config_problem(config, 98), "a.yaml:99: zz98: no such key", 28);

    for (int i = 400; i < 501; i++)
        text_printf(&text, "zz%d: 1\n", i);
    config_free(&config);
    config_load_text(&config, sample_options, &sample, "a.yaml", text.data, text.size, &err);
    assert_string_equal(config_problem(config, 98),
                        "a.yaml:501: zz500: too many keys in one section");

    text_clear(&text);
    text_add_str(&text, "classes: [");
    for (int i = 0; i < 60000; i++)
        text_add_str(&text, "a,");
    text_add_str(&text, "a]");
    refuse(text.data, "a.yaml:1: classes.49999: the file has too many values\n");

    text_clear(&text);
    while (text.size <= CONFIG_FILE_BYTES_MAX)
        text_add_str(&text, "# a comment that goes on and on\n");
    refuse(text.data, "a.yaml: is larger than 1048576 bytes\n");
    text_finish(&text);
}

static void secrets_are_not_repeated(void **state)
{
    (void)state;
    refuse("cameras:\n  - name: a\n    password: abc\n",
           "a.yaml:3: cameras.0.password: the value has 3 bytes, allowed 4 to 16 bytes\n");
    refuse("rtsp://admin:hunter2@cam/1: x\n",
           "a.yaml:1: rtsp://***@cam/1: no such key, allowed log, cameras, link, spare, classes, "
           "quiet\n");
    refuse("quiet: http://h/?token=abc\n",
           "a.yaml:1: quiet: \"http://h/?token=***\" is not a truth "
           "value, allowed true or false\n");
}

static void messages_stay_one_printable_line(void **state)
{
    (void)state;
    refuse("quiet: \"a\\nb\\e[31m\\x9b\"\n",
           "a.yaml:1: quiet: \"a?b?[31m??\" is not a truth value, "
           "allowed true or false\n");
    struct text text = { 0 };
    text_add_str(&text, "quiet: ");
    for (int i = 0; i < 5000; i++)
        text_add_str(&text, "x");
    text_add_str(&text, "\n");
    for (int i = 0; i < 900; i++)
        text_add_str(&text, "k");
    text_add_str(&text, ": 1\n");
    struct error err;
    config_free(&config);
    config_load_text(&config, sample_options, &sample, "a.yaml", text.data, text.size, &err);
    assert_int_equal(config_problem_count(config), 2);
    assert_true(strlen(config_problem(config, 0)) < 200);
    assert_true(strlen(config_problem(config, 1)) < 400);
    text_finish(&text);
}

static void wrong_sets(void **state)
{
    (void)state;
    const char *const sets[] = { "quiet",
                                 "=1",
                                 "link..any=1",
                                 ".link=1",
                                 "link.=1",
                                 "lnk.any=1",
                                 "link.any=x",
                                 "cameras.1.name=a",
                                 "cameras.x=1",
                                 "cameras=gate",
                                 "link=5",
                                 "link.0=1",
                                 "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1" };
    refuse_sets(
        sets, sizeof sets / sizeof *sets,
        "--set: \"quiet\" has no \"=\"; write a.b.0.c=VALUE\n"
        "--set: \"=1\" is not a key; write a.b.0.c=VALUE\n"
        "--set: \"link..any=1\" is not a key; write a.b.0.c=VALUE\n"
        "--set: \".link=1\" is not a key; write a.b.0.c=VALUE\n"
        "--set: \"link.=1\" is not a key; write a.b.0.c=VALUE\n"
        "--set: cameras: has 0 elements, written as .0 and so on; \"1\" is none of them, "
        "nor the next\n"
        "--set: cameras: has 0 elements, written as .0 and so on; \"x\" is none of them, "
        "nor the next\n"
        "--set: \"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1\" is not a key; write a.b.0.c=VALUE\n"
        "--set: lnk: no such key, did you mean \"link\"?\n"
        "--set: link: is a section and needs keys below it, like \"address: …\"\n"
        "--set: cameras: is a list; name one of its elements, as in cameras.0.name=VALUE\n");
    const char *const more[] = { "cameras.0.url=u", "spare.0.fps=900", "classes=", "classes.0.x=1" };
    refuse_sets(more, 3,
                "--set: cameras.0.name: is required: name of the stream\n"
                "--set: spare.0.fps: \"900\" is out of range, allowed 1 to 240 fps\n"
                "--set: classes: has 0 elements, allowed 1 to 4\n");
    const char *const bytes[] = { "log=a\xff" };
    refuse_sets(bytes, 1, "--set: \"log=a?\" is not UTF-8 text\n");
    refuse_sets(more + 3, 1, "--set: classes.0: needs one value\n");
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(config_load(&config, sample_options, &sample, "/no/such.yaml", NULL, 0, &err),
                     -ERROR_CONFIG);
    assert_problems("/no/such.yaml: there is no such file; `mistakes_test example` prints a "
                    "configuration to start from\n");
    config_free(&config);
    assert_int_equal(config_load(&config, sample_options, &sample, "/tmp", NULL, 0, &err),
                     -ERROR_CONFIG);
    assert_string_equal(err.text, "/tmp: cannot be read: Is a directory");
    assert_string_equal(sample.log, "info"); /* whole all the same */
}

static void modules_add_their_own(void **state)
{
    (void)state;
    const char *text = "link:\n  any: 3\ncameras:\n  - name: a\n  - name: b\n    tags: [x, y]\n";
    struct error err;
    assert_int_equal(
        config_load_text(&config, sample_options, &sample, "a.yaml", text, strlen(text), &err), 0);
    config_add_problem(config, "cameras.1.tags.1", "\"%s\" is taken", "y");
    config_add_problem(config, "cameras.1.url", "contradicts");
    config_add_problem(config, "cameras.7.url", "beyond");
    config_add_problem(config, "link.any", "is odd");
    config_add_problem(config, "quiet", "is not in the file");
    assert_problems("a.yaml:1: quiet: is not in the file\n"
                    "a.yaml:2: link.any: is odd\n"
                    "a.yaml:3: cameras.7.url: beyond\n"
                    "a.yaml:5: cameras.1.url: contradicts\n"
                    "a.yaml:6: cameras.1.tags.1: \"y\" is taken\n");
}

#define loads(test) cmocka_unit_test_teardown(test, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        loads(all_mistakes_of_a_file_at_once),
        loads(wrong_whole_numbers),
        loads(wrong_real_numbers),
        loads(wrong_words_and_truths),
        loads(wrong_lengths_and_counts),
        loads(wrong_shapes),
        loads(anchors_aliases_and_tags),
        loads(text_that_is_no_text),
        loads(what_comes_before_a_syntax_error_is_told_too),
        loads(limits),
        loads(secrets_are_not_repeated),
        loads(messages_stay_one_printable_line),
        loads(wrong_sets),
        loads(files_that_cannot_be_read),
        loads(modules_add_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
