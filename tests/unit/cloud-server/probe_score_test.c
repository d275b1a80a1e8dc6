/* probe_score: boxes on the pixels of two sizes of picture, classes by another model's numbers, and areas by
 * their runs against a plain count over pixels, overlapping or not; and what cannot be compared. */
#include "base/random.h"
#include "control/probe_score.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CAMERA_WIDTH 480u
#define CAMERA_HEIGHT 360u
#define MASK_WIDTH 31u
#define MASK_HEIGHT 17u
#define PIXELS (MASK_WIDTH * MASK_HEIGHT)
#define CLASSES 4u

static struct analysis answer_analysis, golden_analysis;
static const struct probe_answer quarter = { &answer_analysis, 120, 90 };
static const struct probe_answer whole = { &golden_analysis, CAMERA_WIDTH, CAMERA_HEIGHT };
static struct probe_score score;

static void add_box(struct analysis *analysis, uint32_t class_id, float x, float y, float side,
                    float confidence)
{
    analysis->objects[analysis->object_count++] =
        (struct analysis_object){ class_id, confidence, x, y, side, side };
}

static void clear(void)
{
    memset(&answer_analysis, 0, sizeof answer_analysis);
    memset(&golden_analysis, 0, sizeof golden_analysis);
}

static void compare(const uint32_t *to_class)
{
    struct error err;
    if (probe_score(&quarter, &whole, CAMERA_WIDTH, CAMERA_HEIGHT, to_class, CLASSES, &score, &err))
        fail_msg("%s", err.text);
}

static void expect_counts(uint32_t class_id, uint32_t hits, uint32_t false_alarms, uint32_t misses)
{
    assert_int_equal(score.counts[class_id].hits, hits);
    assert_int_equal(score.counts[class_id].false_alarms, false_alarms);
    assert_int_equal(score.counts[class_id].misses, misses);
}

static void test_boxes_on_the_cameras_pixels(void **state)
{
    (void)state;
    clear();
    add_box(&answer_analysis, 0, 10, 10, 20, 0.9f);
    add_box(&answer_analysis, 1, 60, 60, 10, 0.8f);
    add_box(&answer_analysis, 0, 90, 40, 0, 0.7f);  /* nothing of it is in the picture */
    add_box(&golden_analysis, 0, 44, 36, 80, 0.9f); /* a pixel of the small picture off */
    add_box(&golden_analysis, 2, 400, 300, 20, 0.5f);
    compare(NULL);
    assert_int_equal(score.kind, SCORE_BOXES);
    expect_counts(0, 1, 0, 0);
    expect_counts(1, 0, 1, 0);
    expect_counts(2, 0, 0, 1);
    assert_true(fabs(score.accuracy - 0.5) < 1e-12); /* 2 / (2 + 1 + 1) */
    /* The golden model's 0 is our 1, its 2 we do not know. */
    const uint32_t to_class[] = { 1, 0, PROBE_CLASS_NONE };
    compare(to_class);
    expect_counts(0, 0, 1, 0);
    expect_counts(1, 0, 1, 1);
    expect_counts(2, 0, 0, 0);
    assert_true(score.accuracy == 0);
    clear();
    compare(NULL);
    assert_true(score.accuracy == 1); /* nothing there, nothing found */
}

static void put_varint(struct analysis *analysis, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        analysis->runs[analysis->runs_bytes++] = (uint8_t)(value | 0x80);
    analysis->runs[analysis->runs_bytes++] = (uint8_t)value;
}

/* The runs of the pixels that have the class's bit. */
static void add_area(struct analysis *analysis, const uint8_t *pixels, uint32_t class_id)
{
    struct analysis_area area = { .class_id = class_id, .runs_offset = analysis->runs_bytes };
    bool inside = false, any = false;
    uint32_t run = 0;
    for (uint32_t i = 0; i < PIXELS; i++)
        any = any || (pixels[i] >> class_id & 1);
    if (!any)
        return;
    for (uint32_t i = 0; i < PIXELS; i++) {
        if ((pixels[i] >> class_id & 1) != inside) {
            put_varint(analysis, run);
            inside = !inside;
            run = 0;
        }
        run++;
    }
    put_varint(analysis, run);
    area.runs_bytes = analysis->runs_bytes - area.runs_offset;
    analysis->areas[analysis->area_count++] = area;
}

static void set_areas(struct analysis *analysis, const uint8_t *pixels)
{
    analysis->area_count = analysis->runs_bytes = 0;
    analysis->mask_width = MASK_WIDTH;
    analysis->mask_height = MASK_HEIGHT;
    for (uint32_t c = 0; c < CLASSES; c++)
        add_area(analysis, pixels, c);
}

/* Stretches of pixels, each with some classes, none or several. */
static void draw_pixels(struct random_state *random, uint8_t *pixels, uint8_t classes)
{
    uint8_t value = 0;
    for (uint32_t i = 0; i < PIXELS; i++) {
        uint64_t drawn = random_next_u64(random);
        if (drawn % 9 == 0) /* of each class one pixel in four */
            value = (uint8_t)(drawn >> 16) & (uint8_t)(drawn >> 32) & classes;
        pixels[i] = value;
    }
}

static void test_areas_against_a_plain_count(void **state)
{
    (void)state;
    struct random_state random;
    uint8_t found[PIXELS], wanted[PIXELS];
    random_seed(&random, 5);
    for (int round = 0; round < 200; round++) {
        double sum = 0;
        unsigned present = 0;
        clear();
        draw_pixels(&random, found, round % 3 == 0 ? 0x3 : 0xf);
        draw_pixels(&random, wanted, round % 5 == 0 ? 0 : 0xe);
        set_areas(&answer_analysis, found);
        set_areas(&golden_analysis, wanted);
        compare(NULL);
        assert_int_equal(score.kind, SCORE_LABELS);
        for (uint32_t c = 0; c < CLASSES; c++) {
            uint32_t hits = 0, false_alarms = 0, misses = 0;
            for (uint32_t i = 0; i < PIXELS; i++) {
                bool in_answer = found[i] >> c & 1, in_golden = wanted[i] >> c & 1;
                hits += in_answer && in_golden;
                false_alarms += in_answer && !in_golden;
                misses += in_golden && !in_answer;
            }
            expect_counts(c, hits, false_alarms, misses);
            present += hits + false_alarms + misses > 0;
            if (hits + false_alarms + misses > 0)
                sum += (double)hits / (hits + false_alarms + misses);
        }
        assert_true(fabs(score.accuracy - (present > 0 ? sum / present : 1)) < 1e-12);
    }
}

static void refuse(const char *text)
{
    struct error err;
    assert_int_equal(
        probe_score(&quarter, &whole, CAMERA_WIDTH, CAMERA_HEIGHT, NULL, CLASSES, &score, &err),
        -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, text));
}

static void test_what_cannot_be_compared(void **state)
{
    (void)state;
    uint8_t pixels[PIXELS];
    memset(pixels, 1, sizeof pixels);
    clear();
    set_areas(&golden_analysis, pixels);
    refuse("boxes cannot be compared with areas");
    set_areas(&answer_analysis, pixels);
    compare(NULL);
    assert_true(score.accuracy == 1);
    answer_analysis.mask_width++;
    refuse("masks of 32x17 cannot be compared with those of 31x17");
    answer_analysis.mask_width--;
    golden_analysis.areas[0].runs_bytes = 0;
    refuse("an area has no mask");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes_on_the_cameras_pixels),
        cmocka_unit_test(test_areas_against_a_plain_count),
        cmocka_unit_test(test_what_cannot_be_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
