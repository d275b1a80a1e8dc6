/* frozen_gradient_check: gradients through a frozen network into a restorer in front of it, in one graph:
 * an x2 network (convolutions, relu, pixel shuffle) with a detector or a segmenter behind it, and how far
 * their answers are from some others as the loss. The gradients of `device`, which the including test
 * opens (cpu_device.h or cuda_emulated.h), are compared with those of doubles. */
#ifndef RUNESPOOR_TESTS_FROZEN_GRADIENT_CHECK_H
#define RUNESPOOR_TESTS_FROZEN_GRADIENT_CHECK_H

#include "cpu_check.h"
#include "lab/double.h"
#include "onnx/onnx.h"
#include "passes/autodiff.h"
#include "passes/pass.h"
#include "train/loss.h"

#define WEIGHTS_MAX 8
#define DEVICE_BOUND 1e-4
#define CHARBONNIER_EPSILON 1e-3f
#define DETECTOR "models/street_det/street_det.onnx"
#define DETECTOR_ROWS 32
#define DETECTOR_COLUMNS 48

static inline int add_conv(struct net *net, int x, int64_t in, int64_t out, int *weights,
                           int *weight_count)
{
    double limit = sqrt(6.0 / (double)(9 * in)); /* keeps activations near 1 */
    int kernel = net_constant(net, SHAPE(out, in, 3, 3), -limit, limit);
    int bias = net_constant(net, SHAPE(out), 0, 0.2);
    int y = net_node(net, "Conv", x, kernel, bias, -2);
    LIST(net, "pads", 1, 1, 1, 1);
    weights[(*weight_count)++] = kernel;
    weights[(*weight_count)++] = bias;
    return y;
}

/* x2: 3 channels in, 3 channels of twice the size out. */
static inline int add_restorer(struct net *net, int x, int *weights, int *weight_count)
{
    int first = add_conv(net, x, 3, 16, weights, weight_count);
    int features = net_node(net, "Relu", first, -2);
    int second = add_conv(net, features, 16, 12, weights, weight_count);
    int shuffled = net_node(net, "DepthToSpace", second, -2);
    net_int(net, "blocksize", 2);
    return shuffled;
}

/* A picture with edges and shades; no camera is needed to differentiate. */
static inline void draw(struct tensor *picture)
{
    int64_t rows = picture->shape.dim[2], columns = picture->shape.dim[3];
    float *data = picture->data;
    for (int64_t c = 0; c < picture->shape.dim[1]; c++)
        for (int64_t y = 0; y < rows; y++)
            for (int64_t x = 0; x < columns; x++)
                *data++ = (float)(0.5 + 0.3 * sin((double)(x + 3 * c) / 5) * cos((double)y / 7) +
                                  (((x / 9 + y / 6) & 1) ? 0.15 : -0.1));
}

/* Restorer and frozen network as one inferred graph whose states are the restorer's weights, with the
 * loss as its last output. */
static inline void build(struct net *net, const char *path, int64_t rows, int64_t columns)
{
    struct graph *frozen = NULL;
    struct shape shape = { .rank = 4, .dim = { 1, 3, 2 * rows, 2 * columns } };
    int weights[WEIGHTS_MAX], weight_count = 0, outputs[GRAPH_NODE_INPUTS_MAX];
    net_begin(net, 1);
    net_must(net, onnx_read_file(&frozen, path, &net->err));
    net_must(net, graph_infer(frozen, &shape, &net->err));
    net_must(net, pass_drop_noop(frozen, &net->err));
    net_must(net, pass_fold_affine(frozen, &net->err));
    int low = net_input(net, SHAPE(1, 3, rows, columns));
    int restored = add_restorer(net, low, weights, &weight_count);
    net_must(net, graph_embed(net->graph, frozen, "frozen/", &restored, outputs, &net->err));
    for (int i = 0; i < frozen->output_count; i++)
        net_output(net, outputs[i]);
    for (int i = 0; i < weight_count; i++)
        net_must(net, graph_mark_state(net->graph, weights[i], &net->err));
    net_infer(net);
    int sum = -1;
    for (int i = 0; i < frozen->output_count; i++) {
        int answer = net->graph->outputs[i];
        int target = net_constant(net, &net->graph->values[answer].shape, 0, 1);
        int loss = loss_charbonnier(net->graph, answer, target, CHARBONNIER_EPSILON, &net->err);
        net_must(net, loss);
        sum = sum < 0 ? loss : net_node(net, "Add", sum, loss, -2);
    }
    for (int i = 0; i < net->graph->output_count; i++)
        net->graph->values[net->graph->outputs[i]].is_output = false;
    net->graph->output_count = 0;
    net_output(net, sum);
    net_infer(net);
    graph_free(&frozen);
}

/* Adds the gradients of all states as outputs behind the loss. */
static inline void differentiate(struct net *net)
{
    int gradients[WEIGHTS_MAX];
    struct autodiff autodiff = {
        .of = net->graph->outputs,
        .of_count = 1,
        .with = net->graph->states,
        .with_count = net->graph->state_count,
    };
    net_must(net, pass_autodiff(net->graph, &autodiff, gradients, &net->err));
    for (int i = 0; i < net->graph->state_count; i++) {
        assert_true(gradients[i] >= 0);
        net_output(net, gradients[i]);
    }
}

static inline double error_of(const struct tensor *got, const struct tensor *wide)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0, n = shape_elements(&wide->shape); i < n; i++) {
        double a = (double)((const float *)got->data)[i], b = ((const double *)wide->data)[i];
        difference += (a - b) * (a - b);
        norm += b * b;
    }
    return sqrt(difference / norm);
}

/* Runs the graph; each output is within bound of what is expected (any, if that is 0). */
static inline void compare_device(struct net *net, struct graph *graph, enum precision precision,
                                  double bound, const struct tensor *inputs,
                                  const struct tensor *wide_results, const char *what)
{
    struct plan *plan;
    double worst = 0;
    if (!device_has(device, precision)) {
        print_message("SKIP REASON: frozen_gradient_test: no %s arithmetic\n",
                      precision_word(precision));
        return;
    }
    net_must(net, device_compile(device, graph, &(struct plan_options){ .precision = precision },
                                 &plan, &net->err));
    for (size_t i = 0; i < plan_input_count(plan); i++)
        memcpy(plan_input(plan, i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
    net_must(net, plan_run(plan, &net->err));
    for (size_t i = 0; i < plan_output_count(plan); i++) {
        double error = error_of(plan_output(plan, i), &wide_results[i]);
        worst = error > worst ? error : worst;
    }
    print_message("%s, %s: %.3g off at most\n", precision_word(precision), what, worst);
    assert_true(bound == 0 || worst <= bound);
    plan_free(&plan);
}

/* A graph with its gradients, in floats and in doubles, and what the latter gives. */
struct trial {
    struct net net;
    struct graph *wide_loss, *wide; /* without and with gradients */
    struct tensor input, wide_input, results[WEIGHTS_MAX + 1];
};

static inline void trial_begin(struct trial *trial, const char *path, int64_t rows, int64_t columns)
{
    *trial = (struct trial){ 0 };
    struct net *net = &trial->net;
    build(net, path, rows, columns);
    net_must(net, graph_clone(&trial->wide_loss, net->graph, &net->err));
    net_must(net, graph_to_double(trial->wide_loss, &net->err));
    differentiate(net);
    net_must(net, graph_clone(&trial->wide, net->graph, &net->err));
    net_must(net, graph_to_double(trial->wide, &net->err));
    const struct shape *shape = &net->graph->values[net->graph->inputs[0]].shape;
    net_must(net, tensor_create(&trial->input, TENSOR_F32, shape, &net->err));
    net_must(net, tensor_create(&trial->wide_input, TENSOR_F64, shape, &net->err));
    draw(&trial->input);
    for (int64_t i = 0, n = shape_elements(shape); i < n; i++)
        ((double *)trial->wide_input.data)[i] = (double)((float *)trial->input.data)[i];
    net_must(net, graph_run_reference(trial->wide, (const struct tensor *[]){ &trial->wide_input },
                                      trial->results, &net->err));
}

static inline void trial_end(struct trial *trial)
{
    for (int i = 0; i < trial->wide->output_count; i++)
        tensor_free(&trial->results[i]);
    tensor_free(&trial->input);
    tensor_free(&trial->wide_input);
    graph_free(&trial->wide_loss);
    graph_free(&trial->wide);
    net_end(&trial->net);
}

#endif
