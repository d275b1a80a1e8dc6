/* The gradients of Conv and ConvTranspose: in doubles against finite differences, in floats and on
 * the cpu device (f32 and bf16) against the doubles, over every attribute and odd shapes; what the
 * rules add and leave out; and in chains and on random shapes of all sizes the device against the
 * reference kernels. A failure prints its seed; `conv_gradient_test SEED` runs that one. */
#include "cpu_device.h"
#include "cpu/plan.h"
#include "gradient_check.h"
#include "ops/conv.h"
#include "passes/autodiff.h"

#define RANDOM_CASES 300
#define RANDOM_WORK_MAX 3e7   /* multiply-adds */
#define CHAIN_BF16_BOUND 2e-2 /* five roundings one after the other */
#define BF16_BOUND 1e-2 /* two operands of 8 bits each: 2^-8 at most, a third of it on average */

static uint64_t only_seed;

struct conv_case {
    const char *what;
    bool transposed, no_bias;
    struct shape input, weights;
    int64_t group;
    const int64_t *strides, *dilations, *pads, *output_padding, *output_shape;
    const char *auto_pad;
};

#define L(...) ((const int64_t[]){ __VA_ARGS__ })
#define S(...)                                                                        \
    {                                                                                 \
        .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), .dim = { \
            __VA_ARGS__                                                               \
        }                                                                             \
    }

/* clang-format off */
static const struct conv_case cases[] = {
    { "3x3", .input = S(2, 3, 5, 6), .weights = S(4, 3, 3, 3), .pads = L(1, 1, 1, 1) },
    { "1x1", .input = S(3, 5, 4, 3), .weights = S(6, 5, 1, 1) },
    { "1x1 of a row", .input = S(1, 5, 1, 3), .weights = S(2, 5, 1, 1), .no_bias = true },
    { "1x1, stride 3", .input = S(1, 4, 8, 9), .weights = S(3, 4, 1, 1), .strides = L(3, 3) },
    { "no pads", .input = S(1, 2, 7, 6), .weights = S(3, 2, 3, 2), .no_bias = true },
    { "pads apart", .input = S(1, 2, 5, 4), .weights = S(3, 2, 3, 4), .pads = L(0, 3, 2, 1) },
    { "pads beyond the kernel", .input = S(1, 2, 3, 3), .weights = S(2, 2, 2, 1),
      .pads = L(3, 2, 3, 1) },
    { "5x5, stride 2", .input = S(2, 3, 9, 8), .weights = S(2, 3, 5, 5), .strides = L(2, 2),
      .pads = L(2, 2, 2, 2) },
    { "stride leaves some over", .input = S(1, 2, 9, 11), .weights = S(3, 2, 2, 2),
      .strides = L(3, 4) },
    { "strides apart", .input = S(1, 3, 6, 7), .weights = S(4, 3, 3, 3), .strides = L(1, 2),
      .pads = L(1, 0, 1, 2) },
    { "dilation", .input = S(1, 3, 8, 9), .weights = S(4, 3, 3, 3), .dilations = L(2, 3),
      .pads = L(2, 3, 2, 3) },
    { "dilation and stride", .input = S(1, 2, 9, 8), .weights = S(3, 2, 3, 3), .strides = L(2, 2),
      .dilations = L(2, 1), .pads = L(1, 1, 2, 0) },
    { "7x7", .input = S(1, 2, 7, 8), .weights = S(3, 2, 7, 7), .pads = L(3, 3, 3, 3) },
    { "9x9", .input = S(1, 1, 6, 7), .weights = S(2, 1, 9, 9), .pads = L(4, 4, 4, 4) },
    { "1x9", .input = S(1, 2, 3, 10), .weights = S(2, 2, 1, 9), .pads = L(0, 4, 0, 4) },
    { "same upper", .input = S(1, 2, 5, 6), .weights = S(3, 2, 4, 2), .strides = L(2, 2),
      .auto_pad = "SAME_UPPER" },
    { "same lower", .input = S(1, 2, 5, 6), .weights = S(3, 2, 4, 2), .strides = L(2, 1),
      .auto_pad = "SAME_LOWER" },
    { "valid", .input = S(1, 2, 5, 6), .weights = S(3, 2, 3, 2), .auto_pad = "VALID" },
    { "two groups", .input = S(2, 4, 5, 5), .weights = S(6, 2, 3, 3), .group = 2,
      .pads = L(1, 1, 1, 1) },
    { "three groups, stride 2", .input = S(1, 6, 6, 5), .weights = S(3, 2, 3, 3), .group = 3,
      .strides = L(2, 2), .pads = L(1, 1, 1, 1) },
    { "depthwise", .input = S(2, 5, 5, 6), .weights = S(5, 1, 3, 3), .group = 5,
      .pads = L(1, 1, 1, 1) },
    { "depthwise, 5x5, stride 2", .input = S(1, 18, 7, 6), .weights = S(18, 1, 5, 5), .group = 18,
      .strides = L(2, 2), .pads = L(2, 2, 2, 2) },
    { "depthwise, dilated", .input = S(1, 3, 7, 6), .weights = S(3, 1, 3, 3), .group = 3,
      .dilations = L(2, 2), .pads = L(2, 2, 2, 2) },
    { "two filters a channel", .input = S(1, 3, 5, 6), .weights = S(6, 1, 3, 3), .group = 3,
      .pads = L(1, 1, 1, 1) },
    { "33 to 17 channels", .input = S(1, 33, 4, 5), .weights = S(17, 33, 3, 3),
      .pads = L(1, 1, 1, 1) },
    { "line", .input = S(2, 3, 9), .weights = S(4, 3, 3), .pads = L(1, 1) },
    { "line, stride 2", .input = S(1, 3, 10), .weights = S(2, 3, 4), .strides = L(2),
      .dilations = L(2), .pads = L(0, 3) },
    { "line, depthwise", .input = S(1, 4, 8), .weights = S(4, 1, 3), .group = 4, .no_bias = true },
    { "line, wider than a stretch", .input = S(1, 1, 150), .weights = S(1, 1, 5), .strides = L(2),
      .pads = L(4, 1) },

    { "transposed 3x3", true, .input = S(2, 3, 4, 5), .weights = S(3, 4, 3, 3),
      .pads = L(1, 1, 1, 1) },
    { "transposed 2x2, stride 2", true, .input = S(1, 4, 3, 4), .weights = S(4, 2, 2, 2),
      .strides = L(2, 2) },
    { "transposed 4x4, stride 2", true, .input = S(1, 3, 3, 4), .weights = S(3, 2, 4, 4),
      .strides = L(2, 2), .pads = L(1, 1, 1, 1) },
    { "transposed 9x9, stride 2", true, .input = S(1, 2, 3, 4), .weights = S(2, 1, 9, 9),
      .strides = L(2, 2), .pads = L(4, 4, 4, 4), .output_padding = L(1, 1) },
    { "transposed, output padding", true, .input = S(1, 2, 3, 3), .weights = S(2, 3, 3, 3),
      .strides = L(2, 3), .pads = L(1, 0, 1, 0), .output_padding = L(1, 2) },
    { "transposed, padded far out", true, .input = S(1, 2, 3, 3), .weights = S(2, 3, 2, 2),
      .strides = L(2, 1), .output_padding = L(1, 3) },
    { "transposed, dilated", true, .input = S(1, 2, 4, 4), .weights = S(2, 3, 3, 2),
      .dilations = L(2, 3), .pads = L(1, 0, 2, 1), .no_bias = true },
    { "transposed, two groups", true, .input = S(1, 4, 3, 4), .weights = S(4, 3, 3, 3), .group = 2,
      .strides = L(2, 2), .pads = L(1, 1, 0, 1) },
    { "transposed, depthwise", true, .input = S(1, 5, 4, 3), .weights = S(5, 1, 3, 3), .group = 5,
      .strides = L(2, 2), .pads = L(1, 1, 1, 1), .output_padding = L(1, 1) },
    { "transposed, same upper", true, .input = S(1, 2, 3, 4), .weights = S(2, 2, 3, 3),
      .strides = L(2, 2), .auto_pad = "SAME_UPPER" },
    { "transposed, output shape", true, .input = S(1, 2, 3, 4), .weights = S(2, 2, 3, 3),
      .strides = L(2, 2), .output_shape = L(6, 9) },
    { "transposed, output shape far out", true, .input = S(1, 2, 2, 2), .weights = S(2, 1, 2, 2),
      .strides = L(2, 2), .output_shape = L(9, 5) },
    { "transposed line", true, .input = S(2, 3, 5), .weights = S(3, 2, 4), .strides = L(2),
      .pads = L(1, 1) },
    { "transposed line, padded far out", true, .input = S(1, 2, 4), .weights = S(2, 2, 2),
      .output_padding = L(2) },
};
/* clang-format on */

static void add_list(struct net *net, const char *name, const int64_t *list, int count)
{
    if (list)
        net_list(net, name, (size_t)count, list);
}

static void check_case(const struct conv_case *conv)
{
    struct net net;
    net_begin(&net, 1);
    int spatial = conv->input.rank - 2;
    int64_t filters = conv->transposed ? conv->weights.dim[1] * (conv->group ? conv->group : 1)
                                       : conv->weights.dim[0];
    int x = net_input(&net, &conv->input), w = net_input(&net, &conv->weights);
    const char *op = conv->transposed ? "ConvTranspose" : "Conv";
    int y = conv->no_bias ? net_node(&net, op, x, w, -2)
                          : net_node(&net, op, x, w, net_input(&net, SHAPE(filters)), -2);
    if (conv->group)
        net_int(&net, "group", conv->group);
    if (conv->auto_pad)
        net_string(&net, "auto_pad", conv->auto_pad);
    add_list(&net, "strides", conv->strides, spatial);
    add_list(&net, "dilations", conv->dilations, spatial);
    add_list(&net, "pads", conv->pads, 2 * spatial);
    add_list(&net, "output_padding", conv->output_padding, spatial);
    add_list(&net, "output_shape", conv->output_shape, spatial);
    net_output(&net, y);
    gradient_check_bf16(&net, device, BF16_BOUND, conv->what);
    net_end(&net);
}

static void test_attributes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
}

/* ---- chains ---- */

/* Turns a net into one that gives the gradients of all inputs but the last, which is y's own. */
static void differentiate(struct net *net, int y)
{
    struct graph *graph = net->graph;
    int gradients[CHECK_INPUTS_MAX], inputs = graph->input_count - 1;
    net_output(net, y);
    net_infer(net);
    struct autodiff autodiff = {
        .of = graph->outputs,
        .seeds = &graph->inputs[inputs],
        .of_count = 1,
        .with = graph->inputs,
        .with_count = inputs,
    };
    net_must(net, pass_autodiff(graph, &autodiff, gradients, &net->err));
    graph->values[graph->outputs[0]].is_output = false;
    graph->output_count = 0;
    for (int k = 0; k < inputs; k++)
        net_output(net, gradients[k]);
    net_must(net, graph_sort(graph, &net->err));
    net_must(net, graph_sweep(graph, &net->err));
}

static int add_conv(struct net *net, int x, int w)
{
    int y = net_node(net, "Conv", x, w, -2);
    LIST(net, "pads", 1, 1, 1, 1);
    return y;
}

/* With AVX-512: how many steps there are in f32, and how many of them are Winograd's. */
static void check_steps(struct net *net, int steps, int winograd)
{
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    unsigned wanted = dnnl_cpu_isa_avx512_core;
    int found = 0;
    if (((unsigned)dnnl_get_effective_cpu_isa() & wanted) != wanted)
        return;
    net_infer(net);
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    const struct cpu_plan *cpu = (const struct cpu_plan *)plan;
    for (int i = 0; i < cpu->step_count; i++)
        found += cpu->steps[i].implementation && strstr(cpu->steps[i].implementation, "wino");
    if (cpu->step_count != steps || found != winograd)
        plan_print(plan, 0, stderr, &net->err);
    assert_int_equal(cpu->step_count, steps);
    assert_int_equal(found, winograd);
    plan_free(&plan);
}

static void check_chain(struct net *net, double bf16_bound, const char *what)
{
    struct device_info info;
    device_get_info(device, &info);
    net_check(net, device, PRECISION_F32, FLOAT_BOUND, what);
    if (info.bf16 && bf16_bound > 0)
        net_check(net, device, PRECISION_BF16, bf16_bound, what);
    net_end(net);
}

/* Between the convolutions of a chain nothing is rearranged, backwards neither. */
static void test_chain(void **state)
{
    (void)state;
    struct net net;
    int w[3];
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 64, 9, 11));
    net_input(&net, SHAPE(2, 64, 9, 11));
    for (int i = 0; i < 3; i++)
        w[i] = net_constant(&net, SHAPE(i == 0 ? 80 : 64, i == 1 ? 80 : 64, 3, 3), -0.1, 0.1);
    int y = net_node(&net, "Relu", add_conv(&net, x, w[0]), -2);
    y = net_node(&net, "Relu", add_conv(&net, y, w[1]), -2);
    differentiate(&net, add_conv(&net, y, w[2]));
    /* x, dy and the result are put in order; two convolutions with relu, three gradients, two of
     * relu */
    check_steps(&net, 3 + 2 + 3 + 2, 2 + 3);
    check_chain(&net, 0, "frozen chain"); /* in bf16 other numbers are above zero */

    net_begin(&net, 2);
    x = net_constant(&net, SHAPE(2, 3, 10, 7), -1, 1);
    for (int i = 0; i < 3; i++)
        w[i] = net_input(&net, SHAPE(i == 2 ? 3 : 33, i == 0 ? 3 : 33, 3, 3));
    net_input(&net, SHAPE(2, 3, 10, 7));
    y = net_node(&net, "Tanh", add_conv(&net, x, w[0]), -2);
    y = net_node(&net, "Mul", add_conv(&net, y, w[1]), net_constant(&net, SHAPE(1), 0.1, 0.1), -2);
    y = net_node(&net, "Tanh", y, -2); /* of numbers where it is not flat */
    differentiate(&net, add_conv(&net, y, w[2]));
    check_chain(&net, CHAIN_BF16_BOUND, "from and to three channels");
}

/* ---- what is added ---- */

static void check_added(const char *const kinds[3], int input_nodes, int weight_nodes)
{
    struct net net;
    int values[3], grad_input = 0, grad_weights = 0;
    const struct shape list[] = { S(1, 2, 5, 5), S(4, 2, 3, 3), S(4) };
    net_begin(&net, 1);
    for (int i = 0; i < 3; i++)
        values[i] = strcmp(kinds[i], "learns") == 0 ? net_input(&net, &list[i])
                                                    : net_constant(&net, &list[i], -1, 1);
    int x = net_node(&net, "Sin", values[0], -2);
    net_input(&net, SHAPE(1, 4, 5, 5));
    int y = net_node(&net, "Conv", x, values[1], values[2], -2);
    LIST(&net, "pads", 1, 1, 1, 1);
    differentiate(&net, y);
    for (int i = 0; i < net.graph->node_count; i++) {
        const char *name = net.graph->nodes[i].op->name;
        grad_input += strcmp(name, "conv_grad_input") == 0;
        grad_weights += strcmp(name, "conv_grad_weights") == 0;
    }
    assert_int_equal(grad_input, input_nodes);
    assert_int_equal(grad_weights, weight_nodes);
    check_chain(&net, BF16_BOUND, "one convolution");
}

/* What is frozen costs nothing, and a bias alone no product. */
static void test_added(void **state)
{
    (void)state;
    check_added((const char *const[]){ "learns", "frozen", "frozen" }, 1, 0);
    check_added((const char *const[]){ "frozen", "learns", "learns" }, 0, 1);
    check_added((const char *const[]){ "frozen", "learns", "frozen" }, 0, 1);
    check_added((const char *const[]){ "frozen", "frozen", "learns" }, 0, 0);
    check_added((const char *const[]){ "learns", "frozen", "learns" }, 1, 0);
}

/* ---- random shapes ---- */

static int64_t pick(struct net *net, int64_t least, int64_t most)
{
    return least + (int64_t)(random_next_unit(&net->random) * (double)(most - least + 1));
}

static int64_t pick_channels(struct net *net)
{
    static const int64_t usual[] = { 1, 3, 8, 12, 16, 32, 48, 64 };
    return pick(net, 0, 2) ? usual[pick(net, 0, 7)] : pick(net, 1, 40);
}

static int64_t pick_kernel(struct net *net)
{
    static const int64_t usual[] = { 3, 3, 1 };
    return pick(net, 0, 3) ? usual[pick(net, 0, 2)] : pick(net, 1, 9);
}

/* A Conv that exists, with attributes as they are resolved. */
static bool pick_window(struct net *net, struct window *w)
{
    int kind = (int)pick(net, 0, 3);
    *w = (struct window){ .batch = pick(net, 1, 3), .groups = 1 };
    w->in_channels = pick_channels(net);
    w->out_channels = pick_channels(net);
    if (kind == 0) {
        w->groups = w->in_channels;
        w->out_channels = w->in_channels * (pick(net, 0, 3) ? 1 : 2);
    } else if (kind == 1) {
        w->groups = pick(net, 2, 4);
        w->in_channels *= w->groups;
        w->out_channels *= w->groups;
    }
    bool square = pick(net, 0, 3), same = pick(net, 0, 2), plain = pick(net, 0, 1);
    for (int d = 0; d < 2; d++) {
        w->kernel[d] = square && d ? w->kernel[0] : pick_kernel(net);
        w->stride[d] = plain ? 1 : pick(net, 1, 3);
        w->dilation[d] = plain || pick(net, 0, 2) ? 1 : pick(net, 2, 3);
        w->in[d] = pick(net, 1, 24);
        int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1;
        w->pad_begin[d] = same ? reach / 2 : pick(net, 0, reach);
        w->pad_end[d] = same ? reach / 2 : pick(net, 0, reach);
        int64_t room = w->in[d] + w->pad_begin[d] + w->pad_end[d] - reach;
        if (room < 0)
            return false;
        w->out[d] = room / w->stride[d] + 1;
    }
    int64_t weights = w->in_channels * w->out_channels / w->groups * w->kernel[0] * w->kernel[1];
    return (double)(w->batch * w->out[0] * w->out[1]) * (double)weights < RANDOM_WORK_MAX;
}

static void add_window(struct net *net, const struct window *w, const char *name,
                       const struct shape *shape)
{
    net_int(net, "group", w->groups);
    net_list(net, "strides", 2, w->stride);
    net_list(net, "dilations", 2, w->dilation);
    LIST(net, "pads", w->pad_begin[0], w->pad_begin[1], w->pad_end[0], w->pad_end[1]);
    net_list(net, name, 4, shape->dim);
}

static void add_weights_node(struct net *net, int x, int dy, bool with_bias)
{
    int outputs[2], count = with_bias ? 2 : 1;
    for (int i = 0; i < count; i++) {
        outputs[i] = graph_add_value(net->graph, "gradient", TENSOR_F32, NULL, &net->err);
        net_must(net, outputs[i]);
        net_output(net, outputs[i]);
    }
    net_must(net, graph_add_node(net->graph, op_find("conv_grad_weights", OPSET_OWN), "weights",
                                 (int[]){ x, dy }, 2, outputs, count, &net->err));
}

/* Both gradient ops, that of the input at the edge of a graph or, `inside`, with something before and behind them, where
 * bf16 stays in memory. */
static void check_random(uint64_t seed)
{
    struct net net;
    struct window w;
    char what[200];
    net_begin(&net, seed);
    while (!pick_window(&net, &w))
        ;
    bool inside = pick(&net, 0, 1), with_bias = pick(&net, 0, 1);
    snprintf(
        what, sizeof what,
        "seed %llu: %lldx%lldx%lldx%lld to %lldx%lldx%lld, kernel %lldx%lld, stride %lld %lld, "
        "dilation %lld %lld, pads %lld %lld %lld %lld, %lld groups",
        (unsigned long long)seed, (long long)w.batch, (long long)w.in_channels, (long long)w.in[0],
        (long long)w.in[1], (long long)w.out_channels, (long long)w.out[0], (long long)w.out[1],
        (long long)w.kernel[0], (long long)w.kernel[1], (long long)w.stride[0],
        (long long)w.stride[1], (long long)w.dilation[0], (long long)w.dilation[1],
        (long long)w.pad_begin[0], (long long)w.pad_begin[1], (long long)w.pad_end[0],
        (long long)w.pad_end[1], (long long)w.groups);
    const struct shape in = S(w.batch, w.in_channels, w.in[0], w.in[1]);
    const struct shape out = S(w.batch, w.out_channels, w.out[0], w.out[1]);
    const struct shape weights =
        S(w.out_channels, w.in_channels / w.groups, w.kernel[0], w.kernel[1]);
    int x = net_input(&net, &in), dy = net_input(&net, &out);
    int read = net_input(&net, &weights);
    /* Sums of positive numbers keep their digits, also where a weight is a single one. */
    int y = net_node(&net, "Sigmoid", dy, -2);
    int dx = net_node(&net, "conv_grad_input", inside ? y : dy, read, -2);
    add_window(&net, &w, "input_shape", &in);
    net_output(&net, inside ? net_node(&net, "Neg", dx, -2) : dx);
    add_weights_node(&net, net_node(&net, "Sigmoid", x, -2), y, with_bias);
    add_window(&net, &w, "weights_shape", &weights);
    struct device_info info;
    device_get_info(device, &info);
    net_check(&net, device, PRECISION_F32, FLOAT_BOUND, what);
    if (info.bf16)
        net_check(&net, device, PRECISION_BF16, BF16_BOUND, what);
    net_end(&net);
}

static void test_random(void **state)
{
    (void)state;
    uint64_t first = only_seed ? only_seed : 1, last = only_seed ? only_seed : RANDOM_CASES;
    for (uint64_t seed = first; seed <= last; seed++)
        check_random(seed);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        only_seed = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest one[] = { cmocka_unit_test(test_random) };
    if (only_seed)
        return cmocka_run_group_tests(one, open_device, close_device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_added),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
