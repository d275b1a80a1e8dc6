/* Posts that a primitive leaves to one pass of our own (cpu/chain_posts.c): every exponential behind a
 * convolution, alone and with additions before and behind, per channel and whole, on images large enough for
 * it, in f32, bf16 and bf16x3 (which with matrix units takes posts along, cpu/split_conv_steps.c); numbers at the ends of what floats hold; and that a run takes tiny numbers for 0. */
#include "cpu/lanes_quick.h"
#include "cpu_check.h"
#include "cpu_device.h"

#define F32_BOUND 3e-6
#define BF16_BOUND 1e-2
#define BF16X3_BOUND 5e-5
#define CHANNELS 24

static const char *const long_ops[] = { "Sigmoid", "Tanh", "Elu", "Exp", "Softplus", "swish" };

static struct device_info device_info_of(void)
{
    struct device_info info;
    device_get_info(device, &info);
    return info;
}

static double bound_of(enum precision precision)
{
    return precision == PRECISION_F32    ? F32_BOUND
           : precision == PRECISION_BF16 ? BF16_BOUND
                                         : BF16X3_BOUND;
}

/* where: 0 the function alone, 1 behind an addition per channel, 2 before one of a whole array, 3 before a
 * PRelu per channel, 4 between a whole product and an addition with Relu, 5 behind an addition of one number. */
static void check_post(const char *op, int where, enum precision precision)
{
    struct net net;
    net_begin(&net, (uint64_t)where);
    int x = net_input(&net, SHAPE(1, 16, 40, 33));
    int y = net_node(&net, "Conv", x, net_constant(&net, SHAPE(CHANNELS, 16, 3, 3), -0.1, 0.1), -2);
    LIST(&net, "pads", 1, 1, 1, 1);
    if (where == 1)
        y = net_node(&net, "Add", y, net_constant(&net, SHAPE(CHANNELS, 1, 1), -1, 1), -2);
    if (where == 4)
        y = net_node(&net, "Mul", y, net_input(&net, SHAPE(1, CHANNELS, 40, 33)), -2);
    if (where == 5)
        y = net_node(&net, "Add", y, net_constant(&net, SHAPE(1), -1, 1), -2);
    y = net_node(&net, op, y, -2);
    if (where == 4)
        y = net_node(&net, "Relu",
                     net_node(&net, "Add", y, net_input(&net, SHAPE(1, CHANNELS, 40, 33)), -2), -2);
    if (where == 2)
        y = net_node(&net, "Add", y, net_input(&net, SHAPE(1, CHANNELS, 40, 33)), -2);
    if (where == 3)
        y = net_node(&net, "PRelu", y, net_constant(&net, SHAPE(CHANNELS, 1, 1), -1, 1), -2);
    y = net_node(&net, "Conv", y, net_constant(&net, SHAPE(8, CHANNELS, 1, 1), -1, 1), -2);
    net_output(&net, y);
    net_check(&net, device, precision, bound_of(precision), op);
    net_end(&net);
}

static void test_posts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof long_ops / sizeof *long_ops; i++)
        for (int where = 0; where < 6; where++) {
            check_post(long_ops[i], where, PRECISION_F32);
            if (device_info_of().bf16)
                check_post(long_ops[i], where, PRECISION_BF16);
            if (device_info_of().bf16x3)
                check_post(long_ops[i], where, PRECISION_BF16X3);
        }
}

/* Against doubles, and odd counts that leave what lies behind alone. */
static void test_quick(void **state)
{
    static const float xs[] = { -1e30f, -104, -87, -20, -1, -1e-6f, 0,
                                1e-6f,  0.5f, 1,   20,  87, 104,    1e30f };
    enum { COUNT = sizeof xs / sizeof *xs, ROOM = 40 };
    (void)state;
    for (int count = 1; count <= 33; count++) {
        float x[ROOM], swish[ROOM], sigmoid[ROOM];
        for (int i = 0; i < ROOM; i++) {
            x[i] = xs[(i * 5 + count) % COUNT];
            swish[i] = sigmoid[i] = 77;
        }
        lanes_find_quick(POINTWISE_SWISH)(x, x, x, swish, count, 0, 0);
        lanes_find_quick(POINTWISE_SIGMOID)(x, x, x, sigmoid, count, 0, 0);
        for (int i = 0; i < ROOM; i++) {
            double right = 1 / (1 + exp(-(double)x[i])), product = x[i] * right;
            if (i >= count) {
                assert_true(swish[i] == 77 && sigmoid[i] == 77);
                continue;
            }
            assert_true(fabs(sigmoid[i] - right) <= 3e-7 * right + 1e-37);
            if (x[i] > -1e9f)
                assert_true(fabs(swish[i] - product) <= 3e-7 * fabs(product) + 1e-34);
        }
    }
    float nan = NAN, out = 0;
    lanes_find_quick(POINTWISE_SWISH)(&nan, &nan, &nan, &out, 1, 0, 0);
    assert_true(out != out);
}

/* A product of tiny weights: 0, where exact arithmetic has the smallest of numbers. The caller's own
 * arithmetic is afterwards what it was. */
static void test_tiny(void **state)
{
    struct net net;
    struct plan *plan = NULL;
    (void)state;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 16, 8, 8));
    net_output(&net,
               net_node(&net, "Conv", x, net_constant(&net, SHAPE(16, 16, 1, 1), 1e-40, 2e-40), -2));
    net_infer(&net);
    net_must(&net, device_compile(device, net.graph, &(struct plan_options){ 0 }, &plan, &net.err));
    for (int i = 0; i < 16 * 64; i++)
        ((float *)plan_input(plan, 0)->data)[i] = 1;
    net_must(&net, plan_run(plan, &net.err));
    for (int i = 0; i < 16 * 64; i++)
        assert_true(((const float *)plan_output(plan, 0)->data)[i] < 1e-38f);
    volatile float tiny = 1e-40f;
    assert_true(tiny * 2 > 0);
    plan_free(&plan);
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts),
        cmocka_unit_test(test_quick),
        cmocka_unit_test(test_tiny),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
