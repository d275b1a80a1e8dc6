/* Reductions of all kinds and types, and what is the largest along an axis, by numbers worked out by hand. */
#include "op_types.h"

#define MATRIX F32(SHAPE(2, 3), 1, -2, 3, 4, 5, -6)

static void test_sums(void **state)
{
    (void)state;
    struct tensor rows = I64(SHAPE(1), 1);
    CHECK(.op = "ReduceL1", .opset = 18, .in = { MATRIX, rows }, .constants = 2,
          .out = { F32(SHAPE(2, 1), 6, 15) });
    CHECK(.op = "ReduceL2", .opset = 18, .in = { MATRIX, rows }, .constants = 2,
          .out = { F32(SHAPE(2, 1), 3.74165739f, 8.77496439f) });
    CHECK(.op = "ReduceSumSquare", .in = { MATRIX },
          .attributes = { INTS("axes", 0), INT("keepdims", 0) },
          .out = { F32(SHAPE(3), 17, 29, 45) });
    CHECK(.op = "ReduceLogSum", .opset = 17, .in = { F32(SHAPE(2, 2), 1, 2, 3, 4) },
          .attributes = { INTS("axes", -1) }, .out = { F32(SHAPE(2, 1), 1.09861229f, 1.94591015f) });
    CHECK(.op = "ReduceLogSumExp", .in = { F32(SHAPE(2, 2), 1000, 1000, 0, -1000) },
          .attributes = { INTS("axes", 1), INT("keepdims", 0) },
          .out = { F32(SHAPE(2), 1000.69315f, 0) });
    CHECK(.op = "ReduceLogSumExp",
          .in = { F32(SHAPE(3, 2), -INFINITY, -INFINITY, INFINITY, 0, NAN, 1) },
          .attributes = { INTS("axes", 1), INT("keepdims", 0) },
          .out = { F32(SHAPE(3), -INFINITY, INFINITY, NAN) });
    CHECK(.op = "ReduceLogSumExp", .in = { I32(SHAPE(2), 3, 3) }, .out = { I32(SHAPE(1), 3) });
    CHECK(.op = "ReduceL2", .in = { F64(SHAPE(2), 3, 4) }, .out = { F64(SHAPE(1), 5) });
    /* None of the axes, and nothing to be done about it. */
    CHECK(.op = "ReduceL1", .opset = 18, .in = { MATRIX },
          .attributes = { INT("noop_with_empty_axes", 1) }, .out = { MATRIX });
    CHECK(.op = "ReduceSumSquare", .opset = 18, .in = { I32(SHAPE(2), 3, 4) },
          .out = { I32(SHAPE(1), 25) });
}

static void test_types(void **state)
{
    (void)state;
    CHECK(.op = "ReduceSum", .in = { U8(SHAPE(3), 200, 100, 1) }, .out = { U8(SHAPE(1), 45) });
    CHECK(.op = "ReduceProd", .in = { I8(SHAPE(3), 3, -4, 5) }, .out = { I8(SHAPE(1), -60) });
    CHECK(.op = "ReduceMax", .in = { U64(SHAPE(2), UINT64_MAX, 1) },
          .out = { U64(SHAPE(1), UINT64_MAX) });
    CHECK(.op = "ReduceMin", .in = { U64(SHAPE(2), UINT64_MAX, 1) }, .out = { U64(SHAPE(1), 1) });
    CHECK(.op = "ReduceMax", .in = { I8(SHAPE(3), -7, -3, -5) }, .out = { I8(SHAPE(1), -3) });
    CHECK(.op = "ReduceMin", .in = { BOOLS(SHAPE(2), 1, 0) }, .out = { BOOLS(SHAPE(1), 0) });
    CHECK(.op = "ReduceMean", .in = { I32(SHAPE(2), 3, 4) }, .out = { I32(SHAPE(1), 3) });
    CHECK(.op = "ReduceL1", .in = { I16(SHAPE(2), -300, 200) }, .out = { I16(SHAPE(1), 500) });
    CHECK(.op = "ReduceSum", .in = { F64(SHAPE(2), 1, 0x1p-40) },
          .out = { F64(SHAPE(1), 1 + 0x1p-40) });
    CHECK(.op = "ReduceMean", .in = { F16(SHAPE(2), 0x3c00, 0x4200) },
          .out = { F16(SHAPE(1), 0x4000) });
    REFUSED("type bool", .op = "ReduceSum", .in = { BOOLS(SHAPE(1), 0) });
}

/* Of nothing at all. Only as constants: no input of a graph can be empty. */
static void test_empty(void **state)
{
    (void)state;
    struct tensor none = { .type = TENSOR_F32, .shape = SHAPE(2, 0), .data = (float[1]){ 0 } };
    struct tensor no_ints = { .type = TENSOR_I8, .shape = SHAPE(0), .data = (int8_t[1]){ 0 } };
    static const struct {
        const char *op;
        float result;
    } cases[] = { { "ReduceSum", 0 },
                  { "ReduceProd", 1 },
                  { "ReduceMax", -INFINITY },
                  { "ReduceMin", INFINITY },
                  { "ReduceL1", 0 },
                  { "ReduceL2", 0 },
                  { "ReduceSumSquare", 0 },
                  { "ReduceLogSum", -INFINITY },
                  { "ReduceLogSumExp", -INFINITY } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(.op = cases[i].op, .in = { none }, .constants = 1,
              .attributes = { INT("keepdims", 0) }, .out = { F32(SCALAR, cases[i].result) });
    CHECK(.op = "ReduceMax", .in = { no_ints }, .constants = 1, .out = { I8(SHAPE(1), INT8_MIN) });
    CHECK(.op = "ReduceProd", .in = { no_ints }, .constants = 1, .out = { I8(SHAPE(1), 1) });
}

static void test_arg(void **state)
{
    (void)state;
    struct tensor ties = F32(SHAPE(2, 3), 1, 7, 7, -2, -2, 0);
    CHECK(.op = "ArgMin", .in = { ties }, .attributes = { INT("axis", 1), INT("keepdims", 0) },
          .out = { I64(SHAPE(2), 0, 0) });
    CHECK(.op = "ArgMin", .in = { ties },
          .attributes = { INT("axis", -1), INT("select_last_index", 1) },
          .out = { I64(SHAPE(2, 1), 0, 1) });
    CHECK(.op = "ArgMin", .in = { U64(SHAPE(3), UINT64_MAX, 5, 9) }, .out = { I64(SHAPE(1), 1) });
    CHECK(.op = "ArgMax", .in = { U64(SHAPE(3), 7, UINT64_MAX, 9) }, .out = { I64(SHAPE(1), 1) });
    CHECK(.op = "ArgMax", .in = { F16(SHAPE(3), 0xbc00, 0x3c00, 0x3c00) },
          .attributes = { INT("select_last_index", 1) }, .out = { I64(SHAPE(1), 2) });
    REFUSED("axis: 2 is outside", .op = "ArgMin", .in = { ties }, .attributes = { INT("axis", 2) });
}

static void test_top_k(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(2, 4), 3, 9, 3, 5, -1, -4, 0, -4), two = I64(SHAPE(1), 2);
    CHECK(.op = "TopK", .in = { x, two }, .constants = 2,
          .out = { F32(SHAPE(2, 2), 9, 5, 0, -1), I64(SHAPE(2, 2), 1, 3, 2, 0) });
    CHECK(.op = "TopK", .in = { x, two }, .constants = 2, .attributes = { INT("largest", 0) },
          .out = { F32(SHAPE(2, 2), 3, 3, -4, -4), I64(SHAPE(2, 2), 0, 2, 1, 3) });
    CHECK(.op = "TopK", .in = { x, I64(SHAPE(1), 1) }, .constants = 2,
          .attributes = { INT("axis", 0), INT("sorted", 0) },
          .out = { F32(SHAPE(1, 4), 3, 9, 3, 5), I64(SHAPE(1, 4), 0, 0, 0, 0) });
    CHECK(.op = "TopK", .opset = 9, .in = { x }, .attributes = { INT("k", 4) },
          .out = { F32(SHAPE(2, 4), 9, 5, 3, 3, 0, -1, -4, -4),
                   I64(SHAPE(2, 4), 1, 3, 0, 2, 2, 0, 1, 3) });
    CHECK(.op = "TopK", .opset = 10, .in = { F32(SHAPE(3), 1, NAN, INFINITY), two }, .constants = 2,
          .out = { F32(SHAPE(2), NAN, INFINITY), I64(SHAPE(2), 1, 2) });
    CHECK(.op = "TopK", .in = { U64(SHAPE(3), 1, UINT64_MAX, 7), two }, .constants = 2,
          .out = { U64(SHAPE(2), UINT64_MAX, 7), I64(SHAPE(2), 1, 2) });
    REFUSED("one number of 0 to 4 expected", .op = "TopK", .in = { x, I64(SHAPE(1), 5) },
            .constants = 2, .out = { x, x });
    REFUSED("must be constant", .op = "TopK", .in = { x, two }, .out = { x, x });
    REFUSED("outputs: 1 wanted", .op = "TopK", .in = { x, two }, .constants = 2);
}

static void test_hardmax(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(2, 3), 3, 3, 1, 0, 1, 2);
    CHECK(.op = "Hardmax", .in = { x }, .out = { F32(SHAPE(2, 3), 1, 0, 0, 0, 0, 1) });
    CHECK(.op = "Hardmax", .in = { x }, .attributes = { INT("axis", 0) },
          .out = { F32(SHAPE(2, 3), 1, 1, 0, 0, 0, 1) });
    CHECK(.op = "Hardmax", .opset = 12, .in = { x }, .attributes = { INT("axis", 0) },
          .out = { F32(SHAPE(2, 3), 1, 0, 0, 0, 0, 0) });
    REFUSED("axis: 3 is outside", .op = "Hardmax", .in = { x }, .attributes = { INT("axis", 3) });
}

/* Of 1 and 0 in halves: 0.7311 and 0.2689. */
static void test_softmax(void **state)
{
    (void)state;
    CHECK(.op = "Softmax", .in = { F64(SHAPE(1, 2), 0, 0) }, .out = { F64(SHAPE(1, 2), 0.5, 0.5) });
    CHECK(.op = "LogSoftmax", .in = { F64(SHAPE(1, 2), 1000, 0) },
          .out = { F64(SHAPE(1, 2), 0, -1000) });
    CHECK(.op = "Softmax", .in = { F16(SHAPE(2), 0x3c00, 0) },
          .out = { F16(SHAPE(2), 14809, 13390) });
    CHECK(.op = "Softmax", .opset = 12, .in = { BF16(SHAPE(2, 2), 0, 0, 0, 0) },
          .attributes = { INT("axis", 0) },
          .out = { BF16(SHAPE(2, 2), 0x3e80, 0x3e80, 0x3e80, 0x3e80) });
    REFUSED("type i32", .op = "Softmax", .in = { I32(SHAPE(1), 1) });
}

static void test_cum_sum(void **state)
{
    (void)state;
    CHECK(.op = "CumSum", .in = { F64(SHAPE(3), 1, 0x1p-40, 2), I64(SCALAR, 0) },
          .out = { F64(SHAPE(3), 1, 1 + 0x1p-40, 3 + 0x1p-40) });
    CHECK(.op = "CumSum", .in = { U32(SHAPE(2, 2), UINT32_MAX, 1, 2, 3), I32(SHAPE(1), 0) },
          .attributes = { INT("reverse", 1), INT("exclusive", 1) },
          .out = { U32(SHAPE(2, 2), 2, 3, 0, 0) });
    CHECK(.op = "CumSum", .in = { U32(SHAPE(2, 2), UINT32_MAX, 1, 2, 3), I32(SHAPE(1), 0) },
          .out = { U32(SHAPE(2, 2), UINT32_MAX, 1, 1, 4) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),    cmocka_unit_test(test_types),
        cmocka_unit_test(test_empty),   cmocka_unit_test(test_arg),
        cmocka_unit_test(test_top_k),   cmocka_unit_test(test_hardmax),
        cmocka_unit_test(test_cum_sum), cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
