/* gather_steps: elements taken where a list of indices says, and the way back. */
#include "cuda/move.h"
#include "cuda/iterate.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <assert.h>
#include <stdlib.h>

struct gather_state {
    struct gather gather;
    int64_t count; /* elements of the result */
};

struct back_state {
    struct gather_back back;
    int64_t count;
};

static int check_indices(const struct cuda_build *build, const struct node *node, int64_t length,
                         struct error *err);
static int take_one(struct cuda_build *build, const struct node *node, int64_t index, int axis,
                    struct error *err);
static int take_many(struct cuda_build *build, const struct node *node, int axis, struct error *err);
static int add_links(struct cuda_build *build, const struct node *node, int32_t length,
                     struct cuda_place **first, struct cuda_place **next, struct error *err);
static int new_list(struct cuda_build *build, int64_t count, struct cuda_place **list,
                    struct error *err);
static int run_take(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static int run_link(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static int run_add(const struct cuda_step *step, struct gpu *gpu, struct error *err);

/* ---- forwards ---- */

int move_make_gather(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *from = &cuda_info(build, node->inputs[0])->shape;
    const struct value *indices = cuda_info(build, node->inputs[1]);
    int axis = concat_axis(node, from);
    int rc = check_indices(build, node, from->dim[axis], err);
    if (rc)
        return rc;
    if (!indices->constant.data || shape_elements(&indices->shape) != 1)
        return take_many(build, node, axis, err);
    int64_t index = rule_int_at(&indices->constant, 0);
    return take_one(build, node, index < 0 ? index + from->dim[axis] : index, axis, err);
}

/* Constant indices are looked at here; of others, those that are outside give 0. */
static int check_indices(const struct cuda_build *build, const struct node *node, int64_t length,
                         struct error *err)
{
    const struct tensor *indices = &cuda_info(build, node->inputs[1])->constant;
    int64_t count = indices->data ? shape_elements(&indices->shape) : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t index = rule_int_at(indices, i);
        if (index < -length || index >= length)
            return error_set(err, ERROR_FORMAT, build->op, "node '%s': index %lld of %lld",
                             build->name, (long long)index, (long long)length);
    }
    return 0;
}

/* A slice of one element: a view. */
static int take_one(struct cuda_build *build, const struct node *node, int64_t index, int axis,
                    struct error *err)
{
    struct cuda_place *in;
    int rc = cuda_where(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    struct layout slice = in->layout, layout;
    slice.shape.dim[axis] = 1;
    /* Only dimensions of one come and go, so this is always possible. */
    bool possible = layout_reshape(&slice, &cuda_info(build, node->outputs[0])->shape, &layout);
    assert(possible);
    int64_t offset = shape_elements(&slice.shape) > 0 ? index * slice.stride[axis] : 0;
    return cuda_alias(build, node->outputs[0], in, offset, &layout, err);
}

static int take_many(struct cuda_build *build, const struct node *node, int axis, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    struct cuda_place *places[3];
    int rc = cuda_where(build, node->inputs[0], &places[0], err);
    if (!rc)
        rc = cuda_where(build, node->inputs[1], &places[1], err);
    if (rc)
        return rc;
    struct layout layout = move_layout_like(shape, &places[0]->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &places[2], err);
    if (rc)
        return rc;
    struct gather_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    struct view data = move_view(places[0]), indices = cuda_view(places[1]);
    struct gather *gather = &state->gather;
    gather->to = gather->from = gather->indices = move_view(places[2]);
    gather->from.type = data.type;
    gather->indices.type = indices.type;
    gather->step = data.step[axis];
    gather->length = data.dim[axis];
    for (int d = 0; d < shape->rank; d++) {
        int inside = d - axis; /* of the indices' dimensions */
        bool by_index = inside >= 0 && inside < indices.rank;
        gather->indices.step[d] = by_index ? indices.step[inside] : 0;
        gather->from.step[d] = by_index   ? 0
                               : d < axis ? data.step[d]
                                          : data.step[d - indices.rank + 1];
    }
    iterate_join((struct view *const[]){ &gather->to, &gather->from, &gather->indices }, 3);
    state->count = shape_elements(shape);
    return cuda_add_step(build, "gather", run_take, state, NULL, places, 2, 3, err);
}

static int run_take(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct gather_state *state = step->state;
    struct gather gather = state->gather;
    (void)err;
    gather.from.data = step->places[0]->data;
    gather.indices.data = step->places[1]->data;
    gather.to.data = step->places[2]->data;
    gather_take(&gather, state->count, gpu_stream(gpu));
    return 0;
}

/* ---- back ---- */

int move_make_gather_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    const struct shape *indices = &cuda_info(build, node->inputs[1])->shape;
    int axis = concat_axis(node, shape);
    struct cuda_place *places[4]; /* dy, the lists, dx */
    int rc = check_indices(build, node, shape->dim[axis], err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &places[0], err);
    if (!rc)
        rc = add_links(build, node, (int32_t)shape->dim[axis], &places[1], &places[2], err);
    if (rc)
        return rc;
    struct layout layout = move_layout_like(shape, &places[0]->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &places[3], err);
    if (rc)
        return rc;
    struct back_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    struct view dy = cuda_view(places[0]);
    struct gather_back *back = &state->back;
    back->to = back->from = back->position = cuda_view(places[3]);
    back->from.type = dy.type;
    for (int d = 0; d < shape->rank; d++) {
        back->position.step[d] = d == axis;
        back->from.step[d] = d == axis ? 0 : dy.step[d < axis ? d : d + indices->rank - 1];
    }
    back->spread = (struct view){ .rank = indices->rank };
    for (int d = 0; d < indices->rank; d++) {
        back->spread.dim[d] = dy.dim[axis + d];
        back->spread.step[d] = dy.step[axis + d];
    }
    iterate_join((struct view *const[]){ &back->to, &back->from, &back->position }, 3);
    state->count = shape_elements(shape);
    return cuda_add_step(build, "gather back", run_add, state, NULL, places, 3, 4, err);
}

/* A step that makes the lists; of constant indices it runs once. */
static int add_links(struct cuda_build *build, const struct node *node, int32_t length,
                     struct cuda_place **first, struct cuda_place **next, struct error *err)
{
    struct cuda_place *indices;
    int64_t count = shape_elements(&cuda_info(build, node->inputs[1])->shape);
    int rc = cuda_where(build, node->inputs[1], &indices, err);
    if (!rc)
        rc = new_list(build, length, first, err);
    if (!rc)
        rc = new_list(build, count, next, err);
    if (rc)
        return rc;
    struct gather_lists *lists = calloc(1, sizeof *lists);
    if (!lists)
        return cuda_no_memory(err);
    *lists = (struct gather_lists){ .indices = cuda_view(indices),
                                    .length = length,
                                    .count = (int32_t)count };
    return cuda_add_step(build, "lists", run_link, lists, NULL,
                         (struct cuda_place *const[]){ indices, *first, *next }, 1, 3, err);
}

static int new_list(struct cuda_build *build, int64_t count, struct cuda_place **list,
                    struct error *err)
{
    const struct shape shape = { .rank = 1, .dim = { count } };
    struct layout layout = layout_dense(TENSOR_I32, &shape);
    return cuda_new_place(build, &layout, list, err);
}

static int run_link(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    struct gather_lists lists = *(const struct gather_lists *)step->state;
    (void)err;
    lists.indices.data = step->places[0]->data;
    lists.first = step->places[1]->data;
    lists.next = step->places[2]->data;
    gather_link(&lists, (int64_t)lists.length + lists.count, gpu_stream(gpu));
    return 0;
}

static int run_add(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct back_state *state = step->state;
    struct gather_back back = state->back;
    (void)err;
    back.from.data = step->places[0]->data;
    back.first = step->places[1]->data;
    back.next = step->places[2]->data;
    back.to.data = step->places[3]->data;
    gather_add(&back, state->count, gpu_stream(gpu));
    return 0;
}
