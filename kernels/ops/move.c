/* move: ops that put elements elsewhere without computing on them. Nearly all are a walk with the
 * right steps. */
#include "ops/move.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include <string.h>

static int transpose_shape(const struct node *node, const struct op_values *values,
                           struct error *err);
static int transpose_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err);
static int concat_shape(const struct node *node, const struct op_values *values, struct error *err);
static int concat_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int split_shape(const struct node *node, const struct op_values *values, struct error *err);
static int split_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int expand_shape(const struct node *node, const struct op_values *values, struct error *err);
static int expand_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int tile_shape(const struct node *node, const struct op_values *values, struct error *err);
static int tile_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);

#define MANY GRAPH_NODE_INPUTS_MAX

static const struct op rows[] = {
    { OP_ROW("Transpose", 1, 1, 1, OPSET_MIN, OPSET_MAX, transpose_shape, transpose_reference),
      .gradient = transpose_gradient, OP_ATTRIBUTES({ "perm", ATTRIBUTE_INTS }) },
    { OP_ROW("Concat", 1, MANY, 1, OPSET_MIN, OPSET_MAX, concat_shape, concat_reference),
      .gradient = concat_gradient, OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { OP_ROW("Split", 1, 1, MANY, OPSET_MIN, 12, split_shape, split_reference),
      .gradient = split_gradient,
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "split", ATTRIBUTE_INTS }) },
    { OP_ROW("Split", 1, 2, MANY, 13, 17, split_shape, split_reference), .gradient = split_gradient,
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { OP_ROW("Split", 1, 2, MANY, 18, OPSET_MAX, split_shape, split_reference),
      .gradient = split_gradient,
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "num_outputs", ATTRIBUTE_INT }) },
    { OP_ROW("Expand", 2, 2, 1, 8, OPSET_MAX, expand_shape, expand_reference),
      .gradient = expand_gradient },
    { OP_ROW("Tile", 2, 2, 1, OPSET_MIN, OPSET_MAX, tile_shape, tile_reference),
      .gradient = tile_gradient },
};
const struct op_family move_family = OP_FAMILY(rows);

static int any_input(const struct op_values *values, struct error *err)
{
    return rule_input(values, 0, "input", TYPES_ALL, 0, SHAPE_RANK_MAX, err);
}

/* Which input dimension each output dimension is; without perm the order is reversed. */
static int transpose_order(const struct node *node, int rank, int order[SHAPE_RANK_MAX],
                           struct error *err)
{
    const int64_t *perm;
    bool seen[SHAPE_RANK_MAX];
    size_t count = node_ints(node, "perm", &perm);
    for (int i = 0; i < rank; i++)
        order[i] = rank - 1 - i;
    if (count == 0)
        return 0;
    if (count != (size_t)rank)
        return error_set(err, ERROR_FORMAT, "perm", "%zu numbers for %d dimensions", count, rank);
    for (int i = 0; i < rank; i++) {
        if (perm[i] < 0)
            return error_set(err, ERROR_FORMAT, "perm", "%lld is negative", (long long)perm[i]);
        order[i] = (int)perm[i];
    }
    return rule_axes("perm", perm, count, rank, seen, err);
}

static int transpose_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int order[SHAPE_RANK_MAX];
    int rc = any_input(values, err);
    const struct shape *from = &values->in[0]->shape;
    if (rc || (rc = transpose_order(node, from->rank, order, err)))
        return rc;
    struct shape shape = { .rank = from->rank };
    for (int i = 0; i < from->rank; i++)
        shape.dim[i] = from->dim[order[i]];
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int transpose_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err)
{
    int order[SHAPE_RANK_MAX];
    int64_t own[SHAPE_RANK_MAX], steps[SHAPE_RANK_MAX];
    int rc = transpose_order(node, in[0]->shape.rank, order, err);
    if (rc)
        return rc;
    shape_steps(&in[0]->shape, own);
    for (int i = 0; i < in[0]->shape.rank; i++)
        steps[i] = own[order[i]];
    walk_fill(&out[0]->shape, steps, in[0], out[0]);
    return 0;
}

int concat_axis(const struct node *node, const struct shape *shape)
{
    int64_t axis = node_int(node, "axis", 0);
    return (int)(axis < 0 ? axis + shape->rank : axis);
}

static int concat_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "input", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    if (!rc && !node_attribute(node, "axis"))
        rc = error_set(err, ERROR_FORMAT, "axis", "is missing");
    struct shape shape = values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", 0), shape.rank, &axis, err)))
        return rc;
    for (int i = 1; i < node->input_count; i++) {
        rc = rule_input(values, i, "input", 1u << values->in[0]->type, shape.rank, shape.rank, err);
        if (rc)
            return rc;
        const struct shape *other = &values->in[i]->shape;
        for (int d = 0; d < shape.rank; d++)
            if (d != axis && other->dim[d] != shape.dim[d])
                return error_set(err, ERROR_FORMAT, "inputs", "dimension %d is %lld and %lld", d,
                                 (long long)shape.dim[d], (long long)other->dim[d]);
        shape.dim[axis] += other->dim[axis];
    }
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* Copies `bytes` long pieces between a whole, whose pieces lie whole_bytes apart, and a dense part. */
static void copy_pieces(char *to, size_t to_step, const char *from, size_t from_step, size_t bytes,
                        int64_t pieces)
{
    for (int64_t i = 0; i < pieces; i++)
        memcpy(to + (size_t)i * to_step, from + (size_t)i * from_step, bytes);
}

static int concat_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)err;
    const struct shape *shape = &out[0]->shape;
    int axis = concat_axis(node, shape);
    int64_t pieces = shape_span(shape, 0, axis);
    size_t element = tensor_type_bytes(out[0]->type), offset = 0;
    size_t whole = (size_t)shape_span(shape, axis, shape->rank) * element;
    for (int i = 0; i < node->input_count; i++) {
        size_t part = (size_t)shape_span(&in[i]->shape, axis, shape->rank) * element;
        copy_pieces((char *)out[0]->data + offset, whole, in[i]->data, part, part, pieces);
        offset += part;
    }
    return 0;
}

/* The length of each part: listed (attribute or input), or equal, the last perhaps shorter. */
static int split_parts(const struct node *node, const struct op_values *values, int64_t length,
                       int64_t parts[MANY], struct error *err)
{
    const int64_t *listed = NULL;
    size_t count = node_ints(node, "split", &listed);
    const struct tensor *input = rule_constant(values, 1);
    if (input) {
        if (!input->data || input->type != TENSOR_I64 || input->shape.rank != 1)
            return error_set(err, ERROR_UNSUPPORTED, "input split", "must be a constant i64 list");
        listed = input->data;
        count = (size_t)input->shape.dim[0];
    }
    bool may_be_uneven = node_attribute(node, "num_outputs") != NULL;
    if (may_be_uneven && node_int(node, "num_outputs", 0) != node->output_count)
        return error_set(err, ERROR_FORMAT, "num_outputs", "does not match the %d outputs",
                         node->output_count);
    if (count > 0 && count != (size_t)node->output_count)
        return error_set(err, ERROR_FORMAT, "split", "%zu parts for %d outputs", count,
                         node->output_count);
    int64_t each = (length + node->output_count - 1) / node->output_count, left = length;
    if (count == 0 && !may_be_uneven && length % node->output_count)
        return error_set(err, ERROR_FORMAT, "split", "%lld does not divide into %d parts",
                         (long long)length, node->output_count);
    for (int i = 0; i < node->output_count; i++) {
        parts[i] = count > 0 ? listed[i] : each < left ? each : left;
        if (parts[i] < 0 || parts[i] > left)
            return error_set(err, ERROR_FORMAT, "split", "the parts do not add up to %lld",
                             (long long)length);
        left -= parts[i];
    }
    return left == 0 ? 0
                     : error_set(err, ERROR_FORMAT, "split", "the parts do not add up to %lld",
                                 (long long)length);
}

static int split_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int64_t parts[MANY];
    int rc = rule_input(values, 0, "input", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    struct shape shape = values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", 0), shape.rank, &axis, err)) ||
        (rc = split_parts(node, values, shape.dim[axis], parts, err)))
        return rc;
    for (int i = 0; i < node->output_count; i++) {
        if (!values->out[i])
            return error_set(err, ERROR_UNSUPPORTED, "outputs", "all parts must have a name");
        shape.dim[axis] = parts[i];
        rule_output(values, i, values->in[0]->type, &shape);
    }
    return 0;
}

static int split_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    (void)err;
    const struct shape *shape = &in[0]->shape;
    int axis = concat_axis(node, shape);
    int64_t pieces = shape_span(shape, 0, axis);
    size_t element = tensor_type_bytes(in[0]->type), offset = 0;
    size_t whole = (size_t)shape_span(shape, axis, shape->rank) * element;
    for (int i = 0; i < node->output_count; i++) {
        size_t part = (size_t)shape_span(&out[i]->shape, axis, shape->rank) * element;
        copy_pieces(out[i]->data, part, (const char *)in[0]->data + offset, whole, part, pieces);
        offset += part;
    }
    return 0;
}

static int expand_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int64_t dims[RULE_INTS_MAX];
    size_t count = 0;
    int rc = any_input(values, err);
    if (rc || (rc = rule_ints(rule_constant(values, 1), "input shape", dims, &count, err)))
        return rc;
    struct shape wanted = { .rank = (int)count }, shape;
    if (count > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "input shape", "%zu dimensions; at most %d", count,
                         SHAPE_RANK_MAX);
    memcpy(wanted.dim, dims, count * sizeof *dims);
    if (!shape_broadcast(&values->in[0]->shape, &wanted, &shape))
        return error_set(err, ERROR_FORMAT, "input shape", "does not go with the input's");
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int expand_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    struct walk walk;
    walk_init(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &in[0]->shape);
    walk_copy(&walk, out[0]->data, in[0]->data, tensor_type_bytes(in[0]->type));
    return 0;
}

static int tile_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int64_t repeats[RULE_INTS_MAX];
    size_t count = 0;
    int rc = any_input(values, err);
    if (rc || (rc = rule_ints(rule_constant(values, 1), "input repeats", repeats, &count, err)))
        return rc;
    struct shape shape = values->in[0]->shape;
    if (count != (size_t)shape.rank)
        return error_set(err, ERROR_FORMAT, "input repeats", "%zu numbers for %d dimensions", count,
                         shape.rank);
    for (int i = 0; i < shape.rank; i++)
        if (repeats[i] < 0 || __builtin_mul_overflow(shape.dim[i], repeats[i], &shape.dim[i]))
            return error_set(err, ERROR_FORMAT, "input repeats", "%lld is negative or too large",
                             (long long)repeats[i]);
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* The block that lies at the beginning, again and again until `total` bytes are full. */
static void repeat_block(uint8_t *at, size_t block, size_t total)
{
    for (size_t done = block; done < total;) {
        size_t more = done < total - done ? done : total - done;
        memcpy(at + done, at, more);
        done += more;
    }
}

/* Lays the input down once, and repeats what lies there along each dimension, the last first. */
static int tile_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    const struct shape *from = &in[0]->shape, *to = &out[0]->shape;
    if (shape_elements(to) == 0)
        return 0;
    size_t element = tensor_type_bytes(in[0]->type);
    int64_t steps[SHAPE_RANK_MAX], own[SHAPE_RANK_MAX];
    struct walk walk;
    shape_steps(to, steps);
    shape_steps(from, own);
    walk_init(&walk, from);
    walk_add_steps(&walk, 0, steps);
    walk_add_steps(&walk, 0, own);
    walk_copy(&walk, out[0]->data, in[0]->data, element);
    for (int d = from->rank - 1; d >= 0; d--) {
        struct shape before = { .rank = d };
        memcpy(before.dim, from->dim, (size_t)d * sizeof before.dim[0]);
        size_t step = (size_t)steps[d] * element;
        walk_init(&walk, &before);
        walk_add_steps(&walk, 0, steps);
        for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
            for (int64_t i = 0; i < walk.row; i++)
                repeat_block((uint8_t *)out[0]->data +
                                 (size_t)(walk.at[0] + i * walk.row_step[0]) * element,
                             (size_t)from->dim[d] * step, (size_t)to->dim[d] * step);
    }
    return 0;
}
