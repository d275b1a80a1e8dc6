/* reference: runs a graph by the plain-C kernels of the op table. Slow; what every back end is
 * compared with. */
#ifndef RUNESPOOR_GRAPH_REFERENCE_H
#define RUNESPOOR_GRAPH_REFERENCE_H

#include "graph/graph.h"

/* The graph has been inferred. inputs and outputs are in the graph's order; inputs are borrowed and
 * must have the graph's types and shapes. outputs are blank before; on success the caller owns their
 * data (tensor_free), on failure they are blank again. States are in the graph and move on with a
 * run that succeeds. */
int graph_run_reference(struct graph *graph, const struct tensor *const *inputs,
                        struct tensor *outputs, struct error *err);

#endif
