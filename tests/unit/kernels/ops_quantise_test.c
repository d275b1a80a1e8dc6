/* Quantised ops by hand-computed numbers: rounding of halves, saturation, where scales and zero points
 * may differ, and what is refused. */
#include "op_check.h"

#define U16(s, ...) LITERAL(TENSOR_U16, uint16_t, s, __VA_ARGS__)
#define I16(s, ...) LITERAL(TENSOR_I16, int16_t, s, __VA_ARGS__)
#define F16(s, ...) LITERAL(TENSOR_F16, uint16_t, s, __VA_ARGS__)
#define F64(s, ...) LITERAL(TENSOR_F64, double, s, __VA_ARGS__)
#define NUMBER(x) F32(SCALAR, x)
#define ONE_U8(x) U8(SCALAR, x)
#define ONE_I8(x) I8(SCALAR, x)

static void test_quantise(void **state)
{
    (void)state;
    /* 0.5, 1.5, 2.5 and -0.5, -1.5 steps: to the even neighbour; then past both ends */
    struct tensor x = F32(SHAPE(7), 1, 3, 5, -1, -3, 1000, -1000);
    CHECK(.op = "QuantizeLinear", .opset = 10, .in = { x, NUMBER(2), ONE_U8(10) },
          .out = { U8(SHAPE(7), 10, 12, 12, 10, 8, 255, 0) });
    CHECK(.op = "QuantizeLinear", .opset = 13, .in = { x, NUMBER(2), ONE_I8(-7) },
          .out = { I8(SHAPE(7), -7, -5, -5, -7, -9, 127, -128) });
    CHECK(.op = "QuantizeLinear", .in = { x, F32(SHAPE(1), 2) },
          .out = { U8(SHAPE(7), 0, 2, 2, 0, 0, 255, 0) });
    CHECK(.op = "QuantizeLinear", .opset = 21, .in = { x, NUMBER(0.01f), I16(SCALAR, 5) },
          .out = { I16(SHAPE(7), 105, 305, 505, -95, -295, 32767, -32768) });
    CHECK(.op = "QuantizeLinear", .opset = 21, .in = { x, NUMBER(0.01f) },
          .attributes = { INT("output_dtype", 4) },
          .out = { U16(SHAPE(7), 100, 300, 500, 0, 0, 65535, 0) });
    CHECK(.op = "QuantizeLinear", .in = { I32(SHAPE(3), 7, 9, -7), NUMBER(2), ONE_U8(1) },
          .out = { U8(SHAPE(3), 5, 5, 0) });
    /* a scale for each of three columns, then of two rows */
    struct tensor y = F32(SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    CHECK(.op = "QuantizeLinear", .in = { y, F32(SHAPE(3), 1, 2, 4), U8(SHAPE(3), 0, 10, 20) },
          .out = { U8(SHAPE(2, 3), 1, 11, 21, 4, 12, 22) });
    CHECK(.op = "QuantizeLinear", .in = { y, F32(SHAPE(2), 1, 0.5f), I8(SHAPE(2), 0, 1) },
          .attributes = { INT("axis", -2) }, .out = { I8(SHAPE(2, 3), 1, 2, 3, 9, 11, 13) });
    /* halves: 0x3c00 is 1, 0x4000 is 2, 0x4200 is 3 */
    CHECK(.op = "QuantizeLinear", .opset = 19,
          .in = { F16(SHAPE(2), 0x3c00, 0x4200), F16(SCALAR, 0x4000), ONE_U8(3) },
          .out = { U8(SHAPE(2), 3, 5) });
}

static void test_dequantise(void **state)
{
    (void)state;
    struct tensor x = U8(SHAPE(2, 3), 0, 1, 2, 128, 254, 255);
    CHECK(.op = "DequantizeLinear", .opset = 10, .in = { x, NUMBER(0.5f), ONE_U8(128) },
          .out = { F32(SHAPE(2, 3), -64, -63.5f, -63, 0, 63, 63.5f) });
    CHECK(.op = "DequantizeLinear", .in = { x, F32(SHAPE(2), 1, 2), U8(SHAPE(2), 1, 255) },
          .attributes = { INT("axis", 0) }, .out = { F32(SHAPE(2, 3), -1, 0, 1, -254, -2, 0) });
    CHECK(.op = "DequantizeLinear", .in = { I8(SHAPE(2), -128, 127), NUMBER(2), ONE_I8(-128) },
          .out = { F32(SHAPE(2), 0, 510) });
    CHECK(.op = "DequantizeLinear", .in = { I32(SHAPE(2), -70000, 3), NUMBER(0.5f) },
          .out = { F32(SHAPE(2), -35000, 1.5f) });
    CHECK(.op = "DequantizeLinear", .opset = 21, .in = { I16(SHAPE(1), -300), NUMBER(2) },
          .out = { F32(SHAPE(1), -600) });
    CHECK(.op = "DequantizeLinear", .opset = 19,
          .in = { U8(SHAPE(2), 3, 4), F16(SCALAR, 0x4000), ONE_U8(3) },
          .out = { F16(SHAPE(2), 0x0000, 0x4000) });
}

/* Five columns in blocks of two: the last block has one. */
static void test_blocks(void **state)
{
    (void)state;
    struct tensor scale = F32(SHAPE(2, 3), 1, 2, 4, 1, 0.5f, 0.25f);
    struct tensor zero = U8(SHAPE(2, 3), 0, 1, 2, 3, 4, 5);
    CHECK(.op = "QuantizeLinear", .opset = 21,
          .in = { F32(SHAPE(2, 5), 8, 4, 8, 4, 8, 8, 4, 8, 4, 8), scale, zero },
          .attributes = { INT("block_size", 2) },
          .out = { U8(SHAPE(2, 5), 8, 4, 5, 3, 4, 11, 7, 20, 12, 37) });
    CHECK(.op = "DequantizeLinear", .opset = 21,
          .in = { U8(SHAPE(2, 5), 8, 4, 5, 3, 4, 11, 7, 20, 12, 37), scale, zero },
          .attributes = { INT("block_size", 2) },
          .out = { F32(SHAPE(2, 5), 8, 4, 8, 4, 8, 8, 4, 8, 4, 8) });
    /* along the first of two dimensions */
    CHECK(.op = "DequantizeLinear", .opset = 21,
          .in = { I8(SHAPE(3, 2), 1, 2, 3, 4, 5, 6), F32(SHAPE(2, 2), 1, 10, 100, 1000) },
          .attributes = { INT("axis", 0), INT("block_size", 2) },
          .out = { F32(SHAPE(3, 2), 1, 20, 3, 40, 500, 6000) });
    REFUSED("not one for each block of 3", .op = "DequantizeLinear", .opset = 21,
            .in = { U8(SHAPE(2, 5), 0), scale }, .attributes = { INT("block_size", 3) });
    REFUSED("-1 is negative", .op = "DequantizeLinear", .opset = 21,
            .in = { U8(SHAPE(2, 5), 0), scale }, .attributes = { INT("block_size", -1) });
}

static void test_refused_scales(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(2, 3), 0), q = U8(SHAPE(2, 3), 0), three = F32(SHAPE(3), 1, 1, 1);
    REFUSED("axis 0 has 2 positions", .op = "QuantizeLinear", .in = { x, three },
            .attributes = { INT("axis", 0) });
    REFUSED("2 is outside [-2, 1]", .op = "QuantizeLinear", .in = { x, three },
            .attributes = { INT("axis", 2) });
    REFUSED("zero point: not of the scale's shape", .op = "QuantizeLinear",
            .in = { x, three, ONE_U8(1) });
    REFUSED("type i8 is not supported", .op = "DequantizeLinear", .in = { q, NUMBER(1), ONE_I8(0) });
    REFUSED("type u16 is not supported", .op = "QuantizeLinear",
            .in = { x, NUMBER(1), U16(SCALAR, 1) });
    REFUSED("type f64 is not supported", .op = "QuantizeLinear",
            .in = { F64(SHAPE(1), 1), NUMBER(1) });
    /* 17 is an 8-bit float, 22 a number of 4 bits */
    REFUSED("type of that number", .op = "QuantizeLinear", .opset = 21, .in = { x, NUMBER(1) },
            .attributes = { INT("output_dtype", 17) });
    REFUSED("type of that number", .op = "QuantizeLinear", .opset = 21, .in = { x, NUMBER(1) },
            .attributes = { INT("output_dtype", 22) });
    REFUSED("is not the zero point's type", .op = "QuantizeLinear", .opset = 21,
            .in = { x, NUMBER(1), ONE_U8(1) }, .attributes = { INT("output_dtype", 3) });
}

static void test_dynamic(void **state)
{
    (void)state;
    /* -2 to 3 is 255 steps of 5 / 255; 2 of them are 102 */
    CHECK(.op = "DynamicQuantizeLinear", .in = { F32(SHAPE(4), -2, 0, 1, 3) },
          .out = { U8(SHAPE(4), 0, 102, 153, 255), NUMBER(5 / 255.0f), ONE_U8(102) });
    /* all above 0, all below, and nothing but 0 */
    CHECK(.op = "DynamicQuantizeLinear", .in = { F32(SHAPE(2), 1, 2.55f) },
          .out = { U8(SHAPE(2), 100, 255), NUMBER(0.01f), ONE_U8(0) });
    CHECK(.op = "DynamicQuantizeLinear", .in = { F32(SHAPE(2), -1, -2.55f) },
          .out = { U8(SHAPE(2), 155, 0), NUMBER(0.01f), ONE_U8(255) });
    CHECK(.op = "DynamicQuantizeLinear", .in = { F32(SHAPE(2), 0, 0) },
          .out = { U8(SHAPE(2), 0, 0), NUMBER(1), ONE_U8(0) });
}

static void test_conv_integer(void **state)
{
    (void)state;
    struct tensor x = U8(SHAPE(1, 1, 3, 3), 2, 3, 4, 5, 6, 7, 8, 9, 10);
    struct tensor ones = U8(SHAPE(1, 1, 2, 2), 1, 1, 1, 1);
    CHECK(.op = "ConvInteger", .in = { x, ones, ONE_U8(1) },
          .out = { I32(SHAPE(1, 1, 2, 2), 12, 16, 24, 28) });
    /* what is padded is the zero point */
    CHECK(.op = "ConvInteger", .in = { x, ones, ONE_U8(1) },
          .attributes = { INTS("pads", 1, 1, 0, 0) },
          .out = { I32(SHAPE(1, 1, 3, 3), 1, 3, 5, 5, 12, 16, 11, 24, 28) });
    /* i8 times u8, two groups, a zero point for each filter: 2 * (3 - 1), -4 * (5 - 2) */
    CHECK(.op = "ConvInteger",
          .in = { I8(SHAPE(1, 2, 1, 1), 2, -4), U8(SHAPE(2, 1, 1, 1), 3, 5), { 0 }, U8(SHAPE(2), 1, 2) },
          .attributes = { INT("group", 2) }, .out = { I32(SHAPE(1, 2, 1, 1), 4, -12) });
    REFUSED("x_zero_point: one number", .op = "ConvInteger", .in = { x, ones, U8(SHAPE(2), 1, 1) });
    REFUSED("w_zero_point: 3 numbers for 1 output", .op = "ConvInteger",
            .in = { x, ones, { 0 }, U8(SHAPE(3), 1, 1, 1) });
    REFUSED("weights: type f32", .op = "ConvInteger", .in = { x, F32(SHAPE(1, 1, 1, 1), 1) });
}

static void test_matmul_integer(void **state)
{
    (void)state;
    struct tensor a = U8(SHAPE(2, 3), 11, 7, 3, 10, 6, 2), b = U8(SHAPE(3, 2), 1, 4, 2, 5, 3, 6);
    /* rows of a less 12: -1 -5 -9, -2 -6 -10 */
    CHECK(.op = "MatMulInteger", .in = { a, b, ONE_U8(12), ONE_U8(0) },
          .out = { I32(SHAPE(2, 2), -38, -83, -44, -98) });
    /* 12 and 11 for the rows: -1 -5 -9 both; 1 and 4 for the columns: 0 1 2 both */
    CHECK(.op = "MatMulInteger", .in = { a, b, U8(SHAPE(2), 12, 11), U8(SHAPE(2), 1, 4) },
          .out = { I32(SHAPE(2, 2), -23, -23, -23, -23) });
    /* two products of 1x2 and 2x1, each with its own zero points */
    CHECK(.op = "MatMulInteger",
          .in = { I8(SHAPE(2, 1, 2), 1, 2, 3, 4), U8(SHAPE(2, 2, 1), 5, 6, 7, 8),
                  I8(SHAPE(2, 1, 1), 1, -1), U8(SHAPE(2, 1, 1), 4, 6) },
          .out = { I32(SHAPE(2, 1, 1), 2, 14) });
    CHECK(.op = "MatMulInteger", .in = { U8(SHAPE(2), 2, 3), I8(SHAPE(2), -1, 5) },
          .out = { I32(SCALAR, 13) });
    REFUSED("a_zero_point: neither one number nor one for each row", .op = "MatMulInteger",
            .in = { a, b, U8(SHAPE(3), 1, 1, 1) });
    REFUSED("b_zero_point: neither one number nor one for each column", .op = "MatMulInteger",
            .in = { a, b, { 0 }, U8(SHAPE(3, 1), 1, 1, 1) });
    REFUSED("shapes 2x3 and 2x3", .op = "MatMulInteger", .in = { a, a });
}

/* x stands for 1, 2, 3 and 4; the filters for 2 and -1, with zero points in between. */
static void test_qlinear_conv(void **state)
{
    (void)state;
    struct tensor x = U8(SHAPE(1, 1, 2, 2), 12, 14, 16, 18), one = U8(SHAPE(2, 1, 1, 1), 7, 1);
#define QLINEAR_INPUTS(y_scale, y_zero) \
    .in = { x,                          \
            NUMBER(0.5f),               \
            ONE_U8(10),                 \
            one,                        \
            F32(SHAPE(2), 1, 0.5f),     \
            U8(SHAPE(2), 5, 3),         \
            NUMBER(y_scale),            \
            y_zero,                     \
            I32(SHAPE(2), 2, 4) }
    /* biases 2 * 0.5 and 4 * 0.25: 3 5 7 9 and 0 -1 -2 -3 */
    CHECK(.op = "QLinearConv", QLINEAR_INPUTS(1, ONE_U8(2)),
          .out = { U8(SHAPE(1, 2, 2, 2), 5, 7, 9, 11, 2, 1, 0, 0) });
    /* steps of 2: 1.5 2.5 3.5 4.5 and 0 -0.5 -1 -1.5, halves to even */
    CHECK(.op = "QLinearConv", QLINEAR_INPUTS(2, ONE_I8(1)),
          .out = { I8(SHAPE(1, 2, 2, 2), 3, 3, 5, 5, 1, 1, 0, -1) });
    CHECK(.op = "conv_int8", .opset = OPSET_OWN, QLINEAR_INPUTS(1, ONE_U8(2)),
          .attributes = { INT("low", 2), INT("high", 8) },
          .out = { U8(SHAPE(1, 2, 2, 2), 5, 7, 8, 8, 2, 2, 2, 2) });
    REFUSED("limits: 9 to 8", .op = "conv_int8", .opset = OPSET_OWN, QLINEAR_INPUTS(1, ONE_U8(2)),
            .attributes = { INT("low", 9), INT("high", 8) });
    REFUSED("limits: 0 to 256", .op = "conv_int8", .opset = OPSET_OWN, QLINEAR_INPUTS(1, ONE_U8(2)),
            .attributes = { INT("high", 256) });
    REFUSED("y_zero_point: type i32", .op = "QLinearConv", QLINEAR_INPUTS(1, I32(SCALAR, 2)));
    REFUSED("x_scale: one number", .op = "QLinearConv",
            .in = { x, F32(SHAPE(2), 1, 1), ONE_U8(10), one, NUMBER(1), ONE_U8(5), NUMBER(1),
                    ONE_U8(2) });
}

static void test_qlinear_matmul(void **state)
{
    (void)state;
    struct tensor a = U8(SHAPE(2, 2), 1, 2, 3, 4), b = I8(SHAPE(2, 2), 1, -1, 2, 0);
#define MATMUL_INPUTS                                                                           \
    a, F32(SHAPE(2), 1, 0.5f), U8(SHAPE(2), 0, 1), b, F32(SHAPE(2), 2, 1), I8(SHAPE(2), 0, -1), \
        NUMBER(0.5f), ONE_I8(3)
    /* 10 2, 8 1.5 in steps of 0.5, plus 3 */
    CHECK(.op = "QLinearMatMul", .in = { MATMUL_INPUTS }, .out = { I8(SHAPE(2, 2), 23, 7, 19, 6) });
    CHECK(.op = "matmul_int8", .opset = OPSET_OWN, .in = { MATMUL_INPUTS, I32(SHAPE(2), 1, 2) },
          .attributes = { INT("high", 21) }, .out = { I8(SHAPE(2, 2), 21, 11, 21, 8) });
    REFUSED("bias: not one number for each column", .op = "matmul_int8", .opset = OPSET_OWN,
            .in = { MATMUL_INPUTS, I32(SHAPE(1), 1) });
    REFUSED("a_scale: neither", .op = "QLinearMatMul",
            .in = { a, F32(SHAPE(3), 1, 1, 1), ONE_U8(0), b, NUMBER(1), ONE_I8(0), NUMBER(1),
                    ONE_I8(0) });
}

static void test_own_elementwise(void **state)
{
    (void)state;
    struct tensor a = U8(SHAPE(2, 2), 0, 10, 20, 30), b = I8(SHAPE(2), -2, 4);
#define OPERANDS(b) a, NUMBER(0.5f), ONE_U8(10), b, NUMBER(2), ONE_I8(0), NUMBER(1), ONE_U8(6)
    /* a is -5 0 5 10; b is -4 8 */
    CHECK(.op = "add_int8", .opset = OPSET_OWN, .in = { OPERANDS(b) },
          .out = { U8(SHAPE(2, 2), 0, 14, 7, 24) });
    CHECK(.op = "mul_int8", .opset = OPSET_OWN, .in = { OPERANDS(b) },
          .attributes = { INT("low", 6), INT("high", 80) }, .out = { U8(SHAPE(2, 2), 26, 6, 6, 80) });
    CHECK(.op = "average_int8", .opset = OPSET_OWN,
          .in = { U8(SHAPE(1, 2, 1, 2), 1, 2, 7, 8), NUMBER(1), ONE_U8(1), NUMBER(1), ONE_U8(3) },
          .out = { U8(SHAPE(1, 2, 1, 1), 3, 9) });
    REFUSED("their shapes do not go together", .op = "add_int8", .opset = OPSET_OWN,
            .in = { OPERANDS(I8(SHAPE(3), 1, 1, 1)) });
    REFUSED("nothing behind the channels", .op = "average_int8", .opset = OPSET_OWN,
            .in = { U8(SHAPE(1, 2), 1, 2), NUMBER(1), ONE_U8(1), NUMBER(1), ONE_U8(3) });
}

static void test_table(void **state)
{
    (void)state;
    uint8_t squares[256];
    for (int i = 0; i < 256; i++)
        squares[i] = (uint8_t)(i * i % 251);
    struct tensor table = { .type = TENSOR_U8, .shape = SHAPE(256), .data = squares };
    CHECK(.op = "table_int8", .opset = OPSET_OWN, .in = { I8(SHAPE(3), 3, -1, -128), table },
          .out = { U8(SHAPE(3), 9, 255 * 255 % 251, 128 * 128 % 251) });
    REFUSED("256 numbers expected", .op = "table_int8", .opset = OPSET_OWN,
            .in = { I8(SHAPE(1), 1), U8(SHAPE(2), 1, 2) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantise),       cmocka_unit_test(test_dequantise),
        cmocka_unit_test(test_blocks),         cmocka_unit_test(test_refused_scales),
        cmocka_unit_test(test_dynamic),        cmocka_unit_test(test_conv_integer),
        cmocka_unit_test(test_matmul_integer), cmocka_unit_test(test_qlinear_conv),
        cmocka_unit_test(test_qlinear_matmul), cmocka_unit_test(test_own_elementwise),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
