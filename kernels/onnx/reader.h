/* reader: what the files of this folder share: an ONNX model on its way into a graph. */
#ifndef RUNESPOOR_ONNX_READER_H
#define RUNESPOOR_ONNX_READER_H

#include "graph/graph.h"
#include "onnx.pb-c.h"

/* Names of values and their indices in the graph. Keys are borrowed from the unpacked model. */
struct names {
    struct name_entry {
        const char *key;
        int value;
    } *entries;
    size_t capacity, count;
};

int names_add(struct names *names, const char *key, int value, struct error *err);
int names_find(const struct names *names, const char *key); /* -1 when it is not there */
void names_finish(struct names *names);

struct reader {
    const Onnx__ModelProto *model;
    struct graph *graph;
    struct names names;
};

/* Walks over packed bytes before protobuf-c unpacks them, because that recurses without a limit and
 * allocates for every field: refuses what nests too deep, has too many fields or is malformed. */
int onnx_scan(const void *bytes, size_t size, struct error *err);

/* A tensor of the file; on success the caller owns its data. */
int onnx_read_tensor(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err);

/* All nodes with their attributes. Inputs and initializers are in the graph already. */
int onnx_read_nodes(struct reader *reader, struct error *err);
/* Adds a value under a name that must be new. */
int onnx_add_name(struct reader *reader, const char *name, int value, struct error *err);

/* The graph's inputs and outputs get the names that the file has for their free sizes. */
int onnx_name_sizes(struct graph *graph, const Onnx__GraphProto *proto, struct error *err);

/* NULL (absent in the file) as "". */
const char *onnx_text(const char *text);

#endif
