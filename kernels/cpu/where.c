/* where: Where of floats, one of which has the result's shape; anything else is left to the reference kernel,
 * which copies element by element. */
#include "cpu/build.h"
#include "ops/walk.h"
#include <stdlib.h>

struct where_state {
    struct shape shape, condition, other;
    bool full_is_x; /* what has the result's shape is taken where the condition holds */
};

static int run(const struct cpu_step *step, struct error *err);
static void choose_row(const uint8_t *condition, int64_t condition_step, const float *full,
                       const float *other, int64_t other_step, bool full_is_x, float *to,
                       int64_t count);

int build_where(struct build *build, const struct node *node, struct error *err)
{
    const struct value *condition = build_info(build, node->inputs[0]);
    const struct value *x = build_info(build, node->inputs[1]),
                       *y = build_info(build, node->inputs[2]);
    const struct value *out = build_info(build, node->outputs[0]);
    bool x_full = shape_equal(&x->shape, &out->shape), y_full = shape_equal(&y->shape, &out->shape);
    if (out->type != TENSOR_F32 || (!x_full && !y_full))
        return BUILD_DECLINED;
    struct where_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    *state = (struct where_state){ .shape = out->shape,
                                   .condition = condition->shape,
                                   .other = y_full ? x->shape : y->shape,
                                   .full_is_x = !y_full };
    struct layout layout = layout_dense(TENSOR_F32, &out->shape);
    struct cpu_place *places[4]; /* condition, what is full, the other, the result */
    int rc = build_want_dense(build, node->inputs[0], &places[0], err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[y_full ? 2 : 1], &places[1], err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[y_full ? 1 : 2], &places[2], err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &places[3], err);
    if (rc) {
        free(state);
        return rc;
    }
    return build_c_step(build, "where", run, state, places, 4, err);
}

static int run(const struct cpu_step *step, struct error *err)
{
    const struct where_state *state = step->state;
    struct walk walk;
    (void)err;
    walk_init(&walk, &state->shape);
    walk_add_broadcast(&walk, &state->shape);
    walk_add_broadcast(&walk, &state->condition);
    walk_add_broadcast(&walk, &state->other);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        choose_row((const uint8_t *)step->places[0]->data + walk.at[1], walk.row_step[1],
                   (const float *)step->places[1]->data + walk.at[0],
                   (const float *)step->places[2]->data + walk.at[2], walk.row_step[2],
                   state->full_is_x, (float *)step->places[3]->data + walk.at[0], walk.row);
    return 0;
}

/* A condition for each number and one other number for all make a loop of vectors. */
static void choose_row(const uint8_t *condition, int64_t condition_step, const float *full,
                       const float *other, int64_t other_step, bool full_is_x, float *to,
                       int64_t count)
{
    if (condition_step == 1 && other_step == 0) {
        const float number = *other;
        for (int64_t i = 0; i < count; i++)
            to[i] = (condition[i] != 0) == full_is_x ? full[i] : number;
        return;
    }
    for (int64_t i = 0; i < count; i++)
        to[i] = (condition[i * condition_step] != 0) == full_is_x ? full[i] : other[i * other_step];
}
