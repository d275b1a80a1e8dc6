/* tile: numbers that are worked on together along one dimension (the scores of a position, in Softmax
 * and its losses) side by side with those of other positions. A tensor is a matrix of size x positions;
 * a tile is some columns of it as rows of floats, so that all work is loops along rows (lanes.h),
 * however the tensor lies in memory. */
#ifndef RUNESPOOR_CPU_TILE_H
#define RUNESPOOR_CPU_TILE_H

#include "cpu/build.h"

struct tiles {
    int64_t outer, size, inner; /* positions are outer x inner */
    bool innermost;             /* what is along the dimension lies together */
    enum tensor_type type;      /* f32 or bf16 */
    int64_t columns;            /* of a tile, at most */
};

/* The value where it lies, seen along one dimension, or along all from it on together (joined); copied
 * if it lies in a way that tiles cannot have. */
int tiles_place(struct build *build, int value, int axis, bool joined, struct tiles *tiles,
                struct cpu_place **place, struct error *err);

int64_t tiles_positions(const struct tiles *tiles);
/* How many columns from this position on make a tile. */
int64_t tiles_count(const struct tiles *tiles, int64_t position, int64_t end);
/* Floats that a tile takes; row k begins at k * columns. */
int64_t tiles_floats(const struct tiles *tiles);
/* room: another tile's memory, whose content is lost. */
void tiles_load(const struct tiles *tiles, const void *data, int64_t position, int64_t count,
                float *tile, float *room);
void tiles_store(const struct tiles *tiles, const float *tile, int64_t position, int64_t count,
                 void *data, float *room);

/* Puts exp(x - the column's largest) in the place of each x; gives the largest and the sums. */
void tiles_exponentials(const struct tiles *tiles, float *tile, int64_t count, float *largest,
                        float *sum);

#endif
