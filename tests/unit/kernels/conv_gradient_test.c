/* The gradients of Conv and ConvTranspose: in doubles against finite differences, in floats and on
 * the cpu device (f32 and bf16) against the doubles, over every attribute and odd shapes. */
#include "gradient_check.h"

static struct device *device;

struct conv_case {
    const char *what;
    bool transposed, no_bias;
    struct shape input, weights;
    int64_t group;
    const int64_t *strides, *dilations, *pads, *output_padding, *output_shape;
    const char *auto_pad;
};

#define L(...) ((const int64_t[]){ __VA_ARGS__ })
#define S(...)                                                                        \
    {                                                                                 \
        .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), .dim = { \
            __VA_ARGS__                                                               \
        }                                                                             \
    }

/* clang-format off */
static const struct conv_case cases[] = {
    { "3x3", .input = S(2, 3, 5, 6), .weights = S(4, 3, 3, 3), .pads = L(1, 1, 1, 1) },
    { "1x1", .input = S(3, 5, 4, 3), .weights = S(6, 5, 1, 1) },
    { "1x1 of a row", .input = S(1, 5, 1, 3), .weights = S(2, 5, 1, 1), .no_bias = true },
    { "1x1, stride 3", .input = S(1, 4, 8, 9), .weights = S(3, 4, 1, 1), .strides = L(3, 3) },
    { "no pads", .input = S(1, 2, 7, 6), .weights = S(3, 2, 3, 2), .no_bias = true },
    { "pads apart", .input = S(1, 2, 5, 4), .weights = S(3, 2, 3, 4), .pads = L(0, 3, 2, 1) },
    { "pads beyond the kernel", .input = S(1, 2, 3, 3), .weights = S(2, 2, 2, 1),
      .pads = L(3, 2, 3, 1) },
    { "5x5, stride 2", .input = S(2, 3, 9, 8), .weights = S(2, 3, 5, 5), .strides = L(2, 2),
      .pads = L(2, 2, 2, 2) },
    { "stride leaves some over", .input = S(1, 2, 9, 11), .weights = S(3, 2, 2, 2),
      .strides = L(3, 4) },
    { "strides apart", .input = S(1, 3, 6, 7), .weights = S(4, 3, 3, 3), .strides = L(1, 2),
      .pads = L(1, 0, 1, 2) },
    { "dilation", .input = S(1, 3, 8, 9), .weights = S(4, 3, 3, 3), .dilations = L(2, 3),
      .pads = L(2, 3, 2, 3) },
    { "dilation and stride", .input = S(1, 2, 9, 8), .weights = S(3, 2, 3, 3), .strides = L(2, 2),
      .dilations = L(2, 1), .pads = L(1, 1, 2, 0) },
    { "7x7", .input = S(1, 2, 7, 8), .weights = S(3, 2, 7, 7), .pads = L(3, 3, 3, 3) },
    { "9x9", .input = S(1, 1, 6, 7), .weights = S(2, 1, 9, 9), .pads = L(4, 4, 4, 4) },
    { "1x9", .input = S(1, 2, 3, 10), .weights = S(2, 2, 1, 9), .pads = L(0, 4, 0, 4) },
    { "same upper", .input = S(1, 2, 5, 6), .weights = S(3, 2, 4, 2), .strides = L(2, 2),
      .auto_pad = "SAME_UPPER" },
    { "same lower", .input = S(1, 2, 5, 6), .weights = S(3, 2, 4, 2), .strides = L(2, 1),
      .auto_pad = "SAME_LOWER" },
    { "valid", .input = S(1, 2, 5, 6), .weights = S(3, 2, 3, 2), .auto_pad = "VALID" },
    { "two groups", .input = S(2, 4, 5, 5), .weights = S(6, 2, 3, 3), .group = 2,
      .pads = L(1, 1, 1, 1) },
    { "three groups, stride 2", .input = S(1, 6, 6, 5), .weights = S(3, 2, 3, 3), .group = 3,
      .strides = L(2, 2), .pads = L(1, 1, 1, 1) },
    { "depthwise", .input = S(2, 5, 5, 6), .weights = S(5, 1, 3, 3), .group = 5,
      .pads = L(1, 1, 1, 1) },
    { "depthwise, 5x5, stride 2", .input = S(1, 18, 7, 6), .weights = S(18, 1, 5, 5), .group = 18,
      .strides = L(2, 2), .pads = L(2, 2, 2, 2) },
    { "depthwise, dilated", .input = S(1, 3, 7, 6), .weights = S(3, 1, 3, 3), .group = 3,
      .dilations = L(2, 2), .pads = L(2, 2, 2, 2) },
    { "two filters a channel", .input = S(1, 3, 5, 6), .weights = S(6, 1, 3, 3), .group = 3,
      .pads = L(1, 1, 1, 1) },
    { "33 to 17 channels", .input = S(1, 33, 4, 5), .weights = S(17, 33, 3, 3),
      .pads = L(1, 1, 1, 1) },
    { "line", .input = S(2, 3, 9), .weights = S(4, 3, 3), .pads = L(1, 1) },
    { "line, stride 2", .input = S(1, 3, 10), .weights = S(2, 3, 4), .strides = L(2),
      .dilations = L(2), .pads = L(0, 3) },
    { "line, depthwise", .input = S(1, 4, 8), .weights = S(4, 1, 3), .group = 4, .no_bias = true },
    { "line, wider than a stretch", .input = S(1, 1, 150), .weights = S(1, 1, 5), .strides = L(2),
      .pads = L(4, 1) },

    { "transposed 3x3", true, .input = S(2, 3, 4, 5), .weights = S(3, 4, 3, 3),
      .pads = L(1, 1, 1, 1) },
    { "transposed 2x2, stride 2", true, .input = S(1, 4, 3, 4), .weights = S(4, 2, 2, 2),
      .strides = L(2, 2) },
    { "transposed 4x4, stride 2", true, .input = S(1, 3, 3, 4), .weights = S(3, 2, 4, 4),
      .strides = L(2, 2), .pads = L(1, 1, 1, 1) },
    { "transposed 9x9, stride 2", true, .input = S(1, 2, 3, 4), .weights = S(2, 1, 9, 9),
      .strides = L(2, 2), .pads = L(4, 4, 4, 4), .output_padding = L(1, 1) },
    { "transposed, output padding", true, .input = S(1, 2, 3, 3), .weights = S(2, 3, 3, 3),
      .strides = L(2, 3), .pads = L(1, 0, 1, 0), .output_padding = L(1, 2) },
    { "transposed, padded far out", true, .input = S(1, 2, 3, 3), .weights = S(2, 3, 2, 2),
      .strides = L(2, 1), .output_padding = L(1, 3) },
    { "transposed, dilated", true, .input = S(1, 2, 4, 4), .weights = S(2, 3, 3, 2),
      .dilations = L(2, 3), .pads = L(1, 0, 2, 1), .no_bias = true },
    { "transposed, two groups", true, .input = S(1, 4, 3, 4), .weights = S(4, 3, 3, 3), .group = 2,
      .strides = L(2, 2), .pads = L(1, 1, 0, 1) },
    { "transposed, depthwise", true, .input = S(1, 5, 4, 3), .weights = S(5, 1, 3, 3), .group = 5,
      .strides = L(2, 2), .pads = L(1, 1, 1, 1), .output_padding = L(1, 1) },
    { "transposed, same upper", true, .input = S(1, 2, 3, 4), .weights = S(2, 2, 3, 3),
      .strides = L(2, 2), .auto_pad = "SAME_UPPER" },
    { "transposed, output shape", true, .input = S(1, 2, 3, 4), .weights = S(2, 2, 3, 3),
      .strides = L(2, 2), .output_shape = L(6, 9) },
    { "transposed, output shape far out", true, .input = S(1, 2, 2, 2), .weights = S(2, 1, 2, 2),
      .strides = L(2, 2), .output_shape = L(9, 5) },
    { "transposed line", true, .input = S(2, 3, 5), .weights = S(3, 2, 4), .strides = L(2),
      .pads = L(1, 1) },
    { "transposed line, padded far out", true, .input = S(1, 2, 4), .weights = S(2, 2, 2),
      .output_padding = L(2) },
};
/* clang-format on */

static void add_list(struct net *net, const char *name, const int64_t *list, int count)
{
    if (list)
        net_list(net, name, (size_t)count, list);
}

static void check_case(const struct conv_case *conv)
{
    struct net net;
    net_begin(&net, 1);
    int spatial = conv->input.rank - 2;
    int64_t filters = conv->transposed ? conv->weights.dim[1] * (conv->group ? conv->group : 1)
                                       : conv->weights.dim[0];
    int x = net_input(&net, &conv->input), w = net_input(&net, &conv->weights);
    const char *op = conv->transposed ? "ConvTranspose" : "Conv";
    int y = conv->no_bias || conv->transposed ? net_node(&net, op, x, w, -2)
                          : net_node(&net, op, x, w, net_input(&net, SHAPE(filters)), -2);
    if (conv->group)
        net_int(&net, "group", conv->group);
    if (conv->auto_pad)
        net_string(&net, "auto_pad", conv->auto_pad);
    add_list(&net, "strides", conv->strides, spatial);
    add_list(&net, "dilations", conv->dilations, spatial);
    add_list(&net, "pads", conv->pads, 2 * spatial);
    add_list(&net, "output_padding", conv->output_padding, spatial);
    add_list(&net, "output_shape", conv->output_shape, spatial);
    net_output(&net, y);
    gradient_check_bf16(&net, device, 1e-2, conv->what);
    net_end(&net);
}

static void test_attributes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
}

static int open_device(void **state)
{
    (void)state;
    struct error err;
    return device_open(&device, "cpu:threads=2", &err);
}

static int close_device(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
