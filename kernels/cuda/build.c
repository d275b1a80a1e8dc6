/* build: values, places and steps of a plan in the making. Memory is only counted here; where it lies
 * is decided at the end (plan.c), when all lives are known. */
#include "cuda/build.h"
#include "cuda/copy.h"
#include "cuda/weights.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int grow(void **items, int *capacity, int count, size_t item_bytes, struct error *err);
static int add_buffer(struct cuda_build *build, struct cuda_buffer buffer, struct error *err);
static int add_place(struct cuda_build *build, int buffer, uint64_t offset_bytes,
                     const struct layout *layout, struct cuda_place **place, struct error *err);
static int add_version(struct cuda_build *build, int value, struct cuda_place *place,
                       struct error *err);
static int place_held(struct cuda_build *build, int value, struct error *err);
static int memory_reads(const struct cuda_build *build, const struct cuda_place *place);

/* ---- values ---- */

const struct value *cuda_info(const struct cuda_build *build, int value)
{
    assert(value >= 0 && value < build->graph->value_count);
    return &build->graph->values[value];
}

const struct tensor *cuda_constant_input(const struct cuda_build *build, const struct node *node,
                                         int input)
{
    if (input >= node->input_count || node->inputs[input] < 0)
        return NULL;
    return &cuda_info(build, node->inputs[input])->constant;
}

int cuda_where(struct cuda_build *build, int value, struct cuda_place **place, struct error *err)
{
    if (build->values[value].version_count == 0) {
        int rc = place_held(build, value, err);
        if (rc)
            return rc;
    }
    *place = build->values[value].versions[0];
    return 0;
}

/* A constant or a state, as it is in the graph. */
static int place_held(struct cuda_build *build, int value, struct error *err)
{
    const struct value *info = cuda_info(build, value);
    bool is_state = info->state.data != NULL;
    const struct tensor *held = is_state ? &info->state : &info->constant;
    assert(held->data); /* nodes come in an order that can be run */
    struct cuda_buffer buffer = { .kind = is_state ? CUDA_BUFFER_STATE : CUDA_BUFFER_CONSTANT,
                                  .bytes = tensor_bytes(held),
                                  .content = held->data };
    for (int i = 0; is_state && i < build->graph->state_count; i++)
        if (build->graph->states[i] == value)
            buffer.external = (size_t)i;
    struct layout layout = layout_dense(info->type, &info->shape);
    struct cuda_place *place;
    int index = add_buffer(build, buffer, err);
    int rc = index < 0 ? index : add_place(build, index, 0, &layout, &place, err);
    return rc ? rc : add_version(build, value, place, err);
}

int cuda_want(struct cuda_build *build, int value, const struct layout *layout,
              struct cuda_place **place, struct error *err)
{
    struct cuda_place *original;
    int rc = cuda_where(build, value, &original, err);
    if (rc)
        return rc;
    const struct cuda_value *held = &build->values[value];
    for (int i = 0; i < held->version_count; i++)
        if (layout_equal(&held->versions[i]->layout, layout)) {
            *place = held->versions[i];
            return 0;
        }
    rc = cuda_new_place(build, layout, place, err);
    if (!rc)
        rc = cuda_is_weight(build, original, *place) ? cuda_copy_weight(build, original, *place, err)
                                                     : cuda_copy(build, original, *place, err);
    return rc ? rc : add_version(build, value, *place, err);
}

int cuda_want_dense(struct cuda_build *build, int value, enum tensor_type type,
                    struct cuda_place **place, struct error *err)
{
    struct cuda_place *original;
    int rc = cuda_where(build, value, &original, err);
    if (rc)
        return rc;
    struct layout layout = layout_dense(type == TENSOR_NONE ? original->layout.type : type,
                                        &cuda_info(build, value)->shape);
    return cuda_want(build, value, &layout, place, err);
}

int cuda_want_last(struct cuda_build *build, int value, enum tensor_type type,
                   struct cuda_place **place, struct error *err)
{
    struct cuda_place *original;
    int rc = cuda_where(build, value, &original, err);
    if (rc)
        return rc;
    struct layout layout = layout_channels_last(type == TENSOR_NONE ? original->layout.type : type,
                                                &cuda_info(build, value)->shape);
    return cuda_want(build, value, &layout, place, err);
}

int cuda_output(struct cuda_build *build, int value, const struct layout *layout,
                struct cuda_place **place, struct error *err)
{
    int rc = cuda_new_place(build, layout, place, err);
    return rc ? rc : add_version(build, value, *place, err);
}

int cuda_alias(struct cuda_build *build, int value, const struct cuda_place *of, int64_t offset,
               const struct layout *layout, struct error *err)
{
    struct cuda_place *place;
    int rc = cuda_see(build, of, offset, layout, &place, err);
    return rc ? rc : add_version(build, value, place, err);
}

int cuda_renew(struct cuda_build *build, int state, int value, struct cuda_place **place,
               struct error *err)
{
    struct layout dense = layout_dense(TENSOR_F32, &cuda_info(build, value)->shape);
    if (!cuda_info(build, state)->state.data)
        return cuda_output(build, value, &dense, place, err);
    struct cuda_place *own;
    int rc = cuda_where(build, state, &own, err);
    if (rc)
        return rc;
    if (cuda_info(build, state)->next != value || memory_reads(build, own) != 1)
        return cuda_output(build, value, &dense, place, err);
    *place = own;
    return add_version(build, value, own, err);
}

/* Reads to come of whatever lies in the same memory. */
static int memory_reads(const struct cuda_build *build, const struct cuda_place *place)
{
    int reads = 0;
    for (int v = 0; v < build->graph->value_count; v++)
        for (int i = 0; i < build->values[v].version_count; i++)
            if (build->values[v].versions[i]->buffer == place->buffer) {
                reads += build->values[v].reads_left;
                break;
            }
    return reads;
}

bool cuda_leaves(const struct cuda_build *build, int value)
{
    return build->values[value].leaves;
}

enum tensor_type cuda_product_type(const struct cuda_build *build, int value)
{
    return cuda_leaves(build, value) ? TENSOR_F32 : build->arithmetic;
}

enum tensor_type cuda_result_type(struct cuda_build *build, int value, const int *inputs, int count)
{
    const struct value *info = cuda_info(build, value);
    if (info->type != TENSOR_F32)
        return info->type;
    for (int i = 0; i < count && !cuda_leaves(build, value); i++) {
        const struct cuda_value *held = inputs[i] < 0 ? NULL : &build->values[inputs[i]];
        if (held && held->version_count > 0 && held->versions[0]->layout.type == build->arithmetic &&
            shape_elements(&cuda_info(build, inputs[i])->shape) >= shape_elements(&info->shape))
            return build->arithmetic;
    }
    return TENSOR_F32;
}

struct layout cuda_result_layout(struct cuda_build *build, int value, const int *inputs, int count)
{
    const struct shape *shape = &cuda_info(build, value)->shape;
    enum tensor_type type = cuda_result_type(build, value, inputs, count);
    for (int i = 0; i < count; i++) {
        const struct cuda_value *held = inputs[i] < 0 ? NULL : &build->values[inputs[i]];
        if (!held || held->version_count == 0 ||
            !shape_equal(shape, &held->versions[0]->layout.shape))
            continue;
        struct layout last = layout_channels_last(held->versions[0]->layout.type, shape);
        if (layout_equal(&held->versions[0]->layout, &last) &&
            !layout_is_dense(&held->versions[0]->layout))
            return layout_channels_last(type, shape);
    }
    return layout_dense(type, shape);
}

/* ---- places ---- */

int cuda_new_place(struct cuda_build *build, const struct layout *layout, struct cuda_place **place,
                   struct error *err)
{
    struct cuda_buffer buffer = { .kind = CUDA_BUFFER_ARENA, .bytes = layout_bytes(layout) };
    int index = add_buffer(build, buffer, err);
    return index < 0 ? index : add_place(build, index, 0, layout, place, err);
}

int cuda_scratch(struct cuda_build *build, uint64_t bytes, struct cuda_place **place,
                 struct error *err)
{
    struct shape shape = { .rank = 1, .dim = { (int64_t)bytes } };
    struct layout layout = layout_dense(TENSOR_U8, &shape);
    return cuda_new_place(build, &layout, place, err);
}

int cuda_see(struct cuda_build *build, const struct cuda_place *of, int64_t offset,
             const struct layout *layout, struct cuda_place **place, struct error *err)
{
    assert(of->layout.type == layout->type && offset >= 0);
    uint64_t offset_bytes = of->offset_bytes + (uint64_t)offset * tensor_type_bytes(layout->type);
    return add_place(build, of->buffer, offset_bytes, layout, place, err);
}

int cuda_constant(struct cuda_build *build, const struct tensor *content, struct cuda_place **place,
                  struct error *err)
{
    struct cuda_buffer buffer = { .kind = CUDA_BUFFER_CONSTANT,
                                  .bytes = tensor_bytes(content),
                                  .content = content->data };
    struct layout layout = layout_dense(content->type, &content->shape);
    int index = add_buffer(build, buffer, err);
    return index < 0 ? index : add_place(build, index, 0, &layout, place, err);
}

int cuda_take_constant(struct cuda_build *build, const struct tensor *content,
                       struct cuda_place **place, struct error *err)
{
    int rc = cuda_constant(build, content, place, err);
    if (rc)
        free(content->data);
    else
        build->plan->buffers[(*place)->buffer].own_content = content->data;
    return rc;
}

bool cuda_is_constant(const struct cuda_build *build, const struct cuda_place *place)
{
    return build->plan->buffers[place->buffer].kind == CUDA_BUFFER_CONSTANT;
}

/* ---- steps ---- */

int cuda_add_step(struct cuda_build *build, const char *implementation,
                  int (*run)(const struct cuda_step *step, struct gpu *gpu, struct error *err),
                  void *state, void (*free_state)(void *state), struct cuda_place *const *places,
                  int read_count, int place_count, struct error *err)
{
    struct cuda_plan *plan = build->plan;
    struct cuda_step step = {
        .op = build->op,
        .name = build->name,
        .implementation = implementation,
        .shape = build->shape,
        .type = places[0]->layout.type,
        .run = run,
        .state = state,
        .free_state = free_state ? free_state : free,
        .places = calloc((size_t)place_count + 1, sizeof *step.places),
        .place_count = place_count,
        .read_count = read_count,
    };
    int rc = step.places ? grow((void **)&plan->steps, &plan->step_capacity, plan->step_count,
                                sizeof *plan->steps, err)
                         : cuda_no_memory(err);
    if (rc) {
        free(step.places);
        step.free_state(state);
        return rc;
    }
    memcpy(step.places, places, (size_t)place_count * sizeof *places);
    plan->steps[plan->step_count++] = step;
    return 0;
}

void cuda_set_flop(struct cuda_build *build, uint64_t flop)
{
    struct cuda_plan *plan = build->plan;
    plan->plan.flop += flop;
    plan->steps[plan->step_count - 1].flop = flop;
}

struct view cuda_view(const struct cuda_place *place)
{
    const struct layout *layout = &place->layout;
    struct view view = { .type = layout->type, .rank = layout->shape.rank };
    for (int d = 0; d < layout->shape.rank; d++) {
        view.dim[d] = (int32_t)layout->shape.dim[d];
        view.step[d] = layout->stride[d];
    }
    return view;
}

struct view cuda_view_broadcast(const struct cuda_place *place, const struct shape *shape)
{
    const struct layout *layout = &place->layout;
    struct view view = { .type = layout->type, .rank = shape->rank };
    assert(layout->shape.rank <= shape->rank);
    for (int d = 0, own = layout->shape.rank - shape->rank; d < shape->rank; d++, own++) {
        view.dim[d] = (int32_t)shape->dim[d];
        view.step[d] = own < 0 || layout->shape.dim[own] == 1 ? 0 : layout->stride[own];
    }
    return view;
}

int cuda_no_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
}

int cuda_cannot(const struct cuda_build *build, struct error *err, const char *what)
{
    return error_set(err, ERROR_UNSUPPORTED, build->op, "node '%s': cuda has no %s", build->name,
                     what);
}

/* ---- inside ---- */

static int grow(void **items, int *capacity, int count, size_t item_bytes, struct error *err)
{
    if (count < *capacity)
        return 0;
    int wanted = *capacity ? *capacity * 2 : 64;
    void *more = realloc(*items, (size_t)wanted * item_bytes);
    if (!more)
        return cuda_no_memory(err);
    *items = more;
    *capacity = wanted;
    return 0;
}

static int add_buffer(struct cuda_build *build, struct cuda_buffer buffer, struct error *err)
{
    struct cuda_plan *plan = build->plan;
    int rc = grow((void **)&plan->buffers, &plan->buffer_capacity, plan->buffer_count,
                  sizeof *plan->buffers, err);
    if (rc)
        return rc;
    plan->buffers[plan->buffer_count] = buffer;
    return plan->buffer_count++;
}

static int add_place(struct cuda_build *build, int buffer, uint64_t offset_bytes,
                     const struct layout *layout, struct cuda_place **place, struct error *err)
{
    struct cuda_plan *plan = build->plan;
    assert(!layout->blocked);
    if (shape_elements(&layout->shape) > INT32_MAX)
        return cuda_cannot(build, err, "arrays of more than 2147483647 elements");
    int rc = grow((void **)&plan->places, &plan->place_capacity, plan->place_count,
                  sizeof *plan->places, err);
    if (rc)
        return rc;
    struct cuda_place *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return cuda_no_memory(err);
    *fresh = (struct cuda_place){ .buffer = buffer, .offset_bytes = offset_bytes, .layout = *layout };
    plan->places[plan->place_count++] = fresh;
    *place = fresh;
    return 0;
}

static int add_version(struct cuda_build *build, int value, struct cuda_place *place,
                       struct error *err)
{
    struct cuda_value *held = &build->values[value];
    size_t bytes = ((size_t)held->version_count + 1) * sizeof *held->versions;
    struct cuda_place **more = realloc(held->versions, bytes);
    if (!more)
        return cuda_no_memory(err);
    held->versions = more;
    more[held->version_count++] = place;
    return 0;
}
