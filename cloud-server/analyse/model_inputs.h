/* model_inputs: what an ONNX file without a card is given on the command line: sizes, shapes and tensors. */
#ifndef RUNESPOOR_ANALYSE_MODEL_INPUTS_H
#define RUNESPOOR_ANALYSE_MODEL_INPUTS_H

#include "graph/graph.h"

/* Words of the command line; all borrowed. */
struct model_words {
    const char *const *sizes; /* NAME=N */
    size_t size_count;
    const char *const *shapes; /* SHAPE in the inputs' order, or NAME=SHAPE */
    size_t shape_count;
    const char *const *files; /* FILE.npy in the inputs' order, or NAME=FILE.npy */
    size_t file_count;
};

/* In the graph's order. */
struct model_inputs {
    struct tensor *tensors;     /* owned; blank where no file was given */
    const struct tensor **list; /* of all of them, for graph_infer_for */
    bool *bound;                /* values that shapes depend on (graph_infer_for) */
    int count;
};

/* The graph's inputs get the sizes and shapes of the words. */
int model_inputs_size(struct graph *graph, const struct model_words *words, struct error *err);

/* Reads the files; model_inputs_free also after errors. */
int model_inputs_read(struct model_inputs *inputs, const struct graph *graph,
                      const struct model_words *words, struct error *err);
/* Makes up those without a file: numbers from 0 to 1, zeros where the type is whole. */
int model_inputs_make_up(struct model_inputs *inputs, const struct graph *graph, struct error *err);
void model_inputs_free(struct model_inputs *inputs);

/* The first input without a file; -1 when there is none. */
int model_inputs_missing(const struct model_inputs *inputs);
/* Whether the graph says all sizes of an input. */
bool model_input_is_known(const struct value *input);

/* "1x3x224x224"; what names the words in messages. */
int model_read_shape(const char *text, const char *what, struct shape *shape, struct error *err);

#endif
