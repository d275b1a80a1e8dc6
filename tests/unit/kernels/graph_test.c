/* Graphs built by hand: order, sweeping, copies, shape inference with folding, and the interpreter's
 * care for its values. */
#include "graph/reference.h"
#include "ops/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SHAPE(...)                                                                         \
    (&(struct shape){ .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                      .dim = { __VA_ARGS__ } })

static struct error err;

static int add_value(struct graph *graph, const char *name)
{
    int value = graph_add_value(graph, name, TENSOR_NONE, NULL, &err);
    assert_true(value >= 0);
    return value;
}

static int add_input(struct graph *graph, const char *name, const struct shape *shape)
{
    int value = graph_add_value(graph, name, TENSOR_F32, shape, &err);
    assert_true(graph_mark_input(graph, value, &err) >= 0);
    return value;
}

static int add_numbers(struct graph *graph, const char *name, size_t count, const int64_t *numbers)
{
    struct tensor tensor;
    assert_int_equal(tensor_create(&tensor, TENSOR_I64, SHAPE((int64_t)count), &err), 0);
    memcpy(tensor.data, numbers, count * sizeof *numbers);
    int value = graph_add_constant(graph, name, &tensor, &err);
    assert_true(value >= 0);
    assert_null(tensor.data); /* taken over */
    return value;
}

/* Inputs up to a -2. */
static int add_node(struct graph *graph, const char *op, const char *name, int output, int in0,
                    int in1)
{
    int inputs[] = { in0, in1 };
    int node =
        graph_add_node(graph, op_find(op, 13), name, inputs, in1 == -2 ? 1 : 2, &output, 1, &err);
    assert_true(node >= 0);
    return node;
}

static struct graph *new_graph(void)
{
    struct graph *graph = NULL;
    assert_int_equal(graph_create(&graph, &err), 0);
    graph->opset = 13;
    return graph;
}

/* x -> Relu r -> Exp e, listed the wrong way round */
static struct graph *two_nodes(void)
{
    struct graph *graph = new_graph();
    int x = add_input(graph, "x", SHAPE(2, 3)), r = add_value(graph, "r"), e = add_value(graph, "e");
    add_node(graph, "Exp", "second", e, r, -2);
    add_node(graph, "Relu", "first", r, x, -2);
    assert_true(graph_mark_output(graph, e, &err) >= 0);
    return graph;
}

static void test_sort(void **state)
{
    (void)state;
    struct graph *graph = two_nodes();
    assert_int_equal(graph_sort(graph, &err), 0);
    assert_string_equal(graph->nodes[0].name, "first");
    assert_string_equal(graph->nodes[1].name, "second");
    assert_int_equal(graph->values[1].producer, 0);
    assert_int_equal(graph->values[2].producer, 1);
    graph_free(&graph);
    assert_null(graph);
    graph_free(&graph);
}

static void test_sort_refuses(void **state)
{
    (void)state;
    struct graph *graph = two_nodes();
    graph->nodes[1].inputs[0] = 2; /* first reads what second writes */
    assert_int_equal(graph_sort(graph, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "is on a cycle"));
    graph_free(&graph);

    graph = two_nodes();
    graph->nodes[1].inputs[0] = add_value(graph, "nowhere");
    assert_int_equal(graph_sort(graph, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "Relu: node 'first' reads 'nowhere', which no node writes"));
    graph_free(&graph);

    graph = two_nodes();
    add_node(graph, "Abs", "again", 1, 0, -2);
    assert_int_equal(graph_sort(graph, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "writes 'r', which something else writes already"));
    graph_free(&graph);

    graph = two_nodes();
    add_node(graph, "Abs", "again", 0, 1, -2);
    assert_int_equal(graph_sort(graph, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "writes 'x'"));
    graph_free(&graph);

    graph = two_nodes();
    assert_true(graph_mark_output(graph, add_value(graph, "lost"), &err) >= 0);
    assert_int_equal(graph_sort(graph, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "no node writes the output 'lost'"));
    graph_free(&graph);
}

/* A chain as long as a graph may be, listed backwards: no recursion. */
static void test_sort_deep(void **state)
{
    (void)state;
    struct graph *graph = new_graph();
    int first = add_input(graph, "x", SHAPE(1));
    for (int i = 0; i < GRAPH_NODES_MAX; i++)
        add_value(graph, "v");
    for (int i = GRAPH_NODES_MAX; i > 0; i--)
        add_node(graph, "Relu", "n", first + i, first + i - 1, -2);
    assert_int_equal(graph_add_node(graph, op_find("Relu", 0), "n", &first, 1, &first, 1, &err),
                     -ERROR_LIMIT);
    assert_true(graph_mark_output(graph, first + GRAPH_NODES_MAX, &err) >= 0);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    assert_int_equal(graph->nodes[0].inputs[0], first);
    assert_int_equal(graph->node_count, GRAPH_NODES_MAX);
    graph_free(&graph);
}

static void test_sweep(void **state)
{
    (void)state;
    struct graph *graph = two_nodes();
    int unused = add_input(graph, "unused", SHAPE(1)), a = add_value(graph, "a");
    add_node(graph, "Abs", "for nothing", a, unused, -2);
    add_node(graph, "Abs", "for nothing too", add_value(graph, "b"), a, -2);
    add_numbers(graph, "c", 1, (int64_t[]){ 1 });
    assert_int_equal(graph_sort(graph, &err), 0);
    assert_int_equal(graph_sweep(graph, &err), 0);
    assert_int_equal(graph->node_count, 2);
    assert_int_equal(graph->value_count, 4); /* inputs stay, needed or not */
    assert_int_equal(graph->input_count, 2);
    assert_string_equal(graph->values[graph->inputs[1]].name, "unused");
    assert_string_equal(graph->values[graph->outputs[0]].name, "e");
    assert_int_equal(graph->values[graph->outputs[0]].producer, 1);
    graph_free(&graph);
}

/* As a pass replaces a node: a new writer takes the value over, the old node is swept. */
static void test_replace(void **state)
{
    (void)state;
    struct graph *graph = two_nodes();
    add_node(graph, "Abs", "instead", 1, 0, -2);
    assert_int_equal(graph_sweep(graph, &err), 0);
    assert_int_equal(graph_sort(graph, &err), 0);
    assert_int_equal(graph->node_count, 2);
    assert_string_equal(graph->nodes[0].name, "instead");
    graph_free(&graph);
}

static void test_clone(void **state)
{
    (void)state;
    struct graph *graph = two_nodes(), *copy = NULL;
    struct attribute attribute = {
        .name = (char *)"axes", .kind = ATTRIBUTE_INTS, .ints = (int64_t[]){ 4, 5 }, .count = 2
    };
    assert_true(graph_add_attribute(graph, 0, &attribute, &err) >= 0);
    attribute =
        (struct attribute){ .name = (char *)"mode", .kind = ATTRIBUTE_STRING, .s = (char *)"linear" };
    assert_true(graph_add_attribute(graph, 0, &attribute, &err) >= 0);
    add_numbers(graph, "c", 2, (int64_t[]){ 7, 8 });
    assert_int_equal(graph_clone(&copy, graph, &err), 0);
    graph_free(&graph);

    const int64_t *ints;
    assert_int_equal(node_ints(&copy->nodes[0], "axes", &ints), 2);
    assert_int_equal(ints[1], 5);
    assert_string_equal(node_string(&copy->nodes[0], "mode", ""), "linear");
    assert_int_equal(node_int(&copy->nodes[0], "mode", 3), 3); /* of another kind: as absent */
    assert_int_equal(node_int(&copy->nodes[0], "nothing", 3), 3);
    assert_int_equal(((const int64_t *)copy->values[3].constant.data)[1], 8);
    assert_int_equal(copy->opset, 13);
    assert_true(copy->values[0].is_input && copy->values[2].is_output);
    assert_int_equal(graph_infer(copy, NULL, &err), 0);
    graph_free(&copy);
}

static void test_print(void **state)
{
    (void)state;
    struct graph *graph = two_nodes();
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    graph_print(graph, out);
    fclose(out);
    assert_string_equal(text, "   0 Relu 'first' (x f32 2x3) -> r f32 2x3\n"
                              "   1 Exp 'second' (r f32 2x3) -> e f32 2x3\n");
    free(text);
    graph_free(&graph);
}

static void test_infer_inputs(void **state)
{
    (void)state;
    struct graph *graph = new_graph();
    int x = add_input(graph, "x", SHAPE(-1, 3)), y = add_value(graph, "y");
    add_node(graph, "Relu", "n", y, x, -2);
    assert_true(graph_mark_output(graph, y, &err) >= 0);
    assert_int_equal(graph_infer(graph, NULL, &err), -ERROR_FORMAT);
    assert_string_equal(err.text, "x: dimension 0 of the input is free: its size must be given");
    assert_int_equal(graph_infer(graph, SHAPE(5), &err), -ERROR_FORMAT);
    assert_string_equal(err.text, "x: the input has 2 dimensions, not 1");
    assert_int_equal(graph_infer(graph, SHAPE((int64_t)1 << 32, 8), &err), -ERROR_LIMIT);
    assert_int_equal(graph_infer(graph, SHAPE(5, 3), &err), 0);
    assert_int_equal(graph->values[graph->outputs[0]].shape.dim[0], 5);
    assert_int_equal(graph->values[graph->outputs[0]].type, TENSOR_F32);
    graph_free(&graph);
}

/* As exporters write a flattening: Reshape(x, Concat(Gather(Shape(x), 0), [-1])). */
static void test_fold_shapes(void **state)
{
    (void)state;
    struct graph *graph = new_graph();
    int x = add_input(graph, "x", SHAPE(2, 3, 4)), shape = add_value(graph, "shape");
    int batch = add_value(graph, "batch"), target = add_value(graph, "target");
    int y = add_value(graph, "y"), zero = add_numbers(graph, "zero", 1, (int64_t[]){ 0 });
    int rest = add_numbers(graph, "rest", 1, (int64_t[]){ -1 });
    add_node(graph, "Shape", "a", shape, x, -2);
    add_node(graph, "Gather", "b", batch, shape, zero);
    int node = add_node(graph, "Concat", "c", target, batch, rest);
    struct attribute axis = { .name = (char *)"axis", .kind = ATTRIBUTE_INT };
    assert_true(graph_add_attribute(graph, node, &axis, &err) >= 0);
    add_node(graph, "Reshape", "d", y, x, target);
    assert_true(graph_mark_output(graph, y, &err) >= 0);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    assert_int_equal(graph->node_count, 1);
    assert_string_equal(graph->nodes[0].op->name, "Reshape");
    assert_true(shape_equal(&graph->values[graph->outputs[0]].shape, SHAPE(2, 12)));
    graph_free(&graph);
}

/* What would be too much work or memory stays a node. */
static void test_fold_allowance(void **state)
{
    (void)state;
    struct graph *graph = new_graph();
    add_input(graph, "x", SHAPE(1));
    int size = add_numbers(graph, "size", 1, (int64_t[]){ (int64_t)1 << 28 });
    int one = add_value(graph, "one"), y = add_value(graph, "y");
    add_node(graph, "ConstantOfShape", "big", one, size, -2);
    add_node(graph, "Abs", "n", y, one, -2);
    assert_true(graph_mark_output(graph, y, &err) >= 0);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    assert_int_equal(graph->node_count, 2);
    assert_null(graph->values[graph->outputs[0]].constant.data);
    graph_free(&graph);
}

static void test_infer_names_op_and_node(void **state)
{
    (void)state;
    struct graph *graph = new_graph();
    int a = add_input(graph, "a", SHAPE(2)), b = add_input(graph, "b", SHAPE(3));
    int y = add_value(graph, "y");
    add_node(graph, "Add", "sum", y, a, b);
    assert_true(graph_mark_output(graph, y, &err) >= 0);
    assert_int_equal(graph_infer(graph, NULL, &err), -ERROR_FORMAT);
    assert_string_equal(err.text, "Add node 'sum': inputs: shapes 2 and 3 do not go together");
    assert_int_equal(graph_infer(graph, NULL, NULL), -ERROR_FORMAT); /* without a place for words */
    graph_free(&graph);
}

/* Outputs that are an input, a constant, one value twice, and a value in use after it. */
static void test_run_outputs(void **state)
{
    (void)state;
    struct graph *graph = new_graph();
    int x = add_input(graph, "x", SHAPE(2)), r = add_value(graph, "r"), e = add_value(graph, "e");
    int c = add_numbers(graph, "c", 1, (int64_t[]){ 9 });
    add_node(graph, "Neg", "a", r, x, -2);
    add_node(graph, "Abs", "b", e, r, -2);
    const int outputs[] = { x, c, r, r, e };
    for (size_t i = 0; i < 5; i++)
        assert_true(graph_mark_output(graph, outputs[i], &err) >= 0);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);

    float data[] = { 1, -2 };
    struct tensor in = { .type = TENSOR_F32, .shape = *SHAPE(2), .data = data }, out[5] = { { 0 } };
    const struct tensor *list = &in;
    assert_int_equal(graph_run_reference(graph, &list, out, &err), 0);
    assert_true(((float *)out[0].data)[1] == -2 && out[0].data != data);
    assert_int_equal(*(int64_t *)out[1].data, 9);
    assert_true(((float *)out[2].data)[1] == 2 && ((float *)out[3].data)[0] == -1);
    assert_true(((float *)out[4].data)[0] == 1);
    for (int i = 0; i < 5; i++)
        tensor_free(&out[i]);

    in.shape.dim[0] = 1;
    assert_int_equal(graph_run_reference(graph, &list, out, &err), -ERROR_FORMAT);
    assert_string_equal(err.text, "x: 1 of f32 given, 2 of f32 wanted");
    graph_free(&graph);
}

/* An index that only shows while running: an error, nothing leaked. */
static void test_run_fails(void **state)
{
    (void)state;
    struct graph *graph = new_graph();
    int x = add_input(graph, "x", SHAPE(2)), y = add_value(graph, "y"), z = add_value(graph, "z");
    int index = graph_add_value(graph, "index", TENSOR_I64, SHAPE(1), &err);
    assert_true(graph_mark_input(graph, index, &err) >= 0);
    add_node(graph, "Neg", "a", y, x, -2);
    add_node(graph, "Gather", "pick", z, y, index);
    assert_true(graph_mark_output(graph, z, &err) >= 0);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    float data[] = { 1, 2 };
    int64_t at = 2;
    struct tensor in[] = { { .type = TENSOR_F32, .shape = *SHAPE(2), .data = data },
                           { .type = TENSOR_I64, .shape = *SHAPE(1), .data = &at } };
    const struct tensor *list[] = { &in[0], &in[1] };
    struct tensor out = { 0 };
    assert_int_equal(graph_run_reference(graph, list, &out, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "node 'pick': index 2 of 2"));
    assert_null(out.data);
    at = -2;
    assert_int_equal(graph_run_reference(graph, list, &out, &err), 0);
    assert_true(*(float *)out.data == -1);
    tensor_free(&out);
    graph_free(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_sort_refuses),
        cmocka_unit_test(test_sort_deep),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_clone),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_infer_inputs),
        cmocka_unit_test(test_fold_shapes),
        cmocka_unit_test(test_fold_allowance),
        cmocka_unit_test(test_infer_names_op_and_node),
        cmocka_unit_test(test_run_outputs),
        cmocka_unit_test(test_run_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
