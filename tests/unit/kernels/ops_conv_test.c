/* Conv, ConvTranspose and pooling by hand-computed numbers: every attribute, odd sizes, one to three
 * spatial dimensions, and what must be refused. (ops_pool_test.c has what else pools.) */
#include "op_check.h"

#define F64(s, ...) LITERAL(TENSOR_F64, double, s, __VA_ARGS__)
#define F16(s, ...) LITERAL(TENSOR_F16, uint16_t, s, __VA_ARGS__)
#define NINE 1, 2, 3, 4, 5, 6, 7, 8, 9
#define IMAGE F32(SHAPE(1, 1, 3, 3), NINE)

static void test_conv(void **state)
{
    (void)state;
    /* sum over 2x2 */
    CHECK(.op = "Conv", .in = { IMAGE, F32(SHAPE(1, 1, 2, 2), 1, 1, 1, 1) },
          .out = { F32(SHAPE(1, 1, 2, 2), 12, 16, 24, 28) });
    /* the kernel is not mirrored; bias */
    CHECK(.op = "Conv", .in = { IMAGE, F32(SHAPE(1, 1, 1, 2), 10, 1), F32(SHAPE(1), 100) },
          .attributes = { INTS("kernel_shape", 1, 2) },
          .out = { F32(SHAPE(1, 1, 3, 2), 112, 123, 145, 156, 178, 189) });
    /* two channels in, two filters */
    CHECK(.op = "Conv",
          .in = { F32(SHAPE(1, 2, 1, 2), 1, 2, 3, 4), F32(SHAPE(2, 2, 1, 1), 1, 10, 2, 0) },
          .out = { F32(SHAPE(1, 2, 1, 2), 31, 42, 2, 4) });
    /* a batch of two */
    CHECK(.op = "Conv", .in = { F32(SHAPE(2, 1, 1, 2), 1, 2, 3, 4), F32(SHAPE(1, 1, 1, 2), 1, -1) },
          .out = { F32(SHAPE(2, 1, 1, 1), -1, -1) });
}

static void test_conv_attributes(void **state)
{
    (void)state;
    /* rows and columns are padded apart: one row above, one column to the right */
    CHECK(.op = "Conv", .in = { IMAGE, F32(SHAPE(1, 1, 2, 2), 1, 1, 1, 1) },
          .attributes = { INTS("pads", 1, 0, 0, 1) },
          .out = { F32(SHAPE(1, 1, 3, 3), 3, 5, 3, 12, 16, 9, 24, 28, 15) });
    CHECK(.op = "Conv", .in = { IMAGE, F32(SHAPE(1, 1, 1, 1), 1) },
          .attributes = { INTS("strides", 2, 1) },
          .out = { F32(SHAPE(1, 1, 2, 3), 1, 2, 3, 7, 8, 9) });
    CHECK(.op = "Conv", .in = { IMAGE, F32(SHAPE(1, 1, 2, 2), 1, 10, 100, 1000) },
          .attributes = { INTS("dilations", 2, 2) },
          .out = { F32(SHAPE(1, 1, 1, 1), 1 + 30 + 700 + 9000) });
    /* each channel has its own filter */
    CHECK(.op = "Conv", .in = { F32(SHAPE(1, 2, 1, 2), 1, 2, 3, 4), F32(SHAPE(2, 1, 1, 1), 10, 100) },
          .attributes = { INT("group", 2) }, .out = { F32(SHAPE(1, 2, 1, 2), 10, 20, 300, 400) });
    /* stride 2, kernel 2 over 3: SAME needs one more element, behind or before */
    CHECK(.op = "Conv", .in = { F32(SHAPE(1, 1, 1, 3), 1, 2, 3), F32(SHAPE(1, 1, 1, 2), 1, 10) },
          .attributes = { STRING("auto_pad", "SAME_UPPER"), INTS("strides", 1, 2) },
          .out = { F32(SHAPE(1, 1, 1, 2), 21, 3) });
    CHECK(.op = "Conv", .in = { F32(SHAPE(1, 1, 1, 3), 1, 2, 3), F32(SHAPE(1, 1, 1, 2), 1, 10) },
          .attributes = { STRING("auto_pad", "SAME_LOWER"), INTS("strides", 1, 2) },
          .out = { F32(SHAPE(1, 1, 1, 2), 10, 32) });
    CHECK(.op = "Conv", .in = { F32(SHAPE(1, 1, 1, 3), 1, 2, 3), F32(SHAPE(1, 1, 1, 2), 1, 10) },
          .attributes = { STRING("auto_pad", "VALID"), INTS("pads", 0, 5, 0, 5) },
          .out = { F32(SHAPE(1, 1, 1, 2), 21, 32) });
    /* one spatial dimension */
    CHECK(.op = "Conv", .in = { F32(SHAPE(1, 1, 3), 1, 2, 3), F32(SHAPE(1, 1, 2), 1, 10) },
          .attributes = { INTS("pads", 1, 0) }, .out = { F32(SHAPE(1, 1, 3), 10, 21, 32) });
}

/* Slices, rows and columns: 1 2 / 3 4 before 5 6 / 7 8. */
static void test_conv_depth(void **state)
{
    (void)state;
    struct tensor cube = F32(SHAPE(1, 1, 2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    CHECK(.op = "Conv", .in = { cube, F32(SHAPE(1, 1, 2, 1, 1), 1, 10) },
          .out = { F32(SHAPE(1, 1, 1, 2, 2), 51, 62, 73, 84) });
    CHECK(.op = "Conv", .in = { cube, F32(SHAPE(1, 1, 1, 1, 2), 1, 10), F32(SHAPE(1), 1000) },
          .out = { F32(SHAPE(1, 1, 2, 2, 1), 1021, 1043, 1065, 1087) });
    /* a slice behind, a row before, a column before */
    CHECK(.op = "Conv", .in = { cube, F32(SHAPE(1, 1, 2, 2, 2), 1, 1, 1, 1, 1, 1, 1, 1) },
          .attributes = { INTS("pads", 0, 1, 1, 1, 0, 0) },
          .out = { F32(SHAPE(1, 1, 2, 2, 2), 6, 14, 16, 36, 5, 11, 12, 26) });
    CHECK(.op = "Conv", .in = { cube, F32(SHAPE(1, 1, 2, 1, 1), 1, 10) },
          .attributes = { INTS("dilations", 2, 1, 1), INTS("pads", 1, 0, 0, 1, 0, 0),
                          INTS("strides", 1, 2, 1) },
          .out = { F32(SHAPE(1, 1, 2, 1, 2), 50, 60, 1, 2) });
    CHECK(.op = "Conv", .in = { cube, F32(SHAPE(1, 1, 3, 1, 1), 1, 10, 100) },
          .attributes = { STRING("auto_pad", "SAME_UPPER"), INTS("strides", 2, 1, 1) },
          .out = { F32(SHAPE(1, 1, 1, 2, 2), 51, 62, 73, 84) });
    CHECK(.op = "Conv", .in = { cube, F32(SHAPE(1, 1, 3, 1, 1), 1, 10, 100) },
          .attributes = { STRING("auto_pad", "SAME_LOWER"), INTS("strides", 2, 1, 1) },
          .out = { F32(SHAPE(1, 1, 1, 2, 2), 510, 620, 730, 840) });
    CHECK(.op = "ConvTranspose",
          .in = { F32(SHAPE(1, 1, 1, 1, 2), 1, 2), F32(SHAPE(1, 1, 2, 1, 2), 1, 10, 100, 1000) },
          .out = { F32(SHAPE(1, 1, 2, 1, 3), 1, 12, 20, 100, 1200, 2000) });
    CHECK(.op = "ConvTranspose",
          .in = { F32(SHAPE(1, 1, 2, 1, 1), 1, 2), F32(SHAPE(1, 2, 1, 1, 2), 1, 10, 3, 30),
                  F32(SHAPE(2), 0.5f, 0) },
          .attributes = { INTS("strides", 2, 1, 1), INTS("output_padding", 1, 0, 0) },
          .out = { F32(SHAPE(1, 2, 4, 1, 2), 1.5f, 10.5f, 0.5f, 0.5f, 2.5f, 20.5f, 0.5f, 0.5f, 3,
                       30, 0, 0, 6, 60, 0, 0) });
    REFUSED("pads: 4 numbers; 6 expected", .op = "Conv",
            .in = { cube, F32(SHAPE(1, 1, 2, 1, 1), 1, 10) },
            .attributes = { INTS("pads", 0, 0, 0, 0) });
    REFUSED("weights: 4 dimensions; the input has 5", .op = "Conv",
            .in = { cube, F32(SHAPE(1, 1, 1, 1), 1) });
    REFUSED("shape 1x1x1x1x1x1: 3 to 5 dimensions expected", .op = "Conv",
            .in = { F32(SHAPE(1, 1, 1, 1, 1, 1), 1), F32(SHAPE(1, 1, 1, 1, 1), 1) });
}

/* The same as floats do, of doubles and halves: 1 2 3 4 are 3c00 4000 4200 4400. */
static void test_conv_types(void **state)
{
    (void)state;
    CHECK(.op = "Conv",
          .in = { F64(SHAPE(1, 2, 1, 3), 1, 2, 3, 4, 5, 6), F64(SHAPE(2, 1, 1, 2), 1, 10, 2, 0),
                  F64(SHAPE(2), 0.5, 0) },
          .attributes = { INT("group", 2), INTS("pads", 0, 0, 0, 1) },
          .out = { F64(SHAPE(1, 2, 1, 3), 21.5, 32.5, 3.5, 8, 10, 12) });
    CHECK(.op = "ConvTranspose",
          .in = { F64(SHAPE(1, 2, 1, 1), 3, 5),
                  F64(SHAPE(2, 2, 1, 2), 1, 10, 2, 20, 100, 1000, 200, 2000) },
          .out = { F64(SHAPE(1, 2, 1, 2), 503, 5030, 1006, 10060) });
    CHECK(.op = "ConvTranspose",
          .in = { F64(SHAPE(1, 1, 1, 2), 1, 2), F64(SHAPE(1, 1, 1, 3), 1, 10, 100) },
          .attributes = { INTS("strides", 1, 2), INTS("pads", 0, 1, 0, 0) },
          .out = { F64(SHAPE(1, 1, 1, 4), 10, 102, 20, 200) });
    CHECK(.op = "Conv",
          .in = { F16(SHAPE(1, 1, 3), 0x3c00, 0x4000, 0x4200), F16(SHAPE(1, 1, 2), 0x4000, 0) },
          .out = { F16(SHAPE(1, 1, 2), 0x4000, 0x4400) });
    REFUSED("weights: type f32", .op = "Conv",
            .in = { F16(SHAPE(1, 1, 1), 0x3c00), F32(SHAPE(1, 1, 1), 1) });
}

/* Wider than the stretch that the kernel sums at once, with taps that hang over both ends. */
static void test_conv_wide(void **state)
{
    (void)state;
    enum { WIDTH = 300 };
    float in[WIDTH], out[WIDTH];
    for (int i = 0; i < WIDTH; i++)
        in[i] = (float)(i % 7);
    for (int i = 0; i < WIDTH; i++)
        out[i] = (i > 0 ? in[i - 1] : 0) + 10 * in[i] + 100 * (i + 1 < WIDTH ? in[i + 1] : 0);
    CHECK(.op = "Conv",
          .in = { { .type = TENSOR_F32, .shape = SHAPE(1, 1, WIDTH), .data = in },
                  F32(SHAPE(1, 1, 3), 1, 10, 100) },
          .attributes = { INTS("pads", 1, 1) },
          .out = { { .type = TENSOR_F32, .shape = SHAPE(1, 1, WIDTH), .data = out } });
}

static void test_conv_refused(void **state)
{
    (void)state;
    struct tensor kernel = F32(SHAPE(1, 1, 2, 2), 1, 1, 1, 1);
    REFUSED("weights: 1 channels in 1 groups; the input has 2", .op = "Conv",
            .in = { F32(SHAPE(1, 2, 1, 2), 1, 2, 3, 4), F32(SHAPE(1, 1, 1, 1), 1) });
    REFUSED("1 filters do not divide into 2 groups", .op = "Conv", .attributes = { INT("group", 2) },
            .in = { F32(SHAPE(1, 2, 1, 2), 1, 2, 3, 4), F32(SHAPE(1, 1, 1, 1), 1) });
    REFUSED("group: 0 is outside [1, 1]", .op = "Conv", .attributes = { INT("group", 0) },
            .in = { IMAGE, kernel });
    REFUSED("larger than the padded input", .op = "Conv",
            .in = { F32(SHAPE(1, 1, 1, 3), 1, 2, 3), kernel });
    REFUSED("pads: 3 numbers; 4 expected", .op = "Conv", .in = { IMAGE, kernel },
            .attributes = { INTS("pads", 0, 0, 0) });
    REFUSED("pads: -1 is outside", .op = "Conv", .in = { IMAGE, kernel },
            .attributes = { INTS("pads", 0, -1, 0, 0) });
    REFUSED("strides: 0 is outside", .op = "Conv", .in = { IMAGE, kernel },
            .attributes = { INTS("strides", 1, 0) });
    REFUSED("dilations: 9223372036854775807 is outside", .op = "Conv", .in = { IMAGE, kernel },
            .attributes = { INTS("dilations", INT64_MAX, 1) });
    REFUSED("kernel_shape: 3 does not match the weights", .op = "Conv", .in = { IMAGE, kernel },
            .attributes = { INTS("kernel_shape", 3, 2) });
    REFUSED("auto_pad: unknown word 'SAME'", .op = "Conv", .in = { IMAGE, kernel },
            .attributes = { STRING("auto_pad", "SAME") });
    REFUSED("bias: 2 numbers for 1 output channels", .op = "Conv",
            .in = { IMAGE, kernel, F32(SHAPE(2), 1, 2) });
    REFUSED("input: type i64", .op = "Conv", .in = { I64(SHAPE(1, 1, 3, 3), NINE), kernel });
    REFUSED("input: shape 3x3", .op = "Conv", .in = { F32(SHAPE(3, 3), NINE), kernel });
    REFUSED("weights: 3 dimensions; the input has 4", .op = "Conv",
            .in = { IMAGE, F32(SHAPE(1, 1, 2), 1, 1) });
}

static void test_conv_transpose(void **state)
{
    (void)state;
    struct tensor two = F32(SHAPE(1, 1, 1, 2), 1, 2), taps = F32(SHAPE(1, 1, 1, 3), 1, 10, 100);
    CHECK(.op = "ConvTranspose", .in = { two, taps },
          .out = { F32(SHAPE(1, 1, 1, 4), 1, 12, 120, 200) });
    CHECK(.op = "ConvTranspose", .in = { two, taps, F32(SHAPE(1), 0.5f) },
          .attributes = { INTS("strides", 1, 2), INTS("pads", 0, 1, 0, 1) },
          .out = { F32(SHAPE(1, 1, 1, 3), 10.5f, 102.5f, 20.5f) });
    CHECK(.op = "ConvTranspose", .in = { two, taps },
          .attributes = { INTS("strides", 1, 2), INTS("output_padding", 0, 1) },
          .out = { F32(SHAPE(1, 1, 1, 6), 1, 10, 102, 20, 200, 0) });
    CHECK(.op = "ConvTranspose", .in = { two, taps }, .attributes = { INTS("dilations", 1, 2) },
          .out = { F32(SHAPE(1, 1, 1, 6), 1, 2, 10, 20, 100, 200) });
    /* full is 5 long; 4 wanted: what is too much goes before, or behind for SAME_UPPER's half */
    CHECK(.op = "ConvTranspose", .in = { two, taps },
          .attributes = { INTS("strides", 1, 2), INTS("output_shape", 1, 4) },
          .out = { F32(SHAPE(1, 1, 1, 4), 10, 102, 20, 200) });
    CHECK(.op = "ConvTranspose", .in = { two, taps },
          .attributes = { INTS("strides", 1, 2), STRING("auto_pad", "SAME_UPPER") },
          .out = { F32(SHAPE(1, 1, 1, 4), 1, 10, 102, 20) });
    /* groups: channel 0 makes output channels 0 and 1, channel 1 makes 2 and 3 */
    CHECK(.op = "ConvTranspose",
          .in = { F32(SHAPE(1, 2, 1, 1), 3, 5), F32(SHAPE(2, 2, 1, 1), 1, 10, 100, 1000) },
          .attributes = { INT("group", 2) }, .out = { F32(SHAPE(1, 4, 1, 1), 3, 30, 500, 5000) });
    CHECK(.op = "ConvTranspose",
          .in = { F32(SHAPE(1, 2, 1), 3, 5), F32(SHAPE(2, 1, 2), 1, 10, 100, 1000) },
          .out = { F32(SHAPE(1, 1, 2), 503, 5030) });
    REFUSED("weights: 1 filters in 1 groups; the input has 2", .op = "ConvTranspose",
            .in = { F32(SHAPE(1, 2, 1, 1), 3, 5), F32(SHAPE(1, 1, 1, 1), 1) });
    REFUSED("nothing is left", .op = "ConvTranspose", .in = { two, taps },
            .attributes = { INTS("pads", 0, 2, 0, 2) });
}

static void test_max_pool(void **state)
{
    (void)state;
    CHECK(.op = "MaxPool", .in = { IMAGE }, .attributes = { INTS("kernel_shape", 2, 2) },
          .out = { F32(SHAPE(1, 1, 2, 2), 5, 6, 8, 9) });
    CHECK(.op = "MaxPool", .in = { IMAGE },
          .attributes = { INTS("kernel_shape", 2, 2), INTS("strides", 2, 2) },
          .out = { F32(SHAPE(1, 1, 1, 1), 5) });
    CHECK(.op = "MaxPool", .in = { IMAGE },
          .attributes = { INTS("kernel_shape", 2, 2), INTS("strides", 2, 2), INT("ceil_mode", 1) },
          .out = { F32(SHAPE(1, 1, 2, 2), 5, 6, 8, 9) });
    /* padding never wins, though all is negative */
    CHECK(.op = "MaxPool", .in = { F32(SHAPE(1, 1, 2), -5, -3) },
          .attributes = { INTS("kernel_shape", 2), INTS("pads", 1, 1) },
          .out = { F32(SHAPE(1, 1, 3), -5, -3, -3) });
    CHECK(.op = "MaxPool", .in = { IMAGE },
          .attributes = { INTS("kernel_shape", 2, 2), INTS("dilations", 2, 2) },
          .out = { F32(SHAPE(1, 1, 1, 1), 9) });
    /* a last window that would start in the padding behind is not made */
    CHECK(.op = "MaxPool", .in = { F32(SHAPE(1, 1, 3), 1, 2, 3) },
          .attributes = { INTS("kernel_shape", 2), INTS("strides", 3), INTS("pads", 0, 1),
                          INT("ceil_mode", 1) },
          .out = { F32(SHAPE(1, 1, 1), 2) });
    REFUSED("kernel_shape: is missing", .op = "MaxPool", .in = { IMAGE });
    REFUSED("kernel_shape: 1 numbers for 2 spatial dimensions", .op = "MaxPool", .in = { IMAGE },
            .attributes = { INTS("kernel_shape", 2) });
    REFUSED("pads: not smaller than the kernel", .op = "MaxPool", .in = { IMAGE },
            .attributes = { INTS("kernel_shape", 2, 2), INTS("pads", 2, 0, 0, 0) });
}

static void test_average_pool(void **state)
{
    (void)state;
    CHECK(.op = "AveragePool", .in = { IMAGE }, .attributes = { INTS("kernel_shape", 2, 2) },
          .out = { F32(SHAPE(1, 1, 2, 2), 3, 4, 6, 7) });
    struct tensor line = F32(SHAPE(1, 1, 3), 2, 4, 6);
    CHECK(.op = "AveragePool", .in = { line },
          .attributes = { INTS("kernel_shape", 2), INTS("pads", 1, 1) },
          .out = { F32(SHAPE(1, 1, 4), 2, 3, 5, 6) });
    CHECK(.op = "AveragePool", .in = { line },
          .attributes = { INTS("kernel_shape", 2), INTS("pads", 1, 1), INT("count_include_pad", 1) },
          .out = { F32(SHAPE(1, 1, 4), 1, 3, 5, 3) });
    /* what ceil_mode adds beyond the padding is never counted */
    CHECK(.op = "AveragePool", .in = { line },
          .attributes = { INTS("kernel_shape", 2), INTS("strides", 2), INT("ceil_mode", 1),
                          INT("count_include_pad", 1) },
          .out = { F32(SHAPE(1, 1, 2), 3, 6) });
    CHECK(.op = "AveragePool", .opset = 19, .in = { line },
          .attributes = { INTS("kernel_shape", 2), INTS("dilations", 2) },
          .out = { F32(SHAPE(1, 1, 1), 4) });
}

static void test_global_pool(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(1, 2, 2, 2), 1, 2, 3, 6, -1, -2, -3, -6);
    CHECK(.op = "GlobalAveragePool", .in = { in }, .out = { F32(SHAPE(1, 2, 1, 1), 3, -3) });
    CHECK(.op = "GlobalMaxPool", .in = { in }, .out = { F32(SHAPE(1, 2, 1, 1), 6, -1) });
    CHECK(.op = "GlobalAveragePool", .in = { F32(SHAPE(2, 1, 2), 1, 2, 3, 4) },
          .out = { F32(SHAPE(2, 1, 1), 1.5f, 3.5f) });
    REFUSED("shape 2x2", .op = "GlobalAveragePool", .in = { F32(SHAPE(2, 2), 1, 2, 3, 4) });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),           cmocka_unit_test(test_conv_attributes),
        cmocka_unit_test(test_conv_depth),     cmocka_unit_test(test_conv_types),
        cmocka_unit_test(test_conv_wide),      cmocka_unit_test(test_conv_refused),
        cmocka_unit_test(test_conv_transpose), cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_average_pool),   cmocka_unit_test(test_global_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
