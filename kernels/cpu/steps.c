/* steps: one loop, written so that compilers make vectors of it. */
#include "cpu/steps.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Adding and taking away 1.5 * 2^23 rounds a float below 2^22 to the nearest whole, halves to even,
 * in instructions that every x86-64 has for vectors. */
#define ROUNDER 12582912.0f

struct steps_state {
    float step, lowest, highest;
    int64_t count;
};

static int run_f32(const struct cpu_step *step, struct error *err);
static int run_bf16(const struct cpu_step *step, struct error *err);
static inline float round_one(const struct steps_state *state, float x);

int steps_add_step(struct build *build, const struct pointwise *pointwise, struct cpu_place *from,
                   struct cpu_place *to, struct error *err)
{
    assert(layout_is_packed(&from->layout) && layout_equal(&from->layout, &to->layout));
    struct steps_state *state = malloc(sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    *state = (struct steps_state){
        .step = pointwise->alpha,
        .lowest = pointwise->beta,
        .highest = pointwise->beta + POINTWISE_STEP_COUNT - 1,
        .count = shape_elements(&from->layout.shape),
    };
    struct cpu_place *places[] = { from, to };
    return build_c_step(build, "steps", from->layout.type == TENSOR_F32 ? run_f32 : run_bf16, state,
                        places, 2, err);
}

static int run_f32(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct steps_state state = *(const struct steps_state *)step->state;
    const float *from = step->places[0]->data;
    float *to = step->places[1]->data;
    for (int64_t i = 0; i < state.count; i++)
        to[i] = round_one(&state, from[i]);
    return 0;
}

static int run_bf16(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct steps_state state = *(const struct steps_state *)step->state;
    const uint16_t *from = step->places[0]->data;
    uint16_t *to = step->places[1]->data;
    for (int64_t i = 0; i < state.count; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        float x;
        memcpy(&x, &bits, sizeof x);
        x = round_one(&state, x);
        memcpy(&bits, &x, sizeof x);
        to[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16); /* the nearest, halves to even */
    }
    return 0;
}

/* The limits are whole numbers, so cutting first and rounding then gives the same. Numbers that are
 * none become the lowest step. */
static inline float round_one(const struct steps_state *state, float x)
{
    float y = x / state->step;
    y = y > state->lowest ? y : state->lowest;
    y = y < state->highest ? y : state->highest;
    return (y + ROUNDER - ROUNDER) * state->step;
}
