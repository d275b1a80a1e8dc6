/* gather_steps: elements taken where a list of indices says, and the way back. */
#include "cuda/move.h"
#include "cuda/iterate.h"
#include "cuda/kernel_step.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <assert.h>
#include <stddef.h>

static int check_indices(const struct cuda_build *build, const struct node *node, int64_t length,
                         struct error *err);
static int take_one(struct cuda_build *build, const struct node *node, int64_t index, int axis,
                    struct error *err);
static int take_many(struct cuda_build *build, const struct node *node, int axis, struct error *err);
static int add_links(struct cuda_build *build, const struct node *node, int32_t length,
                     struct cuda_place **first, struct cuda_place **next, struct error *err);
static int new_list(struct cuda_build *build, int64_t count, struct cuda_place **list,
                    struct error *err);
static void launch_take(const void *args, void *stream)
{
    const struct gather *gather = args;
    gather_take(gather, view_count(&gather->to), stream);
}

static void launch_link(const void *args, void *stream)
{
    const struct gather_lists *lists = args;
    gather_link(lists, (int64_t)lists->length + lists->count, stream);
}

static void launch_add(const void *args, void *stream)
{
    const struct gather_back *back = args;
    gather_add(back, view_count(&back->to), stream);
}

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
    struct cuda_place *from, *list, *to;
    int rc = cuda_where(build, node->inputs[0], &from, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[1], &list, err);
    if (rc)
        return rc;
    struct layout layout = move_layout_like(shape, &from->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    struct view data = move_view(from), indices = cuda_view(list), result = move_view(to);
    struct gather args = { .to = result,
                           .from = result,
                           .indices = result,
                           .step = data.step[axis],
                           .length = data.dim[axis] };
    args.from.type = data.type;
    args.indices.type = indices.type;
    for (int d = 0; d < shape->rank; d++) {
        int inside = d - axis; /* of the indices' dimensions */
        bool by_index = inside >= 0 && inside < indices.rank;
        args.indices.step[d] = by_index ? indices.step[inside] : 0;
        args.from.step[d] = by_index   ? 0
                            : d < axis ? data.step[d]
                                       : data.step[d - indices.rank + 1];
    }
    iterate_join((struct view *const[]){ &args.to, &args.from, &args.indices }, 3);
    struct kernel_step step = kernel_begin(launch_take, &args, sizeof args);
    kernel_read(&step, from, offsetof(struct gather, from.data));
    kernel_read(&step, list, offsetof(struct gather, indices.data));
    kernel_write(&step, to, offsetof(struct gather, to.data));
    return kernel_add(build, &step, "gather", err);
}

/* ---- back ---- */

int move_make_gather_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->outputs[0])->shape;
    int rank = cuda_info(build, node->inputs[1])->shape.rank; /* of the indices */
    int axis = concat_axis(node, shape);
    struct cuda_place *from, *first, *next, *to;
    int rc = check_indices(build, node, shape->dim[axis], err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &from, err);
    if (!rc)
        rc = add_links(build, node, (int32_t)shape->dim[axis], &first, &next, err);
    if (rc)
        return rc;
    struct layout layout = move_layout_like(shape, &from->layout);
    rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    struct view dy = cuda_view(from), dx = cuda_view(to);
    struct gather_back args = { .to = dx, .from = dx, .position = dx, .spread.rank = rank };
    args.from.type = dy.type;
    for (int d = 0; d < shape->rank; d++) {
        args.position.step[d] = d == axis;
        args.from.step[d] = d == axis ? 0 : dy.step[d < axis ? d : d + rank - 1];
    }
    for (int d = 0; d < rank; d++) {
        args.spread.dim[d] = dy.dim[axis + d];
        args.spread.step[d] = dy.step[axis + d];
    }
    iterate_join((struct view *const[]){ &args.to, &args.from, &args.position }, 3);
    struct kernel_step step = kernel_begin(launch_add, &args, sizeof args);
    kernel_read(&step, from, offsetof(struct gather_back, from.data));
    kernel_read(&step, first, offsetof(struct gather_back, first));
    kernel_read(&step, next, offsetof(struct gather_back, next));
    kernel_write(&step, to, offsetof(struct gather_back, to.data));
    return kernel_add(build, &step, "gather back", err);
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
    struct gather_lists args = { .indices = cuda_view(indices),
                                 .length = length,
                                 .count = (int32_t)count };
    struct kernel_step step = kernel_begin(launch_link, &args, sizeof args);
    kernel_read(&step, indices, offsetof(struct gather_lists, indices.data));
    kernel_write(&step, *first, offsetof(struct gather_lists, first));
    kernel_write(&step, *next, offsetof(struct gather_lists, next));
    return kernel_add(build, &step, "lists", err);
}

static int new_list(struct cuda_build *build, int64_t count, struct cuda_place **list,
                    struct error *err)
{
    const struct shape shape = { .rank = 1, .dim = { count } };
    struct layout layout = layout_dense(TENSOR_I32, &shape);
    return cuda_new_place(build, &layout, list, err);
}
