/* blocks: arithmetic of steps. */
#include "cuda/blocks.h"
#include <string.h>

struct blocks blocks_of(const struct node *node, int64_t channels)
{
    return (struct blocks){
        .block = (int32_t)node_int(node, "blocksize", 1),
        .channels = (int32_t)channels,
        .outer = strcmp(node_string(node, "mode", "DCR"), "DCR") == 0,
    };
}

struct view blocks_see_deep(const struct view *deep, const struct blocks *blocks)
{
    int64_t square = (int64_t)blocks->block * blocks->block;
    int64_t inner = (blocks->outer ? blocks->channels : 1) * deep->step[1];
    return (struct view){
        .type = deep->type,
        .rank = BLOCKS_RANK,
        .dim = { deep->dim[0], deep->dim[2], blocks->block, deep->dim[3], blocks->block,
                 blocks->channels },
        .step = { deep->step[0], deep->step[2], blocks->block * inner, deep->step[3], inner,
                  (blocks->outer ? 1 : square) * deep->step[1] },
    };
}

struct view blocks_see_wide(const struct view *wide, const struct blocks *blocks)
{
    int32_t block = blocks->block;
    return (struct view){
        .type = wide->type,
        .rank = BLOCKS_RANK,
        .dim = { wide->dim[0], wide->dim[2] / block, block, wide->dim[3] / block, block,
                 wide->dim[1] },
        .step = { wide->step[0], block * wide->step[2], wide->step[2], block * wide->step[3],
                  wide->step[3], wide->step[1] },
    };
}

struct view blocks_row_by_row(const struct view *wide)
{
    static const int order[] = { BLOCKS_INNER_COLUMNS, BLOCKS_COLUMNS, BLOCKS_INNER_ROWS,
                                 BLOCKS_CHANNELS,      BLOCKS_ROWS,    BLOCKS_BATCH };
    struct view view = *wide;
    int64_t step = 1;
    for (int i = 0; i < BLOCKS_RANK; i++) {
        view.step[order[i]] = step;
        step *= view.dim[order[i]];
    }
    return view;
}
