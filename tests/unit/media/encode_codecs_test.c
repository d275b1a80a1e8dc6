/* Proves of H.265 and AV1 what encode_test proves of H.264: one packet for each picture at once,
 * keyframes with their parameter sets only when asked or due, the bitrate that was asked for, and that
 * each packet decodes to its own picture, at each effort. */
#include "testing.h"

#define WIDTH 320u
#define HEIGHT 192u

static const enum video_codec codecs[] = { VIDEO_H265, VIDEO_AV1 };
static const char *const names[] = { "H.265", "AV1" };

static struct encoder_config codec_config(enum video_codec codec)
{
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    config.rung.codec = (int)codec;
    return config;
}

static struct encoder *open_encoder(const struct encoder_config *config)
{
    struct error err;
    struct encoder *encoder = NULL;
    assert_ok(encoder_open(&encoder, config, &err), &err);
    return encoder;
}

/* True when a keyframe brings what a decoder needs to begin: VPS, SPS and PPS; a sequence header. */
static bool has_parameter_sets(enum video_codec codec, const struct packet *packet)
{
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    if (codec == VIDEO_AV1) /* temporal delimiter of two bytes, then the header's type */
        return size > 2 && bytes[0] == 0x12 && bytes[1] == 0 && (bytes[2] >> 3 & 15) == 1;
    unsigned found = 0;
    for (size_t i = 0; i + 3 < size; i++)
        if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1) {
            unsigned type = bytes[i + 3] >> 1 & 63;
            found |= type >= 32 && type <= 34 ? 1u << (type - 32) : 0;
        }
    return found == 7;
}

static void pass_one(struct encoder *encoder, struct decoder *decoder, unsigned number, bool asked,
                     bool keyframe, enum video_codec codec)
{
    struct error err;
    struct picture *picture = testing_picture(WIDTH, HEIGHT, number, 4, number), *back = NULL;
    struct packet *packet = NULL;
    struct picture_view before, after;
    assert_ok(encoder_encode(encoder, picture, number, asked, &packet, &err), &err);
    assert_non_null(packet);
    assert_int_equal(packet_is_keyframe(packet), keyframe);
    assert_int_equal(has_parameter_sets(codec, packet), keyframe);
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    assert_ok(decoder_decode(decoder, bytes, size, keyframe, &back, &err), &err);
    picture_get_view(picture, &before);
    picture_get_view(back, &after);
    double psnr = testing_psnr(&before, &after);
    if (psnr < 28) /* one picture off is about 20 */
        fail_msg("picture %u comes back with %.1f dB", number, psnr);
    picture_unref(&back);
    picture_unref(&picture);
    packet_unref(&packet);
}

static void test_one_in_one_out_keyframe_when_asked(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        struct encoder_config config = codec_config(codecs[c]);
        struct decoder *decoder = testing_decoder_of(codecs[c], 512, 2);
        for (config.rung.preset = 0; config.rung.preset < 6; config.rung.preset++) {
            config.threads = 1 + (uint32_t)config.rung.preset % 2;
            struct encoder *encoder = open_encoder(&config);
            for (unsigned i = 0; i < 9; i++)
                pass_one(encoder, decoder, i, i == 4 || i == 5, i == 0 || i == 4 || i == 5,
                         codecs[c]);
            encoder_close(&encoder);
        }
        decoder_close(&decoder);
        assert_null(decoder);
    }
}

static void test_keyframe_interval(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        struct encoder_config config = codec_config(codecs[c]);
        config.fps = 4.5;
        config.rung.keyframe_s = 2;
        struct encoder *encoder = open_encoder(&config);
        struct decoder *decoder = testing_decoder_of(codecs[c], 512, 2);
        for (unsigned i = 0; i < 20; i++) /* a new scene at 13 brings none */
            pass_one(encoder, decoder, i < 13 ? i : i * 37, false, i % 9 == 0, codecs[c]);
        encoder_close(&encoder);
        decoder_close(&decoder);
    }
}

static void test_bitrate_is_held(void **state)
{
    (void)state;
    struct error err;
    const uint32_t asked[] = { 300, 1200 };
    for (size_t i = 0; i < 4; i++) {
        struct encoder_config config = codec_config(codecs[i / 2]);
        config.rung.preset = 2;
        config.rung.bitrate_kbps = asked[i % 2];
        struct encoder *encoder = open_encoder(&config);
        struct picture *picture = testing_picture(WIDTH, HEIGHT, 0, 0, 0);
        size_t total = 0;
        for (unsigned number = 0; number < 100; number++) {
            struct packet *packet = NULL;
            size_t size;
            testing_paint(picture, number, 64, number);
            assert_ok(encoder_encode(encoder, picture, number, false, &packet, &err), &err);
            packet_data(packet, &size);
            total += number < 25 ? 0 : size; /* a second to settle */
            packet_unref(&packet);
        }
        double kbps = (double)total * 8 / 3000;
        printf("%s: asked %u kbit/s, got %.0f\n", names[i / 2], asked[i % 2], kbps);
        assert_true(kbps > 0.75 * asked[i % 2] && kbps < 1.15 * asked[i % 2]);
        picture_unref(&picture);
        encoder_close(&encoder);
    }
}

static void test_what_only_h264_does(void **state)
{
    (void)state;
    struct error err;
    for (size_t c = 0; c < 2; c++) {
        struct encoder_config config = codec_config(codecs[c]);
        struct encoder *encoder = open_encoder(&config);
        config.rung.bitrate_kbps = 100;
        assert_int_equal(encoder_set_rung(encoder, &config.rung, &err), -ERROR_UNSUPPORTED);
        encoder_close(&encoder);
        config.rung.mode = RATE_QUALITY;
        assert_int_equal(encoder_open(&encoder, &config, &err), -ERROR_CONFIG);
        assert_null(encoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_in_one_out_keyframe_when_asked),
        cmocka_unit_test(test_keyframe_interval),
        cmocka_unit_test(test_bitrate_is_held),
        cmocka_unit_test(test_what_only_h264_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
