/* copy: from one array to another of the same shape, whatever their layouts, converting between ways to
 * store floats. */
#ifndef RUNESPOOR_CUDA_COPY_H
#define RUNESPOOR_CUDA_COPY_H

#include "cuda/view.h"

#define COPY_TILE 32

struct copy {
    struct view from, to;
    int32_t element_bytes; /* where both types are the same: bits are copied; else 0 */
};

/* Any layouts. count: elements. */
LAUNCHER void copy_each(const struct copy *args, int64_t count, void *stream);
/* from and to packed, of the same type or different: n-th to n-th. */
LAUNCHER void copy_flat(const struct copy *args, int64_t count, void *stream);
/* Three dimensions, the last of which is `to`'s fastest and the one before `from`'s: tiles of
 * COPY_TILE x COPY_TILE through shared memory. copy_tile_count blocks. */
LAUNCHER void copy_tiles(const struct copy *args, int64_t blocks, void *stream);
int64_t copy_tile_count(const struct copy *args);

#ifndef __cplusplus
#include "cuda/build.h"

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
