/* move_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_move_family = { 0 };
