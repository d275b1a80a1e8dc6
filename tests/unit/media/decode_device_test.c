/* Proves decoding by NVIDIA's hardware without any: libavcodec loads a double of the driver (nvidia_double.h),
 * whose pictures this program makes. What a box decodes with is found out once in the life of a process, so each
 * box that is played is a process of its own: this program again, with the double in LD_LIBRARY_PATH. The first
 * box is the one at hand, whatever it has. */
#include "clip_maker.h"
#include "nvidia_double.h"

#include "base/clock.h"
#include "media/decode_choice.h"
#include "media/decode_trial.h"
#include "media/hardware.h"
#include "media/source.h"

#include <dlfcn.h>
#include <errno.h>
#include <libavcodec/bsf.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>

#define TRIAL_WIDTH 640u /* a trial's pictures are SOURCE_TEST's, of this size and rate */
#define TRIAL_HEIGHT 360u
#define TRIAL_FPS 25u
#define NEVER UINT_MAX
#define CLIP_PICTURES 150u
#define CLIP_KEYFRAME_EVERY 10u

struct nvidia_box nvidia_box = { .gpu = true, .codec = true };

static struct {
    bool grey;           /* all that it decodes */
    unsigned painted;    /* but for trials */
    unsigned fails_from; /* painted ones on */
    unsigned fail_ms;    /* that each failure takes */
    struct source *trial;
} gpu = { .fails_from = NEVER };

/* ---- What the double decodes ---- */

/* Another value for each neighbour, plane and picture. */
static uint8_t sample(unsigned number, unsigned plane, unsigned row, unsigned column)
{
    return (uint8_t)(number * 37 + plane * 91 + row * 13 + column * 7 + (row * column) / 5);
}

static void paint_sample(const struct nvidia_picture *picture, unsigned number)
{
    for (unsigned row = 0; row < picture->height; row++)
        for (unsigned column = 0; column < picture->width; column++)
            picture->luma[row * picture->pitch + column] = sample(number, 0, row, column);
    for (unsigned row = 0; row < picture->height / 2; row++)
        for (unsigned column = 0; column < picture->width; column++)
            picture->chroma[row * picture->pitch + column] =
                sample(number, 1 + column % 2, row, column / 2);
}

/* What the trial has sent. */
static void paint_trial(const struct nvidia_picture *picture)
{
    const struct source_config config = {
        .kind = SOURCE_TEST, .width = TRIAL_WIDTH, .height = TRIAL_HEIGHT, .fps = TRIAL_FPS
    };
    struct error err;
    struct picture *sent = NULL;
    struct picture_view view;
    uint64_t time_ns;
    if (picture->number == 0) {
        source_close(&gpu.trial);
        assert_ok(source_open(&gpu.trial, &config, &err), &err);
    }
    assert_ok(source_next(gpu.trial, &sent, &time_ns, &err), &err);
    picture_get_view(sent, &view);
    for (unsigned row = 0; row < TRIAL_HEIGHT; row++)
        memcpy(picture->luma + row * picture->pitch, view.plane[0] + (size_t)row * view.stride[0],
               TRIAL_WIDTH);
    for (unsigned row = 0; row < TRIAL_HEIGHT / 2; row++)
        for (unsigned column = 0; column < TRIAL_WIDTH; column++)
            picture->chroma[row * picture->pitch + column] =
                view.plane[1 + column % 2][(size_t)row * view.stride[1] + column / 2];
    picture_unref(&sent);
}

bool nvidia_decode(const struct nvidia_picture *picture)
{
    if (gpu.grey)
        memset(picture->luma, 128, picture->pitch * picture->height * 3 / 2);
    else if (picture->width == TRIAL_WIDTH && picture->height >= TRIAL_HEIGHT &&
             picture->height < TRIAL_HEIGHT + 16)
        paint_trial(picture);
    else if (gpu.painted >= gpu.fails_from) {
        clock_sleep_until_ns(clock_now_ns() + gpu.fail_ms * CLOCK_NS_PER_MS);
        return false;
    } else
        paint_sample(picture, gpu.painted++);
    return true;
}

static int reset(void **state)
{
    (void)state;
    gpu.painted = gpu.fail_ms = 0;
    gpu.fails_from = NEVER;
    nvidia_box.codec = true;
    return 0;
}

static int close_trial(void **state)
{
    (void)state;
    source_close(&gpu.trial);
    return 0;
}

/* Fails unless it is that number, from this many columns and rows on; I420 or NV12. */
static void check_sample(const struct picture *picture, unsigned number, unsigned left, unsigned top)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    const bool both = view.format == PIXEL_NV12;
    for (unsigned row = 0; row < view.height; row++)
        for (unsigned column = 0; column < view.width; column++)
            if (view.plane[0][row * view.stride[0] + column] !=
                sample(number, 0, row + top, column + left))
                fail_msg("picture %u: luma at %u,%u", number, column, row);
    for (unsigned plane = 1; plane < 3; plane++)
        for (unsigned row = 0; row < view.height / 2; row++)
            for (unsigned column = 0; column < view.width / 2; column++) {
                const uint8_t *line =
                    view.plane[both ? 1 : plane] + row * view.stride[both ? 1 : plane];
                if (line[both ? 2 * column + plane - 1 : column] !=
                    sample(number, plane, row + top / 2, column + left / 2))
                    fail_msg("picture %u: plane %u at %u,%u", number, plane, column, row);
            }
}

/* ---- What is decoded ---- */

static struct encoder *open_encoder(enum video_codec codec, uint32_t width, uint32_t height)
{
    struct error err;
    struct encoder *encoder = NULL;
    struct encoder_config config = testing_encoder_config(width, height);
    config.rung.codec = (int)codec;
    assert_ok(encoder_open(&encoder, &config, &err), &err);
    return encoder;
}

static struct packet *encode_next(struct encoder *encoder, uint32_t width, uint32_t height,
                                  unsigned number, bool keyframe)
{
    struct error err;
    struct packet *packet = NULL;
    struct picture *picture = testing_picture(width, height, number, 0, 0);
    picture_frame(picture)->color_range = AVCOL_RANGE_JPEG;
    picture_frame(picture)->colorspace = AVCOL_SPC_BT709;
    assert_ok(encoder_encode(encoder, picture, number, keyframe, &packet, &err), &err);
    assert_non_null(packet);
    picture_unref(&picture);
    return packet;
}

static struct decoder *open_decoder(enum video_codec codec)
{
    struct error err;
    struct decoder *decoder = NULL;
    const struct decoder_config config = {
        .codec = codec, .kind = DECODER_NVDEC, .width_max = 1920, .height_max = 1088, .pictures = 2
    };
    assert_ok(decoder_open(&decoder, &config, &err), &err);
    return decoder;
}

static int decode(struct decoder *decoder, const struct packet *packet, struct picture **picture,
                  struct error *err)
{
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    return decoder_decode(decoder, bytes, size, packet_is_keyframe(packet), picture, err);
}

/* ---- The box at hand ---- */

static bool has_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY);
    if (driver)
        dlclose(driver);
    return driver != NULL;
}

/* What is not here is no loss, unless it was asked for. */
static void test_what_this_box_has(void **state)
{
    (void)state;
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++) {
        struct decoder_choice choice;
        decoder_choose(&choice, codec, DECODER_AUTO, true);
        printf("%s: auto is %s\n", choice.codec, decoder_kind_words[choice.kind]);
        if (choice.kind == DECODER_SOFTWARE)
            assert_int_equal(choice.left_out_count, 4);
        for (size_t i = 0; i < choice.left_out_count; i++) {
            const struct decoder_left_out *left = &choice.left_out[i];
            printf("%s %s: %s: %s\n", choice.codec, decoder_kind_words[left->kind], left->reason,
                   left->cause.text);
            assert_int_equal(left->wanted, !hardware_reason_is_absence(left->reason));
            assert_string_not_equal(left->reason, "failed");
        }
        decoder_choose(&choice, codec, DECODER_SOFTWARE, true);
        assert_int_equal(choice.kind, DECODER_SOFTWARE);
        assert_int_equal(choice.left_out_count, 0);
    }
}

static void test_what_is_asked_for_is_missed(void **state)
{
    (void)state;
    struct decoder_choice choice;
    struct error err;
    struct decoder *decoder = NULL;
    if (has_driver()) {
        printf("SKIP REASON: this box has an NVIDIA driver\n");
        skip();
    }
    decoder_choose(&choice, VIDEO_H264, DECODER_NVDEC, false);
    assert_int_equal(choice.kind, DECODER_SOFTWARE);
    assert_int_equal(choice.left_out_count, 1);
    assert_int_equal(choice.left_out[0].kind, DECODER_NVDEC);
    assert_string_equal(choice.left_out[0].reason, "no_driver");
    assert_true(choice.left_out[0].wanted);
    const struct decoder_config config = {
        .codec = VIDEO_H264, .kind = DECODER_NVDEC, .width_max = 640, .height_max = 480
    };
    assert_int_equal(decoder_open(&decoder, &config, &err), -ERROR_UNSUPPORTED);
    assert_string_equal(hardware_explain_failure(&err), "no_driver");
    assert_null(decoder);
}

/* ---- A box with an NVIDIA GPU that works ---- */

static void test_trial_passes(void **state)
{
    (void)state;
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++) {
        struct error err;
        struct decode_trial trial;
        assert_ok(decode_trial_run(&trial, codec, DECODER_NVDEC, &err), &err);
        assert_int_equal(trial.pictures, 12);
        assert_true(trial.decode_ns > 0);
    }
}

static void test_auto_takes_it(void **state)
{
    (void)state;
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++)
        for (int delays = 0; delays < 2; delays++) {
            struct decoder_choice choice;
            decoder_choose(&choice, codec, DECODER_AUTO, delays);
            assert_int_equal(choice.kind, DECODER_NVDEC);
            assert_int_equal(choice.left_out_count, 0);
        }
}

/* Every sample, wherever the coded picture is larger than the one that is shown, with keyframes between. */
static void test_pictures_are_the_gpus(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = { { 320, 192 }, { 322, 182 }, { 1278, 718 }, { 64, 66 } };
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++)
        for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
            const uint32_t width = sizes[size][0], height = sizes[size][1];
            struct encoder *encoder = open_encoder(codec, width, height);
            struct decoder *decoder = open_decoder(codec);
            reset(NULL);
            for (unsigned i = 0; i < 8; i++) {
                struct error err;
                struct picture *picture = NULL;
                struct picture_view view;
                struct packet *packet = encode_next(encoder, width, height, i, i % 5 == 0);
                assert_ok(decode(decoder, packet, &picture, &err), &err);
                picture_get_view(picture, &view);
                assert_int_equal(view.format, PIXEL_I420);
                assert_int_equal(view.width, width);
                assert_int_equal(view.height, height);
                assert_true(view.full_range);
                assert_int_equal(view.matrix, MATRIX_BT709);
                check_sample(picture, i, 0, 0);
                picture_unref(&picture);
                packet_unref(&packet);
            }
            assert_int_equal(gpu.painted, 8);
            assert_int_equal(decoder_kind(decoder), DECODER_NVDEC);
            decoder_close(&decoder);
            encoder_close(&encoder);
        }
}

/* A packet whose picture is to be cut at its left and top as well. */
static AVPacket *cut_packet(const struct packet *packet)
{
    AVBSFContext *filter = NULL;
    AVPacket *cut = av_packet_alloc();
    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    assert_true(cut && av_new_packet(cut, (int)size) == 0);
    memcpy(cut->data, bytes, size);
    assert_true(av_bsf_alloc(av_bsf_get_by_name("h264_metadata"), &filter) >= 0);
    filter->par_in->codec_id = AV_CODEC_ID_H264;
    av_opt_set_int(filter->priv_data, "crop_left", 64, 0);
    av_opt_set_int(filter->priv_data, "crop_top", 4, 0);
    assert_int_equal(av_bsf_init(filter), 0);
    assert_int_equal(av_bsf_send_packet(filter, cut), 0);
    assert_int_equal(av_bsf_receive_packet(filter, cut), 0);
    av_bsf_free(&filter);
    return cut;
}

static void test_cut_at_all_sides(void **state)
{
    (void)state;
    struct error err;
    struct picture *picture = NULL;
    struct picture_view view;
    struct encoder *encoder = open_encoder(VIDEO_H264, 320, 180);
    struct decoder *decoder = open_decoder(VIDEO_H264);
    struct packet *packet = encode_next(encoder, 320, 180, 0, true);
    AVPacket *cut = cut_packet(packet);
    assert_ok(decoder_decode(decoder, cut->data, (size_t)cut->size, true, &picture, &err), &err);
    picture_get_view(picture, &view);
    assert_int_equal(view.width, 256);
    assert_int_equal(view.height, 176);
    check_sample(picture, 0, 64, 4);
    picture_unref(&picture);
    av_packet_free(&cut);
    packet_unref(&packet);
    decoder_close(&decoder);
    encoder_close(&encoder);
}

/* One GPU for all: a decoder that goes leaves it to the others; and another size is another surface. */
static void test_decoders_beside_each_other(void **state)
{
    (void)state;
    static const uint32_t widths[] = { 192, 160, 224 };
    struct error err;
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++) {
        struct decoder *decoders[2] = { open_decoder(codec), open_decoder(codec) };
        unsigned number = 0;
        reset(NULL);
        for (unsigned round = 0; round < 3; round++) {
            const uint32_t width = widths[round], height = 98;
            struct encoder *encoder = open_encoder(codec, width, height);
            struct packet *packet = encode_next(encoder, width, height, round, true);
            for (unsigned i = 0; i < 2 && decoders[i]; i++) {
                struct picture *picture = NULL;
                assert_ok(decode(decoders[i], packet, &picture, &err), &err);
                check_sample(picture, number++, 0, 0);
                picture_unref(&picture);
            }
            packet_unref(&packet);
            encoder_close(&encoder);
            if (round == 1)
                decoder_close(&decoders[1]);
        }
        assert_int_equal(decoder_kind(decoders[0]), DECODER_NVDEC);
        decoder_close(&decoders[0]);
    }
}

static void check_software_picture(const struct picture *picture, unsigned number)
{
    struct picture_view before, after;
    struct picture *sent = testing_picture(320, 192, number, 0, 0);
    picture_get_view(sent, &before);
    picture_get_view(picture, &after);
    assert_true(testing_psnr(&before, &after) > 25);
    picture_unref(&sent);
}

/* Keyframes that fail, one after the other; then software's own picture. */
static void test_failures_end_in_software(void **state)
{
    (void)state;
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++) {
        struct error err;
        struct picture *picture = NULL;
        struct encoder *encoder = open_encoder(codec, 320, 192);
        struct decoder *decoder = open_decoder(codec);
        reset(NULL);
        gpu.fails_from = 2;
        for (unsigned i = 0; i < 2 + HARDWARE_FAILURES_MAX; i++) {
            struct packet *packet = encode_next(encoder, 320, 192, i, i != 1);
            assert_int_equal(decoder_kind(decoder), DECODER_NVDEC);
            int rc = decode(decoder, packet, &picture, &err);
            assert_int_equal(rc, i < 2 ? 0 : -ERROR_FORMAT);
            assert_int_equal(decoder_wants_keyframe(decoder), i >= 2);
            picture_unref(&picture);
            packet_unref(&packet);
        }
        assert_int_equal(decoder_kind(decoder), DECODER_SOFTWARE);
        for (unsigned i = 5; i < 8; i++) { /* the first is none that it may begin with */
            struct packet *packet = encode_next(encoder, 320, 192, i, i == 6);
            int rc = decode(decoder, packet, &picture, &err);
            assert_int_equal(rc, i == 5 ? -ERROR_AGAIN : 0);
            if (rc == 0)
                check_software_picture(picture, i);
            picture_unref(&picture);
            packet_unref(&packet);
        }
        decoder_close(&decoder);
        encoder_close(&encoder);
    }
}

/* A reader who holds on to its pictures is at fault, not the hardware. */
static void test_full_pool_is_no_failure(void **state)
{
    (void)state;
    struct error err;
    struct encoder *encoder = open_encoder(VIDEO_H264, 320, 192);
    struct decoder *decoder = open_decoder(VIDEO_H264);
    struct picture *held[3] = { NULL };
    struct picture *picture = NULL;
    for (unsigned i = 0; i < 4 + 2 * HARDWARE_FAILURES_MAX; i++) {
        struct packet *packet = encode_next(encoder, 320, 192, i, true);
        struct picture **to = i < 3 ? &held[i] : &picture;
        if (i == 3 + 2 * HARDWARE_FAILURES_MAX)
            picture_unref(&held[1]);
        const bool room = i < 3 || !held[1];
        assert_int_equal(decode(decoder, packet, to, &err), room ? 0 : -ERROR_MEMORY);
        if (room)
            check_sample(*to, i, 0, 0);
        packet_unref(&packet);
    }
    assert_int_equal(decoder_pool_empty_count(decoder), 2 * HARDWARE_FAILURES_MAX);
    assert_int_equal(decoder_kind(decoder), DECODER_NVDEC);
    for (unsigned i = 0; i < 3; i++)
        picture_unref(&held[i]);
    picture_unref(&picture);
    decoder_close(&decoder);
    encoder_close(&encoder);
}

/* The GPU has the codec, but not for what the stream is from its picture `change` on: nothing of it is lost. */
static void check_refused(enum video_codec codec, unsigned change)
{
    struct error err;
    struct picture *picture = NULL;
    struct encoder *encoder = open_encoder(codec, 160, 96);
    struct decoder *decoder = open_decoder(codec);
    reset(NULL);
    for (unsigned i = 0; i < change + 3; i++) {
        if (i == change) {
            nvidia_box.codec = false;
            encoder_close(&encoder);
            encoder = open_encoder(codec, 320, 192);
        }
        struct packet *packet =
            encode_next(encoder, i < change ? 160 : 320, i < change ? 96 : 192, i, i == 0);
        assert_ok(decode(decoder, packet, &picture, &err), &err);
        assert_int_equal(decoder_kind(decoder), i < change ? DECODER_NVDEC : DECODER_SOFTWARE);
        if (i < change)
            check_sample(picture, i, 0, 0);
        else
            check_software_picture(picture, i);
        picture_unref(&picture);
        packet_unref(&packet);
    }
    decoder_close(&decoder);
    encoder_close(&encoder);
}

static void test_refused_streams_are_softwares(void **state)
{
    (void)state;
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++) {
        check_refused(codec, 0);
        check_refused(codec, 2);
    }
}

/* AV1's size may change with any picture. Surfaces of another size are not read. */
static void test_sizes_that_nobody_announced(void **state)
{
    (void)state;
    static const uint32_t sides[] = { 96, 192 };
    for (unsigned first = 0; first < 2; first++) {
        struct error err;
        struct picture *picture = NULL;
        struct decoder *decoder = open_decoder(VIDEO_AV1);
        for (unsigned i = 0; i < 2; i++) {
            const uint32_t side = sides[i ^ first];
            struct encoder *encoder = open_encoder(VIDEO_AV1, side, side);
            struct packet *packet = encode_next(encoder, side, side, i, true);
            size_t size;
            const uint8_t *bytes = packet_data(packet, &size);
            assert_ok(decoder_decode(decoder, bytes, size, i == 0, &picture, &err), &err);
            assert_int_equal(decoder_kind(decoder), i == 0 ? DECODER_NVDEC : DECODER_SOFTWARE);
            picture_unref(&picture);
            packet_unref(&packet);
            encoder_close(&encoder);
        }
        decoder_close(&decoder);
    }
}

/* ---- A file ---- */

static char clip_path[] = "/tmp/runespoor-nvdec-XXXXXX.mp4";

static void make_clip_of(unsigned pictures, int keyframe_every, int b_frames)
{
    struct clip_maker clip;
    const struct clip_config config = { .url = clip_path,
                                        .format = "mp4",
                                        .width = 322,
                                        .height = 182,
                                        .fps = 25,
                                        .matrix = AVCOL_SPC_BT709,
                                        .range = AVCOL_RANGE_JPEG,
                                        .b_frames = b_frames,
                                        .keyframe_every = keyframe_every };
    clip_open(&clip, &config);
    for (unsigned i = 0; i < pictures; i++)
        clip_add(&clip, clip_number_colour(i), NULL, 0);
    clip_close(&clip);
}

static void make_clip(int b_frames)
{
    make_clip_of(CLIP_PICTURES, CLIP_KEYFRAME_EVERY, b_frames);
}

static struct source *open_clip(void)
{
    struct error err;
    struct source *source = NULL;
    const struct source_config config = { .kind = SOURCE_FILE,
                                          .path = clip_path,
                                          .decoder = DECODER_AUTO };
    assert_ok(source_open(&source, &config, &err), &err);
    return source;
}

static void test_file_plays(void **state)
{
    (void)state;
    make_clip(0);
    struct source *source = open_clip();
    struct error err;
    struct picture *picture = NULL;
    uint64_t time_ns;
    unsigned count = 0;
    int rc;
    while ((rc = source_next(source, &picture, &time_ns, &err)) == 0) {
        struct picture_view view;
        picture_get_view(picture, &view);
        assert_int_equal(view.width, 322);
        assert_int_equal(view.height, 182);
        assert_true(view.full_range);
        assert_int_equal(view.matrix, MATRIX_BT709);
        check_sample(picture, count++, 0, 0);
        picture_unref(&picture);
    }
    assert_int_equal(rc, -ERROR_END);
    assert_int_equal(count, CLIP_PICTURES);
    assert_int_equal(source_skipped(source), 0);
    assert_int_equal(source_decoder(source)->kind, DECODER_NVDEC);
    assert_int_equal(source_decoder(source)->left_out_count, 0);
    source_close(&source);
}

/* B-frames come in the order in which they are shown: 0 1 2 are decoded as 0 2 1. */
static void test_file_with_b_frames(void **state)
{
    (void)state;
    make_clip(1);
    struct source *source = open_clip();
    struct error err;
    struct picture *picture = NULL;
    uint64_t time_ns;
    for (unsigned i = 0; i < CLIP_KEYFRAME_EVERY - 1; i++) {
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        check_sample(picture, i == 0 ? 0 : i % 2 ? i + 1 : i - 1, 0, 0);
        picture_unref(&picture);
    }
    source_close(&source);
}

/* From the keyframe on that follows its last failure, what comes is software's. */
static void test_file_goes_on_in_software(void **state)
{
    (void)state;
    make_clip(0);
    gpu.fails_from = 34;
    struct source *source = open_clip();
    struct error err;
    struct picture *picture = NULL;
    uint64_t time_ns;
    unsigned hardware = 0, software = 0;
    int rc;
    while ((rc = source_next(source, &picture, &time_ns, &err)) == 0) {
        struct picture_view view;
        picture_get_view(picture, &view);
        if (source_decoder(source)->kind == DECODER_NVDEC)
            check_sample(picture, hardware++, 0, 0);
        else { /* one grey, as the clip has it */
            software++;
            assert_true(abs(view.plane[0][0] - view.plane[0][100 * view.stride[0] + 100]) < 4);
        }
        picture_unref(&picture);
    }
    printf("by hardware %u, by software %u, left out %u\n", hardware, software,
           (unsigned)source_skipped(source));
    assert_int_equal(rc, -ERROR_END);
    assert_int_equal(hardware, 34);
    assert_int_equal(software % CLIP_KEYFRAME_EVERY, 0);
    assert_true(software >= 50);
    const struct decoder_choice *choice = source_decoder(source);
    assert_int_equal(choice->kind, DECODER_SOFTWARE);
    assert_int_equal(choice->left_out_count, 1);
    assert_int_equal(choice->left_out[0].kind, DECODER_NVDEC);
    assert_true(choice->left_out[0].wanted);
    assert_string_equal(choice->left_out[0].reason, "failed");
    printf("%s\n", choice->left_out[0].cause.text);
    source_close(&source);
}

/* Too short for hardware that fails to be left within it, and one without a keyframe after that: the whole of it
 * is software's. */
static void test_file_without_a_picture_is_softwares(void **state)
{
    (void)state;
    static const unsigned sizes[] = { 12, CLIP_PICTURES };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct error err;
        struct picture *picture = NULL;
        uint64_t time_ns;
        unsigned count = 0;
        int rc;
        make_clip_of(sizes[i], CLIP_PICTURES, 0);
        gpu.fails_from = 0;
        struct source *source = open_clip();
        while ((rc = source_next(source, &picture, &time_ns, &err)) == 0) {
            count++;
            picture_unref(&picture);
        }
        assert_int_equal(rc, -ERROR_END);
        assert_int_equal(count, sizes[i]);
        const struct decoder_choice *choice = source_decoder(source);
        assert_int_equal(choice->kind, DECODER_SOFTWARE);
        assert_int_equal(choice->left_out_count, 1);
        assert_string_equal(choice->left_out[0].reason, "failed");
        source_close(&source);
    }
}

/* A few failures are enough where they come slowly. */
static void test_slow_failures_end_sooner(void **state)
{
    (void)state;
    make_clip(0);
    gpu.fails_from = 4;
    gpu.fail_ms = 450;
    struct source *source = open_clip();
    struct error err;
    struct picture *picture = NULL;
    uint64_t time_ns;
    while (source_decoder(source)->kind == DECODER_NVDEC) {
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        picture_unref(&picture);
    }
    assert_int_equal(gpu.painted, 4);
    assert_in_range(source_skipped(source), 5, 10);
    source_close(&source);
}

static void put_number(FILE *file, uint64_t value, unsigned bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        fputc((int)(value & 255), file);
}

/* AV1 in IVF, four pictures of each size. */
static void make_sizes_clip(const uint32_t *sides, unsigned count)
{
    FILE *file = fopen(clip_path, "wb");
    assert_non_null(file);
    fputs("DKIF", file);
    put_number(file, 32 << 16, 4);
    fputs("AV01", file);
    put_number(file, sides[0], 2);
    put_number(file, sides[0], 2);
    put_number(file, 25, 4);
    put_number(file, 1, 4);
    put_number(file, 4 * count, 8);
    for (unsigned i = 0; i < count; i++) {
        struct encoder *encoder = open_encoder(VIDEO_AV1, sides[i], sides[i]);
        for (unsigned number = 0; number < 4; number++) {
            struct packet *packet = encode_next(encoder, sides[i], sides[i], number, number == 0);
            size_t size;
            const uint8_t *bytes = packet_data(packet, &size);
            put_number(file, size, 4);
            put_number(file, 4 * i + number, 8);
            fwrite(bytes, 1, size, file);
            packet_unref(&packet);
        }
        encoder_close(&encoder);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_file_of_two_sizes(void **state)
{
    (void)state;
    static const uint32_t sides[] = { 96, 192 };
    make_sizes_clip(sides, 2);
    struct source *source = open_clip();
    struct error err;
    struct picture *picture = NULL;
    uint64_t time_ns;
    for (unsigned i = 0; i < 8; i++) {
        struct picture_view view;
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        picture_get_view(picture, &view);
        assert_int_equal(view.width, sides[i / 4]);
        assert_int_equal(source_decoder(source)->kind, i < 4 ? DECODER_NVDEC : DECODER_SOFTWARE);
        picture_unref(&picture);
    }
    printf("%s\n", source_decoder(source)->left_out[0].cause.text);
    assert_int_equal(source_skipped(source), 0);
    assert_int_equal(source_next(source, &picture, &time_ns, &err), -ERROR_END);
    source_close(&source);
}

static void test_refused_file_is_softwares(void **state)
{
    (void)state;
    make_clip(0);
    struct error err;
    struct picture *picture = NULL;
    uint64_t time_ns;
    unsigned count = 0;
    nvidia_box.codec = false;
    struct source *source = open_clip();
    while (source_next(source, &picture, &time_ns, &err) == 0) {
        count++;
        picture_unref(&picture);
    }
    const struct decoder_choice *choice = source_decoder(source);
    printf("%s: %s\n", choice->left_out[0].reason, choice->left_out[0].cause.text);
    assert_int_equal(count, CLIP_PICTURES);
    assert_int_equal(choice->kind, DECODER_SOFTWARE);
    assert_int_equal(choice->left_out_count, 1);
    assert_string_equal(choice->left_out[0].reason, "no_device");
    assert_true(choice->left_out[0].wanted);
    source_close(&source);
}

/* ---- Boxes that have something, which does not work ---- */

static void check_software(const char *reason, bool wanted, const char *text)
{
    for (enum video_codec codec = VIDEO_H264; codec < VIDEO_CODEC_COUNT; codec++) {
        struct decoder_choice choice;
        decoder_choose(&choice, codec, DECODER_AUTO, false);
        printf("%s: %s\n", choice.left_out[0].reason, choice.left_out[0].cause.text);
        assert_int_equal(choice.left_out[0].kind, DECODER_NVDEC);
        assert_string_equal(choice.left_out[0].reason, reason);
        assert_int_equal(choice.left_out[0].wanted, wanted);
        assert_non_null(strstr(choice.left_out[0].cause.text, text));
        assert_int_not_equal(choice.kind, DECODER_NVDEC);
    }
}

static void test_grey_pictures_are_found(void **state)
{
    (void)state;
    gpu.grey = true;
    check_software("bad_picture", true, "comes back as another one");
}

static void test_driver_without_a_gpu(void **state)
{
    (void)state;
    nvidia_box.gpu = false;
    check_software("no_device", false, "the NVIDIA driver finds no GPU");
}

static void test_gpu_without_the_codec(void **state)
{
    (void)state;
    nvidia_box.codec = false;
    check_software("no_device", false, "the GPU here does not decode this");
}

static void test_driver_without_its_decoders(void **state)
{
    (void)state;
    check_software("no_driver", false, "without its decoding library");
}

/* ---- Which box a process is ---- */

static const struct CMUnitTest at_hand[] = { cmocka_unit_test(test_what_this_box_has),
                                             cmocka_unit_test(test_what_is_asked_for_is_missed) };
static const struct CMUnitTest works[] = {
    cmocka_unit_test_setup(test_trial_passes, reset),
    cmocka_unit_test_setup(test_auto_takes_it, reset),
    cmocka_unit_test_setup(test_pictures_are_the_gpus, reset),
    cmocka_unit_test_setup(test_cut_at_all_sides, reset),
    cmocka_unit_test_setup(test_decoders_beside_each_other, reset),
    cmocka_unit_test_setup(test_failures_end_in_software, reset),
    cmocka_unit_test_setup(test_full_pool_is_no_failure, reset),
    cmocka_unit_test_setup(test_refused_streams_are_softwares, reset),
    cmocka_unit_test_setup(test_sizes_that_nobody_announced, reset),
    cmocka_unit_test_setup(test_file_of_two_sizes, reset),
    cmocka_unit_test_setup(test_refused_file_is_softwares, reset),
    cmocka_unit_test_setup(test_file_plays, reset),
    cmocka_unit_test_setup(test_file_with_b_frames, reset),
    cmocka_unit_test_setup(test_file_goes_on_in_software, reset),
    cmocka_unit_test_setup(test_file_without_a_picture_is_softwares, reset),
    cmocka_unit_test_setup(test_slow_failures_end_sooner, reset),
};
static const struct CMUnitTest grey[] = { cmocka_unit_test(test_grey_pictures_are_found) };
static const struct CMUnitTest no_gpu[] = { cmocka_unit_test(test_driver_without_a_gpu) };
static const struct CMUnitTest no_codec[] = { cmocka_unit_test(test_gpu_without_the_codec) };
static const struct CMUnitTest no_decoders[] = { cmocka_unit_test(test_driver_without_its_decoders) };

#define BOX(name, libraries)                               \
    {                                                      \
#name, libraries, name, sizeof name / sizeof *name \
    }
static const struct box {
    const char *name, *libraries; /* those of the double; NULL: none */
    const struct CMUnitTest *tests;
    size_t count;
} boxes[] = {
    BOX(at_hand, NULL), BOX(works, "all"),    BOX(grey, "all"),
    BOX(no_gpu, "all"), BOX(no_codec, "all"), BOX(no_decoders, "cuda"),
};

/* As this program's only child, with the double where the build has put it. */
static int run_box(const char *program, const char *folder, const struct box *box)
{
    int status = -1;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        char libraries[PATH_MAX + 64];
        snprintf(libraries, sizeof libraries, "%s/../../nvidia_double/%s", folder,
                 box->libraries ? box->libraries : "");
        if (box->libraries)
            setenv("LD_LIBRARY_PATH", libraries, 1);
        execl(program, program, box->name, (char *)NULL);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        printf("the box %s ended with status %#x\n", box->name, (unsigned)status);
    return status != 0;
}

static int play_box(const struct box *box)
{
    const int fd = mkstemps(clip_path, 4);
    if (fd < 0)
        return 1;
    close(fd);
    const int failed = _cmocka_run_group_tests(box->name, box->tests, box->count, NULL, close_trial);
    unlink(clip_path);
    return failed;
}

int main(int argc, char **argv)
{
    char program[PATH_MAX] = "", folder[PATH_MAX];
    int failed = 0;
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        return 1;
    snprintf(folder, sizeof folder, "%s", program);
    *strrchr(folder, '/') = '\0';
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        if (argc == 1)
            failed |= run_box(program, folder, &boxes[i]);
        else if (strcmp(argv[1], boxes[i].name) == 0)
            return play_box(&boxes[i]);
    }
    return failed;
}
