/* The network's input against a plain double-precision way: pixels to RGB, area or linear resize,
 * scaling. Pictures are smooth, so that filters and chroma siting hardly matter and anything else
 * (order, range, place, padding) does. Odd sizes, both colour orders, both layouts. */
#include "analyse/prepare.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LEVELS_MEAN_MAX 1.5 /* of 255; 8-bit rounding in between costs up to one */
#define LEVELS_MAX 8.0

struct fixture {
    struct picture_view view;
    uint8_t *memory;
};

/* Luma falls to the right and down, chroma turns: no two channels are alike. */
static void make_picture(struct fixture *fixture, uint32_t width, uint32_t height,
                         enum pixel_format format, bool full_range)
{
    uint32_t chroma_width = (width + 1) / 2, chroma_height = (height + 1) / 2;
    uint32_t stride = (width + 63) / 64 * 64 + 64;
    fixture->memory = calloc(2 * (size_t)stride, height + 1);
    assert_non_null(fixture->memory);
    uint8_t *luma = fixture->memory, *first = luma + (size_t)stride * height;
    uint8_t *second = first + stride / 2; /* I420: both in one row */
    bool nv12 = format == PIXEL_NV12;
    fixture->view = (struct picture_view){ .format = format,
                                           .matrix = MATRIX_BT601,
                                           .full_range = full_range,
                                           .width = width,
                                           .height = height,
                                           .plane = { luma, first, nv12 ? NULL : second },
                                           .stride = { stride, stride, nv12 ? 0 : stride } };
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            luma[y * stride + x] = (uint8_t)(200 - 60 * x / width - 50 * y / height);
    for (uint32_t y = 0; y < chroma_height; y++)
        for (uint32_t x = 0; x < chroma_width; x++) {
            uint8_t u = (uint8_t)(100 + 30 * x / chroma_width);
            uint8_t v = (uint8_t)(120 + 40 * y / chroma_height);
            first[y * stride + (nv12 ? 2 * x : x)] = u;
            if (nv12)
                first[y * stride + 2 * x + 1] = v;
            else
                second[y * stride + x] = v;
        }
}

static double clip_level(double level)
{
    return level < 0 ? 0 : level > 255 ? 255 : level;
}

/* BT.601; chroma of the pixel's own pair. colour: 0 red, 1 green, 2 blue. */
static double plain_pixel(const struct picture_view *view, uint32_t x, uint32_t y, uint32_t colour)
{
    bool nv12 = view->format == PIXEL_NV12;
    const uint8_t *chroma = view->plane[1] + (size_t)(y / 2) * view->stride[1];
    double u = nv12 ? chroma[x / 2 * 2] : chroma[x / 2];
    double v =
        nv12 ? chroma[x / 2 * 2 + 1] : view->plane[2][(size_t)(y / 2) * view->stride[2] + x / 2];
    double luma = view->plane[0][(size_t)y * view->stride[0] + x];
    if (!view->full_range) {
        luma = (luma - 16) * 255 / 219;
        u = (u - 128) * 255 / 224;
        v = (v - 128) * 255 / 224;
    } else {
        u -= 128;
        v -= 128;
    }
    const double level[3] = { luma + 1.402 * v, luma - 0.344136 * u - 0.714136 * v, luma + 1.772 * u };
    return clip_level(level[colour]);
}

/* Weight of source pixel k in target pixel i of one dimension. */
static double plain_weight(uint32_t source, uint32_t target, uint32_t i, uint32_t k)
{
    double ratio = (double)source / target;
    if (ratio >= 1)
        return fmax(0, fmin(k + 1, (i + 1) * ratio) - fmax(k, i * ratio)) / ratio;
    double centre = fmin(fmax((i + 0.5) * ratio - 0.5, 0), source - 1);
    return fmax(0, 1 - fabs(centre - k));
}

static double plain_resized(const struct picture_view *view, const struct placement *placement,
                            uint32_t x, uint32_t y, uint32_t colour)
{
    double sum = 0;
    uint32_t x0 = (uint32_t)((uint64_t)x * view->width / placement->inner_width);
    uint32_t y0 = (uint32_t)((uint64_t)y * view->height / placement->inner_height);
    uint32_t x1 = x0 + view->width / placement->inner_width + 3;
    uint32_t y1 = y0 + view->height / placement->inner_height + 3;
    for (uint32_t v = y0 > 0 ? y0 - 1 : 0; v < view->height && v < y1; v++)
        for (uint32_t u = x0 > 0 ? x0 - 1 : 0; u < view->width && u < x1; u++) {
            double weight = plain_weight(view->width, placement->inner_width, x, u) *
                            plain_weight(view->height, placement->inner_height, y, v);
            if (weight > 0)
                sum += weight * plain_pixel(view, u, v, colour);
        }
    return sum;
}

/* Compares the whole tensor, in levels of 255. */
static void compare_tensor(const struct card_input *input, const struct picture_view *view,
                           const struct placement *placement, const float *tensor)
{
    const double mean[3] = { input->mean.r, input->mean.g, input->mean.b };
    const double deviation[3] = { input->deviation.r, input->deviation.g, input->deviation.b };
    double sum = 0, largest = 0;
    for (uint32_t y = 0; y < input->height; y++)
        for (uint32_t x = 0; x < input->width; x++)
            for (uint32_t c = 0; c < 3; c++) {
                uint32_t colour = input->colour == COLOUR_BGR ? 2 - c : c;
                bool inside = x < placement->inner_width && y < placement->inner_height;
                double level = inside ? plain_resized(view, placement, x, y, colour) : input->pad;
                size_t at = input->layout == LAYOUT_NCHW
                                ? ((size_t)c * input->height + y) * input->width + x
                                : ((size_t)y * input->width + x) * 3 + c;
                double found =
                    ((double)tensor[at] * deviation[colour] + mean[colour]) * input->divisor;
                double off = fabs(found - level);
                if (!inside)
                    assert_true(off < 1e-3);
                sum += off;
                largest = fmax(largest, off);
            }
    double average = sum / (3.0 * input->width * input->height);
    if (!(average <= LEVELS_MEAN_MAX) || !(largest <= LEVELS_MAX))
        fail_msg("%ux%u into %ux%u: off by %.2f levels on average, %.2f at most", view->width,
                 view->height, input->width, input->height, average, largest);
}

static void check(struct card_input input, uint32_t width, uint32_t height, enum pixel_format format,
                  bool full_range, uint32_t inner_width, uint32_t inner_height)
{
    struct fixture fixture;
    struct prepare *prepare;
    struct placement placement;
    struct error err = { 0 };
    size_t floats = 3 * (size_t)input.width * input.height;
    float *tensor = malloc((floats + 16) * sizeof *tensor);
    assert_non_null(tensor);
    for (size_t i = 0; i < floats + 16; i++)
        tensor[i] = 12345;
    make_picture(&fixture, width, height, format, full_range);
    assert_int_equal(prepare_create(&prepare, &input, &err), 0);
    if (prepare_run(prepare, &fixture.view, tensor, &placement, &err) < 0)
        fail_msg("%ux%u: %s", width, height, err.text);
    assert_int_equal(placement.picture_width, width);
    assert_int_equal(placement.picture_height, height);
    assert_int_equal(placement.inner_width, inner_width);
    assert_int_equal(placement.inner_height, inner_height);
    compare_tensor(&input, &fixture.view, &placement, tensor);
    for (size_t i = floats; i < floats + 16; i++)
        assert_float_equal(tensor[i], 12345, 0);
    prepare_destroy(&prepare);
    assert_null(prepare);
    free(fixture.memory);
    free(tensor);
}

static const struct card_input plain = {
    .width = 96, .height = 64, .pad = 114, .divisor = 255, .deviation = { 1, 1, 1 }
};

static void test_letterbox_of_many_sizes(void **state)
{
    (void)state;
    check(plain, 96, 64, PIXEL_I420, false, 96, 64);   /* as it is */
    check(plain, 192, 128, PIXEL_I420, false, 96, 64); /* half */
    check(plain, 321, 181, PIXEL_I420, false, 96, 54); /* odd, wide */
    check(plain, 211, 479, PIXEL_I420, false, 28, 64); /* odd, high */
    check(plain, 41, 33, PIXEL_I420, false, 80, 64);   /* grows */
    check(plain, 320, 180, PIXEL_NV12, false, 96, 54);
    check(plain, 320, 180, PIXEL_I420, true, 96, 54);
}

static void test_orders_layouts_and_scaling(void **state)
{
    (void)state;
    struct card_input input = plain;
    input.fit = FIT_STRETCH;
    check(input, 211, 479, PIXEL_I420, false, 96, 64);
    input.colour = COLOUR_BGR;
    check(input, 211, 479, PIXEL_I420, false, 96, 64);
    input.layout = LAYOUT_NHWC;
    check(input, 160, 90, PIXEL_I420, false, 96, 64);
    input.fit = FIT_LETTERBOX;
    input.mean = (struct card_channels){ 0.485, 0.456, 0.406 };
    input.deviation = (struct card_channels){ 0.229, 0.224, 0.225 };
    check(input, 161, 91, PIXEL_I420, false, 96, 54);
    input.layout = LAYOUT_NCHW;
    check(input, 161, 91, PIXEL_I420, false, 96, 54);
    input.width = 83; /* no multiple of anything */
    input.height = 51;
    input.divisor = 1;
    check(input, 161, 91, PIXEL_I420, false, 83, 47);
}

static void test_extreme_shapes_keep_a_pixel(void **state)
{
    (void)state;
    struct fixture fixture;
    struct prepare *prepare;
    struct placement placement;
    float *tensor = malloc(3 * 96 * 64 * sizeof *tensor);
    assert_non_null(tensor);
    assert_int_equal(prepare_create(&prepare, &plain, NULL), 0);
    make_picture(&fixture, 4000, 4, PIXEL_I420, false);
    assert_int_equal(prepare_run(prepare, &fixture.view, tensor, &placement, NULL), 0);
    assert_int_equal(placement.inner_width, 96);
    assert_int_equal(placement.inner_height, 1);
    free(fixture.memory);
    free(tensor);
    prepare_destroy(&prepare);
}

/* One prepare, pictures of changing sizes: nothing of the last one may stay behind. */
static void test_sizes_and_colours_may_change(void **state)
{
    (void)state;
    const uint32_t sizes[][2] = { { 192, 128 }, { 100, 128 }, { 192, 60 }, { 192, 40 }, { 100, 128 } };
    struct fixture fixture;
    struct prepare *prepare;
    struct placement placement;
    struct card_input input = plain;
    input.mean = (struct card_channels){ 0.1, 0.2, 0.3 };
    float *tensor = malloc(3 * 96 * 64 * sizeof *tensor);
    assert_non_null(tensor);
    assert_int_equal(prepare_create(&prepare, &input, NULL), 0);
    for (size_t i = 0; i < 5; i++) {
        make_picture(&fixture, sizes[i][0], sizes[i][1], PIXEL_I420, false);
        assert_int_equal(prepare_run(prepare, &fixture.view, tensor, &placement, NULL), 0);
        compare_tensor(&input, &fixture.view, &placement, tensor);
        free(fixture.memory);
        if (i != 1)
            continue;
        make_picture(&fixture, sizes[i][0], sizes[i][1], PIXEL_NV12, true);
        input.colour = COLOUR_BGR;
        prepare_set_colour(prepare, COLOUR_BGR);
        assert_int_equal(prepare_run(prepare, &fixture.view, tensor, &placement, NULL), 0);
        compare_tensor(&input, &fixture.view, &placement, tensor);
        input.colour = COLOUR_RGB;
        prepare_set_colour(prepare, COLOUR_RGB);
        free(fixture.memory);
    }
    prepare_destroy(&prepare);
    free(tensor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letterbox_of_many_sizes),
        cmocka_unit_test(test_orders_layouts_and_scaling),
        cmocka_unit_test(test_extreme_shapes_keep_a_pixel),
        cmocka_unit_test(test_sizes_and_colours_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
