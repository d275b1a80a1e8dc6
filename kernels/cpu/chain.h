/* chain: a program of pointwise functions in one pass over memory. What lies as the result does is read
 * and written where it is; everything between is kept in pieces of a block, which stay in the nearest
 * cache (kernels/lab/chain.c). Inputs that broadcast are spread out into such pieces. */
#ifndef RUNESPOOR_CPU_CHAIN_H
#define RUNESPOOR_CPU_CHAIN_H

#include "cpu/lanes_quick.h"
#include "cpu/plan.h"
#include "passes/chain.h"

#define CHAIN_INSTRUCTIONS_MAX (CHAIN_INPUTS_MAX + 2 * CHAIN_LINKS_MAX)

/* Where a register is while a block is worked on: in memory at the block's offset, or in a piece of
 * scratch memory. */
struct chain_spot {
    int place; /* index among the step's places, or -1: */
    int piece;
};

/* An input that broadcasts, seen in the order of the result's memory. */
struct chain_operand {
    int place, rank;
    int64_t count[SHAPE_RANK_MAX + 1], step[SHAPE_RANK_MAX + 1];
    bool fixed; /* the same in each block: it is spread out once, to */
    int piece;
};

enum chain_action { CHAIN_COMPUTE, CHAIN_COMPUTE_NARROW, CHAIN_WIDEN, CHAIN_NARROW, CHAIN_SPREAD };

struct chain_instruction {
    enum chain_action action;
    struct chain_spot in[POINTWISE_INPUTS_MAX], to;
    lanes_fn *run;
    lanes_narrow_fn *run_narrow;
    float alpha, beta;
    int operand;
};

struct chain_state {
    int64_t elements, block;
    int64_t piece_stride;
    int pieces, parts, scratch; /* place of the pieces of all parts */
    int operand_count;
    struct chain_operand operands[CHAIN_INPUTS_MAX];
    int instruction_count;
    struct chain_instruction instructions[CHAIN_INSTRUCTIONS_MAX];
};

/* How an operand that lies as `from` is repeated for a result that lies as `to`. */
void chain_read_operand(struct chain_operand *operand, const struct layout *from,
                        const struct layout *to);
/* Runs a step whose state is a struct chain_state. */
int chain_run(const struct cpu_step *step, struct error *err);

#endif
