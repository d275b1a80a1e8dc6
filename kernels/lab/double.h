/* double: a graph in doubles, for checks alone: the same op table compiled with double elements
 * (ops/real.h). What its reference kernels give is what everything else is compared with. */
#ifndef RUNESPOOR_LAB_DOUBLE_H
#define RUNESPOOR_LAB_DOUBLE_H

#include "graph/graph.h"

/* Turns every f32 value, constant and state of an inferred graph into f64, and every op into its
 * double form. Ops that only passes make (fused ones) have none: -ERROR_UNSUPPORTED. */
int graph_to_double(struct graph *graph, struct error *err);

#endif
