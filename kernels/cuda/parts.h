/* parts: arrays that one launch works through, each in chunks, as places while a plan is made and as the
 * table of a kernel (optimise.h) when it runs. */
#ifndef RUNESPOOR_CUDA_PARTS_H
#define RUNESPOOR_CUDA_PARTS_H

#include "cuda/build.h"
#include "cuda/optimise.h"

/* Of a struct optimise_part. */
struct part {
    struct view view; /* of fresh */
    int64_t count;
    struct cuda_place *fresh, *before[OPTIMISE_STATES_MAX], *after[OPTIMISE_STATES_MAX];
};

/* Zero at first; part is from malloc. */
struct parts {
    struct part *part;
    int count;
};

int parts_add(struct parts *parts, const struct part *part, struct error *err);
/* Blocks for so many elements. */
int64_t parts_chunks(int64_t count);
/* The table of the parts from `first` on, as many as it takes; gives their chunks. */
int64_t parts_fill(const struct parts *parts, int first, struct optimise_parts *table);
/* NULL of NULL. */
float *parts_data(const struct cuda_place *place);

#endif
