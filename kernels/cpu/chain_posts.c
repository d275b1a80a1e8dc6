/* chain_posts: the posts that are left to steps of their own, as one chain over the output where it lies,
 * instead of a pass over memory for each. */
#include "cpu/build.h"
#include "cpu/chain.h"
#include "cpu/parallel.h"
#include "cpu/post.h"
#include <stdlib.h>

#define BLOCK 1024 /* numbers; a function is called for each block */
#define LEAST 8192 /* numbers for a thread, below which it is not woken */
#define LINE 16    /* floats */

static bool suits(const struct post_list *list, size_t first, const struct layout *out);
static bool repeats(const struct chain_operand *operand);
static void add_operand(struct chain_state *state, const struct layout *from,
                        const struct layout *out, int place);
static void choose_block(struct chain_state *state);
static void write_program(struct chain_state *state, const struct post_list *list, size_t first,
                          bool widen, bool narrow);
static bool write_quick(struct chain_state *state, enum pointwise_kind kind, bool widen);
static struct chain_spot write_operand(struct chain_state *state, int index, bool narrow);
static struct chain_instruction *next(struct chain_state *state);

int post_add_chain(struct build *build, const struct post_list *list, size_t first,
                   struct cpu_place *from, struct cpu_place *out, struct error *err)
{
    struct cpu_place *places[FUSED_POSTS_MAX + 3] = { out, from };
    int place_count = 2;
    struct layout wide = out->layout;
    wide.type = from->layout.type;
    if ((first == list->count && wide.type == out->layout.type) ||
        !layout_equal(&from->layout, &wide) || !suits(list, first, &out->layout))
        return BUILD_DECLINED;
    struct chain_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->elements = shape_elements(&out->layout.shape);
    for (size_t i = first; i < list->count; i++) {
        if (!list->operands[i])
            continue;
        add_operand(state, &list->operands[i]->layout, &out->layout, place_count);
        places[place_count++] = list->operands[i];
    }
    choose_block(state);
    write_program(state, list, first, from->layout.type == TENSOR_BF16,
                  out->layout.type == TENSOR_BF16);
    state->parts = parallel_parts(build->device->threads, state->elements, LEAST);
    state->scratch = place_count;
    if (state->pieces > 0) {
        struct shape shape = { .rank = 2,
                               .dim = { state->parts, state->pieces * state->piece_stride } };
        struct layout layout = layout_dense(TENSOR_F32, &shape);
        int rc = build_new_place(build, &layout, &places[place_count++], err);
        if (rc) {
            free(state);
            return rc;
        }
    }
    return build_c_step(build, "chain:posts", chain_run, state, places, place_count, err);
}

/* Operands lie as the output does, or are plain and in f32. */
static bool suits(const struct post_list *list, size_t first, const struct layout *out)
{
    if (!layout_is_packed(out) || (out->type != TENSOR_F32 && out->type != TENSOR_BF16))
        return false;
    for (size_t i = first; i < list->count; i++) {
        const struct layout *operand = list->operands[i] ? &list->operands[i]->layout : out;
        if (!layout_equal(operand, out) && (operand->type != TENSOR_F32 || operand->blocked ||
                                            operand->shape.rank > out->shape.rank))
            return false;
    }
    return true;
}

static void add_operand(struct chain_state *state, const struct layout *from,
                        const struct layout *out, int place)
{
    struct chain_operand *operand = &state->operands[state->operand_count++];
    operand->place = place;
    operand->piece = -1;
    if (!layout_equal(from, out))
        chain_read_operand(operand, from, out);
}

/* The same for every so many numbers, which a block has a whole number of. */
static bool repeats(const struct chain_operand *operand)
{
    return operand->rank == 1 ? operand->step[0] == 0 : operand->rank == 2 && operand->step[0] == 0;
}

static void choose_block(struct chain_state *state)
{
    int64_t period = 1;
    for (int i = 0; i < state->operand_count; i++) {
        const struct chain_operand *operand = &state->operands[i];
        int64_t own = operand->rank == 2 && repeats(operand) ? operand->count[1] : 1;
        period = own <= BLOCK && own > period ? own : period;
    }
    state->block = BLOCK / period * period;
    state->piece_stride = (state->block + LINE - 1) / LINE * LINE + LINE;
    for (int i = 0; i < state->operand_count; i++) {
        struct chain_operand *operand = &state->operands[i];
        int64_t own = operand->rank == 2 ? operand->count[1] : 1;
        operand->fixed = operand->rank > 0 && repeats(operand) && state->block % own == 0;
        if (operand->rank > 0)
            operand->piece = state->pieces++;
    }
}

/* In the output's own memory behind the first; towards bf16 in a piece. */
static void write_program(struct chain_state *state, const struct post_list *list, size_t first,
                          bool widen, bool narrow)
{
    struct chain_spot out = { 0, -1 }, from = { 1, -1 }, x = from, work = out;
    int operand = 0;
    if (first + 1 == list->count && narrow && write_quick(state, list->posts[first].kind, widen))
        return;
    if (narrow)
        work = (struct chain_spot){ -1, state->pieces++ };
    if (widen) {
        *next(state) =
            (struct chain_instruction){ .action = CHAIN_WIDEN, .in = { from }, .to = work };
        x = work;
    }
    for (size_t i = first; i < list->count; i++) {
        struct chain_spot y = list->operands[i] ? write_operand(state, operand++, narrow) : x;
        *next(state) = (struct chain_instruction){ .action = CHAIN_COMPUTE,
                                                   .in = { x, y, x },
                                                   .to = work,
                                                   .run = lanes_find_quick(list->posts[i].kind),
                                                   .alpha = list->posts[i].alpha,
                                                   .beta = list->posts[i].beta };
        x = work;
    }
    if (narrow)
        *next(state) = (struct chain_instruction){ .action = CHAIN_NARROW, .in = { x }, .to = out };
}

/* One function that reads and writes as it is wanted; false if there is none. */
static bool write_quick(struct chain_state *state, enum pointwise_kind kind, bool widen)
{
    lanes_narrow_fn *run = lanes_find_narrow(kind, widen);
    if (!run)
        return false;
    *next(state) = (struct chain_instruction){
        .action = CHAIN_COMPUTE_NARROW, .in = { { 1, -1 } }, .to = { 0, -1 }, .run_narrow = run
    };
    return true;
}

/* Where an operand can be read as floats. One that lies as the result does is of its type. */
static struct chain_spot write_operand(struct chain_state *state, int index, bool narrow)
{
    const struct chain_operand *operand = &state->operands[index];
    if (operand->rank == 0 && narrow) {
        struct chain_spot wide = { -1, state->pieces++ };
        *next(state) = (struct chain_instruction){ .action = CHAIN_WIDEN,
                                                   .in = { { operand->place, -1 } },
                                                   .to = wide };
        return wide;
    }
    if (operand->rank == 0)
        return (struct chain_spot){ operand->place, -1 };
    struct chain_spot piece = { -1, operand->piece };
    if (!operand->fixed)
        *next(state) =
            (struct chain_instruction){ .action = CHAIN_SPREAD, .to = piece, .operand = index };
    return piece;
}

static struct chain_instruction *next(struct chain_state *state)
{
    return &state->instructions[state->instruction_count++];
}
