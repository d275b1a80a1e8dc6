/* attention: softmax(q k^T * scale) v in one kernel. A block keeps the sums of some rows of q and goes
 * along the keys in pieces; where a later piece has a larger score, what has been summed up so far is
 * made smaller ("online softmax", Milakov and Gimelshein 2018). Scores never reach memory. */
#ifndef RUNESPOOR_CUDA_ATTENTION_H
#define RUNESPOOR_CUDA_ATTENTION_H

#include "cuda/view.h"

#define ATTENTION_ROWS 64        /* of q, for a block */
#define ATTENTION_VALUES_MAX 128 /* columns of v */

/* For each of `batch`: q is rows x depth, k depth x keys (as the product takes it), v keys x columns. The
 * views are those of batches: where each begins, and the type. Steps in elements, of two dimensions
 * each; those of the result are `columns` and 1. */
struct attention {
    int32_t batch, rows, keys, depth, columns;
    float scale;
    struct view q, k, v, to;
    int64_t q_step[2], k_step[2], v_step[2];
};

/* blocks: attention_blocks. */
LAUNCHER void attention_tiles(const struct attention *args, int64_t blocks, void *stream);
static inline int64_t attention_blocks(const struct attention *args)
{
    return (int64_t)args->batch * ((args->rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS);
}

#ifndef __cplusplus
#include "graph/graph.h"

/* Makes one node "attention" of each MatMul, Softmax over the last dimension and MatMul that follow each
 * other, with nothing between but a product with, or a division by, a constant number before the Softmax,
 * and nobody else who reads what lies between: so exporters write attention for inference. The graph has
 * been through all passes. Inputs of the node: q, k (already turned), v; its attribute: scale. */
int cuda_find_attention(struct graph *graph, struct error *err);
#endif

#endif
