/* split_steps: a split value is kept with the value, like the other layouts that it has been put in. */
#include "cpu/split_steps.h"
#include <assert.h>
#include <stdlib.h>

struct build_split {
    int64_t rows;
    enum split_order order;
    struct cpu_place *place;
};

struct run_state {
    int64_t rows, length;
    enum split_order order;
    int threads;
};

static int make(struct build *build, const struct cpu_place *plain, int64_t rows,
                enum split_order order, const struct layout *layout, struct cpu_place **place,
                struct error *err);
static int make_constant(struct build *build, const float *numbers, const struct run_state *state,
                         const struct layout *layout, struct cpu_place **place, struct error *err);
static int remember(struct build *build, int value, struct build_split split, struct error *err);
static int run(const struct cpu_step *step, struct error *err);

bool split_pays(const struct build *build, uint64_t flop, int64_t numbers)
{
    return build->splits && flop / 2 >= SPLIT_PRODUCTS_MIN * (uint64_t)numbers;
}

int64_t split_count(const struct build *build, int value)
{
    const struct value *info = build_info(build, value);
    return info->constant.data ? 0 : shape_elements(&info->shape);
}

int split_want(struct build *build, int value, const struct cpu_place *plain, int64_t rows,
               enum split_order order, const struct layout *layout, struct cpu_place **place,
               struct error *err)
{
    const struct build_value *state = value < 0 ? NULL : &build->values[value];
    for (int i = 0; state && i < state->split_count; i++) {
        const struct build_split *split = &state->splits[i];
        if (split->rows == rows && split->order == order &&
            layout_equal(&split->place->layout, layout))
            return build_alias(build, split->place, 0, layout, place, err);
    }
    int rc = make(build, plain, rows, order, layout, place, err);
    if (rc || !state)
        return rc;
    return remember(build, value, (struct build_split){ rows, order, *place }, err);
}

int split_want_image(struct build *build, int value, int axis, enum split_order order,
                     struct cpu_place **place, struct error *err)
{
    const struct shape *shape = &build_info(build, value)->shape;
    struct layout layout = layout_channels_last(TENSOR_F32, shape);
    int64_t rows = axis == 0 ? 1 : shape_elements(shape) / shape->dim[1];
    struct shape three = *shape;
    if (shape->rank == 3)
        three =
            (struct shape){ .rank = 4, .dim = { shape->dim[0], shape->dim[1], 1, shape->dim[2] } };
    three.dim[axis] *= SPLIT_PARTS;
    struct cpu_place *plain;
    int rc = build_want(build, value, &layout, &plain, err);
    layout = layout_channels_last(TENSOR_BF16, &three);
    return rc ? rc : split_want(build, value, plain, rows, order, &layout, place, err);
}

int split_want_weights(struct build *build, int value, int axis, enum split_order order,
                       struct cpu_place **place, struct error *err)
{
    struct shape three = build_info(build, value)->shape;
    int64_t rows = axis == 0 ? 1 : three.dim[0];
    three.dim[axis] *= SPLIT_PARTS;
    struct layout layout = layout_dense(TENSOR_BF16, &three);
    struct cpu_place *plain;
    int rc = build_want_dense(build, value, &plain, err);
    return rc ? rc : split_want(build, value, plain, rows, order, &layout, place, err);
}

static int make(struct build *build, const struct cpu_place *plain, int64_t rows,
                enum split_order order, const struct layout *layout, struct cpu_place **place,
                struct error *err)
{
    int64_t numbers = shape_elements(&plain->layout.shape);
    assert(plain->layout.type == TENSOR_F32 && layout_is_packed(&plain->layout));
    assert(layout->type == TENSOR_BF16 && numbers % rows == 0);
    assert(shape_elements(&layout->shape) == SPLIT_PARTS * numbers);
    struct run_state state = { rows, numbers / rows, order, build->device->threads };
    const void *constant = build_constant_data(build, plain);
    if (constant)
        return make_constant(build, constant, &state, layout, place, err);
    int rc = build_new_place(build, layout, place, err);
    if (rc)
        return rc;
    struct run_state *kept = malloc(sizeof *kept);
    if (!kept)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    *kept = state;
    struct cpu_place *places[] = { (struct cpu_place *)plain, *place };
    return build_c_step(build, "split", run, kept, places, 2, err);
}

static int make_constant(struct build *build, const float *numbers, const struct run_state *state,
                         const struct layout *layout, struct cpu_place **place, struct error *err)
{
    void *data = cpu_allocate(layout_bytes(layout));
    if (!data)
        return error_set(err, ERROR_MEMORY, "cpu", "no room for weights as bf16 parts");
    split_run(numbers, state->rows, state->length, state->order, state->threads, data);
    return build_take_constant(build, data, layout, place, err);
}

static int remember(struct build *build, int value, struct build_split split, struct error *err)
{
    struct build_value *state = &build->values[value];
    size_t bytes = ((size_t)state->split_count + 1) * sizeof *state->splits;
    struct build_split *more = realloc(state->splits, bytes);
    if (!more)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->splits = more;
    more[state->split_count++] = split;
    return 0;
}

static int run(const struct cpu_step *step, struct error *err)
{
    const struct run_state *state = step->state;
    (void)err;
    split_run(step->places[0]->data, state->rows, state->length, state->order, state->threads,
              step->places[1]->data);
    return 0;
}
