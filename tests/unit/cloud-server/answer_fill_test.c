/* answer_fill: boxes on the camera's pixels; areas with their masks where the card asks for them, without where
 * it does not, though analyses always have them; what cannot be named is unknown. */
#include "ingest/answer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct answer_scratch scratch;

static const char *class_name(void *arg, uint32_t class_id)
{
    (void)arg;
    return class_id == 0 ? "road" : NULL;
}

static struct frame *make_frame(void)
{
    struct frame *frame = calloc(1, sizeof *frame);
    assert_non_null(frame);
    frame->number = 7;
    frame->fate = FATE_OK;
    frame->camera_width = 480;
    frame->camera_height = 360;
    frame->analysis.uncertainty = 0.25f;
    if (picture_create(&frame->picture, 120, 90, NULL) < 0)
        fail();
    return frame;
}

static void free_frame(struct frame *frame)
{
    picture_unref(&frame->picture);
    free(frame);
}

static void test_areas_with_and_without_masks(void **state)
{
    (void)state;
    struct answer_origin origin = {
        .session = 3, .stream = "gate", .model = "m", .class_name = class_name
    };
    struct frame *frame = make_frame();
    frame->analysis.area_count = 2;
    frame->analysis.areas[0] = (struct analysis_area){ 0, 0.75f, 0, 3 };
    frame->analysis.areas[1] = (struct analysis_area){ 1, 0.25f, 3, 0 }; /* there was no room for it */
    frame->analysis.mask_width = 16;
    frame->analysis.mask_height = 10;
    frame->analysis.runs_bytes = 3;
    memcpy(frame->analysis.runs, "\x28\x78\x00", 3);
    const Runespoor__Answer *answer = answer_fill(&scratch, frame, &origin);
    assert_int_equal(answer->n_areas, 2);
    assert_string_equal(answer->areas[0]->class_name, "road");
    assert_string_equal(answer->areas[1]->class_name, "unknown");
    assert_int_equal(answer->areas[0]->runs.len, 0);
    assert_int_equal(answer->areas[0]->mask_width, 0);
    assert_true(answer->uncertainty == 0.25f);
    origin.masks = true;
    answer = answer_fill(&scratch, frame, &origin);
    assert_int_equal(answer->areas[0]->runs.len, 3);
    assert_memory_equal(answer->areas[0]->runs.data, "\x28\x78\x00", 3);
    assert_int_equal(answer->areas[0]->mask_width, 16);
    assert_int_equal(answer->areas[1]->runs.len, 0);
    free_frame(frame);
}

static void test_boxes_on_the_cameras_pixels(void **state)
{
    (void)state;
    const struct answer_origin origin = { .stream = "gate", .model = "m", .class_name = class_name };
    struct frame *frame = make_frame();
    frame->analysis.object_count = 1;
    frame->analysis.objects[0] = (struct analysis_object){ 0, 0.5f, 10, 20, 30, 40 };
    const Runespoor__Answer *answer = answer_fill(&scratch, frame, &origin);
    assert_int_equal(answer->frame, 7);
    assert_int_equal(answer->n_objects, 1);
    assert_true(answer->objects[0]->x == 40 && answer->objects[0]->y == 80);
    assert_true(answer->objects[0]->width == 120 && answer->objects[0]->height == 160);
    free_frame(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_areas_with_and_without_masks),
        cmocka_unit_test(test_boxes_on_the_cameras_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
