/* compare: every kind of value is compared, with the key and the reload class that hold where it stands. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct item {
    uint32_t number;
    char *word;
};

struct inner {
    double real;
    struct option_strings words;
    int choice;
};

struct sample {
    bool on;
    char *text;
    struct inner live, inherits;
    struct option_list items;
};

static const char *const choices[] = { "one", "two", NULL };

static const struct option_spec item_options[] = {
    OPTION_U32(item, number, "1", 0, 9, "", "a number"),
    OPTION_STRING(item, word, "", "a word"),
    OPTION_END,
};

static const struct option_spec inner_options[] = {
    OPTION_F64(inner, real, "1", 0, 9, "", "a number"),
    OPTION_STRINGS(inner, words, 0, 9, "some words"),
    OPTION_ENUM(inner, choice, "one", choices, "one of them", .reload = RELOAD_PART),
    OPTION_END,
};

static const struct option_spec sample_options[] = {
    OPTION_BOOL(sample, on, "true", "yes or no"),
    OPTION_STRING(sample, text, "", "a text", .reload = RELOAD_LIVE),
    OPTION_SECTION(sample, live, inner_options, "a section that is live", .reload = RELOAD_LIVE),
    OPTION_SECTION(sample, inherits, inner_options, "a section that says nothing"),
    OPTION_LIST(sample, items, item, item_options, 0, 9, "a list", .reload = RELOAD_PART),
    OPTION_END,
};

static void note(void *arg, const char *key, enum option_reload reload)
{
    static const char *const words[] = { "?", "live", "part", "restart" };
    size_t used = strlen(arg);
    snprintf((char *)arg + used, 256 - used, "%s=%s ", key, words[reload]);
}

/* The differences between two configurations as text. */
static enum option_reload compare(const char *a, const char *b, char told[256])
{
    struct sample left = { .on = false }, right = { .on = false };
    struct config *first, *second;
    assert_int_equal(config_load_text(&first, sample_options, &left, "a", a, strlen(a), NULL), 0);
    assert_int_equal(config_load_text(&second, sample_options, &right, "b", b, strlen(b), NULL), 0);
    told[0] = '\0';
    enum option_reload most =
        config_compare(sample_options, RELOAD_RESTART, &left, &right, note, told);
    assert_int_equal(options_equal(sample_options, &left, &right), most == RELOAD_AS_AROUND);
    assert_int_equal(config_compare(sample_options, RELOAD_RESTART, &right, &left, NULL, NULL), most);
    config_free(&first);
    config_free(&second);
    return most;
}

static void differences_have_key_and_class(void **state)
{
    static const struct {
        const char *a, *b, *told;
        enum option_reload most;
    } cases[] = {
        { "on: true", "{}", "", RELOAD_AS_AROUND },
        { "on: false", "{}", "on=restart ", RELOAD_RESTART },
        { "text: x", "text: y", "text=live ", RELOAD_LIVE },
        { "live: {real: 2}", "{}", "live.real=live ", RELOAD_LIVE },
        { "live: {words: [a, b]}", "live: {words: [a]}", "live.words=live ", RELOAD_LIVE },
        { "live: {words: [a, b]}", "live: {words: [a, c]}", "live.words=live ", RELOAD_LIVE },
        { "live: {words: [a, b]}", "live: {words: [a, b]}", "", RELOAD_AS_AROUND },
        { "live: {choice: two}", "{}", "live.choice=part ", RELOAD_PART },
        { "inherits: {choice: two}", "{}", "inherits.choice=part ", RELOAD_PART },
        { "inherits: {real: 3}", "{}", "inherits.real=restart ", RELOAD_RESTART },
        { "items: [{number: 2}]", "items: [{number: 3}]", "items=part ", RELOAD_PART },
        { "items: [{word: a}, {word: b}]", "items: [{word: a}]", "items=part ", RELOAD_PART },
        { "items: [{word: a}]", "items: [{word: a}]", "", RELOAD_AS_AROUND },
        { "{text: x, live: {real: 2}, on: false}", "{}", "on=restart text=live live.real=live ",
          RELOAD_RESTART },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char told[256];
        enum option_reload most = compare(cases[i].a, cases[i].b, told);
        assert_string_equal(told, cases[i].told);
        assert_int_equal(most, cases[i].most);
    }
}

static void the_manual_tells_what_a_change_takes(void **state)
{
    static const char *const parts[] = {
        "| key | default | allowed | unit | a change | what it does |\n",
        "| `on` | `true` | true or false |  | restart | yes or no |\n",
        "| `text` |  |  |  | at once | a text |\n",
        "| `real` | `1` | 0 to 9 |  | at once | a number |\n",
        "| `real` | `1` | 0 to 9 |  | restart | a number |\n",
        "| `choice` | `one` | one, two |  | part | one of them |\n",
        "| `number` | `1` | 0 to 9 |  | part | a number |\n",
    };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    assert_non_null(out);
    config_write_markdown(sample_options, "Sample", "sample check FILE", true, out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i]))
            fail_msg("%sis not in:\n%s", parts[i], text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_have_key_and_class),
        cmocka_unit_test(the_manual_tells_what_a_change_takes),
    };
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
