/* Proves that the middle of a picture has the shape that was asked for, within a pixel and the picture, and
 * that a part shows the pixels of its place, planar or NV12, and lives without the picture. */
#include "testing.h"

#include "media/picture_cut.h"
#include <libavutil/frame.h>

static void expect_middle(uint32_t width, uint32_t height, uint32_t shape_width,
                          uint32_t shape_height, struct picture_part wanted)
{
    struct picture_part part = picture_middle(width, height, shape_width, shape_height);
    assert_int_equal(part.x, wanted.x);
    assert_int_equal(part.y, wanted.y);
    assert_int_equal(part.width, wanted.width);
    assert_int_equal(part.height, wanted.height);
}

static void test_middle(void **state)
{
    (void)state;
    expect_middle(480, 360, 480, 360, (struct picture_part){ 0, 0, 480, 360 });
    expect_middle(960, 720, 480, 360, (struct picture_part){ 0, 0, 960, 720 });
    expect_middle(481, 361, 481, 361, (struct picture_part){ 0, 0, 481, 361 });
    expect_middle(768, 432, 480, 360, (struct picture_part){ 96, 0, 576, 432 });
    expect_middle(640, 272, 480, 360, (struct picture_part){ 138, 0, 362, 272 });
    expect_middle(272, 640, 360, 480, (struct picture_part){ 0, 138, 272, 362 });
    expect_middle(100, 100, 200, 100, (struct picture_part){ 0, 24, 100, 50 });
    expect_middle(1, 7, 100, 1, (struct picture_part){ 0, 2, 1, 2 });
    expect_middle(16384, 1, 1, 16384, (struct picture_part){ 8190, 0, 2, 1 });
}

static uint8_t pixel(int plane, uint32_t x, uint32_t y)
{
    return (uint8_t)(40 * plane + 7 * x + 13 * y);
}

/* Of 24x16, each pixel another number. */
static struct picture *make_picture(enum pixel_format format)
{
    struct error err;
    struct picture *picture = NULL;
    AVFrame *frame = av_frame_alloc();
    assert_non_null(frame);
    frame->format = format == PIXEL_NV12 ? AV_PIX_FMT_NV12 : AV_PIX_FMT_YUV420P;
    frame->width = 24;
    frame->height = 16;
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    for (int plane = 0; plane < 3; plane++)
        for (uint32_t y = 0; y < (plane ? 8 : 16); y++)
            for (uint32_t x = 0; x < (plane ? 12 : 24); x++) {
                bool pairs = format == PIXEL_NV12 && plane > 0;
                int at = pairs ? 1 : plane;
                size_t column = pairs ? 2 * x + (unsigned)plane - 1 : x;
                frame->data[at][y * (size_t)frame->linesize[at] + column] = pixel(plane, x, y);
            }
    assert_ok(picture_from_frame(&picture, frame, &err), &err);
    av_frame_free(&frame);
    return picture;
}

static void expect_part(enum pixel_format format)
{
    struct error err;
    struct picture *whole = make_picture(format), *part = NULL;
    struct picture_view view;
    assert_ok(picture_cut(whole, &(struct picture_part){ 6, 4, 11, 10 }, &part, &err), &err);
    picture_unref(&whole); /* what it lies in stays */
    picture_get_view(part, &view);
    assert_int_equal(view.format, format);
    assert_int_equal(view.width, 11);
    assert_int_equal(view.height, 10);
    for (int plane = 0; plane < 3; plane++)
        for (uint32_t y = 0; y < (plane ? 5 : 10); y++)
            for (uint32_t x = 0; x < (plane ? 6 : 11); x++) {
                bool pairs = format == PIXEL_NV12 && plane > 0;
                int at = pairs ? 1 : plane;
                size_t column = pairs ? 2 * x + (unsigned)plane - 1 : x;
                assert_int_equal(view.plane[at][y * (size_t)view.stride[at] + column],
                                 pixel(plane, x + (plane ? 3 : 6), y + (plane ? 2 : 4)));
            }
    picture_unref(&part);
}

static void test_part(void **state)
{
    (void)state;
    expect_part(PIXEL_I420);
    expect_part(PIXEL_NV12);
}

static void test_all_of_it(void **state)
{
    (void)state;
    struct error err;
    struct picture *whole = make_picture(PIXEL_I420), *part = NULL;
    assert_ok(picture_cut(whole, &(struct picture_part){ 0, 0, 24, 16 }, &part, &err), &err);
    assert_ptr_equal(part, whole);
    picture_unref(&part);
    picture_unref(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_middle),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
