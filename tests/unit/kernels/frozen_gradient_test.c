/* Proves that gradients go through a frozen network into a restorer in front of it
 * (frozen_gradient_check.h) on the cpu device. In doubles the gradient of the restorer's weights is
 * compared with central differences along random directions; the device's gradients in each precision
 * are compared with the doubles.
 *
 * A relu whose input is nearer to 0 than the forward pass is exact turns over, and its gradient is
 * another one, however well it is computed: in twinlitenet enough of them do so to be 7e-5 off in f32,
 * and 1.3e-3 in bf16x3, whose forward pass is ten times less exact. So bf16x3 is also held to its bound
 * where nothing can turn over: from the activations of the doubles backwards. */
#include "cpu_device.h"
#include "frozen_gradient_check.h"

#include <assert.h>
#include <unistd.h>

#define DIRECTIONS 3
/* Along a direction of length 1. Small, so that hardly any relu turns over within it; enough of the
 * loss's digits is left. */
#define STEP 3e-8
#define SLOPE_BOUND 1e-5 /* relative */

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
    struct trial trial;
    struct net *net = &trial.net;
    trial_begin(&trial, path, rows, columns);
    compare_differences(net, trial.wide_loss, &trial.wide_input, trial.results + 1);
    compare_device(net, net->graph, PRECISION_F32, DEVICE_BOUND, &trial.input, trial.results,
                   "gradients");
    compare_device(net, net->graph, PRECISION_BF16X3, in_parts, &trial.input, trial.results,
                   "gradients");
    compare_backwards(net, trial.wide, &trial.wide_input, trial.results);
    trial_end(&trial);
}

static void through_the_default_detector(void **state)
{
    (void)state;
    check(DETECTOR, DETECTOR_ROWS, DETECTOR_COLUMNS, DEVICE_BOUND);
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
    return cmocka_run_group_tests(tests, open_device, close_device);
}
