/* state_check: what a graph keeps from run to run, on `device`, which the including test opens: cpu_device.h or
 * cuda_emulated.h. The interpreter and the device renew states, the same way over several runs, also where
 * old contents are still read when new ones are there. */
#ifndef RUNESPOOR_TESTS_STATE_CHECK_H
#define RUNESPOOR_TESTS_STATE_CHECK_H

#include "cpu_check.h"

#define RUNS 4

/* A state of the given shape; its next value comes later. */
static inline int net_state(struct net *net, const struct shape *shape)
{
    int value = net_constant(net, shape, -1, 1);
    net_must(net, graph_mark_state(net->graph, value, &net->err));
    return value;
}

/* After inference, which gives the next value its shape. */
static inline void set_next(struct net *net, int state, int next)
{
    net_must(net, graph_infer_node(net->graph, net->graph->values[next].producer, &net->err));
    graph_set_next(net->graph, state, next);
}

static inline struct tensor *state_of(struct graph *graph, int index)
{
    return &graph->values[graph->states[index]].state;
}

static inline void expect_close(const struct tensor *got, const struct tensor *expected,
                                const char *what, int run)
{
    double error = compare_tensors(got, expected, COMPARE_EACH);
    if (!(error <= 1e-6))
        fail_msg("%s is %g off in run %d", what, error, run);
}

/* Interpreter and plan side by side: outputs and states are the same after every run. */
static inline void check_runs(struct net *net)
{
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, outputs[CHECK_INPUTS_MAX];
    const struct tensor *list[CHECK_INPUTS_MAX];
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_infer(net);
    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    assert_int_equal(plan_state_count(plan), net->graph->state_count);
    for (int run = 0; run < RUNS; run++) {
        for (size_t i = 0; i < plan_input_count(plan); i++)
            memcpy(plan_input(plan, i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
        memset(outputs, 0, sizeof outputs);
        net_must(net, graph_run_reference(net->graph, list, outputs, &net->err));
        net_must(net, plan_run(plan, &net->err));
        net_must(net, plan_get_states(plan, &net->err));
        for (int i = 0; i < net->graph->output_count; i++) {
            expect_close(plan_output(plan, (size_t)i), &outputs[i], "output", run);
            tensor_free(&outputs[i]);
        }
        for (int i = 0; i < net->graph->state_count; i++)
            expect_close(plan_state(plan, (size_t)i), state_of(net->graph, i), "state", run);
    }
    plan_free(&plan);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
}

static inline void test_counts(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 3)), s = net_state(&net, SHAPE(2, 3));
    net_output(&net, net_node(&net, "Neg", s, -2));
    set_next(&net, s, net_node(&net, "Add", s, x, -2));
    check_runs(&net);
    net_end(&net);
}

/* What the states held before the run is what all nodes read, whoever was renewed first. */
static inline void test_old_contents_are_read(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 2);
    int x = net_input(&net, SHAPE(1, 4, 3, 3)), s = net_state(&net, SHAPE(1, 4, 3, 3));
    set_next(&net, s, net_node(&net, "Sub", s, x, -2));
    net_output(&net, net_node(&net, "Mul", s, x, -2));
    net_output(&net, s); /* and the caller */
    check_runs(&net);
    net_end(&net);
}

static inline void test_next_is_output(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 3);
    int x = net_input(&net, SHAPE(5)), s = net_state(&net, SHAPE(5)), t = net_state(&net, SHAPE(5));
    int next = net_node(&net, "Add", s, x, -2);
    set_next(&net, s, next);
    set_next(&net, t, next); /* of two states */
    net_output(&net, next);
    net_output(&net, net_node(&net, "Add", s, t, -2));
    check_runs(&net);
    net_end(&net);
}

static inline void test_swap(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 4);
    int x = net_input(&net, SHAPE(7)), a = net_state(&net, SHAPE(7)), b = net_state(&net, SHAPE(7));
    set_next(&net, a, net_node(&net, "Neg", b, -2));
    set_next(&net, b, net_node(&net, "Abs", a, -2));
    net_output(&net, net_node(&net, "Mul", x, a, -2));
    check_runs(&net);
    net_end(&net);
}

/* Identity goes away in a plan: one state's next is then the other itself, whose old content the
 * copy would no longer find. */
static inline void test_swap_without_copy_is_refused(void **state)
{
    (void)state;
    struct net net;
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_begin(&net, 5);
    int x = net_input(&net, SHAPE(7)), a = net_state(&net, SHAPE(7)), b = net_state(&net, SHAPE(7));
    set_next(&net, a, net_node(&net, "Identity", b, -2));
    set_next(&net, b, net_node(&net, "Identity", a, -2));
    net_output(&net, net_node(&net, "Mul", x, a, -2));
    net_infer(&net);
    assert_true(device_compile(device, net.graph, &options, &plan, &net.err) < 0);
    assert_non_null(strstr(net.err.text, "would take on another state"));
    assert_null(plan);
    net_end(&net);
}

static inline void test_next_is_input_or_constant(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 6);
    int x = net_input(&net, SHAPE(2, 5)), c = net_constant(&net, SHAPE(2, 5), -1, 1);
    int s = net_state(&net, SHAPE(2, 5)), t = net_state(&net, SHAPE(2, 5));
    graph_set_next(net.graph, s, x);
    graph_set_next(net.graph, t, c);
    net_output(&net, net_node(&net, "Add", s, t, -2));
    check_runs(&net);
    net_end(&net);
}

/* Weights of a convolution and of a product that learn a little in each run: as they are states, they
 * keep what narrow floats could not tell apart. */
static inline void test_weights(void **state)
{
    (void)state;
    static const enum precision precisions[] = { PRECISION_F32, PRECISION_BF16, PRECISION_F16 };
    for (size_t p = 0; p < sizeof precisions / sizeof *precisions; p++) {
        struct net net;
        struct plan *plan = NULL;
        struct plan_options options = { .precision = precisions[p] };
        if (!device_has(device, precisions[p])) {
            if (precisions[p] == PRECISION_BF16)
                print_message("SKIP REASON: state_test: no bf16 arithmetic\n");
            continue;
        }
        net_begin(&net, 7);
        int x = net_input(&net, SHAPE(1, 16, 6, 5)), s = net_state(&net, SHAPE(16, 16, 3, 3));
        int small = net_constant(&net, SHAPE(16, 16, 3, 3), 1e-5, 2e-5);
        net_output(&net, net_node(&net, "Conv", x, s, -2));
        set_next(&net, s, net_node(&net, "Add", s, small, -2));
        net_infer(&net);
        net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
        memset(plan_input(plan, 0)->data, 0, tensor_bytes(plan_input(plan, 0)));
        const float *before = state_of(net.graph, 0)->data;
        const float *step = net.graph->values[small].constant.data;
        const float *after = plan_state(plan, 0)->data;
        for (int run = 0; run < RUNS; run++)
            net_must(&net, plan_run(plan, &net.err));
        net_must(&net, plan_get_states(plan, &net.err));
        for (int64_t i = 0; i < shape_elements(&plan_state(plan, 0)->shape); i++)
            assert_true(fabsf(after[i] - before[i] - RUNS * step[i]) < 1e-6f);
        plan_free(&plan);
        net_end(&net);
    }
}

static inline void test_convolves_with_a_state(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 8);
    int x = net_input(&net, SHAPE(2, 3, 6, 5)), s = net_state(&net, SHAPE(8, 3, 3, 3));
    int half = net_constant(&net, SHAPE(1), 0.5, 0.5), y = net_node(&net, "Conv", x, s, -2);
    net_output(&net, net_node(&net, "Relu", y, -2));
    set_next(&net, s, net_node(&net, "Mul", s, half, -2));
    check_runs(&net);
    net_end(&net);
}

/* A state without a next value stays what it is, until the caller writes it. */
static inline void test_caller_reads_and_writes(void **state)
{
    (void)state;
    struct net net;
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_begin(&net, 9);
    int x = net_input(&net, SHAPE(4)), s = net_state(&net, SHAPE(4)), t = net_state(&net, SHAPE(4));
    free(net.graph->values[s].name);
    net.graph->values[s].name = strdup("weights");
    set_next(&net, t, net_node(&net, "Add", s, t, -2));
    net_output(&net, net_node(&net, "Mul", x, t, -2));
    net_infer(&net);
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    assert_int_equal(plan_state_count(plan), 2);
    assert_string_equal(plan_state_name(plan, 0), "weights");
    assert_int_equal(plan_state(plan, 0)->type, TENSOR_F32);
    assert_memory_equal(plan_state(plan, 0)->data, state_of(net.graph, 0)->data, 16);
    for (int i = 0; i < 4; i++) {
        ((float *)plan_input(plan, 0)->data)[i] = 1;
        ((float *)plan_state(plan, 0)->data)[i] = (float)i;
        ((float *)plan_state(plan, 1)->data)[i] = 10;
    }
    net_must(&net, plan_set_states(plan, &net.err));
    for (int run = 0; run < 3; run++) {
        net_must(&net, plan_run(plan, &net.err));
        net_must(&net, plan_get_states(plan, &net.err));
        for (int i = 0; i < 4; i++) {
            assert_float_equal(((float *)plan_output(plan, 0)->data)[i], 10 + run * i, 1e-6);
            assert_float_equal(((float *)plan_state(plan, 0)->data)[i], i, 0);
            assert_float_equal(((float *)plan_state(plan, 1)->data)[i], 10 + (run + 1) * i, 1e-6);
        }
    }
    plan_free(&plan);
    net_end(&net);
}

#endif
