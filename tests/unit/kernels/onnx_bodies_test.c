/* If, Loop and Scan: small models are packed, read and inferred, after which nothing of them may be left but what
 * they do; what that gives is worked out by hand. Then what must be refused, in the words that say where and why. */
#include "onnx_build.h"
#include "op_check.h"
#include "onnx/write.h"

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

static bool has_bodies(const struct graph *graph)
{
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op->has_bodies)
            return true;
    return false;
}

static struct graph *infer_model(const Onnx__ModelProto *model)
{
    struct graph *graph = read_model(model);
    assert_true(has_bodies(graph));
    if (graph_infer(graph, NULL, &err))
        fail_msg("%s", err.text);
    assert_false(has_bodies(graph));
    return graph;
}

static void refuse(const Onnx__ModelProto *model, const char *words)
{
    struct graph *graph;
    int rc = build_read(model, &graph, &err);
    if (!rc)
        rc = graph_infer(graph, NULL, &err);
    graph_free(&graph);
    if (!rc || !strstr(err.text, words))
        fail_msg("message \"%s\" lacks \"%s\"", rc ? err.text : "", words);
}

/* One input and one output, of floats. */
static void expect(struct graph *graph, const struct tensor *input, const struct tensor *expected)
{
    struct tensor result = { 0 };
    if (graph_run_reference(graph, &input, &result, &err))
        fail_msg("%s", err.text);
    compare_tensors("result", &result, expected);
    tensor_free(&result);
}

#define EXPECT(graph, in, out)                            \
    do {                                                  \
        const struct tensor input_ = in, expected_ = out; \
        expect(graph, &input_, &expected_);               \
    } while (0)

/* then: x + w, else: x * w, where w is a constant of the branch and x comes from around it. */
static Onnx__GraphProto *make_branch(const char *op, float w)
{
    Onnx__GraphProto *branch = build_graph("", "z");
    build_floats(branch, "w", &w, -1);
    build_node(branch, op, "inner", "x w", "z");
    return branch;
}

static Onnx__NodeProto *add_if(Onnx__GraphProto *graph, const char *condition)
{
    Onnx__NodeProto *node = build_node(graph, "If", "fork", condition, "y");
    build_body(node, "else_branch", make_branch("Mul", 10));
    build_body(node, "then_branch", make_branch("Add", 1));
    return node;
}

/* The condition is whether x has so many columns. */
static Onnx__ModelProto *if_by_shape(int64_t columns)
{
    Onnx__GraphProto *graph = build_graph("x:1,3", "y");
    add_if(graph, "same");
    build_node(graph, "Shape", "shape", "x", "shape");
    build_node(graph, "Gather", "width", "shape one", "width");
    build_node(graph, "Equal", "equal", "width columns", "same");
    build_whole(graph, "one", 1);
    build_whole(graph, "columns", columns);
    return build_model(graph, 13);
}

static void test_if_known(void **state)
{
    (void)state;
    for (int64_t columns = 3; columns < 5; columns++) {
        struct graph *graph = infer_model(if_by_shape(columns));
        assert_int_equal(graph->node_count, 2); /* the branch, and Identity behind it */
        assert_string_equal(graph->nodes[0].name, "fork/inner");
        if (columns == 3)
            EXPECT(graph, F32(SHAPE(1, 3), 1, 2, 3), F32(SHAPE(1, 3), 2, 3, 4));
        else
            EXPECT(graph, F32(SHAPE(1, 3), 1, 2, 3), F32(SHAPE(1, 3), 10, 20, 30));
        graph_free(&graph);
    }
}

/* The condition is whether the sum of x is below 5; rank 0 or one element. */
static Onnx__GraphProto *if_by_content(int64_t keep)
{
    Onnx__GraphProto *graph = build_graph("x:1,3", "y");
    Onnx__NodeProto *sum = build_node(graph, "ReduceSum", "sum", "x", "sum");
    build_int(sum, "keepdims", keep);
    build_node(graph, "Less", "less", "sum five", "small");
    build_floats(graph, "five", &(const float){ 5 }, -1);
    return graph;
}

static void test_if_unknown(void **state)
{
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        Onnx__GraphProto *proto = if_by_content(keep);
        add_if(proto, "small");
        struct graph *graph = infer_model(build_model(proto, 13));
        EXPECT(graph, F32(SHAPE(1, 3), 1, 2, -3), F32(SHAPE(1, 3), 2, 3, -2));
        EXPECT(graph, F32(SHAPE(1, 3), 1, 2, 3), F32(SHAPE(1, 3), 10, 20, 30));
        graph_free(&graph);
    }
}

/* A branch gives back what it sees around it; a second output is left out. */
static void test_if_passes_on(void **state)
{
    (void)state;
    Onnx__GraphProto *proto = build_graph("x:1,3", "y");
    Onnx__GraphProto *same = build_graph("", "x x");
    Onnx__GraphProto *twice = build_graph("", "z z");
    build_bool(proto, "no", false);
    build_node(twice, "Add", "twice", "x x", "z");
    Onnx__NodeProto *inner = build_node(same, "If", "inner", "no", "q");
    build_body(inner, "then_branch", twice);
    build_body(inner, "else_branch", build_graph("", "x"));
    Onnx__NodeProto *node = build_node(proto, "If", "fork", "no", "- y");
    build_body(node, "then_branch", twice);
    build_body(node, "else_branch", same);
    struct graph *graph = infer_model(build_model(proto, 13));
    EXPECT(graph, F32(SHAPE(1, 3), 1, 2, 3), F32(SHAPE(1, 3), 1, 2, 3));
    graph_free(&graph);
}

static void test_if_refusals(void **state)
{
    (void)state;
    Onnx__ModelProto *model = if_by_shape(3);
    Onnx__NodeProto *node = model->graph->node[0];
    node->n_attribute = 1;
    refuse(model, "If node 'fork': then_branch: the graph is missing");
    node->n_attribute = 2;
    node->attribute[1]->g->n_output = 0;
    refuse(model, "If node 'fork': then_branch: has 0 outputs; at least 1 expected");

    model = if_by_shape(3);
    build_infos("extra", &model->graph->node[0]->attribute[0]->g->input,
                &model->graph->node[0]->attribute[0]->g->n_input);
    refuse(model, "If node 'fork': else_branch: has 1 inputs; 0 expected");

    model = if_by_shape(3);
    model->graph->node[0]->input[0] = build_text("x", 1);
    refuse(model, "If node 'fork': cond: is 1x3 of f32; one bool expected");
    model->graph->node[0]->input[0] = build_text("", 0);
    refuse(model, "If node 'fork': cond: the input is missing");
    model->graph->node[0]->n_input = 0;
    refuse(model, "If node 'fork': cond: the input is missing");

    Onnx__GraphProto *graph = if_by_content(0);
    node = build_node(graph, "If", "fork", "small", "y");
    Onnx__GraphProto *row = build_graph("", "z");
    build_node(row, "ReduceSum", "row", "x", "z");
    build_body(node, "then_branch", make_branch("Add", 1));
    build_body(node, "else_branch", row);
    refuse(
        build_model(graph, 13),
        "If node 'fork': cond: is known only in the run, and output 0 is 1x3 of f32 or 1x1 of f32");
}

/* What is wrong within a branch is told with the way there. */
static void test_wrong_branches(void **state)
{
    (void)state;
    Onnx__ModelProto *model = if_by_shape(3);
    Onnx__GraphProto *branch = model->graph->node[0]->attribute[0]->g;
    branch->node[0]->op_type = build_text("Foo", 3);
    refuse(
        model,
        "test.onnx: If node 'fork': attribute 'else_branch': Foo node 'inner': op: 'Foo' of domain "
        "'ai.onnx', opset 13, is not implemented");

    branch->node[0]->op_type = build_text("Mul", 3);
    branch->node[0]->input[0] = build_text("nowhere", 7);
    refuse(model,
           "attribute 'else_branch': Mul node 'inner': inputs: 'nowhere' is written by no node");

    branch->node[0]->input[0] = build_text("z", 1);
    refuse(model, "attribute 'else_branch': Mul: node 'inner' is on a cycle");
    branch->node[0]->input[0] = build_text("y", 1); /* what the If itself writes */
    refuse(model, "If: node 'fork' is on a cycle");

    branch->node[0]->input[0] = build_text("x", 1);
    branch->initializer[0]->n_float_data = 0;
    refuse(model, "attribute 'else_branch': initializer 'w': tensor: 0 numbers of data for");
    branch->initializer[0]->n_float_data = 1;
    branch->initializer[0]->data_type = 8;
    refuse(model,
           "attribute 'else_branch': initializer 'w': tensor: data type number 8 is not supported");
    branch->initializer[0]->data_type = 1;
    branch->initializer[0]->n_dims = 1;
    branch->initializer[0]->dims[0] = (int64_t)1 << 40;
    refuse(model, "initializer 'w': tensor: larger than");
    branch->initializer[0]->n_dims = 0;

    branch->output[0]->name = build_text("nothing", 7);
    refuse(model, "attribute 'else_branch': graph: no node writes the output 'nothing'");
    branch->output[0]->name = build_text("z", 1);
    model->graph->node[0]->attribute[0]->g = NULL;
    refuse(model, "attribute 'else_branch': value: is missing");

    /* A shape that only shows when the branch is put in its place. */
    model = if_by_shape(4);
    branch = model->graph->node[0]->attribute[0]->g;
    branch->node[0]->op_type = build_text("Expand", 6);
    branch->initializer[0] = build_whole(NULL, "w", (int64_t)1 << 40);
    branch->initializer[0]->n_dims = 1;
    branch->initializer[0]->dims[0] = 1;
    refuse(model, "If node 'fork': else_branch: Expand node 'fork/inner': ");
}

/* So many branches in one another. */
static void test_depth(void **state)
{
    (void)state;
    for (int depth = 6; depth < 12; depth += 5) {
        Onnx__GraphProto *graph = build_graph("x:1,3", "y"), *at = graph;
        build_bool(graph, "yes", true);
        for (int i = 0; i < depth; i++) {
            Onnx__NodeProto *node = build_node(at, "If", "fork", "yes", "y");
            Onnx__GraphProto *inside = build_graph("", "y");
            build_body(node, "then_branch", inside);
            build_body(node, "else_branch", build_graph("", "x"));
            at = inside;
        }
        build_node(at, "Neg", "inner", "x", "y");
        Onnx__ModelProto *model = build_model(graph, 13);
        if (depth > 6) {
            refuse(model, "test.onnx: file: messages nest deeper than 32");
            continue;
        }
        struct graph *inferred = infer_model(model);
        EXPECT(inferred, F32(SHAPE(1, 3), 1, 2, 3), F32(SHAPE(1, 3), -1, -2, -3));
        graph_free(&inferred);
    }
}

/* a, b = b, a + b + w[trip] from a, b = x, 0; b of each trip is stacked. */
static Onnx__GraphProto *loop_body(void)
{
    static const float w[] = { 100, 200, 300, 400 };
    Onnx__GraphProto *body = build_graph("trip:i64: go:bool: a b", "go b next next");
    build_floats(body, "w", w, 4);
    build_node(body, "Gather", "gather", "w trip", "extra");
    build_node(body, "Sum", "sum", "a b extra", "next");
    return body;
}

static Onnx__ModelProto *make_loop(const char *inputs, const char *outputs)
{
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    build_body(build_node(graph, "Loop", "rounds", inputs, outputs), "body", loop_body());
    build_whole(graph, "three", 3);
    build_bool(graph, "yes", true);
    build_bool(graph, "no", false);
    build_floats(graph, "zero", &(const float){ 0 }, -1);
    return build_model(graph, 13);
}

static void test_loop(void **state)
{
    (void)state;
    struct graph *graph = infer_model(make_loop("three yes x zero", "- - y"));
    /* b: x + 100, x + 300, 2x + 700 */
    EXPECT(graph, F32(SHAPE(2), 1, 2), F32(SHAPE(3, 2), 101, 102, 301, 302, 702, 704));
    graph_free(&graph);
    graph = infer_model(make_loop("three - x zero", "y"));
    EXPECT(graph, F32(SHAPE(2), 1, 2), F32(SHAPE(2), 301, 302));
    graph_free(&graph);
    /* not once: what is carried stays what it was */
    graph = infer_model(make_loop("three no x zero", "y"));
    EXPECT(graph, F32(SHAPE(2), 1, 2), F32(SHAPE(2), 1, 2));
    graph_free(&graph);
}

/* It goes on while twice the trip is below `limit`, which the body finds by folding. */
static Onnx__ModelProto *make_while(const char *trips, int64_t limit)
{
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    Onnx__GraphProto *body = build_graph("trip go a", "more next");
    build_node(body, "Add", "twice", "trip trip", "twice");
    build_node(body, "Less", "less", "twice limit", "more");
    build_node(body, "Add", "add", "a x", "next");
    build_whole(graph, "limit", limit);
    build_whole(graph, "twenty", 20);
    build_bool(graph, "yes", true);
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s yes x", trips);
    build_body(build_node(graph, "Loop", "rounds", inputs, "y"), "body", body);
    return build_model(graph, 13);
}

static void test_while(void **state)
{
    (void)state;
    /* trips 0 to 3: 6 is no longer below 6 */
    struct graph *graph = infer_model(make_while("-", 6));
    EXPECT(graph, F32(SHAPE(2), 1, 2), F32(SHAPE(2), 5, 10));
    graph_free(&graph);
    graph = infer_model(make_while("twenty", 1000));
    EXPECT(graph, F32(SHAPE(2), 1, 2), F32(SHAPE(2), 21, 42));
    graph_free(&graph);
    refuse(make_while("-", INT32_MAX), "Loop node 'rounds': body: more than 10000 trips");
}

/* More pieces than a Concat takes; the weights of the body are there once. */
static void test_many_trips(void **state)
{
    (void)state;
    Onnx__GraphProto *proto = build_graph("x:1", "y");
    Onnx__GraphProto *body = build_graph("trip go a", "go next a");
    float *weights = build_take(1000 * sizeof *weights);
    weights[7] = 1;
    build_floats(body, "w", weights, 1000);
    build_whole(body, "seven", 7);
    build_node(body, "Add", "add", "a one", "next");
    build_node(body, "Gather", "gather", "w seven", "one");
    build_body(build_node(proto, "Loop", "rounds", "trips - x", "- y"), "body", body);
    build_whole(proto, "trips", 5000);
    struct graph *graph = infer_model(build_model(proto, 13));
    float *expected = build_take(5000 * sizeof *expected);
    uint64_t bytes = 0;
    for (int i = 0; i < 5000; i++)
        expected[i] = (float)i + 3;
    for (int i = 0; i < graph->value_count; i++)
        if (graph->values[i].constant.data)
            bytes += tensor_bytes(&graph->values[i].constant);
    assert_true(bytes < 200000); /* not 5000 times 4000 */
    const struct tensor input = F32(SHAPE(1), 3);
    expect(graph, &input,
           &(struct tensor){ .type = TENSOR_F32, .shape = SHAPE(5000, 1), .data = expected });
    graph_free(&graph);
}

static void test_loop_refusals(void **state)
{
    (void)state;
    Onnx__ModelProto *model = make_loop("three yes x zero", "y");
    Onnx__NodeProto *node = model->graph->node[0];
    node->n_attribute = 0;
    refuse(model, "Loop node 'rounds': body: the graph is missing");
    refuse(make_loop("three yes x", "y"), "Loop node 'rounds': body: has 4 inputs; 3 expected");
    refuse(make_loop("- - x zero", "y"),
           "Loop node 'rounds': inputs: neither trip count nor condition");
    refuse(make_loop("three yes - zero", "y"), "Loop node 'rounds': inputs: input 2 is missing");
    refuse(make_loop("yes yes x zero", "y"), "trip count: is scalar of bool; one i64 expected");
    refuse(make_loop("three three x zero", "y"), "cond: is scalar of i64; one bool expected");
    refuse(make_loop("three no x zero", "- - y"),
           "trip count: is 0: what output 2 would be is not known");
    refuse(make_loop("three yes x zero", "- - - - y"), "body: has 4 outputs; at least 6 expected");

    model = make_loop("three yes x zero", "y");
    model->graph->initializer[0]->int64_data[0] = 5; /* w has four numbers */
    refuse(model, "Loop node 'rounds': body, trip 4: Gather node 'rounds/4/gather': ");

    /* known only in the run: the trips, whether to begin, whether to go on */
    const char *const inputs[] = { "count yes x zero", "three small x zero", "three yes x zero" };
    const char *const words[] = { "trip count: is known only in the run",
                                  "cond: is known only in the run",
                                  "condition of the body: is known only in the run (trip 0)" };
    for (int i = 0; i < 3; i++) {
        model = make_loop(inputs[i], "y");
        build_node(model->graph, "ReduceSum", "sum", "x", "sum");
        build_node(model->graph, "Less", "less", "sum zero", "small");
        build_int(build_node(model->graph, "Cast", "cast", "sum", "count"), "to", 7);
        if (i == 2)
            model->graph->node[0]->attribute[0]->g->output[0]->name = build_text("small", 5);
        refuse(model, words[i]);
    }
}

/* A loop in a loop, 200 x 200 trips. */
static void test_too_large(void **state)
{
    (void)state;
    Onnx__GraphProto *graph = build_graph("x:2", "y");
    Onnx__GraphProto *outer = build_graph("trip go a", "go next");
    Onnx__GraphProto *inner = build_graph("trip go b", "go next");
    build_node(inner, "Add", "add", "b x", "next");
    build_body(build_node(outer, "Loop", "inner", "trips - a", "next"), "body", inner);
    build_body(build_node(graph, "Loop", "outer", "trips - x", "y"), "body", outer);
    build_whole(graph, "trips", 200);
    refuse(build_model(graph, 13), "graph: more than 20000 nodes");
    /* without nodes there is as little an end */
    inner->n_node = 0;
    inner->output[1]->name = build_text("b", 1);
    graph->initializer[0]->int64_data[0] = 9999;
    refuse(build_model(graph, 13), "Loop node 'outer': body, trip ");
}

/* Running sums over the rows of x, and each row; columns of w are read from the last on. */
static void test_scan(void **state)
{
    (void)state;
    static const int64_t backwards[] = { 0, 1 };
    for (int way = 0; way < 2; way++) {
        Onnx__GraphProto *proto = build_graph("x:3,2", "y");
        Onnx__GraphProto *body = build_graph("sum row column", "next all");
        build_node(body, "Add", "add", "sum row", "next");
        build_node(body, "Add", "more", "next column", "all");
        Onnx__NodeProto *node = build_node(proto, "Scan", "rows", "start x w", "- y");
        build_body(node, "body", body);
        build_int(node, "num_scan_inputs", 2);
        build_ints(node, "scan_input_axes", 0, -1, 2);
        build_ints(node, "scan_input_directions", 0, 1, 2);
        build_ints(node, "scan_output_axes", 1, 0, 1);
        build_ints(node, "scan_output_directions", backwards[way], 0, 1);
        build_floats(proto, "start", (const float[]){ 0, 0 }, 2);
        Onnx__TensorProto *w =
            build_floats(proto, "w", (const float[]){ 100, 200, 300, 400, 500, 600 }, 6);
        w->n_dims = 2;
        w->dims = build_take(2 * sizeof *w->dims);
        w->dims[0] = 2;
        w->dims[1] = 3;
        struct graph *graph = infer_model(build_model(proto, way ? 11 : 13));
        if (way == 0) /* sums 1 2, 4 6, 9 12; columns 300 600, 200 500, 100 400 */
            EXPECT(graph, F32(SHAPE(3, 2), 1, 2, 3, 4, 5, 6),
                   F32(SHAPE(2, 3), 301, 204, 109, 602, 506, 412));
        else
            EXPECT(graph, F32(SHAPE(3, 2), 1, 2, 3, 4, 5, 6),
                   F32(SHAPE(2, 3), 109, 204, 301, 412, 506, 602));
        graph_free(&graph);
    }
}

static Onnx__ModelProto *make_scan(int64_t scanned, int64_t axis)
{
    Onnx__GraphProto *graph = build_graph("x:3,2", "y");
    Onnx__GraphProto *body = build_graph("sum row", "next next");
    build_node(body, "Add", "add", "sum row", "next");
    Onnx__NodeProto *node = build_node(graph, "Scan", "rows", "x x", "- y");
    build_body(node, "body", body);
    build_int(node, "num_scan_inputs", scanned);
    build_ints(node, "scan_input_axes", axis, 0, 1);
    return build_model(graph, 13);
}

static void test_scan_refusals(void **state)
{
    (void)state;
    refuse(make_scan(0, 0), "Scan node 'rows': num_scan_inputs: 0 of 2 inputs");
    refuse(make_scan(3, 0), "Scan node 'rows': num_scan_inputs: 3 of 2 inputs");
    refuse(make_scan(1, 2), "Scan node 'rows': scan_input_axes: 2 of 2 dimensions");
    refuse(make_scan(2, 0), "Scan node 'rows': scan_input_axes: 1 numbers for 2");
    Onnx__ModelProto *model = make_scan(1, 0);
    build_ints(model->graph->node[0], "scan_output_axes", 3, 0, 1);
    refuse(model, "Scan node 'rows': scan_output_axes: 3 for 2 dimensions");
    model = make_scan(1, 0);
    model->opset_import[0]->version = 8;
    refuse(model,
           "'Scan' of domain 'ai.onnx', opset 8, is not implemented (for other opsets it is)");
}

/* Copies share bodies, whichever is freed first; and what holds bodies is not written yet. */
static void test_copies(void **state)
{
    (void)state;
    struct graph *graph = read_model(if_by_shape(3)), *copy = NULL, *another = NULL;
    void *bytes = NULL;
    size_t size = 0;
    assert_int_equal(graph_clone(&copy, graph, &err), 0);
    assert_int_equal(graph_clone(&another, copy, &err), 0);
    graph_free(&graph);
    assert_int_equal(graph_infer(copy, NULL, &err), 0);
    EXPECT(copy, F32(SHAPE(1, 3), 1, 2, 3), F32(SHAPE(1, 3), 2, 3, 4));
    assert_int_equal(onnx_write_bytes(another, &bytes, &size, &err), -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "If node 'fork' holds graphs"));
    assert_int_equal(onnx_write_bytes(copy, &bytes, &size, &err), 0);
    assert_int_equal(onnx_read_bytes(&graph, bytes, size, "again", &err), 0);
    free(bytes);
    graph_free(&graph);
    graph_free(&copy);
    graph_free(&another);
}

#define TEST(name) cmocka_unit_test_teardown(name, build_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_if_known),      TEST(test_if_unknown),     TEST(test_if_passes_on),
        TEST(test_if_refusals),   TEST(test_wrong_branches), TEST(test_depth),
        TEST(test_loop),          TEST(test_while),          TEST(test_many_trips),
        TEST(test_loop_refusals), TEST(test_too_large),      TEST(test_scan),
        TEST(test_scan_refusals), TEST(test_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
