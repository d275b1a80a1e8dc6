/* The gradients of ops that move elements: in doubles against finite differences, in floats and on the
 * cpu device against the doubles. Every attribute, odd shapes, negative axes and steps, elements that
 * are read several times or not at all. */
#include "cpu_device.h"
#include "gradient_check.h"

/* The net behind y, checked. A square of it makes the gradient depend on the inputs: of what does
 * not, compiling leaves a constant. */
static void check(struct net *net, int y, const char *what)
{
    net_output(net, net_node(net, "Mul", y, y, -2));
    gradient_check_bf16(net, device, 0.02, what);
    net_end(net);
}

static void test_views(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 3, 1, 4));
    check(&net, net_node(&net, "Reshape", x, INTS(&net, 4, -1), -2), "Reshape");

    net_begin(&net, 2);
    x = net_input(&net, SHAPE(2, 3, 1, 4));
    int y = net_node(&net, "Flatten", x, -2);
    net_int(&net, "axis", -2);
    check(&net, y, "Flatten");

    net_begin(&net, 3);
    x = net_input(&net, SHAPE(2, 3, 1, 4));
    y = net_node(&net, "Squeeze", x, INTS(&net, -2), -2);
    check(&net, net_node(&net, "Unsqueeze", y, INTS(&net, 0, 2), -2), "Squeeze and Unsqueeze");

    net_begin(&net, 4);
    net.graph->opset = 11;
    x = net_input(&net, SHAPE(2, 3, 1, 4));
    y = net_node(&net, "Squeeze", x, -2);
    y = net_node(&net, "Unsqueeze", net_node(&net, "Identity", y, -2), -2);
    LIST(&net, "axes", 1);
    check(&net, net_node(&net, "Dropout", y, -2), "opset 11");
}

/* What is made of a shape has no gradient and is in nobody's way. */
static void test_shape(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 6)), y = net_input(&net, SHAPE(3, 4));
    int shape = net_node(&net, "Shape", y, -2);
    int z = net_node(&net, "Concat", net_node(&net, "Reshape", x, shape, -2), y, -2);
    net_int(&net, "axis", 0);
    check(&net, z, "Shape");

    net_begin(&net, 2);
    x = net_input(&net, SHAPE(2, 6));
    shape = net_node(&net, "Shape", x, -2);
    int zeros = net_node(&net, "ConstantOfShape", shape, -2);
    z = net_node(&net, "Concat", zeros, x, -2);
    net_int(&net, "axis", 1);
    check(&net, z, "ConstantOfShape");
}

static void test_transpose(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 3, 5));
    check(&net, net_node(&net, "Transpose", x, -2), "Transpose");

    net_begin(&net, 2);
    x = net_input(&net, SHAPE(2, 3, 4, 5));
    int y = net_node(&net, "Transpose", x, -2);
    LIST(&net, "perm", 2, 0, 3, 1);
    check(&net, y, "Transpose by perm");
}

static void test_concat(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int a = net_input(&net, SHAPE(2, 3, 4)), b = net_input(&net, SHAPE(2, 1, 4));
    int y = net_node(&net, "Concat", a, b, a, -2);
    net_int(&net, "axis", -2);
    check(&net, y, "Concat of one twice");

    net_begin(&net, 2);
    a = net_input(&net, SHAPE(2, 3, 4, 5));
    b = net_input(&net, SHAPE(2, 16, 4, 5));
    int c = net_constant(&net, SHAPE(2, 2, 4, 5), -1, 1);
    y = net_node(&net, "Concat", a, c, b, -2);
    net_int(&net, "axis", 1);
    check(&net, y, "Concat with a constant");

    net_begin(&net, 3);
    a = net_input(&net, SHAPE(2, 3));
    y = net_node(&net, "Concat", a, -2);
    net_int(&net, "axis", 0);
    check(&net, y, "Concat of one");
}

/* Three parts of a tensor of 2 x 7 x 3; those not used have no gradient. */
static void add_split(struct net *net, int opset, unsigned used, const char *what)
{
    net_begin(net, used);
    net->graph->opset = opset;
    int inputs[] = { net_input(net, SHAPE(2, 7, 3)), INTS(net, 1, 4, 2) };
    int outputs[3], sum = -1;
    for (int k = 0; k < 3; k++) {
        outputs[k] = graph_add_value(net->graph, "part", TENSOR_F32, NULL, &net->err);
        net_must(net, outputs[k]);
    }
    net_must(net, graph_add_node(net->graph, op_find("Split", opset), "split", inputs,
                                 opset < 13 ? 1 : 2, outputs, 3, &net->err));
    net_int(net, "axis", 1);
    if (opset < 13)
        LIST(net, "split", 1, 4, 2);
    for (int k = 0; k < 3; k++)
        if (used & (1u << k)) {
            int part = net_node(net, "Mul", outputs[k], outputs[k], -2);
            part = net_node(net, "Flatten", part, -2);
            sum = sum < 0 ? part : net_node(net, "Concat", sum, part, -2);
            if (net->graph->nodes[net->graph->node_count - 1].input_count == 2)
                net_int(net, "axis", 1);
        }
    net_output(net, sum);
    gradient_check(net, device, what);
    net_end(net);
}

static void test_split(void **state)
{
    (void)state;
    struct net net;
    add_split(&net, 13, 7, "Split");
    add_split(&net, 11, 7, "Split, opset 11");
    add_split(&net, 13, 2, "Split, one used");
    add_split(&net, 13, 5, "Split, two used");
}

static void test_repeats(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(3, 1, 4));
    check(&net, net_node(&net, "Expand", x, INTS(&net, 2, 1, 5, 4), -2), "Expand");

    net_begin(&net, 2);
    x = net_input(&net, SHAPE(2, 1, 3));
    check(&net, net_node(&net, "Tile", x, INTS(&net, 2, 3, 4), -2), "Tile");

    net_begin(&net, 3);
    x = net_input(&net, SHAPE(2, 3, 2, 1, 2));
    check(&net, net_node(&net, "Tile", x, INTS(&net, 1, 2, 1, 3, 2), -2), "Tile of rank 5");
}

struct slice_case {
    const char *what;
    int64_t starts[3], ends[3], steps[3];
    int count; /* axes from the last one backwards */
};

static void test_slice(void **state)
{
    (void)state;
    static const struct slice_case cases[] = {
        { "Slice", { 1 }, { 3 }, { 1 }, 1 },
        { "Slice by two", { 1, 0 }, { 100, 100 }, { 2, 2 }, 2 },
        { "Slice backwards", { -1, 3 }, { -100, 0 }, { -1, -2 }, 2 },
        { "Slice of one", { -2, 2, 1 }, { 100, 3, 2 }, { 7, 1, -100 + 101 }, 3 },
        { "Slice mixed", { 4, 0, -1 }, { -100, 4, -100 }, { -3, 3, -1 }, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct slice_case *c = &cases[i];
        static const int64_t axes[] = { -1, -2, 1 };
        struct net net;
        net_begin(&net, i);
        int x = net_input(&net, SHAPE(2, 3, 5, 6));
        int y = net_node(&net, "Slice", x, net_ints(&net, c->count, c->starts),
                         net_ints(&net, c->count, c->ends), net_ints(&net, c->count, axes),
                         net_ints(&net, c->count, c->steps), -2);
        check(&net, y, c->what);
    }
    struct net net;
    net_begin(&net, 9);
    net.graph->opset = 9;
    int x = net_input(&net, SHAPE(4, 5));
    int y = net_node(&net, "Slice", x, -2);
    LIST(&net, "starts", 1, -3);
    LIST(&net, "ends", 3, 100);
    check(&net, y, "Slice, opset 9");
}

/* Rows and columns by turns, side by side as channels: YOLOX's first layer. */
static void test_focus(void **state)
{
    (void)state;
    struct net net;
    int parts[4];
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 3, 6, 8));
    for (int k = 0; k < 4; k++)
        parts[k] = net_node(&net, "Slice", x, INTS(&net, k % 2, k / 2), INTS(&net, 100, 100),
                            INTS(&net, 2, 3), INTS(&net, 2, 2), -2);
    int y = net_node(&net, "Concat", parts[0], parts[1], parts[2], parts[3], -2);
    net_int(&net, "axis", 1);
    check(&net, y, "Focus");
}

static int indices_of(struct net *net, const struct shape *shape, enum tensor_type type,
                      const int64_t *numbers)
{
    struct tensor tensor;
    net_must(net, tensor_create(&tensor, type, shape, &net->err));
    for (int64_t i = 0; i < shape_elements(shape); i++)
        if (type == TENSOR_I64)
            ((int64_t *)tensor.data)[i] = numbers[i];
        else
            ((int32_t *)tensor.data)[i] = (int32_t)numbers[i];
    int value = graph_add_constant(net->graph, "indices", &tensor, &net->err);
    net_must(net, value);
    return value;
}

static void test_gather(void **state)
{
    (void)state;
    static const int64_t repeated[] = { 2, -1, 2, 0, 2, -4 };
    static const struct {
        const char *what;
        struct shape indices;
        enum tensor_type type;
        int64_t axis;
    } cases[] = {
        { "Gather", { .rank = 1, .dim = { 6 } }, TENSOR_I64, 0 },
        { "Gather of the last", { .rank = 1, .dim = { 4 } }, TENSOR_I64, -1 },
        { "Gather of the middle", { .rank = 2, .dim = { 2, 3 } }, TENSOR_I32, 1 },
        { "Gather of one", { .rank = 0 }, TENSOR_I64, 1 },
        { "Gather of one in a list", { .rank = 1, .dim = { 1 } }, TENSOR_I32, -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net net;
        net_begin(&net, i);
        int x = net_input(&net, SHAPE(4, 5, 6));
        int indices = indices_of(&net, &cases[i].indices, cases[i].type, repeated);
        int y = net_node(&net, "Gather", x, indices, -2);
        net_int(&net, "axis", cases[i].axis);
        check(&net, y, cases[i].what);
    }
}

static void test_pad(void **state)
{
    (void)state;
    static const char *const modes[] = { "constant", "reflect", "edge" };
    static const int64_t pads[][8] = {
        { 0, 0, 1, 2, 0, 0, 2, 1 },
        { 1, 0, 0, 3, 0, 2, 1, 0 },
        { 0, -1, 2, -1, 0, 0, -2, 3 },
    };
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
        for (size_t p = 0; p < sizeof pads / sizeof *pads; p++) {
            struct net net;
            char what[64];
            net_begin(&net, m * 3 + p);
            int x = net_input(&net, SHAPE(2, 3, 5, 4));
            int y = net_node(&net, "Pad", x, net_ints(&net, 8, pads[p]), -2);
            net_string(&net, "mode", modes[m]);
            snprintf(what, sizeof what, "Pad, %s, %d", modes[m], (int)p);
            check(&net, y, what);
        }
    struct net net;
    net_begin(&net, 20);
    net.graph->opset = 19;
    int x = net_input(&net, SHAPE(2, 3, 5, 4));
    int y = net_node(&net, "Pad", x, INTS(&net, 7, 2, 0, 6), -1, INTS(&net, -2, 3), -2);
    net_string(&net, "mode", "wrap");
    check(&net, y, "Pad, wrapped around, of two axes");

    net_begin(&net, 21);
    net.graph->opset = 10;
    x = net_input(&net, SHAPE(2, 3));
    y = net_node(&net, "Pad", x, -2);
    LIST(&net, "pads", 1, 0, 0, 2);
    net_float(&net, "value", 0.5f);
    check(&net, y, "Pad, opset 10");

    net_begin(&net, 22);
    x = net_input(&net, SHAPE(2, 3));
    int number = net_input(&net, SHAPE(1));
    y = net_node(&net, "Pad", x, INTS(&net, 1, -1, 0, 2), number, -2);
    check(&net, y, "Pad with a number that has a gradient");
}

static void test_blocks(void **state)
{
    (void)state;
    static const char *const modes[] = { "DCR", "CRD" };
    static const int64_t sizes[][2] = { { 2, 3 }, { 3, 1 }, { 2, 16 } };
    for (size_t i = 0; i < 6; i++) {
        struct net net;
        char what[64];
        int64_t block = sizes[i / 2][0], channels = sizes[i / 2][1];
        net_begin(&net, i);
        int x = net_input(&net, SHAPE(2, channels * block * block, 3, 5));
        int y = net_node(&net, "DepthToSpace", x, -2);
        net_int(&net, "blocksize", block);
        net_string(&net, "mode", modes[i % 2]);
        snprintf(what, sizeof what, "DepthToSpace, %s, %lld", modes[i % 2], (long long)block);
        check(&net, y, what);

        net_begin(&net, i);
        x = net_input(&net, SHAPE(2, channels, 3 * block, 5 * block));
        y = net_node(&net, "SpaceToDepth", x, -2);
        net_int(&net, "blocksize", block);
        check(&net, y, "SpaceToDepth");
    }
}

/* Enough elements for two threads, compared with the reference kernels. */
static int begin_large(struct net *net, const struct shape *dy)
{
    net_begin(net, 1);
    net->graph->opset = 0; /* our own ops */
    return net_input(net, dy);
}

static void check_large(struct net *net, int y, const char *what)
{
    net_output(net, y);
    net_check(net, device, PRECISION_F32, 1e-6, what);
    net_end(net);
}

static void test_large_frames(void **state)
{
    (void)state;
    static const int64_t starts[][4] = { { 0, 0, 2, 3 }, { 1, 0, 1, 0 }, { 2, 5, 0, 1 } };
    static const int64_t steps[][4] = { { 1, 1, 1, 1 }, { 1, 1, 2, 2 } };
    for (size_t i = 0; i < 6; i++) {
        struct net net;
        int y = begin_large(&net, SHAPE(5, 19, 31, 37));
        y = net_node(&net, "slice_grad", y, -2);
        LIST(&net, "input_shape", 7, 24, 63, 76);
        net_list(&net, "starts", 4, starts[i / 2]);
        net_list(&net, "steps", 4, steps[i % 2]);
        check_large(&net, y, "slice_grad");
    }
    struct net net;
    int y = begin_large(&net, SHAPE(70000));
    y = net_node(&net, "slice_grad", y, -2);
    LIST(&net, "input_shape", 200000);
    LIST(&net, "starts", 100000);
    LIST(&net, "steps", 1);
    check_large(&net, y, "slice_grad of a row");
}

static void test_large_pads(void **state)
{
    (void)state;
    static const char *const modes[] = { "reflect", "edge", "wrap", "constant" };
    for (size_t i = 0; i < 4; i++) {
        struct net net;
        int y = begin_large(&net, SHAPE(3, 19, 41, 40));
        y = net_node(&net, "pad_grad", y, -2);
        LIST(&net, "input_shape", 3, 19, 37, 35);
        LIST(&net, "pads", 0, 0, 2, 6, 0, 0, 2, -1);
        net_string(&net, "mode", modes[i]);
        check_large(&net, y, modes[i]);
    }
}

static void test_large_gathers(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        { .rank = 3, .dim = { 40, 50, 60 } },
        { .rank = 3, .dim = { 1, 30, 5001 } },
        { .rank = 3, .dim = { 3001, 30, 1 } },
    };
    int64_t numbers[70];
    for (int64_t i = 0; i < 70; i++)
        numbers[i] = i * 7 % 30 - (i % 3 ? 0 : 30);
    for (size_t i = 0; i < 3; i++) {
        const int64_t *dim = shapes[i].dim;
        struct net net;
        int y = begin_large(&net, SHAPE(dim[0], 70, dim[2]));
        y = net_node(&net, "gather_grad", y, indices_of(&net, SHAPE(70), TENSOR_I64, numbers), -2);
        net_list(&net, "input_shape", 3, dim);
        net_int(&net, "axis", 1);
        check_large(&net, y, "gather_grad");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),      cmocka_unit_test(test_shape),
        cmocka_unit_test(test_transpose),  cmocka_unit_test(test_concat),
        cmocka_unit_test(test_split),      cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_slice),      cmocka_unit_test(test_focus),
        cmocka_unit_test(test_gather),     cmocka_unit_test(test_pad),
        cmocka_unit_test(test_blocks),     cmocka_unit_test(test_large_frames),
        cmocka_unit_test(test_large_pads), cmocka_unit_test(test_large_gathers),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
