/* chain: our own op "chain". A small program of pointwise functions that goes over memory once: each link
 * takes registers and writes one, the inputs broadcast to the shape that all registers have. */
#ifndef RUNESPOOR_PASSES_CHAIN_H
#define RUNESPOOR_PASSES_CHAIN_H

#include "ops/op.h"
#include "passes/pointwise.h"

#define CHAIN_INPUTS_MAX 24
#define CHAIN_LINKS_MAX 48
#define CHAIN_OUTPUTS_MAX CHAIN_LINKS_MAX
#define CHAIN_REGISTERS_MAX (CHAIN_INPUTS_MAX + CHAIN_LINKS_MAX)

struct chain_link {
    struct pointwise function;
    int in[POINTWISE_INPUTS_MAX]; /* registers: the inputs' first, then one for each link; -1: none */
};

struct chain {
    struct shape shape;
    int input_count, link_count, output_count;
    struct chain_link links[CHAIN_LINKS_MAX];
    int outputs[CHAIN_OUTPUTS_MAX]; /* registers of links */
};

extern const struct op chain_op;

/* Appends a link; gives its register. */
int chain_add_link(struct chain *chain, const struct pointwise *function, const int *in);
/* Adds a node of the chain to a graph. inputs and outputs are values, as many as the chain has. */
int chain_make(struct graph *graph, const char *name, const struct chain *chain, const int *inputs,
               const int *outputs, struct error *err);
/* Reads a node of chain_op. */
void chain_read(const struct node *node, struct chain *chain);

#endif
