/* Proves that what a camera saw lands on its own pixels and colours at every rung: clips of each way up,
 * shape of pixels, matrix and range are made with libavcodec, read, scaled, encoded and decoded as a stream
 * is, and places and colours are compared with what was drawn, by the standards' formulas. */
#include "clip_maker.h"

#include "media/encode_rung.h"
#include "media/scale.h"
#include "media/source.h"
#include <stdlib.h>

#define FRAMES 3

static char path[] = "/tmp/runespoor-shape-XXXXXX.mp4";

static const struct clip_colour ground = { 70, 90, 80 };
/* Two marks, so that no turn can be mistaken for another. */
static const struct clip_colour red = { 215, 40, 50 }, blue = { 40, 70, 220 };

struct box {
    double x, y, width, height;
};

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemps(path, 4);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_clip(struct clip_config config, const struct clip_area *areas, size_t count)
{
    struct clip_maker clip;
    config.url = path;
    config.format = "mp4";
    config.fps = 10;
    clip_open(&clip, &config);
    for (unsigned i = 0; i < FRAMES; i++)
        clip_add(&clip, ground, areas, count);
    clip_close(&clip);
}

static struct source *open_clip(struct source_info *info)
{
    const struct source_config config = { .kind = SOURCE_FILE, .path = path };
    struct source *source = NULL;
    struct error err;
    assert_ok(source_open(&source, &config, &err), &err);
    source_get_info(source, info);
    return source;
}

/* A picture as it arrives at the server, sent at a rung of this width (0: the camera's). */
static struct picture *send_picture(const struct source_info *info, struct picture *picture,
                                    uint32_t rung_width)
{
    const struct rung_encoder_config config = { .camera_width = info->display_width,
                                                .camera_height = info->display_height,
                                                .camera_fps = 10,
                                                .threads = 1 };
    const struct rung rung = { .codec = VIDEO_H264,
                               .encoder = ENCODER_SOFTWARE,
                               .width = rung_width,
                               .mode = RATE_QUALITY,
                               .quality = 8,
                               .bitrate_kbps = 100000,
                               .vbv_ms = 2000,
                               .preset = RUNG_PRESET_VERYFAST,
                               .keyframe_s = 10 };
    struct rung_encoder *encoder = NULL;
    struct decoder *decoder = testing_decoder(2048, 1);
    struct packet *packet = NULL;
    struct picture *arrived = NULL;
    struct error err;
    size_t size;
    assert_ok(rung_encoder_create(&encoder, &config, &rung, &err), &err);
    assert_ok(rung_encoder_start(encoder, &err), &err);
    assert_ok(rung_encoder_encode(encoder, picture, 0, true, &packet, &err), &err);
    const uint8_t *bytes = packet_data(packet, &size);
    assert_ok(decoder_decode(decoder, bytes, size, true, &arrived, &err), &err);
    packet_unref(&packet);
    rung_encoder_destroy(&encoder);
    decoder_close(&decoder);
    return arrived;
}

/* RGB as a model is given it. */
struct seen {
    uint32_t width, height;
    uint8_t *planes[3];
};

static struct seen look(const struct picture *picture)
{
    struct scaler *scaler = NULL;
    struct picture_view view;
    struct error err;
    picture_get_view(picture, &view);
    struct seen seen = { .width = view.width, .height = view.height };
    for (int i = 0; i < 3; i++)
        assert_non_null(seen.planes[i] = malloc((size_t)view.width * view.height));
    assert_ok(scaler_create(&scaler, &err), &err);
    assert_ok(
        scaler_to_rgb_planes(scaler, &view, view.width, view.height, seen.planes, view.width, &err),
        &err);
    scaler_destroy(&scaler);
    return seen;
}

static void forget(struct seen *seen)
{
    for (int i = 0; i < 3; i++)
        free(seen->planes[i]);
}

static bool is_like(const struct seen *seen, uint32_t x, uint32_t y, struct clip_colour colour)
{
    size_t at = (size_t)y * seen->width + x;
    return abs(seen->planes[0][at] - colour.r) < 60 && abs(seen->planes[1][at] - colour.g) < 60 &&
           abs(seen->planes[2][at] - colour.b) < 60;
}

/* Where a colour is, in the camera's pixels: what a detector would answer, scaled as the server does. */
static struct box find(const struct seen *seen, struct clip_colour colour,
                       const struct source_info *info)
{
    uint32_t left = seen->width, top = seen->height, right = 0, bottom = 0;
    for (uint32_t y = 0; y < seen->height; y++)
        for (uint32_t x = 0; x < seen->width; x++) {
            if (!is_like(seen, x, y, colour))
                continue;
            left = x < left ? x : left;
            right = x + 1 > right ? x + 1 : right;
            top = y < top ? y : top;
            bottom = y + 1 > bottom ? y + 1 : bottom;
        }
    assert_true(right > left);
    double scale_x = (double)info->width / seen->width, scale_y = (double)info->height / seen->height;
    return (struct box){ left * scale_x, top * scale_y, (right - left) * scale_x,
                         (bottom - top) * scale_y };
}

static void expect_box(struct box found, struct box expected, double slack)
{
    double off = fmax(fmax(fabs(found.x - expected.x), fabs(found.y - expected.y)),
                      fmax(fabs(found.x + found.width - expected.x - expected.width),
                           fabs(found.y + found.height - expected.y - expected.height)));
    if (off > slack)
        fail_msg("found at %g,%g %gx%g, drawn at %g,%g %gx%g", found.x, found.y, found.width,
                 found.height, expected.x, expected.y, expected.width, expected.height);
}

/* Where an area of the stored picture is in the upright one. */
static struct box turn(const struct clip_area *area, int clockwise, double width, double height)
{
    double x = area->x, y = area->y, w = area->width, h = area->height;
    switch (clockwise) {
    case 90:
        return (struct box){ height - y - h, x, h, w };
    case 180:
        return (struct box){ width - x - w, height - y - h, w, h };
    case 270:
        return (struct box){ y, width - x - w, h, w };
    default:
        return (struct box){ x, y, w, h };
    }
}

static const struct clip_area marks[] = {
    { 40, 30, 120, 60, { 215, 40, 50 } },
    { 250, 170, 40, 30, { 40, 70, 220 } },
};

/* At the camera's own size and at a third of it. */
static void check_places(const struct clip_config *clip, double shape)
{
    struct source_info info;
    struct error err;
    write_clip(*clip, marks, 2);
    struct source *source = open_clip(&info);
    bool lies = clip->clockwise % 180 != 0;
    assert_int_equal(info.width, lies ? clip->height : clip->width);
    assert_int_equal(info.height, lies ? clip->width : clip->height);
    for (unsigned i = 0; i < FRAMES; i++) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        uint32_t display[2];
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        picture_get_display_size(picture, &display[0], &display[1]);
        assert_int_equal(display[0], info.display_width);
        assert_int_equal(display[1], info.display_height);
        struct picture *arrived = send_picture(&info, picture, i == 1 ? info.width / 3 & ~1u : 0);
        struct seen seen = look(arrived);
        double sent_shape = (double)seen.width / seen.height;
        assert_true(fabs(sent_shape / shape - 1) < 0.02);
        double slack = i == 1 ? 3.1 : 1.6; /* a pixel of the rung, and a soft edge */
        expect_box(find(&seen, red, &info),
                   turn(&marks[0], clip->clockwise, clip->width, clip->height), slack);
        expect_box(find(&seen, blue, &info),
                   turn(&marks[1], clip->clockwise, clip->width, clip->height), slack);
        forget(&seen);
        picture_unref(&arrived);
        picture_unref(&picture);
    }
    source_close(&source);
}

static void pictures_stand_upright(void **state)
{
    (void)state;
    for (int clockwise = 0; clockwise < 360; clockwise += 90) {
        const struct clip_config clip = { .width = 320, .height = 240, .clockwise = clockwise };
        check_places(&clip, clockwise % 180 ? 240.0 / 320 : 320.0 / 240);
    }
}

static void pixels_are_sent_square(void **state)
{
    (void)state;
    const struct {
        AVRational pixel;
        int clockwise;
        double shape;
    } cases[] = {
        { { 16, 11 }, 0, 320.0 / 240 * 16 / 11 },
        { { 10, 11 }, 0, 320.0 / 240 * 10 / 11 },
        { { 16, 11 }, 90, 240.0 / (320 * 16.0 / 11) },
        { { 1, 1 }, 0, 320.0 / 240 },
        { { 0, 1 }, 0, 320.0 / 240 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct clip_config clip = {
            .width = 320, .height = 240, .pixel = cases[i].pixel, .clockwise = cases[i].clockwise
        };
        check_places(&clip, cases[i].shape);
    }
    /* Digital television's: all its lines and columns are kept. */
    struct source_info info;
    write_clip((struct clip_config){ .width = 720, .height = 576, .pixel = { 16, 11 } }, marks, 2);
    struct source *source = open_clip(&info);
    assert_int_equal(info.width, 720);
    assert_int_equal(info.height, 576);
    assert_int_equal(info.display_width, 1047);
    assert_int_equal(info.display_height, 576);
    source_close(&source);
}

/* A file whose pictures change: each as it is, and info with it. */
static void sizes_change_on_the_way(void **state)
{
    (void)state;
    struct clip_maker clip;
    struct source_info info;
    struct error err;
    struct picture *picture = NULL;
    uint64_t time_ns;
    unsigned small = 0, large = 0;
    clip_open(&clip, &(struct clip_config){
                         .url = path, .format = "mpegts", .width = 128, .height = 96, .fps = 10 });
    for (unsigned i = 0; i < 20; i++) {
        if (i == 10)
            clip_resize(&clip, 192, 160);
        clip_add(&clip, ground, NULL, 0);
    }
    clip_close(&clip);
    struct source *source = open_clip(&info);
    assert_int_equal(info.width, 128);
    int rc;
    while ((rc = source_next(source, &picture, &time_ns, &err)) == 0) {
        struct picture_view view;
        picture_get_view(picture, &view);
        source_get_info(source, &info);
        assert_int_equal(view.width, info.width);
        assert_int_equal(view.height, info.height);
        assert_int_equal(view.height, view.width == 128 ? 96 : 160);
        *(view.width == 128 ? &small : &large) += 1;
        picture_unref(&picture);
    }
    assert_int_equal(rc, -ERROR_END);
    assert_int_equal(small, 10);
    assert_int_equal(large, 10);
    assert_string_equal(info.description, "h264 192x160 10 fps");
    source_close(&source);
}

static void check_colour(const struct seen *seen, uint32_t x, uint32_t y, struct clip_colour colour)
{
    size_t at = (size_t)y * seen->width + x;
    int r = seen->planes[0][at], g = seen->planes[1][at], b = seen->planes[2][at];
    /* Eight bits twice, and an encoder. The other matrix is off by 15 or more for one of these colours, the
     * other range as well. */
    if (abs(r - colour.r) > 6 || abs(g - colour.g) > 6 || abs(b - colour.b) > 6)
        fail_msg("%d %d %d where %u %u %u was drawn", r, g, b, colour.r, colour.g, colour.b);
}

static void colours_are_the_cameras(void **state)
{
    (void)state;
    static const struct {
        enum AVColorSpace matrix;
        enum AVColorRange range;
    } cases[] = {
        { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG }, { AVCOL_SPC_SMPTE170M, AVCOL_RANGE_JPEG },
        { AVCOL_SPC_BT709, AVCOL_RANGE_MPEG },     { AVCOL_SPC_BT709, AVCOL_RANGE_JPEG },
        { AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG },
    };
    static const struct clip_area areas[] = {
        { 0, 0, 80, 80, { 30, 200, 60 } },   { 80, 0, 80, 80, { 215, 40, 50 } },
        { 160, 0, 80, 80, { 40, 70, 220 } }, { 240, 0, 80, 80, { 235, 235, 235 } },
        { 0, 80, 80, 80, { 12, 12, 12 } },   { 80, 80, 80, 80, { 220, 200, 40 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int clockwise = 0; clockwise < 180; clockwise += 90) {
            const struct clip_config clip = { .width = 320,
                                              .height = 240,
                                              .clockwise = clockwise,
                                              .matrix = cases[i].matrix,
                                              .range = cases[i].range };
            struct source_info info;
            struct error err;
            write_clip(clip, areas, 6);
            struct source *source = open_clip(&info);
            for (unsigned third = 0; third < 2; third++) {
                struct picture *picture = NULL;
                uint64_t time_ns;
                assert_ok(source_next(source, &picture, &time_ns, &err), &err);
                struct picture *arrived =
                    send_picture(&info, picture, third ? info.width / 3 & ~1u : 0);
                struct seen seen = look(arrived);
                for (size_t j = 0; j < sizeof areas / sizeof *areas; j++) {
                    struct box box = turn(&areas[j], clockwise, 320, 240);
                    check_colour(&seen, (uint32_t)((box.x + box.width / 2) * seen.width / info.width),
                                 (uint32_t)((box.y + box.height / 2) * seen.height / info.height),
                                 areas[j].colour);
                }
                forget(&seen);
                picture_unref(&arrived);
                picture_unref(&picture);
            }
            source_close(&source);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_stand_upright),
        cmocka_unit_test(pixels_are_sent_square),
        cmocka_unit_test(sizes_change_on_the_way),
        cmocka_unit_test(colours_are_the_cameras),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
