/* each_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_each_family = { 0 };
