/* blocks: DepthToSpace and its way back as ways to see arrays. The deep picture has the pixels of a block
 * as channels, the wide one side by side; both are seen with six dimensions (batch, rows, rows of a
 * block, columns, columns of a block, channels), and then are the same but for their steps. */
#ifndef RUNESPOOR_CUDA_BLOCKS_H
#define RUNESPOOR_CUDA_BLOCKS_H

#include "cuda/build.h"

enum {
    BLOCKS_BATCH,
    BLOCKS_ROWS,
    BLOCKS_INNER_ROWS,
    BLOCKS_COLUMNS,
    BLOCKS_INNER_COLUMNS,
    BLOCKS_CHANNELS,
    BLOCKS_RANK
};

struct blocks {
    int32_t block, channels; /* rows and columns of a block; channels of the wide picture */
    bool outer;              /* DCR: the block is the outer part of the deep picture's channels */
};

/* Of a node with blocksize and, maybe, mode; channels: of the wide picture. */
struct blocks blocks_of(const struct node *node, int64_t channels);
/* From views of four dimensions. */
struct view blocks_see_deep(const struct view *deep, const struct blocks *blocks);
struct view blocks_see_wide(const struct view *wide, const struct blocks *blocks);
/* An order to go over both in where the wide one, as blocks_see_wide gives it, is row-major: all channels
 * of a row of blocks follow each other, so that the row of the deep picture that they come from is read
 * once and found in caches then; rows of the wide one are written as they lie. */
struct view blocks_row_by_row(const struct view *wide);

#endif
