/* Products on the emulated GPU beside the reference: batches that broadcast in every way, vectors, what is
 * added to Gemm in every shape, and what follows a product; how many steps each takes, as a bias and
 * turned or batched operands are to cost none. */
#include "cuda_emulated.h"

#define F32_BOUND 2e-6
#define NARROW_BOUND 1e-2

/* Steps of the plan, with spaces between; then the net is at its end. */
static void check(struct net *net, const char *steps)
{
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    char text[128] = "";
    const char *step;
    net_check(net, device, PRECISION_F32, F32_BOUND, steps);
    net_check(net, device, PRECISION_F16, NARROW_BOUND, steps);
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    for (size_t i = 0; (step = plan_step(plan, i)); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", step);
    }
    assert_string_equal(text, steps);
    plan_free(&plan);
    net_end(net);
}

static void check_product(const struct shape *a, const struct shape *b)
{
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, a), y = net_input(&net, b);
    net_output(&net, net_node(&net, "MatMul", x, y, -2));
    check(&net, "matmul");
}

static void test_batches(void **state)
{
    (void)state;
    check_product(SHAPE(2, 5, 7), SHAPE(7, 3));
    check_product(SHAPE(5, 7), SHAPE(2, 7, 3));
    check_product(SHAPE(4, 1, 7), SHAPE(7, 3));
    check_product(SHAPE(1, 3, 5, 7), SHAPE(2, 1, 7, 3));
    check_product(SHAPE(2, 1, 5, 7), SHAPE(3, 7, 4));
    check_product(SHAPE(2, 1, 3, 1, 5, 7), SHAPE(2, 1, 4, 7, 70));
    check_product(SHAPE(7), SHAPE(7));
    check_product(SHAPE(7), SHAPE(2, 7, 3));
    check_product(SHAPE(2, 5, 7), SHAPE(7));
    check_product(SHAPE(2, 3, 1, 7), SHAPE(2, 3, 7, 1));
}

static void check_gemm(const struct shape *c, float beta, bool relu, const char *steps)
{
    struct net net;
    net_begin(&net, 2);
    int a = net_input(&net, SHAPE(7, 66)), b = net_input(&net, SHAPE(5, 7));
    int y = net_node(&net, "Gemm", a, b, net_input(&net, c), -2);
    net_int(&net, "transA", 1);
    net_int(&net, "transB", 1);
    net_float(&net, "alpha", 0.5f);
    net_float(&net, "beta", beta);
    net_output(&net, relu ? net_node(&net, "Relu", y, -2) : y);
    check(&net, steps);
}

static void test_what_gemm_adds(void **state)
{
    (void)state;
    check_gemm(SHAPE(5), 1, false, "matmul");
    check_gemm(SHAPE(1, 5), 1, true, "matmul map");
    check_gemm(SHAPE(5), 3, false, "matmul matmul add");
    check_gemm(SHAPE(66, 1), 1, true, "matmul matmul add map");
    check_gemm(SHAPE(66, 5), -2, false, "matmul matmul add");
    check_gemm(SHAPE(1), 1, false, "matmul matmul add");
}

/* An Add of one number for each column is a bias; others are not. */
static void check_add(const struct shape *operand, bool relu, const char *steps)
{
    struct net net;
    net_begin(&net, 3);
    int a = net_input(&net, SHAPE(2, 6, 7)), b = net_constant(&net, SHAPE(7, 5), -1, 1);
    int y = net_node(&net, "MatMul", a, b, -2);
    y = net_node(&net, "Add", y, net_constant(&net, operand, -1, 1), -2);
    net_output(&net, relu ? net_node(&net, "Relu", y, -2) : y);
    check(&net, steps);
}

static void test_what_follows(void **state)
{
    (void)state;
    check_add(SHAPE(5), false, "matmul");
    check_add(SHAPE(1, 1, 5), true, "matmul map");
    check_add(SHAPE(1), false, "matmul map strided");
    check_add(SHAPE(6, 1), true, "matmul map strided");
    check_add(SHAPE(2, 6, 5), false, "matmul map");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_what_gemm_adds),
        cmocka_unit_test(test_what_follows),
    };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
