/* Optimisers on the emulated GPU: their formulas (optimise_check.h); the nodes of many parameters become one step, more of them than a
 * launch takes, with averages in between; states are what the reference makes of them, run after run. A
 * node that reads what another one renews, or whose old weights are still read, stays on its own. */
#include "cuda/optimise.h"
#include "cuda_emulated.h"
#include "optimise_check.h"

#define RUNS 3
#define BOUND 1e-6
#define PARAMETERS_MANY (OPTIMISE_PARTS_MAX + 20)

static int add_state(struct net *net, const struct shape *shape, double low)
{
    int value = net_constant(net, shape, low, 1);
    net_must(net, graph_mark_state(net->graph, value, &net->err));
    return value;
}

/* A node of our own whose outputs renew the given states; gives the first output. */
static int add_update(struct net *net, const char *op, const int *inputs, int input_count,
                      const int *states, int state_count)
{
    int outputs[3];
    for (int i = 0; i < state_count; i++) {
        outputs[i] = graph_add_value(net->graph, op, TENSOR_F32, NULL, &net->err);
        net_must(net, outputs[i]);
    }
    net_must(net, graph_add_node(net->graph, op_find(op, OPSET_OWN), op, inputs, input_count,
                                 outputs, state_count, &net->err));
    net_must(net, graph_infer_node(net->graph, net->graph->node_count - 1, &net->err));
    for (int i = 0; i < state_count; i++)
        graph_set_next(net->graph, states[i], outputs[i]);
    return outputs[0];
}

static int add_node(struct net *net, const char *op, int a, int b)
{
    int value = net_node(net, op, a, b, -2);
    net_must(net, graph_infer_node(net->graph, net->graph->node_count - 1, &net->err));
    return value;
}

static int add_adam(struct net *net, int w, int gradient, int step, int rate, float beta1)
{
    const struct shape shape = net->graph->values[w].shape;
    int states[] = { w, add_state(net, &shape, -1), add_state(net, &shape, 0) };
    int inputs[] = { w, gradient, states[1], states[2], step, rate };
    int next = add_update(net, "adam", inputs, 6, states, 3);
    net_float(net, "beta1", beta1);
    return next;
}

static void add_average(struct net *net, int next)
{
    const struct shape shape = net->graph->values[next].shape;
    int average = add_state(net, &shape, -1);
    add_update(net, "moving_average", (const int[]){ average, next }, 2, &average, 1);
    net_float(net, "decay", 0.75f);
}

static int count_steps(const struct plan *plan, const char *how)
{
    const char *step;
    int count = 0;
    for (size_t i = 0; (step = plan_step(plan, i)); i++)
        count += strcmp(step, how) == 0;
    return count;
}

static void compare_plan_states(struct net *net, struct plan *plan)
{
    net_must(net, plan_get_states(plan, &net->err));
    for (size_t i = 0; i < plan_state_count(plan); i++) {
        const struct tensor *expected = &net->graph->values[net->graph->states[i]].state;
        double error = relative_error(plan_state(plan, i), expected);
        if (!(error <= BOUND))
            fail_msg("state %zu is %g off", i, error);
    }
}

/* Runs the reference and the plan; the plan has so many steps of a kind. */
static void check(struct net *net, const char *how, int steps)
{
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, outputs[CHECK_INPUTS_MAX] = { 0 };
    const struct tensor *list[CHECK_INPUTS_MAX];
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_infer(net);
    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    assert_int_equal(count_steps(plan, how), steps);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < net->graph->input_count; i++)
            memcpy(plan_input(plan, (size_t)i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
        net_must(net, plan_run(plan, &net->err));
        net_must(net, graph_run_reference(net->graph, list, outputs, &net->err));
        compare_plan_states(net, plan);
        for (int i = 0; i < net->graph->output_count; i++) {
            assert_true(relative_error(plan_output(plan, (size_t)i), &outputs[i]) <= BOUND);
            tensor_free(&outputs[i]);
        }
    }
    plan_free(&plan);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
}

/* Shapes of 1 to some thousand elements; gradients of some lie channels-last. */
static void fill_many(struct net *net, float odd_beta1)
{
    net_begin(net, 1);
    int x = net_input(net, SHAPE(1)), rate = net_constant(net, SHAPE(1), 0.01, 0.1);
    int step = net_constant(net, SHAPE(1), 2, 2);
    int gradients[PARAMETERS_MANY], weights[PARAMETERS_MANY];
    for (int i = 0; i < PARAMETERS_MANY; i++) {
        weights[i] = add_state(net, i == 7 ? SHAPE(70, 61) : SHAPE(i % 5 + 1, 3, 2, i % 3 + 1), -1);
        gradients[i] = add_node(net, "Mul", weights[i], x);
    }
    net->graph->values[rate].constant.shape = net->graph->values[rate].shape = (struct shape){ 0 };
    net->graph->values[step].constant.shape = net->graph->values[step].shape = (struct shape){ 0 };
    for (int i = 0; i < PARAMETERS_MANY; i++)
        add_average(net,
                    add_adam(net, weights[i], gradients[i], step, rate, i == 3 ? odd_beta1 : 0.8f));
}

static void test_many_are_one(void **state)
{
    (void)state;
    struct net net;
    fill_many(&net, 0.8f);
    check(&net, "adam", 1);
    check(&net, "average", 1);
    net_end(&net);
}

static void test_other_attributes_stay_apart(void **state)
{
    (void)state;
    struct net net;
    fill_many(&net, 0.7f);
    check(&net, "adam", 2);
    net_end(&net);
}

/* Two parameters; the gradient of the second may read what the first has become. */
static void check_two(bool of_renewed, bool old_is_read, int steps)
{
    struct net net;
    net_begin(&net, 2);
    int x = net_input(&net, SHAPE(3, 5));
    int rate = net_constant(&net, SHAPE(1), 0.1, 0.1);
    net.graph->values[rate].constant.shape = net.graph->values[rate].shape = (struct shape){ 0 };
    int w[] = { add_state(&net, SHAPE(3, 5), -1), add_state(&net, SHAPE(3, 5), -1) };
    int v[] = { add_state(&net, SHAPE(3, 5), -1), add_state(&net, SHAPE(3, 5), -1) };
    int gradient = add_node(&net, "Mul", w[1], x), next = -1;
    for (int i = 0; i < 2; i++) {
        if (i == 1 && of_renewed)
            gradient = add_node(&net, "Mul", next, x);
        if (i == 1 && old_is_read)
            net_output(&net, add_node(&net, "Sub", w[1], next));
        const int inputs[] = { w[i], gradient, v[i], rate }, states[] = { w[i], v[i] };
        next = add_update(&net, "sgd", inputs, 4, states, 2);
        net_float(&net, "momentum", 0.9f);
    }
    check(&net, "sgd", steps);
    net_end(&net);
}

static void test_what_is_in_the_way(void **state)
{
    (void)state;
    check_two(false, false, 1);
    check_two(true, false, 2);
    check_two(false, true, 2);
}

/* Weights that learn are rearranged by one step, each once; but what one of them has become is not there
 * yet when the others are. */
static void check_weights(bool of_renewed, int steps)
{
    struct net net;
    net_begin(&net, 4);
    int x = net_input(&net, SHAPE(1, 4, 6, 5)), rate = net_constant(&net, SHAPE(1), 0.1, 0.1);
    net.graph->values[rate].constant.shape = net.graph->values[rate].shape = (struct shape){ 0 };
    int w[] = { add_state(&net, SHAPE(4, 4, 3, 3), -1), add_state(&net, SHAPE(4, 4, 3, 3), -1) };
    int v = add_state(&net, SHAPE(4, 4, 3, 3), -1);
    int y = add_node(&net, "Conv", x, w[0]);
    net_output(&net, add_node(&net, "Conv", y, w[1]));
    const int inputs[] = { w[0], w[1], v, rate }, states[] = { w[0], v };
    int next = add_update(&net, "sgd", inputs, 4, states, 2);
    net_output(&net, add_node(&net, "Conv", x, of_renewed ? next : w[1]));
    check(&net, "weights", steps);
    net_end(&net);
}

static void test_weights_are_one(void **state)
{
    (void)state;
    check_weights(false, 1);
    check_weights(true, 2);
}

/* Sums of some thousand elements, of two nodes: one step. */
static void test_squares(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 3);
    int x = net_input(&net, SHAPE(2, 3, 41, 43)), y = net_input(&net, SHAPE(4099));
    net_output(&net, net_node(&net, "sum_squares", x, y, x, -2));
    net_output(&net, net_node(&net, "sum_squares", y, -2));
    check(&net, "squares", 1);
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_many_are_one),
        cmocka_unit_test(test_other_attributes_stay_apart),
        cmocka_unit_test(test_what_is_in_the_way),
        cmocka_unit_test(test_weights_are_one),
        cmocka_unit_test(test_squares),
    };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
