/* gather: ops that pick elements or parts of a tensor by indices: Gather, GatherElements and GatherND. */
#include "ops/gather.h"
#include "ops/families.h"
#include "ops/move.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include "tensor/number.h"
#include <string.h>

static int gather_shape(const struct node *node, const struct op_values *values, struct error *err);
static int gather_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int elements_shape(const struct node *node, const struct op_values *values, struct error *err);
static int elements_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int nd_shape(const struct node *node, const struct op_values *values, struct error *err);
static int nd_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("Gather", 2, 2, 1, OPSET_MIN, OPSET_MAX, gather_shape, gather_reference),
      .gradient = gather_gradient, OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { OP_ROW("GatherElements", 2, 2, 1, 11, OPSET_MAX, elements_shape, elements_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }) },
    { OP_ROW("GatherND", 2, 2, 1, 11, 11, nd_shape, nd_reference) },
    { OP_ROW("GatherND", 2, 2, 1, 12, OPSET_MAX, nd_shape, nd_reference),
      OP_ATTRIBUTES({ "batch_dims", ATTRIBUTE_INT }) },
};
const struct op_family gather_family = OP_FAMILY(rows);

int gather_index(const struct node *node, const struct tensor *indices, int64_t at, int64_t length,
                 int64_t *index, struct error *err)
{
    int64_t given = rule_int_at(indices, at);
    if (given < -length || given >= length)
        return error_set(err, ERROR_FORMAT, node->op->name, "node '%s': index %lld of %lld",
                         node->name, (long long)given, (long long)length);
    *index = given < 0 ? given + length : given;
    return 0;
}

/* The axis is replaced by the dimensions of the indices. */
static int gather_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "data", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "indices", TYPE(I64) | TYPE(I32), 0, SHAPE_RANK_MAX, err)))
        return rc;
    const struct shape *from = &values->in[0]->shape, *indices = &values->in[1]->shape;
    if ((rc = rule_axis("axis", node_int(node, "axis", 0), from->rank, &axis, err)))
        return rc;
    if (from->rank - 1 + indices->rank > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "output", "more than %d dimensions", SHAPE_RANK_MAX);
    struct shape shape = { 0 };
    for (int i = 0; i < axis; i++)
        shape.dim[shape.rank++] = from->dim[i];
    for (int i = 0; i < indices->rank; i++)
        shape.dim[shape.rank++] = indices->dim[i];
    for (int i = axis + 1; i < from->rank; i++)
        shape.dim[shape.rank++] = from->dim[i];
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int gather_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    const struct shape *from = &in[0]->shape;
    int axis = concat_axis(node, from);
    int64_t outer = shape_span(from, 0, axis), length = from->dim[axis];
    int64_t count = shape_elements(&in[1]->shape);
    size_t piece = (size_t)shape_span(from, axis + 1, from->rank) * tensor_type_bytes(in[0]->type);
    char *to = out[0]->data;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < count; i++, to += piece) {
            int64_t index = 0;
            int rc = gather_index(node, in[1], i, length, &index, err);
            if (rc)
                return rc;
            memcpy(to, (const char *)in[0]->data + (size_t)(o * length + index) * piece, piece);
        }
    return 0;
}

/* data and indices have as many dimensions; those of the indices are the output's, and but for the axis no
 * longer than data's. */
static int elements_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int axis = 0;
    int rc = rule_input(values, 0, "data", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    const struct shape *data = &values->in[0]->shape;
    if (rc || (rc = rule_axis("axis", node_int(node, "axis", 0), data->rank, &axis, err)) ||
        (rc = rule_input(values, 1, "indices", TYPE(I64) | TYPE(I32), data->rank, data->rank, err)))
        return rc;
    const struct shape *indices = &values->in[1]->shape;
    for (int i = 0; i < data->rank; i++)
        if (i != axis && indices->dim[i] > data->dim[i])
            return error_set(err, ERROR_FORMAT, "indices", "dimension %d is %lld, of data %lld", i,
                             (long long)indices->dim[i], (long long)data->dim[i]);
    rule_output(values, 0, values->in[0]->type, indices);
    return 0;
}

void gather_walk(struct walk *walk, const struct shape *indices, const struct shape *data, int axis)
{
    int64_t steps[SHAPE_RANK_MAX];
    shape_steps(data, steps);
    steps[axis] = 0; /* what the index says instead */
    walk_init(walk, indices);
    walk_add_broadcast(walk, indices);
    walk_add_steps(walk, 0, steps);
}

static int elements_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    const struct shape *data = &in[0]->shape;
    int axis = concat_axis(node, data);
    int64_t step = shape_span(data, axis + 1, data->rank), index = 0;
    struct walk walk;
    gather_walk(&walk, &in[1]->shape, data, axis);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t to = walk.at[0] + i * walk.row_step[0];
            int rc = gather_index(node, in[1], to, data->dim[axis], &index, err);
            if (rc)
                return rc;
            number_copy(out[0], to, in[0], walk.at[1] + i * walk.row_step[1] + index * step);
        }
    return 0;
}

int gather_nd_span(const struct shape *data, const struct shape *indices, int64_t batch_dims,
                   struct gather_nd *nd, struct error *err)
{
    int least = data->rank < indices->rank ? data->rank : indices->rank;
    if (batch_dims < 0 || batch_dims >= least)
        return error_set(err, ERROR_FORMAT, "batch_dims", "%lld is outside [0, %d]",
                         (long long)batch_dims, least - 1);
    int batch = (int)batch_dims;
    int64_t depth = indices->dim[indices->rank - 1];
    if (depth < 1 || depth > data->rank - batch)
        return error_set(err, ERROR_FORMAT, "indices", "the last dimension is %lld, outside [1, %d]",
                         (long long)depth, data->rank - batch);
    for (int i = 0; i < batch; i++)
        if (data->dim[i] != indices->dim[i])
            return error_set(err, ERROR_FORMAT, "indices", "dimension %d is %lld, of data %lld", i,
                             (long long)indices->dim[i], (long long)data->dim[i]);
    *nd = (struct gather_nd){ .first = batch, .depth = (int)depth };
    nd->batches = shape_span(data, 0, batch);
    nd->tuples = shape_span(indices, batch, indices->rank - 1);
    nd->piece = shape_span(data, batch + nd->depth, data->rank);
    if (indices->rank - 1 + data->rank - batch - nd->depth > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "output", "more than %d dimensions", SHAPE_RANK_MAX);
    for (int i = 0; i < indices->rank - 1; i++)
        nd->shape.dim[nd->shape.rank++] = indices->dim[i];
    for (int i = batch + nd->depth; i < data->rank; i++)
        nd->shape.dim[nd->shape.rank++] = data->dim[i];
    return 0;
}

int gather_nd_piece(const struct node *node, const struct gather_nd *nd, const struct shape *data,
                    const struct tensor *indices, int64_t tuple, int64_t *piece, struct error *err)
{
    *piece = tuple / nd->tuples; /* the batch */
    for (int i = 0; i < nd->depth; i++) {
        int64_t index = 0, length = data->dim[nd->first + i];
        int rc = gather_index(node, indices, tuple * nd->depth + i, length, &index, err);
        if (rc)
            return rc;
        *piece = *piece * length + index;
    }
    return 0;
}

static int nd_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct gather_nd nd;
    int rc = rule_input(values, 0, "data", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "indices", TYPE(I64) | TYPE(I32), 1, SHAPE_RANK_MAX, err)) ||
        (rc = gather_nd_span(&values->in[0]->shape, &values->in[1]->shape,
                             node_int(node, "batch_dims", 0), &nd, err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, &nd.shape);
    return 0;
}

static int nd_reference(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err)
{
    struct gather_nd nd;
    const struct shape *data = &in[0]->shape;
    int rc = gather_nd_span(data, &in[1]->shape, node_int(node, "batch_dims", 0), &nd, err);
    if (rc)
        return rc;
    size_t bytes = (size_t)nd.piece * tensor_type_bytes(in[0]->type);
    for (int64_t i = 0; !rc && i < nd.batches * nd.tuples; i++) {
        int64_t piece = 0;
        rc = gather_nd_piece(node, &nd, data, in[1], i, &piece, err);
        if (!rc)
            memcpy((char *)out[0]->data + (size_t)i * bytes,
                   (const char *)in[0]->data + (size_t)piece * bytes, bytes);
    }
    return rc;
}
