/* Forms of ops that the makers of the cpu device must either know or leave to the reference kernels: volumes,
 * lines, dilated and uneven windows, Resize beyond plain factors, outputs beside the first. Each runs compiled and
 * is compared with the interpreter. */
#include "cpu_check.h"

#define F32_BOUND 1e-5

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

static void check(struct net *net, const char *what)
{
    net_check(net, device, PRECISION_F32, F32_BOUND, what);
    net_end(net);
}

#define OUTPUTS_MAX 3

/* A node with several outputs. */
static void add_node(struct net *net, const char *name, const int *inputs, int input_count,
                     int outputs[OUTPUTS_MAX], int count)
{
    for (int i = 0; i < count; i++)
        net_must(net, outputs[i] = graph_add_value(net->graph, name, TENSOR_NONE, NULL, &net->err));
    net_must(net, graph_add_node(net->graph, op_find(name, net->graph->opset), name, inputs,
                                 input_count, outputs, count, &net->err));
}

/* All of them leave the graph as floats. */
static void leave(struct net *net, const int *outputs, int count)
{
    for (int i = 0; i < count; i++) {
        net_output(net, net_node(net, "Cast", outputs[i], -2));
        net_int(net, "to", 1);
    }
}

/* With a normalisation and a Relu behind, which the passes put into it. */
static void test_conv_volume(void **state)
{
    (void)state;
    for (int form = 0; form < 6; form++) {
        struct net net;
        bool back = form & 1, grouped = form / 2 == 1, dilated = form / 2 == 2;
        int64_t in = 4, out = 6, groups = grouped ? 2 : 1;
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(2, in, 5, 6, 7));
        int w = back ? net_constant(&net, SHAPE(in, out / groups, 3, 2, 3), -1, 1)
                     : net_constant(&net, SHAPE(out, in / groups, 3, 2, 3), -1, 1);
        int y = net_node(&net, back ? "ConvTranspose" : "Conv", x, w,
                         net_constant(&net, SHAPE(out), -1, 1), -2);
        net_int(&net, "group", groups);
        if (dilated)
            LIST(&net, "dilations", 1, 2, 2);
        else
            net_string(&net, "auto_pad", "SAME_UPPER");
        LIST(&net, "strides", 2, 1, 1);
        int one = net_constant(&net, SHAPE(out), 0.5, 1);
        y = net_node(&net, "BatchNormalization", y, one, one, one, one, -2);
        net_output(&net, net_node(&net, "Relu", y, -2));
        check(&net, "conv of a volume");
    }
}

/* In halves, doubles and bf16 from Cast to Cast, so that nothing may be fused over them. */
static void test_conv_types(void **state)
{
    (void)state;
    static const int64_t types[] = { 10, 11, 16 };
    for (int form = 0; form < 6; form++) {
        struct net net;
        int inputs[3] = { -1, -1, -1 };
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(1, 4, 6, 7));
        int w = net_constant(&net, SHAPE(4, 4, 3, 3), -1, 1), b = net_constant(&net, SHAPE(4), -1, 1);
        for (int i = 0; i < 3; i++) {
            inputs[i] = net_node(&net, "Cast", i == 0 ? x : i == 1 ? w : b, -2);
            net_int(&net, "to", types[form / 2]);
        }
        int y =
            net_node(&net, form & 1 ? "ConvTranspose" : "Conv", inputs[0], inputs[1], inputs[2], -2);
        y = net_node(&net, "MaxPool", y, -2);
        LIST(&net, "kernel_shape", 2, 2);
        y = net_node(&net, "Cast", y, -2);
        net_int(&net, "to", 1);
        net_output(&net, net_node(&net, "Relu", y, -2));
        check(&net, "conv of other types");
    }
}

static void test_conv_line(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct net net;
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(2, 4, 19));
        int w = net_constant(&net, SHAPE(4, 4, 3), -1, 1);
        int y = net_node(&net, form & 1 ? "ConvTranspose" : "Conv", x, w, -2);
        if (form / 2)
            LIST(&net, "dilations", 2);
        LIST(&net, "pads", 1, 0);
        LIST(&net, "strides", 2);
        net_output(&net, net_node(&net, "Relu", y, -2));
        check(&net, "conv of a line");
    }
}

static void test_pools(void **state)
{
    (void)state;
    static const char *const ops[] = { "MaxPool", "AveragePool", "LpPool" };
    static const int64_t kernel[] = { 3, 2, 3 }, strides[] = { 2, 3, 2 }, dilations[] = { 2, 1, 2 },
                         pads[] = { 1, 1, 2, 2, 1, 1 };
    for (int form = 0; form < 3 * 3 * 8; form++) {
        struct net net;
        char what[64];
        size_t sides = (size_t)(form / 3 % 3 + 1);
        struct shape shape = { 2 + (int)sides, { 2, 5, 11, 12, 13 } };
        net_begin(&net, (uint64_t)form);
        net.graph->opset = 19;
        net_output(&net, net_node(&net, ops[form % 3], net_input(&net, &shape), -2));
        net_list(&net, "kernel_shape", sides, kernel);
        net_list(&net, "strides", sides, strides);
        if (form / 9 & 1)
            net_int(&net, "ceil_mode", 1);
        if (form / 9 & 2)
            net_list(&net, "dilations", sides, dilations);
        if (form / 9 & 4) {
            int64_t both[6];
            memcpy(both, pads, sides * sizeof *both);
            memcpy(both + sides, pads + 3, sides * sizeof *both);
            net_list(&net, "pads", 2 * sides, both);
            if (form % 3 == 1)
                net_int(&net, "count_include_pad", 1);
        }
        snprintf(what, sizeof what, "%s form %d", ops[form % 3], form);
        check(&net, what);
    }
}

static void test_global_pools(void **state)
{
    (void)state;
    static const char *const ops[] = { "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool" };
    for (int form = 0; form < 9; form++) {
        struct net net;
        net_begin(&net, (uint64_t)form);
        struct shape shape = { 3 + form / 3, { 2, 5, 4, 3, 6 } };
        net_output(&net, net_node(&net, ops[form % 3], net_input(&net, &shape), -2));
        check(&net, ops[form % 3]);
    }
}

static void test_places(void **state)
{
    (void)state;
    for (int form = 0; form < 2; form++) {
        struct net net;
        net_begin(&net, (uint64_t)form);
        struct shape shape = { 4 + form, { 1, 3, 6, 8, 4 } };
        int x = net_input(&net, &shape), outputs[OUTPUTS_MAX];
        add_node(&net, "MaxPool", &x, 1, outputs, 2);
        net_list(&net, "kernel_shape", (size_t)shape.rank - 2, (const int64_t[]){ 2, 2, 2 });
        leave(&net, outputs, 2);
        check(&net, "places of maxima");
    }
}

static void test_resize(void **state)
{
    (void)state;
    static const char *const modes[] = { "nearest", "linear", "cubic" };
    for (int form = 0; form < 3 * 6; form++) {
        struct net net;
        char what[64];
        int kind = form / 3;
        struct shape shape = { kind == 4 ? 5 : kind == 5 ? 3 : 4, { 1, 3, 9, 8, 7 } };
        net_begin(&net, (uint64_t)form);
        net.graph->opset = 19;
        int x = net_input(&net, &shape), roi = -1, sizes;
        if (kind == 4)
            sizes = INTS(&net, 1, 3, 5, 11, 4);
        else if (kind == 5)
            sizes = INTS(&net, 1, 3, 4);
        else
            sizes = INTS(&net, 1, 3, 4, 11);
        if (kind == 2) {
            static const float part[] = { 0, 0, 0.1f, -0.2f, 1, 1, 0.7f, 1.3f };
            roi = net_constant(&net, SHAPE(8), 0, 0);
            memcpy(net.graph->values[roi].constant.data, part, sizeof part);
        }
        net_output(&net, net_node(&net, "Resize", x, roi, -1, sizes, -2));
        net_string(&net, "mode", modes[form % 3]);
        if (kind == 0 || kind == 4 || kind == 5)
            net_int(&net, "antialias", 1);
        if (kind == 1)
            net_string(&net, "coordinate_transformation_mode", "half_pixel_symmetric");
        if (kind == 2)
            net_string(&net, "coordinate_transformation_mode", "tf_crop_and_resize");
        if (kind == 3)
            LIST(&net, "axes", 0, 1, 2, 3);
        if (kind == 3)
            net_string(&net, "keep_aspect_ratio_policy", "not_smaller");
        snprintf(what, sizeof what, "Resize kind %d %s", kind, modes[form % 3]);
        check(&net, what);
    }
}

static void test_norms(void **state)
{
    (void)state;
    struct net net;
    int outputs[OUTPUTS_MAX];
    net_begin(&net, 1);
    net.graph->opset = 17;
    int x = net_input(&net, SHAPE(2, 6, 5, 4));
    int inputs[] = { x, net_constant(&net, SHAPE(5, 4), 0.5, 1),
                     net_constant(&net, SHAPE(5, 4), -1, 1) };
    add_node(&net, "LayerNormalization", inputs, 3, outputs, 3);
    net_int(&net, "axis", 2);
    leave(&net, outputs, 3);
    check(&net, "layer with statistics");

    net_begin(&net, 2);
    net.graph->opset = 17;
    x = net_input(&net, SHAPE(2, 6, 5, 4));
    net_output(&net,
               net_node(&net, "LayerNormalization", x, net_constant(&net, SHAPE(6, 1, 1), 0.5, 1),
                        net_constant(&net, SHAPE(4), -1, 1), -2));
    net_int(&net, "axis", 2);
    check(&net, "layer with broadcast scale");

    net_begin(&net, 3);
    net.graph->opset = 15;
    x = net_input(&net, SHAPE(2, 3, 5, 4));
    int numbers = net_constant(&net, SHAPE(3), 0.5, 1);
    int batch[] = { x, numbers, numbers, numbers, numbers };
    add_node(&net, "BatchNormalization", batch, 5, outputs, 3);
    net_int(&net, "training_mode", 1);
    leave(&net, outputs, 3);
    check(&net, "batch in training");

    net_begin(&net, 4);
    net.graph->opset = 21;
    x = net_input(&net, SHAPE(2, 6, 5, 4));
    numbers = net_constant(&net, SHAPE(6), 0.5, 1);
    int y = net_node(&net, "GroupNormalization", x, numbers, numbers, -2);
    net_int(&net, "num_groups", 3);
    y = net_node(&net, "LRN", y, -2);
    net_int(&net, "size", 3);
    y = net_node(&net, "MeanVarianceNormalization", y, -2);
    net_output(&net, net_node(&net, "LpNormalization", y, -2));
    check(&net, "the other norms");
}

/* Between convolutions, which leave channels last. */
static void test_pictures(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    net.graph->opset = 20;
    int x = net_input(&net, SHAPE(1, 3, 12, 14));
    x = net_node(&net, "Conv", x, net_constant(&net, SHAPE(16, 3, 3, 3), -1, 1), -2);
    int grid = net_input(&net, SHAPE(1, 8, 9, 2));
    int y = net_node(&net, "GridSample", x, grid, -2);
    net_string(&net, "padding_mode", "reflection");
    int offset = net_node(&net, "Conv", y, net_constant(&net, SHAPE(18, 16, 3, 3), -0.1, 0.1), -2);
    y = net_node(&net, "DeformConv", y, net_constant(&net, SHAPE(16, 16, 3, 3), -1, 1), offset, -2);
    y = net_node(&net, "CenterCropPad", y, INTS(&net, 8, 5), -2);
    LIST(&net, "axes", 2, 3);
    net_output(&net, net_node(&net, "Conv", y, net_constant(&net, SHAPE(8, 16, 1, 1), -1, 1), -2));
    check(&net, "pictures read between elements");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_volume),  cmocka_unit_test(test_conv_types),
        cmocka_unit_test(test_conv_line),    cmocka_unit_test(test_pools),
        cmocka_unit_test(test_global_pools), cmocka_unit_test(test_places),
        cmocka_unit_test(test_resize),       cmocka_unit_test(test_norms),
        cmocka_unit_test(test_pictures),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
