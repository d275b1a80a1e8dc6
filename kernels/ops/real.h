/* real: what reference kernels compute with. The folder is compiled twice: as it runs, with floats,
 * and with OPS_F64 (for tests only, op_find_f64) with doubles, so that gradients can be compared
 * with finite differences and training with a double-precision run of the very same code.
 *
 * A kernel writes `real` for elements and TENSOR_REAL for their type, sums in double, and takes
 * functions from <tgmath.h>. What is a float by definition (attributes, scales of a Resize) stays
 * one. */
#ifndef RUNESPOOR_OPS_REAL_H
#define RUNESPOOR_OPS_REAL_H

#include <tgmath.h>

#ifdef OPS_F64
typedef double real;
#define TENSOR_REAL TENSOR_F64
#else
typedef float real;
#define TENSOR_REAL TENSOR_F32
#endif

#endif
