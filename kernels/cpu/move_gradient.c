/* move_gradient: gradients of Slice and Gather. A slice's is its gradient in a frame of zeros, or,
 * where it took steps, copied into zeros. */
#include "cpu/pad.h"
#include "cpu/parallel.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <stdlib.h>
#include <string.h>

#define LEAST 16384 /* elements for a thread, below which it is not woken */
#define LINE 16     /* floats that a thread has to itself */

struct gather_state {
    const char *name;
    enum tensor_type index_type;
    int64_t outer, length, inner, count; /* dx is outer x length x inner, dy outer x count x inner */
    int parts;
};

struct gather_run {
    const struct gather_state *state;
    const float *dy;
    struct tensor indices;
    float *dx;
};

static int add_zeros(struct build *build, struct cpu_place *place, struct error *err);
static int run_zeros(const struct cpu_step *step, struct error *err);
static void zeros_part(const void *arg, int part, int parts);
static int run_gather(const struct cpu_step *step, struct error *err);
static void gather_part(const void *arg, int part, int parts);

int build_slice_grad(struct build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    const int64_t *starts, *steps;
    int64_t pads[RULE_INTS_MAX] = { 0 };
    struct cpu_place *in, *out, *part;
    bool frame = true;
    node_ints(node, "starts", &starts);
    node_ints(node, "steps", &steps);
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    for (int d = 0; d < shape->rank; d++) {
        int64_t count = in->layout.shape.dim[d];
        frame = frame && (steps[d] == 1 || count == 1);
        pads[d] = starts[d];
        pads[shape->rank + d] = shape->dim[d] - starts[d] - count;
    }
    if (frame)
        return pad_add_step(build, node, pads, 0, err);
    struct layout layout = layout_packed_like(in->layout.type, shape, &in->layout), seen = layout;
    dnnl_memory_desc_t md;
    int64_t offset = 0;
    seen.shape = in->layout.shape;
    for (int d = 0; d < shape->rank; d++) {
        if (steps[d] < 0 && seen.shape.dim[d] > 1)
            return BUILD_DECLINED; /* strides run forwards */
        offset += starts[d] * layout.stride[d];
        seen.stride[d] *= seen.shape.dim[d] > 1 ? steps[d] : 1;
    }
    if (!layout_md(&seen, &md))
        return BUILD_DECLINED;
    if ((rc = build_output(build, node->outputs[0], &layout, &out, err)) ||
        (rc = add_zeros(build, out, err)) ||
        (rc = build_alias(build, out, offset, &seen, &part, err)))
        return rc;
    return build_copy(build, in, part, err);
}

static int add_zeros(struct build *build, struct cpu_place *place, struct error *err)
{
    int *parts = malloc(sizeof *parts);
    if (!parts)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    *parts = parallel_parts(build->device->threads, shape_elements(&place->layout.shape), LEAST);
    return build_c_step(build, "zeros", run_zeros, parts, &place, 1, err);
}

static int run_zeros(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(*(const int *)step->state, zeros_part, step);
    return 0;
}

static void zeros_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    int64_t first, end;
    parallel_share((int64_t)layout_bytes(&step->places[0]->layout), CPU_ALIGNMENT_BYTES, part,
                   parts, &first, &end);
    memset((char *)step->places[0]->data + first, 0, (size_t)(end - first));
}

/* ---- of Gather ---- */

int build_gather_grad(struct build *build, const struct node *node, struct error *err)
{
    const struct value *dy = build_info(build, node->inputs[0]);
    const struct value *indices = build_info(build, node->inputs[1]);
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    struct cpu_place *places[3];
    struct layout layout = layout_dense(TENSOR_F32, shape);
    if (dy->type != TENSOR_F32)
        return BUILD_DECLINED;
    int rc = build_want_dense(build, node->inputs[0], &places[0], err);
    if (rc || (rc = build_want_dense(build, node->inputs[1], &places[1], err)) ||
        (rc = build_output(build, node->outputs[0], &layout, &places[2], err)))
        return rc;
    struct gather_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    int axis = concat_axis(node, shape);
    *state = (struct gather_state){
        .name = node->name,
        .index_type = indices->type,
        .outer = shape_span(shape, 0, axis),
        .length = shape->dim[axis],
        .inner = shape_span(shape, axis + 1, shape->rank),
        .count = shape_elements(&indices->shape),
    };
    state->parts = parallel_parts(build->device->threads,
                                  shape_elements(shape) + shape_elements(&dy->shape), LEAST);
    return build_c_step(build, "gather_grad", run_gather, state, places, 3, err);
}

static int run_gather(const struct cpu_step *step, struct error *err)
{
    const struct gather_state *state = step->state;
    struct gather_run run = {
        .state = state,
        .dy = step->places[0]->data,
        .indices = { .type = state->index_type,
                     .shape = { .rank = 1, .dim = { state->count } },
                     .data = step->places[1]->data },
        .dx = step->places[2]->data,
    };
    for (int64_t i = 0; i < state->count; i++) {
        int64_t index = rule_int_at(&run.indices, i);
        if (index < -state->length || index >= state->length)
            return error_set(err, ERROR_FORMAT, "gather_grad", "node '%s': index %lld of %lld",
                             state->name, (long long)index, (long long)state->length);
    }
    parallel_run(state->parts, gather_part, &run);
    return 0;
}

/* Each part has columns of dx to itself, of the joined outer and inner dimensions. */
static void gather_part(const void *arg, int part, int parts)
{
    const struct gather_run *run = arg;
    const struct gather_state *state = run->state;
    int64_t first, end;
    parallel_share(state->outer * state->inner, state->inner < LINE ? state->inner : LINE, part,
                   parts, &first, &end);
    while (first < end) {
        int64_t outer = first / state->inner, column = first % state->inner;
        int64_t width = state->inner - column < end - first ? state->inner - column : end - first;
        float *dx = run->dx + outer * state->length * state->inner + column;
        const float *dy = run->dy + outer * state->count * state->inner + column;
        for (int64_t i = 0; i < state->length; i++)
            memset(dx + i * state->inner, 0, (size_t)width * sizeof *dx);
        for (int64_t i = 0; i < state->count; i++) {
            int64_t index = rule_int_at(&run->indices, i);
            float *sum = dx + (index + (index < 0 ? state->length : 0)) * state->inner;
            for (int64_t k = 0; k < width; k++)
                sum[k] += dy[i * state->inner + k];
        }
        first += width;
    }
}
