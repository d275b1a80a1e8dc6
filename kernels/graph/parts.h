/* parts: what the files of this folder share and nobody else needs. */
#ifndef RUNESPOOR_GRAPH_PARTS_H
#define RUNESPOOR_GRAPH_PARTS_H

#include "graph/graph.h"

/* Sets deciding[i] for each input of the graph that what a shape rule asked for is computed from: asked has
 * a bit for each input of the node. */
void graph_find_deciding(const struct graph *graph, const struct node *node, uint64_t asked,
                         bool *deciding);

/* Free what a value or node owns and blank it. */
void value_finish(struct value *value);
void node_finish(struct node *node);

#endif
