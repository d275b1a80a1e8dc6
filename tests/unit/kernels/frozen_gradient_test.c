/* Proves that gradients go through a frozen network into a restorer in front of it, in one graph: an
 * x2 network (convolutions, relu, pixel shuffle) with a detector or a segmenter behind it, and how far
 * their answers are from some others as the loss. In doubles the gradient of the restorer's weights is
 * compared with central differences along random directions; the device's gradients in each precision
 * are compared with the doubles.
 *
 * A relu whose input is nearer to 0 than the forward pass is exact turns over, and its gradient is
 * another one, however well it is computed: in twinlitenet enough of them do so to be 7e-5 off in f32,
 * and 1.3e-3 in bf16x3, whose forward pass is ten times less exact. So bf16x3 is also held to its bound
 * where nothing can turn over: from the activations of the doubles backwards. */
#include "cpu_check.h"
#include "lab/double.h"
#include "onnx/onnx.h"
#include "passes/autodiff.h"
#include "passes/pass.h"
#include "train/loss.h"

#include <assert.h>
#include <unistd.h>

#define WEIGHTS_MAX 8
#define DIRECTIONS 3
/* Along a direction of length 1. Small, so that hardly any relu turns over within it; enough of the
 * loss's digits is left. */
#define STEP 3e-8
#define SLOPE_BOUND 1e-5 /* relative */
#define DEVICE_BOUND 1e-4
#define CHARBONNIER_EPSILON 1e-3f

static int add_conv(struct net *net, int x, int64_t in, int64_t out, int *weights, int *weight_count)
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
static int add_restorer(struct net *net, int x, int *weights, int *weight_count)
{
    int first = add_conv(net, x, 3, 16, weights, weight_count);
    int features = net_node(net, "Relu", first, -2);
    int second = add_conv(net, features, 16, 12, weights, weight_count);
    int shuffled = net_node(net, "DepthToSpace", second, -2);
    net_int(net, "blocksize", 2);
    return shuffled;
}

/* A picture with edges and shades; no camera is needed to differentiate. */
static void draw(struct tensor *picture)
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
static void build(struct net *net, const char *path, int64_t rows, int64_t columns)
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
static void differentiate(struct net *net)
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

static double run_loss(struct net *net, struct graph *wide, const struct tensor *input)
{
    struct tensor loss = { 0 };
    net_must(net, graph_run_reference(wide, &input, &loss, &net->err));
    double number = *(double *)loss.data;
    tensor_free(&loss);
    return number;
}

/* Moves all states along a direction. */
static void shift(struct graph *wide, struct tensor *direction, double by)
{
    for (int i = 0; i < wide->state_count; i++) {
        double *data = wide->values[wide->states[i]].state.data;
        assert(direction[i].data);
        for (int64_t k = 0, n = shape_elements(&direction[i].shape); k < n; k++)
            data[k] += by * ((double *)direction[i].data)[k];
    }
}

/* Random and of length 1 over all states; gives the slope that the gradients say. */
static double choose_direction(struct net *net, const struct graph *wide,
                               const struct tensor *gradients, struct tensor *direction)
{
    double squares = 0, slope = 0;
    for (int i = 0; i < wide->state_count; i++) {
        double *data = direction[i].data;
        for (int64_t k = 0, n = shape_elements(&direction[i].shape); k < n; k++) {
            data[k] = 2 * random_next_unit(&net->random) - 1;
            squares += data[k] * data[k];
        }
    }
    for (int i = 0; i < wide->state_count; i++) {
        double *data = direction[i].data;
        for (int64_t k = 0, n = shape_elements(&direction[i].shape); k < n; k++) {
            data[k] /= sqrt(squares);
            slope += data[k] * ((double *)gradients[i].data)[k];
        }
    }
    return slope;
}

static void compare_differences(struct net *net, struct graph *wide, const struct tensor *input,
                                const struct tensor *gradients)
{
    struct tensor direction[WEIGHTS_MAX] = { 0 };
    for (int i = 0; i < wide->state_count; i++)
        net_must(net, tensor_create(&direction[i], TENSOR_F64, &gradients[i].shape, &net->err));
    for (int d = 0; d < DIRECTIONS; d++) {
        double slope = choose_direction(net, wide, gradients, direction);
        shift(wide, direction, STEP);
        double above = run_loss(net, wide, input);
        shift(wide, direction, -2 * STEP);
        double below = run_loss(net, wide, input);
        shift(wide, direction, STEP);
        double difference = (above - below) / (2 * STEP);
        print_message("slope %.9g, difference %.9g\n", slope, difference);
        assert_true(fabs(slope - difference) <= SLOPE_BOUND * fabs(difference));
    }
    for (int i = 0; i < wide->state_count; i++)
        tensor_free(&direction[i]);
}

static double error_of(const struct tensor *got, const struct tensor *wide)
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
static void compare_device(struct net *net, struct graph *graph, enum precision precision,
                           double bound, const struct tensor *inputs,
                           const struct tensor *wide_results, const char *what)
{
    struct device *device;
    struct device_info info;
    struct plan *plan;
    double worst = 0;
    net_must(net, device_open(&device, "cpu:threads=2", &net->err));
    device_get_info(device, &info);
    if (precision == PRECISION_F32 || info.bf16) {
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
    } else {
        print_message("SKIP REASON: frozen_gradient_test: no bf16 arithmetic\n");
    }
    device_close(&device);
}

/* ---- backwards from the activations of the doubles ---- */

/* Marks the nodes that a value depends on. */
static void mark_needed(const struct graph *graph, int value, bool *needed)
{
    int producer = value < 0 ? -1 : graph->values[value].producer;
    if (producer < 0 || needed[producer])
        return;
    needed[producer] = true;
    for (int k = 0; k < graph->nodes[producer].input_count; k++)
        mark_needed(graph, graph->nodes[producer].inputs[k], needed);
}

/* What nodes that make the loss hand to those that do not. */
static int find_activations(struct net *net, int *activations)
{
    const struct graph *graph = net->graph;
    bool *forward = calloc((size_t)graph->node_count, sizeof *forward);
    bool *handed = calloc((size_t)graph->value_count, sizeof *handed);
    int count = 0;
    assert_true(forward && handed);
    mark_needed(graph, graph->outputs[0], forward);
    for (int n = 0; n < graph->node_count; n++)
        for (int k = 0; !forward[n] && k < graph->nodes[n].input_count; k++) {
            int value = graph->nodes[n].inputs[k];
            int producer = value < 0 ? -1 : graph->values[value].producer;
            if (producer < 0 || !forward[producer] || handed[value])
                continue;
            handed[value] = true;
            activations[count++] = value;
        }
    free(forward);
    free(handed);
    return count;
}

static void forget_outputs(struct graph *graph)
{
    for (int i = 0; i < graph->output_count; i++)
        graph->values[graph->outputs[i]].is_output = false;
    graph->output_count = 0;
}

/* The value is read as an input of the graph; what made it writes to nowhere. */
static void cut_before(struct net *net, struct graph *graph, int value)
{
    int producer = graph->values[value].producer;
    int aside = graph_add_value(graph, "aside", graph->values[value].type,
                                &graph->values[value].shape, &net->err);
    net_must(net, aside);
    for (int k = 0; k < graph->nodes[producer].output_count; k++)
        if (graph->nodes[producer].outputs[k] == value)
            graph->nodes[producer].outputs[k] = aside;
    graph->values[aside].producer = producer;
    graph->values[value].producer = -1;
    net_must(net, graph_mark_input(graph, value, &net->err));
}

static void compare_backwards(struct net *net, const struct graph *wide,
                              const struct tensor *wide_input, const struct tensor *wide_results)
{
    struct graph *forward = NULL, *backward = NULL;
    int *activations = calloc((size_t)net->graph->value_count, sizeof *activations);
    assert_non_null(activations);
    int count = find_activations(net, activations);
    struct tensor *numbers = calloc((size_t)count + 1, sizeof *numbers);
    struct tensor *floats = calloc((size_t)count + 1, sizeof *floats);
    assert_true(numbers && floats);

    net_must(net, graph_clone(&forward, wide, &net->err));
    forget_outputs(forward);
    for (int i = 0; i < count; i++)
        net_must(net, graph_mark_output(forward, activations[i], &net->err));
    net_must(net, graph_run_reference(forward, &wide_input, numbers + 1, &net->err));
    net_must(net, graph_clone(&backward, net->graph, &net->err));
    forget_outputs(backward);
    for (int i = 1; i < net->graph->output_count; i++)
        net_must(net, graph_mark_output(backward, net->graph->outputs[i], &net->err));
    for (int i = 0; i < count; i++)
        cut_before(net, backward, activations[i]);
    net_must(net, graph_sort(backward, &net->err));
    net_must(net, graph_infer(backward, NULL, &net->err));

    net_must(net, tensor_create(&numbers[0], TENSOR_F64, &wide_input->shape, &net->err));
    memcpy(numbers[0].data, wide_input->data, tensor_bytes(wide_input));
    for (int i = 0; i <= count; i++) {
        net_must(net, tensor_create(&floats[i], TENSOR_F32, &numbers[i].shape, &net->err));
        for (int64_t k = 0, n = shape_elements(&numbers[i].shape); k < n; k++)
            ((float *)floats[i].data)[k] = (float)((double *)numbers[i].data)[k];
    }
    print_message("%d activations\n", count);
    compare_device(net, backward, PRECISION_F32, DEVICE_BOUND, floats, wide_results + 1, "backwards");
    compare_device(net, backward, PRECISION_BF16X3, DEVICE_BOUND, floats, wide_results + 1,
                   "backwards");
    for (int i = 0; i <= count; i++) {
        tensor_free(&numbers[i]);
        tensor_free(&floats[i]);
    }
    free(numbers);
    free(floats);
    free(activations);
    graph_free(&forward);
    graph_free(&backward);
}

/* in_parts: the bound of bf16x3 over loss and gradients, 0 for none. */
static void check(const char *path, int64_t rows, int64_t columns, double in_parts)
{
    struct net net;
    struct graph *wide_loss = NULL, *wide = NULL;
    struct tensor input, wide_input, results[WEIGHTS_MAX + 1] = { 0 };
    build(&net, path, rows, columns);
    net_must(&net, graph_clone(&wide_loss, net.graph, &net.err));
    net_must(&net, graph_to_double(wide_loss, &net.err));
    differentiate(&net);
    net_must(&net, graph_clone(&wide, net.graph, &net.err));
    net_must(&net, graph_to_double(wide, &net.err));
    const struct shape *shape = &net.graph->values[net.graph->inputs[0]].shape;
    net_must(&net, tensor_create(&input, TENSOR_F32, shape, &net.err));
    net_must(&net, tensor_create(&wide_input, TENSOR_F64, shape, &net.err));
    draw(&input);
    for (int64_t i = 0, n = shape_elements(shape); i < n; i++)
        ((double *)wide_input.data)[i] = (double)((float *)input.data)[i];

    net_must(&net,
             graph_run_reference(wide, (const struct tensor *[]){ &wide_input }, results, &net.err));
    compare_differences(&net, wide_loss, &wide_input, results + 1);
    compare_device(&net, net.graph, PRECISION_F32, DEVICE_BOUND, &input, results, "gradients");
    compare_device(&net, net.graph, PRECISION_BF16X3, in_parts, &input, results, "gradients");
    compare_backwards(&net, wide, &wide_input, results);

    for (int i = 0; i < wide->output_count; i++)
        tensor_free(&results[i]);
    tensor_free(&input);
    tensor_free(&wide_input);
    graph_free(&wide_loss);
    graph_free(&wide);
    net_end(&net);
}

static void through_the_default_detector(void **state)
{
    (void)state;
    check("models/street_det/street_det.onnx", 32, 48, DEVICE_BOUND);
}

static void through_twinlitenet(void **state)
{
    char path[512];
    const char *data = getenv("TEST_DATA");
    (void)state;
    snprintf(path, sizeof path, "%s/models/twinlitenet.onnx", data ? data : "../shared/data");
    if (access(path, R_OK)) {
        print_message("SKIP REASON: no %s\n", path);
        skip();
    }
    check(path, 180, 320, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_the_default_detector),
        cmocka_unit_test(through_twinlitenet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
