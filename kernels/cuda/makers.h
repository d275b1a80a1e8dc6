/* makers: what makes the steps of each op, a family of ops a file, and what makers ask of each other. */
#ifndef RUNESPOOR_CUDA_MAKERS_H
#define RUNESPOOR_CUDA_MAKERS_H

#include "cuda/build.h"
#include "passes/chain.h"

struct cuda_row {
    const char *op; /* base name of fused ones */
    cuda_maker *make;
};

struct cuda_family {
    const struct cuda_row *rows;
    size_t count;
};

#define CUDA_FAMILY(rows)                     \
    {                                         \
        (rows), sizeof(rows) / sizeof *(rows) \
    }

/* NAME_steps.c each. */
extern const struct cuda_family cuda_conv_family, cuda_matmul_family, cuda_map_family,
    cuda_each_family, cuda_move_family, cuda_pool_family, cuda_resize_family, cuda_reduce_family,
    cuda_normalise_family, cuda_loss_family, cuda_optimise_family, cuda_picture_family,
    cuda_labels_family, cuda_boxes_family, cuda_attention_family;

/* A step of the chain's program. inputs and outputs are values of the graph. */
int cuda_map(struct cuda_build *build, const struct chain *chain, const int *inputs,
             const int *outputs, struct error *err);
/* The same of places seen otherwise: a view of each (inputs, then outputs), and one that says in which
 * order elements are gone through, all of the same dimensions; both are changed. implementation: what
 * the step is called. */
int cuda_map_views(struct cuda_build *build, const char *implementation, const struct chain *chain,
                   struct cuda_place *const *places, struct view *views, struct view *order,
                   struct error *err);
/* What follows the base operation of a fused node, from the first-th post on; from and to may be the
 * same. */
int cuda_map_posts(struct cuda_build *build, const struct node *node, size_t first,
                   struct cuda_place *from, struct cuda_place *to, struct error *err);
/* A value summed over some of its dimensions (folded[d]), written row-major in f32 as another value. */
int cuda_sum(struct cuda_build *build, int from, int to, const bool *folded, struct error *err);
/* Any node that is a pointwise function (the last resort of compile.c), and additions and the like
 * with what follows. */
cuda_maker cuda_make_pointwise, cuda_make_binary;
/* True of a node that becomes a step of cuda_map. */
bool cuda_is_map(const struct cuda_build *build, const struct node *node);

#endif
