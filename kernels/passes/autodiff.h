/* autodiff: adds to a graph the nodes that compute gradients, by each op's own rule (ops/gradient.h),
 * in reverse order of the nodes (reverse-mode differentiation). */
#ifndef RUNESPOOR_PASSES_AUTODIFF_H
#define RUNESPOOR_PASSES_AUTODIFF_H

#include "graph/graph.h"

struct autodiff {
    /* What is differentiated: the sum over all k of `of[k]` times `seeds[k]`, elementwise. A seed is a
     * value of the graph, of the same shape as its `of`; -1 stands for ones (of a loss). */
    const int *of, *seeds;
    int of_count;
    const int *with; /* respect to these values: inputs, constants, states or what nodes write */
    int with_count;
    /* Recomputation saves memory: the backward part reads of what the forward part made only the
     * values listed here, and computes whatever else it needs once more, from them. */
    bool recompute;
    const int *kept;
    int kept_count;
};

/* The graph is inferred, and so is what is added. gradients[k] becomes the value with the gradient of
 * with[k], -1 where nothing depends on it. Names the op and node that has no gradient.
 * Values keep their numbers. */
int pass_autodiff(struct graph *graph, const struct autodiff *autodiff, int *gradients,
                  struct error *err);

#endif
