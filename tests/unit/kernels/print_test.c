/* What a printed plan says of its steps: bytes counted by hand, and a peak that is one: more data and
 * more arithmetic take longer, and nothing is measured as zero. */
#include "cpu/peak.h"
#include "cpu_check.h"

#define TEXT_BYTES 65536

static char text[TEXT_BYTES]; /* the last that was printed */

static void print(struct plan *plan, uint32_t runs, struct net *net)
{
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    net_must(net, plan_print(plan, runs, out, &net->err));
    fclose(out);
}

static void assert_says(const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* One addition: two inputs of 1x8x32x32 f32, 32 KiB each, one output. Then one whose second operand is
 * a number for each channel, and a product of matrices, which has scratch that does not count. */
static void test_bytes(void **state)
{
    (void)state;
    struct net net;
    struct device *device;
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 8, 32, 32)), y = net_input(&net, SHAPE(1, 8, 32, 32));
    net_output(&net, net_node(&net, "Add", x, y, -2));
    net_output(&net, net_node(&net, "Sub", x, net_constant(&net, SHAPE(8, 1, 1), 0, 1), -2));
    int a = net_input(&net, SHAPE(64, 32)), b = net_input(&net, SHAPE(32, 16));
    net_output(&net, net_node(&net, "MatMul", a, b, -2));
    net_infer(&net);
    net_must(&net, device_open(&device, "cpu:threads=2", &net.err));
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    print(plan, 0, &net);
    assert_says("     -  96.0 KiB  Add\n");
    assert_says("     -  64.0 KiB  Sub\n");
    assert_says(" 65.5k  14.0 KiB  MatMul\n"); /* 2 x 64 x 32 x 16; 8 + 2 + 4 KiB */
    assert_says(" 65.5k   174 KiB  weights 0.0 MiB");
    assert_null(strstr(text, "peak"));

    print(plan, 3, &net);
    assert_says("2 threads\npeak ");
    assert_says(" GB/s in copies of 1, 4, 16, 64, 256 MiB\n");
    assert_says("% bytes  Add\n");
    assert_says("3 steps ");
    assert_says(" 100.0%  ");
    plan_free(&plan);
    device_close(&device);
    net_end(&net);
}

static void test_peak(void **state)
{
    (void)state;
    struct device *device;
    struct device_info info;
    struct cpu_peak peak;
    struct error err = { 0 };
    assert_int_equal(device_open(&device, "cpu:threads=2", &err), 0);
    device_get_info(device, &info);
    if (cpu_peak_measure((const struct cpu_device *)device, &peak, &err))
        fail_msg("%s", err.text);
    device_close(&device);
    assert_true(peak.f32_gflops > 0);
    assert_true((peak.bf16_gflops > 0) == info.bf16);
    for (int i = 0; i < CPU_PEAK_COPIES; i++)
        assert_true(peak.copies[i].gbps > 0);
    double last_ns = 0;
    for (uint64_t bytes = 1000; bytes < (uint64_t)1 << 32; bytes *= 2) {
        assert_true(cpu_peak_bytes_ns(&peak, bytes) > last_ns);
        last_ns = cpu_peak_bytes_ns(&peak, bytes);
    }
    assert_true(cpu_peak_bytes_ns(&peak, 0) == 0 && cpu_peak_flop_ns(&peak, TENSOR_F32, 0) == 0);
    assert_true(cpu_peak_flop_ns(&peak, TENSOR_F32, 2000) > cpu_peak_flop_ns(&peak, TENSOR_F32, 1000));
    assert_true(cpu_peak_flop_ns(&peak, TENSOR_BF16, 1000) > 0); /* also where there is none */
}

/* The least time follows from the numbers: a small step may go at the rate of any copy that is no
 * smaller, a large one only at that of the largest. */
static void test_least_time(void **state)
{
    (void)state;
    const struct cpu_peak peak = {
        .f32_gflops = 100,
        .bf16_gflops = 200,
        .copies = { { 1000, 20 }, { 4000, 50 }, { 16000, 40 }, { 64000, 10 }, { 256000, 8 } },
    };
    assert_true(cpu_peak_flop_ns(&peak, TENSOR_F32, 1000) == 10);
    assert_true(cpu_peak_flop_ns(&peak, TENSOR_BF16, 1000) == 5);
    assert_true(cpu_peak_bytes_ns(&peak, 100) == 2);
    assert_true(cpu_peak_bytes_ns(&peak, 10000) == 250);
    assert_true(cpu_peak_bytes_ns(&peak, 64000) == 6400);
    assert_true(cpu_peak_bytes_ns(&peak, 800000) == 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_peak),
        cmocka_unit_test(test_least_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
