/* Ops on pictures that are read where other values say, put together or cut: GridSample, AffineGrid, Col2Im,
 * CenterCropPad, DeformConv and NonMaxSuppression, by hand-computed numbers. */
#include "op_check.h"

#define FOUR F32(SHAPE(1, 1, 2, 2), 1, 2, 3, 4)
#define ALIGN INT("align_corners", 1)
#define PADDING(word) STRING("padding_mode", word)
#define MODE(word) STRING("mode", word)

static void test_grid(void **state)
{
    (void)state;
    /* aligned: -1 and 1 are the corners; x comes first */
    struct tensor corners = F32(SHAPE(1, 1, 4, 2), -1, -1, 1, -1, -1, 1, 0, 0);
    CHECK(.op = "GridSample", .opset = 16, .in = { FOUR, corners }, .attributes = { ALIGN },
          .out = { F32(SHAPE(1, 1, 1, 4), 1, 2, 3, 2.5f) });
    /* not aligned: half an element outside, where zeros weigh as much */
    CHECK(.op = "GridSample", .opset = 16, .in = { FOUR, corners },
          .out = { F32(SHAPE(1, 1, 1, 4), 0.25f, 0.5f, 0.75f, 2.5f) });
    CHECK(.op = "GridSample", .opset = 20, .in = { FOUR, corners },
          .attributes = { PADDING("border") }, .out = { F32(SHAPE(1, 1, 1, 4), 1, 2, 3, 2.5f) });
    /* a batch of two with two channels: each picture has its own grid */
    CHECK(.op = "GridSample", .opset = 20, .attributes = { ALIGN, MODE("linear") },
          .in = { F32(SHAPE(2, 2, 1, 2), 1, 3, 10, 30, 2, 4, 20, 40),
                  F32(SHAPE(2, 1, 1, 2), 0.5f, 0, -0.5f, 0) },
          .out = { F32(SHAPE(2, 2, 1, 1), 2.5f, 25, 2.5f, 25) });
}

/* Along one row of four: x of -1 and 1 is 0 and 3 when aligned, -0.5 and 3.5 when not. */
static void check_row(const struct attribute *attributes, int count, const float *x,
                      const float *expected)
{
    float grid[32];
    for (int i = 0; i < count; i++) {
        grid[2 * i] = x[i];
        grid[2 * i + 1] = 0;
    }
    struct op_case c = {
        .op = "GridSample",
        .opset = 20,
        .in = { F32(SHAPE(1, 1, 1, 4), 10, 20, 40, 80),
                { .type = TENSOR_F32, .shape = SHAPE(1, 1, count, 2), .data = grid } },
        .out = { { .type = TENSOR_F32, .shape = SHAPE(1, 1, 1, count), .data = (void *)expected } },
    };
    for (int i = 0; i < CASE_ATTRIBUTES && attributes[i].name; i++)
        c.attributes[i] = attributes[i];
    check_op(&c);
}

#define WITH(...)                             \
    (const struct attribute[CASE_ATTRIBUTES]) \
    {                                         \
        __VA_ARGS__                           \
    }
#define X(...)                                         \
    (int)COUNT_OF(float, __VA_ARGS__), (const float[]) \
    {                                                  \
        __VA_ARGS__                                    \
    }
#define Y(...)      \
    (const float[]) \
    {               \
        __VA_ARGS__ \
    }

static void test_grid_padding(void **state)
{
    (void)state;
    /* unaligned x is 2 (x + 1) - 0.5: -1.5 -0.5 0 1.5 3.5 5.5 */
    check_row(WITH(MODE("linear")), X(-1.5f, -1, -0.75f, 0, 1, 2), Y(0, 5, 10, 30, 40, 0));
    check_row(WITH(MODE("linear"), PADDING("border")), X(-1.5f, -1, -0.75f, 0, 1, 2),
              Y(10, 10, 10, 30, 80, 80));
    /* thrown back at -0.5 and 3.5: 0.5 -0.5 0 1.5 3.5 1.5 */
    check_row(WITH(MODE("linear"), PADDING("reflection")), X(-1.5f, -1, -0.75f, 0, 1, 2),
              Y(15, 10, 10, 30, 80, 30));
    /* aligned it is 1.5 (x + 1), thrown back at 0 and 3: -1.5 is 1.5, 4.5 is 1.5, 9 is 3 */
    check_row(WITH(MODE("linear"), PADDING("reflection"), ALIGN), X(-2, 2, 5), Y(30, 30, 80));
    /* halves go to even elements: 0.5 to 0, 1.5 to 2, 2.5 to 2 */
    check_row(WITH(MODE("nearest")), X(-0.5f, 0, 0.5f, -1.5f), Y(10, 40, 40, 0));
    /* what is no number is nowhere, and far away is far away */
    check_row(WITH(MODE("linear")), X(NAN, 1e30f, -INFINITY), Y(0, 0, 0));
    check_row(WITH(MODE("cubic"), PADDING("border")), X(NAN, 1e30f, -INFINITY), Y(10, 80, 10));
    check_row(WITH(MODE("nearest"), PADDING("reflection")), X(NAN, INFINITY), Y(10, 10));
}

static void test_grid_cubic(void **state)
{
    (void)state;
    /* in the middle, with a = -0.75: -0.09375 0.59375 0.59375 -0.09375; rows have nothing beside */
    const float middle = (float)(0.59375 * (20 + 40) - 0.09375 * (10 + 80));
    const float edge = (float)(0.59375 * (10 + 20) - 0.09375 * (10 + 40));
    const float zeros = (float)(0.59375 * (10 + 20) - 0.09375 * 40);
    check_row(WITH(MODE("cubic"), PADDING("border")), X(0, -0.5f, -0.25f), Y(middle, edge, 20));
    check_row(WITH(MODE("cubic")), X(0, -0.5f, -0.25f), Y(middle, zeros, 20));
    /* half outside, each tap is brought to the edge for itself: 10 10 10 20 */
    check_row(WITH(MODE("cubic"), PADDING("border")), X(-1, -9), Y(9.0625f, 10));
    CHECK(.op = "GridSample", .opset = 16, .attributes = { MODE("bicubic"), PADDING("border") },
          .in = { F32(SHAPE(1, 1, 1, 4), 10, 20, 40, 80), F32(SHAPE(1, 1, 1, 2), 0, 0) },
          .out = { F32(SHAPE(1, 1, 1, 1), middle) });
}

static void test_grid_volume(void **state)
{
    (void)state;
    struct tensor cube = F32(SHAPE(1, 1, 2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    /* x, y, depth */
    CHECK(.op = "GridSample", .opset = 20, .attributes = { ALIGN },
          .in = { cube, F32(SHAPE(1, 1, 1, 3, 3), 1, -1, -1, -1, -1, 1, 0, 0, 0) },
          .out = { F32(SHAPE(1, 1, 1, 1, 3), 2, 5, 4.5f) });
    CHECK(.op = "GridSample", .opset = 20, .attributes = { MODE("nearest") },
          .in = { cube, F32(SHAPE(1, 1, 1, 1, 3), 0.9f, -0.6f, 0.7f) },
          .out = { F32(SHAPE(1, 1, 1, 1, 1), 6) });
    REFUSED("4 dimensions expected", .op = "GridSample", .opset = 16,
            .in = { cube, F32(SHAPE(1, 1, 1, 1, 3), 0, 0, 0) });
}

static void test_grid_refused(void **state)
{
    (void)state;
    struct tensor grid = F32(SHAPE(1, 1, 1, 2), 0, 0);
    REFUSED("mode: unknown word 'linear'", .op = "GridSample", .opset = 16, .in = { FOUR, grid },
            .attributes = { MODE("linear") });
    REFUSED("mode: unknown word 'bilinear'", .op = "GridSample", .opset = 20, .in = { FOUR, grid },
            .attributes = { MODE("bilinear") });
    REFUSED("padding_mode: unknown word 'wrap'", .op = "GridSample", .opset = 20,
            .in = { FOUR, grid }, .attributes = { PADDING("wrap") });
    REFUSED("grid: 1 lists of 3 numbers; 1 of 2 expected", .op = "GridSample", .opset = 20,
            .in = { FOUR, F32(SHAPE(1, 1, 1, 3), 0, 0, 0) });
    REFUSED("grid: 2 lists", .op = "GridSample", .opset = 20,
            .in = { FOUR, F32(SHAPE(2, 1, 1, 2), 0, 0, 0, 0) });
    REFUSED("grid: shape 1x2: 4 dimensions", .op = "GridSample", .opset = 20,
            .in = { FOUR, F32(SHAPE(1, 2), 0, 0) });
}

static void test_affine(void **state)
{
    (void)state;
    /* x' = 2 x + 10, y' = 3 y + x + 20 */
    struct tensor theta = F32(SHAPE(1, 2, 3), 2, 0, 10, 1, 3, 20), size = I64(SHAPE(4), 1, 5, 2, 2);
    CHECK(.op = "AffineGrid", .opset = 20, .in = { theta, size }, .constants = 2,
          .attributes = { ALIGN }, .out = { F32(SHAPE(1, 2, 2, 2), 8, 16, 12, 18, 8, 22, 12, 24) });
    CHECK(.op = "AffineGrid", .opset = 20, .in = { theta, size }, .constants = 2,
          .out = { F32(SHAPE(1, 2, 2, 2), 9, 18, 11, 19, 9, 21, 11, 22) });
    /* one element is in the middle */
    CHECK(.op = "AffineGrid", .opset = 20, .constants = 2, .attributes = { ALIGN },
          .in = { theta, I64(SHAPE(4), 1, 1, 1, 1) }, .out = { F32(SHAPE(1, 1, 1, 2), 10, 20) });
    /* x y z swapped round, over two slices of one row of one */
    CHECK(.op = "AffineGrid", .opset = 20, .constants = 2, .attributes = { ALIGN },
          .in = { F32(SHAPE(1, 3, 4), 0, 0, 1, 0, 1, 0, 0, 5, 0, 1, 0, 7),
                  I64(SHAPE(5), 1, 1, 2, 1, 1) },
          .out = { F32(SHAPE(1, 2, 1, 1, 3), -1, 5, 7, 1, 5, 7) });
    REFUSED("size: is computed", .op = "AffineGrid", .opset = 20, .in = { theta, size });
    REFUSED("theta: 1x2x3; 2x2x3", .op = "AffineGrid", .opset = 20, .constants = 2,
            .in = { theta, I64(SHAPE(4), 2, 5, 2, 2) });
    REFUSED("size: 3 numbers", .op = "AffineGrid", .opset = 20, .constants = 2,
            .in = { theta, I64(SHAPE(3), 1, 5, 2) });
    REFUSED("size: 0 is not a size", .op = "AffineGrid", .opset = 20, .constants = 2,
            .in = { theta, I64(SHAPE(4), 1, 1, 0, 2) });
}

static void test_col2im(void **state)
{
    (void)state;
    struct tensor image = I64(SHAPE(2), 2, 3), block = I64(SHAPE(2), 1, 2);
    /* blocks of two beside each other, two in each of two rows: the middle column is in both */
    struct tensor columns = F32(SHAPE(1, 2, 4), 1, 2, 3, 4, 10, 20, 30, 40);
    CHECK(.op = "Col2Im", .opset = 18, .in = { columns, image, block }, .constants = 6,
          .out = { F32(SHAPE(1, 1, 2, 3), 1, 12, 20, 3, 34, 40) });
    /* two channels, each with blocks of its own */
    CHECK(.op = "Col2Im", .opset = 18, .constants = 6,
          .in = { F32(SHAPE(1, 4, 1), 1, 2, 3, 4), I64(SHAPE(1), 2), I64(SHAPE(1), 2) },
          .out = { F32(SHAPE(1, 2, 2), 1, 2, 3, 4) });
    /* what falls on the padding is gone; every second element */
    CHECK(.op = "Col2Im", .opset = 18, .constants = 6,
          .in = { F32(SHAPE(1, 2, 2), 1, 2, 10, 20), I64(SHAPE(1), 4), I64(SHAPE(1), 2) },
          .attributes = { INTS("pads", 1, 1), INTS("dilations", 2), INTS("strides", 3) },
          .out = { F32(SHAPE(1, 1, 4), 0, 10, 2, 0) });
    /* three sides, as bytes */
    CHECK(.op = "Col2Im", .opset = 18, .constants = 6,
          .in = { U8(SHAPE(1, 2, 2), 1, 2, 3, 4), I64(SHAPE(3), 2, 2, 1), I64(SHAPE(3), 1, 2, 1) },
          .out = { U8(SHAPE(1, 1, 2, 2, 1), 1, 3, 2, 4) });
    REFUSED("image_shape: is computed", .op = "Col2Im", .opset = 18, .in = { columns, image, block });
    REFUSED("input: 2 rows and 4 columns; blocks of 3 in 2 places", .op = "Col2Im", .opset = 18,
            .in = { columns, image, I64(SHAPE(2), 1, 3) }, .constants = 6);
    REFUSED("block_shape: the block is larger", .op = "Col2Im", .opset = 18,
            .in = { columns, image, I64(SHAPE(2), 3, 1) }, .constants = 6);
    REFUSED("block_shape: 1 numbers", .op = "Col2Im", .opset = 18,
            .in = { columns, image, I64(SHAPE(1), 2) }, .constants = 6);
    REFUSED("pads: 2 numbers; 4 expected", .op = "Col2Im", .opset = 18,
            .in = { columns, image, block }, .constants = 6, .attributes = { INTS("pads", 0, 0) });
    REFUSED("image_shape: 0 is outside", .op = "Col2Im", .opset = 18, .constants = 6,
            .in = { columns, I64(SHAPE(2), 0, 3), block });
}

static void test_center(void **state)
{
    (void)state;
    struct tensor six = F32(SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    /* rows: one more behind; columns: one less of three is the last */
    CHECK(.op = "CenterCropPad", .opset = 18, .in = { six, I64(SHAPE(2), 3, 2) }, .constants = 2,
          .out = { F32(SHAPE(3, 2), 1, 2, 4, 5, 0, 0) });
    CHECK(.op = "CenterCropPad", .opset = 18, .in = { six, I64(SHAPE(2), 5, 1) }, .constants = 2,
          .out = { F32(SHAPE(5, 1), 0, 2, 5, 0, 0) });
    CHECK(.op = "CenterCropPad", .opset = 18, .in = { six, I32(SHAPE(1), 6) }, .constants = 2,
          .attributes = { INTS("axes", -1) },
          .out = { F32(SHAPE(2, 6), 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0) });
    CHECK(.op = "CenterCropPad", .opset = 18, .in = { U8(SHAPE(1, 3), 7, 8, 9), I64(SHAPE(2), 1, 2) },
          .constants = 2, .attributes = { INTS("axes", 0, 1) }, .out = { U8(SHAPE(1, 2), 7, 8) });
    REFUSED("shape: is computed", .op = "CenterCropPad", .opset = 18,
            .in = { six, I64(SHAPE(2), 3, 2) });
    REFUSED("shape: 1 numbers for 2 axes", .op = "CenterCropPad", .opset = 18, .constants = 2,
            .in = { six, I64(SHAPE(1), 3) });
    REFUSED("shape: -1 is not a size", .op = "CenterCropPad", .opset = 18, .constants = 2,
            .in = { six, I64(SHAPE(2), -1, 2) });
    REFUSED("axes: axis 1 is listed twice", .op = "CenterCropPad", .opset = 18, .constants = 2,
            .in = { six, I64(SHAPE(2), 1, 2) }, .attributes = { INTS("axes", 1, -1) });
}

static void test_deform(void **state)
{
    (void)state;
    struct tensor image = F32(SHAPE(1, 1, 3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9);
    struct tensor ones = F32(SHAPE(1, 1, 1, 2), 1, 10);
    /* the second time the first tap goes right by one, the other always by a half */
    struct tensor row = F32(SHAPE(1, 1, 1, 3), 1, 2, 4),
                  offset = F32(SHAPE(1, 4, 1, 2), 0, 0, 0, 1, 0, 0, 0.5f, 0.5f);
    CHECK(.op = "DeformConv", .opset = 19, .in = { row, ones, offset },
          .out = { F32(SHAPE(1, 1, 1, 2), 31, 24) }); /* 1 + 3 * 10, 4 + 4 / 2 * 10 */
    /* the same with a mask and a bias */
    CHECK(.op = "DeformConv", .opset = 19,
          .in = { row, ones, offset, F32(SHAPE(1), 100), F32(SHAPE(1, 2, 1, 2), 1, 2, 0.5f, 0) },
          .out = { F32(SHAPE(1, 1, 1, 2), 116, 108) });
    /* rows come first: down by 1, right by -0.5; above the picture there is half of nothing */
    CHECK(.op = "DeformConv", .opset = 19,
          .in = { image, F32(SHAPE(1, 1, 1, 1), 1),
                  F32(SHAPE(1, 2, 2, 2), 1, -0.5f, 0, 0, -0.5f, 0, 1.5f, 0) },
          .attributes = { INTS("strides", 2, 2) },
          .out = { F32(SHAPE(1, 1, 2, 2), 2, 1.5f, 8.5f, 9) });
    /* two channels, each with offsets of its own and a filter of its own */
    CHECK(.op = "DeformConv", .opset = 19,
          .in = { F32(SHAPE(1, 2, 1, 2), 1, 2, 3, 5), F32(SHAPE(2, 1, 1, 1), 1, 10),
                  F32(SHAPE(1, 4, 1, 2), 0, 0, 1, 0, 0, 0, 0, -1) },
          .attributes = { INT("group", 2), INT("offset_group", 2) },
          .out = { F32(SHAPE(1, 2, 1, 2), 2, 2, 30, 30) });
    REFUSED("offset: 1x4x1x2; 1x4x3x2 expected", .op = "DeformConv", .opset = 19,
            .in = { image, ones, offset });
    REFUSED("mask: 1x1x1x2; 1x2x1x2 expected", .op = "DeformConv", .opset = 19,
            .in = { row, ones, offset, { 0 }, F32(SHAPE(1, 1, 1, 2), 1, 1) });
    REFUSED("offset_group: 2 for 1 channels", .op = "DeformConv", .opset = 19,
            .in = { row, ones, offset }, .attributes = { INT("offset_group", 2) });
    REFUSED("bias: 2 numbers for 1", .op = "DeformConv", .opset = 19,
            .in = { row, ones, offset, F32(SHAPE(2), 1, 1) });
}

static void test_nms(void **state)
{
    (void)state;
    /* the first two cover each other by 0.81 / 1.19, the third lies apart; the last is as the third */
    struct tensor boxes =
        F32(SHAPE(1, 4, 4), 0, 0, 1, 1, 0.1f, 0.1f, 1.1f, 1.1f, 3, 4, 2, 2, 2, 2, 3, 4);
    struct tensor scores = F32(SHAPE(1, 2, 4), 0.8f, 0.9f, 0.5f, 0.5f, 0.1f, 0, 0.2f, 0.3f);
    struct tensor most = I64(SHAPE(1), 3), iou = F32(SHAPE(1), 0.5f), least = F32(SCALAR, 0.15f);
    CHECK(.op = "NonMaxSuppression", .opset = 11, .in = { boxes, scores, most, iou, least },
          .constants = 31, .out = { I64(SHAPE(3, 3), 0, 0, 1, 0, 0, 2, 0, 1, 3) });
    /* without a limit of the score, and only one of each class */
    CHECK(.op = "NonMaxSuppression", .opset = 10, .in = { boxes, scores, I64(SCALAR, 1), iou },
          .constants = 31, .out = { I64(SHAPE(2, 3), 0, 0, 1, 0, 1, 3) });
    /* more overlap is let through, of equals the first */
    CHECK(.op = "NonMaxSuppression", .opset = 11,
          .in = { boxes, scores, most, F32(SHAPE(1), 0.7f), F32(SHAPE(1), 0.4f) }, .constants = 31,
          .out = { I64(SHAPE(3, 3), 0, 0, 1, 0, 0, 0, 0, 0, 2) });
    /* none asked for */
    CHECK(.op = "NonMaxSuppression", .opset = 11, .in = { boxes, scores }, .constants = 31,
          .out = { I64(SHAPE(0, 3), 0) });
    /* centre and sides: [-1, 1] and [0, 1] share a half */
    CHECK(.op = "NonMaxSuppression", .opset = 11, .attributes = { INT("center_point_box", 1) },
          .in = { F32(SHAPE(1, 2, 4), 0, 0, 2, 1, 0.5f, 0, 1, 1), F32(SHAPE(1, 1, 2), 1, 2), most,
                  F32(SHAPE(1), 0.49f) },
          .constants = 31, .out = { I64(SHAPE(1, 3), 0, 0, 1) });
    REFUSED("boxes: is computed from the input's values", .op = "NonMaxSuppression", .opset = 11,
            .in = { boxes, scores, most });
    REFUSED("scores and limits: is computed", .op = "NonMaxSuppression", .opset = 11,
            .in = { boxes, scores, most }, .constants = 5);
    REFUSED("boxes: 1x4x4; 1x3x4 goes with", .op = "NonMaxSuppression", .opset = 11,
            .in = { boxes, F32(SHAPE(1, 1, 3), 1, 2, 3) }, .constants = 31);
    REFUSED("limits: one number each", .op = "NonMaxSuppression", .opset = 11,
            .in = { boxes, scores, I64(SHAPE(2), 1, 2) }, .constants = 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),         cmocka_unit_test(test_grid_padding),
        cmocka_unit_test(test_grid_cubic),   cmocka_unit_test(test_grid_volume),
        cmocka_unit_test(test_grid_refused), cmocka_unit_test(test_affine),
        cmocka_unit_test(test_col2im),       cmocka_unit_test(test_center),
        cmocka_unit_test(test_deform),       cmocka_unit_test(test_nms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
