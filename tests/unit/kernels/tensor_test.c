/* Shapes and tensors: products that overflow, broadcasting, formatting, alignment and limits. */
#include "tensor/tensor.h"
#include "tensor/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define SHAPE(...)                                                                         \
    (&(struct shape){ .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                      .dim = { __VA_ARGS__ } })
#define BIG ((int64_t)1 << 32)

static void test_elements(void **state)
{
    (void)state;
    assert_int_equal(shape_elements(&(struct shape){ .rank = 0 }), 1);
    assert_int_equal(shape_elements(SHAPE(2, 3, 4)), 24);
    assert_int_equal(shape_elements(SHAPE(5, 0, 7)), 0);
    assert_int_equal(shape_elements(SHAPE(BIG)), BIG);
    assert_int_equal(shape_elements(SHAPE(BIG, 2)), -ERROR_LIMIT);
    assert_int_equal(shape_elements(SHAPE(INT64_MAX, INT64_MAX)), -ERROR_LIMIT);
    assert_int_equal(shape_elements(SHAPE(BIG, BIG, BIG, 0)), -ERROR_LIMIT); /* not hidden by a 0 */
    assert_int_equal(shape_elements(SHAPE(2, -1)), -ERROR_LIMIT);
    assert_int_equal(shape_elements(&(struct shape){ .rank = -1 }), -ERROR_LIMIT);
    assert_int_equal(shape_elements(&(struct shape){ .rank = 9 }), -ERROR_LIMIT);
}

static void test_format(void **state)
{
    (void)state;
    char text[32], tiny[4];
    shape_format(SHAPE(1, 3, 384, 512), text, sizeof text);
    assert_string_equal(text, "1x3x384x512");
    shape_format(SHAPE(-1, 3), text, sizeof text);
    assert_string_equal(text, "?x3");
    shape_format(&(struct shape){ .rank = 0 }, text, sizeof text);
    assert_string_equal(text, "scalar");
    shape_format(&(struct shape){ .rank = -1 }, text, sizeof text);
    assert_string_equal(text, "unknown");
    shape_format(SHAPE(100, 200), tiny, sizeof tiny);
    assert_string_equal(tiny, "100");
    for (enum tensor_type type = TENSOR_NONE; type <= TENSOR_BOOL; type++)
        assert_true(strlen(tensor_type_word(type)) >= 2);
}

static void assert_broadcast(const struct shape *a, const struct shape *b, const struct shape *c)
{
    struct shape out;
    assert_int_equal(shape_broadcast(a, b, &out), c != NULL);
    assert_true(!c || shape_equal(&out, c));
    assert_int_equal(shape_broadcast(b, a, &out), c != NULL);
    assert_true(!c || shape_equal(&out, c));
}

static void test_broadcast(void **state)
{
    (void)state;
    struct shape scalar = { .rank = 0 };
    assert_broadcast(SHAPE(2, 3), SHAPE(3), SHAPE(2, 3));
    assert_broadcast(SHAPE(2, 1), SHAPE(1, 3), SHAPE(2, 3));
    assert_broadcast(SHAPE(2, 3), &scalar, SHAPE(2, 3));
    assert_broadcast(SHAPE(1), SHAPE(0), SHAPE(0));
    assert_broadcast(SHAPE(2, 3), SHAPE(2), NULL);
    assert_broadcast(SHAPE(2), SHAPE(0), NULL);
    assert_false(shape_equal(SHAPE(1, 2), SHAPE(2)));
    assert_false(shape_equal(SHAPE(1, 2), SHAPE(1, 3)));
}

static void test_create(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct tensor tensor = { 0 };
    tensor_free(&tensor); /* blank is fine */
    assert_int_equal(tensor_create(&tensor, TENSOR_F32, SHAPE(3, 5), &err), 0);
    assert_int_equal(tensor_bytes(&tensor), 60);
    assert_int_equal((uintptr_t)tensor.data % 64, 0);
    for (int i = 0; i < 15; i++)
        assert_true(((float *)tensor.data)[i] == 0);
    tensor_free(&tensor);
    assert_null(tensor.data);
    assert_int_equal(tensor_create(&tensor, TENSOR_U8, SHAPE(0), &err), 0);
    assert_non_null(tensor.data); /* a constant is known by its data */
    tensor_free(&tensor);
    assert_int_equal(tensor_create(&tensor, TENSOR_I64, SHAPE(BIG / 4), &err), -ERROR_LIMIT);
    assert_non_null(strstr(err.text, "1073741824 of i64"));
    assert_null(tensor.data);
}

static void test_numbers(void **state)
{
    (void)state;
    struct error err = { 0 };
    for (enum tensor_type type = TENSOR_F32; type <= TENSOR_BOOL; type++) {
        struct tensor tensor;
        assert_int_equal(tensor_create(&tensor, type, SHAPE(3), &err), 0);
        number_store(&tensor, 1, 1);
        assert_true(number_load(&tensor, 1) == 1);
        assert_true(number_load(&tensor, 0) == 0 && number_load(&tensor, 2) == 0);
        if (tensor_type_is_whole(type)) {
            number_store_whole(&tensor, 2, 1);
            assert_int_equal(number_load_whole(&tensor, 2), 1);
            number_store(&tensor, 2, 1e300); /* stays within the type */
            assert_true(number_load(&tensor, 2) > 0);
        }
        tensor_free(&tensor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements),  cmocka_unit_test(test_format),
        cmocka_unit_test(test_broadcast), cmocka_unit_test(test_create),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
