/* pass: rewrites of an inferred graph that keep what it computes and make it cheaper to run. Graph
 * in, graph out: each leaves a sorted graph whose values have their shapes, so it can be printed and
 * run by the reference kernels before and after. */
#ifndef RUNESPOOR_PASSES_PASS_H
#define RUNESPOOR_PASSES_PASS_H

#include "graph/graph.h"

/* Nodes that only hand their input on (Identity, Dropout, a Pad by nothing, …) go away. */
int pass_drop_noop(struct graph *graph, struct error *err);
/* x * Sigmoid(x) becomes swish, x * HardSigmoid(x) hard_swish, and Relu(x) + c * (x - |x|), the way
 * some exporters write it, PRelu. */
int pass_fuse_activation(struct graph *graph, struct error *err);
/* Scale and shift per channel (BatchNormalization; Mul, Div, Add, Sub by constants) go into the
 * weights of the convolution before; a BatchNormalization that has none becomes Mul and Add. */
int pass_fold_affine(struct graph *graph, struct error *err);
/* Elementwise nodes behind a convolution, matrix product or addition become its post-operations. */
int pass_fuse_post(struct graph *graph, struct error *err);

/* Elementwise nodes of one shape that hand each other values become one that goes over memory once. */
int pass_fuse_chain(struct graph *graph, struct error *err);

/* What stands between DequantizeLinear and QuantizeLinear becomes ops on bytes, which not every device
 * has: it is called before the others where they are there. */
int pass_quantise(struct graph *graph, struct error *err);
/* Constants that are still behind a DequantizeLinear become f32. */
int pass_expand_constants(struct graph *graph, struct error *err);

/* All but pass_quantise, in the order that serves best. */
int pass_run_all(struct graph *graph, struct error *err);

#endif
