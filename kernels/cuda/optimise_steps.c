/* optimise_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_optimise_family = { 0 };
