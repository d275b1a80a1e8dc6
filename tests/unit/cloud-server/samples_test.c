/* Samples over CamVid's pictures: a batch follows from seed and step alone (any number of loaders, begun
 * anywhere, decoded once or each time); a whole picture without chance is the picture itself as networks
 * read it, with its labels; an epoch shows each picture equally often; crops stay with their labels and
 * with what was received of them; a broken picture ends it with an error, as does a lack of memory (mk/test.mk puts
 * calloc_or_not before calloc). */
#include "analyse/prepare.h"
#include "learn/degrade.h"
#include "learn/samples.h"
#include "media/scale.h"

#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH_BYTES 512u
#define WIDTH 480u
#define HEIGHT 360u
#define VOID 11
#define PICTURES 5u

static const uint32_t numbers[PICTURES] = { 3, 60, 100, 200, 300 };
static struct option_strings no_clips;

static const char *test_data(const char *name)
{
    static char paths[4][PATH_BYTES];
    static unsigned used;
    char *path = paths[used++ % 4];
    const char *base = getenv("TEST_DATA");
    snprintf(path, PATH_BYTES, "%s/%s", base ? base : "../shared/data", name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is not there (TEST_DATA)\n", path);
    skip();
    return NULL;
}

static struct data *open_data(const char *pictures, const char *labels)
{
    struct error err;
    struct data *data;
    const struct data_config config = { .pictures = (char *)pictures,
                                        .labels = (char *)labels,
                                        .classes = (char *)test_data("camvid/classes.txt"),
                                        .ignore = (char *)"void",
                                        .box_class = (char *)"person",
                                        .fps = 1,
                                        .clips = no_clips };
    if (data_open(&data, &config, &err))
        fail_msg("%s", err.text);
    return data;
}

static uint8_t class_of(uint8_t value)
{
    return value == VOID ? SAMPLES_IGNORE : value;
}

/* The first count of numbers, of one set of data. */
static struct samples_set *set_of(struct data *data, const uint32_t *which, size_t count)
{
    static struct samples_source sources[2];
    static struct samples_picture pictures[2][PICTURES];
    static struct samples_set sets[2];
    static unsigned used;
    unsigned i = used++ % 2;
    sources[i] = (struct samples_source){ .data = data };
    for (int value = 0; value < 256; value++)
        sources[i].classes[value] = class_of((uint8_t)value);
    for (size_t p = 0; p < count; p++)
        pictures[i][p] = (struct samples_picture){ 0, which[p] };
    sets[i] = (struct samples_set){ &sources[i], 1, pictures[i], count };
    return &sets[i];
}

static struct data *open_camvid(void)
{
    return open_data(test_data("camvid/train/images"), test_data("camvid/train/labels"));
}

static struct samples_config some_config(void)
{
    return (struct samples_config){
        .width = WIDTH,
        .height = HEIGHT,
        .crop_width = 64,
        .crop_height = 48,
        .batch = 3,
        .crops = 2,
        .labelled = true,
        .seed = 7,
        .loaders = 1,
        .cache_bytes = 1u << 30,
        .augment = { .flip = true, .scale_min = 0.5, .scale_max = 2, .jitter = 1 },
    };
}

static struct samples *open_samples(struct data *data, const struct samples_config *config,
                                    uint64_t step)
{
    struct error err;
    struct samples *samples;
    if (samples_open(&samples, set_of(data, numbers, PICTURES), config, step, &err))
        fail_msg("%s", err.text);
    return samples;
}

static struct sample_batch *take(struct samples *samples)
{
    struct error err;
    struct sample_batch *batch;
    if (samples_take(samples, &batch, &err))
        fail_msg("%s", err.text);
    return batch;
}

static size_t pixels_of(const struct samples_config *config)
{
    return (size_t)config->batch * config->crop_width * config->crop_height;
}

static void expect_same(const struct samples_config *config, const struct samples_config *other,
                        uint64_t first, uint64_t other_first, bool same)
{
    struct data *data = open_camvid();
    struct samples *a = open_samples(data, config, first);
    struct samples *b = open_samples(data, other, other_first);
    for (uint64_t step = first; step < 9; step++) {
        struct sample_batch *left = take(a), *right;
        if (step < other_first) {
            sample_batch_free(&left);
            continue;
        }
        right = take(b);
        assert_int_equal(left->step, step);
        assert_int_equal(right->step, step);
        size_t pixels = pixels_of(config);
        bool equal = memcmp(left->source, right->source, 3 * pixels * sizeof(float)) == 0 &&
                     memcmp(left->labels, right->labels, pixels * sizeof(int64_t)) == 0;
        if (left->received)
            equal = equal && memcmp(left->received, right->received,
                                    3 * pixels / config->damage.factor / config->damage.factor *
                                        sizeof(float)) == 0;
        assert_int_equal(equal, same);
        sample_batch_free(&left);
        sample_batch_free(&right);
    }
    samples_close(&a);
    samples_close(&b);
    data_close(&data);
}

static struct samples_damage some_damage(uint32_t factor)
{
    return (struct samples_damage){
        .factor = factor,
        .bitrate_min_kbps = 200,
        .bitrate_max_kbps = 800,
        .fps = 15,
        .rung = { .vbv_ms = 500, .keyframe_s = 10, .preset = 2 },
    };
}

static void seed_and_step_decide(void **state)
{
    (void)state;
    struct samples_config config = some_config(), other = config;
    other.loaders = 3;
    other.cache_bytes = 0;
    expect_same(&config, &other, 0, 0, true);
    expect_same(&config, &other, 0, 5, true);
    other.seed++;
    expect_same(&config, &other, 0, 0, false);
}

static void damage_follows_too(void **state)
{
    (void)state;
    struct samples_config config = some_config(), other;
    config.augment.scale_min = config.augment.scale_max = 1;
    config.damage = some_damage(4);
    other = config;
    other.loaders = 2;
    other.cache_bytes = 0;
    expect_same(&config, &other, 2, 6, true);
}

/* As the picture itself, and each picture twice an epoch. */
static void whole_pictures_are_those_of_the_set(void **state)
{
    (void)state;
    struct samples_config config = some_config();
    struct data *data = open_camvid();
    struct error err;
    const struct card_input input = {
        .width = WIDTH, .height = HEIGHT, .fit = FIT_STRETCH, .divisor = 255, .deviation = { 1, 1, 1 }
    };
    struct prepare *prepare;
    struct placement placement;
    size_t area = (size_t)WIDTH * HEIGHT, seen[PICTURES] = { 0 };
    float *wanted[PICTURES];
    uint8_t *map = malloc(area);
    assert_int_equal(prepare_create(&prepare, &input, &err), 0);
    for (size_t i = 0; i < PICTURES; i++) {
        struct picture *picture;
        struct picture_view view;
        wanted[i] = malloc(3 * area * sizeof(float));
        assert_int_equal(data_picture(data, numbers[i], &picture, &err), 0);
        picture_get_view(picture, &view);
        assert_int_equal(prepare_run(prepare, &view, wanted[i], &placement, &err), 0);
        picture_unref(&picture);
    }
    config.crop_width = WIDTH;
    config.crop_height = HEIGHT;
    config.batch = 1;
    config.augment = (struct samples_augment){ .scale_min = 1, .scale_max = 1 };
    struct samples *samples = open_samples(data, &config, 0);
    for (unsigned i = 0; i < 2 * PICTURES; i++) {
        struct sample_batch *batch = take(samples);
        size_t which = 0;
        double worst = 1;
        for (; which < PICTURES && worst > 1e-5; which++) {
            worst = 0;
            for (size_t p = 0; p < 3 * area; p++)
                worst = fmax(worst, fabs((double)(batch->source[p] - wanted[which][p])));
        }
        assert_true(worst <= 1e-5);
        seen[--which]++;
        assert_int_equal(data_map(data, numbers[which], WIDTH, HEIGHT, map, &err), 0);
        for (size_t p = 0; p < area; p++)
            assert_int_equal(batch->labels[p], class_of(map[p]));
        sample_batch_free(&batch);
    }
    for (size_t i = 0; i < PICTURES; i++) {
        assert_int_equal(seen[i], 2);
        free(wanted[i]);
    }
    free(map);
    samples_close(&samples);
    prepare_destroy(&prepare);
    data_close(&data);
}

/* Crops of what was received, in place of the source's: from the same place, in the same colours, with the
 * same labels; damaged the more, the smaller they were sent. */
static void received_pictures_take_the_sources_place(void **state)
{
    (void)state;
    struct samples_config config = some_config(), other;
    double worse = 0;
    config.cache_bytes = 0;
    config.augment.jitter = 0.2;
    const size_t floats = 3 * pixels_of(&config);
    struct data *data = open_camvid();
    for (uint32_t factor = 1; factor <= 4; factor++) {
        double apart = 0;
        other = config;
        other.damage = some_damage(0);
        other.damage.drawn[0] = factor;
        other.damage.drawn_count = 1;
        struct samples *plain = open_samples(data, &config, 0), *sent = open_samples(data, &other, 0);
        struct sample_batch *left = take(plain), *right = take(sent);
        assert_null(right->received);
        assert_memory_equal(left->labels, right->labels, floats / 3 * sizeof(int64_t));
        for (size_t i = 0; i < floats; i++)
            apart += pow((double)(left->source[i] - right->source[i]), 2) / (double)floats;
        print_message("in its place, x%u: %.1f dB\n", factor, -10 * log10(apart));
        assert_true(apart > worse && apart < 1e-2); /* the same things at the same place */
        worse = apart;
        sample_batch_free(&left);
        sample_batch_free(&right);
        samples_close(&plain);
        samples_close(&sent);
    }
    data_close(&data);
}

/* Which factor, too, follows from seed and step; kept between the crops of an epoch or not. */
static void factors_are_drawn(void **state)
{
    (void)state;
    struct samples_config config = some_config(), other;
    config.damage = some_damage(0);
    config.damage.drawn_count = 3;
    memcpy(config.damage.drawn, (const uint32_t[]){ 1, 2, 4 }, 3 * sizeof(uint32_t));
    other = config;
    other.loaders = 2;
    other.cache_bytes = 0;
    expect_same(&config, &other, 2, 6, true);
    other.damage.drawn[0] = 3;
    other.damage.drawn_count = 1;
    expect_same(&config, &other, 2, 2, false);
}

/* Mean squared difference of what was received and what the crop becomes when it is made smaller, by the
 * mean of blocks, moved by (dx, dy) of its pixels. */
static double distance(const struct sample_batch *batch, const struct samples_config *config,
                       int dx, int dy)
{
    uint32_t f = config->damage.factor, w = config->crop_width, h = config->crop_height;
    double sum = 0;
    size_t count = 0;
    for (uint32_t plane = 0; plane < 3 * config->batch; plane++)
        for (uint32_t y = 1; y + 1 < h / f; y++)
            for (uint32_t x = 1; x + 1 < w / f; x++) {
                double mean = 0;
                for (uint32_t i = 0; i < f * f; i++)
                    mean +=
                        (double)batch->source[((size_t)plane * h + f * y + i / f) * w + f * x + i % f] /
                        (f * f);
                size_t at = ((size_t)plane * (h / f) + y + (size_t)dy) * (w / f) + x + (size_t)dx;
                double apart = (double)batch->received[at] - mean;
                sum += apart * apart;
                count++;
            }
    return sum / (double)count;
}

static void received_crops_show_the_same(void **state)
{
    (void)state;
    struct samples_config config = some_config();
    struct data *data = open_camvid();
    const uint32_t factors[] = { 1, 2, 4 };
    for (size_t i = 0; i < 3; i++) {
        config.crop_width = config.crop_height = 120;
        config.augment = (struct samples_augment){ .flip = true, .scale_min = 1, .scale_max = 1 };
        config.damage = some_damage(factors[i]);
        struct samples *samples = open_samples(data, &config, 0);
        for (int step = 0; step < 2; step++) {
            struct sample_batch *batch = take(samples);
            double here = distance(batch, &config, 0, 0);
            print_message("x%u: %.1f dB\n", factors[i], -10 * log10(here));
            assert_true(here > 1e-7 && here < 4e-3); /* damaged, at 24 dB or better */
            assert_true(distance(batch, &config, 1, 0) > here);
            assert_true(distance(batch, &config, -1, 0) > here);
            assert_true(distance(batch, &config, 0, 1) > here);
            assert_true(distance(batch, &config, 0, -1) > here);
            sample_batch_free(&batch);
        }
        samples_close(&samples);
    }
    data_close(&data);
}

/* Scaled far out, a crop shows less picture than it has pixels. */
static void outside_of_the_picture_nothing_counts(void **state)
{
    (void)state;
    struct samples_config config = some_config();
    struct data *data = open_camvid();
    size_t ignored = 0, pixels;
    config.crop_width = WIDTH;
    config.crop_height = HEIGHT;
    config.augment.scale_min = config.augment.scale_max = 0.5;
    pixels = pixels_of(&config);
    struct samples *samples = open_samples(data, &config, 0);
    struct sample_batch *batch = take(samples);
    for (size_t i = 0; i < pixels; i++) {
        assert_true(batch->labels[i] < VOID || batch->labels[i] == SAMPLES_IGNORE);
        ignored += batch->labels[i] == SAMPLES_IGNORE;
    }
    for (size_t i = 0; i < 3 * pixels; i++)
        assert_true(batch->source[i] >= 0 && batch->source[i] <= 1);
    assert_true(ignored > pixels * 70 / 100 && ignored < pixels * 85 / 100); /* a quarter is seen */
    sample_batch_free(&batch);
    samples_close(&samples);
    data_close(&data);
}

static void videos_have_to_fit(void **state)
{
    (void)state;
    struct samples_config config = some_config();
    struct error err;
    struct samples *samples;
    struct data *data = open_data(test_data("clips/bikes.mp4"), "");
    const uint32_t early[PICTURES] = { 1, 3, 4, 10, 20 };
    config.labelled = false;
    config.width = 64;
    config.height = 48;
    if (samples_open(&samples, set_of(data, early, PICTURES), &config, 0, &err))
        fail_msg("%s", err.text);
    struct sample_batch *batch = take(samples);
    assert_null(batch->labels);
    sample_batch_free(&batch);
    samples_close(&samples);
    config.cache_bytes = 10000;
    assert_int_equal(samples_open(&samples, set_of(data, early, PICTURES), &config, 0, &err),
                     -ERROR_LIMIT);
    assert_non_null(strstr(err.text, "cache_mib: too little for the 5 frames of videos"));
    config.damage = some_damage(2);
    assert_int_equal(samples_open(&samples, set_of(data, early, PICTURES), &config, 0, &err),
                     -ERROR_LIMIT);
    /* and at 12.5 a second all even ones up to 20 and the odd ones up to 3 */
    assert_non_null(strstr(err.text, "cache_mib: too little for the 13 frames of videos"));
    data_close(&data);
}

/* Grey, brighter by one with each column, of 300x120. */
static void write_wide(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s.ppm", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("P6\n300 120\n255\n", file);
    for (unsigned i = 0; i < 300 * 120; i++)
        for (unsigned c = 0; c < 3; c++)
            fputc((int)(i % 300 * 255 / 299), file);
    fclose(file);
}

/* CamVid, wide pictures and a video, as one. */
struct mixed {
    char folder[32];
    struct samples_source sources[3];
    struct samples_picture pictures[6];
    struct samples_set set;
};

static void open_mixed(struct mixed *mixed)
{
    *mixed =
        (struct mixed){ .folder = "/tmp/samples_test_XXXXXX",
                        .pictures = { { 0, 3 }, { 1, 0 }, { 2, 0 }, { 2, 7 }, { 1, 1 }, { 2, 40 } } };
    mixed->set = (struct samples_set){ mixed->sources, 3, mixed->pictures, 6 };
    mixed->sources[0].data = open_data(test_data("camvid/train/images"), "");
    mixed->sources[2].data = open_data(test_data("clips/bikes.mp4"), "");
    assert_non_null(mkdtemp(mixed->folder));
    write_wide(mixed->folder, "a");
    write_wide(mixed->folder, "b");
    mixed->sources[1].data = open_data(mixed->folder, "");
}

static void close_mixed(struct mixed *mixed)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < 3; i++)
        data_close(&mixed->sources[i].data);
    snprintf(path, sizeof path, "%s/a.ppm", mixed->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/b.ppm", mixed->folder);
    unlink(path);
    rmdir(mixed->folder);
}

static void open_of_mixed(struct samples **samples, const struct mixed *mixed,
                          const struct samples_config *config)
{
    struct error err;
    if (samples_open(samples, &mixed->set, config, 0, &err))
        fail_msg("%s", err.text);
}

static void several_sets_are_one(void **state)
{
    (void)state;
    static struct mixed mixed;
    struct samples_config config = some_config(), other;
    struct samples *a, *b;
    open_mixed(&mixed);
    config.labelled = false;
    config.width = 160;
    config.height = 120;
    config.damage = some_damage(2);
    config.augment.scale_min = config.augment.scale_max = 1;
    other = config;
    other.loaders = 3;
    other.once = true;
    open_of_mixed(&a, &mixed, &config);
    open_of_mixed(&b, &mixed, &other);
    size_t floats = 3 * pixels_of(&config);
    for (unsigned step = 0; step < 6; step++) { /* one epoch and a half */
        struct sample_batch *left = take(a), *right = take(b);
        assert_memory_equal(left->source, right->source, floats * sizeof(float));
        assert_memory_equal(left->received, right->received, floats / 4 * sizeof(float));
        sample_batch_free(&left);
        sample_batch_free(&right);
    }
    samples_close(&a);
    samples_close(&b);
    close_mixed(&mixed);
}

/* What is wide loses its sides: 70 columns of 300 on each. */
static void nothing_is_squeezed(void **state)
{
    (void)state;
    static struct mixed mixed;
    struct samples_config config = some_config();
    struct samples *samples;
    open_mixed(&mixed);
    mixed.set.pictures = &mixed.pictures[1];
    mixed.set.count = 1;
    config.labelled = false;
    config.width = config.crop_width = 160;
    config.height = config.crop_height = 120;
    config.batch = 1;
    config.augment = (struct samples_augment){ .scale_min = 1, .scale_max = 1 };
    open_of_mixed(&samples, &mixed, &config);
    struct sample_batch *batch = take(samples);
    for (uint32_t i = 0; i < 160 * 120; i++)
        assert_float_equal(batch->source[i], (70 + i % 160) / 299.0, 0.02);
    sample_batch_free(&batch);
    samples_close(&samples);
    close_mixed(&mixed);
}

/* Frame `number` of the video as it is learnt from. */
static struct picture *frame_of(struct mixed *mixed, struct scaler *scaler, uint32_t number)
{
    struct error err;
    struct samples_window window;
    struct picture *whole, *scaled;
    assert_int_equal(
        samples_source_picture(&mixed->sources[2], number, WIDTH, HEIGHT, &whole, &window, &err), 0);
    assert_int_equal(scaler_to_picture(scaler, whole, WIDTH, HEIGHT, &scaled, &err), 0);
    picture_unref(&whole);
    return scaled;
}

/* A picture of a video of 25 a second, sent at 12.5: behind each second one of those before it. */
static void videos_are_sent_as_they_were(void **state)
{
    (void)state;
    static struct mixed mixed;
    struct samples_config config = some_config();
    struct samples *samples;
    struct error err;
    struct degrade *degrade;
    struct scaler *scaler;
    struct picture *got = NULL;
    size_t bytes, area = (size_t)WIDTH * HEIGHT / 4;
    open_mixed(&mixed);
    mixed.set.pictures = &mixed.pictures[5];
    mixed.set.count = 1;
    config.labelled = false;
    config.crop_width = WIDTH;
    config.crop_height = HEIGHT;
    config.batch = 1;
    config.augment = (struct samples_augment){ .scale_min = 1, .scale_max = 1 };
    config.damage = some_damage(2);
    config.damage.bitrate_max_kbps = config.damage.bitrate_min_kbps;
    open_of_mixed(&samples, &mixed, &config);
    struct sample_batch *batch = take(samples);

    struct degrade_config way = { .rung = config.damage.rung,
                                  .fps = 12.5,
                                  .camera_width = WIDTH,
                                  .camera_height = HEIGHT };
    way.rung.width = WIDTH / 2;
    way.rung.height = HEIGHT / 2;
    way.rung.bitrate_kbps = config.damage.bitrate_min_kbps;
    assert_int_equal(degrade_open(&degrade, &way, &err), 0);
    assert_int_equal(scaler_create(&scaler, &err), 0);
    for (uint32_t number = 40 - 2 * (DEGRADE_CLIP_FRAMES - 1); number <= 40; number += 2) {
        struct picture *frame = frame_of(&mixed, scaler, number);
        picture_unref(&got);
        assert_int_equal(degrade_picture(degrade, frame, &got, &bytes, &err), 0);
        picture_unref(&frame);
    }
    uint8_t *planes = malloc(3 * area);
    uint8_t *const rgb[3] = { planes, planes + area, planes + 2 * area };
    struct picture_view view;
    picture_get_view(got, &view);
    assert_int_equal(
        scaler_to_rgb_planes(scaler, &view, WIDTH / 2, HEIGHT / 2, rgb, WIDTH / 2, &err), 0);
    for (size_t i = 0; i < 3 * area; i++)
        assert_float_equal(batch->received[i], planes[i] / 255.0, 1e-5);
    free(planes);
    picture_unref(&got);
    scaler_destroy(&scaler);
    degrade_close(&degrade);
    sample_batch_free(&batch);
    samples_close(&samples);
    close_mixed(&mixed);
}

static void a_broken_picture_is_told(void **state)
{
    (void)state;
    char folder[] = "/tmp/samples_test_XXXXXX", path[PATH_BYTES];
    struct samples_config config = some_config();
    struct error err = { 0 };
    struct sample_batch *batch;
    struct samples *samples;
    const uint32_t number = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/broken.jpg", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("no picture", file);
    fclose(file);
    struct data *data = open_data(folder, "");
    config.labelled = false;
    config.loaders = 2;
    assert_int_equal(samples_open(&samples, set_of(data, &number, 1), &config, 0, &err), 0);
    assert_true(samples_take(samples, &batch, &err) < 0);
    assert_non_null(strstr(err.text, "broken"));
    samples_close(&samples);
    data_close(&data);
    unlink(path);
    rmdir(folder);
}

/* By the linker's names for calloc, and for what is called instead. */
void *real_calloc(size_t count, size_t size) __asm__("__real_calloc");
void *calloc_or_not(size_t count, size_t size) __asm__("__wrap_calloc");

static atomic_bool no_batches;

void *calloc_or_not(size_t count, size_t size)
{
    bool batch = count == 1 && size == sizeof(struct sample_batch);
    return batch && atomic_load(&no_batches) ? NULL : real_calloc(count, size);
}

static void a_lack_of_memory_is_told(void **state)
{
    (void)state;
    struct samples_config config = some_config();
    struct error err = { 0 };
    struct sample_batch *batch = NULL;
    struct samples *samples;
    struct data *data = open_data(test_data("camvid/train/images"), "");
    config.labelled = false;
    config.loaders = 2;
    assert_int_equal(samples_open(&samples, set_of(data, numbers, PICTURES), &config, 0, &err), 0);
    atomic_store(&no_batches, true);
    int rc = 0;
    while (rc == 0) { /* those that were ready */
        rc = samples_take(samples, &batch, &err);
        if (rc == 0)
            sample_batch_free(&batch);
    }
    samples_close(&samples);
    atomic_store(&no_batches, false);
    assert_int_equal(rc, -ERROR_MEMORY);
    assert_non_null(strstr(err.text, "no room for a batch"));
    data_close(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_and_step_decide),
        cmocka_unit_test(damage_follows_too),
        cmocka_unit_test(whole_pictures_are_those_of_the_set),
        cmocka_unit_test(received_crops_show_the_same),
        cmocka_unit_test(received_pictures_take_the_sources_place),
        cmocka_unit_test(factors_are_drawn),
        cmocka_unit_test(outside_of_the_picture_nothing_counts),
        cmocka_unit_test(videos_have_to_fit),
        cmocka_unit_test(several_sets_are_one),
        cmocka_unit_test(nothing_is_squeezed),
        cmocka_unit_test(videos_are_sent_as_they_were),
        cmocka_unit_test(a_broken_picture_is_told),
        cmocka_unit_test(a_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
