/* chain: makes the program of a chain: in which layout everything lies, which output is written over
 * which input, and which piece of scratch memory holds what for how long. */
#include "cpu/chain.h"
#include "cpu/build.h"
#include "cpu/parallel.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK 256  /* numbers; a function is called for each block */
#define LEAST 8192 /* numbers for a thread, below which it is not woken */
#define LINE 16    /* floats */

/* What is only needed to make a step. */
struct making {
    struct build *build;
    const struct chain *chain;
    const int *inputs, *outputs;
    struct layout layout; /* of everything that has the result's shape, but for its type */
    struct cpu_place *places[CHAIN_INPUTS_MAX + CHAIN_OUTPUTS_MAX + 1];
    int place_count;
    int first_use[CHAIN_REGISTERS_MAX], last_use[CHAIN_REGISTERS_MAX]; /* links, -1: none */
    int output_of[CHAIN_REGISTERS_MAX];                                /* -1: it is none */
    int operand_of[CHAIN_INPUTS_MAX];                                  /* -1: it is no operand */
    struct chain_spot spots[CHAIN_REGISTERS_MAX];
    bool busy[CHAIN_REGISTERS_MAX]; /* pieces */
    struct chain_state *state;
};

static int chain_build(struct build *build, const struct chain *chain, const int *inputs,
                       const int *outputs, struct error *err);
static void find_uses(struct making *making);
static int choose_layout(struct making *making, struct error *err);
static int want_inputs(struct making *making, struct error *err);
static int want_operand(struct making *making, int input, struct error *err);
static void choose_block(struct making *making);
static int place_outputs(struct making *making, struct error *err);
static bool takes_place(const struct making *making, int input, int output,
                        const struct layout *layout);
static void write_instructions(struct making *making);
static void load(struct making *making, int input);
static int take_piece(struct making *making);
static void give_piece(struct making *making, int reg);

int build_chain(struct build *build, const struct node *node, struct error *err)
{
    struct chain chain;
    chain_read(node, &chain);
    return chain_build(build, &chain, node->inputs, node->outputs, err);
}

/* One function alone, for those that oneDNN does not have. */
int build_pointwise(struct build *build, const struct node *node, struct error *err)
{
    struct pointwise function;
    if (!pointwise_from_node(build->graph, node, &function))
        return BUILD_DECLINED;
    struct chain chain = { .shape = build_info(build, node->outputs[0])->shape,
                           .input_count = pointwise_input_count(function.kind),
                           .output_count = 1 };
    chain.outputs[0] = chain_add_link(&chain, &function, (int[]){ 0, 1, 2 });
    return chain_build(build, &chain, node->inputs, node->outputs, err);
}

/* Repeats its input, as any operand is repeated. */
int build_expand(struct build *build, const struct node *node, struct error *err)
{
    const struct pointwise identity = { .kind = POINTWISE_IDENTITY, .operand = -1 };
    struct chain chain = { .shape = build_info(build, node->outputs[0])->shape,
                           .input_count = 1,
                           .output_count = 1 };
    if (build_info(build, node->inputs[0])->type != TENSOR_F32)
        return BUILD_DECLINED;
    chain.outputs[0] = chain_add_link(&chain, &identity, (int[]){ 0 });
    return chain_build(build, &chain, node->inputs, node->outputs, err);
}

static int chain_build(struct build *build, const struct chain *chain, const int *inputs,
                       const int *outputs, struct error *err)
{
    struct making making = { .build = build, .chain = chain, .inputs = inputs, .outputs = outputs };
    struct chain_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    making.state = state;
    state->elements = shape_elements(&chain->shape);
    find_uses(&making);
    int rc = choose_layout(&making, err);
    if (!rc)
        rc = want_inputs(&making, err);
    if (!rc)
        rc = place_outputs(&making, err);
    if (rc) {
        free(state);
        return rc;
    }
    choose_block(&making);
    write_instructions(&making);
    state->parts = parallel_parts(build->device->threads, state->elements, LEAST);
    state->scratch = making.place_count;
    if (state->pieces > 0) {
        struct shape shape = { .rank = 2,
                               .dim = { state->parts, state->pieces * state->piece_stride } };
        struct layout layout = layout_dense(TENSOR_F32, &shape);
        rc = build_new_place(build, &layout, &making.places[making.place_count++], err);
        if (rc) {
            free(state);
            return rc;
        }
    }
    char text[32];
    snprintf(text, sizeof text, "chain:%d", chain->link_count);
    return build_c_step(build, text, chain_run, state, making.places, making.place_count, err);
}

static void find_uses(struct making *making)
{
    const struct chain *chain = making->chain;
    for (int r = 0; r < CHAIN_REGISTERS_MAX; r++)
        making->first_use[r] = making->last_use[r] = making->output_of[r] = -1;
    for (int l = 0; l < chain->link_count; l++)
        for (int k = 0; k < POINTWISE_INPUTS_MAX && chain->links[l].in[k] >= 0; k++) {
            int r = chain->links[l].in[k];
            making->first_use[r] = making->first_use[r] < 0 ? l : making->first_use[r];
            making->last_use[r] = l;
        }
    for (int k = 0; k < chain->output_count; k++)
        making->output_of[chain->outputs[k]] = k;
}

/* ---- where everything lies ---- */

/* The order that most inputs have which a step has written, rather not row-major. bf16 if one of them
 * is, as elsewhere. */
static int choose_layout(struct making *making, struct error *err)
{
    struct build *build = making->build;
    const struct shape *shape = &making->chain->shape;
    struct layout orders[CHAIN_INPUTS_MAX];
    int votes[CHAIN_INPUTS_MAX], count = 0, best = -1;
    enum tensor_type type = TENSOR_F32;
    for (int i = 0; i < making->chain->input_count; i++) {
        struct cpu_place *place;
        if (!shape_equal(&build_info(build, making->inputs[i])->shape, shape))
            continue;
        int rc = build_place_any(build, making->inputs[i], &place, err);
        if (rc)
            return rc;
        bool moves = build_is_arena(build, place);
        struct layout order = layout_packed_like(TENSOR_F32, shape, &place->layout);
        int at = 0;
        while (at < count && !layout_equal(&orders[at], &order))
            at++;
        if (at == count) {
            orders[count] = order;
            votes[count++] = layout_is_dense(&order) ? 0 : 1;
        }
        votes[at] += moves ? 2 : 0;
        if (moves && place->layout.type == TENSOR_BF16)
            type = TENSOR_BF16;
    }
    for (int i = 0; i < count; i++)
        best = best < 0 || votes[i] > votes[best] ? i : best;
    making->layout = best < 0 ? layout_dense(TENSOR_F32, shape) : orders[best];
    making->layout.type = type;
    return 0;
}

static int want_inputs(struct making *making, struct error *err)
{
    struct build *build = making->build;
    for (int i = 0; i < making->chain->input_count; i++) {
        struct cpu_place *place;
        making->operand_of[i] = -1;
        if (!shape_equal(&build_info(build, making->inputs[i])->shape, &making->chain->shape)) {
            int rc = want_operand(making, i, err);
            if (rc)
                return rc;
            continue;
        }
        int rc = build_place_any(build, making->inputs[i], &place, err);
        struct layout layout = making->layout;
        layout.type = rc ? TENSOR_F32 : place->layout.type;
        if (!rc)
            rc = build_want(build, making->inputs[i], &layout, &place, err);
        if (rc)
            return rc;
        making->places[making->place_count++] = place;
    }
    return 0;
}

/* As floats, however it lies. */
static int want_operand(struct making *making, int input, struct error *err)
{
    struct chain_state *state = making->state;
    struct cpu_place *place;
    int rc = build_place(making->build, making->inputs[input], &place, err);
    if (rc)
        return rc;
    struct layout layout = place->layout;
    layout.type = TENSOR_F32;
    rc = build_want(making->build, making->inputs[input], &layout, &place, err);
    if (rc)
        return rc;
    making->operand_of[input] = state->operand_count;
    struct chain_operand *operand = &state->operands[state->operand_count++];
    operand->place = making->place_count;
    chain_read_operand(operand, &layout, &making->layout);
    making->places[making->place_count++] = place;
    return 0;
}

/* Dimensions of the result by falling stride, blocks and the channels in them apart; joined where the
 * operand's steps allow it. */
void chain_read_operand(struct chain_operand *operand, const struct layout *from,
                        const struct layout *to)
{
    int64_t stride[SHAPE_RANK_MAX + 1], count[SHAPE_RANK_MAX + 1], step[SHAPE_RANK_MAX + 1];
    int rank = 0, missing = to->shape.rank - from->shape.rank;
    for (int d = 0; d < to->shape.rank; d++) {
        bool moves = d >= missing && from->shape.dim[d - missing] > 1;
        bool split = to->blocked && d == 1;
        count[rank] = to->shape.dim[d];
        stride[rank] = to->stride[d];
        step[rank] = moves ? from->stride[d - missing] : 0;
        if (split) {
            count[rank + 1] = LAYOUT_BLOCK;
            stride[rank + 1] = 1;
            step[rank + 1] = step[rank];
            count[rank] /= LAYOUT_BLOCK;
            step[rank] *= LAYOUT_BLOCK;
        }
        rank += split ? 2 : 1;
    }
    for (int done = 0; done < rank; done++) {
        int next = -1;
        for (int d = 0; d < rank; d++)
            if (count[d] > 1 && (next < 0 || stride[d] > stride[next]))
                next = d;
        if (next < 0)
            break;
        int last = operand->rank - 1;
        if (last >= 0 && operand->step[last] == step[next] * count[next]) {
            operand->count[last] *= count[next];
            operand->step[last] = step[next];
        } else {
            operand->count[operand->rank] = count[next];
            operand->step[operand->rank++] = step[next];
        }
        count[next] = 1;
    }
    if (operand->rank == 0) {
        operand->count[0] = 1;
        operand->rank = 1;
    }
}

/* What is the same number everywhere, or repeats within a block (channels last), is spread out once;
 * blocks are as long as many repetitions. */
static void choose_block(struct making *making)
{
    struct chain_state *state = making->state;
    int64_t period = 1;
    for (int i = 0; i < state->operand_count; i++) {
        const struct chain_operand *operand = &state->operands[i];
        if (operand->rank == 2 && operand->step[0] == 0 && operand->count[1] <= BLOCK &&
            operand->count[1] > period)
            period = operand->count[1];
    }
    state->block = BLOCK / period * period;
    state->piece_stride = (state->block + LINE - 1) / LINE * LINE + LINE;
    for (int i = 0; i < state->operand_count; i++) {
        struct chain_operand *operand = &state->operands[i];
        bool one = operand->rank == 1 && operand->step[0] == 0;
        operand->fixed = one || (operand->rank == 2 && operand->step[0] == 0 &&
                                 state->block % operand->count[1] == 0);
        operand->piece = operand->fixed ? take_piece(making) : -1;
    }
}

static int place_outputs(struct making *making, struct error *err)
{
    struct build *build = making->build;
    bool taken[CHAIN_INPUTS_MAX] = { false };
    for (int k = 0; k < making->chain->output_count; k++) {
        int value = making->outputs[k], input = 0;
        struct layout layout = making->layout;
        struct cpu_place *place = NULL;
        if (build_info(build, value)->is_output)
            layout.type = TENSOR_F32;
        while (input < making->chain->input_count &&
               (taken[input] || !takes_place(making, input, k, &layout)))
            input++;
        int rc;
        if (input < making->chain->input_count) {
            taken[input] = true;
            rc = build_view(build, value, making->places[input], 0, &layout, err);
            place = rc ? NULL : build->values[value].versions[0];
        } else {
            rc = build_output(build, value, &layout, &place, err);
        }
        if (rc)
            return rc;
        making->places[making->place_count++] = place;
    }
    return 0;
}

/* The output may be written where the input is: nobody needs that any more, nor does a link behind the
 * one that writes. */
static bool takes_place(const struct making *making, int input, int output,
                        const struct layout *layout)
{
    const struct build *build = making->build;
    int value = making->inputs[input];
    int writer = making->chain->outputs[output] - making->chain->input_count;
    return making->operand_of[input] < 0 && making->last_use[input] <= writer &&
           build_dies(build, value) && making->places[input] == build->values[value].versions[0] &&
           layout_equal(&making->places[input]->layout, layout);
}

/* ---- the program ---- */

static void write_instructions(struct making *making)
{
    const struct chain *chain = making->chain;
    struct chain_state *state = making->state;
    for (int i = 0; i < chain->input_count; i++)
        making->spots[i] = (struct chain_spot){ i, -1 };
    for (int l = 0; l < chain->link_count; l++) {
        const struct chain_link *link = &chain->links[l];
        int r = chain->input_count + l, output = making->output_of[r];
        int place = output < 0 ? -1 : chain->input_count + output;
        bool narrow = output >= 0 && making->places[place]->layout.type == TENSOR_BF16;
        for (int k = 0; k < POINTWISE_INPUTS_MAX && link->in[k] >= 0; k++)
            if (link->in[k] < chain->input_count && making->first_use[link->in[k]] == l)
                load(making, link->in[k]);
        struct chain_instruction *next = &state->instructions[state->instruction_count++];
        *next = (struct chain_instruction){ .action = CHAIN_COMPUTE,
                                            .run = lanes_find(link->function.kind),
                                            .alpha = link->function.alpha,
                                            .beta = link->function.beta };
        for (int k = 0; k < POINTWISE_INPUTS_MAX; k++)
            next->in[k] = making->spots[link->in[k] < 0 ? link->in[0] : link->in[k]];
        for (int k = 0; k < POINTWISE_INPUTS_MAX && link->in[k] >= 0; k++)
            if (making->last_use[link->in[k]] == l)
                give_piece(making, link->in[k]);
        bool in_memory = output >= 0 && !narrow;
        next->to = in_memory ? (struct chain_spot){ place, -1 }
                             : (struct chain_spot){ -1, take_piece(making) };
        making->spots[r] = next->to;
        if (narrow) {
            state->instructions[state->instruction_count++] = (struct chain_instruction){
                .action = CHAIN_NARROW, .in = { next->to }, .to = { place, -1 }
            };
        }
        if (making->last_use[r] < 0)
            give_piece(making, r);
    }
}

/* An input that cannot be read where it lies, before the first link that needs it. */
static void load(struct making *making, int input)
{
    struct chain_state *state = making->state;
    int operand = making->operand_of[input];
    struct chain_spot *spot = &making->spots[input];
    if (operand >= 0 && state->operands[operand].fixed) {
        *spot = (struct chain_spot){ -1, state->operands[operand].piece };
        return;
    }
    if (operand < 0 && making->places[input]->layout.type == TENSOR_F32)
        return;
    struct chain_instruction *next = &state->instructions[state->instruction_count++];
    *next = (struct chain_instruction){ .action = operand < 0 ? CHAIN_WIDEN : CHAIN_SPREAD,
                                        .in = { *spot },
                                        .to = { -1, take_piece(making) },
                                        .operand = operand < 0 ? 0 : operand };
    *spot = next->to;
}

static int take_piece(struct making *making)
{
    int piece = 0;
    while (making->busy[piece])
        piece++;
    making->busy[piece] = true;
    if (making->state->pieces <= piece)
        making->state->pieces = piece + 1;
    return piece;
}

static void give_piece(struct making *making, int reg)
{
    bool input = reg < making->chain->input_count;
    int operand = input ? making->operand_of[reg] : -1;
    bool fixed = operand >= 0 && making->state->operands[operand].fixed;
    if (making->spots[reg].piece >= 0 && !fixed)
        making->busy[making->spots[reg].piece] = false;
}
