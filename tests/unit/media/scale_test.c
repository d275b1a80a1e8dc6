/* Proves that scaling averages when it shrinks, stays between its neighbours when it grows, keeps
 * what has the right size, takes odd and tiny sizes without touching a byte outside, and that matrix
 * and range are honoured on the way to RGB. */
#include "testing.h"

#include "media/scale.h"
#include <libavutil/frame.h>
#include <stdlib.h>

static struct scaler *make_scaler(void)
{
    struct error err;
    struct scaler *scaler = NULL;
    assert_ok(scaler_create(&scaler, &err), &err);
    return scaler;
}

static void paint_plain(struct picture *picture, uint8_t y, uint8_t u, uint8_t v)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    memset(view.plane[0], y, (size_t)view.stride[0] * view.height);
    memset(view.plane[1], u, (size_t)view.stride[1] * ((view.height + 1) / 2));
    memset(view.plane[2], v, (size_t)view.stride[2] * ((view.height + 1) / 2));
}

static void test_same_size_is_the_same_picture(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(333, 77, 0, 0, 0), *to = NULL;
    assert_ok(scaler_to_picture(scaler, from, 333, 77, &to, &err), &err); /* even when it is odd */
    assert_ptr_equal(from, to);
    picture_unref(&to);
    picture_unref(&from);
    scaler_destroy(&scaler);
    assert_null(scaler);
    scaler_destroy(&scaler);
}

static void test_shrinking_averages(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(256, 128, 3, 60, 5), *to = NULL;
    assert_ok(scaler_to_picture(scaler, from, 128, 64, &to, &err), &err);
    struct picture_view a, b;
    picture_get_view(from, &a);
    picture_get_view(to, &b);
    assert_int_equal(b.width, 128);
    assert_int_equal(b.height, 64);
    for (uint32_t row = 0; row < 64; row++)
        for (uint32_t column = 0; column < 128; column++) {
            const uint8_t *p = a.plane[0] + 2 * row * a.stride[0] + 2 * column;
            double mean = (p[0] + p[1] + p[a.stride[0]] + p[a.stride[0] + 1]) / 4.0;
            assert_true(fabs(mean - b.plane[0][row * b.stride[0] + column]) <= 1.01);
        }
    picture_unref(&to);
    picture_unref(&from);
    scaler_destroy(&scaler);
}

static void test_growing_is_smooth(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(64, 64, 0, 0, 0), *to = NULL;
    struct picture_view a, b;
    picture_get_view(from, &a);
    for (uint32_t row = 0; row < 64; row++)
        for (uint32_t column = 0; column < 64; column++)
            a.plane[0][row * a.stride[0] + column] = (uint8_t)(20 + 3 * column);
    assert_ok(scaler_to_picture(scaler, from, 160, 96, &to, &err), &err);
    picture_get_view(to, &b);
    for (uint32_t row = 0; row < 96; row++)
        for (uint32_t column = 1; column < 160; column++) {
            int step =
                b.plane[0][row * b.stride[0] + column] - b.plane[0][row * b.stride[0] + column - 1];
            assert_true(step >= 0 && step <= 3); /* no steps of nearest neighbour, no ringing */
        }
    picture_unref(&to);
    picture_unref(&from);
    scaler_destroy(&scaler);
}

static void test_keeps_colour_and_recycles(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(64, 64, 0, 0, 0), *to = NULL;
    uint8_t *memory = NULL;
    for (int i = 0; i < 3; i++) {
        paint_plain(from, i == 1 ? 0 : 255, 3, 250); /* values that a wrong range would change */
        picture_frame(from)->color_range = AVCOL_RANGE_JPEG;
        picture_frame(from)->colorspace = AVCOL_SPC_BT709;
        assert_ok(scaler_to_picture(scaler, from, 32, 32, &to, &err), &err);
        struct picture_view view;
        picture_get_view(to, &view);
        assert_true(view.full_range);
        assert_int_equal(view.matrix, MATRIX_BT709);
        assert_int_equal(view.plane[0][5], i == 1 ? 0 : 255);
        assert_int_equal(view.plane[1][5], 3);
        assert_int_equal(view.plane[2][5], 250);
        if (i > 0)
            assert_ptr_equal(view.plane[0], memory);
        memory = view.plane[0];
        picture_unref(&to);
    }
    picture_unref(&from);
    scaler_destroy(&scaler);
}

static void test_picture_outlives_scaler(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(64, 64, 0, 0, 0), *to = NULL;
    assert_ok(scaler_to_picture(scaler, from, 32, 32, &to, &err), &err);
    scaler_destroy(&scaler);
    struct picture_view view;
    picture_get_view(to, &view);
    memset(view.plane[0], 1, view.stride[0] * view.height);
    picture_unref(&to);
    picture_unref(&from);
}

static void test_refusals(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(64, 64, 0, 0, 0), *to = NULL;
    const uint32_t bad[][2] = {
        { 33, 32 },        { 32, 33 }, { 0, 32 }, { 32, 0 }, { PICTURE_SIDE_MAX + 2, 32 },
        { 0x80000000u, 2 }
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(scaler_to_picture(scaler, from, bad[i][0], bad[i][1], &to, &err),
                         -ERROR_LIMIT);
    assert_null(to);
    picture_unref(&from);
    scaler_destroy(&scaler);
}

/* Reference colours, worked out by hand from the standards' formulas. */
static void test_matrix_and_range(void **state)
{
    (void)state;
    const struct {
        enum AVColorSpace space;
        enum AVColorRange range;
        uint8_t yuv[3], rgb[3];
    } cases[] = {
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG, { 81, 90, 240 }, { 254, 0, 0 } },
        { AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, { 63, 102, 240 }, { 255, 1, 0 } },
        { AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, { 81, 90, 240 }, { 255, 25, 0 } },
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_JPEG, { 76, 85, 255 }, { 254, 0, 0 } },
        { AVCOL_SPC_BT709, AVCOL_RANGE_JPEG, { 54, 99, 255 }, { 254, 0, 0 } },
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG, { 16, 128, 128 }, { 0, 0, 0 } },
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG, { 235, 128, 128 }, { 255, 255, 255 } },
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_JPEG, { 16, 128, 128 }, { 16, 16, 16 } },
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_JPEG, { 235, 128, 128 }, { 235, 235, 235 } },
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG, { 41, 240, 110 }, { 0, 0, 255 } },
    };
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(48, 32, 0, 0, 0);
    static uint8_t planes[3][64 * 24];
    uint8_t *const targets[3] = { planes[0], planes[1], planes[2] };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        paint_plain(from, cases[i].yuv[0], cases[i].yuv[1], cases[i].yuv[2]);
        picture_frame(from)->colorspace = cases[i].space;
        picture_frame(from)->color_range = cases[i].range;
        struct picture_view view;
        picture_get_view(from, &view);
        for (uint32_t width = 40; width <= 48; width += 8) { /* scaled, and as it is */
            uint32_t height = width == 48 ? 24 : 20;
            assert_ok(scaler_to_rgb_planes(scaler, &view, width, height, targets, 64, &err), &err);
            for (int c = 0; c < 3; c++) {
                int found = planes[c][64 * 7 + 11], expected = cases[i].rgb[c];
                if (abs(found - expected) > 2)
                    fail_msg("case %zu, colour %d: %d where %d is right", i, c, found, expected);
            }
        }
    }
    picture_unref(&from);
    scaler_destroy(&scaler);
}

static void test_nv12_equals_i420(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    struct picture *from = testing_picture(100, 60, 2, 10, 3);
    struct picture_view planar, packed;
    picture_get_view(from, &planar);
    packed = planar;
    packed.format = PIXEL_NV12;
    uint8_t chroma[30][128];
    for (uint32_t row = 0; row < 30; row++)
        for (uint32_t column = 0; column < 50; column++) {
            chroma[row][2 * column] = planar.plane[1][row * planar.stride[1] + column];
            chroma[row][2 * column + 1] = planar.plane[2][row * planar.stride[2] + column];
        }
    packed.plane[1] = chroma[0];
    packed.stride[1] = 128;
    packed.plane[2] = NULL;
    static uint8_t a[3][64 * 40], b[3][64 * 40];
    assert_ok(
        scaler_to_rgb_planes(scaler, &planar, 64, 40, (uint8_t *[3]){ a[0], a[1], a[2] }, 64, &err),
        &err);
    assert_ok(
        scaler_to_rgb_planes(scaler, &packed, 64, 40, (uint8_t *[3]){ b[0], b[1], b[2] }, 64, &err),
        &err);
    for (size_t i = 0; i < sizeof a; i++)
        assert_true(abs((&a[0][0])[i] - (&b[0][0])[i]) <= 1);
    picture_unref(&from);
    scaler_destroy(&scaler);
}

#define GUARD 64u

/* Exact planes with guard bytes around; sizes far from any vector's width, more than contexts kept. */
static void test_odd_sizes_stay_inside(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    for (uint32_t width = 1; width < 70; width += 3) {
        uint32_t height = 1 + width * 7 % 37, stride = width < 8 ? 8 : width;
        struct picture *from = testing_picture(5 + width * 11 % 97, 3 + width * 5 % 61, 0, 9, 1);
        struct picture_view view;
        picture_get_view(from, &view);
        size_t plane_bytes = (size_t)stride * height, bytes = 3 * plane_bytes + 2 * GUARD;
        uint8_t *memory = malloc(bytes);
        assert_non_null(memory);
        memset(memory, 0xa5, bytes);
        uint8_t *const planes[3] = { memory + GUARD, memory + GUARD + plane_bytes,
                                     memory + GUARD + 2 * plane_bytes };
        assert_ok(scaler_to_rgb_planes(scaler, &view, width, height, planes, stride, &err), &err);
        for (size_t i = 0; i < GUARD; i++)
            if (memory[i] != 0xa5 || memory[bytes - 1 - i] != 0xa5)
                fail_msg("%ux%u: a byte outside was written", width, height);
        free(memory);
        picture_unref(&from);
    }
    scaler_destroy(&scaler);
}

/* One scaler, many cameras: the contexts are shared out again and again, results stay the same. */
static void test_many_conversions(void **state)
{
    (void)state;
    struct error err;
    struct scaler *scaler = make_scaler();
    uint32_t sums[12] = { 0 };
    for (unsigned round = 0; round < 3; round++)
        for (uint32_t i = 0; i < 12; i++) {
            struct picture *from = testing_picture(64 + 6 * i, 48, i, 0, 0), *to = NULL;
            assert_ok(scaler_to_picture(scaler, from, 40, 30, &to, &err), &err);
            struct picture_view view;
            picture_get_view(to, &view);
            uint32_t sum = 0;
            for (uint32_t row = 0; row < 30; row++)
                for (uint32_t column = 0; column < 40; column++)
                    sum = sum * 31 + view.plane[0][row * view.stride[0] + column];
            if (round > 0)
                assert_int_equal(sum, sums[i]);
            sums[i] = sum;
            picture_unref(&to);
            picture_unref(&from);
        }
    scaler_destroy(&scaler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_size_is_the_same_picture),
        cmocka_unit_test(test_shrinking_averages),
        cmocka_unit_test(test_growing_is_smooth),
        cmocka_unit_test(test_keeps_colour_and_recycles),
        cmocka_unit_test(test_picture_outlives_scaler),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_matrix_and_range),
        cmocka_unit_test(test_nv12_equals_i420),
        cmocka_unit_test(test_odd_sizes_stay_inside),
        cmocka_unit_test(test_many_conversions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
