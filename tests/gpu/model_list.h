/* model_list: the networks that are checked on a GPU, from the bundle's models.txt. A line is a network,
 * words with a key each:
 *
 *     name=yolox_nano file=models/yolox_nano.onnx shapes=1x3x416x416 outputs=1 scores=0:r:4:1:5:80:1:0.3
 *
 * file lies in the bundle, or else in the tree. Inputs are raw f32 in data/NAME.in.N, what the reference
 * kernels make of them in data/NAME.out.N. scores, of detectors: the output, its layout (r: a row of
 * columns for each cell; c: a channel for each column), the column that says whether there is anything
 * (-1: none) and its power, the first class and how many, their power, and from which score on the
 * product counts an object; see model_scores.h. */
#ifndef RUNESPOOR_TESTS_GPU_MODEL_LIST_H
#define RUNESPOOR_TESTS_GPU_MODEL_LIST_H

#include "tensor/tensor.h"

#define MODEL_TEXT_BYTES 256
#define MODEL_INPUTS_MAX 4
#define MODEL_OUTPUTS_MAX 8

struct model_scores {
    int output; /* -1: the network is no detector */
    bool rows;
    int object, first_class, class_count;
    double object_power, class_power, threshold;
};

struct model_entry {
    char name[MODEL_TEXT_BYTES], file[MODEL_TEXT_BYTES];
    struct shape shapes[MODEL_INPUTS_MAX];
    int input_count, output_count;
    struct model_scores scores;
};

/* The entry of that name in bundle/models.txt; file is made a path that can be opened. */
int model_find(const char *bundle, const char *name, struct model_entry *entry, struct error *err);

/* Reads (writes) data/NAME.in.N or .out.N; kind: "in", "out". tensor: has its memory. */
int model_read(const char *bundle, const struct model_entry *entry, const char *kind, size_t index,
               const struct tensor *tensor, struct error *err);
int model_write(const char *bundle, const struct model_entry *entry, const char *kind, size_t index,
                const struct tensor *tensor, struct error *err);

/* "1x3x384x512" */
int model_read_shape(const char *text, struct shape *shape, struct error *err);

#endif
