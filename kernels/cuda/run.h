/* run: slots of a plan, and runs in them. */
#ifndef RUNESPOOR_CUDA_RUN_H
#define RUNESPOOR_CUDA_RUN_H

#include "cuda/plan.h"

/* Memory for inputs and outputs, and a recording of the plan's steps with it. */
int cuda_slot_make(struct cuda_plan *plan, int index, struct error *err);
void cuda_slot_free(struct cuda_plan *plan, int index);
/* Enqueues a step. */
int cuda_step_run(struct cuda_plan *plan, const struct cuda_step *step, struct error *err);

#endif
