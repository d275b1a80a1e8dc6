/* Thin convolutions behind each other, on the emulated device: two are made in one pass where the second
 * alone reads the first, by the names of the plan's steps, and give what the reference kernels do, for odd
 * shapes, with functions and residuals behind either. Where that cannot be, each is a step of its own. */
#include "cpu_check.h"
#include "cuda/cuda.h"

#define BOUND 1e-2

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

struct size {
    int64_t batch, rows, columns, channels, between, filters;
};

static const struct size sizes[] = {
    { 1, 5, 7, 3, 9, 4 },    { 2, 31, 17, 16, 16, 16 }, { 1, 15, 29, 32, 32, 12 },
    { 1, 1, 40, 24, 8, 32 }, { 3, 61, 1, 1, 16, 1 },
};
#define SIZES (sizeof sizes / sizeof *sizes)

static int add_conv(struct net *net, int x, int64_t in, int64_t out)
{
    int weights = net_constant(net, SHAPE(out, in, 3, 3), -0.2, 0.2);
    int y = net_node(net, "Conv", x, weights, net_constant(net, SHAPE(out), -0.1, 0.1), -2);
    LIST(net, "pads", 1, 1, 1, 1);
    return y;
}

static int begin(struct net *net, const struct size *size)
{
    net_begin(net, 1);
    return net_input(net, SHAPE(size->batch, size->channels, size->rows, size->columns));
}

static int count_pairs(struct net *net, enum precision precision)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = precision };
    int count = 0;
    net_infer(net);
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    for (size_t i = 0; plan_step(plan, i); i++)
        count += strcmp(plan_step(plan, i), "conv pair") == 0;
    plan_free(&plan);
    return count;
}

static void check(struct net *net, int pairs, const char *what)
{
    assert_int_equal(count_pairs(net, PRECISION_F32), 0);
    assert_int_equal(count_pairs(net, PRECISION_F16), pairs);
    net_check(net, device, PRECISION_F16, BOUND, what);
    net_check(net, device, PRECISION_BF16, BOUND, what);
    net_end(net);
}

static void test_two(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        const struct size *size = &sizes[i];
        struct net net;
        int between = add_conv(&net, begin(&net, size), size->channels, size->between);
        net_output(&net, add_conv(&net, between, size->between, size->filters));
        check(&net, 1, "two");
    }
}

/* As in a restorer's body: a residual of what came before the first, which is read later. */
static void test_residuals_and_slopes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        const struct size *size = &sizes[i];
        struct net net;
        int x = begin(&net, size);
        int beside = net_input(&net, SHAPE(size->batch, size->between, size->rows, size->columns));
        int first =
            net_node(&net, "Add", add_conv(&net, x, size->channels, size->between), beside, -2);
        int slopes = net_constant(&net, SHAPE(size->between, 1, 1), 0.1, 0.4);
        first = net_node(&net, "PRelu", first, slopes, -2);
        int second = net_node(&net, "Relu", add_conv(&net, first, size->between, size->channels), -2);
        net_output(&net, net_node(&net, "Add", second, x, -2));
        check(&net, 1, "residuals and slopes");
    }
}

/* Five are two pairs and one. */
static void test_five(void **state)
{
    (void)state;
    struct net net;
    int x = begin(&net, &sizes[1]);
    for (int i = 0; i < 5; i++)
        x = net_node(&net, "Relu", add_conv(&net, x, 16, 16), -2);
    net_output(&net, x);
    check(&net, 2, "five");
}

static void test_cannot(void **state)
{
    (void)state;
    struct net net;
    int x = begin(&net, &sizes[1]);
    int first = add_conv(&net, x, 16, 16);
    net_output(&net, net_node(&net, "Add", add_conv(&net, first, 16, 16), first, -2));
    check(&net, 0, "read twice");

    first = add_conv(&net, begin(&net, &sizes[1]), 16, 16);
    net_output(&net, first);
    net_output(&net, add_conv(&net, first, 16, 16));
    check(&net, 0, "an output as well");

    first = add_conv(&net, begin(&net, &sizes[1]), 16, 48);
    net_output(&net, add_conv(&net, first, 48, 16));
    check(&net, 0, "too many channels between");

    first = add_conv(&net, begin(&net, &sizes[1]), 16, 16);
    int smaller =
        net_node(&net, "Conv", first, net_constant(&net, SHAPE(16, 16, 3, 3), -0.2, 0.2), -2);
    net_output(&net, smaller);
    check(&net, 0, "without a border");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two),
        cmocka_unit_test(test_residuals_and_slopes),
        cmocka_unit_test(test_five),
        cmocka_unit_test(test_cannot),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
