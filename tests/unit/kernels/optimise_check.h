/* optimise_check: five steps of every optimiser against its formula written out in double precision, on the
 * op table in doubles, the float interpreter and `device`, which the including test opens (cpu_device.h
 * or cuda_emulated.h), where the state must change in place; gradient clipping against
 * torch.nn.utils.clip_grad_norm_'s formula, and the moving average. Gradients are random and the same in
 * all, so nothing that differs builds up. */
#ifndef RUNESPOOR_TESTS_OPTIMISE_CHECK_H
#define RUNESPOOR_TESTS_OPTIMISE_CHECK_H

#include "cpu_check.h"
#include "lab/double.h"

#define STEPS 5
#define RATE 0.0625      /* a float, like all numbers here */
#define FLOAT_BOUND 1e-6 /* of the largest weight: a few roundings for each step */
#define DOUBLE_BOUND 1e-13

enum kind { SGD, ADAM, AVERAGE };

struct optimiser {
    const char *what;
    enum kind kind;
    float momentum, weight_decay, beta1, beta2, epsilon, decay;
    bool nesterov, decoupled, scaled;
};

/* One weight's, one step of the formula: what PyTorch's documentation says, line by line. */
static inline void step_formula(const struct optimiser *o, int64_t step, double gradient,
                                double scale, double *w, double *m, double *v)
{
    double wd = (double)o->weight_decay, b1 = (double)o->beta1, b2 = (double)o->beta2;
    double g = gradient * (o->scaled ? scale : 1);
    switch (o->kind) {
    case SGD:
        g += wd * *w;
        *m = (double)o->momentum * *m + g;
        *w -= RATE * (o->nesterov ? g + (double)o->momentum * *m : *m);
        return;
    case ADAM:
        if (o->decoupled)
            *w -= RATE * wd * *w;
        else
            g += wd * *w;
        *m = b1 * *m + (1 - b1) * g;
        *v = b2 * *v + (1 - b2) * g * g;
        *w -= RATE * (*m / (1 - pow(b1, (double)step))) /
              (sqrt(*v / (1 - pow(b2, (double)step))) + (double)o->epsilon);
        return;
    case AVERAGE:
        *w = (double)o->decay * *w + (1 - (double)o->decay) * gradient;
    }
}

static inline int make_state(struct net *net, const struct shape *shape, double low, double high)
{
    int value = net_constant(net, shape, low, high);
    net_must(net, graph_mark_state(net->graph, value, &net->err));
    return value;
}

static inline int add_value(struct net *net)
{
    int value = graph_add_value(net->graph, "next", TENSOR_NONE, NULL, &net->err);
    net_must(net, value);
    return value;
}

/* States 0, 1, 2: weights, first and second moment; the last one, of Adam, counts steps.
 * Inputs: gradient, rate, scale. */
static inline void build_optimiser(struct net *net, const struct optimiser *o,
                                   const struct shape *shape)
{
    const struct shape scalar = { .rank = 0 };
    int gradient = net_input(net, shape), rate = net_input(net, &scalar);
    int scale = net_input(net, &scalar), w = make_state(net, shape, -1, 1);
    int states[] = { w, -1, -1 }, outputs[] = { add_value(net), -1, -1 }, count = 1, node;
    for (; o->kind != AVERAGE && count < (o->kind == SGD ? 2 : 3); count++) {
        states[count] = make_state(net, shape, 0, 0);
        outputs[count] = add_value(net);
    }
    if (!o->scaled)
        scale = -1;
    if (o->kind == SGD) {
        int inputs[] = { w, gradient, states[1], rate, scale };
        node = graph_add_node(net->graph, op_find("sgd", 0), "sgd", inputs, 5, outputs, count,
                              &net->err);
        net_must(net, node);
        net_float(net, "momentum", o->momentum);
        net_int(net, "nesterov", o->nesterov);
        net_float(net, "weight_decay", o->weight_decay);
    } else if (o->kind == ADAM) {
        int before = make_state(net, &scalar, 0, 0), one = net_constant(net, &scalar, 1, 1);
        int step = net_node(net, "Add", before, one, -2);
        net_must(net, graph_infer_node(net->graph, net->graph->node_count - 1, &net->err));
        graph_set_next(net->graph, before, step);
        int inputs[] = { w, gradient, states[1], states[2], step, rate, scale };
        node = graph_add_node(net->graph, op_find("adam", 0), "adam", inputs, 7, outputs, count,
                              &net->err);
        net_must(net, node);
        net_float(net, "beta1", o->beta1);
        net_float(net, "beta2", o->beta2);
        net_float(net, "epsilon", o->epsilon);
        net_float(net, "weight_decay", o->weight_decay);
        net_int(net, "decoupled", o->decoupled);
    } else {
        int inputs[] = { w, gradient };
        node = graph_add_node(net->graph, op_find("moving_average", 0), "average", inputs, 2,
                              outputs, 1, &net->err);
        net_must(net, node);
        net_float(net, "decay", o->decay);
    }
    net_must(net, graph_infer_node(net->graph, node, &net->err));
    for (int k = 0; k < count; k++)
        graph_set_next(net->graph, states[k], outputs[k]);
}

static inline double element(const struct tensor *tensor, int64_t i)
{
    return tensor->type == TENSOR_F64 ? ((const double *)tensor->data)[i]
                                      : (double)((const float *)tensor->data)[i];
}

/* Every element of the first states, against formula[state * count + i]. */
static inline void compare_states(const struct tensor *states, int state_count, const double *formula,
                                  int64_t count, double bound, const char *what, int64_t step)
{
    for (int k = 0; k < state_count; k++) {
        double largest = 1e-3;
        if (!states[k].data) {
            fail_msg("%s: there is no state %d", what, k);
            return;
        }
        for (int64_t i = 0; i < count; i++)
            largest = fmax(largest, fabs(formula[k * count + i]));
        for (int64_t i = 0; i < count; i++) {
            double got = element(&states[k], i), wanted = formula[k * count + i];
            if (!(fabs(got - wanted) <= bound * largest))
                fail_msg("%s: step %lld, state %d, element %lld is %.17g, formula %.17g", what,
                         (long long)step, k, (long long)i, got, wanted);
        }
    }
}

struct trial {
    struct graph *narrow, *wide;
    struct plan *plan;
    struct tensor inputs[3], wide_inputs[3];
    double *formula; /* weights, first and second moments */
    int64_t count;
    int states; /* to compare */
};

static inline void take_states(const struct graph *graph, struct tensor *states)
{
    for (int k = 0; k < graph->state_count; k++)
        states[k] = graph->values[graph->states[k]].state;
}

static inline void run_step(struct net *net, struct trial *trial, const struct optimiser *o,
                            int64_t step)
{
    const struct tensor *narrow[3], *wide[3];
    struct tensor states[4] = { 0 };
    for (int k = 0; k < 3; k++) {
        if (k == 0)
            net_fill(net, &trial->inputs[k], -1, 1);
        for (int64_t i = 0; i < shape_elements(&trial->inputs[k].shape); i++)
            ((double *)trial->wide_inputs[k].data)[i] = element(&trial->inputs[k], i);
        memcpy(plan_input(trial->plan, (size_t)k)->data, trial->inputs[k].data,
               tensor_bytes(&trial->inputs[k]));
        narrow[k] = &trial->inputs[k];
        wide[k] = &trial->wide_inputs[k];
    }
    for (int64_t i = 0; i < trial->count; i++)
        step_formula(o, step, element(&trial->inputs[0], i), element(&trial->inputs[2], 0),
                     &trial->formula[i], &trial->formula[trial->count + i],
                     &trial->formula[2 * trial->count + i]);
    net_must(net, graph_run_reference(trial->wide, wide, NULL, &net->err));
    take_states(trial->wide, states);
    compare_states(states, trial->states, trial->formula, trial->count, DOUBLE_BOUND, o->what, step);
    net_must(net, graph_run_reference(trial->narrow, narrow, NULL, &net->err));
    take_states(trial->narrow, states);
    compare_states(states, trial->states, trial->formula, trial->count, FLOAT_BOUND, o->what, step);
    net_must(net, plan_run(trial->plan, &net->err));
    net_must(net, plan_get_states(trial->plan, &net->err));
    for (size_t k = 0; k < plan_state_count(trial->plan); k++)
        states[k] = *plan_state(trial->plan, k);
    compare_states(states, trial->states, trial->formula, trial->count, FLOAT_BOUND, o->what, step);
}

static inline void check_optimiser(const struct optimiser *o, const struct shape *shape)
{
    struct net net;
    struct trial trial = { .states = o->kind == AVERAGE ? 1 : o->kind == SGD ? 2 : 3 };
    struct plan_options options = { .precision = PRECISION_F32 };
    uint64_t activation_bytes, weight_bytes;
    net_begin(&net, 11);
    build_optimiser(&net, o, shape);
    net_infer(&net);
    trial.narrow = net.graph;
    trial.count = shape_elements(shape);
    trial.formula = calloc((size_t)trial.count * 3, sizeof *trial.formula);
    assert_non_null(trial.formula);
    net_must(&net, graph_clone(&trial.wide, net.graph, &net.err));
    net_must(&net, graph_to_double(trial.wide, &net.err));
    net_must(&net, device_compile(device, net.graph, &options, &trial.plan, &net.err));
    for (int64_t i = 0; i < trial.count; i++)
        trial.formula[i] = element(&net.graph->values[net.graph->states[0]].state, i);
    for (int k = 0; k < 3; k++) {
        const struct shape *like = &net.graph->values[net.graph->inputs[k]].shape;
        net_must(&net, tensor_create(&trial.inputs[k], TENSOR_F32, like, &net.err));
        net_must(&net, tensor_create(&trial.wide_inputs[k], TENSOR_F64, like, &net.err));
    }
    *(float *)trial.inputs[1].data = (float)RATE;
    *(float *)trial.inputs[2].data = 0.375f;
    for (int64_t step = 1; step <= STEPS; step++)
        run_step(&net, &trial, o, step);
    /* In place: no second copy of the weights is anywhere. */
    plan_memory(trial.plan, &activation_bytes, &weight_bytes);
    if (trial.count > 1000)
        assert_true(activation_bytes < (uint64_t)trial.count * sizeof(float));
    plan_free(&trial.plan);
    for (int k = 0; k < 3; k++) {
        tensor_free(&trial.inputs[k]);
        tensor_free(&trial.wide_inputs[k]);
    }
    graph_free(&trial.wide);
    free(trial.formula);
    net_end(&net);
}

static inline void test_steps(void **test_state)
{
    static const struct optimiser optimisers[] = {
        { .what = "plain SGD", .kind = SGD },
        { .what = "SGD with momentum", .kind = SGD, .momentum = 0.9f, .scaled = true },
        { .what = "SGD with all", .kind = SGD, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = true },
        { .what = "Adam", .kind = ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f },
        { .what = "Adam with decay",
          .kind = ADAM,
          .beta1 = 0.8f,
          .beta2 = 0.99f,
          .epsilon = 1e-3f,
          .weight_decay = 0.1f,
          .scaled = true },
        { .what = "AdamW",
          .kind = ADAM,
          .beta1 = 0.9f,
          .beta2 = 0.999f,
          .epsilon = 1e-8f,
          .weight_decay = 0.1f,
          .decoupled = true },
        { .what = "moving average", .kind = AVERAGE, .decay = 0.9f },
    };
    (void)test_state;
    for (size_t i = 0; i < sizeof optimisers / sizeof *optimisers; i++) {
        check_optimiser(&optimisers[i], SHAPE(7));
        check_optimiser(&optimisers[i], SHAPE(4, 3, 3, 1));
        check_optimiser(&optimisers[i], SHAPE(211, 503)); /* enough for both threads */
    }
}

/* The norm of all gradients together, and what they are multiplied with. */
static inline void check_clipping(double size, float max_norm)
{
    struct net net;
    const struct shape *shapes[] = { SHAPE(3, 5), SHAPE(70001), SHAPE(9, 1, 3, 3) };
    int gradients[3], sums[2];
    double squares = 0;
    net_begin(&net, 5);
    for (int k = 0; k < 3; k++) {
        gradients[k] = net_constant(&net, shapes[k], -size, size);
        const struct tensor *tensor = &net.graph->values[gradients[k]].constant;
        for (int64_t i = 0; i < shape_elements(&tensor->shape); i++)
            squares += element(tensor, i) * element(tensor, i);
        net_must(&net, graph_mark_state(net.graph, gradients[k], &net.err)); /* not folded */
    }
    sums[0] = net_node(&net, "sum_squares", gradients[0], gradients[1], -2);
    sums[1] = net_node(&net, "sum_squares", gradients[2], -2);
    int factor = net_node(&net, "clip_factor", sums[0], sums[1], -2);
    net_float(&net, "max_norm", max_norm);
    net_output(&net, sums[0]);
    net_output(&net, factor);
    net_check(&net, device, PRECISION_F32, 1e-6, "clipping");

    struct tensor outputs[2] = { 0 };
    net_must(&net, graph_run_reference(net.graph, NULL, outputs, &net.err));
    double wanted = fmin(1, (double)max_norm / (sqrt(squares) + 1e-6));
    assert_true(fabs(element(&outputs[1], 0) - wanted) <= 1e-6 * wanted);
    tensor_free(&outputs[0]);
    tensor_free(&outputs[1]);
    net_end(&net);
}

static inline void test_clipping(void **test_state)
{
    (void)test_state;
    check_clipping(1, 5);
    check_clipping(1e-4, 5);
    check_clipping(0, 1); /* nothing to clip, and no division by nothing */
}

#endif
