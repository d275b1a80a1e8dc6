/* resize_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_resize_family = { 0 };
