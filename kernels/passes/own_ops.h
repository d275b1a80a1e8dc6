/* own_ops: elementwise ops that ONNX has no name for, made by passes. */
#ifndef RUNESPOOR_PASSES_OWN_OPS_H
#define RUNESPOOR_PASSES_OWN_OPS_H

#include "ops/op.h"

/* "swish": x * sigmoid(x). */
extern const struct op swish_op;
/* "round_to_steps": the multiple of attribute `step` that is nearest, of the 256 that begin with
 * `lowest` of them: what is left of a number that was 8 bits wide for a moment. */
extern const struct op round_to_steps_op;

#endif
