/* write: a graph as an ONNX model, for whoever runs models: ONNX Runtime, another tool, onnx_read_file.
 *
 * What the outputs need is written: nodes of ONNX ops, constants, and states as constants that hold
 * what they hold now. Our own ops are refused by name, but for those that ONNX can spell (swish), so
 * a graph is written before pass_fuse_post. Outputs need a type: from the file that was read, from
 * graph_infer, or from graph_add_value. Free dimensions stay free. */
#ifndef RUNESPOOR_ONNX_WRITE_H
#define RUNESPOOR_ONNX_WRITE_H

#include "graph/graph.h"

/* The graph is sorted. The file appears whole or not at all; one that is there is replaced. */
int onnx_write_file(const struct graph *graph, const char *path, struct error *err);
/* The caller frees *bytes. */
int onnx_write_bytes(const struct graph *graph, void **bytes, size_t *size, struct error *err);

#endif
