/* map: pointwise functions over arrays that are repeated to one shape (passes/chain.h): each thread runs
 * the whole program for its element, so that memory is gone over once. */
#ifndef RUNESPOOR_CUDA_MAP_H
#define RUNESPOOR_CUDA_MAP_H

#include "cuda/view.h"
#include "passes/pointwise.h"

#define MAP_INPUTS_MAX 24 /* as chains have */
#define MAP_LINKS_MAX 48
#define MAP_OUTPUTS_MAX MAP_LINKS_MAX

struct map_link {
    int32_t kind; /* enum pointwise_kind */
    int32_t in[POINTWISE_INPUTS_MAX];
    float alpha, beta;
};

struct map_operand {
    void *data;
    int32_t type;
    int32_t step[SHAPE_RANK_MAX];
};

struct map {
    int32_t rank, dim[SHAPE_RANK_MAX];
    int32_t input_count, link_count, output_count;
    int32_t outputs[MAP_OUTPUTS_MAX]; /* registers */
    struct map_link links[MAP_LINKS_MAX];
    struct map_operand operands[MAP_INPUTS_MAX + MAP_OUTPUTS_MAX]; /* inputs, then outputs */
};

/* For each element of dim. */
LAUNCHER void map_each(const struct map *args, int64_t count, void *stream);
/* The same where everything lies alike, without gaps: steps are not looked at. */
LAUNCHER void map_flat(const struct map *args, int64_t count, void *stream);

#endif
