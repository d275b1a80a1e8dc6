/* matmul_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_matmul_family = { 0 };
