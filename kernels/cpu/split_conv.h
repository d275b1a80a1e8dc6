/* split_conv: convolutions and products of f32 with constant weights in three bf16 products (cpu/split.h) on
 * matrix units (AMX). What is read is split as it comes, a piece at a time and once, into two planes of
 * bf16 in scratch memory that stays in the second-level cache; tiles of 16 neighbouring outputs are loaded
 * straight from there, high·high + high·low + low·high are summed in f32 in other tiles.
 *
 *     y[pixel][k] = posts( bias[k] + sum over taps and c of x[pixel + tap][c] * w[k][c][tap] )
 *
 * Infinities and NaN come out as in f32, in pieces that are then computed the plain way. The same bits every time
 * for a fixed number of threads. split_conv_run needs split_conv_available(); nothing allocates. */
#ifndef RUNESPOOR_CPU_SPLIT_CONV_H
#define RUNESPOOR_CPU_SPLIT_CONV_H

#include "cpu/lanes.h"
#include <stdbool.h>
#include <stddef.h>

#define SPLIT_CONV_POSTS_MAX 8
#define SPLIT_CONV_RUNS_MAX 32
#define SPLIT_CONV_PLANAR_MAX 4 /* channels that are taken from planes of their own */

/* Weights lie anyhow: steps are from one to the next in floats. */
struct split_conv_weights {
    const float *data;
    int64_t out_step, in_step, row_step, column_step;
};

/* The first part is the caller's, the second split_conv_plan's. */
struct split_conv {
    int64_t batch, in, out; /* channels */
    int64_t rows, columns, out_rows, out_columns;
    int64_t kernel[2], stride[2], dilation[2]; /* of rows and columns */
    int64_t pad[2];            /* in front; behind, whatever the output's size needs */
    int64_t in_step, out_step; /* floats from one pixel to the next */
    bool planar;               /* the input is [batch][in][rows][columns] */
    int threads;

    int64_t channels;            /* of a pixel in the planes: `in` and zeros */
    int64_t runs, chunks, chunk; /* K: runs of numbers side by side, in chunks of so many */
    /* Of the tap that a run begins with. */
    int64_t run_rows[SPLIT_CONV_RUNS_MAX], run_columns[SPLIT_CONV_RUNS_MAX];
    int64_t taken; /* every so many columns are taken into the planes */
    int64_t step;  /* pixels of a plane from one output to the next */
    int64_t width; /* outputs from one row of a piece to the next; some of them are none */
    int64_t piece_rows, piece_columns;    /* outputs of a piece */
    int64_t row_pieces, column_pieces;    /* of a picture */
    int64_t phase_numbers, plane_numbers; /* rows apart by the stride lie together: a phase */
};

/* What a post reads beside the sum. */
enum split_conv_operand {
    SPLIT_CONV_ALONE,
    SPLIT_CONV_FULL,    /* as the output, of the same out_step */
    SPLIT_CONV_CHANNEL, /* [out] */
};

struct split_conv_post {
    lanes_fn *run;
    float alpha, beta;
    enum split_conv_operand operand;
    const float *data;
};

/* out = clip(posts(sum + bias) + added, low, high): `added` is as the output or NULL; bias is [out] filled
 * up with zeros to whole sixteens. */
struct split_conv_tail {
    const float *bias, *added;
    int post_count;
    struct split_conv_post posts[SPLIT_CONV_POSTS_MAX];
    float low, high;
};

/* Asks the system for matrix units, once. */
bool split_conv_available(void);

/* Works out the second part; false where it cannot be done. */
bool split_conv_plan(struct split_conv *conv);
/* How many products of two tiles that takes. */
int64_t split_conv_products(const struct split_conv *conv);
size_t split_conv_weights_bytes(const struct split_conv *conv);
size_t split_conv_scratch_bytes(const struct split_conv *conv);

/* Weights are numbers. */
void split_conv_pack(const struct split_conv *conv, const struct split_conv_weights *weights,
                     void *packed);
void split_conv_run(const struct split_conv *conv, const float *input, const void *packed,
                    const struct split_conv_tail *tail, float *output, void *scratch);

#endif
