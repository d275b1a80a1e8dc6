/* Every head on outputs made by hand: boxes placed where the layout's own formula puts them come
 * back in the picture's pixels; wrong shapes are refused; numbers that are not finite find nothing;
 * masks survive the way through run lengths; uncertainty is what head.h says of the same scores. */
#include "analyse/head.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CLASSES 3u

static char *class_names[] = { "person", "car", "dog" };

/* A head over outputs of the given shapes, input 64x32, on a picture of 128x64 that fills it. */
struct fixture {
    struct card card;
    struct tensor outputs[3];
    const struct tensor *pointers[3];
    size_t output_count;
    struct head *head;
    struct placement placement;
    struct analysis *analysis;
};

static void fixture_init(struct fixture *fixture, int kind)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->card.classes = (struct option_strings){ class_names, CLASSES };
    fixture->card.input = (struct card_input){ .width = 64, .height = 32 };
    fixture->card.head =
        (struct card_head){ .kind = kind, .score = 0.3, .iou = 0.5, .objects_max = 10 };
    fixture->placement = (struct placement){ 128, 64, 64, 32 };
    fixture->analysis = calloc(1, sizeof *fixture->analysis);
    assert_non_null(fixture->analysis);
}

static float *fixture_add_output(struct fixture *fixture, struct shape shape)
{
    struct tensor *output = &fixture->outputs[fixture->output_count];
    assert_int_equal(tensor_create(output, TENSOR_F32, &shape, NULL), 0);
    fixture->pointers[fixture->output_count++] = output;
    return output->data;
}

static int fixture_open(struct fixture *fixture, struct error *err)
{
    return head_open(&fixture->head, &fixture->card, fixture->pointers, fixture->output_count, err);
}

static void fixture_decode(struct fixture *fixture)
{
    head_decode(fixture->head, &fixture->placement, 0.3f, fixture->analysis);
}

static void fixture_finish(struct fixture *fixture)
{
    head_close(&fixture->head);
    for (size_t i = 0; i < fixture->output_count; i++)
        tensor_free(&fixture->outputs[i]);
    free(fixture->analysis);
}

static void assert_object(const struct analysis_object *object, uint32_t class_id, float confidence,
                          float x, float y, float width, float height)
{
    assert_int_equal(object->class_id, class_id);
    assert_float_equal(object->confidence, confidence, 1e-5);
    assert_float_equal(object->x, x, 1e-3);
    assert_float_equal(object->y, y, 1e-3);
    assert_float_equal(object->width, width, 1e-3);
    assert_float_equal(object->height, height, 1e-3);
}

/* 64x32: 8x4 cells of stride 8, 4x2 of 16, 2x1 of 32. */
#define YOLOX_ROWS (32 + 8 + 2)

static void set_yolox_row(float *data, size_t row, float dx, float dy, float width_cells,
                          float height_cells, float objectness, uint32_t class_id, float score)
{
    float *v = data + row * (5 + CLASSES);
    v[0] = dx;
    v[1] = dy;
    v[2] = logf(width_cells);
    v[3] = logf(height_cells);
    v[4] = objectness;
    v[5 + class_id] = score;
}

static void test_yolox_finds_placed_boxes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_YOLOX);
    float *data = fixture_add_output(&f, (struct shape){ 3, { 1, YOLOX_ROWS, 5 + CLASSES } });
    struct error err;
    assert_int_equal(fixture_open(&f, &err), 0);
    /* stride 8, cell (3, 2): centre (28, 20), 16x8 in the input. */
    set_yolox_row(data, 2 * 8 + 3, 0.5f, 0.5f, 2, 1, 0.9f, 1, 0.8f);
    /* the same place and class again, weaker: suppressed. */
    set_yolox_row(data, 2 * 8 + 4, -0.5f, 0.5f, 2, 1, 0.8f, 1, 0.8f);
    /* the same place, other class: stays. */
    set_yolox_row(data, 1 * 8 + 3, 0.5f, 1.5f, 2, 1, 0.7f, 2, 0.9f);
    /* stride 16, cell (3, 1): centre (56, 24), 32x32: clipped at the right and at the bottom. */
    set_yolox_row(data, 32 + 1 * 4 + 3, 0.5f, 0.5f, 2, 2, 1, 0, 0.95f);
    /* stride 32, cell (1, 0), below the threshold by its class score only. */
    set_yolox_row(data, 32 + 8 + 1, 0.5f, 0.5f, 1, 1, 0.9f, 0, 0.3f);
    fixture_decode(&f);
    assert_int_equal(f.analysis->object_count, 3);
    assert_object(&f.analysis->objects[0], 0, 0.95f, 80, 16, 48, 48);
    assert_object(&f.analysis->objects[1], 1, 0.72f, 40, 32, 32, 16);
    assert_object(&f.analysis->objects[2], 2, 0.63f, 40, 32, 32, 16);

    /* Another picture size, letterboxed to the upper half: the factor changes, what lies below the
     * picture goes. */
    f.placement = (struct placement){ 640, 160, 64, 16 };
    fixture_decode(&f);
    assert_int_equal(f.analysis->object_count, 1);
    assert_object(&f.analysis->objects[0], 0, 0.95f, 400, 80, 240, 80);
    fixture_finish(&f);
}

static void test_yolox_reads_a_fourth_stride(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_YOLOX);
    float *data = fixture_add_output(&f, (struct shape){ 3, { 1, YOLOX_ROWS + 1, 5 + CLASSES } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    set_yolox_row(data, YOLOX_ROWS, 0.5f, 0.25f, 1, 0.5f, 1, 2, 0.5f);
    fixture_decode(&f);
    assert_int_equal(f.analysis->object_count, 1);
    assert_object(&f.analysis->objects[0], 2, 0.5f, 0, 0, 128, 64);
    fixture_finish(&f);
}

/* Boxes of the last dimension, or of the one before. */
static void check_yolov8(bool transposed)
{
    struct fixture f;
    enum { BOXES = 20 };
    fixture_init(&f, HEAD_YOLOV8);
    float *data = fixture_add_output(&f, transposed ? (struct shape){ 3, { 1, BOXES, 4 + CLASSES } }
                                                    : (struct shape){ 3, { 1, 4 + CLASSES, BOXES } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    const float boxes[][4 + CLASSES] = {
        { 28, 20, 16, 8, 0.1f, 0.72f, 0.2f }, /* found */
        { 29, 20, 16, 8, 0, 0.70f, 0 },       /* suppressed by it */
        { 28, 20, 16, 8, 0, 0, 0.63f },       /* other class */
        { 4, 4, 16, 16, 0.29f, 0.2f, 0.1f },  /* below the threshold */
        { 4, 4, 16, 16, 0.5f, 0.2f, 0.1f },   /* clipped at the left and at the top */
        { 40, 10, -4, 8, 0.9f, 0, 0 },        /* no width */
        { 40, 10, 4, 8, NAN, 0, 0 },          /* not finite … */
        { 40, 10, 4, 8, 0, INFINITY, 0 },     /* … in any place */
        { NAN, 10, 4, 8, 0.9f, 0, 0 },        { 40, 10, 4, INFINITY, 0.9f, 0, 0 },
    };
    for (size_t n = 0; n < sizeof boxes / sizeof boxes[0]; n++)
        for (size_t k = 0; k < 4 + CLASSES; k++)
            data[transposed ? n * (4 + CLASSES) + k : k * BOXES + n] = boxes[n][k];
    fixture_decode(&f);
    assert_int_equal(f.analysis->object_count, 3);
    assert_object(&f.analysis->objects[0], 1, 0.72f, 40, 32, 32, 16);
    assert_object(&f.analysis->objects[1], 2, 0.63f, 40, 32, 32, 16);
    assert_object(&f.analysis->objects[2], 0, 0.5f, 0, 0, 24, 24);
    fixture_finish(&f);
}

static void test_yolov8_finds_placed_boxes(void **state)
{
    (void)state;
    check_yolov8(false);
    check_yolov8(true);
}

static void test_fastestdet_finds_placed_boxes(void **state)
{
    (void)state;
    struct fixture f;
    enum { ROWS = 4, COLUMNS = 8, CELLS = ROWS * COLUMNS };
    fixture_init(&f, HEAD_FASTESTDET);
    float *data = fixture_add_output(&f, (struct shape){ 4, { 1, 5 + CLASSES, ROWS, COLUMNS } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    float *cell = data + 2 * COLUMNS + 3; /* centre (3.5, 2.5) cells = (28, 20) */
    cell[0] = 0.8f;
    cell[1 * CELLS] = atanhf(0.5f);
    cell[2 * CELLS] = atanhf(0.5f);
    cell[3 * CELLS] = -logf(3); /* sigmoid 0.25: 16 pixels */
    cell[4 * CELLS] = -logf(3); /* 8 pixels */
    cell[6 * CELLS] = 0.5f;
    cell = data + 1; /* objectness below 0 makes the score NaN */
    cell[0] = -0.5f;
    cell[5 * CELLS] = 0.9f;
    cell = data + 2;
    cell[0] = 0.9f;
    cell[1 * CELLS] = NAN;
    cell[5 * CELLS] = 0.9f;
    fixture_decode(&f);
    assert_int_equal(f.analysis->object_count, 1);
    assert_object(&f.analysis->objects[0], 1, powf(0.8f, 0.6f) * powf(0.5f, 0.4f), 40, 32, 32, 16);
    fixture_finish(&f);
}

static void test_not_finite_rows_find_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_YOLOX);
    float *data = fixture_add_output(&f, (struct shape){ 3, { 1, YOLOX_ROWS, 5 + CLASSES } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    const float bad[] = { NAN, INFINITY, -INFINITY };
    size_t row = 0;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 6; k++, row++) {
            set_yolox_row(data, row, 0, 0, 1, 1, 0.9f, 0, 0.9f);
            data[row * (5 + CLASSES) + k] = bad[i];
        }
    set_yolox_row(data, row++, 0, 0, 1, 1, 0.9f, 0, 0.9f);
    data[(row - 1) * (5 + CLASSES) + 2] = 1e4f; /* exp overflows */
    fixture_decode(&f);
    /* exp(-inf) = 0 is finite, but such a box has no area. */
    assert_int_equal(f.analysis->object_count, 0);
    for (size_t i = 0; i < YOLOX_ROWS * (5 + CLASSES); i++)
        data[i] = NAN;
    fixture_decode(&f);
    assert_int_equal(f.analysis->object_count, 0);
    fixture_finish(&f);
}

static void test_objects_are_bounded_and_sorted(void **state)
{
    (void)state;
    struct fixture f;
    enum { BOXES = 5000 };
    fixture_init(&f, HEAD_YOLOV8);
    f.card.head.objects_max = ANALYSIS_OBJECTS_MAX;
    f.card.head.iou = 1;
    float *data = fixture_add_output(&f, (struct shape){ 3, { 1, 4 + CLASSES, BOXES } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    for (size_t n = 0; n < BOXES; n++) {
        data[n] = 32;
        data[BOXES + n] = 16;
        data[2 * BOXES + n] = data[3 * BOXES + n] = 8;
        data[4 * BOXES + n] = 0.4f + (float)(n * 7 % BOXES) / BOXES; /* up to 1.4: shown as 1 */
    }
    fixture_decode(&f);
    assert_int_equal(f.analysis->object_count, ANALYSIS_OBJECTS_MAX);
    assert_float_equal(f.analysis->objects[0].confidence, 1, 0);
    for (size_t i = 1; i < ANALYSIS_OBJECTS_MAX; i++)
        assert_true(f.analysis->objects[i].confidence <= f.analysis->objects[i - 1].confidence);
    fixture_finish(&f);
}

#define SCORE 0.4f /* threshold of the tests of uncertainty */

/* Boxes of one class beside each other, with these scores; gives the uncertainty. */
static float doubt_boxes(const float *scores, size_t count, uint32_t objects)
{
    struct fixture f;
    enum { BOXES = 8 };
    fixture_init(&f, HEAD_YOLOV8);
    float *data = fixture_add_output(&f, (struct shape){ 3, { 1, BOXES, 4 + CLASSES } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    for (size_t n = 0; n < count; n++)
        memcpy(data + n * (4 + CLASSES), (float[]){ 4 + 8 * (float)n, 16, 6, 6, scores[n], 0, 0 },
               7 * sizeof *data);
    head_decode(f.head, &f.placement, SCORE, f.analysis);
    assert_int_equal(f.analysis->object_count, objects);
    float uncertainty = f.analysis->uncertainty;
    fixture_finish(&f);
    return uncertainty;
}

static void test_boxes_are_as_uncertain_as_their_scores(void **state)
{
    (void)state;
    assert_float_equal(doubt_boxes(NULL, 0, 0), 0, 0);
    assert_float_equal(doubt_boxes((float[]){ 1.2f, 1 }, 2, 2), 0, 0);
    /* At the threshold: right and wrong a half, spread a half. */
    assert_float_equal(doubt_boxes((float[]){ 0.4f }, 1, 1), (0.5 + 0.5) / (1.5 + 0.5), 1e-5);
    /* Half way to certainty: wrong 1/8 and right 7/8 of each. */
    const double spread = sqrt(7.0 / 64);
    assert_float_equal(doubt_boxes((float[]){ 0.7f }, 1, 1), (0.125 + spread) / (1.875 + spread),
                       1e-5);
    assert_float_equal(doubt_boxes((float[]){ 0.7f, 0.7f, 0.7f, 0.7f }, 4, 4),
                       (0.5 + 2 * spread) / (7.5 + 2 * spread), 1e-5);
    /* Nearly found, half way to the threshold: missed with 1/8, and of less than one box. */
    assert_float_equal(doubt_boxes((float[]){ 0.2f }, 1, 0), (0.125 + spread) / (1 + spread), 1e-5);
    assert_float_equal(doubt_boxes((float[]){ 0.7f, 0.2f }, 2, 1),
                       (0.25 + sqrt(2) * spread) / (2 + sqrt(2) * spread), 1e-5);
    /* Below HEAD_NEAR_SHARE of the threshold, nothing. */
    assert_float_equal(doubt_boxes((float[]){ 0.079f }, 1, 0), 0, 0);
    assert_true(doubt_boxes((float[]){ 0.081f }, 1, 0) > 0);
}

static void test_only_what_may_be_an_object_is_doubted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_YOLOV8);
    f.card.head.objects_max = 1;
    float *data = fixture_add_output(&f, (struct shape){ 3, { 1, 10, 4 + CLASSES } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    const float boxes[][4 + CLASSES] = {
        { 28, 10, 16, 8, 0, 0.7f, 0 }, /* found */
        { 29, 10, 16, 8, 0, 0.2f, 0 }, /* nearly, but the same one */
        { 28, 26, 16, 8, 0.6f, 0, 0 }, /* in the padding … */
        { 48, 26, 16, 8, 0.2f, 0, 0 }, /* … both */
        { 8, 10, 8, 8, 0, 0.6f, 0 },   /* one more than the card wants */
        { 50, 10, 8, 8, NAN, 0, 0 },
    };
    for (size_t n = 0; n < sizeof boxes / sizeof boxes[0]; n++)
        memcpy(data + n * (4 + CLASSES), boxes[n], sizeof boxes[n]);
    f.placement = (struct placement){ 128, 32, 64, 16 };
    head_decode(f.head, &f.placement, SCORE, f.analysis);
    assert_int_equal(f.analysis->object_count, 1);
    assert_float_equal(f.analysis->uncertainty, doubt_boxes((float[]){ 0.7f }, 1, 1), 1e-6);

    data[4 + 1] = 1; /* at the highest threshold that can be */
    head_decode(f.head, &f.placement, 1, f.analysis);
    assert_int_equal(f.analysis->object_count, 1);
    assert_true(f.analysis->uncertainty > 0 && f.analysis->uncertainty < 1);
    fixture_finish(&f);
}

/* So many candidates that those nearly found would fill the places of those found. */
static void test_near_boxes_take_no_place_of_found_ones(void **state)
{
    (void)state;
    struct fixture f;
    enum { BOXES = 900, FOUND = 20 };
    fixture_init(&f, HEAD_YOLOV8);
    f.card.head.objects_max = FOUND + 1;
    f.card.head.iou = 1;
    float *data = fixture_add_output(&f, (struct shape){ 3, { 1, BOXES, 4 + CLASSES } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    for (size_t n = 0; n < BOXES; n++)
        memcpy(data + n * (4 + CLASSES), (float[]){ 32, 16, 8, 8, n % 45 == 7 ? 1 : 0.2f, 0, 0 },
               7 * sizeof *data);
    head_decode(f.head, &f.placement, SCORE, f.analysis);
    assert_int_equal(f.analysis->object_count, FOUND);
    /* Of the others, the objects that are left and HEAD_NEAR_MAX more. */
    const double near = (HEAD_NEAR_MAX + 1) / 8.0, spread = sqrt((HEAD_NEAR_MAX + 1) * 7.0 / 64);
    assert_float_equal(f.analysis->uncertainty, (near + spread) / (2 * FOUND + near + spread), 1e-4);
    fixture_finish(&f);
}

/* Undoes run lengths into 0 and 1. Every run must fit, and their sum must be count. */
static void read_runs(const uint8_t *runs, size_t bytes, uint8_t *mask, size_t count)
{
    size_t at = 0, pixel = 0;
    for (uint8_t value = 0; at < bytes; value ^= 1) {
        size_t length = 0;
        for (unsigned shift = 0;; shift += 7) {
            assert_true(at < bytes && shift < 35);
            length |= (size_t)(runs[at] & 0x7f) << shift;
            if (!(runs[at++] & 0x80))
                break;
        }
        assert_true(length <= count - pixel);
        memset(mask + pixel, value, length);
        pixel += length;
    }
    assert_int_equal(pixel, count);
}

enum { MASK_WIDTH = 32, MASK_HEIGHT = 16, MASK_PIXELS = MASK_WIDTH * MASK_HEIGHT };

static void test_segment_gives_shares_and_masks(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_SEGMENT);
    float *data =
        fixture_add_output(&f, (struct shape){ 4, { 1, CLASSES, MASK_HEIGHT, MASK_WIDTH } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    uint8_t labels[MASK_PIXELS], mask[MASK_PIXELS];
    size_t counts[CLASSES] = { 0 };
    for (size_t i = 0; i < MASK_PIXELS; i++) {
        labels[i] = i % MASK_WIDTH < 10 ? 0 : (i * i / 7) % 3 == 1 ? 1 : 2;
        for (size_t c = 0; c < CLASSES; c++)
            data[c * MASK_PIXELS + i] = c == labels[i] ? 2.5f : -1.0f * (float)c;
        counts[labels[i]]++;
    }
    fixture_decode(&f);
    const struct analysis *a = f.analysis;
    assert_int_equal(a->object_count, 0);
    assert_int_equal(a->area_count, CLASSES);
    assert_int_equal(a->mask_width, MASK_WIDTH);
    assert_int_equal(a->mask_height, MASK_HEIGHT);
    for (uint32_t c = 0; c < CLASSES; c++) {
        assert_int_equal(a->areas[c].class_id, c);
        assert_float_equal(a->areas[c].share, (float)counts[c] / MASK_PIXELS, 1e-6);
        read_runs(a->runs + a->areas[c].runs_offset, a->areas[c].runs_bytes, mask, MASK_PIXELS);
        for (size_t i = 0; i < MASK_PIXELS; i++)
            assert_int_equal(mask[i], labels[i] == c);
    }
    assert_int_equal(a->areas[2].runs_offset + a->areas[2].runs_bytes, a->runs_bytes);
    fixture_finish(&f);
}

static void test_segment_leaves_out_the_padding(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_SEGMENT);
    float *data =
        fixture_add_output(&f, (struct shape){ 4, { 1, CLASSES, MASK_HEIGHT, MASK_WIDTH } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    /* The picture covers 40x32 of 64x32; class 1 is right of column 15 of the map. */
    f.placement = (struct placement){ 80, 64, 40, 32 };
    for (size_t i = 0; i < MASK_PIXELS; i++)
        data[MASK_PIXELS + i] = i % MASK_WIDTH >= 15 ? 1 : -1;
    fixture_decode(&f);
    assert_int_equal(f.analysis->mask_width, 20);
    assert_int_equal(f.analysis->mask_height, MASK_HEIGHT);
    assert_int_equal(f.analysis->area_count, 2);
    assert_float_equal(f.analysis->areas[0].share, 0.75f, 1e-6);
    assert_float_equal(f.analysis->areas[1].share, 0.25f, 1e-6);
    assert_true(f.analysis->areas[1].runs_bytes > 0);

    /* Pixels whose best score is not finite belong to no class. */
    for (size_t i = 0; i < MASK_PIXELS; i++)
        data[MASK_PIXELS + i] = INFINITY;
    for (size_t i = 0; i < MASK_PIXELS / 2; i++)
        data[i] = data[MASK_PIXELS + i] = NAN;
    fixture_decode(&f);
    assert_int_equal(f.analysis->area_count, 0);
    fixture_finish(&f);
}

static void test_segment_reads_an_output_per_class(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_SEGMENT);
    f.card.classes.count = 2;
    float *drivable = fixture_add_output(&f, (struct shape){ 4, { 1, 2, MASK_HEIGHT, MASK_WIDTH } });
    float *lane = fixture_add_output(&f, (struct shape){ 4, { 1, 2, MASK_HEIGHT, MASK_WIDTH } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    for (size_t i = 0; i < MASK_PIXELS; i++) {
        drivable[MASK_PIXELS + i] = i >= MASK_PIXELS / 2 ? 1 : -1;
        lane[MASK_PIXELS + i] = i >= MASK_PIXELS - MASK_PIXELS / 4 ? 1 : -1; /* inside the other */
    }
    fixture_decode(&f);
    const struct analysis *a = f.analysis;
    uint8_t mask[MASK_PIXELS];
    assert_int_equal(a->area_count, 2);
    for (uint32_t c = 0; c < 2; c++) {
        assert_int_equal(a->areas[c].class_id, c);
        assert_float_equal(a->areas[c].share, c == 0 ? 0.5f : 0.25f, 1e-6);
        read_runs(a->runs + a->areas[c].runs_offset, a->areas[c].runs_bytes, mask, MASK_PIXELS);
        for (size_t i = 0; i < MASK_PIXELS; i++)
            assert_int_equal(mask[i], (c == 0 ? drivable : lane)[MASK_PIXELS + i] > 0);
    }
    fixture_finish(&f);
}

static void fill_plane(float *data, size_t plane, size_t first, size_t count, float value)
{
    for (size_t i = first; i < first + count; i++)
        data[plane * MASK_PIXELS + i] = value;
}

static void test_areas_are_as_uncertain_as_their_pixels(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_SEGMENT);
    float *data =
        fixture_add_output(&f, (struct shape){ 4, { 1, CLASSES, MASK_HEIGHT, MASK_WIDTH } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    /* Class 0 in the upper three quarters, certain; class 1 below against class 2, as 3 to 1. */
    fill_plane(data, 0, 0, 3 * MASK_PIXELS / 4, 30);
    fill_plane(data, 0, 3 * MASK_PIXELS / 4, MASK_PIXELS / 4, -30);
    fill_plane(data, 1, 3 * MASK_PIXELS / 4, MASK_PIXELS / 4, logf(3));
    fixture_decode(&f);
    assert_float_equal(f.analysis->uncertainty, (0 + 0.25) / 2, 1e-5);
    fill_plane(data, 0, 0, 3 * MASK_PIXELS / 4, logf(2)); /* against two of e^0 */
    fixture_decode(&f);
    assert_float_equal(f.analysis->uncertainty, (0.5 + 0.25) / 2, 1e-5);

    /* Only the part that shows the picture: three quarters of the mask's height. */
    f.placement = (struct placement){ 64, 24, 64, 24 };
    fixture_decode(&f);
    assert_float_equal(f.analysis->uncertainty, 0.5, 1e-5);

    /* Planes that are not finite count as none; pixels without a label not at all. */
    fill_plane(data, 2, 0, MASK_PIXELS, NAN);
    fixture_decode(&f);
    assert_float_equal(f.analysis->uncertainty, 1.0 / 3, 1e-5);
    fill_plane(data, 0, 0, MASK_PIXELS, NAN);
    fixture_decode(&f);
    assert_int_equal(f.analysis->area_count, 0);
    assert_float_equal(f.analysis->uncertainty, 0, 0);
    fixture_finish(&f);
}

static void test_areas_of_their_own_outputs_may_be_nearly_found(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD_SEGMENT);
    f.card.classes.count = 2;
    float *drivable = fixture_add_output(&f, (struct shape){ 4, { 1, 2, MASK_HEIGHT, MASK_WIDTH } });
    float *lane = fixture_add_output(&f, (struct shape){ 4, { 1, 2, MASK_HEIGHT, MASK_WIDTH } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    fill_plane(drivable, 0, 0, MASK_PIXELS, 30);
    fill_plane(lane, 0, 0, MASK_PIXELS, 30);
    fixture_decode(&f);
    assert_float_equal(f.analysis->uncertainty, 0, 1e-6);
    /* A quarter of drivable is found with 0.75, another quarter not with 0.25. */
    fill_plane(drivable, 0, 0, MASK_PIXELS / 2, 0);
    fill_plane(drivable, 1, 0, MASK_PIXELS / 4, logf(3));
    fill_plane(drivable, 1, MASK_PIXELS / 4, MASK_PIXELS / 4, -logf(3));
    fixture_decode(&f);
    assert_int_equal(f.analysis->area_count, 1);
    assert_float_equal(f.analysis->uncertainty, (0.25 + 0.25) / 1.25, 1e-5);
    /* The lane has no pixel, but one that was near. */
    lane[0] = 0;
    lane[MASK_PIXELS] = -logf(2);
    fixture_decode(&f);
    assert_float_equal(f.analysis->uncertainty, (0.4 + 1.0 / 3) / 2, 1e-5);
    lane[MASK_PIXELS] = -logf(20); /* not near */
    lane[MASK_PIXELS + HEAD_GRID_STEP] = NAN;
    fixture_decode(&f);
    assert_float_equal(f.analysis->uncertainty, 0.4, 1e-5);
    fixture_finish(&f);
}

static void test_segment_masks_without_room_are_left_out(void **state)
{
    (void)state;
    struct fixture f;
    enum { WIDTH = 640, HEIGHT = 480, PIXELS = WIDTH * HEIGHT };
    fixture_init(&f, HEAD_SEGMENT);
    f.card.classes.count = 2;
    f.card.input = (struct card_input){ .width = WIDTH, .height = HEIGHT };
    f.placement = (struct placement){ WIDTH, HEIGHT, WIDTH, HEIGHT };
    float *data = fixture_add_output(&f, (struct shape){ 4, { 1, 2, HEIGHT, WIDTH } });
    assert_int_equal(fixture_open(&f, NULL), 0);
    for (size_t i = 0; i < PIXELS; i++) /* a chequered half: more runs than fit twice */
        data[PIXELS + i] = i < PIXELS / 3 && i % 2 ? 1 : -1;
    fixture_decode(&f);
    const struct analysis *a = f.analysis;
    uint8_t *mask = malloc(PIXELS);
    assert_non_null(mask);
    assert_int_equal(a->area_count, 2);
    assert_true(a->areas[0].runs_bytes > 0);
    assert_int_equal(a->areas[1].runs_bytes, 0);
    assert_float_equal(a->areas[1].share, 1.0f / 6, 1e-4);
    assert_true(a->runs_bytes <= ANALYSIS_RUNS_BYTES_MAX);
    read_runs(a->runs, a->areas[0].runs_bytes, mask, PIXELS);
    free(mask);
    fixture_finish(&f);
}

static void test_wrong_shapes_are_refused(void **state)
{
    (void)state;
    const struct {
        int kind;
        struct shape shape;
        const char *says;
    } cases[] = {
        { HEAD_YOLOX, { 3, { 1, YOLOX_ROWS, 4 + CLASSES } }, "1x42x8" },
        { HEAD_YOLOX, { 3, { 1, YOLOX_ROWS - 1, 5 + CLASSES } }, "1x42x8" },
        { HEAD_YOLOX, { 3, { 2, YOLOX_ROWS, 5 + CLASSES } }, "2x42x8" },
        { HEAD_YOLOX, { 2, { YOLOX_ROWS, 5 + CLASSES } }, "42x8" },
        { HEAD_YOLOX, { 3, { 1, 32, 5 + CLASSES } }, "1x42x8" },
        { HEAD_YOLOV8, { 3, { 1, YOLOX_ROWS, 5 + CLASSES } }, "1x7xN" },
        { HEAD_YOLOV8, { 4, { 1, 4 + CLASSES, 4, 4 } }, "1x7xN" },
        { HEAD_FASTESTDET, { 4, { 1, 4 + CLASSES, 4, 8 } }, "1x8x(rows)x(columns)" },
        { HEAD_FASTESTDET, { 3, { 1, YOLOX_ROWS, 5 + CLASSES } }, "1x8x(rows)x(columns)" },
        { HEAD_SEGMENT, { 4, { 1, CLASSES + 1, 16, 32 } }, "1x3x(rows)x(columns)" },
        { HEAD_SEGMENT, { 4, { 1, CLASSES, 64, 32 } }, "at most 64x32" },
        { HEAD_SEGMENT, { 3, { 1, CLASSES, 16 } }, "1x3x(rows)x(columns)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        struct error err = { 0 };
        fixture_init(&f, cases[i].kind);
        fixture_add_output(&f, cases[i].shape);
        assert_int_equal(fixture_open(&f, &err), -ERROR_CONFIG);
        assert_null(f.head);
        if (!strstr(err.text, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].says);
        assert_non_null(strstr(err.text, head_words[cases[i].kind]));
        fixture_finish(&f);
    }
}

static void test_wrong_outputs_are_refused(void **state)
{
    (void)state;
    struct error err = { 0 };
    for (int kind = 0; kind < HEAD_KIND_COUNT; kind++) { /* too many outputs for any kind */
        struct fixture f;
        fixture_init(&f, kind);
        for (size_t i = 0; i < 2; i++)
            fixture_add_output(&f, (struct shape){ 3, { 1, YOLOX_ROWS, 5 + CLASSES } });
        assert_int_equal(fixture_open(&f, &err), -ERROR_CONFIG);
        fixture_finish(&f);
    }
    struct fixture f;
    fixture_init(&f, HEAD_YOLOX);
    assert_int_equal(fixture_open(&f, &err), -ERROR_UNSUPPORTED); /* none */
    struct shape shape = { 3, { 1, YOLOX_ROWS, 5 + CLASSES } };
    assert_int_equal(tensor_create(&f.outputs[0], TENSOR_I64, &shape, NULL), 0);
    f.pointers[0] = &f.outputs[0];
    f.output_count = 1;
    assert_int_equal(fixture_open(&f, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "f32"));
    fixture_finish(&f);
}

static void test_words_follow_the_table(void **state)
{
    (void)state;
    assert_string_equal(head_words[HEAD_YOLOV8], "yolov8");
    assert_string_equal(head_words[HEAD_SEGMENT], "segment");
    assert_null(head_words[HEAD_KIND_COUNT]);
    assert_true(head_finds_areas(HEAD_SEGMENT));
    assert_false(head_finds_areas(HEAD_FASTESTDET));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yolox_finds_placed_boxes),
        cmocka_unit_test(test_yolox_reads_a_fourth_stride),
        cmocka_unit_test(test_yolov8_finds_placed_boxes),
        cmocka_unit_test(test_fastestdet_finds_placed_boxes),
        cmocka_unit_test(test_not_finite_rows_find_nothing),
        cmocka_unit_test(test_objects_are_bounded_and_sorted),
        cmocka_unit_test(test_boxes_are_as_uncertain_as_their_scores),
        cmocka_unit_test(test_only_what_may_be_an_object_is_doubted),
        cmocka_unit_test(test_near_boxes_take_no_place_of_found_ones),
        cmocka_unit_test(test_segment_gives_shares_and_masks),
        cmocka_unit_test(test_segment_leaves_out_the_padding),
        cmocka_unit_test(test_segment_reads_an_output_per_class),
        cmocka_unit_test(test_areas_are_as_uncertain_as_their_pixels),
        cmocka_unit_test(test_areas_of_their_own_outputs_may_be_nearly_found),
        cmocka_unit_test(test_segment_masks_without_room_are_left_out),
        cmocka_unit_test(test_wrong_shapes_are_refused),
        cmocka_unit_test(test_wrong_outputs_are_refused),
        cmocka_unit_test(test_words_follow_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
