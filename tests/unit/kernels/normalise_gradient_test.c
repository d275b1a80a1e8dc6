/* normalise_gradient: gradients of Softmax and the normalisations against differences in doubles, on
 * the interpreter and on the device; and batch_norm_train's statistics against formulas written out,
 * with running ones that are states. */
#include "gradient_check.h"

#define BF16_BOUND 0.02 /* sums of products of numbers that have eight bits each */

static int start(void **state)
{
    struct error err;
    struct device *device = NULL;
    if (device_open(&device, "cpu:threads=2", &err))
        return -1;
    *state = device;
    return 0;
}

static int finish(void **state)
{
    device_close((struct device **)state);
    return 0;
}

/* ---- Softmax ---- */

static void check_softmax(struct device *device, const char *op, int opset,
                          const struct shape *shape, int64_t axis)
{
    struct net net;
    net_begin(&net, 3);
    net.graph->opset = opset;
    int y = net_node(&net, op, net_input(&net, shape), -2);
    net_int(&net, "axis", axis);
    net_output(&net, y);
    gradient_check(&net, device, op);
    net_end(&net);
}

static void test_softmax(void **state)
{
    static const char *const ops[] = { "Softmax", "LogSoftmax" };
    for (int i = 0; i < 2; i++) {
        for (int64_t axis = -4; axis < 4; axis++)
            check_softmax(*state, ops[i], 13, SHAPE(2, 5, 3, 4), axis);
        check_softmax(*state, ops[i], 13, SHAPE(7), 0);
        check_softmax(*state, ops[i], 13, SHAPE(3, 1), 1);         /* one class: nothing flows */
        check_softmax(*state, ops[i], 13, SHAPE(3, 4, 40, 41), 1); /* enough for both threads */
        check_softmax(*state, ops[i], 13, SHAPE(4999, 3), 1);
        /* Until 12 everything from the axis on is one class. */
        for (int64_t axis = 0; axis < 4; axis++)
            check_softmax(*state, ops[i], 12, SHAPE(2, 5, 3, 4), axis);
        check_softmax(*state, ops[i], 12, SHAPE(2, 5, 1, 1), 1);
    }
}

/* Scores that are far apart: the exponential of a difference is no float. */
static void test_far_apart(void **state)
{
    static const char *const ops[] = { "Softmax", "LogSoftmax" };
    for (int i = 0; i < 2; i++) {
        struct net net;
        net_begin(&net, 4);
        int x = net_input(&net, SHAPE(6, 9));
        int scale = net_constant(&net, SHAPE(1), 64, 64); /* a product without rounding */
        net_output(&net, net_node(&net, ops[i], net_node(&net, "Mul", x, scale, -2), -2));
        gradient_check(&net, *state, "far apart");
        net_end(&net);
    }
}

/* ---- batch normalisation, statistics frozen ---- */

enum frozen { INPUT_ONLY, SCALE_AND_BIAS, STATISTICS };

static void check_frozen(struct device *device, const struct shape *shape, enum frozen learns)
{
    struct net net;
    const struct shape *channels = SHAPE(shape->dim[1]);
    net_begin(&net, 5);
    int x = learns == STATISTICS ? net_constant(&net, shape, -1, 1) : net_input(&net, shape);
    bool affine = learns == SCALE_AND_BIAS;
    int scale = affine ? net_input(&net, channels) : net_constant(&net, channels, -2, 2);
    int bias = affine ? net_input(&net, channels) : net_constant(&net, channels, -1, 1);
    int mean = net_constant(&net, channels, -1, 1), variance = net_constant(&net, channels, 0.5, 2);
    if (learns == STATISTICS) {
        mean = net_input(&net, channels);
        int spread = net_input(&net, channels);
        variance = net_node(&net, "Add", net_node(&net, "Mul", spread, spread, -2), variance, -2);
    }
    int y = net_node(&net, "BatchNormalization", x, scale, bias, mean, variance, -2);
    net_float(&net, "epsilon", 0.01f);
    net_output(&net, y);
    gradient_check(&net, device, "frozen batch normalisation");
    net_end(&net);
}

static void test_frozen(void **state)
{
    for (enum frozen learns = INPUT_ONLY; learns <= STATISTICS; learns++) {
        check_frozen(*state, SHAPE(2, 3, 5, 4), learns);
        check_frozen(*state, SHAPE(3, 16, 2, 3), learns);
        check_frozen(*state, SHAPE(4, 5), learns);
        check_frozen(*state, SHAPE(2, 3, 7), learns);
    }
}

/* ---- batch normalisation in training ---- */

struct batch_norm {
    int y, mean, inverse, next_mean, next_variance;
};

static struct batch_norm add_batch_norm(struct net *net, const int inputs[5])
{
    int outputs[5];
    for (int k = 0; k < 5; k++) {
        outputs[k] = graph_add_value(net->graph, "output", TENSOR_F32, NULL, &net->err);
        net_must(net, outputs[k]);
    }
    net_must(net, graph_add_node(net->graph, op_find("batch_norm_train", 0), "norm", inputs, 5,
                                 outputs, 5, &net->err));
    net_float(net, "epsilon", 0.001f);
    net_float(net, "momentum", 0.8f);
    return (struct batch_norm){ outputs[0], outputs[1], outputs[2], outputs[3], outputs[4] };
}

static void check_train(struct device *device, const struct shape *shape, bool between,
                        double bf16_bound)
{
    struct net net;
    const struct shape *channels = SHAPE(shape->dim[1]);
    net_begin(&net, 6);
    int x = net_input(&net, shape), scale = net_input(&net, channels),
        bias = net_input(&net, channels);
    int running_mean = net_constant(&net, channels, -1, 1);
    int running_variance = net_constant(&net, channels, 0.5, 2);
    if (between) { /* as it stands in networks: neither end is the caller's memory */
        int weights = net_constant(&net, SHAPE(shape->dim[1], shape->dim[1], 1, 1), -0.5, 0.5);
        x = net_node(&net, "Conv", x, weights, -2);
    }
    struct batch_norm norm =
        add_batch_norm(&net, (int[]){ x, scale, bias, running_mean, running_variance });
    int y = norm.y;
    if (between) {
        int weights = net_constant(&net, SHAPE(4, shape->dim[1], 3, 3), -0.5, 0.5);
        y = net_node(&net, "Conv", y, weights, -2);
    }
    net_output(&net, y);
    gradient_check_bf16(&net, device, bf16_bound, "batch normalisation in training");
    net_end(&net);
}

static void test_train(void **state)
{
    check_train(*state, SHAPE(2, 3, 5, 4), false, 0);
    check_train(*state, SHAPE(3, 16, 4, 3), false, 0);
    check_train(*state, SHAPE(1, 5, 3, 3), false, 0);
    check_train(*state, SHAPE(9, 5), false, 0);
    check_train(*state, SHAPE(3, 4, 7), false, 0);
    check_train(*state, SHAPE(2, 3, 5, 6), true, BF16_BOUND);
    check_train(*state, SHAPE(3, 32, 9, 7), true, BF16_BOUND);
}

static double element(const struct tensor *tensor, int64_t i)
{
    return (double)((const float *)tensor->data)[i];
}

/* Mean, deviation and what the running ones become, of channel c of a 2 x C x 5 x 7 batch. */
static void channel_formula(const struct tensor *x, int64_t c, double results[4])
{
    const double momentum = (double)0.8f, epsilon = (double)0.001f;
    int64_t channels = x->shape.dim[1], size = 35, count = 2 * size;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += element(x, (i / size * channels + c) * size + i % size);
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += pow(element(x, (i / size * channels + c) * size + i % size) - mean, 2);
    results[0] = mean;
    results[1] = 1 / sqrt(squares / (double)count + epsilon);
    results[2] = results[2] * momentum + mean * (1 - momentum);
    results[3] = results[3] * momentum + squares / (double)(count - 1) * (1 - momentum);
}

/* Three steps, each with another batch; states on the interpreter and on the device. */
static void test_running(void **state)
{
    enum { CHANNELS = 20 };
    struct net net;
    double running[CHANNELS][4];
    const struct shape *channels = SHAPE(CHANNELS);
    net_begin(&net, 7);
    int inputs[5] = { net_input(&net, SHAPE(2, CHANNELS, 5, 7)),
                      net_constant(&net, channels, -2, 2), net_constant(&net, channels, -1, 1),
                      net_constant(&net, channels, -1, 1), net_constant(&net, channels, 0.5, 2) };
    for (int c = 0; c < CHANNELS; c++)
        for (int k = 0; k < 2; k++)
            running[c][2 + k] = element(&net.graph->values[inputs[3 + k]].constant, c);
    struct batch_norm norm = add_batch_norm(&net, inputs);
    for (int k = 0; k < 2; k++)
        net_must(&net, graph_mark_state(net.graph, inputs[3 + k], &net.err));
    net_must(&net, graph_infer_node(net.graph, 0, &net.err));
    graph_set_next(net.graph, inputs[3], norm.next_mean);
    graph_set_next(net.graph, inputs[4], norm.next_variance);
    net_output(&net, norm.y);
    net_output(&net, norm.mean);
    net_output(&net, norm.inverse);
    net_infer(&net);

    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_must(&net, device_compile(*state, net.graph, &options, &plan, &net.err));
    for (int step = 0; step < 3; step++) {
        struct tensor x[CHECK_INPUTS_MAX] = { 0 }, outputs[3] = { 0 };
        net_make_inputs(&net, x);
        for (int64_t i = 0; i < shape_elements(&x[0].shape); i++)
            ((float *)x[0].data)[i] += 3; /* a mean that is not next to 0 */
        memcpy(plan_input(plan, 0)->data, x[0].data, tensor_bytes(&x[0]));
        net_must(&net, graph_run_reference(net.graph, (const struct tensor *[]){ &x[0] }, outputs,
                                           &net.err));
        net_must(&net, plan_run(plan, &net.err));
        for (int k = 0; k < 3; k++)
            assert_true(relative_error(plan_output(plan, (size_t)k), &outputs[k]) < 1e-5);
        for (int c = 0; c < CHANNELS; c++) {
            channel_formula(&x[0], c, running[c]);
            for (int k = 0; k < 4; k++) {
                const struct tensor *plain =
                    k < 2 ? &outputs[1 + k] : &net.graph->values[net.graph->states[k - 2]].state;
                const struct tensor *device =
                    k < 2 ? plan_output(plan, (size_t)k + 1) : plan_state(plan, (size_t)k - 2);
                double bound = 1e-5 * fmax(1, fabs(running[c][k]));
                assert_true(fabs(element(plain, c) - running[c][k]) <= bound);
                assert_true(fabs(element(device, c) - running[c][k]) <= bound);
            }
        }
        tensor_free(&x[0]);
        for (int k = 0; k < 3; k++)
            tensor_free(&outputs[k]);
    }
    plan_free(&plan);
    net_end(&net);
}

static void test_refused(void **state)
{
    struct net net;
    const struct shape *channels = SHAPE(3);
    (void)state;
    net_begin(&net, 8);
    int numbers = net_constant(&net, channels, 1, 2);
    add_batch_norm(
        &net, (int[]){ net_input(&net, SHAPE(1, 3, 1, 1)), numbers, numbers, numbers, numbers });
    assert_true(graph_infer(net.graph, NULL, &net.err) < 0);
    assert_non_null(strstr(net.err.text, "no variance"));
    net_end(&net);
}

/* ---- instance and layer normalisation ---- */

static void check_instance(struct device *device, const struct shape *shape)
{
    struct net net;
    const struct shape *channels = SHAPE(shape->dim[1]);
    net_begin(&net, 9);
    int x = net_input(&net, shape), scale = net_input(&net, channels);
    int y = net_node(&net, "InstanceNormalization", x, scale, net_input(&net, channels), -2);
    net_float(&net, "epsilon", 0.01f);
    net_output(&net, y);
    gradient_check(&net, device, "instance normalisation");
    net_end(&net);
}

static void test_instance(void **state)
{
    check_instance(*state, SHAPE(2, 3, 5, 4));
    check_instance(*state, SHAPE(1, 16, 3, 3));
    check_instance(*state, SHAPE(3, 2, 7));
    check_instance(*state, SHAPE(2, 3, 60, 61)); /* enough for both threads */
}

static void check_layer(struct device *device, const struct shape *shape, int axis, bool biased)
{
    struct net net;
    struct shape tail = { .rank = shape->rank - axis };
    for (int d = 0; d < tail.rank; d++)
        tail.dim[d] = shape->dim[axis + d];
    net_begin(&net, 10);
    net.graph->opset = 17;
    int x = net_input(&net, shape), scale = net_input(&net, &tail);
    int y = net_node(&net, "LayerNormalization", x, scale, biased ? net_input(&net, &tail) : -2, -2);
    net_int(&net, "axis", axis % 2 ? axis : axis - shape->rank);
    net_float(&net, "epsilon", 0.01f);
    net_output(&net, y);
    gradient_check(&net, device, "layer normalisation");
    net_end(&net);
}

static void test_layer(void **state)
{
    for (int axis = 0; axis < 4; axis++) {
        check_layer(*state, SHAPE(2, 3, 5, 4), axis, true);
        check_layer(*state, SHAPE(2, 3, 5, 4), axis, false);
    }
    check_layer(*state, SHAPE(7, 150), 1, true);
    check_layer(*state, SHAPE(5), 0, true);
    check_layer(*state, SHAPE(149, 113), 1, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax),  cmocka_unit_test(test_far_apart),
        cmocka_unit_test(test_frozen),   cmocka_unit_test(test_train),
        cmocka_unit_test(test_running),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_instance), cmocka_unit_test(test_layer),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
