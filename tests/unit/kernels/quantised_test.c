/* Networks quantised to 8 bits as plans of the cpu device, and after pass_quantise, against the reference
 * kernels on the graph as it came: no output is more than one step off, and few are (where a sum falls
 * between two steps, f32 and whole numbers may round differently). Shapes are odd on purpose. */
#include "cpu_check.h"
#include "cpu_device.h"
#include "passes/pass.h"
#include <oneapi/dnnl/dnnl.h>

#define APART_MAX 0.02 /* of the outputs may be a step off */

struct layer {
    const char *name;
    int64_t in, out, groups, rows, columns, kernel[2], stride, dilation, pads[4];
    enum tensor_type x_type, w_type, y_type;
    int x_zero, w_zero, y_zero;
    bool by_channel, biased;
    double clip;   /* 0: none; below 0: a Relu */
    int64_t batch; /* 0: one */
};

static int net_bytes(struct net *net, enum tensor_type type, const struct shape *shape, int low,
                     int high)
{
    struct tensor tensor;
    net_must(net, tensor_create(&tensor, type, shape, &net->err));
    for (int64_t i = 0, count = shape_elements(shape); i < count; i++)
        ((uint8_t *)tensor.data)[i] =
            (uint8_t)(low + (int)(random_next_unit(&net->random) * (high - low + 1)));
    int value = graph_add_constant(net->graph, "bytes", &tensor, &net->err);
    net_must(net, value);
    return value;
}

static int net_number(struct net *net, double number)
{
    return net_constant(net, &(struct shape){ .rank = 0 }, number, number);
}

static int net_zero(struct net *net, enum tensor_type type, int zero)
{
    return net_bytes(net, type, &(struct shape){ .rank = 0 }, zero, zero);
}

/* x through bytes and back. */
static int net_quantised(struct net *net, int x, enum tensor_type type, double scale, int zero)
{
    int s = net_number(net, scale), z = net_zero(net, type, zero);
    int q = net_node(net, "QuantizeLinear", x, s, z, -2);
    return net_node(net, "DequantizeLinear", q, s, z, -2);
}

static int net_weights(struct net *net, const struct layer *l, const struct shape *shape, int axis)
{
    int low = l->w_type == TENSOR_I8 ? -128 : 0;
    int w = net_bytes(net, l->w_type, shape, low, low + 255);
    if (!l->by_channel)
        return net_node(net, "DequantizeLinear", w, net_number(net, 0.01),
                        net_zero(net, l->w_type, l->w_zero), -2);
    const struct shape *channels = SHAPE(shape->dim[axis]);
    int value = net_node(net, "DequantizeLinear", w, net_constant(net, channels, 0.002, 0.02),
                         net_bytes(net, l->w_type, channels, l->w_zero, l->w_zero), -2);
    net_int(net, "axis", axis);
    return value;
}

/* What a layer's output is quantised with: sums are about so large. */
static double output_scale(const struct layer *l)
{
    int64_t terms = l->in / l->groups * l->kernel[0] * l->kernel[1];
    return 0.01 * 100 * sqrt((double)terms) * 2 / 128;
}

static int net_end_of_layer(struct net *net, const struct layer *l, int y)
{
    if (l->clip < 0)
        y = net_node(net, "Relu", y, -2);
    else if (l->clip > 0)
        y = net_node(net, "Clip", y, net_number(net, 0), net_number(net, l->clip), -2);
    return net_quantised(net, y, l->y_type, output_scale(l), l->y_zero);
}

static void check_steps(const char *name, const struct tensor *got, const struct tensor *expected,
                        double step)
{
    int64_t count = shape_elements(&expected->shape), apart = 0;
    assert_true(shape_equal(&got->shape, &expected->shape));
    for (int64_t i = 0; i < count; i++) {
        double steps =
            fabs((double)((float *)got->data)[i] - (double)((float *)expected->data)[i]) / step;
        if (!(steps < 1.01))
            fail_msg("%s: element %lld is %g steps off", name, (long long)i, steps);
        apart += steps > 0.5;
    }
    if (apart > 1 && (double)apart > APART_MAX * (double)count)
        fail_msg("%s: %lld of %lld are a step off", name, (long long)apart, (long long)count);
}

/* op is there after the pass, and nothing in f32 between. */
static void check_pass(struct net *net, const char *op, const struct tensor *const *inputs,
                       const struct tensor *expected, double step)
{
    struct graph *after = NULL;
    struct tensor got;
    bool found = false;
    net_must(net, graph_clone(&after, net->graph, &net->err));
    net_must(net, graph_infer(after, NULL, &net->err));
    net_must(net, pass_quantise(after, &net->err));
    for (int i = 0; i < after->node_count; i++) {
        const struct node *node = &after->nodes[i];
        bool ends = strcmp(node->op->name, "QuantizeLinear") == 0 ||
                    strcmp(node->op->name, "DequantizeLinear") == 0;
        found |= strcmp(node->op->name, op) == 0;
        if (!ends && after->values[node->outputs[0]].type == TENSOR_F32)
            fail_msg("%s: %s stays", op, node->op->name);
    }
    if (!found)
        fail_msg("no %s", op);
    net_must(net, graph_infer(after, NULL, &net->err)); /* the shape rules agree */
    net_must(net, graph_run_reference(after, inputs, &got, &net->err));
    check_steps(op, &got, expected, step);
    tensor_free(&got);
    graph_free(&after);
}

/* Elsewhere the device leaves such networks in f32. */
static bool has_bytes(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_vnni) ==
           dnnl_cpu_isa_avx512_core_vnni;
}

static void check_plan(struct net *net, const char *name, const struct tensor *inputs,
                       const struct tensor *expected, double step)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    const char *way;
    for (size_t i = 0; has_bytes() && (way = plan_step(plan, i)); i++)
        if (strncmp(way, "ref", 3) == 0)
            fail_msg("%s: step %zu is slow", name, i);
    for (int run = 0; run < 2; run++) {
        for (int i = 0; i < net->graph->input_count; i++)
            memcpy(plan_input(plan, (size_t)i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
        net_must(net, plan_run(plan, &net->err));
        check_steps(name, plan_output(plan, 0), expected, step);
    }
    plan_free(&plan);
}

static void check_net(struct net *net, const char *name, const char *op, double step)
{
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, expected;
    const struct tensor *list[CHECK_INPUTS_MAX];
    net_infer(net);
    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    net_must(net, graph_run_reference(net->graph, list, &expected, &net->err));
    check_pass(net, op, list, &expected, step);
    check_plan(net, name, inputs, &expected, step);
    tensor_free(&expected);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
    net_end(net);
}

#define U8U8U8 .x_type = TENSOR_U8, .w_type = TENSOR_U8, .y_type = TENSOR_U8
#define I8I8I8 .x_type = TENSOR_I8, .w_type = TENSOR_I8, .y_type = TENSOR_I8
#define THREE .kernel = { 3, 3 }, .pads = { 1, 1, 1, 1 }
#define STEPS(step, spread) .stride = (step), .dilation = (spread)
#define ONE .kernel = { 1, 1 }

/* clang-format off */
static const struct layer convolutions[] = {
    { "1x1", 17, 19, 1, 7, 9, ONE, STEPS(1, 1), U8U8U8, .x_zero = 3, .w_zero = 109, .y_zero = 120 },
    { "1x1 within i8", 17, 32, 1, 7, 9, ONE, STEPS(1, 1), .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_U8, .y_zero = 128, .biased = true },
    { "1x1 by channel", 64, 48, 1, 5, 5, ONE, STEPS(1, 1), .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_I8, .by_channel = true, .biased = true, .clip = -1 },
    { "1x1 of i8", 33, 16, 1, 6, 5, ONE, STEPS(1, 1), I8I8I8, .x_zero = -128, .w_zero = 5, .y_zero = -128, .clip = 3 },
    { "1x1 with a step", 16, 16, 1, 9, 8, ONE, STEPS(2, 1), U8U8U8, .x_zero = 7, .w_zero = 128, .y_zero = 9, .biased = true },
    { "one channel", 1, 1, 1, 5, 5, THREE, STEPS(1, 1), U8U8U8, .x_zero = 200, .w_zero = 3, .y_zero = 100 },
    { "3x3", 3, 32, 1, 11, 13, THREE, STEPS(2, 1), U8U8U8, .x_zero = 114, .w_zero = 133, .clip = 6, .biased = true },
    { "3x3 wide", 32, 17, 1, 9, 9, THREE, STEPS(1, 1), U8U8U8, .w_zero = 255, .y_zero = 3 },
    { "3x3 of i8", 48, 64, 1, 8, 7, THREE, STEPS(1, 1), I8I8I8, .x_zero = -128, .y_zero = -1, .by_channel = true, .biased = true },
    { "3x3 within i8", 24, 40, 1, 9, 8, THREE, STEPS(1, 1), .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_U8, .y_zero = 128, .biased = true },
    { "3x3 within i8, padded with 77", 24, 40, 1, 9, 8, THREE, STEPS(2, 1), .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_U8, .x_zero = 77, .y_zero = 128, .biased = true },
    { "3x3 within i8, without pads", 24, 40, 1, 9, 8, .kernel = { 3, 3 }, STEPS(1, 1), .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_U8, .x_zero = 77, .y_zero = 128, .batch = 2 },
    { "3 channels within i8", 3, 16, 1, 20, 19, THREE, STEPS(2, 1), .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_I8, .x_zero = 114, .by_channel = true, .clip = -1, .biased = true },
    { "groups within i8", 32, 64, 2, 7, 9, THREE, STEPS(1, 1), .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_U8, .x_zero = 9, .y_zero = 128 },
    { "groups of 4 within i8", 16, 16, 4, 7, 9, THREE, STEPS(1, 2), .x_type = TENSOR_I8, .w_type = TENSOR_I8, .y_type = TENSOR_I8, .x_zero = 3, .biased = true },
    { "pads apart within i8", 17, 9, 1, 9, 7, .kernel = { 3, 2 }, STEPS(1, 1), .pads = { 2, 0, 1, 1 }, .x_type = TENSOR_U8, .w_type = TENSOR_I8, .y_type = TENSOR_U8, .x_zero = 30, .y_zero = 128 },
    { "pads apart", 8, 8, 1, 9, 7, .kernel = { 3, 2 }, STEPS(1, 1), .pads = { 2, 0, 1, 1 }, U8U8U8, .x_zero = 30, .w_zero = 90, .y_zero = 128 },
    { "dilated", 8, 12, 1, 12, 11, .kernel = { 3, 3 }, STEPS(1, 2), .pads = { 2, 2, 2, 2 }, U8U8U8, .x_zero = 30, .w_zero = 128, .y_zero = 128, .biased = true },
    { "groups", 12, 18, 3, 7, 7, THREE, STEPS(1, 1), U8U8U8, .x_zero = 30, .w_zero = 100, .y_zero = 128, .biased = true },
    { "pictures", 16, 24, 1, 6, 6, THREE, STEPS(1, 1), U8U8U8, .x_zero = 99, .w_zero = 128, .y_zero = 128, .batch = 3 },
    { "depthwise", 17, 17, 17, 9, 9, THREE, STEPS(1, 1), U8U8U8, .x_zero = 12, .w_zero = 150, .y_zero = 128, .biased = true },
    { "depthwise with a step", 32, 32, 32, 9, 10, THREE, STEPS(2, 1), U8U8U8, .w_zero = 101, .clip = 4 },
    { "depthwise of i8", 16, 16, 16, 9, 10, .kernel = { 5, 5 }, STEPS(1, 1), .pads = { 2, 2, 2, 2 }, I8I8I8, .x_zero = -128, .by_channel = true, .y_zero = 4, .biased = true },
    { "depthwise dilated", 40, 40, 40, 12, 9, .kernel = { 3, 2 }, STEPS(1, 2), .pads = { 2, 0, 1, 3 }, U8U8U8, .x_zero = 5, .w_zero = 3, .y_zero = 100, .batch = 2 },
    { "depthwise large", 96, 96, 96, 40, 40, THREE, STEPS(2, 1), U8U8U8, .x_zero = 5, .w_zero = 101, .y_zero = 128, .batch = 2 },
};
/* clang-format on */

static void check_convolution(const struct layer *l, uint64_t seed)
{
    struct net net;
    net_begin(&net, seed);
    int x = net_input(&net, SHAPE(l->batch ? l->batch : 1, l->in, l->rows, l->columns));
    x = net_quantised(&net, x, l->x_type, 2.0 / 255, l->x_zero);
    int w = net_weights(&net, l, SHAPE(l->out, l->in / l->groups, l->kernel[0], l->kernel[1]), 0);
    int b = l->biased ? net_constant(&net, SHAPE(l->out), -1, 1) : -1;
    int y = l->biased ? net_node(&net, "Conv", x, w, b, -2) : net_node(&net, "Conv", x, w, -2);
    net_int(&net, "group", l->groups);
    net_list(&net, "pads", 4, l->pads);
    LIST(&net, "strides", l->stride, l->stride);
    LIST(&net, "dilations", l->dilation, l->dilation);
    net_output(&net, net_end_of_layer(&net, l, y));
    check_net(&net, l->name, "conv_int8", output_scale(l));
}

static void test_convolutions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
        check_convolution(&convolutions[i], 1 + i);
}

/* A Gemm with its second matrix turned or not, and a MatMul of several. */
static void check_product(const struct layer *l, const char *op, bool turned, uint64_t seed)
{
    struct net net;
    net_begin(&net, seed);
    bool is_gemm = strcmp(op, "Gemm") == 0;
    int x = net_input(&net, is_gemm ? SHAPE(l->rows, l->in) : SHAPE(2, l->rows, l->in));
    x = net_quantised(&net, x, l->x_type, 2.0 / 255, l->x_zero);
    int w =
        net_weights(&net, l, turned ? SHAPE(l->out, l->in) : SHAPE(l->in, l->out), turned ? 0 : 1);
    int b = l->biased ? net_constant(&net, SHAPE(l->out), -1, 1) : -1;
    int y = l->biased ? net_node(&net, op, x, w, b, -2) : net_node(&net, op, x, w, -2);
    if (turned)
        net_int(&net, "transB", 1);
    net_output(&net, net_end_of_layer(&net, l, y));
    check_net(&net, l->name, "matmul_int8", output_scale(l));
}

static void test_products(void **state)
{
    (void)state;
    struct layer wide = { "product",
                          37,
                          19,
                          1,
                          5,
                          1,
                          ONE,
                          STEPS(1, 1),
                          U8U8U8,
                          .x_zero = 9,
                          .w_zero = 70,
                          .y_zero = 128,
                          .biased = true };
    check_product(&wide, "Gemm", true, 1);
    check_product(&wide, "Gemm", false, 2);
    wide.biased = false;
    check_product(&wide, "MatMul", false, 3);
    struct layer each = {
        "product by column", 64, 100, 1, 1, 1, ONE, STEPS(1, 1), I8I8I8, .x_zero = -7, .y_zero = 1,
        .by_channel = true
    };
    check_product(&each, "Gemm", true, 4);
    check_product(&each, "MatMul", false, 5);
}

static void test_elementwise(void **state)
{
    (void)state;
    static const char *const ops[][2] = { { "Add", "add_int8" }, { "Mul", "mul_int8" } };
    const struct shape *whole = SHAPE(2, 17, 5, 7);
    const struct shape *others[] = { whole, SHAPE(2, 17, 1, 1), SHAPE(1, 17, 1, 1),
                                     SHAPE(1, 1, 1, 1), SHAPE(1, 1, 5, 7) };
    for (size_t i = 0; i < 2 * sizeof others / sizeof *others; i++) {
        struct net net;
        net_begin(&net, 10 + i);
        int a = net_quantised(&net, net_input(&net, whole), TENSOR_U8, 0.01, 120);
        int b = net_quantised(&net, net_input(&net, others[i / 2]), TENSOR_I8, 0.009, 3);
        int y = net_node(&net, "Relu", net_node(&net, ops[i % 2][0], a, b, -2), -2);
        net_output(&net, net_quantised(&net, y, TENSOR_I8, 0.011, -100));
        check_net(&net, ops[i % 2][0], ops[i % 2][1], 0.011);
    }
}

static void test_pieces(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_quantised(&net, net_input(&net, SHAPE(2, 70, 5, 3)), TENSOR_U8, 0.01, 100);
    x = net_node(&net, "GlobalAveragePool", x, -2);
    net_output(&net, net_quantised(&net, x, TENSOR_I8, 0.002, 5));
    check_net(&net, "average", "average_int8", 0.002);

    net_begin(&net, 2); /* a chain of functions, by way of a table */
    x = net_quantised(&net, net_input(&net, SHAPE(1, 5, 5, 3)), TENSOR_I8, 0.01, 3);
    x = net_node(&net, "Mul", net_node(&net, "Sigmoid", x, -2), net_number(&net, 3), -2);
    net_output(&net, net_quantised(&net, x, TENSOR_U8, 0.01, 0));
    check_net(&net, "table", "table_int8", 0.01);

    net_begin(&net, 3); /* moved as they are; then put into other steps */
    x = net_quantised(&net, net_input(&net, SHAPE(1, 6, 4, 3)), TENSOR_U8, 0.01, 100);
    int same = net_quantised(&net, net_node(&net, "Flatten", x, -2), TENSOR_U8, 0.01, 100);
    int other = net_quantised(&net, net_input(&net, SHAPE(1, 9)), TENSOR_I8, 0.02, 0);
    int y = net_node(&net, "Concat", same, other, -2);
    net_int(&net, "axis", 1);
    net_output(&net, net_quantised(&net, y, TENSOR_U8, 0.015, 90));
    check_net(&net, "moved", "Concat", 0.015);
}

/* What has other readers in f32, or no scale of its own, stays as it is and is right all the same. */
static void test_left_alone(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    struct layer l = { "read twice", 8, 8, 1, 5, 5, ONE, STEPS(1, 1), U8U8U8, .w_zero = 100,
                       .y_zero = 128 };
    int x = net_quantised(&net, net_input(&net, SHAPE(1, 8, 5, 5)), TENSOR_U8, 2.0 / 255, 100);
    int y = net_node(&net, "Conv", x, net_weights(&net, &l, SHAPE(8, 8, 1, 1), 0), -2);
    int q = net_quantised(&net, y, TENSOR_U8, output_scale(&l), 128);
    net_output(&net, net_node(&net, "Add", q, y, -2));
    net_check(&net, device, PRECISION_F32, 0.02, l.name);
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_products),
        cmocka_unit_test(test_elementwise),  cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_left_alone),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
