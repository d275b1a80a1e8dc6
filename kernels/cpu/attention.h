/* attention: softmax(q k) v without the scores in memory: some rows of them at a time stay in the cache. Only
 * where the processor has AVX-512, and for shapes that fill its vectors. */
#ifndef RUNESPOOR_CPU_ATTENTION_H
#define RUNESPOOR_CPU_ATTENTION_H

#include "graph/graph.h"

#define ATTENTION_ROWS 8 /* whose scores are kept at a time */
#define ATTENTION_LANES 16

/* For each of `batch`: q is rows x depth, k depth x keys, v keys x columns and the result rows x columns, all
 * row-major. */
struct attention {
    int64_t batch, rows, keys, depth, columns;
};

bool attention_suits(const struct attention *shape);
/* A part's share of the rows of all; scores: room for ATTENTION_ROWS times keys. */
void attention_run(const struct attention *shape, const float *q, const float *k, const float *v,
                   float *scores, int part, int parts, float *to);

/* Makes one node "attention" of each MatMul, Softmax over the last dimension and MatMul that follow each
 * other, if nobody else reads what lies between; the second may also be v times the turned result of the
 * Softmax. The graph has been through all passes. */
int attention_find(struct graph *graph, struct error *err);

#endif
