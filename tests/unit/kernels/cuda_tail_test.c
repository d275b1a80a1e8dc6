/* The ends of networks that enlarge, on the emulated device: DepthToSpace is done along with what follows
 * it where that is a map, by the names of the plan's steps, and gives what the reference kernels do, for
 * odd shapes, both orders of channels, and operands that broadcast. Where it is needed elsewhere, too, it
 * stays a step of its own. */
#include "cpu_check.h"
#include "cuda/cuda.h"

#define F32_BOUND 1e-5
#define BF16_BOUND 1e-2

static struct device *device;

static int open_device(void **state)
{
    (void)state;
    struct error err;
    device_add_class(&cuda_class);
    return device_open(&device, "cuda", &err);
}

static int close_device(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

struct ending {
    int64_t batch, height, width, block, channels;
    const char *mode;
};

static const struct ending endings[] = {
    { 1, 5, 7, 2, 3, "CRD" }, { 2, 3, 5, 3, 3, "CRD" }, { 1, 7, 3, 4, 1, "DCR" },
    { 2, 1, 9, 2, 5, "DCR" }, { 1, 6, 1, 1, 3, "CRD" }, { 3, 1, 1, 2, 2, "DCR" },
};
#define ENDINGS (sizeof endings / sizeof *endings)

static int add_conv(struct net *net, int x, int64_t in, int64_t out)
{
    int weights = net_constant(net, SHAPE(out, in, 3, 3), -0.3, 0.3);
    int y = net_node(net, "Conv", x, weights, net_constant(net, SHAPE(out), -0.1, 0.1), -2);
    LIST(net, "pads", 1, 1, 1, 1);
    return y;
}

/* A picture behind a convolution and DepthToSpace. */
static int begin(struct net *net, const struct ending *ending)
{
    net_begin(net, 1);
    int x = net_input(net, SHAPE(ending->batch, 4, ending->height, ending->width));
    int deep = add_conv(net, x, 4, ending->channels * ending->block * ending->block);
    int wide = net_node(net, "DepthToSpace", deep, -2);
    net_int(net, "blocksize", ending->block);
    net_string(net, "mode", ending->mode);
    return wide;
}

static int add_residual(struct net *net, const struct ending *ending)
{
    return net_input(net, SHAPE(ending->batch, ending->channels, ending->height * ending->block,
                                ending->width * ending->block));
}

static int count_steps(struct net *net, const char *name)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    int count = 0;
    net_infer(net);
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    for (size_t i = 0; plan_step(plan, i); i++)
        count += strcmp(plan_step(plan, i), name) == 0;
    plan_free(&plan);
    return count;
}

static void check(struct net *net, int tails, const char *what)
{
    assert_int_equal(count_steps(net, "tail"), tails);
    net_check(net, device, PRECISION_F32, F32_BOUND, what);
    net_check(net, device, PRECISION_BF16, BF16_BOUND, what);
    net_end(net);
}

static void test_residual_and_clip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDINGS; i++) {
        struct net net;
        int wide = begin(&net, &endings[i]);
        int sum = net_node(&net, "Add", wide, add_residual(&net, &endings[i]), -2);
        int low = net_constant(&net, SHAPE(1), -0.5, -0.5),
            high = net_constant(&net, SHAPE(1), 0.5, 0.5);
        net_output(&net, net_node(&net, "Min", net_node(&net, "Max", sum, low, -2), high, -2));
        check(&net, 1, "residual and clip");
    }
}

/* One pointwise node, which reads it twice; and no more of the picture than that. */
static void test_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDINGS; i++) {
        struct net net;
        int wide = begin(&net, &endings[i]);
        net_output(&net, net_node(&net, "Mul", wide, wide, -2));
        check(&net, 1, "square");
    }
}

/* Between convolutions the result is channels-last, and narrow in a bf16 plan; slopes broadcast. */
static void test_between_convolutions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDINGS; i++) {
        struct net net;
        int wide = begin(&net, &endings[i]);
        int slopes = net_constant(&net, SHAPE(endings[i].channels, 1, 1), 0.1, 0.4);
        int y = net_node(&net, "PRelu", wide, slopes, -2);
        net_output(&net, add_conv(&net, y, endings[i].channels, 3));
        check(&net, 1, "between convolutions");
    }
}

/* Two go into one sum: one of them along with it. */
static void test_two(void **state)
{
    (void)state;
    struct net net;
    int first = begin(&net, &(struct ending){ 1, 4, 6, 2, 3, "CRD" });
    int deep = add_conv(&net, net_input(&net, SHAPE(1, 4, 2, 3)), 4, 48);
    int second = net_node(&net, "DepthToSpace", deep, -2);
    net_int(&net, "blocksize", 4);
    net_output(&net, net_node(&net, "Add", first, second, -2));
    check(&net, 1, "two");
}

static void test_needed_elsewhere(void **state)
{
    (void)state;
    struct net net;
    int wide = begin(&net, &endings[0]);
    net_output(&net, wide);
    net_output(&net, net_node(&net, "Add", wide, add_residual(&net, &endings[0]), -2));
    check(&net, 0, "an output as well");

    wide = begin(&net, &endings[1]);
    net_output(&net, add_conv(&net, wide, endings[1].channels, 2));
    net_output(&net, net_node(&net, "Add", wide, add_residual(&net, &endings[1]), -2));
    check(&net, 0, "a convolution reads it as well");

    wide = begin(&net, &endings[0]);
    net_output(&net, net_node(&net, "Add", wide, net_input(&net, SHAPE(3, 1, 1, 1)), -2));
    check(&net, 0, "repeated in the sum");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_residual_and_clip),    cmocka_unit_test(test_alone),
        cmocka_unit_test(test_between_convolutions), cmocka_unit_test(test_two),
        cmocka_unit_test(test_needed_elsewhere),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
