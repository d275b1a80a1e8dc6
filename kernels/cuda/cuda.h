/* cuda: one NVIDIA GPU. Convolutions are cuDNN's, matrix products cuBLASLt's, the rest is own kernels; a
 * network is one recording that is replayed for each run.
 *
 * "cuda" is the first GPU, "cuda:1" the second. Plans take f32, tf32, f16 and bf16.
 *
 * Which file does what, in the order in which a network goes through them:
 *
 *     cuda.c                   the device, as device.h wants it
 *     compile.c                a graph becomes a plan: passes, then a maker for each node (makers.h)
 *     build                    values, places and steps while that goes on
 *     combine, kernel_step     a step that serves many nodes; a step that is one launch
 *     tail                     DepthToSpace left to the map behind it
 *     NAME_steps.c             makers of a family of ops: which kernel, and with which arguments
 *     NAME.cu, NAME.h          its kernels, in CUDA that is C as well (launch.h)
 *     plan, run, print         memory for all steps, runs of a plan, its times
 *     peak                     what this GPU can do at best, to compare with
 *
 * What kernels share: view (arrays with steps), iterate (dimensions joined), blocks (DepthToSpace as steps),
 * fold (rows that come down to a sum), taps (weighted sums along dimensions), and on the chip piece (parts
 * of matrices), row_tile (short rows) and mma (tensor cores).
 *
 * What lies below: gpu (CUDA's run time) and libraries (cuDNN and cuBLASLt: lib_*, and choices, which keeps
 * the fastest way of each), or emulate.c in the place of all of them, where kernels are plain loops. */
#ifndef RUNESPOOR_CUDA_CUDA_H
#define RUNESPOOR_CUDA_CUDA_H

#include "device.h"

/* The one symbol of kernels-cuda.so. */
extern const struct device_class cuda_class;

#endif
