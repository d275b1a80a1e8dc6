/* conv_parts: what the makers of convolutions share: conv_steps.c (one), conv_pair_steps.c (two in one
 * pass). */
#ifndef RUNESPOOR_CUDA_CONV_PARTS_H
#define RUNESPOOR_CUDA_CONV_PARTS_H

#include "cuda/conv_tile.h"
#include "cuda/libraries.h"
#include "cuda/makers.h"

/* What is being made. */
struct conv_making {
    struct conv conv;
    int from[2], bias, to;    /* values; bias -1: none */
    const struct node *posts; /* whose posts follow; NULL: none */
    /* Of from, bias, and the operands of posts. */
    struct cuda_place *places[3 + FUSED_POSTS_MAX];
    struct lib_post fused[FUSED_POSTS_MAX]; /* posts that become part of the step */
    size_t fused_count;
};

/* What a node asks for (an op whose base is Conv), without places. */
int conv_begin(struct cuda_build *build, const struct node *node, struct conv_making *making,
               struct error *err);
/* Finds all places but the first, and posts that may become part of the step. */
int conv_gather(struct cuda_build *build, struct conv_making *making, struct error *err);
/* With all places there: chooses a way and adds the step, and one for what it leaves of the posts. */
int conv_finish(struct cuda_build *build, struct conv_making *making, struct error *err);

/* What conv_tile is told, without its convolution and its operands' addresses. */
struct conv_tiles {
    struct conv_tile tile;
    int multiprocessors;
};

/* The parts of conv_finish: */
struct conv_tiles conv_describe_tiles(const struct cuda_build *build,
                                      const struct conv_making *making);
struct lib_conv_spec conv_describe(const struct cuda_build *build, const struct conv_making *making);
int conv_place_result(struct cuda_build *build, const struct conv_making *making,
                      struct cuda_place **out, struct error *err);
int conv_map_rest(struct cuda_build *build, const struct conv_making *making,
                  struct cuda_place *out, struct error *err);

/* tiles is borrowed. */
struct lib_rival conv_rival_of(const struct conv_tiles *tiles);
/* A lib_rival's run; arg: struct conv_tiles. */
void conv_run_tiles(const void *arg, struct gpu *gpu, const struct conv *conv, void *const *operands);
/* Tells a tile its operands' addresses; gives how many. */
int conv_set_operands(struct conv_tile *tile, void *const *operands);

bool conv_is_picture_like(const struct shape *operand, const struct shape *picture);
uint64_t conv_count_flop(const struct conv *conv);

/* ---- conv_pair_steps.c ---- */

/* True of a convolution that is left to the one behind it, which alone reads it. */
bool conv_is_left(struct cuda_build *build, const struct node *node);
/* Leaves it. */
cuda_maker conv_make_later;
/* The one before, and second (from conv_begin), in one pass or behind each other, whichever is faster. */
int conv_make_pair(struct cuda_build *build, const struct node *before, struct conv_making *second,
                   struct error *err);

#endif
