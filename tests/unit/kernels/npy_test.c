/* NumPy's files: what NumPy wrote is read, what is written is what NumPy writes, and all else is refused with
 * words that say what to do. */
#include "tensor/npy.h"
#include "tensor/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define BYTES_MAX 1024

static struct error err;

/* A file of the header that is given, with its length before it, and the data. */
static size_t make(uint8_t *bytes, int major, const char *header, const void *data, size_t data_bytes)
{
    size_t length = strlen(header), at = 8;
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (uint8_t)major;
    bytes[7] = 0;
    for (int i = 0; i < (major == 1 ? 2 : 4); i++)
        bytes[at++] = (uint8_t)(length >> 8 * i);
    memcpy(bytes + at, header, length);
    memcpy(bytes + at + length, data, data_bytes);
    return at + length + data_bytes;
}

static void reads(int major, const char *header, const void *data, size_t data_bytes,
                  enum tensor_type type, const struct shape *shape)
{
    uint8_t bytes[BYTES_MAX];
    struct tensor tensor;
    size_t size = make(bytes, major, header, data, data_bytes);
    if (npy_read_bytes(&tensor, bytes, size, &err))
        fail_msg("%s", err.text);
    assert_int_equal(tensor.type, type);
    assert_true(shape_equal(&tensor.shape, shape));
    assert_memory_equal(tensor.data, data, data_bytes);
    tensor_free(&tensor);
}

static void refuses(const char *header, size_t data_bytes, const char *words)
{
    uint8_t bytes[BYTES_MAX] = { 0 }, zeros[64] = { 0 };
    struct tensor tensor = { 0 };
    size_t size = make(bytes, 1, header, zeros, data_bytes);
    assert_true(npy_read_bytes(&tensor, bytes, size, &err) < 0);
    assert_null(tensor.data);
    if (!strstr(err.text, words))
        fail_msg("%s: \"%s\" lacks \"%s\"", header, err.text, words);
}

static void test_reads(void **state)
{
    (void)state;
    const float numbers[] = { 1, -2, 3, 4, 5, 6 };
    const int64_t ints[] = { -1, (int64_t)1 << 40 };
    const struct shape two_three = { .rank = 2, .dim = { 2, 3 } }, two = { .rank = 1, .dim = { 2 } };
    const struct shape scalar = { .rank = 0 }, none = { .rank = 2, .dim = { 0, 4 } };
    reads(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", numbers, 24,
          TENSOR_F32, &two_three);
    reads(2, "{\"shape\":(2,3,),\"descr\":\"<f4\",\"fortran_order\":False}", numbers, 24,
          TENSOR_F32, &two_three);
    reads(3, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", ints, 16, TENSOR_I64,
          &two);
    reads(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", ints, 8, TENSOR_F64,
          &scalar);
    reads(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4), }\n", ints, 0, TENSOR_U8,
          &none);
    /* A list lies the same in both orders. */
    reads(1, "{'descr': '|b1', 'fortran_order': True, 'shape': (2,), }\n", "\1\0", 2, TENSOR_BOOL,
          &two);
}

static void test_refusals(void **state)
{
    (void)state;
#define HEADER(type, order, shape) \
    "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }\n"
    refuses(HEADER("<f4", "False", "(2, 3)"), 20, "20 bytes of data for 2x3 of f32, which needs 24");
    refuses(HEADER("<f4", "False", "(2, 3)"), 25, "which needs 24");
    refuses(HEADER("<f4", "True", "(2, 3)"), 24, "numpy.ascontiguousarray");
    refuses(HEADER(">f4", "False", "(2,)"), 8, "big endian");
    refuses(HEADER("<c8", "False", "(2,)"), 16, "'<c8' is not supported");
    refuses(HEADER("|O", "False", "(2,)"), 16, "not supported");
    refuses(HEADER("<f4", "False", "(99999999999999999999,)"), 0, "is not as numpy.save writes it");
    refuses(HEADER("<f4", "False", "(4000000000, 4000000000)"), 0, "is larger than");
    refuses(HEADER("<f4", "False", "(1,1,1,1,1,1,1,1,1)"), 4, "at most 8 sizes");
    static const char *const malformed[] = {
        "",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        refuses(malformed[i], 4, "is not as numpy.save writes it");
}

/* Each beginning of a good file is refused, and other versions are. */
static void test_cut(void **state)
{
    (void)state;
    uint8_t bytes[BYTES_MAX];
    struct tensor tensor = { 0 };
    size_t size = make(bytes, 1, HEADER("<f4", "False", "(2,)"), "12345678", 8);
    for (size_t cut = 0; cut < size; cut++)
        assert_true(npy_read_bytes(&tensor, bytes, cut, &err) < 0);
    for (int major = 0; major < 256; major++) {
        bytes[6] = (uint8_t)major;
        int rc = npy_read_bytes(&tensor, bytes, size, &err);
        assert_true(major == 1 ? rc == 0 : rc < 0);
        tensor_free(&tensor);
    }
    bytes[6] = 1;
    bytes[7] = 1;
    assert_int_equal(npy_read_bytes(&tensor, bytes, size, &err), -ERROR_UNSUPPORTED);
    assert_int_equal(npy_read_file(&tensor, "/nowhere.npy", &err), -ERROR_IO);
}

static void test_writes(void **state)
{
    (void)state;
    /* What NumPy 2.4 wrote of arange(6, dtype=float32).reshape(2, 3). */
    static const char wanted[] =
        "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': "
        "(2, 3), }                                                          \n";
    float numbers[6] = { 0, 1, 2, 3, 4, 5 };
    struct tensor tensor = { .type = TENSOR_F32,
                             .shape = { .rank = 2, .dim = { 2, 3 } },
                             .data = numbers };
    struct tensor again = { 0 };
    char path[] = "/tmp/npy_test_XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(npy_write_file(&tensor, path, &err), 0);
    uint8_t bytes[BYTES_MAX];
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fread(bytes, 1, sizeof bytes, in), 128 + sizeof numbers);
    fclose(in);
    assert_memory_equal(bytes, wanted, 128);
    assert_memory_equal(bytes + 128, numbers, sizeof numbers);
    assert_int_equal(npy_read_file(&again, path, &err), 0);
    assert_true(shape_equal(&again.shape, &tensor.shape));
    tensor_free(&again);

    uint16_t narrow[2] = { float_to_bfloat(1.5f), float_to_bfloat(-3) };
    tensor =
        (struct tensor){ .type = TENSOR_BF16, .shape = { .rank = 1, .dim = { 2 } }, .data = narrow };
    assert_int_equal(npy_write_file(&tensor, path, &err), 0);
    assert_int_equal(npy_read_file(&again, path, &err), 0);
    assert_int_equal(again.type, TENSOR_F32);
    assert_memory_equal(again.data, ((float[]){ 1.5f, -3 }), 8);
    tensor_free(&again);
    unlink(path);
    assert_true(npy_write_file(&tensor, "/nowhere/out.npy", &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_writes),
    };
    return cmocka_run_group_tests_name("npy", tests, NULL, NULL);
}
