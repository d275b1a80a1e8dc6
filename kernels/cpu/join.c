/* join: Concat and Pad write into parts of their output. Where an input of Concat can be that part
 * itself, its maker writes there and nothing is copied. */
#include "cpu/build.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <stdlib.h>
#include <string.h>

struct fill_state {
    float number;
    int64_t count;
};

static struct layout joined_layout(struct build *build, const struct node *node,
                                   const struct cpu_place *first);
static bool can_be_part(const struct build *build, const struct cpu_place *in,
                        const struct layout *part, const struct cpu_place *out, int64_t offset);
static bool read_pads(const struct build *build, const struct node *node, int rank, int64_t *pads,
                      float *number);
static int run_fill(const struct cpu_step *step, struct error *err);

int build_concat(struct build *build, const struct node *node, struct error *err)
{
    const struct value *info = build_info(build, node->outputs[0]);
    dnnl_data_type_t type;
    if (!layout_dnnl_type(info->type, &type))
        return BUILD_DECLINED;
    struct cpu_place *first, *out;
    int rc = build_place(build, node->inputs[0], &first, err);
    if (rc)
        return rc;
    struct layout layout = joined_layout(build, node, first);
    rc = build_output(build, node->outputs[0], &layout, &out, err);
    int axis = concat_axis(node, &info->shape);
    int64_t offset = 0;
    for (int k = 0; !rc && k < node->input_count; k++) {
        struct cpu_place *in, *part;
        rc = build_place(build, node->inputs[k], &in, err);
        if (rc)
            return rc;
        struct layout seen = layout;
        seen.shape = in->layout.shape;
        if (shape_elements(&seen.shape) == 0)
            continue;
        if (can_be_part(build, in, &seen, out, offset)) {
            struct cpu_buffer *buffer = &build->plan->buffers[in->buffer];
            buffer->parent = out->buffer;
            buffer->parent_offset_bytes = (uint64_t)offset * tensor_type_bytes(seen.type);
        } else {
            rc = build_alias(build, out, offset, &seen, &part, err);
            if (!rc)
                rc = build_copy(build, in, part, err);
        }
        offset += seen.shape.dim[axis] * seen.stride[axis];
    }
    return rc;
}

int build_pad(struct build *build, const struct node *node, struct error *err)
{
    struct cpu_place *in, *out, *inside;
    int64_t pads[RULE_INTS_MAX] = { 0 };
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    int rank = in->layout.shape.rank;
    struct fill_state fill = { 0 };
    if (in->layout.type != TENSOR_F32 || !read_pads(build, node, rank, pads, &fill.number))
        return BUILD_DECLINED;
    struct layout layout =
        layout_packed_like(TENSOR_F32, &build_info(build, node->outputs[0])->shape, &in->layout);
    struct layout part = layout;
    part.shape = in->layout.shape;
    int64_t offset = 0;
    for (int d = 0; d < rank; d++)
        offset += pads[d] * layout.stride[d];
    rc = build_output(build, node->outputs[0], &layout, &out, err);
    if (!rc)
        rc = build_alias(build, out, offset, &part, &inside, err);
    if (rc)
        return rc;
    struct fill_state *state = malloc(sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    fill.count = layout_span(&layout);
    *state = fill;
    rc = build_c_step(build, "fill", run_fill, state, &out, 1, err);
    return rc ? rc : build_copy(build, in, inside, err);
}

/* The order of the first input that is not a constant, without gaps. Of the types that a f32 value
 * can be stored in, the narrower one if any input has it. */
static struct layout joined_layout(struct build *build, const struct node *node,
                                   const struct cpu_place *first)
{
    const struct cpu_place *leader = NULL;
    enum tensor_type type = first->layout.type;
    for (int k = 0; k < node->input_count; k++) {
        if (build->values[node->inputs[k]].version_count == 0)
            continue; /* a constant nobody has asked for */
        const struct cpu_place *in = build->values[node->inputs[k]].versions[0];
        if (!leader && build_is_arena(build, in))
            leader = in;
        if (in->layout.type == TENSOR_BF16)
            type = TENSOR_BF16;
    }
    return layout_packed_like(type, &build_info(build, node->outputs[0])->shape,
                              leader ? &leader->layout : &first->layout);
}

/* The input is all of a movable buffer, and lies as the part of the output would. */
static bool can_be_part(const struct build *build, const struct cpu_place *in,
                        const struct layout *part, const struct cpu_place *out, int64_t offset)
{
    const struct cpu_buffer *buffer = &build->plan->buffers[in->buffer];
    uint64_t offset_bytes = (uint64_t)offset * tensor_type_bytes(part->type);
    return buffer->kind == CPU_BUFFER_ARENA && buffer->parent < 0 && in->buffer != out->buffer &&
           in->offset_bytes == 0 && buffer->bytes == layout_bytes(part) &&
           offset_bytes % CPU_ALIGNMENT_BYTES == 0 && layout_equal(&in->layout, part);
}

/* Constant padding that only adds. */
static bool read_pads(const struct build *build, const struct node *node, int rank, int64_t *pads,
                      float *number)
{
    size_t count = 0;
    if (strcmp(node_string(node, "mode", "constant"), "constant") != 0 ||
        (node->input_count > 3 && node->inputs[3] >= 0))
        return false;
    *number = node_float(node, "value", 0);
    const int64_t *ints;
    count = node_ints(node, "pads", &ints);
    if (count > 0) {
        for (size_t i = 0; i < count && i < RULE_INTS_MAX; i++)
            pads[i] = ints[i];
    } else {
        const struct tensor *constant =
            node->input_count > 1 ? &build_info(build, node->inputs[1])->constant : NULL;
        struct error ignored;
        if (!constant || !constant->data || rule_ints(constant, "pads", pads, &count, &ignored))
            return false;
    }
    if (node->input_count > 2 && node->inputs[2] >= 0) {
        const struct tensor *constant = &build_info(build, node->inputs[2])->constant;
        if (constant->type != TENSOR_F32 || !constant->data)
            return false;
        *number = *(const float *)constant->data;
    }
    for (size_t i = 0; i < count; i++)
        if (pads[i] < 0)
            return false;
    return count == 2 * (size_t)rank;
}

static int run_fill(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct fill_state *state = step->state;
    float *data = step->places[0]->data;
    for (int64_t i = 0; i < state->count; i++)
        data[i] = state->number;
    return 0;
}
