/* Products on all types of numbers, Einsum and Det, by numbers worked out by hand. */
#include "op_types.h"

#define A F32(SHAPE(2, 3), 1, 2, 3, 4, 5, 6)
#define B F32(SHAPE(3, 2), 1, 0, 0, 1, 2, -1)
#define EQUATION(text) .attributes = { STRING("equation", text) }

static void test_matmul(void **state)
{
    (void)state;
    CHECK(.op = "MatMul", .in = { I32(SHAPE(2, 2), 1, 2, 3, 4), I32(SHAPE(2, 1), 5, -6) },
          .out = { I32(SHAPE(2, 1), -7, -9) });
    CHECK(.op = "MatMul", .in = { U64(SHAPE(2), UINT64_MAX, 3), U64(SHAPE(2), 2, 5) },
          .out = { U64(SCALAR, 13) });
    CHECK(.op = "MatMul", .in = { F64(SHAPE(1, 2), 1, 0x1p-40), F64(SHAPE(2, 1), 1, 1) },
          .out = { F64(SHAPE(1, 1), 1 + 0x1p-40) });
    CHECK(.op = "MatMul", .in = { F16(SHAPE(1, 2), 0x3c00, 0x4000), F16(SHAPE(2), 0x4200, 0x4400) },
          .out = { F16(SHAPE(1), 0x4980) }); /* 3 + 8 */
    CHECK(.op = "Gemm",
          .in = { I64(SHAPE(1, 2), 1, 2), I64(SHAPE(2, 2), 3, 4, 5, 6), I64(SHAPE(2), 10, 20) },
          .out = { I64(SHAPE(1, 2), 23, 36) });
    CHECK(.op = "Gemm", .in = { F64(SHAPE(2, 1), 1, 2), F64(SHAPE(2, 1), 3, 4), F64(SCALAR, 5) },
          .attributes = { INT("transA", 1), FLOAT("alpha", 0.5f), FLOAT("beta", 2) },
          .out = { F64(SHAPE(1, 1), 15.5) });
    CHECK(.op = "Gemm", .in = { I32(SHAPE(1, 1), 7), I32(SHAPE(1, 1), 3), I32(SCALAR, 1) },
          .attributes = { FLOAT("alpha", 0.5f), FLOAT("beta", 3) }, .out = { I32(SHAPE(1, 1), 13) });
    REFUSED("A: type i8", .op = "MatMul", .in = { I8(SHAPE(1), 1), I8(SHAPE(1), 1) });
    REFUSED("B: type f32", .op = "MatMul", .in = { F64(SHAPE(1), 1), F32(SHAPE(1), 1) });
}

static void test_einsum(void **state)
{
    (void)state;
    CHECK(.op = "Einsum", .in = { A, B }, EQUATION("ij,jk->ik"),
          .out = { F32(SHAPE(2, 2), 7, -1, 16, -1) });
    CHECK(.op = "Einsum", .in = { A, B }, EQUATION(" ij , jk "),
          .out = { F32(SHAPE(2, 2), 7, -1, 16, -1) });
    CHECK(.op = "Einsum", .in = { A }, EQUATION("ij->ji"),
          .out = { F32(SHAPE(3, 2), 1, 4, 2, 5, 3, 6) });
    CHECK(.op = "Einsum", .in = { A }, EQUATION("ij->i"), .out = { F32(SHAPE(2), 6, 15) });
    CHECK(.op = "Einsum", .in = { A }, EQUATION("ij->"), .out = { F32(SCALAR, 21) });
    CHECK(.op = "Einsum", .in = { F32(SHAPE(2, 2), 1, 2, 3, 4) }, EQUATION("ii->i"),
          .out = { F32(SHAPE(2), 1, 4) });
    CHECK(.op = "Einsum", .in = { F32(SHAPE(2, 2), 1, 2, 3, 4) }, EQUATION("ii"),
          .out = { F32(SCALAR, 5) });
    CHECK(.op = "Einsum", .in = { F32(SHAPE(2, 1, 2), 1, 2, 3, 4), F32(SHAPE(2, 2), 1, 1, 0, 2) },
          EQUATION("...ij,jk->...ik"), .out = { F32(SHAPE(2, 1, 2), 1, 5, 3, 11) });
    CHECK(.op = "Einsum", .in = { F32(SHAPE(2, 2), 1, 2, 3, 4), F32(SHAPE(1, 2), 10, 20) },
          EQUATION("...,..."), .out = { F32(SHAPE(2, 2), 10, 40, 30, 80) });
    CHECK(.op = "Einsum", .in = { F32(SHAPE(2), 1, 2), F32(SHAPE(2), 3, 4), F32(SHAPE(2), 5, 6) },
          EQUATION("a,b,a->b"), .out = { F32(SHAPE(2), 51, 68) });
    CHECK(.op = "Einsum", .in = { I32(SHAPE(2), 1, 2), I32(SHAPE(2), 3, 4) }, EQUATION("i,i"),
          .out = { I32(SCALAR, 11) });
    CHECK(.op = "Einsum", .in = { F32(SHAPE(2), 1, 2), F32(SHAPE(1), 3) }, EQUATION("b,A"),
          .out = { F32(SHAPE(1, 2), 3, 6) }); /* capitals first */
    REFUSED("dimensions of 3 and 2 go by one name", .op = "Einsum", .in = { A, A },
            EQUATION("ij,jk"));
    REFUSED("equation: is wrong", .op = "Einsum", .in = { A }, EQUATION("ijk->i"));
    REFUSED("equation: is wrong", .op = "Einsum", .in = { A }, EQUATION("ij,jk->ik"));
    REFUSED("equation: is wrong", .op = "Einsum", .in = { A, B }, EQUATION("ij"));
    REFUSED("equation: is wrong", .op = "Einsum", .in = { A }, EQUATION("ij->i2"));
    REFUSED("equation: is wrong", .op = "Einsum", .in = { A });
    REFUSED("in no term, or twice", .op = "Einsum", .in = { A }, EQUATION("ij->ik"));
    REFUSED("in no term, or twice", .op = "Einsum", .in = { A }, EQUATION("ij->ii"));
    REFUSED("input: type f64", .op = "Einsum", .in = { A, F64(SHAPE(1), 1) }, EQUATION("ij,k"));
}

static void test_det(void **state)
{
    (void)state;
    CHECK(.op = "Det", .in = { F32(SHAPE(2, 2), 0, 2, 3, 4) }, .out = { F32(SCALAR, -6) });
    CHECK(.op = "Det",
          .in = { F32(SHAPE(2, 3, 3), 2, 0, 1, 1, 3, 2, 1, 1, 4, 1, 2, 3, 2, 4, 6, 0, 1, 1) },
          .out = { F32(SHAPE(2), 18, 0) });
    CHECK(.op = "Det", .in = { F64(SHAPE(1, 1), 7) }, .out = { F64(SCALAR, 7) });
    REFUSED("2x3 is not square", .op = "Det", .in = { A });
    REFUSED("type i32", .op = "Det", .in = { I32(SHAPE(1, 1), 1) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_einsum),
        cmocka_unit_test(test_det),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
