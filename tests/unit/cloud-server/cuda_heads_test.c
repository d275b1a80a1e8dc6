/* Proves that heads whose first part is in the graph answer as those that read the network's output themselves: the
 * same random outputs, on the processors and on the emulated GPU, for one picture and for two together. */
#include "analyse/head_graph.h"
#include "base/random.h"
#include "cuda/cuda.h"
#include "device.h"
#include "graph/compose.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CLASSES 3
#define PICTURES 2
#define PIXELS_OFF_MAX 2e-3f /* of pictures of some hundred */
#define OFF_MAX 1e-5f

static char *class_names[] = { "person", "car", "dog" };

static const struct {
    const char *name;
    int kind;
    size_t outputs;
    struct shape shape; /* of one picture */
} cases[] = {
    { "yolox", HEAD_YOLOX, 1, { 3, { 1, 42, 5 + CLASSES } } },
    { "yolov8", HEAD_YOLOV8, 1, { 3, { 1, 4 + CLASSES, 61 } } },
    { "yolov8, turned", HEAD_YOLOV8, 1, { 3, { 1, 61, 4 + CLASSES } } },
    { "fastestdet", HEAD_FASTESTDET, 1, { 4, { 1, 5 + CLASSES, 4, 7 } } },
    { "segment", HEAD_SEGMENT, 1, { 4, { 1, CLASSES, 15, 31 } } },
    { "segment, apart", HEAD_SEGMENT, CLASSES, { 4, { 1, 2, 15, 31 } } },
};

static void must(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s", err->text);
}

static struct card card_of(int kind)
{
    struct card card = { .classes = { class_names, CLASSES } };
    card.input = (struct card_input){ .width = 64, .height = 32 };
    card.head = (struct card_head){ .kind = kind, .score = 0.5, .iou = 0.4, .objects_max = 12 };
    card.sample.score = 0.4;
    return card;
}

/* Networks that give what they are given. */
static struct plan *make_plan(struct device *device, const struct card *card, size_t which)
{
    struct compose c;
    struct error err = { 0 };
    struct plan *plan = NULL;
    const struct plan_options options = { .precision = PRECISION_F32 };
    int raw[CLASSES];
    struct shape shape = cases[which].shape;
    shape.dim[0] = PICTURES;
    compose_start(&c, "test", &err);
    for (size_t i = 0; i < cases[which].outputs; i++) {
        raw[i] = compose_op(&c, "Relu", compose_input(&c, "x", TENSOR_F32, &shape), -1);
        must(graph_mark_output(c.graph, raw[i], &err), &err);
    }
    must(c.rc, &err);
    must(head_graph_append(c.graph, card, raw, cases[which].outputs, &err), &err);
    must(device_compile(device, c.graph, &options, &plan, &err), &err);
    graph_free(&c.graph);
    return plan;
}

/* Of 0 to 1, some of them equal; sides of YOLOv8 in pixels. */
static void fill(const struct plan *plan, size_t which)
{
    struct random_state random;
    random_seed(&random, 11);
    for (size_t k = 0; k < cases[which].outputs; k++) {
        const struct tensor *input = plan_input(plan, k);
        float *data = input->data;
        for (int64_t i = 0, count = shape_elements(&input->shape); i < count; i++)
            data[i] = (float)(floor(random_next_unit(&random) * 300) / 300);
        bool turned = cases[which].shape.dim[2] == 4 + CLASSES;
        for (int64_t i = 0; cases[which].kind == HEAD_YOLOV8 && i < PICTURES * 61; i++)
            for (int64_t n = 0; n < 4; n++)
                data[turned ? i * (4 + CLASSES) + n : (i / 61 * (4 + CLASSES) + n) * 61 + i % 61] *=
                    30;
    }
}

/* A picture of a run: count tensors become those of it alone. */
static void see(const struct tensor *(*of)(const struct plan *, size_t), const struct plan *plan,
                size_t count, uint32_t place, struct tensor *one, const struct tensor **pointers)
{
    for (size_t i = 0; i < count; i++) {
        one[i] = *of(plan, i);
        one[i].shape.dim[0] = 1;
        one[i].data = (char *)one[i].data + tensor_bytes(&one[i]) * place;
        pointers[i] = &one[i];
    }
}

static void expect_alike(const struct analysis *is, const struct analysis *should)
{
    assert_int_equal(is->object_count, should->object_count);
    for (uint32_t i = 0; i < should->object_count; i++) {
        const struct analysis_object *a = &is->objects[i], *b = &should->objects[i];
        assert_int_equal(a->class_id, b->class_id);
        assert_true(fabsf(a->confidence - b->confidence) <= OFF_MAX);
        assert_true(fabsf(a->x - b->x) <= PIXELS_OFF_MAX && fabsf(a->y - b->y) <= PIXELS_OFF_MAX);
        assert_true(fabsf(a->width - b->width) <= PIXELS_OFF_MAX &&
                    fabsf(a->height - b->height) <= PIXELS_OFF_MAX);
    }
    assert_int_equal(is->area_count, should->area_count);
    assert_memory_equal(is->areas, should->areas, should->area_count * sizeof is->areas[0]);
    assert_int_equal(is->runs_bytes, should->runs_bytes);
    assert_memory_equal(is->runs, should->runs, should->runs_bytes);
    assert_int_equal(is->mask_width, should->mask_width);
    assert_int_equal(is->mask_height, should->mask_height);
    assert_true(fabsf(is->uncertainty - should->uncertainty) <= OFF_MAX);
}

static void check(struct device *device, size_t which)
{
    /* The picture does not fill the input; a mask is not of whole steps of the grid. */
    const struct placement placement = { 200, 90, 58, 26 };
    const struct card card = card_of(cases[which].kind);
    struct plan *plan = make_plan(device, &card, which);
    struct analysis *found = calloc(2, sizeof *found);
    struct tensor raw[CLASSES], reduced[HEAD_REDUCED_MAX];
    const struct tensor *of_raw[CLASSES], *of_reduced[HEAD_REDUCED_MAX];
    struct error err = { 0 };
    assert_non_null(found);
    fill(plan, which);
    must(plan_run(plan, &err), &err);
    for (uint32_t place = 0; place < PICTURES; place++) {
        struct head *whole = NULL, *behind = NULL;
        size_t count = plan_output_count(plan);
        see(plan_input, plan, cases[which].outputs, place, raw, of_raw);
        see(plan_output, plan, count, place, reduced, of_reduced);
        must(head_open(&whole, &card, of_raw, cases[which].outputs, &err), &err);
        must(head_open_reduced(&behind, &card, of_reduced, count, &err), &err);
        for (int sample = 0; sample < 2; sample++) {
            float score = (float)(sample ? card.sample.score : card.head.score);
            head_decode(whole, &placement, score, &found[0]);
            head_decode(behind, &placement, score, &found[1]);
            assert_true(found[0].object_count + found[0].area_count > 1);
            expect_alike(&found[1], &found[0]);
        }
        if (cases[which].kind == HEAD_SEGMENT) {
            uint8_t maps[2][40 * 20];
            head_label_map(whole, &placement, 40, 20, maps[0]);
            head_label_map(behind, &placement, 40, 20, maps[1]);
            assert_memory_equal(maps[0], maps[1], sizeof maps[0]);
        }
        head_close(&whole);
        head_close(&behind);
    }
    plan_free(&plan);
    free(found);
}

static void check_all(const char *spec)
{
    struct device *device;
    struct error err = { 0 };
    must(device_open(&device, spec, &err), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s: %s\n", spec, cases[i].name);
        check(device, i);
    }
    device_close(&device);
}

static void test_on_processors(void **state)
{
    (void)state;
    check_all("cpu:threads=1");
}

static void test_on_the_emulated_gpu(void **state)
{
    (void)state;
    check_all("cuda");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_on_processors),
                                        cmocka_unit_test(test_on_the_emulated_gpu) };
    device_add_class(&cuda_class);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
