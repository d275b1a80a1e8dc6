/* Chains: which nodes the pass puts together (by the ops that are left, and by what the reference
 * kernels compute before and after), the cpu device's step in every order of memory, with operands that
 * broadcast in every way, in place, in bf16 and across the borders of blocks and threads, and its loops
 * against libm. */
#include "cpu_device.h"
#include "cpu/lanes.h"
#include "passes/chain.h"
#include "passes/fused.h"
#include "passes/pass.h"

#define F32_BOUND 1e-5
#define BF16_BOUND 1e-2
#define PASS_BOUND 2e-6

/* ---- the pass ---- */

/* The ops that are left behind all passes, the links of chains behind them, and the same outputs. Then
 * the plan, which runs the passes by itself. */
static void check_chains(struct net *net, const char *ops)
{
    struct graph *after = NULL;
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, before_out[4] = { 0 }, after_out[4] = { 0 };
    const struct tensor *list[CHECK_INPUTS_MAX];
    char text[512] = "";
    net_infer(net);
    net_must(net, graph_clone(&after, net->graph, &net->err));
    net_must(net, graph_infer(after, NULL, &net->err));
    net_must(net, pass_run_all(after, &net->err));
    for (int i = 0; i < after->node_count; i++) {
        struct chain chain = { 0 };
        if (after->nodes[i].op == &chain_op)
            chain_read(&after->nodes[i], &chain);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, chain.link_count ? "%s%s%d" : "%s%s",
                 i ? " " : "", after->nodes[i].op->name, chain.link_count);
    }
    assert_string_equal(text, ops);
    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    net_must(net, graph_run_reference(net->graph, list, before_out, &net->err));
    net_must(net, graph_run_reference(after, list, after_out, &net->err));
    for (int i = 0; i < net->graph->output_count; i++) {
        assert_true(relative_error(&after_out[i], &before_out[i]) < PASS_BOUND);
        tensor_free(&before_out[i]);
        tensor_free(&after_out[i]);
    }
    net_must(net, graph_infer(after, NULL, &net->err)); /* by the chain's own shape rule */
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
    graph_free(&after);
    net_check(net, device, PRECISION_F32, F32_BOUND, ops);
    net_end(net);
}

/* Charbonnier's loss before the mean. pass_fuse_post puts Add and Sqrt behind Mul first. */
static void test_chain(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int away = net_node(&net, "Sub", net_input(&net, SHAPE(2, 3, 33, 31)),
                        net_input(&net, SHAPE(2, 3, 33, 31)), -2);
    int square = net_node(&net, "Mul", away, away, -2);
    int sum = net_node(&net, "Add", square, net_constant(&net, SHAPE(1), 0.01, 0.01), -2);
    net_output(&net, net_node(&net, "Sqrt", sum, -2));
    check_chains(&net, "chain4");
}

static void test_tree(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 2);
    int x = net_input(&net, SHAPE(2, 16, 9, 7)), y = net_input(&net, SHAPE(2, 16, 9, 7));
    int left = net_node(&net, "Tanh", net_node(&net, "Mul", x, y, -2), -2);
    int right = net_node(&net, "Exp", net_node(&net, "Neg", x, -2), -2);
    net_output(&net, net_node(&net, "relu_grad", net_node(&net, "Max", left, right, -2), y, -2));
    check_chains(&net, "chain6");
}

/* What others read too is written out; what nobody else reads is not. */
static void test_outputs(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 3);
    int x = net_input(&net, SHAPE(5, 70));
    int a = net_node(&net, "Sigmoid", x, -2), b = net_node(&net, "Exp", a, -2);
    int c = net_node(&net, "Sub", b, x, -2);
    net_output(&net, net_node(&net, "Softmax", b, -2));
    net_output(&net, c);
    net_output(&net, a);
    check_chains(&net, "chain3 Softmax");
}

/* A way through a node outside keeps two apart. */
static void test_apart(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 4);
    int x = net_input(&net, SHAPE(5, 7));
    int gate = net_node(&net, "Sigmoid", x, -2), soft = net_node(&net, "Softmax", gate, -2);
    net_output(&net, net_node(&net, "Mul", gate, soft, -2));
    check_chains(&net, "Sigmoid Softmax Mul");

    /* Two chains that would each be fine, but not as one. */
    net_begin(&net, 5);
    x = net_input(&net, SHAPE(5, 7));
    int first = net_node(&net, "Exp", net_node(&net, "Tanh", x, -2), -2);
    soft = net_node(&net, "Softmax", first, -2);
    int second = net_node(&net, "Abs", net_node(&net, "Neg", soft, -2), -2);
    net_output(&net, net_node(&net, "Sub", second, first, -2));
    check_chains(&net, "chain2 Softmax chain3");

    /* Large leads to small by one node of each, and small to large by others: one of both may become
     * a chain. */
    net_begin(&net, 13);
    int large = net_node(&net, "Tanh", net_input(&net, SHAPE(4, 9)), -2);
    int small = net_node(&net, "Exp", net_input(&net, SHAPE(4, 1)), -2);
    int sum = net_node(&net, "ReduceMax", large, -2);
    LIST(&net, "axes", 1);
    net_output(&net, net_node(&net, "Sub", small, sum, -2));
    net_output(&net, net_node(&net, "Mul", large, net_node(&net, "Neg", small, -2), -2));
    check_chains(&net, "Tanh ReduceMax chain3 Mul");
}

/* Other shapes are other chains, one node alone is none. */
static void test_shapes(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 6);
    int x = net_input(&net, SHAPE(4, 8, 5)), s = net_input(&net, SHAPE(8, 1));
    int small = net_node(&net, "Exp", net_node(&net, "Sigmoid", s, -2), -2);
    int large = net_node(&net, "Sqrt", net_node(&net, "Abs", x, -2), -2);
    net_output(&net, net_node(&net, "Pow", large, small, -2));
    net_output(&net, net_node(&net, "Relu", s, -2));
    check_chains(&net, "Relu chain2 chain3");
}

/* What Expand or an even constant would have repeated is repeated by the chain. */
static void test_spread(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 7);
    int x = net_input(&net, SHAPE(2, 3, 20, 20)), s = net_input(&net, SHAPE(3, 1, 1));
    int wide = net_node(&net, "Expand", s, INTS(&net, 2, 3, 20, 20), -2);
    int even = net_constant(&net, SHAPE(2, 3, 20, 20), 2, 2);
    int sum = net_node(&net, "Add", net_node(&net, "Abs", x, -2), even, -2);
    net_output(&net, net_node(&net, "Pow", sum, wide, -2));
    check_chains(&net, "chain3");

    /* Nothing has the whole shape. */
    net_begin(&net, 8);
    s = net_input(&net, SHAPE(3, 1));
    wide = net_node(&net, "Add", s, net_input(&net, SHAPE(1, 5)), -2);
    net_output(&net, net_node(&net, "Erf", wide, -2));
    check_chains(&net, "chain2");

    /* One node alone, and Expand itself. */
    net_begin(&net, 14);
    wide = net_node(&net, "Expand", net_input(&net, SHAPE(3, 1, 40)), INTS(&net, 2, 3, 30, 40), -2);
    net_output(&net, net_node(&net, "abs_grad", wide, net_input(&net, SHAPE(2, 3, 30, 40)), -2));
    check_chains(&net, "chain1");
    net_begin(&net, 15);
    net_output(&net, net_node(&net, "Expand", net_input(&net, SHAPE(3, 1, 40)),
                              INTS(&net, 2, 3, 30, 40), -2));
    check_chains(&net, "Expand");
}

static void test_square(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 16);
    int two = net_constant(&net, SHAPE(1), 2, 2);
    net_output(&net, net_node(&net, "Pow", net_input(&net, SHAPE(7, 9)), two, -2));
    net_output(&net, net_node(&net, "Pow", net_input(&net, SHAPE(7)),
                              net_constant(&net, SHAPE(7, 7), 2, 2), -2));
    check_chains(&net, "Mul Pow");
}

/* What follows a convolution stays inside it, and what cannot follow it does not take it along. */
static void test_convolution(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 9);
    int x = net_input(&net, SHAPE(1, 3, 12, 11)),
        w = net_constant(&net, SHAPE(16, 3, 3, 3), -0.2, 0.2);
    int y = net_node(&net, "Relu", net_node(&net, "Conv", x, w, -2), -2);
    int z = net_node(&net, "Reciprocal", net_node(&net, "Exp", y, -2), -2);
    net_output(&net, y);
    net_output(&net, net_node(&net, "Sub", z, y, -2));
    check_chains(&net, "conv_fused chain3");
}

/* More than a chain holds. */
static void test_long(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 10);
    int x = net_input(&net, SHAPE(3, 50));
    int y = x;
    for (int i = 0; i < 60; i++)
        y = net_node(&net, i % 2 ? "Erf" : "swish", y, -2);
    net_output(&net, y);
    check_chains(&net, "chain48 chain12");

    net_begin(&net, 11);
    x = net_input(&net, SHAPE(3, 50));
    y = net_node(&net, "Erf", x, -2);
    for (int i = 0; i < 30; i++)
        y = net_node(&net, "Pow", net_constant(&net, SHAPE(50), 0.5, 1.5), y, -2);
    net_output(&net, y);
    check_chains(&net, "chain24 chain7");
}

/* What a state takes on is written, whoever else reads it. */
static void test_state(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 12);
    int held = net_constant(&net, SHAPE(6, 5), -1, 1), x = net_input(&net, SHAPE(6, 5));
    net_must(&net, graph_mark_state(net.graph, held, &net.err));
    int next = net_node(&net, "Add", net_node(&net, "Tanh", held, -2), x, -2);
    net_output(&net, net_node(&net, "Sigmoid", next, -2));
    net_infer(&net);
    graph_set_next(net.graph, held, next);
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    float expected[30];
    memcpy(expected, net.graph->values[held].state.data, sizeof expected);
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    struct tensor input = *plan_input(plan, 0);
    for (int run = 0; run < 3; run++) {
        net_fill(&net, &input, -1, 1);
        for (int i = 0; i < 30; i++)
            expected[i] = tanhf(expected[i]) + ((const float *)input.data)[i];
        net_must(&net, plan_run(plan, &net.err));
        for (int i = 0; i < 30; i++)
            assert_float_equal(((const float *)plan_state(plan, 0)->data)[i], expected[i], 1e-5);
    }
    plan_free(&plan);
    net_end(&net);
}

/* ---- the step ---- */

/* How an input comes to lie as it does. */
enum lies { ROW_MAJOR, CHANNELS_LAST, TURNED, CONVOLVED };

static int make_input(struct net *net, const struct shape *shape, enum lies lies)
{
    static const int64_t orders[][4] = { { 0, 1, 2, 3 }, { 0, 2, 3, 1 }, { 3, 2, 1, 0 } };
    if (shape->rank != 4 || lies == ROW_MAJOR)
        return net_node(net, "Softmax", net_input(net, shape), -2);
    if (lies == CONVOLVED) { /* as the device likes it */
        int64_t c = shape->dim[1];
        return net_node(net, "Conv", net_input(net, shape),
                        net_constant(net, SHAPE(c, c, 1, 1), -0.3, 0.3), -2);
    }
    struct shape from = *shape;
    int64_t back[4];
    for (int d = 0; d < 4; d++) {
        from.dim[d] = shape->dim[orders[lies][d]];
        back[orders[lies][d]] = d;
    }
    int x = net_node(net, "Transpose", net_node(net, "Softmax", net_input(net, &from), -2), -2);
    net_list(net, "perm", 4, back);
    return x;
}

static void check_step(const struct shape *shape, const struct shape *small, enum lies lies,
                       enum lies other)
{
    for (int precision = 0; precision < 2; precision++) {
        struct device_info info;
        struct net net;
        device_get_info(device, &info);
        if (precision && !info.bf16)
            continue;
        net_begin(&net, lies * 8 + other);
        int x = make_input(&net, shape, lies), y = make_input(&net, shape, other);
        int s = net_input(&net, small);
        int a = net_node(&net, "Mul", net_node(&net, "swish", x, -2), s, -2);
        /* Which side of a step a number is on may change when it is rounded to bf16. */
        int b =
            precision ? net_node(&net, "Max", a, y, -2) : net_node(&net, "prelu_grad", a, y, s, -2);
        net_output(&net, net_node(&net, "Softmax", b, -2));
        net_output(&net, net_node(&net, "Tanh", net_node(&net, "Sub", b, s, -2), -2));
        net_check(&net, device, precision ? PRECISION_BF16 : PRECISION_F32,
                  precision ? BF16_BOUND : F32_BOUND, "step");
        net_end(&net);
    }
}

static void test_orders(void **state)
{
    (void)state;
    const struct shape *operands[] = { SHAPE(1, 32, 1, 1),  SHAPE(32, 1, 1),     SHAPE(1),
                                       SHAPE(2, 1, 23, 19), SHAPE(1, 32, 1, 19), SHAPE(19),
                                       SHAPE(2, 1, 1, 1) };
    for (size_t i = 0; i < sizeof operands / sizeof *operands; i++)
        for (enum lies lies = ROW_MAJOR; lies <= CONVOLVED; lies++)
            for (enum lies other = ROW_MAJOR; other <= CONVOLVED; other++)
                check_step(SHAPE(2, 32, 23, 19), operands[i], lies, other);
}

static void test_sizes(void **state)
{
    (void)state;
    check_step(SHAPE(1, 1, 1, 1), SHAPE(1), ROW_MAJOR, ROW_MAJOR);
    check_step(SHAPE(1, 3, 1, 1), SHAPE(3, 1, 1), CHANNELS_LAST, CHANNELS_LAST);
    check_step(SHAPE(1), SHAPE(1), ROW_MAJOR, ROW_MAJOR);
    check_step(SHAPE(1023), SHAPE(1), ROW_MAJOR, ROW_MAJOR);
    check_step(SHAPE(1, 1025), SHAPE(1025), ROW_MAJOR, ROW_MAJOR);
    check_step(SHAPE(17, 1025), SHAPE(1025), ROW_MAJOR, ROW_MAJOR);
    check_step(SHAPE(40, 1000), SHAPE(1000), ROW_MAJOR, ROW_MAJOR);
    check_step(SHAPE(40, 1000), SHAPE(40, 1), ROW_MAJOR, ROW_MAJOR);
    check_step(SHAPE(2, 3, 129, 127), SHAPE(3, 1, 1), CHANNELS_LAST, CHANNELS_LAST);
    check_step(SHAPE(2, 5, 4, 3, 7), SHAPE(5, 1, 1, 1), ROW_MAJOR, ROW_MAJOR);
}

/* Every function alone and behind another one, which oneDNN does not fuse. */
static void test_functions(void **state)
{
    (void)state;
    for (int kind = 0; kind < POINTWISE_KIND_COUNT; kind++) {
        struct net net;
        net_begin(&net, (uint64_t)kind);
        net.graph->opset = 14;
        int count = pointwise_input_count(kind), in[3] = { -2, -2, -2 };
        for (int i = 0; i < count; i++) {
            in[i] = net_input(&net, SHAPE(3, 16, 5, 6));
            /* Powers, roots and logarithms of what is above 0. */
            in[i] = net_node(&net, "Exp", in[i], -2);
            if (kind != POINTWISE_POW && kind != POINTWISE_POW_GRAD && kind != POINTWISE_SQRT &&
                kind != POINTWISE_LOG)
                in[i] = net_node(&net, "Log", in[i], -2);
        }
        const char *name = pointwise_name(kind);
        net_output(&net, net_node(&net, name, in[0], in[1], in[2], -2));
        net_check(&net, device, PRECISION_F32, F32_BOUND, name);
        net_end(&net);
    }
}

/* ---- the loops ---- */

static void check_loop(enum pointwise_kind kind, double (*exact)(double), double low, double high)
{
    enum { COUNT = 20011 };
    static float x[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(low + (high - low) * i / (COUNT - 1));
    lanes_find(kind)(x, x, x, y, COUNT, 1, 0);
    for (int i = 0; i < COUNT; i++) {
        double want = exact((double)x[i]), near = fmax(fabs(want), 1.2e-38);
        /* 3 units in the last place */
        if (!(fabs((double)y[i] - want) <= 3.6e-7 * near) && (float)want != y[i])
            fail_msg("%s of %.9g is %.9g, not %.9g", pointwise_name(kind), (double)x[i],
                     (double)y[i], want);
    }
}

static double exact_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double exact_swish(double x)
{
    return x / (1 + exp(-x));
}
static double exact_softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}
static double exact_elu(double x)
{
    return x < 0 ? expm1(x) : x;
}

static void test_loops(void **state)
{
    (void)state;
    check_loop(POINTWISE_EXP, exp, -110, 90);
    check_loop(POINTWISE_EXP, exp, -1, 1);
    check_loop(POINTWISE_ELU, exact_elu, -40, 1);
    check_loop(POINTWISE_ELU, exact_elu, -0.01, 0);
    check_loop(POINTWISE_LOG, log, 1e-39, 1e-37);
    check_loop(POINTWISE_LOG, log, 0.5, 2);
    check_loop(POINTWISE_LOG, log, 2, 3e38);
    check_loop(POINTWISE_SIGMOID, exact_sigmoid, -85, 40);
    check_loop(POINTWISE_SWISH, exact_swish, -80, 40);
    check_loop(POINTWISE_TANH, tanh, -20, 20);
    check_loop(POINTWISE_TANH, tanh, -0.01, 0.01);
    check_loop(POINTWISE_SOFTPLUS, exact_softplus, -80, 40);
    check_loop(POINTWISE_SQRT, sqrt, 0, 40);
}

/* Infinities, zeros and NaN. */
static void test_extremes(void **state)
{
    (void)state;
    static const float in[] = { 0, -0.0f, INFINITY, -INFINITY, NAN, -1 };
    static const struct {
        enum pointwise_kind kind;
        float out[6];
    } cases[] = {
        { POINTWISE_RELU, { 0, 0, INFINITY, 0, NAN, 0 } },
        { POINTWISE_EXP, { 1, 1, INFINITY, 0, NAN, 0.367879441f } },
        { POINTWISE_LOG, { -INFINITY, -INFINITY, INFINITY, NAN, NAN, NAN } },
        { POINTWISE_SQRT, { 0, 0, INFINITY, NAN, NAN, NAN } },
        { POINTWISE_SIGMOID, { 0.5f, 0.5f, 1, 0, NAN, 0.268941421f } },
        { POINTWISE_TANH, { 0, 0, 1, -1, NAN, -0.761594156f } },
        { POINTWISE_SOFTPLUS, { 0.693147181f, 0.693147181f, INFINITY, 0, NAN, 0.313261688f } },
        { POINTWISE_ELU, { 0, 0, INFINITY, -1, NAN, -0.632120559f } },
        { POINTWISE_RECIPROCAL, { INFINITY, -INFINITY, 0, 0, NAN, -1 } },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float out[6];
        lanes_find(cases[c].kind)(in, in, in, out, 6, 1, 0);
        for (int i = 0; i < 6; i++) {
            float want = cases[c].out[i];
            if (!(fabsf(out[i] - want) <= 3e-7f) && out[i] != want && !(isnan(out[i]) && isnan(want)))
                fail_msg("%s of %g is %g, not %g", pointwise_name(cases[c].kind), (double)in[i],
                         (double)out[i], (double)want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),     cmocka_unit_test(test_tree),
        cmocka_unit_test(test_outputs),   cmocka_unit_test(test_apart),
        cmocka_unit_test(test_shapes),    cmocka_unit_test(test_spread),
        cmocka_unit_test(test_square),    cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_long),      cmocka_unit_test(test_state),
        cmocka_unit_test(test_orders),    cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_functions), cmocka_unit_test(test_loops),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
