/* The autodiff pass itself, whatever the ops: what is added up, what gets no gradient, what is
 * differentiated, what the error names, and that recomputation changes memory and not a single bit. */
#include "gradient_check.h"
#include "passes/autodiff.h"

#define CHAIN 24
#define VALUES_MAX 4

static struct device *device;

/* Differentiates value with respect to others; seed -1: ones. */
static void differentiate(struct net *net, int of, int seed, const int *with, int with_count,
                          int *gradients)
{
    struct autodiff autodiff = {
        .of = &of, .seeds = &seed, .of_count = 1, .with = with, .with_count = with_count
    };
    net_must(net, pass_autodiff(net->graph, &autodiff, gradients, &net->err));
}

/* Runs the graph for its outputs, all inputs filled by fill. */
static void run(struct net *net, float fill, struct tensor *outputs)
{
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 };
    const struct tensor *list[CHECK_INPUTS_MAX];
    net_must(net, graph_sort(net->graph, &net->err));
    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++) {
        list[i] = &inputs[i];
        if (inputs[i].data)
            net_fill(net, &inputs[i], fill, fill);
    }
    net_must(net, graph_run_reference(net->graph, list, outputs, &net->err));
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
}

static float first(const struct tensor *tensor)
{
    return *(const float *)tensor->data;
}

/* x x + x at 3: 2 x + 1. */
static void test_used_more_than_once(void **state)
{
    struct net net;
    struct tensor out[1] = { 0 };
    int gradient;
    (void)state;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2));
    int y = net_node(&net, "Add", net_node(&net, "Mul", x, x, -2), x, -2);
    net_output(&net, y);
    net_infer(&net);
    y = net.graph->outputs[0];
    differentiate(&net, y, -1, net.graph->inputs, 1, &gradient);
    net.graph->outputs[0] = gradient;
    run(&net, 3, out);
    assert_float_equal(first(&out[0]), 7, 1e-6);
    tensor_free(&out[0]);
    net_end(&net);
}

/* Two ways from one value to one value, over one another. */
static void test_diamonds(void **state)
{
    struct net net;
    (void)state;
    net_begin(&net, 2);
    int x = net_input(&net, SHAPE(2, 3, 4, 5)), a = net_node(&net, "Tanh", x, -2);
    int b = net_node(&net, "Mul", a, x, -2), c = net_node(&net, "Sub", a, b, -2);
    int d = net_node(&net, "Mul", b, c, -2), e = net_node(&net, "Sigmoid", d, -2);
    net_output(&net, net_node(&net, "Mul", net_node(&net, "Add", d, e, -2), a, -2));
    net_output(&net, c);
    gradient_check(&net, device, "diamonds");
    net_end(&net);
}

static void test_what_has_none(void **state)
{
    struct net net;
    int gradients[VALUES_MAX];
    (void)state;
    net_begin(&net, 3);
    int x = net_input(&net, SHAPE(2, 3)), unused = net_input(&net, SHAPE(2, 3));
    int c = net_constant(&net, SHAPE(3), -1, 1), apart = net_constant(&net, SHAPE(3), -1, 1);
    int product = net_node(&net, "Mul", x, c, -2);
    int elsewhere = net_node(&net, "Add", unused, apart, -2);
    net_output(&net, product);
    net_output(&net, elsewhere);
    net_infer(&net);
    int of = net.graph->outputs[0], other = net.graph->outputs[1];
    int nodes = net.graph->node_count;
    int with[] = { net.graph->inputs[0], net.graph->inputs[1], net.graph->nodes[0].inputs[1],
                   net.graph->nodes[1].inputs[1] };
    differentiate(&net, of, -1, with, 4, gradients);
    assert_true(gradients[0] >= 0);
    assert_int_equal(gradients[1], -1);
    assert_true(gradients[2] >= 0); /* a constant may learn */
    assert_int_equal(gradients[3], -1);
    assert_true(shape_equal(&net.graph->values[gradients[2]].shape, SHAPE(3)));
    /* Values and nodes that were there are where they were. */
    assert_int_equal(net.graph->outputs[0], of);
    assert_int_equal(net.graph->outputs[1], other);
    assert_string_equal(net.graph->nodes[0].op->name, "Mul");
    for (int i = nodes; i < net.graph->node_count; i++)
        for (int k = 0; k < net.graph->nodes[i].input_count; k++)
            assert_true(net.graph->nodes[i].inputs[k] != other);
    net_end(&net);
}

/* What is frozen costs nothing: with respect to x alone no node computes a gradient of weights. */
static void test_frozen_costs_nothing(void **state)
{
    struct net net;
    int gradient;
    (void)state;
    net_begin(&net, 4);
    int x = net_input(&net, SHAPE(1, 3, 6, 5)), w = net_constant(&net, SHAPE(4, 3, 3, 3), -1, 1);
    int b = net_constant(&net, SHAPE(4), -1, 1);
    net_output(&net, net_node(&net, "Conv", x, w, b, -2));
    net_infer(&net);
    differentiate(&net, net.graph->outputs[0], -1, net.graph->inputs, 1, &gradient);
    assert_true(gradient >= 0);
    for (int i = 0; i < net.graph->node_count; i++)
        assert_string_not_equal(net.graph->nodes[i].op->name, "conv_grad_weights");
    net_end(&net);
}

/* Sum over k of of[k] times seeds[k]: 2 (x x) + c x with c an input of 3. */
static void test_seeds(void **state)
{
    struct net net;
    struct tensor out[1] = { 0 };
    int gradient;
    (void)state;
    net_begin(&net, 5);
    int x = net_input(&net, SHAPE(4)), c = net_input(&net, SHAPE(4));
    int two = net_constant(&net, SHAPE(4), 2, 2);
    net_output(&net, net_node(&net, "Mul", x, x, -2));
    net_output(&net, net_node(&net, "Neg", x, -2));
    net_output(&net, net_node(&net, "Neg", c, -2));      /* does not depend on x */
    net_output(&net, net_node(&net, "Add", two, c, -2)); /* keeps the constant */
    net_infer(&net);
    struct graph *graph = net.graph;
    two = graph->nodes[3].inputs[0];
    struct autodiff autodiff = {
        .of = graph->outputs,
        .seeds = (int[]){ two, graph->inputs[1], -1 },
        .of_count = 3,
        .with = graph->inputs,
        .with_count = 1,
    };
    net_must(&net, pass_autodiff(graph, &autodiff, &gradient, &net.err));
    graph->outputs[0] = gradient;
    graph->output_count = 1;
    run(&net, 3, out); /* 2 * 2 * 3 - 3 */
    for (int i = 0; i < 4; i++)
        assert_float_equal(((float *)out[0].data)[i], 9, 1e-6);
    tensor_free(&out[0]);
    net_end(&net);
}

/* With respect to a value in the middle, to the input before it and to the result itself. */
static void test_middle(void **state)
{
    struct net net;
    struct tensor out[VALUES_MAX] = { 0 };
    int gradients[VALUES_MAX];
    (void)state;
    net_begin(&net, 6);
    int x = net_input(&net, SHAPE(1)), h = net_node(&net, "Mul", x, x, -2);
    net_output(&net, net_node(&net, "Mul", h, x, -2)); /* h x, h = x x */
    net_infer(&net);
    struct graph *graph = net.graph;
    int with[] = { graph->nodes[0].outputs[0], graph->inputs[0], graph->outputs[0] };
    differentiate(&net, graph->outputs[0], -1, with, 3, gradients);
    graph->outputs[0] = gradients[0];
    net_output(&net, gradients[1]);
    net_output(&net, gradients[2]);
    run(&net, 2, out);
    assert_float_equal(first(&out[0]), 2, 1e-6);  /* of h alone: x */
    assert_float_equal(first(&out[1]), 12, 1e-6); /* 3 x x */
    assert_float_equal(first(&out[2]), 1, 0);
    for (int i = 0; i < 3; i++)
        tensor_free(&out[i]);
    net_end(&net);
}

static void test_error_names_op_and_node(void **state)
{
    struct net net;
    int gradient;
    (void)state;
    net_begin(&net, 7);
    int x = net_input(&net, SHAPE(4)), y = net_node(&net, "Tanh", x, -2);
    net.graph->opset = OPSET_OWN; /* an op without a gradient of its own */
    int z = net_node(&net, "tanh_grad", x, y, -2);
    free(net.graph->nodes[1].name);
    net.graph->nodes[1].name = strdup("the culprit");
    net_output(&net, z);
    net_infer(&net);
    struct autodiff autodiff = {
        .of = net.graph->outputs, .of_count = 1, .with = net.graph->inputs, .with_count = 1
    };
    assert_true(pass_autodiff(net.graph, &autodiff, &gradient, &net.err) < 0);
    assert_int_equal(net.err.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(net.err.text, "tanh_grad: node 'the culprit'"));
    net_end(&net);
}

/* Nothing flows through whole numbers, and no rule is asked for them. */
static void test_whole_numbers(void **state)
{
    struct net net;
    int gradients[2];
    (void)state;
    net_begin(&net, 8);
    int x = net_input(&net, SHAPE(4, 3)), w = net_input(&net, SHAPE(5, 2));
    int index = net_node(&net, "ArgMax", x, -2);
    net_int(&net, "axis", 1);
    net.graph->values[index].type = TENSOR_I64;
    net_output(&net, net_node(&net, "Gather", w, index, -2));
    net_infer(&net);
    differentiate(&net, net.graph->outputs[0], -1, net.graph->inputs, 2, gradients);
    assert_int_equal(gradients[0], -1);
    assert_true(gradients[1] >= 0);
    net_end(&net);
}

/* ---- recomputation ---- */

/* A chain of layers, differentiated with respect to its input and the first layer's factor. every: so
 * many layers apart values are kept; 0: no recomputation. */
static void make_chain(struct net *net, int every)
{
    int gradients[2], kept[CHAIN], kept_count = 0;
    net_begin(net, 9);
    int x = net_input(net, SHAPE(2, 8, 16, 16)), y = x;
    for (int i = 0; i < CHAIN; i++) {
        int factor = net_constant(net, SHAPE(8, 1, 1), 0.5, 1.5);
        y = net_node(net, "Tanh", net_node(net, "Mul", y, factor, -2), -2);
    }
    net_output(net, y);
    net_infer(net);
    struct graph *graph = net->graph;
    for (int i = 0; every > 0 && i < CHAIN; i += every)
        kept[kept_count++] = graph->nodes[2 * i + 1].outputs[0];
    int with[] = { graph->inputs[0], graph->nodes[0].inputs[1] };
    struct autodiff autodiff = {
        .of = graph->outputs,
        .of_count = 1,
        .with = with,
        .with_count = 2,
        .recompute = every > 0,
        .kept = kept,
        .kept_count = kept_count,
    };
    net_must(net, pass_autodiff(graph, &autodiff, gradients, &net->err));
    net_output(net, gradients[0]);
    net_output(net, gradients[1]);
    net_must(net, graph_sort(graph, &net->err));
    net_must(net, graph_sweep(graph, &net->err));
}

static uint64_t chain_memory(struct net *net, struct tensor *outputs)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 };
    uint64_t activations, weights;
    random_seed(&net->random, 10);
    net_make_inputs(net, inputs);
    const struct tensor *list[] = { &inputs[0] };
    net_must(net, graph_run_reference(net->graph, list, outputs, &net->err));
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    memcpy(plan_input(plan, 0)->data, inputs[0].data, tensor_bytes(&inputs[0]));
    net_must(net, plan_run(plan, &net->err));
    for (int i = 0; i < net->graph->output_count; i++)
        assert_true(relative_error(plan_output(plan, (size_t)i), &outputs[i]) < FLOAT_BOUND);
    plan_memory(plan, &activations, &weights);
    plan_free(&plan);
    tensor_free(&inputs[0]);
    return activations;
}

static void test_recompute(void **state)
{
    struct net plain, thrifty;
    struct tensor expected[3] = { 0 }, got[3] = { 0 };
    (void)state;
    make_chain(&plain, 0);
    uint64_t all = chain_memory(&plain, expected);
    for (int every = 5; every <= CHAIN; every += CHAIN - 5) { /* the second keeps the first layer's */
        make_chain(&thrifty, every);
        assert_true(thrifty.graph->node_count > plain.graph->node_count);
        uint64_t some = chain_memory(&thrifty, got);
        for (int i = 0; i < 3; i++) {
            assert_true(compare_tensors(&got[i], &expected[i], COMPARE_BITS) == 0);
            tensor_free(&got[i]);
        }
        if (every == 5 && some * 3 > all * 2)
            fail_msg("%llu bytes with recomputation, %llu without", (unsigned long long)some,
                     (unsigned long long)all);
        net_end(&thrifty);
    }
    for (int i = 0; i < 3; i++)
        tensor_free(&expected[i]);
    net_end(&plain);
}

static int open_device(void **state)
{
    struct error err;
    (void)state;
    if (device_open(&device, "cpu:threads=2", &err) == 0)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

static int close_device(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_more_than_once),
        cmocka_unit_test(test_diamonds),
        cmocka_unit_test(test_what_has_none),
        cmocka_unit_test(test_frozen_costs_nothing),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_middle),
        cmocka_unit_test(test_error_names_op_and_node),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_recompute),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
