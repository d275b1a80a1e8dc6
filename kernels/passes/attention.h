/* attention: one node in the place of softmax(q k) v, for back ends that have a kernel for it. */
#ifndef RUNESPOOR_PASSES_ATTENTION_H
#define RUNESPOOR_PASSES_ATTENTION_H

#include "graph/graph.h"

enum { ATTENTION_Q, ATTENTION_K, ATTENTION_V, ATTENTION_INPUTS };

/* Two products with a Softmax over the last dimension between them. */
struct attention_found {
    int product, result;          /* the nodes: q k, maybe with posts, and the second product */
    int inputs[ATTENTION_INPUTS]; /* of the node to come; k is depth x keys already */
    bool turned; /* the second product is v times the turned result of the Softmax */
};

/* Whether the back end takes it. *attribute is then what its node keeps; borrowed. */
typedef bool attention_accepts(const struct graph *graph, const struct attention_found *found,
                               struct attribute *attribute);

/* Makes a node "attention" of each that nobody else reads a part of and that is accepted. The graph has been
 * through all passes. */
int attention_fuse(struct graph *graph, attention_accepts *accepts, struct error *err);

#endif
