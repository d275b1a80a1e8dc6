/* chain_run: blocks one after the other, for each the program of the chain. */
#include "cpu/chain.h"
#include "cpu/parallel.h"
#include <assert.h>
#include <string.h>

/* An instruction of one thread: where its first block is, and by how many bytes for each number it goes
 * on; pieces stay. */
struct ready {
    const char *in[POINTWISE_INPUTS_MAX];
    char *to;
    int64_t in_bytes[POINTWISE_INPUTS_MAX], to_bytes;
};

static void run_part(const void *arg, int part, int parts);
static void make_ready(const struct cpu_step *step, float *pieces, struct ready *ready);
static char *find_spot(const struct cpu_step *step, float *pieces, struct chain_spot spot,
                       int64_t *bytes);
static void run_block(const struct cpu_step *step, const struct ready *ready, int64_t at,
                      int64_t count);
static void spread(const struct chain_operand *operand, const float *from, int64_t at,
                   int64_t count, float *to);

int chain_run(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct chain_state *)step->state)->parts, run_part, step);
    return 0;
}

static void run_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct chain_state *state = step->state;
    struct ready ready[CHAIN_INSTRUCTIONS_MAX];
    int64_t at, end, block = state->block;
    float *pieces = NULL;
    if (state->pieces > 0)
        pieces = (float *)step->places[state->scratch]->data +
                 (int64_t)part * state->pieces * state->piece_stride;
    for (int i = 0; i < state->operand_count; i++) {
        const struct chain_operand *operand = &state->operands[i];
        if (operand->fixed)
            spread(operand, step->places[operand->place]->data, 0,
                   block < state->elements ? block : state->elements,
                   pieces + operand->piece * state->piece_stride);
    }
    make_ready(step, pieces, ready);
    parallel_share(state->elements, block, part, parts, &at, &end);
    for (; at < end; at += block)
        run_block(step, ready, at, end - at < block ? end - at : block);
}

static void make_ready(const struct cpu_step *step, float *pieces, struct ready *ready)
{
    const struct chain_state *state = step->state;
    for (int i = 0; i < state->instruction_count; i++) {
        const struct chain_instruction *next = &state->instructions[i];
        for (int k = 0; k < POINTWISE_INPUTS_MAX; k++)
            ready[i].in[k] = find_spot(step, pieces, next->in[k], &ready[i].in_bytes[k]);
        ready[i].to = find_spot(step, pieces, next->to, &ready[i].to_bytes);
    }
}

static char *find_spot(const struct cpu_step *step, float *pieces, struct chain_spot spot,
                       int64_t *bytes)
{
    const struct chain_state *state = step->state;
    *bytes = 0;
    if (spot.place < 0)
        return (char *)(pieces + spot.piece * state->piece_stride);
    *bytes = (int64_t)tensor_type_bytes(step->places[spot.place]->layout.type);
    return step->places[spot.place]->data;
}

static void run_block(const struct cpu_step *step, const struct ready *ready, int64_t at,
                      int64_t count)
{
    const struct chain_state *state = step->state;
    for (int i = 0; i < state->instruction_count; i++, ready++) {
        const struct chain_instruction *next = &state->instructions[i];
        const struct chain_operand *operand = &state->operands[next->operand];
        const void *x = ready->in[0] + at * ready->in_bytes[0];
        void *to = ready->to + at * ready->to_bytes;
        switch (next->action) {
        case CHAIN_COMPUTE:
            next->run(x, (const void *)(ready->in[1] + at * ready->in_bytes[1]),
                      (const void *)(ready->in[2] + at * ready->in_bytes[2]), to, count,
                      next->alpha, next->beta);
            break;
        case CHAIN_COMPUTE_NARROW:
            next->run_narrow(x, to, count);
            break;
        case CHAIN_WIDEN:
            lanes_widen(x, to, count);
            break;
        case CHAIN_NARROW:
            lanes_narrow(x, to, count);
            break;
        case CHAIN_SPREAD:
            spread(operand, step->places[operand->place]->data, at, count, to);
            break;
        }
    }
}

/* Elements [at, at + count) of what the operand is repeated to. */
static void spread(const struct chain_operand *operand, const float *from, int64_t at,
                   int64_t count, float *to)
{
    int last = operand->rank - 1;
    int64_t index[SHAPE_RANK_MAX + 1];
    assert(to && last >= 0);
    for (int d = last; d >= 0; d--) {
        index[d] = at % operand->count[d];
        at /= operand->count[d];
        from += index[d] * operand->step[d];
    }
    while (count > 0) {
        int64_t row = operand->count[last] - index[last], step = operand->step[last];
        row = row < count ? row : count;
        if (step == 0)
            lanes_fill(*from, to, row);
        else if (step == 1)
            memcpy(to, from, (size_t)row * sizeof *to);
        else
            for (int64_t i = 0; i < row; i++)
                to[i] = from[i * step];
        to += row;
        count -= row;
        index[last] += row;
        from += row * step;
        for (int d = last; d > 0 && index[d] == operand->count[d]; d--) {
            from += operand->step[d - 1] - operand->count[d] * operand->step[d];
            index[d] = 0;
            index[d - 1]++;
        }
    }
}
