/* copy: from one array to another of the same shape, whatever their layouts, converting between ways to
 * store floats. */
#ifndef RUNESPOOR_CUDA_COPY_H
#define RUNESPOOR_CUDA_COPY_H

#include "cuda/vector.h"

#define COPY_TILE 32
#define COPY_LUMP_BYTES 16

struct copy {
    struct view from, to;
    int32_t element_bytes; /* where both types are the same: bits are copied; else 0 */
};

/* Any layouts. count: elements. */
LAUNCHER void copy_each(const struct copy *args, int64_t count, void *stream);
/* from and to packed, of the same type or different: n-th to n-th; an element a thread. */
LAUNCHER void copy_ones(const struct copy *args, int64_t count, void *stream);
/* The same with COPY_LUMP_BYTES a thread, of one type, or with VECTOR floats of two; data is aligned to
 * VECTOR_BYTES. */
LAUNCHER void copy_lumps(const struct copy *args, int64_t lumps, void *stream);
LAUNCHER void copy_fours(const struct copy *args, int64_t fours, void *stream);
/* Three dimensions, the last of which is `to`'s fastest and the one before `from`'s: tiles of
 * COPY_TILE x COPY_TILE through shared memory. copy_tile_count blocks. */
LAUNCHER void copy_tiles(const struct copy *args, int64_t blocks, void *stream);
int64_t copy_tile_count(const struct copy *args);

#ifndef __cplusplus
#include "cuda/build.h"

/* copy_lumps or copy_fours as far as they go, the rest one by one. */
void copy_flat(const struct copy *args, int64_t count, void *stream);

/* Adds a step. The steps' places may have steps of 0 in from, and negative ones. */
int cuda_copy(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
              struct error *err);
/* The same with views of the places, whose data they get when the step runs. from_offset: elements from
 * the place's first to the view's. */
int cuda_copy_views(struct cuda_build *build, struct cuda_place *from, const struct view *from_view,
                    int64_t from_offset, struct cuda_place *to, const struct view *to_view,
                    struct error *err);
#endif

#endif
