/* Proves of each codec that what was encoded comes back at once and alike, in shared memory; that limits
 * hold before memory is taken; that damage at many places never crashes, is never given out where
 * the codec can see it, and is over with the next keyframe. Damage is seeded: a failure names the seed. */
#include "testing.h"

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavutil/opt.h>
#include <stdlib.h>

#define WIDTH 208u
#define HEIGHT 112u

static enum video_codec codec; /* that the test is about */

static int use_h264(void **state)
{
    (void)state;
    codec = VIDEO_H264;
    return 0;
}

static int use_h265(void **state)
{
    (void)state;
    codec = VIDEO_H265;
    return 0;
}

static int use_av1(void **state)
{
    (void)state;
    codec = VIDEO_AV1;
    return 0;
}

static struct decoder *open_decoder(uint32_t side_max, uint32_t pictures)
{
    return testing_decoder_of(codec, side_max, pictures);
}

/* A stream of packets in plain memory, and what a decoder makes of it undamaged. */
#define STREAM_PACKETS 8u
#define STREAM_KEYFRAME 5u /* beside number 0 */

struct stream {
    uint8_t *bytes[STREAM_PACKETS];
    size_t size[STREAM_PACKETS];
    struct picture *decoded[STREAM_PACKETS];
};

static bool is_key(size_t number)
{
    return number == 0 || number == STREAM_KEYFRAME;
}

static void stream_make(struct stream *stream, int preset, uint32_t threads, double psnr_min)
{
    struct error err;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    config.rung.codec = (int)codec;
    config.rung.preset = preset;
    config.threads = threads;
    struct encoder *encoder = NULL;
    assert_ok(encoder_open(&encoder, &config, &err), &err);
    struct decoder *decoder = open_decoder(256, STREAM_PACKETS);
    for (unsigned i = 0; i < STREAM_PACKETS; i++) {
        struct picture *picture = testing_picture(WIDTH, HEIGHT, i, 4, i);
        struct packet *packet = NULL;
        assert_ok(encoder_encode(encoder, picture, i, is_key(i), &packet, &err), &err);
        const uint8_t *bytes = packet_data(packet, &stream->size[i]);
        stream->bytes[i] = malloc(stream->size[i]); /* exact, so that ASan sees every byte beyond */
        assert_non_null(stream->bytes[i]);
        memcpy(stream->bytes[i], bytes, stream->size[i]);
        assert_ok(decoder_decode(decoder, stream->bytes[i], stream->size[i], is_key(i),
                                 &stream->decoded[i], &err),
                  &err);
        struct picture_view before, after;
        picture_get_view(picture, &before);
        picture_get_view(stream->decoded[i], &after);
        double psnr = testing_psnr(&before, &after);
        if (psnr < psnr_min)
            fail_msg("picture %u: PSNR %.1f dB", i, psnr);
        packet_unref(&packet);
        picture_unref(&picture);
    }
    encoder_close(&encoder);
    decoder_close(&decoder); /* its pictures stay valid */
}

static void stream_free(struct stream *stream)
{
    for (unsigned i = 0; i < STREAM_PACKETS; i++) {
        free(stream->bytes[i]);
        picture_unref(&stream->decoded[i]);
    }
}

static bool same_picture(const struct picture *a, const struct picture *b)
{
    struct picture_view view_a, view_b;
    picture_get_view(a, &view_a);
    picture_get_view(b, &view_b);
    return view_a.width == view_b.width && view_a.height == view_b.height &&
           testing_psnr(&view_a, &view_b) == 99;
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int preset = 0; preset < 6; preset++) {
        struct stream stream;
        stream_make(&stream, preset, 1, 36);
        stream_free(&stream);
    }
    struct stream sliced;
    stream_make(&sliced, 0, 3, 36);
    stream_free(&sliced);
}

static void test_pictures_lie_in_the_pool(void **state)
{
    (void)state;
    struct error err;
    struct stream stream;
    stream_make(&stream, 0, 1, 30);
    struct decoder *decoder = open_decoder(256, 2);
    assert_null(decoder_pool(decoder));
    for (unsigned i = 0; i < STREAM_PACKETS; i++) {
        struct picture *picture = NULL;
        assert_ok(decoder_decode(decoder, stream.bytes[i], stream.size[i], is_key(i), &picture, &err),
                  &err);
        struct picture_place place;
        struct picture_view view;
        picture_get_place(picture, &place);
        picture_get_view(picture, &view);
        assert_int_equal(view.width, WIDTH);
        assert_int_equal(view.height, HEIGHT);
        assert_int_equal(place.pool_id, picture_pool_id(decoder_pool(decoder)));
        for (int plane = 0; plane < 3; plane++)
            assert_true(place.offset[plane] + view.stride[plane] * (plane ? HEIGHT / 2 : HEIGHT) <=
                        picture_pool_bytes(decoder_pool(decoder)));
        assert_true(same_picture(picture, stream.decoded[i]));
        picture_unref(&picture);
    }
    decoder_close(&decoder);
    assert_null(decoder);
    decoder_close(&decoder);
    stream_free(&stream);
}

/* All promised pictures can be held at once; one more finds the pool empty sooner or later, and
 * after letting go everything works again from the next keyframe on. */
static void test_pool_runs_empty(void **state)
{
    (void)state;
    struct error err;
    struct stream stream;
    stream_make(&stream, 0, 1, 30);
    struct decoder *decoder = open_decoder(256, 3);
    struct picture *held[64] = { NULL };
    unsigned count = 0;
    int rc = 0;
    while (count < 64) {
        unsigned i = count % STREAM_PACKETS;
        rc = decoder_decode(decoder, stream.bytes[i], stream.size[i], is_key(i), &held[count], &err);
        if (rc < 0)
            break;
        count++;
    }
    assert_int_equal(rc, -ERROR_MEMORY);
    assert_non_null(strstr(err.text, "in use"));
    assert_int_equal(decoder_pool_empty_count(decoder), 1);
    assert_true(count >= 3 && count <= 3 + (codec == VIDEO_H265 ? 20 : 8));
    assert_true(decoder_wants_keyframe(decoder));
    for (unsigned i = 0; i < count; i++) {
        assert_true(same_picture(held[i], stream.decoded[i % STREAM_PACKETS]));
        picture_unref(&held[i]);
    }
    for (unsigned i = STREAM_KEYFRAME - 1; i < STREAM_PACKETS; i++) {
        rc = decoder_decode(decoder, stream.bytes[i], stream.size[i], is_key(i), &held[0], &err);
        assert_int_equal(rc, i < STREAM_KEYFRAME ? -ERROR_AGAIN : 0);
        if (rc == 0)
            assert_true(same_picture(held[0], stream.decoded[i]));
        picture_unref(&held[0]);
    }
    decoder_close(&decoder);
    stream_free(&stream);
}

static void test_size_limits(void **state)
{
    (void)state;
    struct error err;
    struct stream stream;
    stream_make(&stream, 0, 1, 30);
    const struct {
        uint32_t width, height;
        int expected;
    } limits[] = { { WIDTH, HEIGHT, 0 },
                   { WIDTH - 1, HEIGHT, -ERROR_LIMIT },
                   { WIDTH, HEIGHT - 1, -ERROR_LIMIT },
                   { 4096, 16, -ERROR_LIMIT } };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct decoder *decoder = NULL;
        struct decoder_config config = { .codec = codec,
                                         .width_max = limits[i].width,
                                         .height_max = limits[i].height,
                                         .pictures = 1 };
        assert_ok(decoder_open(&decoder, &config, &err), &err);
        struct picture *picture = NULL;
        int rc = decoder_decode(decoder, stream.bytes[0], stream.size[0], true, &picture, &err);
        assert_int_equal(rc, limits[i].expected);
        if (rc < 0) {
            assert_non_null(strstr(err.text, "above the limit of"));
            assert_true(codec == VIDEO_AV1 || strstr(err.text, "208x112 is above"));
            assert_null(decoder_pool(decoder)); /* no memory was taken */
            assert_int_equal(
                decoder_decode(decoder, stream.bytes[1], stream.size[1], false, &picture, &err),
                -ERROR_AGAIN);
        }
        picture_unref(&picture);
        decoder_close(&decoder);
    }
    struct decoder *decoder = open_decoder(16, 1);
    struct picture *picture = NULL;
    uint8_t *large = calloc(1, 1 << 20);
    assert_non_null(large);
    assert_int_equal(decoder_decode(decoder, large, 1 << 20, true, &picture, &err), -ERROR_LIMIT);
    free(large);
    decoder_close(&decoder);
    stream_free(&stream);
}

static void test_size_changes_mid_stream(void **state)
{
    (void)state;
    struct error err;
    struct decoder *decoder = open_decoder(512, 2);
    struct picture *before = NULL;
    uint64_t pool_before = 0;
    for (uint32_t step = 0; step < 4; step++) {
        uint32_t width = 128 + 34 * step, height = 96 + 18 * step;
        struct encoder_config config = testing_encoder_config(width, height);
        config.rung.codec = (int)codec;
        struct encoder *encoder = NULL;
        assert_ok(encoder_open(&encoder, &config, &err), &err);
        for (unsigned i = 0; i < 2; i++) {
            struct picture *picture = testing_picture(width, height, i, 0, 0), *back = NULL;
            struct packet *packet = NULL;
            size_t size;
            assert_ok(encoder_encode(encoder, picture, i, false, &packet, &err), &err);
            const uint8_t *bytes = packet_data(packet, &size);
            assert_ok(decoder_decode(decoder, bytes, size, i == 0, &back, &err), &err);
            struct picture_view view, original;
            picture_get_view(back, &view);
            picture_get_view(picture, &original);
            assert_true(testing_psnr(&original, &view) > 30);
            picture_unref(&before);
            before = back; /* one of the old pool is held across the change */
            packet_unref(&packet);
            picture_unref(&picture);
        }
        assert_int_not_equal(picture_pool_id(decoder_pool(decoder)), pool_before);
        pool_before = picture_pool_id(decoder_pool(decoder));
        encoder_close(&encoder);
    }
    picture_unref(&before);
    decoder_close(&decoder);
}

static void test_starts_and_skips_to_keyframes(void **state)
{
    (void)state;
    struct error err;
    struct stream stream;
    stream_make(&stream, 2, 1, 30);
    struct decoder *decoder = open_decoder(256, 2);
    struct picture *picture = NULL;
    assert_true(decoder_wants_keyframe(decoder));
    assert_int_equal(decoder_decode(decoder, stream.bytes[1], stream.size[1], false, &picture, &err),
                     -ERROR_AGAIN);
    /* A sender that calls anything a keyframe is not believed. */
    assert_int_equal(decoder_decode(decoder, stream.bytes[1], stream.size[1], true, &picture, &err),
                     -ERROR_FORMAT);
    assert_int_equal(decoder_decode(decoder, "", 0, true, &picture, &err), -ERROR_FORMAT);
    assert_null(picture);
    for (unsigned i = 0; i < STREAM_PACKETS; i++) {
        if (i == 2)
            decoder_skip_to_keyframe(decoder); /* as if number 2 had been lost */
        int rc = decoder_decode(decoder, stream.bytes[i], stream.size[i], is_key(i), &picture, &err);
        bool refused = i >= 2 && i < STREAM_KEYFRAME;
        assert_int_equal(rc, refused ? -ERROR_AGAIN : 0);
        if (!refused)
            assert_true(same_picture(picture, stream.decoded[i]));
        picture_unref(&picture);
    }
    decoder_close(&decoder);
    stream_free(&stream);
}

enum damage { DAMAGE_FLIP, DAMAGE_CUT, DAMAGE_ZERO, DAMAGE_KINDS };

/* A damaged copy of exact size. */
static uint8_t *damage(const uint8_t *bytes, size_t *size, enum damage kind, uint64_t seed)
{
    struct random_state random;
    random_seed(&random, seed);
    size_t place = (size_t)(random_next_u64(&random) % *size);
    if (kind == DAMAGE_CUT)
        *size = place + 1 < *size ? place + 1 : *size - 1;
    uint8_t *copy = malloc(*size);
    assert_non_null(copy);
    memcpy(copy, bytes, *size);
    if (kind == DAMAGE_FLIP)
        copy[place] ^= (uint8_t)(1u << random_next_u64(&random) % 8);
    else if (kind == DAMAGE_ZERO)
        memset(copy + place, 0, *size - place < 16 ? *size - place : 16);
    return copy;
}

/* Plays the stream with one damaged packet. True when the decoder noticed. */
static bool play_damaged(const struct stream *stream, struct decoder *decoder, unsigned victim,
                         enum damage kind, uint64_t seed)
{
    struct error err;
    bool noticed = false;
    for (unsigned i = 0; i < STREAM_PACKETS; i++) {
        struct picture *picture = NULL;
        size_t size = stream->size[i];
        uint8_t *copy = i == victim ? damage(stream->bytes[i], &size, kind, seed) : NULL;
        int rc =
            decoder_decode(decoder, copy ? copy : stream->bytes[i], size, is_key(i), &picture, &err);
        free(copy);
        assert_int_equal(rc == 0, picture != NULL);
        if (noticed && i < STREAM_KEYFRAME)
            assert_int_equal(rc, -ERROR_AGAIN);
        else if (rc < 0 && i < victim)
            fail_msg("packet %u before the damage: %s", i, err.text);
        if ((i < victim || i >= STREAM_KEYFRAME) && victim != i) {
            if (rc != 0 || !same_picture(picture, stream->decoded[i]))
                fail_msg("seed %llu: number %u is not as it should be (rc %d, %s)",
                         (unsigned long long)seed, i, rc, rc ? err.text : "other pixels");
        }
        noticed |= rc < 0;
        picture_unref(&picture);
    }
    return noticed;
}

static void test_damage(void **state)
{
    (void)state;
    for (int preset = 0; preset <= 2; preset += 2) { /* CAVLC, CABAC */
        struct stream stream;
        stream_make(&stream, preset, 1, 30);
        struct decoder *decoder = open_decoder(256, 2);
        for (enum damage kind = 0; kind < DAMAGE_KINDS; kind++) {
            unsigned noticed = 0, played = 0;
            for (uint64_t seed = 1; seed <= (codec == VIDEO_H264 ? 120 : 60); seed++) {
                noticed += play_damaged(&stream, decoder, seed % STREAM_KEYFRAME, kind, seed);
                played++;
            }
            printf("%s, preset %d, damage %d: %u of %u noticed\n", video_codec_words[codec], preset,
                   kind, noticed, played);
            /* No codec has a checksum: a flipped bit may give other, valid syntax. H.265's decoder hardly ever
             * notices; that nothing reaches it damaged is the link's to see to, which authenticates all. */
            if (codec != VIDEO_H265)
                assert_true(noticed * 10 >= played * (kind == DAMAGE_CUT ? 9 : 3));
        }
        decoder_close(&decoder);
        stream_free(&stream);
    }
}

/* Bytes that never were video, and video with start codes everywhere. */
static void test_garbage(void **state)
{
    (void)state;
    struct error err;
    struct decoder *decoder = open_decoder(256, 2);
    struct random_state random;
    random_seed(&random, 11);
    for (unsigned i = 0; i < 400; i++) {
        size_t size = 1 + random_next_u64(&random) % 300;
        uint8_t *bytes = malloc(size);
        assert_non_null(bytes);
        for (size_t j = 0; j < size; j++)
            bytes[j] = (uint8_t)random_next_u64(&random);
        for (size_t j = 0; i % 2 && j + 4 < size; j += 4 + random_next_u64(&random) % 40) {
            /* parameter sets, IDR, slice, SEI; AV1: delimiter, sequence header, frame, with a size */
            static const uint8_t types[][5] = { { 0x67, 0x68, 0x65, 0x41, 0x06 },
                                                { 0x40, 0x42, 0x44, 0x26, 0x02 },
                                                { 0x12, 0x0a, 0x0a, 0x32, 0x32 } };
            memcpy(bytes + j, codec == VIDEO_AV1 ? "\x12\0\x0a\x0b" : "\0\0\1", 3);
            bytes[j + 3] = types[codec][random_next_u64(&random) % 5];
        }
        struct picture *picture = NULL;
        int rc = decoder_decode(decoder, bytes, size, true, &picture, &err);
        assert_true(rc < 0);
        assert_null(picture);
        free(bytes);
    }
    decoder_close(&decoder);
}

/* 4:4:4, which our encoders never make. */
static void test_other_formats_are_refused(void **state)
{
    (void)state;
    struct error err;
    const AVCodec *library =
        avcodec_find_encoder_by_name(encoder_library_name(codec, ENCODER_SOFTWARE));
    AVCodecContext *context = avcodec_alloc_context3(library);
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    assert_true(context && frame && packet);
    context->width = frame->width = context->height = frame->height = 64;
    context->pix_fmt = frame->format = AV_PIX_FMT_YUV444P;
    context->time_base = (AVRational){ 1, 25 };
    av_opt_set(context->priv_data, "tune", "zerolatency", 0);
    av_opt_set(context->priv_data, "x265-params", "log-level=none", 0);
    av_opt_set(context->priv_data, "usage", "realtime", 0);
    av_opt_set(context->priv_data, "lag-in-frames", "0", 0);
    assert_int_equal(avcodec_open2(context, library, NULL), 0);
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    for (int plane = 0; plane < 3; plane++)
        memset(frame->data[plane], 100, (size_t)frame->linesize[plane] * 64);
    assert_int_equal(avcodec_send_frame(context, frame), 0);
    assert_int_equal(avcodec_receive_packet(context, packet), 0);
    struct picture *picture = NULL;
    struct decoder *decoder = open_decoder(256, 1);
    assert_int_equal(decoder_decode(decoder, packet->data, (size_t)packet->size, true, &picture, &err),
                     -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "4:2:0"));
    decoder_close(&decoder);
    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&context);
}

/* Each codec's packets are no others'. */
static void test_another_codec_is_refused(void **state)
{
    (void)state;
    struct error err;
    struct stream stream;
    stream_make(&stream, 0, 1, 30);
    for (enum video_codec other = VIDEO_H264; other <= VIDEO_AV1; other++) {
        struct decoder *decoder = testing_decoder_of(other, 256, 1);
        struct picture *picture = NULL;
        int rc = decoder_decode(decoder, stream.bytes[0], stream.size[0], true, &picture, &err);
        assert_int_equal(rc, other == codec ? 0 : -ERROR_FORMAT);
        picture_unref(&picture);
        decoder_close(&decoder);
    }
    stream_free(&stream);
}

/* Two packets in one: the codec would give two pictures, or keep the second for the next packet. */
static void test_two_pictures_in_one_packet_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct stream stream;
    stream_make(&stream, 0, 1, 30);
    size_t size = stream.size[0] + stream.size[1];
    uint8_t *both = malloc(size);
    assert_non_null(both);
    memcpy(both, stream.bytes[0], stream.size[0]);
    memcpy(both + stream.size[0], stream.bytes[1], stream.size[1]);
    struct decoder *decoder = open_decoder(256, 2);
    struct picture *picture = NULL;
    assert_int_equal(decoder_decode(decoder, both, size, true, &picture, &err), -ERROR_FORMAT);
    assert_null(picture);
    for (unsigned i = STREAM_KEYFRAME; i < STREAM_PACKETS; i++) {
        assert_ok(decoder_decode(decoder, stream.bytes[i], stream.size[i], is_key(i), &picture, &err),
                  &err);
        assert_true(same_picture(picture, stream.decoded[i]));
        picture_unref(&picture);
    }
    free(both);
    decoder_close(&decoder);
    stream_free(&stream);
}

/* One keyframe of a grown stream, whose headers then say that little of it is to be seen. */
static AVPacket *make_cropped(enum AVCodecID id, const char *filter)
{
    struct error err;
    struct encoder_config config = testing_encoder_config(1024, 576);
    config.rung.codec = (int)codec;
    struct encoder *encoder = NULL;
    struct packet *packet = NULL;
    struct picture *picture = testing_picture(1024, 576, 0, 0, 0);
    assert_ok(encoder_open(&encoder, &config, &err), &err);
    assert_ok(encoder_encode(encoder, picture, 0, true, &packet, &err), &err);
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    AVBSFContext *bsf = NULL;
    AVPacket *cropped = av_packet_alloc();
    assert_non_null(cropped);
    assert_int_equal(av_new_packet(cropped, (int)size), 0);
    memcpy(cropped->data, bytes, size);
    assert_int_equal(av_bsf_alloc(av_bsf_get_by_name(filter), &bsf), 0);
    bsf->par_in->codec_id = id;
    av_opt_set_int(bsf->priv_data, "crop_right", 1024 - 64, 0);
    av_opt_set_int(bsf->priv_data, "crop_bottom", 576 - 64, 0);
    assert_int_equal(av_bsf_init(bsf), 0);
    assert_int_equal(av_bsf_send_packet(bsf, cropped), 0);
    assert_int_equal(av_bsf_receive_packet(bsf, cropped), 0);
    av_bsf_free(&bsf);
    packet_unref(&packet);
    picture_unref(&picture);
    encoder_close(&encoder);
    return cropped;
}

static void test_cropping_hides_no_size(void **state)
{
    (void)state;
    struct error err;
    AVPacket *cropped = codec == VIDEO_H264 ? make_cropped(AV_CODEC_ID_H264, "h264_metadata")
                                            : make_cropped(AV_CODEC_ID_HEVC, "hevc_metadata");
    struct picture *picture = NULL;
    struct decoder *decoder = open_decoder(64, 1);
    int rc = decoder_decode(decoder, cropped->data, (size_t)cropped->size, true, &picture, &err);
    assert_int_equal(rc, -ERROR_LIMIT);
    assert_non_null(strstr(err.text, "1024x576 is above the limit of 64x64"));
    assert_null(decoder_pool(decoder));
    decoder_close(&decoder);
    decoder = open_decoder(1024, 1);
    assert_ok(decoder_decode(decoder, cropped->data, (size_t)cropped->size, true, &picture, &err),
              &err);
    struct picture_view view;
    picture_get_view(picture, &view);
    assert_int_equal(view.width, 64);
    assert_int_equal(view.height, 64);
    picture_unref(&picture);
    decoder_close(&decoder);
    av_packet_free(&cropped);
}

/* A size for the next packet, brought in behind the slice that a parser looks at. */
static void test_parameter_sets_behind_a_slice_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct stream stream;
    stream_make(&stream, 0, 1, 30);
    size_t sets = stream.size[STREAM_KEYFRAME] < 64 ? stream.size[STREAM_KEYFRAME] : 64;
    size_t size = stream.size[0] + sets;
    uint8_t *both = malloc(size);
    assert_non_null(both);
    memcpy(both, stream.bytes[0], stream.size[0]);
    memcpy(both + stream.size[0], stream.bytes[STREAM_KEYFRAME], sets);
    struct decoder *decoder = open_decoder(256, 1);
    struct picture *picture = NULL;
    assert_int_equal(decoder_decode(decoder, both, size, true, &picture, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "a parameter set comes after a slice"));
    free(both);
    decoder_close(&decoder);
    stream_free(&stream);
}

#define EACH_CODEC(test)                                                            \
    cmocka_unit_test_setup(test, use_h264), cmocka_unit_test_setup(test, use_h265), \
        cmocka_unit_test_setup(test, use_av1)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CODEC(test_round_trip),
        EACH_CODEC(test_pictures_lie_in_the_pool),
        EACH_CODEC(test_pool_runs_empty),
        EACH_CODEC(test_size_limits),
        EACH_CODEC(test_size_changes_mid_stream),
        EACH_CODEC(test_starts_and_skips_to_keyframes),
        EACH_CODEC(test_damage),
        EACH_CODEC(test_garbage),
        EACH_CODEC(test_other_formats_are_refused),
        EACH_CODEC(test_another_codec_is_refused),
        cmocka_unit_test_setup(test_cropping_hides_no_size, use_h264),
        cmocka_unit_test_setup(test_cropping_hides_no_size, use_h265),
        cmocka_unit_test_setup(test_parameter_sets_behind_a_slice_are_refused, use_h265),
        cmocka_unit_test_setup(test_two_pictures_in_one_packet_are_refused, use_h265),
        cmocka_unit_test_setup(test_two_pictures_in_one_packet_are_refused, use_av1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
