/* Proves that degrade sends what an agent sends, byte for byte: the agent's own camera runs over real
 * clips at several rungs, and degrade over the same pictures. Then, for each codec, that every picture
 * comes back as itself and the bitrate is held; what a pan makes of a still, and that the
 * end of a video is sent as a video of its own. */
#include "../media/testing.h"

#include "../../../edge-agent/camera.h"
#include "../../../edge-agent/pace.h"
#include "base/clock.h"
#include "learn/degrade.h"
#include "media/scale.h"
#include <stdlib.h>
#include <unistd.h>

#define PACKETS_MAX CREDITS_MAX /* of a clip: its frames need no answer */
#define TURN_NS (2 * CLOCK_NS_PER_MS)

/* A clip below TEST_DATA; without it the test is skipped. */
static const char *find_clip(const char *name)
{
    static char path[512];
    const char *folder = getenv("TEST_DATA");
    snprintf(path, sizeof path, "%s/clips/%s", folder ? folder : "../shared/data", name);
    if (access(path, R_OK) == 0)
        return path;
    fprintf(stderr, "SKIP REASON: degrade: no file %s (TEST_DATA)\n", path);
    skip();
    return NULL;
}

static struct source *open_clip(const char *path, struct source_info *info)
{
    struct error err;
    struct source *source = NULL;
    const struct source_config config = { .kind = SOURCE_FILE, .path = (char *)path };
    assert_ok(source_open(&source, &config, &err), &err);
    source_get_info(source, info);
    return source;
}

static const struct rung plain_rung = {
    .mode = RATE_BITRATE,
    .bitrate_kbps = 300,
    .vbv_ms = 500,
    .quality = 23,
    .preset = 2,
    .keyframe_s = 10,
};

/* ---- what the agent sends ---- */

static void wake(void *arg)
{
    (void)arg;
}

/* Takes what the camera sends until its source ends. */
static size_t take_packets(struct camera *camera, struct packet *packets[PACKETS_MAX])
{
    struct error end;
    size_t count = 0;
    for (;;) {
        bool ended = camera_ended(camera, &end); /* before the last look */
        for (struct encoded_frame *frame; (frame = camera_take(camera));) {
            assert_true(count < PACKETS_MAX);
            packets[count++] = packet_ref(frame->packet);
            camera_return(camera, frame);
        }
        if (ended)
            break;
        clock_sleep_until_ns(clock_now_ns() + TURN_NS);
    }
    assert_int_equal(end.code, ERROR_NONE);
    return count;
}

static size_t send_by_agent(const char *path, const struct rung *rung,
                            struct packet *packets[PACKETS_MAX])
{
    struct error err;
    struct metrics *metrics = NULL;
    struct figures figures;
    struct credit credit;
    struct camera *camera = NULL;
    const struct camera_config config = {
        .name = (char *)"gate",
        .model = (char *)"",
        .source = { .kind = SOURCE_FILE, .path = (char *)path },
        .pace = PACE_FAST,
        .rung = *rung,
        .encode_threads = 1,
    };
    assert_ok(metrics_create(&metrics, &err), &err);
    figures_init(&figures, metrics, "gate");
    assert_int_equal(credit_init(&credit), 0);
    assert_ok(camera_open(&camera, &config, &credit, &figures, wake, NULL, &err), &err);
    credit_start(&credit, CREDITS_MAX);
    assert_ok(camera_start(camera, &err), &err);
    size_t count = take_packets(camera, packets);
    credit_close(&credit);
    camera_close(&camera);
    credit_finish(&credit);
    metrics_destroy(&metrics);
    return count;
}

static void expect_same_bytes(const struct packet *agents, const struct packet *ours, size_t number)
{
    size_t agents_size, size;
    const uint8_t *agents_bytes = packet_data(agents, &agents_size);
    const uint8_t *bytes = packet_data(ours, &size);
    if (size != agents_size || memcmp(bytes, agents_bytes, size) != 0)
        fail_msg("packet %zu has %zu bytes where the agent's has %zu", number, size, agents_size);
}

/* Sends the same clip by degrade, leaving out what the cap leaves out. */
static size_t compare_with_agent(const char *path, const struct rung *rung,
                                 struct packet *packets[PACKETS_MAX], size_t count)
{
    struct error err;
    struct source_info info;
    struct pace pace;
    struct degrade *degrade = NULL;
    struct source *source = open_clip(path, &info);
    const struct degrade_config config = { *rung, info.fps, info.width, info.height };
    assert_ok(degrade_open(&degrade, &config, &err), &err);
    pace_init(&pace, info.fps, rung->fps, 0);
    size_t sent = 0, total = 0;
    struct picture *picture = NULL, *received = NULL;
    for (uint64_t time_ns; source_next(source, &picture, &time_ns, &err) == 0;
         picture_unref(&picture)) {
        if (!pace_admit(&pace, time_ns))
            continue;
        size_t bytes;
        assert_ok(degrade_picture(degrade, picture, &received, &bytes, &err), &err);
        assert_true(sent < count);
        expect_same_bytes(packets[sent], degrade_last_packet(degrade), sent);
        sent++;
        total += bytes;
        picture_unref(&received);
    }
    assert_int_equal(err.code, ERROR_END);
    printf("%ux%u: %zu packets of %zu bytes are the agent's\n", degrade_rung(degrade)->width,
           degrade_rung(degrade)->height, sent, total);
    degrade_close(&degrade);
    source_close(&source);
    return sent;
}

static void bytes_are_the_agents(void **state)
{
    (void)state;
    const char *path = find_clip("bikes.mp4"); /* 640x272, 25 fps, with scene cuts */
    struct rung rungs[5];
    for (size_t i = 0; i < 5; i++)
        rungs[i] = plain_rung;
    rungs[1].width = 320; /* the height follows */
    rungs[1].bitrate_kbps = 80;
    rungs[2].width = 160;
    rungs[2].height = 120;
    rungs[2].fps = 10;
    rungs[2].keyframe_s = 2;
    rungs[3].mode = RATE_QUALITY;
    rungs[3].bitrate_kbps = 2000;
    rungs[3].height = 136;
    rungs[4].width = 960; /* larger than the camera's */
    rungs[4].preset = 0;
    for (size_t i = 0; i < 5; i++) {
        struct packet *packets[PACKETS_MAX];
        size_t count = send_by_agent(path, &rungs[i], packets);
        assert_int_equal(count, i == 2 ? 100 : 250);
        assert_int_equal(compare_with_agent(path, &rungs[i], packets, count), count);
        for (size_t k = 0; k < count; k++)
            packet_unref(&packets[k]);
    }
}

/* ---- every codec ---- */

#define RUN_PICTURES 150u

struct run {
    unsigned pictures;
    double psnr_least, psnr_mean, kbps;
};

/* PSNR of received against the source at the rung's size. */
static double score(struct scaler *scaler, struct picture *source, const struct picture *received)
{
    struct error err;
    struct picture_view from, to;
    struct picture *scaled = NULL;
    picture_get_view(received, &to);
    assert_ok(scaler_to_picture(scaler, source, to.width, to.height, &scaled, &err), &err);
    picture_get_view(scaled, &from);
    double psnr = testing_psnr(&from, &to);
    picture_unref(&scaled);
    return psnr;
}

static struct run run_clip(const char *path, const struct rung *rung)
{
    struct error err;
    struct source_info info;
    struct scaler *scaler = NULL;
    struct degrade *degrade = NULL;
    struct source *source = open_clip(path, &info);
    const struct degrade_config config = { *rung, info.fps, info.width, info.height };
    assert_ok(scaler_create(&scaler, &err), &err);
    assert_ok(degrade_open(&degrade, &config, &err), &err);
    struct run run = { .psnr_least = 99 };
    struct picture *picture = NULL, *received = NULL;
    size_t total = 0;
    for (uint64_t time_ns; run.pictures < RUN_PICTURES; picture_unref(&picture)) {
        size_t bytes;
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        assert_ok(degrade_picture(degrade, picture, &received, &bytes, &err), &err);
        double psnr = score(scaler, picture, received);
        run.psnr_least = fmin(run.psnr_least, psnr);
        run.psnr_mean += psnr;
        run.pictures++;
        total += bytes;
        picture_unref(&received);
    }
    run.psnr_mean /= run.pictures;
    run.kbps = (double)total * 8 / 1000 * info.fps / run.pictures;
    degrade_close(&degrade);
    scaler_destroy(&scaler);
    source_close(&source);
    return run;
}

/* Across a scene cut the wrong picture would have less than 15 dB. Six seconds settle the bitrate. */
static void every_codec_gives_every_picture_at_the_bitrate(void **state)
{
    (void)state;
    static const char *const names[] = { "H.264", "H.265", "AV1" };
    static const struct {
        uint32_t width, kbps;
    } rungs[] = { { 0, 400 }, { 320, 120 }, { 160, 60 } };
    const char *path = find_clip("bikes.mp4");
    for (size_t i = 0; i < 3; i++) {
        double h264_mean = 0;
        for (int codec = VIDEO_H264; codec <= VIDEO_AV1; codec++) {
            struct rung rung = plain_rung;
            rung.codec = codec;
            rung.width = rungs[i].width;
            rung.bitrate_kbps = rungs[i].kbps;
            struct run run = run_clip(path, &rung);
            printf("%s, width %u, %u kbit/s: %.0f kbit/s, %.1f dB, least %.1f\n", names[codec],
                   rungs[i].width, rungs[i].kbps, run.kbps, run.psnr_mean, run.psnr_least);
            assert_true(run.psnr_least > 20 && run.psnr_mean > 28);
            assert_true(run.kbps > 0.8 * rungs[i].kbps && run.kbps < 1.2 * rungs[i].kbps);
            if (codec == VIDEO_H264)
                h264_mean = run.psnr_mean;
            else /* newer codecs are what H.264 has to be measured against */
                assert_true(run.psnr_mean > h264_mean);
        }
    }
}

/* ---- videos and stills ---- */

/* The picture of this number of a clip. */
static struct picture *take_still(const char *path, unsigned number)
{
    struct error err;
    struct source_info info;
    struct source *source = open_clip(path, &info);
    struct picture *picture = NULL;
    uint64_t time_ns;
    for (unsigned i = 0; i <= number; i++) {
        picture_unref(&picture);
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
    }
    source_close(&source);
    return picture;
}

static struct degrade *open_for_still(const struct picture *still, enum video_codec codec)
{
    struct error err;
    struct degrade *degrade = NULL;
    struct picture_view view;
    picture_get_view(still, &view);
    struct degrade_config config = { plain_rung, 15, view.width, view.height };
    config.rung.codec = (int)codec;
    config.rung.width = view.width / 2;
    config.rung.bitrate_kbps = 150;
    assert_ok(degrade_open(&degrade, &config, &err), &err);
    return degrade;
}

static double distance(const struct picture *a, const struct picture *b)
{
    struct picture_view views[2];
    picture_get_view(a, &views[0]);
    picture_get_view(b, &views[1]);
    return testing_psnr(&views[0], &views[1]);
}

static struct picture *pan(struct degrade *degrade, struct picture *still, uint64_t seed,
                           size_t *bytes)
{
    struct error err;
    struct picture *received = NULL;
    assert_ok(degrade_pan(degrade, still, seed, &received, bytes, &err), &err);
    assert_false(packet_is_keyframe(degrade_last_packet(degrade)));
    return received;
}

static void a_pan_ends_in_the_still_as_in_a_stream(void **state)
{
    struct error err;
    (void)state;
    struct picture *still = take_still(find_clip("solidWhiteRight.mp4"), 20);
    struct scaler *scaler = NULL;
    assert_ok(scaler_create(&scaler, &err), &err);
    for (int codec = VIDEO_H264; codec <= VIDEO_AV1; codec++) {
        struct degrade *degrade = open_for_still(still, (enum video_codec)codec);
        struct picture *intra = NULL;
        size_t intra_bytes, bytes[4];
        assert_ok(degrade_picture(degrade, still, &intra, &intra_bytes, &err), &err);
        assert_true(packet_is_keyframe(degrade_last_packet(degrade)));
        struct picture *received[4];
        for (size_t i = 0; i < 4; i++) {
            received[i] = pan(degrade, still, i == 3 ? 0 : i, &bytes[i]);
            double psnr = score(scaler, still, received[i]);
            printf("seed %zu: %zu bytes, %.1f dB; intra %zu bytes, %.1f dB\n", i, bytes[i], psnr,
                   intra_bytes, score(scaler, still, intra));
            assert_true(psnr > 26); /* another picture of the pan would have less than 22 */
            assert_true(bytes[i] < intra_bytes);
            assert_true(distance(received[i], intra) < 50);
        }
        /* The same seed again, after others: the same; another seed: another. */
        assert_int_equal(bytes[3], bytes[0]);
        assert_true(distance(received[3], received[0]) == 99);
        assert_true(distance(received[1], received[0]) < 50);
        for (size_t i = 0; i < 4; i++)
            picture_unref(&received[i]);
        picture_unref(&intra);
        degrade_close(&degrade);
    }
    scaler_destroy(&scaler);
    picture_unref(&still);
}

static void a_restart_begins_anew(void **state)
{
    struct error err;
    (void)state;
    struct picture *still = take_still(find_clip("solidWhiteRight.mp4"), 20);
    for (int codec = VIDEO_H264; codec <= VIDEO_AV1; codec++) {
        struct degrade *degrade = open_for_still(still, (enum video_codec)codec);
        struct picture *first[3] = { NULL }, *again = NULL;
        size_t first_bytes[3], bytes;
        for (unsigned i = 0; i < 3; i++) {
            assert_ok(degrade_picture(degrade, still, &first[i], &first_bytes[i], &err), &err);
            assert_int_equal(packet_is_keyframe(degrade_last_packet(degrade)), i == 0);
        }
        degrade_restart(degrade);
        for (unsigned i = 0; i < 3; i++) {
            assert_ok(degrade_picture(degrade, still, &again, &bytes, &err), &err);
            assert_int_equal(bytes, first_bytes[i]);
            assert_true(distance(again, first[i]) == 99);
            picture_unref(&again);
            picture_unref(&first[i]);
        }
        degrade_close(&degrade);
        assert_null(degrade);
    }
    picture_unref(&still);
}

static void as_many_may_be_kept_as_is_said(void **state)
{
    struct error err;
    (void)state;
    struct picture *still = testing_picture(160, 96, 0, 8, 1), *kept[DEGRADE_KEPT_MAX] = { NULL };
    struct degrade *degrade = open_for_still(still, VIDEO_H264);
    size_t bytes;
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < DEGRADE_KEPT_MAX; i++)
            assert_ok(degrade_picture(degrade, still, &kept[i], &bytes, &err), &err);
        for (size_t i = 0; i < DEGRADE_KEPT_MAX; i++)
            picture_unref(&kept[i]);
        degrade_restart(degrade);
    }
    degrade_close(&degrade);
    picture_unref(&still);
}

static void where_every_picture_is_a_keyframe_so_is_a_still(void **state)
{
    struct error err;
    (void)state;
    struct picture *still = testing_picture(160, 96, 0, 8, 1), *received = NULL;
    struct degrade_config config = { plain_rung, 1.5, 160, 96 };
    struct degrade *degrade = NULL;
    size_t bytes;
    config.rung.keyframe_s = 1;
    assert_ok(degrade_open(&degrade, &config, &err), &err);
    assert_ok(degrade_pan(degrade, still, 5, &received, &bytes, &err), &err);
    assert_true(packet_is_keyframe(degrade_last_packet(degrade)));
    picture_unref(&received);
    degrade_close(&degrade);
    picture_unref(&still);
}

/* Of 14 pictures the last twelve, or at five a second with a keyframe each second the last five, go as a video of their
 * own, whatever was sent before. */
static void the_end_of_a_video_is_sent_alone(void **state)
{
    struct error err;
    (void)state;
    enum { GIVEN = DEGRADE_CLIP_FRAMES + 2 };
    const uint32_t sent[] = { DEGRADE_CLIP_FRAMES, 5 };
    struct picture *pictures[GIVEN];
    for (unsigned i = 0; i < GIVEN; i++)
        pictures[i] = testing_picture(160, 96, 0, 2 * i, i);
    for (unsigned run = 0; run < 2; run++) {
        struct degrade_config config = { plain_rung, run == 0 ? 10 : 5, 160, 96 };
        struct degrade *clips = NULL, *frames = NULL;
        struct picture *wanted = NULL, *got = NULL;
        size_t wanted_bytes = 0, bytes = 0;
        config.rung.keyframe_s = run == 0 ? 10 : 1;
        assert_ok(degrade_open(&clips, &config, &err), &err);
        assert_ok(degrade_open(&frames, &config, &err), &err);
        for (unsigned i = GIVEN - sent[run]; i < GIVEN; i++) {
            picture_unref(&wanted);
            assert_ok(degrade_picture(frames, pictures[i], &wanted, &wanted_bytes, &err), &err);
        }
        for (unsigned again = 0; again < 2; again++) {
            picture_unref(&got);
            assert_ok(degrade_clip(clips, pictures, GIVEN, &got, &bytes, &err), &err);
            assert_false(packet_is_keyframe(degrade_last_packet(clips)));
            assert_int_equal(bytes, wanted_bytes);
            expect_same_bytes(degrade_last_packet(frames), degrade_last_packet(clips), again);
            assert_true(distance(got, wanted) > 90);
        }
        picture_unref(&got);
        assert_ok(degrade_clip(clips, pictures, 1, &got, &bytes, &err), &err);
        assert_true(packet_is_keyframe(degrade_last_packet(clips)));
        picture_unref(&got);
        picture_unref(&wanted);
        degrade_close(&clips);
        degrade_close(&frames);
    }
    for (unsigned i = 0; i < GIVEN; i++)
        picture_unref(&pictures[i]);
}

static void what_is_wrong_is_said(void **state)
{
    struct error err;
    (void)state;
    struct degrade_config config = { plain_rung, 25, 160, 0 };
    struct degrade *degrade = NULL;
    assert_int_equal(degrade_open(&degrade, &config, &err), -ERROR_CONFIG);
    config.camera_height = 96;
    config.fps = 2000;
    assert_int_equal(degrade_open(&degrade, &config, &err), -ERROR_CONFIG);
    config.fps = 25;
    config.rung.codec = VIDEO_AV1;
    config.rung.mode = RATE_QUALITY;
    assert_int_equal(degrade_open(&degrade, &config, &err), -ERROR_CONFIG);
    assert_null(degrade);
    config.rung.codec = VIDEO_H264;
    assert_ok(degrade_open(&degrade, &config, &err), &err);
    struct picture *other = testing_picture(158, 96, 0, 0, 0), *received = NULL;
    size_t bytes;
    assert_int_equal(degrade_picture(degrade, other, &received, &bytes, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "158x96 where 160x96"));
    assert_null(received);
    assert_null(degrade_last_packet(degrade));
    picture_unref(&other);
    degrade_close(&degrade);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_agents),
        cmocka_unit_test(every_codec_gives_every_picture_at_the_bitrate),
        cmocka_unit_test(a_pan_ends_in_the_still_as_in_a_stream),
        cmocka_unit_test(a_restart_begins_anew),
        cmocka_unit_test(as_many_may_be_kept_as_is_said),
        cmocka_unit_test(where_every_picture_is_a_keyframe_so_is_a_still),
        cmocka_unit_test(the_end_of_a_video_is_sent_alone),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
