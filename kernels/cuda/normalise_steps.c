/* normalise_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_normalise_family = { 0 };
