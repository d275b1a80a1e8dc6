/* Proves that a planner runs a graph with whatever shapes come, makes a plan once for each, learns which inputs'
 * values decide shapes, keeps no more plans than it was told, and says what it cannot do. */
#include "planner.h"
#include "cpu_check.h"

#define FREE (-1)

static struct device *device;
static struct error err;

static int open_device(void **state)
{
    (void)state;
    return device_open(&device, "cpu:threads=2", &err);
}

static int close_device(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

static void must(int result)
{
    if (result < 0)
        fail_msg("%s", err.text);
}

static int input(struct net *net, const char *name, enum tensor_type type, const struct shape *shape)
{
    int value = graph_add_value(net->graph, name, type, shape, &err);
    must(value);
    must(graph_mark_input(net->graph, value, &err));
    return value;
}

static struct planner *opened(struct net *net, uint32_t plans)
{
    struct planner *planner = NULL;
    const struct planner_options options = { .precision = PRECISION_F32, .plans = plans };
    must(planner_open(&planner, device, net->graph, &options, &err));
    graph_free(&net->graph); /* it was only borrowed */
    return planner;
}

static struct tensor floats(int64_t rows, int64_t columns, float *data)
{
    return (struct tensor){ .type = TENSOR_F32,
                            .shape = { .rank = 2, .dim = { rows, columns } },
                            .data = data };
}

static struct tensor ints(int64_t count, int64_t *data)
{
    return (
        struct tensor){ .type = TENSOR_I64, .shape = { .rank = 1, .dim = { count } }, .data = data };
}

/* Runs it and compares the one output. */
static void expect(struct planner *planner, const struct tensor *const *inputs, int64_t rows,
                   int64_t columns, const float *wanted)
{
    struct plan *plan = NULL;
    must(planner_run(planner, inputs, &plan, &err));
    const struct tensor *output = plan_output(plan, 0);
    const struct shape shape = { .rank = 2, .dim = { rows, columns } };
    assert_true(shape_equal(&output->shape, &shape));
    assert_memory_equal(output->data, wanted, (size_t)(rows * columns) * sizeof *wanted);
}

static void counts_are(const struct planner *planner, uint64_t found, uint64_t compiled,
                       uint64_t dropped, uint32_t kept, uint32_t bound)
{
    struct planner_counts counts;
    planner_get_counts(planner, &counts);
    assert_int_equal(counts.found, found);
    assert_int_equal(counts.compiled, compiled);
    assert_int_equal(counts.dropped, dropped);
    assert_int_equal(counts.kept, kept);
    assert_int_equal(counts.bound, bound);
}

static void test_shapes(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = input(&net, "x", TENSOR_F32, SHAPE(FREE, FREE));
    net_output(&net, net_node(&net, "Relu", x, -2));
    struct planner *planner = opened(&net, 2);
    float data[] = { -1, 2, -3, 4, 5, -6 }, right[] = { 0, 2, 0, 4, 5, 0 };
    struct tensor wide = floats(2, 3, data), tall = floats(3, 2, data), row = floats(1, 4, data);
    for (int i = 0; i < 3; i++) {
        expect(planner, (const struct tensor *const[]){ &wide }, 2, 3, right);
        expect(planner, (const struct tensor *const[]){ &tall }, 3, 2, right);
    }
    counts_are(planner, 4, 2, 0, 2, 0);
    /* wide is the one that was used longest ago */
    expect(planner, (const struct tensor *const[]){ &row }, 1, 4, right);
    counts_are(planner, 4, 3, 1, 2, 0);
    expect(planner, (const struct tensor *const[]){ &tall }, 3, 2, right);
    counts_are(planner, 5, 3, 1, 2, 0);
    expect(planner, (const struct tensor *const[]){ &wide }, 2, 3, right);
    counts_are(planner, 5, 4, 2, 2, 0);
    planner_close(&planner);
    assert_null(planner);
    planner_close(&planner);
}

/* The target of the Reshape is computed from two inputs, one of them by way of an addition. */
static void test_values(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int first = input(&net, "first", TENSOR_I64, SHAPE(1));
    int x = input(&net, "x", TENSOR_F32, SHAPE(2, 3));
    int more = input(&net, "more", TENSOR_I64, SHAPE(1));
    int sum = net_node(&net, "Add", first, more, -2);
    int minus = INTS(&net, -1);
    int target = net_node(&net, "Concat", sum, minus, -2);
    net_int(&net, "axis", 0);
    net_output(&net, net_node(&net, "Reshape", x, target, -2));
    struct planner *planner = opened(&net, 0);
    float data[] = { 1, 2, 3, 4, 5, 6 };
    int64_t one = 1, two = 2;
    struct tensor a = ints(1, &one), b = ints(1, &two), numbers = floats(2, 3, data);
    const struct tensor *three[] = { &a, &numbers, &b }, *two_rows[] = { &a, &numbers, &a };
    assert_false(planner_is_bound(planner, 0));
    expect(planner, three, 3, 2, data);
    counts_are(planner, 0, 1, 0, 1, 2);
    assert_true(planner_is_bound(planner, 0) && planner_is_bound(planner, 2));
    assert_false(planner_is_bound(planner, 1));
    data[0] = 9; /* not one of those that decide: the plan is the same */
    expect(planner, three, 3, 2, data);
    counts_are(planner, 1, 1, 0, 1, 2);
    expect(planner, two_rows, 2, 3, data);
    counts_are(planner, 1, 2, 0, 2, 2);
    planner_close(&planner);
}

static void refuse(struct planner *planner, const struct tensor *const *inputs, const char *words)
{
    struct plan *plan = NULL;
    struct planner_counts before, after;
    planner_get_counts(planner, &before);
    assert_true(planner_run(planner, inputs, &plan, &err) < 0);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    planner_get_counts(planner, &after);
    assert_int_equal(before.kept, after.kept);
}

static void test_refusals(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = input(&net, "x", TENSOR_F32, SHAPE(FREE, 3));
    int target = input(&net, "target", TENSOR_I64, SHAPE(FREE));
    net_output(&net, net_node(&net, "Reshape", x, target, -2));
    struct planner *planner = opened(&net, 0);
    float data[6] = { 0 };
    int64_t good[] = { 3, 2 }, bad[] = { 4, 4 };
    struct tensor numbers = floats(2, 3, data), flat = ints(2, good), wrong = ints(2, bad);
    struct tensor deep = { .type = TENSOR_F32,
                           .shape = { .rank = 3, .dim = { 1, 2, 3 } },
                           .data = data };
    refuse(planner, (const struct tensor *const[]){ &flat, &flat }, "x: i64 given, f32 wanted");
    refuse(planner, (const struct tensor *const[]){ &deep, &flat }, "x: the input has 2 dimensions");
    refuse(planner, (const struct tensor *const[]){ &numbers, &wrong }, "Reshape node");
    expect(planner, (const struct tensor *const[]){ &numbers, &flat }, 3, 2, data);
    planner_close(&planner);
}

/* A picture that says its own shape is more than anyone means. */
static void test_large_values(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = input(&net, "x", TENSOR_I64, SHAPE(FREE));
    int sum = net_node(&net, "ReduceSum", x, -2);
    int data = input(&net, "data", TENSOR_F32, SHAPE(1, 1));
    net_output(&net, net_node(&net, "Expand", data, sum, -2));
    struct planner *planner = opened(&net, 0);
    int64_t count = (int64_t)(GRAPH_BOUND_BYTES_MAX / sizeof(int64_t)) + 1;
    int64_t *zeros = calloc((size_t)count, sizeof *zeros);
    assert_non_null(zeros);
    float number = 1;
    struct tensor many = ints(count, zeros), one = floats(1, 1, &number);
    refuse(planner, (const struct tensor *const[]){ &many, &one },
           "a shape depends on the values of input 'x', which is too large for that: Expand node");
    free(zeros);
    planner_close(&planner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_large_values),
    };
    return cmocka_run_group_tests_name("planner", tests, open_device, close_device);
}
