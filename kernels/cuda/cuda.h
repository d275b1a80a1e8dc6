/* cuda: one NVIDIA GPU. Convolutions are cuDNN's, matrix products cuBLASLt's, the rest is own kernels; a
 * network is one recording that is replayed for each run.
 *
 * "cuda" is the first GPU, "cuda:1" the second. Plans take f32, tf32, f16 and bf16. */
#ifndef RUNESPOOR_CUDA_CUDA_H
#define RUNESPOOR_CUDA_CUDA_H

#include "device.h"

/* The one symbol of kernels-cuda.so. */
extern const struct device_class cuda_class;

#endif
