/* slice: Slice and Pad, which cut out of a tensor or grow it. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include "tensor/number.h"
#include <string.h>

static int slice_shape(const struct node *node, const struct op_values *values, struct error *err);
static int slice_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);
static int slice_gradient(struct gradient *g);
static int pad_shape(const struct node *node, const struct op_values *values, struct error *err);
static int pad_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int pad_gradient(struct gradient *g);

static const struct op rows[] = {
    { OP_ROW("Slice", 1, 1, 1, OPSET_MIN, 9, slice_shape, slice_reference), .gradient = slice_gradient,
      OP_ATTRIBUTES({ "axes", ATTRIBUTE_INTS }, { "ends", ATTRIBUTE_INTS },
                    { "starts", ATTRIBUTE_INTS }) },
    { OP_ROW("Slice", 3, 5, 1, 10, OPSET_MAX, slice_shape, slice_reference),
      .gradient = slice_gradient },
    { OP_ROW("Pad", 1, 1, 1, OPSET_MIN, 10, pad_shape, pad_reference), .gradient = pad_gradient,
      OP_ATTRIBUTES({ "mode", ATTRIBUTE_STRING }, { "pads", ATTRIBUTE_INTS },
                    { "value", ATTRIBUTE_FLOAT }) },
    { OP_ROW("Pad", 2, 3, 1, 11, 17, pad_shape, pad_reference), .gradient = pad_gradient,
      OP_ATTRIBUTES({ "mode", ATTRIBUTE_STRING }) },
    { OP_ROW("Pad", 2, 4, 1, 18, OPSET_MAX, pad_shape, pad_reference), .gradient = pad_gradient,
      OP_ATTRIBUTES({ "mode", ATTRIBUTE_STRING }) },
};
const struct op_family slice_family = OP_FAMILY(rows);

/* A list from an input, or from the attribute of the older form. */
static int read_list(const struct node *node, const struct tensor *input, const char *name,
                     int64_t list[RULE_INTS_MAX], size_t *count, struct error *err)
{
    if (input)
        return rule_ints(input, name, list, count, err);
    const int64_t *ints = NULL;
    *count = node_ints(node, name, &ints);
    if (*count > RULE_INTS_MAX)
        return error_set(err, ERROR_FORMAT, name, "more than %d numbers", RULE_INTS_MAX);
    for (size_t i = 0; i < *count; i++)
        list[i] = ints[i];
    return 0;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* One axis: from start in steps up to end, all cut to the dimension as Python does. */
static void slice_axis(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *first,
                       int64_t *stride, int64_t *count)
{
    /* A longer step than the dimension takes one element just the same, and cannot overflow. */
    step = clamp(step, -dim - 1, dim + 1);
    start += start < 0 ? dim : 0;
    end += end < 0 ? dim : 0;
    if (step > 0) {
        start = clamp(start, 0, dim);
        end = clamp(end, 0, dim);
        *count = end > start ? (end - start + step - 1) / step : 0;
    } else {
        start = clamp(start, 0, dim - 1);
        end = clamp(end, -1, dim - 1);
        *count = start > end ? (start - end - step - 1) / -step : 0;
    }
    *first = start;
    *stride = step;
}

int slice_resolve(const struct node *node, const struct tensor *const *in, const struct shape *from,
                  int64_t first[SHAPE_RANK_MAX], int64_t stride[SHAPE_RANK_MAX],
                  struct shape *shape, struct error *err)
{
    int64_t starts[RULE_INTS_MAX] = { 0 }, ends[RULE_INTS_MAX] = { 0 };
    int64_t axes[RULE_INTS_MAX] = { 0 }, steps[RULE_INTS_MAX] = { 0 };
    size_t count = 0, end_count = 0, axis_count = 0, step_count = 0;
    int rc = read_list(node, in[0], "starts", starts, &count, err);
    if (rc || (rc = read_list(node, in[1], "ends", ends, &end_count, err)) ||
        (rc = read_list(node, in[2], "axes", axes, &axis_count, err)) ||
        (rc = read_list(node, in[3], "steps", steps, &step_count, err)))
        return rc;
    if (end_count != count || (axis_count && axis_count != count) ||
        (step_count && step_count != count) || count > (size_t)from->rank)
        return error_set(err, ERROR_FORMAT, "starts", "the lists differ in length");
    *shape = *from;
    for (int i = 0; i < from->rank; i++) {
        first[i] = 0;
        stride[i] = 1;
    }
    bool seen[SHAPE_RANK_MAX];
    if ((rc = rule_axes("axes", axes, axis_count, from->rank, seen, err)))
        return rc;
    for (size_t i = 0; i < count; i++) {
        int axis = (int)i;
        if (axis_count)
            axis = (int)(axes[i] < 0 ? axes[i] + from->rank : axes[i]);
        int64_t step = step_count ? steps[i] : 1;
        if (step == 0)
            return error_set(err, ERROR_FORMAT, "steps", "a step of 0");
        slice_axis(from->dim[axis], starts[i], ends[i], step, &first[axis], &stride[axis],
                   &shape->dim[axis]);
    }
    return 0;
}

static int slice_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t first[SHAPE_RANK_MAX], stride[SHAPE_RANK_MAX];
    struct shape shape;
    const struct tensor *lists[4];
    for (int i = 0; i < 4; i++)
        lists[i] = rule_constant(values, i + 1);
    int rc = rule_input(values, 0, "input", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = slice_resolve(node, lists, &values->in[0]->shape, first, stride, &shape, err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int slice_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    int64_t first[SHAPE_RANK_MAX], stride[SHAPE_RANK_MAX], steps[SHAPE_RANK_MAX], start = 0;
    struct shape shape;
    const struct tensor *lists[4] = { 0 };
    for (int i = 0; i < 4 && i + 1 < node->op->inputs_max; i++)
        lists[i] = in[i + 1];
    int rc = slice_resolve(node, lists, &in[0]->shape, first, stride, &shape, err);
    if (rc || shape_elements(&shape) == 0)
        return rc;
    shape_steps(&in[0]->shape, steps);
    for (int i = 0; i < shape.rank; i++) {
        start += first[i] * steps[i];
        steps[i] *= stride[i];
    }
    struct walk walk;
    walk_init(&walk, &shape);
    walk_add_broadcast(&walk, &shape);
    walk_add_steps(&walk, start, steps);
    walk_copy(&walk, out[0]->data, in[0]->data, tensor_type_bytes(in[0]->type));
    return 0;
}

static int slice_gradient(struct gradient *g)
{
    int64_t first[SHAPE_RANK_MAX], stride[SHAPE_RANK_MAX];
    struct shape from = *gradient_shape(g, g->node->inputs[0]), shape;
    const struct tensor *lists[4];
    for (int i = 0; i < 4; i++)
        lists[i] = gradient_constant(g, i + 1);
    int rc = slice_resolve(g->node, lists, &from, first, stride, &shape, g->err);
    if (rc)
        return rc;
    g->in[0] = gradient_node(g, "slice_grad", g->out, 1,
                             (struct attribute[]){ GRADIENT_INTS("starts", first, from.rank),
                                                   GRADIENT_INTS("steps", stride, from.rank),
                                                   GRADIENT_INTS("input_shape", from.dim, from.rank),
                                                   { 0 } },
                             NULL, 1);
    return gradient_end(g);
}

int pad_resolve(const struct node *node, const struct tensor *pads_input,
                const struct tensor *axes_input, const struct shape *from, enum pad_mode *mode,
                int64_t begin[SHAPE_RANK_MAX], struct shape *shape, struct error *err)
{
    static const char *const words[] = { "constant", "reflect", "edge", "wrap" };
    const char *word = node_string(node, "mode", words[PAD_CONSTANT]);
    int64_t pads[RULE_INTS_MAX] = { 0 }, axes[RULE_INTS_MAX] = { 0 };
    size_t count = 0, axis_count = (size_t)from->rank;
    for (*mode = PAD_CONSTANT; strcmp(words[*mode], word) != 0; ++*mode)
        if (*mode == PAD_WRAP)
            return error_set(err, ERROR_UNSUPPORTED, "mode", "unknown word '%.32s'", word);
    for (int i = 0; i < from->rank; i++)
        axes[i] = i;
    int rc = read_list(node, pads_input, "pads", pads, &count, err);
    if (!rc && axes_input)
        rc = rule_ints(axes_input, "axes", axes, &axis_count, err);
    bool seen[SHAPE_RANK_MAX];
    if (rc || (rc = rule_axes("axes", axes, axis_count, from->rank, seen, err)))
        return rc;
    if (count != 2 * axis_count)
        return error_set(err, ERROR_FORMAT, "pads", "%zu numbers for %zu axes", count, axis_count);
    memset(begin, 0, SHAPE_RANK_MAX * sizeof *begin);
    *shape = *from;
    for (size_t i = 0; i < axis_count; i++) {
        int axis = (int)(axes[i] < 0 ? axes[i] + from->rank : axes[i]);
        int64_t dim = from->dim[axis], before = pads[i], behind = pads[axis_count + i];
        int64_t most = *mode == PAD_REFLECT ? dim - 1 : (int64_t)TENSOR_BYTES_MAX;
        if (before < -dim || behind < -dim || before > most || behind > most ||
            dim + before + behind < 0 || (*mode != PAD_CONSTANT && dim == 0))
            return error_set(err, ERROR_FORMAT, "pads", "%lld and %lld around %lld elements",
                             (long long)before, (long long)behind, (long long)dim);
        begin[axis] = before;
        shape->dim[axis] = dim + before + behind;
    }
    return 0;
}

/* The values of a padded tensor: pads is input 1, the constant input 2, axes input 3. */
static int pad_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX];
    struct shape shape;
    int rc = rule_input(values, 0, "input", TYPES_ALL, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = pad_resolve(node, rule_constant(values, 1), rule_constant(values, 3),
                                &values->in[0]->shape, &mode, begin, &shape, err)))
        return rc;
    if (values->in[2]) {
        rc = rule_input(values, 2, "constant_value", 1u << values->in[0]->type, 0, 1, err);
        if (!rc && shape_elements(&values->in[2]->shape) != 1)
            rc = error_set(err, ERROR_FORMAT, "constant_value", "one number expected");
    }
    if (rc)
        return rc;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

int64_t pad_source(enum pad_mode mode, int64_t at, int64_t dim)
{
    if (at >= 0 && at < dim)
        return at;
    switch (mode) {
    case PAD_CONSTANT:
        return -1;
    case PAD_REFLECT: /* at most once around, the rule saw to that */
        return at < 0 ? -at : 2 * (dim - 1) - at;
    case PAD_EDGE:
        return at < 0 ? 0 : dim - 1;
    case PAD_WRAP:
    default:
        return (at % dim + dim) % dim;
    }
}

/* Fills one row along the last dimension; line is its input row, NULL: all constant. */
static void pad_row(enum pad_mode mode, char *to, const char *line, const char *constant,
                    int64_t begin, int64_t dim, int64_t count, size_t bytes)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t source = line ? pad_source(mode, i - begin, dim) : -1;
        memcpy(to + (size_t)i * bytes, source < 0 ? constant : line + (size_t)source * bytes, bytes);
    }
}

static int pad_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX], steps[SHAPE_RANK_MAX], index[SHAPE_RANK_MAX] = { 0 };
    struct shape shape;
    int most = node->op->inputs_max;
    int rc = pad_resolve(node, most > 1 ? in[1] : NULL, most > 3 ? in[3] : NULL, &in[0]->shape,
                         &mode, begin, &shape, err);
    if (rc || shape_elements(&shape) == 0)
        return rc;
    int64_t number = 0; /* room for one of any type */
    struct tensor constant = { .type = in[0]->type, .data = &number };
    if (most > 2 && in[2])
        constant.data = in[2]->data;
    else
        number_store(&constant, 0, (double)node_float(node, "value", 0));

    size_t bytes = tensor_type_bytes(in[0]->type);
    int last = shape.rank - 1;
    int64_t row = shape.dim[last], rows_left = shape_elements(&shape) / row;
    char *to = out[0]->data;
    shape_steps(&in[0]->shape, steps);
    for (; rows_left > 0; rows_left--, to += (size_t)row * bytes) {
        const char *line = in[0]->data;
        for (int i = 0; i < last && line; i++) {
            int64_t source = pad_source(mode, index[i] - begin[i], in[0]->shape.dim[i]);
            line = source < 0 ? NULL : line + (size_t)(source * steps[i]) * bytes;
        }
        pad_row(mode, to, line, constant.data, begin[last], in[0]->shape.dim[last], row, bytes);
        for (int i = last - 1; i >= 0 && ++index[i] == shape.dim[i]; i--)
            index[i] = 0;
    }
    return 0;
}

/* A part of dy, where constants were put around the input. */
static int pad_gradient_slice(struct gradient *g, const struct shape *from, const int64_t *begin)
{
    int64_t axes[SHAPE_RANK_MAX], ends[SHAPE_RANK_MAX];
    size_t rank = (size_t)from->rank;
    for (int d = 0; d < from->rank; d++) {
        axes[d] = d;
        ends[d] = begin[d] + from->dim[d];
    }
    int inputs[] = { g->out[0], gradient_ints(g, begin, rank), gradient_ints(g, ends, rank),
                     gradient_ints(g, axes, rank) };
    return gradient_node(g, "Slice", inputs, 4, NULL, NULL, 1);
}

static int pad_gradient(struct gradient *g)
{
    enum pad_mode mode;
    int64_t pads[2 * SHAPE_RANK_MAX];
    struct shape from = *gradient_shape(g, g->node->inputs[0]), padded;
    int rank = from.rank, newer = g->node->op->inputs_max > 1;
    int rc = pad_resolve(g->node, newer ? gradient_constant(g, 1) : NULL,
                         newer ? gradient_constant(g, 3) : NULL, &from, &mode, pads, &padded, g->err);
    if (rc)
        return rc;
    bool cuts = false;
    for (int d = 0; d < rank; d++) {
        pads[rank + d] = padded.dim[d] - from.dim[d] - pads[d];
        cuts = cuts || pads[d] < 0 || pads[rank + d] < 0;
    }
    if (mode == PAD_CONSTANT && !cuts)
        g->in[0] = pad_gradient_slice(g, &from, pads);
    else
        g->in[0] = gradient_node(
            g, "pad_grad", g->out, 1,
            (struct attribute[]){ GRADIENT_STRING("mode", node_string(g->node, "mode", "constant")),
                                  GRADIENT_INTS("pads", pads, 2 * rank),
                                  GRADIENT_INTS("input_shape", from.dim, rank),
                                  { 0 } },
            NULL, 1);
    if (g->wants[2]) /* the number around it has what the input has not */
        g->in[2] =
            gradient_op(g, "Sub", gradient_sum_to(g, g->out[0], 2), gradient_sum_to(g, g->in[0], 2));
    return gradient_end(g);
}
