/* onnx: reads an ONNX model file into a graph. The file comes from outside: every index, length and
 * shape is checked; sizes are limited. Errors name op, node and reason. */
#ifndef RUNESPOOR_ONNX_ONNX_H
#define RUNESPOOR_ONNX_ONNX_H

#include "graph/graph.h"

#define ONNX_FILE_BYTES_MAX ((size_t)1 << 30)

int onnx_read_file(struct graph **graph, const char *path, struct error *err);
/* name stands for the file in messages. */
int onnx_read_bytes(struct graph **graph, const void *bytes, size_t size, const char *name,
                    struct error *err);

#endif
