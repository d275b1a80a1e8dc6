/* derivative: differences are taken element by element, of some elements where there are many, and
 * once along a random direction in which all inputs move, which no wrong element can hide from. */
#include "lab/derivative.h"
#include "graph/reference.h"
#include "lab/compare.h"
#include "lab/double.h"
#include "passes/autodiff.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIFFERENCE_STEP 1e-5  /* the error of central differences is its square */
#define DIFFERENCE_BOUND 1e-6 /* of the gradient's largest element or 1, whichever is larger */
/* Of an input so many elements are tried, fewer of larger graphs. */
#define DIFFERENCE_ELEMENTS_MAX 200
#define DIFFERENCE_ELEMENTS_MIN 10
#define DIFFERENCE_WORK 400000 /* elements tried times elements of all values */

struct work {
    struct derivative *derivative;
    struct graph *graph;
    struct graph *wide;                           /* the graph in doubles, before and */
    struct graph *wide_gradients;                 /* after differentiation */
    int input_count, output_count;                /* of the graph before */
    int seeds[DERIVATIVE_VALUES_MAX];             /* values, or -1 */
    struct tensor weights[DERIVATIVE_VALUES_MAX]; /* what seeds hold */
    int place[DERIVATIVE_VALUES_MAX]; /* of each input's gradient in the outputs, or -1 */
    struct tensor wide_inputs[DERIVATIVE_VALUES_MAX];
    struct tensor expected[DERIVATIVE_VALUES_MAX]; /* gradients in doubles, in the outputs' order */
    struct error *err;
};

static int check(struct work *work);
static int make_seeds(struct work *work);
static int differentiate(struct work *work);
static int widen(struct work *work);
static int compare_elements(struct work *work, int input);
static int64_t elements_tried(const struct graph *graph);
static int compare_direction(struct work *work);
static int judge(struct work *work, double slope, double given, double scale, int input, int64_t at);
static int target(struct work *work, double *sum);
static int run_reference(struct work *work, struct graph *graph, const struct tensor *inputs,
                         struct tensor *outputs);
static int compare_floats(struct work *work);
static int compare_plan(struct work *work, enum precision precision, double bound, double *worst);
static double worst_error(const struct work *work, const struct tensor *got, int index,
                          double *worst);
static bool is_f32(const struct graph *graph, int value);

int derivative_check(struct graph *graph, struct derivative *derivative, struct error *err)
{
    struct work work = { .derivative = derivative, .graph = graph, .err = err };
    if (graph->input_count > DERIVATIVE_VALUES_MAX || graph->output_count > DERIVATIVE_VALUES_MAX)
        return error_set(err, ERROR_LIMIT, "derivative", "more than %d inputs or outputs",
                         DERIVATIVE_VALUES_MAX);
    derivative->difference_error = derivative->float_error = 0;
    derivative->f32_error = derivative->bf16_error = 0;
    derivative->compared = 0;
    int rc = check(&work);
    for (int k = 0; k < DERIVATIVE_VALUES_MAX; k++) {
        tensor_free(&work.weights[k]);
        tensor_free(&work.wide_inputs[k]);
        tensor_free(&work.expected[k]);
    }
    graph_free(&work.wide);
    graph_free(&work.wide_gradients);
    return rc;
}

static int check(struct work *work)
{
    struct derivative *derivative = work->derivative;
    struct device_info info = { 0 };
    work->input_count = work->graph->input_count;
    work->output_count = work->graph->output_count;
    int rc = graph_clone(&work->wide, work->graph, work->err);
    if (rc || (rc = graph_to_double(work->wide, work->err)) || (rc = make_seeds(work)) ||
        (rc = differentiate(work)) ||
        (rc = graph_clone(&work->wide_gradients, work->graph, work->err)) ||
        (rc = graph_to_double(work->wide_gradients, work->err)) || (rc = widen(work)) ||
        (rc = run_reference(work, work->wide_gradients, work->wide_inputs, work->expected)))
        return rc;
    for (int k = 0; !rc && k < work->input_count; k++)
        if (is_f32(work->graph, work->graph->inputs[k]))
            rc = compare_elements(work, k);
    if (rc || (rc = compare_direction(work)) || (rc = compare_floats(work)) || !derivative->device)
        return rc;
    device_get_info(derivative->device, &info);
    rc = compare_plan(work, PRECISION_F32, derivative->f32_bound, &derivative->f32_error);
    if (!rc && info.bf16 && derivative->bf16_bound > 0)
        rc = compare_plan(work, PRECISION_BF16, derivative->bf16_bound, &derivative->bf16_error);
    return rc;
}

/* Random weights for the f32 outputs. */
static int make_seeds(struct work *work)
{
    for (int k = 0; k < work->output_count; k++) {
        struct tensor copy = { 0 };
        const struct shape shape = work->graph->values[work->graph->outputs[k]].shape;
        work->seeds[k] = -1;
        if (!is_f32(work->graph, work->graph->outputs[k]) ||
            (work->derivative->seeded > 0 && k >= work->derivative->seeded))
            continue;
        int rc = tensor_create(&work->weights[k], TENSOR_F32, &shape, work->err);
        if (rc || (rc = tensor_create(&copy, TENSOR_F32, &shape, work->err)))
            return rc;
        for (int64_t i = 0, count = shape_elements(&shape); i < count; i++)
            ((float *)work->weights[k].data)[i] =
                (float)(2 * random_next_unit(work->derivative->random) - 1);
        memcpy(copy.data, work->weights[k].data, tensor_bytes(&copy));
        work->seeds[k] = graph_add_constant(work->graph, "seed", &copy, work->err);
        tensor_free(&copy); /* blank after success */
        if (work->seeds[k] < 0)
            return work->seeds[k];
    }
    return 0;
}

/* Makes the graph's outputs the gradients of its inputs. */
static int differentiate(struct work *work)
{
    struct graph *graph = work->graph;
    int of[DERIVATIVE_VALUES_MAX], seeds[DERIVATIVE_VALUES_MAX], of_count = 0;
    int with[DERIVATIVE_VALUES_MAX], gradients[DERIVATIVE_VALUES_MAX], with_count = 0;
    for (int k = 0; k < work->output_count; k++)
        if (work->seeds[k] >= 0) {
            of[of_count] = graph->outputs[k];
            seeds[of_count++] = work->seeds[k];
        }
    for (int k = 0; k < work->input_count; k++)
        if (is_f32(graph, graph->inputs[k]))
            with[with_count++] = graph->inputs[k];
    struct autodiff autodiff = {
        .of = of, .seeds = seeds, .of_count = of_count, .with = with, .with_count = with_count
    };
    int rc = pass_autodiff(graph, &autodiff, gradients, work->err);
    if (rc)
        return rc;
    for (int k = 0; k < graph->output_count; k++)
        graph->values[graph->outputs[k]].is_output = false;
    graph->output_count = 0;
    for (int k = 0, next = 0; k < work->input_count; k++) {
        work->place[k] = -1;
        if (!is_f32(graph, graph->inputs[k]) || gradients[next++] < 0)
            continue;
        work->place[k] = rc = graph_mark_output(graph, gradients[next - 1], work->err);
        if (rc < 0)
            return rc;
    }
    rc = graph_sort(graph, work->err);
    return rc ? rc : graph_sweep(graph, work->err);
}

/* The inputs in doubles; others than floats as they are. */
static int widen(struct work *work)
{
    for (int k = 0; k < work->input_count; k++) {
        const struct tensor *from = work->derivative->inputs[k];
        struct tensor *to = &work->wide_inputs[k];
        bool wider = from->type == TENSOR_F32;
        int rc = tensor_create(to, wider ? TENSOR_F64 : from->type, &from->shape, work->err);
        if (rc)
            return rc;
        if (!wider)
            memcpy(to->data, from->data, tensor_bytes(from));
        for (int64_t i = 0, n = shape_elements(&from->shape); wider && i < n; i++)
            ((double *)to->data)[i] = (double)((const float *)from->data)[i];
    }
    return 0;
}

/* ---- differences ---- */

static int compare_elements(struct work *work, int input)
{
    const double *gradient = work->place[input] < 0 ? NULL : work->expected[work->place[input]].data;
    double *data = work->wide_inputs[input].data, scale = 1;
    int64_t count = shape_elements(&work->wide_inputs[input].shape);
    int64_t step = count / elements_tried(work->wide) + 1;
    for (int64_t i = 0; gradient && i < count; i++)
        scale = fmax(scale, fabs(gradient[i]));
    for (int64_t i = 0; i < count; i += step) {
        double x = data[i], above, below;
        data[i] = x + DIFFERENCE_STEP;
        int rc = target(work, &above);
        data[i] = x - DIFFERENCE_STEP;
        if (!rc)
            rc = target(work, &below);
        data[i] = x;
        if (!rc)
            rc = judge(work, (above - below) / (2 * DIFFERENCE_STEP), gradient ? gradient[i] : 0,
                       scale, input, i);
        if (rc)
            return rc;
        work->derivative->compared++;
    }
    return 0;
}

static int64_t elements_tried(const struct graph *graph)
{
    int64_t all = 1;
    for (int i = 0; i < graph->value_count; i++)
        all += shape_elements(&graph->values[i].shape);
    int64_t tried = DIFFERENCE_WORK / all;
    return tried < DIFFERENCE_ELEMENTS_MIN   ? DIFFERENCE_ELEMENTS_MIN
           : tried > DIFFERENCE_ELEMENTS_MAX ? DIFFERENCE_ELEMENTS_MAX
                                             : tried;
}

static int compare_direction(struct work *work)
{
    struct tensor *moved = work->wide_inputs;
    struct tensor steps[DERIVATIVE_VALUES_MAX] = { 0 };
    double given = 0, scale = 1, sums[2];
    int rc = 0;
    for (int k = 0; !rc && k < work->input_count; k++) {
        const struct tensor *gradient = work->place[k] < 0 ? NULL : &work->expected[work->place[k]];
        if (moved[k].type != TENSOR_F64)
            continue;
        rc = tensor_create(&steps[k], TENSOR_F64, &moved[k].shape, work->err);
        for (int64_t i = 0, n = shape_elements(&moved[k].shape); !rc && i < n; i++) {
            double *step = &((double *)steps[k].data)[i];
            *step = 2 * random_next_unit(work->derivative->random) - 1;
            double change = gradient ? ((const double *)gradient->data)[i] * *step : 0;
            given += change;
            scale += fabs(change);
        }
    }
    for (int side = 0; !rc && side < 2; side++) {
        /* First one step up, then two down, then back below. */
        double length = side ? -2 * DIFFERENCE_STEP : DIFFERENCE_STEP;
        for (int k = 0; k < work->input_count; k++)
            for (int64_t i = 0, n = steps[k].data ? shape_elements(&steps[k].shape) : 0; i < n; i++)
                ((double *)moved[k].data)[i] += length * ((const double *)steps[k].data)[i];
        rc = target(work, &sums[side]);
    }
    for (int k = 0; k < work->input_count; k++) {
        for (int64_t i = 0, n = steps[k].data ? shape_elements(&steps[k].shape) : 0; i < n; i++)
            ((double *)moved[k].data)[i] += DIFFERENCE_STEP * ((const double *)steps[k].data)[i];
        tensor_free(&steps[k]);
    }
    return rc ? rc : judge(work, (sums[0] - sums[1]) / (2 * DIFFERENCE_STEP), given, scale, -1, 0);
}

static int judge(struct work *work, double slope, double given, double scale, int input, int64_t at)
{
    double error = fabs(slope - given) / scale;
    if (!(error <= work->derivative->difference_error))
        work->derivative->difference_error = error;
    if (error <= DIFFERENCE_BOUND)
        return 0;
    if (input < 0)
        return error_set(work->err, ERROR_FORMAT, "all inputs",
                         "the gradient along a direction is %.9g, the difference %.9g", given, slope);
    return error_set(work->err, ERROR_FORMAT, "input",
                     "%d, element %lld: gradient %.9g, difference %.9g", input, (long long)at,
                     given, slope);
}

/* The sum over all outputs of output times seed: what is differentiated. */
static int target(struct work *work, double *sum)
{
    struct tensor outputs[DERIVATIVE_VALUES_MAX] = { 0 };
    int rc = run_reference(work, work->wide, work->wide_inputs, outputs);
    *sum = 0;
    for (int k = 0; !rc && k < work->output_count; k++) {
        for (int64_t i = 0, n = shape_elements(&outputs[k].shape); work->weights[k].data && i < n; i++)
            *sum += ((const double *)outputs[k].data)[i] *
                    (double)((const float *)work->weights[k].data)[i];
        tensor_free(&outputs[k]);
    }
    return rc;
}

static int run_reference(struct work *work, struct graph *graph, const struct tensor *inputs,
                         struct tensor *outputs)
{
    const struct tensor *list[DERIVATIVE_VALUES_MAX];
    for (int k = 0; k < DERIVATIVE_VALUES_MAX; k++)
        list[k] = &inputs[k];
    return graph_run_reference(graph, list, outputs, work->err);
}

/* ---- floats ---- */

static int compare_floats(struct work *work)
{
    struct tensor results[DERIVATIVE_VALUES_MAX] = { 0 };
    int rc = graph_run_reference(work->graph, work->derivative->inputs, results, work->err);
    for (int k = 0; k < work->graph->output_count; k++) {
        double error = rc ? 0 : worst_error(work, &results[k], k, &work->derivative->float_error);
        if (!rc && !(error <= work->derivative->f32_bound))
            rc = error_set(work->err, ERROR_FORMAT, "interpreter",
                           "gradient %d is %.3g off the one in doubles, bound %g", k, error,
                           work->derivative->f32_bound);
        tensor_free(&results[k]);
    }
    return rc;
}

static int compare_plan(struct work *work, enum precision precision, double bound, double *worst)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = precision };
    int rc = device_compile(work->derivative->device, work->graph, &options, &plan, work->err);
    for (int run = 0; !rc && run < 2; run++) { /* the second finds other content in reused memory */
        for (int k = 0; k < work->input_count; k++)
            memcpy(plan_input(plan, (size_t)k)->data, work->derivative->inputs[k]->data,
                   tensor_bytes(work->derivative->inputs[k]));
        rc = plan_run(plan, work->err);
        for (int k = 0; !rc && k < work->graph->output_count; k++) {
            double error = worst_error(work, plan_output(plan, (size_t)k), k, worst);
            if (!(error <= bound))
                rc = error_set(work->err, ERROR_FORMAT, "device",
                               "run %d, gradient %d is %.3g off in %s, bound %g", run, k, error,
                               precision == PRECISION_F32 ? "f32" : "bf16", bound);
        }
    }
    plan_free(&plan);
    return rc;
}

static double worst_error(const struct work *work, const struct tensor *got, int index, double *worst)
{
    double error = compare_tensors(got, &work->expected[index], COMPARE_NORM);
    if (!(error <= *worst))
        *worst = error;
    return error;
}

static bool is_f32(const struct graph *graph, int value)
{
    return graph->values[value].type == TENSOR_F32;
}
