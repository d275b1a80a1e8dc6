/* parts: what the files of this folder share and nobody else needs. */
#ifndef RUNESPOOR_GRAPH_PARTS_H
#define RUNESPOOR_GRAPH_PARTS_H

#include "graph/graph.h"

/* Free what a value or node owns and blank it. */
void value_finish(struct value *value);
void node_finish(struct node *node);

#endif
