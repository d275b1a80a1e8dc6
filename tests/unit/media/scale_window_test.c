/* Proves that a window at rest gives the picture itself, that whole even pixels move pixels unchanged
 * with mirrored edges, that zooming in and out again comes back near the picture, and that colour is
 * kept. */
#include "testing.h"

#include "media/scale_window.h"
#include <libavutil/frame.h>

#define WIDTH 98u
#define HEIGHT 66u

static struct picture *look(const struct picture *from, struct window window)
{
    struct error err;
    struct picture *to = NULL;
    assert_ok(scale_window(from, &window, &to, &err), &err);
    return to;
}

static void test_at_rest_and_moved_by_whole_pixels(void **state)
{
    (void)state;
    const int moves[][2] = { { 0, 0 }, { 6, 0 }, { -10, 4 }, { 0, -32 } };
    struct picture *from = testing_picture(WIDTH, HEIGHT, 3, 40, 7);
    struct picture_view seen, made;
    picture_get_view(from, &seen);
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        struct picture *to = look(from, (struct window){ moves[i][0], moves[i][1], 1 });
        picture_get_view(to, &made);
        assert_int_equal(made.width, WIDTH);
        assert_int_equal(made.height, HEIGHT);
        for (int plane = 0; plane < 3; plane++) {
            int width = WIDTH / (plane ? 2 : 1), height = HEIGHT / (plane ? 2 : 1);
            int dx = moves[i][0] / (plane ? 2 : 1), dy = moves[i][1] / (plane ? 2 : 1);
            for (int y = 0; y < height; y++)
                for (int x = 0; x < width; x++) {
                    int column = abs(x + dx), row = abs(y + dy);
                    column = column < width ? column : 2 * width - 2 - column;
                    row = row < height ? row : 2 * height - 2 - row;
                    assert_int_equal(made.plane[plane][y * (int)made.stride[plane] + x],
                                     seen.plane[plane][row * (int)seen.stride[plane] + column]);
                }
        }
        picture_unref(&to);
    }
    picture_unref(&from);
}

/* A smooth picture, for a texture of single pixels does not survive any filter. */
static struct picture *smooth_picture(void)
{
    struct picture *picture = testing_picture(WIDTH, HEIGHT, 0, 0, 0);
    struct picture_view view;
    picture_get_view(picture, &view);
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++)
            view.plane[0][y * view.stride[0] + x] = (uint8_t)(120 + 80 * sin(x / 6.0) * cos(y / 9.0));
    for (int plane = 1; plane < 3; plane++)
        for (uint32_t y = 0; y < HEIGHT / 2; y++)
            for (uint32_t x = 0; x < WIDTH / 2; x++)
                view.plane[plane][y * view.stride[plane] + x] = (uint8_t)(90 + x + y / 2);
    return picture;
}

static void test_zoom_and_back(void **state)
{
    (void)state;
    struct picture *from = smooth_picture();
    struct picture_view seen, near, back;
    picture_get_view(from, &seen);
    struct picture *away = look(from, (struct window){ 0, 0, 0.8 });
    struct picture *again = look(away, (struct window){ 0, 0, 1.25 });
    picture_get_view(away, &near);
    picture_get_view(again, &back);
    printf("zoomed: %.1f dB, and back: %.1f dB\n", testing_psnr(&seen, &near),
           testing_psnr(&seen, &back));
    assert_true(testing_psnr(&seen, &near) < 25); /* it did look from elsewhere */
    assert_true(testing_psnr(&seen, &back) > 38);
    /* Parts of pixels: half one way and half the other is nowhere near a whole pixel off. */
    struct picture *half = look(from, (struct window){ 0.5, -0.25, 1 });
    struct picture *whole = look(half, (struct window){ -0.5, 0.25, 1 });
    picture_get_view(whole, &back);
    assert_true(testing_psnr(&seen, &back) > 44);
    picture_unref(&whole);
    picture_unref(&half);
    picture_unref(&again);
    picture_unref(&away);
    picture_unref(&from);
}

static void test_colour_is_kept_and_formats(void **state)
{
    (void)state;
    struct error err;
    struct picture *from = testing_picture(17, 1, 0, 0, 0); /* an odd side, and one of a single row */
    picture_frame(from)->colorspace = AVCOL_SPC_BT709;
    picture_frame(from)->color_range = AVCOL_RANGE_JPEG;
    struct picture *to = look(from, (struct window){ 3.5, 100, 0.5 });
    struct picture_view view;
    picture_get_view(to, &view);
    assert_int_equal(view.matrix, MATRIX_BT709);
    assert_true(view.full_range);
    picture_unref(&to);
    picture_frame(from)->format = AV_PIX_FMT_NV12;
    assert_int_equal(scale_window(from, &(struct window){ 0, 0, 1 }, &to, &err), -ERROR_UNSUPPORTED);
    assert_null(to);
    picture_unref(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_rest_and_moved_by_whole_pixels),
        cmocka_unit_test(test_zoom_and_back),
        cmocka_unit_test(test_colour_is_kept_and_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
