/* Networks: the sizes of what they give and what they cost by the engine's own count; the folded form
 * computes what the trained one does (batch normalisation and parallel convolutions with statistics and
 * weights that are not the first ones) to f32 rounding; a restorer begins as bicubic enlarging and keeps
 * working at another size once written as ONNX. */
#include "base/random.h"
#include "device.h"
#include "learn/nets.h"
#include "onnx/onnx.h"
#include "onnx/write.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define CLASSES 11u
#define GFLOP_MAX 6.0

static struct device *device;

static int open_device(void **state)
{
    struct error err;
    (void)state;
    return device_open(&device, "cpu:threads=1", &err);
}

static int close_device(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

static struct graph *make(const struct net_config *config, uint32_t factor, int64_t height,
                          int64_t width)
{
    struct error err = { 0 };
    struct compose c;
    assert_int_equal(compose_start(&c, "net", &err), 0);
    int x = compose_input(&c, NET_PICTURE, TENSOR_F32, COMPOSE_SHAPE(1, 3, height, width));
    int y = factor ? net_restorer(&c, x, config, factor) : net_segmenter(&c, x, config, CLASSES);
    compose_output(&c, y, factor ? NET_RESTORED : NET_SCORES);
    if (c.rc)
        fail_msg("%s", err.text);
    return c.graph;
}

static struct plan *compile(const struct graph *graph, const struct shape *shape)
{
    struct error err;
    struct plan *plan;
    const struct plan_options options = { .precision = PRECISION_F32, .input_shapes = shape };
    if (device_compile(device, graph, &options, &plan, &err))
        fail_msg("%s", err.text);
    return plan;
}

/* The same picture for every plan of the same size. */
static const struct tensor *run(struct plan *plan)
{
    struct error err;
    struct random_state random;
    const struct tensor *input = plan_input(plan, 0);
    random_seed(&random, 5);
    for (int64_t i = 0, n = shape_elements(&input->shape); i < n; i++)
        ((float *)input->data)[i] = (float)random_next_unit(&random);
    if (plan_run(plan, &err))
        fail_msg("%s", err.text);
    return plan_output(plan, 0);
}

/* Everything that learns gets a number of its own; variances stay above 0. */
static void disturb(struct graph *graph)
{
    struct random_state random;
    random_seed(&random, 9);
    for (int v = 0; v < graph->value_count; v++) {
        const struct value *value = &graph->values[v];
        if (!value->constant.data || !strchr(value->name, '.'))
            continue;
        bool variance = strstr(value->name, "variance") != NULL;
        bool scale = strstr(value->name, "scale") != NULL;
        for (int64_t i = 0, n = shape_elements(&value->shape); i < n; i++) {
            float *number = &((float *)value->constant.data)[i];
            float unit = (float)random_next_unit(&random);
            *number = variance || scale ? 0.5f + unit : *number + 0.02f * (unit - 0.5f);
        }
    }
}

static void check_equal(const struct tensor *a, const struct tensor *b, double bound)
{
    double worst = 0, largest = 0;
    assert_true(shape_equal(&a->shape, &b->shape));
    for (int64_t i = 0, n = shape_elements(&a->shape); i < n; i++) {
        double x = (double)((const float *)a->data)[i], y = (double)((const float *)b->data)[i];
        assert_true(isfinite(x) && isfinite(y));
        worst = fmax(worst, fabs(x - y));
        largest = fmax(largest, fabs(x));
    }
    assert_true(largest > 0);
    print_message("differ by %.2g of %.2g\n", worst, largest);
    if (worst > bound * largest)
        fail_msg("more than %g of it", bound);
}

static void check_folding(uint32_t factor, int size)
{
    struct error err;
    struct net_config config = { .size = size, .form = NET_TRAINED, .seed = 3 };
    struct graph *trained = make(&config, factor, 46, 62);
    config.form = NET_FOLDED;
    struct graph *folded = make(&config, factor, 46, 62);
    disturb(trained);
    if (net_fold(trained, folded, &err))
        fail_msg("%s", err.text);
    assert_true(folded->node_count < trained->node_count);
    struct plan *slow = compile(trained, NULL), *fast = compile(folded, NULL);
    check_equal(run(slow), run(fast), 2e-5);
    plan_free(&slow);
    plan_free(&fast);
    graph_free(&trained);
    graph_free(&folded);
}

static void folded_is_the_same(void **state)
{
    (void)state;
    for (int size = NET_SMALL; size <= NET_LARGE; size++)
        check_folding(0, size);
    check_folding(1, NET_SMALL);
    check_folding(2, NET_MEDIUM);
    check_folding(4, NET_LARGE);
}

/* The folded form is what is trained, not whatever came last. */
static void folding_names_what_is_missing(void **state)
{
    (void)state;
    struct error err;
    struct net_config config = { .size = NET_SMALL, .form = NET_TRAINED };
    struct graph *segmenter = make(&config, 0, 32, 32);
    config.form = NET_FOLDED;
    struct graph *restorer = make(&config, 2, 32, 32);
    assert_int_equal(net_fold(segmenter, restorer, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "first"));
    graph_free(&segmenter);
    graph_free(&restorer);
}

static void costs(void **state)
{
    (void)state;
    double before = 0;
    for (int size = NET_SMALL; size <= NET_LARGE; size++) {
        const struct net_config config = { .size = size, .form = NET_FOLDED };
        struct graph *graph = make(&config, 0, 360, 480);
        struct plan *plan = compile(graph, NULL);
        double gflop = (double)plan_flop(plan) / 1e9;
        print_message("segmenter %s at 480x360: %.2f GFLOP\n", net_size_words[size], gflop);
        assert_true(shape_equal(&plan_output(plan, 0)->shape, COMPOSE_SHAPE(1, CLASSES, 360, 480)));
        assert_true(gflop > before && gflop < GFLOP_MAX);
        before = gflop;
        plan_free(&plan);
        graph_free(&graph);
    }
}

static void seeds_decide(void **state)
{
    (void)state;
    struct net_config config = { .size = NET_SMALL, .form = NET_TRAINED, .seed = 1 };
    struct graph *one = make(&config, 2, 8, 8), *same = make(&config, 2, 8, 8);
    config.seed = 2;
    struct graph *other = make(&config, 2, 8, 8);
    for (int v = 0; v < one->value_count; v++) {
        const struct tensor *a = &one->values[v].constant, *b = &same->values[v].constant;
        if (!a->data || !strstr(one->values[v].name, "first.weight"))
            continue;
        assert_memory_equal(a->data, b->data, tensor_bytes(a));
        assert_memory_not_equal(a->data, other->values[v].constant.data, tensor_bytes(a));
    }
    graph_free(&one);
    graph_free(&same);
    graph_free(&other);
}

/* Bicubic by the formula of Keys (a = -0.75), of a picture repeated beyond its edges. */
static double cubic(double t)
{
    double a = -0.75;
    t = fabs(t);
    if (t <= 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static double enlarged(const float *plane, int64_t height, int64_t width, double y, double x)
{
    double sum = 0;
    for (int64_t i = (int64_t)floor(y) - 1; i <= (int64_t)floor(y) + 2; i++)
        for (int64_t k = (int64_t)floor(x) - 1; k <= (int64_t)floor(x) + 2; k++) {
            int64_t row = i < 0 ? 0 : i >= height ? height - 1 : i;
            int64_t column = k < 0 ? 0 : k >= width ? width - 1 : k;
            sum += cubic(y - (double)i) * cubic(x - (double)k) * (double)plane[row * width + column];
        }
    return sum;
}

/* With sizes left open. */
static struct graph *write_and_read(struct graph *graph)
{
    char path[] = "/tmp/nets_test_XXXXXX";
    struct error err;
    struct graph *read = NULL;
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    if (net_free_sizes(graph, &err) || onnx_write_file(graph, path, &err) ||
        onnx_read_file(&read, path, &err))
        fail_msg("%s", err.text);
    unlink(path);
    assert_true(read && read->values[read->inputs[0]].shape.dim[2] == -1);
    return read;
}

/* As one that was made for the size, and for two pictures at a time. */
static void a_segmenter_reads_any_size_once_written(void **state)
{
    (void)state;
    const struct net_config config = { .size = NET_SMALL, .form = NET_TRAINED, .seed = 1 };
    struct graph *graph = make(&config, 0, 64, 64), *small = make(&config, 0, 45, 61);
    struct graph *read = write_and_read(graph);
    struct plan *plan = compile(read, COMPOSE_SHAPE(1, 3, 45, 61)), *wanted = compile(small, NULL);
    check_equal(run(wanted), run(plan), 1e-6);
    plan_free(&wanted);
    plan_free(&plan);
    plan = compile(read, COMPOSE_SHAPE(2, 3, 48, 96));
    assert_true(shape_equal(&run(plan)->shape, COMPOSE_SHAPE(2, CLASSES, 48, 96)));
    plan_free(&plan);
    graph_free(&read);
    graph_free(&small);
    graph_free(&graph);
}

static void a_restorer_begins_as_bicubic_at_any_size(void **state)
{
    (void)state;
    const struct net_config config = { .size = NET_SMALL, .form = NET_TRAINED, .seed = 1 };
    struct graph *graph = make(&config, 3, 16, 16), *read = NULL;
    read = write_and_read(graph);
    struct plan *plan = compile(read, COMPOSE_SHAPE(1, 3, 9, 14));
    const struct tensor *restored = run(plan), *picture = plan_input(plan, 0);
    assert_true(shape_equal(&restored->shape, COMPOSE_SHAPE(1, 3, 27, 42)));
    for (int64_t y = 0; y < 27; y++)
        for (int64_t x = 0; x < 42; x++) {
            double wanted = enlarged(picture->data, 9, 14, ((double)y + 0.5) / 3 - 0.5,
                                     ((double)x + 0.5) / 3 - 0.5);
            double got = (double)((const float *)restored->data)[y * 42 + x];
            assert_true(fabs(got - wanted) < 1e-5);
        }
    plan_free(&plan);
    graph_free(&graph);
    graph_free(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folded_is_the_same),
        cmocka_unit_test(folding_names_what_is_missing),
        cmocka_unit_test(costs),
        cmocka_unit_test(seeds_decide),
        cmocka_unit_test(a_segmenter_reads_any_size_once_written),
        cmocka_unit_test(a_restorer_begins_as_bicubic_at_any_size),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
