/* winograd_steps: our own bf16 convolution (winograd.h) as steps of a plan. */
#ifndef RUNESPOOR_CPU_WINOGRAD_STEPS_H
#define RUNESPOOR_CPU_WINOGRAD_STEPS_H

#include "cpu/build.h"
#include "cpu/winograd.h"
#include "ops/window.h"

/* Says whether bf16 convolutions over this window go this way, and how: 3x3, stride 1, no groups,
 * channels in whole vectors; not where the processor has matrix units (AMX), which are faster. */
bool winograd_suits(const struct build *build, const struct window *window, struct winograd *w);
/* The convolution that gives the input's gradient of the one that w describes. */
struct winograd winograd_turned(const struct winograd *w);

/* in, added (or NULL) and out are bf16, channels-last and dense; weights f32 dense, as in the graph;
 * bias f32 or NULL. out = relu(in * weights + bias + added). */
int winograd_add_step(struct build *build, const struct winograd *w, struct cpu_place *in,
                      struct cpu_place *weights, bool turned, struct cpu_place *bias,
                      struct cpu_place *added, bool relu, struct cpu_place *out, struct error *err);
/* weights_gradient and bias_gradient (or NULL) are f32 dense. */
int winograd_add_gradient_step(struct build *build, const struct winograd *w, struct cpu_place *in,
                               struct cpu_place *out_gradient, struct cpu_place *weights_gradient,
                               struct cpu_place *bias_gradient, struct error *err);

#endif
