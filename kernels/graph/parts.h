/* parts: what the files of this folder share and nobody else needs. */
#ifndef RUNESPOOR_GRAPH_PARTS_H
#define RUNESPOOR_GRAPH_PARTS_H

#include "graph/graph.h"

/* Free what a value, node or attribute owns and blank it. */
void value_finish(struct value *value);
void node_finish(struct node *node);
void attribute_finish(struct attribute *attribute);
/* Bytes of what an attribute points to and owns alone. */
uint64_t attribute_bytes(const struct attribute *attribute);

/* What inference may still do, so that a small file cannot make much work. */
struct inference {
    uint64_t fold_bytes;   /* read and written by folding */
    uint64_t bodies_bytes; /* of what is put in the place of nodes with bodies */
};

/* Infers and folds all nodes from the first on, and drops those of them that were folded away. */
int graph_infer_from(struct graph *graph, int first, struct inference *inference, struct error *err);

/* Puts what an If, Loop or Scan does at the end of the graph, inferred; the node is left without outputs. */
int graph_expand_node(struct graph *graph, int node, struct inference *inference, struct error *err);

#endif
