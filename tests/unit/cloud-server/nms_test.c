/* Suppression against a plain sort and double loop, on random boxes of few classes with many equal
 * scores; and what must never come out: numbers that are not finite, boxes without an area. */
#include "analyse/nms.h"
#include "base/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BOXES_MAX 3000u

static int compare_boxes(const void *left, const void *right)
{
    const struct nms_box *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static double plain_overlap(const struct nms_box *a, const struct nms_box *b)
{
    double w = (double)fminf(a->x2, b->x2) - (double)fmaxf(a->x1, b->x1);
    double h = (double)fminf(a->y2, b->y2) - (double)fmaxf(a->y1, b->y1);
    if (w <= 0 || h <= 0)
        return 0;
    return w * h /
           (((double)a->x2 - a->x1) * (a->y2 - a->y1) + ((double)b->x2 - b->x1) * (b->y2 - b->y1) -
            w * h);
}

/* Leaves the selected boxes in front and gives their number. */
static size_t select_plainly(struct nms_box *boxes, size_t count, float iou, size_t boxes_max)
{
    struct nms_box *out = malloc((boxes_max + 1) * sizeof *out);
    assert_non_null(out);
    size_t kept = 0;
    qsort(boxes, count, sizeof *boxes, compare_boxes);
    if (count > NMS_CANDIDATES_MAX)
        count = NMS_CANDIDATES_MAX;
    for (size_t i = 0; i < count && kept < boxes_max; i++) {
        bool keep = true;
        for (size_t k = 0; k < kept; k++)
            if (out[k].class_id == boxes[i].class_id && (float)plain_overlap(&out[k], &boxes[i]) > iou)
                keep = false;
        if (keep)
            out[kept++] = boxes[i];
    }
    memcpy(boxes, out, kept * sizeof *out);
    free(out);
    return kept;
}

static void check_random(struct nms *nms, uint64_t seed, size_t count, float iou, size_t boxes_max)
{
    static struct nms_box boxes[BOXES_MAX];
    struct random_state random;
    random_seed(&random, seed);
    nms_clear(nms);
    for (size_t i = 0; i < count; i++) {
        struct nms_box *box = &boxes[i];
        box->x1 = (float)(random_next_unit(&random) * 200);
        box->y1 = (float)(random_next_unit(&random) * 200);
        box->x2 = box->x1 + 1 + (float)(random_next_unit(&random) * 60);
        box->y2 = box->y1 + 1 + (float)(random_next_unit(&random) * 60);
        box->score = (float)(random_next_u64(&random) % 50) / 50; /* many are equal */
        box->class_id = random_next_u64(&random) % 3;
        box->order = (uint32_t)i;
        nms_add(nms, box->class_id, box->score, box->x1, box->y1, box->x2, box->y2);
    }
    size_t found;
    const struct nms_box *selected = nms_select(nms, iou, boxes_max, &found);
    size_t expected = select_plainly(boxes, count, iou, boxes_max);
    assert_int_equal(found, expected);
    for (size_t i = 0; i < found; i++)
        assert_memory_equal(&selected[i], &boxes[i], sizeof boxes[i]);
}

static void test_equals_plain_selection(void **state)
{
    (void)state;
    struct nms *nms;
    assert_int_equal(nms_create(&nms, NULL), 0);
    const size_t counts[] = { 0,        1, 2, 3, 7, 100, NMS_CANDIDATES_MAX, NMS_CANDIDATES_MAX + 1,
                              BOXES_MAX };
    const float ious[] = { 0, 0.3f, 0.6f, 1 };
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (size_t i = 0; i < sizeof ious / sizeof ious[0]; i++) {
            check_random(nms, c * 10 + i, counts[c], ious[i], 300);
            check_random(nms, c * 10 + i, counts[c], ious[i], 1);
        }
    nms_destroy(&nms);
    assert_null(nms);
    nms_destroy(&nms);
}

static void test_takes_only_finite_boxes_with_an_area(void **state)
{
    (void)state;
    struct nms *nms;
    size_t count;
    assert_int_equal(nms_create(&nms, NULL), 0);
    const float bad[] = { NAN, INFINITY, -INFINITY };
    for (size_t i = 0; i < 3; i++) {
        nms_add(nms, 0, bad[i], 0, 0, 1, 1);
        nms_add(nms, 0, 0.5f, bad[i], 0, 1, 1);
        nms_add(nms, 0, 0.5f, 0, bad[i], 1, 1);
        nms_add(nms, 0, 0.5f, 0, 0, bad[i], 1);
        nms_add(nms, 0, 0.5f, 0, 0, 1, bad[i]);
    }
    nms_add(nms, 0, 0.5f, 1, 0, 1, 1);
    nms_add(nms, 0, 0.5f, 0, 2, 1, 1);
    nms_select(nms, 0.5f, 10, &count);
    assert_int_equal(count, 0);

    /* Areas beyond float's range still compare. */
    nms_clear(nms);
    nms_add(nms, 0, 0.9f, -3e38f, -3e38f, 3e38f, 3e38f);
    nms_add(nms, 0, 0.8f, -3e38f, -3e38f, 3e38f, 3e38f);
    nms_select(nms, 0.5f, 10, &count);
    assert_int_equal(count, 1);
    nms_destroy(&nms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_plain_selection),
        cmocka_unit_test(test_takes_only_finite_boxes_with_an_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
