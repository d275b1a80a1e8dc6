/* Proves that a graph made for one picture gives each of several what it gives it alone, whatever its constants
 * say of one, and that what mixes pictures is refused by node. The product's networks and those of the test data
 * are held to it, too. */
#include "device.h"
#include "graph/compose.h"
#include "onnx/onnx.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PICTURES 3
#define CLOSE 1e-4 /* of the norm: other blocks, other order of sums */

static void must(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s", err->text);
}

/* x of 1x4x6x8 and what is made of it by one function of the tests. */
typedef int make_fn(struct compose *c, int x);

static struct graph *composed(make_fn *make)
{
    struct compose c;
    struct error err = { 0 };
    compose_start(&c, "test", &err);
    int x = compose_input(&c, "x", TENSOR_F32, COMPOSE_SHAPE(1, 4, 6, 8));
    compose_output(&c, make(&c, x), "y");
    must(c.rc, &err);
    must(graph_infer(c.graph, NULL, &err), &err);
    return c.graph;
}

static int reshaped(struct compose *c, int x, const int64_t *sizes, size_t count)
{
    return compose_op(c, "Reshape", x, compose_ints(c, sizes, count));
}

static int by_reshapes(struct compose *c, int x)
{
    x = reshaped(c, x, (int64_t[]){ 1, 2, 2, 6, 8 }, 5);
    x = reshaped(c, x, (int64_t[]){ 1, -1, 12 }, 3);
    return reshaped(c, x, (int64_t[]){ 0, 4, 6, 8 }, 4);
}

static int by_resize(struct compose *c, int x)
{
    x = compose_resize(c, x, 9, 4, "linear");
    int bias = compose_constant(c, "bias", COMPOSE_SHAPE(1, 4, 1, 1), 0.5);
    return compose_op(c, "Add", x, reshaped(c, bias, (int64_t[]){ 1, 4, 1, 1 }, 4));
}

static int by_sum_of_all(struct compose *c, int x)
{
    const struct attribute attributes[] = { COMPOSE_INT("keepdims", 1), { 0 } };
    return compose_op(c, "Sub", x, compose_node(c, "ReduceMean", &x, 1, attributes));
}

static int by_shuffle(struct compose *c, int x)
{
    return reshaped(c, x, (int64_t[]){ 2, 2, 48 }, 3);
}

static int by_losing_it(struct compose *c, int x)
{
    return reshaped(c, x, (int64_t[]){ -1, 8 }, 2);
}

/* The largest difference between pictures together and one at a time, norm over norm. */
static double compare(const struct graph *one, const struct graph *several)
{
    struct device *device;
    struct plan *plans[2] = { NULL };
    struct error err = { 0 };
    const struct plan_options options = { .precision = PRECISION_F32 };
    double worst = 0;
    must(device_open(&device, "cpu:threads=1", &err), &err);
    must(device_compile(device, one, &options, &plans[0], &err), &err);
    must(device_compile(device, several, &options, &plans[1], &err), &err);
    size_t count = (size_t)shape_elements(&plan_input(plans[0], 0)->shape);
    float *all = plan_input(plans[1], 0)->data;
    srand(5);
    for (size_t i = 0; i < PICTURES * count; i++) {
        size_t picture = i / count; /* later ones are brighter */
        all[i] = (float)rand() / (float)RAND_MAX * (float)(1 + picture);
    }
    must(plan_run(plans[1], &err), &err);
    for (size_t p = 0; p < PICTURES; p++) {
        memcpy(plan_input(plans[0], 0)->data, all + p * count, count * sizeof *all);
        must(plan_run(plans[0], &err), &err);
        for (size_t k = 0; k < plan_output_count(plans[0]); k++) {
            const struct tensor *alone = plan_output(plans[0], k);
            const size_t elements = (size_t)shape_elements(&alone->shape);
            const float *is = (const float *)plan_output(plans[1], k)->data + p * elements;
            double off = 0, norm = 1e-30;
            for (size_t i = 0; i < elements; i++) {
                double should = ((const float *)alone->data)[i];
                off += (is[i] - should) * (is[i] - should);
                norm += should * should;
            }
            worst = fmax(worst, sqrt(off / norm));
        }
    }
    plan_free(&plans[0]);
    plan_free(&plans[1]);
    device_close(&device);
    return worst;
}

static void expect_same(struct graph *one, const char *name)
{
    struct graph *several = NULL;
    struct error err = { 0 };
    must(graph_clone(&several, one, &err), &err);
    must(graph_set_batch(several, PICTURES, &err), &err);
    double worst = compare(one, several);
    if (!(worst <= CLOSE))
        fail_msg("%s: %g", name, worst);
    graph_free(&several);
    graph_free(&one);
}

static void expect_refused(struct graph *one, const char *words)
{
    struct error err = { 0 };
    assert_true(graph_set_batch(one, PICTURES, &err) < 0);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.text);
    graph_free(&one);
}

static void test_pictures_are_kept_apart(void **state)
{
    (void)state;
    expect_same(composed(by_reshapes), "reshapes");
    expect_same(composed(by_resize), "resize");
}

static void test_what_mixes_them_is_refused(void **state)
{
    (void)state;
    expect_refused(composed(by_sum_of_all), "does not keep pictures apart");
    expect_refused(composed(by_shuffle), "Reshape");
    expect_refused(composed(by_losing_it), "does not begin with pictures");
}

static void test_one_is_left_alone(void **state)
{
    (void)state;
    struct graph *graph = composed(by_sum_of_all);
    struct error err = { 0 };
    must(graph_set_batch(graph, 1, &err), &err);
    assert_int_equal(graph->values[graph->inputs[0]].shape.dim[0], 1);
    graph_free(&graph);
}

static struct graph *read_network(const char *path, int64_t height, int64_t width)
{
    struct graph *graph = NULL;
    struct error err = { 0 };
    must(onnx_read_file(&graph, path, &err), &err);
    const struct shape shape = { 4, { 1, 3, height, width } };
    must(graph_infer(graph, &shape, &err), &err);
    return graph;
}

/* Sizes are small where a network leaves them open. */
static void test_own_networks(void **state)
{
    (void)state;
    expect_same(read_network("models/street_det/street_det.onnx", 384, 512), "street_det");
    expect_same(read_network("models/camvid_segment/camvid_segment.onnx", 96, 128), "camvid");
    expect_same(read_network("models/restore/generic_x2.onnx", 40, 56), "generic_x2");
}

static void test_other_networks(void **state)
{
    (void)state;
    const char *data = getenv("TEST_DATA") ? getenv("TEST_DATA") : "../shared/data";
    char path[512];
    snprintf(path, sizeof path, "%s/models/yolox_nano.onnx", data);
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "SKIP REASON: batch_test: no %s\n", path);
        skip();
    }
    expect_same(read_network(path, 416, 416), "yolox_nano");
    snprintf(path, sizeof path, "%s/models/ultraface_rfb320.onnx", data);
    expect_same(read_network(path, 240, 320), "ultraface");
    snprintf(path, sizeof path, "%s/models/fastestdet.onnx", data); /* it shuffles channels */
    expect_refused(read_network(path, 352, 352), "Reshape node 'Reshape_13'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures_are_kept_apart),
        cmocka_unit_test(test_what_mixes_them_is_refused),
        cmocka_unit_test(test_one_is_left_alone),
        cmocka_unit_test(test_own_networks),
        cmocka_unit_test(test_other_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
