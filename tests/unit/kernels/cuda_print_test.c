/* What a printed plan of the GPU back end says, on the emulated device: bytes counted by hand, no line
 * for what ran once when the plan was made, times and a peak when they are asked for. */
#include "cuda/cuda.h"
#include "cuda/peak.h"
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

/* A convolution of 1x8x16x16 in f32, 8 KiB each way, with weights of 8x8x3x3, 2.25 KiB, that are
 * rearranged once, and its copies between row-major and channels-last; then Relu of another input. */
static void test_table(void **state)
{
    (void)state;
    struct net net;
    struct device *device;
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    double ns = 0;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 8, 16, 16)), y = net_input(&net, SHAPE(1, 8, 32, 32));
    net_output(&net, net_node(&net, "Conv", x, net_constant(&net, SHAPE(8, 8, 3, 3), -1, 1), -2));
    LIST(&net, "pads", 1, 1, 1, 1);
    net_output(&net, net_node(&net, "Relu", y, -2));
    net_infer(&net);
    device_add_class(&cuda_class);
    net_must(&net, device_open(&device, "cuda", &net.err));
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    print(plan, 0, &net);
    assert_says("cuda, emulated GPU, ");
    assert_says("  295k  18.2 KiB  Conv\n"); /* 2 x 16 x 16 x 8 x 8 x 9 */
    assert_says("     -  64.0 KiB  Relu\n");
    assert_says("4 steps"); /* of the weights' rearranging there is no line */
    assert_null(strstr(text, "peak"));

    print(plan, 3, &net);
    assert_says(" GB/s in copies of 4 MiB; the largest ");
    assert_says("% bytes  Relu\n");
    assert_says(" 100.0%  ");
    assert_says("replayed as a whole, ");
    net_must(&net, plan_run_timed(plan, &ns, &net.err));
    assert_true(ns > 0);
    plan_free(&plan);
    device_close(&device);
    net_end(&net);
}

/* Which rate counts: that of the operands' type; f32 is tf32's where the plan is. */
static void test_rates(void **state)
{
    (void)state;
    const struct cuda_peak peak = {
        .gflops = { [PRECISION_F32] = 10, [PRECISION_TF32] = 100, [PRECISION_F16] = 200 }
    };
    assert_true(cuda_peak_flop_ns(&peak, PRECISION_F32, TENSOR_F32, 1000) == 100);
    assert_true(cuda_peak_flop_ns(&peak, PRECISION_TF32, TENSOR_F32, 1000) == 10);
    assert_true(cuda_peak_flop_ns(&peak, PRECISION_F16, TENSOR_F16, 1000) == 5);
    assert_true(cuda_peak_flop_ns(&peak, PRECISION_F16, TENSOR_F32, 1000) == 100);
    assert_true(cuda_peak_flop_ns(&peak, PRECISION_BF16, TENSOR_BF16, 1000) == 0); /* not known */
}

/* A copy moves bytes, and the filling is what its comment says. */
static void test_kernels(void **state)
{
    (void)state;
    enum { BLOCKS = 37 };
    static struct peak_block from[BLOCKS], to[BLOCKS];
    static float numbers[4096];
    const struct peak_copy_args copy = { .from = from, .to = to };
    const struct view view = { .data = numbers, .type = TENSOR_F32 };
    for (uint32_t i = 0; i < BLOCKS; i++)
        for (uint32_t k = 0; k < 4; k++)
            from[i].parts[k] = i * 4 + k;
    peak_copy_each(&copy, BLOCKS - 1, NULL);
    assert_memory_equal(from, to, (BLOCKS - 1) * sizeof *from);
    assert_int_equal(to[BLOCKS - 1].parts[3], 0);
    peak_fill_each(&view, 4096, NULL);
    double sum = 0;
    for (int i = 0; i < 4096; i++) {
        assert_true(numbers[i] >= -1 && numbers[i] < 1 &&
                    numbers[i] * 256 == floorf(numbers[i] * 256));
        sum += (double)numbers[i];
    }
    assert_true(fabs(sum / 4096) < 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
