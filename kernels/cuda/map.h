/* map: pointwise functions over arrays that are repeated to one shape (passes/chain.h): each thread runs
 * the whole program for its element, so that memory is gone over once. */
#ifndef RUNESPOOR_CUDA_MAP_H
#define RUNESPOOR_CUDA_MAP_H

#include "cuda/vector.h"
#include "passes/pointwise.h"

#define MAP_INPUTS_MAX 24 /* as chains have */
#define MAP_LINKS_MAX 48
#define MAP_OUTPUTS_MAX MAP_LINKS_MAX
#define MAP_FOURS_MAX 16 /* registers of map_fours: a thread's memory is small */

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
/* The same where everything lies alike, without gaps: steps are not looked at. An element a thread, or
 * VECTOR of them, which decides on a link's function once for all. Operands of map_fours are floats, whose
 * data is aligned to VECTOR_BYTES; it has MAP_FOURS_MAX inputs and links at most. */
LAUNCHER void map_ones(const struct map *args, int64_t count, void *stream);
LAUNCHER void map_fours(const struct map *args, int64_t fours, void *stream);

#ifndef __cplusplus
/* As many in fours as can be, the rest one by one. */
void map_flat(const struct map *args, int64_t count, void *stream);

/* Gives a map that has its program the dimensions, and its operands the types and steps, of views (its
 * inputs, then its outputs, all of the same dimensions), gone over in the order of `order`'s memory.
 * Rewrites both (iterate_join). */
void map_set_views(struct map *map, struct view *views, struct view *order);
/* Whether all operands lie alike, without gaps, so that map_flat does. */
bool map_is_flat(const struct map *map);
#endif

#endif
