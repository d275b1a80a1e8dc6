/* pool_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_pool_family = { 0 };
