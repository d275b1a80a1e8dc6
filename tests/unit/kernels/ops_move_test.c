/* Ops that change shapes or move elements, by hand-written numbers: both forms where the standard has
 * two, negative axes, odd sizes, and what must be refused. */
#include "op_check.h"

#define SIX 1, 2, 3, 4, 5, 6
#define EIGHT 1, 2, 3, 4, 5, 6, 7, 8
#define MATRIX F32(SHAPE(2, 3), SIX)
#define SECOND 2u /* input 1 is a constant */

static void test_reshape(void **state)
{
    (void)state;
    CHECK(.op = "Reshape", .in = { MATRIX, I64(SHAPE(2), 3, 2) }, .constants = SECOND,
          .out = { F32(SHAPE(3, 2), SIX) });
    CHECK(.op = "Reshape", .in = { MATRIX, I64(SHAPE(3), 0, 1, -1) }, .constants = SECOND,
          .out = { F32(SHAPE(2, 1, 3), SIX) });
    CHECK(.op = "Reshape", .in = { U8(SHAPE(1), 7), I64(SHAPE(1), -1) }, .constants = SECOND,
          .out = { U8(SHAPE(1), 7) });
    REFUSED("2x3 does not fit into 4x2", .op = "Reshape", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(2), 4, 2) });
    REFUSED("2x3 does not fit into 4x1", .op = "Reshape", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(2), 4, -1) });
    REFUSED("does not fit", .op = "Reshape", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(2), -1, -1) });
    REFUSED("does not fit", .op = "Reshape", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(3), (int64_t)1 << 40, (int64_t)1 << 40, -1) });
    REFUSED("0 at place 2", .op = "Reshape", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(3), 1, 1, 0) });
    REFUSED("does not fit", .op = "Reshape", .opset = 14, .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(2), 0, -1) }, .attributes = { INT("allowzero", 1) });
    REFUSED("input shape: is computed from the input's values", .op = "Reshape",
            .in = { MATRIX, I64(SHAPE(2), 3, 2) });
    REFUSED("at most 8", .op = "Reshape", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(9), 6, 1, 1, 1, 1, 1, 1, 1, 1) });
}

static void test_views(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(1, 2, 1, 3), SIX);
    CHECK(.op = "Flatten", .in = { in }, .out = { F32(SHAPE(1, 6), SIX) });
    CHECK(.op = "Flatten", .in = { in }, .attributes = { INT("axis", -1) },
          .out = { F32(SHAPE(2, 3), SIX) });
    CHECK(.op = "Flatten", .in = { in }, .attributes = { INT("axis", 4) },
          .out = { F32(SHAPE(6, 1), SIX) });
    CHECK(.op = "Squeeze", .opset = 11, .in = { in }, .out = { MATRIX });
    CHECK(.op = "Squeeze", .opset = 11, .in = { in }, .attributes = { INTS("axes", -2) },
          .out = { F32(SHAPE(1, 2, 3), SIX) });
    CHECK(.op = "Squeeze", .in = { in, I64(SHAPE(1), 0) }, .constants = SECOND,
          .out = { F32(SHAPE(2, 1, 3), SIX) });
    CHECK(.op = "Squeeze", .in = { F32(SHAPE(1, 1), 5) }, .out = { F32(SCALAR, 5) });
    CHECK(.op = "Unsqueeze", .opset = 11, .in = { MATRIX }, .attributes = { INTS("axes", 0, -2) },
          .out = { F32(SHAPE(1, 2, 1, 3), SIX) });
    CHECK(.op = "Unsqueeze", .in = { F32(SCALAR, 5), I64(SHAPE(1), 0) }, .constants = SECOND,
          .out = { F32(SHAPE(1), 5) });
    CHECK(.op = "Identity", .in = { in }, .out = { in });
    CHECK(.op = "Dropout", .opset = 7, .in = { in }, .attributes = { FLOAT("ratio", 0.5f) },
          .out = { in });
    CHECK(.op = "Dropout", .in = { in, F32(SCALAR, 0.5f), BOOLS(SCALAR, 0) }, .constants = 4,
          .out = { in });
    REFUSED("must be a constant false", .op = "Dropout", .constants = 4,
            .in = { in, F32(SCALAR, 0.5f), BOOLS(SCALAR, 1) });
    REFUSED("dimension 1 is 2, not 1", .op = "Squeeze", .opset = 11, .in = { in },
            .attributes = { INTS("axes", 1) });
    REFUSED("axes: 4 is outside", .op = "Unsqueeze", .opset = 11, .in = { MATRIX },
            .attributes = { INTS("axes", 0, 4) });
    REFUSED("axis 0 is listed twice", .op = "Unsqueeze", .opset = 11, .in = { MATRIX },
            .attributes = { INTS("axes", 0, -4) });
    REFUSED("axis: 5 is outside", .op = "Flatten", .in = { in }, .attributes = { INT("axis", 5) });
}

static void test_shape_of(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(1, 2, 1, 3), SIX);
    CHECK(.op = "Shape", .in = { in }, .out = { I64(SHAPE(4), 1, 2, 1, 3) });
    CHECK(.op = "Shape", .opset = 15, .in = { in },
          .attributes = { INT("start", -3), INT("end", 3) }, .out = { I64(SHAPE(2), 2, 1) });
    CHECK(.op = "Size", .in = { in }, .out = { I64(SCALAR, 6) });
    CHECK(.op = "ConstantOfShape", .in = { I64(SHAPE(2), 1, 2) }, .constants = 1,
          .out = { F32(SHAPE(1, 2), 0, 0) });
    CHECK(.op = "ConstantOfShape", .in = { I64(SHAPE(1), 2) }, .constants = 1,
          .attributes = { { .name = (char *)"value", .kind = ATTRIBUTE_TENSOR, .t = I64(SHAPE(1), 7) } },
          .out = { I64(SHAPE(2), 7, 7) });
    REFUSED("is no shape we can hold", .op = "ConstantOfShape", .constants = 1,
            .in = { I64(SHAPE(2), 2, -3) });
    REFUSED("is no shape we can hold", .op = "ConstantOfShape", .constants = 1,
            .in = { I64(SHAPE(2), (int64_t)1 << 31, 1024) });
}

static void test_transpose(void **state)
{
    (void)state;
    CHECK(.op = "Transpose", .in = { MATRIX }, .out = { F32(SHAPE(3, 2), 1, 4, 2, 5, 3, 6) });
    CHECK(.op = "Transpose", .in = { F32(SHAPE(2, 2, 2), EIGHT) },
          .attributes = { INTS("perm", 1, 0, 2) },
          .out = { F32(SHAPE(2, 2, 2), 1, 2, 5, 6, 3, 4, 7, 8) });
    CHECK(.op = "Transpose", .in = { U8(SHAPE(1, 2, 2), 1, 2, 3, 4) },
          .attributes = { INTS("perm", 2, 0, 1) }, .out = { U8(SHAPE(2, 1, 2), 1, 3, 2, 4) });
    REFUSED("perm: axis 0 is listed twice", .op = "Transpose", .in = { MATRIX },
            .attributes = { INTS("perm", 0, 0) });
    REFUSED("perm: 1 numbers", .op = "Transpose", .in = { MATRIX },
            .attributes = { INTS("perm", 0) });
    REFUSED("perm: -1 is negative", .op = "Transpose", .in = { MATRIX },
            .attributes = { INTS("perm", 0, -1) });
}

static void test_concat_and_split(void **state)
{
    (void)state;
    CHECK(.op = "Concat", .in = { MATRIX, F32(SHAPE(2, 1), 10, 20) },
          .attributes = { INT("axis", -1) }, .out = { F32(SHAPE(2, 4), 1, 2, 3, 10, 4, 5, 6, 20) });
    CHECK(.op = "Concat", .in = { I64(SHAPE(1), 1), I64(SHAPE(2), 2, 3), I64(SHAPE(1), 4) },
          .attributes = { INT("axis", 0) }, .out = { I64(SHAPE(4), 1, 2, 3, 4) });
    REFUSED("dimension 0 is 2 and 1", .op = "Concat", .attributes = { INT("axis", 1) },
            .in = { MATRIX, F32(SHAPE(1, 1), 1) });
    REFUSED("axis: is missing", .op = "Concat", .in = { MATRIX, MATRIX });
    REFUSED("type i64", .op = "Concat", .attributes = { INT("axis", 0) },
            .in = { F32(SHAPE(1), 1), I64(SHAPE(1), 1) });

    CHECK(.op = "Split", .opset = 12, .in = { MATRIX },
          .attributes = { INT("axis", 1), INTS("split", 1, 2) },
          .out = { F32(SHAPE(2, 1), 1, 4), F32(SHAPE(2, 2), 2, 3, 5, 6) });
    CHECK(.op = "Split", .in = { MATRIX, I64(SHAPE(2), 2, 1) }, .constants = SECOND,
          .attributes = { INT("axis", -1) },
          .out = { F32(SHAPE(2, 2), 1, 2, 4, 5), F32(SHAPE(2, 1), 3, 6) });
    CHECK(.op = "Split", .in = { MATRIX },
          .out = { F32(SHAPE(1, 3), 1, 2, 3), F32(SHAPE(1, 3), 4, 5, 6) });
    CHECK(.op = "Split", .opset = 18, .in = { F32(SHAPE(5), 1, 2, 3, 4, 5) },
          .attributes = { INT("num_outputs", 2) },
          .out = { F32(SHAPE(3), 1, 2, 3), F32(SHAPE(2), 4, 5) });
    REFUSED("do not add up to 3", .op = "Split", .opset = 12, .in = { MATRIX },
            .attributes = { INT("axis", 1), INTS("split", 1, 1) }, .out = { MATRIX, MATRIX });
    REFUSED("3 does not divide into 2 parts", .op = "Split", .in = { MATRIX },
            .attributes = { INT("axis", 1) }, .out = { MATRIX, MATRIX });
    REFUSED("2 parts for 1 outputs", .op = "Split", .opset = 12, .in = { MATRIX },
            .attributes = { INTS("split", 1, 1) });
}

static void test_expand_and_tile(void **state)
{
    (void)state;
    CHECK(.op = "Expand", .in = { F32(SHAPE(2, 1), 1, 2), I64(SHAPE(3), 2, 1, 2) },
          .constants = SECOND, .out = { F32(SHAPE(2, 2, 2), 1, 1, 2, 2, 1, 1, 2, 2) });
    /* a wanted 1 leaves the input's dimension */
    CHECK(.op = "Expand", .in = { F32(SHAPE(2), 1, 2), I64(SHAPE(1), 1) }, .constants = SECOND,
          .out = { F32(SHAPE(2), 1, 2) });
    REFUSED("does not go with", .op = "Expand", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(2), 3, 3) });
    CHECK(.op = "Tile", .in = { F32(SHAPE(2, 2), 1, 2, 3, 4), I64(SHAPE(2), 2, 1) },
          .constants = SECOND, .out = { F32(SHAPE(4, 2), 1, 2, 3, 4, 1, 2, 3, 4) });
    CHECK(.op = "Tile", .in = { F32(SHAPE(1, 2), 1, 2), I64(SHAPE(2), 2, 2) }, .constants = SECOND,
          .out = { F32(SHAPE(2, 4), 1, 2, 1, 2, 1, 2, 1, 2) });
    REFUSED("1 numbers for 2 dimensions", .op = "Tile", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(1), 2) });
    REFUSED("negative or too large", .op = "Tile", .constants = SECOND,
            .in = { MATRIX, I64(SHAPE(2), 1, INT64_MAX) });
}

static void test_gather(void **state)
{
    (void)state;
    CHECK(.op = "Gather", .in = { MATRIX, I64(SCALAR, 1) }, .out = { F32(SHAPE(3), 4, 5, 6) });
    CHECK(.op = "Gather", .in = { MATRIX, I32(SHAPE(2), -1, 0) }, .attributes = { INT("axis", 1) },
          .out = { F32(SHAPE(2, 2), 3, 1, 6, 4) });
    CHECK(.op = "Gather", .in = { F32(SHAPE(3), 1, 2, 3), I64(SHAPE(1, 2), 2, 0) },
          .out = { F32(SHAPE(1, 2), 3, 1) });
    REFUSED("data: shape scalar", .op = "Gather", .in = { F32(SCALAR, 1), I64(SCALAR, 0) });
    REFUSED("index 3 of 2", .op = "Gather", .in = { MATRIX, I64(SCALAR, 3) }, .constants = 3);
}

static void test_depth_and_space(void **state)
{
    (void)state;
    struct tensor deep = F32(SHAPE(1, 8, 1, 1), EIGHT);
    CHECK(.op = "DepthToSpace", .in = { deep }, .attributes = { INT("blocksize", 2) },
          .out = { F32(SHAPE(1, 2, 2, 2), 1, 3, 5, 7, 2, 4, 6, 8) });
    CHECK(.op = "DepthToSpace", .in = { deep },
          .attributes = { INT("blocksize", 2), STRING("mode", "CRD") },
          .out = { F32(SHAPE(1, 2, 2, 2), EIGHT) });
    CHECK(.op = "DepthToSpace", .in = { F32(SHAPE(1, 4, 1, 2), EIGHT) },
          .attributes = { INT("blocksize", 2) },
          .out = { F32(SHAPE(1, 1, 2, 4), 1, 3, 2, 4, 5, 7, 6, 8) });
    CHECK(.op = "SpaceToDepth", .in = { F32(SHAPE(1, 1, 2, 4), 1, 3, 2, 4, 5, 7, 6, 8) },
          .attributes = { INT("blocksize", 2) }, .out = { F32(SHAPE(1, 4, 1, 2), EIGHT) });
    REFUSED("8 channels do not divide by 9", .op = "DepthToSpace", .in = { deep },
            .attributes = { INT("blocksize", 3) });
    REFUSED("blocksize: 0 is outside", .op = "SpaceToDepth", .in = { deep });
}

static void test_slice(void **state)
{
    (void)state;
    struct tensor line = F32(SHAPE(6), SIX);
    CHECK(.op = "Slice", .opset = 9, .in = { MATRIX },
          .attributes = { INTS("starts", 1), INTS("ends", INT64_MAX), INTS("axes", 1) },
          .out = { F32(SHAPE(2, 2), 2, 3, 5, 6) });
    CHECK(.op = "Slice", .opset = 9, .in = { line },
          .attributes = { INTS("starts", -4), INTS("ends", -1) }, .out = { F32(SHAPE(3), 3, 4, 5) });
    CHECK(.op = "Slice",
          .in = { line, I64(SHAPE(1), 1), I64(SHAPE(1), 6), I64(SHAPE(1), 0), I64(SHAPE(1), 2) },
          .constants = 30, .out = { F32(SHAPE(3), 2, 4, 6) });
    /* backwards to the very start */
    CHECK(.op = "Slice",
          .in = { line, I32(SHAPE(1), -1), I32(SHAPE(1), INT32_MIN), I32(SHAPE(1), 0),
                  I32(SHAPE(1), -2) },
          .constants = 30, .out = { F32(SHAPE(3), 6, 4, 2) });
    CHECK(.op = "Slice",
          .in = { MATRIX, I64(SHAPE(2), 1, 2), I64(SHAPE(2), 2, -100), I64(SHAPE(2), 0, -1),
                  I64(SHAPE(2), 1, -1) },
          .constants = 30, .out = { F32(SHAPE(1, 3), 6, 5, 4) });
    CHECK(.op = "Slice",
          .in = { line, I64(SHAPE(1), 2), I64(SHAPE(1), 6), { 0 }, I64(SHAPE(1), INT64_MAX) },
          .constants = 22, .out = { F32(SHAPE(1), 3) });
    CHECK(.op = "Slice", .in = { line, I64(SHAPE(1), 4), I64(SHAPE(1), 2) }, .constants = 6,
          .out = { F32(SHAPE(0), 0) });
    REFUSED("a step of 0", .op = "Slice", .constants = 30,
            .in = { line, I64(SHAPE(1), 0), I64(SHAPE(1), 6), I64(SHAPE(1), 0), I64(SHAPE(1), 0) });
    REFUSED("the lists differ in length", .op = "Slice", .constants = 6,
            .in = { line, I64(SHAPE(1), 0), I64(SHAPE(2), 1, 2) });
    REFUSED("starts: is computed", .op = "Slice", .in = { line, I64(SHAPE(1), 0), I64(SHAPE(1), 1) });
    REFUSED("axes: axis 0 is listed twice", .op = "Slice", .constants = 14,
            .in = { MATRIX, I64(SHAPE(2), 0, 0), I64(SHAPE(2), 1, 1), I64(SHAPE(2), 0, -2) });
}

static void test_pad(void **state)
{
    (void)state;
    struct tensor line = F32(SHAPE(3), 1, 2, 3);
    CHECK(.op = "Pad", .opset = 10, .in = { MATRIX },
          .attributes = { INTS("pads", 1, 0, 0, 1), FLOAT("value", 9) },
          .out = { F32(SHAPE(3, 4), 9, 9, 9, 9, 1, 2, 3, 9, 4, 5, 6, 9) });
    CHECK(.op = "Pad", .in = { line, I64(SHAPE(2), 2, 1) }, .constants = SECOND,
          .out = { F32(SHAPE(6), 0, 0, 1, 2, 3, 0) });
    CHECK(.op = "Pad", .in = { I64(SHAPE(1), 5), I64(SHAPE(2), 1, 0), I64(SCALAR, 7) },
          .constants = SECOND, .out = { I64(SHAPE(2), 7, 5) });
    CHECK(.op = "Pad", .in = { line, I64(SHAPE(2), 2, 2) }, .constants = SECOND,
          .attributes = { STRING("mode", "reflect") }, .out = { F32(SHAPE(7), 3, 2, 1, 2, 3, 2, 1) });
    CHECK(.op = "Pad", .in = { line, I64(SHAPE(2), 2, 1) }, .constants = SECOND,
          .attributes = { STRING("mode", "edge") }, .out = { F32(SHAPE(6), 1, 1, 1, 2, 3, 3) });
    CHECK(.op = "Pad", .opset = 19, .in = { line, I64(SHAPE(2), 1, 4) }, .constants = SECOND,
          .attributes = { STRING("mode", "wrap") }, .out = { F32(SHAPE(8), 3, 1, 2, 3, 1, 2, 3, 1) });
    CHECK(.op = "Pad", .in = { line, I64(SHAPE(2), -1, 1) }, .constants = SECOND,
          .out = { F32(SHAPE(3), 2, 3, 0) }); /* negative cuts */
    CHECK(.op = "Pad", .opset = 18, .in = { MATRIX, I64(SHAPE(2), 0, 1), { 0 }, I64(SHAPE(1), -1) },
          .constants = 10, .attributes = { STRING("mode", "edge") },
          .out = { F32(SHAPE(2, 4), 1, 2, 3, 3, 4, 5, 6, 6) });
    REFUSED("3 and 0 around 3", .op = "Pad", .in = { line, I64(SHAPE(2), 3, 0) },
            .constants = SECOND, .attributes = { STRING("mode", "reflect") });
    REFUSED("-2 and -2 around 3", .op = "Pad", .in = { line, I64(SHAPE(2), -2, -2) },
            .constants = SECOND);
    REFUSED("3 numbers for 1 axes", .op = "Pad", .in = { line, I64(SHAPE(3), 1, 1, 1) },
            .constants = SECOND);
    REFUSED("unknown word 'mirror'", .op = "Pad", .in = { line, I64(SHAPE(2), 1, 1) },
            .constants = SECOND, .attributes = { STRING("mode", "mirror") });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reshape),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_shape_of),
        cmocka_unit_test(test_transpose),
        cmocka_unit_test(test_concat_and_split),
        cmocka_unit_test(test_expand_and_tile),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_depth_and_space),
        cmocka_unit_test(test_slice),
        cmocka_unit_test(test_pad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
