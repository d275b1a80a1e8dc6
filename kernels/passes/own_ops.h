/* own_ops: elementwise ops that ONNX has no name for, made by passes. */
#ifndef RUNESPOOR_PASSES_OWN_OPS_H
#define RUNESPOOR_PASSES_OWN_OPS_H

#include "ops/op.h"

/* "swish": x * sigmoid(x). */
extern const struct op swish_op;

#endif
