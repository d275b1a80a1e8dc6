/* writer: what the files of this folder share: a graph on its way into an ONNX model. Messages point
 * into the graph where they can; everything else is taken from blocks that are freed together. */
#ifndef RUNESPOOR_ONNX_WRITER_H
#define RUNESPOOR_ONNX_WRITER_H

#include "onnx/reader.h"

struct writer {
    const struct graph *graph;
    int opset;
    Onnx__GraphProto *proto;
    bool *needed;       /* per node: an output depends on it */
    const char **names; /* per value: what it is called in the file; NULL: it is not in it */
    struct names value_names, node_names; /* taken already; ONNX Runtime wants both unique */
    struct block *blocks;
};

/* Zeroed room for count items, freed with the writer. */
void *writer_take(struct writer *writer, size_t count, size_t item_bytes, struct error *err);
/* base, or if that is taken or empty base with a number; goes among taken. NULL is an error. */
const char *writer_new_name(struct writer *writer, struct names *taken, const char *base,
                            int number, struct error *err);
/* Borrows the tensor's data. name may be NULL. */
Onnx__TensorProto *writer_make_tensor(struct writer *writer, const struct tensor *tensor,
                                      const char *name, struct error *err);

/* The lowest opset, not below the graph's own, that all needed nodes can be written in. */
int writer_choose_opset(struct writer *writer, struct error *err);
/* All needed nodes with their attributes. */
int writer_make_nodes(struct writer *writer, struct error *err);

#endif
