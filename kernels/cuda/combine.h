/* combine: what many small nodes do alike, done by one step, so that a launch serves them all: an
 * optimiser has a node for each of some hundred parameters. */
#ifndef RUNESPOOR_CUDA_COMBINE_H
#define RUNESPOOR_CUDA_COMBINE_H

#include "cuda/build.h"

/* Looks for a step that may do a node's work as well: one with this run function that `takes` agrees to
 * (arg is for it), the last there is. The node's work then happens where that step stands, so nothing
 * from there on may write what the node reads or writes, or read what it writes; else there is none.
 * places: what the node reads and writes, as for cuda_add_step; they become places of the step too.
 * *step is NULL where there is none, and holds until the next step is added. */
int cuda_combine(struct cuda_build *build,
                 int (*run)(const struct cuda_step *step, struct gpu *gpu, struct error *err),
                 bool (*takes)(const struct cuda_step *step, const void *arg), const void *arg,
                 struct cuda_place *const *places, int read_count, int place_count,
                 struct cuda_step **step, struct error *err);

#endif
