/* build: values and places of a plan in the making. Memory is only counted here; where it lies is decided
 * at the end (plan.c), when all lives are known. */
#include "cpu/build_inside.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int add_buffer(struct build *build, struct cpu_buffer buffer, struct error *err);
static int add_place(struct build *build, int buffer, uint64_t offset_bytes,
                     const struct layout *layout, const dnnl_memory_desc_t *md,
                     struct cpu_place **place, struct error *err);
static int add_version(struct build *build, int value, struct cpu_place *place, struct error *err);
static int copy_constant(struct build *build, const struct cpu_place *from,
                         const dnnl_memory_desc_t *as, const dnnl_memory_desc_t *want,
                         const struct layout *layout, struct cpu_place **place, struct error *err);
static struct cpu_buffer *root_of(const struct build *build, const struct cpu_place *place);
static bool same_description(const struct layout *a, const struct layout *b);

/* ---- values ---- */

const struct value *build_info(const struct build *build, int value)
{
    assert(value >= 0 && value < build->graph->value_count);
    return &build->graph->values[value];
}

int build_place(struct build *build, int value, struct cpu_place **place, struct error *err)
{
    int rc = build_place_any(build, value, place, err);
    if (rc || !(*place)->layout.blocked)
        return rc;
    struct layout last = layout_channels_last((*place)->layout.type, &(*place)->layout.shape);
    return build_want(build, value, &last, place, err);
}

int build_place_any(struct build *build, int value, struct cpu_place **place, struct error *err)
{
    struct build_value *state = &build->values[value];
    if (state->version_count == 0) {
        const struct value *info = build_info(build, value);
        bool is_state = info->state.data != NULL;
        const struct tensor *held = is_state ? &info->state : &info->constant;
        assert(held->data); /* nodes come in an order that can be run */
        int buffer =
            add_buffer(build,
                       (struct cpu_buffer){ .kind = is_state ? CPU_BUFFER_STATE : CPU_BUFFER_CONSTANT,
                                            .bytes = tensor_bytes(held),
                                            .parent = -1,
                                            .external = (size_t)value,
                                            .data = held->data },
                       err);
        if (buffer < 0)
            return buffer;
        struct layout layout = layout_dense(info->type, &info->shape);
        struct cpu_place *fresh;
        int rc = add_place(build, buffer, 0, &layout, NULL, &fresh, err);
        if (!rc)
            rc = add_version(build, value, fresh, err);
        if (rc)
            return rc;
    }
    *place = state->versions[0];
    return 0;
}

int build_want(struct build *build, int value, const struct layout *layout,
               struct cpu_place **place, struct error *err)
{
    struct cpu_place *original;
    int rc = build_place_any(build, value, &original, err);
    if (rc)
        return rc;
    struct build_value *state = &build->values[value];
    for (int i = 0; i < state->version_count; i++) {
        if (!layout_equal(&state->versions[i]->layout, layout))
            continue;
        *place = state->versions[i];
        if (same_description(layout, &state->versions[i]->layout))
            return 0;
        return build_alias(build, state->versions[i], 0, layout, place, err);
    }
    if (root_of(build, original)->kind == CPU_BUFFER_CONSTANT) {
        dnnl_memory_desc_t to;
        if (!layout_md(layout, &to) || !layout_md(&original->layout, &original->md))
            return error_set(err, ERROR_UNSUPPORTED, build->op,
                             "node '%s': a constant of type %s cannot be rearranged", build->name,
                             tensor_type_word(original->layout.type));
        rc = copy_constant(build, original, &original->md, &to, layout, place, err);
    } else {
        rc = build_new_place(build, layout, place, err);
        if (!rc)
            rc = build_copy(build, original, *place, err);
    }
    return rc ? rc : add_version(build, value, *place, err);
}

int build_want_dense(struct build *build, int value, struct cpu_place **place, struct error *err)
{
    const struct value *info = build_info(build, value);
    struct layout dense = layout_dense(info->type, &info->shape);
    return build_want(build, value, &dense, place, err);
}

int build_external(struct build *build, int value, size_t index, const struct layout *layout,
                   struct error *err)
{
    int buffer = add_buffer(build,
                            (struct cpu_buffer){ .kind = CPU_BUFFER_INPUT,
                                                 .bytes = layout_bytes(layout),
                                                 .parent = -1,
                                                 .external = index },
                            err);
    struct cpu_place *place;
    int rc = buffer < 0 ? buffer : add_place(build, buffer, 0, layout, NULL, &place, err);
    return rc ? rc : add_version(build, value, place, err);
}

int build_output(struct build *build, int value, const struct layout *layout,
                 struct cpu_place **place, struct error *err)
{
    int rc = build_new_place(build, layout, place, err);
    return rc ? rc : add_version(build, value, *place, err);
}

int build_view(struct build *build, int value, const struct cpu_place *of, int64_t offset,
               const struct layout *layout, struct error *err)
{
    struct layout canonical = layout_canonical(layout);
    struct cpu_place *place;
    int rc = build_alias(build, of, offset, &canonical, &place, err);
    return rc ? rc : add_version(build, value, place, err);
}

int build_renew(struct build *build, int state, int value, const struct layout *layout,
                struct cpu_place **place, struct error *err)
{
    struct cpu_place *own;
    int rc = build_place(build, state, &own, err);
    if (rc)
        return rc;
    if (build_info(build, state)->next != value || !layout_equal(&own->layout, layout) ||
        build_reads(build, own) != 1)
        return build_output(build, value, layout, place, err);
    *place = own;
    return add_version(build, value, own, err);
}

bool build_dies(const struct build *build, int value)
{
    const struct build_value *state = &build->values[value];
    return state->version_count > 0 && build_is_arena(build, state->versions[0]) &&
           build_reads(build, state->versions[0]) == 1;
}

int build_reads(const struct build *build, const struct cpu_place *place)
{
    int root = cpu_root(build->plan, place->buffer, NULL);
    int reads = 0;
    for (int v = 0; v < build->graph->value_count; v++)
        for (int i = 0; i < build->values[v].version_count; i++)
            if (cpu_root(build->plan, build->values[v].versions[i]->buffer, NULL) == root) {
                reads += build->values[v].reads_left;
                break;
            }
    return reads;
}

bool build_leaves(const struct build *build, int value)
{
    return build->values[value].leaves;
}

bool build_is_arena(const struct build *build, const struct cpu_place *place)
{
    return root_of(build, place)->kind == CPU_BUFFER_ARENA;
}

/* ---- places ---- */

int build_new_place(struct build *build, const struct layout *layout, struct cpu_place **place,
                    struct error *err)
{
    int buffer = add_buffer(
        build,
        (struct cpu_buffer){ .kind = CPU_BUFFER_ARENA, .bytes = layout_bytes(layout), .parent = -1 },
        err);
    return buffer < 0 ? buffer : add_place(build, buffer, 0, layout, NULL, place, err);
}

int build_new_opaque(struct build *build, const dnnl_memory_desc_t *md, struct cpu_place **place,
                     struct error *err)
{
    int buffer = add_buffer(build,
                            (struct cpu_buffer){ .kind = CPU_BUFFER_ARENA,
                                                 .bytes = dnnl_memory_desc_get_size(md),
                                                 .parent = -1 },
                            err);
    return buffer < 0 ? buffer : add_place(build, buffer, 0, NULL, md, place, err);
}

int build_alias(struct build *build, const struct cpu_place *of, int64_t offset,
                const struct layout *layout, struct cpu_place **place, struct error *err)
{
    assert(of->layout.shape.rank >= 0 && of->layout.type == layout->type && offset >= 0);
    uint64_t offset_bytes = of->offset_bytes + (uint64_t)offset * tensor_type_bytes(layout->type);
    assert(offset_bytes + layout_bytes(layout) <= build->plan->buffers[of->buffer].bytes);
    return add_place(build, of->buffer, offset_bytes, layout, NULL, place, err);
}

int build_reorder_weights(struct build *build, const struct cpu_place *from,
                          const dnnl_memory_desc_t *as, const dnnl_memory_desc_t *want,
                          struct cpu_place **place, struct error *err)
{
    if (root_of(build, from)->kind == CPU_BUFFER_CONSTANT)
        return copy_constant(build, from, as, want, NULL, place, err);
    struct cpu_place *seen;
    int rc = add_place(build, from->buffer, from->offset_bytes, NULL, as, &seen, err);
    if (!rc)
        rc = build_new_opaque(build, want, place, err);
    return rc ? rc : build_reorder(build, seen, *place, err);
}

const void *build_constant_data(const struct build *build, const struct cpu_place *place)
{
    uint64_t offset;
    const struct cpu_buffer *root =
        &build->plan->buffers[cpu_root(build->plan, place->buffer, &offset)];
    if (root->kind != CPU_BUFFER_CONSTANT)
        return NULL;
    return (const char *)root->data + offset + place->offset_bytes;
}

int build_take_constant(struct build *build, void *data, const struct layout *layout,
                        struct cpu_place **place, struct error *err)
{
    int buffer = add_buffer(build,
                            (struct cpu_buffer){ .kind = CPU_BUFFER_CONSTANT,
                                                 .bytes = layout_bytes(layout),
                                                 .parent = -1,
                                                 .data = data,
                                                 .owned = true },
                            err);
    if (buffer < 0) {
        free(data);
        return buffer;
    }
    return add_place(build, buffer, 0, layout, NULL, place, err);
}

int build_constant(struct build *build, const float *numbers, int64_t count,
                   struct cpu_place **place, struct error *err)
{
    struct shape shape = { .rank = 1, .dim = { count } };
    struct layout layout = layout_dense(TENSOR_F32, &shape);
    void *data = cpu_allocate(layout_bytes(&layout));
    if (!data)
        return build_out_of_memory(err);
    memcpy(data, numbers, layout_bytes(&layout));
    return build_take_constant(build, data, &layout, place, err);
}

/* ---- inside ---- */

static int add_buffer(struct build *build, struct cpu_buffer buffer, struct error *err)
{
    struct cpu_plan *plan = build->plan;
    int rc = build_grow((void **)&plan->buffers, &plan->buffer_capacity, plan->buffer_count,
                        sizeof *plan->buffers, err);
    if (rc)
        return rc;
    plan->buffers[plan->buffer_count] = buffer;
    return plan->buffer_count++;
}

/* layout or md, the other NULL. */
static int add_place(struct build *build, int buffer, uint64_t offset_bytes,
                     const struct layout *layout, const dnnl_memory_desc_t *md,
                     struct cpu_place **place, struct error *err)
{
    assert(layout || md);
    struct cpu_plan *plan = build->plan;
    int rc = build_grow((void **)&plan->places, &plan->place_capacity, plan->place_count,
                        sizeof *plan->places, err);
    if (rc)
        return rc;
    struct cpu_place *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return build_out_of_memory(err);
    fresh->buffer = buffer;
    fresh->offset_bytes = offset_bytes;
    fresh->layout.shape.rank = -1;
    if (layout) {
        fresh->layout = *layout;
        layout_md(layout, &fresh->md);
    } else {
        fresh->md = *md;
    }
    plan->places[plan->place_count++] = fresh;
    *place = fresh;
    return 0;
}

static int add_version(struct build *build, int value, struct cpu_place *place, struct error *err)
{
    struct build_value *state = &build->values[value];
    size_t bytes = ((size_t)state->version_count + 1) * sizeof *state->versions;
    struct cpu_place **more = realloc(state->versions, bytes);
    if (!more)
        return build_out_of_memory(err);
    state->versions = more;
    more[state->version_count++] = place;
    return 0;
}

/* Reads constant memory `from`, seen as `as`, and gives it in the layout `want`; layout says the
 * same when it is a plain one. */
static int copy_constant(struct build *build, const struct cpu_place *from,
                         const dnnl_memory_desc_t *as, const dnnl_memory_desc_t *want,
                         const struct layout *layout, struct cpu_place **place, struct error *err)
{
    uint64_t bytes = dnnl_memory_desc_get_size(want);
    void *data = cpu_allocate(bytes);
    if (!data)
        return error_set(err, ERROR_MEMORY, "cpu", "no room for %" PRIu64 " bytes of weights", bytes);
    const char *source = root_of(build, from)->data;
    int rc = build_reorder_now(build, as, (void *)(source + from->offset_bytes), want, data, err);
    int buffer = rc ? rc
                    : add_buffer(build,
                                 (struct cpu_buffer){ .kind = CPU_BUFFER_CONSTANT,
                                                      .bytes = bytes,
                                                      .parent = -1,
                                                      .data = data,
                                                      .owned = true },
                                 err);
    if (buffer < 0) {
        free(data);
        return buffer;
    }
    return add_place(build, buffer, 0, layout, want, place, err);
}

static struct cpu_buffer *root_of(const struct build *build, const struct cpu_place *place)
{
    return &build->plan->buffers[cpu_root(build->plan, place->buffer, NULL)];
}

/* Strides of dimensions of one say nothing, nor does a single block, but oneDNN looks at them. */
static bool same_description(const struct layout *a, const struct layout *b)
{
    if (a->blocked != b->blocked)
        return false;
    for (int d = 0; d < a->shape.rank; d++)
        if (a->stride[d] != b->stride[d])
            return false;
    return true;
}
