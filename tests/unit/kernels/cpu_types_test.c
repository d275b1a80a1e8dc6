/* Ops on all types of numbers, compiled for the cpu device, against the interpreter: alone, and in chains that the
 * passes would fuse if they were of floats. No maker may take a type that it does not know; what it leaves is
 * computed by the reference kernel, so whole numbers and the rarer floats come out the same to the last bit. */
#include "base/random.h"
#include "device.h"
#include "op_types.h"
#include "tensor/number.h"

#define F32_BOUND 1e-5
#define INPUTS_MAX 3

static const enum tensor_type types[] = { TENSOR_F32, TENSOR_F64, TENSOR_F16, TENSOR_BF16,
                                          TENSOR_I64, TENSOR_I32, TENSOR_I16, TENSOR_I8,
                                          TENSOR_U64, TENSOR_U32, TENSOR_U16, TENSOR_U8,
                                          TENSOR_BOOL };

/* An op, the shapes of its inputs and one attribute. A link of a chain takes the result before it as its first
 * input. */
struct link {
    const char *op;
    struct shape inputs[INPUTS_MAX];
    int input_count;
    unsigned indices; /* bit i: input i is a constant i64, and these numbers */
    int64_t numbers[8];
    struct attribute attribute;
};

static struct device *device;

static int open_device(void **state)
{
    struct error err;
    (void)state;
    return device_open(&device, "cpu:threads=2", &err);
}

static int close_device(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

static int add_input(struct graph *graph, enum tensor_type type, const struct shape *shape)
{
    struct error err;
    int value = graph_add_value(graph, "input", type, shape, &err);
    assert_true(graph_mark_input(graph, value, &err) >= 0);
    return value;
}

static int add_numbers(struct graph *graph, const struct link *link, const struct shape *shape)
{
    struct error err;
    struct tensor tensor;
    assert_int_equal(tensor_create(&tensor, TENSOR_I64, shape, &err), 0);
    memcpy(tensor.data, link->numbers, tensor_bytes(&tensor));
    return graph_add_constant(graph, "numbers", &tensor, &err);
}

/* `from` -1: the first input is one of the graph, too. */
static int add_link(struct graph *graph, const struct link *link, enum tensor_type type, int from)
{
    int inputs[INPUTS_MAX];
    struct error err;
    for (int i = 0; i < link->input_count; i++)
        inputs[i] = link->indices & 1u << i ? add_numbers(graph, link, &link->inputs[i])
                    : i == 0 && from >= 0   ? from
                                            : add_input(graph, type, &link->inputs[i]);
    int output = graph_add_value(graph, link->op, TENSOR_NONE, NULL, &err);
    const struct op *op = op_find(link->op, graph->opset);
    assert_non_null(op);
    int node = graph_add_node(graph, op, link->op, inputs, link->input_count, &output, 1, &err);
    assert_true(node >= 0);
    if (link->attribute.name)
        assert_true(graph_add_attribute(graph, node, &link->attribute, &err) >= 0);
    return output;
}

static void fill(struct tensor *tensor, struct random_state *random)
{
    bool whole = tensor_type_is_whole(tensor->type);
    for (int64_t i = 0, count = shape_elements(&tensor->shape); i < count; i++) {
        double number = random_next_unit(random);
        if (tensor->type == TENSOR_BOOL)
            number_store(tensor, i, number < 0.5);
        else if (whole) /* all bits, and some small ones */
            number_store_whole(tensor, i,
                               i % 3 ? (int64_t)(number * 20) - 9
                                     : (int64_t)((uint64_t)(number * 0x1p62) * 3));
        else
            number_store(tensor, i, number * 4 - 2);
    }
}

static void compare(const char *what, const struct tensor *got, const struct tensor *wanted)
{
    assert_int_equal(got->type, wanted->type);
    assert_true(shape_equal(&got->shape, &wanted->shape));
    for (int64_t i = 0, count = shape_elements(&wanted->shape); i < count; i++) {
        double a = number_load(got, i), b = number_load(wanted, i);
        bool bits = tensor_type_is_whole(got->type) || got->type != TENSOR_F32;
        if (bits ? a != b && !(isnan(a) && isnan(b))
                 : !(fabs(a - b) <= F32_BOUND * fmax(1, fabs(b))) && !(isnan(a) && isnan(b)) && a != b)
            fail_msg("%s of %s: element %lld is %.17g, expected %.17g", what,
                     tensor_type_word(got->type), (long long)i, a, b);
    }
}

/* False where the op does not take the type. */
static bool check_chain(const struct link *links, size_t count, enum tensor_type type)
{
    struct error err = { 0 };
    struct graph *graph = NULL;
    int value = -1;
    assert_int_equal(graph_create(&graph, &err), 0);
    graph->opset = 18;
    for (size_t i = 0; i < count; i++)
        value = add_link(graph, &links[i], type, value);
    assert_true(graph_mark_output(graph, value, &err) >= 0);
    if (graph_infer(graph, NULL, &err)) {
        graph_free(&graph);
        assert_non_null(strstr(err.text, "type"));
        return false;
    }
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    if (device_compile(device, graph, &options, &plan, &err))
        fail_msg("%s of %s: %s", links[0].op, tensor_type_word(type), err.text);
    struct random_state random;
    const struct tensor *inputs[16];
    struct tensor expected = { 0 };
    random_seed(&random, 7);
    for (int i = 0; i < graph->input_count; i++) {
        struct tensor filled = *plan_input(plan, (size_t)i);
        fill(&filled, &random);
        inputs[i] = plan_input(plan, (size_t)i);
    }
    assert_int_equal(graph_run_reference(graph, inputs, &expected, &err), 0);
    if (plan_run(plan, &err))
        fail_msg("%s of %s: %s", links[0].op, tensor_type_word(type), err.text);
    compare(links[0].op, plan_output(plan, 0), &expected);
    tensor_free(&expected);
    plan_free(&plan);
    graph_free(&graph);
    return true;
}

static void check_all(const struct link *links, size_t count, int taken)
{
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        taken -= check_chain(links, count, types[t]);
    if (taken != 0)
        fail_msg("%s: takes %d types less than expected", links[0].op, taken);
}

#define FULL SHAPE(2, 3, 4, 5)
#define TWO(name)                                                          \
    {                                                                      \
        .op = (name), .inputs = { FULL, SHAPE(3, 1, 1) }, .input_count = 2 \
    }
#define ONE(name)                                          \
    {                                                      \
        .op = (name), .inputs = { FULL }, .input_count = 1 \
    }
#define CHECK_ALL(taken, ...)                       \
    check_all((const struct link[]){ __VA_ARGS__ }, \
              sizeof((const struct link[]){ __VA_ARGS__ }) / sizeof(struct link), taken)

static void test_pairs(void **state)
{
    (void)state;
    static const char *const numeric[] = { "Add", "Sub", "Mul",   "Div", "Max",
                                           "Min", "Sum", "PRelu", "Pow" };
    static const char *const comparisons[] = { "Greater", "Less", "GreaterOrEqual", "LessOrEqual" };
    static const char *const logic[] = { "And", "Or", "Xor" };
    static const char *const bits[] = { "BitwiseAnd", "BitwiseOr", "BitwiseXor" };
    for (size_t i = 0; i < sizeof numeric / sizeof *numeric; i++)
        CHECK_ALL(12, TWO(numeric[i]));
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++)
        CHECK_ALL(12, TWO(comparisons[i]));
    for (size_t i = 0; i < sizeof logic / sizeof *logic; i++)
        CHECK_ALL(1, TWO(logic[i]));
    for (size_t i = 0; i < 3; i++)
        CHECK_ALL(8, TWO(bits[i]));
    CHECK_ALL(13, TWO("Equal"));
    CHECK_ALL(4, TWO("Mean"));
    CHECK_ALL(
        12,
        { .op = "Mod", .inputs = { FULL, SHAPE(5) }, .input_count = 2, .attribute = INT("fmod", 1) });
}

static void test_singles(void **state)
{
    (void)state;
    static const char *const floats[] = { "Exp",   "Sigmoid",  "Tanh", "LeakyRelu",
                                          "Floor", "Softsign", "Erf" };
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        CHECK_ALL(4, ONE(floats[i]));
    CHECK_ALL(12, ONE("Abs"));
    CHECK_ALL(12, ONE("Sign"));
    CHECK_ALL(8, ONE("Neg"));
    CHECK_ALL(8, ONE("Relu"));
    CHECK_ALL(12, { .op = "Clip", .inputs = { FULL, SCALAR, SCALAR }, .input_count = 3 });
    CHECK_ALL(1, ONE("Not"));
    CHECK_ALL(13, ONE("Identity"));
    CHECK_ALL(4, ONE("IsNaN"));
}

/* What passes look for: an addition with what follows, gates, and elementwise nodes in a row. */
static void test_chains(void **state)
{
    (void)state;
    CHECK_ALL(8, TWO("Add"), ONE("Relu"), TWO("Mul"), ONE("Neg"));
    CHECK_ALL(12, TWO("Mul"), TWO("Add"), TWO("Max"), ONE("Abs"));
    CHECK_ALL(12, TWO("Sub"), TWO("Div"), TWO("Min"));
    CHECK_ALL(4, TWO("Add"), ONE("Sigmoid"), TWO("Mul"), ONE("Exp"));
    CHECK_ALL(12, TWO("Max"), ONE("Identity"), TWO("Pow"));
    CHECK_ALL(8, { .op = "MatMul", .inputs = { SHAPE(4, 5), SHAPE(5, 4) }, .input_count = 2 },
              { .op = "Add", .inputs = { SHAPE(4, 4), SHAPE(4) }, .input_count = 2 });
    CHECK_ALL(6, { .op = "MatMul", .inputs = { SHAPE(4, 5), SHAPE(5, 4) }, .input_count = 2 },
              { .op = "Relu", .inputs = { SHAPE(4, 4) }, .input_count = 1 });
}

static void test_products(void **state)
{
    (void)state;
    CHECK_ALL(8, { .op = "MatMul", .inputs = { SHAPE(2, 4, 5), SHAPE(5, 7) }, .input_count = 2 });
    CHECK_ALL(8, { .op = "MatMul", .inputs = { SHAPE(5), SHAPE(5, 7) }, .input_count = 2 });
    CHECK_ALL(8, { .op = "Gemm",
                   .inputs = { SHAPE(4, 5), SHAPE(7, 5), SHAPE(7) },
                   .input_count = 3,
                   .attribute = INT("transB", 1) });
    CHECK_ALL(12, { .op = "Einsum",
                    .inputs = { SHAPE(4, 5), SHAPE(5, 7) },
                    .input_count = 2,
                    .attribute = STRING("equation", "ij,jk->ki") });
    CHECK_ALL(4, { .op = "Det", .inputs = { SHAPE(2, 4, 4) }, .input_count = 1 });
}

static void test_folds(void **state)
{
    (void)state;
    static const char *const reductions[] = { "ReduceMean",     "ReduceProd",   "ReduceL1",
                                              "ReduceL2",       "ReduceLogSum", "ReduceSumSquare",
                                              "ReduceLogSumExp" };
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++)
        CHECK_ALL(12, { .op = reductions[i],
                        .inputs = { FULL, SHAPE(2) },
                        .input_count = 2,
                        .indices = 2,
                        .numbers = { 1, -1 } });
    CHECK_ALL(12, { .op = "ReduceSum",
                    .inputs = { FULL, SHAPE(2) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 2, 3 } });
    CHECK_ALL(13, { .op = "ReduceMax",
                    .inputs = { FULL, SHAPE(1) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 2 } });
    CHECK_ALL(13, ONE("ReduceMin"));
    CHECK_ALL(12, { .op = "CumSum",
                    .inputs = { FULL, SCALAR },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 2 } });
    CHECK_ALL(12, ONE("ArgMax"));
    CHECK_ALL(12, ONE("ArgMin"));
    CHECK_ALL(4, ONE("Hardmax"));
    CHECK_ALL(
        4, { .op = "Softmax", .inputs = { FULL }, .input_count = 1, .attribute = INT("axis", 1) });
    CHECK_ALL(4, ONE("LogSoftmax"));
}

static void test_moves(void **state)
{
    (void)state;
    CHECK_ALL(13, { .op = "Transpose",
                    .inputs = { FULL },
                    .input_count = 1,
                    .attribute = INTS("perm", 0, 2, 3, 1) });
    CHECK_ALL(13, { .op = "Concat",
                    .inputs = { FULL, SHAPE(2, 1, 4, 5) },
                    .input_count = 2,
                    .attribute = INT("axis", 1) });
    CHECK_ALL(13, { .op = "Reshape",
                    .inputs = { FULL, SHAPE(2) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 6, -1 } });
    CHECK_ALL(13, { .op = "Expand",
                    .inputs = { SHAPE(3, 1), SHAPE(3) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 2, 3, 4 } });
    CHECK_ALL(13, { .op = "Tile",
                    .inputs = { SHAPE(3, 2), SHAPE(2) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 2, 3 } });
    CHECK_ALL(13, { .op = "Pad",
                    .inputs = { SHAPE(3, 2), SHAPE(4) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 1, 0, 2, 3 } });
    CHECK_ALL(13, { .op = "Pad",
                    .inputs = { SHAPE(1, 1, 3, 4), SHAPE(8) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 0, 0, 1, 2, 0, 0, 1, 0 },
                    .attribute = STRING("mode", "reflect") });
    CHECK_ALL(13, { .op = "Gather",
                    .inputs = { FULL, SHAPE(2) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 1, -1 } });
    CHECK_ALL(13, { .op = "GatherElements",
                    .inputs = { SHAPE(3, 2), SHAPE(2, 2) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 1, -1, 2, 0 } });
    CHECK_ALL(13, { .op = "GatherND",
                    .inputs = { SHAPE(3, 2, 4), SHAPE(2, 2) },
                    .input_count = 2,
                    .indices = 2,
                    .numbers = { 1, -1, 2, 0 } });
    CHECK_ALL(13, { .op = "ScatterND",
                    .inputs = { SHAPE(3, 2), SHAPE(2, 1), SHAPE(2, 2) },
                    .input_count = 3,
                    .indices = 2,
                    .numbers = { 2, 0 } });
    CHECK_ALL(12, { .op = "ScatterElements",
                    .inputs = { SHAPE(3, 2), SHAPE(2, 2), SHAPE(2, 2) },
                    .input_count = 3,
                    .indices = 2,
                    .numbers = { 2, 0, 2, 1 },
                    .attribute = STRING("reduction", "add") });
    CHECK_ALL(13, { .op = "DepthToSpace",
                    .inputs = { SHAPE(1, 8, 2, 3) },
                    .input_count = 1,
                    .attribute = INT("blocksize", 2) });
    CHECK_ALL(13, ONE("Trilu"));
    CHECK_ALL(13, { .op = "Cast", .inputs = { FULL }, .input_count = 1, .attribute = INT("to", 11) });
    CHECK_ALL(13, { .op = "Cast", .inputs = { FULL }, .input_count = 1, .attribute = INT("to", 3) });
    CHECK_ALL(1,
              { .op = "Where", .inputs = { SHAPE(2, 2), SHAPE(2, 2), SHAPE(2) }, .input_count = 3 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),  cmocka_unit_test(test_singles),
        cmocka_unit_test(test_chains), cmocka_unit_test(test_products),
        cmocka_unit_test(test_folds),  cmocka_unit_test(test_moves),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
