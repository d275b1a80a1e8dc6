/* Proves that files (made here: raw video, our own H.264) are read picture for picture, with growing
 * times also over loops; that broken, cut and foreign files end in words and never hang or crash;
 * and that the generated test picture is the same each time. */
#include "testing.h"

#include "base/clock.h"
#include "media/record.h"
#include "media/scale.h"
#include "media/source.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/runespoor-source-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a test left something behind */
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int open_path(struct source **source, const char *path, bool loop, struct error *err)
{
    const struct source_config config = { .kind = SOURCE_FILE, .path = (char *)path, .loop = loop };
    return source_open(source, &config, err);
}

static uint32_t picture_sum(const struct picture *picture)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    uint32_t sum = 0;
    for (int plane = 0; plane < 3; plane++)
        for (uint32_t row = 0; row < (plane ? (view.height + 1) / 2 : view.height); row++)
            for (uint32_t column = 0; column < (plane ? (view.width + 1) / 2 : view.width); column++)
                sum = sum * 31 + view.plane[plane][row * view.stride[plane] + column];
    return sum;
}

/* The test picture */

static struct source *open_test_picture(uint32_t width, uint32_t height, uint32_t fps,
                                        uint32_t seconds)
{
    struct error err;
    struct source *source = NULL;
    const struct source_config config = {
        .kind = SOURCE_TEST, .width = width, .height = height, .fps = fps, .seconds = seconds
    };
    assert_ok(source_open(&source, &config, &err), &err);
    return source;
}

static void test_test_picture(void **state)
{
    (void)state;
    struct error err;
    struct source *first = open_test_picture(320, 240, 7, 3);
    struct source *second = open_test_picture(320, 240, 7, 3);
    struct source_info info;
    source_get_info(first, &info);
    assert_int_equal(info.width, 320);
    assert_int_equal(info.height, 240);
    assert_true(info.fps == 7);
    assert_string_equal(info.description, "test picture 320x240 7 fps");
    uint32_t last_sum = 0;
    for (unsigned i = 0; i < 21; i++) {
        struct picture *a = NULL, *b = NULL;
        uint64_t time_a, time_b;
        assert_ok(source_next(first, &a, &time_a, &err), &err);
        assert_ok(source_next(second, &b, &time_b, &err), &err);
        assert_int_equal(time_a, i * CLOCK_NS_PER_S / 7);
        assert_int_equal(time_a, time_b);
        uint32_t sum = picture_sum(a);
        assert_int_equal(sum, picture_sum(b));
        assert_int_not_equal(sum, last_sum); /* it moves */
        last_sum = sum;
        picture_unref(&a);
        picture_unref(&b);
    }
    assert_int_equal(last_sum, 0xd17fd7cau);
    struct picture *none = NULL;
    uint64_t time_ns;
    assert_int_equal(source_next(first, &none, &time_ns, &err), -ERROR_END);
    assert_int_equal(source_next(first, &none, &time_ns, &err), -ERROR_END);
    assert_null(none);
    source_close(&first);
    source_close(&second);
    source_close(&second);
}

static void test_test_picture_sizes(void **state)
{
    (void)state;
    struct error err;
    const uint32_t sizes[][2] = { { 16, 16 }, { 17, 31 }, { 1000, 16 }, { 16, 500 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct source *source = open_test_picture(sizes[i][0], sizes[i][1], 10, 0);
        for (unsigned j = 0; j < 300; j++) {
            struct picture *picture = NULL;
            uint64_t time_ns;
            assert_ok(source_next(source, &picture, &time_ns, &err), &err);
            picture_unref(&picture);
        }
        source_close(&source);
    }
    struct source *source = NULL;
    struct source_config config = { .kind = SOURCE_TEST, .width = 64, .height = 64, .fps = 0 };
    assert_int_equal(source_open(&source, &config, &err), -ERROR_CONFIG);
    config = (struct source_config){ .kind = SOURCE_TEST, .width = 0, .height = 64, .fps = 5 };
    assert_int_equal(source_open(&source, &config, &err), -ERROR_LIMIT);
}

/* Raw video, whose pixels we know */

/* chroma: y4m's word; 420: planes of half size, 422: of half width. Luma is `first` + number. */
static void write_y4m(const char *path, unsigned width, unsigned height, const char *chroma,
                      unsigned pictures, unsigned first)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fprintf(file, "YUV4MPEG2 W%u H%u F8:1 Ip A1:1 C%s\n", width, height, chroma);
    unsigned columns = (width + 1) / 2, rows = strcmp(chroma, "422") ? (height + 1) / 2 : height;
    for (unsigned i = 0; i < pictures; i++) {
        fputs("FRAME\n", file);
        for (unsigned j = 0; j < width * height; j++)
            fputc((int)(first + i), file);
        for (unsigned j = 0; j < 2 * columns * rows; j++)
            fputc(j < columns * rows ? 100 : 140, file);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_raw_video(void **state)
{
    (void)state;
    struct error err;
    const char *path = path_of("a:b c.y4m"); /* a colon makes no protocol */
    for (unsigned kind = 0; kind < 3; kind++) {
        unsigned width = kind == 1 ? 33 : 64, height = kind == 1 ? 21 : 48;
        write_y4m(path, width, height, kind == 2 ? "422" : "420jpeg", 5, 30);
        struct source *source = NULL;
        assert_ok(open_path(&source, path, false, &err), &err);
        struct source_info info;
        source_get_info(source, &info);
        assert_int_equal(info.width, width);
        assert_int_equal(info.height, height);
        assert_true(info.fps == 8);
        struct picture *picture = NULL;
        uint64_t time_ns;
        for (unsigned i = 0; i < 5; i++) {
            assert_ok(source_next(source, &picture, &time_ns, &err), &err);
            assert_int_equal(time_ns, i * CLOCK_NS_PER_S / 8);
            struct picture_view view;
            picture_get_view(picture, &view);
            assert_int_equal(view.format, PIXEL_I420);
            for (unsigned row = 0; row < height; row++)
                assert_int_equal(view.plane[0][row * view.stride[0] + width - 1], 30 + i);
            assert_int_equal(view.plane[1][(height / 2 - 1) * view.stride[1] + 3], 100);
            assert_int_equal(view.plane[2][(height / 2 - 1) * view.stride[2] + 3], 140);
            picture_unref(&picture);
        }
        assert_int_equal(source_next(source, &picture, &time_ns, &err), -ERROR_END);
        assert_int_equal(source_skipped(source), 0);
        source_close(&source);
    }
    unlink(path);
}

static void check_loop(const char *path, unsigned pictures, uint64_t period_ns)
{
    struct error err;
    struct source *source = NULL;
    assert_ok(open_path(&source, path, true, &err), &err);
    uint32_t sums[64];
    assert_true(pictures <= 64);
    for (unsigned i = 0; i < 3 * pictures + 1; i++) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        int64_t off = (int64_t)(time_ns - i * period_ns);
        assert_true(off < 1000000 && off > -1000000);
        uint32_t sum = picture_sum(picture);
        if (i >= pictures)
            assert_int_equal(sum, sums[i % pictures]);
        sums[i % pictures] = sum;
        picture_unref(&picture);
    }
    assert_int_equal(source_skipped(source), 0);
    source_close(&source);
}

static void test_loop_of_raw_video(void **state)
{
    (void)state;
    const char *path = path_of("loop.y4m");
    write_y4m(path, 64, 48, "420jpeg", 5, 10);
    check_loop(path, 5, CLOCK_NS_PER_S / 8);
    unlink(path);
}

/* Our own H.264 */

/* Records the test picture; `count` pictures at 10 fps. */
static void record_clip(const char *path, unsigned count)
{
    struct error err;
    struct source *source = open_test_picture(320, 240, 10, 0);
    struct record *record = NULL;
    assert_ok(record_open(&record, path, 320, 240, &err), &err);
    for (unsigned i = 0; i < count; i++) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        assert_ok(record_add(record, picture, time_ns, NULL, 0, NULL, &err), &err);
        picture_unref(&picture);
    }
    assert_ok(record_close(&record, &err), &err);
    source_close(&source);
}

static void test_recorded_clip(void **state)
{
    (void)state;
    struct error err;
    const char *path = path_of("clip.mp4");
    record_clip(path, 60);
    struct source *source = NULL, *original = open_test_picture(320, 240, 10, 0);
    assert_ok(open_path(&source, path, false, &err), &err);
    struct source_info info;
    source_get_info(source, &info);
    assert_string_equal(info.description, "h264 320x240 10 fps");
    struct picture *picture = NULL, *before = NULL;
    uint64_t time_ns, time_before;
    for (unsigned i = 0; i < 60; i++) {
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        assert_ok(source_next(original, &before, &time_before, &err), &err);
        assert_int_equal(time_ns / 1000, time_before / 1000);
        struct picture_view a, b;
        picture_get_view(picture, &a);
        picture_get_view(before, &b);
        assert_true(testing_psnr(&a, &b) > 32);
        picture_unref(&picture);
        picture_unref(&before);
    }
    assert_int_equal(source_next(source, &picture, &time_ns, &err), -ERROR_END);
    source_close(&source);
    source_close(&original);
    check_loop(path, 60, CLOCK_NS_PER_S / 10);
    unlink(path);
}

/* An elementary stream has neither times nor an index. */
static void write_h264(const char *path, unsigned count)
{
    struct error err;
    struct encoder_config config = testing_encoder_config(128, 96);
    struct encoder *encoder = NULL;
    assert_ok(encoder_open(&encoder, &config, &err), &err);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (unsigned i = 0; i < count; i++) {
        struct picture *picture = testing_picture(128, 96, i, 20, i);
        struct packet *packet = NULL;
        assert_ok(encoder_encode(encoder, picture, i, false, &packet, &err), &err);
        size_t size;
        const uint8_t *bytes = packet_data(packet, &size);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        packet_unref(&packet);
        picture_unref(&picture);
    }
    assert_int_equal(fclose(file), 0);
    encoder_close(&encoder);
}

static void test_elementary_stream(void **state)
{
    (void)state;
    const char *path = path_of("raw.h264");
    write_h264(path, 20);
    check_loop(path, 20, CLOCK_NS_PER_S / 25);
    unlink(path);
}

/* Files that are no videos */

static void refuse(const char *path, enum error_code code, const char *words)
{
    struct error err = { 0 };
    struct source *source = NULL;
    int rc = open_path(&source, path, false, &err);
    assert_int_equal(rc, -(int)code);
    assert_null(source);
    assert_non_null(strstr(err.text, words));
}

static void test_no_video(void **state)
{
    (void)state;
    refuse("", ERROR_CONFIG, "needs the path");
    refuse("/nonexistent/clip.mp4", ERROR_IO, "/nonexistent/clip.mp4: cannot open the video");
    refuse("http://127.0.0.1:9/clip.mp4", ERROR_IO, "No such file");
    refuse("/tmp", ERROR_IO, "not a regular file");
    char path[128];
    snprintf(path, sizeof path, "%s", path_of("bad.mp4"));
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(path, ERROR_IO, "not a regular file");
    unlink(path);
    write_file(path, "", 0);
    refuse(path, ERROR_FORMAT, "bad.mp4: not a video");
    write_file(path, "stream: yard\nserver: [\n", 23);
    refuse(path, ERROR_FORMAT, "not a video");
    uint8_t noise[5000];
    struct random_state random;
    random_seed(&random, 3);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)random_next_u64(&random);
    write_file(path, noise, sizeof noise);
    refuse(path, ERROR_FORMAT, "bad.mp4: ");
    static const uint8_t wav[] = "RIFF\x64\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0"
                                 "\2\0\x10\0data\x40\0\0\0................................";
    write_file(path, wav, sizeof wav);
    refuse(path, ERROR_FORMAT, "there is no video in it");
    unlink(path);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/* Plays a file to whatever end. Gives the pictures seen, or -1 when it does not open. */
static int play(const char *path, int limit)
{
    struct error err = { 0 };
    struct source *source = NULL;
    int rc = open_path(&source, path, false, &err), count = 0;
    if (rc < 0) {
        assert_true(strlen(err.text) > 0);
        return -1;
    }
    struct picture *picture = NULL;
    uint64_t time_ns, last_ns = 0;
    while ((rc = source_next(source, &picture, &time_ns, &err)) == 0) {
        assert_true(count == 0 || time_ns > last_ns);
        last_ns = time_ns;
        picture_unref(&picture);
        assert_true(++count <= limit);
    }
    assert_true(rc == -ERROR_END || rc == -ERROR_FORMAT || rc == -ERROR_LIMIT);
    source_close(&source);
    return count;
}

static void test_cut_and_damaged_files(void **state)
{
    (void)state;
    char good[128], bad[128];
    snprintf(good, sizeof good, "%s", path_of("good.mp4"));
    snprintf(bad, sizeof bad, "%s", path_of("bad.mp4"));
    record_clip(good, 45);
    size_t size;
    uint8_t *bytes = read_file(good, &size);
    assert_int_equal(play(good, 45), 45);
    struct random_state random;
    random_seed(&random, 17);
    int whole = 0, shorter = 0, refused = 0;
    for (unsigned i = 0; i < 40; i++) {
        size_t cut = (size_t)(random_next_u64(&random) % size);
        write_file(bad, bytes, cut);
        int count = play(bad, 45);
        assert_true(count < 45);
        *(count < 0 ? &refused : &shorter) += 1;
    }
    for (unsigned i = 0; i < 60; i++) {
        uint8_t *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        for (unsigned j = 0; j < 1 + i / 4; j++) {
            size_t limit = i % 2 ? size : 1500; /* every other time in the headers */
            copy[random_next_u64(&random) % limit] = (uint8_t)random_next_u64(&random);
        }
        write_file(bad, copy, size);
        free(copy);
        int count = play(bad, 100000);
        *(count < 0 ? &refused : count == 45 ? &whole : &shorter) += 1;
    }
    printf("of 100 damaged files %d refused, %d with other pictures, %d whole\n", refused, shorter,
           whole);
    free(bytes);
    unlink(good);
    unlink(bad);
}

/* The samples of all fragments but the first are overwritten. */
static void test_too_many_damaged(void **state)
{
    (void)state;
    struct error err;
    const char *path = path_of("spoilt.mp4");
    record_clip(path, SOURCE_BAD_MAX + 60);
    size_t size, fragments = 0;
    uint8_t *bytes = read_file(path, &size);
    for (size_t i = 4; i + 4 < size; i++) {
        if (memcmp(bytes + i, "mdat", 4) != 0)
            continue;
        size_t box = (size_t)bytes[i - 3] << 16 | (size_t)bytes[i - 2] << 8 | bytes[i - 1];
        assert_true(i - 4 + box <= size);
        if (fragments++ > 0)
            memset(bytes + i + 4, 0xff, box - 8);
        i += box - 8;
    }
    assert_true(fragments > 3);
    write_file(path, bytes, size);
    free(bytes);
    struct source *source = NULL;
    assert_ok(open_path(&source, path, true, &err), &err);
    struct picture *picture = NULL;
    uint64_t time_ns;
    int rc = 0, given = 0;
    while ((rc = source_next(source, &picture, &time_ns, &err)) == 0 && given++ < 500)
        picture_unref(&picture);
    assert_int_equal(rc, -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "100 damaged pictures in a row"));
    assert_true(given > 0 && given < 60);
    assert_int_equal(source_skipped(source), SOURCE_BAD_MAX);
    source_close(&source);
    unlink(path);
}

/* Still pictures */

static void test_still_picture(void **state)
{
    (void)state;
    struct error err;
    const char *path = path_of("still.ppm");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fprintf(file, "P6\n64 32\n255\n");
    for (unsigned i = 0; i < 64 * 32; i++) {
        bool left = i % 64 < 32;
        fputc(left ? 200 : 10, file), fputc(left ? 40 : 90, file), fputc(left ? 60 : 250, file);
    }
    assert_int_equal(fclose(file), 0);
    struct picture *picture = NULL;
    assert_ok(picture_read_file(&picture, path, &err), &err);
    struct picture_view view;
    picture_get_view(picture, &view);
    assert_int_equal(view.width, 64);
    assert_int_equal(view.height, 32);
    struct scaler *scaler = NULL;
    assert_ok(scaler_create(&scaler, &err), &err);
    static uint8_t planes[3][64 * 32];
    assert_ok(scaler_to_rgb_planes(scaler, &view, 64, 32,
                                   (uint8_t *[3]){ planes[0], planes[1], planes[2] }, 64, &err),
              &err);
    const uint8_t expected[3][2] = { { 200, 10 }, { 40, 90 }, { 60, 250 } };
    for (int c = 0; c < 3; c++)
        for (int side = 0; side < 2; side++)
            assert_true(abs(planes[c][64 * 9 + 10 + 40 * side] - expected[c][side]) <= 3);
    scaler_destroy(&scaler);
    picture_unref(&picture);
    unlink(path);
    assert_int_equal(picture_read_file(&picture, path, &err), -ERROR_IO);
    assert_null(picture);
}

/* Real clips, when they are at hand: every picture, none skipped. */
static void test_real_clips(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int pictures;
    } clips[] = { { "person-bicycle-car-detection.mp4", 167 },
                  { "car-detection.mp4", 107 },
                  { "one-by-one-person-detection.mp4", 181 },
                  { "solidWhiteRight.mp4", 120 },
                  { "bikes.mp4", 250 } };
    const char *data = getenv("TEST_DATA");
    char path[4096];
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++) {
        snprintf(path, sizeof path, "%s/clips/%s", data ? data : "", clips[i].name);
        if (!data || access(path, R_OK) != 0) {
            fprintf(stderr, "SKIP REASON: test_real_clips: no clips/%s in TEST_DATA\n",
                    clips[i].name);
            skip();
        }
        assert_int_equal(play(path, 1000), clips[i].pictures);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_test_picture),     cmocka_unit_test(test_test_picture_sizes),
        cmocka_unit_test(test_raw_video),        cmocka_unit_test(test_loop_of_raw_video),
        cmocka_unit_test(test_recorded_clip),    cmocka_unit_test(test_elementary_stream),
        cmocka_unit_test(test_no_video),         cmocka_unit_test(test_cut_and_damaged_files),
        cmocka_unit_test(test_too_many_damaged), cmocka_unit_test(test_still_picture),
        cmocka_unit_test(test_real_clips),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
