/* Trainings as the product makes them, on the emulated GPU beside the processor: a restorer with the
 * frozen detector behind it, and a segmenter. One step gives the same loss and the same gradients, which
 * are in Adam's moments; what is done for each weight is one step of the plan for all of them. Crops are
 * small, so that the detector reads few pixels. */
#include "learn/train_parts.h"

#include "base/random.h"
#include "cuda/cuda.h"
#include "train/train.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DETECTOR "models/street_det"
#define CLASSES 5
#define RATE 0.001f
/* Where both round, they were up to 0.026 apart. */
#define BF16_BOUND 0.06
#define F32_BOUND 1e-5

static struct device *cpu, *gpu;

static int open_devices(void **state)
{
    struct error err;
    (void)state;
    device_add_class(&cuda_class);
    int rc = device_open(&cpu, "cpu:threads=2", &err);
    return rc ? rc : device_open(&gpu, "cuda", &err);
}

static int close_devices(void **state)
{
    (void)state;
    device_close(&cpu);
    device_close(&gpu);
    return 0;
}

static bool learns(const char *name, void *arg)
{
    (void)arg;
    return strncmp(name, TRAIN_FROZEN, strlen(TRAIN_FROZEN)) != 0;
}

/* The graph of a step, as train_run makes it. */
static struct graph *make_step(const struct train *train, const struct train_task_ops *task)
{
    struct train_options options = TRAIN_OPTIONS_DEFAULT;
    struct error err = { 0 };
    struct compose c;
    options.clip_norm = 1;
    options.average_decay = 0.998f;
    options.learns = learns;
    int rc = compose_start(&c, "train", &err);
    int loss = rc ? rc : task->loss(train, &c);
    if (loss < 0 || train_make(c.graph, loss, &options, &err) < 0)
        fail_msg("%s", err.text);
    return c.graph;
}

/* Pictures and weights in 0..1, whole numbers below CLASSES; the last input is the rate. */
static void fill_inputs(struct plan *plan)
{
    struct random_state random;
    random_seed(&random, 3);
    for (size_t i = 0; i < plan_input_count(plan); i++) {
        const struct tensor *input = plan_input(plan, i);
        for (int64_t k = 0, n = shape_elements(&input->shape); k < n; k++) {
            double number = random_next_unit(&random);
            if (input->type == TENSOR_I64)
                ((int64_t *)input->data)[k] = (int64_t)(number * CLASSES);
            else
                ((float *)input->data)[k] = i + 1 < plan_input_count(plan) ? (float)number : RATE;
        }
    }
}

static struct plan *run(struct device *device, const struct graph *graph, enum precision precision)
{
    const struct plan_options options = { .precision = precision };
    struct error err = { 0 };
    struct plan *plan = NULL;
    if (device_compile(device, graph, &options, &plan, &err))
        fail_msg("%s", err.text);
    fill_inputs(plan);
    if (plan_run(plan, &err) || plan_get_states(plan, &err))
        fail_msg("%s", err.text);
    return plan;
}

/* How far the states whose names contain that are apart, all together. */
static double apart(const struct plan *one, const struct plan *other, const char *kind)
{
    double squares = 0, norm = 0;
    for (size_t i = 0; i < plan_state_count(one); i++) {
        const struct tensor *a = plan_state(one, i), *b = plan_state(other, i);
        if (!strstr(plan_state_name(one, i), kind))
            continue;
        for (int64_t k = 0, n = shape_elements(&a->shape); k < n; k++) {
            double x = (double)((const float *)a->data)[k], y = (double)((const float *)b->data)[k];
            squares += (x - y) * (x - y);
            norm += y * y;
        }
    }
    assert_true(norm > 0);
    return sqrt(squares / norm);
}

static int count_steps(const struct plan *plan, const char *how)
{
    const char *step;
    int count = 0;
    for (size_t i = 0; (step = plan_step(plan, i)); i++)
        count += strcmp(step, how) == 0;
    return count;
}

static void compare(const struct graph *graph, enum precision precision, double bound)
{
    static const char *const together[] = { "weights", "squares", "clip", "adam", "average" };
    struct plan *wanted = run(cpu, graph, precision), *got = run(gpu, graph, precision);
    size_t last = plan_output_count(got) - 1;
    double loss = (double)*(const float *)plan_output(got, last)->data;
    double loss_wanted = (double)*(const float *)plan_output(wanted, last)->data;
    double gradients = apart(got, wanted, ".moment"), states = apart(got, wanted, "");
    print_message("%s: loss %.2g apart, gradients %.2g, states %.2g\n", precision_word(precision),
                  fabs(loss / loss_wanted - 1), gradients, states);
    assert_true(fabs(loss - loss_wanted) <= bound * loss_wanted);
    assert_true(gradients <= bound);
    assert_true(states <= bound);
    for (size_t i = 0; i < sizeof together / sizeof *together; i++)
        assert_int_equal(count_steps(got, together[i]), 1);
    plan_free(&wanted);
    plan_free(&got);
}

static void check(const struct train_config *config, const struct train_task_ops *task)
{
#ifdef __SANITIZE_THREAD__
    print_message(
        "SKIP REASON: ThreadSanitizer crashes while it looks up the name of a place in oneDNN\n");
    skip();
#endif
    struct train *train = calloc(1, sizeof *train); /* large */
    struct error err = { 0 };
    assert_non_null(train);
    train->config = config;
    train->form = NET_TRAINED;
    train->class_count = CLASSES;
    if (train_analytics_open(train, &err))
        fail_msg("%s", err.text);
    struct graph *graph = make_step(train, task);
    compare(graph, PRECISION_F32, F32_BOUND);
    compare(graph, PRECISION_BF16, BF16_BOUND);
    graph_free(&graph);
    train_analytics_close(train);
    free(train);
}

static void a_restorer_with_the_detector_behind_it(void **state)
{
    (void)state;
    check(
        &(struct train_config){
            .task = TRAIN_SUPERRES,
            .size = NET_SMALL,
            .batch = 2,
            .width = 512,
            .height = 384,
            .crop_width = 64,
            .crop_height = 32,
            .damage = { .factor = 2 },
            .analytics = { .model = DETECTOR, .loss = ANALYTICS_ANSWERS, .share = 0.1 } },
        &train_superres);
}

static void a_segmenter(void **state)
{
    (void)state;
    check(&(struct train_config){ .task = TRAIN_SEGMENT,
                                  .size = NET_SMALL,
                                  .batch = 2,
                                  .width = 512,
                                  .height = 384,
                                  .crop_width = 64,
                                  .crop_height = 32,
                                  .analytics = { .model = "" } },
          &train_segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restorer_with_the_detector_behind_it),
        cmocka_unit_test(a_segmenter),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
