/* move_gradient: gradients of ops that put elements elsewhere. What is read once goes back the same
 * way; what is read several times adds up. */
#include "ops/move.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <string.h>

static int gather_grad_shape(const struct node *node, const struct op_values *values,
                             struct error *err);
static int gather_grad_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("gather_grad", 2, 2, 1, OPSET_OWN, OPSET_OWN, gather_grad_shape, gather_grad_reference),
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "input_shape", ATTRIBUTE_INTS }) },
};
const struct op_family move_gradient_family = OP_FAMILY(rows);

int transpose_gradient(struct gradient *g)
{
    int rank = gradient_shape(g, g->node->inputs[0])->rank;
    const int64_t *perm;
    int64_t inverse[SHAPE_RANK_MAX] = { 0 };
    bool given = node_ints(g->node, "perm", &perm) > 0;
    for (int64_t d = 0; d < rank; d++)
        inverse[given ? perm[d] : rank - 1 - d] = d;
    g->in[0] =
        gradient_node(g, "Transpose", g->out, 1,
                      (struct attribute[]){ GRADIENT_INTS("perm", inverse, rank), { 0 } }, NULL, 1);
    return gradient_end(g);
}

/* Each input is a part of the output, and so is its gradient: a view on most devices. */
int concat_gradient(struct gradient *g)
{
    int axis_number = concat_axis(g->node, gradient_shape(g, g->node->outputs[0]));
    int64_t start = 0;
    for (int k = 0; k < g->node->input_count; k++) {
        int64_t end = start + gradient_shape(g, g->node->inputs[k])->dim[axis_number];
        if (g->wants[k] && g->node->input_count == 1) {
            g->in[k] = g->out[0];
        } else if (g->wants[k]) {
            int inputs[] = { g->out[0], gradient_ints(g, &start, 1), gradient_ints(g, &end, 1),
                             gradient_ints(g, (int64_t[]){ axis_number }, 1) };
            g->in[k] = gradient_node(g, "Slice", inputs, 4, NULL, NULL, 1);
        }
        start = end;
    }
    return gradient_end(g);
}

/* Parts that nothing depends on are zeros. */
int split_gradient(struct gradient *g)
{
    int parts[GRAPH_NODE_INPUTS_MAX];
    int axis_number = concat_axis(g->node, gradient_shape(g, g->node->inputs[0]));
    for (int k = 0; k < g->node->output_count; k++) {
        parts[k] = g->out[k];
        if (parts[k] >= 0)
            continue;
        struct shape shape = *gradient_shape(g, g->node->outputs[k]);
        int dims = gradient_ints(g, shape.dim, (size_t)shape.rank);
        parts[k] = gradient_op(g, "ConstantOfShape", dims, -1);
    }
    g->in[0] =
        gradient_node(g, "Concat", parts, g->node->output_count,
                      (struct attribute[]){ GRADIENT_INT("axis", axis_number), { 0 } }, NULL, 1);
    return gradient_end(g);
}

int expand_gradient(struct gradient *g)
{
    g->in[0] = gradient_sum_to(g, g->out[0], 0);
    return gradient_end(g);
}

/* The repeats along one axis after the other: outer x repeats x what is repeated, added up. */
int tile_gradient(struct gradient *g)
{
    struct shape from = *gradient_shape(g, g->node->inputs[0]);
    struct shape to = *gradient_shape(g, g->out[0]);
    int dx = g->out[0];
    for (int d = 0; d < from.rank && shape_elements(&from) > 0; d++) {
        if (to.dim[d] == from.dim[d])
            continue;
        int64_t dims[] = { shape_span(&to, 0, d), to.dim[d] / from.dim[d],
                           shape_span(&to, d + 1, to.rank) * from.dim[d] };
        dx = gradient_op(g, "Reshape", dx, gradient_ints(g, dims, 3));
        dims[1] = 1;
        dx = gradient_node(g, "sum_to", &dx, 1,
                           (struct attribute[]){ GRADIENT_INTS("shape", dims, 3), { 0 } }, NULL, 1);
        to.dim[d] = from.dim[d];
    }
    g->in[0] = gradient_reshape_as(g, dx, 0);
    return gradient_end(g);
}

/* A single constant index is a slice of one element: its gradient is a slice's, which is cheaper. */
int gather_gradient(struct gradient *g)
{
    struct shape from = *gradient_shape(g, g->node->inputs[0]);
    const struct tensor *indices = gradient_constant(g, 1);
    int axis = concat_axis(g->node, &from);
    const struct attribute input_shape = GRADIENT_INTS("input_shape", from.dim, from.rank);
    if (!indices->data || shape_elements(&indices->shape) != 1) {
        int inputs[] = { g->out[0], g->node->inputs[1] };
        g->in[0] = gradient_node_like(g, "gather_grad", inputs, 2,
                                      (struct attribute[]){ input_shape, { 0 } });
        return gradient_end(g);
    }
    int64_t starts[SHAPE_RANK_MAX] = { 0 }, steps[SHAPE_RANK_MAX] = { 0 };
    starts[axis] = rule_int_at(indices, 0);
    starts[axis] += starts[axis] < 0 ? from.dim[axis] : 0;
    for (int d = 0; d < from.rank; d++)
        steps[d] = 1;
    struct shape part = from;
    part.dim[axis] = 1;
    int dy = gradient_op(g, "Reshape", g->out[0], gradient_ints(g, part.dim, (size_t)part.rank));
    g->in[0] = gradient_node(g, "slice_grad", &dy, 1,
                             (struct attribute[]){ GRADIENT_INTS("starts", starts, from.rank),
                                                   GRADIENT_INTS("steps", steps, from.rank),
                                                   input_shape,
                                                   { 0 } },
                             NULL, 1);
    return gradient_end(g);
}

int depth_to_space_gradient(struct gradient *g)
{
    g->in[0] = gradient_node_like(g, "space_to_depth", g->out, 1, NULL);
    return gradient_end(g);
}

int space_to_depth_gradient(struct gradient *g)
{
    g->in[0] = gradient_node_like(g, "DepthToSpace", g->out, 1, NULL);
    return gradient_end(g);
}

/* dy has the indices' dimensions in the place of the axis. */
static int gather_grad_shape(const struct node *node, const struct op_values *values,
                             struct error *err)
{
    struct shape from;
    int axis = 0;
    int rc = rule_input(values, 0, "dy", TYPE(REAL), 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "indices", TYPE(I64) | TYPE(I32), 0, SHAPE_RANK_MAX, err)) ||
        (rc = rule_shape_attribute(node, "input_shape", &from, err)) ||
        (rc = rule_axis("axis", node_int(node, "axis", 0), from.rank, &axis, err)))
        return rc;
    const struct shape *dy = &values->in[0]->shape, *indices = &values->in[1]->shape;
    bool fits = dy->rank == from.rank - 1 + indices->rank;
    for (int d = 0; fits && d < dy->rank; d++) {
        int64_t dim = d < axis                   ? from.dim[d]
                      : d < axis + indices->rank ? indices->dim[d - axis]
                                                 : from.dim[d - indices->rank + 1];
        fits = dy->dim[d] == dim;
    }
    if (!fits)
        return error_set(err, ERROR_FORMAT, "dy", "is not the output's shape");
    rule_output(values, 0, TENSOR_REAL, &from);
    return 0;
}

static int gather_grad_reference(const struct node *node, const struct tensor *const *in,
                                 struct tensor *const *out, struct error *err)
{
    const struct shape *to = &out[0]->shape;
    int axis = concat_axis(node, to);
    int64_t outer = shape_span(to, 0, axis), length = to->dim[axis];
    int64_t count = shape_elements(&in[1]->shape), piece = shape_span(to, axis + 1, to->rank);
    const real *dy = in[0]->data;
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < count; i++, dy += piece) {
            int64_t index = rule_int_at(in[1], i);
            if (index < -length || index >= length)
                return error_set(err, ERROR_FORMAT, "gather_grad", "node '%s': index %lld of %lld",
                                 node->name, (long long)index, (long long)length);
            index += index < 0 ? length : 0;
            real *sum = (real *)out[0]->data + (o * length + index) * piece;
            for (int64_t k = 0; k < piece; k++)
                sum[k] += dy[k];
        }
    return 0;
}
