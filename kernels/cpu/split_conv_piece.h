/* split_conv_piece: what the files of split_conv share: where numbers lie in the planes of a piece and in packed
 * weights. */
#ifndef RUNESPOOR_CPU_SPLIT_CONV_PIECE_H
#define RUNESPOOR_CPU_SPLIT_CONV_PIECE_H

#include "cpu/split_conv.h"

#define SPLIT_CONV_TILE 16  /* outputs, and output channels, of a tile */
#define SPLIT_CONV_CHUNK 32 /* bf16 in a row of a tile, at most */
#define SPLIT_CONV_WIDE 32  /* outputs of 2x2 tiles of sums */
#define SPLIT_CONV_LONG 64  /* of 4x1 */

#define SPLIT_CONV_SUMS (4 * SPLIT_CONV_TILE * SPLIT_CONV_TILE) /* of a block */

/* What a run is given. */
struct split_conv_job {
    const struct split_conv *conv;
    const float *input;
    const uint16_t *packed;
    const struct split_conv_tail *tail;
    float *output;
    char *scratch;
};

/* A piece of the output, and the planes that hold what it reads. */
struct split_conv_piece {
    const struct split_conv_job *job;
    int64_t image, row, column, rows, columns;
    int64_t offsets[SPLIT_CONV_RUNS_MAX]; /* of runs, in a plane */
    uint16_t *high, *low;
    bool numbers;          /* and nothing else is read */
    float *sums, *operand; /* sums: of two blocks */
};

/* Some outputs of a piece, counted row by row of conv->width, and one or two tiles of their channels. */
struct split_conv_block {
    int64_t at, pixels, first, tiles;
    float *sums; /* pixels of as many tiles */
};

static inline int64_t split_conv_ceil(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* bf16 of packed weights for SPLIT_CONV_TILE output channels: run by run, chunk by chunk the high parts and
 * then the low ones, in pairs of rows as the products want them. */
static inline int64_t split_conv_packed(const struct split_conv *conv)
{
    return conv->runs * conv->chunks * conv->chunk * SPLIT_CONV_TILE * 2;
}

/* The lanes of a vector that so many numbers fill, all or none at the ends. */
static inline uint16_t split_conv_lanes(int64_t count)
{
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (uint16_t)((1u << count) - 1);
}

/* Rows of the picture that lie apart by the stride are one phase. How many rows further down than its first
 * one a phase is read; -1 if it is not. */
int64_t split_conv_shift(const struct split_conv *conv, int64_t phase);

/* Fills the planes; `numbers` is the answer. */
void split_conv_read(struct split_conv_piece *piece);
/* The sums of a block from the input itself, where something is no number. */
void split_conv_add_plain(const struct split_conv_piece *piece, const struct split_conv_block *block);
/* Sums to outputs, with all that stands behind. */
void split_conv_finish(const struct split_conv_piece *piece, const struct split_conv_block *block);

#endif
