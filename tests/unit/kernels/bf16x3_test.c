/* Proves that bf16x3 is nearly f32: convolutions, transposed ones and products
 * of matrices, forward and all gradients, are at most 2e-5 off what doubles
 * give, and are computed in three bf16 products where the rule of
 * cpu/split_steps.h says so and in f32 elsewhere. The split itself is held to
 * what it promises number by number; infinities and NaN come out as they do in
 * f32. */
#include "cpu/plan.h"
#include "cpu/split.h"
#include "cpu/split_conv.h"
#include "cpu_check.h"
#include "lab/double.h"
#include "passes/autodiff.h"
#include "tensor/number.h"
#include <assert.h>

#define BOUND 2e-5
#define GRADIENTS_MAX CHECK_INPUTS_MAX
#define REST 0x1p-17 /* of a number, that its parts may leave */
#define SMALLEST 0x1p-109f

static struct device *open_device(void)
{
    struct device *device;
    struct device_info info;
    struct error err;
    assert_int_equal(device_open(&device, "cpu:threads=2", &err), 0);
    device_get_info(device, &info);
    if (!info.bf16) {
        device_close(&device);
        print_message("SKIP REASON: bf16x3_test: no bf16 arithmetic\n");
        skip();
    }
    return device;
}

/* Behind the graph's outputs, the gradients of what they add up to, weighted at
 * random. */
static void add_gradients(struct net *net)
{
    int seeds[GRADIENTS_MAX], gradients[GRADIENTS_MAX], count = net->graph->output_count;
    for (int i = 0; i < count; i++)
        seeds[i] = net_constant(net, &net->graph->values[net->graph->outputs[i]].shape, -1, 1);
    struct autodiff autodiff = {
        .of = net->graph->outputs,
        .seeds = seeds,
        .of_count = count,
        .with = net->graph->inputs,
        .with_count = net->graph->input_count,
    };
    net_must(net, pass_autodiff(net->graph, &autodiff, gradients, &net->err));
    for (int i = 0; i < net->graph->input_count; i++)
        net_output(net, gradients[i]);
    net_infer(net);
}

/* Times one more input, so that the gradient of y is no constant. */
static void output_product(struct net *net, int y, const struct shape *shape)
{
    net_output(net, net_node(net, "Mul", y, net_input(net, shape), -2));
    net_infer(net);
}

static void run_wide(struct net *net, const struct tensor *inputs, struct tensor *expected)
{
    struct graph *wide = NULL;
    struct tensor wide_inputs[CHECK_INPUTS_MAX] = { 0 };
    const struct tensor *list[CHECK_INPUTS_MAX];
    net_must(net, graph_clone(&wide, net->graph, &net->err));
    net_must(net, graph_to_double(wide, &net->err));
    for (int i = 0; i < wide->input_count; i++) {
        net_must(net, tensor_create(&wide_inputs[i], TENSOR_F64, &inputs[i].shape, &net->err));
        for (int64_t k = 0, n = shape_elements(&inputs[i].shape); k < n; k++)
            ((double *)wide_inputs[i].data)[k] = (double)((float *)inputs[i].data)[k];
        list[i] = &wide_inputs[i];
    }
    net_must(net, graph_run_reference(wide, list, expected, &net->err));
    for (int i = 0; i < wide->input_count; i++)
        tensor_free(&wide_inputs[i]);
    graph_free(&wide);
}

static bool has_matrix_units(void)
{
    unsigned wanted = dnnl_cpu_isa_avx512_core_amx;
    return ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted && split_conv_available();
}

static int count_steps(const struct plan *plan, const char *implementation)
{
    const struct cpu_plan *cpu = (const struct cpu_plan *)plan;
    int count = 0;
    for (int i = 0; i < cpu->step_count; i++)
        count += strcmp(cpu->steps[i].implementation, implementation) == 0;
    return count;
}

/* All outputs, twice: the second time there are leftovers in memory. splits, own:
 * steps of these kinds in the plan. */
static void check_outputs(struct net *net, struct device *device, int splits, int own,
                          const char *what)
{
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 };
    struct tensor *expected = calloc((size_t)net->graph->output_count, sizeof *expected);
    struct plan *plan = NULL;
    double worst = 0;
    net_make_inputs(net, inputs);
    run_wide(net, inputs, expected);
    net_must(net, device_compile(device, net->graph,
                                 &(struct plan_options){ .precision = PRECISION_BF16X3 }, &plan,
                                 &net->err));
    for (int run = 0; run < 2; run++) {
        for (int i = 0; i < net->graph->input_count; i++)
            memcpy(plan_input(plan, (size_t)i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
        net_must(net, plan_run(plan, &net->err));
        for (int i = 0; i < net->graph->output_count; i++) {
            double error = relative_error(plan_output(plan, (size_t)i), &expected[i]);
            worst = error > worst ? error : worst;
            if (!(error <= BOUND)) {
                plan_print(plan, 0, stderr, &net->err);
                fail_msg("%s: output %d, run %d: %g off", what, i, run, error);
            }
        }
    }
    print_message("%s: %d splits, at most %.2g off\n", what, count_steps(plan, "split"), worst);
    if (count_steps(plan, "split") != splits || count_steps(plan, "own:split_conv") != own)
        plan_print(plan, 0, stderr, &net->err);
    assert_int_equal(count_steps(plan, "split"), splits);
    assert_int_equal(count_steps(plan, "own:split_conv"), own);
    plan_free(&plan);
    for (int i = 0; i < net->graph->output_count; i++)
        tensor_free(&expected[i]);
    free(expected);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
}

/* ---- convolutions ---- */

struct convolution {
    int64_t batch, in, rows, columns, out, kernel, stride, pad, groups;
    int forward, all; /* numbers of splits: of the forward pass, and with the gradients */
    int own;          /* steps on matrix units, if there are any, with constant weights */
    bool transposed;
};

static int64_t out_size(const struct convolution *c, int64_t in)
{
    return c->transposed ? (in - 1) * c->stride + c->kernel - 2 * c->pad
                         : (in + 2 * c->pad - c->kernel) / c->stride + 1;
}

/* Weights that learn are split in each run, constant ones when the plan is
 * made. */
static void check_convolution(const struct convolution *c, struct device *device, bool constant)
{
    struct net net;
    char what[128];
    snprintf(what, sizeof what, "%s %dx%dx%dx%d to %d, %dx%d, stride %d, groups %d%s",
             c->transposed ? "ConvTranspose" : "Conv", (int)c->batch, (int)c->in, (int)c->rows,
             (int)c->columns, (int)c->out, (int)c->kernel, (int)c->kernel, (int)c->stride,
             (int)c->groups, constant ? ", constant weights" : ", gradients");
    net_begin(&net, 7);
    const struct shape *weights = c->transposed
                                      ? SHAPE(c->in, c->out / c->groups, c->kernel, c->kernel)
                                      : SHAPE(c->out, c->in / c->groups, c->kernel, c->kernel);
    int x = net_input(&net, SHAPE(c->batch, c->in, c->rows, c->columns));
    int w = constant ? net_constant(&net, weights, -1, 1) : net_input(&net, weights);
    int b = constant ? net_constant(&net, SHAPE(c->out), -1, 1) : net_input(&net, SHAPE(c->out));
    int y = net_node(&net, c->transposed ? "ConvTranspose" : "Conv", x, w, b, -2);
    LIST(&net, "pads", c->pad, c->pad, c->pad, c->pad);
    LIST(&net, "strides", c->stride, c->stride);
    net_int(&net, "group", c->groups);
    if (constant) {
        net_output(&net, net_node(&net, "Relu", y, -2));
        net_infer(&net);
    } else {
        output_product(&net, y,
                       SHAPE(c->batch, c->out, out_size(c, c->rows), out_size(c, c->columns)));
        add_gradients(&net);
    }
    bool own = constant && c->own > 0 && has_matrix_units();
    check_outputs(&net, device, own ? 0 : constant ? c->forward : c->all, own, what);
    net_end(&net);
}

static void convolutions_are_as_exact_as_promised(void **state)
{
    static const struct convolution cases[] = {
        { 2, 16, 24, 20, 16, 3, 1, 1, 1, 1, 6, 1, false },
        { 1, 64, 17, 13, 64, 3, 1, 1, 1, 1, 6, 1, false },
        { 1, 256, 12, 16, 256, 3, 1, 1, 1, 1, 6, 1, false },
        { 2, 32, 25, 31, 64, 3, 2, 1, 1, 1, 6, 1, false },
        { 1, 256, 16, 20, 256, 1, 1, 0, 1, 1, 6, 1, false },
        { 2, 33, 19, 21, 70, 3, 1, 1, 1, 1, 6, 1, false },
        { 3, 128, 9, 15, 128, 1, 2, 0, 1, 0, 2, 1, false },
        { 3, 256, 9, 15, 320, 1, 2, 0, 1, 0, 4, 1, false },
        { 1, 24, 20, 22, 40, 5, 1, 2, 1, 1, 6, 1, false },
        { 2, 32, 12, 10, 48, 4, 2, 1, 1, 1, 6, 0, true },
        /* not worth it: thin, in groups, depthwise */
        { 1, 3, 32, 32, 16, 3, 2, 1, 1, 0, 0, 0, false },
        { 1, 64, 16, 16, 64, 3, 1, 1, 4, 0, 0, 0, false },
        { 1, 64, 16, 16, 64, 3, 1, 1, 64, 0, 0, 0, false },
        { 1, 64, 16, 16, 8, 1, 1, 0, 1, 0, 0, 0, false },
        { 1, 64, 16, 16, 64, 1, 1, 0, 1, 0, 0, 1, false },
        { 1, 12, 20, 22, 40, 3, 1, 1, 1, 0, 6, 1, false },
    };
    struct device *device = open_device();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_convolution(&cases[i], device, true);
        check_convolution(&cases[i], device, false);
    }
    device_close(&device);
}

/* Two convolutions, of weights that are no constants, read x: it is split once
 * for both. */
static void what_two_read_is_split_once(void **state)
{
    struct device *device = open_device();
    struct net net;
    (void)state;
    net_begin(&net, 3);
    int x = net_input(&net, SHAPE(1, 32, 20, 24));
    int first = net_node(&net, "Conv", x, net_input(&net, SHAPE(64, 32, 3, 3)), -2);
    LIST(&net, "pads", 1, 1, 1, 1);
    int second = net_node(&net, "Conv", x, net_input(&net, SHAPE(64, 32, 3, 3)), -2);
    LIST(&net, "pads", 1, 1, 1, 1);
    net_output(&net, net_node(&net, "Add", first, second, -2));
    net_infer(&net);
    check_outputs(&net, device, 3, 0, "two convolutions of one image");
    net_end(&net);
    device_close(&device);
}

/* ---- products of matrices ---- */

static void check_product(struct device *device, const char *op, const struct shape *a,
                          const struct shape *b, bool transposed, int splits)
{
    struct net net;
    char what[96];
    net_begin(&net, 11);
    int left = net_input(&net, a), right = net_input(&net, b), product;
    if (strcmp(op, "Gemm") == 0) {
        int bias = net_input(&net, SHAPE(transposed ? b->dim[0] : b->dim[1]));
        product = net_node(&net, op, left, right, bias, -2);
        net_int(&net, "transB", transposed);
    } else {
        product = net_node(&net, op, left, right, -2);
    }
    struct shape out = *a;
    out.dim[a->rank - 1] = transposed ? b->dim[b->rank - 2] : b->dim[b->rank - 1];
    output_product(&net, product, &out);
    add_gradients(&net);
    snprintf(what, sizeof what, "%s of %d and %d numbers", op, (int)shape_elements(a),
             (int)shape_elements(b));
    check_outputs(&net, device, splits, 0, what);
    net_end(&net);
}

static void products_are_as_exact_as_promised(void **state)
{
    struct device *device = open_device();
    (void)state;
    check_product(device, "MatMul", SHAPE(150, 200), SHAPE(200, 170), false, 6);
    check_product(device, "MatMul", SHAPE(3, 160, 140), SHAPE(3, 140, 133), false, 6);
    check_product(device, "MatMul", SHAPE(4, 70, 256), SHAPE(256, 192), false, 6);
    check_product(device, "MatMul", SHAPE(2, 2, 150, 64), SHAPE(2, 1, 64, 150), false, 2);
    check_product(device, "Gemm", SHAPE(200, 180), SHAPE(160, 180), true, 6);
    check_product(device, "Gemm", SHAPE(140, 300), SHAPE(300, 150), false, 6);
    check_product(device, "MatMul", SHAPE(20, 30), SHAPE(30, 40), false, 0);
    device_close(&device);
}

/* ---- numbers ---- */

static void split_one(float number, enum split_order order, float parts[SPLIT_PARTS])
{
    uint16_t bits[SPLIT_PARTS];
    split_run(&number, 1, 1, order, 1, bits);
    for (int i = 0; i < SPLIT_PARTS; i++)
        parts[i] = float_from_bfloat(bits[i]);
}

static float random_float(struct random_state *random)
{
    uint32_t bits = (uint32_t)random_next_u64(random);
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void parts_add_up_to_the_number(void **state)
{
    static const float edges[] = {
        0,        -0.0f,           1,           3.4028235e38f, -3.4028235e38f,
        3.39e38f, 0x1.fefffep127f, 0x1.ffp127f, 0x1.01p0f,     0x1.03p0f,
        SMALLEST, 0x1p-126f,       0x1p-149f,   -0x1.8p-130f
    };
    struct random_state random;
    struct device *device = open_device();
    (void)state;
    device_close(&device);
    random_seed(&random, 5);
    size_t edge_count = sizeof edges / sizeof *edges;
    for (size_t i = 0; i < 200000; i++) {
        float number = i < edge_count ? edges[i] : random_float(&random), parts[SPLIT_PARTS];
        if (!isfinite(number))
            continue;
        split_one(number, SPLIT_HIGH_LOW_HIGH, parts);
        double sum = (double)parts[0] + (double)parts[1];
        double allowed = fabsf(number) >= SMALLEST ? REST * fabs((double)number) : 0x1p-126;
        assert_true(isfinite(parts[0]) && isfinite(parts[1]) && parts[2] == parts[0]);
        assert_true(fabs(sum - (double)number) <= allowed);
        float other[SPLIT_PARTS];
        split_one(number, SPLIT_HIGH_HIGH_LOW, other);
        assert_true(other[0] == parts[0] && other[1] == parts[2] && other[2] == parts[1]);
    }
}

static void only_the_high_part_is_not_a_number(void **state)
{
    static const float numbers[] = { INFINITY, -INFINITY, NAN };
    struct device *device = open_device();
    (void)state;
    device_close(&device);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (int order = 0; order < 2; order++) {
            float parts[SPLIT_PARTS];
            split_one(numbers[i], (enum split_order)order, parts);
            assert_true(isnan(numbers[i]) ? isnan(parts[0]) : parts[0] == numbers[i]);
            assert_true(parts[1] == 0 && parts[2] == 0);
        }
}

/* In either operand, beside numbers and each other: what comes out is what
 * doubles give. */
static void infinities_come_out_as_in_f32(void **state)
{
    static const float odd[] = { INFINITY, -INFINITY, NAN, 0, 3e38f, -1e30f };
    enum { SIZE = 144, COUNT = sizeof odd / sizeof *odd };
    struct device *device = open_device();
    struct net net;
    struct plan *plan;
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, expected[1];
    (void)state;
    net_begin(&net, 13);
    int a = net_input(&net, SHAPE(SIZE, SIZE)), b = net_input(&net, SHAPE(SIZE, SIZE));
    net_output(&net, net_node(&net, "MatMul", a, b, -2));
    net_infer(&net);
    net_make_inputs(&net, inputs);
    assert(inputs[0].data && inputs[1].data);
    for (int i = 0; i < 2 * COUNT; i++)
        ((float *)inputs[i % 2].data)[i % 2 ? 7 + 11 * i : SIZE * 5 * i + 7] = odd[i / 2];
    const struct tensor *list[] = { &inputs[0], &inputs[1] };
    net_must(&net, graph_run_reference(net.graph, list, expected, &net.err));
    net_must(&net, device_compile(device, net.graph,
                                  &(struct plan_options){ .precision = PRECISION_BF16X3 }, &plan,
                                  &net.err));
    assert_int_equal(count_steps(plan, "split"), 2);
    for (size_t i = 0; i < 2; i++)
        memcpy(plan_input(plan, i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
    net_must(&net, plan_run(plan, &net.err));
    for (int i = 0; i < SIZE * SIZE; i++) {
        float got = ((float *)plan_output(plan, 0)->data)[i], wanted = ((float *)expected[0].data)[i];
        if (isnan(wanted))
            assert_true(isnan(got));
        else if (isinf(wanted))
            assert_true(got == wanted);
        else
            assert_true(fabsf(got - wanted) <= 1e-4f * (1 + fabsf(wanted)));
    }
    plan_free(&plan);
    tensor_free(&expected[0]);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
    net_end(&net);
    device_close(&device);
}

/* ---- words ---- */

static void precisions_have_words(void **state)
{
    enum precision precision;
    (void)state;
    for (int i = PRECISION_F32; i <= PRECISION_BF16X3; i++) {
        assert_true(precision_from_word(precision_word((enum precision)i), &precision));
        assert_int_equal(precision, i);
    }
    assert_string_equal(precision_word(PRECISION_BF16X3), "bf16x3");
    assert_false(precision_from_word("bf16x2", &precision));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precisions_have_words),
        cmocka_unit_test(parts_add_up_to_the_number),
        cmocka_unit_test(only_the_high_part_is_not_a_number),
        cmocka_unit_test(convolutions_are_as_exact_as_promised),
        cmocka_unit_test(what_two_read_is_split_once),
        cmocka_unit_test(products_are_as_exact_as_promised),
        cmocka_unit_test(infinities_come_out_as_in_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
