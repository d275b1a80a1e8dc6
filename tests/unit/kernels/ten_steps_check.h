/* ten_steps_check: ten training steps of a small network that has a bit of everything (ten_steps_expected.h,
 * where network, data and the losses of PyTorch are described), on `device`, which the including test
 * opens: cpu_device.h or cuda_emulated.h. In floats a plan gives the losses of doubles within 1e-5, and
 * PyTorch's in floats within 1e-4; narrower precisions have bounds of their own. Also that recomputing
 * changes nothing, that the average of the weights is kept, and that weights go back into a model. */
#ifndef RUNESPOOR_TESTS_TEN_STEPS_CHECK_H
#define RUNESPOOR_TESTS_TEN_STEPS_CHECK_H

#include "cpu_check.h"
#include "ten_steps_expected.h"
#include "train/loss.h"
#include "train/train.h"

#define STEPS 10
#define FLOAT_BOUND_OURS 1e-5 /* relative, as all bounds */
#define FLOAT_BOUND_PYTORCH 1e-4
#define EPSILON 1e-5f
#define MOMENTUM 0.9f /* ONNX's, of running statistics; PyTorch's is 0.1 */
#define BATCH 2
#define CLASSES 5
#define INPUTS 3 /* and the rate */

/* ---- the numbers ---- */

static inline double mixed(uint32_t seed, uint32_t i)
{
    uint32_t x = i + seed * UINT32_C(0x9E3779B9);
    x = (x ^ x >> 16) * UINT32_C(0x7FEB352D);
    x = (x ^ x >> 15) * UINT32_C(0x846CA68B);
    x ^= x >> 16;
    return (double)x / 2147483648.0 - 1;
}

/* base + mixed * scale */
static inline int add_numbers(struct net *net, const char *name, uint32_t seed,
                              const struct shape *shape, double base, double scale)
{
    struct tensor tensor;
    net_must(net, tensor_create(&tensor, TENSOR_F32, shape, &net->err));
    for (int64_t i = 0, n = shape_elements(shape); i < n; i++)
        ((float *)tensor.data)[i] = (float)(base + mixed(seed, (uint32_t)i) * scale);
    int value = graph_add_constant(net->graph, name, &tensor, &net->err);
    net_must(net, value);
    return value;
}

/* ---- the network ---- */

/* A weight and, if bias_name is not NULL, a bias with the next seed. */
static inline int add_conv(struct net *net, int x, const char *name, const char *bias_name,
                           uint32_t seed, int64_t out, int64_t in, int64_t kernel, int64_t stride)
{
    int weight = add_numbers(net, name, seed, SHAPE(out, in, kernel, kernel), 0,
                             1 / sqrt((double)(in * kernel * kernel)));
    int bias = bias_name ? add_numbers(net, bias_name, seed + 1, SHAPE(out), 0, 0.25) : -1;
    int y = bias < 0 ? net_node(net, "Conv", x, weight, -2)
                     : net_node(net, "Conv", x, weight, bias, -2);
    int64_t pad = kernel / 2;
    LIST(net, "pads", pad, pad, pad, pad);
    LIST(net, "strides", stride, stride);
    return y;
}

static inline int add_norm(struct net *net, int x, const char *scale, const char *bias,
                           uint32_t seed, int64_t channels)
{
    static int count;
    char mean[32], variance[32];
    snprintf(mean, sizeof mean, "mean%d", ++count);
    snprintf(variance, sizeof variance, "variance%d", count);
    int inputs[] = { add_numbers(net, scale, seed, SHAPE(channels), 1, 0.25),
                     add_numbers(net, bias, seed + 1, SHAPE(channels), 0, 0.25),
                     add_numbers(net, mean, 0, SHAPE(channels), 0, 0),
                     add_numbers(net, variance, 0, SHAPE(channels), 1, 0) };
    int y = net_node(net, "BatchNormalization", x, inputs[0], inputs[1], inputs[2], inputs[3], -2);
    net_float(net, "epsilon", EPSILON);
    net_float(net, "momentum", MOMENTUM);
    return y;
}

static inline int relu(struct net *net, int x)
{
    return net_node(net, "Relu", x, -2);
}

static inline int add_resize(struct net *net, int x)
{
    struct tensor scales;
    net_must(net, tensor_create(&scales, TENSOR_F32, SHAPE(4), &net->err));
    memcpy(scales.data, (float[]){ 1, 1, 2, 2 }, 4 * sizeof(float));
    int factor = graph_add_constant(net->graph, "", &scales, &net->err);
    net_must(net, factor);
    int y = net_node(net, "Resize", x, -1, factor, -2);
    net_string(net, "mode", "linear");
    net_string(net, "coordinate_transformation_mode", "half_pixel");
    return y;
}

static inline int add_body(struct net *net, int input)
{
    int a = relu(net, add_norm(net, add_conv(net, input, "conv1", NULL, 1, 8, 3, 3, 1),
                               "norm1.scale", "norm1.bias", 2, 8));
    int b = net_node(net, "MaxPool", a, -2);
    LIST(net, "kernel_shape", 2, 2);
    LIST(net, "strides", 2, 2);
    int c = relu(net, add_conv(net, b, "conv2", "conv2.bias", 4, 12, 8, 3, 2));
    int inner = relu(net, add_conv(net, c, "conv3", "conv3.bias", 6, 12, 12, 3, 1));
    inner = add_conv(net, inner, "conv4", "conv4.bias", 8, 12, 12, 3, 1);
    int d = relu(net, net_node(net, "Add", c, inner, -2));
    int e = add_resize(net, d);
    int f = relu(net, add_norm(net, add_conv(net, e, "conv5", NULL, 10, 8, 12, 3, 1), "norm5.scale",
                               "norm5.bias", 11, 8));
    f = net_node(net, "Add", b, f, -2);
    int up = add_numbers(net, "up", 13, SHAPE(8, 10, 4, 4), 0, 1 / sqrt(32.0));
    int up_bias = add_numbers(net, "up.bias", 14, SHAPE(10), 0, 0.25);
    int g = net_node(net, "ConvTranspose", f, up, up_bias, -2);
    LIST(net, "strides", 2, 2);
    LIST(net, "pads", 1, 1, 1, 1);
    return relu(net, g);
}

/* Outputs: scores and pixels. */
static inline void build_model(struct net *net)
{
    net_begin(net, 1);
    int body = add_body(net, net_input(net, SHAPE(BATCH, 3, 12, 16)));
    net_output(net, add_conv(net, body, "scores", "scores.bias", 15, CLASSES, 10, 1, 1));
    int pixels = add_conv(net, body, "pixels", "pixels.bias", 17, 12, 10, 3, 1);
    pixels = net_node(net, "DepthToSpace", pixels, -2);
    net_int(net, "blocksize", 2);
    net_string(net, "mode", "CRD");
    net_output(net, pixels);
    net_infer(net);
}

static inline int add_input(struct net *net, const char *name, enum tensor_type type,
                            const struct shape *shape)
{
    int value = graph_add_value(net->graph, name, type, shape, &net->err);
    net_must(net, value);
    net_must(net, graph_mark_input(net->graph, value, &net->err));
    return value;
}

static inline int add_loss(struct net *net)
{
    float numbers[CLASSES];
    struct tensor weights;
    int scores = net->graph->outputs[0], pixels = net->graph->outputs[1];
    int labels = add_input(net, "labels", TENSOR_I64, SHAPE(BATCH, 12, 16));
    int target = add_input(net, "target", TENSOR_F32, SHAPE(BATCH, 3, 24, 32));
    for (int k = 0; k < CLASSES; k++)
        numbers[k] = 0.5f + (float)k / 4;
    net_must(net, tensor_create(&weights, TENSOR_F32, SHAPE(CLASSES), &net->err));
    memcpy(weights.data, numbers, sizeof numbers);
    int class_weights = graph_add_constant(net->graph, "", &weights, &net->err);
    net_must(net, class_weights);
    int classes = loss_cross_entropy(net->graph, scores, labels, class_weights, CLASSES, &net->err);
    net_must(net, classes);
    int restored = loss_charbonnier(net->graph, pixels, target, 1e-3f, &net->err);
    net_must(net, restored);
    int half = net_node(net, "Mul", restored, net_constant(net, SHAPE(1), 0.5, 0.5), -2);
    net->graph->values[half].shape = *SHAPE(1);
    net_must(net, graph_infer_node(net->graph, net->graph->node_count - 1, &net->err));
    int loss = net_node(net, "Add", classes, half, -2);
    net_must(net, graph_infer_node(net->graph, net->graph->node_count - 1, &net->err));
    return loss;
}

/* Adam as ten_steps_expected.h has it, or SGD. */
static inline struct train_options options_of(bool adam)
{
    struct train_options options = TRAIN_OPTIONS_DEFAULT;
    if (adam) {
        options.clip_norm = 0.3f;
        return options;
    }
    options.optimiser = OPTIMISER_SGD;
    options.momentum = 0.9f;
    options.weight_decay = 1e-3f;
    return options;
}

static inline void build(struct net *net, const struct train_options *options)
{
    build_model(net);
    int loss = add_loss(net);
    net_must(net, train_make(net->graph, loss, options, &net->err));
}

/* ---- runs ---- */

struct run {
    double loss[STEPS];
    double weights, means, variances; /* sums of magnitudes at the end */
};

static inline void make_data(struct net *net, struct tensor data[INPUTS + 1], bool adam)
{
    for (int i = 0; i <= INPUTS; i++) {
        const struct value *value = &net->graph->values[net->graph->inputs[i]];
        net_must(net, tensor_create(&data[i], value->type, &value->shape, &net->err));
        for (int64_t k = 0, n = shape_elements(&value->shape); k < n; k++) {
            double x = i < INPUTS ? mixed(101 + (uint32_t)i, (uint32_t)k) : adam ? 0.01 : 0.05;
            if (value->type == TENSOR_I64)
                ((int64_t *)data[i].data)[k] = (int64_t)floor((x + 1) * 3);
            else if (value->type == TENSOR_F64)
                ((double *)data[i].data)[k] = (double)(float)x;
            else
                ((float *)data[i].data)[k] = (float)x;
        }
    }
}

static inline void add_magnitudes(struct run *run, const char *name, const struct tensor *state)
{
    double sum = 0;
    if (!*name || strstr(name, ".moment") || strstr(name, TRAIN_AVERAGE_SUFFIX))
        return;
    for (int64_t i = 0, n = shape_elements(&state->shape); i < n; i++)
        sum += fabs(state->type == TENSOR_F64 ? ((const double *)state->data)[i]
                                              : (double)((const float *)state->data)[i]);
    *(strncmp(name, "mean", 4) == 0       ? &run->means
      : strncmp(name, "variance", 8) == 0 ? &run->variances
                                          : &run->weights) += sum;
}

static inline struct plan *compile(struct net *net, enum precision precision)
{
    struct plan *plan;
    struct plan_options options = { .precision = precision };
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    return plan;
}

static inline void run_steps(struct net *net, struct plan *plan, bool adam, struct run *run)
{
    struct tensor data[INPUTS + 1];
    make_data(net, data, adam);
    *run = (struct run){ 0 };
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i <= INPUTS; i++)
            memcpy(plan_input(plan, (size_t)i)->data, data[i].data, tensor_bytes(&data[i]));
        net_must(net, plan_run(plan, &net->err));
        run->loss[step] = (double)*(float *)plan_output(plan, plan_output_count(plan) - 1)->data;
    }
    net_must(net, plan_get_states(plan, &net->err));
    for (size_t i = 0; i < plan_state_count(plan); i++)
        add_magnitudes(run, plan_state_name(plan, i), plan_state(plan, i));
    for (int i = 0; i <= INPUTS; i++)
        tensor_free(&data[i]);
}

static inline void run_plan(struct net *net, enum precision precision, bool adam, struct run *run)
{
    struct plan *plan = compile(net, precision);
    run_steps(net, plan, adam, run);
    plan_free(&plan);
}

static inline void compare_number(const char *what, double got, double wanted, double bound)
{
    if (!(fabs(got - wanted) <= bound * fabs(wanted)))
        fail_msg("%s: %.17g, expected %.17g", what, got, wanted);
}

static inline void compare(const char *what, const struct run *run,
                           const struct ten_steps_expected *wanted, double bound, double sums_bound)
{
    double worst = 0;
    for (int i = 0; i < STEPS; i++) {
        worst = fmax(worst, fabs(run->loss[i] / wanted->loss[i] - 1));
        compare_number(what, run->loss[i], wanted->loss[i], bound);
    }
    compare_number(what, run->weights, wanted->weights, sums_bound);
    compare_number(what, run->means, wanted->means, sums_bound);
    compare_number(what, run->variances, wanted->variances, sums_bound);
    print_message("%s: losses within %.2g\n", what, worst);
}

/* ---- tests ---- */

/* How far precisions besides f32 may be off, in losses and in sums at the end. Layers as thin as these are
 * hardly worth bf16x3: pixels is. Ten steps in bf16 were 8.4e-4 off on the emulated GPU and 7.6e-4 on the
 * processor; sums of running means, which are small beside what they are the means of, 0.13 and 0.19. tf32
 * is f32 on the emulated GPU. */
static const struct precision_bound {
    enum precision precision;
    double losses, sums;
} precision_bounds[] = {
    { PRECISION_BF16X3, FLOAT_BOUND_PYTORCH, FLOAT_BOUND_PYTORCH },
    { PRECISION_BF16, 3e-3, 0.3 },
};

static inline void replay(bool adam)
{
    struct net net;
    struct run run;
    const struct train_options options = options_of(adam);
    const struct ten_steps_expected *wide = adam ? &adam_f64 : &sgd_f64;

    build(&net, &options);
    run_plan(&net, PRECISION_F32, adam, &run);
    compare("f32, beside doubles", &run, wide, FLOAT_BOUND_OURS, FLOAT_BOUND_OURS);
    compare("f32, beside PyTorch's floats", &run, adam ? &adam_f32 : &sgd_f32, FLOAT_BOUND_PYTORCH,
            FLOAT_BOUND_PYTORCH);
    for (size_t i = 0; i < sizeof precision_bounds / sizeof *precision_bounds; i++) {
        enum precision precision = precision_bounds[i].precision;
        char what[32];
        snprintf(what, sizeof what, "%s, beside doubles", precision_word(precision));
        if (!device_has(device, precision))
            continue;
        run_plan(&net, precision, adam, &run);
        compare(what, &run, wide, precision_bounds[i].losses, precision_bounds[i].sums);
    }
    net_end(&net);
}

static inline void adam_gives_the_losses_of_pytorch(void **state)
{
    (void)state;
    replay(true);
}

static inline void sgd_gives_the_losses_of_pytorch(void **state)
{
    (void)state;
    replay(false);
}

static inline void recomputing_changes_nothing(void **state)
{
    (void)state;
    struct net net;
    struct run runs[2];
    for (int i = 0; i < 2; i++) {
        struct train_options options = options_of(true);
        options.recompute = i == 1;
        build(&net, &options);
        run_plan(&net, PRECISION_F32, true, &runs[i]);
        net_end(&net);
    }
    assert_memory_equal(&runs[0], &runs[1], sizeof runs[0]);
}

static inline bool is_scores(const char *name, void *arg)
{
    (void)arg;
    return strncmp(name, "scores", 6) == 0;
}

static const struct tensor *find_state(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan_state_count(plan); i++)
        if (strcmp(plan_state_name(plan, i), name) == 0)
            return plan_state(plan, i);
    return NULL;
}

/* Only one layer learns: nothing else becomes a state, and batch normalisation stays frozen. What was
 * learnt goes back into the model, plain and averaged. */
static inline void frozen_parts_stay_and_weights_come_back(void **state)
{
    struct net net, model;
    struct run run;
    struct train_options options = options_of(true);
    (void)state;
    options.learns = is_scores;
    options.average_decay = 0.5f;
    build(&net, &options);
    struct plan *plan = compile(&net, PRECISION_F32);
    for (int i = 0; i < net.graph->node_count; i++) {
        const char *op = net.graph->nodes[i].op->name;
        assert_string_not_equal(op, "conv_grad_input");
        assert_string_not_equal(op, "batch_norm_train");
    }
    assert_null(find_state(plan, "conv1"));
    run_steps(&net, plan, true, &run);
    assert_true(run.loss[STEPS - 1] < run.loss[0]);

    const struct tensor *weight = find_state(plan, "scores");
    const struct tensor *average = find_state(plan, "scores" TRAIN_AVERAGE_SUFFIX);
    assert_non_null(weight);
    assert_non_null(average);
    build_model(&model);
    int constant = 0;
    while (strcmp(model.graph->values[constant].name, "scores") != 0)
        constant++;
    const struct tensor *held = &model.graph->values[constant].constant;
    assert_memory_not_equal(held->data, weight->data, tensor_bytes(weight));
    assert_int_equal(train_store(plan, model.graph, "", false, &model.err), 2);
    assert_memory_equal(held->data, weight->data, tensor_bytes(weight));
    assert_int_equal(train_store(plan, model.graph, "", true, &model.err), 2);
    assert_memory_equal(held->data, average->data, tensor_bytes(average));
    assert_memory_not_equal(held->data, weight->data, tensor_bytes(weight));
    net_end(&model);
    plan_free(&plan);
    net_end(&net);
}

#endif
