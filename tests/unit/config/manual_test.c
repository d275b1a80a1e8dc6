/* The manual: the example file's exact look, that it loads without a mistake and changes nothing,
 * as it is and with every '#' taken away; the Markdown's rows. */
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *write_example(const struct option_spec *options)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    config_write_example(options, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static struct config *load(const struct option_spec *options, void *target, const char *text)
{
    struct config *config = NULL;
    struct error err = { .text = "" };
    config_load_text(&config, options, target, "example.yaml", text, strlen(text), &err);
    assert_string_equal(err.text, "");
    return config;
}

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

static void example_looks_so(void **state)
{
    (void)state;
    char *text = write_example(sample_options);
    assert_string_equal(
        text, "# Keys behind a '#' in the first column show their defaults: to change one, take "
              "that '#' away,\n"
              "# and those of the lines it belongs to. The command `check` names every mistake.\n"
              "\n"
              "# log level, then levels by module with commas between, so that one "
              "module can be watched\n"
              "# closely while the others stay quiet (default info)\n"
              "#log: info\n"
              "\n"
              "# one entry per camera (list; 0 to 3 elements)\n"
              "cameras:\n"
              "#    # name of the stream (required)\n"
              "#  - name: gate\n"
              "#    # where the pictures come from\n"
              "#    url: \"\"\n"
              "#    # for the camera (4 to 16 bytes)\n"
              "#    password: \"\"\n"
              "#    # what is sent\n"
              "#    rung:\n"
              "#      # frames per second (1 to 240 fps; default 25)\n"
              "#      fps: 25\n"
              "#      # share of the best quality (0 to 1; default 0.5)\n"
              "#      quality: 0.5\n"
              "#      # how frames are packed (h264, mjpeg, raw; default h264)\n"
              "#      codec: h264\n"
              "#    # words for your own use (0 to 3 elements)\n"
              "#    tags: []\n"
              "#    # newest frames first (true or false; default true)\n"
              "#    live: true\n"
              "\n"
              "# the link to the server\n"
              "link:\n"
              "  # where the server listens (default tcp://127.0.0.1:5570)\n"
              "#  address: \"tcp://127.0.0.1:5570\"\n"
              "  # wait that long | then try again (0.1 to 60 s; default 2.5)\n"
              "#  timeout_s: 2.5\n"
              "  # any whole number (default 7)\n"
              "#  any: 7\n"
              "  # any number (default -1e-3)\n"
              "#  real: -1e-3\n"
              "\n"
              "# rungs to fall back to (list)\n"
              "spare:\n"
              "#    # frames per second (1 to 240 fps; default 25)\n"
              "#  - fps: 25\n"
              "#    # share of the best quality (0 to 1; default 0.5)\n"
              "#    quality: 0.5\n"
              "#    # how frames are packed (h264, mjpeg, raw; default h264)\n"
              "#    codec: h264\n"
              "\n"
              "# what is looked for (1 to 4 elements; default person,car)\n"
              "#classes: [\"person\", \"car\"]\n"
              "\n"
              "# say nothing (true or false; default false)\n"
              "#quiet: false\n");
    free(text);
}

/* Cuts the origins off a printout. */
static void strip_origins(char *printed)
{
    char *to = printed;
    for (char *line = printed; *line;) {
        size_t size = strcspn(line, "\n");
        const char *origin = strstr(line, "  # ");
        size_t kept = origin && origin < line + size ? (size_t)(origin - line) : size;
        memmove(to, line, kept);
        to += kept;
        *to++ = '\n';
        line += size + 1;
    }
    *to = '\0';
}

static void example_changes_nothing(void **state)
{
    (void)state;
    struct sample from_nothing = { 0 }, from_example = { 0 };
    struct config *nothing = load(sample_options, &from_nothing, "");
    char *text = write_example(sample_options);
    struct config *example = load(sample_options, &from_example, text);
    char *a = print(nothing), *b = print(example);
    strip_origins(a);
    strip_origins(b);
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "\nspare: []\n"));
    free(a);
    free(b);
    free(text);
    config_free(&nothing);
    config_free(&example);
}

/* Removes the '#' before every key; one blank behind it makes a comment instead. */
static void uncomment(char *text)
{
    char *to = text;
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n') + 1;
        bool off = line[0] == '#' && (line[1] != ' ' || line[2] == ' ');
        size_t size = (size_t)(end - line) - off;
        memmove(to, line + off, size);
        to += size;
        line = end;
    }
    *to = '\0';
}

static void example_without_hashes_loads(void **state)
{
    (void)state;
    struct sample sample = { 0 };
    char *text = write_example(sample_options);
    uncomment(text);
    struct config *config = load(sample_options, &sample, text);
    assert_int_equal(sample.cameras.count, 1);
    const struct sample_camera *camera = sample.cameras.items;
    assert_string_equal(camera->name, "gate");
    assert_string_equal(camera->password, ""); /* the default, though shorter than is allowed */
    assert_int_equal(camera->rung.fps, 25);
    assert_int_equal(sample.spare.count, 1);
    assert_string_equal(sample.classes.items[1], "car");
    free(text);
    config_free(&config);
}

/* Lists that must have an element, and values that must be given. */

struct strict_item {
    uint32_t first, second;
    int codec;
    bool on;
    char *word;
    struct option_strings words;
    struct sample_rung rung;
};

struct strict {
    struct option_list items;
    double real;
};

static const struct option_spec strict_item_options[] = {
    OPTION_U32(strict_item, first, "3", 1, 9, "", "comes first"),
    OPTION_U32(strict_item, second, NULL, 2, 9, "", "must be given"),
    OPTION_ENUM(strict_item, codec, NULL, sample_codecs, "must be chosen"),
    { .name = "on",
      .kind = OPTION_KIND_BOOL,
      .offset = offsetof(struct strict_item, on),
      .help = "yes or no" },
    OPTION_STRING(strict_item, word, NULL, "a word"),
    OPTION_STRINGS(strict_item, words, 1, 2, "one or two"),
    OPTION_SECTION(strict_item, rung, sample_rung_options, "inside"),
    OPTION_END,
};

static const struct option_spec strict_options[] = {
    OPTION_LIST(strict, items, strict_item, strict_item_options, 1, 2, "at least one"),
    OPTION_F64(strict, real, NULL, -2, 2, "", "must be given"),
    OPTION_END,
};

static void required_values_stand_in_the_example(void **state)
{
    (void)state;
    struct strict strict = { 0 };
    char *text = write_example(strict_options);
    struct config *config = load(strict_options, &strict, text);
    assert_int_equal(strict.items.count, 1);
    const struct strict_item *item = strict.items.items;
    assert_int_equal(item->first, 3);
    assert_int_equal(item->second, 2);
    assert_int_equal(item->codec, 0);
    assert_false(item->on);
    assert_string_equal(item->word, "word");
    assert_int_equal(item->words.count, 1);
    assert_int_equal(item->rung.fps, 25);
    assert_true(strict.real == -2);
    assert_non_null(strstr(text, "\n  - first: 3\n")); /* live, for it carries the dash */
    free(text);
    config_free(&config);
}

static void missing_values_are_told(void **state)
{
    (void)state;
    struct strict strict = { 0 };
    struct config *config = NULL;
    struct error err;
    const char *text = "items:\n  - first: 1\n    words: []\n";
    assert_int_equal(config_load_text(&config, strict_options, &strict, "s", text, strlen(text), &err),
                     -ERROR_CONFIG);
    const char *const expected[] = {
        "s:1: real: is required: must be given",
        "s:2: items.0.second: is required: must be given",
        "s:2: items.0.codec: is required: must be chosen",
        "s:2: items.0.on: is required: yes or no",
        "s:2: items.0.word: is required: a word",
        "s:3: items.0.words: has 0 elements, allowed 1 to 2",
    };
    assert_int_equal(config_problem_count(config), sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(config_problem(config, i), expected[i]);
    config_free(&config);
}

static void markdown_has_a_row_for_every_key(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    config_write_markdown(sample_options, "Configuring", "sample check FILE", false, out);
    assert_int_equal(fclose(out), 0);
    const char *head = "# Configuring\n\nA key that is not listed here is a mistake, and "
                       "`sample check FILE` says so.\n\n## Top level\n";
    assert_memory_equal(text, head, strlen(head));
    const char *const parts[] = {
        "\n## Top level\n\n| key | default | allowed | unit | what it does |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `log` | `info` |  |  | log level, then levels by module with commas between, so that "
        "one "
        "module can be watched closely while the others stay quiet |\n"
        "| `classes` | `person,car` | 1 to 4 elements |  | what is looked for |\n"
        "| `quiet` | `false` | true or false |  | say nothing |\n\n",
        "\n## `cameras[]`\n\nOne entry per camera (list; 0 to 3 elements).\n\n| key |",
        "| `name` | required |  |  | name of the stream |\n",
        "| `password` |  | 4 to 16 bytes |  | for the camera (secret: never printed) |\n",
        "\n## `cameras[].rung`\n\nWhat is sent.\n\n",
        "| `fps` | `25` | 1 to 240 | fps | frames per second |\n",
        "| `codec` | `h264` | h264, mjpeg, raw |  | how frames are packed |\n",
        "\n## `link`\n",
        "| `timeout_s` | `2.5` | 0.1 to 60 | s | wait that long \\| then try again |\n",
        "\n## `spare[]`\n\nRungs to fall back to (list).\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(strstr(text, parts[i]));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_looks_so),
        cmocka_unit_test(example_changes_nothing),
        cmocka_unit_test(example_without_hashes_loads),
        cmocka_unit_test(required_values_stand_in_the_example),
        cmocka_unit_test(missing_values_are_told),
        cmocka_unit_test(markdown_has_a_row_for_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
