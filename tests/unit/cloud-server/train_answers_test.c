/* How far answers are apart, against plain loops; and that a detector written for one picture says of each
 * picture of a batch what it says of that picture alone. */
#include "learn/train_parts.h"

#include "base/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FLOOR 1e-3
#define MISS_WEIGHT 1.5
#define CLOSE 1e-5
#define BATCH 2
#define CELLS 7
#define NUMBERS 8 /* a box, objectness and three classes */
#define CLASSES 3
#define SIDE 4
#define DETECTOR "models/street_det"
#define WIDTH 64
#define HEIGHT 32

/* Both sides of a comparison, in 0..1. */
struct sides {
    struct shape shape;
    float says[256], wanted[256];
};

static void fill(struct sides *sides, uint64_t seed)
{
    struct random_state random;
    random_seed(&random, seed);
    for (int64_t i = 0; i < shape_elements(&sides->shape); i++) {
        sides->says[i] = (float)random_next_unit(&random);
        sides->wanted[i] = (float)random_next_unit(&random);
    }
}

static double apart(int head_kind, const struct sides *sides)
{
    struct card card = { .head = { .kind = head_kind } };
    struct train *train = calloc(1, sizeof *train); /* large */
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct compose c;
    struct error err = { 0 };
    const struct plan_options options = { .precision = PRECISION_F32 };
    assert_non_null(train);
    train->analytics.card = &card;
    assert_int_equal(compose_start(&c, "answers", &err), 0);
    int says = compose_input(&c, "says", TENSOR_F32, &sides->shape);
    int wanted = compose_input(&c, "wanted", TENSOR_F32, &sides->shape);
    compose_output(&c, train_answers_apart(train, &c, says, wanted), "apart");
    if (c.rc || device_open(&device, "cpu:threads=1", &err) ||
        device_compile(device, c.graph, &options, &plan, &err))
        fail_msg("%s", err.text);
    memcpy(plan_input(plan, 0)->data, sides->says, tensor_bytes(plan_input(plan, 0)));
    memcpy(plan_input(plan, 1)->data, sides->wanted, tensor_bytes(plan_input(plan, 1)));
    assert_int_equal(plan_run(plan, &err), 0);
    double value = (double)*(const float *)plan_output(plan, 0)->data;
    plan_free(&plan);
    device_close(&device);
    graph_free(&c.graph);
    free(train);
    return value;
}

static double cross_entropy(double says, double wanted)
{
    return -MISS_WEIGHT * wanted * log(says + FLOOR) - (1 - wanted) * log(1 - says + FLOOR);
}

static void boxes_count_where_the_source_is_sure(void **state)
{
    (void)state;
    struct sides sides = { .shape = { 3, { BATCH, CELLS, NUMBERS } } };
    double sum = 0, sure = 0;
    fill(&sides, 1);
    for (int row = 0; row < BATCH * CELLS; row++) {
        const float *says = sides.says + (size_t)row * NUMBERS,
                    *wanted = sides.wanted + (size_t)row * NUMBERS;
        double objectness = (double)wanted[4];
        sure += objectness;
        sum += cross_entropy((double)says[4], objectness);
        for (int k = 0; k < 4; k++)
            sum += objectness * fabs((double)says[k] - (double)wanted[k]);
        for (int k = 5; k < NUMBERS; k++)
            sum += objectness * cross_entropy((double)says[k], (double)wanted[k]);
    }
    double found = apart(HEAD_YOLOX, &sides);
    assert_true(fabs(found - sum / (sure + 1)) < CLOSE * found);
}

/* Numbers of a box do not matter where there is none. */
static void what_is_said_of_nothing_is_left_alone(void **state)
{
    (void)state;
    struct sides sides = { .shape = { 3, { 1, CELLS, NUMBERS } } };
    fill(&sides, 2);
    for (int row = 0; row < CELLS; row++)
        sides.wanted[row * NUMBERS + 4] = 0;
    double before = apart(HEAD_YOLOX, &sides);
    for (int row = 0; row < CELLS; row++)
        sides.says[row * NUMBERS] += 5;
    assert_true(apart(HEAD_YOLOX, &sides) == before);
    sides.says[4] = 1;
    assert_true(apart(HEAD_YOLOX, &sides) > before);
}

static void areas_are_soft_labels(void **state)
{
    (void)state;
    struct sides sides = { .shape = { 4, { BATCH, CLASSES, SIDE, SIDE } } };
    const int plane = SIDE * SIDE;
    double sum = 0;
    fill(&sides, 3);
    for (int n = 0; n < BATCH; n++)
        for (int i = 0; i < plane; i++) {
            double says = 0, wanted = 0;
            for (int k = 0; k < CLASSES; k++) {
                says += exp((double)sides.says[(n * CLASSES + k) * plane + i]);
                wanted += exp((double)sides.wanted[(n * CLASSES + k) * plane + i]);
            }
            for (int k = 0; k < CLASSES; k++) {
                int at = (n * CLASSES + k) * plane + i;
                sum -= exp((double)sides.wanted[at]) / wanted * ((double)sides.says[at] - log(says));
            }
        }
    double found = apart(HEAD_SEGMENT, &sides);
    assert_true(fabs(found - sum / (BATCH * plane)) < CLOSE * found);
}

/* ---- batches ---- */

/* What the detector says of `batch` pictures, the first output. */
static float *answers(const struct train *train, const float *pictures, int64_t batch, size_t *count)
{
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct compose c;
    struct error err = { 0 };
    int says[HEAD_OUTPUTS_MAX] = { 0 };
    const struct plan_options options = { .precision = PRECISION_F32 };
    assert_int_equal(compose_start(&c, "answers", &err), 0);
    int input = compose_input(&c, "pictures", TENSOR_F32, COMPOSE_SHAPE(batch, 3, HEIGHT, WIDTH));
    train_analytics_add(train, &c, input, TRAIN_FROZEN, says);
    compose_output(&c, says[0], "says");
    if (c.rc || device_open(&device, "cpu:threads=1", &err) ||
        device_compile(device, c.graph, &options, &plan, &err))
        fail_msg("%s", err.text);
    const struct tensor *output = plan_output(plan, 0);
    assert_int_equal(output->shape.dim[0], batch);
    memcpy(plan_input(plan, 0)->data, pictures, tensor_bytes(plan_input(plan, 0)));
    assert_int_equal(plan_run(plan, &err), 0);
    float *copy = malloc(tensor_bytes(output));
    assert_non_null(copy);
    memcpy(copy, output->data, tensor_bytes(output));
    *count = tensor_bytes(output) / sizeof *copy;
    plan_free(&plan);
    device_close(&device);
    graph_free(&c.graph);
    return copy;
}

/* The detector, behind what learns from pictures of the size that it reads. */
static void open_detector(struct train *train, struct train_config *config)
{
    struct error err = { 0 };
    *config = (struct train_config){ .task = TRAIN_SUPERRES, .width = 512, .height = 384 };
    config->analytics.model = (char *)DETECTOR;
    config->analytics.loss = ANALYTICS_ANSWERS;
    *train = (struct train){ .config = config };
    if (train_analytics_open(train, &err) < 0)
        fail_msg("%s", err.text);
}

static void assert_no_jumble(const struct train *train)
{
    const size_t picture = 3 * (size_t)HEIGHT * WIDTH;
    float *pictures = malloc(BATCH * picture * sizeof *pictures);
    struct random_state random;
    size_t both_count, count;
    assert_non_null(pictures);
    random_seed(&random, 4);
    for (size_t i = 0; i < BATCH * picture; i++)
        pictures[i] = (float)random_next_unit(&random);
    float *both = answers(train, pictures, BATCH, &both_count);
    for (size_t n = 0; n < BATCH; n++) {
        float *alone = answers(train, pictures + n * picture, 1, &count);
        assert_int_equal(BATCH * count, both_count);
        for (size_t i = 0; i < count; i++)
            assert_true(fabsf(alone[i] - both[n * count + i]) <= 1e-4f * fmaxf(1, fabsf(alone[i])));
        free(alone);
    }
    free(both);
    free(pictures);
}

static void a_batch_is_no_jumble(void **state)
{
    (void)state;
    struct train train;
    struct train_config config;
    open_detector(&train, &config);
    assert_no_jumble(&train);
    train_analytics_close(&train);
}

/* A network that a batch does not fit at all, as it has the numbers of one picture written in it. */
static struct graph *make_narrow(void)
{
    struct compose c;
    struct error err = { 0 };
    const int64_t flat[] = { 1, 3 * HEIGHT * WIDTH }, square[] = { 1, 3, HEIGHT, WIDTH };
    assert_int_equal(compose_start(&c, "narrow", &err), 0);
    int x = compose_input(&c, "picture", TENSOR_F32, COMPOSE_SHAPE(1, 3, HEIGHT, WIDTH));
    x = compose_op(&c, "Reshape", x, compose_ints(&c, flat, 2));
    x = compose_op(&c, "Reshape", x, compose_ints(&c, square, 4));
    compose_output(&c, compose_op(&c, "Neg", x, -1), "output");
    if (c.rc)
        fail_msg("%s", err.text);
    return c.graph;
}

static void what_takes_one_picture_gets_one_after_the_other(void **state)
{
    (void)state;
    struct train train;
    struct train_config config;
    open_detector(&train, &config);
    graph_free(&train.analytics.graph);
    train.analytics.graph = make_narrow();
    assert_no_jumble(&train);
    train_analytics_close(&train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_count_where_the_source_is_sure),
        cmocka_unit_test(what_is_said_of_nothing_is_left_alone),
        cmocka_unit_test(areas_are_soft_labels),
        cmocka_unit_test(a_batch_is_no_jumble),
        cmocka_unit_test(what_takes_one_picture_gets_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
