/* Elementwise ops on all types of numbers, by values from NumPy: doubles keep their digits, halves are rounded
 * once, unsigned numbers compare and divide as such, whole ones wrap around. */
#include "op_types.h"

#define HUGE_U64 UINT64_C(0x8000000000000001) /* negative, if it were signed */

static void test_fractions(void **state)
{
    (void)state;
    CHECK(.op = "Exp", .in = { F64(SHAPE(2), 1, 0) },
          .out = { F64(SHAPE(2), 2.7182818284590451, 1) });
    CHECK(.op = "Add", .in = { F64(SHAPE(1), 1), F64(SCALAR, 0x1p-40) },
          .out = { F64(SHAPE(1), 1 + 0x1p-40) });
    CHECK(.op = "Max", .in = { F64(SHAPE(2), 1, -1), F64(SHAPE(2), -5, 2) },
          .out = { F64(SHAPE(2), 1, 2) });
    CHECK(.op = "Less", .in = { F64(SHAPE(2), 1, 1), F64(SHAPE(2), 1 + 0x1p-40, 1) },
          .out = { BOOLS(SHAPE(2), 1, 0) });
    CHECK(.op = "Clip", .in = { F64(SHAPE(3), -1, 0x1p-40, 9), F64(SCALAR, 0), F64(SCALAR, 2) },
          .out = { F64(SHAPE(3), 0, 0x1p-40, 2) });
    /* 0.1, 2.5, -3 and 60000, which doubled is above all halves; the root of 2 */
    CHECK(.op = "Add",
          .in = { F16(SHAPE(4), 11878, 16640, 49664, 31571),
                  F16(SHAPE(4), 11878, 16640, 49664, 31571) },
          .out = { F16(SHAPE(4), 12902, 17664, 50688, 31744) });
    CHECK(.op = "Sqrt", .in = { F16(SHAPE(1), 0x4000) }, .out = { F16(SHAPE(1), 15784) });
    CHECK(.op = "Neg", .in = { BF16(SHAPE(2), 0x3f80, 0xc000) },
          .out = { BF16(SHAPE(2), 0xbf80, 0x4000) });
    CHECK(.op = "Mul", .in = { BF16(SHAPE(1), 0x4040), BF16(SHAPE(1), 0x4040) },
          .out = { BF16(SHAPE(1), 0x4110) }); /* 9 */
    CHECK(.op = "Mean", .in = { F16(SHAPE(1), 0x3c00), F16(SHAPE(1), 0x4200) },
          .out = { F16(SHAPE(1), 0x4000) }); /* of 1 and 3 */
    REFUSED("of types f16 and f32", .op = "Add", .in = { F16(SCALAR, 0), F32(SCALAR, 0) });
    REFUSED("type bool", .op = "Add", .in = { BOOLS(SCALAR, 0), BOOLS(SCALAR, 0) });
}

static void test_whole(void **state)
{
    (void)state;
    CHECK(.op = "Add", .in = { U8(SHAPE(2), 250, 1), U8(SHAPE(2), 10, 2) },
          .out = { U8(SHAPE(2), 4, 3) });
    CHECK(.op = "Sub", .in = { U16(SHAPE(1), 1), U16(SHAPE(1), 2) }, .out = { U16(SHAPE(1), 65535) });
    CHECK(.op = "Mul", .in = { I8(SHAPE(2), 100, -3), I8(SHAPE(2), 2, 4) },
          .out = { I8(SHAPE(2), -56, -12) });
    CHECK(.op = "Div", .in = { I8(SHAPE(3), -128, 7, 7), I8(SHAPE(3), -1, -2, 0) },
          .out = { I8(SHAPE(3), -128, -3, 0) });
    CHECK(.op = "Div", .in = { U64(SHAPE(2), HUGE_U64, 5), U64(SHAPE(2), 2, 0) },
          .out = { U64(SHAPE(2), UINT64_C(0x4000000000000000), 0) });
    CHECK(.op = "Max", .in = { U64(SHAPE(2), HUGE_U64, 5), U64(SCALAR, 7) },
          .out = { U64(SHAPE(2), HUGE_U64, 7) });
    CHECK(.op = "Min", .in = { I16(SHAPE(2), -300, 5), I16(SCALAR, 1) },
          .out = { I16(SHAPE(2), -300, 1) });
    CHECK(.op = "PRelu", .in = { I32(SHAPE(2), -3, 3), I32(SCALAR, 5) },
          .out = { I32(SHAPE(2), -15, 3) });
    CHECK(.op = "PRelu", .in = { U64(SHAPE(1), HUGE_U64), U64(SCALAR, 5) },
          .out = { U64(SHAPE(1), HUGE_U64) });
    CHECK(.op = "Sum", .in = { U32(SHAPE(1), UINT32_MAX), U32(SHAPE(1), 1), U32(SHAPE(1), 7) },
          .out = { U32(SHAPE(1), 7) });
    CHECK(.op = "Abs", .in = { U64(SHAPE(1), HUGE_U64) }, .out = { U64(SHAPE(1), HUGE_U64) });
    CHECK(.op = "Abs", .in = { I8(SHAPE(2), -128, -1) }, .out = { I8(SHAPE(2), -128, 1) });
    CHECK(.op = "Neg", .in = { I16(SHAPE(2), -32768, 3) }, .out = { I16(SHAPE(2), -32768, -3) });
    CHECK(.op = "Relu", .opset = 14, .in = { I8(SHAPE(2), -2, 3) }, .out = { I8(SHAPE(2), 0, 3) });
    CHECK(.op = "Sign", .in = { I32(SHAPE(3), -9, 0, 9) }, .out = { I32(SHAPE(3), -1, 0, 1) });
    CHECK(.op = "Sign", .in = { U64(SHAPE(2), HUGE_U64, 0) }, .out = { U64(SHAPE(2), 1, 0) });
    CHECK(.op = "Sign", .in = { F32(SHAPE(4), -0.5f, 0, 7, NAN) },
          .out = { F32(SHAPE(4), -1, 0, 1, NAN) });
    CHECK(.op = "Clip",
          .in = { U64(SHAPE(3), 1, 5, HUGE_U64), U64(SCALAR, 2), U64(SCALAR, HUGE_U64 - 1) },
          .out = { U64(SHAPE(3), 2, 5, HUGE_U64 - 1) });
    CHECK(.op = "Clip", .in = { I8(SHAPE(3), -9, 0, 9), { 0 }, I8(SCALAR, 3) },
          .out = { I8(SHAPE(3), -9, 0, 3) });
    REFUSED("type u32", .op = "Neg", .in = { U32(SCALAR, 1) });
    REFUSED("type i64", .op = "Clip", .opset = 10, .in = { I64(SCALAR, 1) });
    REFUSED("type i64", .op = "Mean", .in = { I64(SCALAR, 1) });
}

static void test_comparisons(void **state)
{
    (void)state;
    CHECK(.op = "Greater", .in = { U64(SHAPE(2), HUGE_U64, 1), U64(SCALAR, 7) },
          .out = { BOOLS(SHAPE(2), 1, 0) });
    CHECK(.op = "LessOrEqual", .in = { I8(SHAPE(2), -1, 3), I8(SCALAR, 2) },
          .out = { BOOLS(SHAPE(2), 1, 0) });
    CHECK(.op = "Equal", .in = { BOOLS(SHAPE(2), 1, 0), BOOLS(SCALAR, 0) },
          .out = { BOOLS(SHAPE(2), 0, 1) });
    CHECK(.op = "GreaterOrEqual", .in = { F16(SHAPE(2), 0x3c00, 0xbc00), F16(SCALAR, 0) },
          .out = { BOOLS(SHAPE(2), 1, 0) });
    CHECK(.op = "Xor", .in = { BOOLS(SHAPE(2, 1), 0, 1), BOOLS(SHAPE(2), 0, 1) },
          .out = { BOOLS(SHAPE(2, 2), 0, 1, 1, 0) });
    struct tensor odd = F32(SHAPE(4), NAN, INFINITY, -INFINITY, 1);
    CHECK(.op = "IsNaN", .in = { odd }, .out = { BOOLS(SHAPE(4), 1, 0, 0, 0) });
    CHECK(.op = "IsInf", .in = { odd }, .out = { BOOLS(SHAPE(4), 0, 1, 1, 0) });
    CHECK(.op = "IsInf", .in = { odd }, .attributes = { INT("detect_negative", 0) },
          .out = { BOOLS(SHAPE(4), 0, 1, 0, 0) });
    CHECK(.op = "IsInf", .in = { F64(SHAPE(2), -INFINITY, INFINITY) },
          .attributes = { INT("detect_positive", 0) }, .out = { BOOLS(SHAPE(2), 1, 0) });
    REFUSED("type bool", .op = "Less", .in = { BOOLS(SCALAR, 0), BOOLS(SCALAR, 0) });
    REFUSED("type i64", .op = "Xor", .in = { I64(SCALAR, 0), I64(SCALAR, 0) });
    REFUSED("type i64", .op = "IsNaN", .in = { I64(SCALAR, 0) });
}

static void test_powers(void **state)
{
    (void)state;
    CHECK(.op = "Pow", .in = { F32(SHAPE(2), 1.5f, -2), I64(SHAPE(2), 2, 3) },
          .out = { F32(SHAPE(2), 2.25f, -8) });
    CHECK(.op = "Pow", .in = { I32(SHAPE(3), 2, 9, 7), F32(SHAPE(3), 3, 0.5f, -1) },
          .out = { I32(SHAPE(3), 8, 3, 0) });
    CHECK(.op = "Pow", .in = { I64(SHAPE(5), 3, -2, -1, 2, 1), I32(SHAPE(5), 39, 3, -3, -1, -9) },
          .out = { I64(SHAPE(5), 4052555153018976267, -8, -1, 0, 1) });
    CHECK(.op = "Pow", .in = { U8(SHAPE(2), 2, 3), U8(SHAPE(2), 8, 5) },
          .out = { U8(SHAPE(2), 0, 243) });
    CHECK(.op = "Pow", .in = { F64(SHAPE(1), 3), F64(SHAPE(1), -1) },
          .out = { F64(SHAPE(1), 1.0 / 3) });
    REFUSED("X: type bool", .op = "Pow", .in = { BOOLS(SCALAR, 1), F32(SCALAR, 1) });

    CHECK(.op = "Mod", .in = { I32(SHAPE(6), -4, 7, 5, 4, -7, 8), I32(SHAPE(6), 2, -3, 8, -2, 3, 5) },
          .out = { I32(SHAPE(6), 0, -2, 5, 0, 2, 3) });
    CHECK(.op = "Mod", .in = { I64(SHAPE(4), -7, 7, 7, INT64_MIN), I64(SHAPE(4), 3, -3, 0, -1) },
          .attributes = { INT("fmod", 1) }, .out = { I64(SHAPE(4), -1, 1, 0, 0) });
    CHECK(.op = "Mod", .in = { U64(SHAPE(1), HUGE_U64), U64(SHAPE(1), 10) },
          .out = { U64(SHAPE(1), 9) });
    CHECK(.op = "Mod", .in = { F32(SHAPE(3), -4.5f, 5.5f, 7), F32(SHAPE(3), 2, -3, 0.5f) },
          .attributes = { INT("fmod", 1) }, .out = { F32(SHAPE(3), -0.5f, 2.5f, 0) });
    REFUSED("fmod: must be 1 for floats", .op = "Mod", .in = { F32(SCALAR, 1), F32(SCALAR, 1) });
}

static void test_bits(void **state)
{
    (void)state;
    CHECK(.op = "BitwiseAnd", .opset = 18, .in = { I8(SHAPE(2), -1, 6), I8(SCALAR, 3) },
          .out = { I8(SHAPE(2), 3, 2) });
    CHECK(.op = "BitwiseOr", .opset = 18, .in = { U16(SHAPE(1), 0x0f00), U16(SHAPE(1), 0x00f0) },
          .out = { U16(SHAPE(1), 0x0ff0) });
    CHECK(.op = "BitwiseXor", .opset = 18, .in = { I64(SHAPE(1), -1), I64(SHAPE(1), 5) },
          .out = { I64(SHAPE(1), -6) });
    CHECK(.op = "BitwiseNot", .opset = 18, .in = { U8(SHAPE(2), 0, 0xf0) },
          .out = { U8(SHAPE(2), 0xff, 0x0f) });
    CHECK(.op = "BitShift", .in = { U8(SHAPE(3), 1, 255, 3), U8(SHAPE(3), 7, 4, 9) },
          .attributes = { STRING("direction", "LEFT") }, .out = { U8(SHAPE(3), 128, 240, 0) });
    CHECK(.op = "BitShift", .in = { U64(SHAPE(2), HUGE_U64, 9), U64(SHAPE(2), 63, 64) },
          .attributes = { STRING("direction", "RIGHT") }, .out = { U64(SHAPE(2), 1, 0) });
    REFUSED("LEFT or RIGHT expected", .op = "BitShift", .in = { U8(SCALAR, 1), U8(SCALAR, 1) });
    REFUSED("type i32", .op = "BitShift", .in = { I32(SCALAR, 1), I32(SCALAR, 1) },
            .attributes = { STRING("direction", "LEFT") });
    REFUSED("type f32", .op = "BitwiseNot", .opset = 18, .in = { F32(SCALAR, 1) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fractions),   cmocka_unit_test(test_whole),
        cmocka_unit_test(test_comparisons), cmocka_unit_test(test_powers),
        cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
