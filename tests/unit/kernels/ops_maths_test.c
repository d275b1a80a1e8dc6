/* MatMul, Gemm, normalisations, reductions and changes of number type by hand-computed numbers. */
#include "op_check.h"
#include "tensor/number.h"

#define SIX 1, 2, 3, 4, 5, 6

static void test_matmul(void **state)
{
    (void)state;
    struct tensor a = F32(SHAPE(2, 3), SIX), b = F32(SHAPE(3, 2), SIX);
    CHECK(.op = "MatMul", .in = { a, b }, .out = { F32(SHAPE(2, 2), 22, 28, 49, 64) });
    CHECK(.op = "MatMul", .in = { F32(SHAPE(3), 1, 2, 3), b }, .out = { F32(SHAPE(2), 22, 28) });
    CHECK(.op = "MatMul", .in = { a, F32(SHAPE(3), 1, 0, -1) }, .out = { F32(SHAPE(2), -2, -2) });
    CHECK(.op = "MatMul", .in = { F32(SHAPE(2), 1, 2), F32(SHAPE(2), 3, 4) },
          .out = { F32(SCALAR, 11) });
    /* a batch of two against one of one, and batches that broadcast both ways */
    CHECK(.op = "MatMul", .in = { F32(SHAPE(2, 1, 2), 1, 2, 3, 4), F32(SHAPE(1, 2, 1), 10, 1) },
          .out = { F32(SHAPE(2, 1, 1), 12, 34) });
    CHECK(.op = "MatMul", .in = { F32(SHAPE(2, 1, 1, 1), 2, 3), F32(SHAPE(2, 1, 1), 5, 7) },
          .out = { F32(SHAPE(2, 2, 1, 1), 10, 14, 15, 21) });
    REFUSED("shapes 2x3 and 2x3 do not go together", .op = "MatMul", .in = { a, a });
    REFUSED("B: shape scalar", .op = "MatMul", .in = { a, F32(SCALAR, 1) });
}

static void test_gemm(void **state)
{
    (void)state;
    struct tensor a = F32(SHAPE(2, 3), SIX), b = F32(SHAPE(3, 2), SIX);
    CHECK(.op = "Gemm", .in = { a, b, F32(SHAPE(2), 100, 200) },
          .out = { F32(SHAPE(2, 2), 122, 228, 149, 264) });
    CHECK(.op = "Gemm", .in = { a, a, F32(SHAPE(2, 1), 100, 200) },
          .attributes = { INT("transB", 1), FLOAT("alpha", 0.5f), FLOAT("beta", 2) },
          .out = { F32(SHAPE(2, 2), 207, 216, 416, 438.5f) });
    CHECK(.op = "Gemm", .in = { a, F32(SHAPE(2, 1), 1, -1) }, .attributes = { INT("transA", 1) },
          .out = { F32(SHAPE(3, 1), -3, -3, -3) });
    REFUSED("2x3 times 2x3", .op = "Gemm", .in = { a, a });
    REFUSED("C: its shape does not go", .op = "Gemm", .in = { a, b, F32(SHAPE(3), 1, 2, 3) });
}

static void test_softmax(void **state)
{
    (void)state;
    /* e^0 : e^ln3 = 1 : 3 */
    const float ln3 = 1.09861229f;
    struct tensor in = F32(SHAPE(1, 2, 2), 0, ln3, 0, 0);
    /* until opset 12 all that follows axis 1 is one row */
    CHECK(.op = "Softmax", .opset = 12, .in = { in },
          .out = { F32(SHAPE(1, 2, 2), 1 / 6.0f, 0.5f, 1 / 6.0f, 1 / 6.0f) });
    CHECK(.op = "Softmax", .opset = 12, .in = { in }, .attributes = { INT("axis", 2) },
          .out = { F32(SHAPE(1, 2, 2), 0.25f, 0.75f, 0.5f, 0.5f) });
    CHECK(.op = "Softmax", .in = { in }, .out = { F32(SHAPE(1, 2, 2), 0.25f, 0.75f, 0.5f, 0.5f) });
    CHECK(.op = "Softmax", .in = { in }, .attributes = { INT("axis", 1) },
          .out = { F32(SHAPE(1, 2, 2), 0.5f, 0.75f, 0.5f, 0.25f) });
    CHECK(.op = "Softmax", .in = { F32(SHAPE(2), 1000, 1000) }, /* does not overflow */
          .out = { F32(SHAPE(2), 0.5f, 0.5f) });
    REFUSED("axis: 3 is outside [-3, 2]", .op = "Softmax", .in = { in },
            .attributes = { INT("axis", 3) });
}

static void test_normalisations(void **state)
{
    (void)state;
    struct tensor two = F32(SHAPE(2), 2, 3);
    /* (x - mean) / sqrt(var + eps) * scale + bias, per channel */
    CHECK(.op = "BatchNormalization",
          .in = { F32(SHAPE(1, 2, 2), 1, 2, 3, 4), two, F32(SHAPE(2), 10, 20), F32(SHAPE(2), 1, 3),
                  F32(SHAPE(2), 3, 0) },
          .attributes = { FLOAT("epsilon", 1), FLOAT("momentum", 0.9f) },
          .out = { F32(SHAPE(1, 2, 2), 10, 11, 20, 23) });
    REFUSED("3 numbers for 2 channels", .op = "BatchNormalization",
            .in = { F32(SHAPE(1, 2), 1, 2), two, two, two, F32(SHAPE(3), 1, 2, 3) });
    CHECK(.op = "InstanceNormalization",
          .in = { F32(SHAPE(1, 2, 2), -1, 1, 4, 8), two, F32(SHAPE(2), 0, 100) },
          .attributes = { FLOAT("epsilon", 0) }, .out = { F32(SHAPE(1, 2, 2), -2, 2, 97, 103) });
    CHECK(.op = "LayerNormalization", .opset = 17,
          .in = { F32(SHAPE(2, 2), -1, 1, 4, 8), two, F32(SHAPE(2), 0, 100) },
          .attributes = { FLOAT("epsilon", 0) }, .out = { F32(SHAPE(2, 2), -2, 103, -2, 103) });
    CHECK(.op = "LayerNormalization", .opset = 17,
          .in = { F32(SHAPE(1, 2, 2), 1, 1, 3, 3), F32(SHAPE(2, 2), 1, 2, 3, 4) },
          .attributes = { FLOAT("epsilon", 0), INT("axis", 1) },
          .out = { F32(SHAPE(1, 2, 2), -1, -2, 3, 4) });
}

static void test_reductions(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(2, 3), 1, 5, 3, 4, 2, 6);
    CHECK(.op = "ReduceMax", .in = { in }, .attributes = { INTS("axes", 1) },
          .out = { F32(SHAPE(2, 1), 5, 6) });
    CHECK(.op = "ReduceMax", .in = { in }, .attributes = { INTS("axes", -2), INT("keepdims", 0) },
          .out = { F32(SHAPE(3), 4, 5, 6) });
    CHECK(.op = "ReduceMean", .in = { in }, .attributes = { INT("keepdims", 0) },
          .out = { F32(SCALAR, 3.5f) });
    CHECK(.op = "ReduceMean", .opset = 18, .in = { in, I64(SHAPE(1), 1) }, .constants = 2,
          .out = { F32(SHAPE(2, 1), 3, 4) });
    CHECK(.op = "ReduceSum", .opset = 12, .in = { in }, .attributes = { INTS("axes", 0, 1) },
          .out = { F32(SHAPE(1, 1), 21) });
    CHECK(.op = "ReduceSum", .in = { in, I64(SHAPE(1), 0) }, .constants = 2,
          .out = { F32(SHAPE(1, 3), 5, 7, 9) });
    CHECK(.op = "ReduceSum", .in = { in }, .attributes = { INT("noop_with_empty_axes", 1) },
          .out = { in });
    CHECK(.op = "ReduceProd", .in = { I64(SHAPE(3), 2, 3, 7) },
          .attributes = { INT("keepdims", 0) }, .out = { I64(SCALAR, 42) });
    CHECK(.op = "ReduceMin", .in = { I32(SHAPE(1, 3), 2, -3, 7) },
          .attributes = { INTS("axes", 1) }, .out = { I32(SHAPE(1, 1), -3) });
    /* the folded dimensions lie around one that stays */
    CHECK(.op = "ReduceSum", .opset = 11, .in = { F32(SHAPE(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8) },
          .attributes = { INTS("axes", 0, 2), INT("keepdims", 0) }, .out = { F32(SHAPE(2), 14, 22) });
    REFUSED("axes: axis 1 is listed twice", .op = "ReduceMax", .in = { in },
            .attributes = { INTS("axes", 1, -1) });
    REFUSED("input axes: is computed", .op = "ReduceSum", .in = { in, I64(SHAPE(1), 0) });
    REFUSED("type bool", .op = "ReduceMean", .in = { BOOLS(SHAPE(1), 1) });
}

static void test_arg_max_and_cum_sum(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(2, 3), 1, 5, 5, 4, 2, 4);
    CHECK(.op = "ArgMax", .in = { in }, .attributes = { INT("axis", 1) },
          .out = { I64(SHAPE(2, 1), 1, 0) });
    CHECK(.op = "ArgMax", .in = { in },
          .attributes = { INT("axis", -1), INT("keepdims", 0), INT("select_last_index", 1) },
          .out = { I64(SHAPE(2), 2, 2) });
    CHECK(.op = "ArgMax", .in = { in }, .out = { I64(SHAPE(1, 3), 1, 0, 0) });
    CHECK(.op = "CumSum", .in = { in, I64(SCALAR, 1) },
          .out = { F32(SHAPE(2, 3), 1, 6, 11, 4, 6, 10) });
    CHECK(.op = "CumSum", .in = { in, I32(SCALAR, -2) }, .attributes = { INT("reverse", 1) },
          .out = { F32(SHAPE(2, 3), 5, 7, 9, 4, 2, 4) });
    CHECK(.op = "CumSum", .in = { I64(SHAPE(3), 1, 2, 3), I64(SHAPE(1), 0) },
          .attributes = { INT("exclusive", 1), INT("reverse", 1) },
          .out = { I64(SHAPE(3), 5, 3, 0) });
}

static void test_cast(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(5), -1.9f, 0, 0.5f, 300, NAN);
    CHECK(.op = "Cast", .in = { in }, .attributes = { INT("to", 7) },
          .out = { I64(SHAPE(5), -1, 0, 0, 300, 0) });
    CHECK(.op = "Cast", .in = { in }, .attributes = { INT("to", 2) },
          .out = { U8(SHAPE(5), 0, 0, 0, 255, 0) });
    CHECK(.op = "Cast", .in = { in }, .attributes = { INT("to", 3) },
          .out = { I8(SHAPE(5), -1, 0, 0, 127, 0) });
    CHECK(.op = "Cast", .in = { in }, .attributes = { INT("to", 9) },
          .out = { BOOLS(SHAPE(5), 1, 0, 1, 1, 1) });
    CHECK(.op = "Cast", .in = { BOOLS(SHAPE(2), 0, 1) }, .attributes = { INT("to", 1) },
          .out = { F32(SHAPE(2), 0, 1) });
    CHECK(.op = "Cast", .in = { I64(SHAPE(2), 257, -1) }, .attributes = { INT("to", 2) },
          .out = { U8(SHAPE(2), 1, 255) });
    REFUSED("to: type number 8", .op = "Cast", .in = { in }, .attributes = { INT("to", 8) });
    REFUSED("to: type number -1", .op = "Cast", .in = { in }, .attributes = { INT("to", -1) });
}

static void test_halves(void **state)
{
    (void)state;
    assert_int_equal(float_to_half(1), 0x3c00);
    assert_int_equal(float_to_half(-2), 0xc000);
    assert_int_equal(float_to_half(65504), 0x7bff);
    assert_int_equal(float_to_half(65520), 0x7c00);    /* rounds up to infinity */
    assert_int_equal(float_to_half(0x1p-24f), 0x0001); /* the smallest */
    assert_int_equal(float_to_half(0x1p-25f), 0x0000); /* half of it: to even */
    assert_int_equal(float_to_half(0x1.8p-24f), 0x0002);
    assert_int_equal(float_to_half(1 + 0x1p-11f), 0x3c00); /* halves to even, down and up */
    assert_int_equal(float_to_half(1 + 0x3p-11f), 0x3c02);
    assert_int_equal(float_to_bfloat(1), 0x3f80);
    assert_int_equal(float_to_bfloat(1 + 0x1p-8f), 0x3f80);
    assert_int_equal(float_to_bfloat(1 + 0x3p-8f), 0x3f82);
    assert_true(isnan(float_from_half(float_to_half(NAN))));
    assert_true(isnan(float_from_bfloat(float_to_bfloat(NAN))));
    for (uint32_t bits = 0; bits < 0x7c00; bits++) { /* there and back, for all finite ones */
        assert_int_equal(float_to_half(float_from_half((uint16_t)bits)), bits);
        assert_int_equal(float_to_bfloat(float_from_bfloat((uint16_t)bits)), bits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),     cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_softmax),    cmocka_unit_test(test_normalisations),
        cmocka_unit_test(test_reductions), cmocka_unit_test(test_arg_max_and_cum_sum),
        cmocka_unit_test(test_cast),       cmocka_unit_test(test_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
