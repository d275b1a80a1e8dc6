/* gradient_check: the gradients of a small net with respect to all its inputs, three ways. In doubles
 * (lab/double.h) they are compared with central differences, element by element; the float
 * interpreter and the cpu device are then compared with the doubles.
 *
 *     net_begin(&net, 1);
 *     int x = net_input(&net, SHAPE(2, 3)), y = net_node(&net, "Relu", x, -2);
 *     net_output(&net, y);
 *     gradient_check(&net, device, "relu");
 *     net_end(&net);
 *
 * Inputs are random in [-1, 1]. */
#ifndef RUNESPOOR_TESTS_GRADIENT_CHECK_H
#define RUNESPOOR_TESTS_GRADIENT_CHECK_H

#include "cpu_check.h"
#include "lab/double.h"
#include "passes/autodiff.h"

#define GRADIENT_OUTPUTS_MAX 8
#define DIFFERENCE_STEP 1e-5  /* of central differences; their error is its square */
#define DIFFERENCE_BOUND 1e-6 /* of the gradient's largest element or 1, whichever is larger */
#define DIFFERENCE_ELEMENTS_MAX 200 /* of an input; of larger ones every n-th is tried */
#define FLOAT_BOUND 1e-5

static inline void gradient_run(struct net *net, struct graph *graph, struct tensor *inputs,
                                struct tensor *outputs)
{
    const struct tensor *list[CHECK_INPUTS_MAX];
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    net_must(net, graph_run_reference(graph, list, outputs, &net->err));
}

/* The sum over all outputs of output times seed: what is differentiated. */
static inline double gradient_target(struct net *net, struct graph *wide, struct tensor *inputs,
                                     const struct tensor *seeds)
{
    struct tensor outputs[GRADIENT_OUTPUTS_MAX] = { 0 };
    double sum = 0;
    gradient_run(net, wide, inputs, outputs);
    for (int k = 0; k < wide->output_count; k++) {
        for (int64_t i = 0, n = shape_elements(&outputs[k].shape); i < n; i++)
            sum += ((double *)outputs[k].data)[i] * (double)((const float *)seeds[k].data)[i];
        tensor_free(&outputs[k]);
    }
    return sum;
}

static inline void gradient_compare_differences(struct net *net, struct graph *wide,
                                                struct tensor *inputs, const struct tensor *seeds,
                                                const struct tensor *gradients, const char *what)
{
    for (int k = 0; k < wide->input_count; k++) {
        double *data = inputs[k].data;
        const double *gradient = gradients[k].data;
        int64_t count = shape_elements(&inputs[k].shape), step = count / DIFFERENCE_ELEMENTS_MAX + 1;
        double scale = 1;
        for (int64_t i = 0; i < count; i++)
            scale = fmax(scale, gradient ? fabs(gradient[i]) : 0);
        for (int64_t i = 0; i < count; i += step) {
            double x = data[i];
            data[i] = x + DIFFERENCE_STEP;
            double above = gradient_target(net, wide, inputs, seeds);
            data[i] = x - DIFFERENCE_STEP;
            double below = gradient_target(net, wide, inputs, seeds);
            data[i] = x;
            double slope = (above - below) / (2 * DIFFERENCE_STEP);
            double given = gradient ? gradient[i] : 0;
            if (!(fabs(slope - given) <= DIFFERENCE_BOUND * scale))
                fail_msg("%s: input %d, element %lld: gradient %.9g, difference %.9g", what, k,
                         (long long)i, given, slope);
        }
    }
}

static inline double gradient_error(const struct tensor *got, const struct tensor *wide)
{
    struct tensor narrow;
    struct error err;
    assert_int_equal(tensor_create(&narrow, TENSOR_F32, &wide->shape, &err), 0);
    for (int64_t i = 0, n = shape_elements(&wide->shape); i < n; i++)
        ((float *)narrow.data)[i] = (float)((const double *)wide->data)[i];
    double error = relative_error(got, &narrow);
    tensor_free(&narrow);
    return error;
}

/* Makes the graph's outputs the gradients of its inputs. present[k]: input k has one; the others are
 * left out of the outputs. */
static inline void gradient_build(struct net *net, const struct tensor *seeds, bool *present)
{
    struct graph *graph = net->graph;
    int seed_values[GRADIENT_OUTPUTS_MAX], gradients[CHECK_INPUTS_MAX];
    for (int k = 0; k < graph->output_count; k++) {
        struct tensor copy;
        net_must(net, tensor_create(&copy, TENSOR_F32, &seeds[k].shape, &net->err));
        memcpy(copy.data, seeds[k].data, tensor_bytes(&copy));
        seed_values[k] = graph_add_constant(graph, "seed", &copy, &net->err);
        net_must(net, seed_values[k]);
    }
    struct autodiff autodiff = {
        .of = graph->outputs,
        .seeds = seed_values,
        .of_count = graph->output_count,
        .with = graph->inputs,
        .with_count = graph->input_count,
    };
    net_must(net, pass_autodiff(graph, &autodiff, gradients, &net->err));
    for (int k = 0; k < graph->output_count; k++)
        graph->values[graph->outputs[k]].is_output = false;
    graph->output_count = 0;
    for (int k = 0; k < graph->input_count; k++) {
        present[k] = gradients[k] >= 0;
        if (present[k])
            net_output(net, gradients[k]);
    }
    net_must(net, graph_sort(graph, &net->err));
    net_must(net, graph_sweep(graph, &net->err));
}

static inline void gradient_check_plan(struct net *net, struct device *device,
                                       enum precision precision, double bound,
                                       const struct tensor *inputs, const struct tensor *wide,
                                       const char *what)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = precision };
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    for (int run = 0; run < 2; run++) { /* the second finds other content in reused memory */
        for (int i = 0; i < net->graph->input_count; i++)
            memcpy(plan_input(plan, (size_t)i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
        net_must(net, plan_run(plan, &net->err));
        for (int k = 0; k < net->graph->output_count; k++) {
            double error = gradient_error(plan_output(plan, (size_t)k), &wide[k]);
            if (!(error <= bound))
                fail_msg("%s: run %d, gradient %d is %.3g off on the device", what, run, k, error);
        }
    }
    plan_free(&plan);
}

/* device may be NULL. bf16_bound: how far bf16 may be off; 0: not tried. */
static inline void gradient_check_bf16(struct net *net, struct device *device, double bf16_bound,
                                       const char *what)
{
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, wide_inputs[CHECK_INPUTS_MAX] = { 0 };
    struct tensor seeds[GRADIENT_OUTPUTS_MAX] = { 0 }, results[CHECK_INPUTS_MAX] = { 0 };
    struct tensor wide_results[CHECK_INPUTS_MAX] = { 0 }, by_input[CHECK_INPUTS_MAX] = { 0 };
    struct graph *wide = NULL, *wide_gradients = NULL;
    bool present[CHECK_INPUTS_MAX];

    net_infer(net);
    assert_true(net->graph->output_count <= GRADIENT_OUTPUTS_MAX);
    net_make_inputs(net, inputs);
    for (int k = 0; k < net->graph->output_count; k++) {
        net_must(net, tensor_create(&seeds[k], TENSOR_F32,
                                    &net->graph->values[net->graph->outputs[k]].shape, &net->err));
        net_fill(net, &seeds[k], -1, 1);
    }
    net_must(net, graph_clone(&wide, net->graph, &net->err));
    net_must(net, graph_to_double(wide, &net->err));
    gradient_build(net, seeds, present);
    net_must(net, graph_clone(&wide_gradients, net->graph, &net->err));
    net_must(net, graph_to_double(wide_gradients, &net->err));
    for (int k = 0; k < net->graph->input_count; k++) {
        net_must(net, tensor_create(&wide_inputs[k], TENSOR_F64, &inputs[k].shape, &net->err));
        for (int64_t i = 0, n = shape_elements(&inputs[k].shape); i < n; i++)
            ((double *)wide_inputs[k].data)[i] = (double)((float *)inputs[k].data)[i];
    }
    gradient_run(net, wide_gradients, wide_inputs, wide_results);
    for (int k = 0, next = 0; k < net->graph->input_count; k++)
        if (present[k])
            by_input[k] = wide_results[next++];
    gradient_compare_differences(net, wide, wide_inputs, seeds, by_input, what);

    gradient_run(net, net->graph, inputs, results);
    for (int k = 0; k < net->graph->output_count; k++) {
        double error = gradient_error(&results[k], &wide_results[k]);
        if (!(error <= FLOAT_BOUND))
            fail_msg("%s: gradient %d is %.3g off in floats", what, k, error);
    }
    if (device) {
        struct device_info info;
        gradient_check_plan(net, device, PRECISION_F32, FLOAT_BOUND, inputs, wide_results, what);
        device_get_info(device, &info);
        if (info.bf16 && bf16_bound > 0)
            gradient_check_plan(net, device, PRECISION_BF16, bf16_bound, inputs, wide_results, what);
    }
    for (int k = 0; k < CHECK_INPUTS_MAX; k++) {
        tensor_free(&inputs[k]);
        tensor_free(&wide_inputs[k]);
        tensor_free(&results[k]);
        tensor_free(&wide_results[k]);
    }
    for (int k = 0; k < GRADIENT_OUTPUTS_MAX; k++)
        tensor_free(&seeds[k]);
    graph_free(&wide);
    graph_free(&wide_gradients);
}

static inline void gradient_check(struct net *net, struct device *device, const char *what)
{
    gradient_check_bf16(net, device, 0, what);
}

#endif
