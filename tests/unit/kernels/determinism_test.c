/* Same seed, same bits, for a fixed number of threads: a small network is trained for some steps (loss,
 * gradients, clipping, Adam, averages of the weights, batch statistics) in two plans of two devices,
 * and once more in the first plan after its states have been put back. Losses and all states are
 * compared byte by byte. */
#include "cpu_check.h"
#include "train/loss.h"
#include "train/train.h"

#define STEPS 6
#define STATES_MAX 64

struct training {
    struct device *device;
    struct plan *plan;
    float losses[STEPS];
};

static int add_layer(struct net *net, int x, int64_t in, int64_t out)
{
    int w = net_constant(net, SHAPE(out, in, 3, 3), -0.2, 0.2),
        b = net_constant(net, SHAPE(out), 0, 0.1);
    int y = net_node(net, "Conv", x, w, b, -2);
    LIST(net, "pads", 1, 1, 1, 1);
    return y;
}

/* x2: convolutions with a normalisation and a residual sum, pixel shuffle, a factor for each channel. */
static void make_graph(struct net *net)
{
    struct train_options options = TRAIN_OPTIONS_DEFAULT;
    options.clip_norm = 0.5f;
    options.average_decay = 0.9f;
    net_begin(net, 1);
    int x = net_input(net, SHAPE(4, 3, 17, 15));
    net_input(net, SHAPE(4, 3, 34, 30)); /* the target */
    int a = net_node(net, "Relu", add_layer(net, x, 3, 16), -2);
    int b = add_layer(net, a, 16, 16);
    int scale = net_constant(net, SHAPE(16), 0.5, 1.5),
        bias = net_constant(net, SHAPE(16), -0.1, 0.1);
    int mean = net_constant(net, SHAPE(16), 0, 0), variance = net_constant(net, SHAPE(16), 1, 1);
    b = net_node(net, "BatchNormalization", b, scale, bias, mean, variance, -2);
    int slopes = net_constant(net, SHAPE(16, 1, 1), 0.1, 0.3);
    b = net_node(net, "PRelu", b, slopes, -2);
    int c = add_layer(net, net_node(net, "Add", a, b, -2), 16, 12);
    int y = net_node(net, "DepthToSpace", c, -2);
    net_int(net, "blocksize", 2);
    net_string(net, "mode", "CRD");
    net_output(net, y);
    net_infer(net);
    int loss = loss_charbonnier(net->graph, net->graph->outputs[0], net->graph->inputs[1], 1e-3f,
                                &net->err);
    net_must(net, loss);
    net_must(net, train_make(net->graph, loss, &options, &net->err));
}

/* From the states on that the plan has. */
static void train(struct net *net, struct training *training)
{
    struct random_state random;
    size_t last = plan_output_count(training->plan) - 1;
    random_seed(&random, 2);
    for (int step = 0; step < STEPS; step++) {
        for (size_t i = 0; i < 2; i++) {
            const struct tensor *input = plan_input(training->plan, i);
            for (int64_t k = 0, n = shape_elements(&input->shape); k < n; k++)
                ((float *)input->data)[k] = (float)random_next_unit(&random);
        }
        assert_string_equal(plan_input_name(training->plan, 2), TRAIN_RATE_INPUT);
        *(float *)plan_input(training->plan, 2)->data = 1e-3f;
        net_must(net, plan_run(training->plan, &net->err));
        training->losses[step] = *(float *)plan_output(training->plan, last)->data;
        assert_true(isfinite(training->losses[step]));
    }
}

static void open_training(struct net *net, struct training *training, const char *spec,
                          enum precision precision)
{
    struct plan_options options = { .precision = precision };
    net_must(net, device_open(&training->device, spec, &net->err));
    net_must(net, device_compile(training->device, net->graph, &options, &training->plan, &net->err));
    assert_true(plan_state_count(training->plan) <= STATES_MAX);
}

static void close_training(struct training *training)
{
    plan_free(&training->plan);
    device_close(&training->device);
}

static void compare(const struct training *a, const struct training *b, const char *what)
{
    for (int i = 0; i < STEPS; i++)
        if (a->losses[i] != b->losses[i])
            fail_msg("%s: the loss of step %d differs", what, i);
    for (size_t i = 0; i < plan_state_count(a->plan); i++)
        if (compare_tensors(plan_state(a->plan, i), plan_state(b->plan, i), COMPARE_BITS) > 0)
            fail_msg("%s: state '%s' differs", what, plan_state_name(a->plan, i));
}

static void check(const char *spec, enum precision precision)
{
    struct net net;
    struct training first, second;
    struct tensor before[STATES_MAX] = { 0 };
    make_graph(&net);
    open_training(&net, &first, spec, precision);
    open_training(&net, &second, spec, precision);
    size_t count = plan_state_count(first.plan);
    for (size_t i = 0; i < count; i++) {
        const struct tensor *state = plan_state(first.plan, i);
        net_must(&net, tensor_create(&before[i], state->type, &state->shape, &net.err));
        memcpy(before[i].data, state->data, tensor_bytes(state));
    }
    train(&net, &first);
    train(&net, &second);
    compare(&first, &second, "another plan");
    assert_true(first.losses[STEPS - 1] != first.losses[0]); /* it learns something */
    for (size_t i = 0; i < count; i++)
        memcpy(plan_state(second.plan, i)->data, before[i].data, tensor_bytes(&before[i]));
    train(&net, &second);
    compare(&first, &second, "once more");
    for (size_t i = 0; i < count; i++)
        tensor_free(&before[i]);
    close_training(&first);
    close_training(&second);
    net_end(&net);
}

static void test_one_thread(void **state)
{
    (void)state;
    check("cpu:threads=1", PRECISION_F32);
}

static void test_two_threads(void **state)
{
    (void)state;
    check("cpu:threads=2", PRECISION_F32);
}

static void test_bf16(void **state)
{
    struct device *device = NULL;
    struct device_info info;
    struct error err;
    (void)state;
    assert_int_equal(device_open(&device, "cpu:threads=2", &err), 0);
    device_get_info(device, &info);
    device_close(&device);
    if (!info.bf16) {
        print_message("SKIP REASON: determinism_test: no bf16 arithmetic\n");
        skip();
    }
    check("cpu:threads=2", PRECISION_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
