/* Elementwise ops by hand-computed numbers: values, broadcasting, types, both forms of Clip, NaN and the
 * corners of whole numbers. */
#include "op_check.h"

#define N 4
#define IN F32(SHAPE(N), -2, -0.5f, 0, 3)

static void check_unary(const char *op, float a, float b, float c, float d)
{
    CHECK(.op = op, .opset = 14, .in = { IN }, .out = { F32(SHAPE(N), a, b, c, d) });
}

static void test_unary(void **state)
{
    (void)state;
    check_unary("Relu", 0, 0, 0, 3);
    check_unary("Sigmoid", 0.119202922f, 0.377540669f, 0.5f, 0.952574127f);
    check_unary("Tanh", -0.964027580f, -0.462117157f, 0, 0.995054754f);
    check_unary("Exp", 0.135335283f, 0.606530660f, 1, 20.0855369f);
    check_unary("Log", NAN, NAN, -INFINITY, 1.09861229f);
    check_unary("Sqrt", NAN, NAN, 0, 1.73205081f);
    check_unary("Neg", 2, 0.5f, 0, -3);
    check_unary("Abs", 2, 0.5f, 0, 3);
    check_unary("Erf", -0.995322265f, -0.520499878f, 0, 0.999977910f);
    check_unary("Sin", -0.909297427f, -0.479425539f, 0, 0.141120008f);
    check_unary("Cos", -0.416146837f, 0.877582562f, 1, -0.989992497f);
    check_unary("Floor", -2, -1, 0, 3);
    check_unary("Ceil", -2, 0, 0, 3);
    check_unary("Round", -2, 0, 0, 3); /* halves to even */
    check_unary("Reciprocal", -0.5f, -2, INFINITY, 0.333333333f);
    check_unary("HardSwish", -0.333333333f, -0.208333333f, 0, 3);
    check_unary("HardSigmoid", 0.1f, 0.4f, 0.5f, 1);
    check_unary("LeakyRelu", -0.02f, -0.005f, 0, 3);
    check_unary("Elu", -0.864664717f, -0.393469340f, 0, 3);
    check_unary("Softplus", 0.126928011f, 0.474076984f, 0.693147181f, 3.04858735f);
    check_unary("Tan", 2.18503986f, -0.546302490f, 0, -0.142546543f);
    check_unary("Sinh", -3.62686041f, -0.521095305f, 0, 10.0178749f);
    check_unary("Cosh", 3.76219569f, 1.12762597f, 1, 10.0676620f);
    check_unary("Atan", -1.10714872f, -0.463647609f, 0, 1.24904577f);
    check_unary("Asinh", -1.44363548f, -0.481211825f, 0, 1.81844646f);
    check_unary("Acosh", NAN, NAN, NAN, 1.76274717f);
    check_unary("Asin", NAN, -0.523598776f, 0, NAN);
    check_unary("Acos", NAN, 2.09439510f, 1.57079633f, NAN);
    check_unary("Atanh", NAN, -0.549306144f, 0, NAN);
    check_unary("Softsign", -0.666666667f, -0.333333333f, 0, 0.75f);
    check_unary("Selu", -1.52016647f, -0.691758188f, 0, 3.15210296f);
    check_unary("Celu", -0.864664717f, -0.393469340f, 0, 3);
    check_unary("ThresholdedRelu", 0, 0, 0, 3);
    check_unary("Sign", -1, -1, 0, 1);
    CHECK(.op = "Mish", .opset = 18, .in = { IN },
          .out = { F32(SHAPE(N), -0.252501483f, -0.220743775f, 0, 2.98653500f) });
    CHECK(.op = "Selu", .in = { IN }, .attributes = { FLOAT("alpha", 2), FLOAT("gamma", 3) },
          .out = { F32(SHAPE(N), -5.18798830f, -2.36081604f, 0, 9) });
    CHECK(.op = "Celu", .in = { IN }, .attributes = { FLOAT("alpha", 2) },
          .out = { F32(SHAPE(N), -1.26424112f, -0.442398434f, 0, 3) });
    CHECK(.op = "ThresholdedRelu", .in = { IN }, .attributes = { FLOAT("alpha", -1) },
          .out = { F32(SHAPE(N), 0, -0.5f, 0, 3) });
    CHECK(.op = "LeakyRelu", .in = { IN }, .attributes = { FLOAT("alpha", 0.5f) },
          .out = { F32(SHAPE(N), -1, -0.25f, 0, 3) });
    CHECK(.op = "HardSigmoid", .in = { IN }, .attributes = { FLOAT("alpha", 0.5f), FLOAT("beta", 1) },
          .out = { F32(SHAPE(N), 0, 0.75f, 1, 1) });
    CHECK(.op = "Relu", .in = { F32(SCALAR, -1) }, .out = { F32(SCALAR, 0) });
    CHECK(.op = "Relu", .in = { F32(SHAPE(2), NAN, INFINITY) },
          .out = { F32(SHAPE(2), NAN, INFINITY) });
    CHECK(.op = "Sigmoid", .in = { F32(SHAPE(2), -1000, 1000) }, .out = { F32(SHAPE(2), 0, 1) });
    CHECK(.op = "Neg", .in = { I64(SHAPE(2), INT64_MIN, 5) },
          .out = { I64(SHAPE(2), INT64_MIN, -5) });
    CHECK(.op = "Abs", .in = { I32(SHAPE(2), -7, 5) }, .out = { I32(SHAPE(2), 7, 5) });
    CHECK(.op = "Not", .in = { BOOLS(SHAPE(2), 0, 1) }, .out = { BOOLS(SHAPE(2), 1, 0) });
    REFUSED("input: type u8", .op = "Relu", .in = { U8(SHAPE(1), 1) });
    REFUSED("input: type f32", .op = "Not", .in = { IN });
    REFUSED("inputs: 2 given", .op = "Relu", .in = { IN, IN });
}

static void test_clip(void **state)
{
    (void)state;
    CHECK(.op = "Clip", .opset = 10, .in = { IN },
          .attributes = { FLOAT("min", -1), FLOAT("max", 2) },
          .out = { F32(SHAPE(N), -1, -0.5f, 0, 2) });
    CHECK(.op = "Clip", .opset = 7, .in = { IN }, .out = { IN });
    CHECK(.op = "Clip", .in = { IN, F32(SCALAR, -1), F32(SCALAR, 2) },
          .out = { F32(SHAPE(N), -1, -0.5f, 0, 2) });
    CHECK(.op = "Clip", .in = { IN, { 0 }, F32(SHAPE(1), -1) },
          .out = { F32(SHAPE(N), -2, -1, -1, -1) });
    CHECK(.op = "Clip", .in = { I64(SHAPE(3), -9, 0, 9), I64(SCALAR, -3) },
          .out = { I64(SHAPE(3), -3, 0, 9) });
    REFUSED("min: type i64", .op = "Clip", .in = { IN, I64(SCALAR, 1) });
    REFUSED("max: one number expected", .op = "Clip", .in = { IN, { 0 }, F32(SHAPE(2), 1, 2) });
}

static void test_gelu_and_shrink(void **state)
{
    (void)state;
    CHECK(.op = "Gelu", .opset = 20, .in = { IN },
          .out = { F32(SHAPE(N), -0.0455002639f, -0.154268769f, 0, 2.99595031f) });
    CHECK(.op = "Gelu", .opset = 20, .in = { IN }, .attributes = { STRING("approximate", "tanh") },
          .out = { F32(SHAPE(N), -0.0454023059f, -0.154285990f, 0, 2.99636261f) });
    REFUSED("unknown word 'erf'", .op = "Gelu", .opset = 20, .in = { IN },
            .attributes = { STRING("approximate", "erf") });
    CHECK(.op = "Shrink", .in = { IN }, .out = { F32(SHAPE(N), -2, 0, 0, 3) });
    CHECK(.op = "Shrink", .in = { IN }, .attributes = { FLOAT("bias", 1.5f), FLOAT("lambd", 0.25f) },
          .out = { F32(SHAPE(N), -0.5f, 1, 0, 1.5f) });
    CHECK(.op = "Shrink", .in = { I8(SHAPE(3), -3, 1, 4) },
          .attributes = { FLOAT("bias", 1), FLOAT("lambd", 2) }, .out = { I8(SHAPE(3), -2, 0, 3) });
}

static void test_binary(void **state)
{
    (void)state;
    struct tensor matrix = F32(SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    struct tensor row = F32(SHAPE(3), 10, 20, 30), column = F32(SHAPE(2, 1), 100, 200);
    CHECK(.op = "Add", .in = { matrix, matrix }, .out = { F32(SHAPE(2, 3), 2, 4, 6, 8, 10, 12) });
    CHECK(.op = "Add", .in = { matrix, row }, .out = { F32(SHAPE(2, 3), 11, 22, 33, 14, 25, 36) });
    CHECK(.op = "Sub", .in = { row, matrix }, .out = { F32(SHAPE(2, 3), 9, 18, 27, 6, 15, 24) });
    CHECK(.op = "Add", .in = { column, row },
          .out = { F32(SHAPE(2, 3), 110, 120, 130, 210, 220, 230) });
    CHECK(.op = "Mul", .in = { matrix, F32(SCALAR, 2) },
          .out = { F32(SHAPE(2, 3), 2, 4, 6, 8, 10, 12) });
    CHECK(.op = "Div", .in = { row, F32(SHAPE(1, 1), 4) },
          .out = { F32(SHAPE(1, 3), 2.5f, 5, 7.5f) });
    CHECK(.op = "Pow", .in = { F32(SHAPE(3), 2, 9, -2), F32(SHAPE(3), 3, 0.5f, 2) },
          .out = { F32(SHAPE(3), 8, 3, 4) });
    CHECK(.op = "PRelu", .in = { F32(SHAPE(1, 2, 1, 2), -1, 2, -3, 4), F32(SHAPE(2, 1, 1), 10, 100) },
          .out = { F32(SHAPE(1, 2, 1, 2), -10, 2, -300, 4) });
    /* broadcasting in the middle, with other dimensions around */
    CHECK(.op = "Add", .in = { F32(SHAPE(2, 1, 2), 1, 2, 3, 4), F32(SHAPE(1, 2, 1), 10, 20) },
          .out = { F32(SHAPE(2, 2, 2), 11, 12, 21, 22, 13, 14, 23, 24) });
    CHECK(.op = "Max", .in = { IN, F32(SCALAR, -1), F32(SHAPE(1), 0.5f) },
          .out = { F32(SHAPE(N), 0.5f, 0.5f, 0.5f, 3) });
    CHECK(.op = "Min", .in = { I64(SHAPE(2), 5, -5), I64(SCALAR, 1) },
          .out = { I64(SHAPE(2), 1, -5) });
    CHECK(.op = "Max", .in = { F32(SHAPE(2), 1, NAN), F32(SHAPE(2), NAN, 1) },
          .out = { F32(SHAPE(2), NAN, NAN) });
    CHECK(.op = "Sum", .in = { row }, .out = { row });
    CHECK(.op = "Sum", .in = { row, row, row, row }, .out = { F32(SHAPE(3), 40, 80, 120) });
    CHECK(.op = "Mean", .in = { row, row, F32(SCALAR, 40) },
          .out = { F32(SHAPE(3), 20, 26.6666667f, 33.3333333f) });
    CHECK(.op = "Mean", .in = { row }, .out = { row });
    REFUSED("shapes 2x3 and 2 do not go together", .op = "Add",
            .in = { matrix, F32(SHAPE(2), 1, 2) });
    REFUSED("of types f32 and i64", .op = "Add", .in = { matrix, I64(SCALAR, 1) });
    REFUSED("inputs: 1 given", .op = "Add", .in = { matrix });
    REFUSED("inputs: input 0 is missing", .op = "Add", .in = { { 0 }, matrix });
}

static void test_whole_numbers(void **state)
{
    (void)state;
    CHECK(.op = "Add", .in = { I64(SHAPE(2), INT64_MAX, 1), I64(SHAPE(2), 1, 2) },
          .out = { I64(SHAPE(2), INT64_MIN, 3) });
    CHECK(.op = "Mul", .in = { I32(SHAPE(2), 65536, 3), I32(SHAPE(2), 65536, -4) },
          .out = { I32(SHAPE(2), 0, -12) });
    CHECK(.op = "Div", .in = { I64(SHAPE(4), 7, -7, 5, INT64_MIN), I64(SHAPE(4), 2, 2, 0, -1) },
          .out = { I64(SHAPE(4), 3, -3, 0, INT64_MIN) });
}

static void test_comparisons(void **state)
{
    (void)state;
    struct tensor a = F32(SHAPE(3), 1, 2, 3), two = F32(SCALAR, 2);
    CHECK(.op = "Equal", .in = { a, two }, .out = { BOOLS(SHAPE(3), 0, 1, 0) });
    CHECK(.op = "Less", .in = { a, two }, .out = { BOOLS(SHAPE(3), 1, 0, 0) });
    CHECK(.op = "LessOrEqual", .in = { a, two }, .out = { BOOLS(SHAPE(3), 1, 1, 0) });
    CHECK(.op = "Greater", .in = { I64(SHAPE(2), 1, 3), I64(SCALAR, 2) },
          .out = { BOOLS(SHAPE(2), 0, 1) });
    CHECK(.op = "GreaterOrEqual", .in = { I32(SHAPE(2), 2, 1), I32(SCALAR, 2) },
          .out = { BOOLS(SHAPE(2), 1, 0) });
    CHECK(.op = "And", .in = { BOOLS(SHAPE(2, 1), 0, 1), BOOLS(SHAPE(2), 0, 1) },
          .out = { BOOLS(SHAPE(2, 2), 0, 0, 0, 1) });
    CHECK(.op = "Or", .in = { BOOLS(SHAPE(2, 1), 0, 1), BOOLS(SHAPE(2), 0, 1) },
          .out = { BOOLS(SHAPE(2, 2), 0, 1, 1, 1) });
    CHECK(.op = "Where", .in = { BOOLS(SHAPE(2, 1), 1, 0), a, F32(SHAPE(1), -1) },
          .out = { F32(SHAPE(2, 3), 1, 2, 3, -1, -1, -1) });
    CHECK(.op = "Where", .in = { BOOLS(SCALAR, 0), I64(SCALAR, 1), I64(SHAPE(2), 2, 3) },
          .out = { I64(SHAPE(2), 2, 3) });
    REFUSED("condition: type f32", .op = "Where", .in = { a, a, a });
    REFUSED("y: type i64", .op = "Where", .in = { BOOLS(SCALAR, 1), a, I64(SCALAR, 1) });
}

static void test_table(void **state)
{
    (void)state;
    size_t count;
    const struct op *const *rows = op_all(&count);
    assert_true(count > 80);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(rows[i]->shape);
        assert_non_null(rows[i]->reference);
        assert_in_range(rows[i]->inputs_max, rows[i]->inputs_min, GRAPH_NODE_INPUTS_MAX);
        /* our own are of no opset that a file can be of, and have names that no file can name */
        bool own = rows[i]->name[0] >= 'a' && rows[i]->name[0] <= 'z';
        assert_in_range(rows[i]->opset_min, own ? OPSET_OWN : OPSET_MIN, own ? OPSET_OWN : OPSET_MAX);
        assert_in_range(rows[i]->opset_max, rows[i]->opset_min, own ? OPSET_OWN : OPSET_MAX);
        /* one row at most answers for an opset */
        assert_ptr_equal(op_find(rows[i]->name, rows[i]->opset_min), rows[i]);
        assert_ptr_equal(op_find(rows[i]->name, rows[i]->opset_max), rows[i]);
    }
    assert_null(op_find("conv", 13));
    assert_null(op_find("HardSwish", 13));
    assert_non_null(op_find("HardSwish", 0));
    assert_ptr_not_equal(op_find("Slice", 9), op_find("Slice", 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),       cmocka_unit_test(test_clip),
        cmocka_unit_test(test_binary),      cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_comparisons), cmocka_unit_test(test_table),
        cmocka_unit_test(test_gelu_and_shrink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
