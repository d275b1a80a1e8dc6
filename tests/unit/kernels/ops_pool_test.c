/* Pooling beyond maxima and averages of pictures (ops_conv_test.c), by hand-computed numbers: volumes, places
 * of maxima and the way back, norms, other types, regions of interest. */
#include "op_check.h"

#define NINE 1, 2, 3, 4, 5, 6, 7, 8, 9
#define IMAGE F32(SHAPE(1, 1, 3, 3), NINE)
#define CUBE F32(SHAPE(1, 1, 2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8)

static void test_places(void **state)
{
    (void)state;
    struct tensor two = F32(SHAPE(1, 2, 2, 3), 1, 5, 2, 4, 3, 6, 9, 8, 7, 7, 8, 9);
    CHECK(.op = "MaxPool", .in = { two }, .attributes = { INTS("kernel_shape", 2, 2) },
          .out = { F32(SHAPE(1, 2, 1, 2), 5, 6, 9, 9), I64(SHAPE(1, 2, 1, 2), 1, 5, 6, 11) });
    /* columns first: row r, column c of the second plane is 6 + r + 2 c */
    CHECK(.op = "MaxPool", .in = { two },
          .attributes = { INTS("kernel_shape", 2, 2), INT("storage_order", 1) },
          .out = { F32(SHAPE(1, 2, 1, 2), 5, 6, 9, 9), I64(SHAPE(1, 2, 1, 2), 2, 5, 6, 11) });
    /* the first of equals, and never the padding */
    CHECK(.op = "MaxPool", .in = { F32(SHAPE(1, 1, 3), -2, -2, -3) },
          .attributes = { INTS("kernel_shape", 2), INTS("pads", 1, 1) },
          .out = { F32(SHAPE(1, 1, 4), -2, -2, -2, -3), I64(SHAPE(1, 1, 4), 0, 0, 1, 2) });
    CHECK(.op = "MaxPool", .in = { CUBE }, .attributes = { INTS("kernel_shape", 2, 1, 2) },
          .out = { F32(SHAPE(1, 1, 1, 2, 1), 6, 8), I64(SHAPE(1, 1, 1, 2, 1), 5, 7) });
    REFUSED("storage_order: 2", .op = "MaxPool", .in = { two },
            .attributes = { INTS("kernel_shape", 2, 2), INT("storage_order", 2) });
}

static void test_volumes(void **state)
{
    (void)state;
    CHECK(.op = "MaxPool", .in = { CUBE }, .attributes = { INTS("kernel_shape", 1, 2, 2) },
          .out = { F32(SHAPE(1, 1, 2, 1, 1), 4, 8) });
    CHECK(.op = "AveragePool", .in = { CUBE }, .attributes = { INTS("kernel_shape", 2, 2, 1) },
          .out = { F32(SHAPE(1, 1, 1, 1, 2), 4, 5) });
    CHECK(.op = "AveragePool", .in = { CUBE },
          .attributes = { INTS("kernel_shape", 2, 2, 2), INTS("pads", 1, 0, 0, 0, 0, 0),
                          INT("count_include_pad", 1) },
          .out = { F32(SHAPE(1, 1, 2, 1, 1), 1.25f, 4.5f) });
    CHECK(.op = "AveragePool", .opset = 19, .in = { F32(SHAPE(1, 1, 3, 1, 2), 1, 2, 3, 4, 5, 6) },
          .attributes = { INTS("kernel_shape", 2, 1, 1), INTS("dilations", 2, 1, 1) },
          .out = { F32(SHAPE(1, 1, 1, 1, 2), 3, 4) });
    REFUSED("kernel_shape: 2 numbers for 3 spatial dimensions", .op = "AveragePool", .in = { CUBE },
            .attributes = { INTS("kernel_shape", 2, 2) });
}

static void test_types(void **state)
{
    (void)state;
    CHECK(.op = "MaxPool", .in = { U8(SHAPE(1, 1, 4), 3, 200, 7, 255) },
          .attributes = { INTS("kernel_shape", 2) }, .out = { U8(SHAPE(1, 1, 3), 200, 200, 255) });
    CHECK(.op = "MaxPool", .in = { I8(SHAPE(1, 1, 3), -128, -5, -7) },
          .attributes = { INTS("kernel_shape", 2) },
          .out = { I8(SHAPE(1, 1, 2), -5, -5), I64(SHAPE(1, 1, 2), 1, 1) });
    CHECK(.op = "AveragePool", .in = { LITERAL(TENSOR_F64, double, SHAPE(1, 1, 2), 1, 4) },
          .attributes = { INTS("kernel_shape", 2) },
          .out = { LITERAL(TENSOR_F64, double, SHAPE(1, 1, 1), 2.5) });
    /* 1, 2 and 1.5 in halves */
    CHECK(.op = "GlobalAveragePool",
          .in = { LITERAL(TENSOR_F16, uint16_t, SHAPE(1, 1, 2), 0x3c00, 0x4000) },
          .out = { LITERAL(TENSOR_F16, uint16_t, SHAPE(1, 1, 1), 0x3e00) });
    REFUSED("input: type i64", .op = "MaxPool", .in = { I64(SHAPE(1, 1, 2), 1, 2) },
            .attributes = { INTS("kernel_shape", 2) });
    REFUSED("input: type u8", .op = "AveragePool", .in = { U8(SHAPE(1, 1, 2), 1, 2) },
            .attributes = { INTS("kernel_shape", 2) });
}

static void test_norms(void **state)
{
    (void)state;
    struct tensor line = F32(SHAPE(1, 1, 4), 3, -4, 0, 12);
    CHECK(.op = "LpPool", .in = { line }, .attributes = { INTS("kernel_shape", 2) },
          .out = { F32(SHAPE(1, 1, 3), 5, 4, 12) });
    CHECK(.op = "LpPool", .in = { line },
          .attributes = { INTS("kernel_shape", 2), INT("p", 1), INTS("strides", 2),
                          INTS("pads", 1, 1) },
          .out = { F32(SHAPE(1, 1, 3), 3, 4, 12) });
    CHECK(.op = "LpPool", .opset = 18, .in = { line },
          .attributes = { INTS("kernel_shape", 2), INT("p", 3), INTS("dilations", 3) },
          .out = { F32(SHAPE(1, 1, 1), (float)cbrt(27 + 1728)) });
    CHECK(.op = "LpPool", .opset = 18, .in = { line },
          .attributes = { INTS("kernel_shape", 3), INTS("strides", 2), INT("ceil_mode", 1) },
          .out = { F32(SHAPE(1, 1, 2), 5, 12) });
    CHECK(.op = "GlobalLpPool", .in = { F32(SHAPE(1, 2, 1, 2), 3, 4, -6, 8) },
          .out = { F32(SHAPE(1, 2, 1, 1), 5, 10) });
    CHECK(.op = "GlobalLpPool", .in = { F32(SHAPE(1, 2, 1, 2), 3, 4, -6, 8) },
          .attributes = { INT("p", 1) }, .out = { F32(SHAPE(1, 2, 1, 1), 7, 14) });
    REFUSED("p: 0 is outside", .op = "LpPool", .in = { line },
            .attributes = { INTS("kernel_shape", 2), INT("p", 0) });
}

static void test_unpool(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(1, 1, 1, 2), 5, 7), places = I64(SHAPE(1, 1, 1, 2), 1, 6);
    const struct attribute kernel = INTS("kernel_shape", 2, 2), strides = INTS("strides", 2, 2);
    CHECK(.op = "MaxUnpool", .in = { x, places }, .attributes = { kernel, strides },
          .out = { F32(SHAPE(1, 1, 2, 4), 0, 5, 0, 0, 0, 0, 7, 0) });
    /* the same at the beginning of a larger one */
    CHECK(.op = "MaxUnpool", .in = { x, places, I64(SHAPE(4), 1, 1, 3, 5) }, .constants = 4,
          .attributes = { kernel, strides },
          .out = { F32(SHAPE(1, 1, 3, 5), 0, 5, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0) });
    CHECK(.op = "MaxUnpool", .in = { F32(SHAPE(1, 1, 2), 5, 7), I64(SHAPE(1, 1, 2), 2, 0) },
          .attributes = { INTS("kernel_shape", 3), INTS("pads", 0, 1) },
          .out = { F32(SHAPE(1, 1, 3), 7, 0, 5) });
    REFUSED("output_shape: is computed", .op = "MaxUnpool",
            .in = { x, places, I64(SHAPE(4), 1, 1, 3, 5) }, .attributes = { kernel, strides });
    REFUSED("output_shape: 3 does not hold the 4", .op = "MaxUnpool", .constants = 4,
            .in = { x, places, I64(SHAPE(4), 1, 1, 2, 3) }, .attributes = { kernel, strides });
    REFUSED("kernel_shape: 0 is outside", .op = "MaxUnpool", .in = { x, places });
    REFUSED("indices: do not have", .op = "MaxUnpool", .attributes = { kernel },
            .in = { x, I64(SHAPE(1, 1, 1, 1), 0) });
}

static void test_unpool_places(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(1, 1, 1), 5), place = I64(SHAPE(1, 1, 1), 2), out = { 0 };
    const struct tensor *inputs[] = { &x, &place };
    struct error err = { 0 };
    struct op_case c = { .op = "MaxUnpool",
                         .in = { x, place },
                         .attributes = { INTS("kernel_shape", 2) } };
    struct graph *graph = case_graph(&c, false);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    assert_int_equal(graph_run_reference(graph, inputs, &out, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "2 is outside [0, 2)"));
    graph_free(&graph);
}

static void test_max_roi(void **state)
{
    (void)state;
    /* the upper left 2x2; columns 1 and 2 of all rows, in two rows of bins that share the middle one */
    CHECK(.op = "MaxRoiPool", .in = { IMAGE, F32(SHAPE(2, 5), 0, 0, 0, 1, 1, 0, 1, 0, 2, 2) },
          .attributes = { INTS("pooled_shape", 2, 1) },
          .out = { F32(SHAPE(2, 1, 2, 1), 2, 5, 6, 9) });
    /* scaled by half, and beyond the picture */
    CHECK(.op = "MaxRoiPool", .in = { IMAGE, F32(SHAPE(2, 5), 0, 4, 4, 4, 4, 0, 20, 20, 22, 22) },
          .attributes = { INTS("pooled_shape", 1, 1), FLOAT("spatial_scale", 0.5f) },
          .out = { F32(SHAPE(2, 1, 1, 1), 9, 0) });
    REFUSED("pooled_shape: height and width", .op = "MaxRoiPool",
            .in = { IMAGE, F32(SHAPE(1, 5), 0, 0, 0, 1, 1) });
    REFUSED("rois: 4 numbers each; 5 expected", .op = "MaxRoiPool",
            .in = { IMAGE, F32(SHAPE(1, 4), 0, 0, 1, 1) },
            .attributes = { INTS("pooled_shape", 1, 1) });
}

static void test_align(void **state)
{
    (void)state;
    struct tensor whole = F32(SHAPE(1, 4), 0, 0, 2, 2), first = I64(SHAPE(1), 0);
    const struct attribute corner = STRING("coordinate_transformation_mode", "output_half_pixel");
    const struct attribute one = INT("sampling_ratio", 1), largest = STRING("mode", "max");
    /* a sample in the middle of each bin: (0.5, 0.5), and from there in whole steps */
    CHECK(.op = "RoiAlign", .opset = 16, .in = { IMAGE, whole, first },
          .attributes = { corner, one, INT("output_height", 2), INT("output_width", 2) },
          .out = { F32(SHAPE(1, 1, 2, 2), 3, 4, 6, 7) });
    /* half a pixel before that: on elements */
    CHECK(.op = "RoiAlign", .opset = 16, .in = { IMAGE, whole, first },
          .attributes = { one, INT("output_height", 2), INT("output_width", 2) },
          .out = { F32(SHAPE(1, 1, 2, 2), 1, 2, 4, 5) });
    /* as many samples as the bin has pixels: the mean of the four above */
    CHECK(.op = "RoiAlign", .opset = 10, .in = { IMAGE, whole, first },
          .out = { F32(SHAPE(1, 1, 1, 1), 5) });
    CHECK(.op = "RoiAlign", .opset = 10, .in = { IMAGE, whole, first },
          .attributes = { one, largest, INT("output_height", 1), FLOAT("spatial_scale", 0.5f) },
          .out = { F32(SHAPE(1, 1, 1, 1), 1.25f) }); /* a quarter of the 5 */
    /* far larger than the picture: of 2^20 samples a side only those on it are looked at */
    CHECK(.op = "RoiAlign", .opset = 16,
          .in = { F32(SHAPE(1, 1, 1, 1), 8), F32(SHAPE(1, 4), -1e6f, 0, 1e6f, 1), first },
          .attributes = { INT("sampling_ratio", 2) }, .out = { F32(SHAPE(1, 1, 1, 1), 0) });
    REFUSED("mode: unknown word 'min'", .op = "RoiAlign", .opset = 16,
            .in = { IMAGE, whole, first }, .attributes = { STRING("mode", "min") });
    REFUSED("coordinate_transformation_mode: unknown", .op = "RoiAlign", .opset = 16,
            .in = { IMAGE, whole, first },
            .attributes = { STRING("coordinate_transformation_mode", "half") });
    REFUSED("batch_indices: 2 numbers for 1 rois", .op = "RoiAlign", .opset = 16,
            .in = { IMAGE, whole, I64(SHAPE(2), 0, 0) });
    REFUSED("output size: 0 is outside", .op = "RoiAlign", .opset = 16,
            .in = { IMAGE, whole, first }, .attributes = { INT("output_width", 0) });
}

static void check_fails(const struct op_case *c, const char *words)
{
    struct error err = { 0 };
    struct tensor out = { 0 };
    const struct tensor *inputs[] = { &c->in[0], &c->in[1], &c->in[2] };
    struct graph *graph = case_graph(c, false);
    if (graph_infer(graph, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(graph_run_reference(graph, inputs, &out, &err), -ERROR_FORMAT);
    if (!strstr(err.text, words))
        fail_msg("message \"%s\" lacks \"%s\"", err.text, words);
    graph_free(&graph);
}

/* What only the values say. */
static void test_regions(void **state)
{
    (void)state;
    check_fails(&(struct op_case){ .op = "RoiAlign",
                                   .opset = 16,
                                   .in = { IMAGE, F32(SHAPE(1, 4), 0, 0, 1, 1), I64(SHAPE(1), 1) } },
                "there is no picture 1");
    check_fails(
        &(struct op_case){ .op = "RoiAlign",
                           .opset = 16,
                           .in = { IMAGE, F32(SHAPE(1, 4), 0, 0, INFINITY, 1), I64(SHAPE(1), 0) } },
        "out of all range");
    check_fails(&(struct op_case){ .op = "MaxRoiPool",
                                   .attributes = { INTS("pooled_shape", 1, 1) },
                                   .in = { IMAGE, F32(SHAPE(1, 5), -1, 0, 0, 1, 1) } },
                "there is no picture -1");
    check_fails(&(struct op_case){ .op = "MaxRoiPool",
                                   .attributes = { INTS("pooled_shape", 1, 1) },
                                   .in = { IMAGE, F32(SHAPE(1, 5), 0, NAN, 0, 1, 1) } },
                "out of all range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),  cmocka_unit_test(test_volumes),
        cmocka_unit_test(test_types),   cmocka_unit_test(test_norms),
        cmocka_unit_test(test_unpool),  cmocka_unit_test(test_unpool_places),
        cmocka_unit_test(test_max_roi), cmocka_unit_test(test_align),
        cmocka_unit_test(test_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
