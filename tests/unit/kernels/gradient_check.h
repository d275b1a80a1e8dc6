/* gradient_check: the gradients of a small net with respect to all its inputs, three ways
 * (lab/derivative.h): in doubles against central differences, element by element; then the float
 * interpreter and the cpu device against the doubles.
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
#include "lab/derivative.h"

#define FLOAT_BOUND 1e-5

/* on may be NULL. bf16_bound: how far bf16 may be off; 0: not tried. */
static inline void gradient_check_bf16(struct net *net, struct device *on, double bf16_bound,
                                       const char *what)
{
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 };
    const struct tensor *list[CHECK_INPUTS_MAX];
    struct derivative derivative = {
        .inputs = list,
        .random = &net->random,
        .device = on,
        .f32_bound = FLOAT_BOUND,
        .bf16_bound = bf16_bound,
    };
    net_infer(net);
    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    if (derivative_check(net->graph, &derivative, &net->err))
        fail_msg("%s: %s", what, net->err.text);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
}

static inline void gradient_check(struct net *net, struct device *on, const char *what)
{
    gradient_check_bf16(net, on, 0, what);
}

#endif
