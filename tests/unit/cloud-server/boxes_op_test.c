/* The ops box_decode and box_nms, one behind the other in a plan, beside the heads and the suppression
 * that answer frames today: the same random output of a network, the same boxes in the same order. */
#include "analyse/head.h"
#include "base/random.h"
#include "device.h"
#include "graph/compose.h"
#include "ops/op.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CLASSES 5
#define BOXES_MAX 200
#define PIXELS_OFF_MAX 1e-3 /* of inputs of some hundred: the ops halve where the heads do not */

struct detector {
    int kind;
    const char *word;
    uint32_t width, height; /* of the network's input */
    struct shape output;
};

/* Numbers of 0..1, of which some are equal; sides of YOLOv8 in pixels. */
static void fill(const struct detector *detector, struct tensor *output)
{
    struct random_state random;
    float *data = output->data;
    random_seed(&random, 7);
    for (int64_t i = 0, count = shape_elements(&output->shape); i < count; i++)
        data[i] = (float)(floor(random_next_unit(&random) * 500) / 500);
    for (int64_t i = 0; detector->kind == HEAD_YOLOV8 && i < 4 * output->shape.dim[2]; i++)
        data[i] *= 100;
}

static struct plan *make_plan(const struct detector *detector, struct device *device, float score,
                              float iou)
{
    struct compose c;
    struct error err;
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    const int64_t size[] = { detector->height, detector->width };
    int lists[2][4], from = -1;
    compose_start(&c, "boxes", &err);
    from = compose_input(&c, "output", TENSOR_F32, &detector->output);
    for (int step = 0; step < 2; step++)
        for (int k = 0; k < 4; k++)
            lists[step][k] = graph_add_value(c.graph, "list", TENSOR_NONE, NULL, &err);
    int decode =
        graph_add_node(c.graph, op_find("box_decode", 0), "decode", &from, 1, lists[0], 4, &err);
    int nms = graph_add_node(c.graph, op_find("box_nms", 0), "nms", lists[0], 4, lists[1], 4, &err);
    const struct attribute of_decode[] = {
        COMPOSE_STRING("kind", detector->word), COMPOSE_INT("classes", CLASSES),
        COMPOSE_INTS("size", size, 2), COMPOSE_FLOAT("score", score), COMPOSE_INT("limit", 10000)
    };
    const struct attribute of_nms[] = { COMPOSE_FLOAT("iou", iou), COMPOSE_INT("limit", BOXES_MAX) };
    for (size_t i = 0; i < sizeof of_decode / sizeof *of_decode; i++)
        assert_true(graph_add_attribute(c.graph, decode, &of_decode[i], &err) >= 0);
    for (size_t i = 0; i < sizeof of_nms / sizeof *of_nms; i++)
        assert_true(graph_add_attribute(c.graph, nms, &of_nms[i], &err) >= 0);
    for (int k = 0; k < 4; k++)
        assert_true(graph_mark_output(c.graph, lists[1][k], &err) >= 0);
    if (device_compile(device, c.graph, &options, &plan, &err))
        fail_msg("%s: %s", detector->word, err.text);
    graph_free(&c.graph);
    return plan;
}

static void compare(const struct plan *plan, const struct nms_box *expected, size_t count)
{
    const float *boxes = plan_output(plan, 0)->data, *scores = plan_output(plan, 1)->data;
    const int32_t *classes = plan_output(plan, 2)->data;
    assert_int_equal(*(const int32_t *)plan_output(plan, 3)->data, count);
    for (size_t i = 0; i < count; i++) {
        const float corners[] = { expected[i].x1, expected[i].y1, expected[i].x2, expected[i].y2 };
        assert_int_equal(classes[i], expected[i].class_id);
        assert_float_equal(scores[i], expected[i].score, 1e-6);
        for (int k = 0; k < 4; k++)
            assert_float_equal(boxes[4 * i + (size_t)k], corners[k], PIXELS_OFF_MAX);
    }
}

static void check(const struct detector *detector, float score, float iou)
{
    struct card card = { 0 };
    struct device *device = NULL;
    struct head *head = NULL;
    struct error err;
    card.classes.count = CLASSES;
    card.input.width = detector->width;
    card.input.height = detector->height;
    card.head.kind = detector->kind;
    if (device_open(&device, "cpu:threads=1", &err))
        fail_msg("%s", err.text);
    struct plan *plan = make_plan(detector, device, score, iou);
    struct tensor output = *plan_input(plan, 0);
    const struct tensor *const outputs[] = { &output };
    fill(detector, &output);
    if (plan_run(plan, &err) || head_open(&head, &card, outputs, 1, &err)) {
        fail_msg("%s: %s", detector->word, err.text);
        return;
    }
    size_t count;
    nms_clear(head->nms);
    head->kind->find_boxes(head, score);
    const struct nms_box *boxes = nms_select(head->nms, iou, BOXES_MAX, &count);
    print_message("%s: %zu boxes\n", detector->word, count);
    assert_true(count > 10);
    compare(plan, boxes, count);
    head_close(&head);
    plan_free(&plan);
    device_close(&device);
}

static void test_heads(void **state)
{
    static const struct detector detectors[] = {
        { HEAD_YOLOX, "yolox", 416, 288, { 3, { 1, 2457, 5 + CLASSES } } },
        { HEAD_YOLOX, "yolox", 100, 65, { 3, { 1, 168, 5 + CLASSES } } },
        { HEAD_YOLOV8, "yolov8", 320, 320, { 3, { 1, 4 + CLASSES, 2100 } } },
        { HEAD_FASTESTDET, "fastestdet", 352, 352, { 4, { 1, 5 + CLASSES, 22, 22 } } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof detectors / sizeof *detectors; i++) {
        check(&detectors[i], 0.3f, 0.45f);
        check(&detectors[i], 0.7f, 0.1f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_heads) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
