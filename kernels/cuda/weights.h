/* weights: what learns is kept row-major in f32, and multiplied in the layout and type of the plan's
 * arithmetic: copied so once in each run, all of it in one launch. */
#ifndef RUNESPOOR_CUDA_WEIGHTS_H
#define RUNESPOOR_CUDA_WEIGHTS_H

#include "cuda/build.h"

/* True of a place in a state's memory that is to be a float of another type or layout. */
bool cuda_is_weight(const struct cuda_build *build, const struct cuda_place *from,
                    const struct cuda_place *to);
/* Copies such a place to one without gaps: by the step of weights before, if nothing is in the way
 * (gather.h). */
int cuda_copy_weight(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
                     struct error *err);

#endif
