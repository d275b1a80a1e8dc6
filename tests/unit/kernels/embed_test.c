/* graph_embed: networks that were made apart become one graph. What is embedded computes what it did
 * alone, twice in one graph as well; constants, states, attributes and names come along, and nothing
 * is shared with the part. */
#include "cpu_check.h"

/* y = LeakyRelu(x * w + s), alpha 0.25; s becomes x * w. x: 2x3. */
static void make_part(struct net *part, uint64_t seed)
{
    net_begin(part, seed);
    int x = net_input(part, SHAPE(2, 3)), w = net_constant(part, SHAPE(3), -1, 1);
    int s = net_constant(part, SHAPE(2, 3), -1, 1);
    net_must(part, graph_mark_state(part->graph, s, &part->err));
    int product = net_node(part, "Mul", x, w, -2), sum = net_node(part, "Add", product, s, -2);
    net_output(part, net_node(part, "LeakyRelu", sum, -2));
    net_float(part, "alpha", 0.25f);
    net_infer(part);
    graph_set_next(part->graph, part->graph->states[0], part->graph->nodes[0].outputs[0]);
}

static void run(struct net *net, const struct tensor *x, struct tensor *out)
{
    net_must(net, graph_run_reference(net->graph, &x, out, &net->err));
}

/* The part behind x, and once more behind itself, against the part run twice. */
static void test_twice(void **state)
{
    struct net part, whole;
    struct tensor x, once[1] = { 0 }, twice[1] = { 0 }, out[1] = { 0 };
    struct graph *other = NULL;
    int first, second;
    (void)state;
    make_part(&part, 1);
    net_begin(&whole, 2);
    int input = net_input(&whole, SHAPE(2, 3));
    net_must(&whole, graph_embed(whole.graph, part.graph, "a.", &input, &first, &whole.err));
    net_must(&whole, graph_embed(whole.graph, part.graph, "b.", &first, &second, &whole.err));
    net_output(&whole, second);
    assert_int_equal(whole.graph->output_count, 1);
    assert_int_equal(whole.graph->input_count, 1);
    net_must(&part, graph_clone(&other, part.graph, &part.err));
    struct net again = { .graph = other };
    net_must(&whole, tensor_create(&x, TENSOR_F32, SHAPE(2, 3), &whole.err));
    net_fill(&whole, &x, -1, 1);
    net_infer(&whole);
    for (int i = 0; i < 3; i++) { /* with other states each time */
        run(&part, &x, once);
        run(&again, &once[0], twice);
        run(&whole, &x, out);
        assert_true(compare_tensors(&out[0], &twice[0], COMPARE_BITS) == 0);
        tensor_free(&once[0]);
        tensor_free(&twice[0]);
        tensor_free(&out[0]);
    }
    graph_free(&again.graph);
    tensor_free(&x);
    net_end(&part);
    net_end(&whole);
}

static void test_what_comes_along(void **state)
{
    struct net part, whole;
    int output;
    (void)state;
    make_part(&part, 3);
    net_begin(&whole, 4);
    int input = net_input(&whole, SHAPE(2, 3)), before = net_node(&whole, "Neg", input, -2);
    net_must(&whole, graph_infer_node(whole.graph, 0, &whole.err));
    net_must(&whole, graph_embed(whole.graph, part.graph, "part.", &before, &output, &whole.err));
    struct graph *graph = whole.graph;
    assert_int_equal(graph->node_count, 4);
    assert_int_equal(graph->state_count, 1);
    const struct node *last = &graph->nodes[3];
    assert_string_equal(last->name, "part.LeakyRelu");
    assert_float_equal(node_float(last, "alpha", 0), 0.25f, 0);
    assert_int_equal(last->outputs[0], output);
    assert_string_equal(graph->values[output].name, "part.LeakyRelu");
    assert_false(graph->values[output].is_output); /* that is the caller's to say */
    assert_int_equal(graph->nodes[1].inputs[0], before);

    const struct value *held = &graph->values[graph->states[0]];
    const struct value *old = &part.graph->values[part.graph->states[0]];
    assert_string_equal(held->name, "part.constant");
    assert_int_equal(held->next, graph->nodes[1].outputs[0]);
    assert_true(compare_tensors(&held->state, &old->state, COMPARE_BITS) == 0);
    assert_ptr_not_equal(held->state.data, old->state.data);
    const struct value *weights = &graph->values[graph->nodes[1].inputs[1]];
    const struct value *part_weights = &part.graph->values[part.graph->nodes[0].inputs[1]];
    assert_true(compare_tensors(&weights->constant, &part_weights->constant, COMPARE_BITS) == 0);
    assert_ptr_not_equal(weights->constant.data, part_weights->constant.data);
    net_end(&part); /* nothing of it is needed any more */
    net_output(&whole, output);
    net_infer(&whole);
    net_end(&whole);
}

/* An output of the part that is its input, or constant, or there twice. */
static void test_outputs(void **state)
{
    struct net part, whole;
    int outputs[4];
    (void)state;
    net_begin(&part, 5);
    int x = net_input(&part, SHAPE(4)), c = net_constant(&part, SHAPE(4), -1, 1);
    int y = net_node(&part, "Abs", x, -2);
    net_output(&part, x);
    net_output(&part, c);
    net_output(&part, y);
    net_output(&part, y);
    net_infer(&part);
    net_begin(&whole, 6);
    int input = net_input(&whole, SHAPE(4));
    net_must(&whole, graph_embed(whole.graph, part.graph, "", &input, outputs, &whole.err));
    assert_int_equal(outputs[0], input);
    assert_non_null(whole.graph->values[outputs[1]].constant.data);
    assert_int_equal(outputs[2], outputs[3]);
    assert_string_equal(whole.graph->values[outputs[2]].name, "Abs");
    net_end(&part);
    net_end(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_what_comes_along),
        cmocka_unit_test(test_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
