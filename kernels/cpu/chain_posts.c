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
                          bool narrow);

int post_add_chain(struct build *build, const struct post_list *list, size_t first,
                   struct cpu_place *from, struct cpu_place *out, struct error *err)
{
    struct cpu_place *places[FUSED_POSTS_MAX + 3] = { out, from };
    int place_count = 2;
    if (first == list->count || !layout_equal(&from->layout, &out->layout) ||
        !suits(list, first, &out->layout))
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
    write_program(state, list, first, out->layout.type == TENSOR_BF16);
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

/* In the output's own memory behind the first; of bf16 in one piece, which is widened to and narrowed from. */
static void write_program(struct chain_state *state, const struct post_list *list, size_t first,
                          bool narrow)
{
    struct chain_spot out = { 0, -1 }, from = { 1, -1 }, work = out;
    int operand = 0;
    lanes_bf16_fn *run_bf16 = narrow ? lanes_find_bf16(list->posts[first].kind) : NULL;
    if (run_bf16 && first + 1 == list->count) {
        state->instructions[state->instruction_count++] = (struct chain_instruction){
            .action = CHAIN_COMPUTE_BF16, .in = { from, from, from }, .to = out, .run_bf16 = run_bf16
        };
        return;
    }
    if (narrow)
        work = (struct chain_spot){ -1, state->pieces++ };
    if (narrow)
        state->instructions[state->instruction_count++] =
            (struct chain_instruction){ .action = CHAIN_WIDEN, .in = { from }, .to = work };
    for (size_t i = first; i < list->count; i++) {
        struct chain_spot x = i == first && !narrow ? from : work, second = x;
        if (list->operands[i]) {
            struct chain_operand *own = &state->operands[operand];
            bool whole = own->rank == 0;
            second = (struct chain_spot){ whole ? own->place : -1, own->piece };
            if (!whole && !own->fixed)
                state->instructions[state->instruction_count++] = (struct chain_instruction){
                    .action = CHAIN_SPREAD, .to = second, .operand = operand
                };
            if (whole && narrow) {
                struct chain_spot wide = { -1, state->pieces++ };
                state->instructions[state->instruction_count++] =
                    (struct chain_instruction){ .action = CHAIN_WIDEN, .in = { second }, .to = wide };
                second = wide;
            }
            operand++;
        }
        state->instructions[state->instruction_count++] =
            (struct chain_instruction){ .action = CHAIN_COMPUTE,
                                        .in = { x, second, x },
                                        .to = work,
                                        .run = lanes_find_quick(list->posts[i].kind),
                                        .alpha = list->posts[i].alpha,
                                        .beta = list->posts[i].beta };
    }
    if (narrow)
        state->instructions[state->instruction_count++] =
            (struct chain_instruction){ .action = CHAIN_NARROW, .in = { work }, .to = out };
}
