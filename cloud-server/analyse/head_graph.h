/* head_graph: the part of a head's work that makes much into little, as nodes behind the network, so that a
 * device beside the processor gives back boxes and labels instead of all its scores. */
#ifndef RUNESPOOR_ANALYSE_HEAD_GRAPH_H
#define RUNESPOOR_ANALYSE_HEAD_GRAPH_H

#include "analyse/head.h"
#include "graph/graph.h"

/* Takes the outputs of graph that the head reads (raw: indices of values, in the head's order; they fit the head,
 * which head_open has seen) and makes what head_open_reduced reads its only outputs, for as many pictures as they
 * have:
 *
 *   boxes   after suppression, by falling score: boxes, scores, classes and their count (ops/boxes.c)
 *   areas   for each output: the label of each pixel, and the scores of the pixels that uncertainty looks at */
int head_graph_append(struct graph *graph, const struct card *card, const int *raw,
                      size_t raw_count, struct error *err);

#endif
