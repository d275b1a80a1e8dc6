/* Functions that a model brings along: small models that call them are packed and read, after which the graph has
 * the nodes of the functions instead; what it gives is worked out by hand. Then what must be refused. */
#include "onnx_build.h"
#include "op_check.h"

static struct error err;

static int build_teardown(void **state)
{
    (void)state;
    build_free();
    return 0;
}

static struct graph *read_model(const Onnx__ModelProto *model)
{
    struct graph *graph;
    if (build_read(model, &graph, &err))
        fail_msg("%s", err.text);
    return graph;
}

static void refuse(const Onnx__ModelProto *model, const char *words)
{
    struct graph *graph;
    int rc = build_read(model, &graph, &err);
    graph_free(&graph);
    if (!rc || !strstr(err.text, words))
        fail_msg("message \"%s\" lacks \"%s\"", rc ? err.text : "", words);
}

/* x is -4, 2. */
static void expect(const Onnx__ModelProto *model, float first, float second)
{
    const struct tensor x = F32(SHAPE(2), -4, 2), *list[] = { &x };
    const struct tensor expected = F32(SHAPE(2), first, second);
    struct tensor result = { 0 };
    struct graph *graph = read_model(model);
    if (graph_infer(graph, NULL, &err))
        fail_msg("%s", err.text);
    if (graph_run_reference(graph, list, &result, &err))
        fail_msg("%s", err.text);
    compare_tensors("result", &result, &expected);
    tensor_free(&result);
    graph_free(&graph);
}

/* y = own.Slope(x); Slope(a) = LeakyRelu(a) with the function's slope. */
static Onnx__ModelProto *make_slope(void)
{
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    Onnx__ModelProto *model = build_model(graph, 15);
    build_own(build_node(graph, "Slope", "call", "x", "y"));
    Onnx__FunctionProto *slope = build_function(model, "Slope", "a", "b", 15);
    build_reference(build_function_node(slope, "LeakyRelu", "leak", "a", "b"), "alpha",
                    BUILD_TYPE(FLOAT), "slope");
    return model;
}

static void set_default(Onnx__FunctionProto *function, const char *name, float value)
{
    uint8_t bytes[64];
    Onnx__AttributeProto *attribute = build_float(NULL, name, value);
    size_t size = onnx__attribute_proto__get_packed_size(attribute);
    assert_true(size <= sizeof bytes);
    onnx__attribute_proto__pack(attribute, bytes);
    build_unknown(&function->base, 11, bytes, size);
}

static void test_attributes(void **state)
{
    (void)state;
    Onnx__ModelProto *model = make_slope();
    expect(model, -0.04f, 2); /* given by nobody: the op's own */
    set_default(model->functions[0], "slope", 0.25f);
    expect(model, -1, 2);
    build_float(model->graph->node[0], "slope", 0.5f);
    expect(model, -2, 2);
    model->graph->node[0]->attribute[0]->type = BUILD_TYPE(INT);
    refuse(model, "test.onnx: Slope node 'call': LeakyRelu node 'leak': attribute 'alpha': type: 2 "
                  "is not what");
}

static void test_names(void **state)
{
    (void)state;
    Onnx__ModelProto *model = make_slope();
    struct graph *graph = read_model(model);
    assert_int_equal(graph->node_count, 2);
    assert_string_equal(graph->nodes[0].name, "call/leak");
    assert_string_equal(graph->nodes[0].op->name, "LeakyRelu");
    graph_free(&graph);
}

/* Outer(a) = Inner(a) + Inner(Inner(a)) with its factor handed on; Inner(a) = a * factor, a Constant's. */
static Onnx__ModelProto *make_nested(void)
{
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    Onnx__ModelProto *model = build_model(graph, 15);
    Onnx__FunctionProto *inner = build_function(model, "Inner", "a", "b", 13);
    Onnx__FunctionProto *outer = build_function(model, "Outer", "a", "c same", 15);
    build_float(build_own(build_node(graph, "Outer", "call", "x", "y same")), "f", 3);
    build_reference(build_function_node(inner, "Constant", "k", "", "k"), "value_float",
                    BUILD_TYPE(FLOAT), "g");
    build_function_node(inner, "Mul", "mul", "a k", "b");
    const char *const inputs[] = { "a", "b1", "a" }, *const outputs[] = { "b1", "b2", "b3" };
    for (int i = 0; i < 3; i++)
        build_reference(
            build_own(build_function_node(outer, "Inner", outputs[i], inputs[i], outputs[i])), "g",
            BUILD_TYPE(FLOAT), "f");
    build_function_node(outer, "Add", "add", "b2 b3", "c");
    build_function_node(outer, "Identity", "same", "a", "same");
    return model;
}

static void test_nested(void **state)
{
    (void)state;
    Onnx__ModelProto *model = make_nested();
    expect(model, -48, 24); /* 9x + 3x */
    model->graph->node[0]->n_attribute = 0;
    refuse(model, "Outer node 'call': Inner node 'b1': Constant node 'k': attribute: 'value_float' "
                  "is given by "
                  "no caller");
}

/* An input that is left out, one that goes straight to an output, and an output that nobody wants. */
static void test_absent(void **state)
{
    (void)state;
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    Onnx__ModelProto *model = build_model(graph, 15);
    Onnx__FunctionProto *clip = build_function(model, "Bound", "a low high", "a b", 15);
    build_function_node(clip, "Clip", "clip", "a low high", "b");
    build_floats(graph, "one", &(const float){ 1 }, -1);
    build_own(build_node(graph, "Bound", "call", "x - one", "- y"));
    expect(model, -4, 1);
    graph->node[0]->n_input = 1;
    expect(model, -4, 2);
    graph->node[0]->output[0] = build_text("y", 1);
    graph->node[0]->n_output = 1;
    expect(model, -4, 2);
}

/* Which of two functions a node calls is settled by domain and overload as well. */
static void test_overloads(void **state)
{
    (void)state;
    Onnx__ModelProto *model = make_slope();
    Onnx__FunctionProto *other = build_function(model, "Slope", "a", "b", 15);
    build_function_node(other, "Neg", "neg", "a", "b");
    refuse(model, "function 'Slope': name: is there twice");
    build_unknown(&other->base, 13, (const uint8_t *)"minus", 5);
    expect(model, -0.04f, 2);
    build_unknown(&model->graph->node[0]->base, 8, (const uint8_t *)"minus", 5);
    expect(model, 4, -2);
    other->domain = build_text("elsewhere", 9);
    refuse(model, "Slope node 'call': op: 'Slope' of domain 'own', opset 0, is not implemented");
    /* one in ONNX's own domain stands for its op */
    other->domain = NULL;
    other->name = model->graph->node[0]->op_type = build_text("Relu", 4);
    model->graph->node[0]->domain = NULL;
    expect(model, 4, -2);
}

/* A function in a branch, and a branch in a function, which sees the function's names and attributes. */
static void test_with_graphs(void **state)
{
    (void)state;
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    Onnx__ModelProto *model = build_model(graph, 15);
    Onnx__FunctionProto *fork = build_function(model, "Fork", "a go", "b", 15);
    Onnx__GraphProto *leak = build_graph("", "z"), *same = build_graph("", "a");
    build_reference(build_node(leak, "LeakyRelu", "leak", "a", "z"), "alpha", BUILD_TYPE(FLOAT),
                    "slope");
    Onnx__NodeProto *node = build_function_node(fork, "If", "if", "go", "b");
    build_body(node, "then_branch", leak);
    build_body(node, "else_branch", same);
    Onnx__GraphProto *calls = build_graph("", "z");
    build_float(build_own(build_node(calls, "Fork", "call", "x yes", "z")), "slope", 0.5f);
    node = build_node(graph, "If", "outer", "yes", "y");
    build_body(node, "then_branch", calls);
    build_body(node, "else_branch", build_graph("", "x"));
    build_bool(graph, "yes", true);
    expect(model, -2, 2);
    /* nothing of the caller's */
    leak->node[0]->input[0] = build_text("x", 1);
    refuse(model,
           "If node 'outer': attribute 'then_branch': Fork node 'call': If node 'if': attribute "
           "'then_branch': LeakyRelu node 'leak': inputs: 'x' is written by no node");
}

static void test_refusals(void **state)
{
    (void)state;
    Onnx__ModelProto *model = make_slope();
    model->functions[0]->n_opset_import = 0;
    refuse(model, "LeakyRelu node 'leak': opset_import: the function imports no 'ai.onnx'");
    model->functions[0]->n_opset_import = 1;
    model->functions[0]->opset_import[0]->version = 22;
    refuse(model, "Slope node 'call': opset: 22 of domain 'ai.onnx'; 7 to 21 are supported");

    model = make_slope();
    model->functions[0]->output[0] = build_text("c", 1);
    refuse(model, "Slope node 'call': outputs: no node of the function writes 'c'");
    model->functions[0]->n_output = 0;
    refuse(model, "Slope node 'call': outputs: 1 wanted; the function has 0");
    model->functions[0]->n_input = 0;
    refuse(model, "Slope node 'call': inputs: 1 given; the function has 0");

    model = make_slope();
    model->graph->node[0]->input[0] = build_text("z", 1);
    refuse(model, "Slope node 'call': inputs: 'z' is written by no node");
    model = make_slope();
    model->functions[0]->node[0]->op_type = build_text("Foo", 3);
    refuse(model, "Slope node 'call': Foo node 'leak': op: 'Foo' of domain 'ai.onnx', opset 15, is "
                  "not implemented");

    model = make_slope();
    model->functions[0]->node[0]->input[0] = build_text("b", 1);
    refuse(model, "LeakyRelu: node 'call/leak' is on a cycle");
    build_own(model->functions[0]->node[0])->op_type = build_text("Slope", 5);
    refuse(model, "Slope node 'call': Slope node 'leak': functions: 'Slope' calls itself");

    model = make_slope();
    build_unknown(&model->functions[0]->base, 11, (const uint8_t *)"\xff\xff", 2);
    refuse(model, "function 'Slope': file: is cut short or not an ONNX model (AttributeProto)");

    /* a graph handed to a function */
    model = make_slope();
    Onnx__NodeProto *node = model->functions[0]->node[0];
    node->op_type = build_text("If", 2);
    node->attribute[0]->name = build_text("then_branch", 11);
    build_body(model->graph->node[0], "slope", build_graph("", "x"));
    refuse(model,
           "If node 'leak': attribute 'then_branch': reference: to a graph is not supported");
}

/* Each of so many functions calls the next one twice. */
static Onnx__ModelProto *make_tree(int depth)
{
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    Onnx__ModelProto *model = build_model(graph, 15);
    build_own(build_node(graph, "F0", "call", "x", "y"));
    for (int i = 0; i < depth; i++) {
        char name[8], next[8];
        snprintf(name, sizeof name, "F%d", i);
        snprintf(next, sizeof next, "F%d", i + 1);
        Onnx__FunctionProto *f = build_function(model, name, "a", "c", 15);
        bool last = i == depth - 1;
        for (int k = 0; k < 2; k++) {
            Onnx__NodeProto *node =
                build_function_node(f, last ? "Neg" : next, "n", k ? "b" : "a", k ? "c" : "b");
            if (!last)
                build_own(node);
        }
    }
    return model;
}

static void test_limits(void **state)
{
    (void)state;
    expect(make_tree(10), -4, 2);
    refuse(make_tree(16), "graph: more than 20000 nodes");
    refuse(make_tree(17), "functions: graphs and functions nest deeper than 16");
    /* a constant of 2 MB in a function of 512 calls */
    Onnx__ModelProto *model = make_tree(10);
    Onnx__FunctionProto *last = model->functions[9];
    float *numbers = build_take(500000 * sizeof *numbers);
    build_attribute(build_function_node(last, "Constant", "k", "", "k"), "value", BUILD_TYPE(TENSOR))
        ->t = build_floats(NULL, "k", numbers, 500000);
    refuse(model, "Constant node 'k': functions: hold more than 268435456 bytes, call by call");
}

#define TEST(name) cmocka_unit_test_teardown(name, build_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_attributes), TEST(test_names),       TEST(test_nested),   TEST(test_absent),
        TEST(test_overloads),  TEST(test_with_graphs), TEST(test_refusals), TEST(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
