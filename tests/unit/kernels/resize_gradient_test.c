/* The gradient of Resize: in doubles against finite differences, in floats and on the cpu device
 * against the doubles, over every mode, coordinate mode and rounding, growing, shrinking, by scales
 * and by sizes. */
#include "cpu_device.h"
#include "gradient_check.h"

static int floats(struct net *net, int count, const float *numbers)
{
    int value = net_constant(net, SHAPE(count), 0, 0);
    memcpy(net->graph->values[value].constant.data, numbers, (size_t)count * sizeof *numbers);
    return value;
}

/* A square makes the gradient depend on the inputs: of what does not, compiling leaves a constant. */
static void check(struct net *net, int y, const char *what)
{
    net_output(net, net_node(net, "Mul", y, y, -2));
    gradient_check_bf16(net, device, 0.02, what);
    net_end(net);
}

static const char *const modes[] = { "nearest", "linear", "cubic" };

static void check_coordinates(const char *coordinate, const char *mode, const float scales[4],
                              const char *nearest)
{
    struct net net;
    char what[128];
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 3, 5, 4));
    int y = net_node(&net, "Resize", x, -1, floats(&net, 4, scales), -2);
    net_string(&net, "mode", mode);
    net_string(&net, "coordinate_transformation_mode", coordinate);
    net_string(&net, "nearest_mode", nearest);
    snprintf(what, sizeof what, "%s, %s, %g by %g, %s", mode, coordinate, (double)scales[2],
             (double)scales[3], nearest);
    check(&net, y, what);
}

static void test_coordinates(void **state)
{
    (void)state;
    static const char *const coordinates[] = { "half_pixel",           "pytorch_half_pixel",
                                               "align_corners",        "asymmetric",
                                               "tf_half_pixel_for_nn", "half_pixel_symmetric" };
    static const float scales[][4] = {
        { 1, 1, 2, 2 }, { 1, 1, 1.7f, 3 }, { 1, 1, 0.6f, 0.5f }, { 1, 1, 0.2f, 1 }
    };
    for (size_t c = 0; c < sizeof coordinates / sizeof *coordinates; c++)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
            for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
                check_coordinates(coordinates[c], modes[m], scales[s], "round_prefer_floor");
}

static void test_rounding(void **state)
{
    (void)state;
    static const char *const words[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil" };
    static const float scales[][4] = { { 1, 1, 2, 3 }, { 1, 1, 0.5f, 0.7f } };
    for (size_t w = 0; w < 8; w++)
        check_coordinates("half_pixel", "nearest", scales[w / 4], words[w % 4]);
}

static void test_attributes(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 2, 6, 5));
    int y = net_node(&net, "Resize", x, -1, -1, INTS(&net, 1, 2, 9, 3), -2);
    net_string(&net, "mode", "cubic");
    net_float(&net, "cubic_coeff_a", -0.5f);
    net_int(&net, "exclude_outside", 1);
    check(&net, y, "by sizes, outside excluded");

    net_begin(&net, 2);
    x = net_input(&net, SHAPE(3, 4));
    y = net_node(&net, "Resize", x, -1, floats(&net, 2, (float[]){ 1.5f, 2 }), -2);
    net_string(&net, "mode", "linear");
    check(&net, y, "two dimensions");

    net_begin(&net, 3);
    x = net_input(&net, SHAPE(2, 3, 4, 3));
    y = net_node(&net, "Resize", x, -1, floats(&net, 4, (float[]){ 2, 1.4f, 1.5f, 2 }), -2);
    net_string(&net, "mode", "linear");
    check(&net, y, "all four dimensions");

    net_begin(&net, 4);
    net.graph->opset = 18;
    x = net_input(&net, SHAPE(2, 3, 4, 3));
    y = net_node(&net, "Resize", x, -1, -1, INTS(&net, 7, 2), -2);
    net_string(&net, "mode", "linear");
    LIST(&net, "axes", 3, -2);
    check(&net, y, "listed axes");

    net_begin(&net, 5);
    x = net_input(&net, SHAPE(2, 32, 4, 3));
    y = net_node(&net, "Resize", x, -1, floats(&net, 4, (float[]){ 1, 1, 2, 2 }), -2);
    net_string(&net, "mode", "cubic");
    check(&net, y, "32 channels");
}

/* The forms of opsets 9 and 10: floor when growing, ceil when shrinking. */
static void test_old(void **state)
{
    (void)state;
    static const float scales[][4] = { { 1, 1, 2, 1.3f }, { 1, 1, 0.6f, 0.4f } };
    for (int i = 0; i < 8; i++) {
        struct net net;
        net_begin(&net, (uint64_t)i);
        net.graph->opset = i < 4 ? 9 : 10;
        int x = net_input(&net, SHAPE(2, 3, 5, 6));
        int y = net_node(&net, i < 4 ? "Upsample" : "Resize", x, floats(&net, 4, scales[i % 2]), -2);
        net_string(&net, "mode", modes[i / 2 % 2]);
        check(&net, y, i < 4 ? "Upsample" : "Resize, opset 10");
    }
    struct net net;
    net_begin(&net, 9);
    net.graph->opset = 8;
    int x = net_input(&net, SHAPE(2, 3, 5, 6)), y = net_node(&net, "Upsample", x, -2);
    net_attribute(&net, &(struct attribute){ .name = (char *)"scales",
                                             .kind = ATTRIBUTE_FLOATS,
                                             .floats = (float *)(uintptr_t)scales[0],
                                             .count = 4 });
    check(&net, y, "Upsample, opset 8");
}

/* Enough elements for two threads, compared with the reference kernel: row-major, and channels-last or
 * blocked behind a convolution. */
static void test_large(void **state)
{
    (void)state;
    struct device_info info;
    device_get_info(device, &info);
    for (int i = 0; i < 12; i++) {
        struct net net;
        int64_t channels = i % 4 == 0 ? 3 : i % 4 == 1 ? 17 : 32;
        net_begin(&net, (uint64_t)i);
        net.graph->opset = 0; /* our own ops */
        int dy = net_input(&net, SHAPE(3, channels, 50, 46));
        if (i % 4)
            dy = net_node(&net, "Conv", dy,
                          net_constant(&net, SHAPE(channels, channels, 1, 1), -1, 1), -2);
        net_output(&net, net_node(&net, "resize_grad", dy, -2));
        net_string(&net, "mode", modes[i / 4]);
        net_list(&net, "input_shape", 4, (int64_t[]){ 3, channels, 25, 33 });
        LIST(&net, "sizes", 3, channels, 50, 46);
        bool narrow = i % 4 == 3 && info.bf16;
        net_check(&net, device, narrow ? PRECISION_BF16 : PRECISION_F32, narrow ? 0.01 : 1e-5,
                  modes[i / 4]);
        net_end(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coordinates), cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_attributes),  cmocka_unit_test(test_old),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
