/* The gradients of pooling: in doubles against finite differences, in floats and on the cpu device
 * against the doubles, over windows, strides, dilations and pads of both sides. That of two equal
 * maxima is checked by numbers. */
#include "cpu_device.h"
#include "gradient_check.h"
#include "passes/autodiff.h"

#define L(...) ((const int64_t[]){ __VA_ARGS__ })
#define S(...)                                                                        \
    {                                                                                 \
        .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), .dim = { \
            __VA_ARGS__                                                               \
        }                                                                             \
    }

struct pool_case {
    const char *what;
    struct shape input;
    const int64_t *kernel, *strides, *dilations, *pads;
    bool ceil, include;
    const char *auto_pad;
};

/* clang-format off */
static const struct pool_case cases[] = {
    { "2x2", .input = S(2, 3, 6, 8), .kernel = L(2, 2), .strides = L(2, 2) },
    { "3x3, stride 2, padded", .input = S(1, 5, 7, 6), .kernel = L(3, 3), .strides = L(2, 2),
      .pads = L(1, 1, 1, 1) },
    { "5x5, stride 1", .input = S(2, 4, 5, 7), .kernel = L(5, 5), .pads = L(2, 2, 2, 2) },
    { "13x13 of a small picture", .input = S(1, 16, 4, 5), .kernel = L(13, 13),
      .pads = L(6, 6, 6, 6) },
    { "counting the padding", .input = S(1, 3, 6, 5), .kernel = L(3, 2), .pads = L(2, 0, 1, 1),
      .include = true },
    { "ceil", .input = S(1, 3, 6, 7), .kernel = L(3, 3), .strides = L(2, 3), .ceil = true },
    { "ceil, counting the padding", .input = S(1, 2, 6, 7), .kernel = L(3, 3), .strides = L(3, 2),
      .pads = L(1, 0, 0, 1), .ceil = true, .include = true },
    { "same upper", .input = S(1, 2, 6, 7), .kernel = L(3, 2), .strides = L(2, 2),
      .auto_pad = "SAME_UPPER" },
    { "same lower", .input = S(1, 2, 6, 7), .kernel = L(4, 2), .strides = L(2, 1),
      .auto_pad = "SAME_LOWER" },
    { "valid", .input = S(1, 2, 6, 7), .kernel = L(3, 2), .auto_pad = "VALID" },
    { "strides over some", .input = S(1, 20, 9, 8), .kernel = L(2, 1), .strides = L(3, 4) },
    { "dilated", .input = S(1, 3, 9, 8), .kernel = L(2, 3), .dilations = L(3, 2),
      .pads = L(1, 2, 2, 0) },
    { "32 channels", .input = S(3, 32, 4, 4), .kernel = L(2, 2), .strides = L(2, 2) },
    { "a row", .input = S(2, 3, 9), .kernel = L(3), .strides = L(2), .pads = L(1, 1) },
};
/* clang-format on */

static void add_pool(struct net *net, const char *op, const struct pool_case *c, int x)
{
    size_t spatial = (size_t)c->input.rank - 2;
    int y = net_node(net, op, x, -2);
    net_list(net, "kernel_shape", spatial, c->kernel);
    if (c->strides)
        net_list(net, "strides", spatial, c->strides);
    if (c->dilations)
        net_list(net, "dilations", spatial, c->dilations);
    if (c->pads)
        net_list(net, "pads", 2 * spatial, c->pads);
    if (c->auto_pad)
        net_string(net, "auto_pad", c->auto_pad);
    net_int(net, "ceil_mode", c->ceil);
    if (c->include)
        net_int(net, "count_include_pad", 1);
    /* A square makes the gradient depend on the inputs: of what does not, compiling leaves a
     * constant. */
    net_output(net, net_node(net, "Mul", y, y, -2));
}

static void test_windows(void **state)
{
    (void)state;
    static const char *const ops[] = { "MaxPool", "AveragePool" };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct net net;
        char what[96];
        const struct pool_case *c = &cases[i / 2];
        snprintf(what, sizeof what, "%s, %s", ops[i % 2], c->what);
        net_begin(&net, i);
        add_pool(&net, ops[i % 2], c, net_input(&net, &c->input));
        /* In bf16 two maxima may become equal, and the first wins: not for differences to check. */
        gradient_check_bf16(&net, device, i % 2 ? 0.02 : 0, what);
        net_end(&net);
    }
}

static void test_global(void **state)
{
    (void)state;
    static const char *const ops[] = { "GlobalMaxPool", "GlobalAveragePool" };
    static const struct shape shapes[] = { S(2, 3, 5, 4), S(1, 17, 3, 3), S(2, 3, 7),
                                           S(2, 3, 2, 3, 4) };
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        struct net net;
        net_begin(&net, i);
        int y = net_node(&net, ops[i % 2], net_input(&net, &shapes[i / 2]), -2);
        net_output(&net, net_node(&net, "Mul", y, y, -2));
        gradient_check(&net, device, ops[i % 2]);
        net_end(&net);
    }
}

static void run_plan(struct net *net, const float x[7], float dx[7])
{
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    memcpy(plan_input(plan, 0)->data, x, 7 * sizeof *x);
    net_must(net, plan_run(plan, &net->err));
    memcpy(dx, plan_output(plan, 1)->data, 7 * sizeof *dx);
    plan_free(&plan);
}

/* x is a row of seven; windows of three, one apart; dy is 1, 2, 4, 8, 16. */
static void check_winners(const float x[7], const float expected[7])
{
    struct net net;
    int gradient;
    float got[7];
    net_begin(&net, 1);
    net_output(&net, net_node(&net, "MaxPool", net_input(&net, SHAPE(1, 1, 1, 7)), -2));
    LIST(&net, "kernel_shape", 1, 3);
    net_infer(&net);
    int seed = net_constant(&net, SHAPE(1, 1, 1, 5), 0, 0);
    for (int i = 0; i < 5; i++)
        ((float *)net.graph->values[seed].constant.data)[i] = (float)(1 << i);
    struct autodiff autodiff = {
        .of = net.graph->outputs,
        .seeds = &seed,
        .of_count = 1,
        .with = net.graph->inputs,
        .with_count = 1,
    };
    net_must(&net, pass_autodiff(net.graph, &autodiff, &gradient, &net.err));
    net_output(&net, gradient);
    run_plan(&net, x, got);
    for (int i = 0; i < 7; i++)
        assert_true(got[i] == expected[i]);

    struct tensor input, outputs[2] = { 0 };
    net_must(&net, tensor_create(&input, TENSOR_F32, SHAPE(1, 1, 1, 7), &net.err));
    memcpy(input.data, x, tensor_bytes(&input));
    const struct tensor *inputs[] = { &input };
    net_must(&net, graph_run_reference(net.graph, inputs, outputs, &net.err));
    assert_memory_equal(outputs[1].data, got, sizeof got);
    tensor_free(&input);
    tensor_free(&outputs[0]);
    tensor_free(&outputs[1]);
    net_end(&net);
}

/* PyTorch's answers (max_pool2d, backward): the first of equal ones, and the last NaN. */
static void test_winners(void **state)
{
    (void)state;
    check_winners((float[]){ 1, 1, 1, 1, 1, 1, 1 }, (float[]){ 1, 2, 4, 8, 16, 0, 0 });
    check_winners((float[]){ 0, 3, 3, 1, 3, 3, 0 }, (float[]){ 0, 3, 4, 0, 24, 0, 0 });
    check_winners((float[]){ -INFINITY, -INFINITY, -INFINITY, 0, 1, 2, 3 },
                  (float[]){ 1, 0, 0, 2, 4, 8, 16 });
    check_winners((float[]){ 0, NAN, 5, NAN, 1, 2, 7 }, (float[]){ 0, 1, 0, 14, 0, 0, 16 });
}

/* What a convolution by one gives, so that devices store it as they like (bf16, blocked). */
static int through_one(struct net *net, int value, int64_t channels)
{
    int weights = net_constant(net, SHAPE(channels, channels, 1, 1), 0, 0);
    for (int64_t c = 0; c < channels; c++)
        ((float *)net->graph->values[weights].constant.data)[c * channels + c] = 1;
    return net_node(net, "Conv", value, weights, -2);
}

static void fill_whole(struct net *net, struct tensor *tensor, int64_t most)
{
    for (int64_t i = 0, n = shape_elements(&tensor->shape); i < n; i++)
        ((float *)tensor->data)[i] =
            (float)((int64_t)(random_next_u64(&net->random) % (uint64_t)(2 * most + 1)) - most);
}

/* Small whole numbers, which bf16 holds exactly: many equal maxima, and no error allowed. */
static void check_whole(int64_t channels, int64_t kernel, int64_t stride, enum precision precision)
{
    struct net net;
    struct tensor inputs[2], expected = { 0 };
    const struct tensor *list[] = { &inputs[0], &inputs[1] };
    int64_t size = 9, out = (size - kernel) / stride + 1;
    net_begin(&net, 1);
    int dy = through_one(&net, net_input(&net, SHAPE(2, channels, out, out)), channels);
    int x = through_one(&net, net_input(&net, SHAPE(2, channels, size, size)), channels);
    net.graph->opset = 0; /* our own ops */
    net_output(&net, net_node(&net, "max_pool_grad", dy, x, -2));
    LIST(&net, "kernel_shape", kernel, kernel);
    LIST(&net, "strides", stride, stride);
    net_infer(&net);
    for (int i = 0; i < 2; i++) {
        net_must(&net, tensor_create(&inputs[i], TENSOR_F32,
                                     &net.graph->values[net.graph->inputs[i]].shape, &net.err));
        fill_whole(&net, &inputs[i], i ? 5 : 9);
    }
    net_must(&net, graph_run_reference(net.graph, list, &expected, &net.err));
    struct plan *plan;
    struct plan_options options = { .precision = precision };
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    for (int i = 0; i < 2; i++)
        memcpy(plan_input(plan, (size_t)i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
    net_must(&net, plan_run(plan, &net.err));
    assert_memory_equal(plan_output(plan, 0)->data, expected.data, tensor_bytes(&expected));
    plan_free(&plan);
    tensor_free(&expected);
    tensor_free(&inputs[0]);
    tensor_free(&inputs[1]);
    net_end(&net);
}

static void test_whole_numbers(void **state)
{
    (void)state;
    static const int64_t channels[] = { 3, 16, 20, 32, 150, 230 }; /* the last for two threads */
    struct device_info info;
    device_get_info(device, &info);
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int64_t kernel = 2; kernel <= 3; kernel++) {
            check_whole(channels[i], kernel, 2, PRECISION_F32);
            check_whole(channels[i], kernel, 1, PRECISION_F32);
            if (!info.bf16)
                continue;
            check_whole(channels[i], kernel, 2, PRECISION_BF16);
            check_whole(channels[i], kernel, 1, PRECISION_BF16);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_global),
        cmocka_unit_test(test_winners),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
