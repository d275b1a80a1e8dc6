/* loss_steps: */
#include "cuda/makers.h"

const struct cuda_family cuda_loss_family = { 0 };
