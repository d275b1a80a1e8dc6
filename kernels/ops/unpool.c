/* unpool: MaxUnpool, which puts what MaxPool found back to where it was, and zeros elsewhere. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/window.h"
#include <string.h>

static int unpool_shape(const struct node *node, const struct op_values *values, struct error *err);
static int unpool_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* (x, places, [shape of the output]) -> y. Places count in the tensor that the windows of the
     * attributes make, without the padding; a larger output has it at its beginning. */
    { OP_ROW("MaxUnpool", 2, 3, 1, 9, OPSET_MAX, unpool_shape, unpool_reference),
      OP_ATTRIBUTES({ "kernel_shape", ATTRIBUTE_INTS }, { "pads", ATTRIBUTE_INTS },
                    { "strides", ATTRIBUTE_INTS }) },
};
const struct op_family unpool_family = OP_FAMILY(rows);

#define NUMBER_MAX ((int64_t)1 << 20) /* of an attribute; keeps products in 64 bits */

/* One number for each spatial dimension, or fallback for all. */
static int read_list(const struct node *node, const char *name, int count, int64_t least,
                     int64_t fallback, int64_t *numbers, struct error *err)
{
    const int64_t *ints;
    size_t given = node_ints(node, name, &ints);
    if (given != 0 && given != (size_t)count)
        return error_set(err, ERROR_FORMAT, name, "%zu numbers; %d expected", given, count);
    for (int i = 0; i < count; i++) {
        numbers[i] = given ? ints[i] : fallback;
        if (numbers[i] < least || numbers[i] > NUMBER_MAX)
            return error_set(err, ERROR_FORMAT, name, "%lld is outside [%lld, %lld]",
                             (long long)numbers[i], (long long)least, (long long)NUMBER_MAX);
    }
    return 0;
}

/* What the windows make of x: (x - 1) * stride + kernel, less the padding. */
static int plain_shape(const struct node *node, const struct shape *x, struct shape *shape,
                       struct error *err)
{
    int spatial = x->rank - 2;
    int64_t kernel[SHAPE_RANK_MAX], strides[SHAPE_RANK_MAX], pads[2 * SHAPE_RANK_MAX];
    int rc = read_list(node, "kernel_shape", spatial, 1, 0, kernel, err);
    if (rc || (rc = read_list(node, "strides", spatial, 1, 1, strides, err)) ||
        (rc = read_list(node, "pads", 2 * spatial, 0, 0, pads, err)))
        return rc;
    *shape = *x;
    for (int i = 0; i < spatial; i++) {
        shape->dim[2 + i] =
            (x->dim[2 + i] - 1) * strides[i] + kernel[i] - pads[i] - pads[spatial + i];
        if (shape->dim[2 + i] < 1)
            return error_set(err, ERROR_FORMAT, "pads", "nothing is left of the output");
    }
    return 0;
}

static int unpool_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape shape, plain;
    int64_t ints[RULE_INTS_MAX];
    size_t count = 0;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 3, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "indices", TYPE(I64), 3, SHAPE_RANK_MAX, err)))
        return rc;
    const struct shape *x = &values->in[0]->shape;
    if (!shape_equal(x, &values->in[1]->shape))
        return error_set(err, ERROR_FORMAT, "indices", "do not have the input's shape");
    if (shape_elements(x) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    if ((rc = plain_shape(node, x, &plain, err)))
        return rc;
    shape = plain;
    if (values->in[2]) {
        if ((rc = rule_ints(rule_constant(values, 2), "output_shape", ints, &count, err)))
            return rc;
        if (count != (size_t)x->rank)
            return error_set(err, ERROR_FORMAT, "output_shape", "%zu numbers for %d dimensions",
                             count, x->rank);
        memcpy(shape.dim, ints, count * sizeof *ints);
    }
    for (int i = 0; i < x->rank; i++)
        if (shape.dim[i] < plain.dim[i] || (i < 2 && shape.dim[i] != plain.dim[i]))
            return error_set(err, ERROR_FORMAT, "output_shape",
                             "%lld does not hold the %lld of dimension %d", (long long)shape.dim[i],
                             (long long)plain.dim[i], i);
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* A place in `from` as one in the larger `to`. */
static int64_t move_place(int64_t place, const struct shape *from, const struct shape *to)
{
    int64_t moved = 0, step = 1;
    for (int i = from->rank - 1; i >= 0; i--) {
        moved += place % from->dim[i] * step;
        place /= from->dim[i];
        step *= to->dim[i];
    }
    return moved;
}

static int unpool_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct shape plain;
    int rc = plain_shape(node, &in[0]->shape, &plain, err);
    if (rc)
        return rc;
    const int64_t *places = in[1]->data;
    int64_t room = shape_elements(&plain);
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    for (int64_t i = 0, count = shape_elements(&in[0]->shape); i < count; i++) {
        if (places[i] < 0 || places[i] >= room)
            return error_set(err, ERROR_FORMAT, "indices", "%lld is outside [0, %lld)",
                             (long long)places[i], (long long)room);
        element_store(out[0], move_place(places[i], &plain, &out[0]->shape), element_load(in[0], i));
    }
    return 0;
}
