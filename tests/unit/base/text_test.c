/* text: growth, formatted writing over the end of the buffer, JSON commas and escapes, UTF-8 and
 * edit distance. */
#include "base/text.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void grows_and_keeps_its_memory(void **state)
{
    (void)state;
    struct text text = { 0 };
    text_add(&text, "", 0);
    assert_null(text.data); /* an empty addition needs no memory */
    for (int i = 0; i < 1000; i++)
        text_add(&text, "abc", 3);
    assert_int_equal(text.size, 3000);
    assert_int_equal(text.data[3000], '\0');
    assert_memory_equal(text.data + 2997, "abc", 3);
    size_t capacity = text.capacity;
    char *data = text.data;
    text_clear(&text);
    assert_string_equal(text.data, "");
    text_add_str(&text, "again");
    assert_string_equal(text.data, "again");
    assert_ptr_equal(text.data, data);
    assert_int_equal(text.capacity, capacity);
    text_finish(&text);
    assert_null(text.data);
    text_finish(&text);
}

static void prints_at_every_fill_level(void **state)
{
    (void)state;
    for (int fill = 0; fill < 600; fill++) {
        struct text text = { 0 };
        for (int i = 0; i < fill; i++)
            text_add(&text, "x", 1);
        text_printf(&text, "%d-%s", 12345, "end");
        assert_int_equal(text.size, fill + 9);
        assert_string_equal(text.data + fill, "12345-end");
        text_finish(&text);
    }
}

static void a_failure_stays_until_cleared(void **state)
{
    (void)state;
    struct text text = { 0 };
    text_add_str(&text, "kept");
    text_add(&text, "", SIZE_MAX / 2 + 1); /* refused before anything is copied */
    assert_true(text.failed);
    text_add_str(&text, "lost");
    text_printf(&text, "%d", 1);
    assert_string_equal(text.data, "kept");
    text_clear(&text);
    assert_false(text.failed);
    text_add_str(&text, "new");
    assert_string_equal(text.data, "new");
    text_finish(&text);
}

static void json_puts_commas_where_they_belong(void **state)
{
    (void)state;
    struct text text = { 0 };
    for (int line = 0; line < 2; line++) {
        json_begin_object(&text, NULL);
        json_str(&text, "stream", "gate-{");
        json_u64(&text, "frame", UINT64_MAX);
        json_i64(&text, "offset", INT64_MIN);
        json_begin_array(&text, "boxes");
        for (int i = 0; i < 2; i++) {
            json_begin_array(&text, NULL);
            json_f64(&text, NULL, 0.125, 2);
            json_f64(&text, NULL, -1, 0);
            json_end_array(&text);
        }
        json_begin_object(&text, NULL);
        json_end_object(&text);
        json_str(&text, NULL, "[");
        json_end_array(&text);
        json_bool(&text, "live", true);
        json_bool(&text, "late", false);
        json_end_object(&text);
        text_add(&text, "\n", 1);
    }
    const char *line = "{\"stream\":\"gate-{\",\"frame\":18446744073709551615,"
                       "\"offset\":-9223372036854775808,\"boxes\":[[0.12,-1],[0.12,-1],{},\"[\"],"
                       "\"live\":true,\"late\":false}\n";
    assert_int_equal(text.size, 2 * strlen(line));
    assert_memory_equal(text.data, line, strlen(line));
    assert_string_equal(text.data + strlen(line), line);
    text_finish(&text);
}

static void assert_json(const char *value, const char *expected)
{
    struct text text = { 0 };
    json_str(&text, NULL, value);
    assert_string_equal(text.data, expected);
    text_finish(&text);
}

static void json_escapes(void **state)
{
    (void)state;
    assert_json("", "\"\"");
    assert_json("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    assert_json("one\ntwo\t\x01\x1f\x7f", "\"one\\ntwo\\u0009\\u0001\\u001f\x7f\"");
    assert_json("caf\xc3\xa9 \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"");
    assert_json("bad \xff\xc3 \xed\xa0\x80", "\"bad \xef\xbf\xbd\xef\xbf\xbd "
                                             "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void json_has_no_words_for_infinity(void **state)
{
    (void)state;
    struct text text = { 0 };
    json_begin_array(&text, NULL);
    json_f64(&text, NULL, NAN, 3);
    json_f64(&text, NULL, INFINITY, 3);
    json_f64(&text, NULL, 1e300, 0);
    json_end_array(&text);
    assert_memory_equal(text.data, "[null,null,1", 12);
    assert_int_equal(text.size, strlen("[null,null,]") + 301);
    text_finish(&text);
}

static void knows_utf8(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t size, expected;
    } cases[] = {
        { "", 0, 0 },
        { "a", 1, 1 },
        { "\x00", 1, 1 },
        { "\x7f", 1, 1 },
        { "\x80", 1, 0 },
        { "\xc2\x80", 2, 2 },
        { "\xc1\xbf", 2, 0 }, /* overlong */
        { "\xc2", 1, 0 },     /* cut off */
        { "\xc2\x41", 2, 0 }, /* no continuation */
        { "\xe0\xa0\x80", 3, 3 },
        { "\xe0\x9f\xbf", 3, 0 }, /* overlong */
        { "\xed\x9f\xbf", 3, 3 },
        { "\xed\xa0\x80", 3, 0 }, /* surrogate */
        { "\xe2\x82", 2, 0 },
        { "\xf0\x90\x80\x80", 4, 4 },
        { "\xf0\x8f\xbf\xbf", 4, 0 }, /* overlong */
        { "\xf4\x8f\xbf\xbf", 4, 4 },
        { "\xf4\x90\x80\x80", 4, 0 }, /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", 4, 0 },
        { "\xff", 1, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(text_utf8_bytes(cases[i].bytes, cases[i].size), cases[i].expected);
}

static void measures_distance(void **state)
{
    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("abc", ""), 3);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("fsp", "fps"), 2);
    assert_int_equal(text_distance("bitrate", "bitrate"), 0);
    char longest[65], edge[64];
    memset(longest, 'a', 64);
    longest[64] = '\0';
    memset(edge, 'a', 63);
    edge[63] = '\0';
    assert_int_equal(text_distance(edge, edge), 0);
    assert_int_equal(text_distance(edge, ""), 63);
    assert_true(text_distance(longest, "a") == UINT_MAX);
    assert_true(text_distance("a", longest) == UINT_MAX);
}

static void finds_what_may_be_meant(void **state)
{
    (void)state;
    unsigned best = UINT_MAX;
    assert_true(text_is_nearer("bitrat", "bitrates", &best));
    assert_int_equal(best, 2);
    assert_true(text_is_nearer("bitrat", "bitrate", &best));
    assert_int_equal(best, 1);
    assert_false(text_is_nearer("bitrat", "bitratx", &best)); /* no nearer than the best */
    best = UINT_MAX;
    assert_false(text_is_nearer("x", "y", &best)); /* one letter is like every other letter */
    assert_false(text_is_nearer("width", "height", &best));
    assert_false(text_is_nearer("", "a", &best));
    assert_true(text_is_nearer("fs", "fps", &best));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_its_memory),
        cmocka_unit_test(prints_at_every_fill_level),
        cmocka_unit_test(a_failure_stays_until_cleared),
        cmocka_unit_test(json_puts_commas_where_they_belong),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(json_has_no_words_for_infinity),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(measures_distance),
        cmocka_unit_test(finds_what_may_be_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
