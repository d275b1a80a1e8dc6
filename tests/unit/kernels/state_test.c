/* States (state_check.h) on the cpu device; and copies of a graph, sorting, sweeping and inference leave them
 * what they are. */
#include "cpu_device.h"
#include "state_check.h"

/* Nodes that read states alone are not folded, and those that only a next value needs are kept. */
static void test_passes_keep_states(void **state)
{
    struct net net;
    struct graph *copy = NULL;
    (void)state;
    net_begin(&net, 10);
    int x = net_input(&net, SHAPE(3)), s = net_state(&net, SHAPE(3)), t = net_state(&net, SHAPE(3));
    int unused = net_state(&net, SHAPE(2));
    set_next(&net, s, net_node(&net, "Add", s, t, -2));
    net_node(&net, "Neg", s, -2); /* for nobody */
    net_output(&net, net_node(&net, "Abs", x, -2));
    struct tensor held = net.graph->values[unused].state;
    net_infer(&net);
    assert_int_equal(net.graph->state_count, 3);
    assert_int_equal(net.graph->node_count, 2);
    assert_ptr_equal(state_of(net.graph, 2)->data, held.data);
    net_must(&net, graph_clone(&copy, net.graph, &net.err));
    net_must(&net, graph_sort(copy, &net.err));
    net_must(&net, graph_sweep(copy, &net.err));
    assert_int_equal(copy->state_count, 3);
    for (int i = 0; i < 3; i++) {
        const struct value *old = &net.graph->values[net.graph->states[i]];
        const struct value *fresh = &copy->values[copy->states[i]];
        assert_ptr_not_equal(old->state.data, fresh->state.data);
        assert_true(compare_tensors(&fresh->state, &old->state, COMPARE_BITS) == 0);
        assert_int_equal(fresh->next >= 0, i == 0);
    }
    const struct value *next = &copy->values[copy->values[copy->states[0]].next];
    assert_string_equal(copy->nodes[next->producer].op->name, "Add");
    graph_free(&copy);
    net_end(&net);
}

/* The copy's states move on without the original's. */
static void test_clones_are_apart(void **state)
{
    struct net net;
    struct graph *copy = NULL;
    struct tensor x, out[1] = { 0 };
    (void)state;
    net_begin(&net, 11);
    int input = net_input(&net, SHAPE(3)), s = net_state(&net, SHAPE(3));
    int next = net_node(&net, "Add", s, input, -2);
    set_next(&net, s, next);
    net_output(&net, next);
    net_infer(&net);
    net_must(&net, graph_clone(&copy, net.graph, &net.err));
    net_must(&net, tensor_create(&x, TENSOR_F32, SHAPE(3), &net.err));
    net_fill(&net, &x, 1, 1);
    net_must(&net, graph_run_reference(copy, (const struct tensor *[]){ &x }, out, &net.err));
    for (int i = 0; i < 3; i++)
        assert_float_equal(((float *)state_of(copy, 0)->data)[i],
                           ((float *)state_of(net.graph, 0)->data)[i] + 1, 1e-6);
    tensor_free(&x);
    tensor_free(&out[0]);
    graph_free(&copy);
    net_end(&net);
}

/* Only a run that succeeds moves the interpreter's states on. */
static void test_failed_run(void **state)
{
    struct net net;
    struct tensor at = { 0 }, out[1] = { 0 };
    (void)state;
    net_begin(&net, 12);
    int s = net_state(&net, SHAPE(3)), index;
    index = graph_add_value(net.graph, "index", TENSOR_I64, SHAPE(1), &net.err);
    net_must(&net, graph_mark_input(net.graph, index, &net.err));
    set_next(&net, s, net_node(&net, "Neg", s, -2));
    net_output(&net, net_node(&net, "Gather", s, index, -2));
    net_infer(&net);
    net_must(&net, tensor_create(&at, TENSOR_I64, SHAPE(1), &net.err));
    float before = ((float *)state_of(net.graph, 0)->data)[0];
    const struct tensor *list[] = { &at };
    *(int64_t *)at.data = 3;
    assert_true(graph_run_reference(net.graph, list, out, &net.err) < 0);
    assert_float_equal(((float *)state_of(net.graph, 0)->data)[0], before, 0);
    *(int64_t *)at.data = 0;
    net_must(&net, graph_run_reference(net.graph, list, out, &net.err));
    assert_float_equal(((float *)out[0].data)[0], before, 0);
    assert_float_equal(((float *)state_of(net.graph, 0)->data)[0], -before, 0);
    tensor_free(&at);
    tensor_free(&out[0]);
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_old_contents_are_read),
        cmocka_unit_test(test_next_is_output),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_swap_without_copy_is_refused),
        cmocka_unit_test(test_next_is_input_or_constant),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_convolves_with_a_state),
        cmocka_unit_test(test_caller_reads_and_writes),
        cmocka_unit_test(test_passes_keep_states),
        cmocka_unit_test(test_clones_are_apart),
        cmocka_unit_test(test_failed_run),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
