/* arena: where arrays that live for a while lie in one piece of memory, so that those that never live at
 * the same time share it. */
#ifndef RUNESPOOR_TENSOR_ARENA_H
#define RUNESPOOR_TENSOR_ARENA_H

#include "base/error.h"
#include <stdint.h>

struct arena_piece {
    uint64_t bytes;
    int first, last;       /* steps in which it lives */
    uint64_t offset_bytes; /* what arena_lay_out finds */
};

/* Sets all offsets, multiples of alignment, and gives the bytes that the arena needs. The same pieces
 * give the same offsets every time. */
int arena_lay_out(struct arena_piece *pieces, int count, uint64_t alignment, uint64_t *arena_bytes,
                  struct error *err);

#endif
