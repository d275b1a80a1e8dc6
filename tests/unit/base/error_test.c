/* error: texts read outermost first, codes come back negative, and nothing overruns when long. */
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set_gives_place_and_negative_code(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_set(&err, ERROR_LIMIT, "queue", "%d is above %d", 9, 8), -ERROR_LIMIT);
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_string_equal(err.text, "queue: 9 is above 8");
}

static void set_errno_appends_the_reason(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_set_errno(&err, ENOENT, "a.yaml", "cannot open"), -ERROR_IO);
    assert_string_equal(err.text, "a.yaml: cannot open: No such file or directory");
}

static void wrap_puts_places_before(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERROR_NETWORK, "RTSP", "401");
    assert_int_equal(error_wrap(&err, "cannot open"), -ERROR_NETWORK);
    assert_int_equal(error_wrap(&err, "camera %s", "yard"), -ERROR_NETWORK);
    assert_string_equal(err.text, "camera yard: cannot open: RTSP: 401");
}

static void may_hold_its_own_text(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERROR_IO, "inner", "cause");
    error_set(&err, ERROR_FORMAT, "outer", "%s", err.text);
    assert_string_equal(err.text, "outer: inner: cause");
    error_wrap(&err, "%s", err.text);
    assert_string_equal(err.text, "outer: inner: cause: outer: inner: cause");
}

static void without_a_struct_gives_the_code(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERROR_AGAIN, "x", "y"), -ERROR_AGAIN);
    assert_int_equal(error_set_errno(NULL, EIO, "x", "y"), -ERROR_IO);
    assert_true(error_wrap(NULL, "x") < 0);
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char long_text[2 * ERROR_TEXT_BYTES];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    struct error err;
    error_set(&err, ERROR_IO, "place", "%s", long_text);
    assert_int_equal(strlen(err.text), ERROR_TEXT_BYTES - 1);
    assert_memory_equal(err.text, "place: aaa", 10);
    error_wrap(&err, "front");
    assert_int_equal(strlen(err.text), ERROR_TEXT_BYTES - 1);
    assert_memory_equal(err.text, "front: place: aaa", 17);
    error_set_errno(&err, EIO, long_text, "never seen");
    assert_int_equal(strlen(err.text), ERROR_TEXT_BYTES - 1);
    /* Every length around the end: the cause is cut wherever it has to be. */
    for (size_t size = ERROR_TEXT_BYTES - 8; size < ERROR_TEXT_BYTES + 8; size++) {
        error_set_errno(&err, EIO, "p", "%.*s", (int)size, long_text);
        assert_true(strlen(err.text) < ERROR_TEXT_BYTES);
    }
}

static void every_code_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(error_word(0), "none");
    assert_string_equal(error_word(-ERROR_CONFIG), "config");
    assert_string_equal(error_word(ERROR_AGAIN), "again");
    for (int code = 0; code < ERROR_CODE_COUNT; code++)
        assert_non_null(error_word(code));
    assert_string_equal(error_word(ERROR_CODE_COUNT), "unknown");
    assert_string_equal(error_word(INT32_MIN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_gives_place_and_negative_code),
        cmocka_unit_test(set_errno_appends_the_reason),
        cmocka_unit_test(wrap_puts_places_before),
        cmocka_unit_test(may_hold_its_own_text),
        cmocka_unit_test(without_a_struct_gives_the_code),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(every_code_has_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
