/* Runs of a plan on the emulated GPU: two under way at once, each with its own inputs and outputs; memory of
 * the caller's; states, which are fetched and put back. */
#include "cuda_emulated.h"
#include <stdlib.h>
#include <string.h>

#define COUNT 6

/* y = x + x, and a state that becomes what it was plus x. */
static struct plan *make_plan(void)
{
    struct net net;
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    struct tensor sum;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(COUNT));
    net_must(&net, tensor_create(&sum, TENSOR_F32, SHAPE(COUNT), &net.err));
    for (int i = 0; i < COUNT; i++)
        ((float *)sum.data)[i] = 100;
    int state = graph_add_constant(net.graph, "sum", &sum, &net.err);
    net_must(&net, state);
    net_must(&net, graph_mark_state(net.graph, state, &net.err));
    net_output(&net, net_node(&net, "Add", x, x, -2));
    int next = net_node(&net, "Add", state, x, -2);
    net_must(&net, graph_infer_node(net.graph, net.graph->values[next].producer, &net.err));
    graph_set_next(net.graph, state, next);
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    net_end(&net);
    return plan;
}

static void fill(struct plan *plan, float number)
{
    for (int i = 0; i < COUNT; i++)
        ((float *)plan_input(plan, 0)->data)[i] = number + (float)i;
}

static void expect(const struct tensor *tensor, float first, float step)
{
    for (int i = 0; i < COUNT; i++)
        assert_float_equal(((const float *)tensor->data)[i], first + step * (float)i, 0);
}

static void two_runs_have_inputs_and_outputs_of_their_own(void **state)
{
    (void)state;
    struct error err;
    struct plan *plan = make_plan();
    assert_int_equal(plan_depth(plan), 2);
    fill(plan, 1);
    for (int round = 0; round < 3; round++) {
        const void *first = plan_input(plan, 0)->data;
        assert_int_equal(plan_start(plan, &err), 0);
        assert_ptr_not_equal(plan_input(plan, 0)->data, first);
        fill(plan, 10);
        assert_int_equal(plan_start(plan, &err), 0);
        fill(plan, 1); /* of the run after these */
        assert_int_equal(plan_finish(plan, &err), 0);
        expect(plan_output(plan, 0), 2, 2);
        const void *kept = plan_output(plan, 0)->data;
        assert_int_equal(plan_finish(plan, &err), 0);
        assert_ptr_not_equal(plan_output(plan, 0)->data, kept);
        expect(plan_output(plan, 0), 20, 2);
    }
    assert_int_equal(plan_run(plan, &err), 0);
    expect(plan_output(plan, 0), 2, 2);
    plan_free(&plan);
}

static void one_run_at_a_time_also_changes_slots(void **state)
{
    (void)state;
    struct error err;
    struct plan *plan = make_plan();
    for (int i = 0; i < 5; i++) {
        fill(plan, (float)i);
        assert_int_equal(plan_start(plan, &err), 0);
        assert_int_equal(plan_finish(plan, &err), 0);
        expect(plan_output(plan, 0), 2 * (float)i, 2);
    }
    plan_free(&plan);
}

static void bound_memory_stays(void **state)
{
    (void)state;
    struct error err;
    struct plan *plan = make_plan();
    _Alignas(64) float in[COUNT], out[COUNT];
    for (int i = 0; i < COUNT; i++)
        in[i] = (float)i;
    assert_int_equal(plan_bind_input(plan, 0, in, &err), 0);
    assert_int_equal(plan_bind_output(plan, 0, out, &err), 0);
    for (int i = 0; i < 3; i++) {
        in[0] = (float)i;
        assert_int_equal(plan_start(plan, &err), 0);
        assert_int_equal(plan_finish(plan, &err), 0);
        assert_ptr_equal(plan_input(plan, 0)->data, in);
        assert_ptr_equal(plan_output(plan, 0)->data, out);
        assert_float_equal(out[0], 2 * (float)i, 0);
    }
    plan_free(&plan);
}

static void states_go_on_from_run_to_run(void **state)
{
    (void)state;
    struct error err;
    struct plan *plan = make_plan();
    fill(plan, 1);
    assert_int_equal(plan_run(plan, &err), 0);
    assert_int_equal(plan_run(plan, &err), 0);
    expect(plan_state(plan, 0), 100, 0); /* not fetched yet */
    assert_int_equal(plan_get_states(plan, &err), 0);
    expect(plan_state(plan, 0), 102, 2);
    for (int i = 0; i < COUNT; i++)
        ((float *)plan_state(plan, 0)->data)[i] = 0;
    assert_int_equal(plan_set_states(plan, &err), 0);
    assert_int_equal(plan_run(plan, &err), 0);
    assert_int_equal(plan_get_states(plan, &err), 0);
    expect(plan_state(plan, 0), 1, 1);
    plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_runs_have_inputs_and_outputs_of_their_own),
        cmocka_unit_test(one_run_at_a_time_also_changes_slots),
        cmocka_unit_test(bound_memory_stays),
        cmocka_unit_test(states_go_on_from_run_to_run),
    };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
