/* optimise: steps of optimisers over many parameters in one launch, in f32. A table in the kernel's
 * arguments says where each parameter lies; a block works through a chunk of one of them. Formulas are
 * those of ops/optimise.c. */
#ifndef RUNESPOOR_CUDA_OPTIMISE_H
#define RUNESPOOR_CUDA_OPTIMISE_H

#include "cuda/view.h"
#include "ops/optimise_functions.h"

#define OPTIMISE_CHUNK 2048   /* elements: 8 for each thread of a block */
#define OPTIMISE_STATES_MAX 3 /* of Adam: weights, m, v */
#define OPTIMISE_PARTS_MAX \
    184 /* what goes into a kernel's arguments, which are 32,764 bytes at most */

/* One array. Its chunks are blocks first_block, first_block + 1, … of a launch. */
struct optimise_part {
    struct view fresh; /* the gradient, or what is averaged or copied, in the order of the states' memory */
    float *before[OPTIMISE_STATES_MAX], *after[OPTIMISE_STATES_MAX]; /* row-major; after may be the
                                                                        same as before, or NULL */
    int64_t count, first_block;
};

struct optimise_parts {
    int32_t count;
    struct optimise_part part[OPTIMISE_PARTS_MAX]; /* first_block grows, the first one's is 0 */
};

enum optimise_kind {
    OPTIMISE_SGD,     /* states: weights, velocity */
    OPTIMISE_ADAM,    /* states: weights, m, v */
    OPTIMISE_AVERAGE, /* state: the average */
};

/* What adam_prepare leaves for all parts: struct adam_step in f32. */
struct optimise_now {
    float keep, decay, rate, root;
};

struct optimise {
    enum optimise_kind kind;
    float momentum, weight_decay;                /* SGD */
    int32_t nesterov;                            /* SGD */
    float beta1, beta2, fresh1, fresh2, epsilon; /* Adam; fresh: 1 - beta */
    float keep, fresh;              /* averages: of the old one and of the new number */
    const float *rate;              /* SGD; NULL: 0 */
    const float *scale;             /* of gradients; NULL: 1 */
    const struct optimise_now *now; /* Adam */
    struct optimise_parts parts;
};

/* blocks: all chunks of all parts. */
LAUNCHER void optimise_all(const struct optimise *args, int64_t blocks, void *stream);

/* Weights as they are multiplied. */
struct optimise_copies {
    int32_t type; /* what after[0] of each part is: a float that may be narrow */
    struct optimise_parts parts;
};

/* fresh to after[0]. blocks: as of optimise_all. */
LAUNCHER void optimise_copy_all(const struct optimise_copies *args, int64_t blocks, void *stream);

/* The numbers of a step of Adam, from its count, which is only known on the device. */
struct adam_prepare {
    struct adam adam;
    const float *step, *rate; /* NULL: 1; 0 */
    struct optimise_now *now;
};

/* count: 1. */
LAUNCHER void adam_prepare_each(const struct adam_prepare *args, int64_t count, void *stream);

/* Sums of squares, in doubles, as the products of floats are exact then. First of each chunk: one number
 * for each block, in the order of blocks. */
struct squares {
    double *sums;
    struct optimise_parts parts; /* only fresh is looked at */
};

/* blocks: as of optimise_all. */
LAUNCHER void squares_chunks(const struct squares *args, int64_t blocks, void *stream);

/* Then of chunks that belong together. */
#define SQUARES_TOTALS_MAX 512
struct squares_total {
    float *to;
    int64_t first, count; /* chunks */
};
struct squares_totals {
    const double *sums;
    struct squares_total total[SQUARES_TOTALS_MAX];
};

/* rows: totals; length: chunks of the longest. */
LAUNCHER void squares_totals_rows(const struct squares_totals *args, int64_t rows, int64_t length,
                                  void *stream);

#define CLIP_SUMS_MAX 64
struct clip {
    const float *sums[CLIP_SUMS_MAX];
    int32_t count;
    float max_norm;
    float *to;
};

/* count: 1. */
LAUNCHER void clip_factor_each(const struct clip *args, int64_t count, void *stream);

#endif
