/* Proves that the encoder gives one packet for each picture at once, IDRs only when asked, the
 * bitrate and quality it was told (also when told anew mid-stream), and says no in words. */
#include "testing.h"

#include <libavutil/frame.h>
#include <pthread.h>

#define WIDTH 320u
#define HEIGHT 192u

static struct encoder *open_encoder(const struct encoder_config *config)
{
    struct error err;
    struct encoder *encoder = NULL;
    assert_ok(encoder_open(&encoder, config, &err), &err);
    return encoder;
}

/* Encodes `count` noisy pictures from number `first` on; gives their bytes, counts IDRs. */
static size_t encode_run(struct encoder *encoder, unsigned first, unsigned count, unsigned noise,
                         unsigned *idr_count)
{
    struct error err;
    struct picture *picture = testing_picture(WIDTH, HEIGHT, 0, 0, 0);
    size_t total = 0;
    for (unsigned i = first; i < first + count; i++) {
        testing_paint(picture, i, noise, i);
        struct packet *packet = NULL;
        assert_ok(encoder_encode(encoder, picture, i, false, &packet, &err), &err);
        assert_non_null(packet);
        size_t size;
        assert_non_null(packet_data(packet, &size));
        total += size;
        *idr_count += packet_is_keyframe(packet);
        packet_unref(&packet);
    }
    picture_unref(&picture);
    return total;
}

static bool has_nal(const struct packet *packet, unsigned type)
{
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    for (size_t i = 0; i + 3 < size; i++)
        if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1 && (bytes[i + 3] & 31) == type)
            return true;
    return false;
}

static unsigned count_slices(const struct packet *packet)
{
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    unsigned count = 0;
    for (size_t i = 0; i + 3 < size; i++)
        count += bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1 &&
                 ((bytes[i + 3] & 31) == 1 || (bytes[i + 3] & 31) == 5);
    return count;
}

static void test_one_in_one_out_idr_when_asked(void **state)
{
    (void)state;
    struct error err;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    for (config.rung.preset = 0; config.rung.preset < 6; config.rung.preset++) {
        struct encoder *encoder = open_encoder(&config);
        for (unsigned i = 0; i < 12; i++) {
            /* A new scene at 8 must not bring an IDR, being asked at 4, 5 must. */
            struct picture *picture = testing_picture(WIDTH, HEIGHT, i >= 8 ? i * 37 : i, 8, i / 8);
            struct packet *packet = NULL;
            bool asked = i == 4 || i == 5;
            assert_ok(encoder_encode(encoder, picture, i * 3, asked, &packet, &err), &err);
            assert_non_null(packet);
            assert_int_equal(packet_is_keyframe(packet), i == 0 || asked);
            assert_int_equal(has_nal(packet, 5), i == 0 || asked);
            assert_int_equal(has_nal(packet, 7), i == 0 || asked); /* parameter sets inside */
            assert_int_equal(has_nal(packet, 8), i == 0 || asked);
            assert_int_equal(count_slices(packet), 1);
            packet_unref(&packet);
            assert_null(packet);
            picture_unref(&picture);
        }
        encoder_close(&encoder);
        assert_null(encoder);
    }
}

static void test_keyframe_interval(void **state)
{
    (void)state;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    config.fps = 4.5;
    config.rung.keyframe_s = 2;
    struct encoder *encoder = open_encoder(&config);
    unsigned idrs = 0;
    encode_run(encoder, 0, 27, 0, &idrs); /* 0, 9, 18 */
    assert_int_equal(idrs, 3);
    encoder_close(&encoder);
}

static void test_bitrate_is_held_and_changes(void **state)
{
    (void)state;
    struct error err;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    config.rung.preset = 2;
    config.rung.bitrate_kbps = 1200;
    struct encoder *encoder = open_encoder(&config);
    const uint32_t steps[] = { 1200, 300, 2400, 600 };
    unsigned idrs = 0, first = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        config.rung.bitrate_kbps = steps[i];
        assert_ok(encoder_set_rung(encoder, &config.rung, &err), &err);
        encode_run(encoder, first, 25, 64, &idrs); /* a second to settle */
        size_t bytes = encode_run(encoder, first + 25, 75, 64, &idrs);
        first += 100;
        double kbps = (double)bytes * 8 / 3000;
        printf("asked %u kbit/s, got %.0f\n", steps[i], kbps);
        assert_true(kbps > 0.75 * steps[i] && kbps < 1.15 * steps[i]);
    }
    assert_int_equal(idrs, 1); /* the first picture, and none since */
    encoder_close(&encoder);
}

static void test_vbv_bounds_every_window(void **state)
{
    (void)state;
    struct error err;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    config.rung.preset = 2;
    config.rung.bitrate_kbps = 800;
    config.rung.vbv_ms = 250;
    struct encoder *encoder = open_encoder(&config);
    struct picture *picture = testing_picture(WIDTH, HEIGHT, 0, 0, 0);
    double filled = 0, worst = 0; /* a leaky bucket drained at the bitrate */
    for (unsigned i = 0; i < 100; i++) {
        testing_paint(picture, i, i > 40 && i < 60 ? 120 : 10, i); /* a burst of detail */
        struct packet *packet = NULL;
        size_t size;
        assert_ok(encoder_encode(encoder, picture, i, i == 50, &packet, &err), &err);
        packet_data(packet, &size);
        filled = fmax(0, filled - 800e3 / 25) + (double)size * 8;
        worst = fmax(worst, filled);
        packet_unref(&packet);
    }
    printf("VBV of %.0f bits filled up to %.0f\n", 800e3 * 0.25, worst);
    assert_true(worst < 1.3 * 800e3 * 0.25);
    picture_unref(&picture);
    encoder_close(&encoder);
}

static void test_quality_changes_and_is_capped(void **state)
{
    (void)state;
    struct error err;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    config.rung.mode = RATE_QUALITY;
    config.rung.bitrate_kbps = 20000;
    config.rung.quality = 20;
    struct encoder *encoder = open_encoder(&config);
    unsigned idrs = 0;
    size_t fine = encode_run(encoder, 0, 30, 16, &idrs);
    config.rung.quality = 38;
    assert_ok(encoder_set_rung(encoder, &config.rung, &err), &err);
    size_t coarse = encode_run(encoder, 30, 30, 16, &idrs);
    assert_true(coarse * 2 < fine);
    config.rung.quality = 20;
    config.rung.bitrate_kbps = 200;
    assert_ok(encoder_set_rung(encoder, &config.rung, &err), &err);
    encode_run(encoder, 60, 25, 16, &idrs);
    size_t capped = encode_run(encoder, 85, 50, 16, &idrs);
    printf("CRF 20: %zu bytes, CRF 38: %zu, CRF 20 under 200 kbit/s: %.0f kbit/s\n", fine, coarse,
           (double)capped * 8 / 2000);
    assert_true((double)capped * 8 / 2000 < 1.15 * 200);
    assert_int_equal(idrs, 1);
    encoder_close(&encoder);
}

static void test_what_needs_a_new_encoder(void **state)
{
    (void)state;
    struct error err;
    const struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    struct encoder *encoder = open_encoder(&config);
    struct rung rung = config.rung;
    rung.vbv_ms = 100;
    rung.bitrate_kbps = 3;
    assert_ok(encoder_set_rung(encoder, &rung, &err), &err); /* before the first picture as well */
    for (int i = 0; i < 6; i++) {
        rung = config.rung;
        *(i == 0 ? &rung.width : i == 1 ? &rung.height : &rung.keyframe_s) += i < 3 ? 2 : 0;
        rung.fps += i == 3;
        rung.mode += i == 4;
        rung.preset += i == 5;
        assert_int_equal(encoder_set_rung(encoder, &rung, &err), -ERROR_UNSUPPORTED);
    }
    struct picture *other = testing_picture(WIDTH - 2, HEIGHT, 0, 0, 0);
    struct packet *packet = NULL;
    assert_int_equal(encoder_encode(encoder, other, 77, false, &packet, &err), -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "frame 77 is 318x192"));
    assert_null(packet);
    picture_unref(&other);
    encoder_close(&encoder);
    encoder_close(&encoder);
}

static void test_bad_configs(void **state)
{
    (void)state;
    struct error err;
    const struct {
        uint32_t width, height;
        double fps;
    } bad[] = { { 0, 64, 25 },     { 65, 64, 25 },
                { 64, 63, 25 },    { 14, 64, 25 },
                { 64, 64, 0 },     { 64, 64, -1 },
                { 64, 64, NAN },   { 64, 64, INFINITY },
                { 64, 20000, 25 }, { UINT32_MAX - 1, 64, 25 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct encoder_config config = testing_encoder_config(bad[i].width, bad[i].height);
        config.fps = bad[i].fps;
        struct encoder *encoder = NULL;
        assert_int_equal(encoder_open(&encoder, &config, &err), -ERROR_CONFIG);
        assert_null(encoder);
    }
}

/* The stream's colour follows the pictures; a change starts a new stream, with an IDR. */
static void test_colour_change(void **state)
{
    (void)state;
    struct error err;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    struct encoder *encoder = open_encoder(&config);
    struct decoder *decoder = testing_decoder(512, 2);
    for (unsigned i = 0; i < 4; i++) {
        struct picture *picture = testing_picture(WIDTH, HEIGHT, i, 0, 0), *back = NULL;
        picture_frame(picture)->color_range = i >= 2 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
        picture_frame(picture)->colorspace = i >= 2 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
        struct packet *packet = NULL;
        assert_ok(encoder_encode(encoder, picture, i, false, &packet, &err), &err);
        assert_int_equal(packet_is_keyframe(packet), i % 2 == 0);
        size_t size;
        const uint8_t *bytes = packet_data(packet, &size);
        assert_ok(decoder_decode(decoder, bytes, size, i % 2 == 0, &back, &err), &err);
        struct picture_view view;
        picture_get_view(back, &view);
        assert_int_equal(view.full_range, i >= 2);
        assert_int_equal(view.matrix, i >= 2 ? MATRIX_BT709 : MATRIX_BT601);
        picture_unref(&back);
        picture_unref(&picture);
        packet_unref(&packet);
    }
    decoder_close(&decoder);
    encoder_close(&encoder);
}

static void test_slice_threads_add_no_delay(void **state)
{
    (void)state;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    config.threads = 2;
    struct encoder *encoder = open_encoder(&config);
    unsigned idrs = 0;
    encode_run(encoder, 0, 5, 0, &idrs); /* asserts a packet for each picture */
    assert_int_equal(idrs, 1);
    encoder_close(&encoder);
}

static void *unref_packet(void *arg)
{
    struct packet *packet = arg;
    packet_unref(&packet);
    return NULL;
}

/* Packets outlive their encoder, and are let go on any thread. */
static void test_packet_references(void **state)
{
    (void)state;
    struct error err;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    struct encoder *encoder = open_encoder(&config);
    struct picture *picture = testing_picture(WIDTH, HEIGHT, 0, 50, 1);
    struct packet *packets[3];
    uint32_t sums[3] = { 0 };
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(encoder_encode(encoder, picture, i, true, &packets[i], &err), &err);
        size_t size;
        const uint8_t *bytes = packet_data(packets[i], &size);
        for (size_t j = 0; j < size; j++)
            sums[i] = sums[i] * 31 + bytes[j];
    }
    encoder_close(&encoder);
    picture_unref(&picture);
    for (unsigned i = 0; i < 3; i++) {
        struct packet *again = packet_ref(packets[i]);
        packet_unref(&again);
        uint32_t sum = 0;
        size_t size;
        const uint8_t *bytes = packet_data(packets[i], &size);
        for (size_t j = 0; j < size; j++)
            sum = sum * 31 + bytes[j];
        assert_int_equal(sum, sums[i]); /* each has memory of its own */
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, unref_packet, packets[i]), 0);
        pthread_join(thread, NULL);
    }
}

static void test_rung_resolve(void **state)
{
    (void)state;
    const struct {
        uint32_t width, height, camera_width, camera_height, expected_width, expected_height;
    } cases[] = {
        { 0, 0, 768, 576, 768, 576 },
        { 0, 0, 853, 481, 852, 480 },
        { 640, 0, 1920, 1080, 640, 360 },
        { 0, 360, 1920, 1080, 640, 360 },
        { 512, 0, 768, 432, 512, 288 },
        { 333, 77, 10, 10, 334, 78 },
        { 0, 0, 3, 5, 16, 16 },
        { 640, 0, 10000, 1, 640, 16 },
        { 0, 8192, 16384, 16, 8192, 8192 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rung rung = { .width = cases[i].width, .height = cases[i].height };
        rung_resolve(&rung, cases[i].camera_width, cases[i].camera_height);
        assert_int_equal(rung.width, cases[i].expected_width);
        assert_int_equal(rung.height, cases[i].expected_height);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_in_one_out_idr_when_asked),
        cmocka_unit_test(test_keyframe_interval),
        cmocka_unit_test(test_bitrate_is_held_and_changes),
        cmocka_unit_test(test_vbv_bounds_every_window),
        cmocka_unit_test(test_quality_changes_and_is_capped),
        cmocka_unit_test(test_what_needs_a_new_encoder),
        cmocka_unit_test(test_bad_configs),
        cmocka_unit_test(test_colour_change),
        cmocka_unit_test(test_slice_threads_add_no_delay),
        cmocka_unit_test(test_packet_references),
        cmocka_unit_test(test_rung_resolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
