/* join: Concat copies its inputs into parts of its output. Where an input can be that part itself, its
 * maker writes there and nothing is copied. */
#include "cpu/build.h"
#include "ops/resolve.h"

static struct layout joined_layout(struct build *build, const struct node *node,
                                   const struct cpu_place *first);
static bool can_be_part(const struct build *build, const struct cpu_place *in,
                        const struct layout *part, const struct cpu_place *out, int64_t offset);

int build_concat(struct build *build, const struct node *node, struct error *err)
{
    const struct value *info = build_info(build, node->outputs[0]);
    dnnl_data_type_t type;
    if (!layout_dnnl_type(info->type, &type))
        return BUILD_DECLINED;
    struct cpu_place *first, *out;
    int rc = build_place_any(build, node->inputs[0], &first, err);
    if (rc)
        return rc;
    struct layout layout = joined_layout(build, node, first);
    rc = build_output(build, node->outputs[0], &layout, &out, err);
    int axis = concat_axis(node, &info->shape);
    int64_t offset = 0;
    for (int k = 0; !rc && k < node->input_count; k++) {
        struct cpu_place *in, *part;
        rc = build_place_any(build, node->inputs[k], &in, err);
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
        offset += layout_offset(&seen, axis, seen.shape.dim[axis]);
    }
    return rc;
}

/* The order of the first input that is not a constant, without gaps; blocked only if all inputs can be.
 * Of the types that a f32 value can be stored in, the narrower one if any input has it. */
static struct layout joined_layout(struct build *build, const struct node *node,
                                   const struct cpu_place *first)
{
    const struct cpu_place *leader = NULL;
    bool all_block = true;
    enum tensor_type type = first->layout.type;
    for (int k = 0; k < node->input_count; k++) {
        all_block = all_block && layout_can_block(&build_info(build, node->inputs[k])->shape);
        if (build->values[node->inputs[k]].version_count == 0)
            continue; /* a constant nobody has asked for */
        const struct cpu_place *in = build->values[node->inputs[k]].versions[0];
        if (!leader && build_is_arena(build, in))
            leader = in;
        if (in->layout.type == TENSOR_BF16)
            type = TENSOR_BF16;
    }
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    const struct layout *like = leader ? &leader->layout : &first->layout;
    return like->blocked && !all_block ? layout_channels_last(type, shape)
                                       : layout_packed_like(type, shape, like);
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
