/* quantise: what the files of pass_quantise share. */
#ifndef RUNESPOOR_PASSES_QUANTISE_H
#define RUNESPOOR_PASSES_QUANTISE_H

#include "ops/quantise.h"
#include "passes/rewrite.h"

struct quantise_pass {
    struct graph *graph;
    struct rewrite_uses uses; /* as of before the pass: of the f32 values, which it leaves alone */
};

/* Bytes with what they stand for: values, the last two constants. zero is -1 where the file leaves it
 * out. */
struct quantised {
    int bytes, scale, zero;
};

/* Where a piece ends: the bytes that its QuantizeLinear writes, and what activations before that leave
 * of their range. */
struct quantise_end {
    struct quantised q;
    int64_t low, high;
};

/* A rule looks at what stands around its node. 1: the piece has been rewritten; 0: it is none. */
typedef int quantise_rule(struct quantise_pass *pass, int node, struct error *err);
quantise_rule quantise_conv, quantise_matmul;                                   /* _product.c */
quantise_rule quantise_binary, quantise_average, quantise_move, quantise_table; /* _piece.c */

/* The f32 value is bytes with one scale. */
bool quantise_find_source(const struct graph *graph, int value, struct quantised *source);
/* The f32 value is quantised with one scale, perhaps behind a Relu or Clip, and read by nobody else. */
bool quantise_find_end(const struct quantise_pass *pass, int value, struct quantise_end *end);
/* The node is a QuantizeLinear or DequantizeLinear of constants with one scale. */
bool quantise_read(const struct graph *graph, int node, struct quantised *read);
/* Makes a zero point that was left out. */
int quantise_need_zero(struct graph *graph, struct quantised *q, struct error *err);
/* Adds an own op that writes the end's bytes. attributes_of is a node whose attributes it has, or -1. */
int quantise_add(struct quantise_pass *pass, const char *op, int node, const int *inputs,
                 int input_count, const struct quantise_end *end, int attributes_of,
                 struct error *err);
/* What a DequantizeLinear of constants gives; *tensor is the caller's. */
int quantise_expand(const struct graph *graph, const struct node *node, struct tensor *tensor,
                    struct error *err);
bool quantise_is_expandable(const struct graph *graph, int node);

#endif
