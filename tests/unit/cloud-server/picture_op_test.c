/* Planes read by a graph beside the product's own way, which is swscale with bytes in between: a real picture,
 * shrunk and grown, in both plane formats, with padding and with rows longer than the picture. Where
 * they differ by more than rounding, one of them has size, place, siting, matrix or range wrong. */
#include "analyse/planes.h"
#include "analyse/prepare.h"
#include "device.h"
#include "graph/compose.h"
#include "media/record.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SAMPLE "models/street_det/sample.jpg" /* 768x432 */
/* Of 255. swscale ends in bytes, which is half a level at most and a quarter on average; its weights of
 * 12 and 14 bits are the rest. Measured: 0.26 on average, 0.83 at most. */
#define LEVELS_MEAN_MAX 0.3
#define LEVELS_MAX 1.0

static struct picture *sample;

/* In memory as the decoder's. */
static int open_sample(void **state)
{
    struct picture_pool *pool = NULL;
    struct picture *read = NULL;
    struct picture_view from, to;
    struct error err;
    (void)state;
    if (picture_read_file(&read, SAMPLE, &err))
        fail_msg("%s", err.text);
    picture_get_view(read, &from);
    if (picture_pool_create(&pool, from.width, from.height, 1, &err) ||
        picture_pool_take(pool, &sample, &err))
        fail_msg("%s", err.text);
    picture_get_view(sample, &to);
    for (uint32_t plane = 0; plane < 3; plane++)
        for (uint32_t y = 0; y < (plane ? (from.height + 1) / 2 : from.height); y++)
            memcpy(to.plane[plane] + y * to.stride[plane], from.plane[plane] + y * from.stride[plane],
                   plane ? (from.width + 1) / 2 : from.width);
    picture_unref(&read);
    picture_pool_release(&pool);
    return 0;
}

static int close_sample(void **state)
{
    (void)state;
    picture_unref(&sample);
    return 0;
}

/* U and V of an I420 picture in turn. The caller frees it. */
static uint8_t *interleave(const struct picture_view *from, struct picture_view *to)
{
    size_t width = (from->width + 1) / 2, height = (from->height + 1) / 2;
    uint8_t *memory = malloc(2 * width * height);
    assert_non_null(memory);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < 2 * width; x++)
            memory[2 * width * y + x] = from->plane[1 + x % 2][y * from->stride[1 + x % 2] + x / 2];
    *to = *from;
    to->format = PIXEL_NV12;
    to->plane[1] = memory;
    to->stride[1] = (uint32_t)(2 * width);
    return memory;
}

/* A network that hands its input on, with what reads planes in front. */
static struct graph *make_graph(const struct card_input *input, const struct picture_view *view,
                                enum planes_way way)
{
    struct graph *whole = NULL;
    struct compose c;
    struct error err;
    compose_start(&c, "mirror", &err);
    int prepared =
        compose_input(&c, "input", TENSOR_F32, COMPOSE_SHAPE(1, 3, input->height, input->width));
    compose_output(&c, prepared, "prepared");
    if (c.rc || planes_embed(&whole, c.graph, input, view, way, 1, &err))
        fail_msg("%s", err.text);
    graph_free(&c.graph);
    return whole;
}

/* In levels of 255; tells what it found. */
static void compare(const struct card_input *input, const struct placement *placement,
                    const float *found, const float *expected)
{
    const double deviation[] = { input->deviation.r, input->deviation.g, input->deviation.b };
    double sum = 0, largest = 0;
    size_t pixels = (size_t)input->width * input->height;
    for (size_t i = 0; i < 3 * pixels; i++) {
        size_t colour = input->colour == COLOUR_BGR ? 2 - i / pixels : i / pixels;
        double levels =
            fabs((double)found[i] - (double)expected[i]) * input->divisor * deviation[colour];
        bool inside = i % input->width < placement->inner_width &&
                      i % pixels / input->width < placement->inner_height;
        if (!inside)
            assert_true(levels < 1e-3);
        sum += levels;
        largest = fmax(largest, levels);
    }
    print_message("%ux%u into %ux%u of %ux%u: %.3f levels on average, %.2f at most\n",
                  placement->picture_width, placement->picture_height, placement->inner_width,
                  placement->inner_height, input->width, input->height,
                  sum / (3.0 * (double)pixels), largest);
    assert_true(sum / (3.0 * (double)pixels) <= LEVELS_MEAN_MAX && largest <= LEVELS_MAX);
}

static void check_way(struct card_input input, const struct picture_view *view, enum planes_way way)
{
    struct prepare *prepare = NULL;
    struct placement placement = { 0 };
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct error err;
    struct plan_options options = { .precision = PRECISION_F32 };
    struct graph *graph = make_graph(&input, view, way);
    float *expected = malloc(3 * (size_t)input.width * input.height * sizeof *expected);
    assert_non_null(expected);
    if (prepare_create(&prepare, &input, &err) || device_open(&device, "cpu:threads=1", &err) ||
        device_compile(device, graph, &options, &plan, &err))
        fail_msg("%s", err.text);
    if (planes_put(view, 0, way, plan, &err))
        fail_msg("%s", err.text);
    if (plan_run(plan, &err) || prepare_run(prepare, view, expected, &placement, &err))
        fail_msg("%s", err.text);
    compare(&input, &placement, plan_output(plan, 0)->data, expected);
    plan_free(&plan);
    device_close(&device);
    prepare_destroy(&prepare);
    graph_free(&graph);
    free(expected);
}

static void check(struct card_input input, const struct picture_view *view)
{
    check_way(input, view, PLANES_PACKED);
    check_way(input, view, PLANES_IN_PLACE);
}

static const struct card_input plain = {
    .fit = FIT_LETTERBOX, .pad = 114, .divisor = 255, .deviation = { 1, 1, 1 }
};

static struct card_input of_size(uint32_t width, uint32_t height)
{
    struct card_input input = plain;
    input.width = width;
    input.height = height;
    return input;
}

static void test_sizes(void **state)
{
    struct picture_view view;
    (void)state;
    picture_get_view(sample, &view);
    check(of_size(512, 384), &view); /* the detector that comes with the product */
    check(of_size(416, 416), &view);
    check(of_size(768, 432), &view); /* as it is */
    check(of_size(97, 83), &view);
    check(of_size(1000, 1000), &view);
    view.width = 501; /* a part of it, with odd sides and rows that go on */
    view.height = 243;
    check(of_size(352, 352), &view);
}

static void test_formats_and_colours(void **state)
{
    struct picture_view view, nv12;
    struct card_input input = of_size(416, 416);
    (void)state;
    picture_get_view(sample, &view);
    uint8_t *memory = interleave(&view, &nv12);
    check_way(input, &nv12, PLANES_PACKED);
    free(memory);
    view.matrix = view.matrix == MATRIX_BT601 ? MATRIX_BT709 : MATRIX_BT601;
    view.full_range = !view.full_range;
    input.fit = FIT_STRETCH;
    input.colour = COLOUR_BGR;
    input.mean = (struct card_channels){ 0.485, 0.456, 0.406 };
    input.deviation = (struct card_channels){ 0.229, 0.224, 0.225 };
    check(input, &view);
}

/* In place only what a plan takes for its own, and only rows that end in the memory. */
static void test_ways(void **state)
{
    struct picture_view view, other;
    (void)state;
    picture_get_view(sample, &view);
    const uint8_t *end = view.plane[2] + (size_t)view.stride[2] * view.height / 2;
    assert_int_equal(planes_find_way(&view, end), PLANES_IN_PLACE);
    assert_int_equal(planes_find_way(&view, end - 1), PLANES_PACKED);
    other = view;
    other.plane[1] += 32;
    assert_int_equal(planes_find_way(&other, end), PLANES_PACKED);
    other = view;
    other.stride[0] += 64;
    assert_true(planes_alike(&view, &other, PLANES_PACKED));
    assert_false(planes_alike(&view, &other, PLANES_IN_PLACE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_formats_and_colours),
        cmocka_unit_test(test_ways),
    };
    return cmocka_run_group_tests(tests, open_sample, close_sample);
}
