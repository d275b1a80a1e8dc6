/* Gradients of elementwise functions where differences cannot tell: on kinks, at ties, at zeros. The
 * numbers are PyTorch's conventions (clamp, maximum, prelu, abs, pow) written down by hand. */
#include "op_check.h"

#define N 3
#define D F32(SHAPE(N), 1, 2, 4) /* what comes from above */

static void check_pair(const char *op, struct op_case c)
{
    c.op = op;
    c.opset = OPSET_OWN;
    c.in[0] = (struct tensor)D;
    check_op(&c);
}

#define PAIR(op, ...) check_pair(op, (struct op_case){ __VA_ARGS__ })

static void test_unary(void **state)
{
    (void)state;
    PAIR("relu_grad", .in = { [1] = F32(SHAPE(N), 0, -0.0f, 1) }, .out = { F32(SHAPE(N), 0, 0, 4) });
    PAIR("leaky_relu_grad", .in = { [1] = F32(SHAPE(N), 0, -1, 1) },
         .attributes = { FLOAT("alpha", 0.5f) }, .out = { F32(SHAPE(N), 0.5f, 1, 4) });
    PAIR("abs_grad", .in = { [1] = F32(SHAPE(N), 0, -3, 3) }, .out = { F32(SHAPE(N), 0, -2, 4) });
    PAIR("hard_sigmoid_grad", .in = { [1] = F32(SHAPE(N), 0, 1, 0.5f) },
         .out = { F32(SHAPE(N), 0, 0, 0.8f) });
    PAIR("elu_grad", .in = { [1] = F32(SHAPE(N), 0, -200, 1) }, .attributes = { FLOAT("alpha", 2) },
         .out = { F32(SHAPE(N), 2, 0, 4) });
    PAIR("clip_grad", .in = { [1] = F32(SHAPE(N), -1, 2, 2.5f), F32(SCALAR, -1), F32(SCALAR, 2) },
         .out = { F32(SHAPE(N), 1, 2, 0) });
    PAIR("clip_grad", .in = { [1] = F32(SHAPE(N), -2, -1, 9) },
         .attributes = { FLOAT("min", -1), FLOAT("max", 9) }, .out = { F32(SHAPE(N), 0, 2, 4) });
    PAIR("sigmoid_grad", .in = { [1] = F32(SHAPE(N), 0, 1, 0.5f) },
         .out = { F32(SHAPE(N), 0, 0, 1) });
    PAIR("swish_grad", .in = { [1] = F32(SHAPE(N), -1000, 1000, 0) },
         .out = { F32(SHAPE(N), 0, 2, 2) });
    PAIR("softplus_grad", .in = { [1] = F32(SHAPE(N), -1000, 1000, 0) },
         .out = { F32(SHAPE(N), 0, 2, 2) });
}

static void test_ties(void **state)
{
    (void)state;
    PAIR("max_grad", .in = { [1] = F32(SHAPE(N), 1, 2, 3), F32(SHAPE(1), 2) },
         .out = { F32(SHAPE(N), 0, 1, 4) });
    PAIR("min_grad", .in = { [1] = F32(SHAPE(1), 2), F32(SHAPE(N), 1, 2, 3) },
         .out = { F32(SHAPE(N), 0, 1, 4) });
    PAIR("prelu_grad", .in = { [1] = F32(SHAPE(N), 0, -1, 1), F32(SHAPE(1), 3) },
         .out = { F32(SHAPE(N), 3, 6, 4) });
    PAIR("pow_grad", .in = { [1] = F32(SHAPE(N), 0, -2, 3), F32(SHAPE(N), 0, 2, 0.5f) },
         .out = { F32(SHAPE(N), 0, -8, 1.15470054f) });
    PAIR("pow_grad_exponent", .in = { [1] = F32(SHAPE(N), 0, 1, 2), F32(SHAPE(N), 2, 7, 3) },
         .out = { F32(SHAPE(N), 0, 0, 22.1807098f) });
    /* Three share nothing with the fourth. */
    CHECK(.op = "reduce_extreme_grad", .opset = OPSET_OWN,
          .in = { F32(SHAPE(1, 1), 6), F32(SHAPE(1, 1), 5), F32(SHAPE(2, 2), 5, 1, 5, 5) },
          .out = { F32(SHAPE(2, 2), 2, 0, 2, 2) });
    CHECK(.op = "reduce_prod_grad", .opset = OPSET_OWN,
          .in = { F32(SHAPE(3, 1), 1, 2, 3), F32(SHAPE(3, 3), 2, 3, 4, 2, 0, 4, 0, 5, 0) },
          .out = { F32(SHAPE(3, 3), 12, 8, 6, 0, 16, 0, 0, 0, 0) });
}

static void test_refused(void **state)
{
    (void)state;
    REFUSED("value: has another shape", .op = "relu_grad", .opset = OPSET_OWN,
            .in = { D, F32(SHAPE(1), 1) });
    REFUSED("y: does not broadcast", .op = "max_grad", .opset = OPSET_OWN,
            .in = { D, D, F32(SHAPE(2, 1), 1, 2) });
    REFUSED("max: has another shape", .op = "clip_grad", .opset = OPSET_OWN,
            .in = { D, D, F32(SCALAR, 1), F32(SHAPE(2), 1, 2) });
    REFUSED("gradient: its shape", .op = "reduce_prod_grad", .opset = OPSET_OWN,
            .in = { D, F32(SHAPE(1, 3), 1, 2, 3) });
    REFUSED("shape: does not broadcast", .op = "sum_to", .opset = OPSET_OWN, .in = { D },
            .attributes = { INTS("shape", 2) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
