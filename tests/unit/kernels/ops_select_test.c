/* Tensors made of a few numbers, ops whose result is as long as the values have it, and what turns or blanks parts,
 * by numbers worked out by hand. */
#include "op_types.h"

#define MATRIX F32(SHAPE(2, 3), 1, 2, 3, 4, 5, 6)

static void test_range(void **state)
{
    (void)state;
    CHECK(.op = "Range", .in = { F32(SCALAR, 1), F32(SCALAR, 5), F32(SCALAR, 1.5f) },
          .constants = 7, .out = { F32(SHAPE(3), 1, 2.5f, 4) });
    CHECK(.op = "Range", .in = { I32(SCALAR, 10), I32(SHAPE(1), 4), I32(SCALAR, -3) },
          .constants = 7, .out = { I32(SHAPE(2), 10, 7) });
    CHECK(.op = "Range",
          .in = { I64(SCALAR, INT64_MIN), I64(SCALAR, INT64_MAX), I64(SCALAR, INT64_MAX) },
          .constants = 7, .out = { I64(SHAPE(3), INT64_MIN, -1, INT64_MAX - 1) });
    struct tensor none = { .type = TENSOR_I64, .shape = SHAPE(0), .data = (int64_t[1]){ 0 } };
    CHECK(.op = "Range", .in = { I64(SCALAR, 4), I64(SCALAR, 4), I64(SCALAR, 1) }, .constants = 7,
          .out = { none });
    REFUSED("input limit: is computed from the input's values", .op = "Range", .constants = 5,
            .in = { I64(SCALAR, 0), I64(SCALAR, 3), I64(SCALAR, 1) });
    REFUSED("a step of 0", .op = "Range", .constants = 7,
            .in = { I64(SCALAR, 0), I64(SCALAR, 3), I64(SCALAR, 0) });
    REFUSED("no shape we can hold", .op = "Range", .constants = 7,
            .in = { I64(SCALAR, 0), I64(SCALAR, INT64_MAX), I64(SCALAR, 1) });
    REFUSED("no shape we can hold", .op = "Range", .constants = 7,
            .in = { F32(SCALAR, 0), F32(SCALAR, INFINITY), F32(SCALAR, 1) });
    REFUSED("input delta: type i32", .op = "Range", .constants = 7,
            .in = { I64(SCALAR, 0), I64(SCALAR, 3), I32(SCALAR, 1) });
}

static void test_eye(void **state)
{
    (void)state;
    CHECK(.op = "EyeLike", .in = { MATRIX }, .out = { F32(SHAPE(2, 3), 1, 0, 0, 0, 1, 0) });
    CHECK(.op = "EyeLike", .in = { MATRIX }, .attributes = { INT("k", 1), INT("dtype", 9) },
          .out = { BOOLS(SHAPE(2, 3), 0, 1, 0, 0, 0, 1) });
    CHECK(.op = "EyeLike", .in = { I32(SHAPE(2, 2), 7, 7, 7, 7) }, .attributes = { INT("k", -1) },
          .out = { I32(SHAPE(2, 2), 0, 0, 1, 0) });
    REFUSED("input: shape 2", .op = "EyeLike", .in = { F32(SHAPE(2), 1, 2) });
    REFUSED("type number 8", .op = "EyeLike", .in = { MATRIX }, .attributes = { INT("dtype", 8) });
}

static void test_one_hot(void **state)
{
    (void)state;
    struct tensor values = F32(SHAPE(2), -1, 5), three = I64(SCALAR, 3);
    CHECK(.op = "OneHot", .in = { I64(SHAPE(3), 0, -1, 7), three, values }, .constants = 2,
          .out = { F32(SHAPE(3, 3), 5, -1, -1, -1, -1, 5, -1, -1, -1) });
    CHECK(.op = "OneHot", .in = { F32(SHAPE(2), 1, 2), F32(SHAPE(1), 3), values }, .constants = 2,
          .attributes = { INT("axis", 0) }, .out = { F32(SHAPE(3, 2), -1, -1, 5, -1, -1, 5) });
    CHECK(.op = "OneHot", .in = { U8(SCALAR, 2), three, I32(SHAPE(2), 0, 1) }, .constants = 2,
          .out = { I32(SHAPE(3), 0, 0, 1) });
    REFUSED("input depth: is computed", .op = "OneHot", .in = { I64(SHAPE(1), 0), three, values });
    REFUSED("one number of 1 and more", .op = "OneHot",
            .in = { I64(SHAPE(1), 0), I64(SCALAR, 0), values }, .constants = 2);
    REFUSED("two expected", .op = "OneHot",
            .in = { I64(SHAPE(1), 0), three, F32(SHAPE(3), 1, 2, 3) }, .constants = 2);
}

static void test_triangles(void **state)
{
    (void)state;
    CHECK(.op = "Trilu", .opset = 14, .in = { MATRIX },
          .out = { F32(SHAPE(2, 3), 1, 2, 3, 0, 5, 6) });
    CHECK(.op = "Trilu", .opset = 14, .in = { MATRIX, I64(SCALAR, -1) },
          .attributes = { INT("upper", 0) }, .out = { F32(SHAPE(2, 3), 0, 0, 0, 4, 0, 0) });
    CHECK(.op = "Trilu", .opset = 14,
          .in = { U8(SHAPE(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8), I64(SHAPE(1), 1) },
          .out = { U8(SHAPE(2, 2, 2), 0, 2, 0, 0, 0, 6, 0, 0) });
    REFUSED("k: one number expected", .op = "Trilu", .opset = 14,
            .in = { MATRIX, I64(SHAPE(2), 1, 2) });
    REFUSED("input: shape 2", .op = "Trilu", .opset = 14, .in = { F32(SHAPE(2), 1, 2) });
}

static void test_reverse(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(3, 2), 1, 2, 3, 4, 5, 6);
    CHECK(.op = "ReverseSequence", .in = { x, I64(SHAPE(2), 3, 2) },
          .out = { F32(SHAPE(3, 2), 5, 4, 3, 2, 1, 6) });
    CHECK(.op = "ReverseSequence", .in = { MATRIX, I64(SHAPE(2), 2, 0) },
          .attributes = { INT("batch_axis", 0), INT("time_axis", 1) },
          .out = { F32(SHAPE(2, 3), 2, 1, 3, 4, 5, 6) });
    REFUSED("3 lengths for a batch of 2", .op = "ReverseSequence",
            .in = { x, I64(SHAPE(3), 1, 1, 1) });
    REFUSED("0 and 1 expected", .op = "ReverseSequence", .in = { x, I64(SHAPE(2), 1, 1) },
            .attributes = { INT("time_axis", 1) });
}

static void test_non_zero(void **state)
{
    (void)state;
    CHECK(.op = "NonZero", .in = { F32(SHAPE(2, 3), 0, 2, 0, NAN, 0, -1) }, .constants = 1,
          .out = { I64(SHAPE(2, 3), 0, 1, 1, 1, 0, 2) });
    CHECK(.op = "NonZero", .in = { BOOLS(SHAPE(3), 1, 0, 1) }, .constants = 1,
          .out = { I64(SHAPE(1, 2), 0, 2) });
    REFUSED("input: is computed from the input's values", .op = "NonZero", .in = { MATRIX });
}

static void test_compress(void **state)
{
    (void)state;
    CHECK(.op = "Compress", .in = { MATRIX, BOOLS(SHAPE(3), 1, 0, 1) }, .constants = 2,
          .attributes = { INT("axis", -1) }, .out = { F32(SHAPE(2, 2), 1, 3, 4, 6) });
    CHECK(.op = "Compress", .in = { MATRIX, BOOLS(SHAPE(2), 0, 1) }, .constants = 2,
          .attributes = { INT("axis", 0) }, .out = { F32(SHAPE(1, 3), 4, 5, 6) });
    CHECK(.op = "Compress", .in = { MATRIX, BOOLS(SHAPE(8), 0, 1, 0, 0, 1, 0, 1, 1) },
          .constants = 2, .out = { F32(SHAPE(2), 2, 5) });
    REFUSED("input condition: is computed", .op = "Compress", .in = { MATRIX, BOOLS(SHAPE(1), 1) });
    REFUSED("axis: 2 is outside", .op = "Compress", .in = { MATRIX, BOOLS(SHAPE(1), 1) },
            .constants = 2, .attributes = { INT("axis", 2) });
}

static void test_unique(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(6), 2, 1, 1, 3, 4, 3);
    CHECK(.op = "Unique", .in = { x }, .constants = 1,
          .out = { F32(SHAPE(4), 1, 2, 3, 4), I64(SHAPE(4), 1, 0, 3, 4),
                   I64(SHAPE(6), 1, 0, 0, 2, 3, 2), I64(SHAPE(4), 2, 1, 2, 1) });
    CHECK(.op = "Unique", .in = { x }, .constants = 1, .attributes = { INT("sorted", 0) },
          .out = { F32(SHAPE(4), 2, 1, 3, 4), I64(SHAPE(4), 0, 1, 3, 4),
                   I64(SHAPE(6), 0, 1, 1, 2, 3, 2), I64(SHAPE(4), 1, 2, 2, 1) });
    CHECK(.op = "Unique", .in = { I32(SHAPE(3, 2), 1, 0, 0, 5, 1, 0) }, .constants = 1,
          .attributes = { INT("axis", 0) },
          .out = { I32(SHAPE(2, 2), 0, 5, 1, 0), I64(SHAPE(2), 1, 0), I64(SHAPE(3), 1, 0, 1),
                   I64(SHAPE(2), 1, 2) });
    CHECK(.op = "Unique", .in = { I32(SHAPE(2, 3), 5, 1, 5, 6, 2, 6) }, .constants = 1,
          .attributes = { INT("axis", -1) }, .out = { I32(SHAPE(2, 2), 1, 5, 2, 6) });
    CHECK(.op = "Unique", .in = { U64(SHAPE(2), UINT64_MAX, 1) }, .constants = 1,
          .out = { U64(SHAPE(2), 1, UINT64_MAX) });
    REFUSED("input: is computed from the input's values", .op = "Unique", .in = { x });
}

static void test_types(void **state)
{
    (void)state;
    CHECK(.op = "CastLike", .opset = 15, .in = { F32(SHAPE(2), 1.75f, -2.5f), I8(SCALAR, 0) },
          .out = { I8(SHAPE(2), 1, -2) });
    CHECK(.op = "CastLike", .opset = 19, .in = { I64(SHAPE(1), 3), F64(SHAPE(2), 0, 0) },
          .attributes = { INT("saturate", 1) }, .out = { F64(SHAPE(1), 3) });
    CHECK(.op = "Dropout", .in = { MATRIX }, .out = { MATRIX, BOOLS(SHAPE(2, 3), 1, 1, 1, 1, 1, 1) });
    CHECK(.op = "Dropout", .opset = 9, .in = { F32(SHAPE(2), 5, 6) },
          .out = { F32(SHAPE(2), 5, 6), F32(SHAPE(2), 1, 1) });
    CHECK(.op = "Dropout", .in = { MATRIX, F32(SCALAR, 0), BOOLS(SCALAR, 1) }, .constants = 6,
          .out = { MATRIX });
    REFUSED("must be a constant false", .op = "Dropout",
            .in = { MATRIX, F32(SCALAR, 0.5f), BOOLS(SCALAR, 1) }, .constants = 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range),    cmocka_unit_test(test_eye),
        cmocka_unit_test(test_one_hot),  cmocka_unit_test(test_triangles),
        cmocka_unit_test(test_reverse),  cmocka_unit_test(test_non_zero),
        cmocka_unit_test(test_compress), cmocka_unit_test(test_unique),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
