/* Gradients of MatMul in all forms of batches, broadcasting and vectors, and of Gemm with all its
 * attributes, against differences. */
#include "cpu_device.h"
#include "gradient_check.h"

#define BF16_BOUND 2e-2

static void check_matmul(const struct shape *a, const struct shape *b)
{
    char text[2][64], what[160];
    shape_format(a, text[0], sizeof text[0]);
    shape_format(b, text[1], sizeof text[1]);
    snprintf(what, sizeof what, "%s times %s", text[0], text[1]);
    /* Both learn, or the other one is a constant, as a frozen layer's weights are. */
    for (int learns = 1; learns < 4; learns++) {
        struct net net;
        net_begin(&net, (uint64_t)learns);
        int x = learns & 1 ? net_input(&net, a) : net_constant(&net, a, -1, 1);
        int y = learns & 2 ? net_input(&net, b) : net_constant(&net, b, -1, 1);
        net_output(&net, net_node(&net, "MatMul", x, y, -2));
        gradient_check_bf16(&net, device, BF16_BOUND, what);
        net_end(&net);
    }
}

static void test_matmul(void **state)
{
    (void)state;
    check_matmul(SHAPE(5, 7), SHAPE(7, 3));
    check_matmul(SHAPE(1, 7), SHAPE(7, 1));
    check_matmul(SHAPE(2, 5, 7), SHAPE(2, 7, 3));
    check_matmul(SHAPE(2, 5, 7), SHAPE(7, 3));
    check_matmul(SHAPE(2, 4, 5, 7), SHAPE(7, 3));
    check_matmul(SHAPE(2, 5, 7), SHAPE(1, 7, 3));
    check_matmul(SHAPE(5, 7), SHAPE(2, 7, 3));
    check_matmul(SHAPE(1, 3, 5, 7), SHAPE(2, 1, 7, 3));
    check_matmul(SHAPE(2, 1, 5, 7), SHAPE(3, 7, 4));
    check_matmul(SHAPE(7), SHAPE(7));
    check_matmul(SHAPE(7), SHAPE(7, 3));
    check_matmul(SHAPE(5, 7), SHAPE(7));
    check_matmul(SHAPE(7), SHAPE(2, 7, 3));
    check_matmul(SHAPE(2, 5, 7), SHAPE(7));
    check_matmul(SHAPE(70, 33), SHAPE(33, 40));
}

static void check_gemm(unsigned form, const struct shape *c, float alpha, float beta)
{
    bool turn_a = form & 1, turn_b = form & 2;
    struct net net;
    net_begin(&net, form + 10);
    int a = net_input(&net, turn_a ? SHAPE(7, 5) : SHAPE(5, 7));
    int b = net_input(&net, turn_b ? SHAPE(3, 7) : SHAPE(7, 3));
    int y = net_node(&net, "Gemm", a, b, c ? net_input(&net, c) : -1, -2);
    net_int(&net, "transA", turn_a);
    net_int(&net, "transB", turn_b);
    net_float(&net, "alpha", alpha);
    net_float(&net, "beta", beta);
    net_output(&net, y);
    gradient_check_bf16(&net, device, BF16_BOUND, "Gemm");
    net_end(&net);
}

static void test_gemm(void **state)
{
    (void)state;
    const struct shape *biases[] = { NULL,
                                     SHAPE(5, 3),
                                     SHAPE(3),
                                     SHAPE(5, 1),
                                     SHAPE(1, 3),
                                     SHAPE(1),
                                     &(struct shape){ .rank = 0 } };
    for (unsigned form = 0; form < 4; form++)
        for (size_t i = 0; i < sizeof biases / sizeof *biases; i++) {
            check_gemm(form, biases[i], 1, 1);
            check_gemm(form, biases[i], 0.75f, -0.5f);
        }
}

/* Transposed factors are views; so are those of the gradients. */
static void test_transposed(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 3);
    int a = net_input(&net, SHAPE(2, 7, 5)), b = net_input(&net, SHAPE(2, 3, 7));
    a = net_node(&net, "Transpose", a, -2);
    LIST(&net, "perm", 0, 2, 1);
    b = net_node(&net, "Transpose", b, -2);
    LIST(&net, "perm", 0, 2, 1);
    net_output(&net, net_node(&net, "Relu", net_node(&net, "MatMul", a, b, -2), -2));
    gradient_check_bf16(&net, device, BF16_BOUND, "transposed");
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_transposed),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
