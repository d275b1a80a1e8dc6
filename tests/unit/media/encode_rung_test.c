/* Proves which encoder a rung gets and what happens when it fails. Hardware is played by software: what
 * encode_rung.c calls of the encoder and its trial goes through this file first. What this box itself says of
 * hardware that it does not have is looked at as well, and what a new rung costs in each codec. */
#include "testing.h"

#include "media/encode_device.h"
#include "media/encode_rung.h"
#include "media/encode_trial.h"
#include "media/hardware.h"

#include <libavcodec/avcodec.h>
#include <malloc.h>

#define WIDTH 160u
#define HEIGHT 96u

static struct {
    bool played;            /* the trial of this kind succeeds, and it encodes in software */
    enum encoder_kind kind; /* that is played */
    bool fails, holds_back; /* from now on */
    enum encoder_kind tried[8];
    size_t tried_count;
} box;

/* By the linker's names for these functions, and for what is called instead. */
int real_trial(const struct encoder_config *config,
               struct error *err) __asm__("__real_encode_trial_check");
int play_trial(const struct encoder_config *config,
               struct error *err) __asm__("__wrap_encode_trial_check");
int real_open(struct encoder **encoder, const struct encoder_config *config,
              struct error *err) __asm__("__real_encoder_open");
int play_open(struct encoder **encoder, const struct encoder_config *config,
              struct error *err) __asm__("__wrap_encoder_open");
int real_encode(struct encoder *encoder, struct picture *picture, uint64_t number, bool force_idr,
                struct packet **packet, struct error *err) __asm__("__real_encoder_encode");
int play_encode(struct encoder *encoder, struct picture *picture, uint64_t number, bool force_idr,
                struct packet **packet, struct error *err) __asm__("__wrap_encoder_encode");

int play_trial(const struct encoder_config *config, struct error *err)
{
    box.tried[box.tried_count++ % 8] = (enum encoder_kind)config->rung.encoder;
    if (box.played && config->rung.encoder == (int)box.kind)
        return 0;
    return real_trial(config, err);
}

int play_open(struct encoder **encoder, const struct encoder_config *config, struct error *err)
{
    struct encoder_config real = *config;
    if (box.played && config->rung.encoder == (int)box.kind)
        real.rung.encoder = ENCODER_SOFTWARE;
    else
        box.fails = box.holds_back = false; /* another one, which is well */
    return real_open(encoder, &real, err);
}

int play_encode(struct encoder *encoder, struct picture *picture, uint64_t number, bool force_idr,
                struct packet **packet, struct error *err)
{
    if (box.fails)
        return error_set(err, ERROR_IO, "encoder", "cannot encode frame 7: the GPU is lost");
    int rc = real_encode(encoder, picture, number, force_idr, packet, err);
    if (rc == 0 && box.holds_back)
        packet_unref(packet);
    return rc;
}

static struct {
    struct encoder_choice last;
    unsigned count;
} told;

static void note_choice(void *arg, const struct encoder_choice *choice)
{
    assert_ptr_equal(arg, &told);
    told.last = *choice;
    told.count++;
}

static int reset(void **state)
{
    (void)state;
    memset(&box, 0, sizeof box);
    told.count = 0;
    return 0;
}

static struct rung some_rung(enum video_codec codec, enum encoder_kind kind)
{
    struct rung rung = testing_encoder_config(WIDTH, HEIGHT).rung;
    rung.codec = (int)codec;
    rung.encoder = (int)kind;
    rung.bitrate_kbps = 800;
    return rung;
}

static struct rung_encoder *start(const struct rung *rung)
{
    struct error err;
    struct rung_encoder *encoder = NULL;
    const struct rung_encoder_config config = { .camera_width = WIDTH,
                                                .camera_height = HEIGHT,
                                                .camera_fps = 25,
                                                .threads = 1,
                                                .chosen = note_choice,
                                                .arg = &told };
    assert_ok(rung_encoder_create(&encoder, &config, rung, &err), &err);
    assert_ok(rung_encoder_start(encoder, &err), &err);
    return encoder;
}

/* Encodes pictures first to first + count - 1; gives their bytes, adds up their keyframes. */
static size_t encode_run(struct rung_encoder *encoder, unsigned first, unsigned count,
                         unsigned *keyframes)
{
    struct error err;
    struct picture *picture = testing_picture(WIDTH, HEIGHT, 0, 0, 0);
    size_t total = 0;
    for (unsigned i = first; i < first + count; i++) {
        struct packet *packet = NULL;
        size_t size;
        testing_paint(picture, i, 64, i);
        assert_ok(rung_encoder_encode(encoder, picture, i, false, &packet, &err), &err);
        assert_non_null(packet);
        packet_data(packet, &size);
        total += size;
        *keyframes += packet_is_keyframe(packet);
        packet_unref(&packet);
    }
    picture_unref(&picture);
    return total;
}

static void test_hardware_that_works_is_taken(void **state)
{
    (void)state;
    box.played = true;
    box.kind = ENCODER_NVENC;
    struct rung rung = some_rung(VIDEO_H264, ENCODER_AUTO);
    struct rung_encoder *encoder = start(&rung);
    unsigned keyframes = 0;
    encode_run(encoder, 0, 5, &keyframes);
    assert_int_equal(keyframes, 1);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.last.kind, ENCODER_NVENC);
    assert_int_equal(told.last.left_out_count, 0);
    assert_int_equal(rung_encoder_rung(encoder)->encoder, ENCODER_AUTO); /* as configured */
    rung_encoder_stop(encoder);
    struct error err;
    assert_ok(rung_encoder_start(encoder, &err), &err);
    assert_int_equal(told.count, 1); /* the choice stays, untried */
    assert_int_equal(box.tried_count, 1);
    rung.width = WIDTH / 2;
    assert_false(rung_encoder_set_rung(encoder, &rung));
    assert_ok(rung_encoder_start(encoder, &err), &err);
    assert_int_equal(told.count, 2); /* another size is another trial */
    rung_encoder_destroy(&encoder);
}

/* Of H.264 auto looks at what changes its bitrate while it runs, of the others at all there is; of a quality
 * at none. */
static void test_auto_tries_what_loses_nothing(void **state)
{
    (void)state;
    struct rung rung = some_rung(VIDEO_H265, ENCODER_AUTO);
    box.played = true;
    box.kind = ENCODER_V4L2M2M; /* the last one */
    struct rung_encoder *encoder = start(&rung);
    assert_int_equal(told.last.kind, ENCODER_V4L2M2M);
    assert_int_equal(box.tried_count, 4);
    assert_int_equal(told.last.left_out_count, 3);
    rung.codec = VIDEO_H264;
    assert_false(rung_encoder_set_rung(encoder, &rung));
    struct error err;
    assert_ok(rung_encoder_start(encoder, &err), &err);
    assert_int_equal(told.last.codec, VIDEO_H264);
    assert_int_equal(box.tried_count, 5);
    assert_int_equal(box.tried[4], ENCODER_NVENC);
    rung.mode = RATE_QUALITY;
    assert_false(rung_encoder_set_rung(encoder, &rung));
    assert_ok(rung_encoder_start(encoder, &err), &err);
    assert_int_equal(told.last.kind, ENCODER_SOFTWARE);
    assert_int_equal(box.tried_count, 5);
    rung_encoder_destroy(&encoder);
}

static void test_hardware_that_fails_later_is_left_out(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        reset(NULL);
        box.played = true;
        box.kind = ENCODER_QSV;
        const struct rung rung = some_rung(VIDEO_H264, ENCODER_QSV);
        struct rung_encoder *encoder = start(&rung);
        unsigned keyframes = 0;
        encode_run(encoder, 0, 3, &keyframes);
        assert_int_equal(told.last.kind, ENCODER_QSV);
        *(way == 0 ? &box.fails : &box.holds_back) = true;
        encode_run(encoder, 3, 3, &keyframes); /* every picture gives a packet all the same */
        assert_int_equal(keyframes, 2);        /* the new encoder's first */
        assert_int_equal(told.count, 2);
        assert_int_equal(told.last.kind, ENCODER_SOFTWARE);
        assert_int_equal(told.last.left_out_count, 1);
        assert_int_equal(told.last.left_out[0].kind, ENCODER_QSV);
        assert_true(told.last.left_out[0].wanted);
        assert_string_equal(told.last.left_out[0].reason, way == 0 ? "failed" : "held_back");
        assert_non_null(
            strstr(told.last.left_out[0].cause.text, way == 0 ? "GPU is lost" : "held back"));
        rung_encoder_destroy(&encoder);
    }
}

/* On any box: each kind either works, or is left out with a reason for software. */
static void test_what_this_box_has(void **state)
{
    (void)state;
    for (int codec = VIDEO_H264; codec <= VIDEO_AV1; codec++)
        for (int kind = ENCODER_NVENC; kind <= ENCODER_V4L2M2M; kind++) {
            if (!encoder_library_name((enum video_codec)codec, (enum encoder_kind)kind))
                continue;
            const struct rung rung = some_rung((enum video_codec)codec, (enum encoder_kind)kind);
            struct rung_encoder *encoder = start(&rung);
            unsigned keyframes = 0;
            encode_run(encoder, 0, 3, &keyframes);
            assert_true(keyframes > 0);
            if ((int)told.last.kind != kind) {
                assert_int_equal(told.last.kind, ENCODER_SOFTWARE);
                assert_int_equal(told.last.left_out_count, 1);
                assert_true(told.last.left_out[0].wanted);
                printf("%s %s: %s: %s\n", video_codec_words[codec], encoder_kind_words[kind],
                       told.last.left_out[0].reason, told.last.left_out[0].cause.text);
                assert_string_not_equal(told.last.left_out[0].reason, "failed");
            }
            rung_encoder_destroy(&encoder);
        }
}

static void test_what_is_said_is_explained(void **state)
{
    (void)state;
    static const struct {
        const char *said, *reason, *meaning;
    } cases[] = {
        { "cannot open h264_nvenc for 640x360 at 25 fps: External error (OpenEncodeSessionEx "
          "failed: out of "
          "memory (10): (no details); No capable devices found)",
          "session_limit", "as many encoding sessions as its driver allows" },
        { "cannot open h264_nvenc: Operation not permitted (Cannot load libcuda.so.1)", "no_driver",
          "no NVIDIA driver here" },
        { "cannot open h264_nvenc: External error (No capable devices found)", "no_device",
          "no NVIDIA GPU here encodes this" },
        { "picture 3 was held back", "held_back", "picture 3" },
        { "picture 0 comes back as another one (luma differs by 90)", "bad_picture", "luma" },
        { "something never heard of", "failed", "something never heard of" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        error_set(&err, ERROR_UNSUPPORTED, "encoder", "%s", cases[i].said);
        assert_string_equal(hardware_explain_failure(&err), cases[i].reason);
        assert_non_null(strstr(err.text, cases[i].meaning));
        assert_non_null(strstr(err.text, cases[i].said)); /* nothing is taken away */
    }
}

/* Bits before and after a fourth of the bitrate. libx264 goes on without a keyframe; the others open anew,
 * with exactly one. */
static void test_what_a_new_bitrate_costs(void **state)
{
    (void)state;
    for (int codec = VIDEO_H264; codec <= VIDEO_AV1; codec++) {
        struct rung rung = some_rung((enum video_codec)codec, ENCODER_SOFTWARE);
        struct rung_encoder *encoder = start(&rung);
        struct error err;
        unsigned keyframes = 0, after = 0;
        encode_run(encoder, 0, 25, &keyframes);
        size_t rich = encode_run(encoder, 25, 50, &keyframes);
        assert_int_equal(keyframes, 1);
        rung.bitrate_kbps /= 4;
        assert_int_equal(rung_encoder_set_rung(encoder, &rung), codec == VIDEO_H264);
        if (!rung_encoder_runs(encoder))
            assert_ok(rung_encoder_start(encoder, &err), &err);
        encode_run(encoder, 75, 25, &after);
        size_t poor = encode_run(encoder, 100, 50, &after);
        printf("%s: %zu bytes, then %zu, keyframes %u\n", video_codec_words[codec], rich, poor,
               after);
        assert_int_equal(after, codec == VIDEO_H264 ? 0 : 1);
        assert_true((double)poor < 0.35 * (double)rich && (double)poor > 0.15 * (double)rich);
        assert_int_equal(told.count, 1); /* the same choice all along */
        told.count = 0;
        rung_encoder_destroy(&encoder);
    }
}

#define REOPENED 200u

/* What stays behind of each encoder, when there is one after the other: libx265 3.5 leaves some 5 kB. */
static void test_reopening_stays_harmless(void **state)
{
    (void)state;
    for (int codec = VIDEO_H264; codec <= VIDEO_H265; codec++) {
        const struct rung rung = some_rung((enum video_codec)codec, ENCODER_SOFTWARE);
        struct rung_encoder *encoder = start(&rung);
        struct error err;
        unsigned keyframes = 0;
        size_t before = 0;
        for (unsigned i = 0; i < 20 + REOPENED; i++) {
            if (i == 20) /* pools and caches have filled */
                before = mallinfo2().uordblks;
            encode_run(encoder, i, 1, &keyframes);
            rung_encoder_stop(encoder);
            assert_ok(rung_encoder_start(encoder, &err), &err);
        }
        size_t after = mallinfo2().uordblks;
        double each = after > before ? (double)(after - before) / REOPENED : 0;
        printf("%s: %.0f bytes stay of each encoder\n", video_codec_words[codec], each);
        assert_int_equal(keyframes, 20 + REOPENED);
        assert_true(each < 8192);
        rung_encoder_destroy(&encoder);
    }
}

static void test_what_cannot_be(void **state)
{
    (void)state;
    struct error err;
    struct rung rung = some_rung(VIDEO_AV1, ENCODER_V4L2M2M);
    assert_int_equal(rung_check(&rung, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "encoder: v4l2m2m makes no av1"));
    rung = some_rung(VIDEO_H265, ENCODER_AUTO);
    rung.mode = RATE_QUALITY;
    assert_int_equal(rung_check(&rung, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "mode: only h264 in software"));
    rung = some_rung(VIDEO_H264, ENCODER_NVENC);
    rung.mode = RATE_QUALITY;
    assert_int_equal(rung_check(&rung, &err), -ERROR_CONFIG);
    rung.encoder = ENCODER_AUTO;
    assert_ok(rung_check(&rung, &err), &err);
}

/* A trial finds what it is for: it measures, and notices a wrong picture. */
static void test_trial(void **state)
{
    (void)state;
    struct error err;
    struct encode_trial trial;
    struct encoder_config config = testing_encoder_config(WIDTH, HEIGHT);
    struct picture *pictures[8];
    for (unsigned i = 0; i < 8; i++)
        pictures[i] = testing_picture(WIDTH, HEIGHT, i, 4, i);
    for (config.rung.codec = VIDEO_H264; config.rung.codec <= VIDEO_AV1; config.rung.codec++) {
        assert_ok(encode_trial_run(&trial, &config, pictures, 8, &err), &err);
        assert_int_equal(trial.pictures, 8);
        assert_true(trial.encode_ns > 0 && trial.decode_ns > 0 && trial.bytes > 0);
        assert_int_equal(trial.changes_rate, config.rung.codec == VIDEO_H264);
        assert_int_equal(trial.bytes_after > 0, trial.changes_rate);
    }
    config.rung.codec = VIDEO_H264;
    assert_ok(encode_trial_check(&config, &err), &err);
    box.holds_back = true; /* encode_trial.c goes through here too */
    box.played = true;
    box.kind = ENCODER_SOFTWARE;
    assert_int_equal(encode_trial_run(&trial, &config, pictures, 8, &err), -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "picture 0 was held back"));
    for (unsigned i = 0; i < 8; i++)
        picture_unref(&pictures[i]);
}

/* Pictures for encoders that take NV12 only: the same samples, interleaved. */
static void test_pictures_become_nv12(void **state)
{
    (void)state;
    struct error err;
    struct encode_device *device = NULL;
    AVCodecContext *context = avcodec_alloc_context3(NULL);
    AVFrame *frame = av_frame_alloc();
    struct picture *picture = testing_picture(WIDTH, HEIGHT, 3, 9, 3);
    struct picture_view view;
    picture_get_view(picture, &view);
    assert_true(context && frame);
    context->width = (int)WIDTH;
    context->height = (int)HEIGHT;
    context->pix_fmt = AV_PIX_FMT_NV12;
    assert_ok(encode_device_open(&device, context, &err), &err);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(encode_device_take(device, picture_frame(picture), frame), 0);
        assert_int_equal(frame->format, AV_PIX_FMT_NV12);
        for (uint32_t row = 0; row < HEIGHT; row++)
            assert_memory_equal(frame->data[0] + (size_t)row * (size_t)frame->linesize[0],
                                view.plane[0] + (size_t)row * view.stride[0], WIDTH);
        for (uint32_t row = 0; row < HEIGHT / 2; row++)
            for (uint32_t column = 0; column < WIDTH; column++)
                assert_int_equal(frame->data[1][row * (uint32_t)frame->linesize[1] + column],
                                 view.plane[1 + column % 2][row * view.stride[1] + column / 2]);
        av_frame_unref(frame);
    }
    encode_device_close(&device);
    assert_null(device);
    encode_device_close(&device);
    context->pix_fmt = AV_PIX_FMT_VAAPI; /* works where there is a GPU, and says why where not */
    int rc = encode_device_open(&device, context, &err);
    if (rc != 0)
        assert_string_not_equal(hardware_explain_failure(&err), "failed");
    encode_device_close(&device);
    avcodec_free_context(&context);
    av_frame_free(&frame);
    picture_unref(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_hardware_that_works_is_taken, reset),
        cmocka_unit_test_setup(test_auto_tries_what_loses_nothing, reset),
        cmocka_unit_test_setup(test_hardware_that_fails_later_is_left_out, reset),
        cmocka_unit_test_setup(test_what_this_box_has, reset),
        cmocka_unit_test_setup(test_what_is_said_is_explained, reset),
        cmocka_unit_test_setup(test_what_a_new_bitrate_costs, reset),
        cmocka_unit_test_setup(test_reopening_stays_harmless, reset),
        cmocka_unit_test_setup(test_what_cannot_be, reset),
        cmocka_unit_test_setup(test_trial, reset),
        cmocka_unit_test_setup(test_pictures_become_nv12, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
